/* SPDX-License-Identifier: Apache-2.0 */
/* A hostile program: program-hostile ATTACK [ARG]. It prints how the attack ended, "NAME: refused
 * ERRNO" or "NAME: SUCCEEDED", and the runner (t_hostile_program.c) knows which refusal is the
 * right one. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;
static int daemon_left(void);
static const char *arg;

/* An attack returns 0 when it succeeded, else the errno that stopped it. */
static int result(long r)
{
        return r >= 0 ? 0 : errno;
}

/* In its own directory for such files, which is /tmp where there are namespaces. */
static const char *own(const char *name)
{
        static char path[2][512];
        static unsigned n;
        const char *dir = getenv("TMPDIR");
        n = !n;
        snprintf(path[n], sizeof path[n], "%s/%s", dir ? dir : "/tmp", name);
        return path[n];
}

static int try_open(const char *path, int flags)
{
        int fd = open(path, flags, 0644);
        char byte;
        if (fd < 0)
                return errno;
        return (flags & O_ACCMODE) == O_RDONLY ? result(read(fd, &byte, 1)) : 0;
}

/* --- files ------------------------------------------------------------------------------------ */
static int read_shadow(void)
{
        return try_open("/etc/shadow", O_RDONLY);
}
static int read_arg(void)
{
        return try_open(arg, O_RDONLY);
}
static int write_arg(void)
{
        return try_open(arg, O_WRONLY);
}
static int create_arg(void)
{
        return try_open(arg, O_WRONLY | O_CREAT | O_EXCL);
}
static int root_home(void)
{
        return try_open("/root", O_RDONLY | O_DIRECTORY);
}
static int proc_1_root(void)
{
        return try_open("/proc/1/root/etc/passwd", O_RDONLY);
}
static int proc_1_cwd(void)
{
        return try_open("/proc/1/cwd/etc/passwd", O_RDONLY);
}
static int proc_1_mem(void)
{
        return try_open("/proc/1/mem", O_RDWR);
}
static int proc_1_environ(void)
{
        return try_open("/proc/1/environ", O_RDONLY);
}
static int proc_1_fd(void)
{
        return try_open("/proc/1/fd/0", O_RDWR);
}
static int proc_1_ns(void)
{
        return try_open("/proc/1/ns/mnt", O_RDONLY);
}
static int proc_self_root(void)
{
        return try_open("/proc/self/root/../../../../etc/shadow", O_RDONLY);
}
static int dot_dot(void)
{
        return try_open("/workspace/../../../../../../../etc/shadow", O_RDONLY);
}
static int core_pattern(void)
{
        return try_open("/proc/sys/kernel/core_pattern", O_WRONLY);
}
static int sysrq(void)
{
        return try_open("/proc/sysrq-trigger", O_WRONLY);
}
static int kallsyms(void)
{
        return try_open("/proc/kallsyms", O_RDONLY);
}
static int kcore(void)
{
        return try_open("/proc/kcore", O_RDONLY);
}
static int release_agent(void)
{
        return try_open("/sys/fs/cgroup/memory/release_agent", O_WRONLY);
}
static int make_group(void)
{
        return result(mkdir("/sys/fs/cgroup/memory/x", 0755));
}
static int dev_mem(void)
{
        return try_open("/dev/mem", O_RDWR);
}
static int dev_kvm(void)
{
        return try_open("/dev/kvm", O_RDWR);
}
static int dev_disk(void)
{
        return try_open("/dev/vda", O_RDONLY);
}
static int dev_tty(void)
{
        return try_open("/dev/tty", O_RDWR);
}
static int dev_ptmx(void)
{
        return try_open("/dev/ptmx", O_RDWR);
}
static int write_usr(void)
{
        return try_open("/usr/bin/microvm-escape", O_WRONLY | O_CREAT);
}
static int write_root(void)
{
        return try_open("/microvm-escape", O_WRONLY | O_CREAT);
}
static int docker_socket(void)
{
        return try_open("/run/docker.sock", O_RDWR);
}

static int symlink_out(void)
{
        const char *link = own("link");
        if (symlink("/etc/shadow", link) < 0)
                return 0;
        return try_open(link, O_RDONLY);
}

static int hard_link(void)
{
        return result(link("/usr/bin/env", own("hard")));
}
static int hard_link_arg(void)
{
        return result(linkat(AT_FDCWD, arg, AT_FDCWD, own("hard"), 0));
}
static int rename_out(void)
{
        return result(rename("/usr/bin/env", own("env")));
}

static int block_device(void)
{
        return result(mknod(own("disk"), S_IFBLK | 0666, makedev(254, 0)));
}
static int by_handle(void)
{
        return result(syscall(SYS_open_by_handle_at, AT_FDCWD, environ, O_RDONLY));
}
static int name_handle(void)
{
        return result(syscall(SYS_name_to_handle_at, AT_FDCWD, "/", environ, environ, 0));
}

static int make_setuid(void)
{
        int fd = open(arg, O_WRONLY | O_CREAT, 0755);
        return fd < 0 ? errno : result(fchmod(fd, 04755));
}

static int make_setgid_dir(void)
{
        char path[512];
        snprintf(path, sizeof path, "%s.d", arg);
        if (mkdir(path, 0755) < 0)
                return errno;
        return result(chmod(path, 02755));
}

static int create_setuid(void)
{
        return result(open(arg, O_WRONLY | O_CREAT | O_EXCL, 04755));
}
static int other_owner(void)
{
        return result(chown(arg, 0, 0));
}

