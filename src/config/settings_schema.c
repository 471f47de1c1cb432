/* SPDX-License-Identifier: Apache-2.0 */
/* The schema of a settings file (REQ-CFG-01..08). */
#include <base/slice.h>
#include <config/governance.h>

#define FIELDS(symbol) .fields = symbol, .count = sizeof symbol / sizeof symbol[0]
#define ROW(name_, kind, struct_, member, fallback_, doc_, ...)                                    \
        {                                                                                          \
                .name = name_, .type = MV_F_##kind, .offset = offsetof(struct struct_, member),    \
                .fallback = fallback_, .doc = doc_, __VA_ARGS__                                    \
        }
#define TIERS "none|landlock|process|wasm|container|vm"

static const struct mv_field grants_fields[] = {
        ROW("capabilities", TEXTS, mv_grants_section, capabilities, "",
            "ids, or prefixes such as ccos.math.*", .check = MV_CHECK_GRANT,
            .code = "INVALID_CAPABILITY_ID"),
        ROW("read", TEXTS, mv_grants_section, read, "", "files and trees that may be read",
            .check = MV_CHECK_ABSOLUTE, .code = "INVALID_PATH"),
        ROW("write", TEXTS, mv_grants_section, write, "",
            "files and trees that may be read and written", .check = MV_CHECK_ABSOLUTE,
            .code = "INVALID_PATH"),
        ROW("hosts", TEXTS, mv_grants_section, hosts, "", "HOST, HOST:PORT or *.name",
            .check = MV_CHECK_HOST, .code = "INVALID_DOMAIN"),
        ROW("deny-hosts", TEXTS, mv_grants_section, deny_hosts, "",
            "hosts that are refused whatever grants them", .check = MV_CHECK_HOST,
            .code = "INVALID_DOMAIN"),
        ROW("env", TEXTS, mv_grants_section, env, "",
            "variables: NAME passes the host's value, NAME=VALUE this one", .check = MV_CHECK_ENV,
            .code = "INVALID_ENV_NAME"),
        ROW("effects", TEXTS, mv_grants_section, effects, NULL,
            "the only effects that a call may have, whatever grants it: compute, filesystem, "
            "network, system, ai, agent, io, streaming, user-interaction",
            .check = MV_CHECK_EFFECT, .code = "UNKNOWN_EFFECT"),
        ROW("deny-effects", TEXTS, mv_grants_section, deny_effects, "",
            "effects that are refused whatever grants them", .check = MV_CHECK_EFFECT,
            .code = "UNKNOWN_EFFECT"),
};
static const struct mv_section grants = { .what = "grants",
                                          .doc = "What programs may be granted.",
                                          .size = sizeof(struct mv_grants_section),
                                          FIELDS(grants_fields) };

static bool network_word(struct mv_slice word, void *ret_section)
{
        ((struct mv_network_policy *)ret_section)->word.text = word;
        return mv__choice_has("Denied|Full", word);
}

static const struct mv_field network_fields[] = {
        ROW("AllowList", TEXTS, mv_network_policy, allow_list, "", "the only hosts",
            .check = MV_CHECK_HOST, .code = "INVALID_DOMAIN"),
        ROW("DenyList", TEXTS, mv_network_policy, deny_list, "",
            "all hosts but these; needs level full", .check = MV_CHECK_HOST,
            .code = "INVALID_DOMAIN"),
};
static const struct mv_section network_policy = {
        .what = "network_policy",
        .doc = "`\"Denied\"`, `\"Full\"`, or a table with one list.",
        .size = sizeof(struct mv_network_policy),
        FIELDS(network_fields),
        .shorthand = network_word,
        .shorthand_what = "network policy",
        .shorthand_choices = "Denied|Full",
        .shorthand_code = "UNKNOWN_NETWORK_POLICY",
};

static bool fs_word(struct mv_slice word, void *ret_section)
{
        ((struct mv_fs_policy *)ret_section)->word.text = word;
        return mv__choice_has("None|Full|ReadOnly|ReadWrite", word); /* without paths: none */
}

