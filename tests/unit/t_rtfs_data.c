/* SPDX-License-Identifier: Apache-2.0 */
/* Vectors, maps, names, strings and lists of the evaluator against plain arrays, with and without memory. */
#include "../test.h"
#include <base/arena.h>
#include <base/limits.h>
#include <base/slice.h>
#include <math.h>
#include <rtfs/vm.h>
#include <stdlib.h>
#include <wire/cbor.h>

/* --- fixture ---------------------------------------------------------------------------------------------------- */
#define HEAP_BYTES ((size_t)64 << 20)
#define ROOTS 64u

static struct mv_rtfs *evaluator_new(void)
{
        struct mv_rtfs *r = calloc(1, sizeof *r);
        r->heap.start = r->heap.top = r->heap.image_top = r->heap.peak = aligned_alloc(16, HEAP_BYTES);
        r->heap.limit = r->heap.end = r->heap.start + HEAP_BYTES;
        r->buckets = calloc(NAME_BUCKETS, sizeof *r->buckets);
        r->marks_size = 4096;
        r->marks = calloc(r->marks_size, sizeof *r->marks);
        r->stack_size = r->stack_top = ROOTS;
        r->stack = calloc(r->stack_size, sizeof *r->stack);
        if (!make_empties(r))
                abort();
        return r;
}

static void evaluator_free(struct mv_rtfs *r)
{
        free(r->heap.start);
        free(r->buckets);
        free(r->marks);
        free(r->stack);
        free(r);
}

/* Leave `bytes` of memory; give_memory takes the limit away again. */
static void leave_memory(struct mv_rtfs *r, size_t bytes)
{
        r->heap.limit = r->heap.top + bytes;
}
static void give_memory(struct mv_rtfs *r)
{
        r->heap.limit = r->heap.end;
}
static void collect(struct mv_rtfs *r)
{
        CHECK(heap_collect(r, 0));
        give_memory(r);
}
static void collect_when_half_full(struct mv_rtfs *r)
{
        if ((size_t)(r->heap.top - r->heap.start) > HEAP_BYTES / 2)
                collect(r);
}

static uint64_t seed = 88172645463325252u;
static uint32_t pick(uint32_t below)
{
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        return (uint32_t)((seed >> 16) % below);
}

/* --- vectors ---------------------------------------------------------------------------------------------------- */
struct model {
        int64_t *item;
        uint32_t count;
};

static bool vector_is(val v, const struct model *m)
{
        if (vec_count(v) != m->count)
                return false;
        const val *items;
        for (uint32_t i = 0, n; i < m->count; i += n) {
                n = vec_chunk(v, i, &items);
                if (n == 0 || n > 32)
                        return false;
                for (uint32_t k = 0; k < n; k++)
                        if (items[k].tag != T_INT || items[k].i != m->item[i + k])
                                return false;
        }
        for (uint32_t k = 0; m->count && k < 16; k++) {
                uint32_t i = pick(m->count);
                if (vec_at(v, i).i != m->item[i])
                        return false;
        }
        return true;
}

/* `have` items, room for `count`; the items may be m's own. */
static void model_set(struct model *m, const int64_t *items, uint32_t have, uint32_t count)
{
        int64_t *fresh = calloc(count + 1u, sizeof *fresh);
        memcpy(fresh, items, have * sizeof *fresh);
        free(m->item);
        m->item = fresh;
        m->count = count;
}

/* One step: version `from` of ROOTS kept ones gives version `to`. */
static void vector_step(struct mv_rtfs *r, struct model *models, uint32_t from, uint32_t to)
{
        const struct model *old = &models[from];
        struct model *m = &models[to];
        val v = r->stack[from], x = INT((int64_t)pick(1u << 30));
        uint32_t kind = pick(1000), count = old->count, at = count ? pick(count) : 0;
        if (kind < 700 || count == 0) {
                r->stack[to] = vec_conj(r, v, x);
                model_set(m, old->item, count, count + 1);
                m->item[count] = x.i;
        } else if (kind < 997) {
                r->stack[to] = vec_set(r, v, at, x);
                model_set(m, old->item, count, count);
                m->item[at] = x.i;
        } else {
                uint32_t end = at + pick(count - at + 1);
                r->stack[to] = vec_slice(r, v, at, end);
                model_set(m, old->item + at, end - at, end - at);
        }
}

