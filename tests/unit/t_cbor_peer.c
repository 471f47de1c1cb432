/* SPDX-License-Identifier: Apache-2.0 */
/* Our CBOR against an implementation by other hands: libcbor must read what we write, and we
 * what it writes. */
#include "../test.h"
#if !MV_TEST_LIBCBOR

TEST(an_independent_library_reads_and_writes_the_same_bytes)
{
        SKIP("libcbor is not installed");
}

#else
#include <base/arena.h>
#include <base/slice.h>
#include <wire/cbor.h>
#include <cbor.h>
#include <math.h>
#include <stdlib.h>

/* --- random trees ----------------------------------------------------------------------------- */
static uint64_t state = 42;
static uint64_t next_random(void) /* splitmix64 */
{
        uint64_t z = state += 0x9e3779b97f4a7c15;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
}

static uint64_t below(uint64_t n)
{
        return next_random() % n;
}

/* Numbers of every size: a random width, then random bits. */
static int64_t random_int(void)
{
        int64_t v = (int64_t)(next_random() >> (1 + below(63)));
        return below(2) ? v : -1 - v;
}

/* libcbor 0.8 reads subnormal halves right but loses bits when it writes them: such trees are
 * only compared as values. */
static bool subnormal_half_made;
static double note_subnormal_half(double v)
{
        double units = ldexp(v, 24);
        subnormal_half_made |= v != 0 && fabs(v) < ldexp(1, -14) && units == floor(units);
        return v;
}

static double any_float(void)
{
        uint64_t bits = next_random();
        double v;
        memcpy(&v, &bits, sizeof v);
        switch (below(5)) {
        case 0:
                return (double)((int)below(4096) - 2048) / 16;
        case 1:
                return (double)(float)ldexp((double)(bits & 0xffffff), (int)below(200) - 140);
        case 2:
                return ldexp(1 + (double)below(1024), -(int)below(25));
        case 3:
                return below(2) ? INFINITY : -INFINITY;
        default:
                return isnan(v) ? NAN : v;
        }
}

static double random_float(void)
{
        return note_subnormal_half(any_float());
}

static struct mv_slice random_text(struct mv_arena *a)
{
        static const char *const pieces[] = { "a", "Z",  ":",   "é",         "日",
                                              "😀", "\n", "key", "0123456789" };
        uint8_t *p = mv_new(a, uint8_t, 300);
        struct mv_out o = mv_out(p, p ? 300 : 0);
        for (uint64_t n = below(below(4) ? 4 : 30); n > 0; n--)
                mv_put_str(&o, pieces[below(9)]);
        return mv_out_slice(&o);
}

static struct mv_value random_value(struct mv_arena *a, int depth);

static struct mv_value random_text_of(enum mv_kind kind, struct mv_arena *a)
{
        struct mv_value v = { .kind = kind, .text = random_text(a) };
        if (kind == MV_SYMBOL && v.text.len && v.text.p[0] == ':')
                v.text.p++, v.text.len--;
        if (kind == MV_SYMBOL && v.text.len && v.text.p[0] == ':')
                v.text.len = 0;
        return v;
}

static struct mv_value random_key(struct mv_arena *a)
{
        uint64_t k = below(3);
        return k == 0 ? (struct mv_value){ .kind = MV_INT, .integer = random_int() }
                      : random_text_of(k == 1 ? MV_STRING : MV_KEYWORD, a);
}

static struct mv_value random_map(struct mv_arena *a, int depth)
{
        uint32_t count = (uint32_t)below(30), kept = 0;
        struct mv_entry *e = mv_new(a, struct mv_entry, count + 1);
        for (uint32_t i = 0; e && i < count; i++) {
                e[kept] = (struct mv_entry){ random_key(a), random_value(a, depth + 1) };
                bool twice = false;
                for (uint32_t k = 0; k < kept; k++)
                        twice |= mv_key_cmp(&e[k].key, &e[kept].key) == 0;
                kept += !twice;
        }
        return (struct mv_value){ .kind = MV_MAP, .count = kept, .entries = e };
}

static struct mv_value random_items(enum mv_kind kind, struct mv_arena *a, int depth)
{
        uint32_t count = kind == MV_ERROR ? 3 : (uint32_t)below(30);
        struct mv_value *items = mv_new(a, struct mv_value, count + 1);
        for (uint32_t i = 0; items && i < count; i++)
                items[i] = kind == MV_ERROR && i < 2 ? random_text_of(MV_STRING, a)
                                                     : random_value(a, depth + 1);
        return (struct mv_value){ .kind = kind, .count = items ? count : 0, .items = items };
}