static const struct mv_field fs_fields[] = {
        ROW("ReadOnly", TEXTS, mv_fs_policy, read_only, "", "paths that may be read",
            .check = MV_CHECK_ABSOLUTE, .code = "INVALID_PATH"),
        ROW("ReadWrite", TEXTS, mv_fs_policy, read_write, "", "paths that may be read and written",
            .check = MV_CHECK_ABSOLUTE, .code = "INVALID_PATH"),
};
static const struct mv_section fs_policy = {
        .what = "fs_policy",
        .doc = "`\"None\"`, `\"Full\"`, or a table with one list.",
        .size = sizeof(struct mv_fs_policy),
        FIELDS(fs_fields),
        .shorthand = fs_word,
        .shorthand_what = "fs policy",
        .shorthand_choices = "None|Full",
        .shorthand_code = "UNKNOWN_FS_POLICY",
};

static const struct mv_field exec_fields[] = {
        ROW("timeout", DURATION, mv_exec_config, timeout, NULL,
            "wall time: \"30s\", \"500ms\", \"5m\", or seconds; below level full at most 60 s"),
        ROW("memory-limit-mb", INTEGER, mv_exec_config, memory_limit_mb, NULL,
            "memory in MiB; below level full at most 512", .min = 1, .max = 1048576,
            .code = "INVALID_MEMORY_LIMIT"),
        ROW("cpu-limit", NUMBER, mv_exec_config, cpu_limit, NULL,
            "cores: with a timeout, CPU time is limited to this share of it", .not_negative = true,
            .code = "INVALID_CPU_LIMIT"),
        ROW("fuel", INTEGER, mv_exec_config, fuel, NULL, "evaluation steps", .min = 1,
            .max = INT64_MAX, .code = "INVALID_FUEL"),
        ROW("max-output-kb", INTEGER, mv_exec_config, max_output_kb, NULL,
            "captured output and result in KiB", .min = 1, .max = 1048576,
            .code = "INVALID_OUTPUT_LIMIT"),
        ROW("env-vars", ANY, mv_exec_config, env_vars, NULL,
            "a table of variables and their values"),
        ROW("network-policy", SECTION, mv_exec_config, network_policy, NULL, "hosts",
            .optional = true, .section = &network_policy),
        ROW("fs-policy", SECTION, mv_exec_config, fs_policy, NULL, "paths", .optional = true,
            .section = &fs_policy),
};
static const struct mv_section exec_config = { .what = "execution",
                                               .doc = "Limits and policies of an execution.",
                                               .size = sizeof(struct mv_exec_config),
                                               FIELDS(exec_fields) };

static const struct mv_field budgets_fields[] = {
        ROW("max-cost-usd", NUMBER, mv_budgets, max_cost_usd, NULL, "US dollars",
            .not_negative = true, .code = "NEGATIVE_BUDGET"),
        ROW("token-budget", NUMBER, mv_budgets, token_budget, NULL, "tokens", .not_negative = true,
            .code = "NEGATIVE_BUDGET"),
        MV_BUDGET_ROWS,
};
static const struct mv_section budgets = { .what = "budgets",
                                           .doc = "What one execution may spend.",
                                           .size = sizeof(struct mv_budgets),
                                           FIELDS(budgets_fields) };

static const struct mv_field governance_fields[] = {
        ROW("rules", LISTED, mv_settings_governance, rules, NULL,
            "the constitution: rules about calls that are granted; they only take away",
            .section = &mv__rule_schema),
        ROW("budgets", SECTION, mv_settings_governance, budgets, NULL,
            "what one execution may spend; the lower of two counts", .section = &budgets),
};
static const struct mv_section governance = { .what = "governance",
                                              .doc = "What is asked behind the grants.",
                                              .size = sizeof(struct mv_settings_governance),
                                              FIELDS(governance_fields) };

