/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_SECURITY_H
#define MV_SECURITY_H
/* Contexts and the one authoriser (REQ-SEC, REQ-AUTH). Pure decisions: no effect, no clock, no allocation.
 *
 * (1) NULL context decides as pure.
 * (2) A decision is about what was asked, with its arguments; path and host rules are in policy/ and combined by the
 *     broker: security first, then policy.
 * (3) Every denial names the rule, what was asked and the smallest grant that would allow it. */
#include <base/arena.h>
#include <base/err.h>
#include <base/cur.h>
#include <base/slice.h>
#include <microvm/capability.h>
#include <microvm/context.h>

#define MV_GRANTS_MAX                                                                              \
        4096 /* per kind and context: linear policy files stay decidable in microseconds */
#define MV_PERMISSIONS_MAX   8
#define MV_CONSTITUTIONS_MAX 8   /* of one context: agent, settings, environment, and room */
#define MV_CAPABILITY_ID_MAX 159 /* fits whole into a decision: a cut id could equal another one */

struct mv_grant_list { /* sorted bytewise, no duplicates */
        char **items;
        uint32_t count, cap;
};
struct mv_context;
struct mv_narrowing { /* what one capability sees instead of the whole context */
        char *capability;
        struct mv_context *context;
};
struct mv_tls { /* tls.c; texts are ours */
        bool pinned, client_wanted;
        struct mv_grant_list pins;
        char *ca, *client_cert, *client_key;
};
struct mv_effects { /* effects.c: bits of its labels */
        uint32_t allowed, denied;
};
struct mv_step_view; /* policy/profile.h */
/* What was said about budgets, each kind by what happens at its end; MV_SPEND_ANY: nothing. */
struct mv_budget_kept {
        uint64_t max[MV_SPEND_MAX_]; /* nobody goes beyond */
        uint64_t ask[MV_SPEND_MAX_], extension[MV_SPEND_MAX_];
        uint64_t soft[MV_SPEND_MAX_], warn[MV_SPEND_MAX_]; /* warn 0: nothing */
        uint32_t approvals;                                /* 0, as timeout_ms: nobody asks */
        uint64_t timeout_ms;
};
struct mv_context {
        enum mv_level level;
        struct mv_grant_list capabilities; /* sorted: exact ids and "prefix.*" */
        struct mv_grant_list reads, writes, hosts, hosts_denied, env;
        struct mv_limits limits;
        struct mv_budget_kept budget;
        struct mv_tls tls;
        struct mv_effects effects;
        struct mv_grant_list terms; /* of one capability's contract (terms.h) */
        struct mv_grant_list
                exposed; /* who is shown the program's context: ids, prefixes, tag:WORD */
        bool use_microvm;
        bool log_capability_calls;
        char policy_name[48];            /* "" unless made by mv_context_new_policy */
        struct mv_narrowing *narrowings; /* by settings; the same capability is there once */
        uint32_t narrowings_count;
        /* inside a step: what holds besides; not the context's own. NULL: nothing */
        const struct mv_step_view *steps;
        /* how many executions this one was started in, one inside of the other; decides nothing else */
        uint32_t nested;
        struct mv_rule *rules; /* in order; texts are ours */
        uint32_t rules_count;
        /* Where the second constitution begins, and so on: each file that has a say has one of its own (rules.c). */
        uint32_t rules_begin[MV_CONSTITUTIONS_MAX - 1], more_constitutions;
};
/* What holds whatever is granted, budget, rules and TLS, goes to a new context that is made out of another: whoever adds such a
 * thing adds it here. False: out of memory. */
bool mv__context_bind(struct mv_context *to, const struct mv_context *from);
/* What holds in `most` holds in c and in what its capabilities see, besides its own. INVALID: both have a rule of one id. */
int mv__context_join(struct mv_context *c, const struct mv_context *most, struct mv_err *err);
/* The stricter of both, of each kind. */
void mv__budget_join(struct mv_budget_kept *to, const struct mv_budget_kept *from);
/* Is there an end to this kind of spending, whatever happens at it? */
bool mv__budget_ends(const struct mv_budget_kept *b, enum mv_spending what);
/* NULL: out of memory; a NULL c copies as pure */
struct mv_context *mv_context_copy(const struct mv_context *c);

