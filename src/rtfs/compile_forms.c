/* SPDX-License-Identifier: Apache-2.0 */
/* Special forms (spec section 3). A malformed one is a ParseError, except for step, for, dotimes and get, whose
 * shape errors stay run-time errors of the kinds programs may rely on. */
#include <rtfs/compile.h>
#include <rtfs/special_forms.h>
#include <wire/text.h>

/* --- small helpers ---------------------------------------------------------------------------- */
enum native_status raise_op(struct func *f, enum error_kind kind, const char *fmt, ...)
{
        uint32_t k;
        char text[256];
        va_list ap;
        va_start(ap, fmt);
        size_t n = mv_vfmt(text, sizeof text, fmt, ap);
        va_end(ap);
        if (!mv_utf8_valid(mv_slice(text, n)))
                return fail_form(f, "name too long");
        val s = string_new(f->r, mv_slice(text, n));
        if (nomem(s))
                return N_NOMEM;
        TRY(add_const(f, s, &k));
        return emit2(f, OP_WORD(OP_RAISE, 0, kind, 0), k);
}

enum native_status list_of(struct func *f, const val *items, uint32_t count, val *ret)
{
        for (uint32_t i = 0; i < count; i++)
                if (nomem(items[i]))
                        return N_NOMEM;
        *ret = list_new(f->r, items, count);
        if (nomem(*ret))
                return N_NOMEM;
        as_cons(*ret)->pos = f->at;
        return N_OK;
}

enum native_status jump(struct func *f, uint32_t *ret_patch)
{
        return emit_jump(f, OP_WORD(OP_JMP, 0, 0, 0), ret_patch);
}

val unwrap_meta(val form)
{ /* ^{...} name: general metadata is discarded (3.7) */
        while (form.tag == T_LIST && len(form) == 3 && is_symbol(at(form, 0), "with meta"))
                form = at(form, 2);
        return form;
}

enum native_status take_type(struct func *f, val *forms, val *ret)
{
        *ret = at(*forms, 0);
        *forms = rest_of(*forms, 1);
        if (ret->tag != T_VECTOR || !len(*forms) || !is_symbol(at(*forms, 0), "?"))
                return N_OK;
        const val optional[2] = { at(*forms, 0), *ret };
        *forms = rest_of(*forms, 1);
        return list_of(f, optional, 2, ret);
}

enum native_status annotation_at(struct func *f, val vector, uint32_t *i, val *ret_type)
{
        uint32_t n = as_vec(vector)->count;
        if (*i < n && vec_at(vector, *i).tag == T_KEYWORD) {
                *ret_type = vec_at(vector, (*i)++);
        } else if (*i < n && is_symbol(vec_at(vector, *i), ":")) {
                if (*i + 1 >= n)
                        return fail_form(f, "type expected after :");
                *ret_type = vec_at(vector, *i + 1);
                *i += 2;
                /* */
                if (ret_type->tag == T_VECTOR && *i < n && is_symbol(vec_at(vector, *i), "?")) {
                        val optional[2] = { vec_at(vector, (*i)++), *ret_type };
                        TRY(list_of(f, optional, 2, ret_type));
                }
        }
        return N_OK;
}

/* --- if and friends --------------------------------------------------------------------------- */
static enum native_status branch(struct func *f, val test, val then, val otherwise, uint8_t dst,
                                 bool tail)
{
        uint32_t to_else, to_end;
        TRY(test_jump(f, test, &to_else));
        TRY(expr(f, then, dst, tail));
        TRY(jump(f, &to_end));
        patch_here(f, to_else);
        TRY(expr(f, otherwise, dst, tail));
        patch_here(f, to_end);
        return N_OK;
}

static enum native_status if_form(struct func *f, val form, uint8_t dst, bool tail)
{
        if (len(form) < 3 || len(form) > 4)
                return fail_form(f, "if takes a test, a then form and optionally an else form");
        return branch(f, at(form, 1), at(form, 2), at(form, 3), dst, tail);
}

static enum native_status if_not_form(struct func *f, val form, uint8_t dst, bool tail)
{
        if (len(form) < 3 || len(form) > 4)
                return fail_form(f, "if-not takes a test, a then form and optionally an else form");
        return branch(f, at(form, 1), at(form, 3), at(form, 2), dst, tail);
}

