/* SPDX-License-Identifier: Apache-2.0 */
/* What happens at the end of a budget (REQ-RES-12, REQ-GOV-06): the run stops, goes on, or waits until somebody extends it; and
 * what crashes and forgers make of that. */
#include "durable.h"
#include <audit/approvals.h>
#include <host/cbor_map.h>
#include <security/security.h>

static void budget(enum mv_spending what, uint64_t max, enum mv_exhausted policy,
                   uint64_t extension)
{
        struct mv_budget b = MV_BUDGET_NONE;
        b.max[what] = max;
        b.exhausted[what] = policy;
        b.extension[what] = extension;
        mv_context_budget(plan.context, &b);
}

static void asking(enum mv_spending what, uint64_t max, uint64_t extension)
{
        plan_new();
        budget(what, max, MV_EXHAUSTED_ASK, extension);
}

/* The approval that the last error names. */
static char approval[MV_APPROVAL_ID_BYTES];
static bool waits(const char *shown)
{
        const char *at = strstr(plan.err.msg, "apr_");
        snprintf(approval, sizeof approval, "%.36s", at ? at : "");
        find_id();
        return strcmp(shown, "WAITING") == 0 && at;
}

static struct mv_audit *store(void)
{
        struct mv_audit *a;
        char key[128];
        snprintf(key, sizeof key, "%s.key", plan.store);
        plan.err.code = MV_OK;
        return mv_audit_open(&(struct mv_audit_options){ .path = plan.store, .key_path = key }, &a,
                             &plan.err) < 0
                       ? NULL
                       : a;
}

static const char *voted(const char *name, bool approve, uint64_t by)
{
        struct mv_audit *a = store();
        if (!a)
                return plan_failed();
        int r = mv_approval_vote(a, approval, name, approve, by, &plan.err);
        mv_audit_close(a);
        return r < 0 ? plan_failed() : "voted";
}

static struct mv_approval_budget asked(void)
{
        struct mv_arena arena = mv_arena_grow(1 << 20);
        struct mv_approval_request q = { .call = 0 };
        struct mv_audit *a = store();
        CHECK(a && mv_approval_read(a, approval, &arena, &q, &plan.err) == 0 && q.about_budget);
        mv_audit_close(a);
        mv_arena_done(&arena);
        return q.budget;
}

/* How many records of this type; *ret_spent: the last "spent" that is a number. */
static unsigned records_of(enum mv_record_type type, int64_t *ret_spent)
{
        struct mv_audit_reader *reader;
        struct mv_audit_record r;
        struct mv_cbor_item it;
        struct mv_err err;
        unsigned count = 0;
        if (mv_audit_reader_open(plan.store, &reader, &err) < 0)
                return ~0u;
        while (mv_audit_read(reader, &r, &err) == 1) {
                if (r.type != type)
                        continue;
                count++;
                if (ret_spent && mv__map_item(r.observed, "spent", MV_CBOR_INT, &it, &err) == 0)
                        *ret_spent = it.integer;
        }
        mv_audit_reader_close(reader);
        return count;
}

static const char *resumed(void)
{
        return plan_resume(NULL);
}

#define CALL(word) "(call \"test.append\" \"" word "\") "
#define FOUR       CALL("a") CALL("b") CALL("c") CALL("d")

