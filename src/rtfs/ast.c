/* SPDX-License-Identifier: Apache-2.0 */
/* Programs as trees of forms in CBOR, docs/formats/ast.md: what the reader makes of a source,
 * without the source.
 *
 * (1) What is accepted is what the reader could have made: names that can be written, marks in the
 *     shape it gives them. The compiler needs to know of no other forms, and names that belong to
 *     a module alone cannot be made here either.
 * (2) Nothing is believed before it was decoded: depth, counts and tags are checked item by item.
 * (3) Nothing collects meanwhile, so what was made needs no roots. */
#include <base/limits.h>
#include <rtfs/reader.h>
#include <wire/cbor.h>

/* Lists that the reader makes of marks; their first symbol has a space, so no program can write
 * it. */
#define META_MARK     "with meta"
#define CONTEXT_MARK  "context ref"
#define DELEGATE_MARK "delegate to"

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

static enum native_status next(struct decoder *d, struct mv_cbor_item *ret)
{
        return mv_cbor_next(&d->c, ret, d->err) < 0 ? N_ERROR : N_OK;
}

static enum native_status form(struct decoder *d, val *ret);

/* --- names ------------------------------------------------------------------------------------ */
static bool is_one_of(struct mv_slice s, const char *const *list)
{
        for (; *list; list++)
                if (mv_slice_eq_str(s, *list))
                        return true;
        return false;
}

static bool is_mark(struct mv_slice s)
{
        static const char *const marks[] = { META_MARK, CONTEXT_MARK, DELEGATE_MARK, NULL };
        return is_one_of(s, marks);
}

/* May it be written? (1) */
static bool symbol_ok(struct mv_slice s)
{
        static const char *const literals[] = { "nil", "true", "false", NULL };
        static const char *const single[] = { "&", ":", NULL };
        if (is_one_of(s, single) || is_mark(s))
                return true;
        return s.len && reader_symbol_length(s) == s.len && !is_one_of(s, literals);
}

static enum native_status identifier(struct decoder *d, struct mv_slice s, val *ret)
{
        if (s.len > 1 && s.p[0] == ':') {
                struct mv_slice name = mv_slice(s.p + 1, s.len - 1);
                if (reader_symbol_length(name) != name.len)
                        return hostile(d, "ast: a keyword that cannot be written");
                return made(keyword_new(d->r, name), ret);
        }
        return symbol_ok(s) ? made(symbol_new(d->r, s), ret)
                            : hostile(d, "ast: a symbol that cannot be written");
}

/* --- containers ------------------------------------------------------------------------------- */
static enum native_status items(struct decoder *d, uint32_t count, val *ret)
{
        enum native_status s = made(vec_builder(d->r), ret);
        for (uint32_t i = 0; s == N_OK && i < count; i++) {
                val item;
                s = form(d, &item);
                if (s == N_OK && !vec_push(d->r, *ret, item))
                        s = N_NOMEM;
        }
        return s;
}

static bool mark_fits(struct mv_slice mark, struct cons *list)
{
        val first = list->count > 1 ? list->tail->head : NIL;
        if (mv_slice_eq_str(mark, META_MARK))
                return list->count == 3 && first.tag == T_MAPFORM;
        if (mv_slice_eq_str(mark, CONTEXT_MARK))
                return list->count == 2 && first.tag == T_STRING;
        return list->count == 2 && (first.tag == T_STRING || first.tag == T_NIL);
}

/* A mark is the head of a list of its shape and nothing else. */
static enum native_status check_marks(struct decoder *d, struct cons *first)
{
        for (struct cons *c = first; c->count; c = c->tail) {
                if (c->head.tag != T_SYMBOL || !is_mark(name_slice(c->head)))
                        continue;
                if (c != first || !mark_fits(name_slice(c->head), first))
                        return hostile(d, "ast: a reader's mark out of place");
        }
        return N_OK;
}

static enum native_status list(struct decoder *d, uint32_t count, val *ret)
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
                enum native_status s = form(d, &c->head);
                if (s != N_OK)
                        return s;
        }
        *ret = OBJ(T_LIST, first);
        return check_marks(d, first);
}

