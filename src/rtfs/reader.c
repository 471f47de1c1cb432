/* SPDX-License-Identifier: Apache-2.0 */
/* Text to forms (spec section 1). A hand-written recursive descent over maximal tokens.
 *
 * (1) Forms are values: lists, vectors, symbols, literals. A map literal is a T_MAPFORM, which keeps source order.
 * (2) Special forms are not known here: the compiler recognises them by the head symbol. That is what removes the
 *     prefix-matching defects of spec 1.7.
 * (3) Depth is bounded by MV_SOURCE_DEPTH_MAX; items of an open collection wait on the unused part of the value stack.
 * (4) Reader macros become lists headed by names that contain a space and so cannot be written in a program:
 *     "context ref", "with meta", "delegate to". */
#include <base/limits.h>
#include <rtfs/reader.h>
#include <wire/text.h>

struct reader {
        struct mv_rtfs *r;
        const uint8_t *p, *end, *line_start;
        uint32_t line;
        uint32_t depth;
        uint32_t sp;    /* next free slot of the value stack */
        int anon_arity; /* inside #(): highest %n so far; -1: not inside */
        bool anon_rest;
        bool at_head; /* the next form is the first of a list */
        /* `characters` of the line stand before it: a line may be the whole source */
        const uint8_t *counted;
        uint32_t characters;
};

static uint32_t pos_of(struct reader *rd, const uint8_t *at)
{
        if (!rd->counted || rd->counted < rd->line_start || rd->counted > at) {
                rd->counted = rd->line_start;
                rd->characters = 0;
        }
        rd->characters +=
                (uint32_t)mv_utf8_count(mv_slice(rd->counted, (size_t)(at - rd->counted)));
        rd->counted = at;
        return pos_make(rd->line, rd->characters + 1);
}

static enum native_status fail_at(struct reader *rd, uint32_t pos, const char *what)
{
        rd->r->source_pos = pos;
        return raise_fmt(rd->r, E_PARSE, "%s", what);
}
static enum native_status fail(struct reader *rd, const char *what)
{
        return fail_at(rd, pos_of(rd, rd->p), what);
}

static bool is_digit(uint8_t c)
{
        return c >= '0' && c <= '9';
}
static bool is_name_start(uint8_t c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               (c != 0 && strchr("_$+-*/=<>!?%", c));
}
static bool is_name_char(uint8_t c)
{
        return is_name_start(c) || is_digit(c) || c == '.' || c == '@' || c == '&';
}
static bool is_delimiter(uint8_t c)
{
        return c == 0 || c <= ' ' || strchr("()[]{}\";,", c);
}

/* Whitespace, commas, line and block comments. */
static enum native_status skip_space(struct reader *rd)
{
        while (rd->p < rd->end) {
                uint8_t c = *rd->p;
                if (c == '\n') {
                        rd->line++;
                        rd->line_start = ++rd->p;
                } else if (c == ' ' || c == '\t' || c == '\r' || c == ',') {
                        rd->p++;
                } else if (c == ';') {
                        while (rd->p < rd->end && *rd->p != '\n')
                                rd->p++;
                } else if (c == '#' && rd->p + 1 < rd->end && rd->p[1] == '|') {
                        uint32_t opened = pos_of(rd, rd->p);
                        for (rd->p += 2;; rd->p++) {
                                if (rd->end - rd->p < 2)
                                        return fail_at(rd, opened, "block comment is not closed");
                                if (rd->p[0] == '|' && rd->p[1] == '#')
                                        break;
                                if (*rd->p == '\n') {
                                        rd->line++;
                                        rd->line_start = rd->p + 1;
                                }
                        }
                        rd->p += 2;
                } else {
                        break;
                }
        }
        return N_OK;
}

static enum native_status read_form(struct reader *rd, val *ret);

static enum native_status push(struct reader *rd, val v)
{
        if (rd->sp >= rd->r->stack_size)
                return raise_memory(rd->r, "reading the source: too many forms");
        rd->r->stack[rd->sp++] = v;
        return N_OK;
}

