/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"
#include <base/arena.h>
#include <base/cur.h>
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