/* when, when-not: then_is_body says which side the body is on. */
static enum native_status when_form(struct func *f, val form, uint8_t dst, bool tail)
{
        uint32_t to_else, to_end;
        bool not = as_name(at(form, 0))->special == S_WHEN_NOT;
        if (len(form) < 2)
                return fail_form(f, "when needs a test");
        TRY(test_jump(f, at(form, 1), &to_else));
        TRY(not ? expr(f, NIL, dst, tail) : body(f, rest_of(form, 2), dst, tail));
        TRY(jump(f, &to_end));
        patch_here(f, to_else);
        TRY(not ? body(f, rest_of(form, 2), dst, tail) : expr(f, NIL, dst, tail));
        patch_here(f, to_end);
        return N_OK;
}

static enum native_status if_let_form(struct func *f, val form, uint8_t dst, bool tail)
{
        bool when = as_name(at(form, 0))->special == S_WHEN_LET;
        val binding = at(form, 1);
        if (len(form) < (when ? 2u : 3u) || (!when && len(form) > 4) || binding.tag != T_VECTOR ||
            vec_count(binding) != 2)
                return fail_form(f, "if-let and when-let take one binding [pattern value]");
        uint32_t to_else, to_end;
        struct scope s = scope_open(f);
        uint8_t reg;
        TRY(new_reg(f, &reg));
        TRY(expr(f, vec_at(binding, 1), reg, false));
        TRY(emit_jump(f, OP_WORD(OP_JF, reg, 0, 0), &to_else));
        TRY(bind_pattern(f, vec_at(binding, 0), reg));
        TRY(when ? body(f, rest_of(form, 2), dst, tail) : expr(f, at(form, 2), dst, tail));
        scope_close(f, s);
        TRY(jump(f, &to_end));
        patch_here(f, to_else);
        TRY(expr(f, when ? NIL : at(form, 3), dst, tail));
        patch_here(f, to_end);
        return N_OK;
}

static enum native_status cond_form(struct func *f, val form, uint8_t dst, bool tail)
{
        uint32_t ends = 0, to_next, to_end = 0;
        if (len(form) % 2 == 0)
                return fail_form(f, "cond needs an expression for every test");
        /* The jumps to the end form a chain through their own operand until the end is known. */
        for (struct cons *c = as_cons(form)->tail; c->count; c = c->tail->tail) {
                TRY(test_jump(f, c->head, &to_next));
                TRY(expr(f, c->tail->head, dst, tail));
                TRY(jump(f, &to_end));
                f->code.p[to_end] = ends;
                ends = to_end;
                patch_here(f, to_next);
        }
        TRY(emit(f, OP_WORD(OP_LOADNIL, dst, 0, 0)));
        while (ends) {
                uint32_t next = f->code.p[ends];
                patch_here(f, ends);
                ends = next;
        }
        return N_OK;
}

static enum native_status case_test(struct func *f, uint8_t value, val key, uint32_t *ret_patch)
{
        uint8_t k;
        val data;
        TRY(new_reg(f, &k));
        TRY(data_form(f, key, &data));
        TRY(load_const(f, data, k));
        return emit_jump(f, OP_WORD(OP_JNEQ, value, k, 0), ret_patch);
}

/* One clause: a literal, or a parenthesised group of alternatives. Falls through when it
 * matched. */
static enum native_status case_clause(struct func *f, uint8_t value, val key, uint32_t *ret_miss)
{
        uint32_t hits = 0, hit;
        if (key.tag != T_LIST)
                return case_test(f, value, key, ret_miss);
        for (struct cons *c = as_cons(key); c->count; c = c->tail) {
                uint32_t miss;
                TRY(case_test(f, value, c->head, &miss));
                TRY(jump(f, &hit));
                f->code.p[hit] = hits;
                hits = hit;
                patch_here(f, miss);
        }
        TRY(jump(f, ret_miss));
        while (hits) {
                uint32_t next = f->code.p[hits];
                patch_here(f, hits);
                hits = next;
        }
        return N_OK;
}

static enum native_status case_form(struct func *f, val form, uint8_t dst, bool tail)
{
        uint32_t ends = 0, end, miss, free = f->free;
        uint8_t value;
        if (len(form) < 2)
                return fail_form(f, "case needs a value");
        TRY(new_reg(f, &value));
        TRY(expr(f, at(form, 1), value, false));
        struct cons *c = as_cons(rest_of(form, 2));
        for (; c->count >= 2; c = c->tail->tail) {
                TRY(case_clause(f, value, c->head, &miss));
                TRY(expr(f, c->tail->head, dst, tail));
                TRY(jump(f, &end));
                f->code.p[end] = ends;
                ends = end;
                patch_here(f, miss);
        }
        TRY(c->count ? expr(f, c->head, dst, tail) : raise_op(f, E_MATCH, "No matching clause"));
        while (ends) {
                uint32_t next = f->code.p[ends];
                patch_here(f, ends);
                ends = next;
        }
        f->free = free;
        return N_OK;
}

