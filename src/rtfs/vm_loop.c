/* SPDX-License-Identifier: Apache-2.0 */
/* The dispatch loop (machine.h). Each instruction ends by jumping to the next one's own label, so that a processor
 * predicts every pair of neighbours by itself.
 *
 * (1) What an instruction does for the common types is here; everything else, errors included, is in a function of its
 *     own, called through DO. The two agree exactly: an instruction has one meaning.
 * (2) Registers are written and copied as two words (copy_val in value.h says why).
 * (3) `pc` passes an instruction's further words only when the instruction is done: it can start again from its first
 *     word. */
#if defined(__GNUC__) && !defined(__clang__) /* they join the jumps that are to stay apart */
#pragma GCC optimize("no-crossjumping", "no-gcse", "no-tree-tail-merge")
#endif
#include <rtfs/machine.h>
#include <rtfs/map.h>
#include <rtfs/number_ops.h>
#include <rtfs/ops.h>

/* --- writing a register ----------------------------------------------------------------------- */
static inline void set_float(val *to, double x)
{
        to->head = T_FLOAT;
        to->f = x;
}
static inline void set_bool(val *to, bool b)
{
        set_words(to, T_FALSE + (uint64_t)b, 0);
}
static inline void set_object(val *to, uint32_t tag, void *o)
{
        to->head = tag;
        to->o = o;
}
static inline void clear(val *from, val *to)
{
        for (; from < to; from++)
                set_words(from, T_NIL, 0);
}

/* --- pieces that are worth inlining ----------------------------------------------------------- */
/* Both are integers, or both are floats. */
static inline bool both(const val *a, const val *b, uint32_t tag)
{
        return a->tag == tag && b->tag == tag;
}

/* Are two values of this tag equal exactly when their payloads are? */
static inline bool known_by_word(uint32_t tag)
{
        return tag <= T_INT || tag == T_KEYWORD;
}

static inline bool remainder_of(int64_t a, int64_t b, int64_t *ret)
{
        if (UNLIKELY(b == 0 || b == -1))
                return false;
        if (((uint64_t)(a | b) >> 32) == 0) /* division of short numbers takes much less time */
                *ret = (uint32_t)a % (uint32_t)b;
        else
                *ret = a % b;
        return true;
}

static inline const val *vec_item(const struct vec *v, uint32_t index)
{
        uint32_t start = (v->count - 1) & ~(VEC_WIDTH - 1);
        if (index >= start)
                return &v->tail->item[index - start];
        const struct node *n = v->root;
        for (uint32_t shift = v->shift; shift; shift -= VEC_BITS)
                n = node_at(n, (index >> shift) & (VEC_WIDTH - 1));
        return &n->item[index & (VEC_WIDTH - 1)];
}

/* A new last item of a builder whose tail has room for it, else NULL. */
static inline val *builder_end(const struct mv_rtfs *r, const val *builder)
{
        struct vec *v = as_vec(*builder);
        if (builder->tag != T_VECTOR || (const uint8_t *)v < r->heap.image_top)
                return NULL;
        uint32_t share = v->count & (VEC_WIDTH - 1);
        struct node *tail = v->tail;
        if (share == 0 || tail->h.used != share || share >= node_capacity(tail) ||
            (const uint8_t *)tail < r->heap.image_top)
                return NULL;
        tail->h.used = (uint16_t)(share + 1);
        v->count++;
        return &tail->item[share];
}

static enum native_status num_lt(struct mv_rtfs *r, val a, val b, bool *ret)
{
        return num_less(r, "<", a, b, ret);
}
static enum native_status num_le(struct mv_rtfs *r, val a, val b, bool *ret)
{
        return num_less(r, "<=", a, b, ret);
}
static enum native_status num_gt(struct mv_rtfs *r, val a, val b, bool *ret)
{
        return num_less(r, ">", a, b, ret);
}
static enum native_status num_ge(struct mv_rtfs *r, val a, val b, bool *ret)
{
        return num_less(r, ">=", a, b, ret);
}
static enum native_status not_same(struct mv_rtfs *r, val a, val b, bool *ret)
{
        enum native_status s = val_equal(r, a, b, ret);
        if (s == N_OK)
                *ret = !*ret;
        return s;
}

