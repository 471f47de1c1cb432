/* SPDX-License-Identifier: Apache-2.0 */
/* The compiler's core: code buffers, names, calls (compile.h). Special forms: compile_forms.c;
 * functions: compile_function.c. */
#include <base/limits.h>
#include <rtfs/compile.h>

/* --- work memory: the value stack above stack_top, given back when compile_form returns ------- */
void *compile_work(struct mv_rtfs *r, size_t bytes)
{
        uint32_t slots = (uint32_t)((bytes + sizeof(val) - 1) / sizeof(val));
        if (slots > r->stack_size - r->stack_top)
                return NULL;
        void *p = r->stack + r->stack_top;
        memset(p, 0, (size_t)slots * sizeof(val)); /* the collector may look here: NIL */
        r->stack_top += slots;
        return p;
}

static bool grow(struct mv_rtfs *r, void **p, uint32_t *cap, uint32_t count, size_t size)
{
        if (count < *cap)
                return true;
        uint32_t bigger = *cap ? *cap * 2 : 16;
        void *q = compile_work(r, bigger * size);
        if (!q)
                return false;
        if (count)
                memcpy(q, *p, count * size);
        *p = q;
        *cap = bigger;
        return true;
}

enum native_status too_large(struct func *f)
{
        return raise_memory(f->r, "compiling: the program is too large for this cell");
}

static enum native_status put_word(struct func *f, struct words *w, uint32_t word)
{
        if (!grow(f->r, (void **)&w->p, &w->cap, w->count, sizeof(uint32_t)))
                return too_large(f);
        w->p[w->count++] = word;
        return N_OK;
}

enum native_status fail_form(struct func *f, const char *what)
{
        f->r->source_pos = f->at;
        return raise_fmt(f->r, E_PARSE, "%s", what);
}

enum native_status emit_more(struct func *f, uint32_t word)
{
        TRY(put_word(f, &f->code, word));
        return put_word(f, &f->pos, f->at);
}

enum native_status emit(struct func *f, uint32_t word)
{
        f->last = f->code.count;
        return emit_more(f, word);
}

enum native_status emit2(struct func *f, uint32_t word, uint32_t second)
{
        TRY(emit(f, word));
        return emit_more(f, second);
}

enum native_status emit_jump(struct func *f, uint32_t word, uint32_t *ret_patch)
{
        TRY(emit2(f, word, 0));
        *ret_patch = f->code.count - 1;
        return N_OK;
}

void patch_here(struct func *f, uint32_t patch)
{
        f->code.p[patch] = f->code.count - (patch + 1);
        f->last = NO_CODE; /* what was emitted last is not the only way to get here */
}

enum native_status emit_loop(struct func *f, uint32_t target)
{
        uint32_t word = OP_WORD(OP_LOOP, 0, 0, 0);
        /* LOOP can do that as well */
        if (f->code.count > target && ends_with_last(f) && OP_OF(f->code.p[f->last]) == OP_MOVE) {
                word = (f->code.p[f->last] & ~0xffu) | OP_LOOP;
                f->code.count = --f->pos.count;
        }
        return emit2(f, word, target - (f->code.count + 2));
}

static bool same_const(val a, val b)
{
        if (a.tag != b.tag)
                return false;
        if (a.tag == T_STRING)
                return mv_slice_eq(string_slice(a), string_slice(b));
        return a.i == b.i; /* pointers, integers, and floats by their bits */
}

enum native_status add_const(struct func *f, val v, uint32_t *ret)
{
        *ret = 0;
        for (uint32_t i = f->const_count > 64 ? f->const_count - 64 : 0; i < f->const_count; i++)
                if (same_const(f->consts[i], v)) {
                        *ret = i;
                        return N_OK;
                }
        if (f->const_count >= UINT16_MAX)
                return fail_form(f, "function has more than 65,535 constants: split it");
        if (!grow(f->r, (void **)&f->consts, &f->const_cap, f->const_count, sizeof(val)))
                return too_large(f);
        v.pos = 0;
        f->consts[ *ret = f->const_count++] = v;
        return N_OK;
}

