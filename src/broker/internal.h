/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_BROKER_INTERNAL_H
#define MV_BROKER_INTERNAL_H
/* Between the files of this folder. */
#include <audit/approvals.h>
#include <broker/broker.h>
#include <stdatomic.h>

/* Denials whose hint is remembered for the outcome: a program that catches many keeps the
 * latest. */
#define DENIALS_KEPT 16
/* Distinct file operations or network requests of one execution that fit its metadata; beyond,
 * the execution ends. */
#define NOTES_MAX 16384
/* What one execution may add to the audit store before it is ended: a guest cannot fill the
 * host's disk or memory. */
#define RECORD_BYTES_MAX (256ull << 20)

struct bytes { /* grows; a pointer into it is valid until the next grow */
        uint8_t *p;
        size_t len, cap;
};
bool mv__bytes_reserve(struct bytes *b, size_t cap);

struct denial {
        char operation[48], capability[160], context[256], hint[192];
};

/* step.c */
struct active_step {     /* since when a profile holds, parallel to steps.profiles */
        uint64_t end_ns; /* 0: the run's own end */
        uint32_t calls_at, operations_at;
};
struct steps {
        struct mv_step_view view;
        const struct mv_profile **profiles;
        struct active_step *active;
        bool *open; /* of each open step: did it put its profile on the stack? */
        uint32_t profiles_cap, active_cap, open_count, open_cap;
        uint32_t operations; /* calls with effects on files or network */
        struct mv_profile *demands;
        uint32_t demands_count;
        struct mv_context context; /* the call's, with the view */
        uint32_t wall;             /* index into o.walls */
        _Atomic uint64_t deadline_ns;
};

#define MV__RETRIES_MAX   10
#define MV__KEY_BYTES_MAX 256
struct mv__hints { /* what the program's metadata says about the calls under it (hints.c) */
        bool idempotent;
        uint32_t retries;
        uint32_t backoff_ms[MV__RETRIES_MAX];
        uint64_t timeout_ms; /* 0: none */
        bool metrics;        /* pure calls are timed too */
        uint64_t cache_ms;   /* 0: none */
        uint32_t cache_entries;
        uint32_t breaker_failures, breaker_successes; /* 0: none */
        uint64_t breaker_ms;
        double rate, burst; /* calls per second; 0: any */
        char key[MV__KEY_BYTES_MAX];
        size_t key_len; /* 0: none */
        bool key_global;
        uint64_t window_ms;
        struct bytes compensation; /* encoded [id args...]; empty: none */
        const char *wrong;         /* a hint that is ours and cannot be understood; NULL: none */
};

struct mv__owed { /* a call that is to be undone should the execution fail */
        struct mv__owed *before;
        uint64_t call;
        bool keyed;
        struct mv_keyed key;
        size_t len;
        uint8_t bytes[]; /* payload of the CALL frame that undoes it */
};

struct mv__budget {    /* budget.c */
        bool counts;   /* there is one, or a threshold: else only calls are counted */
        bool measures; /* ... of time */
        bool decides;  /* ... that may decide otherwise when a call is looked at again */
        uint64_t ask[MV_SPEND_MAX_]; /* with what was approved */
        uint64_t began_ns;           /* since when time counts; 0: it does not yet */
        uint32_t noted;              /* MV_BROKER_BUDGET_BIT */
        uint64_t before[MV_SPEND_MAX_];
        /* what the running call found spent, and somebody could extend */
        bool lacks, untouched;
        enum mv_spending what;
        uint64_t needed;
};

struct mv_broker {
        struct mv_broker_options o;
        struct mv_limits limits; /* defaults filled in */
        struct mv_arena kept;    /* outcome and notes */
        struct bytes reply;      /* the frame handed to the provider */
        struct bytes record;
        uint64_t record_bytes;
        struct mv_file_table *files;
        struct mv__hints *hints;             /* NULL: none were ever given */
        struct mv__owed *owed;               /* newest first */
        struct mv__resilience *resilience;   /* NULL: no hint asked for any */
        struct mv_terms *terms;              /* NULL: none was ever asked */
        struct mv__ruled_steps *ruled_steps; /* NULL: no rules, or no step yet */
        bool compensating;
        bool stopped_as_recorded; /* the program was stopped where its failure is recorded */

