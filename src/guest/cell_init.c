/* SPDX-License-Identifier: Apache-2.0 */
/* guest/cell_init.c - process 1 of a cell that runs a program.
 *
 * It is started by the host in new namespaces with a few ambient capabilities over them, carries
 * out the plan (wire/cell_plan.h), starts the program as its child, reaps whatever becomes an
 * orphan and reports how the program ended.
 *
 * (1) The end of init is the end of the cell: the kernel kills everything in its process
 *     namespace. Init ends when the host closes the control socket, whatever thread or process
 *     held it, and however it ended.
 * (2) The program's end is the cell's end: what it left running is killed before the report
 *     leaves.
 * (3) Nothing in the cell may read or stop init: it is not dumpable, holds no secret, and signals
 *     from inside its own namespace do not end process 1.
 * (4) Init keeps no capability once the program runs.
 * (5) A spare, made before there is an execution for it, also ends with the thread that made it: that
 *     thread lives as long as whoever would use it. The kernel forgets this wish when ids change, so it is
 *     told again; should the thread end just then, the wait for the second part has an end as well.
 * (6) In a cell without namespaces (cell_confined.c) the kernel does not do (1): init ends whatever is left by
 *     itself, on every way out, and waits until all of it is dead. */
#include <errno.h>
#include <guest/cell.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PLAN_BYTES_MAX      ((uint32_t)64 << 20)
#define PROGRAM_STACK_BYTES 65536
#define PLACE_LOOKS         10u /* every how many looks of the watch */

static bool confined; /* (6): a program runs, and no namespace ends with this process */

/* --- the control socket ----------------------------------------------------------------------- */

/* Reaches the cell's processes alone: init is process 1 of a namespace, or confined. */
static void signal_all(int signal)
{
        if (getpid() == 1 || confined)
                kill(-1, signal);
}

_Noreturn static void leave(void)
{
        if (confined) {
                signal_all(SIGKILL);
                while (waitpid(-1, NULL, __WALL) > 0 || errno == EINTR)
                        ;
        }
        _exit(MV_CELL_EXIT_MUTE);
}

static void read_exactly(int fd, void *p, size_t len)
{
        for (size_t at = 0; at < len;) {
                ssize_t n = read(fd, (uint8_t *)p + at, len - at);
                if (n <= 0)
                        _exit(MV_CELL_EXIT_MUTE); /* (1) */
                at += (size_t)n;
        }
}

