/* SPDX-License-Identifier: Apache-2.0 */
#include <cli/cli.h>

int cmd_eval(int argc, char **argv)
{
        struct cli_options o;
        struct cli_request q;
        int r = cli_options(argc, argv, CLI_RUNNING | CLI_JSON, &o);
        if (r == 0)
                r = cli_operands(&o, 1, 1, "one expression: microvm eval '(+ 1 2)'");
        if (r == 0)
                r = cli_request(&o, &q);
        if (r)
                return r;
        q.x.program = mv_program_source(o.operands.items[0]);
        return cli_execute(&q, &o, NULL);
}
