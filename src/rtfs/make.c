/* SPDX-License-Identifier: Apache-2.0 */
/* Constructors of strings, names and lists (heap.h). A source text may lie in the heap: nothing
 * moves in here. */
#include <rtfs/vm.h>

#define STRING_BYTES_MAX (1u << 31)
#define LIST_COUNT_MAX   (1u << 31)

/* --- strings ---------------------------------------------------------------------------------- */
/* Code points of valid UTF-8: bytes that do not continue one. Eight at a time: every string
 * passes here. */
static uint32_t count_points(const uint8_t *p, uint32_t len)
{
        uint32_t continued = 0, i = 0;
        for (; i + 8 <= len; i += 8) {
                uint64_t x;
                memcpy(&x, p + i, sizeof x);
                x = (x >> 7) & (~x >> 6) & 0x0101010101010101u; /* 10xxxxxx */
                continued += (uint32_t)(x * 0x0101010101010101u >> 56);
        }
        for (; i < len; i++)
                continued += (p[i] & 0xc0) == 0x80;
        return len - continued;
}

val string_alloc(struct mv_rtfs *r, size_t len, uint8_t **ret_text)
{
        struct string *s =
                len <= STRING_BYTES_MAX ? heap_alloc_raw(r, O_STRING, string_bytes(len)) : NULL;
        if (!s)
                return NOMEM_VAL;
        s->chars = 0;
        s->len = (uint32_t)len;
        *ret_text = s->text;
        return OBJ(T_STRING, s);
}

val string_seal(val v)
{
        struct string *s = as_string(v);
        uint32_t *index = string_index(s), blocks = string_index_count(s->len), chars = 0;
        /* it may have become shorter */
        memset(s->text + s->len, 0, s->h.size - sizeof *s - s->len);
        for (uint32_t k = 0; k < blocks; k++)
                index[k] = chars += count_points(s->text + k * STRING_BLOCK, STRING_BLOCK);
        s->chars = chars +
                   count_points(s->text + blocks * STRING_BLOCK, s->len - blocks * STRING_BLOCK);
        return v;
}

val string_new(struct mv_rtfs *r, struct mv_slice s)
{
        uint8_t *text;
        val v = string_alloc(r, s.len, &text);
        if (nomem(v))
                return v;
        if (s.len)
                memcpy(text, s.p, s.len);
        return string_seal(v);
}

val string_from(struct mv_rtfs *r, const char *s)
{
        return string_new(r, mv_slice_str(s));
}

/* --- names ------------------------------------------------------------------------------------ */
/* FNV-1a; a fixed seed, for evaluation must be repeatable. */
static uint32_t name_hash(struct mv_slice s)
{
        uint32_t h = 2166136261u;
        for (size_t i = 0; i < s.len; i++)
                h = (h ^ s.p[i]) * 16777619u;
        return h;
}

static uint64_t name_prefix(struct mv_slice s)
{
        uint64_t prefix = 0;
        for (size_t i = 0; i < 8; i++)
                prefix = prefix << 8 | (i < s.len ? s.p[i] : 0);
        return prefix;
}

/* The slot of a name in the table of the program's names, or the free one where it belongs. */
static val *table_slot(const struct mv_rtfs *r, struct mv_slice s, uint32_t hash)
{
        struct node *table = (struct node *)r->names.o;
        uint32_t mask = (uint32_t)((table->h.size - sizeof *table) / sizeof(val)) - 1;
        for (uint32_t i = hash & mask;; i = (i + 1) & mask) { /* half of it is free: this ends */
                val *slot = &table->item[i];
                if (slot->tag == T_NIL)
                        return slot;
                const struct name *n = as_name(*slot);
                if (slot->pos == hash && mv_slice_eq(mv_slice(n->text, n->len), s))
                        return slot;
        }
}

