/* SPDX-License-Identifier: Apache-2.0 */
/* The evaluator that was compiled to WebAssembly and back, as guest/runner.h: linux_main.c links this in place of runner.c
 * and knows no difference.
 *
 * (1) The module's linear memory is the arena that was given: nothing is mapped, so the filter stays at read, write and
 *     exit. Every access is compared with its size (MV_WASM_GUARDED is 0).
 * (2) What the module names by a number is checked here before it is used: a frame must lie in its memory.
 * (3) A trap ends the process; the host says that the runner was lost. */
#include <unistd.h>
#include <guest/runner.h>
#include <wasm/wasm-rt.h>
#include <wire/linux_runner.h>
#include "runner_module.h"

#define PAGE_BYTES 65536u
#define TYPES_MAX  256u

struct Z_door_instance_t {
        struct mv_runner *runner;
        uint8_t *memory;
        uint32_t pages;
        uint32_t buffer_at, buffer_bytes;
};
static struct Z_door_instance_t door;
static Z_runner_instance_t instance;

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
        struct mv_runner *r = d->runner;
        if (!inside(frames, len) ||
            !r->door.exchange(r->door.ctx, (struct mv_slice){ d->memory + frames, len }, want_reply,
                              &reply) ||
            reply.len > d->buffer_bytes)
                return UINT32_MAX;
        if (reply.len)
                memcpy(d->memory + d->buffer_at + d->buffer_bytes, reply.p, reply.len);
        return (u32)reply.len;
}

/* --- guest/runner.h ----------------------------------------------------------------------------- */

int mv_runner_init(struct mv_runner *r, void *arena, size_t arena_bytes, void *out,
                   size_t out_bytes, struct mv_runner_door host, struct mv_err *err)
{
        size_t pages = arena_bytes / PAGE_BYTES;
        r->door = host;
        door = (struct Z_door_instance_t){ r, arena, (uint32_t)(pages < 65535 ? pages : 65535), 0,
                                           (uint32_t)out_bytes };
        Z_runner_init_module();
        Z_runner_instantiate(&instance, &door);
        door.buffer_at = Z_runnerZ_init(&instance, (u32)out_bytes, (u32)out_bytes);
        return door.buffer_at && inside(door.buffer_at, 2 * door.buffer_bytes) ? 0 : -1;
}

void mv_runner_run(struct mv_runner *r, struct mv_slice start)
{
        if (start.len > door.buffer_bytes)
                return;
        memcpy(door.memory + door.buffer_at, start.p, start.len);
        Z_runnerZ_run(&instance, (u32)start.len);
}
