/* SPDX-License-Identifier: Apache-2.0 */
/* Frames that are not calls: STEP, LOG, and how the program ended. */
#include <broker/internal.h>
#include <wire/cbor.h>

/* An error message of a program is for people; longer ones are cut. */
#define MESSAGE_BYTES_MAX (16u << 10)
#define HINT_BYTES_MAX    128u

/* --- STEP ------------------------------------------------------------------------------------- */
/* One letter per item behind the event's name, those behind | may be missing: t text, b boolean, k text or keyword or symbol, * anything, s array of
 * texts or nil. The list of wire/frame.h. */
static const struct {
        const char *event, *items;
} step_shapes[] = {
        { "step-started", "k|*" }, { "step-completed", "t*" }, { "step-failed", "tt" },
        { "expose", "bs" },        { "clear-expose", "" },     { "ctx-set", "k*" },
        { "hint", "k*" },          { "clear-hints", "" },
};

static const char *shape_of(struct mv_slice event)
{
        for (size_t i = 0; i < sizeof step_shapes / sizeof step_shapes[0]; i++)
                if (mv_slice_eq_str(event, step_shapes[i].event))
                        return step_shapes[i].items;
        return NULL;
}

static bool is_text_list(const struct mv_value *v)
{
        struct mv_slice s;
        if (v->kind == MV_NIL)
                return true;
        for (uint32_t i = 0; v->kind == MV_VECTOR && i < v->count; i++)
                if (!mv_as_text(&v->items[i], &s))
                        return false;
        return v->kind == MV_VECTOR;
}

static bool item_fits(char letter, const struct mv_value *v)
{
        struct mv_slice s;
        switch (letter) {
        case 't':
                return v->kind == MV_STRING;
        case 'b':
                return v->kind == MV_BOOL;
        case 'k':
                return mv_as_text(v, &s);
        case 's':
                return is_text_list(v);
        default:
                return letter == '*';
        }
}

static int check_step(const struct mv_value *v, struct mv_err *err)
{
        if (v->kind != MV_VECTOR || v->count == 0 || v->items[0].kind != MV_STRING)
                return MV_HOSTILE(err, "STEP: not an event");
        const char *shape = shape_of(v->items[0].text);
        if (!shape)
                return MV_HOSTILE(err, "STEP: unknown event");
        uint32_t i = 1;
        for (; *shape; shape++) {
                if (*shape == '|' && i == v->count)
                        return 0;
                if (*shape == '|')
                        continue;
                if (i == v->count)
                        break;
                if (!item_fits(*shape, &v->items[i++]))
                        return MV_HOSTILE(err, "STEP: type of an item");
        }
        return *shape || i < v->count ? MV_HOSTILE(err, "STEP: number of items") : 0;
}

/* A step that begins behind another wall says so, in the part of its record that no root depends on. */
static int record_step(struct mv_broker *b, struct mv_slice payload, const struct mv_value *event,
                       struct mv_err *err)
{
        uint8_t buf[128];
        struct mv_out o = mv_out(buf, sizeof buf);
        uint32_t wall = mv__step_wall(b, event);
        if (wall == b->steps.wall)
                return mv__record(b, MV_REC_STEP, payload, mv_slice(NULL, 0), err);
        mv_cbor_put_map(&o, 2);
        mv_cbor_put_str(&o, "tier");
        mv_cbor_put_str(&o, mv_tier_name(b->o.walls[wall].tier));
        mv_cbor_put_str(&o, "provider");
        mv_cbor_put_str(&o, b->o.walls[wall].provider);
        return mv__record(b, MV_REC_STEP, payload, mv_out_slice(&o), err);
}

/* [nil nil nil true error]: wire/frame.h */
static int refuse_step(struct mv_broker *b, enum mv_tier tier, struct mv_err *err)
{
        char text[200];
        uint8_t buf[600];
        struct mv_out o = mv_out(buf, sizeof buf);
        mv_fmt(text, sizeof text,
               "Security violation: a step demands isolation-level %s, and the session's wall is "
               "tier %s: "
               "open the session with --min-tier %s",
               mv_tier_name(tier), mv_tier_name(b->o.tier), mv_tier_name(tier));
        mv_cbor_put_array(&o, 5);
        for (int i = 0; i < 3; i++)
                mv_cbor_put_null(&o);
        mv_cbor_put_bool(&o, true);
        mv_cbor_put_array(&o, 8);
        mv_cbor_put_str(&o, "SecurityViolation");
        mv_cbor_put_str(&o, text);
        mv_cbor_put_str(&o, text);
        mv_cbor_put_null(&o);
        mv_cbor_put_str(&o, "step");
        mv_cbor_put_str(&o, "");
        mv_cbor_put_str(&o, "isolation-level");
        mv_cbor_put_int(&o, 0);
        return mv__reply_raw(b, MV_FRAME_LEAVE, 0, mv_out_slice(&o), err);
}

