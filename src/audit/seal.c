/* SPDX-License-Identifier: Apache-2.0 */
/* When a store is sealed. A seal signs the digest of the record before it, and so everything before it in the chain, by
 * whichever process it was appended. Signing costs ten times what an execution's records cost, so a busy store shares one
 * seal among many roots, and a calm one does not wait.
 *
 * At mv_trail_end, behind the root that was just appended, a seal is written when one of these holds:
 * (1) MV_SEAL_ROOTS_MAX roots (or options.seal_roots) wait for one;
 * (2) the oldest record without one is OLD_MS old;
 * (3) the store is a file, options.seal_roots is 0, and the root before is CALM_MS old or not known: a command that runs one
 *     program ends sealed, a supervisor that runs hundreds per second pays once per batch.
 * Besides: when a store is closed, if this process appended what nobody has sealed; before a store in memory is read.
 *
 * (4) The rule looks at nothing but the records' own types and times, those of other processes included: a seal by one
 *     serves all. Times are the wall clock; one that steps back counts as long ago.
 * (5) Records of a process that died stay unsealed until the next writer's seal. */
#include <audit/store.h>

#define OLD_MS  100
#define CALM_MS 10

void mv__seal_saw(struct mv_audit *a, const struct mv__record *r, bool own)
{
        struct mv__unsealed *u = &a->unsealed;
        if (r->type == MV_REC_SEAL) {
                *u = (struct mv__unsealed){ .root_ms = u->root_ms,
                                            .root_before_ms = u->root_before_ms };
                return;
        }
        if (!u->any)
                u->oldest_ms = r->time_ms;
        u->any = true;
        u->own = u->own || own;
        if (r->type == MV_REC_ROOT) {
                u->roots++;
                u->root_before_ms = u->root_ms;
                u->root_ms = r->time_ms;
        }
}

static bool passed(uint64_t from_ms, uint64_t to_ms, uint64_t at_least_ms)
{
        return to_ms < from_ms || to_ms - from_ms >= at_least_ms; /* (4) */
}

bool mv__seal_due(const struct mv_audit *a)
{
        const struct mv__unsealed *u = &a->unsealed;
        if (u->roots >= (a->seal_roots ? a->seal_roots : MV_SEAL_ROOTS_MAX)) /* (1) */
                return true;
        if (passed(u->oldest_ms, u->root_ms, OLD_MS)) /* (2) */
                return true;
        /* (3) */
        return a->path && !a->seal_roots && passed(u->root_before_ms, u->root_ms, CALM_MS);
}

int mv__seal_append(struct mv_audit *a, struct mv_err *err)
{
        uint8_t message[MV_SEAL_MESSAGE_BYTES], semantic[32], observed[96];
        struct mv_out s = mv_out(semantic, sizeof semantic), o = mv_out(observed, sizeof observed);
        struct mv__seal seal = { .offset = a->end };
        int r = mv__key_sign(a->key, mv__seal_message(&a->header, a->end, a->prev, message),
                             seal.signature, err);
        if (r < 0)
                return r;
        if (!mv__seal_put(&seal, &s, &o))
                return mv_fail(err, MV_E_INTERNAL, 0, "a seal does not fit");
        struct mv__record record = { .type = MV_REC_SEAL,
                                     .semantic = mv_out_slice(&s),
                                     .observed = mv_out_slice(&o) };
        return mv__store_put(a, &record, err);
}

int mv__seal_rest(struct mv_audit *a, struct mv_err *err)
{
        pthread_mutex_lock(&a->lock);
        bool own = a->unsealed.own;
        pthread_mutex_unlock(&a->lock);
        if (!own)
                return 0;
        int r = mv__store_begin(a, err);
        if (r < 0)
                return r;
        if (a->unsealed.own) /* what others appended was read just now: a seal among it? */
                r = mv__seal_append(a, err);
        uint64_t end = a->end;
        mv__store_finish(a);
        return r < 0 ? r : mv__store_sync(a, end, err);
}
