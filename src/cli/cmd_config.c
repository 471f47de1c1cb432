/* SPDX-License-Identifier: Apache-2.0 */
/* `microvm config check|show|spec FILE`. Without FILE the variable AGENT_CONFIG_PATH names it
 * (REQ-AC-13). */
#include <base/err.h>
#include <cli/cli.h>
#include <config/config.h>
#include <config/describe.h>
#include <config/settings.h>
#include <config/spec.h>
#include <limits.h>
#include <stdlib.h>

static int print_text(struct mv_text *t, FILE *f)
{
        char *text = mv_text_take(t);
        if (!text) {
                fputs("error: out of memory\n", stderr);
                return CLI_BUG;
        }
        cli_write(f, mv_slice_str(text));
        free(text);
        return CLI_DONE;
}

/* The files that are named, or the one of the environment. */
static int name_files(struct cli_options *o, unsigned max)
{
        const char *path = getenv("AGENT_CONFIG_PATH");
        if (o->operands.count == 1 && path && path[0])
                o->operands.items[o->operands.count++] = path;
        return cli_operands(
                o, 2, max,
                "a verb and a FILE: microvm config check agent.config.rtfs (or AGENT_CONFIG_PATH)");
}

static int load(const char *path, const struct cli_options *o, struct mv_agent_file *ret)
{
        struct mv_agent_options options = { .strict = o->strict };
        struct mv_err err;
        if (mv_agent_load(path, &options, ret, &err) == 0)
                return CLI_DONE;
        (void)cli_error(&err, o->json);
        return CLI_FAILED;
}

/* --- check ------------------------------------------------------------------------------------ */
static int report(const struct mv_agent_file *f, const char *name, const struct cli_options *o)
{
        struct mv_text t = { .compact = true };
        if (o->json) {
                mv_agent_report_json(f, name, &t);
                mv_text_str(&t, "\n");
        } else {
                mv_agent_report(f, name, &t);
        }
        return print_text(&t, stdout);
}

/* A settings file: `microvm config check --policy FILE`, also as an environment sees it. */
static int check_settings(const struct cli_options *o)
{
        struct mv_settings_file f;
        struct mv_policy_settings p;
        struct mv_text t = { .compact = true };
        struct mv_err err;
        if (mv_settings_load(o->policy, &f, &err) < 0) {
                (void)cli_error(&err, o->json);
                return CLI_FAILED;
        }
        if (o->json) {
                mv__report_json(&f.diagnostics, o->policy, &t);
                mv_text_str(&t, "\n");
        } else {
                mv__report(&f.diagnostics, o->policy, "✅ Settings are valid\n", &t);
        }
        int r = f.valid ? mv_settings_resolve(&f, o->environment, &p, &err) : 0;
        if (r < 0) {
                mv_text_done(&t);
                (void)cli_error(&err, o->json);
        } else {
                if (f.valid)
                        mv_policy_settings_done(&p);
                r = print_text(&t, stdout);
        }
        bool valid = f.valid && r == 0;
        mv_settings_done(&f);
        return r > 0 ? r : valid ? CLI_DONE : CLI_FAILED;
}

static int check(struct cli_options *o)
{
        if (o->policy && o->operands.count == 1)
                return check_settings(o);
        struct mv_agent_file file;
        int r = name_files(o, 2);
        if (r == 0)
                r = load(o->operands.items[1], o, &file);
        if (r)
                return r;
        r = report(&file, o->operands.items[1], o);
        if (r == 0 && !file.valid)
                r = CLI_FAILED;
        mv_agent_done(&file);
        return r;
}

/* --- show and spec ---------------------------------------------------------------------------- */
/* A configuration that is not valid is not shown: what would be printed is not what was written. */
static int load_valid(struct cli_options *o, struct mv_agent_file *ret)
{
        struct mv_text t = { 0 };
        int r = name_files(o, 2);
        if (r == 0)
                r = load(o->operands.items[1], o, ret);
        if (r || ret->valid)
                return r;
        mv_agent_report(ret, o->operands.items[1], &t);
        print_text(&t, stderr);
        mv_agent_done(ret);
        return CLI_FAILED;
}

