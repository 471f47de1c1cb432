/* SPDX-License-Identifier: Apache-2.0 */
/* The process around the evaluator that was compiled to WebAssembly and back; command line, door and exit codes are those of
 * linux_main.c.
 *
 * (1) One region is mapped, and the module initialised, before the filter: the module's linear memory, which holds the buffers too. Every access of the
 *     module is compared with its size (MV_WASM_GUARDED is 0).
 * (2) What the module names by a number is checked here before it is used: a frame must lie in its memory.
 * (3) A trap ends the process; the host says that the runner was lost.
 * (4) Unless the cell is a session's, no START is read before the memory and the globals are those that init left: pages that
 *     held something then are compared with a copy, the others are given back to the kernel, which makes them zero. */
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <guest/linux_door.h>
#include <guest/runner.h>
#include <wasm/wasm-rt.h>
#include <wire/linux_runner.h>
#include "runner_module.h"

#define PAGE_BYTES 65536u
#define PAGES_MAX  65535u
#define TYPES_MAX  256u
#define UNIT_BYTES 4096u /* of restoring */
#define RANGES_MAX 64u

struct Z_door_instance_t {
        uint8_t *memory;
        uint32_t pages;
        struct region start, reply;
};
static struct Z_door_instance_t door;
static Z_runner_instance_t instance, instance_kept;

/* --- what wasm2c's C asks for ------------------------------------------------------------------ */

bool wasm_rt_is_initialized(void)
{
        return true;
}

void wasm_rt_trap(wasm_rt_trap_t trap) /* (3) */
{
        _exit(MV_RUNNER_EXIT_TRAP);
}

void wasm_rt_allocate_memory(wasm_rt_memory_t *m, uint32_t initial, uint32_t max) /* (1) */
{
        if (initial > door.pages)
                _exit(MV_RUNNER_EXIT_ARENA);
        *m = (wasm_rt_memory_t){ door.memory, door.pages, door.pages, door.pages * PAGE_BYTES };
}

uint32_t wasm_rt_grow_memory(wasm_rt_memory_t *m, uint32_t pages)
{
        return pages ? UINT32_MAX : m->pages;
}

void wasm_rt_free_memory(wasm_rt_memory_t *m)
{
}

/* One table, of the size the linker wrote: it never grows. */
void wasm_rt_allocate_funcref_table(wasm_rt_funcref_table_t *t, uint32_t elements, uint32_t max)
{
        static wasm_rt_funcref_t table[1024];
        if (elements > sizeof table / sizeof table[0])
                _exit(MV_RUNNER_EXIT_ARENA);
        *t = (wasm_rt_funcref_table_t){ table, elements, elements };
}

void wasm_rt_free_funcref_table(wasm_rt_funcref_table_t *t)
{
}

/* The module is ours and its types are few: each is written out as text. */
uint32_t wasm_rt_register_func_type(uint32_t params, uint32_t results, ...)
{
        static char types[TYPES_MAX][64];
        char text[64] = { 0 };
        __builtin_va_list ap;
        if (params + results > sizeof text - 3)
                _exit(MV_RUNNER_EXIT_ARENA);
        text[0] = (char)(1 + params);
        text[1] = (char)(1 + results);
        __builtin_va_start(ap, results);
        for (uint32_t i = 0; i < params + results; i++)
                text[2 + i] = (char)(1 + __builtin_va_arg(ap, int));
        __builtin_va_end(ap);
        uint32_t n = 0;
        while (n < TYPES_MAX - 1 && types[n][0] && memcmp(types[n], text, sizeof text) != 0)
                n++;
        memcpy(types[n], text, sizeof text);
        return n + 1;
}

/* --- the door ----------------------------------------------------------------------------------- */

static bool inside(uint32_t at, uint32_t len) /* (2) */
{
        return len <= door.pages * PAGE_BYTES && at <= door.pages * PAGE_BYTES - len;
}

