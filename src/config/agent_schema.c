/* SPDX-License-Identifier: Apache-2.0 */
/* The schema of agent.config: one row for each field (REQ-AC-20..49). A row is name, default, documentation, and then what
 * its type needs. Sections stand inside out, the whole at the end. */
#include <base/slice.h>
#include <config/governance.h>

#define SECTION(symbol, type, what_, doc_, ...)                                                    \
        static const struct mv_section symbol = { .what = what_,                                   \
                                                  .doc = doc_,                                     \
                                                  .size = sizeof(struct type),                     \
                                                  .fields = symbol##_fields,                       \
                                                  .count = sizeof symbol##_fields /                \
                                                           sizeof symbol##_fields[0],              \
                                                  __VA_ARGS__ }
#define ROW(name_, kind, struct_, member, fallback_, doc_, ...)                                    \
        {                                                                                          \
                .name = name_, .type = MV_F_##kind, .offset = offsetof(struct struct_, member),    \
                .fallback = fallback_, .doc = doc_, __VA_ARGS__                                    \
        }

/* The whole policies that a word stands for (REQ-AC-41). */
static bool policy_word(struct mv_slice word, void *ret_section)
{
        static const struct {
                const char *words, *risk_tier;
                int64_t approvals;
                double cost_usd, tokens;
        } rows[] = {
                { "allow|lenient", "low", 0, 1, 10000 },
                { "moderate", "medium", 1, 5, 50000 },
                { "strict|deny", "high", 2, 0, 0 },
        };
        struct mv_governance_policy *p = ret_section;
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                if (!mv__choice_has(rows[i].words, word))
                        continue;
                p->risk_tier.text = mv_slice_str(rows[i].risk_tier);
                p->requires_approvals.integer = rows[i].approvals;
                p->budgets.max_cost_usd.real = rows[i].cost_usd;
                p->budgets.token_budget.real = rows[i].tokens;
                p->risk_tier.given = p->requires_approvals.given = true;
                p->budgets.at.given = p->budgets.max_cost_usd.given =
                        p->budgets.token_budget.given = true;
                return true;
        }
        return false;
}

static const struct mv_field mount_fields[] = {
        ROW("mode", TEXT, mv_mount, mode, "ro", "`ro` or `rw`", .choices = "ro|rw",
            .code = "UNKNOWN_MOUNT_MODE"),
        ROW("source", TEXT, mv_mount, source, NULL, "directory on the host; relative to this file",
            .check = MV_CHECK_PATH, .code = "INVALID_PATH"),
        ROW("target", TEXT, mv_mount, target, NULL, "where the cell sees it",
            .check = MV_CHECK_ABSOLUTE, .code = "INVALID_PATH"),
        ROW("size-mb", INTEGER, mv_mount, size_mb, NULL, "size of a mount without a source",
            .min = 1, .max = 1048576, .code = "INVALID_MOUNT_SIZE"),
};
SECTION(mount, mv_mount, "mount", "What one mount of the cell is.");

static const struct mv_field isolation_fs_fields[] = {
        ROW("ephemeral", BOOL, mv_isolation_fs, ephemeral, "false",
            "nothing written survives the execution"),
        ROW("mounts", NAMED, mv_isolation_fs, mounts, NULL, "mounts by name", .section = &mount),
};
SECTION(isolation_fs, mv_isolation_fs, "fs", "The file system of the cell.");

static const struct mv_field isolation_fields[] = {
        ROW("mode", TEXT, mv_isolation, mode, "wasm", "the wall",
            .choices = "none|process|wasm|gvisor|container|microvm",
            .code = "UNKNOWN_ISOLATION_MODE"),
        ROW("fs", SECTION, mv_isolation, fs, NULL, "file system of the cell",
            .section = &isolation_fs),
};
SECTION(isolation, mv_isolation, "isolation", "How far the agent is kept from the machine.");

static const struct mv_field dlp_fields[] = {
        ROW("enabled", BOOL, mv_dlp, enabled, "false", "look for secrets in what leaves"),
        ROW("policy", TEXT, mv_dlp, policy, "lenient", "how strictly",
            .choices = "strict|moderate|lenient", .code = "UNKNOWN_DLP_POLICY"),
};
SECTION(dlp, mv_dlp, "dlp", "Data loss prevention.");

