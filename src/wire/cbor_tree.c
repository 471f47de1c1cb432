/* SPDX-License-Identifier: Apache-2.0 */
/* wire/cbor_tree.c - whole values: decode, check and skip, encode.
 *
 * (1) Every item that an open array or map still owes takes a byte of its own: counts are checked against the bytes that
 *     nobody has claimed yet, so all nodes of a tree together never outnumber the bytes it came in.
 * (2) Skipping runs the same code as decoding, without an arena: what one accepts the other accepts.
 * (3) Map keys ascend in bytewise order on the wire (integers, strings, keywords; shorter first) and stand in RTFS order
 *     in a tree (keywords, strings, integers). The decoder sorts the entries it owns; the encoder may not move its input
 *     and sorts indexes at the end of the output (entries.h).
 * (4) Recursion stops at MV_VALUE_DEPTH_MAX; that is why the helpers are small and the frames too. */
#include <wire/cbor.h>
#include <wire/entries.h>
#include <wire/text.h>
#include <base/limits.h>
#include <base/slice.h>

/* --- decode ----------------------------------------------------------------------------------- */
struct reader {
        struct mv_cur *c;
        struct mv_arena *a; /* NULL: only check (2) */
        struct mv_err *err;
        size_t owed; /* items that open containers have not seen yet (1) */
        uint32_t depth;
};

static int read_value(struct reader *rd, struct mv_value *ret);

static int open_container(struct reader *rd, size_t items)
{
        if (rd->depth >= MV_VALUE_DEPTH_MAX)
                return MV_HOSTILE(rd->err, "value: nested deeper than MV_VALUE_DEPTH_MAX");
        if (items > mv_cur_left(rd->c) - rd->owed)
                return MV_HOSTILE(rd->err, "value: more items promised than bytes are left");
        rd->owed += items;
        rd->depth++;
        return 0;
}

static int read_child(struct reader *rd, struct mv_value *ret)
{
        rd->owed--;
        return read_value(rd, ret);
}

static int arena_full(struct reader *rd)
{
        return mv_fail(rd->err, MV_E_LIMIT, 0,
                       "a decoded value needs more memory than its arena has left");
}

static int read_items(struct reader *rd, enum mv_kind kind, uint32_t count, struct mv_value *ret)
{
        struct mv_value *items = NULL, checked;
        int r = open_container(rd, count);
        if (r < 0)
                return r;
        if (rd->a && count && !(items = mv_new(rd->a, struct mv_value, count)))
                return arena_full(rd);
        for (uint32_t i = 0; i < count; i++) {
                struct mv_value *item = items ? &items[i] : &checked;
                r = read_child(rd, item);
                if (r < 0)
                        return r;
                if (kind == MV_ERROR && i < 2 && item->kind != MV_STRING)
                        return MV_HOSTILE(rd->err, "value: an error's kind or message is not text");
        }
        rd->depth--;
        *ret = (struct mv_value){ .kind = kind, .count = count, .items = items };
        return 0;
}

static int read_key(struct reader *rd, struct mv_value *ret, struct mv_slice *last)
{
        struct mv_slice raw = { rd->c->p, 0 };
        int r = read_child(rd, ret);
        if (r < 0)
                return r;
        if (ret->kind != MV_KEYWORD && ret->kind != MV_STRING && ret->kind != MV_INT)
                return MV_HOSTILE(rd->err,
                                  "value: a map key that is not a keyword, string or integer");
        raw.len = (size_t)(rd->c->p - raw.p);
        if (last->len && mv_cbor_key_cmp(*last, raw) >= 0)
                return MV_HOSTILE(rd->err, "value: map keys twice or out of order");
        *last = raw;
        return 0;
}

