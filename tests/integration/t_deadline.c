/* SPDX-License-Identifier: Apache-2.0 */
/* What is judged by the clock, and so runs alone. How long after its deadline an execution is over, behind every wall that is there. What is promised is
 * 50 ms (REQ-PROC-09, REQ-RES-02). A machine that others use may run nobody for longer than that, so what is checked is that
 * a quarter of the runs keep the promise and none takes a second longer; every number is printed. */
#include "../test.h"
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <microvm/microvm.h>

#define RUNS      20
#define RUNS_SLOW 5 /* where one takes most of a second; MV_TEST_LONG: all */
#define LATE_US   50000
#define LATEST_US 1000000

static uint64_t now_us(void)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000;
}

static int by_size(const void *a, const void *b)
{
        int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
        return (x > y) - (x < y);
}

struct plan {
        const char *provider;
        bool kept; /* in a cell that has run something before, where the provider keeps cells */
        const char *script; /* of a shell; NULL: RTFS */
        unsigned limit_ms;
};

static struct mv_host *host;
static struct mv_context *context;

static struct mv_program endless(const char *const argv[])
{
        return argv[1] ? (struct mv_program){ .kind = MV_PROGRAM_EXTERNAL,
                                              .path = "/bin/sh",
                                              .argv = argv }
                       : mv_program_source("(loop [i 0] (recur (+ i 1)))");
}

static bool warm_up(const struct plan *p)
{
        struct mv_execution x = { .program = mv_program_source("(+ 1 2)"),
                                  .context = context,
                                  .provider = p->provider };
        struct mv_result *r = NULL;
        struct mv_err err;
        bool ok = mv_execute(host, &x, &r, &err) == 0 && mv_result_ok(r);
        mv_result_free(r);
        return ok;
}

/* By how much the limit was passed, or -1. */
static int64_t late_us(const struct plan *p)
{
        const char *const argv[] = { "-c", p->script, NULL };
        struct mv_execution x = { .program = endless(argv),
                                  .context = context,
                                  .provider = p->provider,
                                  .limits = { .wall_ns_max = p->limit_ms * 1000000ull } };
        struct mv_result *r = NULL;
        struct mv_err err = { 0 };
        uint64_t from = now_us();
        int rc = mv_execute(host, &x, &r, &err);
        int64_t took = (int64_t)(now_us() - from);
        bool timed_out = rc == 0 && mv_result_termination(r) == MV_END_TIMEOUT;
        if (!timed_out)
                printf("# %s: %s\n", p->provider, rc < 0 ? err.msg : mv_result_error(r)->message);
        mv_result_free(r);
        return timed_out ? took - (int64_t)p->limit_ms * 1000 : -1;
}

static bool available(const struct plan *p)
{
        struct mv_provider_info info;
        struct mv_err err;
        uint32_t i;
        return mv_host_provider_find(host, p->provider, &i) == 0 &&
               mv_host_provider_info(host, i, &info, &err) == 0 && info.available;
}

static void measure(const struct plan *p)
{
        int64_t late[RUNS];
        const unsigned runs = p->limit_ms > 100 && !getenv("MV_TEST_LONG") ? RUNS_SLOW : RUNS;
        for (unsigned i = 0; i < runs; i++) {
                if (p->kept)
                        CHECK(warm_up(p));
                late[i] = late_us(p);
                CHECK(late[i] >= 0);
        }
        qsort(late, runs, sizeof late[0], by_size);
        printf("# %s%s%s, %u ms: late by %.1f ms at best, a quarter %.1f, half %.1f, all %.1f\n",
               p->provider, p->script ? ", program" : "", p->kept ? ", kept" : "", p->limit_ms,
               (double)late[0] / 1000, (double)late[runs / 4] / 1000, (double)late[runs / 2] / 1000,
               (double)late[runs - 1] / 1000);
        CHECK(late[runs / 4] < LATE_US);
        CHECK(late[runs - 1] < LATEST_US);
}

