/* SPDX-License-Identifier: Apache-2.0 */
/* Equality (spec 2.3) and the total order of sort (spec 2.4).
 *
 * (1) Nothing is equal merely because it is the same object: [NaN] differs from itself, shared
 *     or not.
 * (2) Recursion stops at MV_VALUE_DEPTH_MAX containers.
 * (3) A small value may share its parts so often that it has 2^500 of them: every part visited
 *     counts, fuel pays for them, and a deadline is seen on the way. */
#include <base/limits.h>
#include <rtfs/library.h>
#include <rtfs/node.h>
#include <rtfs/vm.h>
#include <wire/text.h>

/* Parts visited for one unit of fuel: less is what the instruction itself costs. */
#define PARTS_PER_UNIT 16u

struct walk {
        struct mv_rtfs *r;
        uint32_t depth, parts;
        enum native_status status; /* why it ended early */
};

static bool visit(struct walk *w)
{
        if (++w->parts % PARTS_PER_UNIT)
                return true;
        w->status = charge(w->r, 1);
        return w->status == N_OK;
}

static bool descend(struct walk *w)
{
        if (w->depth >= MV_VALUE_DEPTH_MAX) {
                w->status = raise_deep(w->r);
                return false;
        }
        w->depth++;
        return true;
}

const char *type_name(val v)
{
        static const char *const names[T_MAX_] = {
                [T_NIL] = "nil",          [T_FALSE] = "boolean",   [T_TRUE] = "boolean",
                [T_INT] = "integer",      [T_FLOAT] = "float",     [T_STRING] = "string",
                [T_KEYWORD] = "keyword",  [T_SYMBOL] = "symbol",   [T_VECTOR] = "vector",
                [T_LIST] = "list",        [T_MAP] = "map",         [T_NATIVE] = "function",
                [T_CLOSURE] = "function", [T_ERROR] = "error",     [T_MAPFORM] = "map",
                [T_BOX] = "box",          [T_NODE] = "node",       [T_PROTO] = "prototype",
                [T_MACRO] = "function",   [T_UNBOUND] = "unbound",
        };
        return v.tag < T_MAX_ ? names[v.tag] : "unknown"; /* grep TAG-ORDER */
}

int key_cmp(val a, val b)
{
        return key_order(a, b);
}

/* --- equality --------------------------------------------------------------------------------- */
/* 1 equal, 0 not, -1: the walk ended early. */
static int equal(struct walk *w, val a, val b);

static int runs_equal(struct walk *w, const val *a, const val *b, uint32_t count)
{
        for (uint32_t i = 0; i < count; i++) {
                int e = equal(w, a[i], b[i]);
                if (e != 1)
                        return e;
        }
        return 1;
}

static int vectors_equal(struct walk *w, val a, val b)
{
        const val *run_a = NULL, *run_b = NULL;
        uint32_t count = vec_count(a);
        if (count != vec_count(b))
                return 0;
        for (uint32_t i = 0, n; i < count; i += n) {
                uint32_t m = vec_chunk(b, i, &run_b);
                n = vec_chunk(a, i, &run_a);
                n = n < m ? n : m;
                int e = runs_equal(w, run_a, run_b, n);
                if (e != 1)
                        return e;
        }
        return 1;
}

static int lists_equal(struct walk *w, const struct cons *a, const struct cons *b)
{
        if (a->count != b->count)
                return 0;
        for (; a->count; a = a->tail, b = b->tail) {
                int e = equal(w, a->head, b->head);
                if (e != 1)
                        return e;
        }
        return 1;
}

/* Both are in canonical order, so equal maps agree pair by pair. */
static int tall_maps_equal(struct walk *w, val a, val b)
{
        struct map_iter ia, ib;
        val pair_a[2], pair_b[2];
        map_iter(&ia, a);
        map_iter(&ib, b);
        while (map_next(&ia, &pair_a[0], &pair_a[1]) && map_next(&ib, &pair_b[0], &pair_b[1])) {
                int e = key_order(pair_a[0], pair_b[0]) == 0 ? equal(w, pair_a[1], pair_b[1]) : 0;
                if (e != 1)
                        return e;
        }
        return 1;
}

