/* SPDX-License-Identifier: Apache-2.0 */
/* The standard library: every documented example, the error texts programs rely on, and builtins
 * under random arguments and without memory (spec 4, 6, 7). */
#include "../test.h"
#include <base/slice.h>
#include <rtfs/docs.h>
#include <rtfs/library.h>
#include <rtfs/number_ops.h>
#include <rtfs/rtfs.h>
#include <rtfs/special_forms.h>
#include <rtfs/types.h>
#include <stdlib.h>

#define ARENA_BYTES (16u << 20)
#define FUEL        50000000u

static struct mv_rtfs *the_evaluator; /* made once */

static struct mv_rtfs *evaluator(void)
{
        struct mv_rtfs_options o = { .fuel = FUEL };
        struct mv_err err;
        if (!the_evaluator) {
                void *arena = aligned_alloc(4096, ARENA_BYTES);
                if (!arena || mv_rtfs_init(arena, ARENA_BYTES, &o, &the_evaluator, &err)) {
                        printf("# %s\n", arena ? err.msg : "no memory");
                        abort();
                }
        }
        mv_rtfs_reset(the_evaluator, &o);
        return the_evaluator;
}

/* The display form of a program's value, the display text of its error, or "call ID ARGS". */
static const char *run(const char *source)
{
        static char text[70000];
        struct mv_rtfs *r = evaluator();
        struct mv_err err;
        struct mv_out o = mv_out(text, sizeof text - 1);
        if (mv_rtfs_load_source(r, mv_slice_str(source), &err))
                return "hostile";
        switch (mv_rtfs_run(r)) {
        case MV_RTFS_DONE:
                mv_rtfs_display_result(r, &o);
                break;
        case MV_RTFS_CALL:
                mv_put_str(&o, "call ");
                mv_put_slice(&o, mv_rtfs_call_id(r));
                mv_put_str(&o, " ");
                print_display(&o, r->call_args, NULL);
                break;
        case MV_RTFS_ERROR: {
                struct mv_rtfs_error e;
                mv_rtfs_error(r, &e);
                mv_put_slice(&o, e.message);
                break;
        }
        }
        text[o.len] = '\0';
        return text;
}

struct example {
        const char *source, *gives;
};
static void check_examples(const struct example *e, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                const char *got = run(e[i].source);
                if (strcmp(got, e[i].gives) != 0)
                        printf("# %s\n", e[i].source);
                CHECK_STR(got, e[i].gives);
        }
}
#define EXAMPLES(...)                                                                              \
        static const struct example examples[] = { __VA_ARGS__ };                                  \
        check_examples(examples, sizeof examples / sizeof *examples)

/* With the prelude and a host that refuses every call. */
static const char *run_refused(const char *source)
{
        static char text[4096];
        struct mv_rtfs_options o = { .fuel = FUEL, .prelude = true };
        struct mv_rtfs_fault fault = { .kind = MV_SLICE("UnknownCapability"),
                                       .message = MV_SLICE("Unknown capability: it") };
        struct mv_out to = mv_out(text, sizeof text - 1);
        struct mv_rtfs *r = evaluator();
        struct mv_rtfs_error e = { .message = MV_SLICE("") };
        struct mv_err err;
        enum mv_rtfs_status s;
        mv_rtfs_reset(r, &o);
        if (mv_rtfs_load_source(r, mv_slice_str(source), &err))
                return "hostile";
        while ((s = mv_rtfs_run(r)) == MV_RTFS_CALL)
                mv_rtfs_fault(r, &fault);
        if (s == MV_RTFS_DONE)
                mv_rtfs_display_result(r, &to);
        else
                mv_rtfs_error(r, &e);
        mv_put_slice(&to, e.message);
        text[to.len] = '\0';
        return text;
}

TEST(every_form_and_builtin_gives_what_its_documentation_says)
{
        struct mv_rtfs_doc d;
        CHECK(mv_rtfs_doc_count() > 170);
        for (uint32_t i = 0; i < mv_rtfs_doc_count(); i++) {
                mv_rtfs_doc_at(i, &d);
                REQUIRE(d.name && d.text && d.syntax && d.result && d.errors && d.example &&
                        d.gives);
                CHECK(d.text[0] && d.result[0] && d.errors[0]);
                if (strcmp(run_refused(d.example), d.gives) != 0)
                        printf("# %s\n", d.example);
                CHECK_STR(run_refused(d.example), d.gives);
        }
}

