/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_SYS_VMM_FILTER_H
#define MV_SYS_VMM_FILTER_H
/* The wall around the thread that runs a virtual processor: what its seccomp filter lets through.
 *
 * (1) Allowed: running and loading one virtual processor (its own descriptor only), futex, taking a kick signal, giving
 *     its own memory back, exit. No file, no socket, no mmap, no new process, no other ioctl.
 * (2) Everything else fails with EPERM. It does not kill: killing the process would take the caller's program with it,
 *     killing the thread would leave its caller waiting for an answer. A refused call has no effect either way.
 * (3) The time stamp counter is closed too.
 * (4) A one-way door: no_new_privs and the filter stay on the thread until it ends. */
#include <base/err.h>

/* Of the calling thread. */
int mv_sys_vmm_filter(int vcpu_fd, struct mv_err *err);

#endif
