/* SPDX-License-Identifier: Apache-2.0 */
/* One virtual processor, the confined thread that enters it, and the hand-over between that thread and the caller.
 *
 * (1) `turn` is a ball: whoever holds it may touch the processor and the fields of struct kvm_vcpu; the other waits,
 *     asleep in a futex, having said so in its `sleeps` word first. It does not spin: on two idle cores spinning saves
 *     4 us of 23 per exchange, on two busy ones it costs 40 us more (docs/design/kvm-reset.md).
 * (2) mv__kvm_vcpu_kick is the one exception: it may come from any thread at any time and only sets immediate_exit and
 *     sends the signal. A kick that comes too late to end a command is undone by the next start.
 * (3) Signals are blocked on the thread; the kick signal is let in by KVM_RUN alone and taken from the queue by hand, so
 *     the host program's handlers are never involved. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/vmm_filter.h>
#include <time.h>
#include <unistd.h>
#include "kvm.h"

#define KICK_SIGNAL (SIGRTMAX - 3)
/* Sanitizers put red zones on the stack; without them 16 KiB would do. */
#define STACK_BYTES (256u << 10)

/* A repeated string store to the doorbell comes out in up to 1,024 steps before the guest would
 * be entered again. */
#define SETTLE_STEPS_MAX 4096

enum turn { TURN_CALLER, TURN_VMM };