u32 Z_doorZ_exchange(struct Z_door_instance_t *d, u32 frames, u32 len, u32 want_reply)
{
        struct mv_slice reply = { NULL, 0 };
        if (!inside(frames, len) ||
            !mv_linux_write_all((struct mv_slice){ d->memory + frames, len }) ||
            (want_reply && !mv_linux_read_frame(d->reply, &reply)))
                return UINT32_MAX;
        return (u32)reply.len;
}

/* --- restoring (4) ------------------------------------------------------------------------------ */

struct range {
        size_t from, to; /* offsets into the memory */
        uint8_t *kept;   /* NULL: zeros */
};
static struct range ranges[RANGES_MAX];
static unsigned ranges_count;
static uint8_t *kept, *kept_end;

/* Which pages init has touched; a page never touched is zeros and stays unread. Short gaps belong to what is around them. */
static void ranges_find(void)
{
        static uint8_t touched[(size_t)PAGES_MAX * PAGE_BYTES / UNIT_BYTES];
        const size_t total = (size_t)door.pages * PAGE_BYTES, gap_max = 8 * UNIT_BYTES;
        size_t last = 0, from = SIZE_MAX;
        if (mincore(door.memory, total, touched) < 0)
                _exit(MV_RUNNER_EXIT_MEMORY);
        for (size_t at = 0; at <= total && ranges_count < RANGES_MAX - 2; at += UNIT_BYTES) {
                if (at < total && touched[at / UNIT_BYTES] & 1) {
                        if (from == SIZE_MAX) {
                                ranges[ranges_count++] = (struct range){ last, at, NULL };
                                from = at;
                        }
                        last = at + UNIT_BYTES;
                } else if (from != SIZE_MAX && (at == total || at - last >= gap_max)) {
                        ranges[ranges_count++] = (struct range){ from, last, kept };
                        kept += last - from;
                        from = SIZE_MAX;
                }
        }
        if (ranges_count >= RANGES_MAX - 2)
                _exit(MV_RUNNER_EXIT_ARENA);
        ranges[ranges_count++] = (struct range){ last, total, NULL };
}

static void keep(void)
{
        ranges_find();
        for (unsigned i = 0; i < ranges_count; i++) {
                struct range *r = &ranges[i];
                if (r->kept && r->kept + (r->to - r->from) > kept_end)
                        _exit(MV_RUNNER_EXIT_ARENA);
                if (r->kept)
                        memcpy(r->kept, door.memory + r->from, r->to - r->from);
        }
        instance_kept = instance;
}

/* A unit of restoring, compared without a branch per byte: the C library of the guest goes byte by byte, and
 * this is most of what a short run costs. Both sides are whole pages, so they are aligned. */
typedef uint64_t lane __attribute__((vector_size(16), may_alias));
static bool unit_same(const uint8_t *p, const uint8_t *q)
{
        const lane *a = (const lane *)(const void *)p, *b = (const lane *)(const void *)q;
        lane d[4] = { 0 };
        for (size_t i = 0; i < UNIT_BYTES / sizeof(lane); i += 4)
                for (size_t k = 0; k < 4; k++)
                        d[k] |= a[i + k] ^ b[i + k];
        d[0] |= d[1] | d[2] | d[3];
        return (d[0][0] | d[0][1]) == 0;
}

static void restore(const struct range *r)
{
        uint8_t *p = door.memory + r->from;
        size_t bytes = r->to - r->from;
        if (!r->kept && bytes && madvise(p, bytes, MADV_DONTNEED) < 0)
                _exit(MV_RUNNER_EXIT_MEMORY);
        for (size_t at = 0; r->kept && at < bytes; at += UNIT_BYTES)
                if (!unit_same(p + at, r->kept + at))
                        memcpy(p + at, r->kept + at, UNIT_BYTES);
}

static void restore_all(void)
{
        for (unsigned i = 0; i < ranges_count; i++)
                restore(&ranges[i]);
        instance = instance_kept;
}

/* --- measuring, for `microvm bench` -------------------------------------------------------------- */

