/* SPDX-License-Identifier: Apache-2.0 */
/* Idempotency keys, retries and compensations (REQ-IDEM-01..08), and what a crash leaves of them. */
#include "durable.h"
#include <security/security.h>
#include <security/terms.h>
#include <audit/effects.h>

#define KEYED(key, word) "^{:runtime.idempotency-key " key "} (call \"test.append\" \"" word "\")"
#define UNDONE(word)                                                                               \
        "^{:runtime.compensate [\"test.append\" \"un" word "\"]} (call \"test.append\" \"" word    \
        "\")"

/* --- keys ------------------------------------------------------------------------------------- */
/* REQ-IDEM-01 */
TEST(the_same_key_has_its_effect_once)
{
        plan_new();
        CHECK_STR(plan_run("[" KEYED("\"k\"", "a") " " KEYED("\"k\"", "a") " " KEYED("\"other\"",
                                                                                     "a") "]",
                           0),
                  "[\"a\" \"a\" \"a\"]");
        CHECK_STR(plan_effects(), "a a ");
        /* a later run of the same program */
        CHECK_STR(plan_run("[" KEYED("\"k\"", "a") " " KEYED("\"k\"", "a") " " KEYED("\"other\"",
                                                                                     "a") "]",
                           0),
                  "[\"a\" \"a\" \"a\"]");
        CHECK_STR(plan_effects(), "a a ");
        CHECK(plan_verifies());
        CHECK(plan_replays());
        /* scope plan: another program's key is another key (REQ-IDEM-02) */
        CHECK_STR(plan_run(KEYED("\"k\"", "a"), 0), "\"a\"");
        CHECK_STR(plan_effects(), "a a a ");
        plan_done();
}

/* REQ-IDEM-02 */
TEST(a_global_key_is_one_key_for_all_programs)
{
        plan_new();
        CHECK_STR(plan_run("[1 " KEYED("{:key \"k\" :scope :global}", "a") "]", 0), "[1 \"a\"]");
        CHECK_STR(plan_run("[2 " KEYED("{:key \"k\" :scope :global}", "a") "]", 0), "[2 \"a\"]");
        CHECK_STR(plan_effects(), "a ");
        CHECK_STR(plan_run(KEYED("{:key \"k\" :scope :global}", "b"), 0),
                  "error IdempotencyConflict");
        CHECK_STR(plan_effects(), "a ");
        plan_done();
}

/* REQ-IDEM-03: TTL */
TEST(a_key_counts_until_its_window_has_passed)
{
        plan_new();
        CHECK_STR(plan_run(KEYED("{:key \"k\" :window-ms 1}", "a"), 0), "\"a\"");
        usleep(5000);
        CHECK_STR(plan_run(KEYED("{:key \"k\" :window-ms 1}", "a"), 0), "\"a\"");
        CHECK_STR(plan_effects(), "a a ");
        plan_done();
}

/* REQ-IDEM-01, -04: killed behind the effect, before anything says so; and before it */
TEST(a_key_tells_whether_an_interrupted_call_happened)
{
        plan_new();
        plan_killed(KEYED("\"k\"", "a"), 1, BEFORE_EFFECT);
        CHECK_STR(plan_resume(NULL), "IN_DOUBT"); /* begun: in doubt as ever */
        CHECK_STR(plan_resume(&(struct mv_resumption){ .in_doubt = MV_IN_DOUBT_REPEAT,
                                                       .in_doubt_call = 1 }),
                  "\"a\"");
        CHECK_STR(plan_effects(), "a ");
        /* the RESULT record is lost, the log has it */
        plan_cut_records(4);
        CHECK_STR(plan_resume(NULL), "\"a\"");
        CHECK_STR(plan_effects(), "a ");
        CHECK(plan_verifies());
        plan_again();
        /* the CALL record is there, but the effect was never begun */
        CHECK_STR(plan_run(KEYED("\"k\"", "a"), 0), "\"a\"");
        plan_cut_records(5);
        char log[128];
        snprintf(log, sizeof log, "%s.effects", plan.store);
        CHECK(truncate(log, 8) == 0 && unlink(plan.effects) == 0);
        CHECK_STR(plan_resume(NULL), "\"a\"");
        CHECK_STR(plan_effects(), "a ");
        plan_done();
}

