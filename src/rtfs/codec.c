/* SPDX-License-Identifier: Apache-2.0 */
/* Evaluator values to and from deterministic CBOR (wire/cbor.h), without a tree in between.
 *
 * (1) What wire/cbor_tree.c accepts is accepted here and gives the same value, and equal values
 *     have equal bytes; one difference: a function's mark is refused (MV_E_PROGRAM: the bytes
 *     are well formed), for nothing here could be called.
 * (2) Map keys ascend on the wire in bytewise order of their encoding: 0 1 2 ..., -1 -2 ...,
 *     strings, keywords, shorter texts first. A map is written in one pass per group of keys,
 *     and per length of text: canonical key order is right inside a group, so no sorted copy is
 *     needed.
 * (3) Containers nest at most MV_VALUE_DEPTH_MAX deep, both ways. */
#include <base/limits.h>
#include <rtfs/map.h>
#include <rtfs/vm.h>
#include <wire/cbor.h>
#include <wire/text.h>

/* --- encode ----------------------------------------------------------------------------------- */
struct encoder {
        struct mv_out *o;
        uint32_t depth;
};

static bool encode(struct encoder *e, val v);

static bool encode_vector(struct encoder *e, val v)
{
        const val *items = NULL;
        if (vec_count(v) > MV_ITEMS_MAX || !mv_cbor_put_array(e->o, vec_count(v)))
                return false;
        for (uint32_t i = 0, n; i < vec_count(v); i += n) {
                n = vec_chunk(v, i, &items);
                for (uint32_t k = 0; k < n; k++)
                        if (!encode(e, items[k]))
                                return false;
        }
        return true;
}

static bool encode_list(struct encoder *e, const struct cons *c)
{
        if (c->count > MV_ITEMS_MAX || !mv_cbor_put_tag(e->o, MV_TAG_LIST) ||
            !mv_cbor_put_array(e->o, c->count))
                return false;
        for (; c->count; c = c->tail)
                if (!encode(e, c->head))
                        return false;
        return true;
}

/* One pass over a map (2). */
struct pass {
        uint32_t tag;
        bool negative;   /* of integers: written from the last to the first */
        uint32_t len;    /* of texts */
        uint32_t longer; /* the least length beyond len that was met */
};

static uint32_t key_len(val key)
{
        return key.tag == T_STRING ? as_string(key)->len : as_name(key)->len;
}

static bool pass_takes(struct pass *p, val key)
{
        if (key.tag != p->tag)
                return false;
        if (key.tag == T_INT)
                return (key.i < 0) == p->negative;
        uint32_t len = key_len(key);
        if (len > p->len && len < p->longer)
                p->longer = len;
        return len == p->len;
}

static bool encode_pass(struct encoder *e, const struct node *n, uint32_t height, struct pass *p)
{
        uint32_t count = n->h.used / 2u;
        for (uint32_t i = 0; i < count; i++) {
                uint32_t at = 2 * (p->negative ? count - 1 - i : i);
                bool ok = true;
                if (height)
                        ok = encode_pass(e, node_at(n, at + 1), height - 1, p);
                else if (pass_takes(p, n->item[at]))
                        ok = encode(e, n->item[at]) && encode(e, n->item[at + 1]);
                if (!ok)
                        return false;
        }
        return true;
}

static bool encode_texts(struct encoder *e, const struct map *m, uint32_t tag)
{
        struct pass p = { .tag = tag };
        do {
                p.len = p.longer;
                p.longer = UINT32_MAX;
                if (!encode_pass(e, m->root, m->height, &p))
                        return false;
        } while (p.longer != UINT32_MAX);
        return true;
}

/* Keys are non-negative integers, in their order. */
static bool encode_dense(struct encoder *e, val m)
{
        struct map_iter it;
        val key, value;
        for (map_iter(&it, m); map_next(&it, &key, &value);)
                if (!encode(e, key) || !encode(e, value))
                        return false;
        return true;
}

static bool encode_map(struct encoder *e, const struct map *m)
{
        struct pass natural = { .tag = T_INT }, negative = { .tag = T_INT, .negative = true };
        if (m->count > MV_ITEMS_MAX || !mv_cbor_put_map(e->o, m->count))
                return false;
        if (!m->root)
                return true;
        if (is_dense(m))
                return encode_dense(e, OBJ(T_MAP, m));
        return encode_pass(e, m->root, m->height, &natural) &&
               encode_pass(e, m->root, m->height, &negative) && encode_texts(e, m, T_STRING) &&
               encode_texts(e, m, T_KEYWORD);
}

