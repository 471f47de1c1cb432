/* SPDX-License-Identifier: Apache-2.0 */
/* RTFS text of an agent.config.
 *
 * (1) Data is taken as it stands and never runs: a map, or (agent.config ...) with nothing but data in it.
 * (2) Anything else (definitions, profile:... calls, merges) is evaluated without capabilities, within a fixed arena and
 *     a fixed number of steps; the value of the last form is the configuration (REQ-AC-16, -17).
 * (3) What a value was computed from has no place; it gets the place of the innermost form that was written for it. */
#include <base/slice.h>
#include <config/forms.h>
#include <security/lexical.h>
#include <stdlib.h>
#include <wire/cbor.h>

#define EVALUATOR_BYTES  ((size_t)8 << 20)
#define EVALUATOR_FUEL   2000000u /* the profiles take under 2,000 */
#define WRITTEN_KEYS_MAX 8192     /* larger maps only know where they begin */
#define RESULT_BYTES_MAX ((size_t)1 << 20)

struct mv_agent_evaluator {
        void *arena, *scratch; /* scratch: of the reader, before, and of the result, behind */
        size_t scratch_bytes;
        struct mv_rtfs *rtfs; /* NULL: not made yet */
};

/* 16-byte aligned; NULL: no memory. What was in it is gone. */
static void *scratch(struct mv_agent_evaluator *e, size_t bytes)
{
        if (bytes <= e->scratch_bytes)
                return e->scratch;
        free(e->scratch);
        e->scratch = aligned_alloc(16, (bytes + 15) & ~(size_t)15);
        e->scratch_bytes = e->scratch ? bytes : 0;
        return e->scratch;
}

static int syntax_error(struct mv_syntax_error *ret, const struct mv_form *at, struct mv_err *err,
                        const char *message)
{
        *ret = (struct mv_syntax_error){ .line = at ? at->line : 0, .column = at ? at->column : 0 };
        mv_fmt(ret->message, sizeof ret->message, "%s", message);
        return mv_fail(err, MV_E_INVALID, 0, "%s", message);
}

static bool is_symbol(const struct mv_form *f, const char *name)
{
        return f->kind == MV_SYMBOL && mv_slice_eq_str(f->text, name);
}

static bool is_data(const struct mv_form *f)
{
        if (f->kind == MV_SYMBOL || f->kind == MV_LIST)
                return false;
        if (f->kind == MV_VECTOR || f->kind == MV_MAP)
                for (uint32_t i = 0; i < f->count; i++)
                        if (!is_data(&f->items[i]))
                                return false;
        return true;
}

static bool is_written_out(const struct mv_form *f)
{
        if (f->kind != MV_LIST || f->count == 0 || !is_symbol(&f->items[0], "agent.config"))
                return f->kind == MV_MAP && is_data(f);
        for (uint32_t i = 1; i < f->count; i++)
                if (!is_data(&f->items[i]))
                        return false;
        return true;
}

/* --- values back to forms --------------------------------------------------------------------- */
struct giving {
        struct mv_arena *arena;
        bool full;
};

static struct mv_form give(struct giving *g, const struct mv_value *v, const struct mv_form *shadow,
                           const struct mv_form *outer);

static bool same_key(const struct mv_form *f, const struct mv_value *key)
{
        return ((f->kind == MV_KEYWORD && key->kind == MV_KEYWORD) ||
                (f->kind == MV_STRING && key->kind == MV_STRING)) &&
               mv_slice_eq(f->text, key->text);
}

/* The next key at or behind `from` that was written like this one, or the count. */
static uint32_t written_key(const struct mv_form *shadow, const struct mv_value *key, uint32_t from)
{
        while (from < shadow->count && !same_key(&shadow->items[from], key))
                from += 2;
        return from;
}

/* A key that was written twice is given twice, with the value that counts: the binder tells
 * about it. */
static void give_map(struct giving *g, const struct mv_value *v, const struct mv_form *shadow,
                     struct mv_form *ret)
{
        static const struct mv_form nothing = { .kind = MV_MAP };
        bool is_map = shadow && shadow->kind == MV_MAP && shadow->count <= WRITTEN_KEYS_MAX;
        const struct mv_form *keys = is_map ? shadow : &nothing;
        struct mv_form *items =
                mv_new(g->arena, struct mv_form, 2 * (size_t)v->count + keys->count + 1);
        if (!items) {
                g->full = true;
                return;
        }
        ret->items = items;
        for (uint32_t i = 0; i < v->count; i++) {
                const struct mv_value *key = &v->entries[i].key;
                uint32_t at = written_key(keys, key, 0), last = at;
                for (uint32_t k = at; k < keys->count; k = written_key(keys, key, k + 2))
                        last = k;
                const struct mv_form *written = last < keys->count ? &keys->items[last] : NULL;
                struct mv_form value =
                        give(g, &v->entries[i].value, written ? written + 1 : NULL, ret);
                do {
                        *items++ = give(g, key, at < keys->count ? &keys->items[at] : NULL, ret);
                        *items++ = value;
                        at = written_key(keys, key, at + 2);
                } while (at < keys->count);
        }
        ret->count = (uint32_t)(items - ret->items);
}

