/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_RTFS_HEAP_H
#define MV_RTFS_HEAP_H
/* The evaluator's memory: one contiguous heap, bump allocation, sliding mark-compact collection.
 *
 * (1) heap_alloc never collects. It returns NULL when the soft limit is reached; the caller returns NOMEM up to the
 *     virtual machine, which collects at a safepoint and repeats the instruction.
 * (2) Roots are exactly: the value stack up to its top and every frame's registers, frames, globals, the intern table's
 *     pinned names, and the fields listed in walk_roots() (heap.c). Nothing else may hold an object across a safepoint.
 * (3) The collector uses no C recursion: marking keeps its stack in free heap memory or falls back to rescanning. */
#include <string.h>
#include <rtfs/value.h>

struct mv_rtfs;

#ifdef MV_TORTURE /* collect all the time, and with a mark stack that always overflows */
#define HEAP_SOFT_STEP     ((size_t)2 << 10)
#define HEAP_ROOM_PER_LIVE 0
#define HEAP_ROOM_FIRST    ((size_t)1 << 10)
#define HEAP_MARKS_MAX     8u
#else
#define HEAP_SOFT_STEP                                                                             \
        ((size_t)256 << 10) /* first soft limit: small programs dirty few pages and never collect */
/* Free room after a collection, as a multiple of what is alive. A collection reads what is alive and what is dead; more
 * room means fewer of them, and more memory touched. */
#define HEAP_ROOM_PER_LIVE 3
#define HEAP_ROOM_FIRST    ((size_t)1 << 17) /* at least, for an instruction that failed */
#define HEAP_MARKS_MAX     (1u << 17)
#endif

struct heap {
        uint8_t *start;     /* first object */
        uint8_t *top;       /* next free byte */
        uint8_t *limit;     /* soft limit: grows towards end */
        uint8_t *end;       /* hard limit */
        uint8_t *image_top; /* end of the library's objects: reset returns here */
        uint8_t *peak;      /* highest top ever */
        size_t want;        /* bytes of the allocation that failed last */
};

/* Make room beyond the soft limit, or note what was wanted. False: NOMEM. */
bool heap_extend(struct mv_rtfs *r, size_t bytes);
/* The evaluator's state begins with its heap (vm.h). */
static inline struct heap *heap_of(struct mv_rtfs *r)
{
        return (struct heap *)(void *)r;
}
/* Is there room for what a builtin is going to allocate? Asked before long work, that would have to be done again.
 * bytes: not more than it needs. False: NOMEM. */
static inline bool heap_has_room(struct mv_rtfs *r, size_t bytes)
{
        return bytes <= (size_t)(heap_of(r)->limit - heap_of(r)->top) || heap_extend(r, bytes);
}
/* An object with its header, size: bytes, rounded up to 16. What follows the header is for the caller to fill, all of it,
 * before the next safepoint. NULL: NOMEM. */
static inline void *heap_alloc_raw(struct mv_rtfs *r, enum obj_kind kind, size_t size)
{
        struct heap *h = heap_of(r);
        size_t bytes = (size + 15) & ~(size_t)15;
        if (__builtin_expect(bytes > (size_t)(h->limit - h->top) || bytes > UINT32_MAX, 0) &&
            !heap_extend(r, bytes))
                return NULL;
        struct obj *o = (struct obj *)h->top;
        h->top += bytes;
        *o = (struct obj){ .size = (uint32_t)bytes, .kind = (uint8_t)kind };
        return o;
}
/* The same, zeroed behind the header. */
static inline void *heap_alloc(struct mv_rtfs *r, enum obj_kind kind, size_t size)
{
        struct obj *o = heap_alloc_raw(r, kind, size);
        if (o)
                memset(o + 1, 0, ((size + 15) & ~(size_t)15) - sizeof *o);
        return o;
}
_Static_assert(sizeof(struct obj) == 16, "heap_alloc zeroes from the end of the header on");
/* Collect everything unreachable. want: room the caller would like next; what there is at most.
 * false: less than that. */
bool heap_collect(struct mv_rtfs *r, size_t want);

/* Heap memory for a builtin's own use: garbage when the builtin returns. Zeroed, or raw for who
 * fills it. NULL: NOMEM. sequence.c */
