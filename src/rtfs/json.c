/* SPDX-License-Identifier: Apache-2.0 */
/* JSON in and out of values.
 *
 * (1) Keys of an object are sorted bytewise by their text; the canonical order of a map gives that
 * for free unless it has integer keys or keys of several types. (2) Of a keyword key and an equal
 * string key the keyword's entry survives. (3) Nesting: the writer stops at MV_VALUE_DEPTH_MAX
 * containers, the parser at MV_JSON_DEPTH_MAX. */
#include <base/fmt.h>
#include <base/limits.h>
#include <math.h>
#include <rtfs/json.h>
#include <rtfs/library.h>
#include <wire/json.h>
#include <wire/text.h>

struct writer {
        struct mv_rtfs *r;
        struct mv_out *o;
        bool pretty;
        uint32_t depth;
};

static enum native_status write_value(struct writer *w, val v);

static enum native_status fit(bool ok)
{
        return ok ? N_OK : N_NOMEM;
}

static enum native_status refuse(struct writer *w, const char *why)
{
        return raise_fmt(w->r, E_GENERIC, "JSON serialization error: Runtime error: %s", why);
}

static enum native_status refuse_type(struct writer *w, val v)
{
        char why[300], message[200];
        if (v.tag == T_ERROR)
                mv_fmt(why, sizeof why, "Cannot serialize errors to JSON: %s",
                       c_text(message, sizeof message, as_error(v)->message));
        else
                mv_fmt(why, sizeof why, "Cannot serialize %ss to JSON", type_name(v));
        return refuse(w, why);
}

/* --- layout ----------------------------------------------------------------------------------- */
static bool new_line(struct writer *w)
{
        bool ok = !w->pretty || mv_put_u8(w->o, '\n');
        for (uint32_t i = 0; ok && w->pretty && i < w->depth; i++)
                ok = mv_put_str(w->o, "  ");
        return ok;
}

static enum native_status open(struct writer *w, const char *bracket)
{
        if (w->depth >= MV_VALUE_DEPTH_MAX)
                return raise_deep(w->r);
        if (w->r->interrupt)
                return charge(w->r, 0);
        w->depth++;
        return fit(mv_put_str(w->o, bracket));
}

static enum native_status close(struct writer *w, const char *bracket)
{
        w->depth--;
        return fit(new_line(w) && mv_put_str(w->o, bracket));
}

static enum native_status separate(struct writer *w, bool first)
{
        return fit((first || mv_put_u8(w->o, ',')) && new_line(w));
}

static enum native_status write_array(struct writer *w, val v)
{
        struct sequence s = sequence(v);
        val item;
        if (s.count == 0)
                return fit(mv_put_str(w->o, "[]"));
        TRY(open(w, "["));
        for (bool first = true; sequence_next(&s, &item); first = false) {
                TRY(separate(w, first));
                TRY(write_value(w, item));
        }
        return close(w, "]");
}

/* --- objects ---------------------------------------------------------------------------------- */
struct entry {
        val key, value;
};

static struct mv_slice key_text(val key, uint8_t digits[24])
{
        if (key.tag != T_INT)
                return key.tag == T_STRING ? string_slice(key) : name_slice(key);
        struct mv_out o = mv_out(digits, 24);
        mv_text_int(&o, key.i);
        return mv_out_slice(&o);
}

static int entry_cmp(const struct entry *a, const struct entry *b)
{
        uint8_t digits[2][24];
        int c = mv_slice_cmp(key_text(a->key, digits[0]), key_text(b->key, digits[1]));
        /* (2): the keyword first */
        return c ? c : (a->key.tag < b->key.tag) - (a->key.tag > b->key.tag);
}

static void sift(struct entry *e, uint32_t at, uint32_t count)
{
        struct entry moving = e[at];
        for (uint32_t child; (child = 2 * at + 1) < count; at = child) {
                if (child + 1 < count && entry_cmp(&e[child], &e[child + 1]) < 0)
                        child++;
                if (entry_cmp(&moving, &e[child]) >= 0)
                        break;
                e[at] = e[child];
        }
        e[at] = moving;
}

