/* SPDX-License-Identifier: Apache-2.0 */
/* How an execution ended, from two witnesses: the broker saw what the program delivered, the
 * provider saw how the cell ended. The program's own outcome counts only when the cell ended in
 * order. */
#include <base/slice.h>
#include <host/exec.h>
#include <string.h>
#include <wire/base64.h>
#include <wire/cbor.h>

static struct mv_slice keep_bytes(struct mv_result *r, struct mv_slice s)
{
        uint8_t *p = s.len ? mv_new(&r->arena, uint8_t, s.len) : NULL;
        if (!p)
                return (struct mv_slice){ NULL, 0 };
        memcpy(p, s.p, s.len);
        return mv_slice(p, s.len);
}

static void keep_network(struct mv_result *r, const struct mv_broker_outcome *o)
{
        struct mv_network_request *list =
                mv_new(&r->arena, struct mv_network_request, o->network_count);
        for (uint32_t i = 0; list && i < o->network_count; i++) {
                list[i] = o->network[i];
                list[i].url = mv__result_text(r, o->network[i].url);
                list[i].method = mv__result_text(r, o->network[i].method);
        }
        r->metadata.network = list;
        r->metadata.network_count = list ? o->network_count : 0;
}

static void keep_files(struct mv_result *r, const struct mv_broker_outcome *o)
{
        struct mv_file_operation *list =
                mv_new(&r->arena, struct mv_file_operation, o->files_count);
        for (uint32_t i = 0; list && i < o->files_count; i++) {
                list[i] = o->files[i];
                list[i].path = mv__result_text(r, o->files[i].path);
                list[i].operation = mv__result_text(r, o->files[i].operation);
        }
        r->metadata.files = list;
        r->metadata.files_count = list ? o->files_count : 0;
}

static void keep_warnings(struct mv_result *r, const struct mv_broker_outcome *o)
{
        memcpy(r->metadata.budget_warnings, o->warnings, sizeof o->warnings);
        r->metadata.budget_warnings_count = o->warnings_count;
        memcpy(r->metadata.budget_overruns, o->overruns, sizeof o->overruns);
        r->metadata.budget_overruns_count = o->overruns_count;
}

static bool is_limit(enum mv_termination t)
{
        return t == MV_END_TIMEOUT || t == MV_END_MEMORY || t == MV_END_FUEL || t == MV_END_OUTPUT;
}

/* Fixed texts: they name what was asked for, never what was measured, because they are part of
 * the root. */
static void limit_text(const struct mv__exec *e, enum mv_termination t, bool cpu_time, char *buf,
                       size_t cap)
{
        const struct mv_limits *l = &e->limits;
        switch (t) {
        case MV_END_TIMEOUT:
                if (e->step_late) {
                        mv_fmt(buf, cap, "time limit of a step reached");
                        break;
                }
                mv_fmt(buf, cap, "%stime limit reached: %llu ms", cpu_time ? "CPU " : "",
                       (unsigned long long)((cpu_time ? l->cpu_ns_max : l->wall_ns_max) / 1000000));
                break;
        case MV_END_MEMORY:
                mv_fmt(buf, cap, "memory limit reached: %llu KiB",
                       (unsigned long long)(l->memory_bytes_max >> 10));
                break;
        case MV_END_FUEL:
                mv_fmt(buf, cap, "fuel limit reached: %llu steps", (unsigned long long)l->fuel_max);
                break;
        default:
                mv_fmt(buf, cap, "output limit reached: %llu bytes",
                       (unsigned long long)l->output_bytes_max);
        }
}

static const char *limit_option(enum mv_termination t, bool cpu_time)
{
        return cpu_time              ? "--cpu"
               : t == MV_END_TIMEOUT ? "--timeout"
               : t == MV_END_MEMORY  ? "--memory"
               : t == MV_END_FUEL    ? "--fuel"
                                     : "--max-output";
}

static void end_by_limit(struct mv__exec *e, enum mv_termination t, bool cpu_time)
{
        char text[160];
        limit_text(e, t, cpu_time, text, sizeof text);
        e->result->termination = t;
        e->result->error.kind = "LimitExceeded";
        e->result->error.message = mv__result_text(e->result, text);
        e->result->error.hint = e->step_late ? "" : limit_option(t, cpu_time);
}

