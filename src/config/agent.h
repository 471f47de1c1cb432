/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_CONFIG_AGENT_H
#define MV_CONFIG_AGENT_H
/* agent.config as a struct (REQ-AC-20..49). agent_schema.c has the row of every member; here
 * they stand in its order. */
#include <config/schema.h>

struct mv_mount {
        struct mv_head at;
        struct mv_item mode, source, target, size_mb;
};
struct mv_isolation_fs {
        struct mv_head at;
        struct mv_item ephemeral;
        struct mv_sections mounts; /* struct mv_mount */
};
struct mv_isolation {
        struct mv_head at;
        struct mv_item mode;
        struct mv_isolation_fs fs;
};
struct mv_dlp {
        struct mv_head at;
        struct mv_item enabled, policy;
};
struct mv_orchestrator {
        struct mv_head at;
        struct mv_isolation isolation;
        struct mv_dlp dlp;
};
struct mv_egress {
        struct mv_head at;
        struct mv_item via, allow_domains, mtls, tls_pins, client_cert, client_key, ca;
};
struct mv_network {
        struct mv_head at;
        struct mv_item enabled;
        struct mv_egress egress;
};
struct mv_kernel {
        struct mv_head at;
        struct mv_item image, cmdline;
};
struct mv_bucket {
        struct mv_head at;
        struct mv_item size, one_time_burst, refill_ms;
};
struct mv_rate_limit { /* either part may be absent */
        struct mv_head at;
        struct mv_bucket bandwidth, ops;
};
struct mv_rootfs {
        struct mv_head at;
        struct mv_item image, ro;
        struct mv_rate_limit rate_limit;
};
struct mv_resources {
        struct mv_head at;
        struct mv_item vcpus, mem_mb;
};
struct mv_nic {
        struct mv_head at;
        struct mv_item enabled, proxy_ns;
        struct mv_rate_limit rx_rate_limit, tx_rate_limit;
};
struct mv_vsock {
        struct mv_head at;
        struct mv_item enabled, cid;
};
struct mv_devices {
        struct mv_head at;
        struct mv_nic nic;
        struct mv_vsock vsock;
};
struct mv_attestation {
        struct mv_head at;
        struct mv_item enabled, expect_rootfs_hash, expect_kernel_hash, expect_agent_hash;
};
struct mv_microvm { /* at.given: the section is there, and its rules apply */
        struct mv_head at;
        struct mv_kernel kernel;
        struct mv_rootfs rootfs;
        struct mv_resources resources;
        struct mv_devices devices;
        struct mv_attestation attestation;
};
struct mv_http_egress {
        struct mv_head at;
        struct mv_item allow_domains, mtls;
};
struct mv_http {
        struct mv_head at;
        struct mv_item enabled;
        struct mv_http_egress egress;
};
struct mv_fs {
        struct mv_head at;
        struct mv_item enabled, paths;
};
struct mv_llm {
        struct mv_head at;
        struct mv_item enabled, models;
};
struct mv_wire_resources {
        struct mv_head at;
        struct mv_item max_time_ms;
};
struct mv_wire_runtime {
        struct mv_head at;
        struct mv_item sandbox;
};
struct mv_wire { /* one capability wired to its contract (REQ-AC-49) */
        struct mv_head at;
        struct mv_item capability, contract, digest, enabled, effects;
        struct mv_wire_resources resources;
        struct mv_wire_runtime runtime;
};
struct mv_capabilities {
        struct mv_head at;
        struct mv_http http;
        struct mv_fs fs;
        struct mv_llm llm;
        struct mv_sections wiring; /* struct mv_wire */
};
struct mv_budget_amounts { /* of each kind */
        struct mv_head at;
        struct mv_item cost_usd, tokens, calls, steps, time, egress_bytes, written_bytes;
};
struct mv_budget_exhausted { /* a word for each kind, and what approvals need */
        struct mv_head at;
        struct mv_item cost_usd, tokens, calls, steps, time, egress_bytes, written_bytes, approvals,
                timeout;
};
struct mv_budgets { /* in settings files too */
        struct mv_head at;
        struct mv_item max_cost_usd, token_budget, max_calls, max_steps, max_time, max_egress_bytes,
                max_written_bytes;
        struct mv_budget_amounts warn, extension;
        struct mv_budget_exhausted on_exhausted;
};
struct mv_governance_policy {
        struct mv_head at;
        struct mv_item risk_tier, requires_approvals;
        struct mv_budgets budgets;
};
struct mv_keys {
        struct mv_head at;
        struct mv_item verify;
};
struct mv_rule_section { /* governance.h; in settings files too */
        struct mv_head at;
        struct mv_item id, action, capability, effects, risk_tier, argument, step, approvals,
                timeout;
};
struct mv_governance {
        struct mv_head at;
        struct mv_sections policies; /* struct mv_governance_policy */
        struct mv_sections rules;    /* struct mv_rule_section */
        struct mv_keys keys;
};
struct mv_chain_storage {
        struct mv_head at;
        struct mv_item mode, path, buffer_local;
};
struct mv_anchor {
        struct mv_head at;
        struct mv_item enabled;
};
struct mv_causal_chain {
        struct mv_head at;
        struct mv_chain_storage storage;
        struct mv_anchor anchor;
};
struct mv_marketplace {
        struct mv_head at;
        struct mv_item registry_paths, readonly;
};
struct mv_registered_agent {
        struct mv_head at;
        struct mv_item agent_id, name, capabilities, cost, trust_score, metadata;
};
struct mv_agent_registry {
        struct mv_head at;
        struct mv_item registry_type, database_url;
        struct mv_sections agents; /* struct mv_registered_agent */
};
struct mv_adaptive {
        struct mv_head at;
        struct mv_item enabled, base_threshold, min_threshold, max_threshold, success_rate_weight,
                historical_weight, decay_factor, min_samples, env_prefix;
};
struct mv_delegation {
        struct mv_head at;
        struct mv_item enabled, threshold, min_skill_hits, max_candidates, feedback_success_weight,
                feedback_decay, print_extracted_intent, print_extracted_plan;
        struct mv_agent_registry agent_registry;
        struct mv_adaptive adaptive_threshold;
};
struct mv_llm_profile {
        struct mv_head at;
        struct mv_item name, provider, model, base_url, api_key_env, temperature, max_tokens;
};
struct mv_llm_model {
        struct mv_head at;
        struct mv_item name, model, max_prompt_cost_per_1k, max_completion_cost_per_1k, quality,
                max_output_tokens, notes;
};
struct mv_llm_model_set {
        struct mv_head at;
        struct mv_item name, provider, base_url, api_key_env, fallback;
        struct mv_sections models; /* struct mv_llm_model */
};
struct mv_llm_profiles {
        struct mv_head at;
        struct mv_item fallback;       /* `default` */
        struct mv_sections profiles;   /* struct mv_llm_profile */
        struct mv_sections model_sets; /* struct mv_llm_model_set */
};
struct mv_discovery {
        struct mv_head at;
        struct mv_item match_threshold, use_embeddings, embedding_model, local_embedding_model,
                action_verb_threshold, action_verb_weight, capability_class_weight;
};
struct mv_catalog {
        struct mv_head at;
        struct mv_item plan_min_score, keyword_min_score;
};
struct mv_tool_selector {
        struct mv_head at;
        struct mv_item enabled, prompt_id, prompt_version, max_tools, max_description_chars;
};
struct mv_missing_capabilities {
        struct mv_head at;
        struct mv_item enabled, runtime_detection, auto_resolution, llm_synthesis, web_search,
                human_approval_required, verbose_logging, max_attempts;
        struct mv_tool_selector tool_selector;
};
struct mv_storage {
        struct mv_head at;
        struct mv_item capabilities_dir, discovered_subdir, generated_subdir,
                servers_approved_subdir, pending_synth_subdir, approvals_dir;
};
struct mv_self_programming {
        struct mv_head at;
        struct mv_item enabled, trust_level, max_synthesis_per_session, max_decomposition_depth,
                require_approval_for_registration, enable_versioning, auto_rollback_on_failure;
};
struct mv_sandbox {
        struct mv_head at;
        struct mv_item enabled, runtime, package_allowlist, images, network_enabled,
                package_cache_dir;
};
struct mv_agent_config {
        struct mv_head at;
        struct mv_item version, agent_id, profile, features;
        struct mv_orchestrator orchestrator;
        struct mv_network network;
        struct mv_microvm microvm;
        struct mv_capabilities capabilities;
        struct mv_governance governance;
        struct mv_causal_chain causal_chain;
        struct mv_marketplace marketplace;
        struct mv_delegation delegation;
        struct mv_llm_profiles llm_profiles;
        struct mv_discovery discovery;
        struct mv_catalog catalog;
        struct mv_missing_capabilities missing_capabilities;
        struct mv_storage storage;
        struct mv_self_programming self_programming;
        struct mv_sandbox sandbox;
};

#endif
