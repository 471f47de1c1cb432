/* SPDX-License-Identifier: Apache-2.0 */
/* Answering from the record (see struct mv_broker_replay).
 *
 * For a CALL the record holds DECISION, and when it was allowed CALL, further DECISIONs made inside, and RESULT. What the
 * program asks now is encoded the way it would be recorded now, and compared with what was recorded: equal bytes or
 * divergence. Recorded bytes are appended as they are, so an equal run has an equal root. */
#include <broker/internal.h>
#include <wire/cbor.h>

static int diverged(const struct mv_broker *b, const struct asked *q, const char *how,
                    struct mv_err *err)
{
        struct mv_slice id = q ? mv__asked_id(q) : MV_SLICE("the end");
        return mv_fail(err, MV_E_CORRUPT, 0,
                       "replay diverged at call %u: the program asks for %.*s, %s",
                       (unsigned)b->calls + (q ? 0 : 1), (int)(id.len < 200 ? id.len : 200),
                       (const char *)id.p, how);
}

static bool counts(enum mv_record_type type)
{
        return type == MV_REC_DECISION || type == MV_REC_CALL || type == MV_REC_RESULT;
}

/* The next record that counts: 1, 0 at the end, negative. */
static int next(struct mv_broker *b, enum mv_record_type *type, struct mv_slice *semantic,
                struct mv_err *err)
{
        int r;
        do
                r = b->o.replay->next(b->o.replay->ctx, type, semantic, err);
        while (r == 1 && !counts(*type));
        return r;
}

static int expect(struct mv_broker *b, const struct asked *q, enum mv_record_type wanted,
                  struct mv_slice *ret, struct mv_err *err)
{
        enum mv_record_type type;
        int r = next(b, &type, ret, err);
        if (r < 0)
                return r;
        if (r == 0)
                return diverged(b, q, "the record ends before", err);
        return type == wanted ? 0 : diverged(b, q, "the record goes on with something else", err);
}

enum {
        D_SEQ,
        D_ARGS,
        D_HINT,
        D_RULE,
        D_FAULT,
        D_LEVEL,
        D_ALLOWED,
        D_CONTEXT,
        D_OPERATION,
        D_CAPABILITY,
        D_PERMISSIONS,
        D_COUNT
};
static const struct field decision_fields[D_COUNT] = {
        { "seq", true },
        { "args" },
        { "hint", true },
        { "rule", true },
        { "fault" },
        { "level", true },
        { "allowed", true },
        { "context", true },
        { "operation", true },
        { "capability", true },
        { "permissions", true },
};

static bool same_text(const struct field *f, struct mv_slice wanted)
{
        struct mv_slice text;
        struct mv_err ignored;
        return mv__field_text(f, &text, &ignored) == 0 && mv_slice_eq(text, wanted);
}

/* Is the decision about this very call? Arguments are compared as they are recorded: whole, or
 * by digest. */
static bool same_call(struct mv_broker *b, const struct asked *q, const struct field *f)
{
        uint64_t seq;
        struct mv_err ignored;
        if (mv__field_count(&f[D_SEQ], &seq, &ignored) < 0 || seq != q->seq)
                return false;
        if (!mv__bytes_reserve(&b->record, q->args_raw.len + 256))
                return false;
        struct mv_out o = mv_out(b->record.p, b->record.cap);
        return mv__put_args(&o, q) && mv_slice_eq(mv_out_slice(&o), f[D_ARGS].raw) &&
               same_text(&f[D_CAPABILITY], mv__asked_id(q));
}

static bool is_true(const struct field *f)
{
        return f->raw.len == 1 && f->raw.p[0] == 0xf5;
}

static void copy_field(const struct field *f, char *buf, size_t cap)
{
        struct mv_slice text = { NULL, 0 };
        struct mv_err ignored;
        if (mv__field_text(f, &text, &ignored) == 0)
                mv_fmt(buf, cap, "%.*s", (int)(text.len < cap ? text.len : cap - 1),
                       (const char *)text.p);
}

/* So that the outcome carries the hint it carried then. */
static void remember(struct mv_broker *b, const struct field *f)
{
        struct mv_decision d = { .allowed = false };
        copy_field(&f[D_OPERATION], d.operation, sizeof d.operation);
        copy_field(&f[D_CAPABILITY], d.capability, sizeof d.capability);
        copy_field(&f[D_CONTEXT], d.context, sizeof d.context);
        copy_field(&f[D_HINT], d.hint, sizeof d.hint);
        mv__remember_denial(b, &d);
}

static bool is_violation(struct mv_slice fault)
{
        struct field f[] = {
                { "kind", true }, { "context" }, { "message" }, { "operation" }, { "capability" }
        };
        struct mv_err ignored;
        return mv__fields_read(fault, f, 5, &ignored) == 0 &&
               same_text(&f[0], MV_SLICE("SecurityViolation"));
}

