/* SPDX-License-Identifier: Apache-2.0 */
/* The steps and the calls of a program for `explain` and --explain: what would be decided, by
 * which rule, the profile of each step, the smallest grant that would change it. Ids, names and
 * paths are an untrusted program's: they go to a terminal by cli_write only. */
#include <base/slice.h>
#include <cli/explain.h>
#include <host/jsonw.h>
#include <stdlib.h>
#include <string.h>

static const char *const states[MV__CALL_MAX_] = { "allowed", "denied", "depends", "fails",
                                                   "unknown" };

static int64_t number_at(const struct mv_value *row, uint32_t i)
{
        int64_t n = 0;
        mv_as_int(mv_seq_at(row, i), &n);
        return n;
}

static struct mv_slice id_of(const struct mv__plan_call *c)
{
        struct mv_slice id = { NULL, 0 };
        if (c->capability)
                return mv_slice_str(c->capability->id);
        mv_as_text(mv_seq_at(c->site, 0), &id);
        return id;
}

/* The step a call stands in, or NULL. */
static const struct mv_profile *step_of(const struct mv__plan *p, const struct mv__plan_call *c)
{
        for (int64_t at = c->region; at >= 0 && at < p->regions_count; at = p->regions[at].parent)
                if (p->regions[at].profile)
                        return &p->profiles[p->regions[at].profile];
        return NULL;
}

static int by_place(const void *a, const void *b)
{
        const struct mv__plan_call *x = a, *y = b;
        int64_t line = number_at(x->site, 2) - number_at(y->site, 2);
        int64_t column = number_at(x->site, 3) - number_at(y->site, 3);
        return line ? (line > 0) - (line < 0) : (column > 0) - (column < 0);
}

int cli_explain_plan(struct cli_request *q, struct cli_steps *ret, struct mv_err *err)
{
        struct mv__plan_request request = { &q->x, q->context, q->x.limits };
        *ret = (struct cli_steps){ 0 };
        request.limits = mv_limits_min(q->context ? q->context->limits : q->x.limits, q->x.limits);
        int r = mv__choose(q->host, &q->x, &request.limits, &ret->own, err);
        if (r == 0)
                r = mv__plan_make(q->host, &request, &ret->plan, err);
        if (r == 0)
                r = mv__plan_walls(q->host, &request, ret->plan, ret->own, &request.limits, err);
        if (r < 0) {
                mv__plan_free(ret->plan);
                ret->plan = NULL;
        }
        if (r < 0 || !ret->plan->known)
                return r;
        /* nothing refers to calls by number any more */
        if (ret->plan->calls_count)
                qsort(ret->plan->calls, ret->plan->calls_count, sizeof *ret->plan->calls, by_place);
        for (uint32_t i = 0; i < ret->plan->calls_count; i++) {
                struct mv__verdict v;
                mv__plan_decide(q->host, ret->plan, q->context, &ret->plan->calls[i], &v);
                ret->denied |= v.state == MV__CALL_DENIED;
        }
        return 0;
}

/* --- JSON ------------------------------------------------------------------------------------- */
static void put_set(struct mv__jsonw *w, const char *key, bool used, const struct mv_profile_set *s)
{
        if (used && s->any) {
                mv__json_raw(w, key, "null");
                return;
        }
        mv__json_open(w, key, '[');
        for (uint32_t i = 0; used && i < s->list.count; i++)
                mv__json_str(w, NULL, s->list.items[i]);
        mv__json_close(w, ']');
}

static const struct mv_provider_ops *wall_of(const struct cli_steps *s, const struct mv_profile *p,
                                             bool *ret_own_cell)
{
        uint32_t wall = mv__plan_wall_of(s->plan, p);
        *ret_own_cell = wall > 0;
        return wall ? s->plan->walls[wall].entry->ops : s->own->ops;
}

static void put_step(struct mv__jsonw *w, const struct cli_steps *s, const struct mv_profile *p)
{
        char flags[128];
        bool own_cell;
        const struct mv_provider_ops *wall = wall_of(s, p, &own_cell);
        mv_profile_flags_text(p, flags, sizeof flags);
        mv__json_open(w, NULL, '{');
        mv__json_slice(w, "step", p->name);
        mv__json_str(w, "profile_id", p->id);
        mv__json_uint(w, "line", p->line);
        mv__json_uint(w, "column", p->column);
        mv__json_str(w, "isolation", mv_step_isolation_name(p->isolation));
        mv__json_str(w, "provider", wall->name);
        mv__json_str(w, "tier", mv_tier_name(wall->tier));
        mv__json_bool(w, "own_cell", own_cell);
        mv__json_bool(w, "deterministic", p->deterministic || p->demand.deterministic);
        put_set(w, "capabilities", true, &p->capabilities);
        put_set(w, "hosts", p->network, &p->hosts);
        put_set(w, "methods", p->network, &p->methods);
        put_set(w, "reads", p->files, &p->reads);
        put_set(w, "writes", p->files, &p->writes);
        mv__json_open(w, "limits", '{');
        mv__json_uint(w, "time_ms", p->limits.time_ns_max / 1000000u);
        mv__json_uint(w, "memory_bytes", p->limits.memory_bytes_max);
        mv__json_uint(w, "operations", p->limits.operations_max);
        if (p->limits.calls_max != UINT32_MAX)
                mv__json_uint(w, "calls", p->limits.calls_max);
        mv__json_close(w, '}');
        mv__json_str(w, "flags", flags);
        if (p->wanted)
                mv__json_value(w, "demand", p->wanted);
        mv__json_close(w, '}');
}

