/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MICROVM_RESUME_H
#define MICROVM_RESUME_H
/* Going on with an execution whose process died, or that waits for an approval (docs/design/durability.md).
 *
 * The records of the execution are its checkpoint: the program runs again from its beginning, calls whose results are on
 * record are answered from there, and behind the last one it goes on. What the program does must be what it did, record by
 * record. The same root comes out as if nothing had happened.
 *
 * A call that was begun and has no result is in doubt: it is carried out again when that does no harm (pure, idempotent, or
 * answered by the log of idempotency keys). Otherwise mv_resume stops with IN_DOUBT, names the call, and somebody decides.
 * Threads: as mv_execute. */
#include <microvm/execute.h>

enum mv_in_doubt {
        MV_IN_DOUBT_STOP,
        MV_IN_DOUBT_REPEAT, /* it did not happen, or may happen twice: carry it out */
        MV_IN_DOUBT_DONE,   /* it happened: the program gets `reply` */
        MV_IN_DOUBT_FAIL,   /* the program gets a fault of kind "UnknownOutcome" */
        MV_IN_DOUBT_MAX_
};
struct mv_resumption {
        const char *execution_id;
        /* What it may do: the same as before, by its digest. Grants come from whoever resumes, never from the records. */
        const struct mv_context *context;
        const char *provider; /* NULL or "auto": as for mv_execute */
        enum mv_tier tier_min;
        struct mv_limits
                limits; /* wall and CPU time of this attempt; what decides the root is as recorded */
        /* "cp-" and the root over its records so far, in hexadecimal: another one is refused (STATE). NULL: wherever it stands */
        const char *checkpoint;
        /* Somebody's decision about the one call in doubt, which it names by its number. */
        enum mv_in_doubt in_doubt;
        uint64_t in_doubt_call;
        const struct mv_value *reply; /* of DONE; NULL: nil */
        void (*on_output)(void *ctx, bool to_stderr, struct mv_slice bytes);
        void *on_output_ctx;
        volatile int *cancel; /* may be NULL */
};
/* As mv_execute. NOT_FOUND: no such execution. STATE: it runs, or has ended. IN_DOUBT: somebody has to decide about a call.
 * WAITING: for an approval (mv_execute says that too). DENIED: another context, or a store that others may write. CORRUPT:
 * the store does not verify, or the program does something else now. UNSUPPORTED: not a program that can be run again from
 * its record. */
int mv_resume(struct mv_host *h, const struct mv_resumption *x, struct mv_result **ret,
              struct mv_err *err);

#endif
