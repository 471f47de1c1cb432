/* SPDX-License-Identifier: Apache-2.0 */
/* wire/value.c - looking at value trees: accessors, equality, the canonical order of map keys, deep copies.
 *
 * (1) Accessors never fail loudly: a NULL or a value of another kind is "absent" (REQ-VAL-07).
 * (2) Walkers stop at MV_VALUE_DEPTH_MAX: what lies deeper is unequal and cannot be copied. */
#include <wire/cbor.h>
#include <wire/entries.h>
#include <base/limits.h>
#include <base/slice.h>

const char *mv_kind_name(enum mv_kind kind)
{
        static const char *const names[] = {
                [MV_NIL] = "nil",       [MV_BOOL] = "boolean",      [MV_INT] = "integer",
                [MV_FLOAT] = "float",   [MV_STRING] = "string",     [MV_KEYWORD] = "keyword",
                [MV_SYMBOL] = "symbol", [MV_VECTOR] = "vector",     [MV_LIST] = "list",
                [MV_MAP] = "map",       [MV_FUNCTION] = "function", [MV_ERROR] = "error",
        };
        _Static_assert(sizeof names / sizeof names[0] == MV_KIND_MAX_, "every kind has a name");
        return kind < MV_KIND_MAX_ ? names[kind] : "unknown";
}

bool mv_as_int(const struct mv_value *v, int64_t *ret)
{
        if (!v || v->kind != MV_INT)
                return false;
        *ret = v->integer;
        return true;
}

bool mv_as_bool(const struct mv_value *v, bool *ret)
{
        if (!v || v->kind != MV_BOOL)
                return false;
        *ret = v->boolean;
        return true;
}

bool mv_as_float(const struct mv_value *v, double *ret)
{
        if (!v || (v->kind != MV_FLOAT && v->kind != MV_INT))
                return false;
        *ret = v->kind == MV_FLOAT ? v->real : (double)v->integer;
        return true;
}

bool mv_as_text(const struct mv_value *v, struct mv_slice *ret)
{
        if (!v || (v->kind != MV_STRING && v->kind != MV_KEYWORD && v->kind != MV_SYMBOL))
                return false;
        *ret = v->text;
        return true;
}

static const struct mv_value *find_text_key(const struct mv_value *map, enum mv_kind kind,
                                            struct mv_slice name)
{
        for (uint32_t i = 0; i < map->count; i++) {
                const struct mv_entry *e = &map->entries[i];
                if (e->key.kind == kind && mv_slice_eq(e->key.text, name))
                        return &e->value;
        }
        return NULL;
}

const struct mv_value *mv_map_get(const struct mv_value *map, const char *key)
{
        if (!map || map->kind != MV_MAP || !key)
                return NULL;
        const struct mv_value *v = find_text_key(map, MV_KEYWORD, mv_slice_str(key));
        return v ? v : find_text_key(map, MV_STRING, mv_slice_str(key));
}

const struct mv_value *mv_seq_at(const struct mv_value *seq, uint32_t index)
{
        if (!seq || (seq->kind != MV_VECTOR && seq->kind != MV_LIST) || index >= seq->count)
                return NULL;
        return &seq->items[index];
}

/* --- equality --------------------------------------------------------------------------------- */
static bool equal(const struct mv_value *a, const struct mv_value *b, uint32_t depth);

static bool items_equal(const struct mv_value *a, const struct mv_value *b, uint32_t depth)
{
        if (a->count != b->count || depth >= MV_VALUE_DEPTH_MAX)
                return false;
        for (uint32_t i = 0; i < a->count; i++)
                if (!equal(&a->items[i], &b->items[i], depth + 1))
                        return false;
        return true;
}

/* Both are in canonical order, so equal maps agree entry by entry. */
static bool entries_equal(const struct mv_value *a, const struct mv_value *b, uint32_t depth)
{
        if (a->count != b->count || depth >= MV_VALUE_DEPTH_MAX)
                return false;
        for (uint32_t i = 0; i < a->count; i++) {
                if (mv_key_cmp(&a->entries[i].key, &b->entries[i].key) != 0)
                        return false;
                if (!equal(&a->entries[i].value, &b->entries[i].value, depth + 1))
                        return false;
        }
        return true;
}

static bool equal(const struct mv_value *a, const struct mv_value *b, uint32_t depth)
{
        if (a->kind != b->kind)
                return false;
        switch (a->kind) {
        case MV_NIL:
                return true;
        case MV_BOOL:
                return a->boolean == b->boolean;
        case MV_INT:
                return a->integer == b->integer;
        case MV_FLOAT:
                return a->real == b->real;
        case MV_STRING:
        case MV_KEYWORD:
        case MV_SYMBOL:
                return mv_slice_eq(a->text, b->text);
        case MV_VECTOR:
        case MV_LIST:
                return items_equal(a, b, depth);
        case MV_MAP:
                return entries_equal(a, b, depth);
        case MV_ERROR: /* by message, spec 2.3 */
                return mv_slice_eq(a->items[1].text, b->items[1].text);
        case MV_FUNCTION: /* by identity; two marks tell nothing about what they mark */
        case MV_KIND_MAX_:
                break;
        }
        return a == b;
}