static void check(const struct plan *p)
{
        struct mv_host_options o = { .pool_disabled = !p->kept };
        struct mv_err err;
        REQUIRE(mv_host_new(&o, &host, &err) == 0);
        context = mv_context_new(MV_LEVEL_CONTROLLED);
        REQUIRE(context && mv_context_allow(context, "external_program", &err) == 0);
        if (available(p))
                measure(p);
        else
                printf("# %s is not here\n", p->provider);
        mv_context_free(context);
        mv_host_free(host);
}

TEST(process_ends_at_the_deadline)
{
        check(&(struct plan){ "process", .limit_ms = 60 });
}

#define SPINS   "trap '' TERM; while :; do :; done"
#define STOPPED "kill -STOP $$; while :; do sleep 1; done"

TEST(a_program_ends_at_the_deadline)
{
        check(&(struct plan){ "process", .script = SPINS, .limit_ms = 60 });
}

TEST(a_program_that_stopped_itself_ends_at_the_deadline)
{
        check(&(struct plan){ "process", .script = STOPPED, .limit_ms = 60 });
}

TEST(a_program_without_namespaces_ends_at_the_deadline)
{
        check(&(struct plan){ "landlock", .script = SPINS, .limit_ms = 60 });
}

TEST(wasm_ends_at_the_deadline)
{
        check(&(struct plan){ "wasm", .limit_ms = 60 });
}

TEST(a_kept_wasm_worker_ends_at_the_deadline)
{
        check(&(struct plan){ "wasm", .kept = true, .limit_ms = 60 });
}

TEST(kvm_ends_at_the_deadline)
{
        check(&(struct plan){ "kvm", .limit_ms = 60 });
}

TEST(a_kept_microvm_ends_at_the_deadline)
{
        check(&(struct plan){ "kvm", .kept = true, .limit_ms = 60 });
}

TEST(a_kept_sandbox_ends_at_the_deadline)
{
        check(&(struct plan){ "gvisor", .kept = true, .limit_ms = 60 });
}

TEST(a_fresh_sandbox_ends_at_the_deadline)
{
        check(&(struct plan){ "gvisor", .limit_ms = 600 });
}

TEST(a_program_in_a_sandbox_ends_at_the_deadline)
{
        check(&(struct plan){ "gvisor", .script = SPINS, .limit_ms = 600 });
}

/* runsc takes longer than that to start anything. */
TEST(a_sandbox_that_is_not_up_yet_ends_at_the_deadline)
{
        check(&(struct plan){ "gvisor", .limit_ms = 60 });
}

/* --- the old thresholds (REQ-PERF-02, -03, -05) ------------------------------------------------ */
static void run_once(const char *program)
{
        struct mv_execution x = { .program = mv_program_source(program),
                                  .context = context,
                                  .provider = "mock" };
        struct mv_result *r = NULL;
        struct mv_err err;
        CHECK(mv_execute(host, &x, &r, &err) == 0);
        mv_result_free(r);
}

TEST(a_hundred_programs_take_less_than_a_second_on_the_mock)
{
        static const char *const programs[] = { "(+ 1 2)", "(+ (* 2 3) (- 10 (/ 8 2)))",
                                                "(call :ccos.math.add 1 2)", "(/ 1 0)" };
        struct mv_err err;
        REQUIRE(mv_host_new(NULL, &host, &err) == 0);
        context = mv_context_new(MV_LEVEL_CONTROLLED);
        REQUIRE(context && mv_context_allow(context, "ccos.math.add", &err) == 0);
        for (size_t p = 0; p < 4; p++) {
                uint64_t from = now_us();
                for (int i = 0; i < 100; i++)
                        run_once(programs[p]);
                uint64_t took = now_us() - from;
                printf("# %s: %.1f ms a hundred times\n", programs[p], (double)took / 1000);
                CHECK(took < 1000000);
        }
        mv_context_free(context);
        mv_host_free(host);
}