TEST(everything_a_program_can_name_is_documented)
{
        struct mv_rtfs *r = evaluator();
        struct mv_rtfs_doc d;
        char name[64];
        for (uint32_t i = 0; i < r->saved_globals; i++) {
                const struct name *n = r->global_names[i];
                snprintf(name, sizeof name, "%.*s", (int)n->len, (const char *)n->text);
                if (n->text[0] == '%' || !strcmp(name, "args") || mv_rtfs_doc_find(name, &d))
                        continue;
                printf("# %s\n", name);
                CHECK(false);
        }
        for (const struct special_form *s = special_forms; s->word; s++)
                /* with a space: the reader makes it */
                CHECK(strchr(s->word, ' ') || mv_rtfs_doc_find(s->word, &d));
}

static const char *hint_of(const char *source)
{
        static char text[128];
        struct mv_rtfs_error e;
        (void)run(source);
        mv_rtfs_error(the_evaluator, &e);
        snprintf(text, sizeof text, "%.*s", MV_SARG(e.hint));
        return text;
}

TEST(an_undefined_name_is_told_which_one_was_meant)
{
        CHECK_STR(hint_of("(maap inc [1])"), "did you mean map?");
        CHECK_STR(hint_of("(whenn true 1)"), "did you mean when?");
        CHECK_STR(hint_of("(defn helper [x] x) (helpr 1)"), "did you mean helper?");
        CHECK_STR(hint_of("(%item 1)"), ""); /* what the library has for itself is not told */
        CHECK_STR(hint_of("(entirely-different 1)"), "");
        CHECK_STR(hint_of("(+ 1 \"a\")"), "");
}

TEST(long_strings_are_indexed_like_short_ones)
{
        /* Every position of a text with characters of one to four bytes, across the blocks of
         * its index. */
        EXAMPLES({ "(let [s (join \"\" (map (fn [i] \"a\u00e9\u6f22\U0001f600\") (range 600))) n "
                   "(count s)]"
                   "  (loop [i 0 bad 0] (if (< i n)"
                   "    (recur (+ i 1) (if (= (nth s i) (nth \"a\u00e9\u6f22\U0001f600\" (mod i "
                   "4))) bad (+ bad 1)))"
                   "    [n bad])))",
                   "[2400 0]" },
                 { "(let [s (join \"\" (map (fn [i] \"a\u00e9\u6f22\U0001f600\") (range 600)))]"
                   "  [(substring s 2398) (substring s 1022 1027) (last s) (count (drop 512 s)) "
                   "(substring s 2400)])",
                   "[\"\u6f22\U0001f600\" \"\u6f22\U0001f600a\u00e9\u6f22\" \"\U0001f600\" 1888 "
                   "\"\"]" },
                 { "(let [s (join \"\" (map (fn [i] \"x\") (range 511)))] (nth (str s \"\u00e9y\") "
                   "512))",
                   "\"y\"" },
                 { "(count (parse-json (str \"\\\"\" (join \"\" (map (fn [i] \"\\\\u00e9\") (range "
                   "700))) \"\\\"\")))",
                   "700" });
}

TEST(a_hundred_thousand_names_are_found_and_told_apart)
{
        static char source[2 << 20];
        size_t n = (size_t)snprintf(source, sizeof source, "(count (distinct [");
        for (int i = 0; i < 100000; i++)
                n += (size_t)snprintf(source + n, sizeof source - n, ":k%d ", i);
        snprintf(source + n, sizeof source - n, ":k5 :k99999]))");
        struct mv_rtfs_options o = { .fuel = FUEL };
        struct mv_rtfs *r = NULL;
        struct mv_err err;
        void *arena = aligned_alloc(4096, 64u << 20);
        REQUIRE(arena && mv_rtfs_init(arena, 64u << 20, &o, &r, &err) == 0);
        REQUIRE(mv_rtfs_load_source(r, mv_slice_str(source), &err) == 0);
        CHECK(mv_rtfs_run(r) == MV_RTFS_DONE);
        char text[32];
        struct mv_out to = mv_out(text, sizeof text);
        mv_rtfs_display_result(r, &to);
        CHECK(mv_slice_eq_str(mv_out_slice(&to), "100000"));
        free(arena);
}

