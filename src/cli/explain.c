/* SPDX-License-Identifier: Apache-2.0 */
/* --explain and `explain`: the decision about the program, about each call it contains, and every
 * capability it could call with these grants. Nothing runs but macros; what a call's arguments
 * decide is told as far as they are constants. */
#include <cli/explain.h>
#include <cli/policy.h>
#include <host/host.h>
#include <host/jsonw.h>

static void put_origin(struct mv__jsonw *w, const struct cli_policy *p, const char *rule)
{
        const struct mv_origin *o = p ? cli_policy_origin(p, rule) : NULL;
        if (!o)
                return;
        mv__json_open(w, "source", '{');
        mv__json_str(w, "file", o->file);
        mv__json_str(w, "field_path", o->path);
        mv__json_uint(w, "line", o->line);
        mv__json_uint(w, "column", o->column);
        mv__json_close(w, '}');
}

static void put_json(struct mv__jsonw *w, const struct cli_policy *p, const char *key,
                     const char *subject, const struct mv_explanation *e)
{
        mv__json_open(w, key, '{');
        if (subject)
                mv__json_str(w, "capability", subject);
        mv__json_bool(w, "allowed", e->allowed);
        mv__json_str(w, "rule", e->rule);
        mv__json_str(w, "text", e->text);
        mv__json_text(w, "hint", e->hint);
        mv__json_open(w, "permissions", '[');
        for (uint32_t i = 0; i < e->permissions_count; i++)
                mv__json_str(w, NULL, e->permissions[i]);
        mv__json_close(w, ']');
        put_origin(w, p, e->rule);
        mv__json_close(w, '}');
}

static void put_text(const struct cli_policy *p, const char *subject,
                     const struct mv_explanation *e)
{
        const struct mv_origin *o = p ? cli_policy_origin(p, e->rule) : NULL;
        cli_paint(stdout, e->allowed ? CLI_GREEN : CLI_RED, "%-7s",
                  e->allowed ? "allowed" : "denied");
        printf(" %s: %s\n", subject, e->text);
        if (!e->allowed && e->hint[0])
                printf("        hint: %s\n", e->hint);
        bool by_grants = strcmp(e->rule, "arguments") != 0 && strcmp(e->rule, "contract") != 0;
        if (!e->allowed && !o && p && by_grants)
                printf("        note: %s does not grant it, and options only narrow: grant it "
                       "there\n",
                       cli_policy_name(p));
        if (o)
                printf("        by %s:%u:%u %s\n", o->file, o->line, o->column, o->path);
}

struct explained {
        struct mv_explanation program;
        struct mv_explanation call; /* `microvm call`: the call itself, with its arguments */
        bool has_call;
        struct cli_steps steps; /* of an RTFS program */
};

static int decide(struct cli_request *q, const char *call_id, struct explained *ret,
                  struct mv_err *err)
{
        int r = mv_explain(q->host, &q->x, &ret->program, err);
        ret->has_call = call_id != NULL;
        if (r == 0 && call_id)
                r = mv_explain_call(q->host, q->context, call_id, q->x.args, &ret->call, err);
        bool rtfs = q->x.program.kind == MV_PROGRAM_SOURCE || q->x.program.kind == MV_PROGRAM_AST ||
                    q->x.program.kind == MV_PROGRAM_BYTECODE;
        if (r == 0 && rtfs && ret->program.allowed)
                r = cli_explain_plan(q, &ret->steps, err);
        return r;
}

/* Of one capability, whatever its arguments are: granted, or held back by a rule. */
static void print_granted(struct cli_request *q, const struct mv_capability *c,
                          const struct mv_explanation *e)
{
        const struct mv_origin *o = q->policy ? cli_policy_origin(q->policy, e->rule) : NULL;
        if (e->allowed)
                printf("        may call %s %s: %s", c->id, c->arguments ? c->arguments : "()",
                       c->summary);
        else
                printf("        %s holds %s back", e->rule, c->id);
        if (o)
                printf(" (%s:%u:%u)", o->file, o->line, o->column);
        putchar('\n');
}

static void each_granted(struct cli_request *q, struct mv__jsonw *w)
{
        for (uint32_t i = 0; i < mv_capability_count(q->host->table); i++) {
                const struct mv_capability *c = mv_capability_at(q->host->table, i);
                struct mv_explanation e;
                struct mv_err err;
                if (!mv_context_allows(q->context, c->id) ||
                    mv_explain_call(q->host, q->context, c->id, NULL, &e, &err) < 0)
                        continue;
                if (!w)
                        print_granted(q, c, &e);
                else if (e.allowed)
                        mv__json_str(w, NULL, c->id);
        }
}

static int print_json(struct cli_request *q, const struct explained *e, const char *call_id)
{
        struct mv__jsonw w;
        mv__json_begin(&w);
        mv__json_open(&w, NULL, '{');
        mv__json_bool(&w, "allowed", e->program.allowed && (!e->has_call || e->call.allowed));
        put_json(&w, q->policy, "program", NULL, &e->program);
        if (e->has_call)
                put_json(&w, q->policy, "call", call_id, &e->call);
        if (e->steps.plan)
                cli_explain_steps_json(q, &e->steps, &w);
        mv__json_open(&w, "granted", '[');
        each_granted(q, &w);
        mv__json_close(&w, ']');
        mv__json_close(&w, '}');
        return cli_json_line(mv__json_end(&w));
}

static void print_people(struct cli_request *q, const struct explained *e)
{
        put_text(q->policy, "program", &e->program);
        if (e->has_call) {
                put_text(q->policy, "call", &e->call);
                return;
        }
        if (e->steps.plan)
                cli_explain_steps_text(q, &e->steps);
        each_granted(q, NULL);
}

/* A program that does not compile: explain says so as run would. */
static int compile_error(const struct explained *e, const struct cli_options *o,
                         const struct mv_program *p)
{
        return cli_result(e->steps.plan->report, o, p);
}

int cli_explain(struct cli_request *q, const struct cli_options *o, const char *call_id)
{
        struct explained e = { 0 };
        struct mv_err err;
        int code = CLI_DONE;
        if (decide(q, call_id, &e, &err) < 0)
                return cli_error(&err, o->json);
        bool allowed = e.program.allowed && (!e.has_call || e.call.allowed) &&
                       (!o->explain_calls || !e.steps.denied);
        if (o->explain_calls && e.steps.plan && !e.steps.plan->known)
                code = compile_error(&e, o, &q->x.program);
        else if (o->json)
                code = print_json(q, &e, call_id);
        else
                print_people(q, &e);
        mv__plan_free(e.steps.plan);
        return code ? code : allowed ? CLI_DONE : CLI_DENIED;
}
