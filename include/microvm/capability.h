/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MICROVM_CAPABILITY_H
#define MICROVM_CAPABILITY_H
/* A capability: one named effect (or pure host function) a program may be granted.
 *
 * Order of one call, kept by the broker: descriptor lookup -> argument check -> security -> policy (path, host) ->
 * record -> call() -> record -> reply. call() therefore runs only when everything was allowed and recorded.
 * Threads: call() may run on several threads at once, for different executions; one execution makes one call at a time.
 * Ownership: args live for the duration of the call; values put into *ret are allocated with mv_call_alloc. */
#include <stddef.h>
#include <stdint.h>
#include <microvm/context.h>
#include <microvm/error.h>
#include <microvm/value.h>

struct mv_call; /* one call in progress; made by the broker */

/* What a capability touches; decides the default effect label (REQ-SEC-08) and derived
 * permissions (REQ-AUTH-03). */
enum mv_effect {
        MV_EFFECT_COMPUTE = 0,
        MV_EFFECT_FILESYSTEM = 1u << 0,
        MV_EFFECT_NETWORK = 1u << 1,
        MV_EFFECT_SYSTEM = 1u << 2,
        MV_EFFECT_OUTPUT = 1u << 3, /* writes to the execution's captured output only */
};

struct mv_capability {
        const char *id;        /* canonical, dotted: "ccos.io.read-file" */
        const char *arguments; /* for people: "(path)" */
        const char *result;    /* for people: "string" */
        const char *summary;   /* one sentence */
        uint32_t effects;      /* enum mv_effect, or-ed */
        /* derived permission added to the decision, or NULL: "ccos.io.file-access" */
        const char *permission;
        bool pure; /* same arguments, same result, no effect */
        /* the same call again leaves what one call leaves: it may be repeated when nobody knows
         * whether it happened */
        bool idempotent;
        uint16_t args_min, args_max;
        /* 0: *ret is the reply. Negative: the call failed; fill the error with mv_call_fail. */
        int (*call)(struct mv_call *call, const struct mv_value *args, uint32_t args_count,
                    struct mv_value *ret);
        void *ctx;        /* yours; read it with mv_call_ctx */
        const char *tags; /* words with a blank between, or NULL: see mv_context_expose */
};

/* For call(): memory that lives as long as the reply; NULL only when the execution's memory
 * limit is reached. */
void *mv_call_alloc(struct mv_call *call, size_t bytes);
void *mv_call_ctx(struct mv_call *call);
/* What the program says about itself: its variables and what it has put there with context/set, where the execution's context exposes
 * that to this capability (mv_context_expose) and the program's step does not hide it. MAP with string keys, valid during the call;
 * NULL: nothing is shown. It is the program's word, as arguments are. Which keys were shown is on record. */
const struct mv_value *mv_call_program_context(const struct mv_call *call);
/* Spend from the execution's budget, before the effect where that is possible. 0, or the call has failed with
 * BudgetExhausted: return what it returned. */
int mv_call_spend(struct mv_call *call, enum mv_spending what, uint64_t amount);
/* As mv_call_spend, and what this call has done so far may be done again: where a budget can be extended, the execution waits for
 * that and the call is made anew. Without this promise it is in doubt then (microvm/resume.h). */
int mv_call_reserve(struct mv_call *call, enum mv_spending what, uint64_t amount);
/* Fail the call with an RTFS error kind ("IoError", "NetworkError", "InvalidArgument", "Generic", ...), printf style.
 * Returns -(int)MV_E_PROGRAM, so: return mv_call_fail(call, "IoError", "open %s: %s", path, why); */
int mv_call_fail(struct mv_call *call, const char *kind, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

#endif
