/* SPDX-License-Identifier: Apache-2.0 */
/* Calls whose outcome a crash took away, idempotency keys, and retries (docs/design/durability.md).
 *
 * (1) A CALL record without a RESULT says that the effect may have happened. It is carried out again only when that does no
 *     harm; otherwise nothing happens until somebody has said what did.
 * (2) A decision names its call: one that was made about another call is not used.
 * (3) With an idempotency key, `begun` is durable before the effect: a call whose key the log does not have did not happen.
 * (4) Only what may be repeated is retried, and only after a fault that may go away by itself. */
#include <broker/internal.h>
#include <time.h>

int mv__answer_fault(struct mv_broker *b, struct asked *q, const char *kind, const char *text,
                     const char **ret_key, struct mv_err *err)
{
        *ret_key = "fault";
        mv_fmt(q->fault.kind, sizeof q->fault.kind, "%s", kind);
        mv_fmt(q->fault.message, sizeof q->fault.message, "%s: %s", q->capability->id, text);
        int r = mv__reply_fault(b, q->seq, &q->fault, err);
        return r < 0 ? r : 1;
}

static int ask_somebody(const struct asked *q, struct mv_err *err)
{
        return mv_fail(err, MV_E_IN_DOUBT, 0,
                       "call %llu (%s) was begun, and nobody knows whether it happened: look, then "
                       "resume with "
                       "--in-doubt %llu=done, %llu=repeat or %llu=fail",
                       (unsigned long long)q->seq, q->capability->id, (unsigned long long)q->seq,
                       (unsigned long long)q->seq, (unsigned long long)q->seq);
}

/* (2) */
static enum mv_in_doubt decided(const struct mv_broker *b, const struct asked *q)
{
        const struct mv_resumption *d = b->o.replay->decided;
        return d && d->in_doubt_call == q->seq ? d->in_doubt : MV_IN_DOUBT_STOP;
}

static bool repeatable(const struct mv_broker *b, const struct asked *q)
{
        return (b->hints && b->hints->idempotent) ||
               mv_capability_repeatable(b->o.table, q->capability, q->args.items, q->args.count);
}

/* As mv__before_effect; the call was begun by a process that died. */
static int in_doubt(struct mv_broker *b, struct asked *q, const char **ret_key, struct mv_err *err)
{
        static const struct mv_value nil = { .kind = MV_NIL };
        const struct mv_resumption *d = b->o.replay->decided;
        int r;
        switch (decided(b, q)) {
        case MV_IN_DOUBT_REPEAT:
                return 0;
        case MV_IN_DOUBT_DONE:
                *ret_key = "reply";
                q->done = true;
                r = mv__reply_value(b, q->seq, d->reply ? d->reply : &nil, err);
                return r < 0 ? r : 1;
        case MV_IN_DOUBT_FAIL:
                return mv__answer_fault(
                        b, q, "UnknownOutcome",
                        "it was begun before a crash, and nobody knows whether it happened",
                        ret_key, err);
        default:
                return repeatable(b, q) ? 0 : ask_somebody(q, err); /* (1) */
        }
}

/* --- idempotency keys ------------------------------------------------------------------------- */
/* Of two texts, whatever they hold. */
static void digest(struct mv_slice a, struct mv_slice b, uint8_t ret[MV_DIGEST_BYTES])
{
        uint8_t both[2][MV_DIGEST_BYTES];
        mv_sha256(a, both[0]);
        mv_sha256(b, both[1]);
        mv_sha256(mv_slice(both, sizeof both), ret);
}

void mv__request_digest(const struct asked *q, uint8_t ret[MV_DIGEST_BYTES])
{
        digest(mv__asked_id(q), q->args_raw, ret);
}

/* A key of scope `plan` is another one in another program (REQ-IDEM-02). */
struct mv_keyed mv__keyed(const struct mv_broker *b, const struct asked *q)
{
        const struct mv__hints *h = b->hints;
        struct mv_keyed x = { .execution_id = b->o.execution_id,
                              .call = q->seq,
                              .window_ms = h->window_ms };
        digest(h->key_global ? MV_SLICE("global") : mv_slice(b->o.plan, MV_DIGEST_BYTES),
               mv_slice(h->key, h->key_len), x.key);
        mv__request_digest(q, x.request);
        return x;
}

