/* SPDX-License-Identifier: Apache-2.0 */
/* `microvm call ID ARG...` is the program that makes this one call with the vector `args`,
 * behind the chosen wall. */
#include <cli/cli.h>
#include <string.h>

#define CALL_TEXT_MAX 512

static bool plain_id(const char *id)
{
        size_t n =
                strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/:");
        return n > 0 && id[n] == 0 && n < CALL_TEXT_MAX / 2;
}

/* The operands after the id are arguments, like --arg. */
static int move_arguments(struct cli_options *o)
{
        for (unsigned i = 1; i < o->operands.count; i++) {
                if (o->arg.count == CLI_LIST_MAX)
                        return cli_usage("more than %d arguments", CLI_LIST_MAX);
                o->arg.items[o->arg.count++] = o->operands.items[i];
        }
        return 0;
}

int cmd_call(int argc, char **argv)
{
        struct cli_options o;
        struct cli_request q;
        char text[CALL_TEXT_MAX];
        int r = cli_options(argc, argv, CLI_RUNNING | CLI_JSON, &o);
        if (r == 0)
                r = cli_operands(&o, 1, CLI_LIST_MAX,
                                 "a capability id: microvm call ccos.echo 42 --allow ccos.echo");
        if (r)
                return r;
        const char *id = o.operands.items[0] + (o.operands.items[0][0] == ':');
        if (!plain_id(id))
                return cli_usage("'%s' is not a capability id; `microvm capabilities` lists them",
                                 id);
        r = move_arguments(&o);
        if (r == 0)
                r = cli_request(&o, &q);
        if (r)
                return r;
        snprintf(text, sizeof text, "(apply call (cons \"%s\" args))", id);
        q.x.program = mv_program_source(text);
        return cli_execute(&q, &o, id);
}
