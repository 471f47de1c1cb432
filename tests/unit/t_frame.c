/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"
#include <base/slice.h>
#include <wire/frame.h>

static size_t call_frame(uint8_t *buf, size_t cap)
{
        struct mv_out o = mv_out(buf, cap);
        size_t at = mv_frame_open(&o, MV_FRAME_CALL, 7);
        mv_put_str(&o, "abc");
        return mv_frame_close(&o, at) ? o.len : 0;
}

TEST(a_frame_has_the_bytes_of_its_table)
{
        uint8_t b[64];
        static const uint8_t wanted[] = { 3, 0, 0, 0, 1, 2, 0,   0,   7,  0,
                                          0, 0, 0, 0, 0, 0, 'a', 'b', 'c' };
        CHECK(call_frame(b, sizeof b) == sizeof wanted);
        CHECK(memcmp(b, wanted, sizeof wanted) == 0);
}

TEST(a_frame_reads_back_what_was_written)
{
        uint8_t b[64];
        struct mv_frame f;
        struct mv_err err;
        uint32_t len;
        size_t n = call_frame(b, sizeof b);
        REQUIRE(mv_frame_decode(mv_slice(b, n), &f, &err) == 0);
        CHECK(f.type == MV_FRAME_CALL && f.seq == 7);
        CHECK(mv_slice_eq_str(f.payload, "abc"));
        CHECK(mv_frame_payload_len(b, &len, &err) == 0 && len == 3);
}

TEST(frames_follow_one_another_in_one_output)
{
        uint8_t b[64];
        struct mv_out o = mv_out(b, sizeof b);
        size_t first = mv_frame_open(&o, MV_FRAME_STEP, 0);
        mv_put_u8(&o, 0xf6);
        CHECK(mv_frame_close(&o, first));
        size_t second = mv_frame_open(&o, MV_FRAME_CANCEL, 0);
        CHECK(second == 17);
        CHECK(mv_frame_close(&o, second));
        struct mv_frame f;
        CHECK(mv_frame_decode(mv_slice(b + second, o.len - second), &f, NULL) == 0);
        CHECK(f.type == MV_FRAME_CANCEL && f.payload.len == 0);
}

TEST(a_frame_cut_at_any_byte_is_refused)
{
        uint8_t b[64];
        struct mv_frame f;
        struct mv_err err;
        size_t n = call_frame(b, sizeof b);
        for (size_t cut = 0; cut < n; cut++)
                CHECK(mv_frame_decode(mv_slice(b, cut), &f, &err) == -MV_E_HOSTILE);
        CHECK(mv_frame_decode(mv_slice(b, n + 1), &f, &err) == -MV_E_HOSTILE);
}

static int decode_changed(size_t at, uint8_t byte)
{
        uint8_t b[64];
        struct mv_frame f;
        size_t n = call_frame(b, sizeof b);
        b[at] = byte;
        return mv_frame_decode(mv_slice(b, n), &f, NULL);
}

TEST(a_header_field_with_a_value_it_may_not_have_is_refused)
{
        CHECK(decode_changed(3, 0x7f) == -MV_E_HOSTILE); /* length 2 GiB */
        CHECK(decode_changed(0, 4) == -MV_E_HOSTILE);
        CHECK(decode_changed(4, 2) == -MV_E_HOSTILE);
        CHECK(decode_changed(5, 0) == -MV_E_HOSTILE);
        CHECK(decode_changed(5, MV_FRAME_MAX_) == -MV_E_HOSTILE);
        CHECK(decode_changed(5, MV_FRAME_STEP) == -MV_E_HOSTILE); /* carries no number */
        CHECK(decode_changed(6, 1) == -MV_E_HOSTILE);
        CHECK(decode_changed(8, 0) == -MV_E_HOSTILE); /* a call needs its number */
        CHECK(decode_changed(5, MV_FRAME_REPLY) == 0);
}

TEST(a_length_beyond_the_limit_is_refused_before_the_payload_arrives)
{
        uint8_t b[16] = { 0, 0, 0x80, 0, 1, MV_FRAME_LOG };
        uint32_t len;
        CHECK(mv_frame_payload_len(b, &len, NULL) == 0 && len == MV_FRAME_PAYLOAD_MAX);
        b[0] = 1;
        CHECK(mv_frame_payload_len(b, &len, NULL) == -MV_E_HOSTILE);
}

TEST(closing_a_frame_that_did_not_fit_fails)
{
        uint8_t b[18];
        CHECK(call_frame(b, sizeof b) == 0);
        CHECK(call_frame(b, 8) == 0);
        struct mv_out o = mv_out(b, sizeof b);
        size_t at = mv_frame_open(&o, MV_FRAME_CALL,
                                  0); /* a call without a number is a bug of the caller */
        CHECK(!mv_frame_close(&o, at));
}
