/* SPDX-License-Identifier: Apache-2.0 */
/* Maps that grow in place for an owner, dense maps, and the loops that use them: nobody else ever
 * sees a difference. */
#include "rtfs_data.h"
#include <rtfs/map.h>
#include <rtfs/rtfs.h>

/* --- one map against a plain array ------------------------------------------------------------ */
#define KEYS 3000u

struct model {
        int64_t value[KEYS]; /* -1: absent */
        uint32_t count;
};

static struct model model_new(void)
{
        struct model m = { .count = 0 };
        for (uint32_t i = 0; i < KEYS; i++)
                m.value[i] = -1;
        return m;
}

static void model_set(struct model *m, uint32_t key, int64_t value)
{
        m->count += (m->value[key] < 0) != (value < 0) ? value < 0 ? (uint32_t)-1 : 1u : 0;
        m->value[key] = value;
}

/* Values of both kinds of leaves: a float is no plain integer. */
static val stored(uint32_t value, bool mixed)
{
        return mixed && pick(50) == 0 ? FLOAT(value) : INT(value);
}

static int64_t number_of(val v)
{
        return v.tag == T_FLOAT ? (int64_t)v.f : v.i;
}

static bool map_is(val v, const struct model *m)
{
        struct map_iter it;
        val key, value;
        uint32_t at = 0, seen = 0;
        for (map_iter(&it, v); map_next(&it, &key, &value); at++, seen++) {
                while (at < KEYS && m->value[at] < 0)
                        at++;
                if (at >= KEYS || key.i != at || number_of(value) != m->value[at])
                        return false;
        }
        for (uint32_t k = 0; k < KEYS; k += 7) {
                val found = INT(-1);
                map_get(v, INT(k), &found);
                if (number_of(found) != m->value[k])
                        return false;
        }
        return seen == m->count && map_count(v) == m->count;
}

TEST(a_map_grown_in_place_holds_what_a_plain_array_holds_and_leaves_older_ones_alone)
{
        struct mv_rtfs *r = evaluator_new();
        static struct model models[8];
        uint32_t wrong = 0, dense = 0, owner = 0;
        for (uint32_t i = 0; i < 8; i++) {
                models[i] = model_new();
                r->stack[i] = map_empty(r);
        }
        for (uint32_t turn = 0; turn < 400; turn++) {
                uint32_t from = pick(8), to = pick(8), steps = pick(300), span = 1 + pick(KEYS);
                bool mixed = turn % 3 == 0;
                models[to] = models[from];
                r->stack[to] = r->stack[from];
                owner++;
                for (uint32_t i = 0; i < steps; i++) {
                        uint32_t key = pick(span), value = pick(1000);
                        r->stack[to] = map_put_owned(r, r->stack[to], INT(key),
                                                     stored(value, mixed), owner);
                        model_set(&models[to], key, value);
                }
                dense += is_dense(as_map(r->stack[to]));
                for (uint32_t i = 0; i < pick(40); i++) { /* persistent steps on the same map */
                        uint32_t key = pick(span), value = pick(1000);
                        bool put = pick(2);
                        r->stack[to] =
                                put ? map_put(r, r->stack[to], INT(key), stored(value, mixed))
                                    : map_remove(r, r->stack[to], INT(key));
                        model_set(&models[to], key, put ? (int64_t)value : -1);
                }
                collect_when_half_full(r);
                for (uint32_t i = 0; i < 8; i++)
                        wrong += !map_is(r->stack[i], &models[i]);
        }
        CHECK(wrong == 0);
        CHECK(dense > 50 && dense < 400);
        evaluator_free(r);
}

TEST(a_leaf_of_integers_becomes_one_of_values_for_whoever_writes_and_for_nobody_else)
{
        struct mv_rtfs *r = evaluator_new();
        val m = map_empty(r), found = NIL;
        for (int i = 0; i < 100; i++)
                m = map_put_owned(r, m, INT(i), INT(i), 1);
        const struct node *root = as_map(m)->root;
        REQUIRE(is_dense(as_map(m)) && dense_shift(as_map(m)) == DENSE_BITS);
        CHECK(root->item[0].o->kind == O_INTS && root->item[1].o->kind == O_INTS);
        val text = S(r, "text"), placed = { .tag = T_INT, .pos = 7, .i = 5 };
        val more = map_put(r, m, INT(70), text);
        CHECK(node_at(as_map(more)->root, 1)->h.kind == O_NODE);
        CHECK(node_at(as_map(more)->root, 0) == node_at(root, 0)); /* shared */
        CHECK(map_get(more, INT(70), &found) && found.o == text.o);
        CHECK(map_get(more, INT(71), &found) && found.tag == T_INT && found.i == 71);
        CHECK(map_get(m, INT(70), &found) && found.tag == T_INT && found.i == 70);
        more = map_put_owned(r, m, INT(3), placed, 2);
        CHECK(map_get(more, INT(3), &found) && found.head == placed.head && found.i == 5);
        CHECK(map_count(more) == 100 && map_count(map_remove(r, more, INT(3))) == 99);
        CHECK(!map_get(map_remove(r, m, INT(64)), INT(64), &found));
        CHECK(map_count(m) == 100 && map_get(m, INT(64), &found));
        evaluator_free(r);
}