static const struct mv_field orchestrator_fields[] = {
        ROW("isolation", SECTION, mv_orchestrator, isolation, NULL, "the wall",
            .section = &isolation),
        ROW("dlp", SECTION, mv_orchestrator, dlp, NULL, "data loss prevention", .section = &dlp),
};
SECTION(orchestrator, mv_orchestrator, "orchestrator", "What holds the agent.");

static const struct mv_field egress_fields[] = {
        ROW("via", TEXT, mv_egress, via, "none", "how requests leave",
            .choices = "proxy|direct|none", .code = "UNKNOWN_EGRESS_METHOD"),
        ROW("allow-domains", TEXTS, mv_egress, allow_domains, "",
            "the only hosts that may be reached; `*.name` takes subdomains", .check = MV_CHECK_HOST,
            .code = "INVALID_DOMAIN"),
        ROW("mtls", BOOL, mv_egress, mtls, "false",
            "hosts are reached by https only, with a client certificate: this one, or the one of "
            "the settings"),
        ROW("tls-pins", TEXTS, mv_egress, tls_pins, "",
            "`sha256/<base64>` of the public keys that are accepted", .check = MV_CHECK_PIN,
            .code = "INVALID_TLS_PIN"),
        ROW("client-cert", TEXT, mv_egress, client_cert, NULL,
            "PEM file; relative to this file; shown to whoever asks when mtls is true",
            .check = MV_CHECK_PATH, .code = "INVALID_PATH"),
        ROW("client-key", TEXT, mv_egress, client_key, NULL,
            "its key: PEM file of mode 0600, where the agent may not read", .check = MV_CHECK_PATH,
            .code = "INVALID_PATH"),
        ROW("ca", TEXT, mv_egress, ca, NULL,
            "PEM file of the authorities that are trusted; absent: the system's",
            .check = MV_CHECK_PATH, .code = "INVALID_PATH"),
};
SECTION(egress, mv_egress, "egress", "The way out.");

static const struct mv_field network_fields[] = {
        ROW("enabled", BOOL, mv_network, enabled, "false", "there is one"),
        ROW("egress", SECTION, mv_network, egress, NULL, "the way out", .section = &egress),
};
SECTION(network, mv_network, "network", "The network of the agent.");

static const struct mv_field kernel_fields[] = {
        ROW("image", TEXT, mv_kernel, image, "", "file; relative to this file"),
        ROW("cmdline", TEXT, mv_kernel, cmdline, "", "command line"),
};
SECTION(kernel, mv_kernel, "kernel", "The guest kernel.");

static const struct mv_field bucket_fields[] = {
        ROW("size", INTEGER, mv_bucket, size, NULL, "tokens it holds", .min = 1,
            .max = 1125899906842624, .code = "INVALID_RATE_LIMIT"),
        ROW("one-time-burst", INTEGER, mv_bucket, one_time_burst, NULL, "extra tokens at the start",
            .min = 0, .max = 1125899906842624, .code = "INVALID_RATE_LIMIT"),
        ROW("refill-ms", INTEGER, mv_bucket, refill_ms, NULL, "time to fill it", .min = 1,
            .max = 86400000, .code = "INVALID_RATE_LIMIT"),
};
SECTION(bucket, mv_bucket, "token bucket",
        "A bucket of tokens: one is taken for a byte or an operation.");

static const struct mv_field rate_limit_fields[] = {
        ROW("bandwidth", SECTION, mv_rate_limit, bandwidth, NULL, "bytes", .optional = true,
            .section = &bucket),
        ROW("ops", SECTION, mv_rate_limit, ops, NULL, "operations", .optional = true,
            .section = &bucket),
};
SECTION(rate_limit, mv_rate_limit, "rate_limit",
        "How fast a device may be used; both buckets need a size and a time.");

static const struct mv_field rootfs_fields[] = {
        ROW("image", TEXT, mv_rootfs, image, "", "file; relative to this file"),
        ROW("ro", BOOL, mv_rootfs, ro, "true", "read-only"),
        ROW("rate-limit", SECTION, mv_rootfs, rate_limit, NULL, "limit of the drive",
            .optional = true, .section = &rate_limit),
};
SECTION(rootfs, mv_rootfs, "rootfs", "The root file system of the guest.");

static const struct mv_field resources_fields[] = {
        ROW("vcpus", INTEGER, mv_resources, vcpus, "1", "virtual processors"),
        ROW("mem-mb", INTEGER, mv_resources, mem_mb, "512", "memory in MiB"),
};
SECTION(resources, mv_resources, "resource", "What the guest gets.");

