/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers to text and back, against the C library where it can tell. */
#include "../test.h"
#include <base/slice.h>
#include <wire/text.h>
#include <math.h>
#include <stdlib.h>

/* Enough random bit patterns for the time a unit test may take; MV_TEST_PATTERNS asks for more. */
static long patterns(void)
{
        const char *wanted = getenv("MV_TEST_PATTERNS");
        return wanted ? strtol(wanted, NULL, 10) : 20000;
}

static uint64_t next_random(uint64_t *state) /* splitmix64 */
{
        uint64_t z = *state += 0x9e3779b97f4a7c15;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
}

static double of_bits(uint64_t bits)
{
        double v;
        memcpy(&v, &bits, sizeof v);
        return v;
}

static bool same(double a, double b)
{
        return memcmp(&a, &b, sizeof a) == 0;
}

typedef bool text_fn(struct mv_out *o, double v);
static const char *text(text_fn *f, double v)
{
        static char buf[400];
        struct mv_out o = mv_out(buf, sizeof buf - 1);
        CHECK(f(&o, v));
        buf[o.len] = 0;
        return buf;
}

static bool parse_is(const char *s, double wanted)
{
        double v = 7;
        return mv_parse_float(mv_slice_str(s), &v) && same(v, wanted);
}

/* Shortest: strtod reads it back, and no shorter %.*e does; nearest: of that length, it is what %.*e prints whenever
 * that reads back too. */
static bool shortest_is_right(double v)
{
        struct mv_decimal d;
        char ours[64], theirs[64];
        mv_float_shortest(v, &d);
        snprintf(ours, sizeof ours, "%s0.%.*se%d", d.negative ? "-" : "", d.count, d.digits,
                 d.point);
        if (!same(strtod(ours, NULL), v) || !parse_is(ours, v))
                return false;
        if (d.count > 1) {
                snprintf(theirs, sizeof theirs, "%.*e", d.count - 2, v);
                if (same(strtod(theirs, NULL), v))
                        return false;
        }
        snprintf(theirs, sizeof theirs, "%.*e", d.count - 1, v);
        if (!same(strtod(theirs, NULL), v))
                return true; /* the nearest of this length lies outside, ours inside */
        snprintf(ours, sizeof ours, "%s%c%s%.*se%+03d", d.negative ? "-" : "", d.digits[0],
                 d.count > 1 ? "." : "", d.count - 1, d.digits + 1, d.point - 1);
        return strcmp(ours, theirs) == 0;
}

static bool parses_like_strtod(double v)
{
        char s[64];
        for (int digits = 14; digits <= 19; digits++) {
                snprintf(s, sizeof s, "%.*e", digits, v);
                if (!parse_is(s, strtod(s, NULL)))
                        return false;
        }
        return true;
}

TEST(random_doubles_print_shortest_and_read_back)
{
        uint64_t state = 1;
        long n = patterns();
        for (long i = 0; i < n; i++) {
                double v = of_bits(next_random(&state));
                if (!isfinite(v))
                        continue;
                CHECK(shortest_is_right(v));
                if (i % 8 == 0)
                        CHECK(parses_like_strtod(v));
        }
}

TEST(random_short_decimals_keep_their_digits)
{
        uint64_t state = 2;
        char s[64];
        for (long i = 0; i < patterns() / 2; i++) {
                uint64_t r = next_random(&state);
                snprintf(s, sizeof s, "%llu.%llue%d", (unsigned long long)(r % 1000),
                         (unsigned long long)(r >> 40), (int)(r >> 10 & 63) - 32);
                double v = strtod(s, NULL);
                CHECK(parse_is(s, v));
                CHECK(shortest_is_right(v));
        }
}

TEST(random_integers_and_halves_near_2_to_53_are_exact)
{
        uint64_t state = 3;
        char s[64];
        for (long i = 0; i < patterns() / 4; i++) {
                uint64_t r = (1ull << 53) - 1000 + next_random(&state) % 2000;
                snprintf(s, sizeof s, "%llu.%s", (unsigned long long)r,
                         i & 1 ? "5" : "50000000000000000000001");
                CHECK(parse_is(s, strtod(s, NULL)));
                snprintf(s, sizeof s, "%llu", (unsigned long long)next_random(&state));
                CHECK(parse_is(s, strtod(s, NULL)));
                CHECK(shortest_is_right((double)r));
        }
}

