/* SPDX-License-Identifier: Apache-2.0 */
/* wire/print.c - text of strings and of whole trees: display (spec 2.6), readable, JSON (spec 7.8, REQ-VAL-08).
 *
 * (1) Equal values have equal text: map entries are printed in canonical order (JSON: by the bytes of the key) whatever
 *     order they stand in.
 * (2) Where a keyword key and a string key become one JSON key, the first in canonical order survives.
 * (3) Recursion stops at MV_VALUE_DEPTH_MAX; a failure without overflow means that, or that there is no JSON form. */
#include <wire/cbor.h>
#include <wire/entries.h>
#include <wire/text.h>
#include <base/limits.h>
#include <base/slice.h>

/* --- strings ---------------------------------------------------------------------------------- */
static bool put_unicode_escape(struct mv_out *o, uint8_t c)
{
        static const char hex_digits[] = "0123456789abcdef";
        uint8_t b[6] = {
                '\\', 'u', '0', '0', (uint8_t)hex_digits[c >> 4], (uint8_t)hex_digits[c & 15]
        };
        return mv_put_bytes(o, b, sizeof b);
}

/* The letter behind a backslash; 0: none. */
static char short_escape(uint8_t c, bool json)
{
        switch (c) {
        case '"':
        case '\\':
                return (char)c;
        case '\n':
                return 'n';
        case '\r':
                return 'r';
        case '\t':
                return 't';
        case '\b':
                return json ? 'b' : 0;
        case '\f':
                return json ? 'f' : 0;
        default:
                return 0;
        }
}

/* U+0080..U+009F, c2 80..c2 9f: a terminal obeys them as it does those below U+0020. */
static bool is_c1_control(struct mv_slice s, size_t at)
{
        return s.p[at] == 0xc2 && at + 1 < s.len && s.p[at + 1] < 0xa0;
}

/* How many bytes at `at` need an escape; 0: none. JSON escapes no more than it must. */
static unsigned needs_escape(struct mv_slice s, size_t at, bool json)
{
        uint8_t c = s.p[at];
        if (c < 0x20 || c == '"' || c == '\\')
                return 1;
        if (json)
                return 0;
        return c == 0x7f ? 1 : is_c1_control(s, at) ? 2 : 0;
}

static bool put_escaped(struct mv_out *o, struct mv_slice s, bool json)
{
        size_t plain = 0;
        for (size_t i = 0; i < s.len;) {
                unsigned n = needs_escape(s, i, json);
                if (n == 0) {
                        i++;
                        continue;
                }
                mv_put_bytes(o, s.p + plain, i - plain);
                char letter = short_escape(s.p[i], json);
                if (letter)
                        mv_put_u8(o, '\\'), mv_put_u8(o, (uint8_t)letter);
                else
                        put_unicode_escape(
                                o, s.p[i + n -
                                       1]); /* of c2 80..c2 9f, the last byte is the code point */
                i += n;
                plain = i;
        }
        return plain == s.len || mv_put_bytes(o, s.p + plain, s.len - plain);
}

static bool put_quoted(struct mv_out *o, const char *prefix, struct mv_slice s, bool json)
{
        mv_put_u8(o, '"');
        mv_put_str(o, prefix);
        put_escaped(o, s, json);
        return mv_put_u8(o, '"');
}

bool mv_text_string_readable(struct mv_out *o, struct mv_slice s)
{
        return put_quoted(o, "", s, false);
}

bool mv_text_string_json(struct mv_out *o, struct mv_slice s)
{
        return put_quoted(o, "", s, true);
}

/* --- trees ------------------------------------------------------------------------------------ */
struct printer {
        struct mv_out *o;
        const char *why; /* JSON: what has no JSON form */
        uint32_t depth;
        bool readable;
        bool external; /* JSON: keyword values without their colon */
};

static bool deeper(struct printer *pr)
{
        if (pr->depth >= MV_VALUE_DEPTH_MAX) {
                pr->why = "Cannot serialize values nested this deeply to JSON";
                return false;
        }
        pr->depth++;
        return true;
}

static bool print(struct printer *pr, const struct mv_value *v);

