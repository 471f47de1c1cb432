/* SPDX-License-Identifier: Apache-2.0 */
/* Hints that keep a call from being made, or make it wait: cache, circuit breaker, rate limit (REQ-IDEM-07;
 * src/broker/resilience.c), and the fallback of rtfs/compile_data.c. */
#include "durable.h"
#include <host/cbor_map.h>
#include <security/security.h>
#include <security/terms.h>
#include <time.h>
#include <wire/cbor.h>

#define APPEND(word)      "(call \"test.append\" \"" word "\")"
#define HINT(name, value) "^{:runtime.learning." name " " value "} "
#define TRY(call)         "(try " call " (catch e (:kind e)))"
#define SLEEP(ms)         "(call \"ccos.system.sleep-ms\" " ms ")"

static void with_sleep(void)
{
        plan_new();
        CHECK(mv_context_allow(plan.context, "ccos.system.sleep-ms", &plan.err) == 0 &&
              mv_context_allow(plan.context, "ccos.echo", &plan.err) == 0);
        mv_context_give(plan.context, MV_TEST_PATIENT);
}

/* So many notes that this hint was applied. */
static unsigned applied(const char *hint)
{
        struct mv_audit_reader *reader;
        struct mv_audit_record r;
        struct mv_err err;
        unsigned count = 0;
        if (mv_audit_reader_open(plan.store, &reader, &err) < 0)
                return ~0u;
        while (mv_audit_read(reader, &r, &err) == 1)
                count += r.type == MV_REC_HINT &&
                         mv_slice_eq_str(mv__map_text(r.semantic, "hint"), hint);
        mv_audit_reader_close(reader);
        return count;
}

static const struct {
        const char *text, *shown, *effects;
        unsigned hits;
} cached[] = {
        { HINT("cache", "true") "[" APPEND("a") APPEND("a") APPEND("b") APPEND("a") "]",
          "[\"a\" \"a\" \"b\" \"a\"]", "a b ", 2 },
        /* only what stands under it, and there anew in every form */
        { "[" APPEND("a") HINT("cache", "true") APPEND("a") HINT("cache", "true") APPEND("a")
                  APPEND("a") "]",
          "[\"a\" \"a\" \"a\" \"a\"]", "a a a ", 1 },
        { HINT("cache", "false") "[" APPEND("a") APPEND("a") "]", "[\"a\" \"a\"]", "a a ", 0 },
        /* another capability is another call */
        { HINT("cache", "true") "[" APPEND("a") "(call \"test.put\" \"a\")]", "[\"a\" \"a\"]",
          "a a ", 0 },
        { HINT("cache", "{:ttl-ms 1}") "[" APPEND("a") SLEEP("20") APPEND("a") "]",
          "[\"a\" nil \"a\"]", "a a ", 0 },
        { HINT("cache", "{:max_entries 1}") "[" APPEND("a") APPEND("b") APPEND("b") APPEND("a") "]",
          "[\"a\" \"b\" \"b\" \"a\"]", "a b a ", 1 },
        /* a fault is no reply; two of "bad" fail */
        { HINT("cache", "true") "[" TRY(APPEND("bad")) TRY(APPEND("bad")) APPEND("bad")
                  APPEND("bad") "]",
          "[:io-error :io-error \"bad\" \"bad\"]", "bad ", 1 },
        /* a key is of the effect: the cache comes before it */
        { "^{:runtime.learning.cache true :runtime.idempotency-key \"k\"} [" APPEND("a")
                  APPEND("a") "]",
          "[\"a\" \"a\"]", "a ", 1 },
};

TEST(a_cached_call_is_answered_and_not_made)
{
        with_sleep();
        for (size_t i = 0; i < sizeof cached / sizeof *cached; i++) {
                plan_again();
                plan.fail_with = "IoError";
                plan.fail_times = 2;
                CHECK_STR(plan_run(cached[i].text, 0), cached[i].shown);
                CHECK_STR(plan_effects(), cached[i].effects);
                CHECK(applied("cache") == cached[i].hits);
                CHECK(plan_verifies() && plan_replays());
        }
        plan_done();
}