static enum native_status and_or_form(struct func *f, val form, uint8_t dst, bool tail)
{
        bool and = as_name(at(form, 0))->special == S_AND;
        uint32_t ends = 0, end;
        if (len(form) == 1)
                return load_const(f, BOOL(and), dst);
        for (struct cons *c = as_cons(form)->tail; c->count; c = c->tail) {
                TRY(expr(f, c->head, dst, tail && c->count == 1));
                if (c->count == 1)
                        break;
                TRY(emit_jump(f, OP_WORD(and? OP_JF : OP_JT, dst, 0, 0), &end));
                f->code.p[end] = ends;
                ends = end;
        }
        while (ends) {
                uint32_t next = f->code.p[ends];
                patch_here(f, ends);
                ends = next;
        }
        return N_OK;
}

static enum native_status thread_form(struct func *f, val form, uint8_t dst, bool tail)
{
        bool last = as_name(at(form, 0))->special == S_THREAD_LAST;
        if (len(form) < 2)
                return fail_form(f, "-> needs a value");
        val x = at(form, 1);
        for (struct cons *c = as_cons(rest_of(form, 2)); c->count; c = c->tail) {
                val step = c->head;
                if (step.tag != T_LIST || !len(step)) {
                        val pair[2] = { step, x };
                        TRY(list_of(f, pair, 2, &x));
                        continue;
                }
                uint32_t n = len(step), k = 0;
                if (n > 250)
                        return fail_form(f, "-> step has too many arguments");
                val items[252];
                for (struct cons *s = as_cons(step); s->count; s = s->tail) {
                        items[k++] = s->head;
                        if (k == 1 && !last)
                                items[k++] = x;
                }
                if (last)
                        items[k++] = x;
                TRY(list_of(f, items, n + 1, &x));
        }
        return expr(f, x, dst, tail);
}

/* --- let -------------------------------------------------------------------------------------- */
bool is_pattern(val v)
{
        return (v.tag == T_SYMBOL && !is_symbol(v, ":")) || v.tag == T_VECTOR || v.tag == T_MAPFORM;
}

/* [...]? reads as two forms. */
static bool is_optional_at(val v, uint32_t i)
{
        return i + 1 < as_vec(v)->count && vec_at(v, i).tag == T_VECTOR &&
               is_symbol(vec_at(v, i + 1), "?");
}

static uint32_t annotation_length(val v, uint32_t i)
{
        if (i < as_vec(v)->count && vec_at(v, i).tag == T_KEYWORD)
                return 1;
        if (i >= as_vec(v)->count || !is_symbol(vec_at(v, i), ":"))
                return 0;
        return is_optional_at(v, i + 1) ? 3 : 2;
}

/* after a pattern a keyword is an annotation if the rest of the vector can then be read, else it is the value. One
 * pass from the right decides for every position; bit 0: readable, bit 1: with an annotation. */
static enum native_status plan_bindings(struct func *f, val v, uint8_t *plan)
{
        uint32_t n = as_vec(v)->count;
        plan[n] = 1;
        for (uint32_t i = n; i-- > 0;) {
                uint32_t a = annotation_length(v, i + 1);
                plan[i] = 0;
                if (!is_pattern(vec_at(v, i)))
                        continue;
                if (a && i + a + 2 <= n && plan[i + a + 2] & 1)
                        plan[i] = 3;
                else if (i + 2 <= n && plan[i + 2] & 1)
                        plan[i] = 1;
        }
        return plan[0] & 1 ? N_OK : fail_form(f, "let bindings are pattern [annotation] value");
}

struct binding {
        val pattern, type, value;
        uint32_t next;
        bool optional; /* the type has a ? behind it */
};
static struct binding binding_at(val v, const uint8_t *plan, uint32_t i)
{
        uint32_t a = plan[i] & 2 ? annotation_length(v, i + 1) : 0;
        val type = a == 0 ? NIL : vec_at(v, a == 1 ? i + 1 : i + 2);
        return (struct binding){ vec_at(v, i), type, vec_at(v, i + 1 + a), i + 2 + a, a == 3 };
}

