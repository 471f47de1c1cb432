/* SPDX-License-Identifier: Apache-2.0 */
/* The evaluator as the embedder sees it (rtfs.h): layout of the arena, building the library, running forms one after
 * another.
 *
 *  arena: struct mv_rtfs | globals | their names | intern buckets | pristine copy | frames | mark stack | value stack | heap
 *
 * (1) Everything a run changes outside the heap's upper part is in the pristine copy; reset puts it back.
 * (2) The library's objects end at heap.image_top and never change afterwards. */
#include <base/limits.h>
#include <rtfs/compile.h>
#include <wire/cbor.h>

static const struct native *const tables[] = { natives_core, natives_math, natives_string,
                                               natives_coll, natives_seq,  natives_misc,
                                               natives_types };

static size_t align16(size_t n)
{
        return (n + 15) & ~(size_t)15;
}

static void *carve(uint8_t **p, size_t bytes)
{
        void *at_ = *p;
        *p += align16(bytes);
        return at_;
}

#define SAVED_STRUCT_BYTES offsetof(struct mv_rtfs, arena)
#define SAVED_GLOBALS_MAX  512u

/* --- globals ---------------------------------------------------------------------------------- */
int32_t global_slot(struct mv_rtfs *r, struct name *n)
{
        if (n->global >= 0)
                return n->global;
        if (r->global_count == GLOBALS_MAX)
                return -1;
        r->global_names[r->global_count] = n;
        r->globals[r->global_count] = UNBOUND;
        return n->global = (int32_t)r->global_count++;
}

static bool define_global(struct mv_rtfs *r, struct mv_slice name, val v)
{
        struct name *n = name_intern(r, name);
        int32_t slot = n ? global_slot(r, n) : -1;
        if (slot < 0)
                return false;
        r->globals[slot] = v;
        return true;
}

int native_find(struct mv_rtfs *r, struct mv_slice name)
{
        for (uint32_t i = 0; i < r->native_count; i++)
                if (mv_slice_eq_str(name, r->natives[i]->name))
                        return (int)i;
        return -1;
}

/* --- building --------------------------------------------------------------------------------- */
static bool add_natives(struct mv_rtfs *r)
{
        for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
                for (const struct native *n = tables[t]; n->name; n++) {
                        if (r->native_count == NATIVES_MAX)
                                return false;
                        val v = { .tag = T_NATIVE, .i = r->native_count };
                        r->operators[r->native_count] = operator_of(mv_slice_str(n->name));
                        r->natives[r->native_count++] = n;
                        if (n->name[0] != '%' && !define_global(r, mv_slice_str(n->name), v))
                                return false;
                }
        return true;
}

static bool add_special_words(struct mv_rtfs *r)
{
        for (int i = 0; i < special_count(); i++) {
                struct name *n = name_intern(r, mv_slice_str(special_word(i)));
                if (!n)
                        return false;
                n->special = special_of(mv_slice_str(special_word(i)));
        }
        return true;
}

static int build_source(struct mv_rtfs *r, const char *source, const char *what, struct mv_err *err)
{
        r->building = true;
        int s = mv_rtfs_load_source(r, mv_slice_str(source), err);
        if (s == 0 && mv_rtfs_run(r) != MV_RTFS_DONE) {
                struct mv_rtfs_error e;
                mv_rtfs_error(r, &e);
                s = mv_fail(err, MV_E_INTERNAL, 0, "%s, line %u: %.*s", what, e.line,
                            MV_SARG(e.message));
        }
        r->building = false;
        return s;
}

