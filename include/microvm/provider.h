/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MICROVM_PROVIDER_H
#define MICROVM_PROVIDER_H
/* A provider puts a runner behind a wall and moves frames; it holds no policy beyond the token check.
 * Third parties register the same struct. See docs/design/providers.md for the life cycle.
 *
 * Threads: one provider is used by several threads at once; one cell by one thread at a time, except cancel(). */
#include <microvm/context.h>
#include <microvm/error.h>
#include <microvm/value.h>

#define MV_PROVIDER_ABI 1

/* What a provider's kernel or hardware really enforces; printed by `microvm providers`. */
enum mv_feature {
        MV_FEAT_WALL_TIME = 1u << 0,
        MV_FEAT_CPU_TIME = 1u << 1,
        MV_FEAT_MEMORY = 1u << 2,
        MV_FEAT_FUEL = 1u << 3,
        MV_FEAT_OUTPUT = 1u << 4,
        MV_FEAT_SEPARATE_ADDRESS_SPACE = 1u << 5,
        MV_FEAT_SYSCALL_FILTER = 1u << 6, /* no system call beyond the door */
        /* the guest cannot reach the host's system call table at all */
        MV_FEAT_NO_KERNEL_SHARED = 1u << 7,
        MV_FEAT_RESET = 1u << 8,    /* a used cell can be proven equal to a fresh one */
        MV_FEAT_PROGRAMS = 1u << 9, /* external programs and scripts */
        /* a cell takes further runs that find what earlier ones left (mv_session_open) */
        MV_FEAT_SESSION = 1u << 10,
        /* auto takes it only when no other provider meets the tier that was asked for: its cells
         * take a hundred times longer to start than those of its neighbours */
        MV_FEAT_ON_REQUEST = 1u << 11,
        MV_FEAT_MODULES = 1u << 12, /* WebAssembly modules */
};

enum mv_termination {
        MV_END_COMPLETED,
        MV_END_ERROR, /* the program raised an error; from run: it could not be started, detail says why */
        MV_END_DENIED,
        MV_END_TIMEOUT, /* wall time or CPU time */
        MV_END_MEMORY,
        MV_END_FUEL,
        MV_END_OUTPUT,
        MV_END_KILLED, /* fault, signal, cancel or protocol violation */
        MV_END_UNAVAILABLE,
        MV_END_MAX_
};
/* "completed" "error" ... as cli.md prints them */
const char *mv_termination_name(enum mv_termination t);

/* The host end of the door as a provider sees it. Whole frames only (header included, see src/wire/frame.h).
 * Returns >0: *ret_reply is a frame to hand to the runner (valid until the next call); 0: nothing to hand over;
 * MV_DOOR_DONE: the runner has delivered its result, the run is over; negative: stop and kill the cell, err says why. */
#define MV_DOOR_REPLY 1
#define MV_DOOR_DONE  2
struct mv_door_host {
        void *ctx;
        int (*frame)(void *ctx, struct mv_slice frame, struct mv_slice *ret_reply,
                     struct mv_err *err);
        /* What a program wrote to its standard streams, as it comes. false: its output limit is
         * reached, end it. */
        bool (*output)(void *ctx, bool to_stderr, struct mv_slice bytes);
};

/* An external program or a script's interpreter, for providers with MV_FEAT_PROGRAMS. Paths are absolute, as the program
 * sees them; everything outlives the cell. */
struct mv_program_file { /* put there before it starts, read-only */
        const char *path;
        struct mv_slice bytes;
        bool executable;
};
struct mv_program_grant { /* a file or a tree of the host, at the same path */
        const char *path;
        bool write;
};
struct mv_program_spec {
        const char *path;
        const char *const *argv; /* with the name first; NULL-terminated, like env */
        const char *const *env;  /* NAME=VALUE; all of it: nothing is inherited */
        const struct mv_program_file *files;
        uint32_t files_count;
        const struct mv_program_grant *grants;
        uint32_t grants_count;
        bool door;   /* descriptor 3 speaks the door: CALL and LOG frames, see wire/frame.h */
        bool output; /* what is left in /workspace/output is wanted: mv_exit.output_fd */
        /* The way to the granted hosts is wanted: a socket that listens on 127.0.0.1:MV_PROXY_PORT of
         * the program's own network, which has nothing else, handed to mv_run.egress. */
        bool network;
        /* Standard input is what is read from input_fd, through a pipe; without: /dev/null. */
        bool input;
        int input_fd;
        /* MV_FEAT_MODULES: a WebAssembly module (path is NULL then; argv and env are the module's), and whether its clock
         * asks the capability ccos.system.current-timestamp-ms. */
        struct mv_slice module;
        bool clock;
        /* path is a static program among files, and the only one: no system tree, no /proc, the modules' filter */
        bool bare;
};
#define MV_PROXY_PORT 3128

