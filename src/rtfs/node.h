/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_RTFS_NODE_H
#define MV_RTFS_NODE_H
/* What vec.c, map.c and compare.c share: arrays of values on the heap, and the order of map
 * keys.
 *
 * (1) h.used counts initialised values (of a map node: two for each pair); what lies behind them
 *     is NIL. The capacity is not stored, it follows from h.size. */
#include <base/slice.h>
#include <rtfs/heap.h>

static inline uint32_t node_capacity(const struct node *n)
{
        return n->h.size / (uint32_t)sizeof(val) - 1;
}
_Static_assert(sizeof(struct node) == sizeof(val), "node_capacity takes the header as one value");

static inline struct node *node_new(struct mv_rtfs *r, uint32_t capacity)
{
        return heap_alloc(r, O_NODE, sizeof(struct node) + capacity * sizeof(val));
}
/* A copy of the first `count` values, with room for `capacity`. */
static inline struct node *node_copy(struct mv_rtfs *r, const struct node *n, uint32_t count,
                                     uint32_t capacity)
{
        struct node *copy = heap_alloc_raw(r, O_NODE, sizeof(struct node) + capacity * sizeof(val));
        if (!copy)
                return NULL;
        if (count)
                memcpy(copy->item, n->item, count * sizeof(val));
        memset(copy->item + count, 0, (capacity - count) * sizeof(val));
        copy->h.used = (uint16_t)count;
        return copy;
}
static inline struct node *node_at(const struct node *n, uint32_t index)
{
        return (struct node *)n->item[index].o;
}

/* keyword < string < integer */
static inline int key_class(uint32_t tag)
{
        return tag == T_KEYWORD ? 0 : tag == T_STRING ? 1 : 2;
}
static inline int key_order(val a, val b)
{
        if (a.tag != b.tag)
                return key_class(a.tag) - key_class(b.tag);
        if (a.tag == T_INT)
                return (a.i > b.i) - (a.i < b.i);
        if (a.o == b.o)
                return 0;
        if (a.tag == T_STRING)
                return mv_slice_cmp(string_slice(a), string_slice(b));
        if (as_name(a)->prefix != as_name(b)->prefix)
                return as_name(a)->prefix < as_name(b)->prefix ? -1 : 1;
        return mv_slice_cmp(name_slice(a), name_slice(b));
}

#endif
