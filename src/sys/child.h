/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_SYS_CHILD_H
#define MV_SYS_CHILD_H
/* A child process that runs one sealed image with nothing but a door.
 *
 * What the child has after exec: descriptors 0 and 1 (the door), 2 (the lifeline), no other; an empty environment; its
 * own session; every signal blocked, so that only SIGKILL and its own faults end it; no capability, no_new_privs, rlimits
 * and a seccomp filter that admits what a static image needs to start plus read, write and exit. The image installs the
 * final, tighter filter itself (guest/linux_main.c).
 *
 * (1) The lifeline is a pipe whose read end raises SIGKILL in the child when the last write end closes. PR_SET_PDEATHSIG
 *     fires when the *thread* that made the child ends; the lifeline fires when the host process is gone, whatever thread
 *     made the child, and also when it was killed.
 * (2) Nothing here is shared with the parent once exec succeeded: CLONE_VM and CLONE_VFORK end there.
 * (3) A child is named by its pidfd. Nobody else may reap it; if the program around us did, that is reported, not hidden.
 * Threads: one child by one thread, except mv_sys_child_kill. */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <base/err.h>

struct mv_sys_spawn {
        int image_fd;      /* a sealed memory file */
        int door_fd;       /* the child's end; the caller closes its copy afterwards */
        char *const *argv; /* NULL-terminated */
        uint64_t address_bytes_max, stack_bytes_max;
        uint64_t cpu_seconds_max; /* 0: no limit */
        /* What its filter admits besides, until the image installs its own; 0 and NULL: nothing. */
        const long *calls;
        unsigned calls_count;
        unsigned files_max; /* descriptors it may hold; 0: those it starts with */
};
struct mv_sys_child {
        pid_t pid;
        int pidfd, lifeline_fd;
        bool reaped;
};
#define MV_SYS_CHILD_NONE ((struct mv_sys_child){ 0, -1, -1, true })

struct mv_sys_end {
        bool known;      /* false: somebody else reaped it */
        int exit_code;   /* -1 when a signal ended it */
        int signal;      /* 0 when it exited */
        uint64_t cpu_ns; /* user and system */
};

int mv_sys_spawn(const struct mv_sys_spawn *s, struct mv_sys_child *ret, struct mv_err *err);
/* SIGKILL; harmless when it ended already. Any thread, until mv_sys_child_done. */
void mv_sys_child_kill(const struct mv_sys_child *c);
/* SIGSTOP and SIGCONT: it takes no processor time in between. Harmless when it ended. */
void mv_sys_child_stop(const struct mv_sys_child *c);
void mv_sys_child_continue(const struct mv_sys_child *c);
/* Has it ended, within ms? It is not reaped. */
bool mv_sys_child_ends(const struct mv_sys_child *c, int ms);
/* Block until it ended, and reap it. */
void mv_sys_child_wait(struct mv_sys_child *c, struct mv_sys_end *ret);
/* Kill, reap and close; accepts a child that never was. */
void mv_sys_child_done(struct mv_sys_child *c);

/* Of a child that was not reaped yet. 0: not measurable here. */
uint64_t mv_sys_child_cpu_ns(const struct mv_sys_child *c);
/* Peak resident set of the image alone, from /proc; ru_maxrss would carry the parent's peak
 * across exec. */
uint64_t mv_sys_child_memory_peak(const struct mv_sys_child *c);
/* How many times this kernel's out-of-memory killer struck since boot; 0 when it does not say. */
uint64_t mv_sys_oom_kills(void);

#endif
