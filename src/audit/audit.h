/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_AUDIT_H
#define MV_AUDIT_H
/* The record of every decision (REQ-AUD). Host only. Format: docs/formats/audit.md, drawn in audit/format.c.
 *
 * (1) A record is durable before the effect it describes is released: mv_trail_sync returns first.
 * (2) A store that cannot take a record stops the action (REQ-AUD-18); nothing is buffered in hope.
 * (3) Records of one store form one SHA-256 chain; the semantic digests of one execution form a Merkle tree (RFC 6962
 *     hashing: leaf 0x00, node 0x01) whose root is in the result and in the execution's last record. Seals (Ed25519) sign
 *     the chain up to them, so every root before; when they are written is the rule in audit/seal.c.
 * (4) The semantic part is deterministic: the same program with the same replies gives the same root on every provider.
 * (5) A torn tail is cut on open; a broken chain is reported, never repaired. */
#include <base/arena.h>
#include <base/cur.h>
#include <base/err.h>
#include <microvm/value.h>

#define MV_DIGEST_BYTES      32
#define MV_AUDIT_PAYLOAD_MAX (32u << 20)
#define MV_AUDIT_MEMORY_BYTES_MAX                                                                  \
        (1ull << 30) /* a store in memory that is full refuses, as a full disk does: (2) */
#define MV_SEAL_ROOTS_MAX        256  /* so many executions wait for their signature at most */
#define MV_AUDIT_VALUE_BYTES_MAX 4096 /* larger arguments are kept as their digest, REQ-AUD-13 */

/* One store: a file, or memory. Several processes may append to one file at once; each must have the same key. Threads:
 * any, but not across a fork. Writing beyond RLIMIT_FSIZE raises SIGXFSZ unless the process ignores it. */
struct mv_audit;
struct mv_audit_options {
        const char *path; /* NULL: memory only */
        const char *
                key_path; /* Ed25519 key, made on first use with mode 0600; NULL: an ephemeral key, with which a file can
                               * only be begun, not continued */
        /* file without fdatasync: for benchmarks, recorded in the store's header */
        bool no_sync;
        uint32_t
                seal_roots; /* seal when so many roots wait, at most MV_SEAL_ROOTS_MAX; 1: each root is sealed when
                               * mv_trail_end returns. 0: the rule of audit/seal.c */
};
/* DENIED: the key file is open to others. STATE: the file was begun with another key, or as a syncing one and no_sync is
 * asked for. CORRUPT: not an audit store, or its last record is damaged. */
int mv_audit_open(const struct mv_audit_options *o, struct mv_audit **ret, struct mv_err *err);
/* After its trails were freed; NULL in, NULL out. Seals what this process appended; a seal that cannot be written is missing
 * (a verifier says so) and no more. */
struct mv_audit *mv_audit_close(struct mv_audit *a);
/* 32-byte public key of the signer. */
void mv_audit_public_key(const struct mv_audit *a, uint8_t ret[32]);

/* Record types: stable numbers; names are those of REQ-AUD-02..04. */
enum mv_record_type {
        /* semantic: program kind, program digest, args, context digest, limits that decide */
        MV_REC_EXECUTION_STARTED = 1,
        MV_REC_DECISION, /* SecurityDecision: operation, capability, args, allowed, rule, permissions */
        /* CapabilityCall: seq, id, args: the effect is about to happen */
        MV_REC_CALL,
        MV_REC_RESULT, /* CapabilityResult: seq, reply or fault */
        MV_REC_STEP,   /* PlanStep* and the other events: the STEP payload */
        MV_REC_EXECUTION_ENDED, /* PlanEnded (completed or aborted: by its outcome); semantic: outcome value or
                                       * error; observed: provider, tier, metadata */
        MV_REC_ROOT,            /* root, count: written by mv_trail_end */
        /* offset, signature over everything before it: of the store, so without an execution id */
        MV_REC_SEAL,
        MV_REC_STEP_PROFILE, /* StepProfileDerived: what a step of the program may do */
        /* About an execution, but no leaf of its tree: what people and crashes did to it, so that a run that was interrupted
         * and went on has the root of one that was not. */
        MV_REC_RESUMED, /* semantic: root and count of the leaves so far; written by mv_trail_follow */
        MV_REC_PAUSED,   /* why it stopped without having ended: docs/design/durability.md */
        MV_REC_APPROVAL, /* asked for, granted, rejected, timed out */
        MV_REC_BUDGET,   /* so much was spent that somebody wanted to be told */
        MV_REC_BUDGET_ALLOCATED,   /* what may be spent, before the program starts */
        MV_REC_BUDGET_CONSUMPTION, /* what was spent, when a process is done with it */
        MV_REC_BUDGET_EXHAUSTED,   /* once of each kind and policy */
        MV_REC_BUDGET_EXTENDED,    /* somebody approved */
        MV_REC_HINT, /* what the program said about a call made a difference: broker/hints.c */
        MV_REC_MAX_
};
const char *mv_record_type_name(enum mv_record_type t);
bool mv_record_is_note(enum mv_record_type t); /* no leaf: RESUMED and those behind it */

/* One execution's records. One thread at a time; different trails of one audit on any threads. An execution id is 1 to 63
 * printable ASCII characters without spaces. */
struct mv_trail;
/* Claims the id: STATE while another trail of it is open, in this process or (a file) in any other. The claim ends with
 * the process, however it ends. */
int mv_trail_begin(struct mv_audit *a, const char *execution_id, struct mv_trail **ret,
                   struct mv_err *err);
/* Going on with an execution that never ended: its leaves as they stand in the store, in order (copied). A RESUMED record
 * is written; then an append of the leaf that comes next is compared with it instead of being stored, until all of them
 * were. CORRUPT: another one. Right after mv_trail_begin only. */
