/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_HOST_H
#define MV_HOST_H
/* Inside the library's front: one host owns a capability table, an audit store and the provider
 * entries.
 *
 * (1) A provider entry is initialised once, on first use or explicitly, and is used by any
 *     number of executions at once; cleaning it up waits for those in progress and refuses new
 *     ones.
 * (2) A kept cell was reset completely by its provider after its last use and serves only
 *     executions with the memory limit it was opened with. A cell that did not end by itself, in
 *     order, is closed, never kept. */
#include <audit/audit.h>
#include <base/arena.h>
#include <base/limits.h>
#include <capability/table.h>
#include <microvm/execute.h>
#include <microvm/session.h>
#include <pthread.h>
#include <stdatomic.h>
#include <security/security.h>

/* More third-party providers than anybody registers by hand; keeps the entries in one fixed
 * array so that a pointer to one stays valid while executions run. */
#define MV_HOST_PROVIDERS_MAX 32
#define MV_HOST_POOL_DEFAULT  2
#define MV_HOST_POOL_MAX      64

struct sandbox;
struct mv_effects;
struct mv__kept {
        struct mv_cell *cell;
        uint64_t memory_bytes_max;
};

enum mv__entry_state { MV_ENTRY_UNTOUCHED, MV_ENTRY_READY, MV_ENTRY_CLEANED };
struct mv__entry {
        const struct mv_provider_ops *ops;
        pthread_mutex_t lock; /* everything below */
        pthread_cond_t idle;
        enum mv__entry_state state;
        struct mv_provider *provider;
        uint32_t users; /* executions in progress */
        struct mv__kept kept[MV_HOST_POOL_MAX];
        uint32_t kept_count;
        bool detailed; /* mock_mode of the mock provider's configuration, REQ-MOCK-07 */
};

/* The encoding of the context used last, when it fits, and its digest. */
struct mv__context_seen {
        pthread_mutex_t lock;
        size_t len;
        uint8_t bytes[2048];
        uint8_t digest[MV_DIGEST_BYTES];
};

struct mv_host {
        struct mv_capability_table *table;
        struct mv_audit *audit;
        struct mv_effects *effects;
        uint8_t id_seed
                [MV_DIGEST_BYTES]; /* random: execution ids are made of it and of a counter */
        _Atomic uint64_t ids;
        struct mv__context_seen context_seen;
        uint32_t pool_cells; /* 0: nothing is kept */
        struct mv__entry entries[MV_HOST_PROVIDERS_MAX];
        uint32_t entries_count;
        struct sandbox *sandboxes; /* contexts of the ccos.sandbox capabilities */
        const char *selected;      /* for executions that name no provider; NULL: the strongest */
};

/* --- providers (factory.c) -------------------------------------------------------------------- */
int mv__entry_probe(const struct mv__entry *e,
                    struct mv_err *err); /* 0: err->msg may say what backs it */
int mv__entry_use(struct mv__entry *e,
                  struct mv_err *err); /* counts a user; initialises on first use */
void mv__entry_release(struct mv__entry *e);
void mv__entry_done(struct mv__entry *e);
/* REQ-FACT-05..07: the one asked for by name, or the strongest available one that runs this kind
 * of program; never below tier_min. Does not initialise. */
int mv__choose(struct mv_host *h, const struct mv_execution *x, const struct mv_limits *limits,
               struct mv__entry **ret, struct mv_err *err);

/* For a step that needs a wall of this tier: the weakest one that is strong enough; those on request come last. */
int mv__choose_step(struct mv_host *h, const struct mv_execution *x, enum mv_tier tier,
                    const struct mv_limits *limits, struct mv__entry **ret, struct mv_err *err);

/* --- kept cells (pool.c); the caller counts as a user of the entry ---------------------------- */
int mv__cell_take(struct mv__entry *e, const struct mv_cell_spec *spec, struct mv_cell **ret,
                  struct mv_err *err);
/* Reset and keep, or close. in_order: the guest ended its run itself, nothing was odd about it. */
void mv__cell_give(struct mv__entry *e, struct mv_cell *cell, uint64_t memory_bytes_max,
                   bool in_order, uint32_t keep_max);

/* --- configuration (schema.c) ----------------------------------------------------------------- */
/* Check a configuration against a JSON Schema (type, properties, required, additionalProperties,
 * enum, minimum, maximum, items). INVALID names the path and the rule. */
int mv__schema_check(const struct mv_value *schema, const struct mv_value *config,
                     struct mv_err *err);

#define MV__BEHALF_CONFIGS_MAX 16 /* files on record for one execution */

/* --- programs (program.c) --------------------------------------------------------------------- */
enum mv_program_class mv__program_class(enum mv_program_kind kind);
/* The file of the context's client key, if it names one: nobody else's, and not the program's. DENIED. */
int mv__client_key_check(const struct mv_context *c, struct mv_err *err);
/* The constitution about a program that makes no calls; what needs an approval is denied: nobody can be asked. */
int mv__program_rules(const struct mv_context *c, const struct mv_program *p, struct mv_decision *d,
                      struct mv_err *err);
bool mv__program_is_rtfs(enum mv_program_kind kind);
bool mv__is_bytecode(struct mv_slice bytes);            /* by its first bytes */
bool mv__program_is_foreign(enum mv_program_kind kind); /* external programs and scripts */
const char *mv__program_kind_name(enum mv_program_kind kind);
const char *mv__purpose_name(enum mv_purpose purpose);
int mv__execution_check(const struct mv_execution *x,
                        struct mv_err *err); /* the request is well formed */

/* --- results (result.c) ----------------------------------------------------------------------- */
struct mv_result {
        struct mv_arena arena; /* owns everything below that points */
        bool ok;
        enum mv_termination termination;
        const struct mv_value *value;
        struct mv_slice compiled; /* of MV_PURPOSE_COMPILE and _PARSE */
        struct mv_program_error error;
        struct mv_metadata metadata;
        char execution_id[64];
        char provider[32]; /* "": denied before one was chosen */
        enum mv_tier tier;
        struct mv_slice stdout_bytes, stderr_bytes;
        uint8_t root[MV_DIGEST_BYTES];
        uint32_t records;
        const struct mv_output_file *outputs;
        uint32_t outputs_count, outputs_skipped;
};
struct mv_result *mv__result_new(void); /* NULL: out of memory */
const char *mv__result_text(struct mv_result *r,
                            const char *s); /* copy; "" for NULL or when memory is short */
/* Fill r as a denial. */
void mv__result_deny(struct mv_result *r, const struct mv_decision *d);

/* --- scripts as capabilities (sandbox.c) ------------------------------------------------------ */
int mv__sandbox_register(struct mv_host *h, struct mv_err *err);
int mv__microvm_call_register(struct mv_host *h, struct mv_err *err); /* microvm_call.c */

/* --- replay (replay.c) ------------------------------------------------------------------------ */
struct mv__replay {
        bool same; /* the root was reached again */
        uint8_t recorded[MV_DIGEST_BYTES], reached[MV_DIGEST_BYTES];
        uint32_t records;
        char why[240];     /* first difference; "" when same */
        char outcome[160]; /* the value's display form or the error */
};
/* Run an execution again from its record alone: calls are answered from the record, nothing has
 * an effect. provider NULL: the one that ran it, when available here, else mock. NOT_FOUND,
 * UNSUPPORTED (native), CORRUPT. */
int mv_host_replay(struct mv_host *h, const char *audit_path, const char *execution_id,
                   const char *provider, struct mv__replay *ret, struct mv_err *err);

#endif