static void layout(struct mv_rtfs *r, void *arena, size_t bytes)
{
        uint8_t *p = (uint8_t *)arena + align16(sizeof *r), *end = (uint8_t *)arena + bytes;
        r->arena = arena;
        r->arena_bytes = bytes;
        r->globals = carve(&p, GLOBALS_MAX * sizeof(val));
        r->global_names = carve(&p, GLOBALS_MAX * sizeof *r->global_names);
        r->buckets = carve(&p, NAME_BUCKETS * sizeof *r->buckets);
        r->saved = carve(&p, SAVED_STRUCT_BYTES);
        r->saved_global_values = carve(&p, SAVED_GLOBALS_MAX * sizeof(val));
        r->saved_prelude = carve(&p, SAVED_GLOBALS_MAX * sizeof(val));
        r->saved_buckets = carve(&p, NAME_BUCKETS * sizeof *r->buckets);
        /* A quarter of what is left is for calls: frames, mark stack and values in the
         * proportion 1 : 1 : 6. */
        size_t quarter = (size_t)(end - p) / 4;
        r->frames_size = (uint32_t)(quarter / 8 / sizeof(struct frame));
        if (r->frames_size > MV_CALL_DEPTH_MAX)
                r->frames_size = MV_CALL_DEPTH_MAX;
        r->frames = carve(&p, r->frames_size * sizeof(struct frame));
        r->marks_size = (uint32_t)(quarter / 8 / sizeof(struct obj *));
        if (r->marks_size > HEAP_MARKS_MAX)
                r->marks_size = HEAP_MARKS_MAX;
        r->marks = carve(&p, r->marks_size * sizeof(struct obj *));
        size_t values = quarter / 4 * 3 / sizeof(val);
        r->stack_size = values > 1u << 22 ? 1u << 22 : (uint32_t)values;
        r->stack = carve(&p, r->stack_size * sizeof(val));
        r->heap.start = r->heap.top = r->heap.image_top = r->heap.peak = p;
        r->heap.end = p + ((size_t)(end - p) & ~(size_t)15);
        r->heap.limit = r->heap.end;
}

static void apply_options(struct mv_rtfs *r, const struct mv_rtfs_options *o)
{
        r->options = o ? *o : (struct mv_rtfs_options){ 0 };
        uint64_t fuel = r->options.fuel ? r->options.fuel : MV_DEFAULT_FUEL;
        r->fuel_start = fuel > INT64_MAX ? INT64_MAX : fuel;
        r->fuel_left = (int64_t)r->fuel_start;
        fuel_next_stop(r);
        if (r->options.call_depth && r->options.call_depth < r->frames_size)
                r->frames_size = r->options.call_depth;
}

/* Most programs do without the prelude: the globals are kept without it. */
static void save(struct mv_rtfs *r)
{
        r->saved_globals = r->global_count;
        memcpy(r->saved, r, SAVED_STRUCT_BYTES);
        memcpy(r->saved_prelude, r->globals + r->prelude_from,
               (r->prelude_to - r->prelude_from) * sizeof(val));
        for (uint32_t i = r->prelude_from; i < r->prelude_to; i++)
                r->globals[i] = UNBOUND;
        memcpy(r->saved_global_values, r->globals, r->saved_globals * sizeof(val));
        memcpy(r->saved_buckets, r->buckets, NAME_BUCKETS * sizeof *r->buckets);
}

void mv_rtfs_reset(struct mv_rtfs *r, const struct mv_rtfs_options *o)
{
        for (uint32_t i = r->saved_globals; i < r->global_count; i++)
                r->global_names[i]->global = -1; /* a library name the program made global */
        memcpy(r, r->saved, SAVED_STRUCT_BYTES);
        memcpy(r->globals, r->saved_global_values, r->saved_globals * sizeof(val));
        memcpy(r->buckets, r->saved_buckets, NAME_BUCKETS * sizeof *r->buckets);
        if (o && o->prelude)
                memcpy(r->globals + r->prelude_from, r->saved_prelude,
                       (r->prelude_to - r->prelude_from) * sizeof(val));
        apply_options(r, o);
}

