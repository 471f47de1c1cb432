/* SPDX-License-Identifier: Apache-2.0 */
/* Dense maps: entries of small non-negative integers, in a 64-way trie over the keys (map.h).
 *
 *   height MAP_DENSE + 6:  root: T_NODE or nil for each 64 keys -> leaf: value or UNBOUND for each key
 *
 * (1) h.used counts what a node has: children or entries. A published node has at least one.
 * (2) A persistent put is one by NOBODY, who owns nothing: it copies the whole path.
 * (3) A map is dense only while its greatest key is less than DENSE_SPREAD times its entries and a
 *     constant, give or take removals: nodes take memory in proportion to entries. */
#include <rtfs/map.h>
#include <rtfs/vm.h>

#define DENSE_SPREAD       8u
#define DENSE_SLACK        1024u
#define CONVERTED_PER_UNIT 8u /* entries that change representation for one unit of fuel */

bool dense_takes(uint32_t count, val key)
{
        return key.tag == T_INT && key.i >= 0 &&
               (uint64_t)key.i < (uint64_t)DENSE_SPREAD * count + DENSE_SLACK;
}

/* --- nodes ------------------------------------------------------------------------------------ */
static struct node *dense_node(struct mv_rtfs *r, bool leaf)
{
        struct node *n = node_new(r, DENSE_WIDTH);
        for (uint32_t i = 0; n && leaf && i < DENSE_WIDTH; i++)
                n->item[i] = UNBOUND;
        return n;
}

/* A copy of n, or a new node for NULL. NULL: NOMEM. */
static struct node *dense_copy(struct mv_rtfs *r, const struct node *n, bool leaf)
{
        struct node *copy = n ? node_copy(r, n, DENSE_WIDTH, DENSE_WIDTH) : dense_node(r, leaf);
        if (copy && n)
                copy->h.used = n->h.used;
        return copy;
}

/* --- setting ---------------------------------------------------------------------------------- */
/* One level more until the key has a place. */
static bool grow(struct mv_rtfs *r, struct map *m, uint64_t key, uint32_t owner)
{
        while (key >> (dense_shift(m) + DENSE_BITS)) {
                if (m->root) {
                        struct node *root = dense_node(r, false);
                        if (!root)
                                return false;
                        root->item[0] = owned_link(m->root, root_owner(m));
                        root->h.used = 1;
                        set_root(m, root, owner);
                }
                m->height += DENSE_BITS;
        }
        return true;
}

static bool own_root(struct mv_rtfs *r, struct map *m, uint32_t owner)
{
        if (m->root && owner != NOBODY && root_owner(m) == owner)
                return true;
        struct node *root = dense_copy(r, m->root, dense_shift(m) == 0);
        if (!root)
                return false;
        set_root(m, root, owner);
        return true;
}

/* The leaf of the key, made the owner's with all that leads to it. */
static struct node *own_leaf(struct mv_rtfs *r, struct map *m, uint64_t key, uint32_t owner)
{
        if (!own_root(r, m, owner))
                return NULL;
        struct node *n = m->root;
        for (uint32_t shift = dense_shift(m); shift; shift -= DENSE_BITS) {
                val *link = &n->item[key >> shift & (DENSE_WIDTH - 1)];
                if (link->tag == T_NIL || owner == NOBODY || link->pos != owner) {
                        struct node *child =
                                dense_copy(r, (struct node *)link->o, shift == DENSE_BITS);
                        if (!child)
                                return NULL;
                        n->h.used = (uint16_t)(n->h.used + (link->tag == T_NIL));
                        *link = owned_link(child, owner);
                }
                n = (struct node *)link->o;
        }
        return n;
}

bool dense_set(struct mv_rtfs *r, struct map *m, int64_t key, val value, uint32_t owner)
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
        bool stays = dense_takes(map_count(m), key);
        val out = stays ? map_head(r, m, NOBODY) : map_to_tree(r, m, NOBODY);
        if (nomem(out))
                return out;
        bool ok = stays ? dense_set(r, as_map(out), key.i, value, NOBODY)
                        : map_add(r, out, key, value);
        return ok ? out : NOMEM_VAL;
}

/* --- removing --------------------------------------------------------------------------------- */
/* n without the key, as a copy; NULL into *ret: nothing is left. */
static bool without(struct mv_rtfs *r, struct node *n, uint32_t shift, uint64_t key,
                    struct node **ret)
{
        uint32_t slot = key >> shift & (DENSE_WIDTH - 1);
        struct node *child = NULL;
        if (shift && !without(r, node_at(n, slot), shift - DENSE_BITS, key, &child))
                return false;
        *ret = NULL;
        if (!child && n->h.used == 1)
                return true;
        struct node *copy = dense_copy(r, n, false);
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
        val out = map_head(r, m, NOBODY);
        if (nomem(out))
                return out;
        as_map(out)->root = root;
        as_map(out)->count--;
        return out;
}

/* --- one representation to the other ---------------------------------------------------------- */
/* Fuel that the next instruction is stopped for when there is not enough. */
static void toll(struct mv_rtfs *r, uint32_t entries)
{
        int64_t units = entries / CONVERTED_PER_UNIT;
        r->fuel_left = r->fuel_left > units ? r->fuel_left - units : 0;
}

val map_to_dense(struct mv_rtfs *r, val m, uint32_t owner)
{
        struct map_iter it;
        val key, value, out = map_head(r, map_empty(r), owner);
        if (nomem(out))
                return out;
        toll(r, map_count(m));
        as_map(out)->height = MAP_DENSE;
        for (map_iter(&it, m); map_next(&it, &key, &value);)
                if (!dense_set(r, as_map(out), key.i, value, owner))
                        return NOMEM_VAL;
        return out;
}

val map_to_tree(struct mv_rtfs *r, val m, uint32_t owner)
{
        struct map_iter it;
        val key, value, out = map_head(r, map_empty(r), owner);
        if (nomem(out))
                return out;
        toll(r, map_count(m));
        for (map_iter(&it, m); map_next(&it, &key, &value);)
                if (!tree_set(r, as_map(out), key, value, owner))
                        return NOMEM_VAL;
        return out;
}
