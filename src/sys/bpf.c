/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/bpf.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCH    AUDIT_ARCH_X86_64
#define ABI_BIT 0x40000000u /* x32 numbers carry it; the architecture value is the same */
#elif defined(__aarch64__)
#define ARCH    AUDIT_ARCH_AARCH64
#define ABI_BIT 0x40000000u
#else
#error "the seccomp filter knows x86-64 and aarch64"
#endif

static void put(struct mv_sys_filter *f, struct sock_filter one)
{
        assert(f->len < MV_SYS_FILTER_MAX);
        f->code[f->len++] = one;
}

static void load(struct mv_sys_filter *f, uint32_t offset)
{
        put(f, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset));
}

static void answer(struct mv_sys_filter *f, uint32_t action)
{
        put(f, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action));
}

void mv_sys_filter_init(struct mv_sys_filter *f)
{
        f->len = 0;
        load(f, offsetof(struct seccomp_data, arch)); /* (1) */
        put(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0));
        answer(f, SECCOMP_RET_KILL_PROCESS);
        load(f, offsetof(struct seccomp_data, nr));
        put(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, ABI_BIT, 0, 1));
        answer(f, SECCOMP_RET_KILL_PROCESS);
}

void mv_sys_filter_allow(struct mv_sys_filter *f, long nr)
{
        put(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)nr, 0, 1));
        answer(f, SECCOMP_RET_ALLOW);
}

void mv_sys_filter_allow_if(struct mv_sys_filter *f, long nr, unsigned index, uint32_t value)
{
        assert(index < 6);
        put(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)nr, 0, 4));
        /* (2); little-endian */
        load(f, (uint32_t)(offsetof(struct seccomp_data, args) + 8 * index));
        put(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1));
        answer(f, SECCOMP_RET_ALLOW);
        load(f, offsetof(struct seccomp_data, nr)); /* the next entry compares the number again */
}

void mv_sys_filter_seal(struct mv_sys_filter *f)
{
        answer(f, SECCOMP_RET_KILL_PROCESS);
}

/* Also called on a borrowed stack between clone and exec (sys/spawn.c). */
__attribute__((no_sanitize("address"))) int mv_sys_filter_install(const struct mv_sys_filter *f)
{
        struct sock_fprog prog = { f->len, (struct sock_filter *)f->code };
        return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) == 0 ? 0 : errno;
}

bool mv_sys_filter_supported(void)
{
        uint32_t action = SECCOMP_RET_KILL_PROCESS;
        return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}
