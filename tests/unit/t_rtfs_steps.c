/* SPDX-License-Identifier: Apache-2.0 */
/* Steps that may run in another evaluator (rtfs.h: enter, leave, mv_rtfs_step_ran; docs/design/step-cells.md). */
#include "../test.h"
#include <base/slice.h>
#include <rtfs/rtfs.h>
#include <stdlib.h>
#include <wire/cbor.h>

static struct mv_rtfs *rtfs;
static uint8_t outcome[1 << 20];
static struct mv_out ran; /* what enter says; empty: run it here */
static unsigned entered, left, told;
static char seen[4096]; /* events, and what leave gives, readable */

static void see(struct mv_slice s)
{
        size_t n = strlen(seen), room = sizeof seen - 1 - n;
        for (size_t i = 0; i < s.len && i < room; i++)
                seen[n++] = s.p[i] >= ' ' && s.p[i] < 127 ? (char)s.p[i] : '.';
        seen[n] = '\0';
}

static bool on_event(void *ctx, struct mv_slice cbor)
{
        told++;
        see(cbor);
        return true;
}

static bool on_enter(void *ctx, struct mv_slice cbor)
{
        entered++;
        if (ran.len)
                mv_rtfs_step_ran(rtfs, mv_out_slice(&ran));
        return true;
}

static bool on_leave(void *ctx)
{
        uint8_t buf[1024];
        struct mv_out o = mv_out(buf, sizeof buf);
        left++;
        CHECK(mv_rtfs_encode_left(rtfs, &o));
        see(mv_out_slice(&o));
        return true;
}

static void begin(const char *source, size_t arena_bytes)
{
        static void *arena;
        struct mv_err err;
        free(arena);
        arena = aligned_alloc(4096, arena_bytes);
        struct mv_rtfs_options o = {
                .fuel = 1000000, .event = on_event, .enter = on_enter, .leave = on_leave
        };
        entered = left = told = 0;
        seen[0] = '\0';
        if (mv_rtfs_init(arena, arena_bytes, &o, &rtfs, &err) < 0)
                abort();
        mv_rtfs_reset(rtfs, &o);
        CHECK(mv_rtfs_load_source(rtfs, mv_slice_str(source), &err) == 0);
}

/* The value's display form, or the error's text; calls are answered with nil. */
static const char *run(const char *source, size_t arena_bytes)
{
        static char text[8192];
        static const uint8_t nil[] = { 0xf6 };
        struct mv_err err;
        enum mv_rtfs_status s;
        begin(source, arena_bytes);
        while ((s = mv_rtfs_run(rtfs)) == MV_RTFS_CALL)
                CHECK(mv_rtfs_reply(rtfs, mv_slice(nil, 1), &err) == 0);
        struct mv_out o = mv_out(text, sizeof text - 1);
        struct mv_rtfs_error e;
        if (s == MV_RTFS_DONE) {
                CHECK(mv_rtfs_display_result(rtfs, &o));
        } else {
                mv_rtfs_error(rtfs, &e);
                mv_put_slice(&o, e.message);
        }
        text[o.len] = '\0';
        return text;
}

/* [fuel steps calls failed, ...: what comes last is the caller's */
static void begin_outcome(int64_t fuel, int64_t steps, int64_t calls, bool failed)
{
        ran = mv_out(outcome, sizeof outcome);
        mv_cbor_put_array(&ran, 5);
        mv_cbor_put_int(&ran, fuel);
        mv_cbor_put_int(&ran, steps);
        mv_cbor_put_int(&ran, calls);
        mv_cbor_put_bool(&ran, failed);
}

#define STEP "(with-security-profile {:isolation-level :isolated} "
#define ROOM ((size_t)8 << 20)

TEST(a_step_that_runs_here_is_entered_and_left)
{
        ran.len = 0;
        CHECK_STR(run("(def a 1) " STEP "(+ a 1))", ROOM), "2");
        CHECK(entered == 1 && left == 1 && told == 1);
        CHECK_STR(seen, ".nstep-completedba1..");
        CHECK_STR(run("(try " STEP "(throw {:k 1})) (catch e 5))", ROOM), "5");
        CHECK(entered == 1 && left == 1);
        CHECK(strstr(seen, "step-failed") && strstr(seen, "ApplicationError"));
        /* without a level, or with that of the run, it is a step like any other */
        CHECK_STR(run("(with-security-profile {:max-calls 1} 1)", ROOM), "1");
        CHECK_STR(run("(with-security-profile {:isolation-level :inherit} 1)", ROOM), "1");
        CHECK(entered == 0 && left == 0 && told == 2);
}

