/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_BROKER_H
#define MV_BROKER_H
/* The host end of the door: one broker per execution.
 *
 * For every CALL, in this order (REQ-AUTH-08): decode -> alias table -> descriptor -> argument count -> security -> policy
 * -> DECISION record -> (denied: FAULT) -> CALL record, durable -> effect -> RESULT record -> REPLY or FAULT.
 * (1) Nothing has an effect and nothing is answered before its decision is recorded.
 * (2) A record that cannot be stored stops the execution.
 * (3) Bytes from the guest are hostile: a bad frame, a wrong seq, a type out of place ends the cell (MV_E_HOSTILE).
 * (4) Handles, captured output and reply memory belong to one broker and die with it.
 *
 * Records, semantic parts (deterministic CBOR maps; the observed part holds what is not deterministic):
 *   DECISION {"seq","args","hint","rule","fault"?,"level","allowed","context","operation","capability","permissions"}
 *            fault: what the guest was told when nothing was done. One decided inside a running call (a redirect, an address, a
 *            link) has no "args" and no "fault": the RESULT behind it says how the call ended.
 *   CALL     {"seq","args","capability"}        durable before the effect, see needs_sync in broker.c; observed {"exposed"?}: which
 *            keys of the program's context the capability is shown
 *   RESULT   {"seq","done"?,"fault"|"reply"}    whole, exactly as the guest got it; done: is the effect there? Only where the other
 *            key does not say it: true with a fault when the contract does not hold of the result, false with a reply out of
 *            the cache. observed {"spent"?,"retries"?,"effect_ns"?}:
 *            spent: of each kind of budget, by the execution so far; effect_ns: not of a pure capability
 *   STEP     the payload of the frame; observed, of a step that runs in another cell: {"tier","provider"} of its wall
 *   STEP_PROFILE  see mv_profile_encode; written before the program starts (host/plan.c)
 * Notes about budgets (no leaves): broker/budget.c.
 * A call inside a step is decided by the context and by the profiles of the open steps (step.c).
 * A large argument is represented by its digest (mv_audit_put_value).
 * FAULT "message" is the display text of spec 6.2: "I/O error: ...". */
#include <audit/audit.h>
#include <audit/effects.h>
#include <base/arena.h>
#include <capability/table.h>
#include <microvm/execute.h>
#include <microvm/provider.h>
#include <policy/profile.h>
#include <microvm/resume.h>
#include <security/security.h>
#include <wire/frame.h>

struct mv_broker;

/* Of a kind of spending and what happens at its end; MV_EXHAUSTED_MAX_: its threshold. */
#define MV_BROKER_BUDGET_BIT(what, policy)                                                         \
        (1u << ((unsigned)(what) * (MV_EXHAUSTED_MAX_ + 1) + (unsigned)(policy)))

/* Where a broker that replays gets its answers: the records of an earlier execution, in their order. Only DECISION, CALL and
 * RESULT records count; others may be skipped or handed over. With a replay source nothing is decided and nothing has an
 * effect: every CALL must be the recorded one (id and arguments) and is answered as recorded, and the same semantic records
 * go to this broker's trail, so its root can be compared. A difference ends the run: "replay diverged at call N". */
struct mv_broker_replay {
        void *ctx;
        /* 1: filled, valid until the next call; 0: no more; negative: cannot be read. */
        int (*next)(void *ctx, enum mv_record_type *ret_type, struct mv_slice *ret_semantic,
                    struct mv_err *err);
        /* Replay, then go on: calls up to number `answered` are answered from the record; those behind it are decided and
         * carried out like any other. A CALL record that stands there already, without a result, is in doubt. */
        bool goes_on;
        uint64_t answered;
        /* Before, by the last record that says so; calls and steps are counted again. */
        uint64_t spent[MV_SPEND_MAX_];
        uint64_t extended[MV_SPEND_MAX_]; /* budgets as far as somebody approved; 0: nobody did */
        uint32_t noted; /* ends and thresholds that are on record: MV_BROKER_BUDGET_BIT */
        /* The approval that the call in doubt was stopped for when it found a budget spent; NULL: none. untouched: it had had no
         * effect by then. */
        const char *waits_for;
        uint64_t waiting_call;
        bool untouched;
        const struct mv_resumption
                *decided; /* somebody's decision about the call in doubt, or NULL */
        /* Leaves of the program, when its failure is recorded behind them: there it is stopped. UINT64_MAX: it is not. */
        uint64_t stops_at;
};

/* The walls of an execution whose steps have cells of their own, weakest first: [0] is the execution's. A step runs behind the
 * first wall that its profile's tier does not exceed; between steps it is [0] again. Frames are taken from the cell of
 * mv_broker_wall alone: whoever hands them over sees to that (host/cells.c). program: what the program may do behind that
 * wall outside of the steps that need a stronger one; it holds there in place of the program's profile. */
struct mv_broker_wall {
        enum mv_tier tier;
        const char *provider;
        const struct mv_profile *program;
};

/* exposed.c: what a program says about itself, for the capabilities that its context exposes that to. Of one execution, or of a
 * session; told of by brokers, one after the other. variables: of the program, MAP or NULL. NULL: out of memory. */
struct mv_exposed;
struct mv_exposed *mv_exposed_new(const struct mv_value *variables);
struct mv_exposed *mv_exposed_free(struct mv_exposed *x);