TEST(versions_of_vectors_never_disturb_each_other)
{
        struct mv_rtfs *r = evaluator_new();
        struct model models[ROOTS] = { 0 };
        uint32_t wrong = 0;
        for (uint32_t i = 0; i < ROOTS; i++) {
                models[i].item = calloc(1, sizeof(int64_t));
                r->stack[i] = vec_empty(r);
        }
        for (uint32_t step = 0; step < 100000; step++) {
                uint32_t from = pick(8) ? pick(4) : pick(ROOTS), to = pick(2) ? from : pick(ROOTS);
                vector_step(r, models, from, to);
                if (step % 1000 == 0)
                        for (uint32_t i = 0; i < ROOTS; i++)
                                wrong += !vector_is(r->stack[i], &models[i]);
                collect_when_half_full(r);
        }
        for (uint32_t i = 0; i < ROOTS; i++) {
                wrong += !vector_is(r->stack[i], &models[i]);
                free(models[i].item);
        }
        CHECK(wrong == 0);
        evaluator_free(r);
}

TEST(a_vector_of_a_hundred_thousand_items_survives_growing_from_every_level)
{
        struct mv_rtfs *r = evaluator_new();
        struct model m = { malloc(120000 * sizeof(int64_t)), 0 };
        r->stack[0] = vec_empty(r);
        while (m.count < 100000) {
                if (m.count % 1057 == 0)
                        r->stack[1] = r->stack[0]; /* an older version that will grow apart */
                r->stack[0] = vec_conj(r, r->stack[0], INT(m.count * 7));
                m.item[m.count] = m.count * 7;
                m.count++;
                collect_when_half_full(r);
        }
        CHECK(vector_is(r->stack[0], &m));
        uint32_t older = vec_count(r->stack[1]);
        val b = r->stack[1];
        for (uint32_t i = 0; i < 5000; i++)
                b = vec_conj(r, b, INT(-1));
        CHECK(vector_is(r->stack[0], &m));
        CHECK(vec_count(b) == older + 5000 && vec_at(b, older).i == -1 && vec_at(b, older - 1).i == (older - 1) * 7);
        collect(r);
        CHECK(vector_is(r->stack[0], &m));
        free(m.item);
        evaluator_free(r);
}

TEST(built_copied_and_sliced_vectors_have_the_same_items)
{
        struct mv_rtfs *r = evaluator_new();
        static val items[5000];
        static int64_t numbers[5000];
        for (uint32_t i = 0; i < 5000; i++)
                items[i] = INT(numbers[i] = i);
        uint32_t sizes[] = { 0, 1, 4, 31, 32, 33, 63, 64, 65, 1023, 1024, 1025, 1055, 1056, 1057, 1088, 5000 };
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
                struct model m = { numbers, sizes[k] };
                val b = vec_builder(r), v = vec_new(r, items, sizes[k]);
                for (uint32_t i = 0; i < sizes[k]; i++)
                        CHECK(vec_push(r, b, items[i]));
                CHECK(vector_is(b, &m));
                CHECK(vector_is(v, &m));
                for (uint32_t at = 0; at <= sizes[k]; at += 1 + sizes[k] / 7) {
                        struct model part = { numbers + at, sizes[k] - at };
                        CHECK(vector_is(vec_slice(r, v, at, sizes[k]), &part));
                }
                m.count = 0;
                CHECK(vector_is(vec_slice(r, v, sizes[k], sizes[k]), &m));
        }
        evaluator_free(r);
}

TEST(a_vector_of_the_image_is_never_written_to)
{
        struct mv_rtfs *r = evaluator_new();
        val v = vec_conj(r, vec_empty(r), INT(1)); /* its tail has room for three more */
        r->heap.image_top = r->heap.top;
        val w = vec_conj(r, v, INT(2));
        CHECK(as_vec(v)->tail->h.used == 1);
        CHECK(as_vec(w)->tail != as_vec(v)->tail);
        CHECK(vec_at(w, 1).i == 2);
        val x = vec_conj(r, w, INT(3)); /* the program's own tail is */
        CHECK(as_vec(x)->tail == as_vec(w)->tail);
        evaluator_free(r);
}

