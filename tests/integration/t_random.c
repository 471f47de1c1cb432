/* SPDX-License-Identifier: Apache-2.0 */
/* Random numbers (REQ-LANG-12): from a seed, the program and the name of the draw, so that branches do not disturb each other. */
#include "durable.h"

static const struct mv_value *arguments; /* of the next run */
static const char *drawn(const char *provider, const char *seed, const char *program)
{
        struct mv_host *h;
        struct mv_result *r;
        struct mv_execution x = { .program = mv_program_source(program),
                                  .context = plan.context,
                                  .provider = provider,
                                  .prelude = true,
                                  .args = arguments,
                                  .seed = seed };
        if (mv_host_new(NULL, &h, &plan.err) < 0)
                return "no host";
        int rc = mv_execute(h, &x, &r, &plan.err);
        if (rc == 0) {
                plan_take(r);
                mv_result_free(r);
        }
        mv_host_free(h);
        return rc < 0 ? plan_failed() : plan.shown;
}

static void granted(void)
{
        plan_new();
        CHECK(mv_context_allow(plan.context, "ccos.random.int", &plan.err) == 0);
}

static const char *again(const char *seed, const char *program)
{
        static char first[512];
        snprintf(first, sizeof first, "%s", drawn("mock", seed, program));
        return first;
}

#define MANY "(map (fn [i] (random-int 1000000)) (range 8))"

TEST(the_same_seed_draws_the_same_and_another_one_does_not)
{
        granted();
        const char *first = again("seven", MANY);
        CHECK(first[0] == '[' && strlen(first) > 30);
        CHECK_STR(drawn("mock", "seven", MANY), first);
        CHECK(strcmp(drawn("mock", "eight", MANY), first) != 0);
        CHECK(strcmp(drawn("mock", "", MANY), first) != 0);
        CHECK(strcmp(drawn("mock", "seven", MANY " "), first) != 0); /* another program */
        CHECK(strcmp(drawn("mock", NULL, MANY), first) != 0);
        first = again(NULL, MANY);
        CHECK(strcmp(drawn("mock", NULL, MANY), first) != 0);
        plan_done();
}

TEST(what_a_call_starts_draws_from_a_seed_of_its_own_that_follows)
{
#define STARTED                                                                                    \
        "(get (call \"ccos.microvm.execute\" {:program {:type \"RtfsSource\" :source \"(call "     \
        "\\\"ccos.random.int\\\" 1000000 \\\"a\\\")\"} :provider \"mock\"}) \"value\")"
        static const char twice[] = "[" STARTED " " STARTED "]";
        granted();
        CHECK(mv_context_allow(plan.context, "ccos.microvm.execute", &plan.err) == 0);
        const char *first = again("seven", twice);
        CHECK(first[0] == '[' && strlen(first) > 8);
        CHECK_STR(drawn("mock", "seven", twice), first);
        CHECK(strcmp(drawn("mock", "eight", twice), first) != 0);
        CHECK(strcmp(drawn("mock", NULL, twice), first) != 0);
        long a = 0, b = 0;
        CHECK(sscanf(first, "[%ld %ld]", &a, &b) == 2 && a != b); /* of another call, another */
        plan_done();
}

/* The plan is part of the seed, so what is compared is in one program: argument 0 says what branch 0 does. */
#define BRANCHES                                                                                   \
        "(defn work [n] (dotimes [i n] (random-int 9)) (step \"s\" 1) (step-parallel (random-int " \
        "100)))"                                                                                   \
        "(let [p (step-parallel (work (first args)) [(random-int 1000000) (step-parallel "         \
        "(random-int 1000000) (random-int 1000000))] (random-int 1000000))]"                       \
        " [(rest p) (random-int 1000000)])"
static const char *branches(int64_t draws)
{
        struct mv_value n = { .kind = MV_INT, .integer = draws };
        const struct mv_value args = { .kind = MV_VECTOR, .items = &n, .count = 1 };
        arguments = &args;
        drawn("mock", "s", BRANCHES);
        arguments = NULL;
        return plan.shown;
}

TEST(what_one_branch_draws_does_not_change_what_another_one_draws)
{
        char first[512];
        granted();
        snprintf(first, sizeof first, "%s", branches(0));
        CHECK(first[0] == '[');
        CHECK_STR(branches(1), first);
        CHECK_STR(branches(7), first);
        plan_done();
}

TEST(each_branch_has_names_of_its_own)
{
        static const char names[] =
                "[(random-stream) (step-parallel (random-stream) [(random-stream) "
                "(step-parallel (random-stream) (random-stream)) (random-stream)]) "
                "(step \"x\" (random-stream)) (random-stream)]";
        static const char failing[] =
                "[(try (step-parallel 1 (do (random-stream) (throw \"x\"))) (catch e 7)) "
                "(random-stream) (try (step-parallel (step-parallel (/ 1 0))) (catch e 8)) "
                "(random-stream)]";
        granted();
        CHECK_STR(drawn("mock", "s", names),
                  "[\"#0\" [\"/1.0#0\" [\"/1.1#0\" [\"/1.1/1.0#0\" \"/1.1/1.1#0\"] \"/1.1#2\"]] "
                  "\"#2\" \"#3\"]");
        CHECK_STR(drawn("mock", "s", failing), "[7 \"#1\" 8 \"#3\"]"); /* and is left */
        plan_done();
}