bool mv_value_equal(const struct mv_value *a, const struct mv_value *b)
{
        return a && b && equal(a, b, 0);
}

/* --- key order -------------------------------------------------------------------------------- */
static int key_rank(enum mv_kind kind)
{
        return kind == MV_KEYWORD ? 0 : kind == MV_STRING ? 1 : kind == MV_INT ? 2 : 3;
}

int mv_key_cmp(const struct mv_value *a, const struct mv_value *b)
{
        int ra = key_rank(a->kind), rb = key_rank(b->kind);
        if (ra != rb)
                return ra < rb ? -1 : 1;
        if (ra == 2)
                return (a->integer > b->integer) - (a->integer < b->integer);
        return ra < 2 ? mv_slice_cmp(a->text, b->text) : 0;
}

static void swap(struct mv_entry *a, struct mv_entry *b)
{
        struct mv_entry t = *a;
        *a = *b;
        *b = t;
}

static void sift_down(struct mv_entry *e, uint32_t root, uint32_t count, mv__key_cmp_fn *cmp)
{
        for (;;) {
                uint64_t child = 2 * (uint64_t)root + 1;
                if (child >= count)
                        return;
                if (child + 1 < count && cmp(&e[child].key, &e[child + 1].key) < 0)
                        child++;
                if (cmp(&e[root].key, &e[child].key) >= 0)
                        return;
                swap(&e[root], &e[child]);
                root = (uint32_t)child;
        }
}

/* A heap sort: no recursion and no quadratic case for a hostile order. */
void mv__entries_order(struct mv_entry *e, uint32_t count, mv__key_cmp_fn *cmp)
{
        uint32_t sorted = 1;
        while (sorted < count && cmp(&e[sorted - 1].key, &e[sorted].key) <= 0)
                sorted++;
        if (sorted >= count)
                return;
        for (uint32_t i = count / 2; i-- > 0;)
                sift_down(e, i, count, cmp);
        for (uint32_t end = count - 1; end > 0; end--) {
                swap(&e[0], &e[end]);
                sift_down(e, 0, end, cmp);
        }
}

bool mv_entries_sort(struct mv_entry *entries, uint32_t count)
{
        for (uint32_t i = 0; i < count; i++)
                if (key_rank(entries[i].key.kind) > 2)
                        return false;
        mv__entries_order(entries, count, mv_key_cmp);
        for (uint32_t i = 1; i < count; i++)
                if (mv_key_cmp(&entries[i - 1].key, &entries[i].key) == 0)
                        return false;
        return true;
}

/* --- copies ----------------------------------------------------------------------------------- */
static bool copy_into(const struct mv_value *v, struct mv_arena *a, struct mv_value *ret,
                      uint32_t depth);

static bool copy_text(const struct mv_value *v, struct mv_arena *a, struct mv_value *ret)
{
        *ret = *v;
        if (v->text.len == 0) {
                ret->text = MV_SLICE("");
                return true;
        }
        uint8_t *p = mv_new(a, uint8_t, v->text.len);
        if (!p)
                return false;
        memcpy(p, v->text.p, v->text.len);
        ret->text.p = p;
        return true;
}

static bool copy_items(const struct mv_value *v, struct mv_arena *a, struct mv_value *ret,
                       uint32_t depth)
{
        uint32_t count = v->kind == MV_ERROR ? 3 : v->count;
        struct mv_value *items = NULL;
        if (count && !(items = mv_new(a, struct mv_value, count)))
                return false;
        for (uint32_t i = 0; i < count; i++)
                if (!copy_into(&v->items[i], a, &items[i], depth + 1))
                        return false;
        *ret = (struct mv_value){ .kind = v->kind, .count = v->count, .items = items };
        return true;
}

static bool copy_entries(const struct mv_value *v, struct mv_arena *a, struct mv_value *ret,
                         uint32_t depth)
{
        struct mv_entry *entries = NULL;
        if (v->count && !(entries = mv_new(a, struct mv_entry, v->count)))
                return false;
        for (uint32_t i = 0; i < v->count; i++) {
                if (!copy_into(&v->entries[i].key, a, &entries[i].key, depth + 1))
                        return false;
                if (!copy_into(&v->entries[i].value, a, &entries[i].value, depth + 1))
                        return false;
        }
        *ret = (struct mv_value){ .kind = MV_MAP, .count = v->count, .entries = entries };
        return mv_entries_sort(entries, v->count);
}

static bool copy_into(const struct mv_value *v, struct mv_arena *a, struct mv_value *ret,
                      uint32_t depth)
{
        switch (v->kind) {
        case MV_STRING:
        case MV_KEYWORD:
        case MV_SYMBOL:
                return copy_text(v, a, ret);
        case MV_VECTOR:
        case MV_LIST:
        case MV_ERROR:
                return depth < MV_VALUE_DEPTH_MAX && copy_items(v, a, ret, depth);
        case MV_MAP:
                return depth < MV_VALUE_DEPTH_MAX && copy_entries(v, a, ret, depth);
        default:
                *ret = *v;
                return true;
        }
}

const struct mv_value *mv_value_copy(const struct mv_value *v, struct mv_arena *a)
{
        struct mv_value *copy = mv_new(a, struct mv_value, 1);
        return copy && copy_into(v, a, copy, 0) ? copy : NULL;
}
