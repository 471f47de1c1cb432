/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"
#include <base/limits.h>
#include <base/slice.h>
#include <wire/text.h>
#include <math.h>
#include <stdlib.h>

/* --- UTF-8 ------------------------------------------------------------------------------------ */
/* The definition, written a second time: decode, then ask whether encoding gives the same bytes. */
static bool is_one_code_point(const uint8_t *p, size_t n)
{
        static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
        if (n == 1)
                return p[0] < 0x80;
        if (n == 0 || n > 4 || (unsigned)p[0] >> (7 - n) != (1u << (n + 1)) - 2)
                return false;
        uint32_t c = p[0] & (0x7fu >> n);
        for (size_t i = 1; i < n; i++) {
                if ((p[i] & 0xc0) != 0x80)
                        return false;
                c = c << 6 | (p[i] & 0x3f);
        }
        return c >= least[n] && c <= 0x10ffff && !(c >= 0xd800 && c <= 0xdfff);
}

TEST(utf8_is_valid_exactly_when_the_definition_says_so)
{
        uint8_t b[4];
        for (uint32_t first = 0; first < 256; first++)
                for (uint32_t second = 0; second < 256; second++) {
                        b[0] = (uint8_t)first, b[1] = (uint8_t)second;
                        bool two = is_one_code_point(b, 2) || (first < 0x80 && second < 0x80);
                        CHECK(mv_utf8_valid(mv_slice(b, 2)) == two);
                        for (b[2] = 0x7f, b[3] = 0xbf; b[2] <= 0xc0; b[2]++) {
                                CHECK(!(first >= 0xe0 && first < 0xf0) ||
                                      mv_utf8_valid(mv_slice(b, 3)) == is_one_code_point(b, 3));
                                CHECK(first < 0xf0 ||
                                      mv_utf8_valid(mv_slice(b, 4)) == is_one_code_point(b, 4));
                        }
                }
}

TEST(every_code_point_is_written_and_read_back)
{
        for (uint32_t c = 0; c <= 0x110000; c++) {
                uint8_t b[4];
                size_t at = 0;
                struct mv_out o = mv_out(b, sizeof b);
                bool exists = c <= 0x10ffff && !(c >= 0xd800 && c <= 0xdfff);
                CHECK(mv_utf8_put(&o, c) == exists);
                if (!exists)
                        continue;
                CHECK(mv_utf8_valid(mv_out_slice(&o)) && mv_utf8_next(mv_out_slice(&o), &at) == c &&
                      at == o.len);
        }
}

TEST(invalid_text_after_a_long_valid_run_is_found)
{
        char text[64];
        memset(text, 'a', sizeof text);
        for (size_t i = 0; i < sizeof text; i++) {
                text[i] = (char)0xff;
                CHECK(!mv_utf8_valid(mv_slice(text, sizeof text)) &&
                      mv_utf8_valid(mv_slice(text, i)));
                text[i] = 'a';
        }
        CHECK(mv_utf8_valid(mv_slice(text, sizeof text)) && mv_utf8_valid(mv_slice(NULL, 0)));
}

TEST(positions_are_code_points)
{
        struct mv_slice s = MV_SLICE("aé日😀z");
        CHECK(mv_utf8_count(s) == 5);
        static const size_t offsets[] = { 0, 1, 3, 6, 10, 11, 11 };
        for (size_t i = 0; i < 7; i++)
                CHECK(mv_utf8_offset(s, i) == offsets[i]);
        CHECK(mv_utf8_count(MV_SLICE("")) == 0 && mv_utf8_offset(MV_SLICE(""), 0) == 0);
}

TEST(reading_text_that_was_not_checked_stays_inside)
{
        size_t at = 0;
        struct mv_slice s = MV_SLICE("\xf0\x9f");
        while (at < s.len)
                mv_utf8_next(s, &at);
        CHECK(at == 2 && mv_utf8_next(s, &at) == 0 && at == 2);
}

