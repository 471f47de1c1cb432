/* SPDX-License-Identifier: Apache-2.0 */
/* provider/gvisor/run.c - one run in a sandbox that is up.
 *
 * (1) RTFS: the agent forks a runner that gets a door of its own, and the process provider's loop moves the frames. A limit
 *     ends the whole sandbox, through the pidfd of the cell's init.
 * (2) After a result the door is closed and the runner's end awaited: only a report of the agent that it is reaped makes
 *     the cell usable again.
 * (3) Programs: their streams and door are handed to the agent, and the process provider's loop for programs watches. What
 *     an agent reports beside a program is hostile: it can say no more than how the program ended.
 * (4) Numbers are of the control group where there is one, without what the sandbox itself took before; else the
 *     sentry's. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <base/cur.h>
#include <base/slice.h>
#include <provider/gvisor/gvisor.h>
#include <sys/fd.h>

static struct gv_cell *cell_of(struct mv_cell *c)
{
        return (struct gv_cell *)c;
}

static bool grouped(const struct mv_cell *c)
{
        return c->program->group.peak_fd >= 0;
}

/* --- the runner, for the process provider's loop ---------------------------------------------- */

static uint64_t runner_cpu_ns(const struct mv_cell *c)
{
        return mv_sys_group_cpu_ns(&c->program->group);
}

static uint64_t runner_memory_peak(const struct mv_cell *c)
{
        return grouped(c) ? mv_sys_group_memory_peak(&c->program->group) : 0;
}

static int runner_end_fd(const struct mv_cell *c)
{
        return c->program->agent_fd;
}

static void runner_kill(struct mv_cell *c, struct mv_sys_end *ret)
{
        mv_sys_child_kill(&c->program->child);
        if (mv_sys_child_ends(&c->program->child, MV_NESTED_END_MS)) /* else who closes it waits */
                mv_sys_child_wait(&c->program->child, ret);
        *ret = (struct mv_sys_end){
                .known = true, .exit_code = -1, .signal = SIGKILL, .cpu_ns = runner_cpu_ns(c)
        };
}

static void sandbox_died(struct mv_cell *c, struct mv_exit *ret)
{
        bool memory = mv_sys_group_oom_kills(&c->program->group) > 0;
        ret->cpu_ns = runner_cpu_ns(c);
        ret->memory_peak_bytes = runner_memory_peak(c);
        ret->termination = memory ? MV_END_MEMORY : MV_END_KILLED;
        mv_fmt(ret->detail, sizeof ret->detail, "%s",
               c->cancelled ? "cancelled"
               : memory     ? "out of memory: the sandbox needed more than its limit"
                            : "the sandbox ended by itself");
}

static void runner_explain(struct mv_cell *c, uint64_t cpu_ns_max, struct mv_exit *ret)
{
        struct mv_cell_report *r = &cell_of(c)->end;
        bool reported = gv_report(cell_of(c), mv__now_ns() + MV_GVISOR_END_NS, r);
        if (reported && r->kind == MV_CELL_OVER_CPU) {
                ret->cpu_ns = r->cpu_ns;
                ret->termination = MV_END_TIMEOUT;
                mv_fmt(ret->detail, sizeof ret->detail,
                       "CPU time limit exceeded: %llu ms > %llu ms",
                       (unsigned long long)(r->cpu_ns / 1000000),
                       (unsigned long long)(cpu_ns_max / 1000000));
                return;
        }
        if (!reported || r->kind != MV_CELL_ENDED) {
                sandbox_died(c, ret);
                return;
        }
        struct mv_sys_end end = { .known = true,
                                  .exit_code = r->signal ? -1 : r->exit_code,
                                  .signal = r->signal,
                                  .cpu_ns = grouped(c) ? runner_cpu_ns(c) : r->cpu_ns };
        mv__process_explain_end(c, &end, cpu_ns_max, ret);
}

const struct mv__runner_ops gv_runner = { .cpu_ns = runner_cpu_ns,
                                          .memory_peak = runner_memory_peak,
                                          .end_fd = runner_end_fd,
                                          .kill = runner_kill,
                                          .explain = runner_explain };

/* --- RTFS (1) --------------------------------------------------------------------------------- */

static void put_header(struct mv_out *o, enum mv_agent_op op, size_t payload)
{
        mv_put_u32(o, op);
        mv_put_u32(o, (uint32_t)payload);
}

