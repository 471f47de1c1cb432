/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_SYS_VMM_FILTER_H
#define MV_SYS_VMM_FILTER_H
/* The wall around the thread that runs a virtual processor: what its seccomp filter lets through.
 *
 * (1) Allowed: running and loading one virtual processor (its own descriptor only), futex, taking a kick signal, exit,
 *     and what destructors of other libraries do when a thread ends: anonymous memory that is not executable. No file, no
 *     socket, no new process, no other ioctl, no code.
 * (2) Everything else fails with EPERM. It does not kill: killing the process would take the caller's program with it,
 *     killing the thread would leave its caller waiting for an answer. A refused call has no effect either way.
 * (3) A one-way door: no_new_privs and the filter stay on the thread until it ends. */
#include <stdbool.h>
#include <base/err.h>

/* Of the calling thread. */
int mv_sys_vmm_filter(int vcpu_fd, struct mv_err *err);

/* The time stamp counter of the calling thread. Some software hypervisors run the guest's ring 3 on the real processor
 * under its thread's control registers; there the guest's CR4.TSD alone does not close the clock. While it is closed the
 * thread must not ask the C library for the time: open it before destructors of other libraries run. */
int mv_sys_vmm_clock(bool open, struct mv_err *err);

#endif
