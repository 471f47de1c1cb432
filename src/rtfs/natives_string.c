/* SPDX-License-Identifier: Apache-2.0 */
/* Strings and regular expressions (spec 7.4). All positions are code points; texts are copied only
 * when they change. */
#include <base/slice.h>
#include <rtfs/library.h>
#include <rtfs/regex.h>
#include <wire/text.h>

static enum native_status want_string(struct mv_rtfs *r, const char *op, val v)
{
        return v.tag == T_STRING ? N_OK : raise_type(r, op, "string", v);
}

static enum native_status charge_bytes(struct mv_rtfs *r, uint64_t bytes)
{
        return charge(r, bytes / 16);
}

static enum native_status str(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        if (count == 1 && args[0].tag == T_STRING)
                return give(ret, args[0]);
        val v;
        TRY(display_string(r, args, count, "", true, &v));
        if (charge_bytes(r, as_string(v)->len))
                return N_FATAL;
        return give(ret, v);
}

/* `string-join` is the same function under the same name. */
static enum native_status join(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        TRY(want_string(r, "join", args[0]));
        if (!is_sequence(args[1]))
                return raise_type(r, "join", "vector or list", args[1]);
        if (charge(r, sequence_count(args[1])))
                return N_FATAL;
        val parts = vec_builder(r), item;
        if (nomem(parts))
                return N_NOMEM;
        struct sequence s = sequence(args[1]);
        while (sequence_next(&s, &item)) {
                TRY(text_of(r, item, &item));
                TRY(push(r, parts, item));
        }
        val v = string_concat(r, parts, string_slice(args[0]));
        if (nomem(v))
                return N_NOMEM;
        if (charge_bytes(r, as_string(v)->len))
                return N_FATAL;
        return give(ret, v);
}

static enum native_status string_length(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        TRY(want_string(r, "string-length", args[0]));
        return give(ret, INT(as_string(args[0])->chars));
}

static enum native_status substring(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        if (count < 2)
                return raise_arity(r, "substring", "at least 2", count);
        if (count > 3)
                return raise_arity(r, "substring", "2 or 3", count);
        TRY(want_string(r, "substring", args[0]));
        for (uint32_t i = 1; i < count; i++)
                if (args[i].tag != T_INT)
                        return raise_type(r, "substring", "integer", args[i]);
        int64_t chars = as_string(args[0])->chars, from = args[1].i,
                to = count > 2 ? args[2].i : chars;
        if (from < 0 || to < from || to > chars)
                return raise_index(r, from, (uint64_t)chars);
        val part = string_part(r, args[0], (uint32_t)from, (uint32_t)to);
        if (nomem(part))
                return N_NOMEM;
        return charge_bytes(r, as_string(part)->len) ? N_FATAL : give(ret, part);
}

static enum native_status contains(struct mv_rtfs *r, const char *op, const val *args, val *ret)
{
        TRY(want_string(r, op, args[0]));
        TRY(want_string(r, op, args[1]));
        if (charge_bytes(r, as_string(args[0])->len))
                return N_FATAL;
        return give(ret, BOOL(string_contains(string_slice(args[0]), string_slice(args[1]))));
}

static enum native_status contains_plain(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        return contains(r, "string-contains", args, ret);
}

static enum native_status contains_question(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        return contains(r, "string-contains?", args, ret);
}

static enum native_status starts_with(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        if (args[0].tag != T_NIL)
                TRY(want_string(r, "starts-with?", args[0]));
        TRY(want_string(r, "starts-with?", args[1]));
        if (args[0].tag == T_NIL)
                return give(ret, BOOL(false));
        struct mv_slice s = string_slice(args[0]), prefix = string_slice(args[1]);
        if (s.len >= prefix.len && charge_bytes(r, prefix.len))
                return N_FATAL;
        return give(ret, BOOL(s.len >= prefix.len && memcmp(s.p, prefix.p, prefix.len) == 0));
}

/* --- split ------------------------------------------------------------------------------------ */
static enum native_status push_piece(struct mv_rtfs *r, val builder, struct mv_slice piece)
{
        val v = string_new(r, piece);
        return nomem(v) ? N_NOMEM : push(r, builder, v);
}

