/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_HOST_EXEC_H
#define MV_HOST_EXEC_H
/* One execution in progress, between the files of this folder. */
#include <broker/broker.h>
#include <host/host.h>
#include <host/plan.h>

/* Frames and records of one execution that exist at the same time: the program, its arguments
 * and their encodings. */
#define EXEC_SCRATCH_MAX ((size_t)256 << 20)
#define EXEC_SCRATCH_FIRST                                                                         \
        ((size_t)8 << 10) /* on the caller's stack: small programs need no more */

/* Sits between provider and broker: the provider reports that a door failed, this remembers why,
 * whatever the provider makes of it. */
struct mv__door_tap {
        struct mv_door_host inner;
        const struct mv_execution *x;
        struct mv_err err;
        bool failed;
};

struct mv_session {
        struct mv_host *host;
        struct mv__entry *entry;
        bool using, prelude;
        char id[64];
        uint64_t memory_bytes_max;
        struct mv_arena memory; /* of the copies below */
        const struct mv_value *args, *variables;
        struct mv_cell *cell;       /* NULL: before the first evaluation, or lost */
        uint64_t evaluations;       /* that ended in order in this cell */
        struct mv_exposed *exposed; /* what they said about themselves; begins anew with a cell */
        bool lost;
};

struct mv__exec {
        struct mv_host *host;
        struct mv_session *session; /* NULL: an execution with a cell of its own */
        const struct mv_execution *x;
        struct mv_result *result;
        struct mv_context *context; /* the frozen copy */
        uint8_t context_digest[MV_DIGEST_BYTES], program_digest[MV_DIGEST_BYTES];
        struct mv_slice identity;     /* what is run, as the records hold it */
        struct mv__entry *entry;      /* the chosen provider */
        bool using;                   /* counted as a user of entry */
        struct mv_limits limits;      /* effective */
        struct mv_limits cell_limits; /* of each of its cells */
        uint64_t started_ns, ended_ns, deadline_ns;
        struct mv__plan *plan;  /* NULL: the program has no steps */
        struct mv_audit *audit; /* where the records go */
        bool step_late;         /* a step's time is what ended the run */
        struct mv_arena scratch;
        struct mv_trail *trail;
        struct mv_broker *broker;
        struct mv_exposed *exposed; /* NULL: nobody is shown anything, or it is the session's */
        struct mv__door_tap tap;
        const struct mv_broker_replay *replay; /* NULL: effects happen */
        bool resumed; /* the id and the trail are there already, and the trail follows (resume.c) */
        const struct mv__story *story; /* of what is resumed */
        const char *permissions[MV_PERMISSIONS_MAX + 1];
        const char *const *token; /* what the boundary gate checks against */
        uint32_t token_count;
        struct mv_broker_wall walls[MV_TIER_MAX_]; /* as in the plan */
        uint32_t walls_used;                       /* beyond the first: users of their entries */
        struct mv__cells *cells;                   /* NULL: one cell does it all */
        bool elsewhere;                            /* the program ended in the cell of a step */
        struct mv_decision decision;               /* about the program; from here on not zeroed */
        alignas(16) uint8_t scratch_first[EXEC_SCRATCH_FIRST];
};

/* mv_execute, for a session or NULL (execute.c). */
int mv__execute(struct mv_host *h, const struct mv_execution *x, struct mv_session *s,
                struct mv_result **ret, struct mv_err *err);
/* mv_execute, with records in a store of the caller's. */
int mv__execute_into(struct mv_host *h, const struct mv_execution *x, struct mv_audit *audit,
                     struct mv_result **ret, struct mv_err *err);
/* Step profiles (plan.c): derive them, find the walls that steps need besides the chosen one, record them. */
int mv__exec_plan(struct mv__exec *e, struct mv_err *err);
int mv__exec_walls(struct mv__exec *e, const struct mv_limits *asked, struct mv_err *err);
int mv__exec_walls_use(struct mv__exec *e, struct mv_err *err); /* they stand ready */
int mv__record_profiles(struct mv__exec *e, struct mv_err *err);
/* prefix and a version 4 UUID. */
void mv__make_id(struct mv_host *h, const char *prefix, char ret[64]);

/* A session's cell for this evaluation, and what becomes of it after (session.c). */
int mv__session_cell(struct mv_session *s, const struct mv__exec *e, struct mv_cell **ret,
                     struct mv_err *err);
void mv__session_after(struct mv_session *s, bool in_order);

/* Before anything of a resumed execution runs: is it the same context? Then its trail follows what is recorded
 * (resume.c). */