/* Where the host can count, the agent does not. */
static void put_watch(struct mv_out *o, const struct mv_cell *c, uint64_t bytes_max)
{
        uint64_t cpu_ns_max = c->limits.cpu_ns_max;
        bool wanted = !grouped(c) && (bytes_max || cpu_ns_max);
        mv_put_u64(o, bytes_max);
        mv_put_u64(o, cpu_ns_max);
        mv_put_u32(o, wanted ? MV_GVISOR_WATCH_MS : 0);
}

/* The net under the exact limit, which the control group's clock gives; whole seconds. */
static uint64_t cpu_seconds(const struct mv_limits *l)
{
        uint64_t ns =
                l->cpu_ns_max && l->cpu_ns_max < l->wall_ns_max ? l->cpu_ns_max : l->wall_ns_max;
        return ns / 1000000000u + 1;
}

static int runner_start(struct gv_cell *c, uint64_t deadline_ns, struct mv_err *err)
{
        const struct mv_process_layout *l = &c->base.layout;
        uint8_t bytes[MV_AGENT_HEADER_BYTES + MV_AGENT_RUN_BYTES];
        struct mv_out o = mv_out(bytes, sizeof bytes);
        int pair[2];
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                return mv_fail(err, MV_E_SYS, errno, "make the door of a sandbox");
        put_header(&o, MV_AGENT_RUN, MV_AGENT_RUN_BYTES);
        put_watch(&o, &c->base, 0); /* its memory is its arena */
        mv_put_u64(&o, l->start);
        mv_put_u64(&o, l->reply);
        mv_put_u64(&o, l->out);
        mv_put_u64(&o, l->arena);
        mv_put_u64(&o, MV_PROCESS_STACK_BYTES);
        mv_put_u64(&o, cpu_seconds(&c->base.limits));
        c->base.door_fd = pair[0];
        int r = gv_send(c, mv_out_slice(&o), &pair[1], 1, deadline_ns, err);
        mv_fd_closep(&pair[1]);
        return r;
}

/* (2), (4) */
static void runner_finish(struct gv_cell *c, struct mv_exit *x)
{
        uint64_t deadline_ns = mv__now_ns() + MV_GVISOR_END_NS;
        mv_fd_closep(&c->base.door_fd);
        if (x->termination != MV_END_COMPLETED)
                return;
        c->clean = gv_report(c, deadline_ns, &c->end) && c->end.kind == MV_CELL_ENDED &&
                   c->end.exit_code == 0 && c->end.signal == 0;
        if (!c->clean)
                return;
        x->memory_peak_bytes = c->end.memory_peak_bytes;
        if (!grouped(&c->base))
                x->cpu_ns = c->end.cpu_ns;
}

static int run_rtfs(struct gv_cell *c, const struct mv_run *run, struct mv_exit *ret,
                    struct mv_err *err)
{
        c->clean = false;
        c->base.limits.wall_ns_max =
                run->limits.wall_ns_max ? run->limits.wall_ns_max : MV_GVISOR_WALL_NS;
        c->base.limits.cpu_ns_max = run->limits.cpu_ns_max;
        int r = mv_sys_group_begin(&c->base.program->group,
                                   c->base.limits.memory_bytes_max + MV_GVISOR_SLACK_BYTES,
                                   c->base.provider->cpu_percent, err);
        if (r == 0)
                r = runner_start(c, mv__now_ns() + MV_GVISOR_END_NS, err);
        if (r == 0)
                r = mv__process_run(&c->base, run, ret, err);
        if (r == 0)
                runner_finish(c, ret);
        return r;
}

/* --- programs (3) ----------------------------------------------------------------------------- */

static void put_text(struct mv_out *o, const char *s)
{
        mv_put_u32(o, (uint32_t)strlen(s) + 1);
        mv_put_bytes(o, s, strlen(s) + 1);
}

static void put_texts(struct mv_out *o, const char *const *list)
{
        uint32_t n = 0;
        while (list && list[n])
                n++;
        mv_put_u32(o, n);
        for (uint32_t i = 0; i < n; i++)
                put_text(o, list[i]);
}

static void put_limit(struct mv_out *o, int resource, uint64_t value)
{
        mv_put_u32(o, (uint32_t)resource);
        mv_put_u64(o, value);
}

/* Held by the sentry, per process; the control group holds all of them together. */
static void put_limits(struct mv_out *o, const struct mv_limits *l)
{
        mv_put_u32(o, 7);
        put_limit(o, RLIMIT_CORE, 0);
        put_limit(o, RLIMIT_NOFILE, MV_PROGRAM_FILES_MAX);
        put_limit(o, RLIMIT_FSIZE, MV_PROGRAM_FILE_BYTES_MAX);
        put_limit(o, RLIMIT_STACK, MV_PROGRAM_STACK_BYTES);
        put_limit(o, RLIMIT_NPROC, MV_PROGRAM_PIDS_MAX);
        put_limit(o, RLIMIT_DATA, l->memory_bytes_max);
        put_limit(o, RLIMIT_CPU, l->cpu_ns_max ? l->cpu_ns_max / 1000000000u + 1 : RLIM_INFINITY);
}

