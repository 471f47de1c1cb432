/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/program_filter.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#error "the seccomp filter knows x86-64 and aarch64"
#endif
#define ABI_BIT 0x40000000u /* x32 */
/* Newer than the headers this may be built with; numbers above 424 are the same everywhere. */
#define NR_EPOLL_PWAIT2 441
#define NR_FUTEX_WAITV  449
#define NR_FCHMODAT2    452

#define LOAD(field)                                                                                \
        (struct sock_filter)                                                                       \
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define JUMP(test, value, yes, no)                                                                 \
        (struct sock_filter) BPF_JUMP(BPF_JMP | (test) | BPF_K, (uint32_t)(value), yes, no)
#define ANSWER(value) (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, value)
#define FAIL(error)   ANSWER(SECCOMP_RET_ERRNO | (error))

static const short allowed[] = {
        /* files */
        SYS_read,
        SYS_write,
        SYS_close,
        SYS_fstat,
        SYS_lseek,
        SYS_pread64,
        SYS_pwrite64,
        SYS_readv,
        SYS_writev,
        SYS_preadv,
        SYS_pwritev,
        SYS_preadv2,
        SYS_pwritev2,
        SYS_openat,
        SYS_close_range,
        SYS_dup,
        SYS_dup3,
        SYS_fcntl,
        SYS_flock,
        SYS_fsync,
        SYS_fdatasync,
        SYS_sync_file_range,
        SYS_truncate,
        SYS_ftruncate,
        SYS_fallocate,
        SYS_fadvise64,
        SYS_getdents64,
        SYS_getcwd,
        SYS_chdir,
        SYS_fchdir,
        SYS_mkdirat,
        SYS_mknodat,
        SYS_unlinkat,
        SYS_renameat2,
        SYS_linkat,
        SYS_symlinkat,
        SYS_readlinkat,
        SYS_fchmod,
        SYS_fchmodat,
        NR_FCHMODAT2,
        SYS_fchown,
        SYS_fchownat,
        SYS_faccessat,
        SYS_faccessat2,
        SYS_newfstatat,
        SYS_statx,
        SYS_statfs,
        SYS_fstatfs,
        SYS_utimensat,
        SYS_umask,
        SYS_getxattr,
        SYS_lgetxattr,
        SYS_fgetxattr,
        SYS_listxattr,
        SYS_llistxattr,
        SYS_flistxattr,
        SYS_setxattr,
        SYS_lsetxattr,
        SYS_fsetxattr,
        SYS_removexattr,
        SYS_lremovexattr,
        SYS_fremovexattr,
        SYS_readahead,
        SYS_sendfile,
        SYS_splice,
        SYS_tee,
        SYS_copy_file_range,
        SYS_inotify_init1,
        SYS_inotify_add_watch,
        SYS_inotify_rm_watch,
        /* memory */
        SYS_mmap,
        SYS_mprotect,
        SYS_munmap,
        SYS_brk,
        SYS_mremap,
        SYS_msync,
        SYS_mincore,
        SYS_madvise,
        SYS_mlock,
        SYS_mlock2,
        SYS_munlock,
        SYS_memfd_create,
        SYS_membarrier,
        SYS_get_mempolicy,
        /* signals, time */
        SYS_rt_sigaction,
        SYS_rt_sigprocmask,
        SYS_rt_sigreturn,
        SYS_rt_sigpending,
        SYS_rt_sigtimedwait,
        SYS_rt_sigqueueinfo,
        SYS_rt_sigsuspend,
        SYS_rt_tgsigqueueinfo,
        SYS_sigaltstack,
        SYS_kill,
        SYS_tkill,
        SYS_tgkill,
        SYS_restart_syscall,
        SYS_nanosleep,
        SYS_clock_nanosleep,
        SYS_clock_gettime,
        SYS_clock_getres,
        SYS_gettimeofday,
        SYS_getitimer,
        SYS_setitimer,
        SYS_timer_create,
        SYS_timer_settime,
        SYS_timer_gettime,
        SYS_timer_getoverrun,
        SYS_timer_delete,
        SYS_timerfd_create,
        SYS_timerfd_settime,
        SYS_timerfd_gettime,
        SYS_signalfd4,
        SYS_times,
        /* waiting */
        SYS_ppoll,
        SYS_pselect6,
        SYS_epoll_create1,
        SYS_epoll_ctl,
        SYS_epoll_pwait,
        NR_EPOLL_PWAIT2,
        SYS_eventfd2,
        SYS_pipe2,
        SYS_futex,
        NR_FUTEX_WAITV,
        SYS_set_robust_list,
        SYS_get_robust_list,
        /* processes and threads */
        SYS_execve,
        SYS_execveat,
        SYS_exit,
        SYS_exit_group,
        SYS_wait4,
        SYS_waitid,
        SYS_getpid,
        SYS_gettid,
        SYS_getppid,
        SYS_getpgid,
        SYS_setpgid,
        SYS_getsid,
        SYS_setsid,
        SYS_set_tid_address,
        SYS_rseq,
        SYS_pidfd_open,
        SYS_pidfd_send_signal,
        SYS_sched_yield,
        SYS_sched_getaffinity,
        SYS_sched_setaffinity,
        SYS_sched_getparam,
        SYS_sched_getscheduler,
        SYS_sched_setscheduler,
        SYS_sched_get_priority_max,
        SYS_sched_get_priority_min,
        SYS_sched_getattr,
        SYS_getpriority,
        SYS_setpriority,
        SYS_getrlimit,
        SYS_setrlimit,
        SYS_prlimit64,
        SYS_getrusage,
        SYS_getcpu,
        SYS_getrandom,
        SYS_uname,
        SYS_sysinfo,
        SYS_capget,
        SYS_capset,
        SYS_landlock_create_ruleset,
        SYS_landlock_add_rule,
        SYS_landlock_restrict_self,
        SYS_getuid,
        SYS_geteuid,
        SYS_getgid,
        SYS_getegid,
        SYS_getgroups,
        SYS_getresuid,
        SYS_getresgid,
        SYS_setuid,
        SYS_setgid,
        SYS_setreuid,
        SYS_setregid,
        SYS_setresuid,
        SYS_setresgid,
        SYS_setfsuid,
        SYS_setfsgid,
        /* sockets; socket itself is below */
        SYS_bind,
        SYS_listen,
        SYS_accept,
        SYS_accept4,
        SYS_connect,
        SYS_getsockname,
        SYS_getpeername,
        SYS_sendto,
        SYS_recvfrom,
        SYS_sendmsg,
        SYS_recvmsg,
        SYS_sendmmsg,
        SYS_recvmmsg,
        SYS_shutdown,
        SYS_setsockopt,
        SYS_getsockopt,
#ifdef SYS_open /* the older forms, which newer architectures never had */
        SYS_open,
        SYS_creat,
        SYS_stat,
        SYS_lstat,
        SYS_access,
        SYS_dup2,
        SYS_getdents,
        SYS_rename,
        SYS_renameat,
        SYS_mkdir,
        SYS_rmdir,
        SYS_link,
        SYS_unlink,
        SYS_symlink,
        SYS_readlink,
        SYS_chmod,
        SYS_chown,
        SYS_lchown,
        SYS_mknod,
        SYS_utime,
        SYS_utimes,
        SYS_futimesat,
        SYS_poll,
        SYS_select,
        SYS_epoll_create,
        SYS_epoll_wait,
        SYS_eventfd,
        SYS_signalfd,
        SYS_pipe,
        SYS_fork,
        SYS_vfork,
        SYS_getpgrp,
        SYS_alarm,
        SYS_pause,
        SYS_time,
        SYS_arch_prctl,
        SYS_inotify_init,
#endif
};

