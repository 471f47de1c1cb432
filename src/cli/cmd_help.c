/* SPDX-License-Identifier: Apache-2.0 */
#include <cli/cli.h>
#include <string.h>

static const char running[] =
        "options:\n"
        "  --provider NAME        auto (default), mock, process, wasm, gvisor, kvm or "
        "firecracker;\n"
        "                         auto takes the strongest one, gvisor only if nothing else will "
        "do;\n"
        "                         or what is needed: development, light, portable, container or "
        "high-security\n"
        "  --min-tier TIER        none, landlock, process, wasm, container or vm: never run below "
        "this\n"
        "  --level LEVEL          pure, controlled (default) or full\n"
        "  --allow ID             grant a capability id, or a prefix: ccos.math.*      "
        "(repeatable)\n"
        "  --allow-read PATH      --allow-write PATH   grant a file or a tree          "
        "(repeatable)\n"
        "  --allow-net HOST[:PORT]  --deny-net HOST    hosts for ccos.network.*        "
        "(repeatable)\n"
        "                         and for programs and scripts, which find a proxy in http_proxy\n"
        "  --deny-effect NAME     filesystem, network, system, ...: refuse every call with it, "
        "whatever "
        "grants it (repeatable)\n"
        "  --env NAME[=VALUE]     a variable for ccos.system.get-env                   "
        "(repeatable)\n"
        "  --timeout D            wall time: 250ms, 30s, 5m (level controlled: 5 s, at most 60 s)\n"
        "  --memory S             64K, 512M, 2G (level controlled: 64 MiB, at most 512 MiB)\n"
        "  --cpu N                seconds of CPU time\n"
        "  --fuel N               evaluation steps\n"
        "  --seed TEXT            random numbers come from this: the same in every run\n"
        "  --max-output S         captured output and the encoded result\n"
        "  --output DIR           take what a program leaves in /workspace/output\n"
        "  --arg VALUE            an RTFS literal for the vector `args`                "
        "(repeatable)\n"
        "  --policy FILE          settings file (TOML): the other options may only narrow what it "
        "gives\n"
        "  --agent FILE           agent.config: what the program may do; the other options may "
        "only "
        "narrow it\n"
        "                         (default: AGENT_CONFIG_PATH; none: no agent)\n"
        "  --environment NAME     of the settings file (default: MICROVM_ENVIRONMENT)\n"
        "  --audit FILE           append the records here; none: keep none (default: the user's "
        "state directory)\n"
        "  --explain              decide and print, run nothing\n"
        "  --json                 one JSON object on stdout\n";

static const char resuming[] =
        "EXECUTION never ended: its process was killed, or it waits. The program runs again behind "
        "the wall; calls that\n"
        "have their result on record are answered from there, and behind the last one it goes on.\n"
        "options: --audit FILE, and the level, grants and limits of the run, the same again; "
        "besides\n"
        "  --in-doubt CALL=done|repeat|fail   what to do about the call that was begun and has no "
        "result, when it may\n"
        "                         not simply be repeated: it happened; carry it out; tell the "
        "program it failed\n"
        "  --checkpoint CP        go on from this state only: what `audit list` shows for it\n"
        "  --arg VALUE            with CALL=done: the call's reply, an RTFS literal (default: "
        "nil)\n";

static const char approving[] =
        "approvals list [--json]           what rules of the constitution and spent budgets "
        "stopped, "
        "and how it stands\n"
        "approvals show ID [--json]\n"
        "approvals approve ID [--as NAME]  then `microvm resume EXECUTION`\n"
        "approvals approve ID --extend AMOUNT   of a budget: by so much (default: as `list` says)\n"
        "approvals reject ID [--as NAME]   one rejection rejects; a vote stands\n"
        "options:\n"
        "  --audit FILE           the store whose key signs requests and votes (default: the "
        "user's)\n"
        "  --as NAME              the approver, beside the uid (default: the user's name); whoever "
        "reads the key can\n"
        "                         use any\n";

static const char repl[] =
        "One session in one cell: what is defined stays. Every input is an execution of its own.\n"
        "On a terminal: lines are edited, Tab completes names, the history is kept; from a pipe: "
        "values only.\n"
        ":help lists the commands; Ctrl-C stops the evaluation, not the session.\n"
        "options: those of `microvm help run`, without --json and --explain\n";

