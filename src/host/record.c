/* SPDX-License-Identifier: Apache-2.0 */
/* The records an execution leaves besides those of its calls (which the broker writes).
 *
 * (1) Semantic parts name nothing that differs between providers: no provider, no tier, no time,
 *     no memory. The same program with the same replies gives the same root behind every wall.
 * (2) The observed part of EXECUTION_STARTED holds the program text and the limits, so that a
 *     stranger can run the execution again from the record alone (replay.c reads it back). grep
 *     STARTED-KEYS for the reader.
 * (3) On whose behalf, and the digests of the files that decide, stand in the observed part of the first record; that is
 *     the decision when nothing starts.
 * (4) Map keys are written in canonical order: by length, then bytewise. */
#include <base/slice.h>
#include <host/exec.h>
#include <unistd.h>
#include <wire/cbor.h>
#include <wire/text.h>

/* Fixed-size texts may have been cut inside a character: leave the broken tail out, records hold
 * valid UTF-8 only. */
static struct mv_slice whole_characters(const char *s)
{
        struct mv_slice t = mv_slice_str(s);
        while (t.len && !mv_utf8_valid(t))
                t.len--;
        return t;
}

MV_INLINE bool key_str(struct mv_out *o, const char *key, const char *s)
{
        return mv_cbor_put_str(o, key) && mv_cbor_put_text(o, whole_characters(s));
}

MV_INLINE bool key_int(struct mv_out *o, const char *key, uint64_t n)
{
        return mv_cbor_put_str(o, key) &&
               mv_cbor_put_int(o, n > INT64_MAX ? INT64_MAX : (int64_t)n);
}

MV_INLINE bool key_opt(struct mv_out *o, const char *key, const char *s)
{
        return s ? key_str(o, key, s) : mv_cbor_put_str(o, key) && mv_cbor_put_null(o);
}

MV_INLINE bool key_digest(struct mv_out *o, const char *key, const uint8_t digest[MV_DIGEST_BYTES])
{
        return mv_cbor_put_str(o, key) && mv_cbor_put_bytes(o, mv_slice(digest, MV_DIGEST_BYTES));
}

/* --- on whose behalf (3) ---------------------------------------------------------------------- */
static const struct mv_behalf nobody;

static uint32_t behalf_count(const struct mv_behalf *b)
{
        return 1u + (b->user != NULL) + (b->agent != NULL) + (b->tenant != NULL) +
               (b->configs_count > 0);
}

static bool put_optional(struct mv_out *o, const char *key, const char *text)
{
        return !text || key_str(o, key, text);
}

static bool put_configs(struct mv_out *o, const struct mv_behalf *b)
{
        bool ok = b->configs_count == 0 ||
                  (mv_cbor_put_str(o, "configs") && mv_cbor_put_array(o, b->configs_count));
        for (uint32_t i = 0; ok && i < b->configs_count; i++)
                ok = mv_cbor_put_array(o, 2) && mv_cbor_put_str(o, b->configs[i].name) &&
                     mv_cbor_put_str(o, b->configs[i].digest);
        return ok;
}

static bool put_behalf(struct mv_out *o, const void *what)
{
        const struct mv_behalf *b = what;
        return mv_cbor_put_map(o, behalf_count(b)) && key_int(o, "uid", getuid()) &&
               put_optional(o, "user", b->user) && put_optional(o, "agent", b->agent) &&
               put_optional(o, "tenant", b->tenant) && put_configs(o, b);
}

/* --- DECISION --------------------------------------------------------------------------------- */
struct decision_record {
        const struct mv__exec *exec;
        const struct mv_decision *decision;
};

static bool put_permissions(struct mv_out *o, const struct mv_decision *d)
{
        bool ok = mv_cbor_put_str(o, "permissions") && mv_cbor_put_array(o, d->permissions_count);
        for (uint32_t i = 0; ok && i < d->permissions_count; i++)
                ok = mv_cbor_put_str(o, d->permissions[i]);
        return ok;
}

static bool put_decision(struct mv_out *o, const void *what)
{
        const struct decision_record *r = what;
        const struct mv_decision *d = r->decision;
        return mv_cbor_put_map(o, 8) && key_str(o, "rule", d->rule) &&
               mv_cbor_put_str(o, "allowed") && mv_cbor_put_bool(o, d->allowed) &&
               key_str(o, "context", d->context) &&
               key_str(o, "operation", d->operation[0] ? d->operation : "program_authorization") &&
               key_str(o, "capability", d->capability) && put_permissions(o, d) &&
               key_str(o, "program_kind", mv__program_kind_name(r->exec->x->program.kind)) &&
               key_digest(o, "program_digest", r->exec->program_digest);
}

int mv__record_program_decision(struct mv__exec *e, const struct mv_decision *d, struct mv_err *err)
{
        struct decision_record what = { e, d };
        struct mv_slice semantic, observed = MV_SLICE("");
        int r = mv__encode(&e->scratch, put_decision, &what, &semantic, err);
        if (r == 0 && !d->allowed)
                r = mv__encode(&e->scratch, put_behalf, e->x->behalf ? e->x->behalf : &nobody,
                               &observed, err);
        return r < 0 ? r : mv_trail_append(e->trail, MV_REC_DECISION, semantic, observed, err);
}

/* --- EXECUTION_STARTED (grep STARTED-KEYS) ---------------------------------------------------- */
static bool put_args(struct mv_out *o, const struct mv_value *args)
{
        return mv_cbor_put_str(o, "args") &&
               (args ? mv_value_encode(o, args) : mv_cbor_put_array(o, 0));
}

