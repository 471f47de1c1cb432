/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled programs: they do what their source does, and hostile ones are refused or harmless. */
#include "../fuzz/rtfs_heap.h"
#include "../test.h"
#include <rtfs/bytecode.h>

#define FUEL 1000000u

static const char *const programs[] = {
        "42",
        "(do)",
        "(def x 1) (def y (+ x 2)) [x y (- y) (* 2 3.5) (/ 7 2)]",
        "(defn fact [n] (if (< n 2) 1 (* n (fact (- n 1))))) (fact 15)",
        "(loop [i 0 acc []] (if (= i 5) acc (recur (inc i) (conj acc (* i i)))))",
        "(let [{:keys [a b] :or {b 7} & r} {:a 1 :c 3} [x & xs] [1 2 3]] [a b r x xs])",
        "(defn f [& xs] (reduce + 0 xs)) [(f) (f 1 2 3) (apply f [4 5])]",
        "(match {:k [1 2]} {:k [a b]} (+ a b) _ :no)",
        "(match 5 (:int n) (* n 2) _ 0)",
        "(try (/ 1 0) (catch :division-by-zero e (:message e)) (finally (step \"done\" 1)))",
        "(try (throw {:a 1}) (catch e (:data e)))",
        "(for [x [1 2 3] y [:a :b] :when (odd? x)] [x y])",
        "(dotimes [i 3] (call \"ccos.echo\" i))",
        "(step \"one\" (call \"a.b\" 1 \"x\" {:k [1]}) (step-if (> 2 1) :yes :no))",
        "(defstruct Point :x int :y int) (try (Point {:x 1}) (catch e :bad))",
        "(deftype Age int) (defn g [a : Age] : int a) [(g 3) (try (g \"x\") (catch e :bad))]",
        "(let [even (fn [n] (if (= n 0) true (odd (dec n)))) odd (fn [n] (if (= n 0) false (even "
        "(dec n))))] (even 10))",
        "(def c (let [n 5] (fn [x] (fn [y] (+ n x y))))) ((c 1) 2)",
        "`(1 ~(+ 1 1) ~@[3 4] {:k ~(str 5)})",
        "'(a b :c \"d\" [1.5 nil true] {:m (x)} ##NaN -0.0)",
        "(map #(+ % 1) [1 2 3])",
        "(defn h ^:delegation :remote \"m\" [x] x) (h 1)",
        "(missing 1)",
        "(get :nothing)",
        "(def + -) (+ 5 3)",
        "(def a (str 1)) (defmacro str [x] 5) [a (str 1) (try str (catch e (:message e)))]",
        "(defmacro twice [x] `(do ~x ~x)) (twice (call \"again\"))",
        "(case 3 1 :one (2 3) :few :many)",
        "(cond (= 1 2) :a (= 1 1) :b)",
        "(and 1 (or nil 2) (when true 3))",
        "(-> 5 (+ 1) (* 2))",
        "(module m (:exports [f]) (def k 3) (defn f [x] (+ x k))) (import m :as a) (a/f 4)",
        "(import nowhere)",
        "(loop [i 0] (recur (inc i)))",
        "(defn deep [n] (+ 1 (deep n))) (deep 1)",
        "[1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 "
        "33 34 35 36 37 38 39 40"
        " 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63 64 65 66 67 68 69 "
        "70]",
};
#define PROGRAMS (sizeof programs / sizeof *programs)

static struct mv_rtfs *evaluator(void)
{
        static struct mv_rtfs *r;
        if (!r)
                r = program_evaluator(4u << 20);
        return r;
}

static uint8_t code[65536], code_again[65536];