TEST(a_step_that_ran_elsewhere_is_not_run_and_gives_its_value)
{
        begin_outcome(5000, 7, 3, false);
        mv_cbor_put_array(&ran, 2);
        mv_cbor_put_int(&ran, 42);
        mv_cbor_put_str(&ran, "x");
        CHECK_STR(run("(def a 1) (def b " STEP "(def a 2) (throw :never))) [a b]", ROOM),
                  "[1 [42 \"x\"]]");
        CHECK(entered == 1 && left == 0 && told == 0);
        CHECK(mv_rtfs_fuel_used(rtfs) >= 5000 && mv_rtfs_fuel_used(rtfs) < 5100);
        /* steps and calls are counted on from there */
        begin(STEP "1) (step \"s\" (call :x.y))", ROOM);
        CHECK(mv_rtfs_run(rtfs) == MV_RTFS_CALL && mv_rtfs_call_seq(rtfs) == 4);
        struct mv_err err;
        CHECK(mv_rtfs_reply(rtfs, mv_slice((const uint8_t *)"\xf6", 1), &err) == 0);
        CHECK(mv_rtfs_run(rtfs) == MV_RTFS_DONE);
        CHECK(strstr(seen, "step-completedba8"));
}

TEST(an_error_from_elsewhere_is_the_error_it_was)
{
        begin_outcome(10, 1, 0, true);
        mv_cbor_put_array(&ran, 8);
        mv_cbor_put_str(&ran, "SecurityViolation");
        mv_cbor_put_str(&ran, "message");
        mv_cbor_put_str(&ran, "display");
        mv_cbor_put_int(&ran, 7);
        mv_cbor_put_str(&ran, "operation");
        mv_cbor_put_str(&ran, "capability");
        mv_cbor_put_str(&ran, "context");
        mv_cbor_put_int(&ran, (3 << 12) + 9);
        CHECK_STR(run("(try " STEP "1) (catch e [(:kind e) (:message e) (:data e)]))", ROOM),
                  "[:security-violation \"message\" 7]");
        CHECK_STR(run(STEP "1)", ROOM), "display");
        struct mv_rtfs_error e;
        mv_rtfs_error(rtfs, &e);
        CHECK(mv_slice_eq_str(e.kind, "SecurityViolation") &&
              mv_slice_eq_str(e.operation, "operation"));
        CHECK(mv_slice_eq_str(e.capability, "capability") && mv_slice_eq_str(e.context, "context"));
        CHECK(e.line > 0);
        CHECK(told == 0 && left == 0); /* its end was told where it ran */
}

TEST(a_host_that_says_nonsense_about_a_step_makes_it_fail)
{
        static const char *const nonsense[] = {
                "\x80",
                "\xf6",
                "\x85\x01\x01\x01\xf4",             /* four of five */
                "\x85\x61x\x01\x01\xf4\x01",        /* fuel is a text */
                "\x85\x01\x01\x01\xf5\x01",         /* failed, with no error */
                "\x85\x01\x01\x01\xf5\x82\x01\x01", /* ... with half of one */
                "\x85\x01\x01\x01\xf4\x01\x01",     /* more than one value */
                "\xff\xff",
        };
        for (size_t i = 0; i < sizeof nonsense / sizeof *nonsense; i++) {
                ran = mv_out(outcome, sizeof outcome);
                mv_put_bytes(&ran, nonsense[i], strlen(nonsense[i]));
                const char *got = run("(try " STEP "1) (catch e (:kind e)))", ROOM);
                if (strcmp(got, ":internal-error") != 0 && strcmp(got, ":internal") != 0)
                        CHECK_STR(got, ":internal-error");
        }
        /* more fuel than there is: none is left */
        begin_outcome(INT64_MAX, 1, 1, false);
        mv_cbor_put_int(&ran, 1);
        CHECK_STR(run(STEP "1) ((fn [] (+ 1 1)))", ROOM), "Fuel limit exceeded: 1000000 steps");
}

/* The heap is nearly full of garbage when the outcome comes: it is collected, and the step is not entered twice. */
TEST(an_outcome_that_needs_a_collection_first_is_taken_once)
{
        begin_outcome(100, 1, 0, false);
        mv_cbor_put_array(&ran, 20000);
        for (int i = 0; i < 20000; i++)
                mv_cbor_put_str(&ran, "sixteen letters.");
        CHECK_STR(
                run("(dotimes [i 3000] (str \"garbage \" i)) (count " STEP "1))", (size_t)4 << 20),
                "20000");
        CHECK(entered == 1);
        /* and one that does not fit ends the program */
        CHECK(strstr(run("(count " STEP "1))", (size_t)1 << 20), "Memory limit exceeded"));
        CHECK(entered == 1);
}

TEST(what_a_step_with_a_level_changes_is_gone_when_it_ends)
{
        ran.len = 0;
        CHECK_STR(run("(context/set :k 1) " STEP "(context/set :k 2) (context/set :j 3))\n"
                      "[(context/get :k) (context/get :j)]",
                      ROOM),
                  "[1 nil]");
        CHECK_STR(run("(context/set :k 1) (try " STEP
                      "(context/set :k 2) (throw :x)) (catch e nil))\n"
                      "(context/get :k)",
                      ROOM),
                  "1");
        CHECK_STR(run("(def x 1) " STEP "(def x 2) (defn f [] x) (f)) x", ROOM), "1");
        CHECK_STR(run("(let [x 1] " STEP "(def x 2)) x)", ROOM), "1");
        CHECK_STR(run(STEP "[(+ 1 1) {:f {:g [map]}}])", ROOM),
                  "Type error in step with an isolation level: expected data as its value, got "
                  "function");
        CHECK(strstr(seen, "step-failed") && left == 1);
}