int mv_trail_follow(struct mv_trail *t, const uint8_t (*leaves)[MV_DIGEST_BYTES], uint64_t count,
                    struct mv_slice observed, struct mv_err *err);
bool mv_trail_following(const struct mv_trail *t); /* leaves of the store are left */
bool mv_trail_followed(const struct mv_trail *t);  /* the last append stood in the store already */
uint64_t mv_trail_count(const struct mv_trail *t); /* leaves */
/* A record that is no leaf: PAUSED and those behind it. */
int mv_trail_note(struct mv_trail *t, enum mv_record_type type, struct mv_slice semantic,
                  struct mv_slice observed, struct mv_err *err);
/* semantic, observed: each one deterministic CBOR item; observed may be empty. Appends to the chain and to the tree; not
 * durable before mv_trail_sync (or mv_trail_end). */
int mv_trail_append(struct mv_trail *t, enum mv_record_type type, struct mv_slice semantic,
                    struct mv_slice observed, struct mv_err *err);
/* What is appended from now on happened at this time (milliseconds since 1970), a root too; 0: when it is appended. */
void mv_trail_at(struct mv_trail *t, uint64_t time_ms);
/* group commit: one fdatasync serves every waiting trail */
int mv_trail_sync(struct mv_trail *t, struct mv_err *err);
/* Root over all semantic digests so far, its record, a seal when one is due, sync. Frees nothing. When the seal fails, so
 * does the call, though the root is recorded. */
int mv_trail_end(struct mv_trail *t, uint8_t ret_root[MV_DIGEST_BYTES], uint32_t *ret_records,
                 struct mv_err *err);
struct mv_trail *mv_trail_free(struct mv_trail *t);

/* --- reading ---------------------------------------------------------------------------------- */
struct mv_audit_record {
        uint64_t index;  /* in the store, from 0 */
        uint64_t offset; /* of the record in the file */
        enum mv_record_type type;
        char execution_id[64]; /* "" of a seal */
        uint64_t time_ms;      /* wall clock, observed */
        struct mv_slice semantic, observed;
        uint8_t digest[MV_DIGEST_BYTES]; /* of this record: the next record's prev */
        uint8_t semantic_digest[MV_DIGEST_BYTES];
};
/* Opens read-only, maps or reads the file, changes nothing. */
struct mv_audit_reader;
int mv_audit_reader_open(const char *path, struct mv_audit_reader **ret, struct mv_err *err);
/* A store in memory can be read too (tests, embedders): it is sealed first. */
int mv_audit_reader_of(struct mv_audit *a, struct mv_audit_reader **ret, struct mv_err *err);
struct mv_audit_reader *mv_audit_reader_close(struct mv_audit_reader *r);
/* 1: *ret filled, its slices valid until the next call; 0: end (a torn tail too); CORRUPT: names
 * index and offset of the first bad record. */
int mv_audit_read(struct mv_audit_reader *r, struct mv_audit_record *ret, struct mv_err *err);

/* DENIED unless the file is ours and nobody else may write it: what is not sealed yet is protected by that alone. A store in
 * memory is ours. */
int mv_audit_check_owner(const struct mv_audit *a, struct mv_err *err);
/* All of it, with this store's own key: 0, or CORRUPT with the first bad record. */
int mv_audit_verify_own(struct mv_audit *a, struct mv_err *err);

struct mv_audit_verdict {
        uint64_t records, executions, roots, bytes; /* executions - roots: began and never ended */
        uint64_t seals;
        /* records behind the last seal: nobody has signed them yet, reported, not an error */
        uint64_t unsealed;
        uint64_t torn_bytes; /* incomplete tail: reported, not an error */
        bool ok;
        uint64_t bad_index, bad_offset;
        char why[160];
        uint8_t head[MV_DIGEST_BYTES];
        uint8_t public_key[32];
};
/* Chain, Merkle roots, seals. 0 with ok=false when the content is bad; negative only when it cannot be read.
 * expected_key: NULL accepts the key in the file's header and reports it. */
int mv_audit_verify(const char *path, const uint8_t expected_key[32], struct mv_audit_verdict *ret,
                    struct mv_err *err);

/* RFC 6962 Merkle tree, incremental: keeps one digest per level. */
#define MV_MERKLE_LEVELS 24 /* 16,777,215 leaves: more records than one execution may write */
struct mv_merkle {
        uint64_t count;
        uint8_t level[MV_MERKLE_LEVELS][MV_DIGEST_BYTES];
};
/* Not when count >> MV_MERKLE_LEVELS would not be 0 afterwards. */
void mv_merkle_add(struct mv_merkle *m, const uint8_t leaf_digest[MV_DIGEST_BYTES]);
void mv_merkle_root(const struct mv_merkle *m, uint8_t ret[MV_DIGEST_BYTES]);
/* A leaf: SHA-256(0x00 || u8 type || semantic). */
void mv_semantic_digest(enum mv_record_type type, struct mv_slice semantic,
                        uint8_t ret[MV_DIGEST_BYTES]);
void mv_sha256(struct mv_slice bytes, uint8_t ret[MV_DIGEST_BYTES]);
/* A capability's argument for a record: its encoding, or beyond MV_AUDIT_VALUE_BYTES_MAX {"bytes", "sha256", "preview"}: the
 * size and digest of its encoding, and the first 64 code points of a text (of others, the name of the kind). Arguments
 * only: replay needs replies whole. false: o overflowed, or v has no encoding. */
bool mv_audit_put_value(struct mv_out *o, const struct mv_value *v);

#endif
