/* SPDX-License-Identifier: Apache-2.0 */
/* provider/process - RTFS behind a process wall.
 *
 * A cell is one child that runs a static image from a sealed memory file: no path, no loader, no environment, no
 * descriptor but the door. sys/child.h says what the child is left with, guest/linux_main.c closes the rest: read and
 * write on the door and exit are the only system calls a program's evaluator can make. No namespace is unshared: with
 * that filter there is no call left that a namespace would answer differently. Programs and scripts need more calls and get
 * another cell: program.h.
 *
 * (1) A deadline, a CPU limit or cancel() ends the child by SIGKILL through its pidfd, without its cooperation. No SIGTERM
 *     comes first: a runner holds nothing that it could put in order, and blocks every signal.
 * (2) close_cell releases process, descriptors and memory, however far the cell came.
 * (3) Numbers are measured: CPU time by the child's own clock, memory by the peak of its address space.
 * (4) Between the evaluations of a session the child is stopped (SIGSTOP): there is no limit of CPU time over a session, and
 *     nothing in it may run while nobody watches.
 * (5) Cells are used once, or by one session. The runner would take another START, but nothing here proves that a used evaluator equals a
 *     fresh one, so `reset` is absent. */
#include <stdlib.h>
#include <sys/socket.h>
#include <base/limits.h>
#include <provider/process/program.h>
#include <provider/provider.h>
#include <sys/fd.h>
#include <sys/bpf.h>
#include <wire/linux_runner.h>

#define SECONDS 1000000000ull
#define MEBI    ((uint64_t)1 << 20)

static const char schema_text[] =
        "{\"$schema\": \"http://json-schema.org/draft-07/schema#\", \"title\": \"process "
        "provider\", "
        "\"type\": \"object\", \"additionalProperties\": false, \"properties\": {"
        "\"timeout\": {\"type\": \"integer\", \"minimum\": 1, \"maximum\": 3600, \"default\": 30, "
        "\"description\": \"seconds an execution may take; an execution may ask for less\"}, "
        "\"memory_limit_mb\": {\"type\": \"integer\", \"minimum\": 1, \"maximum\": 8192, "
        "\"default\": 512, "
        "\"description\": \"MiB an execution may use; an execution may ask for less\"}, "
        "\"cpu_percent\": {\"type\": \"integer\", \"minimum\": 1, \"maximum\": 6400, \"default\": "
        "100, "
        "\"description\": \"of one processor, for programs and scripts; needs control groups\"}, "
        "\"prepared_cells\": {\"type\": \"integer\", \"minimum\": 0, \"maximum\": 4, "
        "\"default\": 4, \"description\": \"cells for programs that are made beforehand, while "
        "programs of one kind run one after another; each is used once\"}}}";
#define TIMEOUT_S_DEFAULT 30
#define MEMORY_MB_DEFAULT 512

static int process_run(struct mv_cell *c, const struct mv_run *run, struct mv_exit *ret,
                       struct mv_err *err)
{
        return c->program ? mv__program_run(c, run, ret, err) : mv__process_run(c, run, ret, err);
}

static const char *process_schema(void)
{
        return schema_text;
}

/* src/guest/meson.build embeds the runner; empty when the build could not make one. */
extern const uint8_t mv__runner_linux[], mv__runner_linux_end[];
static struct mv_slice image_built_in(void)
{
        return (struct mv_slice){ mv__runner_linux,
                                  (size_t)(mv__runner_linux_end - mv__runner_linux) };
}

/* No child is made here: that is what init finds out. */
static int process_probe(struct mv_err *err)
{
        if (image_built_in().len == 0)
                return mv_fail(err, MV_E_UNAVAILABLE, 0,
                               "this build has no static runner: it was made without musl-gcc");
        if (!mv_sys_filter_supported())
                return mv_fail(err, MV_E_UNAVAILABLE, 0,
                               "the kernel has no seccomp filters that kill "
                               "(CONFIG_SECCOMP_FILTER, Linux 4.14)");
        mv__wall_text(err->msg, sizeof err->msg);
        return 0;
}