/* What the program sent is larger than the host keeps for it: arguments, records. */
static void end_by_door_limit(struct mv__exec *e)
{
        e->result->termination = MV_END_OUTPUT;
        e->result->error.kind = "LimitExceeded";
        e->result->error.message = mv__result_text(e->result, e->tap.err.msg);
}

static void end_killed(struct mv__exec *e, const char *detail)
{
        char text[240];
        mv_fmt(text, sizeof text, "the cell was killed%s%s", detail[0] ? ": " : "", detail);
        e->result->termination = MV_END_KILLED;
        e->result->error.kind = "Killed";
        e->result->error.message = mv__result_text(e->result, text);
}

/* The guest's words are hostile: base64, and of something that says it is bytecode where that was
 * asked for. Whoever runs it verifies it behind a wall again. */
static void keep_compiled(struct mv__exec *e)
{
        struct mv_result *r = e->result;
        struct mv_err err;
        struct mv_slice text, bytes;
        if (!mv_as_text(r->value, &text) || mv_base64_decode(text, &r->arena, &bytes, &err) < 0 ||
            (e->x->purpose == MV_PURPOSE_COMPILE && !mv__is_bytecode(bytes))) {
                r->ok = false;
                end_killed(e, "the runner delivered no compiled program");
        } else {
                r->compiled = bytes;
        }
}

static void end_by_program(struct mv__exec *e, const struct mv_broker_outcome *o)
{
        struct mv_result *r = e->result;
        r->termination = o->termination;
        r->ok = o->ok;
        if (o->ok) {
                r->value = mv_value_copy(o->value, &r->arena);
                if (!r->value) {
                        r->ok = false;
                        end_by_limit(e, MV_END_OUTPUT, false);
                } else if (e->x->purpose == MV_PURPOSE_COMPILE ||
                           e->x->purpose == MV_PURPOSE_PARSE) {
                        keep_compiled(e);
                }
                return;
        }
        r->error = (struct mv_program_error){
                .kind = mv__result_text(r, o->error.kind),
                .message = mv__result_text(r, o->error.message),
                .operation = mv__result_text(r, o->error.operation),
                .capability = mv__result_text(r, o->error.capability),
                .context = mv__result_text(r, o->error.context),
                .hint = mv__result_text(r, o->error.hint),
                .line = o->error.line,
                .column = o->error.column,
        };
        if (is_limit(o->termination))
                end_by_limit(e, o->termination, false);
}

static void end_how(struct mv__exec *e, const struct mv_broker_outcome *o,
                    const struct mv_exit *exit)
{
        if (e->x->cancel && *e->x->cancel && exit->termination != MV_END_COMPLETED)
                end_killed(e, "cancelled by the caller");
        else if (e->tap.failed && e->tap.err.code == MV_E_LIMIT)
                end_by_door_limit(e);
        else if (e->tap.failed)
                end_killed(e, e->tap.err.msg);
        else if (exit->termination == MV_END_COMPLETED && o->outcome_known)
                end_by_program(e, o);
        else if (is_limit(exit->termination))
                end_by_limit(e, exit->termination,
                             exit->termination == MV_END_TIMEOUT && exit->cpu_time);
        else
                end_killed(e, exit->termination == MV_END_COMPLETED
                                      ? "the runner ended without a result"
                                      : exit->detail);
}

void mv__outcome(struct mv__exec *e, const struct mv_exit *exit)
{
        struct mv_result *r = e->result;
        struct mv_metadata *m = &r->metadata;
        struct mv_broker_outcome o;
        mv_broker_outcome(e->broker, &o);
        m->cpu_ns = exit->cpu_ns;
        m->memory_peak_bytes = exit->memory_peak_bytes;
        m->exit_code = exit->exit_code;
        m->signal = exit->signal;
        m->simulated = exit->simulated;
        m->calls = o.calls;
        m->denials = o.denials;
        m->fuel = o.fuel;
        r->stdout_bytes = keep_bytes(r, o.stdout_bytes);
        r->stderr_bytes = keep_bytes(r, o.stderr_bytes);
        keep_network(r, &o);
        keep_warnings(r, &o);
        keep_files(r, &o);
        end_how(e, &o, exit);
}
