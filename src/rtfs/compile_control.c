/* SPDX-License-Identifier: Apache-2.0 */
/* try (spec 3.9), for (3.10) and dotimes (3.11). */
#include <rtfs/compile.h>

/* --- try -------------------------------------------------------------------------------------- */
static const char *const kind_names[][2] = {
#define X(id, name, keyword) { name, keyword },
        ERROR_KIND_MAP(X)
#undef X
};

static int selector_kind(val v)
{ /* -1: everything */
        for (int i = 0; i < E_OTHER; i++)
                if (mv_slice_eq_str(name_slice(v), kind_names[i][v.tag == T_KEYWORD]))
                        return i;
        return -1;
}

static bool is_clause(val v, const char *word)
{
        return v.tag == T_LIST && len(v) && is_symbol(at(v, 0), word);
}

static enum native_status catch_clause(struct func *f, val clause, uint8_t error, uint8_t dst)
{
        uint32_t n = len(clause), miss = 0;
        val selector = NIL, var = at(clause, 1);
        bool two = n >= 4 && at(clause, 2).tag == T_SYMBOL &&
                   (var.tag == T_SYMBOL || var.tag == T_KEYWORD);
        if (two) {
                selector = var;
                var = at(clause, 2);
        }
        if (var.tag != T_SYMBOL || n < 3)
                return fail_form(f, "catch takes an optional error kind, a name and a body");
        int kind = selector.tag == T_NIL ? -1 : selector_kind(selector);
        if (selector.tag == T_KEYWORD && kind < 0)
                return fail_form(f, "catch: no error kind has this keyword");
        if (kind >= 0)
                TRY(emit_jump(f, OP_WORD(OP_JNKIND, error, kind, 0), &miss));
        struct scope s = scope_open(f);
        f->is_local = s.is_local; /* definitions inside a handler land in the enclosing frame */
        f->scope_vars = s.scope_vars;
        uint8_t reg;
        TRY(new_reg(f, &reg));
        TRY(emit(f, OP_WORD(OP_MOVE, reg, error, 0)));
        TRY(bind_pattern(f, var, reg));
        TRY(body(f, rest_of(clause, two ? 3 : 2), dst, false));
        TRY(emit(f, OP_WORD(OP_LOADNIL, error, 0, 0)));
        scope_close(f, s);
        if (miss) { /* a handled error skips the other clauses */
                uint32_t done;
                TRY(jump(f, &done));
                patch_here(f, miss);
                f->try_done = done;
        }
        return N_OK;
}

struct try_parts {
        val body, catches[16], finally;
        uint32_t catch_count;
};

static enum native_status split_try(struct func *f, val form, struct try_parts *t)
{
        uint32_t n = len(form), end = n;
        *t = (struct try_parts){ .finally = NIL };
        if (n > 1 && is_clause(at(form, n - 1), "finally")) {
                t->finally = at(form, --end);
                if (len(t->finally) < 2)
                        return fail_form(f, "finally needs a body");
        }
        while (end > 1 && is_clause(at(form, end - 1), "catch"))
                end--;
        for (uint32_t i = end; i < n - (t->finally.tag != T_NIL); i++) {
                if (t->catch_count == 16)
                        return fail_form(f, "try has more than 16 catch clauses");
                t->catches[t->catch_count++] = at(form, i);
        }
        for (uint32_t i = 1; i < end; i++)
                if (is_clause(at(form, i), "catch") || is_clause(at(form, i), "finally"))
                        return fail_form(f,
                                         "catch and finally come last in try, finally at the end");
        val b = list_empty(f->r);
        for (uint32_t i = end; i-- > 1;)
                if (nomem(b = list_cons(f->r, at(form, i), b)))
                        return N_NOMEM;
        t->body = b;
        return N_OK;
}

static enum native_status catch_clauses(struct func *f, const struct try_parts *t, uint8_t error,
                                        uint8_t dst)
{
        uint32_t ends = 0;
        for (uint32_t i = 0; i < t->catch_count; i++) {
                f->try_done = 0;
                TRY(catch_clause(f, t->catches[i], error, dst));
                uint32_t done = f->try_done;
                f->try_done = 0;
                if (!done)
                        break; /* it catches everything: what follows is unreachable */
                f->code.p[done] = ends;
                ends = done;
        }
        while (ends) {
                uint32_t next = f->code.p[ends];
                patch_here(f, ends);
                ends = next;
        }
        return N_OK;
}

