/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_PROVIDER_PROCESS_PROGRAM_H
#define MV_PROVIDER_PROCESS_PROGRAM_H
/* Cells that run external programs and interpreters. wall.c: what this machine offers, once per
 * provider. plan.c: what the init of a cell is told. private.c: what stands in for its file system without namespaces. program.c: a cell's life. program_run.c: while
 * it runs. spare.c: cells made beforehand. docs/design/process-cell.md has the whole order and the reasons. */
#include <provider/process/process.h>
#include <sys/cell.h>
#include <sys/cgroup.h>
#include <sys/program_filter.h>
#include <sys/standing.h>
#include <wire/cell_plan.h>

#define MV_PROGRAM_PIDS_MAX  100u  /* REQ-RES-04 */
#define MV_PROGRAM_FILES_MAX 1024u /* open descriptors of one process */
#define MV_PROGRAM_FILE_BYTES_MAX                                                                  \
        ((uint64_t)256 << 20) /* of one file it writes, also where it was granted to */
#define MV_PROGRAM_SCRATCH_BYTES_MAX ((uint64_t)256 << 20)
#define MV_PROGRAM_INODES_MAX        8192u
#define MV_PROGRAM_STACK_BYTES       ((uint64_t)8 << 20)
/* What the runtime of a module reserves beside the module's own memory, for frames and the values of calls
 * (wasm/host_call.c) and for tables; hardly any of it is touched. */
#define MV_MODULE_RUNTIME_BYTES ((uint64_t)128 << 20)
#define MV_PROGRAM_GROUPS_IDLE  4u /* control groups that wait for the next cell */
#define MV_PROGRAM_GRANTS_MAX   64u
#define MV_PROGRAM_SPARES_MAX   4u /* cells made beforehand; each holds a few hundred KiB */
#define MV_PROGRAM_GRACE_NS                                                                        \
        10000000ull /* between SIGTERM and SIGKILL when a limit ends it; inside the 50 ms promised \
                     */
#define MV_PROGRAM_WATCH_MS 5u /* how often init looks, where no control group counts */
/* Of a cell with another wall in it: threads of that wall are tasks, and its descriptors stand for
 * those of the programs behind it. */
#define MV_NESTED_PIDS_MAX 4096u
/* While the wall itself starts, which is our code and not the program's. */
#define MV_NESTED_START_PERCENT 400u
#define MV_NESTED_FILES_MAX     16384u
/* Of the 50 ms that an answer may take after a deadline: to see that everything in such a cell is dead. */
#define MV_NESTED_END_MS 20
#define MV_NESTED_FDS    5u
/* In which an init without namespaces has to end its family, which takes it less than a millisecond. */
#define MV_PROGRAM_END_MS 1000
#define MV_NESTED_DIR     "nested"              /* in the cell: what the wall is given */
#define MV_NESTED_ROOT    MV_NESTED_DIR "/root" /* what the program sees as its root */
#define MV_NESTED_AGENT   "opt/microvm/agent"   /* below that root */

struct mv__spares;

/* Directories of the host that one program has to itself, where there are no mounts (private.c). */
struct mv__private {
        int parent_fd, lock_fd; /* lock_fd: locked for as long as it is somebody's */
        char name[48], parent[256];
        char path[320];
        uint32_t owner; /* the id that programs run under here; 0: the caller's */
};
/* Made, with the files of the execution in it; owner as above. */
int mv__private_make(const struct mv_program_spec *s, uint32_t owner, struct mv__private **ret,
                     struct mv_err *err);
/* Accepts NULL. Nothing may run in it any more. */
void mv__private_remove(struct mv__private *p);
/* Where a path of the program's own is really; a path that is not its own is itself. */
void mv__private_path(const struct mv__private *p, const char *path, char *buf, size_t cap);
/* The directory in which places are made, without a symbolic link on the way. */
int mv__private_parent(char *buf, size_t cap, struct mv_err *err);
/* Remove what dead processes left. */
void mv__private_sweep(void);

struct mv__wall {
        bool confined; /* no namespaces: Landlock, seccomp and a place instead */
        bool no_user; /* root, and no user namespace can be made: programs get an id, and nothing translates owners */
        int image_fd; /* of init; -1: this build has none */
        struct mv_sys_groups groups;
        int landlock_abi; /* 0: none */
        struct mv_sys_program_filter filter, filter_no_local, filter_module, filter_confined;
        int owner_namespace_fd; /* -1 until the first grant that needs it */
        pthread_mutex_t
                owner_lock; /* not taken by the thread of spares: a process that forks may need it */
        struct mv_sys_group idle[MV_PROGRAM_GROUPS_IDLE]; /* empty groups of ended cells */
        unsigned idle_count;
        pthread_mutex_t lock; /* the two lines above */
        uint32_t cpu_percent, spares_max;
        pid_t owner; /* a process that forked from it has neither idle groups nor spares */
        struct mv__spares *spares;
};

/* Why programs cannot run here, or 0. Cheap: no cell is made, and "yes" is remembered. */
int mv__wall_probe(struct mv_err *err);
/* The same, of a wall without namespaces. */
int mv__wall_probe_confined(struct mv_err *err);
/* The first, with what would allow it. */
int mv__wall_probe_programs(struct mv_err *err);
int mv__wall_init(struct mv__wall *w, struct mv_err *err);
void mv__wall_done(struct mv__wall *w);
/* One line: what stands around programs here, and what is missing. */
void mv__wall_text(char *buf, size_t cap);
void mv__wall_text_confined(char *buf, size_t cap);