enum native_status load_const(struct func *f, val v, uint8_t dst)
{
        uint32_t k;
        if (v.tag == T_NIL)
                return emit(f, OP_WORD(OP_LOADNIL, dst, 0, 0));
        if (v.tag == T_TRUE || v.tag == T_FALSE)
                return emit(f, OP_WORD(v.tag == T_TRUE ? OP_LOADTRUE : OP_LOADFALSE, dst, 0, 0));
        if (v.tag == T_INT && v.i == (int16_t)v.i)
                return emit(f, OP_WIDE(OP_LOADI, dst, v.i));
        TRY(add_const(f, v, &k));
        return emit(f, OP_WIDE(OP_LOADK, dst, k));
}

enum native_status add_handler(struct func *f, uint32_t from, uint32_t to, uint32_t target,
                               uint8_t reg)
{
        TRY(put_word(f, &f->handlers, from));
        TRY(put_word(f, &f->handlers, to));
        TRY(put_word(f, &f->handlers, target));
        return put_word(f, &f->handlers, reg);
}

enum native_status new_reg(struct func *f, uint8_t *ret)
{
        *ret = 0;
        if (f->free >= REGS_MAX)
                return fail_form(f, "function needs more than 250 registers: split it");
        *ret = (uint8_t)f->free++;
        if (f->free > f->regs)
                f->regs = f->free;
        return N_OK;
}

enum native_status new_var(struct func *f, struct name *n, uint8_t reg, bool boxed)
{
        if (!grow(f->r, (void **)&f->vars, &f->var_cap, f->var_count, sizeof(struct var)))
                return too_large(f);
        f->vars[f->var_count++] = (struct var){ .name = n, .reg = reg, .boxed = boxed };
        return N_OK;
}

/* --- names ------------------------------------------------------------------------------------ */
static bool add_up(struct func *f, struct place from, uint8_t *ret)
{
        for (uint32_t i = 0; i < f->up_count; i++)
                if (f->ups[i].kind == from.kind && f->ups[i].index == from.index) {
                        *ret = (uint8_t)i;
                        return true;
                }
        if (f->up_count >= UPS_MAX)
                return false;
        f->ups[f->up_count] = from;
        *ret = (uint8_t)f->up_count++;
        return true;
}

/* The (skip+1)-th variable of that name, innermost first, captured along the way. */
static bool resolve(struct func *f, const struct name *n, int *skip, struct place *ret)
{
        for (uint32_t i = f->var_count; i-- > 0;) {
                const struct var *v = &f->vars[i];
                if (v->name != n || (*skip)-- > 0)
                        continue;
                *ret = (struct place){ v->self ? IN_SELF : IN_REG, v->reg, v->boxed };
                return true;
        }
        struct place outer;
        if (!f->parent || !resolve(f->parent, n, skip, &outer))
                return false;
        ret->kind = IN_UP;
        ret->boxed = outer.boxed;
        return add_up(f, outer, &ret->index);
}

bool is_local_name(struct func *f, const struct name *n)
{
        for (; f; f = f->parent)
                for (uint32_t i = 0; i < f->var_count; i++)
                        if (f->vars[i].name == n)
                                return true;
        return false;
}

static enum native_status load_global(struct func *f, struct name *n, uint8_t dst)
{
        if (f->r->building && n->len > 1 && n->text[0] == '%') {
                int i = native_find(f->r, mv_slice(n->text, n->len));
                if (i >= 0)
                        return load_const(f, (val){ .tag = T_NATIVE, .i = i }, dst);
        }
        if (!module_global(f->r, n, &n))
                return N_NOMEM;
        int32_t slot = global_slot(f->r, n);
        if (slot < 0)
                return fail_form(f, "more than 4,096 global names");
        return emit(f, OP_WIDE(OP_GETGLOBAL, dst, slot));
}