TEST(a_vector_that_runs_out_of_memory_is_as_it_was)
{
        struct mv_rtfs *r = evaluator_new();
        static int64_t numbers[1200];
        struct model m = { numbers, 0 };
        val v = vec_empty(r), b = vec_builder(r);
        while (m.count < 1190) {
                val longer = NOMEM_VAL;
                for (size_t bytes = 0; nomem(longer); bytes += 16) {
                        leave_memory(r, bytes);
                        longer = vec_conj(r, v, INT(m.count));
                        if (m.count)
                                CHECK(nomem(vec_set(r, v, m.count / 2, INT(-5))) || bytes > 48);
                        CHECK(bytes < 10000);
                }
                CHECK(m.count % 32 || vector_is(v, &m));
                for (size_t bytes = 0; leave_memory(r, bytes), !vec_push(r, b, INT(m.count)); bytes += 16)
                        CHECK(vec_count(b) == m.count);
                numbers[m.count] = m.count;
                m.count++;
                v = longer;
        }
        CHECK(vector_is(v, &m));
        CHECK(vector_is(b, &m));
        leave_memory(r, 3000);
        CHECK(nomem(vec_slice(r, v, 1, 1100)));
        CHECK(vector_is(v, &m));
        evaluator_free(r);
}

/* --- maps ------------------------------------------------------------------------------------------------------- */
#define KEYS 3000u
struct map_model { /* value of key number i, or -1; keys[] is in canonical order */
        int64_t value[KEYS];
        uint32_t count;
};
static val *keys; /* on the side: rooted in a vector */

static int key_sort(const void *a, const void *b)
{
        return key_cmp(*(const val *)a, *(const val *)b);
}

static void make_keys(struct mv_rtfs *r)
{
        keys = calloc(KEYS, sizeof *keys);
        for (uint32_t i = 0; i < KEYS; i++) {
                char text[40];
                static const char *const stem[] = { "", "k", "key-with-a-long-name-", "k\xc3\xa9" };
                int n = snprintf(text, sizeof text, "%s%u", stem[pick(4)], i);
                if (i % 3 == 0)
                        keys[i] = keyword_new(r, mv_slice(text, (size_t)n));
                else if (i % 3 == 1)
                        keys[i] = string_new(r, mv_slice(text, (size_t)n));
                else
                        keys[i] = INT((int64_t)i * (pick(2) ? 1 : -1) * 1000003);
        }
        qsort(keys, KEYS, sizeof *keys, key_sort);
        r->heap.image_top = r->heap.top; /* the test holds them: they must not move */
}

static bool map_is(val map, const struct map_model *m)
{
        struct map_iter it;
        val k, v;
        uint32_t i = 0, seen = 0;
        if (map_count(map) != m->count)
                return false;
        map_iter(&it, map);
        for (; map_next(&it, &k, &v); i++, seen++) {
                while (i < KEYS && m->value[i] < 0)
                        i++;
                if (i >= KEYS || key_cmp(k, keys[i]) != 0 || v.i != m->value[i])
                        return false;
        }
        return seen == m->count && !map_next(&it, &k, &v);
}

static bool map_has(val map, const struct map_model *m, uint32_t at)
{
        val v = NIL;
        bool found = map_get(map, keys[at], &v);
        return found ? v.i == m->value[at] : m->value[at] < 0 && v.tag == T_NIL;
}

static void map_step(struct mv_rtfs *r, struct map_model *models, uint32_t from, uint32_t to, uint32_t put_percent)
{
        models[to] = models[from];
        struct map_model *m = &models[to];
        uint32_t at = pick(4) ? pick(KEYS) : pick(40);
        if (pick(100) < put_percent) {
                int64_t x = pick(1u << 30);
                r->stack[to] = map_put(r, r->stack[from], keys[at], INT(x));
                m->count += m->value[at] < 0;
                m->value[at] = x;
        } else {
                r->stack[to] = map_remove(r, r->stack[from], keys[at]);
                m->count -= m->value[at] >= 0;
                m->value[at] = -1;
        }
}

#define MAPS 6u
static void maps_start(struct mv_rtfs *r, struct map_model *models)
{
        make_keys(r);
        for (uint32_t i = 0; i < MAPS; i++) {
                memset(models[i].value, 0xff, sizeof models[i].value);
                models[i].count = 0;
                r->stack[i] = map_empty(r);
        }
}