static bool is_fn_form(val v)
{
        return v.tag == T_LIST && len(v) > 1 && is_symbol(at(v, 0), "fn");
}
static bool is_fn_binding(const struct binding *b)
{
        return b->pattern.tag == T_SYMBOL && is_fn_form(b->value);
}

/* Functions of one let see each other. A later one that an earlier one mentions needs a box; its own name it sees
 * as itself unless it carries another name. */
static enum native_status declare_recursive(struct func *f, val v, const uint8_t *plan)
{
        struct binding b, c;
        for (uint32_t i = 0; i < as_vec(v)->count; i = b.next) {
                b = binding_at(v, plan, i);
                if (!is_fn_binding(&b))
                        continue;
                bool boxed =
                        at(b.value, 1).tag == T_SYMBOL && mentions(b.value, as_name(b.pattern), 0);
                for (uint32_t j = 0; j < i && !boxed; j = c.next) {
                        c = binding_at(v, plan, j);
                        boxed = is_fn_binding(&c) && mentions(c.value, as_name(b.pattern), 0);
                }
                if (!boxed)
                        continue;
                uint8_t reg;
                TRY(new_reg(f, &reg));
                TRY(emit(f, OP_WORD(OP_NEWBOX, reg, 0, 0)));
                TRY(new_var(f, as_name(b.pattern), reg, true));
        }
        return N_OK;
}

static struct var *boxed_var(struct func *f, const struct name *n)
{
        for (uint32_t i = f->var_count; i-- > f->scope_vars;)
                if (f->vars[i].name == n && f->vars[i].boxed)
                        return &f->vars[i];
        return NULL;
}

static enum native_status check_value(struct func *f, val type, uint8_t reg)
{
        uint32_t k;
        if (type.tag == T_NIL)
                return N_OK;
        TRY(data_form(f, type, &type));
        TRY(add_const(f, type, &k));
        return emit2(f, OP_WORD(OP_CHECK, reg, 0, 0), k);
}

static enum native_status named_function(struct func *f, struct name *name, val fn, uint8_t dst)
{
        val rest = rest_of(fn, 1);
        if (len(rest) && at(rest, 0).tag == T_SYMBOL) {
                name = as_name(at(rest, 0));
                rest = rest_of(rest, 1);
        }
        return function(f, name, rest, dst);
}

static enum native_status check_binding(struct func *f, const struct binding *b, uint8_t reg)
{
        val type = b->type;
        if (b->optional) {
                const val optional[2] = { symbol_new(f->r, MV_SLICE("?")), type };
                TRY(nomem(optional[0]) ? N_NOMEM : list_of(f, optional, 2, &type));
        }
        return check_value(f, type, reg);
}

static enum native_status let_binding(struct func *f, const struct binding *b)
{
        uint8_t reg;
        struct var *box = b->pattern.tag == T_SYMBOL && is_fn_binding(b)
                                  ? boxed_var(f, as_name(b->pattern))
                                  : NULL;
        TRY(new_reg(f, &reg));
        if (is_fn_binding(b))
                TRY(named_function(f, box ? NULL : as_name(b->pattern), b->value, reg));
        else
                TRY(expr(f, b->value, reg, false));
        TRY(check_binding(f, b, reg));
        if (box)
                return emit(f, OP_WORD(OP_SETBOX, box->reg, reg, 0));
        return bind_pattern(f, b->pattern, reg);
}

static enum native_status let_form(struct func *f, val form, uint8_t dst, bool tail)
{
        val v = at(form, 1);
        if (len(form) < 3 || v.tag != T_VECTOR)
                return fail_form(f, "let takes a vector of bindings and a body");
        if (as_vec(v)->count > 500)
                return fail_form(f, "let has more than 250 bindings: split it");
        uint8_t plan[502];
        TRY(plan_bindings(f, v, plan));
        struct scope s = scope_open(f);
        struct binding b;
        TRY(declare_recursive(f, v, plan));
        for (uint32_t i = 0; i < as_vec(v)->count; i = b.next) {
                b = binding_at(v, plan, i);
                TRY(let_binding(f, &b));
        }
        TRY(declare_defs(f, rest_of(form, 2))); /* last: a def of a bound name rebinds it */
        TRY(body(f, rest_of(form, 2), dst, tail));
        scope_close(f, s);
        return N_OK;
}

