/* SPDX-License-Identifier: Apache-2.0 */
/* Where a cell begins: ring 3, stack and registers set by the host, rdi = bytes of the arena. Nothing is above us: when
 * mv_kvm_main returns, the guest faults and the host sees it. */
        .section .text.start, "ax", @progbits
        .globl _start
_start:
        jmp mv_kvm_main
        .section .note.GNU-stack, "", @progbits
