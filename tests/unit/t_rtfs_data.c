/* SPDX-License-Identifier: Apache-2.0 */
/* Vectors, maps, names, strings and lists of the evaluator against plain arrays, with and without
 * memory. */
#include "rtfs_data.h"

/* --- vectors ---------------------------------------------------------------------------------- */
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
        CHECK(vec_count(b) == older + 5000 && vec_at(b, older).i == -1 &&
              vec_at(b, older - 1).i == (older - 1) * 7);
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
        uint32_t sizes[] = { 0,    1,    4,    31,   32,   33,   63,   64,  65,
                             1023, 1024, 1025, 1055, 1056, 1057, 1088, 5000 };
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
                uint8_t *top = r->heap.top;
                for (size_t bytes = 0; nomem(longer); bytes += 16) {
                        leave_again(r, top, bytes);
                        if (m.count)
                                CHECK(nomem(vec_set(r, v, m.count / 2, INT(-5))) || bytes > 48);
                        leave_again(r, top, bytes);
                        longer = vec_conj(r, v, INT(m.count));
                        CHECK(bytes < 10000);
                }
                CHECK(m.count % 32 || vector_is(v, &m));
                for (size_t bytes = 0; leave_memory(r, bytes), !vec_push(r, b, INT(m.count));
                     bytes += 16)
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

/* --- maps ------------------------------------------------------------------------------------- */
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

static void map_step(struct mv_rtfs *r, struct map_model *models, uint32_t from, uint32_t to,
                     uint32_t put_percent)
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
                map_step(r, models, from, to,
                         step / 20000 % 2 ? 15 : 75); /* grow, shrink, grow, shrink, grow */
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
        for (uint32_t round = 0; round < 4;
             round++) { /* ascending, descending, random, random with repeats */
                struct map_model *m = &models[round];
                val b = map_builder(r);
                for (uint32_t i = 0; i < KEYS; i++) {
                        uint32_t at = round == 0   ? i
                                      : round == 1 ? KEYS - 1 - i
                                      : round == 2 ? i * 1009u % KEYS
                                                   : pick(900);
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
        val m = map_put(r, map_put(r, map_put(r, map_empty(r), i, INT(30)), s, INT(20)), k,
                        INT(10));
        CHECK(map_count(m) == 3);
        CHECK(map_get(m, k, &v) && v.i == 10);
        CHECK(map_get(m, string_from(r, "1"), &v) && v.i == 20);
        CHECK(map_get(m, i, &v) && v.i == 30);
        CHECK(key_cmp(k, s) < 0 && key_cmp(s, i) < 0 && key_cmp(i, k) > 0);
        CHECK(key_cmp(INT(INT64_MIN), INT(INT64_MAX)) < 0);
        val nul = keyword_new(r, mv_slice("a\0", 2)), a = keyword_new(r, MV_SLICE("a"));
        CHECK(nul.o != a.o && key_cmp(a, nul) < 0);
        CHECK(key_cmp(keyword_new(r, MV_SLICE("abcdefgh")), keyword_new(r, MV_SLICE("abcdefghi"))) <
              0);
        CHECK(key_cmp(keyword_new(r, MV_SLICE("abcdefghz")),
                      keyword_new(r, MV_SLICE("abcdefghib"))) > 0);
        CHECK(!map_key_ok(NIL) && !map_key_ok(FLOAT(1)) && map_key_ok(k) && map_key_ok(s) &&
              map_key_ok(i));
        evaluator_free(r);
}

TEST(a_map_that_runs_out_of_memory_is_as_it_was)
{
        struct mv_rtfs *r = evaluator_new();
        static struct map_model models[MAPS];
        maps_start(r, models);
        struct map_model *m = &models[0];
        uint32_t wrong = 0;
        val b = r->stack[1] = map_builder(r);
        for (uint32_t i = 0, at = 0; i < 1500; i++, at = (at + 1009) % KEYS) {
                val next = NOMEM_VAL;
                uint8_t *top = r->heap.top;
                for (size_t bytes = 0; nomem(next); bytes += 16) {
                        leave_again(r, top, bytes);
                        next = map_put(r, r->stack[0], keys[at], INT(at));
                }
                for (size_t bytes = 0; leave_memory(r, bytes), !map_add(r, b, keys[at], INT(at));
                     bytes += 16)
                        wrong += i % 50 == 0 && !map_is(b, m);
                wrong += i % 50 == 0 && !map_is(r->stack[0], m);
                r->stack[0] = next;
                m->value[at] = at;
                m->count++;
        }
        wrong += !map_is(b, m) || !map_is(r->stack[0], m);
        for (uint32_t i = 0, at = 0; i < 1500; i++, at = (at + 1009) % KEYS) {
                val next = NOMEM_VAL;
                uint8_t *top = r->heap.top;
                for (size_t bytes = 0; nomem(next); bytes += 16) {
                        leave_again(r, top, bytes);
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

/* --- strings, names, lists -------------------------------------------------------------------- */
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