/* (6): what the runtime of a module asks for, and what executes it. */
static const short allowed_module[] = {
        SYS_read,
        SYS_write,
        SYS_close,
        SYS_fstat,
        SYS_lseek,
        SYS_pread64,
        SYS_pwrite64,
        SYS_openat,
        SYS_fcntl,
        SYS_fsync,
        SYS_fdatasync,
        SYS_ftruncate,
        SYS_fallocate,
        SYS_getdents64,
        SYS_chdir,
        SYS_mkdirat,
        SYS_unlinkat,
        SYS_renameat2,
        SYS_linkat,
        SYS_symlinkat,
        SYS_readlinkat,
        SYS_newfstatat,
        SYS_mmap,
        SYS_mprotect,
        SYS_munmap,
        SYS_brk,
        SYS_mremap,
        SYS_madvise,
        SYS_rt_sigaction,
        SYS_rt_sigprocmask,
        SYS_rt_sigreturn,
        SYS_sigaltstack,
        SYS_restart_syscall,
        SYS_nanosleep,
        SYS_clock_nanosleep,
        SYS_execve,
        SYS_exit,
        SYS_exit_group,
        SYS_set_tid_address,
        SYS_getrlimit,
        SYS_setrlimit,
        SYS_prlimit64,
#ifdef SYS_open
        SYS_open,
        SYS_lstat,
        SYS_renameat,
        SYS_arch_prctl,
#endif
};