static void put_call(struct mv__jsonw *w, struct cli_request *q, const struct mv__plan *p,
                     const struct mv__plan_call *c)
{
        const struct mv_profile *step = step_of(p, c);
        struct mv_slice id = id_of(c), via;
        struct mv__verdict v;
        mv__plan_decide(q->host, p, q->context, c, &v);
        mv__json_open(w, NULL, '{');
        mv__json_int(w, "line", number_at(c->site, 2));
        mv__json_int(w, "column", number_at(c->site, 3));
        if (id.len)
                mv__json_slice(w, "capability", id);
        else
                mv__json_raw(w, "capability", "null");
        if (mv_as_text(mv_seq_at(c->site, 1), &via))
                mv__json_slice(w, "via", via);
        if (step)
                mv__json_slice(w, "step", step->name);
        else
                mv__json_raw(w, "step", "null");
        mv__json_str(w, "verdict", states[v.state]);
        mv__json_text(w, "rule", v.decision.rule);
        mv__json_text(w, "context", v.decision.context);
        mv__json_text(w, "hint", v.decision.hint);
        mv__json_close(w, '}');
}

void cli_explain_steps_json(struct cli_request *q, const struct cli_steps *s, struct mv__jsonw *w)
{
        mv__json_open(w, "steps", '[');
        for (uint32_t i = 1; i < s->plan->profiles_count; i++)
                put_step(w, s, &s->plan->profiles[i]);
        mv__json_close(w, ']');
        mv__json_open(w, "calls", '[');
        for (uint32_t i = 0; i < s->plan->calls_count; i++)
                put_call(w, q, s->plan, &s->plan->calls[i]);
        mv__json_close(w, ']');
}

/* --- for people ------------------------------------------------------------------------------- */
static void print_text(const char *s)
{
        cli_write(stdout, mv_slice_str(s));
}

static void print_set(const char *what, const struct mv_profile_set *s)
{
        if (!s->any && !s->list.count)
                return;
        printf("        %s ", what);
        if (s->any)
                fputs("what the context allows", stdout);
        for (uint32_t i = 0; !s->any && i < s->list.count; i++) {
                fputs(i ? ", " : "", stdout);
                print_text(s->list.items[i]);
        }
        fputc('\n', stdout);
}

static void print_step(const struct cli_steps *s, const struct mv_profile *p)
{
        char limits[96];
        bool own_cell;
        const struct mv_provider_ops *wall = wall_of(s, p, &own_cell);
        mv_profile_limits_text(p, limits, sizeof limits);
        cli_paint(stdout, CLI_BOLD, "step   ");
        printf(" %u:%u ", p->line, p->column);
        cli_write(stdout, p->name);
        printf(": %s%s, %s\n", mv_step_isolation_name(p->isolation),
               p->deterministic || p->demand.deterministic ? ", deterministic" : "", limits);
        if (p->wanted) {
                char *demand = mv_value_readable(p->wanted, NULL);
                fputs("        demands ", stdout);
                print_text(demand ? demand : "");
                fputc('\n', stdout);
                free(demand);
        }
        if (own_cell)
                printf("        runs in a cell of its own, behind the %s wall (tier %s)\n",
                       wall->name, mv_tier_name(wall->tier));
        print_set("calls", &p->capabilities);
        if (p->network) {
                print_set("hosts", &p->hosts);
                print_set("methods", &p->methods);
        }
        if (p->files) {
                print_set("reads", &p->reads);
                print_set("writes", &p->writes);
        }
}

static void print_call(struct cli_request *q, const struct mv__plan *p,
                       const struct mv__plan_call *c)
{
        const struct mv_profile *step = step_of(p, c);
        struct mv_slice id = id_of(c);
        struct mv__verdict v;
        mv__plan_decide(q->host, p, q->context, c, &v);
        enum cli_colour colour = v.state == MV__CALL_ALLOWED   ? CLI_GREEN
                                 : v.state == MV__CALL_DEPENDS ? CLI_YELLOW
                                                               : CLI_RED;
        cli_paint(stdout, colour, "%-7s", states[v.state]);
        printf(" %lld:%lld ", (long long)number_at(c->site, 2), (long long)number_at(c->site, 3));
        cli_write(stdout, id.len ? id : MV_SLICE("an id that is computed at run time"));
        if (step) {
                fputs(" in ", stdout);
                print_text(step->label);
        }
        const char *why = v.state == MV__CALL_UNKNOWN   ? "there is no such capability"
                          : v.state == MV__CALL_DEPENDS ? "on what the program computes"
                          : v.decision.context[0]       ? v.decision.context
                                                        : v.decision.rule;
        fputs(": ", stdout);
        print_text(why);
        if (v.state == MV__CALL_DENIED && v.decision.rule[0]) {
                fputs(" (", stdout);
                print_text(v.decision.rule);
                fputc(')', stdout);
        }
        fputc('\n', stdout);
        if (v.decision.hint[0]) {
                fputs("        hint: ", stdout);
                print_text(v.decision.hint);
                fputc('\n', stdout);
        }
}

void cli_explain_steps_text(struct cli_request *q, const struct cli_steps *s)
{
        for (uint32_t i = 1; i < s->plan->profiles_count; i++)
                print_step(s, &s->plan->profiles[i]);
        for (uint32_t i = 0; i < s->plan->calls_count; i++)
                print_call(q, s->plan, &s->plan->calls[i]);
}
