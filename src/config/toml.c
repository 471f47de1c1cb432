/* SPDX-License-Identifier: Apache-2.0 */
/* TOML 1.0 as forms. There is no C library for it in the distribution this project is built on, and a settings file grants
 * capabilities: this parser refuses what it does not know.
 *
 * (1) Everything of TOML 1.0 but dates and times, which no setting has: they are refused, never read as text.
 * (2) A key is given once. A table is opened once; what an inline table or a dotted key made is closed to headers.
 * (3) Depth, keys and size are bounded, so no text takes more than some milliseconds. */
#include <base/slice.h>
#include <config/forms.h>
#include <math.h>
#include <wire/text.h>

#define TOML_DEPTH_MAX 64
#define TOML_KEYS_MAX  10000 /* of one text: finding one is a walk along its table */

struct entry;
struct table {
        struct entry *first, *last;
        uint32_t count;
        bool opened;  /* by a header of its own, or by its values: no further header may open it */
        bool by_dots; /* made by a dotted key */
        bool closed;  /* inline: nothing may be added */
};
struct value {
        struct mv_form form;                /* MAP: see table; VECTOR of tables: see tables */
        struct table *table;                /* of a MAP */
        struct entry *tables, *tables_last; /* [[name]]: entries without keys */
        uint32_t tables_count;
};
struct entry {
        struct mv_form key;
        struct value value;
        struct entry *next;
};

struct toml {
        const uint8_t *p, *end, *line_start;
        const uint8_t
                *counted; /* characters of the line up to here; places go from left to right */
        uint32_t characters;
        uint32_t line, depth, keys;
        struct mv_arena *arena;
        struct mv_syntax_error *error;
        bool full;
};

/* Counted on from the last place: a file may be one line. */
static uint32_t column_of(struct toml *t, const uint8_t *at)
{
        if (t->counted < t->line_start || t->counted > at) {
                t->counted = t->line_start;
                t->characters = 0;
        }
        t->characters += (uint32_t)mv_utf8_count(mv_slice(t->counted, (size_t)(at - t->counted)));
        t->counted = at;
        return t->characters + 1;
}

static bool fail_at(struct toml *t, uint32_t line, uint32_t column, const char *why)
{
        *t->error = (struct mv_syntax_error){ .line = line, .column = column };
        mv_fmt(t->error->message, sizeof t->error->message, "%s", why);
        return false;
}

static bool fail(struct toml *t, const char *why)
{
        return fail_at(t, t->line, column_of(t, t->p), why);
}

static bool no_room(struct toml *t)
{
        t->full = true;
        return fail(t, "the text has too many values");
}

static uint8_t peek(const struct toml *t, size_t ahead)
{
        return (size_t)(t->end - t->p) > ahead ? t->p[ahead] : 0;
}

static void here(struct toml *t, struct mv_form *f)
{
        f->line = t->line;
        f->column = column_of(t, t->p);
}

static void new_line(struct toml *t)
{
        t->line++;
        t->line_start = ++t->p;
}

static void skip_blanks(struct toml *t)
{
        while (peek(t, 0) == ' ' || peek(t, 0) == '\t')
                t->p++;
}

static bool skip_comment(struct toml *t)
{
        if (peek(t, 0) != '#')
                return true;
        for (; t->p < t->end && *t->p != '\n'; t->p++)
                if ((*t->p < 0x20 && *t->p != '\t' && !(*t->p == '\r' && peek(t, 1) == '\n')) ||
                    *t->p == 0x7f)
                        return fail(t, "control character in a comment");
        return true;
}

/* The end of a line: blanks, a comment, a line break or the end. */
static bool end_line(struct toml *t)
{
        skip_blanks(t);
        if (!skip_comment(t))
                return false;
        if (peek(t, 0) == '\r' && peek(t, 1) == '\n')
                t->p++;
        if (t->p == t->end)
                return true;
        if (*t->p != '\n')
                return fail(t, "the line should end here");
        new_line(t);
        return true;
}