/* error register: nil while all is well. Body and clauses fall through to finally, which raises
 * what is left in it. */
enum native_status try_form(struct func *f, val form, uint8_t dst)
{
        struct try_parts *t = compile_work(f->r, sizeof *t);
        if (!t)
                return raise_memory(f->r, "compiling");
        uint32_t free = f->free, skip, from;
        uint8_t error, scratch_reg;
        TRY(split_try(f, form, t));
        struct loop *outer = f->loop;
        bool tail_ok = f->tail_ok;
        f->loop = NULL; /* recur cannot leave a try */
        f->tail_ok = false;
        TRY(new_reg(f, &error));
        TRY(new_reg(f, &scratch_reg));
        TRY(emit(f, OP_WORD(OP_LOADNIL, error, 0, 0)));
        from = f->code.count;
        TRY(body(f, t->body, dst, false));
        if (t->catch_count || t->finally.tag != T_NIL) {
                TRY(jump(f, &skip));
                TRY(add_handler(f, from, f->code.count, f->code.count, error));
                uint32_t clauses = f->code.count;
                TRY(catch_clauses(f, t, error, dst));
                if (t->finally.tag != T_NIL && f->code.count > clauses)
                        TRY(add_handler(f, clauses, f->code.count, f->code.count, error));
                patch_here(f, skip);
                if (t->finally.tag != T_NIL)
                        TRY(body(f, rest_of(t->finally, 1), scratch_reg, false));
                TRY(emit(f, OP_WORD(OP_RERAISE, error, 0, 0)));
        }
        f->loop = outer;
        f->tail_ok = tail_ok;
        f->free = free;
        return N_OK;
}

/* --- for, dotimes ----------------------------------------------------------------------------- */
struct comprehension {
        val v, body;
        uint8_t builder;
};

static enum native_status for_level(struct func *f, struct comprehension *c, uint32_t i);

static enum native_status for_modifier(struct func *f, struct comprehension *c, uint32_t i,
                                       uint32_t *ret_skip)
{
        struct mv_slice word = name_slice(vec_at(c->v, i));
        val arg = vec_at(c->v, i + 1);
        if (mv_slice_eq_str(word, "let") && arg.tag == T_VECTOR && vec_count(arg) % 2 == 0) {
                for (uint32_t k = 0; k < vec_count(arg); k += 2) {
                        uint8_t reg;
                        TRY(new_reg(f, &reg));
                        TRY(expr(f, vec_at(arg, k + 1), reg, false));
                        TRY(bind_pattern(f, vec_at(arg, k), reg));
                }
                return N_OK;
        }
        if (mv_slice_eq_str(word, "when") || mv_slice_eq_str(word, "while"))
                return test_jump(f, arg, ret_skip);
        return fail_form(f, "for knows the modifiers :when, :while and :let");
}

/* Modifiers behind a binding, then the next binding or the body. A failed :while leaves the
 * loop, :when the turn. */
static enum native_status for_inner(struct func *f, struct comprehension *c, uint32_t i,
                                    uint32_t *leaves)
{
        uint32_t skips = 0;
        while (i < vec_count(c->v) && vec_at(c->v, i).tag == T_KEYWORD) {
                uint32_t patch = 0;
                TRY(for_modifier(f, c, i, &patch));
                uint32_t *chain =
                        mv_slice_eq_str(name_slice(vec_at(c->v, i)), "while") ? leaves : &skips;
                if (patch) {
                        f->code.p[patch] = *chain;
                        *chain = patch;
                }
                i += 2;
        }
        TRY(for_level(f, c, i));
        while (skips) {
                uint32_t next = f->code.p[skips];
                patch_here(f, skips);
                skips = next;
        }
        return N_OK;
}

