/* SPDX-License-Identifier: Apache-2.0 */
/* A run: START goes in, doorbells come out, until the door says done, a limit is met or the guest dies.
 *
 * (1) Whatever the guest does ends in struct mv_exit with a reason; only the host's own failures are errors.
 * (2) Limits are looked at while the guest runs (the caller wakes for them) and again before it is resumed.
 * (3) Frames are taken from a copy; their lengths are checked against that copy. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <base/cur.h>
#include <wire/frame.h>
#include "cell.h"
#include "module.h"

#define OUTBOX_BYTES (MV_KVM_OUTBOX_END - MV_KVM_OUTBOX)
/* A copy buffer up to this size is kept for the next run. */
#define COPY_BYTES_KEPT (256u << 10)
/* A kick is repeated this often until the guest has stopped: the first may have come between two
 * entries. */
#define KICK_AGAIN_NS 2000000u

static_assert(KVM_INBOX_BYTES_MAX >= MV_FRAME_HEADER_BYTES + MV_FRAME_PAYLOAD_MAX,
              "every frame fits into the inbox");
static_assert(OUTBOX_BYTES >= MV_FRAME_HEADER_BYTES + MV_FRAME_PAYLOAD_MAX,
              "every frame fits into the outbox");

void mv__kvm_end(struct kvm_ending *e, enum mv_termination termination, const char *fmt, ...)
{
        va_list ap;
        va_start(ap, fmt);
        mv_vfmt(e->detail, sizeof e->detail, fmt, ap);
        va_end(ap);
        e->termination = termination;
        e->over = true;
}

void mv__kvm_limits_check(struct mv_cell *c, const struct kvm_watch *w, struct kvm_ending *e)
{
        if (__atomic_load_n(&c->cancelled, __ATOMIC_SEQ_CST))
                mv__kvm_end(e, MV_END_KILLED, "cancelled");
        else if (mv__now_ns() >= w->deadline_ns)
                mv__kvm_end(e, MV_END_TIMEOUT, "wall time limit");
        else if (w->cpu_ns_max && mv__kvm_vcpu_cpu_ns(&c->vcpu) - w->cpu_ns_from >= w->cpu_ns_max) {
                mv__kvm_end(e, MV_END_TIMEOUT, "CPU time limit");
                e->cpu_time = true;
        }
}

/* When limits_check could next have something to say: CPU time passes no faster than wall time. */
static uint64_t limits_next_ns(struct mv_cell *c, const struct kvm_watch *w)
{
        if (!w->cpu_ns_max)
                return w->deadline_ns;
        uint64_t used = mv__kvm_vcpu_cpu_ns(&c->vcpu) - w->cpu_ns_from;
        uint64_t at = mv__now_ns() + (used < w->cpu_ns_max ? w->cpu_ns_max - used : 0);
        return at < w->deadline_ns ? at : w->deadline_ns;
}

