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
/* The rules that decide about it, at most one of each constitution; where one denies, that one alone. How many. */
uint32_t mv_rules_for(const struct mv_context *c, const struct mv_governed *g,
                      const struct mv_rule *ret[MV_CONSTITUTIONS_MAX]);
/* What they will do, when nobody is asked: a call that needs approvals is refused, and the text says how many. */
void mv_rules_explain(const struct mv_context *c, const struct mv_governed *g,
                      struct mv_decision *d);
/* Does a rule about this capability look at arguments, or at steps? For who does not know all of them. */
bool mv_rules_look_at(const struct mv_context *c, const struct mv_capability *capability,
                      bool arguments, bool steps);
/* The decision becomes a denial by this rule. */
void mv_rule_refuse(const struct mv_rule *rule, const char *why, struct mv_decision *d);
enum mv_risk mv_risk_of(uint32_t effects);

/* For context.c and encode.c. copy: false leaves what was copied to mv__rules_done. */
bool mv__rules_copy(struct mv_context *to, const struct mv_context *from);
/* The constitutions of another context, behind those that are there. INVALID: an id is there. */
int mv__rules_join(struct mv_context *to, const struct mv_context *from, struct mv_err *err);
void mv__rules_done(struct mv_context *c);
bool mv__rules_encode(const struct mv_context *c, struct mv_out *o);

#endif
