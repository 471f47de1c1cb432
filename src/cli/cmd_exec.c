/* SPDX-License-Identifier: Apache-2.0 */
#include <cli/cli.h>

int cmd_exec(int argc, char **argv)
{
        struct cli_options o;
        struct cli_request q;
        int r = cli_options(argc, argv, CLI_RUNNING | CLI_JSON, &o);
        if (r == 0)
                r = cli_operands(&o, 1, CLI_LIST_MAX,
                                 "a program: microvm exec --allow external_program -- /bin/ls -la");
        if (r == 0)
                r = cli_request(&o, &q);
        if (r)
                return r;
        const char *argv_after[CLI_LIST_MAX + 1] = { NULL };
        for (unsigned i = 1; i < o.operands.count; i++)
                argv_after[i - 1] = o.operands.items[i];
        q.x.program = (struct mv_program){ .kind = MV_PROGRAM_EXTERNAL,
                                           .path = o.operands.items[0],
                                           .argv = argv_after };
        cli_input(&q);
        return cli_execute(&q, &o, NULL);
}
