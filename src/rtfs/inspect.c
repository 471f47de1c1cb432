/* SPDX-License-Identifier: Apache-2.0 */
/* What a program can ask of its host, found without running it (REQ-PROG-09, REQ-LANG-11): the call
 * sites in its compiled form, and the effects its source declares in metadata.
 *
 * (1) Nothing is missed. The builtin `call` is followed from where it is loaded: called with an id
 *     that is a constant, the id is listed; whatever else happens to it (passed on, stored,
 *     captured, one of two values where paths join) is listed as a call of an unknown id.
 * (2) One sweep over each function's code in order keeps what each register holds. Where a jump
 *     arrives, registers written since the jump left are unknown again; where code is entered
 *     from further down (a loop, a handler), all are.
 * (3) Work is linear in the size of the program: each function is looked at once, found by a list,
 *     not by recursion. Memory is the heap's; running out is the program's error.
 * (4) Library functions make no calls; those of the prelude do, and are looked into where they are
 *     loaded.
 * (5) Code falls into regions: each function, and each step inside it (from %step-started to the
 *     %step-completed of the same depth). A region knows its calls, the regions it can enter (steps
 *     in it, functions it makes or reads from a global), and whether it is opaque: it calls
 *     something that cannot be told, so it may enter any region. What a step can call is what its
 *     region reaches, never less. */
#include <base/limits.h>
#include <rtfs/bytecode.h>
#include <rtfs/compile.h>
#include <rtfs/reader.h>
#include <wire/cbor.h>

/* What a register is known to hold: a constant, or nothing (UNBOUND). */
struct known {
        val v;
        uint32_t at; /* the word that wrote it */
};

/* (5). Rows of vectors under construction, encoded when the sweep is done. */
struct region {
        struct region *next, *parent;
        val name, demand; /* NIL of a function */
        uint32_t pos, index;
        bool opaque;
        val enters;  /* indices of regions, and globals as -1 - slot */
        val invokes; /* slots of globals that are called */
        val calls;   /* [index of the call, arguments] */
};

#define SLOT_UNKNOWN UINT32_MAX

struct regions {
        struct region *first, *last;
        uint32_t count;
        uint32_t *slot; /* what a global is set to: 0 nothing that can be called, region + 1 */
        uint32_t slots;
};

struct sweep {
        struct mv_rtfs *r;
        struct regions *regions;
        struct region *region; /* of the code at hand; NULL before the first */
        int step_started, step_completed;
        val found;   /* vector under construction: [id via line column] */
        val waiting; /* LIST of T_PROTO */
        int call, apply, apply_inside;
        uint32_t get_name;
        /* the prelude's function that is looked into; NULL: the program itself */
        const struct name *via;
        uint32_t via_pos;
        const struct proto *p;
        /* of each word: the first word that jumps there; UINT32_MAX: none */
        uint32_t *from;
        uint32_t at;
        struct known reg[256];
};

/* --- findings --------------------------------------------------------------------------------- */
static uint32_t place(const struct sweep *w, uint32_t at)
{
        return w->via ? w->via_pos : w->p->code->word[w->p->code->count + at];
}

/* --- regions (5) ------------------------------------------------------------------------------ */
static enum native_status region_new(struct sweep *w, val name, val demand, uint32_t pos,
                                     struct region **ret)
{
        struct region *g = work_memory(w->r, sizeof *g); /* not the stack: it outlives a function */
        if (!g)
                return N_NOMEM;
        *g = (struct region){ .parent = w->region,
                              .name = name,
                              .demand = demand,
                              .pos = pos,
                              .index = w->regions->count++,
                              .enters = vec_builder(w->r),
                              .invokes = vec_builder(w->r),
                              .calls = vec_builder(w->r) };
        if (nomem(g->enters) || nomem(g->invokes) || nomem(g->calls))
                return N_NOMEM;
        if (w->regions->last)
                w->regions->last->next = g;
        else
                w->regions->first = g;
        w->regions->last = g;
        *ret = g;
        return N_OK;
}

static enum native_status region_enters(struct sweep *w, int64_t what)
{
        return vec_push(w->r, w->region->enters, INT(what)) ? N_OK : N_NOMEM;
}