int mv__resume_follow(struct mv__exec *e, struct mv_err *err);
/* The failure that is on record, when there is one (resume.c). */
void mv__resume_outcome(struct mv__exec *e);
/* A failed execution undoes what it can (compensate.c). */
int mv__compensate(struct mv__exec *e, struct mv_err *err);
/* From a request to a result that has a root (execute.c). */
int mv__exec_whole(struct mv__exec *e, struct mv_err *err);

/* The frame of mv_execute, shared with replay (execute.c). init: NULL result only on failure. */
int mv__exec_init(struct mv__exec *e, struct mv_host *h, const struct mv_execution *x,
                  struct mv_err *err);
void mv__exec_done(struct mv__exec *e);                           /* everything but the result */
void mv__exec_limits(struct mv__exec *e, struct mv_limits asked); /* with the defaults */
void mv__exec_clock(struct mv__exec *e);                          /* starts; the deadline is set */
/* From the started trail to EXECUTION_ENDED; fills the result but for its root. */
int mv__exec_run(struct mv__exec *e, struct mv_err *err);

/* Build encodings of unknown size: put writes everything and returns false only on overflow or
 * an impossible value. */
typedef bool (*mv__put_fn)(struct mv_out *o, const void *what);
int mv__encode(struct mv_arena *a, mv__put_fn put, const void *what, struct mv_slice *ret,
               struct mv_err *err);

/* The START frame (start.c). */
int mv__start_frame(struct mv__exec *e, struct mv_slice *ret, struct mv_err *err);

/* The execution's own records (record.c). */
int mv__record_program_decision(struct mv__exec *e, const struct mv_decision *d,
                                struct mv_err *err);
int mv__record_started(struct mv__exec *e, struct mv_err *err);
const char *mv__ended_message(const struct mv_result *r); /* the one in the record */
int mv__record_ended(struct mv__exec *e, const char *detail, struct mv_err *err);

/* Steps in cells of their own (cells.c). door: what every frame goes through in the end. */
struct mv__cells;
int mv__cells_new(struct mv__exec *e, struct mv_door_host door, const struct mv_run *first,
                  struct mv__cells **ret, struct mv_err *err);
struct mv_door_host mv__cells_door(struct mv__cells *a); /* of the run's own cell */
void mv__cells_cancel(struct mv__cells *a);              /* any thread; a may be NULL */
/* The run's own cell has ended, so the others do. *exit becomes what ended the execution. true: one of the others did. */
bool mv__cells_end(struct mv__cells *a, struct mv_exit *exit);
struct mv__cells *mv__cells_free(struct mv__cells *a);

/* Fill the result from what the broker saw and how the cell ended (outcome.c). */
void mv__outcome(struct mv__exec *e, const struct mv_exit *exit);

/* Watches the caller's cancel flag while a cell runs (cancel.c). */
struct mv__watch {
        pthread_t thread;
        pthread_mutex_t lock;
        pthread_cond_t wake;
        bool running, done;
        const struct mv_provider_ops *ops;
        struct mv_cell *cell;
        volatile int *flag;             /* may be NULL */
        struct mv__cells *cells;        /* of its steps; may be NULL */
        const struct mv_broker *broker; /* NULL: no step has a time of its own */
        bool late;                      /* one has used it up */
        uint64_t patience_ns; /* how long a flag that is set may wait for the program to obey */
};
int mv__watch_start(struct mv__watch *w, const struct mv__exec *e, struct mv_cell *cell,
                    struct mv_err *err);
void mv__watch_stop(struct mv__watch *w);

/* Programs without a runner: a native function, a capability called directly, the mock's texts
 * (direct.c). They speak the door's frames to the broker like every runner. */
int mv__deliver_value(struct mv__exec *e, const struct mv_value *v, struct mv_err *err);
int mv__deliver_fault(struct mv__exec *e, const char *kind, const char *message,
                      struct mv_err *err);
bool mv__is_direct(const struct mv__exec *e);
int mv__run_direct(struct mv__exec *e, struct mv_exit *ret, struct mv_err *err);

/* External programs and scripts (foreign.c). spec: what the provider is to run; its memory is e's scratch. outcome: delivers
 * how it ended to the broker, after the provider's run. */
int mv__foreign_spec(struct mv__exec *e, struct mv_program_spec *ret, struct mv_err *err);
int mv__foreign_prepare(struct mv__exec *e, struct mv_err *err);
int mv__foreign_outcome(struct mv__exec *e, struct mv_exit *exit, struct mv_err *err);

/* Copy what lies in a directory of the cell into the result (collect.c). */
void mv__collect_output(struct mv_result *r, int dir_fd);

#endif
