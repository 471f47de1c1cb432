/* SPDX-License-Identifier: Apache-2.0 */
/* What lies under the guest and out of its reach: page tables, descriptor tables, one-instruction exception stubs.
 *
 * (1) Every entry is marked accessed and dirty, every descriptor accessed, from the start: neither the processor nor a
 *     software page walker ever changes a byte here, and what it does not touch stays shared with the template. The
 *     memory is writable to KVM all the same: SVM's nested paging counts every table walk as a write.
 * (2) Only text is executable; text and read-only data are not writable; the rest is neither below nor above its region.
 * (3) All gates have privilege 0: `int n` from ring 3 is a protection fault, whatever n is.
 * (4) A stub is one store of its vector number to the fault bell. The host finds the rest (error code, rip) in the
 *     exception frame and cr2 in the processor, so no stub instruction is ever emulated for that. */
#include <string.h>
#include "kvm.h"

#define PRESENT    1ull
#define WRITE      2ull
#define USER       4ull
#define TOUCHED    0x60ull /* accessed and dirty: (1) */
#define LARGE      0x80ull
#define NO_EXECUTE (1ull << 63)
#define TABLE      (PRESENT | WRITE | USER | TOUCHED) /* the leaves decide */

/* Offsets into the system area. */
#define AT_GDT    0x0000u
#define AT_TSS    0x0100u
#define AT_IDT    0x0200u
#define AT_STUBS  0x1000u /* a page of its own: the only supervisor page that may be executed */
#define AT_TABLES 0x2000u

/* Selectors; the numbers are those of Linux, which some software hypervisors load into the real
 * processor. */
#define KERNEL_CS            0x10u
#define KERNEL_SS            0x18u
#define USER_SS              0x2bu
#define USER_CS              0x33u
#define TSS_SELECTOR         0x40u
#define GDT_BYTES            0x50u
#define TSS_BYTES            0x68u
#define VECTORS              32u
#define STUB_BYTES           8u
#define VECTOR_NMI           2u
#define VECTOR_DOUBLE_FAULT  8u
#define VECTOR_MACHINE_CHECK 18u

struct space {
        uint8_t *system;
        uint32_t tables_used;
        struct mv_err *err;
};

static void put64(uint8_t *p, uint64_t v)
{
        memcpy(p, &v, sizeof v);
}

static uint64_t *table_at(struct space *s, uint64_t address)
{
        return (uint64_t *)(s->system + (address - MV_KVM_SYSTEM));
}

/* The table below entry i of `table`, made when absent. NULL: no room, or a large page is there already. */
static uint64_t *table_below(struct space *s, uint64_t *table, unsigned i)
{
        if (table[i] & LARGE)
                return NULL;
        if (!(table[i] & PRESENT)) {
                uint64_t at = AT_TABLES + (uint64_t)s->tables_used * KVM_PAGE;
                if (at + KVM_PAGE > MV_KVM_SYSTEM_BYTES)
                        return NULL;
                s->tables_used++;
                table[i] = (MV_KVM_SYSTEM + at) | TABLE;
        }
        return table_at(s, table[i] & ~(uint64_t)(KVM_PAGE - 1));
}

static int map_step(struct space *s, uint64_t at, uint64_t left, uint64_t flags, uint64_t *ret_step)
{
        uint64_t *t = table_at(s, MV_KVM_SYSTEM + AT_TABLES);
        for (int shift = 39; shift > 21 && t; shift -= 9)
                t = table_below(s, t, (at >> shift) & 511);
        bool large = at % KVM_LARGE_PAGE == 0 && left >= KVM_LARGE_PAGE;
        if (t && large)
                t[(at >> 21) & 511] = at | flags | LARGE | PRESENT | TOUCHED;
        uint64_t *leaf = t && !large ? table_below(s, t, (at >> 21) & 511) : t;
        if (!leaf)
                return mv_fail(s->err, MV_E_INTERNAL, 0, "no room for page tables at %#llx",
                               (unsigned long long)at);
        if (!large)
                leaf[(at >> 12) & 511] = at | flags | PRESENT | TOUCHED;
        *ret_step = large ? KVM_LARGE_PAGE : KVM_PAGE;
        return 0;
}

