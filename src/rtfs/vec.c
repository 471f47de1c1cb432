/* SPDX-License-Identifier: Apache-2.0 */
/* Persistent vectors.
 *
 *   count 70:  root (shift 5) -> leaf 0..31, leaf 32..63     tail -> 64..69
 *
 * (1) A vector's share of a node on its right edge follows from its count. Values inside a share
 *     are never overwritten.
 * (2) Who owns a node's end - share == h.used - may write behind it in place: no other vector
 *     looks there. This holds for the tail and for inner nodes alike, and makes conj O(1)
 *     amortised. A second vector that grows from the same node finds h.used beyond its share and
 *     copies.
 * (3) Objects of the library's image are older than any program: nothing is ever written into
 *     them in place, or a reset would leave pointers into a heap that is gone.
 * (4) An operation allocates everything first; at most one in-place write follows, and it is the
 *     last step. So running out of memory changes nothing. */
#include <rtfs/node.h>
#include <rtfs/vm.h>

#define VEC_COUNT_MAX (1u << 31)
#define VEC_MASK      (VEC_WIDTH - 1)

/* Index of the tail's first item: the tail is empty only when the vector is. */
static inline uint32_t tail_start(const struct vec *v)
{
        return v->count ? (v->count - 1) & ~VEC_MASK : 0;
}

static inline bool owns_end(const struct mv_rtfs *r, const struct node *n, uint32_t share)
{
        return n->h.used == share && share < node_capacity(n) &&
               (const uint8_t *)n >= r->heap.image_top;
}

static inline uint32_t roomy(uint32_t count)
{
        return count <= 4 ? 4 : count <= 8 ? 8 : count <= 16 ? 16 : VEC_WIDTH;
}

/* n with one more item behind its first `share`: in place (2) or a copy. share < VEC_WIDTH; n
 * may be NULL when 0. */
static inline struct node *node_append(struct mv_rtfs *r, struct node *n, uint32_t share, val item)
{
        if (!n || !owns_end(r, n, share)) {
                n = node_copy(r, n, share, roomy(share + 1));
                if (!n)
                        return NULL;
        }
        n->item[share] = item;
        n->h.used = (uint16_t)(share + 1);
        return n;
}

/* --- reading ---------------------------------------------------------------------------------- */
/* The node that holds item `index`, which is in the trie. */
static const struct node *leaf_of(const struct vec *v, uint32_t index)
{
        const struct node *n = v->root;
        for (uint32_t shift = v->shift; shift; shift -= VEC_BITS)
                n = node_at(n, (index >> shift) & VEC_MASK);
        return n;
}

val vec_at(val v, uint32_t index)
{
        const struct vec *vec = as_vec(v);
        uint32_t start = tail_start(vec);
        if (index >= start)
                return vec->tail->item[index - start];
        return leaf_of(vec, index)->item[index & VEC_MASK];
}

uint32_t vec_chunk(val v, uint32_t index, const val **ret_items)
{
        const struct vec *vec = as_vec(v);
        if (index >= vec->count)
                return 0;
        uint32_t start = tail_start(vec);
        if (index >= start) {
                *ret_items = vec->tail->item + (index - start);
                return vec->count - index;
        }
        *ret_items = leaf_of(vec, index)->item + (index & VEC_MASK);
        return VEC_WIDTH - (index & VEC_MASK);
}

/* --- growing ---------------------------------------------------------------------------------- */
/* A chain of inner nodes over `leaf`, to stand below a node of `shift`. */
static struct node *chain_over(struct mv_rtfs *r, struct node *leaf, uint32_t shift)
{
        for (uint32_t s = VEC_BITS; leaf && s < shift; s += VEC_BITS)
                leaf = node_append(r, NULL, 0, OBJ(T_NODE, leaf));
        return leaf;
}

