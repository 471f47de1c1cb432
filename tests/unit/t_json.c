/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"
#include <base/arena.h>
#include <base/slice.h>
#include <wire/cbor.h>
#include <wire/json.h>
#include <wire/text.h>
#include <stdlib.h>

/* The display text of what a JSON text holds, or its error message. */
static const char *decoded_slice(struct mv_slice text)
{
        static char shown[2000];
        struct mv_arena a = mv_arena_grow(8 << 20);
        const struct mv_value *v;
        struct mv_err err;
        struct mv_out o = mv_out(shown, sizeof shown - 1);
        int r = mv_json_decode(text, &a, &v, &err);
        CHECK(r == 0 || r == -MV_E_INVALID);
        if (r < 0)
                mv_put_str(&o, err.msg);
        else
                CHECK(mv_print_readable(&o, v));
        shown[o.len] = 0;
        mv_arena_done(&a);
        return shown;
}

static const char *decoded(const char *text)
{
        return decoded_slice(mv_slice_str(text));
}
#define HOLDS(text, shown) CHECK_STR(decoded(text), shown)
#define WRONG(text, what)  CHECK_STR(decoded(text), "JSON parsing error: " what)

TEST(json_values_become_values) /* spec 7.8 */
{
        HOLDS("null", "nil");
        HOLDS(" true ", "true");
        HOLDS("\t\r\n false", "false");
        HOLDS("12", "12");
        HOLDS("\"text\"", "\"text\"");
        HOLDS("[1, [2, {}], []]", "[1 [2 {}] []]");
        HOLDS("{\"a\": {\"b\": [true, null]}}", "{\"a\" {\"b\" [true nil]}}");
        HOLDS("{\"b\":1,\"a\":[],\"c\":{\"x\":[1,2,{\"y\":3}]}}",
              "{\"a\" [] \"b\" 1 \"c\" {\"x\" [1 2 {\"y\" 3}]}}");
}

TEST(json_numbers_are_integers_where_they_fit)
{
        HOLDS("9223372036854775807", "9223372036854775807");
        HOLDS("-9223372036854775808", "-9223372036854775808");
        HOLDS("9223372036854775808", "9.223372036854776e18");
        HOLDS("-12.5", "-12.5");
        HOLDS("2.0", "2.0");
        HOLDS("1e3", "1000.0");
        HOLDS("1E+2", "100.0");
        HOLDS("1e-2", "0.01");
        HOLDS("-0", "-0.0");
        HOLDS("0", "0");
        HOLDS("1e-400", "0.0");
}

TEST(json_numbers_of_other_forms_are_refused)
{
        WRONG("01", "invalid number at line 1 column 2");
        WRONG("-", "EOF while parsing a value at line 1 column 2");
        WRONG("-a", "invalid number at line 1 column 2");
        WRONG("1.", "EOF while parsing a value at line 1 column 3");
        WRONG("1.e5", "invalid number at line 1 column 3");
        WRONG("1e", "EOF while parsing a value at line 1 column 3");
        WRONG("[1e+]", "invalid number at line 1 column 5");
        WRONG("+1", "expected value at line 1 column 1");
        WRONG(".5", "expected value at line 1 column 1");
        WRONG("0x10", "trailing characters at line 1 column 2");
        WRONG("1e400", "number out of range at line 1 column 1");
        WRONG("NaN", "expected value at line 1 column 1");
        WRONG("Infinity", "expected value at line 1 column 1");
}

TEST(the_last_of_equal_keys_wins)
{
        HOLDS("{\"a\":1,\"b\":2,\"a\":3}", "{\"a\" 3 \"b\" 2}");
        HOLDS("{\"a\":1,\"\\u0061\":2}", "{\"a\" 2}");
        HOLDS("{\"\":1,\"\":2,\"\":3,\"\":4,\"\":5}", "{\"\" 5}");
        HOLDS("{\"k\":1,\"j\":2,\"k\":3,\"i\":4,\"j\":5,\"k\":6}", "{\"i\" 4 \"j\" 5 \"k\" 6}");
}

TEST(escapes_are_undone)
{
        HOLDS("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\\"\\\\/\\u0008\\u000c\\n\\r\\t\"");
        HOLDS("\"\\u00e9\\u00E9\"", "\"éé\"");
        HOLDS("\"\\ud83d\\ude00!\"", "\"😀!\"");
        HOLDS("\"x\\u0000y\"", "\"x\\u0000y\"");
        HOLDS("\"日本\"", "\"日本\"");
}

