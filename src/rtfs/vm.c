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
#include <rtfs/machine.h>
#include <rtfs/reader.h>

/* --- errors ----------------------------------------------------------------------------------- */
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
        const struct handler *h =
                p->handlers ? (const struct handler *)((struct code *)p->handlers)->word : NULL;
        uint32_t pc = f->pc - 1;
        for (uint32_t i = 0; i < p->handler_count; i++)
                if (pc >= h[i].from && pc < h[i].to)
                        return &h[i];
        return NULL;
}

/* Continue at the innermost handler of the pending error; false: none in this run. */
bool vm_unwind(struct mv_rtfs *r)
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

/* --- memory ----------------------------------------------------------------------------------- */
/* Collect for an instruction that could not allocate. When the same instruction fails again it has used up all it was
 * given: it gets twice as much, until there is no more to give. */
enum native_status vm_make_room(struct mv_rtfs *r)
{
        uint64_t here =
                (uint64_t)r->fuel_left << 20 ^ (uint64_t)r->frame_count << 40 ^ top_frame(r)->pc;
        bool again = r->room_given && here == r->room_at;
        if (again && r->heap.limit == r->heap.end)
                return raise_memory(r, "the program's values do not fit");
        size_t want = again ? 2 * r->room_given : HEAP_ROOM_FIRST;
        heap_collect(r, want < r->heap.want ? r->heap.want : want);
        if (r->heap.want > (size_t)(r->heap.end - r->heap.top))
                return raise_memory(r, "the program's values do not fit");
        r->room_at = here;
        r->room_given = (size_t)(r->heap.limit - r->heap.top);
        return N_OK;
}

/* --- calls ------------------------------------------------------------------------------------ */
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

static enum native_status raise_native_arity(struct mv_rtfs *r, const struct native *n,
                                             uint32_t count)
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

static enum native_status delegate(struct mv_rtfs *r, const struct proto *p, uint32_t args,
                                   uint32_t count)
{
        return call_host(r, p->delegate, r->stack + args, count);
}

/* Push a frame for closure c on `count` arguments that lie at stack[args...]. */
static enum native_status enter(struct mv_rtfs *r, struct closure *c, uint32_t args, uint32_t count,
                                uint32_t ret)
{
        struct proto *p = c->proto;
        if (UNLIKELY(p->delegate.tag != T_NIL))
                return delegate(r, p, args, count);
        if (UNLIKELY(count != p->params && !(p->rest && count > p->params)))
                return raise_call_arity(r, p, count);
        if (UNLIKELY(r->frame_count >= r->frames_size || args + p->regs + 1 > r->stack_size))
                return raise_fmt(r, E_STACK,
                                 "more than %u calls are active, or they need too many values",
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

/* (apply f a b coll): the arguments are laid out above the current frame and above its own, so that nothing is lost when
 * the call has to start again after a collection. *ret_args, *ret_count: where they lie; f stays at stack[args]. */
static enum native_status spread_arguments(struct mv_rtfs *r, uint32_t args, uint32_t count,
                                           uint32_t *ret_args, uint32_t *ret_count)
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
        uint64_t spread = last.tag == T_MAP       ? 2ull * map_count(last)
                          : items.tag == T_VECTOR ? vec_count(items)
                                                  : 0;
        if (to + fixed + spread + 2 > r->stack_size)
                return raise_fmt(r, E_STACK, "apply to %lu arguments",
                                 (unsigned long)(fixed + spread));
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
        return vm_call(r, f, args, count, ret);
}

static enum native_status call_native(struct mv_rtfs *r, val f, uint32_t args, uint32_t count,
                                      uint32_t ret)
{
        if ((uint64_t)f.i >= r->native_count)
                return raise_fmt(r, E_INTERNAL, "no such builtin");
        const struct native *n = r->natives[f.i];
        if (!n->fn)
                return apply(r, args, count, ret);
        if ((n->args_min >= 0 && count < (uint32_t)n->args_min) ||
            (n->args_max >= 0 && count > (uint32_t)n->args_max))
                return raise_native_arity(r, n, count);
        val out = NIL;
        enum native_status s = n->fn(r, r->stack + args, count, &out);
        if (s == N_OK)
                r->stack[ret] = out;
        return s;
}

enum native_status vm_call(struct mv_rtfs *r, val f, uint32_t args, uint32_t count, uint32_t ret)
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

/* --- runs ------------------------------------------------------------------------------------- */
enum native_status vm_resume(struct mv_rtfs *r)
{
        if (r->pending.tag == T_ERROR && !vm_unwind(r))
                return N_ERROR;
        return vm_run(r);
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
                s = vm_run(r);
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