static void give_sequence(struct giving *g, const struct mv_value *v, const struct mv_form *shadow,
                          struct mv_form *ret)
{
        struct mv_form *items = mv_new(g->arena, struct mv_form, (size_t)v->count + 1);
        if (!items) {
                g->full = true;
                return;
        }
        /* (agent.config ...) gives a list with one value for each of its forms. */
        bool alike = shadow && shadow->count == v->count &&
                     (shadow->kind == MV_VECTOR ||
                      (shadow->kind == MV_LIST && is_symbol(&shadow->items[0], "agent.config")));
        for (uint32_t i = 0; i < v->count; i++)
                items[i] = give(g, &v->items[i], alike ? &shadow->items[i] : NULL, ret);
        ret->items = items;
        ret->count = v->count;
}

static struct mv_form give(struct giving *g, const struct mv_value *v, const struct mv_form *shadow,
                           const struct mv_form *outer)
{
        const struct mv_form *place = shadow ? shadow : outer;
        struct mv_form f = { .kind = v->kind, .line = place->line, .column = place->column };
        if (v->kind == MV_BOOL)
                f.boolean = v->boolean;
        else if (v->kind == MV_INT)
                f.integer = v->integer;
        else if (v->kind == MV_FLOAT)
                f.real = v->real;
        else if (v->kind == MV_STRING || v->kind == MV_KEYWORD || v->kind == MV_SYMBOL)
                f.text = v->text;
        else if (v->kind == MV_MAP)
                give_map(g, v, shadow, &f);
        else if (v->kind == MV_VECTOR || v->kind == MV_LIST)
                give_sequence(g, v, shadow, &f);
        else
                f.kind = MV_NIL; /* functions and errors configure nothing */
        return f;
}

/* --- evaluation ------------------------------------------------------------------------------- */
struct evaluation {
        struct mv_agent_evaluator *evaluator;
        struct mv_arena *arena;
        const char *above;          /* what stands before the text */
        const struct mv_form *last; /* the form whose value it is */
        bool alone;                 /* there is no other */
        struct mv_syntax_error *ret_error;
        struct mv_err *err;
};

static uint32_t lines_of(const char *s)
{
        uint32_t n = 0;
        for (; *s; s++)
                n += *s == '\n';
        return n;
}

/* A call of something nobody defined is no configuration at all. */
static bool is_unknown_head(const struct evaluation *e, const struct mv_rtfs_error *error)
{
        const struct mv_form *f = e->last;
        char message[300], name[100];
        if (!e->alone || f->kind != MV_LIST || f->count == 0 || f->items[0].kind != MV_SYMBOL)
                return false;
        mv_fmt(message, sizeof message, "%.*s", MV_SARG(error->message));
        mv_fmt(name, sizeof name, "%.*s", MV_SARG(f->items[0].text));
        return strstr(message, "ndefined") && strstr(message, name);
}

static int failed(const struct evaluation *e, const struct mv_rtfs_error *error)
{
        uint32_t above = lines_of(mv__head_source) + lines_of(e->above);
        char shown[260];
        if (is_unknown_head(e, error))
                return syntax_error(e->ret_error, e->last, e->err,
                                    "Expected agent.config function call");
        struct mv_form place = { .line = e->last->line, .column = e->last->column };
        if (error->line > above) {
                place.line = error->line - above;
                place.column = error->column;
        }
        mv__show(shown, sizeof shown, error->message);
        return syntax_error(e->ret_error, &place, e->err, shown);
}

static int take_result(const struct evaluation *e, struct mv_form *ret)
{
        uint8_t *buf = scratch(e->evaluator, RESULT_BYTES_MAX);
        struct mv_out o = mv_out(buf, RESULT_BYTES_MAX);
        const struct mv_value *decoded, *v = NULL;
        struct giving g = { .arena = e->arena };
        if (!buf)
                return mv_fail(e->err, MV_E_NOMEM, 0, "evaluate the configuration");
        if (!mv_rtfs_encode_result(e->evaluator->rtfs, &o))
                return syntax_error(e->ret_error, e->last, e->err,
                                    "The value is too large for a configuration");
        int s = mv_value_decode(mv_out_slice(&o), e->arena, &decoded, e->err);
        if (s == 0)
                v = mv_value_copy(decoded, e->arena); /* texts leave buf */
        if (s < 0)
                return s;
        if (v)
                *ret = give(&g, v, e->last, e->last);
        return v && !g.full ? 0 : mv_fail(e->err, MV_E_LIMIT, 0, "the configuration is too large");
}

static int run(const struct evaluation *e, struct mv_slice source, struct mv_form *ret)
{
        struct mv_rtfs *r = e->evaluator->rtfs;
        struct mv_rtfs_error error;
        int s = mv_rtfs_load_source(r, source, e->err);
        if (s < 0)
                return s;
        switch (mv_rtfs_run(r)) {
        case MV_RTFS_DONE:
                return take_result(e, ret);
        case MV_RTFS_CALL:
                return syntax_error(e->ret_error, e->last, e->err,
                                    "A configuration cannot call capabilities");
        case MV_RTFS_ERROR:
                break;
        }
        mv_rtfs_error(r, &error);
        return failed(e, &error);
}

