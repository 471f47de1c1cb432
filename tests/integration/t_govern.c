/* SPDX-License-Identifier: Apache-2.0 */
/* The constitution and its approvals (REQ-GOV-01, -02, REQ-SEC-16), and what crashes and forgers make of them. */
#include "durable.h"
#include <audit/approvals.h>
#include <glob.h>

static void rule(const struct mv_rule *r)
{
        if (mv_context_add_rule(plan.context, r, &plan.err) < 0)
                mv_test_failed(__FILE__, __LINE__, plan.err.msg);
}

static void asking(uint32_t approvals)
{
        plan_new();
        rule(&(struct mv_rule){ .id = "ask",
                                .action = MV_RULE_REQUIRE_APPROVAL,
                                .argument = "b*",
                                .approvals = approvals });
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

static const char *voted(const char *name, bool approve)
{
        struct mv_audit *a;
        char key[128];
        snprintf(key, sizeof key, "%s.key", plan.store);
        plan.err.code = MV_OK;
        if (mv_audit_open(&(struct mv_audit_options){ .path = plan.store, .key_path = key }, &a,
                          &plan.err) < 0)
                return plan_failed();
        int r = mv_approval_vote(a, approval, name, approve, 0, &plan.err);
        mv_audit_close(a);
        return r < 0 ? plan_failed() : "voted";
}

#define PLAN                                                                                       \
        "(call \"test.append\" \"a\") (call \"test.append\" \"b1\") (call \"test.append\" \"c\") " \
        "(call \"test.append\" \"b2\")"

/* --- rules ------------------------------------------------------------------------------------ */
/* REQ-SEC-16 */
TEST(the_first_rule_that_holds_decides_and_a_rule_never_grants)
{
        plan_new();
        rule(&(struct mv_rule){ .id = "fine", .action = MV_RULE_ALLOW, .argument = "good" });
        rule(&(struct mv_rule){ .id = "none",
                                .action = MV_RULE_DENY,
                                .capability = "test.*",
                                .risk_min = MV_RISK_MEDIUM });
        rule(&(struct mv_rule){ .id = "all", .action = MV_RULE_ALLOW });
        CHECK_STR(plan_run("(call \"test.append\" \"good\")", 0), "\"good\"");
        CHECK_STR(plan_run("(call \"test.append\" \"other\")", 0), "error SecurityViolation");
        CHECK_STR(plan_run("(call \"ccos.io.println\" \"x\")", 0), "nil");
        CHECK_STR(plan_run("(call \"ccos.io.read-file\" \"/etc/hostname\")", 0),
                  "error SecurityViolation");
        CHECK_STR(plan_effects(), "good ");
        CHECK(plan_verifies());
        plan_done();
}

TEST(rules_look_at_effects_arguments_however_deep_and_steps)
{
        plan_new();
        rule(&(struct mv_rule){
                .id = "network", .action = MV_RULE_DENY, .effects = MV_EFFECT_NETWORK });
        rule(&(struct mv_rule){ .id = "deep", .action = MV_RULE_DENY, .argument = "/etc/*" });
        rule(&(struct mv_rule){ .id = "deploy", .action = MV_RULE_DENY, .step = "deploy*" });
        CHECK_STR(plan_run("(call \"test.append\" \"a\")", 0), "\"a\"");
        CHECK_STR(plan_run("(call \"ccos.io.println\" [1 {:k [\"/etc/shadow\"]}])", 0),
                  "error SecurityViolation");
        CHECK_STR(plan_run("(step \"deploy 7\" (step \"inner\" (call \"test.append\" \"b\")))", 0),
                  "error SecurityViolation");
        CHECK_STR(
                plan_run("(do (step \"deploy 7\" 1) (step \"test\" (call \"test.append\" \"c\")))",
                         0),
                "\"c\"");
        CHECK_STR(plan_effects(), "a c ");
        plan_done();
}

TEST(explain_says_what_a_rule_will_do)
{
        struct mv_explanation x;
        struct mv_value word = { .kind = MV_STRING, .text = MV_SLICE("b") };
        struct mv_value args = { .kind = MV_VECTOR, .items = &word, .count = 1 };
        asking(2);
        struct mv_host *h = plan_host();
        REQUIRE(h);
        CHECK(mv_explain_call(h, plan.context, "test.append", &args, &x, &plan.err) == 0);
        CHECK(!x.allowed && strstr(x.text, "rule 'ask' of the constitution: it needs 2 approvals"));
        word.text = MV_SLICE("a");
        CHECK(mv_explain_call(h, plan.context, "test.append", &args, &x, &plan.err) == 0);
        CHECK(x.allowed);
        mv_host_free(h);
        plan_done();
}

/* Nobody could resume an evaluation of a session. */
TEST(what_cannot_be_resumed_does_not_wait)
{
        struct mv_session *s;
        struct mv_result *r = NULL;
        asking(1);
        struct mv_host *h = plan_host();
        REQUIRE(h);
        struct mv_session_options o = { .context = plan.context, .provider = "mock" };
        REQUIRE(mv_session_open(h, &o, &s, &plan.err) == 0);
        struct mv_evaluation v = { .program = mv_program_source("(call \"test.append\" \"b\")"),
                                   .context = plan.context };
        CHECK(mv_session_eval(s, &v, &r, &plan.err) == 0);
        CHECK(r && mv_result_termination(r) == MV_END_DENIED);
        mv_result_free(r);
        mv_session_close(s);
        mv_host_free(h);
        plan_done();
}

TEST(a_rule_that_could_not_be_meant_is_refused)
{
        static const struct mv_rule wrong[] = {
                { .id = "" },
                { .id = "two words" },
                { .id = "a", .capability = "*" },
                { .id = "a", .action = MV_RULE_ACTION_MAX_ },
                { .id = "a", .action = MV_RULE_DENY, .approvals = 2 },
                { .id = "a", .action = MV_RULE_REQUIRE_APPROVAL, .approvals = 17 },
                { .id = "a", .action = MV_RULE_ALLOW, .timeout_ms = 1 },
                { .id = "ask" },
        };
        asking(1);
        for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
                CHECK(mv_context_add_rule(plan.context, &wrong[i], &plan.err) ==
                      -(int)MV_E_INVALID);
        plan_done();
}

/* --- approvals -------------------------------------------------------------------------------- */
/* REQ-GOV-02: the process goes away, somebody approves, the run goes on */
TEST(a_call_waits_for_its_approval_and_the_run_is_resumed)
{
        asking(1);
        CHECK(waits(plan_run(PLAN, 0)));
        CHECK(strstr(plan.err.msg, "waits for 1 approval by rule 'ask'"));
        CHECK_STR(plan_effects(), "a ");
        CHECK(waits(plan_resume(NULL)));
        CHECK_STR(voted("ada", true), "voted");
        CHECK(waits(plan_resume(NULL))); /* the second call, another approval */
        CHECK_STR(plan_effects(), "a b1 c ");
        CHECK_STR(voted("ada", true), "voted");
        CHECK_STR(plan_resume(NULL), "\"b2\"");
        CHECK_STR(plan_effects(), "a b1 c b2 ");
        CHECK(plan_verifies());
        CHECK(plan_replays());
        plan_done();
}

TEST(distinct_approvers_are_counted_and_a_vote_stands)
{
        asking(3);
        CHECK(waits(plan_run("(call \"test.append\" \"b\")", 0)));
        CHECK_STR(voted("ada", true), "voted");
        CHECK_STR(voted("ada", true), "EXISTS");
        CHECK_STR(voted("ada", false), "EXISTS");
        CHECK_STR(voted("bob", true), "voted");
        CHECK(waits(plan_resume(NULL)));
        CHECK_STR(voted(NULL, true), "voted");  /* the user's own name */
        CHECK_STR(voted("eve", true), "STATE"); /* it is decided */
        CHECK_STR(plan_resume(NULL), "\"b\"");
        plan_done();
}

TEST(one_rejection_denies)
{
        asking(2);
        CHECK(waits(plan_run("(do (call \"test.append\" \"a\") (call \"test.append\" \"b\"))", 0)));
        CHECK_STR(voted("ada", true), "voted");
        CHECK_STR(voted("bob", false), "voted");
        CHECK_STR(plan_resume(NULL), "error SecurityViolation");
        CHECK_STR(plan_effects(), "a ");
        CHECK(plan_replays());
        plan_done();
}

TEST(what_nobody_approves_in_time_is_denied)
{
        plan_new();
        rule(&(struct mv_rule){
                .id = "ask", .action = MV_RULE_REQUIRE_APPROVAL, .timeout_ms = 30 });
        CHECK(waits(plan_run("(call \"test.append\" \"b\")", 0)));
        usleep(60000);
        CHECK_STR(voted("ada", true), "STATE");
        CHECK(strstr(plan.err.msg, "is expired"));
        CHECK_STR(plan_resume(NULL), "error SecurityViolation");
        CHECK_STR(plan_effects(), "");
        plan_done();
}

/* REQ-GOV-01: per step */
TEST(the_approval_of_a_step_holds_for_all_of_that_step_and_no_other)
{
        plan_new();
        rule(&(struct mv_rule){
                .id = "ask", .action = MV_RULE_REQUIRE_APPROVAL, .step = "deploy" });
        CHECK(waits(plan_run(
                "(step \"deploy\" (call \"test.append\" \"a\") (call \"test.append\" \"b\"))"
                "(step \"deploy\" (call \"test.append\" \"c\"))",
                0)));
        CHECK_STR(voted("ada", true), "voted");
        CHECK(waits(plan_resume(NULL)));
        CHECK_STR(plan_effects(), "a b ");
        CHECK_STR(voted("ada", true), "voted");
        CHECK_STR(plan_resume(NULL), "\"c\"");
        plan_done();
}

TEST(a_compensation_may_need_an_approval_too)
{
        asking(1);
        CHECK(waits(plan_run("(do ^{:runtime.compensate [\"test.append\" \"back\"]} (call "
                             "\"test.append\" \"a\") (+ 1 \"x\"))",
                             0)));
        CHECK_STR(plan_effects(), "a ");
        CHECK_STR(voted("ada", true), "voted");
        CHECK_STR(plan_resume(NULL), "error TypeError");
        CHECK_STR(plan_effects(), "a back ");
        CHECK(plan_verifies());
        CHECK(plan_replays());
        plan_done();
}

/* The root names no approver: whoever agrees, it is the same. */
TEST(who_approved_does_not_change_the_root)
{
        char root[65];
        asking(1);
        for (int i = 0; i < 2; i++) {
                plan_again();
                CHECK(waits(plan_run("(call \"test.append\" \"b\")", 0)));
                CHECK_STR(voted(i ? "ada" : "bob", true), "voted");
                CHECK_STR(plan_resume(NULL), "\"b\"");
                if (i)
                        CHECK_STR(plan.root, root);
                mv_fmt(root, sizeof root, "%s", plan.root);
        }
        plan_done();
}

/* --- crashes ---------------------------------------------------------------------------------- */
TEST(what_was_decided_stays_decided_whatever_becomes_of_the_queue)
{
        char queue[160];
        asking(1);
        CHECK(waits(plan_run("(call \"test.append\" \"b\")", 0)));
        CHECK_STR(voted("ada", true), "voted");
        CHECK_STR(plan_resume(NULL), "\"b\"");
        CHECK(unlink(plan.effects) == 0);
        plan_cut_records(5); /* CapabilityCall and all behind it: killed behind the decision */
        snprintf(queue, sizeof queue, "rm -rf %s.approvals", plan.store);
        CHECK(system(queue) == 0);
        CHECK_STR(plan_resume(NULL), "\"b\"");
        CHECK_STR(plan_effects(), "b ");
        CHECK(plan_verifies());
        plan_done();
}

/* --- forgers ---------------------------------------------------------------------------------- */
/* The vote about an approval of some store becomes one of the current approval, under that file name. */
static void move_vote(const char *store, const char *id, const char *voter)
{
        char pattern[256], to[256];
        glob_t found;
        snprintf(pattern, sizeof pattern, "%s.approvals/%s.[0-9a-f]*.vote", store, id);
        snprintf(to, sizeof to, "%s.approvals/%s.%s.vote", plan.store, approval, voter);
        REQUIRE(glob(pattern, 0, NULL, &found) == 0);
        for (size_t i = 0; i < found.gl_pathc; i++)
                if (strcmp(found.gl_pathv[i], to) != 0 &&
                    !strstr(found.gl_pathv[i], "0123456789abcdef"))
                        CHECK(rename(found.gl_pathv[i], to) == 0);
        globfree(&found);
}

TEST(votes_and_requests_without_the_key_do_not_count)
{
        char path[128], other[256];
        asking(1);
        CHECK(waits(plan_run("(call \"test.append\" \"b\")", 0)));
        /* votes of another store's key */
        char mine[96];
        memcpy(mine, plan.store, sizeof mine);
        snprintf(plan.store, sizeof plan.store, "%s/other.mva", plan.dir);
        CHECK(waits(plan_run("(call \"test.append\" \"b\")", 0)));
        CHECK_STR(voted("ada", true), "voted");
        char theirs[MV_APPROVAL_ID_BYTES];
        memcpy(theirs, approval, sizeof theirs);
        memcpy(plan.store, mine, sizeof mine);
        find_id();
        CHECK(waits(plan_resume(NULL)));
        snprintf(other, sizeof other, "%s/other.mva", plan.dir);
        move_vote(other, theirs, "0123456789abcdef");
        CHECK(waits(plan_resume(NULL)));
        /* a rejection under another name than its approver's is nobody's */
        CHECK_STR(voted("ada", false), "voted");
        move_vote(plan.store, approval, "fedcba9876543210");
        CHECK(waits(plan_resume(NULL)));
        /* links are not followed */
        snprintf(other, sizeof other, "%s.approvals/%s.request", plan.store, approval);
        snprintf(path, sizeof path, "%s/elsewhere", plan.dir);
        CHECK(rename(other, path) == 0 && symlink(path, other) == 0);
        CHECK_STR(plan_resume(NULL), "CORRUPT");
        CHECK_STR(voted("bob", true), "CORRUPT");
        CHECK(unlink(other) == 0);
        /* an edited request */
        int fd = open(path, O_RDWR | O_CLOEXEC);
        CHECK(fd >= 0 && pwrite(fd, "X", 1, 110) == 1);
        close(fd);
        CHECK(rename(path, other) == 0);
        CHECK_STR(plan_resume(NULL), "CORRUPT");
        CHECK_STR(voted("bob", true), "CORRUPT");
        CHECK_STR(plan_effects(), "");
        plan_done();
}

TEST(a_queue_that_others_may_write_is_refused)
{
        char path[160];
        asking(1);
        CHECK(waits(plan_run("(call \"test.append\" \"b\")", 0)));
        snprintf(path, sizeof path, "%s.approvals", plan.store);
        struct stat st;
        CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0700);
        CHECK(chmod(path, 0777) == 0);
        CHECK_STR(voted("ada", true), "DENIED");
        CHECK_STR(plan_resume(NULL), "DENIED");
        CHECK(chmod(path, 0700) == 0);
        CHECK_STR(voted("ada", true), "voted");
        CHECK_STR(plan_resume(NULL), "\"b\"");
        plan_done();
}

