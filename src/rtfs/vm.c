/* SPDX-License-Identifier: Apache-2.0 */
/* The virtual machine: one dispatch loop over registers.
 *
 * (1) Verified code cannot leave its frame: register, constant and jump operands were checked, so the loop only checks
 *     what depends on values. Every instruction is safe on every value.
 * (2) An instruction either completes, or has changed nothing when it meets N_NOMEM; then the collector runs and the same
 *     instruction starts again. Fuel it took is given back: fuel counts do not depend on memory.
 * (3) Nothing here recurses on the C stack: calls push frames, errors unwind them, host calls leave them as they are.
 * (4) Registers of a new frame are cleared: the collector takes every register of every frame for a value. */
#include <base/limits.h>
#include <rtfs/library.h>
#include <rtfs/number_ops.h>
#include <rtfs/ops.h>
#include <rtfs/reader.h>
#include <rtfs/vm.h>

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

static struct frame *top_frame(struct mv_rtfs *r)
{
        return &r->frames[r->frame_count - 1];
}

/* --- errors ---------------------------------------------------------------------------------------------------------------- */
static uint32_t position_in(const struct frame *f)
{
        const struct code *c = f->closure->proto->code;
        uint32_t pc = f->pc ? f->pc - 1 : 0;
        return c->word[c->count + pc];
}

static void note_position(struct mv_rtfs *r, struct error *e)
{ /* where the program's own code is, not the library's */
        for (uint32_t i = r->frame_count; !e->pos && i-- > r->frame_floor;)
                if (!r->frames[i].closure->proto->builtin)
                        e->pos = position_in(&r->frames[i]);
}

static const struct handler *handler_for(const struct frame *f)
{
        const struct proto *p = f->closure->proto;
        const struct handler *h = p->handlers ? (const struct handler *)((struct code *)p->handlers)->word : NULL;
        uint32_t pc = f->pc - 1;
        for (uint32_t i = 0; i < p->handler_count; i++)
                if (pc >= h[i].from && pc < h[i].to)
                        return &h[i];
        return NULL;
}

/* Continue at the innermost handler of the pending error; false: none in this run. */
static bool unwind(struct mv_rtfs *r)
{
        note_position(r, as_error(r->pending));
        for (; r->frame_count > r->frame_floor; r->frame_count--) {
                struct frame *f = top_frame(r);
                const struct handler *h = handler_for(f);
                if (!h)
                        continue;
                r->stack[f->base + h->reg] = r->pending;
                r->pending = NIL;
                f->pc = h->target;
                r->stack_top = f->base + f->closure->proto->regs;
                return true;
        }
        return false;
}

/* --- memory ---------------------------------------------------------------------------------------------------------------- */
/* Collect for an instruction that could not allocate. The same instruction failing again gets twice the room, until there
 * is no more to give. */
static enum native_status make_room(struct mv_rtfs *r)
{
        uint64_t here = (uint64_t)r->fuel_left << 20 ^ (uint64_t)r->frame_count << 40 ^ top_frame(r)->pc;
        bool again = r->room_streak && here == r->room_at;
        r->room_at = here;
        r->room_streak = again ? r->room_streak + 1 : 1;
        if (again && r->heap.limit == r->heap.end)
                return raise_memory(r, "the program's values do not fit");
        size_t want = (size_t)1 << (r->room_streak < 40 ? r->room_streak + HEAP_ROOM_BITS : 56);
        if (want < r->heap.want)
                want = r->heap.want;
        heap_collect(r, want);
        if (r->heap.want > (size_t)(r->heap.end - r->heap.top))
                return raise_memory(r, "the program's values do not fit");
        return N_OK;
}

/* --- calls ----------------------------------------------------------------------------------------------------------------- */
static enum native_status raise_call_arity(struct mv_rtfs *r, const struct proto *p, uint32_t count)
{
        char expected[32], name[128];
        mv_fmt(expected, sizeof expected, p->rest ? "at least %u" : "%u", p->params);
        if (p->builtin && p->name)
                mv_fmt(name, sizeof name, "%.*s", (int)p->name->len, p->name->text);
        else
                mv_fmt(name, sizeof name, "user-defined function");
        return raise_arity(r, name, expected, count);
}