/* Parts stay mapped: steps keep texts of them. */
struct mv_cur cell_part(const struct cell *c)
{
        struct pollfd on = { c->control_fd, POLLIN, 0 };
        uint8_t head[4];
        if (c->spare && poll(&on, 1, MV_CELL_SPARE_MS_MAX) == 0)
                _exit(MV_CELL_EXIT_MUTE); /* (5) */
        read_exactly(c->control_fd, head, sizeof head);
        uint32_t len = (uint32_t)head[0] | (uint32_t)head[1] << 8 | (uint32_t)head[2] << 16 |
                       (uint32_t)head[3] << 24;
        uint8_t *p = len && len <= PLAN_BYTES_MAX ? mmap(NULL, len, PROT_READ | PROT_WRITE,
                                                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                                                  : MAP_FAILED;
        if (p == MAP_FAILED)
                _exit(MV_CELL_EXIT_MUTE);
        read_exactly(c->control_fd, p, len);
        return mv_cur((struct mv_slice){ p, len });
}

/* The socket blocks: a host that does not read makes init wait, and a host that is gone ends it. */
static void report(const struct mv_cell_report *r)
{
        const uint8_t *p = (const uint8_t *)r;
        for (size_t at = 0; at < sizeof *r;) {
                ssize_t n = send(MV_CELL_FD_CONTROL, p + at, sizeof *r - at, MSG_NOSIGNAL);
                if (n <= 0)
                        leave();
                at += (size_t)n;
        }
}

_Noreturn static void fail(const struct cell *c, int error)
{
        struct mv_cell_report r = { .kind = MV_CELL_FAILED, .error = error };
        memcpy(r.step, c->step, sizeof r.step);
        report(&r);
        _exit(1);
}

/* --- the plan --------------------------------------------------------------------------------- */

const char *cell_str(struct mv_cur *c)
{
        struct mv_slice s = cell_blob(c);
        if (s.len == 0 || s.p[s.len - 1] != 0)
                _exit(MV_CELL_EXIT_MUTE);
        return (const char *)s.p;
}

struct mv_slice cell_blob(struct mv_cur *c)
{
        uint32_t len = mv_get_u32(c);
        struct mv_slice s = mv_get_bytes(c, len);
        if (c->bad)
                _exit(MV_CELL_EXIT_MUTE);
        return s;
}

void cell_step(struct cell *c, const char *fmt, ...)
{
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(c->step, sizeof c->step, fmt, ap);
        va_end(ap);
}

static int join(struct cell *c, int fd)
{
        cell_step(c, "join a control group");
        ssize_t n = write(fd, "0", 1);
        int error = n == 1 ? 0 : errno;
        close(fd);
        return error;
}

static int become(struct cell *c, uint32_t id)
{
        cell_step(c, "become user %u", id);
        if (syscall(SYS_setgroups, 0, NULL) < 0 || syscall(SYS_setresgid, id, id, id) < 0 ||
            syscall(SYS_setresuid, id, id, id) < 0)
                return errno;
        return 0;
}

/* Root's rights would go with root's id; init has steps to do that need them (4). Nothing that it starts gets any by being root. */
static int keep(struct cell *c)
{
        const int bits = SECBIT_NO_SETUID_FIXUP | SECBIT_NOROOT;
        cell_step(c, "keep rights for the steps to come");
        return prctl(PR_SET_SECUREBITS, bits, 0, 0, 0) < 0 ? errno : 0;
}

static void end_with_maker(const struct cell *c) /* (5) */
{
        if (c->spare)
                prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
}

static int step(struct cell *c, enum mv_cell_op op, struct mv_cur *plan)
{
        uint32_t flags;
        const char *text;
        switch (op) {
        case MV_CELL_JOIN:
                return join(c, mv_get_u8(plan));
        case MV_CELL_KEEP:
                return keep(c);
        case MV_CELL_IDS:
                return become(c, mv_get_u32(plan));
        case MV_CELL_UNSHARE:
                flags = mv_get_u32(plan);
                cell_step(c, "make a control group namespace");
                return unshare((int)flags) < 0 ? errno : 0;
        case MV_CELL_PROXY:
                return cell_network(c, mv_get_u16(plan));
        case MV_CELL_HOSTNAME:
                text = cell_str(plan);
                cell_step(c, "set the host name");
                return sethostname(text, strlen(text)) < 0 ? errno : 0;
        case MV_CELL_WATCH:
                c->watch_bytes_max = mv_get_u64(plan);
                c->watch_cpu_ns_max = mv_get_u64(plan);
                c->watch_period_ms = mv_get_u32(plan);
                return 0;
        case MV_CELL_CONFINE:
                return cell_confine(c);
        case MV_CELL_PLACE:
                c->place = cell_str(plan);
                c->place_bytes_max = mv_get_u64(plan);
                c->place_entries_max = mv_get_u64(plan);
                return 0;
        case MV_CELL_MORE:
                *plan = cell_part(c);
                prctl(PR_SET_NAME, MV_CELL_NAME);
                return 0;
        default:
                return cell_root_step(c, op, plan);
        }
}

/* --- the program ------------------------------------------------------------------------------ */

struct start {
        struct cell *cell;
        struct mv_cur *plan;
        int error;
};

static int program_main(void *arg)
{
        struct start *s = arg;
        s->error = cell_program(s->cell, s->plan);
        _exit(127);
}

/* It borrows init's memory until exec; init waits for that. */
static pid_t start_program(struct cell *c, struct mv_cur *plan)
{
        static uint8_t stack[PROGRAM_STACK_BYTES] __attribute__((aligned(16)));
        struct start s = { c, plan, 0 };
        cell_step(c, "start the program's process");
        cell_score(c, true);
        confined = c->confined;
        pid_t pid = clone(program_main, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, &s);
        cell_score(c, false);
        prctl(PR_SET_NAME, MV_CELL_NAME);
        if (pid < 0)
                fail(c, errno);
        if (s.error)
                fail(c, s.error);
        return pid;
}

static void capabilities_drop(void)
{
        struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
        struct __user_cap_data_struct none[2] = { { 0 } };
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_capset, &head, none) < 0)
                leave(); /* (4) */
}

/* --- while it runs ---------------------------------------------------------------------------- */

static int open_child_events(void)
{
        sigset_t one;
        sigemptyset(&one);
        sigaddset(&one, SIGCHLD);
        return signalfd(-1, &one, SFD_CLOEXEC);
}

/* Reap what ended. true: the program was among it. */
static bool reap(pid_t program, struct mv_cell_report *r, int options)
{
        bool ended = false;
        int status;
        pid_t pid;
        while ((pid = waitpid(-1, &status, options | __WALL)) > 0 || (pid < 0 && errno == EINTR)) {
                if (pid != program)
                        continue;
                r->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
                r->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
                ended = true;
        }
        return ended;
}

static uint64_t timeval_ns(struct timeval t)
{
        return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_usec * 1000u;
}

static void control_byte(void)
{
        char byte;
        if (read(MV_CELL_FD_CONTROL, &byte, 1) <= 0)
                leave(); /* (1) */
        if (byte == MV_CELL_TERMINATE)
                signal_all(SIGTERM);
}

