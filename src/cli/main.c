/* SPDX-License-Identifier: Apache-2.0 */
#include <cli/cli.h>
#include <string.h>

const struct cli_verb cli_verbs[] = {
        { "run", "FILE [options]", "run a program: .rtfs, or - for standard input", cmd_run },
        { "eval", "'EXPR' [options]", "evaluate RTFS text", cmd_eval },
        { "call", "CAPABILITY [ARG...] [options]", "call one capability; ARGs are RTFS literals",
          cmd_call },
        { "exec", "[options] -- PATH [ARG...]", "run an external program", cmd_exec },
        { "providers", "[--json]", "the walls: name, tier, available or why not, what they enforce",
          cmd_providers },
        { "doctor", "[--json]", "what this machine has and lacks, and what mends it", cmd_doctor },
        { "capabilities", "[--json]", "what a program can be granted", cmd_capabilities },
        { "schema", "PROVIDER", "a provider's configuration as JSON Schema", cmd_schema },
        { "bench", "[--json]", "measure the walls on this machine", cmd_bench },
        { "audit", "show|verify|replay FILE [options]", "read, check and re-run a record",
          cmd_audit },
        { "demo", "", "a tour on the mock provider", cmd_demo },
        { "version", "", "print the version", cmd_version },
        { "help", "[VERB]", "this list, or the options of a verb", cmd_help },
        { NULL, NULL, NULL, NULL },
};

int main(int argc, char **argv)
{
        if (argc < 2) {
                cmd_help(0, NULL);
                return CLI_USAGE;
        }
        const char *verb = argv[1];
        if (strcmp(verb, "--help") == 0 || strcmp(verb, "-h") == 0)
                verb = "help";
        if (strcmp(verb, "--version") == 0)
                verb = "version";
        for (const struct cli_verb *v = cli_verbs; v->name; v++)
                if (strcmp(v->name, verb) == 0)
                        return v->run(argc - 1, argv + 1);
        return cli_usage("unknown verb '%s'; `microvm help` lists them", verb);
}
