/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers, comparison and the boolean functions (spec 7.2, 7.3, 7.10). */
#include <math.h>
#include <rtfs/library.h>
#include <rtfs/number_ops.h>
#include <wire/text.h>

typedef enum native_status binary(struct mv_rtfs *r, val a, val b, val *ret);

/* Left to right over args[1..); the first argument has to be a number even when it is alone. */
static enum native_status fold(struct mv_rtfs *r, binary *op, val *args, uint32_t count, val *ret)
{
        val sum = args[0];
        if (charge(r, count))
                return N_FATAL;
        for (uint32_t i = 1; i < count; i++)
                TRY(op(r, sum, args[i], &sum));
        *ret = sum;
        return N_OK;
}

static enum native_status add(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        if (count == 0)
                return give(ret, INT(0));
        if (!is_number(args[0]))
                return raise_type(r, "+", "number", args[0]);
        return fold(r, num_add, args, count, ret);
}

static enum native_status multiply(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        if (count == 0)
                return give(ret, INT(1));
        if (!is_number(args[0]))
                return raise_type(r, "*", "number", args[0]);
        return fold(r, num_mul, args, count, ret);
}

static enum native_status subtract(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        if (count == 1)
                return num_negate(r, args[0], ret);
        return fold(r, num_sub, args, count, ret);
}

static enum native_status divide(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        if (count == 1) /* not a reciprocal: only a whole float becomes an integer */
                return num_div(r, args[0], INT(1), ret);
        return fold(r, num_div, args, count, ret);
}

static enum native_status mod(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        return num_mod(r, args[0], args[1], ret);
}

/* Ties keep the earlier argument; a single argument of any type is returned. */
static enum native_status extreme(struct mv_rtfs *r, const char *op, enum num_order wanted,
                                  const val *args, uint32_t count, val *ret)
{
        val best = args[0];
        if (charge(r, count))
                return N_FATAL;
        for (uint32_t i = 1; i < count; i++) {
                if (!is_number(best) || !is_number(args[i]))
                        return raise_fmt(r, E_GENERIC, "%s can only compare numbers", op);
                if (num_order(args[i], best) == wanted)
                        best = args[i];
        }
        *ret = best;
        return N_OK;
}

static enum native_status max(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        return extreme(r, "max", NUM_GREATER, args, count, ret);
}

static enum native_status min(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        return extreme(r, "min", NUM_LESS, args, count, ret);
}

static enum native_status inc(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        return num_inc(r, args[0], ret);
}

static enum native_status dec(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        return num_dec(r, args[0], ret);
}

static enum native_status absolute(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        val v = args[0];
        if (v.tag == T_FLOAT)
                return give(ret, FLOAT(fabs(v.f)));
        if (v.tag != T_INT)
                return raise_type(r, "abs", "number", v);
        if (v.i == INT64_MIN)
                return raise_overflow(r, "abs");
        return give(ret, INT(v.i < 0 ? -v.i : v.i));
}

static enum native_status square_root(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        if (!is_number(args[0]))
                return raise_type(r, "sqrt", "number", args[0]);
        double x = as_double(args[0]);
        if (x < 0)
                return raise_fmt(r, E_INVALID_ARGUMENT,
                                 "Cannot take square root of negative number");
        return give(ret, FLOAT(sqrt(x)));
}

/* base^exponent by squaring; false: overflow. */
static bool power(int64_t base, int64_t exponent, int64_t *ret)
{
        int64_t result = 1;
        for (;;) {
                if ((exponent & 1) && __builtin_mul_overflow(result, base, &result))
                        return false;
                exponent >>= 1;
                if (exponent == 0)
                        break;
                if (__builtin_mul_overflow(base, base, &base))
                        return false;
        }
        *ret = result;
        return true;
}

static enum native_status pow_(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        val base = args[0], exponent = args[1];
        if (!is_number(base) || !is_number(exponent)) {
                char actual[64];
                mv_fmt(actual, sizeof actual, "%s, %s", type_name(base), type_name(exponent));
                return raise_type_text(r, "pow", "numbers", actual);
        }
        if (base.tag != T_INT || exponent.tag != T_INT || exponent.i < 0)
                return give(ret, FLOAT(pow(as_double(base), as_double(exponent))));
        int64_t n;
        if (!power(base.i, exponent.i, &n))
                return raise_overflow(r, "pow");
        return give(ret, INT(n));
}

