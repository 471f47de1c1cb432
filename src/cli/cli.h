/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_CLI_H
#define MV_CLI_H
/* The `microvm` command: one cmd_<verb>.c per verb, everything shared is declared here. Verbs
 * hold no logic of the library: they read options, call it, and print. */
#include <microvm/microvm.h>
#include <stdio.h>

/* The exit codes that scripts may rely on. */
enum cli_exit {
        CLI_DONE = 0,
        CLI_FAILED = 1, /* the program, or the thing checked, failed */
        CLI_USAGE = 2,
        CLI_DENIED = 3,
        CLI_LIMIT = 4,
        CLI_UNAVAILABLE = 5, /* the provider, or the isolation asked for */
        CLI_BUG = 70,
};

/* --- options (options.c) ---------------------------------------------------------------------- */
#define CLI_LIST_MAX                                                                               \
        256 /* of one repeatable option: more belongs into a program that embeds the library */
struct cli_list {
        const char *items[CLI_LIST_MAX];
        unsigned count;
};
struct cli_options {
        bool json, explain, denied, ast;
        bool explain_calls;       /* explain: denied calls count for the exit code */
        bool strict;              /* config check */
        const char *vmm, *format; /* config spec, show */
        const char *kernel, *rootfs;
        const char *policy;      /* settings file: what flags may only narrow */
        const char *environment; /* of that file */
        const char *agent;       /* agent.config: what it gives is what flags may only narrow */
        const char *provider, *audit, *execution, *output;
        const char *as;       /* of approvals: the approver's name */
        const char *seed;     /* of random numbers */
        const char *extend;   /* of approvals: by how much a budget */
        const char *in_doubt; /* of resume: CALL=repeat|done|fail */
        const char *checkpoint;
        bool tier_given, level_given;
        enum mv_tier tier_min;
        enum mv_level level;
        struct mv_limits limits;
        struct cli_list allow, allow_net, deny_net, deny_effect, allow_read, allow_write, env, arg;
        struct cli_list operands; /* what is not an option */
};
enum cli_accepts { /* which options a verb takes */
                   CLI_JSON = 1u << 0,
                   CLI_RUNNING =
                           1u << 1, /* provider, level, grants, limits, --arg, --audit, --explain */
                   CLI_AUDIT = 1u << 2,  /* --execution, --denied, --provider */
                   CLI_CONFIG = 1u << 6, /* --strict, --vmm, --format */
                   /* provider, level, limits, --audit: what nothing is granted to */
                   CLI_LIMITS = 1u << 3,
                   CLI_OUTPUT = 1u << 4,     /* -o FILE, --ast */
                   CLI_APPROVALS = 1u << 11, /* --audit, --as, --extend */
                   CLI_RESUME = 1u << 10,    /* --in-doubt, --checkpoint */
};
/* 0, or CLI_USAGE after saying on stderr what is wrong. Words after `--` are operands whatever
 * they look like. */
int cli_options(int argc, char **argv, unsigned accepts, struct cli_options *ret);
/* "250ms" "30s" "5m" "2h"; a bare number is seconds. "64K" "512M" "2G"; a bare number is bytes.
 * false: not one. */
bool cli_duration(const char *text, uint64_t *ret_ns);
bool cli_size(const char *text, uint64_t *ret_bytes);
/* A number above zero without a unit, times factor. */
bool cli_amount(const char *text, double factor, uint64_t *ret);
int cli_usage(const char *format, ...)
        __attribute__((format(printf, 1, 2))); /* prints, returns CLI_USAGE */
/* Between min and max operands, else a usage error that names `what`. */
int cli_operands(const struct cli_options *o, unsigned min, unsigned max, const char *what);

