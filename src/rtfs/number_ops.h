/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_RTFS_NUMBER_OPS_H
#define MV_RTFS_NUMBER_OPS_H
/* Arithmetic and ordering of two values (spec 2.4, 2.5), shared by the builtins and by the
 * machine's inlined instructions so that both have one meaning and one error text. */
#include <rtfs/vm.h>

enum native_status num_add(struct mv_rtfs *r, val a, val b, val *ret);
enum native_status num_sub(struct mv_rtfs *r, val a, val b, val *ret);
enum native_status num_mul(struct mv_rtfs *r, val a, val b, val *ret);
enum native_status num_div(struct mv_rtfs *r, val a, val b, val *ret);
enum native_status num_mod(struct mv_rtfs *r, val a, val b, val *ret);
enum native_status num_negate(struct mv_rtfs *r, val a, val *ret);
enum native_status num_inc(struct mv_rtfs *r, val a, val *ret);
enum native_status num_dec(struct mv_rtfs *r, val a, val *ret);

enum num_order { NUM_LESS, NUM_EQUAL, NUM_GREATER, NUM_UNORDERED };
/* Exact order of two numbers, whatever their types; NaN is unordered. */
enum num_order num_order(val a, val b);
/* Two numbers or two strings; op names the function in the TypeError. */
enum native_status val_order(struct mv_rtfs *r, const char *op, val a, val b, enum num_order *ret);
/* `op` is "<", ">", "<=" or ">=". */
enum native_status num_less(struct mv_rtfs *r, const char *op, val a, val b, bool *ret);

static inline bool is_number(val v)
{
        return v.tag == T_INT || v.tag == T_FLOAT;
}
static inline double as_double(val v)
{
        return v.tag == T_INT ? (double)v.i : v.f;
}
/* What dividing two floats gives, the divisor not being 0: an integer when the quotient is whole
 * and one. */
static inline val num_quotient(double a, double b)
{
        double q = a / b;
        if (q >= -0x1p63 && q < 0x1p63 && (double)(int64_t)q == q)
                return INT((int64_t)q);
        return FLOAT(q);
}
/* Truncation that saturates; NaN is 0. */
int64_t num_truncate(double x);

#endif
