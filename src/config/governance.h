/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_CONFIG_GOVERNANCE_H
#define MV_CONFIG_GOVERNANCE_H
/* The constitution as agent.config and settings files spell it (REQ-GOV-01, REQ-SEC-16): a list of rules. Which of them
 * decides is security/rules.c's business. */
#include <config/diagnostics.h>
#include <config/settings.h>
#include <stddef.h>

extern const struct mv_section mv__rule_schema; /* of one struct mv_rule_section */

/* Rows of struct mv_budgets that every file has. */
extern const struct mv_section mv__warn_schema, mv__exhausted_schema, mv__extension_schema;
#define MV_BUDGET_COUNT(name_, member_, doc_)                                                      \
        {                                                                                          \
                .name = name_, .type = MV_F_INTEGER,                                               \
                .offset = offsetof(struct mv_budgets, member_), .doc = doc_, .min = 0,             \
                .max = INT64_MAX, .code = "NEGATIVE_BUDGET",                                       \
        }
#define MV_BUDGET_SECTION(name_, member_, doc_, section_)                                          \
        {                                                                                          \
                .name = name_, .type = MV_F_SECTION,                                               \
                .offset = offsetof(struct mv_budgets, member_), .doc = doc_, .section = section_,  \
        }
#define MV_BUDGET_ROWS                                                                             \
        MV_BUDGET_COUNT("max-calls", max_calls, "calls of capabilities"),                          \
                MV_BUDGET_COUNT("max-steps", max_steps,                                            \
                                "steps that begin; asked at the calls in them"),                   \
                { .name = "max-time",                                                              \
                  .type = MV_F_DURATION,                                                           \
                  .offset = offsetof(struct mv_budgets, max_time),                                 \
                  .doc = "time that the run has taken; asked at its calls" },                      \
                MV_BUDGET_COUNT("max-egress-bytes", max_egress_bytes,                              \
                                "bytes that capabilities send"),                                   \
                MV_BUDGET_COUNT("max-written-bytes", max_written_bytes,                            \
                                "bytes that capabilities write"),                                  \
                MV_BUDGET_SECTION("warn", warn, "so much is told of, and the run goes on",         \
                                  &mv__warn_schema),                                               \
                MV_BUDGET_SECTION("on-exhausted", on_exhausted,                                    \
                                  "what happens to a call that would spend more; a word alone is " \
                                  "the policy of every kind",                                      \
                                  &mv__exhausted_schema),                                          \
                MV_BUDGET_SECTION("extension", extension,                                          \
                                  "what one approval adds; as much as the budget when absent",     \
                                  &mv__extension_schema)
/* Lowers the context's budget to this. closed: money and tokens that are not given may not be spent at all. */
void mv__add_budgets(const struct mv_budgets *from, bool closed, struct mv_context *c);
/* path: of the budgets. */
void mv__check_budgets(const struct mv_budgets *b, const char *path, struct mv_diagnostics *d);

/* What a row cannot say: ids are there and once, only what asks has approvals. path: of the list. */
void mv__check_rules(const struct mv_sections *rules, const char *path, struct mv_diagnostics *d);

struct mv_rules_place {
        const char *file, *path; /* kept by the caller, as long as the origins */
        struct mv_arena *arena;
        struct mv_origins *origins;
};
/* Adds them to the constitution that c has, in their order. */
int mv__add_rules(const struct mv_sections *rules, const struct mv_rules_place *place,
                  struct mv_context *c, struct mv_err *err);

#endif
