/* SPDX-License-Identifier: Apache-2.0 */
/* Each limit behind each wall: RTFS that exceeds it ends, for that reason and no other; and the memory that is told of is the
 * memory that was used. Limits of programs and modules: tests/escape. When things end: the walls' own tests. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "test.h"
#include "walls.h"

#define ENDLESS "(loop [i 0] (recur (+ i 1)))"
/* 64 KiB of text, then as many copies of it as PIECES says, all of them held. */
#define HOLD                                                                                       \
        "(let [b (loop [s \"x\" i 0] (if (< i 16) (recur (str s s) (+ i 1)) s))]"                  \
        " (loop [i 0 v []] (if (< i %d) (recur (+ i 1) (conj v (str b i))) (count v))))"
#define PIECE_BYTES  65536
#define LIMITS_COUNT 6

static struct mv_result *run_with(struct mv_host *h, const char *wall, const char *text,
                                  struct mv_limits limits)
{
        struct mv_result *r = NULL;
        struct mv_context *c = mv_context_new(MV_LEVEL_CONTROLLED);
        mv_context_give(c, MV_TEST_PATIENT);
        struct mv_execution x = {
                .program = mv_program_source(text), .context = c, .provider = wall, .limits = limits
        };
        if (mv_execute(h, &x, &r, &err) < 0)
                printf("# %s: %s\n", wall, err.msg);
        mv_context_free(c);
        return r;
}

static const struct limit {
        const char *name, *text;
        struct mv_limits limits;
        enum mv_termination wanted;
        const char *kind, *message; /* how the message begins */
} table[LIMITS_COUNT] = {
        { "wall time",
          ENDLESS,
          { .wall_ns_max = 300000000 },
          MV_END_TIMEOUT,
          "LimitExceeded",
          "time limit reached: 300 ms" },
        { "CPU time",
          ENDLESS,
          { .cpu_ns_max = 200000000, .wall_ns_max = MV_TEST_PATIENT_NS },
          MV_END_TIMEOUT,
          "LimitExceeded",
          "CPU time limit reached: 200 ms" },
        { "fuel", ENDLESS, { .fuel_max = 100000 }, MV_END_FUEL, "LimitExceeded", "" },
        { "memory",
          "(loop [v []] (recur (conj v \"0123456789012345678901234567890123456789\")))",
          { .memory_bytes_max = 16 << 20, .wall_ns_max = MV_TEST_PATIENT_NS },
          MV_END_MEMORY,
          "LimitExceeded",
          "" },
        { "output",
          "(loop [i 0 s \"x\"] (if (< i 16) (recur (+ i 1) (str s s)) s))",
          { .output_bytes_max = 10000 },
          MV_END_OUTPUT,
          "LimitExceeded",
          "" },
        { "depth",
          "(do (defn f [n] (+ 1 (f (+ n 1)))) (f 1))",
          { 0 },
          MV_END_ERROR,
          "StackOverflow",
          "Stack overflow" },
};

/* Its CPU time would be the caller's, so the limit is refused instead of not held. */
static bool refuses_cpu_time(struct mv_host *h, const struct limit *l)
{
        struct mv_result *r = run_with(h, "mock", l->text, l->limits);
        mv_result_free(r);
        return !r && strstr(err.msg, "cannot enforce a CPU time");
}

static void limit_holds(struct mv_host *h, const char *wall, const struct limit *l)
{
        if (l->limits.cpu_ns_max && strcmp(wall, "mock") == 0) {
                CHECK(refuses_cpu_time(h, l));
                return;
        }
        struct mv_result *r = run_with(h, wall, l->text, l->limits);
        REQUIRE(r != NULL);
        const struct mv_program_error *e = mv_result_error(r);
        bool ok = e && mv_result_termination(r) == l->wanted && strcmp(e->kind, l->kind) == 0 &&
                  strncmp(e->message, l->message, strlen(l->message)) == 0;
        if (!ok)
                printf("# %s, %s: %s, %s: %s\n", wall, l->name,
                       mv_termination_name(mv_result_termination(r)), e ? e->kind : "no error",
                       e ? e->message : "");
        CHECK(ok);
        mv_result_free(r);
        r = run_with(h, wall, "(+ 40 2)", (struct mv_limits){ 0 }); /* the next one has its own */
        CHECK(r && mv_result_ok(r));
        mv_result_free(r);
}

TEST(each_limit_ends_a_program_for_its_own_reason_behind_each_wall) /* REQ-RES-01..07, -11 */
{
        struct mv_host *h = test_host();
        REQUIRE(h != NULL);
        for (size_t w = 0; w < WALLS_COUNT; w++)
                for (size_t i = 0; usable[w] && i < LIMITS_COUNT; i++)
                        limit_holds(h, names[w], &table[i]);
        mv_host_free(h);
}

/* The pause: where memory is counted every 10 ms, the last one is not counted with it. */
static uint64_t peak_with(struct mv_host *h, const char *wall, int pieces)
{
        char text[400];
        snprintf(text, sizeof text, HOLD, pieces);
        usleep(20000);
        struct mv_result *r = run_with(h, wall, text, (struct mv_limits){ 0 });
        uint64_t peak = r && mv_result_ok(r) ? mv_result_metadata(r)->memory_peak_bytes : 0;
        mv_result_free(r);
        return peak;
}

/* What all walls have in common is what the program holds: so many bytes more must be so many bytes more. */
TEST(the_memory_peak_is_within_ten_percent_of_what_was_used_behind_each_wall) /* REQ-RES-08, REQ-META-03 */
{
        struct mv_host *h = test_host();
        REQUIRE(h != NULL);
        for (size_t w = 0; w < WALLS_COUNT; w++) {
                const uint64_t used = (uint64_t)192 * PIECE_BYTES;
                if (!usable[w])
                        continue;
                uint64_t small = peak_with(h, names[w], 64), large = peak_with(h, names[w], 256);
                printf("# %s: %llu KiB, %llu KiB, used %llu KiB more\n", names[w],
                       (unsigned long long)small >> 10, (unsigned long long)large >> 10,
                       (unsigned long long)used >> 10);
                CHECK(small > 64 * PIECE_BYTES);
                CHECK(large > small);
                CHECK(large - small >= used - used / 10);
                CHECK(large - small <= used + used / 10);
                /* and in all: no wall tells of megabytes that are its own */
                CHECK(large <= (uint64_t)256 * PIECE_BYTES + (4u << 20));
        }
        mv_host_free(h);
}
