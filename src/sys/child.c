/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/child.h>
#include <sys/fd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

void mv_sys_child_kill(const struct mv_sys_child *c)
{
        if (c->pidfd >= 0)
                syscall(SYS_pidfd_send_signal, c->pidfd, SIGKILL, NULL, 0);
}

void mv_sys_child_stop(const struct mv_sys_child *c)
{
        if (c->pidfd >= 0)
                syscall(SYS_pidfd_send_signal, c->pidfd, SIGSTOP, NULL, 0);
}

void mv_sys_child_continue(const struct mv_sys_child *c)
{
        if (c->pidfd >= 0)
                syscall(SYS_pidfd_send_signal, c->pidfd, SIGCONT, NULL, 0);
}

static uint64_t timeval_ns(struct timeval t)
{
        return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_usec * 1000u;
}

bool mv_sys_child_ends(const struct mv_sys_child *c, int ms)
{
        struct pollfd on = { c->pidfd, POLLIN, 0 };
        return poll(&on, 1, ms) > 0;
}

void mv_sys_child_wait(struct mv_sys_child *c, struct mv_sys_end *ret)
{
        struct rusage used = { 0 };
        siginfo_t info = { 0 };
        long r;
        do
                r = syscall(SYS_waitid, P_PIDFD, c->pidfd, &info, WEXITED, &used);
        while (r < 0 && errno == EINTR);
        c->reaped = true;
        *ret = (struct mv_sys_end){ .known = r == 0, .exit_code = -1 };
        if (r < 0)
                return; /* ECHILD: reaped by somebody else, see (3) */
        ret->cpu_ns = timeval_ns(used.ru_utime) + timeval_ns(used.ru_stime);
        if (info.si_code == CLD_EXITED)
                ret->exit_code = info.si_status;
        else
                ret->signal = info.si_status;
}

void mv_sys_child_done(struct mv_sys_child *c)
{
        if (!c->reaped) {
                struct mv_sys_end end;
                mv_sys_child_kill(c);
                mv_sys_child_wait(c, &end);
        }
        mv_fd_closep(&c->pidfd);
        mv_fd_closep(&c->lifeline_fd);
}

uint64_t mv_sys_child_cpu_ns(const struct mv_sys_child *c)
{
        clockid_t clock;
        struct timespec t;
        if (c->reaped || clock_getcpuclockid(c->pid, &clock) != 0 || clock_gettime(clock, &t) < 0)
                return 0;
        return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The decimal number behind `key` at the start of a line of a small /proc file; 0 when it is not
 * there. */
static uint64_t proc_number(const char *path, const char *key)
{
        char text[8192];
        mv_auto_fd fd = open(path, O_RDONLY | O_CLOEXEC);
        size_t len = 0;
        ssize_t n = 1;
        while (fd >= 0 && n > 0 && len < sizeof text - 1) {
                n = read(fd, text + len, sizeof text - 1 - len);
                len += n > 0 ? (size_t)n : 0;
        }
        text[len] = 0;
        size_t key_len = strlen(key);
        for (const char *line = text; line && *line; line = strchr(line, '\n')) {
                line += *line == '\n';
                if (strncmp(line, key, key_len) == 0)
                        return strtoull(line + key_len, NULL, 10);
        }
        return 0;
}

uint64_t mv_sys_child_memory_peak(const struct mv_sys_child *c)
{
        char path[40];
        if (c->reaped)
                return 0;
        mv_fmt(path, sizeof path, "/proc/%d/status", (int)c->pid);
        return proc_number(path, "VmHWM:") * 1024;
}

uint64_t mv_sys_oom_kills(void)
{
        return proc_number("/proc/vmstat", "oom_kill ");
}
