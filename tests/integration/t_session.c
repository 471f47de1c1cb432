/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions behind every wall of this machine: definitions stay, every evaluation is an execution
 * of its own. */
#include "test.h"
#include <host/host.h>
#include <microvm/microvm.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static struct mv_err err;
static struct mv_host *host;
static const char *const walls[] = { "mock", "process", "kvm" };

static void make_host(void)
{
        if (!host && mv_host_new(NULL, &host, &err) < 0)
                exit(1);
}

static bool available(const char *name)
{
        struct mv_provider_info info;
        uint32_t i;
        make_host();
        return mv_host_provider_find(host, name, &i) == 0 &&
               mv_host_provider_info(host, i, &info, &err) == 0 && info.available;
}

static struct mv_session *session(const char *wall, const struct mv_context *c)
{
        struct mv_session *s = NULL;
        if (mv_session_open(
                    host,
                    &(struct mv_session_options){ .context = c, .provider = wall, .prelude = true },
                    &s, &err) < 0) {
                mv_test_failed(__FILE__, __LINE__, err.msg);
                exit(1);
        }
        return s;
}

/* Display form of the value, "KIND termination" of an error, or "nothing ran: ..." */
static const char *eval_with(struct mv_session *s, const struct mv_evaluation *v)
{
        static char buf[512];
        struct mv_result *r;
        if (mv_session_eval(s, v, &r, &err) < 0) {
                snprintf(buf, sizeof buf, "nothing ran: %s", err.msg);
                return buf;
        }
        if (mv_result_ok(r)) {
                char *value = mv_value_display(mv_result_value(r), NULL);
                snprintf(buf, sizeof buf, "%s", value ? value : "(null)");
                free(value);
        } else {
                snprintf(buf, sizeof buf, "%s %s", mv_result_error(r)->kind,
                         mv_termination_name(mv_result_termination(r)));
        }
        mv_result_free(r);
        return buf;
}

static const char *eval(struct mv_session *s, const struct mv_context *c, const char *text)
{
        return eval_with(
                s, &(struct mv_evaluation){ .program = mv_program_source(text), .context = c });
}

#define ON_EVERY_WALL                                                                              \
        for (size_t wall_ = 0; wall_ < sizeof walls / sizeof *walls; wall_++)                      \
                if (available(walls[wall_]))
#define WALL walls[wall_]

TEST(what_is_defined_stays_for_the_evaluations_that_follow)
{
        ON_EVERY_WALL
        {
                struct mv_context *c = mv_context_new(MV_LEVEL_CONTROLLED);
                struct mv_session *s = session(WALL, c);
                CHECK_STR(mv_session_provider(s), WALL);
                CHECK_STR(eval(s, c, "(def x 20) (defn f [y] (+ x y))"), "#<function>");
                CHECK_STR(eval(s, c, "(f 22)"), "42");
                CHECK_STR(eval(s, c, "(defmacro twice [e] `(do ~e ~e)) (twice 1)"), "1");
                CHECK_STR(eval(s, c, "(twice (f 1))"), "21");
                CHECK_STR(eval(s, c, "(module m (:exports [g]) (defn g [] :g))"), "nil");
                CHECK_STR(eval(s, c, "(import m :as n) (n/g)"), ":g");
                CHECK_STR(eval(s, c, "(def x 1) (f 22)"), "23");
                CHECK_STR(eval(s, c, "(deftype Small int) (defn s [a : Small] a) (s 3)"), "3");
                CHECK(!mv_session_lost(s));
                mv_session_close(s);
                mv_context_free(c);
        }
}

