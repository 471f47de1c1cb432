/* SPDX-License-Identifier: Apache-2.0 */
/* Calls: operators and some builtins as instructions, other builtins called directly, the rest as
 * calls of values.
 *
 * (1) A builtin becomes code only where its name certainly means it (inline_native), and the
 *     instruction means what the builtin does.
 * (2) Operands are evaluated from left to right, all of them before the operation (spec 6.4). A
 *     local variable or a constant has nothing to evaluate and is used where it is. */
#include <rtfs/compile.h>

struct operator
{
        const char *name;
        uint8_t op, constant, jump; /* with a register, with a constant; test in a jump; 0: none */
        bool commutes, folds;
};
static const struct operator operators[] = {
        { "+", OP_ADD, OP_ADDK, 0, true, true },     { "-", OP_SUB, OP_SUBK, 0, false, true },
        { "*", OP_MUL, OP_MULK, 0, true, true },     { "/", OP_DIV, OP_DIVK, 0, false, false },
        { "mod", OP_MOD, OP_MODK, 0, false, false }, { "<", OP_LT, 0, OP_JNLT, false, false },
        { "<=", OP_LE, 0, OP_JNLE, false, false },   { ">", OP_GT, 0, OP_JNGT, false, false },
        { ">=", OP_GE, 0, OP_JNGE, false, false },   { "=", OP_EQ, 0, OP_JNEQ, false, false },
        { "not=", OP_NE, 0, OP_JNNE, false, false }, { "!=", OP_NE, 0, OP_JNNE, false, false },
        { "nth", OP_NTH, 0, 0, false, false },       { "count", OP_COUNT, 0, 0, false, false },
        { "not", OP_NOT, 0, 0, false, false },       { "get", OP_GET, 0, 0, false, false },
        { "%push!", OP_PUSH, 0, 0, false, false },   { "assoc", OP_PUT, 0, 0, false, false },
};

uint8_t operator_of(struct mv_slice name)
{
        for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
                if (mv_slice_eq_str(name, operators[i].name))
                        return (uint8_t)(i + 1);
        return 0;
}

/* The operator that a form calls, or NULL. */
static const struct operator* operator_in(struct func *f, val form, int32_t *ret_native)
{
        *ret_native = inline_native(f, at(form, 0));
        uint8_t i = *ret_native < 0 ? 0 : f->r->operators[*ret_native];
        return i ? &operators[i - 1] : NULL;
}

/* --- operands --------------------------------------------------------------------------------- */
struct operand {
        bool constant;
        uint8_t index; /* register, or index into the constants */
};

static bool is_literal(val v)
{
        return v.tag == T_INT || v.tag == T_FLOAT || v.tag == T_KEYWORD || v.tag == T_STRING;
}

/* A literal becomes a constant while the index fits into an operand. */
static enum native_status constant_operand(struct func *f, val form, struct operand *ret)
{
        uint32_t k;
        *ret = (struct operand){ 0 };
        if (!is_literal(form))
                return N_OK;
        TRY(add_const(f, form, &k));
        *ret = (struct operand){ k <= UINT8_MAX, (uint8_t)k };
        return N_OK;
}

static enum native_status any_operand(struct func *f, val form, struct operand *ret)
{
        TRY(constant_operand(f, form, ret));
        return ret->constant ? N_OK : operand(f, form, &ret->index);
}

static enum native_status into_register(struct func *f, struct operand *o)
{
        uint8_t reg;
        if (!o->constant)
                return N_OK;
        TRY(new_reg(f, &reg));
        TRY(emit(f, OP_WIDE(OP_LOADK, reg, o->index)));
        *o = (struct operand){ false, reg };
        return N_OK;
}

static bool small_int(val v)
{
        return v.tag == T_INT && v.i == (int8_t)v.i;
}

/* dst := a op b */
static enum native_status operation(struct func *f, const struct operator* op, uint8_t dst,
                                    struct operand a, struct operand b)
{
        if (a.constant && !b.constant && op->commutes) {
                struct operand swap = a;
                a = b;
                b = swap;
        }
        TRY(into_register(f, &a));
        bool constant = b.constant && op->constant;
        if (constant && op->op <= OP_SUB && small_int(f->consts[b.index]))
                return emit(f, OP_WORD(op->op == OP_ADD ? OP_ADDI : OP_SUBI, dst, a.index,
                                       f->consts[b.index].i));
        if (!constant)
                TRY(into_register(f, &b));
        return emit(f, OP_WORD(constant ? op->constant : op->op, dst, a.index, b.index));
}

#define FOLD_MAX 16u /* operands of one operator call that are used where they are */

