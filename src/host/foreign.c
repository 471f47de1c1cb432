/* SPDX-License-Identifier: Apache-2.0 */
/* External programs and scripts: what the provider is asked to run, and what its end means.
 *
 * (1) Nothing of this process's environment reaches a program but what was granted by name.
 * (2) The paths it sees of the host are exactly the granted ones; which of them are safe to show
 *     is the provider's to say.
 * (3) A program's outcome is delivered to the broker as the frames a runner would send, so one
 *     place judges and records every outcome: exit code 0 is a value (a script's output as JSON
 *     when it is JSON, else text), everything else an error.
 * (4) A script's calls go through the same door, broker and records as any other program's (REQ-
 *     PRV-20). */
#include <base/slice.h>
#include <host/egress.h>
#include <host/exec.h>
#include <provider/common.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wire/cbor.h>
#include <wire/json.h>
#include <wire/text.h>

#define MESSAGE_BYTES_MAX 4096 /* of what a failed program wrote to stderr, in its error */
#define ARGUMENT_BYTES_MAX                                                                         \
        65536 /* of all arguments together on a script's command line; the files have them all */
#define ARGV_MAX 512

extern const uint8_t mv__module_python[], mv__module_python_end[], mv__module_node[],
        mv__module_node_end[];

bool mv__program_is_foreign(enum mv_program_kind kind)
{
        return kind == MV_PROGRAM_EXTERNAL || kind == MV_PROGRAM_SCRIPT ||
               kind == MV_PROGRAM_BINARY;
}

/* --- languages (REQ-PROG-03, -04) ------------------------------------------------------------- */
static const struct language {
        const char *name, *file;
        const char *interpreters[5];
} languages[] = {
        { "Python",
          "/workspace/input/program.py",
          { "/usr/bin/python3", "/usr/local/bin/python3", "/usr/bin/python" } },
        { "JavaScript",
          "/workspace/input/program.js",
          { "/usr/bin/node", "/usr/local/bin/node", "/usr/bin/nodejs" } },
        { "Shell", "/workspace/input/program.sh", { "/bin/sh", "/bin/bash" } },
        { "Ruby", "/workspace/input/program.rb", { "/usr/bin/ruby", "/usr/local/bin/ruby" } },
        { "Lua",
          "/workspace/input/program.lua",
          { "/usr/bin/lua", "/usr/bin/lua5.4", "/usr/bin/lua5.3", "/usr/local/bin/lua" } },
};

static int language_find(const char *name, const struct language **ret,
                         const char **ret_interpreter, struct mv_err *err)
{
        for (size_t i = 0; i < sizeof languages / sizeof languages[0]; i++) {
                const struct language *l = &languages[i];
                if (strcasecmp(l->name, name) != 0)
                        continue;
                for (const char *const *p = l->interpreters; *p; p++)
                        if (access(*p, X_OK) == 0) {
                                *ret = l;
                                *ret_interpreter = *p;
                                return 0;
                        }
                return mv_fail(err, MV_E_UNAVAILABLE, 0,
                               "no interpreter for %s is installed (looked for %s)", l->name,
                               l->interpreters[0]);
        }
        return mv_fail(err, MV_E_UNSUPPORTED, 0,
                       "scripts in '%s' cannot be run; Python, JavaScript, Shell, Ruby and Lua can",
                       name);
}

/* --- putting the request together ------------------------------------------------------------- */
struct foreign {
        struct mv__exec *exec;
        struct mv_program_spec *spec;
        const char *argv[ARGV_MAX + 4];
        const char *env[ARGV_MAX + 16];
        struct mv_program_file files[8];
        unsigned argc, envc;
        struct mv_err err;
        int failed;
};

static const char *keep(struct foreign *f, const char *format, const char *a, const char *b)
{
        size_t n = strlen(format) + strlen(a) + strlen(b) + 1;
        char *p = mv_new(&f->exec->scratch, char, n);
        if (!p) {
                f->failed = mv_fail(&f->err, MV_E_LIMIT, 0, "the request does not fit into memory");
                return "";
        }
        mv_fmt(p, n, format, a, b);
        return p;
}