TEST(every_power_of_two_and_its_neighbours_are_right)
{
        for (int e = -1074; e <= 1023; e++) {
                double v = ldexp(1.0, e);
                CHECK(shortest_is_right(v) && parses_like_strtod(v));
                CHECK(shortest_is_right(nextafter(v, INFINITY)) || isinf(nextafter(v, INFINITY)));
                CHECK(shortest_is_right(nextafter(v, 0)) || e == -1074);
        }
}

TEST(every_power_of_ten_and_its_neighbours_are_right)
{
        char s[16];
        for (int e = -330; e <= 310; e++) {
                snprintf(s, sizeof s, "1e%d", e);
                double v = strtod(s, NULL);
                CHECK(parse_is(s, v));
                if (v == 0 || isinf(v))
                        continue;
                CHECK(shortest_is_right(v) && shortest_is_right(nextafter(v, 0)));
                CHECK(shortest_is_right(nextafter(v, 1e308)) && parses_like_strtod(v));
        }
}

TEST(subnormals_are_right)
{
        uint64_t state = 4;
        for (uint64_t bits = 1; bits < 3000; bits++)
                CHECK(shortest_is_right(of_bits(bits)) && parses_like_strtod(of_bits(bits)));
        for (long i = 0; i < 3000; i++) {
                double v = of_bits(next_random(&state) >> 12);
                CHECK(shortest_is_right(v) && parses_like_strtod(v));
        }
        CHECK(shortest_is_right(2.2250738585072014e-308) &&
              shortest_is_right(2.225073858507201e-308));
        CHECK(shortest_is_right(1.7976931348623157e308) && shortest_is_right(5e-324));
}

/* The decimal expansion of the point between low and its successor, exact: a long double holds it, the C library prints
 * all of it. It goes to the even neighbour; a one or a nine far behind it decides for one side. */
static void half_way_decides(double low)
{
        static char s[1500];
        double high = nextafter(low, INFINITY);
        uint64_t bits;
        memcpy(&bits, &low, sizeof bits);
        int n = snprintf(s, sizeof s - 8, "%.1100Lf", ((long double)low + high) / 2);
        while (s[n - 1] == '0')
                n--;
        s[n] = 0;
        CHECK(parse_is(s, bits & 1 ? high : low));
        strcpy(s + n, "0001");
        CHECK(parse_is(s, high));
        int last = s[n - 1] == '.' ? n - 2 : n - 1;
        for (; s[last] == '0'; last--)
                s[last] = '9';
        s[last]--;
        strcpy(s + n, "9999");
        CHECK(parse_is(s, low));
}

TEST(points_half_way_between_doubles_of_every_size_are_decided_exactly)
{
        uint64_t state = 5;
        for (int e = -1074; e <= 1022; e += 3)
                half_way_decides(ldexp(1.0, e));
        for (long i = 0; i < patterns() / 40; i++) {
                double v = of_bits(next_random(&state) >> 1);
                if (v < 1e308)
                        half_way_decides(v);
                half_way_decides(of_bits(next_random(&state) >> 13));
        }
        half_way_decides(0.0);
        half_way_decides(2.2250738585072009e-308);
}

TEST(very_long_numbers_are_read_in_bounded_time_and_exactly)
{
        enum { LEN = 1 << 20 };
        static char s[LEN + 32];
        memset(s, '0', LEN);
        s[0] = '0', s[1] = '.', s[LEN - 1] = '7';
        snprintf(s + LEN, 32, "e%d", LEN - 2);
        CHECK(parse_is(s, 7.0));
        memset(s, '9', LEN);
        snprintf(s + LEN, 32, "e-%d", LEN);
        CHECK(parse_is(s, 1.0));
        snprintf(s + LEN, 32, "e-%d00000000000000000000", LEN);
        CHECK(parse_is(s, 0.0));
        s[LEN] = 0;
        CHECK(parse_is(s, INFINITY));
        /* 2^53 + 1 with a digit a million places behind the point. */
        memset(s, '0', LEN);
        memcpy(s, "9007199254740993.", 17);
        s[LEN] = 0;
        CHECK(parse_is(s, 9007199254740992.0));
        s[LEN - 1] = '1';
        CHECK(parse_is(s, 9007199254740994.0));
}