static int show(struct cli_options *o)
{
        static const char *const formats[] = { "rtfs", "json", "toml" };
        struct mv_agent_file file;
        struct mv_text t = { 0 };
        int syntax = o->json ? MV_SYNTAX_JSON : MV_SYNTAX_RTFS;
        if (o->format)
                for (syntax = 0;
                     syntax < MV_SYNTAX_MAX_ && strcmp(formats[syntax], o->format) != 0;)
                        syntax++;
        if (syntax == MV_SYNTAX_MAX_)
                return cli_usage("--format '%s': needs rtfs, toml or json", o->format);
        int r = load_valid(o, &file);
        if (r)
                return r;
        t.compact = o->json;
        mv_agent_print(&file.config, (enum mv_syntax)syntax, &t);
        mv_agent_done(&file);
        return print_text(&t, stdout);
}

static int print_spec(const struct mv_agent_file *f, const struct cli_options *o,
                      struct mv_err *err)
{
        static void (*const writers[])(const struct mv_vm_spec *, struct mv_text *) = {
                mv_vm_spec_json, mv_vm_spec_firecracker, mv_vm_spec_cloud_hypervisor
        };
        char directory[PATH_MAX], run[PATH_MAX], kernel[PATH_MAX], rootfs[PATH_MAX];
        const char *runtime = getenv("XDG_RUNTIME_DIR");
        struct mv_spec_options so = { .base_directory = directory };
        struct mv_arena a = mv_arena_grow(1 << 20);
        struct mv_vm_spec s;
        struct mv_text t = { .compact = o->json };
        if (runtime && runtime[0] == '/') {
                mv_fmt(run, sizeof run, "%s/ccos-microvm", runtime);
                so.run_base = run;
        }
        if ((o->kernel && cli_absolute(o->kernel, kernel, err) < 0) ||
            (o->rootfs && cli_absolute(o->rootfs, rootfs, err) < 0))
                return -(int)err->code;
        so.kernel = o->kernel ? kernel : NULL;
        so.rootfs = o->rootfs ? rootfs : NULL;
        int r = cli_directory_of(o->operands.items[1], directory, err);
        if (r == 0)
                r = mv_vm_spec(&f->config, &so, &a, &s, err);
        if (r == 0)
                writers[!o->vmm ? 0 : strcmp(o->vmm, "firecracker") == 0 ? 1 : 2](&s, &t);
        mv_arena_done(&a);
        return r < 0 ? r : print_text(&t, stdout);
}

static int spec(struct cli_options *o)
{
        struct mv_agent_file file;
        struct mv_err err;
        if (o->vmm && strcmp(o->vmm, "firecracker") != 0 && strcmp(o->vmm, "cloud-hypervisor") != 0)
                return cli_usage("--vmm '%s': needs firecracker or cloud-hypervisor", o->vmm);
        int r = load_valid(o, &file);
        if (r)
                return r;
        r = print_spec(&file, o, &err);
        mv_agent_done(&file);
        if (r >= 0)
                return r;
        (void)cli_error(&err, o->json);
        return CLI_FAILED;
}

/* `microvm config schema [agent|settings|contract] [--format json|markdown|man]` */
static int schema(struct cli_options *o)
{
        static const char *const formats[] = { "json", "markdown", "man" };
        static const char *const documents[] = { "agent", "settings", "contract" };
        const char *which = o->operands.count > 1 ? o->operands.items[1] : "agent";
        struct mv_text t = { .compact = o->json };
        unsigned format = 0;
        while (o->format && format < 3 && strcmp(formats[format], o->format) != 0)
                format++;
        if (format == 3)
                return cli_usage("--format '%s': needs json, markdown or man", o->format);
        unsigned document = 0;
        while (document < 3 && strcmp(documents[document], which) != 0)
                document++;
        if (document == 3)
                return cli_usage("config schema: agent, settings or contract");
        mv_describe((enum mv_document)document, (enum mv_document_format)format, &t);
        return print_text(&t, stdout);
}

int cmd_config(int argc, char **argv)
{
        static const struct {
                const char *name;
                int (*run)(struct cli_options *o);
        } verbs[] = {
                { "check", check }, { "show", show }, { "spec", spec }, { "schema", schema }
        };
        struct cli_options o;
        int r = cli_options(argc, argv, CLI_CONFIG | CLI_JSON, &o);
        if (r)
                return r;
        for (size_t i = 0; o.operands.count && i < sizeof verbs / sizeof verbs[0]; i++)
                if (strcmp(o.operands.items[0], verbs[i].name) == 0)
                        return verbs[i].run(&o);
        return cli_usage("config: check, show or spec and a FILE, or schema");
}
