/* SPDX-License-Identifier: Apache-2.0 */
/* wire/number.c - numbers to text and back: exact, locale-free, integer arithmetic only (but one exact fast path).
 *
 * Printing follows R. Giulietti's Schubfach: scale the interval of reals that round to the double by the power of ten
 * whose step is just finer than the interval, take the one or two integers at a ten times coarser step that lie inside,
 * else the integer nearest to the double.
 * (1) Scaled bounds are kept as integers in quarters of a unit, odd when inexact ("round to odd"): comparisons with
 *     integers are then exact, though the power of ten is a rounded 128-bit number.
 *
 * Parsing keeps a lower and an upper bound of the value, from the first 19 digits and the same table.
 * (2) Rounding is monotone: when both bounds round to one double, that is the answer. Only when they differ does an
 *     exact comparison with the point half-way between two neighbours decide, on integers of BIG_LIMBS limbs.
 * (3) A number takes part with at most DIGITS_EXACT digits: no point half-way between two doubles has more than 767, so
 *     what follows can only say "a little more", which a single further digit says as well. */
#include <wire/text.h>
#include <wire/pow10_table.h>

#define FRACTION_BITS 52
#define HIDDEN_BIT    (1ull << FRACTION_BITS)
#define BIAS          1075 /* of an integer significand: value = significand * 2^(exponent - BIAS) */
#define EXPONENT_MAX  2047
#define SIGN_BIT      (1ull << 63)
#define INFINITY_BITS ((uint64_t)EXPONENT_MAX << FRACTION_BITS)

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

/* --- wide arithmetic -------------------------------------------------------------------------- */
struct wide {
        uint64_t hi, lo;
};

/* By halves: no compiler runtime is needed for it in any guest. */
static struct wide multiply(uint64_t a, uint64_t b)
{
        uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
        uint64_t low = a0 * b0, mid = a1 * b0 + (low >> 32), other = a0 * b1 + (uint32_t)mid;
        return (struct wide){ a1 * b1 + (mid >> 32) + (other >> 32), other << 32 | (uint32_t)low };
}

static struct wide add_small(struct wide w, uint64_t v)
{
        uint64_t lo = w.lo + v;
        return (struct wide){ w.hi + (lo < v), lo };
}

/* Estimates by multiplication; tools/gen-pow10.py checks them over the whole range of use. */
static int floor_log2_pow10(int e)
{
        return (e * 1741647) >> 19;
}

static int floor_log10_pow2(int q)
{
        return (q * 1262611) >> 22;
}

static int floor_log10_three_quarters_pow2(int q)
{
        return (q * 1262611 - 524031) >> 22;
}

/* --- shortest digits -------------------------------------------------------------------------- */
/* v * g / 2^128, made odd when it is not exact (1). */
static uint64_t scale_to_odd(const struct pow10 *g, uint64_t v)
{
        struct wide w = add_small(multiply(g->hi, v), multiply(g->lo, v).hi);
        return w.hi | (w.lo > 1);
}

struct scaled {
        uint64_t lower, value,
                upper; /* in quarters of 10^exponent; the bounds may themselves be used */
        int exponent;
};

static struct scaled scale(uint64_t significand, int exponent, bool lower_is_closer)
{
        int k = lower_is_closer ? floor_log10_three_quarters_pow2(exponent)
                                : floor_log10_pow2(exponent);
        int shift = exponent + floor_log2_pow10(-k) + 1;
        const struct pow10 *g = &pow10_table[-k - POW10_FIRST];
        bool odd = significand &
                   1; /* an odd significand loses ties: its bounds belong to the neighbours */
        uint64_t quarters = 4 * significand;
        return (struct scaled){
                scale_to_odd(g, (quarters - 2 + lower_is_closer) << shift) + odd,
                scale_to_odd(g, quarters << shift),
                scale_to_odd(g, (quarters + 2) << shift) - odd,
                k,
        };
}

static void shortest(uint64_t significand, int exponent, bool lower_is_closer, uint64_t *ret_digits,
                     int *ret_exponent)
{
        struct scaled s = scale(significand, exponent, lower_is_closer);
        uint64_t unit = s.value / 4, ten = unit / 10;
        *ret_exponent = s.exponent;

        bool ten_below = s.lower <= 40 * ten, ten_above = 40 * ten + 40 <= s.upper;
        if (unit >= 10 && ten_below != ten_above) {
                *ret_digits = 10 * (ten + ten_above);
                return;
        }
        bool below = s.lower <= 4 * unit, above = 4 * unit + 4 <= s.upper;
        if (below != above) {
                *ret_digits = unit + above;
                return;
        }
        uint64_t middle = 4 * unit + 2;
        bool up = s.value > middle || (s.value == middle && (unit & 1));
        *ret_digits = unit + up;
}