/* (1): these exist, and are not for programs. */
static const short refused[] = {
        SYS_mount,
        SYS_umount2,
        SYS_pivot_root,
        SYS_chroot,
        SYS_setns,
        SYS_unshare,
        SYS_ptrace,
        SYS_process_vm_readv,
        SYS_process_vm_writev,
        SYS_kcmp,
        SYS_keyctl,
        SYS_add_key,
        SYS_request_key,
        SYS_bpf,
        SYS_userfaultfd,
        SYS_perf_event_open,
        SYS_io_uring_setup,
        SYS_io_uring_enter,
        SYS_io_uring_register,
        SYS_init_module,
        SYS_finit_module,
        SYS_delete_module,
        SYS_kexec_load,
        SYS_reboot,
        SYS_swapon,
        SYS_swapoff,
        SYS_settimeofday,
        SYS_clock_settime,
        SYS_clock_adjtime,
        SYS_adjtimex,
        SYS_sethostname,
        SYS_setdomainname,
        SYS_setgroups,
        SYS_acct,
        SYS_quotactl,
        SYS_syslog,
        SYS_open_by_handle_at,
        SYS_name_to_handle_at,
        SYS_fanotify_init,
        SYS_open_tree,
        SYS_move_mount,
        SYS_fsopen,
        SYS_fsconfig,
        SYS_fsmount,
        SYS_fspick,
        SYS_mount_setattr,
        SYS_pidfd_getfd,
        SYS_seccomp,
        SYS_personality,
        SYS_vhangup,
        SYS_migrate_pages,
        SYS_move_pages,
        SYS_vmsplice,
        SYS_process_madvise,
        SYS_memfd_secret,
#ifdef SYS_iopl
        SYS_iopl,
        SYS_ioperm,
        SYS_modify_ldt,
#endif
};

static void put(struct mv_sys_program_filter *f, struct sock_filter one)
{
        assert(f->len < MV_SYS_PROGRAM_FILTER_MAX);
        f->code[f->len++] = one;
}

/* `head` when the number is nr, then value by value of one argument. */
static void choose(struct mv_sys_program_filter *f, long nr, unsigned argument,
                   const uint32_t *values, unsigned count, int otherwise)
{
        put(f, JUMP(BPF_JEQ, nr, 0, 2 * count + 2));
        put(f, (struct sock_filter)BPF_STMT(
                       BPF_LD | BPF_W | BPF_ABS,
                       (uint32_t)(offsetof(struct seccomp_data, args) + 8 * argument)));
        for (unsigned i = 0; i < count; i++) {
                put(f, JUMP(BPF_JEQ, values[i], 0, 1));
                put(f, ANSWER(SECCOMP_RET_ALLOW));
        }
        put(f, FAIL((uint32_t)otherwise));
}

static void put_clone(struct mv_sys_program_filter *f) /* (3) */
{
        const uint32_t namespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                    CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
        put(f, JUMP(BPF_JEQ, SYS_clone, 0, 4));
        put(f, LOAD(args[0]));
        put(f, JUMP(BPF_JSET, namespaces, 0, 1));
        put(f, FAIL(EPERM));
        put(f, ANSWER(SECCOMP_RET_ALLOW));
}