TEST(a_compiled_program_gives_the_value_fuel_and_events_of_its_source)
{
        static struct program_run from_source, from_code;
        struct mv_rtfs_error e;
        for (size_t i = 0; i < PROGRAMS; i++) {
                size_t len = program_compile(evaluator(), programs[i], code, sizeof code, &e);
                CHECK(len > 0);
                program_run(evaluator(), mv_slice_str(programs[i]), false, FUEL, &from_source);
                program_run(evaluator(), mv_slice(code, len), true, FUEL, &from_code);
                CHECK(from_code.loaded && from_code.done == from_source.done);
                CHECK_STR(from_code.text, from_source.text);
                if (!strstr(programs[i], "defmacro")) /* macros take their fuel when they expand */
                        CHECK(from_code.fuel == from_source.fuel);
        }
}

TEST(the_same_source_compiles_to_the_same_bytes)
{
        struct mv_rtfs_error e;
        struct mv_rtfs *other = program_evaluator(1u << 20);
        for (size_t i = 0; i < PROGRAMS; i++) {
                size_t len = program_compile(evaluator(), programs[i], code, sizeof code, &e);
                CHECK(program_compile(other, programs[i], code_again, sizeof code_again, &e) ==
                      len);
                CHECK(memcmp(code, code_again, len) == 0);
        }
        free(other);
}

TEST(compiling_runs_nothing_of_the_program)
{
        struct mv_rtfs_error e;
        CHECK(program_compile(evaluator(), "(loop [] (recur))", code, sizeof code, &e) > 0);
        CHECK(mv_rtfs_fuel_used(evaluator()) == 0);
}

static bool refused_because(const char *source, const char *kind, const char *part)
{
        struct mv_rtfs_error e = { 0 };
        char message[512];
        if (program_compile(evaluator(), source, code, sizeof code, &e) > 0)
                return false;
        snprintf(message, sizeof message, "%.*s", MV_SARG(e.message));
        return mv_slice_eq_str(e.kind, kind) && strstr(message, part);
}

TEST(what_cannot_be_compiled_says_why)
{
        CHECK(refused_because("(+ 1 2", "ParseError", "not closed"));
        CHECK(refused_because("(if)", "ParseError", "if takes"));
        CHECK(refused_because("(defn f [x] x) (defmacro m [x] (f x)) (m 3)", "ParseError",
                              "a macro needs f"));
        CHECK(refused_because("(defn f [x] x) (defmacro m [x] (try (f x) (catch e 9))) (m 3)",
                              "ParseError", "a macro needs f"));
        CHECK(refused_because("(defmacro m [] (fn [x] x)) ((m) 3)", "ParseError",
                              "no compiled form"));
        struct mv_rtfs_error e;
        CHECK(program_compile(evaluator(), "[1 2 3]", code, 40, &e) == 0 &&
              mv_slice_eq_str(e.kind, "MemoryExhausted"));
}

TEST(forms_that_a_macro_made_are_checked_like_written_ones)
{
        static struct program_run run;
        program_run(evaluator(), MV_SLICE("(defmacro m [f] (list (first f) 5 1)) (m ^{:a 1} x)"),
                    false, FUEL, &run);
        CHECK(strstr(run.text, "ParseError"));
        program_run(evaluator(), MV_SLICE("(defmacro id [f] f) (id ^{:runtime.learning 1} 7)"),
                    false, FUEL, &run);
        CHECK(run.done && strstr(run.text, "7"));
        program_run(
                evaluator(),
                MV_SLICE("(defmacro m [f] (list (first f) (list (first (first (rest f))) 5) [] 1))"
                         " ((m (fn ^:delegation :remote \"m\" [x] x)))"),
                false, FUEL, &run);
        CHECK(strstr(run.text, "ParseError"));
}

/* --- bytes that are no module ----------------------------------------------------------------- */
TEST(every_truncation_is_refused)
{
        struct mv_rtfs_error e;
        struct mv_err err;
        for (size_t i = 0; i < PROGRAMS; i++) {
                size_t len = program_compile(evaluator(), programs[i], code, sizeof code, &e);
                for (size_t n = 0; n < len; n++) {
                        mv_rtfs_reset(evaluator(), NULL);
                        uint8_t *exact = malloc(n ? n : 1);
                        memcpy(exact, code, n);
                        CHECK(mv_rtfs_load_bytecode(evaluator(), mv_slice(exact, n), &err) ==
                              -(int)MV_E_HOSTILE);
                        free(exact);
                }
                code[len] = 0;
                mv_rtfs_reset(evaluator(), NULL);
                CHECK(mv_rtfs_load_bytecode(evaluator(), mv_slice(code, len + 1), &err) ==
                      -(int)MV_E_HOSTILE);
        }
}