TEST(a_step_that_demands_determinism_is_not_answered_with_what_was_not_deterministic)
{
#define CLOCK "(call \"ccos.system.current-timestamp-ms\")"
        with_sleep();
        CHECK(mv_context_allow(plan.context, "ccos.system.current-timestamp-ms", &plan.err) == 0);
        static const char *const hints[] = { HINT("cache", "true"),
                                             "^{:runtime.idempotency-key \"k\"} " };
        for (int i = 0; i < 2; i++) {
                char text[512];
                snprintf(text, sizeof text,
                         "%s(let [a " CLOCK " b (with-security-profile {:deterministic true} " CLOCK
                         ") c " CLOCK "] [(= a c) (< b 946684900000) (< b a)])",
                         hints[i]);
                CHECK_STR(plan_run(text, 0), "[true true true]");
                CHECK(plan_verifies() && plan_replays());
        }
        plan_done();
}

TEST(what_one_run_was_answered_is_no_answer_to_another)
{
        with_sleep();
        CHECK_STR(plan_run(HINT("cache", "true") APPEND("a"), 0), "\"a\"");
        CHECK_STR(plan_run(HINT("cache", "true") APPEND("a"), 0), "\"a\"");
        CHECK_STR(plan_effects(), "a a ");
        plan_done();
}

TEST(a_cached_call_is_not_undone_twice)
{
        plan_new();
        CHECK_STR(plan_run("^{:runtime.learning.cache true :runtime.compensate [\"test.append\" "
                           "\"un\"]} (do " APPEND("a") APPEND("a") ") (/ 1 0)",
                           0),
                  "error DivisionByZero");
        CHECK_STR(plan_effects(), "a un ");
        CHECK(plan_verifies() && plan_replays());
        plan_done();
}

/* Nobody waits for a minute, everybody for a moment: whatever else the machine does. */
#define BREAKER(more) HINT("circuit-breaker", "{:failure-threshold 2 :cooldown-ms 60000 " more "}")
#define BRIEF         HINT("circuit-breaker", "{:failure-threshold 2 :cooldown-ms 50}")

TEST(behind_an_open_circuit_no_call_is_made_until_it_is_tried_again)
{
        static const struct {
                const char *text;
                int failures; /* of "bad" */
                const char *shown, *effects;
        } cases[] = {
                { BREAKER("") "[" TRY(APPEND("bad")) TRY(APPEND("bad")) TRY(APPEND("a"))
                          TRY(APPEND("bad")) "]",
                  9, "[:io-error :io-error :circuit-open :circuit-open]", "" },
                /* in a row */
                { BREAKER("") "[" TRY(APPEND("bad")) TRY(APPEND("a")) TRY(APPEND("bad"))
                          TRY(APPEND("b")) "]",
                  9, "[:io-error \"a\" :io-error \"b\"]", "a b " },
                /* each capability has its own */
                { BREAKER("") "[" TRY(APPEND("bad"))
                          TRY(APPEND("bad")) "(call \"test.put\" \"x\")]",
                  9, "[:io-error :io-error \"x\"]", "x " },
                /* tried again: one success is not enough, and a failure opens it at once */
                { "[" BRIEF "[" TRY(APPEND("bad")) TRY(APPEND("bad")) "] " SLEEP("80")
                          BREAKER("") "[" TRY(APPEND("a")) TRY(APPEND("bad")) TRY(APPEND("b")) "]]",
                  9, "[[:io-error :io-error] nil [\"a\" :io-error :circuit-open]]", "a " },
                { "[" BRIEF "[" TRY(APPEND("bad")) TRY(APPEND("bad")) "] " SLEEP("80")
                          BREAKER(":success-threshold 1") "[" TRY(APPEND("a")) TRY(APPEND("bad"))
                                  TRY(APPEND("b")) "]]",
                  9, "[[:io-error :io-error] nil [\"a\" :io-error \"b\"]]", "a b " },
                /* by default five */
                { HINT("circuit-breaker", "true") "(map (fn [i] " TRY(APPEND("bad")) ") (range 7))",
                  9,
                  "[:io-error :io-error :io-error :io-error :io-error :circuit-open :circuit-open]",
                  "" },
        };
        with_sleep();
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                plan_again();
                plan.fail_with = "IoError";
                plan.fail_times = cases[i].failures;
                CHECK_STR(plan_run(cases[i].text, 0), cases[i].shown);
                CHECK_STR(plan_effects(), cases[i].effects);
                CHECK(plan_verifies() && plan_replays());
        }
        plan_done();
}

static uint64_t now_ms(void)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

