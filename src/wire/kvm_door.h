/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_WIRE_KVM_DOOR_H
#define MV_WIRE_KVM_DOOR_H
/* The ring-3 guest's whole world: what is where, and what a store to the doorbell means. Shared by the host side
 * (provider/kvm), the guest entry (guest/kvm_main.c), the linker script and assembler files: macros only.
 *
 * Virtual and guest-physical addresses are equal. S: supervisor page, the guest's ring 3 cannot touch it.
 *
 *     FROM        TO          WHAT                                             MEMORY
 *     0x00000000              nothing: null pointers fault
 *     0x00080000  + 4 KiB     doorbell, user rw, backed by nothing: MMIO exit  none
 *     0x00081000  + 4 KiB  S  fault bell: the exception stubs' way out         none
 *     0x00200000  0x00800000  image: text r-x, rodata r--                      slot 0, read-only, shared by all cells
 *     0x00800000  + 256 KiB S page tables, GDT, IDT, TSS, exception stubs      slot 1, private to the cell
 *     0x00840000  + 8 KiB  S  exception stacks                                 slot 1
 *     0x00844000  + 4 KiB     thread block rw-, where fs points: musl's stack check  slot 1
 *     0x00850000  0x00c00000  image: data and bss rw-                          slot 1
 *     0x00d00000  0x01100000  stack rw-, nothing mapped on either side         slot 1
 *     0x01200000  0x01a01000  inbox rw-: host to guest                         slot 1
 *     0x01b00000  0x02400000  outbox rw-: guest to host                        slot 1
 *     0x02600000  + limit     arena rw-                                        slot 1
 *
 * A WebAssembly module's image (guest/module_kvm.c) may be larger than that; for it these differ:
 *
 *     0x04000000  0x0c000000  image: text r-x, rodata r--                      slot 0
 *     0x10000000  + heap      the runtime's room rw-                           slot 2
 *        behind   + pages     linear memory rw-, nothing behind it             slot 2
 *
 * Inbox: u64 length of the frame, u64 zero, then the frame. Outbox: whole frames from its first byte on.
 * Doorbell: one aligned 8-byte store; bits 0..7 enum below, bits 8..63 bytes in the outbox. */

#define MV_KVM_DOORBELL           0x00080000
#define MV_KVM_FAULTBELL          0x00081000
#define MV_KVM_TEXT               0x00200000
#define MV_KVM_TEXT_END           0x00800000
#define MV_KVM_RW                 0x00800000 /* slot 1 begins */
#define MV_KVM_SYSTEM             0x00800000
#define MV_KVM_SYSTEM_BYTES       0x00040000
#define MV_KVM_FAULT_STACKS       0x00840000
#define MV_KVM_FAULT_STACKS_BYTES 0x00002000
#define MV_KVM_THREAD             0x00844000
#define MV_KVM_THREAD_BYTES       0x00001000
#define MV_KVM_DATA               0x00850000
#define MV_KVM_DATA_END           0x00c00000
#define MV_KVM_STACK              0x00d00000
#define MV_KVM_STACK_END          0x01100000
#define MV_KVM_INBOX              0x01200000
#define MV_KVM_INBOX_END          0x01a01000
#define MV_KVM_INBOX_HEADER_BYTES 16
#define MV_KVM_OUTBOX             0x01b00000
#define MV_KVM_OUTBOX_END         0x02400000
#define MV_KVM_ARENA              0x02600000
#define MV_KVM_MODULE_TEXT        0x04000000
#define MV_KVM_MODULE_TEXT_END    0x0c000000
#define MV_KVM_MODULE_ARENA       0x10000000

#define MV_KVM_OP_READY                                                                            \
        1 /* initialised: this memory becomes the template; resumes with a START frame in the inbox */
#define MV_KVM_OP_CALL   2 /* frames are in the outbox; resumes with one frame in the inbox */
#define MV_KVM_OP_SEND   3 /* frames are in the outbox; resumes with nothing */
#define MV_KVM_OP_FAILED 4 /* the runner could not initialise itself; text in the outbox says why */
/* Of modules alone. The bits above are bytes in the outbox, but for EXIT and SLEEP. */
#define MV_KVM_OP_STDOUT 5
#define MV_KVM_OP_STDERR 6
#define MV_KVM_OP_FILES                                                                            \
        7 /* a request of wire/module_files.h; resumes with the answer in the inbox */
#define MV_KVM_OP_SLEEP 8 /* nanoseconds; resumes when they have passed */
#define MV_KVM_OP_EXIT  9 /* the exit code; never resumes */
#define MV_KVM_OP_BITS  8

/* A module's START, in the inbox: u64 seed; u32 each: a clock was granted, arguments, variables, preopened directories, bytes
 * of standard input or MV_KVM_INPUT_IS_A_FILE; then so many texts, each with a NUL; then standard input. */
#define MV_KVM_START_BYTES     28
#define MV_KVM_INPUT_IS_A_FILE 0xffffffffu

#endif
