/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MICROVM_EXECUTE_H
#define MICROVM_EXECUTE_H
/* Running programs.
 *
 *   struct mv_host *host;  struct mv_result *result;  struct mv_err err;
 *   mv_host_new(NULL, &host, &err);
 *   struct mv_context *may = mv_context_new(MV_LEVEL_CONTROLLED);
 *   struct mv_execution run = { .program = mv_program_source("(+ 1 2)"), .context = may };
 *   if (mv_execute(host, &run, &result, &err) == 0 && mv_result_ok(result)) ...
 *
 * Two kinds of failure: mv_execute returns negative when nothing ran (bad request, refused tier, provider missing, audit
 * sink full); a program that ran and failed is a result with ok == false.
 * Threads:   a host is configured on one thread (add_capability, add_provider), then mv_execute from any number at once.
 * Ownership: the caller frees results and the host; a result outlives nothing but itself (it holds copies). */
#include <microvm/audit.h>
#include <microvm/capability.h>
#include <microvm/context.h>
#include <microvm/provider.h>
#include <microvm/value.h>

struct mv_host;
struct mv_host_options {
        const char *audit_path; /* file to append to; NULL: audit records are kept in memory */
        /* Ed25519 key, made with mode 0600 on first use; NULL: beside audit_path, or ephemeral */
        const char *key_path;
        bool audit_no_sync;  /* do not wait for the disk; recorded in the store */
        uint32_t pool_cells; /* kept cells per provider that can reset; 0: 2; at most 64 */
        bool pool_disabled;  /* keep none: every execution gets a cell nobody used before */
};
int mv_host_new(const struct mv_host_options *o, struct mv_host **ret, struct mv_err *err);
struct mv_host *mv_host_free(struct mv_host *h);
int mv_host_add_capability(struct mv_host *h, const struct mv_capability *c, struct mv_err *err);

/* Providers (REQ-FACT). Listed in registration order: mock process wasm gvisor kvm firecracker landlock, then added ones;
 * the same name replaces. Unavailable ones stay listed, with the reason. */
struct mv_provider_info {
        const char *name, *title;
        enum mv_tier tier;
        uint64_t features;
        bool available, initialized;
        char reason[240]; /* why not available, or what backs it ("kvm_pvm") */
};
int mv_host_add_provider(struct mv_host *h, const struct mv_provider_ops *ops, struct mv_err *err);
uint32_t mv_host_provider_count(const struct mv_host *h);
int mv_host_provider_info(struct mv_host *h, uint32_t index, struct mv_provider_info *ret,
                          struct mv_err *err);
/* NOT_FOUND: "Provider 'x' not found" */
int mv_host_provider_find(struct mv_host *h, const char *name, uint32_t *ret_index);
/* Explicit life cycle; mv_execute initialises on first use unless the provider was cleaned up explicitly (then:
 * STATE "<Title> provider not initialized", REQ-PRV-04). Both are harmless when repeated. config: JSON text or NULL. */
int mv_host_provider_init(struct mv_host *h, const char *name, const char *config_json,
                          struct mv_err *err);
int mv_host_provider_cleanup(struct mv_host *h, const char *name, struct mv_err *err);
/* The provider for executions that name none: initialises it and remembers it. INVALID with the list of available ones when
 * it is unknown or unavailable (REQ-CAP-02). Nothing selected (NULL): the strongest available one is taken. */
int mv_host_select_provider(struct mv_host *h, const char *name, struct mv_err *err);
const char *mv_host_selected_provider(const struct mv_host *h);
/* JSON Schema; NULL: unknown provider */
const char *mv_host_provider_schema(struct mv_host *h, const char *name);

enum mv_program_kind {
        MV_PROGRAM_SOURCE,   /* RTFS text */
        MV_PROGRAM_BYTECODE, /* compiled RTFS, verified before it runs */
        MV_PROGRAM_AST,      /* CBOR of forms: docs/formats/ast.md, microvm/ast.h */
        MV_PROGRAM_NATIVE,   /* a function of the embedder: no isolation, needs "native_function" */
        MV_PROGRAM_EXTERNAL, /* path and arguments: needs "external_program" */
        MV_PROGRAM_SCRIPT,
        MV_PROGRAM_BINARY,
        MV_PROGRAM_NONE, /* a capability without a program: capability_id and args */
        MV_PROGRAM_MAX_
};
/* A native function: same contract as a capability's call(). */
typedef int (*mv_native_fn)(struct mv_call *call, const struct mv_value *args, uint32_t args_count,
                            struct mv_value *ret);
