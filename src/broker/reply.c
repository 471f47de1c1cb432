/* SPDX-License-Identifier: Apache-2.0 */
/* Frames for the guest. Built before they are recorded, so that the record holds the very bytes
 * that leave. */
#include <broker/internal.h>
#include <stdlib.h>
#include <wire/cbor.h>

#define REPLY_BYTES_FIRST 4096
#define FAULT_BYTES_MAX   4096 /* kind, message and three texts of a decision, with their heads */

bool mv__bytes_reserve(struct bytes *b, size_t cap)
{
        if (cap <= b->cap)
                return true;
        size_t want = b->cap * 2 > cap ? b->cap * 2 : cap;
        uint8_t *p = realloc(b->p, want);
        if (!p)
                return false;
        b->p = p;
        b->cap = want;
        return true;
}

struct mv_slice mv__reply_payload(const struct mv_broker *b)
{
        return mv_slice(b->reply.p + MV_FRAME_HEADER_BYTES, b->reply.len - MV_FRAME_HEADER_BYTES);
}

static int no_memory(struct mv_err *err)
{
        return mv_fail(err, MV_E_NOMEM, 0, "broker: a reply frame");
}

/* true: the frame is complete. false: it did not fit the buffer, or (no overflow) the value has
 * no encoding. */
static bool try_value(struct mv_broker *b, uint64_t seq, const struct mv_value *v,
                      bool *ret_overflow)
{
        struct mv_out o = mv_out(b->reply.p, b->reply.cap);
        size_t at = mv_frame_open(&o, MV_FRAME_REPLY, seq);
        bool ok = mv_value_encode(&o, v);
        *ret_overflow = o.overflow;
        ok = ok && mv_frame_close(&o, at);
        b->reply.len = o.len;
        return ok;
}

int mv__reply_nil(struct mv_broker *b, enum mv_frame_type type, struct mv_err *err)
{
        if (!mv__bytes_reserve(&b->reply, REPLY_BYTES_FIRST))
                return no_memory(err);
        struct mv_out o = mv_out(b->reply.p, b->reply.cap);
        size_t at = mv_frame_open(&o, type, 0);
        mv_cbor_put_null(&o);
        b->reply.len = o.len;
        return mv_frame_close(&o, at) ? 0
                                      : mv_fail(err, MV_E_INTERNAL, 0,
                                                "broker: frame %u with nothing in it", type);
}

int mv__reply_value(struct mv_broker *b, uint64_t seq, const struct mv_value *v, struct mv_err *err)
{
        const size_t cap_max = MV_FRAME_HEADER_BYTES + MV_FRAME_PAYLOAD_MAX;
        size_t cap = b->reply.cap > REPLY_BYTES_FIRST ? b->reply.cap : REPLY_BYTES_FIRST;
        for (;; cap *= 2) {
                bool overflow;
                if (!mv__bytes_reserve(&b->reply, cap < cap_max ? cap : cap_max))
                        return no_memory(err);
                if (try_value(b, seq, v, &overflow))
                        return 0;
                if (!overflow || b->reply.cap >= cap_max)
                        return mv_fail(err, MV_E_INVALID, 0,
                                       overflow ? "the reply is larger than one frame of %u bytes"
                                                : "the reply is not a valid value (limit %u)",
                                       MV_FRAME_PAYLOAD_MAX);
        }
}

int mv__reply_raw(struct mv_broker *b, enum mv_frame_type type, uint64_t seq,
                  struct mv_slice payload, struct mv_err *err)
{
        if (!mv__bytes_reserve(&b->reply, MV_FRAME_HEADER_BYTES + payload.len))
                return no_memory(err);
        struct mv_out o = mv_out(b->reply.p, b->reply.cap);
        size_t at = mv_frame_open(&o, type, seq);
        mv_put_slice(&o, payload);
        if (!mv_frame_close(&o, at))
                return mv_fail(err, MV_E_INTERNAL, 0, "broker: a frame of %zu bytes does not close",
                               payload.len);
        b->reply.len = o.len;
        return 0;
}

static bool put_pair(struct mv_out *o, const char *key, const char *text)
{
        return mv_cbor_put_str(o, key) && mv_cbor_put_str(o, text);
}

/* Keys in the order of their encoding: shorter first. d NULL: kind and message only. */
static int reply_fault(struct mv_broker *b, uint64_t seq, const char *kind, const char *message,
                       const struct mv_decision *d)
{
        if (!mv__bytes_reserve(&b->reply, MV_FRAME_HEADER_BYTES + FAULT_BYTES_MAX))
                return -(int)MV_E_NOMEM;
        struct mv_out o = mv_out(b->reply.p, b->reply.cap);
        size_t at = mv_frame_open(&o, MV_FRAME_FAULT, seq);
        mv_cbor_put_map(&o, d ? 5 : 2);
        put_pair(&o, "kind", kind);
        if (d)
                put_pair(&o, "context", d->context);
        put_pair(&o, "message", message);
        if (d) {
                put_pair(&o, "operation", d->operation);
                put_pair(&o, "capability", d->capability);
        }
        b->reply.len = o.len;
        return mv_frame_close(&o, at) ? 0 : -(int)MV_E_INTERNAL;
}

int mv__reply_fault(struct mv_broker *b, uint64_t seq, const struct mv_fault *f, struct mv_err *err)
{
        char kind[sizeof f->kind], text[sizeof f->message + 64];
        mv_fmt(kind, sizeof kind, "%s", f->kind[0] ? f->kind : "Generic");
        mv_text_make_utf8(kind);
        mv_fault_text(f, text, sizeof text);
        int r = reply_fault(b, seq, kind, text, NULL);
        return r < 0 ? mv_fail(err, -r, 0, "broker: a fault frame") : 0;
}

int mv__reply_denial(struct mv_broker *b, uint64_t seq, const struct mv_decision *d,
                     struct mv_err *err)
{
        char text[640];
        mv_decision_text(d, text, sizeof text);
        mv_text_make_utf8(text);
        int r = reply_fault(b, seq, "SecurityViolation", text, d);
        return r < 0 ? mv_fail(err, -r, 0, "broker: a fault frame") : 0;
}