static int maps_equal(struct walk *w, val a, val b)
{
        if (map_count(a) != map_count(b))
                return 0;
        if (as_map(a)->height || as_map(b)->height)
                return tall_maps_equal(w, a, b);
        /* One leaf each: no iterators on the C stack. */
        const struct node *leaf_a = as_map(a)->root, *leaf_b = as_map(b)->root;
        if (!leaf_a || !leaf_b || leaf_a->h.used != leaf_b->h.used)
                return !leaf_a && !leaf_b;
        for (uint32_t i = 0; i < leaf_a->h.used; i += 2) {
                int e = key_order(leaf_a->item[i], leaf_b->item[i]) == 0 ? 1 : 0;
                if (e == 1)
                        e = equal(w, leaf_a->item[i + 1], leaf_b->item[i + 1]);
                if (e != 1)
                        return e;
        }
        return 1;
}

static bool is_builtin(val f)
{
        return as_closure(f)->proto && as_closure(f)->proto->builtin;
}

/* Functions by identity; a builtin written in RTFS is its prototype. */
static bool closures_equal(val a, val b)
{
        return a.o == b.o ||
               (is_builtin(a) && is_builtin(b) && as_closure(a)->proto == as_closure(b)->proto);
}

static int containers_equal(struct walk *w, val a, val b)
{
        int e;
        if (!descend(w))
                return -1;
        if (a.tag == T_LIST)
                e = lists_equal(w, as_cons(a), as_cons(b));
        else if (a.tag == T_MAP)
                e = maps_equal(w, a, b);
        else
                e = vectors_equal(w, a, b);
        w->depth--;
        return e;
}

static int equal(struct walk *w, val a, val b)
{
        if (a.tag != b.tag)
                return 0;
        if (!visit(w))
                return -1;
        switch (a.tag) {
        case T_NIL:
        case T_FALSE:
        case T_TRUE:
                return 1;
        case T_INT:
        case T_NATIVE:
                return a.i == b.i;
        case T_FLOAT:
                return a.f == b.f;
        case T_STRING:
                return mv_slice_eq(string_slice(a), string_slice(b));
        case T_VECTOR:
        case T_MAPFORM:
        case T_LIST:
        case T_MAP:
                return containers_equal(w, a, b);
        case T_CLOSURE:
                return closures_equal(a, b);
        case T_ERROR:
                return equal(w, as_error(a)->message, as_error(b)->message);
        default: /* names are interned; the rest is never seen by programs */
                return a.o == b.o;
        }
}

enum native_status val_equal(struct mv_rtfs *r, val a, val b, bool *ret)
{
        struct walk w = { .r = r };
        int e = equal(&w, a, b);
        if (e < 0)
                return w.status;
        *ret = e;
        return N_OK;
}

/* --- order ------------------------------------------------------------------------------------ */
/* -1, 0 or 1; numbers only. */
#define CMP(a, b) (((a) > (b)) - ((a) < (b)))

/* Exact, R-53. NaN compares equal to everything. */
static int int_float_cmp(int64_t i, double f)
{
        if (f != f)
                return 0;
        if (f >= 0x1p63)
                return -1;
        if (f < -0x1p63)
                return 1;
        int64_t whole = (int64_t)f;
        if (i != whole)
                return i < whole ? -1 : 1;
        double part = f - (double)whole; /* whole came from f: both are exact */
        return CMP(0, part);
}

static int number_cmp(val a, val b)
{
        if (a.tag == T_INT && b.tag == T_INT)
                return CMP(a.i, b.i);
        if (a.tag == T_FLOAT && b.tag == T_FLOAT)
                return CMP(a.f, b.f);
        return a.tag == T_INT ? int_float_cmp(a.i, b.f) : -int_float_cmp(b.i, a.f);
}