TEST(bad_strings_are_refused)
{
        WRONG("\"abc", "EOF while parsing a string at line 1 column 5");
        WRONG("\"\\", "EOF while parsing a string at line 1 column 3");
        WRONG("\"\\x\"", "invalid escape at line 1 column 3");
        WRONG("\"\\u12g4\"", "invalid escape at line 1 column 4");
        WRONG("\"\\ud800\"", "lone leading surrogate in hex escape at line 1 column 8");
        WRONG("\"\\ud800\\n\"", "lone leading surrogate in hex escape at line 1 column 9");
        WRONG("\"\\ud800\\ud800\"", "lone leading surrogate in hex escape at line 1 column 10");
        WRONG("\"\\udc00\"", "lone trailing surrogate in hex escape at line 1 column 4");
        WRONG("\"a\nb\"", "control character (\\u0000-\\u001F) found while parsing a string at "
                          "line 1 column 3");
        WRONG("\"\xff\"", "invalid unicode code point at line 1 column 2");
        WRONG("\"\xed\xa0\x80\"", "invalid unicode code point at line 1 column 2");
        WRONG("{\"\xc3\":1}", "invalid unicode code point at line 1 column 3");
        WRONG("'a'", "expected value at line 1 column 1");
        CHECK_STR(decoded_slice(mv_slice("\"a\0b\"", 5)),
                  "JSON parsing error: control character (\\u0000-\\u001F) found while parsing a "
                  "string at line 1 column 3");
}

TEST(bad_structure_is_refused_with_its_place)
{
        WRONG("", "EOF while parsing a value at line 1 column 1");
        WRONG("   ", "EOF while parsing a value at line 1 column 4");
        WRONG("x", "expected value at line 1 column 1");
        WRONG("{", "EOF while parsing an object at line 1 column 2");
        WRONG("[", "EOF while parsing a list at line 1 column 2");
        WRONG("[1", "EOF while parsing a list at line 1 column 3");
        WRONG("[1 2]", "expected `,` or `]` at line 1 column 4");
        WRONG("[1}", "expected `,` or `]` at line 1 column 3");
        WRONG("[,1]", "expected value at line 1 column 2");
        WRONG("[1,]", "trailing comma at line 1 column 4");
        WRONG("[1,,2]", "expected value at line 1 column 4");
        WRONG("{\"a\" 1}", "expected `:` at line 1 column 6");
        WRONG("{\"a\":1,}", "trailing comma at line 1 column 8");
        WRONG("{\"a\":1 \"b\":2}", "expected `,` or `}` at line 1 column 8");
        WRONG("{a:1}", "key must be a string at line 1 column 2");
        WRONG("{1:1}", "key must be a string at line 1 column 2");
        WRONG("{\"a\":}", "expected value at line 1 column 6");
        WRONG("{\"a\":1]", "expected `,` or `}` at line 1 column 7");
        WRONG("]", "expected value at line 1 column 1");
        WRONG("1 2", "trailing characters at line 1 column 3");
        WRONG("{}\n\n }", "trailing characters at line 3 column 2");
        WRONG("nul", "EOF while parsing a value at line 1 column 4");
        WRONG("nulx", "expected ident at line 1 column 4");
        WRONG("truefalse", "trailing characters at line 1 column 5");
        WRONG("\xef\xbb\xbf[]", "expected value at line 1 column 1");
        WRONG("[1]/**/", "trailing characters at line 1 column 4");
        WRONG("\v1", "expected value at line 1 column 1");
        CHECK_STR(decoded_slice(mv_slice("1\0", 2)),
                  "JSON parsing error: trailing characters at line 1 column 2");
}

TEST(nesting_is_limited) /* REQ-VAL-13, spec section 9 */
{
        char text[2 * (MV_JSON_DEPTH_MAX + 1) + 1];
        for (int depth = MV_JSON_DEPTH_MAX; depth <= MV_JSON_DEPTH_MAX + 1; depth++) {
                memset(text, '[', (size_t)depth);
                memset(text + depth, ']', (size_t)depth);
                text[2 * depth] = 0;
                bool refused = strcmp(decoded(text), "JSON parsing error: recursion limit exceeded "
                                                     "at line 1 column 128") == 0;
                CHECK(refused == (depth > MV_JSON_DEPTH_MAX));
        }
        char objects[6 * 128 + 1] = "";
        for (int i = 0; i < 128; i++)
                memcpy(objects + 5 * i, "{\"\":[", 5);
        CHECK_STR(decoded(objects),
                  "JSON parsing error: recursion limit exceeded at line 1 column 320");
}

