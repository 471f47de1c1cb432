/* SPDX-License-Identifier: Apache-2.0 */
/* microvm explain FILE: what `run FILE --explain` prints, with an exit code that speaks of the
 * program's calls as well. */
#include <cli/cli.h>

int cmd_explain(int argc, char **argv)
{
        struct cli_options o;
        struct cli_request q;
        struct mv_program program;
        struct mv_err err;
        int r = cli_options(argc, argv, CLI_RUNNING | CLI_JSON, &o);
        if (r == 0)
                r = cli_operands(&o, 1, 1, "one FILE, or - for standard input");
        if (r)
                return r;
        if (cli_program(o.operands.items[0], &program, &err) < 0)
                return cli_error(&err, o.json);
        o.explain = o.explain_calls = true;
        r = cli_request(&o, &q);
        if (r == 0) {
                q.x.program = program;
                r = cli_execute(&q, &o, NULL);
        }
        cli_program_done(&program);
        return r;
}
