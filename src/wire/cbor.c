/* SPDX-License-Identifier: Apache-2.0 */
/* wire/cbor.c - one item at a time: heads, the pull decoder, the encoder. Trees are in cbor_tree.c.
 *
 *  INITIAL BYTE   major type (3 bits) | additional information (5 bits)
 *     0..23       the argument itself
 *     24 25 26 27 the argument follows in 1, 2, 4, 8 bytes, big-endian
 *     28..31      reserved, or indefinite length: refused
 *
 * (1) One value, one encoding: an argument that would have fitted a shorter head is refused, and so is a float that a
 *     shorter one holds exactly. Floats are narrowed and widened by their bits, so no rounding mode matters.
 * (2) A cursor that met a hostile byte is bad for ever: a caller that forgets to look reads nothing more. */
#include <wire/cbor.h>
#include <wire/text.h>
#include <base/limits.h>
#include <base/slice.h>

enum major { UNSIGNED, NEGATIVE, BYTES, TEXT, ARRAY, MAP, TAG, SIMPLE };
enum { SIMPLE_FALSE = 20, SIMPLE_TRUE = 21, SIMPLE_NULL = 22 };

/* --- floats by their bits --------------------------------------------------------------------- */
struct float_format {
        uint8_t exponent_bits, fraction_bits;
};
static const struct float_format half_format = { 5, 10 };
static const struct float_format single_format = { 8, 23 };

#define DOUBLE_FRACTION_BITS 52
#define DOUBLE_BIAS          1023
#define DOUBLE_INFINITY      (0x7ffull << DOUBLE_FRACTION_BITS)
#define HALF_NAN             0x7e00

static uint64_t float_bits(double v)
{
        uint64_t bits;
        memcpy(&bits, &v, sizeof bits);
        return bits;
}

static double bits_float(uint64_t bits)
{
        double v;
        memcpy(&v, &bits, sizeof v);
        return v;
}

static bool is_nan(uint64_t bits)
{
        return (bits & ~(1ull << 63)) > DOUBLE_INFINITY;
}

/* The fraction, its hidden bit included, when it can lose `drop` low bits without losing a
 * value. */
static bool shift_exact(uint64_t fraction, int drop, uint64_t *ret)
{
        if (drop > DOUBLE_FRACTION_BITS || (fraction & ((1ull << drop) - 1)) != 0)
                return false;
        *ret = fraction >> drop;
        return true;
}

/* Does the smaller format hold exactly this value? NaN never: its one form is written and read
 * apart. */
static bool narrow(uint64_t bits, struct float_format f, uint64_t *ret)
{
        uint64_t sign = bits >> 63 << (f.exponent_bits + f.fraction_bits);
        uint64_t fraction = bits & ((1ull << DOUBLE_FRACTION_BITS) - 1);
        int exponent = (int)(bits >> DOUBLE_FRACTION_BITS & 0x7ff);
        int bias = (1 << (f.exponent_bits - 1)) - 1, drop = DOUBLE_FRACTION_BITS - f.fraction_bits;
        uint64_t small;

        if (is_nan(bits))
                return false;
        /* Zero and infinity; a double's subnormals fit no other format. */
        if ((bits & ~(1ull << 63)) == DOUBLE_INFINITY || exponent == 0) {
                *ret = sign | (exponent ? ((1ull << f.exponent_bits) - 1) << f.fraction_bits : 0);
                return exponent || fraction == 0;
        }
        exponent += bias - DOUBLE_BIAS;
        if (exponent > 2 * bias)
                return false;
        fraction |= 1ull << DOUBLE_FRACTION_BITS;
        if (exponent <= 0) { /* subnormal there */
                if (!shift_exact(fraction, drop + 1 - exponent, &small))
                        return false;
                *ret = sign | small;
                return true;
        }
        if (!shift_exact(fraction, drop, &small))
                return false;
        *ret = sign | (uint64_t)exponent << f.fraction_bits |
               (small & ((1ull << f.fraction_bits) - 1));
        return true;
}

static uint64_t widen(uint64_t small, struct float_format f)
{
        uint64_t sign = small >> (f.exponent_bits + f.fraction_bits) << 63;
        uint64_t fraction = small & ((1ull << f.fraction_bits) - 1);
        int exponent_max = (1 << f.exponent_bits) - 1;
        int exponent = (int)(small >> f.fraction_bits & (uint64_t)exponent_max);
        int drop = DOUBLE_FRACTION_BITS - f.fraction_bits;

        if (exponent == exponent_max)
                return sign | DOUBLE_INFINITY | fraction << drop;
        if (exponent == 0) {
                if (fraction == 0)
                        return sign;
                for (exponent = 1; !(fraction >> f.fraction_bits); exponent--)
                        fraction <<= 1;
                fraction &= (1ull << f.fraction_bits) - 1;
        }
        uint64_t wide = (uint64_t)(exponent + DOUBLE_BIAS - (exponent_max >> 1));
        return sign | wide << DOUBLE_FRACTION_BITS | fraction << drop;
}

