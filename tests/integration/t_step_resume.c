/* SPDX-License-Identifier: Apache-2.0 */
/* Runs with a step in a cell of its own that were killed, had to wait, or failed (docs/design/step-cells.md). The run is behind
 * mock, its step behind the process wall. */
#include "durable.h"
#include <audit/approvals.h>

#define APART "(with-security-profile {:isolation-level :process} "
#define PLAN                                                                                       \
        "(call \"test.append\" \"a\") " APART "(step \"in\" (call \"test.append\" \"b\")) (call "  \
        "\"test.append\" \"c\"))\n"                                                                \
        "(call \"ccos.io.println\" \"p\") " APART "(call \"test.append\" \"d\")) (call "           \
        "\"test.append\" \"e\")"

#define NEED_PROCESS                                                                               \
        do {                                                                                       \
                if (!plan_has_process())                                                           \
                        SKIP("the process wall is not here");                                      \
        } while (0)

TEST(a_run_killed_around_a_step_in_a_cell_of_its_own_reaches_the_root_of_an_undisturbed_one)
{
        static const int call_of[] = { 0, 1, 2, 3, 5, 6 }; /* number 4 prints */
        char root[65];
        NEED_PROCESS;
        plan_new();
        CHECK_STR(plan_run(PLAN, 0), "\"e\"");
        mv_fmt(root, sizeof root, "%s", plan.root);
        for (int at = 1; at <= 5; at++) {
                for (enum moment when = BEFORE_EFFECT; when <= AFTER_EFFECT; when++) {
                        struct mv_resumption how = { .in_doubt_call = (uint64_t)call_of[at] };
                        struct mv_value reply = { .kind = MV_STRING };
                        static const char letters[] = "abcde";
                        plan_again();
                        plan_killed(PLAN, at, when);
                        CHECK_STR(plan_resume(NULL), "IN_DOUBT"); /* and nothing happens */
                        reply.text = mv_slice(letters + at - 1, 1);
                        how.in_doubt =
                                when == BEFORE_EFFECT ? MV_IN_DOUBT_REPEAT : MV_IN_DOUBT_DONE;
                        how.reply = &reply;
                        CHECK_STR(plan_resume(&how), "\"e\"");
                        CHECK_STR(plan_effects(), "a b c d e ");
                        CHECK_STR(plan.root, root);
                        CHECK_STR(plan.printed, "p\n");
                        CHECK(plan_verifies());
                        CHECK(plan_replays());
                }
        }
        plan_done();
}

TEST(a_resumed_run_that_is_killed_again_in_the_same_step_is_resumed_again)
{
        NEED_PROCESS;
        plan_new();
        plan_killed("(call \"test.put\" \"a\") " APART
                    "(call \"test.put\" \"b\") (call \"test.put\" \"c\"))",
                    2, BEFORE_EFFECT);
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
                struct mv_host *h = plan_host();
                struct mv_result *r;
                struct mv_resumption x = { .execution_id = plan.id,
                                           .context = plan.context,
                                           .provider = "mock" };
                plan.calls = 0;
                plan.die_at = 2; /* a is answered: b, then c */
                plan.when = BEFORE_EFFECT;
                mv_resume(h, &x, &r, &plan.err);
                _exit(0);
        }
        reap(child);
        CHECK_STR(plan_resume(NULL), "\"c\"");
        CHECK_STR(plan_effects(), "a b c ");
        CHECK(plan_verifies());
        CHECK(plan_replays());
        plan_done();
}

static const char *vote(void)
{
        struct mv_audit *a;
        char key[128], id[MV_APPROVAL_ID_BYTES];
        const char *at = strstr(plan.err.msg, "apr_");
        snprintf(key, sizeof key, "%s.key", plan.store);
        snprintf(id, sizeof id, "%.36s", at ? at : "");
        if (mv_audit_open(&(struct mv_audit_options){ .path = plan.store, .key_path = key }, &a,
                          &plan.err) < 0)
                return plan_failed();
        int r = mv_approval_vote(a, id, "ann", true, 0, &plan.err);
        mv_audit_close(a);
        return r < 0 ? plan_failed() : "voted";
}

TEST(a_call_of_such_a_step_waits_for_its_approval_and_the_run_is_resumed)
{
        NEED_PROCESS;
        plan_new();
        CHECK(mv_context_add_rule(plan.context,
                                  &(struct mv_rule){ .id = "ask",
                                                     .action = MV_RULE_REQUIRE_APPROVAL,
                                                     .argument = "c",
                                                     .approvals = 1 },
                                  &plan.err) == 0);
        CHECK_STR(plan_run(PLAN, 0), "WAITING");
        CHECK_STR(plan_effects(), "a b ");
        find_id();
        CHECK_STR(plan_resume(NULL), "WAITING");
        CHECK_STR(vote(), "voted");
        CHECK_STR(plan_resume(NULL), "\"e\"");
        CHECK_STR(plan_effects(), "a b c d e ");
        CHECK(plan_verifies());
        CHECK(plan_replays());
        plan_done();
}

TEST(what_such_a_step_did_is_undone_when_the_run_fails_in_it_or_behind_it)
{
        NEED_PROCESS;
        static const char *const texts[] = {
                "^{:runtime.compensate [\"test.append\" \"undo-a\"]} (call \"test.append\" "
                "\"a\") " APART
                "^{:runtime.compensate [\"test.append\" \"undo-b\"]} (call \"test.append\" \"b\")\n"
                "(+ 1 \"x\"))",
                "^{:runtime.compensate [\"test.append\" \"undo-a\"]} (call \"test.append\" "
                "\"a\") " APART "^{:runtime.compensate [\"test.append\" \"undo-b\"]} (call "
                "\"test.append\" \"b\"))\n"
                "(+ 1 \"x\")",
        };
        plan_new();
        for (size_t i = 0; i < 2; i++) {
                plan_again();
                CHECK_STR(plan_run(texts[i], 0), "error TypeError");
                CHECK_STR(plan_effects(), "a b undo-b undo-a ");
                CHECK(plan_verifies());
                CHECK(plan_replays());
        }
        plan_done();
}
