/* SPDX-License-Identifier: Apache-2.0 */
/* --explain: the decision about the program, and about every capability it could call with these
 * grants. Nothing runs; what a call's own arguments decide (its path, host, variable) is decided
 * when it is made. */
#include <cli/cli.h>
#include <host/host.h>
#include <host/jsonw.h>

static void put_json(struct mv__jsonw *w, const char *key, const char *subject,
                     const struct mv_explanation *e)
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
        mv__json_close(w, '}');
}

static void put_text(const char *subject, const struct mv_explanation *e)
{
        cli_paint(stdout, e->allowed ? CLI_GREEN : CLI_RED, "%-7s",
                  e->allowed ? "allowed" : "denied");
        printf(" %s: %s\n", subject, e->text);
        if (!e->allowed && e->hint[0])
                printf("        hint: %s\n", e->hint);
}

struct explained {
        struct mv_explanation program;
        struct mv_explanation call; /* `microvm call`: the call itself, with its arguments */
        bool has_call;
};

static int decide(struct cli_request *q, const char *call_id, struct explained *ret,
                  struct mv_err *err)
{
        int r = mv_explain(q->host, &q->x, &ret->program, err);
        ret->has_call = call_id != NULL;
        if (r == 0 && call_id)
                r = mv_explain_call(q->host, q->context, call_id, q->x.args, &ret->call, err);
        return r;
}

static void each_granted(struct cli_request *q, struct mv__jsonw *w)
{
        for (uint32_t i = 0; i < mv_capability_count(q->host->table); i++) {
                const struct mv_capability *c = mv_capability_at(q->host->table, i);
                if (!mv_context_allows(q->context, c->id))
                        continue;
                if (w)
                        mv__json_str(w, NULL, c->id);
                else
                        printf("        may call %s %s: %s\n", c->id,
                               c->arguments ? c->arguments : "()", c->summary);
        }
}

static int print_json(struct cli_request *q, const struct explained *e, const char *call_id)
{
        struct mv__jsonw w;
        mv__json_begin(&w);
        mv__json_open(&w, NULL, '{');
        mv__json_bool(&w, "allowed", e->program.allowed && (!e->has_call || e->call.allowed));
        put_json(&w, "program", NULL, &e->program);
        if (e->has_call)
                put_json(&w, "call", call_id, &e->call);
        mv__json_open(&w, "granted", '[');
        each_granted(q, &w);
        mv__json_close(&w, ']');
        mv__json_close(&w, '}');
        return cli_json_line(mv__json_end(&w));
}

int cli_explain(struct cli_request *q, const struct cli_options *o, const char *call_id)
{
        struct explained e;
        struct mv_err err;
        if (decide(q, call_id, &e, &err) < 0)
                return cli_error(&err, o->json);
        bool allowed = e.program.allowed && (!e.has_call || e.call.allowed);
        if (o->json)
                return print_json(q, &e, call_id) ? CLI_BUG : allowed ? CLI_DONE : CLI_DENIED;
        put_text("program", &e.program);
        if (e.has_call)
                put_text("call", &e.call);
        else
                each_granted(q, NULL);
        return allowed ? CLI_DONE : CLI_DENIED;
}