/* --- pull decoder ----------------------------------------------------------------------------- */
struct head {
        enum major major;
        uint8_t info;
        uint64_t argument;
};

static uint64_t get_big_endian(struct mv_cur *c, unsigned bytes)
{
        struct mv_slice s = mv_get_bytes(c, bytes);
        uint64_t v = 0;
        for (size_t i = 0; i < s.len; i++)
                v = v << 8 | s.p[i];
        return v;
}

static int get_head(struct mv_cur *c, struct head *ret, struct mv_err *err)
{
        if (mv_cur_left(c) == 0)
                return MV_HOSTILE(err, "cbor: an item is missing");
        uint8_t initial = mv_get_u8(c);
        *ret = (struct head){ (enum major)(initial >> 5), initial & 31, initial & 31 };
        if (ret->info < 24)
                return 0;
        if (ret->info > 27)
                return MV_HOSTILE(err, "cbor: indefinite length or reserved head");
        unsigned bytes = 1u << (ret->info - 24);
        ret->argument = get_big_endian(c, bytes);
        if (c->bad)
                return MV_HOSTILE(err, "cbor: head cut short");
        if (ret->major == SIMPLE)
                return 0;
        uint64_t least = bytes == 1 ? 24 : 1ull << (4 * bytes);
        if (ret->argument < least)
                return MV_HOSTILE(err, "cbor: head longer than needed"); /* (1) */
        return 0;
}

static int take_float(const struct head *h, struct mv_cbor_item *ret, struct mv_err *err)
{
        uint64_t small, bits = h->argument;
        if (h->info == 25)
                bits = widen(bits, half_format);
        else if (h->info == 26)
                bits = widen(bits, single_format);
        if (is_nan(bits) && !(h->info == 25 && h->argument == HALF_NAN))
                return MV_HOSTILE(err, "cbor: a NaN that is not f97e00");
        if (h->info > 25 && narrow(bits, half_format, &small))
                return MV_HOSTILE(err, "cbor: float longer than needed");
        if (h->info > 26 && narrow(bits, single_format, &small))
                return MV_HOSTILE(err, "cbor: float longer than needed");
        ret->kind = MV_CBOR_FLOAT;
        ret->real = bits_float(bits);
        return 0;
}

static int take_simple(const struct head *h, struct mv_cbor_item *ret, struct mv_err *err)
{
        switch (h->info) {
        case SIMPLE_FALSE:
        case SIMPLE_TRUE:
                ret->kind = MV_CBOR_BOOL;
                ret->boolean = h->info == SIMPLE_TRUE;
                return 0;
        case SIMPLE_NULL:
                ret->kind = MV_CBOR_NULL;
                return 0;
        case 25:
        case 26:
        case 27:
                return take_float(h, ret, err);
        default:
                return MV_HOSTILE(err, "cbor: unknown simple value");
        }
}

static int take_integer(const struct head *h, struct mv_cbor_item *ret, struct mv_err *err)
{
        if (h->argument > INT64_MAX)
                return MV_HOSTILE(err, "cbor: integer outside 64 bits");
        ret->kind = MV_CBOR_INT;
        ret->integer = h->major == UNSIGNED ? (int64_t)h->argument : -1 - (int64_t)h->argument;
        return 0;
}

static int take_string(struct mv_cur *c, const struct head *h, struct mv_cbor_item *ret,
                       struct mv_err *err)
{
        ret->kind = h->major == TEXT ? MV_CBOR_TEXT : MV_CBOR_BYTES;
        ret->text = mv_get_bytes(c, h->argument);
        if (c->bad)
                return MV_HOSTILE(err, "cbor: string cut short");
        if (h->major == TEXT && !mv_utf8_valid(ret->text))
                return MV_HOSTILE(err, "cbor: text is not UTF-8");
        return 0;
}

/* Each item takes a byte at least, so a count beyond the bytes that are left is a lie. */
static int take_count(struct mv_cur *c, const struct head *h, struct mv_cbor_item *ret,
                      struct mv_err *err)
{
        uint64_t most = mv_cur_left(c) / (h->major == MAP ? 2 : 1);
        if (h->argument > most)
                return MV_HOSTILE(err, "cbor: more items promised than bytes are left");
        if (h->argument > MV_ITEMS_MAX)
                return MV_HOSTILE(err, "cbor: more than MV_ITEMS_MAX items");
        ret->kind = h->major == MAP ? MV_CBOR_MAP : MV_CBOR_ARRAY;
        ret->count = (uint32_t)h->argument;
        return 0;
}

