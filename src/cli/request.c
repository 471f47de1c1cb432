/* SPDX-License-Identifier: Apache-2.0 */
/* From options to an execution: the host with its audit store, the context with its grants, the
 * arguments. */
#include <base/err.h>
#include <base/slice.h>
#include <cli/policy.h>
#include <config/contract.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- the audit store -------------------------------------------------------------------------- */
static int make_directories(char *path, struct mv_err *err)
{
        for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
                *slash = 0;
                int r = mkdir(path, 0700);
                int sys = errno;
                if (r < 0 && sys != EEXIST)
                        return mv_fail(
                                err, MV_E_SYS, sys,
                                "make the directory %s for the audit store (--audit FILE names "
                                "another place, --audit none does without)",
                                path);
                *slash = '/';
        }
        return 0;
}

char *cli_state_file(const char *name, struct mv_err *err)
{
        const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
        char *path = NULL;
        bool from_state = state && state[0] == '/';
        if (!from_state && (!home || home[0] != '/')) {
                (void)mv_fail(err, MV_E_INVALID, 0,
                              "neither XDG_STATE_HOME nor HOME says where the %s is; use "
                              "--audit FILE, "
                              "or --audit none",
                              name);
                return NULL;
        }
        if (asprintf(&path, "%s%s/ccos-microvm/%s", from_state ? state : home,
                     from_state ? "" : "/.local/state", name) < 0) {
                (void)mv_fail(err, MV_E_NOMEM, 0, "audit path");
                return NULL;
        }
        if (make_directories(path, err) < 0) {
                free(path);
                return NULL;
        }
        return path;
}

char *cli_audit_default(struct mv_err *err)
{
        return cli_state_file("audit.mva", err);
}

static int host_for(const char *audit_path, struct mv_host **ret, struct mv_err *err)
{
        struct mv_host_options o = { 0 };
        char *made = NULL;
        if (!audit_path) {
                made = cli_audit_default(err);
                if (!made)
                        return -(int)err->code;
                o.audit_path = made;
        } else if (strcmp(audit_path, "none") != 0) {
                o.audit_path = audit_path;
        }
        int r = mv_host_new(&o, ret, err);
        free(made);
        if (r == -(int)MV_E_CORRUPT) { /* nothing is appended behind damage: it would hide it */
                size_t n = strlen(err->msg);
                mv_fmt(err->msg + n, sizeof err->msg - n,
                       "; `microvm audit verify` says what is left of it; keep the file and record "
                       "elsewhere "
                       "with --audit FILE, or move it away");
        }
        return r;
}

int cli_host(const char *audit_path, struct mv_host **ret)
{
        struct mv_err err;
        return host_for(audit_path, ret, &err) < 0 ? cli_error(&err, false) : 0;
}

/* --- grants ----------------------------------------------------------------------------------- */
int cli_absolute(const char *path, char *ret, struct mv_err *err)
{
        char here[PATH_MAX] = "";
        if (path[0] != '/' && !getcwd(here, sizeof here))
                return mv_fail(err, MV_E_SYS, errno, "the current directory");
        return mv__place_at(here, mv_slice_str(path), ret)
                       ? 0
                       : mv_fail(err, MV_E_INVALID, 0, "path too long");
}

typedef int (*grant_fn)(struct mv_context *c, const char *text, struct mv_err *err);

static int grant(struct mv_context *c, const struct cli_list *l, grant_fn allow, const char *option,
                 struct mv_err *err)
{
        for (unsigned i = 0; i < l->count; i++)
                if (allow(c, l->items[i], err) < 0)
                        return mv_wrap(err, "%s %s", option, l->items[i]);
        return 0;
}

static int grant_paths(struct mv_context *c, const struct cli_list *l, grant_fn allow,
                       const char *option, struct mv_err *err)
{
        char path[PATH_MAX];
        for (unsigned i = 0; i < l->count; i++)
                if (cli_absolute(l->items[i], path, err) < 0 || allow(c, path, err) < 0)
                        return mv_wrap(err, "%s %s", option, l->items[i]);
        return 0;
}

int cli_grant(struct mv_context *c, const char *what, const char *text, struct mv_err *err)
{
        static const struct {
                const char *what;
                grant_fn allow;
                bool path;
        } rows[] = { { "allow", mv_context_allow, false },
                     { "allow-net", mv_context_allow_host, false },
                     { "allow-read", mv_context_allow_read, true },
                     { "allow-write", mv_context_allow_write, true },
                     { "env", mv_context_allow_env, false } };
        struct cli_list one = { { text }, 1 };
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
                if (strcmp(rows[i].what, what) == 0)
                        return rows[i].path ? grant_paths(c, &one, rows[i].allow, what, err)
                                            : grant(c, &one, rows[i].allow, what, err);
        return mv_fail(err, MV_E_NOT_FOUND, 0, "no grant '%s'", what);
}