/* Another wall inside the cell (provider/gvisor). The program of the cell is then the binary of that
 * wall, started by an agent's image that is also the first thing behind it; the caller's program is
 * handed to that agent. No Landlock and no filter in such a cell: the inner wall makes namespaces and
 * mounts of its own. The cell's namespaces, ids, empty capability sets and control group hold it. */
struct mv__nested {
        const char *binary, *binary_at; /* on the host; in the cell, without a leading slash */
        const char *device;             /* of the host, which the wall needs; NULL: none */
        struct mv_slice agent, config;  /* config: MV_NESTED_DIR "/config.json" */
        const char *const *argv,
                *const *env;      /* of the agent, which executes what is behind "outside" */
        uint64_t start_bytes_max; /* memory the wall itself may take before it runs anything */
};

struct mv__program {
        struct mv__wall *wall;
        const struct mv_program_spec *spec;
        const struct mv__nested *nested; /* NULL: none */
        struct mv__private *private;     /* NULL: it has namespaces */
        uint64_t tasks_before; /* of its user, without namespaces: RLIMIT_NPROC counts them too */
        int agent_fd, log_fd;  /* nested: the agent's socket; what the wall says of itself */
        /* nested: stdout, stderr, stdin, door, relay of the program, until handed over */
        int theirs[MV_NESTED_FDS];
        struct mv_sys_child child;
        struct mv_sys_group group;
        int control_fd, out_fd, err_fd, door_fd;
        int output_fd;   /* handed out by init; -1: none */
        int feed_fd;     /* where its standard input goes; -1: none, or its end was reached */
        int given_fd;    /* came with a report that is not whole yet; -1: none */
        int listener_fd; /* handed out by init, for whoever serves the network; -1: none */
        struct mv_cell_report part; /* of init, as far as it has arrived */
        size_t part_len;
        bool no_local;                       /* a grant is a directory: no local sockets */
        uint8_t *plan;                       /* two parts, each with its length before it */
        size_t plan_len, first_len, plan_at; /* plan_at: init has what is before */
        uint64_t scratch_bytes;
        struct mv_sys_group_limits group_limits;
        uint64_t sources; /* which files of the host the first part of the plan shows */
        bool ended;       /* every process of the cell but init is dead, and init is ending */
        /* of a spare */
        struct mv_program_spec flags;
        struct mv_sys_standing standing;
        uint64_t made_ns;
        struct mv__program *next;
};

/* Memory of the cell's own file system for what programs write. */
uint64_t mv__program_scratch_bytes(uint64_t memory_bytes_max);
/* Standard input (input.c): what waits to be taken. */
struct mv__feed {
        uint8_t *buf; /* NULL before the first byte */
        size_t at, len;
        uint64_t total;
};
/* What to wait for: the source, or room in the program's pipe. */
struct pollfd;
void mv__feed_watch(const struct mv__feed *f, const struct mv__program *p, struct pollfd *ret);
/* false: the input is larger than it may be. */
bool mv__feed_step(struct mv__feed *f, struct mv__program *p);

/* Nothing open, nothing started; NULL: no memory. */
struct mv__program *mv__program_new(struct mv__wall *w);
/* Streams, group and an init that waits for the plan, of a program without grants. */
int mv__program_start(struct mv__program *p, const char *name, struct mv_err *err);
void mv__program_free(struct mv__program *p);
/* End everything in it; any thread. Its end is not waited for. */
void mv__program_kill(struct mv__program *p);
/* In a process that forked: it was the other one's. */
void mv__program_forget(struct mv__program *p);

/* spare.c */
void mv__spares_init(struct mv__wall *w);
void mv__spares_done(struct mv__wall *w);
/* One that was started as p would be, or NULL; whoever has it compares their plans. */
struct mv__program *mv__spares_pop(struct mv__program *p);
bool mv__spares_alike(const struct mv__program *p, const struct mv__program *spare);
/* p runs: let there be spares like it. */
void mv__spares_ask(struct mv__program *p);
/* Is there somebody to close a cell for us? */
bool mv__spares_may_close(const struct mv__wall *w);
void mv__spares_close(struct mv__program *p);

int mv__program_open(struct mv_cell *c, const struct mv_cell_spec *spec, struct mv_err *err);
void mv__program_close(struct mv_cell *c);
/* A report from init, or from the agent behind another wall: hostile, because a program may stand beside it. What it may say is
 * how the program ended; false: it says something else. */
bool mv__report_take(const struct mv_cell_report *from, struct mv_cell_report *ret);
/* What init has to say; a descriptor that comes with it becomes output_fd or listener_fd. 1: *ret is a report; 0: not
 * a whole one yet; -1: init is gone, or says what is no report. */
int mv__program_control(struct mv__program *p, struct mv_cell_report *ret);
int mv__program_run(struct mv_cell *c, const struct mv_run *run, struct mv_exit *ret,
                    struct mv_err *err);

/* Numbers, in init, of the control group's files and then of the granted mounts. */
struct mv__given {
        int fds[MV_CELL_FDS_MAX];
        unsigned count;
        unsigned joins_at, joins_count;
        unsigned mounts_at;
        bool mounts;      /* one per grant, else init makes them itself */
        bool directories; /* a grant is a directory */
        bool is_dir[MV_PROGRAM_GRANTS_MAX];
};
/* p->plan and the lengths beside it. */
int mv__program_plan(struct mv__program *p, const struct mv_limits *limits,
                     const struct mv__given *given, struct mv_err *err);

#endif