TEST(every_wall_draws_the_same)
{
        static const char *const walls[] = { "process", "wasm", "kvm" };
        char first[512], root[65];
        struct mv_host *h;
        granted();
        snprintf(first, sizeof first, "%s",
                 drawn("mock", "s", "(step-parallel (random-int 1000000) (random-int 1000000))"));
        snprintf(root, sizeof root, "%s", plan.root);
        REQUIRE(mv_host_new(NULL, &h, &plan.err) == 0);
        for (size_t i = 0; i < sizeof walls / sizeof walls[0]; i++) {
                struct mv_provider_info info;
                uint32_t at;
                if (mv_host_provider_find(h, walls[i], &at) < 0 ||
                    mv_host_provider_info(h, at, &info, &plan.err) < 0 || !info.available)
                        continue;
                CHECK_STR(drawn(walls[i], "s",
                                "(step-parallel (random-int 1000000) (random-int 1000000))"),
                          first);
                CHECK_STR(plan.root, root);
        }
        mv_host_free(h);
        plan_done();
}

/* What a step draws is the same wherever it runs, and so is what is drawn behind it. */
TEST(a_step_in_a_cell_of_its_own_draws_the_same)
{
#define CELLS                                                                                      \
        "[(random-int 1000000) (with-security-profile {:isolation-level :process} [(random-int "   \
        "1000000) (random-int 1000000)]) (random-int 1000000)]"
        char first[512];
        granted();
        if (!plan_has_process()) {
                plan_done();
                return;
        }
        snprintf(first, sizeof first, "%s", drawn("process", "s", CELLS));
        CHECK(first[0] == '[');
        CHECK_STR(drawn("mock", "s", CELLS), first);
        plan_done();
}

/* A seed is on record: whoever resumes need not know it. */
TEST(a_resumed_run_draws_what_it_would_have_drawn)
{
        const char *program =
                "(do (random-int 9) (call \"test.append\" \"a\") (call \"test.append\" "
                "\"b\") (step-parallel (random-int 1000000) (random-int 1000000)))";
        char whole[512];
        granted();
        snprintf(whole, sizeof whole, "%s", "");
        for (int at = 0; at <= 2; at++) {
                plan_again();
                plan.seed = "s";
                if (at == 0) {
                        snprintf(whole, sizeof whole, "%s", plan_run(program, 0));
                        CHECK(whole[0] == '[');
                        continue;
                }
                plan_killed(program, at, AFTER_EFFECT);
                const struct mv_resumption how = { .in_doubt = MV_IN_DOUBT_DONE,
                                                   .in_doubt_call = (uint64_t)at + 1 };
                CHECK_STR(plan_resume(&how), whole);

                CHECK(plan_verifies() && plan_replays());
        }
        plan_done();
}

TEST(a_step_that_demands_determinism_draws_the_same_without_a_seed)
{
#define FIXED                                                                                      \
        "(with-security-profile {:deterministic true} [(random-int 1000000) (random-int "          \
        "1000000)])"
        granted();
        const char *first = again(NULL, FIXED);
        CHECK(first[0] == '[');
        CHECK_STR(drawn("mock", NULL, FIXED), first);
        CHECK_STR(drawn("mock", "seven", FIXED), first);
        plan_done();
}

TEST(draws_are_in_their_bounds_and_bad_ones_are_refused)
{
        granted();
        CHECK_STR(drawn("mock", "s",
                        "(every? (fn [v] (and (>= v 0) (< v 3))) (map (fn [i] (random-int 3)) "
                        "(range 200)))"),
                  "true");
        CHECK_STR(drawn("mock", "s", "(random-int 1)"), "0");
        CHECK_STR(drawn("mock", "s", "(>= (random-int 9223372036854775807) 0)"), "true");
        CHECK_STR(drawn("mock", "s", "(random-int 0)"), "error InvalidArgument");
        CHECK_STR(drawn("mock", "s", "(random-int -9223372036854775808)"), "error InvalidArgument");
        CHECK_STR(drawn("mock", "s", "(call \"ccos.random.int\" 6)"), "error ArityMismatch");
        CHECK_STR(drawn("mock", "s", "(call \"ccos.random.int\" 6 7)"), "error TypeError");
        CHECK_STR(drawn("mock", "s",
                        "(call \"ccos.random.int\" 6 (reduce (fn [a i] (str a a)) \"xx\" (range "
                        "12)))"),
                  "error InvalidArgument");
        char seed[400];
        memset(seed, 'x', sizeof seed);
        seed[257] = '\0';
        CHECK_STR(drawn("mock", seed, "1"), "INVALID");
        CHECK_STR(drawn("mock", "\xff", "1"), "INVALID");
        struct mv_context *mine = plan.context;
        plan.context = mv_context_new(MV_LEVEL_CONTROLLED);
        CHECK_STR(drawn("mock", "s", "(random-int 6)"), "error SecurityViolation");
        mv_context_free(plan.context);
        plan.context = mine;
        plan_done();
}
