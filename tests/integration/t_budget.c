/* SPDX-License-Identifier: Apache-2.0 */
/* Budgets of an execution (REQ-RES-12): what capabilities of an embedder tell, and what the broker counts itself. */
#include "test.h"
#include <microvm/microvm.h>
#include <stdlib.h>
#include <string.h>

static uint64_t price;
static unsigned effects;

static int ask(struct mv_call *call, const struct mv_value *args, uint32_t n, struct mv_value *ret)
{
        int r = mv_call_spend(call, MV_SPEND_TOKENS, price);
        if (r < 0)
                return r;
        effects++;
        *ret = (struct mv_value){ .kind = MV_INT, .integer = (int64_t)effects };
        return 0;
}

static struct mv_host *host_with_model(void)
{
        struct mv_host *h;
        struct mv_err err;
        struct mv_capability c = {
                .id = "test.ask", .summary = "Asks.", .args_max = 0, .call = ask
        };
        CHECK(mv_host_new(NULL, &h, &err) == 0);
        CHECK(mv_host_add_capability(h, &c, &err) == 0);
        return h;
}

static struct mv_context *context_with(const struct mv_budget *b)
{
        struct mv_err err;
        struct mv_context *c = mv_context_new(MV_LEVEL_CONTROLLED);
        CHECK(c && mv_context_allow(c, "test.ask", &err) == 0);
        mv_context_budget(c, b);
        return c;
}

static struct mv_result *run(const struct mv_context *c, const char *program)
{
        struct mv_host *h = host_with_model();
        struct mv_result *r;
        struct mv_err err;
        struct mv_execution x = { .program = mv_program_source(program),
                                  .context = c,
                                  .provider = "mock" };
        effects = 0;
        CHECK(mv_execute(h, &x, &r, &err) == 0);
        mv_host_free(h);
        return r;
}

#define unlimited MV_BUDGET_NONE

TEST(tokens_are_spent_up_to_the_budget_and_not_beyond) /* REQ-GOV-06 */
{
        struct mv_budget b = unlimited;
        b.max[MV_SPEND_TOKENS] = 100;
        price = 50;
        struct mv_context *c = context_with(&b);
        struct mv_result *r = run(c, "(call \"test.ask\") (call \"test.ask\")");
        CHECK(mv_result_ok(r) && effects == 2);
        mv_result_free(r);
        r = run(c, "(dotimes [i 3] (call \"test.ask\"))");
        CHECK(!mv_result_ok(r) && effects == 2);
        CHECK(!mv_result_ok(r) && strcmp(mv_result_error(r)->kind, "BudgetExhausted") == 0);
        mv_result_free(r);
        mv_context_free(c);
}

/* A threshold is told of once, in the result; what is beyond it is spent all the same. */
TEST(whoever_spends_so_much_is_told_of_and_goes_on)
{
        struct mv_budget b = unlimited;
        b.warn[MV_SPEND_TOKENS] = 100; /* no max: it only warns */
        b.warn[MV_SPEND_CALLS] = 4;
        price = 40;
        struct mv_context *c = context_with(&b);
        struct mv_result *r = run(c, "(dotimes [i 2] (call \"test.ask\"))");
        CHECK(mv_result_ok(r) && mv_result_metadata(r)->budget_warnings_count == 0);
        mv_result_free(r);
        r = run(c, "(dotimes [i 9] (call \"test.ask\"))");
        const struct mv_metadata *m = mv_result_metadata(r);
        CHECK(mv_result_ok(r) && effects == 9 && m->budget_warnings_count == 2);
        CHECK(m->budget_warnings[0].what == MV_SPEND_TOKENS && m->budget_warnings[0].call == 3 &&
              m->budget_warnings[0].spent == 120 && m->budget_warnings[0].warn == 100);
        CHECK(m->budget_warnings[1].what == MV_SPEND_CALLS && m->budget_warnings[1].call == 4 &&
              m->budget_warnings[1].spent == 4);
        char *json = mv_result_json(r);
        CHECK(json && strstr(json, "\"budget_warnings\": [{\"what\": \"tokens\", \"warn\": 100, "
                                   "\"spent\": 120, \"call\": 3}"));
        free(json);
        mv_result_free(r);
        b.max[MV_SPEND_TOKENS] = 150; /* warned before the limit, and held to it */
        mv_context_budget(c, &b);
        r = run(c, "(dotimes [i 9] (call \"test.ask\"))");
        CHECK(!mv_result_ok(r) && effects == 3 &&
              mv_result_metadata(r)->budget_warnings_count == 2);
        mv_result_free(r);
        mv_context_free(c);
}

TEST(of_two_thresholds_the_lower_one_counts)
{
        struct mv_budget b = unlimited;
        struct mv_context *c = context_with(&b);
        b.warn[MV_SPEND_CALLS] = 3;
        mv_context_budget(c, &b);
        b.warn[MV_SPEND_CALLS] = 2;
        mv_context_budget(c, &b);
        b.warn[MV_SPEND_CALLS] = 5;
        mv_context_budget(c, &b);
        mv_context_budget(c, &unlimited);
        struct mv_result *r = run(c, "(dotimes [i 2] (call \"test.ask\"))");
        CHECK(mv_result_metadata(r)->budget_warnings_count == 1);
        mv_result_free(r);
        mv_context_free(c);
}

TEST(a_price_that_does_not_fit_a_counter_is_refused)
{
        struct mv_budget b = unlimited;
        b.max[MV_SPEND_TOKENS] = UINT64_MAX - 1;
        price = UINT64_MAX - 1;
        struct mv_context *c = context_with(&b);
        struct mv_result *r = run(c, "(call \"test.ask\") (call \"test.ask\")");
        CHECK(!mv_result_ok(r) && effects == 1);
        mv_result_free(r);
        mv_context_free(c);
}

TEST(a_budget_of_nothing_lets_no_call_through_and_is_never_raised)
{
        struct mv_budget b = unlimited;
        b.max[MV_SPEND_CALLS] = 0;
        struct mv_context *c = context_with(&b);
        mv_context_budget(c, &unlimited);
        struct mv_result *r = run(c, "(try (call \"test.ask\") (catch e 7)) (call \"test.ask\")");
        CHECK(!mv_result_ok(r) && effects == 0);
        mv_result_free(r);
        mv_context_free(c);
}

TEST(without_a_budget_nothing_is_counted)
{
        price = UINT64_MAX;
        struct mv_context *c = context_with(&unlimited);
        struct mv_result *r = run(c, "(call \"test.ask\") (call \"test.ask\")");
        CHECK(mv_result_ok(r) && effects == 2);
        mv_result_free(r);
        mv_context_free(c);
}
