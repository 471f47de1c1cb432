/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that are not made, or later: what the program's hints say about repeated, failing and frequent ones (REQ-IDEM-07).
 *
 *   cache            the same call again is answered with the earlier reply, for so long
 *   circuit-breaker  after so many failures in a row of one capability its calls fail at once; after a while they are tried again,
 *                    and so many successes in a row make it as good as new
 *   rate-limit       calls of one capability wait for their turn
 *
 * (1) All of it is one execution's: what one program was answered is no answer to another, which was granted something else.
 * (2) It happens behind the decision and the CALL record, in place of the effect or before it, and the call is counted like any
 *     other. A note, HintApplied, says that it happened.
 * (3) Time decides, so it is no part of what a run is: a resumed run begins with no memory of it. */
#include <broker/internal.h>
#include <stdlib.h>
#include <wire/cbor.h>

#define CACHE_BYTES_MAX ((size_t)16 << 20)

struct habit { /* of one capability */
        struct habit *next;
        const struct mv_capability *capability;
        uint32_t failures, successes; /* in a row; successes: since it was tried again */
        uint64_t open_until_ns;       /* 0: the breaker is closed */
        double tokens;
        uint64_t tokens_at_ns; /* 0: never asked */
};
struct answer {
        struct answer *older;
        uint8_t request[MV_DIGEST_BYTES];
        uint64_t until_ns;
        size_t len;
        uint8_t reply[];
};
struct mv__resilience {
        struct habit *habits;
        struct answer *newest;
};

void mv__hint_applied(struct mv_broker *b, const struct asked *q, const char *hint, uint64_t n)
{
        uint8_t buf[64], seen[32];
        struct mv_out o = mv_out(buf, sizeof buf), observed = mv_out(seen, sizeof seen);
        struct mv_err err;
        mv_cbor_put_map(&o, 2);
        mv_cbor_put_str(&o, "call");
        mv_cbor_put_int(&o, (int64_t)q->seq);
        mv_cbor_put_str(&o, "hint");
        mv_cbor_put_str(&o, hint);
        mv_cbor_put_map(&observed, 1);
        mv_cbor_put_str(&observed, "n");
        mv_cbor_put_int(&observed, (int64_t)n);
        b->record_bytes += o.len + observed.len;
        if (mv_trail_note(b->o.trail, MV_REC_HINT, mv_out_slice(&o), mv_out_slice(&observed),
                          &err) < 0 &&
            b->fatal.code == MV_OK)
                b->fatal = err;
}

/* NULL: no memory. */
static struct habit *habit_of(struct mv_broker *b, const struct mv_capability *c)
{
        struct habit *h = b->resilience->habits;
        while (h && h->capability != c)
                h = h->next;
        if (h)
                return h;
        h = calloc(1, sizeof *h);
        if (h) {
                h->capability = c;
                h->next = b->resilience->habits;
                b->resilience->habits = h;
        }
        return h;
}

/* --- cache ------------------------------------------------------------------------------------ */
static bool caches(const struct mv_broker *b)
{
        return b->hints->cache_ms && !mv__is_deterministic(b);
}

/* This one and all that are older. */
static void drop_from(struct answer **at)
{
        while (*at) {
                struct answer *a = *at;
                *at = a->older;
                free(a);
        }
}

struct mv__resilience *mv__resilience_free(struct mv__resilience *x)
{
        while (x && x->habits) {
                struct habit *next = x->habits->next;
                free(x->habits);
                x->habits = next;
        }
        if (x)
                drop_from(&x->newest);
        free(x);
        return NULL;
}

static int ask_cache(struct mv_broker *b, struct asked *q, const char **ret_key, struct mv_err *err)
{
        uint8_t request[MV_DIGEST_BYTES];
        uint64_t now = mv__broker_now_ns();
        const struct answer *a = b->resilience->newest;
        mv__request_digest(q, request);
        while (a && memcmp(a->request, request, sizeof request) != 0)
                a = a->older;
        if (!a || a->until_ns <= now)
                return 0;
        *ret_key = "reply";
        mv__hint_applied(b, q, "cache", 1);
        int r = mv__reply_raw(b, MV_FRAME_REPLY, q->seq, mv_slice(a->reply, a->len), err);
        return r < 0 ? r : 1;
}

/* The newest first; the oldest go where there are too many. One without room is not kept: the call will be made. */
static void keep_answer(struct mv_broker *b, const struct asked *q)
{
        struct mv__resilience *x = b->resilience;
        struct mv_slice reply = mv__reply_payload(b);
        size_t size = sizeof(struct answer) + reply.len;
        struct answer *a = size <= CACHE_BYTES_MAX / 16 ? malloc(size) : NULL;
        if (!a)
                return;
        mv__request_digest(q, a->request);
        a->until_ns = mv__broker_now_ns() + b->hints->cache_ms * 1000000;
        a->len = reply.len;
        memcpy(a->reply, reply.p, reply.len);
        a->older = x->newest;
        x->newest = a;
        size_t kept = 0;
        uint32_t n = 0;
        for (struct answer **at = &x->newest; *at; at = &(*at)->older) {
                kept += sizeof **at + (*at)->len;
                if (++n > b->hints->cache_entries || kept > CACHE_BYTES_MAX) {
                        drop_from(at);
                        break;
                }
        }
}