static void set_digits(struct mv_decimal *ret, uint64_t digits, int exponent)
{
        char text[20];
        unsigned n = 0;
        while (digits % 10 == 0) {
                digits /= 10;
                exponent++;
        }
        for (; digits; digits /= 10)
                text[n++] = (char)('0' + digits % 10);
        ret->count = (uint8_t)n;
        ret->point = (int16_t)((int)n + exponent);
        for (unsigned i = 0; i < n; i++)
                ret->digits[i] = text[n - 1 - i];
}

void mv_float_shortest(double finite, struct mv_decimal *ret)
{
        uint64_t bits = float_bits(finite), fraction = bits & (HIDDEN_BIT - 1), digits;
        int exponent = (int)(bits >> FRACTION_BITS & EXPONENT_MAX), decimal_exponent;
        *ret = (struct mv_decimal){ .count = 1, .point = 1, .negative = bits >> 63 };
        ret->digits[0] = '0';
        if (exponent == 0 && fraction == 0)
                return;
        /* Below a power of two the doubles lie twice as close; not below the smallest normal
         * one. */
        bool lower_is_closer = fraction == 0 && exponent > 1;
        uint64_t significand = exponent ? fraction | HIDDEN_BIT : fraction;
        shortest(significand, (exponent ? exponent : 1) - BIAS, lower_is_closer, &digits,
                 &decimal_exponent);
        set_digits(ret, digits, decimal_exponent);
}

/* --- digits to text --------------------------------------------------------------------------- */
static bool put_zeros(struct mv_out *o, int n)
{
        while (n-- > 0)
                if (!mv_put_u8(o, '0'))
                        return false;
        return true;
}

static bool put_positional(struct mv_out *o, const struct mv_decimal *d, bool always_point)
{
        int n = d->count, p = d->point;
        if (p <= 0)
                return mv_put_str(o, "0.") && put_zeros(o, -p) &&
                       mv_put_bytes(o, d->digits, (size_t)n);
        if (p < n)
                return mv_put_bytes(o, d->digits, (size_t)p) && mv_put_u8(o, '.') &&
                       mv_put_bytes(o, d->digits + p, (size_t)(n - p));
        return mv_put_bytes(o, d->digits, (size_t)n) && put_zeros(o, p - n) &&
               (!always_point || mv_put_str(o, ".0"));
}

static bool put_exponent(struct mv_out *o, const struct mv_decimal *d, bool always_point)
{
        mv_put_u8(o, (uint8_t)d->digits[0]);
        if (d->count > 1 || always_point)
                mv_put_u8(o, '.');
        if (d->count > 1)
                mv_put_bytes(o, d->digits + 1, d->count - 1u);
        else if (always_point)
                mv_put_u8(o, '0');
        return mv_put_u8(o, 'e') && mv_text_int(o, d->point - 1);
}

/* Exponent form outside 1e-5 <= |x| < 1e16. */
static bool put_scientific(struct mv_out *o, double v, bool point_before_exponent)
{
        struct mv_decimal d;
        mv_float_shortest(v, &d);
        if (d.negative && !mv_put_u8(o, '-'))
                return false;
        bool positional = d.point >= -4 && d.point <= 16;
        return positional ? put_positional(o, &d, true)
                          : put_exponent(o, &d, point_before_exponent);
}

/* nan, inf, -inf: the text of the one it is, or NULL for a finite number. */
static const char *not_finite(double v, const char *nan, const char *positive, const char *negative)
{
        uint64_t bits = float_bits(v), magnitude = bits & ~SIGN_BIT;
        if (magnitude < INFINITY_BITS)
                return NULL;
        return magnitude > INFINITY_BITS ? nan : bits >> 63 ? negative : positive;
}

bool mv_text_float_display(struct mv_out *o, double v)
{
        struct mv_decimal d;
        const char *special = not_finite(v, "NaN", "inf", "-inf");
        if (special)
                return mv_put_str(o, special);
        mv_float_shortest(v, &d);
        return (!d.negative || mv_put_u8(o, '-')) && put_positional(o, &d, false);
}

