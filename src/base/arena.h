/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_BASE_ARENA_H
#define MV_BASE_ARENA_H
/* An arena by lifetime: allocation is a bump, freeing is dropping the arena. Freestanding.
 * A full arena returns NULL, for ever: that is the owner's MV_E_LIMIT, never an abort. On the host an arena may grow by
 * malloc'ed blocks up to a ceiling (mv_arena_grow); in a guest it is one fixed block. */
#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>

struct mv_arena_block;
struct mv_arena {
        uint8_t *p, *end;
        struct mv_arena_block *blocks; /* malloc'ed, newest first; NULL for a fixed arena */
        size_t left;                   /* bytes that further blocks may still take */
};
struct mv_arena mv_arena_fixed(void *p, size_t bytes);
#define mv_new(a, type, n) ((type *)mv_arena_alloc((a), sizeof(type), alignof(type), (n)))
/* Zeroed; NULL when full or when size * n overflows. */
void *mv_arena_alloc(struct mv_arena *a, size_t size, size_t align, size_t n);
/* At least `bytes` of room at the arena's end, not zeroed and not yet taken: for what is written
 * before its size is known. */
void *mv_arena_room(struct mv_arena *a, size_t bytes);
void mv_arena_take(struct mv_arena *a, size_t bytes); /* of the room, from its beginning */

/* Host only (base/arena_host.c). */
struct mv_arena mv_arena_grow(size_t bytes_max);
/* Its first bytes are the caller's, who keeps them. */
struct mv_arena mv_arena_grow_behind(void *first, size_t first_bytes, size_t bytes_max);
void mv_arena_done(struct mv_arena *a); /* frees every block; the arena is empty and unusable */

#endif