/* Another execution may not guess either. */
TEST(a_key_that_was_begun_by_a_dead_process_is_not_begun_again)
{
        plan_new();
        plan_killed(KEYED("\"k\"", "a"), 1, AFTER_EFFECT);
        CHECK_STR(plan_run(KEYED("\"k\"", "a"), 0), "error UnknownOutcome");
        CHECK_STR(plan_effects(), "a ");
        CHECK_STR(plan_run("^{:runtime.idempotent true :runtime.idempotency-key \"k\"} (call "
                           "\"test.append\" \"a\")",
                           0),
                  "\"a\"");
        plan_done();
}

TEST(a_key_that_cannot_be_understood_is_an_error_of_the_call)
{
        static const char *const keys[] = { "7", "\"\"", "{:key \"k\" :scope :intent}",
                                            "{:key \"k\" :window-ms 0}", "{}" };
        plan_new();
        for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
                char text[128];
                snprintf(text, sizeof text,
                         "^{:runtime.idempotency-key %s} (call \"test.append\" \"a\")", keys[i]);
                CHECK_STR(plan_run(text, 0), "error InvalidArgument");
        }
        CHECK_STR(plan_effects(), "");
        plan_done();
}

/* --- the log ---------------------------------------------------------------------------------- */
static struct mv_audit *audit;
static struct mv_effects *effects;

static void log_open(void)
{
        char key[96];
        snprintf(key, sizeof key, "%s/key", plan.dir);
        REQUIRE(mv_audit_open(&(struct mv_audit_options){ .path = plan.store, .key_path = key },
                              &audit, &plan.err) == 0);
        effects = mv_effects_new(audit);
}

static void log_close(void)
{
        mv_effects_free(effects);
        mv_audit_close(audit);
}

static struct mv_keyed keyed(uint8_t key)
{
        return (struct mv_keyed){ .key = { key },
                                  .request = { 1 },
                                  .execution_id = "exec_1",
                                  .call = 1,
                                  .window_ms = 60000 };
}

static int begun(uint8_t key, struct mv_keyed_found *f)
{
        static uint8_t memory[4096];
        struct mv_arena a = mv_arena_fixed(memory, sizeof memory);
        struct mv_keyed x = keyed(key);
        return mv_effects_begin(effects, &x, &a, f, &plan.err);
}

/* REQ-IDEM-03 */
TEST(the_log_survives_a_torn_tail_and_refuses_damage)
{
        struct mv_keyed_found f;
        struct mv_keyed x = keyed(1);
        char log[128];
        struct stat st;
        plan_new();
        snprintf(log, sizeof log, "%s.effects", plan.store);
        log_open();
        CHECK(begun(1, &f) == 0 && f.state == MV_KEYED_ABSENT);
        CHECK(begun(1, &f) == 0 && f.state == MV_KEYED_BEGUN && f.own);
        CHECK(mv_effects_end(effects, &x, MV_KEYED_DONE, MV_SLICE("yes"), &plan.err) == 0);
        CHECK(begun(2, &f) == 0 && f.state == MV_KEYED_ABSENT);
        log_close();
        CHECK(stat(log, &st) == 0 && (st.st_mode & 0777) == 0600);
        for (off_t cut = 1; cut < 190; cut += 27) { /* its writer died */
                CHECK(truncate(log, st.st_size - cut) == 0);
                log_open();
                CHECK(begun(1, &f) == 0 && f.state == MV_KEYED_DONE &&
                      mv_slice_eq_str(f.result, "yes"));
                CHECK(begun(2, &f) == 0 &&
                      f.state == (cut == 1 ? MV_KEYED_ABSENT : MV_KEYED_BEGUN));
                CHECK(mv_effects_end(effects,
                                     &(struct mv_keyed){ .key = { 2 },
                                                         .request = { 1 },
                                                         .execution_id = "e",
                                                         .window_ms = 1 },
                                     MV_KEYED_FAILED, MV_SLICE(""), &plan.err) == 0);
                log_close();
                CHECK(stat(log, &st) == 0);
        }
        int fd = open(log, O_RDWR);
        CHECK(pwrite(fd, "x", 1, 100) == 1);
        close(fd);
        log_open();
        CHECK(begun(1, &f) == -(int)MV_E_CORRUPT);
        CHECK(begun(3, &f) == -(int)MV_E_CORRUPT);
        log_close();
        CHECK(unlink(log) == 0 && symlink("nowhere", log) == 0);
        log_open();
        CHECK(begun(1, &f) == -(int)MV_E_SYS); /* no link is followed */
        log_close();
        CHECK(unlink(log) == 0);
        CHECK((fd = open(log, O_CREAT | O_RDWR, 0666)) >= 0 && fchmod(fd, 0666) == 0);
        close(fd);
        log_open();
        CHECK(begun(1, &f) == -(int)MV_E_DENIED);
        log_close();
        plan_done();
}