        struct steps steps;
        uint32_t calls, denials;
        /* of the latest call: a program that calls, calls the same again */
        const struct mv_capability *latest;
        bool settled; /* by this context, and so it is again at the next call */
        const struct mv_context *settled_by;
        uint64_t spent[MV_SPEND_MAX_];
        uint64_t time_before_ms; /* spent by earlier processes of this run */
        struct mv__budget budget;
        /* an outcome is known or the guest was hostile: no further frame */
        bool closed;
        struct mv_err fatal; /* set inside a service: the call's answer must not leave (2) */
        /* why a session's program was told to stop; COMPLETED: it was not */
        enum mv_termination stopped;
        bool denied_inside; /* the running call was denied after it began */

        struct bytes out, err;
        bool truncated;
        struct mv_network_request *network;
        struct mv_file_operation *operations;
        uint32_t network_count, network_cap, operations_count, operations_cap;

        struct mv_broker_outcome outcome;
        /* ring, newest at (denials - 1) % DENIALS_KEPT; NULL before the first, or no memory */
        struct denial *denied;
        struct mv_decision inside;          /* of denied_inside; from here on not zeroed */
        struct mv_decision latest_decision; /* when settled */
};

/* One CALL on its way through the broker. */
struct asked {
        uint64_t seq;
        struct mv_slice id;       /* as the guest wrote it */
        struct mv_slice args_raw; /* canonical CBOR */
        struct mv_value args;     /* a vector */
        struct mv_arena arena;    /* arguments and reply; gone when the frame is answered */
        const struct mv_capability *capability; /* NULL: unknown */
        uint64_t effect_ns;                     /* 0: a pure one is not timed */
        bool done;         /* the effect is there, whatever the contract says of the result */
        uint32_t attempts; /* retries of the effect */
        const struct mv_value *exposed; /* of the program's context; NULL: nothing */
        struct mv_slice exposed_note;   /* in the record: which keys */
        bool untouched;                 /* on record without a result, and yet it had no effect */
        enum { NOT_ASKED, NOT_DECIDED, DECIDED } recorded; /* mv__decided_before */
        bool begun;                      /* its idempotency key is in the log of effects, begun */
        struct mv_decision decision;     /* from here on not zeroed */
        struct mv_fault fault;           /* kind "": the decision alone speaks */
        alignas(16) uint8_t small[1024]; /* of the arena: most calls need no more */
};
uint64_t mv__broker_now_ns(void);
/* What the records call it: the canonical id, or what was asked for when there is none. */
struct mv_slice mv__asked_id(const struct asked *q);

/* records.c. Each builds one record and appends it; negative: the execution must stop (2). */
int mv__record(struct mv_broker *b, enum mv_record_type type, struct mv_slice semantic,
               struct mv_slice observed, struct mv_err *err);
int mv__record_decision(struct mv_broker *b, const struct asked *q, const struct mv_decision *d,
                        struct mv_slice fault,
                        struct mv_err *err); /* q NULL: decided inside the running call */
int mv__record_call(struct mv_broker *b, const struct asked *q, struct mv_err *err);
int mv__record_result(struct mv_broker *b, const struct asked *q, const char *key,
                      struct mv_slice payload, struct mv_err *err);
bool mv__build_call(struct mv_broker *b, const struct asked *q, struct mv_out *o);
bool mv__put_args(struct mv_out *o, const struct asked *q);
void mv__put_spent(const struct mv_broker *b, struct mv_out *o); /* "spent" and its list */

/* reply.c: the frame for the guest in b->reply; its payload. */
/* A frame with nil for payload: TICK, CANCEL. */
int mv__reply_nil(struct mv_broker *b, enum mv_frame_type type, struct mv_err *err);
int mv__reply_value(struct mv_broker *b, uint64_t seq, const struct mv_value *v,
                    struct mv_err *err);
int mv__reply_fault(struct mv_broker *b, uint64_t seq, const struct mv_fault *f,
                    struct mv_err *err);
int mv__reply_denial(struct mv_broker *b, uint64_t seq, const struct mv_decision *d,
                     struct mv_err *err);
int mv__reply_raw(struct mv_broker *b, enum mv_frame_type type, uint64_t seq,
                  struct mv_slice payload, struct mv_err *err);
struct mv_slice mv__reply_payload(const struct mv_broker *b);

