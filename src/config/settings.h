/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_CONFIG_SETTINGS_H
#define MV_CONFIG_SETTINGS_H
/* A settings file: what an administrator lets programs do on this machine (REQ-CFG).
 *
 * (1) Whatever is read later may only narrow: file < environment < capability < flags (REQ-CFG-09). What would widen is
 *     refused with the line that would have to grant it, never cut down in silence.
 * (2) A policy that cannot be kept at the file's level (Full, DenyList) is refused when the file is read.
 * (3) Every grant remembers its line, so that a decision can name it. */
#include <config/agent.h>
#include <config/diagnostics.h>
#include <microvm/context.h>
#include <policy/cover.h>

struct mv_grants_section {
        struct mv_head at;
        struct mv_item capabilities, read, write, hosts, deny_hosts, env, effects, deny_effects;
};
struct mv_network_policy { /* a word (Denied, Full), or one of the lists */
        struct mv_head at;
        struct mv_item allow_list, deny_list, word;
};
struct mv_fs_policy { /* a word (None, Full), or one of the lists */
        struct mv_head at;
        struct mv_item read_only, read_write, word;
};
struct mv_exec_config {
        struct mv_head at;
        struct mv_item timeout, memory_limit_mb, cpu_limit, fuel, max_output_kb, env_vars;
        struct mv_network_policy network_policy;
        struct mv_fs_policy fs_policy;
};
struct mv_settings_governance {
        struct mv_head at;
        struct mv_sections rules; /* struct mv_rule_section */
        struct mv_budgets budgets;
};
struct mv_tls_section {
        struct mv_head at;
        struct mv_item pins, mtls, client_cert, client_key, ca;
};
struct mv_environment {
        struct mv_head at;
        struct mv_item default_provider, min_tier;
        struct mv_grants_section grants;
        struct mv_exec_config default_config;
        struct mv_settings_governance governance;
};
struct mv_settings {
        struct mv_head at;
        struct mv_item default_provider, min_tier, level, environment;
        struct mv_grants_section grants;
        struct mv_exec_config default_config;
        struct mv_settings_governance governance;
        struct mv_tls_section tls;
        struct mv_sections capability_configs; /* struct mv_exec_config */
        struct mv_sections environments;       /* struct mv_environment */
        struct mv_item provider_configs;
};
extern const struct mv_section mv__settings_schema;

struct mv_origin { /* where a grant of the file stands, or a rule: its id is the text */
        enum mv_grant_kind kind;
        const char *file;
        const char *text; /* as it was written */
        const char *path; /* "grants.hosts[2]" */
        uint32_t line, column;
};
struct mv_origins { /* in the arena of their file */
        struct mv_origin *items;
        uint32_t count, cap;
};
/* Texts are copied into the arena, but for the name of the file. */
int mv__origin_add(struct mv_arena *a, struct mv_origins *to, const struct mv_origin *o,
                   struct mv_err *err);
/* The last one of this kind with this text, or NULL. */
const struct mv_origin *mv__origin_find(const struct mv_origins *l, enum mv_grant_kind kind,
                                        const char *text);
struct mv_settings_file { /* stays where it was made: diagnostics point to the arena */
        struct mv_arena arena;
        const char *name; /* for messages; the caller keeps it */
        struct mv_settings settings;
        struct mv_diagnostics diagnostics;
        bool valid;
        char digest[72]; /* of the file that was loaded: "sha256:..." */
        struct mv_origins origins;
};
/* TOML. 0: *ret says what is in it and what is wrong with it. */
int mv_settings_parse(struct mv_slice text, const char *name, struct mv_settings_file *ret,
                      struct mv_err *err);
int mv_settings_load(const char *path, struct mv_settings_file *ret, struct mv_err *err);
void mv_settings_done(struct mv_settings_file *f);

/* What a valid file says for one environment. */
struct mv_policy_settings {
        struct mv_context *context; /* mv_policy_settings_done frees it */
        const char *provider;       /* NULL: none is named */
        enum mv_tier tier_min;
        bool has_tier_min;
        const char *environment; /* its name, "" for none */
};
/* environment NULL: the file's own, or none. dev, prod and test are short for the built-in names. INVALID for another
 * one; DENIED when the environment would widen the file. */
int mv_settings_resolve(struct mv_settings_file *f, const char *environment,
                        struct mv_policy_settings *ret, struct mv_err *err);
void mv_policy_settings_done(struct mv_policy_settings *p);
/* The configuration of a provider as JSON, malloc'ed; NULL: the file has none for it. index
 * counts them all. */
char *mv_settings_provider(const struct mv_settings_file *f, uint32_t index,
                           struct mv_slice *ret_name);
/* The line that grants, or the section that would: never NULL for a loaded file. */
const struct mv_origin *mv_settings_origin(const struct mv_settings_file *f,
                                           enum mv_grant_kind kind, const char *text);
const char *mv_grant_section_name(enum mv_grant_kind kind); /* "grants.capabilities" */
/* What is asked for within a file: options, or a request. */
struct mv_wishes {
        bool has_level;
        enum mv_level level;
        struct mv_limits limits; /* 0: not asked for */
        const char *
                names[MV_GRANT_KINDS]; /* how each kind is asked for, for messages: "--allow-net" */
        const char *const *items[MV_GRANT_KINDS]; /* paths are absolute */
        uint32_t counts[MV_GRANT_KINDS];
};
/* The context for these wishes; the caller frees it. DENIED: one of them would widen the file. */
int mv_policy_choose(const struct mv_settings_file *f, const struct mv_policy_settings *p,
                     const struct mv_wishes *w, struct mv_context **ret, struct mv_err *err);

/* --- whatever gives, whoever asks (choose.c) -------------------------------------------------- */
/* Who gives, for messages: "<name> does not grant it; add it to <sections[kind]> there". */
struct mv_giver {
        const char *name;
        const char *sections[MV_GRANT_KINDS];
        const char *limits; /* where a limit would be raised */
};
/* mv_policy_choose for any giver. */
int mv_context_choose(const struct mv_giver *giver, const struct mv_context *within,
                      const struct mv_wishes *w, struct mv_context **ret, struct mv_err *err);
/* Makes c fit into `most`: a grant that is not covered is refused (DENIED, named by its origin), limits and the contexts
 * of single capabilities are lowered. */
int mv_context_fit(struct mv_context *c, const struct mv_context *most,
                   const struct mv_giver *giver, const struct mv_origins *origins,
                   struct mv_err *err);
/* The same with a settings file for giver. */
int mv_settings_fit(const struct mv_settings_file *f, const struct mv_policy_settings *p,
                    struct mv_context *c, const struct mv_origins *origins, struct mv_err *err);

#endif