/* The call that was reported last belongs to the region at hand. */
static enum native_status region_call(struct sweep *w, val args)
{
        val items[2] = { INT(vec_count(w->found) - 1), args };
        val row = vec_new(w->r, items, 2);
        return nomem(row) || !vec_push(w->r, w->region->calls, row) ? N_NOMEM : N_OK;
}

/* Something is called: `fn` as far as it is known. */
static enum native_status region_invokes(struct sweep *w, val fn)
{
        if (fn.tag == T_NODE)
                return vec_push(w->r, w->region->invokes, INT(fn.i)) ? N_OK : N_NOMEM;
        if (fn.tag == T_PROTO &&
            ((struct proto *)fn.o)->h.used) /* made by a region around this one */
                return region_enters(w, (int64_t)((struct proto *)fn.o)->h.used - 1);
        if (fn.tag == T_UNBOUND)
                w->region->opaque = true;
        return N_OK;
}

/* id: STRING, KEYWORD, or NIL for one that is computed. args: as far as they are known. */
static enum native_status report_args(struct sweep *w, val id, uint32_t at, val args)
{
        uint32_t pos = place(w, at);
        val via = w->via ? string_new(w->r, mv_slice(w->via->text, w->via->len)) : NIL;
        if (id.tag == T_KEYWORD)
                id = string_new(w->r, name_slice(id));
        if (nomem(via) || nomem(id))
                return N_NOMEM;
        val items[4] = { id, via, INT(pos >> POS_COLUMN_BITS), INT(pos & POS_COLUMN_MASK) };
        val site = vec_new(w->r, items, 4);
        if (nomem(site) || !vec_push(w->r, w->found, site))
                return N_NOMEM;
        return region_call(w, args);
}

static enum native_status report(struct sweep *w, val id, uint32_t at)
{
        return report_args(w, id, at, NIL);
}

static bool is_call(const struct sweep *w, val v)
{
        return v.tag == T_NATIVE && v.i == w->call;
}

/* A constant that can be told on: data without anything inside that is not. */
static bool tells(val v)
{
        switch (v.tag) {
        case T_NIL:
        case T_FALSE:
        case T_TRUE:
        case T_INT:
        case T_STRING:
        case T_KEYWORD:
        case T_VECTOR:
        case T_MAP:
                return true;
        default:
                return false;
        }
}

static val id_of(val v)
{
        return v.tag == T_STRING || v.tag == T_KEYWORD ? v : NIL;
}

/* --- registers -------------------------------------------------------------------------------- */
static void set(struct sweep *w, uint32_t reg, val v)
{
        w->reg[reg & 255] = (struct known){ v, w->at };
}

/* Registers from..255 were written by something else. */
static void forget_from(struct sweep *w, uint32_t from)
{
        for (uint32_t i = from; i < 256; i++)
                set(w, i, UNBOUND);
}

/* A jump from `source` arrives: what was written behind it is one of two values now. */
static enum native_status join(struct sweep *w, uint32_t source)
{
        for (uint32_t i = 0; i < w->p->regs; i++) {
                struct known *k = &w->reg[i];
                bool same = source < w->at && k->at < source;
                if (same || k->v.tag == T_UNBOUND)
                        continue;
                if (is_call(w, k->v))
                        TRY(report(w, NIL, k->at));
                *k = (struct known){ UNBOUND, w->at };
        }
        return N_OK;
}

/* `call` goes where it cannot be followed (1). */
static enum native_status read_reg(struct sweep *w, uint32_t reg)
{
        return is_call(w, w->reg[reg & 255].v) ? report(w, NIL, w->at) : N_OK;
}

static enum native_status read_run(struct sweep *w, uint32_t first, uint32_t count)
{
        for (uint32_t i = 0; i < count; i++)
                TRY(read_reg(w, first + i));
        return N_OK;
}

/* --- the prelude (4) -------------------------------------------------------------------------- */
/* g NULL: code of the prelude, which belongs to the region that loads it. */
static enum native_status add_waiting(struct sweep *w, struct proto *p, struct region *g)
{
        w->waiting = list_cons(w->r, INT((intptr_t)g), w->waiting);
        if (!nomem(w->waiting))
                w->waiting = list_cons(w->r, OBJ(T_PROTO, p), w->waiting);
        return nomem(w->waiting) ? N_NOMEM : N_OK;
}

static enum native_status sweep_waiting(struct sweep *w);