/* Blanks, comments and line breaks, inside of arrays and between lines. */
static bool skip_space(struct toml *t)
{
        for (;;) {
                skip_blanks(t);
                if (!skip_comment(t))
                        return false;
                if (peek(t, 0) == '\r' && peek(t, 1) == '\n')
                        t->p++;
                if (t->p == t->end || *t->p != '\n')
                        return true;
                new_line(t);
        }
}

/* --- strings ---------------------------------------------------------------------------------- */
static bool put_escape(struct toml *t, struct mv_out *o)
{
        static const char from[] = "btnfr\"\\", to[] = "\b\t\n\f\r\"\\";
        uint8_t c = peek(t, 0);
        const char *at = c ? strchr(from, c) : NULL;
        uint32_t digits = c == 'u' ? 4 : c == 'U' ? 8 : 0, code = 0;
        if (!at && !digits)
                return fail(
                        t,
                        "unknown escape: use \\b \\t \\n \\f \\r \\\" \\\\ \\uXXXX or \\UXXXXXXXX");
        t->p++;
        if (at)
                return mv_put_u8(o, (uint8_t)to[at - from]);
        for (; digits; digits--, t->p++) {
                uint8_t h = peek(t, 0) | 0x20;
                bool digit = h >= '0' && h <= '9' && peek(t, 0) >= '0';
                if (!digit && !(h >= 'a' && h <= 'f'))
                        return fail(t, "hexadecimal digit expected");
                code = code << 4 | (uint32_t)(digit ? h - '0' : h - 'a' + 10);
        }
        if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
                return fail(t, "not a Unicode character");
        return mv_utf8_put(o, code);
}

/* A backslash at the end of a line takes all white space behind it away. */
static bool skip_continuation(struct toml *t)
{
        const uint8_t *q = t->p;
        while (q < t->end && (*q == ' ' || *q == '\t' || *q == '\r'))
                q++;
        if (q == t->end || *q != '\n')
                return false;
        for (; t->p < t->end && strchr(" \t\r\n", *t->p) && *t->p;)
                if (*t->p == '\n')
                        new_line(t);
                else
                        t->p++;
        return true;
}

static bool put_character(struct toml *t, struct mv_out *o, bool literal, bool multi)
{
        uint8_t c = *t->p;
        if (c == '\\' && !literal) {
                t->p++;
                return (multi && skip_continuation(t)) || put_escape(t, o);
        }
        if (c == '\n' && multi) {
                mv_put_u8(o, c);
                new_line(t);
                return true;
        }
        bool line_break = c == '\r' && multi && peek(t, 1) == '\n';
        if ((c < 0x20 && c != '\t' && !line_break) || c == 0x7f)
                return fail(t, c == '\n' ? "the string is not closed on its line"
                                         : "control character in a string");
        t->p++;
        return mv_put_u8(o, c);
}

static bool is_triple(const struct toml *t, uint8_t quote)
{
        return peek(t, 0) == quote && peek(t, 1) == quote && peek(t, 2) == quote;
}

/* Bytes up to the closing quote, or to the end where there is none. */
static size_t string_bytes(const struct toml *t, uint8_t quote, bool multi)
{
        const uint8_t *q = t->p;
        while (q < t->end) {
                size_t left = (size_t)(t->end - q);
                if (*q == quote && (!multi || (left >= 3 && q[1] == quote && q[2] == quote &&
                                               (left < 4 || q[3] != quote))))
                        break;
                q += *q == '\\' && quote == '"' && left > 1 ? 2 : 1;
        }
        return (size_t)(q - t->p);
}

