/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_WIRE_TEXT_H
#define MV_WIRE_TEXT_H
/* Text of single values, shared by the host's tree printer, the evaluator's printer and JSON. Freestanding.
 * Every mv_text_* function appends to an output and returns false once it overflowed. */
#include <base/cur.h>
#include <microvm/value.h>

/* --- numbers (wire/number.c): exact, locale-free ---------------------------------------------- */
#define MV_FLOAT_DIGITS_MAX 17
/* value = 0.d1d2d3... * 10^point; shortest digits that read back to the same double */
struct mv_decimal {
        char digits[MV_FLOAT_DIGITS_MAX];
        uint8_t count; /* 1..17, no trailing zero; "0" for zero */
        int16_t point;
        bool negative;
};
void mv_float_shortest(double finite, struct mv_decimal *ret);
/* display, spec 2.6: positional, never an exponent, no trailing ".0"; inf -inf NaN, -0. */
bool mv_text_float_display(struct mv_out *o, double v);
/* readable: reads back equal as a float: 2.0, 1.0e21, ##Inf ##-Inf ##NaN. Exponent form outside
 * 1e-5 <= |x| < 1e16. */
bool mv_text_float_readable(struct mv_out *o, double v);
/* JSON style (spec 7.8): 2.0, 1000000000000000.0, 1e16, 1e-7, 0.00001, -0.0; exponent outside 1e-5 <= x < 1e16.
 * The caller refuses NaN and infinities. */
bool mv_text_float_json(struct mv_out *o, double v);
bool mv_text_int(struct mv_out *o, int64_t v);
/* Correctly rounded decimal to double. Accepts exactly: [+-]? digits* ('.' digits*)? ([eE][+-]?digits+)? with at least one
 * digit in the mantissa; the whole slice must match. Overflow gives infinity, underflow zero. */
bool mv_parse_float(struct mv_slice s, double *ret);
/* [+-]?[0-9]+, whole slice; false when out of int64 range. */
bool mv_parse_int(struct mv_slice s, int64_t *ret);

/* --- UTF-8 (wire/utf8.c) ---------------------------------------------------------------------- */
bool mv_utf8_valid(struct mv_slice s);       /* no surrogates, no overlongs, <= U+10FFFF */
size_t mv_utf8_count(struct mv_slice valid); /* code points */
/* Byte offset of code point `index` (== len when index is the count); valid text only. */
size_t mv_utf8_offset(struct mv_slice valid, size_t index);
/* Decode one code point of valid text at *at, advance *at. */
uint32_t mv_utf8_next(struct mv_slice valid, size_t *at);
bool mv_utf8_put(struct mv_out *o, uint32_t code_point);
bool mv_utf8_is_space(uint32_t code_point); /* Unicode White_Space */
bool mv_utf8_is_alpha(uint32_t c);          /* letters (L*) and letter numbers (Nl) */
bool mv_utf8_is_digit(uint32_t c);          /* Nd */
/* Full case mapping of one code point: 1 to 3 code points out (U+00DF upper: "SS"); returns how
 * many. */
int mv_utf8_upper(uint32_t c, uint32_t ret[3]);
int mv_utf8_lower(uint32_t c, uint32_t ret[3]);

/* --- strings ---------------------------------------------------------------------------------- */
/* quoted; \n \t \r \\ \" and \uXXXX for controls (Cc) */
bool mv_text_string_readable(struct mv_out *o, struct mv_slice s);
/* quoted; \b \f \n \r \t \" \\ \u00XX; else raw UTF-8 */
bool mv_text_string_json(struct mv_out *o, struct mv_slice s);

/* --- trees (wire/print.c): depth bounded by MV_VALUE_DEPTH_MAX, false beyond ------------------ */
bool mv_print_display(struct mv_out *o, const struct mv_value *v);
bool mv_print_readable(struct mv_out *o, const struct mv_value *v);
/* Compact JSON; keyword keys lose the colon, integer keys become strings, object keys are sorted bytewise, one of two
 * keys that became equal survives. Keyword values become ":k" strings, symbols strings. false: no JSON form,
 * *ret_why (static text of REQ-VAL-09) says why, or NULL when the output overflowed. */
bool mv_print_json(struct mv_out *o, const struct mv_value *v, const char **ret_why);
/* The same for readers that know no keywords: keyword values lose the colon too. */
bool mv_print_json_external(struct mv_out *o, const struct mv_value *v, const char **ret_why);

#endif
