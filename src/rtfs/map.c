/* SPDX-License-Identifier: Apache-2.0 */
/* Persistent maps: B+ trees in canonical key order.
 *
 *   height 0:  leaf  k v k v k v
 *   height 1:  inner k0 leaf0 k1 leaf1      k_i <= every key of leaf_i, > every key of leaf_(i-1)
 *
 * (1) Nodes of a published map are never written to: put and remove copy the path and allocate
 *     nodes of exactly the size they need. Running out of memory therefore changes nothing.
 * (2) A builder's nodes are nobody else's: map_add writes to them in place, and map_put_owned to
 *     those of its owner (map.h). Nodes that are full
 *     on the way down are split first, so the way back up has nothing to do; a split alone does
 *     not change what the map holds.
 * (3) A node splits in halves, but on the right edge of the tree it gives away only its end:
 *     keys that arrive in ascending order leave full nodes behind.
 * (4) A removal that leaves fewer than 8 pairs joins the node with a neighbour when both fit, so
 *     two neighbours hold at least 8 pairs each on average, and no heap fills a tree of
 *     MAP_HEIGHT_MAX levels. One that would get there is out of memory. */
#include <rtfs/map.h>
#include <rtfs/vm.h>

/* A put copies one node of each level. Wider nodes make fewer levels but larger copies: measured on a map of 100,000
 * entries, 16 beats 32. */
#define PAIRS_MAX 16u
/* A removal that leaves less joins the node with a neighbour when both fit. */
#define PAIRS_UNDERFULL 8u

static inline uint32_t pairs(const struct node *n)
{
        return n->h.used / 2u;
}

bool map_key_ok(val k)
{
        return k.tag == T_KEYWORD || k.tag == T_STRING || k.tag == T_INT;
}

/* --- search ----------------------------------------------------------------------------------- */
/* How many keys are below `limit`, all of them integers; without a branch that could be
 * mispredicted. */
static inline uint32_t count_below(const struct node *n, int64_t limit)
{
        uint32_t low = 0;
        for (uint32_t left = pairs(n); left > 1; left -= left / 2)
                low += left / 2 & -(uint32_t)(n->item[2 * (low + left / 2 - 1)].i < limit);
        return low + (n->item[2 * low].i < limit);
}