TEST(another_version_says_what_to_do)
{
        struct mv_rtfs_error e;
        struct mv_err err;
        size_t len = program_compile(evaluator(), "1", code, sizeof code, &e);
        code[4]++;
        CHECK(mv_rtfs_load_bytecode(evaluator(), mv_slice(code, len), &err) ==
              -(int)MV_E_UNSUPPORTED);
        CHECK(strstr(err.msg, "compile again"));
}

TEST(a_changed_byte_is_refused_or_harmless)
{ /* 200,000 of them */
        static struct program_run run;
        struct mv_rtfs *r = program_evaluator(1u << 20);
        struct mv_rtfs_error e;
        struct heap_check h = heap_check_new(r);
        uint64_t seed = 88172645463325252u;
        uint32_t ran = 0, per_program = 200000 / PROGRAMS + 1;
        for (size_t i = 0; i < PROGRAMS; i++) {
                size_t len = program_compile(r, programs[i], code, sizeof code, &e);
                for (uint32_t n = 0; n < per_program; n++) {
                        seed ^= seed << 13;
                        seed ^= seed >> 7;
                        seed ^= seed << 17;
                        size_t at = (seed >> 16) % len;
                        uint8_t old = code[at];
                        code[at] ^= (uint8_t)(1u + (seed >> 50) % 255);
                        program_run(r, mv_slice(code, len), true, 500, &run);
                        ran += run.loaded;
                        code[at] = old;
                }
                heap_check(&h);
                mv_rtfs_reset(r, NULL);
                image_check(&h);
        }
        CHECK(ran > 1000);
        free(h.kinds);
        free(h.image);
        free(r);
}

/* --- the verifier's rules --------------------------------------------------------------------- */
struct bad {
        const char *why; /* NULL: allowed */
        uint32_t words[6];
        uint32_t count;
        uint32_t handler[4]; /* all 0: none */
};
#define W      OP_WORD
#define X      OP_WIDE
#define RETURN W(OP_RET, 0, 0, 0)

/* A proto of 4 registers; constants: 0 int, 1 text, 2 vector, 3 function with one capture; builtins: 0 str, 1 inc,
 * 2 %builder, 3 apply; one global. */
static void put_bad(struct mv_out *o, const struct bad *b)
{
        static const char *const builtins[] = { "str", "inc", "%builder", "apply" };
        static const uint8_t constants[] = { 0,   1, 0, 0, 0, 1, 0,    2, 0, 0, 0, 0x61,
                                             'x', 0, 1, 0, 0, 0, 0x80, 2, 0, 0, 0, 0 };
        *o = mv_out(code, sizeof code);
        mv_put_str(o, "RTFB");
        mv_put_u16(o, MV_BYTECODE_VERSION);
        mv_put_u16(o, 0);
        mv_put_u32(o, 1);
        mv_put_u32(o, 1);
        mv_put_str(o, "g");
        mv_put_u32(o, 4);
        for (size_t i = 0; i < 4; i++) {
                mv_put_u32(o, (uint32_t)strlen(builtins[i]));
                mv_put_str(o, builtins[i]);
        }
        mv_put_u32(o, 2);
        static const uint16_t inner[] = { 0, 1, 1, 0 }, outer[] = { 0, 4, 0, 0 };
        for (int i = 0; i < 4; i++)
                mv_put_u16(o, inner[i]);
        mv_put_u32(o, 0);
        mv_put_u32(o, 2);
        mv_put_u32(o, W(OP_GETUP, 0, 0, 0));
        mv_put_u32(o, RETURN);
        for (int i = 0; i < 3; i++) /* positions, handlers */
                mv_put_u32(o, 0);
        for (int i = 0; i < 4; i++)
                mv_put_u16(o, outer[i]);
        mv_put_u32(o, 4);
        mv_put_bytes(o, constants, sizeof constants);
        mv_put_u32(o, b->count);
        for (uint32_t i = 0; i < 2 * b->count; i++)
                mv_put_u32(o, i < b->count ? b->words[i] : 0);
        bool handler = b->handler[0] | b->handler[1] | b->handler[2] | b->handler[3];
        mv_put_u32(o, handler);
        for (int i = 0; i < 4 * handler; i++)
                mv_put_u32(o, b->handler[i]);
        mv_put_u32(o, 1);
        mv_put_u32(o, 1);
}

