/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_WIRE_CBOR_H
#define MV_WIRE_CBOR_H
/* Deterministic CBOR (RFC 8949 section 4.2.1): shortest heads, shortest float that keeps the value, definite lengths, map
 * keys in ascending bytewise order of their encoding, no duplicates. The decoder refuses anything else, so equal values
 * have equal bytes and a record can be hashed. One decoder for host and guests. Freestanding.
 *
 *  nil null (f6) | boolean f4 f5 | integer major 0/1 within int64 | float major 7 (f9 fa fb; NaN is f97e00)
 *  string major 3, valid UTF-8 | byte string major 2: only where a format says so (START "bytes", records)
 *  keyword tag 39 (":name") | symbol tag 39 ("name")        tag 39: identifier
 *  vector array | list tag MV_TAG_LIST (array) | map map, keys integer, string or keyword
 *  function tag MV_TAG_FUNCTION (null) | error tag MV_TAG_ERROR ([kind text, message text, data])
 *
 * (1) Floats are always major 7, integers never: 2.0 and 2 stay different.
 * (2) Depth is bounded by MV_VALUE_DEPTH_MAX, counts by the bytes that are left: a head that promises more is HOSTILE. */
#include <base/arena.h>
#include <base/cur.h>
#include <base/err.h>
#include <base/slice.h>
#include <microvm/value.h>

#define MV_TAG_IDENTIFIER 39
#define MV_TAG_LIST       52225
#define MV_TAG_FUNCTION   52226
#define MV_TAG_ERROR      52227
/* Of programs as trees only (docs/formats/ast.md): a map literal's keys and values in an array;
 * [line column form]. */
#define MV_TAG_MAP_FORM 52228
#define MV_TAG_PLACE    52229

/* --- pull decoder: one head at a time --------------------------------------------------------- */
enum mv_cbor_kind {
        MV_CBOR_NULL,
        MV_CBOR_BOOL,
        MV_CBOR_INT,
        MV_CBOR_FLOAT,
        MV_CBOR_TEXT, /* text: the bytes, checked UTF-8 */
        MV_CBOR_BYTES,
        MV_CBOR_ARRAY, /* count items follow */
        /* count key/value pairs follow; key order is checked by the value decoders, not here */
        MV_CBOR_MAP,
        MV_CBOR_TAG, /* tag; one item follows */
};
struct mv_cbor_item {
        enum mv_cbor_kind kind;
        bool boolean;
        int64_t integer;
        double real;
        struct mv_slice text;
        uint32_t count;
        uint64_t tag;
};
/* Checks minimal heads, int64 range, UTF-8, float minimality, count <= bytes left. HOSTILE
 * otherwise. */
int mv_cbor_next(struct mv_cur *c, struct mv_cbor_item *ret, struct mv_err *err);
/* The raw bytes of the next whole item (all nested items checked as mv_value_decode would). */
int mv_cbor_skip(struct mv_cur *c, struct mv_slice *ret_raw, struct mv_err *err);
/* Bytewise comparison of two encoded keys. */
#define mv_cbor_key_cmp(a, b) mv_slice_cmp((a), (b))

/* --- encoder: false once the output overflowed ------------------------------------------------ */
bool mv_cbor_put_null(struct mv_out *o);
bool mv_cbor_put_bool(struct mv_out *o, bool v);
bool mv_cbor_put_int(struct mv_out *o, int64_t v);
bool mv_cbor_put_float(struct mv_out *o, double v);
/* s is valid UTF-8, or nobody can read it */
bool mv_cbor_put_text(struct mv_out *o, struct mv_slice s);
/* exactly len bytes of valid UTF-8 must follow */
bool mv_cbor_put_text_head(struct mv_out *o, size_t len);
/* Most are keys known to the compiler, whose head is one byte. */
MV_INLINE bool mv_cbor_put_str(struct mv_out *o, const char *s)
{
        size_t len = strlen(s);
        if (!__builtin_constant_p(len) || len >= 24)
                return mv_cbor_put_text(o, (struct mv_slice){ (const uint8_t *)s, len });
        return mv_put_u8(o, (uint8_t)(0x60 | len)) && mv_put_bytes(o, s, len);
}
bool mv_cbor_put_bytes(struct mv_out *o, struct mv_slice s);
bool mv_cbor_put_array(struct mv_out *o, uint32_t count);
/* the caller writes keys in ascending encoded order */
bool mv_cbor_put_map(struct mv_out *o, uint32_t count);
bool mv_cbor_put_tag(struct mv_out *o, uint64_t tag);
bool mv_cbor_put_keyword(struct mv_out *o, struct mv_slice name); /* name without the colon */
bool mv_cbor_put_symbol(struct mv_out *o, struct mv_slice name);

/* --- trees ------------------------------------------------------------------------------------ */
/* Decode exactly one item that fills the slice. Text points into `bytes`, nodes into the arena; map entries come out in
 * canonical RTFS order (keywords, strings, integers). HOSTILE, or LIMIT when the arena is full. */
int mv_value_decode(struct mv_slice bytes, struct mv_arena *a, const struct mv_value **ret,
                    struct mv_err *err);
int mv_value_decode_next(struct mv_cur *c, struct mv_arena *a, struct mv_value *ret,
                         struct mv_err *err);
/* false: overflow, depth, or a tree that is not canonical. Map entries may be in any order;
 * duplicates fail. */
bool mv_value_encode(struct mv_out *o, const struct mv_value *v);
/* Deep copy into an arena, text included; NULL when it is full. Map entries are put in canonical
 * order. */
const struct mv_value *mv_value_copy(const struct mv_value *v, struct mv_arena *a);
/* Canonical key order (spec 2.6): keywords by name, strings, integers. */
int mv_key_cmp(const struct mv_value *a, const struct mv_value *b);
/* a's entries[] sorted in place by mv_key_cmp; false when two keys are equal or a key has a
 * wrong kind. */
bool mv_entries_sort(struct mv_entry *entries, uint32_t count);

#endif