bool mv_text_float_readable(struct mv_out *o, double v)
{
        const char *special = not_finite(v, "##NaN", "##Inf", "##-Inf");
        return special ? mv_put_str(o, special) : put_scientific(o, v, true);
}

bool mv_text_float_json(struct mv_out *o, double v)
{
        return put_scientific(o, v, false);
}

bool mv_text_int(struct mv_out *o, int64_t v)
{
        char text[20];
        size_t at = sizeof text;
        uint64_t rest = v < 0 ? -(uint64_t)v : (uint64_t)v;
        do
                text[--at] = (char)('0' + rest % 10);
        while ((rest /= 10) > 0);
        if (v < 0)
                text[--at] = '-';
        return mv_put_bytes(o, text + at, sizeof text - at);
}

/* --- scanning --------------------------------------------------------------------------------- */
#define DIGITS_FIRST 19 /* fit 64 bits */
#define DIGITS_EXACT 800

struct scan {
        struct mv_slice
                /* from the first digit that is not zero to the exponent; may contain the point */
                digits;
        uint64_t first;   /* the first DIGITS_FIRST of them */
        int64_t exponent; /* of the last of those first digits */
        bool more;        /* digits other than zero follow the first ones */
        bool negative;
};

static bool is_digit(uint8_t c)
{
        return c >= '0' && c <= '9';
}

/* (4) Exponents are cut off here, far beyond anything that 2^63 digits could bring back. */
#define EXPONENT_CUT (1ll << 62)

static bool scan_exponent(struct mv_slice s, int64_t *ret)
{
        size_t i = 0;
        bool negative = s.len && s.p[0] == '-';
        int64_t v = 0;
        if (s.len && (s.p[0] == '-' || s.p[0] == '+'))
                i++;
        if (i == s.len)
                return false;
        for (; i < s.len; i++) {
                if (!is_digit(s.p[i]))
                        return false;
                if (v < EXPONENT_CUT / 16)
                        v = 10 * v + (s.p[i] - '0');
        }
        *ret = negative ? -v : v;
        return true;
}

/* Digits and one point, up to the end or an exponent; returns where it stopped. */
static size_t scan_mantissa(struct mv_slice s, struct scan *ret, bool *ret_any)
{
        size_t i = 0, taken = 0, start = 0;
        bool point = false, any = false;
        for (; i < s.len && (is_digit(s.p[i]) || (s.p[i] == '.' && !point)); i++) {
                if (s.p[i] == '.') {
                        point = true;
                        continue;
                }
                any = true;
                ret->exponent -= point;
                if (taken == 0 && s.p[i] == '0')
                        continue;
                if (taken++ == 0)
                        start = i;
                if (taken <= DIGITS_FIRST) {
                        ret->first = 10 * ret->first + (uint64_t)(s.p[i] - '0');
                } else {
                        ret->exponent++;
                        ret->more |= s.p[i] != '0';
                }
        }
        ret->digits =
                taken ? (struct mv_slice){ s.p + start, i - start } : (struct mv_slice){ s.p, 0 };
        *ret_any = any;
        return i;
}

static bool scan_number(struct mv_slice s, struct scan *ret)
{
        bool any;
        int64_t exponent = 0;
        *ret = (struct scan){ .negative = s.len && s.p[0] == '-' };
        if (s.len && (s.p[0] == '-' || s.p[0] == '+'))
                s = (struct mv_slice){ s.p + 1, s.len - 1 };
        size_t end = scan_mantissa(s, ret, &any);
        if (!any)
                return false;
        if (end < s.len) {
                if (s.p[end] != 'e' && s.p[end] != 'E')
                        return false;
                if (!scan_exponent((struct mv_slice){ s.p + end + 1, s.len - end - 1 }, &exponent))
                        return false;
        }
        ret->exponent += exponent;
        return true;
}

/* --- bounds ----------------------------------------------------------------------------------- */
static int leading_zeros(struct wide w)
{
        return w.hi ? __builtin_clzll(w.hi) : 64 + __builtin_clzll(w.lo);
}

static struct wide shift_left(struct wide w, int n)
{
        if (n == 0)
                return w;
        if (n >= 64)
                return (struct wide){ w.lo << (n - 64), 0 };
        return (struct wide){ w.hi << n | w.lo >> (64 - n), w.lo << n };
}