static bool usage(const struct cell *c, uint64_t *bytes, uint64_t *cpu_ns)
{
        if (c->confined)
                return cell_family_usage(bytes, cpu_ns);
        cell_usage(bytes, cpu_ns);
        return true;
}

static void over(enum mv_cell_report_kind kind, uint64_t bytes, uint64_t cpu_ns)
{
        struct mv_cell_report r = { .kind = kind, .memory_peak_bytes = bytes, .cpu_ns = cpu_ns };
        report(&r);
        signal_all(SIGKILL);
}

static void watch(const struct cell *c)
{
        uint64_t bytes = 0, cpu_ns = 0;
        if ((c->watch_bytes_max || c->watch_cpu_ns_max) && !usage(c, &bytes, &cpu_ns))
                over(MV_CELL_OVER_MEMORY, bytes, cpu_ns); /* what cannot be counted */
        else if (c->watch_bytes_max && bytes > c->watch_bytes_max)
                over(MV_CELL_OVER_MEMORY, bytes, cpu_ns);
        else if (c->watch_cpu_ns_max && cpu_ns > c->watch_cpu_ns_max)
                over(MV_CELL_OVER_CPU, bytes, cpu_ns);
}

/* Looking through directories takes longer, and is done less often. */
static void watch_place(const struct cell *c)
{
        static unsigned looks;
        if (c->place && ++looks % PLACE_LOOKS == 0 && cell_place_full(c))
                over(MV_CELL_OVER_PLACE, 0, 0);
}

static void wait_program(const struct cell *c, pid_t program, int events, struct mv_cell_report *r)
{
        struct timespec period = { c->watch_period_ms / 1000,
                                   (long)(c->watch_period_ms % 1000) * 1000000 };
        while (!reap(program, r, WNOHANG)) {
                struct pollfd on[2] = { { MV_CELL_FD_CONTROL, POLLIN, 0 }, { events, POLLIN, 0 } };
                struct signalfd_siginfo info;
                int n = ppoll(on, 2, c->watch_period_ms ? &period : NULL, NULL);
                if (on[0].revents)
                        control_byte();
                if (on[1].revents && read(events, &info, sizeof info) < 0)
                        leave();
                if (c->watch_period_ms && n >= 0) {
                        watch(c);
                        watch_place(c);
                }
        }
}

static void end_everything(struct mv_cell_report *r)
{
        struct rusage used;
        signal_all(SIGKILL); /* (2) */
        struct mv_cell_report rest;
        reap(0, &rest, 0);
        getrusage(RUSAGE_CHILDREN, &used);
        r->kind = MV_CELL_ENDED;
        r->cpu_ns = timeval_ns(used.ru_utime) + timeval_ns(used.ru_stime);
        r->memory_peak_bytes = (uint64_t)used.ru_maxrss * 1024; /* of the largest process */
        report(r);
}

static void descriptors_close(const struct cell *c)
{
        unsigned keep = c->io_fd < 0 ? ~0u : (unsigned)c->io_fd;
        syscall(SYS_close_range, MV_CELL_FD_CONTROL + 1, keep - 1, 0);
        if (keep < ~0u)
                syscall(SYS_close_range, keep + 1, ~0u, 0);
}

int main(int argc, char **argv)
{
        struct cell c = { .root_fd = -1,
                          .top_fd = -1,
                          .scratch_fd = -1,
                          .control_fd = MV_CELL_FD_CONTROL,
                          .score_fd = -1,
                          .io_fd = -1 };
        struct mv_cell_report r = { .exit_code = -1 };
        const char *name = argc == 1 ? argv[0] : MV_CELL_NAME;
        c.spare = strcmp(name, MV_CELL_NAME_SPARE) == 0;
        prctl(PR_SET_NAME, name);
        end_with_maker(&c);
        struct mv_cur plan = cell_part(&c);
        prctl(PR_SET_DUMPABLE, 0, 0, 0,
              0); /* (3); not before the plan: until then the host maps our ids */
        for (;;) {
                enum mv_cell_op op = mv_get_u8(&plan);
                if (plan.bad)
                        _exit(MV_CELL_EXIT_MUTE);
                if (op == MV_CELL_PROGRAM)
                        break;
                int error = step(&c, op, &plan);
                if (error)
                        fail(&c, error);
                if (op == MV_CELL_IDS)
                        end_with_maker(&c);
        }
        pid_t program = start_program(&c, &plan);
        /* The host sees the end of a stream when the program's processes closed it. A child that
         * ended already left its signal pending. */
        descriptors_close(&c);
        int events = open_child_events();
        if (events < 0)
                leave();
        capabilities_drop();
        wait_program(&c, program, events, &r);
        end_everything(&r);
        return 0;
}