TEST(maps_hold_what_a_sorted_array_holds_in_its_order)
{
        struct mv_rtfs *r = evaluator_new();
        static struct map_model models[MAPS];
        uint32_t wrong = 0;
        maps_start(r, models);
        for (uint32_t step = 0; step < 100000; step++) {
                uint32_t from = pick(64) ? pick(2) : pick(MAPS), to = pick(64) ? from : pick(MAPS);
                map_step(r, models, from, to, step / 20000 % 2 ? 15 : 75); /* grow, shrink, grow, shrink, grow */
                wrong += !map_has(r->stack[from], &models[from], pick(KEYS));
                for (uint32_t i = 0; step % 1000 == 0 && i < MAPS; i++)
                        wrong += !map_is(r->stack[i], &models[i]);
                collect_when_half_full(r);
        }
        for (uint32_t i = 0; i < MAPS; i++)
                wrong += !map_is(r->stack[i], &models[i]);
        CHECK(wrong == 0);
        free(keys);
        evaluator_free(r);
}

TEST(removing_every_key_in_any_order_leaves_the_empty_map)
{
        struct mv_rtfs *r = evaluator_new();
        static struct map_model models[MAPS];
        maps_start(r, models);
        struct map_model *m = &models[0];
        for (uint32_t i = 0; i < KEYS; i++) {
                r->stack[0] = map_put(r, r->stack[0], keys[i], INT(i));
                m->value[i] = i;
                m->count++;
                collect_when_half_full(r);
        }
        CHECK(map_is(r->stack[0], m));
        r->stack[1] = r->stack[0];
        for (uint32_t i = 0, at = 0; i < KEYS; i++, at = (at + 1009) % KEYS) {
                r->stack[1] = map_remove(r, r->stack[1], keys[at]);
                collect_when_half_full(r);
        }
        CHECK(r->stack[1].o == map_empty(r).o);
        CHECK(map_is(r->stack[0], m));
        for (uint32_t i = 0; i < KEYS; i++)
                CHECK(map_has(r->stack[0], m, i));
        free(keys);
        evaluator_free(r);
}

TEST(a_built_map_equals_one_put_together)
{
        struct mv_rtfs *r = evaluator_new();
        static struct map_model models[MAPS];
        uint32_t wrong = 0;
        maps_start(r, models);
        for (uint32_t round = 0; round < 4; round++) { /* ascending, descending, random, random with repeats */
                struct map_model *m = &models[round];
                val b = map_builder(r);
                for (uint32_t i = 0; i < KEYS; i++) {
                        uint32_t at = round == 0 ? i : round == 1 ? KEYS - 1 - i : round == 2 ? i * 1009u % KEYS : pick(900);
                        CHECK(map_add(r, b, keys[at], INT(i)));
                        m->count += m->value[at] < 0;
                        m->value[at] = i;
                        if (i % 97 == 0)
                                wrong += !map_is(b, m);
                }
                wrong += !map_is(b, m);
                for (uint32_t i = 0; i < KEYS; i++)
                        wrong += !map_has(b, m, i);
                r->stack[round] = b;
                for (uint32_t step = 0; step < 500; step++)
                        map_step(r, models, round, round, 50);
                wrong += !map_is(r->stack[round], m);
        }
        CHECK(wrong == 0);
        free(keys);
        evaluator_free(r);
}

TEST(a_map_literal_takes_the_last_of_equal_keys_and_no_more_memory_than_it_needs)
{
        struct mv_rtfs *r = evaluator_new();
        val a = keyword_new(r, MV_SLICE("a")), b = keyword_new(r, MV_SLICE("b")), v = NIL;
        val pairs[] = { b, INT(1), a, INT(2), b, INT(3) };
        val m = map_new(r, pairs, 3);
        CHECK(map_count(m) == 2);
        CHECK(map_get(m, a, &v) && v.i == 2);
        CHECK(map_get(m, b, &v) && v.i == 3);
        uint8_t *before = r->heap.top;
        map_new(r, pairs, 2);
        CHECK(r->heap.top - before == 32 + 16 + 4 * 16);
        CHECK(map_new(r, pairs, 0).o == map_empty(r).o);
        evaluator_free(r);
}