static const char *mapped(int (*map)(uint32_t, uint32_t[3]), uint32_t c)
{
        static char b[16];
        uint32_t to[3];
        struct mv_out o = mv_out(b, sizeof b - 1);
        int n = map(c, to);
        for (int i = 0; i < n; i++)
                mv_utf8_put(&o, to[i]);
        b[o.len] = 0;
        return b;
}

TEST(case_mapping_is_full)
{
        CHECK_STR(mapped(mv_utf8_upper, 0xdf), "SS");
        CHECK_STR(mapped(mv_utf8_upper, 'a'), "A");
        CHECK_STR(mapped(mv_utf8_upper, 0xff), "Ÿ");
        CHECK_STR(mapped(mv_utf8_upper, 0xfb03), "FFI");
        CHECK_STR(mapped(mv_utf8_upper, 0x1f80), "ἈΙ");
        CHECK_STR(mapped(mv_utf8_upper, 0x17f), "S");
        CHECK_STR(mapped(mv_utf8_upper, 0x65e5), "日");
        CHECK_STR(mapped(mv_utf8_lower, 0xc0), "à");
        CHECK_STR(mapped(mv_utf8_lower, 0x130), "i̇");
        CHECK_STR(mapped(mv_utf8_lower, 0x100), "ā");
        CHECK_STR(mapped(mv_utf8_lower, 0x101), "ā");
        CHECK_STR(mapped(mv_utf8_lower, 0x1e9e), "ß");
        CHECK_STR(mapped(mv_utf8_lower, 0x10400), "𐐨");
        CHECK_STR(mapped(mv_utf8_upper, '1'), "1");
}

TEST(properties_follow_unicode)
{
        CHECK(mv_utf8_is_space(' ') && mv_utf8_is_space('\n') && mv_utf8_is_space(0x85) &&
              mv_utf8_is_space(0xa0));
        CHECK(mv_utf8_is_space(0x2003) && mv_utf8_is_space(0x3000) && !mv_utf8_is_space(0x200b) &&
              !mv_utf8_is_space(0x1c));
        CHECK(!mv_utf8_is_space('a') && !mv_utf8_is_space(0) && !mv_utf8_is_space(0x10ffff));
        CHECK(mv_utf8_is_alpha('z') && mv_utf8_is_alpha('A') && mv_utf8_is_alpha(0xe9) &&
              mv_utf8_is_alpha(0x65e5));
        CHECK(!mv_utf8_is_alpha('@') && !mv_utf8_is_alpha('[') && !mv_utf8_is_alpha('{') &&
              !mv_utf8_is_alpha('1'));
        CHECK(mv_utf8_is_digit('0') && mv_utf8_is_digit(0x661) && !mv_utf8_is_digit('a') &&
              !mv_utf8_is_digit(0xb2));
}

/* --- strings and trees ------------------------------------------------------------------------ */
#define TEXT(k, s) ((struct mv_value){ .kind = (k), .text = MV_SLICE(s) })
#define INT(i)     ((struct mv_value){ .kind = MV_INT, .integer = (i) })
#define FLOAT(f)   ((struct mv_value){ .kind = MV_FLOAT, .real = (f) })
#define NIL        ((struct mv_value){ .kind = MV_NIL })
#define SEQ(k, ...)                                                                                \
        ((struct mv_value){ .kind = (k),                                                           \
                            .count = sizeof((struct mv_value[]){ __VA_ARGS__ }) /                  \
                                     sizeof(struct mv_value),                                      \
                            .items = (struct mv_value[]){ __VA_ARGS__ } })
#define MAP(...)                                                                                   \
        ((struct mv_value){ .kind = MV_MAP,                                                        \
                            .count = sizeof((struct mv_entry[]){ __VA_ARGS__ }) /                  \
                                     sizeof(struct mv_entry),                                      \
                            .entries = (struct mv_entry[]){ __VA_ARGS__ } })

static const char *shown(char *(*print)(const struct mv_value *, size_t *),
                         const struct mv_value *v)
{
        static char copy[4000];
        size_t len;
        char *s = print(v, &len);
        if (!s)
                return NULL;
        CHECK(strlen(s) <= len && len < sizeof copy);
        snprintf(copy, sizeof copy, "%s", s);
        free(s);
        return copy;
}
#define DISPLAY(v)  shown(mv_value_display, &(v))
#define READABLE(v) shown(mv_value_readable, &(v))
#define JSON(v)     shown(mv_value_json, &(v))

