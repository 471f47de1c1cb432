/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_WIRE_ENTRIES_H
#define MV_WIRE_ENTRIES_H
/* Orders of map entries inside src/wire. Freestanding. */
#include <base/cur.h>
#include <microvm/value.h>

typedef int mv__key_cmp_fn(const struct mv_value *a, const struct mv_value *b);

/* Sort in place; not stable. */
void mv__entries_order(struct mv_entry *entries, uint32_t count, mv__key_cmp_fn *cmp);

/* A walk over the entries of a map that must not be moved, in another order than its own. The walk's memory is the free
 * end of the output that the entries are being written to: index i lies where the bytes of the last entries will lie,
 * and is consumed before they are written.
 *
 *   o->p ... o->len |  entry 0, entry 1 ... written from here   ->  ... | idx 0 | idx 1 | ... | idx n-1 | o->cap
 *
 * (1) While entry i is written, o->cap is lowered to where index i+1 begins. Every entry is promised to take `width`
 *     bytes at least, so an output that is large enough for the map is large enough for the walk. */
struct mv__walk {
        const struct mv_entry *entries;
        uint8_t *indexes; /* NULL: the entries are in order already */
        size_t cap;       /* of the output before the walk */
        uint32_t count;
        uint8_t width;
};
/* width: bytes of an index, 2..4, and the least size of an entry in the output. false: o is too
 * small (overflow set). */
bool mv__walk_begin(struct mv__walk *w, struct mv_out *o, const struct mv_value *map, uint8_t width,
                    mv__key_cmp_fn *cmp);
/* Entry number i of the order; to be called for i = 0, 1, 2 ...; lowers o->cap as (1) says. */
const struct mv_entry *mv__walk_at(const struct mv__walk *w, struct mv_out *o, uint32_t i);
void mv__walk_end(const struct mv__walk *w, struct mv_out *o); /* gives o->cap back */

#endif
