/* SPDX-License-Identifier: Apache-2.0 */
/* guest/gvisor_agent.c - process 1 of a gVisor sandbox, and the step before it.
 *
 * `outside RUNSC ARG...`: in the cell around the sandbox; makes the door's socket the standard input
 * of runsc, because that is what this runsc hands on; `outside-network` starts one half of relay.c before. `inside`: in
 * the sandbox; serves requests from descriptor 0 (wire/gvisor_agent.h), one at a time.
 *
 * (1) Each RTFS run is a fork of this process as it was when the sandbox started: it has read nothing
 *     of any program, so there is nothing in it that one execution could leave for the next. The
 *     fork installs the runner's filter before it reads its first byte.
 * (2) A request is answered when its processes are dead and reaped, not before.
 * (3) The end of the socket is the end of the agent, and so of the sandbox.
 * (4) A program runs under the same ids, so it is the agent's dumpable bit that keeps it from
 *     reading the agent; whatever it got the agent to say, the host believes it no more than it
 *     would believe the program. */
#include <errno.h>
#include <fcntl.h>
#include <guest/cell.h>
#include <guest/linux_runner.h>
#include <guest/relay.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <base/cur.h>
#include <wire/gvisor_agent.h>

#define STRINGS_MAX 1200
#define DOOR_AT     3
#define LOOKS_MIN   4          /* a program that was looked at so often did not grow unseen */
#define FDS_LAST    0x7fffffff /* the sentry takes them for signed numbers */

struct request {
        uint32_t op;
        struct mv_cur body;
        uint8_t *bytes;
        int fds[MV_AGENT_FDS_MAX];
        unsigned fds_count;
        uint32_t streams; /* of a program */
};

struct watch {
        uint64_t bytes_max, bytes_before, bytes_peak; /* of a program */
        uint64_t bytes_measured;                      /* of the sandbox with an RTFS run in it */
        uint64_t cpu_ns_max, cpu_ns_before;
        uint32_t period_ms, looks;
};

/* --- the socket ------------------------------------------------------------------------------- */

static void report(const struct mv_cell_report *r)
{
        const uint8_t *p = (const uint8_t *)r;
        for (size_t at = 0; at < sizeof *r;) {
                ssize_t n = send(0, p + at, sizeof *r - at, MSG_NOSIGNAL);
                if (n <= 0)
                        _exit(MV_AGENT_EXIT_HOST); /* (3) */
                at += (size_t)n;
        }
}