/* What serves that socket. The provider moves a descriptor and looks at another one; whoever runs
 * the execution does the rest (docs/design/egress.md). */
struct mv_egress_server {
        void *ctx;
        /* The listening socket, taken, also on failure. */
        int (*serve)(void *ctx, int listener_fd, struct mv_err *err);
        int wait_fd; /* readable: call step. Negative return: the execution must end */
        int (*step)(void *ctx, struct mv_err *err);
};

struct mv_cell_spec {
        const char *execution_id;
        struct mv_limits limits; /* effective: already the minimum of everything that was asked */
        /* more than one run will come; limits of time are those of each run */
        bool session;
        const struct mv_program_spec *program; /* NULL: RTFS */
};

struct mv_run {
        const char *execution_id;
        struct mv_slice start; /* the START frame to hand to the runner first */
        struct mv_door_host door;
        const struct mv_egress_server *egress; /* with mv_program_spec.network; else NULL */
        struct mv_limits limits;
        uint64_t deadline_ns; /* CLOCK_MONOTONIC; 0: none */
        /* Boundary gate (REQ-PRV-09): NULL id: a program without a capability. */
        const char *capability_id;
        const char *const *permissions;
        uint32_t permissions_count;
        /* MV_FEAT_SESSION. resumes: the last run in this cell belonged to the same session and ended in order; the runner is as
         * it left it and is given this START. Without resumes a used cell is refused. */
        bool session, resumes;
};

struct mv_exit {
        /* COMPLETED when the door said DONE, whatever the program's outcome */
        enum mv_termination termination;
        char detail[160];           /* "page fault at 0x0, error 4", "killed by SIGSYS", "" */
        int exit_code, signal;      /* process tier; -1 and 0 elsewhere */
        bool cpu_time;              /* with TIMEOUT: the limit of CPU time, not of wall time */
        uint64_t cpu_ns;            /* measured; 0: not measurable here */
        uint64_t memory_peak_bytes; /* measured; 0: not measurable here */
        bool simulated;             /* only mock may say true */
        int output_fd;              /* directory, the caller closes it; 0: none */
};

struct mv_provider;
struct mv_cell;
struct mv_provider_ops {
        uint32_t abi;      /* MV_PROVIDER_ABI; first field, for ever */
        const char *name;  /* stable: written to audit records */
        const char *title; /* in messages: "Mock provider not initialized" */
        enum mv_tier tier;
        uint64_t features;
        /* Usable here? Cheap, no side effects. 0, or UNAVAILABLE with the reason. */
        int (*probe)(struct mv_err *err);
        /* config: a map validated against schema(), or NULL for the defaults. */
        int (*init)(const struct mv_value *config, struct mv_provider **ret, struct mv_err *err);
        int (*open_cell)(struct mv_provider *p, const struct mv_cell_spec *spec,
                         struct mv_cell **ret, struct mv_err *err);
        /* Runs to its end. 0 even when the guest died: *ret says how. Negative: the provider
         * itself failed. */
        int (*run)(struct mv_cell *c, const struct mv_run *run, struct mv_exit *ret,
                   struct mv_err *err);
        /* any thread, idempotent, cannot fail */
        void (*cancel)(struct mv_cell *c);
        int (*reset)(struct mv_cell *c, struct mv_err *err); /* NULL: cells are used once */
        /* releases everything, returns NULL */
        struct mv_cell *(*close_cell)(struct mv_cell *c);
        struct mv_provider *(*fini)(struct mv_provider *p); /* returns NULL */
        const char *(*schema)(void);                        /* JSON Schema text, static */
        /* Work that a module needs once and no execution's time is spent on (compiling). NULL: none. INVALID: the module is at
         * fault, err says of what. */
        int (*prepare)(struct mv_provider *p, struct mv_slice module, struct mv_err *err);
        /* With MV_FEAT_PROGRAMS: do programs and scripts run here too? 0, or UNAVAILABLE with the reason. NULL: wherever probe
         * says 0. */
        int (*probe_programs)(struct mv_err *err);
};

#endif