/* (name form) with an unwritable or plain name. */
static enum native_status wrap(struct reader *rd, const char *name, const val *items,
                               uint32_t count, val *ret)
{
        val form[4] = { symbol_new(rd->r, mv_slice_str(name)) };
        for (uint32_t i = 0; i < count; i++)
                form[1 + i] = items[i];
        *ret = nomem(form[0]) ? form[0] : list_new(rd->r, form, 1 + count);
        return nomem(*ret) ? N_NOMEM : N_OK;
}

/* --- tokens ----------------------------------------------------------------------------------- */
static bool hex4(const uint8_t *p, const uint8_t *end, uint32_t *ret)
{
        uint32_t v = 0;
        if (end - p < 4)
                return false;
        for (int i = 0; i < 4; i++) {
                uint8_t c = p[i];
                uint32_t d = is_digit(c)            ? (uint32_t)(c - '0')
                             : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                             : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                                    : 99u;
                if (d > 15)
                        return false;
                v = v << 4 | d;
        }
        *ret = v;
        return true;
}

/* \uXXXX at rd->p (behind the u); pairs combine, a lone surrogate is an error (R-08). */
static enum native_status read_unicode_escape(struct reader *rd, struct mv_out *o)
{
        uint32_t c, low;
        if (!hex4(rd->p, rd->end, &c))
                return fail(rd, "\\u needs four hexadecimal digits");
        rd->p += 4;
        if (c >= 0xd800 && c <= 0xdbff) {
                if (rd->end - rd->p < 6 || rd->p[0] != '\\' || rd->p[1] != 'u' ||
                    !hex4(rd->p + 2, rd->end, &low) || low < 0xdc00 || low > 0xdfff)
                        return fail(rd, "\\u surrogate without its second half");
                c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
                rd->p += 6;
        } else if (c >= 0xdc00 && c <= 0xdfff) {
                return fail(rd, "\\u surrogate without its first half");
        }
        mv_utf8_put(o, c);
        return N_OK;
}

static enum native_status read_escape(struct reader *rd, struct mv_out *o)
{
        static const char from[] = "ntr\\\"", to[] = "\n\t\r\\\"";
        uint8_t c = rd->p < rd->end ? *rd->p : 0;
        const char *at = c ? strchr(from, c) : NULL;
        if (c == 'u') {
                rd->p++;
                return read_unicode_escape(rd, o);
        }
        if (!at)
                return fail(rd, "unknown escape in string: use \\n \\t \\r \\\\ \\\" or \\uXXXX");
        rd->p++;
        mv_put_u8(o, (uint8_t)to[at - from]);
        return N_OK;
}

static enum native_status read_string(struct reader *rd, val *ret)
{
        uint32_t opened = pos_of(rd, rd->p);
        const uint8_t *q = ++rd->p;
        while (q < rd->end && *q != '"')
                q += *q == '\\' ? 2 : 1;
        if (q >= rd->end)
                return fail_at(rd, opened, "string is not closed");
        uint8_t *text;
        val v = string_alloc(rd->r, (size_t)(q - rd->p), &text); /* escapes only shrink */
        if (nomem(v))
                return N_NOMEM;
        struct mv_out o = mv_out(text, (size_t)(q - rd->p));
        while (*rd->p != '"') {
                uint8_t c = *rd->p++;
                if (c == '\\') {
                        enum native_status s = read_escape(rd, &o);
                        if (s)
                                return s;
                        continue;
                }
                if (c == '\n') {
                        rd->line++;
                        rd->line_start = rd->p;
                }
                mv_put_u8(&o, c);
        }
        rd->p++;
        as_string(v)->len = (uint32_t)o.len;
        *ret = string_seal(v);
        return N_OK;
}

static bool matches(struct mv_slice t, const char *shape)
{ /* d: digit, h: hex digit, else itself; the whole of shape must match a prefix of t */
        size_t i = 0;
        for (; *shape; shape++, i++) {
                uint8_t c = i < t.len ? t.p[i] : 0;
                bool hex = is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
                if (*shape == 'd' ? !is_digit(c) : *shape == 'h' ? !hex : c != (uint8_t)*shape)
                        return false;
        }
        return true;
}