/* A sweep of its own: its registers are not those of the program. */
static enum native_status look_into(struct sweep *w, const struct name *n, val closure)
{
        uint32_t top = w->r->stack_top;
        struct sweep *inner = compile_work(w->r, sizeof *inner);
        if (!inner)
                return N_NOMEM;
        *inner = (struct sweep){ .r = w->r,
                                 .regions = w->regions,
                                 .region = w->region,
                                 .step_started = w->step_started,
                                 .step_completed = w->step_completed,
                                 .found = w->found,
                                 .call = w->call,
                                 .apply = w->apply,
                                 .apply_inside = w->apply_inside,
                                 .get_name = w->get_name,
                                 .via = n,
                                 .via_pos = place(w, w->at),
                                 .waiting = w->r->empty_list };
        TRY(add_waiting(inner, as_closure(closure)->proto, NULL));
        TRY(sweep_waiting(inner));
        w->found = inner->found;
        w->r->stack_top = top;
        return N_OK;
}

/* The value of a global, as far as it is the machine's own. */
static enum native_status load_global(struct sweep *w, uint32_t slot, uint32_t reg)
{
        val v = w->r->globals[slot];
        bool prelude = slot >= w->r->prelude_from && slot < w->r->prelude_to;
        if (prelude && v.tag == T_CLOSURE && !w->via)
                TRY(look_into(w, w->r->global_names[slot], v));
        if (v.tag == T_NATIVE || v.tag == T_CLOSURE) {
                /* what a function of the prelude calls was found above; it calls no argument */
                set(w, reg, prelude && v.tag == T_CLOSURE ? BOOL(true) : v);
                return N_OK;
        }
        set(w, reg, (val){ .tag = T_NODE, .i = slot });
        return region_enters(w, -1 - (int64_t)slot);
}

/* What the global holds from here on, or held: order does not count, so two values are unknown. */
static void note_global(struct sweep *w, uint32_t slot, val v)
{
        uint32_t *to = &w->regions->slot[slot];
        bool harmless = tells(v) || (v.tag == T_NATIVE && v.i != w->apply);
        uint32_t is = v.tag == T_PROTO ? ((const struct proto *)v.o)->h.used
                      : harmless       ? 0
                                       : SLOT_UNKNOWN;
        if (slot >= w->regions->slots || is == 0 || *to == is)
                return;
        *to = *to ? SLOT_UNKNOWN : is;
}

/* (get :name) gives what the global of that name holds. */
static enum native_status load_by_name(struct sweep *w, val name, uint32_t reg)
{
        if (name.tag != T_STRING)
                return report(w, NIL, w->at);
        const struct name *n = name_intern(w->r, string_slice(name));
        if (!n)
                return N_NOMEM;
        if (n->global >= 0)
                return load_global(w, (uint32_t)n->global, reg);
        set(w, reg, UNBOUND);
        return N_OK;
}

/* --- calls ------------------------------------------------------------------------------------ */
/* The arguments behind the id, as far as they are known. */
static val known_args(struct sweep *w, uint32_t first, uint32_t count)
{
        val args = vec_builder(w->r), unknown = symbol_new(w->r, MV_SLICE("?"));
        if (nomem(args) || nomem(unknown))
                return nomem(args) ? args : unknown;
        for (uint32_t i = 0; i < count; i++) {
                val v = w->reg[(first + i) & 255].v;
                if (!vec_push(w->r, args, tells(v) ? v : unknown))
                        return (val){ .tag = T_MAX_ };
        }
        return args;
}

/* The builtin `fn` on count arguments from register `first`; what it calls is settled when it is
 * `call`, or apply of `call`. */
static enum native_status called(struct sweep *w, val fn, uint32_t first, uint32_t count)
{
        bool apply = fn.tag == T_NATIVE && (fn.i == w->apply || fn.i == w->apply_inside);
        if (apply && count >= 2 && is_call(w, w->reg[first & 255].v)) {
                TRY(read_run(w, first + 1, count - 1));
                return report(w, count > 2 ? id_of(w->reg[(first + 1) & 255].v) : NIL, w->at);
        }
        if (apply && count)
                TRY(region_invokes(w, w->reg[first & 255].v));
        TRY(read_run(w, first, count));
        if (!is_call(w, fn) || !count)
                return N_OK;
        val args = known_args(w, first + 1, count - 1);
        return nomem(args) ? N_NOMEM : report_args(w, id_of(w->reg[first & 255].v), w->at, args);
}