void mv_rtfs_continue(struct mv_rtfs *r, const struct mv_rtfs_options *o)
{
        uint32_t depth = r->options.call_depth;
        r->frame_count = r->frame_floor = r->stack_top = 0;
        r->pending = r->result = r->call_id = r->call_args = NIL;
        r->fatal = E_MAX_;
        r->fatal_pos = r->source_pos = 0;
        r->room_given = 0;
        r->call_seq = r->drawn = 0;
        r->stream = NIL;
        r->suspended = r->no_collect = r->compile_only = r->building = false;
        r->forms = r->empty_list;
        r->module_names = r->empty_map; /* a module that was not finished */
        r->undefined = NULL;
        r->interrupt = 0;
        if ((size_t)(r->heap.limit - r->heap.top) <
            HEAP_SOFT_STEP) /* reading and compiling do not collect */
                (void)heap_collect(r, HEAP_SOFT_STEP);
        r->heap.peak = r->heap.top;
        r->options = *o;
        r->options.call_depth = depth;
        uint64_t fuel = o->fuel ? o->fuel : MV_DEFAULT_FUEL;
        r->fuel_start = fuel > INT64_MAX ? INT64_MAX : fuel;
        r->fuel_left = (int64_t)r->fuel_start;
        fuel_next_stop(r);
}

static int build_library(struct mv_rtfs *r, struct mv_err *err)
{
        if (!make_empties(r))
                return mv_fail(err, MV_E_LIMIT, 0, "arena too small for the library");
        r->context = r->modules = r->module_names = r->imports = r->aliases = r->empty_map;
        r->forms = r->empty_list;
        if (!add_special_words(r) || !add_natives(r) ||
            !define_global(r, MV_SLICE("args"), r->empty_vector))
                return mv_fail(err, MV_E_LIMIT, 0, "arena too small for the library");
        int s = build_source(r, library_source, "library", err);
        if (s)
                return s;
        /* Definitions of the library are builtins to the program, not its own. */
        memset(r->overridden, 0, sizeof r->overridden);
        r->prelude_from = r->global_count;
        s = build_source(r, ccos_prelude_source, "prelude", err);
        r->prelude_to = r->global_count;
        memset(r->overridden, 0, sizeof r->overridden);
        if (s == 0 && r->global_count > SAVED_GLOBALS_MAX)
                s = mv_fail(err, MV_E_INTERNAL, 0, "library has more than %u names",
                            SAVED_GLOBALS_MAX);
        return s;
}

static int lay_out(void *arena, size_t bytes, struct mv_err *err)
{
        struct mv_rtfs *r = arena;
        if (bytes < MV_RTFS_ARENA_MIN || (uintptr_t)arena % 16)
                return mv_fail(err, MV_E_LIMIT, 0,
                               "evaluator needs an aligned arena of at least %u bytes",
                               MV_RTFS_ARENA_MIN);
        memset(r, 0, sizeof *r);
        r->pending = r->result = r->call_id = r->call_args = r->names = NIL;
        r->fatal = E_MAX_;
        layout(r, arena, bytes);
        memset(r->buckets, 0, NAME_BUCKETS * sizeof *r->buckets);
        r->fuel_left = (int64_t)MV_DEFAULT_FUEL;
        return 0;
}

int mv__rtfs_init_reader(void *arena, size_t bytes, const struct mv_rtfs_options *o,
                         struct mv_rtfs **ret, struct mv_err *err)
{
        struct mv_rtfs *r = arena;
        int s = lay_out(arena, bytes, err);
        if (s)
                return s;
        if (!make_empties(r))
                return mv_fail(err, MV_E_LIMIT, 0, "arena too small to read forms");
        r->forms = r->empty_list;
        r->options = *o;
        *ret = r;
        return 0;
}

int mv_rtfs_init(void *arena, size_t bytes, const struct mv_rtfs_options *o, struct mv_rtfs **ret,
                 struct mv_err *err)
{
        struct mv_rtfs *r = arena;
        int s = lay_out(arena, bytes, err);
        if (s == 0)
                s = build_library(r, err);
        if (s)
                return s;
        struct heap *h = &r->heap;
        h->image_top = h->peak = h->top;
        h->limit = (size_t)(h->end - h->top) > HEAP_SOFT_STEP ? h->top + HEAP_SOFT_STEP : h->end;
        r->result = r->pending = NIL;
        r->forms = r->empty_list;
        r->step_count = r->call_seq = r->drawn = 0;
        r->stream = NIL;
        r->source_pos = 0;
        save(r);
        mv_rtfs_reset(r, o);
        *ret = r;
        return 0;
}