enum native_status symbol_value(struct func *f, struct name *n, uint8_t dst, int skip)
{
        struct place p;
        int left = skip;
        if (!resolve(f, n, &left, &p))
                return load_global(f, n, dst);
        if (p.kind == IN_SELF)
                return emit(f, OP_WORD(OP_GETSELF, dst, 0, 0));
        if (p.kind == IN_UP)
                TRY(emit(f, OP_WORD(OP_GETUP, dst, p.index, 0)));
        else if (!p.boxed)
                return p.index == dst ? N_OK : emit(f, OP_WORD(OP_MOVE, dst, p.index, 0));
        if (!p.boxed)
                return N_OK;
        /* A definition that may not have run yet: until then the name means what it means
         * further out. */
        uint32_t bound;
        TRY(emit(f, OP_WORD(OP_GETBOX, dst, p.kind == IN_UP ? dst : p.index, 0)));
        TRY(emit_jump(f, OP_WORD(OP_JBOUND, dst, 0, 0), &bound));
        TRY(symbol_value(f, n, dst, skip + 1));
        patch_here(f, bound);
        return N_OK;
}

bool plain_local(struct func *f, val form, uint8_t *ret)
{
        if (form.tag != T_SYMBOL)
                return false;
        for (uint32_t i = f->var_count; i-- > 0;)
                if (f->vars[i].name == as_name(form)) {
                        *ret = f->vars[i].reg;
                        return !f->vars[i].self && !f->vars[i].boxed;
                }
        return false;
}

enum native_status operand(struct func *f, val form, uint8_t *ret)
{
        if (plain_local(f, form, ret))
                return N_OK;
        TRY(new_reg(f, ret));
        return expr(f, form, *ret, false);
}

int32_t inline_native(struct func *f, val head)
{
        if (head.tag != T_SYMBOL || is_local_name(f, as_name(head)))
                return -1;
        struct name *n = as_name(head);
        if (f->r->building && n->text[0] == '%')
                return native_find(f->r, mv_slice(n->text, n->len));
        struct name *meant;
        if (!module_global(f->r, n, &meant) || meant != n)
                return -1;
        if (n->global < 0 || f->r->globals[n->global].tag != T_NATIVE)
                return -1;
        if (f->r->overridden[n->global / 8] >> (n->global % 8) & 1)
                return -1;
        return (int32_t)f->r->globals[n->global].i;
}

bool mentions(val form, const struct name *n, int depth)
{
        if (depth > 200)
                return true; /* too deep to be sure */
        if (form.tag == T_SYMBOL)
                return as_name(form) == n;
        if (form.tag == T_LIST) {
                for (struct cons *c = as_cons(form); c->count; c = c->tail)
                        if (mentions(c->head, n, depth + 1))
                                return true;
        } else if (form.tag == T_VECTOR || form.tag == T_MAPFORM) {
                for (uint32_t i = 0; i < as_vec(form)->count; i++)
                        if (mentions(vec_at(form, i), n, depth + 1))
                                return true;
        }
        return false;
}

/* --- data ------------------------------------------------------------------------------------- */
static enum native_status data_vector(struct func *f, val form, val *ret)
{
        val b = vec_builder(f->r);
        for (uint32_t i = 0; !nomem(b) && i < as_vec(form)->count; i++) {
                val item;
                TRY(data_form(f, vec_at(form, i), &item));
                if (!vec_push(f->r, b, item))
                        return N_NOMEM;
        }
        *ret = b;
        return nomem(b) ? N_NOMEM : N_OK;
}

static enum native_status data_map(struct func *f, val form, val *ret)
{
        val m = map_builder(f->r), item;
        if (nomem(m))
                return N_NOMEM;
        for (uint32_t i = 0; i < as_vec(form)->count; i += 2) {
                /* a pattern: only a binding form gives it a meaning */
                if (!map_key_ok(vec_at(form, i))) {
                        *ret = form;
                        return N_OK;
                }
                TRY(data_form(f, vec_at(form, i + 1), &item));
                if (!map_add(f->r, m, vec_at(form, i), item))
                        return N_NOMEM;
        }
        *ret = m;
        return N_OK;
}

static enum native_status data_list(struct func *f, val form, val *ret)
{
        uint32_t n = len(form), top = f->r->stack_top, i = 0;
        val *items = compile_work(f->r, n * sizeof(val));
        if (!items)
                return too_large(f);
        for (struct cons *c = as_cons(form); c->count; c = c->tail)
                TRY(data_form(f, c->head, &items[i++]));
        *ret = list_new(f->r, items, n);
        f->r->stack_top = top;
        if (nomem(*ret))
                return N_NOMEM;
        as_cons(*ret)->pos = as_cons(form)->pos;
        return N_OK;
}

