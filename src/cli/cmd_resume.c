/* SPDX-License-Identifier: Apache-2.0 */
/* microvm resume EXECUTION: an execution that was interrupted goes on. It takes the grants of `run`: what the program may do
 * comes from whoever resumes it, and must be what it was. */
#include <base/err.h>
#include <base/slice.h>
#include <cli/cli.h>
#include <stdlib.h>

/* CALL=repeat, CALL=done, CALL=fail */
static int decision(const char *text, struct mv_resumption *x)
{
        static const struct {
                const char *word;
                enum mv_in_doubt what;
        } words[] = { { "=repeat", MV_IN_DOUBT_REPEAT },
                      { "=done", MV_IN_DOUBT_DONE },
                      { "=fail", MV_IN_DOUBT_FAIL } };
        char *end = NULL;
        x->in_doubt_call = text[0] >= '1' && text[0] <= '9' ? strtoull(text, &end, 10) : 0;
        for (size_t i = 0; end && i < sizeof words / sizeof words[0]; i++)
                if (strcmp(end, words[i].word) == 0) {
                        x->in_doubt = words[i].what;
                        return 0;
                }
        return cli_usage(
                "--in-doubt '%s': needs the call's number and repeat, done or fail: 7=done", text);
}

/* The options of run that say what is run: an execution knows that itself. */
static int check(const struct cli_options *o)
{
        if (o->explain || o->output)
                return cli_usage("resume takes no %s", o->explain ? "--explain" : "--output");
        if (o->arg.count && (!o->in_doubt || !strstr(o->in_doubt, "=done")))
                return cli_usage("--arg is the reply of a call that is --in-doubt CALL=done; the "
                                 "program's own "
                                 "arguments are as recorded");
        if (o->arg.count > 1)
                return cli_usage("a call has one reply: --arg once");
        if (o->audit && strcmp(o->audit, "none") == 0)
                return cli_usage("--audit none has no executions");
        return 0;
}

static int resume(const struct cli_options *o, struct cli_request *q, struct mv_resumption *x)
{
        struct mv_result *result;
        struct mv_err err;
        static const struct mv_program recorded = { .kind = MV_PROGRAM_BYTECODE };
        x->context = q->context;
        x->provider = q->x.provider;
        x->tier_min = q->x.tier_min;
        x->limits.wall_ns_max = o->limits.wall_ns_max;
        x->limits.cpu_ns_max = o->limits.cpu_ns_max;
        x->reply = q->x.args && q->x.args->count ? &q->x.args->items[0] : NULL;
        if (mv_resume(q->host, x, &result, &err) < 0)
                return cli_error(&err, o->json);
        int code = cli_result(result, o, &recorded);
        mv_result_free(result);
        return code;
}

int cmd_resume(int argc, char **argv)
{
        struct cli_options o;
        struct cli_request q;
        struct mv_resumption x = { 0 };
        int r = cli_options(argc, argv, CLI_RUNNING | CLI_RESUME | CLI_JSON, &o);
        if (r == 0)
                r = cli_operands(&o, 1, 1,
                                 "one execution id: `microvm audit show FILE` lists them");
        if (r == 0)
                r = check(&o);
        if (r == 0 && o.in_doubt)
                r = decision(o.in_doubt, &x);
        if (r == 0)
                r = cli_request(&o, &q);
        if (r)
                return r;
        x.execution_id = o.operands.items[0];
        x.checkpoint = o.checkpoint;
        r = resume(&o, &q, &x);
        cli_request_done(&q);
        return r;
}