/* (op a b ...): from left to right, two at a time. */
static enum native_status fold(struct func *f, val form, const struct operator* op, uint8_t dst)
{
        struct operand o[FOLD_MAX];
        uint32_t free = f->free, here = f->at, n = len(form) - 1;
        uint8_t sum;
        for (uint32_t i = 0; i < n; i++)
                TRY(any_operand(f, at(form, 1 + i), &o[i]));
        f->at = here;
        if (n > 2)
                TRY(new_reg(f, &sum));
        for (uint32_t i = 1; i < n; i++) {
                uint8_t to = i == n - 1 ? dst : sum;
                TRY(operation(f, op, to, o[0], o[i]));
                o[0] = (struct operand){ false, to };
        }
        f->free = free;
        return N_OK;
}

/* (get coll key), (get coll key absent): the instruction finds in its result what to give when there
 * is no entry. */
static enum native_status get_call(struct func *f, val form, uint8_t dst)
{
        uint32_t free = f->free, here = f->at;
        uint8_t coll, key, result = dst;
        TRY(operand(f, at(form, 1), &coll));
        TRY(operand(f, at(form, 2), &key));
        if (dst + 1u != free)
                TRY(new_reg(f, &result));
        TRY(expr(f, at(form, 3), result, false));
        f->at = here;
        TRY(emit(f, OP_WORD(OP_GET, result, coll, key)));
        f->free = free;
        return result == dst ? N_OK : emit(f, OP_WORD(OP_MOVE, dst, result, 0));
}

/* (assoc m key value) for the variable that grows in place: m changes, and is the result. */
static enum native_status put_call(struct func *f, val form, uint8_t m, uint8_t dst)
{
        uint32_t free = f->free, here = f->at;
        uint8_t key, value;
        TRY(operand(f, at(form, 2), &key));
        TRY(operand(f, at(form, 3), &value));
        f->at = here;
        TRY(emit2(f, OP_WORD(OP_PUT, m, key, value), f->loop->owner));
        f->free = free;
        return m == dst ? N_OK : emit(f, OP_WORD(OP_MOVE, dst, m, 0));
}

static bool is_put(struct func *f, val form, const struct operator* op)
{
        uint8_t m;
        return op->op == OP_PUT && f->growing != NO_REGISTER && len(form) == 4 &&
               plain_local(f, at(form, 1), &m) && m == f->growing;
}

static enum native_status unary(struct func *f, val form, const struct operator* op, uint8_t dst)
{
        uint32_t free = f->free, here = f->at;
        uint8_t a;
        TRY(operand(f, at(form, 1), &a));
        f->at = here;
        f->free = free;
        return emit(f, OP_WORD(op->op, dst, a, 0));
}

static enum native_status push_call(struct func *f, val form, uint8_t dst)
{
        uint32_t free = f->free, here = f->at;
        uint8_t builder, item;
        TRY(operand(f, at(form, 1), &builder));
        TRY(operand(f, at(form, 2), &item));
        f->at = here;
        TRY(emit(f, OP_WORD(OP_PUSH, builder, item, 0)));
        f->free = free;
        return builder == dst ? N_OK : emit(f, OP_WORD(OP_MOVE, dst, builder, 0));
}

/* The form as an instruction of its own, if it is one: *ret_done. */
static enum native_status operator_call(struct func *f, val form, const struct operator* op,
                                        uint8_t dst, bool *ret_done)
{
        uint32_t n = len(form) - 1;
        *ret_done = true;
        if (op->op == OP_GET && (n == 2 || n == 3))
                return get_call(f, form, dst);
        if ((op->op == OP_COUNT || op->op == OP_NOT) && n == 1)
                return unary(f, form, op, dst);
        if (op->op == OP_PUSH && n == 2)
                return push_call(f, form, dst);
        if (is_put(f, form, op))
                return put_call(f, form, (uint8_t)f->growing, dst);
        bool pair = (op->op <= OP_NE || op->op == OP_NTH) && n == 2;
        if (pair || (op->folds && n > 2 && n <= FOLD_MAX))
                return fold(f, form, op, dst);
        *ret_done = false;
        return N_OK;
}

/* --- tests ------------------------------------------------------------------------------------ */
static enum native_status comparison_jump(struct func *f, val test, const struct operator* op,
                                          uint32_t *ret_patch)
{
        struct operand b;
        uint8_t a;
        uint32_t here = f->at;
        TRY(operand(f, at(test, 1), &a));
        if (small_int(at(test, 2)))
                return emit_jump(f, OP_WORD(op->jump + (OP_JNLTI - OP_JNLT), a, at(test, 2).i, 0),
                                 ret_patch);
        TRY(any_operand(f, at(test, 2), &b));
        f->at = here;
        return emit_jump(f,
                         OP_WORD(op->jump + (b.constant ? OP_JNLTK - OP_JNLT : 0), a, b.index, 0),
                         ret_patch);
}