static bool is_timestamp(struct mv_slice t)
{
        if (!matches(t, "dddd-dd-ddTdd:dd:dd"))
                return false;
        struct mv_slice rest = mv_slice(t.p + 19, t.len - 19);
        return (rest.len == 1 && rest.p[0] == 'Z') ||
               (rest.len == 5 && (matches(rest, "_dddZ") || matches(rest, ".dddZ")));
}
static bool is_uuid(struct mv_slice t)
{
        return t.len == 36 && matches(t, "hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh");
}

/* Digits on both sides of a point, or an exponent without one (R-09). */
static bool is_float_text(struct mv_slice t)
{
        size_t i = t.len && (t.p[0] == '+' || t.p[0] == '-'), digits = i;
        bool point = false, exponent = false;
        for (; i < t.len; i++) {
                if (is_digit(t.p[i]))
                        continue;
                if (t.p[i] == '.' && !point && !exponent && i > digits && i + 1 < t.len &&
                    is_digit(t.p[i + 1])) {
                        point = true;
                } else if ((t.p[i] == 'e' || t.p[i] == 'E') && !exponent && i > digits) {
                        exponent = true;
                        if (i + 1 < t.len && (t.p[i + 1] == '+' || t.p[i + 1] == '-'))
                                i++;
                        if (i + 1 >= t.len)
                                return false;
                } else {
                        return false;
                }
        }
        return point || exponent;
}

static enum native_status read_number(struct reader *rd, struct mv_slice t, uint32_t pos, val *ret)
{
        int64_t i;
        double f;
        if (mv_parse_int(t, &i)) {
                *ret = INT(i);
                return N_OK;
        }
        if (is_float_text(t) && mv_parse_float(t, &f)) {
                *ret = FLOAT(f);
                return N_OK;
        }
        if (is_timestamp(t) || is_uuid(t)) {
                *ret = string_new(rd->r, t);
                return nomem(*ret) ? N_NOMEM : N_OK;
        }
        bool digits_only = true;
        for (size_t k = 1; k < t.len; k++)
                digits_only = digits_only && is_digit(t.p[k]);
        return fail_at(rd, pos,
                       digits_only ? "integer out of the 64-bit range" : "malformed number");
}

/* Length of the symbol at p, 0 when none starts there. A colon belongs to it only as the version mark of
 * `ns:v1.0/name`; in configuration text in front of any name. */
static size_t symbol_length(const uint8_t *p, const uint8_t *end, bool colons)
{
        const uint8_t *q = p;
        if (q < end && *q == '.' && q + 1 < end && is_name_start(q[1]) && q[1] != '%')
                q++;
        else if (q >= end || !is_name_start(*q))
                return 0;
        for (bool version = false; q < end; q++) {
                if (is_name_char(*q))
                        continue;
                if (colons && *q == ':' && end - q > 1 && is_name_start(q[1]))
                        continue;
                if (*q != ':' || version || end - q < 3 || q[1] != 'v' || !is_digit(q[2]))
                        break;
                version = true;
        }
        return (size_t)(q - p);
}

size_t reader_symbol_length(struct mv_slice s)
{
        return symbol_length(s.p, s.p + s.len, false);
}

static enum native_status check_token_end(struct reader *rd)
{
        if (rd->p < rd->end && !is_delimiter(*rd->p) && *rd->p != ':')
                return fail(rd, "character not allowed in a name");
        return N_OK;
}

static enum native_status read_keyword(struct reader *rd, val *ret)
{
        size_t n = symbol_length(rd->p + 1, rd->end, rd->r->options.config_text);
        if (n == 0) { /* a bare colon: type annotations are written `x : int` */
                uint8_t next = rd->p + 1 < rd->end ? rd->p[1] : ' ';
                if (!is_delimiter(next))
                        return fail(rd, "malformed keyword");
                *ret = symbol_new(rd->r, MV_SLICE(":"));
                ret->pos = pos_of(rd, rd->p++);
                return nomem(*ret) ? N_NOMEM : N_OK;
        }
        *ret = keyword_new(rd->r, mv_slice(rd->p + 1, n));
        rd->p += 1 + n;
        return nomem(*ret) ? N_NOMEM : check_token_end(rd);
}