static enum native_status factorial(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        if (args[0].tag != T_INT)
                return raise_type(r, "factorial", "integer", args[0]);
        if (args[0].i < 0)
                return raise_fmt(r, E_INVALID_ARGUMENT,
                                 "Factorial is not defined for negative numbers");
        if (args[0].i > 20)
                return raise_overflow(r, "factorial");
        int64_t n = 1;
        for (int64_t i = 2; i <= args[0].i; i++)
                n *= i;
        return give(ret, INT(n));
}

/* --- text to numbers -------------------------------------------------------------------------- */
static struct mv_slice trim(struct mv_slice s)
{
        size_t from = 0, to = 0;
        bool inside = false;
        for (size_t at = 0; at < s.len;) {
                size_t start = at;
                if (mv_utf8_is_space(mv_utf8_next(s, &at)))
                        continue;
                if (!inside)
                        from = start;
                inside = true;
                to = at;
        }
        return mv_slice(s.p + from, to - from);
}

static val int_of(val v)
{
        int64_t n;
        if (v.tag == T_INT)
                return v;
        if (v.tag == T_FLOAT)
                return INT(num_truncate(v.f));
        if (v.tag == T_STRING && mv_parse_int(trim(string_slice(v)), &n))
                return INT(n);
        return NIL;
}

static bool is_word(struct mv_slice s, const char *lower)
{
        if (s.len != strlen(lower))
                return false;
        for (size_t i = 0; i < s.len; i++)
                if ((s.p[i] | 0x20) != (uint8_t)lower[i])
                        return false;
        return true;
}

static bool parse_special(struct mv_slice s, double *ret)
{
        bool negative = s.len && s.p[0] == '-';
        if (s.len && (s.p[0] == '-' || s.p[0] == '+'))
                s = mv_slice(s.p + 1, s.len - 1);
        if (is_word(s, "inf") || is_word(s, "infinity"))
                *ret = negative ? -INFINITY : INFINITY;
        else if (is_word(s, "nan"))
                *ret = NAN;
        else
                return false;
        return true;
}

static val float_of(val v)
{
        double x;
        if (is_number(v))
                return FLOAT(as_double(v));
        if (v.tag != T_STRING)
                return NIL;
        struct mv_slice s = trim(string_slice(v));
        return mv_parse_float(s, &x) || parse_special(s, &x) ? FLOAT(x) : NIL;
}

static enum native_status charge_text(struct mv_rtfs *r, val v)
{
        return v.tag == T_STRING ? charge(r, as_string(v)->len / 8) : N_OK;
}

static enum native_status parse_int(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        if (charge_text(r, args[0]))
                return N_FATAL;
        return give(ret, int_of(args[0]));
}

static enum native_status parse_float(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        if (charge_text(r, args[0]))
                return N_FATAL;
        return give(ret, float_of(args[0]));
}

static enum native_status to_int(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        if (charge_text(r, args[0]))
                return N_FATAL;
        val v = int_of(args[0]);
        return give(ret, v.tag == T_NIL ? INT(args[0].tag == T_TRUE) : v);
}

static enum native_status to_float(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        if (charge_text(r, args[0]))
                return N_FATAL;
        val v = float_of(args[0]);
        return give(ret, v.tag == T_NIL ? FLOAT(args[0].tag == T_TRUE) : v);
}

/* --- comparison ------------------------------------------------------------------------------- */
static enum native_status equal(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        bool same = true;
        if (charge(r, count))
                return N_FATAL;
        for (uint32_t i = 1; i < count && same; i++)
                TRY(val_equal(r, args[0], args[i], &same));
        return give(ret, BOOL(same));
}

static enum native_status not_equal(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        bool same;
        TRY(val_equal(r, args[0], args[1], &same));
        return give(ret, BOOL(!same));
}

