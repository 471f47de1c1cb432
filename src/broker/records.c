/* SPDX-License-Identifier: Apache-2.0 */
/* The broker's records, keys in the order of their encoding (shorter first, then bytewise).
 * Drawn in broker.h. */
#include <broker/internal.h>
#include <wire/cbor.h>

/* Everything in a record that is not arguments or a payload: one decision's texts and eight
 * permissions. */
#define RECORD_ROOM_BYTES 4096

struct mv_slice mv__asked_id(const struct asked *q)
{
        return q->capability ? mv_slice_str(q->capability->id) : q->id;
}

int mv__record(struct mv_broker *b, enum mv_record_type type, struct mv_slice semantic,
               struct mv_slice observed, struct mv_err *err)
{
        if (b->o.replay && b->o.replay->goes_on && !b->compensating &&
            mv_trail_count(b->o.trail) >= b->o.replay->stops_at) {
                b->stopped_as_recorded = true;
                return mv_fail(err, MV_E_STATE, 0, "the program had been stopped here");
        }
        b->record_bytes += semantic.len + observed.len;
        if (b->record_bytes > RECORD_BYTES_MAX)
                return mv_fail(err, MV_E_LIMIT, 0,
                               "the execution's records are larger than %lu bytes",
                               (unsigned long)RECORD_BYTES_MAX);
        return mv_trail_append(b->o.trail, type, semantic, observed, err);
}

/* Append what was built in b->record. */
static int append(struct mv_broker *b, enum mv_record_type type, const struct mv_out *o,
                  struct mv_slice observed, struct mv_err *err)
{
        if (o->overflow)
                return mv_fail(err, MV_E_INTERNAL, 0, "broker: a %s record does not fit its buffer",
                               mv_record_type_name(type));
        return mv__record(b, type, mv_out_slice(o), observed, err);
}

static int room(struct mv_broker *b, size_t bytes, struct mv_out *ret, struct mv_err *err)
{
        if (!mv__bytes_reserve(&b->record, RECORD_ROOM_BYTES + bytes))
                return mv_fail(err, MV_E_NOMEM, 0, "broker: a record");
        *ret = mv_out(b->record.p, b->record.cap);
        return 0;
}

/* What the guest sent is canonical, and when all of it is small no argument is kept as its digest. */
bool mv__put_args(struct mv_out *o, const struct asked *q)
{
        if (q->args_raw.p && q->args_raw.len <= MV_AUDIT_VALUE_BYTES_MAX)
                return mv_put_slice(o, q->args_raw);
        bool ok = mv_cbor_put_array(o, q->args.count);
        for (uint32_t i = 0; ok && i < q->args.count; i++)
                ok = mv_audit_put_value(o, &q->args.items[i]);
        return ok;
}

/* Inline, so that the head of a key known to the compiler is. */
MV_INLINE void put_key(struct mv_out *o, const char *key)
{
        mv_cbor_put_str(o, key);
}

MV_INLINE void put_pair(struct mv_out *o, const char *key, const char *text)
{
        mv_cbor_put_str(o, key);
        mv_cbor_put_str(o, text);
}

static void put_permissions(struct mv_out *o, const struct mv_decision *d)
{
        put_key(o, "permissions");
        mv_cbor_put_array(o, d->permissions_count);
        for (uint32_t i = 0; i < d->permissions_count; i++)
                mv_cbor_put_str(o, d->permissions[i]);
}

static void put_decision(const struct mv_broker *b, const struct asked *q,
                         const struct mv_decision *d, struct mv_slice fault, struct mv_out *o)
{
        mv_cbor_put_map(o, 9 + (q ? 1 : 0) + (fault.len ? 1 : 0));
        put_key(o, "seq");
        mv_cbor_put_int(o, b->calls);
        if (q) {
                put_key(o, "args");
                mv__put_args(o, q);
        }
        put_pair(o, "hint", d->hint);
        put_pair(o, "rule", d->rule);
        if (fault.len) {
                put_key(o, "fault");
                mv_put_slice(o, fault);
        }
        put_pair(o, "level", mv_level_name(mv_context_level(b->o.context)));
        put_key(o, "allowed");
        mv_cbor_put_bool(o, d->allowed);
        put_pair(o, "context", d->context);
        put_pair(o, "operation", d->operation);
        put_key(o, "capability");
        if (q)
                mv_cbor_put_text(o, mv__asked_id(q));
        else
                mv_cbor_put_str(o, d->capability);
        put_permissions(o, d);
}

