/* SPDX-License-Identifier: Apache-2.0 */
/* Evaluator values as wholes: equality, order, text, CBOR. */
#include "rtfs_data.h"
#include <base/arena.h>
#include <math.h>
#include <wire/cbor.h>
#include <wire/text.h>

/* --- equality and order ----------------------------------------------------------------------- */
TEST(values_are_equal_by_type_first_then_by_structure)
{
        struct mv_rtfs *r = evaluator_new();
        CHECK(equal(r, INT(1), INT(1)) == 1 && equal(r, INT(1), FLOAT(1)) == 0);
        CHECK(equal(r, FLOAT(0.0), FLOAT(-0.0)) == 1 && equal(r, FLOAT(NAN), FLOAT(NAN)) == 0);
        CHECK(equal(r, S(r, "a"), S(r, "a")) == 1 && equal(r, S(r, "a"), K(r, "a")) == 0);
        CHECK(equal(r, V(r, INT(1), S(r, "x")), V(r, INT(1), S(r, "x"))) == 1);
        CHECK(equal(r, V(r, INT(1)), L(r, INT(1))) == 0);
        CHECK(equal(r, V(r, INT(1)), V(r, INT(1), NIL)) == 0);
        val nan = V(r, FLOAT(NAN));
        CHECK(equal(r, nan, nan) == 0); /* shared or not */
        CHECK(equal(r, vec_empty(r), vec_builder(r)) == 1);
        CHECK(equal(r, M(r, K(r, "a"), INT(1), INT(2), NIL),
                    M(r, INT(2), NIL, K(r, "a"), INT(1))) == 1);
        CHECK(equal(r, M(r, K(r, "a"), INT(1)), M(r, S(r, "a"), INT(1))) == 0);
        CHECK(equal(r, E(r, E_GENERIC, "m"), E(r, E_GENERIC, "m")) == 1);
        CHECK(equal(r, E(r, E_GENERIC, "m"), E(r, E_GENERIC, "n")) == 0);
        CHECK(equal(r, native(3), native(3)) == 1 && equal(r, native(3), native(4)) == 0);
        val b = map_builder(r), m = map_empty(r);
        for (int i = 0; i < 300; i++) {
                map_add(r, b, INT(i * 7 % 300), INT(i));
                m = map_put(r, m, INT(i * 7 % 300), INT(i));
        }
        CHECK(equal(r, b, m) == 1); /* trees of other shapes */
        CHECK(equal(r, b, map_put(r, m, INT(299), NIL)) == 0);
        evaluator_free(r);
}

static int order(struct mv_rtfs *r, val a, val b)
{
        int c = 99, d = 99;
        CHECK(val_compare(r, a, b, &c) == N_OK);
        CHECK(val_compare(r, b, a, &d) == N_OK);
        CHECK((c > 0) == (d < 0) && (c < 0) == (d > 0));
        return c < 0 ? -1 : c > 0;
}