/* REQ-IDEM-03: compaction */
TEST(a_large_log_of_old_entries_is_written_anew)
{
        static uint8_t large[900000];
        struct mv_keyed_found f;
        struct stat st;
        char log[128];
        plan_new();
        snprintf(log, sizeof log, "%s.effects", plan.store);
        log_open();
        for (uint8_t i = 0; i < 8; i++) {
                struct mv_keyed x = keyed(7);
                CHECK(mv_effects_end(effects, &x, MV_KEYED_DONE, mv_slice(large, sizeof large),
                                     &plan.err) == 0);
        }
        CHECK(stat(log, &st) == 0 && st.st_size > 6000000);
        CHECK(begun(1, &f) == 0 && f.state == MV_KEYED_ABSENT);
        CHECK(stat(log, &st) == 0 && st.st_size < 1000000);
        CHECK(begun(1, &f) == 0 && f.state == MV_KEYED_BEGUN);
        log_close();
        log_open();
        CHECK(begun(1, &f) == 0 && f.state == MV_KEYED_BEGUN);
        log_close();
        plan_done();
}

/* --- retries ---------------------------------------------------------------------------------- */
#define RETRIED(capability)                                                                        \
        "^{:runtime.learning.retry {:max-retries 2 :backoff-ms [1 2]}} (call \"" capability        \
        "\" \"bad\")"

/* REQ-IDEM-07, -08 */
TEST(only_what_may_be_repeated_is_retried_and_only_after_a_transient_fault)
{
        static const struct {
                const char *text, *kind;
                int times;
                const char *shown, *effects;
        } cases[] = {
                { RETRIED("test.put"), "NetworkError", 2, "\"bad\"", "bad " },
                { RETRIED("test.put"), "NetworkError", 3, "error NetworkError", "" },
                { RETRIED("test.put"), "IoError", 1, "error IoError", "" },
                { RETRIED("test.put"), "SecurityViolation", 1, "error SecurityViolation", "" },
                { RETRIED("test.append"), "NetworkError", 1, "error NetworkError", "" },
                { "^{:runtime.idempotent true} " RETRIED("test.append"), "NetworkError", 1,
                  "\"bad\"", "bad " },
                { "(call \"test.put\" \"bad\")", "NetworkError", 1, "error NetworkError", "" },
                { "^{:runtime.learning.retry true} (call \"test.put\" \"bad\")", "NetworkError", 1,
                  "\"bad\"", "bad " },
                { "^{:runtime.learning.retry false} (call \"test.put\" \"bad\")", "NetworkError", 1,
                  "error NetworkError", "" },
                { "^{:runtime.learning.timeout true} (call \"test.put\" \"x\")", NULL, 0, "\"x\"",
                  "x " },
                { "^{:runtime.timeout false} (call \"test.put\" \"x\")", NULL, 0,
                  "error InvalidArgument", "" },
                { "^{:runtime.learning.retry 3} (call \"test.put\" \"bad\")", NULL, 0,
                  "error InvalidArgument", "" },
                { "^{:runtime.learning.retry {:max-retries 11}} (call \"test.put\" \"bad\")", NULL,
                  0, "error InvalidArgument", "" },
        };
        plan_new();
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                plan_again();
                plan.fail_with = cases[i].kind;
                plan.fail_times = cases[i].times;
                CHECK_STR(plan_run(cases[i].text, 0), cases[i].shown);
                CHECK_STR(plan_effects(), cases[i].effects);
                CHECK(plan_replays());
        }
        plan_done();
}