struct mv_program {
        enum mv_program_kind kind;
        struct mv_slice bytes; /* SOURCE, BYTECODE, AST, SCRIPT, BINARY */
        const char *name;      /* file name for messages, or NULL */
        const char *language;  /* SCRIPT, BINARY */
        mv_native_fn native;
        void *native_ctx;
        const char *path;        /* EXTERNAL */
        const char *const *argv; /* EXTERNAL: arguments after the path, NULL-terminated */
};
struct mv_program mv_program_source(const char *text);
/* REQ-PROG-06 texts. Writes at most cap bytes, NUL-terminated. */
void mv_program_description(const struct mv_program *p, char *buf, size_t cap);
bool mv_program_is_network_operation(const struct mv_program *p); /* hints only, REQ-PROG-07, -08 */
bool mv_program_is_file_operation(const struct mv_program *p);

/* What is wanted of an RTFS program. All three happen behind the wall: reading and compiling are work on hostile bytes
 * as well, and macros run meanwhile. */
enum mv_purpose {
        MV_PURPOSE_RUN,
        MV_PURPOSE_COMPILE, /* SOURCE and AST to bytecode: mv_result_compiled. Nothing runs but macros */
        MV_PURPOSE_PARSE, /* SOURCE to AST: mv_result_compiled. Nothing runs */
        /* What it can ask of the host, by walking its compiled form; nothing runs but macros. The value is a map:
         * "calls": [[id via line column] ...], id nil: computed at run time, via: the prelude's name that calls, or nil;
         * "steps": its functions and steps and what they can enter (src/rtfs/rtfs.h, mv_rtfs_encode_regions);
         * "declared": [[line column effects] ...] of `^{:effects ..}` in a SOURCE or an AST. No call is missing: one whose
         * id cannot be told is there as computed. */
        MV_PURPOSE_INSPECT,
        MV_PURPOSE_MAX_
};

/* On whose behalf: stands in the first record of an execution, beside the uid of this process, and no root depends on it
 * (REQ-SEC-19, -20). NULL: not said. Texts are UTF-8 of at most 255 bytes. */
#define MV_BEHALF_TEXT_MAX 255
struct mv_config_digest {
        const char *name, *digest; /* of a file that decides: "agent.config.rtfs", "sha256:..." */
};
struct mv_behalf {
        const char *agent, *tenant, *user;
        const struct mv_config_digest *configs; /* at most 16 */
        uint32_t configs_count;
};

struct mv_execution {
        struct mv_program program;
        enum mv_purpose purpose;
        const struct mv_context *context; /* NULL: pure */
        const struct mv_behalf *behalf;   /* NULL: nobody is named */
        /* NULL or "auto": the strongest available one of at least tier_min; of tier landlock only when tier_min is that very
         * tier. A name, or what is needed (REQ-FACT-05): "development" is mock, "light" process, "portable" wasm, "container"
         * gvisor, "high-security" the best of tier vm */
        const char *provider;
        enum mv_tier tier_min;
        const struct mv_value *args;    /* VECTOR or NULL: the program's `args` */
        const char *capability_id;      /* NULL: none */
        const char *const *permissions; /* of the token; NULL: derived by the authoriser */
        uint32_t permissions_count;
        struct mv_limits limits; /* only lower what the context gives */
        /* MAP or NULL: host context values by name (`@name`, context/get); keys are strings */
        const struct mv_value *variables;
        /* What a program or script writes, as it comes (captured all the same); on the thread of
         * mv_execute. May be NULL. */
        void (*on_output)(void *ctx, bool to_stderr, struct mv_slice bytes);
        void *on_output_ctx;
        /* What a program or script finds on its standard input is read from input_fd as it takes it, at most 1 GiB, and handed on
         * through a pipe: the descriptor itself never reaches it. Not a terminal. Without: it reads nothing. */
        bool input;
        int input_fd;
        /* keep what a program leaves in /workspace/output: mv_result_output */
        bool collect_output;
        bool prelude; /* install the CCOS prelude names (println, log, ...) */
        /* What ccos.random.int draws come from: the same seed and program draw the same. At most 256 bytes; recorded. NULL: from the
         * kernel, but in steps that demand determinism. */
        const char *seed;
        /* set non-zero from any thread to kill the execution; may be NULL */
        volatile int *cancel;
};

