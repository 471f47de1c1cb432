/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/vmm_filter.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define LOAD_HIGH(field)                                                                           \
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field) + 4)
#define SKIP_UNLESS(value, n) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(value), 0, n)
#define RETURN(value)         BPF_STMT(BPF_RET | BPF_K, value)
#define ALLOW(value)          SKIP_UNLESS(value, 1), RETURN(SECCOMP_RET_ALLOW)
#define REFUSE                RETURN(SECCOMP_RET_ERRNO | EPERM)

int mv_sys_vmm_filter(int vcpu_fd, struct mv_err *err)
{
        struct sock_filter code[] = {
                LOAD(arch),
                SKIP_UNLESS(AUDIT_ARCH_X86_64, 1), /* x32 and i386 numbers mean other calls */
                BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0),
                REFUSE,
                LOAD(nr),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 2 * 9 + 1 + 5 + 7, 0),
                SKIP_UNLESS(SYS_prctl, 3), /* the clock, for the end of the thread */
                LOAD(args[0]),
                ALLOW(PR_SET_TSC),
                LOAD(nr),
                SKIP_UNLESS(
                        SYS_mmap,
                        6), /* anonymous memory that cannot be executed, for the end of the thread */
                LOAD(args[2]),
                BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 2, 0),
                LOAD(args[3]),
                BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, MAP_ANONYMOUS, 1, 0),
                REFUSE,
                RETURN(SECCOMP_RET_ALLOW),
                ALLOW(SYS_futex),
                ALLOW(SYS_exit),
                ALLOW(SYS_rt_sigtimedwait), /* takes the kick signal */
                ALLOW(SYS_restart_syscall),
                ALLOW(SYS_rt_sigreturn),
                ALLOW(SYS_rt_sigprocmask), /* the C library's end of a thread, from here on */
                ALLOW(SYS_sigaltstack),
                ALLOW(SYS_madvise),
                ALLOW(SYS_munmap),
                REFUSE,
                /* ioctl: the jump above lands here, behind all of these */
                LOAD_HIGH(args[0]),
                SKIP_UNLESS(0, 2 * 7 + 3),
                LOAD(args[0]),
                SKIP_UNLESS(vcpu_fd, 2 * 7 + 1),
                LOAD(args[1]),
                ALLOW(KVM_RUN),
                ALLOW(KVM_SET_REGS),
                ALLOW(KVM_SET_SREGS),
                ALLOW(KVM_SET_FPU),
                ALLOW(KVM_SET_XSAVE),
                ALLOW(KVM_SET_VCPU_EVENTS),
                ALLOW(KVM_SET_DEBUGREGS),
                REFUSE,
        };
        struct sock_fprog program = { sizeof code / sizeof code[0], code };
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return mv_fail(err, MV_E_SYS, errno,
                               "set no_new_privs on the thread of a virtual processor");
        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
                return mv_fail(err, MV_E_SYS, errno,
                               "set the system call filter of a virtual processor's thread");
        return 0;
}

int mv_sys_vmm_clock(bool open, struct mv_err *err)
{
        if (prctl(PR_SET_TSC, open ? PR_TSC_ENABLE : PR_TSC_SIGSEGV, 0, 0, 0) < 0)
                return mv_fail(err, MV_E_SYS, errno,
                               "close the time stamp counter to a virtual processor's thread");
        return 0;
}