/* The bits of w * 2^exponent (w not zero), rounded half to even; w is exactly what it says,
 * nothing sticks behind it. */
static uint64_t round_to_bits(struct wide w, int exponent)
{
        int zeros = leading_zeros(w);
        w = shift_left(w, zeros);
        /* Now 2^127 <= w: keep 53 bits, or fewer where the double is subnormal. */
        int biased = exponent - zeros + 127 - FRACTION_BITS + BIAS, drop = 64 - (FRACTION_BITS + 1);
        if (biased >= EXPONENT_MAX)
                return INFINITY_BITS;
        if (biased < 1) {
                drop += 1 - biased;
                biased = 1;
        }
        if (drop > 64)
                return 0; /* below half of the smallest double */
        uint64_t kept = drop == 64 ? 0 : w.hi >> drop;
        uint64_t cut = drop == 64 ? w.hi : w.hi << (64 - drop);
        bool up = cut > SIGN_BIT || (cut == SIGN_BIT && (w.lo || (kept & 1)));
        /* Adding, not or-ing, the hidden bit carries into the exponent, up to infinity and down
         * to subnormals alike. */
        return ((uint64_t)(biased - 1) << FRACTION_BITS) + kept + up;
}

/* The bits that a bound of digits * 10^e rounds to. */
static uint64_t bound_bits(uint64_t digits, int e, bool upper)
{
        const struct pow10 *g = &pow10_table[e - POW10_FIRST];
        int zeros = __builtin_clzll(digits);
        uint64_t v = digits << zeros;
        struct wide low = multiply(g->lo, v);
        struct wide top = add_small(multiply(g->hi, v), low.hi);
        bool exact =
                e >= 0 &&
                e <= 55; /* else the table entry is too large by up to one unit, the product by up to v */
        if (upper && low.lo)
                top = add_small(top, 1);
        if (!upper && !exact && low.lo < v)
                top = (struct wide){ top.hi - (top.lo == 0), top.lo - 1 };
        return round_to_bits(top, floor_log2_pow10(e) - 127 + 64 - zeros);
}

/* --- exact comparison ------------------------------------------------------------------------- */
/* Both sides are compared at about the same size. The larger is one of: DIGITS_EXACT + 1 digits (2661 bits); below
 * 10^310 (1030 bits); a 54-bit significand times 5^1143 (2708 bits). One limb more for a shift by part of a limb. */
#define BIG_LIMBS 96
struct big {
        uint32_t limb[BIG_LIMBS];
        unsigned count;
};
_Static_assert(BIG_LIMBS * 32 >= 2708 + 64, "see above");

static void big_multiply_add(struct big *b, uint32_t factor, uint32_t addend)
{
        uint64_t carry = addend;
        for (unsigned i = 0; i < b->count; i++) {
                carry += (uint64_t)b->limb[i] * factor;
                b->limb[i] = (uint32_t)carry;
                carry >>= 32;
        }
        if (carry &&
            b->count <
                    BIG_LIMBS) /* the second half always holds, see above; it keeps the write inside */
                b->limb[b->count++] = (uint32_t)carry;
}

static void big_multiply_pow5(struct big *b, int64_t n)
{
        for (; n >= 13; n -= 13)
                big_multiply_add(b, 1220703125, 0); /* 5^13 */
        for (; n > 0; n--)
                big_multiply_add(b, 5, 0);
}

static void big_shift_left(struct big *b, int64_t bits)
{
        unsigned limbs = (unsigned)(bits / 32);
        big_multiply_add(b, 1u << (bits % 32), 0);
        if (b->count == 0 || limbs > BIG_LIMBS - b->count)
                return;
        memmove(b->limb + limbs, b->limb, b->count * sizeof b->limb[0]);
        memset(b->limb, 0, limbs * sizeof b->limb[0]);
        b->count += limbs;
}

static int big_cmp(const struct big *a, const struct big *b)
{
        if (a->count != b->count)
                return a->count < b->count ? -1 : 1;
        for (unsigned i = a->count; i-- > 0;)
                if (a->limb[i] != b->limb[i])
                        return a->limb[i] < b->limb[i] ? -1 : 1;
        return 0;
}

