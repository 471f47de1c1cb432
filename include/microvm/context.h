/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MICROVM_CONTEXT_H
#define MICROVM_CONTEXT_H
/* A RuntimeContext: what one execution may do, and how much (REQ-SEC-01..04).
 *
 * A missing context (NULL wherever one is taken) means the most restrictive one: pure, nothing granted.
 * Ownership: the caller owns a context; every string is copied in. An execution takes a frozen copy (REQ-SEC-18), so
 *            changing or freeing a context never affects a running execution.
 * Threads:   build on one thread; after that any number may read. */
#include <stdbool.h>
#include <stdint.h>
#include <microvm/error.h>
#include <microvm/value.h>

enum mv_level { MV_LEVEL_PURE, MV_LEVEL_CONTROLLED, MV_LEVEL_FULL, MV_LEVEL_MAX_ };

/* Tiers of isolation, weakest first. */
enum mv_tier {
        MV_TIER_NONE,
        MV_TIER_LANDLOCK, /* programs without namespaces: only where it was asked for by name */
        MV_TIER_PROCESS,
        MV_TIER_WASM,
        MV_TIER_CONTAINER,
        MV_TIER_VM,
        MV_TIER_MAX_
};
/* "none" "landlock" "process" "wasm" "container" "vm" */
const char *mv_tier_name(enum mv_tier tier);
const char *mv_level_name(enum mv_level level); /* "pure" "controlled" "full" */

/* 0 in a field means "no limit of the caller's": the context's level and the provider's floor
 * still apply. */
struct mv_limits {
        uint64_t wall_ns_max;
        uint64_t cpu_ns_max;
        uint64_t memory_bytes_max;
        uint64_t fuel_max;
        uint64_t output_bytes_max; /* captured stdout and stderr together, and the encoded result */
};

/* What an execution spends. calls: of capabilities that were allowed; egress: bytes sent by capabilities; written: bytes
 * written by capabilities; tokens, cost (millionths of a US dollar): what capabilities of the embedder tell with
 * mv_call_spend; steps: `step` forms that begin; time: milliseconds since it began, without those it waited in the queue of
 * approvals. Steps and time are looked at when a capability is called: what computes alone is ended by the limits. */
enum mv_spending {
        MV_SPEND_CALLS,
        MV_SPEND_EGRESS_BYTES,
        MV_SPEND_WRITTEN_BYTES,
        MV_SPEND_TOKENS,
        MV_SPEND_COST_MICROUSD,
        MV_SPEND_STEPS,
        MV_SPEND_TIME_MS,
        MV_SPEND_MAX_
};
const char *mv_spending_name(enum mv_spending what); /* "calls" "egress bytes" ... */
/* What happens to the call that would spend more than there is, strictest first. */
enum mv_exhausted {
        MV_EXHAUSTED_STOP, /* it fails with BudgetExhausted */
        /* It waits until the budget has been extended, and the run with it: as MV_RULE_REQUIRE_APPROVAL. Rejected, or nobody in
         * time: as STOP. */
        MV_EXHAUSTED_ASK,
        MV_EXHAUSTED_GO_ON, /* it is noted, once, in the records and in the result */
        MV_EXHAUSTED_MAX_
};
/* "hard-stop" "approval-required" "soft-warn" */
const char *mv_exhausted_name(enum mv_exhausted e);
#define MV_SPEND_ANY UINT64_MAX
struct mv_budget {
        uint64_t max[MV_SPEND_MAX_]; /* MV_SPEND_ANY: no limit; 0: nothing may be spent */
        /* Whoever spends so much is told of and goes on: a note in the records, and in the result; 0: nobody is. Without a max
         * it is a budget that only warns. */
        uint64_t warn[MV_SPEND_MAX_];
        enum mv_exhausted exhausted[MV_SPEND_MAX_]; /* at the max */
        /* Of ASK: what one approval adds, unless the approver says another amount; 0: as much as max. Never beyond the max of
         * a budget that stops. */
        uint64_t extension[MV_SPEND_MAX_];
        uint32_t approvals;  /* of ASK: distinct approvers; 0: 1; at most 16 */
        uint64_t timeout_ms; /* of ASK: then it stops; 0: a day; at most 366 days */
};
/* No limit of any kind. */
#define MV_BUDGET_NONE                                                                             \
        ((struct mv_budget){ .max = { MV_SPEND_ANY, MV_SPEND_ANY, MV_SPEND_ANY, MV_SPEND_ANY,      \
                                      MV_SPEND_ANY, MV_SPEND_ANY, MV_SPEND_ANY } })

struct mv_context;
/* pure: no capability, 1 s, 16 MiB. controlled: what is granted, 5 s, 64 MiB. full: every
 * capability, no own limit. */
struct mv_context *mv_context_new(enum mv_level level);   /* NULL: out of memory */
struct mv_context *mv_context_free(struct mv_context *c); /* accepts NULL, returns NULL */
/* A named policy of REQ-SEC-09: user_code system_management data_processing agent_coordination file_operations
 * test_capabilities. NULL and err NOT_FOUND for another name. */
struct mv_context *mv_context_new_policy(const char *name, struct mv_err *err);

/* Grants. Each returns 0, or INVALID with the reason when the text is not a valid grant.
 * allow:  a capability id, or a dotted prefix `ccos.math.*` (on dot boundaries only).
 * read, write: an absolute path; grants that file, or the tree below that directory. write implies read.
 * host:   NAME, NAME:PORT, `*.name` (opt-in wildcard), an IP literal or [v6]:PORT. Naming a private or loopback host or
 *         address here is what admits it.
 * env:    NAME (passes the host's value) or NAME=VALUE. */
