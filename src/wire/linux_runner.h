/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_WIRE_LINUX_RUNNER_H
#define MV_WIRE_LINUX_RUNNER_H
/* The contract between the process provider and the static runner it starts: the command line
 * (NAME START_BYTES REPLY_BYTES OUT_BYTES ARENA_BYTES, each a multiple of the page) and the exit codes. */

#define MV_RUNNER_PAGE_BYTES 4096u

/* NAME: of a cell that further runs will find as the last one left it, and of any other. */
#define MV_RUNNER_NAME_SESSION "microvm-session"
#define MV_RUNNER_NAME         "microvm-runner"
/* Of the evaluator as WebAssembly: no program at all. It writes to descriptor 1, as 8 bytes of this machine, how many ns it takes to
 * make an instance as new when a run has left its traces in it, and ends. */
#define MV_RUNNER_NAME_MEASURE "microvm-measure"

enum mv_runner_exit {
        MV_RUNNER_EXIT_OK = 0,      /* the end of the door */
        MV_RUNNER_EXIT_USAGE = 70,  /* sizes on the command line */
        MV_RUNNER_EXIT_MEMORY = 71, /* the kernel does not give the memory */
        MV_RUNNER_EXIT_FILTER = 72, /* no_new_privs or seccomp refused: nothing was read */
        MV_RUNNER_EXIT_ARENA = 73,  /* the evaluator does not fit into the arena */
        MV_RUNNER_EXIT_TRAP = 74,   /* the evaluator as WebAssembly left its bounds */
};

#endif