/* --- mounts, namespaces, identity ------------------------------------------------------------- */
static int remount(void)
{
        return result(mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL));
}
static int mount_proc(void)
{
        return result(mount("proc", "/tmp", "proc", 0, NULL));
}
static int umount_usr(void)
{
        return result(umount2("/usr", MNT_DETACH));
}
static int change_root(void)
{
        return result(chroot("/tmp"));
}
static int pivot(void)
{
        return result(syscall(SYS_pivot_root, ".", "."));
}
static int tree_open(void)
{
        return result(syscall(SYS_open_tree, AT_FDCWD, "/", 1));
}
static int fs_open(void)
{
        return result(syscall(SYS_fsopen, "tmpfs", 0));
}
static int attributes(void)
{
        return result(syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, environ, 32));
}
static int unshare_user(void)
{
        return result(unshare(CLONE_NEWUSER));
}
static int unshare_mount(void)
{
        return result(unshare(CLONE_NEWNS));
}
static int clone_user(void)
{
        long r = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
        if (r == 0)
                _exit(0);
        return result(r);
}
static int clone_3(void)
{
        uint64_t args[11] = { CLONE_NEWUSER, 0, 0, 0, SIGCHLD };
        long r = syscall(SYS_clone3, args, sizeof args);
        if (r == 0)
                _exit(0);
        return result(r);
}
static int set_ns(void)
{
        return result(setns(0, 0));
}
static int become_root(void)
{
        return result(setuid(0));
}
static int become_other(void)
{
        return result(setresuid(33, 33, 33));
}
static int set_groups(void)
{
        gid_t g = 0;
        return result(syscall(SYS_setgroups, 1, &g));
}
static int capabilities(void)
{
        struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
        struct __user_cap_data_struct sets[2];
        if (syscall(SYS_capget, &head, sets) < 0)
                return errno;
        if (sets[0].effective | sets[0].permitted | sets[0].inheritable | sets[1].permitted)
                return 0;
        sets[0].effective = sets[0].permitted = 1u << CAP_SYS_ADMIN;
        return result(syscall(SYS_capset, &head, sets));
}
static int setuid_binary(void) /* is there any left that would change our id? */
{
        pid_t pid = fork();
        int status;
        if (pid == 0) {
                execl("/usr/bin/su", "su", "-c", "id", NULL);
                _exit(126);
        }
        waitpid(pid, &status, 0);
        return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : EPERM;
}
static int host_name(void)
{
        return result(sethostname("evil", 4));
}

