/* SPDX-License-Identifier: Apache-2.0 */
/* The generator of generate.h.
 *
 * An expression is asked for by the kind of its value, so that most of what is generated makes sense; now and then another
 * kind is delivered, so that errors are compared as well. A table of patterns per kind does the work: text is copied, and
 * a letter behind $ stands for a part:
 *   $i integer  $n number  $s string  $b boolean  $k keyword  $v vector  $m map  $f function of one integer  $a anything
 *   $x a variable of the innermost scope is bound here: $x, then its uses by name   $. closes that scope
 *   $d a decimal digit  $w a key of maps without its colon
 * What nests too deep, or would not fit, becomes a literal. */
#include "generate.h"
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define DEPTH_MAX 6
#define VARS_MAX  24
#define ROOM_LEFT 2048u /* what remains is for literals and closing brackets */

struct gen {
        uint64_t random;
        char *buf;
        size_t len;
        int depth;
        struct var {
                char kind;
                unsigned id;
        } vars[VARS_MAX]; /* innermost last */
        unsigned var_count, next_id;
        unsigned functions, macros, globals; /* f0.., m0.., g0..: defined so far */
};

static uint64_t next(struct gen *g)
{ /* splitmix64 */
        uint64_t z = g->random += 0x9e3779b97f4a7c15u;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        return z ^ z >> 31;
}
static unsigned below(struct gen *g, unsigned n)
{
        return (unsigned)(next(g) % n);
}

static void put(struct gen *g, const char *s)
{
        size_t n = strlen(s);
        if (g->len + n >= GENERATE_BYTES_MAX)
                n = GENERATE_BYTES_MAX - 1 - g->len;
        memcpy(g->buf + g->len, s, n);
        g->len += n;
        g->buf[g->len] = '\0';
}

static void put_number(struct gen *g, const char *prefix, unsigned n)
{
        char text[32];
        snprintf(text, sizeof text, "%s%u", prefix, n);
        put(g, text);
}

/* --- literals --------------------------------------------------------------------------------- */
#define PICK(g, table) (table)[below((g), sizeof(table) / sizeof(table)[0])]

static void literal(struct gen *g, char kind)
{
        static const char *const integers[] = { "0",
                                                "1",
                                                "2",
                                                "3",
                                                "7",
                                                "-1",
                                                "-5",
                                                "10",
                                                "100",
                                                "9223372036854775807",
                                                "-9223372036854775808",
                                                "4611686018427387904",
                                                "1000003" };
        static const char *const small[] = { "0", "1", "2", "3", "4", "5", "7", "-1", "-2", "9" };
        static const char *const numbers[] = { "0.5",  "2.0",   "-1.25", "3",      "1.0e21",
                                               "-0.0", "##Inf", "##NaN", "1.0e-7", "6" };
        static const char *const strings[] = { "\"\"",
                                               "\"a\"",
                                               "\"abc\"",
                                               "\"x,y,,z\"",
                                               "\"\u00e9t\u00e9\"",
                                               "\"\u6f22\u5b57 \U0001f600\"",
                                               "\"12\"",
                                               "\" 3.5 \"",
                                               "\"quote \\\" and \\n\"",
                                               "\"{\\\"a\\\": [1, 2.5]}\"" };
        static const char *const keywords[] = { ":a", ":b", ":c", ":k/x", ":else" };
        static const char *const vectors[] = {
                "[]",  "[1 2 3]",       "[3 1 2 3]",  "[1 \"a\" :b nil]", "'(1 2 3)",
                "'()", "[[1 2] [3 4]]", "[0.5 1 -2]", "[nil true false]"
        };
        static const char *const maps[] = { "{}", "{:a 1}", "{:a 1 :b {:c [1 2]}}",
                                            "{\"k\" 1 7 2 :a nil}", "{:b 2 :a 1 :c 3}" };
        static const char *const functions[] = { "inc",        "dec",      "abs",
                                                 "(fn [x] x)", "#(+ % 1)", "(fn [y] (* y 2))",
                                                 "str",        ":a" };
        static const char *const others[] = {
                "nil", "true", "'sym", "()", "(Exception. \"made\" 5)", "type-name"
        };
        switch (kind) {
        case 'i':
                put(g, below(g, 8) ? PICK(g, small) : PICK(g, integers));
                break;
        case 'n':
                put(g, PICK(g, numbers));
                break;
        case 's':
                put(g, PICK(g, strings));
                break;
        case 'b':
                put(g, below(g, 2) ? "true" : "false");
                break;
        case 'k':
                put(g, PICK(g, keywords));
                break;
        case 'v':
                put(g, PICK(g, vectors));
                break;
        case 'm':
                put(g, PICK(g, maps));
                break;
        case 'f':
                put(g, PICK(g, functions));
                break;
        default:
                put(g, PICK(g, others));
                break;
        }
}