static int configure(struct mv_provider *p, const struct mv_value *config, struct mv_err *err)
{
        static const char *const keys[] = { "timeout", "memory_limit_mb", "cpu_percent",
                                            "prepared_cells", NULL };
        int64_t timeout_s = 0, memory_mb = 0, cpu_percent = 100, spares = MV_PROGRAM_SPARES_MAX;
        if (mv__config_keys(config, keys, err) < 0 ||
            mv__config_int(config, "timeout", 1, 3600, &timeout_s, err) < 0 ||
            mv__config_int(config, "memory_limit_mb", 1, 8192, &memory_mb, err) < 0 ||
            mv__config_int(config, "cpu_percent", 1, 6400, &cpu_percent, err) < 0 ||
            mv__config_int(config, "prepared_cells", 0, MV_PROGRAM_SPARES_MAX, &spares, err) < 0)
                return mv_wrap(err, "process provider");
        p->timeout_ns = (uint64_t)timeout_s * SECONDS;
        p->memory_bytes = (uint64_t)memory_mb * MEBI;
        p->cpu_percent = (uint32_t)cpu_percent;
        p->spares_max = (uint32_t)spares;
        return 0;
}

void mv__process_provider_done(struct mv_provider *p)
{
        mv_fd_closep(&p->image_fd);
        if (p->wall)
                mv__wall_done(p->wall);
        free(p->wall);
        pthread_mutex_destroy(&p->wall_lock);
}

static struct mv_provider *process_fini(struct mv_provider *p)
{
        if (!p)
                return NULL;
        mv__process_provider_done(p);
        free(p);
        return NULL;
}

int mv__process_init_image(struct mv_slice image, const struct mv_value *config,
                           struct mv_provider **ret, struct mv_err *err)
{
        struct mv_provider *p = calloc(1, sizeof *p);
        if (!p)
                return mv_fail(err, MV_E_NOMEM, 0, "process provider: %zu bytes", sizeof *p);
        pthread_mutex_init(&p->wall_lock, NULL);
        p->image_fd = -1;
        p->image_bytes = image.len;
        p->oom_kills_seen = mv_sys_oom_kills();
        int r = configure(p, config, err);
        if (r == 0)
                r = mv_sys_memfd_sealed("microvm-runner", image.p, image.len, &p->image_fd, err);
        if (r < 0) {
                process_fini(p);
                return r;
        }
        *ret = p;
        return 0;
}

static int landlock_probe(struct mv_err *err)
{
        int r = process_probe(err);
        if (r == 0)
                r = mv__wall_probe_confined(err);
        if (r == 0)
                mv__wall_text_confined(err->msg, sizeof err->msg);
        return r;
}

static int process_init(const struct mv_value *config, struct mv_provider **ret, struct mv_err *err)
{
        int r = process_probe(err);
        return r < 0 ? r : mv__process_init_image(image_built_in(), config, ret, err);
}

/* What is configured is a ceiling; the schema's default only stands in when nobody asked for
 * anything. */
static uint64_t effective(uint64_t asked, uint64_t configured, uint64_t standard)
{
        if (!asked)
                return configured ? configured : standard;
        return configured && configured < asked ? configured : asked;
}

/* RLIMIT_CPU counts whole seconds; run.c enforces the exact limit and this is the net under it. A runner that spins
 * inside a cell that was given no CPU limit cannot outlive its wall time by much either. */
static uint64_t cpu_seconds(const struct mv_limits *l)
{
        uint64_t ns =
                l->cpu_ns_max && l->cpu_ns_max < l->wall_ns_max ? l->cpu_ns_max : l->wall_ns_max;
        return ns / SECONDS + 2;
}

static int start_runner(struct mv_cell *c, int door_fd, struct mv_err *err)
{
        const struct mv_process_layout *l = &c->layout;
        /* Frames of translated code are larger, and the runner keeps a copy of what it began with. */
        const uint64_t more = c->provider->kept ? 2 * MV_PROCESS_STACK_BYTES : 0;
        const uint64_t sizes[4] = { l->start, l->reply, l->out, l->arena };
        char text[4][24];
        char *argv[6] = { c->session ? (char[]){ MV_RUNNER_NAME_SESSION }
                                     : (char[]){ MV_RUNNER_NAME } };
        for (int i = 0; i < 4; i++) {
                mv_fmt(text[i], sizeof text[i], "%lu", (unsigned long)sizes[i]);
                argv[i + 1] = text[i];
        }
        struct mv_sys_spawn spawn = { .image_fd = c->provider->image_fd,
                                      .door_fd = door_fd,
                                      .argv = argv,
                                      .address_bytes_max = l->address_bytes_max + more,
                                      .stack_bytes_max = MV_PROCESS_STACK_BYTES + more / 2,
                                      .cpu_seconds_max = c->session || c->provider->kept
                                                                 ? 0
                                                                 : cpu_seconds(&c->limits) };
        return mv_sys_spawn(&spawn, &c->child, err);
}

static struct mv_cell *process_close(struct mv_cell *c)
{
        if (!c)
                return NULL;
        if (c->program)
                mv__program_close(c);
        mv_sys_child_done(&c->child);
        mv_fd_closep(&c->door_fd);
        free(c);
        return NULL;
}

