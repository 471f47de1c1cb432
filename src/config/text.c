/* SPDX-License-Identifier: Apache-2.0 */
#include <base/fmt.h>
#include <config/text.h>
#include <stdlib.h>
#include <wire/text.h>

static bool reserve(struct mv_text *t, size_t more)
{
        if (t->failed || more < t->cap - t->len)
                return !t->failed;
        size_t cap = (t->cap ? t->cap * 2 : 1024) + more;
        char *p = realloc(t->p, cap);
        if (!p) {
                t->failed = true;
                return false;
        }
        t->p = p;
        t->cap = cap;
        return true;
}

void mv_text_put(struct mv_text *t, const void *p, size_t len)
{
        if (!reserve(t, len + 1))
                return;
        if (len)
                memcpy(t->p + t->len, p, len);
        t->len += len;
        t->p[t->len] = '\0';
}

void mv_text_str(struct mv_text *t, const char *s)
{
        mv_text_put(t, s, strlen(s));
}

void mv_text_printf(struct mv_text *t, const char *format, ...)
{
        char buf[1000];
        va_list ap;
        va_start(ap, format);
        mv_text_put(t, buf, mv_vfmt(buf, sizeof buf, format, ap));
        va_end(ap);
}

char *mv_text_take(struct mv_text *t)
{
        mv_text_put(t, "", 0); /* an empty text is a text */
        char *p = t->failed ? NULL : t->p;
        if (!p)
                free(t->p);
        *t = (struct mv_text){ 0 };
        return p;
}

void mv_text_done(struct mv_text *t)
{
        free(t->p);
        *t = (struct mv_text){ 0 };
}

/* --- JSON ------------------------------------------------------------------------------------- */
static void new_line(struct mv_text *t)
{
        if (t->compact)
                return;
        mv_text_str(t, "\n");
        for (uint32_t i = 0; i < t->depth; i++)
                mv_text_str(t, "  ");
}

static void put_quoted(struct mv_text *t, struct mv_slice s)
{
        if (!reserve(t, 6 * s.len + 3)) /* \u00XX for every byte */
                return;
        struct mv_out o = mv_out(t->p + t->len, t->cap - t->len - 1);
        mv_text_string_json(&o, s);
        t->len += o.len;
        t->p[t->len] = '\0';
}

static void begin(struct mv_text *t, const char *key)
{
        if (t->item)
                mv_text_str(t, ",");
        if (t->depth)
                new_line(t);
        if (key) {
                put_quoted(t, mv_slice_str(key));
                mv_text_str(t, ": ");
        }
        t->item = true;
}

void mv_json_open(struct mv_text *t, const char *key, char bracket)
{
        begin(t, key);
        mv_text_put(t, &bracket, 1);
        t->depth++;
        t->item = false;
}

void mv_json_close(struct mv_text *t, char bracket)
{
        t->depth--;
        if (t->item)
                new_line(t);
        mv_text_put(t, &bracket, 1);
        t->item = true;
}

void mv_json_text(struct mv_text *t, const char *key, struct mv_slice s)
{
        begin(t, key);
        put_quoted(t, s);
}

void mv_json_null(struct mv_text *t, const char *key)
{
        begin(t, key);
        mv_text_str(t, "null");
}

void mv_json_str(struct mv_text *t, const char *key, const char *s)
{
        if (s)
                mv_json_text(t, key, mv_slice_str(s));
        else
                mv_json_null(t, key);
}

void mv_json_int(struct mv_text *t, const char *key, int64_t v)
{
        begin(t, key);
        mv_text_printf(t, "%lld", (long long)v);
}

void mv_json_real(struct mv_text *t, const char *key, double v)
{
        uint8_t buf[40];
        struct mv_out o = mv_out(buf, sizeof buf);
        begin(t, key);
        mv_text_float_json(&o, v);
        mv_text_put(t, o.p, o.len);
}

void mv_json_bool(struct mv_text *t, const char *key, bool v)
{
        begin(t, key);
        mv_text_str(t, v ? "true" : "false");
}