/* --- patterns --------------------------------------------------------------------------------- */
static const char *const integer_patterns[] = {
        "(+ $i $i)",
        "(- $i $i)",
        "(* $i $d)",
        "(+ $i $i $i)",
        "(mod $i $i)",
        "(inc $i)",
        "(dec $i)",
        "(abs $i)",
        "(max $i $i)",
        "(min $i $i $i)",
        "(pow $d $d)",
        "(factorial $d)",
        "(count $v)",
        "(count $m)",
        "(string-length $s)",
        "(if $b $i $i)",
        "(nth $v $i $i)",
        "(nth $v $i)",
        "(get $m $k $i)",
        "(get-in $m [$k $k] $i)",
        "(int $s)",
        "(int $n)",
        "(parse-int $s)",
        "(reduce + $i $v)",
        "(reduce + (range $d))",
        "(apply + $i [$i $i])",
        "($f $i)",
        "((fn [p q] (- p q)) $i $i)",
        "(let [$x$i] $i)$.",
        "(let [$x$i] (+ $i $i))$.",
        "(let [[p q] [$i $i]] (+ p q))",
        "(let [{:keys [a b] :or {b $i}} $m] b)",
        "(do (def h $i) (+ h $d))",
        "(try (/ $i $i) (catch DivisionByZero e $i))",
        "(try $a (catch e $i))",
        "(try (throw $a) (catch e (count (str (:message e)))))",
        "(try $i (finally (def z $i)))",
        "(try (try (nth $v $i) (catch :type-error e $i)) (catch e (string-length (getMessage e))))",
        "(match $i 0 $i 1 $i n (+ n 1))",
        "(match $v [] 0 [p] 1 [p & r] (count r))",
        "(match $a (:int n) n (:string s) (count s) _ $i)",
        "(match $m {:a p} $i {:a p & r} (count r) _ $i)",
        "(case $i 0 $i (1 2) $i $i)",
        "(cond $b $i $b $i :else $i)",
        "(when $b $i)",
        "(if-let [w $a] $i $i)",
        "(if-not $b $i $i)",
        "(-> $i (+ $i) (* $d))",
        "(->> $v (map count) (reduce +))",
        "(loop [c 0 acc $i] (if (< c $d) (recur (+ c 1) (+ acc c)) acc))",
        "(dotimes [c $d] (+ c $i))",
        "(call :test.add $i $i)",
        "(call \"test.echo\" $i)",
        "(try (call :test.fail) (catch e $i))",
        "(step \"s\" $i)",
        "(step \"p\" :params {\"q\" $i} (get %params \"q\"))",
        "(step-if $a $i $i)",
        "(do (def l 0) (step-loop (< l $d) (def l (+ l 1))))",
        "(step \"e\" :expose-context true $i)",
        "(apply apply [+ [$i $i]])",
        "((fn down [c] (if (<= c 0) 0 (+ 1 (down (- c 1))))) $d)",
        "(let [ev (fn [c] (if (= c 0) 1 (od (- c 1)))) "
        "od (fn [c] (if (= c 0) 0 (ev (- c 1))))] (ev $d))",
        "(:a $m)",
        "(:w $m $i)",
        "(do (context/set :ctx $i) (get :ctx))",
        "^{:runtime.hint $i} $i",
        "((fn [p :int] :int (* p 2)) $i)",
        "(let [t : [:and :int [:>= 0]] $i] t)",
        "(let [r #(+ %1 %2)] (r $i $i))",
        "(first (sort $v))",
        "(last $v)",
        "(:k (hash-map :k $i))",
        "(or $i $i)",
        "(and $a $i)",
};
static const char *const number_patterns[] = {
        "$i",          "(/ $n $n)",        "(+ $n $i)",   "(* $n $n)",
        "(- $n)",      "(sqrt $i)",        "(float $s)",  "(mod $n $n)",
        "(max $n $n)", "(parse-float $s)", "(pow $n $d)", "(if $b $n $i)",
};
static const char *const string_patterns[] = {
        "(str $a $a)",
        "(str $n)",
        "(join \",\" $v)",
        "(substring $s $d)",
        "(try (substring $s $d $d) (catch IndexOutOfBounds e (str e)))",
        "(string-upper $s)",
        "(string-lower $s)",
        "(string-trim $s)",
        "(type-name $a)",
        "(serialize-json $m)",
        "(serialize-json-pretty $v)",
        "(reverse $s)",
        "(first $s)",
        "(rest $s)",
        "(take $d $s)",
        "(if $b $s $s)",
        "(let [$x$s] (str $s $s))$.",
        "(call :test.echo $s)",
        "(apply str $v)",
        "(re-find \"[a-z]+\" $s)",
        "(distinct $s)",
        "(nth $s $d \"?\")",
        "(sort $s)",
        "(drop $d $s)",
        "(try (parse-json $s) (catch e \"no json\"))",
        "@missing",
        "(remove (fn [ch] (= ch \"a\")) $s)",
        "(try $a (catch e (str (:kind e) (:message e))))",
        "(map-indexed (fn [ix ch] (str ix ch)) $s)",
};
static const char *const boolean_patterns[] = {
        "(= $a $a)",
        "(= $i $i)",
        "(not= $s $s)",
        "(< $n $n)",
        "(<= $i $i)",
        "(> $s $s)",
        "(>= $n $i)",
        "(not $a)",
        "(and $b $b)",
        "(or $b $b)",
        "(empty? $v)",
        "(contains? $m $k)",
        "(contains? $v $i)",
        "(every? int? $v)",
        "(some? $f $v)",
        "(some? $a)",
        "(int? $a)",
        "(string? $a)",
        "(nil? $a)",
        "(map? $a)",
        "(vector? $a)",
        "(list? $a)",
        "(fn? $a)",
        "(zero? $i)",
        "(even? $i)",
        "(odd? $n)",
        "(starts-with? $s $s)",
        "(string-contains? $s $s)",
        "(re-matches \"[a-z]*\" $s)",
        "(= $v $v)",
        "(= $m $m)",
};
static const char *const vector_patterns[] = {
        "[$a $a]",
        "[$i $i $i]",
        "(vector $a $i)",
        "(conj $v $a)",
        "(cons $a $v)",
        "(concat $v $v)",
        "(map $f [$i $i])",
        "(map inc (range $d))",
        "(filter (fn [p] $b) $v)",
        "(remove nil? $v)",
        "(map-indexed vector $v)",
        "(sort $v)",
        "(sort-by str $v)",
        "(reverse $v)",
        "(take $i $v)",
        "(drop $d $v)",
        "(rest $v)",
        "(range $d)",
        "(range $d $i $d)",
        "(numbers $d $d)",
        "(partition $d $v)",
        "(distinct $v)",
        "(for [c $v] $a)",
        "(for [c (range $d) e (range c) :when (odd? (+ c e))] [c e])",
        "(for [[p q] $m :let [u [p q]]] u)",
        "(keys $m)",
        "(vals $m)",
        "(split $s \",\")",
        "(split $s \"\")",
        "(assoc [$i $i] $d $a)",
        "(update [$i $i] 0 $f)",
        "(subvec $v 0 $d)",
        "`[$d ~$i ~@$v]",
        "'(x $d [y])",
        "(step-parallel $i $i)",
        "(call :test.args $a $i)",
        "(let [$x$v] (conj $v $a))$.",
        "(if $b $v $v)",
        "(find $m $k)",
        "(re-seq \"[a-z]\" $s)",
        "(loop [c 0 out []] (if (< c $d) (recur (inc c) (conj out (fn [] c))) (map (fn [th] (th)) "
        "out)))",
        "(sort (fn [p q] (> p q)) [$i $i $i])",
        "(reduce conj [] $v)",
        "((fn [& more] more) $a $i)",
        "(list $i $a)",
        "(get $m $k $v)",
        "(try $v (catch e [e]))",
        "(do $a $v)",
};
static const char *const map_patterns[] = {
        "{:a $i :b $a}",
        "{:w $v \"s\" $s 3 $a}",
        "(assoc $m $k $a)",
        "(dissoc $m $k)",
        "(merge $m $m)",
        "(update {:a $i} :a $f)",
        "(hash-map $k $a)",
        "(group-by odd? [$i $i $i])",
        "(frequencies $v)",
        "(conj $m [$k $a])",
        "(let [$x$m] (merge $m {:z $i}))$.",
        "(if $b $m $m)",
        "(call :test.echo $m)",
        "(plan \"p\" :body (+ $i 1) :n $d)",
        "(parse-json (serialize-json $m))",
        "(update $m :n (fn [o] (if (nil? o) 0 $i)))",
        "(do $a $m)",
        "`{:q ~$i}",
        "(step \"m\" $m)",
        "(group-by :a [$m $m])",
};
static const char *const function_patterns[] = {
        "(fn [p] $i)",
        "(fn [p] (+ p $i))",
        "(let [$x$i] (fn [p] (- p $i)))$.",
        "(fn [p :int] :int (+ p 1))",
        "#(* % $d)",
        "(if $b inc dec)",
        "(fn self [p] (if (> p 0) (self (- p 9)) $i))",
        "(fn [[p q]] p)",
        "(fn [& r] (count r))",
};
static const char *const keyword_patterns[] = { "(if $b $k $k)", "(first (keys $m))",
                                                "(do $a $k)" };
