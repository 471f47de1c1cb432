/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_SYS_PROGRAM_FILTER_H
#define MV_SYS_PROGRAM_FILTER_H
/* The system calls of external programs and interpreters: an allow-list.
 *
 * (1) What is not on the list does not exist: ENOSYS, so that a C library takes its older way.
 *     What is on no list because it is a way out (mount, ptrace, bpf, keys, io_uring ...) says
 *     EPERM: the right reason.
 * (2) A call of another ABI kills the process.
 * (3) clone may not make a namespace, and clone3, whose flags a filter cannot see, does not exist.
 * (4) Sockets: local, IPv4 and IPv6 only, and no raw ones; families that are not bound to a
 *     network namespace (vsock) or reach far into the kernel (packet, netlink, AF_ALG) are
 *     refused.
 * (5) No file gets a set-user-id or set-group-id bit: in a granted directory it would be a way to
 *     the caller's rights for anybody on the host. openat2, whose mode a filter cannot see, does
 *     not exist.
 * (6) A WebAssembly module's process gets a list of its own: files it has, memory that is never executable, its end. No
 *     process, no socket, no signal to anybody.
 * (7) Without namespaces the program has the host's names before it. What Landlock does not look at is refused here: whatever
 *     changes owner, mode, times or attributes of a file, also of one that is open (nobody can tell here which was opened to be
 *     read only), watches on files, files without a name, limits and scheduling of other processes, their clocks, every socket
 *     but pairs. */
#include <linux/filter.h>

#define MV_SYS_PROGRAM_FILTER_MAX 512
struct mv_sys_program_filter {
        struct sock_filter code[MV_SYS_PROGRAM_FILTER_MAX];
        unsigned short len;
};
/* Socket(AF_UNIX) and pairs of datagram sockets too. Not when host directories are granted: a socket file in one leads to its
 * owner. */
#define MV_SYS_FILTER_LOCAL_SOCKETS 1u
/* memfd_create. Not where memory is counted by looking at processes: such a file belongs to none. */
#define MV_SYS_FILTER_MEMORY_FILES 2u
/* There are no namespaces around it (7). */
#define MV_SYS_FILTER_CONFINED 4u
void mv_sys_program_filter(struct mv_sys_program_filter *ret, unsigned with);
void mv_sys_module_filter(struct mv_sys_program_filter *ret);

#endif