TEST(after_an_error_earlier_definitions_are_intact)
{
        ON_EVERY_WALL
        {
                struct mv_context *c = mv_context_new(MV_LEVEL_CONTROLLED);
                struct mv_session *s = session(WALL, c);
                eval(s, c, "(def x 7)");
                CHECK_STR(eval(s, c, "(def y 8) (/ 1 0) (def z 9)"), "DivisionByZero error");
                CHECK_STR(eval(s, c, "[x y]"), "[7 8]");
                CHECK_STR(eval(s, c, "z"), "UndefinedSymbol error");
                CHECK_STR(eval(s, c, "(+ 1"), "ParseError error");
                CHECK_STR(eval(s, c, "(module m (:exports [a]) (def a 1) (def b (/ 1 0)))"),
                          "DivisionByZero error");
                CHECK_STR(eval(s, c, "(defn deep [n] (+ 1 (deep n))) (deep 1)"),
                          "StackOverflow error");
                CHECK_STR(eval(s, c, "(call \"ccos.echo\" 1)"), "SecurityViolation denied");
                CHECK_STR(eval(s, c, "(loop [v []] (recur (conj v v v)))"), "LimitExceeded memory");
                CHECK_STR(eval(s, c, "[x y (count (range 0 1000))]"), "[7 8 1000]");
                CHECK(!mv_session_lost(s));
                mv_session_close(s);
                mv_context_free(c);
        }
}

TEST(every_evaluation_has_its_own_grants_fuel_and_arguments)
{
        ON_EVERY_WALL
        {
                struct mv_context *may = mv_context_new(MV_LEVEL_CONTROLLED),
                                  *not = mv_context_new(MV_LEVEL_CONTROLLED);
                mv_context_allow(may, "ccos.echo", &err);
                struct mv_session *s = session(WALL, not );
                CHECK_STR(eval(s, not, "(defn f [] (call \"ccos.echo\" 5)) (f)"),
                          "SecurityViolation denied");
                CHECK_STR(eval(s, may, "(f)"), "5");
                CHECK_STR(eval(s, not, "(f)"), "SecurityViolation denied");
                struct mv_evaluation v = {
                        .program =
                                mv_program_source("(loop [i 0] (if (< i 1000) (recur (+ i 1)) i))"),
                        .context = may
                };
                CHECK_STR(eval_with(s, &v), "1000");
                v.limits.fuel_max = 500;
                CHECK_STR(eval_with(s, &v), "LimitExceeded fuel");
                v.limits.fuel_max = 5000;
                for (int i = 0; i < 5; i++)
                        CHECK_STR(eval_with(s, &v), "1000");
                CHECK(!mv_session_lost(s));
                mv_session_close(s);
                mv_context_free(may);
                mv_context_free(not );
        }
}

static double seconds(void)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

TEST(a_deadline_that_the_program_obeys_keeps_the_definitions)
{
        ON_EVERY_WALL
        {
                struct mv_context *c = mv_context_new(MV_LEVEL_CONTROLLED);
                mv_context_allow(c, "ccos.echo", &err);
                struct mv_session *s = session(WALL, c);
                eval(s, c, "(def x 7)");
                static const char *const endless[] = {
                        "(loop [] (recur))", "(loop [i 0] (call \"ccos.echo\" i) (recur (+ i 1)))",
                        "(loop [i 0] (sort (range 0 1000)) (recur (+ i 1)))",
                        "(loop [] (try (loop [] (recur)) (catch e nil)) (recur))"
                };
                for (size_t i = 0; i < sizeof endless / sizeof *endless; i++) {
                        double from = seconds();
                        struct mv_evaluation v = { .program = mv_program_source(endless[i]),
                                                   .context = c,
                                                   .limits = { .wall_ns_max = 100000000 } };
                        CHECK_STR(eval_with(s, &v), "LimitExceeded timeout");
                        CHECK(seconds() - from < MV_TEST_SOON_NS / 1e9);
                        CHECK(!mv_session_lost(s));
                        CHECK_STR(eval(s, c, "x"), "7");
                }
                mv_session_close(s);
                mv_context_free(c);
        }
}

static void *cancel_soon(void *arg)
{
        usleep(100000);
        *(volatile int *)arg = 1;
        return NULL;
}

TEST(a_cancel_stops_the_evaluation_and_not_the_session)
{
        ON_EVERY_WALL
        {
                struct mv_context *c = mv_context_new(MV_LEVEL_FULL);
                struct mv_session *s = session(WALL, c);
                eval(s, c, "(def x 7)");
                static const char *const endless[] = { "(loop [] (recur))",
                                                       "(call \"ccos.system.sleep-ms\" 60000)" };
                for (size_t i = 0; i < 2; i++) {
                        volatile int cancel = 0;
                        pthread_t t;
                        double from = seconds();
                        pthread_create(&t, NULL, cancel_soon, (void *)&cancel);
                        struct mv_evaluation v = { .program = mv_program_source(endless[i]),
                                                   .context = c,
                                                   .cancel = &cancel };
                        const char *how = eval_with(s, &v);
                        pthread_join(t, NULL);
                        if (i == 0)
                                CHECK_STR(how, "Interrupted killed");
                        CHECK(seconds() - from < MV_TEST_SOON_NS / 1e9);
                        CHECK(!mv_session_lost(s));
                        CHECK_STR(eval(s, c, "x"), "7");
                }
                mv_session_close(s);
                mv_context_free(c);
        }
}