static const char *const any_patterns[] = { "$i", "$n", "$s", "$b", "$v",
                                            "$m", "$k", "$f", "$i", "$v" };

struct patterns {
        char kind;
        const char *const *p;
        unsigned count;
};
#define ROW(kind, table)                                                                           \
        {                                                                                          \
                kind, table, sizeof(table) / sizeof(table)[0]                                      \
        }
static const struct patterns tables[] = {
        ROW('i', integer_patterns),  ROW('n', number_patterns),  ROW('s', string_patterns),
        ROW('b', boolean_patterns),  ROW('v', vector_patterns),  ROW('m', map_patterns),
        ROW('f', function_patterns), ROW('k', keyword_patterns), ROW('a', any_patterns),
};

/* --- expressions ------------------------------------------------------------------------------ */
static void expression(struct gen *g, char kind);

static bool variable(struct gen *g, char kind)
{
        for (unsigned i = g->var_count, tries = below(g, 3); i-- > 0;)
                if (g->vars[i].kind == kind && tries-- == 0) {
                        put_number(g, "v", g->vars[i].id);
                        return true;
                }
        return false;
}

/* `$x$i`: a name that is in scope from behind its value up to `$.` */
static void binding(struct gen *g, char kind)
{
        unsigned id = g->next_id++;
        put_number(g, "v", id);
        put(g, " ");
        expression(g, kind);
        if (g->var_count < VARS_MAX)
                g->vars[g->var_count++] = (struct var){ kind, id };
}

