/* SPDX-License-Identifier: Apache-2.0 */
/* Executions whose process was killed with SIGKILL go on from their records (docs/design/durability.md; REQ-IDEM-03, -04,
 * REQ-CKPT-01, -04..06). A child process runs the plan and dies at a chosen moment; this one resumes it. */
#include "durable.h"

#define PLAN                                                                                       \
        "(step \"a\" (call \"test.append\" \"a\")) (step \"b\" (call \"test.append\" \"b\"))"      \
        "(call \"ccos.io.println\" \"c\") (call \"test.append\" \"d\")"

static char root_of_an_undisturbed_run[65];

static void setup(void)
{
        plan_new();
        CHECK_STR(plan_run(PLAN, 0), "\"d\"");
        mv_fmt(root_of_an_undisturbed_run, sizeof root_of_an_undisturbed_run, "%s", plan.root);
        plan_again();
}

/* REQ-CKPT-01, -05: every record is a checkpoint; replay the prefix, then go on */
TEST(a_killed_run_goes_on_and_reaches_the_root_of_an_undisturbed_one)
{
        setup();
        for (int at = 1; at <= 3; at++) {
                plan_again();
                plan_killed(PLAN, at, BEFORE_EFFECT);
                CHECK_STR(plan_resume(&(struct mv_resumption){
                                  .in_doubt = MV_IN_DOUBT_REPEAT,
                                  .in_doubt_call = at == 3 ? 4 : (uint64_t)at }),
                          "\"d\"");
                CHECK_STR(plan_effects(), "a b d ");
                CHECK_STR(plan.root, root_of_an_undisturbed_run);
                CHECK_STR(plan.printed, "c\n"); /* also what was printed before the crash */
                CHECK(plan_verifies());
                CHECK(plan_replays());
        }
        plan_done();
}

/* REQ-IDEM-04 */
TEST(a_call_in_doubt_stops_until_somebody_decides)
{
        struct mv_value reply = { .kind = MV_STRING, .text = MV_SLICE("seen") };
        setup();
        plan_killed(PLAN, 2, AFTER_EFFECT);
        CHECK_STR(plan_resume(NULL), "IN_DOUBT");
        CHECK(strstr(plan.err.msg,
                     "call 2 (test.append) was begun, and nobody knows whether it happened"));
        CHECK(strstr(plan.err.msg, "--in-doubt 2=done"));
        CHECK_STR(plan_effects(), "a b "); /* and nothing happened meanwhile */
        /* a decision about another call is none */
        CHECK_STR(plan_resume(&(struct mv_resumption){ .in_doubt = MV_IN_DOUBT_REPEAT,
                                                       .in_doubt_call = 3 }),
                  "IN_DOUBT");
        CHECK_STR(plan_resume(&(struct mv_resumption){
                          .in_doubt = MV_IN_DOUBT_DONE, .in_doubt_call = 2, .reply = &reply }),
                  "\"d\"");
        CHECK_STR(plan_effects(), "a b d ");
        CHECK(plan_verifies());
        CHECK(plan_replays());
        plan_again();
        plan_killed(PLAN, 2, AFTER_EFFECT);
        CHECK_STR(plan_resume(&(struct mv_resumption){ .in_doubt = MV_IN_DOUBT_FAIL,
                                                       .in_doubt_call = 2 }),
                  "error UnknownOutcome");
        CHECK_STR(plan_effects(), "a b ");
        CHECK(plan_verifies());
        plan_done();
}

/* REQ-IDEM-04 */
TEST(an_idempotent_call_in_doubt_is_repeated)
{
        plan_new();
        plan_killed("(call \"test.put\" \"x\") (call \"test.put\" \"y\")", 1, AFTER_EFFECT);
        CHECK_STR(plan_resume(NULL), "\"y\"");
        CHECK_STR(plan_effects(), "x x y "); /* the test writes down each time */
        CHECK(plan_verifies());
        plan_done();
}

/* REQ-SEC-13: what it said before the crash it says again, and nobody was told of another word meanwhile */
TEST(a_resumed_run_is_shown_with_what_it_had_said)
{
        plan_new();
        CHECK(mv_context_expose(plan.context, "test.*", &plan.err) == 0);
        plan_killed("(context/set :k \"said\") (call \"test.put\" \"x\") (call \"test.put\" "
                    "\"@k\")",
                    2, AFTER_EFFECT);
        CHECK_STR(plan_effects(), "x said ");
        CHECK_STR(plan_resume(NULL), "\"@k\"");
        CHECK_STR(plan_effects(), "x said said ");
        CHECK(plan_verifies());
        CHECK(plan_replays());
        plan_done();
}