/* --- the host's processes and files, which have names where there are no namespaces ------------- */
static pid_t victim(void) /* arg: a process of the same user outside */
{
        return (pid_t)atoi(arg);
}
static int victim_file(const char *file, int flags)
{
        char path[64];
        snprintf(path, sizeof path, "/proc/%s/%s", arg, file);
        return try_open(path, flags);
}
static int host_environ(void)
{
        return victim_file("environ", O_RDONLY);
}
static int host_memory(void)
{
        return victim_file("mem", O_RDWR);
}
static int host_maps(void)
{
        return victim_file("maps", O_RDONLY);
}
static int host_command(void)
{
        return victim_file("cmdline", O_RDONLY);
}
static int host_root(void)
{
        return victim_file("root/etc/passwd", O_RDONLY);
}
static int host_cwd(void)
{
        return victim_file("cwd", O_RDONLY | O_DIRECTORY);
}
static int host_fd(void)
{
        return victim_file("fd/1", O_WRONLY);
}
static int host_links(void) /* what they lead to, without opening it */
{
        char path[64], to[256];
        struct stat st;
        snprintf(path, sizeof path, "/proc/%s/exe", arg);
        if (readlink(path, to, sizeof to) >= 0)
                return 0;
        snprintf(path, sizeof path, "/proc/%s/cwd/.", arg);
        return result(stat(path, &st));
}
static int host_score(void)
{
        return victim_file("oom_score_adj", O_WRONLY);
}
static int own_environ(void) /* of all of /proc there is nothing, or nothing but the cell's own */
{
        int fd = open("/proc/self/environ", O_RDONLY);
        return fd < 0 ? errno : ESRCH;
}
static int host_signal(void)
{
        return result(kill(victim(), SIGUSR1));
}
static int host_probe(void)
{
        return result(kill(victim(), 0));
}
static int host_thread_signal(void)
{
        return result(syscall(SYS_tgkill, victim(), victim(), SIGUSR1));
}
static int host_tkill(void)
{
        return result(syscall(SYS_tkill, victim(), SIGUSR1));
}
static int host_queue(void)
{
        union sigval v = { .sival_int = 1 };
        return result(sigqueue(victim(), SIGUSR1, v));
}
static int host_pidfd_signal(void)
{
        int fd = (int)syscall(SYS_pidfd_open, victim(), 0);
        return fd < 0 ? errno : result(syscall(SYS_pidfd_send_signal, fd, SIGUSR1, NULL, 0));
}
static int host_group_signal(void)
{
        return result(kill(-victim(), SIGUSR1));
}
static int parent_signal(void)
{
        pid_t parent = getppid();
        if (parent == 0 || (kill(parent, SIGUSR1) == 0 && parent == 1))
                return ESRCH; /* process 1 of its own namespace, whom it does not reach */
        return result(kill(parent, SIGUSR1));
}
static int owner_signal(void) /* who is told that a pipe can be read; nobody says whether it came */
{
        int pair[2];
        if (pipe(pair) < 0 || fcntl(pair[0], F_SETOWN, victim()) < 0)
                return errno;
        fcntl(pair[0], F_SETSIG, SIGUSR1);
        if (fcntl(pair[0], F_SETFL, O_ASYNC | O_NONBLOCK) < 0)
                return errno;
        (void)!write(pair[1], "x", 1);
        return ESRCH;
}
static int host_limit(void)
{
        struct rlimit l;
        return result(syscall(SYS_prlimit64, victim(), RLIMIT_NOFILE, NULL, &l));
}
static int host_nice(void)
{
        return result(setpriority(PRIO_PROCESS, (id_t)victim(), 19));
}
static int user_nice(void)
{
        return result(setpriority(PRIO_USER, getuid(), 19));
}
static int host_affinity(void)
{
        unsigned long one = 1;
        return result(syscall(SYS_sched_setaffinity, victim(), sizeof one, &one));
}
static int host_scheduler(void)
{
        struct sched_param p = { 0 };
        return result(syscall(SYS_sched_setscheduler, victim(), SCHED_BATCH, &p));
}
static int host_clock(void) /* how much CPU time it has used */
{
        struct timespec t;
        return result(syscall(SYS_clock_gettime, (~(clockid_t)victim() << 3) | 2, &t));
}
static int host_trace(void)
{
        return result(ptrace(PTRACE_SEIZE, victim(), 0, 0));
}
static int host_read(void)
{
        char buf[8];
        struct iovec to = { buf, sizeof buf }, from = { (void *)0x400000, sizeof buf };
        return result(process_vm_readv(victim(), &to, 1, &from, 1, 0));
}
static int host_robust_list(void)
{
        void *head;
        size_t len;
        return result(syscall(SYS_get_robust_list, victim(), &head, &len));
}
static int shared_memory(void)
{
        return result(syscall(SYS_shmget, 0x4d56, 4096, 0666 | 01000));
}
static int message_queue(void)
{
        return result(syscall(SYS_msgget, 0x4d56, 0666 | 01000));
}
static int semaphores(void)
{
        return result(syscall(SYS_semget, 0x4d56, 1, 0666 | 01000));
}
static int posix_queue(void)
{
        return result(syscall(SYS_mq_open, "microvm", O_RDWR | O_CREAT, 0600, NULL));
}
static int in_directory(const char *dir) /* a file made in it */
{
        char path[512];
        snprintf(path, sizeof path, "%s/microvm-escape-made", dir);
        int fd = open(path, O_WRONLY | O_CREAT, 0644);
        return fd < 0 ? errno : 0;
}
static int list_arg(void)
{
        int fd = open(arg, O_RDONLY | O_DIRECTORY);
        return fd < 0 ? errno : 0;
}
static int list_root(void)
{
        int fd = open("/", O_RDONLY | O_DIRECTORY);
        return fd < 0 ? errno : ESRCH; /* of its own */
}
static int write_tmp(void)
{
        return strcmp(own(""), "/tmp/") == 0 ? ESRCH : in_directory("/tmp");
}
static int write_shm(void)
{
        return strcmp(own(""), "/tmp/") == 0 ? ESRCH : in_directory("/dev/shm");
}
static int create_in_arg(void)
{
        return in_directory(arg);
}
static int make_dir_in_arg(void)
{
        char path[512];
        snprintf(path, sizeof path, "%s/microvm-escape-made", arg);
        return result(mkdir(path, 0755));
}
static int link_in_arg(void)
{
        char path[512];
        snprintf(path, sizeof path, "%s/microvm-escape-made", arg);
        return result(symlink("/etc/passwd", path));
}
static int mode_arg(void)
{
        return result(chmod(arg, 0777));
}
static int mode_at_arg(void)
{
        return result(syscall(SYS_fchmodat, AT_FDCWD, arg, 0777));
}
static int mode_at_2_arg(void)
{
        return result(syscall(452, AT_FDCWD, arg, 0777, 0));
}
static int mode_opened_arg(void)
{
        int fd = open(arg, O_RDONLY);
        return fd < 0 ? errno : result(fchmod(fd, 0777));
}
static int owner_arg(void)
{
        return result(chown(arg, getuid(), getgid()));
}
static int owner_at_arg(void)
{
        return result(fchownat(AT_FDCWD, arg, getuid(), getgid(), 0));
}
static int owner_link_arg(void)
{
        return result(lchown(arg, getuid(), getgid()));
}
static int times_arg(void)
{
        const struct timespec t[2] = { { 1, 0 }, { 1, 0 } };
        return result(utimensat(AT_FDCWD, arg, t, 0));
}
static int times_opened_arg(void)
{
        const struct timespec t[2] = { { 1, 0 }, { 1, 0 } };
        int fd = open(arg, O_RDONLY);
        return fd < 0 ? errno : result(syscall(SYS_utimensat, fd, NULL, t, 0));
}
static int times_empty_arg(void) /* a descriptor that was not opened for anything, and no name */
{
        const struct timespec t[2] = { { 1, 0 }, { 1, 0 } };
        int fd = open(arg, O_PATH);
        return fd < 0 ? errno : result(syscall(SYS_utimensat, fd, "", t, AT_EMPTY_PATH));
}
static int mode_path_arg(void)
{
        int fd = open(arg, O_PATH);
        return fd < 0 ? errno : result(fchmod(fd, 0777));
}
static int attribute_arg(void)
{
        return result(syscall(SYS_setxattr, arg, "user.x", "x", 1, 0));
}
static int attribute_read_arg(void)
{
        char buf[64];
        return result(syscall(SYS_listxattr, arg, buf, sizeof buf));
}
static int truncate_arg(void)
{
        return result(truncate(arg, 0));
}
static int truncate_open_arg(void)
{
        int fd = open(arg, O_RDONLY | O_TRUNC);
        return fd < 0 ? errno : 0;
}
static int rename_arg(void)
{
        return result(rename(arg, own("stolen")));
}
static int rename_beside_arg(void)
{
        char path[512];
        snprintf(path, sizeof path, "%s.moved", arg);
        return result(rename(arg, path));
}
static int exchange_arg(void)
{
        close(open(own("mine"), O_WRONLY | O_CREAT, 0644));
        return result(syscall(SYS_renameat2, AT_FDCWD, own("mine"), AT_FDCWD, arg, 2));
}
static int unlink_arg(void)
{
        return result(unlink(arg));
}
static int hard_link_path_arg(void)
{
        int fd = open(arg, O_PATH);
        return fd < 0 ? errno : result(linkat(fd, "", AT_FDCWD, own("hard"), AT_EMPTY_PATH));
}
static int reopen_arg(void) /* what was opened without any right, opened again with one */
{
        char path[64];
        int fd = open(arg, O_PATH);
        if (fd < 0)
                return errno;
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        return try_open(path, O_RDONLY);
}
static int execute_path_arg(void)
{
        char *const argv[] = { (char *)(uintptr_t) "x", NULL }, *const none[] = { NULL };
        int fd = open(arg, O_PATH);
        return fd < 0 ? errno : result(syscall(SYS_execveat, fd, "", argv, none, AT_EMPTY_PATH));
}
static int enter_arg(void) /* a directory one may go to, and what is in it by a short name */
{
        char path[512], *slash;
        snprintf(path, sizeof path, "%s", arg);
        if (!(slash = strrchr(path, '/')))
                return 0;
        *slash = 0;
        return chdir(path) < 0 ? errno : try_open(slash + 1, O_RDONLY);
}
static int watch_arg(void)
{
        int fd = inotify_init1(0);
        return fd < 0 ? errno : result(inotify_add_watch(fd, arg, IN_ALL_EVENTS));
}
static int unnamed_file(void) /* one that no look at a directory would find */
{
        const char *dir = own("");
        int fd = open(dir, O_TMPFILE | O_RDWR, 0600);
        return fd < 0 ? errno : strcmp(dir, "/tmp/") == 0 ? ESRCH : 0;
}
static int move_home(void) /* the directory that it was given, for another one */
{
        char path[512];
        const char *home = getenv("HOME");
        snprintf(path, sizeof path, "%s-moved", home ? home : "");
        return home ? result(rename(home, path)) : 0;
}
static int replace_input(void) /* the link is its own; what it leads to is not */
{
        char path[512];
        const char *home = getenv("HOME");
        snprintf(path, sizeof path, "%s/../input", home ? home : "");
        return home ? result(rmdir(path)) : 0;
}
static int fork_storm(void) /* daemons that never stand still: gone with the program all the same */
{
        for (int i = 0; i < 20; i++)
                if (fork() == 0) {
                        setsid();
                        for (;;)
                                if (fork() !=
                                    0) /* each lives for as long as it takes to make the next one */
                                        _exit(0);
                }
        usleep(100000);
        return ESRCH;
}
static int heir(void) /* orphans of its own, whom nobody else buries */
{
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
        daemon_left();
        return ESRCH;
}
static int sibling(void) /* a child of init's, beside this one */
{
        long pid = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
        if (pid == 0) {
                setsid();
                for (;;)
                        pause();
        }
        return ESRCH;
}
static int silent_child(void) /* its end tells nobody */
{
        long pid = syscall(SYS_clone, 0, 0, 0, 0, 0);
        if (pid == 0) {
                setsid();
                for (;;)
                        pause();
        }
        return ESRCH;
}
static int new_rules(void) /* Landlock of its own: it only takes away */
{
        const uint64_t scopes[3] = { 0, 0, 2 };
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        int fd = (int)syscall(444, scopes, sizeof scopes, 0);
        if (fd >= 0 && syscall(446, fd, 0) < 0) /* an older kernel has none for signals */
                return errno;
        return host_signal();
}