/* Inside #(): % is %1; the highest %n is the arity, %& the rest. */
static struct mv_slice anon_name(struct reader *rd, struct mv_slice t)
{
        if (rd->anon_arity < 0 || t.p[0] != '%')
                return t;
        if (t.len == 1) {
                rd->anon_arity = rd->anon_arity > 1 ? rd->anon_arity : 1;
                return MV_SLICE("%1");
        }
        int64_t n;
        if (mv_parse_int(mv_slice(t.p + 1, t.len - 1), &n) && n >= 1 && n <= 20 && is_digit(t.p[1]))
                rd->anon_arity = rd->anon_arity > n ? rd->anon_arity : (int)n;
        else if (mv_slice_eq_str(t, "%&"))
                rd->anon_rest = true;
        return t;
}

static enum native_status read_symbol(struct reader *rd, val *ret)
{
        uint32_t pos = pos_of(rd, rd->p);
        size_t n = symbol_length(rd->p, rd->end, rd->r->options.config_text);
        struct mv_slice t = mv_slice(rd->p, n);
        size_t left = (size_t)(rd->end - rd->p);
        if (left >= 36 && is_uuid(mv_slice(rd->p, 36)) && (left == 36 || is_delimiter(rd->p[36]))) {
                *ret = string_new(rd->r, mv_slice(rd->p, 36));
                rd->p += 36;
                return nomem(*ret) ? N_NOMEM : N_OK;
        }
        if (n == 0)
                return fail(rd, "unexpected character");
        if (mv_slice_eq_str(t, "resource") && left >= 12 && memcmp(rd->p, "resource:ref", 12) == 0)
                t.len = 12;
        rd->p += t.len;
        if (mv_slice_eq_str(t, "nil"))
                *ret = NIL;
        else if (mv_slice_eq_str(t, "true"))
                *ret = BOOL(true);
        else if (mv_slice_eq_str(t, "false"))
                *ret = BOOL(false);
        else if (t.len == 12 && mv_slice_eq_str(t, "resource:ref"))
                *ret = symbol_new(rd->r, MV_SLICE("context ref"));
        else
                *ret = symbol_new(rd->r, anon_name(rd, t));
        ret->pos = ret->tag == T_SYMBOL ? pos : 0;
        return nomem(*ret) ? N_NOMEM : check_token_end(rd);
}

static enum native_status read_resource(struct reader *rd, val *ret)
{
        const uint8_t *q = rd->p;
        while (q<rd->end && * q> ' ')
                q++;
        if (q - rd->p <= 11)
                return fail(rd, "empty resource handle");
        if (!mv_utf8_valid(mv_slice(rd->p, (size_t)(q - rd->p))))
                return fail(rd, "source is not UTF-8");
        *ret = string_new(rd->r, mv_slice(rd->p, (size_t)(q - rd->p)));
        rd->p = q;
        return nomem(*ret) ? N_NOMEM : N_OK;
}

static enum native_status read_atom(struct reader *rd, val *ret)
{
        uint8_t c = *rd->p;
        bool number = is_digit(c) ||
                      ((c == '+' || c == '-') && rd->p + 1 < rd->end && is_digit(rd->p[1]));
        if (rd->end - rd->p >= 11 && memcmp(rd->p, "resource://", 11) == 0)
                return read_resource(rd, ret);
        if (!number)
                return read_symbol(rd, ret);
        uint32_t pos = pos_of(rd, rd->p);
        const uint8_t *q = rd->p;
        while (q < rd->end && !is_delimiter(*q))
                q++;
        struct mv_slice t = mv_slice(rd->p, (size_t)(q - rd->p));
        rd->p = q;
        return read_number(rd, t, pos, ret);
}

