/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_WASM_RT_INTERNAL_H
#define MV_WASM_RT_INTERNAL_H
/* Between rt.c, WASI, and what both ask of the world around the module: linux.c in a process, guest/module_kvm.c in a
 * microVM. */
#include <microvm/value.h>
#include <base/cur.h>
#include "runtime.h"

#define RT_PAGE_BYTES      65536u
#define RT_PAGES_MAX       65535u   /* a size of 65536 pages has no 32-bit number */
#define RT_TABLE_MAX       1000000u /* elements of one table; 24 bytes each */
#define RT_FUNCTION_TYPES  10000u
#define RT_TYPE_VALUES_MAX 1000u /* the binary format's own bound on parameters and results */

/* Before anything else. pages_max: of the linear memory. */
void rt_init(uint32_t pages_max);

/* ---- the world ---- */
__attribute__((noreturn)) void rt_exit(int code);
/* The linear memory's first byte, zeros, from where max_pages can be made accessible; initial_pages are. NULL: no room. */
uint8_t *rt_memory_reserve(uint32_t initial_pages, uint32_t max_pages);
bool rt_memory_access(uint8_t *from, size_t bytes);
/* Room for calls: what is decoded, and one answer; the same each time. false: there is none. */
struct rt_call_room {
        void *nodes, *answer;
        size_t nodes_bytes, answer_bytes;
};
bool rt_call_room(struct rt_call_room *ret);
/* Where the next frames are written; p is NULL when there is no room. */
struct mv_out rt_door_out(void);
/* Hands frames over; with want_reply *ret is the whole frame that answers them, valid until the next exchange. */
bool rt_door(struct mv_slice frames, bool want_reply, struct mv_slice *ret);

#endif