static enum native_status push_pieces(struct mv_rtfs *r, val builder, struct mv_slice s,
                                      struct mv_slice by)
{
        const uint8_t *end = s.p + s.len, *hit;
        const uint8_t *from = s.p;
        while ((hit = memmem(from, (size_t)(end - from), by.p, by.len)) != NULL) {
                TRY(push_piece(r, builder, mv_slice(from, (size_t)(hit - from))));
                from = hit + by.len;
        }
        return push_piece(r, builder, mv_slice(from, (size_t)(end - from)));
}

static enum native_status split(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        if (args[0].tag != T_NIL)
                TRY(want_string(r, "split", args[0]));
        TRY(want_string(r, "split", args[1]));
        struct mv_slice s = args[0].tag == T_NIL ? mv_slice("", 0) : string_slice(args[0]);
        if (charge(r, s.len / 4))
                return N_FATAL;
        val pieces = vec_builder(r);
        if (nomem(pieces))
                return N_NOMEM;
        if (as_string(args[1])->len == 0 && args[0].tag == T_STRING)
                TRY(push_chars(r, pieces, args[0]));
        else if (as_string(args[1])->len == 0)
                TRY(push_piece(r, pieces, s));
        else
                TRY(push_pieces(r, pieces, s, string_slice(args[1])));
        return give(ret, pieces);
}

/* --- case and space --------------------------------------------------------------------------- */
static bool letter_at(struct mv_slice s, size_t at)
{
        return at < s.len && mv_utf8_is_alpha(mv_utf8_next(s, &at));
}

static int lower(struct mv_slice s, size_t next, bool behind_letter, uint32_t c, uint32_t out[3])
{
        if (c == 0x3a3 && behind_letter && !letter_at(s, next)) { /* the sigma that ends a word */
                out[0] = 0x3c2;
                return 1;
        }
        return mv_utf8_lower(c, out);
}

/* The mapped text goes to o; with a NULL buffer of infinite size only the length is counted. */
static size_t map_case(struct mv_slice s, bool to_upper, uint8_t *text)
{
        size_t len = 0;
        bool behind_letter = false;
        for (size_t at = 0; at < s.len;) {
                uint32_t c = mv_utf8_next(s, &at), out[3];
                int n = to_upper ? mv_utf8_upper(c, out) : lower(s, at, behind_letter, c, out);
                behind_letter = mv_utf8_is_alpha(c);
                for (int i = 0; i < n; i++) {
                        uint8_t bytes[4];
                        struct mv_out o = mv_out(bytes, sizeof bytes);
                        mv_utf8_put(&o, out[i]);
                        if (text)
                                memcpy(text + len, bytes, o.len);
                        len += o.len;
                }
        }
        return len;
}

static enum native_status change_case(struct mv_rtfs *r, const char *op, bool to_upper, val v,
                                      val *ret)
{
        TRY(want_string(r, op, v));
        if (charge(r, as_string(v)->len / 2))
                return N_FATAL;
        uint8_t *text;
        val out = string_alloc(r, map_case(string_slice(v), to_upper, NULL), &text);
        if (nomem(out))
                return N_NOMEM;
        map_case(string_slice(v), to_upper, text);
        return give(ret, string_seal(out));
}

static enum native_status string_upper(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        return change_case(r, "string-upper", true, args[0], ret);
}

static enum native_status string_lower(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        return change_case(r, "string-lower", false, args[0], ret);
}

static enum native_status string_trim(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        TRY(want_string(r, "string-trim", args[0]));
        struct mv_slice s = string_slice(args[0]);
        if (charge_bytes(r, s.len))
                return N_FATAL;
        size_t from = s.len, to = 0;
        for (size_t at = 0; at < s.len;) {
                size_t start = at;
                if (mv_utf8_is_space(mv_utf8_next(s, &at)))
                        continue;
                if (from > start)
                        from = start;
                to = at;
        }
        if (from > to)
                return give(ret, string_new(r, mv_slice(s.p, 0)));
        return give(ret, from == 0 && to == s.len ? args[0]
                                                  : string_new(r, mv_slice(s.p + from, to - from)));
}