void *work_memory(struct mv_rtfs *r, size_t bytes);
void *work_memory_raw(struct mv_rtfs *r, size_t bytes);

/* --- constructors: a value with tag T_MAX_ means NOMEM (test with nomem()) -------------------- */
#define NOMEM_VAL ((val){ .tag = T_MAX_ })
static inline bool nomem(val v)
{
        return v.tag == T_MAX_;
}
/* s may point into the heap; must be valid UTF-8 */
val string_new(struct mv_rtfs *r, struct mv_slice s);
/* fill the text, then string_seal */
val string_alloc(struct mv_rtfs *r, size_t len, uint8_t **ret_text);
val string_seal(val v); /* counts the code points */
val string_from(struct mv_rtfs *r, const char *s);
struct name *name_intern(struct mv_rtfs *r, struct mv_slice s); /* NULL: NOMEM */
val keyword_new(struct mv_rtfs *r, struct mv_slice s);
val symbol_new(struct mv_rtfs *r, struct mv_slice s);
val list_new(struct mv_rtfs *r, const val *items, uint32_t count);
val list_cons(struct mv_rtfs *r, val head, val tail_list);
val list_empty(struct mv_rtfs *r); /* shared, cannot fail */
/* at init: r->empty_list, empty_vector, empty_map. False: NOMEM */
bool make_empties(struct mv_rtfs *r);

/* --- vectors (vec.c): persistent, O(log32 n), conj amortised O(1) ----------------------------- */
val vec_empty(struct mv_rtfs *r); /* shared, cannot fail */
val vec_new(struct mv_rtfs *r, const val *items, uint32_t count);
static inline uint32_t vec_count(val v)
{
        return as_vec(v)->count;
}
val vec_at(val v, uint32_t index); /* index < count */
val vec_conj(struct mv_rtfs *r, val v, val item);
val vec_set(struct mv_rtfs *r, val v, uint32_t index, val item);
val vec_slice(struct mv_rtfs *r, val v, uint32_t from, uint32_t to);
/* A builder is a fresh vector nobody else holds: push changes it in place. False: NOMEM, nothing
 * changed. */
val vec_builder(struct mv_rtfs *r);
bool vec_push(struct mv_rtfs *r, val builder, val item);
/* Run of consecutive items that lie in one leaf: *ret_items, returns how many (>= 1 while index
 * < count). */
uint32_t vec_chunk(val v, uint32_t index, const val **ret_items);

/* --- maps (map.c): persistent, canonical key order, O(log n) ---------------------------------- */
val map_empty(struct mv_rtfs *r);       /* shared, cannot fail */
bool map_key_ok(val k);                 /* keyword, string or integer */
int key_cmp(val a, val b);              /* canonical order (spec 2.6) */
bool map_get(val m, val key, val *ret); /* false: absent, *ret untouched */
val map_put(struct mv_rtfs *r, val m, val key, val value);
val map_remove(struct mv_rtfs *r, val m, val key);
/* count pairs; later duplicates win */
val map_new(struct mv_rtfs *r, const val *keys_and_values, uint32_t count);
/* A builder is a fresh map nobody else holds: add changes it in place. False: NOMEM, its entries
 * are unchanged. */
val map_builder(struct mv_rtfs *r);
bool map_add(struct mv_rtfs *r, val builder, val key, val value);
/* m with an entry, and m is gone: what `owner` made of it before is changed in place. The caller vouches that nobody
 * looks at m any more. NOMEM: m is as it was. */
val map_put_owned(struct mv_rtfs *r, val m, val key, val value, uint32_t owner);
static inline uint32_t map_count(val m)
{
        return as_map(m)->count;
}
/* Iteration in canonical order; holds no memory. Never more than map_count entries, even of a map that code with a
 * forged owner has damaged. */
#define MAP_HEIGHT_MAX 12
struct map_iter {
        const struct node *node[MAP_HEIGHT_MAX];
        uint16_t at[MAP_HEIGHT_MAX];
        uint32_t left;     /* entries to come, at most */
        int depth, levels; /* levels: above the leaves of a dense map */
        bool dense;
};
void map_iter(struct map_iter *it, val m);
bool map_next(struct map_iter *it, val *ret_key, val *ret_value);

#endif
