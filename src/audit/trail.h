/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_AUDIT_TRAIL_H
#define MV_AUDIT_TRAIL_H
/* An open trail, between trail.c and follow.c. */
#include <audit/store.h>

struct mv_trail {
        struct mv_audit *audit;
        struct mv_trail *next; /* of the store's open ones */
        char id[MV_EXECUTION_ID_MAX + 1];
        size_t id_len;
        uint64_t end;     /* of our last record in the store */
        uint64_t time_ms; /* of its records; 0: each has its own */
        bool ended;
        bool followed; /* the last append was compared, not stored */
        uint8_t (*past)
                [MV_DIGEST_BYTES]; /* leaves of the store to be done again; tree.count are done */
        uint64_t past_count;
        struct mv_merkle tree; /* last, and not zeroed */
};
/* The id belongs to one open trail at a time. */
int mv__trail_claim(struct mv_trail *t, struct mv_err *err);
void mv__trail_release(struct mv_trail *t);
/* One record into the store; the tree is the caller's business. */
int mv__trail_put(struct mv_trail *t, enum mv_record_type type, struct mv_slice semantic,
                  struct mv_slice observed, uint8_t ret_leaf[MV_DIGEST_BYTES], struct mv_err *err);
/* The next leaf of the past must be this one. */
int mv__trail_compare(struct mv_trail *t, enum mv_record_type type, struct mv_slice semantic,
                      struct mv_err *err);

#endif