/* --- output (out.c) --------------------------------------------------------------------------- */
enum cli_colour { CLI_PLAIN, CLI_RED, CLI_GREEN, CLI_YELLOW, CLI_BOLD, CLI_DIM };
void cli_paint(FILE *f, enum cli_colour c, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
/* Bytes an untrusted program chose. A terminal obeys control characters, so it never gets them:
 * there, all but newline and tab are written as \xNN. To a file or a pipe the bytes go as they
 * are. */
void cli_write(FILE *f, struct mv_slice bytes);
/* Rows of text in columns wide enough for their longest cell; the first row is the heading. */
struct cli_table {
        unsigned columns, rows;
        char **cells;
};
void cli_table_row(struct cli_table *t, ...);       /* `columns` strings; copied */
void cli_table_print(struct cli_table *t, FILE *f); /* and frees it */
/* The error of a call that ran nothing: text on stderr, or the JSON object on stdout. Returns
 * the exit code. */
int cli_error(const struct mv_err *err, bool json);
/* A result: output and value, or the error with the place in the source. Returns the exit code. */
int cli_result(const struct mv_result *r, const struct cli_options *o, const struct mv_program *p);
/* What a program left in /workspace/output, into the directory of --output (output.c). CLI_DONE
 * without that option. */
int cli_output_files(const struct mv_result *r, const struct cli_options *o);
int cli_json_line(char *malloced); /* prints and frees; CLI_BUG when NULL */

/* --- executions (request.c) ------------------------------------------------------------------- */
struct cli_policy;
struct cli_request {
        struct cli_policy *policy; /* NULL: neither --policy nor --agent */
        struct mv_host *host;
        struct mv_context *context;
        struct mv_result *args; /* holds the values of --arg */
        struct mv_behalf behalf;
        struct mv_config_digest configs[2];
        struct mv_execution x;
};
/* Host, context and arguments as the options say. Returns 0 or an exit code, having said why. */
int cli_request(const struct cli_options *o, struct cli_request *ret);
void cli_request_done(struct cli_request *q);
/* Run, or explain, and print; then done with the request. call_id: the one capability the
 * program calls, or NULL. */
/* Hand our standard input to the program, unless it is a terminal. */
void cli_input(struct cli_request *q);
int cli_execute(struct cli_request *q, const struct cli_options *o, const char *call_id);
int cli_explain(struct cli_request *q, const struct cli_options *o,
                const char *call_id); /* explain.c */
/* Absolute, without "." and ".."; symbolic links stay as written. ret: PATH_MAX bytes. */
int cli_absolute(const char *path, char *ret, struct mv_err *err);
/* The directory that a file stands in, absolute, links followed. ret: PATH_MAX bytes. */
int cli_directory_of(const char *path, char *ret, struct mv_err *err);
int cli_host(const char *audit_path,
             struct mv_host **ret); /* "none": records stay in memory; NULL: the user's store */
/* One more grant, as the option of that name gives it: "allow" "allow-net" "allow-read" "allow-write" "env". NOT_FOUND for
 * another name. */
int cli_grant(struct mv_context *c, const char *what, const char *text, struct mv_err *err);
/* in the user's state directory, which is made; malloc'ed */
char *cli_state_file(const char *name, struct mv_err *err);
char *cli_audit_default(struct mv_err *err); /* malloc'ed path, its directory made */

/* --- programs (program.c) --------------------------------------------------------------------- */
/* Read a file, or standard input for "-"; the kind by extension, else by content. Free with
 * done. */
int cli_program(const char *name, struct mv_program *ret, struct mv_err *err);
void cli_program_done(struct mv_program *p);

/* --- verbs ------------------------------------------------------------------------------------ */
/* The names of a capability's effects, comma-separated; "pure", or "compute" when it has none. */
/* cmd_capabilities.c */
void cli_effects_text(const struct mv_capability *c, char *buf, size_t cap);

struct cli_verb {
        const char *name, *arguments, *summary;
        int (*run)(int argc, char **argv); /* argv[0]: the verb */
};
extern const struct cli_verb cli_verbs[]; /* main.c; ends with a NULL name */
int cmd_run(int argc, char **argv);
int cmd_resume(int argc, char **argv);
int cmd_approvals(int argc, char **argv);
int cmd_eval(int argc, char **argv);
int cmd_call(int argc, char **argv);
int cmd_compile(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_explain(int argc, char **argv);
int cmd_repl(int argc, char **argv);
int cmd_exec(int argc, char **argv);
int cmd_providers(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_capabilities(int argc, char **argv);
int cmd_schema(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_audit(int argc, char **argv);
int cmd_config(int argc, char **argv);
int cmd_demo(int argc, char **argv);
int cmd_version(int argc, char **argv);
int cmd_help(int argc, char **argv);

#endif