/* --- def -------------------------------------------------------------------------------------- */
enum native_status define(struct func *f, struct name *n, uint8_t value)
{
        if (f->is_local) {
                struct var *box = boxed_var(f, n);
                uint8_t reg;
                if (!box) { /* made by a macro inside an expression: known from here on */
                        TRY(new_reg(f, &reg));
                        TRY(emit(f, OP_WORD(OP_NEWBOX, reg, 0, 0)));
                        TRY(new_var(f, n, reg, true));
                        box = boxed_var(f, n);
                }
                return emit(f, OP_WORD(OP_SETBOX, box->reg, value, 0));
        }
        if (!module_global(f->r, n, &n))
                return N_NOMEM;
        int32_t slot = global_slot(f->r, n);
        if (slot < 0)
                return fail_form(f, "more than 4,096 global names");
        f->r->overridden[slot / 8] |= (uint8_t)(1u << (slot % 8));
        if (f->r->globals[slot].tag == T_MACRO) /* a definition replaces a macro (spec 8.2, 7) */
                f->r->globals[slot] = UNBOUND;
        return emit(f, OP_WIDE(OP_SETGLOBAL, value, slot));
}

static enum native_status def_form(struct func *f, val form, uint8_t dst)
{
        val name = unwrap_meta(at(form, 1)), type = NIL, rest = rest_of(form, 2);
        if (len(rest) > 2 && is_symbol(at(rest, 0), ":")) {
                rest = rest_of(rest, 1);
                TRY(take_type(f, &rest, &type));
        } else if (len(rest) > 1 && at(rest, 0).tag == T_KEYWORD) {
                type = at(rest, 0);
                rest = rest_of(rest, 1);
        }
        if (name.tag != T_SYMBOL || len(rest) != 1)
                return fail_form(f, "def takes a name, an optional annotation and a value");
        TRY(expr(f, at(rest, 0), dst, false));
        TRY(check_value(f, type, dst));
        return define(f, as_name(name), dst);
}

static enum native_status defn_form(struct func *f, val form, uint8_t dst)
{
        val rest = rest_of(form, 1), delegations = list_empty(f->r);
        while (len(rest) && at(rest, 0).tag == T_LIST &&
               is_symbol(at(at(rest, 0), 0), "delegate to")) {
                delegations = list_cons(f->r, at(rest, 0), delegations);
                rest = rest_of(rest, 1);
                if (nomem(delegations))
                        return N_NOMEM;
        }
        val name = len(rest) ? unwrap_meta(at(rest, 0)) : NIL;
        if (name.tag != T_SYMBOL)
                return fail_form(f, "defn needs a name");
        rest = rest_of(rest, 1);
        if (len(rest) > 2 && at(rest, 0).tag == T_STRING) /* docstring */
                rest = rest_of(rest, 1);
        for (struct cons *c = as_cons(delegations); c->count; c = c->tail)
                if (nomem(rest = list_cons(f->r, c->head, rest)))
                        return N_NOMEM;
        /* A builtin written in RTFS carries its name: errors speak of it. */
        TRY(function(f, f->r->building ? as_name(name) : NULL, rest, dst));
        return define(f, as_name(name), dst);
}

static enum native_status defmacro_form(struct func *f, val form, uint8_t dst)
{
        struct mv_rtfs *r = f->r;
        val name = at(form, 1), rest = rest_of(form, 2);
        if (name.tag != T_SYMBOL || len(form) < 4)
                return fail_form(f, "defmacro takes a name, a parameter vector and a body");
        if (at(rest, 0).tag == T_STRING && len(rest) > 2)
                rest = rest_of(rest, 1);
        struct func *g = compile_work(r, sizeof *g);
        struct proto *p;
        if (!g)
                return raise_memory(r, "compiling");
        r->source_pos = f->at;
        TRY(function_proto(NULL, r, as_name(name), rest, g, &p));
        p->builtin = true; /* arity errors name the macro */
        struct closure *c = heap_alloc(r, O_CLOSURE, sizeof *c);
        if (!c)
                return N_NOMEM;
        c->proto = p;
        int32_t slot = global_slot(r, as_name(name));
        if (slot < 0)
                return fail_form(f, "more than 4,096 global names");
        r->globals[slot] = OBJ(T_MACRO, c);
        return emit(f, OP_WORD(OP_LOADNIL, dst, 0, 0));
}