/* Marks mean nothing in a vector or a map. */
static enum native_status plain(struct decoder *d, val v)
{
        for (uint32_t i = 0; i < vec_count(v); i++)
                if (vec_at(v, i).tag == T_SYMBOL && is_mark(name_slice(vec_at(v, i))))
                        return hostile(d, "ast: a reader's mark out of place");
        return N_OK;
}

static enum native_status vector(struct decoder *d, uint32_t count, val *ret)
{
        enum native_status s = items(d, count, ret);
        return s == N_OK ? plain(d, *ret) : s;
}

/* Keys and values in the order of evaluation; a pattern has any forms as keys. */
static enum native_status map(struct decoder *d, uint64_t count, val *ret)
{
        if (count % 2 || count > MV_ITEMS_MAX)
                return hostile(d, "ast: a map without a value for every key");
        enum native_status s = vector(d, (uint32_t)count, ret);
        if (s == N_OK)
                ret->tag = T_MAPFORM;
        return s;
}

static enum native_status inside(struct decoder *d, const struct mv_cbor_item *item, val *ret);

/* [line column form]: no level of its own, and none inside another. */
static enum native_status placed(struct decoder *d, val *ret)
{
        struct mv_cbor_item at[4];
        for (int i = 0; i < 3; i++) {
                enum native_status s = next(d, &at[i]);
                if (s != N_OK)
                        return s;
                if (i == 0 ? at[i].kind != MV_CBOR_ARRAY || at[i].count != 3
                           : at[i].kind != MV_CBOR_INT || at[i].integer < 1 ||
                                     at[i].integer > UINT32_MAX)
                        return hostile(d, "ast: a place is line, column and a form");
        }
        enum native_status s = next(d, &at[3]);
        if (s == N_OK && at[3].kind == MV_CBOR_TAG && at[3].tag == MV_TAG_PLACE)
                return hostile(d, "ast: a place of a place");
        if (s == N_OK)
                s = inside(d, &at[3], ret);
        if (s != N_OK)
                return s;
        uint32_t pos = pos_make((uint32_t)at[1].integer, (uint32_t)at[2].integer);
        if (ret->tag == T_SYMBOL) {
                ret->pos = pos;
        } else if (ret->tag == T_LIST && as_cons(*ret)->count) {
                as_cons(*ret)->pos = pos;
        } else if (ret->tag == T_VECTOR || ret->tag == T_MAPFORM) {
                as_vec(*ret)->line = pos >> POS_COLUMN_BITS;
                as_vec(*ret)->column = pos & POS_COLUMN_MASK;
        }
        return N_OK;
}

static enum native_status tagged(struct decoder *d, uint64_t tag, val *ret)
{
        struct mv_cbor_item item;
        if (tag == MV_TAG_PLACE)
                return placed(d, ret);
        enum native_status s = next(d, &item);
        if (s != N_OK)
                return s;
        if (tag == MV_TAG_IDENTIFIER && item.kind == MV_CBOR_TEXT)
                return identifier(d, item.text, ret);
        if (tag == MV_TAG_LIST && item.kind == MV_CBOR_ARRAY)
                return list(d, item.count, ret);
        if (tag == MV_TAG_MAP_FORM && item.kind == MV_CBOR_ARRAY)
                return map(d, item.count, ret);
        return hostile(d, "ast: unknown tag, or a tag before the wrong kind of item");
}

static enum native_status inside(struct decoder *d, const struct mv_cbor_item *item, val *ret)
{
        switch (item->kind) {
        case MV_CBOR_NULL:
                return made(NIL, ret);
        case MV_CBOR_BOOL:
                return made(BOOL(item->boolean), ret);
        case MV_CBOR_INT:
                return made(INT(item->integer), ret);
        case MV_CBOR_FLOAT:
                return made(FLOAT(item->real), ret);
        case MV_CBOR_TEXT:
                return made(string_new(d->r, item->text), ret);
        case MV_CBOR_ARRAY:
                return vector(d, item->count, ret);
        case MV_CBOR_MAP:
                return map(d, 2ull * item->count, ret);
        case MV_CBOR_TAG:
                return tagged(d, item->tag, ret);
        case MV_CBOR_BYTES:
                break;
        }
        return hostile(d, "ast: a byte string is no form");
}

