/* SPDX-License-Identifier: Apache-2.0 */
/* What a program can ask of its host, without running it. REQ-PROG-09, REQ-LANG-11. */
#include "../test.h"
#include "rtfs_program.h"
#include <wire/cbor.h>

static uint8_t code[1 << 16], text[1 << 16];

static struct mv_rtfs *evaluator(void)
{
        static struct mv_rtfs *r;
        if (!r)
                r = program_evaluator(8u << 20);
        return r;
}

static const char *sites_of_bytecode(struct mv_slice bytecode)
{
        struct mv_rtfs_options o = { .prelude = true };
        struct mv_out out = mv_out(text, sizeof text - 1);
        struct mv_err err;
        mv_rtfs_reset(evaluator(), &o);
        if (mv_rtfs_load_bytecode(evaluator(), bytecode, &err) < 0)
                return err.msg[0] ? "refused" : "";
        if (!mv_rtfs_inspect(evaluator()))
                return "failed";
        mv_rtfs_display_result(evaluator(), &out);
        text[out.len] = 0;
        return (const char *)text;
}

/* "[[id via line column] ...]" */
static const char *sites(const char *source)
{
        struct mv_rtfs_error e;
        struct mv_out module = mv_out(code, sizeof code);
        struct mv_rtfs_options o = { .prelude = true };
        mv_rtfs_reset(evaluator(), &o);
        if (!mv_rtfs_compile(evaluator(), mv_slice_str(source), &module, &e))
                return "does not compile";
        return sites_of_bytecode(mv_out_slice(&module));
}

TEST(an_id_that_is_a_constant_is_listed_with_its_place)
{
        CHECK_STR(sites("(+ 1 2)"), "[]");
        CHECK_STR(sites("(call \"a.b\" 1)"), "[[\"a.b\" nil 1 1]]");
        CHECK_STR(sites("(call :a.b 1)"), "[[\"a.b\" nil 1 1]]");
        CHECK_STR(sites("\n\n  (defn f [] (fn [x] (call \"a.b\" x)))"), "[[\"a.b\" nil 3 22]]");
        CHECK_STR(sites("(call \"a.b\" (if (call \"c\") (call \"d\") 2))"),
                  "[[\"c\" nil 1 17] [\"d\" nil 1 28] [\"a.b\" nil 1 1]]");
        CHECK_STR(sites("(let [id \"a.b\"] (call id))"), "[[\"a.b\" nil 1 17]]");
        CHECK_STR(sites("(apply call \"a.b\" [1])"), "[[\"a.b\" nil 1 1]]");
        CHECK_STR(sites("(loop [i 0] (call \"a.b\" i) (recur (+ i 1)))"), "[[\"a.b\" nil 1 13]]");
        CHECK_STR(sites("(try (call \"a\") (catch e (call \"b\")) (finally (call \"c\")))"),
                  "[[\"a\" nil 1 6] [\"b\" nil 1 26] [\"c\" nil 1 47]]");
        CHECK_STR(sites("(defn h ^:delegation :remote \"m\" [x] x)"),
                  "[[\"model-call:m\" nil 1 38]]");
}

TEST(an_id_that_is_computed_is_listed_as_that)
{
        CHECK_STR(sites("(defn f [id] (call id 1))"), "[[nil nil 1 14]]");
        CHECK_STR(sites("(call (str \"a\" \"b\"))"), "[[nil nil 1 1]]");
        CHECK_STR(sites("(call (if (read) \"a\" \"b\"))"), "[[nil nil 1 1]]");
        CHECK_STR(sites("(let [id (if x \"a\" \"b\")] (call id))"), "[[nil nil 1 26]]");
        CHECK_STR(sites("(loop [id \"a\"] (call id) (recur \"b\"))"), "[[nil nil 1 16]]");
        CHECK_STR(sites("(apply call [\"a.b\" 1])"), "[[nil nil 1 1]]");
}

TEST(the_builtin_call_does_not_get_away)
{
        static const char *const programs[] = {
                "(map call [\"a\"])",
                "(def c call) (c \"a\")",
                "(let [c call] (fn [x] (c x)))",
                "(fn [] call)",
                "[call]",
                "{:c call}",
                "((if x call str) \"a\")",
                "((get :call) (f))",
                "(defn g [f] (f \"a\")) (g call)",
                "(let [c call] (loop [i 0] (c (str i)) (recur (+ i 1))))",
                "(reduce call \"a\" [1])",
                "(apply apply [call [\"a\"]])",
                "(apply apply call [[\"a\"]])",
                "(let [f (fn [] (throw call))] (f))",
                "(try (x) (catch e call))",
                "(match 1 1 call)",
                "(update {:a \"x\"} :a call)",
                "((get {} :x call) \"a\")",
                "(let [f (get {} :x call)] (f \"a\"))",
                "(loop [m {} i 0] (if (< i 9) (recur (assoc m i call) (+ i 1)) ((get m 3) \"a\")))",
                "(loop [v [] i 0] (if (< i 9) (recur (conj v call) (+ i 1)) ((nth v 3) \"a\")))",
        };
        for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
                bool there = strstr(sites(programs[i]), "[nil nil ") != NULL;
                if (!there)
                        printf("# %s\n", programs[i]);
                CHECK(there);
        }
}

