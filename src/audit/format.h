/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_AUDIT_FORMAT_H
#define MV_AUDIT_FORMAT_H
/* Bytes of a store: drawn in audit/format.c and docs/formats/audit.md. Decoders return NULL, or
 * the reason. */
#include <audit/digest.h>

#define MV_STORE_HEADER_BYTES 96
#define MV_STORE_NO_SYNC      1u
#define MV_RECORD_HEAD_BYTES  64
#define MV_RECORD_TAIL_BYTES  36
#define MV_RECORD_BYTES_MIN   (MV_RECORD_HEAD_BYTES + 1 + MV_RECORD_TAIL_BYTES)
#define MV_EXECUTION_ID_MAX   63
#define MV_SIGNATURE_BYTES    64

struct mv__store_header {
        uint32_t flags;
        uint8_t nonce[16], public_key[32];
        uint8_t digest[MV_DIGEST_BYTES]; /* prev of the first record */
        /* made of the digest: every record's digest begins with it */
        struct mv__salt salt;
};
/* fills digest and salt */
void mv__store_header_encode(struct mv__store_header *h, uint8_t ret[MV_STORE_HEADER_BYTES]);
const char *mv__store_header_decode(struct mv_slice bytes, struct mv__store_header *ret);
/* Could these bytes be the beginning of a header that was being written? */
bool mv__store_header_begins(struct mv_slice bytes);

struct mv__record {
        enum mv_record_type type;
        uint64_t time_ms;
        struct mv_slice id, semantic, observed;
        uint8_t prev[MV_DIGEST_BYTES], digest[MV_DIGEST_BYTES];
        /* its leaf in the execution's tree, which the digest covers in place of semantic */
        uint8_t leaf[MV_DIGEST_BYTES];
};
struct mv__record_bytes { /* the pieces to write, in order; they point into the record */
        uint8_t head[MV_RECORD_HEAD_BYTES], tail[MV_RECORD_TAIL_BYTES];
        struct mv_slice pieces[5];
        uint64_t length;
};
void mv__record_encode(const struct mv__salt *salt, struct mv__record *r,
                       struct mv__record_bytes *ret);
/* From the head alone: how long is the record? */
const char *mv__record_head_decode(const struct mv__salt *salt, struct mv_slice head,
                                   uint32_t *ret_length);
/* A whole record; everything is checked but prev. */
const char *mv__record_decode(const struct mv__salt *salt, struct mv_slice bytes,
                              struct mv__record *ret);
bool mv__execution_id_ok(struct mv_slice id);

/* Payloads of MV_REC_ROOT. */
struct mv__root {
        uint8_t root[MV_DIGEST_BYTES];
        uint64_t count;
};
bool mv__root_put(const struct mv__root *r, struct mv_out *semantic);
const char *mv__root_get(struct mv_slice semantic, struct mv_slice observed, struct mv__root *ret);

/* Payloads of MV_REC_SEAL, and what its signature covers: where the seal stands and the digest
 * of the record before. */
struct mv__seal {
        uint64_t offset;
        uint8_t signature[MV_SIGNATURE_BYTES];
};
#define MV_SEAL_MESSAGE_BYTES (20 + MV_DIGEST_BYTES + 8 + MV_DIGEST_BYTES)
struct mv_slice mv__seal_message(const struct mv__store_header *h, uint64_t offset,
                                 const uint8_t prev[MV_DIGEST_BYTES],
                                 uint8_t buf[MV_SEAL_MESSAGE_BYTES]);
bool mv__seal_put(const struct mv__seal *s, struct mv_out *semantic, struct mv_out *observed);
const char *mv__seal_get(struct mv_slice semantic, struct mv_slice observed, struct mv__seal *ret);

#endif
