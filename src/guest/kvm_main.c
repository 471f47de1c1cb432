/* SPDX-License-Identifier: Apache-2.0 */
/* The runner in ring 3: initialises the evaluator once, says READY, and from then on every execution begins right there,
 * in memory and registers the host has restored.
 *
 * (1) Outgoing frames are written straight into the outbox: the door copies nothing on this side.
 * (2) Nothing here returns into nothing: after the last frame the door is rung again, and the host, which has its result,
 *     never resumes; but for a session, when it has put the next START into the inbox before. */
#include <string.h>
#include <guest/runner.h>
#include <wire/frame.h>
#include "kvm_door.h"

static struct mv_runner runner;

static bool exchange(void *ctx, struct mv_slice frames, bool want_reply, struct mv_slice *ret)
{
        if (frames.len > MV_KVM_OUTBOX_BYTES)
                return false;
        if (frames.p != mv_kvm_at(MV_KVM_OUTBOX))
                /* (1) does not hold for this one */
                memmove(mv_kvm_at(MV_KVM_OUTBOX), frames.p, frames.len);
        mv_kvm_ring(want_reply ? MV_KVM_OP_CALL : MV_KVM_OP_SEND, frames.len);
        if (want_reply)
                *ret = mv_kvm_inbox();
        return true;
}

static void fail(const struct mv_err *err)
{
        struct mv_out o = mv_out(mv_kvm_at(MV_KVM_OUTBOX), MV_KVM_OUTBOX_BYTES);
        mv_put_str(&o, err->msg);
        mv_kvm_ring(MV_KVM_OP_FAILED, o.len);
}

void mv_kvm_main(uint64_t arena_bytes)
{
        struct mv_err err;
        struct mv_runner_door door = { NULL, exchange };
        int r = mv_runner_init(&runner, mv_kvm_at(MV_KVM_ARENA), arena_bytes,
                               mv_kvm_at(MV_KVM_OUTBOX), MV_KVM_OUTBOX_BYTES, door, &err);
        if (r < 0)
                fail(&err);
        else
                mv_kvm_ring(MV_KVM_OP_READY, 0);
        do
                mv_runner_run(&runner, mv_kvm_inbox());
        while (runner.kept && !runner.ended);
        for (;;)
                mv_kvm_ring(MV_KVM_OP_SEND, 0); /* (2) */
}