/* --- how instructions are written ------------------------------------------------------------- */
#define A          (A_OF(w))
#define B          (B_OF(w))
#define C          (C_OF(w))
#define RA         R[A]
#define RB         R[B]
#define RC         R[C]
#define CASE(name) on_##name
#define NEXT       goto *on[OP_OF(w = *pc++)]
#define JUMP_BY(d) (pc += (int32_t)(d))
/* Jump by the second word, or step over it. */
#define JUMP_IF(condition)                                                                         \
        do {                                                                                       \
                uint32_t distance_ = *pc++;                                                        \
                if (condition)                                                                     \
                        JUMP_BY(distance_);                                                        \
                NEXT;                                                                              \
        } while (0)
#define SAVE() (f->pc = (uint32_t)(pc - code))
#define ENTER_CODE(of)                                                                             \
        do {                                                                                       \
                const struct proto *p_ = (of);                                                     \
                code = p_->code->word;                                                             \
                K = p_->consts ? p_->consts->item : NULL;                                          \
        } while (0)
#define LOAD()                                                                                     \
        do {                                                                                       \
                f = top_frame(r);                                                                  \
                ENTER_CODE(f->closure->proto);                                                     \
                pc = code + f->pc;                                                                 \
                R = r->stack + f->base;                                                            \
        } while (0)
#define COST()                                                                                     \
        do {                                                                                       \
                fuel_before = r->fuel_left;                                                        \
                if (UNLIKELY(--r->fuel_left < r->fuel_stop) && !fuel_goes_on(r))                   \
                        goto stopped;                                                              \
        } while (0)
/* The outcome of a function that may fail; `ok` runs when it did not. */
#define AFTER_COST(call, ok)                                                                       \
        do {                                                                                       \
                status = (call);                                                                   \
                if (UNLIKELY(status != N_OK))                                                      \
                        goto trouble;                                                              \
                ok;                                                                                \
        } while (0)
#define DO(call, ok)                                                                               \
        do {                                                                                       \
                fuel_before = r->fuel_left;                                                        \
                AFTER_COST(call, ok);                                                              \
        } while (0)
#define GIVE_A copy_val(&RA, &out)
/* A := RB op right */
#define ARITH(name, right, overflows, op, slow)                                                    \
        CASE(name) :                                                                               \
        {                                                                                          \
                const val *a = &RB, *b = (right);                                                  \
                int64_t n;                                                                         \
                if (LIKELY(both(a, b, T_INT)) && LIKELY(!overflows(a->i, b->i, &n)))               \
                        set_int(&RA, n);                                                           \
                else if (both(a, b, T_FLOAT))                                                      \
                        set_float(&RA, a->f op b->f);                                              \
                else                                                                               \
                        DO(slow(r, *a, *b, &out), GIVE_A);                                         \
                NEXT;                                                                              \
        }
#define ARITH_SMALL(name, overflows, op, slow)                                                     \
        CASE(name) :                                                                               \
        {                                                                                          \
                const val *a = &RB;                                                                \
                int64_t n;                                                                         \
                if (LIKELY(a->tag == T_INT) && LIKELY(!overflows(a->i, (int64_t)IC_OF(w), &n)))    \
                        set_int(&RA, n);                                                           \
                else                                                                               \
                        DO(slow(r, *a, INT(IC_OF(w)), &out), GIVE_A);                              \
                NEXT;                                                                              \
        }
#define DIVIDE(name, right)                                                                        \
        CASE(name) :                                                                               \
        {                                                                                          \
                const val *a = &RB, *b = (right);                                                  \
                if (LIKELY(both(a, b, T_FLOAT)) && b->f != 0.0)                                    \
                        out = num_quotient(a->f, b->f);                                            \
                else                                                                               \
                        DO(num_div(r, *a, *b, &out), (void)0);                                     \
                GIVE_A;                                                                            \
                NEXT;                                                                              \
        }