/* Identity: virtual and guest-physical addresses are equal. */
static int map(struct space *s, uint64_t from, uint64_t to, uint64_t flags)
{
        from &= ~(uint64_t)(KVM_PAGE - 1);
        for (uint64_t step; from < to; from += step) {
                int r = map_step(s, from, to - from, flags, &step);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* A read-only segment that begins a large page has it to its end, unless another segment begins in it: what lies behind it
 * in slot 0 is zeros. */
static uint64_t segment_end(const struct kvm_layout *l, const struct kvm_load *g)
{
        uint64_t end = g->at + g->bytes, large = mv__kvm_large_up(end);
        if (g->write || g->at % KVM_LARGE_PAGE)
                return end;
        for (unsigned i = 0; i < l->count; i++)
                if (l->segments[i].at > g->at && l->segments[i].at < large)
                        return end;
        return large;
}

static int map_image(struct space *s, const struct kvm_layout *l)
{
        int r = 0;
        for (unsigned i = 0; r == 0 && i < l->count; i++) {
                const struct kvm_load *g = &l->segments[i];
                r = map(s, g->at, segment_end(l, g),
                        USER | (g->write ? WRITE : 0) | (g->execute ? 0 : NO_EXECUTE));
        }
        return r;
}

static int map_all(struct space *s, const struct kvm_layout *l, struct kvm_range arena)
{
        const uint64_t data = USER | WRITE | NO_EXECUTE;
        const struct {
                uint64_t from, to, flags;
        } regions[] = {
                { MV_KVM_DOORBELL, MV_KVM_DOORBELL + KVM_PAGE, data },
                { MV_KVM_FAULTBELL, MV_KVM_FAULTBELL + KVM_PAGE, WRITE | NO_EXECUTE },
                { MV_KVM_SYSTEM, MV_KVM_SYSTEM + AT_STUBS, NO_EXECUTE },
                { MV_KVM_SYSTEM + AT_STUBS, MV_KVM_SYSTEM + AT_TABLES, 0 },
                { MV_KVM_SYSTEM + AT_TABLES, MV_KVM_SYSTEM + MV_KVM_SYSTEM_BYTES, NO_EXECUTE },
                { MV_KVM_FAULT_STACKS, MV_KVM_FAULT_STACKS + MV_KVM_FAULT_STACKS_BYTES,
                  WRITE | NO_EXECUTE },
                { MV_KVM_THREAD, MV_KVM_THREAD + MV_KVM_THREAD_BYTES, data },
                { MV_KVM_STACK, MV_KVM_STACK_END, data },
                { MV_KVM_INBOX, MV_KVM_INBOX_END, data },
                { MV_KVM_OUTBOX, MV_KVM_OUTBOX_END, data },
                { arena.at, arena.at + arena.bytes, data },
        };
        int r = map_image(s, l);
        for (size_t i = 0; r == 0 && i < sizeof regions / sizeof regions[0]; i++)
                r = map(s, regions[i].from, regions[i].to, regions[i].flags);
        return r;
}

static void descriptors(uint8_t *system)
{
        /* Access bytes: 0x9b and 0xfb code, 0x93 and 0xf3 data, present and accessed, privilege
         * 0 and 3; 0xa = long. */
        put64(system + AT_GDT + KERNEL_CS, 0x00af9b000000ffff);
        put64(system + AT_GDT + KERNEL_SS, 0x00cf93000000ffff);
        put64(system + AT_GDT + (USER_SS & ~7u), 0x00cff3000000ffff);
        put64(system + AT_GDT + (USER_CS & ~7u), 0x00affb000000ffff);
        uint64_t base = MV_KVM_SYSTEM + AT_TSS;
        put64(system + AT_GDT + TSS_SELECTOR, (TSS_BYTES - 1) | (base & 0xffffff) << 16 |
                                                      0x8bull << 40 | (base >> 24 & 0xff) << 56);
        put64(system + AT_GDT + TSS_SELECTOR + 8, base >> 32);

        uint8_t *tss = system + AT_TSS;
        put64(tss + 4, MV_KVM_FAULT_STACKS + KVM_PAGE);      /* rsp0 */
        put64(tss + 36, MV_KVM_FAULT_STACKS + 2 * KVM_PAGE); /* ist1 */
        /* i/o map beyond the limit: no port is allowed */
        tss[102] = TSS_BYTES;
}

static void gate(uint8_t *idt, unsigned vector, uint64_t handler, unsigned ist)
{
        uint64_t low = (handler & 0xffff) | (uint64_t)KERNEL_CS << 16 | (uint64_t)ist << 32 |
                       0x8eull << 40 | (handler >> 16 & 0xffff) << 48;
        put64(idt + vector * 16, low);
        put64(idt + vector * 16 + 8, handler >> 32);
}

static void exceptions(uint8_t *system)
{
        for (unsigned v = 0; v < VECTORS; v++) {
                /* movb $v, MV_KVM_FAULTBELL: (4) */
                uint8_t stub[STUB_BYTES] = { 0xc6,
                                             0x04,
                                             0x25,
                                             MV_KVM_FAULTBELL & 0xff,
                                             MV_KVM_FAULTBELL >> 8 & 0xff,
                                             MV_KVM_FAULTBELL >> 16 & 0xff,
                                             MV_KVM_FAULTBELL >> 24 & 0xff,
                                             (uint8_t)v };
                memcpy(system + AT_STUBS + v * STUB_BYTES, stub, sizeof stub);
                bool other_stack =
                        v == VECTOR_NMI || v == VECTOR_DOUBLE_FAULT || v == VECTOR_MACHINE_CHECK;
                gate(system + AT_IDT, v, MV_KVM_SYSTEM + AT_STUBS + v * STUB_BYTES, other_stack);
        }
}

int mv__kvm_space_build(uint8_t *system, const struct kvm_layout *layout, struct kvm_range arena,
                        struct mv_err *err)
{
        struct space s = { system, 1, err };
        descriptors(system);
        exceptions(system);
        return map_all(&s, layout, arena);
}

static struct kvm_segment segment(uint16_t selector, uint8_t type, bool code)
{
        return (struct kvm_segment){ .limit = 0xffffffff,
                                     .selector = selector,
                                     .type = type,
                                     .present = 1,
                                     .dpl = 3,
                                     .db = !code,
                                     .s = 1,
                                     .l = code,
                                     .g = 1 };
}

void mv__kvm_space_sregs(struct kvm_sregs *s)
{
        /* paging, write protection, numeric errors, x87, protected mode */
        const uint64_t cr0 = 0x80010033;
        /* PAE, SSE and its exceptions; TSD: no clock in ring 3 */
        const uint64_t cr4 = 0x624;
        const uint64_t efer = 0xd00; /* long mode, no-execute; no syscall instruction */
        s->cr0 = cr0;
        s->cr3 = MV_KVM_SYSTEM + AT_TABLES;
        s->cr4 = cr4;
        s->efer = efer;
        s->cs = segment(USER_CS, 11, true);
        s->ss = s->ds = s->es = s->fs = s->gs = segment(USER_SS, 3, false);
        s->fs.base = MV_KVM_THREAD;
        s->tr = (struct kvm_segment){ .base = MV_KVM_SYSTEM + AT_TSS,
                                      .limit = TSS_BYTES - 1,
                                      .selector = TSS_SELECTOR,
                                      .type = 11,
                                      .present = 1 };
        s->ldt = (struct kvm_segment){ .unusable = 1 };
        s->gdt = (struct kvm_dtable){ .base = MV_KVM_SYSTEM + AT_GDT, .limit = GDT_BYTES - 1 };
        s->idt = (struct kvm_dtable){ .base = MV_KVM_SYSTEM + AT_IDT, .limit = VECTORS * 16 - 1 };
}