static enum native_status raise_native_arity(struct mv_rtfs *r, const struct native *n, uint32_t count)
{
        char expected[48];
        if (n->args_max < 0)
                mv_fmt(expected, sizeof expected, "at least %d", n->args_min);
        else if (n->args_min == n->args_max)
                mv_fmt(expected, sizeof expected, "%d", n->args_min);
        else
                mv_fmt(expected, sizeof expected, "between %d and %d", n->args_min, n->args_max);
        return raise_arity(r, n->name, expected, count);
}

static enum native_status delegate(struct mv_rtfs *r, const struct proto *p, uint32_t args, uint32_t count)
{
        return call_host(r, p->delegate, r->stack + args, count);
}

/* Push a frame for closure c on `count` arguments that lie at stack[args...]. */
static enum native_status enter(struct mv_rtfs *r, struct closure *c, uint32_t args, uint32_t count, uint32_t ret)
{
        struct proto *p = c->proto;
        if (UNLIKELY(p->delegate.tag != T_NIL))
                return delegate(r, p, args, count);
        if (UNLIKELY(count != p->params && !(p->rest && count > p->params)))
                return raise_call_arity(r, p, count);
        if (UNLIKELY(r->frame_count >= r->frames_size || args + p->regs + 1 > r->stack_size))
                return raise_fmt(r, E_STACK, "more than %u calls are active, or they need too many values",
                                 r->frame_count - 1);
        uint32_t used = count;
        if (p->rest) {
                val list = list_new(r, r->stack + args + p->params, count - p->params);
                if (nomem(list))
                        return N_NOMEM;
                r->stack[args + p->params] = list;
                used = p->params + 1u;
        }
        for (uint32_t i = used; i < p->regs; i++) /* (4) */
                r->stack[args + i] = NIL;
        r->frames[r->frame_count++] = (struct frame){ .closure = c, .base = args, .ret = ret };
        r->stack_top = args + p->regs;
        return N_OK;
}

static enum native_status call_value(struct mv_rtfs *r, val f, uint32_t args, uint32_t count, uint32_t ret);

/* (apply f a b coll): the arguments are laid out above the current frame and above its own, so that nothing is lost when
 * the call has to start again after a collection. *ret_args, *ret_count: where they lie; f stays at stack[args]. */
static enum native_status spread_arguments(struct mv_rtfs *r, uint32_t args, uint32_t count, uint32_t *ret_args,
                                           uint32_t *ret_count)
{
        if (count < 2)
                return raise_arity(r, "apply", "at least 2", count);
        val last = r->stack[args + count - 1], items = NIL;
        uint32_t to = args + count > r->stack_top ? args + count : r->stack_top, fixed = count - 2;
        if (last.tag != T_NIL && last.tag != T_MAP) {
                enum native_status s = seq_vector(r, last, &items);
                if (s == N_OK && items.tag == T_NIL)
                        return raise_type(r, "apply", "vector, list, map, string, or nil", last);
                if (s)
                        return s;
        }
        uint64_t spread = last.tag == T_MAP ? 2ull * map_count(last) : items.tag == T_VECTOR ? vec_count(items) : 0;
        if (to + fixed + spread + 2 > r->stack_size)
                return raise_fmt(r, E_STACK, "apply to %lu arguments", (unsigned long)(fixed + spread));
        enum native_status s = charge(r, spread);
        if (s)
                return s;
        memcpy(r->stack + to, r->stack + args + 1, fixed * sizeof(val));
        uint32_t n = fixed;
        if (last.tag == T_MAP) {
                struct map_iter it;
                for (map_iter(&it, last); map_next(&it, &r->stack[to + n], &r->stack[to + n + 1]);)
                        n += 2;
        } else {
                for (uint32_t i = 0; i < spread; i++)
                        r->stack[to + n++] = vec_at(items, i);
        }
        *ret_args = to;
        *ret_count = n;
        return N_OK;
}

static bool is_apply(const struct mv_rtfs *r, val f)
{
        return f.tag == T_NATIVE && (uint64_t)f.i < r->native_count && !r->natives[f.i]->fn;
}

