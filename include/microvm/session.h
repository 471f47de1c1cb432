/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MICROVM_SESSION_H
#define MICROVM_SESSION_H
/* A session: one cell that keeps what programs define, from one evaluation to the next.
 *
 *   struct mv_session *s;
 *   mv_session_open(host, &(struct mv_session_options){ .context = may }, &s, &err);
 *   mv_session_eval(s, &(struct mv_evaluation){ .program = mv_program_source("(def x 1)"), .context = may }, &result, &err);
 *   mv_session_eval(s, &(struct mv_evaluation){ .program = mv_program_source("(+ x 1)"), .context = may }, &result, &err);
 *   mv_session_close(s);
 *
 * Every evaluation is an execution of its own: authorised by its own context, with its own fuel, deadline and output, its
 * own id, records and root. What it shares with the others is the cell: its memory, and the names that are defined in it.
 *
 * After an error the session goes on, with the definitions that were made before it. So it does after a limit that the
 * evaluator keeps (fuel, memory of its arena, output), and after a deadline or a cancel that it obeyed: a session's program
 * is asked to stop, and killed when it has not MV_SESSION_GRACE_NS (0.5 s) later. A cell that had to be killed, or that ended
 * out of order, is gone: mv_session_lost says so, and the next evaluation starts anew, without the definitions.
 *
 * The cell is reset, or closed, when the session is closed; nothing of it is found by anybody else.
 * Threads:   one thread at a time; the cancel flag may be set from any.
 * Ownership: the caller closes the session before its host, and before it cleans up the provider. */
#include <microvm/execute.h>

struct mv_session;
struct mv_session_options {
        /* gives the cell's memory, as for an execution; NULL: pure */
        const struct mv_context *context;
        /* NULL or "auto": the strongest available one of at least tier_min */
        const char *provider;
        enum mv_tier tier_min;
        /* lower than the context's; 0: the context's, or the default */
        uint64_t memory_bytes_max;
        /* VECTOR or NULL: the name `args` in every evaluation; copied */
        const struct mv_value *args;
        const struct mv_value *variables; /* MAP or NULL; copied */
        bool prelude;
};
/* UNSUPPORTED when the provider cannot keep a cell between runs. The cell is opened by the first
 * evaluation. */
int mv_session_open(struct mv_host *h, const struct mv_session_options *o, struct mv_session **ret,
                    struct mv_err *err);

struct mv_evaluation {
        struct mv_program program;        /* SOURCE, AST or BYTECODE */
        const struct mv_context *context; /* NULL: pure */
        const struct mv_behalf *behalf;   /* NULL: nobody is named */
        /* of this evaluation; no memory limit below the cell's, which is fixed */
        struct mv_limits limits;
        /* set non-zero: stop this evaluation, keep the session; may be NULL */
        volatile int *cancel;
};
/* As mv_execute: 0 and a result, or negative when nothing ran. INVALID for a memory limit that
 * the cell does not keep. */
int mv_session_eval(struct mv_session *s, const struct mv_evaluation *v, struct mv_result **ret,
                    struct mv_err *err);

/* Did the last evaluation cost the session its cell, and with it every definition? */
bool mv_session_lost(const struct mv_session *s);
/* Live as long as the session. */
const char *mv_session_id(const struct mv_session *s);
const char *mv_session_provider(const struct mv_session *s);
enum mv_tier mv_session_tier(const struct mv_session *s);
struct mv_session *mv_session_close(struct mv_session *s); /* accepts NULL, returns NULL */

#endif
