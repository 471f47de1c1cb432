/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_CONFIG_GOVERNANCE_H
#define MV_CONFIG_GOVERNANCE_H
/* The constitution as agent.config and settings files spell it (REQ-GOV-01, REQ-SEC-16): a list of rules. Which of them
 * decides is security/rules.c's business. */
#include <config/diagnostics.h>
#include <config/settings.h>

extern const struct mv_section mv__rule_schema; /* of one struct mv_rule_section */

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
