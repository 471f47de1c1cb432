/* SPDX-License-Identifier: Apache-2.0 */
/* Hostile programs, through the public library only, behind every wall of this machine.
 *
 * (1) Each ends for the reason that is named here, on every provider, and never by a fault.
 * (2) The deadline kills: a program that runs until its time is up has ended END_SLACK_MS after it.
 * (3) What ran before is not there for the next one: same host, same provider, same kept cell.
 * (4) Many of them leave nothing with the host either: no descriptor, no child, no mapping. */
#include "test.h"
#include <dirent.h>
#include <microvm/microvm.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* How late an end may come where others compute too. What the walls really need is in docs/design/kvm-reset.md. */
#define END_SLACK_MS (MV_TEST_SOON_NS / 1000000)
#define DEADLINE_MS  150

enum wall { MOCK, PROCESS, WASM, GVISOR, KVM, WALLS };
static const char *const wall_name[WALLS] = { "mock", "process", "wasm", "gvisor", "kvm" };

/* --- programs that are too long to write down ------------------------------------------------- */
struct source {
        char *text;
        size_t len;
};
static struct source repeated(const char *before, const char *part, size_t times, const char *after)
{
        size_t a = strlen(before), p = strlen(part), z = strlen(after);
        struct source s = { malloc(a + p * times + z + 1), a + p * times + z };
        if (!s.text)
                abort();
        memcpy(s.text, before, a);
        for (size_t i = 0; i < times; i++)
                memcpy(s.text + a + i * p, part, p);
        memcpy(s.text + a + p * times, after, z + 1);
        return s;
}
static struct source bytes(const char *text, size_t len)
{
        struct source s = { malloc(len + 1), len };
        if (!s.text)
                abort();
        memcpy(s.text, text, len);
        s.text[len] = 0;
        return s;
}
#define BYTES(literal) bytes(literal, sizeof(literal) - 1)

static struct source brackets(void)
{
        return repeated("", "[", 100000, "");
}
static struct source closed_brackets(void)
{
        return repeated("", "[] ", 100000, "");
}
static struct source parentheses(void)
{
        return repeated("", "(do ", 100000, "1");
}
static struct source quotes(void)
{
        return repeated("", "'", 100000, "x");
}
static struct source backquotes(void)
{
        return repeated("", "`~", 50000, "x");
}
static struct source maps(void)
{
        return repeated("", "{:a ", 100000, "1");
}
static struct source five_megabytes(void)
{
        return repeated("", "(+ 1 2) ", 655360, "");
}
static struct source many_forms(void)
{
        return repeated("", "(+ 1 2) ", 500000, "");
}
static struct source many_names(void)
{
        struct source s = repeated("", "(quote x00000) ", 200000, "1");
        for (unsigned i = 0; i < 200000; i++)
                for (unsigned k = 0, n = i; k < 5; k++, n /= 20)
                        s.text[i * 15 + 12 - k] = (char)('a' + n % 20);
        return s;
}
static struct source long_comment(void)
{
        return repeated(";", "x", 4000000, "\n(+ 1 2)");
}
static struct source long_string(void)
{
        return repeated("(count \"", "x", 4000000, "\")");
}
static struct source long_symbol(void)
{
        return repeated("(def ", "x", 1u << 20, " 1)");
}
static struct source many_digits(void)
{
        return repeated("", "9", 1u << 20, "");
}
static struct source many_decimals(void)
{
        return repeated("0.", "9", 1u << 20, "");
}
static struct source not_utf8(void)
{
        return BYTES("(str \"\xff\xfe\xc0\x80\")");
}
static struct source surrogate(void)
{
        return BYTES("(str \"\xed\xa0\x80\")");
}
static struct source nul_outside(void)
{
        return BYTES("(+ 1\0 2)");
}
static struct source nul_in_string(void)
{
        return BYTES("(count \"a\0b\")");
}
static struct source nul_in_path(void)
{
        return BYTES("(call :ccos.io.read-file \"/tmp\0/etc/passwd\")");
}
static struct source nul_in_host(void)
{
        return BYTES("(call :ccos.network.http-fetch \"http://allowed.example\0.evil.example/\")");
}
static struct source long_id(void)
{
        return repeated("(call \"ccos.", "x", 10240, "\" 1)");
}
static struct source long_path(void)
{
        return repeated("(call :ccos.io.read-file \"", "/..", 100000, "/etc/passwd\")");
}
static struct source many_arguments(void)
{
        return repeated("(call :ccos.echo", " 1", 10000, ")");
}
static struct source many_let(void)
{
        return repeated("(let [a 1", " a (+ a 1)", 2000, "] a)");
}
static struct source many_globals(void)
{
        return repeated("(do (def a 1)", "(def a 2)", 20000, " a)");
}

