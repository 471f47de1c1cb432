/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"
#include <base/arena.h>
#include <base/limits.h>
#include <base/slice.h>
#include <wire/cbor.h>
#include <math.h>
#include <stdlib.h>

struct bytes {
        uint8_t b[512];
        size_t len;
};

static struct bytes hex(const char *text)
{
        struct bytes r = { .len = 0 };
        for (; *text; text++) {
                if (*text == ' ')
                        continue;
                char pair[3] = { text[0], text[1], 0 };
                r.b[r.len++] = (uint8_t)strtoul(pair, NULL, 16);
                text++;
        }
        return r;
}

static int decode(struct mv_slice s, struct mv_arena *a, const struct mv_value **ret)
{
        struct mv_err err;
        return mv_value_decode(s, a, ret, &err);
}

/* 0, or the error of decoding these bytes; what decodes must also skip, and encode to the same
 * bytes. */
static int round_trip(const char *text)
{
        struct bytes in = hex(text);
        struct mv_slice raw, s = mv_slice(in.b, in.len);
        struct mv_arena a = mv_arena_grow(1 << 20);
        const struct mv_value *v = NULL;
        struct mv_err err;
        uint8_t back[512];
        int r = decode(s, &a, &v);
        struct mv_cur c = mv_cur(s);
        int skipped = mv_cbor_skip(&c, &raw, &err);
        CHECK((r == 0) == (skipped == 0 && mv_cur_done(&c)));
        struct mv_out o = mv_out(back, in.len); /* exactly as large as needed */
        if (r == 0 && !(mv_value_encode(&o, v) && mv_slice_eq(mv_out_slice(&o), s)))
                r = -1000;
        if (r == 0 && in.len) {
                o = mv_out(back, in.len - 1);
                CHECK(!mv_value_encode(&o, v) && o.overflow);
        }
        mv_arena_done(&a);
        return r;
}
#define TRIP(h, wanted)                                                                            \
        (round_trip(h) == (wanted) ? (void)0 : mv_test_failed(__FILE__, __LINE__, h))
#define GOOD(h) TRIP(h, 0)
#define BAD(h)  TRIP(h, -MV_E_HOSTILE)

TEST(every_kind_of_value_keeps_its_bytes)
{
        GOOD("f6"), GOOD("f4"), GOOD("f5");
        GOOD("00"), GOOD("17"), GOOD("1818"), GOOD("18ff"), GOOD("190100"), GOOD("19ffff"),
                GOOD("1a00010000");
        GOOD("1b0000000100000000"), GOOD("1b7fffffffffffffff"), GOOD("3b7fffffffffffffff"),
                GOOD("20"), GOOD("3818");
        GOOD("60"), GOOD("6161"), GOOD("62c3bc"), GOOD("64f0908080");
        GOOD("d82762 3a61"), GOOD("d82761 61"), GOOD("d827613a"), GOOD("d82760");
        GOOD("80"), GOOD("820102"), GOOD("d9cc0180"), GOOD("d9cc01820102"), GOOD("a0");
        GOOD("d9cc02f6"), GOOD("d9cc0383 6147 616d f6");
        GOOD("a4 00f6 20f6 6161f6 d827623a61f6");
}

TEST(a_float_is_as_short_as_its_value_allows)
{
        GOOD("f90000"), GOOD("f98000"), GOOD("f93c00"), GOOD("f97bff"), GOOD("f97c00"),
                GOOD("f9fc00"), GOOD("f97e00");
        GOOD("f90001"), GOOD("f90400"), GOOD("f903ff"), GOOD("f9c400");
        GOOD("fa47c35000"), GOOD("fa7f7fffff"), GOOD("fa00000001"), GOOD("fa33000000"),
                GOOD("fa3f800001");
        GOOD("fb3ff199999999999a"), GOOD("fb7e37e43c8800759c"), GOOD("fb0000000000000001"),
                GOOD("fb7fefffffffffffff");
        GOOD("fb36a0000000000001"), GOOD("fb3680000000000000");
        BAD("fa3f800000"), BAD("fb3ff0000000000000"), BAD("fb40f86a0000000000"), BAD("fa7f800000");
        BAD("fa00000000"), BAD("fa80000000"), BAD("fb0000000000000000"), BAD("fa33800000"),
                BAD("fb36a0000000000000");
        BAD("f97e01"), BAD("f9fe00"), BAD("f97c01"), BAD("fa7fc00000"), BAD("fb7ff8000000000000");
}

