/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_CONFIG_CONTEXT_H
#define MV_CONFIG_CONTEXT_H
/* The bridge from an agent.config to what one execution may do: whoever runs an agent comes through here.
 *
 * (1) Nothing is granted that the configuration does not ask for.
 * (2) What it asks for and nothing here can keep is not given: a note says which field, why, and what would allow it.
 *     Where even that would be too much (the record could not be kept where it must be), the whole is refused.
 * (3) Every grant remembers its line, so that a decision can name it. */
#include <config/config.h>
#include <config/settings.h>

#define MV_AGENT_GRANTS_BYTES (64u << 20) /* every text of the largest file, several times */

struct mv_agent_note {    /* (2) */
        const char *path; /* "network.egress.mtls" */
        uint32_t line, column;
        const char *text;
};
struct mv_agent_grants { /* stays where it was made */
        struct mv_arena arena;
        const char *name;           /* of the file; the caller keeps it */
        struct mv_context *context; /* mv_agent_grants_done frees it */
        const char *provider;       /* the one that orchestrator.isolation.mode means */
        enum mv_tier tier_min;      /* of that mode: never run below it */
        bool memory_given;          /* microvm.resources says how much; how long nothing says */
        /* that governs a run: "default", else the strictest; NULL: there is none */
        const struct mv_governance_policy *policy;
        const char *audit_path; /* the record belongs there; NULL: anywhere */
        struct mv_origins origins;
        struct mv_agent_note *notes;
        uint32_t notes_count, notes_cap;
};
struct mv_agent_place {
        const char *name;      /* of the file, for messages */
        const char *directory; /* absolute: what its relative paths begin at */
};
/* f is valid and outlives ret. INVALID, UNSUPPORTED: it can not be run, see (2). */
int mv_agent_grants(const struct mv_agent_file *f, const struct mv_agent_place *place,
                    struct mv_agent_grants *ret, struct mv_err *err);
/* An agent alone does not say how long it runs: what is 0 there becomes what its level gives. */
void mv_agent_limits(const struct mv_agent_grants *g, struct mv_limits *limits);
void mv_agent_grants_done(struct mv_agent_grants *g);
/* Who gives, for options that choose from it (mv_context_choose). */
struct mv_giver mv_agent_giver(const struct mv_agent_grants *g);

#endif
