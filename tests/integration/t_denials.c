/* SPDX-License-Identifier: Apache-2.0 */
/* Every kind of denial, hundreds of times: without its grant the call is denied, for a rule that is named, with a hint that says
 * the smallest grant. What the hint says is applied word for word, and nothing else: then it is allowed, and the call
 * next to it (another file, another port, another name) is denied as before. REQ-AUTH-16, -18, REQ-ERR-02.
 *
 * A grant is written as the command writes it (--allow, --allow-read, ...), and that is also what hints say. A demand of a step
 * is in the program: there the hint names the key. */
#include "../durable.h"
#include <audit/approvals.h>
#include <security/lexical.h>

enum kind {
        CAPABILITY,
        HOST,
        PORT,
        METHOD,
        PATH,
        MODE,
        VARIABLE,
        BUDGET,
        APPROVAL,
        TIER,
        STEP,
        KINDS
};
static const char *const names[KINDS] = { "capability", "host", "port",        "method",
                                          "path",       "mode", "variable",    "budget",
                                          "approval",   "tier", "step profile" };
static unsigned cases[KINDS];
static struct mv_host *host;

struct acase {
        enum kind kind;
        char grants[400];
        /* %s: what the hint adds to a demand; "" without */
        char program[500], neighbour[500];
};

struct seen {
        bool denied, ran;
        char hint[200], rule[300], message[300];
};

/* What no option of the command sets; in the cases it is written as if there were one. */
static const struct budget {
        const char *option;
        enum mv_spending what;
} budget_options[] = { { "--calls", MV_SPEND_CALLS },
                       { "--written", MV_SPEND_WRITTEN_BYTES },
                       { "--steps", MV_SPEND_STEPS } };

static const struct budget *budget_in(const char *text)
{
        for (size_t i = 0; i < sizeof budget_options / sizeof budget_options[0]; i++)
                if (strstr(text, budget_options[i].option))
                        return &budget_options[i];
        return NULL;
}

/* --- grants as they are written --------------------------------------------------------------- */
/* The next word of a shell; false: none. */
static bool next_word(const char **at, char *ret, size_t cap)
{
        size_t n = 0;
        bool quoted = false;
        while (**at == ' ')
                (*at)++;
        if (!**at)
                return false;
        for (; **at && (quoted || **at != ' '); (*at)++) {
                if (**at == '\'')
                        quoted = !quoted;
                else if (!quoted && **at == '\\' && (*at)[1])
                        ret[n++] = *++*at;
                else
                        ret[n++] = **at;
                if (n + 1 >= cap)
                        abort();
        }
        ret[n] = '\0';
        return !quoted;
}

static bool grant(struct mv_context *c, const char *option, const char *value)
{
        struct mv_err err;
        static const struct {
                const char *option;
                int (*allow)(struct mv_context *, const char *, struct mv_err *);
        } rows[] = { { "--allow", mv_context_allow },
                     { "--allow-net", mv_context_allow_host },
                     { "--allow-read", mv_context_allow_read },
                     { "--allow-write", mv_context_allow_write },
                     { "--env", mv_context_allow_env } };
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
                if (strcmp(rows[i].option, option) == 0)
                        return rows[i].allow(c, value, &err) == 0;
        const struct budget *kind = budget_in(option);
        struct mv_budget b = MV_BUDGET_NONE;
        if (!kind)
                return false;
        b.max[kind->what] = strtoull(value, NULL, 10);
        mv_context_budget(c, &b);
        return true;
}

static struct mv_context *context_of(const char *grants, const char *more)
{
        struct mv_context *c = mv_context_new(MV_LEVEL_CONTROLLED);
        const char *texts[] = { grants, more };
        for (int i = 0; c && i < 2; i++) {
                char option[40], value[300];
                const char *at = texts[i];
                while (next_word(&at, option, sizeof option))
                        if (!next_word(&at, value, sizeof value) || !grant(c, option, value))
                                return mv_context_free(c);
        }
        return c;
}