/* REQ-CKPT-04, -06 */
TEST(a_run_is_resumed_with_its_own_context_only)
{
        setup();
        plan_killed(PLAN, 2, BEFORE_EFFECT);
        CHECK(mv_context_allow(plan.context, "ccos.io.*", &plan.err) == 0);
        CHECK_STR(plan_resume(NULL), "DENIED");
        CHECK(strstr(plan.err.msg, "was begun with another context"));
        plan.context = mv_context_free(plan.context);
        CHECK_STR(plan_resume(NULL), "DENIED"); /* no context is the most restrictive one */
        CHECK_STR(plan_effects(), "a ");
        plan_done();
}

TEST(what_ended_or_never_was_is_not_resumed)
{
        setup();
        CHECK_STR(plan_run(PLAN, 0), "\"d\"");
        CHECK_STR(plan_resume(NULL), "STATE");
        CHECK(strstr(plan.err.msg, "has ended: nothing to resume"));
        mv_fmt(plan.id, sizeof plan.id, "exec_nobody");
        CHECK_STR(plan_resume(NULL), "NOT_FOUND");
        plan_done();
}

/* The process died between PlanEnded and Root: nothing runs, the root is added. */
TEST(a_run_that_lacks_its_root_gets_it)
{
        setup();
        CHECK_STR(plan_run("(call \"test.append\" \"a\")", 0), "\"a\"");
        char root[65];
        mv_fmt(root, sizeof root, "%s", plan.root);
        plan_cut_records(2); /* the seal and the root */
        CHECK_STR(plan_resume(NULL), "\"a\"");
        CHECK_STR(plan.root, root);
        CHECK_STR(plan_effects(), "a ");
        CHECK(plan_verifies());
        plan_done();
}

/* --- hostile ---------------------------------------------------------------------------------- */
TEST(a_store_that_was_edited_is_not_carried_on)
{
        setup();
        plan_killed(PLAN, 2, BEFORE_EFFECT);
        plan_flip_byte("\"a\"", 1);
        CHECK_STR(plan_resume(NULL), "CORRUPT");
        CHECK_STR(plan_effects(), "a ");
        plan_done();
}

TEST(a_store_that_others_may_write_is_not_carried_on)
{
        setup();
        plan_killed(PLAN, 2, BEFORE_EFFECT);
        CHECK(chmod(plan.store, 0620) == 0);
        CHECK_STR(plan_resume(NULL), "DENIED");
        CHECK(strstr(plan.err.msg, "may be written by others"));
        CHECK(chmod(plan.store, 0600) == 0);
        CHECK_STR(plan_resume(&(struct mv_resumption){ .in_doubt = MV_IN_DOUBT_REPEAT,
                                                       .in_doubt_call = 2 }),
                  "\"d\"");
        plan_done();
}

/* Two at the same time, and one that still runs. */
TEST(an_execution_belongs_to_one_process_at_a_time)
{
        setup();
        pid_t child = plan_running(PLAN, 2);
        CHECK_STR(plan_resume(NULL), "STATE");
        CHECK(strstr(plan.err.msg, "is running"));
        plan_kill(child);
        CHECK_STR(plan_resume(&(struct mv_resumption){ .in_doubt = MV_IN_DOUBT_REPEAT,
                                                       .in_doubt_call = 2 }),
                  "\"d\"");
        CHECK_STR(plan_effects(), "a b d ");
        plan_done();
}

