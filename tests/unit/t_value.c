/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"
#include <base/arena.h>
#include <base/limits.h>
#include <base/slice.h>
#include <wire/cbor.h>
#include <math.h>
#include <stdlib.h>

#define TEXT(k, s) ((struct mv_value){ .kind = (k), .text = MV_SLICE(s) })
#define INT(i)     ((struct mv_value){ .kind = MV_INT, .integer = (i) })
#define FLOAT(f)   ((struct mv_value){ .kind = MV_FLOAT, .real = (f) })
#define NIL        ((struct mv_value){ .kind = MV_NIL })

TEST(kind_names_are_the_type_names_of_the_language) /* REQ-VAL-02 */
{
        CHECK_STR(mv_kind_name(MV_NIL), "nil");
        CHECK_STR(mv_kind_name(MV_INT), "integer");
        CHECK_STR(mv_kind_name(MV_ERROR), "error");
        CHECK_STR(mv_kind_name(MV_KIND_MAX_), "unknown");
}

TEST(an_accessor_on_another_kind_says_absent_and_leaves_its_output_alone) /* REQ-VAL-07 */
{
        struct mv_value s = TEXT(MV_STRING, "x");
        int64_t i = 42;
        bool b = true;
        double d = 1.5;
        struct mv_slice t = MV_SLICE("kept");
        CHECK(!mv_as_int(&s, &i) && !mv_as_int(NULL, &i) && i == 42);
        CHECK(!mv_as_bool(&s, &b) && !mv_as_bool(NULL, &b) && b);
        CHECK(!mv_as_float(&s, &d) && !mv_as_float(NULL, &d) && d == 1.5);
        CHECK(!mv_as_text(&INT(1), &t) && !mv_as_text(NULL, &t) && t.len == 4);
        CHECK(!mv_map_get(&s, "x") && !mv_map_get(NULL, "x") && !mv_seq_at(&s, 0) &&
              !mv_seq_at(NULL, 0));
        CHECK(mv_as_float(&INT(3), &d) && d == 3.0);
}

TEST(a_map_is_asked_for_its_keyword_before_its_string) /* REQ-VAL-03 */
{
        struct mv_entry e[] = { { TEXT(MV_KEYWORD, "a"), INT(1) },
                                { TEXT(MV_STRING, "a"), INT(2) },
                                { TEXT(MV_STRING, "b"), INT(3) } };
        struct mv_value m = { .kind = MV_MAP, .count = 3, .entries = e };
        int64_t i = 0;
        CHECK(mv_as_int(mv_map_get(&m, "a"), &i) && i == 1);
        CHECK(mv_as_int(mv_map_get(&m, "b"), &i) && i == 3);
        CHECK(!mv_map_get(&m, "c") && !mv_map_get(&m, ""));
}

TEST(equality_is_by_type_first_and_follows_ieee) /* spec 2.3 */
{
        struct mv_value items[] = { INT(1), TEXT(MV_STRING, "a") };
        struct mv_value v = { .kind = MV_VECTOR, .count = 2, .items = items };
        struct mv_value l = { .kind = MV_LIST, .count = 2, .items = items };
        struct mv_value nan = FLOAT(NAN);
        CHECK(!mv_value_equal(&INT(1), &FLOAT(1)));
        CHECK(!mv_value_equal(&TEXT(MV_STRING, "a"), &TEXT(MV_KEYWORD, "a")));
        CHECK(mv_value_equal(&FLOAT(0.0), &FLOAT(-0.0)));
        CHECK(!mv_value_equal(&nan, &nan));
        CHECK(mv_value_equal(&v, &v) && !mv_value_equal(&v, &l));
        CHECK(!mv_value_equal(NULL, &v) && !mv_value_equal(&v, NULL));
}

TEST(errors_are_equal_when_their_messages_are)
{
        struct mv_value a[] = { TEXT(MV_STRING, "Generic"), TEXT(MV_STRING, "m"), NIL };
        struct mv_value b[] = { TEXT(MV_STRING, "TypeError"), TEXT(MV_STRING, "m"), INT(1) };
        struct mv_value c[] = { TEXT(MV_STRING, "Generic"), TEXT(MV_STRING, "n"), NIL };
        struct mv_value ea = { .kind = MV_ERROR, .count = 3, .items = a }, eb = ea, ec = ea;
        eb.items = b;
        ec.items = c;
        CHECK(mv_value_equal(&ea, &eb) && !mv_value_equal(&ea, &ec));
}