/* --- the table -------------------------------------------------------------------------------- */
#define END(e)  (1u << MV_END_##e)
#define ANY_END (END(COMPLETED) | END(ERROR) | END(TIMEOUT) | END(MEMORY) | END(FUEL) | END(OUTPUT))
#define MB      (1ull << 20)
#define TIME                                                                                       \
        {                                                                                          \
                .wall_ns_max = DEADLINE_MS * 1000000ull                                            \
        }
#define SHARED(n) "(loop [i 0 a 1 b 1] (if (< i " #n ") (recur (+ i 1) [a a] [b b])"

static const struct hostile {
        const char *name, *text;
        struct source (*build)(void); /* instead of text */
        struct mv_limits limits;
        uint32_t ends; /* END() of each right way to end */
        /* the error's kind, or the value's display form; NULL: either */
        const char *shows;
        uint32_t denials;    /* at least */
        const char *refused; /* nothing runs: part of the reason */
} table[] = {
        /* time and fuel */
        { "endless loop, time", "(loop [i 0] (recur (+ i 1)))", .limits = TIME,
          .ends = END(TIMEOUT) },
        { "endless loop, fuel", "(loop [i 0] (recur (+ i 1)))", .limits = { .fuel_max = 100000 },
          .ends = END(FUEL) },
        { "endless tail recursion", "(do (defn f [n] (f (+ n 1))) (f 0))", .limits = TIME,
          .ends = END(TIMEOUT) },
        { "endless mutual recursion", "(do (defn f [n] (g n)) (defn g [n] (f n)) (f 0))",
          .limits = TIME, .ends = END(TIMEOUT) | END(ERROR) },
        { "caught deadline",
          "(loop [i 0] (do (try (loop [j 0] (if (= j 1000) (throw 1) (recur (+ j 1)))) (catch e "
          "0)) "
          "(recur (+ i 1))))",
          .limits = TIME, .ends = END(TIMEOUT) | END(ERROR) },
        { "caught fuel", "(try (loop [i 0] (recur (+ i 1))) (catch e 42))",
          .limits = { .fuel_max = 100000 }, .ends = END(FUEL) },
        { "finally behind fuel",
          "(try (loop [i 0] (recur (+ i 1))) (finally (loop [i 0] (recur (+ i 1)))))",
          .limits = { .fuel_max = 100000 }, .ends = END(FUEL) },
        { "pattern of nested stars",
          "(re-matches \"(a*)*b\" \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac\")",
          .limits = TIME, .ends = END(COMPLETED) | END(ERROR) | END(FUEL) },
        { "pattern with huge counts", "(re-matches \"((a{1,1000}){1,1000}){1,1000}\" \"aaaa\")",
          .limits = TIME, .ends = END(COMPLETED) | END(ERROR) | END(FUEL) },
        { "macro that expands for ever", "(do (defmacro m [x] `(m ~x)) (m 1))", .limits = TIME,
          .ends = END(ERROR) | END(TIMEOUT) | END(FUEL) | END(MEMORY) },
        { "macro that never returns", "(do (defmacro m [x] (loop [i 0] (recur (+ i 1)))) (m 1))",
          .limits = TIME, .ends = END(TIMEOUT) | END(FUEL) },
        { "macro that doubles",
          "(do (defmacro m [n x] (if (= n 0) x `(do (m ~(- n 1) ~x) (m ~(- n 1) ~x)))) (m 40 1))",
          .limits = TIME, .ends = END(ERROR) | END(TIMEOUT) | END(FUEL) | END(MEMORY) },
        { "huge range", "(reduce + (range 0 9223372036854775807))", .limits = TIME,
          .ends = END(ERROR) | END(MEMORY) | END(FUEL) | END(TIMEOUT) },

        /* depth */
        { "deep recursion", "(do (defn f [n] (+ 1 (f (+ n 1)))) (f 0))", .ends = END(ERROR),
          .shows = "StackOverflow" },
        { "caught deep recursion", "(do (defn f [n] (+ 1 (f (+ n 1)))) (try (f 0) (catch e 42)))",
          .ends = END(COMPLETED), .shows = "42" },
        { "deep value", "(loop [i 0 v []] (if (< i 100000) (recur (+ i 1) [v]) v))",
          .ends = END(ERROR), .shows = "StackOverflow" },
        { "deep value compared",
          "(loop [i 0 v [] w []] (if (< i 100000) (recur (+ i 1) [v] [w]) (= v w)))",
          .ends = END(ERROR), .shows = "StackOverflow" },
        { "deep value printed",
          "(loop [i 0 v []] (if (< i 100000) (recur (+ i 1) [v]) (count (str v))))",
          .ends = END(ERROR), .shows = "StackOverflow" },
        { "deep value sorted",
          "(loop [i 0 v [] w []] (if (< i 100000) (recur (+ i 1) [v] [w]) (count (sort [v w]))))",
          .ends = END(ERROR), .shows = "StackOverflow" },
        { "deep argument of a call",
          "(loop [i 0 v []] (if (< i 1000) (recur (+ i 1) [v]) (call :ccos.echo v)))",
          .ends = END(ERROR), .shows = "StackOverflow" },
        { "100,000 brackets", .build = brackets, .ends = END(ERROR), .shows = "ParseError" },
        { "100,000 parentheses", .build = parentheses, .ends = END(ERROR), .shows = "ParseError" },
        { "100,000 quotes", .build = quotes, .ends = END(ERROR), .shows = "ParseError" },
        { "50,000 backquotes", .build = backquotes, .ends = END(ERROR), .shows = "ParseError" },
        { "100,000 open maps", .build = maps, .ends = END(ERROR), .shows = "ParseError" },

        /* memory */
        { "memory by vectors", "(loop [v []] (recur (conj v v v v)))",
          .limits = { .memory_bytes_max = 8 * MB }, .ends = END(MEMORY) },
        { "memory by strings", "(loop [s \"x\"] (recur (str s s)))",
          .limits = { .memory_bytes_max = 8 * MB }, .ends = END(MEMORY) },
        { "memory by maps", "(loop [i 0 m {}] (recur (+ i 1) (assoc m i m)))",
          .limits = { .memory_bytes_max = 8 * MB }, .ends = END(MEMORY) },
        { "memory by closures", "(loop [f (fn [] 1)] (recur (fn [] f)))",
          .limits = { .memory_bytes_max = 8 * MB }, .ends = END(MEMORY) },
        { "memory by nested vectors", "(loop [v []] (recur [v]))",
          .limits = { .memory_bytes_max = 8 * MB }, .ends = END(MEMORY) },
        { "memory by parsed JSON",
          "(loop [i 0 v []] (recur (+ i 1) (conj v (parse-json (str \"{\\\"k\" i \"\\\": 1}\")))))",
          .limits = { .memory_bytes_max = 8 * MB }, .ends = END(MEMORY) },
        { "one huge allocation", "(count (range 0 1000000000))",
          .limits = { .memory_bytes_max = 8 * MB }, .ends = END(MEMORY) | END(ERROR) },
        { "caught memory", "(try (loop [v []] (recur (conj v v v v))) (catch e 42))",
          .limits = { .memory_bytes_max = 8 * MB }, .ends = END(MEMORY) },
        { "context filled",
          "(loop [i 0] (do (context/set (str \"k\" i) (range 0 1000)) (recur (+ i 1))))",
          .limits = { .memory_bytes_max = 8 * MB },
          .ends = END(MEMORY) | END(ERROR) | END(OUTPUT) },
        { "map of 100,000 keys",
          "(count (loop [i 0 m {}] (if (< i 100000) (recur (+ i 1) (assoc m i i)) m)))",
          .ends = END(COMPLETED), .shows = "100000" },

        /* shared structure */
        { "shared values compared, time", SHARED(40) " (= a b)))", .limits = TIME,
          .ends = END(TIMEOUT) },
        { "shared values compared, fuel", SHARED(40) " (= a b)))", .limits = { .fuel_max = 100000 },
          .ends = END(FUEL) },
        { "shared values differ, time", SHARED(40) " (!= a b)))", .limits = TIME,
          .ends = END(TIMEOUT) },
        { "shared values sorted", SHARED(40) " (count (sort [a b]))))", .limits = TIME,
          .ends = END(TIMEOUT) },
        { "shared values searched", SHARED(40) " (contains? [a] b)))", .limits = TIME,
          .ends = END(TIMEOUT) | END(COMPLETED) | END(ERROR) },
        { "shared value printed", SHARED(40) " (count (str a))))", .limits = TIME,
          .ends = END(TIMEOUT) | END(MEMORY) },
        { "shared value printed, fuel", SHARED(40) " (count (str a))))",
          .limits = { .fuel_max = 100000 }, .ends = END(FUEL) },
        { "shared value returned", SHARED(40) " a))", .ends = END(OUTPUT) },
        { "shared value as argument", SHARED(40) " (call :ccos.echo a)))", .ends = END(OUTPUT) },
        { "shared value as JSON", SHARED(40) " (count (serialize-json a))))", .limits = TIME,
          .ends = END(TIMEOUT) | END(MEMORY) | END(ERROR) },
        { "shared value in an event", SHARED(40) " (step \"x\" a)))", .limits = TIME,
          .ends = END(OUTPUT) | END(MEMORY) | END(TIMEOUT) },
        { "shared value thrown", SHARED(40) " (throw a)))", .limits = TIME, .ends = ANY_END },
        { "shared maps compared",
          "(loop [i 0 a 1 b 1] (if (< i 40) (recur (+ i 1) {:x a :y a} {:x b :y b}) (= a b)))",
          .limits = TIME, .ends = END(TIMEOUT) },
        { "shared lists compared",
          "(loop [i 0 a 1 b 1] (if (< i 40) (recur (+ i 1) (list a a) (list b b)) (= a b)))",
          .limits = TIME, .ends = END(TIMEOUT) },
        { "shared form from a macro",
          "(do (defmacro m [] (loop [i 0 a 1] (if (< i 40) (recur (+ i 1) (list 'do a a)) a))) "
          "(m))",
          .limits = TIME, .ends = END(TIMEOUT) | END(MEMORY) | END(ERROR) | END(FUEL) },
        { "shared value in a message", SHARED(40) " (+ 1 (throw (str a)))))", .limits = TIME,
          .ends = END(TIMEOUT) | END(MEMORY) },
        { "shared value against a type",
          "(do (deftype t [:vector t]) (defn f [x :t] x) " SHARED(40) " (f a))))", .limits = TIME,
          .ends = ANY_END },

        /* output */
        { "output flood",
          "(loop [i 0] (do (call :ccos.io.println \"0123456789abcdef\") (recur (+ i 1))))",
          .limits = { .output_bytes_max = 65536, .wall_ns_max = 5000000000ull },
          .ends = END(OUTPUT) },
        { "large result", "(range 0 200000)", .limits = { .output_bytes_max = 65536 },
          .ends = END(OUTPUT) },
        { "large result of text", "(loop [s \"x\"] (if (< (count s) 2000000) (recur (str s s)) s))",
          .limits = { .output_bytes_max = 65536 }, .ends = END(OUTPUT) },
        { "event flood", "(loop [i 0] (do (step \"again\" i) (recur (+ i 1))))", .limits = TIME,
          .ends = END(TIMEOUT) | END(OUTPUT) | END(FUEL) },

        /* source */
        { "100,000 empty vectors", .build = closed_brackets, .ends = END(COMPLETED),
          .shows = "[]" },
        { "5 MB of forms", .build = five_megabytes, .refused = "at most 4194304" },
        { "4 MB of forms", .build = many_forms, .limits = TIME,
          .ends = END(MEMORY) | END(TIMEOUT) },
        { "200,000 names", .build = many_names, .limits = TIME,
          .ends = END(MEMORY) | END(TIMEOUT) },
        { "4 MB comment", .build = long_comment, .ends = END(COMPLETED), .shows = "3" },
        { "4 MB string", .build = long_string, .ends = END(COMPLETED), .shows = "4000000" },
        { "1 MB symbol", .build = long_symbol, .ends = END(ERROR) | END(COMPLETED) },
        { "1 MB integer", .build = many_digits, .ends = END(ERROR), .shows = "ParseError" },
        { "1 MB float", .build = many_decimals, .ends = END(ERROR) | END(COMPLETED) },
        { "exponent beyond belief", "1e999999999999999999999",
          .ends = END(ERROR) | END(COMPLETED) },
        { "invalid UTF-8", .build = not_utf8, .refused = "not UTF-8" },
        { "a surrogate", .build = surrogate, .refused = "not UTF-8" },
        { "NUL outside of a string", .build = nul_outside, .ends = END(ERROR) },
        { "NUL in a string", .build = nul_in_string, .ends = END(COMPLETED) | END(ERROR) },
        { "nothing", "", .ends = END(COMPLETED) | END(ERROR) },
        { "4,000 bindings of one let", .build = many_let, .ends = END(COMPLETED) | END(ERROR) },
        { "20,000 definitions of one name", .build = many_globals, .ends = END(COMPLETED),
          .shows = "2" },

        /* comparators that lie */
        { "sort with a lying comparator", "(count (sort (fn [a b] true) (range 0 1000)))",
          .ends = END(COMPLETED) | END(ERROR) },
        { "sort with an endless comparator", "(sort (fn [a b] (loop [] (recur))) [1 2])",
          .limits = TIME, .ends = END(TIMEOUT) | END(ERROR) },
        { "sort-by that throws", "(sort-by (fn [x] (throw x)) [1 2])", .ends = END(ERROR) },

        /* the door */
        { "capability id with a newline", "(call \"ccos.echo\\nccos.io.read-file\" 1)",
          .ends = END(DENIED) | END(ERROR) },
        { "capability id of 10 KB", .build = long_id, .ends = END(ERROR),
          .shows = "UnknownCapability" },
        { "capability id with a star", "(call :ccos.* 1)", .ends = END(DENIED) | END(ERROR) },
        { "capability id of look-alikes", "(call \"ccos.\xd0\xb5\x63ho\" 1)",
          .ends = END(DENIED) | END(ERROR) },
        { "capability id in full width", "(call \"\xef\xbd\x83\xef\xbd\x83os.echo\" 1)",
          .ends = END(DENIED) | END(ERROR) },
        { "capability id in capitals", "(call :CCOS.ECHO 1)", .ends = END(DENIED) | END(ERROR) },
        { "capability that is a number", "(call 1 2)", .ends = END(ERROR) },
        { "10,000 arguments", .build = many_arguments, .ends = END(ERROR) | END(COMPLETED) },
        { "10,000 arguments by apply", "(apply call :ccos.echo (range 0 10000))",
          .ends = END(ERROR) | END(COMPLETED) },
        { "10,000 calls",
          "(loop [i 0 n 0] (if (< i 10000) (recur (+ i 1) (call :ccos.math.add n 1)) n))",
          .limits = { .wall_ns_max = 20000000000ull }, .ends = END(COMPLETED) | END(TIMEOUT) },
        { "denied", "(call :ccos.io.write-file \"/tmp/x\" \"y\")", .ends = END(DENIED),
          .shows = "SecurityViolation", .denials = 1 },
        { "caught denial", "(do (try (call :ccos.system.get-env \"HOME\") (catch e 1)) 42)",
          .ends = END(COMPLETED), .shows = "42", .denials = 1 },
        { "a loop in finally after a denial",
          "(try (call :ccos.system.get-env \"HOME\") (finally (loop [] (recur))))", .limits = TIME,
          .ends = END(TIMEOUT), .denials = 1 },
        { "100 caught denials",
          "(loop [i 0] (if (< i 100) (do (try (call :ccos.system.get-env \"HOME\") (catch e 1)) "
          "(recur (+ i 1))) i))",
          .ends = END(COMPLETED), .shows = "100", .denials = 100 },
        { "NUL in a path", .build = nul_in_path, .ends = END(DENIED) | END(ERROR) },
        { "NUL in a host name", .build = nul_in_host, .ends = END(DENIED) | END(ERROR) },
        { "path out of the granted tree",
          "(call :ccos.io.read-file \"/usr/share/../../etc/passwd\")", .ends = END(DENIED),
          .denials = 1 },
        { "path through /proc/self/root",
          "(call :ccos.io.read-file \"/proc/self/root/etc/passwd\")", .ends = END(DENIED),
          .denials = 1 },
        { "300 KB path", .build = long_path, .ends = END(DENIED) | END(ERROR) },
        { "path with a newline", "(call :ccos.io.read-file \"/usr/share/\\n/../../etc/passwd\")",
          .ends = END(DENIED) | END(ERROR) },
        { "handle nobody opened", "(call :ccos.io.read-line 7)", .ends = END(DENIED) | END(ERROR) },
        { "handle out of range", "(call :ccos.io.read-line -9223372036854775808)",
          .ends = END(DENIED) | END(ERROR) },
        { "an open handle is left",
          "(do (def left-over 42) (call :ccos.io.println \"left\") (context/set :left 1) "
          "(call :ccos.io.open-file \"/usr/share/common-licenses/GPL-3\"))",
          .ends = END(COMPLETED) | END(ERROR) },
        { "a function as the result", "(fn [x] x)", .ends = END(COMPLETED) | END(ERROR) },
        { "a function as an argument", "(call :ccos.echo (fn [x] x))",
          .ends = END(COMPLETED) | END(ERROR) | END(DENIED) },
};
#define ROWS (sizeof table / sizeof table[0])