static const struct mv_field nic_fields[] = {
        ROW("enabled", BOOL, mv_nic, enabled, "false", "there is one"),
        ROW("proxy-ns", TEXT, mv_nic, proxy_ns, "", "network namespace of the egress proxy"),
        ROW("rx-rate-limit", SECTION, mv_nic, rx_rate_limit, NULL, "limit of what comes in",
            .optional = true, .section = &rate_limit),
        ROW("tx-rate-limit", SECTION, mv_nic, tx_rate_limit, NULL, "limit of what goes out",
            .optional = true, .section = &rate_limit),
};
SECTION(nic, mv_nic, "nic", "The network card of the guest.");

static const struct mv_field vsock_fields[] = {
        ROW("enabled", BOOL, mv_vsock, enabled, "false", "there is one"),
        ROW("cid", INTEGER, mv_vsock, cid, "0", "context id of the guest: 3 to 4294967294"),
};
SECTION(vsock, mv_vsock, "vsock", "The socket between host and guest.");

static const struct mv_field devices_fields[] = {
        ROW("nic", SECTION, mv_devices, nic, NULL, "network card", .section = &nic),
        ROW("vsock", SECTION, mv_devices, vsock, NULL, "socket to the host", .section = &vsock),
};
SECTION(devices, mv_devices, "device", "The devices of the guest.");

static const struct mv_field attestation_fields[] = {
        ROW("enabled", BOOL, mv_attestation, enabled, "false", "compare before the start"),
        ROW("expect-rootfs-hash", TEXT, mv_attestation, expect_rootfs_hash, "",
            "`sha256:<64 hexadecimal digits>` of the root file system"),
        ROW("expect-kernel-hash", TEXT, mv_attestation, expect_kernel_hash, NULL,
            "the same of the kernel"),
        ROW("expect-agent-hash", TEXT, mv_attestation, expect_agent_hash, NULL,
            "the same of the agent program"),
};
SECTION(attestation, mv_attestation, "attestation", "What the images must be.");

static const struct mv_field microvm_fields[] = {
        ROW("kernel", SECTION, mv_microvm, kernel, NULL, "kernel", .section = &kernel),
        ROW("rootfs", SECTION, mv_microvm, rootfs, NULL, "root file system", .section = &rootfs),
        ROW("resources", SECTION, mv_microvm, resources, NULL, "processors and memory",
            .section = &resources),
        ROW("devices", SECTION, mv_microvm, devices, NULL, "devices", .section = &devices),
        ROW("attestation", SECTION, mv_microvm, attestation, NULL, "expected digests",
            .section = &attestation),
};
SECTION(microvm, mv_microvm, "microvm",
        "A guest of its own. When the section is there its rules apply.");

static const struct mv_field http_egress_fields[] = {
        ROW("allow-domains", TEXTS, mv_http_egress, allow_domains, "", "hosts",
            .check = MV_CHECK_HOST, .code = "INVALID_DOMAIN"),
        ROW("mtls", BOOL, mv_http_egress, mtls, "false", "client certificate"),
};
SECTION(http_egress, mv_http_egress, "egress", "The way out of the HTTP capability.");

static const struct mv_field http_fields[] = {
        ROW("enabled", BOOL, mv_http, enabled, "false", "granted"),
        ROW("egress", SECTION, mv_http, egress, NULL, "the way out", .section = &http_egress),
};
SECTION(http, mv_http, "http", "The HTTP capability.");

static const struct mv_field fs_fields[] = {
        ROW("enabled", BOOL, mv_fs, enabled, "false", "granted"),
        ROW("paths", TEXTS, mv_fs, paths, "", "paths it may reach", .check = MV_CHECK_PATH,
            .code = "INVALID_PATH"),
};
SECTION(fs, mv_fs, "fs", "The file capability.");

static const struct mv_field llm_fields[] = {
        ROW("enabled", BOOL, mv_llm, enabled, "false", "granted"),
        ROW("models", TEXTS, mv_llm, models, "", "models it may ask"),
};
SECTION(llm, mv_llm, "llm", "The language model capability.");

static const struct mv_field wire_resources_fields[] = {
        ROW("max-time-ms", INTEGER, mv_wire_resources, max_time_ms, NULL, "longest call", .min = 1,
            .max = 86400000, .code = "INVALID_LIMIT"),
};
SECTION(wire_resources, mv_wire_resources, "resources", "Limits of one wired capability.");