TEST(arithmetic_is_exact_and_checked)
{
        EXAMPLES({ "(- -9223372036854775808)", "Integer overflow in -" },
                 { "(abs -9223372036854775808)", "Integer overflow in abs" },
                 { "(dec -9223372036854775808)", "Integer overflow in dec" },
                 { "(type-name (/ -9223372036854775808 -1))", "\"float\"" },
                 { "(mod -9223372036854775808 -1)", "0" },
                 { "(/ 9007199254740993 1)", "9007199254740993" },
                 { "(type-name (/ 1.0e300))", "\"float\"" },
                 { "(pow -2 63)", "-9223372036854775808" },
                 { "(pow -1 9223372036854775807)", "-1" }, { "(pow 0 0)", "1" },
                 { "(pow 2 -1)", "0.5" }, { "(pow 2 64)", "Integer overflow in pow" },
                 { "(< 9007199254740992.0 9007199254740993)", "true" }, { "(= 1 1.0)", "false" },
                 { "(< 9223372036854775807 9223372036854775808.0)", "true" },
                 { "(< ##NaN 1)", "false" }, { "(>= ##NaN ##NaN)", "false" },
                 { "(max 1 ##NaN)", "1" }, { "(max \"a\")", "\"a\"" },
                 { "(max \"a\" 1)", "Runtime error: max can only compare numbers" },
                 { "(+ 1 \"x\" (/ 1 0))", "Division by zero" },
                 { "(reduce + [1 2 \"x\"])", "Type error in +: expected number, got string" },
                 { "(int 1.0e300)", "9223372036854775807" }, { "(int ##NaN)", "0" },
                 { "(parse-float \" -inf \")", "-inf" }, { "(parse-float \"1e\")", "nil" },
                 { "(parse-int \"99999999999999999999\")", "nil" });
}

TEST(strings_are_code_points)
{
        EXAMPLES({ "(string-upper \"\u00dfa\")", "\"SSA\"" },
                 { "(string-lower \"\u039f\u03a3 \u03a3\")", "\"\u03bf\u03c2 \u03c3\"" },
                 { "(substring \"a\u00e9\u65e5b\" 1 3)", "\"\u00e9\u65e5\"" },
                 { "(reverse \"a\u00e9\u65e5\")", "\"\u65e5\u00e9a\"" },
                 { "(nth \"a\u00e9\u65e5\" 2)", "\"\u65e5\"" },
                 { "(sort \"b\u00e9a\")", "\"ab\u00e9\"" },
                 { "(split \"aXXbXX\" \"XX\")", "[\"a\" \"b\" \"\"]" },
                 { "(split nil \"\")", "[\"\"]" },
                 { "(string-trim \"\u00a0\u3000x\u2003\")", "\"x\"" },
                 { "(string-trim \" \u3000 \")", "\"\"" },
                 { "(substring \"abc\" 0 1 2)",
                   "Arity mismatch in substring: expected 2 or 3, got 4" },
                 { "(join 1 [])", "Type error in join: expected string, got integer" },
                 { "(string-join \",\" \"abc\")",
                   "Type error in join: expected vector or list, got string" },
                 { "(join \"\u00e9\" ['a \"b\" [\"c\"]])", "\"a\u00e9b\u00e9[\"c\"]\"" },
                 { "(str)", "\"\"" }, { "(re-seq \"a*\" \"baac\")", "[\"\" \"aa\" \"\"]" },
                 { "(re-seq \"\" \"ab\")", "[\"\" \"\" \"\"]" },
                 { "(re-seq \"(?i)\u00c9.\" \"\u00e9a\u00c9\u65e5\")",
                   "[\"\u00e9a\" \"\u00c9\u65e5\"]" },
                 { "(re-matches \"(\" \"a\")",
                   "Runtime error: Invalid regex pattern '(': unclosed group" },
                 { "(re-find 1 \"a\")",
                   "Type error in re-find: expected string (pattern), got integer" });
}