/* --- running ---------------------------------------------------------------------------------- */
static struct mv_err err;
static struct mv_host *host;
static struct mv_context *may;

static void setup(void)
{
        static const char *const ids[] = { "ccos.echo",
                                           "ccos.io.println",
                                           "ccos.math.add",
                                           "ccos.io.read-file",
                                           "ccos.io.open-file",
                                           "ccos.io.read-line",
                                           "ccos.network.http-fetch" };
        if (host)
                return;
        if (mv_host_new(NULL, &host, &err) < 0) {
                mv_test_failed(__FILE__, __LINE__, err.msg);
                exit(1);
        }
        may = mv_context_new(MV_LEVEL_CONTROLLED);
        mv_context_give(may, MV_TEST_PATIENT);
        for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
                CHECK(mv_context_allow(may, ids[i], &err) == 0);
        CHECK(mv_context_allow_read(may, "/usr/share", &err) == 0);
        CHECK(mv_context_allow_host(may, "allowed.example", &err) == 0);
}

static void teardown(void)
{
        may = mv_context_free(may);
        host = mv_host_free(host);
}

static bool available(enum wall w)
{
        struct mv_provider_info info;
        uint32_t i;
        setup();
        return mv_host_provider_find(host, wall_name[w], &i) == 0 &&
               mv_host_provider_info(host, i, &info, &err) == 0 && info.available;
}