/* --- circuit breaker -------------------------------------------------------------------------- */
static int ask_breaker(struct mv_broker *b, struct asked *q, const struct habit *h,
                       const char **ret_key, struct mv_err *err)
{
        uint64_t now = mv__broker_now_ns();
        char text[96];
        if (now >= h->open_until_ns)
                return 0;
        mv_fmt(text, sizeof text, "%u calls in a row failed; it is tried again in %lu ms",
               h->failures, (unsigned long)((h->open_until_ns - now) / 1000000 + 1));
        mv__hint_applied(b, q, "circuit-breaker", h->failures);
        return mv__answer_fault(b, q, "CircuitOpen", text, ret_key, err);
}

static void note_outcome(struct mv_broker *b, struct habit *h, bool ok)
{
        bool tried_again = h->open_until_ns != 0;
        h->failures =
                ok ? (tried_again ? h->failures : 0) : h->failures + (h->failures < UINT32_MAX);
        h->successes = ok && tried_again ? h->successes + 1 : 0;
        if (!ok && (tried_again || h->failures >= b->hints->breaker_failures)) {
                h->open_until_ns = mv__broker_now_ns() + b->hints->breaker_ms * 1000000;
        } else if (tried_again && h->successes >= b->hints->breaker_successes) {
                h->open_until_ns = 0;
                h->failures = h->successes = 0;
        }
}

/* --- rate limit ------------------------------------------------------------------------------- */
static int wait_turn(struct mv_broker *b, struct asked *q, struct habit *h, const char **ret_key,
                     struct mv_err *err)
{
        double rate = b->hints->rate, burst = b->hints->burst;
        uint64_t now = mv__broker_now_ns();
        double more = h->tokens_at_ns ? (double)(now - h->tokens_at_ns) / 1e9 * rate : burst;
        h->tokens = h->tokens + more < burst ? h->tokens + more : burst;
        h->tokens_at_ns = now;
        if (h->tokens < 1) {
                uint32_t ms = (uint32_t)((1 - h->tokens) / rate * 1000) + 1;
                mv__hint_applied(b, q, "rate-limit", ms);
                if (!mv__wait_ms(b, ms))
                        return mv__answer_fault(
                                b, q, "LimitExceeded",
                                "its turn would come behind the end of the execution", ret_key,
                                err);
                h->tokens = 1;
                h->tokens_at_ns = mv__broker_now_ns();
        }
        h->tokens -= 1;
        return 0;
}

/* --- around an effect ------------------------------------------------------------------------- */
static bool any(const struct mv__hints *h)
{
        return h && !h->wrong && (h->cache_ms || h->breaker_failures || h->rate > 0);
}

/* A note that could not be kept stops the execution. */
static int noted(const struct mv_broker *b, int r, struct mv_err *err)
{
        if (b->fatal.code == MV_OK)
                return r;
        *err = b->fatal;
        return -(int)err->code;
}

static int before(struct mv_broker *b, struct asked *q, const char **ret_key, struct mv_err *err)
{
        if (!b->resilience && !(b->resilience = calloc(1, sizeof *b->resilience)))
                return mv_fail(err, MV_E_NOMEM, 0, "broker: hints");
        struct habit *h = habit_of(b, q->capability);
        if (!h)
                return mv_fail(err, MV_E_NOMEM, 0, "broker: hints");
        int r = caches(b) ? ask_cache(b, q, ret_key, err) : 0;
        if (r == 0 && b->hints->breaker_failures)
                r = ask_breaker(b, q, h, ret_key, err);
        return r == 0 && b->hints->rate > 0 ? wait_turn(b, q, h, ret_key, err) : r;
}

int mv__before_call(struct mv_broker *b, struct asked *q, const char **ret_key, struct mv_err *err)
{
        return any(b->hints) ? noted(b, before(b, q, ret_key, err), err) : 0;
}

int mv__after_call(struct mv_broker *b, const struct asked *q, bool replied, struct mv_err *err)
{
        if (any(b->hints) && b->resilience) {
                struct habit *h = habit_of(b, q->capability);
                if (h && b->hints->breaker_failures && !b->denied_inside)
                        note_outcome(b, h, q->done);
                if (replied && caches(b))
                        keep_answer(b, q);
        }
        return noted(b, 0, err);
}
