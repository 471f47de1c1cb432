/* SPDX-License-Identifier: Apache-2.0 */
/* Calls whose outcome a crash took away (docs/design/durability.md).
 *
 * (1) A CALL record without a RESULT says that the effect may have happened. It is carried out again only when that does no
 *     harm; otherwise nothing happens until somebody has said what did.
 * (2) A decision names its call: one that was made about another call is refused, not used. */
#include <broker/internal.h>

static int fault(struct mv_broker *b, struct asked *q, const char *kind, const char *text,
                 struct mv_err *err)
{
        mv_fmt(q->fault.kind, sizeof q->fault.kind, "%s", kind);
        mv_fmt(q->fault.message, sizeof q->fault.message, "%s: %s", q->capability->id, text);
        return mv__reply_fault(b, q->seq, &q->fault, err);
}

static int ask_somebody(const struct asked *q, struct mv_err *err)
{
        return mv_fail(err, MV_E_STATE, 0,
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

int mv__in_doubt(struct mv_broker *b, struct asked *q, const char **ret_key, struct mv_err *err)
{
        static const struct mv_value nil = { .kind = MV_NIL };
        if (!b->o.replay || !mv_trail_followed(b->o.trail))
                return 0;
        int r;
        switch (decided(b, q)) {
        case MV_IN_DOUBT_REPEAT:
                return 0;
        case MV_IN_DOUBT_DONE:
                *ret_key = "reply";
                r = mv__reply_value(
                        b, q->seq, b->o.replay->decided->reply ? b->o.replay->decided->reply : &nil,
                        err);
                return r < 0 ? r : 1;
        case MV_IN_DOUBT_FAIL:
                *ret_key = "fault";
                r = fault(b, q, "UnknownOutcome",
                          "it was begun before a crash, and nobody knows whether it happened", err);
                return r < 0 ? r : 1;
        default:
                return mv_capability_repeatable(b->o.table, q->capability, q->args->items,
                                                q->args->count)
                               ? 0
                               : ask_somebody(q, err); /* (1) */
        }
}