/* A step begins or ends with a call of these. */
static enum native_status step_border(struct sweep *w, uint32_t native, uint32_t first,
                                      uint32_t count)
{
        if (w->via)
                return N_OK;
        if ((int)native == w->step_completed && w->region->name.tag != T_NIL) {
                w->region = w->region->parent;
                return N_OK;
        }
        val name = w->reg[first & 255].v;
        if ((int)native != w->step_started || name.tag != T_STRING)
                return N_OK;
        struct region *g;
        val demand = count > 1 ? w->reg[(first + 1) & 255].v : NIL;
        TRY(region_new(w, name, tells(demand) ? demand : NIL, place(w, w->at), &g));
        TRY(region_enters(w, g->index));
        w->region = g;
        return N_OK;
}

static enum native_status step_ncall(struct sweep *w, uint32_t word)
{
        uint32_t native = w->p->code->word[w->at + 1];
        if (native == w->get_name && C_OF(word) == 1)
                return load_by_name(w, w->reg[B_OF(word)].v, A_OF(word));
        TRY(called(w, (val){ .tag = T_NATIVE, .i = native }, B_OF(word), C_OF(word)));
        TRY(step_border(w, native, B_OF(word), C_OF(word)));
        set(w, A_OF(word), UNBOUND);
        return N_OK;
}

/* A function of the library calls the one it is given: its first argument, `update` its third. */
static enum native_status library_called(struct sweep *w, val fn, uint32_t first, uint32_t count)
{
        const struct name *name = as_closure(fn)->proto->name;
        uint32_t at = name && mv_slice_eq_str(mv_slice(name->text, name->len), "update") ? 2 : 0;
        return count > 1 && at < count ? region_invokes(w, w->reg[(first + at) & 255].v) : N_OK;
}

static enum native_status step_call(struct sweep *w, uint32_t word)
{
        val fn = w->reg[A_OF(word)].v;
        TRY(region_invokes(w, fn));
        if (fn.tag == T_CLOSURE)
                TRY(library_called(w, fn, A_OF(word) + 1, B_OF(word)));
        TRY(called(w, fn, A_OF(word) + 1, B_OF(word)));
        forget_from(w, A_OF(word)); /* the callee's frame lies there */
        return N_OK;
}

static enum native_status add_function(struct sweep *w, struct proto *p);

static enum native_status step_closure(struct sweep *w, uint32_t word, uint32_t words)
{
        for (uint32_t i = 1; i < words; i++) {
                uint32_t capture = w->p->code->word[w->at + i];
                if (capture >> 8 == 0)
                        TRY(read_reg(w, capture & 255));
        }
        val made = w->p->consts->item[K_OF(word)];
        if (!w->via) {
                TRY(add_function(w, (struct proto *)made.o));
                TRY(region_enters(w, (int64_t)((struct proto *)made.o)->h.used - 1));
        }
        set(w, A_OF(word), made);
        return N_OK;
}

/* A map literal is known when its keys are. */
static enum native_status step_map(struct sweep *w, uint32_t word)
{
        TRY(read_run(w, B_OF(word), 2 * C_OF(word)));
        val map = map_empty(w->r), unknown = symbol_new(w->r, MV_SLICE("?"));
        for (uint32_t i = 0; map.tag == T_MAP && i < C_OF(word); i++) {
                val k = w->reg[(B_OF(word) + 2 * i) & 255].v;
                val v = w->reg[(B_OF(word) + 2 * i + 1) & 255].v;
                bool fits = k.tag == T_KEYWORD || k.tag == T_STRING;
                map = fits ? map_put(w->r, map, k, tells(v) ? v : unknown) : UNBOUND;
        }
        if (nomem(map) || nomem(unknown))
                return N_NOMEM;
        set(w, A_OF(word), map);
        return N_OK;
}