static bool print_items(struct printer *pr, const struct mv_value *v)
{
        bool list = v->kind == MV_LIST;
        if (!deeper(pr))
                return false;
        mv_put_u8(pr->o, list ? '(' : '[');
        for (uint32_t i = 0; i < v->count; i++) {
                if (i > 0)
                        mv_put_u8(pr->o, ' ');
                if (!print(pr, &v->items[i]))
                        return false;
        }
        pr->depth--;
        return mv_put_u8(pr->o, list ? ')' : ']');
}

static bool print_entries(struct printer *pr, const struct mv__walk *w)
{
        for (uint32_t i = 0; i < w->count; i++) {
                const struct mv_entry *e = mv__walk_at(w, pr->o, i);
                if (i > 0)
                        mv_put_u8(pr->o, ' ');
                if (!print(pr, &e->key) || !mv_put_u8(pr->o, ' ') || !print(pr, &e->value))
                        return false;
        }
        return true;
}

static bool print_map(struct printer *pr, const struct mv_value *v)
{
        struct mv__walk w;
        if (!deeper(pr) || !mv_put_u8(pr->o, '{'))
                return false;
        if (!mv__walk_begin(&w, pr->o, v, v->count <= 1u << 16 ? 2 : 3,
                            mv_key_cmp)) /* an entry: "1 1" */
                return false;
        bool ok = print_entries(pr, &w);
        mv__walk_end(&w, pr->o);
        pr->depth--;
        return ok && mv_put_u8(pr->o, '}');
}

static bool print_string(struct printer *pr, struct mv_slice s)
{
        if (pr->readable)
                return mv_text_string_readable(pr->o, s);
        return mv_put_u8(pr->o, '"') && mv_put_slice(pr->o, s) && mv_put_u8(pr->o, '"');
}

static bool print_error(struct printer *pr, struct mv_slice message)
{
        mv_put_str(pr->o, "#<error: ");
        if (pr->readable)
                mv_text_string_readable(pr->o, message);
        else
                mv_put_slice(pr->o, message);
        return mv_put_u8(pr->o, '>');
}

static bool print(struct printer *pr, const struct mv_value *v)
{
        switch (v->kind) {
        case MV_NIL:
                return mv_put_str(pr->o, "nil");
        case MV_BOOL:
                return mv_put_str(pr->o, v->boolean ? "true" : "false");
        case MV_INT:
                return mv_text_int(pr->o, v->integer);
        case MV_FLOAT:
                return pr->readable ? mv_text_float_readable(pr->o, v->real)
                                    : mv_text_float_display(pr->o, v->real);
        case MV_STRING:
                return print_string(pr, v->text);
        case MV_KEYWORD:
                return mv_put_u8(pr->o, ':') && mv_put_slice(pr->o, v->text);
        case MV_SYMBOL:
                return mv_put_slice(pr->o, v->text);
        case MV_VECTOR:
        case MV_LIST:
                return print_items(pr, v);
        case MV_MAP:
                return print_map(pr, v);
        case MV_FUNCTION:
                return mv_put_str(pr->o, "#<function>");
        case MV_ERROR:
                return print_error(pr, v->items[1].text);
        case MV_KIND_MAX_:
                break;
        }
        return false;
}

bool mv_print_display(struct mv_out *o, const struct mv_value *v)
{
        struct printer pr = { .o = o };
        return print(&pr, v) && !o->overflow;
}

bool mv_print_readable(struct mv_out *o, const struct mv_value *v)
{
        struct printer pr = { .o = o, .readable = true };
        return print(&pr, v) && !o->overflow;
}

/* --- JSON ------------------------------------------------------------------------------------- */
#define INT_TEXT_MAX 20

/* The text that a key becomes; an integer's is written to buf. */
static struct mv_slice json_key(const struct mv_value *key, uint8_t buf[INT_TEXT_MAX])
{
        if (key->kind == MV_KEYWORD || key->kind == MV_STRING)
                return key->text;
        struct mv_out o = mv_out(buf, INT_TEXT_MAX);
        if (key->kind == MV_INT)
                mv_text_int(&o, key->integer);
        return mv_out_slice(&o);
}

static int json_text_cmp(const struct mv_value *a, const struct mv_value *b)
{
        uint8_t buf_a[INT_TEXT_MAX], buf_b[INT_TEXT_MAX];
        return mv_slice_cmp(json_key(a, buf_a), json_key(b, buf_b));
}

