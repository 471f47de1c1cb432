/* SPDX-License-Identifier: Apache-2.0 */
/* A WebAssembly module in ring 3: its image is this, WASI (src/wasm) and what wasm2c made of the module. Takes its memory,
 * says READY, and from then on every execution begins right there.
 *
 * (1) The room of the runtime comes first and the linear memory last: behind it is nothing, so what slipped past the
 *     compiled code's comparisons meets a page that is not there.
 * (2) A module without a start function is instantiated before READY: none of its code has run, and every execution
 *     begins with its data in place. What fails then is told when START comes.
 * (3) Nothing returns: the end is a doorbell that is not answered.
 * (4) START is copied out of the inbox first of all: answers will overwrite it. */
#include <stdlib.h>
#include <wasm/wasi.h>
#include <wire/frame.h>
#include "kvm_door.h"
#include "module_kvm.h"

#define ALIGNMENT 16u

struct block { /* of the room; its bytes follow */
        size_t bytes, unused;
};
static uint8_t *room_at, *room_end, *calls_at, *calls_end, *memory_at;
static bool started;

__asm__(".section .text.start, \"ax\", @progbits\n.globl _start\n_start: jmp "
        "mv_kvm_module_main\n.text\n");
void mv_kvm_module_main(uint64_t arena_bytes, uint64_t pages);

/* --- the end ---------------------------------------------------------------------------------- */

void rt_exit(int code)
{
        if (!started)
                mv_kvm_ring(MV_KVM_OP_READY, 0); /* (2): here START comes */
        for (;;)
                mv_kvm_ring(MV_KVM_OP_EXIT, (unsigned)code); /* (3) */
}

void wasm_rt_trap(wasm_rt_trap_t trap)
{
        rt_exit(MV_WASM_EXIT_TRAP + (int)trap);
}

/* wasm2c's own assertions; musl's would want streams. */
__attribute__((noreturn)) void __assert_fail(const char *what, const char *file, int line,
                                             const char *function)
{
        (void)what, (void)file, (void)line, (void)function;
        rt_exit(MV_WASM_EXIT_FAULT);
}

/* --- memory: room is taken and never given back ----------------------------------------------- */

static size_t rounded(size_t n)
{
        return (n + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
}

void *malloc(size_t bytes)
{
        size_t left = (size_t)(room_end - room_at);
        const size_t around = sizeof(struct block) + ALIGNMENT;
        if (left < around || bytes > left - around)
                return NULL;
        struct block *b = (void *)room_at;
        b->bytes = bytes;
        room_at += sizeof *b + rounded(bytes);
        return b + 1;
}

void *calloc(size_t count, size_t size) /* the template's pages are zeros */
{
        return size && count > SIZE_MAX / size ? NULL : malloc(count * size);
}

/* The newest block grows where it is. */
void *realloc(void *p, size_t bytes)
{
        struct block *b = p ? (struct block *)p - 1 : NULL;
        if (!b)
                return malloc(bytes);
        if (bytes <= b->bytes)
                return p;
        if ((uint8_t *)p + rounded(b->bytes) == room_at &&
            bytes <= (size_t)(room_end - (uint8_t *)p) - ALIGNMENT) {
                b->bytes = bytes;
                room_at = (uint8_t *)p + rounded(bytes);
                return p;
        }
        void *fresh = malloc(bytes);
        if (fresh)
                memcpy(fresh, p, b->bytes);
        return fresh;
}

void free(void *p)
{
        (void)p;
}

uint8_t *rt_memory_reserve(uint32_t initial_pages, uint32_t max_pages)
{
        (void)initial_pages, (void)max_pages; /* rt.c has compared them with what there is */
        return memory_at;
}

bool rt_memory_access(uint8_t *from, size_t bytes)
{
        (void)from, (void)bytes; /* all of it is there from the start */
        return true;
}

/* --- the door --------------------------------------------------------------------------------- */

/* One half of the room is for tables, the other for calls; of that a quarter for the answer. */
bool rt_call_room(struct rt_call_room *ret)
{
        size_t all = (size_t)(calls_end - calls_at), frame = MV_FRAME_PAYLOAD_MAX,
               answer = all / 4 < frame ? all / 4 : frame;
        *ret = (struct rt_call_room){ calls_at + answer, calls_at, all - answer, answer };
        return true;
}

struct mv_out rt_door_out(void)
{
        return mv_out(mv_kvm_outbox(), MV_KVM_OUTBOX_BYTES);
}

bool rt_door(struct mv_slice frames, bool want_reply, struct mv_slice *ret)
{
        mv_kvm_ring(want_reply ? MV_KVM_OP_CALL : MV_KVM_OP_SEND, frames.len);
        if (want_reply)
                *ret = mv_kvm_inbox();
        return true;
}

/* --- the beginning ---------------------------------------------------------------------------- */

static char **texts(struct mv_cur *c, uint32_t count)
{
        char **list = malloc(((size_t)count + 1) * sizeof *list);
        for (uint32_t i = 0; list && i < count; i++) {
                size_t n = mv_cur_left(c) ? strnlen((const char *)c->p, mv_cur_left(c)) : 0;
                struct mv_slice s = mv_get_bytes(c, (uint64_t)n + 1);
                list[i] = (char *)s.p;
        }
        if (!list || c->bad)
                rt_exit(MV_WASM_EXIT_SETUP);
        list[count] = NULL;
        return list;
}

static void start_read(void)
{
        struct mv_slice in = mv_kvm_inbox();
        uint8_t *own = malloc(in.len);
        if (!own)
                rt_exit(MV_WASM_EXIT_SETUP);
        memcpy(own, in.p, in.len); /* (4) */
        struct mv_cur c = mv_cur((struct mv_slice){ own, in.len });
        struct wasi_start w = { .seed = mv_get_u64(&c) };
        w.clock = mv_get_u32(&c);
        uint32_t argc = mv_get_u32(&c), envc = mv_get_u32(&c);
        w.preopens_count = mv_get_u32(&c);
        uint32_t input = mv_get_u32(&c);
        w.argv = texts(&c, argc);
        w.env = texts(&c, envc);
        w.preopens = texts(&c, w.preopens_count);
        if (input != MV_KVM_INPUT_IS_A_FILE)
                mv_module_input(mv_get_bytes(&c, input));
        if (w.preopens_count > WASI_PREOPENS_MAX || !mv_cur_done(&c))
                rt_exit(MV_WASM_EXIT_SETUP);
        wasi_init(&w);
}

void mv_kvm_module_main(uint64_t arena_bytes, uint64_t pages)
{
        uint8_t *arena = mv_kvm_at(MV_KVM_MODULE_ARENA);
        memory_at = arena + arena_bytes - pages * RT_PAGE_BYTES; /* (1) */
        room_at = arena;
        room_end = calls_at = arena + (memory_at - arena) / 2;
        calls_end = memory_at;
        rt_init((uint32_t)pages);
        if (!mv_wasm_runs_at_instantiation())
                mv_wasm_instantiate(); /* (2) */
        mv_kvm_ring(MV_KVM_OP_READY, 0);
        started = true;
        start_read();
        if (mv_wasm_runs_at_instantiation())
                mv_wasm_instantiate();
        mv_wasm_start();
        rt_exit(0);
}
