/* SPDX-License-Identifier: Apache-2.0 */
/* Programs as trees of forms: they do what their source does, and hostile trees are refused. */
#include "../test.h"
#include "rtfs_program.h"
#include <base/limits.h>
#include <microvm/ast.h>
#include <wire/base64.h>
#include <wire/cbor.h>

#define FUEL 1000000u

static const char *const programs[] = {
        "",
        "42 \"text\" :keyword nil true -0.0 ##NaN",
        "(def x 1) (def y (+ x 2)) [x y (- y) (* 2 3.5)]",
        "(defn fact [n] (if (< n 2) 1 (* n (fact (- n 1))))) (fact 15)",
        "(let [{:keys [a b] :or {b 7} & r} {:a 1 :c 3} [x & xs] [1 2 3]] [a b r x xs])",
        "(match {:k [1 2]} {:k [a b]} (+ a b) _ :no)",
        "(try (/ 1\n 0) (catch :division-by-zero e (:message e)) (finally (step \"done\" 1)))",
        "{:b (step \"one\" 1) :a (step \"two\" 2) \"s\" 3 4 5}",
        "(defn h ^:delegation :remote \"m\" [x] x) (h 1)",
        "^{:doc \"d\" :effects [[:network {:domains [\"a\"]}]]} [1 @name @:name]",
        "(defmacro twice [x] `(do ~x ~@[x])) (twice (call \"again\"))",
        "(map #(+ %1 (count [%&])) [1 2 3])",
        "'(a b :c \"d\" [1.5 nil true] {:m (x)} ##Inf & : other/name a:v1.0/b)",
        "(module m (:exports [f]) (def k 3) (defn f [x] (+ x k))) (import m :as a) (a/f 4)",
        "(deftype Age int) (defn g [a : Age] : int a) [(g 3) (g \"x\")]",
        "\n\n   (+ 1\n      (missing 2))",
        "(+ 1 ; unfinished\n",
        "2024-01-02T03:04:05Z 123e4567-e89b-12d3-a456-426614174000 resource://x/y (resource:ref "
        "\"r\")",
        "() [] {} '() [() {}]",
};
#define PROGRAMS (sizeof programs / sizeof *programs)

static struct mv_rtfs *evaluator(void)
{
        static struct mv_rtfs *r;
        if (!r)
                r = program_evaluator(4u << 20);
        return r;
}

static uint8_t bytes[1 << 20], again[1 << 20];

/* The tree of a source; false: the source has none. */
static bool tree_of(const char *source, struct mv_out *o)
{
        struct mv_err err;
        mv_rtfs_reset(evaluator(), NULL);
        mv_rtfs_load_source(evaluator(), mv_slice_str(source), &err);
        return !mv_rtfs_failed(evaluator()) && mv_rtfs_encode_ast(evaluator(), o);
}

TEST(a_tree_does_what_its_source_does_to_the_last_unit_of_fuel_and_the_place_of_an_error)
{
        static struct program_run source, tree;
        for (size_t i = 0; i < PROGRAMS; i++) {
                struct mv_out o = mv_out(bytes, sizeof bytes);
                if (!tree_of(programs[i], &o)) {
                        CHECK(strstr(programs[i], "unfinished") != NULL);
                        continue;
                }
                program_run(evaluator(), mv_slice_str(programs[i]), PROGRAM_SOURCE, FUEL, &source);
                program_run(evaluator(), mv_out_slice(&o), PROGRAM_AST, FUEL, &tree);
                CHECK_STR(tree.text, source.text);
                CHECK(tree.fuel == source.fuel);
        }
}

TEST(a_tree_is_written_in_one_way_and_compiles_to_the_bytecode_of_its_source)
{
        struct mv_rtfs_error e;
        struct mv_err err;
        for (size_t i = 0; i < PROGRAMS; i++) {
                struct mv_out o = mv_out(bytes, sizeof bytes), o2 = mv_out(again, sizeof again);
                if (!tree_of(programs[i], &o))
                        continue;
                mv_rtfs_reset(evaluator(), NULL);
                CHECK(mv_rtfs_load_ast(evaluator(), mv_out_slice(&o), &err) == 0);
                CHECK(mv_rtfs_encode_ast(evaluator(), &o2));
                CHECK(mv_slice_eq(mv_out_slice(&o), mv_out_slice(&o2)));
                o2 = mv_out(again, sizeof again / 2);
                bool compiled = mv_rtfs_compile_loaded(evaluator(), &o2, &e);
                mv_rtfs_reset(evaluator(), NULL);
                struct mv_out o3 = mv_out(again + sizeof again / 2, sizeof again / 2);
                CHECK(mv_rtfs_compile(evaluator(), mv_slice_str(programs[i]), &o3, &e) == compiled);
                CHECK(mv_slice_eq(mv_out_slice(&o2), mv_out_slice(&o3)));
        }
}