static bool read_string(struct toml *t, struct mv_form *f)
{
        uint8_t quote = *t->p;
        bool multi = is_triple(t, quote), literal = quote == '\'';
        uint32_t line = t->line, column = column_of(t, t->p);
        t->p += multi ? 3 : 1;
        if (multi && peek(t, 0) == '\r' && peek(t, 1) == '\n')
                t->p++;
        if (multi && peek(t, 0) == '\n')
                new_line(t);
        size_t room = string_bytes(t, quote, multi); /* escapes only shrink */
        uint8_t *buf = mv_new(t->arena, uint8_t, room + 1);
        struct mv_out o = mv_out(buf, room);
        if (!buf)
                return no_room(t);
        while (t->p < t->end) {
                bool closes = multi ? is_triple(t, quote) && peek(t, 3) != quote : *t->p == quote;
                if (multi && is_triple(t, quote) && peek(t, 3) == quote && peek(t, 4) == quote &&
                    peek(t, 5) == quote)
                        return fail(t, "more than two quotes in front of the closing ones");
                if (closes) {
                        t->p += multi ? 3 : 1;
                        f->kind = MV_STRING;
                        f->text = mv_out_slice(&o);
                        return !o.overflow || fail_at(t, line, column, "the string is too long");
                }
                if (!put_character(t, &o, literal, multi))
                        return false;
        }
        return fail_at(t, line, column, "the string is not closed");
}

/* --- numbers ---------------------------------------------------------------------------------- */
#define NUMBER_BYTES_MAX 80

/* The token without its underscores, which stand between digits only. */
static bool take_number(struct toml *t, char buf[NUMBER_BYTES_MAX], size_t *ret_len)
{
        size_t n = *ret_len = 0;
        for (; t->p < t->end && !strchr(" \t\r\n,]}#", *t->p) && *t->p; t->p++) {
                uint8_t c = *t->p;
                if (c == '_') {
                        bool hex = n > 1 && buf[1] == 'x';
                        const char *digits = hex ? "0123456789abcdefABCDEF" : "0123456789";
                        bool before = n && strchr(digits, buf[n - 1]);
                        bool after = peek(t, 1) && strchr(digits, peek(t, 1));
                        if (!before || !after)
                                return fail(t, "an underscore stands between digits");
                        continue;
                }
                if (n + 1 >= NUMBER_BYTES_MAX)
                        return fail(t, "malformed value");
                buf[n++] = (char)c;
        }
        buf[n] = '\0';
        *ret_len = n;
        return true;
}

static bool based_integer(const char *s, int64_t *ret)
{
        uint32_t base = s[1] == 'x' ? 16 : s[1] == 'o' ? 8 : 2;
        uint64_t v = 0;
        if (!s[2])
                return false;
        for (s += 2; *s; s++) {
                uint8_t h = (uint8_t)*s | 0x20;
                uint32_t d = *s >= '0' && *s <= '9' ? (uint32_t)(*s - '0')
                             : h >= 'a' && h <= 'f' ? h - 'a' + 10u
                                                    : 99;
                if (d >= base || v > ((uint64_t)INT64_MAX - d) / base)
                        return false;
                v = v * base + d;
        }
        *ret = (int64_t)v;
        return true;
}

/* Digits on both sides of a point; no leading zeros. */
static bool well_formed_decimal(const char *s, bool *ret_float)
{
        s += *s == '+' || *s == '-';
        size_t whole = strspn(s, "0123456789");
        *ret_float = false;
        if (whole == 0 || (whole > 1 && s[0] == '0'))
                return false;
        s += whole;
        if (*s == '.') {
                size_t fraction = strspn(s + 1, "0123456789");
                if (fraction == 0)
                        return false;
                *ret_float = true;
                s += 1 + fraction;
        }
        if (*s == 'e' || *s == 'E') {
                s += 1 + (s[1] == '+' || s[1] == '-');
                size_t exponent = strspn(s, "0123456789");
                *ret_float = true;
                if (exponent == 0)
                        return false;
                s += exponent;
        }
        return *s == '\0';
}

static bool read_special(const char *s, struct mv_form *f)
{
        const char *plain = s + (*s == '+' || *s == '-');
        f->kind = MV_BOOL;
        f->boolean = strcmp(s, "true") == 0;
        if (f->boolean || strcmp(s, "false") == 0)
                return true;
        f->kind = MV_FLOAT;
        f->real = strcmp(plain, "inf") == 0 ? (*s == '-' ? -INFINITY : INFINITY) : NAN;
        return strcmp(plain, "inf") == 0 || strcmp(plain, "nan") == 0;
}