TEST(sort_order_is_total_over_all_types)
{
        struct mv_rtfs *r = evaluator_new();
        val up[] = { NIL,
                     BOOL(false),
                     BOOL(true),
                     FLOAT(-INFINITY),
                     INT(INT64_MIN),
                     INT(-1),
                     FLOAT(-0.5),
                     INT(0),
                     FLOAT(0.5),
                     INT(1),
                     FLOAT(1.5),
                     INT(2),
                     FLOAT(9007199254740992.0),
                     INT(9007199254740993),
                     INT(INT64_MAX),
                     FLOAT(0x1p63),
                     FLOAT(INFINITY),
                     S(r, ""),
                     S(r, "B"),
                     S(r, "a"),
                     S(r, "aa"),
                     S(r, "\xc3\xa9"),
                     K(r, "a"),
                     K(r, "abcdefghij"),
                     K(r, "b"),
                     symbol_new(r, MV_SLICE("a")),
                     vec_empty(r),
                     V(r, INT(1)),
                     V(r, INT(1), INT(0)),
                     V(r, INT(2)),
                     list_empty(r),
                     L(r, INT(3)),
                     map_empty(r),
                     M(r, INT(10), INT(1)),
                     M(r, INT(9), INT(0)),
                     M(r, K(r, "a"), INT(0)),
                     M(r, S(r, "a"), INT(0)),
                     E(r, E_GENERIC, "a b"),
                     E(r, E_GENERIC, "a"),
                     E(r, E_GENERIC, "ab"),
                     native(0) };
        size_t n = sizeof up / sizeof *up;
        for (size_t i = 0; i < n; i++)
                for (size_t k = 0; k < n; k++)
                        CHECK(order(r, up[i], up[k]) == (i > k) - (i < k));
        CHECK(order(r, FLOAT(NAN), INT(7)) == 0 && order(r, FLOAT(NAN), FLOAT(1)) == 0);
        CHECK(order(r, INT(3), FLOAT(3.0)) == 0 && order(r, native(1), native(2)) == 0);
        CHECK(order(r, FLOAT(-0x1p63), INT(INT64_MIN)) == 0);
        evaluator_free(r);
}

/* The rule of spec 2.4, literally. */
struct rendered {
        char key[32];
        int64_t value;
};
static int rendered_sort(const void *a, const void *b)
{
        return strcmp(((const struct rendered *)a)->key, ((const struct rendered *)b)->key);
}
static uint32_t render(val m, struct rendered *out)
{
        struct map_iter it;
        uint32_t n = 0;
        val k, v;
        for (map_iter(&it, m); map_next(&it, &k, &v); n++) {
                if (k.tag == T_INT)
                        snprintf(out[n].key, sizeof out[n].key, "i:%lld", (long long)k.i);
                else
                        snprintf(out[n].key, sizeof out[n].key,
                                 k.tag == T_STRING ? "s:%.*s" : "k:%.*s",
                                 MV_SARG(k.tag == T_STRING ? string_slice(k) : name_slice(k)));
                out[n].value = v.i;
        }
        qsort(out, n, sizeof *out, rendered_sort);
        return n;
}
static int rendered_order(val a, val b)
{
        static struct rendered ra[64], rb[64];
        uint32_t na = render(a, ra), nb = render(b, rb);
        for (uint32_t i = 0; i < na && i < nb; i++) {
                int c = strcmp(ra[i].key, rb[i].key);
                if (c)
                        return c < 0 ? -1 : 1;
                if (ra[i].value != rb[i].value)
                        return ra[i].value < rb[i].value ? -1 : 1;
        }
        return (na > nb) - (na < nb);
}

static val small_map(struct mv_rtfs *r)
{
        val m = map_empty(r);
        for (uint32_t n = pick(5) ? pick(5) : 30 + pick(25), i = 0; i < n; i++) {
                char text[8];
                uint32_t kind = pick(3);
                snprintf(text, sizeof text, "%u", pick(n < 6 ? 4 : 40));
                val k = kind == 0   ? K(r, text)
                        : kind == 1 ? S(r, text)
                                    : INT((int64_t)pick(23) * pick(12) - 8);
                m = map_put(r, m, k, INT(pick(5) == 0));
        }
        return m;
}

TEST(maps_are_ordered_by_their_rendered_keys)
{
        struct mv_rtfs *r = evaluator_new();
        uint32_t wrong = 0, same = 0;
        for (int i = 0; i < 6000; i++) {
                val a = small_map(r),
                    b = pick(3) ? small_map(r)
                                : map_put(r, a, INT((int64_t)pick(300) - 8), INT(pick(2)));
                int want = rendered_order(a, b);
                wrong += order(r, a, b) != want;
                same += want == 0;
                collect_when_half_full(r);
        }
        CHECK(wrong == 0 && same > 100);
        evaluator_free(r);
}