/* --- collections ------------------------------------------------------------------------------ */
static enum native_status read_until(struct reader *rd, uint8_t close, uint32_t opened,
                                     const char *what)
{
        uint32_t first = rd->sp;
        for (;;) {
                enum native_status s = skip_space(rd);
                if (s)
                        return s;
                if (rd->p >= rd->end)
                        return fail_at(rd, opened, what);
                if (*rd->p == close) {
                        rd->p++;
                        return N_OK;
                }
                if (strchr(")]}", *rd->p))
                        return fail(rd, "closing bracket does not match the opening one");
                val v;
                rd->at_head = close == ')' && rd->sp == first;
                s = read_form(rd, &v);
                if (s == N_OK)
                        s = push(rd, v);
                if (s)
                        return s;
        }
}

static enum native_status make_list(struct reader *rd, uint32_t from, uint32_t pos, val *ret)
{
        val *items = rd->r->stack + from;
        uint32_t count = rd->sp - from;
        if (count && items[0].tag == T_SYMBOL) { /* (.m x) reads as (m x) */
                struct mv_slice head = name_slice(items[0]);
                if (head.len > 1 && head.p[0] == '.') {
                        uint32_t at = items[0].pos;
                        items[0] = symbol_new(rd->r, mv_slice(head.p + 1, head.len - 1));
                        items[0].pos = at;
                        if (nomem(items[0]))
                                return N_NOMEM;
                }
        }
        *ret = list_new(rd->r, items, count);
        if (nomem(*ret))
                return N_NOMEM;
        if (count)
                as_cons(*ret)->pos = pos;
        return N_OK;
}

static enum native_status make_vector(struct reader *rd, uint32_t from, uint32_t pos, val *ret)
{
        *ret = vec_builder(rd->r);
        for (uint32_t i = from; !nomem(*ret) && i < rd->sp; i++)
                if (!vec_push(rd->r, *ret, rd->r->stack[i]))
                        return N_NOMEM;
        if (nomem(*ret))
                return N_NOMEM;
        as_vec(*ret)->line = pos >> POS_COLUMN_BITS;
        as_vec(*ret)->column = pos & POS_COLUMN_MASK;
        return N_OK;
}

static enum native_status make_map(struct reader *rd, uint32_t from, uint32_t pos, val *ret)
{
        if ((rd->sp - from) & 1)
                return fail_at(rd, pos, "map literal needs a value for every key");
        enum native_status s = make_vector(rd, from, pos, ret);
        ret->tag = T_MAPFORM;
        return s;
}

static enum native_status read_collection(struct reader *rd, val *ret)
{
        uint32_t from = rd->sp, pos = pos_of(rd, rd->p);
        uint8_t open = *rd->p++;
        enum native_status s;
        if (open == '(')
                s = read_until(rd, ')', pos, "list is not closed");
        else if (open == '[')
                s = read_until(rd, ']', pos, "vector is not closed");
        else
                s = read_until(rd, '}', pos, "map is not closed");
        if (s == N_OK)
                s = open == '('   ? make_list(rd, from, pos, ret)
                    : open == '[' ? make_vector(rd, from, pos, ret)
                                  : make_map(rd, from, pos, ret);
        rd->sp = from;
        return s;
}

/* #( call ) : (fn [%1 .. %n & %&] (call)) */
static enum native_status read_anon(struct reader *rd, val *ret)
{
        if (rd->anon_arity >= 0)
                return fail(rd, "#() cannot be nested");
        rd->anon_arity = 0;
        rd->anon_rest = false;
        uint32_t from = rd->sp;
        val call, params, fn;
        rd->p++;
        enum native_status s = read_collection(rd, &call);
        for (int i = 1; s == N_OK && i <= rd->anon_arity; i++) {
                char b[8];
                size_t n = mv_fmt(b, sizeof b, "%%%d", i);
                s = push(rd, symbol_new(rd->r, mv_slice(b, n)));
        }
        if (s == N_OK && rd->anon_rest && (s = push(rd, symbol_new(rd->r, MV_SLICE("&")))) == N_OK)
                s = push(rd, symbol_new(rd->r, MV_SLICE("%&")));
        rd->anon_arity = -1;
        if (s)
                return s;
        s = make_vector(rd, from, 0, &params);
        rd->sp = from;
        if (s)
                return s;
        fn = symbol_new(rd->r, MV_SLICE("fn"));
        val items[3] = { fn, params, call };
        *ret = nomem(fn) ? fn : list_new(rd->r, items, 3);
        return nomem(*ret) ? N_NOMEM : N_OK;
}

