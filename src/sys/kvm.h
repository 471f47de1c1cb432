/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_SYS_KVM_H
#define MV_SYS_KVM_H
/* Raw KVM: descriptors in, errors with their errno out. No policy, no state. */
#include <base/err.h>
#include <linux/kvm.h>
#include <stdbool.h>

/* /dev/kvm with API version 12 and every capability the kvm provider needs, or UNAVAILABLE saying what is missing and
 * what mends it. The caller closes the descriptor. */
int mv_sys_kvm_open(struct mv_err *err);
int mv_sys_kvm_vm(int kvm_fd, struct mv_err *err);
int mv_sys_kvm_vcpu(int vm_fd, struct mv_err *err);
int mv_sys_kvm_extension(int fd, unsigned capability); /* 0: absent */
/* One ioctl; what names it in the error. */
int mv_sys_kvm(int fd, unsigned long request, void *arg, const char *what, struct mv_err *err);
int mv_sys_kvm_slot(int vm_fd, const struct kvm_userspace_memory_region *slot, struct mv_err *err);
/* Signals that end KVM_RUN: only `signal`, which may stay blocked outside of it. */
int mv_sys_kvm_kick_signal(int vcpu_fd, int signal, struct mv_err *err);
struct kvm_run *mv_sys_kvm_map_run(int kvm_fd, int vcpu_fd, size_t *ret_bytes, struct mv_err *err);
/* 0 or -errno: the hot path formats nothing. */
int mv_sys_kvm_run(int vcpu_fd);
/* The loaded KVM module: "kvm_intel", "kvm_amd", "kvm_pvm", or "kvm" when none of them is named.
 * Static. */
const char *mv_sys_kvm_backend(void);

#endif