/* --- loop, recur ------------------------------------------------------------------------------ */
static enum native_status declare_owner(struct func *f, val bindings, val forms, struct loop *l)
{
        for (uint32_t i = 0; i < l->count; i++)
                if (grows_in_place(f, bindings, i, forms))
                        l->grows |= 1ull << i;
        if (!l->grows)
                return N_OK;
        TRY(new_reg(f, &l->owner));
        return emit(f, OP_WORD(OP_OWNER, l->owner, 0, 0));
}

static enum native_status loop_form(struct func *f, val form, uint8_t dst, bool tail)
{
        val v = at(form, 1);
        if (len(form) < 3 || v.tag != T_VECTOR || vec_count(v) % 2 || vec_count(v) > 100)
                return fail_form(
                        f, "loop takes a vector of pattern and initial value pairs, and a body");
        struct scope s = scope_open(f);
        struct loop l = { .outer = f->loop, .count = vec_count(v) / 2 };
        uint8_t reg;
        for (uint32_t i = 0; i < l.count; i++) {
                TRY(new_reg(f, &reg));
                TRY(expr(f, vec_at(v, 2 * i + 1), reg, false));
                if (vec_at(v, 2 * i).tag == T_SYMBOL) /* later initial values see earlier names */
                        TRY(bind_pattern(f, vec_at(v, 2 * i), reg));
        }
        l.reg = (uint8_t)(f->free - l.count);
        TRY(declare_owner(f, v, rest_of(form, 2), &l));
        l.start = f->code.count;
        f->last = NO_CODE; /* the loop comes back to here */
        for (uint32_t i = 0; i < l.count; i++)
                if (vec_at(v, 2 * i).tag != T_SYMBOL)
                        TRY(bind_pattern(f, vec_at(v, 2 * i), (uint8_t)(l.reg + i)));
        TRY(declare_defs(f, rest_of(form, 2)));
        bool tail_ok = f->tail_ok;
        f->loop = &l;
        f->tail_ok = tail_ok && tail;
        TRY(body(f, rest_of(form, 2), dst, true));
        f->loop = l.outer;
        f->tail_ok = tail_ok;
        scope_close(f, s);
        return N_OK;
}

/* One value of a recur: the instruction that gave it, and where the code of the next one begins. */
struct turn {
        uint32_t last, end;
        bool stays; /* the variable keeps its value */
};

/* A value for the loop's variable in register `own`, into register reg. */
static enum native_status turn_value(struct func *f, val form, uint8_t own, uint8_t reg,
                                     struct turn *ret)
{
        uint8_t local;
        f->last = NO_CODE;
        *ret = (struct turn){ .stays = plain_local(f, form, &local) && local == own };
        if (!ret->stays)
                TRY(expr(f, form, reg, false));
        if (ends_with_last(f) && f->code.p[f->last] == OP_WORD(OP_MOVE, reg, own, 0)) {
                f->code.count = --f->pos.count;
                ret->stays = true;
        }
        ret->last = f->last;
        ret->end = f->code.count;
        return N_OK;
}

/* The new values lie in registers from `first` on. One that nothing behind it needs the old value of is computed in
 * place, the others are moved. */
static enum native_status assign_turn(struct func *f, const struct loop *l, const struct turn *t,
                                      uint8_t first)
{
        for (uint32_t i = 0; i < l->count; i++) {
                uint8_t from = (uint8_t)(first + i), to = (uint8_t)(l->reg + i);
                bool in_place = t[i].stays || (!reads_register(f, t[i].end, to) &&
                                               redirect_result(f, t[i].last, from, to));
                if (!in_place)
                        TRY(emit(f, OP_WORD(OP_MOVE, to, from, 0)));
        }
        return N_OK;
}

static enum native_status recur_form(struct func *f, val form, bool tail)
{
        struct loop *l = f->loop;
        uint32_t n = len(form) - 1, first = f->free;
        uint8_t reg;
        if (!l || !tail)
                return fail_form(f,
                                 "recur is only possible in tail position of a loop or function");
        if (n != l->count) {
                f->r->source_pos = f->at;
                char expected[16];
                mv_fmt(expected, sizeof expected, "%u", l->count);
                return raise_arity(f->r, "recur", expected, n);
        }
        struct turn t[PARAMS_MAX + 1];
        for (uint32_t i = 0; i < n; i++) {
                TRY(new_reg(f, &reg));
                f->growing = l->grows >> i & 1 ? l->reg + i : NO_REGISTER;
                TRY(turn_value(f, at(form, 1 + i), (uint8_t)(l->reg + i), reg, &t[i]));
        }
        f->growing = NO_REGISTER;
        TRY(assign_turn(f, l, t, (uint8_t)first));
        f->free = first;
        return emit_loop(f, l->start);
}

