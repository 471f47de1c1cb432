/* SPDX-License-Identifier: Apache-2.0 */
/* guest/linux_main.c - the static Linux runner (process and gvisor walls).
 *
 * argv: NAME START_BYTES REPLY_BYTES OUT_BYTES ARENA_BYTES. Descriptor 0 and 1 are the two directions of the door.
 *
 * (1) Memory is mapped once, before the filter: one region for frames and the arena. Afterwards nothing can be mapped, so
 *     what the program can hold is fixed and its pages cost only what is touched.
 * (2) The filter is installed before the first byte of a program is read. It admits read on 0, write on 1 and exit;
 *     anything else, of any ABI, kills the process.
 * (3) START stays where it was read for the whole execution: the evaluator compiles form by form from it.
 * (4) After a result the runner waits for the next START; the end of the door is its normal end. */
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <guest/linux_runner.h>
#include <guest/runner.h>
#include <wire/frame.h>
#include <wire/linux_runner.h>

#define DOOR_IN  0
#define DOOR_OUT 1

struct region {
        uint8_t *p;
        size_t cap;
};
struct memory {
        struct region start, reply, out, arena;
};

/* --- the filter (2): the kernel's layouts, because musl ships no kernel headers --------------- */

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

static void lock_up(void)
{
        const struct bpf_program p = { sizeof filter / sizeof filter[0], filter };
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
            prctl(PR_SET_SECCOMP, SECCOMP_FILTER_MODE, &p) < 0)
                _exit(MV_RUNNER_EXIT_FILTER);
}

/* --- memory (1) ------------------------------------------------------------------------------- */

static size_t number(const char *s)
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

static struct memory map_memory(char **sizes)
{
        struct memory m = { .start.cap = number(sizes[0]),
                            .reply.cap = number(sizes[1]),
                            .out.cap = number(sizes[2]),
                            .arena.cap = number(sizes[3]) };
        size_t total = m.start.cap;
        if (__builtin_add_overflow(total, m.reply.cap, &total) ||
            __builtin_add_overflow(total, m.out.cap, &total) ||
            __builtin_add_overflow(total, m.arena.cap, &total))
                _exit(MV_RUNNER_EXIT_USAGE);
        uint8_t *p = mmap(NULL, total, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p == MAP_FAILED)
                _exit(MV_RUNNER_EXIT_MEMORY);
        m.start.p = p;
        m.reply.p = m.start.p + m.start.cap;
        m.out.p = m.reply.p + m.reply.cap;
        m.arena.p = m.out.p + m.out.cap;
        return m;
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

static bool write_all(struct mv_slice s)
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

/* One whole frame; false at the end of the door, or for a frame the host should not have sent. */
static bool read_frame(struct region into, struct mv_slice *ret)
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

static bool exchange(void *ctx, struct mv_slice frames, bool want_reply, struct mv_slice *ret)
{
        const struct memory *m = ctx;
        return write_all(frames) && (!want_reply || read_frame(m->reply, ret));
}

int mv_linux_runner(char **sizes)
{
        struct memory m = map_memory(sizes);
        lock_up();
        struct mv_runner runner;
        struct mv_err err;
        struct mv_runner_door door = { &m, exchange };
        if (mv_runner_init(&runner, m.arena.p, m.arena.cap, m.out.p, m.out.cap, door, &err) < 0)
                _exit(MV_RUNNER_EXIT_ARENA);
        struct mv_slice start;
        while (read_frame(m.start, &start)) /* (4) */
                mv_runner_run(&runner, start);
        _exit(MV_RUNNER_EXIT_OK);
}
