/* SPDX-License-Identifier: Apache-2.0 */
/* Dense maps: entries of small non-negative integers, in a 64-way trie over the keys (map.h).
 *
 *   height MAP_DENSE + 6:  root: T_NODE or nil for each 64 keys -> leaf: a node with a value or UNBOUND for each key,
 *                          or O_INTS (map.h)
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
/* A copy of an inner node, or a new one for NULL. NULL: NOMEM. */
static struct node *inner_copy(struct mv_rtfs *r, const struct node *n)
{
        struct node *copy =
                n ? node_copy(r, n, DENSE_WIDTH, DENSE_WIDTH) : node_new(r, DENSE_WIDTH);
        if (copy && n)
                copy->h.used = n->h.used;
        return copy;
}

static struct obj *ints_copy(struct mv_rtfs *r, const struct obj *from)
{
        struct ints *copy = heap_alloc(r, O_INTS, sizeof *copy);
        if (!copy)
                return NULL;
        if (from) {
                copy->present = as_ints(from)->present;
                memcpy(copy->item, as_ints(from)->item, sizeof copy->item);
                copy->h.used = from->used;
        }
        return &copy->h;
}

/* A node with the entries of a leaf; of NULL, none. */
static struct obj *values_copy(struct mv_rtfs *r, const struct obj *from)
{
        struct node *copy = node_new(r, DENSE_WIDTH);
        if (!copy)
                return NULL;
        for (uint32_t i = 0; i < DENSE_WIDTH; i++)
                if (!from || !leaf_get(from, i, &copy->item[i]))
                        copy->item[i] = UNBOUND;
        copy->h.used = from ? from->used : 0;
        return &copy->h;
}

static bool leaf_takes(const struct obj *leaf, const val *value)
{
        return leaf->kind != O_INTS || is_plain_int(value);
}

/* A copy of a leaf, or a new one for NULL, that can take the value. NULL: NOMEM. */
static struct obj *leaf_copy(struct mv_rtfs *r, const struct obj *leaf, const val *value)
{
        bool ints = is_plain_int(value) && (!leaf || leaf->kind == O_INTS);
        return ints ? ints_copy(r, leaf) : values_copy(r, leaf);
}

static void leaf_set(struct map *m, struct obj *leaf, uint64_t slot, const val *value)
{
        if (leaf_change(leaf, slot, value))
                return;
        leaf->used++;
        m->count++;
        if (leaf->kind == O_INTS) {
                as_ints(leaf)->present |= 1ull << slot;
                as_ints(leaf)->item[slot] = value->i;
        } else {
                ((struct node *)leaf)->item[slot] = *value;
        }
}

/* --- setting ---------------------------------------------------------------------------------- */
/* One level more until the key has a place. */
static bool grow(struct mv_rtfs *r, struct map *m, uint64_t key, uint32_t owner)
{
        while (key >> (dense_shift(m) + DENSE_BITS)) {
                if (m->root) {
                        struct node *root = inner_copy(r, NULL);
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

static struct obj *copy_for(struct mv_rtfs *r, const struct obj *n, bool leaf, const val *value)
{
        if (leaf)
                return leaf_copy(r, n, value);
        struct node *copy = inner_copy(r, (const struct node *)n);
        return copy ? &copy->h : NULL;
}

static bool own_root(struct mv_rtfs *r, struct map *m, const val *value, uint32_t owner)
{
        bool leaf = dense_shift(m) == 0;
        if (m->root && owner != NOBODY && root_owner(m) == owner &&
            (!leaf || leaf_takes(&m->root->h, value)))
                return true;
        struct obj *root = copy_for(r, m->root ? &m->root->h : NULL, leaf, value);
        if (!root)
                return false;
        set_root(m, (struct node *)root, owner);
        return true;
}

/* The leaf of the key, made the owner's with all that leads to it, and such that it can take the
 * value. */
static struct obj *own_leaf(struct mv_rtfs *r, struct map *m, uint64_t key, const val *value,
                            uint32_t owner)
{
        if (!own_root(r, m, value, owner))
                return NULL;
        struct node *n = m->root;
        for (uint32_t shift = dense_shift(m); shift; shift -= DENSE_BITS) {
                val *link = &n->item[key >> shift & (DENSE_WIDTH - 1)];
                bool leaf = shift == DENSE_BITS, is_new = link->tag == T_NIL;
                if (is_new || owner == NOBODY || link->pos != owner ||
                    (leaf && !leaf_takes(link->o, value))) {
                        struct obj *child = copy_for(r, is_new ? NULL : link->o, leaf, value);
                        if (!child)
                                return NULL;
                        n->h.used = (uint16_t)(n->h.used + is_new);
                        *link = owned_link((struct node *)child, owner);
                }
                n = (struct node *)link->o;
        }
        return &n->h;
}

bool dense_set(struct mv_rtfs *r, struct map *m, int64_t key, val value, uint32_t owner)
{
        if (!grow(r, m, (uint64_t)key, owner))
                return false;
        struct obj *leaf = own_leaf(r, m, (uint64_t)key, &value, owner);
        if (leaf)
                leaf_set(m, leaf, key & (DENSE_WIDTH - 1), &value);
        return leaf;
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
/* A leaf without a slot that it has, as a copy; NULL into *ret: nothing is left. False: NOMEM. */
static bool leaf_without(struct mv_rtfs *r, const struct obj *leaf, uint32_t slot,
                         struct node **ret)
{
        *ret = NULL;
        if (leaf->used == 1)
                return true;
        struct obj *copy = leaf->kind == O_INTS ? ints_copy(r, leaf) : values_copy(r, leaf);
        if (!copy)
                return false;
        copy->used--;
        if (copy->kind == O_INTS)
                as_ints(copy)->present &= ~(1ull << slot);
        else
                ((struct node *)copy)->item[slot] = UNBOUND;
        *ret = (struct node *)copy;
        return true;
}

/* n without the key, as a copy; NULL into *ret: nothing is left. */
static bool without(struct mv_rtfs *r, struct node *n, uint32_t shift, uint64_t key,
                    struct node **ret)
{
        uint32_t slot = key >> shift & (DENSE_WIDTH - 1);
        struct node *child = NULL;
        if (shift == 0)
                return leaf_without(r, &n->h, slot, ret);
        if (!without(r, node_at(n, slot), shift - DENSE_BITS, key, &child))
                return false;
        *ret = NULL;
        if (!child && n->h.used == 1)
                return true;
        struct node *copy = inner_copy(r, n);
        if (!copy)
                return false;
        copy->item[slot] = child ? OBJ(T_NODE, child) : NIL;
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