TEST(keys_sort_as_keywords_then_strings_then_integers) /* spec 2.6 */
{
        struct mv_entry e[] = { { INT(10), NIL },
                                { INT(-1), NIL },
                                { TEXT(MV_STRING, "b"), NIL },
                                { TEXT(MV_STRING, "aa"), NIL },
                                { TEXT(MV_KEYWORD, "z"), NIL },
                                { TEXT(MV_KEYWORD, "aa"), NIL } };
        REQUIRE(mv_entries_sort(e, 6));
        CHECK(e[0].key.kind == MV_KEYWORD && mv_slice_eq_str(e[0].key.text, "aa"));
        CHECK(mv_slice_eq_str(e[1].key.text, "z"));
        CHECK(e[2].key.kind == MV_STRING && mv_slice_eq_str(e[2].key.text, "aa"));
        CHECK(mv_slice_eq_str(e[3].key.text, "b"));
        CHECK(e[4].key.integer == -1 && e[5].key.integer == 10);
}

TEST(equal_keys_and_keys_of_a_wrong_kind_cannot_be_sorted)
{
        struct mv_entry twice[] = { { INT(1), NIL }, { INT(2), NIL }, { INT(1), NIL } };
        struct mv_entry wrong[] = { { FLOAT(1), NIL } };
        CHECK(!mv_entries_sort(twice, 3));
        CHECK(!mv_entries_sort(wrong, 1));
        CHECK(mv_entries_sort(NULL, 0));
}

TEST(many_keys_in_a_bad_order_are_sorted)
{
        enum { N = 5000 };
        static struct mv_entry e[N];
        for (int i = 0; i < N; i++)
                e[i].key = INT(i * 7919 % N - N / 2);
        REQUIRE(mv_entries_sort(e, N));
        for (int i = 0; i < N; i++)
                CHECK(e[i].key.integer == i - N / 2);
}

TEST(a_copy_owns_its_text_and_puts_its_keys_in_order)
{
        char name[] = "name";
        struct mv_value key = { .kind = MV_STRING, .text = { (uint8_t *)name, 4 } };
        struct mv_entry e[] = { { INT(1), TEXT(MV_STRING, "") }, { key, key } };
        struct mv_value m = { .kind = MV_MAP, .count = 2, .entries = e };
        struct mv_value v = { .kind = MV_VECTOR, .count = 1, .items = &m };
        struct mv_arena a = mv_arena_grow(1 << 20);
        const struct mv_value *copy = mv_value_copy(&v, &a);
        REQUIRE(copy);
        name[0] = 'X';
        struct mv_slice s;
        const struct mv_value *cm = mv_seq_at(copy, 0);
        CHECK(cm->entries[0].key.kind == MV_STRING && cm->entries[1].key.kind == MV_INT);
        CHECK(mv_as_text(mv_map_get(cm, "name"), &s) && mv_slice_eq_str(s, "name"));
        mv_arena_done(&a);
}

TEST(a_copy_into_a_full_arena_is_null)
{
        uint8_t mem[100];
        struct mv_value items[] = { TEXT(MV_STRING, "0123456789012345678901234567890123456789"),
                                    NIL, NIL };
        struct mv_value v = { .kind = MV_VECTOR, .count = 3, .items = items };
        for (size_t room = 0; room < sizeof mem; room++) {
                struct mv_arena a = mv_arena_fixed(mem, room);
                CHECK(!mv_value_copy(&v, &a));
        }
}

TEST(walkers_stop_at_the_depth_limit) /* REQ-VAL-13 */
{
        static struct mv_value deep[MV_VALUE_DEPTH_MAX + 2];
        static uint8_t bytes[4096];
        struct mv_arena a = mv_arena_grow(1 << 20);
        for (int i = 0; i <= MV_VALUE_DEPTH_MAX; i++)
                deep[i] = (struct mv_value){ .kind = MV_VECTOR, .count = 1, .items = &deep[i + 1] };
        struct mv_out o = mv_out(bytes, sizeof bytes);
        CHECK(mv_value_copy(&deep[1], &a) && mv_value_equal(&deep[1], &deep[1]) &&
              mv_value_encode(&o, &deep[1]));
        CHECK(!mv_value_copy(&deep[0], &a) && !mv_value_equal(&deep[0], &deep[0]));
        CHECK(!mv_value_encode(&o, &deep[0]));
        mv_arena_done(&a);
}