TEST(calls_wait_for_their_turn)
{
        with_sleep();
        uint64_t from = now_ms();
        CHECK_STR(plan_run(HINT("rate-limit",
                                "{:requests-per-second 20 :burst 2}") "(map (fn [w] "
                                                                      "(call \"test.append\" w)) "
                                                                      "[\"a\" \"b\" \"c\" \"d\"])",
                           0),
                  "[\"a\" \"b\" \"c\" \"d\"]");
        CHECK(now_ms() - from >= 95);      /* two at once, two more after 50 ms each */
        CHECK(applied("rate-limit") <= 2); /* fewer where the calls themselves took so long */
        CHECK_STR(plan_effects(), "a b c d ");
        plan_again();
        from = now_ms();
        CHECK_STR(plan_run(HINT("rate-limit", "{:requests-per-second 0.001 :burst 1}") "[" APPEND(
                                   "a") TRY(APPEND("b")) "]",
                           0),
                  "[\"a\" :limit-exceeded]"); /* not before the end of the execution */
        CHECK(now_ms() - from < MV_TEST_SOON_NS / 1000000);
        CHECK_STR(plan_effects(), "a ");
        CHECK(plan_verifies() && plan_replays());
        plan_done();
}

TEST(a_hint_that_cannot_be_understood_is_an_error_of_the_call)
{
        static const char *const bad[] = {
                HINT("cache", "7"),
                HINT("cache", "{:ttl-ms 0}"),
                HINT("cache", "{:ttl-ms \"1\"}"),
                HINT("cache", "{:ttl 1}"),
                HINT("cache", "{:ttl-ms 1 :max-entries 1001}"),
                HINT("circuit-breaker", "{:failure-threshold 0}"),
                HINT("circuit-breaker", "nil"),
                HINT("rate-limit", "{:burst 0}"),
                HINT("rate-limit", "{:requests-per-second (- 1)}"),
                HINT("rate-limit", "10"),
                HINT("metrics", "1"),
        };
        plan_new();
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
                char text[256];
                snprintf(text, sizeof text, "%s%s", bad[i], APPEND("a"));
                CHECK_STR(plan_run(text, 0), "error InvalidArgument");
        }
        CHECK_STR(plan_effects(), "");
        plan_done();
}

TEST(a_resumed_run_remembers_no_answers_and_no_failures)
{
        with_sleep();
        plan_killed(
                HINT("cache", "true") "[(call \"test.put\" \"a\") (call \"test.put\" \"a\") (call "
                                      "\"test.put\" \"b\") (call \"test.put\" \"a\")]",
                2, BEFORE_EFFECT);
        CHECK_STR(plan_effects(), "a ");
        CHECK_STR(plan_resume(NULL), "[\"a\" \"a\" \"b\" \"a\"]");
        CHECK_STR(plan_effects(), "a b a ");
        CHECK(plan_verifies() && plan_replays());
        plan_done();
}

/* --- fallback --------------------------------------------------------------------------------- */
#define INSTEAD(more) "^{:runtime.learning.fallback {:capability \"test.put\" " more "}} "

