/* SPDX-License-Identifier: Apache-2.0 */
#include <base/arena.h>
#include <base/arena_block.h>
#include <string.h>

struct mv_arena mv_arena_fixed(void *p, size_t bytes)
{
        return (struct mv_arena){ p, (uint8_t *)p + bytes, NULL, 0 };
}

static void *bump(struct mv_arena *a, size_t bytes, size_t align)
{
        size_t pad = -(uintptr_t)a->p & (align - 1);
        size_t left = (size_t)(a->end - a->p);
        if (pad > left || bytes > left - pad)
                return NULL;
        void *r = a->p + pad;
        a->p += pad + bytes;
        return memset(r, 0, bytes);
}

void *mv_arena_room(struct mv_arena *a, size_t bytes)
{
        bool fits = a->p && bytes <= (size_t)(a->end - a->p);
        if (!fits && (!a->left || !mv__arena_more(a, bytes)))
                return NULL;
        return a->p;
}

void mv_arena_take(struct mv_arena *a, size_t bytes)
{
        a->p += bytes;
}

void *mv_arena_alloc(struct mv_arena *a, size_t size, size_t align, size_t n)
{
        size_t bytes;
        if (__builtin_mul_overflow(size, n, &bytes))
                return NULL;
        void *r = a->p ? bump(a, bytes, align) : NULL;
        if (r || !a->left)
                return r;
        if (!mv__arena_more(a, bytes + align))
                return NULL;
        return bump(a, bytes, align);
}