TEST(a_dense_map_takes_keys_of_any_kind_by_becoming_a_tree)
{
        struct mv_rtfs *r = evaluator_new();
        val m = map_empty(r), found = NIL;
        for (int i = 0; i < 100; i++)
                m = map_put_owned(r, m, INT(i), INT(i), 1);
        CHECK(is_dense(as_map(m)));
        val others[] = { INT(-1), INT(1 << 30), INT(INT64_MAX), S(r, "text"), K(r, "word") };
        for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
                val more = map_put(r, m, others[i], INT(7)),
                    owned = map_put_owned(r, m, others[i], INT(7), 2);
                CHECK(map_count(m) == 100 && is_dense(as_map(m)));
                CHECK(map_count(more) == 101 && !is_dense(as_map(more)) &&
                      map_get(more, others[i], &found));
                CHECK(equal(r, more, owned) == 1 &&
                      equal(r, map_remove(r, more, others[i]), m) == 1);
        }
        evaluator_free(r);
}

TEST(a_dense_map_has_the_text_and_the_bytes_of_the_tree_it_equals)
{
        struct mv_rtfs *r = evaluator_new();
        uint8_t text[2][8192];
        struct mv_out o[2] = { mv_out(text[0], sizeof text[0]), mv_out(text[1], sizeof text[1]) };
        val dense = map_empty(r), tree = map_empty(r);
        for (int i = 0; i < 200; i++) {
                dense = map_put_owned(r, dense, INT(i * 37 % 211), INT(i), 1);
                tree = map_put(r, tree, INT(i * 37 % 211), INT(i));
        }
        CHECK(is_dense(as_map(dense)) && !is_dense(as_map(tree)));
        CHECK(encode_value(&o[0], dense) && encode_value(&o[1], tree));
        CHECK(print_display(&o[0], dense, NULL) && print_display(&o[1], tree, NULL));
        CHECK(mv_slice_eq(mv_out_slice(&o[0]), mv_out_slice(&o[1])));
        evaluator_free(r);
}

TEST(growing_in_place_without_memory_changes_nothing)
{
        struct mv_rtfs *r = evaluator_new();
        static struct model model;
        uint32_t wrong = 0, failed = 0;
        model = model_new();
        val m = map_empty(r);
        for (uint32_t i = 0; i < 2000; i++) {
                uint32_t key = i * 7 % KEYS, value = pick(1000);
                for (size_t bytes = 0;; bytes += 16 + bytes / 2) {
                        leave_memory(r, bytes);
                        val next = map_put_owned(r, m, INT(key), INT(value), 1 + i / 500);
                        give_memory(r);
                        if (!nomem(next)) {
                                m = next;
                                break;
                        }
                        failed++;
                        wrong += i % 100 == 0 && !map_is(m, &model);
                }
                model_set(&model, key, value);
                r->stack[0] = m;
                collect_when_half_full(r);
                m = r->stack[0];
        }
        CHECK(wrong == 0 && failed > 1000 && map_is(m, &model));
        evaluator_free(r);
}