static const char *why_not(enum wall w)
{
        static struct mv_provider_info info;
        uint32_t i;
        if (mv_host_provider_find(host, wall_name[w], &i) < 0 ||
            mv_host_provider_info(host, i, &info, &err) < 0)
                return "not registered";
        return info.reason;
}

static uint64_t now_ms(void)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static struct mv_result *run(enum wall w, const struct hostile *h)
{
        struct source s = h->build ? h->build() : bytes(h->text, strlen(h->text));
        struct mv_execution x = { .program = { .kind = MV_PROGRAM_SOURCE,
                                               .bytes = { (const uint8_t *)s.text, s.len } },
                                  .context = may,
                                  .provider = wall_name[w],
                                  .limits = h->limits };
        struct mv_result *r = NULL;
        err = (struct mv_err){ 0 };
        if (mv_execute(host, &x, &r, &err) < 0)
                r = NULL;
        free(s.text);
        return r;
}

static void complain(enum wall w, const struct hostile *h, const char *what, const char *detail)
{
        char line[600];
        snprintf(line, sizeof line, "%s on %s: %s %.300s", h->name, wall_name[w], what, detail);
        mv_test_failed(__FILE__, __LINE__, line);
}

static void check_shown(enum wall w, const struct hostile *h, const struct mv_result *r)
{
        char *value = mv_result_ok(r) ? mv_value_display(mv_result_value(r), NULL) : NULL;
        const char *shown = value ? value : mv_result_ok(r) ? "(null)" : mv_result_error(r)->kind;
        if (strcmp(shown, h->shows) != 0)
                complain(w, h, "gave", shown);
        free(value);
}

