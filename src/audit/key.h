/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_AUDIT_KEY_H
#define MV_AUDIT_KEY_H
/* The signer's Ed25519 key: a PKCS#8 PEM file, so that common tools read it. */
#include <audit/format.h>

struct mv__key;
/* path NULL: a key that lives as long as the process. Otherwise the file's, made on first use (mode 0600). DENIED when
 * group or others can read it, or it is not a regular file of ours. */
int mv__key_open(const char *path, struct mv__key **ret, struct mv_err *err);
struct mv__key *mv__key_close(struct mv__key *k);
int mv__key_public(const struct mv__key *k, uint8_t ret[32], struct mv_err *err);
int mv__key_sign(struct mv__key *k, struct mv_slice message, uint8_t ret[MV_SIGNATURE_BYTES],
                 struct mv_err *err);
bool mv__key_verify(const uint8_t public_key[32], struct mv_slice message,
                    const uint8_t signature[MV_SIGNATURE_BYTES]);
/* Make a new directory entry durable. */
int mv__sync_directory_of(const char *path, struct mv_err *err);

#endif
