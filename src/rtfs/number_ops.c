/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic of two values (number_ops.h).
 *
 * (1) Two integers are computed exactly in 64 bits or raise IntegerOverflow; a float makes the
 * result a float. (2) `/` gives an integer whenever the quotient is whole and representable, even
 * of floats (spec 2.5). (3) Numbers of different types are ordered by their exact values, never by
 * rounding the integer. */
#include <base/slice.h>
#include <math.h>
#include <rtfs/library.h>
#include <rtfs/number_ops.h>

#define TWO_63 9223372036854775808.0

static enum native_status not_numbers(struct mv_rtfs *r, const char *op, val a, val b)
{
        return raise_type(r, op, "number", is_number(a) ? b : a);
}

enum native_status num_add(struct mv_rtfs *r, val a, val b, val *ret)
{
        int64_t sum;
        if (a.tag == T_INT && b.tag == T_INT) {
                if (__builtin_add_overflow(a.i, b.i, &sum))
                        return raise_overflow(r, "+");
                *ret = INT(sum);
                return N_OK;
        }
        if (!is_number(a) || !is_number(b))
                return not_numbers(r, "+", a, b);
        *ret = FLOAT(as_double(a) + as_double(b));
        return N_OK;
}

enum native_status num_sub(struct mv_rtfs *r, val a, val b, val *ret)
{
        int64_t difference;
        if (a.tag == T_INT && b.tag == T_INT) {
                if (__builtin_sub_overflow(a.i, b.i, &difference))
                        return raise_overflow(r, "-");
                *ret = INT(difference);
                return N_OK;
        }
        if (!is_number(a) || !is_number(b))
                return not_numbers(r, "-", a, b);
        *ret = FLOAT(as_double(a) - as_double(b));
        return N_OK;
}

enum native_status num_mul(struct mv_rtfs *r, val a, val b, val *ret)
{
        int64_t product;
        if (a.tag == T_INT && b.tag == T_INT) {
                if (__builtin_mul_overflow(a.i, b.i, &product))
                        return raise_overflow(r, "*");
                *ret = INT(product);
                return N_OK;
        }
        if (!is_number(a) || !is_number(b))
                return not_numbers(r, "*", a, b);
        *ret = FLOAT(as_double(a) * as_double(b));
        return N_OK;
}

enum native_status num_div(struct mv_rtfs *r, val a, val b, val *ret)
{
        if (!is_number(a) || !is_number(b))
                return not_numbers(r, "/", a, b);
        if (as_double(b) == 0.0)
                return raise_div_zero(r);
        if (a.tag == T_INT && b.tag == T_INT && b.i != -1 && a.i % b.i == 0)
                *ret = INT(a.i / b.i);
        else if (a.tag == T_INT && b.tag == T_INT && b.i == -1 && a.i != INT64_MIN)
                *ret = INT(-a.i);
        else
                *ret = num_quotient(as_double(a), as_double(b)); /* (2) */
        return N_OK;
}

enum native_status num_mod(struct mv_rtfs *r, val a, val b, val *ret)
{
        if (!is_number(a) || !is_number(b)) {
                char actual[64];
                mv_fmt(actual, sizeof actual, "%s, %s", type_name(a), type_name(b));
                return raise_type_text(r, "mod", "numbers", actual);
        }
        if (as_double(b) == 0.0)
                return raise_div_zero(r);
        if (a.tag == T_INT && b.tag == T_INT)
                *ret = INT(b.i == -1 ? 0 : a.i % b.i); /* INT64_MIN % -1 traps in C */
        else
                *ret = FLOAT(fmod(as_double(a), as_double(b)));
        return N_OK;
}

enum native_status num_negate(struct mv_rtfs *r, val a, val *ret)
{
        if (a.tag == T_FLOAT) {
                *ret = FLOAT(-a.f);
                return N_OK;
        }
        return num_sub(r, INT(0), a, ret);
}

static enum native_status step(struct mv_rtfs *r, const char *op, val a, int by, val *ret)
{
        int64_t n;
        if (a.tag == T_FLOAT) {
                *ret = FLOAT(a.f + by);
                return N_OK;
        }
        if (a.tag != T_INT)
                return raise_fmt(r, E_GENERIC, "%s expects a number", op);
        if (__builtin_add_overflow(a.i, by, &n))
                return raise_overflow(r, op);
        *ret = INT(n);
        return N_OK;
}

enum native_status num_inc(struct mv_rtfs *r, val a, val *ret)
{
        return step(r, "inc", a, 1, ret);
}

enum native_status num_dec(struct mv_rtfs *r, val a, val *ret)
{
        return step(r, "dec", a, -1, ret);
}

int64_t num_truncate(double x)
{
        if (isnan(x))
                return 0;
        if (x >= TWO_63)
                return INT64_MAX;
        if (x < -TWO_63)
                return INT64_MIN;
        return (int64_t)x;
}

static enum num_order order_doubles(double a, double b)
{
        return a < b ? NUM_LESS : a > b ? NUM_GREATER : a == b ? NUM_EQUAL : NUM_UNORDERED;
}

/* (3): compare the integer with the float's whole part, then what is behind the point decides. */
static enum num_order order_mixed(int64_t i, double f)
{
        if (isnan(f))
                return NUM_UNORDERED;
        if (f >= TWO_63)
                return NUM_LESS;
        if (f < -TWO_63)
                return NUM_GREATER;
        int64_t whole = (int64_t)f;
        if (i != whole)
                return i < whole ? NUM_LESS : NUM_GREATER;
        return order_doubles(0.0, f - (double)whole);
}

enum num_order num_order(val a, val b)
{
        if (a.tag == T_INT && b.tag == T_INT)
                return a.i < b.i ? NUM_LESS : a.i > b.i ? NUM_GREATER : NUM_EQUAL;
        if (a.tag == T_FLOAT && b.tag == T_FLOAT)
                return order_doubles(a.f, b.f);
        if (a.tag == T_INT)
                return order_mixed(a.i, b.f);
        enum num_order o = order_mixed(b.i, a.f);
        return o == NUM_LESS ? NUM_GREATER : o == NUM_GREATER ? NUM_LESS : o;
}

enum native_status val_order(struct mv_rtfs *r, const char *op, val a, val b, enum num_order *ret)
{
        if (is_number(a) && is_number(b)) {
                *ret = num_order(a, b);
                return N_OK;
        }
        if (a.tag == T_STRING && b.tag == T_STRING) {
                int c = mv_slice_cmp(string_slice(a), string_slice(b));
                *ret = c < 0 ? NUM_LESS : c > 0 ? NUM_GREATER : NUM_EQUAL;
                return N_OK;
        }
        char actual[64];
        mv_fmt(actual, sizeof actual, "%s and %s", type_name(a), type_name(b));
        return raise_type_text(r, op, "comparable types", actual);
}

enum native_status num_less(struct mv_rtfs *r, const char *op, val a, val b, bool *ret)
{
        enum num_order o;
        TRY(val_order(r, op, a, b, &o));
        bool or_equal = op[1] == '=';
        *ret = (o == NUM_EQUAL && or_equal) || o == (op[0] == '<' ? NUM_LESS : NUM_GREATER);
        return N_OK;
}