static enum native_status order(struct mv_rtfs *r, const char *op, const val *args, val *ret)
{
        bool yes;
        TRY(num_less(r, op, args[0], args[1], &yes));
        return give(ret, BOOL(yes));
}

static enum native_status less(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        return order(r, "<", args, ret);
}

static enum native_status greater(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        return order(r, ">", args, ret);
}

static enum native_status less_equal(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        return order(r, "<=", args, ret);
}

static enum native_status greater_equal(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        return order(r, ">=", args, ret);
}

static enum native_status not(struct mv_rtfs * r, val *args, uint32_t count, val *ret) {
        return give(ret, BOOL(!truthy(args[0])));
}

/* As values only: in call position `and` and `or` are short-circuiting forms. */
static enum native_status and (struct mv_rtfs * r, val *args, uint32_t count, val *ret) {
        val last = BOOL(true); for (uint32_t i = 0; i < count && truthy(last); i++) last = args[i];
        return give(ret, last);
}

static enum native_status or (struct mv_rtfs * r, val *args, uint32_t count, val *ret) {
        val last = BOOL(false);
        for (uint32_t i = 0; i < count && !truthy(last); i++) last = args[i];
        return give(ret, last);
}

/* --- predicates on numbers -------------------------------------------------------------------- */
static enum native_status against_zero(struct mv_rtfs *r, const char *op, enum num_order wanted,
                                       val v, val *ret)
{
        if (!is_number(v))
                return raise_type(r, op, "number", v);
        return give(ret, BOOL(num_order(v, INT(0)) == wanted));
}

static enum native_status zero(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        return against_zero(r, "zero?", NUM_EQUAL, args[0], ret);
}

static enum native_status positive(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        return against_zero(r, "pos?", NUM_GREATER, args[0], ret);
}

static enum native_status negative(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        return against_zero(r, "neg?", NUM_LESS, args[0], ret);
}

static enum native_status even(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        if (!is_number(args[0]))
                return raise_type(r, "even?", "number", args[0]);
        return give(ret, BOOL(int_of(args[0]).i % 2 == 0));
}

static enum native_status odd(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        if (!is_number(args[0]))
                return raise_type(r, "odd?", "number", args[0]);
        return give(ret, BOOL(int_of(args[0]).i % 2 != 0));
}