#define REMAINDER(name, right)                                                                     \
        CASE(name) :                                                                               \
        {                                                                                          \
                const val *a = &RB, *b = (right);                                                  \
                int64_t n;                                                                         \
                if (LIKELY(both(a, b, T_INT)) && LIKELY(remainder_of(a->i, b->i, &n)))             \
                        set_int(&RA, n);                                                           \
                else                                                                               \
                        DO(num_mod(r, *a, *b, &out), GIVE_A);                                      \
                NEXT;                                                                              \
        }
/* Into `yes`. */
#define ORDER(x, y, op, slow)                                                                      \
        do {                                                                                       \
                const val *a = (x), *b = (y);                                                      \
                if (LIKELY(both(a, b, T_INT)))                                                     \
                        yes = a->i op b->i;                                                        \
                else if (both(a, b, T_FLOAT))                                                      \
                        yes = a->f op b->f;                                                        \
                else                                                                               \
                        DO(slow(r, *a, *b, &answer), yes = answer);                                \
        } while (0)
#define SAME(x, y, wanted, slow)                                                                   \
        do {                                                                                       \
                const val *a = (x), *b = (y);                                                      \
                if (a->tag != b->tag)                                                              \
                        yes = !(wanted);                                                           \
                else if (LIKELY(known_by_word(a->tag)))                                            \
                        yes = (a->i == b->i) == (wanted);                                          \
                else                                                                               \
                        DO(slow(r, *a, *b, &answer), yes = answer);                                \
        } while (0)
#define COMPARE(name, how, op, slow)                                                               \
        CASE(name) : how(&RB, &RC, op, slow);                                                      \
        set_bool(&RA, yes);                                                                        \
        NEXT;
