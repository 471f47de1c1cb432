/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_PROVIDER_PROCESS_H
#define MV_PROVIDER_PROCESS_H
/* Inside the process provider. process.c: the table, configuration, cells. run.c: one run. end.c: why a runner ended.
 * layout.c: what a memory limit is spent on. program.h: everything about programs that are not RTFS. */
#include <pthread.h>
#include <stdatomic.h>
#include <provider/common.h>
#include <provider/process/image.h>
#include <sys/child.h>

struct mv__wall;
struct mv__program;
struct mv__nested;

struct mv_provider {
        struct mv__wall *wall; /* around programs; NULL until the first one */
        pthread_mutex_t wall_lock;
        uint32_t cpu_percent, spares_max;
        bool confined; /* programs get no namespaces: provider landlock */
        bool kept;     /* runners restore themselves after a run (mv__process_keeps) */
        int image_fd;
        size_t image_bytes;
        uint64_t timeout_ns, memory_bytes; /* configured ceilings; 0: not configured */
        atomic_ullong oom_kills_seen;
};

/* (1) A limit is split so that everything the program can fill is inside it: arena and frame buffers are carved from it,
 *     the image is counted too. Only the C stack (touched by deeply nested source alone, at most STACK_BYTES) is on top.
 * (2) Below MV_PROCESS_MEMORY_FLOOR the split does not shrink: the evaluator needs MV_PROCESS_ARENA_MIN. Pages cost what
 *     is touched, so a small program stays far below the floor: (+ 1 2) under a limit of 1 MiB peaks under 1 MiB
 *     (REQ-META-03, X-53), which is measured, not assumed. */
#define MV_PROCESS_ARENA_MIN ((uint64_t)512 << 10) /* grep RTFS-ARENA-MIN: MV_RTFS_ARENA_MIN */
#define MV_PROCESS_BUFFER_MIN                                                                      \
        ((uint64_t)64 << 10) /* the smallest buffer the runner accepts for outgoing frames */
#define MV_PROCESS_STACK_BYTES                                                                     \
        ((uint64_t)4 << 20) /* MV_SOURCE_DEPTH_MAX levels of the compiler fit */
#define MV_PROCESS_MEMORY_FLOOR ((uint64_t)1 << 20)
struct mv_process_layout {
        uint64_t start, reply, out, arena; /* bytes, multiples of the page */
        uint64_t address_bytes_max;        /* RLIMIT_AS: the second net under the arena */
};
struct mv_process_layout mv__process_layout(uint64_t memory_bytes_max, uint64_t image_bytes);

/* How a runner is measured and ended that is not a child of ours (provider/gvisor). */
struct mv__runner_ops {
        uint64_t (*cpu_ns)(const struct mv_cell *c);
        uint64_t (*memory_peak)(const struct mv_cell *c);
        int (*end_fd)(const struct mv_cell *c);                  /* readable when it ended */
        void (*kill)(struct mv_cell *c, struct mv_sys_end *ret); /* and wait for its end */
        /* it ended by itself */
        void (*explain)(struct mv_cell *c, uint64_t cpu_ns_max, struct mv_exit *ret);
};

struct mv_cell {
        struct mv_provider *provider;
        const struct mv__runner_ops *runner; /* NULL: it is `child` */
        const struct mv__nested *nested;     /* another wall stands in this cell */
        struct mv_sys_child child;
        int door_fd;
        struct mv_process_layout layout;
        struct mv_limits limits;
        bool used, session;
        bool reused, left_over; /* had an earlier run; the last one sent more than its result */
        atomic_bool cancelled;
        struct mv__program *program; /* NULL: the cell runs RTFS */
};

int mv__process_run(struct mv_cell *c, const struct mv_run *run, struct mv_exit *ret,
                    struct mv_err *err);

/* What a runner's end means: by a signal (of CPU time only with cpu_ns_max), or an exit code. */
void mv__process_explain_end(struct mv_cell *c, const struct mv_sys_end *end, uint64_t cpu_ns_max,
                             struct mv_exit *ret);
/* Reap a runner that nobody here killed and say what ended it. */
void mv__process_explain(struct mv_cell *c, uint64_t cpu_ns_max, struct mv_exit *ret);

/* Everything a provider holds but its own memory. */
void mv__process_provider_done(struct mv_provider *p);

#endif
