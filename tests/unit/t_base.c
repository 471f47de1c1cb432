/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"
#include <base/arena.h>
#include <base/cur.h>
#include <base/nearest.h>
#include <base/slice.h>
#include <base/err.h>
#include <inttypes.h>
#include <errno.h>

TEST(a_formatted_text_is_cut_at_the_buffer_and_always_terminated)
{
        char b[8];
        CHECK(mv_fmt(b, sizeof b, "%s", "0123456789") == 7);
        CHECK_STR(b, "0123456");
        mv_fmt(b, 0, "x");
}

TEST(conversions_print_what_printf_prints)
{
        char b[128];
        mv_fmt(b, sizeof b, "%d %u %x %#x %" PRId64 " %" PRIu64 " %zu %02x %.*s %c%%", -5, 7u, 255u,
               16u, INT64_MIN, UINT64_MAX, (size_t)3, 10u, 2, "abc", 'z');
        CHECK_STR(b, "-5 7 ff 0x10 -9223372036854775808 18446744073709551615 3 0a ab z%");
}

TEST(an_error_names_what_failed_and_its_context_in_order)
{
        struct mv_err e;
        CHECK(mv_fail(&e, MV_E_SYS, ENOENT, "open %s", "/x") == -MV_E_SYS);
        CHECK(mv_wrap(&e, "cell %s", "c7") == -MV_E_SYS);
        CHECK_STR(e.msg, "cell c7: open /x: No such file or directory");
        CHECK(e.sys == ENOENT);
}

TEST(every_rejection_of_hostile_bytes_is_counted)
{
        struct mv_err e;
        uint64_t before = mv_hostile_count();
        CHECK(MV_HOSTILE(&e, "frame: length") == -MV_E_HOSTILE);
        CHECK(mv_hostile_count() == before + 1);
}

TEST(a_cursor_that_ran_short_stays_short)
{
        struct mv_cur c = mv_cur(mv_slice("\1\2\3", 3));
        CHECK(mv_get_u16(&c) == 0x0201);
        CHECK(mv_get_u32(&c) == 0);
        CHECK(c.bad);
        CHECK(mv_get_u8(&c) == 0);
        CHECK(!mv_cur_done(&c));
}

TEST(an_output_never_writes_beyond_its_capacity)
{
        uint8_t b[4] = { 9, 9, 9, 9 };
        struct mv_out o = mv_out(b, 3);
        CHECK(mv_put_u16(&o, 0x0102));
        CHECK(!mv_put_u16(&o, 0xffff));
        CHECK(o.overflow && o.len == 2 && b[2] == 9 && b[3] == 9);
        CHECK(!mv_put_u8(&o, 1));
}

TEST(a_full_arena_says_so_and_stays_usable)
{
        uint8_t mem[64];
        struct mv_arena a = mv_arena_fixed(mem, sizeof mem);
        CHECK(mv_new(&a, uint8_t, 40));
        CHECK(!mv_new(&a, uint8_t, 40));
        CHECK(mv_new(&a, uint8_t, 8));
        CHECK(!mv_arena_alloc(&a, SIZE_MAX / 2, 1, 3));
}

TEST(room_at_an_arenas_end_is_taken_as_far_as_it_was_used)
{
        uint8_t first[32];
        struct mv_arena a = mv_arena_grow_behind(first, sizeof first, 4096);
        CHECK(mv_arena_room(&a, 32) == first);
        mv_arena_take(&a, 8);
        CHECK(mv_arena_room(&a, 24) == first + 8);
        uint8_t *more = mv_arena_room(&a, 100); /* a block of malloc */
        CHECK(more && (more < first || more >= first + sizeof first));
        CHECK(!mv_arena_room(&a, 5000));
        mv_arena_done(&a);
}

/* The textbook's whole table. */
static unsigned plain_distance(struct mv_slice a, struct mv_slice b)
{
        unsigned t[16][16];
        for (size_t i = 0; i <= a.len; i++)
                for (size_t j = 0; j <= b.len; j++) {
                        t[i][j] = (unsigned)(i ? i : j);
                        if (!i || !j)
                                continue;
                        unsigned change = t[i - 1][j - 1] + (a.p[i - 1] != b.p[j - 1]);
                        unsigned drop = t[i - 1][j] + 1, add = t[i][j - 1] + 1;
                        t[i][j] = change < drop ? change : drop;
                        t[i][j] = add < t[i][j] ? add : t[i][j];
                }
        return t[a.len][b.len];
}

TEST(a_distance_within_a_bound_is_the_distance_and_beyond_it_is_none)
{
        uint32_t seed = 1;
        for (int k = 0; k < 20000; k++) {
                uint8_t text[2][15];
                struct mv_slice s[2];
                for (int i = 0; i < 2; i++) {
                        s[i] = mv_slice(text[i], (seed >> 20) % 16);
                        for (size_t j = 0; j < s[i].len; j++) {
                                seed = seed * 1664525 + 1013904223;
                                text[i][j] = (uint8_t)('a' + (seed >> 20) % 3);
                        }
                        seed = seed * 1664525 + 1013904223;
                }
                unsigned most = (unsigned)k % 17, d = plain_distance(s[0], s[1]);
                CHECK(mv_edit_distance(s[0], s[1], most) == (d <= most ? d : UINT32_MAX));
        }
}

TEST(a_growing_arena_stops_at_its_ceiling)
{
        struct mv_arena a = mv_arena_grow(100000);
        size_t got = 0;
        while (mv_new(&a, uint8_t, 1000))
                got += 1000;
        CHECK(got >= 80000 && got <= 100000);
        mv_arena_done(&a);
        CHECK(!mv_new(&a, uint8_t, 1));
}
