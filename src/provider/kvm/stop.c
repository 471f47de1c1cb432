/* SPDX-License-Identifier: Apache-2.0 */
/* Why the guest stopped: its doorbell, or how it died. Everything here was chosen by the guest. */
#include <errno.h>
#include <string.h>
#include "kvm.h"

#define PAGE_FAULT 14u
#define VECTORS    32u

static const struct {
        const char *name;
        bool has_error;
} exceptions[VECTORS] = {
        [0] = { "divide error" },
        [1] = { "debug exception" },
        [2] = { "non-maskable interrupt" },
        [3] = { "breakpoint" },
        [4] = { "overflow" },
        [5] = { "bound range exceeded" },
        [6] = { "invalid opcode" },
        [7] = { "device not available" },
        [8] = { "double fault", true },
        [10] = { "invalid TSS", true },
        [11] = { "segment not present", true },
        [12] = { "stack fault", true },
        [13] = { "general protection fault", true },
        [14] = { "page fault", true },
        [16] = { "x87 exception" },
        [17] = { "alignment check", true },
        [18] = { "machine check" },
        [19] = { "SIMD exception" },
        [20] = { "virtualization exception" },
        [21] = { "control protection exception", true },
};

static uint64_t get64(const uint8_t *p)
{
        uint64_t v;
        memcpy(&v, p, sizeof v);
        return v;
}

static void died(struct kvm_stop *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void died(struct kvm_stop *s, const char *fmt, ...)
{
        va_list ap;
        va_start(ap, fmt);
        mv_vfmt(s->detail, sizeof s->detail, fmt, ap);
        va_end(ap);
        s->died = true;
}

/* The exception frame: ss rsp rflags cs rip [error], growing down from the stack's end. Stack 2 is for the vectors that
 * come on a stack of their own (space.c). */
static void read_exception(struct mv_cell *c, unsigned vector, struct kvm_stop *s)
{
        bool other_stack = vector == 2 || vector == 8 || vector == 18;
        const uint8_t *top =
                c->mem.rw + (MV_KVM_FAULT_STACKS - MV_KVM_RW) + KVM_PAGE * (other_stack ? 2 : 1);
        uint64_t rip = get64(top - 40), error = get64(top - 48);
        const char *name =
                vector < VECTORS && exceptions[vector].name ? exceptions[vector].name : "exception";
        struct kvm_sregs sregs;
        struct mv_err ignored;
        s->page_fault = vector == PAGE_FAULT &&
                        mv_sys_kvm(c->vcpu.fd, KVM_GET_SREGS, &sregs, "cr2", &ignored) >= 0;
        s->fault_at = s->page_fault ? sregs.cr2 : 0;
        if (s->page_fault)
                died(s, "%s at 0x%llx, error %llu, rip 0x%llx", name, (unsigned long long)sregs.cr2,
                     (unsigned long long)error, (unsigned long long)rip);
        else if (vector < VECTORS && exceptions[vector].has_error)
                died(s, "%s, error %llu, rip 0x%llx", name, (unsigned long long)error,
                     (unsigned long long)rip);
        else
                died(s, "%s (vector %u), rip 0x%llx", name, vector, (unsigned long long)rip);
}

static void read_doorbell(const struct kvm_run *run, struct kvm_stop *s)
{
        struct mv_err counted;
        if (!run->mmio.is_write || run->mmio.len != 8 || run->mmio.phys_addr != MV_KVM_DOORBELL) {
                (void)MV_HOSTILE(&counted, "doorbell: not one store of 8 bytes");
                died(s, "protocol violation: %s", counted.msg);
                return;
        }
        uint64_t v = get64(run->mmio.data);
        s->op = v & ((1u << MV_KVM_OP_BITS) - 1);
        s->bytes = v >> MV_KVM_OP_BITS;
}

static void read_mmio(struct mv_cell *c, struct kvm_stop *s)
{
        const struct kvm_run *run = c->vcpu.run;
        uint64_t page = run->mmio.phys_addr & ~(uint64_t)(KVM_PAGE - 1);
        if (page == MV_KVM_DOORBELL)
                read_doorbell(run, s);
        else if (page == MV_KVM_FAULTBELL && run->mmio.is_write)
                read_exception(c, run->mmio.data[0], s);
        else
                died(s, "access to guest address 0x%llx, where nothing is",
                     (unsigned long long)run->mmio.phys_addr);
}

void mv__kvm_stop_read(struct mv_cell *c, struct kvm_stop *ret)
{
        const struct kvm_run *run = c->vcpu.run;
        struct kvm_stop s = { .interrupted =
                                      c->vcpu.result == -EINTR || c->vcpu.result == -EAGAIN };
        if (c->vcpu.result < 0 && !s.interrupted)
                died(&s, "KVM would not go on: %s", mv__errno_text(-c->vcpu.result));
        else if (!s.interrupted)
                switch (run->exit_reason) {
                case KVM_EXIT_MMIO:
                        read_mmio(c, &s);
                        break;
                case KVM_EXIT_SHUTDOWN:
                        died(&s, "triple fault");
                        break;
                case KVM_EXIT_INTERNAL_ERROR:
                        died(&s, "an instruction KVM cannot carry out (internal error %u)",
                             run->internal.suberror);
                        break;
                case KVM_EXIT_FAIL_ENTRY:
                        died(&s, "KVM refused to enter the guest (reason 0x%llx)",
                             (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
                        break;
                default:
                        died(&s, "the guest left by an exit it has no right to (reason %u)",
                             run->exit_reason);
                }
        *ret = s;
}