/* Enter the guest and stay until it has stopped. */
static void guest_go(struct mv_cell *c, const struct kvm_watch *w, enum kvm_command command,
                     struct kvm_ending *e)
{
        struct kvm_vcpu *v = &c->vcpu;
        __atomic_store_n(&v->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
        /* after immediate_exit was cleared: a cancel from here on sets it again */
        mv__kvm_limits_check(c, w, e);
        if (e->over)
                return;
        mv__kvm_vcpu_start(v, command);
        while (!mv__kvm_vcpu_wait(v,
                                  e->over ? mv__now_ns() + KICK_AGAIN_NS : limits_next_ns(c, w))) {
                if (!e->over)
                        mv__kvm_limits_check(c, w, e);
                if (e->over)
                        mv__kvm_vcpu_kick(v);
        }
}

void mv__kvm_inbox_put(struct mv_cell *c, struct mv_slice frame)
{
        uint8_t *inbox = c->mem.rw + (MV_KVM_INBOX - MV_KVM_RW);
        uint64_t head[2] = { frame.len, 0 };
        static_assert(sizeof head == MV_KVM_INBOX_HEADER_BYTES, "wire/kvm_door.h");
        memcpy(inbox, head, sizeof head);
        if (frame.len)
                memcpy(inbox + sizeof head, frame.p, frame.len);
}

/* (3), and invariant (4) of kvm.h. */
int mv__kvm_outbox_copy(struct mv_cell *c, uint64_t bytes, struct mv_slice *ret, struct mv_err *err)
{
        if (bytes > OUTBOX_BYTES)
                return MV_HOSTILE(err, "doorbell: more bytes than the outbox holds");
        if (bytes > c->copy_bytes) {
                uint8_t *p = realloc(c->copy, bytes);
                if (!p)
                        return mv_fail(err, MV_E_NOMEM, 0, "copy %llu bytes of frames",
                                       (unsigned long long)bytes);
                c->copy = p;
                c->copy_bytes = bytes;
        }
        if (bytes)
                memcpy(c->copy, c->mem.rw + (MV_KVM_OUTBOX - MV_KVM_RW), bytes);
        *ret = (struct mv_slice){ c->copy, bytes };
        return 0;
}

/* The next whole frame of `left`. */
static int frame_next(struct mv_slice *left, struct mv_slice *ret, struct mv_err *err)
{
        uint32_t len;
        if (left->len < MV_FRAME_HEADER_BYTES)
                return MV_HOSTILE(err, "outbox: frame header cut short");
        int r = mv_frame_payload_len(left->p, &len, err);
        if (r < 0)
                return r;
        if (len > left->len - MV_FRAME_HEADER_BYTES)
                return MV_HOSTILE(err, "outbox: frame longer than what was sent");
        *ret = (struct mv_slice){ left->p, MV_FRAME_HEADER_BYTES + len };
        *left = (struct mv_slice){ left->p + ret->len, left->len - ret->len };
        return 0;
}

/* Hands frames to the door until it says done, replies, or none is left. Returns the door's last word. An outbox full of
 * small frames takes the door half a second: the limits are looked at between them (2). */
static int frames_deliver(struct kvm_exchange *x, struct mv_slice left, struct mv_slice *ret_reply,
                          struct mv_err *err)
{
        int r = left.len ? 0 : MV_HOSTILE(err, "doorbell: rung without a frame");
        while (r == 0 && left.len && !x->e->over) {
                struct mv_slice frame;
                r = frame_next(&left, &frame, err);
                if (r == 0 && x->c->module)
                        r = mv__kvm_module_frame(frame, err);
                if (r == 0)
                        r = x->run->door.frame(x->run->door.ctx, frame, ret_reply, err);
                if (r == 0)
                        mv__kvm_limits_check(x->c, x->w, x->e);
        }
        if (x->e->over)
                return 0;
        if (r > 0 && r != MV_DOOR_DONE && left.len)
                return MV_HOSTILE(err, "outbox: frames behind one that is answered");
        return r;
}

void mv__kvm_ended_by_error(struct kvm_ending *e, const struct mv_err *err)
{
        mv__kvm_end(e, err->code == MV_E_DENIED ? MV_END_DENIED : MV_END_KILLED, "%s%s",
                    err->code == MV_E_HOSTILE ? "protocol violation: " : "", err->msg);
}

static void doorbell(struct kvm_exchange *x, const struct kvm_stop *s)
{
        struct mv_err err = { 0 };
        struct mv_slice frames, reply = { 0 };
        struct mv_cell *c = x->c;
        struct kvm_ending *e = x->e;
        if (c->module && mv__kvm_module_bell(x, s))
                return;
        int r = mv__kvm_outbox_copy(c, s->bytes, &frames, &err);
        if (r == 0 && s->op != MV_KVM_OP_CALL && s->op != MV_KVM_OP_SEND)
                r = MV_HOSTILE(&err, "doorbell: unknown operation");
        if (r == 0)
                r = frames_deliver(x, frames, &reply, &err);
        if (e->over)
                return;
        if (r == MV_DOOR_DONE)
                mv__kvm_end(e, MV_END_COMPLETED, "%s", "");
        else if (r >= 0 && (r == MV_DOOR_REPLY) != (s->op == MV_KVM_OP_CALL))
                r = MV_HOSTILE(&err, r ? "doorbell: a frame was answered that asked for nothing"
                                       : "doorbell: waits for an answer to nothing");
        if (r == MV_DOOR_REPLY && reply.len > KVM_INBOX_BYTES_MAX)
                r = mv_fail(&err, MV_E_LIMIT, 0,
                            "a reply of %zu bytes does not fit through the door", reply.len);
        if (r < 0)
                mv__kvm_ended_by_error(e, &err);
        else if (r == MV_DOOR_REPLY)
                mv__kvm_inbox_put(c, reply);
}

static void converse(struct mv_cell *c, const struct mv_run *run, const struct kvm_watch *w,
                     struct kvm_ending *e)
{
        struct kvm_exchange x = { c, run, w, e };
        for (enum kvm_command command = run->resumes ? KVM_DO_RESUME : KVM_DO_RUN; !e->over;
             command = KVM_DO_RESUME) {
                struct kvm_stop s;
                guest_go(c, w, command, e);
                if (e->over)
                        break;
                mv__kvm_stop_read(c, &s);
                if (s.died && c->module)
                        mv__kvm_module_died(&s, e);
                else if (s.died)
                        mv__kvm_end(e, MV_END_KILLED, "%s", s.detail);
                else if (!s.interrupted)
                        doorbell(&x, &s);
        }
}

static int run_check(const struct mv_cell *c, const struct mv_run *run, struct mv_err *err)
{
        if (c->p->pid != getpid())
                return mv_fail(err, MV_E_STATE, 0,
                               "a kvm cell belongs to the process that opened it");
        if (c->used && !run->resumes)
                return mv_fail(err, MV_E_STATE, 0, "a used kvm cell is reset before it runs again");
        if (run->start.len > KVM_INBOX_BYTES_MAX)
                return mv_fail(err, MV_E_LIMIT, 0,
                               "a program of %zu bytes does not fit through the door",
                               run->start.len);
        return mv__provider_gate(run, err);
}

static struct kvm_watch watch_start(struct mv_cell *c, const struct mv_run *run)
{
        struct kvm_watch w = { run->deadline_ns ? run->deadline_ns : UINT64_MAX,
                               run->limits.cpu_ns_max, mv__kvm_vcpu_cpu_ns(&c->vcpu) };
        if (run->limits.wall_ns_max) {
                uint64_t now = mv__now_ns();
                uint64_t at = run->limits.wall_ns_max < UINT64_MAX - now
                                      ? now + run->limits.wall_ns_max
                                      : UINT64_MAX;
                w.deadline_ns = at < w.deadline_ns ? at : w.deadline_ns;
        }
        return w;
}

int mv__kvm_cell_run(struct mv_cell *c, const struct mv_run *run, struct mv_exit *ret,
                     struct mv_err *err)
{
        struct kvm_ending e = { .exit_code = -1 };
        struct mv_exit x = { .exit_code = -1 };
        int r = run_check(c, run, err);
        if (r == 0 && c->module && mv__kvm_module_stillborn(c, ret))
                return 0;
        if (r == 0 && c->module)
                r = mv__kvm_module_start(c, err);
        else if (r == 0)
                mv__kvm_inbox_put(c, run->start);
        if (r < 0)
                return r;
        c->used = true;
        if (run->resumes)
                /* of an evaluation that had ended already */
                __atomic_store_n(&c->cancelled, 0, __ATOMIC_SEQ_CST);
        struct kvm_watch w = watch_start(c, run);
        converse(c, run, &w, &e);
        c->vcpu.faulted |= e.termination != MV_END_COMPLETED;
        x.termination = e.termination;
        x.exit_code = e.exit_code;
        x.cpu_time = e.cpu_time;
        memcpy(x.detail, e.detail, sizeof x.detail);
        x.cpu_ns = mv__kvm_vcpu_cpu_ns(&c->vcpu) - w.cpu_ns_from;
        r = mv__kvm_memory_owned(c->p, &c->mem, &x.memory_peak_bytes, err);
        if (c->module)
                mv__kvm_module_after(c, &x);
        if (r == 0)
                *ret = x;
        return r;
}

void mv__kvm_cell_cancel(struct mv_cell *c)
{
        __atomic_store_n(&c->cancelled, 1, __ATOMIC_SEQ_CST);
        if (c->module)
                mv_sys_futex_wake_all(&c->cancelled); /* it may sleep */
        if (c->vcpu.run)
                mv__kvm_vcpu_kick(&c->vcpu);
}

int mv__kvm_cell_reset(struct mv_cell *c, struct mv_err *err)
{
        if (c->p->pid != getpid())
                return mv_fail(err, MV_E_STATE, 0,
                               "a kvm cell belongs to the process that opened it");
        if (!c->t)
                return mv_fail(err, MV_E_STATE, 0,
                               "a cell whose image did not start is not used again");
        int r = mv__kvm_memory_restore(c->p, &c->mem, c->t, err);
        if (r < 0)
                return r;
        if (c->copy_bytes > COPY_BYTES_KEPT) {
                free(c->copy);
                c->copy = NULL;
                c->copy_bytes = 0;
        }
        __atomic_store_n(&c->cancelled, 0, __ATOMIC_SEQ_CST);
        c->used = false;
        return 0;
}

void mv__kvm_cell_free(struct mv_cell *c)
{
        mv__kvm_vcpu_done(&c->vcpu);
        mv__kvm_memory_done(&c->mem);
        if (c->t)
                mv__kvm_template_put(c->p, c->t);
        mv__kvm_module_free(c->module);
        free(c->copy);
        free(c);
}

struct mv_cell *mv__kvm_cell_close(struct mv_cell *c)
{
        if (c && (c->p->pid != getpid() || !mv__kvm_reaper_take(&c->p->reaper, c)))
                mv__kvm_cell_free(c);
        return NULL;
}

static int arena_bytes(const struct mv_provider *p, uint64_t limit, uint64_t *ret,
                       struct mv_err *err)
{
        uint64_t bytes = (limit ? limit : p->memory_bytes_default) & ~(uint64_t)(KVM_PAGE - 1);
        if (bytes < KVM_ARENA_BYTES_MIN || bytes > KVM_ARENA_BYTES_MAX)
                return mv_fail(err, MV_E_UNSUPPORTED, 0,
                               "the kvm provider cannot enforce a memory limit of %llu bytes: it "
                               "can from %llu to %llu",
                               (unsigned long long)limit, (unsigned long long)KVM_ARENA_BYTES_MIN,
                               (unsigned long long)KVM_ARENA_BYTES_MAX);
        *ret = bytes;
        return 0;
}

/* The cell around a template; takes the reference over. */
static int assemble(struct mv_cell *c, struct mv_err *err)
{
        int r = mv__kvm_memory_map(&c->mem, c->t, err);
        return r < 0 ? r : mv__kvm_vcpu_open(c->p, &c->vcpu, c->t, c->mem.rw, err);
}

static int open_module(struct mv_cell *c, const struct mv_cell_spec *spec, struct mv_err *err)
{
        int r = mv__kvm_module_open(c, spec, err);
        return r < 0 || !c->t ? r : assemble(c, err);
}

static int open_runner(struct mv_cell *c, const struct mv_cell_spec *spec, struct mv_err *err)
{
        uint64_t bytes;
        int r = arena_bytes(c->p, spec->limits.memory_bytes_max, &bytes, err);
        if (r == 0)
                r = mv__kvm_template_get(c->p, &c->p->image, bytes, &c->t, err);
        return r < 0 ? r : assemble(c, err);
}

int mv__kvm_cell_open(struct mv_provider *p, const struct mv_cell_spec *spec, struct mv_cell **ret,
                      struct mv_err *err)
{
        struct mv_cell *c = calloc(1, sizeof *c);
        if (!c)
                return mv_fail(err, MV_E_NOMEM, 0, "cell");
        c->p = p;
        c->vcpu.vm_fd = c->vcpu.fd = -1;
        int r = spec->program ? open_module(c, spec, err) : open_runner(c, spec, err);
        if (r < 0) {
                mv__kvm_cell_close(c);
                return mv_wrap(err, "open a kvm cell");
        }
        *ret = c;
        return 0;
}