static void pattern(struct gen *g, const char *p)
{
        unsigned outer = g->var_count;
        char one[2] = { 0 };
        for (; *p; p++) {
                if (*p != '$') {
                        one[0] = *p;
                        put(g, one);
                        continue;
                }
                p++;
                if (*p == 'x') {
                        p += 2; /* the kind behind it */
                        binding(g, *p);
                } else if (*p == '.') {
                        g->var_count = outer;
                } else if (*p == 'd') {
                        put_number(g, "", below(g, 6));
                } else {
                        expression(g, *p);
                }
        }
        g->var_count = outer;
}

static void named_call(struct gen *g)
{
        if (g->functions && below(g, 2)) {
                put_number(g, "(f", below(g, g->functions));
        } else if (g->macros) {
                put_number(g, "(m", below(g, g->macros));
        } else {
                literal(g, 'i');
                return;
        }
        put(g, " ");
        expression(g, 'i');
        put(g, ")");
}

static void expression(struct gen *g, char kind)
{
        if (below(g, 40) == 0) /* something else: an error, or a surprise */
                kind = "insbvmfka"[below(g, 9)];
        if (g->depth >= DEPTH_MAX || g->len > GENERATE_BYTES_MAX - ROOM_LEFT || below(g, 6) == 0) {
                if (!below(g, 2) || !variable(g, kind))
                        literal(g, kind);
                return;
        }
        g->depth++;
        if (kind == 'i' && below(g, 12) == 0)
                named_call(g);
        else if (kind == 'i' && g->globals && below(g, 12) == 0)
                put_number(g, "g", below(g, g->globals));
        else if (below(g, 4) || !variable(g, kind))
                for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
                        if (tables[i].kind == kind)
                                pattern(g, tables[i].p[below(g, tables[i].count)]);
        g->depth--;
}