static const struct mv_field environment_fields[] = {
        ROW("default-provider", TEXT, mv_environment, default_provider, NULL, "the wall to use"),
        ROW("min-tier", TEXT, mv_environment, min_tier, NULL,
            "never run below this; landlock admits programs without namespaces where none can be "
            "made",
            .choices = TIERS, .code = "UNKNOWN_TIER"),
        ROW("grants", SECTION, mv_environment, grants, NULL,
            "what is left of the file's grants; a list that is absent stays", .section = &grants),
        ROW("default-config", SECTION, mv_environment, default_config, NULL,
            "lower limits, narrower policies", .section = &exec_config),
        ROW("governance", SECTION, mv_environment, governance, NULL,
            "a constitution besides the file's: each decides, and the stricter one counts",
            .section = &governance),
};
static const struct mv_section environment = { .what = "environment",
                                               .doc = "What differs in one environment.",
                                               .size = sizeof(struct mv_environment),
                                               FIELDS(environment_fields) };

static const struct mv_field tls_fields[] = {
        ROW("pins", TEXTS, mv_tls_section, pins, "",
            "`sha256/<base64>` of the public keys that are accepted", .check = MV_CHECK_PIN,
            .code = "INVALID_TLS_PIN"),
        ROW("mtls", BOOL, mv_tls_section, mtls, "false",
            "hosts are reached by https only, with a client certificate"),
        ROW("client-cert", TEXT, mv_tls_section, client_cert, NULL,
            "PEM file, shown to whoever asks", .check = MV_CHECK_ABSOLUTE, .code = "INVALID_PATH"),
        ROW("client-key", TEXT, mv_tls_section, client_key, NULL,
            "its key: PEM file of mode 0600, where no grant reads", .check = MV_CHECK_ABSOLUTE,
            .code = "INVALID_PATH"),
        ROW("ca", TEXT, mv_tls_section, ca, NULL,
            "PEM file of the authorities that are trusted; absent: the system's",
            .check = MV_CHECK_ABSOLUTE, .code = "INVALID_PATH"),
};
static const struct mv_section tls = { .what = "tls",
                                       .doc = "How granted hosts are reached.",
                                       .size = sizeof(struct mv_tls_section),
                                       FIELDS(tls_fields) };

static const struct mv_field settings_fields[] = {
        ROW("default-provider", TEXT, mv_settings, default_provider, NULL,
            "the wall to use; absent: the strongest"),
        ROW("min-tier", TEXT, mv_settings, min_tier, NULL,
            "never run below this; landlock admits programs without namespaces where none can be "
            "made",
            .choices = TIERS, .code = "UNKNOWN_TIER"),
        ROW("level", TEXT, mv_settings, level, "controlled", "most that a program may be",
            .choices = "pure|controlled|full", .code = "UNKNOWN_LEVEL"),
        ROW("environment", TEXT, mv_settings, environment, NULL, "taken when none is named"),
        ROW("grants", SECTION, mv_settings, grants, NULL, "what programs may be granted",
            .section = &grants),
        ROW("default-config", SECTION, mv_settings, default_config, NULL, "of every execution",
            .section = &exec_config),
        ROW("governance", SECTION, mv_settings, governance, NULL, "rules about what is granted",
            .section = &governance),
        ROW("tls", SECTION, mv_settings, tls, NULL, "how granted hosts are reached",
            .section = &tls),
        ROW("capability-configs", NAMED, mv_settings, capability_configs, NULL,
            "of one capability, by id", .section = &exec_config),
        ROW("environments", NAMED, mv_settings, environments, NULL, "by name",
            .section = &environment),
        ROW("provider-configs", ANY, mv_settings, provider_configs, NULL,
            "a table for each provider; `microvm schema NAME`"),
};
const struct mv_section mv__settings_schema = { .what = "settings",
                                                .doc = "What programs may do on this machine.",
                                                .size = sizeof(struct mv_settings),
                                                FIELDS(settings_fields) };