static uint32_t look(const uint32_t *word)
{
        return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

/* Wait until `turn` is `mine`. false: until_ns came first. */
static bool turn_await(struct kvm_vcpu *v, enum turn mine, uint32_t *sleeps, uint64_t until_ns)
{
        while (look(&v->turn) != (uint32_t)mine) {
                if (until_ns != UINT64_MAX && mv__now_ns() >= until_ns)
                        return false;
                __atomic_store_n(sleeps, 1, __ATOMIC_SEQ_CST);
                mv_sys_futex_wait(&v->turn, (uint32_t)!mine, until_ns);
                __atomic_store_n(sleeps, 0, __ATOMIC_SEQ_CST);
        }
        return true;
}

static void turn_give(struct kvm_vcpu *v, enum turn to, const uint32_t *sleeps)
{
        __atomic_store_n(&v->turn, (uint32_t)to, __ATOMIC_SEQ_CST);
        if (look(sleeps))
                mv_sys_futex_wake_all(&v->turn);
}

static int load(int fd, unsigned long request, const void *arg)
{
        return syscall(SYS_ioctl, fd, request, arg) < 0 ? -errno : 0;
}

/* Lets KVM finish the access whose exit ended the last run: it keeps a half-done one (a load that waits for its value, the
 * second part of a wide store) and would carry it out at the next entry, rip included, over whatever was loaded since.
 * With immediate_exit it finishes and does not enter. A kick that comes meanwhile stays in the queue. */
static int settle(struct kvm_vcpu *v)
{
        int r = 0;
        for (unsigned i = 0; i < SETTLE_STEPS_MAX && r == 0; i++) {
                __atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
                r = mv_sys_kvm_run(v->fd);
        }
        __atomic_store_n(&v->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
        v->unsettled = r != -EINTR;
        return r == -EINTR ? 0 : r ? r : -EBUSY;
}

int mv__kvm_vcpu_load(struct kvm_vcpu *v)
{
        const struct kvm_state *s = v->state;
        int r = v->unsettled ? settle(v) : 0;
        if (r == 0)
                r = load(v->fd, KVM_SET_REGS, &s->regs);
        if (r == 0)
                r = load(v->fd, KVM_SET_SREGS, &s->sregs);
        if (r == 0)
                r = v->has_xsave ? load(v->fd, KVM_SET_XSAVE, &s->xsave)
                                 : load(v->fd, KVM_SET_FPU, &s->fpu);
        if (r == 0 && v->faulted) {
                static const struct kvm_vcpu_events no_events;
                static const struct kvm_debugregs debug = { .dr6 = 0xffff0ff0, .dr7 = 0x400 };
                r = load(v->fd, KVM_SET_VCPU_EVENTS, &no_events);
                if (r == 0)
                        r = load(v->fd, KVM_SET_DEBUGREGS, &debug);
                v->faulted = r != 0;
        }
        return r;
}

int mv__kvm_vcpu_save(const struct kvm_vcpu *v, struct kvm_state *ret, struct mv_err *err)
{
        *ret = (struct kvm_state){ 0 };
        int r = mv_sys_kvm(v->fd, KVM_GET_REGS, &ret->regs, "read the registers of a guest", err);
        if (r >= 0)
                r = mv_sys_kvm(v->fd, KVM_GET_SREGS, &ret->sregs,
                               "read the system registers of a guest", err);
        if (r >= 0 && v->has_xsave)
                r = mv_sys_kvm(v->fd, KVM_GET_XSAVE, &ret->xsave,
                               "read the vector registers of a guest", err);
        else if (r >= 0)
                r = mv_sys_kvm(v->fd, KVM_GET_FPU, &ret->fpu,
                               "read the floating point registers of a guest", err);
        return r < 0 ? r : 0;
}

/* A kick that ended KVM_RUN is still in the queue: (3). */
static void take_kicks(void)
{
        static const struct timespec now = { 0 };
        uint64_t set = 1ull << (KICK_SIGNAL - 1);
        while (syscall(SYS_rt_sigtimedwait, &set, NULL, &now, sizeof set) > 0)
                ;
}

static int enter(struct kvm_vcpu *v)
{
        int r = mv_sys_kvm_run(v->fd);
        v->unsettled = true;
        if (r == -EINTR)
                take_kicks();
        return r;
}

static int perform(struct kvm_vcpu *v)
{
        int r = 0;
        switch (v->command) {
        case KVM_DO_RUN:
                r = mv__kvm_vcpu_load(v);
                return r < 0 ? r : enter(v);
        case KVM_DO_RESUME:
                return enter(v);
        case KVM_DO_SETTLE:
                return settle(v);
        case KVM_DO_TRY_OPEN:
                r = open("/dev/null", O_RDONLY | O_CLOEXEC);
                if (r < 0)
                        return -errno;
                close(r);
                return 0;
        case KVM_DO_END:
                break;
        }
        return 0;
}

static void *vmm_main(void *arg)
{
        struct kvm_vcpu *v = arg;
        v->tid = (pid_t)syscall(SYS_gettid);
        v->filter_result = mv_sys_vmm_filter(v->fd, &v->filter_err);
        if (v->filter_result == 0)
                v->filter_result = mv_sys_vmm_clock(false, &v->filter_err);
        turn_give(v, TURN_CALLER, &v->caller_sleeps);
        while (turn_await(v, TURN_VMM, &v->vmm_sleeps, UINT64_MAX) && v->command != KVM_DO_END) {
                v->result = perform(v);
                turn_give(v, TURN_CALLER, &v->caller_sleeps);
        }
        mv_sys_vmm_clock(true, &v->filter_err); /* allocators look at the time when a thread ends */
        return NULL;
}

static int thread_start(struct kvm_vcpu *v, struct mv_err *err)
{
        pthread_attr_t attr;
        sigset_t all, before;
        sigfillset(&all);
        pthread_attr_init(&attr);
        pthread_attr_setstacksize(&attr, STACK_BYTES);
        v->turn = TURN_VMM;
        /* inherited by the thread: no moment with a signal let in */
        pthread_sigmask(SIG_SETMASK, &all, &before);
        int r = pthread_create(&v->thread, &attr, vmm_main, v);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        pthread_attr_destroy(&attr);
        if (r)
                return mv_fail(err, MV_E_SYS, r, "start the thread of a virtual processor");
        v->thread_started = true;
        turn_await(v, TURN_CALLER, &v->caller_sleeps, UINT64_MAX);
        if (v->filter_result < 0)
                *err = v->filter_err; /* the thread is unconfined: it must never enter a guest */
        return v->filter_result;
}

static int slots_set(struct kvm_vcpu *v, const struct kvm_template *t, uint8_t *rw,
                     struct mv_err *err)
{
        struct kvm_userspace_memory_region ro = { .slot = 0,
                                                  .flags = KVM_MEM_READONLY,
                                                  .guest_phys_addr = t->ro_at,
                                                  .memory_size = t->ro_bytes,
                                                  .userspace_addr = (uintptr_t)t->ro };
        struct kvm_userspace_memory_region own = { .slot = 1,
                                                   .guest_phys_addr = MV_KVM_RW,
                                                   .memory_size = t->rw_bytes,
                                                   .userspace_addr = (uintptr_t)rw };
        struct kvm_userspace_memory_region arena = { .slot = 2,
                                                     .guest_phys_addr = t->arena_at,
                                                     .memory_size = t->arena_bytes,
                                                     .userspace_addr = (uintptr_t)rw + t->rw_bytes -
                                                                       t->arena_bytes };
        bool apart = t->arena_at != MV_KVM_ARENA;
        if (apart)
                own.memory_size -= t->arena_bytes;
        int r = mv_sys_kvm_slot(v->vm_fd, &ro, err);
        if (r == 0)
                r = mv_sys_kvm_slot(v->vm_fd, &own, err);
        return r < 0 || !apart ? r : mv_sys_kvm_slot(v->vm_fd, &arena, err);
}

int mv__kvm_vcpu_open(struct mv_provider *p, struct kvm_vcpu *v, const struct kvm_template *t,
                      uint8_t *rw, struct mv_err *err)
{
        *v = (struct kvm_vcpu){ .vm_fd = -EBADF,
                                .fd = -EBADF,
                                .has_xsave = p->has_xsave,
                                .state = &t->state,
                                .faulted = true };
        v->vm_fd = mv_sys_kvm_vm(p->kvm_fd, err);
        if (v->vm_fd < 0)
                return v->vm_fd;
        int r = slots_set(v, t, rw, err);
        if (r == 0)
                v->fd = r = mv_sys_kvm_vcpu(v->vm_fd, err);
        /* First of all: without it long mode and no-execute are refused. */
        if (r >= 0)
                r = mv_sys_kvm(v->fd, KVM_SET_CPUID2, p->cpuid, "set the CPUID table of a guest",
                               err);
        if (r >= 0)
                r = mv_sys_kvm_kick_signal(v->fd, KICK_SIGNAL, err);
        if (r >= 0 && !(v->run = mv_sys_kvm_map_run(p->kvm_fd, v->fd, &v->run_bytes, err)))
                r = -(int)MV_E_SYS;
        return r < 0 ? r : thread_start(v, err);
}

void mv__kvm_vcpu_done(struct kvm_vcpu *v)
{
        if (v->thread_started) {
                mv__kvm_vcpu_start(v, KVM_DO_END);
                pthread_join(v->thread, NULL);
        }
        if (v->run)
                munmap(v->run, v->run_bytes);
        if (v->fd >= 0)
                close(v->fd);
        if (v->vm_fd >= 0)
                close(v->vm_fd);
        *v = (struct kvm_vcpu){ .vm_fd = -EBADF, .fd = -EBADF };
}

void mv__kvm_vcpu_start(struct kvm_vcpu *v, enum kvm_command command)
{
        v->command = command;
        turn_give(v, TURN_VMM, &v->vmm_sleeps);
}

bool mv__kvm_vcpu_wait(struct kvm_vcpu *v, uint64_t until_ns)
{
        return turn_await(v, TURN_CALLER, &v->caller_sleeps, until_ns);
}

void mv__kvm_vcpu_kick(struct kvm_vcpu *v)
{
        __atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
        syscall(SYS_tgkill, getpid(), v->tid, KICK_SIGNAL);
}

uint64_t mv__kvm_vcpu_cpu_ns(const struct kvm_vcpu *v)
{
        clockid_t clock;
        struct timespec t;
        if (pthread_getcpuclockid(v->thread, &clock) || clock_gettime(clock, &t) < 0)
                return 0;
        return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