static int grant_all(struct mv_context *c, const struct cli_options *o, struct mv_err *err)
{
        /* A path beside level full reads like a restriction and would be none. */
        if (o->level == MV_LEVEL_FULL &&
            o->allow.count + o->allow_net.count + o->allow_read.count + o->allow_write.count > 0)
                return mv_fail(
                        err, MV_E_INVALID, 0,
                        "level full grants every capability, path and host already: leave the "
                        "grants out, or use --level controlled");
        int r = grant(c, &o->allow, mv_context_allow, "--allow", err);
        if (r == 0)
                r = grant(c, &o->allow_net, mv_context_allow_host, "--allow-net", err);
        if (r == 0)
                r = grant(c, &o->deny_net, mv_context_deny_host, "--deny-net", err);
        if (r == 0)
                r = grant(c, &o->deny_effect, mv_context_deny_effect, "--deny-effect", err);
        if (r == 0)
                r = grant_paths(c, &o->allow_read, mv_context_allow_read, "--allow-read", err);
        if (r == 0)
                r = grant_paths(c, &o->allow_write, mv_context_allow_write, "--allow-write", err);
        if (r == 0)
                r = grant(c, &o->env, mv_context_allow_env, "--env", err);
        if (r == 0)
                mv_context_give(c, &o->limits);
        return r;
}

/* --- arguments: RTFS literals, read by the evaluator itself, with nothing granted ------------- */
static char *vector_text(const struct cli_list *l)
{
        size_t n = 3;
        for (unsigned i = 0; i < l->count; i++)
                n += strlen(l->items[i]) + 1;
        char *text = malloc(n);
        if (!text)
                return NULL;
        char *p = text;
        *p++ = '[';
        for (unsigned i = 0; i < l->count; i++) {
                size_t len = strlen(l->items[i]);
                memcpy(p, l->items[i], len);
                p += len;
                *p++ = '\n'; /* a comment in one literal ends with it */
        }
        *p++ = ']';
        *p = 0;
        return text;
}

static int read_args(struct mv_host *h, const struct cli_list *l, struct mv_result **ret,
                     struct mv_err *err)
{
        char *text = vector_text(l);
        if (!text)
                return mv_fail(err, MV_E_NOMEM, 0, "arguments");
        struct mv_execution x = { .program = mv_program_source(text), .provider = "mock" };
        struct mv_result *r;
        int rc = mv_execute(h, &x, &r, err);
        free(text);
        if (rc < 0)
                return rc;
        const struct mv_value *v = mv_result_value(r);
        if (!v || v->kind != MV_VECTOR || v->count != l->count) {
                rc = mv_fail(err, MV_E_INVALID, 0, "--arg takes one RTFS literal each: %s",
                             v ? "one of them is not exactly one value"
                               : mv_result_error(r)->message);
                mv_result_free(r);
                return rc;
        }
        *ret = r;
        return 0;
}

/* The arguments' own evaluation leaves no record in the user's store. */
static int evaluate_args(const struct cli_options *o, struct cli_request *q, struct mv_err *err)
{
        struct mv_host *h;
        if (o->arg.count == 0)
                return 0;
        int r = mv_host_new(NULL, &h, err);
        if (r < 0)
                return r;
        r = read_args(h, &o->arg, &q->args, err);
        mv_host_free(h);
        return r;
}

/* --- the request ------------------------------------------------------------------------------ */
static void warn_about_limits(const struct cli_options *o, const struct mv_context *c)
{
        const char *level = mv_level_name(mv_context_level(c));
        if (mv_context_level(c) == MV_LEVEL_FULL)
                return;
        if (o->limits.wall_ns_max > MV_GIVEN_WALL_NS_MAX)
                fprintf(stderr,
                        "note: level %s ends a program after at most %llu s; --level full has no "
                        "limit of its own\n",
                        level, MV_GIVEN_WALL_NS_MAX / 1000000000u);
        if (o->limits.memory_bytes_max > MV_GIVEN_MEMORY_BYTES_MAX)
                fprintf(stderr,
                        "note: level %s gives a program at most %llu MiB; --level full has no "
                        "limit of its own\n",
                        level, MV_GIVEN_MEMORY_BYTES_MAX >> 20);
}

