/* SPDX-License-Identifier: Apache-2.0 */
/* provider/gvisor - RTFS, programs and scripts behind the system calls of a user-space kernel.
 *
 * runsc runs as the only program of a process cell (provider/process/program.h): whoever got out of the sandbox would be an
 * id without a name, in namespaces with nothing of the host in them, without a capability or a network.
 *
 * (1) A cell is one sandbox in one cell. Closing it kills the cell's init, and with it runsc, sentry, gofer and whatever
 *     runs behind them; state, bundle and mounts are in the cell's namespaces and go with it. When this process dies the
 *     same happens, so that there are no orphans to look for (REQ-GV-12).
 * (2) A sandbox serves one RTFS execution after another, each in a process forked from an agent that never saw a program
 *     (guest/gvisor_agent.c). A sandbox that ran anything else is used once.
 * (3) The sandbox starts in open_cell: one that is kept answers without it, and CPU time and memory are counted from there.
 *     The wall time of an execution counts from the request: when it is over before the sandbox is up, that is
 *     what the run says.
 * (4) A limit kills the cell's init, and with it the kernel everything else. Whoever waits for the answer waits 20 ms at
 *     most for the last of it; beyond that the thread that closes cells does. */
#include <stdlib.h>
#include <base/limits.h>
#include <base/slice.h>
#include <provider/gvisor/gvisor.h>
#include <provider/provider.h>
#include <sys/fd.h>

#define MEBI                ((uint64_t)1 << 20)
#define CPU_PERCENT_DEFAULT 100

static const char schema_text[] =
        "{\"$schema\": \"http://json-schema.org/draft-07/schema#\", \"title\": \"gvisor "
        "provider\", \"type\": \"object\", \"additionalProperties\": false, \"properties\": {"
        "\"memory_limit_mb\": {\"type\": \"integer\", \"minimum\": 1, \"maximum\": 8192, "
        "\"default\": 512, \"description\": \"MiB an execution may use; an execution may ask for "
        "less\"}, "
        "\"cpu_limit\": {\"type\": \"integer\", \"minimum\": 1, \"maximum\": 6400, \"default\": "
        "100, \"description\": \"percent of one processor for the whole sandbox; needs control "
        "groups\"}, "
        "\"platform\": {\"type\": \"string\", \"enum\": [\"auto\", \"systrap\", \"ptrace\", "
        "\"kvm\"], \"default\": \"auto\", \"description\": \"how runsc meets system calls; auto: "
        "the first of systrap, ptrace, kvm that starts a sandbox\"}}}";
static const char *gv_schema(void)
{
        return schema_text;
}

static const char *const platforms[] = { "auto", "systrap", "ptrace", "kvm", NULL };

extern const struct mv__runner_ops gv_runner;
extern const uint8_t mv__gvisor_agent[], mv__gvisor_agent_end[];
static struct mv_slice agent_image(void)
{
        return (struct mv_slice){ mv__gvisor_agent,
                                  (size_t)(mv__gvisor_agent_end - mv__gvisor_agent) };
}

/* --- the provider ----------------------------------------------------------------------------- */

int gv_provider_make(const char *platform, struct gv_provider **ret, struct mv_err *err)
{
        if (agent_image().len == 0)
                return mv_fail(err, MV_E_UNAVAILABLE, 0,
                               "this build has no agent for sandboxes: it was made without "
                               "musl-gcc");
        struct gv_provider *p = calloc(1, sizeof *p);
        if (!p)
                return mv_fail(err, MV_E_NOMEM, 0, "gvisor provider: %zu bytes", sizeof *p);
        p->base.image_fd = -1;
        p->base.image_bytes = agent_image().len;
        p->base.cpu_percent = CPU_PERCENT_DEFAULT;
        p->platform = platform;
        p->start_ns = MV_GVISOR_START_NS;
        pthread_mutex_init(&p->base.wall_lock, NULL);
        int r = gv_find_runsc(p->runsc, sizeof p->runsc, err);
        if (r < 0) {
                gv_fini(&p->base);
                return r;
        }
        *ret = p;
        return 0;
}

struct mv_provider *gv_fini(struct mv_provider *p)
{
        if (p)
                mv__process_provider_done(p);
        free(p); /* base is its first member */
        return NULL;
}

static int gv_probe(struct mv_err *err)
{
        char runsc[256];
        const char *platform;
        int r = gv_find_runsc(runsc, sizeof runsc, err);
        if (r == 0)
                r = gv_platform("auto", &platform, err);
        if (r == 0)
                mv_fmt(err->msg, sizeof err->msg, "%s, platform %s, in a process cell", runsc,
                       platform);
        return r;
}

static int configure(const struct mv_value *config, int64_t *memory_mb, int64_t *cpu,
                     unsigned *platform, struct mv_err *err)
{
        static const char *const keys[] = { "memory_limit_mb", "cpu_limit", "platform", NULL };
        if (mv__config_keys(config, keys, err) < 0 ||
            mv__config_int(config, "memory_limit_mb", 1, 8192, memory_mb, err) < 0 ||
            mv__config_int(config, "cpu_limit", 1, 6400, cpu, err) < 0 ||
            mv__config_choice(config, "platform", platforms, platform, err) < 0)
                return mv_wrap(err, "gvisor provider");
        return 0;
}