static void check_end(enum wall w, const struct hostile *h, const struct mv_result *r,
                      uint64_t took_ms)
{
        char detail[400];
        enum mv_termination end = mv_result_termination(r);
        const struct mv_program_error *e = mv_result_error(r);
        snprintf(detail, sizeof detail, "%s (%s)", mv_termination_name(end), e ? e->message : "");
        if (!(h->ends & 1u << end))
                complain(w, h, "ended", detail);
        if (h->shows)
                check_shown(w, h, r);
        if (mv_result_metadata(r)->denials < h->denials)
                complain(w, h, "has denials unrecorded;", detail);
        snprintf(detail, sizeof detail, "%llu ms", (unsigned long long)took_ms);
        if (h->limits.wall_ns_max && took_ms > h->limits.wall_ns_max / 1000000 + END_SLACK_MS)
                complain(w, h, "overran its deadline:", detail);
}

static void check_outcome(enum wall w, const struct hostile *h, const struct mv_result *r,
                          uint64_t took_ms)
{
        if (r && h->refused)
                complain(w, h, "should have been refused", "");
        else if (r)
                check_end(w, h, r, took_ms);
        else if (!h->refused || !strstr(err.msg, h->refused))
                complain(w, h, "nothing ran:", err.msg);
}

/* (3) One program that looks for everything the others might have left. */
static void check_clean(enum wall w, const struct hostile *after)
{
        static const struct hostile probes[] = {
                { "sum", "(+ 1 2)", .shows = "3" },
                { "variable", "left-over", .shows = "UndefinedSymbol" },
                { "context", "(context/get :left)", .shows = "nil" },
                { "handle", "(try (call :ccos.io.read-line 1) (catch e :none))", .shows = ":none" },
        };
        for (size_t i = 0; i < sizeof probes / sizeof probes[0]; i++) {
                struct mv_result *r = run(w, &probes[i]);
                if (!r) {
                        complain(w, after, "left the provider broken:", err.msg);
                        return;
                }
                check_shown(w, &probes[i], r);
                if (mv_result_stdout(r).len || mv_result_stderr(r).len)
                        complain(w, after, "left its output to", probes[i].name);
                mv_result_free(r);
        }
}

