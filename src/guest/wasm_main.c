/* SPDX-License-Identifier: Apache-2.0 */
/* The runner as a WebAssembly module: the same evaluator, whose whole world is its linear memory and one imported
 * function. guest/wasm_linux.c is the other side.
 *
 * (1) All memory is taken once, in init, behind the module's own data: START, replies, outgoing frames, arena. */
#include <guest/runner.h>

#define EXPORT(name)    __attribute__((export_name(name)))
#define WASM_PAGE_BYTES 65536u

/* Hands over frames; the length of the reply that now lies in the reply buffer, or -1. */
__attribute__((import_module("door"), import_name("exchange"))) int32_t
door_exchange(const uint8_t *frames, uint32_t len, uint32_t want_reply);

extern uint8_t __heap_base[];
uint32_t mv_wasm_init(uint32_t start_bytes, uint32_t reply_bytes, uint32_t out_bytes);
void mv_wasm_run(uint32_t start_len);

static struct mv_runner runner;
static uint8_t *start, *reply;

static bool exchange(void *ctx, struct mv_slice frames, bool want_reply, struct mv_slice *ret)
{
        int32_t n = door_exchange(frames.p, frames.len, want_reply);
        if (n < 0)
                return false;
        if (want_reply)
                *ret = (struct mv_slice){ reply, (size_t)n };
        return true;
}

/* What is left of the memory is the arena. The address of START's buffer; the reply's lies behind it. 0: the evaluator does not
 * fit. */
EXPORT("init") uint32_t mv_wasm_init(uint32_t start_bytes, uint32_t reply_bytes, uint32_t out_bytes)
{
        struct mv_err err;
        struct mv_runner_door door = { NULL, exchange };
        uint8_t *end = (uint8_t *)(__builtin_wasm_memory_size(0) * WASM_PAGE_BYTES - 1) + 1;
        start = (uint8_t *)(((uintptr_t)__heap_base + 4095) & ~(uintptr_t)4095);
        reply = start + start_bytes;
        uint8_t *out = reply + reply_bytes, *arena = out + out_bytes;
        if (arena >= end ||
            mv_runner_init(&runner, arena, (size_t)(end - arena), out, out_bytes, door, &err) < 0)
                return 0;
        return (uint32_t)(uintptr_t)start;
}

EXPORT("run") void mv_wasm_run(uint32_t start_len)
{
        mv_runner_run(&runner, (struct mv_slice){ start, start_len });
}