#define UPDATE_ITEMS_MAX                                                                           \
        64 /* of a call of update that names its function; longer ones look for a global one */

/* --- quote, quasiquote ------------------------------------------------------------------------ */
static enum native_status quasi(struct func *f, val form, uint8_t dst, int level);

static bool is_call_of(val form, const char *word)
{
        return form.tag == T_LIST && len(form) == 2 && is_symbol(at(form, 0), word);
}

static enum native_status quasi_item(struct func *f, val item, uint8_t builder, int level)
{ /* builder and the two registers behind it are consecutive */
        uint8_t reg = (uint8_t)(builder + 1);
        if (is_call_of(item, "unquote-splicing") && level == 1) {
                TRY(expr(f, at(item, 1), reg, false));
                return native_call(f, "%splice", builder, builder, 2);
        }
        TRY(quasi(f, item, reg, level));
        return native_call(f, "%push!", builder, builder, 2);
}

static enum native_status quasi_sequence(struct func *f, val form, uint8_t dst, int level)
{
        uint32_t free = f->free;
        uint8_t builder, item;
        TRY(new_reg(f, &builder));
        TRY(new_reg(f, &item));
        TRY(native_call(f, "%builder", builder, builder, 0));
        if (form.tag == T_LIST)
                for (struct cons *c = as_cons(form); c->count; c = c->tail)
                        TRY(quasi_item(f, c->head, builder, level));
        else
                for (uint32_t i = 0; i < vec_count(form); i++)
                        TRY(quasi_item(f, vec_at(form, i), builder, level));
        f->free = free;
        if (form.tag == T_LIST)
                return native_call(f, "%to-list", dst, builder, 1);
        return emit(f, OP_WORD(OP_MOVE, dst, builder, 0));
}

static enum native_status quasi_map(struct func *f, val form, uint8_t dst, int level)
{
        uint32_t free = f->free;
        uint8_t m, k, v;
        TRY(new_reg(f, &m));
        TRY(new_reg(f, &k));
        TRY(new_reg(f, &v));
        TRY(emit(f, OP_WORD(OP_MAP, m, m, 0)));
        for (uint32_t i = 0; i < as_vec(form)->count; i += 2) {
                if (!map_key_ok(vec_at(form, i)))
                        return fail_form(f, "map keys are literal keywords, strings or integers");
                TRY(load_const(f, vec_at(form, i), k));
                TRY(quasi(f, vec_at(form, i + 1), v, level));
                TRY(emit(f, OP_WORD(OP_MAPPUT, m, k, 1)));
        }
        f->free = free;
        return emit(f, OP_WORD(OP_MOVE, dst, m, 0));
}

static enum native_status quasi(struct func *f, val form, uint8_t dst, int level)
{
        if (f->depth++ >= 900)
                return fail_form(f, "nested too deeply");
        enum native_status s;
        if (is_call_of(form, "unquote") && level == 1)
                s = expr(f, at(form, 1), dst, false);
        else if (is_call_of(form, "unquote-splicing") && level == 1)
                s = fail_form(f, "~@ is only possible inside a list or vector");
        else if (form.tag == T_LIST || form.tag == T_VECTOR)
                s = quasi_sequence(f, form, dst,
                                   level + is_call_of(form, "quasiquote") -
                                           is_call_of(form, "unquote") -
                                           is_call_of(form, "unquote-splicing"));
        else if (form.tag == T_MAPFORM)
                s = quasi_map(f, form, dst, level);
        else
                s = load_const(f, form, dst);
        f->depth--;
        return s;
}

/* (update coll key "name"): a string may name a function that only the compiler can find, a
 * local one. */
static enum native_status update_form(struct func *f, val form, uint8_t dst, bool tail)
{
        if (len(form) < 4 || len(form) > UPDATE_ITEMS_MAX || at(form, 3).tag != T_STRING)
                return call_plain(f, form, dst, tail);
        struct name *n = name_intern(f->r, string_slice(at(form, 3)));
        if (!n)
                return N_NOMEM;
        if (!is_local_name(f, n))
                return call_plain(f, form, dst, tail);
        val items[UPDATE_ITEMS_MAX];
        uint32_t count = 0;
        for (struct cons *c = as_cons(form); c->count; c = c->tail)
                items[count++] = c->head;
        items[3] = OBJ(T_SYMBOL, n);
        TRY(list_of(f, items, count, &form));
        return call_plain(f, form, dst, tail);
}