TEST(lists_are_taken_wherever_vectors_are) /* */
{
        EXAMPLES({ "(rest '(1 2))", "(2)" }, { "(rest '())", "()" }, { "(last '(1 2))", "2" },
                 { "(nth '(1 2) 1)", "2" }, { "(take 1 '(1 2))", "[1]" },
                 { "(drop 1 '(1 2 3))", "[2 3]" }, { "(reverse '(1 2))", "[2 1]" },
                 { "(sort '(2 1))", "[1 2]" }, { "(partition 2 '(1 2 3))", "[[1 2] [3]]" },
                 { "(conj '(2) 1)", "(1 2)" }, { "(cons 0 '(1))", "[0 1]" },
                 { "(subvec '(1 2 3) 1 2)", "[2]" }, { "(contains? '(1 2) 2)", "true" },
                 { "(map inc '(1 2))", "[2 3]" }, { "(remove even? '(1 2 3))", "(1 3)" },
                 { "(map-indexed + '(1 2))", "(1 3)" }, { "(filter even? '(1 2))", "[2]" },
                 { "(every? even? '(2))", "true" }, { "(serialize-json '(1 2))", "\"[1,2]\"" },
                 { "(get-in {:a 1} '(:a))", "1" });
}

TEST(nil_is_accepted_only_where_the_specification_names_it)
{
        EXAMPLES(
                { "(first nil)", "Type error in first: expected vector, list, or string, got nil" },
                { "(count nil)",
                  "Type error in count: expected vector, list, map, or string, got nil" },
                { "(map inc nil)", "Type error in map: expected vector, list, or string, got nil" },
                { "(merge nil {:a 1} nil)", "{:a 1}" }, { "(merge nil)", "nil" },
                { "(conj nil 1 2)", "[1 2]" }, { "(concat nil [1] nil)", "[1]" },
                { "(get nil :a 1)", "1" }, { "(get-in nil [:a] 2)", "2" },
                { "(group-by even? nil)", "{}" }, { "(empty? nil)", "true" },
                { "(starts-with? nil \"a\")", "false" }, { "(re-seq \"a\" nil)", "[]" },
                { "(assoc nil :a 1)", "Type error in assoc: expected map or vector, got nil" });
}

TEST(functions_that_call_functions_accept_every_callable_and_every_collection) /*
 */
{
        EXAMPLES({ "(map :a [{:a 1} nil])", "[1 nil]" },
                 { "(map (fn [[k v]] v) {:a 1 :b 2})", "[1 2]" },
                 { "(filter (fn [[k v]] (> v 1)) {:a 1 :b 2})", "[[:b 2]]" },
                 { "(filter even? \"ab\")",
                   "Type error in filter: expected vector or list, got string" },
                 { "(map 5 [])", "[]" }, { "(reduce 5 [1])", "1" },
                 { "(reduce 5 [1 2])", "Type error in reduce: expected function, got integer" },
                 { "(reduce + [])",
                   "Runtime error: reduce on empty collection with no initial value" },
                 { "(reduce + 5)", "Runtime error: reduce expects a vector, string, or list as its "
                                   "last argument, got integer" },
                 { "(reduce +)", "Arity mismatch in reduce: expected between 2 and 3, got 1" },
                 { "(some? nil)", "false" }, { "(some? even? '(1 2))", "true" },
                 { "(some?)", "Arity mismatch in some?: expected between 1 and 2, got 0" },
                 { "(update [1 2] 1 + 10 20)", "[1 32]" },
                 { "(update {:a 1} :a \"inc\")", "{:a 2}" },
                 { "(update [1] 1 inc)", "Index out of bounds: index 1 is not in range [0, 1)" },
                 { "(update {} 1.5 inc)",
                   "Type error in update: expected string, keyword or integer, got float" },
                 { "(update {:a 1} :a \"%seq\")", "Runtime error: function '%seq' not found" },
                 { "(group-by (fn [x] (if (even? x) nil x)) [1 2 1])", "{\"nil\" [2] 1 [1 1]}" },
                 { "(map (fn [x] (call :t x)) [1])", "call t [1]" },
                 { "(apply map [inc [1 2]])", "[2 3]" },
                 { "(map map [inc] )", "Arity mismatch in map: expected 2, got 1" });
}

TEST(a_program_that_redefines_builtins_does_not_change_the_library)
{
        EXAMPLES({ "(def nth 1) (def count 2) (def conj 3) (def assoc 4) (def get 5) (map inc [1 "
                   "2])",
                   "[2 3]" },
                 { "(def first 1) (def last 1) (def min 1) (def join 1) (def apply 1) (sort > [1 3 "
                   "2])",
                   "[3 2 1]" },
                 { "(def map 1) (sort-by :n [{:n 2} {:n 1}])", "[{:n 1} {:n 2}]" },
                 { "(def assoc 1) (def apply 2) (update {:a 1} :a + 1)", "{:a 2}" });
}