TEST(floats_and_integers_stay_different)
{
        struct mv_arena a = mv_arena_grow(1 << 16);
        const struct mv_value *v;
        REQUIRE(decode(mv_slice("\xf9\x40\x00", 3), &a, &v) == 0);
        CHECK(v->kind == MV_FLOAT && v->real == 2.0);
        REQUIRE(decode(mv_slice("\x02", 1), &a, &v) == 0);
        CHECK(v->kind == MV_INT && v->integer == 2);
        mv_arena_done(&a);
}

TEST(a_head_longer_than_needed_is_refused)
{
        BAD("1800"), BAD("1817"), BAD("190000"), BAD("1900ff"), BAD("1a0000ffff"),
                BAD("1b00000000ffffffff");
        BAD("3817"), BAD("780161"), BAD("980101"), BAD("b8010101"), BAD("d90027623a61"),
                BAD("da0000cc0180");
}

TEST(integers_outside_64_bits_are_refused)
{
        BAD("1b8000000000000000"), BAD("1bffffffffffffffff"), BAD("3b8000000000000000"),
                BAD("3bffffffffffffffff");
        BAD("c2410a"), BAD("c3410a");
}

TEST(indefinite_lengths_and_reserved_heads_are_refused)
{
        BAD("5fff"), BAD("7fff"), BAD("9fff"), BAD("bfff"), BAD("7f6161ff"), BAD("9f01ff"),
                BAD("ff"), BAD("1c"), BAD("1f");
        BAD("3d"), BAD("5e"), BAD("7d"), BAD("9e"), BAD("bd"), BAD("dc"), BAD("fc"), BAD("fd"),
                BAD("fe");
}

TEST(unknown_simple_values_and_tags_are_refused)
{
        BAD("f7"), BAD("e0"), BAD("f3"), BAD("f800"), BAD("f814"), BAD("f820"), BAD("f8ff");
        BAD("c001"), BAD("d9cc0400"), BAD("d82600"), BAD("d9d9f7f6"), BAD("d827f6"),
                BAD("d82781613a"), BAD("d827d827623a61");
        BAD("d9cc0200"), BAD("d9cc01a0"), BAD("d9cc0160"), BAD("d9cc01d9cc0180");
        BAD("d9cc0380"), BAD("d9cc0383f6616df6"), BAD("d9cc03836147f6f6"), BAD("d9cc03826147616d");
        BAD("d9cc0384 6147 616d f6 f6"), BAD("d9cc03f6");
}

TEST(byte_strings_are_refused_inside_values)
{
        BAD("40"), BAD("4101"), BAD("8140"), BAD("a100 4101");
}

TEST(text_that_is_not_utf8_is_refused)
{
        BAD("61ff"), BAD("6180"), BAD("62c080"), BAD("62c1bf"), BAD("63e08080"), BAD("63eda080"),
                BAD("63edbfbf");
        BAD("64f0808080"), BAD("64f4908080"), BAD("64f5808080"), BAD("61c3"), BAD("62e282"),
                BAD("63f09080"), BAD("62c361");
        BAD("d82761ff"), BAD("a161fff6");
        GOOD("63ed9fbf"), GOOD("63ee8080"), GOOD("64f48fbfbf"), GOOD("62dfbf"), GOOD("63efbfbf");
}

TEST(map_keys_twice_or_out_of_order_are_refused)
{
        BAD("a2 00f6 00f6"), BAD("a2 01f6 00f6"), BAD("a2 20f6 00f6"), BAD("a2 6161f6 00f6"),
                BAD("a2 6162f6 6161f6");
        BAD("a2 626161f6 6162f6"), BAD("a2 d827623a61f6 6161f6"),
                BAD("a2 d827623a61f6 d827623a61f6");
        GOOD("a2 6162f6 626161f6");
}