static void put_socket(struct mv_sys_program_filter *f, bool local) /* (4) */
{
        put(f, JUMP(BPF_JEQ, SYS_socket, 0, 12));
        put(f, LOAD(args[0]));
        put(f, JUMP(BPF_JEQ, AF_INET, 3, 0));
        put(f, JUMP(BPF_JEQ, AF_INET6, 2, 0));
        put(f, JUMP(BPF_JEQ, local ? AF_UNIX : AF_INET, 1, 0));
        put(f, FAIL(EAFNOSUPPORT));
        put(f, LOAD(args[1]));
        put(f,
            (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xf)); /* without its flags */
        put(f, JUMP(BPF_JEQ, SOCK_STREAM, 3, 0));
        put(f, JUMP(BPF_JEQ, SOCK_DGRAM, 2, 0));
        put(f, JUMP(BPF_JEQ, SOCK_SEQPACKET, 1, 0));
        put(f, FAIL(EPERM));
        put(f, ANSWER(SECCOMP_RET_ALLOW));
}

/* A datagram socket of a pair may be connected anew, to any socket file. Other families that make pairs (TIPC) are networks. */
static void put_socketpair(struct mv_sys_program_filter *f, bool local)
{
        put(f, JUMP(BPF_JEQ, SYS_socketpair, 0, 10));
        put(f, LOAD(args[0]));
        put(f, JUMP(BPF_JEQ, AF_UNIX, 1, 0));
        put(f, FAIL(EAFNOSUPPORT));
        put(f, LOAD(args[1]));
        put(f, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xf));
        put(f, JUMP(BPF_JEQ, SOCK_STREAM, 3, 0));
        put(f, JUMP(BPF_JEQ, SOCK_SEQPACKET, 2, 0));
        put(f, JUMP(BPF_JEQ, local ? SOCK_DGRAM : SOCK_STREAM, 1, 0));
        put(f, FAIL(EPERM));
        put(f, ANSWER(SECCOMP_RET_ALLOW));
}

static void put_arguments(struct mv_sys_program_filter *f)
{
        static const uint32_t requests[] = { 0x5401 /* TCGETS */,
                                             0x5413 /* TIOCGWINSZ */,
                                             0x541b /* FIONREAD */,
                                             0x5421 /* FIONBIO */,
                                             0x5450 /* FIONCLEX */,
                                             0x5451 /* FIOCLEX */,
                                             0x540f /* TIOCGPGRP */ };
        static const uint32_t own[] = { PR_SET_NAME,
                                        PR_GET_NAME,
                                        PR_SET_PDEATHSIG,
                                        PR_GET_PDEATHSIG,
                                        PR_GET_DUMPABLE,
                                        PR_SET_DUMPABLE,
                                        PR_GET_NO_NEW_PRIVS,
                                        PR_SET_NO_NEW_PRIVS,
                                        PR_CAPBSET_READ,
                                        PR_SET_TIMERSLACK,
                                        PR_GET_TIMERSLACK,
                                        PR_SET_CHILD_SUBREAPER,
                                        PR_GET_CHILD_SUBREAPER,
                                        0x53564d41 /* PR_SET_VMA */ };
        choose(f, SYS_ioctl, 1, requests, sizeof requests / sizeof requests[0], ENOTTY);
        choose(f, SYS_prctl, 0, own, sizeof own / sizeof own[0], EPERM);
}

/* EPERM when the argument has one of these bits. */
static void put_bits(struct mv_sys_program_filter *f, long nr, unsigned argument, uint32_t bits)
{
        put(f, JUMP(BPF_JEQ, nr, 0, 4));
        put(f, (struct sock_filter)BPF_STMT(
                       BPF_LD | BPF_W | BPF_ABS,
                       (uint32_t)(offsetof(struct seccomp_data, args) + 8 * argument)));
        put(f, JUMP(BPF_JSET, bits, 0, 1));
        put(f, FAIL(EPERM));
        put(f, ANSWER(SECCOMP_RET_ALLOW));
}

