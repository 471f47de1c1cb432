/* SPDX-License-Identifier: Apache-2.0 */
/* provider/process/program_run.c - while a program runs: its streams, its door, its limits, its
 * end.
 *
 * (1) Nothing here waits longer than the deadline; every descriptor of the cell is read without
 *     blocking.
 * (2) The first reason to end is the one reported. A limit ends everything in the cell, not only
 *     the process that hit it.
 * (3) What the program sends through its door are calls and log lines, nothing else; a length is
 *     believed only after mv_frame_payload_len, and memory is taken as bytes arrive. While an
 *     answer waits to be read nothing more is taken.
 * (4) When init reports the end, every process of the cell is dead: the streams are then read to
 *     their end. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <base/slice.h>
#include <provider/process/program.h>
#include <sys/fd.h>
#include <wire/frame.h>
#include <wire/gvisor_agent.h>

#define READ_BYTES       ((size_t)64 << 10)
#define DOOR_READ_MIN    ((size_t)16 << 10)
#define CPU_CHECK_NS_MIN 1000000ull

struct watch {
        struct mv_cell *cell;
        struct mv__program *program;
        const struct mv_run *run;
        struct mv_exit *exit;
        uint64_t started_ns, deadline_ns, cpu_ns_max;
        bool terminating; /* SIGTERM was sent; the deadline is now the grace's */
        bool over;        /* exit holds the reason */
        int failed_sys;   /* a step of the cell itself failed: the provider's failure */
        struct mv_cell_report report;
        struct mv_cell_report agent_report;
        size_t agent_len;
        uint8_t *in; /* from the door, not a whole frame yet */
        size_t in_len, in_cap;
        struct mv_slice answer; /* not read by the program yet */
        struct mv__feed feed;
};

/* --- ending ----------------------------------------------------------------------------------- */

static void measure(struct watch *w)
{
        uint64_t peak = mv_sys_group_memory_peak(&w->program->group),
                 cpu = mv_sys_group_cpu_ns(&w->program->group);
        if (peak)
                w->exit->memory_peak_bytes = peak;
        if (cpu > w->exit->cpu_ns)
                w->exit->cpu_ns = cpu;
}

__attribute__((format(printf, 3, 4))) static void end(struct watch *w, enum mv_termination t,
                                                      const char *fmt, ...)
{
        va_list ap;
        if (w->over) /* (2) */
                return;
        w->over = true;
        w->exit->termination = t;
        va_start(ap, fmt);
        mv_vfmt(w->exit->detail, sizeof w->exit->detail, fmt, ap);
        va_end(ap);
}

/* Kill everything in the cell and give the reason. */
#define end_kill(w, t, ...) (end((w), (t), __VA_ARGS__), kill_cell(w))

/* Another wall's processes are many: that they are all dead is waited for, but not for long. */
static void kill_and_wait(struct watch *w)
{
        struct mv_sys_child *init = &w->program->child;
        struct mv_sys_end ended;
        mv__program_kill(w->program);
        if (w->program->nested && !mv_sys_child_ends(init, MV_NESTED_END_MS))
                return;
        if (w->program->private && !mv_sys_child_ends(init, MV_PROGRAM_END_MS))
                mv_sys_child_kill(init);
        mv_sys_child_wait(init, &ended);
        /* the kernel has made init the heir of everything it ended */
        if (!w->program->nested && ended.cpu_ns > w->exit->cpu_ns)
                w->exit->cpu_ns = ended.cpu_ns;
}

static void kill_cell(struct watch *w)
{
        if (w->program->child.reaped)
                return;
        kill_and_wait(w);
        if (w->exit->exit_code < 0 && !w->exit->signal) /* the program itself had not ended yet */
                w->exit->signal = SIGKILL;
}

static void end_memory(struct watch *w)
{
        end_kill(w, MV_END_MEMORY,
                 "out of memory: the program and its children needed more than %llu KiB",
                 (unsigned long long)(w->cell->limits.memory_bytes_max >> 10));
}

static void end_cpu(struct watch *w, uint64_t used)
{
        w->exit->cpu_time |= !w->over;
        end_kill(w, MV_END_TIMEOUT, "CPU time limit exceeded: %llu ms > %llu ms",
                 (unsigned long long)(used / 1000000),
                 (unsigned long long)(w->cpu_ns_max / 1000000));
}