static int json_key_cmp(const struct mv_value *a, const struct mv_value *b)
{
        int c = json_text_cmp(a, b);
        return c ? c : mv_key_cmp(a, b); /* (2) */
}

static bool json(struct printer *pr, const struct mv_value *v);

static bool no_json(struct printer *pr, const char *why)
{
        pr->why = why;
        return false;
}

static bool json_items(struct printer *pr, const struct mv_value *v)
{
        if (!deeper(pr))
                return false;
        mv_put_u8(pr->o, '[');
        for (uint32_t i = 0; i < v->count; i++) {
                if (i > 0)
                        mv_put_u8(pr->o, ',');
                if (!json(pr, &v->items[i]))
                        return false;
        }
        pr->depth--;
        return mv_put_u8(pr->o, ']');
}

static bool json_key_put(struct printer *pr, const struct mv_value *key)
{
        uint8_t buf[INT_TEXT_MAX];
        if (key->kind != MV_KEYWORD && key->kind != MV_STRING && key->kind != MV_INT)
                return no_json(pr, "Cannot serialize such a map key to JSON");
        return mv_text_string_json(pr->o, json_key(key, buf)) && mv_put_u8(pr->o, ':');
}

static bool json_entries(struct printer *pr, const struct mv__walk *w)
{
        const struct mv_entry *last = NULL;
        for (uint32_t i = 0; i < w->count; i++) {
                const struct mv_entry *e = mv__walk_at(w, pr->o, i);
                if (last && json_text_cmp(&last->key, &e->key) == 0)
                        continue; /* (2) */
                if (last)
                        mv_put_u8(pr->o, ',');
                if (!json_key_put(pr, &e->key) || !json(pr, &e->value))
                        return false;
                last = e;
        }
        return true;
}

static bool json_map(struct printer *pr, const struct mv_value *v)
{
        struct mv__walk w;
        if (!deeper(pr) || !mv_put_u8(pr->o, '{'))
                return false;
        if (!mv__walk_begin(&w, pr->o, v, 4, json_key_cmp)) /* an entry: `"":1` */
                return false;
        bool ok = json_entries(pr, &w);
        mv__walk_end(&w, pr->o);
        pr->depth--;
        return ok && mv_put_u8(pr->o, '}');
}

static bool json_float(struct printer *pr, double v)
{
        return __builtin_isfinite(v) ? mv_text_float_json(pr->o, v)
                                     : no_json(pr, "Invalid float value for JSON");
}

static bool json(struct printer *pr, const struct mv_value *v)
{
        switch (v->kind) {
        case MV_NIL:
                return mv_put_str(pr->o, "null");
        case MV_BOOL:
                return mv_put_str(pr->o, v->boolean ? "true" : "false");
        case MV_INT:
                return mv_text_int(pr->o, v->integer);
        case MV_FLOAT:
                return json_float(pr, v->real);
        case MV_STRING:
        case MV_SYMBOL:
                return mv_text_string_json(pr->o, v->text);
        case MV_KEYWORD:
                return put_quoted(pr->o, pr->external ? "" : ":", v->text, true);
        case MV_VECTOR:
        case MV_LIST:
                return json_items(pr, v);
        case MV_MAP:
                return json_map(pr, v);
        case MV_FUNCTION:
                return no_json(pr, "Cannot serialize functions to JSON");
        case MV_ERROR:
                return no_json(pr, "Cannot serialize errors to JSON");
        case MV_KIND_MAX_:
                break;
        }
        return no_json(pr, "Cannot serialize unknown values to JSON");
}

static bool print_json(struct printer *pr, const struct mv_value *v, const char **ret_why)
{
        if (json(pr, v) && !pr->o->overflow)
                return true;
        *ret_why = pr->o->overflow ? NULL : pr->why;
        return false;
}

bool mv_print_json(struct mv_out *o, const struct mv_value *v, const char **ret_why)
{
        struct printer pr = { .o = o };
        return print_json(&pr, v, ret_why);
}

bool mv_print_json_external(struct mv_out *o, const struct mv_value *v, const char **ret_why)
{
        struct printer pr = { .o = o, .external = true };
        return print_json(&pr, v, ret_why);
}