static void arg(struct foreign *f, const char *text)
{
        if (f->argc == ARGV_MAX)
                f->failed = mv_fail(&f->err, MV_E_LIMIT, 0, "more than %d arguments", ARGV_MAX);
        else
                f->argv[f->argc++] = text;
}

static void env_item(struct foreign *f, const char *item)
{
        if (f->envc == ARGV_MAX)
                f->failed = mv_fail(&f->err, MV_E_LIMIT, 0, "more than %d environment variables",
                                    ARGV_MAX);
        else
                f->env[f->envc++] = item;
}

static void env(struct foreign *f, const char *name, const char *value)
{
        env_item(f, keep(f, "%s=%s", name, value));
}

static void file(struct foreign *f, const char *path, struct mv_slice bytes)
{
        f->files[f->spec->files_count++] = (struct mv_program_file){ path, bytes };
}

static void put_environment(struct foreign *f) /* (1) */
{
        const struct mv_grant_list *granted = &f->exec->context->env;
        if (f->exec->x->program.kind !=
            MV_PROGRAM_BINARY) { /* REQ-WASM-09: a module starts with none */
                env(f, "PATH", "/usr/local/bin:/usr/bin:/bin");
                env(f, "HOME", "/workspace");
                env(f, "TMPDIR", "/tmp");
                env(f, "LANG", "C.UTF-8");
        }
        for (uint32_t i = 0; i < granted->count; i++) {
                const char *item = granted->items[i];
                const char *value = strchr(item, '=') ? NULL : getenv(item);
                if (strchr(item, '='))
                        env_item(f, item);
                else if (value)
                        env(f, item, value);
        }
}

/* Both spellings: curl reads http_proxy in small letters only, others the large ones. */
static void put_network(struct foreign *f)
{
        static const char *const names[] = { "http_proxy", "https_proxy", "HTTP_PROXY",
                                             "HTTPS_PROXY" };
        char address[32];
        f->spec->network = mv__egress_granted(f->exec->context);
        if (!f->spec->network)
                return;
        mv_fmt(address, sizeof address, "http://127.0.0.1:%d", MV_PROXY_PORT);
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
                env(f, names[i], address);
        env(f, "NODE_USE_ENV_PROXY", "1");
}

static int put_grants(struct foreign *f) /* (2) */
{
        const struct mv_context *c = f->exec->context;
        uint32_t count = c->writes.count + c->reads.count;
        struct mv_program_grant *list =
                mv_new(&f->exec->scratch, struct mv_program_grant, count + 1);
        if (!list)
                return mv_fail(&f->err, MV_E_LIMIT, 0, "the granted paths do not fit into memory");
        uint32_t w = 0, r = 0, n = 0;
        while (w < c->writes.count ||
               r < c->reads.count) { /* both are sorted, so a tree comes before what is inside it */
                int order = w == c->writes.count  ? 1
                            : r == c->reads.count ? -1
                                                  : strcmp(c->writes.items[w], c->reads.items[r]);
                if (order == 0)
                        r++; /* write implies read */
                list[n++] = order > 0 ? (struct mv_program_grant){ c->reads.items[r++], false }
                                      : (struct mv_program_grant){ c->writes.items[w++], true };
        }
        f->spec->grants = list;
        f->spec->grants_count = n;
        return 0;
}

/* REQ-PROC-06: arguments as JSON, in files whatever their size, and on the command line while they
 * are small. */
static int put_input(struct foreign *f, bool on_command_line)
{
        const struct mv_value *args = f->exec->x->args;
        size_t total = 0, len;
        if (!args || args->count == 0)
                return 0;
        for (uint32_t i = 0; i < args->count; i++) {
                char *json = mv_value_json(&args->items[i], &len);
                if (!json)
                        return mv_fail(&f->err, MV_E_INVALID, 0, "argument %u has no JSON form",
                                       i + 1);
                const char *text = keep(f, "%s%s", json, "");
                free(json);
                if (i == 0)
                        file(f, "/workspace/input/input.json", mv_slice(text, len));
                total += len;
                if (on_command_line && total <= ARGUMENT_BYTES_MAX && memchr(text, 0, len) == NULL)
                        arg(f, text);
        }
        char *all = mv_value_json(args, &len);
        if (!all)
                return mv_fail(&f->err, MV_E_INVALID, 0, "the arguments have no JSON form");
        file(f, "/workspace/input/args.json", mv_slice(keep(f, "%s%s", all, ""), len));
        free(all);
        env(f, "RTFS_INPUT_FILE", "/workspace/input/input.json");
        env(f, "RTFS_ARGS_FILE", "/workspace/input/args.json");
        return 0;
}