TEST(sorting_is_stable_with_and_without_a_comparator) /* */
{
        EXAMPLES(
                { "(sort (fn [a b] (< (mod a 10) (mod b 10))) [21 3 11 2 13 1 22])",
                  "[21 11 1 2 22 3 13]" },
                { "(sort-by (fn [x] (mod x 10)) [21 3 11 2 13 1 22])", "[21 11 1 2 22 3 13]" },
                { "(sort (fn [a b] (- b a)) [1 3 2])", "[3 2 1]" },
                { "(sort > \"abc\")", "\"cba\"" }, { "(sort > [])", "[]" },
                { "(= (sort < (range 1000 0 -1)) (range 1 1001))", "true" },
                { "(sort (fn [a b] \"x\") [1 2])",
                  "Type error in sort comparator result: expected boolean or integer, got string" },
                { "(sort 5 [1])", "Type error in sort: expected function, got integer" },
                { "(sort [nil :a \"a\" 1 true [] {} 'x 1.5 false])",
                  "[nil false true 1 1.5 \"a\" :a x [] {}]" });
}

TEST(collections_check_their_arguments_in_the_written_order)
{
        EXAMPLES({ "(nth 5 \"x\")", "Type error in nth: expected integer, got string" },
                 { "(nth [1] 5 :d)", ":d" },
                 { "(nth {} 0)", "Type error in nth: expected vector, list, or string, got map" },
                 { "(get {:a 1} [1])",
                   "Type error in map key: expected string, keyword, or integer, got vector" },
                 { "(find {:a 1 \"1.5\" 2} 1.5)", "[\"1.5\" 2]" },
                 { "(subvec [1] 0 :x)",
                   "Type error in subvec end index: expected integer, got keyword" },
                 { "(conj {:a 1} [1])",
                   "Type error in conj: expected vector of key and value, got vector" },
                 { "(conj {:a 1} {:b 2})", "{:a 1 :b 2}" }, { "(range 3 3)", "[]" },
                 { "(range 1 2 0)", "Invalid argument: range step must not be zero" },
                 { "(range -9223372036854775808 9223372036854775807 9223372036854775807)",
                   "[-9223372036854775808 -1 9223372036854775806]" },
                 { "(numbers 9223372036854775806 9223372036854775807)",
                   "[9223372036854775806 9223372036854775807]" },
                 { "(distinct [1 1.0 1 [1] [1] \"a\" \"a\"])", "[1 1 [1] \"a\"]" },
                 { "(frequencies \"abca\")", "{\"a\" 2 \"b\" 1 \"c\" 1}" },
                 { "(partition 5 [1 2])", "[[1 2]]" },
                 { "(last {})", "Type error in last: expected vector or string, got map" });
}

TEST(too_large_a_range_is_a_limit_and_not_a_hang)
{
        EXAMPLES({ "(range 9000000000)", "Fuel limit exceeded: 50000000 steps" });
        CHECK(strncmp(run("(count (range 2000000))"), "Memory limit exceeded", 21) == 0);
        CHECK(strncmp(run("(count (range 40000000))"), "Memory limit exceeded", 21) == 0);
}

TEST(json_goes_both_ways)
{
        EXAMPLES({ "(serialize-json {:b 1 \"a\" 2 10 3 9 4 :c [1.0 nil]})",
                   "\"{\"10\":3,\"9\":4,\"a\":2,\"b\":1,\"c\":[1.0,null]}\"" },
                 { "(serialize-json {:a 1 \"a\" 2})", "\"{\"a\":1}\"" },
                 { "(serialize-json [:k])", "Runtime error: JSON serialization error: Runtime "
                                            "error: Cannot serialize keywords to JSON" },
                 { "(serialize-json inc)", "Runtime error: JSON serialization error: Runtime "
                                           "error: Cannot serialize functions to JSON" },
                 { "(serialize-json (Exception. \"m\"))",
                   "Runtime error: JSON serialization error: Runtime error: Cannot serialize "
                   "errors to JSON: m" },
                 { "(serialize-json [1.0e16 1.0e-7 -0.0])", "\"[1e16,1e-7,-0.0]\"" },
                 { "(serialize-json-pretty {:a [] :b {} :c {1 2}})",
                   "\"{\n  \"a\": [],\n  \"b\": {},\n  \"c\": {\n    \"1\": 2\n  }\n}\"" },
                 { "(parse-json \"{\\\"a\\\":[1,2.0,\\\"\\\\u00e9\\\"],\\\"a\\\":{}}\")",
                   "{\"a\" {}}" },
                 { "(= {\"k\" [1 \"x\" nil true 1.5]} (parse-json (serialize-json {\"k\" [1 \"x\" "
                   "nil true 1.5]})))",
                   "true" },
                 { "(type-name (parse-json \"-0\"))", "\"float\"" });
        CHECK(strncmp(run("(parse-json \"[1,]\")"), "Runtime error: JSON parsing error: ", 35) ==
              0);
        CHECK(strncmp(run("(parse-json (apply str (map (fn [x] \"[\") (range 200))))"),
                      "Runtime error: JSON parsing error: ", 35) == 0);
}

