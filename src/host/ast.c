/* SPDX-License-Identifier: Apache-2.0 */
/* Trees of forms to the bytes of a program (microvm/ast.h). What is decoded behind the wall is
 * checked there (rtfs/ast.c); this side only writes. */
#include <base/err.h>
#include <base/limits.h>
#include <base/slice.h>
#include <microvm/ast.h>
#include <stdlib.h>
#include <wire/cbor.h>
#include <wire/frame.h>
#include <wire/text.h>

#define AST_BYTES_MIN ((size_t)1024)

struct writer {
        struct mv_out o;
        uint32_t depth;
        const char *why; /* what cannot be written; NULL: nothing yet */
};

static bool put_form(struct writer *w, const struct mv_value *v);

static bool cannot(struct writer *w, const char *why)
{
        w->why = why;
        return false;
}

static bool put_items(struct writer *w, const struct mv_value *v)
{
        bool ok = mv_cbor_put_array(&w->o, v->count);
        for (uint32_t i = 0; ok && i < v->count; i++)
                ok = put_form(w, &v->items[i]);
        return ok;
}

static bool put_map(struct writer *w, const struct mv_value *v)
{
        bool ok = v->count <= MV_ITEMS_MAX && mv_cbor_put_tag(&w->o, MV_TAG_MAP_FORM) &&
                  mv_cbor_put_array(&w->o, 2 * v->count);
        for (uint32_t i = 0; ok && i < v->count; i++)
                ok = put_form(w, &v->entries[i].key) && put_form(w, &v->entries[i].value);
        return ok;
}

static bool put_text(struct writer *w, const struct mv_value *v)
{
        if (!mv_utf8_valid(v->text))
                return cannot(w, "text that is not UTF-8");
        if (v->kind == MV_KEYWORD)
                return mv_cbor_put_keyword(&w->o, v->text);
        if (v->kind == MV_SYMBOL && v->text.len && v->text.p[0] == ':' && v->text.len > 1)
                return cannot(w, "a symbol that begins with a colon: it would be a keyword");
        return v->kind == MV_SYMBOL ? mv_cbor_put_symbol(&w->o, v->text)
                                    : mv_cbor_put_text(&w->o, v->text);
}

static bool put_kind(struct writer *w, const struct mv_value *v)
{
        switch (v->kind) {
        case MV_NIL:
                return mv_cbor_put_null(&w->o);
        case MV_BOOL:
                return mv_cbor_put_bool(&w->o, v->boolean);
        case MV_INT:
                return mv_cbor_put_int(&w->o, v->integer);
        case MV_FLOAT:
                return mv_cbor_put_float(&w->o, v->real);
        case MV_STRING:
        case MV_KEYWORD:
        case MV_SYMBOL:
                return put_text(w, v);
        case MV_VECTOR:
                return put_items(w, v);
        case MV_LIST:
                return mv_cbor_put_tag(&w->o, MV_TAG_LIST) && put_items(w, v);
        case MV_MAP:
                return put_map(w, v);
        default:
                return cannot(w, "a function or an error: they are values, not forms");
        }
}

static bool put_form(struct writer *w, const struct mv_value *v)
{
        if (w->depth > MV_SOURCE_DEPTH_MAX)
                return cannot(w, "forms nested too deeply");
        w->depth++;
        bool ok = put_kind(w, v);
        w->depth--;
        return ok;
}

int mv_ast_encode(const struct mv_value *forms, uint8_t **ret, size_t *ret_len, struct mv_err *err)
{
        if (!forms || forms->kind != MV_VECTOR)
                return mv_fail(err, MV_E_INVALID, 0, "ast: a program is a vector of forms");
        for (size_t cap = AST_BYTES_MIN; cap <= MV_FRAME_PAYLOAD_MAX; cap *= 2) {
                uint8_t *p = malloc(cap);
                if (!p)
                        return mv_fail(err, MV_E_NOMEM, 0, "ast: %zu bytes", cap);
                struct writer w = { .o = mv_out(p, cap) };
                if (put_form(&w, forms)) {
                        *ret = p;
                        *ret_len = w.o.len;
                        return 0;
                }
                free(p);
                if (w.why)
                        return mv_fail(err, MV_E_INVALID, 0, "ast: %s", w.why);
        }
        return mv_fail(err, MV_E_LIMIT, 0, "ast: a program of more than %u bytes",
                       MV_FRAME_PAYLOAD_MAX);
}