/* --- built by hand ---------------------------------------------------------------------------- */
static struct mv_value symbol(const char *s)
{
        return (struct mv_value){ .kind = MV_SYMBOL, .text = mv_slice_str(s) };
}
static struct mv_value integer(int64_t i)
{
        return (struct mv_value){ .kind = MV_INT, .integer = i };
}
#define LIST(...)                                                                                  \
        {                                                                                          \
                .kind = MV_LIST,                                                                   \
                .count = sizeof((struct mv_value[]){ __VA_ARGS__ }) / sizeof(struct mv_value),     \
                .items = (struct mv_value[])                                                       \
                {                                                                                  \
                        __VA_ARGS__                                                                \
                }                                                                                  \
        }
#define VECTOR(...)                                                                                \
        {                                                                                          \
                .kind = MV_VECTOR,                                                                 \
                .count = sizeof((struct mv_value[]){ __VA_ARGS__ }) / sizeof(struct mv_value),     \
                .items = (struct mv_value[])                                                       \
                {                                                                                  \
                        __VA_ARGS__                                                                \
                }                                                                                  \
        }

TEST(a_tree_built_through_the_c_interface_runs_and_keeps_the_order_of_a_map_literal)
{
        static struct program_run run;
        struct mv_err err;
        uint8_t *code;
        size_t len;
        struct mv_entry pattern[] = {
                { symbol("y"), { .kind = MV_KEYWORD, .text = MV_SLICE("b") } },
                { symbol("x"), { .kind = MV_KEYWORD, .text = MV_SLICE("a") } }
        };
        struct mv_entry map[] = { { { .kind = MV_KEYWORD, .text = MV_SLICE("b") }, integer(2) },
                                  { { .kind = MV_KEYWORD, .text = MV_SLICE("a") }, integer(40) } };
        struct mv_value binding = VECTOR({ .kind = MV_MAP, .count = 2, .entries = pattern },
                                         { .kind = MV_MAP, .count = 2, .entries = map });
        struct mv_value sum = LIST(symbol("+"), symbol("x"), symbol("y"));
        struct mv_value form = LIST(symbol("let"), binding, sum);
        struct mv_value program = { .kind = MV_VECTOR, .count = 1, .items = &form };
        CHECK(mv_ast_encode(&program, &code, &len, &err) == 0);
        program_run(evaluator(), mv_slice(code, len), PROGRAM_AST, FUEL, &run);
        CHECK_STR(run.text, "integer42");
        free(code);
        CHECK(mv_ast_encode(&form, &code, &len, &err) == -(int)MV_E_INVALID);
        CHECK(mv_ast_encode(NULL, &code, &len, &err) == -(int)MV_E_INVALID);
}

TEST(what_is_no_form_is_refused_before_it_leaves)
{
        struct mv_err err;
        uint8_t *code;
        size_t len;
        struct mv_value bad[] = { { .kind = MV_FUNCTION },
                                  { .kind = MV_STRING, .text = MV_SLICE("\xff") },
                                  symbol(":k") };
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
                struct mv_value program = { .kind = MV_VECTOR, .count = 1, .items = &bad[i] };
                CHECK(mv_ast_encode(&program, &code, &len, &err) == -(int)MV_E_INVALID);
        }
}

/* --- hostile trees ---------------------------------------------------------------------------- */
static bool refused(struct mv_slice tree)
{
        struct mv_err err = { .code = MV_OK };
        mv_rtfs_reset(evaluator(), NULL);
        int r = mv_rtfs_load_ast(evaluator(), tree, &err);
        return r == -(int)MV_E_HOSTILE && mv_rtfs_run(evaluator()) == MV_RTFS_DONE;
}