static enum native_status read_hash(struct reader *rd, val *ret)
{
        static const struct {
                const char *text;
                double value;
        } specials[] = {
                { "##Inf", __builtin_inf() },
                { "##-Inf", -__builtin_inf() },
                { "##NaN", __builtin_nan("") },
        };
        if (rd->p + 1 < rd->end && rd->p[1] == '(')
                return read_anon(rd, ret);
        for (size_t i = 0; i < 3; i++) {
                size_t n = strlen(specials[i].text);
                if ((size_t)(rd->end - rd->p) >= n && memcmp(rd->p, specials[i].text, n) == 0) {
                        rd->p += n;
                        *ret = FLOAT(specials[i].value);
                        return check_token_end(rd);
                }
        }
        return fail(rd, "unknown # form: there are #( ), #| |#, ##Inf, ##-Inf and ##NaN");
}

/* Read the next form after a reader macro's mark; end of input is an error. */
static enum native_status read_operand(struct reader *rd, val *ret)
{
        enum native_status s = skip_space(rd);
        if (s)
                return s;
        return rd->p < rd->end ? read_form(rd, ret) : fail(rd, "form expected");
}

static enum native_status read_wrapped(struct reader *rd, size_t mark, const char *name, val *ret)
{
        uint32_t pos = pos_of(rd, rd->p);
        rd->p += mark;
        val v;
        enum native_status s = read_operand(rd, &v);
        if (s == N_OK)
                s = wrap(rd, name, &v, 1, ret);
        if (s == N_OK)
                as_cons(*ret)->pos = pos;
        return s;
}

static enum native_status read_context(struct reader *rd, val *ret)
{
        bool keyword = rd->p + 1 < rd->end && rd->p[1] == ':';
        uint32_t pos = pos_of(rd, rd->p);
        rd->p += keyword ? 2 : 1;
        size_t n = symbol_length(rd->p, rd->end, rd->r->options.config_text);
        if (n == 0)
                return fail(rd, "name expected after @");
        val v = keyword ? symbol_new(rd->r, mv_slice(rd->p, n))
                        : string_new(rd->r, mv_slice(rd->p, n));
        rd->p += n;
        if (nomem(v))
                return N_NOMEM;
        if (keyword) {
                v.pos = pos;
                *ret = v;
                return N_OK;
        }
        return wrap(rd, "context ref", &v, 1, ret);
}

/* ^:delegation TARGET ["id"] : (delegate to "model-call:id") or (delegate to nil) */
static enum native_status read_delegation(struct reader *rd, val *ret)
{
        val target, id = NIL;
        enum native_status s = read_operand(rd, &target);
        if (s)
                return s;
        if (target.tag != T_KEYWORD)
                return fail(rd,
                            "delegation target is :local, :local-model \"id\" or :remote \"id\"");
        struct mv_slice t = name_slice(target);
        if (!mv_slice_eq_str(t, "local")) {
                if (!mv_slice_eq_str(t, "local-model") && !mv_slice_eq_str(t, "remote"))
                        return fail(rd, "delegation target is :local, :local-model \"id\" or "
                                        ":remote \"id\"");
                s = read_operand(rd, &id);
                if (s)
                        return s;
                if (id.tag != T_STRING)
                        return fail(rd, "delegation target needs a model id in quotes");
                val parts[2] = { string_from(rd->r, "model-call:"), id };
                if (nomem(parts[0]) || (s = display_string(rd->r, parts, 2, "", true, &id)))
                        return nomem(parts[0]) ? N_NOMEM : s;
        }
        return wrap(rd, "delegate to", &id, 1, ret);
}