/* --- inputs ----------------------------------------------------------------------------------- */
static int decode_input(struct mv_rtfs *r, struct mv_slice cbor, val *ret, struct mv_err *err)
{
        bool outer = r->no_collect;
        r->no_collect = true;
        enum native_status s = decode_value(r, cbor, ret, err);
        r->no_collect = outer;
        if (s == N_OK)
                return 0;
        return s == N_ERROR ? -(int)err->code
                            : mv_fail(err, MV_E_LIMIT, 0, "arena too small for the input");
}

int mv_rtfs_set_args(struct mv_rtfs *r, struct mv_slice cbor_array, struct mv_err *err)
{
        val v;
        int s = decode_input(r, cbor_array, &v, err);
        if (s == 0 && v.tag != T_VECTOR)
                return MV_HOSTILE(err, "args: not an array");
        if (s == 0 && !define_global(r, MV_SLICE("args"), v))
                return mv_fail(err, MV_E_LIMIT, 0, "arena too small for the input");
        return s;
}

int mv_rtfs_set_context(struct mv_rtfs *r, struct mv_slice cbor_map, struct mv_err *err)
{
        val v;
        int s = decode_input(r, cbor_map, &v, err);
        if (s == 0 && v.tag != T_MAP)
                return MV_HOSTILE(err, "context: not a map");
        if (s == 0)
                r->context = v;
        return s;
}

/* Names the program defines are never inlined, wherever the definition stands. */
static void note_definitions(struct mv_rtfs *r, val form, int depth)
{
        if (form.tag == T_VECTOR && depth < 200)
                for (uint32_t i = 0; i < vec_count(form); i++)
                        note_definitions(r, vec_at(form, i), depth + 1);
        if (form.tag != T_LIST || !len(form) || depth >= 200)
                return;
        if (is_symbol(at(form, 0), "def") || is_symbol(at(form, 0), "defn")) {
                for (uint32_t i = 1; i < len(form) && i < 4; i++) {
                        val name = at(form, i);
                        if (name.tag != T_SYMBOL)
                                continue;
                        int32_t slot = as_name(name)->global;
                        if (slot >= 0)
                                r->overridden[slot / 8] |= (uint8_t)(1u << (slot % 8));
                        break;
                }
        }
        for (struct cons *c = as_cons(form); c->count; c = c->tail)
                note_definitions(r, c->head, depth + 1);
}

void take_forms(struct mv_rtfs *r, val forms)
{
        r->source_pos = 0;
        r->forms = forms;
        if (!r->building)
                note_definitions(r, forms, 0);
}

int mv_rtfs_load_source(struct mv_rtfs *r, struct mv_slice source, struct mv_err *err)
{
        val forms;
        (void)err;
        r->no_collect = true;
        enum native_status s = read_source(r, source, &forms);
        r->no_collect = false;
        if (s == N_NOMEM)
                raise_memory(r, "the source does not fit");
        if (s != N_OK)
                return 0; /* an error of the program: run reports it */
        take_forms(r, forms);
        return 0;
}

/* --- running ---------------------------------------------------------------------------------- */
static enum native_status splice_do(struct mv_rtfs *r, val form, val rest)
{ /* (do a b) at top level is a, then b: a macro defined in it acts on what follows */
        struct cons *items = as_cons(rest_of(form, 1)), *first = as_cons(rest), **link = &first;
        if (!items->count) {
                r->forms = list_cons(r, NIL, rest);
                return nomem(r->forms) ? N_NOMEM : N_OK;
        }
        for (; items->count; items = items->tail) {
                val cell = list_cons(r, items->head, rest);
                if (nomem(cell))
                        return N_NOMEM;
                as_cons(cell)->count += items->count - 1;
                *link = as_cons(cell);
                link = &as_cons(cell)->tail;
        }
        r->forms = OBJ(T_LIST, first);
        return N_OK;
}

bool mv_rtfs_failed(const struct mv_rtfs *r)
{
        return r->fatal != E_MAX_ || r->pending.tag == T_ERROR;
}

