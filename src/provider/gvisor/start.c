/* SPDX-License-Identifier: Apache-2.0 */
/* From an init that waits for its plan to an agent that answers, and talking to it.
 *
 * (1) Nothing here waits longer than its deadline, nor than the execution may take for which it is done.
 * (2) When the sandbox does not come up the reason is what runsc wrote, or which step failed.
 * (3) Starting takes a processor for a fifth of a second. More starts at once than there are processors
 *     would only make each of them late, so that the others wait for their turn. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <base/slice.h>
#include <provider/gvisor/gvisor.h>
#include <sys/fd.h>

static int poll_until(struct pollfd *on, nfds_t count, uint64_t deadline_ns)
{
        uint64_t now = mv__now_ns();
        uint64_t ns = deadline_ns > now ? deadline_ns - now : 0;
        struct timespec t = { (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };
        int n = ppoll(on, count, &t, NULL);
        return n < 0 && errno == EINTR ? 1 : n;
}

static uint64_t start_ns(const struct gv_cell *c)
{
        return ((const struct gv_provider *)c->base.provider)->start_ns;
}

static int late(const struct gv_cell *c, struct mv_err *err)
{
        return mv_fail(err, MV_E_UNAVAILABLE, 0, "runsc did not start a sandbox within %llu ms",
                       (unsigned long long)(start_ns(c) / 1000000));
}

static int plan_send(struct gv_cell *c, uint64_t deadline_ns, struct mv_err *err)
{
        struct mv__program *p = c->base.program;
        for (size_t at = 0; at < p->plan_len;) {
                struct pollfd on = { p->control_fd, POLLOUT, 0 };
                ssize_t n = send(p->control_fd, p->plan + at, p->plan_len - at,
                                 MSG_DONTWAIT | MSG_NOSIGNAL);
                if (n > 0)
                        at += (size_t)n;
                else if (errno != EAGAIN && errno != EINTR)
                        return mv_fail(err, MV_E_SYS, errno, "send the plan of a sandbox");
                else if (poll_until(&on, 1, deadline_ns) == 0)
                        return late(c, err);
        }
        free(p->plan);
        p->plan = NULL;
        p->plan_len = 0;
        return 0;
}

/* What runsc wrote, without the prefix and the address of a panic's stack. */
static void log_line(struct mv__program *p, char *buf, size_t cap)
{
        ssize_t n = read(p->log_fd, buf, cap - 1);
        buf[n > 0 ? n : 0] = 0;
        buf[strcspn(buf, "\n")] = 0;
        for (char *s = buf; *s; s++)
                if (*s < ' ' || *s > '~')
                        *s = '?';
}

/* (2) Init has something to say before the agent did: a step failed, or runsc ended. Descriptors of the output directory
 * and of the proxy's socket come first and are kept. */
static int control_says(struct gv_cell *c, bool *ret_over, struct mv_err *err)
{
        struct mv__program *p = c->base.program;
        struct mv_cell_report r = { 0 };
        char text[300];
        int got = mv__program_control(p, &r);
        *ret_over = got != 0 && r.kind != MV_CELL_GIVE_OUTPUT && r.kind != MV_CELL_GIVE_LISTENER;
        if (!*ret_over)
                return 0;
        if (got < 0)
                return mv_fail(err, MV_E_UNAVAILABLE, 0,
                               "the init of the sandbox's cell was killed");
        if (r.kind == MV_CELL_FAILED)
                return mv_fail(err, MV_E_UNAVAILABLE, r.error, "prepare the sandbox's cell: %.90s",
                               r.step);
        log_line(p, text, sizeof text);
        return mv_fail(err, MV_E_UNAVAILABLE, 0, "runsc ended with exit code %d%s%s", r.exit_code,
                       text[0] ? ": " : "", text);
}

static int wait_ready(struct gv_cell *c, uint64_t deadline_ns, struct mv_err *err)
{
        struct mv__program *p = c->base.program;
        struct mv_cell_report ready;
        for (;;) {
                struct pollfd on[2] = { { p->agent_fd, POLLIN, 0 }, { p->control_fd, POLLIN, 0 } };
                bool over = false;
                if (poll_until(on, 2, deadline_ns) == 0)
                        return late(c, err);
                if (on[1].revents) {
                        int r = control_says(c, &over, err);
                        if (over)
                                return r;
                }
                if (on[0].revents & POLLIN && gv_report(c, deadline_ns, &ready))
                        return ready.kind == MV_AGENT_READY
                                       ? 0
                                       : mv_fail(err, MV_E_HOSTILE, 0,
                                                 "the sandbox began with a report of kind %u",
                                                 ready.kind);
                if (on[0].revents &&
                    !(on[1].revents & POLLIN)) { /* closed: init reports in a moment */
                        struct pollfd rest = { p->control_fd, POLLIN, 0 };
                        if (poll_until(&rest, 1, deadline_ns) == 0)
                                return late(c, err);
                }
        }
}