TEST(nesting_is_bounded_everywhere)
{
        struct mv_rtfs *r = evaluator_new();
        static uint8_t text[1 << 16];
        val fits = nested(r, MV_VALUE_DEPTH_MAX), deep = nested(r, MV_VALUE_DEPTH_MAX + 1), out;
        int c;
        bool too_deep = false;
        struct mv_out o = mv_out(text, sizeof text);
        CHECK(equal(r, fits, nested(r, MV_VALUE_DEPTH_MAX)) == 1);
        CHECK(equal(r, deep, nested(r, MV_VALUE_DEPTH_MAX + 1)) == -1);
        CHECK(val_compare(r, fits, nested(r, MV_VALUE_DEPTH_MAX), &c) == N_OK && c == 0);
        CHECK(val_compare(r, deep, nested(r, MV_VALUE_DEPTH_MAX + 1), &c) == N_ERROR);
        CHECK(print_display(&o, fits, &too_deep) && !too_deep);
        CHECK(!print_readable(&o, deep, &too_deep) && too_deep);
        CHECK(display_string(r, &deep, 1, NULL, true, &out) == N_ERROR);
        o = mv_out(text, sizeof text);
        CHECK(encode_value(&o, fits));
        o = mv_out(text, sizeof text);
        CHECK(!encode_value(&o, deep));
        evaluator_free(r);
}

/* --- text ------------------------------------------------------------------------------------- */
static const char *shown(struct mv_rtfs *r, val v, bool readable)
{
        static char text[2000];
        struct mv_out o = mv_out(text, sizeof text - 1);
        CHECK(readable ? print_readable(&o, v, NULL) : print_display(&o, v, NULL));
        text[o.len] = 0;
        return text;
}

TEST(the_display_form_is_that_of_the_language)
{
        struct mv_rtfs *r = evaluator_new();
        val v = V(r, NIL, BOOL(true), BOOL(false), INT(-7), FLOAT(2.0), FLOAT(0.1), S(r, "a\"b\n"),
                  K(r, "k"), symbol_new(r, MV_SLICE("sym")), L(r, INT(1), list_empty(r)),
                  vec_empty(r), map_empty(r), native(0), E(r, E_GENERIC, "bad"));
        CHECK_STR(shown(r, v, false), "[nil true false -7 2 0.1 \"a\"b\n\" :k sym (1 ()) [] {} "
                                      "#<function> #<error: bad>]");
        CHECK_STR(shown(r, v, true), "[nil true false -7 2.0 0.1 \"a\\\"b\\n\" :k sym (1 ()) [] {} "
                                     "#<function> #<error: \"bad\">]");
        val m = M(r, INT(2), INT(1), INT(-10), INT(2), S(r, "b"), INT(3), S(r, "a"), INT(4),
                  K(r, "z"), NIL, K(r, "y"), NIL);
        CHECK_STR(shown(r, m, false), "{:y nil :z nil \"a\" 4 \"b\" 3 -10 2 2 1}");
        val form = V(r, K(r, "b"), INT(1), K(r, "a"), INT(2));
        form.tag = T_MAPFORM;
        CHECK_STR(shown(r, form, false), "{:b 1 :a 2}");
        evaluator_free(r);
}

TEST(a_joined_text_is_exact_whatever_its_length_and_memory)
{
        struct mv_rtfs *r = evaluator_new();
        val items[40], out = NIL;
        char want[40 * 64] = "";
        for (uint32_t n = 1; n <= 40; n += 13) {
                want[0] = 0;
                for (uint32_t i = 0; i < n; i++) {
                        items[i] = i % 2 ? INT(i) : V(r, S(r, "some text of some length"), INT(i));
                        snprintf(want + strlen(want), sizeof want - strlen(want),
                                 i % 2 ? "%s%u" : "%s[\"some text of some length\" %u]",
                                 i ? ", " : "", i);
                }
                enum native_status s = N_NOMEM;
                for (size_t bytes = 0; s == N_NOMEM; bytes += 16) {
                        leave_memory(r, bytes);
                        s = display_string(r, items, n, ", ", true, &out);
                }
                give_memory(r);
                CHECK(s == N_OK && out.tag == T_STRING);
                CHECK(mv_slice_eq_str(string_slice(out), want));
        }
        items[0] = S(r, "a");
        items[1] = V(r, S(r, "b"));
        CHECK(display_string(r, items, 2, NULL, true, &out) == N_OK &&
              mv_slice_eq_str(string_slice(out), "a[\"b\"]"));
        CHECK(display_string(r, items, 1, NULL, false, &out) == N_OK &&
              mv_slice_eq_str(string_slice(out), "\"a\""));
        CHECK(display_string(r, items, 0, NULL, true, &out) == N_OK && as_string(out)->len == 0);
        evaluator_free(r);
}

