/* SPDX-License-Identifier: Apache-2.0 */
/* Dense maps: entries of small non-negative integers, in a 32-way trie over the keys (map.h).
 *
 *   height MAP_DENSE + 1:  root: T_NODE or nil for each 32 keys -> leaf: value or UNBOUND for each key
 *
 * (1) h.used counts what a node has: children or entries. A published node has at least one.
 * (2) All nodes have STAMPED_CAPACITY; the stamp of one that nobody owns is an owner's who is gone.
 * (3) A map is dense only while its greatest key is less than DENSE_SPREAD times its entries and a
 *     constant, give or take removals: nodes take memory in proportion to entries. */
#include <rtfs/map.h>
#include <rtfs/vm.h>

#define DENSE_SPREAD 8u
#define DENSE_SLACK  1024u
#define CONVERTED_PER_UNIT 8u /* entries that change representation for one unit of fuel */

bool dense_takes(uint32_t count, val key)
{
        return key.tag == T_INT && key.i >= 0 && (uint64_t)key.i < (uint64_t)DENSE_SPREAD * count + DENSE_SLACK;
}

/* --- nodes ------------------------------------------------------------------------------------ */
static struct node *dense_node(struct mv_rtfs *r, bool leaf, uint64_t owner)
{
        struct node *n = node_new(r, STAMPED_CAPACITY);
        if (!n)
                return NULL;
        for (uint32_t i = 0; leaf && i < DENSE_WIDTH; i++)
                n->item[i] = UNBOUND;
        n->item[DENSE_WIDTH] = INT((int64_t)owner);
        return n;
}

/* n as the owner's: itself, a copy, or a new one for NULL. NULL: NOMEM. */
static struct node *own(struct mv_rtfs *r, struct node *n, bool leaf, uint64_t owner)
{
        if (!n)
                return dense_node(r, leaf, owner);
        if (node_owned(n, owner))
                return n;
        struct node *copy = node_copy(r, n, STAMPED_CAPACITY, STAMPED_CAPACITY);
        if (!copy)
                return NULL;
        copy->h.used = n->h.used;
        copy->item[DENSE_WIDTH] = INT((int64_t)owner);
        return copy;
}

/* --- setting ---------------------------------------------------------------------------------- */
/* One level more until the key has a place. */
static bool grow(struct mv_rtfs *r, struct map *m, uint64_t key, uint64_t owner)
{
        while (key >> (dense_shift(m) + DENSE_BITS)) {
                if (m->root) {
                        struct node *root = dense_node(r, false, owner);
                        if (!root)
                                return false;
                        root->item[0] = OBJ(T_NODE, m->root);
                        root->h.used = 1;
                        m->root = root;
                }
                m->height++;
        }
        return true;
}

/* The leaf of the key, made the owner's with all that leads to it. */
static struct node *own_leaf(struct mv_rtfs *r, struct map *m, uint64_t key, uint64_t owner)
{
        uint32_t shift = dense_shift(m);
        struct node *n = own(r, m->root, shift == 0, owner);
        if (!n)
                return NULL;
        m->root = n;
        for (; shift; shift -= DENSE_BITS) {
                val *slot = &n->item[key >> shift & (DENSE_WIDTH - 1)];
                struct node *child = own(r, (struct node *)slot->o, shift == DENSE_BITS, owner);
                if (!child)
                        return NULL;
                n->h.used = (uint16_t)(n->h.used + (slot->tag == T_NIL));
                *slot = OBJ(T_NODE, child);
                n = child;
        }
        return n;
}

bool dense_set(struct mv_rtfs *r, struct map *m, int64_t key, val value, uint64_t owner)
{
        if (!grow(r, m, (uint64_t)key, owner))
                return false;
        struct node *leaf = own_leaf(r, m, (uint64_t)key, owner);
        if (!leaf)
                return false;
        val *slot = &leaf->item[key & (DENSE_WIDTH - 1)];
        bool added = slot->tag == T_UNBOUND;
        leaf->h.used = (uint16_t)(leaf->h.used + added);
        m->count += added;
        *slot = value;
        return true;
}

val dense_put(struct mv_rtfs *r, val m, val key, val value)
{
        uint64_t owner = ++r->owner_count; /* of the copies that this call makes */
        bool stays = dense_takes(map_count(m), key);
        val out = stays ? map_head(r, m, owner) : map_to_tree(r, m, 0);
        if (nomem(out))
                return out;
        bool ok = stays ? dense_set(r, as_map(out), key.i, value, owner) : map_add(r, out, key, value);
        return ok ? out : NOMEM_VAL;
}

/* --- removing --------------------------------------------------------------------------------- */
/* n without the key, as a copy; NULL into *ret: nothing is left. */
static bool without(struct mv_rtfs *r, struct node *n, uint32_t shift, uint64_t key, struct node **ret)
{
        uint32_t slot = key >> shift & (DENSE_WIDTH - 1);
        struct node *child = NULL;
        if (shift && !without(r, node_at(n, slot), shift - DENSE_BITS, key, &child))
                return false;
        *ret = NULL;
        if (!child && n->h.used == 1)
                return true;
        struct node *copy = own(r, n, false, ++r->owner_count);
        if (!copy)
                return false;
        copy->item[slot] = child ? OBJ(T_NODE, child) : shift ? NIL : UNBOUND;
        copy->h.used = (uint16_t)(n->h.used - !child);
        *ret = copy;
        return true;
}

val dense_remove(struct mv_rtfs *r, val m, int64_t key)
{
        struct node *root;
        if (!without(r, as_map(m)->root, dense_shift(as_map(m)), (uint64_t)key, &root))
                return NOMEM_VAL;
        if (!root)
                return map_empty(r);
        val out = map_head(r, m, 0);
        if (nomem(out))
                return out;
        as_map(out)->root = root;
        as_map(out)->count--;
        return out;
}

/* --- one representation to the other ----------------------------------------------------------- */
/* Fuel that the next instruction is stopped for when there is not enough. */
static void toll(struct mv_rtfs *r, uint32_t entries)
{
        int64_t units = entries / CONVERTED_PER_UNIT;
        r->fuel_left = r->fuel_left > units ? r->fuel_left - units : 0;
}

val map_to_dense(struct mv_rtfs *r, val m, uint64_t owner)
{
        struct map_iter it;
        val key, value, out = map_builder(r);
        if (nomem(out))
                return out;
        toll(r, map_count(m));
        as_map(out)->height = MAP_DENSE;
        as_map(out)->owner = owner;
        for (map_iter(&it, m); map_next(&it, &key, &value);)
                if (!dense_set(r, as_map(out), key.i, value, owner))
                        return NOMEM_VAL;
        return out;
}

val map_to_tree(struct mv_rtfs *r, val m, uint64_t owner)
{
        struct map_iter it;
        val key, value, out = map_builder(r);
        if (nomem(out))
                return out;
        toll(r, map_count(m));
        as_map(out)->owner = owner;
        for (map_iter(&it, m); map_next(&it, &key, &value);)
                if (!tree_set(r, as_map(out), key, value, owner))
                        return NOMEM_VAL;
        return out;
}