__attribute__((noinline)) static uint32_t search(const struct node *n, val key)
{
        uint32_t low = 0, high = pairs(n);
        while (low < high) {
                uint32_t middle = (low + high) / 2;
                if (key_order(n->item[2 * middle], key) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

/* Number of the first pair whose key is not below `key`. */
static inline uint32_t lower_bound(const struct node *n, val key)
{
        /* Integers come last: when the first key is one, all are. */
        if (key.tag == T_INT && n->h.used && n->item[0].tag == T_INT)
                return count_below(n, key.i);
        return search(n, key);
}

static inline bool key_is_at(const struct node *n, uint32_t at, val key)
{
        return at < pairs(n) && key_order(n->item[2 * at], key) == 0;
}

/* The child that holds `key` if any does. */
static uint32_t child_for(const struct node *n, val key)
{
        uint32_t at = lower_bound(n, key);
        return key_is_at(n, at, key) || at == 0 ? at : at - 1;
}

/* Keywords are interned: equal ones are the same object, and no text is looked at. */
static const val *find_keyword(const struct node *n, const struct obj *name)
{
        for (const val *p = n->item, *end = p + n->h.used; p < end; p += 2)
                if (p->o == name && p->tag == T_KEYWORD)
                        return p + 1;
        return NULL;
}

static const val *find_in_leaf(const struct node *n, val key)
{
        if (key.tag == T_KEYWORD)
                return find_keyword(n, key.o);
        uint32_t at = lower_bound(n, key);
        return key_is_at(n, at, key) ? &n->item[2 * at + 1] : NULL;
}

static bool dense_get(const struct map *m, val key, val *ret)
{
        return key.tag == T_INT && dense_find(m, key.i, ret);
}

bool map_get(val m, val key, val *ret)
{
        const struct node *n = as_map(m)->root;
        if (!n)
                return false;
        if (is_dense(as_map(m)))
                return dense_get(as_map(m), key, ret);
        for (uint32_t height = as_map(m)->height; height; height--)
                n = node_at(n, 2 * child_for(n, key) + 1);
        const val *found = find_in_leaf(n, key);
        if (!found)
                return false;
        *ret = *found;
        return true;
}

/* --- copies of one node ----------------------------------------------------------------------- */
static inline void set_pair(struct node *n, uint32_t at, val key, val value)
{
        n->item[2 * at] = key;
        n->item[2 * at + 1] = value;
}

static struct node *with_pair_set(struct mv_rtfs *r, const struct node *n, uint32_t at, val key,
                                  val value)
{
        struct node *copy = node_copy(r, n, n->h.used, n->h.used);
        if (copy)
                set_pair(copy, at, key, value);
        return copy;
}

static struct node *with_pair_added(struct mv_rtfs *r, const struct node *n, uint32_t at, val key,
                                    val value)
{
        struct node *copy = node_copy(r, n, 2 * at, n->h.used + 2u);
        if (!copy)
                return NULL;
        set_pair(copy, at, key, value);
        memcpy(copy->item + 2 * at + 2, n->item + 2 * at, (n->h.used - 2 * at) * sizeof(val));
        copy->h.used = (uint16_t)(n->h.used + 2);
        return copy;
}

static struct node *without_pair(struct mv_rtfs *r, const struct node *n, uint32_t at)
{
        struct node *copy = node_copy(r, n, 2 * at, n->h.used - 2u);
        if (!copy)
                return NULL;
        memcpy(copy->item + 2 * at, n->item + 2 * at + 2, (n->h.used - 2 * at - 2) * sizeof(val));
        copy->h.used = (uint16_t)(n->h.used - 2);
        return copy;
}

/* Pairs from `from` on, in a node of their own. */
static struct node *back_part(struct mv_rtfs *r, const struct node *n, uint32_t from,
                              uint32_t capacity)
{
        uint32_t count = n->h.used - 2 * from;
        struct node *part = node_new(r, capacity);
        if (!part)
                return NULL;
        memcpy(part->item, n->item + 2 * from, count * sizeof(val));
        part->h.used = (uint16_t)count;
        return part;
}

static struct node *pair_of_nodes(struct mv_rtfs *r, struct node *left, struct node *right,
                                  uint32_t capacity)
{
        struct node *n = node_new(r, capacity);
        if (!n)
                return NULL;
        set_pair(n, 0, left->item[0], OBJ(T_NODE, left));
        set_pair(n, 1, right->item[0], OBJ(T_NODE, right));
        n->h.used = 4;
        return n;
}

/* --- put -------------------------------------------------------------------------------------- */
struct put {
        struct mv_rtfs *r;
        val key, value;
        bool added; /* the key was absent */
        /* What replaces the node just handled; right: NULL unless it was split. */
        struct node *left, *right;
};

/* n with one more pair, split when it is full. `last`: n is on the tree's right edge. false: no
 * memory. */
static bool add_pair(struct put *p, const struct node *n, uint32_t at, val pair[2], bool last)
{
        uint32_t count = pairs(n);
        p->right = NULL;
        p->left = NULL;
        if (count < PAIRS_MAX) {
                p->left = with_pair_added(p->r, n, at, pair[0], pair[1]);
                return p->left;
        }
        uint32_t half = last && at == count ? count : count / 2; /* (3) */
        struct node *left =
                half == count ? (struct node *)n : node_copy(p->r, n, 2 * half, 2 * half);
        struct node *right = left ? back_part(p->r, n, half, 2 * (count - half)) : NULL;
        if (!right)
                return false;
        if (at <= half && half < count) {
                p->right = right;
                p->left = with_pair_added(p->r, left, at, pair[0], pair[1]);
                return p->left;
        }
        p->left = left;
        p->right = with_pair_added(p->r, right, at - half, pair[0], pair[1]);
        return p->right;
}

static bool put_leaf(struct put *p, const struct node *n, bool last)
{
        uint32_t at = lower_bound(n, p->key);
        val pair[2] = { p->key, p->value };
        p->added = !key_is_at(n, at, p->key);
        if (p->added)
                return add_pair(p, n, at, pair, last);
        p->right = NULL;
        p->left = with_pair_set(p->r, n, at, p->key, p->value);
        return p->left;
}

static bool put_below(struct put *p, const struct node *n, uint32_t height, bool last)
{
        if (height == 0)
                return put_leaf(p, n, last);
        uint32_t at = child_for(n, p->key);
        if (!put_below(p, node_at(n, 2 * at + 1), height - 1, last && at == pairs(n) - 1))
                return false;
        struct node *right = p->right;
        struct node *copy = with_pair_set(p->r, n, at, p->left->item[0], OBJ(T_NODE, p->left));
        p->left = copy;
        if (!copy || !right)
                return copy;
        val pair[2] = { right->item[0], OBJ(T_NODE, right) };
        return add_pair(p, copy, at + 1, pair, last);
}

val map_head(struct mv_rtfs *r, val m, uint32_t owner)
{
        size_t size = owner == NOBODY ? sizeof(struct map) : sizeof(struct owned_map);
        struct map *head = heap_alloc(r, O_MAP, size);
        if (!head)
                return NOMEM_VAL;
        head->height = as_map(m)->height;
        head->count = as_map(m)->count;
        set_root(head, as_map(m)->root, root_owner(as_map(m)));
        if (owner != NOBODY)
                owned_map(head)->owner = owner;
        return OBJ(T_MAP, head);
}

static val map_with(struct mv_rtfs *r, struct node *root, uint32_t height, uint32_t count)
{
        struct map *m = root ? heap_alloc(r, O_MAP, sizeof *m) : NULL;
        if (!m)
                return NOMEM_VAL;
        m->root = root;
        m->height = height;
        m->count = count;
        return OBJ(T_MAP, m);
}

static struct node *leaf_of_one(struct mv_rtfs *r, val key, val value)
{
        struct node *n = node_new(r, 2);
        if (!n)
                return NULL;
        set_pair(n, 0, key, value);
        n->h.used = 2;
        return n;
}

val map_put(struct mv_rtfs *r, val m, val key, val value)
{
        const struct map *from = as_map(m);
        if (is_dense(from))
                return dense_put(r, m, key, value);
        if (!from->root)
                return map_with(r, leaf_of_one(r, key, value), 0, 1);
        struct put p = { r, key, value, false, NULL, NULL };
        if (!put_below(&p, from->root, from->height, true))
                return NOMEM_VAL;
        uint32_t count = from->count + p.added;
        if (!p.right)
                return map_with(r, p.left, from->height, count);
        if (from->height + 2 > MAP_HEIGHT_MAX)
                return NOMEM_VAL;
        return map_with(r, pair_of_nodes(r, p.left, p.right, 4), from->height + 1, count);
}

/* --- remove ----------------------------------------------------------------------------------- */
static struct node *joined(struct mv_rtfs *r, const struct node *a, const struct node *b)
{
        struct node *n = node_copy(r, a, a->h.used, (uint32_t)a->h.used + b->h.used);
        if (!n)
                return NULL;
        memcpy(n->item + a->h.used, b->item, b->h.used * sizeof(val));
        n->h.used = (uint16_t)(a->h.used + b->h.used);
        return n;
}

/* Inner node n with children `at` and at + 1 as one. */
static struct node *with_joined(struct mv_rtfs *r, const struct node *n, uint32_t at,
                                struct node *joint)
{
        struct node *copy = joint ? without_pair(r, n, at + 1) : NULL;
        if (copy)
                set_pair(copy, at, joint->item[0], OBJ(T_NODE, joint));
        return copy;
}

static struct node *with_child(struct mv_rtfs *r, const struct node *n, uint32_t at,
                               struct node *child)
{
        if (pairs(child) < PAIRS_UNDERFULL && at + 1 < pairs(n)) {
                const struct node *next = node_at(n, 2 * at + 3);
                if (pairs(child) + pairs(next) <= PAIRS_MAX)
                        return with_joined(r, n, at, joined(r, child, next));
        }
        if (pairs(child) < PAIRS_UNDERFULL && at > 0) {
                const struct node *previous = node_at(n, 2 * at - 1);
                if (pairs(child) + pairs(previous) <= PAIRS_MAX)
                        return with_joined(r, n, at - 1, joined(r, previous, child));
        }
        return with_pair_set(r, n, at, child->item[0], OBJ(T_NODE, child));
}

/* n without the key, which it holds. NULL into *ret: nothing is left. */
static bool remove_below(struct mv_rtfs *r, const struct node *n, uint32_t height, val key,
                         struct node **ret)
{
        uint32_t at = height ? child_for(n, key) : lower_bound(n, key);
        struct node *child = NULL;
        if (height && !remove_below(r, node_at(n, 2 * at + 1), height - 1, key, &child))
                return false;
        *ret = NULL;
        if (child)
                *ret = with_child(r, n, at, child);
        else if (pairs(n) == 1)
                return true;
        else
                *ret = without_pair(r, n, at);
        return *ret;
}

val map_remove(struct mv_rtfs *r, val m, val key)
{
        const struct map *from = as_map(m);
        struct node *root = NULL;
        uint32_t height = from->height;
        val unused;
        if (!map_get(m, key, &unused))
                return m;
        if (is_dense(from))
                return dense_remove(r, m, key.i);
        if (!remove_below(r, from->root, height, key, &root))
                return NOMEM_VAL;
        if (!root)
                return map_empty(r);
        for (; height && pairs(root) == 1; height--)
                root = node_at(root, 1);
        return map_with(r, root, height, from->count - 1);
}

/* --- building --------------------------------------------------------------------------------- */
val map_empty(struct mv_rtfs *r)
{
        return r->empty_map;
}

val map_builder(struct mv_rtfs *r)
{
        struct map *m = heap_alloc(r, O_MAP, sizeof *m);
        return m ? OBJ(T_MAP, m) : NOMEM_VAL;
}

/* Give the back part of a full node to a new one. at_end: a key beyond all of its keys comes
 * next (3). */
static struct node *split_off(struct mv_rtfs *r, struct node *n, bool at_end)
{
        uint32_t keep = at_end ? PAIRS_MAX - 1 : PAIRS_MAX / 2;
        struct node *right = back_part(r, n, keep, 2 * PAIRS_MAX);
        if (!right)
                return NULL;
        memset(n->item + 2 * keep, 0, (n->h.used - 2 * keep) * sizeof(val));
        n->h.used = (uint16_t)(2 * keep);
        return right;
}

static bool full_and_at_end(const struct node *n, val key)
{
        return key_order(n->item[n->h.used - 2], key) < 0;
}

static bool split_root(struct mv_rtfs *r, struct map *m, val key, uint32_t owner)
{
        if (m->height + 2 > MAP_HEIGHT_MAX)
                return false;
        struct node *root = node_new(r, 2 * PAIRS_MAX);
        struct node *right = root ? split_off(r, m->root, full_and_at_end(m->root, key)) : NULL;
        if (!right)
                return false;
        set_pair(root, 0, m->root->item[0], owned_link(m->root, owner));
        set_pair(root, 1, right->item[0], owned_link(right, owner));
        root->h.used = 4;
        m->root = root;
        m->height++;
        return true;
}

/* Make room for a pair in front of pair `at`. The node has the capacity. */
static void open_pair(struct node *n, uint32_t at)
{
        memmove(n->item + 2 * at + 2, n->item + 2 * at, (n->h.used - 2 * at) * sizeof(val));
        n->h.used = (uint16_t)(n->h.used + 2);
}

/* n, an inner node with room, gets its full child `at` split. */
static bool split_child(struct mv_rtfs *r, struct node *n, uint32_t at, val key, uint32_t owner)
{
        struct node *child = node_at(n, 2 * at + 1);
        bool at_end = at == pairs(n) - 1 && full_and_at_end(child, key);
        struct node *right = split_off(r, child, at_end);
        if (!right)
                return false;
        open_pair(n, at + 1);
        set_pair(n, at + 1, right->item[0], owned_link(right, owner));
        return true;
}

/* Child `at` of n, which is the owner's, as the owner's. */
static struct node *own_child(struct mv_rtfs *r, struct node *n, uint32_t at, uint32_t owner)
{
        val *link = &n->item[2 * at + 1];
        struct node *child = (struct node *)link->o;
        if (owner != NOBODY && link->pos != owner) {
                child = node_copy(r, child, child->h.used, 2 * PAIRS_MAX);
                if (child)
                        *link = owned_link(child, owner);
        }
        return child;
}

static bool own_root(struct mv_rtfs *r, struct map *m, uint32_t owner)
{
        if (owner == NOBODY || root_owner(m) == owner) /* a builder's nodes are nobody else's (2) */
                return true;
        struct node *root = node_copy(r, m->root, m->root->h.used, 2 * PAIRS_MAX);
        if (!root)
                return false;
        set_root(m, root, owner);
        return true;
}

/* Where the pointer to the leaf for `key` stands, with room for one more pair in that leaf's
 * count. */
static struct node **open_path(struct mv_rtfs *r, struct map *m, val key, uint32_t owner)
{
        struct node **link = &m->root;
        if (!own_root(r, m, owner))
                return NULL;
        if (pairs(m->root) == PAIRS_MAX && !split_root(r, m, key, owner))
                return NULL;
        for (uint32_t height = m->height; height; height--) {
                struct node *n = *link;
                uint32_t at = child_for(n, key);
                struct node *child = own_child(r, n, at, owner);
                if (!child || (pairs(child) == PAIRS_MAX && !split_child(r, n, at, key, owner)))
                        return NULL;
                at = child_for(n, key);
                if (key_order(key, n->item[2 * at]) < 0) /* only ever the first */
                        n->item[2 * at] = key;
                link = (struct node **)&n->item[2 * at + 1].o;
        }
        return link;
}

bool tree_set(struct mv_rtfs *r, struct map *m, val key, val value, uint32_t owner)
{
        if (!m->root) {
                m->root = leaf_of_one(r, key, value);
                m->count = m->root ? 1 : 0;
                return m->root;
        }
        struct node **link = open_path(r, m, key, owner);
        if (!link)
                return false;
        struct node *leaf = *link;
        uint32_t at = lower_bound(leaf, key);
        if (key_is_at(leaf, at, key)) {
                set_pair(leaf, at, key, value);
                return true;
        }
        if (leaf->h.used == node_capacity(leaf)) {
                uint32_t twice = 2u * leaf->h.used;
                leaf = node_copy(r, leaf, leaf->h.used,
                                 twice < 2 * PAIRS_MAX ? twice : 2 * PAIRS_MAX);
                if (!leaf)
                        return false;
                *link = leaf;
        }
        open_pair(leaf, at);
        set_pair(leaf, at, key, value);
        m->count++;
        return true;
}

bool map_add(struct mv_rtfs *r, val builder, val key, val value)
{
        return tree_set(r, as_map(builder), key, value, 0);
}

/* --- growing what one owner has --------------------------------------------------------------- */
#define DENSE_LEAST 32u /* a smaller map stays a tree */

val tree_last_key(const struct map *m)
{
        const struct node *n = m->root;
        for (uint32_t height = m->height; height; height--)
                n = node_at(n, n->h.used - 1u);
        return n->item[n->h.used - 2];
}

/* Looked at whenever the number of entries has doubled. */
static bool becomes_dense(const struct map *m, val key)
{
        if (m->count < DENSE_LEAST || (m->count & (m->count - 1)) || !dense_takes(m->count, key))
                return false;
        val least = m->root->item[0];
        return least.tag == T_INT && least.i >= 0 && dense_takes(m->count, tree_last_key(m));
}

val map_put_owned(struct mv_rtfs *r, val m, val key, val value, uint32_t owner)
{
        bool was_dense = is_dense(as_map(m)), dense = was_dense && dense_takes(map_count(m), key);
        if (!was_dense && becomes_dense(as_map(m), key)) {
                dense = true;
                m = map_to_dense(r, m, owner);
        } else if (was_dense && !dense) {
                m = map_to_tree(r, m, owner);
        } else if (map_owner(as_map(m)) != owner) {
                m = map_head(r, m, owner);
        }
        if (nomem(m))
                return m;
        bool ok = dense ? dense_set(r, as_map(m), key.i, value, owner)
                        : tree_set(r, as_map(m), key, value, owner);
        return ok ? m : NOMEM_VAL;
}

val map_new(struct mv_rtfs *r, const val *keys_and_values, uint32_t count)
{
        if (count == 0)
                return map_empty(r);
        val m = map_builder(r);
        if (nomem(m))
                return m;
        as_map(m)->root = node_new(r, 2 * (count < PAIRS_MAX ? count : PAIRS_MAX));
        if (!as_map(m)->root)
                return NOMEM_VAL;
        for (uint32_t i = 0; i < count; i++)
                if (!map_add(r, m, keys_and_values[2 * (size_t)i],
                             keys_and_values[2 * (size_t)i + 1]))
                        return NOMEM_VAL;
        return m;
}

/* --- iteration -------------------------------------------------------------------------------- */
/* at[] are item indexes: of pairs in a tree, of slots in a dense map. */
static void descend(struct map_iter *it, const struct node *n, int levels)
{
        for (; levels > 0; levels--) {
                it->depth++;
                it->node[it->depth] = n;
                it->at[it->depth] = 0;
                if (levels > 1)
                        n = node_at(n, 1);
        }
}

void map_iter(struct map_iter *it, val m)
{
        const struct map *map = as_map(m);
        it->depth = -1;
        it->left = map->count;
        it->dense = is_dense(map);
        if (it->dense && map->root) {
                it->levels = (int)(dense_shift(map) / DENSE_BITS);
                it->depth = 0;
                it->node[0] = map->root;
                it->at[0] = 0;
        } else if (map->root) {
                descend(it, map->root, (int)map->height + 1);
        }
}

/* From a leaf that is used up to the first entry of the next one. */
static bool next_leaf(struct map_iter *it)
{
        int leaf_depth = it->depth, d = it->depth - 1;
        while (d >= 0 && it->at[d] + 2 >= it->node[d]->h.used)
                d--;
        if (d < 0) {
                it->depth = -1;
                return false;
        }
        it->at[d] = (uint16_t)(it->at[d] + 2);
        for (; d < leaf_depth; d++) {
                it->node[d + 1] = node_at(it->node[d], it->at[d] + 1u);
                it->at[d + 1] = 0;
        }
        return true;
}

static int64_t dense_key(const struct map_iter *it)
{
        int64_t key = 0;
        for (int d = 0; d <= it->depth; d++)
                key = key << DENSE_BITS | it->at[d];
        return key;
}

/* The next slot in key order that has something: up from a node that is used up, down into one
 * that is not. */
static bool dense_next(struct map_iter *it, val *ret_key, val *ret_value)
{
        while (it->depth >= 0) {
                int d = it->depth;
                if (it->at[d] == DENSE_WIDTH) {
                        if (--it->depth >= 0)
                                it->at[d - 1]++;
                        continue;
                }
                const struct node *n = it->node[d];
                if (d < it->levels && n->item[it->at[d]].tag == T_NODE) {
                        it->node[++it->depth] = node_at(n, it->at[d]);
                        it->at[it->depth] = 0;
                        continue;
                }
                if (d == it->levels && leaf_get(&n->h, it->at[d], ret_value)) {
                        *ret_key = INT(dense_key(it));
                        it->at[d]++;
                        return true;
                }
                it->at[d]++;
        }
        return false;
}

bool map_next(struct map_iter *it, val *ret_key, val *ret_value)
{
        if (it->left == 0)
                return false;
        it->left--;
        if (it->dense)
                return dense_next(it, ret_key, ret_value);
        if (it->depth < 0)
                return false;
        if (it->at[it->depth] >= it->node[it->depth]->h.used && !next_leaf(it))
                return false;
        const val *pair = it->node[it->depth]->item + it->at[it->depth];
        *ret_key = pair[0];
        *ret_value = pair[1];
        it->at[it->depth] = (uint16_t)(it->at[it->depth] + 2);
        return true;
}