static void put_mode(struct mv_sys_program_filter *f, long nr, unsigned argument) /* (5) */
{
        put_bits(f, nr, argument, S_ISUID | S_ISGID);
}

static void put_modes(struct mv_sys_program_filter *f)
{
        put_mode(f, SYS_fchmod, 1);
        put_mode(f, SYS_fchmodat, 2);
        put_mode(f, NR_FCHMODAT2, 2);
        put_mode(f, SYS_openat, 3);
        put_mode(f, SYS_mknodat, 2);
#ifdef SYS_open
        put_mode(f, SYS_chmod, 1);
        put_mode(f, SYS_open, 2);
        put_mode(f, SYS_creat, 1);
        put_mode(f, SYS_mknod, 1);
#endif
}

/* --- without namespaces (7) ------------------------------------------------------------------- */

struct refusal {
        short nr;
        short error;
};

static const struct refusal refused_confined[] = {
        { SYS_fchmod, EPERM },
        { SYS_fchown, EPERM },
        { SYS_utimensat, EPERM },
        { SYS_fsetxattr, EPERM },
        { SYS_fremovexattr, EPERM },
        { SYS_fchmodat, EPERM },
        { NR_FCHMODAT2, EPERM },
        { SYS_fchownat, EPERM },
        { SYS_setxattr, EPERM },
        { SYS_lsetxattr, EPERM },
        { SYS_removexattr, EPERM },
        { SYS_lremovexattr, EPERM },
        { SYS_getxattr,
          EOPNOTSUPP }, /* as if there were none: who lists a directory asks for them */
        { SYS_lgetxattr, EOPNOTSUPP },
        { SYS_listxattr, EOPNOTSUPP },
        { SYS_llistxattr, EOPNOTSUPP },
        { SYS_inotify_init1, EPERM },
        { SYS_inotify_add_watch, EPERM },
        { SYS_bind, EACCES },
        { SYS_listen, EACCES },
        { SYS_connect, EACCES },
        { SYS_accept, EACCES },
        { SYS_accept4, EACCES },
#ifdef SYS_open
        { SYS_chmod, EPERM },
        { SYS_chown, EPERM },
        { SYS_lchown, EPERM },
        { SYS_utime, EPERM },
        { SYS_utimes, EPERM },
        { SYS_futimesat, EPERM },
        { SYS_inotify_init, EPERM },
#endif
};
static void put_refusals(struct mv_sys_program_filter *f, const struct refusal *list, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                put(f, JUMP(BPF_JEQ, list[i].nr, 0, 1));
                put(f, FAIL((uint32_t)list[i].error));
        }
}

static void put_load(struct mv_sys_program_filter *f, unsigned argument)
{
        put(f, (struct sock_filter)BPF_STMT(
                       BPF_LD | BPF_W | BPF_ABS,
                       (uint32_t)(offsetof(struct seccomp_data, args) + 8 * argument)));
}

/* Fails when the argument is not zero. The kernel takes a number of a process as 32 bits. */
static void put_zero_only(struct mv_sys_program_filter *f, long nr, unsigned argument)
{
        put(f, JUMP(BPF_JEQ, nr, 0, 4));
        put_load(f, argument);
        put(f, JUMP(BPF_JEQ, 0, 1, 0));
        put(f, FAIL(EPERM));
        put(f, LOAD(nr));
}

/* An error when the argument has one of these bits; what else is asked about this call comes after it. */
static void put_without(struct mv_sys_program_filter *f, long nr, unsigned argument, uint32_t bits,
                        uint32_t error)
{
        put(f, JUMP(BPF_JEQ, nr, 0, 4));
        put_load(f, argument);
        put(f, JUMP(BPF_JSET, bits, 0, 1));
        put(f, FAIL(error));
        put(f, LOAD(nr));
}