static int step_event(struct mv_broker *b, struct mv_slice payload, const struct mv_value *v,
                      bool entered, struct mv_err *err)
{
        int r = mv__take_hint(b, v, err);
        if (r == 0)
                r = mv__take_step(b, v, err);
        if (r == 0)
                r = record_step(b, payload, v, err);
        if (r == 0)
                r = mv__step_event(b, v, err);
        if (r == 0)
                mv__exposed_event(b, v, entered);
        return r;
}

/* Who only tells of a step behind another wall does not wait for somebody else to run it. */
static int tell_step(struct mv_broker *b, struct mv_slice payload, const struct mv_value *v,
                     struct mv_err *err)
{
        if (mv__step_wall(b, v) != b->steps.wall)
                return MV_HOSTILE(err, "STEP: a step that runs behind another wall is not entered");
        return step_event(b, payload, v, false, err);
}

static int enter_step(struct mv_broker *b, struct mv_slice payload, const struct mv_value *v,
                      struct mv_err *err)
{
        static const uint8_t here[] = { 0xf4 }; /* false: and nobody waits for its end */
        if (!mv_slice_eq_str(v->items[0].text, "step-started") || v->count != 3)
                return MV_HOSTILE(err, "ENTER: not the beginning of a step that demands something");
        enum mv_tier unmet = mv__step_unmet(b, v);
        if (unmet)
                return refuse_step(b, unmet, err);
        int r = step_event(b, payload, v, true, err);
        return r < 0 ? r : mv__reply_raw(b, MV_FRAME_ENTER, 0, mv_slice(here, sizeof here), err);
}

static int take_step(struct mv_broker *b, struct mv_slice payload,
                     int (*take)(struct mv_broker *b, struct mv_slice payload,
                                 const struct mv_value *v, struct mv_err *err),
                     struct mv_err *err)
{
        struct mv_arena arena = mv_arena_grow(b->limits.memory_bytes_max);
        const struct mv_value *v;
        int r = mv_value_decode(payload, &arena, &v, err);
        if (r == 0)
                r = check_step(v, err);
        if (r == 0)
                r = take(b, payload, v, err);
        mv_arena_done(&arena);
        return r;
}

int mv__on_step(struct mv_broker *b, struct mv_slice payload, struct mv_err *err)
{
        return take_step(b, payload, tell_step, err);
}

int mv__on_enter(struct mv_broker *b, struct mv_slice payload, struct mv_err *err)
{
        return take_step(b, payload, enter_step, err);
}

/* --- LOG -------------------------------------------------------------------------------------- */
/* Diagnostics of the runner: kept as far as they fit, never a reason to stop. */
int mv__on_log(struct mv_broker *b, struct mv_slice payload, struct mv_err *err)
{
        struct mv_cur c = mv_cur(payload);
        struct mv_cbor_item item;
        int r = mv_cbor_next(&c, &item, err);
        if (r < 0)
                return r;
        if (item.kind != MV_CBOR_TEXT || !mv_cur_done(&c))
                return MV_HOSTILE(err, "LOG: not one text");
        mv__write_output(b, true, item.text);
        return 0;
}

/* --- the end ---------------------------------------------------------------------------------- */
/* NUL-terminated copy, at most max bytes, without NUL inside; "" when memory is full. */
static const char *keep_text(struct mv_broker *b, struct mv_slice s, size_t max)
{
        size_t len = s.len < max ? s.len : max;
        char *p = mv_new(&b->kept, char, len + 1);
        if (!p)
                return "";
        for (size_t i = 0; i < len; i++)
                p[i] = s.p[i] ? (char)s.p[i] : '?';
        if (len < s.len)
                mv_text_make_utf8(p);
        return p;
}

static void end_with(struct mv_broker *b, enum mv_termination how, const char *kind,
                     const char *message)
{
        struct mv_broker_outcome *o = &b->outcome;
        o->outcome_known = true;
        o->ok = how == MV_END_COMPLETED;
        o->termination = how;
        o->error = (struct mv_program_error){ kind, message, "", "", "", "", 0, 0 };
        b->closed = true;
}

static void end_output(struct mv_broker *b, size_t bytes)
{
        char text[160];
        mv_fmt(text, sizeof text,
               "the result is %zu bytes, the output limit is %lu; raise --max-output", bytes,
               (unsigned long)b->limits.output_bytes_max);
        end_with(b, MV_END_OUTPUT, "OutputExhausted",
                 keep_text(b, mv_slice_str(text), sizeof text));
}

/* The frame's bytes are gone after this call, the value stays: it points into a copy. */
static int keep_value(struct mv_broker *b, struct mv_slice raw, struct mv_err *err)
{
        uint8_t *copy = mv_new(&b->kept, uint8_t, raw.len + 1);
        if (!copy)
                return mv_fail(err, MV_E_LIMIT, 0, "RESULT: memory");
        memcpy(copy, raw.p, raw.len);
        return mv_value_decode(mv_slice(copy, raw.len), &b->kept, &b->outcome.value, err);
}