TEST(the_three_kinds_of_keys_are_distinct_and_ordered)
{
        struct mv_rtfs *r = evaluator_new();
        val k = keyword_new(r, MV_SLICE("1")), s = string_from(r, "1"), i = INT(1), v = NIL;
        val m = map_put(r, map_put(r, map_put(r, map_empty(r), i, INT(30)), s, INT(20)), k, INT(10));
        CHECK(map_count(m) == 3);
        CHECK(map_get(m, k, &v) && v.i == 10);
        CHECK(map_get(m, string_from(r, "1"), &v) && v.i == 20);
        CHECK(map_get(m, i, &v) && v.i == 30);
        CHECK(key_cmp(k, s) < 0 && key_cmp(s, i) < 0 && key_cmp(i, k) > 0);
        CHECK(key_cmp(INT(INT64_MIN), INT(INT64_MAX)) < 0);
        val nul = keyword_new(r, mv_slice("a\0", 2)), a = keyword_new(r, MV_SLICE("a"));
        CHECK(nul.o != a.o && key_cmp(a, nul) < 0);
        CHECK(key_cmp(keyword_new(r, MV_SLICE("abcdefgh")), keyword_new(r, MV_SLICE("abcdefghi"))) < 0);
        CHECK(key_cmp(keyword_new(r, MV_SLICE("abcdefghz")), keyword_new(r, MV_SLICE("abcdefghib"))) > 0);
        CHECK(!map_key_ok(NIL) && !map_key_ok(FLOAT(1)) && map_key_ok(k) && map_key_ok(s) && map_key_ok(i));
        evaluator_free(r);
}

TEST(a_map_that_runs_out_of_memory_is_as_it_was)
{
        struct mv_rtfs *r = evaluator_new();
        static struct map_model models[MAPS];
        maps_start(r, models);
        struct map_model *m = &models[0];
        uint32_t wrong = 0;
        val b = map_builder(r);
        for (uint32_t i = 0, at = 0; i < 1500; i++, at = (at + 1009) % KEYS) {
                val next = NOMEM_VAL;
                for (size_t bytes = 0; nomem(next); bytes += 16) {
                        leave_memory(r, bytes);
                        next = map_put(r, r->stack[0], keys[at], INT(at));
                }
                for (size_t bytes = 0; leave_memory(r, bytes), !map_add(r, b, keys[at], INT(at)); bytes += 16)
                        wrong += i % 50 == 0 && !map_is(b, m);
                wrong += i % 50 == 0 && !map_is(r->stack[0], m);
                r->stack[0] = next;
                m->value[at] = at;
                m->count++;
        }
        wrong += !map_is(b, m) || !map_is(r->stack[0], m);
        for (uint32_t i = 0, at = 0; i < 1500; i++, at = (at + 1009) % KEYS) {
                val next = NOMEM_VAL;
                for (size_t bytes = 0; nomem(next); bytes += 16) {
                        leave_memory(r, bytes);
                        next = map_remove(r, r->stack[0], keys[at]);
                }
                wrong += i % 50 == 0 && !map_is(r->stack[0], m);
                r->stack[0] = next;
                m->value[at] = -1;
                m->count--;
        }
        wrong += !map_is(r->stack[0], m);
        CHECK(wrong == 0);
        free(keys);
        evaluator_free(r);
}

/* --- strings, names, lists -------------------------------------------------------------------------------------- */
TEST(a_string_knows_its_bytes_and_its_code_points)
{
        struct mv_rtfs *r = evaluator_new();
        val v = string_from(r, "na\xc3\xafve \xe2\x82\xac \xf0\x9f\x98\x80 0123456789");
        CHECK(as_string(v)->len == 26 && as_string(v)->chars == 20);
        CHECK(as_string(string_from(r, ""))->chars == 0);
        leave_memory(r, 16);
        CHECK(nomem(string_from(r, "x")));
        uint8_t *text;
        CHECK(nomem(string_alloc(r, (size_t)1 << 40, &text)));
        evaluator_free(r);
}

