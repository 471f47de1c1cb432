/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_HOST_STORY_H
#define MV_HOST_STORY_H
/* One execution's records as they stand in a store: what replay.c runs again and resume.c carries on. */
#include <host/exec.h>

#define MV__STORY_BYTES_MAX ((size_t)1 << 30)

struct mv__story_record {
        enum mv_record_type type;
        struct mv_slice semantic, observed;
        struct mv__story_record *next;
};
struct mv__story {
        struct mv_arena memory;
        struct mv__story_record *first, *last;      /* leaves, in order */
        struct mv__story_record *notes, *last_note; /* RESUMED, PAUSED, APPROVAL */
        uint64_t count;                             /* leaves */
        bool has_root;
        uint8_t root[MV_DIGEST_BYTES];
};
/* NOT_FOUND; UNSUPPORTED: denied before it started. */
int mv__story_read(struct mv_audit_reader *reader, const char *execution_id, struct mv__story *s,
                   struct mv_err *err);
/* The execution as it was asked for, from EXECUTION_STARTED; the program has the recorded digest. */
int mv__story_request(const struct mv__story_record *started, struct mv__exec *e,
                      struct mv_execution *x, struct mv_err *err);

/* For struct mv_broker_replay. */
struct mv__story_source {
        const struct mv__story_record *at;
};
int mv__story_next(void *ctx, enum mv_record_type *ret_type, struct mv_slice *ret_semantic,
                   struct mv_err *err);

#endif