/* --- regular expressions ---------------------------------------------------------------------- */
static bool spend(void *ctx, uint64_t steps)
{
        return charge(ctx, steps / 2) == N_OK;
}

/* The program and its work memory are one block of heap garbage. *ret_why is set for a bad
 * pattern. */
static enum native_status regex_open(struct mv_rtfs *r, val pattern, struct regex **ret,
                                     const char **ret_why)
{
        struct regex_size size;
        *ret_why = NULL;
        if (charge(r, as_string(pattern)->len))
                return N_FATAL;
        if (!regex_measure(string_slice(pattern), &size, ret_why))
                return N_OK;
        if (charge(r, size.instructions))
                return N_FATAL;
        void *mem = work_memory(r, regex_bytes(&size));
        if (!mem)
                return N_NOMEM;
        *ret = regex_build(string_slice(pattern), &size, mem);
        return N_OK;
}

enum native_status regex_test(struct mv_rtfs *r, val pattern, struct mv_slice text, bool whole,
                              bool *ret, const char **ret_why)
{
        struct regex *re = NULL;
        struct regex_match m;
        TRY(regex_open(r, pattern, &re, ret_why));
        if (*ret_why)
                return N_OK;
        struct regex_meter meter = { spend, r };
        enum regex_result result = regex_search(re, text, 0, whole, &meter, &m);
        *ret = result == REGEX_YES;
        return result == REGEX_STOPPED ? N_FATAL : N_OK;
}

static enum native_status bad_pattern(struct mv_rtfs *r, val pattern, const char *why)
{
        char text[256];
        return raise_fmt(r, E_GENERIC, "Invalid regex pattern '%s': %s",
                         c_text(text, sizeof text, pattern), why);
}

/* Arguments of the three functions: pattern, then text or nil. */
static enum native_status regex_args(struct mv_rtfs *r, const char *op, const val *args)
{
        if (args[0].tag != T_STRING)
                return raise_type(r, op, "string (pattern)", args[0]);
        if (args[1].tag != T_STRING && args[1].tag != T_NIL)
                return raise_type(r, op, "string (text)", args[1]);
        return N_OK;
}

static enum native_status regex_of(struct mv_rtfs *r, val pattern, struct regex **ret)
{
        const char *why;
        TRY(regex_open(r, pattern, ret, &why));
        return why ? bad_pattern(r, pattern, why) : N_OK;
}

static enum native_status re_matches(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        bool yes = false;
        const char *why;
        TRY(regex_args(r, "re-matches", args));
        struct mv_slice text = args[1].tag == T_NIL ? mv_slice("", 0) : string_slice(args[1]);
        TRY(regex_test(r, args[0], text, true, &yes, &why));
        if (why)
                return bad_pattern(r, args[0], why);
        return give(ret, BOOL(yes && args[1].tag == T_STRING));
}

static enum native_status re_find(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        struct regex *re;
        struct regex_match m;
        TRY(regex_args(r, "re-find", args));
        TRY(regex_of(r, args[0], &re));
        if (args[1].tag == T_NIL)
                return give(ret, NIL);
        struct regex_meter meter = { spend, r };
        struct mv_slice text = string_slice(args[1]);
        enum regex_result result = regex_search(re, text, 0, false, &meter, &m);
        if (result == REGEX_STOPPED)
                return N_FATAL;
        return give(ret, result == REGEX_NO
                                 ? NIL
                                 : string_new(r, mv_slice(text.p + m.from, m.to - m.from)));
}

/* All matches from left to right; an empty match directly behind the one before is skipped. */
static enum native_status push_matches(struct mv_rtfs *r, val builder, struct regex *re,
                                       struct mv_slice text)
{
        struct regex_meter meter = { spend, r };
        struct regex_match m;
        size_t at = 0;
        uint32_t last_end = UINT32_MAX;
        for (;;) {
                enum regex_result result = regex_search(re, text, (uint32_t)at, false, &meter, &m);
                if (result != REGEX_YES)
                        return result == REGEX_STOPPED ? N_FATAL : N_OK;
                if (m.from != m.to || m.to != last_end)
                        TRY(push_piece(r, builder, mv_slice(text.p + m.from, m.to - m.from)));
                at = last_end = m.to;
                if (m.from != m.to)
                        continue;
                if (at >= text.len)
                        return N_OK;
                mv_utf8_next(text, &at);
        }
}

