/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/bpf.h>
#include <sys/child.h>
#include <sys/fd.h>

#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x00001000
#endif

/* The child's fixed places. */
enum { FD_DOOR_IN, FD_DOOR_OUT, FD_LIFELINE, FD_IMAGE, FD_FIRST_FREE };
#define FD_ASIDE 16 /* where descriptors wait while the fixed places are filled */

/* The child runs on this stack in our memory until exec; its deepest call chain needs a small
 * part of it. */
#define STACK_BYTES 32768

/* Shared with the child until exec (2): it says here which step failed. */
struct launch {
        const struct mv_sys_spawn *want;
        const struct mv_sys_filter *filter;
        int lifeline_fd;
        const char *step;
        int error;
};

/* Everything a static image calls before it locks itself up, and nothing that opens, forks or connects. execveat is
 * admitted for the descriptor of the image alone, and that one is closed by exec. */
static void filter_for_start(struct mv_sys_filter *f, const struct mv_sys_spawn *s)
{
        mv_sys_filter_init(f);
        mv_sys_filter_allow(f, SYS_read);
        mv_sys_filter_allow(f, SYS_write);
        mv_sys_filter_allow(f, SYS_exit_group);
        mv_sys_filter_allow(f, SYS_exit);
        mv_sys_filter_allow(f, SYS_mmap);
        mv_sys_filter_allow(f, SYS_munmap);
        mv_sys_filter_allow(f, SYS_mprotect);
        mv_sys_filter_allow(f, SYS_brk);
        mv_sys_filter_allow(f, SYS_mincore);
        mv_sys_filter_allow_if(f, SYS_madvise, 2, MADV_DONTNEED);
        mv_sys_filter_allow(f, SYS_set_tid_address);
#ifdef SYS_arch_prctl
        mv_sys_filter_allow(f, SYS_arch_prctl);
#endif
        mv_sys_filter_allow_if(f, SYS_prctl, 0, PR_SET_NO_NEW_PRIVS);
        mv_sys_filter_allow_if(f, SYS_prctl, 0, PR_SET_SECCOMP);
        mv_sys_filter_allow_if(f, SYS_execveat, 0, FD_IMAGE);
        for (unsigned i = 0; i < s->calls_count; i++)
                mv_sys_filter_allow(f, s->calls[i]);
        mv_sys_filter_seal(f);
}

/* --- in the child, between clone and exec: async-signal-safe calls only, errors go to struct
 * launch --- */

/* A sanitizer would leave marks for frames that exec never returns from, in memory that is the
 * parent's stack again. */
#define IN_CHILD __attribute__((no_sanitize("address")))

IN_CHILD static bool failed(struct launch *l, const char *step, long result)
{
        if (result >= 0)
                return false;
        l->step = step;
        l->error = errno;
        return true;
}

/* No read end is left anywhere but in the child: see (1). */
IN_CHILD static bool lifeline_arm(struct launch *l)
{
        return !failed(l, "own the lifeline", fcntl(FD_LIFELINE, F_SETOWN, getpid())) &&
               !failed(l, "make the lifeline deadly", fcntl(FD_LIFELINE, F_SETSIG, SIGKILL)) &&
               !failed(l, "arm the lifeline", fcntl(FD_LIFELINE, F_SETFL, O_ASYNC | O_NONBLOCK));
}

IN_CHILD static bool descriptors_place(struct launch *l)
{
        int door = fcntl(l->want->door_fd, F_DUPFD_CLOEXEC, FD_ASIDE);
        int image = fcntl(l->want->image_fd, F_DUPFD_CLOEXEC, FD_ASIDE);
        int life = fcntl(l->lifeline_fd, F_DUPFD_CLOEXEC, FD_ASIDE);
        return !failed(l, "set the door aside", door) && !failed(l, "set the image aside", image) &&
               !failed(l, "set the lifeline aside", life) &&
               !failed(l, "place the door", dup2(door, FD_DOOR_IN)) &&
               !failed(l, "place the door", dup2(door, FD_DOOR_OUT)) &&
               !failed(l, "place the lifeline", dup2(life, FD_LIFELINE)) &&
               !failed(l, "place the image", dup3(image, FD_IMAGE, O_CLOEXEC)) &&
               !failed(l, "close every other descriptor",
                       syscall(SYS_close_range, FD_FIRST_FREE, ~0u, 0));
}

