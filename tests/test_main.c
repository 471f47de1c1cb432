/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the registered tests in order of registration and prints TAP; with arguments, only those
 * named. */
#include "test.h"
#include <time.h>

static struct mv_test *first, **last = &first;
static bool failed_now;
static const char *skipped_now;

void mv_test_register(struct mv_test *t)
{
        *last = t;
        last = &t->next;
}

void mv_test_failed(const char *file, int line, const char *what)
{
        failed_now = true;
        printf("# %s:%d: %s\n", file, line, what);
}

void mv_test_equal(const char *file, int line, const char *what, const char *is, const char *wanted)
{
        char text[800];
        if (is && wanted && strcmp(is, wanted) == 0)
                return;
        snprintf(text, sizeof text, "%.150s is \"%.300s\", wanted \"%.300s\"", what,
                 is ? is : "(null)", wanted ? wanted : "(null)");
        mv_test_failed(file, line, text);
}

void mv_test_skip(const char *why)
{
        skipped_now = why;
}

bool mv_test_nap(unsigned n)
{
        const struct timespec nap = { 0, 10000000 };
        nanosleep(&nap, NULL);
        return n < MV_TEST_SOON_NS / (uint64_t)nap.tv_nsec;
}

static bool wanted(const char *name, int argc, char **argv)
{
        for (int i = 1; i < argc; i++)
                if (strcmp(argv[i], name) == 0)
                        return true;
        return argc < 2;
}

int main(int argc, char **argv)
{
        int n = 0, failed = 0, ran = 0;
        for (struct mv_test *t = first; t; t = t->next)
                n += wanted(t->name, argc, argv);
        printf("1..%d\n", n);
        for (struct mv_test *t = first; t; t = t->next) {
                if (!wanted(t->name, argc, argv))
                        continue;
                failed_now = false;
                skipped_now = NULL;
                t->run();
                ran++;
                failed += failed_now;
                printf("%s %d - %s%s%s\n", failed_now ? "not ok" : "ok", ran, t->name,
                       !failed_now && skipped_now ? " # SKIP " : "",
                       !failed_now && skipped_now ? skipped_now : "");
                fflush(stdout);
        }
        return failed ? 1 : 0;
}