TEST(names_of_the_prelude_are_looked_into)
{
        CHECK_STR(sites("(println 1)"), "[[\"ccos.io.println\" \"println\" 1 2]]");
        CHECK_STR(sites("(map tool/log [1])"), "[[\"ccos.io.log\" \"tool/log\" 1 6]]");
        CHECK_STR(sites("(kv/assoc! :k 1 2)"), "[[\"ccos.state.kv.get\" \"kv/assoc!\" 1 2] "
                                               "[\"ccos.state.kv.put\" \"kv/assoc!\" 1 2]]");
        CHECK_STR(sites("((get :println) 1)"), "[[\"ccos.io.println\" \"println\" 1 2]]");
        CHECK_STR(sites("(sort (map inc (filter odd? [1 2])))"), "[]");
}

/* A record is looked at once, however often others mention it; nothing recurses into it. */
TEST(a_long_chain_of_functions_is_walked_in_order)
{
        static char source[60000];
        size_t n = 0;
        for (int i = 0; i < 300; i++)
                n += (size_t)snprintf(source + n, sizeof source - n, "(fn [] ");
        n += (size_t)snprintf(source + n, sizeof source - n, "(call \"deep\")");
        for (int i = 0; i < 300; i++)
                source[n++] = ')';
        source[n] = 0;
        CHECK(strstr(sites(source), "\"deep\"") != NULL);
}

/* --- every call that is made was foreseen ----------------------------------------------------- */
static bool foreseen(const char *report, const char *id)
{
        char quoted[300];
        snprintf(quoted, sizeof quoted, "[\"%s\" ", id);
        return strstr(report, quoted) || strstr(report, "[nil nil ");
}

TEST(no_call_is_made_that_was_not_foreseen)
{
        static const char *const programs[] = {
                "(dotimes [i 3] (call (str \"x\" i)))",
                "(let [a \"one\" b \"two\"] (call (if true a b)))",
                "(let [a \"one\"] (let [a \"two\"] (call a)) (call a))",
                "(loop [i 0 id \"a\"] (when (< i 3) (call id) (recur (+ i 1) (str id id))))",
                "(let [id \"a\" id (do (call id) \"b\")] (call id))",
                "(try (let [id \"a\"] (/ 1 0)) (catch e (call \"b\")))",
                "(let [id \"a\"] (try (/ 1 0) (catch e nil)) (call id))",
                "(for [x [\"p\" \"q\"]] (call x))",
                "(match [1 \"z\"] [1 id] (call id))",
                "(defn f [& ids] (map call ids)) (f \"m\" \"n\")",
                "(and (call \"l\") (call \"r\")) (or (call \"l2\") (call \"r2\"))",
                "(cond (= 1 2) (call \"no\") :else (call \"yes\"))",
                "(println 1) (get-env \"X\") (kv/conj! :a 1)",
                "(step \"s\" (call \"in-step\"))",
        };
        for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
                static char report[1 << 16];
                static struct program_run run;
                snprintf(report, sizeof report, "%s", sites(programs[i]));
                program_run(evaluator(), mv_slice_str(programs[i]), PROGRAM_SOURCE, 100000, &run);
                for (char *at = run.text; (at = strstr(at, "call ")); at += 5) {
                        char id[64] = "";
                        sscanf(at + 5, "%40[a-z0-9.-]", id);
                        if (!foreseen(report, id))
                                printf("# %s: %s is not in %s\n", programs[i], id, report);
                        CHECK(foreseen(report, id));
                }
        }
}

TEST(hostile_bytecode_is_refused_before_it_is_looked_at)
{
        CHECK_STR(sites_of_bytecode(MV_SLICE("RTFB")), "refused");
        CHECK_STR(sites("(call \"a\")"), "[[\"a\" nil 1 1]]");
        static uint8_t copy[sizeof code];
        memcpy(copy, code, 200);
        for (size_t i = 0; i < 200; i++) {
                copy[i] ^= 0x41;
                (void)sites_of_bytecode(mv_slice(copy, 200)); /* sanitizers watch */
                copy[i] ^= 0x41;
        }
}

TEST(effects_that_the_source_declares_are_read_from_its_forms)
{
        struct mv_err err;
        struct mv_out o = mv_out(code, sizeof code);
        const struct mv_value *v;
        struct mv_arena arena = mv_arena_grow(1 << 20);
        mv_rtfs_reset(evaluator(), NULL);
        mv_rtfs_load_source(evaluator(),
                            MV_SLICE("\n ^{:effects [[:network {:domains [\"a\"]}]]} (f)\n"
                                     "[^{:effects {[a] 1}} x ^{:effects :none} y]"),
                            &err);
        CHECK(mv_rtfs_encode_declared(evaluator(), &o));
        CHECK(mv_value_decode(mv_out_slice(&o), &arena, &v, &err) == 0);
        char *shown = mv_value_display(v, NULL);
        CHECK_STR(shown, "[[2 44 [[:network {:domains [\"a\"]}]]] [3 42 :none]]");
        free(shown);
        mv_arena_done(&arena);
}