/* CALL, decisions made inside, RESULT. */
static int replay_allowed(struct mv_broker *b, struct asked *q, struct mv_err *err)
{
        struct mv_slice semantic = { NULL, 0 };
        struct mv_out mine;
        struct field inside[D_COUNT],
                result[] = { { "seq", true }, { "fault" }, { "reply" }, { "done" } };
        enum mv_record_type type = MV_REC_MAX_;
        if (b->o.replay->goes_on) { /* what it spent before counts on */
                mv__spent(b, MV_SPEND_CALLS, 1);
                mv__step_answered(b, q);
        }
        int r = expect(b, q, MV_REC_CALL, &semantic, err);
        if (r < 0)
                return r;
        if (!mv__build_call(b, q, &mine) || !mv_slice_eq(mv_out_slice(&mine), semantic))
                return diverged(b, q, "the record says something else", err);
        r = mv__record(b, MV_REC_CALL, semantic, mv_slice(NULL, 0), err);
        while (r == 0) {
                r = next(b, &type, &semantic, err);
                if (r == 0)
                        return diverged(b, q, "the record ends before its result", err);
                if (r < 0 || type != MV_REC_DECISION)
                        break;
                memcpy(inside, decision_fields, sizeof inside);
                r = mv__fields_read(semantic, inside, D_COUNT, err);
                if (r == 0 && !is_true(&inside[D_ALLOWED]))
                        remember(b, inside);
                if (r == 0)
                        r = mv__record(b, MV_REC_DECISION, semantic, mv_slice(NULL, 0), err);
        }
        if (r < 0)
                return r;
        if (type != MV_REC_RESULT || mv__fields_read(semantic, result, 4, err) < 0 ||
            result[1].seen == result[2].seen)
                return diverged(b, q, "the record has no result for it", err);
        bool fault = result[1].seen;
        q->done = result[3].seen ? is_true(&result[3]) : !fault;
        r = mv__record(b, MV_REC_RESULT, semantic, mv_slice(NULL, 0), err);
        return r < 0 ? r
                     : mv__reply_raw(b, fault ? MV_FRAME_FAULT : MV_FRAME_REPLY, q->seq,
                                     result[fault ? 1 : 2].raw, err);
}

/* What the program was told, as it is made into a frame again. */
static void take_fault(struct mv_slice raw, struct mv_fault *ret)
{
        struct field f[] = {
                { "kind", true }, { "context" }, { "message" }, { "operation" }, { "capability" }
        };
        struct mv_fault bare = { .message = "" };
        struct mv_err ignored;
        char prefix[64];
        if (!raw.len || is_violation(raw) || mv__fields_read(raw, f, 5, &ignored) < 0)
                return;
        copy_field(&f[0], ret->kind, sizeof ret->kind);
        copy_field(&f[2], ret->message, sizeof ret->message);
        memcpy(bare.kind, ret->kind, sizeof bare.kind);
        mv_fault_text(&bare, prefix, sizeof prefix);
        size_t n = strlen(prefix);
        if (strncmp(ret->message, prefix, n) == 0)
                memmove(ret->message, ret->message + n, strlen(ret->message + n) + 1);
}

int mv__replay_decision(struct mv_broker *b, struct asked *q, bool *ret_allowed, struct mv_err *err)
{
        struct field f[D_COUNT];
        struct mv_slice semantic = { NULL, 0 };
        enum mv_record_type type;
        struct mv_decision *d = &q->decision;
        int r = next(b, &type, &semantic, err);
        if (r <= 0 || type != MV_REC_DECISION)
                return r < 0 ? r : 0;
        memcpy(f, decision_fields, sizeof f);
        r = mv__fields_read(semantic, f, D_COUNT, err);
        if (r < 0 || !same_call(b, q, f))
                return r < 0 ? r : diverged(b, q, "the record says something else", err);
        *ret_allowed = is_true(&f[D_ALLOWED]);
        if (*ret_allowed)
                return 1;
        d->allowed = false;
        copy_field(&f[D_HINT], d->hint, sizeof d->hint);
        copy_field(&f[D_RULE], d->rule, sizeof d->rule);
        copy_field(&f[D_CONTEXT], d->context, sizeof d->context);
        copy_field(&f[D_OPERATION], d->operation, sizeof d->operation);
        take_fault(f[D_FAULT].raw, &q->fault);
        return 1;
}

bool mv__replays(const struct mv_broker *b, uint64_t seq)
{
        const struct mv_broker_replay *r = b->o.replay;
        return r && (!r->goes_on || seq <= r->answered);
}

int mv__replay_call(struct mv_broker *b, struct asked *q, struct mv_err *err)
{
        struct field f[D_COUNT];
        struct mv_slice semantic = { NULL, 0 };
        memcpy(f, decision_fields, sizeof f);
        int r = expect(b, q, MV_REC_DECISION, &semantic, err);
        if (r == 0)
                r = mv__fields_read(semantic, f, D_COUNT, err);
        if (r < 0)
                return r;
        bool allowed = is_true(&f[D_ALLOWED]);
        if (!same_call(b, q, f) || allowed == f[D_FAULT].seen)
                return diverged(b, q, "the record says something else", err);
        r = mv__record(b, MV_REC_DECISION, semantic, mv_slice(NULL, 0), err);
        if (r < 0 || allowed)
                return r < 0 ? r : replay_allowed(b, q, err);
        if (is_violation(f[D_FAULT].raw))
                remember(b, f);
        return mv__reply_raw(b, MV_FRAME_FAULT, q->seq, f[D_FAULT].raw, err);
}

int mv__replay_end(struct mv_broker *b, struct mv_err *err)
{
        enum mv_record_type type;
        struct mv_slice semantic;
        if (!b->o.replay || b->o.replay->goes_on)
                return 0;
        int r = next(b, &type, &semantic, err);
        return r == 1 ? diverged(b, NULL, "the record holds another call", err) : r;
}