TEST(equal_names_are_one_object)
{
        struct mv_rtfs *r = evaluator_new();
        char text[16];
        for (int i = 0; i < 5000; i++) {
                int n = snprintf(text, sizeof text, "n%d", i);
                struct name *a = name_intern(r, mv_slice(text, (size_t)n));
                CHECK(a && a == name_intern(r, mv_slice(text, (size_t)n)));
                CHECK(a->global == -1 && a->special == 0);
        }
        val k = keyword_new(r, MV_SLICE("n7")), s = symbol_new(r, MV_SLICE("n7"));
        CHECK(k.o == s.o && k.tag != s.tag);
        leave_memory(r, 0);
        CHECK(!name_intern(r, MV_SLICE("new")));
        CHECK(name_intern(r, MV_SLICE("n4999")));
        evaluator_free(r);
}

TEST(a_list_shares_its_tail_and_counts_itself)
{
        struct mv_rtfs *r = evaluator_new();
        val items[] = { INT(1), INT(2), INT(3) };
        val l = list_new(r, items, 3), m = list_cons(r, INT(0), l);
        CHECK(as_cons(l)->count == 3 && as_cons(m)->count == 4 && as_cons(m)->tail == as_cons(l));
        CHECK(as_cons(l)->head.i == 1 && as_cons(l)->tail->tail->head.i == 3);
        CHECK(list_new(r, NULL, 0).o == list_empty(r).o && as_cons(list_empty(r))->count == 0);
        leave_memory(r, 100);
        CHECK(nomem(list_new(r, items, 3)));
        evaluator_free(r);
}

/* --- equality and order ----------------------------------------------------------------------------------------- */
#define V(r, ...) vec_new((r), (const val[]){ __VA_ARGS__ }, sizeof((const val[]){ __VA_ARGS__ }) / sizeof(val))
#define L(r, ...) list_new((r), (const val[]){ __VA_ARGS__ }, sizeof((const val[]){ __VA_ARGS__ }) / sizeof(val))
#define M(r, ...) map_new((r), (const val[]){ __VA_ARGS__ }, sizeof((const val[]){ __VA_ARGS__ }) / sizeof(val) / 2)
static val K(struct mv_rtfs *r, const char *s)
{
        return keyword_new(r, mv_slice_str(s));
}
static val S(struct mv_rtfs *r, const char *s)
{
        return string_from(r, s);
}
static val E(struct mv_rtfs *r, enum error_kind kind, const char *message)
{
        return error_new(r, kind, mv_slice_str(message), NIL);
}
static val native(int64_t index)
{
        return (val){ .tag = T_NATIVE, .i = index };
}
static val nested(struct mv_rtfs *r, uint32_t levels)
{
        val v = NIL;
        for (uint32_t i = 0; i < levels; i++)
                v = i % 3 == 0 ? V(r, v) : i % 3 == 1 ? L(r, v) : M(r, INT(1), v);
        return v;
}

TEST(values_are_equal_by_type_first_then_by_structure)
{
        struct mv_rtfs *r = evaluator_new();
        CHECK(val_equal(INT(1), INT(1)) == 1 && val_equal(INT(1), FLOAT(1)) == 0);
        CHECK(val_equal(FLOAT(0.0), FLOAT(-0.0)) == 1 && val_equal(FLOAT(NAN), FLOAT(NAN)) == 0);
        CHECK(val_equal(S(r, "a"), S(r, "a")) == 1 && val_equal(S(r, "a"), K(r, "a")) == 0);
        CHECK(val_equal(V(r, INT(1), S(r, "x")), V(r, INT(1), S(r, "x"))) == 1);
        CHECK(val_equal(V(r, INT(1)), L(r, INT(1))) == 0);
        CHECK(val_equal(V(r, INT(1)), V(r, INT(1), NIL)) == 0);
        val nan = V(r, FLOAT(NAN));
        CHECK(val_equal(nan, nan) == 0); /* shared or not */
        CHECK(val_equal(vec_empty(r), vec_builder(r)) == 1);
        CHECK(val_equal(M(r, K(r, "a"), INT(1), INT(2), NIL), M(r, INT(2), NIL, K(r, "a"), INT(1))) == 1);
        CHECK(val_equal(M(r, K(r, "a"), INT(1)), M(r, S(r, "a"), INT(1))) == 0);
        CHECK(val_equal(E(r, E_GENERIC, "m"), E(r, E_GENERIC, "m")) == 1);
        CHECK(val_equal(E(r, E_GENERIC, "m"), E(r, E_GENERIC, "n")) == 0);
        CHECK(val_equal(native(3), native(3)) == 1 && val_equal(native(3), native(4)) == 0);
        val b = map_builder(r), m = map_empty(r);
        for (int i = 0; i < 300; i++) {
                map_add(r, b, INT(i * 7 % 300), INT(i));
                m = map_put(r, m, INT(i * 7 % 300), INT(i));
        }
        CHECK(val_equal(b, m) == 1); /* trees of other shapes */
        CHECK(val_equal(b, map_put(r, m, INT(299), NIL)) == 0);
        evaluator_free(r);
}