/* --- compensations ---------------------------------------------------------------------------- */
#define SAGA                                                                                       \
        "(do " UNDONE("a") UNDONE("b") "(call \"test.append\" \"c\")" UNDONE("d") "(+ 1 \"x\"))"

/* REQ-IDEM-05 */
TEST(a_failed_execution_undoes_what_it_did_newest_first)
{
        plan_new();
        CHECK_STR(plan_run(SAGA, 0), "error TypeError");
        CHECK_STR(plan_effects(), "a b c d und unb una ");
        CHECK(plan_verifies());
        CHECK(plan_replays());
        plan_again(); /* success undoes nothing */
        CHECK_STR(plan_run("(do " UNDONE("a") UNDONE("b") " 1)", 0), "1");
        CHECK_STR(plan_effects(), "a b ");
        plan_again(); /* nor does an error the program dealt with */
        CHECK_STR(plan_run("(do " UNDONE("a") "(try (+ 1 \"x\") (catch _ 2)))", 0), "2");
        CHECK_STR(plan_effects(), "a ");
        plan_again(); /* a call that failed has nothing to be undone */
        plan.fail_with = "IoError";
        plan.fail_times = 1;
        CHECK_STR(plan_run("(do " UNDONE("a") UNDONE("bad") ")", 0), "error IoError");
        CHECK_STR(plan_effects(), "a una ");
        plan_done();
}

/* They need the same grants as any call of the program, and one that fails does not stop the others. */
TEST(a_compensation_is_decided_like_any_call)
{
        plan_new();
        CHECK_STR(plan_run("(do " UNDONE("a") "^{:runtime.compensate [\"ccos.io.delete-file\" "
                                              "\"/tmp/mv-nothing\"]} (call \"test.append\" \"b\")"
                                              "(call \"ccos.io.read-file\" \"/etc/hostname\"))",
                           0),
                  "error SecurityViolation");
        CHECK_STR(plan_effects(), "a b una ");
        CHECK(plan_replays());
        plan_done();
}

TEST(one_effect_is_undone_once_however_often_its_key_was_asked_for)
{
#define CHARGE                                                                                     \
        "^{:runtime.idempotency-key \"k\" :runtime.compensate [\"test.append\" \"un\"]} (call "    \
        "\"test.append\" \"a\") "
        plan_new();
        CHECK_STR(plan_run(CHARGE CHARGE "(/ 1 0)", 0), "error DivisionByZero");
        CHECK_STR(plan_effects(), "a un ");
        CHECK(plan_verifies() && plan_replays());
        plan_done();
}

/* REQ-IDEM-03: state compensated */
TEST(a_key_whose_effect_was_undone_is_free_again)
{
        plan_new();
        for (int i = 0; i < 2; i++)
                CHECK_STR(plan_run("(do ^{:runtime.compensate [\"test.append\" \"un\"] "
                                   ":runtime.idempotency-key \"k\"} (call \"test.append\" \"a\") "
                                   "(+ 1 \"x\"))",
                                   0),
                          "error TypeError");
        CHECK_STR(plan_effects(), "a un a un ");
        plan_done();
}

/* Killed around every effect, those of the compensations included. */
TEST(a_run_killed_while_it_undoes_goes_on_undoing)
{
        plan_new();
        CHECK_STR(plan_run(SAGA, 0), "error TypeError");
        char root[65];
        mv_fmt(root, sizeof root, "%s", plan.root);
        for (int at = 1; at <= 7; at++)
                for (int when = BEFORE_EFFECT; when <= AFTER_EFFECT; when++) {
                        struct mv_value reply = { .kind = MV_STRING };
                        static const char *const words[] = {
                                "a", "b", "c", "d", "und", "unb", "una"
                        };
                        reply.text = mv_slice_str(words[at - 1]);
                        plan_again();
                        plan_killed(SAGA, at, (enum moment)when);
                        CHECK_STR(plan_resume(NULL), "IN_DOUBT");
                        CHECK_STR(plan_resume(&(struct mv_resumption){
                                          .in_doubt = when == AFTER_EFFECT ? MV_IN_DOUBT_DONE
                                                                           : MV_IN_DOUBT_REPEAT,
                                          .in_doubt_call = (uint64_t)at,
                                          .reply = &reply }),
                                  "error TypeError");
                        CHECK_STR(plan_effects(), "a b c d und unb una ");
                        CHECK_STR(plan.root, root);
                        CHECK(plan_verifies());
                        CHECK(plan_replays());
                }
        plan_done();
}