static int context_of_options(const struct cli_options *o, struct cli_request *q,
                              struct mv_err *err)
{
        if (o->environment)
                return mv_fail(err, MV_E_INVALID, 0,
                               "--environment names one of a settings file: use --policy FILE");
        q->context = mv_context_new(o->level);
        return q->context ? grant_all(q->context, o, err) : mv_fail(err, MV_E_NOMEM, 0, "context");
}

static int context_of_policy(const struct cli_options *o, struct cli_request *q, struct mv_err *err)
{
        if (o->environment && !o->policy)
                return mv_fail(err, MV_E_INVALID, 0,
                               "--environment names one of a settings file: use --policy FILE");
        q->policy = calloc(1, sizeof *q->policy);
        return q->policy ? cli_policy_context(o, q->policy, &q->context, err)
                         : mv_fail(err, MV_E_NOMEM, 0, "settings");
}

static int request(const struct cli_options *o, struct cli_request *q, struct mv_err *err)
{
        const char *audit = o->audit;
        int r = o->policy || o->agent ? context_of_policy(o, q, err)
                                      : context_of_options(o, q, err);
        if (r == 0)
                r = evaluate_args(o, q, err);
        if (r == 0 && q->policy)
                r = cli_agent_audit(o, q->policy, &audit, err);
        if (r == 0)
                r = host_for(o->explain ? "none" : audit, &q->host, err);
        if (r == 0 && q->policy)
                r = cli_policy_providers(q->policy, q->host, err);
        if (r < 0)
                return r;
        warn_about_limits(o, q->context);
        /* Left to itself the command never takes the mock provider, which is no wall. */
        bool automatic = !o->provider || strcmp(o->provider, "auto") == 0;
        cli_behalf(q);
        q->x.context = q->context;
        q->x.provider = o->provider;
        q->x.tier_min = o->tier_given ? o->tier_min : automatic ? MV_TIER_PROCESS : MV_TIER_NONE;
        q->x.args = q->args ? mv_result_value(q->args) : NULL;
        q->x.limits = o->limits;
        q->x.prelude = true;
        q->x.seed = o->seed;
        q->x.collect_output = o->output != NULL;
        return q->policy ? cli_policy_wall(o, q->policy, q->host, &q->x, err) : 0;
}

int cli_request(const struct cli_options *o, struct cli_request *ret)
{
        struct mv_err err;
        *ret = (struct cli_request){ 0 };
        if (request(o, ret, &err) == 0)
                return 0;
        cli_request_done(ret);
        int code = cli_error(&err, o->json);
        return err.code == MV_E_INVALID ? CLI_USAGE : code;
}

void cli_request_done(struct cli_request *q)
{
        mv_result_free(q->args);
        mv_context_free(q->context);
        mv_host_free(q->host);
        if (q->policy)
                cli_policy_done(q->policy);
        free(q->policy);
        *q = (struct cli_request){ 0 };
}

void cli_input(struct cli_request *q)
{
        struct stat st;
        q->x.input = fstat(STDIN_FILENO, &st) == 0 && !isatty(STDIN_FILENO);
        q->x.input_fd = STDIN_FILENO;
}

static void print_output(void *ctx, bool to_stderr, struct mv_slice bytes)
{
        cli_write(to_stderr ? stderr : stdout, bytes);
        fflush(to_stderr ? stderr : stdout);
}

/* What rules and the policy of effects take away, no grant gives. */
static bool wants_grant(const struct mv_result *r)
{
        const char *operation = mv_result_error(r)->operation;
        return strcmp(operation, "governance") != 0 && strcmp(operation, "effect_policy") != 0;
}

int cli_execute(struct cli_request *q, const struct cli_options *o, const char *call_id)
{
        struct mv_result *result;
        struct mv_err err;
        int code;
        if (!o->json)
                q->x.on_output = print_output;
        if (q->policy && cli_agent_admit(o, q->policy, q->host, &q->x, &err) < 0)
                code = cli_error(&err, o->json);
        else if (o->explain)
                code = cli_explain(q, o, call_id);
        else if (mv_execute(q->host, &q->x, &result, &err) < 0)
                code = cli_error(&err, o->json);
        else {
                code = cli_result(result, o, &q->x.program);
                if (code == CLI_DENIED && q->policy && !o->json && wants_grant(result))
                        fprintf(stderr,
                                "  note: %s does not grant it, and options only narrow: grant it "
                                "there\n",
                                cli_policy_name(q->policy));
                int written = cli_output_files(result, o);
                if (code == CLI_DONE)
                        code = written;
                mv_result_free(result);
        }
        cli_request_done(q);
        return code;
}