IN_CHILD static bool limit(struct launch *l, const char *step, int what, uint64_t soft,
                           uint64_t hard)
{
        struct rlimit now;
        if (failed(l, step, getrlimit((__rlimit_resource_t)what, &now)))
                return false;
        /* Only ever down: the caller may run under a tighter limit than ours. */
        if (hard > now.rlim_max)
                hard = now.rlim_max;
        struct rlimit lower = { soft < hard ? soft : hard, hard };
        return !failed(l, step, setrlimit((__rlimit_resource_t)what, &lower));
}

IN_CHILD static bool limits_set(struct launch *l)
{
        const struct mv_sys_spawn *w = l->want;
        const uint64_t files = w->files_max ? w->files_max : FD_FIRST_FREE;
        return limit(l, "limit the address space", RLIMIT_AS, w->address_bytes_max,
                     w->address_bytes_max) &&
               limit(l, "limit the stack", RLIMIT_STACK, w->stack_bytes_max, w->stack_bytes_max) &&
               limit(l, "forbid locked memory", RLIMIT_MEMLOCK, 0, 0) &&
               limit(l, "forbid core files", RLIMIT_CORE, 0, 0) &&
               limit(l, "forbid files", RLIMIT_FSIZE, 0, 0) &&
               limit(l, "forbid processes", RLIMIT_NPROC, 0, 0) &&
               limit(l, "forbid further descriptors", RLIMIT_NOFILE, files, files) &&
               (!w->cpu_seconds_max || limit(l, "limit the CPU time", RLIMIT_CPU,
                                             w->cpu_seconds_max, w->cpu_seconds_max + 1));
}

/* no_new_privs keeps exec from handing root its capabilities back, so an emptied set stays
 * empty. */
IN_CHILD static bool privileges_drop(struct launch *l)
{
        struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
        struct __user_cap_data_struct none[2] = { { 0 } };
        return !failed(l, "set no_new_privs", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) &&
               !failed(l, "drop every capability", syscall(SYS_capset, &head, none));
}

IN_CHILD static bool filter_install(struct launch *l)
{
        l->error = mv_sys_filter_install(l->filter);
        l->step = "install the seccomp filter";
        return l->error == 0;
}

IN_CHILD static int child_main(void *arg)
{
        struct launch *l = arg;
        static char *const no_environment[] = { NULL };
        if (!failed(l, "start a session", setsid()) &&
            !failed(l, "leave the directory", chdir("/")) && descriptors_place(l) &&
            lifeline_arm(l) && limits_set(l) && privileges_drop(l) && filter_install(l)) {
                syscall(SYS_execveat, FD_IMAGE, "", l->want->argv, no_environment, AT_EMPTY_PATH);
                l->step = "execute the image";
                l->error = errno;
        }
        _exit(127);
}

/* --- in the parent ---------------------------------------------------------------------------- */

/* All signals stay blocked in the child: a handler of ours must not run there while it shares
 * our memory. */
static pid_t clone_blocked(struct launch *l, int *ret_pidfd)
{
        char stack[STACK_BYTES] __attribute__((aligned(16)));
        sigset_t all, before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        pid_t pid = clone(child_main, stack + sizeof stack,
                          CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, l, ret_pidfd);
        int saved = errno;
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        errno = saved;
        return pid;
}

int mv_sys_spawn(const struct mv_sys_spawn *s, struct mv_sys_child *ret, struct mv_err *err)
{
        struct mv_sys_filter filter;
        filter_for_start(&filter, s);
        int pipe_fds[2];
        if (pipe2(pipe_fds, O_CLOEXEC) < 0)
                return mv_fail(err, MV_E_SYS, errno, "make the lifeline of a runner");
        mv_auto_fd life_read = pipe_fds[0], life_write = pipe_fds[1];
        struct launch l = { s, &filter, life_read, "", 0 };
        struct mv_sys_child c = { 0, -1, -1, false };
        c.pid = clone_blocked(&l, &c.pidfd);
        if (c.pid < 0)
                return mv_fail(err, MV_E_SYS, errno, "start a runner process");
        c.lifeline_fd = mv_fd_take(&life_write);
        if (l.error) {
                mv_sys_child_done(&c);
                return mv_fail(err, MV_E_SYS, l.error, "start a runner process: %s", l.step);
        }
        *ret = c;
        return 0;
}
