/* SPDX-License-Identifier: Apache-2.0 */
/* microvm repl: read, evaluate, print, in one cell. A session of the library (microvm/session.h) with a line in front.
 *
 * (1) Every input is an execution of its own, with the grants of that moment; :allow adds to them.
 * (2) SIGINT stops the evaluation, or ends the line that is being typed; never the session.
 * (3) When the cell had to be killed, that the definitions are gone is said before the next input is read.
 * (4) From a pipe only values, and what programs print, go to standard output; the exit code is that of the last input
 *     that failed. */
#include <base/err.h>
#include <base/slice.h>
#include <cli/policy.h>
#include <cli/repl.h>
#include <host/host.h>
#include <stdlib.h>
#include <string.h>

volatile sig_atomic_t repl_interrupted;
static volatile sig_atomic_t reload_wanted;

struct repl {
        const struct cli_options *o;
        struct cli_request q;
        struct mv_session *session;
        struct repl_input *in;
        struct repl_words *words;
        char *history;
        int code; /* (4) */
        bool over;
};

static void on_interrupt(int sig)
{
        (void)sig;
        repl_interrupted = 1;
}

static void on_hangup(int sig)
{
        (void)sig;
        reload_wanted = 1;
}

/* --- the session ------------------------------------------------------------------------------ */
static int open_session(struct repl *r)
{
        struct mv_err err;
        const struct mv_execution *x = &r->q.x;
        struct mv_session_options o = { .context = r->q.context,
                                        .provider = x->provider,
                                        .tier_min = x->tier_min,
                                        .memory_bytes_max = x->limits.memory_bytes_max,
                                        .args = x->args,
                                        .prelude = x->prelude };
        return mv_session_open(r->q.host, &o, &r->session, &err) < 0 ? cli_error(&err, false) : 0;
}

static struct mv_result *evaluate(struct repl *r, const char *text, int *ret_code)
{
        struct mv_result *result = NULL;
        struct mv_err err;
        struct mv_evaluation v = { .program = mv_program_source(text),
                                   .context = r->q.context,
                                   .behalf = r->q.x.behalf,
                                   .limits = r->q.x.limits,
                                   .cancel = &repl_interrupted };
        v.limits.memory_bytes_max = 0; /* the cell's */
        if (mv_session_eval(r->session, &v, &result, &err) < 0)
                *ret_code = cli_error(&err, false);
        return result;
}

static void say_if_lost(const struct repl *r)
{
        if (mv_session_lost(r->session)) /* (3) */
                cli_paint(stderr, CLI_YELLOW,
                          "the cell was killed: the session starts anew, and its definitions are "
                          "lost\n");
}

/* --- commands --------------------------------------------------------------------------------- */
static const char help[] =
        ":doc NAME            what a name of the language does\n"
        ":type FORM           evaluate, and print the type of the value\n"
        ":allow ID            grant a capability id, or a prefix like ccos.math.*, from now on\n"
        ":allow-read PATH  :allow-write PATH  :allow-net HOST[:PORT]  :env NAME[=VALUE]\n"
        ":reset               start anew: a fresh cell, without definitions\n"
        ":reload              read the files of --policy and --agent again, as SIGHUP does\n"
        ":help  :quit         (or the end of the input)\n"
        "An input goes on over several lines while a bracket or a string is open. Ctrl-C stops the "
        "evaluation.\n";

static int command_help(struct repl *r, const char *argument)
{
        (void)r;
        (void)argument;
        fputs(help, stdout);
        return CLI_DONE;
}

static int command_quit(struct repl *r, const char *argument)
{
        (void)argument;
        r->over = true;
        return CLI_DONE;
}

static int command_reset(struct repl *r, const char *argument)
{
        (void)argument;
        r->session = mv_session_close(r->session);
        return open_session(r);
}

/* A cell that is weaker or larger than the files now say is not used again. */
static bool session_fits(const struct repl *r, uint64_t memory_before)
{
        struct mv_limits now = mv_limits_min(r->q.context->limits, r->q.x.limits);
        bool smaller =
                now.memory_bytes_max && (!memory_before || now.memory_bytes_max < memory_before);
        return !smaller && mv_session_tier(r->session) >= r->q.x.tier_min;
}