struct mv_agent_evaluator *mv_agent_evaluator_new(struct mv_err *err)
{
        struct mv_agent_evaluator *e = calloc(1, sizeof *e);
        if (!e)
                (void)mv_fail(err, MV_E_NOMEM, 0, "evaluate the configuration");
        return e;
}

struct mv_agent_evaluator *mv_agent_evaluator_free(struct mv_agent_evaluator *e)
{
        if (!e)
                return NULL;
        free(e->arena);
        free(e->scratch);
        free(e);
        return NULL;
}

/* As new, whatever ran in it. */
static int prepare(struct mv_agent_evaluator *e, struct mv_err *err)
{
        static const struct mv_rtfs_options options = { .fuel = EVALUATOR_FUEL,
                                                        .call_depth = 1000,
                                                        .config_text = true };
        if (e->rtfs) {
                mv_rtfs_reset(e->rtfs, &options);
                return 0;
        }
        if (!e->arena)
                e->arena = aligned_alloc(16, EVALUATOR_BYTES);
        return e->arena ? mv_rtfs_init(e->arena, EVALUATOR_BYTES, &options, &e->rtfs, err)
                        : mv_fail(err, MV_E_NOMEM, 0, "evaluate the configuration");
}

static int evaluate(struct evaluation *e, struct mv_slice text, struct mv_form *ret)
{
        int s = prepare(e->evaluator, e->err);
        if (s < 0)
                return s;
        e->above = memmem(text.p, text.len, "profile:", 8) ? mv__profiles_source : "";
        size_t head = strlen(mv__head_source), above = strlen(e->above);
        uint8_t *source = malloc(head + above + text.len);
        if (!source)
                return mv_fail(e->err, MV_E_NOMEM, 0, "evaluate the configuration");
        memcpy(source, mv__head_source, head);
        memcpy(source + head, e->above, above);
        memcpy(source + head + above, text.p, text.len);
        s = run(e, mv_slice(source, head + above + text.len), ret);
        free(source);
        return s;
}

/* --- reading ---------------------------------------------------------------------------------- */
static int read_forms(struct mv_slice text, const struct mv_agent_reading *how, struct mv_form *ret,
                      struct mv_err *err)
{
        size_t bytes = (MV_RTFS_READ_ARENA_BYTES(text.len) + 15) & ~(size_t)15;
        void *memory = scratch(how->evaluator, bytes);
        struct mv_rtfs_error error = { 0 };
        if (!memory)
                return mv_fail(err, MV_E_NOMEM, 0, "read the configuration");
        int s = mv_rtfs_read_forms(memory, bytes, text, how->arena, ret, &error, err);
        if (s == -(int)MV_E_INVALID) {
                struct mv_form at = { .line = error.line, .column = error.column };
                char shown[260];
                mv__show(shown, sizeof shown, error.message);
                syntax_error(how->ret_error, &at, err, shown);
        }
        return s;
}

static int check_top(const struct mv_form *f, struct mv_syntax_error *ret_error, struct mv_err *err)
{
        if (f->kind == MV_MAP)
                return 0;
        if (f->kind != MV_LIST)
                return syntax_error(ret_error, f, err,
                                    "Expected agent.config list, function call, or map");
        if (f->count == 0 || !is_symbol(&f->items[0], "agent.config"))
                return syntax_error(ret_error, f, err, "Expected (agent.config ...) form");
        if (f->count % 2 == 0)
                return syntax_error(ret_error, f, err, "Odd number of elements in agent.config");
        return 0;
}

static int read_agent(struct mv_slice text, const struct mv_agent_reading *how, struct mv_form *ret,
                      struct mv_err *err)
{
        struct mv_form forms, f;
        int s = read_forms(text, how, &forms, err);
        if (s < 0)
                return s;
        if (forms.count == 0)
                return syntax_error(how->ret_error, NULL, err,
                                    "Expected agent.config list, function call, or map");
        f = forms.items[forms.count - 1];
        bool call = f.kind == MV_LIST && f.count && f.items[0].kind == MV_SYMBOL;
        if (forms.count > 1 || (!is_written_out(&f) && (call || f.kind == MV_MAP))) {
                struct evaluation e = { .evaluator = how->evaluator,
                                        .arena = how->arena,
                                        .last = &forms.items[forms.count - 1],
                                        .alone = forms.count == 1,
                                        .ret_error = how->ret_error,
                                        .err = err };
                s = evaluate(&e, text, &f);
        }
        if (s == 0)
                s = check_top(&f, how->ret_error, err);
        if (s == 0)
                *ret = f;
        return s;
}

int mv__read_agent(struct mv_slice text, const struct mv_agent_reading *how, struct mv_form *ret,
                   struct mv_err *err)
{
        struct mv_agent_evaluator own = { 0 };
        struct mv_agent_reading with = { how->arena, how->evaluator ? how->evaluator : &own,
                                         how->ret_error };
        int s = read_agent(text, &with, ret, err);
        free(own.arena);
        free(own.scratch);
        return s;
}