TEST(error_values_answer_keywords_and_can_be_thrown) /* */
{
        EXAMPLES({ "(try (throw {:code 1}) (catch e [(:kind e) (:message e) (:data e) (:x e 7) "
                   "(get e :kind)]))",
                   "[:application-error \"{:code 1}\" {:code 1} 7 :application-error]" },
                 { "(throw \"boom\")", "Application error (:user): boom" },
                 { "(try (throw (Exception. \"m\" [1])) (catch e [(getMessage e) (:data e)]))",
                   "[\"m\" [1]]" },
                 { "(try (try (nth [] 1) (catch e (throw e))) (catch f (:kind f)))",
                   ":index-out-of-bounds" },
                 { "(:a 5)", "Type error in keyword lookup: expected map, got integer" },
                 { "(:a)", "Arity mismatch in :a: expected 1 or 2, got 0" }, { "(:a nil 1)", "1" });
}

TEST(types_say_what_was_expected_where)
{
#define IN(type, value) "((fn [x : " type "] x) " value ")"
#define MISMATCH        "Type validation error: Type mismatch at "
#define PREDICATE       "Type validation error: Predicate violation at "
        EXAMPLES({ IN("[:vector :int]", "[1 \"a\"]"), MISMATCH "[1]: expected :int, got string" },
                 { IN("[:map [:items [:vector [:map {:id :int}]]]]", "{:items [{:id 1} {:id :x}]}"),
                   MISMATCH ".items[1].id: expected :int, got keyword" },
                 { IN("[:map-of :keyword :int]", "{:a \"1\"}"),
                   MISMATCH "[:a]: expected :int, got string" },
                 { IN("[:map [:id int]]", "{}"),
                   "Type validation error: Missing required key :id at " },
                 { IN("[:map [:a [:map [:b :int]]]]", "{:a {}}"),
                   "Type validation error: Missing required key :b at .a" },
                 { IN("[:map [:id :int ?]]", "{:id nil}"), MISMATCH ".id: expected :int, got nil" },
                 { IN("[:map [:id :int?]]", "{:id nil}"), "{:id nil}" },
                 { IN("[:map [:* :int]]", "{:z \"s\"}"), "{:z \"s\"}" },
                 { IN("[:enum :a \"b\" 3]", ":c"),
                   MISMATCH ": expected [:enum :a \"b\" 3], got :c" },
                 { IN("[:val 5]", "5.0"), MISMATCH ": expected [:val 5], got 5" },
                 { IN("[:union Int [:vector String] nil]", ":k"),
                   MISMATCH ": expected [:union :int [:vector :string] :nil], got keyword" },
                 { IN("[:tuple :int? :int]", "[nil 1]"), "[nil 1]" },
                 { IN("[:tuple [:vector :int] ? :int]", "[nil 1]"), "[nil 1]" },
                 { IN("[:array :int [2]]", "[1]"),
                   "Type validation error: Shape violation at : expected [2], got [1]" },
                 { IN("[:array :int [?]]", "[1]"), "[1]" },
                 { IN("[:resource File]", "1"),
                   MISMATCH ": expected [:resource File], got integer" },
                 { IN("MyType", "1"), MISMATCH ": expected MyType, got integer" },
                 { IN(":number", "1.5"), "1.5" },
                 { IN("[:=> [:int & :string] :int]", "inc"), "#<function>" },
                 { IN("Point?", "nil"), "nil" },
                 { IN("[:and :int [:>= 0] [:!= 3]]", "3"), PREDICATE ": != 3 failed for value 3" },
                 { IN("[:and :any [:> 0]]", "\"s\""),
                   PREDICATE ": type mismatch for comparison failed for value string" },
                 { IN("[:and :any [:min-length 2]]", "5"),
                   PREDICATE ": min-length requires string failed for value integer" },
                 { IN("[:and :int [:in-range 0 1.5]]", "1"), "1" },
                 { IN("[:and :string [:length 2]]", "\"\u00e9\u00e9\""), "\"\u00e9\u00e9\"" },
                 { IN("[:vector [:and :int [:> 0]]]", "[1 0]"),
                   PREDICATE "[1]: > 0 failed for value 0" },
                 { IN("[:and :string [:is-email]]", "\"a.b+c@x-y.co.uk\""), "\"a.b+c@x-y.co.uk\"" },
                 { IN("[:and :string [:is-email]]", "\"a@.com\""),
                   PREDICATE ": is-email failed for value \"a@.com\"" },
                 { IN("[:and :string [:is-email]]", "\"a@b.c\""),
                   PREDICATE ": is-email failed for value \"a@b.c\"" },
                 { IN("[:and :string [:matches-regex \"[\"]]", "\"a\""),
                   "Type validation error: Invalid regex pattern: [" },
                 { IN("[:and :int [:shiny]]", "1"),
                   "Type validation error: Unknown predicate: shiny" },
                 { IN("[:and [:map] [:has-key :a]]", "{}"),
                   PREDICATE ": has-key :a failed for value {}" },
                 { "((fn [& xs : [:vector :int]] 1) [1] [:x])",
                   "Type validation error: variadic argument 1: Type mismatch at [0]: expected "
                   ":int, got keyword" },
                 { "(do (deftype T [:vector T]) " IN("T", "[[[]]]") ")", "[[[]]]" },
                 { "(do (deftype T T) " IN("T", "1") ")",
                   "Stack overflow: types are nested deeper than 200 levels" },
                 { "(deftype T [:vector])", "Parse error: wrong number of items in a type" },
                 { "(do (defstruct P :x :int?) (P {}))", "{}" },
                 { "(do (defstruct P :x :int) (P {}))",
                   "Type validation error: Required field x is missing" },
                 { "(do (defstruct P :x :int) (P {:x :y}))",
                   "Type validation error: Field x failed type validation: Type mismatch at : "
                   "expected :int, got keyword" });
}