/* --- one start after the other (3) ------------------------------------------------------------ */

static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_left = PTHREAD_COND_INITIALIZER;
static unsigned starting;

static unsigned starts_max(void)
{
        long n = sysconf(_SC_NPROCESSORS_ONLN);
        return n > 0 ? (unsigned)n + 1 : 2;
}

/* false: it was not our turn until then. */
static bool gate_enter(uint64_t until_ns)
{
        struct timespec t = { (time_t)(until_ns / 1000000000u), (long)(until_ns % 1000000000u) };
        int late = 0;
        pthread_mutex_lock(&gate_lock);
        while (starting >= starts_max() && !late)
                late = pthread_cond_clockwait(&gate_left, &gate_lock, CLOCK_MONOTONIC, &t);
        starting += !late;
        pthread_mutex_unlock(&gate_lock);
        return !late;
}

static void gate_leave(void)
{
        pthread_mutex_lock(&gate_lock);
        starting--;
        pthread_cond_signal(&gate_left);
        pthread_mutex_unlock(&gate_lock);
}

int gv_start(struct gv_cell *c, struct mv_err *err)
{
        uint64_t own_ns = mv__now_ns() + c->base.limits.wall_ns_max;
        if (!gate_enter(own_ns))
                return 1;
        uint64_t deadline_ns = mv__now_ns() + start_ns(c);
        bool short_time = own_ns < deadline_ns;
        deadline_ns = short_time ? own_ns : deadline_ns;
        int r = plan_send(c, deadline_ns, err);
        if (r == 0)
                r = wait_ready(c, deadline_ns, err);
        gate_leave();
        return r < 0 && short_time && mv__now_ns() >= deadline_ns ? 1 : r;
}

/* --- the agent -------------------------------------------------------------------------------- */

static ssize_t send_some(int fd, struct mv_slice bytes, const int *fds, unsigned fds_count)
{
        union {
                char room[CMSG_SPACE(MV_AGENT_FDS_MAX * sizeof(int))];
                struct cmsghdr head;
        } control = { { 0 } };
        struct iovec from = { (void *)(uintptr_t)bytes.p, bytes.len };
        struct msghdr m = { .msg_iov = &from, .msg_iovlen = 1 };
        if (fds_count) {
                m.msg_control = &control;
                m.msg_controllen = CMSG_SPACE(fds_count * sizeof(int));
                struct cmsghdr *head = CMSG_FIRSTHDR(&m);
                head->cmsg_level = SOL_SOCKET;
                head->cmsg_type = SCM_RIGHTS;
                head->cmsg_len = CMSG_LEN(fds_count * sizeof(int));
                memcpy(CMSG_DATA(head), fds, fds_count * sizeof(int));
        }
        return sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

int gv_send(struct gv_cell *c, struct mv_slice bytes, const int *fds, unsigned fds_count,
            uint64_t deadline_ns, struct mv_err *err)
{
        int fd = c->base.program->agent_fd;
        while (bytes.len) {
                struct pollfd on = { fd, POLLOUT, 0 };
                ssize_t n = send_some(fd, bytes, fds, fds_count);
                if (n > 0) {
                        bytes = mv_slice(bytes.p + n, bytes.len - (size_t)n);
                        fds_count = 0;
                } else if (errno != EAGAIN && errno != EINTR) {
                        return mv_fail(err, MV_E_SYS, errno, "ask the sandbox's agent");
                } else if (poll_until(&on, 1, deadline_ns) == 0) {
                        return mv_fail(err, MV_E_SYS, ETIMEDOUT, "ask the sandbox's agent");
                }
        }
        return 0;
}

bool gv_report(struct gv_cell *c, uint64_t deadline_ns, struct mv_cell_report *ret)
{
        int fd = c->base.program->agent_fd;
        for (size_t at = 0; at < sizeof *ret;) {
                struct pollfd on = { fd, POLLIN, 0 };
                ssize_t n = recv(fd, (uint8_t *)ret + at, sizeof *ret - at, MSG_DONTWAIT);
                if (n > 0)
                        at += (size_t)n;
                else if (n == 0 || (errno != EAGAIN && errno != EINTR) ||
                         poll_until(&on, 1, deadline_ns) == 0)
                        return false;
        }
        return true;
}
