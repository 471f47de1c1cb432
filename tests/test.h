/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_TEST_H
#define MV_TEST_H
/* One test binary per module; TEST registers, main is in tests/test_main.c, output is TAP. Names are sentences.
 * CHECK goes on after a failure and counts it; REQUIRE leaves the test. SKIP says why. NDEBUG cannot remove them. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct mv_test {
        const char *name;
        void (*run)(void);
        struct mv_test *next;
};
void mv_test_register(struct mv_test *t);
void mv_test_failed(const char *file, int line, const char *what);
void mv_test_equal(const char *file, int line, const char *what, const char *is,
                   const char *wanted);
void mv_test_skip(const char *why);
bool mv_test_nap(unsigned n); /* 10 ms; false: there were enough of them */

#define TEST(id)                                                                                   \
        static void test_##id(void);                                                               \
        static struct mv_test reg_##id = { #id, test_##id, NULL };                                 \
        __attribute__((constructor)) static void ctor_##id(void)                                   \
        {                                                                                          \
                mv_test_register(&reg_##id);                                                       \
        }                                                                                          \
        static void test_##id(void)

#define CHECK(x)                                                                                   \
        do {                                                                                       \
                if (!(x))                                                                          \
                        mv_test_failed(__FILE__, __LINE__, #x);                                    \
        } while (0)
#define REQUIRE(x)                                                                                 \
        do {                                                                                       \
                if (!(x)) {                                                                        \
                        mv_test_failed(__FILE__, __LINE__, #x);                                    \
                        return;                                                                    \
                }                                                                                  \
        } while (0)
#define CHECK_STR(a, b) mv_test_equal(__FILE__, __LINE__, #a, a, b)
/* "At once", where others compute too: it tells an end from never, and judges nothing closer. t_deadline measures, and runs alone. */
#define MV_TEST_SOON_NS 10000000000ull
/* For what ends by itself, or by another limit; its context has to give it too. */
#define MV_TEST_PATIENT_NS 60000000000ull
#define MV_TEST_PATIENT    (&(struct mv_limits){ .wall_ns_max = MV_TEST_PATIENT_NS })
/* Something that happens behind our back: until it has, and not longer than soon. */
#define UNTIL(x)                                                                                   \
        for (unsigned naps_ = 0; !(x) && mv_test_nap(naps_); naps_++)                              \
        continue
#define SKIP(why)                                                                                  \
        do {                                                                                       \
                mv_test_skip(why);                                                                 \
                return;                                                                            \
        } while (0)

#endif
