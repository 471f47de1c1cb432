/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_TEST_RTFS_DATA_H
#define MV_TEST_RTFS_DATA_H
/* An evaluator that is nothing but a heap, and short names for the values in it. */
#include "../test.h"
#include <base/limits.h>
#include <base/slice.h>
#include <rtfs/vm.h>
#include <stdlib.h>

#define HEAP_BYTES ((size_t)64 << 20)
#define ROOTS      64u

static inline struct mv_rtfs *evaluator_new(void)
{
        struct mv_rtfs *r = calloc(1, sizeof *r);
        r->heap.start = r->heap.top = r->heap.image_top = r->heap.peak =
                aligned_alloc(16, HEAP_BYTES);
        r->heap.limit = r->heap.end = r->heap.start + HEAP_BYTES;
        r->fuel_left = 1 << 30;
        r->buckets = calloc(NAME_BUCKETS, sizeof *r->buckets);
        r->marks_size = 4096;
        r->marks = calloc(r->marks_size, sizeof *r->marks);
        r->stack_size = r->stack_top = ROOTS;
        r->stack = calloc(r->stack_size, sizeof *r->stack);
        if (!make_empties(r))
                abort();
        return r;
}

static inline void evaluator_free(struct mv_rtfs *r)
{
        free(r->heap.start);
        free(r->buckets);
        free(r->marks);
        free(r->stack);
        free(r);
}

/* Leave `bytes` of memory; give_memory takes the limit away again. */
static inline void leave_memory(struct mv_rtfs *r, size_t bytes)
{
        size_t all = (size_t)(r->heap.end - r->heap.top);
        r->heap.limit = r->heap.top + (bytes < all ? bytes : all);
}
/* Nothing of a persistent operation that failed may be in use: what it allocated is given to the
 * next one. */
static inline void leave_again(struct mv_rtfs *r, uint8_t *top, size_t bytes)
{
        r->heap.top = top;
        leave_memory(r, bytes);
}
static inline void give_memory(struct mv_rtfs *r)
{
        r->heap.limit = r->heap.end;
}
static inline void collect(struct mv_rtfs *r)
{
        CHECK(heap_collect(r, 0));
        give_memory(r);
}
static inline void collect_when_half_full(struct mv_rtfs *r)
{
        if ((size_t)(r->heap.top - r->heap.start) > HEAP_BYTES / 2)
                collect(r);
}

static uint64_t seed = 88172645463325252u;
static inline uint32_t pick(uint32_t below)
{
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        return (uint32_t)((seed >> 16) % below);
}

/* --- values ----------------------------------------------------------------------------------- */
#define V(r, ...)                                                                                  \
        vec_new((r), (const val[]){ __VA_ARGS__ },                                                 \
                sizeof((const val[]){ __VA_ARGS__ }) / sizeof(val))
#define L(r, ...)                                                                                  \
        list_new((r), (const val[]){ __VA_ARGS__ },                                                \
                 sizeof((const val[]){ __VA_ARGS__ }) / sizeof(val))
#define M(r, ...)                                                                                  \
        map_new((r), (const val[]){ __VA_ARGS__ },                                                 \
                sizeof((const val[]){ __VA_ARGS__ }) / sizeof(val) / 2)
static inline val K(struct mv_rtfs *r, const char *s)
{
        return keyword_new(r, mv_slice_str(s));
}
static inline val S(struct mv_rtfs *r, const char *s)
{
        return string_from(r, s);
}
static inline val E(struct mv_rtfs *r, enum error_kind kind, const char *message)
{
        return error_new(r, kind, mv_slice_str(message), NIL);
}
static inline val native(int64_t index)
{
        return (val){ .tag = T_NATIVE, .i = index };
}
static inline val nested(struct mv_rtfs *r, uint32_t levels)
{
        val v = NIL;
        for (uint32_t i = 0; i < levels; i++)
                v = i % 3 == 0 ? V(r, v) : i % 3 == 1 ? L(r, v) : M(r, INT(1), v);
        return v;
}

/* 1 equal, 0 not, -1: an error or out of fuel. */
static inline int equal(struct mv_rtfs *r, val a, val b)
{
        bool same = false;
        return val_equal(r, a, b, &same) == N_OK ? same : -1;
}

#endif