/* --- every other instruction ------------------------------------------------------------------ */
static enum native_status step_other(struct sweep *w, uint32_t word)
{
        uint32_t op = OP_OF(word);
        struct op_shape s = op_shape(op);
        if (s.a == 'r' || s.a == 'm')
                TRY(read_reg(w, A_OF(word)));
        if (op == OP_VEC || op == OP_VECPUSH)
                TRY(read_run(w, B_OF(word), C_OF(word)));
        else if (op == OP_MAP || op == OP_MAPPUT)
                TRY(read_run(w, B_OF(word), 2 * C_OF(word)));
        else if (s.b == 'r')
                TRY(read_reg(w, B_OF(word)));
        if (s.c == 'r')
                TRY(read_reg(w, C_OF(word)));
        if (op == OP_ITER || op == OP_NEXT)
                for (uint32_t i = 0; i < 3; i++)
                        set(w, A_OF(word) + i, UNBOUND);
        else if (s.a == 'w' || s.a == 'm')
                set(w, A_OF(word), UNBOUND);
        return N_OK;
}

static enum native_status step(struct sweep *w, uint32_t words)
{
        uint32_t word = w->p->code->word[w->at];
        switch (OP_OF(word)) {
        case OP_MOVE: /* a copy is followed like what it copies */
                set(w, A_OF(word), w->reg[B_OF(word)].v);
                return N_OK;
        case OP_LOADK: {
                val v = w->p->consts->item[K_OF(word)];
                set(w, A_OF(word), tells(v) || v.tag == T_NATIVE ? v : UNBOUND);
                return N_OK;
        }
        case OP_LOADI:
                set(w, A_OF(word), INT(S_OF(word)));
                return N_OK;
        case OP_LOADNIL:
        case OP_LOADTRUE:
        case OP_LOADFALSE:
                set(w, A_OF(word),
                    OP_OF(word) == OP_LOADNIL ? NIL : BOOL(OP_OF(word) == OP_LOADTRUE));
                return N_OK;
        case OP_GETSELF:
                set(w, A_OF(word), w->via ? UNBOUND : OBJ(T_PROTO, w->p));
                return N_OK;
        case OP_SETGLOBAL:
                TRY(read_reg(w, A_OF(word)));
                if (!w->via)
                        note_global(w, K_OF(word), w->reg[A_OF(word)].v);
                return N_OK;
        case OP_MAP:
                return step_map(w, word);
        case OP_GETGLOBAL:
                return load_global(w, K_OF(word), A_OF(word));
        case OP_NCALL:
                return step_ncall(w, word);
        case OP_CALL:
        case OP_TAIL:
                return step_call(w, word);
        case OP_CLOSURE:
                return step_closure(w, word, words);
        default:
                return step_other(w, word);
        }
}

/* --- a function ------------------------------------------------------------------------------- */
static void note_jump(struct sweep *w, uint32_t source, int64_t target)
{
        if (target >= 0 && target < w->p->code->count && source < w->from[target])
                w->from[target] = source;
}

/* Where jumps arrive. From further down: as if from the start, so that nothing stays known. */
static enum native_status find_jumps(struct sweep *w)
{
        const struct code *c = w->p->code;
        w->from = compile_work(w->r, (size_t)c->count * sizeof *w->from);
        if (!w->from)
                return N_NOMEM;
        memset(w->from, 0xff, (size_t)c->count * sizeof *w->from);
        for (uint32_t at = 0; at < c->count; at += op_words(w->p, c->word[at])) {
                char second = op_shape(OP_OF(c->word[at])).second;
                if (second == 'J')
                        note_jump(w, at, (int64_t)at + 2 + (int32_t)c->word[at + 1]);
                else if (second == 'L')
                        note_jump(w, 0, (int64_t)at + 2 + (int32_t)c->word[at + 1]);
        }
        const struct handler *h =
                w->p->handlers ? (const struct handler *)((const struct code *)w->p->handlers)->word
                               : NULL;
        for (uint32_t i = 0; i < w->p->handler_count; i++)
                note_jump(w, 0, h[i].target);
        return N_OK;
}

static enum native_status sweep_code(struct sweep *w)
{
        const struct code *c = w->p->code;
        uint32_t top = w->r->stack_top;
        TRY(find_jumps(w));
        w->at = 0;
        forget_from(w, 0);
        for (uint32_t words; w->at < c->count; w->at += words) {
                words = op_words(w->p, c->word[w->at]);
                if (w->from[w->at] != UINT32_MAX)
                        TRY(join(w, w->from[w->at]));
                TRY(step(w, words));
        }
        w->r->stack_top = top;
        return N_OK;
}

/* Each once: a function of the program is marked in a field that only arrays use. The library's stay
 * as they are, they are few and small. */