/* services.c: what capabilities reach through struct mv_call_host. */
struct mv_call_host mv__services(struct mv_broker *b);
bool mv__write_output(struct mv_broker *b, bool to_stderr, struct mv_slice s);
void mv__remember_denial(struct mv_broker *b, const struct mv_decision *d);
/* texts that go into frames and records are UTF-8 */
void mv__clean_decision(struct mv_decision *d);

/* budget.c */
int mv__budget_init(struct mv_broker *b, struct mv_err *err);
/* The budgets of calls, steps and time about a call that is allowed: may turn it into a fault. WAITING: the run stops here. */
int mv__budget_call(struct mv_broker *b, struct asked *q, struct mv_err *err);
/* It was spent. A threshold that is crossed is noted; when that fails, b->fatal says so. */
void mv__spent(struct mv_broker *b, enum mv_spending what, uint64_t amount);
/* false: not in the budget. untouched: by a call that had no effect yet. */
bool mv__spend(struct mv_broker *b, enum mv_spending what, uint64_t amount, bool untouched,
               struct mv_room *ret);
void mv__budget_clock(struct mv_broker *b); /* time has passed */
void mv__budget_step(struct mv_broker *b);  /* a step has begun */
/* Around carrying out. begins: what was spent so far. lacked: 1: the budget was extended, carry it out again; 0: the fault
 * stands; WAITING. */
void mv__budget_begins(struct mv_broker *b);
int mv__budget_lacked(struct mv_broker *b, struct asked *q, struct mv_err *err);
/* A call that was stopped by a budget, on its way to its effect: as mv__before_effect, and q->untouched. */
int mv__budget_resumed(struct mv_broker *b, struct asked *q, const char **ret_key,
                       struct mv_err *err);

/* step.c */
int mv__steps_init(struct mv_broker *b, struct mv_err *err);
void mv__steps_done(struct mv_broker *b);
int mv__step_event(struct mv_broker *b, const struct mv_value *event, struct mv_err *err);
/* The wall that the step of this event will run behind; that of now when it begins none. */
uint32_t mv__step_wall(struct mv_broker *b, const struct mv_value *event);
/* The tier that this step demands and nobody has; NONE: it may begin. */
enum mv_tier mv__step_unmet(struct mv_broker *b, const struct mv_value *event);
/* What undoes calls is held to the program as a whole. */
void mv__steps_compensate(struct mv_broker *b);
/* The context of a call with what the open steps leave of it; c itself outside of steps. */
const struct mv_context *mv__step_context(struct mv_broker *b, const struct mv_context *c);
void mv__step_limits(struct mv_broker *b, struct asked *q);
/* A call that was allowed and is answered from the records of a run that goes on. */
void mv__step_answered(struct mv_broker *b,
                       const struct asked *q); /* turns an allowed call into a fault */
void mv__step_call(struct mv_broker *b, struct mv_call *call);
/* In a step that demands it. What may be called there has no effect outside, and no answer from elsewhere is taken for it: not
 * out of the cache, and not under an idempotency key. */
bool mv__is_deterministic(const struct mv_broker *b);

/* end.c: frames that are not calls. */
int mv__on_step(struct mv_broker *b, struct mv_slice payload, struct mv_err *err);
int mv__on_enter(struct mv_broker *b, struct mv_slice payload, struct mv_err *err); /* answered */
int mv__on_log(struct mv_broker *b, struct mv_slice payload, struct mv_err *err);
int mv__on_result(struct mv_broker *b, struct mv_slice payload, struct mv_err *err);
int mv__on_error(struct mv_broker *b, struct mv_slice payload, struct mv_err *err);

/* fields.c: a map with known text keys, read strictly. */
struct field {
        const char *key;
        bool required, seen;
        struct mv_slice raw; /* one encoded item */
};
int mv__fields_read(struct mv_slice payload, struct field *fields, uint32_t count,
                    struct mv_err *err);
/* an integer >= 0; 0 when absent */
int mv__field_count(const struct field *f, uint64_t *ret, struct mv_err *err);
/* "" when absent */
int mv__field_text(const struct field *f, struct mv_slice *ret, struct mv_err *err);

/* durable.c. Right before an effect: 0: carry it out; 1: answered in b->reply, *ret_key as for mv__record_result;
 * STATE: somebody has to decide. */
int mv__before_effect(struct mv_broker *b, struct asked *q, const char **ret_key,
                      struct mv_err *err);