/* --- running ---------------------------------------------------------------------------------- */
static bool run(const char *grants, const char *more, const char *program, struct seen *ret)
{
        struct mv_result *r;
        struct mv_err err;
        struct mv_context *c = context_of(grants, more);
        struct mv_execution x = { .program = mv_program_source(program),
                                  .context = c,
                                  .provider = "mock",
                                  .prelude = true };
        memset(ret, 0, sizeof *ret);
        if (!c || mv_execute(host, &x, &r, &err) < 0) {
                mv_context_free(c);
                return false;
        }
        const struct mv_program_error *e = mv_result_error(r);
        ret->ran = true;
        ret->denied = mv_result_termination(r) == MV_END_DENIED ||
                      (e && (strcmp(e->kind, "BudgetExhausted") == 0 ||
                             strcmp(e->kind, "LimitExceeded") == 0));
        if (e) {
                snprintf(ret->hint, sizeof ret->hint, "%s", e->hint);
                snprintf(ret->rule, sizeof ret->rule, "%s", e->context);
                snprintf(ret->message, sizeof ret->message, "%s", e->message);
        }
        mv_result_free(r);
        mv_context_free(c);
        return true;
}

static void complain(const struct acase *a, const struct seen *s, const char *what)
{
        char text[900];
        snprintf(text, sizeof text, "%s: %s: %.200s with %.100s: %.150s; hint %.100s",
                 names[a->kind], what, a->program, a->grants, s->message, s->hint);
        mv_test_failed(__FILE__, __LINE__, text);
}

static void fill(char ret[700], const char *program, const char *added)
{
        snprintf(ret, 700, program, added);
}

/* The grant that the hint says, in the words of the case; false: it says none. */
static bool grant_said(const struct acase *a, const struct seen *s, char ret[300])
{
        const char *would = strstr(s->message, " would allow it");
        if (a->kind != BUDGET) {
                snprintf(ret, 300, "%s", s->hint);
                return strncmp(s->hint, "--", 2) == 0;
        }
        while (would && would > s->message && would[-1] >= '0' && would[-1] <= '9')
                would--;
        snprintf(ret, 300, "%s %.20s", budget_in(a->grants)->option, would ? would : "");
        ret[strcspn(ret, " ") + 1 + strspn(strchr(ret, ' ') + 1, "0123456789")] = '\0';
        return would != NULL;
}

/* In place of the budget that was there: budgets are only lowered. */
static void without_budget(const char *grants, enum kind kind, char ret[400])
{
        size_t len = kind == BUDGET ? (size_t)(strstr(grants, budget_in(grants)->option) - grants)
                                    : strlen(grants);
        snprintf(ret, 400, "%.*s", (int)len, grants);
}

static void by_grant(const struct acase *a)
{
        char said[300], rest[400];
        struct seen s, t;
        bool ran = run(a->grants, "", a->program, &s);
        cases[a->kind]++;
        if (!ran || !s.denied || (!s.rule[0] && a->kind != BUDGET) || !grant_said(a, &s, said)) {
                complain(a, &s, "is not denied with a reason and a grant");
                return;
        }
        without_budget(a->grants, a->kind, rest);
        if (!run(rest, said, a->program, &t) || t.denied)
                complain(a, &t, "is denied with its grant");
        if (a->neighbour[0] && (!run(rest, said, a->neighbour, &t) || !t.denied))
                complain(a, &t, "its grant allows more");
}

/* The hint names a key of the demand; what is added to it is what was asked for. */
static void by_demand(const struct acase *a, const char *key, const char *added)
{
        char program[700];
        struct seen s, t;
        fill(program, a->program, "");
        bool ran = run(a->grants, "", program, &s);
        cases[a->kind]++;
        if (!ran || !s.denied || !s.rule[0] || !strstr(s.hint, key) ||
            !strstr(s.hint, "with-security-profile")) {
                complain(a, &s, "is not denied with a reason and a key");
                return;
        }
        fill(program, a->program, added);
        if (!run(a->grants, "", program, &t) || t.denied)
                complain(a, &t, "is denied though the demand has it");
}