static void put_request(struct mv_out *o, const struct mv_cell *c)
{
        const struct mv_program_spec *s = c->program->spec;
        const struct mv__program *p = c->program;
        const struct mv_sys_program_filter *f =
                p->no_local ? &p->wall->filter_no_local : &p->wall->filter;
        put_watch(o, c, c->limits.memory_bytes_max);
        mv_put_u32(o, (p->theirs[2] >= 0 ? MV_AGENT_STDIN : 0) |
                              (p->theirs[3] >= 0 ? MV_AGENT_DOOR : 0) |
                              (p->theirs[4] >= 0 ? MV_AGENT_NETWORK : 0));
        mv_put_u32(o, p->theirs[4] >= 0 ? MV_PROXY_PORT : 0);
        put_limits(o, &c->limits);
        mv_put_u32(o, (uint32_t)(f->len * sizeof f->code[0]));
        mv_put_bytes(o, f->code, f->len * sizeof f->code[0]);
        put_text(o, s->path);
        put_text(o, "/workspace");
        put_texts(o, s->argv);
        put_texts(o, s->env);
}

static int request_send(struct gv_cell *c, struct mv_err *err)
{
        struct mv__program *p = c->base.program;
        int fds[MV_AGENT_FDS_MAX];
        unsigned count = 0;
        for (unsigned i = 0; i < MV_AGENT_FDS_MAX; i++)
                if (p->theirs[i] >= 0)
                        fds[count++] = p->theirs[i];
        size_t cap = MV_AGENT_HEADER_BYTES + MV_AGENT_PAYLOAD_MAX;
        uint8_t *bytes = malloc(cap);
        if (!bytes)
                return mv_fail(err, MV_E_NOMEM, 0, "the request of a program: %zu bytes", cap);
        struct mv_out o = mv_out(bytes + MV_AGENT_HEADER_BYTES, MV_AGENT_PAYLOAD_MAX);
        put_request(&o, &c->base);
        struct mv_out head = mv_out(bytes, MV_AGENT_HEADER_BYTES);
        put_header(&head, MV_AGENT_PROGRAM, o.len);
        int r = o.overflow ? mv_fail(err, MV_E_LIMIT, 0,
                                     "arguments and environment of a program take more than %u "
                                     "bytes",
                                     MV_AGENT_PAYLOAD_MAX)
                           : gv_send(c, mv_slice(bytes, MV_AGENT_HEADER_BYTES + o.len), fds, count,
                                     mv__now_ns() + MV_GVISOR_END_NS, err);
        free(bytes);
        for (unsigned i = 0; i < MV_AGENT_FDS_MAX; i++)
                mv_fd_closep(&p->theirs[i]);
        return r;
}

static int run_program(struct gv_cell *c, const struct mv_run *run, struct mv_exit *ret,
                       struct mv_err *err)
{
        int r = mv_sys_group_begin(&c->base.program->group, c->base.limits.memory_bytes_max,
                                   c->base.provider->cpu_percent, err);
        if (r == 0 && !c->base.used)
                r = request_send(c, err);
        return r < 0 ? r : mv__program_run(&c->base, run, ret, err);
}

/* The deadline came before the sandbox did. */
static int run_late(struct mv_cell *c, struct mv_exit *ret)
{
        c->used = true;
        *ret = (struct mv_exit){ .termination = MV_END_TIMEOUT, .exit_code = -1 };
        ret->cpu_ns = runner_cpu_ns(c);
        mv_fmt(ret->detail, sizeof ret->detail,
               "Execution timeout after %llums: the sandbox was not up yet",
               (unsigned long long)(c->limits.wall_ns_max / 1000000));
        return 0;
}

int gv_run(struct mv_cell *c, const struct mv_run *run, struct mv_exit *ret, struct mv_err *err)
{
        int r = mv__provider_gate(run, err);
        if (r < 0)
                return r;
        if (c->used)
                return mv_fail(err, MV_E_STATE, 0,
                               "this sandbox has run already and was not reset");
        if (cell_of(c)->late)
                return run_late(c, ret);
        return c->program->spec->path ? run_program(cell_of(c), run, ret, err)
                                      : run_rtfs(cell_of(c), run, ret, err);
}