static enum native_status re_seq(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        struct regex *re;
        TRY(regex_args(r, "re-seq", args));
        TRY(regex_of(r, args[0], &re));
        if (args[1].tag == T_NIL)
                return give(ret, vec_empty(r));
        val matches = vec_builder(r);
        if (nomem(matches))
                return N_NOMEM;
        TRY(push_matches(r, matches, re, string_slice(args[1])));
        return give(ret, matches);
}

const struct native natives_string[] = {
        { "str", 0, -1, str, "Display forms in a row; strings without quotes.",
          "(str \"n=\" 5 nil)", "\"n=5nil\"", "value*", "string",
          "StackOverflow: a value nested deeper than 512 levels" },
        { "join", 2, 2, join, "Items of a sequence as by str, with a separator.",
          "(join \", \" [1 :a])", "\"1, :a\"", "separator coll", "string",
          "TypeError: the separator is no string, or coll is no vector or list" },
        { "string-join", 2, 2, join, "The same as join.", "(string-join \"/\" [\"usr\" \"bin\"])",
          "\"usr/bin\"", "separator coll", "string", "as join, under the name join" },
        { "string-length", 1, 1, string_length, "Code points of a string.",
          "(string-length \"日本語\")", "3", "string", "integer", "TypeError: not a string" },
        { "substring", -1, -1, substring, "Code points from start to before end.",
          "(substring \"abcdef\" 2 4)", "\"cd\"", "string start end?", "string",
          "TypeError: not a string, or not integers; IndexOutOfBounds: a range outside of the "
          "string" },
        { "string-contains", 2, 2, contains_plain, "Does the text occur in the first string?",
          "(string-contains \"haystack\" \"stack\")", "true", "string text", "boolean",
          "TypeError: not strings" },
        { "string-contains?", 2, 2, contains_question, "Does the text occur in the first string?",
          "(string-contains? \"abc\" \"b\")", "true", "string text", "boolean",
          "TypeError: not strings" },
        { "starts-with?", 2, 2, starts_with, "Does the string begin with the text?",
          "(starts-with? \"foobar\" \"foo\")", "true", "string text",
          "boolean; false when the string is nil", "TypeError: not strings" },
        { "split", 2, 2, split, "Pieces between literal separators; \"\" gives the characters.",
          "(split \"a-b\" \"-\")", "[\"a\" \"b\"]", "string separator", "vector of strings",
          "TypeError: not strings; nil counts as an empty string" },
        { "string-upper", 1, 1, string_upper, "Upper case.", "(string-upper \"straße\")",
          "\"STRASSE\"", "string", "string", "TypeError: not a string" },
        { "string-lower", 1, 1, string_lower, "Lower case.", "(string-lower \"ÀÉ\")", "\"àé\"",
          "string", "string", "TypeError: not a string" },
        { "string-trim", 1, 1, string_trim, "Without white space at both ends.",
          "(string-trim \"  x y \")", "\"x y\"", "string", "string", "TypeError: not a string" },
        { "re-matches", 2, 2, re_matches, "Does the pattern match the whole text?",
          "(re-matches \"a+\" \"aaa\")", "true", "pattern text",
          "boolean; false when the text is nil",
          "TypeError: not strings; Generic: no regular expression" },
        { "re-find", 2, 2, re_find, "First match of the pattern, or nil.",
          "(re-find \"[0-9]+\" \"abc 123\")", "\"123\"", "pattern text", "string or nil",
          "TypeError: not strings; Generic: no regular expression" },
        { "re-seq", 2, 2, re_seq, "All matches of the pattern, which do not overlap.",
          "(re-seq \"\\\\d\\\\d\" \"12345\")", "[\"12\" \"34\"]", "pattern text",
          "vector of strings", "TypeError: not strings; Generic: no regular expression" },
        { 0 },
};
