/* SPDX-License-Identifier: Apache-2.0 */
/* wire/json.c - strict RFC 8259: a pull parser, and trees built with it.
 *
 *  STATE          WHAT MAY COME NEXT
 *  VALUE          a value                        (the text begins, or behind a key)
 *  FIRST_VALUE    a value or ']'                 (behind '[')
 *  FIRST_KEY      a key or '}'                   (behind '{')
 *  AFTER          ',' and a key or value, or the closing bracket   (behind a value inside a container)
 *  END            nothing but white space
 *  FAILED         nothing; why[] says what was wrong
 *
 * (1) No recursion, no memory: the kind of each open container is one bit, nesting is limited by MV_JSON_DEPTH_MAX.
 * (2) Every string that an event carries was checked: UTF-8, escapes, paired surrogates, no raw controls. So unescaping
 *     cannot fail, and never makes a text longer.
 * (3) A tree is built in two passes over the text: the first checks it and counts the children of each container, so the
 *     second allocates every array once and at its size. */
#include <wire/json.h>
#include <wire/entries.h>
#include <wire/cbor.h>
#include <wire/text.h>
#include <base/slice.h>

enum state { VALUE, FIRST_VALUE, FIRST_KEY, AFTER, END, FAILED };
_Static_assert(MV_JSON_DEPTH_MAX + 1 <= 8 * sizeof((struct mv_json *)0)->in_object,
               "one bit for each level");

struct mv_json mv_json(struct mv_slice text)
{
        return (struct mv_json){ .in = text, .state = VALUE };
}

/* --- errors ----------------------------------------------------------------------------------- */
/* `at` is the byte that was wrong; a column counts bytes from 1, the end of the text stands
 * behind the last byte. */
static bool fail_at(struct mv_json *j, size_t at, const char *what)
{
        uint64_t line = 1;
        size_t line_start = 0;
        j->wrong_at = at;
        for (size_t i = 0; i < at; i++)
                if (j->in.p[i] == '\n') {
                        line++;
                        line_start = i + 1;
                }
        mv_fmt(j->why, sizeof j->why, "%s at line %lu column %lu", what, (unsigned long)line,
               (unsigned long)(at - line_start + 1));
        j->state = FAILED;
        return false;
}

static bool fail(struct mv_json *j, const char *what)
{
        return fail_at(j, j->at, what);
}

static bool at_end(const struct mv_json *j)
{
        return j->at >= j->in.len;
}

static bool fail_expected(struct mv_json *j, const char *at_end_of_text, const char *otherwise)
{
        return fail(j, at_end(j) ? at_end_of_text : otherwise);
}

/* --- tokens ----------------------------------------------------------------------------------- */
/* The next byte; 0 at the end (a real NUL is expected nowhere either). */
static uint8_t peek(const struct mv_json *j)
{
        return at_end(j) ? 0 : j->in.p[j->at];
}

static bool take(struct mv_json *j, uint8_t c)
{
        if (at_end(j) || j->in.p[j->at] != c)
                return false;
        j->at++;
        return true;
}

static void skip_space(struct mv_json *j)
{
        for (uint8_t c = peek(j); c == ' ' || c == '\t' || c == '\n' || c == '\r'; c = peek(j))
                j->at++;
}

static bool is_digit(uint8_t c)
{
        return c >= '0' && c <= '9';
}

static bool take_word(struct mv_json *j, const char *word)
{
        for (; *word; word++)
                if (!take(j, (uint8_t)*word))
                        return fail_expected(j, "EOF while parsing a value", "expected ident");
        return true;
}

static size_t take_digits(struct mv_json *j)
{
        size_t start = j->at;
        while (is_digit(peek(j)))
                j->at++;
        return j->at - start;
}

/* -? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)? ; *ret_integer: neither fraction nor
 * exponent. */
