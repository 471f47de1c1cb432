/* SPDX-License-Identifier: Apache-2.0 */
/* A ring-3 guest that misbehaves in every way its START frame can ask for. Linked like the runner, at the same addresses,
 * but with nothing of the library: it is what a taken-over runner could do. */
#include <guest/kvm_door.h>
#include "kvm_hostile.h"

#define HEADER           16
#define TYPE_CALL        2
#define TYPE_RESULT      7
#define PAYLOAD_MAX      (8u << 20)
#define RFLAGS_TRAP      "0x100"
#define RFLAGS_ALIGNMENT "0x40000"

static volatile uint64_t in_data = 0x1122334455667788;
static volatile uint64_t in_bss[1024];
static uint64_t arena_bytes;

static uint32_t get32(const uint8_t *p)
{
        return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put(uint8_t *p, uint64_t v, unsigned bytes)
{
        for (unsigned i = 0; i < bytes; i++)
                p[i] = (uint8_t)(v >> 8 * i);
}

static void frame(unsigned version, unsigned type, uint64_t seq, uint32_t len)
{
        uint8_t *p = mv_kvm_at(MV_KVM_OUTBOX);
        put(p, len, 4);
        put(p + 4, version, 1);
        put(p + 5, type, 1);
        put(p + 6, 0, 2);
        put(p + 8, seq, 8);
}

static void result(uint64_t v)
{
        frame(1, TYPE_RESULT, 0, 8);
        put(mv_kvm_at(MV_KVM_OUTBOX + HEADER), v, 8);
        mv_kvm_ring(MV_KVM_OP_SEND, HEADER + 8);
}

static void calls(uint32_t n)
{
        uint64_t sum = 0;
        for (uint32_t i = 1; i <= n; i++) {
                frame(1, TYPE_CALL, i, 4);
                put(mv_kvm_at(MV_KVM_OUTBOX + HEADER), i, 4);
                mv_kvm_ring(MV_KVM_OP_CALL, HEADER + 4);
                struct mv_slice in = mv_kvm_inbox();
                sum += in.len == HEADER + 4 ? get32(in.p + HEADER) : 0x100000;
        }
        result(sum);
}

static void big_call(void)
{
        uint8_t *p = mv_kvm_at(MV_KVM_OUTBOX + HEADER);
        for (uint32_t i = 0; i < PAYLOAD_MAX; i++)
                p[i] = (uint8_t)(i * 7 ^ i >> 9);
        frame(1, TYPE_CALL, 1, PAYLOAD_MAX);
        mv_kvm_ring(MV_KVM_OP_CALL, HEADER + PAYLOAD_MAX);
        struct mv_slice in = mv_kvm_inbox();
        uint64_t good = in.len == HEADER + PAYLOAD_MAX;
        for (uint32_t i = 0; good && i < PAYLOAD_MAX; i++)
                good = in.p[HEADER + i] == (uint8_t)(i * 7 ^ i >> 9);
        result(good);
}

__attribute__((noinline)) static uint64_t deeper(uint64_t n)
{
        volatile uint8_t block[1024];
        block[n % sizeof block] = (uint8_t)n;
        return n ? deeper(n + 1) + block[0] : 0; /* never 0 before the guard page */
}

static uint64_t mix(uint64_t h, uint64_t v)
{
        return (h ^ v) * 0x100000001b3 + (h >> 29);
}

static uint64_t show_state(void)
{
        uint64_t x[32], h = in_data;
        uint32_t mxcsr;
        uint16_t fcw, fsw;
#define SAVE(n) "movups %%xmm" #n ", 16*" #n "(%0)\n\t"
        __asm__ volatile(SAVE(0) SAVE(1) SAVE(2) SAVE(3) SAVE(4) SAVE(5) SAVE(6) SAVE(7) SAVE(8)
                                 SAVE(9) SAVE(10) SAVE(11) SAVE(12) SAVE(13) SAVE(14) SAVE(15)
                         :
                         : "r"(x)
                         : "memory");
        __asm__ volatile("stmxcsr %0\n\tfnstcw %1\n\tfnstsw %2"
                         : "=m"(mxcsr), "=m"(fcw), "=m"(fsw));
        for (int i = 0; i < 32; i++)
                h = mix(h, x[i]);
        h = mix(h, mxcsr | (uint64_t)fcw << 32 | (uint64_t)fsw << 48);
        for (int i = 0; i < 1024; i++)
                h = mix(h, in_bss[i]);
        for (uint64_t a = MV_KVM_STACK; a < MV_KVM_STACK_END - 16384; a += 4096)
                h = mix(h, *(volatile uint64_t *)mv_kvm_at(a));
        for (uint64_t a = MV_KVM_ARENA; a < MV_KVM_ARENA + arena_bytes; a += 4096)
                h = mix(h, *(volatile uint64_t *)mv_kvm_at(a));
        return h;
}

static void fill(uint64_t from, uint64_t to)
{
        for (uint64_t a = from; a < to; a += 512)
                *(volatile uint64_t *)mv_kvm_at(a) = ~a;
}

static void write_everywhere(void)
{
        uint64_t here;
        __asm__ volatile("movq %%rsp, %0" : "=r"(here));
        fill(MV_KVM_ARENA, MV_KVM_ARENA + arena_bytes);
        fill(MV_KVM_OUTBOX, MV_KVM_OUTBOX_END);
        fill(MV_KVM_INBOX, MV_KVM_INBOX_END);
        fill(MV_KVM_STACK, (here & ~4095ull) - 4096);
        in_data = 1;
        for (int i = 0; i < 1024; i++)
                in_bss[i] = ~0ull;
}

static void dirty_sse(void)
{
        uint32_t mxcsr = 0x7f80;
        uint16_t fcw = 0x27f;
#define SET(n) "movq %0, %%xmm" #n "\n\t"
        __asm__ volatile("ldmxcsr %1\n\tfldcw %2\n\tfld1\n\tfldpi\n\t" SET(0) SET(1) SET(7) SET(8)
                                 SET(15)
                         :
                         : "r"(0x5ec4e75ec4e75ec4), "m"(mxcsr), "m"(fcw)
                         : "xmm0", "xmm1", "xmm7", "xmm8", "xmm15");
}

static uint64_t show_ymm(void)
{
        uint64_t y[4] = { 0 };
        __asm__ volatile("vmovups %%ymm5, (%0)" : : "r"(y) : "memory");
        return y[2] | y[3];
}

static void jump(uint64_t to)
{
        __asm__ volatile("jmp *%0" : : "r"(to));
}

static void privileged(enum hostile_act act)
{
        uint64_t zero[2] = { 0 };
        switch (act) {
        case ACT_HLT:
                __asm__ volatile("hlt");
                break;
        case ACT_IN:
                __asm__ volatile("inb $0x80, %%al" : : : "rax");
                break;
        case ACT_OUT:
                __asm__ volatile("outb %%al, $0x80" : : "a"(1));
                break;
        case ACT_INT3:
                __asm__ volatile("int3");
                break;
        case ACT_INT80:
                __asm__ volatile("int $0x80" : : "a"(1), "b"(0));
                break;
        case ACT_INT_PAGE_FAULT:
                __asm__ volatile("int $14");
                break;
        case ACT_INT_255:
                __asm__ volatile("int $255");
                break;
        case ACT_SYSCALL:
                __asm__ volatile("syscall" : : "a"(60), "D"(0) : "rcx", "r11");
                break;
        case ACT_SYSENTER:
                __asm__ volatile("sysenter" : : "a"(1));
                break;
        case ACT_CLI:
                __asm__ volatile("cli");
                break;
        case ACT_MOV_CR3:
                __asm__ volatile("movq %0, %%cr3" : : "r"(0x1000ull));
                break;
        case ACT_READ_CR0:
                __asm__ volatile("movq %%cr0, %0" : "=r"(zero[0]));
                break;
        case ACT_WRMSR:
                __asm__ volatile("wrmsr" : : "c"(0xc0000080), "a"(0), "d"(0));
                break;
        case ACT_RDMSR:
                __asm__ volatile("rdmsr" : : "c"(0xc0000080) : "rax", "rdx");
                break;
        case ACT_LGDT:
                __asm__ volatile("lgdt %0" : : "m"(zero));
                break;
        case ACT_LIDT:
                __asm__ volatile("lidt %0" : : "m"(zero));
                break;
        case ACT_LTR:
                __asm__ volatile("ltr %w0" : : "r"(0x40));
                break;
        case ACT_INVLPG:
                __asm__ volatile("invlpg (%0)" : : "r"(zero));
                break;
        case ACT_WBINVD:
                __asm__ volatile("wbinvd");
                break;
        case ACT_XSETBV:
                __asm__ volatile("xsetbv" : : "c"(0), "a"(7), "d"(0));
                break;
        case ACT_MOV_DR7:
                __asm__ volatile("movq %0, %%dr7" : : "r"(0x400ull));
                break;
        case ACT_VMCALL:
                __asm__ volatile("vmcall" : : "a"(1), "b"(0), "c"(0), "d"(0));
                break;
        case ACT_UD2:
                __asm__ volatile("ud2");
                break;
        case ACT_RDPMC:
                __asm__ volatile("rdpmc" : : "c"(0) : "rax", "rdx");
                break;
        case ACT_IRET_RING0:
                __asm__ volatile("pushq $0x18\n\tpushq %%rsp\n\tpushfq\n\tpushq $0x10\n\tpushq "
                                 "$0x200000\n\tiretq"
                                 :
                                 :
                                 : "memory");
                break;
        case ACT_RETF_RING0:
                __asm__ volatile("pushq $0x10\n\tpushq $0x200000\n\tlretq");
                break;
        case ACT_LOAD_SS:
                __asm__ volatile("movw %w0, %%ss" : : "r"(0x18));
                break;
        case ACT_LOAD_DS:
                __asm__ volatile("movw %w0, %%ds" : : "r"(0x40));
                break;
        default:
                break;
        }
}

static void bells(enum hostile_act act)
{
        volatile uint8_t *bell = mv_kvm_at(MV_KVM_DOORBELL);
        switch (act) {
        case ACT_FRAME_HUGE:
                frame(1, TYPE_CALL, 1, 0xffffffff);
                mv_kvm_ring(MV_KVM_OP_CALL, HEADER);
                break;
        case ACT_FRAME_LONGER:
                frame(1, TYPE_CALL, 1, 100);
                mv_kvm_ring(MV_KVM_OP_CALL, HEADER + 99);
                break;
        case ACT_FRAME_VERSION:
                frame(9, TYPE_CALL, 1, 0);
                mv_kvm_ring(MV_KVM_OP_CALL, HEADER);
                break;
        case ACT_FRAME_SHORT:
                mv_kvm_ring(MV_KVM_OP_CALL, HEADER - 1);
                break;
        case ACT_BELL_FLOOD:
                for (;;)
                        mv_kvm_ring(MV_KVM_OP_SEND, 0);
        case ACT_BELL_LENGTH:
                mv_kvm_ring(MV_KVM_OP_SEND, MV_KVM_OUTBOX_BYTES + 1);
                break;
        case ACT_BELL_GARBAGE:
                mv_kvm_ring(0xee, 0xdeadbeefdeadbe);
                break;
        case ACT_BELL_READ:
                (void)*(volatile uint64_t *)bell;
                break;
        case ACT_BELL_NARROW:
                *bell = MV_KVM_OP_SEND;
                break;
        case ACT_BELL_MIDDLE:
                *(volatile uint64_t *)(bell + 64) = MV_KVM_OP_SEND;
                break;
        case ACT_BELL_STRADDLE:
                *(volatile uint64_t *)(bell + 4092) = MV_KVM_OP_SEND;
                break;
        case ACT_BELL_WIDE:
                frame(1, TYPE_RESULT, 0, 8);
                __asm__ volatile(
                        "movq %0, %%xmm0\n\tpunpcklqdq %%xmm0, %%xmm0\n\tmovups %%xmm0, (%1)"
                        :
                        : "r"((uint64_t)(HEADER + 8) << 8 | MV_KVM_OP_SEND), "r"(bell)
                        : "xmm0", "memory");
                break;
        case ACT_BELL_STRING:
                __asm__ volatile("rep stosq"
                                 :
                                 : "D"(bell), "c"(512), "a"(MV_KVM_OP_SEND)
                                 : "memory");
                break;
        case ACT_BELL_STRING_READ:
                __asm__ volatile("rep movsb"
                                 :
                                 : "D"(mv_kvm_at(MV_KVM_ARENA)), "S"(bell), "c"(4096)
                                 : "memory");
                break;
        case ACT_BELL_READY:
                mv_kvm_ring(MV_KVM_OP_READY, 0);
                break;
        case ACT_BELL_EXECUTE:
                jump(MV_KVM_DOORBELL);
                break;
        case ACT_CALL_UNANSWERED:
                frame(1, 6, 0, 0);
                mv_kvm_ring(MV_KVM_OP_CALL, HEADER);
                break;
        default:
                break;
        }
}

static void memory(enum hostile_act act, uint32_t n)
{
        static uint8_t code[16] = { 0xc3 };
        volatile uint8_t on_stack[16] = { 0xc3 };
        switch (act) {
        case ACT_READ_WILD:
                (void)*(volatile uint64_t *)mv_kvm_at(0x123456789000);
                break;
        case ACT_WRITE_WILD:
                *(volatile uint64_t *)mv_kvm_at(0x7fff00000000) = 1;
                break;
        case ACT_READ_NULL:
                (void)*(volatile uint64_t *)mv_kvm_at(0);
                break;
        case ACT_WRITE_TABLE:
                *(volatile uint64_t *)mv_kvm_at(MV_KVM_SYSTEM + 0x2000) = 0;
                break;
        case ACT_WRITE_IDT:
                *(volatile uint64_t *)mv_kvm_at(MV_KVM_SYSTEM + 0x200) = 0;
                break;
        case ACT_RING_FAULTBELL:
                *(volatile uint8_t *)mv_kvm_at(MV_KVM_FAULTBELL) = 3;
                break;
        case ACT_WRITE_TEXT:
                *(volatile uint8_t *)mv_kvm_at(MV_KVM_TEXT) = 0xcc;
                break;
        case ACT_EXECUTE_DATA:
                jump((uintptr_t)code);
                break;
        case ACT_EXECUTE_STACK:
                jump((uintptr_t)on_stack);
                break;
        case ACT_STACK_OVERFLOW:
                in_data = deeper(1);
                break;
        case ACT_RSP_WILD:
                __asm__ volatile("movq $0x10, %rsp\n\tpushq $1");
                break;
        case ACT_JUMP_NONCANONICAL:
                jump(0x8000000000000000);
                break;
        case ACT_READ_NONCANONICAL:
                (void)*(volatile uint64_t *)mv_kvm_at(0x8000000000000000);
                break;
        case ACT_WRITE_EVERYWHERE:
                write_everywhere();
                break;
        case ACT_WRITE_THEN_DIE:
                write_everywhere();
                __asm__ volatile("ud2");
                break;
        case ACT_TOUCH_PAGES:
                for (uint64_t i = 0; i < n; i++)
                        *(volatile uint64_t *)mv_kvm_at(MV_KVM_ARENA + i * 4096) = i + 1;
                break;
        default:
                break;
        }
}

static void arithmetic(enum hostile_act act)
{
        uint32_t mxcsr = 0;
        uint16_t fcw = 0;
        double zero = 0, one = 1;
        switch (act) {
        case ACT_DIVIDE:
                __asm__ volatile("divl %0" : : "r"(0), "a"(1), "d"(0));
                break;
        case ACT_SINGLE_STEP:
                __asm__ volatile("pushfq\n\torq $" RFLAGS_TRAP ", (%rsp)\n\tpopfq\n\tnop\n\tnop");
                break;
        case ACT_ALIGNMENT:
                __asm__ volatile("pushfq\n\torq $" RFLAGS_ALIGNMENT
                                 ", (%%rsp)\n\tpopfq\n\tmovq 1(%0), %%rax"
                                 :
                                 : "r"(in_bss)
                                 : "rax");
                break;
        case ACT_X87_EXCEPTION:
                __asm__ volatile("fldcw %0\n\tfld1\n\tfldz\n\tfdivrp\n\tfwait" : : "m"(fcw));
                break;
        case ACT_SSE_EXCEPTION:
                __asm__ volatile("ldmxcsr %0\n\tdivsd %1, %2" : : "m"(mxcsr), "x"(zero), "x"(one));
                break;
        case ACT_DIRTY_SSE:
                dirty_sse();
                break;
        case ACT_DIRTY_AVX:
                __asm__ volatile("vpcmpeqd %%ymm5, %%ymm5, %%ymm5" : : : "xmm5");
                break;
        default:
                break;
        }
}

static uint64_t ask_processor(enum hostile_act act)
{
        uint32_t a = 0, b = 0, c = 0, d = 0;
        switch (act) {
        case ACT_RDTSC:
                __asm__ volatile("rdtsc" : "=a"(a), "=d"(d));
                break;
        case ACT_RDTSCP:
                __asm__ volatile("rdtscp" : "=a"(a), "=d"(d), "=c"(c));
                break;
        case ACT_CPUID:
                __asm__ volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(0), "c"(0));
                return b;
        case ACT_RDRAND:
                __asm__ volatile("rdrand %0" : "=r"(a));
                return a != 0;
        case ACT_SHOW_STATE:
                return show_state();
        case ACT_SHOW_YMM:
                return show_ymm();
        default:
                return 0;
        }
        return a | (uint64_t)d << 32;
}

void mv_kvm_main(uint64_t bytes)
{
        arena_bytes = bytes;
        mv_kvm_ring(MV_KVM_OP_READY, 0);
        struct mv_slice in = mv_kvm_inbox();
        enum hostile_act act = in.len > HEADER ? in.p[HEADER] : ACT_FINISH;
        uint32_t n = in.len >= HEADER + 5 ? get32(in.p + HEADER + 1) : 0;
        /* first: it looks at registers nothing else has used yet */
        uint64_t value = ask_processor(act);
        if (act == ACT_CALLS)
                calls(n);
        if (act == ACT_BIG_CALL)
                big_call();
        while (act == ACT_SPIN)
                ;
        privileged(act);
        bells(act);
        memory(act, n);
        arithmetic(act);
        result(value);
        for (;;)
                ;
}
