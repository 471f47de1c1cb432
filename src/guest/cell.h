/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_GUEST_CELL_H
#define MV_GUEST_CELL_H
/* Between the files of a cell's init. The plan comes from the host, which is trusted; reading it is
 * bounded all the same. */
#include <base/cur.h>
#include <stdbool.h>
#include <sys/types.h>
#include <wire/cell_plan.h>

struct entry64 { /* of getdents64 */
        uint64_t inode;
        int64_t next;
        uint16_t len;
        uint8_t type;
        char name[];
};

struct cell {
        int root_fd, scratch_fd; /* -1 until their step */
        int top_fd; /* the root file system; root_fd is this one, or a directory in it (BELOW) */
        uint64_t watch_bytes_max, watch_cpu_ns_max;
        uint32_t watch_period_ms;
        int control_fd;
        bool spare;
        bool confined; /* signals reach nobody but the cell's processes, which are no namespace of their own */
        const char *place;
        uint64_t place_bytes_max, place_entries_max;
        int score_fd; /* how gladly the kernel kills this process when memory is short; -1 */
        char score[8];
        int io_fd;     /* what init's own processes that ended have written; -1 */
        char step[96]; /* what is being done, for the report */
};

const char *cell_str(struct mv_cur *c); /* ends the process for a plan that is cut: it is ours */
struct mv_slice cell_blob(struct mv_cur *c);
/* The next part of the plan; waits for it, and ends the process when the host is gone. */
struct mv_cur cell_part(const struct cell *c);
__attribute__((format(printf, 2, 3))) void cell_step(struct cell *c, const char *fmt, ...);

/* cell_root.c: one step on the file system. 0 or an errno. */
int cell_root_step(struct cell *c, enum mv_cell_op op, struct mv_cur *plan);
/* Hand a descriptor to the host. 0 or an errno. */
int cell_give(int fd, enum mv_cell_report_kind kind);
/* cell_network.c: loopback, and on it the socket that the host serves. 0 or an errno. */
int cell_network(struct cell *c, uint16_t port);
/* cell_program.c: the steps after MV_CELL_PROGRAM, in a process that shares init's memory. Returns
 * only when one failed: its errno. */
int cell_program(struct cell *c, struct mv_cur *plan);
/* cell_watch.c: what all processes of the cell but init use now. */
void cell_usage(uint64_t *ret_resident_bytes, uint64_t *ret_cpu_ns);
/* The same of one process, by its name in /proc. */
void cell_usage_add(int proc, const char *name, bool resident, uint64_t *bytes, uint64_t *cpu_ns);
/* Asks one thread of a process after the other until found says true: what is asked of a process is asked of its first thread, which
 * may have ended before the others. */
typedef bool (*cell_thread_fn)(int proc, const char *thread, void *ctx);
bool cell_next_thread(int proc, const char *name, cell_thread_fn found, void *ctx);
/* cell_confined.c: stand in for what a process namespace does. 0 or an errno. */
int cell_confine(struct cell *c);
/* Before and after the program's process is made, which keeps the score it is made under. */
void cell_score(struct cell *c, bool program);
/* What init's descendants use now; false: it cannot be told. */
bool cell_family_usage(uint64_t *ret_resident_bytes, uint64_t *ret_cpu_ns);
/* Is there more below the place than there may be, or something that cannot be looked at? */
bool cell_place_full(const struct cell *c);

#endif