enum rank {
        R_NIL,
        R_BOOLEAN,
        R_NUMBER,
        R_STRING,
        R_KEYWORD,
        R_SYMBOL,
        R_VECTOR,
        R_LIST,
        R_MAP,
        R_OTHER
};
static enum rank rank_of(uint32_t tag)
{
        static const uint8_t ranks[T_MAX_] = {
                [T_NIL] = R_NIL,         [T_FALSE] = R_BOOLEAN, [T_TRUE] = R_BOOLEAN,
                [T_INT] = R_NUMBER,      [T_FLOAT] = R_NUMBER,  [T_STRING] = R_STRING,
                [T_KEYWORD] = R_KEYWORD, [T_SYMBOL] = R_SYMBOL, [T_VECTOR] = R_VECTOR,
                [T_LIST] = R_LIST,       [T_MAP] = R_MAP,       [T_NATIVE] = R_OTHER,
                [T_CLOSURE] = R_OTHER,   [T_ERROR] = R_OTHER,   [T_MAPFORM] = R_VECTOR,
                [T_BOX] = R_OTHER,       [T_NODE] = R_OTHER,    [T_PROTO] = R_OTHER,
                [T_MACRO] = R_OTHER,     [T_UNBOUND] = R_OTHER,
        };
        return (enum rank)ranks[tag]; /* grep TAG-ORDER */
}

/* False: the walk ended early. */
static bool compare(struct walk *w, val a, val b, int *ret);

static bool vectors_compare(struct walk *w, val a, val b, int *ret)
{
        uint32_t na = vec_count(a), nb = vec_count(b), n = na < nb ? na : nb;
        for (uint32_t i = 0; i < n; i++) {
                if (!compare(w, vec_at(a, i), vec_at(b, i), ret))
                        return false;
                if (*ret)
                        return true;
        }
        *ret = CMP(na, nb);
        return true;
}

static bool lists_compare(struct walk *w, const struct cons *a, const struct cons *b, int *ret)
{
        for (; a->count && b->count; a = a->tail, b = b->tail) {
                if (!compare(w, a->head, b->head, ret))
                        return false;
                if (*ret)
                        return true;
        }
        *ret = CMP(a->count, b->count); /* one of them is 0 */
        return true;
}

/* Maps. The rule: keys are rendered as texts "i:10", "k:name", "s:text"; both sequences of keys
 * are sorted and compared pair by pair, key then value; a shorter one is less. So what decides
 * is the least key in rendered order that one map lacks, or that has different values. One pass
 * in canonical order finds it, without memory for a sorted copy. */
static int rendered_class(uint32_t tag)
{
        return tag == T_INT ? 0 : tag == T_KEYWORD ? 1 : 2;
}
static int rendered_cmp(val a, val b)
{
        uint8_t text_a[24], text_b[24];
        if (a.tag != b.tag)
                return rendered_class(a.tag) - rendered_class(b.tag);
        if (a.tag != T_INT)
                return key_order(a, b);
        struct mv_out oa = mv_out(text_a, sizeof text_a), ob = mv_out(text_b, sizeof text_b);
        mv_text_int(&oa, a.i);
        mv_text_int(&ob, b.i);
        return mv_slice_cmp(mv_out_slice(&oa), mv_out_slice(&ob));
}

struct map_diff {
        struct map_iter a, b;
        val ka, va, kb, vb; /* current entries */
        bool has_a, has_b;
        val key, last_a, last_b; /* the deciding key so far; the greatest keys, in rendered order */
        enum { D_NONE, D_ONLY_A, D_ONLY_B, D_VALUE } kind;
        int value_cmp;
};

static void keep_greatest(val *last, val key)
{
        if (last->tag == T_UNBOUND || rendered_cmp(*last, key) < 0)
                *last = key;
}
static void next_a(struct map_diff *d)
{
        d->has_a = map_next(&d->a, &d->ka, &d->va);
        if (d->has_a)
                keep_greatest(&d->last_a, d->ka);
}
static void next_b(struct map_diff *d)
{
        d->has_b = map_next(&d->b, &d->kb, &d->vb);
        if (d->has_b)
                keep_greatest(&d->last_b, d->kb);
}

static bool decides(const struct map_diff *d, val key)
{
        return d->kind == D_NONE || rendered_cmp(key, d->key) < 0;
}

static bool diff_values(struct walk *w, struct map_diff *d)
{
        int c = 0;
        if (!decides(d, d->ka))
                return true;
        if (!compare(w, d->va, d->vb, &c))
                return false;
        if (c) {
                d->kind = D_VALUE;
                d->key = d->ka;
                d->value_cmp = c;
        }
        return true;
}

