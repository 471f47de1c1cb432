/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/beneath.h>
#include <sys/cell.h>
#include <sys/fd.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#define STACK_BYTES 32768
#define FDS_MAX     96
#define EXEC_TRIES  2000
#define FD_ASIDE    128 /* where descriptors wait while the fixed places are filled */

/* Shared with the child until exec (1): it says here which step failed. */
struct launch {
        const struct mv_sys_cell *want;
        const char *step;
        int error;
};

#define IN_CHILD __attribute__((no_sanitize("address")))

/* --- in the child, between clone and exec ----------------------------------------------------- */

IN_CHILD static bool failed(struct launch *l, const char *step, long result)
{
        if (result >= 0)
                return false;
        l->step = step;
        l->error = errno;
        return true;
}

IN_CHILD static bool place(struct launch *l, int fd, int at)
{
        return fd < 0 || !failed(l, "place a descriptor", dup2(fd, at));
}

IN_CHILD static bool descriptors_place(struct launch *l)
{
        const struct mv_sys_cell *w = l->want;
        int aside[FDS_MAX];
        for (unsigned i = 0; i < w->fds_count; i++) {
                aside[i] = w->fds[i] < 0 ? -1 : fcntl(w->fds[i], F_DUPFD_CLOEXEC, FD_ASIDE);
                if (w->fds[i] >= 0 && failed(l, "set a descriptor aside", aside[i]))
                        return false;
        }
        int image = fcntl(w->image_fd, F_DUPFD_CLOEXEC, FD_ASIDE);
        if (failed(l, "set the image aside", image) ||
            failed(l, "close descriptors", syscall(SYS_close_range, 0, FD_ASIDE - 1, 0)))
                return false;
        for (unsigned i = 0; i < w->fds_count; i++)
                if (!place(l, aside[i], (int)i))
                        return false;
        return !failed(l, "place the image", dup3(image, w->image_at, O_CLOEXEC)) &&
               !failed(l, "close every other descriptor",
                       syscall(SYS_close_range, FD_ASIDE, ~0u, 0));
}

/* What the steps of the plan need, over the new namespaces only. */
IN_CHILD static bool capabilities_keep(struct launch *l)
{
        static const int needed[] = { CAP_SYS_ADMIN, CAP_SETPCAP, CAP_SETUID, CAP_SETGID,
                                      CAP_NET_ADMIN };
        const unsigned count = sizeof needed / sizeof needed[0] - !l->want->keep_network;
        struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
        struct __user_cap_data_struct sets[2];
        if (failed(l, "read the capabilities", syscall(SYS_capget, &head, sets)))
                return false;
        sets[0].inheritable = sets[1].inheritable = 0;
        for (unsigned i = 0; i < count; i++)
                sets[needed[i] / 32].inheritable |= 1u << (needed[i] % 32);
        if (failed(l, "make capabilities inheritable", syscall(SYS_capset, &head, sets)))
                return false;
        for (unsigned i = 0; i < count; i++)
                if (failed(l, "keep a capability",
                           prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, needed[i], 0, 0)))
                        return false;
        return true;
}

IN_CHILD static void child_main(struct launch *l)
{
        static char *const no_environment[] = { NULL };
        char *const argv[] = { (char *)(uintptr_t)l->want->name, NULL };
        if (descriptors_place(l) && (l->want->confined || capabilities_keep(l))) {
                syscall(SYS_execveat, l->want->image_at, "", argv, no_environment, AT_EMPTY_PATH);
                l->step = "execute the image";
                l->error = errno;
        }
        _exit(127);
}

/* --- clone3, which no C library wraps with a stack -------------------------------------------- */