TEST(a_point_half_way_goes_to_even_and_a_digit_behind_it_decides)
{
        CHECK(parse_is("9007199254740993", 9007199254740992.0));
        CHECK(parse_is("9007199254740993.0000000000000000000000000000001", 9007199254740994.0));
        CHECK(parse_is("9007199254740995", 9007199254740996.0));
        CHECK(parse_is("9007199254740994.9999999999999999999999999999999", 9007199254740994.0));
        CHECK(parse_is("179769313486231580793728971405303415079934132710037826936173778980444968292"
                       "764750946649017977587"
                       "207096330286416692887910946555547851940402630657488671505820681908902000708"
                       "383676273854845817711"
                       "531764475730270069855571366959622842914819860834936475292719074168444365510"
                       "704342711559699508093"
                       "042880177904174497791",
                       1.7976931348623157e308));
        CHECK(parse_is("179769313486231580793728971405303415079934132710037826936173778980444968292"
                       "764750946649017977587"
                       "207096330286416692887910946555547851940402630657488671505820681908902000708"
                       "383676273854845817711"
                       "531764475730270069855571366959622842914819860834936475292719074168444365510"
                       "704342711559699508093"
                       "042880177904174497792",
                       INFINITY));
        CHECK(parse_is("2.4703282292062327208e-324", 0.0) &&
              parse_is("2.4703282292062327209e-324", 5e-324));
}

TEST(exponents_beyond_everything_give_infinity_or_zero)
{
        CHECK(parse_is("1e309", INFINITY) && parse_is("-1e309", -INFINITY) &&
              parse_is("1e99999999999999999999", INFINITY));
        CHECK(parse_is("1e-400", 0.0) && parse_is("-1e-400", -0.0) &&
              parse_is("1e-99999999999999999999", 0.0));
        CHECK(parse_is("0e99999999999999999999", 0.0) && parse_is("-0", -0.0) &&
              parse_is("-0.0e-5", -0.0));
        CHECK(parse_is("1e308", 1e308) && parse_is("1.8e308", INFINITY) &&
              parse_is("0.000e5", 0.0));
}

TEST(only_the_documented_form_of_a_float_is_read)
{
        static const char *const good[] = { "1",   "+1",   "-1",     "1.",  ".5",   "1e5",
                                            "1E5", "1e+5", "1.5e-5", "007", "00.10" };
        static const char *const bad[] = { "",    "+",     "-",     ".",    "e5",    "1e",
                                           "1e+", "1e-",   "1e5.0", "1..2", "1.2.3", " 1",
                                           "1 ",  "0x1",   "inf",   "nan",  "1_0",   "--1",
                                           "+-1", "1e5e5", ".e1",   "1,5",  "1e 5",  "\xd9\xa1" };
        for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
                CHECK(parse_is(good[i], strtod(good[i], NULL)));
        double v = 7;
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
                CHECK(!mv_parse_float(mv_slice_str(bad[i]), &v) && v == 7);
        CHECK(!mv_parse_float(mv_slice("1\0", 2), &v));
}

TEST(integers_are_read_within_64_bits_only)
{
        int64_t v = 7;
        CHECK(!mv_parse_int(mv_slice_str("9223372036854775808"), &v));
        CHECK(!mv_parse_int(mv_slice_str("-9223372036854775809"), &v));
        CHECK(!mv_parse_int(mv_slice_str("99999999999999999999999"), &v) &&
              !mv_parse_int(mv_slice_str(""), &v));
        CHECK(!mv_parse_int(mv_slice_str("-"), &v) && !mv_parse_int(mv_slice_str("1a"), &v) &&
              v == 7);
        CHECK(mv_parse_int(mv_slice_str("9223372036854775807"), &v) && v == INT64_MAX);
        CHECK(mv_parse_int(mv_slice_str("-9223372036854775808"), &v) && v == INT64_MIN);
        CHECK(mv_parse_int(mv_slice_str("+007"), &v) && v == 7);
        CHECK(mv_parse_int(mv_slice_str("-0"), &v) && v == 0);
}