/* --- soft-warn -------------------------------------------------------------------------------- */
TEST(a_soft_budget_is_told_of_once_and_the_result_says_by_how_much)
{
        int64_t spent = 0;
        plan_new();
        budget(MV_SPEND_CALLS, 2, MV_EXHAUSTED_GO_ON, 0);
        struct mv_host *h = plan_host();
        REQUIRE(h);
        struct mv_result *r;
        struct mv_execution x = { .program = mv_program_source(FOUR),
                                  .context = plan.context,
                                  .provider = "mock" };
        REQUIRE(mv_execute(h, &x, &r, &plan.err) == 0);
        const struct mv_metadata *m = mv_result_metadata(r);
        CHECK(mv_result_ok(r) && m->budget_overruns_count == 1);
        CHECK(m->budget_overruns[0].what == MV_SPEND_CALLS && m->budget_overruns[0].max == 2 &&
              m->budget_overruns[0].spent == 4);
        char *json = mv_result_json(r);
        CHECK(json && strstr(json, "\"budget_exhausted\": [{\"what\": \"calls\", \"max\": 2, "
                                   "\"spent\": 4, \"over\": 2}]"));
        free(json);
        mv_result_free(r);
        mv_host_free(h);
        CHECK(records_of(MV_REC_BUDGET_EXHAUSTED, &spent) == 1 && spent == 3);
        CHECK(records_of(MV_REC_BUDGET_ALLOCATED, NULL) == 1);
        CHECK(records_of(MV_REC_BUDGET_CONSUMPTION, NULL) == 1);
        CHECK(plan_verifies());
        plan_done();
}

TEST(a_soft_budget_is_told_of_once_however_often_a_run_is_killed)
{
        for (int at = 1; at <= 4; at++) {
                plan_new();
                plan.price = 10;
                budget(MV_SPEND_CALLS, 2, MV_EXHAUSTED_GO_ON, 0);
                budget(MV_SPEND_TOKENS, 15, MV_EXHAUSTED_GO_ON, 0);
                plan_killed(FOUR, at, BEFORE_EFFECT);
                CHECK_STR(plan_resume(&(struct mv_resumption){ .in_doubt = MV_IN_DOUBT_REPEAT,
                                                               .in_doubt_call = (uint64_t)at }),
                          "\"d\"");
                CHECK(records_of(MV_REC_BUDGET_EXHAUSTED, NULL) == 2);
                CHECK(plan_verifies() && plan_replays());
                plan_done();
        }
}

/* --- approval-required ------------------------------------------------------------------------ */
TEST(a_call_beyond_the_budget_waits_and_goes_on_when_it_is_extended)
{
        char root[65];
        plan_new();
        CHECK_STR(plan_run(FOUR, 0), "\"d\"");
        mv_context_free(plan.context);
        plan_clear();

        asking(MV_SPEND_CALLS, 2, 1);
        CHECK(waits(plan_run(FOUR, 0)));
        CHECK_STR(plan_effects(), "a b ");
        struct mv_approval_budget b = asked();
        CHECK(b.what == MV_SPEND_CALLS && b.max == 2 && b.spent == 2 && b.needed == 3 &&
              b.to == 3 && b.ceiling == INT64_MAX);
        CHECK(waits(resumed()));
        CHECK_STR(voted("ann", true, 0), "voted");
        CHECK(waits(resumed())); /* for the fourth */
        b = asked();
        CHECK(b.max == 3 && b.spent == 3 && b.needed == 4 && b.to == 4);
        CHECK_STR(voted("ann", true, 0), "voted");
        CHECK_STR(resumed(), "\"d\"");
        CHECK_STR(plan_effects(), "a b c d ");
        CHECK(records_of(MV_REC_BUDGET_EXTENDED, NULL) == 2);
        CHECK(records_of(MV_REC_BUDGET_EXHAUSTED, NULL) == 1);
        CHECK(plan_verifies() && plan_replays());
        snprintf(root, sizeof root, "%s", plan.root);
        plan_again();
        CHECK(waits(plan_run(FOUR, 0)));
        CHECK_STR(voted("bob", true, 100), "voted");
        CHECK_STR(resumed(), "\"d\"");
        CHECK_STR(plan.root, root); /* who agreed to what does not matter */
        plan_done();
}

TEST(an_extension_of_nothing_said_is_as_much_as_the_budget_and_at_least_what_the_call_needs)
{
        plan.price = 0;
        asking(MV_SPEND_TOKENS, 10, 0);
        plan.price = 8;
        CHECK(waits(plan_run(FOUR, 0)));
        struct mv_approval_budget b = asked();
        CHECK(b.spent == 8 && b.needed == 16 && b.max == 10 && b.to == 20);
        plan_done();
        asking(MV_SPEND_TOKENS, 10, 1);
        plan.price = 8;
        CHECK(waits(plan_run(FOUR, 0)));
        b = asked();
        CHECK(b.needed == 16 && b.to == 16);
        plan_done();
}