#define MEASURES    63
#define TRACE_EVERY 8u /* one unit in so many is different, ten or more; (+ 1 2) leaves six */
#define TRACE_GAPS  3u /* in so many of the gaps, from the last, */
#define TRACE_UNITS 2u /* so many units were touched; (+ 1 2) touches two in all */

static void leave_traces(void)
{
        unsigned gaps = 0;
        for (unsigned n = ranges_count; n-- > 0;) {
                const struct range *r = &ranges[n];
                uint8_t *p = door.memory + r->from;
                size_t units = (r->to - r->from) / UNIT_BYTES;
                for (size_t i = 0; r->kept && i < units; i += TRACE_EVERY)
                        p[i * UNIT_BYTES] ^= 1;
                if (r->kept || gaps++ >= TRACE_GAPS)
                        continue;
                for (size_t i = 0; i < units && i < TRACE_UNITS; i++)
                        p[i * UNIT_BYTES] = 1;
        }
}

static uint64_t clock_ns(void)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The middle one of MEASURES, sorted as they come. */
static int measure(void)
{
        uint64_t ns[MEASURES];
        for (unsigned n = 0; n < MEASURES; n++) {
                leave_traces();
                uint64_t from = clock_ns();
                restore_all();
                uint64_t took = clock_ns() - from;
                unsigned at = n;
                for (; at && ns[at - 1] > took; at--)
                        ns[at] = ns[at - 1];
                ns[at] = took;
        }
        return write(1, &ns[MEASURES / 2], sizeof ns[0]) == sizeof ns[0] ? MV_RUNNER_EXIT_OK
                                                                         : MV_RUNNER_EXIT_USAGE;
}

/* --- the process -------------------------------------------------------------------------------- */

#define KEPT_BYTES                                                                                 \
        ((size_t)4 << 20) /* the module's data and the library it builds; a few hundred KiB */

static void map_memory(size_t total)
{
        size_t pages = total / PAGE_BYTES;
        uint8_t *p = mmap(NULL, total + KEPT_BYTES, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p == MAP_FAILED)
                _exit(MV_RUNNER_EXIT_MEMORY);
        door.memory = p;
        door.pages = (uint32_t)(pages < PAGES_MAX ? pages : PAGES_MAX);
        kept = p + total;
        kept_end = kept + KEPT_BYTES;
}

static void module_init(size_t start, size_t reply, size_t out)
{
        Z_runner_init_module();
        Z_runner_instantiate(&instance, &door);
        uint32_t at = Z_runnerZ_init(&instance, (u32)start, (u32)reply, (u32)out);
        if (!at || !inside(at, (uint32_t)(start + reply)))
                _exit(MV_RUNNER_EXIT_ARENA);
        door.start = (struct region){ door.memory + at, start };
        door.reply = (struct region){ door.memory + at + start, reply };
}

int main(int argc, char **argv)
{
        struct mv_slice start;
        size_t size[4], total = 0;
        if (argc != 5)
                return MV_RUNNER_EXIT_USAGE;
        for (int i = 0; i < 4; i++) {
                size[i] = mv_linux_number(argv[i + 1]);
                if (__builtin_add_overflow(total, size[i], &total) ||
                    (i < 3 && size[i] > UINT32_MAX / 4))
                        return MV_RUNNER_EXIT_USAGE;
        }
        bool session = strcmp(argv[0], MV_RUNNER_NAME_SESSION) == 0;
        map_memory(total);
        module_init(size[0], size[1], size[2]);
        if (!session)
                keep();
        if (strcmp(argv[0], MV_RUNNER_NAME_MEASURE) == 0)
                return measure();
        mv_linux_lock_up(true); /* before the first byte of a program is read */
        while (mv_linux_read_frame(door.start, &start)) {
                Z_runnerZ_run(&instance, (u32)start.len);
                if (!session)
                        restore_all();
        }
        _exit(MV_RUNNER_EXIT_OK);
}