/* All digits, (3); returns the exponent of the last. */
static int64_t big_digits(struct big *b, const struct scan *s)
{
        unsigned taken = 0;
        bool more = false;
        for (size_t i = 0; i < s->digits.len; i++) {
                if (s->digits.p[i] == '.')
                        continue;
                if (taken == DIGITS_EXACT) {
                        more |= s->digits.p[i] != '0';
                        continue;
                }
                big_multiply_add(b, 10, (uint32_t)(s->digits.p[i] - '0'));
                taken++;
        }
        int64_t exponent = s->exponent - (taken > DIGITS_FIRST ? taken - DIGITS_FIRST : 0);
        if (!more)
                return exponent;
        big_multiply_add(b, 10, 1);
        return exponent - 1;
}

static void big_set(struct big *b, uint64_t v)
{
        b->count = 0;
        big_multiply_add(b, 0, (uint32_t)(v >> 32));
        if (b->count)
                big_shift_left(b, 32);
        big_multiply_add(b, 1, (uint32_t)v);
}

/* The number against the point half-way between the double of these bits and the next larger
 * one. */
static int cmp_half_way(const struct scan *s, uint64_t bits)
{
        struct big number, half_way;
        int biased = (int)(bits >> FRACTION_BITS);
        uint64_t significand = (bits & (HIDDEN_BIT - 1)) | (biased ? HIDDEN_BIT : 0);
        number.count = 0;
        int64_t exponent = big_digits(&number, s);
        int64_t half_exponent = (biased ? biased : 1) - BIAS - 1;
        big_set(&half_way, 2 * significand + 1);
        /* number * 5^e * 2^e against half_way * 2^h: whole powers of five to either side, then
         * the difference of twos. */
        if (exponent >= 0)
                big_multiply_pow5(&number, exponent);
        else
                big_multiply_pow5(&half_way, -exponent);
        if (exponent >= half_exponent)
                big_shift_left(&number, exponent - half_exponent);
        else
                big_shift_left(&half_way, half_exponent - exponent);
        return big_cmp(&number, &half_way);
}

/* --- parsing ---------------------------------------------------------------------------------- */
/* A product or quotient of two numbers that doubles hold exactly is rounded once, by the
 * machine. */
#define POW10_DOUBLE_MAX 22

static bool parse_fast(const struct scan *s, double *ret)
{
        static const double powers[POW10_DOUBLE_MAX + 1] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,
                                                             1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                                             1e12, 1e13, 1e14, 1e15, 1e16, 1e17,
                                                             1e18, 1e19, 1e20, 1e21, 1e22 };
        if (s->more || s->first > 1ull << 53)
                return false;
        if (s->exponent < -POW10_DOUBLE_MAX || s->exponent > POW10_DOUBLE_MAX)
                return false;
        double v = (double)s->first;
        v = s->exponent < 0 ? v / powers[-s->exponent] : v * powers[s->exponent];
        *ret = s->negative ? -v : v;
        return true;
}

static uint64_t parse_exact(const struct scan *s)
{
        if (s->first == 0 ||
            s->exponent < POW10_FIRST) /* 10^19 * 10^-343 is below half of the smallest double */
                return 0;
        if (s->exponent > 308)
                return INFINITY_BITS;
        uint64_t bits = bound_bits(s->first, (int)s->exponent, false);
        uint64_t upper = bound_bits(s->first + s->more, (int)s->exponent, true);
        for (; bits < upper; bits++) { /* (2): rarely entered, and then for one turn */
                int c = cmp_half_way(s, bits);
                if (c < 0 || (c == 0 && !(bits & 1)))
                        break;
        }
        return bits;
}

bool mv_parse_float(struct mv_slice s, double *ret)
{
        struct scan scan;
        if (!scan_number(s, &scan))
                return false;
        if (!parse_fast(&scan, ret))
                *ret = bits_float(parse_exact(&scan) | (scan.negative ? SIGN_BIT : 0));
        return true;
}

bool mv_parse_int(struct mv_slice s, int64_t *ret)
{
        bool negative = s.len && s.p[0] == '-';
        size_t i = negative || (s.len && s.p[0] == '+');
        uint64_t v = 0, most = (uint64_t)INT64_MAX + negative;
        if (i == s.len)
                return false;
        for (; i < s.len; i++) {
                if (!is_digit(s.p[i]))
                        return false;
                uint64_t digit = (uint64_t)(s.p[i] - '0');
                if (v > (most - digit) / 10)
                        return false;
                v = 10 * v + digit;
        }
        *ret = negative ? (int64_t)-v : (int64_t)v;
        return true;
}
