/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_CONFIG_TEXT_H
#define MV_CONFIG_TEXT_H
/* Text that grows, and JSON in it: two spaces of indent, keys in the order they are written, so that equal things have
 * equal bytes and a digest of the text means something. */
#include <base/slice.h>
#include <microvm/value.h>

struct mv_text {
        char *p;
        size_t len, cap;
        uint32_t depth; /* of JSON brackets */
        bool compact;   /* JSON on one line */
        bool item;      /* something stands before, on this level */
        bool failed;    /* out of memory: mv_text_take returns NULL */
};
void mv_text_put(struct mv_text *t, const void *p, size_t len);
void mv_text_str(struct mv_text *t, const char *s);
void mv_text_printf(struct mv_text *t, const char *format, ...)
        __attribute__((format(printf, 2, 3))); /* <= 1000 bytes */
/* NUL-terminated and malloc'ed, the text is empty again; NULL: out of memory. */
char *mv_text_take(struct mv_text *t);
void mv_text_done(struct mv_text *t);

/* key NULL: an element, or the top. */
void mv_json_open(struct mv_text *t, const char *key, char bracket);
void mv_json_close(struct mv_text *t, char bracket);
void mv_json_text(struct mv_text *t, const char *key, struct mv_slice s);
void mv_json_str(struct mv_text *t, const char *key, const char *s); /* NULL: null */
void mv_json_int(struct mv_text *t, const char *key, int64_t v);
void mv_json_real(struct mv_text *t, const char *key, double v);
void mv_json_bool(struct mv_text *t, const char *key, bool v);
void mv_json_null(struct mv_text *t, const char *key);

#endif