TEST(map_keys_of_other_kinds_are_refused)
{
        BAD("a1f6f6"), BAD("a1f4f6"), BAD("a1f93c00f6"), BAD("a180f6"), BAD("a1a0f6"),
                BAD("a1d8276161f6"), BAD("a140f6");
}

TEST(a_count_beyond_the_bytes_that_are_left_is_refused)
{
        BAD("81"), BAD("8201"), BAD("9affffffff"), BAD("9bffffffffffffffff"),
                BAD("9b7fffffffffffffff"), BAD("a1"), BAD("a100");
        BAD("baffffffff"), BAD("bbffffffffffffffff"), BAD("bb8000000000000000"), BAD("6161 61"),
                BAD("7affffffff");
        BAD("7bffffffffffffffff"), BAD("5bffffffffffffffff"), BAD("78ff"), BAD("d9cc019affffffff");
}

/* Without a reckoning of what outer arrays still owe, each level here could allocate for all
 * bytes that are left. */
TEST(nested_counts_cannot_promise_the_same_bytes_twice)
{
        static uint8_t in[4096];
        memset(in, 0xf6, sizeof in);
        for (size_t i = 0; i + 3 <= 300; i += 3) {
                in[i] = 0x99;
                in[i + 1] = (uint8_t)(1500 >> 8);
                in[i + 2] = (uint8_t)(1500 & 0xff);
        }
        struct mv_arena a = mv_arena_grow(64 << 20);
        const struct mv_value *v;
        struct mv_err err;
        CHECK(mv_value_decode(mv_slice(in, sizeof in), &a, &v, &err) == -MV_E_HOSTILE);
        CHECK((64u << 20) - a.left < (1u << 20));
        mv_arena_done(&a);
}

TEST(left_over_bytes_and_an_empty_input_are_refused)
{
        BAD(""), BAD("f6f6"), BAD("8000"), BAD("616161");
}

static const char whole[] =
        "a6 01 820102 20 f93c00 6161 d9cc018103 62c3bc fb3ff199999999999a d827623a61 d82763616263"
        "d827643a6b6579 d9cc0383 6147 616d a0";

TEST(a_value_cut_at_any_byte_is_refused)
{
        struct bytes in = hex(whole);
        struct mv_arena a = mv_arena_grow(1 << 20);
        const struct mv_value *v;
        GOOD(whole);
        for (size_t cut = 0; cut < in.len; cut++) {
                uint8_t *exact =
                        malloc(cut ? cut : 1); /* so that a sanitizer sees a read beyond it */
                REQUIRE(exact);
                memcpy(exact, in.b, cut);
                CHECK(decode(mv_slice(exact, cut), &a, &v) == -MV_E_HOSTILE);
                free(exact);
        }
        mv_arena_done(&a);
}

TEST(a_changed_byte_decodes_to_something_else_or_not_at_all)
{
        struct bytes in = hex(whole);
        uint8_t back[512], mem[8192];
        for (size_t at = 0; at < in.len; at++)
                for (unsigned byte = 0; byte < 256; byte++) {
                        struct bytes changed = in;
                        struct mv_arena a = mv_arena_fixed(mem, sizeof mem);
                        const struct mv_value *v;
                        changed.b[at] = (uint8_t)byte;
                        if (decode(mv_slice(changed.b, in.len), &a, &v) == 0) {
                                struct mv_out o = mv_out(back, sizeof back);
                                CHECK(mv_value_encode(&o, v) && o.len == in.len &&
                                      memcmp(back, changed.b, o.len) == 0);
                        }
                }
}