struct mv_broker_options {
        const char *execution_id;
        const struct mv_context *context; /* frozen copy, outlives the broker */
        /* outlives the broker; read-only while executions run */
        const struct mv_capability_table *table;
        struct mv_trail *trail;
        struct mv_audit
                *audit; /* whose queue is asked for approvals; NULL: it cannot wait for any */
        /* log of idempotency keys, outlives the broker; NULL: keys mean nothing */
        struct mv_effects *effects;
        /* what a key of scope `plan` belongs to: the program's digest; there when effects is */
        const uint8_t *plan;
        struct mv_exposed *exposed; /* outlives the broker; NULL: nobody is shown anything */
        const char *seed;           /* of random numbers, outlives the broker; NULL: the kernel's */
        struct mv_limits limits;
        /* capabilities such as sleep-ms and http-fetch respect it; 0: none */
        uint64_t deadline_ns;
        /* what the execution asked for; holds for what its calls start too (in a step, what that demands) */
        enum mv_tier tier_min;
        /* non-zero: stop waiting inside capabilities; may be NULL */
        volatile int *cancel;
        /* the guest asks whether to go on (TICK) and may be told to stop */
        bool session;
        /* NULL: effects happen. Else outlives the broker */
        const struct mv_broker_replay *replay;
        enum mv_tier tier; /* of the wall: what a demand of a session's step is compared with */
        /* What the steps of the program may do, by name and demand; [0] is the program's own. Outlive the broker. None:
         * nothing was derived, steps are held to their demands alone. */
        const struct mv_profile *profiles;
        uint32_t profiles_count;
        /* Only with profiles. Outlive the broker. None: there is one wall, and every step runs behind it. */
        const struct mv_broker_wall *walls;
        uint32_t walls_count;
};
int mv_broker_new(const struct mv_broker_options *o, struct mv_broker **ret, struct mv_err *err);
struct mv_broker *mv_broker_free(struct mv_broker *b);
struct mv_door_host mv_broker_door(struct mv_broker *b);

/* terms.c: what the contract of a capability demands of a call. *kept: an evaluator that stays until mv_terms_free; NULL at
 * first. false: *ret says what does not hold. */
struct mv_terms_asked {
        const struct mv_context *context; /* of the execution */
        const char *capability;
        struct mv_slice args, result; /* CBOR */
        bool after;                   /* else before the call, and there is no result */
};
struct mv_terms;
bool mv_terms_hold(struct mv_terms **kept, const struct mv_terms_asked *a, struct mv_fault *ret);
struct mv_terms *mv_terms_free(struct mv_terms *t);

/* The network of an external program, which asks its proxy instead of calling (host/egress.c). A decision is recorded, durable
 * on return when it allows: DECISION with "args" [method host port]. What came of it: RESULT, "reply" {"host" "port" "sent"
 * "method" "status" "received"}, and a note for the metadata. Negative: the execution must stop (2). */
int mv_broker_egress_decision(struct mv_broker *b, const struct mv_decision *d,
                              struct mv_slice method, const char *host, uint16_t port,
                              struct mv_err *err);
struct mv_broker_egress {
        struct mv_slice method, url;
        const char *host;
        uint16_t port;
        int status; /* 0: none came */
        uint64_t sent_bytes, received_bytes;
};
int mv_broker_egress_ended(struct mv_broker *b, const struct mv_broker_egress *e,
                           struct mv_err *err);
/* The execution failed, for this reason: undo what was done and said how it is undone (hint runtime.compensate), newest
 * first, each decided, recorded and carried out like any call of the program, by the same context (REQ-IDEM-05). Records:
 *   STEP ["compensation-started" termination kind message], for each STEP ["compensating" call], DECISION, CALL, RESULT, at
 *   the end STEP ["compensation-completed" done failed]. Nothing to undo: nothing is recorded.
 * One that fails does not keep the others from being tried. */
struct mv_broker_failure {
        const char *termination, *kind, *message;
};
int mv_broker_compensate(struct mv_broker *b, const struct mv_broker_failure *why,
                         uint32_t *ret_done, uint32_t *ret_failed, struct mv_err *err);
/* Nothing more will be spent: what was goes on record, when there is a budget. */
int mv_broker_account(struct mv_broker *b, struct mv_err *err);
/* The program was stopped because its failure is on record (replay.stops_at). */
bool mv_broker_stopped_as_recorded(const struct mv_broker *b);

/* What came out, valid until free. outcome_known is false when the runner died before RESULT or
 * ERROR. */
struct mv_broker_outcome {
        bool outcome_known, ok;
        const struct mv_value *value;  /* ok */
        struct mv_program_error error; /* !ok; all texts point into the broker */
        /* COMPLETED, ERROR, DENIED, FUEL, MEMORY, OUTPUT; of a session TIMEOUT, KILLED */
        enum mv_termination termination;
        uint64_t fuel, guest_memory_bytes;
        uint32_t calls, denials;
        struct mv_slice stdout_bytes, stderr_bytes;
        bool output_truncated;
        const struct mv_network_request *network;
        uint32_t network_count;
        const struct mv_file_operation *files;
        uint32_t files_count;
        struct mv_budget_warning warnings[MV_SPEND_MAX_];
        struct mv_budget_overrun overruns[MV_SPEND_MAX_];
        uint32_t warnings_count, overruns_count;
};
/* When the first of the open steps has used up its time (CLOCK_MONOTONIC); 0: the run's own end. Threads: any. */
uint64_t mv_broker_step_deadline(const struct mv_broker *b);
void mv_broker_outcome(const struct mv_broker *b, struct mv_broker_outcome *ret);
/* Index of the wall whose cell has the word: that of the innermost open step that needs one, else 0. */
uint32_t mv_broker_wall(const struct mv_broker *b);

#endif
