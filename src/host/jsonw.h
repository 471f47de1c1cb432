/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_HOST_JSONW_H
#define MV_HOST_JSONW_H
/* Writing JSON objects for people's scripts: keys in the order they are written, commas kept by
 * the writer.
 *
 *   struct mv__jsonw w;
 *   mv__json_begin(&w);
 *   mv__json_open(&w, NULL, '{');
 *   mv__json_bool(&w, "ok", true);
 *   mv__json_close(&w, '}');
 *   char *text = mv__json_end(&w);      malloc'ed; NULL: out of memory
 *
 * key NULL: an array element or the top. Text that is not UTF-8 is written with U+FFFD for what
 * is wrong. */
#include <microvm/value.h>

struct mv__jsonw {
        char *text;
        size_t len, cap;
        bool comma;
        bool failed; /* out of memory: nothing more is written, mv__json_end returns NULL */
};
void mv__json_begin(struct mv__jsonw *w);
char *mv__json_end(struct mv__jsonw *w);
void mv__json_open(struct mv__jsonw *w, const char *key, char bracket);
void mv__json_close(struct mv__jsonw *w, char bracket);
void mv__json_str(struct mv__jsonw *w, const char *key, const char *s); /* NULL: null */
void mv__json_slice(struct mv__jsonw *w, const char *key, struct mv_slice s);
void mv__json_text(struct mv__jsonw *w, const char *key,
                   const char *s); /* as str, "" is null too */
void mv__json_uint(struct mv__jsonw *w, const char *key, uint64_t n);
void mv__json_int(struct mv__jsonw *w, const char *key, int64_t n);
void mv__json_bool(struct mv__jsonw *w, const char *key, bool b);
void mv__json_real(struct mv__jsonw *w, const char *key, double v); /* three decimals */
void mv__json_hex(struct mv__jsonw *w, const char *key, const char *prefix, const uint8_t *p,
                  size_t len);
void mv__json_value(struct mv__jsonw *w, const char *key,
                    const struct mv_value *v); /* null when it has no JSON form */
void mv__json_raw(struct mv__jsonw *w, const char *key, const char *json);

#endif