static int open_runner(struct mv_cell *c, const struct mv_cell_spec *spec, struct mv_err *err)
{
        int pair[2];
        c->layout = mv__process_layout(c->limits.memory_bytes_max, c->provider->image_bytes);
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                return mv_fail(err, MV_E_SYS, errno, "make the door of cell %s",
                               spec->execution_id);
        c->door_fd = pair[0];
        int r = start_runner(c, pair[1], err);
        mv_fd_closep(&pair[1]);
        return r;
}

void mv__process_keeps(struct mv_provider *p)
{
        p->kept = true;
}

int mv__process_reset(struct mv_cell *c, struct mv_err *err)
{
        char byte;
        if (c->program || c->session || c->cancelled || c->left_over || c->child.reaped ||
            recv(c->door_fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != -1 || errno != EAGAIN)
                return mv_fail(err, MV_E_STATE, 0, "this cell is not to be used again");
        c->used = false;
        c->reused = true;
        return 0;
}

int mv__process_take_door(struct mv_cell *c)
{
        return c->program ? mv_fd_take(&c->program->door_fd) : -1;
}

static int process_open(struct mv_provider *p, const struct mv_cell_spec *spec,
                        struct mv_cell **ret, struct mv_err *err)
{
        struct mv_cell *c = calloc(1, sizeof *c);
        if (!c)
                return mv_fail(err, MV_E_NOMEM, 0, "process cell: %zu bytes", sizeof *c);
        c->provider = p;
        c->child = MV_SYS_CHILD_NONE;
        c->door_fd = -1;
        c->limits = spec->limits;
        c->session = spec->session;
        c->limits.wall_ns_max =
                effective(spec->limits.wall_ns_max, p->timeout_ns, TIMEOUT_S_DEFAULT * SECONDS);
        c->limits.memory_bytes_max =
                effective(spec->limits.memory_bytes_max, p->memory_bytes, MEMORY_MB_DEFAULT * MEBI);
        int r = spec->program ? mv__program_open(c, spec, err) : open_runner(c, spec, err);
        if (r < 0) {
                process_close(c);
                return mv_wrap(err, "cell %s", spec->execution_id);
        }
        *ret = c;
        return 0;
}

static void process_cancel(struct mv_cell *c)
{
        c->cancelled = true; /* before the kill: whoever sees the end must see the reason */
        if (c->program)
                mv__program_kill(c->program);
        else
                mv_sys_child_kill(&c->child);
}

const struct mv_provider_ops mv_provider_process = {
        .abi = MV_PROVIDER_ABI,
        .name = "process",
        .title = "Process",
        .tier = MV_TIER_PROCESS,
        .features = MV_FEAT_WALL_TIME | MV_FEAT_CPU_TIME | MV_FEAT_MEMORY | MV_FEAT_FUEL |
                    MV_FEAT_OUTPUT | MV_FEAT_SEPARATE_ADDRESS_SPACE | MV_FEAT_SYSCALL_FILTER |
                    MV_FEAT_SESSION | MV_FEAT_PROGRAMS,
        .probe = process_probe,
        .init = process_init,
        .open_cell = process_open,
        .run = process_run,
        .cancel = process_cancel,
        .reset = NULL, /* (5) */
        .close_cell = process_close,
        .fini = process_fini,
        .schema = process_schema,
        .probe_programs = mv__wall_probe_programs,
};

static int landlock_init(const struct mv_value *config, struct mv_provider **ret,
                         struct mv_err *err)
{
        int r = landlock_probe(err);
        if (r == 0)
                r = process_init(config, ret, err);
        if (r == 0)
                (*ret)->confined = true;
        return r;
}

/* The same for RTFS; programs and scripts do without namespaces (docs/design/landlock.md). */
const struct mv_provider_ops mv_provider_landlock = {
        .abi = MV_PROVIDER_ABI,
        .name = "landlock",
        .title = "Landlock",
        .tier = MV_TIER_LANDLOCK,
        .features = MV_FEAT_WALL_TIME | MV_FEAT_CPU_TIME | MV_FEAT_MEMORY | MV_FEAT_FUEL |
                    MV_FEAT_OUTPUT | MV_FEAT_SEPARATE_ADDRESS_SPACE | MV_FEAT_SYSCALL_FILTER |
                    MV_FEAT_SESSION | MV_FEAT_PROGRAMS,
        .probe = landlock_probe,
        .init = landlock_init,
        .open_cell = process_open,
        .run = process_run,
        .cancel = process_cancel,
        .reset = NULL, /* (5) */
        .close_cell = process_close,
        .fini = process_fini,
        .schema = process_schema,
};