static bool read_bare(struct toml *t, struct mv_form *f)
{
        char s[NUMBER_BYTES_MAX];
        size_t n = 0;
        bool is_float;
        uint32_t line = t->line, column = column_of(t, t->p);
        if (!take_number(t, s, &n))
                return false;
        if (read_special(s, f))
                return true;
        f->kind = MV_INT;
        if (s[0] == '0' && n > 1 && strchr("xob", s[1]))
                return based_integer(s, &f->integer) ||
                       fail_at(t, line, column, "malformed integer, or beyond 64 bits");
        if (!well_formed_decimal(s, &is_float))
                return fail_at(t, line, column,
                               n ? "malformed value: text stands in quotes, and there are no dates"
                                 : "value expected");
        f->kind = is_float ? MV_FLOAT : MV_INT;
        if (is_float)
                return mv_parse_float(mv_slice(s, n), &f->real) ||
                       fail_at(t, line, column, "malformed number");
        return mv_parse_int(mv_slice(s, n), &f->integer) ||
               fail_at(t, line, column, "integer out of the 64-bit range");
}

/* --- tables ----------------------------------------------------------------------------------- */
static struct entry *find(const struct table *table, struct mv_slice key)
{
        for (struct entry *e = table->first; e; e = e->next)
                if (mv_slice_eq(e->key.text, key))
                        return e;
        return NULL;
}

static struct entry *add(struct toml *t, struct table *table, const struct mv_form *key)
{
        struct entry *e = t->keys++ < TOML_KEYS_MAX ? mv_new(t->arena, struct entry, 1) : NULL;
        if (!e) {
                no_room(t);
                return NULL;
        }
        e->key = *key;
        if (table->last)
                table->last->next = e;
        else
                table->first = e;
        table->last = e;
        table->count++;
        return e;
}

static bool make_table(struct toml *t, struct value *v, const struct mv_form *at)
{
        v->form = (struct mv_form){ .kind = MV_MAP, .line = at->line, .column = at->column };
        v->table = mv_new(t->arena, struct table, 1);
        return v->table || no_room(t);
}

static bool is_bare(uint8_t c)
{
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               c == '-' || c == '_';
}

static bool read_key(struct toml *t, struct mv_form *ret)
{
        *ret = (struct mv_form){ .kind = MV_STRING };
        here(t, ret);
        if (peek(t, 0) == '"' || peek(t, 0) == '\'') {
                if (is_triple(t, *t->p))
                        return fail(t, "a key is not a multi-line string");
                return read_string(t, ret);
        }
        const uint8_t *from = t->p;
        while (is_bare(peek(t, 0)))
                t->p++;
        ret->text = mv_slice(from, (size_t)(t->p - from));
        return ret->text.len || fail(t, "key expected");
}

/* Into the table that a part of a dotted name stands for; made when it is not there. */
static bool descend(struct toml *t, struct table **at, const struct mv_form *key, bool header)
{
        struct entry *e = find(*at, key->text);
        if (!e) {
                e = add(t, *at, key);
                if (!e || !make_table(t, &e->value, key))
                        return false;
                e->value.table->by_dots = !header;
        }
        struct value *v = &e->value;
        if (header && v->tables_last) /* the last of [[name]] */
                v = &v->tables_last->value;
        if (!v->table || v->table->closed || (!header && !v->table->by_dots))
                return fail_at(t, key->line, key->column,
                               "this name is taken: it is not a table that can be added to");
        *at = v->table;
        return true;
}