/* --- builtins called directly ----------------------------------------------------------------- */
static uint64_t seed;
static uint32_t pick(uint32_t below)
{
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        return (uint32_t)((seed >> 16) % below);
}

static val random_value(struct mv_rtfs *r, int depth)
{
        static const int64_t ints[] = { 0, 1, -1, 2, 3, 7, INT64_MAX, INT64_MIN, 1000 };
        static const double floats[] = { 0.0, -0.0, 1.5, -2.0, 1e300, 1e-300, 9007199254740993.0 };
        static const char *const texts[] = {
                "",       "a", "abc", "1",  "-2.5", "\u65e5\u00e9", "[1,{\"a\":2}]",
                "(a|b)*", "[", " x ", "inc"
        };
        val items[3];
        switch (pick(depth > 2 ? 7 : 11)) {
        case 0:
                return NIL;
        case 1:
                return BOOL(pick(2));
        case 2:
                return INT(ints[pick(9)]);
        case 3:
                return pick(8) ? FLOAT(floats[pick(7)]) : FLOAT(__builtin_nan(""));
        case 4:
                return string_from(r, texts[pick(11)]);
        case 5:
                return keyword_new(r, mv_slice(&"abcd"[pick(4)], 1));
        case 6:
                return pick(2) ? (val){ .tag = T_NATIVE, .i = pick(r->native_count) }
                               : symbol_new(r, mv_slice("?", 1));
        case 7:
                return error_new(r, (enum error_kind)pick(E_MAX_), mv_slice("why", 3), NIL);
        default:
                break;
        }
        uint32_t n = pick(4), kind = pick(3);
        for (uint32_t i = 0; i < n; i++)
                items[i] = random_value(r, depth + 1);
        if (kind == 0)
                return vec_new(r, items, n);
        if (kind == 1)
                return list_new(r, items, n);
        val m = map_empty(r);
        for (uint32_t i = 0; i + 1 < n; i += 2)
                if (map_key_ok(items[i]))
                        m = map_put(r, m, items[i], items[i + 1]);
        return m;
}