static bool put_started(struct mv_out *o, const void *what)
{
        const struct mv__exec *e = what;
        const struct mv_execution *x = e->x;
        /* a run needs no word: its records are the same as ever */
        bool other = x->purpose != MV_PURPOSE_RUN;
        const struct mv_session *s = e->session;
        return mv_cbor_put_map(o, 10u + other + (s != NULL)) && put_args(o, x->args) &&
               key_int(o, "fuel", e->limits.fuel_max) &&
               key_str(o, "kind", mv__program_kind_name(x->program.kind)) &&
               key_str(o, "level", mv_level_name(mv_context_level(e->context))) &&
               key_int(o, "output", e->limits.output_bytes_max) &&
               key_digest(o, "context", e->context_digest) && mv_cbor_put_str(o, "prelude") &&
               mv_cbor_put_bool(o, x->prelude) && key_digest(o, "program", e->program_digest) &&
               (!other || key_str(o, "purpose", mv__purpose_name(x->purpose))) &&
               mv_cbor_put_str(o, "variables") &&
               (x->variables ? mv_value_encode(o, x->variables) : mv_cbor_put_null(o)) &&
               key_opt(o, "capability", x->capability_id) &&
               (!s || key_int(o, "evaluation", s->evaluations + 1));
}

static bool put_started_observed(struct mv_out *o, const void *what)
{
        const struct mv__exec *e = what;
        const struct mv_program *p = &e->x->program;
        const struct mv_behalf *b = e->x->behalf ? e->x->behalf : &nobody;
        const char *seed = e->x->seed;
        return mv_cbor_put_map(o, 6u + (e->session != NULL) + (seed != NULL) + behalf_count(b)) &&
               key_int(o, "uid", getuid()) && key_opt(o, "name", p->name) &&
               (!seed || key_str(o, "seed", seed)) &&
               key_str(o, "tier", mv_tier_name(e->result->tier)) &&
               put_optional(o, "user", b->user) && put_optional(o, "agent", b->agent) &&
               key_int(o, "memory", e->limits.memory_bytes_max) &&
               put_optional(o, "tenant", b->tenant) && put_configs(o, b) &&
               mv_cbor_put_str(o, "program") && mv_cbor_put_bytes(o, e->identity) &&
               (!e->session || key_str(o, "session", e->session->id)) &&
               key_str(o, "provider", e->result->provider) &&
               key_int(o, "started_ms", e->result->metadata.started_ms);
}

int mv__record_started(struct mv__exec *e, struct mv_err *err)
{
        struct mv_slice semantic, observed;
        int r = mv__encode(&e->scratch, put_started, e, &semantic, err);
        if (r == 0)
                r = mv__encode(&e->scratch, put_started_observed, e, &observed, err);
        return r < 0 ? r
                     : mv_trail_append(e->trail, MV_REC_EXECUTION_STARTED, semantic, observed, err);
}

/* --- EXECUTION_ENDED -------------------------------------------------------------------------- */
/* Why a cell was killed differs between walls: that is in the observed part. */
const char *mv__ended_message(const struct mv_result *r)
{
        return r->termination == MV_END_KILLED ? "killed" : r->error.message;
}

static bool put_ended(struct mv_out *o, const void *what)
{
        const struct mv_result *r = what;
        if (r->ok)
                return mv_cbor_put_map(o, 2) && mv_cbor_put_str(o, "value") &&
                       mv_value_encode(o, r->value) &&
                       key_str(o, "termination", mv_termination_name(r->termination));
        const char *message = mv__ended_message(r);
        return mv_cbor_put_map(o, 3) && key_str(o, "kind", r->error.kind) &&
               key_str(o, "message", message) &&
               key_str(o, "termination", mv_termination_name(r->termination));
}

struct ended_observed {
        const struct mv_result *result;
        const char *detail;
};

static bool put_ended_observed(struct mv_out *o, const void *what)
{
        const struct ended_observed *x = what;
        const struct mv_result *r = x->result;
        const struct mv_metadata *m = &r->metadata;
        return mv_cbor_put_map(o, 11) && key_str(o, "tier", mv_tier_name(r->tier)) &&
               key_int(o, "calls", m->calls) && key_int(o, "cpu_ns", m->cpu_ns) &&
               key_str(o, "detail", x->detail) && key_int(o, "denials", m->denials) &&
               key_int(o, "ended_ms", m->ended_ms) && key_str(o, "provider", r->provider) &&
               mv_cbor_put_str(o, "simulated") && mv_cbor_put_bool(o, m->simulated) &&
               key_int(o, "duration_ns", m->duration_ns) &&
               key_int(o, "output_bytes", r->stdout_bytes.len + r->stderr_bytes.len) &&
               key_int(o, "memory_peak_bytes", m->memory_peak_bytes);
}

int mv__record_ended(struct mv__exec *e, const char *detail, struct mv_err *err)
{
        struct ended_observed what = { e->result, detail };
        struct mv_slice semantic, observed;
        int r = mv__encode(&e->scratch, put_ended, e->result, &semantic, err);
        if (r == 0)
                r = mv__encode(&e->scratch, put_ended_observed, &what, &observed, err);
        return r < 0 ? r
                     : mv_trail_append(e->trail, MV_REC_EXECUTION_ENDED, semantic, observed, err);
}