static struct mv_value random_value(struct mv_arena *a, int depth)
{
        enum mv_kind kind = (enum mv_kind)below(depth < 4 ? MV_KIND_MAX_ : MV_VECTOR);
        switch (kind) {
        case MV_BOOL:
                return (struct mv_value){ .kind = MV_BOOL, .boolean = below(2) };
        case MV_INT:
                return (struct mv_value){ .kind = MV_INT, .integer = random_int() };
        case MV_FLOAT:
                return (struct mv_value){ .kind = MV_FLOAT, .real = random_float() };
        case MV_STRING:
        case MV_KEYWORD:
        case MV_SYMBOL:
                return random_text_of(kind, a);
        case MV_VECTOR:
        case MV_LIST:
        case MV_ERROR:
                return random_items(kind, a, depth);
        case MV_MAP:
                return random_map(a, depth);
        default:
                return (struct mv_value){ .kind = kind };
        }
}

/* --- comparison ------------------------------------------------------------------------------- */
static bool agrees(cbor_item_t *theirs, const struct mv_value *ours);

static bool int_agrees(cbor_item_t *theirs, int64_t v)
{
        uint64_t argument = v < 0 ? (uint64_t)(-1 - v) : (uint64_t)v;
        cbor_int_width least = argument <= 0xff          ? CBOR_INT_8
                               : argument <= 0xffff      ? CBOR_INT_16
                               : argument <= 0xffffffffu ? CBOR_INT_32
                                                         : CBOR_INT_64;
        bool sign = v < 0 ? cbor_isa_negint(theirs) : cbor_isa_uint(theirs);
        return sign && cbor_get_int(theirs) == argument && cbor_int_get_width(theirs) == least;
}

static bool float_agrees(cbor_item_t *theirs, double v)
{
        if (!cbor_isa_float_ctrl(theirs) || cbor_float_ctrl_is_ctrl(theirs))
                return false;
        double read = cbor_float_get_float(theirs);
        if (isnan(v))
                return isnan(read) && cbor_float_get_width(theirs) == CBOR_FLOAT_16;
        bool single_enough = (double)(float)v == v;
        return read == v && signbit(read) == signbit(v) &&
               (cbor_float_get_width(theirs) < CBOR_FLOAT_64) == single_enough;
}

static bool text_agrees(cbor_item_t *theirs, const char *prefix, struct mv_slice s)
{
        size_t n = strlen(prefix);
        return cbor_isa_string(theirs) && cbor_string_is_definite(theirs) &&
               cbor_string_length(theirs) == n + s.len &&
               memcmp(cbor_string_handle(theirs), prefix, n) == 0 &&
               (s.len == 0 || memcmp(cbor_string_handle(theirs) + n, s.p, s.len) == 0);
}

static bool array_agrees(cbor_item_t *theirs, const struct mv_value *ours)
{
        if (!cbor_isa_array(theirs) || !cbor_array_is_definite(theirs) ||
            cbor_array_size(theirs) != ours->count)
                return false;
        for (uint32_t i = 0; i < ours->count; i++)
                if (!agrees(cbor_array_handle(theirs)[i], &ours->items[i]))
                        return false;
        return true;
}

static bool tag_agrees(cbor_item_t *theirs, uint64_t tag, const char *prefix,
                       const struct mv_value *ours)
{
        if (!cbor_isa_tag(theirs) || cbor_tag_value(theirs) != tag)
                return false;
        cbor_item_t *inner = cbor_tag_item(theirs);
        bool ok = prefix                   ? text_agrees(inner, prefix, ours->text)
                  : tag == MV_TAG_FUNCTION ? cbor_is_null(inner)
                                           : array_agrees(inner, ours);
        cbor_decref(&inner);
        return ok;
}

static bool map_agrees(cbor_item_t *theirs, const struct mv_value *ours)
{
        if (!cbor_isa_map(theirs) || !cbor_map_is_definite(theirs) ||
            cbor_map_size(theirs) != ours->count)
                return false;
        uint32_t found = 0;
        for (size_t i = 0; i < ours->count; i++) {
                struct cbor_pair p = cbor_map_handle(theirs)[i];
                for (uint32_t k = 0; k < ours->count; k++)
                        if (agrees(p.key, &ours->entries[k].key))
                                found += agrees(p.value, &ours->entries[k].value);
        }
        return found == ours->count;
}