static enum native_status add_inner(struct sweep *w)
{
        uint32_t count = w->p->consts ? w->p->consts->h.used : 0;
        for (uint32_t i = 0; i < count; i++) {
                val v = w->p->consts->item[i];
                struct proto *p = v.tag == T_PROTO ? (struct proto *)v.o : NULL;
                if (p && w->via)
                        TRY(add_waiting(w, p, NULL));
                else if (p)
                        TRY(add_function(w, p));
        }
        return N_OK;
}

/* A function of the program is marked with its region + 1. */
static enum native_status add_function(struct sweep *w, struct proto *p)
{
        struct region *g, *here = w->region;
        if (p->h.used)
                return N_OK;
        w->region = NULL;
        TRY(region_new(w, NIL, NIL, 0, &g));
        w->region = here;
        p->h.used = g->index + 1;
        return add_waiting(w, p, g);
}

static enum native_status sweep_waiting(struct sweep *w)
{
        while (as_cons(w->waiting)->count) {
                const struct cons *next = as_cons(w->waiting)->tail;
                w->p = (struct proto *)as_cons(w->waiting)->head.o;
                if (next->head.i)
                        w->region = (struct region *)(intptr_t)next->head.i;
                w->waiting = OBJ(T_LIST, next->tail);
                w->at = 0;
                if (w->p->delegate.tag == T_STRING)
                        TRY(report(w, w->p->delegate, 0));
                TRY(sweep_code(w));
                TRY(add_inner(w));
        }
        return N_OK;
}

/* --- the report ------------------------------------------------------------------------------- */
/* What a region enters: globals become the functions they hold. */
static enum native_status resolve(struct sweep *w, struct region *g, val *ret)
{
        val out = vec_builder(w->r);
        if (nomem(out))
                return N_NOMEM;
        for (uint32_t i = 0; i < vec_count(g->invokes); i++)
                if (w->regions->slot[vec_at(g->invokes, i).i] == SLOT_UNKNOWN)
                        g->opaque = true;
        for (uint32_t i = 0; i < vec_count(g->enters); i++) {
                int64_t what = vec_at(g->enters, i).i;
                uint32_t is = what < 0 ? w->regions->slot[-1 - what] : 0;
                if (what < 0 && (is == 0 || is == SLOT_UNKNOWN))
                        continue;
                if (!vec_push(w->r, out, INT(what < 0 ? (int64_t)is - 1 : what)))
                        return N_NOMEM;
        }
        *ret = out;
        return N_OK;
}

/* [name demand line column parent opaque [enters] [calls]] of each region. */
static enum native_status put_regions(struct sweep *w)
{
        val rows = vec_builder(w->r);
        if (nomem(rows))
                return N_NOMEM;
        for (struct region *g = w->regions->first; g; g = g->next) {
                val enters;
                TRY(resolve(w, g, &enters));
                val items[8] = { g->name,
                                 g->demand,
                                 INT(g->pos >> POS_COLUMN_BITS),
                                 INT(g->pos & POS_COLUMN_MASK),
                                 INT(g->parent ? (int64_t)g->parent->index : -1),
                                 BOOL(g->opaque),
                                 enters,
                                 g->calls };
                val row = vec_new(w->r, items, 8);
                if (nomem(row) || !vec_push(w->r, rows, row))
                        return N_NOMEM;
        }
        w->r->regions = rows;
        return N_OK;
}

static enum native_status inspect(struct mv_rtfs *r)
{
        struct sweep *w = compile_work(r, sizeof *w);
        struct regions *g = compile_work(r, sizeof *g);
        uint32_t *slot = compile_work(r, ((size_t)r->global_count + 1) * sizeof *slot);
        if (!w || !g || !slot)
                return N_NOMEM;
        memset(slot, 0, ((size_t)r->global_count + 1) * sizeof *slot);
        *g = (struct regions){ .slot = slot, .slots = r->global_count };
        *w = (struct sweep){ .r = r,
                             .regions = g,
                             .step_started = native_find(r, MV_SLICE("%step-started")),
                             .step_completed = native_find(r, MV_SLICE("%step-completed")),
                             .found = vec_builder(r),
                             .waiting = r->empty_list,
                             .call = native_find(r, MV_SLICE("call")),
                             .apply = native_find(r, MV_SLICE("apply")),
                             .apply_inside = native_find(r, MV_SLICE("%apply")),
                             .get_name = (uint32_t)native_find(r, MV_SLICE("%get-name")) };
        if (nomem(w->found))
                return N_NOMEM;
        for (struct cons *c = as_cons(r->forms); c->count; c = c->tail)
                TRY(add_function(w, (struct proto *)c->head.o));
        TRY(sweep_waiting(w));
        r->result = w->found;
        return put_regions(w);
}