static void diff_keys(struct map_diff *d, bool only_a)
{
        val key = only_a ? d->ka : d->kb;
        if (decides(d, key)) {
                d->kind = only_a ? D_ONLY_A : D_ONLY_B;
                d->key = key;
        }
}

static bool diff_step(struct walk *w, struct map_diff *d)
{
        int c = !d->has_a ? 1 : !d->has_b ? -1 : key_order(d->ka, d->kb);
        if (!visit(w) || (c == 0 && !diff_values(w, d)))
                return false;
        if (c)
                diff_keys(d, c < 0);
        if (c <= 0)
                next_a(d);
        if (c >= 0)
                next_b(d);
        return true;
}

/* Does a map whose greatest key is `last` have a key behind the deciding one? Then that one
 * stands against it. */
static bool goes_on(val last, val key)
{
        return last.tag != T_UNBOUND && rendered_cmp(last, key) > 0;
}

static bool maps_compare(struct walk *w, val a, val b, int *ret)
{
        struct map_diff d = { .last_a = UNBOUND, .last_b = UNBOUND, .kind = D_NONE };
        map_iter(&d.a, a);
        map_iter(&d.b, b);
        next_a(&d);
        next_b(&d);
        while (d.has_a || d.has_b)
                if (!diff_step(w, &d))
                        return false;
        *ret = 0;
        if (d.kind == D_VALUE)
                *ret = d.value_cmp;
        else if (d.kind == D_ONLY_A)
                *ret = goes_on(d.last_b, d.key) ? -1 : 1;
        else if (d.kind == D_ONLY_B)
                *ret = goes_on(d.last_a, d.key) ? 1 : -1;
        return true;
}

/* By printed text: "#<error: MESSAGE>" stands before "#<function>". The '>' behind a message
 * takes part. */
static int other_cmp(val a, val b)
{
        if (a.tag != T_ERROR || b.tag != T_ERROR)
                return (b.tag == T_ERROR) - (a.tag == T_ERROR);
        struct mv_slice x = string_slice(as_error(a)->message),
                        y = string_slice(as_error(b)->message);
        size_t n = x.len < y.len ? x.len : y.len;
        int c = mv_slice_cmp(mv_slice(x.p, n), mv_slice(y.p, n));
        if (c || x.len == y.len)
                return c;
        if (x.len < y.len)
                return y.p[n] < '>' ? 1 : -1;
        return x.p[n] < '>' ? -1 : 1;
}

static bool containers_compare(struct walk *w, val a, val b, int *ret)
{
        bool ok;
        if (!descend(w))
                return false;
        if (a.tag == T_LIST)
                ok = lists_compare(w, as_cons(a), as_cons(b), ret);
        else if (a.tag == T_MAP)
                ok = maps_compare(w, a, b, ret);
        else
                ok = vectors_compare(w, a, b, ret);
        w->depth--;
        return ok;
}

static bool compare(struct walk *w, val a, val b, int *ret)
{
        enum rank rank = rank_of(a.tag);
        if (!visit(w))
                return false;
        *ret = (int)rank - (int)rank_of(b.tag);
        if (*ret)
                return true;
        switch (rank) {
        case R_NIL:
                return true;
        case R_BOOLEAN:
                *ret = (int)a.tag - (int)b.tag;
                return true;
        case R_NUMBER:
                *ret = number_cmp(a, b);
                return true;
        case R_STRING:
                *ret = mv_slice_cmp(string_slice(a), string_slice(b));
                return true;
        case R_KEYWORD:
        case R_SYMBOL:
                *ret = mv_slice_cmp(name_slice(a), name_slice(b));
                return true;
        case R_VECTOR:
        case R_LIST:
        case R_MAP:
                return containers_compare(w, a, b, ret);
        case R_OTHER:
                break;
        }
        *ret = other_cmp(a, b);
        return true;
}

enum native_status val_compare(struct mv_rtfs *r, val a, val b, int *ret)
{
        struct walk w = { .r = r };
        return compare(&w, a, b, ret) ? N_OK : w.status;
}
