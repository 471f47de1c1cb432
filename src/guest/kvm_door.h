/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_GUEST_KVM_DOOR_H
#define MV_GUEST_KVM_DOOR_H
/* The guest's end of the ring-3 door: wire/kvm_door.h as C. */
#include <stdint.h>
#include <wire/kvm_door.h>
#include <microvm/value.h>

#define MV_KVM_OUTBOX_BYTES (MV_KVM_OUTBOX_END - MV_KVM_OUTBOX)

static inline uint8_t *mv_kvm_at(uintptr_t address)
{
        /* Hidden from the compiler: it takes pointers made of small constants for mistakes. */
        __asm__("" : "+r"(address));
        return (uint8_t *)address;
}

/* The store that leaves the guest. It returns when the host has answered. */
static inline void mv_kvm_ring(unsigned op, uint64_t bytes)
{
        uint64_t v = bytes << MV_KVM_OP_BITS | op;
        __asm__ volatile("movq %0, (%1)" : : "r"(v), "r"(mv_kvm_at(MV_KVM_DOORBELL)) : "memory");
}

static inline struct mv_slice mv_kvm_inbox(void)
{
        uint64_t len;
        __builtin_memcpy(&len, mv_kvm_at(MV_KVM_INBOX), sizeof len);
        return (struct mv_slice){ mv_kvm_at(MV_KVM_INBOX + MV_KVM_INBOX_HEADER_BYTES), len };
}

static inline uint8_t *mv_kvm_outbox(void)
{
        return mv_kvm_at(MV_KVM_OUTBOX);
}

void mv_kvm_main(uint64_t arena_bytes);

#endif