static int take_item(struct mv_cur *c, const struct head *h, struct mv_cbor_item *ret,
                     struct mv_err *err)
{
        switch (h->major) {
        case UNSIGNED:
        case NEGATIVE:
                return take_integer(h, ret, err);
        case BYTES:
        case TEXT:
                return take_string(c, h, ret, err);
        case ARRAY:
        case MAP:
                return take_count(c, h, ret, err);
        case TAG:
                ret->kind = MV_CBOR_TAG;
                ret->tag = h->argument;
                return 0;
        case SIMPLE:
                break;
        }
        return take_simple(h, ret, err);
}

int mv_cbor_next(struct mv_cur *c, struct mv_cbor_item *ret, struct mv_err *err)
{
        struct head h;
        int r = get_head(c, &h, err);
        *ret = (struct mv_cbor_item){ 0 };
        if (r == 0)
                r = take_item(c, &h, ret, err);
        if (r < 0)
                c->bad = true; /* (2) */
        return r;
}

/* --- encoder ---------------------------------------------------------------------------------- */
static bool put_big_endian(struct mv_out *o, uint8_t initial, uint64_t v, unsigned bytes)
{
        uint8_t b[9] = { initial };
        for (unsigned i = 0; i < bytes; i++)
                b[1 + i] = (uint8_t)(v >> (8 * (bytes - 1 - i)));
        return mv_put_bytes(o, b, 1 + bytes);
}

static bool put_head(struct mv_out *o, enum major major, uint64_t argument)
{
        uint8_t top = (uint8_t)(major << 5);
        if (argument < 24)
                return mv_put_u8(o, (uint8_t)(top | argument));
        if (argument <= UINT8_MAX)
                return put_big_endian(o, top | 24, argument, 1);
        if (argument <= UINT16_MAX)
                return put_big_endian(o, top | 25, argument, 2);
        if (argument <= UINT32_MAX)
                return put_big_endian(o, top | 26, argument, 4);
        return put_big_endian(o, top | 27, argument, 8);
}

bool mv_cbor_put_null(struct mv_out *o)
{
        return mv_put_u8(o, SIMPLE << 5 | SIMPLE_NULL);
}

bool mv_cbor_put_bool(struct mv_out *o, bool v)
{
        return mv_put_u8(o, SIMPLE << 5 | (v ? SIMPLE_TRUE : SIMPLE_FALSE));
}

bool mv_cbor_put_int(struct mv_out *o, int64_t v)
{
        return v >= 0 ? put_head(o, UNSIGNED, (uint64_t)v)
                      : put_head(o, NEGATIVE, (uint64_t)(-1 - v));
}

bool mv_cbor_put_float(struct mv_out *o, double v)
{
        uint64_t small, bits = float_bits(v);
        if (is_nan(bits))
                return put_big_endian(o, SIMPLE << 5 | 25, HALF_NAN, 2);
        if (narrow(bits, half_format, &small))
                return put_big_endian(o, SIMPLE << 5 | 25, small, 2);
        if (narrow(bits, single_format, &small))
                return put_big_endian(o, SIMPLE << 5 | 26, small, 4);
        return put_big_endian(o, SIMPLE << 5 | 27, bits, 8);
}

bool mv_cbor_put_text(struct mv_out *o, struct mv_slice s)
{
        return put_head(o, TEXT, s.len) && mv_put_slice(o, s);
}

bool mv_cbor_put_text_head(struct mv_out *o, size_t len)
{
        return put_head(o, TEXT, len);
}

bool mv_cbor_put_bytes(struct mv_out *o, struct mv_slice s)
{
        return put_head(o, BYTES, s.len) && mv_put_slice(o, s);
}

bool mv_cbor_put_array(struct mv_out *o, uint32_t count)
{
        return put_head(o, ARRAY, count);
}

bool mv_cbor_put_map(struct mv_out *o, uint32_t count)
{
        return put_head(o, MAP, count);
}

bool mv_cbor_put_tag(struct mv_out *o, uint64_t tag)
{
        return put_head(o, TAG, tag);
}

bool mv_cbor_put_keyword(struct mv_out *o, struct mv_slice name)
{
        return put_head(o, TAG, MV_TAG_IDENTIFIER) && put_head(o, TEXT, (uint64_t)name.len + 1) &&
               mv_put_u8(o, ':') && mv_put_slice(o, name);
}

bool mv_cbor_put_symbol(struct mv_out *o, struct mv_slice name)
{
        return put_head(o, TAG, MV_TAG_IDENTIFIER) && mv_cbor_put_text(o, name);
}
