/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_CAPABILITY_TABLE_H
#define MV_CAPABILITY_TABLE_H
/* The capabilities that exist on this host: built-in families plus what an embedder registers. Sorted by id. */
#include <base/err.h>
#include <base/slice.h>
#include <microvm/capability.h>

struct mv_capability_table;
int mv_capability_table_new(struct mv_capability_table **ret, struct mv_err *err); /* with the built-in families */
struct mv_capability_table *mv_capability_table_free(struct mv_capability_table *t);
/* Copies the descriptor (strings too). EXISTS when the id is taken; built-in ids cannot be replaced. */
int mv_capability_table_add(struct mv_capability_table *t, const struct mv_capability *c, struct mv_err *err);
/* Canonical id of a text: exact, or by the alias table (":math.add" -> "ccos.math.add", X-50). NULL: unknown. The id with a
 * leading colon is accepted too. */
const struct mv_capability *mv_capability_find(const struct mv_capability_table *t, struct mv_slice id);
uint32_t mv_capability_count(const struct mv_capability_table *t);
const struct mv_capability *mv_capability_at(const struct mv_capability_table *t, uint32_t i);
/* Nearest known id by edit distance, or NULL: "did you mean". */
const char *mv_capability_nearest(const struct mv_capability_table *t, struct mv_slice id);

/* --- what a capability implementation gets to see of its execution (broker implements) ---------------------------- */
struct mv_file_table;  /* open handles of one execution, capability/io.c */
struct mv_call_host {  /* services of the broker to built-in capabilities */
        void *ctx;
        bool (*write_output)(void *ctx, bool to_stderr, struct mv_slice bytes); /* false: output limit reached */
        void (*note_file)(void *ctx, struct mv_slice path, const char *operation, uint64_t bytes);
        void (*note_network)(void *ctx, struct mv_slice url, const char *method, int status, uint64_t sent, uint64_t received);
        /* Deny from inside (a redirect, an address): records the decision and turns the call into a SecurityViolation. */
        int (*deny)(void *ctx, const struct mv_decision *d);
};
struct mv_context;
struct mv_decision;
struct mv_call {
        const struct mv_capability *capability;
        const struct mv_context *context;
        struct mv_call_host host;
        struct mv_file_table **files;   /* made on first use, freed by the broker with mv_file_table_free */
        struct mv_arena *arena;         /* reply memory */
        uint64_t deadline_ns;           /* CLOCK_MONOTONIC; 0: none */
        volatile int *cancel;
        /* Filled by mv_call_fail. */
        char fault_kind[48];
        char fault_message[512];
};
struct mv_file_table *mv_file_table_free(struct mv_file_table *t); /* closes every handle */

#endif