/* --- the kernel ------------------------------------------------------------------------------- */
static int trace_init(void)
{
        return result(ptrace(PTRACE_ATTACH, 1, 0, 0));
}
static int trace_me(void)
{
        return result(ptrace(PTRACE_TRACEME, 0, 0, 0));
}
static int vm_read(void)
{
        char buf[8];
        struct iovec to = { buf, sizeof buf }, from = { (void *)0x400000, sizeof buf };
        return result(process_vm_readv(1, &to, 1, &from, 1, 0));
}
static int key_ctl(void)
{
        return result(syscall(SYS_keyctl, 0, -3, 1));
}
static int key_add(void)
{
        return result(syscall(SYS_add_key, "user", "x", "y", 1, -3));
}
static int io_uring(void)
{
        return result(syscall(SYS_io_uring_setup, 8, environ));
}
static int bpf_call(void)
{
        return result(syscall(SYS_bpf, 0, environ, 64));
}
static int user_fault(void)
{
        return result(syscall(SYS_userfaultfd, O_CLOEXEC));
}
static int perf(void)
{
        return result(syscall(SYS_perf_event_open, environ, 0, -1, -1, 0));
}
static int module_load(void)
{
        return result(syscall(SYS_init_module, "", 0, ""));
}
static int kexec(void)
{
        return result(syscall(SYS_kexec_load, 0, 0, 0, 0));
}
static int reboot_now(void)
{
        return result(syscall(SYS_reboot, 0xfee1dead, 672274793, 0, 0));
}
static int set_time(void)
{
        struct timeval t = { 0, 0 };
        return result(syscall(SYS_settimeofday, &t, NULL));
}
static int set_clock(void)
{
        struct timespec t = { 0, 0 };
        return result(clock_settime(CLOCK_REALTIME, &t));
}
static int adjust_clock(void)
{
        struct timex t = { .modes = ADJ_FREQUENCY };
        return result(syscall(SYS_adjtimex, &t));
}
static int kernel_log(void)
{
        return result(syscall(SYS_syslog, 3, environ, 10));
}
static int swap(void)
{
        return result(syscall(SYS_swapon, "/tmp/x", 0));
}
static int personality_set(void)
{
        return result(syscall(SYS_personality, 0x0400000));
}
static int seccomp_more(void)
{
        return result(syscall(SYS_seccomp, 1, 0, environ));
}
static int pidfd_steal(void)
{
        return result(syscall(SYS_pidfd_getfd, 0, 0, 0));
}
static int raise_limit(void)
{
        struct rlimit l = { 1 << 20, 1 << 20 };
        return result(setrlimit(RLIMIT_NOFILE, &l));
}
static int nice_up(void)
{
        return result(setpriority(PRIO_PROCESS, 0, -10));
}
static int lock_memory(void)
{
        void *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return result(mlock(p, 1 << 20));
}
#if defined(__x86_64__)
static int other_abi(void) /* getpid of the 32-bit table */
{
        long r;
        __asm__ volatile("int $0x80" : "=a"(r) : "0"(20L) : "memory");
        return r > 0 ? 0 : (int)-r;
}
static int x32_abi(void)
{
        return result(syscall(0x40000000 | SYS_getpid));
}
static int ports(void)
{
        return result(syscall(SYS_iopl, 3));
}
static int segments(void)
{
        return result(syscall(SYS_modify_ldt, 0, environ, 16));
}
#endif

