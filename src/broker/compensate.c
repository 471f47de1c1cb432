/* SPDX-License-Identifier: Apache-2.0 */
/* Undoing what a failed execution has done (REQ-IDEM-05). What is undone by what stands in the records, as hints and calls: so
 * a process that died while compensating is resumed like any other, and finds the same list again.
 *
 * (1) A compensation is a call: decided by the same context, recorded before it happens, in doubt after a crash like any other.
 * (2) Newest first; each once; a failure of one is recorded and the next is tried.
 * (3) The execution's deadline has often passed: compensations together get as long as the execution was given. */
#include <broker/internal.h>
#include <stdlib.h>
#include <time.h>
#include <wire/cbor.h>

#define RETRIES    3
#define BACKOFF_MS 200

void mv__owed_free(struct mv__owed *o)
{
        while (o) {
                struct mv__owed *before = o->before;
                free(o);
                o = before;
        }
}

/* One effect, however often its key was asked for. */
static bool is_owed(const struct mv_broker *b, const struct mv_keyed *x)
{
        for (const struct mv__owed *o = b->owed; o; o = o->before)
                if (o->keyed && memcmp(o->key.key, x->key, sizeof x->key) == 0)
                        return true;
        return false;
}

int mv__owe(struct mv_broker *b, const struct asked *q, struct mv_err *err)
{
        const struct bytes *c = &b->hints->compensation;
        bool keyed = b->hints->key_len && b->o.effects;
        struct mv_keyed key = keyed ? mv__keyed(b, q) : (struct mv_keyed){ 0 };
        if (!c->len || b->compensating || (keyed && is_owed(b, &key)))
                return 0;
        struct mv__owed *o = malloc(sizeof *o + c->len);
        if (!o)
                return mv_fail(err, MV_E_NOMEM, 0, "broker: compensations");
        o->before = b->owed;
        o->call = q->seq;
        o->keyed = keyed;
        o->key = key;
        o->len = c->len;
        memcpy(o->bytes, c->p, c->len);
        b->owed = o;
        return 0;
}

bool mv__compensates(const struct mv_broker *b)
{
        return b->owed && b->outcome.outcome_known && !b->outcome.ok;
}

static int record_step(struct mv_broker *b, const struct mv_out *o, struct mv_err *err)
{
        if (o->overflow)
                return mv_fail(err, MV_E_INTERNAL, 0, "broker: a compensation record does not fit");
        return mv__record(b, MV_REC_STEP, mv_out_slice(o), mv_slice(NULL, 0), err);
}

static int record_started(struct mv_broker *b, const struct mv_broker_failure *why,
                          struct mv_err *err)
{
        size_t room = strlen(why->message) + 256;
        if (!mv__bytes_reserve(&b->record, room))
                return mv_fail(err, MV_E_NOMEM, 0, "broker: a record");
        struct mv_out o = mv_out(b->record.p, b->record.cap);
        mv_cbor_put_array(&o, 4);
        mv_cbor_put_str(&o, "compensation-started");
        mv_cbor_put_str(&o, why->termination);
        mv_cbor_put_str(&o, why->kind);
        mv_cbor_put_str(&o, why->message);
        return record_step(b, &o, err);
}

static int record_numbers(struct mv_broker *b, const char *event, const uint64_t *n, size_t count,
                          struct mv_err *err)
{
        uint8_t buf[80];
        struct mv_out o = mv_out(buf, sizeof buf);
        mv_cbor_put_array(&o, count + 1);
        mv_cbor_put_str(&o, event);
        for (size_t i = 0; i < count; i++)
                mv_cbor_put_int(&o, (int64_t)n[i]);
        return record_step(b, &o, err);
}

static uint64_t now_ns(void)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* What the program said about its own calls does not hold for these. */
static int begin(struct mv_broker *b, struct mv_err *err)
{
        mv__hints_free(b->hints);
        b->hints = calloc(1, sizeof *b->hints);
        if (!b->hints)
                return mv_fail(err, MV_E_NOMEM, 0, "broker: hints");
        b->hints->retries = RETRIES;
        for (uint32_t i = 0; i < RETRIES; i++)
                b->hints->backoff_ms[i] = BACKOFF_MS << i;
        b->compensating = true;
        mv__steps_compensate(b);
        b->record_bytes = 0;
        b->o.cancel = NULL;
        b->o.session = false; /* nobody is to be told to stop any more */
        if (b->o.deadline_ns)
                b->o.deadline_ns = now_ns() + b->limits.wall_ns_max; /* (3) */
        return 0;
}

/* 1: undone; 0: it failed. */
static int undo(struct mv_broker *b, struct mv__owed *o, struct mv_err *err)
{
        struct mv_frame call = { .type = MV_FRAME_CALL,
                                 .seq = (uint64_t)b->calls + 1,
                                 .payload = mv_slice(o->bytes, o->len) };
        struct mv_frame answer;
        int r = record_numbers(b, "compensating", &o->call, 1, err);
        if (r == 0)
                r = mv__call(b, &call, err);
        if (r == 0)
                r = mv_frame_decode(mv_slice(b->reply.p, b->reply.len), &answer, err);
        if (r < 0)
                return r;
        if (answer.type != MV_FRAME_REPLY)
                return 0;
        if (o->keyed && !(b->o.replay && !b->o.replay->goes_on))
                r = mv_effects_end(b->o.effects, &o->key, MV_KEYED_COMPENSATED, mv_slice(NULL, 0),
                                   err);
        return r < 0 ? r : 1;
}

int mv_broker_compensate(struct mv_broker *b, const struct mv_broker_failure *why,
                         uint32_t *ret_done, uint32_t *ret_failed, struct mv_err *err)
{
        uint64_t n[2] = { 0, 0 }; /* done, failed */
        if (!b->owed)
                return 0;
        int r = begin(b, err);
        if (r == 0)
                r = record_started(b, why, err);
        for (struct mv__owed *o = b->owed; r >= 0 && o; o = o->before) { /* (2) */
                r = undo(b, o, err);
                n[r != 1]++;
        }
        if (r >= 0)
                r = record_numbers(b, "compensation-completed", n, 2, err);
        if (r >= 0)
                r = mv__replay_end(b, err);
        if (r < 0)
                return mv_wrap(err, "compensation");
        *ret_done = (uint32_t)n[0];
        *ret_failed = (uint32_t)n[1];
        return 0;
}

bool mv_broker_stopped_as_recorded(const struct mv_broker *b)
{
        return b->stopped_as_recorded;
}