TEST(what_fails_falls_back_to_another_capability)
{
        static const struct {
                const char *text, *fails_with;
                int failures; /* of "bad" */
                const char *shown, *effects;
        } cases[] = {
                { INSTEAD("") APPEND("a"), "IoError", 1, "\"a\"", "a " },
                { INSTEAD("") APPEND("bad"), "IoError", 1, "\"bad\"", "bad " },
                { INSTEAD("") APPEND("bad"), "IoError", 2, "error IoError", "" },
                /* the arguments are what they were, evaluated once */
                { INSTEAD("") "(call \"test.append\" (do (call \"test.put\" \"once\") \"bad\"))",
                  "IoError", 1, "\"bad\"", "once bad " },
                { INSTEAD(":pass-original-args false") APPEND("bad"), "IoError", 1,
                  "error ArityMismatch", "" },
                /* what is not there fails; a denial is no failure, of neither */
                { INSTEAD("") "(call \"other.one\" \"a\")", NULL, 0, "\"a\"", "a " },
                { INSTEAD("") "(call \"ccos.io.read-file\" \"/etc/passwd\")", NULL, 0,
                  "error SecurityViolation", "" },
                { "^{:runtime.learning.fallback {:capability \"ccos.io.read-file\"}} " APPEND(
                          "bad"),
                  "IoError", 1, "error SecurityViolation", "" },
                /* hints are the first call's: its key is not the second one's, and it is retried before */
                { "^{:runtime.idempotency-key \"k\" :runtime.learning.fallback {:capability "
                  "\"test.put\"}} " APPEND("bad"),
                  "IoError", 1, "\"bad\"", "bad " },
                { "^{:runtime.idempotent true :runtime.learning.retry {:max 1 :backoff-ms 1} "
                  ":runtime.learning.fallback {:capability \"test.put\"}} " APPEND("bad"),
                  "NetworkError", 3, "error NetworkError", "" },
                { "^{:runtime.idempotent true :runtime.learning.retry {:max 1 :backoff-ms 1} "
                  ":runtime.learning.fallback {:capability \"test.put\"}} " APPEND("bad"),
                  "NetworkError", 2, "\"bad\"", "bad " },
                /* an open circuit is a failure */
                { "(map (fn [w] " HINT(
                          "circuit-breaker",
                          "{:failure-threshold 1} :runtime.learning.fallback {:capability "
                          "\"test.put\"}") "(call \"test.append\" w)) [\"bad\" \"a\"])",
                  "IoError", 1, "[\"bad\" \"a\"]", "bad a " },
                { "(defmacro either [a b] `^{:runtime.learning.fallback {:capability ~b}} (call ~a "
                  "\"bad\")) (either \"test.append\" \"test.put\")",
                  "IoError", 1, "\"bad\"", "bad " },
                /* in a step, whose profile knows of it */
                { "(step \"s\" " INSTEAD("") APPEND("bad") ")", "IoError", 1, "\"bad\"", "bad " },
                { "(step \"s\" (let [call 1 match 2 throw 3] " INSTEAD("") APPEND("a") "))", NULL,
                  0, "error TypeError", "" },
                { INSTEAD(":other 1") APPEND("a"), NULL, 0, "error ParseError", "" },
                { INSTEAD("") "(+ 1 2)", NULL, 0, "error ParseError", "" },
                { "^{:runtime.learning.fallback {}} " APPEND("a"), NULL, 0, "error ParseError",
                  "" },
                { "^{:runtime.learning.fallback \"test.put\"} " APPEND("a"), NULL, 0,
                  "error ParseError", "" },
        };
        plan_new();
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                plan_again();
                plan.fail_with = cases[i].fails_with;
                plan.fail_times = cases[i].failures;
                CHECK_STR(plan_run(cases[i].text, 0), cases[i].shown);
                CHECK_STR(plan_effects(), cases[i].effects);
                CHECK(strcmp(plan.shown, "error ParseError") == 0 ||
                      (plan_verifies() && plan_replays()));
        }
        plan_done();
}

TEST(behind_a_broken_contract_nothing_falls_back)
{
        struct mv_context *narrow;
        plan_new();
        narrow = mv_context_copy(plan.context);
        CHECK(narrow && mv__term_add(narrow, "post", "(not= result \"bad\")", &plan.err) == 0);
        CHECK(mv_context_narrow(plan.context, "test.append", narrow, &plan.err) == 0);
        CHECK_STR(plan_run(INSTEAD("") APPEND("bad"), 0), "error ContractViolation");
        CHECK_STR(plan_effects(), "bad ");
        plan_done();
}

TEST(a_run_that_was_killed_in_its_second_choice_goes_on_there)
{
        plan_new();
        plan.fail_with = "IoError";
        plan.fail_times = 1;
        plan_killed(INSTEAD("") APPEND("bad"), 2, AFTER_EFFECT);
        CHECK_STR(plan_effects(), "bad ");
        plan.fail_with = NULL;
        CHECK_STR(plan_resume(NULL), "\"bad\"");
        CHECK_STR(plan_effects(), "bad bad "); /* test.put may be repeated */
        CHECK(plan_verifies() && plan_replays());
        plan_done();
}

/* Is there a time in the observed part of the first RESULT? */
static bool timed(void)
{
        struct mv_audit_reader *reader;
        struct mv_audit_record r;
        struct mv_cbor_item it;
        struct mv_err err;
        bool found = false;
        if (mv_audit_reader_open(plan.store, &reader, &err) < 0)
                return false;
        while (mv_audit_read(reader, &r, &err) == 1)
                found |= r.type == MV_REC_RESULT && r.observed.len &&
                         mv__map_item(r.observed, "effect_ns", MV_CBOR_INT, &it, &err) == 0;
        mv_audit_reader_close(reader);
        return found;
}

TEST(metrics_measure_what_is_pure_too)
{
        with_sleep();
        CHECK_STR(plan_run("(call \"ccos.echo\" 1)", 0), "1");
        CHECK(!timed());
        plan_again();
        CHECK_STR(plan_run(HINT("metrics", "true") "(call \"ccos.echo\" 1)", 0), "1");
        CHECK(timed());
        plan_done();
}
