/* SPDX-License-Identifier: Apache-2.0 */
#include <config/bind.h>
#include <config/config.h>
#include <config/forms.h>
#include <config/lexical.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum mv_syntax mv_syntax_of(const char *file_name)
{
        const char *dot = strrchr(file_name, '.');
        if (dot && strcmp(dot, ".json") == 0)
                return MV_SYNTAX_JSON;
        return dot && strcmp(dot, ".toml") == 0 ? MV_SYNTAX_TOML : MV_SYNTAX_RTFS;
}

static void syntax_diagnostic(struct mv_agent_file *f, const struct mv_syntax_error *e)
{
        struct mv_report r = { .severity = MV_SEVERE_ERROR,
                               .code = "SYNTAX",
                               .path = "",
                               .line = e->line,
                               .column = e->column };
        bool exact = strncmp(e->message, "Expected ", 9) == 0 ||
                     strncmp(e->message, "Odd number", 10) == 0;
        r.code = exact ? "NOT_AN_AGENT_CONFIG" : "SYNTAX";
        r.suggestion = exact ? "Write (agent.config :key value ...) or {:key value ...}" : NULL;
        mv__diagnose(&f->diagnostics, &r, "%s%s",
                     exact ? "" : "Failed to parse agent config: ", e->message);
}

static void bind_and_validate(struct mv_agent_file *f, const struct mv_form *form,
                              const struct mv_agent_options *o, bool string_keys)
{
        struct mv_binding b = { .arena = &f->arena,
                                .diagnostics = &f->diagnostics,
                                .strict = o->strict,
                                .string_keys = string_keys };
        bool list = form->kind == MV_LIST;
        mv__bind(&b, &mv__agent_schema, form, list ? form->items + 1 : form->items,
                 form->count - list, &f->config);
        if (b.shape_errors)
                return; /* a rule about a value that could not be read would only confuse */
        mv__validate_microvm(&f->config, o->lenient_digests, &f->diagnostics);
        mv__validate_general(&f->config, &f->diagnostics);
}

static int read_form(const struct mv_agent_reading *how, struct mv_slice text,
                     enum mv_syntax syntax, struct mv_form *ret, struct mv_err *err)
{
        struct mv_syntax_error *ret_error = how->ret_error;
        if (text.len > MV_CONFIG_BYTES_MAX)
                return mv_fail(err, MV_E_LIMIT, 0,
                               "Failed to parse agent config: more than %u bytes",
                               MV_CONFIG_BYTES_MAX);
        if (syntax == MV_SYNTAX_RTFS)
                return mv__read_agent(text, how, ret, err);
        int r = syntax == MV_SYNTAX_JSON ? mv__read_json(text, how->arena, ret, ret_error, err)
                                         : mv__read_toml(text, how->arena, ret, ret_error, err);
        if (r == 0 && ret->kind != MV_MAP) {
                *ret_error = (struct mv_syntax_error){ .line = ret->line, .column = ret->column };
                mv_fmt(ret_error->message, sizeof ret_error->message,
                       "Expected agent.config list, function call, or map");
                return mv_fail(err, MV_E_INVALID, 0, "%s", ret_error->message);
        }
        return r;
}

int mv_agent_parse(struct mv_slice text, enum mv_syntax syntax, const struct mv_agent_options *o,
                   struct mv_agent_file *ret, struct mv_err *err)
{
        static const struct mv_agent_options defaults = { 0 };
        struct mv_form form;
        struct mv_syntax_error error = { 0 };
        *ret = (struct mv_agent_file){ .arena = mv_arena_grow(MV_CONFIG_ARENA_BYTES) };
        ret->diagnostics.arena = &ret->arena;
        mv__defaults(&mv__agent_schema, &ret->config);
        struct mv_agent_reading how = { &ret->arena, o ? o->evaluator : NULL, &error };
        int r = read_form(&how, text, syntax, &form, err);
        if (r == 0)
                bind_and_validate(ret, &form, o ? o : &defaults, syntax != MV_SYNTAX_RTFS);
        else if (r == -(int)MV_E_INVALID)
                syntax_diagnostic(ret, &error);
        if (ret->diagnostics.failed)
                r = mv_fail(err, MV_E_LIMIT, 0, "Failed to parse agent config: too much of it");
        if (r < 0 && r != -(int)MV_E_INVALID) {
                mv_agent_done(ret);
                return r;
        }
        mv__diagnostics_sort(&ret->diagnostics, &mv__agent_schema);
        ret->valid = ret->diagnostics.errors == 0;
        return 0;
}

int mv__read_file(const char *path, const char *what, char **ret, size_t *ret_len,
                  struct mv_err *err)
{
        FILE *f = fopen(path, "re");
        char *p = f ? malloc(MV_CONFIG_BYTES_MAX + 1) : NULL;
        int sys = errno;
        if (!f || !p) {
                if (f)
                        fclose(f);
                return mv_fail(err, f ? MV_E_NOMEM : MV_E_SYS, f ? 0 : sys, "%s: %s", what, path);
        }
        errno = 0;
        *ret_len = fread(p, 1, MV_CONFIG_BYTES_MAX + 1, f);
        sys = errno;
        bool failed = ferror(f) != 0;
        fclose(f);
        if (failed) {
                free(p);
                return mv_fail(err, MV_E_SYS, sys, "%s: %s", what, path);
        }
        *ret = p;
        return 0;
}

int mv_agent_load(const char *path, const struct mv_agent_options *o, struct mv_agent_file *ret,
                  struct mv_err *err)
{
        char *text;
        size_t len;
        int r = mv__read_file(path, "Failed to read agent config file", &text, &len, err);
        if (r < 0)
                return r;
        r = mv_agent_parse(mv_slice(text, len), mv_syntax_of(path), o, ret, err);
        if (r == 0)
                mv__digest_text(mv_slice(text, len), ret->digest);
        free(text);
        return r;
}

void mv_agent_done(struct mv_agent_file *f)
{
        mv_arena_done(&f->arena);
        *f = (struct mv_agent_file){ 0 };
}