TEST(a_rejected_extension_is_a_hard_stop)
{
        asking(MV_SPEND_CALLS, 2, 0);
        CHECK(waits(plan_run(FOUR, 0)));
        CHECK_STR(voted("ann", false, 0), "voted");
        CHECK_STR(resumed(), "error BudgetExhausted");
        CHECK_STR(plan_effects(), "a b ");
        CHECK(records_of(MV_REC_BUDGET_EXTENDED, NULL) == 0 && plan_verifies() && plan_replays());
        plan_done();
}

TEST(an_extension_that_nobody_approves_in_time_is_a_hard_stop)
{
        struct mv_budget b = MV_BUDGET_NONE;
        plan_new();
        b.max[MV_SPEND_CALLS] = 1;
        b.exhausted[MV_SPEND_CALLS] = MV_EXHAUSTED_ASK;
        b.timeout_ms = 500;
        mv_context_budget(plan.context, &b);
        CHECK(waits(plan_run("(try " CALL("a") CALL("b") "(catch e (get e :kind)))", 0)));
        usleep(520000);
        CHECK_STR(voted("ann", true, 0), "STATE");
        CHECK_STR(resumed(), ":budget-exhausted");
        CHECK_STR(plan_effects(), "a ");
        plan_done();
}

TEST(several_people_agree_and_the_least_amount_holds)
{
        struct mv_budget b = MV_BUDGET_NONE;
        plan_new();
        b.max[MV_SPEND_CALLS] = 1;
        b.exhausted[MV_SPEND_CALLS] = MV_EXHAUSTED_ASK;
        b.extension[MV_SPEND_CALLS] = 3;
        b.approvals = 3;
        mv_context_budget(plan.context, &b);
        CHECK(waits(plan_run(FOUR, 0)));
        CHECK_STR(voted("ann", true, 100), "voted");
        CHECK_STR(voted("ann", true, 100), "EXISTS");
        CHECK_STR(voted("bob", true, 0), "voted");
        CHECK(waits(resumed()));
        CHECK_STR(voted("cyd", true, 2), "voted");
        CHECK(waits(resumed())); /* extended to 3, not to 4 or 101 */
        CHECK(asked().max == 3);
        CHECK_STR(plan_effects(), "a b c ");
        plan_done();
}

/* --- how far ---------------------------------------------------------------------------------- */
TEST(an_approval_never_goes_beyond_a_budget_that_stops)
{
        asking(MV_SPEND_CALLS, 2, 100);
        budget(MV_SPEND_CALLS, 3, MV_EXHAUSTED_STOP, 0); /* the settings' */
        CHECK(waits(plan_run(FOUR, 0)));
        struct mv_approval_budget b = asked();
        CHECK(b.to == 3 && b.ceiling == 3);
        CHECK_STR(voted("ann", true, 2), "INVALID");
        CHECK(strstr(plan.err.msg, "1 to 1 would do"));
        CHECK_STR(voted("ann", true, 1), "voted");
        CHECK_STR(resumed(), "error BudgetExhausted"); /* and nobody is asked */
        CHECK_STR(plan_effects(), "a b c ");
        CHECK(plan_verifies() && plan_replays());
        plan_done();
}

TEST(an_amount_that_overflows_or_does_not_reach_is_refused)
{
        asking(MV_SPEND_TOKENS, 10, 0);
        plan.price = 20;
        CHECK(waits(plan_run(FOUR, 0)));
        static const uint64_t wrong[] = { 9,
                                          1,
                                          UINT64_MAX,
                                          UINT64_MAX - 10,
                                          UINT64_MAX - 9,
                                          INT64_MAX,
                                          (uint64_t)INT64_MAX + 1,
                                          (uint64_t)-1 };
        for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
                CHECK_STR(voted("ann", true, wrong[i]), "INVALID");
        CHECK_STR(voted("ann", false, 10), "INVALID"); /* who rejects extends nothing */
        CHECK_STR(voted("ann", true, 10), "voted");
        CHECK(waits(resumed()));
        CHECK_STR(plan_effects(), "a ");
        plan_done();
}