static const struct mv_field wire_runtime_fields[] = {
        ROW("sandbox", TEXT, mv_wire_runtime, sandbox, NULL, "the wall",
            .choices = "none|process|wasm|gvisor|container|microvm",
            .code = "UNKNOWN_ISOLATION_MODE"),
};
SECTION(wire_runtime, mv_wire_runtime, "runtime", "Where one wired capability runs.");

static const struct mv_field wire_fields[] = {
        ROW("capability", TEXT, mv_wire, capability, NULL, "id", .check = MV_CHECK_GRANT,
            .code = "INVALID_CAPABILITY_ID"),
        ROW("contract", TEXT, mv_wire, contract, NULL,
            "file with its contract, in a registry; without registries relative to this file",
            .check = MV_CHECK_PATH, .code = "INVALID_PATH"),
        ROW("digest", TEXT, mv_wire, digest, NULL, "`sha256:<64 hexadecimal digits>` of that file",
            .check = MV_CHECK_DIGEST, .code = "MALFORMED_DIGEST"),
        ROW("enabled", BOOL, mv_wire, enabled, "true", "part of the routing table"),
        ROW("effects", ANY, mv_wire, effects, NULL, "declared effects, a subset of the contract"),
        ROW("resources", SECTION, mv_wire, resources, NULL, "limits", .section = &wire_resources),
        ROW("runtime", SECTION, mv_wire, runtime, NULL, "wall", .section = &wire_runtime),
};
SECTION(wire, mv_wire, "capability", "One capability wired to its contract.");

static const struct mv_field capabilities_fields[] = {
        ROW("http", SECTION, mv_capabilities, http, NULL, "HTTP", .section = &http),
        ROW("fs", SECTION, mv_capabilities, fs, NULL, "files", .section = &fs),
        ROW("llm", SECTION, mv_capabilities, llm, NULL, "language models", .section = &llm),
        ROW("wiring", LISTED, mv_capabilities, wiring, NULL, "capabilities with a contract",
            .section = &wire),
};
SECTION(capabilities, mv_capabilities, "capabilities", "What the agent may do.");

static const struct mv_field budgets_fields[] = {
        ROW("max-cost-usd", NUMBER, mv_budgets, max_cost_usd, "0", "US dollars",
            .not_negative = true, .code = "NEGATIVE_BUDGET"),
        ROW("token-budget", NUMBER, mv_budgets, token_budget, "0", "tokens", .not_negative = true,
            .code = "NEGATIVE_BUDGET"),
        MV_BUDGET_ROWS,
};
SECTION(budgets, mv_budgets, "budgets", "What may be spent.");

static const struct mv_field governance_policy_fields[] = {
        ROW("risk-tier", TEXT, mv_governance_policy, risk_tier, "low",
            "calls that the approvals are about: those of this risk or more; high touches the "
            "network, medium files and the system",
            .choices = "low|medium|high", .code = "UNKNOWN_RISK_TIER"),
        ROW("requires-approvals", INTEGER, mv_governance_policy, requires_approvals, "0",
            "people who must agree to each call of this risk or more"),
        ROW("budgets", SECTION, mv_governance_policy, budgets, NULL, "what may be spent",
            .section = &budgets),
};
SECTION(governance_policy, mv_governance_policy, "policy",
        "One policy; the words `allow`, `moderate` and `strict` stand for whole ones.",
        .shorthand = policy_word, .shorthand_what = "policy shorthand",
        .shorthand_choices = "allow|moderate|strict", .shorthand_code = "UNKNOWN_POLICY_SHORTHAND");

static const struct mv_field keys_fields[] = {
        ROW("verify", TEXT, mv_keys, verify, "", "public key that signs plans: PEM text or a file"),
};
SECTION(keys, mv_keys, "keys", "Keys of the governance.");

static const struct mv_field governance_fields[] = {
        ROW("policies", NAMED, mv_governance, policies, NULL, "policies by name",
            .section = &governance_policy),
        {
                .name = "rules",
                .type = MV_F_LISTED,
                .offset = offsetof(struct mv_governance, rules),
                .doc = "the constitution: rules about calls that are granted; they only take away",
                .section = &mv__rule_schema,
        },
        ROW("keys", SECTION, mv_governance, keys, NULL, "keys", .section = &keys),
};
SECTION(governance, mv_governance, "governance", "Who decides, and about how much.");