static void end_ended(struct watch *w)
{
        const struct mv_cell_report *r = &w->report;
        w->exit->exit_code = r->exit_code;
        w->exit->signal = r->signal;
        w->exit->cpu_ns = r->cpu_ns;
        w->exit->memory_peak_bytes = r->memory_peak_bytes;
        if (mv_sys_group_oom_kills(&w->program->group))
                end_memory(w);
        else if (w->terminating)
                end(w, MV_END_TIMEOUT, "Execution timeout after %llums",
                    (unsigned long long)((mv__now_ns() - w->started_ns) / 1000000));
        else if (r->signal == SIGXCPU ||
                 (w->cpu_ns_max && r->cpu_ns >= w->cpu_ns_max && r->signal == SIGKILL))
                end_cpu(w, r->cpu_ns);
        else if (r->signal)
                end(w, MV_END_KILLED, "killed by SIG%s",
                    sigabbrev_np(r->signal) ? sigabbrev_np(r->signal) : "?");
        else
                end(w, MV_END_COMPLETED, "exit code %d", r->exit_code);
}

/* Init is gone without a report. */
static void end_silent(struct watch *w)
{
        if (mv_sys_group_oom_kills(&w->program->group))
                end_memory(w);
        else
                end_kill(w, MV_END_KILLED,
                         w->cell->cancelled ? "cancelled" : "the cell's init was killed");
}

/* --- limits (1) ------------------------------------------------------------------------------- */