TEST(items_that_no_reader_makes_are_refused)
{
        static const struct mv_slice trees[] = {
                MV_SLICE(""),                         /* nothing */
                MV_SLICE("\x01"),                     /* not an array */
                MV_SLICE("\x81"),                     /* cut short */
                MV_SLICE("\x81\x01\x01"),             /* bytes left over */
                MV_SLICE("\x9a\xff\xff\xff\xff\x01"), /* a count that nothing keeps */
                MV_SLICE("\x81\x41x"),                /* a byte string */
                MV_SLICE("\x81\xd8\x27\x60"),         /* an empty symbol */
                /* a name with a space: a module's own */
                MV_SLICE("\x81\xd8\x27\x63"
                         "a b"),
                MV_SLICE("\x81\xd8\x27\x63"
                         "nil"), /* a literal as a symbol */
                MV_SLICE("\x81\xd8\x27\x63"
                         "(x)"), /* a symbol that is text */
                MV_SLICE("\x81\xd8\x27\x64"
                         ":a b"), /* a keyword with a space */
                /* an identifier that is a number */
                MV_SLICE("\x81\xd8\x27\x01"),
                MV_SLICE("\x81\xd9\xcc\x02\xf6"),             /* a function's mark */
                MV_SLICE("\x81\xd9\xcc\x01\x01"),             /* a list that is a number */
                MV_SLICE("\x81\xd9\xcc\x04\x81\x01"),         /* a map literal of one form */
                MV_SLICE("\x81\xd9\xcc\x05\x82\x01\x01"),     /* a place without a form */
                MV_SLICE("\x81\xd9\xcc\x05\x83\x00\x01\x01"), /* line 0 */
                MV_SLICE("\x81\xd9\xcc\x05\x83\x01\x20\x01"), /* column -1 */
                /* a place of a place */
                MV_SLICE("\x81\xd9\xcc\x05\x83\x01\x01\xd9\xcc\x05\x83\x01\x01\x01"),
                MV_SLICE("\x81\xd8\x27\x69"
                         "with meta"), /* a mark that heads no list */
                MV_SLICE("\x81\xd9\xcc\x01\x81\xd8\x27\x69"
                         "with meta"), /* without its parts */
                MV_SLICE("\x81\xd9\xcc\x01\x82\xd8\x27\x6b"
                         "context ref\x01"), /* of a number */
                /* in the middle of a list */
                MV_SLICE("\x81\xd9\xcc\x01\x83\x01\xd8\x27\x69"
                         "with meta\xa0"),
                MV_SLICE("\x81\x81\xd8\x27\x6b"
                         "delegate to"),      /* in a vector */
                MV_SLICE("\x81\xc0\x01"),     /* another tag */
                MV_SLICE("\x81\xf9\x7e\x01"), /* another NaN */
                MV_SLICE("\x81\x18\x01"),     /* a number that is not minimal */
        };
        for (size_t i = 0; i < sizeof trees / sizeof *trees; i++) {
                if (!refused(trees[i]))
                        printf("# tree %zu\n", i);
                CHECK(refused(trees[i]));
        }
}

TEST(nesting_ends_where_the_reader_ends_it)
{
        size_t deep = MV_SOURCE_DEPTH_MAX;
        struct mv_err err;
        memset(bytes, 0x81, 2 * deep + 2);
        bytes[deep] = 0x01;
        mv_rtfs_reset(evaluator(), NULL);
        CHECK(mv_rtfs_load_ast(evaluator(), mv_slice(bytes, deep + 1), &err) == 0);
        bytes[deep] = 0x81;
        bytes[deep + 1] = 0x01;
        CHECK(refused(mv_slice(bytes, deep + 2)));
        memset(bytes, 0x81, 100000);
        CHECK(refused(mv_slice(bytes, 100000)));
}

TEST(a_tree_that_does_not_fit_is_an_error_of_the_program)
{
        struct mv_rtfs *small = program_evaluator(MV_RTFS_ARENA_MIN + (64u << 10));
        struct mv_err err;
        size_t count = 200000;
        struct mv_out o = mv_out(bytes, sizeof bytes);
        mv_cbor_put_array(&o, 1);
        mv_cbor_put_array(&o, (uint32_t)count);
        for (size_t i = 0; i < count; i++)
                mv_cbor_put_int(&o, (int64_t)(i % 20));
        mv_rtfs_reset(small, NULL);
        CHECK(mv_rtfs_load_ast(small, mv_out_slice(&o), &err) == 0);
        CHECK(mv_rtfs_failed(small) && mv_rtfs_run(small) == MV_RTFS_ERROR);
        struct mv_rtfs_error e;
        mv_rtfs_error(small, &e);
        CHECK(mv_slice_eq_str(e.kind, "MemoryExhausted"));
        free(small);
}

/* --- base64: how compiled programs leave the wall --------------------------------------------- */
TEST(base64_gives_back_what_it_was_given_and_refuses_every_other_text)
{
        static const char *const bad[] = { "A",    "AA",       "AAA",  "A===", "AB==",
                                           "AAB=", "AAAA=AAA", "AA=A", "AA A", "AA-_" };
        struct mv_arena arena = mv_arena_grow(1 << 20);
        struct mv_slice back;
        struct mv_err err;
        for (size_t n = 0; n < 70; n++) {
                struct mv_out o = mv_out(again, sizeof again);
                for (size_t i = 0; i < n; i++)
                        bytes[i] = (uint8_t)(i * 37 + n * 101);
                CHECK(mv_base64_put(&o, mv_slice(bytes, n)) && o.len == mv_base64_len(n));
                CHECK(mv_base64_decode(mv_out_slice(&o), &arena, &back, &err) == 0);
                CHECK(mv_slice_eq(back, mv_slice(bytes, n)));
        }
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
                CHECK(mv_base64_decode(mv_slice_str(bad[i]), &arena, &back, &err) ==
                      -(int)MV_E_HOSTILE);
        mv_arena_done(&arena);
}