static void run_table(enum wall w)
{
        for (size_t i = 0; i < ROWS; i++) {
                uint64_t start = now_ms();
                struct mv_result *r = run(w, &table[i]);
                check_outcome(w, &table[i], r, now_ms() - start);
                if (getenv("MV_TEST_VERBOSE"))
                        fprintf(stderr, "# %s %s: %s %llu ms %s\n", wall_name[w], table[i].name,
                                r ? mv_termination_name(mv_result_termination(r)) : "-",
                                (unsigned long long)(now_ms() - start),
                                r && mv_result_error(r) ? mv_result_error(r)->message : "");
                mv_result_free(r);
                check_clean(w, &table[i]);
        }
}

/* --- leaks ------------------------------------------------------------------------------------ */
static unsigned count_dir(const char *path)
{
        unsigned n = 0;
        DIR *d = opendir(path);
        if (!d)
                return 0;
        for (struct dirent *e = readdir(d); e; e = readdir(d))
                n += e->d_name[0] != '.';
        closedir(d);
        return n;
}

static unsigned count_lines(const char *path)
{
        unsigned n = 0;
        FILE *f = fopen(path, "r");
        for (int c = f ? getc(f) : EOF; c != EOF; c = getc(f))
                n += c == '\n';
        if (f)
                fclose(f);
        return n;
}

