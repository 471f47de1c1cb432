/* SPDX-License-Identifier: Apache-2.0 */
#include <cli/cli.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

const struct cli_verb cli_verbs[] = {
        { "run", "FILE [options]",
          "run a program: .rtfs, .rtfsb (bytecode), .cbor (AST), .wasm, a script, or - for "
          "standard "
          "input",
          cmd_run },
        { "resume", "EXECUTION [options]",
          "go on with a run that was interrupted, from its records", cmd_resume },
        { "approvals", "list|show|approve|reject [ID] [options]",
          "calls that wait for somebody's word", cmd_approvals },
        { "eval", "'EXPR' [options]", "evaluate RTFS text", cmd_eval },
        { "call", "CAPABILITY [ARG...] [options]", "call one capability; ARGs are RTFS literals",
          cmd_call },
        { "compile", "FILE [-o OUT] [--ast] [options]",
          "compile a program to bytecode; run takes it", cmd_compile },
        { "inspect", "FILE [--json] [options]",
          "what a program can ask of the host, without running it", cmd_inspect },
        { "explain", "FILE [options]",
          "every step and call: allowed or denied, by which rule, and what would change it",
          cmd_explain },
        { "repl", "[options]", "a session: definitions stay from one input to the next", cmd_repl },
        { "exec", "[options] -- PATH [ARG...]", "run an external program", cmd_exec },
        { "providers", "[--json]", "the walls: name, tier, available or why not, what they enforce",
          cmd_providers },
        { "doctor", "[--json]", "what this machine has and lacks, and what mends it", cmd_doctor },
        { "capabilities", "[--json]", "what a program can be granted", cmd_capabilities },
        { "schema", "PROVIDER", "a provider's configuration as JSON Schema", cmd_schema },
        { "bench", "[--json]", "measure the walls on this machine", cmd_bench },
        { "audit", "list|show|verify|replay FILE [options]", "read, check and re-run a record",
          cmd_audit },
        { "config", "check|show|spec|schema [FILE] [options]",
          "check, print and translate an agent.config", cmd_config },
        { "demo", "", "a tour on the mock provider", cmd_demo },
        { "version", "", "print the version", cmd_version },
        { "help", "[VERB]", "this list, or the options of a verb", cmd_help },
        { NULL, NULL, NULL, NULL },
};

/* A closed standard stream would be the number of the next file that is opened: results would be written into the audit
 * store. What stands in for it cannot be read, or written, either. */
static void occupy_standard_streams(void)
{
        for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
                if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
                        (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

static int run_verb(const char *verb, int argc, char **argv)
{
        for (const struct cli_verb *v = cli_verbs; v->name; v++)
                if (strcmp(v->name, verb) == 0)
                        return v->run(argc - 1, argv + 1);
        return cli_usage("unknown verb '%s'; `microvm help` lists them", verb);
}

/* A result nobody could read is no success. */
static int all_written(int code)
{
        bool failed = fflush(stdout) != 0;
        if (!failed && !ferror(stdout))
                return code;
        fprintf(stderr, "error: IoError: write to standard output: %s\n", strerror(errno));
        return code == CLI_DONE ? CLI_FAILED : code;
}

int main(int argc, char **argv)
{
        occupy_standard_streams();
        if (argc < 2) {
                cmd_help(0, NULL);
                return CLI_USAGE;
        }
        const char *verb = argv[1];
        if (strcmp(verb, "--help") == 0 || strcmp(verb, "-h") == 0)
                verb = "help";
        if (strcmp(verb, "--version") == 0)
                verb = "version";
        return all_written(run_verb(verb, argc, argv));
}