/* A map literal that is still a form: a vector of k v k v in source order, where the last of
 * equal keys counts. Each step searches the next key, in time quadratic in the size of one
 * literal. */
static int wire_rank(val key)
{
        return key.tag == T_INT ? key.i < 0 : key.tag == T_STRING ? 2 : 3;
}
static int wire_cmp(val a, val b)
{
        int rank = wire_rank(a);
        if (rank != wire_rank(b))
                return rank - wire_rank(b);
        if (rank == 1)
                return key_order(b, a);
        if (rank > 1 && key_len(a) != key_len(b))
                return key_len(a) < key_len(b) ? -1 : 1;
        return key_order(a, b);
}

/* Position of the least key beyond `last` (NULL: of all); count when there is none. */
static uint32_t next_pair(val form, const val *last)
{
        uint32_t count = vec_count(form), best = count;
        for (uint32_t i = 0; i < count; i += 2) {
                val key = vec_at(form, i);
                if (last && wire_cmp(key, *last) <= 0)
                        continue;
                if (best == count || wire_cmp(key, vec_at(form, best)) <= 0)
                        best = i;
        }
        return best;
}

/* A form may be a pattern, whose keys are any forms: no map. */
static bool is_map(val form)
{
        for (uint32_t i = 0; i < vec_count(form); i += 2)
                if (!map_key_ok(vec_at(form, i)))
                        return false;
        return vec_count(form) % 2 == 0;
}

static uint32_t distinct_keys(val form)
{
        uint32_t distinct = 0, at = next_pair(form, NULL);
        for (val key; at < vec_count(form); distinct++) {
                key = vec_at(form, at);
                at = next_pair(form, &key);
        }
        return distinct;
}

static bool encode_map_form(struct encoder *e, val form)
{
        val key;
        if (!is_map(form) || vec_count(form) / 2 > MV_ITEMS_MAX ||
            !mv_cbor_put_map(e->o, distinct_keys(form)))
                return false;
        for (uint32_t at = next_pair(form, NULL); at < vec_count(form);
             at = next_pair(form, &key)) {
                key = vec_at(form, at);
                if (!encode(e, key) || !encode(e, vec_at(form, at + 1)))
                        return false;
        }
        return true;
}

static bool put_string(struct mv_out *o, val v)
{
        return v.tag == T_STRING && mv_cbor_put_text(o, string_slice(v));
}

static bool encode_error(struct encoder *e, const struct error *error)
{
        if (!mv_cbor_put_tag(e->o, MV_TAG_ERROR) || !mv_cbor_put_array(e->o, 3))
                return false;
        bool named = error->kind == E_OTHER ? put_string(e->o, error->name)
                                            : mv_cbor_put_str(e->o, error_kind_name(error));
        return named && put_string(e->o, error->message) && encode(e, error->data);
}

static bool encode_symbol(struct encoder *e, struct mv_slice name)
{
        bool reads_as_keyword = name.len > 0 && name.p[0] == ':';
        return !reads_as_keyword && mv_cbor_put_symbol(e->o, name);
}

static bool encode_container(struct encoder *e, val v)
{
        bool ok;
        if (e->depth >= MV_VALUE_DEPTH_MAX)
                return false;
        e->depth++;
        if (v.tag == T_VECTOR)
                ok = encode_vector(e, v);
        else if (v.tag == T_LIST)
                ok = encode_list(e, as_cons(v));
        else if (v.tag == T_MAP)
                ok = encode_map(e, as_map(v));
        else if (v.tag == T_MAPFORM)
                ok = encode_map_form(e, v);
        else
                ok = encode_error(e, as_error(v));
        e->depth--;
        return ok;
}

static bool encode(struct encoder *e, val v)
{
        switch ((enum tag)v.tag) {
        case T_NIL:
                return mv_cbor_put_null(e->o);
        case T_FALSE:
        case T_TRUE:
                return mv_cbor_put_bool(e->o, v.tag == T_TRUE);
        case T_INT:
                return mv_cbor_put_int(e->o, v.i);
        case T_FLOAT:
                return mv_cbor_put_float(e->o, v.f);
        case T_STRING:
                return mv_cbor_put_text(e->o, string_slice(v));
        case T_KEYWORD:
                return mv_cbor_put_keyword(e->o, name_slice(v));
        case T_SYMBOL:
                return encode_symbol(e, name_slice(v));
        case T_VECTOR:
        case T_LIST:
        case T_MAP:
        case T_MAPFORM:
        case T_ERROR:
                return encode_container(e, v);
        case T_NATIVE:
        case T_CLOSURE:
        case T_MACRO:
                return mv_cbor_put_tag(e->o, MV_TAG_FUNCTION) && mv_cbor_put_null(e->o);
        case T_BOX:
        case T_NODE:
        case T_PROTO:
        case T_UNBOUND:
        case T_MAX_:
                break;
        }
        return false;
}