static enum native_status form(struct decoder *d, val *ret)
{
        struct mv_cbor_item item;
        if (d->depth >= MV_SOURCE_DEPTH_MAX)
                return hostile(d, "ast: nested too deeply");
        d->depth++;
        enum native_status s = next(d, &item);
        if (s == N_OK)
                s = inside(d, &item, ret);
        d->depth--;
        return s;
}

static enum native_status program(struct decoder *d, val *ret)
{
        struct mv_cbor_item head;
        enum native_status s = next(d, &head);
        if (s == N_OK && head.kind != MV_CBOR_ARRAY)
                s = hostile(d, "ast: a program is an array of forms");
        if (s == N_OK)
                s = list(d, head.count, ret);
        if (s == N_OK && as_cons(*ret)->count && as_cons(*ret)->head.tag == T_SYMBOL &&
            is_mark(name_slice(as_cons(*ret)->head)))
                s = hostile(d, "ast: a reader's mark out of place");
        if (s == N_OK && !mv_cur_done(&d->c))
                s = hostile(d, "ast: bytes left over behind the program");
        return s;
}

int mv_rtfs_load_ast(struct mv_rtfs *r, struct mv_slice cbor, struct mv_err *err)
{
        struct decoder d = { r, mv_cur(cbor), err, 0 };
        val forms;
        r->no_collect = true;
        enum native_status s = program(&d, &forms);
        r->no_collect = false;
        if (s == N_ERROR)
                return -(int)err->code;
        if (s == N_NOMEM)
                /* an error of the program: run reports it */
                raise_memory(r, "the program does not fit");
        else
                take_forms(r, forms);
        return 0;
}

/* --- the other way ---------------------------------------------------------------------------- */
static bool put_form(struct mv_out *o, val v);

static bool put_place(struct mv_out *o, uint32_t line, uint32_t column)
{
        return !line || (mv_cbor_put_tag(o, MV_TAG_PLACE) && mv_cbor_put_array(o, 3) &&
                         mv_cbor_put_int(o, line) && mv_cbor_put_int(o, column ? column : 1));
}

static bool put_list(struct mv_out *o, const struct cons *c)
{
        bool ok =
                put_place(o, c->count ? c->pos >> POS_COLUMN_BITS : 0, c->pos & POS_COLUMN_MASK) &&
                mv_cbor_put_tag(o, MV_TAG_LIST) && mv_cbor_put_array(o, c->count);
        for (; ok && c->count; c = c->tail)
                ok = put_form(o, c->head);
        return ok;
}

static bool put_vector(struct mv_out *o, val v)
{
        bool ok = put_place(o, as_vec(v)->line, as_vec(v)->column) &&
                  (v.tag == T_VECTOR || mv_cbor_put_tag(o, MV_TAG_MAP_FORM)) &&
                  mv_cbor_put_array(o, vec_count(v));
        for (uint32_t i = 0; ok && i < vec_count(v); i++)
                ok = put_form(o, vec_at(v, i));
        return ok;
}

/* The reader makes nothing else; its nesting is bounded. */
static bool put_form(struct mv_out *o, val v)
{
        if (v.tag == T_SYMBOL)
                return put_place(o, v.pos >> POS_COLUMN_BITS, v.pos & POS_COLUMN_MASK) &&
                       mv_cbor_put_symbol(o, name_slice(v));
        if (v.tag == T_LIST)
                return put_list(o, as_cons(v));
        if (v.tag == T_VECTOR || v.tag == T_MAPFORM)
                return put_vector(o, v);
        return encode_value(o, v);
}

bool mv_rtfs_encode_ast(struct mv_rtfs *r, struct mv_out *o)
{
        bool ok = mv_cbor_put_array(o, as_cons(r->forms)->count);
        for (struct cons *c = as_cons(r->forms); ok && c->count; c = c->tail)
                ok = put_form(o, c->head);
        return ok;
}
