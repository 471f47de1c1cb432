/* SPDX-License-Identifier: Apache-2.0 */
/* The filter of a Linux runner and its door. */
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <guest/linux_door.h>
#include <wire/frame.h>
#include <wire/linux_runner.h>

#define DOOR_IN  0
#define DOOR_OUT 1

/* --- the filter (2 of linux_main.c): the kernel's layouts, because musl ships no kernel headers --------------- */

struct bpf_line {
        uint16_t code;
        uint8_t if_true, if_false;
        uint32_t k;
};
struct bpf_program {
        uint16_t len;
        const struct bpf_line *lines;
};
#define BPF_LOAD            0x20 /* BPF_LD | BPF_W | BPF_ABS */
#define BPF_EQUAL           0x15 /* BPF_JMP | BPF_JEQ | BPF_K */
#define BPF_HAS_BITS        0x45 /* BPF_JMP | BPF_JSET | BPF_K */
#define BPF_ANSWER          0x06 /* BPF_RET | BPF_K */
#define DATA_NR             0    /* offsets in struct seccomp_data */
#define DATA_ARCH           4
#define DATA_ARG0           16 /* low half; descriptors are ints, the kernel ignores the high one */
#define DATA_ARG2           32
#define ANSWER_ALLOW        0x7fff0000u
#define ANSWER_KILL         0x80000000u
#define SECCOMP_FILTER_MODE 2
#define ABI_BIT             0x40000000u /* x32 */
#if defined(__x86_64__)
#define ARCH 0xc000003eu
#elif defined(__aarch64__)
#define ARCH 0xc00000b7u
#else
#error "the filter knows x86-64 and aarch64"
#endif

static const struct bpf_line filter[] = {
        { BPF_LOAD, 0, 0, DATA_ARCH },       { BPF_EQUAL, 0, 11, ARCH },
        { BPF_LOAD, 0, 0, DATA_NR },         { BPF_HAS_BITS, 9, 0, ABI_BIT },
        { BPF_EQUAL, 4, 0, SYS_read },       { BPF_EQUAL, 5, 0, SYS_write },
        { BPF_EQUAL, 1, 0, SYS_exit_group }, { BPF_EQUAL, 0, 5, SYS_exit },
        { BPF_ANSWER, 0, 0, ANSWER_ALLOW },  { BPF_LOAD, 0, 0, DATA_ARG0 }, /* read */
        { BPF_EQUAL, 3, 2, DOOR_IN },        { BPF_LOAD, 0, 0, DATA_ARG0 }, /* write */
        { BPF_EQUAL, 1, 0, DOOR_OUT },       { BPF_ANSWER, 0, 0, ANSWER_KILL },
        { BPF_ANSWER, 0, 0, ANSWER_ALLOW },
};

/* The same, and madvise(.., .., MADV_DONTNEED). */
static const struct bpf_line filter_advise[] = {
        { BPF_LOAD, 0, 0, DATA_ARCH },      { BPF_EQUAL, 0, 14, ARCH },
        { BPF_LOAD, 0, 0, DATA_NR },        { BPF_HAS_BITS, 12, 0, ABI_BIT },
        { BPF_EQUAL, 5, 0, SYS_read },      { BPF_EQUAL, 6, 0, SYS_write },
        { BPF_EQUAL, 7, 0, SYS_madvise },   { BPF_EQUAL, 1, 0, SYS_exit_group },
        { BPF_EQUAL, 0, 7, SYS_exit },      { BPF_ANSWER, 0, 0, ANSWER_ALLOW },
        { BPF_LOAD, 0, 0, DATA_ARG0 },                                     /* read */
        { BPF_EQUAL, 5, 4, DOOR_IN },       { BPF_LOAD, 0, 0, DATA_ARG0 }, /* write */
        { BPF_EQUAL, 3, 2, DOOR_OUT },      { BPF_LOAD, 0, 0, DATA_ARG2 }, /* madvise */
        { BPF_EQUAL, 1, 0, MADV_DONTNEED }, { BPF_ANSWER, 0, 0, ANSWER_KILL },
        { BPF_ANSWER, 0, 0, ANSWER_ALLOW },
};

void mv_linux_lock_up(bool advise)
{
        const struct bpf_program plain = { sizeof filter / sizeof filter[0], filter };
        const struct bpf_program more = { sizeof filter_advise / sizeof filter_advise[0],
                                          filter_advise };
        const struct bpf_program p = advise ? more : plain;
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
            prctl(PR_SET_SECCOMP, SECCOMP_FILTER_MODE, &p) < 0)
                _exit(MV_RUNNER_EXIT_FILTER);
}

size_t mv_linux_number(const char *s)
{
        size_t n = 0;
        for (; *s >= '0' && *s <= '9'; s++)
                if (__builtin_mul_overflow(n, (size_t)10, &n) ||
                    __builtin_add_overflow(n, (size_t)(*s - '0'), &n))
                        _exit(MV_RUNNER_EXIT_USAGE);
        if (*s || n % MV_RUNNER_PAGE_BYTES || n == 0)
                _exit(MV_RUNNER_EXIT_USAGE);
        return n;
}

/* --- the door --------------------------------------------------------------------------------- */

static bool read_exactly(uint8_t *p, size_t len)
{
        while (len > 0) {
                ssize_t n = read(DOOR_IN, p, len);
                if (n <= 0)
                        return false;
                p += n;
                len -= (size_t)n;
        }
        return true;
}

bool mv_linux_write_all(struct mv_slice s)
{
        while (s.len > 0) {
                ssize_t n = write(DOOR_OUT, s.p, s.len);
                if (n <= 0)
                        return false;
                s.p += n;
                s.len -= (size_t)n;
        }
        return true;
}

bool mv_linux_read_frame(struct region into, struct mv_slice *ret)
{
        struct mv_err err;
        uint32_t len;
        if (!read_exactly(into.p, MV_FRAME_HEADER_BYTES) ||
            mv_frame_payload_len(into.p, &len, &err) < 0 ||
            len > into.cap - MV_FRAME_HEADER_BYTES ||
            !read_exactly(into.p + MV_FRAME_HEADER_BYTES, len))
                return false;
        *ret = (struct mv_slice){ into.p, MV_FRAME_HEADER_BYTES + len };
        return true;
}
