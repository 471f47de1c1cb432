/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_SYS_PROBE_H
#define MV_SYS_PROBE_H
/* What this kernel offers, asked without changing anything. Used by `microvm doctor`; providers
 * have their own probes. */
#include <stdbool.h>
#include <stddef.h>

/* Opens /dev/kvm: 0, or the errno. backend: "kvm_intel", "kvm_amd", "kvm_pvm", or "kvm" when no
 * module names it. */
int mv_sys_probe_kvm(char *backend, size_t cap);
int mv_sys_probe_user_namespaces(void); /* a child tries one: 0, or its errno */
int mv_sys_probe_seccomp(
        void); /* 0: a filter that kills the process can be installed; else the errno */
/* That keeps signals inside, and everything before it: what programs without namespaces need. */
#define MV_LANDLOCK_ABI_CONFINED 6
int mv_sys_probe_landlock(void); /* the ABI version, or -errno */
int mv_sys_probe_openat2(void);  /* 0, or the errno */
/* First file of that name on PATH that may be executed: its path into buf; false: none. */
bool mv_sys_probe_binary(const char *name, char *buf, size_t cap);

#endif