/* A loop, not a recursion: (apply apply [apply [...]]) may be as deep as a program likes. */
static enum native_status apply(struct mv_rtfs *r, uint32_t args, uint32_t count, uint32_t ret)
{
        val f;
        do {
                uint32_t function = args;
                enum native_status s = spread_arguments(r, args, count, &args, &count);
                if (s)
                        return s;
                f = r->stack[function];
        } while (is_apply(r, f));
        return call_value(r, f, args, count, ret);
}

static enum native_status call_native(struct mv_rtfs *r, val f, uint32_t args, uint32_t count, uint32_t ret)
{
        if ((uint64_t)f.i >= r->native_count)
                return raise_fmt(r, E_INTERNAL, "no such builtin");
        const struct native *n = r->natives[f.i];
        if (!n->fn)
                return apply(r, args, count, ret);
        if ((n->args_min >= 0 && count < (uint32_t)n->args_min) || (n->args_max >= 0 && count > (uint32_t)n->args_max))
                return raise_native_arity(r, n, count);
        val out = NIL;
        enum native_status s = n->fn(r, r->stack + args, count, &out);
        if (s == N_OK)
                r->stack[ret] = out;
        return s;
}

static enum native_status call_value(struct mv_rtfs *r, val f, uint32_t args, uint32_t count, uint32_t ret)
{
        val out = NIL;
        enum native_status s;
        switch (f.tag) {
        case T_CLOSURE:
                return enter(r, as_closure(f), args, count, ret);
        case T_NATIVE:
                return call_native(r, f, args, count, ret);
        case T_KEYWORD:
                s = keyword_lookup(r, f, r->stack + args, count, &out);
                if (s == N_OK)
                        r->stack[ret] = out;
                return s;
        default:
                return raise_type(r, "function call", "function", f);
        }
}

/* --- pieces of instructions ------------------------------------------------------------------------------------------------- */
static enum native_status undefined(struct mv_rtfs *r, uint32_t slot, val *ret)
{
        struct name *n = r->global_names[slot];
        if (r->compile_only)
                r->undefined = n;
        val key = string_new(r, mv_slice(n->text, n->len));
        if (nomem(key))
                return N_NOMEM;
        if (map_get(r->context, key, ret)) /* spec 2.8: host context value of the same name */
                return N_OK;
        return raise_fmt(r, E_UNDEFINED, "%.*s", (int)(n->len < 900 ? n->len : 900), n->text);
}

static enum native_status make_closure(struct mv_rtfs *r, val proto, const uint32_t *captures, uint32_t base, val *ret)
{
        if (proto.tag != T_PROTO)
                return raise_fmt(r, E_INTERNAL, "constant is no function");
        struct proto *p = (struct proto *)proto.o;
        struct closure *self = top_frame(r)->closure;
        struct closure *c = heap_alloc(r, O_CLOSURE, sizeof *c + p->ups * sizeof(val));
        if (!c)
                return N_NOMEM;
        c->proto = p;
        c->h.used = p->ups;
        for (uint32_t i = 0; i < p->ups; i++) {
                uint32_t index = captures[i] & 0xff;
                switch (captures[i] >> 8) {
                case 0:
                        c->up[i] = r->stack[base + index];
                        break;
                case 1:
                        c->up[i] = index < self->h.used ? self->up[index] : NIL;
                        break;
                default:
                        c->up[i] = OBJ(T_CLOSURE, self);
                }
        }
        *ret = OBJ(T_CLOSURE, c);
        return N_OK;
}

static uint32_t seq_count(val v)
{
        return v.tag == T_VECTOR ? vec_count(v) : as_cons(v)->count;
}
static bool is_seq(val v)
{
        return v.tag == T_VECTOR || v.tag == T_LIST;
}

static enum native_status check_vector(struct mv_rtfs *r, val v, uint32_t want, bool exact)
{
        char expected[64], actual[64];
        if (is_seq(v) && (exact ? seq_count(v) == want : seq_count(v) >= want))
                return N_OK;
        mv_fmt(expected, sizeof expected, "vector with %s %u elements", exact ? "exactly" : "at least", want);
        if (is_seq(v))
                mv_fmt(actual, sizeof actual, "%s with %u elements", type_name(v), seq_count(v));
        else
                mv_fmt(actual, sizeof actual, "%s", type_name(v));
        return raise_type_text(r, "vector destructuring", expected, actual);
}