static struct mv_slice between(const uint8_t *start, const uint8_t *end)
{
        return (struct mv_slice){ start, (size_t)(end - start) };
}

static void put_modules(struct foreign *f, const struct language *l)
{
        f->spec->door = true; /* (4) */
        env(f, "MICROVM_DOOR", "3");
        if (strcmp(l->name, "Python") == 0) {
                file(f, "/opt/microvm/microvm.py",
                     between(mv__module_python, mv__module_python_end));
                env(f, "PYTHONPATH", "/opt/microvm");
                env(f, "PYTHONDONTWRITEBYTECODE", "1");
        } else if (strcmp(l->name, "JavaScript") == 0) {
                file(f, "/opt/microvm/microvm.js", between(mv__module_node, mv__module_node_end));
                env(f, "NODE_PATH", "/opt/microvm");
        }
}

static int put_script(struct foreign *f)
{
        const struct mv_program *p = &f->exec->x->program;
        const struct language *l;
        const char *interpreter;
        int r = language_find(p->language, &l, &interpreter, &f->err);
        if (r < 0)
                return r;
        f->spec->path = interpreter;
        arg(f, interpreter);
        arg(f, l->file);
        file(f, l->file, p->bytes);
        put_modules(f, l);
        return put_input(f, true);
}

/* A name without a slash is looked up where the program's own PATH will look. */
static int program_path(struct foreign *f, const char *name, const char **ret)
{
        static const char *const dirs[] = { "/usr/local/bin/", "/usr/bin/", "/bin/" };
        if (name[0] == '/') {
                *ret = name;
                return 0;
        }
        for (size_t i = 0; !strchr(name, '/') && i < sizeof dirs / sizeof dirs[0]; i++) {
                const char *path = keep(f, "%s%s", dirs[i], name);
                if (access(path, X_OK) == 0) {
                        *ret = path;
                        return 0;
                }
        }
        return mv_fail(&f->err, MV_E_NOT_FOUND, 0,
                       "Process execution failed: '%s' is not in /usr/local/bin, /usr/bin or /bin; "
                       "name it by its whole path",
                       name);
}

static int put_external(struct foreign *f)
{
        const struct mv_program *p = &f->exec->x->program;
        int r = program_path(f, p->path, &f->spec->path);
        if (r < 0)
                return r;
        arg(f, p->path);
        for (size_t i = 0; p->argv && p->argv[i] && !f->failed; i++)
                arg(f, p->argv[i]);
        return put_input(f, false);
}

/* REQ-WASM-02: what a module reads from its standard input is the first argument, or null. */
static int put_module(struct foreign *f)
{
        const struct mv_program *p = &f->exec->x->program;
        const struct mv_value *args = f->exec->x->args;
        f->spec->module = p->bytes;
        f->spec->door = true; /* (4) */
        f->spec->clock = mv_context_allows(f->exec->context, "ccos.system.current-timestamp-ms");
        arg(f, p->name ? p->name : "module");
        if (!args || args->count == 0)
                file(f, "/workspace/input/input.json", MV_SLICE("null"));
        return put_input(f, true);
}

int mv__foreign_spec(struct mv__exec *e, struct mv_program_spec *ret, struct mv_err *err)
{
        struct foreign *f = mv_new(&e->scratch, struct foreign, 1);
        if (!f)
                return mv_fail(err, MV_E_LIMIT, 0, "the request does not fit into memory");
        *ret = (struct mv_program_spec){ .argv = f->argv,
                                         .env = f->env,
                                         .files = f->files,
                                         .output = e->x->collect_output,
                                         .input = e->x->input,
                                         .input_fd = e->x->input_fd };
        f->exec = e;
        f->spec = ret;
        if (e->x->program.kind != MV_PROGRAM_BINARY) /* a module has no sockets */
                put_network(f); /* first: a granted variable of the same name does not win */
        put_environment(f);
        int r = put_grants(f);
        if (r == 0)
                r = e->x->program.kind == MV_PROGRAM_SCRIPT   ? put_script(f)
                    : e->x->program.kind == MV_PROGRAM_BINARY ? put_module(f)
                                                              : put_external(f);
        if (r == 0 && f->failed)
                r = f->failed;
        if (r < 0)
                *err = f->err;
        return r;
}

