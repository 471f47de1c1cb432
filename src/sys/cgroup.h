/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_SYS_CGROUP_H
#define MV_SYS_CGROUP_H
/* Control groups, version 2 or the old hierarchies, whichever holds the controllers.
 *
 * (1) A group is made beneath the caller's own one, never beside or above it: the caller's own
 *     limits keep holding.
 * (2) A group that was made is removed by done; one that a killed process left is found by its
 *     name and removed by sweep.
 * (3) What cannot be had is said in words, per controller. */
#include <base/err.h>
#include <stdbool.h>
#include <stdint.h>

enum mv_sys_controller {
        MV_SYS_MEMORY,
        MV_SYS_CPU,
        MV_SYS_PIDS,
        MV_SYS_CPUACCT,
        MV_SYS_CONTROLLERS
};

/* What this process may use. Found once per provider. */
struct mv_sys_groups {
        int version;                  /* 2, 1, or 0: none */
        int dirs[MV_SYS_CONTROLLERS]; /* where groups are made; one directory for all with version
                                         2; -1: not to be had */
        char missing[200]; /* "" when all of memory, cpu and pids can be limited; else what is not,
                              and why */
};
void mv_sys_groups_find(struct mv_sys_groups *ret); /* sweeps what is left of dead processes too */
void mv_sys_groups_done(struct mv_sys_groups *g);

struct mv_sys_group_limits {
        uint64_t memory_bytes_max;
        uint32_t cpu_percent, pids_max; /* of one processor */
        bool cpu_time;                  /* while it runs; version 1 needs one group more for it */
};
struct mv_sys_group {
        const struct mv_sys_groups *in;
        char name[48]; /* "": none */
        bool made[MV_SYS_CONTROLLERS];
        int dir_fd; /* version 2: what a process is started in; -1: join_fds instead */
        int join_fds[MV_SYS_CONTROLLERS]; /* version 1 */
        unsigned join_count;
        int usage_fd;     /* CPU time; -1: not measured */
        int peak_fd;      /* memory peak; -1 */
        int oom_fd;       /* what says how often the kernel killed for memory; -1 */
        int oom_event_fd; /* readable when it did; -1 */
        uint64_t cpu_ns_before, memory_bytes_before;
        struct mv_sys_group_limits limits;
};
#define MV_SYS_GROUP_NONE                                                                          \
        ((struct mv_sys_group){ .dir_fd = -1,                                                      \
                                .join_fds = { -1, -1, -1, -1 },                                    \
                                .usage_fd = -1,                                                    \
                                .peak_fd = -1,                                                     \
                                .oom_fd = -1,                                                      \
                                .oom_event_fd = -1 })

/* Only what g offers is limited; err only when something that it offers fails. */
int mv_sys_group_make(const struct mv_sys_groups *g, const struct mv_sys_group_limits *l,
                      struct mv_sys_group *ret, struct mv_err *err);
/* May a group whose processes are gone hold others, under the same limits? Making one costs as much
 * as starting a process. Only version 1, where its memory peak can be set back; not when the kernel
 * killed in it, nor while more than a small part of the limit is still charged to it. */
bool mv_sys_group_again(struct mv_sys_group *g, const struct mv_sys_group_limits *l);
/* From here on: what its processes have and used until now is not counted, memory_bytes_max more
 * than they have now is their limit, and cpu_percent their share. For a cell that starts something
 * large of its own first. */
int mv_sys_group_begin(struct mv_sys_group *g, uint64_t memory_bytes_max, uint32_t cpu_percent,
                       struct mv_err *err);
uint64_t mv_sys_group_cpu_ns(const struct mv_sys_group *g);
uint64_t mv_sys_group_memory_peak(const struct mv_sys_group *g);
uint64_t mv_sys_group_oom_kills(const struct mv_sys_group *g);
/* Remove it; its processes must be gone. */
void mv_sys_group_done(struct mv_sys_group *g);
/* Close what belongs to it: it is another process's, whose memory ours is a copy of. */
void mv_sys_group_forget(struct mv_sys_group *g);

#endif