/* Room for one more name. The old table stays as it is, and is garbage then. */
static bool table_grow(struct mv_rtfs *r)
{
        struct node *old = r->names.tag == T_NODE ? (struct node *)r->names.o : NULL;
        uint32_t capacity = old ? (uint32_t)((old->h.size - sizeof *old) / sizeof(val)) : 0;
        if (2 * (r->names_in_table + 1) <= capacity)
                return true;
        uint32_t larger = capacity ? 2 * capacity : NAME_BUCKETS;
        struct node *table = heap_alloc(r, O_NODE, sizeof *table + larger * sizeof(val));
        if (!table)
                return false;
        r->names = OBJ(T_NODE, table);
        for (uint32_t i = 0; i < capacity; i++)
                if (old->item[i].tag != T_NIL) {
                        const struct name *n = as_name(old->item[i]);
                        *table_slot(r, mv_slice(n->text, n->len), n->hash) = old->item[i];
                }
        return true;
}

static struct name *make_name(struct mv_rtfs *r, struct mv_slice s, uint32_t hash)
{
        struct name *n =
                s.len <= STRING_BYTES_MAX ? heap_alloc(r, O_NAME, sizeof *n + s.len) : NULL;
        if (!n)
                return NULL;
        n->len = (uint32_t)s.len;
        n->hash = hash;
        n->prefix = name_prefix(s);
        n->global = -1;
        if (s.len)
                memcpy(n->text, s.p, s.len);
        return n;
}

/* The names of the library and the first ones of a program are in chains. Names beyond that are in a hash table that
 * grows: a hundred thousand keywords are found as fast as ten. */
struct name *name_intern(struct mv_rtfs *r, struct mv_slice s)
{
        uint32_t hash = name_hash(s);
        struct name **bucket = &r->buckets[hash % NAME_BUCKETS];
        for (struct name *n = *bucket; n; n = n->next)
                if (n->hash == hash && mv_slice_eq(mv_slice(n->text, n->len), s))
                        return n;
        bool chain = r->names_in_chains < NAMES_IN_CHAINS_MAX;
        if (!chain && !table_grow(r))
                return NULL;
        val *slot = chain ? NULL : table_slot(r, s, hash);
        if (slot && slot->tag != T_NIL)
                return as_name(*slot);
        struct name *n = make_name(r, s, hash);
        if (!n)
                return NULL;
        if (slot) {
                *slot = OBJ(T_SYMBOL, n);
                slot->pos = hash;
                r->names_in_table++;
        } else {
                n->next = *bucket; /* in front: names of the image are never written to */
                *bucket = n;
                r->names_in_chains++;
        }
        return n;
}

static val name_val(uint32_t tag, struct name *n)
{
        return n ? OBJ(tag, n) : NOMEM_VAL;
}

val keyword_new(struct mv_rtfs *r, struct mv_slice s)
{
        return name_val(T_KEYWORD, name_intern(r, s));
}

val symbol_new(struct mv_rtfs *r, struct mv_slice s)
{
        return name_val(T_SYMBOL, name_intern(r, s));
}

/* --- lists ------------------------------------------------------------------------------------ */
val list_empty(struct mv_rtfs *r)
{
        return r->empty_list;
}

val list_cons(struct mv_rtfs *r, val head, val tail_list)
{
        struct cons *tail = as_cons(tail_list);
        struct cons *c = tail->count < LIST_COUNT_MAX ? heap_alloc(r, O_CONS, sizeof *c) : NULL;
        if (!c)
                return NOMEM_VAL;
        c->head = head;
        c->tail = tail;
        c->count = tail->count + 1;
        return OBJ(T_LIST, c);
}

val list_new(struct mv_rtfs *r, const val *items, uint32_t count)
{
        val list = list_empty(r);
        while (count-- && !nomem(list))
                list = list_cons(r, items[count], list);
        return list;
}

/* --- the shared empty ones -------------------------------------------------------------------- */
bool make_empties(struct mv_rtfs *r)
{
        struct cons *list = heap_alloc(r, O_CONS, sizeof *list);
        val vector = vec_builder(r), map = map_builder(r);
        if (!list || nomem(vector) || nomem(map))
                return false;
        r->empty_list = OBJ(T_LIST, list);
        r->empty_vector = vector;
        r->empty_map = map;
        return true;
}