TEST(an_id_that_is_no_id_reaches_no_file)
{
        static const char *const ids[] = { "",
                                           "apr_",
                                           "../../etc/passwd",
                                           "apr_0123456789abcdef0123456789abcdeF",
                                           "apr_0123456789abcdef0123456789abcdef/",
                                           "apr_/../../../../../../../../etc/passwd" };
        asking(1);
        CHECK(waits(plan_run("(call \"test.append\" \"b\")", 0)));
        for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
                snprintf(approval, sizeof approval, "%.38s", ids[i]);
                CHECK_STR(voted("ada", true), "INVALID");
        }
        snprintf(approval, sizeof approval, "apr_0123456789abcdef0123456789abcdef");
        CHECK_STR(voted("ada", true), "NOT_FOUND");
        CHECK_STR(voted("two words", true), "INVALID");
        plan_done();
}

/* Nobody could vote on a store in memory. */
TEST(without_a_file_an_approval_is_a_denial)
{
        struct mv_host *h;
        struct mv_result *r = NULL;
        asking(1);
        CHECK(mv_context_allow(plan.context, "ccos.io.print", &plan.err) == 0);
        REQUIRE(mv_host_new(NULL, &h, &plan.err) == 0);
        struct mv_execution x = { .program = mv_program_source("(call \"ccos.io.print\" \"b\")"),
                                  .context = plan.context,
                                  .provider = "mock" };
        CHECK(mv_execute(h, &x, &r, &plan.err) == 0 && mv_result_termination(r) == MV_END_DENIED);
        CHECK(r && strstr(mv_result_error(r)->context, "needs an audit store in a file"));
        mv_result_free(r);
        mv_host_free(h);
        plan_done();
}