static val seq_nth(val v, uint32_t i)
{
        if (!is_seq(v) || i >= seq_count(v))
                return NIL;
        if (v.tag == T_VECTOR)
                return vec_at(v, i);
        struct cons *c = as_cons(v);
        while (i--)
                c = c->tail;
        return c->head;
}

static enum native_status seq_rest(struct mv_rtfs *r, val v, uint32_t from, val *ret)
{
        if (!is_seq(v) || from > seq_count(v)) {
                *ret = vec_empty(r);
                return N_OK;
        }
        enum native_status s = charge(r, seq_count(v) - from);
        if (s)
                return s;
        if (v.tag == T_LIST && (s = seq_vector(r, v, &v)))
                return s;
        *ret = vec_slice(r, v, from, vec_count(v));
        return nomem(*ret) ? N_NOMEM : N_OK;
}

static val map_field(val m, val key, val absent)
{
        val out = absent;
        if (m.tag == T_MAP && map_key_ok(key))
                map_get(m, key, &out);
        return out;
}

static enum native_status map_without(struct mv_rtfs *r, val m, val keys, val *ret)
{
        if (m.tag != T_MAP || keys.tag != T_VECTOR)
                return raise_type(r, "map destructuring", "map", m);
        for (uint32_t i = 0; i < vec_count(keys); i++) {
                if (!map_key_ok(vec_at(keys, i)))
                        continue;
                m = map_remove(r, m, vec_at(keys, i));
                if (nomem(m))
                        return N_NOMEM;
        }
        *ret = m;
        return N_OK;
}

static enum native_status put_pairs(struct mv_rtfs *r, val m, const val *pairs, uint32_t count, val *ret)
{
        if (m.tag != T_MAP)
                return raise_type(r, "map", "map", m);
        for (uint32_t i = 0; i < count; i++) {
                if (!map_key_ok(pairs[2 * i]))
                        return raise_type(r, "map key", "string, keyword, or integer", pairs[2 * i]);
                m = map_put(r, m, pairs[2 * i], pairs[2 * i + 1]);
                if (nomem(m))
                        return N_NOMEM;
        }
        *ret = m;
        return N_OK;
}

static enum native_status push_items(struct mv_rtfs *r, val v, const val *items, uint32_t count, val *ret)
{
        if (v.tag != T_VECTOR)
                return raise_type(r, "vector", "vector", v);
        for (uint32_t i = 0; i < count; i++)
                if (nomem(v = vec_conj(r, v, items[i])))
                        return N_NOMEM;
        *ret = v;
        return N_OK;
}

static enum native_status iterable(struct mv_rtfs *r, val v, val *ret)
{
        if (v.tag != T_VECTOR && v.tag != T_LIST && v.tag != T_MAP)
                return raise_type(r, "for binding collection", "vector or list", v);
        return seq_vector(r, v, ret);
}

static enum native_status check_annotation(struct mv_rtfs *r, val v, val type, bool variadic)
{
        if (!variadic)
                return type_check(r, type, v, -1);
        enum native_status s = N_OK;
        int i = 0;
        if (v.tag == T_LIST)
                for (struct cons *c = as_cons(v); s == N_OK && c->count; c = c->tail)
                        s = type_check(r, type, c->head, i++);
        return s;
}

