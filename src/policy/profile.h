/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_POLICY_PROFILE_H
#define MV_POLICY_PROFILE_H
/* Step profiles (REQ-STEP): what one step of a program may do, beyond what its context allows.
 *
 * A profile has two halves. What the step *derives*: the capabilities it can call, with the hosts, methods and paths that its
 * text names. What it *demands* (with-security-profile): less than that. Both only deny.
 * (1) A profile is asked after the context has allowed, and can only turn that into a denial.
 * (2) What is not known is not narrowed: a URL that is computed leaves the hosts to the context.
 * (3) A demand that cannot be kept is refused by name; an unknown one as well. */
#include <security/security.h>

enum mv_step_isolation { /* REQ-STEP-03 */
                         MV_ISOLATION_INHERIT,
                         MV_ISOLATION_ISOLATED,  /* effects outside the cell, by the broker */
                         MV_ISOLATION_SANDBOXED, /* ... or behind a process wall of their own */
                         MV_ISOLATION_MAX_
};
const char *mv_step_isolation_name(enum mv_step_isolation i); /* "inherit" "isolated" "sandboxed" */

/* A dimension of a profile: everything that the context allows, or what is listed. */
struct mv_profile_set {
        bool any;
        struct mv_grant_list list;
};
struct mv_demand {
        bool hosts_given, methods_given, paths_given, capabilities_given;
        struct mv_grant_list hosts, methods, paths, capabilities;
        bool read_only, deterministic;
        enum mv_step_isolation isolation;
        enum mv_tier tier;    /* the least wall that isolation means */
        uint64_t time_ns_max; /* 0: not demanded */
        uint32_t calls_max;   /* UINT32_MAX: not demanded */
};
/* REQ-STEP-02, by what the step does; never more than the run's own. */
struct mv_profile_limits {
        uint64_t time_ns_max, memory_bytes_max;
        uint32_t operations_max,
                calls_max; /* effects on files and network; calls: UINT32_MAX any */
};

struct mv_profile {
        char label[112];               /* "step 'NAME'", "the program": for messages */
        struct mv_slice name;          /* whole, as the program writes it */
        const struct mv_value *wanted; /* the demand as it is in the program; NULL: none */
        char id[128];                  /* "profile-NAME-HEX" */
        enum mv_step_isolation isolation;
        bool network, files, system, deterministic;
        struct mv_profile_set capabilities, hosts, methods, reads, writes;
        struct mv_demand demand;
        struct mv_profile_limits limits;
        uint32_t line, column; /* of the first step of that name */
};
void mv_profile_init(struct mv_profile *p, struct mv_slice name);
void mv_profile_done(struct mv_profile *p);

/* What a call is known to ask for, from its constant arguments (capability/touch.c). */
struct mv_touch {
        bool network, files, read, write, system, deterministic;
        bool url_known, method_known, path_known;
        struct mv_slice url, method, path;
};
/* id NULL: an id that is computed, so any call. LIMIT: more than 4096 of one kind. */
int mv_profile_add(struct mv_profile *p, const char *id, const struct mv_touch *t,
                   struct mv_err *err);
/* The map of with-security-profile. INVALID: what is wrong with it, or which key cannot be kept. */
int mv_demand_read(const struct mv_value *map, struct mv_demand *ret, struct mv_err *err);
/* After the last mv_profile_add: intersects with the context, sets isolation, limits, id. */
int mv_profile_finish(struct mv_profile *p, const struct mv_context *c, struct mv_limits run,
                      struct mv_err *err);
/* REQ-STEP-09: {"step" "profile" "isolation" ...}, deterministic. */
bool mv_profile_encode(const struct mv_profile *p, struct mv_out *o);
/* "time: Xms, mem: YMB, cpu: 1x" */
void mv_profile_limits_text(const struct mv_profile *p, char *buf, size_t cap);
/* REQ-STEP-04, as text: "memory-protection,cpu-monitoring,...". */
void mv_profile_flags_text(const struct mv_profile *p, char *buf, size_t cap);
enum mv_tier mv_profile_tier(const struct mv_profile *p); /* the least wall that it demands */

/* --- deciding --------------------------------------------------------------------------------- */
/* The profiles that hold for a call: the program's and those of the steps it is made in. */
struct mv_step_view {
        const struct mv_profile *const *active;
        uint32_t count;
        /* of the execution that started this one by a call; NULL: none did */
        const struct mv_step_view *outer;
};
/* Each turns an allowing decision into a denial when a profile says so; v may be NULL. */
void mv_profile_capability(const struct mv_step_view *v, const struct mv_capability *cap,
                           bool arguments_decided, struct mv_decision *d);
struct mv_url;
void mv_profile_host(const struct mv_step_view *v, const struct mv_url *u, struct mv_decision *d);
void mv_profile_method(const struct mv_step_view *v, const char *method, struct mv_decision *d);
/* *root: narrowed to a demanded path that the asked one is below. */
void mv_profile_path(const struct mv_step_view *v, struct mv_slice path, bool write,
                     struct mv_decision *d, struct mv_slice *root);
/* Does a step demand that clocks are served from the record of calls alone? */
bool mv_profile_deterministic(const struct mv_step_view *v);

#endif