TEST(a_cancel_before_the_evaluation_has_begun_is_not_lost)
{
        ON_EVERY_WALL
        {
                struct mv_context *c = mv_context_new(MV_LEVEL_FULL);
                struct mv_session *s = session(WALL, c);
                eval(s, c, "(def x 7)");
                volatile int cancel = 1;
                struct mv_evaluation v = { .program = mv_program_source("(loop [] (recur))"),
                                           .context = c,
                                           .cancel = &cancel };
                CHECK_STR(eval_with(s, &v), "Interrupted killed");
                CHECK(!mv_session_lost(s));
                CHECK_STR(eval(s, c, "x"), "7");
                mv_session_close(s);
                mv_context_free(c);
        }
}

TEST(a_cell_that_had_to_be_killed_is_gone_and_the_session_says_so_and_starts_anew)
{
        for (size_t wall_ = 1; wall_ < 3; wall_++) {
                if (!available(WALL))
                        continue;
                struct mv_context *c = mv_context_new(MV_LEVEL_CONTROLLED);
                struct mv_session *s = session(WALL, c);
                eval(s, c, "(def x 7)");
                struct mv_evaluation v = { .program = mv_program_source("(loop [] (recur))"),
                                           .context = c,
                                           .limits = { .cpu_ns_max = 50000000 } };
                CHECK_STR(eval_with(s, &v), "LimitExceeded timeout");
                CHECK(mv_session_lost(s));
                CHECK_STR(eval(s, c, "x"), "UndefinedSymbol error");
                CHECK(!mv_session_lost(s));
                CHECK_STR(eval(s, c, "(def x 8)"), "8");
                CHECK_STR(eval(s, c, "x"), "8");
                mv_session_close(s);
                mv_context_free(c);
        }
}

/* CPU time is that of the evaluation, not of the session. */
TEST(processor_time_counts_for_each_evaluation_by_itself)
{
        for (size_t wall_ = 1; wall_ < 3; wall_++) {
                if (!available(WALL))
                        continue;
                struct mv_context *c = mv_context_new(MV_LEVEL_CONTROLLED);
                struct mv_session *s = session(WALL, c);
                struct mv_evaluation v = {
                        .program = mv_program_source(
                                "(loop [i 0] (if (< i 1000000) (recur (+ i 1)) i))"),
                        .context = c,
                        .limits = { .cpu_ns_max = 1500000000 }
                };
                for (int i = 0; i < 6; i++)
                        CHECK_STR(eval_with(s, &v), "1000000");
                CHECK(!mv_session_lost(s));
                mv_session_close(s);
                mv_context_free(c);
        }
}

TEST(fuel_and_root_of_an_evaluation_are_the_same_behind_every_wall)
{
        static const char *const texts[] = { "(def x 1)", "(defn f [n] (if (= n 0) x (f (- n 1))))",
                                             "(f 100000)", "(/ x 0)", "(step \"s\" (f 10))" };
        uint8_t roots[5][32];
        uint64_t fuel[5];
        bool first = true;
        ON_EVERY_WALL
        {
                struct mv_session *s = session(WALL, NULL);
                for (size_t i = 0; i < 5; i++) {
                        struct mv_result *r = NULL;
                        struct mv_evaluation v = { .program = mv_program_source(texts[i]) };
                        CHECK(mv_session_eval(s, &v, &r, &err) == 0);
                        if (first) {
                                memcpy(roots[i], mv_result_root(r), 32);
                                fuel[i] = mv_result_metadata(r)->fuel;
                        }
                        CHECK(memcmp(roots[i], mv_result_root(r), 32) == 0);
                        CHECK(fuel[i] == mv_result_metadata(r)->fuel);
                        mv_result_free(r);
                }
                first = false;
                mv_session_close(s);
        }
}