/* --- the outcome (3) -------------------------------------------------------------------------- */
/* Text that is not UTF-8 has its foreign bytes replaced; the captured stream keeps them. */
static struct mv_slice readable(struct mv__exec *e, struct mv_slice s)
{
        if (mv_utf8_valid(s))
                return s;
        uint8_t *p = mv_new(&e->scratch, uint8_t, s.len);
        for (size_t i = 0; p && i < s.len; i++)
                p[i] = s.p[i] < 0x80 ? s.p[i] : '?';
        return p ? mv_slice(p, s.len) : mv_slice(NULL, 0);
}

static bool is_space(uint8_t c)
{
        return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static struct mv_slice trimmed(struct mv_slice s)
{
        while (s.len && is_space(s.p[s.len - 1]))
                s.len--;
        while (s.len && is_space(s.p[0])) {
                s.p++;
                s.len--;
        }
        return s;
}

static void value_of(struct mv__exec *e, struct mv_slice out, struct mv_value *ret)
{
        struct mv_err ignored;
        const struct mv_value *json;
        struct mv_slice text = trimmed(out);
        enum mv_program_kind kind = e->x->program.kind;
        if (kind != MV_PROGRAM_EXTERNAL && text.len && mv_utf8_valid(text) &&
            mv_json_decode(text, &e->scratch, &json, &ignored) == 0)
                *ret = *json;
        else if (kind == MV_PROGRAM_BINARY && out.len == 0)
                *ret = (struct mv_value){ .kind = MV_NIL };
        else
                *ret = (struct mv_value){ .kind = MV_STRING, .text = readable(e, out) };
}

static const char *failure(struct mv__exec *e, const struct mv_exit *exit, struct mv_slice written)
{
        struct mv_slice text = trimmed(written);
        if (text.len > MESSAGE_BYTES_MAX)
                text = mv_slice(text.p + text.len - MESSAGE_BYTES_MAX,
                                MESSAGE_BYTES_MAX); /* the end says what happened */
        text = readable(e, text);
        char *p = mv_new(&e->scratch, char, MESSAGE_BYTES_MAX + 64);
        if (!p)
                return "Process failed";
        if (exit->termination == MV_END_ERROR)
                mv_fmt(p, MESSAGE_BYTES_MAX + 64, "%s", exit->detail);
        else if (text.len)
                mv_fmt(p, MESSAGE_BYTES_MAX + 64, "Process failed: %.*s", MV_SARG(text));
        else
                mv_fmt(p, MESSAGE_BYTES_MAX + 64, "Process failed: exit code %d", exit->exit_code);
        return p;
}

/* What a module needs before its time begins to run: it is compiled. INVALID is the module's own failure. */
int mv__foreign_prepare(struct mv__exec *e, struct mv_err *err)
{
        const struct mv_provider_ops *ops = e->entry->ops;
        if (e->x->program.kind != MV_PROGRAM_BINARY || !ops->prepare)
                return 0;
        uint64_t from = mv__now_ns();
        int r = ops->prepare(e->entry->provider, e->x->program.bytes, err);
        e->deadline_ns += mv__now_ns() - from;
        return r;
}

int mv__foreign_outcome(struct mv__exec *e, struct mv_exit *exit, struct mv_err *err)
{
        struct mv_broker_outcome o;
        struct mv_value value;
        if (exit->termination != MV_END_COMPLETED && exit->termination != MV_END_ERROR)
                return 0;
        mv_broker_outcome(e->broker, &o);
        if (exit->termination == MV_END_ERROR || exit->exit_code != 0) {
                const char *text = failure(e, exit, o.stderr_bytes);
                exit->termination = MV_END_COMPLETED;
                return mv__deliver_fault(e, "Generic", text, err);
        }
        value_of(e, o.stdout_bytes, &value);
        return mv__deliver_value(e, &value, err);
}
