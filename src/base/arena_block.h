/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_BASE_ARENA_BLOCK_H
#define MV_BASE_ARENA_BLOCK_H
/* Between base/arena.c and base/arena_host.c: guests link a version that never grows. */
#include <base/arena.h>
#include <stdbool.h>

struct mv_arena_block {
        struct mv_arena_block *next;
};
/* Make room for at least `bytes` more in a new block; false when the ceiling or memory does not
 * allow it. */
bool mv__arena_more(struct mv_arena *a, size_t bytes);

#endif