TEST(programs_of_every_form_share_one_session)
{
        ON_EVERY_WALL
        {
                struct mv_session *s = session(WALL, NULL);
                struct mv_execution x = { .program = mv_program_source("(def a (+ b 1))"),
                                          .purpose = MV_PURPOSE_COMPILE,
                                          .provider = WALL };
                struct mv_result *code = NULL;
                CHECK(mv_execute(host, &x, &code, &err) == 0);
                CHECK_STR(eval(s, NULL, "(def b 4)"), "4");
                struct mv_evaluation v = { .program = { .kind = MV_PROGRAM_BYTECODE,
                                                        .bytes = mv_result_compiled(code) } };
                CHECK_STR(eval_with(s, &v), "5");
                v.program.bytes.len--;
                CHECK_STR(eval_with(s, &v), "ParseError error");
                CHECK_STR(eval(s, NULL, "[a b]"), "[5 4]");
                v.program.kind = MV_PROGRAM_SCRIPT;
                CHECK(strncmp(eval_with(s, &v), "nothing ran", 11) == 0);
                mv_result_free(code);
                mv_session_close(s);
        }
}

TEST(nothing_of_a_session_is_found_by_the_next_one_or_by_an_execution)
{
        ON_EVERY_WALL
        {
                for (int i = 0; i < 4; i++) {
                        struct mv_session *s = session(WALL, NULL);
                        CHECK_STR(eval(s, NULL, "secret"), "UndefinedSymbol error");
                        CHECK_STR(eval(s, NULL, "(def secret 1) (def + -) (+ 3 1)"), "2");
                        mv_session_close(s);
                        struct mv_execution x = { .program = mv_program_source("(+ 1 secret)"),
                                                  .provider = WALL };
                        struct mv_result *r = NULL;
                        CHECK(mv_execute(host, &x, &r, &err) == 0);
                        CHECK(!mv_result_ok(r) &&
                              strcmp(mv_result_error(r)->kind, "UndefinedSymbol") == 0);
                        mv_result_free(r);
                }
        }
}

TEST(a_memory_limit_below_the_cell_is_refused_and_a_session_that_was_never_used_closes)
{
        make_host();
        struct mv_session *s = session("mock", NULL);
        struct mv_evaluation v = { .program = mv_program_source("1"),
                                   .limits = { .memory_bytes_max = 2 << 20 } };
        CHECK(strstr(eval_with(s, &v), "open a session with less") != NULL);
        CHECK(mv_session_close(s) == NULL);
        CHECK(mv_session_close(NULL) == NULL);
        CHECK(mv_session_open(host, &(struct mv_session_options){ .provider = "firecracker" }, &s,
                              &err) < 0);
        CHECK(mv_session_open(
                      host,
                      &(struct mv_session_options){ .provider = "mock", .tier_min = MV_TIER_VM },
                      &s, &err) < 0);
}

TEST(a_session_gives_arguments_and_variables_to_all_of_its_evaluations) /* REQ-SEC-12 */
{
        ON_EVERY_WALL
        {
                struct mv_value item = { .kind = MV_INT, .integer = 5 };
                struct mv_value args = { .kind = MV_VECTOR, .count = 1, .items = &item };
                struct mv_entry plan = { { .kind = MV_STRING, .text = MV_SLICE("plan") },
                                         { .kind = MV_STRING, .text = MV_SLICE("p-7") } };
                struct mv_value variables = { .kind = MV_MAP, .count = 1, .entries = &plan };
                struct mv_session *s = NULL;
                CHECK(mv_session_open(host,
                                      &(struct mv_session_options){ .provider = WALL,
                                                                    .args = &args,
                                                                    .variables = &variables },
                                      &s, &err) == 0);
                CHECK_STR(eval(s, NULL, "(context/get :plan)"), "\"p-7\"");
                CHECK_STR(eval(s, NULL, "(context/get :plan)"), "\"p-7\"");
                CHECK_STR(eval(s, NULL, "args"), "[5]");
                CHECK_STR(eval(s, NULL, "(def args (conj args 6))"), "[5 6]");
                CHECK_STR(eval(s, NULL, "args"), "[5 6]");
                mv_session_close(s);
        }
}