TEST(nesting_beyond_the_limit_is_refused) /* REQ-VAL-13 */
{
        static uint8_t in[4 * MV_VALUE_DEPTH_MAX + 8];
        struct mv_arena a = mv_arena_grow(1 << 20);
        const struct mv_value *v;
        memset(in, 0x81, MV_VALUE_DEPTH_MAX);
        in[MV_VALUE_DEPTH_MAX - 1] = 0x80;
        CHECK(decode(mv_slice(in, MV_VALUE_DEPTH_MAX), &a, &v) == 0);
        in[MV_VALUE_DEPTH_MAX - 1] = 0x81;
        in[MV_VALUE_DEPTH_MAX] = 0x80;
        CHECK(decode(mv_slice(in, MV_VALUE_DEPTH_MAX + 1), &a, &v) == -MV_E_HOSTILE);
        memset(in, 0xd9, sizeof in); /* tags upon tags */
        CHECK(decode(mv_slice(in, sizeof in), &a, &v) == -MV_E_HOSTILE);
        mv_arena_done(&a);
}

TEST(an_arena_that_is_too_small_is_a_limit_not_a_crash)
{
        struct bytes in = hex(whole);
        uint8_t mem[2048];
        int limits = 0;
        for (size_t room = 0; room < sizeof mem; room += 8) {
                struct mv_arena a = mv_arena_fixed(mem, room);
                const struct mv_value *v;
                int r = decode(mv_slice(in.b, in.len), &a, &v);
                CHECK(r == 0 || r == -MV_E_LIMIT);
                limits += r < 0;
        }
        CHECK(limits > 10 && limits < 250);
}

TEST(map_entries_come_out_in_the_order_of_the_language)
{
        struct bytes in = hex("a6 00f6 1818f6 20f6 6162f6 626161f6 d827623a62f6");
        struct mv_arena a = mv_arena_grow(1 << 16);
        const struct mv_value *v;
        REQUIRE(decode(mv_slice(in.b, in.len), &a, &v) == 0);
        CHECK(v->count == 6 && v->entries[0].key.kind == MV_KEYWORD &&
              mv_slice_eq_str(v->entries[0].key.text, "b"));
        CHECK(mv_slice_eq_str(v->entries[1].key.text, "aa") &&
              mv_slice_eq_str(v->entries[2].key.text, "b"));
        CHECK(v->entries[3].key.integer == -1 && v->entries[4].key.integer == 0 &&
              v->entries[5].key.integer == 24);
        mv_arena_done(&a);
}

TEST(the_pull_decoder_gives_one_item_after_another)
{
        struct bytes in = hex("83 4101 d82761 61 a0");
        struct mv_cur c = mv_cur(mv_slice(in.b, in.len));
        struct mv_cbor_item item;
        CHECK(mv_cbor_next(&c, &item, NULL) == 0 && item.kind == MV_CBOR_ARRAY && item.count == 3);
        CHECK(mv_cbor_next(&c, &item, NULL) == 0 && item.kind == MV_CBOR_BYTES &&
              item.text.len == 1);
        CHECK(mv_cbor_next(&c, &item, NULL) == 0 && item.kind == MV_CBOR_TAG &&
              item.tag == MV_TAG_IDENTIFIER);
        CHECK(mv_cbor_next(&c, &item, NULL) == 0 && item.kind == MV_CBOR_TEXT &&
              mv_slice_eq_str(item.text, "a"));
        CHECK(mv_cbor_next(&c, &item, NULL) == 0 && item.kind == MV_CBOR_MAP && item.count == 0);
        CHECK(mv_cur_done(&c));
        CHECK(mv_cbor_next(&c, &item, NULL) == -MV_E_HOSTILE && c.bad);
}

TEST(a_skipped_item_is_the_bytes_it_stands_in)
{
        struct bytes in = hex("01 820203 04");
        struct mv_cur c = mv_cur(mv_slice(in.b, in.len));
        struct mv_slice raw;
        CHECK(mv_cbor_skip(&c, &raw, NULL) == 0 && raw.len == 1);
        CHECK(mv_cbor_skip(&c, &raw, NULL) == 0 && raw.len == 3 && raw.p == in.b + 1);
        struct mv_arena a = mv_arena_grow(1 << 16);
        struct mv_value v;
        CHECK(mv_value_decode_next(&c, &a, &v, NULL) == 0 && v.integer == 4 && mv_cur_done(&c));
        mv_arena_done(&a);
}