TEST(the_stricter_of_two_files_holds_of_each_kind)
{
        struct mv_context *c = mv_context_new(MV_LEVEL_CONTROLLED);
        struct mv_budget agent = MV_BUDGET_NONE, settings = MV_BUDGET_NONE;
        agent.max[MV_SPEND_CALLS] = 1000;
        agent.exhausted[MV_SPEND_CALLS] = MV_EXHAUSTED_GO_ON;
        agent.max[MV_SPEND_TOKENS] = 5;
        agent.exhausted[MV_SPEND_TOKENS] = MV_EXHAUSTED_ASK;
        agent.extension[MV_SPEND_TOKENS] = 50;
        agent.timeout_ms = 7;
        settings.max[MV_SPEND_CALLS] = 10;
        settings.max[MV_SPEND_TOKENS] = 8;
        settings.exhausted[MV_SPEND_TOKENS] = MV_EXHAUSTED_ASK;
        settings.approvals = 2;
        mv_context_budget(c, &agent);
        mv_context_budget(c, &settings);
        const struct mv_budget_kept *k = &c->budget;
        CHECK(k->max[MV_SPEND_CALLS] == 10 && k->soft[MV_SPEND_CALLS] == 1000);
        CHECK(k->ask[MV_SPEND_TOKENS] == 5 && k->extension[MV_SPEND_TOKENS] == 8);
        CHECK(k->approvals == 2 && k->timeout_ms == 7);
        struct mv_budget open = MV_BUDGET_NONE;
        open.max[MV_SPEND_CALLS] = 1 << 20;
        open.exhausted[MV_SPEND_CALLS] = MV_EXHAUSTED_GO_ON;
        mv_context_budget(c, &open);
        CHECK(k->max[MV_SPEND_CALLS] == 10);
        mv_context_free(c);
}

/* What decides is in the digest: whoever resumes under another policy is refused. */
TEST(a_run_is_resumed_under_the_same_policy)
{
        asking(MV_SPEND_CALLS, 2, 1);
        CHECK(waits(plan_run(FOUR, 0)));
        struct mv_context *other = mv_context_new(MV_LEVEL_CONTROLLED), *mine = plan.context;
        CHECK(mv_context_allow(other, "test.*", &plan.err) == 0 &&
              mv_context_allow(other, "ccos.io.println", &plan.err) == 0);
        plan.context = other;
        budget(MV_SPEND_CALLS, 2, MV_EXHAUSTED_GO_ON, 0);
        CHECK_STR(resumed(), "DENIED");
        plan.context = mine;
        mv_context_free(other);
        plan_done();
}

/* --- forgers ---------------------------------------------------------------------------------- */
static void edit_file(const char *suffix)
{
        char command[400];
        snprintf(command, sizeof command,
                 "for f in %s.approvals/*%s; do printf '\\177' | dd of=$f bs=1 seek=$(($(stat -c "
                 "%%s "
                 "$f) - 1)) conv=notrunc 2>/dev/null; done",
                 plan.store, suffix);
        if (system(command) != 0)
                abort();
}

TEST(a_request_that_was_edited_extends_nothing)
{
        asking(MV_SPEND_CALLS, 2, 1);
        CHECK(waits(plan_run(FOUR, 0)));
        CHECK_STR(voted("ann", true, 0), "voted");
        edit_file(".request"); /* its ceiling */
        CHECK_STR(resumed(), "CORRUPT");
        CHECK_STR(plan_effects(), "a b ");
        plan_done();
}

TEST(a_vote_whose_amount_was_edited_does_not_count)
{
        asking(MV_SPEND_CALLS, 2, 1);
        CHECK(waits(plan_run(FOUR, 0)));
        CHECK_STR(voted("ann", true, 1), "voted");
        edit_file(".vote");
        CHECK(waits(resumed()));
        CHECK_STR(plan_effects(), "a b ");
        plan_done();
}