enum native_status data_form(struct func *f, val form, val *ret)
{
        enum native_status s = N_OK;
        if (f->depth >= MV_SOURCE_DEPTH_MAX)
                return fail_form(f, "nested too deeply");
        f->depth++;
        *ret = form;
        if (form.tag == T_LIST && len(form))
                s = data_list(f, form, ret);
        else if (form.tag == T_VECTOR)
                s = data_vector(f, form, ret);
        else if (form.tag == T_MAPFORM)
                s = data_map(f, form, ret);
        f->depth--;
        return s;
}

/* --- collections as expressions --------------------------------------------------------------- */
#define CHUNK 64u /* items gathered in registers before they are appended */

static enum native_status vector_items(struct func *f, val form, uint32_t from, uint32_t count)
{
        for (uint32_t i = 0; i < count; i++) {
                uint8_t reg;
                TRY(new_reg(f, &reg));
                TRY(expr(f, vec_at(form, from + i), reg, false));
        }
        return N_OK;
}

/* Nothing in the literal is evaluated: it can be a constant. */
static bool is_data(val form, int depth)
{
        if (form.tag < T_SYMBOL)
                return true;
        if ((form.tag != T_VECTOR && form.tag != T_MAPFORM) || depth > 64)
                return false;
        for (uint32_t i = 0; i < as_vec(form)->count; i++) {
                bool is_key = form.tag == T_MAPFORM && i % 2 == 0;
                if (!is_data(vec_at(form, i), depth + 1) ||
                    (is_key && !map_key_ok(vec_at(form, i))))
                        return false;
        }
        return true;
}

/* A large table of data is one constant: its items would be more than a function may have. */
static bool is_large_data(val form)
{
        return as_vec(form)->count > CHUNK && is_data(form, 0);
}

static enum native_status data_literal(struct func *f, val form, uint8_t dst)
{
        val data;
        TRY(data_form(f, form, &data));
        return load_const(f, data, dst);
}

static enum native_status vector_literal(struct func *f, val form, uint8_t dst)
{
        uint32_t n = as_vec(form)->count, free = f->free;
        if (is_large_data(form))
                return data_literal(f, form, dst);
        if (n <= CHUNK) {
                TRY(vector_items(f, form, 0, n));
                f->free = free;
                return emit(f, OP_WORD(OP_VEC, dst, free, n));
        }
        uint8_t v;
        TRY(new_reg(f, &v));
        TRY(emit(f, OP_WORD(OP_VEC, v, v, 0)));
        for (uint32_t i = 0; i < n; i += CHUNK) {
                uint32_t first = f->free, take = n - i < CHUNK ? n - i : CHUNK;
                TRY(vector_items(f, form, i, take));
                TRY(emit(f, OP_WORD(OP_VECPUSH, v, first, take)));
                f->free = first;
        }
        f->free = free;
        return emit(f, OP_WORD(OP_MOVE, dst, v, 0));
}

static enum native_status map_pair(struct func *f, val key, val value)
{
        uint8_t k, v;
        if (!map_key_ok(key))
                return fail_form(f, "map keys are literal keywords, strings or integers");
        TRY(new_reg(f, &k));
        TRY(new_reg(f, &v));
        TRY(load_const(f, key, k));
        return expr(f, value, v, false);
}

/* pairs: alternating keys and value forms in evaluation order */
static enum native_status map_literal(struct func *f, val pairs, uint8_t dst)
{
        uint32_t n = as_vec(pairs)->count / 2, free = f->free;
        uint8_t m;
        if (pairs.tag == T_MAPFORM && is_large_data(pairs))
                return data_literal(f, pairs, dst);
        TRY(new_reg(f, &m));
        TRY(emit(f, OP_WORD(OP_MAP, m, m, 0)));
        for (uint32_t i = 0; i < n;) {
                uint32_t first = f->free, take = n - i < CHUNK / 2 ? n - i : CHUNK / 2;
                for (uint32_t k = 0; k < take; k++, i++)
                        TRY(map_pair(f, vec_at(pairs, 2 * i), vec_at(pairs, 2 * i + 1)));
                TRY(emit(f, OP_WORD(OP_MAPPUT, m, first, take)));
                f->free = first;
        }
        f->free = free;
        return emit(f, OP_WORD(OP_MOVE, dst, m, 0));
}