static int order(struct mv_rtfs *r, val a, val b)
{
        int c = 99, d = 99;
        CHECK(val_compare(r, a, b, &c));
        CHECK(val_compare(r, b, a, &d));
        CHECK((c > 0) == (d < 0) && (c < 0) == (d > 0));
        return c < 0 ? -1 : c > 0;
}

TEST(sort_order_is_total_over_all_types)
{
        struct mv_rtfs *r = evaluator_new();
        val up[] = { NIL, BOOL(false), BOOL(true), FLOAT(-INFINITY), INT(INT64_MIN), INT(-1), FLOAT(-0.5), INT(0),
                     FLOAT(0.5), INT(1), FLOAT(1.5), INT(2), FLOAT(9007199254740992.0), INT(9007199254740993),
                     INT(INT64_MAX), FLOAT(0x1p63), FLOAT(INFINITY), S(r, ""), S(r, "B"), S(r, "a"), S(r, "aa"),
                     S(r, "\xc3\xa9"), K(r, "a"), K(r, "abcdefghij"), K(r, "b"), symbol_new(r, MV_SLICE("a")),
                     vec_empty(r), V(r, INT(1)), V(r, INT(1), INT(0)), V(r, INT(2)), list_empty(r), L(r, INT(3)),
                     map_empty(r), M(r, INT(10), INT(1)), M(r, INT(9), INT(0)), M(r, K(r, "a"), INT(0)),
                     M(r, S(r, "a"), INT(0)), E(r, E_GENERIC, "a b"), E(r, E_GENERIC, "a"), E(r, E_GENERIC, "ab"),
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
                        snprintf(out[n].key, sizeof out[n].key, k.tag == T_STRING ? "s:%.*s" : "k:%.*s",
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
                val k = kind == 0 ? K(r, text) : kind == 1 ? S(r, text) : INT((int64_t)pick(23) * pick(12) - 8);
                m = map_put(r, m, k, INT(pick(5) == 0));
        }
        return m;
}

TEST(maps_are_ordered_by_their_rendered_keys)
{
        struct mv_rtfs *r = evaluator_new();
        uint32_t wrong = 0, same = 0;
        for (int i = 0; i < 20000; i++) {
                val a = small_map(r), b = pick(3) ? small_map(r) : map_put(r, a, INT((int64_t)pick(300) - 8), INT(pick(2)));
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
        CHECK(val_equal(fits, nested(r, MV_VALUE_DEPTH_MAX)) == 1);
        CHECK(val_equal(deep, nested(r, MV_VALUE_DEPTH_MAX + 1)) == -1);
        CHECK(val_compare(r, fits, nested(r, MV_VALUE_DEPTH_MAX), &c) && c == 0);
        CHECK(!val_compare(r, deep, nested(r, MV_VALUE_DEPTH_MAX + 1), &c));
        CHECK(print_display(&o, fits, &too_deep) && !too_deep);
        CHECK(!print_readable(&o, deep, &too_deep) && too_deep);
        CHECK(display_string(r, &deep, 1, NULL, true, &out) == N_ERROR);
        o = mv_out(text, sizeof text);
        CHECK(encode_value(&o, fits));
        o = mv_out(text, sizeof text);
        CHECK(!encode_value(&o, deep));
        evaluator_free(r);
}

/* --- text ------------------------------------------------------------------------------------------------------- */
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
        val v = V(r, NIL, BOOL(true), BOOL(false), INT(-7), FLOAT(2.0), FLOAT(0.1), S(r, "a\"b\n"), K(r, "k"),
                  symbol_new(r, MV_SLICE("sym")), L(r, INT(1), list_empty(r)), vec_empty(r), map_empty(r), native(0),
                  E(r, E_GENERIC, "bad"));
        CHECK_STR(shown(r, v, false), "[nil true false -7 2 0.1 \"a\"b\n\" :k sym (1 ()) [] {} #<function> #<error: bad>]");
        CHECK_STR(shown(r, v, true),
                  "[nil true false -7 2.0 0.1 \"a\\\"b\\n\" :k sym (1 ()) [] {} #<function> #<error: bad>]");
        val m = M(r, INT(2), INT(1), INT(-10), INT(2), S(r, "b"), INT(3), S(r, "a"), INT(4), K(r, "z"), NIL, K(r, "y"), NIL);
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
                                 i % 2 ? "%s%u" : "%s[\"some text of some length\" %u]", i ? ", " : "", i);
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
        CHECK(display_string(r, items, 2, NULL, true, &out) == N_OK && mv_slice_eq_str(string_slice(out), "a[\"b\"]"));
        CHECK(display_string(r, items, 1, NULL, false, &out) == N_OK && mv_slice_eq_str(string_slice(out), "\"a\""));
        CHECK(display_string(r, items, 0, NULL, true, &out) == N_OK && as_string(out)->len == 0);
        evaluator_free(r);
}