/* A limit is no answer of the program: what it did until then is undone, also when the process dies meanwhile. */
TEST(a_run_that_was_ended_by_a_limit_is_undone)
{
        plan_new();
        struct mv_limits l = { .wall_ns_max = 500000000 };
        mv_context_limit(plan.context, &l);
        CHECK_STR(plan_run("(do " UNDONE("a") "(loop [] (recur)))", 0), "error LimitExceeded");
        CHECK_STR(plan_effects(), "a una ");
        plan_again();
        plan_killed("(do " UNDONE("a") "(loop [] (recur)))", 2, BEFORE_EFFECT);
        CHECK_STR(plan_resume(&(struct mv_resumption){ .in_doubt = MV_IN_DOUBT_REPEAT,
                                                       .in_doubt_call = 2 }),
                  "error LimitExceeded");
        CHECK_STR(plan_effects(), "a una ");
        CHECK(plan_verifies());
        plan_done();
}

/* --- contracts (REQ-IDEM-06) ------------------------------------------------------------------- */
/* test.append may give anything but "bad"; it is done all the same. */
static void plan_promised(void)
{
        struct mv_context *narrow;
        plan_new();
        narrow = mv_context_copy(plan.context);
        CHECK(narrow && mv__term_add(narrow, "post", "(not= result \"bad\")", &plan.err) == 0);
        CHECK(mv_context_narrow(plan.context, "test.append", narrow, &plan.err) == 0);
}

#define CAUGHT(call) "(try " call " (catch e (:kind e)))"

TEST(an_effect_is_there_though_its_result_breaks_the_contract_and_its_key_knows)
{
        plan_promised();
        CHECK_STR(plan_run("[" CAUGHT(KEYED("{:key \"k\" :scope :global}", "bad")) " " CAUGHT(
                                   KEYED("{:key \"k\" :scope :global}", "bad")) "]",
                           0),
                  "[:contract-violation :contract-violation]");
        CHECK_STR(plan_effects(), "bad ");
        CHECK_STR(plan_run("(do 1 " CAUGHT(KEYED("{:key \"k\" :scope :global}", "bad")) ")", 0),
                  ":contract-violation");
        CHECK_STR(plan_effects(), "bad ");
        CHECK(plan_verifies() && plan_replays());
        plan_done();
}

TEST(an_effect_whose_result_breaks_the_contract_is_undone_also_behind_a_crash)
{
#define BROKEN                                                                                     \
        "^{:runtime.compensate [\"test.append\" \"un\"]} " CAUGHT(                                 \
                "(call \"test.append\" \"bad\")") " (call \"test.put\" \"x\") (/ 1 0)"
        plan_promised();
        CHECK_STR(plan_run(BROKEN, 0), "error DivisionByZero");
        CHECK_STR(plan_effects(), "bad x un ");
        CHECK(plan_verifies() && plan_replays());
        char root[65];
        memcpy(root, plan.root, sizeof root);
        for (int at = 2; at <= 3; at++) {
                plan_again();
                plan_killed(BROKEN, at, BEFORE_EFFECT);
                CHECK_STR(plan_resume(&(struct mv_resumption){ .in_doubt = MV_IN_DOUBT_REPEAT,
                                                               .in_doubt_call = (uint64_t)at }),
                          "error DivisionByZero");
                CHECK_STR(plan_effects(), "bad x un ");
                CHECK_STR(plan.root, root);
                CHECK(plan_verifies() && plan_replays());
        }
        plan_done();
}