int mv__on_result(struct mv_broker *b, struct mv_slice payload, struct mv_err *err)
{
        struct field f[] = { { "fuel", true }, { "value", true }, { "memory", true } };
        int r = mv__fields_read(payload, f, 3, err);
        if (r == 0)
                r = mv__field_count(&f[0], &b->outcome.fuel, err);
        if (r == 0)
                r = mv__field_count(&f[2], &b->outcome.guest_memory_bytes, err);
        if (r < 0)
                return r;
        size_t bytes = f[1].raw.len;
        if (bytes <= b->limits.output_bytes_max) {
                r = keep_value(b, f[1].raw, err);
                if (r == 0)
                        end_with(b, MV_END_COMPLETED, "", "");
                if (r != -(int)MV_E_LIMIT)
                        return r;
        }
        b->outcome.value = NULL;
        end_output(b, bytes);
        return 0;
}

static enum mv_termination termination_of(struct mv_slice kind)
{
        static const struct {
                const char *kind;
                enum mv_termination how;
        } rows[] = {
                { "FuelExhausted", MV_END_FUEL },
                { "MemoryExhausted", MV_END_MEMORY },
                { "OutputExhausted", MV_END_OUTPUT },
                { "SecurityViolation", MV_END_DENIED },
        };
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
                if (mv_slice_eq_str(kind, rows[i].kind))
                        return rows[i].how;
        return MV_END_ERROR;
}

static const char *hint_of(const struct mv_broker *b, const struct mv_program_error *e)
{
        uint32_t kept = b->denials < DENIALS_KEPT ? b->denials : DENIALS_KEPT;
        if (!b->denied)
                return "";
        for (uint32_t i = 1; i <= kept; i++) {
                const struct denial *d = &b->denied[(b->denials - i) % DENIALS_KEPT];
                if (strcmp(d->operation, e->operation) == 0 &&
                    strcmp(d->capability, e->capability) == 0 &&
                    strcmp(d->context, e->context) == 0)
                        return d->hint;
        }
        return "";
}

/* grep ERROR-FIELDS: the order of the array below. */
enum {
        F_KIND,
        F_MESSAGE,
        F_LINE,
        F_COLUMN,
        F_FUEL,
        F_MEMORY,
        F_OPERATION,
        F_CAPABILITY,
        F_CONTEXT,
        F_DATA,
        F_HINT,
        F_COUNT
};

static int error_numbers(struct mv_broker *b, const struct field *f, uint64_t place[2],
                         struct mv_err *err)
{
        int r = mv__field_count(&f[F_LINE], &place[0], err);
        if (r == 0)
                r = mv__field_count(&f[F_COLUMN], &place[1], err);
        if (r == 0)
                r = mv__field_count(&f[F_FUEL], &b->outcome.fuel, err);
        if (r == 0)
                r = mv__field_count(&f[F_MEMORY], &b->outcome.guest_memory_bytes, err);
        if (r == 0 && (place[0] > UINT32_MAX || place[1] > UINT32_MAX))
                r = MV_HOSTILE(err, "ERROR: line or column");
        return r;
}

int mv__on_error(struct mv_broker *b, struct mv_slice payload, struct mv_err *err)
{
        struct field f[F_COUNT] = { { "kind", true }, { "message", true }, { "line" },
                                    { "column" },     { "fuel" },          { "memory" },
                                    { "operation" },  { "capability" },    { "context" },
                                    { "data" },       { "hint" } };
        struct mv_slice texts[F_COUNT];
        uint64_t place[2];
        static const int text_fields[] = { F_KIND,       F_MESSAGE, F_OPERATION,
                                           F_CAPABILITY, F_CONTEXT, F_HINT };
        int r = mv__fields_read(payload, f, F_COUNT, err);
        for (size_t i = 0; r == 0 && i < sizeof text_fields / sizeof text_fields[0]; i++)
                r = mv__field_text(&f[text_fields[i]], &texts[text_fields[i]], err);
        if (r == 0)
                r = error_numbers(b, f, place, err);
        if (r < 0)
                return r;
        if (texts[F_KIND].len == 0 || texts[F_KIND].len > 63)
                return MV_HOSTILE(err, "ERROR: kind");
        bool told = b->stopped != MV_END_COMPLETED && mv_slice_eq_str(texts[F_KIND], "Interrupted");
        if (told && b->stopped == MV_END_KILLED)
                texts[F_MESSAGE] = MV_SLICE("stopped by the caller");
        end_with(b, told ? b->stopped : termination_of(texts[F_KIND]),
                 keep_text(b, texts[F_KIND], 63),
                 keep_text(b, texts[F_MESSAGE], MESSAGE_BYTES_MAX));
        struct mv_program_error *e = &b->outcome.error;
        e->operation = keep_text(b, texts[F_OPERATION], MESSAGE_BYTES_MAX);
        e->capability = keep_text(b, texts[F_CAPABILITY], MESSAGE_BYTES_MAX);
        e->context = keep_text(b, texts[F_CONTEXT], MESSAGE_BYTES_MAX);
        e->hint = hint_of(b, e);
        if (mv_slice_eq_str(texts[F_KIND],
                            "UndefinedSymbol")) /* of what it was granted, a cell says nothing */
                e->hint = keep_text(b, texts[F_HINT], HINT_BYTES_MAX);
        e->line = (uint32_t)place[0];
        e->column = (uint32_t)place[1];
        return 0;
}
