/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_RTFS_MAP_H
#define MV_RTFS_MAP_H
/* What map.c and map_dense.c share, and the machine's short way into dense maps.
 *
 * A map is a B+ tree (map.c) or, when it holds many small integers, a dense one: a 64-way trie over
 * the keys themselves. height says which: of a dense map it is MAP_DENSE and the bits of the key that
 * lead through the levels above the leaves.
 *
 * (1) A head of a larger kind says who may change it in place (owner) and its root (root_owner); `pos` of a link
 *     to a node says who may change that node, provided the node with the link is theirs as well. Only
 *     map_put_owned changes in place. An owner is a number that is given out once; the code that has it
 *     vouches that nobody else looks at the map it grows (compile_own.c).
 * (2) Hostile bytecode can vouch falsely, or forge the number. Then its own maps change under it, and
 *     their counts may be wrong; nodes stay as they must be, and nobody trusts a count for memory. */
#include <rtfs/node.h>

#define MAP_DENSE   64u
#define DENSE_BITS  6u
#define DENSE_WIDTH 64u

static inline bool is_dense(const struct map *m)
{
        return m->height >= MAP_DENSE;
}
static inline uint32_t dense_shift(const struct map *m)
{
        return m->height - MAP_DENSE;
}

#define NOBODY 0u

struct owned_map {
        struct map map;
        uint32_t owner, root_owner;
};
static inline struct owned_map *owned_map(struct map *m)
{
        return m->h.size > sizeof *m ? (struct owned_map *)m : NULL;
}
static inline uint32_t map_owner(struct map *m)
{
        return owned_map(m) ? owned_map(m)->owner : NOBODY;
}
static inline uint32_t root_owner(struct map *m)
{
        return owned_map(m) ? owned_map(m)->root_owner : NOBODY;
}
static inline void set_root(struct map *m, struct node *root, uint32_t owner)
{
        m->root = root;
        if (owned_map(m))
                owned_map(m)->root_owner = owner;
}

static inline val owned_link(struct node *n, uint32_t owner)
{
        return (val){ .tag = T_NODE, .pos = owner, .o = &n->h };
}

/* A leaf of a dense map is a node, or while all its values are integers half as large: a map that counts is as large as an
 * array of numbers, and the collector does not look into it. */
struct ints {
        struct obj h;
        uint64_t present; /* bit i: item[i] is an entry */
        int64_t item[DENSE_WIDTH];
};
static inline struct ints *as_ints(const struct obj *leaf)
{
        return (struct ints *)leaf;
}
/* An integer and nothing else: what a form's position or type hangs on stays a value. */
static inline bool is_plain_int(const val *v)
{
        return v->head == T_INT;
}

/* The value of a slot of a leaf into *ret; false: no entry. */
static inline bool leaf_get(const struct obj *leaf, uint64_t slot, val *ret)
{
        if (leaf->kind == O_INTS) {
                if (!(as_ints(leaf)->present >> slot & 1))
                        return false;
                set_int(ret, as_ints(leaf)->item[slot]);
                return true;
        }
        const val *v = &((const struct node *)leaf)->item[slot];
        if (v->tag == T_UNBOUND)
                return false;
        copy_val(ret, v);
        return true;
}
/* Changes the value of an entry in place; false: no such entry, or the leaf cannot hold it. */
static inline bool leaf_change(struct obj *leaf, uint64_t slot, const val *value)
{
        if (leaf->kind == O_INTS) {
                if (!(as_ints(leaf)->present >> slot & 1) || !is_plain_int(value))
                        return false;
                as_ints(leaf)->item[slot] = value->i;
                return true;
        }
        val *v = &((struct node *)leaf)->item[slot];
        if (v->tag == T_UNBOUND)
                return false;
        copy_val(v, value);
        return true;
}

/* The value of a key in a dense map into *ret; false: no entry. */
static inline bool dense_find(const struct map *m, int64_t key, val *ret)
{
        uint32_t shift = dense_shift(m);
        const struct node *n = m->root;
        if ((uint64_t)key >> (shift + DENSE_BITS))
                return false;
        for (; shift && n; shift -= DENSE_BITS)
                n = node_at(n, (uint64_t)key >> shift & (DENSE_WIDTH - 1));
        return n && leaf_get(&n->h, key & (DENSE_WIDTH - 1), ret);
}

/* Changes an entry of a dense map in place, when there is one and owner may write all the way to
 * it. */
static inline bool dense_change(struct map *m, int64_t key, const val *value, uint32_t owner)
{
        uint32_t shift = dense_shift(m);
        struct node *n = m->root;
        if (map_owner(m) != owner || root_owner(m) != owner ||
            (uint64_t)key >> (shift + DENSE_BITS))
                return false;
        for (; shift; shift -= DENSE_BITS) {
                const val *link = &n->item[(uint64_t)key >> shift & (DENSE_WIDTH - 1)];
                if (link->pos != owner)
                        return false;
                n = (struct node *)link->o;
        }
        return leaf_change(&n->h, key & (DENSE_WIDTH - 1), value);
}

/* --- map_dense.c ------------------------------------------------------------------------------ */
/* Can a dense map of `count` entries take this key? */
bool dense_takes(uint32_t count, val key);
/* Set an entry in place; nodes that are not the owner's are copied first. False: NOMEM, the
 * entries are unchanged. */
bool dense_set(struct mv_rtfs *r, struct map *m, int64_t key, val value, uint32_t owner);
val dense_put(struct mv_rtfs *r, val m, val key, val value);
val dense_remove(struct mv_rtfs *r, val m, int64_t key); /* which it has */
/* The other representation of the same map, fresh. Takes fuel for the entries. */
val map_to_dense(struct mv_rtfs *r, val m, uint32_t owner);
val map_to_tree(struct mv_rtfs *r, val m, uint32_t owner);

/* --- map.c ------------------------------------------------------------------------------------ */
/* A copy of m's head that `owner` may change. */
val map_head(struct mv_rtfs *r, val m, uint32_t owner);
/* Set an entry of a tree in place; owner 0: a builder, whose nodes are nobody else's. */
bool tree_set(struct mv_rtfs *r, struct map *m, val key, val value, uint32_t owner);
/* The greatest key of a tree that is not empty. */
val tree_last_key(const struct map *m);

#endif
