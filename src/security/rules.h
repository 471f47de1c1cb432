/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_SECURITY_RULES_H
#define MV_SECURITY_RULES_H
#include <security/security.h>

/* A call that is granted. */
struct mv_governed {
        const struct mv_capability *capability;
        const struct mv_value *args;
        uint32_t args_count;
        const struct mv_slice *steps; /* names of the steps it is made in, outermost first */
        uint32_t steps_count;
};
/* The rule that decides about it, or NULL. */
const struct mv_rule *mv_rule_for(const struct mv_context *c, const struct mv_governed *g);
/* The decision becomes a denial by this rule. */
void mv_rule_refuse(const struct mv_rule *rule, const char *why, struct mv_decision *d);
enum mv_risk mv_risk_of(uint32_t effects);

/* For context.c and encode.c. copy: false leaves what was copied to mv__rules_done. */
bool mv__rules_copy(struct mv_context *to, const struct mv_context *from);
void mv__rules_done(struct mv_context *c);
bool mv__rules_encode(const struct mv_context *c, struct mv_out *o);

#endif