/* Is this capability shown what the program says about itself? */
bool mv_context_exposes(const struct mv_context *c, const struct mv_capability *cap);

/* The context that decides about the calls of one capability: its own narrower one, or c itself. */
const struct mv_context *mv_context_for(const struct mv_context *c, const char *capability);
/* Takes `narrow`, also on failure; one that is there for the capability is replaced. Whoever makes it sees to it that it
 * is narrower. */
int mv_context_narrow(struct mv_context *c, const char *capability, struct mv_context *narrow,
                      struct mv_err *err);

/* One decision, fixed size so that denying cannot fail. */
struct mv_decision {
        bool allowed;
        /* which rule decided: "grant ccos.math.*", "level pure", "host not granted", ... */
        char rule[96];
        /* REQ-AUTH texts: "capability_authorization", "program_authorization", "network", ... */
        char operation[48];
        char capability[160];
        char context[256]; /* the text after "not allowed in context: " */
        /* "--allow ccos.io.read-file" : the smallest grant; "" when nothing could allow it */
        char hint[192];
        /* capability id first, then derived ones (REQ-AUTH-02..04) */
        char permissions[MV_PERMISSIONS_MAX][MV_CAPABILITY_ID_MAX + 1];
        uint32_t permissions_count;
};
/* Nothing asked, nothing allowed. Texts end at their NUL, so two kilobytes need no zeros for every
 * call. */
void mv_decision_none(struct mv_decision *d);
void mv_decision_copy(struct mv_decision *to, const struct mv_decision *from);
/* "Security violation: {operation} operation on capability '{capability}' not allowed in
 * context: {context}" */
void mv_decision_text(const struct mv_decision *d, char *buf, size_t cap);

/* REQ-AUTH-01..04, -10, -13: id is canonical; cap may be NULL when it is not registered (then UnknownCapability is the
 * broker's business and this still decides by grant). */
void mv_authorize_capability(const struct mv_context *c, const char *id,
                             const struct mv_capability *cap, const struct mv_value *args,
                             uint32_t args_count, struct mv_decision *ret);
enum mv_program_class {
        MV_PROGRAM_CLASS_RTFS,
        MV_PROGRAM_CLASS_NATIVE,
        MV_PROGRAM_CLASS_EXTERNAL,
        MV_PROGRAM_CLASS_SCRIPT
};
/* REQ-AUTH-05; capability NULL when none is named. */
void mv_authorize_program(const struct mv_context *c, enum mv_program_class k,
                          const char *capability, struct mv_decision *ret);
/* REQ-AUTH-07 and REQ-PRV-09: the boundary gate. operation is "execute_capability" or
 * "execute_program". */
void mv_token_check(const char *operation, const char *capability, const char *const *permissions,
                    uint32_t count, struct mv_decision *ret);
/* REQ-SEC-08 label of a capability: ":filesystem" ":network" ":system" ":compute" ... The first
 * of its labels. */
const char *mv_effect_label(const char *capability_id);
/* Every label (ccos.user.ask has two); returns how many, at least one. */
uint32_t mv_effect_labels(const char *capability_id, const char *ret[2]);
enum mv_level mv_recommended_level(const char *capability_id); /* REQ-SEC-11 */
bool mv_requires_elevated_permissions(const char *capability_id);
/* Does an entry equal the text? Binary search. Index or -1. */
int64_t mv__grants_find(const struct mv_grant_list *l, const char *text);
/* For the layers that decide about arguments: adds a permission (information, REQ-AUTH-04)
 * unless it is there already. */
void mv__decision_permission(struct mv_decision *d, const char *permission);

/* For an execution that is started by a call of this one: it, and what its capabilities see, is one deeper. */
void mv__context_nest(struct mv_context *c);

struct mv_limits mv_level_limits(enum mv_level level); /* what a new context of it has */
/* The effective limits: for each field the smallest non-zero of the context's and the request's. */
struct mv_limits mv_limits_min(struct mv_limits a, struct mv_limits b);
/* Context digest for the audit: canonical encoding of everything that decides. Of a literal environment value only the
 * fact that there is one is encoded: values may be secrets. */
bool mv_context_encode(const struct mv_context *c, struct mv_out *o);

#endif