enum native_status compile_next_form(struct mv_rtfs *r, struct proto **ret)
{
        val form = at(r->forms, 0), rest = rest_of(r->forms, 1);
        *ret = NULL;
        r->source_pos = 0;
        if (form.tag == T_LIST && len(form) && is_symbol(at(form, 0), "do"))
                return splice_do(r, form, rest);
        enum native_status s = compile_form(r, form, ret);
        r->source_pos = 0;
        if (s == N_OK)
                r->forms = rest;
        return s;
}

static enum native_status next_form(struct mv_rtfs *r)
{
        val form = at(r->forms, 0);
        struct proto *p = NULL;
        enum native_status s = N_OK;
        r->stack_top = 0;
        r->source_pos = 0;
        r->no_collect = true;
        if (form.tag == T_PROTO) { /* of a compiled program */
                p = (struct proto *)form.o;
                r->forms = rest_of(r->forms, 1);
        } else {
                s = compile_next_form(r, &p);
        }
        if (s == N_OK && p)
                s = vm_start(r, p);
        r->no_collect = false;
        return s == N_NOMEM ? raise_memory(r, "compiling: the program is too large for this cell")
                            : s;
}

enum mv_rtfs_status mv_rtfs_run(struct mv_rtfs *r)
{
        while (r->fatal == E_MAX_) {
                enum native_status s;
                if (r->interrupt)
                        s = charge(r, 0); /* a form that runs nothing would not see it */
                else if (r->frame_count)
                        s = vm_resume(r);
                else if (r->pending.tag == T_ERROR)
                        return MV_RTFS_ERROR;
                else if (len(r->forms) == 0)
                        return MV_RTFS_DONE;
                else
                        s = next_form(r);
                if (s == N_CALL) {
                        r->call_seq++;
                        r->suspended = true;
                        return MV_RTFS_CALL;
                }
                if (s == N_ERROR || s == N_FATAL)
                        r->frame_count = 0;
                if (s == N_NOMEM)
                        raise_memory(r, "the program's values do not fit");
        }
        return MV_RTFS_ERROR;
}

/* Values come from outside while frames wait: a first failure collects what the program no longer needs, a second one
 * may use the whole heap. */
static enum native_status decode_reply(struct mv_rtfs *r, struct mv_slice cbor, val *ret,
                                       struct mv_err *err)
{
        enum native_status s = decode_value(r, cbor, ret, err);
        if (s != N_NOMEM)
                return s;
        heap_collect(r, 0);
        r->heap.limit = r->heap.end;
        return decode_value(r, cbor, ret, err);
}

int mv_rtfs_reply(struct mv_rtfs *r, struct mv_slice cbor, struct mv_err *err)
{
        val v;
        if (!r->suspended)
                return mv_fail(err, MV_E_STATE, 0, "no host call is waiting for a reply");
        r->suspended = false;
        enum native_status s = decode_reply(r, cbor, &v, err);
        /* the program's doing: it handed out a function and got it back */
        if (s == N_ERROR && err->code == MV_E_PROGRAM) {
                const struct mv_rtfs_fault fault = {
                        .kind = MV_SLICE("TypeError"),
                        .message = MV_SLICE(
                                "Type error in call: expected data in the reply, got function"),
                };
                r->suspended = true;
                mv_rtfs_fault(r, &fault);
                return 0;
        }
        if (s == N_ERROR)
                return -(int)err->code;
        if (s == N_OK)
                r->stack[r->call_reg] = v;
        else
                raise_memory(r, "a host call's reply does not fit");
        return 0;
}

static bool fill_fault(struct mv_rtfs *r, const struct mv_rtfs_fault *f)
{
        val e = error_new(r, error_kind_of(f->kind), f->message, NIL);
        val name = string_new(r, f->kind), operation = string_new(r, f->operation);
        val capability = string_new(r, f->capability), context = string_new(r, f->context);
        if (nomem(e) || nomem(name) || nomem(operation) || nomem(capability) || nomem(context))
                return false;
        struct error *x = as_error(e);
        x->name = x->kind == E_OTHER ? name : NIL;
        if (x->kind == E_SECURITY) {
                x->operation = operation;
                x->capability = capability;
                x->context = context;
        }
        r->pending = e;
        return true;
}