TEST(display_form_is_that_of_the_language) /* spec 2.6, REQ-VAL-05 */
{
        struct mv_value error =
                SEQ(MV_ERROR, TEXT(MV_STRING, "Generic"), TEXT(MV_STRING, "Runtime error: x"), NIL);
        CHECK_STR(DISPLAY(NIL), "nil");
        CHECK_STR(DISPLAY(TEXT(MV_STRING, "a\"b\n")), "\"a\"b\n\"");
        CHECK_STR(DISPLAY(SEQ(MV_VECTOR, INT(1), FLOAT(2), TEXT(MV_KEYWORD, "k"),
                              TEXT(MV_SYMBOL, "s"))),
                  "[1 2 :k s]");
        CHECK_STR(DISPLAY(((struct mv_value){ .kind = MV_LIST })), "()");
        CHECK_STR(DISPLAY(((struct mv_value){ .kind = MV_MAP })), "{}");
        CHECK_STR(DISPLAY(((struct mv_value){ .kind = MV_FUNCTION })), "#<function>");
        CHECK_STR(DISPLAY(error), "#<error: Runtime error: x>");
        CHECK_STR(DISPLAY(((struct mv_value){ .kind = MV_BOOL, .boolean = true })), "true");
}

TEST(map_entries_print_in_canonical_order_whatever_their_own)
{
        struct mv_value m = MAP({ INT(10), NIL }, { INT(9), NIL }, { TEXT(MV_STRING, "b"), NIL },
                                { TEXT(MV_STRING, "a"), NIL }, { TEXT(MV_KEYWORD, "z"), NIL });
        CHECK_STR(DISPLAY(m), "{:z nil \"a\" nil \"b\" nil 9 nil 10 nil}");
        CHECK_STR(JSON(m), "{\"10\":null,\"9\":null,\"a\":null,\"b\":null,\"z\":null}");
}

TEST(readable_text_reads_back)
{
        CHECK_STR(READABLE(TEXT(MV_STRING, "a\"b\\\n\t\r\x01\x7f\xc2\x9bé")),
                  "\"a\\\"b\\\\\\n\\t\\r\\u0001\\u007f\\u009bé\"");
        CHECK_STR(READABLE(SEQ(MV_LIST, FLOAT(2), FLOAT(INFINITY))), "(2.0 ##Inf)");
        CHECK_STR(READABLE(MAP({ TEXT(MV_STRING, "\n"), NIL })), "{\"\\n\" nil}");
}

TEST(json_text_of_a_value) /* REQ-VAL-08, spec 7.8 */
{
        CHECK_STR(JSON(SEQ(MV_VECTOR, INT(1), TEXT(MV_STRING, "x"), NIL)), "[1,\"x\",null]");
        CHECK_STR(JSON(SEQ(MV_LIST, FLOAT(2))), "[2.0]");
        CHECK_STR(JSON(MAP({ TEXT(MV_KEYWORD, "b"), INT(2) }, { TEXT(MV_KEYWORD, "a"), INT(1) })),
                  "{\"a\":1,\"b\":2}");
        CHECK_STR(JSON(MAP({ TEXT(MV_KEYWORD, "a"), INT(1) }, { TEXT(MV_STRING, "a"), INT(2) })),
                  "{\"a\":1}");
        CHECK_STR(JSON(TEXT(MV_KEYWORD, "k")), "\":k\"");
        CHECK_STR(JSON(TEXT(MV_STRING, "a\"b\\c\n\b\f\x01日\x7f")),
                  "\"a\\\"b\\\\c\\n\\b\\f\\u0001日\x7f\"");
        CHECK_STR(JSON(((struct mv_value){ .kind = MV_MAP })), "{}");
}