static enum native_status quote_form(struct func *f, val form, uint8_t dst)
{
        val data;
        if (len(form) != 2)
                return fail_form(f, "quote takes one form");
        TRY(data_form(f, at(form, 1), &data));
        return load_const(f, data, dst);
}

enum native_status special_form(struct func *f, int special, val form, uint8_t dst, bool tail)
{
        switch ((enum special)special) {
        case S_LET:
                return let_form(f, form, dst, tail);
        case S_IF:
                return if_form(f, form, dst, tail);
        case S_DO:
                return body(f, rest_of(form, 1), dst, tail);
        case S_FN:
                if (len(form) < 3)
                        return fail_form(f, "fn takes a parameter vector and a body");
                return named_function(f, NULL, form, dst);
        case S_DEF:
                return def_form(f, form, dst);
        case S_DEFN:
                return defn_form(f, form, dst);
        case S_DEFMACRO:
                return defmacro_form(f, form, dst);
        case S_DEFSTRUCT:
                return defstruct_form(f, form, dst);
        case S_DEFTYPE:
                return deftype_form(f, form, dst);
        case S_TRY:
                return try_form(f, form, dst);
        case S_MATCH:
                return match_form(f, form, dst, tail);
        case S_FOR:
                return for_form(f, form, dst);
        case S_DOTIMES:
                return dotimes_form(f, form, dst);
        case S_LOOP:
                return loop_form(f, form, dst, tail);
        case S_RECUR:
                return recur_form(f, form, tail);
        case S_QUOTE:
                return quote_form(f, form, dst);
        case S_QUASIQUOTE:
                if (len(form) != 2)
                        return fail_form(f, "quasiquote takes one form");
                return quasi(f, at(form, 1), dst, 1);
        case S_UNQUOTE:
                return fail_form(f, "~ and ~@ are only possible inside a quasiquote");
        case S_CONTEXT:
                return context_form(f, form, dst);
        case S_META:
                return meta_form(f, form, dst);
        case S_HINTS:
                return hints_form(f, form, dst);
        case S_DELEGATE:
                return fail_form(f, "^:delegation belongs after fn or defn");
        case S_AND:
        case S_OR:
                return and_or_form(f, form, dst, tail);
        case S_WHEN:
        case S_WHEN_NOT:
                return when_form(f, form, dst, tail);
        case S_IF_NOT:
                return if_not_form(f, form, dst, tail);
        case S_IF_LET:
        case S_WHEN_LET:
                return if_let_form(f, form, dst, tail);
        case S_COND:
                return cond_form(f, form, dst, tail);
        case S_CASE:
                return case_form(f, form, dst, tail);
        case S_THREAD_FIRST:
        case S_THREAD_LAST:
                return thread_form(f, form, dst, tail);
        case S_GET:
                return get_form(f, form, dst, tail);
        case S_STEP:
                if (len(form) > 1 && at(form, 1).tag == T_KEYWORD)
                        return call_plain(f, form, dst, tail);
                return step_form(f, form, dst);
        case S_SECURITY_PROFILE:
                return security_profile_form(f, form, dst);
        case S_STEP_IF:
                return step_if_form(f, form, dst);
        case S_STEP_LOOP:
                return step_loop_form(f, form, dst);
        case S_STEP_PARALLEL:
                return step_parallel_form(f, form, dst);
        case S_REJECTED: {
                char text[96];
                mv_fmt(text, sizeof text, "%.*s", (int)as_name(at(form, 0))->len,
                       as_name(at(form, 0))->text);
                return raise_op(f, E_NOT_IMPLEMENTED, "%s", text);
        }
        case S_PLAN:
                return plan_form(f, form, dst);
        case S_LLM:
                return llm_form(f, form, dst, tail);
        case S_THROW:
                if (len(form) != 2)
                        return fail_form(f, "throw takes one value");
                return call_plain(f, form, dst, tail);
        case S_UPDATE:
                return update_form(f, form, dst, tail);
        case S_MODULE:
                return module_form(f, form, dst);
        case S_IMPORT:
                return import_form(f, form, dst);
        case S_NONE:
        case S_SHADOWABLE_:
                break;
        }
        return raise_fmt(f->r, E_INTERNAL, "unknown special form");
}
