/* SPDX-License-Identifier: Apache-2.0 */
/* microvm approvals: the queue of calls that wait for somebody's word. */
#include <audit/approvals.h>
#include <base/err.h>
#include <base/slice.h>
#include <cli/cli.h>
#include <host/host.h>
#include <host/cbor_json.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct listing {
        struct cli_table table;
        struct mv__jsonw *json;
        bool all;
        unsigned unreadable;
};

static void stamp_of(uint64_t ms, char ret[32])
{
        time_t seconds = (time_t)(ms / 1000);
        struct tm tm;
        gmtime_r(&seconds, &tm);
        strftime(ret, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static unsigned approvals_of(const struct mv_approval_status *s)
{
        unsigned n = 0;
        for (uint32_t i = 0; i < s->votes_count; i++)
                n += s->votes[i].approve;
        return n;
}

/* What the call would spend, besides what was spent. */
static uint64_t asked_of(const struct mv_approval_budget *b)
{
        return b->needed > b->spent ? b->needed - b->spent : 0;
}

static void put_budget(struct mv__jsonw *w, const struct mv_approval_budget *b)
{
        mv__json_open(w, "budget", '{');
        mv__json_str(w, "what", mv_spending_name(b->what));
        mv__json_uint(w, "max", b->max);
        mv__json_uint(w, "spent", b->spent);
        mv__json_uint(w, "call_spends", asked_of(b));
        mv__json_uint(w, "extends_to", b->to);
        mv__json_uint(w, "ceiling", b->ceiling);
        mv__json_close(w, '}');
}

static void budget_line(const struct mv_approval_budget *b, char *ret, size_t cap)
{
        snprintf(ret, cap, "%llu spent, the call would spend %llu; extends %llu to %llu",
                 (unsigned long long)b->spent, (unsigned long long)asked_of(b),
                 (unsigned long long)b->max, (unsigned long long)b->to);
}

static void put_json(struct mv__jsonw *w, const char *key, const struct mv_approval_request *q,
                     const struct mv_approval_status *s)
{
        mv__json_open(w, key, '{');
        mv__json_str(w, "id", q->id);
        mv__json_str(w, "state", mv_approval_state_name(s->state));
        mv__json_str(w, "execution_id", q->execution_id);
        mv__json_uint(w, "call", q->call);
        mv__json_str(w, "capability", q->capability);
        mv__json_cbor(w, "args", q->args);
        if (q->step)
                mv__json_str(w, "step", q->step);
        mv__json_str(w, "rule", q->rule);
        if (q->about_budget)
                put_budget(w, &q->budget);
        if (q->about_budget && s->extended_to)
                mv__json_uint(w, "extended_to", s->extended_to);
        mv__json_uint(w, "approvals_needed", q->approvals);
        mv__json_uint(w, "created_ms", q->created_ms);
        mv__json_uint(w, "expires_ms", q->expires_ms);
        mv__json_open(w, "votes", '[');
        for (uint32_t i = 0; i < s->votes_count; i++) {
                mv__json_open(w, NULL, '{');
                mv__json_str(w, "name", s->votes[i].name);
                mv__json_uint(w, "uid", s->votes[i].uid);
                mv__json_uint(w, "time_ms", s->votes[i].time_ms);
                mv__json_bool(w, "approve", s->votes[i].approve);
                if (s->votes[i].by)
                        mv__json_uint(w, "by", s->votes[i].by);
                mv__json_close(w, '}');
        }
        mv__json_close(w, ']');
        mv__json_close(w, '}');
}

static bool list_one(void *ctx, const char *id, const struct mv_approval_request *q,
                     const struct mv_approval_status *s, const struct mv_err *why)
{
        struct listing *l = ctx;
        char votes[48], until[32], rule[400], budget[160];
        if (!q) {
                l->unreadable++;
                fprintf(stderr, "warning: %s: ", id);
                cli_write(stderr, mv_slice_str(why->msg));
                fputc('\n', stderr);
                return true;
        }
        if (l->json) {
                put_json(l->json, NULL, q, s);
                return true;
        }
        snprintf(votes, sizeof votes, "%u of %u", approvals_of(s), q->approvals);
        stamp_of(q->expires_ms, until);
        snprintf(rule, sizeof rule, "%.200s", q->rule);
        if (q->about_budget) {
                budget_line(&q->budget, budget, sizeof budget);
                snprintf(rule, sizeof rule, "%.64s: %s", q->rule, budget);
        }
        cli_table_row(&l->table, q->id, mv_approval_state_name(s->state), votes, until, rule,
                      q->capability, q->execution_id);
        return true;
}

static int list(const struct cli_options *o, struct mv_host *h)
{
        struct mv__jsonw w;
        struct mv_err err;
        struct listing l = { .table = { .columns = 7 } };
        if (o->json) {
                l.json = &w;
                mv__json_begin(&w);
                mv__json_open(&w, NULL, '{');
                mv__json_open(&w, "approvals", '[');
        } else {
                cli_table_row(&l.table, "ID", "STATE", "APPROVED", "UNTIL", "RULE", "CAPABILITY",
                              "EXECUTION");
        }
        int r = mv_approval_list(h->audit, list_one, &l, &err);
        int code = l.unreadable ? CLI_FAILED : CLI_DONE;
        if (!o->json) {
                cli_table_print(&l.table, stdout);
                return r < 0 ? cli_error(&err, false) : code;
        }
        mv__json_close(&w, ']');
        mv__json_uint(&w, "unreadable", l.unreadable);
        if (r < 0)
                mv__json_str(&w, "error", err.msg);
        mv__json_close(&w, '}');
        return cli_json_line(mv__json_end(&w)) ? CLI_BUG : r < 0 ? CLI_FAILED : code;
}

/* Texts of a request come from a program and from rules: none of them reaches a terminal raw. */
static void print_line(const char *name, struct mv_slice text)
{
        printf("  %-11s", name);
        cli_write(stdout, text);
        putchar('\n');
}

static void print_one(const struct mv_approval_request *q, const struct mv_approval_status *s)
{
        char stamp[32];
        struct mv__jsonw w;
        mv__json_begin(&w);
        mv__json_cbor(&w, NULL, q->args);
        char *args = mv__json_end(&w);
        printf("%s: %s, %u of %u approvals\n", q->id, mv_approval_state_name(s->state),
               approvals_of(s), q->approvals);
        print_line("execution", mv_slice_str(q->execution_id));
        printf("  call       %llu\n", (unsigned long long)q->call);
        print_line("capability", mv_slice_str(q->capability));
        print_line("arguments", mv_slice_str(args ? args : ""));
        print_line("rule", mv_slice_str(q->rule));
        if (q->about_budget) {
                char text[160];
                budget_line(&q->budget, text, sizeof text);
                print_line("budget", mv_slice_str(text));
        }
        if (q->about_budget && s->extended_to)
                printf("  extended   to %llu\n", (unsigned long long)s->extended_to);
        if (q->step)
                print_line("step", mv_slice_str(q->step));
        stamp_of(q->expires_ms, stamp);
        print_line("until", mv_slice_str(stamp));
        for (uint32_t i = 0; i < s->votes_count; i++) {
                stamp_of(s->votes[i].time_ms, stamp);
                printf("  %-11s%s (uid %llu) at %s", s->votes[i].approve ? "approved" : "rejected",
                       s->votes[i].name, (unsigned long long)s->votes[i].uid, stamp);
                if (s->votes[i].by)
                        printf(", by %llu more", (unsigned long long)s->votes[i].by);
                putchar('\n');
        }
        free(args);
}

static int show(const struct cli_options *o, struct mv_host *h, const char *id)
{
        struct mv_arena arena = mv_arena_grow(2 * MV_APPROVAL_BYTES_MAX);
        struct mv_approval_request q;
        struct mv_approval_status s;
        struct mv__jsonw w;
        struct mv_err err;
        int code = CLI_DONE;
        if (mv_approval_read(h->audit, id, &arena, &q, &err) < 0 ||
            mv_approval_status(h->audit, &q, &s, &err) < 0) {
                code = cli_error(&err, o->json);
        } else if (o->json) {
                mv__json_begin(&w);
                put_json(&w, NULL, &q, &s);
                code = cli_json_line(mv__json_end(&w));
        } else {
                print_one(&q, &s);
        }
        mv_arena_done(&arena);
        return code;
}

/* In the words of the budget: dollars, durations, sizes, counts. */
static bool amount(const char *text, enum mv_spending what, uint64_t *ret)
{
        switch (what) {
        case MV_SPEND_COST_MICROUSD:
                return cli_amount(text, 1e6, ret);
        case MV_SPEND_TIME_MS:
                *ret = 0;
                if (!cli_duration(text, ret))
                        return false;
                *ret /= 1000000;
                return *ret > 0;
        case MV_SPEND_EGRESS_BYTES:
        case MV_SPEND_WRITTEN_BYTES:
                return cli_size(text, ret);
        default:
                return !strchr(text, '.') && cli_amount(text, 1, ret);
        }
}

static int amount_of(const struct cli_options *o, struct mv_host *h, const char *id, uint64_t *ret)
{
        struct mv_arena arena = mv_arena_grow(2 * MV_APPROVAL_BYTES_MAX);
        struct mv_approval_request q;
        struct mv_err err;
        int r = mv_approval_read(h->audit, id, &arena, &q, &err), code = CLI_DONE;
        if (r < 0)
                code = cli_error(&err, o->json);
        else if (!q.about_budget)
                code = cli_usage("--extend: %s is not about a budget", id);
        else if (!amount(o->extend, q.budget.what, ret))
                code = cli_usage("--extend %s: not an amount of a %s above zero", o->extend,
                                 q.rule);
        mv_arena_done(&arena);
        return code;
}

static int vote(const struct cli_options *o, struct mv_host *h, const char *id, bool approve)
{
        struct mv_err err;
        uint64_t by = 0;
        if (o->extend && !approve)
                return cli_usage("--extend is for approve");
        int code = o->extend ? amount_of(o, h, id, &by) : CLI_DONE;
        if (code != CLI_DONE)
                return code;
        if (mv_approval_vote(h->audit, id, o->as, approve, by, &err) < 0)
                return cli_error(&err, o->json);
        return show(o, h, id);
}

static int with_id(const struct cli_options *o, struct mv_host *h, const char *what)
{
        if (o->operands.count < 2)
                return cli_usage("approvals %s needs an approval's id: `microvm approvals list`",
                                 what);
        const char *id = o->operands.items[1];
        if (strcmp(what, "show") == 0)
                return o->as || o->extend
                               ? cli_usage("--as and --extend are for approve and reject")
                               : show(o, h, id);
        return vote(o, h, id, strcmp(what, "approve") == 0);
}

int cmd_approvals(int argc, char **argv)
{
        static const char *const words[] = { "list", "show", "approve", "reject" };
        struct cli_options o;
        struct mv_host *h;
        int r = cli_options(argc, argv, CLI_APPROVALS | CLI_JSON, &o);
        if (r == 0)
                r = cli_operands(&o, 1, 2, "list, show, approve or reject, and an approval's id");
        if (r)
                return r;
        const char *what = o.operands.items[0];
        bool known = false;
        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
                known = known || strcmp(what, words[i]) == 0;
        if (!known)
                return cli_usage("approvals %s: list, show, approve or reject", what);
        if (strcmp(what, "list") == 0 && (o.as || o.extend || o.operands.count > 1))
                return cli_usage("approvals list takes no id, no --as and no --extend");
        r = cli_host(o.audit, &h);
        if (r)
                return r;
        r = strcmp(what, "list") == 0 ? list(&o, h) : with_id(&o, h, what);
        mv_host_free(h);
        return r;
}