static const struct bad bads[] = {
        { NULL, { W(OP_MOVE, 0, 3, 0), RETURN }, 2, { 0 } },
        { "register", { W(OP_MOVE, 0, 4, 0), RETURN }, 2, { 0 } },
        { "register", { W(OP_MOVE, 4, 0, 0), RETURN }, 2, { 0 } },
        { "register", { W(OP_RET, 4, 0, 0) }, 1, { 0 } },
        { "unused operand", { W(OP_MOVE, 0, 0, 1), RETURN }, 2, { 0 } },
        { "instruction", { W(OP_MAX_, 0, 0, 0), RETURN }, 2, { 0 } },
        { "without code", { 0 }, 0, { 0 } },
        { "without an end", { W(OP_LOADNIL, 0, 0, 0) }, 1, { 0 } },
        { "without an end", { W(OP_RERAISE, 0, 0, 0) }, 1, { 0 } },
        { "without an end", { W(OP_TAIL, 0, 0, 0) }, 1, { 0 } },
        { NULL, { X(OP_LOADK, 0, 2), RETURN }, 2, { 0 } },
        { "constant", { X(OP_LOADK, 0, 4), RETURN }, 2, { 0 } },
        { "function constant", { X(OP_LOADK, 0, 3), RETURN }, 2, { 0 } },
        { NULL, { X(OP_CLOSURE, 0, 3), 3, RETURN }, 3, { 0 } },
        { NULL, { X(OP_CLOSURE, 0, 3), 2 << 8, RETURN }, 3, { 0 } },
        { "instruction", { X(OP_CLOSURE, 0, 1), 0, RETURN }, 3, { 0 } },
        { "capture", { X(OP_CLOSURE, 0, 3), 4, RETURN }, 3, { 0 } },
        { "capture", { X(OP_CLOSURE, 0, 3), 1 << 8, RETURN }, 3, { 0 } },
        { "capture", { X(OP_CLOSURE, 0, 3), 3 << 8, RETURN }, 3, { 0 } },
        { "cut", { X(OP_CLOSURE, 0, 3) }, 1, { 0 } },
        { "out of range", { W(OP_GETUP, 0, 0, 0), RETURN }, 2, { 0 } },
        { NULL, { X(OP_SETGLOBAL, 0, 0), RETURN }, 2, { 0 } },
        { "global", { X(OP_GETGLOBAL, 0, 1), RETURN }, 2, { 0 } },
        { "global", { X(OP_SETGLOBAL, 0, 1), RETURN }, 2, { 0 } },
        { NULL, { W(OP_JMP, 0, 0, 0), 0, RETURN }, 3, { 0 } },
        { "jump target", { W(OP_JMP, 0, 0, 0), 1, RETURN }, 3, { 0 } },
        { "jump target", { W(OP_JMP, 0, 0, 0), (uint32_t)-1, RETURN }, 3, { 0 } },
        { "jump target", { W(OP_JMP, 0, 0, 0), 0x7fffffff, RETURN }, 3, { 0 } },
        { "jump target", { W(OP_JMP, 0, 0, 0), 0x80000000, RETURN }, 3, { 0 } },
        { "direction", { W(OP_JMP, 0, 0, 0), (uint32_t)-2, RETURN }, 3, { 0 } },
        { "direction", { W(OP_JF, 0, 0, 0), (uint32_t)-2, RETURN }, 3, { 0 } },
        { "direction", { W(OP_LOOP, 0, 0, 0), 0, RETURN }, 3, { 0 } },
        { NULL, { W(OP_LOOP, 0, 0, 0), (uint32_t)-2, RETURN }, 3, { 0 } },
        { "jump target", { W(OP_JNTYPE, 0, 0, 0), 0, 0, RETURN }, 4, { 0 } },
        { NULL, { W(OP_JNTYPE, 0, 0, 0), 1, 0, RETURN }, 4, { 0 } },
        { "constant", { W(OP_JNTYPE, 0, 0, 0), 1, 4, RETURN }, 4, { 0 } },
        { NULL, { W(OP_CALL, 1, 2, 0), RETURN }, 2, { 0 } },
        { "run of registers", { W(OP_CALL, 1, 3, 0), RETURN }, 2, { 0 } },
        { "run of registers", { W(OP_TAIL, 3, 1, 0), RETURN }, 2, { 0 } },
        { NULL, { W(OP_VEC, 0, 4, 0), RETURN }, 2, { 0 } },
        { "run of registers", { W(OP_VEC, 0, 5, 0), RETURN }, 2, { 0 } },
        { "run of registers", { W(OP_VEC, 0, 1, 4), RETURN }, 2, { 0 } },
        { "run of registers", { W(OP_VECPUSH, 0, 255, 255), RETURN }, 2, { 0 } },
        { NULL, { W(OP_MAP, 0, 0, 2), RETURN }, 2, { 0 } },
        { "run of registers", { W(OP_MAP, 0, 1, 2), RETURN }, 2, { 0 } },
        { "run of registers", { W(OP_MAPPUT, 0, 0, 3), RETURN }, 2, { 0 } },
        { "run of registers", { W(OP_ITER, 3, 0, 0), RETURN }, 2, { 0 } },
        { "run of registers", { W(OP_NEXT, 2, 0, 0), 0, RETURN }, 3, { 0 } },
        { NULL, { W(OP_NEXT, 1, 0, 0), 0, RETURN }, 3, { 0 } },
        { NULL, { W(OP_NCALL, 0, 0, 1), 1, RETURN }, 3, { 0 } },
        { "arguments of a builtin", { W(OP_NCALL, 0, 0, 2), 1, RETURN }, 3, { 0 } },
        { "arguments of a builtin", { W(OP_NCALL, 0, 0, 1), 2, RETURN }, 3, { 0 } },
        { "run of registers", { W(OP_NCALL, 0, 3, 2), 0, RETURN }, 3, { 0 } },
        { "not called directly", { W(OP_NCALL, 0, 0, 2), 3, RETURN }, 3, { 0 } },
        { "builtin", { W(OP_NCALL, 0, 0, 0), 4, RETURN }, 3, { 0 } },
        { NULL, { W(OP_RAISE, 0, E_MATCH, 0), 1 }, 2, { 0 } },
        { "kind of constant", { W(OP_RAISE, 0, E_MATCH, 0), 0 }, 2, { 0 } },
        { "out of range", { W(OP_RAISE, 0, E_OTHER, 0), 1 }, 2, { 0 } },
        { NULL, { W(OP_MWITHOUT, 0, 0, 0), 2, RETURN }, 3, { 0 } },
        { "kind of constant", { W(OP_MWITHOUT, 0, 0, 0), 1, RETURN }, 3, { 0 } },
        { "out of range", { W(OP_VCHK, 0, 1, 2), RETURN }, 2, { 0 } },
        { NULL, { W(OP_ADDK, 0, 1, 0), RETURN }, 2, { 0 } },
        { "constant", { W(OP_ADDK, 0, 1, 4), RETURN }, 2, { 0 } },
        { "function constant", { W(OP_ADDK, 0, 1, 3), RETURN }, 2, { 0 } },
        { "register", { W(OP_MODK, 0, 4, 0), RETURN }, 2, { 0 } },
        { NULL, { W(OP_JNLTK, 0, 1, 0), 0, RETURN }, 3, { 0 } },
        { "constant", { W(OP_JNEQK, 0, 4, 0), 0, RETURN }, 3, { 0 } },
        { NULL, { W(OP_LOOP, 3, 2, 0), (uint32_t)-2, RETURN }, 3, { 0 } },
        { "register", { W(OP_LOOP, 0, 4, 0), (uint32_t)-2, RETURN }, 3, { 0 } },
        { "register", { W(OP_NTH, 0, 1, 4), RETURN }, 2, { 0 } },
        { "register", { W(OP_GET, 4, 1, 0), RETURN }, 2, { 0 } },
        { "register", { W(OP_PUSH, 0, 4, 0), RETURN }, 2, { 0 } },
        { NULL, { W(OP_PUT, 0, 1, 2), 3, RETURN }, 3, { 0 } },
        { "register", { W(OP_PUT, 0, 1, 2), 4, RETURN }, 3, { 0 } },
        { "register", { W(OP_PUT, 0, 1, 2), UINT32_MAX, RETURN }, 3, { 0 } },
        { "cut", { W(OP_PUT, 0, 1, 2) }, 1, { 0 } },
        { "unused operand", { W(OP_OWNER, 0, 1, 0), RETURN }, 2, { 0 } },
        { NULL, { W(OP_LOADNIL, 0, 0, 0), RETURN }, 2, { 0, 1, 1, 3 } },
        { "handler's target", { W(OP_LOADNIL, 0, 0, 0), RETURN }, 2, { 0, 1, 2, 0 } },
        { "handler's target", { W(OP_JMP, 0, 0, 0), 0, RETURN }, 3, { 0, 1, 1, 0 } },
        { "handler's range", { W(OP_LOADNIL, 0, 0, 0), RETURN }, 2, { 0, 2, 1, 0 } },
        { "handler's range", { W(OP_LOADNIL, 0, 0, 0), RETURN }, 2, { 1, 0, 1, 0 } },
        { "handler's register", { W(OP_LOADNIL, 0, 0, 0), RETURN }, 2, { 0, 1, 1, 4 } },
};