int mv_context_allow(struct mv_context *c, const char *capability, struct mv_err *err);
int mv_context_allow_read(struct mv_context *c, const char *path, struct mv_err *err);
int mv_context_allow_write(struct mv_context *c, const char *path, struct mv_err *err);
int mv_context_allow_host(struct mv_context *c, const char *host, struct mv_err *err);
int mv_context_deny_host(struct mv_context *c, const char *host, struct mv_err *err);
int mv_context_allow_env(struct mv_context *c, const char *name, struct mv_err *err);
/* Who is shown what a program says about itself (REQ-SEC-13): its variables, and what it puts there with context/set. Nobody, at any
 * level, who is not named here. capability: an id, a dotted prefix as above, or tag:WORD for all that have that word among their tags.
 * A step of the program can hide it, or all but some keys (:expose-context, :context-keys). Read with mv_call_program_context. */
int mv_context_expose(struct mv_context *c, const char *capability, struct mv_err *err);
/* Effects, whatever capability has them (REQ-SEC-07): compute filesystem network system ai agent io streaming user-interaction, with
 * or without a colon in front. Denying wins; only: none but these. Both only narrow. An external program has the effects system,
 * filesystem and, where hosts are granted, network. INVALID: no capability has such an effect. */
int mv_context_deny_effect(struct mv_context *c, const char *effect, struct mv_err *err);
int mv_context_only_effects(struct mv_context *c, const char *const *effects, uint32_t count,
                            struct mv_err *err);
/* The constitution (REQ-SEC-16): rules about calls that are granted. They are asked in the order in which they were added; the
 * first whose conditions all hold decides, none leaves it to the grants. A rule never allows what no grant allows.
 * Conditions: 0 or NULL holds always. Texts are compared as they are written, whole, or up to a `*` at their end. The names of
 * steps are the program's own words: a rule about a step is for plans whose author is trusted with them. */
enum mv_rule_action {
        MV_RULE_ALLOW,
        MV_RULE_DENY,
        MV_RULE_REQUIRE_APPROVAL, /* the run stops; who approved is counted when it is resumed */
        MV_RULE_ACTION_MAX_
};
/* By what a capability touches: low nothing outside the execution, medium files and the system, high the network. */
enum mv_risk { MV_RISK_LOW, MV_RISK_MEDIUM, MV_RISK_HIGH, MV_RISK_MAX_ };
#define MV_RULE_ID_MAX 63
struct mv_rule {
        const char *id; /* in every record of its decisions */
        enum mv_rule_action action;
        const char *capability; /* an id, or a prefix like ccos.io.* */
        uint32_t effects;       /* one of these, enum mv_effect */
        enum mv_risk risk_min;
        const char *argument; /* a text anywhere in the arguments */
        /* A call inside a step of this name, however deep. An approval of such a rule is for all of that step. */
        const char *step;
        uint32_t approvals;  /* distinct approvers; 0: 1; at most 16 */
        uint64_t timeout_ms; /* then it is denied; 0: a day; at most 366 days */
};
int mv_context_add_rule(struct mv_context *c, const struct mv_rule *rule, struct mv_err *err);
/* "allow" "deny" "require-approval"; "low" "medium" "high" */
const char *mv_rule_action_name(enum mv_rule_action a);
const char *mv_risk_name(enum mv_risk r);

/* How granted hosts are reached (REQ-NET-07). Certificates are always verified. With a pin, or client_wanted, nothing leaves but
 * https, and only by ccos.network.http-fetch: an external program speaks TLS itself, so it has no network.
 * pin: "sha256/<base64 of the digest of a public key>", any of those that are added; NULL: no key is accepted.
 * Files are PEM and absolute paths: ca replaces the authorities of the system; the certificate is shown to whoever asks. The key
 * is opened by the host for each transfer; an execution whose context grants it to the program is refused (DENIED). */
int mv_context_pin_tls(struct mv_context *c, const char *pin, struct mv_err *err);
struct mv_tls_files {
        const char *ca, *client_cert, *client_key; /* NULL: as it is */
        bool client_wanted; /* without a certificate to show no host is reached */
};
int mv_context_use_tls(struct mv_context *c, const struct mv_tls_files *files, struct mv_err *err);

/* Instead of the wall time and the memory that the level gives, for whoever makes a context: below level full at most
 * MV_GIVEN_WALL_NS_MAX and MV_GIVEN_MEMORY_BYTES_MAX (REQ-SEC-10), and what is more is that much. Other fields as below. */
#define MV_GIVEN_WALL_NS_MAX      60000000000ull
#define MV_GIVEN_MEMORY_BYTES_MAX (512ull << 20)
void mv_context_give(struct mv_context *c, const struct mv_limits *limits);
/* From there on limits are only lowered; 0 leaves a field as it is. */
void mv_context_limit(struct mv_context *c, const struct mv_limits *limits);

/* Of each execution with this context; may only be lowered (REQ-RES-12): of two budgets that do the same at their end the
 * lower one counts, and where they do different things both hold. So no approval goes beyond what another budget stops at. A call
 * that would spend more fails with BudgetExhausted before it has an effect; one whose cost is known only afterwards fails then.
 */
void mv_context_budget(struct mv_context *c, const struct mv_budget *budget);

enum mv_level mv_context_level(const struct mv_context *c); /* NULL: pure */
/* REQ-SEC-04, no derived permission */
bool mv_context_allows(const struct mv_context *c, const char *capability);
/* REQ-SEC-06 */
bool mv_context_requires_microvm(const struct mv_context *c, const char *capability);
int mv_context_validate(const struct mv_context *c, struct mv_err *err); /* REQ-SEC-10 */

#endif