#define TEXT(k, s) ((struct mv_value){ .kind = (k), .text = MV_SLICE(s) })
#define INT(i)     ((struct mv_value){ .kind = MV_INT, .integer = (i) })

static bool encodes(const struct mv_value *v)
{
        uint8_t b[256];
        struct mv_out o = mv_out(b, sizeof b);
        return mv_value_encode(&o, v);
}

TEST(a_tree_that_is_not_canonical_is_not_encoded)
{
        struct mv_entry twice[] = { { INT(1), INT(1) }, { INT(2), INT(1) }, { INT(1), INT(1) } };
        struct mv_value m = { .kind = MV_MAP, .count = 3, .entries = twice };
        CHECK(!encodes(&m));
        twice[2].key = (struct mv_value){ .kind = MV_NIL };
        CHECK(!encodes(&m));
        twice[2].key = TEXT(MV_SYMBOL, "s");
        CHECK(!encodes(&m));
        twice[2].key = TEXT(MV_STRING, "s");
        CHECK(encodes(&m));
        CHECK(!encodes(&TEXT(MV_STRING, "\xff")));
        CHECK(!encodes(&TEXT(MV_SYMBOL, ":a")));
        CHECK(!encodes(&(struct mv_value){ .kind = MV_KIND_MAX_ }));
        struct mv_value bad_error[] = { INT(1), TEXT(MV_STRING, "m"), INT(1) };
        CHECK(!encodes(&(struct mv_value){ .kind = MV_ERROR, .count = 3, .items = bad_error }));
}

/* Entries in the order of a tree, nested, into an output without a byte to spare: the walk's indexes must not get in the
 * way of the entries. */
TEST(maps_are_ordered_in_an_output_of_exactly_their_size)
{
        enum { N = 300, BYTES = 1 << 16 };
        static struct mv_entry inner[N], outer[N];
        static uint8_t first[BYTES], second[BYTES];
        for (int i = 0; i < N; i++) {
                inner[i] = (struct mv_entry){ INT((i * 7 + 3) % N - 150), INT(i % 20) };
                outer[i] = (struct mv_entry){ INT(N - i), INT(0) };
        }
        struct mv_value in = { .kind = MV_MAP, .count = N, .entries = inner };
        struct mv_value out = { .kind = MV_MAP, .count = N, .entries = outer };
        for (int i = 0; i < N; i += 30)
                outer[i].value = in;
        struct mv_out o = mv_out(first, sizeof first);
        REQUIRE(mv_value_encode(&o, &out));
        struct mv_out exact = mv_out(second, o.len);
        CHECK(mv_value_encode(&exact, &out) && exact.cap == o.len);
        CHECK(o.len == exact.len && memcmp(first, second, o.len) == 0);
        struct mv_arena a = mv_arena_grow(4 << 20);
        const struct mv_value *v;
        CHECK(decode(mv_out_slice(&exact), &a, &v) == 0 && v->count == N);
        mv_arena_done(&a);
        for (size_t room = 0; room < o.len; room += 101) {
                exact = mv_out(second, room);
                CHECK(!mv_value_encode(&exact, &out) && exact.cap == room && exact.overflow);
        }
}

TEST(a_map_of_more_than_65536_entries_is_ordered)
{
        enum { N = 70000 };
        struct mv_entry *e = calloc(N, sizeof *e);
        size_t cap = 8 * N;
        uint8_t *b = malloc(cap);
        REQUIRE(e && b);
        for (int i = 0; i < N; i++)
                e[i] = (struct mv_entry){ INT(N / 2 - i), { .kind = MV_NIL } };
        struct mv_out o = mv_out(b, cap);
        struct mv_value m = { .kind = MV_MAP, .count = N, .entries = e };
        CHECK(mv_value_encode(&o, &m));
        size_t len = o.len;
        o = mv_out(b, len + 49);
        CHECK(mv_value_encode(&o, &m) && o.len == len);
        struct mv_cur c = mv_cur(mv_out_slice(&o));
        struct mv_slice raw;
        CHECK(mv_cbor_skip(&c, &raw, NULL) == 0 && raw.len == len);
        free(e);
        free(b);
}
