/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_PROVIDER_GVISOR_H
#define MV_PROVIDER_GVISOR_H
/* Inside the gvisor provider. gvisor.c: the table, configuration, cells. platform.c: what runsc can do on this machine.
 * bundle.c: what runsc is told. start.c: from the plan to an agent that answers. run.c: one run.
 * docs/design/gvisor.md has the whole and the reasons. */
#include <provider/process/program.h>
#include <wire/gvisor_agent.h>

/* What runsc, its sentry and its gofer may take before anything runs in the sandbox (measured: 45 MiB), and what they may
 * grow by while RTFS runs, whose own memory is fixed. */
#define MV_GVISOR_START_BYTES ((uint64_t)256 << 20)
#define MV_GVISOR_SLACK_BYTES ((uint64_t)64 << 20)
/* Until the agent answers: measured 0.2 s, and many times that where everything else runs too. A platform that hangs is given
 * up sooner. */
#define MV_GVISOR_START_NS 30000000000ull
#define MV_GVISOR_TRIAL_NS 5000000000ull
#define MV_GVISOR_END_NS                                                                           \
        1000000000ull /* until the agent has reaped a runner that has its end of file */
#define MV_GVISOR_WALL_NS  30000000000ull /* of an execution that asks for nothing */
#define MV_GVISOR_WATCH_MS 10u /* how often the agent looks, where no control group counts */
#define MV_GVISOR_ARGS_MAX 16

struct gv_provider {
        struct mv_provider base;
        char runsc[256];
        const char *platform;
        uint64_t start_ns; /* how long a sandbox may take until its agent answers */
};

struct gv_cell {
        struct mv_cell base;
        struct mv__nested nested;
        char *config; /* malloc'ed JSON */
        char platform_arg[32];
        const char *argv[MV_GVISOR_ARGS_MAX];
        struct mv_cell_report end; /* of the last runner */
        bool clean;                /* the last run ended in order, and its process is dead */
        bool late;                 /* its time was over before it was up: it was killed */
};

/* platform.c. name: "auto" or one of runsc's. 0 and *ret, or UNAVAILABLE with the exact reason; tried once per process
 * and name. */
int gv_platform(const char *name, const char **ret, struct mv_err *err);
int gv_find_runsc(char *buf, size_t cap, struct mv_err *err);

/* bundle.c. malloc'ed text of config.json. */
char *gv_config(const struct mv_cell_spec *spec, uint64_t scratch_bytes);
/* network: the agent outside carries connections to the proxy. */
void gv_command(struct gv_cell *c, const char *platform, bool network);

/* start.c */
/* 1: the time of the execution is over, and the sandbox is not up. */
int gv_start(struct gv_cell *c, struct mv_err *err);
/* Bytes and descriptors to the agent, within deadline_ns. */
int gv_send(struct gv_cell *c, struct mv_slice bytes, const int *fds, unsigned fds_count,
            uint64_t deadline_ns, struct mv_err *err);
/* One report of the agent. false: none came in time, or the sandbox is gone. */
bool gv_report(struct gv_cell *c, uint64_t deadline_ns, struct mv_cell_report *ret);

/* gvisor.c */
int gv_open(struct gv_provider *p, const struct mv_cell_spec *spec, struct mv_cell **ret,
            struct mv_err *err);
struct mv_cell *gv_close(struct mv_cell *c);
int gv_provider_make(const char *platform, struct gv_provider **ret, struct mv_err *err);
struct mv_provider *gv_fini(struct mv_provider *p);

/* run.c */
int gv_run(struct mv_cell *c, const struct mv_run *run, struct mv_exit *ret, struct mv_err *err);

#endif