static const struct mv_field chain_storage_fields[] = {
        ROW("mode", TEXT, mv_chain_storage, mode, "in_memory", "kind of store",
            .choices = "in_memory|append_file|vsock_stream|sqlite", .code = "UNKNOWN_STORAGE_MODE"),
        ROW("path", TEXT, mv_chain_storage, path, NULL, "file", .check = MV_CHECK_PATH,
            .code = "INVALID_PATH"),
        ROW("buffer-local", BOOL, mv_chain_storage, buffer_local, NULL,
            "keep records while the stream is away"),
};
SECTION(chain_storage, mv_chain_storage, "storage", "Where the record is kept.");

static const struct mv_field anchor_fields[] = {
        ROW("enabled", BOOL, mv_anchor, enabled, "false", "publish"),
};
SECTION(anchor, mv_anchor, "anchor", "Publishing of roots.");

static const struct mv_field causal_chain_fields[] = {
        ROW("storage", SECTION, mv_causal_chain, storage, NULL, "store", .section = &chain_storage),
        ROW("anchor", SECTION, mv_causal_chain, anchor, NULL, "publishing", .section = &anchor),
};
SECTION(causal_chain, mv_causal_chain, "causal_chain", "The record.");

static const struct mv_field marketplace_fields[] = {
        ROW("registry-paths", TEXTS, mv_marketplace, registry_paths, "", "directories",
            .check = MV_CHECK_PATH, .code = "INVALID_PATH"),
        ROW("readonly", BOOL, mv_marketplace, readonly, NULL, "nothing is added at run time"),
};
SECTION(marketplace, mv_marketplace, "marketplace", "Where capabilities come from.");

static const struct mv_field registered_agent_fields[] = {
        ROW("agent-id", TEXT, mv_registered_agent, agent_id, NULL, "id"),
        ROW("name", TEXT, mv_registered_agent, name, NULL, "name"),
        ROW("capabilities", TEXTS, mv_registered_agent, capabilities, "", "what it can do"),
        ROW("cost", NUMBER, mv_registered_agent, cost, NULL, "per task", .not_negative = true,
            .code = "INVALID_NUMBER"),
        ROW("trust-score", NUMBER, mv_registered_agent, trust_score, NULL, "0 to 1",
            .not_negative = true, .code = "INVALID_NUMBER"),
        ROW("metadata", ANY, mv_registered_agent, metadata, NULL, "anything"),
};
SECTION(registered_agent, mv_registered_agent, "agent", "One agent that work may be given to.");

static const struct mv_field agent_registry_fields[] = {
        ROW("registry-type", TEXT, mv_agent_registry, registry_type, "in_memory", "kind",
            .choices = "in_memory|database|file", .code = "UNKNOWN_REGISTRY_TYPE"),
        ROW("database-url", TEXT, mv_agent_registry, database_url, NULL, "of type database"),
        ROW("agents", LISTED, mv_agent_registry, agents, NULL, "agents",
            .section = &registered_agent),
};
SECTION(agent_registry, mv_agent_registry, "agent_registry", "Agents that work may be given to.");

static const struct mv_field adaptive_fields[] = {
        ROW("enabled", BOOL, mv_adaptive, enabled, "true", "in use"),
        ROW("base-threshold", NUMBER, mv_adaptive, base_threshold, "0.65", "start"),
        ROW("min-threshold", NUMBER, mv_adaptive, min_threshold, "0.3", "lower bound"),
        ROW("max-threshold", NUMBER, mv_adaptive, max_threshold, "0.9", "upper bound"),
        ROW("success-rate-weight", NUMBER, mv_adaptive, success_rate_weight, "0.7",
            "weight of success"),
        ROW("historical-weight", NUMBER, mv_adaptive, historical_weight, "0.3",
            "weight of history"),
        ROW("decay-factor", NUMBER, mv_adaptive, decay_factor, "0.8", "decay"),
        ROW("min-samples", INTEGER, mv_adaptive, min_samples, "5", "before it moves"),
        ROW("env-prefix", TEXT, mv_adaptive, env_prefix, "CCOS_DELEGATION_",
            "of variables that override"),
};
SECTION(adaptive, mv_adaptive, "adaptive_threshold", "A threshold that follows experience.");