static bool agrees(cbor_item_t *theirs, const struct mv_value *ours)
{
        switch (ours->kind) {
        case MV_NIL:
                return cbor_is_null(theirs);
        case MV_BOOL:
                return cbor_is_bool(theirs) && cbor_get_bool(theirs) == ours->boolean;
        case MV_INT:
                return int_agrees(theirs, ours->integer);
        case MV_FLOAT:
                return float_agrees(theirs, ours->real);
        case MV_STRING:
                return text_agrees(theirs, "", ours->text);
        case MV_KEYWORD:
                return tag_agrees(theirs, MV_TAG_IDENTIFIER, ":", ours);
        case MV_SYMBOL:
                return tag_agrees(theirs, MV_TAG_IDENTIFIER, "", ours);
        case MV_VECTOR:
                return array_agrees(theirs, ours);
        case MV_LIST:
                return tag_agrees(theirs, MV_TAG_LIST, NULL, ours);
        case MV_FUNCTION:
                return tag_agrees(theirs, MV_TAG_FUNCTION, NULL, ours);
        case MV_ERROR:
                return tag_agrees(theirs, MV_TAG_ERROR, NULL, ours);
        case MV_MAP:
                return map_agrees(theirs, ours);
        case MV_KIND_MAX_:
                break;
        }
        return false;
}

/* What it writes of what it read of ours: the same bytes. */
static bool writes_the_same(cbor_item_t *theirs, struct mv_slice bytes)
{
        unsigned char *buf = NULL;
        size_t cap;
        size_t n = cbor_serialize_alloc(theirs, &buf, &cap);
        bool same = n == bytes.len && memcmp(buf, bytes.p, n) == 0;
        free(buf);
        return same;
}

TEST(an_independent_library_reads_and_writes_the_same_bytes)
{
        static uint8_t buf[4 << 20];
        int same_bytes = 0;
        for (int i = 0; i < 400; i++) {
                struct mv_arena a = mv_arena_grow(256 << 20);
                subnormal_half_made = false;
                struct mv_value v = random_value(&a, 0);
                struct mv_out o = mv_out(buf, sizeof buf);
                struct cbor_load_result result;
                REQUIRE(mv_value_encode(&o, &v));
                cbor_item_t *theirs = cbor_load(buf, o.len, &result);
                REQUIRE(theirs && result.read == o.len);
                CHECK(agrees(theirs, &v));
                CHECK(subnormal_half_made || writes_the_same(theirs, mv_out_slice(&o)));
                same_bytes += !subnormal_half_made && o.len > 20;
                const struct mv_value *back;
                CHECK(mv_value_decode(mv_out_slice(&o), &a, &back, NULL) == 0 &&
                      agrees(theirs, back));
                cbor_decref(&theirs);
                mv_arena_done(&a);
        }
        CHECK(same_bytes > 50);
}

/* All halves, and singles around them: the same number, or refused because a half would have
 * done. */
TEST(every_half_float_is_the_same_number_to_both)
{
        for (uint32_t bits = 0; bits <= 0xffff; bits++) {
                uint8_t in[3] = { 0xf9, (uint8_t)(bits >> 8), (uint8_t)bits };
                struct mv_cur c = mv_cur(mv_slice(in, 3));
                struct mv_cbor_item item;
                struct cbor_load_result result;
                cbor_item_t *theirs = cbor_load(in, 3, &result);
                REQUIRE(theirs);
                double v = cbor_float_get_float(theirs);
                int r = mv_cbor_next(&c, &item, NULL);
                CHECK((r == 0) == (!isnan(v) || bits == 0x7e00));
                CHECK(r < 0 || isnan(v) || memcmp(&item.real, &v, sizeof v) == 0);
                cbor_decref(&theirs);
                if (isnan(v))
                        continue;
                float f = (float)v;
                uint32_t single;
                memcpy(&single, &f, sizeof f);
                for (int step = -1; step <= 1; step++) {
                        uint32_t near = single + (uint32_t)step;
                        uint8_t longer[5] = { 0xfa, (uint8_t)(near >> 24), (uint8_t)(near >> 16),
                                              (uint8_t)(near >> 8), (uint8_t)near };
                        bool nan = (near & 0x7fffffff) > 0x7f800000;
                        c = mv_cur(mv_slice(longer, 5));
                        CHECK((mv_cbor_next(&c, &item, NULL) == 0) == (step != 0 && !nan));
                }
        }
}
#endif