static bool scan_number(struct mv_json *j, bool *ret_integer)
{
        *ret_integer = true;
        take(j, '-');
        if (!take(j, '0') && take_digits(j) == 0)
                return fail_expected(j, "EOF while parsing a value", "invalid number");
        if (is_digit(peek(j)))
                return fail(j, "invalid number"); /* behind a leading zero */
        if (take(j, '.')) {
                *ret_integer = false;
                if (take_digits(j) == 0)
                        return fail_expected(j, "EOF while parsing a value", "invalid number");
        }
        if (take(j, 'e') || take(j, 'E')) {
                *ret_integer = false;
                if (!take(j, '+'))
                        take(j, '-');
                if (take_digits(j) == 0)
                        return fail_expected(j, "EOF while parsing a value", "invalid number");
        }
        return true;
}

static bool take_number(struct mv_json *j, struct mv_json_event *ret)
{
        size_t start = j->at;
        bool integer;
        if (!scan_number(j, &integer))
                return false;
        struct mv_slice text = mv_slice(j->in.p + start, j->at - start);
        bool minus_zero = mv_slice_eq_str(text, "-0");
        ret->kind = MV_JSON_INT;
        if (integer && !minus_zero && mv_parse_int(text, &ret->integer))
                return true;
        ret->kind = MV_JSON_FLOAT;
        if (!mv_parse_float(text, &ret->real) || !__builtin_isfinite(ret->real))
                return fail_at(j, start, "number out of range");
        return true;
}