static enum native_status map_value_literal(struct func *f, val m, uint8_t dst)
{ /* a map that came out of a macro: its values are forms */
        val pairs = vec_builder(f->r), k, v;
        struct map_iter it;
        if (nomem(pairs))
                return N_NOMEM;
        for (map_iter(&it, m); map_next(&it, &k, &v);)
                if (!vec_push(f->r, pairs, k) || !vec_push(f->r, pairs, v))
                        return N_NOMEM;
        return map_literal(f, pairs, dst);
}

/* --- macros ----------------------------------------------------------------------------------- */
#define EXPANSIONS_MAX 1000

static bool is_macro_call(struct func *f, val form)
{
        if (form.tag != T_LIST || !len(form) || at(form, 0).tag != T_SYMBOL)
                return false;
        struct name *n = as_name(at(form, 0));
        return n->global >= 0 && f->r->globals[n->global].tag == T_MACRO && !is_local_name(f, n);
}

static enum native_status expand_once(struct func *f, val form, val *ret)
{
        struct mv_rtfs *r = f->r;
        uint32_t n = len(form) - 1, top = r->stack_top;
        val *args = compile_work(r, (n + 1) * sizeof(val));
        if (!args)
                return too_large(f);
        uint32_t i = 0;
        for (struct cons *c = as_cons(form)->tail; c->count; c = c->tail, i++)
                TRY(data_form(f, c->head, &args[i]));
        val macro = r->globals[as_name(at(form, 0))->global];
        macro.tag = T_CLOSURE;
        r->source_pos = f->at;
        enum native_status s = run_now(r, macro, args, n, ret);
        r->stack_top = top;
        return s;
}

enum native_status expand_macro(struct func *f, val form, val *ret, bool *ret_expanded)
{
        *ret_expanded = false;
        for (int i = 0; is_macro_call(f, form); i++) {
                if (i == EXPANSIONS_MAX)
                        return raise_fmt(f->r, E_STACK, "macro %.*s expands without end",
                                         (int)as_name(at(form, 0))->len,
                                         as_name(at(form, 0))->text);
                TRY(expand_once(f, form, &form));
                *ret_expanded = true;
        }
        *ret = form;
        return N_OK;
}

/* --- expressions ------------------------------------------------------------------------------ */
bool is_shadowed(struct func *f, struct name *n)
{
        if (is_local_name(f, n))
                return true;
        return n->global >= 0 && f->r->overridden[n->global / 8] >> (n->global % 8) & 1;
}

static enum native_status list_form(struct func *f, val form, uint8_t dst, bool tail)
{
        val head = at(form, 0);
        if (len(form) == 0)
                return emit(f, OP_WORD(OP_VEC, dst, 0, 0)); /* () is [] */
        if (as_cons(form)->pos)
                f->at = as_cons(form)->pos;
        if (head.tag == T_SYMBOL) {
                struct name *n = as_name(head);
                bool replaced = n->special && special_can_be_shadowed(n->special) &&
                                (is_shadowed(f, n) || is_macro_call(f, form));
                if (n->special && !replaced)
                        return special_form(f, n->special, form, dst, tail);
                bool expanded;
                TRY(expand_macro(f, form, &form, &expanded));
                if (expanded)
                        return expr(f, form, dst, tail);
        }
        return call_plain(f, form, dst, tail);
}

static enum native_status expr_of(struct func *f, val form, uint8_t dst, bool tail)
{
        switch (form.tag) {
        case T_LIST:
                return list_form(f, form, dst, tail);
        case T_SYMBOL:
                if (form.pos)
                        f->at = form.pos;
                if (is_symbol(form, ":") || is_symbol(form, "&"))
                        return fail_form(f, "a lone : or & is no name: they belong into parameters "
                                            "and patterns");
                return symbol_value(f, as_name(form), dst, 0);
        case T_VECTOR:
                return vector_literal(f, form, dst);
        case T_MAPFORM:
                if (as_vec(form)->line)
                        f->at = pos_make(as_vec(form)->line, as_vec(form)->column);
                return map_literal(f, form, dst);
        case T_MAP:
                return map_value_literal(f, form, dst);
        default:
                return load_const(f, form, dst);
        }
}