bool encode_value(struct mv_out *o, val v)
{
        struct encoder e = { o, 0 };
        return encode(&e, v);
}

/* --- decode ----------------------------------------------------------------------------------- */
struct decoder {
        struct mv_rtfs *r;
        struct mv_cur c;
        struct mv_err *err;
        uint32_t depth;
};

static enum native_status hostile(struct decoder *d, const char *what)
{
        (void)MV_HOSTILE(d->err, what);
        return N_ERROR;
}

static enum native_status made(val v, val *ret)
{
        *ret = v;
        return nomem(v) ? N_NOMEM : N_OK;
}

static enum native_status decode(struct decoder *d, val *ret);

static enum native_status decode_vector(struct decoder *d, uint32_t count, val *ret)
{
        enum native_status s = made(count ? vec_builder(d->r) : vec_empty(d->r), ret);
        for (uint32_t i = 0; s == N_OK && i < count; i++) {
                val item;
                s = decode(d, &item);
                if (s == N_OK && !vec_push(d->r, *ret, item))
                        s = N_NOMEM;
        }
        return s;
}

/* Cells in the order of their items: each is linked from the one before it, which nobody else
 * has seen yet. */
static enum native_status decode_list(struct decoder *d, uint32_t count, val *ret)
{
        struct cons *end = as_cons(list_empty(d->r)), *first = end, **link = &first;
        for (; count; count--) {
                struct cons *c = heap_alloc(d->r, O_CONS, sizeof *c);
                if (!c)
                        return N_NOMEM;
                c->count = count;
                c->tail = end;
                *link = c;
                link = &c->tail;
                enum native_status s = decode(d, &c->head);
                if (s != N_OK)
                        return s;
        }
        *ret = OBJ(T_LIST, first);
        return N_OK;
}

static enum native_status decode_key(struct decoder *d, struct mv_slice *last, val *ret)
{
        struct mv_slice raw = { d->c.p, 0 };
        enum native_status s = decode(d, ret);
        if (s != N_OK)
                return s;
        if (!map_key_ok(*ret))
                return hostile(d, "value: a map key that is not a keyword, string or integer");
        raw.len = (size_t)(d->c.p - raw.p);
        if (last->len && mv_cbor_key_cmp(*last, raw) >= 0)
                return hostile(d, "value: map keys twice or out of order");
        *last = raw;
        return N_OK;
}

static enum native_status decode_map(struct decoder *d, uint32_t count, val *ret)
{
        struct mv_slice last = { NULL, 0 };
        enum native_status s = made(count ? map_builder(d->r) : map_empty(d->r), ret);
        for (uint32_t i = 0; s == N_OK && i < count; i++) {
                val key, value;
                s = decode_key(d, &last, &key);
                if (s == N_OK)
                        s = decode(d, &value);
                if (s == N_OK && !map_add(d->r, *ret, key, value))
                        s = N_NOMEM;
        }
        return s;
}

static enum error_kind kind_of_name(struct mv_slice name)
{
        static const char *const names[] = {
#define X(id, text, keyword) [E_##id] = text,
                ERROR_KIND_MAP(X)
#undef X
        };
        for (int i = 0; i < E_OTHER; i++)
                if (mv_slice_eq_str(name, names[i]))
                        return (enum error_kind)i;
        return E_OTHER;
}

static enum native_status decode_error(struct decoder *d, val *ret)
{
        val name, message, data;
        enum native_status s = decode(d, &name);
        if (s == N_OK)
                s = decode(d, &message);
        if (s == N_OK && (name.tag != T_STRING || message.tag != T_STRING))
                return hostile(d, "value: an error's kind or message is not text");
        if (s == N_OK)
                s = decode(d, &data);
        if (s != N_OK)
                return s;
        enum error_kind kind = kind_of_name(string_slice(name));
        s = made(error_new(d->r, kind, string_slice(message), data), ret);
        if (s == N_OK && kind == E_OTHER)
                as_error(*ret)->name = name;
        return s;
}