/* The id names the call and the budget, so a request of another run is another file. */
TEST(an_approval_of_one_run_extends_no_other_one)
{
        asking(MV_SPEND_CALLS, 2, 1);
        CHECK(waits(plan_run(FOUR, 0)));
        CHECK_STR(voted("ann", true, 0), "voted");
        CHECK(waits(plan_run(FOUR, 0)));
        CHECK_STR(plan_effects(), "a b a b ");
        plan_done();
}

/* --- within a call ---------------------------------------------------------------------------- */
TEST(a_call_that_had_no_effect_yet_is_made_anew_when_its_budget_was_extended)
{
        asking(MV_SPEND_TOKENS, 20, 15);
        plan.price = 10;
        CHECK(waits(plan_run(FOUR, 0)));
        CHECK_STR(plan_effects(), "a b ");
        CHECK(waits(resumed()));
        CHECK_STR(plan_effects(), "a b ");
        CHECK_STR(voted("ann", true, 0), "voted");
        CHECK(waits(resumed()));
        CHECK_STR(plan_effects(), "a b c ");
        CHECK(asked().spent == 30 && asked().needed == 40 && asked().max == 35);
        CHECK_STR(voted("ann", true, 0), "voted");
        CHECK_STR(resumed(), "\"d\"");
        CHECK_STR(plan_effects(), "a b c d ");
        CHECK(plan_verifies() && plan_replays());
        plan_done();
}

TEST(a_call_that_may_have_had_an_effect_is_in_doubt_when_its_budget_was_extended)
{
        asking(MV_SPEND_TOKENS, 15, 100);
        plan.price = 10;
        plan.price_after = true;
        CHECK(waits(plan_run(FOUR, 0)));
        CHECK_STR(plan_effects(), "a b ");
        CHECK_STR(voted("ann", true, 0), "voted");
        CHECK_STR(resumed(), "IN_DOUBT");
        CHECK_STR(plan_effects(), "a b ");
        CHECK_STR(plan_resume(&(struct mv_resumption){ .in_doubt = MV_IN_DOUBT_FAIL,
                                                       .in_doubt_call = 2 }),
                  "error UnknownOutcome");
        CHECK_STR(plan_effects(), "a b ");
        CHECK(records_of(MV_REC_BUDGET_EXTENDED, NULL) == 1 && plan_verifies() && plan_replays());
        plan_done();
}

TEST(a_call_that_was_stopped_gets_a_fault_when_the_extension_is_rejected)
{
        asking(MV_SPEND_TOKENS, 15, 100);
        plan.price = 10;
        CHECK(waits(plan_run(CALL("a") "(try " CALL("b") "(catch e \"caught\"))" CALL("c"), 0)));
        CHECK_STR(voted("ann", false, 0), "voted");
        CHECK(waits(resumed())); /* c is another call, and nobody said no to it */
        CHECK_STR(voted("ann", false, 0), "voted");
        CHECK_STR(resumed(), "error BudgetExhausted");
        CHECK_STR(plan_effects(), "a ");
        CHECK(plan_verifies() && plan_replays());
        plan_done();
}

/* What it had spent before it was stopped is spent again, once: and told of once. */
TEST(what_a_stopped_call_spent_is_not_counted_twice)
{
        struct mv_budget b = MV_BUDGET_NONE;
        asking(MV_SPEND_TOKENS, 15, 25);
        b.warn[MV_SPEND_TOKENS] = 12;
        mv_context_budget(plan.context, &b);
        plan.price = 10;
        CHECK(waits(plan_run(FOUR, 0)));
        CHECK(asked().spent == 10 && asked().needed == 20);
        CHECK_STR(voted("ann", true, 0), "voted");
        CHECK_STR(resumed(), "\"d\""); /* 40 of 40 */
        CHECK(records_of(MV_REC_BUDGET, NULL) == 1);
        CHECK_STR(plan_effects(), "a b c d ");
        plan_done();
}