bool mv_rtfs_encode_regions(struct mv_rtfs *r, struct mv_out *o)
{
        return encode_value(o, r->regions);
}

bool mv_rtfs_inspect(struct mv_rtfs *r)
{
        if (mv_rtfs_failed(r))
                return false;
        uint32_t top = r->stack_top;
        r->no_collect = true;
        enum native_status s = inspect(r);
        r->no_collect = false;
        r->stack_top = top;
        r->forms = r->empty_list;
        if (s == N_NOMEM)
                raise_memory(r, "the program is too large to be inspected");
        return s == N_OK;
}

/* --- effects that the source declares --------------------------------------------------------- */
struct declared {
        struct mv_out *o; /* NULL: only count */
        uint32_t count;
};

static bool walk(struct declared *d, val form);

static bool is_data(val v, uint32_t depth)
{
        if (depth >= MV_VALUE_DEPTH_MAX)
                return false;
        for (struct cons *c = v.tag == T_LIST ? as_cons(v) : NULL; c && c->count; c = c->tail)
                if (!is_data(c->head, depth + 1))
                        return false;
        for (uint32_t i = 0; (v.tag == T_VECTOR || v.tag == T_MAPFORM) && i < vec_count(v); i++)
                if (!is_data(vec_at(v, i), depth + 1) ||
                    (v.tag == T_MAPFORM && i % 2 == 0 && !map_key_ok(vec_at(v, i))))
                        return false;
        return true;
}

/* Metadata itself has no place: that of the form it belongs to. */
static uint32_t place_of(val form)
{
        if (form.tag == T_LIST)
                return as_cons(form)->count ? as_cons(form)->pos : 0;
        if (form.tag == T_VECTOR || form.tag == T_MAPFORM)
                return pos_make(as_vec(form)->line, as_vec(form)->column);
        return form.tag == T_SYMBOL ? form.pos : 0;
}

/* Metadata may hold patterns and other forms that are no data: those declare nothing. */
static bool put_declared(struct declared *d, uint32_t pos, val effects)
{
        if (!is_data(effects, 0))
                return true;
        d->count++;
        if (!d->o)
                return true;
        return mv_cbor_put_array(d->o, 3) && mv_cbor_put_int(d->o, pos >> POS_COLUMN_BITS) &&
               mv_cbor_put_int(d->o, pos & POS_COLUMN_MASK) && encode_value(d->o, effects);
}

static bool walk_meta(struct declared *d, const struct cons *list, val meta)
{
        for (uint32_t i = 0; meta.tag == T_MAPFORM && i + 1 < vec_count(meta); i += 2) {
                val key = vec_at(meta, i);
                if (key.tag == T_KEYWORD && mv_slice_eq_str(name_slice(key), "effects") &&
                    !put_declared(d, place_of(list->tail->tail->head), vec_at(meta, i + 1)))
                        return false;
        }
        return true;
}

static bool walk_list(struct declared *d, const struct cons *c)
{
        if (c->count == 3 && is_symbol(c->head, "with meta") && !walk_meta(d, c, c->tail->head))
                return false;
        for (; c->count; c = c->tail)
                if (!walk(d, c->head))
                        return false;
        return true;
}

/* As deep as the reader's forms nest. */
static bool walk(struct declared *d, val form)
{
        if (form.tag == T_LIST)
                return walk_list(d, as_cons(form));
        if (form.tag == T_VECTOR || form.tag == T_MAPFORM)
                for (uint32_t i = 0; i < vec_count(form); i++)
                        if (!walk(d, vec_at(form, i)))
                                return false;
        return true;
}

bool mv_rtfs_encode_declared(struct mv_rtfs *r, struct mv_out *o)
{
        struct declared d = { 0 };
        (void)walk_list(&d, as_cons(r->forms));
        d.o = o;
        return mv_cbor_put_array(o, d.count) && walk_list(&d, as_cons(r->forms));
}