static void sort_entries(struct entry *e, uint32_t count)
{
        for (uint32_t i = count / 2; i-- > 0;)
                sift(e, i, count);
        for (uint32_t n = count; n-- > 1;) {
                struct entry greatest = e[0];
                e[0] = e[n];
                e[n] = greatest;
                sift(e, 0, n);
        }
}

static enum native_status write_entry(struct writer *w, bool first, const struct entry *e)
{
        uint8_t digits[24];
        TRY(separate(w, first));
        TRY(fit(mv_text_string_json(w->o, key_text(e->key, digits)) &&
                mv_put_str(w->o, w->pretty ? ": " : ":")));
        return write_value(w, e->value);
}

static bool needs_sorting(val m) /* (1) */
{
        struct map_iter it;
        val key, value;
        uint32_t tag = T_MAX_;
        map_iter(&it, m);
        while (map_next(&it, &key, &value)) {
                if (key.tag == T_INT || (tag != T_MAX_ && key.tag != tag))
                        return map_count(m) > 1;
                tag = key.tag;
        }
        return false;
}

static bool same_text(const struct entry *a, const struct entry *b)
{
        uint8_t digits[2][24];
        return mv_slice_eq(key_text(a->key, digits[0]), key_text(b->key, digits[1]));
}

/* The entries lie at the end of the output's buffer while the object is written. */
static enum native_status write_sorted(struct writer *w, val m)
{
        struct map_iter it;
        uint32_t n = 0, count = map_count(m);
        size_t cap = w->o->cap, bytes = count * sizeof(struct entry) + 16;
        if (cap - w->o->len < bytes)
                return N_NOMEM;
        uint8_t *end = w->o->p + cap;
        end -= (uintptr_t)end % 16;
        struct entry *e = (struct entry *)end - count;
        w->o->cap = (size_t)((uint8_t *)e - w->o->p);
        map_iter(&it, m);
        while (map_next(&it, &e[n].key, &e[n].value))
                n++;
        count = n;
        sort_entries(e, count);
        enum native_status status = N_OK;
        for (uint32_t i = 0; i < count && status == N_OK; i++)
                if (i == 0 || !same_text(&e[i - 1], &e[i]))
                        status = write_entry(w, i == 0, &e[i]);
        w->o->cap = cap;
        return status;
}

static enum native_status write_in_order(struct writer *w, val m)
{
        struct map_iter it;
        struct entry e;
        map_iter(&it, m);
        for (bool first = true; map_next(&it, &e.key, &e.value); first = false)
                TRY(write_entry(w, first, &e));
        return N_OK;
}

static enum native_status write_object(struct writer *w, val m)
{
        if (map_count(m) == 0)
                return fit(mv_put_str(w->o, "{}"));
        TRY(open(w, "{"));
        TRY(needs_sorting(m) ? write_sorted(w, m) : write_in_order(w, m));
        return close(w, "}");
}

static enum native_status write_value(struct writer *w, val v)
{
        switch (v.tag) {
        case T_NIL:
                return fit(mv_put_str(w->o, "null"));
        case T_TRUE:
                return fit(mv_put_str(w->o, "true"));
        case T_FALSE:
                return fit(mv_put_str(w->o, "false"));
        case T_INT:
                return fit(mv_text_int(w->o, v.i));
        case T_FLOAT:
                return isfinite(v.f) ? fit(mv_text_float_json(w->o, v.f))
                                     : refuse(w, "Invalid float value for JSON");
        case T_STRING:
                return fit(mv_text_string_json(w->o, string_slice(v)));
        case T_VECTOR:
        case T_LIST:
                return write_array(w, v);
        case T_MAP:
                return write_object(w, v);
        default:
                return refuse_type(w, v);
        }
}