static void take_descriptors(struct request *q, struct msghdr *m)
{
        struct cmsghdr *head = CMSG_FIRSTHDR(m);
        if (!head || head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
                return;
        q->fds_count = (unsigned)((head->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        if (q->fds_count > MV_AGENT_FDS_MAX)
                _exit(MV_AGENT_EXIT_REQUEST);
        memcpy(q->fds, CMSG_DATA(head), q->fds_count * sizeof(int));
}

static void read_exactly(struct request *q, uint8_t *p, size_t len)
{
        for (size_t at = 0; at < len;) {
                union {
                        char room[CMSG_SPACE(MV_AGENT_FDS_MAX * sizeof(int))];
                        struct cmsghdr head;
                } control;
                struct iovec to = { p + at, len - at };
                struct msghdr m = { .msg_iov = &to,
                                    .msg_iovlen = 1,
                                    .msg_control = &control,
                                    .msg_controllen = sizeof control };
                ssize_t n = recvmsg(0, &m, 0);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        _exit(MV_AGENT_EXIT_HOST); /* (3) */
                take_descriptors(q, &m);
                at += (size_t)n;
        }
}

static void request_read(struct request *q)
{
        uint8_t head[MV_AGENT_HEADER_BYTES];
        *q = (struct request){ 0 };
        read_exactly(q, head, sizeof head);
        struct mv_cur c = mv_cur((struct mv_slice){ head, sizeof head });
        q->op = mv_get_u32(&c);
        uint32_t len = mv_get_u32(&c);
        if (len > MV_AGENT_PAYLOAD_MAX)
                _exit(MV_AGENT_EXIT_REQUEST);
        q->bytes = malloc(len + 1);
        if (!q->bytes)
                _exit(MV_AGENT_EXIT_REQUEST);
        read_exactly(q, q->bytes, len);
        q->body = mv_cur((struct mv_slice){ q->bytes, len });
}

static void request_done(struct request *q)
{
        for (unsigned i = 0; i < q->fds_count; i++)
                close(q->fds[i]);
        free(q->bytes);
}

/* --- children --------------------------------------------------------------------------------- */

static uint64_t timeval_ns(struct timeval t)
{
        return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_usec * 1000u;
}

/* Reap what ended. true: `pid` was among it, and r says how. */
static bool reap(pid_t pid, struct mv_cell_report *r, int options)
{
        struct rusage used;
        bool ended = false;
        int status;
        pid_t one;
        while ((one = wait4(-1, &status, options, &used)) > 0 || (one < 0 && errno == EINTR)) {
                if (one < 0)
                        continue;
                r->cpu_ns += timeval_ns(used.ru_utime) + timeval_ns(used.ru_stime);
                uint64_t peak = (uint64_t)used.ru_maxrss * 1024;
                r->memory_peak_bytes = peak > r->memory_peak_bytes ? peak : r->memory_peak_bytes;
                if (one != pid)
                        continue;
                r->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
                r->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
                ended = true;
        }
        return ended;
}

/* Of the whole sandbox, as the sentry counts the pages that it took, files in memory among them. Its resident sizes of
 * processes say more: they hold each mapped file whole, once per process, though those pages are the host's. */
static uint64_t sandbox_bytes(void)
{
        static const char key[] = "AnonPages:";
        char text[2048];
        int fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
        if (fd >= 0)
                close(fd);
        text[n > 0 ? n : 0] = 0;
        const char *at = strstr(text, key);
        return at ? strtoull(at + sizeof key - 1, NULL, 10) * 1024 : 0;
}

static struct watch watch_start(struct mv_cur *c)
{
        uint64_t resident;
        struct watch w = { .bytes_max = mv_get_u64(c) };
        w.cpu_ns_max = mv_get_u64(c);
        w.period_ms = mv_get_u32(c);
        if (w.period_ms)
                cell_usage(&resident, &w.cpu_ns_before);
        if (w.period_ms && w.bytes_max)
                w.bytes_before = sandbox_bytes();
        return w;
}

/* While something runs the host may only ask for its termination, and for what it took. */
static void control_while_running(struct watch *w)
{
        struct request q;
        request_read(&q);
        if (q.op == MV_AGENT_TERMINATE) {
                kill(-1, SIGTERM);
        } else if (q.op == MV_AGENT_MEASURE) {
                w->bytes_measured = sandbox_bytes();
                report(&(struct mv_cell_report){ .kind = MV_AGENT_MEASURED });
        } else {
                _exit(MV_AGENT_EXIT_REQUEST);
        }
        request_done(&q);
}

static enum mv_cell_report_kind looked(struct watch *w, struct mv_cell_report *r)
{
        uint64_t resident, cpu_ns, bytes = sandbox_bytes();
        cell_usage(&resident, &cpu_ns);
        bytes -= bytes < w->bytes_before ? bytes : w->bytes_before;
        w->looks++;
        w->bytes_peak = bytes > w->bytes_peak ? bytes : w->bytes_peak;
        bool memory = w->bytes_max && bytes > w->bytes_max;
        if (!memory && (!w->cpu_ns_max || cpu_ns - w->cpu_ns_before < w->cpu_ns_max))
                return MV_CELL_ENDED;
        *r = (struct mv_cell_report){ .kind = memory ? MV_CELL_OVER_MEMORY : MV_CELL_OVER_CPU,
                                      .exit_code = -1,
                                      .memory_peak_bytes = bytes,
                                      .cpu_ns = cpu_ns - w->cpu_ns_before };
        return r->kind;
}

/* Of a program: of all its processes at a time. One that was gone too soon to be looked at took at most what its largest
 * process held, mapped files and all, and no more than it might. */
static uint64_t peak(const struct watch *w, uint64_t largest)
{
        if (w->looks >= LOOKS_MIN || largest < w->bytes_peak)
                return w->bytes_peak;
        return largest < w->bytes_max ? largest : w->bytes_max;
}

/* Of an RTFS run, which is dead: what the sandbox took more while it waited at its door. The sentry counts at most every
 * 10 ms, and sees nothing new before; then it is the size of the process, which is more. */
static uint64_t taken(const struct watch *w, uint64_t resident)
{
        uint64_t idle = sandbox_bytes();
        return w->bytes_measured > idle ? w->bytes_measured - idle : resident;
}

static void wait_child(pid_t pid, struct watch w)
{
        struct mv_cell_report r = { .kind = MV_CELL_ENDED, .exit_code = -1 }, rest;
        struct timespec period = { w.period_ms / 1000, (long)(w.period_ms % 1000) * 1000000 };
        sigset_t none;
        sigemptyset(&none);
        while (!reap(pid, &r, WNOHANG)) {
                struct pollfd on = { 0, POLLIN, 0 };
                /* SIGCHLD is blocked but here */
                if (ppoll(&on, 1, w.period_ms ? &period : NULL, &none) > 0)
                        control_while_running(&w);
                if (w.period_ms && looked(&w, &r) != MV_CELL_ENDED) {
                        kill(-1, SIGKILL); /* (2) */
                        reap(0, &rest, 0);
                        report(&r);
                        return;
                }
        }
        kill(-1, SIGKILL); /* (2) */
        reap(0, &r, 0);
        if (w.bytes_max)
                r.memory_peak_bytes = peak(&w, r.memory_peak_bytes);
        else if (w.bytes_measured)
                r.memory_peak_bytes = taken(&w, r.memory_peak_bytes);
        report(&r);
}

static void signals_default(void)
{
        sigset_t none;
        sigemptyset(&none);
        signal(SIGCHLD, SIG_DFL);
        sigprocmask(SIG_SETMASK, &none, NULL);
}

/* --- an RTFS run ------------------------------------------------------------------------------ */

static uint64_t number(struct mv_cur *body, char text[24])
{
        uint64_t n = mv_get_u64(body);
        snprintf(text, 24, "%llu", (unsigned long long)n);
        return n;
}

_Noreturn static void runner(struct request *q)
{
        char text[4][24];
        char *sizes[4] = { text[0], text[1], text[2], text[3] };
        for (int i = 0; i < 4; i++)
                number(&q->body, text[i]);
        rlim_t stack = mv_get_u64(&q->body);
        rlim_t seconds = mv_get_u64(&q->body);
        struct rlimit stack_max = { stack, stack }, cpu_max = { seconds, seconds }, none = { 0, 0 };
        if (q->body.bad || q->fds_count != 1)
                _exit(MV_AGENT_EXIT_REQUEST);
        if (dup2(q->fds[0], 0) < 0 || dup2(q->fds[0], 1) < 0 ||
            syscall(SYS_close_range, 2, FDS_LAST, 0) < 0 ||
            setrlimit(RLIMIT_STACK, &stack_max) < 0 || setrlimit(RLIMIT_CPU, &cpu_max) < 0 ||
            setrlimit(RLIMIT_CORE, &none) < 0)
                _exit(MV_AGENT_EXIT_REQUEST);
        _exit(mv_linux_runner(sizes));
}

static void run(struct request *q)
{
        struct watch w = watch_start(&q->body);
        pid_t pid = fork();
        if (pid == 0)
                runner(q); /* (1) */
        struct mv_cell_report failed = { .kind = MV_CELL_FAILED,
                                         .error = errno,
                                         .step = "start the runner's process" };
        request_done(q);
        if (pid < 0)
                report(&failed);
        else
                wait_child(pid, w);
}

/* --- a program -------------------------------------------------------------------------------- */

static const char *text(struct mv_cur *c)
{
        uint32_t len = mv_get_u32(c);
        struct mv_slice s = mv_get_bytes(c, len);
        if (c->bad || s.len == 0 || s.p[s.len - 1] != 0)
                _exit(MV_AGENT_EXIT_REQUEST);
        return (const char *)s.p;
}

static void texts(struct mv_cur *c, char **into)
{
        uint32_t count = mv_get_u32(c);
        if (count >= STRINGS_MAX)
                _exit(MV_AGENT_EXIT_REQUEST);
        for (uint32_t i = 0; i < count; i++)
                into[i] = (char *)(uintptr_t)text(c);
        into[count] = NULL;
}

static int limits(struct mv_cur *c)
{
        uint32_t count = mv_get_u32(c);
        for (uint32_t i = 0; i < count && !c->bad; i++) {
                uint32_t resource = mv_get_u32(c);
                rlim_t value = mv_get_u64(c);
                struct rlimit lower = { value, value };
                if (setrlimit((int)resource, &lower) < 0)
                        return errno;
        }
        return 0;
}

/* Struct sock_fprog; musl ships no kernel headers. */
struct filter {
        uint16_t len;
        const uint8_t *code;
};
#define FILTER_LINE_BYTES   8
#define SECCOMP_FILTER_MODE 2

static int filter(struct mv_cur *c)
{
        static uint8_t lines[65536] __attribute__((aligned(8)));
        uint32_t len = mv_get_u32(c);
        struct mv_slice code = mv_get_bytes(c, len);
        if (c->bad || code.len > sizeof lines)
                return EINVAL;
        memcpy(lines, code.p, code.len);
        struct filter f = { (uint16_t)(code.len / FILTER_LINE_BYTES), lines };
        return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
                               prctl(PR_SET_SECCOMP, SECCOMP_FILTER_MODE, &f) < 0
                       ? errno
                       : 0;
}

/* The streams and the door at their numbers, `status_fd` behind them, everything else closed. */
static int descriptors(struct request *q, int *status_fd)
{
        uint32_t streams = q->streams;
        bool in = streams & MV_AGENT_STDIN, door = streams & MV_AGENT_DOOR;
        int null = open("/dev/null", O_RDONLY), aside[MV_AGENT_FDS_MAX + 1];
        if (q->fds_count != 2u + in + door)
                return EINVAL;
        for (unsigned i = 0; i < q->fds_count; i++)
                aside[i] = fcntl(q->fds[i], F_DUPFD_CLOEXEC, 16);
        aside[MV_AGENT_FDS_MAX] = fcntl(*status_fd, F_DUPFD_CLOEXEC, 16);
        if (null < 0 || dup2(in ? aside[2] : null, 0) < 0 || dup2(aside[0], 1) < 0 ||
            dup2(aside[1], 2) < 0 || (door && dup2(aside[2 + in], DOOR_AT) < 0) ||
            dup3(aside[MV_AGENT_FDS_MAX], DOOR_AT + 1, O_CLOEXEC) < 0)
                return errno ? errno : EINVAL;
        *status_fd = DOOR_AT + 1;
        if (!door)
                close(DOOR_AT);
        return syscall(SYS_close_range, DOOR_AT + 2, FDS_LAST, 0) < 0 ? errno : 0;
}

static void say(int status_fd, int error, const char *step, const char *what)
{
        struct mv_cell_report r = { .kind = MV_CELL_FAILED, .error = error };
        snprintf(r.step, sizeof r.step, "%s%s", step, what);
        if (write(status_fd, &r, sizeof r) != sizeof r)
                _exit(MV_AGENT_EXIT_HOST);
}

_Noreturn static void program(struct request *q, int status_fd)
{
        static char *argv[STRINGS_MAX], *env[STRINGS_MAX];
        signals_default();
        int error = setsid() < 0 ? errno : descriptors(q, &status_fd);
        if (error)
                say(status_fd, error, "arrange the descriptors", "");
        else if ((error = limits(&q->body)) != 0)
                say(status_fd, error, "set a resource limit", "");
        else if ((error = filter(&q->body)) != 0)
                say(status_fd, error, "install the system call filter", "");
        if (error)
                _exit(127);
        const char *path = text(&q->body), *directory = text(&q->body);
        texts(&q->body, argv);
        texts(&q->body, env);
        if (chdir(directory) < 0) {
                say(status_fd, errno, "enter the directory ", directory);
                _exit(127);
        }
        execve(path, argv, env);
        say(status_fd, errno, "execute ", path);
        _exit(127);
}

/* Whoever moves bytes between the program and its proxy is there before the program. 0 or an errno. */
static int network(struct request *q)
{
        q->streams = mv_get_u32(&q->body);
        uint32_t port = mv_get_u32(&q->body);
        if (q->body.bad || !(q->streams & MV_AGENT_NETWORK))
                return 0;
        if (q->fds_count == 0 || port == 0 || port > UINT16_MAX)
                _exit(MV_AGENT_EXIT_REQUEST);
        return relay_inside(q->fds[--q->fds_count], (uint16_t)port);
}

static void start_program(struct request *q)
{
        int status[2];
        struct mv_cell_report failed;
        struct watch w = watch_start(&q->body);
        int error = network(q);
        if (pipe2(status, O_CLOEXEC) < 0)
                _exit(MV_AGENT_EXIT_REQUEST);
        pid_t pid = error ? -1 : fork();
        if (pid == 0)
                program(q, status[1]);
        if (error)
                say(status[1], error, "listen for the proxy", "");
        close(status[1]);
        request_done(q);
        /* The pipe closes with exec; before, it says why there is none. */
        ssize_t n = pid < 0 && !error ? -1 : read(status[0], &failed, sizeof failed);
        close(status[0]);
        if (n == 0) {
                wait_child(pid, w);
                return;
        }
        if (n != sizeof failed)
                failed = (struct mv_cell_report){ .kind = MV_CELL_FAILED,
                                                  .error = EAGAIN,
                                                  .step = "start the program's process" };
        report(&failed);
}

/* --- the life of the agent -------------------------------------------------------------------- */

static void on_child(int signal)
{
}

static int serve(void)
{
        struct mv_cell_report ready = { .kind = MV_AGENT_READY };
        struct sigaction woken = { .sa_handler = on_child };
        sigset_t child;
        sigemptyset(&child);
        sigaddset(&child, SIGCHLD);
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* (4) */
        sigprocmask(SIG_BLOCK, &child, NULL);
        sigaction(SIGCHLD, &woken, NULL);
        report(&ready);
        for (;;) {
                struct request q;
                request_read(&q);
                if (q.op == MV_AGENT_RUN)
                        run(&q);
                else if (q.op == MV_AGENT_PROGRAM)
                        start_program(&q);
                else
                        request_done(&q); /* a TERMINATE that came too late */
        }
}

static int outside(bool network, char **argv, char **env)
{
        int error = network ? relay_outside(0) : 0;
        if (error) {
                dprintf(2, "start the relay: error %d\n", error);
                return MV_AGENT_EXIT_REQUEST;
        }
        if (dup2(DOOR_AT, 0) < 0)
                return MV_AGENT_EXIT_REQUEST;
        close(DOOR_AT);
        execve(argv[0], argv, env);
        dprintf(2, "execute %s: error %d\n", argv[0], errno);
        return MV_AGENT_EXIT_REQUEST;
}

int main(int argc, char **argv, char **env)
{
        bool network = argc > 2 && strcmp(argv[1], MV_AGENT_OUTSIDE_NETWORK) == 0;
        if (network || (argc > 2 && strcmp(argv[1], MV_AGENT_OUTSIDE) == 0))
                return outside(network, argv + 2, env);
        return argc == 2 && strcmp(argv[1], MV_AGENT_INSIDE) == 0 ? serve() : MV_AGENT_EXIT_REQUEST;
}
