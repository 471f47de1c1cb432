/* SPDX-License-Identifier: Apache-2.0 */
/* The records of what a program does in the network. It makes no calls there, so nothing is asked
 * through the door; what its proxy asks is decided by the host and recorded here like a call. */
#include <broker/internal.h>
#include <wire/cbor.h>
#include <wire/text.h>

static struct mv_value text_value(struct mv_slice s)
{
        return (struct mv_value){ .kind = MV_STRING, .text = s };
}

int mv_broker_egress_decision(struct mv_broker *b, const struct mv_decision *d,
                              struct mv_slice method, const char *host, uint16_t port,
                              struct mv_err *err)
{
        const struct mv_value items[] = { text_value(method),
                                          text_value(mv_slice_str(host)),
                                          { .kind = MV_INT, .integer = port } };
        const struct mv_value args = { .kind = MV_VECTOR, .count = 3, .items = items };
        struct mv_decision clean = *d;
        mv__clean_decision(&clean);
        struct asked q = { .id = mv_slice_str(clean.capability),
                           .args_raw = { NULL, method.len + strlen(host) + 32 },
                           .args = args };
        int r = mv__record_decision(b, &q, &clean, mv_slice(NULL, 0), err);
        if (r == 0 && !d->allowed)
                mv__remember_denial(b, &clean);
        if (r == 0 && d->allowed)
                r = mv_trail_sync(b->o.trail, err); /* (1) */
        return r;
}

static bool put_number(struct mv_out *o, const char *key, uint64_t n)
{
        return mv_cbor_put_str(o, key) &&
               mv_cbor_put_int(o, n > INT64_MAX ? INT64_MAX : (int64_t)n);
}

static bool put_ended(struct mv_out *o, const struct mv_broker *b, const struct mv_broker_egress *e)
{
        return mv_cbor_put_map(o, 2) && put_number(o, "seq", b->calls) &&
               mv_cbor_put_str(o, "reply") && mv_cbor_put_map(o, 6) && mv_cbor_put_str(o, "host") &&
               mv_cbor_put_str(o, e->host) && put_number(o, "port", e->port) &&
               put_number(o, "sent", e->sent_bytes) && mv_cbor_put_str(o, "method") &&
               mv_cbor_put_text(o, e->method) && put_number(o, "status", (uint64_t)e->status) &&
               put_number(o, "received", e->received_bytes);
}

int mv_broker_egress_ended(struct mv_broker *b, const struct mv_broker_egress *e,
                           struct mv_err *err)
{
        uint8_t bytes[512];
        char method[32];
        struct mv_out o = mv_out(bytes, sizeof bytes);
        if (!put_ended(&o, b, e))
                return mv_fail(err, MV_E_INTERNAL, 0, "broker: what came of a connection");
        int r = mv__record(b, MV_REC_RESULT, mv_out_slice(&o), mv_slice(NULL, 0), err);
        if (r < 0)
                return r;
        mv_fmt(method, sizeof method, "%.*s", MV_SARG(e->method));
        struct mv_call_host h = mv__services(b);
        h.note_network(h.ctx, e->url, method, e->status, e->sent_bytes, e->received_bytes);
        if (b->fatal.code != MV_OK) {
                *err = b->fatal;
                return -(int)err->code;
        }
        return 0;
}