__attribute__((noinline)) IN_CHILD static long
clone3_on_stack(struct clone_args *args, void (*run)(struct launch *), struct launch *l)
{
#if defined(__x86_64__)
        register void (*fn)(struct launch *) __asm__("r12") = run;
        register struct launch *arg __asm__("r13") = l;
        long ret;
        __asm__ volatile("syscall\n\t"
                         "test %%rax, %%rax\n\t"
                         "jnz 1f\n\t"
                         "xor %%ebp, %%ebp\n\t"
                         "mov %%r13, %%rdi\n\t"
                         "call *%%r12\n\t"
                         "ud2\n"
                         "1:"
                         : "=a"(ret)
                         : "0"((long)SYS_clone3), "D"(args), "S"(sizeof *args), "r"(fn), "r"(arg)
                         : "rcx", "r11", "memory");
        return ret;
#elif defined(__aarch64__)
        register long nr __asm__("x8") = SYS_clone3;
        register long ret __asm__("x0") = (long)args;
        register long size __asm__("x1") = (long)sizeof *args;
        register void (*fn)(struct launch *) __asm__("x20") = run;
        register struct launch *arg __asm__("x21") = l;
        __asm__ volatile("svc #0\n\t"
                         "cbnz x0, 1f\n\t"
                         "mov x29, xzr\n\t"
                         "mov x0, x21\n\t"
                         "blr x20\n\t"
                         "brk #1\n"
                         "1:"
                         : "+r"(ret)
                         : "r"(nr), "r"(size), "r"(fn), "r"(arg)
                         : "memory");
        return ret;
#else
#error "cells are started on x86-64 and aarch64"
#endif
}

/* Filters around containers take clone3 away, because they cannot see its flags. */
IN_CHILD static int child_start(void *arg)
{
        child_main(arg);
        return 127;
}

static long clone_on_stack(uint8_t *top, struct launch *l, int *ret_pidfd)
{
        int pid = clone(child_start, top, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, l,
                        ret_pidfd);
        return pid < 0 ? -errno : pid;
}

/* All signals stay blocked in the child: a handler of ours must not run there while it shares our
 * memory. */
static int clone_blocked(struct launch *l, uint64_t flags, struct mv_sys_child *ret)
{
        uint8_t stack[STACK_BYTES] __attribute__((aligned(16)));
        int pidfd = -1;
        struct clone_args args = { .flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | flags,
                                   .pidfd = (uint64_t)(uintptr_t)&pidfd,
                                   .exit_signal = SIGCHLD,
                                   .stack = (uint64_t)(uintptr_t)stack,
                                   .stack_size = sizeof stack };
        if (l->want->group_fd >= 0) {
                args.flags |= CLONE_INTO_CGROUP;
                args.cgroup = (uint64_t)l->want->group_fd;
        }
        sigset_t all, before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        long pid = clone3_on_stack(&args, child_main, l);
        if (pid == -ENOSYS && l->want->confined && l->want->group_fd < 0)
                pid = clone_on_stack(stack + sizeof stack, l, &pidfd);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (pid < 0)
                return (int)-pid;
        *ret = (struct mv_sys_child){ (pid_t)pid, pidfd, -1, false };
        return 0;
}

/* --- ids (2) ---------------------------------------------------------------------------------- */

/* Is the id of programs an id at all in our own user namespace? In a container it usually is not.
 */
static bool id_exists(const char *map)
{
        unsigned inside, outside, count;
        bool found = false;
        FILE *f = fopen(map, "re");
        while (f && !found && fscanf(f, "%u %u %u", &inside, &outside, &count) == 3)
                found = inside <= MV_SYS_CELL_ID_OUTSIDE && MV_SYS_CELL_ID_OUTSIDE - inside < count;
        if (f)
                fclose(f);
        return found;
}

static bool ids_exist;
static void ids_look(void)
{
        ids_exist = id_exists("/proc/self/uid_map") && id_exists("/proc/self/gid_map");
}

static bool ids_found(void)
{
        static pthread_once_t once = PTHREAD_ONCE_INIT;
        pthread_once(&once, ids_look);
        return ids_exist;
}

