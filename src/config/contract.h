/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_CONFIG_CONTRACT_H
#define MV_CONFIG_CONTRACT_H
/* What a capability promises (REQ-CAP-15, -16), and whether a wire of an agent.config stays within it (REQ-AC-49).
 *
 * (1) A wire narrows its contract and never broadens it: what it leaves out is as the contract says.
 * (2) What a contract or a wire restricts and nothing here can keep is a reason to refuse, never to look away.
 * (3) A contract may not be silent about an effect that its capability is known to have. */
#include <config/agent.h>
#include <config/diagnostics.h>
#include <security/security.h>

struct mv_idempotency {
        struct mv_head at;
        struct mv_item supports, key_schema, scope;
};
struct mv_contract_security {
        struct mv_head at;
        struct mv_item signing, sbom, provenance;
};
struct mv_contract {
        struct mv_head at;
        struct mv_item id, version, summary, input_schema, output_schema, pre, post, invariant,
                effects;
        struct mv_wire_resources resources;
        struct mv_item determinism;
        struct mv_idempotency idempotency;
        struct mv_item errors;
        struct mv_contract_security security;
        struct mv_item reputation, deprecation;
};
extern const struct mv_section mv__contract_schema;

/* Registries and the directory of the file: where contracts are, and the lists of those that were revoked. */
struct mv_contract_places {
        const char *directory;         /* absolute, as all of them */
        const char *const *registries; /* searched in this order; none: the directory is */
        uint32_t registries_count;
};
/* Checks the wire of one capability and lowers `narrow`, the context of its calls, to what wire and contract leave of it.
 * 0: done. INVALID: it may not be granted, *err says why. Otherwise negative: no memory. */
int mv_wire_narrow(const struct mv_wire *w, const struct mv_contract_places *places,
                   struct mv_context *narrow, struct mv_err *err);
/* "absolute" path of a relative one, without "." and ".."; links stay as written. false: too long. */
#define MV_PLACE_BYTES 4096
bool mv__place_at(const char *directory, struct mv_slice path, char ret[MV_PLACE_BYTES]);

#endif
