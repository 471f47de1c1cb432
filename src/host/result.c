/* SPDX-License-Identifier: Apache-2.0 */
/* A result owns one arena with copies of everything: it may outlive the host. */
#include <host/host.h>
#include <stdlib.h>
#include <string.h>

/* A result of MV_FRAME_PAYLOAD_MAX bytes decodes to at most 32 bytes of tree per byte. */
#define RESULT_BYTES_MAX ((size_t)512 << 20)

struct mv_result *mv__result_new(void)
{
        struct mv_result *r = malloc(sizeof *r);
        if (!r)
                return NULL;
        memset(r, 0, sizeof *r);
        r->arena = mv_arena_grow(RESULT_BYTES_MAX);
        r->error = (struct mv_program_error){ "", "", "", "", "", "", 0, 0 };
        r->metadata.exit_code = -1;
        return r;
}

struct mv_result *mv_result_free(struct mv_result *r)
{
        if (!r)
                return NULL;
        mv_arena_done(&r->arena);
        free(r);
        return NULL;
}

const char *mv__result_text(struct mv_result *r, const char *s)
{
        if (!s || !s[0])
                return "";
        size_t n = strlen(s) + 1;
        char *copy = mv_new(&r->arena, char, n);
        return copy ? memcpy(copy, s, n) : "";
}

void mv__result_deny(struct mv_result *r, const struct mv_decision *d)
{
        char text[sizeof d->operation + sizeof d->capability + sizeof d->context + 96];
        mv_decision_text(d, text, sizeof text);
        r->ok = false;
        r->termination = MV_END_DENIED;
        r->error = (struct mv_program_error){
                .kind = "SecurityViolation",
                .message = mv__result_text(r, text),
                .operation = mv__result_text(r, d->operation),
                .capability = mv__result_text(r, d->capability),
                .context = mv__result_text(r, d->context),
                .hint = mv__result_text(r, d->hint),
        };
        r->metadata.denials = 1;
}

const char *mv_termination_name(enum mv_termination t)
{
        static const char *const names[MV_END_MAX_] = {
                [MV_END_COMPLETED] = "completed",     [MV_END_ERROR] = "error",
                [MV_END_DENIED] = "denied",           [MV_END_TIMEOUT] = "timeout",
                [MV_END_MEMORY] = "memory",           [MV_END_FUEL] = "fuel",
                [MV_END_OUTPUT] = "output",           [MV_END_KILLED] = "killed",
                [MV_END_UNAVAILABLE] = "unavailable",
        };
        return t < MV_END_MAX_ ? names[t] : "unknown";
}

bool mv_result_ok(const struct mv_result *r)
{
        return r->ok;
}

const struct mv_value *mv_result_value(const struct mv_result *r)
{
        return r->ok ? r->value : NULL;
}

struct mv_slice mv_result_compiled(const struct mv_result *r)
{
        return r->ok ? r->compiled : (struct mv_slice){ NULL, 0 };
}

const struct mv_program_error *mv_result_error(const struct mv_result *r)
{
        return r->ok ? NULL : &r->error;
}

enum mv_termination mv_result_termination(const struct mv_result *r)
{
        return r->termination;
}

const struct mv_metadata *mv_result_metadata(const struct mv_result *r)
{
        return &r->metadata;
}

const char *mv_result_execution_id(const struct mv_result *r)
{
        return r->execution_id;
}

const char *mv_result_provider(const struct mv_result *r)
{
        return r->provider;
}

enum mv_tier mv_result_tier(const struct mv_result *r)
{
        return r->tier;
}

struct mv_slice mv_result_stdout(const struct mv_result *r)
{
        return r->stdout_bytes;
}

struct mv_slice mv_result_stderr(const struct mv_result *r)
{
        return r->stderr_bytes;
}

const uint8_t *mv_result_root(const struct mv_result *r)
{
        return r->root;
}

uint32_t mv_result_records(const struct mv_result *r)
{
        return r->records;
}