/* Hang `leaf` below n as the leaf that begins at index `at`, behind everything there. */
static struct node *hang(struct mv_rtfs *r, struct node *n, uint32_t shift, uint32_t at,
                         struct node *leaf)
{
        uint32_t slot = (at >> shift) & VEC_MASK;
        bool first_of_child = (at & ((1u << shift) - 1)) == 0;
        if (first_of_child) {
                struct node *chain = chain_over(r, leaf, shift);
                return chain ? node_append(r, n, slot, OBJ(T_NODE, chain)) : NULL;
        }
        struct node *child = hang(r, node_at(n, slot), shift - VEC_BITS, at, leaf);
        if (!child || child == node_at(n, slot))
                return child ? n : NULL;
        n = node_copy(r, n, slot + 1, roomy(slot + 1));
        if (n)
                n->item[slot] = OBJ(T_NODE, child);
        return n;
}

static struct node *root_over(struct mv_rtfs *r, struct node *root, struct node *chain)
{
        struct node *n = node_new(r, roomy(2));
        if (!n)
                return NULL;
        n->item[0] = OBJ(T_NODE, root);
        n->item[1] = OBJ(T_NODE, chain);
        n->h.used = 2;
        return n;
}

/* The trie of v with v's full tail as its last leaf. */
static struct node *trie_with_tail(struct mv_rtfs *r, const struct vec *v, uint32_t *ret_shift)
{
        uint32_t at = tail_start(v);
        if (!v->root) {
                *ret_shift = VEC_BITS;
                return node_append(r, NULL, 0, OBJ(T_NODE, v->tail));
        }
        bool full = at >> v->shift == VEC_WIDTH;
        *ret_shift = v->shift + (full ? VEC_BITS : 0);
        if (!full)
                return hang(r, v->root, v->shift, at, v->tail);
        struct node *chain = chain_over(r, v->tail, *ret_shift);
        return chain ? root_over(r, v->root, chain) : NULL;
}

/* Make `to` what `from` is with `tail` behind its full tail (or as its first one). They may be
 * the same object. */
static bool take_tail(struct mv_rtfs *r, struct vec *to, const struct vec *from, struct node *tail)
{
        struct node *root = NULL;
        uint32_t shift = 0;
        if (from->count) {
                root = trie_with_tail(r, from, &shift);
                if (!root)
                        return false;
        }
        to->root = root;
        to->shift = shift;
        to->tail = tail;
        to->count = from->count + tail->h.used;
        return true;
}

static bool append_new_tail(struct mv_rtfs *r, struct vec *to, const struct vec *from, val item)
{
        if (from->count >= VEC_COUNT_MAX)
                return false;
        /* A first tail grows as it must; behind a full one another full one is likely. */
        struct node *tail = from->count ? node_copy(r, NULL, 0, VEC_WIDTH) : NULL;
        if (from->count && !tail)
                return false;
        tail = node_append(r, tail, 0, item);
        return tail && take_tail(r, to, from, tail);
}

/* Is the tail missing or full? */
static inline bool needs_new_tail(const struct vec *v)
{
        return (v->count & VEC_MASK) == 0;
}

val vec_conj(struct mv_rtfs *r, val v, val item)
{
        const struct vec *from = as_vec(v);
        struct vec *to = heap_alloc(r, O_VEC, sizeof *to);
        if (!to)
                return NOMEM_VAL;
        if (needs_new_tail(from))
                return append_new_tail(r, to, from, item) ? OBJ(T_VECTOR, to) : NOMEM_VAL;
        struct node *tail = node_append(r, from->tail, from->count & VEC_MASK, item);
        if (!tail)
                return NOMEM_VAL;
        to->count = from->count + 1;
        to->shift = from->shift;
        to->root = from->root;
        to->tail = tail;
        return OBJ(T_VECTOR, to);
}

/* --- building --------------------------------------------------------------------------------- */
val vec_empty(struct mv_rtfs *r)
{
        return r->empty_vector;
}

val vec_builder(struct mv_rtfs *r)
{
        struct vec *v = heap_alloc(r, O_VEC, sizeof *v);
        return v ? OBJ(T_VECTOR, v) : NOMEM_VAL;
}

bool vec_push(struct mv_rtfs *r, val builder, val item)
{
        struct vec *v = as_vec(builder);
        if (needs_new_tail(v))
                return append_new_tail(r, v, v, item);
        struct node *tail = node_append(r, v->tail, v->count & VEC_MASK, item);
        if (!tail)
                return false;
        v->tail = tail;
        v->count++;
        return true;
}