/* --- CBOR ------------------------------------------------------------------------------------- */
static val random_key(struct mv_rtfs *r)
{
        static const char letters[] =
                "abcdefghijklmnopqrstuvwxyz0123456789-abcdefghijklmnopqrstuvwxyz";
        struct mv_slice text = { (const uint8_t *)letters + pick(20),
                                 pick(6) ? pick(6) : pick(40) };
        switch (pick(3)) {
        case 0:
                return keyword_new(r, text);
        case 1:
                return string_new(r, text);
        default:
                return INT((int64_t)((uint64_t)pick(1u << 31) << 32 | pick(1u << 31)) >> pick(63));
        }
}

static val random_value(struct mv_rtfs *r, uint32_t depth)
{
        uint32_t n = pick(20) ? pick(5) : pick(70);
        val items[80];
        switch (pick(depth ? 12 : 6)) {
        case 0:
                return pick(2) ? NIL : BOOL(pick(2));
        case 1:
                return FLOAT(pick(2) ? (double)pick(100) / 8 : (double)pick(1u << 30) * 1e10 / 3);
        case 2:
                return symbol_new(r, MV_SLICE("a-symbol"));
        case 3:
        case 4:
        case 5: {
                val k = random_key(r);
                return k.tag == T_INT && pick(2) ? INT(-1 - k.i) : k;
        }
        case 6:
                return error_new(r, pick(2) ? E_DIV_ZERO : E_GENERIC, MV_SLICE("message"),
                                 random_value(r, depth - 1));
        case 7:
        case 8:
                for (uint32_t i = 0; i < n; i++)
                        items[i] = random_value(r, depth - 1);
                return pick(2) ? list_new(r, items, n) : vec_new(r, items, n);
        default: {
                val m = map_empty(r);
                for (uint32_t i = 0; i < n; i++) {
                        val k = random_key(r);
                        m = map_put(r, m, k.tag == T_INT && pick(2) ? INT(-1 - k.i) : k,
                                    random_value(r, depth - 1));
                }
                return m;
        }
        }
}

static uint8_t bytes[1 << 20], bytes_again[1 << 20], tree_mem[8 << 20];

/* Host and guest print one value alike. */
static bool prints_like(val v, const struct mv_value *tree)
{
        static uint8_t a[1 << 20], b[1 << 20];
        struct mv_out shown = mv_out(a, sizeof a), wanted = mv_out(b, sizeof b);
        if (!print_display(&shown, v, NULL) || !mv_print_display(&wanted, tree))
                return false;
        return print_readable(&shown, v, NULL) && mv_print_readable(&wanted, tree) &&
               mv_slice_eq(mv_out_slice(&shown), mv_out_slice(&wanted));
}