TEST(display_is_positional_and_hides_a_whole_float) /* spec 2.6 */
{
        CHECK_STR(text(mv_text_float_display, 1.0), "1");
        CHECK_STR(text(mv_text_float_display, 1.0e21), "1000000000000000000000");
        CHECK_STR(text(mv_text_float_display, 1.0e-7), "0.0000001");
        CHECK_STR(text(mv_text_float_display, -0.0), "-0");
        CHECK_STR(text(mv_text_float_display, 0.0), "0");
        CHECK_STR(text(mv_text_float_display, 0.1 + 0.2), "0.30000000000000004");
        CHECK_STR(text(mv_text_float_display, -12.5), "-12.5");
        CHECK_STR(text(mv_text_float_display, 123456789012345680.0), "123456789012345680");
        CHECK_STR(text(mv_text_float_display, INFINITY), "inf");
        CHECK_STR(text(mv_text_float_display, -INFINITY), "-inf");
        CHECK_STR(text(mv_text_float_display, NAN), "NaN");
        CHECK(strlen(text(mv_text_float_display, 5e-324)) == 326);
        CHECK(strlen(text(mv_text_float_display, -1.7976931348623157e308)) == 310);
}

TEST(readable_floats_always_look_like_floats)
{
        CHECK_STR(text(mv_text_float_readable, 2.0), "2.0");
        CHECK_STR(text(mv_text_float_readable, 1e21), "1.0e21");
        CHECK_STR(text(mv_text_float_readable, 1.5e-10), "1.5e-10");
        CHECK_STR(text(mv_text_float_readable, 1e15), "1000000000000000.0");
        CHECK_STR(text(mv_text_float_readable, 1e16), "1.0e16");
        CHECK_STR(text(mv_text_float_readable, -0.0), "-0.0");
        CHECK_STR(text(mv_text_float_readable, INFINITY), "##Inf");
        CHECK_STR(text(mv_text_float_readable, -INFINITY), "##-Inf");
        CHECK_STR(text(mv_text_float_readable, NAN), "##NaN");
}

TEST(json_floats_have_the_style_of_the_reference) /* spec 7.8 */
{
        CHECK_STR(text(mv_text_float_json, 2.0), "2.0");
        CHECK_STR(text(mv_text_float_json, 1000000000000000.0), "1000000000000000.0");
        CHECK_STR(text(mv_text_float_json, 1e16), "1e16");
        CHECK_STR(text(mv_text_float_json, 1e-7), "1e-7");
        CHECK_STR(text(mv_text_float_json, 0.00001), "0.00001");
        CHECK_STR(text(mv_text_float_json, 0.000001), "1e-6");
        CHECK_STR(text(mv_text_float_json, -0.0), "-0.0");
        CHECK_STR(text(mv_text_float_json, 1.25e-300), "1.25e-300");
        CHECK_STR(text(mv_text_float_json, 9999999999999998.0), "9999999999999998.0");
}

TEST(a_number_that_does_not_fit_overflows_and_writes_nothing_beyond)
{
        char b[8] = "#######";
        for (size_t cap = 0; cap < 6; cap++) {
                struct mv_out o = mv_out(b, cap);
                CHECK(!mv_text_float_readable(&o, -12.375) && o.overflow && b[6] == '#');
                o = mv_out(b, cap);
                CHECK(!mv_text_int(&o, -123456) && b[6] == '#');
                o = mv_out(b, cap);
                CHECK(!mv_text_float_display(&o, 1e200) && b[6] == '#');
        }
}

TEST(integers_print_in_full)
{
        char b[32];
        struct mv_out o = mv_out(b, sizeof b);
        CHECK(mv_text_int(&o, INT64_MIN) && mv_text_int(&o, 0) && o.len == 21);
        CHECK(memcmp(b, "-92233720368547758080", 21) == 0);
}