/* Children of any thread of this process. */
static unsigned count_children(void)
{
        char path[64], id[16];
        unsigned n = 0;
        DIR *d = opendir("/proc/self/task");
        for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
                if (e->d_name[0] == '.')
                        continue;
                snprintf(path, sizeof path, "/proc/self/task/%.20s/children", e->d_name);
                FILE *f = fopen(path, "r");
                while (f && fscanf(f, "%15s", id) == 1)
                        n++;
                if (f)
                        fclose(f);
        }
        if (d)
                closedir(d);
        return n;
}

struct held {
        unsigned fds, maps, children;
};
static struct held held(void)
{
        return (struct held){ count_dir("/proc/self/fd"), count_lines("/proc/self/maps"),
                              count_children() };
}

/* The short ones: every reason to end, none that waits for a deadline. */
static const char *const mix[] = {
        "endless loop, fuel",
        "caught deep recursion",
        "memory by strings",
        "memory by nested vectors",
        "large result",
        "100,000 brackets",
        "invalid UTF-8",
        "caught denial",
        "denied",
        "an open handle is left",
        "output flood",
        "shared values compared, fuel",
        "path through /proc/self/root",
        "10,000 arguments",
};

static void run_mix(enum wall w)
{
        for (size_t i = 0; i < sizeof mix / sizeof mix[0]; i++)
                for (size_t k = 0; k < ROWS; k++)
                        if (strcmp(table[k].name, mix[i]) == 0)
                                mv_result_free(run(w, &table[k]));
}