bool mv_sys_cell_maps_ids(void)
{
        struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
        struct __user_cap_data_struct sets[2];
        const uint32_t needed = 1u << CAP_SETUID | 1u << CAP_SETGID | 1u << CAP_SYS_ADMIN;
        return ids_found() && geteuid() == 0 && syscall(SYS_capget, &head, sets) == 0 &&
               (sets[0].effective & needed) == needed;
}

bool mv_sys_cell_has_id(void)
{
        struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
        struct __user_cap_data_struct sets[2];
        const uint32_t needed = 1u << CAP_SETUID | 1u << CAP_SETGID;
        return ids_found() && syscall(SYS_capget, &head, sets) == 0 &&
               (sets[0].effective & needed) == needed;
}

int mv_sys_cell_without_user(void)
{
        int status;
        if (geteuid() != 0 || !mv_sys_cell_has_id())
                return EPERM;
        pid_t pid = fork();
        if (pid < 0)
                return errno;
        if (pid == 0)
                _exit(unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC |
                              CLONE_NEWUTS) == 0 &&
                                      mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0
                              ? 0
                              : errno);
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return errno;
        return WIFEXITED(status) ? WEXITSTATUS(status) : ECHILD;
}

static unsigned threads_of(int proc, const char *pid, unsigned uid)
{
        char path[64], text[2048];
        mv_fmt(path, sizeof path, "%s/status", pid);
        mv_auto_fd fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
        text[n > 0 ? n : 0] = 0;
        const char *ids = strstr(text, "\nUid:"), *threads = strstr(text, "\nThreads:");
        return ids && threads && strtoul(ids + 5, NULL, 10) == uid
                       ? (unsigned)strtoul(threads + 9, NULL, 10)
                       : 0;
}

uint64_t mv_sys_tasks_of(unsigned uid)
{
        uint64_t n = 0;
        DIR *d = opendir("/proc");
        for (struct dirent *e; d && (e = readdir(d));)
                if (e->d_name[0] >= '1' && e->d_name[0] <= '9')
                        n += threads_of(dirfd(d), e->d_name, uid);
        if (d)
                closedir(d);
        return n;
}

static int proc_write(pid_t pid, const char *file, const char *text)
{
        char path[48];
        mv_fmt(path, sizeof path, "/proc/%d/%s", (int)pid, file);
        mv_auto_fd fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd < 0)
                return errno;
        return write(fd, text, strlen(text)) < 0 ? errno : 0;
}

/* A program that gave up privileges is not dumpable, and its child is so until exec is complete,
 * which it is a moment after it has let go of our memory: until then its files in /proc belong to
 * root. */
static int proc_write_soon(pid_t pid, const char *file, const char *text)
{
        const struct timespec moment = { 0, 50000 };
        int error = proc_write(pid, file, text);
        for (int i = 0; error == EACCES && i < EXEC_TRIES; i++) {
                nanosleep(&moment, NULL);
                error = proc_write(pid, file, text);
        }
        return error;
}

static int ids_map(pid_t pid, unsigned inside, unsigned uid, unsigned gid)
{
        char text[48];
        bool any = mv_sys_cell_maps_ids();
        int error = any ? 0 : proc_write_soon(pid, "setgroups", "deny");
        mv_fmt(text, sizeof text, "%u %u 1", inside, uid);
        if (!error)
                error = proc_write(pid, "uid_map", text);
        mv_fmt(text, sizeof text, "%u %u 1", inside, gid);
        if (!error)
                error = proc_write(pid, "gid_map", text);
        return error;
}

static int started_map(struct mv_sys_child *c, struct mv_err *err)
{
        bool any = mv_sys_cell_maps_ids();
        int error = ids_map(c->pid, MV_SYS_CELL_ID_INSIDE, any ? MV_SYS_CELL_ID_OUTSIDE : geteuid(),
                            any ? MV_SYS_CELL_ID_OUTSIDE : getegid());
        return error ? mv_fail(err, MV_E_SYS, error, "map the user ids of a cell") : 0;
}

