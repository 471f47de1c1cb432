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
#include <unistd.h>
#include <guest/linux_door.h>
#include <guest/linux_runner.h>
#include <guest/runner.h>
#include <wire/linux_runner.h>

struct memory {
        struct region start, reply, out, arena;
};

/* --- memory (1) ------------------------------------------------------------------------------- */

static struct memory map_memory(char **sizes)
{
        struct memory m = { .start.cap = mv_linux_number(sizes[0]),
                            .reply.cap = mv_linux_number(sizes[1]),
                            .out.cap = mv_linux_number(sizes[2]),
                            .arena.cap = mv_linux_number(sizes[3]) };
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

static bool exchange(void *ctx, struct mv_slice frames, bool want_reply, struct mv_slice *ret)
{
        const struct memory *m = ctx;
        return mv_linux_write_all(frames) && (!want_reply || mv_linux_read_frame(m->reply, ret));
}

int mv_linux_runner(char **sizes)
{
        struct memory m = map_memory(sizes);
        mv_linux_lock_up(false);
        struct mv_runner runner;
        struct mv_err err;
        struct mv_runner_door door = { &m, exchange };
        if (mv_runner_init(&runner, m.arena.p, m.arena.cap, m.out.p, m.out.cap, door, &err) < 0)
                _exit(MV_RUNNER_EXIT_ARENA);
        struct mv_slice start;
        while (mv_linux_read_frame(m.start, &start)) /* (4) */
                mv_runner_run(&runner, start);
        _exit(MV_RUNNER_EXIT_OK);
}