static int command_reload(struct repl *r, const char *argument)
{
        struct mv_err err;
        (void)argument;
        reload_wanted = 0;
        if (!r->q.policy) {
                (void)mv_fail(&err, MV_E_INVALID, 0,
                              "there is no file to read again: start with --policy or --agent");
                return cli_error(&err, false);
        }
        uint64_t memory = mv_limits_min(r->q.context->limits, r->q.x.limits).memory_bytes_max;
        if (cli_policy_reload(r->o, &r->q, &err) < 0) {
                fputs("not reloaded, the old settings stay in force: ", stderr);
                return cli_error(&err, false);
        }
        fputs("reloaded\n", stderr);
        if (session_fits(r, memory))
                return CLI_DONE;
        fputs("the cell does not fit them: the session starts anew, without definitions\n", stderr);
        return command_reset(r, NULL);
}

static int command_type(struct repl *r, const char *argument)
{
        int code = CLI_DONE;
        struct mv_result *result = evaluate(r, argument, &code);
        if (result && mv_result_ok(result))
                puts(mv_kind_name(mv_result_value(result)->kind));
        else if (result)
                code = cli_result(result, r->o,
                                  &(struct mv_program){ .kind = MV_PROGRAM_SOURCE,
                                                        .name = "input",
                                                        .bytes = mv_slice_str(argument) });
        mv_result_free(result);
        say_if_lost(r);
        return code;
}

static int doc_capability(const struct repl *r, const char *id)
{
        const struct mv_capability *c = mv_capability_find(r->q.host->table, mv_slice_str(id));
        char effects[64];
        if (!c) {
                fputs("nothing is known about ", stderr);
                cli_write(stderr, mv_slice_str(id));
                fputs(": it is no name of the language and no capability\n", stderr);
                return CLI_FAILED;
        }
        cli_effects_text(c, effects, sizeof effects);
        printf("%s: capability, %s %s\n%s\n", c->id, effects, c->arguments ? c->arguments : "()",
               c->summary);
        return CLI_DONE;
}

static void doc_part(const char *what, const char *text)
{
        if (text && text[0] && strcmp(text, "none") != 0)
                printf("  %s: %s\n", what, text);
}

static int command_doc(struct repl *r, const char *argument)
{
        struct mv_language_name n;
        if (!mv_language_name_find(argument, &n))
                return doc_capability(r, argument);
        printf("%s: %s", n.name, n.special ? "special form" : n.prelude ? "prelude" : "function");
        printf(n.special ? "  %s\n" : "  arguments: %s\n", n.syntax[0] ? n.syntax : "none");
        printf("%s\n", n.doc);
        doc_part("result", n.result);
        doc_part("errors", n.errors);
        if (n.example)
                printf("  %s  =>  %s\n", n.example, n.gives);
        return CLI_DONE;
}

static const struct command {
        const char *name;
        int (*run)(struct repl *r, const char *argument); /* NULL: a grant of that name */
        bool needs;                                       /* an argument */
} commands[] = {
        { ":doc", command_doc, true },
        { ":type", command_type, true },
        { ":allow", NULL, true },
        { ":allow-read", NULL, true },
        { ":allow-write", NULL, true },
        { ":allow-net", NULL, true },
        { ":env", NULL, true },
        { ":reset", command_reset, false },
        { ":reload", command_reload, false },
        { ":help", command_help, false },
        { ":quit", command_quit, false },
};
#define COMMANDS (sizeof commands / sizeof commands[0])

static int grant(struct repl *r, const char *what, const char *text)
{
        struct mv_err err;
        if (r->o->level == MV_LEVEL_FULL)
                (void)mv_fail(&err, MV_E_INVALID, 0, "level full grants everything already");
        else if (r->q.policy && cli_policy_covers(r->q.policy, what, text, &err) < 0)
                return cli_error(&err, false);
        else if (cli_grant(r->q.context, what, text, &err) == 0)
                return CLI_DONE;
        return cli_error(&err, false);
}

static int run_command(struct repl *r, char *line)
{
        char *name = line + strspn(line, " \t"), *end = name + strcspn(name, " \t\r\n");
        char *argument = end + strspn(end, " \t\r\n");
        size_t n = strlen(argument);
        while (n && strchr(" \t\r\n", argument[n - 1]))
                argument[--n] = 0;
        *end = 0;
        for (size_t i = 0; i < COMMANDS; i++) {
                if (strcmp(commands[i].name, name) != 0)
                        continue;
                if (commands[i].needs != (n > 0)) {
                        fprintf(stderr, "%s %s; :help lists the commands\n", name,
                                commands[i].needs ? "needs an argument" : "takes no argument");
                        return CLI_USAGE;
                }
                return commands[i].run ? commands[i].run(r, argument)
                                       : grant(r, name + 1, argument);
        }
        fputs("no command ", stderr);
        cli_write(stderr, mv_slice_str(name));
        fputs("; :help lists them\n", stderr);
        return CLI_USAGE;
}