/* --- loops ------------------------------------------------------------------------------------ */
static const char *const loops[][2] = {
        { "(loop [i 0 m {}] (if (< i 5) (recur (+ i 1) (assoc m i (* i i))) m))",
          "{0 0 1 1 2 4 3 9 4 16}" },
        /* the map from before the loop is another one */
        { "(let [a {1 1} b (loop [i 0 m a] (if (< i 3) (recur (+ i 1) (assoc m i :x)) m))] [a b])",
          "[{1 1} {0 :x 1 :x 2 :x}]" },
        { "(let [a (loop [i 0 m {}] (if (< i 100) (recur (+ i 1) (assoc m i i)) m))"
          " b (loop [i 0 m a] (if (< i 100) (recur (+ i 1) (assoc m i 0)) m))] [(get a 70) (get b "
          "70)])",
          "[70 0]" },
        /* two variables that start as one map */
        { "(let [s {0 0}] (loop [i 0 a s b s] (if (< i 2) (recur (+ i 1) (assoc a i :a) (assoc b i "
          ":b)) [a b s])))",
          "[{0 :a 1 :a} {0 :b 1 :b} {0 0}]" },
        /* what is kept on the way stays as it was */
        { "(loop [i 0 m {} kept []] (if (< i 3) (recur (+ i 1) (assoc m i i) (conj kept m)) kept))",
          "[{} {0 0} {0 0 1 1}]" },
        { "(loop [i 0 kept [] m {}] (if (< i 3) (recur (+ i 1) (conj kept m) (assoc m i i)) kept))",
          "[{} {0 0} {0 0 1 1}]" },
        { "(loop [i 0 m {}] (if (< i 3) (recur (+ i 1) (assoc m i m)) m))",
          "{0 {} 1 {0 {}} 2 {0 {} 1 {0 {}}}}" },
        { "(loop [i 0 m {}] (if (< i 2) (recur (+ i 1) (assoc m i (get m 9 m))) m))",
          "{0 {} 1 {0 {}}}" },
        { "(loop [i 0 m {} f nil] (if (< i 3) (recur (+ i 1) (assoc m i i) (if f f (fn [] (count "
          "m)))) [(f) (count m)]))",
          "[0 3]" },
        { "(loop [i 0 m {} n -1] (if (< i 3) (recur (+ i 1) (assoc m i i) (count m)) [m n]))",
          "[{0 0 1 1 2 2} 2]" },
        { "(defmacro see [m] m) (loop [i 0 m {} k nil] (if (< i 2) (recur (+ i 1) (assoc m i i) "
          "(see m)) k))",
          "{0 0}" },
        { "(loop [i 0 m {}] (if (< i 4) (recur (+ i 1) (if (even? i) (assoc (assoc m i 1) :n i) "
          "(dissoc m :n))) m))",
          "{0 1 2 1}" },
        { "(loop [i 0 a {} b {}] (if (< i 4) (recur (+ i 1) b (assoc a i i)) [a b]))",
          "[{0 0 2 2} {1 1 3 3}]" },
        { "(loop [i 0 v [0 0]] (if (< i 2) (recur (+ i 1) (assoc v i 5)) v))", "[5 5]" },
        { "(defn when [a b] b) (loop [i 0 m {}] (if (< i 2) (recur (+ i 1) (when true (assoc m i "
          "i))) m))",
          "{0 0 1 1}" },
        { "(try (loop [i 0 m {}] (recur (+ i 1) (assoc m [] i))) (catch :type-error e :refused))",
          ":refused" },
        /* variables computed in place, in whatever order they need each other */
        { "(loop [i 0 a 0 b 1] (if (< i 10) (recur (+ i 1) b (+ a b)) a))", "55" },
        { "(loop [a 1 b 2 c 3 n 0] (if (< n 4) (recur b c a (+ n 1)) [a b c]))", "[2 3 1]" },
        { "(loop [a 1 b 10] (if (< a 5) (recur (+ a 1) (- b a)) [a b]))", "[5 0]" },
        { "(loop [a 5 n 0] (if (< n 3) (recur a (+ n 1)) a))", "5" },
        { "((fn [a b] (if (> a 100) [a b] (recur (+ a b) a))) 1 1)", "[144 89]" },
        { "(loop [i 0 fs []] (if (< i 3) (recur (+ i 1) (conj fs (fn [] i))) (map (fn [f] (f)) "
          "fs)))",
          "[0 1 2]" },
        { "(- 1 2 3.5)", "-4.5" },
        { "(let [x 4] [(* 2 x) (+ 1.5 x) (- 9 x) (* 2 x x) (/ x 8) (mod x 3) (< x 4.5) (not x)])",
          "[8 5.5 5 32 0.5 1 true false]" },
};

TEST(loops_that_grow_a_map_mean_what_they_say)
{
        size_t bytes = 4u << 20;
        void *arena = aligned_alloc(16, bytes);
        struct mv_rtfs_options options = { .fuel = 1000000 };
        struct mv_rtfs *r;
        struct mv_err err;
        uint8_t text[512];
        CHECK(mv_rtfs_init(arena, bytes, &options, &r, &err) == 0);
        for (size_t i = 0; i < sizeof loops / sizeof *loops; i++) {
                struct mv_out o = mv_out(text, sizeof text - 1);
                mv_rtfs_reset(r, &options);
                CHECK(mv_rtfs_load_source(r, mv_slice_str(loops[i][0]), &err) == 0);
                CHECK(mv_rtfs_run(r) == MV_RTFS_DONE && mv_rtfs_display_result(r, &o));
                text[o.len] = '\0';
                CHECK_STR((const char *)text, loops[i][1]);
        }
        free(arena);
}