static int answer_done(struct mv_broker *b, struct asked *q, const struct mv_keyed_found *f,
                       const char **ret_key, struct mv_err *err)
{
        if (!f->result.len)
                return mv__answer_fault(
                        b, q, "UnknownOutcome",
                        "it was done under this idempotency key, but its result was "
                        "too large to keep",
                        ret_key, err);
        *ret_key = "reply";
        q->done = true;
        int r = mv__reply_raw(b, MV_FRAME_REPLY, q->seq, f->result, err);
        if (r == 0)
                r = mv__ask_about_result(b, q, ret_key, err);
        return r < 0 ? r : 1;
}

/* As mv__before_effect; 2: it was begun right now, so it did not happen before (3). */
static int ask_log(struct mv_broker *b, struct asked *q, const char **ret_key, struct mv_err *err)
{
        struct mv_keyed x = mv__keyed(b, q);
        struct mv_keyed_found f;
        int r = mv_effects_begin(b->o.effects, &x, &q->arena, &f, err);
        if (r < 0)
                return r;
        if (f.state == MV_KEYED_DONE)
                return answer_done(b, q, &f, ret_key, err);
        if (f.state == MV_KEYED_OTHER)
                return mv__answer_fault(b, q, "IdempotencyConflict",
                                        "the idempotency key belongs to another request", ret_key,
                                        err);
        if (f.state == MV_KEYED_BEGUN && !f.own && !repeatable(b, q))
                return mv__answer_fault(b, q, "UnknownOutcome",
                                        "it was begun under this idempotency key, and nobody knows "
                                        "whether it happened",
                                        ret_key, err);
        q->begun = true;
        return f.state == MV_KEYED_ABSENT ? 2 : 0;
}

int mv__before_effect(struct mv_broker *b, struct asked *q, const char **ret_key,
                      struct mv_err *err)
{
        const struct mv__hints *h = b->hints;
        bool doubt = b->o.replay && mv_trail_followed(b->o.trail) && !q->untouched;
        int r = 0;
        if (h && h->wrong)
                return mv__answer_fault(b, q, "InvalidArgument", h->wrong, ret_key, err);
        if (h && h->key_len && b->o.effects && !q->capability->pure && !mv__is_deterministic(b))
                r = ask_log(b, q, ret_key, err);
        if (r == 2)
                return 0;
        return r == 0 && doubt ? in_doubt(b, q, ret_key, err) : r;
}

/* --- retries (REQ-IDEM-07, -08) --------------------------------------------------------------- */
static uint64_t now_ns(void)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* What may go away by itself. Everything else is the same the next time. */
static bool transient(const struct mv_broker *b, const struct asked *q)
{
        return !b->denied_inside && (strcmp(q->fault.kind, "NetworkError") == 0 ||
                                     strcmp(q->fault.kind, "TimeoutError") == 0);
}

int mv__after_effect(struct mv_broker *b, struct asked *q, bool ok, struct mv_err *err)
{
        struct mv_keyed x = mv__keyed(b, q);
        /* A network that failed says nothing about the effect: it stays begun. */
        if (!ok && transient(b, q) && !repeatable(b, q))
                return 0;
        return mv_effects_end(b->o.effects, &x, ok ? MV_KEYED_DONE : MV_KEYED_FAILED,
                              ok ? mv__reply_payload(b) : mv_slice(NULL, 0), err);
}

bool mv__wait_ms(const struct mv_broker *b, uint32_t ms)
{
        uint64_t until = now_ns() + ms * 1000000ull;
        if (b->o.deadline_ns && until >= b->o.deadline_ns)
                return false;
        for (uint64_t now; (now = now_ns()) < until;) {
                if (b->o.cancel && *b->o.cancel)
                        return false;
                uint64_t step = until - now < 20000000 ? until - now : 20000000;
                nanosleep(&(struct timespec){ .tv_nsec = (long)step }, NULL);
        }
        return true;
}

bool mv__try_again(struct mv_broker *b, struct asked *q)
{
        const struct mv__hints *h = b->hints;
        if (!h || q->attempts >= h->retries || b->fatal.code != MV_OK || !transient(b, q) ||
            !repeatable(b, q) || !mv__wait_ms(b, h->backoff_ms[q->attempts]))
                return false;
        q->attempts++;
        mv__hint_applied(b, q, "retry", q->attempts);
        q->fault.kind[0] = q->fault.message[0] = '\0';
        return true;
}