TEST(kinds_of_nested_containers_are_kept_apart)
{
        char text[600] = "", shown[600] = "";
        for (int i = 0; i < 60; i++)
                strcat(text, "[{\"a\":"), strcat(shown, "[{\"a\" ");
        strcat(text, "7"), strcat(shown, "7");
        for (int i = 0; i < 60; i++)
                strcat(text, "}]"), strcat(shown, "}]");
        HOLDS(text, shown);
}

static const char whole[] = " {\"k\\n\": [1, -2.5e3, \"s\\ud83d\\ude00\", {\"x\": null}, [true, "
                            "false]], \"k\\n\": \"\xc3\xa9\" } ";

TEST(a_text_cut_at_any_byte_is_refused_and_never_read_beyond)
{
        size_t end = strlen(whole) - 1;
        CHECK_STR(decoded(whole), "{\"k\\n\" \"é\"}");
        for (size_t cut = 0; cut < end; cut++) {
                char *exact = malloc(cut ? cut : 1);
                REQUIRE(exact);
                memcpy(exact, whole, cut);
                CHECK(strncmp(decoded_slice(mv_slice(exact, cut)), "JSON parsing error: ", 20) ==
                      0);
                free(exact);
        }
}

TEST(changed_bytes_never_crash_the_parser)
{
        char text[sizeof whole];
        for (size_t at = 0; at + 1 < sizeof whole; at++)
                for (int byte = 0; byte < 256; byte += 5) {
                        memcpy(text, whole, sizeof whole);
                        text[at] = (char)byte;
                        decoded_slice(mv_slice(text, sizeof whole - 1));
                }
}

TEST(a_small_arena_is_a_limit)
{
        uint8_t mem[700];
        const struct mv_value *v;
        struct mv_err err;
        int limits = 0;
        for (size_t room = 0; room < sizeof mem; room += 8) {
                struct mv_arena a = mv_arena_fixed(mem, room);
                int r = mv_json_decode(mv_slice_str(whole), &a, &v, &err);
                CHECK(r == 0 || r == -MV_E_LIMIT);
                limits += r < 0;
        }
        CHECK(limits > 10 && limits < 87);
}

TEST(the_pull_parser_gives_events_in_order)
{
        static const enum mv_json_kind wanted[] = {
                MV_JSON_OBJECT_OPEN,  MV_JSON_KEY,         MV_JSON_ARRAY_OPEN, MV_JSON_INT,
                MV_JSON_STRING,       MV_JSON_ARRAY_CLOSE, MV_JSON_KEY,        MV_JSON_NULL,
                MV_JSON_OBJECT_CLOSE, MV_JSON_END,         MV_JSON_END
        };
        struct mv_json j = mv_json(mv_slice_str("{\"a\":[1,\"b\\n\"],\"c\":null}"));
        struct mv_json_event e;
        for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
                CHECK(mv_json_next(&j, &e) && e.kind == wanted[i]);
                CHECK(e.kind != MV_JSON_STRING || (e.escaped && mv_slice_eq_str(e.text, "b\\n")));
        }
        j = mv_json(mv_slice_str("[}"));
        CHECK(mv_json_next(&j, &e) && !mv_json_next(&j, &e) && !mv_json_next(&j, &e));
        CHECK_STR(j.why, "expected value at line 1 column 2");
}

TEST(values_survive_json_and_back) /* REQ-VAL-12 */
{
        static const char text[] =
                "{\"a\":[1,-2,3.5,1e300,\"x\\n\\u0001é\"],\"b\":{\"\":null,\"z\":true}}";
        struct mv_arena a = mv_arena_grow(1 << 20);
        const struct mv_value *v;
        size_t len;
        REQUIRE(mv_json_decode(MV_SLICE(text), &a, &v, NULL) == 0);
        char *back = mv_value_json(v, &len);
        CHECK_STR(back, text);
        free(back);
        mv_arena_done(&a);
}
