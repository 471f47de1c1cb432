/* SPDX-License-Identifier: Apache-2.0 */
/* provider/process/run.c - one run: frames between the runner and the host's door until one of them is done.
 *
 * (1) Nothing here waits longer than the deadline: the door is non-blocking, every wait is a poll with the time left.
 * (2) A length is believed only after mv_frame_payload_len; memory is taken as bytes arrive, not as they are promised.
 * (3) The runner's memory peak is read while it lives: its address space is gone once it ended.
 * (4) The first reason to end is the one reported. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <base/slice.h>
#include <provider/process/process.h>
#include <wire/frame.h>

#define READ_BYTES_MIN   ((size_t)16 << 10) /* room offered to every recv */
#define ENDING_NS_MAX    999999999ull /* how long a runner that closed its door may take to end */
#define CPU_CHECK_NS_MIN 1000000ull   /* shortest sleep between two looks at the CPU clock */

struct pump {
        struct mv_cell *cell;
        const struct mv_run *run;
        struct mv_exit *exit;
        uint64_t started_ns, deadline_ns, cpu_ns_max; /* cpu_ns_max: on the child's clock */
        /* what earlier evaluations of the session took */
        uint64_t cpu_ns_from;
        uint8_t *in; /* bytes from the runner that are not a whole frame yet */
        size_t in_len, in_cap;
        bool over;
};

/* --- the runner: a child of ours, or behind another wall --------------------------------------- */

static uint64_t runner_cpu_ns(const struct mv_cell *c)
{
        return c->runner ? c->runner->cpu_ns(c) : mv_sys_child_cpu_ns(&c->child);
}

static uint64_t runner_memory_peak(const struct mv_cell *c)
{
        return c->runner ? c->runner->memory_peak(c) : mv_sys_child_memory_peak(&c->child);
}

static int runner_end_fd(const struct mv_cell *c)
{
        return c->runner ? c->runner->end_fd(c) : c->child.pidfd;
}

static void runner_kill(struct mv_cell *c, struct mv_sys_end *ret)
{
        if (c->runner) {
                c->runner->kill(c, ret);
        } else {
                mv_sys_child_kill(&c->child);
                mv_sys_child_wait(&c->child, ret);
        }
}

/* --- ending ----------------------------------------------------------------------------------- */

static void measure(struct pump *p)
{
        uint64_t peak = runner_memory_peak(p->cell);
        if (peak > p->exit->memory_peak_bytes)
                p->exit->memory_peak_bytes = peak;
        p->exit->cpu_ns = runner_cpu_ns(p->cell) - p->cpu_ns_from;
}

/* The host has its result; the runner idles at its door until close_cell. */
static void end_done(struct pump *p)
{
        measure(p); /* (3) */
        p->exit->termination = MV_END_COMPLETED;
        p->exit->exit_code = 0;
        p->over = true;
}

/* Kill it and give the reason; what the kill looks like to the kernel is not the reason. */
__attribute__((format(printf, 3, 4))) static void end_kill(struct pump *p, enum mv_termination t,
                                                           const char *fmt, ...)
{
        struct mv_sys_end end;
        va_list ap;
        measure(p); /* (3) */
        runner_kill(p->cell, &end);
        p->exit->termination = t;
        p->exit->exit_code = end.exit_code;
        p->exit->signal = end.signal;
        if (end.known)
                p->exit->cpu_ns = end.cpu_ns - p->cpu_ns_from;
        va_start(ap, fmt);
        mv_vfmt(p->exit->detail, sizeof p->exit->detail, fmt, ap);
        va_end(ap);
        p->over = true;
}

static void end_dead(struct pump *p)
{
        if (p->cell->runner)
                p->cell->runner->explain(p->cell, p->cpu_ns_max, p->exit);
        else
                mv__process_explain(p->cell, p->cpu_ns_max, p->exit);
        p->exit->cpu_ns -= p->exit->cpu_ns < p->cpu_ns_from ? p->exit->cpu_ns : p->cpu_ns_from;
        p->over = true;
}

/* --- limits (1) ------------------------------------------------------------------------------- */

static void end_timeout(struct pump *p, uint64_t now)
{
        end_kill(p, MV_END_TIMEOUT, "Execution timeout after %llums",
                 (unsigned long long)((now - p->started_ns) / 1000000));
}

