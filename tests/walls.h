/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_TEST_WALLS_H
#define MV_TEST_WALLS_H
/* A host with the capabilities that conformance cases call, and which of the walls are usable
 * here: for tests that compare walls. */
#include <microvm/microvm.h>
#include <stdio.h>

static struct mv_err err;
static const char *const names[] = { "mock", "process", "wasm", "kvm", "gvisor" };
#define WALLS_COUNT (sizeof names / sizeof names[0])
static bool usable[WALLS_COUNT];

static int first_argument(struct mv_call *call, const struct mv_value *args, uint32_t count,
                          struct mv_value *ret)
{
        if (count)
                *ret = args[0];
        return 0;
}

static int all_arguments(struct mv_call *call, const struct mv_value *args, uint32_t count,
                         struct mv_value *ret)
{
        *ret = (struct mv_value){ .kind = MV_VECTOR, .count = count, .items = args };
        return 0;
}

static int add(struct mv_call *call, const struct mv_value *args, uint32_t count,
               struct mv_value *ret)
{
        int64_t sum = 0, v;
        for (uint32_t i = 0; i < count; i++)
                if (!mv_as_int(&args[i], &v) || __builtin_add_overflow(sum, v, &sum))
                        return mv_call_fail(call, "Generic", "test.add takes integers");
        *ret = (struct mv_value){ .kind = MV_INT };
        ret->integer = sum;
        return 0;
}

static int fail(struct mv_call *call, const struct mv_value *args, uint32_t count,
                struct mv_value *ret)
{
        return mv_call_fail(call, "Generic", "boom");
}

static struct mv_host *test_host(void)
{
        static const struct mv_capability offered[] = {
                { .id = "test.echo",
                  .summary = "its first argument",
                  .args_max = 255,
                  .call = first_argument,
                  .pure = true },
                { .id = "test.args",
                  .summary = "its arguments",
                  .args_max = 255,
                  .call = all_arguments,
                  .pure = true },
                { .id = "test.add",
                  .summary = "the sum",
                  .args_max = 255,
                  .call = add,
                  .pure = true },
                { .id = "test.fail",
                  .summary = "fails",
                  .args_max = 255,
                  .call = fail,
                  .pure = true },
        };
        struct mv_host *h = NULL;
        struct mv_provider_info info;
        uint32_t index;
        if (mv_host_new(NULL, &h, &err) < 0)
                return NULL;
        for (size_t i = 0; i < sizeof offered / sizeof offered[0]; i++)
                if (mv_host_add_capability(h, &offered[i], &err) < 0)
                        return mv_host_free(h);
        for (size_t i = 0; i < WALLS_COUNT; i++)
                usable[i] = mv_host_provider_find(h, names[i], &index) == 0 &&
                            mv_host_provider_info(h, index, &info, &err) == 0 && info.available;
        return h;
}

/* A program whose $ are the isolation level that is wanted. */
static __attribute__((unused)) const char *at_level(const char *program, const char *level)
{
        static char text[2048];
        size_t n = 0;
        for (; *program && n + 16 < sizeof text; program++) {
                if (*program == '$')
                        n += (size_t)snprintf(text + n, sizeof text - n, "%s", level);
                else
                        text[n++] = *program;
        }
        text[n] = '\0';
        return text;
}

#endif