/* The promise that nothing had happened is about the attempt that was stopped, not about the next one. */
TEST(a_call_that_was_killed_behind_its_extension_is_in_doubt)
{
        asking(MV_SPEND_TOKENS, 15, 100);
        plan.price = 10;
        CHECK(waits(plan_run(FOUR, 0)));
        CHECK_STR(voted("ann", true, 0), "voted");
        fflush(stdout);
        pid_t child = fork();
        if (!child) {
                struct mv_host *h = plan_host();
                struct mv_resumption x = { .execution_id = plan.id,
                                           .context = plan.context,
                                           .provider = "mock" };
                struct mv_result *r;
                plan.calls = 0;
                plan.die_at = 1;
                plan.when = AFTER_EFFECT;
                mv_resume(h, &x, &r, &plan.err);
                _exit(0);
        }
        reap(child);
        CHECK_STR(plan_effects(), "a b ");
        CHECK_STR(resumed(), "IN_DOUBT");
        CHECK_STR(plan_effects(), "a b ");
        CHECK_STR(plan_resume(&(struct mv_resumption){ .in_doubt = MV_IN_DOUBT_DONE,
                                                       .in_doubt_call = 2 }),
                  "\"d\"");
        CHECK_STR(plan_effects(), "a b c d "); /* extended once, to 115 */
        CHECK(records_of(MV_REC_BUDGET_EXTENDED, NULL) == 1 && plan_verifies() && plan_replays());
        plan_done();
}

TEST(a_queue_that_was_taken_away_is_asked_again)
{
        char command[160];
        asking(MV_SPEND_TOKENS, 15, 100);
        plan.price = 10;
        CHECK(waits(plan_run(FOUR, 0)));
        CHECK_STR(voted("ann", true, 0), "voted");
        snprintf(command, sizeof command, "rm -rf %s.approvals", plan.store);
        CHECK(system(command) == 0);
        CHECK(waits(resumed()));
        CHECK_STR(plan_effects(), "a ");
        CHECK_STR(voted("ann", true, 0), "voted");
        CHECK_STR(resumed(), "\"d\"");
        CHECK_STR(plan_effects(), "a b c d ");
        plan_done();
}

TEST(an_extension_that_is_on_record_holds_without_the_queue)
{
        char command[160];
        asking(MV_SPEND_CALLS, 1, 1);
        CHECK(waits(plan_run(FOUR, 0)));
        CHECK_STR(voted("ann", true, 0), "voted");
        CHECK(waits(resumed()));
        snprintf(command, sizeof command, "rm -rf %s.approvals", plan.store);
        CHECK(system(command) == 0);
        CHECK(waits(resumed()));
        CHECK(asked().max == 2);
        CHECK_STR(plan_effects(), "a b ");
        plan_done();
}

/* --- steps and time --------------------------------------------------------------------------- */
#define STEPS "(step \"one\" " CALL("a") ") (step \"two\" 1) (step \"three\" " CALL("b") ")"
TEST(steps_are_counted_as_they_begin_and_asked_about_at_their_calls)
{
        plan_new();
        budget(MV_SPEND_STEPS, 2, MV_EXHAUSTED_STOP, 0);
        CHECK_STR(plan_run(STEPS, 0), "error BudgetExhausted");
        CHECK_STR(plan_effects(), "a ");
        CHECK(plan_verifies() && plan_replays());
        plan_done();
        asking(MV_SPEND_STEPS, 2, 1);
        CHECK(waits(plan_run(STEPS, 0)));
        CHECK(asked().what == MV_SPEND_STEPS && asked().spent == 3 && asked().needed == 3);
        CHECK_STR(voted("ann", true, 0), "voted");
        CHECK_STR(resumed(), "\"b\"");
        CHECK_STR(plan_effects(), "a b ");
        CHECK(plan_verifies() && plan_replays());
        plan_done();
}

