/* SPDX-License-Identifier: Apache-2.0 */
/* Forms as read, copied out of the evaluator's heap. The reader bounded the depth. */
#include <rtfs/data.h>
#include <rtfs/reader.h>

static bool copy(struct mv_arena *a, val v, struct mv_form *ret);

static bool copy_text(struct mv_arena *a, struct mv_slice s, struct mv_form *ret)
{
        uint8_t *p = mv_new(a, uint8_t, s.len + 1); /* one more: no empty allocation */
        if (!p)
                return false;
        if (s.len)
                memcpy(p, s.p, s.len);
        ret->text = mv_slice(p, s.len);
        return true;
}

static bool copy_vector(struct mv_arena *a, val v, struct mv_form *ret)
{
        struct mv_form *items = mv_new(a, struct mv_form, vec_count(v) + 1);
        bool ok = items != NULL;
        for (uint32_t i = 0; ok && i < vec_count(v); i++)
                ok = copy(a, vec_at(v, i), &items[i]);
        ret->count = vec_count(v);
        ret->items = items;
        return ok;
}

static bool copy_list(struct mv_arena *a, val v, struct mv_form *ret)
{
        struct cons *c = as_cons(v);
        struct mv_form *items = mv_new(a, struct mv_form, (size_t)c->count + 1);
        bool ok = items != NULL;
        ret->count = c->count;
        ret->items = items;
        for (; ok && c->count; c = c->tail)
                ok = copy(a, c->head, items++);
        return ok;
}

static bool copy(struct mv_arena *a, val v, struct mv_form *ret)
{
        *ret = (struct mv_form){ .line = v.pos >> POS_COLUMN_BITS,
                                 .column = v.pos & POS_COLUMN_MASK };
        switch (v.tag) {
        case T_NIL:
                ret->kind = MV_NIL;
                return true;
        case T_FALSE:
        case T_TRUE:
                ret->kind = MV_BOOL;
                ret->boolean = v.tag == T_TRUE;
                return true;
        case T_INT:
                ret->kind = MV_INT;
                ret->integer = v.i;
                return true;
        case T_FLOAT:
                ret->kind = MV_FLOAT;
                ret->real = v.f;
                return true;
        case T_STRING:
                ret->kind = MV_STRING;
                return copy_text(a, string_slice(v), ret);
        case T_KEYWORD:
        case T_SYMBOL:
                ret->kind = v.tag == T_KEYWORD ? MV_KEYWORD : MV_SYMBOL;
                return copy_text(a, name_slice(v), ret);
        case T_LIST:
                ret->kind = MV_LIST;
                return copy_list(a, v, ret);
        default: /* T_VECTOR, T_MAPFORM: the reader makes nothing else */
                ret->kind = v.tag == T_VECTOR ? MV_VECTOR : MV_MAP;
                return copy_vector(a, v, ret);
        }
}

int mv_rtfs_read_forms(void *scratch, size_t scratch_bytes, struct mv_slice source,
                       struct mv_arena *a, struct mv_form *ret, struct mv_rtfs_error *ret_error,
                       struct mv_err *err)
{
        struct mv_rtfs *r;
        struct mv_rtfs_options o = { .config_text = true };
        val forms;
        int s = mv__rtfs_init_reader(scratch, scratch_bytes, &o, &r, err);
        if (s < 0)
                return s;
        r->no_collect = true;
        enum native_status read = read_source(r, source, &forms);
        if (read == N_ERROR) {
                mv_rtfs_error(r, ret_error);
                return mv_fail(err, MV_E_INVALID, 0, "%.*s", MV_SARG(ret_error->message));
        }
        if (read != N_OK || !copy(a, forms, ret))
                return mv_fail(err, MV_E_LIMIT, 0, "the text has too many forms");
        return 0;
}