/* Is what encode_value writes canonical, and does it come back as the same value? */
static bool round_trip(struct mv_rtfs *r, val v, struct mv_slice *ret)
{
        struct mv_arena a = mv_arena_fixed(tree_mem, sizeof tree_mem);
        struct mv_out o = mv_out(bytes, sizeof bytes),
                      again = mv_out(bytes_again, sizeof bytes_again);
        const struct mv_value *tree;
        struct mv_err err;
        val back;
        if (!encode_value(&o, v))
                return false;
        *ret = mv_out_slice(&o);
        if (mv_value_decode(*ret, &a, &tree, &err) < 0 || !mv_value_encode(&again, tree))
                return false;
        if (!prints_like(v, tree))
                return false;
        if (!mv_slice_eq(*ret, mv_out_slice(&again)))
                return false;
        if (decode_value(r, *ret, &back, &err) != N_OK || equal(r, v, back) != 1)
                return false;
        again = mv_out(bytes_again, sizeof bytes_again);
        return encode_value(&again, back) && mv_slice_eq(*ret, mv_out_slice(&again));
}

TEST(values_have_the_bytes_of_the_same_tree_and_come_back_equal)
{
        struct mv_rtfs *r = evaluator_new();
        uint32_t wrong = 0;
        struct mv_slice s;
        for (int i = 0; i < 3000; i++) {
                wrong += !round_trip(r, random_value(r, 4), &s);
                collect_when_half_full(r);
        }
        CHECK(wrong == 0);
        val m = map_builder(r); /* taller than one node, every group of keys */
        for (int i = 0; i < 3000; i++) {
                val k = random_key(r);
                map_add(r, m, k.tag == T_INT && pick(2) ? INT(-1 - k.i) : k, INT(i));
        }
        CHECK(round_trip(r, m, &s));
        CHECK(round_trip(r, nested(r, MV_VALUE_DEPTH_MAX), &s));
        CHECK(round_trip(r, vec_empty(r), &s) && round_trip(r, list_empty(r), &s) &&
              round_trip(r, map_empty(r), &s));
        evaluator_free(r);
}

static bool tree_accepts(struct mv_slice s)
{
        struct mv_arena a = mv_arena_fixed(tree_mem, sizeof tree_mem);
        const struct mv_value *tree;
        struct mv_err err;
        return mv_value_decode(s, &a, &tree, &err) == 0;
}

TEST(damaged_bytes_are_refused_exactly_when_the_tree_decoder_refuses_them)
{
        struct mv_rtfs *r = evaluator_new();
        uint32_t wrong = 0, accepted = 0;
        for (int i = 0; i < 30000; i++) {
                struct mv_slice s;
                struct mv_err err;
                if (i % 20 == 0 && !round_trip(r, random_value(r, 3), &s))
                        wrong++;
                memcpy(bytes_again, s.p, s.len);
                bytes_again[pick((uint32_t)s.len)] ^= (uint8_t)(1u << pick(8));
                struct mv_slice damaged = { bytes_again,
                                            pick(4) ? s.len : pick((uint32_t)s.len + 1) };
                val v;
                bool ok = decode_value(r, damaged, &v, &err) == N_OK;
                if (!ok && strstr(err.msg, "function"))
                        continue;
                wrong += ok != tree_accepts(damaged);
                accepted += ok;
                collect_when_half_full(r);
        }
        CHECK(wrong == 0 && accepted > 1000);
        evaluator_free(r);
}

static enum native_status decode_hex(struct mv_rtfs *r, const char *hex, val *ret)
{
        uint8_t b[64];
        size_t n = strlen(hex) / 2;
        struct mv_err err;
        for (size_t i = 0; i < n; i++)
                sscanf(hex + 2 * i, "%2hhx", &b[i]);
        return decode_value(r, mv_slice(b, n), ret, &err);
}