TEST(time_is_asked_about_at_calls_and_what_a_run_waits_for_does_not_count)
{
        plan_new();
        plan.sleep_ms = 400;
        budget(MV_SPEND_TIME_MS, 300, MV_EXHAUSTED_STOP, 0);
        CHECK_STR(plan_run(FOUR, 0), "error BudgetExhausted");
        CHECK_STR(plan_effects(), "a ");
        CHECK(plan_verifies() && plan_replays());
        plan_done();
        asking(MV_SPEND_TIME_MS, 300, 100000);
        plan.sleep_ms = 400;
        CHECK(waits(plan_run(FOUR, 0)));
        uint64_t spent = asked().spent;
        CHECK(spent >= 400);
        plan.sleep_ms = 0;
        CHECK(waits(resumed()));
        CHECK(asked().max == 300);
        CHECK_STR(voted("ann", true, 0), "voted");
        CHECK_STR(resumed(), "\"d\"");
        CHECK_STR(plan_effects(), "a b c d ");
        CHECK(plan_verifies() && plan_replays());
        plan_done();
}

TEST(time_counts_on_when_a_run_is_resumed)
{
        plan_new();
        plan.sleep_ms = 50;
        budget(MV_SPEND_TIME_MS, 700, MV_EXHAUSTED_STOP, 0);
        plan_killed(FOUR, 2, BEFORE_EFFECT); /* 50 ms are on record, and an allowed call */
        plan.sleep_ms = 700;
        CHECK_STR(plan_resume(&(struct mv_resumption){ .in_doubt = MV_IN_DOUBT_REPEAT,
                                                       .in_doubt_call = 2 }),
                  "error BudgetExhausted");
        CHECK_STR(plan_effects(), "a b ");
        CHECK(plan_verifies() && plan_replays());
        plan_done();
}

/* Killed behind the decision, before anything else: it is taken from the record, with its text. */
TEST(a_refusal_that_stands_in_the_records_is_the_same_when_the_run_is_resumed)
{
        asking(MV_SPEND_CALLS, 1, 1);
        CHECK(waits(plan_run("(try " CALL("a") CALL("b") "(catch e 1)) 7", 0)));
        CHECK_STR(voted("ann", false, 0), "voted");
        CHECK_STR(resumed(), "7");
        plan_cut_records(3); /* PlanEnded, the root and the seal: the refusal is the last leaf */
        CHECK_STR(resumed(), "7");
        CHECK(plan_verifies() && plan_replays());
        plan_done();
}

/* --- who cannot wait -------------------------------------------------------------------------- */
TEST(an_evaluation_of_a_session_does_not_wait_for_its_budget)
{
        struct mv_session *s;
        struct mv_result *r = NULL;
        asking(MV_SPEND_CALLS, 1, 1);
        struct mv_host *h = plan_host();
        REQUIRE(h);
        struct mv_session_options o = { .context = plan.context, .provider = "mock" };
        REQUIRE(mv_session_open(h, &o, &s, &plan.err) == 0);
        struct mv_evaluation v = { .program = mv_program_source(CALL("a") CALL("b")),
                                   .context = plan.context };
        CHECK(mv_session_eval(s, &v, &r, &plan.err) == 0);
        CHECK(r && !mv_result_ok(r) && strcmp(mv_result_error(r)->kind, "BudgetExhausted") == 0);
        CHECK(r && strstr(mv_result_error(r)->message, "cannot wait for approvals"));
        mv_result_free(r);
        mv_session_close(s);
        mv_host_free(h);
        plan_done();
}

TEST(without_a_store_in_a_file_nobody_can_be_asked)
{
        struct mv_result *r;
        struct mv_host *h;
        asking(MV_SPEND_CALLS, 0, 1);
        REQUIRE(mv_host_new(NULL, &h, &plan.err) == 0);
        struct mv_execution x = { .program = mv_program_source("(call \"ccos.io.println\" \"x\")"),
                                  .context = plan.context,
                                  .provider = "mock" };
        REQUIRE(mv_execute(h, &x, &r, &plan.err) == 0);
        CHECK(!mv_result_ok(r) && strcmp(mv_result_error(r)->kind, "BudgetExhausted") == 0);
        CHECK(strstr(mv_result_error(r)->message, "audit store in a file"));
        mv_result_free(r);
        mv_host_free(h);
        plan_done();
}
