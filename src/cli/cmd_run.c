/* SPDX-License-Identifier: Apache-2.0 */
#include <cli/cli.h>
#include <string.h>

static int run_file(int argc, char **argv, bool explain_calls)
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
        o.explain |= explain_calls;
        o.explain_calls = explain_calls;
        r = cli_request(&o, &q);
        if (r == 0) {
                q.x.program = program;
                if (program.kind == MV_PROGRAM_SCRIPT && strcmp(o.operands.items[0], "-") != 0)
                        cli_input(&q);
                r = cli_execute(&q, &o, NULL);
        }
        cli_program_done(&program);
        return r;
}

int cmd_run(int argc, char **argv)
{
        return run_file(argc, argv, false);
}

/* What `run FILE --explain` prints, with an exit code that speaks of the program's calls as well. */
int cmd_explain(int argc, char **argv)
{
        return run_file(argc, argv, true);
}