static const char compiling[] =
        "options:\n"
        "  -o FILE                where the program goes (default: the same name, .rtfsb or "
        ".cbor)\n"
        "  --ast                  a tree of forms instead of bytecode\n"
        "  --provider --min-tier --level --timeout --memory --cpu --fuel --max-output --audit\n"
        "                         as for run: the compiler works behind the wall\n"
        "  --json                 one JSON object on stdout\n";

static const char explaining[] =
        "FILE is source, bytecode or a tree of forms. Nothing of it runs but its macros.\n"
        "Printed: the decision about the program; each step with its profile; each call: allowed, "
        "denied,\n"
        "depends (on what the program computes), fails (wrong arguments) or unknown, the rule, and "
        "the smallest\n"
        "grant that would change it. A step that runs in a cell of its own says behind which "
        "wall.\n"
        "run FILE --explain prints the same, and exits by the program "
        "alone.\n"
        "exit code: 3 when the program, or a call of it, would be denied\n"
        "options: those of `microvm help run`: grants, policy, provider, limits\n"
        "  --json                 one JSON object on stdout: program, steps, calls, granted\n";

static const char inspecting[] =
        "FILE is source, bytecode or a tree of forms. Nothing of it runs but its macros.\n"
        "Listed: every capability id with its effects, permissions and places; calls whose id is "
        "computed at\n"
        "run time, with their places; effects declared in metadata; the grants the program would "
        "want.\n"
        "options:\n"
        "  --provider --min-tier --level --timeout --memory --cpu --fuel --max-output --audit   as "
        "for run\n"
        "  --json                 one JSON object on stdout\n";

static const char audit[] =
        "audit list [FILE] [--execution ID] [--denied] [--json]\n"
        "                                  the executions: ended, waiting, unfinished or denied, "
        "and "
        "the checkpoint of each;\n"
        "                                  FILE defaults to the user's store\n"
        "audit show FILE [--execution ID] [--denied] [--json]\n"
        "audit verify FILE [--json]        chain, roots and seals; names the first bad record\n"
        "audit replay FILE --execution ID [--provider NAME] [--json]\n"
        "                                  run it again from the record alone: same root, or exit "
        "1\n";

static const char config[] =
        "config check FILE [--strict] [--json]     0 valid, 1 errors; FILE defaults to "
        "AGENT_CONFIG_PATH\n"
        "config check --policy FILE [--environment NAME]   a settings file\n"
        "config show FILE [--format rtfs|toml|json]  with defaults filled in\n"
        "config spec FILE [--vmm firecracker|cloud-hypervisor] [--kernel FILE] [--rootfs FILE]\n"
        "config schema [agent|settings|contract] [--format json|markdown|man]\n";

static const char codes[] = "exit codes: 0 done, 1 failed, 2 usage, 3 denied, 4 a limit ended it, "
                            "5 provider or isolation not available, 70 our bug\n";

static void print_all(void)
{
        puts("microvm: run untrusted programs behind a wall, with only what you grant them\n");
        for (const struct cli_verb *v = cli_verbs; v->name; v++)
                printf("  %-13s %s\n", v->name, v->summary);
        puts("\n`microvm help VERB` shows a verb's options.");
        fputs(codes, stdout);
}

static const char *details(const char *verb)
{
        static const char *const with_options[] = { "run", "eval", "call", "exec" };
        for (size_t i = 0; i < sizeof with_options / sizeof with_options[0]; i++)
                if (strcmp(verb, with_options[i]) == 0)
                        return running;
        if (strcmp(verb, "explain") == 0)
                return explaining;
        if (strcmp(verb, "config") == 0)
                return config;
        if (strcmp(verb, "approvals") == 0)
                return approving;
        if (strcmp(verb, "resume") == 0)
                return resuming;
        if (strcmp(verb, "repl") == 0)
                return repl;
        if (strcmp(verb, "compile") == 0)
                return compiling;
        if (strcmp(verb, "inspect") == 0)
                return inspecting;
        return strcmp(verb, "audit") == 0 ? audit : "";
}

int cmd_help(int argc, char **argv)
{
        if (argc < 2) {
                print_all();
                return CLI_DONE;
        }
        for (const struct cli_verb *v = cli_verbs; v->name; v++) {
                if (strcmp(v->name, argv[1]) != 0)
                        continue;
                printf("microvm %s %s\n  %s\n\n%s%s", v->name, v->arguments, v->summary,
                       details(v->name), codes);
                return CLI_DONE;
        }
        return cli_usage("no verb '%s'; `microvm help` lists them", argv[1]);
}