/* Is v of the type? An error of the check itself (a malformed type) counts as no. */
static enum native_status has_type(struct mv_rtfs *r, val v, val type, bool *ret)
{
        enum native_status s = type_check(r, type, v, -1);
        *ret = s == N_OK;
        if (s == N_ERROR) {
                r->pending = NIL;
                return N_OK;
        }
        return s == N_NOMEM || s == N_FATAL ? s : N_OK;
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

/* Instructions that take fuel, and give it back when they start again after a collection. */
static bool takes_fuel(uint32_t op)
{
        bool equality = op == OP_EQ || op == OP_NE || op == OP_JNEQ || op == OP_JNEQI || op == OP_JNNE || op == OP_JNNEI;
        return equality || op == OP_CALL || op == OP_TAIL || op == OP_NCALL || op == OP_VREST || op == OP_ITER ||
               op == OP_CHECK || op == OP_JNTYPE;
}

/* --- the loop ------------------------------------------------------------------------------------------------------------------ */
#define SAVE() (f->pc = (uint32_t)(pc - code))
#define LOAD()                                                                                                         \
        do {                                                                                                           \
                f = top_frame(r);                                                                                      \
                code = f->closure->proto->code->word;                                                                  \
                pc = code + f->pc;                                                                                     \
                R = r->stack + f->base;                                                                                \
                K = f->closure->proto->consts ? f->closure->proto->consts->item : NULL;                                \
        } while (0)
#define A (A_OF(w))
#define B (B_OF(w))
#define C (C_OF(w))
#define RA R[A]
#define RB R[B]
#define RC R[C]
#define CASE(name) case OP_##name
#define NEXT break
/* The outcome of a helper that may fail; ok runs when it did not. */
#define DO(call, ok)                                                                                                   \
        do {                                                                                                           \
                status = (call);                                                                                       \
                if (UNLIKELY(status != N_OK))                                                                          \
                        goto trouble;                                                                                  \
                ok;                                                                                                    \
        } while (0)
#define JUMP_BY(d) (pc += (int32_t)(d))
#define COST()                                                                                                         \
        do {                                                                                                           \
                if (UNLIKELY(--r->fuel_left < 0 || r->interrupt))                                                      \
                        goto stopped;                                                                                  \
        } while (0)
#define ARITH(name, builtin, slow)                                                                                     \
        CASE(name) :                                                                                                   \
        {                                                                                                              \
                val a = RB, b = RC;                                                                                    \
                int64_t n;                                                                                             \
                if (LIKELY(a.tag == T_INT && b.tag == T_INT) && LIKELY(!builtin(a.i, b.i, &n)))                        \
                        RA = INT(n);                                                                                   \
                else                                                                                                   \
                        DO(slow(r, a, b, &out), RA = out);                                                             \
                NEXT;                                                                                                  \
        }
#define ARITH_I(name, builtin, slow)                                                                                   \
        CASE(name) :                                                                                                   \
        {                                                                                                              \
                val a = RB;                                                                                            \
                int64_t n;                                                                                             \
                if (LIKELY(a.tag == T_INT) && LIKELY(!builtin(a.i, (int64_t)IC_OF(w), &n)))                            \
                        RA = INT(n);                                                                                   \
                else                                                                                                   \
                        DO(slow(r, a, INT(IC_OF(w)), &out), RA = out);                                                 \
                NEXT;                                                                                                  \
        }
#define COMPARE(name, op, slow)                                                                                        \
        CASE(name) :                                                                                                   \
        {                                                                                                              \
                val a = RB, b = RC;                                                                                    \
                if (LIKELY(a.tag == T_INT && b.tag == T_INT))                                                          \
                        yes = a.i op b.i;                                                                              \
                else {                                                                                                 \
                        fuel_before = r->fuel_left;                                                                    \
                        DO(slow(r, a, b, &yes), (void)0);                                                              \
                }                                                                                                      \
                RA = BOOL(yes);                                                                                        \
                NEXT;                                                                                                  \
        }
#define JUMP_UNLESS(name, op, slow)                                                                                    \
        CASE(name) :                                                                                                   \
        {                                                                                                              \
                val a = RA, b = RB;                                                                                    \
                if (LIKELY(a.tag == T_INT && b.tag == T_INT))                                                          \
                        yes = a.i op b.i;                                                                              \
                else {                                                                                                 \
                        fuel_before = r->fuel_left;                                                                    \
                        DO(slow(r, a, b, &yes), (void)0);                                                              \
                }                                                                                                      \
                pc++;                                                                                                  \
                if (!yes)                                                                                              \
                        JUMP_BY(pc[-1]);                                                                               \
                NEXT;                                                                                                  \
        }                                                                                                              \
        CASE(name##I) :                                                                                                \
        {                                                                                                              \
                val a = RA;                                                                                            \
                if (LIKELY(a.tag == T_INT))                                                                            \
                        yes = a.i op(int64_t) IB_OF(w);                                                                \
                else {                                                                                                 \
                        fuel_before = r->fuel_left;                                                                    \
                        DO(slow(r, a, INT(IB_OF(w)), &yes), (void)0);                                                  \
                }                                                                                                      \
                pc++;                                                                                                  \
                if (!yes)                                                                                              \
                        JUMP_BY(pc[-1]);                                                                               \
                NEXT;                                                                                                  \
        }

/* Runs frames above r->frame_floor until they have returned (N_OK: r->result), an error leaves them (N_ERROR), a host call
 * suspends (N_CALL) or a resource ends (N_FATAL). */
static enum native_status run_frames(struct mv_rtfs *r)
{
        struct frame *f;
        const uint32_t *code, *pc;
        const val *K;
        val *R, out = NIL;
        uint32_t w = 0;
        enum native_status status;
        bool yes = false;
        int64_t fuel_before = r->fuel_left;
        LOAD();
        for (;;) {
                w = *pc++;
                switch ((enum op)OP_OF(w)) {
                CASE(MOVE) : RA = RB; NEXT;
                CASE(LOADK) : RA = K[K_OF(w)]; NEXT;
                CASE(LOADI) : RA = INT(S_OF(w)); NEXT;
                CASE(LOADNIL) : RA = NIL; NEXT;
                CASE(LOADTRUE) : RA = BOOL(true); NEXT;
                CASE(LOADFALSE) : RA = BOOL(false); NEXT;
                CASE(GETUP) : RA = f->closure->up[B]; NEXT;
                CASE(GETSELF) : RA = OBJ(T_CLOSURE, f->closure); NEXT;
                CASE(NEWBOX) :
                {
                        struct box *b = heap_alloc(r, O_BOX, sizeof *b);
                        if (!b)
                                goto no_memory;
                        b->value = UNBOUND;
                        RA = OBJ(T_BOX, b);
                        NEXT;
                }
                CASE(GETBOX) : RA = RB.tag == T_BOX ? ((struct box *)RB.o)->value : NIL; NEXT;
                CASE(SETBOX) :
                        if (RA.tag == T_BOX)
                                ((struct box *)RA.o)->value = RB;
                        NEXT;
                CASE(GETGLOBAL) :
                {
                        val v = r->globals[K_OF(w)];
                        if (UNLIKELY(v.tag >= T_MACRO))
                                DO(undefined(r, K_OF(w), &v), (void)0);
                        RA = v;
                        NEXT;
                }
                CASE(SETGLOBAL) : r->globals[K_OF(w)] = RA; NEXT;
                CASE(JMP) : pc++; JUMP_BY(pc[-1]); NEXT;
                CASE(LOOP) : COST(); pc++; JUMP_BY(pc[-1]); NEXT;
                CASE(JF) : pc++; if (!truthy(RA)) JUMP_BY(pc[-1]); NEXT;
                CASE(JT) : pc++; if (truthy(RA)) JUMP_BY(pc[-1]); NEXT;
                CASE(JBOUND) : pc++; if (RA.tag != T_UNBOUND) JUMP_BY(pc[-1]); NEXT;
                ARITH(ADD, __builtin_add_overflow, num_add)
                ARITH(SUB, __builtin_sub_overflow, num_sub)
                ARITH(MUL, __builtin_mul_overflow, num_mul)
                CASE(DIV) : DO(num_div(r, RB, RC, &out), RA = out); NEXT;
                CASE(MOD) : DO(num_mod(r, RB, RC, &out), RA = out); NEXT;
                ARITH_I(ADDI, __builtin_add_overflow, num_add)
                ARITH_I(SUBI, __builtin_sub_overflow, num_sub)
                COMPARE(LT, <, num_lt)
                COMPARE(LE, <=, num_le)
                COMPARE(GT, >, num_gt)
                COMPARE(GE, >=, num_ge)
                COMPARE(EQ, ==, val_equal)
                COMPARE(NE, !=, not_same)
                JUMP_UNLESS(JNLT, <, num_lt)
                JUMP_UNLESS(JNLE, <=, num_le)
                JUMP_UNLESS(JNGT, >, num_gt)
                JUMP_UNLESS(JNGE, >=, num_ge)
                JUMP_UNLESS(JNEQ, ==, val_equal)
                JUMP_UNLESS(JNNE, !=, not_same)
                CASE(NOT) : RA = BOOL(!truthy(RB)); NEXT;
                CASE(CALL) :
                {
                        fuel_before = r->fuel_left;
                        COST();
                        uint32_t slot = f->base + A;
                        SAVE();
                        DO(call_value(r, RA, slot + 1, B, slot), (void)0);
                        LOAD();
                        NEXT;
                }
                CASE(TAIL) :
                {
                        fuel_before = r->fuel_left;
                        COST();
                        uint32_t slot = f->base + A, n = B;
                        SAVE();
                        if (RA.tag != T_CLOSURE || as_closure(RA)->proto->rest || as_closure(RA)->proto->params != n ||
                            as_closure(RA)->proto->delegate.tag != T_NIL ||
                            f->base + as_closure(RA)->proto->regs >= r->stack_size) {
                                DO(call_value(r, RA, slot + 1, n, slot), (void)0);
                                LOAD();
                                NEXT;
                        }
                        struct closure *c = as_closure(RA);
                        for (uint32_t i = 0; i < n; i++)
                                R[i] = R[A + 1 + i];
                        for (uint32_t i = n; i < c->proto->regs; i++)
                                R[i] = NIL;
                        f->closure = c;
                        f->pc = 0;
                        r->stack_top = f->base + c->proto->regs;
                        LOAD();
                        NEXT;
                }
                CASE(RET) :
                {
                        val v = RA;
                        uint32_t ret = f->ret;
                        if (UNLIKELY(--r->frame_count == r->frame_floor)) {
                                r->result = v;
                                return N_OK;
                        }
                        r->stack[ret] = v;
                        LOAD();
                        r->stack_top = f->base + f->closure->proto->regs;
                        NEXT;
                }
                CASE(NCALL) :
                {
                        fuel_before = r->fuel_left;
                        COST();
                        const struct native *n = r->natives[*pc++];
                        DO(n->fn(r, &RB, C, &out), RA = out);
                        NEXT;
                }
                CASE(CLOSURE) :
                {
                        DO(make_closure(r, K[K_OF(w)], pc, f->base, &out), RA = out);
                        pc += as_closure(out)->proto->ups;
                        NEXT;
                }
                CASE(VEC) :
                        if (C == 0)
                                RA = vec_empty(r);
                        else if (nomem(out = vec_new(r, &RB, C)))
                                goto no_memory;
                        else
                                RA = out;
                        NEXT;
                CASE(VECPUSH) : DO(push_items(r, RA, &RB, C, &out), RA = out); NEXT;
                CASE(MAP) : DO(put_pairs(r, map_empty(r), &RB, C, &out), RA = out); NEXT;
                CASE(MAPPUT) : DO(put_pairs(r, RA, &RB, C, &out), RA = out); NEXT;
                CASE(VCHK) : DO(check_vector(r, RA, B, C), (void)0); NEXT;
                CASE(VNTH) : RA = seq_nth(RB, C); NEXT;
                CASE(VREST) : fuel_before = r->fuel_left; DO(seq_rest(r, RB, C, &out), RA = out); NEXT;
                CASE(MCHK) :
                        if (RA.tag != T_MAP)
                                DO(raise_type(r, "map destructuring", "map", RA), (void)0);
                        NEXT;
                CASE(MGET) : RA = map_field(RB, K[*pc++], NIL); NEXT;
                CASE(MFIND) : RA = map_field(RB, K[*pc++], UNBOUND); NEXT;
                CASE(MWITHOUT) : DO(map_without(r, RB, K[*pc], &out), RA = out); pc++; NEXT;
                CASE(JNVEC) :
                        yes = is_seq(RA) && (C ? seq_count(RA) == B : seq_count(RA) >= B);
                        pc++;
                        if (!yes)
                                JUMP_BY(pc[-1]);
                        NEXT;
                CASE(JNMAP) :
                        yes = RA.tag == T_MAP && (!C || map_count(RA) == B);
                        pc++;
                        if (!yes)
                                JUMP_BY(pc[-1]);
                        NEXT;
                CASE(JNKIND) :
                        yes = RA.tag == T_ERROR && as_error(RA)->kind == B;
                        pc++;
                        if (!yes)
                                JUMP_BY(pc[-1]);
                        NEXT;
                CASE(JNTYPE) :
                        fuel_before = r->fuel_left;
                        DO(has_type(r, RA, K[pc[1]], &yes), (void)0);
                        pc += 2;
                        if (!yes)
                                JUMP_BY((int32_t)pc[-2] - 1);
                        NEXT;
                CASE(CHECK) : fuel_before = r->fuel_left; DO(check_annotation(r, RA, K[*pc], B), (void)0); pc++; NEXT;
                CASE(ITER) : fuel_before = r->fuel_left; DO(iterable(r, RB, &out), RA = out); R[A + 1] = INT(0); NEXT;
                CASE(NEXT) :
                {
                        val v = RA, i = R[A + 1];
                        pc++;
                        if (v.tag != T_VECTOR || i.tag != T_INT || (uint64_t)i.i >= vec_count(v)) {
                                JUMP_BY(pc[-1]);
                        } else {
                                R[A + 2] = vec_at(v, (uint32_t)i.i);
                                R[A + 1] = INT(i.i + 1);
                        }
                        NEXT;
                }
                CASE(RERAISE) :
                        if (RA.tag == T_ERROR) {
                                r->pending = RA;
                                status = N_ERROR;
                                goto trouble;
                        }
                        NEXT;
                CASE(RAISE) :
                {
                        struct mv_slice text = K[*pc].tag == T_STRING ? string_slice(K[*pc]) : MV_SLICE("");
                        DO(raise_fmt(r, B, "%.*s", MV_SARG(text)), (void)0);
                        NEXT;
                }
                case OP_MAX_:
                default:
                        status = raise_fmt(r, E_INTERNAL, "instruction %u", OP_OF(w));
                        goto trouble;
                }
                continue;

        no_memory:
                status = N_NOMEM;
        trouble:
                SAVE();
                switch (status) {
                case N_NOMEM: /* words behind the first were not consumed yet, except by NCALL */
                        f->pc -= OP_OF(w) == OP_NCALL ? 2 : 1;
                        if (takes_fuel(OP_OF(w)))
                                r->fuel_left = fuel_before;
                        status = make_room(r);
                        if (status != N_OK)
                                return status;
                        LOAD();
                        continue;
                case N_ERROR:
                        if (!unwind(r))
                                return N_ERROR;
                        LOAD();
                        continue;
                case N_CALL:
                        r->call_reg = f->base + A;
                        return N_CALL;
                default:
                        return status;
                }
        stopped:
                SAVE();
                r->fuel_left = 0;
                return charge(r, 1); /* fatal: the interrupt, or fuel */
        }
}

enum native_status vm_resume(struct mv_rtfs *r)
{
        if (r->pending.tag == T_ERROR && !unwind(r))
                return N_ERROR;
        return run_frames(r);
}

enum native_status vm_start(struct mv_rtfs *r, struct proto *p)
{
        struct closure *c = heap_alloc(r, O_CLOSURE, sizeof *c);
        if (!c)
                return N_NOMEM;
        c->proto = p;
        return enter(r, c, r->stack_top, 0, r->stack_top);
}

enum native_status run_now(struct mv_rtfs *r, val fn, const val *args, uint32_t count, val *ret)
{
        uint32_t floor = r->frame_floor, top = r->stack_top;
        if (top + count + 2 > r->stack_size || fn.tag != T_CLOSURE)
                return raise_memory(r, "expanding a macro");
        memcpy(r->stack + top, args, count * sizeof(val));
        r->frame_floor = r->frame_count;
        enum native_status s = enter(r, as_closure(fn), top, count, top);
        if (s == N_OK)
                s = run_frames(r);
        if (s == N_CALL)
                s = raise_fmt(r, E_GENERIC, "host calls are not possible while a macro expands");
        if (s == N_NOMEM)
                s = raise_memory(r, "expanding a macro");
        r->frame_count = r->frame_floor;
        r->frame_floor = floor;
        r->stack_top = top;
        if (s == N_OK)
                *ret = r->result;
        return s;
}