void mv_rtfs_fault(struct mv_rtfs *r, const struct mv_rtfs_fault *f)
{
        if (!r->suspended)
                return;
        r->suspended = false;
        if (fill_fault(r, f))
                return;
        heap_collect(r, 0);
        r->heap.limit = r->heap.end;
        if (!fill_fault(r, f))
                raise_memory(r, "a host call's error does not fit");
}

void mv_rtfs_stop(struct mv_rtfs *r)
{
        r->suspended = false;
        r->interrupt = 1;
        r->fuel_stop = INT64_MAX;
}

void mv_rtfs_interrupt(struct mv_rtfs *r)
{
        r->interrupt = 1;
        r->fuel_stop = INT64_MAX;
}

/* --- results ---------------------------------------------------------------------------------- */
bool mv_rtfs_encode_result(struct mv_rtfs *r, struct mv_out *o)
{
        return encode_value(o, r->result);
}
bool mv_rtfs_display_result(struct mv_rtfs *r, struct mv_out *o)
{
        return print_display(o, r->result, NULL);
}
const char *mv_rtfs_result_type(struct mv_rtfs *r)
{
        return type_name(r->result);
}
struct mv_slice mv_rtfs_call_id(struct mv_rtfs *r)
{
        return string_slice(r->call_id);
}
uint64_t mv_rtfs_call_seq(struct mv_rtfs *r)
{
        return r->call_seq;
}
bool mv_rtfs_encode_call_args(struct mv_rtfs *r, struct mv_out *o)
{
        return encode_value(o, r->call_args);
}

static struct mv_slice text_of(val v)
{
        return v.tag == T_STRING ? string_slice(v) : MV_SLICE("");
}

#define UNDEFINED "Undefined symbol: "

static struct mv_slice hint_of(struct mv_rtfs *r, const struct error *e)
{
        struct mv_slice text = text_of(e->display);
        size_t skip = sizeof UNDEFINED - 1;
        if (e->kind != E_UNDEFINED || !mv_slice_starts(text, UNDEFINED))
                return MV_SLICE("");
        struct mv_slice near = nearest_name(r, mv_slice(text.p + skip, text.len - skip));
        if (!near.len)
                return near;
        mv_fmt(r->hint_text, sizeof r->hint_text, "did you mean %.*s?", MV_SARG(near));
        return mv_slice_str(r->hint_text);
}

void mv_rtfs_error(struct mv_rtfs *r, struct mv_rtfs_error *ret)
{
        *ret = (struct mv_rtfs_error){ .kind = MV_SLICE("InternalError") };
        if (r->fatal != E_MAX_) {
                const struct error e = { .kind = (uint16_t)r->fatal };
                ret->kind = mv_slice_str(error_kind_name(&e));
                ret->message = mv_slice_str(r->fatal_text);
                return;
        }
        if (r->pending.tag != T_ERROR)
                return;
        const struct error *e = as_error(r->pending);
        ret->kind = e->kind == E_OTHER ? text_of(e->name) : mv_slice_str(error_kind_name(e));
        ret->message = text_of(e->display);
        ret->operation = text_of(e->operation);
        ret->capability = text_of(e->capability);
        ret->context = text_of(e->context);
        ret->line = e->pos >> POS_COLUMN_BITS;
        ret->column = e->pos & POS_COLUMN_MASK;
        ret->hint = hint_of(r, e);
}

uint64_t mv_rtfs_fuel_used(const struct mv_rtfs *r)
{
        return r->fuel_start - (uint64_t)(r->fuel_left < 0 ? 0 : r->fuel_left);
}
uint64_t mv_rtfs_memory_peak(const struct mv_rtfs *r)
{
        const uint8_t *top = r->heap.top > r->heap.peak ? r->heap.top : r->heap.peak;
        return (uint64_t)(top - r->heap.start);
}
size_t mv_rtfs_memory_used(const struct mv_rtfs *r)
{
        return mv_rtfs_memory_peak(r);
}