static int gv_init(const struct mv_value *config, struct mv_provider **ret, struct mv_err *err)
{
        int64_t memory_mb = 512, cpu = CPU_PERCENT_DEFAULT;
        unsigned choice = 0;
        const char *platform;
        struct gv_provider *p;
        int r = configure(config, &memory_mb, &cpu, &choice, err);
        if (r == 0)
                r = gv_platform(platforms[choice], &platform, err);
        if (r == 0)
                r = gv_provider_make(platform, &p, err);
        if (r < 0)
                return r;
        p->base.memory_bytes = (uint64_t)memory_mb * MEBI;
        p->base.cpu_percent = (uint32_t)cpu;
        *ret = &p->base;
        return 0;
}

/* --- cells ------------------------------------------------------------------------------------ */

static uint64_t lower(uint64_t asked, uint64_t ceiling)
{
        return asked && (!ceiling || asked < ceiling) ? asked : ceiling;
}

struct mv_cell *gv_close(struct mv_cell *cell)
{
        struct gv_cell *c = (struct gv_cell *)cell;
        if (!c)
                return NULL;
        if (c->base.program)
                mv__program_close(&c->base);
        mv_fd_closep(&c->base.door_fd);
        free(c->config);
        free(c);
        return NULL;
}

/* RTFS has no program: the cell holds the sandbox alone. */
static const struct mv_program_spec no_program;

static int open_inside(struct gv_cell *c, const struct gv_provider *p,
                       const struct mv_cell_spec *spec, struct mv_err *err)
{
        static const char *const env[] = { "PATH=/usr/bin:/bin", NULL };
        struct mv_cell_spec around = *spec;
        uint64_t memory = c->base.limits.memory_bytes_max;
        c->config = gv_config(spec, mv__program_scratch_bytes(memory));
        if (!c->config)
                return mv_fail(err, MV_E_NOMEM, 0, "the bundle of a sandbox");
        gv_command(c, p->platform, spec->program && spec->program->network);
        c->nested =
                (struct mv__nested){ .binary = p->runsc,
                                     .binary_at = "runsc",
                                     .device = strcmp(p->platform, "kvm") == 0 ? "/dev/kvm" : NULL,
                                     .agent = agent_image(),
                                     .config = mv_slice_str(c->config),
                                     .argv = c->argv,
                                     .env = env,
                                     .start_bytes_max = MV_GVISOR_START_BYTES };
        c->base.nested = &c->nested;
        if (!around.program)
                around.program = &no_program;
        int r = mv__program_open(&c->base, &around, err);
        if (r == 0)
                r = gv_start(c, err); /* (3) */
        c->late = r > 0;
        if (c->late)
                mv_sys_child_kill(&c->base.program->child);
        return r < 0 ? r : 0;
}

int gv_open(struct gv_provider *p, const struct mv_cell_spec *spec, struct mv_cell **ret,
            struct mv_err *err)
{
        struct gv_cell *c = calloc(1, sizeof *c);
        if (!c)
                return mv_fail(err, MV_E_NOMEM, 0, "gvisor cell: %zu bytes", sizeof *c);
        c->base.provider = &p->base;
        c->base.child = MV_SYS_CHILD_NONE;
        c->base.door_fd = -1;
        c->base.limits = spec->limits;
        if (!c->base.limits.wall_ns_max)
                c->base.limits.wall_ns_max = MV_GVISOR_WALL_NS;
        c->base.limits.memory_bytes_max =
                lower(spec->limits.memory_bytes_max, p->base.memory_bytes);
        c->base.runner = &gv_runner;
        c->base.layout = mv__process_layout(c->base.limits.memory_bytes_max, p->base.image_bytes);
        int r = open_inside(c, p, spec, err);
        if (r < 0) {
                gv_close(&c->base);
                return mv_wrap(err, "sandbox %s", spec->execution_id);
        }
        *ret = &c->base;
        return 0;
}

static int open_cell(struct mv_provider *p, const struct mv_cell_spec *spec, struct mv_cell **ret,
                     struct mv_err *err)
{
        return gv_open((struct gv_provider *)p, spec, ret, err);
}

static int reset(struct mv_cell *cell, struct mv_err *err)
{
        struct gv_cell *c = (struct gv_cell *)cell;
        if (!c->clean)
                return mv_fail(err, MV_E_STATE, 0, "the last runner was not seen to end in order");
        c->clean = false;
        c->base.used = false;
        c->base.cancelled = false;
        return 0;
}

static void cancel(struct mv_cell *c)
{
        c->cancelled = true; /* before the kill: whoever sees the end must see the reason */
        mv_sys_child_kill(&c->program->child);
}

const struct mv_provider_ops mv_provider_gvisor = {
        .abi = MV_PROVIDER_ABI,
        .name = "gvisor",
        .title = "gVisor",
        .tier = MV_TIER_CONTAINER,
        .features = MV_FEAT_WALL_TIME | MV_FEAT_CPU_TIME | MV_FEAT_MEMORY | MV_FEAT_FUEL |
                    MV_FEAT_OUTPUT | MV_FEAT_SEPARATE_ADDRESS_SPACE | MV_FEAT_SYSCALL_FILTER |
                    MV_FEAT_RESET | MV_FEAT_PROGRAMS | MV_FEAT_ON_REQUEST,
        .probe = gv_probe,
        .init = gv_init,
        .open_cell = open_cell,
        .run = gv_run,
        .cancel = cancel,
        .reset = reset,
        .close_cell = gv_close,
        .fini = gv_fini,
        .schema = gv_schema,
};