/* a.b.c: descends to b and gives the key c. */
static bool read_path(struct toml *t, struct table **at, struct mv_form *ret_key, bool header)
{
        for (uint32_t depth = 0;; depth++) {
                if (!read_key(t, ret_key))
                        return false;
                skip_blanks(t);
                if (peek(t, 0) != '.')
                        return true;
                if (depth >= TOML_DEPTH_MAX)
                        return fail(t, "nested too deeply");
                t->p++;
                skip_blanks(t);
                if (!descend(t, at, ret_key, header))
                        return false;
        }
}

static bool read_value(struct toml *t, struct value *v);

static bool read_assignment(struct toml *t, struct table *table)
{
        struct mv_form key;
        if (!read_path(t, &table, &key, false))
                return false;
        if (peek(t, 0) != '=')
                return fail(t, "'=' expected");
        if (find(table, key.text))
                return fail_at(t, key.line, key.column, "this key is given twice");
        t->p++;
        skip_blanks(t);
        struct entry *e = add(t, table, &key);
        return e && read_value(t, &e->value);
}

static bool read_inline_table(struct toml *t, struct value *v)
{
        struct mv_form at;
        here(t, &at);
        if (!make_table(t, v, &at))
                return false;
        t->p++;
        skip_blanks(t);
        for (bool first = true; peek(t, 0) != '}'; first = false) {
                if (!first) {
                        if (peek(t, 0) != ',')
                                return fail(t, "',' or '}' expected");
                        t->p++;
                        skip_blanks(t);
                }
                if (!read_assignment(t, v->table))
                        return false;
                skip_blanks(t);
        }
        t->p++;
        v->table->closed = true;
        return true;
}

static bool finish(struct toml *t, const struct value *v, struct mv_form *ret);

static bool read_array(struct toml *t, struct value *v)
{
        struct mv_forms items = { 0 };
        here(t, &v->form);
        v->form.kind = MV_VECTOR;
        t->p++;
        for (;;) {
                struct value item = { 0 };
                if (!skip_space(t))
                        return false;
                if (peek(t, 0) == ']')
                        break;
                if (t->p == t->end)
                        return fail_at(t, v->form.line, v->form.column, "the array is not closed");
                if (!read_value(t, &item))
                        return false;
                struct mv_form *slot = mv__forms_push(t->arena, &items);
                if (!slot)
                        return no_room(t);
                if (!finish(t, &item, slot) || !skip_space(t))
                        return false;
                if (peek(t, 0) != ',' && peek(t, 0) != ']')
                        return fail(t, "',' or ']' expected");
                if (peek(t, 0) == ',')
                        t->p++;
        }
        t->p++;
        v->form.items = items.items;
        v->form.count = items.count;
        return true;
}

static bool read_value(struct toml *t, struct value *v)
{
        if (t->depth >= TOML_DEPTH_MAX)
                return fail(t, "nested too deeply");
        t->depth++;
        bool ok;
        if (peek(t, 0) == '[') {
                ok = read_array(t, v);
        } else if (peek(t, 0) == '{') {
                ok = read_inline_table(t, v);
        } else {
                here(t, &v->form);
                ok = peek(t, 0) == '"' || peek(t, 0) == '\'' ? read_string(t, &v->form)
                                                             : read_bare(t, &v->form);
        }
        t->depth--;
        return ok;
}

/* [a.b]: opens the table. */
static bool open_table(struct toml *t, struct table *in, const struct mv_form *key,
                       struct table **ret)
{
        struct entry *e = find(in, key->text);
        if (!e) {
                e = add(t, in, key);
                if (!e || !make_table(t, &e->value, key))
                        return false;
        }
        struct table *table = e->value.table;
        if (!table || table->opened || table->closed || table->by_dots)
                return fail_at(t, key->line, key->column, "this table is defined already");
        table->opened = true;
        *ret = table;
        return true;
}

