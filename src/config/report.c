/* SPDX-License-Identifier: Apache-2.0 */
/* Diagnostics for people (REQ-ACV-18) and for tools (REQ-ACV-20). */
#include <config/config.h>

static void put_list(struct mv_text *t, const struct mv_diagnostics *d, enum mv_severity severity,
                     const char *name)
{
        for (uint32_t i = 0; i < d->count; i++) {
                const struct mv_diagnostic *x = &d->items[i];
                if (x->severity != severity)
                        continue;
                mv_text_printf(t, "  • %s%s%s\n", x->path, x->path[0] ? ": " : "", x->message);
                if (x->line)
                        mv_text_printf(t, "    at %s%sline %u, column %u [%s]\n", name ? name : "",
                                       name ? ", " : "", x->line, x->column, x->code);
                else
                        mv_text_printf(t, "    [%s]\n", x->code);
                if (x->suggestion)
                        mv_text_printf(t, "    Suggestion: %s\n", x->suggestion);
        }
}

void mv_agent_report(const struct mv_agent_file *f, const char *name, struct mv_text *ret)
{
        const char *fine = f->config.microvm.at.given ? "✅ MicroVM configuration is valid\n"
                                                      : "✅ Configuration is valid\n";
        mv__report(&f->diagnostics, name, fine, ret);
}

void mv__report(const struct mv_diagnostics *d, const char *name, const char *fine,
                struct mv_text *ret)
{
        if (d->errors == 0 && d->warnings == 0)
                mv_text_str(ret, fine);
        if (d->errors)
                mv_text_str(ret, "❌ Validation Errors:\n");
        put_list(ret, d, MV_SEVERE_ERROR, name);
        if (d->warnings)
                mv_text_str(ret, "⚠️  Validation Warnings:\n");
        put_list(ret, d, MV_SEVERE_WARNING, name);
        if (d->notes)
                mv_text_str(ret, "Notes:\n");
        put_list(ret, d, MV_SEVERE_NOTE, name);
        if (d->count < d->errors + d->warnings + d->notes)
                mv_text_printf(ret, "... and %u more\n",
                               d->errors + d->warnings + d->notes - d->count);
}

static void put_json(struct mv_text *t, const struct mv_diagnostics *d, enum mv_severity severity,
                     const char *key)
{
        mv_json_open(t, key, '[');
        for (uint32_t i = 0; i < d->count; i++) {
                const struct mv_diagnostic *x = &d->items[i];
                if (x->severity != severity)
                        continue;
                mv_json_open(t, NULL, '{');
                mv_json_str(t, "code", x->code);
                mv_json_str(t, "message", x->message);
                mv_json_str(t, "field_path", x->path);
                mv_json_str(t, "suggestion", x->suggestion);
                mv_json_int(t, "line", x->line);
                mv_json_int(t, "column", x->column);
                mv_json_close(t, '}');
        }
        mv_json_close(t, ']');
}

void mv__report_json(const struct mv_diagnostics *d, const char *name, struct mv_text *ret)
{
        mv_json_open(ret, NULL, '{');
        mv_json_bool(ret, "ok", d->errors == 0);
        mv_json_str(ret, "file", name);
        mv_json_bool(ret, "is_valid", d->errors == 0);
        mv_json_int(ret, "errors_count", d->errors);
        mv_json_int(ret, "warnings_count", d->warnings);
        put_json(ret, d, MV_SEVERE_ERROR, "errors");
        put_json(ret, d, MV_SEVERE_WARNING, "warnings");
        put_json(ret, d, MV_SEVERE_NOTE, "notes");
        mv_json_close(ret, '}');
}

void mv_agent_report_json(const struct mv_agent_file *f, const char *name, struct mv_text *ret)
{
        mv__report_json(&f->diagnostics, name, ret);
}