enum native_status expr(struct func *f, val form, uint8_t dst, bool tail)
{
        if (f->depth >= MV_SOURCE_DEPTH_MAX)
                return fail_form(f, "nested too deeply");
        uint32_t here = f->at, free = f->free;
        f->depth++;
        enum native_status s = expr_of(f, form, dst, tail);
        f->depth--;
        f->at = here;
        if (s == N_OK)
                f->free = free; /* (2) */
        /* A definition that a macro made inside an expression ends with it: its register is
         * given back. */
        while (f->var_count > f->scope_vars && f->vars[f->var_count - 1].reg >= f->free &&
               !f->vars[f->var_count - 1].self)
                f->var_count--;
        return s;
}

enum native_status body(struct func *f, val forms, uint8_t dst, bool tail)
{
        if (len(forms) == 0)
                return emit(f, OP_WORD(OP_LOADNIL, dst, 0, 0));
        for (struct cons *c = as_cons(forms); c->count; c = c->tail) {
                val form = c->head;
                bool expanded;
                TRY(expand_macro(f, form, &form, &expanded));
                if (expanded && f->is_local)
                        TRY(declare_defs_of(f, form));
                TRY(expr(f, form, dst, tail && c->count == 1));
        }
        return N_OK;
}

static enum native_status make_code(struct func *f, struct code **ret)
{
        uint32_t n = f->code.count;
        shorten_jumps(f);
        struct code *c = heap_alloc(f->r, O_CODE, sizeof *c + 8 * (size_t)n);
        if (!c)
                return N_NOMEM;
        c->count = n;
        memcpy(c->word, f->code.p, 4 * (size_t)n);
        memcpy(c->word + n, f->pos.p, 4 * (size_t)n);
        *ret = c;
        return N_OK;
}

enum native_status make_proto(struct func *f, struct name *name, struct proto **ret)
{
        struct mv_rtfs *r = f->r;
        struct proto *p = heap_alloc(r, O_PROTO, sizeof *p);
        if (!p)
                return N_NOMEM;
        p->name = name;
        p->regs = (uint16_t)(f->regs ? f->regs : 1);
        p->ups = (uint16_t)f->up_count;
        p->builtin = r->building;
        TRY(make_code(f, &p->code));
        if (f->const_count) {
                p->consts =
                        heap_alloc(r, O_NODE, sizeof(struct node) + f->const_count * sizeof(val));
                if (!p->consts)
                        return N_NOMEM;
                memcpy(p->consts->item, f->consts, f->const_count * sizeof(val));
                p->consts->h.used = (uint16_t)f->const_count;
        }
        if (f->handlers.count) {
                p->handler_count = f->handlers.count / 4;
                struct code *h = heap_alloc(r, O_CODE, sizeof *h + 4 * (size_t)f->handlers.count);
                if (!h)
                        return N_NOMEM;
                h->count = f->handlers.count;
                memcpy(h->word, f->handlers.p, 4 * (size_t)f->handlers.count);
                p->handlers = &h->h;
        }
        *ret = p;
        return N_OK;
}

enum native_status compile_form(struct mv_rtfs *r, val form, struct proto **ret)
{
        uint32_t top = r->stack_top;
        struct func *f = compile_work(r, sizeof *f);
        enum native_status s = N_OK;
        uint8_t dst;
        if (!f)
                return raise_memory(r, "compiling");
        bool outer_no_collect = r->no_collect;
        r->no_collect = true;
        f->r = r;
        f->growing = NO_REGISTER;
        s = new_reg(f, &dst);
        if (s == N_OK)
                s = expr(f, form, dst, false);
        if (s == N_OK)
                s = emit(f, OP_WORD(OP_RET, dst, 0, 0));
        if (s == N_OK)
                s = make_proto(f, NULL, ret);
        r->no_collect = outer_no_collect;
        r->stack_top = top;
        return s;
}
