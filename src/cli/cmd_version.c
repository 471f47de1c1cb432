/* SPDX-License-Identifier: Apache-2.0 */
#include <cli/cli.h>

int cmd_version(int argc, char **argv)
{
        struct cli_options o;
        int r = cli_options(argc, argv, CLI_JSON, &o);
        if (r == 0)
                r = cli_operands(&o, 0, 0, "no operand");
        if (r)
                return r;
        printf(o.json ? "{\"version\": \"%s\"}\n" : "microvm %s\n", MICROVM_VERSION);
        return CLI_DONE;
}