static struct acase made(enum kind kind, const char *grants, const char *program,
                         const char *neighbour)
{
        struct acase a = { .kind = kind };
        snprintf(a.grants, sizeof a.grants, "%s", grants);
        snprintf(a.program, sizeof a.program, "%s", program);
        snprintf(a.neighbour, sizeof a.neighbour, "%s", neighbour);
        return a;
}

/* --- the cases -------------------------------------------------------------------------------- */
static void file_at(int i, char ret[128])
{
        static const char *const shapes[] = { "%s/f%d",
                                              "%s/d/f%d",
                                              "%s/with blank %d",
                                              "%s/it's %d",
                                              "%s/--allow-write %d",
                                              "%s/$(x);%d",
                                              "%s/\xc3\xa9%d" };
        snprintf(ret, 128, shapes[i % 7], plan.dir, i);
        int fd = open(ret, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
                abort();
        close(fd);
}

static void paths(void)
{
        static const char *const calls[] = { "(call \"ccos.io.read-file\" \"%s%s\")",
                                             "(call \"ccos.io.file-exists\" \"%s%s\")",
                                             "(call \"ccos.io.open-file\" \"%s%s\" \"r\")" };
        char dir[100], file[128], program[300], neighbour[300];
        snprintf(dir, sizeof dir, "%s/d", plan.dir);
        mkdir(dir, 0700);
        for (int i = 0; i < 84; i++) {
                file_at(i, file);
                snprintf(program, sizeof program, calls[i % 3], file, "");
                snprintf(neighbour, sizeof neighbour, calls[i % 3], file, "x");
                struct acase a =
                        made(PATH, "--allow ccos.io.* --allow-read /usr", program, neighbour);
                by_grant(&a);
        }
}

static void modes(void)
{
        static const char *const calls[] = { "(call \"ccos.io.write-file\" \"%s\" \"x\")",
                                             "(call \"ccos.io.open-file\" \"%s\" \"w\")",
                                             "(call \"ccos.io.open-file\" \"%s\" \"a\")",
                                             "(call \"ccos.io.open-file\" \"%s\" \"rw\")",
                                             "(call \"ccos.io.delete-file\" \"%s\")" };
        char file[128], other[128], grants[400], program[300], neighbour[300];
        file_at(1000, other);
        for (int i = 0; i < 60; i++) {
                file_at(i, file);
                snprintf(grants, sizeof grants, "--allow ccos.io.* --allow-read %s", plan.dir);
                snprintf(program, sizeof program, calls[i % 5], file);
                snprintf(neighbour, sizeof neighbour, calls[i % 5], other);
                struct acase a = made(MODE, grants, program, neighbour);
                by_grant(&a);
        }
}

/* Nobody listens on port 1: a request that is allowed fails at once, and not as a denial. */
static void hosts(void)
{
        char program[300], neighbour[300], grants[400];
        for (int i = 1; i <= 60; i++) {
                snprintf(program, sizeof program,
                         "(call \"ccos.network.http-fetch\" \"http://127.0.0.%d:1/\")", i);
                snprintf(neighbour, sizeof neighbour,
                         "(call \"ccos.network.http-fetch\" \"http://127.0.0.%d:1/\")", i + 1);
                struct acase a = made(HOST, "--allow ccos.network.http-fetch --allow-net *.example",
                                      program, neighbour);
                by_grant(&a);
        }
        for (int i = 1; i <= 50; i++) {
                snprintf(grants, sizeof grants,
                         "--allow ccos.network.http-fetch --allow-net 127.0.0.1:%d", i + 60);
                snprintf(program, sizeof program,
                         "(call \"ccos.network.http-fetch\" \"http://127.0.0.1:%d/\")", i);
                snprintf(neighbour, sizeof neighbour,
                         "(call \"ccos.network.http-fetch\" \"http://127.0.0.1:%d/\")", i + 1);
                struct acase a = made(PORT, grants, program, neighbour);
                by_grant(&a);
        }
}

static void variables(void)
{
        char program[200], neighbour[200];
        for (int i = 0; i < 60; i++) {
                snprintf(program, sizeof program, "(call \"ccos.system.get-env\" \"%sMV_%d\")",
                         i % 2 ? "" : "_", i);
                snprintf(neighbour, sizeof neighbour, "(call \"ccos.system.get-env\" \"%sMV_%dX\")",
                         i % 2 ? "" : "_", i);
                struct acase a = made(VARIABLE, "--allow ccos.system.get-env --env PATH", program,
                                      neighbour);
                by_grant(&a);
        }
}

/* Each with the grants of the others: its arguments decide nothing. */
static void capabilities(void)
{
        static const char *const calls[] = {
                "\"ccos.echo\" 1",
                "\"ccos.math.add\" 1 2",
                "\"ccos.string.concat\" \"a\"",
                "\"ccos.data.parse-json\" \"1\"",
                "\"ccos.data.serialize-json\" 1",
                "\"ccos.io.log\" 1",
                "\"ccos.io.print\" 1",
                "\"ccos.io.println\" 1",
                "\"ccos.system.current-time\"",
                "\"ccos.system.current-time-iso\"",
                "\"ccos.system.current-timestamp-ms\"",
                "\"ccos.system.sleep-ms\" 0",
        };
        enum { COUNT = sizeof calls / sizeof calls[0] };
        for (int i = 0; i < COUNT * 8; i++) {
                char grants[400] = "--allow ccos.user.*", program[200], neighbour[200], id[64];
                sscanf(calls[(i + 1 + i / COUNT) % COUNT], "\"%60[^\"]", id);
                size_t n = strlen(grants);
                if (i / COUNT % 2) /* another one is granted: that is no grant of this one */
                        snprintf(grants + n, sizeof grants - n, " --allow %s", id);
                snprintf(program, sizeof program,
                         i / COUNT % 4 < 2 ? "(call %s)" : "(step \"s\" (call %s))",
                         calls[i % COUNT]);
                snprintf(neighbour, sizeof neighbour, "(call %s)",
                         calls[(i + 2 + i / COUNT) % COUNT]);
                if ((i + 2 + i / COUNT) % COUNT == i % COUNT)
                        neighbour[0] = '\0';
                struct acase a = made(CAPABILITY, grants, program, neighbour);
                by_grant(&a);
        }
}

#define STEPS "(dotimes [i %d] (step \"s\" (call \"ccos.echo\" i)))"
static void budgets(void)
{
        char grants[400], program[300];
        for (int i = 0; i < 30; i++) {
                snprintf(grants, sizeof grants, "--allow ccos.echo --calls %d", i);
                snprintf(program, sizeof program, "(dotimes [i %d] (call \"ccos.echo\" i))", i + 1);
                struct acase calls = made(BUDGET, grants, program, "");
                snprintf(calls.neighbour, sizeof calls.neighbour,
                         "(dotimes [i %d] (call \"ccos.echo\" i))", i + 2);
                by_grant(&calls);
                snprintf(grants, sizeof grants, "--allow ccos.io.* --allow-write %s --written %d",
                         plan.dir, i);
                snprintf(program, sizeof program, "(call \"ccos.io.write-file\" \"%s/b\" \"%.*s\")",
                         plan.dir, i + 1, "0123456789abcdefghijklmnopqrstuvwxyz");
                struct acase bytes = made(BUDGET, grants, program, "");
                by_grant(&bytes);
                snprintf(grants, sizeof grants, "--allow ccos.echo --steps %d", i);
                struct acase steps = made(BUDGET, grants, "", "");
                snprintf(steps.program, sizeof steps.program, STEPS, i + 1);
                snprintf(steps.neighbour, sizeof steps.neighbour, STEPS, i + 2);
                by_grant(&steps);
        }
}

/* A number in place of a list: the message says which. */
static void calls_of_a_step(int n)
{
        static const char program[] =
                "(with-security-profile {:max-calls %d} (dotimes [i %d] (call "
                "\"ccos.echo\" i)))";
        struct acase a = made(STEP, "--allow ccos.echo", "", "");
        struct seen s;
        int said = -1;
        snprintf(a.program, sizeof a.program, program, n, n + 1);
        cases[STEP]++;
        bool ran = run(a.grants, "", a.program, &s);
        const char *would = strstr(s.message, ":max-calls ");
        if (!ran || !s.denied || !would ||
            sscanf(would, ":max-calls %d would allow it", &said) != 1)
                complain(&a, &s, "does not say how many calls");
        snprintf(a.program, sizeof a.program, program, said, n + 1);
        if (!run(a.grants, "", a.program, &s) || s.denied)
                complain(&a, &s, "is denied with as many calls as were said");
        snprintf(a.program, sizeof a.program, program, said, n + 2);
        if (!run(a.grants, "", a.program, &s) || !s.denied)
                complain(&a, &s, "allows more calls than were said");
}

static void demands(void)
{
        static const char *const methods[] = { "POST", "PUT", "DELETE", "PATCH", "HEAD" };
        char program[400], added[200], file[128];
        struct acase a;
        for (int i = 0; i < 25; i++) {
                snprintf(program, sizeof program,
                         "(with-security-profile {:methods [\"GET\" %%s]} (call "
                         "\"ccos.network.http-fetch\" {:url \"http://127.0.0.%d:1/\" :method "
                         "\"%s\"}))",
                         1 + i / 5, methods[i % 5]);
                snprintf(added, sizeof added, "\"%s\"", methods[i % 5]);
                a = made(METHOD,
                         "--allow ccos.network.http-fetch --allow-net 127.0.0.1 --allow-net "
                         "127.0.0.2 --allow-net 127.0.0.3 --allow-net 127.0.0.4 --allow-net "
                         "127.0.0.5",
                         program, "");
                by_demand(&a, ":methods", added);
        }
        for (int i = 0; i < 20; i++) {
                snprintf(program, sizeof program,
                         "(with-security-profile {:hosts [\"a.example\" %%s]} (call "
                         "\"ccos.network.http-fetch\" \"http://127.0.0.1:%d/\"))",
                         i + 1);
                snprintf(added, sizeof added, "\"127.0.0.1:%d\"", i + 1);
                a = made(STEP, "--allow ccos.network.http-fetch --allow-net 127.0.0.1", program,
                         "");
                by_demand(&a, ":hosts", added);
                file_at(7 * i, file);
                snprintf(program, sizeof program,
                         "(with-security-profile {:paths [\"/usr\" %%s]} (call "
                         "\"ccos.io.file-exists\" \"%s\"))",
                         file);
                snprintf(added, sizeof added, "\"%s\"", file);
                a = made(STEP, "", program, "");
                snprintf(a.grants, sizeof a.grants, "--allow ccos.io.* --allow-read %s", plan.dir);
                by_demand(&a, ":paths", added);
                calls_of_a_step(i);
        }
        static const char *const others[] = { "ccos.echo\" 1", "ccos.math.add\" 1 2",
                                              "ccos.string.concat\" \"a\"", "ccos.io.println\" 1" };
        for (int i = 0; i < 4; i++) {
                snprintf(program, sizeof program,
                         "(with-security-profile {:capabilities [\"ccos.user.ask\" %%s]} (call "
                         "\"%s))",
                         others[i]);
                snprintf(added, sizeof added, "\"%.*s\"", (int)strcspn(others[i], "\""), others[i]);
                a = made(STEP,
                         "--allow ccos.echo --allow ccos.math.add --allow ccos.string.concat "
                         "--allow ccos.io.println",
                         program, "");
                by_demand(&a, ":capabilities", added);
        }
}

/* A tier: what is said is the minimum that would do. */
static void tiers(void)
{
        for (int i = 0; i < 20; i++) {
                enum mv_tier asked = (enum mv_tier)(1 + i % 4);
                char source[60], word[40] = "";
                snprintf(source, sizeof source, "(+ 1 %d)", i);
                struct mv_execution x = { .program = mv_program_source(source),
                                          .provider = "mock",
                                          .tier_min = asked };
                struct mv_result *r = NULL;
                struct mv_err err;
                cases[TIER]++;
                CHECK(mv_execute(host, &x, &r, &err) == -MV_E_UNAVAILABLE);
                const char *said = strstr(err.msg, "minimum tier ");
                CHECK(strstr(err.msg, mv_tier_name(asked)) && said &&
                      sscanf(said, "minimum tier %39s would allow it", word) == 1);
                for (enum mv_tier t = 0; t < MV_TIER_MAX_; t++)
                        if (strcmp(word, mv_tier_name(t)) == 0)
                                x.tier_min = t;
                CHECK(mv_execute(host, &x, &r, &err) == 0 && mv_result_ok(r));
                mv_result_free(r);
        }
}

/* What is said is the request; with as many votes for it as are said, and not with one less, the run goes on. */
static bool vote(const char *id, int voter)
{
        struct mv_audit *a;
        char key[128], name[20];
        snprintf(key, sizeof key, "%s.key", plan.store);
        snprintf(name, sizeof name, "voter-%d", voter);
        if (mv_audit_open(&(struct mv_audit_options){ .path = plan.store, .key_path = key }, &a,
                          &plan.err) < 0)
                return false;
        int r = mv_approval_vote(a, id, name, true, 0, &plan.err);
        mv_audit_close(a);
        return r == 0;
}

static void approvals(void)
{
        for (uint32_t i = 0; i < 24; i++) {
                uint32_t wanted = 1 + i % 4, said = 0;
                char id[MV_APPROVAL_ID_BYTES] = "", rule[20];
                snprintf(rule, sizeof rule, "rule-%u", i);
                plan_new();
                CHECK(mv_context_add_rule(plan.context,
                                          &(struct mv_rule){ .id = rule,
                                                             .action = MV_RULE_REQUIRE_APPROVAL,
                                                             .risk_min = MV_RISK_MEDIUM,
                                                             .approvals = wanted },
                                          &plan.err) == 0);
                cases[APPROVAL]++;
                CHECK_STR(plan_run("(call \"test.append\" \"a\")", 0), "WAITING");
                CHECK(strstr(plan.err.msg, rule));
                const char *request = strstr(plan.err.msg, "apr_");
                const char *count = strstr(plan.err.msg, "waits for ");
                CHECK(request && sscanf(request, "%36[a-z0-9_]", id) == 1);
                CHECK(count && sscanf(count, "waits for %u approval", &said) == 1 &&
                      said == wanted);
                find_id();
                for (uint32_t v = 0; v < said; v++) {
                        CHECK_STR(plan_resume(NULL), "WAITING");
                        CHECK(vote(id, (int)v));
                }
                CHECK_STR(plan_resume(NULL), "\"a\"");
                CHECK_STR(plan_effects(), "a ");
                plan_done();
        }
}

TEST(each_denial_says_the_rule_and_the_smallest_grant_and_with_exactly_that_it_is_allowed)
{
        struct mv_err err;
        unsigned sum = 0;
#ifndef MV_HAVE_CURL
        SKIP("built without libcurl: no capability reaches a host");
#endif
        REQUIRE(mv_host_new(NULL, &host, &err) == 0);
        plan_new();
        paths();
        modes();
        hosts();
        variables();
        capabilities();
        budgets();
        demands();
        tiers();
        plan_done();
        mv_host_free(host);
        approvals();
        for (int i = 0; i < KINDS; i++) {
                printf("# %s: %u cases\n", names[i], cases[i]);
                sum += cases[i];
                CHECK(cases[i] >= 20);
        }
        printf("# %u cases in all\n", sum);
        CHECK(sum >= 500);
}