static const char *refused(int error)
{
        if (error == EPERM || error == ENOSPC || error == EUSERS || error == EINVAL)
                return ": namespaces are refused (user.max_user_namespaces, "
                       "kernel.unprivileged_userns_clone or a security "
                       "module)";
        return "";
}

static uint64_t namespaces(const struct mv_sys_cell *s)
{
        return (s->no_user ? 0 : CLONE_NEWUSER) | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC |
               CLONE_NEWUTS | (s->own_network ? CLONE_NEWNET : 0);
}

int mv_sys_cell_start(const struct mv_sys_cell *s, struct mv_sys_child *ret, struct mv_err *err)
{
        struct launch l = { s, "", 0 };
        struct mv_sys_child c = MV_SYS_CHILD_NONE;
        int error = clone_blocked(&l, s->confined ? 0 : namespaces(s), &c);
        if (error)
                return mv_fail(err, MV_E_SYS, error, "start a cell%s", refused(error));
        if (l.error) {
                mv_sys_child_done(&c);
                return mv_fail(err, MV_E_SYS, l.error, "start a cell: %s", l.step);
        }
        int r = s->confined || s->no_user ? 0 : started_map(&c, err);
        if (r < 0) {
                mv_sys_child_done(&c);
                return r;
        }
        *ret = c;
        return 0;
}

/* --- mounts that translate owners ------------------------------------------------------------- */

/* Waits until it is killed. */
IN_CHILD static int hold_namespace(void *arg)
{
        for (;;)
                pause();
        return 0;
}

int mv_sys_cell_owner_namespace(int *ret_fd, struct mv_err *err)
{
        char stack[4096] __attribute__((aligned(16))), path[48];
        struct mv_sys_child c = { 0, -1, -1, false };
        struct mv_sys_end end;
        c.pid = clone(hold_namespace, stack + sizeof stack, CLONE_NEWUSER | CLONE_PIDFD | SIGCHLD,
                      NULL, &c.pidfd);
        if (c.pid < 0)
                return mv_fail(err, MV_E_SYS, errno, "make a user namespace for granted files");
        int error = 0;
        char text[48];
        mv_fmt(text, sizeof text, "0 %u 1", MV_SYS_CELL_ID_OUTSIDE);
        error = proc_write(c.pid, "uid_map", text);
        if (!error)
                error = proc_write(c.pid, "gid_map", text);
        mv_fmt(path, sizeof path, "/proc/%d/ns/user", (int)c.pid);
        int fd = error ? -1 : open(path, O_RDONLY | O_CLOEXEC);
        if (!error && fd < 0)
                error = errno;
        mv_sys_child_kill(&c);
        mv_sys_child_wait(&c, &end);
        mv_sys_child_done(&c);
        if (error)
                return mv_fail(err, MV_E_SYS, error, "make a user namespace for granted files");
        *ret_fd = fd;
        return 0;
}

int mv_sys_cell_granted_mount(const char *path, bool read_only, int owner_namespace_fd, int *ret_fd)
{
        struct mount_attr attributes = { .attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
                                                     (read_only ? MOUNT_ATTR_RDONLY : 0u) };
        struct mount_attr owners = { .attr_set = MOUNT_ATTR_IDMAP,
                                     .userns_fd = (uint64_t)owner_namespace_fd };
        mv_auto_fd at = mv_sys_openat2(AT_FDCWD, path, O_PATH, 0,
                                       RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
        if (at < 0)
                return at;
        mv_auto_fd tree =
                (int)syscall(SYS_open_tree, at, "",
                             OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);
        if (tree < 0)
                return -errno;
        if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes,
                    sizeof attributes) < 0)
                return -errno;
        /* Only the top of the tree: what is mounted below it keeps its owners. */
        if (owner_namespace_fd >= 0 &&
            syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &owners, sizeof owners) < 0 &&
            errno != EINVAL)
                return -errno;
        *ret_fd = mv_fd_take(&tree);
        return 0;
}