#define JUMP_UNLESS(name, how, op, slow)                                                           \
        CASE(name) : how(&RA, &RB, op, slow);                                                      \
        JUMP_IF(!yes);                                                                             \
        CASE(name##K) : how(&RA, &K[B], op, slow);                                                 \
        JUMP_IF(!yes);
#define JUMP_UNLESS_SMALL(name, op, slow)                                                          \
        CASE(name) : if (LIKELY(RA.tag == T_INT)) yes = RA.i op(int64_t) IB_OF(w);                 \
        else DO(slow(r, RA, INT(IB_OF(w)), &answer), yes = answer);                                \
        JUMP_IF(!yes);

enum native_status vm_run(struct mv_rtfs *r)
{
        static const void *const on[] = {
#define X(name, shape) &&on_##name,
                OP_MAP(X)
#undef X
        };
        struct frame *f;
        const uint32_t *code, *pc;
        const val *K;
        val *R, out = NIL;
        uint32_t w = 0;
        enum native_status status;
        bool yes, answer = false; /* apart: one in a register, one for functions to write to */
        int64_t fuel_before = r->fuel_left;

resume:
        LOAD();
        NEXT;

        /* --- registers, constants, names ------------------------------------------------------------------------------ */
        CASE(MOVE) : copy_val(&RA, &RB);
        NEXT;
        CASE(LOADK) : copy_val(&RA, &K[K_OF(w)]);
        NEXT;
        CASE(LOADI) : set_int(&RA, S_OF(w));
        NEXT;
        CASE(LOADNIL) : set_words(&RA, T_NIL, 0);
        NEXT;
        CASE(LOADTRUE) : set_bool(&RA, true);
        NEXT;
        CASE(LOADFALSE) : set_bool(&RA, false);
        NEXT;
        CASE(GETUP) : copy_val(&RA, &f->closure->up[B]);
        NEXT;
        CASE(GETSELF) : set_object(&RA, T_CLOSURE, f->closure);
        NEXT;
        CASE(NEWBOX) :
        {
                struct box *b = heap_alloc(r, O_BOX, sizeof *b);
                if (!b)
                        goto no_memory;
                b->value = UNBOUND;
                set_object(&RA, T_BOX, b);
                NEXT;
        }
        CASE(GETBOX) : out = RB.tag == T_BOX ? ((struct box *)RB.o)->value : NIL;
        GIVE_A;
        NEXT;
        CASE(SETBOX) : if (RA.tag == T_BOX) copy_val(&((struct box *)RA.o)->value, &RB);
        NEXT;
        CASE(GETGLOBAL) :
        {
                const val *v = &r->globals[K_OF(w)];
                if (LIKELY(v->tag < T_MACRO))
                        copy_val(&RA, v);
                else
                        DO(vm_undefined(r, K_OF(w), &out), GIVE_A);
                NEXT;
        }
        CASE(SETGLOBAL) : copy_val(&r->globals[K_OF(w)], &RA);
        NEXT;

        /* --- jumps ----------------------------------------------------------------------------------------------------- */
        CASE(JMP) : JUMP_IF(true);
        CASE(LOOP) : COST();
        copy_val(&RA, &RB);
        JUMP_IF(true);
        CASE(JF) : JUMP_IF(RA.tag <= T_FALSE);
        CASE(JT) : JUMP_IF(RA.tag > T_FALSE);
        CASE(JBOUND) : JUMP_IF(RA.tag != T_UNBOUND);

        /* --- numbers --------------------------------------------------------------------------------------------------- */
        ARITH(ADD, &RC, __builtin_add_overflow, +, num_add)
        ARITH(SUB, &RC, __builtin_sub_overflow, -, num_sub)
        ARITH(MUL, &RC, __builtin_mul_overflow, *, num_mul)
        DIVIDE(DIV, &RC)
        REMAINDER(MOD, &RC)
        ARITH(ADDK, &K[C], __builtin_add_overflow, +, num_add)
        ARITH(SUBK, &K[C], __builtin_sub_overflow, -, num_sub)
        ARITH(MULK, &K[C], __builtin_mul_overflow, *, num_mul)
        DIVIDE(DIVK, &K[C])
        REMAINDER(MODK, &K[C])
        ARITH_SMALL(ADDI, __builtin_add_overflow, +, num_add)
        ARITH_SMALL(SUBI, __builtin_sub_overflow, -, num_sub)
        COMPARE(LT, ORDER, <, num_lt)
        COMPARE(LE, ORDER, <=, num_le)
        COMPARE(GT, ORDER, >, num_gt)
        COMPARE(GE, ORDER, >=, num_ge)
        COMPARE(EQ, SAME, true, val_equal)
        COMPARE(NE, SAME, false, not_same)
        JUMP_UNLESS(JNLT, ORDER, <, num_lt)
        JUMP_UNLESS(JNLE, ORDER, <=, num_le)
        JUMP_UNLESS(JNGT, ORDER, >, num_gt)
        JUMP_UNLESS(JNGE, ORDER, >=, num_ge)
        JUMP_UNLESS(JNEQ, SAME, true, val_equal)
        JUMP_UNLESS(JNNE, SAME, false, not_same)
        JUMP_UNLESS_SMALL(JNLTI, <, num_lt)
        JUMP_UNLESS_SMALL(JNLEI, <=, num_le)
        JUMP_UNLESS_SMALL(JNGTI, >, num_gt)
        JUMP_UNLESS_SMALL(JNGEI, >=, num_ge)
        JUMP_UNLESS_SMALL(JNEQI, ==, val_equal)
        JUMP_UNLESS_SMALL(JNNEI, !=, not_same)
        CASE(NOT) : set_bool(&RA, RB.tag <= T_FALSE);
        NEXT;

        /* --- calls ----------------------------------------------------------------------------------------------------- */
        CASE(CALL) :
        {
                COST();
                SAVE();
                uint32_t base = f->base + A + 1;
                struct closure *c = as_closure(RA);
                const struct proto *p = RA.tag == T_CLOSURE ? c->proto : NULL;
                if (UNLIKELY(!p || p->params != B || p->rest || p->delegate.tag != T_NIL ||
                             r->frame_count >= r->frames_size ||
                             base + p->regs + 1 > r->stack_size)) {
                        AFTER_COST(vm_call(r, RA, base, B, base - 1), (void)0);
                        LOAD();
                        NEXT;
                }
                R += A + 1;
                clear(R + B, R + p->regs);
                f = &r->frames[r->frame_count++];
                f->closure = c;
                f->base = base;
                f->ret = base - 1;
                r->stack_top = base + p->regs;
                ENTER_CODE(p);
                pc = code;
                NEXT;
        }
        CASE(TAIL) :
        {
                COST();
                SAVE();
                uint32_t n = B;
                struct closure *c = as_closure(RA);
                const struct proto *p = RA.tag == T_CLOSURE ? c->proto : NULL;
                if (UNLIKELY(!p || p->params != n || p->rest || p->delegate.tag != T_NIL ||
                             f->base + p->regs >= r->stack_size)) {
                        uint32_t slot = f->base + A;
                        AFTER_COST(vm_call(r, RA, slot + 1, n, slot), (void)0);
                        LOAD();
                        NEXT;
                }
                const val *args = &RA + 1;
                for (uint32_t i = 0; i < n; i++)
                        copy_val(&R[i], &args[i]);
                clear(R + n, R + p->regs);
                f->closure = c;
                r->stack_top = f->base + p->regs;
                ENTER_CODE(p);
                pc = code;
                NEXT;
        }
        CASE(RET) :
        {
                if (UNLIKELY(--r->frame_count == r->frame_floor)) {
                        r->result = RA;
                        return N_OK;
                }
                copy_val(&r->stack[f->ret], &RA);
                f--;
                const struct proto *p = f->closure->proto;
                R = r->stack + f->base;
                r->stack_top = f->base + p->regs;
                ENTER_CODE(p);
                pc = code + f->pc;
                NEXT;
        }
        CASE(NCALL) : COST();
        AFTER_COST(r->natives[*pc]->fn(r, &RB, C, &out), GIVE_A);
        pc++;
        NEXT;
        CASE(CLOSURE) : DO(vm_closure(r, K[K_OF(w)], pc, f->base, &out), GIVE_A);
        pc += as_closure(out)->proto->ups;
        NEXT;

        /* --- collections ----------------------------------------------------------------------------------------------- */
        CASE(VEC) : out = C ? vec_new(r, &RB, C) : vec_empty(r);
        if (nomem(out))
                goto no_memory;
        GIVE_A;
        NEXT;
        CASE(VECPUSH) : DO(vm_push_items(r, RA, &RB, C, &out), GIVE_A);
        NEXT;
        CASE(MAP) : DO(vm_put_pairs(r, map_empty(r), &RB, C, &out), GIVE_A);
        NEXT;
        CASE(MAPPUT) : DO(vm_put_pairs(r, RA, &RB, C, &out), GIVE_A);
        NEXT;
        CASE(NTH) :
        {
                const val *v = &RB, *i = &RC;
                if (LIKELY(v->tag == T_VECTOR && i->tag == T_INT && (uint64_t)i->i < vec_count(*v)))
                        copy_val(&RA, vec_item(as_vec(*v), (uint32_t)i->i));
                else
                        DO(coll_nth(r, *v, *i, &out), GIVE_A);
                NEXT;
        }
        CASE(COUNT) : if (LIKELY(RB.tag == T_VECTOR)) set_int(&RA, vec_count(RB));
        else DO(coll_count(r, RB, &out), GIVE_A);
        NEXT;
        CASE(GET) :
        {
                const val *m = &RB, *key = &RC;
                if (m->tag == T_MAP && key->tag == T_INT && is_dense(as_map(*m))) {
                        (void)dense_find(as_map(*m), key->i, &RA);
                } else {
                        DO(coll_get(r, *m, *key, RA, &out), GIVE_A);
                }
                NEXT;
        }
        CASE(OWNER) : r->owner_count += r->owner_count < UINT32_MAX;
        set_int(&RA, r->owner_count < UINT32_MAX ? r->owner_count : NOBODY);
        NEXT;
        CASE(PUT) :
        {
                COST();
                const val *owner = &R[*pc];
                bool done = false;
                if (LIKELY(RA.tag == T_MAP && RB.tag == T_INT && owner->tag == T_INT &&
                           owner->i == (uint32_t)owner->i && owner->i != NOBODY &&
                           is_dense(as_map(RA)) && r->fuel_left >= PUT_FUEL))
                        done = dense_change(as_map(RA), RB.i, &RC, (uint32_t)owner->i);
                if (LIKELY(done)) {
                        r->fuel_left -= PUT_FUEL;
                } else {
                        const val args[3] = { RA, RB, RC };
                        AFTER_COST(coll_put(r, args, *owner, &out), GIVE_A);
                }
                pc++;
                NEXT;
        }
        CASE(PUSH) :
        {
                val *end = builder_end(r, &RA);
                if (LIKELY(end))
                        copy_val(end, &RB);
                else
                        DO(coll_push(r, RA, RB), (void)0);
                NEXT;
        }
        CASE(VCHK) : if (LIKELY(RA.tag == T_VECTOR && vec_count(RA) == B)) NEXT;
        DO(vm_check_seq(r, RA, B, C), (void)0);
        NEXT;
        CASE(VNTH) :
        {
                const val *v = &RB;
                if (LIKELY(v->tag == T_VECTOR && C < vec_count(*v)))
                        copy_val(&RA, vec_item(as_vec(*v), C));
                else
                        RA = vm_seq_nth(*v, C);
                NEXT;
        }
        CASE(VREST) : DO(vm_seq_rest(r, RB, C, &out), GIVE_A);
        NEXT;
        CASE(MCHK)
            : if (UNLIKELY(RA.tag != T_MAP))
                      DO(raise_type(r, "map destructuring", "map", RA), (void)0);
        NEXT;
        CASE(MGET) : RA = vm_map_field(RB, K[*pc++], NIL);
        NEXT;
        CASE(MFIND) : RA = vm_map_field(RB, K[*pc++], UNBOUND);
        NEXT;
        CASE(MWITHOUT) : DO(vm_map_without(r, RB, K[*pc], &out), GIVE_A);
        pc++;
        NEXT;
        CASE(ITER) : DO(vm_iterable(r, RB, &out), GIVE_A);
        set_int(&R[A + 1], 0);
        NEXT;
        CASE(NEXT) :
        {
                const val *v = &RA, *i = &R[A + 1];
                if (UNLIKELY(v->tag != T_VECTOR || i->tag != T_INT ||
                             (uint64_t)i->i >= vec_count(*v)))
                        JUMP_IF(true);
                copy_val(&R[A + 2], vec_item(as_vec(*v), (uint32_t)i->i));
                set_int(&R[A + 1], i->i + 1);
                pc++;
                NEXT;
        }

        /* --- tests of patterns and annotations --------------------------------------------------------------------------- */
        CASE(JNVEC) : JUMP_IF(!vm_is_seq(RA, B, C));
        CASE(JNMAP) : JUMP_IF(RA.tag != T_MAP || (C && map_count(RA) != B));
        CASE(JNKIND) : JUMP_IF(RA.tag != T_ERROR || as_error(RA)->kind != B);
        CASE(JNTYPE) : DO(vm_has_type(r, RA, K[pc[1]], &answer), (void)0);
        pc += 2;
        if (!answer)
                JUMP_BY((int32_t)pc[-2] - 1);
        NEXT;
        CASE(CHECK) : DO(vm_check_annotation(r, RA, K[*pc], B), (void)0);
        pc++;
        NEXT;

        /* --- errors ------------------------------------------------------------------------------------------------------ */
        CASE(RERAISE) : if (LIKELY(RA.tag != T_ERROR)) NEXT;
        r->pending = RA;
        status = N_ERROR;
        goto trouble;
        CASE(RAISE) :
        {
                struct mv_slice text = K[*pc].tag == T_STRING ? string_slice(K[*pc]) : MV_SLICE("");
                status = raise_fmt(r, B, "%.*s", MV_SARG(text));
                fuel_before = r->fuel_left;
                goto trouble;
        }

no_memory:
        fuel_before = r->fuel_left;
        status = N_NOMEM;
trouble:
        SAVE();
        switch (status) {
        case N_NOMEM:
                f->pc--; /* (3) */
                r->fuel_left = fuel_before;
                status = vm_make_room(r);
                if (status != N_OK)
                        return status;
                goto resume;
        case N_ERROR:
                if (!vm_unwind(r))
                        return N_ERROR;
                goto resume;
        case N_CALL:
                if (OP_OF(code[f->pc - 1]) == OP_NCALL) /* continue behind it */
                        f->pc++;
                r->call_reg = f->base + A;
                return N_CALL;
        default:
                return status;
        }
stopped:
        SAVE();
        return N_FATAL; /* the interrupt, or fuel */
}