enum native_status json_write(struct mv_rtfs *r, struct mv_out *o, val v, bool pretty)
{
        struct writer w = { .r = r, .o = o, .pretty = pretty };
        return write_value(&w, v);
}

/* --- parsing ---------------------------------------------------------------------------------- */
struct open_container {
        val builder; /* VECTOR or MAP */
        val key;     /* MAP: of the value that comes next */
};

static enum native_status bad_json(struct mv_rtfs *r, const char *why)
{
        return raise_fmt(r, E_GENERIC, "JSON parsing error: %s", why);
}

/* The unescaped text is never longer than the raw one: decode in place of it, then say how long it
 * became. */
static enum native_status read_text(struct mv_rtfs *r, const struct mv_json_event *e, val *ret)
{
        if (!e->escaped)
                return give(ret, string_new(r, e->text));
        uint8_t *text;
        val v = string_alloc(r, e->text.len, &text);
        if (nomem(v))
                return N_NOMEM;
        struct mv_out o = mv_out(text, e->text.len);
        if (!mv_json_unescape(&o, e->text))
                return bad_json(r, "invalid escape sequence");
        as_string(v)->len = (uint32_t)o.len;
        return give(ret, string_seal(v));
}

static enum native_status read_scalar(struct mv_rtfs *r, const struct mv_json_event *e, val *ret)
{
        switch (e->kind) {
        case MV_JSON_BOOL:
                return give(ret, BOOL(e->boolean));
        case MV_JSON_INT:
                return give(ret, INT(e->integer));
        case MV_JSON_FLOAT:
                return give(ret, FLOAT(e->real));
        case MV_JSON_STRING:
        case MV_JSON_KEY:
                return read_text(r, e, ret);
        default:
                return give(ret, NIL);
        }
}

static enum native_status add_value(struct mv_rtfs *r, struct open_container *c, val v)
{
        if (c->builder.tag == T_VECTOR)
                return push(r, c->builder, v);
        return map_add(r, c->builder, c->key, v) ? N_OK : N_NOMEM;
}

struct reader {
        struct mv_json json;
        /* [0]: a vector that takes the whole text's value */
        struct open_container open[MV_JSON_DEPTH_MAX + 1];
        uint32_t depth;
};

static enum native_status read_event(struct mv_rtfs *r, struct reader *d,
                                     const struct mv_json_event *e)
{
        struct open_container *top = &d->open[d->depth];
        val v;
        switch (e->kind) {
        case MV_JSON_ARRAY_OPEN:
        case MV_JSON_OBJECT_OPEN:
                if (d->depth >= MV_JSON_DEPTH_MAX)
                        return bad_json(r, "recursion limit exceeded");
                v = e->kind == MV_JSON_ARRAY_OPEN ? vec_builder(r) : map_builder(r);
                if (nomem(v))
                        return N_NOMEM;
                d->open[++d->depth].builder = v;
                return N_OK;
        case MV_JSON_ARRAY_CLOSE:
        case MV_JSON_OBJECT_CLOSE:
                return add_value(r, &d->open[--d->depth], top->builder);
        case MV_JSON_KEY:
                return read_scalar(r, e, &top->key);
        default:
                TRY(read_scalar(r, e, &v));
                return add_value(r, top, v);
        }
}

enum native_status json_read(struct mv_rtfs *r, struct mv_slice text, val *ret)
{
        struct reader d = { .json = mv_json(text) };
        struct mv_json_event e;
        d.open[0].builder = vec_builder(r);
        if (nomem(d.open[0].builder))
                return N_NOMEM;
        for (;;) {
                if (!mv_json_next(&d.json, &e))
                        return bad_json(r, d.json.why);
                if (e.kind == MV_JSON_END)
                        return give(ret, vec_at(d.open[0].builder, 0));
                TRY(read_event(r, &d, &e));
        }
}