/* [[a.b]]: one more table of the array. */
static bool open_array_table(struct toml *t, struct table *in, const struct mv_form *key,
                             struct table **ret)
{
        struct entry *e = find(in, key->text), *item;
        if (!e) {
                e = add(t, in, key);
                if (!e)
                        return false;
                e->value.form = (struct mv_form){ .kind = MV_VECTOR,
                                                  .line = key->line,
                                                  .column = key->column };
        } else if (!e->value.tables) {
                return fail_at(t, key->line, key->column,
                               "this name is taken: it is not an array of tables");
        }
        item = t->keys++ < TOML_KEYS_MAX ? mv_new(t->arena, struct entry, 1) : NULL;
        if (!item || !make_table(t, &item->value, key))
                return no_room(t);
        if (e->value.tables_last)
                e->value.tables_last->next = item;
        else
                e->value.tables = item;
        e->value.tables_last = item;
        e->value.tables_count++;
        *ret = item->value.table;
        return true;
}

static bool read_header(struct toml *t, struct table *root, struct table **ret)
{
        struct mv_form key;
        bool array = peek(t, 1) == '[';
        struct table *in = root;
        t->p += array ? 2 : 1;
        skip_blanks(t);
        if (!read_path(t, &in, &key, true))
                return false;
        if (peek(t, 0) != ']' || (array && peek(t, 1) != ']'))
                return fail(t, array ? "']]' expected" : "']' expected");
        t->p += array ? 2 : 1;
        return (array ? open_array_table(t, in, &key, ret) : open_table(t, in, &key, ret)) &&
               end_line(t);
}

/* --- the tree as forms ------------------------------------------------------------------------ */
static bool finish_table(struct toml *t, const struct table *table, struct mv_form *ret)
{
        struct mv_form *items = mv_new(t->arena, struct mv_form, 2 * (size_t)table->count + 1);
        if (!items)
                return no_room(t);
        ret->items = items;
        ret->count = 2 * table->count;
        for (struct entry *e = table->first; e; e = e->next, items += 2) {
                items[0] = e->key;
                if (!finish(t, &e->value, &items[1]))
                        return false;
        }
        return true;
}

static bool finish(struct toml *t, const struct value *v, struct mv_form *ret)
{
        *ret = v->form;
        if (v->table)
                return finish_table(t, v->table, ret);
        if (!v->tables)
                return true;
        struct mv_form *items = mv_new(t->arena, struct mv_form, v->tables_count);
        if (!items)
                return no_room(t);
        ret->items = items;
        ret->count = v->tables_count;
        for (struct entry *e = v->tables; e; e = e->next, items++)
                if (!finish(t, &e->value, items))
                        return false;
        return true;
}

static bool read_document(struct toml *t, struct value *root)
{
        struct mv_form top = { .line = 1, .column = 1 };
        struct table *table;
        if (!make_table(t, root, &top))
                return false;
        table = root->table;
        for (;;) {
                if (!skip_space(t))
                        return false;
                if (t->p == t->end)
                        return true;
                bool ok = *t->p == '[' ? read_header(t, root->table, &table)
                                       : read_assignment(t, table) && end_line(t);
                if (!ok)
                        return false;
        }
}

int mv__read_toml(struct mv_slice text, struct mv_arena *a, struct mv_form *ret,
                  struct mv_syntax_error *ret_error, struct mv_err *err)
{
        struct toml t = { .p = text.p,
                          .end = text.p + text.len,
                          .line_start = text.p,
                          .line = 1,
                          .arena = a,
                          .error = ret_error };
        struct value root = { 0 };
        if (!mv_utf8_valid(text)) {
                fail_at(&t, 1, 1, "the text is not UTF-8");
                return mv_fail(err, MV_E_INVALID, 0, "%s", ret_error->message);
        }
        uint8_t *copy = mv_new(a, uint8_t, text.len + 1); /* bare keys point into the text */
        if (!copy)
                return mv_fail(err, MV_E_LIMIT, 0, "the text is too long");
        if (text.len)
                memcpy(copy, text.p, text.len);
        t.p = t.line_start = t.counted = copy;
        t.end = copy + text.len;
        if (read_document(&t, &root) && finish(&t, &root, ret))
                return 0;
        return mv_fail(err, t.full ? MV_E_LIMIT : MV_E_INVALID, 0, "%s", ret_error->message);
}