/* --- strings ---------------------------------------------------------------------------------- */
static int hex_digit(uint8_t c)
{
        if (is_digit(c))
                return c - '0';
        uint8_t lower = c | 0x20;
        return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Four hex digits at p; -1: not. */
static int32_t hex4(const uint8_t *p, size_t left)
{
        int32_t v = 0;
        if (left < 4)
                return -1;
        for (int i = 0; i < 4; i++) {
                int d = hex_digit(p[i]);
                if (d < 0)
                        return -1;
                v = v * 16 + d;
        }
        return v;
}

static bool is_high_surrogate(int32_t c)
{
        return c >= 0xd800 && c <= 0xdbff;
}

static bool is_low_surrogate(int32_t c)
{
        return c >= 0xdc00 && c <= 0xdfff;
}

/* Behind "\u"; a surrogate must have its other half. */
static bool check_unicode_escape(struct mv_json *j)
{
        int32_t c = hex4(j->in.p + j->at, j->in.len - j->at);
        if (c < 0)
                return fail_expected(j, "EOF while parsing a string", "invalid escape");
        if (is_low_surrogate(c))
                return fail(j, "lone trailing surrogate in hex escape");
        j->at += 4;
        if (!is_high_surrogate(c))
                return true;
        if (!take(j, '\\') || !take(j, 'u'))
                return fail_expected(j, "EOF while parsing a string",
                                     "lone leading surrogate in hex escape");
        if (!is_low_surrogate(hex4(j->in.p + j->at, j->in.len - j->at)))
                return fail(j, "lone leading surrogate in hex escape");
        j->at += 4;
        return true;
}

static bool check_escape(struct mv_json *j)
{
        switch (peek(j)) {
        case '"':
        case '\\':
        case '/':
        case 'b':
        case 'f':
        case 'n':
        case 'r':
        case 't':
                j->at++;
                return true;
        case 'u':
                j->at++;
                return check_unicode_escape(j);
        default:
                return fail_expected(j, "EOF while parsing a string", "invalid escape");
        }
}

static const char control_character[] =
        "control character (\\u0000-\\u001F) found while parsing a string";

/* The opening quote was taken. (2) */
static bool take_string(struct mv_json *j, struct mv_json_event *ret)
{
        size_t start = j->at;
        ret->escaped = false;
        while (!at_end(j) && j->in.p[j->at] != '"') {
                if (j->in.p[j->at] < 0x20)
                        return fail(j, control_character);
                if (!take(j, '\\')) {
                        j->at++;
                        continue;
                }
                ret->escaped = true;
                if (!check_escape(j))
                        return false;
        }
        ret->text = mv_slice(j->in.p + start, j->at - start);
        if (!take(j, '"'))
                return fail(j, "EOF while parsing a string");
        if (!mv_utf8_valid(ret->text))
                return fail_at(j, start, "invalid unicode code point");
        return true;
}

static uint32_t unescape_unicode(struct mv_slice raw, size_t *at)
{
        int32_t c = hex4(raw.p + *at, raw.len - *at);
        *at += 4;
        if (!is_high_surrogate(c))
                return (uint32_t)c;
        int32_t low = raw.len - *at < 6 ? -1 : hex4(raw.p + *at + 2, raw.len - *at - 2);
        *at += 6;
        return 0x10000 + ((uint32_t)(c - 0xd800) << 10) + (uint32_t)(low - 0xdc00);
}

static uint8_t unescape_letter(uint8_t c)
{
        switch (c) {
        case 'b':
                return '\b';
        case 'f':
                return '\f';
        case 'n':
                return '\n';
        case 'r':
                return '\r';
        case 't':
                return '\t';
        default:
                return c;
        }
}

bool mv_json_unescape(struct mv_out *o, struct mv_slice raw)
{
        for (size_t at = 0; at < raw.len && !o->overflow;) {
                size_t run = at;
                while (run < raw.len && raw.p[run] != '\\')
                        run++;
                mv_put_bytes(o, raw.p + at, run - at);
                at = run + 2;
                if (run + 1 >= raw.len)
                        break;
                if (raw.p[run + 1] == 'u')
                        mv_utf8_put(o, unescape_unicode(raw, &at));
                else
                        mv_put_u8(o, unescape_letter(raw.p[run + 1]));
        }
        return !o->overflow;
}

/* --- the machine ------------------------------------------------------------------------------ */
static bool in_object(const struct mv_json *j)
{
        return j->in_object[j->depth / 8] >> (j->depth % 8) & 1;
}

static enum state state_after_value(const struct mv_json *j)
{
        return j->depth ? AFTER : END;
}

static bool open_container(struct mv_json *j, bool object, struct mv_json_event *ret)
{
        if (j->depth >= MV_JSON_DEPTH_MAX)
                return fail(j, "recursion limit exceeded");
        j->at++;
        j->depth++;
        uint8_t bit = (uint8_t)(1u << (j->depth % 8));
        j->in_object[j->depth / 8] =
                (uint8_t)((j->in_object[j->depth / 8] & ~bit) | (object ? bit : 0));
        j->state = object ? FIRST_KEY : FIRST_VALUE;
        ret->kind = object ? MV_JSON_OBJECT_OPEN : MV_JSON_ARRAY_OPEN;
        return true;
}

/* The closing bracket was taken. */
static bool close_container(struct mv_json *j, struct mv_json_event *ret)
{
        ret->kind = in_object(j) ? MV_JSON_OBJECT_CLOSE : MV_JSON_ARRAY_CLOSE;
        j->depth--;
        j->state = (uint8_t)state_after_value(j);
        return true;
}

static bool take_literal(struct mv_json *j, uint8_t first, struct mv_json_event *ret)
{
        ret->kind = first == 'n' ? MV_JSON_NULL : MV_JSON_BOOL;
        ret->boolean = first == 't';
        return take_word(j, first == 'n' ? "null" : first == 't' ? "true" : "false");
}

static bool take_value(struct mv_json *j, struct mv_json_event *ret)
{
        uint8_t c = peek(j);
        if (c == '[' || c == '{')
                return open_container(j, c == '{', ret);
        bool ok;
        if (c == '"') {
                j->at++;
                ret->kind = MV_JSON_STRING;
                ok = take_string(j, ret);
        } else if (c == 'n' || c == 't' || c == 'f') {
                ok = take_literal(j, c, ret);
        } else if (c == '-' || is_digit(c)) {
                ok = take_number(j, ret);
        } else {
                return fail_expected(j, "EOF while parsing a value", "expected value");
        }
        if (ok)
                j->state = (uint8_t)state_after_value(j);
        return ok;
}

static bool take_key(struct mv_json *j, struct mv_json_event *ret)
{
        if (!take(j, '"'))
                return fail_expected(j, "EOF while parsing an object", "key must be a string");
        ret->kind = MV_JSON_KEY;
        if (!take_string(j, ret))
                return false;
        skip_space(j);
        if (!take(j, ':'))
                return fail_expected(j, "EOF while parsing an object", "expected `:`");
        j->state = VALUE;
        return true;
}

/* Behind a value inside a container: its end, or a comma and what follows it. */
static bool take_after(struct mv_json *j, struct mv_json_event *ret)
{
        bool object = in_object(j);
        if (take(j, object ? '}' : ']'))
                return close_container(j, ret);
        if (!take(j, ','))
                return object ? fail_expected(j, "EOF while parsing an object",
                                              "expected `,` or `}`")
                              : fail_expected(j, "EOF while parsing a list", "expected `,` or `]`");
        skip_space(j);
        if (peek(j) == (object ? '}' : ']'))
                return fail(j, "trailing comma");
        return object ? take_key(j, ret) : take_value(j, ret);
}

bool mv_json_next(struct mv_json *j, struct mv_json_event *ret)
{
        *ret = (struct mv_json_event){ .kind = MV_JSON_END };
        if (j->state == FAILED)
                return false;
        skip_space(j);
        switch ((enum state)j->state) {
        case FIRST_VALUE:
                if (take(j, ']'))
                        return close_container(j, ret);
                if (at_end(j))
                        return fail(j, "EOF while parsing a list");
                return take_value(j, ret);
        case VALUE:
                return take_value(j, ret);
        case FIRST_KEY:
                if (take(j, '}'))
                        return close_container(j, ret);
                return take_key(j, ret);
        case AFTER:
                return take_after(j, ret);
        case END:
                return at_end(j) || fail(j, "trailing characters");
        case FAILED:
                break;
        }
        return false;
}

/* --- trees ------------------------------------------------------------------------------------ */
struct builder {
        struct mv_json j;
        struct mv_arena *a;
        uint32_t *counts; /* children of each container, in the order in which they open */
        uint32_t next;
        struct mv_err *err;
};

static int build_value(struct builder *b, const struct mv_json_event *e, struct mv_value *ret);

static int arena_full(struct builder *b)
{
        return mv_fail(b->err, MV_E_LIMIT, 0,
                       "a JSON text needs more memory than its arena has left");
}

/* Brackets outside of strings: of a valid text, its containers. */
static size_t count_opening_brackets(struct mv_slice text)
{
        bool inside = false;
        size_t n = 0;
        for (size_t i = 0; i < text.len; i++) {
                uint8_t c = text.p[i];
                if (c == '"')
                        inside = !inside;
                else if (inside && c == '\\')
                        i++;
                else if (!inside && (c == '[' || c == '{'))
                        n++;
        }
        return n;
}

static bool opens(enum mv_json_kind kind)
{
        return kind == MV_JSON_ARRAY_OPEN || kind == MV_JSON_OBJECT_OPEN;
}

static bool closes(enum mv_json_kind kind)
{
        return kind == MV_JSON_ARRAY_CLOSE || kind == MV_JSON_OBJECT_CLOSE;
}

/* Check everything and fill in counts[] (3). */
static bool count_children(struct mv_json *j, uint32_t *counts)
{
        uint32_t open[MV_JSON_DEPTH_MAX + 1] = { 0 }, opened = 0;
        struct mv_json_event e;
        while (mv_json_next(j, &e)) {
                if (e.kind == MV_JSON_END)
                        return true;
                /* A value is a child of the array around it; in an object the key counts for
                 * both. */
                uint32_t around = j->depth - opens(e.kind);
                bool child_of_array = around > 0 && !closes(e.kind) && e.kind != MV_JSON_KEY &&
                                      !(j->in_object[around / 8] >> (around % 8) & 1);
                if (child_of_array || e.kind == MV_JSON_KEY)
                        counts[open[around]]++;
                if (opens(e.kind))
                        open[j->depth] = opened++;
        }
        return false;
}

static int build_text(struct builder *b, const struct mv_json_event *e, struct mv_value *ret)
{
        *ret = (struct mv_value){ .kind = MV_STRING, .text = e->text };
        if (!e->escaped)
                return 0;
        uint8_t *p = mv_new(b->a, uint8_t, e->text.len);
        if (!p)
                return arena_full(b);
        struct mv_out o = mv_out(p, e->text.len);
        mv_json_unescape(&o, e->text);
        ret->text = mv_out_slice(&o);
        return 0;
}

static int build_next(struct builder *b, struct mv_value *ret)
{
        struct mv_json_event e;
        mv_json_next(&b->j, &e); /* was checked by count_children */
        return build_value(b, &e, ret);
}

static int build_array(struct builder *b, struct mv_value *ret)
{
        uint32_t count = b->counts[b->next++];
        struct mv_value *items = NULL;
        struct mv_json_event close;
        if (count && !(items = mv_new(b->a, struct mv_value, count)))
                return arena_full(b);
        for (uint32_t i = 0; i < count; i++) {
                int r = build_next(b, &items[i]);
                if (r < 0)
                        return r;
        }
        mv_json_next(&b->j, &close);
        *ret = (struct mv_value){ .kind = MV_VECTOR, .count = count, .items = items };
        return 0;
}

/* Keys by their bytes, then by their place in the text, which waits in the field that strings do
 * not use. */
static int text_then_place(const struct mv_value *a, const struct mv_value *b)
{
        int c = mv_slice_cmp(a->text, b->text);
        return c ? c : (a->count > b->count) - (a->count < b->count);
}

/* In canonical order, the last of equal keys; returns how many are left. */
static uint32_t order_and_drop_overwritten(struct mv_entry *entries, uint32_t count)
{
        uint32_t kept = 0;
        for (uint32_t i = 0; i < count; i++)
                entries[i].key.count = i;
        mv__entries_order(entries, count, text_then_place);
        for (uint32_t i = 0; i < count; i++) {
                entries[i].key.count = 0;
                if (i + 1 < count && mv_slice_eq(entries[i].key.text, entries[i + 1].key.text))
                        continue;
                entries[kept++] = entries[i];
        }
        return kept;
}

static int build_object(struct builder *b, struct mv_value *ret)
{
        uint32_t count = b->counts[b->next++];
        struct mv_entry *entries = NULL;
        struct mv_json_event close;
        if (count && !(entries = mv_new(b->a, struct mv_entry, count)))
                return arena_full(b);
        for (uint32_t i = 0; i < count; i++) {
                int r = build_next(b, &entries[i].key);
                if (r == 0)
                        r = build_next(b, &entries[i].value);
                if (r < 0)
                        return r;
        }
        mv_json_next(&b->j, &close);
        count = order_and_drop_overwritten(entries, count);
        *ret = (struct mv_value){ .kind = MV_MAP, .count = count, .entries = entries };
        return 0;
}

static int build_value(struct builder *b, const struct mv_json_event *e, struct mv_value *ret)
{
        switch (e->kind) {
        case MV_JSON_BOOL:
                *ret = (struct mv_value){ .kind = MV_BOOL, .boolean = e->boolean };
                return 0;
        case MV_JSON_INT:
                *ret = (struct mv_value){ .kind = MV_INT, .integer = e->integer };
                return 0;
        case MV_JSON_FLOAT:
                *ret = (struct mv_value){ .kind = MV_FLOAT, .real = e->real };
                return 0;
        case MV_JSON_STRING:
        case MV_JSON_KEY:
                return build_text(b, e, ret);
        case MV_JSON_ARRAY_OPEN:
                return build_array(b, ret);
        case MV_JSON_OBJECT_OPEN:
                return build_object(b, ret);
        default:
                *ret = (struct mv_value){ .kind = MV_NIL };
                return 0;
        }
}

int mv_json_decode(struct mv_slice text, struct mv_arena *a, const struct mv_value **ret,
                   struct mv_err *err)
{
        struct mv_json check = mv_json(text);
        struct builder b = { .j = check, .a = a, .err = err };
        if (text.len > UINT32_MAX)
                return mv_fail(err, MV_E_LIMIT, 0, "a JSON text of more than 4 GiB");
        struct mv_value *v = mv_new(a, struct mv_value, 1);
        b.counts = mv_new(a, uint32_t, count_opening_brackets(text) + 1);
        if (!v || !b.counts)
                return arena_full(&b);
        if (!count_children(&check, b.counts))
                return mv_fail(err, MV_E_INVALID, 0, "JSON parsing error: %s", check.why);
        int r = build_next(&b, v);
        if (r < 0)
                return r;
        *ret = v;
        return 0;
}