TEST(marks_of_functions_and_errors_cross_as_the_wire_says)
{
        struct mv_rtfs *r = evaluator_new();
        struct mv_out o = mv_out(bytes, sizeof bytes);
        CHECK(encode_value(&o, native(5)));
        CHECK(o.len == 4 && memcmp(bytes, "\xd9\xcc\x02\xf6", 4) == 0);
        val v = NIL;
        CHECK(decode_hex(r, "d9cc02f6", &v) == N_ERROR);
        CHECK(decode_hex(r, "d9cc038361586161f6", &v) == N_OK &&
              v.tag == T_ERROR); /* ["X" "a" nil] */
        CHECK(as_error(v)->kind == E_OTHER &&
              mv_slice_eq_str(string_slice(as_error(v)->name), "X"));
        CHECK(decode_hex(r, "d9cc038301026161", &v) == N_ERROR);
        CHECK(decode_hex(r, "a2010101f6", &v) == N_ERROR);   /* a key twice */
        CHECK(decode_hex(r, "a20201016101", &v) == N_ERROR); /* keys out of order */
        CHECK(decode_hex(r, "a1f501", &v) == N_ERROR);       /* a boolean as a key */
        CHECK(decode_hex(r, "01f6", &v) == N_ERROR);         /* left over */
        CHECK(decode_hex(r, "4161", &v) == N_ERROR);         /* byte string */
        CHECK(decode_hex(r, "9affffffff", &v) == N_ERROR);
        CHECK(decode_hex(r, "", &v) == N_ERROR);
        o = mv_out(bytes, sizeof bytes);
        CHECK(!encode_value(&o, symbol_new(r, MV_SLICE(":a")))); /* would come back as a keyword */
        evaluator_free(r);
}

TEST(a_map_literal_that_is_a_form_is_encoded_like_its_map)
{
        struct mv_rtfs *r = evaluator_new();
        for (int i = 0; i < 200; i++) {
                val items[60], m = map_empty(r);
                uint32_t n = pick(30);
                for (uint32_t k = 0; k < n; k++) {
                        items[2 * k] = pick(4) || k == 0 ? random_key(r) : items[2 * pick(k)];
                        items[2 * k + 1] = INT(k);
                        m = map_put(r, m, items[2 * k], items[2 * k + 1]);
                }
                val form = vec_new(r, items, 2 * n);
                form.tag = T_MAPFORM;
                struct mv_out a = mv_out(bytes, sizeof bytes),
                              b = mv_out(bytes_again, sizeof bytes_again);
                CHECK(encode_value(&a, form) && encode_value(&b, m));
                CHECK(mv_slice_eq(mv_out_slice(&a), mv_out_slice(&b)));
        }
        val pattern = V(r, symbol_new(r, MV_SLICE("a")), K(r, "a"), vec_empty(r), K(r, "b"));
        pattern.tag = T_MAPFORM;
        struct mv_out o = mv_out(bytes, sizeof bytes);
        CHECK(!encode_value(&o, pattern));
        evaluator_free(r);
}

TEST(decoding_without_memory_says_so_and_works_when_there_is_some)
{
        struct mv_rtfs *r = evaluator_new();
        struct mv_slice s;
        for (int i = 0; i < 40; i++) {
                val v = random_value(r, 3), back = NIL;
                CHECK(round_trip(r, v, &s));
                enum native_status status = N_NOMEM;
                for (size_t left = 0; status == N_NOMEM; left += 16 + left / 8) {
                        struct mv_err err;
                        leave_memory(r, left);
                        status = decode_value(r, s, &back, &err);
                }
                CHECK(status == N_OK && equal(r, v, back) == 1);
                give_memory(r);
                collect_when_half_full(r);
        }
        evaluator_free(r);
}

TEST(an_output_that_is_too_small_fails_and_is_not_overrun)
{
        struct mv_rtfs *r = evaluator_new();
        struct mv_slice s;
        for (int i = 0; i < 50; i++) {
                val v = random_value(r, 3);
                CHECK(round_trip(r, v, &s));
                for (size_t cap = 0; cap < s.len; cap += 1 + s.len / 50) {
                        uint8_t *small = malloc(cap + 1); /* the sanitizer watches the end */
                        struct mv_out o = mv_out(small, cap);
                        CHECK(!encode_value(&o, v));
                        o = mv_out(small, cap < 3 ? cap : cap / 3);
                        (void)print_display(&o, v, NULL);
                        free(small);
                }
        }
        evaluator_free(r);
}
