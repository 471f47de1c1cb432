/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_GUEST_RUNNER_H
#define MV_GUEST_RUNNER_H
/* What evaluates inside a wall: reads START, drives the evaluator, speaks the door. The same code in the mock provider,
 * the Linux runner and the ring-3 image; only the door's two functions differ. Freestanding.
 *
 * (1) The guest side trusts the host but checks anyway: a reply that does not decode ends the run with ERROR.
 * (2) One CALL is outstanding at a time. STEP frames are queued in the out buffer and leave with the next CALL or the end. */
#include <base/cur.h>
#include <rtfs/rtfs.h>

struct mv_runner_door {
        void *ctx;
        /* Hand `frames` (whole frames, one after another) to the host; when want_reply, wait for one frame and return
         * it in *ret (valid until the next exchange). false: the host is gone, stop at once. */
        bool (*exchange)(void *ctx, struct mv_slice frames, bool want_reply, struct mv_slice *ret);
};

struct mv_runner {
        struct mv_rtfs *rtfs;
        struct mv_out out; /* frames waiting to leave */
        /* of the whole buffer; out has less while a module is built behind it */
        size_t out_bytes;
        struct mv_runner_door door;
        bool ended; /* CANCEL came or the door broke */
        /* the evaluator belongs to a session: the next START of it goes on */
        bool kept;
        /* events leave at once: the program has a step whose time the host measures */
        bool prompt;
        /* steps with an isolation level that are open in this cell; at which of them the host wants to
         * hear of the end, 0: at none */
        uint32_t cells, cells_told;
        /* a value has no form that may cross the door, whatever the room */
        bool shapeless;
};
/* Build the evaluator in arena; out: buffer for outgoing frames (64 KiB and up; bounds one
 * call's arguments + events). */
int mv_runner_init(struct mv_runner *r, void *arena, size_t arena_bytes, void *out,
                   size_t out_bytes, struct mv_runner_door door, struct mv_err *err);
/* One execution from its START frame to its RESULT or ERROR frame (which has left through the door on return).
 * May be called again after it returned: it resets the evaluator first, unless START says that both belong to a session. */
void mv_runner_run(struct mv_runner *r, struct mv_slice start_frame);

#endif
