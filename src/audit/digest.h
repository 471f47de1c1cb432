/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_AUDIT_DIGEST_H
#define MV_AUDIT_DIGEST_H
#include <audit/audit.h>
#include <openssl/sha.h>

/* One store's digests begin with a block of their own: its domain, padded to 32 bytes, and the header's digest. It is
 * hashed once per store; each record goes on from there. */
struct mv__salt {
        SHA256_CTX head, record;
};
void mv__salt_make(const uint8_t header_digest[MV_DIGEST_BYTES], struct mv__salt *ret);
void mv__sha256_from(const SHA256_CTX *begun, const struct mv_slice *parts, size_t count,
                     uint8_t ret[MV_DIGEST_BYTES]);

void mv__sha256_parts(const struct mv_slice *parts, size_t count, uint8_t ret[MV_DIGEST_BYTES]);
/* A leaf of the execution's tree: SHA-256(0x00 || u8 type || semantic). */
void mv__semantic_digest(enum mv_record_type type, struct mv_slice semantic,
                         uint8_t ret[MV_DIGEST_BYTES]);
/* The tree over an array that holds as many levels as count + 1 has bits. */
void mv__merkle_push(uint8_t (*level)[MV_DIGEST_BYTES], uint64_t count,
                     const uint8_t leaf_digest[MV_DIGEST_BYTES]);
void mv__merkle_fold(uint8_t (*level)[MV_DIGEST_BYTES], uint64_t count,
                     uint8_t ret[MV_DIGEST_BYTES]);

#endif
