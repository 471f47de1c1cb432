/* SPDX-License-Identifier: Apache-2.0 */
#include <cli/cli.h>

int cmd_schema(int argc, char **argv)
{
        struct cli_options o;
        struct mv_host *h;
        int r = cli_options(argc, argv, CLI_JSON, &o);
        if (r == 0)
                r = cli_operands(&o, 1, 1, "one provider; `microvm providers` lists them");
        if (r == 0)
                r = cli_host("none", &h);
        if (r)
                return r;
        const char *schema = mv_host_provider_schema(h, o.operands.items[0]);
        if (schema)
                puts(schema);
        else
                r = cli_usage("Provider '%s' not found; `microvm providers` lists them",
                              o.operands.items[0]);
        mv_host_free(h);
        return r;
}