/* A leaf that is not the recorded one stops the run before anything is stored. */
TEST(a_program_that_does_something_else_is_stopped)
{
        struct mv_audit *a;
        struct mv_trail *t;
        struct mv_err err;
        uint8_t leaves[2][MV_DIGEST_BYTES], root[MV_DIGEST_BYTES];
        uint32_t records;
        static const struct mv_slice one = { (const uint8_t *)"\x01", 1 },
                                     two = { (const uint8_t *)"\x02", 1 };
        REQUIRE(mv_audit_open(&(struct mv_audit_options){ 0 }, &a, &err) == 0);
        REQUIRE(mv_trail_begin(a, "exec_1", &t, &err) == 0);
        CHECK(mv_trail_append(t, MV_REC_EXECUTION_STARTED, one, one, &err) == 0);
        CHECK(mv_trail_append(t, MV_REC_STEP, two, one, &err) == 0);
        struct mv_trail *second;
        CHECK(mv_trail_begin(a, "exec_1", &second, &err) == -(int)MV_E_STATE);
        mv_trail_free(t);
        mv_semantic_digest(MV_REC_EXECUTION_STARTED, one, leaves[0]);
        mv_semantic_digest(MV_REC_STEP, two, leaves[1]);
        REQUIRE(mv_trail_begin(a, "exec_1", &t, &err) == 0);
        CHECK(mv_trail_follow(t, (const uint8_t(*)[MV_DIGEST_BYTES])leaves, 2, one, &err) == 0);
        CHECK(mv_trail_append(t, MV_REC_EXECUTION_STARTED, one, one, &err) == 0);
        CHECK(mv_trail_followed(t) && mv_trail_following(t));
        CHECK(mv_trail_append(t, MV_REC_STEP, one, one, &err) == -(int)MV_E_CORRUPT);
        CHECK(strstr(err.msg, "diverged"));
        CHECK(mv_trail_append(t, MV_REC_RESULT, two, one, &err) == -(int)MV_E_CORRUPT);
        CHECK(mv_trail_end(t, root, &records, &err) == -(int)MV_E_CORRUPT);
        CHECK(mv_trail_append(t, MV_REC_STEP, two, one, &err) == 0);
        CHECK(!mv_trail_following(t));
        CHECK(mv_trail_end(t, root, &records, &err) == 0 && records == 2);
        mv_trail_free(t);
        CHECK(mv_audit_verify_own(a, &err) == 0);
        mv_audit_close(a);
}

/* A resumption that names other records than there are is damage. */
TEST(a_verifier_computes_what_a_resumption_believed)
{
        struct mv_audit *a;
        struct mv_trail *t;
        struct mv_err err;
        static const struct mv_slice one = { (const uint8_t *)"\x01", 1 };
        uint8_t leaf[1][MV_DIGEST_BYTES];
        REQUIRE(mv_audit_open(&(struct mv_audit_options){ 0 }, &a, &err) == 0);
        REQUIRE(mv_trail_begin(a, "exec_1", &t, &err) == 0);
        CHECK(mv_trail_append(t, MV_REC_EXECUTION_STARTED, one, one, &err) == 0);
        mv_trail_free(t);
        mv_semantic_digest(MV_REC_STEP, one, leaf[0]);
        REQUIRE(mv_trail_begin(a, "exec_1", &t, &err) == 0);
        CHECK(mv_trail_follow(t, (const uint8_t(*)[MV_DIGEST_BYTES])leaf, 1, one, &err) == 0);
        CHECK(mv_audit_verify_own(a, &err) == -(int)MV_E_CORRUPT);
        CHECK(strstr(err.msg, "resumed from other records"));
        mv_trail_free(t);
        mv_audit_close(a);
}

static unsigned records_of(enum mv_record_type type)
{
        struct mv_audit_reader *reader;
        struct mv_audit_record r;
        struct mv_err err;
        unsigned count = 0;
        if (mv_audit_reader_open(plan.store, &reader, &err) < 0)
                return ~0u;
        while (mv_audit_read(reader, &r, &err) == 1)
                count += r.type == type;
        mv_audit_reader_close(reader);
        return count;
}

/* REQ-RES-12: the process that reached the threshold told of it */
TEST(a_threshold_of_a_budget_is_noted_once_however_often_a_run_is_resumed)
{
        struct mv_budget b = MV_BUDGET_NONE;
        for (uint64_t at = 1; at <= 4; at++) {
                plan_new();
                b.warn[MV_SPEND_CALLS] = at;
                mv_context_budget(plan.context, &b);
                plan_killed(PLAN, 2, AFTER_EFFECT);
                CHECK(records_of(MV_REC_BUDGET) == (at <= 2));
                CHECK_STR(plan_resume(&(struct mv_resumption){ .in_doubt = MV_IN_DOUBT_FAIL,
                                                               .in_doubt_call = 2 }),
                          "error UnknownOutcome");
                CHECK(records_of(MV_REC_BUDGET) == (at <= 2));
                CHECK(plan_verifies());
                plan_done();
        }
}