const struct native natives_math[] = {
        { "+", 0, -1, add, "Sum of numbers; 0 without arguments.", "(+ 1 2.5)", "3.5", "number*",
          "integer, or float from the first float on", "TypeError: not a number; IntegerOverflow" },
        { "-", 1, -1, subtract, "Negation of one number, or the first less the others.",
          "(- 20 3 4)", "13", "number number*", "integer, or float from the first float on",
          "TypeError: not a number; IntegerOverflow" },
        { "*", 0, -1, multiply, "Product of numbers; 1 without arguments.", "(* 2 3 4)", "24",
          "number*", "integer, or float from the first float on",
          "TypeError: not a number; IntegerOverflow" },
        { "/", 1, -1, divide, "Quotient; a whole one is an integer.", "(/ 1 8)", "0.125",
          "number number*", "integer when the quotient is whole, else float",
          "TypeError: not a number; DivisionByZero, for 0.0 as well" },
        { "mod", 2, 2, mod, "Remainder with the sign of the dividend.", "(mod -10 3)", "-1",
          "dividend divisor", "integer; float when either is one",
          "TypeError: not numbers; DivisionByZero" },
        { "max", 1, -1, max, "The greatest number.", "(max 3 9 4)", "9", "number number*",
          "the argument itself; of equal ones the first",
          "Generic: more than one argument and not all are numbers" },
        { "min", 1, -1, min, "The smallest number.", "(min 2 1.5)", "1.5", "number number*",
          "the argument itself; of equal ones the first",
          "Generic: more than one argument and not all are numbers" },
        { "inc", 1, 1, inc, "One more.", "(inc 41)", "42", "number", "number of the same type",
          "Generic: not a number; IntegerOverflow" },
        { "dec", 1, 1, dec, "One less.", "(dec 1)", "0", "number", "number of the same type",
          "Generic: not a number; IntegerOverflow" },
        { "abs", 1, 1, absolute, "Absolute value.", "(abs -12)", "12", "number",
          "number of the same type", "TypeError: not a number; IntegerOverflow" },
        { "sqrt", 1, 1, square_root, "Square root, a float.", "(sqrt 2.25)", "1.5", "number",
          "float", "TypeError: not a number; InvalidArgument: it is negative" },
        { "pow", 2, 2, pow_, "Power; an integer when both are and the exponent is not negative.",
          "(pow 2 10)", "1024", "base exponent", "integer or float",
          "TypeError: not numbers; IntegerOverflow" },
        { "factorial", 1, 1, factorial, "Product of 1 to n.", "(factorial 5)", "120", "integer",
          "integer",
          "TypeError: not an integer; InvalidArgument: it is negative; IntegerOverflow: above 20" },
        { "parse-int", 1, 1, parse_int, "Integer from text or number, or nil.",
          "(parse-int \" -45 \")", "-45", "value", "integer or nil", "none" },
        { "parse-float", 1, 1, parse_float, "Float from text or number, or nil.",
          "(parse-float \"2.5\")", "2.5", "value", "float or nil", "none" },
        { "int", 1, 1, to_int, "Integer from anything; 0 when there is none.", "(int \"nope\")",
          "0", "value", "integer", "none" },
        { "float", 1, 1, to_float, "Float from anything; 0.0 when there is none.",
          "(float \"1.25\")", "1.25", "value", "float", "none" },
        { "=", 1, -1, equal, "Are all equal to the first? Types are never mixed.", "(= 2 2.0)",
          "false", "value value*", "boolean",
          "StackOverflow: values nested deeper than 512 levels" },
        { "!=", 2, 2, not_equal, "Negation of =.", "(!= 1 2)", "true", "a b", "boolean",
          "StackOverflow: values nested deeper than 512 levels" },
        { "not=", 2, 2, not_equal, "Negation of =.", "(not= 1 1)", "false", "a b", "boolean",
          "StackOverflow: values nested deeper than 512 levels" },
        { "<", 2, 2, less, "Is the first number or string before the second?", "(< 1 2)", "true",
          "a b", "boolean", "TypeError: not two numbers or two strings" },
        { ">", 2, 2, greater, "Is the first number or string after the second?", "(> \"b\" \"a\")",
          "true", "a b", "boolean", "TypeError: not two numbers or two strings" },
        { "<=", 2, 2, less_equal, "Negation of > for ordered values.", "(<= 3 2)", "false", "a b",
          "boolean", "TypeError: not two numbers or two strings" },
        { ">=", 2, 2, greater_equal, "Negation of < for ordered values.", "(>= 2 2)", "true", "a b",
          "boolean", "TypeError: not two numbers or two strings" },
        { "not", 1, 1, not, "true for nil and false.", "(not nil)", "true", "value", "boolean",
          "none" },
        { "and", 0, -1, and, "First falsy value, else the last.", "(and 1 nil 3)", "nil", "value*",
          "one of the values; true without arguments", "none" },
        { "or", 0, -1, or, "First truthy value, else the last.", "(or nil 2)", "2", "value*",
          "one of the values; false without arguments", "none" },
        { "zero?", 1, 1, zero, "Is the number zero?", "(zero? 0.0)", "true", "number", "boolean",
          "TypeError: not a number" },
        { "pos?", 1, 1, positive, "Is the number above zero?", "(pos? 3)", "true", "number",
          "boolean", "TypeError: not a number" },
        { "neg?", 1, 1, negative, "Is the number below zero?", "(neg? 3)", "false", "number",
          "boolean", "TypeError: not a number" },
        { "even?", 1, 1, even, "Is the number, truncated, even?", "(even? 4.9)", "true", "number",
          "boolean", "TypeError: not a number" },
        { "odd?", 1, 1, odd, "Is the number, truncated, odd?", "(odd? -3)", "true", "number",
          "boolean", "TypeError: not a number" },
        { 0 },
};