/* --- terminals, descriptors, environment ------------------------------------------------------ */
static int type_for_user(void)
{
        return result(ioctl(0, TIOCSTI, "x"));
}
static int console(void)
{
        return result(ioctl(0, 0x541c /* TIOCLINUX */, "\x02"));
}
static int descriptors(void)
{
        for (int fd = 3; fd < 1024; fd++)
                if (fcntl(fd, F_GETFD) >= 0)
                        return 0;
        return EBADF;
}
static int environment(void)
{
        for (char **e = environ; *e; e++)
                if (strstr(*e, "MV_SECRET"))
                        return 0;
        return ENOENT;
}
static int see_processes(void) /* nobody but init and this one, as far as numbers go */
{
        long last = strtol(arg, NULL, 10);
        if (last < 1000 || last > 1 << 22)
                return 0; /* an attack that looks at nobody finds nobody */
        for (pid_t pid = 3; pid < last; pid++)
                if (pid != getpid() && kill(pid, 0) == 0)
                        return 0;
        return ESRCH;
}
static int kill_init(void)
{
        if (kill(1, SIGKILL) < 0)
                return errno;
        usleep(50000);
        return ESRCH; /* still here: it had no effect */
}
static int stop_init(void)
{
        return kill(1, SIGSTOP) < 0 ? errno : ESRCH;
}
static int signal_all(void)
{
        signal(SIGTERM, SIG_IGN);
        return kill(-1, SIGTERM) < 0 ? errno : ESRCH;
}

