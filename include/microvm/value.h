/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MICROVM_VALUE_H
#define MICROVM_VALUE_H
/* Values as the host sees them: program arguments and results, capability arguments and replies.
 *
 * Shape:     an immutable tree. A map's entries are in canonical order: keyword keys by name, then string keys, then
 *            integer keys ascending (spec 2.6); no duplicates.
 * Units:     text is UTF-8, `len` in bytes; integers are signed 64-bit; floats IEEE-754 doubles.
 * Ownership: whoever owns the arena a tree was built in owns the tree; nodes are never freed one by one.
 * Threads:   any number may read one tree at once. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mv_slice {
        const uint8_t *p;
        size_t len;
};
#define MV_SLICE(literal) ((struct mv_slice){ (const uint8_t *)(literal), sizeof(literal) - 1 })

enum mv_kind { /* grep MV-KIND-ORDER: mv_kind_name, wire/cbor.c */
               MV_NIL,
               MV_BOOL,
               MV_INT,
               MV_FLOAT,
               MV_STRING,
               MV_KEYWORD, /* text without the colon */
               MV_SYMBOL,
               MV_VECTOR,
               MV_LIST,
               MV_MAP,
               MV_FUNCTION, /* opaque: crosses the door as a mark only */
               MV_ERROR,    /* a caught error held as data: kind, message, data */
               MV_KIND_MAX_
};

struct mv_entry;
struct mv_value {
        enum mv_kind kind;
        uint32_t count; /* VECTOR, LIST: items; MAP: entries */
        union {
                bool boolean;
                int64_t integer;
                double real;
                struct mv_slice text; /* STRING, KEYWORD, SYMBOL */
                /* VECTOR, LIST; for ERROR three: kind STRING, message STRING, data */
                const struct mv_value *items;
                const struct mv_entry *entries;
        };
};
struct mv_entry {
        struct mv_value key; /* KEYWORD, STRING or INT only */
        struct mv_value value;
};

/* "nil", "boolean", "integer", ... exactly the names of REQ-VAL-02. */
const char *mv_kind_name(enum mv_kind kind);

/* Accessors (REQ-VAL-07): on a kind mismatch they return false / NULL and leave *ret alone;
 * never an error. v may be NULL. */
bool mv_as_int(const struct mv_value *v, int64_t *ret);
bool mv_as_bool(const struct mv_value *v, bool *ret);
bool mv_as_float(const struct mv_value *v, double *ret);         /* integers are accepted too */
bool mv_as_text(const struct mv_value *v, struct mv_slice *ret); /* STRING, KEYWORD or SYMBOL */
/* keyword key first, then string key */
const struct mv_value *mv_map_get(const struct mv_value *map, const char *key);
const struct mv_value *mv_seq_at(const struct mv_value *seq, uint32_t index);
/* Structural equality by spec 2.3 (by type first; NaN differs from itself; a list never equals a
 * vector). */
bool mv_value_equal(const struct mv_value *a, const struct mv_value *b);

/* Text of a value, NUL-terminated, malloc'ed: the caller frees it. NULL when memory runs out.
 * display: spec 2.6. readable: strings escaped, floats with a point, reads back equal. json: REQ-VAL-08, NULL also when
 * the value has no JSON form (function, error, NaN, infinity). ret_len may be NULL; text may contain NUL bytes. */
char *mv_value_display(const struct mv_value *v, size_t *ret_len);
char *mv_value_readable(const struct mv_value *v, size_t *ret_len);
char *mv_value_json(const struct mv_value *v, size_t *ret_len);

#endif
