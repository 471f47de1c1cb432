/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_HOST_PLAN_H
#define MV_HOST_PLAN_H
/* What the steps of a program may do, found before it starts (REQ-STEP). See plan.c. */
#include <host/host.h>
#include <policy/profile.h>

/* Distinct steps of one program, by name and demand. A broker looks them up one by one. */
#define MV_PLAN_STEPS_MAX 4096u

struct mv__plan_call {
        const struct mv_value *site;            /* [id via line column] */
        const struct mv_value *args;            /* VECTOR with ? for what is not known, or NULL */
        const struct mv_capability *capability; /* NULL: computed, or not known here */
        uint32_t region;
};
struct mv__plan_region {
        struct mv_slice name; /* NULL p: a function */
        const struct mv_value *row;
        uint32_t profile; /* of a step; 0: a function */
        int64_t parent;   /* -1: none */
};
/* The walls of a run: its own, and those that its steps need besides, weakest first. */
struct mv__plan_wall {
        struct mv__entry *entry;
        /* what the program may do there outside of steps that need a stronger one; of the strongest there are none, and the
         * program's own profile holds */
        struct mv_profile program;
};
struct mv__plan {
        struct mv_arena memory;
        struct mv_result *report;    /* holds the values */
        struct mv_profile *profiles; /* [0]: the program */
        uint32_t profiles_count, profiles_cap;
        struct mv__plan_region *regions;
        struct mv__plan_call *calls;
        uint32_t regions_count, calls_count;
        bool known; /* false: the program does not compile; every step is refused every call */
        enum mv_tier tier_max; /* that a step demands */
        struct mv__plan_wall walls[MV_TIER_MAX_];
        uint32_t
                walls_count; /* 0: before mv__plan_walls, or every step runs behind the run's own */
        uint64_t derive_ns;
};
struct mv__plan_request {
        const struct mv_execution *x;
        const struct mv_context *context;
        struct mv_limits limits; /* effective */
};
/* Could the program have steps? Cheap; no program with steps is missed. */
bool mv__plan_wanted(const struct mv_execution *x);
/* Inspects the program behind the wall that x asks for. INVALID, UNSUPPORTED: a demand that cannot be kept. */
int mv__plan_make(struct mv_host *h, const struct mv__plan_request *q, struct mv__plan **ret,
                  struct mv_err *err);
/* From what an inspection reported; takes the report, also on failure. */
int mv__plan_derive(struct mv_host *h, const struct mv__plan_request *q, struct mv_result *report,
                    struct mv__plan **ret, struct mv_err *err);
/* What an inspection found declared: is all of it there? UNSUPPORTED, DENIED, INVALID: declared.c. */
int mv__declared_admit(const struct mv__plan_request *q, struct mv_host *h,
                       const struct mv_value *inspected, struct mv_err *err);
/* Which walls its steps need besides the run's, that of `own`. UNAVAILABLE: one of them is not here. limits: those that a
 * provider has to keep. */
int mv__plan_walls(struct mv_host *h, const struct mv__plan_request *q, struct mv__plan *p,
                   struct mv__entry *own, const struct mv_limits *limits, struct mv_err *err);
/* Behind which of them a step runs. */
uint32_t mv__plan_wall_of(const struct mv__plan *p, const struct mv_profile *step);
/* Has a step less time than the run? plan may be NULL. */
bool mv__plan_has_times(const struct mv__plan *p, uint64_t wall_ns_max);
struct mv__plan *mv__plan_free(struct mv__plan *p);

/* --- explaining (plan_explain.c) --------------------------------------------------------------- */
/* Steps around one call that are looked at; deeper nesting is told by the outer ones. */
#define MV_PLAN_NEST_MAX 64
enum mv__call_state {
        MV__CALL_ALLOWED,
        MV__CALL_DENIED,
        MV__CALL_DEPENDS, /* on arguments, or an id, that the program computes */
        MV__CALL_FAILS,   /* before anybody decides: the arguments are wrong */
        MV__CALL_UNKNOWN, /* granted, and there is no such capability */
        MV__CALL_MAX_
};
/* explain.c: what the contract demands of a call with these arguments; false: *ret says what does not hold. And does it demand
 * anything before a call? */
bool mv__terms_explain(const struct mv_context *c, const char *id, const struct mv_value *args,
                       struct mv_fault *ret);
bool mv__terms_before(const struct mv_context *c, const char *id);

struct mv__verdict {
        enum mv__call_state state;
        struct mv_decision decision;
};
void mv__plan_decide(struct mv_host *h, const struct mv__plan *p, const struct mv_context *context,
                     const struct mv__plan_call *call, struct mv__verdict *ret);

#endif
