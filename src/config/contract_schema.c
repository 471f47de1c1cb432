/* SPDX-License-Identifier: Apache-2.0 */
/* The schema of a contract (REQ-CAP-16). */
#include <base/slice.h>
#include <config/contract.h>

#define FIELDS(symbol) .fields = symbol, .count = sizeof symbol / sizeof symbol[0]
#define ROW(name_, kind, struct_, member, fallback_, doc_, ...)                                    \
        {                                                                                          \
                .name = name_, .type = MV_F_##kind, .offset = offsetof(struct struct_, member),    \
                .fallback = fallback_, .doc = doc_, __VA_ARGS__                                    \
        }

static const struct mv_field resources_fields[] = {
        ROW("max-time-ms", INTEGER, mv_wire_resources, max_time_ms, NULL, "longest call", .min = 1,
            .max = 86400000, .code = "INVALID_LIMIT"),
};
static const struct mv_section resources = { .what = "resources",
                                             .doc = "What a call may take at most.",
                                             .size = sizeof(struct mv_wire_resources),
                                             FIELDS(resources_fields) };

static const struct mv_field idempotency_fields[] = {
        ROW("supports", BOOL, mv_idempotency, supports, "false", "the same call twice is one"),
        ROW("key-schema", ANY, mv_idempotency, key_schema, NULL, "what identifies a call"),
        ROW("scope", TEXT, mv_idempotency, scope, NULL, "where it is the same",
            .choices = "plan|intent|global", .code = "UNKNOWN_SCOPE"),
};
static const struct mv_section idempotency = { .what = "idempotency",
                                               .doc = "Whether a call may be repeated.",
                                               .size = sizeof(struct mv_idempotency),
                                               FIELDS(idempotency_fields) };

static const struct mv_field security_fields[] = {
        ROW("signing", ANY, mv_contract_security, signing, NULL, "who signed"),
        ROW("sbom", ANY, mv_contract_security, sbom, NULL, "what it is made of"),
        ROW("provenance", ANY, mv_contract_security, provenance, NULL, "where it comes from"),
};
static const struct mv_section security = { .what = "security",
                                            .doc = "Where it comes from.",
                                            .size = sizeof(struct mv_contract_security),
                                            FIELDS(security_fields) };

static const struct mv_field mv__contract_schema_fields[] = {
        ROW("id", TEXT, mv_contract, id, NULL, "of the capability", .check = MV_CHECK_GRANT,
            .code = "INVALID_CAPABILITY_ID"),
        ROW("version", TEXT, mv_contract, version, NULL, "1.2.3", .check = MV_CHECK_VERSION,
            .code = "INVALID_VERSION"),
        ROW("summary", TEXT, mv_contract, summary, NULL, "one sentence"),
        ROW("input-schema", ANY, mv_contract, input_schema, NULL,
            "type of its arguments: [:tuple :string]"),
        ROW("output-schema", ANY, mv_contract, output_schema, NULL, "type of its result"),
        ROW("pre", TEXT, mv_contract, pre, NULL,
            "what holds of args before it: (< (count args) 3)"),
        ROW("post", TEXT, mv_contract, post, NULL, "what holds of args and result behind it"),
        ROW("invariant", TEXT, mv_contract, invariant, NULL, "both times; result is nil before"),
        ROW("effects", ANY, mv_contract, effects, NULL, "[[:network {:domains [..]}] :clock ..]"),
        ROW("resources", SECTION, mv_contract, resources, NULL, "limits", .section = &resources),
        ROW("determinism", TEXT, mv_contract, determinism, NULL, "deterministic or not"),
        ROW("idempotency", SECTION, mv_contract, idempotency, NULL, "repeating",
            .section = &idempotency),
        ROW("errors", TEXTS, mv_contract, errors, "", "codes such as error/network"),
        ROW("security", SECTION, mv_contract, security, NULL, "origin", .section = &security),
        ROW("reputation", ANY, mv_contract, reputation, NULL, "reputation"),
        ROW("deprecation", ANY, mv_contract, deprecation, NULL, "what replaces it"),
};
const struct mv_section mv__contract_schema = { .what = "contract",
                                                .doc = "What a capability promises.",
                                                .size = sizeof(struct mv_contract),
                                                FIELDS(mv__contract_schema_fields) };