static void outcome(struct mv_rtfs *r, enum native_status s, val v, char *text, size_t cap)
{
        struct mv_out o = mv_out(text, cap - 1);
        mv_put_u8(&o, (uint8_t)('0' + s));
        if (s == N_OK)
                print_display(&o, v, NULL);
        if (s == N_ERROR)
                mv_put_slice(&o, string_slice(as_error(r->pending)->display));
        text[o.len] = '\0';
}

/* One call with all memory, then with ever more of too little: nothing but NOMEM until it gives the
 * same. */
static void check_call(struct mv_rtfs *r, const struct native *n, val *args, uint32_t count)
{
        static char full[8192], tight[8192];
        uint8_t *end = r->heap.end, *top = r->heap.top;
        bool changes = strcmp(n->name, "%push!") == 0 || strcmp(n->name, "context/set") == 0 ||
                       strcmp(n->name, "%step-started") == 0 || strcmp(n->name, "%deftype") == 0 ||
                       strcmp(n->name, "random-stream") == 0 ||
                       strcmp(n->name, "%stream-next") == 0;
        val out = NIL, copy[4];
        memcpy(copy, args, sizeof copy);
        int64_t fuel = r->fuel_left;
        enum native_status s = n->fn(r, args, count, &out);
        if (s == N_FATAL || s == N_NOMEM)
                return; /* asked for more than there is */
        outcome(r, s, out, full, sizeof full);
        int64_t used = fuel - r->fuel_left;
        for (size_t room = 0; room < 4096 && !changes; room += 48) {
                memcpy(args, copy, sizeof copy);
                r->heap.limit = r->heap.top + room < end ? r->heap.top + room : end;
                r->fuel_left = fuel;
                s = n->fn(r, args, count, &out);
                r->heap.limit = end;
                if (s == N_NOMEM)
                        continue;
                outcome(r, s, out, tight, sizeof tight);
                CHECK_STR(tight, full);
                CHECK(fuel - r->fuel_left == used);
                break;
        }
        CHECK(r->heap.top >= top && r->heap.top <= end);
}

TEST(every_builtin_answers_any_arguments_and_running_out_of_memory_changes_nothing)
{
        struct mv_rtfs *r = evaluator();
        seed = 88172645463325252u;
        for (uint32_t round = 0; round < 30000; round++) {
                const struct native *n = r->natives[pick(r->native_count)];
                uint32_t least = n->args_min < 0 ? 0 : (uint32_t)n->args_min;
                uint32_t count = n->args_max >= 0 && (uint32_t)n->args_max <= least
                                         ? least
                                         : least + pick(3);
                if (!n->fn || count > 4 || (n->args_max >= 0 && count > (uint32_t)n->args_max))
                        continue;
                if (round % 100 == 0) /* nothing holds what earlier rounds made */
                        evaluator();
                val args[4] = { NIL, NIL, NIL, NIL };
                r->heap.limit = r->heap.end;
                for (uint32_t i = 0; i < count; i++)
                        args[i] = random_value(r, 0);
                r->fuel_left = 100000;
                check_call(r, n, args, count);
        }
}

TEST(a_type_expression_is_checked_before_it_is_used)
{
        struct mv_rtfs *r = evaluator();
        seed = 362436069362436069u;
        for (uint32_t round = 0; round < 20000; round++) {
                if (round % 100 == 0)
                        evaluator();
                r->heap.limit = r->heap.end;
                r->fuel_left = 100000;
                val form = random_value(r, 0);
                static const char *const heads[] = { "vector",   "tuple",      "map",
                                                     "map-of",   "fn",         "enum",
                                                     "val",      "union",      "and",
                                                     "array",    "resource",   ">",
                                                     "in-range", "min-length", "required-keys" };
                if (form.tag == T_VECTOR) {
                        val head = keyword_new(r, mv_slice_str(heads[pick(15)])),
                            all = vec_builder(r);
                        vec_push(r, all, head);
                        push_all(r, all, form);
                        form = all;
                }
                if (type_form_check(r, form) == N_OK)
                        type_check(r, form, random_value(r, 0), (int)pick(2) - 1);
        }
}