TEST(the_verifier_refuses_each_kind_of_wrong_code)
{
        static struct program_run run;
        for (size_t i = 0; i < sizeof bads / sizeof *bads; i++) {
                struct mv_out o;
                put_bad(&o, &bads[i]);
                program_run(evaluator(), mv_out_slice(&o), true, 1000, &run);
                CHECK(run.loaded == !bads[i].why);
                if (bads[i].why && !strstr(run.text, bads[i].why))
                        CHECK_STR(run.text, bads[i].why);
        }
}

/* --- the collector and small callees ---------------------------------------------------------- */
TEST(registers_of_a_caller_behind_a_small_callee_stay_values)
{
        static const char source[] =
                "(defn small [] (call \"gc\") nil)"
                "(defn wide [n] [(str n 1) (str n 2) (str n 3) (str n 4) (str n 5) (str n 6)"
                " (str n 7) (str n 8)] (small) (call \"gc\") n)"
                "(str \"garbage\" 1) (wide 7)";
        static const uint8_t nil[] = { 0xf6 };
        struct mv_rtfs *r = program_evaluator(1u << 20);
        struct heap_check h = heap_check_new(r);
        struct mv_err err;
        CHECK(mv_rtfs_load_source(r, mv_slice_str(source), &err) == 0);
        enum mv_rtfs_status s;
        while ((s = mv_rtfs_run(r)) == MV_RTFS_CALL) {
                heap_check(&h);
                CHECK(mv_rtfs_reply(r, mv_slice(nil, 1), &err) == 0);
        }
        CHECK(s == MV_RTFS_DONE);
        free(h.kinds);
        free(h.image);
        free(r);
}
