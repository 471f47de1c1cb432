/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KVM_HOSTILE_H
#define KVM_HOSTILE_H
/* What the test guest does, chosen by the first byte of the START payload. */
enum hostile_act {
        ACT_FINISH, /* one RESULT frame */
        ACT_CALLS,  /* n CALL frames, then RESULT; n: next four bytes */
        /* one CALL of the largest size, echoed; RESULT says whether the echo was right */
        ACT_BIG_CALL,
        ACT_SPIN,
        ACT_READ_WILD,
        ACT_WRITE_WILD,
        ACT_READ_NULL,
        ACT_WRITE_TABLE, /* a page table: supervisor page */
        ACT_WRITE_IDT,
        ACT_RING_FAULTBELL,
        ACT_WRITE_TEXT,
        ACT_EXECUTE_DATA,
        ACT_EXECUTE_STACK,
        ACT_HLT,
        ACT_IN,
        ACT_OUT,
        ACT_INT3,
        ACT_INT80,
        ACT_INT_PAGE_FAULT, /* int 14 */
        ACT_INT_255,
        ACT_SYSCALL,
        ACT_SYSENTER,
        ACT_CLI,
        ACT_MOV_CR3,
        ACT_READ_CR0,
        ACT_WRMSR,
        ACT_RDMSR,
        ACT_LGDT,
        ACT_LIDT,
        ACT_LTR,
        ACT_INVLPG,
        ACT_WBINVD,
        ACT_XSETBV,
        ACT_MOV_DR7,
        ACT_RDTSC,
        ACT_RDTSCP,
        ACT_RDPMC,
        ACT_CPUID,
        ACT_RDRAND,
        ACT_VMCALL,
        ACT_IRET_RING0,
        ACT_RETF_RING0,
        ACT_LOAD_SS, /* a kernel selector into ss */
        ACT_LOAD_DS, /* the TSS selector into ds */
        ACT_UD2,
        ACT_DIVIDE,
        ACT_STACK_OVERFLOW,
        ACT_RSP_WILD,     /* a fault while the stack pointer is nonsense */
        ACT_FRAME_HUGE,   /* a length of 4 GiB in the header */
        ACT_FRAME_LONGER, /* more than was sent */
        ACT_FRAME_VERSION,
        ACT_FRAME_SHORT,
        ACT_BELL_FLOOD,  /* rung without frames */
        ACT_BELL_LENGTH, /* more bytes than the outbox has */
        ACT_BELL_GARBAGE,
        ACT_BELL_READ,
        ACT_BELL_NARROW,      /* one byte */
        ACT_BELL_MIDDLE,      /* not at the page's start */
        ACT_BELL_STRADDLE,    /* over the page's end into the fault bell */
        ACT_BELL_WIDE,        /* 16 bytes at once: two parts, the first a valid SEND of a RESULT */
        ACT_BELL_STRING,      /* rep stosq over the page */
        ACT_BELL_STRING_READ, /* rep movsb out of it */
        ACT_BELL_READY,       /* READY a second time */
        ACT_BELL_EXECUTE,
        ACT_CALL_UNANSWERED, /* asks for an answer with a frame that has none */
        ACT_SINGLE_STEP,
        ACT_ALIGNMENT,
        ACT_X87_EXCEPTION,
        ACT_SSE_EXCEPTION,
        ACT_DIRTY_SSE, /* xmm, mxcsr, x87 left dirty, then RESULT */
        ACT_DIRTY_AVX,
        ACT_SHOW_STATE, /* RESULT with a hash of xmm and mxcsr, data, bss, stack, arena */
        ACT_SHOW_YMM,
        ACT_WRITE_EVERYWHERE,
        ACT_WRITE_THEN_DIE,
        ACT_TOUCH_PAGES, /* n arena pages, then RESULT; n: next four bytes */
        ACT_JUMP_NONCANONICAL,
        ACT_READ_NONCANONICAL,
        ACT_MAX_
};
#endif