/* The effect had this end: into the log of effects, where its key is. Before anybody is told. */
int mv__after_effect(struct mv_broker *b, struct asked *q, bool ok, struct mv_err *err);
/* Has the effect to be tried again? Waits as long as the program's hint says. */
bool mv__try_again(struct mv_broker *b, struct asked *q);

/* In place of the effect: "ID: text". Always 1, or negative. */
int mv__answer_fault(struct mv_broker *b, struct asked *q, const char *kind, const char *text,
                     const char **ret_key, struct mv_err *err);
struct mv_keyed mv__keyed(const struct mv_broker *b, const struct asked *q);
void mv__request_digest(const struct asked *q, uint8_t ret[MV_DIGEST_BYTES]);
/* false: the deadline, or whoever cancels, comes first. */
bool mv__wait_ms(const struct mv_broker *b, uint32_t ms);

/* resilience.c. Before an effect is begun: 0: go on; 1: answered in b->reply, *ret_key as for mv__record_result. */
int mv__before_call(struct mv_broker *b, struct asked *q, const char **ret_key, struct mv_err *err);
/* q->done, and what it is answered: nothing of it has left yet. */
int mv__after_call(struct mv_broker *b, const struct asked *q, bool replied, struct mv_err *err);
/* Note that this hint made a difference; when that fails, b->fatal says so. */
void mv__hint_applied(struct mv_broker *b, const struct asked *q, const char *hint, uint64_t n);
struct mv__resilience *mv__resilience_free(struct mv__resilience *x);

/* compensate.c. The call was done: does something undo it? */
int mv__owe(struct mv_broker *b, const struct asked *q, struct mv_err *err);
bool mv__compensates(const struct mv_broker *b); /* the program failed, and calls will follow */
void mv__owed_free(struct mv__owed *o);
/* broker.c. The call becomes one that is refused by a fault. */
void mv__refuse(struct asked *q, const char *rule);
/* What the contract says of the reply in b->reply: where it does not hold, a fault takes its place and *ret_key says so. */
int mv__ask_about_result(struct mv_broker *b, struct asked *q, const char **ret_key,
                         struct mv_err *err);
/* decode, decide, record, carry out, answer into b->reply. */
int mv__call(struct mv_broker *b, const struct mv_frame *f, struct mv_err *err);

/* govern.c. The constitution about a call that is granted: fills q->decision. WAITING: the run stops here. */
int mv__govern(struct mv_broker *b, struct asked *q, struct mv_err *err);
int mv__take_step(struct mv_broker *b, const struct mv_value *event, struct mv_err *err);
void mv__ruled_steps_free(struct mv__ruled_steps *s);
/* What every approval has in common: [[name uid time approve]...] is observed; s NULL: nobody has voted. */
int mv__approval_note(struct mv_broker *b, enum mv_record_type type, const char *event,
                      const struct mv_approval_request *q, const struct mv_approval_status *s,
                      struct mv_err *err);
uint64_t mv__now_ms(void);
/* A decision that stands in the records is not made again: 1: it does; when it is a denial, q->decision is (and q->fault). */
int mv__decided_before(struct mv_broker *b, struct asked *q, struct mv_err *err);

/* hints.c. A STEP event, whatever it is. */
int mv__take_hint(struct mv_broker *b, const struct mv_value *event, struct mv_err *err);
void mv__hints_free(struct mv__hints *h);

/* exposed.c */
void mv__exposed_begin(struct mv_exposed *x); /* another program of a session: no step is open */
/* entered: the event begins a step with an isolation level. */
void mv__exposed_event(struct mv_broker *b, const struct mv_value *event, bool entered);
/* Fills q->exposed as the context and the open steps have it. false: it is too large, and the call has a fault. */
bool mv__expose(struct mv_broker *b, struct asked *q);

/* replay.c */
/* The decision about this call, when it is the next record of a call: 1, and what it said, a denial in q->decision and, when
 * the program was told of another fault, in q->fault. 0: it is not there. Once for each call: mv__decided_before. */
int mv__replay_decision(struct mv_broker *b, struct asked *q, bool *ret_allowed,
                        struct mv_err *err);
bool mv__replays(const struct mv_broker *b, uint64_t seq);
int mv__replay_call(struct mv_broker *b, struct asked *q, struct mv_err *err);
int mv__replay_end(struct mv_broker *b, struct mv_err *err);

#endif
