/* SPDX-License-Identifier: Apache-2.0 */
#include <base/arena_block.h>
#include <stdlib.h>

#ifdef MV_TORTURE
#define BLOCK_BYTES_MIN ((size_t)64) /* every second allocation needs a block */
#else
#define BLOCK_BYTES_MIN                                                                            \
        ((size_t)1024) /* first block: most arenas need no more, and malloc keeps such blocks by */
#endif
#define HEADER_BYTES ((size_t)16)

struct mv_arena mv_arena_grow(size_t bytes_max)
{
        return (struct mv_arena){ NULL, NULL, NULL, bytes_max };
}

struct mv_arena mv_arena_grow_behind(void *first, size_t first_bytes, size_t bytes_max)
{
        return (struct mv_arena){ first, (uint8_t *)first + first_bytes, NULL, bytes_max };
}

bool mv__arena_more(struct mv_arena *a, size_t bytes)
{
        if (bytes > a->left)
                return false;
        /* Blocks double, so a tree of n bytes costs log n mallocs. */
        size_t last = a->blocks ? (size_t)(a->end - (uint8_t *)a->blocks) : BLOCK_BYTES_MIN / 2;
        size_t want = last * 2 < bytes + HEADER_BYTES ? bytes + HEADER_BYTES : last * 2;
        if (want > a->left + HEADER_BYTES)
                want = a->left + HEADER_BYTES;
        struct mv_arena_block *b = malloc(want);
        if (!b)
                return false;
        b->next = a->blocks;
        a->blocks = b;
        a->p = (uint8_t *)b + HEADER_BYTES;
        a->end = (uint8_t *)b + want;
        a->left -= want - HEADER_BYTES;
        return true;
}

void mv_arena_done(struct mv_arena *a)
{
        while (a->blocks) {
                struct mv_arena_block *next = a->blocks->next;
                free(a->blocks);
                a->blocks = next;
        }
        *a = (struct mv_arena){ 0 };
}
