/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MICROVM_AUDIT_H
#define MICROVM_AUDIT_H
/* Checking a record somebody else wrote. Threads: any. */
#include <stdbool.h>
#include <stdint.h>
#include <microvm/error.h>

struct mv_audit_summary {
        bool ok;
        uint64_t records, executions, torn_bytes, bad_index, bad_offset;
        /* records at the end that no signature covers yet: a store in use has some */
        uint64_t unsealed;
        char why[160];
        uint8_t head[32], public_key[32];
};
/* Chain, Merkle roots and signed seals of a store file. 0 with ok == false for a damaged store; negative when it cannot be
 * read. expected_key: 32 bytes the signer must have, or NULL to accept and report the file's own. */
int mv_audit_check(const char *path, const uint8_t *expected_key, struct mv_audit_summary *ret,
                   struct mv_err *err);

#endif