/* --- CBOR ------------------------------------------------------------------------------------------------------- */
static val random_key(struct mv_rtfs *r)
{
        static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-abcdefghijklmnopqrstuvwxyz";
        struct mv_slice text = { (const uint8_t *)letters + pick(20), pick(6) ? pick(6) : pick(40) };
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
                return error_new(r, pick(2) ? E_DIV_ZERO : E_GENERIC, MV_SLICE("message"), random_value(r, depth - 1));
        case 7:
        case 8:
                for (uint32_t i = 0; i < n; i++)
                        items[i] = random_value(r, depth - 1);
                return pick(2) ? list_new(r, items, n) : vec_new(r, items, n);
        default: {
                val m = map_empty(r);
                for (uint32_t i = 0; i < n; i++) {
                        val k = random_key(r);
                        m = map_put(r, m, k.tag == T_INT && pick(2) ? INT(-1 - k.i) : k, random_value(r, depth - 1));
                }
                return m;
        }
        }
}

static uint8_t bytes[1 << 20], bytes_again[1 << 20], tree_mem[8 << 20];

/* Is what encode_value writes canonical, and does it come back as the same value? */
static bool round_trip(struct mv_rtfs *r, val v, struct mv_slice *ret)
{
        struct mv_arena a = mv_arena_fixed(tree_mem, sizeof tree_mem);
        struct mv_out o = mv_out(bytes, sizeof bytes), again = mv_out(bytes_again, sizeof bytes_again);
        const struct mv_value *tree;
        struct mv_err err;
        val back;
        if (!encode_value(&o, v))
                return false;
        *ret = mv_out_slice(&o);
        if (mv_value_decode(*ret, &a, &tree, &err) < 0 || !mv_value_encode(&again, tree))
                return false;
        if (!mv_slice_eq(*ret, mv_out_slice(&again)))
                return false;
        if (decode_value(r, *ret, &back, &err) != N_OK || val_equal(v, back) != 1)
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
        CHECK(round_trip(r, vec_empty(r), &s) && round_trip(r, list_empty(r), &s) && round_trip(r, map_empty(r), &s));
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
                struct mv_slice damaged = { bytes_again, pick(4) ? s.len : pick((uint32_t)s.len + 1) };
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
        CHECK(decode_hex(r, "d9cc038361586161f6", &v) == N_OK && v.tag == T_ERROR); /* ["X" "a" nil] */
        CHECK(as_error(v)->kind == E_OTHER && mv_slice_eq_str(string_slice(as_error(v)->name), "X"));
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
                struct mv_out a = mv_out(bytes, sizeof bytes), b = mv_out(bytes_again, sizeof bytes_again);
                CHECK(encode_value(&a, form) && encode_value(&b, m));
                CHECK(mv_slice_eq(mv_out_slice(&a), mv_out_slice(&b)));
        }
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
                CHECK(status == N_OK && val_equal(v, back) == 1);
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