/* A polite word first; whoever ignores it has MV_PROGRAM_GRACE_NS (REQ-PROC-09). */
static void deadline_reached(struct watch *w, uint64_t now)
{
        if (w->terminating) {
                end_kill(w, MV_END_TIMEOUT, "Execution timeout after %llums",
                         (unsigned long long)((now - w->started_ns) / 1000000));
                return;
        }
        static const uint8_t to_agent[MV_AGENT_HEADER_BYTES] = { MV_AGENT_TERMINATE };
        const uint8_t to_init = MV_CELL_TERMINATE;
        const struct mv__program *p = w->program;
        ssize_t n = p->nested ? send(p->agent_fd, to_agent, sizeof to_agent,
                                     MSG_DONTWAIT | MSG_NOSIGNAL)
                              : send(p->control_fd, &to_init, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
        w->terminating = true;
        w->deadline_ns = n > 0 ? now + MV_PROGRAM_GRACE_NS : now;
}

/* How long one may sleep before looking again; 0 when the run is over. */
static uint64_t time_left(struct watch *w)
{
        uint64_t now = mv__now_ns();
        if (w->cell->cancelled)
                end_kill(w, MV_END_KILLED, "cancelled");
        else if (now >= w->deadline_ns)
                deadline_reached(w, now);
        uint64_t left = w->deadline_ns > now ? w->deadline_ns - now : 0;
        if (w->over || !w->cpu_ns_max || w->program->group.usage_fd < 0)
                return w->over ? 0 : left;
        uint64_t used = mv_sys_group_cpu_ns(&w->program->group);
        if (used >= w->cpu_ns_max) {
                end_cpu(w, used);
                return 0;
        }
        uint64_t cpu_left = (w->cpu_ns_max - used) * 100 /
                            w->program->wall->cpu_percent; /* no faster than its share */
        if (cpu_left < CPU_CHECK_NS_MIN)
                cpu_left = CPU_CHECK_NS_MIN;
        return cpu_left < left ? cpu_left : left;
}

/* --- streams ---------------------------------------------------------------------------------- */

/* One read; true while there may be more. */
static bool stream_read(struct watch *w, int *fd, bool to_stderr)
{
        uint8_t buf[READ_BYTES];
        ssize_t n = read(*fd, buf, sizeof buf);
        if (n < 0)
                return errno == EINTR;
        if (n == 0) {
                mv_fd_closep(fd);
                return false;
        }
        if (!w->run->door.output ||
            w->run->door.output(w->run->door.ctx, to_stderr, mv_slice(buf, (size_t)n)))
                return true;
        end_kill(w, MV_END_OUTPUT, "the program wrote more than it may");
        return false;
}

static void streams_drain(struct watch *w) /* (4) */
{
        while (w->program->out_fd >= 0 && stream_read(w, &w->program->out_fd, false))
                ;
        while (w->program->err_fd >= 0 && stream_read(w, &w->program->err_fd, true))
                ;
}

/* --- init's reports --------------------------------------------------------------------------- */

static void end_failed(struct watch *w)
{
        struct mv_cell_report *r = &w->report;
        r->step[sizeof r->step - 1] = 0;
        bool start = strncmp(r->step, "execute ", 8) == 0;
        if (!start)
                w->failed_sys = r->error ? r->error : EINVAL;
        end(w, start ? MV_END_ERROR : MV_END_KILLED,
            start ? "Process execution failed: %s: %s" : "%s: %s", start ? r->step + 8 : r->step,
            mv__errno_text(r->error));
}

/* The program's way to the granted hosts: the socket goes to whoever serves it. */
static void serve_network(struct watch *w)
{
        struct mv_err why = { .msg = "" };
        const struct mv_egress_server *e = w->run->egress;
        int fd = mv_fd_take(&w->program->listener_fd);
        if (e && fd >= 0) {
                if (e->serve(e->ctx, fd, &why) < 0)
                        end_kill(w, MV_END_KILLED, "%s", why.msg);
                return;
        }
        mv_fd_closep(&fd);
        end_kill(w, MV_END_KILLED, "nobody serves the network of this program");
}

static void network_step(struct watch *w)
{
        struct mv_err why = { .msg = "" };
        if (w->run->egress->step(w->run->egress->ctx, &why) < 0)
                end_kill(w, MV_END_KILLED, "%s", why.msg);
}

static void reported(struct watch *w)
{
        switch (w->report.kind) {
        case MV_CELL_ENDED:
                w->program->ended = !w->program->nested;
                streams_drain(w); /* an output limit hit on the last bytes still counts */
                if (!w->over)
                        end_ended(w);
                break;
        case MV_CELL_FAILED:
                end_failed(w);
                break;
        case MV_CELL_OVER_MEMORY:
                w->exit->memory_peak_bytes = w->report.memory_peak_bytes;
                end_memory(w);
                break;
        case MV_CELL_OVER_CPU:
                end_cpu(w, w->report.cpu_ns);
                break;
        case MV_CELL_OVER_PLACE:
                end_kill(w, MV_END_KILLED,
                         "its private directories hold more than %llu KiB or %u entries, or it has "
                         "written 16 times that",
                         (unsigned long long)(w->program->scratch_bytes >> 10),
                         MV_PROGRAM_INODES_MAX);
                break;
        case MV_CELL_GIVE_LISTENER:
                serve_network(w);
                break;
        default:
                break;
        }
}

static void take_descriptor(struct mv__program *p, struct msghdr *m)
{
        struct cmsghdr *head = CMSG_FIRSTHDR(m);
        int fd;
        if (!head || head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
                return;
        memcpy(&fd, CMSG_DATA(head), sizeof fd);
        mv_fd_closep(&p->given_fd);
        p->given_fd = fd;
}

bool mv__report_take(const struct mv_cell_report *from, struct mv_cell_report *ret)
{
        bool over = from->kind == MV_CELL_OVER_MEMORY || from->kind == MV_CELL_OVER_CPU ||
                    from->kind == MV_CELL_OVER_PLACE,
             ended = over ||
                     (from->kind == MV_CELL_ENDED && from->signal >= 0 && from->signal <= 64),
             failed = from->kind == MV_CELL_FAILED && from->error > 0 && from->error < 4096;
        if (!ended && !failed)
                return false;
        *ret = *from;
        ret->exit_code = from->signal ? -1 : from->exit_code & 0xff;
        ret->step[sizeof ret->step - 1] = '\0';
        for (size_t i = 0; i < sizeof ret->step; i++)
                if (ret->step[i] && (ret->step[i] < ' ' || ret->step[i] > '~'))
                        ret->step[i] = '?';
        return true;
}

static void agent_read(struct watch *w)
{
        struct mv_cell_report *r = &w->agent_report;
        ssize_t n = recv(w->program->agent_fd, (uint8_t *)r + w->agent_len,
                         sizeof *r - w->agent_len, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n <= 0) { /* the wall is going down: init will say how */
                mv_fd_closep(&w->program->agent_fd);
                return;
        }
        w->agent_len += (size_t)n;
        if (w->agent_len < sizeof *r)
                return;
        w->agent_len = 0;
        if (!mv__report_take(r, &w->report)) {
                end_kill(w, MV_END_KILLED, "protocol violation: a report of kind %u", r->kind);
                return;
        }
        reported(w);
}

/* Init's report in such a cell is about the wall, not about the program. */
static void end_wall(struct watch *w)
{
        char text[96];
        ssize_t n = read(w->program->log_fd, text, sizeof text);
        if (mv_sys_group_oom_kills(&w->program->group))
                end_memory(w);
        else
                end_kill(w, MV_END_KILLED, "the sandbox ended by itself (exit code %d)%s%.*s",
                         w->report.exit_code, n > 0 ? ": " : "", n > 0 ? (int)n : 0, text);
}

int mv__program_control(struct mv__program *p, struct mv_cell_report *ret)
{
        union {
                char room[CMSG_SPACE(sizeof(int))];
                struct cmsghdr head;
        } control;
        struct iovec to = { (uint8_t *)&p->part + p->part_len, sizeof p->part - p->part_len };
        struct msghdr m = { .msg_iov = &to,
                            .msg_iovlen = 1,
                            .msg_control = &control,
                            .msg_controllen = sizeof control };
        ssize_t n = recvmsg(p->control_fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n <= 0)
                return -1;
        take_descriptor(p, &m);
        p->part_len += (size_t)n;
        if (p->part_len < sizeof p->part)
                return 0;
        p->part_len = 0;
        if (p->part.kind != MV_CELL_GIVE_OUTPUT && p->part.kind != MV_CELL_GIVE_LISTENER)
                return mv__report_take(&p->part, ret) ? 1 : -1;
        int *into = p->part.kind == MV_CELL_GIVE_OUTPUT ? &p->output_fd : &p->listener_fd;
        mv_fd_closep(into);
        *into = mv_fd_take(&p->given_fd);
        *ret = (struct mv_cell_report){ .kind = p->part.kind };
        return 1;
}

static void control_read(struct watch *w)
{
        int r = mv__program_control(w->program, &w->report);
        if (r == 0)
                return;
        if (r < 0)
                end_silent(w);
        else if (w->program->nested && w->report.kind == MV_CELL_ENDED)
                end_wall(w);
        else
                reported(w);
}

/* --- the door (3) ----------------------------------------------------------------------------- */

static bool room(struct watch *w)
{
        if (w->in_cap - w->in_len >= DOOR_READ_MIN)
                return true;
        size_t cap = w->in_cap * 2 + DOOR_READ_MIN;
        uint8_t *grown = realloc(w->in, cap);
        if (!grown)
                return false;
        w->in = grown;
        w->in_cap = cap;
        return true;
}

static void hand_over(struct watch *w, struct mv_slice bytes)
{
        struct mv_err why = { .msg = "" };
        struct mv_frame f;
        if (mv_frame_decode(bytes, &f, &why) < 0 ||
            (f.type != MV_FRAME_CALL && f.type != MV_FRAME_LOG)) {
                end_kill(w, MV_END_KILLED, "protocol violation: %s",
                         why.msg[0] ? why.msg : "a frame that programs do not send");
                return;
        }
        int r = w->run->door.frame(w->run->door.ctx, bytes, &w->answer, &why);
        if (r < 0)
                end_kill(w, MV_END_KILLED, "%s%s",
                         why.code == MV_E_HOSTILE ? "protocol violation: " : "", why.msg);
        if (r != MV_DOOR_REPLY)
                w->answer.len = 0;
}

static void answer_send(struct watch *w)
{
        while (w->answer.len && !w->over) {
                ssize_t n = send(w->program->door_fd, w->answer.p, w->answer.len,
                                 MSG_DONTWAIT | MSG_NOSIGNAL);
                if (n < 0 && errno == EAGAIN)
                        return;
                if (n < 0 && errno != EINTR) { /* nobody will read it */
                        w->answer.len = 0;
                        mv_fd_closep(&w->program->door_fd);
                        return;
                }
                w->answer.p += n > 0 ? n : 0;
                w->answer.len -= n > 0 ? (size_t)n : 0;
        }
}

/* Whole frames that have arrived, until one has to be answered. */
static void frames(struct watch *w)
{
        size_t at = 0;
        uint32_t len;
        while (!w->over && !w->answer.len && w->in_len - at >= MV_FRAME_HEADER_BYTES) {
                struct mv_err why;
                if (mv_frame_payload_len(w->in + at, &len, &why) < 0) {
                        end_kill(w, MV_END_KILLED, "protocol violation: %s", why.msg);
                        break;
                }
                size_t whole = MV_FRAME_HEADER_BYTES + (size_t)len;
                if (w->in_len - at < whole)
                        break;
                hand_over(w, mv_slice(w->in + at, whole));
                at += whole;
                answer_send(w);
        }
        if (at)
                memmove(w->in, w->in + at, w->in_len - at);
        w->in_len -= at;
}

static void door_read(struct watch *w)
{
        if (!room(w)) {
                end_kill(w, MV_END_KILLED, "no host memory for a frame of the program");
                return;
        }
        ssize_t n =
                recv(w->program->door_fd, w->in + w->in_len, w->in_cap - w->in_len, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
                mv_fd_closep(&w->program->door_fd); /* it closed its door and goes on without */
        w->in_len += n > 0 ? (size_t)n : 0;
        frames(w);
}

/* --- the loop --------------------------------------------------------------------------------- */

enum { ON_CONTROL, ON_OUT, ON_ERR, ON_OOM, ON_DOOR, ON_AGENT, ON_NETWORK, ON_INPUT, ON_COUNT };

static void look(struct watch *w)
{
        struct mv__program *p = w->program;
        short door = w->answer.len ? POLLOUT : POLLIN;
        struct pollfd on[ON_COUNT] = { { p->control_fd, POLLIN, 0 },
                                       { p->out_fd, POLLIN, 0 },
                                       { p->err_fd, POLLIN, 0 },
                                       { p->group.oom_event_fd, POLLIN, 0 },
                                       { p->door_fd, door, 0 },
                                       { p->agent_fd, POLLIN, 0 },
                                       { w->run->egress ? w->run->egress->wait_fd : -1, POLLIN,
                                         0 } };
        mv__feed_watch(&w->feed, p, &on[ON_INPUT]);
        uint64_t ns = time_left(w);
        if (w->over)
                return;
        struct timespec t = { (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };
        if (ppoll(on, ON_COUNT, &t, NULL) <= 0)
                return;
        if (on[ON_OOM].revents) {
                end_memory(w);
                return;
        }
        if (on[ON_OUT].revents)
                stream_read(w, &p->out_fd, false);
        if (!w->over && on[ON_ERR].revents)
                stream_read(w, &p->err_fd, true);
        if (!w->over && on[ON_DOOR].revents) {
                answer_send(w);
                if (!w->answer.len && p->door_fd >= 0)
                        door_read(w);
        }
        if (!w->over && on[ON_AGENT].revents)
                agent_read(w);
        if (!w->over && on[ON_INPUT].revents && !mv__feed_step(&w->feed, p))
                end_kill(w, MV_END_KILLED, "its input is larger than 1 GiB");
        if (!w->over && on[ON_NETWORK].revents)
                network_step(w);
        if (!w->over && on[ON_CONTROL].revents)
                control_read(w);
}

/* Init reads its plan before anything else and the plan may be larger than the socket holds. */
static void plan_send(struct watch *w)
{
        struct mv__program *p = w->program;
        while (p->plan_at < p->plan_len && !w->over) {
                struct pollfd on = { p->control_fd, POLLOUT, 0 };
                ssize_t n = send(p->control_fd, p->plan + p->plan_at, p->plan_len - p->plan_at,
                                 MSG_DONTWAIT | MSG_NOSIGNAL);
                if (n > 0) {
                        p->plan_at += (size_t)n;
                } else if (errno == EAGAIN) {
                        uint64_t ns = time_left(w);
                        struct timespec t = { (time_t)(ns / 1000000000u),
                                              (long)(ns % 1000000000u) };
                        ppoll(&on, 1, &t, NULL);
                } else if (errno != EINTR) {
                        end_silent(w);
                }
        }
}

static uint64_t lower(uint64_t a, uint64_t b)
{
        return a && (!b || a < b) ? a : b;
}

/* Whatever ended it: no process is left, and what it said before is kept. */
static void finish(struct watch *w)
{
        if (!w->program->ended || !mv__spares_may_close(w->program->wall))
                kill_cell(w);
        if (w->exit->termination == MV_END_ERROR)
                w->exit->signal = 0; /* there was no program to be killed */
        streams_drain(w);
        measure(w);
        if (w->program->output_fd >= 0)
                w->exit->output_fd = mv_fd_take(&w->program->output_fd);
        free(w->in);
        free(w->feed.buf);
}

int mv__program_run(struct mv_cell *c, const struct mv_run *run, struct mv_exit *ret,
                    struct mv_err *err)
{
        int r = mv__provider_gate(run, err);
        if (r < 0)
                return r;
        if (c->used)
                return mv_fail(err, MV_E_STATE, 0,
                               "process cells are used once; this one has run already");
        c->used = true;
        struct mv_exit x = { .termination = MV_END_KILLED, .exit_code = -1 };
        struct watch w = {
                .cell = c, .program = c->program, .run = run, .exit = &x, .started_ns = mv__now_ns()
        };
        w.deadline_ns = lower(run->deadline_ns, w.started_ns + c->limits.wall_ns_max);
        w.cpu_ns_max = lower(run->limits.cpu_ns_max, c->limits.cpu_ns_max);
        plan_send(&w);
        mv__spares_ask(w.program);
        if (w.program->listener_fd >=
            0) /* a cell with another wall in it has come that far before */
                serve_network(&w);
        while (!w.over)
                look(&w);
        finish(&w);
        if (w.failed_sys)
                return mv_fail(err, MV_E_SYS, w.failed_sys, "prepare the cell: %s", w.report.step);
        *ret = x;
        return 0;
}
