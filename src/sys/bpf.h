/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_SYS_BPF_H
#define MV_SYS_BPF_H
/* A seccomp filter built by hand: an allow-list of system calls, anything else kills the whole process.
 *
 * (1) The architecture is checked first: a number of another ABI (i386, x32) never reaches the list.
 * (2) An argument test compares the low 32 bits: descriptors and flags are ints to the kernel, which ignores the rest. */
#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>

#define MV_SYS_FILTER_MAX 96

struct mv_sys_filter {
        struct sock_filter code[MV_SYS_FILTER_MAX];
        unsigned short len;
};
void mv_sys_filter_init(struct mv_sys_filter *f);
void mv_sys_filter_allow(struct mv_sys_filter *f, long nr);
/* Allow nr only when argument `index` (0..5) equals value. May be repeated for further values. */
void mv_sys_filter_allow_if(struct mv_sys_filter *f, long nr, unsigned index, uint32_t value);
/* Close the list; after this the filter may be installed any number of times. */
void mv_sys_filter_seal(struct mv_sys_filter *f);
/* For the calling thread; no_new_privs must be set. Async-signal-safe. Returns 0 or an errno. */
int mv_sys_filter_install(const struct mv_sys_filter *f);
/* Does this kernel know filters that kill the process? No side effects. */
bool mv_sys_filter_supported(void);

#endif