/* --- network ---------------------------------------------------------------------------------- */
static int tcp(int family, const void *address, socklen_t len)
{
        int fd = socket(family, SOCK_STREAM, 0);
        return fd < 0 ? errno : result(connect(fd, address, len));
}
static int loopback(void)
{
        struct sockaddr_in a = { .sin_family = AF_INET,
                                 .sin_port = htons((uint16_t)atoi(arg)),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        return tcp(AF_INET, &a, sizeof a);
}
static int loopback_6(void)
{
        struct sockaddr_in6 a = { .sin6_family = AF_INET6,
                                  .sin6_port = htons(80),
                                  .sin6_addr = IN6ADDR_LOOPBACK_INIT };
        return tcp(AF_INET6, &a, sizeof a);
}
static int metadata(void)
{
        struct sockaddr_in a = { .sin_family = AF_INET,
                                 .sin_port = htons(80),
                                 .sin_addr.s_addr = htonl(0xa9fea9fe) };
        return tcp(AF_INET, &a, sizeof a);
}
static int dns(void)
{
        struct sockaddr_in a = { .sin_family = AF_INET,
                                 .sin_port = htons(53),
                                 .sin_addr.s_addr = htonl(0x08080808) };
        int fd = socket(AF_INET, SOCK_DGRAM, 0);
        return fd < 0 ? errno : result(sendto(fd, "x", 1, 0, (struct sockaddr *)&a, sizeof a));
}
/* --- the proxy, for a program that was granted 127.0.0.1 with the port in arg -------------------- */
static int proxy_connect(void)
{
        struct sockaddr_in a = { .sin_family = AF_INET,
                                 .sin_port = htons(3128),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        return fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0 ? fd : -1;
}

/* The status the proxy answers with, as the errno nearest to it; 0: it let us through. */
static int proxy_ask(const char *request, size_t len)
{
        char reply[16] = "";
        int fd = proxy_connect(), status = 0;
        if (fd < 0)
                return EHOSTDOWN;
        if (send(fd, request, len, MSG_NOSIGNAL) < 0 ||
            recv(fd, reply, sizeof reply - 1, MSG_WAITALL) <= 0)
                return ECONNRESET;
        sscanf(reply, "HTTP/1.1 %d", &status);
        return status == 200 ? 0 : status == 403 ? EACCES : status == 400 ? EINVAL : EBADMSG;
}
static int proxy_format(const char *format, const char *a, const char *b)
{
        char text[1024];
        return proxy_ask(text, (size_t)snprintf(text, sizeof text, format, a, b));
}
/* NAME:PORT in several spellings; the first that gets through is the result. */
static int proxy_each(const char *const *names, size_t count)
{
        int error = 0;
        for (size_t i = 0; i < count; i++) {
                error = proxy_format("CONNECT %s:%s HTTP/1.1\r\n\r\n", names[i], arg);
                if (error != EACCES && error != EINVAL)
                        break;
        }
        return error;
}
static int proxy_works(void) /* what was granted; the others prove nothing without it */
{
        return proxy_format("CONNECT 127.0.0.1:%s HTTP/1.1\r\n\r\n%s", arg, "") ? EHOSTDOWN
                                                                                : EALREADY;
}
static int proxy_other_host(void)
{
        static const char *const names[] = { "example.com", "[2001:4860:4860::8888]", "8.8.8.8" };
        return proxy_each(names, 3);
}
static int proxy_other_port(void)
{
        return proxy_format("CONNECT 127.0.0.1:%s HTTP/1.1\r\n\r\n%s", "22", "");
}
static int proxy_inside(void)
{
        static const char *const names[] = { "10.0.0.1",           "192.168.0.1",
                                             "169.254.169.254",    "[::1]",
                                             "[::ffff:127.0.0.2]", "[fe80::1]",
                                             "[fd00:ec2::254]",    "0.0.0.0",
                                             "127.0.0.2",          "[64:ff9b::a9fe:a9fe]" };
        return proxy_each(names, 10);
}
static int proxy_spelling(void)
{
        static const char *const names[] = {
                "127.0.0.1.example.com", "2130706433",        "0x7f.1",     "127.1",
                "127.0.0.1%00.example",  "127.0.0.1@8.8.8.8", "localhost.", "x\\127.0.0.1"
        };
        return proxy_each(names, 8);
}
static int proxy_nul(void)
{
        char text[] = "CONNECT 127.0.0.1\0.example.com:80 HTTP/1.1\r\n\r\n";
        return proxy_ask(text, sizeof text - 1);
}
static int proxy_rebind(void) /* a name that leads to loopback; the address alone was granted */
{
        return proxy_format("CONNECT localhost:%s HTTP/1.1\r\n\r\n%s", arg, "");
}
static int proxy_smuggle(void)
{
        return proxy_format("GET http://127.0.0.1:%s/ HTTP/1.1\r\n\r\n"
                            "CONNECT 8.8.8.8:53 HTTP/1.1\r\n\r\n%s",
                            arg, "");
}
static int proxy_authority(void) /* two hosts in one target */
{
        return proxy_format("GET http://127.0.0.1:%s@8.8.8.8/ HTTP/1.1\r\nHost: %s\r\n\r\n", arg,
                            "8.8.8.8");
}
static int proxy_scheme(void)
{
        return proxy_format("GET file:///etc/shadow HTTP/1.1\r\nHost: %s\r\n\r\n%s", arg, "");
}
static int proxy_direct(void) /* past it */
{
        return loopback();
}
static int proxy_steal(void) /* its port, for the next one who connects */
{
        struct sockaddr_in a = { .sin_family = AF_INET,
                                 .sin_port = htons(3128),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        return fd < 0 ? errno : result(bind(fd, (struct sockaddr *)&a, sizeof a));
}
static int interface_change(void)
{
        char request[64] = "lo"; /* struct ifreq: no flags, so down */
        int fd = socket(AF_INET, SOCK_DGRAM, 0);
        return fd < 0 ? errno : result(ioctl(fd, 0x8914 /* SIOCSIFFLAGS */, request));
}
static int proxy_flood(void) /* more connections than there are places, all of them silent */
{
        int fds[100], n = 0;
        while (n < 100 && (fds[n] = proxy_connect()) >= 0)
                n++;
        for (int i = 0; i < n; i++)
                close(fds[i]);
        return proxy_works();
}

static int local(const char *name, bool abstract)
{
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        if (fd < 0)
                return errno;
        snprintf(a.sun_path + abstract, sizeof a.sun_path - abstract, "%s", name);
        socklen_t len =
                (socklen_t)(offsetof(struct sockaddr_un, sun_path) + abstract + strlen(name));
        return result(connect(fd, (struct sockaddr *)&a, abstract ? len : sizeof a));
}
static int abstract_socket(void)
{
        return local(arg, true);
}
static int path_socket(void)
{
        return local(arg, false);
}
static int pair_socket(void) /* a datagram socket of a pair can be connected to a socket file */
{
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        int pair[2];
        if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) < 0)
                return errno;
        snprintf(a.sun_path, sizeof a.sun_path, "%s", arg);
        return result(connect(pair[0], (struct sockaddr *)&a, sizeof a));
}
static int pair_raw(void)
{
        int pair[2];
        return result(socketpair(AF_UNIX, SOCK_RAW, 0, pair));
}
static int pair_stream(void)
{
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        int pair[2];
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
                return errno;
        snprintf(a.sun_path, sizeof a.sun_path, "%s", arg);
        return result(connect(pair[0], (struct sockaddr *)&a, sizeof a));
}
static int pair_other(void) /* of a family that is a network, and makes pairs */
{
        int pair[2];
        return result(socketpair(30 /* AF_TIPC */, SOCK_STREAM, 0, pair));
}
static int raw_socket(void)
{
        return result(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
}
static int packet_socket(void)
{
        return result(socket(AF_PACKET, SOCK_DGRAM, 0));
}
static int netlink_socket(void)
{
        return result(socket(AF_NETLINK, SOCK_DGRAM, 0));
}
static int vsock(void)
{
        return result(socket(40 /* AF_VSOCK */, SOCK_STREAM, 0));
}
static int alg(void)
{
        return result(socket(38 /* AF_ALG */, SOCK_SEQPACKET, 0));
}

/* --- resources: these end themselves, or are ended -------------------------------------------- */
static int fork_bomb(void)
{
        for (int i = 0; i < 5000; i++) {
                pid_t pid = fork();
                if (pid < 0)
                        return errno;
                if (pid == 0) {
                        pause();
                        _exit(0);
                }
        }
        return 0;
}
static int memory_bomb(void)
{
        for (int i = 0; i < 1024; i++) {
                char *p = mmap(NULL, 4 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                               -1, 0);
                if (p == MAP_FAILED)
                        return errno;
                memset(p, 1, 4 << 20);
        }
        return 0;
}
static int use_32_mib(void)
{
        char *p = mmap(NULL, 32 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
                return errno;
        memset(p, 1, 32 << 20);
        usleep(100000); /* so that it is seen where memory is looked at now and then */
        return ESRCH;
}
static int deeper(volatile char *above)
{
        volatile char here[4096];
        here[0] = above[0];
        return above[0] < 0 ? here[0] : deeper(here) + here[0];
}
static int stack_overflow(void)
{
        char top = 1;
        return deeper(&top);
}
static int memory_bomb_family(void)
{
        for (int i = 0; i < 16; i++)
                if (fork() == 0) {
                        char *p = mmap(NULL, 8 << 20, PROT_READ | PROT_WRITE,
                                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
                        if (p != MAP_FAILED)
                                memset(p, 1, 8 << 20);
                        pause();
                }
        sleep(20);
        return 0;
}
/* The first thread ends and the others go on: what is asked of the process is then asked of nobody. */
static int without_leader(int (*rest)(void *))
{
        const size_t stack = 1 << 18;
        char *top = mmap(NULL, stack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (top == MAP_FAILED ||
            clone(rest, top + stack,
                  CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM,
                  NULL) < 0)
                return errno;
        syscall(SYS_exit, 0);
        return 0;
}
static int take_8_mib(void *unused)
{
        char *p = mmap(NULL, 8 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        for (size_t i = 0; p != MAP_FAILED && i < 8 << 20; i += 4096)
                p[i] = 1;
        while (p)
                syscall(SYS_pause);
        return 0;
}
static int memory_bomb_headless(void)
{
        for (int i = 0; i < 16; i++)
                if (fork() == 0)
                        _exit(without_leader(take_8_mib));
        sleep(10);
        return 0;
}
static int descriptor_bomb(void)
{
        for (int i = 0; i < 1 << 20; i++)
                if (dup(0) < 0)
                        return errno;
        return 0;
}
static int fill(const char *path)
{
        static char block[1 << 16];
        int fd = open(path, O_WRONLY | O_CREAT, 0644);
        for (int i = 0; fd >= 0 && i < 1 << 16; i++)
                if (write(fd, block, sizeof block) < 0)
                        return errno;
        return fd < 0 ? errno : 0;
}
static int disk_fill(void)
{
        signal(SIGXFSZ, SIG_IGN);
        return fill(own("fill"));
}
static int file_size(void) /* larger than a file may be, without a byte of it written */
{
        int fd = open(own("large"), O_WRONLY | O_CREAT, 0644);
        return fd < 0 ? errno : result(pwrite(fd, "x", 1, 256 << 20));
}
static int file_size_caught(void)
{
        signal(SIGXFSZ, SIG_IGN);
        return file_size();
}
static int grant_fill(void)
{
        signal(SIGXFSZ, SIG_IGN);
        return fill(arg);
}
static int inode_fill(void)
{
        char path[64];
        for (int i = 0; i < 100000; i++) {
                snprintf(path, sizeof path, "f%d", i);
                int fd = open(own(path), O_WRONLY | O_CREAT, 0644);
                if (fd < 0)
                        return errno;
                close(fd);
        }
        return 0;
}
static int memory_file(void) /* counts against the group like everything else */
{
        int fd = memfd_create("x", 0);
        static char block[1 << 20];
        for (int i = 0; fd >= 0 && i < 1024; i++)
                if (write(fd, block, sizeof block) < 0)
                        return errno;
        return fd < 0 ? errno : 0;
}
static int output_flood(void)
{
        static char block[1 << 16];
        memset(block, 'x', sizeof block);
        for (;;)
                if (write(1, block, sizeof block) < 0)
                        return errno;
}
static int daemon_left(void)
{
        if (fork() == 0) {
                setsid();
                if (fork() == 0) {
                        signal(SIGTERM, SIG_IGN);
                        signal(SIGHUP, SIG_IGN);
                        for (;;)
                                pause();
                }
                _exit(0);
        }
        usleep(20000);
        return ESRCH;
}
static int zombies(void)
{
        for (int i = 0; i < 300;
             i++) { /* three times what may exist at once: init must reap the orphans */
                pid_t pid = fork();
                if (pid < 0) {
                        usleep(2000);
                        continue;
                }
                if (pid == 0) {
                        if (fork() == 0)
                                _exit(0);
                        _exit(0);
                }
                waitpid(pid, NULL, 0);
        }
        pid_t pid = fork();
        if (pid == 0)
                _exit(0);
        return pid > 0 ? ESRCH : 0;
}
static int stop_self(void)
{
        kill(getpid(), SIGSTOP);
        return 0;
}
static volatile bool going = true;
static int spin(void)
{
        while (going)
                ;
        return 0;
}
static int ignore_term(void)
{
        signal(SIGTERM, SIG_IGN);
        return spin();
}

#define A(name)                                                                                    \
        {                                                                                          \
#name, name                                                                        \
        }
static const struct {
        const char *name;
        int (*run)(void);
} attacks[] = {
        A(read_shadow),
        A(read_arg),
        A(write_arg),
        A(create_arg),
        A(root_home),
        A(host_environ),
        A(host_memory),
        A(host_maps),
        A(host_command),
        A(host_root),
        A(host_cwd),
        A(host_fd),
        A(host_score),
        A(host_links),
        A(pair_other),
        A(own_environ),
        A(host_signal),
        A(host_probe),
        A(host_thread_signal),
        A(host_tkill),
        A(host_queue),
        A(host_pidfd_signal),
        A(host_group_signal),
        A(parent_signal),
        A(owner_signal),
        A(host_limit),
        A(host_nice),
        A(user_nice),
        A(host_affinity),
        A(host_scheduler),
        A(host_clock),
        A(host_trace),
        A(host_read),
        A(host_robust_list),
        A(shared_memory),
        A(message_queue),
        A(semaphores),
        A(posix_queue),
        A(list_arg),
        A(list_root),
        A(write_tmp),
        A(write_shm),
        A(create_in_arg),
        A(make_dir_in_arg),
        A(link_in_arg),
        A(mode_arg),
        A(mode_at_arg),
        A(mode_at_2_arg),
        A(mode_opened_arg),
        A(mode_path_arg),
        A(owner_arg),
        A(owner_at_arg),
        A(owner_link_arg),
        A(times_arg),
        A(times_opened_arg),
        A(times_empty_arg),
        A(attribute_arg),
        A(attribute_read_arg),
        A(truncate_arg),
        A(truncate_open_arg),
        A(rename_arg),
        A(rename_beside_arg),
        A(exchange_arg),
        A(unlink_arg),
        A(hard_link_path_arg),
        A(reopen_arg),
        A(execute_path_arg),
        A(enter_arg),
        A(watch_arg),
        A(unnamed_file),
        A(move_home),
        A(replace_input),
        A(fork_storm),
        A(heir),
        A(sibling),
        A(silent_child),
        A(new_rules),
        A(proc_1_root),
        A(proc_1_cwd),
        A(proc_1_mem),
        A(proc_1_environ),
        A(proc_1_fd),
        A(proc_1_ns),
        A(proc_self_root),
        A(dot_dot),
        A(core_pattern),
        A(sysrq),
        A(kallsyms),
        A(kcore),
        A(release_agent),
        A(make_group),
        A(dev_mem),
        A(dev_kvm),
        A(dev_disk),
        A(dev_tty),
        A(dev_ptmx),
        A(write_usr),
        A(write_root),
        A(docker_socket),
        A(symlink_out),
        A(hard_link),
        A(hard_link_arg),
        A(rename_out),
        A(block_device),
        A(by_handle),
        A(name_handle),
        A(make_setuid),
        A(make_setgid_dir),
        A(create_setuid),
        A(other_owner),
        A(remount),
        A(mount_proc),
        A(umount_usr),
        A(change_root),
        A(pivot),
        A(tree_open),
        A(fs_open),
        A(attributes),
        A(unshare_user),
        A(unshare_mount),
        A(clone_user),
        A(clone_3),
        A(set_ns),
        A(become_root),
        A(become_other),
        A(set_groups),
        A(capabilities),
        A(setuid_binary),
        A(host_name),
        A(trace_init),
        A(trace_me),
        A(vm_read),
        A(key_ctl),
        A(key_add),
        A(io_uring),
        A(bpf_call),
        A(user_fault),
        A(perf),
        A(module_load),
        A(kexec),
        A(reboot_now),
        A(set_time),
        A(set_clock),
        A(adjust_clock),
        A(kernel_log),
        A(swap),
        A(personality_set),
        A(seccomp_more),
        A(pidfd_steal),
        A(raise_limit),
        A(nice_up),
        A(lock_memory),
#if defined(__x86_64__)
        A(other_abi),
        A(x32_abi),
        A(ports),
        A(segments),
#endif
        A(type_for_user),
        A(console),
        A(descriptors),
        A(environment),
        A(see_processes),
        A(kill_init),
        A(stop_init),
        A(signal_all),
        A(loopback),
        A(loopback_6),
        A(metadata),
        A(proxy_works),
        A(proxy_other_host),
        A(proxy_other_port),
        A(proxy_inside),
        A(proxy_spelling),
        A(proxy_nul),
        A(proxy_rebind),
        A(proxy_smuggle),
        A(proxy_authority),
        A(proxy_scheme),
        A(proxy_direct),
        A(proxy_steal),
        A(interface_change),
        A(proxy_flood),
        A(dns),
        A(abstract_socket),
        A(path_socket),
        A(pair_socket),
        A(pair_raw),
        A(pair_stream),
        A(raw_socket),
        A(packet_socket),
        A(netlink_socket),
        A(vsock),
        A(alg),
        A(fork_bomb),
        A(memory_bomb),
        A(memory_bomb_family),
        A(memory_bomb_headless),
        A(use_32_mib),
        A(stack_overflow),
        A(descriptor_bomb),
        A(disk_fill),
        A(grant_fill),
        A(file_size),
        A(file_size_caught),
        A(inode_fill),
        A(memory_file),
        A(output_flood),
        A(daemon_left),
        A(zombies),
        A(stop_self),
        A(ignore_term),
        A(spin),
};

int main(int argc, char **argv)
{
        arg = argc > 2 ? argv[2] : "";
        for (size_t i = 0; argc > 1 && i < sizeof attacks / sizeof attacks[0]; i++) {
                if (strcmp(attacks[i].name, argv[1]) != 0)
                        continue;
                int error = attacks[i].run();
                printf("%s: %s%s\n", argv[1], error ? "refused " : "SUCCEEDED",
                       error ? strerrorname_np(error) : "");
                return 0;
        }
        printf("no such attack\n");
        return 2;
}