static const struct mv_field delegation_fields[] = {
        ROW("enabled", BOOL, mv_delegation, enabled, NULL, "in use"),
        ROW("threshold", NUMBER, mv_delegation, threshold, NULL,
            "score from which it happens; 0.65 when absent"),
        ROW("min-skill-hits", INTEGER, mv_delegation, min_skill_hits, NULL, "skills in common"),
        ROW("max-candidates", INTEGER, mv_delegation, max_candidates, NULL,
            "agents looked at; 3 when absent"),
        ROW("feedback-success-weight", NUMBER, mv_delegation, feedback_success_weight, NULL,
            "weight of success"),
        ROW("feedback-decay", NUMBER, mv_delegation, feedback_decay, NULL, "decay"),
        ROW("print-extracted-intent", BOOL, mv_delegation, print_extracted_intent, NULL,
            "print the intent"),
        ROW("print-extracted-plan", BOOL, mv_delegation, print_extracted_plan, NULL,
            "print the plan"),
        ROW("agent-registry", SECTION, mv_delegation, agent_registry, NULL, "agents",
            .section = &agent_registry),
        ROW("adaptive-threshold", SECTION, mv_delegation, adaptive_threshold, NULL,
            "moving threshold", .section = &adaptive),
};
SECTION(delegation, mv_delegation, "delegation", "When work is given to other agents.");

static const struct mv_field llm_profile_fields[] = {
        ROW("name", TEXT, mv_llm_profile, name, NULL, "name"),
        ROW("provider", TEXT, mv_llm_profile, provider, NULL, "who offers it"),
        ROW("model", TEXT, mv_llm_profile, model, NULL, "its name there"),
        ROW("base-url", TEXT, mv_llm_profile, base_url, NULL, "another address"),
        ROW("api-key-env", TEXT, mv_llm_profile, api_key_env, NULL, "variable that holds the key",
            .check = MV_CHECK_ENV, .code = "INVALID_ENV_NAME"),
        ROW("temperature", NUMBER, mv_llm_profile, temperature, NULL, "temperature"),
        ROW("max-tokens", INTEGER, mv_llm_profile, max_tokens, NULL, "longest answer"),
};
SECTION(llm_profile, mv_llm_profile, "profile", "One language model.");

static const struct mv_field llm_model_fields[] = {
        ROW("name", TEXT, mv_llm_model, name, NULL, "short name"),
        ROW("model", TEXT, mv_llm_model, model, NULL, "name at the provider"),
        ROW("max-prompt-cost-per-1k", NUMBER, mv_llm_model, max_prompt_cost_per_1k, NULL,
            "US dollars", .not_negative = true, .code = "NEGATIVE_BUDGET"),
        ROW("max-completion-cost-per-1k", NUMBER, mv_llm_model, max_completion_cost_per_1k, NULL,
            "US dollars", .not_negative = true, .code = "NEGATIVE_BUDGET"),
        ROW("quality", TEXT, mv_llm_model, quality, NULL, "label"),
        ROW("max-output-tokens", INTEGER, mv_llm_model, max_output_tokens, NULL, "longest answer"),
        ROW("notes", TEXT, mv_llm_model, notes, NULL, "remarks"),
};
SECTION(llm_model, mv_llm_model, "model", "One model of a set.");

static const struct mv_field llm_model_set_fields[] = {
        ROW("name", TEXT, mv_llm_model_set, name, NULL, "name"),
        ROW("provider", TEXT, mv_llm_model_set, provider, NULL, "who offers them"),
        ROW("base-url", TEXT, mv_llm_model_set, base_url, NULL, "another address"),
        ROW("api-key-env", TEXT, mv_llm_model_set, api_key_env, NULL, "variable that holds the key",
            .check = MV_CHECK_ENV, .code = "INVALID_ENV_NAME"),
        ROW("default", TEXT, mv_llm_model_set, fallback, NULL, "model taken first"),
        ROW("models", LISTED, mv_llm_model_set, models, NULL, "models", .section = &llm_model),
};
SECTION(llm_model_set, mv_llm_model_set, "model_set", "Models of one provider.");

static const struct mv_field llm_profiles_fields[] = {
        ROW("default", TEXT, mv_llm_profiles, fallback, NULL, "`profile`, or `set:model`"),
        ROW("profiles", LISTED, mv_llm_profiles, profiles, NULL, "models", .section = &llm_profile),
        ROW("model-sets", LISTED, mv_llm_profiles, model_sets, NULL, "sets of models",
            .section = &llm_model_set),
};
SECTION(llm_profiles, mv_llm_profiles, "llm_profiles", "Language models to choose from.");

