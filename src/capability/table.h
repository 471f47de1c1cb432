/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_CAPABILITY_TABLE_H
#define MV_CAPABILITY_TABLE_H
/* The capabilities that exist on this host: built-in families plus what an embedder registers.
 * Sorted by id. */
#include <base/arena.h>
#include <base/err.h>
#include <base/slice.h>
#include <microvm/capability.h>
#include <microvm/context.h>
#include <security/security.h>

struct mv_capability_table;
/* with the built-in families */
int mv_capability_table_new(struct mv_capability_table **ret, struct mv_err *err);
struct mv_capability_table *mv_capability_table_free(struct mv_capability_table *t);
/* Copies the descriptor (strings too). EXISTS when the id, or an alias of a built-in one, is taken; built-in ids cannot be
 * replaced. INVALID when the descriptor is not usable. */
int mv_capability_table_add(struct mv_capability_table *t, const struct mv_capability *c,
                            struct mv_err *err);
/* Canonical id of a text: exact, or by the alias table (":math.add" -> "ccos.math.add", X-50). NULL: unknown. The id with a
 * leading colon is accepted too. */
const struct mv_capability *mv_capability_find(const struct mv_capability_table *t,
                                               struct mv_slice id);
/* May this call be carried out again when nobody knows whether it was? Pure, idempotent, or harmless by its arguments. */
bool mv_capability_repeatable(const struct mv_capability_table *t, const struct mv_capability *c,
                              const struct mv_value *args, uint32_t args_count);
uint32_t mv_capability_count(const struct mv_capability_table *t);
const struct mv_capability *mv_capability_at(const struct mv_capability_table *t, uint32_t i);
/* Nearest known id by edit distance, or NULL: "did you mean". */
const char *mv_capability_nearest(const struct mv_capability_table *t, struct mv_slice id);

/* Is the call well formed? Count and kinds by the descriptor. 0, or -MV_E_PROGRAM with the fault ("ArityMismatch",
 * "TypeError") in *ret; nothing has been decided yet. c, here and below: from mv_capability_find or _at. */
struct mv_fault {
        char kind[48];
        char message[512]; /* without the kind's prefix: mv_fault_text adds it */
};
int mv_capability_check(const struct mv_capability *c, const struct mv_value *args,
                        uint32_t args_count, struct mv_fault *ret);
/* The whole decision about one call: the authoriser, then path, host and environment rules on its arguments (REQ-AUTH-13).
 * The broker calls it before every effect, `explain` calls it and stops there (REQ-PROC-19). 0: *ret is the decision;
 * -MV_E_PROGRAM: allowed so far, but the arguments name nothing that can be decided about; *ret_fault says why. */
int mv_capability_decide(const struct mv_context *c, const struct mv_capability *cap,
                         const struct mv_value *args, uint32_t args_count, struct mv_decision *ret,
                         struct mv_fault *ret_fault);
/* Do context and capability alone make that decision, whatever the arguments are? */
bool mv_capability_decided_by_id(const struct mv_capability *c);
/* The display text of spec 6.2 and REQ-ERR-01: "I/O error: ..." for kind IoError; always valid
 * UTF-8. */
void mv_fault_text(const struct mv_fault *f, char *buf, size_t cap);
/* Make a text valid UTF-8 in place: one cut at the end of a buffer loses its half character,
 * foreign bytes become '?'. */
void mv_text_make_utf8(char *text);

/* What a call is known to ask for. args: constants as they are, the symbol ? for what is not known; NULL: nothing is known.
 * cap NULL: a capability that is computed or not known here. */
struct mv_touch;
void mv_capability_touch(const struct mv_capability_table *t, const struct mv_capability *cap,
                         const struct mv_value *args, struct mv_touch *ret);
/* Are all arguments constants? */
bool mv_arguments_known(const struct mv_value *args);

/* --- what a capability implementation gets to see of its execution (broker implements) -------- */
struct mv_room {              /* of a budget */
        uint64_t max, needed; /* needed: the least max that would have let this through */
        const char *policy;   /* what happens at the max */
};
struct mv_file_table;         /* open handles of one execution, capability/handle.c */
struct mv_draw {              /* of a random number */
        struct mv_slice name; /* another name, another number */
        uint64_t attempt;
        bool fixed; /* from the program and the name alone */
};
#define MV_SEED_TEXT_BYTES 65 /* a digest as hexadecimal digits */
struct mv_call_host {         /* services of the broker to built-in capabilities */
        void *ctx;
        /* false: output limit reached */
        bool (*write_output)(void *ctx, bool to_stderr, struct mv_slice bytes);
        void (*note_file)(void *ctx, struct mv_slice path, const char *operation, uint64_t bytes);
        void (*note_network)(void *ctx, struct mv_slice url, const char *method, int status,
                             uint64_t sent, uint64_t received);
        /* Deny from inside (a redirect, an address): records the decision and turns the call into a SecurityViolation.
         * Returns negative: pass it on. */
        int (*deny)(void *ctx, const struct mv_decision *d);
        /* Record a decision made inside that allowed (a redirect's host), durable on return.
         * Negative: pass it on. */
        int (*allow)(void *ctx, const struct mv_decision *d);
        /* false: that much is not in the budget any more; NULL: there is none. untouched: the call has had no effect yet */
        bool (*spend)(void *ctx, enum mv_spending what, uint64_t amount, bool untouched,
                      struct mv_room *ret);
        /* A number that comes from the execution's seed. false: it has none; NULL: there is no execution */
        bool (*draw)(void *ctx, const struct mv_draw *d, uint64_t *ret);
        /* The seed of an execution that this call starts, NUL-terminated; false, NULL: as draw */
        bool (*seed)(void *ctx, char ret[MV_SEED_TEXT_BYTES]);
};
struct mv_call {
        const struct mv_capability *capability;
        const struct mv_context *context;
        const struct mv_context
                *whole; /* the execution's; context is what this capability sees of it */
        struct mv_call_host host;
        /* made on first use, freed by the broker with mv_file_table_free */
        struct mv_file_table **files;
        struct mv_arena *arena;         /* reply memory */
        const struct mv_value *exposed; /* of the program's context; NULL: nothing */
        struct mv_limits limits;        /* of the execution, defaults filled in */
        uint64_t deadline_ns;           /* CLOCK_MONOTONIC; 0: none */
        /* of the execution: what a call starts may not be behind less */
        enum mv_tier tier_min;
        volatile int *cancel; /* may be NULL */
        /* what clocks say inside a step that demands determinism, since 1970; 0: the real time */
        uint64_t fixed_clock_ms;
        union { /* filled by mv_call_fail */
                struct mv_fault fault;
                struct {
                        char fault_kind[48];
                        char fault_message[512];
                };
        };
};
struct mv_file_table *mv_file_table_free(struct mv_file_table *t); /* closes every handle */

#endif