static void put_sockets_refused(struct mv_sys_program_filter *f)
{
        put(f, JUMP(BPF_JEQ, SYS_socket, 0, 6));
        put_load(f, 0);
        put(f, JUMP(BPF_JEQ, AF_UNIX, 2, 0));
        put(f, JUMP(BPF_JEQ, AF_INET, 1, 0));
        put(f, JUMP(BPF_JEQ, AF_INET6, 0, 1));
        put(f, FAIL(EACCES));
        put(f, FAIL(EAFNOSUPPORT));
}

static void put_prctl(struct mv_sys_program_filter *f, uint32_t option)
{
        put(f, JUMP(BPF_JEQ, SYS_prctl, 0, 4));
        put_load(f, 0);
        put(f, JUMP(BPF_JEQ, option, 0, 1));
        put(f, FAIL(EPERM));
        put(f, LOAD(nr));
}

static void put_confined(struct mv_sys_program_filter *f)
{
        const uint32_t unnamed = 020000000; /* O_TMPFILE */
        const uint32_t of_a_process = 1u << 31;
        put_sockets_refused(f);
        put_refusals(f, refused_confined, sizeof refused_confined / sizeof refused_confined[0]);
        put_prctl(f, PR_SET_DUMPABLE);
        put_zero_only(f, SYS_prlimit64, 0);
        put_zero_only(f, SYS_sched_setaffinity, 0);
        put_zero_only(f, SYS_sched_setscheduler, 0);
        put_zero_only(f, SYS_setpriority, 0); /* PRIO_PROCESS */
        put_zero_only(f, SYS_setpriority, 1);
        put_without(f, SYS_clock_gettime, 0, of_a_process, EINVAL);
        put_without(f, SYS_clock_getres, 0, of_a_process, EINVAL);
        put_without(f, SYS_clock_nanosleep, 0, of_a_process, EINVAL);
        put_without(f, SYS_timer_create, 0, of_a_process, EINVAL);
        put_without(f, SYS_openat, 2, unnamed, EOPNOTSUPP);
#ifdef SYS_open
        put_without(f, SYS_open, 1, unnamed, EOPNOTSUPP);
#endif
}

/* --- the lists as a decision tree ------------------------------------------------------------- */
/* The kernel runs the filter once for every system call number when it is installed, and for calls
 * it could not decide by number alone ever after: a list would cost a program's start tenths of a
 * millisecond. Neighbouring numbers with the same answer make one leaf; a node is one comparison.
 */
struct answer {
        short nr;
        uint32_t action;
};
struct leaf {
        uint32_t from; /* up to the next leaf's */
        uint32_t action;
};
#define UNKNOWN     (SECCOMP_RET_ERRNO | ENOSYS) /* (1) */
#define ANSWERS_MAX (sizeof allowed / sizeof allowed[0] + sizeof refused / sizeof refused[0])

static int by_number(const void *a, const void *b)
{
        return ((const struct answer *)a)->nr - ((const struct answer *)b)->nr;
}

struct list {
        const short *numbers;
        size_t count;
};

static unsigned answers_sorted(struct answer *ret, struct list list)
{
        unsigned n = 0;
        for (size_t i = 0; i < list.count; i++)
                ret[n++] = (struct answer){ list.numbers[i], SECCOMP_RET_ALLOW };
        for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
                ret[n++] = (struct answer){ refused[i], SECCOMP_RET_ERRNO | EPERM };
        qsort(ret, n, sizeof ret[0], by_number);
        return n;
}

static void leaf_add(struct leaf *leaves, unsigned *n, uint32_t from, uint32_t action)
{
        if (*n == 0 || leaves[*n - 1].action != action)
                leaves[(*n)++] = (struct leaf){ from, action };
}

static unsigned leaves_make(struct leaf *ret, struct list list)
{
        struct answer sorted[ANSWERS_MAX];
        unsigned count = answers_sorted(sorted, list), n = 0;
        uint32_t next = 0;
        for (unsigned i = 0; i < count; i++) {
                uint32_t nr = (uint32_t)sorted[i].nr;
                assert(i == 0 || nr >= next); /* a number on both lists would be our bug */
                if (nr > next)
                        leaf_add(ret, &n, next, UNKNOWN);
                leaf_add(ret, &n, nr, sorted[i].action);
                next = nr + 1;
        }
        leaf_add(ret, &n, next, UNKNOWN);
        return n;
}

