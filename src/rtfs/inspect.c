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
 *     loaded. */
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

struct sweep {
        struct mv_rtfs *r;
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

/* id: STRING, KEYWORD, or NIL for one that is computed. */
static enum native_status report(struct sweep *w, val id, uint32_t at)
{
        uint32_t pos = place(w, at);
        val via = w->via ? string_new(w->r, mv_slice(w->via->text, w->via->len)) : NIL;
        if (id.tag == T_KEYWORD)
                id = string_new(w->r, name_slice(id));
        if (nomem(via) || nomem(id))
                return N_NOMEM;
        val items[4] = { id, via, INT(pos >> POS_COLUMN_BITS), INT(pos & POS_COLUMN_MASK) };
        val site = vec_new(w->r, items, 4);
        return nomem(site) || !vec_push(w->r, w->found, site) ? N_NOMEM : N_OK;
}

static bool is_call(const struct sweep *w, val v)
{
        return v.tag == T_NATIVE && v.i == w->call;
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
static enum native_status add_waiting(struct sweep *w, struct proto *p)
{
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
                                 .found = w->found,
                                 .call = w->call,
                                 .apply = w->apply,
                                 .apply_inside = w->apply_inside,
                                 .get_name = w->get_name,
                                 .via = n,
                                 .via_pos = place(w, w->at),
                                 .waiting = w->r->empty_list };
        TRY(add_waiting(inner, as_closure(closure)->proto));
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
        set(w, reg, v.tag == T_NATIVE ? v : UNBOUND);
        return N_OK;
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
/* The builtin `fn` on count arguments from register `first`; what it calls is settled when it is
 * `call`, or apply of `call`. */
static enum native_status called(struct sweep *w, val fn, uint32_t first, uint32_t count)
{
        bool apply = fn.tag == T_NATIVE && (fn.i == w->apply || fn.i == w->apply_inside);
        if (apply && count >= 2 && is_call(w, w->reg[first & 255].v)) {
                TRY(read_run(w, first + 1, count - 1));
                return report(w, count > 2 ? id_of(w->reg[(first + 1) & 255].v) : NIL, w->at);
        }
        TRY(read_run(w, first, count));
        if (is_call(w, fn) && count)
                return report(w, id_of(w->reg[first & 255].v), w->at);
        return N_OK;
}

static enum native_status step_ncall(struct sweep *w, uint32_t word)
{
        uint32_t native = w->p->code->word[w->at + 1];
        if (native == w->get_name && C_OF(word) == 1)
                return load_by_name(w, w->reg[B_OF(word)].v, A_OF(word));
        TRY(called(w, (val){ .tag = T_NATIVE, .i = native }, B_OF(word), C_OF(word)));
        set(w, A_OF(word), UNBOUND);
        return N_OK;
}

static enum native_status step_call(struct sweep *w, uint32_t word)
{
        TRY(called(w, w->reg[A_OF(word)].v, A_OF(word) + 1, B_OF(word)));
        forget_from(w, A_OF(word)); /* the callee's frame lies there */
        return N_OK;
}

static enum native_status step_closure(struct sweep *w, uint32_t word, uint32_t words)
{
        for (uint32_t i = 1; i < words; i++) {
                uint32_t capture = w->p->code->word[w->at + i];
                if (capture >> 8 == 0)
                        TRY(read_reg(w, capture & 255));
        }
        set(w, A_OF(word), UNBOUND);
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
                bool tells = v.tag == T_STRING || v.tag == T_KEYWORD || v.tag == T_NATIVE;
                set(w, A_OF(word), tells ? v : UNBOUND);
                return N_OK;
        }
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
                if (!p || p->h.used)
                        continue;
                if (!w->via)
                        p->h.used = 1;
                TRY(add_waiting(w, p));
        }
        return N_OK;
}

static enum native_status sweep_waiting(struct sweep *w)
{
        while (as_cons(w->waiting)->count) {
                w->p = (struct proto *)as_cons(w->waiting)->head.o;
                w->waiting = OBJ(T_LIST, as_cons(w->waiting)->tail);
                w->at = 0;
                if (w->p->delegate.tag == T_STRING)
                        TRY(report(w, w->p->delegate, 0));
                TRY(sweep_code(w));
                TRY(add_inner(w));
        }
        return N_OK;
}

static enum native_status inspect(struct mv_rtfs *r)
{
        struct sweep *w = compile_work(r, sizeof *w);
        if (!w)
                return N_NOMEM;
        *w = (struct sweep){ .r = r,
                             .found = vec_builder(r),
                             .waiting = r->empty_list,
                             .call = native_find(r, MV_SLICE("call")),
                             .apply = native_find(r, MV_SLICE("apply")),
                             .apply_inside = native_find(r, MV_SLICE("%apply")),
                             .get_name = (uint32_t)native_find(r, MV_SLICE("%get-name")) };
        if (nomem(w->found))
                return N_NOMEM;
        for (struct cons *c = as_cons(r->forms); c->count; c = c->tail) {
                struct proto *p = (struct proto *)c->head.o;
                if (!p->h.used)
                        TRY(add_waiting(w, p));
                p->h.used = 1;
        }
        TRY(sweep_waiting(w));
        r->result = w->found;
        return N_OK;
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
