/* SPDX-License-Identifier: Apache-2.0 */
#include <base/fmt.h>
#include <base/slice.h>
#include <host/jsonw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <wire/text.h>

void mv__json_begin(struct mv__jsonw *w)
{
        *w = (struct mv__jsonw){ 0 };
}

static void put(struct mv__jsonw *w, const void *p, size_t n)
{
        if (w->failed)
                return;
        if (n + 1 > w->cap - w->len) {
                size_t cap = (w->cap + n + 1) * 2;
                char *text = realloc(w->text, cap);
                if (!text) {
                        w->failed = true;
                        return;
                }
                w->text = text;
                w->cap = cap;
        }
        memcpy(w->text + w->len, p, n);
        w->len += n;
        w->text[w->len] = 0;
}

static void put_str(struct mv__jsonw *w, const char *s)
{
        put(w, s, strlen(s));
}

char *mv__json_end(struct mv__jsonw *w)
{
        if (!w->failed && w->text)
                return w->text;
        free(w->text);
        w->text = NULL;
        return NULL;
}

/* Strings of any bytes: a run of valid UTF-8 is copied, a byte that fits nowhere becomes U+FFFD. */
static size_t valid_run(const uint8_t *p, size_t len)
{
        static const uint8_t need[16] = { 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 2, 2, 3, 4 };
        size_t n = need[p[0] >> 4];
        return n && n <= len && mv_utf8_valid(mv_slice(p, n)) ? n : 0;
}

static void put_char(struct mv__jsonw *w, const uint8_t *p, size_t n)
{
        static const char *const named[0x20] = {
                ['\b'] = "\\b", ['\t'] = "\\t", ['\n'] = "\\n", ['\f'] = "\\f", ['\r'] = "\\r"
        };
        char hex[8];
        if (p[0] == '"' || p[0] == '\\')
                put(w, "\\", 1);
        if (p[0] >= 0x20) {
                put(w, p, n);
        } else if (named[p[0]]) {
                put_str(w, named[p[0]]);
        } else {
                snprintf(hex, sizeof hex, "\\u%04x", p[0]);
                put_str(w, hex);
        }
}

static void put_string(struct mv__jsonw *w, struct mv_slice s)
{
        put(w, "\"", 1);
        for (size_t i = 0; i < s.len;) {
                size_t n = valid_run(s.p + i, s.len - i);
                if (n)
                        put_char(w, s.p + i, n);
                else
                        put_str(w, "\xef\xbf\xbd");
                i += n ? n : 1;
        }
        put(w, "\"", 1);
}

static void next(struct mv__jsonw *w, const char *key)
{
        if (w->comma)
                put_str(w, ", ");
        w->comma = true;
        if (key) {
                put_string(w, mv_slice_str(key));
                put_str(w, ": ");
        }
}

void mv__json_open(struct mv__jsonw *w, const char *key, char bracket)
{
        next(w, key);
        put(w, &bracket, 1);
        w->comma = false;
}

void mv__json_close(struct mv__jsonw *w, char bracket)
{
        put(w, &bracket, 1);
        w->comma = true;
}

void mv__json_slice(struct mv__jsonw *w, const char *key, struct mv_slice s)
{
        next(w, key);
        put_string(w, s);
}

void mv__json_raw(struct mv__jsonw *w, const char *key, const char *json)
{
        next(w, key);
        put_str(w, json);
}

void mv__json_str(struct mv__jsonw *w, const char *key, const char *s)
{
        if (s)
                mv__json_slice(w, key, mv_slice_str(s));
        else
                mv__json_raw(w, key, "null");
}

void mv__json_text(struct mv__jsonw *w, const char *key, const char *s)
{
        mv__json_str(w, key, s && s[0] ? s : NULL);
}

void mv__json_uint(struct mv__jsonw *w, const char *key, uint64_t n)
{
        char text[24];
        snprintf(text, sizeof text, "%" PRIu64, n);
        mv__json_raw(w, key, text);
}

void mv__json_int(struct mv__jsonw *w, const char *key, int64_t n)
{
        char text[24];
        snprintf(text, sizeof text, "%" PRId64, n);
        mv__json_raw(w, key, text);
}

void mv__json_bool(struct mv__jsonw *w, const char *key, bool b)
{
        mv__json_raw(w, key, b ? "true" : "false");
}

void mv__json_real(struct mv__jsonw *w, const char *key, double v)
{
        char text[340]; /* the longest finite double with three decimals */
        snprintf(text, sizeof text, "%.3f", v);
        mv__json_raw(w, key, text);
}

void mv__json_hex(struct mv__jsonw *w, const char *key, const char *prefix, const uint8_t *p,
                  size_t len)
{
        char byte[3];
        next(w, key);
        put_str(w, "\"");
        put_str(w, prefix);
        for (size_t i = 0; i < len; i++) {
                snprintf(byte, sizeof byte, "%02x", p[i]);
                put(w, byte, 2);
        }
        put_str(w, "\"");
}

void mv__json_value(struct mv__jsonw *w, const char *key, const struct mv_value *v)
{
        char *text = v ? mv_value_json(v, NULL) : NULL;
        mv__json_raw(w, key, text ? text : "null");
        free(text);
}
