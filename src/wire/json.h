/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_WIRE_JSON_H
#define MV_WIRE_JSON_H
/* Strict RFC 8259 pull parser (spec 7.8), shared by the evaluator's parse-json and the host. Freestanding.
 * Nesting limit 127; integers in 64-bit range are INT, others FLOAT ("-0" and "1e2" are FLOAT). Nothing may follow. */
#include <base/arena.h>
#include <base/cur.h>
#include <base/err.h>

#define MV_JSON_DEPTH_MAX 127

enum mv_json_kind {
        MV_JSON_NULL,
        MV_JSON_BOOL,
        MV_JSON_INT,
        MV_JSON_FLOAT,
        MV_JSON_STRING,
        MV_JSON_ARRAY_OPEN,
        MV_JSON_ARRAY_CLOSE,
        MV_JSON_OBJECT_OPEN,
        MV_JSON_KEY,
        MV_JSON_OBJECT_CLOSE,
        MV_JSON_END
};
struct mv_json_event {
        enum mv_json_kind kind;
        bool boolean;
        int64_t integer;
        double real;
        /* STRING, KEY: raw between the quotes; escaped says whether mv_json_unescape is needed */
        struct mv_slice text;
        bool escaped;
};
struct mv_json {
        struct mv_slice in;
        size_t at;
        uint32_t depth;
        uint8_t state;
        uint8_t in_object[(MV_JSON_DEPTH_MAX + 8) / 8];
        char why[96];    /* after an error: "expected value at line 1 column 2" */
        size_t wrong_at; /* and the byte that this is */
};
struct mv_json mv_json(struct mv_slice text);
bool mv_json_next(struct mv_json *j, struct mv_json_event *ret); /* false: error, j->why is set */
/* Never longer than the raw text; raw was checked by mv_json_next. */
bool mv_json_unescape(struct mv_out *o, struct mv_slice raw);

/* A whole text as a tree; objects become maps with string keys, the last duplicate wins. Strings without escapes point
 * into `text`. INVALID with "JSON parsing error: ..." or LIMIT. A number beyond the doubles is out of range: infinity has
 * no JSON form. */
int mv_json_decode(struct mv_slice text, struct mv_arena *a, const struct mv_value **ret,
                   struct mv_err *err);

#endif