enum native_status test_jump(struct func *f, val test, uint32_t *ret_patch)
{
        uint32_t free = f->free;
        int32_t native;
        uint8_t a;
        f->at = test.tag == T_LIST && as_cons(test)->pos ? as_cons(test)->pos : f->at;
        bool call = test.tag == T_LIST && len(test);
        const struct operator* op = call ? operator_in(f, test, &native) : NULL;
        if (op && op->jump && len(test) == 3) {
                TRY(comparison_jump(f, test, op, ret_patch));
        } else if (op && op->op == OP_NOT && len(test) == 2) {
                TRY(operand(f, at(test, 1), &a));
                TRY(emit_jump(f, OP_WORD(OP_JT, a, 0, 0), ret_patch));
        } else {
                TRY(operand(f, test, &a));
                TRY(emit_jump(f, OP_WORD(OP_JF, a, 0, 0), ret_patch));
        }
        f->free = free;
        return N_OK;
}

/* --- builtins and values ---------------------------------------------------------------------- */
enum native_status native_call(struct func *f, const char *name, uint8_t dst, uint8_t first,
                               uint8_t count)
{
        int i = native_find(f->r, mv_slice_str(name));
        if (i < 0)
                return raise_fmt(f->r, E_INTERNAL, "no builtin %s", name);
        return emit2(f, OP_WORD(OP_NCALL, dst, first, count), (uint32_t)i);
}

/* Arguments into consecutive registers from the next free one. */
static enum native_status arguments(struct func *f, val args)
{
        for (struct cons *c = as_cons(args); c->count; c = c->tail) {
                uint8_t reg;
                uint32_t here = f->at;
                TRY(new_reg(f, &reg));
                TRY(expr(f, c->head, reg, false));
                f->at = here;
        }
        return N_OK;
}

/* apply needs the machine itself: it is called like any function value. */
static bool native_is_direct(const struct native *n)
{
        return n->fn != NULL;
}

static bool arity_fits(const struct native *n, uint32_t count)
{
        return (n->args_min < 0 || count >= (uint32_t)n->args_min) &&
               (n->args_max < 0 || count <= (uint32_t)n->args_max);
}

#define ARGS_MAX 200u /* more are passed as a vector to apply */

static enum native_status wide_call(struct func *f, val form, uint8_t dst)
{ /* (f a b ... 201 or more): (apply f [a b ...]) */
        uint32_t free = f->free;
        uint8_t apply, fn, args;
        TRY(new_reg(f, &apply));
        TRY(new_reg(f, &fn));
        TRY(new_reg(f, &args));
        int i = native_find(f->r, MV_SLICE("apply"));
        TRY(load_const(f, (val){ .tag = T_NATIVE, .i = i }, apply));
        TRY(expr(f, at(form, 0), fn, false));
        val b = vec_builder(f->r);
        for (struct cons *c = as_cons(rest_of(form, 1)); !nomem(b) && c->count; c = c->tail)
                if (!vec_push(f->r, b, c->head))
                        return N_NOMEM;
        if (nomem(b))
                return N_NOMEM;
        TRY(expr(f, b, args, false));
        TRY(emit(f, OP_WORD(OP_CALL, apply, 2, 0)));
        f->free = free;
        return emit(f, OP_WORD(OP_MOVE, dst, apply, 0));
}

static enum native_status inline_call(struct func *f, val form, int native, uint8_t dst)
{
        uint32_t free = f->free, here = f->at;
        TRY(arguments(f, rest_of(form, 1)));
        f->at = here;
        TRY(emit2(f, OP_WORD(OP_NCALL, dst, free, len(form) - 1), (uint32_t)native));
        f->free = free;
        return N_OK;
}

static enum native_status plain_call(struct func *f, val form, uint8_t dst, bool tail)
{
        uint32_t free = f->free, here = f->at;
        uint8_t base = dst;
        if (dst + 1u !=
            f->free) /* the register below the next free one can take the function and the result */
                TRY(new_reg(f, &base));
        TRY(expr(f, at(form, 0), base, false));
        TRY(arguments(f, rest_of(form, 1)));
        f->at = here;
        bool replace = tail && f->tail_ok;
        TRY(emit(f, OP_WORD(replace ? OP_TAIL : OP_CALL, base, len(form) - 1, 0)));
        f->free = free;
        if (replace)
                TRY(emit(f, OP_WORD(OP_RET, base, 0, 0)));
        return base == dst ? N_OK : emit(f, OP_WORD(OP_MOVE, dst, base, 0));
}

enum native_status call_plain(struct func *f, val form, uint8_t dst, bool tail)
{
        int32_t native;
        if (len(form) - 1 > ARGS_MAX)
                return wide_call(f, form, dst);
        const struct operator* op = operator_in(f, form, &native);
        bool done = false;
        if (op)
                TRY(operator_call(f, form, op, dst, &done));
        if (done)
                return N_OK;
        if (native >= 0 && native_is_direct(f->r->natives[native]) &&
            arity_fits(f->r->natives[native], len(form) - 1))
                return inline_call(f, form, native, dst);
        return plain_call(f, form, dst, tail);
}