/* Every answer stands once, behind the tree: what the kernel translates at each start is half as long. */
static const uint32_t tree_answers[] = { SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO | EPERM, UNKNOWN };
#define TREE_ANSWERS (sizeof tree_answers / sizeof tree_answers[0])

static uint8_t to_answer(const struct mv_sys_program_filter *f, unsigned answers_at,
                         uint32_t action)
{
        unsigned i = 0;
        while (tree_answers[i] != action)
                i++;
        assert(i < TREE_ANSWERS);
        unsigned far = answers_at + i - f->len - 1u;
        assert(far <= UINT8_MAX);
        return (uint8_t)far;
}

static void put_node(struct mv_sys_program_filter *f, const struct leaf *leaves, unsigned count,
                     unsigned answers_at)
{
        unsigned left = count / 2, at = f->len;
        bool lower_ends = left == 1, upper_ends = count - left == 1;
        uint8_t lower = lower_ends ? to_answer(f, answers_at, leaves[0].action) : 0,
                upper = upper_ends ? to_answer(f, answers_at, leaves[left].action) : 0;
        put(f, JUMP(BPF_JGE, leaves[left].from, upper, lower));
        if (!lower_ends)
                put_node(f, leaves, left, answers_at);
        unsigned size = f->len - at - 1u;
        assert(size <= UINT8_MAX);
        if (upper_ends)
                return;
        f->code[at].jt = (uint8_t)size;
        put_node(f, leaves + left, count - left, answers_at);
}

static void put_tree(struct mv_sys_program_filter *f, const struct leaf *leaves, unsigned count)
{
        assert(count > 1);
        put_node(f, leaves, count, f->len + count - 1u); /* a node fewer than leaves */
        for (unsigned i = 0; i < TREE_ANSWERS; i++)
                put(f, ANSWER(tree_answers[i]));
}

static void put_abi(struct mv_sys_program_filter *f) /* (2) */
{
        f->len = 0;
        put(f, LOAD(arch));
        put(f, JUMP(BPF_JEQ, ARCH, 1, 0));
        put(f, ANSWER(SECCOMP_RET_KILL_PROCESS));
        put(f, LOAD(nr));
        put(f, JUMP(BPF_JGE, ABI_BIT, 0, 1));
        put(f, ANSWER(SECCOMP_RET_KILL_PROCESS));
}

void mv_sys_program_filter(struct mv_sys_program_filter *ret, unsigned with)
{
        const bool local_sockets = with & MV_SYS_FILTER_LOCAL_SOCKETS;
        const struct list list = { allowed, sizeof allowed / sizeof allowed[0] };
        struct leaf leaves[2 * ANSWERS_MAX + 1];
        put_abi(ret);
        if (with & MV_SYS_FILTER_CONFINED)
                put_confined(ret);
        put_clone(ret);
        put_socket(ret, local_sockets);
        put_socketpair(ret, local_sockets);
        put_arguments(ret);
        put_modes(ret);
        if (!(with & MV_SYS_FILTER_MEMORY_FILES)) {
                put(ret, JUMP(BPF_JEQ, SYS_memfd_create, 0, 1));
                put(ret, FAIL(ENOSYS)); /* (1) */
        }
        put_tree(ret, leaves, leaves_make(leaves, list));
}

void mv_sys_module_filter(struct mv_sys_program_filter *ret)
{
        const struct list list = { allowed_module,
                                   sizeof allowed_module / sizeof allowed_module[0] };
        struct leaf leaves[2 * ANSWERS_MAX + 1];
        put_abi(ret);
        put_bits(ret, SYS_mmap, 2, PROT_EXEC);
        put_bits(ret, SYS_mprotect, 2, PROT_EXEC);
        put_mode(ret, SYS_openat, 3);
#ifdef SYS_open
        put_mode(ret, SYS_open, 2);
#endif
        put_tree(ret, leaves, leaves_make(leaves, list));
}