int mv__record_decision(struct mv_broker *b, const struct asked *q, const struct mv_decision *d,
                        struct mv_slice fault, struct mv_err *err)
{
        struct mv_out o;
        int r = room(b, (q ? q->args_raw.len + q->id.len : 0) + fault.len, &o, err);
        if (r < 0)
                return r;
        put_decision(b, q, d, fault, &o);
        return append(b, MV_REC_DECISION, &o, mv_slice(NULL, 0), err);
}

bool mv__build_call(struct mv_broker *b, const struct asked *q, struct mv_out *o)
{
        struct mv_err ignored;
        if (room(b, q->args_raw.len + q->id.len, o, &ignored) < 0)
                return false;
        mv_cbor_put_map(o, 3);
        put_key(o, "seq");
        mv_cbor_put_int(o, (int64_t)q->seq);
        put_key(o, "args");
        mv__put_args(o, q);
        put_key(o, "capability");
        return mv_cbor_put_text(o, mv__asked_id(q));
}

int mv__record_call(struct mv_broker *b, const struct asked *q, struct mv_err *err)
{
        struct mv_out o;
        if (!mv__build_call(b, q, &o))
                return mv_fail(err, MV_E_NOMEM, 0, "broker: a CALL record");
        return append(b, MV_REC_CALL, &o, q->exposed_note, err);
}

/* Of what a budget holds, other than calls: those are counted from the records themselves. */
static bool has_spent(const struct mv_broker *b)
{
        uint64_t any = 0;
        for (unsigned i = MV_SPEND_CALLS + 1; i < MV_SPEND_MAX_; i++)
                any |= b->spent[i];
        return any;
}

void mv__put_spent(const struct mv_broker *b, struct mv_out *o)
{
        put_key(o, "spent");
        mv_cbor_put_array(o, MV_SPEND_MAX_);
        for (unsigned i = 0; i < MV_SPEND_MAX_; i++)
                mv_cbor_put_int(o, b->spent[i] > INT64_MAX ? INT64_MAX : (int64_t)b->spent[i]);
}

/* What is not deterministic about a call: nothing of most pure ones. */
static void put_observed(const struct mv_broker *b, const struct asked *q, struct mv_out *o)
{
        bool spent = has_spent(b), retried = q->attempts > 0, timed = q->effect_ns > 0;
        if (!spent && !retried && !timed)
                return;
        mv_cbor_put_map(o, (uint32_t)spent + retried + timed);
        if (spent)
                mv__put_spent(b, o);
        if (retried) {
                put_key(o, "retries");
                mv_cbor_put_int(o, q->attempts);
        }
        if (timed) {
                put_key(o, "effect_ns");
                mv_cbor_put_int(o, (int64_t)q->effect_ns);
        }
}

int mv__record_result(struct mv_broker *b, const struct asked *q, const char *key,
                      struct mv_slice payload, struct mv_err *err)
{
        uint8_t seen[160];
        struct mv_out o, observed = mv_out(seen, sizeof seen);
        int r = room(b, payload.len, &o, err);
        if (r < 0)
                return r;
        bool said = q->done != (strcmp(key, "reply") == 0); /* else the key says it */
        mv_cbor_put_map(&o, 2 + said);
        put_key(&o, "seq");
        mv_cbor_put_int(&o, (int64_t)q->seq);
        if (said) {
                put_key(&o, "done");
                mv_cbor_put_bool(&o, q->done);
        }
        put_key(&o, key);
        mv_put_slice(&o, payload);
        mv__budget_clock(b);
        put_observed(b, q, &observed);
        return append(b, MV_REC_RESULT, &o, mv_out_slice(&observed), err);
}