static const struct mv_field discovery_fields[] = {
        ROW("match-threshold", NUMBER, mv_discovery, match_threshold, "0.65", "score of a match"),
        ROW("use-embeddings", BOOL, mv_discovery, use_embeddings, "false", "compare by embedding"),
        ROW("embedding-model", TEXT, mv_discovery, embedding_model, NULL, "remote model"),
        ROW("local-embedding-model", TEXT, mv_discovery, local_embedding_model, NULL,
            "local model"),
        ROW("action-verb-threshold", NUMBER, mv_discovery, action_verb_threshold, "0.7",
            "score of the verb"),
        ROW("action-verb-weight", NUMBER, mv_discovery, action_verb_weight, "0.4",
            "weight of the verb"),
        ROW("capability-class-weight", NUMBER, mv_discovery, capability_class_weight, "0.3",
            "weight of the class"),
};
SECTION(discovery, mv_discovery, "discovery", "How capabilities are found.");

static const struct mv_field catalog_fields[] = {
        ROW("plan-min-score", NUMBER, mv_catalog, plan_min_score, "0.65", "score of a plan"),
        ROW("keyword-min-score", NUMBER, mv_catalog, keyword_min_score, "1.0", "score of words"),
};
SECTION(catalog, mv_catalog, "catalog", "When plans are used again.");

static const struct mv_field tool_selector_fields[] = {
        ROW("enabled", BOOL, mv_tool_selector, enabled, NULL, "in use"),
        ROW("prompt-id", TEXT, mv_tool_selector, prompt_id, NULL, "prompt"),
        ROW("prompt-version", TEXT, mv_tool_selector, prompt_version, NULL, "its version"),
        ROW("max-tools", INTEGER, mv_tool_selector, max_tools, NULL, "tools offered"),
        ROW("max-description-chars", INTEGER, mv_tool_selector, max_description_chars, NULL,
            "length of each"),
};
SECTION(tool_selector, mv_tool_selector, "tool_selector", "How a tool is chosen.");

static const struct mv_field missing_capabilities_fields[] = {
        ROW("enabled", BOOL, mv_missing_capabilities, enabled, NULL, "look at all"),
        ROW("runtime-detection", BOOL, mv_missing_capabilities, runtime_detection, NULL,
            "at run time"),
        ROW("auto-resolution", BOOL, mv_missing_capabilities, auto_resolution, NULL,
            "try to find one"),
        ROW("llm-synthesis", BOOL, mv_missing_capabilities, llm_synthesis, NULL, "write one"),
        ROW("web-search", BOOL, mv_missing_capabilities, web_search, NULL, "search"),
        ROW("human-approval-required", BOOL, mv_missing_capabilities, human_approval_required, NULL,
            "ask first"),
        ROW("verbose-logging", BOOL, mv_missing_capabilities, verbose_logging, NULL, "log more"),
        ROW("max-attempts", INTEGER, mv_missing_capabilities, max_attempts, NULL, "tries"),
        ROW("tool-selector", SECTION, mv_missing_capabilities, tool_selector, NULL, "choice",
            .section = &tool_selector),
};
SECTION(missing_capabilities, mv_missing_capabilities, "missing_capabilities",
        "What happens when a capability is missing.");

static const struct mv_field storage_fields[] = {
        ROW("capabilities-dir", TEXT, mv_storage, capabilities_dir, "../capabilities",
            "capabilities"),
        ROW("discovered-subdir", TEXT, mv_storage, discovered_subdir, "discovered", "found ones"),
        ROW("generated-subdir", TEXT, mv_storage, generated_subdir, "generated", "written ones"),
        ROW("servers-approved-subdir", TEXT, mv_storage, servers_approved_subdir,
            "servers/approved", "servers"),
        ROW("pending-synth-subdir", TEXT, mv_storage, pending_synth_subdir, "storage/pending_synth",
            "waiting"),
        ROW("approvals-dir", TEXT, mv_storage, approvals_dir, "storage/approvals", "approvals"),
};
SECTION(storage, mv_storage, "storage", "Directories.");