struct mv_network_request {
        const char *url, *method;
        int status;
        uint64_t sent_bytes, received_bytes;
};
struct mv_file_operation {
        const char *path, *operation;
        uint64_t bytes;
};
struct mv_budget_warning { /* once of each kind of spending */
        enum mv_spending what;
        uint64_t warn, spent; /* the threshold, and what was spent when it was reached */
        uint32_t call;        /* in this call */
};
struct mv_budget_overrun { /* of each kind whose end does not stop (MV_EXHAUSTED_GO_ON) */
        enum mv_spending what;
        uint64_t max, spent; /* spent: in all */
};
struct mv_metadata { /* REQ-META: measured, never clamped */
        uint64_t duration_ns, cpu_ns, memory_peak_bytes, calls, denials, fuel;
        uint64_t open_ns, run_ns, close_ns;
        uint64_t started_ms, ended_ms; /* wall clock */
        bool simulated;
        /* calls of a failed program that were undone, and that could not be */
        uint32_t compensations, compensations_failed;
        struct mv_budget_warning budget_warnings[MV_SPEND_MAX_];
        struct mv_budget_overrun budget_overruns[MV_SPEND_MAX_];
        uint32_t budget_warnings_count, budget_overruns_count;
        int exit_code, signal;
        const struct mv_network_request *network;
        uint32_t network_count;
        const struct mv_file_operation *files;
        uint32_t files_count;
};
struct mv_program_error {
        /* never NULL; "" when it does not apply */
        const char *kind, *message, *operation, *capability, *context, *hint;
        uint32_t line, column; /* 0: unknown */
};

struct mv_result;
/* Run one program, or one capability, to its end. 0: *ret is how it ended, also when it failed or was denied. Negative:
 * nothing ran that could be vouched for; err says what was asked, which rule refused it and what would allow it.
 * Blocks until the end: the deadline kills without the program's cooperation. */
int mv_execute(struct mv_host *h, const struct mv_execution *x, struct mv_result **ret,
               struct mv_err *err);
struct mv_result *mv_result_free(struct mv_result *r); /* accepts NULL, returns NULL */
/* Everything below reads a result and lives as long as it. */
bool mv_result_ok(const struct mv_result *r);
const struct mv_value *mv_result_value(const struct mv_result *r);         /* NULL unless ok */
const struct mv_program_error *mv_result_error(const struct mv_result *r); /* NULL when ok */
/* Of MV_PURPOSE_COMPILE and _PARSE: the bytes of a program of kind MV_PROGRAM_BYTECODE, or _AST; else empty. Their value is
 * the same as base64 text. */
struct mv_slice mv_result_compiled(const struct mv_result *r);
enum mv_termination mv_result_termination(const struct mv_result *r);
const struct mv_metadata *mv_result_metadata(const struct mv_result *r);
const char *mv_result_execution_id(const struct mv_result *r);
const char *mv_result_provider(const struct mv_result *r);
enum mv_tier mv_result_tier(const struct mv_result *r);
struct mv_slice mv_result_stdout(const struct mv_result *r);
struct mv_slice mv_result_stderr(const struct mv_result *r);
/* Files a program left in /workspace/output, with collect_output: at most 256, 10 MiB each, 64 MiB together. skipped: how many
 * entries were too many, too large, or no regular files; may be NULL. */
struct mv_output_file {
        const char *path;
        struct mv_slice bytes;
}; /* relative, NUL-terminated */
uint32_t mv_result_output_count(const struct mv_result *r, uint32_t *ret_skipped);
/* NULL: past the end */
const struct mv_output_file *mv_result_output(const struct mv_result *r, uint32_t index);
const uint8_t *mv_result_root(const struct mv_result *r); /* 32 bytes: the semantic Merkle root */
uint32_t mv_result_records(const struct mv_result *r);
/* The whole result as one JSON object, the shape of `microvm run --json`; malloc'ed. */
char *mv_result_json(const struct mv_result *r);

/* Decide only (REQ-AUTH-16): would this execution, or this capability call inside it, be
 * allowed? Runs nothing. */
struct mv_explanation {
        bool allowed;
        char rule[96], text[512], hint[192], permissions[8][160];
        uint32_t permissions_count;
};
int mv_explain_call(struct mv_host *h, const struct mv_context *c, const char *capability,
                    const struct mv_value *args, struct mv_explanation *ret,
                    struct mv_err *err); /* args: VECTOR or NULL */
int mv_explain(struct mv_host *h, const struct mv_execution *x, struct mv_explanation *ret,
               struct mv_err *err);

#endif
