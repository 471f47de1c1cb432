/* SPDX-License-Identifier: Apache-2.0 */
/* A whole result as one JSON object: the contract of `--json`. Keys and their order are fixed
 * (REQ-META-08). */
#include <base/slice.h>
#include <host/host.h>
#include <host/jsonw.h>
#include <stdlib.h>

static void put_error(struct mv__jsonw *w, const struct mv_program_error *e)
{
        mv__json_open(w, "error", '{');
        mv__json_str(w, "kind", e->kind);
        mv__json_str(w, "message", e->message);
        mv__json_text(w, "operation", e->operation);
        mv__json_text(w, "capability", e->capability);
        mv__json_text(w, "context", e->context);
        if (e->line) {
                mv__json_uint(w, "line", e->line);
                mv__json_uint(w, "column", e->column);
        } else {
                mv__json_raw(w, "line", "null");
                mv__json_raw(w, "column", "null");
        }
        mv__json_text(w, "hint", e->hint);
        mv__json_close(w, '}');
}

static void put_value(struct mv__jsonw *w, const struct mv_value *v)
{
        size_t len = 0;
        char *printed = mv_value_display(v, &len);
        mv__json_value(w, "value", v);
        if (printed)
                mv__json_slice(w, "printed", mv_slice(printed, len));
        else
                mv__json_raw(w, "printed", "null");
        mv__json_str(w, "type", mv_kind_name(v->kind));
        free(printed);
}

static void put_network(struct mv__jsonw *w, const struct mv_metadata *m)
{
        mv__json_open(w, "network_requests", '[');
        for (uint32_t i = 0; i < m->network_count; i++) {
                const struct mv_network_request *q = &m->network[i];
                mv__json_open(w, NULL, '{');
                mv__json_str(w, "url", q->url);
                mv__json_str(w, "method", q->method);
                if (q->status)
                        mv__json_int(w, "status_code", q->status);
                else
                        mv__json_raw(w, "status_code", "null");
                mv__json_uint(w, "bytes_sent", q->sent_bytes);
                mv__json_uint(w, "bytes_received", q->received_bytes);
                mv__json_close(w, '}');
        }
        mv__json_close(w, ']');
}

static void put_files(struct mv__jsonw *w, const struct mv_metadata *m)
{
        mv__json_open(w, "file_operations", '[');
        for (uint32_t i = 0; i < m->files_count; i++) {
                mv__json_open(w, NULL, '{');
                mv__json_str(w, "path", m->files[i].path);
                mv__json_str(w, "operation", m->files[i].operation);
                mv__json_uint(w, "bytes_processed", m->files[i].bytes);
                mv__json_close(w, '}');
        }
        mv__json_close(w, ']');
}

/* Only when there are any: somebody asked to be told. */
static void put_warnings(struct mv__jsonw *w, const struct mv_metadata *m)
{
        if (!m->budget_warnings_count)
                return;
        mv__json_open(w, "budget_warnings", '[');
        for (uint32_t i = 0; i < m->budget_warnings_count; i++) {
                const struct mv_budget_warning *b = &m->budget_warnings[i];
                mv__json_open(w, NULL, '{');
                mv__json_str(w, "what", mv_spending_name(b->what));
                mv__json_uint(w, "warn", b->warn);
                mv__json_uint(w, "spent", b->spent);
                mv__json_uint(w, "call", b->call);
                mv__json_close(w, '}');
        }
        mv__json_close(w, ']');
}

static void put_overruns(struct mv__jsonw *w, const struct mv_metadata *m)
{
        if (!m->budget_overruns_count)
                return;
        mv__json_open(w, "budget_exhausted", '[');
        for (uint32_t i = 0; i < m->budget_overruns_count; i++) {
                const struct mv_budget_overrun *b = &m->budget_overruns[i];
                mv__json_open(w, NULL, '{');
                mv__json_str(w, "what", mv_spending_name(b->what));
                mv__json_uint(w, "max", b->max);
                mv__json_uint(w, "spent", b->spent);
                mv__json_uint(w, "over", b->spent - b->max);
                mv__json_close(w, '}');
        }
        mv__json_close(w, ']');
}

static void put_metadata(struct mv__jsonw *w, const struct mv_metadata *m)
{
        mv__json_open(w, "metadata", '{');
        mv__json_uint(w, "duration_ns", m->duration_ns);
        mv__json_uint(w, "cpu_ns", m->cpu_ns);
        mv__json_uint(w, "memory_peak_bytes", m->memory_peak_bytes);
        mv__json_uint(w, "calls", m->calls);
        mv__json_uint(w, "fuel", m->fuel);
        if (m->exit_code >= 0)
                mv__json_int(w, "exit_code", m->exit_code);
        if (m->signal)
                mv__json_int(w, "signal", m->signal);
        if (m->compensations || m->compensations_failed) {
                mv__json_uint(w, "compensations", m->compensations);
                mv__json_uint(w, "compensations_failed", m->compensations_failed);
        }
        put_warnings(w, m);
        put_overruns(w, m);
        mv__json_bool(w, "simulated", m->simulated);
        mv__json_open(w, "phases_ns", '{');
        mv__json_uint(w, "open", m->open_ns);
        mv__json_uint(w, "run", m->run_ns);
        mv__json_uint(w, "close", m->close_ns);
        mv__json_close(w, '}');
        put_network(w, m);
        put_files(w, m);
        mv__json_close(w, '}');
}

/* What the tier's name alone might hide. */
static void put_lacks(struct mv__jsonw *w, const struct mv_result *r)
{
        static const char *const lacks[] = { "user namespace",
                                             "mount namespace",
                                             "process namespace",
                                             "network namespace",
                                             "IPC namespace",
                                             "host name namespace",
                                             "size limit of a file system" };
        if (!r->provider[0] || r->tier != MV_TIER_LANDLOCK)
                return;
        mv__json_open(w, "lacks", '[');
        for (size_t i = 0; i < sizeof lacks / sizeof lacks[0]; i++)
                mv__json_str(w, NULL, lacks[i]);
        mv__json_close(w, ']');
}

char *mv_result_json(const struct mv_result *r)
{
        struct mv__jsonw w;
        mv__json_begin(&w);
        mv__json_open(&w, NULL, '{');
        mv__json_bool(&w, "ok", r->ok);
        if (r->ok)
                put_value(&w, r->value);
        else
                put_error(&w, &r->error);
        mv__json_str(&w, "execution_id", r->execution_id);
        mv__json_text(&w, "provider", r->provider);
        mv__json_str(&w, "tier", r->provider[0] ? mv_tier_name(r->tier) : NULL);
        put_lacks(&w, r);
        mv__json_str(&w, "termination", mv_termination_name(r->termination));
        mv__json_slice(&w, "stdout", r->stdout_bytes);
        mv__json_slice(&w, "stderr", r->stderr_bytes);
        put_metadata(&w, &r->metadata);
        mv__json_open(&w, "audit", '{');
        mv__json_hex(&w, "root", "sha256:", r->root, sizeof r->root);
        mv__json_uint(&w, "records", r->records);
        mv__json_close(&w, '}');
        mv__json_close(&w, '}');
        return mv__json_end(&w);
}