#define CYCLES 10
/* Mappings that malloc may add for large blocks and thread arenas, whatever the number of cycles. A sanitizer keeps freed
 * memory aside, in mappings of its own; its leak check at the end is the stronger test there. */
#if defined(__SANITIZE_ADDRESS__)
#define HEAP_NOISE 500
#else
#define HEAP_NOISE 8
#endif
static void check_no_leak(enum wall w)
{
        char what[200];
        run_mix(w); /* what is made once is made */
        run_mix(w);
        struct held before = held();
        for (unsigned i = 0; i < (w == GVISOR ? 2 : CYCLES); i++)
                run_mix(w);
        struct held after;
        UNTIL((after = held()).fds <= before.fds); /* a closed cell is taken apart behind us */
        snprintf(what, sizeof what,
                 "%s: descriptors %u, then %u; mappings %u, then %u; children %u, then %u",
                 wall_name[w], before.fds, after.fds, before.maps, after.maps, before.children,
                 after.children);
        if (after.fds > before.fds || after.children > before.children ||
            after.maps > before.maps + HEAP_NOISE)
                mv_test_failed(__FILE__, __LINE__, what);
}

/* --- tests ------------------------------------------------------------------------------------ */
#define HOSTILE_ON(id, wall)                                                                       \
        TEST(hostile_programs_end_for_the_right_reason_on_##id)                                    \
        {                                                                                          \
                setup();                                                                           \
                if (!available(wall))                                                              \
                        SKIP(why_not(wall));                                                       \
                run_table(wall);                                                                   \
                teardown();                                                                        \
        }                                                                                          \
        TEST(rounds_of_hostile_programs_leave_nothing_behind_on_##id)                              \
        {                                                                                          \
                setup();                                                                           \
                if (!available(wall))                                                              \
                        SKIP(why_not(wall));                                                       \
                check_no_leak(wall);                                                               \
                teardown();                                                                        \
        }
HOSTILE_ON(mock, MOCK)
HOSTILE_ON(kvm, KVM)
#if !defined(__SANITIZE_ADDRESS__) /* what is sanitized ran for those two already */
HOSTILE_ON(process, PROCESS)
HOSTILE_ON(wasm, WASM)
HOSTILE_ON(gvisor, GVISOR)
#endif

TEST(a_host_that_is_gone_holds_nothing)
{
        struct held before = held();
        for (enum wall w = MOCK; w < WALLS; w++) {
                setup();
                if (available(w))
                        run_mix(w);
                teardown();
        }
        struct held after = held();
        CHECK(after.fds == before.fds);
        CHECK(after.children == before.children);
        CHECK(after.maps <= before.maps + HEAP_NOISE);
}