/* Ends the run when a limit is reached; otherwise returns how long one may sleep before looking
 * again. */
static uint64_t time_left(struct pump *p)
{
        uint64_t now = mv__now_ns();
        if (p->cell->cancelled) {
                end_kill(p, MV_END_KILLED, "cancelled");
                return 0;
        }
        if (now >= p->deadline_ns) {
                end_timeout(p, now);
                return 0;
        }
        uint64_t left = p->deadline_ns - now;
        if (!p->cpu_ns_max)
                return left;
        uint64_t used = runner_cpu_ns(p->cell);
        if (used >= p->cpu_ns_max) {
                p->exit->cpu_time = true;
                end_kill(p, MV_END_TIMEOUT, "CPU time limit exceeded: %llu ms > %llu ms",
                         (unsigned long long)((used - p->cpu_ns_from) / 1000000),
                         (unsigned long long)((p->cpu_ns_max - p->cpu_ns_from) / 1000000));
                return 0;
        }
        /* One thread cannot use more CPU time than passes, so nothing is missed by sleeping what
         * is left of it. */
        uint64_t cpu_left = p->cpu_ns_max - used;
        if (cpu_left < CPU_CHECK_NS_MIN)
                cpu_left = CPU_CHECK_NS_MIN;
        return cpu_left < left ? cpu_left : left;
}

