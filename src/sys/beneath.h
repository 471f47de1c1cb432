/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_SYS_BENEATH_H
#define MV_SYS_BENEATH_H
/* The raw Linux calls behind file access beneath a granted root. Every function returns a descriptor or 0, or -errno; none
 * allocates. (Not named file.h: that would hide the C library's <sys/file.h>.) */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/openat2.h>

/* openat2 with O_CLOEXEC. A rename or mount that happens during a RESOLVE_BENEATH walk makes the kernel answer EAGAIN: the
 * walk is repeated a bounded number of times, then -EAGAIN is the answer. -ENOSYS: a kernel older than 5.6. */
int mv_sys_openat2(int dir_fd, const char *path, int flags, unsigned mode, uint64_t resolve);
/* Open again, with real access, the very inode an O_PATH descriptor holds; nobody can swap it in
 * between. */
int mv_sys_reopen(int path_fd, int flags);
/* Is it on a proc file system? Those files describe (and can change) the host process itself. */
bool mv_sys_is_procfs(int fd);
/* Bytes from the kernel's generator; fills all of it. */
int mv_sys_random(void *p, size_t bytes);

#endif