/* --- the loop --------------------------------------------------------------------------------- */
/* A keyword alone is a program, but whoever types one in front of a line means a command. */
static bool is_command(const char *text)
{
        return text[strspn(text, " \t")] == ':';
}

static int run_forms(struct repl *r, const char *text)
{
        int code = CLI_DONE;
        struct mv_result *result = evaluate(r, text, &code);
        if (result) {
                struct mv_program p = { .kind = MV_PROGRAM_SOURCE,
                                        .bytes = mv_slice_str(text),
                                        .name = "input" };
                code = cli_result(result, r->o, &p);
                repl_words_add_defined(r->words, text);
        }
        mv_result_free(result);
        say_if_lost(r);
        return code;
}

static void loop(struct repl *r)
{
        const char *text;
        while (!r->over) {
                repl_interrupted = 0; /* one behind the line is for what the line says */
                enum repl_got got = repl_read(r->in, &text);
                if (got == REPL_END)
                        break;
                if (got == REPL_INTERRUPT) {
                        putchar('\n');
                        continue;
                }
                /* before the next input, never in the middle of one */
                if (reload_wanted && command_reload(r, NULL) != CLI_DONE)
                        r->code = CLI_FAILED;
                if (!r->session)
                        break;
                char *line = is_command(text) ? strdup(text) : NULL;
                int code = line ? run_command(r, line) : run_forms(r, text);
                free(line);
                fflush(stdout);
                if (code != CLI_DONE)
                        r->code = code;
        }
        if (repl_input_is_terminal(r->in) && !r->over)
                putchar('\n');
}

static bool fill_words(struct repl *r)
{
        struct mv_language_name n;
        bool ok = true;
        for (uint32_t i = 0; ok && mv_language_name_at(i, &n); i++)
                ok = repl_words_add(r->words, n.name, strlen(n.name));
        for (uint32_t i = 0; ok && i < mv_capability_count(r->q.host->table); i++) {
                const char *id = mv_capability_at(r->q.host->table, i)->id;
                ok = repl_words_add(r->words, id, strlen(id));
        }
        for (size_t i = 0; ok && i < COMMANDS; i++)
                ok = repl_words_add(r->words, commands[i].name, strlen(commands[i].name));
        return ok;
}

static int start(struct repl *r)
{
        struct mv_err ignored;
        r->words = repl_words_new();
        /* without a place for it, none is kept */
        r->history = cli_state_file("repl_history", &ignored);
        r->in = r->words && fill_words(r) ? repl_input_new(r->words, r->history) : NULL;
        if (!r->in) {
                (void)mv_fail(&ignored, MV_E_NOMEM, 0, "repl");
                return cli_error(&ignored, false);
        }
        return open_session(r);
}

static void stop(struct repl *r)
{
        mv_session_close(r->session);
        repl_input_free(r->in);
        repl_words_free(r->words);
        free(r->history);
}

/* (2): without SA_RESTART, so that a read ends. */
static void catch_interrupts(const struct repl *r)
{
        struct sigaction a = { .sa_handler = on_interrupt };
        struct sigaction hangup = { .sa_handler = on_hangup, .sa_flags = SA_RESTART };
        sigemptyset(&a.sa_mask);
        sigemptyset(&hangup.sa_mask);
        sigaction(SIGINT, &a, NULL);
        if (r->q.policy) /* without files a hangup means what it always does */
                sigaction(SIGHUP, &hangup, NULL);
}

int cmd_repl(int argc, char **argv)
{
        struct cli_options o;
        struct repl r = { .o = &o };
        int code = cli_options(argc, argv, CLI_RUNNING, &o);
        if (code == 0)
                code = cli_operands(&o, 0, 0, "no operand");
        if (code == 0 && o.explain)
                code = cli_usage("repl: --explain decides about one program; `microvm run FILE "
                                 "--explain` does");
        if (code == 0)
                code = cli_request(&o, &r.q);
        if (code)
                return code;
        catch_interrupts(&r);
        struct mv_err err;
        if (r.q.policy && cli_agent_admit(&o, r.q.policy, r.q.host, &r.q.x, &err) < 0) {
                code = cli_error(&err, false);
                cli_request_done(&r.q);
                return code;
        }
        code = start(&r);
        if (code == 0) {
                if (repl_input_is_terminal(r.in))
                        printf("provider %s (tier %s), level %s; :help lists the commands\n",
                               mv_session_provider(r.session),
                               mv_tier_name(mv_session_tier(r.session)),
                               mv_level_name(mv_context_level(r.q.context)));
                loop(&r);
                code = repl_input_is_terminal(r.in) ? CLI_DONE : r.code;
        }
        stop(&r);
        cli_request_done(&r.q);
        return code;
}