static enum native_status read_meta(struct reader *rd, val *ret)
{
        val items[2];
        uint32_t pos = pos_of(rd, rd->p);
        rd->p++;
        enum native_status s = read_operand(rd, &items[0]);
        if (s)
                return s;
        if (items[0].tag == T_KEYWORD && mv_slice_eq_str(name_slice(items[0]), "delegation"))
                return read_delegation(rd, ret);
        if (items[0].tag == T_KEYWORD) { /* ^:flag is ^{:flag true} (R-11) */
                val pair[2] = { items[0], BOOL(true) };
                items[0] = vec_new(rd->r, pair, 2);
                if (nomem(items[0]))
                        return N_NOMEM;
                items[0].tag = T_MAPFORM;
        }
        if (items[0].tag != T_MAPFORM)
                return fail_at(rd, pos, "metadata is a map or a keyword");
        s = read_operand(rd, &items[1]);
        return s ? s : wrap(rd, "with meta", items, 2, ret);
}

static enum native_status read_mark(struct reader *rd, val *ret)
{
        switch (*rd->p) {
        case '(':
        case '[':
        case '{':
                return read_collection(rd, ret);
        case ')':
        case ']':
        case '}':
                return fail(rd, "closing bracket without an opening one");
        case '"':
                return read_string(rd, ret);
        case ':':
                return read_keyword(rd, ret);
        case '#':
                return read_hash(rd, ret);
        case '\'':
                return read_wrapped(rd, 1, "quote", ret);
        case '`':
                return read_wrapped(rd, 1, "quasiquote", ret);
        case '~':
                if (rd->p + 1 < rd->end && rd->p[1] == '@')
                        return read_wrapped(rd, 2, "unquote-splicing", ret);
                return read_wrapped(rd, 1, "unquote", ret);
        case '@':
                return read_context(rd, ret);
        case '^':
                return read_meta(rd, ret);
        case '&': { /* only meaningful inside parameter lists and patterns */
                uint32_t pos = pos_of(rd, rd->p);
                rd->p++;
                *ret = symbol_new(rd->r, MV_SLICE("&"));
                ret->pos = pos;
                return nomem(*ret) ? N_NOMEM : check_token_end(rd);
        }
        case 0xce: /* lambda: a synonym of fn at the head of a list */
                if (rd->at_head && rd->p + 1 < rd->end && rd->p[1] == 0xbb) {
                        rd->p += 2;
                        *ret = symbol_new(rd->r, MV_SLICE("fn"));
                        return nomem(*ret) ? N_NOMEM : check_token_end(rd);
                }
                return fail(rd, "unexpected character");
        default:
                return read_atom(rd, ret);
        }
}

static enum native_status read_form(struct reader *rd, val *ret)
{
        if (rd->depth >= MV_SOURCE_DEPTH_MAX)
                return fail(rd, "nested too deeply");
        if (rd->r->interrupt)
                return charge(rd->r, 0); /* reading takes no fuel, but it may take long */
        uint32_t pos = rd->r->options.config_text ? pos_of(rd, rd->p) : 0;
        rd->depth++;
        enum native_status s = read_mark(rd, ret);
        rd->depth--;
        if (s == N_OK && pos)
                ret->pos = pos;
        return s;
}

enum native_status read_source(struct mv_rtfs *r, struct mv_slice source, val *ret_forms)
{
        struct reader rd = { .r = r,
                             .p = source.p,
                             .end = source.p + source.len,
                             .line_start = source.p,
                             .line = 1,
                             .sp = r->stack_top,
                             .anon_arity = -1 };
        if (!mv_utf8_valid(source))
                return fail(&rd, "source is not UTF-8");
        uint32_t from = rd.sp;
        for (;;) {
                enum native_status s = skip_space(&rd);
                if (s)
                        return s;
                if (rd.p >= rd.end)
                        break;
                val v;
                s = read_form(&rd, &v);
                if (s == N_OK)
                        s = push(&rd, v);
                if (s)
                        return s;
        }
        *ret_forms = list_new(r, r->stack + from, rd.sp - from);
        return nomem(*ret_forms) ? N_NOMEM : N_OK;
}