static enum native_status for_level(struct func *f, struct comprehension *c, uint32_t i)
{
        uint8_t vec, index, item;
        uint32_t end, leaves = 0;
        struct scope s = scope_open(f);
        if (i >= vec_count(c->v)) {
                TRY(new_reg(f, &item));
                TRY(declare_defs(f, c->body));
                TRY(body(f, c->body, item, false));
                TRY(emit(f, OP_WORD(OP_PUSH, c->builder, item, 0)));
                scope_close(f, s);
                return N_OK;
        }
        if (!is_pattern(vec_at(c->v, i)))
                return raise_op(f, E_TYPE,
                                "for: expected symbol or pattern as binding, got something else");
        TRY(new_reg(f, &vec));
        TRY(new_reg(f, &index));
        TRY(new_reg(f, &item));
        TRY(expr(f, vec_at(c->v, i + 1), item, false));
        TRY(emit(f, OP_WORD(OP_ITER, vec, item, 0)));
        uint32_t start = f->code.count;
        TRY(emit_jump(f, OP_WORD(OP_NEXT, vec, 0, 0), &end));
        TRY(bind_pattern(f, vec_at(c->v, i), item));
        TRY(for_inner(f, c, i + 2, &leaves));
        TRY(emit_loop(f, start));
        patch_here(f, end);
        while (leaves) {
                uint32_t next = f->code.p[leaves];
                patch_here(f, leaves);
                leaves = next;
        }
        scope_close(f, s);
        return N_OK;
}

enum native_status for_form(struct func *f, val form, uint8_t dst)
{
        val v = at(form, 1);
        if (len(form) != 3)
                return raise_op(f, E_ARITY, "for: expected 2, got %u", len(form) - 1);
        if (v.tag != T_VECTOR)
                return raise_op(f, E_TYPE, "for: expected vector of bindings, got %s",
                                v.tag == T_MAPFORM ? "map" : type_name(v));
        if (vec_count(v) % 2)
                return raise_op(f, E_GENERIC, "for requires an even number of binding forms");
        uint32_t free = f->free;
        struct loop *outer = f->loop;
        bool tail_ok = f->tail_ok;
        struct comprehension c = { .v = v, .body = rest_of(form, 2) };
        f->loop = NULL;
        f->tail_ok = false;
        TRY(new_reg(f, &c.builder));
        TRY(native_call(f, "%builder", c.builder, c.builder, 0));
        TRY(for_level(f, &c, 0));
        f->loop = outer;
        f->tail_ok = tail_ok;
        f->free = free;
        return emit(f, OP_WORD(OP_MOVE, dst, c.builder, 0));
}

enum native_status dotimes_form(struct func *f, val form, uint8_t dst)
{
        val v = at(form, 1);
        if (len(form) < 3)
                return raise_op(f, E_ARITY, "dotimes: expected 2, got %u", len(form) - 1);
        if (v.tag != T_VECTOR || vec_count(v) != 2 || vec_at(v, 0).tag != T_SYMBOL)
                return raise_op(f, E_TYPE, "dotimes: expected [symbol integer], got %s",
                                v.tag == T_VECTOR ? "another vector" : "non-vector");
        struct scope s = scope_open(f);
        struct loop *outer = f->loop;
        bool tail_ok = f->tail_ok;
        uint8_t limit, i, var;
        uint32_t end;
        f->loop = NULL;
        f->tail_ok = false;
        TRY(new_reg(f, &limit));
        TRY(expr(f, vec_at(v, 1), limit, false));
        TRY(native_call(f, "%dotimes-count", limit, limit, 1));
        TRY(new_reg(f, &i));
        TRY(emit(f, OP_WIDE(OP_LOADI, i, 0)));
        TRY(emit(f, OP_WORD(OP_LOADNIL, dst, 0, 0)));
        uint32_t start = f->code.count;
        TRY(emit_jump(f, OP_WORD(OP_JNLT, i, limit, 0), &end));
        TRY(new_reg(f, &var)); /* a fresh variable each turn: closures keep theirs */
        TRY(emit(f, OP_WORD(OP_MOVE, var, i, 0)));
        TRY(bind_pattern(f, vec_at(v, 0), var));
        TRY(declare_defs(f, rest_of(form, 2)));
        TRY(body(f, rest_of(form, 2), dst, false));
        TRY(emit(f, OP_WORD(OP_ADDI, i, i, 1)));
        TRY(emit_loop(f, start));
        patch_here(f, end);
        f->loop = outer;
        f->tail_ok = tail_ok;
        scope_close(f, s);
        return N_OK;
}