static const struct mv_field self_programming_fields[] = {
        ROW("enabled", BOOL, mv_self_programming, enabled, "true", "at all"),
        ROW("trust-level", INTEGER, mv_self_programming, trust_level, "0", "trust"),
        ROW("max-synthesis-per-session", INTEGER, mv_self_programming, max_synthesis_per_session,
            "10", "new capabilities"),
        ROW("max-decomposition-depth", INTEGER, mv_self_programming, max_decomposition_depth, "5",
            "depth"),
        ROW("require-approval-for-registration", BOOL, mv_self_programming,
            require_approval_for_registration, "true", "ask first"),
        ROW("enable-versioning", BOOL, mv_self_programming, enable_versioning, "true",
            "keep versions"),
        ROW("auto-rollback-on-failure", BOOL, mv_self_programming, auto_rollback_on_failure, "true",
            "go back"),
};
SECTION(self_programming, mv_self_programming, "self_programming",
        "What the agent may change about itself.");

static const struct mv_field sandbox_fields[] = {
        ROW("enabled", BOOL, mv_sandbox, enabled, "true", "in use"),
        ROW("runtime", TEXT, mv_sandbox, runtime, "bubblewrap", "kind"),
        ROW("package-allowlist", TEXTS, mv_sandbox, package_allowlist, "", "packages"),
        ROW("images", ANY, mv_sandbox, images, NULL, "images"),
        ROW("network-enabled", BOOL, mv_sandbox, network_enabled, "true", "network"),
        ROW("package-cache-dir", TEXT, mv_sandbox, package_cache_dir, "/tmp/ccos-sandbox-cache",
            "cache"),
};
SECTION(sandbox, mv_sandbox, "sandbox", "External programs.");

static const struct mv_field mv__agent_schema_fields[] = {
        ROW("version", TEXT, mv_agent_config, version, "0.1", "version of this form"),
        ROW("agent-id", TEXT, mv_agent_config, agent_id, "agent.default",
            "name of the agent, unique on its host", .check = MV_CHECK_ID,
            .code = "INVALID_AGENT_ID"),
        ROW("profile", TEXT, mv_agent_config, profile, "minimal", "template",
            .choices = "minimal|microvm|wasm|process|networked|local", .code = "UNKNOWN_PROFILE"),
        ROW("features", TEXTS, mv_agent_config, features, "",
            "modules to switch on: network, telemetry, attestation, llm, gpu"),
        ROW("orchestrator", SECTION, mv_agent_config, orchestrator, NULL,
            "isolation and data loss prevention", .section = &orchestrator),
        ROW("network", SECTION, mv_agent_config, network, NULL, "network", .section = &network),
        ROW("microvm", SECTION, mv_agent_config, microvm, NULL, "guest of its own; absent: none",
            .optional = true, .section = &microvm),
        ROW("capabilities", SECTION, mv_agent_config, capabilities, NULL, "capabilities",
            .section = &capabilities),
        ROW("governance", SECTION, mv_agent_config, governance, NULL, "policies and keys",
            .section = &governance),
        ROW("causal-chain", SECTION, mv_agent_config, causal_chain, NULL, "record",
            .section = &causal_chain),
        ROW("marketplace", SECTION, mv_agent_config, marketplace, NULL, "registries",
            .section = &marketplace),
        ROW("delegation", SECTION, mv_agent_config, delegation, NULL, "other agents",
            .section = &delegation),
        ROW("llm-profiles", SECTION, mv_agent_config, llm_profiles, NULL, "language models",
            .optional = true, .section = &llm_profiles),
        ROW("discovery", SECTION, mv_agent_config, discovery, NULL, "finding capabilities",
            .section = &discovery),
        ROW("catalog", SECTION, mv_agent_config, catalog, NULL, "using plans again",
            .section = &catalog),
        ROW("missing-capabilities", SECTION, mv_agent_config, missing_capabilities, NULL,
            "missing capabilities", .section = &missing_capabilities),
        ROW("storage", SECTION, mv_agent_config, storage, NULL, "directories", .section = &storage),
        ROW("self-programming", SECTION, mv_agent_config, self_programming, NULL,
            "changes of itself", .section = &self_programming),
        ROW("sandbox", SECTION, mv_agent_config, sandbox, NULL, "external programs",
            .section = &sandbox),
};
const struct mv_section mv__agent_schema = {
        .what = "agent",
        .doc = "What an agent is and may do.",
        .size = sizeof(struct mv_agent_config),
        .fields = mv__agent_schema_fields,
        .count = sizeof mv__agent_schema_fields / sizeof mv__agent_schema_fields[0],
};