static int read_entries(struct reader *rd, uint32_t count, struct mv_entry *entries)
{
        struct mv_slice last = { NULL, 0 };
        struct mv_entry checked;
        for (uint32_t i = 0; i < count; i++) {
                struct mv_entry *e = entries ? &entries[i] : &checked;
                int r = read_key(rd, &e->key, &last);
                if (r == 0)
                        r = read_child(rd, &e->value);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int read_map(struct reader *rd, uint32_t count, struct mv_value *ret)
{
        struct mv_entry *entries = NULL;
        int r = open_container(rd, 2 * (size_t)count);
        if (r < 0)
                return r;
        if (rd->a && count && !(entries = mv_new(rd->a, struct mv_entry, count)))
                return arena_full(rd);
        r = read_entries(rd, count, entries);
        if (r < 0)
                return r;
        if (entries && !mv_entries_sort(entries, count))
                return mv_fail(rd->err, MV_E_INTERNAL, 0,
                               "keys that ascend on the wire are equal in a tree");
        rd->depth--;
        *ret = (struct mv_value){ .kind = MV_MAP, .count = count, .entries = entries };
        return 0;
}

/* What stands behind a tag: an identifier or a function mark is whole then, a list or an error
 * still owes its items. */
static int read_behind_tag(struct reader *rd, uint64_t tag, struct mv_value *ret)
{
        struct mv_cbor_item item;
        int r = mv_cbor_next(rd->c, &item, rd->err);
        if (r < 0)
                return r;
        if (tag == MV_TAG_IDENTIFIER && item.kind == MV_CBOR_TEXT) {
                bool keyword = item.text.len > 0 && item.text.p[0] == ':';
                *ret = (struct mv_value){ .kind = keyword ? MV_KEYWORD : MV_SYMBOL };
                ret->text = mv_slice(item.text.p + keyword, item.text.len - keyword);
        } else if (tag == MV_TAG_FUNCTION && item.kind == MV_CBOR_NULL) {
                *ret = (struct mv_value){ .kind = MV_FUNCTION };
        } else if (tag == MV_TAG_LIST && item.kind == MV_CBOR_ARRAY) {
                *ret = (struct mv_value){ .kind = MV_LIST, .count = item.count };
        } else if (tag == MV_TAG_ERROR && item.kind == MV_CBOR_ARRAY && item.count == 3) {
                *ret = (struct mv_value){ .kind = MV_ERROR, .count = 3 };
        } else {
                return MV_HOSTILE(rd->err,
                                  "value: unknown tag, or a tag before the wrong kind of item");
        }
        return 0;
}

/* Everything of a value but the items of a container: apart and not inlined, so that the
 * recursion does not carry it. */
__attribute__((noinline)) static int read_head(struct reader *rd, struct mv_value *ret)
{
        struct mv_cbor_item item;
        int r = mv_cbor_next(rd->c, &item, rd->err);
        if (r < 0)
                return r;
        switch (item.kind) {
        case MV_CBOR_NULL:
                *ret = (struct mv_value){ .kind = MV_NIL };
                return 0;
        case MV_CBOR_BOOL:
                *ret = (struct mv_value){ .kind = MV_BOOL, .boolean = item.boolean };
                return 0;
        case MV_CBOR_INT:
                *ret = (struct mv_value){ .kind = MV_INT, .integer = item.integer };
                return 0;
        case MV_CBOR_FLOAT:
                *ret = (struct mv_value){ .kind = MV_FLOAT, .real = item.real };
                return 0;
        case MV_CBOR_TEXT:
                *ret = (struct mv_value){ .kind = MV_STRING, .text = item.text };
                return 0;
        case MV_CBOR_ARRAY:
                *ret = (struct mv_value){ .kind = MV_VECTOR, .count = item.count };
                return 0;
        case MV_CBOR_MAP:
                *ret = (struct mv_value){ .kind = MV_MAP, .count = item.count };
                return 0;
        case MV_CBOR_TAG:
                return read_behind_tag(rd, item.tag, ret);
        case MV_CBOR_BYTES:
                break;
        }
        return MV_HOSTILE(rd->err, "value: a byte string inside a value");
}

static int read_value(struct reader *rd, struct mv_value *ret)
{
        int r = read_head(rd, ret);
        if (r < 0)
                return r;
        switch (ret->kind) {
        case MV_VECTOR:
        case MV_LIST:
        case MV_ERROR:
                return read_items(rd, ret->kind, ret->count, ret);
        case MV_MAP:
                return read_map(rd, ret->count, ret);
        default:
                return 0;
        }
}

static int read_whole(struct mv_cur *c, struct mv_arena *a, struct mv_value *ret,
                      struct mv_err *err)
{
        struct reader rd = { c, a, err, 0, 0 };
        struct mv_value v;
        int r = read_value(&rd, &v);
        if (r < 0) {
                c->bad = true;
                return r;
        }
        *ret = v;
        return 0;
}

int mv_value_decode_next(struct mv_cur *c, struct mv_arena *a, struct mv_value *ret,
                         struct mv_err *err)
{
        return read_whole(c, a, ret, err);
}

int mv_value_decode(struct mv_slice bytes, struct mv_arena *a, const struct mv_value **ret,
                    struct mv_err *err)
{
        struct mv_cur c = mv_cur(bytes);
        struct mv_value *v = mv_new(a, struct mv_value, 1);
        if (!v)
                return mv_fail(err, MV_E_LIMIT, 0, "the arena of a value to decode is full");
        int r = read_whole(&c, a, v, err);
        if (r < 0)
                return r;
        if (!mv_cur_done(&c))
                return MV_HOSTILE(err, "value: bytes left over behind it");
        *ret = v;
        return 0;
}

int mv_cbor_skip(struct mv_cur *c, struct mv_slice *ret_raw, struct mv_err *err)
{
        const uint8_t *start = c->p;
        struct mv_value checked;
        int r = read_whole(c, NULL, &checked, err);
        if (r < 0)
                return r;
        *ret_raw = mv_slice(start, (size_t)(c->p - start));
        return 0;
}

/* --- encode ----------------------------------------------------------------------------------- */
/* ORDER CBOR-KEY: heads are bytes 00..1b, 20..3b, 60..7b, d8. */
static int wire_rank(const struct mv_value *key)
{
        if (key->kind == MV_INT)
                return key->integer < 0;
        return key->kind == MV_STRING ? 2 : key->kind == MV_KEYWORD ? 3 : 4;
}

/* What mv_slice_cmp says of the two encodings: the head of a text holds its length, so the
 * shorter one goes first. */
static int wire_key_cmp(const struct mv_value *a, const struct mv_value *b)
{
        int ra = wire_rank(a), rb = wire_rank(b);
        if (ra != rb)
                return ra < rb ? -1 : 1;
        if (ra == 0)
                return (a->integer > b->integer) - (a->integer < b->integer);
        if (ra == 1) /* -1 is 20, -2 is 21 ... */
                return (a->integer < b->integer) - (a->integer > b->integer);
        if (ra == 4)
                return 0;
        if (a->text.len != b->text.len)
                return a->text.len < b->text.len ? -1 : 1;
        return mv_slice_cmp(a->text, b->text);
}

static bool write_value(struct mv_out *o, const struct mv_value *v, uint32_t depth);

static bool write_text(struct mv_out *o, const struct mv_value *v)
{
        if (!mv_utf8_valid(v->text))
                return false;
        if (v->kind == MV_STRING)
                return mv_cbor_put_text(o, v->text);
        if (v->kind == MV_KEYWORD)
                return mv_cbor_put_keyword(o, v->text);
        bool reads_as_keyword = v->text.len > 0 && v->text.p[0] == ':';
        return !reads_as_keyword && mv_cbor_put_symbol(o, v->text);
}

static bool write_items(struct mv_out *o, const struct mv_value *v, uint32_t depth)
{
        if (v->count > MV_ITEMS_MAX || !mv_cbor_put_array(o, v->count))
                return false;
        for (uint32_t i = 0; i < v->count; i++)
                if (!write_value(o, &v->items[i], depth + 1))
                        return false;
        return true;
}

static bool write_error(struct mv_out *o, const struct mv_value *v, uint32_t depth)
{
        if (v->items[0].kind != MV_STRING || v->items[1].kind != MV_STRING)
                return false;
        return mv_cbor_put_tag(o, MV_TAG_ERROR) && mv_cbor_put_array(o, 3) &&
               write_text(o, &v->items[0]) && write_text(o, &v->items[1]) &&
               write_value(o, &v->items[2], depth + 1);
}

/* The least entry is two bytes, and beyond 65536 entries all but 49 of them (the keys of one byte) are three bytes: an
 * output with 49 bytes to spare is always enough. */
static uint8_t index_width(uint32_t entries)
{
        return entries <= 1u << 16 ? 2 : 3;
}

static bool write_entries(struct mv_out *o, struct mv__walk *w, uint32_t depth)
{
        const struct mv_entry *last = NULL;
        for (uint32_t i = 0; i < w->count; i++) {
                const struct mv_entry *e = mv__walk_at(w, o, i);
                if (wire_rank(&e->key) > 3 || (last && wire_key_cmp(&last->key, &e->key) == 0))
                        return false;
                if (!write_value(o, &e->key, depth) || !write_value(o, &e->value, depth))
                        return false;
                last = e;
        }
        return true;
}

static bool write_map(struct mv_out *o, const struct mv_value *v, uint32_t depth)
{
        struct mv__walk w;
        if (v->count > MV_ITEMS_MAX || !mv_cbor_put_map(o, v->count))
                return false;
        if (!mv__walk_begin(&w, o, v, index_width(v->count), wire_key_cmp))
                return false;
        bool ok = write_entries(o, &w, depth + 1);
        mv__walk_end(&w, o);
        return ok;
}

static bool write_value(struct mv_out *o, const struct mv_value *v, uint32_t depth)
{
        bool nests = v->kind == MV_VECTOR || v->kind == MV_LIST || v->kind == MV_MAP ||
                     v->kind == MV_ERROR;
        if (nests && depth >= MV_VALUE_DEPTH_MAX)
                return false;
        switch (v->kind) {
        case MV_NIL:
                return mv_cbor_put_null(o);
        case MV_BOOL:
                return mv_cbor_put_bool(o, v->boolean);
        case MV_INT:
                return mv_cbor_put_int(o, v->integer);
        case MV_FLOAT:
                return mv_cbor_put_float(o, v->real);
        case MV_STRING:
        case MV_KEYWORD:
        case MV_SYMBOL:
                return write_text(o, v);
        case MV_VECTOR:
                return write_items(o, v, depth);
        case MV_LIST:
                return mv_cbor_put_tag(o, MV_TAG_LIST) && write_items(o, v, depth);
        case MV_MAP:
                return write_map(o, v, depth);
        case MV_FUNCTION:
                return mv_cbor_put_tag(o, MV_TAG_FUNCTION) && mv_cbor_put_null(o);
        case MV_ERROR:
                return write_error(o, v, depth);
        case MV_KIND_MAX_:
                break;
        }
        return false;
}

bool mv_value_encode(struct mv_out *o, const struct mv_value *v)
{
        return write_value(o, v, 0);
}