static enum native_status decode_identifier(struct decoder *d, struct mv_slice text, val *ret)
{
        if (text.len == 0 || text.p[0] != ':')
                return made(symbol_new(d->r, text), ret);
        return made(keyword_new(d->r, mv_slice(text.p + 1, text.len - 1)), ret);
}

/* A container whose items follow. */
enum shape { S_NONE, S_VECTOR, S_LIST, S_MAP, S_ERROR };
struct opening {
        enum shape shape; /* S_NONE: the value is whole */
        uint32_t count;
};

static enum native_status decode_tagged(struct decoder *d, uint64_t tag, struct opening *open,
                                        val *ret)
{
        struct mv_cbor_item item;
        if (mv_cbor_next(&d->c, &item, d->err) < 0)
                return N_ERROR;
        if (tag == MV_TAG_IDENTIFIER && item.kind == MV_CBOR_TEXT)
                return decode_identifier(d, item.text, ret);
        if (tag == MV_TAG_FUNCTION && item.kind == MV_CBOR_NULL) {
                (void)mv_fail(d->err, MV_E_PROGRAM, 0,
                              "value: a function's mark cannot become a function again");
                return N_ERROR;
        }
        if (tag == MV_TAG_LIST && item.kind == MV_CBOR_ARRAY)
                *open = (struct opening){ S_LIST, item.count };
        else if (tag == MV_TAG_ERROR && item.kind == MV_CBOR_ARRAY && item.count == 3)
                *open = (struct opening){ S_ERROR, 3 };
        else
                return hostile(d, "value: unknown tag, or a tag before the wrong kind of item");
        return N_OK;
}

/* A value, or the opening of a container. Apart and not inlined: the recursion must not carry
 * the item. */
__attribute__((noinline)) static enum native_status decode_head(struct decoder *d,
                                                                struct opening *open, val *ret)
{
        struct mv_cbor_item item;
        *open = (struct opening){ S_NONE, 0 };
        if (mv_cbor_next(&d->c, &item, d->err) < 0)
                return N_ERROR;
        switch (item.kind) {
        case MV_CBOR_NULL:
                return made(NIL, ret);
        case MV_CBOR_BOOL:
                return made(BOOL(item.boolean), ret);
        case MV_CBOR_INT:
                return made(INT(item.integer), ret);
        case MV_CBOR_FLOAT:
                return made(FLOAT(item.real), ret);
        case MV_CBOR_TEXT:
                return made(string_new(d->r, item.text), ret);
        case MV_CBOR_ARRAY:
                *open = (struct opening){ S_VECTOR, item.count };
                return N_OK;
        case MV_CBOR_MAP:
                *open = (struct opening){ S_MAP, item.count };
                return N_OK;
        case MV_CBOR_TAG:
                return decode_tagged(d, item.tag, open, ret);
        case MV_CBOR_BYTES:
                break;
        }
        return hostile(d, "value: a byte string inside a value");
}

static enum native_status decode_items(struct decoder *d, const struct opening *open, val *ret)
{
        switch (open->shape) {
        case S_VECTOR:
                return decode_vector(d, open->count, ret);
        case S_LIST:
                return decode_list(d, open->count, ret);
        case S_MAP:
                return decode_map(d, open->count, ret);
        case S_ERROR:
                return decode_error(d, ret);
        case S_NONE:
                break;
        }
        return N_OK;
}

static enum native_status decode(struct decoder *d, val *ret)
{
        struct opening open;
        enum native_status s = decode_head(d, &open, ret);
        if (s != N_OK || open.shape == S_NONE)
                return s;
        if (d->depth >= MV_VALUE_DEPTH_MAX)
                return hostile(d, "value: nested deeper than MV_VALUE_DEPTH_MAX");
        d->depth++;
        s = decode_items(d, &open, ret);
        d->depth--;
        return s;
}

enum native_status decode_value(struct mv_rtfs *r, struct mv_slice cbor, val *ret,
                                struct mv_err *err)
{
        struct decoder d = { r, mv_cur(cbor), err, 0 };
        val v;
        enum native_status s = decode(&d, &v);
        if (s != N_OK)
                return s;
        if (!mv_cur_done(&d.c))
                return hostile(&d, "value: bytes left over behind it");
        *ret = v;
        return N_OK;
}
