/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_AUDIT_SOURCE_H
#define MV_AUDIT_SOURCE_H
/* Walking the records of a store, from a file or from memory: one walk for opening, reading and
 * verifying. */
#include <audit/format.h>

struct mv__walk {
        int fd;                      /* -1: bytes */
        struct mv_slice bytes;       /* of a store in memory; owned by somebody else */
        uint64_t size;               /* where the walk ends */
        const struct mv__salt *salt; /* of the header, which outlives the walk */
        uint8_t prev[MV_DIGEST_BYTES];
        uint64_t offset, index; /* of the next record */
        const char *why;        /* after MV__WALK_BAD */
        uint8_t *window;        /* what was read of the file: [window_at, window_at + window_len) */
        size_t window_len, window_cap;
        uint64_t window_at;
};
enum { MV__WALK_END, MV__WALK_RECORD, MV__WALK_TORN, MV__WALK_BAD };
/* RECORD: *ret points into the walk until the next call, the walk stands behind it. Others: the walk stays where it is.
 * Negative: the file could not be read. */
int mv__walk_next(struct mv__walk *w, struct mv__record *ret, struct mv_err *err);
/* n bytes at an offset below size, valid until the next call. */
int mv__walk_bytes(struct mv__walk *w, uint64_t offset, size_t n, struct mv_slice *ret,
                   struct mv_err *err);
void mv__walk_done(struct mv__walk *w);

#endif
