/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_SYS_STANDING_H
#define MV_SYS_STANDING_H
/* What a thread may do, as far as a process that it starts inherits it: ids, groups, capabilities,
 * limits, mount namespace, system call filters. To find out whether a process that one thread has started
 * may stand for one that another thread would start.
 *
 * (1) What cannot be seen is not guessed: a thread with no_new_privs may have put itself behind Landlock, which
 *     cannot be asked for, and its standing is not known. Two unknown ones are not the same.
 * (2) With CAP_SYS_ADMIN a thread can do that without no_new_privs, and nobody sees it: such a thread is taken for one that did
 *     not. Whoever does it among threads that share a host sets no_new_privs as well, or prepared_cells to 0. */
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#define MV_SYS_STANDING_GROUPS_MAX 64

struct mv_sys_standing {
        bool known;
        uid_t uid;
        gid_t gid, groups[MV_SYS_STANDING_GROUPS_MAX];
        int groups_count;
        uint32_t capabilities[6];
        struct rlimit limits[RLIM_NLIMITS];
        uint64_t mounts; /* the mount namespace's number */
        uint64_t filters;
};

/* Of the calling thread. Some twenty short system calls. */
void mv_sys_standing(struct mv_sys_standing *ret);
bool mv_sys_standing_same(const struct mv_sys_standing *a, const struct mv_sys_standing *b);

#endif