/* Room for `count` (1..32) further items in a builder whose tail is full or missing; the caller
 * fills it. */
static val *push_block(struct mv_rtfs *r, val builder, uint32_t count)
{
        struct vec *v = as_vec(builder);
        struct node *tail = v->count <= VEC_COUNT_MAX - VEC_WIDTH ? node_new(r, count) : NULL;
        if (!tail)
                return NULL;
        tail->h.used = (uint16_t)count;
        return take_tail(r, v, v, tail) ? tail->item : NULL;
}

val vec_new(struct mv_rtfs *r, const val *items, uint32_t count)
{
        val v = count ? vec_builder(r) : vec_empty(r);
        for (uint32_t done = 0, n; !nomem(v) && done < count; done += n) {
                n = count - done < VEC_WIDTH ? count - done : VEC_WIDTH;
                val *block = push_block(r, v, n);
                if (!block)
                        return NOMEM_VAL;
                memcpy(block, items + done, n * sizeof(val));
        }
        return v;
}

static void copy_range(val *to, val v, uint32_t from, uint32_t count)
{
        const val *items = NULL;
        for (uint32_t done = 0, n; done < count; done += n) {
                n = vec_chunk(v, from + done, &items);
                if (n > count - done)
                        n = count - done;
                memcpy(to + done, items, n * sizeof(val));
        }
}

val vec_slice(struct mv_rtfs *r, val v, uint32_t from, uint32_t to)
{
        if (from >= to)
                return vec_empty(r);
        if (from == 0 && to == vec_count(v))
                return v;
        val slice = vec_builder(r);
        for (uint32_t n; !nomem(slice) && from < to; from += n) {
                n = to - from < VEC_WIDTH ? to - from : VEC_WIDTH;
                val *block = push_block(r, slice, n);
                if (!block)
                        return NOMEM_VAL;
                copy_range(block, v, from, n);
        }
        return slice;
}

/* --- replacing -------------------------------------------------------------------------------- */
/* How many items of the node of `shift` on the path to `index` are v's: all 32, but on the right
 * edge. */
static uint32_t share_of(const struct vec *v, uint32_t shift, uint32_t index)
{
        uint64_t last = tail_start(v) - 1;
        bool right_edge = last >> (shift + VEC_BITS) == (uint64_t)index >> (shift + VEC_BITS);
        return right_edge ? (uint32_t)((last >> shift) & VEC_MASK) + 1 : VEC_WIDTH;
}

static struct node *trie_set(struct mv_rtfs *r, const struct vec *v, uint32_t index, val item)
{
        struct node *root = NULL, **link = &root;
        const struct node *n = v->root;
        for (uint32_t shift = v->shift;; shift -= VEC_BITS) {
                uint32_t share = share_of(v, shift, index), slot = (index >> shift) & VEC_MASK;
                struct node *copy = node_copy(r, n, share, roomy(share));
                if (!copy)
                        return NULL;
                *link = copy;
                if (shift == 0) {
                        copy->item[slot] = item;
                        return root;
                }
                n = node_at(copy, slot);
                link = (struct node **)&copy->item[slot].o;
        }
}

val vec_set(struct mv_rtfs *r, val v, uint32_t index, val item)
{
        const struct vec *from = as_vec(v);
        struct vec *to = heap_alloc(r, O_VEC, sizeof *to);
        if (!to)
                return NOMEM_VAL;
        uint32_t start = tail_start(from), share = from->count - start;
        to->count = from->count;
        to->shift = from->shift;
        to->root = from->root;
        to->tail = from->tail;
        if (index >= start) {
                to->tail = node_copy(r, from->tail, share, roomy(share));
                if (to->tail)
                        to->tail->item[index - start] = item;
        } else {
                to->root = trie_set(r, from, index, item);
        }
        return to->tail && (to->root || start == 0) ? OBJ(T_VECTOR, to) : NOMEM_VAL;
}