/* --- top level -------------------------------------------------------------------------------- */
static void function_definition(struct gen *g)
{
        put_number(g, "(defn f", g->functions);
        put(g, below(g, 3) ? " [x] " : " [x :int] :int ");
        g->vars[g->var_count++] = (struct var){ 'i', g->next_id };
        put_number(g, "(let [v", g->next_id++);
        put(g, " x] ");
        expression(g, 'i');
        put(g, "))\n");
        g->var_count--;
        g->functions++;
}

static void macro_definition(struct gen *g)
{
        static const char *const bodies[] = { " [e] `(+ 1 ~e))\n", " [e] `(let [t ~e] [t t]))\n",
                                              " [e & r] (if (int? e) (+ e 1) e))\n",
                                              " [e] `(if (int? ~e) ~e 0))\n",
                                              " [e] (list 'quote e))\n" };
        put_number(g, "(defmacro m", g->macros++);
        put(g, PICK(g, bodies));
}

static void definition(struct gen *g)
{
        switch (below(g, 6)) {
        case 0:
        case 1:
                function_definition(g);
                break;
        case 2:
                macro_definition(g);
                break;
        case 3:
                put(g, "(deftype Small [:and :int [:< 10]]) (defstruct P :x Small :y int?)\n(try "
                       "(P {:x ");
                expression(g, 'i');
                put(g, "}) (catch e (:message e)))\n");
                break;
        default:
                put_number(g, "(def g", g->globals);
                put(g, " ");
                expression(g, 'i');
                put(g, ")\n");
                g->globals++;
        }
}

size_t generate_program(uint64_t seed, char *buf)
{
        struct gen g = { .random = seed, .buf = buf };
        buf[0] = '\0';
        for (unsigned n = below(&g, 4); n--;)
                definition(&g);
        if (below(&g, 10) == 0)
                put(&g, "(module mod (:exports [one]) (def one 1) (defn two [] 2)) (import mod :as "
                        "md)\n");
        put(&g, "[");
        for (unsigned n = 1 + below(&g, 4); n--;) {
                bool caught = below(&g, 2);
                put(&g, caught ? "(try " : "");
                expression(&g, "aaivsm"[below(&g, 6)]);
                put(&g, caught ? " (catch e [(:kind e) (getMessage e)]))\n" : "\n");
        }
        put(&g, "]");
        return g.len;
}