/* Until the door is ready for `events`, or the run is over. */
static void wait_door(struct pump *p, short events)
{
        while (!p->over) {
                uint64_t ns = time_left(p);
                if (p->over)
                        return;
                struct timespec t = { (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };
                struct pollfd on[2] = { { p->cell->door_fd, events, 0 },
                                        { runner_end_fd(p->cell), POLLIN, 0 } };
                if (ppoll(on, 2, &t, NULL) <= 0)
                        continue;
                if (on[0].revents)
                        return;
                end_dead(p); /* ended, and left nothing to read */
        }
}

/* The door is closed on the far side: a runner does that by ending. */
static void door_closed(struct pump *p)
{
        struct pollfd on = { runner_end_fd(p->cell), POLLIN, 0 };
        uint64_t left = time_left(p);
        if (p->over)
                return;
        if (left > ENDING_NS_MAX)
                left = ENDING_NS_MAX;
        struct timespec t = { 0, (long)left };
        if (ppoll(&on, 1, &t, NULL) > 0)
                end_dead(p);
        else if (!(time_left(p), p->over))
                end_kill(p, MV_END_KILLED,
                         "protocol violation: the runner closed its door and went on");
}

/* --- the door --------------------------------------------------------------------------------- */

static void send_all(struct pump *p, struct mv_slice s)
{
        while (s.len > 0 && !p->over) {
                ssize_t n = send(p->cell->door_fd, s.p, s.len, MSG_DONTWAIT | MSG_NOSIGNAL);
                if (n > 0) {
                        s.p += n;
                        s.len -= (size_t)n;
                } else if (n < 0 && errno == EAGAIN) {
                        wait_door(p, POLLOUT);
                } else if (n == 0 || errno != EINTR) {
                        door_closed(p);
                }
        }
}

/* Room for at least READ_BYTES_MIN more (2). */
static bool room(struct pump *p)
{
        if (p->in_cap - p->in_len >= READ_BYTES_MIN)
                return true;
        size_t cap = p->in_cap * 2 + READ_BYTES_MIN;
        uint8_t *grown = realloc(p->in, cap);
        if (!grown)
                return false;
        p->in = grown;
        p->in_cap = cap;
        return true;
}

static void receive(struct pump *p)
{
        if (!room(p)) {
                end_kill(p, MV_END_KILLED, "no host memory for a frame of the runner");
                return;
        }
        ssize_t n = recv(p->cell->door_fd, p->in + p->in_len, p->in_cap - p->in_len, MSG_DONTWAIT);
        if (n > 0)
                p->in_len += (size_t)n;
        else if (n < 0 && errno == EAGAIN)
                wait_door(p, POLLIN);
        else if (n == 0 || errno != EINTR)
                door_closed(p);
}

static void reply(struct pump *p, struct mv_slice frame)
{
        if (frame.len > p->cell->layout.reply)
                end_kill(p, MV_END_MEMORY,
                         "a reply of %zu bytes does not fit: the memory limit gives replies %zu; a "
                         "higher limit would",
                         frame.len, (size_t)p->cell->layout.reply);
        else
                send_all(p, frame);
}

static void hand_over(struct pump *p, struct mv_slice frame)
{
        struct mv_slice answer = { 0 };
        struct mv_err why = { .msg = "" };
        int r = p->run->door.frame(p->run->door.ctx, frame, &answer, &why);
        if (r == MV_DOOR_DONE)
                end_done(p);
        else if (r == MV_DOOR_REPLY)
                reply(p, answer);
        else if (r < 0)
                end_kill(p, MV_END_KILLED, "%s%s",
                         why.code == MV_E_HOSTILE ? "protocol violation: " : "", why.msg);
}

/* Every whole frame that has arrived. */
static void frames(struct pump *p)
{
        size_t at = 0;
        while (!p->over && p->in_len - at >= MV_FRAME_HEADER_BYTES) {
                uint32_t len;
                struct mv_err why;
                if (mv_frame_payload_len(p->in + at, &len, &why) < 0) {
                        end_kill(p, MV_END_KILLED, "protocol violation: %s", why.msg);
                        break;
                }
                size_t whole = MV_FRAME_HEADER_BYTES + (size_t)len;
                if (p->in_len - at < whole)
                        break;
                hand_over(p, mv_slice(p->in + at, whole));
                at += whole;
        }
        memmove(p->in, p->in + at, p->in_len - at);
        p->in_len -= at;
}

static void pump_frames(struct pump *p)
{
        send_all(p, p->run->start);
        while (!p->over) {
                time_left(p); /* a runner that never stops talking never makes us wait */
                if (!p->over)
                        receive(p);
                if (!p->over)
                        frames(p);
        }
}

static uint64_t lower(uint64_t a, uint64_t b)
{
        return a && (!b || a < b) ? a : b;
}

/* A session's cell has no deadline of its own: each evaluation brings one, below what is
 * configured. */
static uint64_t deadline(const struct pump *p)
{
        uint64_t wall = p->cell->limits.wall_ns_max;
        if (p->run->session)
                wall = lower(p->run->limits.wall_ns_max, p->cell->provider->timeout_ns);
        return wall ? lower(p->run->deadline_ns, p->started_ns + wall) : p->run->deadline_ns;
}

static int usable(const struct mv_cell *c, const struct mv_run *run, struct mv_err *err)
{
        if (c->used && !run->resumes)
                return mv_fail(err, MV_E_STATE, 0,
                               "process cells are used once; this one has run already");
        return mv__provider_gate(run, err);
}

/* (4) of process.c. What a runner sends behind its result is nobody's: the next evaluation must
 * not find it. */
static void end_session_run(struct pump *p)
{
        if (p->exit->termination != MV_END_COMPLETED)
                return;
        if (p->in_len)
                end_kill(p, MV_END_KILLED,
                         "protocol violation: the runner went on behind its result");
        else
                mv_sys_child_stop(&p->cell->child);
}

int mv__process_run(struct mv_cell *c, const struct mv_run *run, struct mv_exit *ret,
                    struct mv_err *err)
{
        int r = usable(c, run, err);
        if (r < 0)
                return r;
        c->used = true;
        struct mv_exit x = { .termination = MV_END_KILLED, .exit_code = -1 };
        struct pump p = { .cell = c, .run = run, .exit = &x, .started_ns = mv__now_ns() };
        p.deadline_ns = deadline(&p);
        p.cpu_ns_max = run->session ? run->limits.cpu_ns_max
                                    : lower(run->limits.cpu_ns_max, c->limits.cpu_ns_max);
        if (run->resumes || c->reused) {
                p.cpu_ns_from = mv_sys_child_cpu_ns(&c->child);
                p.cpu_ns_max += p.cpu_ns_max ? p.cpu_ns_from : 0;
        }
        if (run->resumes)
                mv_sys_child_continue(&c->child);
        if (run->start.len > c->layout.start)
                end_kill(&p, MV_END_MEMORY,
                         "a program of %zu bytes does not fit: the memory limit gives programs "
                         "%zu; a higher limit would",
                         run->start.len, (size_t)c->layout.start);
        else
                pump_frames(&p);
        if (run->session)
                end_session_run(&p);
        c->left_over = p.in_len != 0;
        free(p.in);
        *ret = x;
        return 0;
}