TEST(an_external_reader_gets_keywords_without_their_colon) /* */
{
        char b[32];
        const char *why;
        struct mv_out o = mv_out(b, sizeof b);
        struct mv_value v =
                SEQ(MV_VECTOR, TEXT(MV_KEYWORD, "k"), MAP({ TEXT(MV_KEYWORD, "a"), NIL }));
        CHECK(mv_print_json_external(&o, &v, &why) &&
              mv_slice_eq_str(mv_out_slice(&o), "[\"k\",{\"a\":null}]"));
}

static const char *why_no_json(struct mv_value v)
{
        static char b[64];
        const char *why = "not written";
        struct mv_out o = mv_out(b, sizeof b);
        CHECK(!mv_print_json(&o, &v, &why) && !mv_value_json(&v, NULL));
        return why;
}

TEST(what_has_no_json_form_says_why) /* REQ-VAL-09 */
{
        struct mv_value error =
                SEQ(MV_ERROR, TEXT(MV_STRING, "Generic"), TEXT(MV_STRING, "x"), NIL);
        CHECK_STR(why_no_json((struct mv_value){ .kind = MV_FUNCTION }),
                  "Cannot serialize functions to JSON");
        CHECK_STR(why_no_json(SEQ(MV_VECTOR, error)), "Cannot serialize errors to JSON");
        CHECK_STR(why_no_json(FLOAT(NAN)), "Invalid float value for JSON");
        CHECK_STR(why_no_json(FLOAT(-INFINITY)), "Invalid float value for JSON");
        CHECK_STR(why_no_json(MAP({ TEXT(MV_SYMBOL, "s"), NIL })),
                  "Cannot serialize such a map key to JSON");
}

TEST(printing_stops_at_the_depth_limit) /* REQ-VAL-13 */
{
        static struct mv_value deep[MV_VALUE_DEPTH_MAX + 2];
        for (int i = 0; i <= MV_VALUE_DEPTH_MAX; i++)
                deep[i] = (struct mv_value){ .kind = MV_VECTOR, .count = 1, .items = &deep[i + 1] };
        CHECK(DISPLAY(deep[1]) && READABLE(deep[1]) && JSON(deep[1]));
        CHECK(!DISPLAY(deep[0]) && !READABLE(deep[0]) && !JSON(deep[0]) &&
              !mv_value_display(NULL, NULL));
}

typedef bool print_fn(struct mv_out *o, const struct mv_value *v);
static bool json_plain(struct mv_out *o, const struct mv_value *v)
{
        const char *why = "not written";
        bool ok = mv_print_json(o, v, &why);
        CHECK(ok || why == NULL);
        return ok;
}

TEST(an_output_that_is_too_small_fails_and_one_that_just_fits_does_not)
{
        print_fn *const prints[] = { mv_print_display, mv_print_readable, json_plain };
        struct mv_value inner = MAP({ INT(3), INT(1) }, { INT(2), INT(1) }, { INT(1), INT(1) });
        struct mv_value v =
                MAP({ INT(2), inner }, { TEXT(MV_STRING, "k\n"), TEXT(MV_STRING, "\t\xc2\x80") },
                    { INT(1), inner });
        for (size_t i = 0; i < 3; i++) {
                char b[200], exact[200];
                struct mv_out o = mv_out(b, sizeof b);
                REQUIRE(prints[i](&o, &v));
                for (size_t room = 0; room <= o.len; room++) {
                        memset(exact, '#', sizeof exact);
                        struct mv_out e = mv_out(exact, room);
                        CHECK(prints[i](&e, &v) == (room == o.len) && exact[room] == '#' &&
                              e.cap == room);
                        CHECK(room < o.len || memcmp(exact, b, room) == 0);
                }
        }
}

TEST(long_texts_grow_and_may_hold_nul)
{
        static uint8_t big[100000];
        size_t len = 0;
        memset(big, 'x', sizeof big);
        big[5] = 0;
        struct mv_value v = { .kind = MV_STRING, .text = { big, sizeof big } };
        char *s = mv_value_display(&v, &len);
        REQUIRE(s);
        CHECK(len == sizeof big + 2 && s[len] == 0 && memcmp(s + 1, big, sizeof big) == 0);
        free(s);
}
