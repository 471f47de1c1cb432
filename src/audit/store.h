/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_AUDIT_STORE_H
#define MV_AUDIT_STORE_H
/* One open store. Appending is begin, put..., finish; between begin and finish nobody else writes, in any process. */
#include <audit/format.h>
#include <audit/key.h>
#include <pthread.h>

struct mv_audit {
        pthread_mutex_t lock;
        pthread_cond_t synced_more;
        struct mv__key *key;
        struct mv__store_header header;
        int fd;               /* -1: memory */
        char *path;           /* for messages; NULL: memory */
        bool no_sync;
        uint8_t prev[MV_DIGEST_BYTES];
        uint64_t end;         /* bytes of whole records, header included */
        uint64_t synced;      /* bytes known to be durable */
        bool syncing;         /* one thread is in fdatasync */
        struct mv_err failed; /* code != MV_OK: the store takes nothing more */
        uint8_t *memory;
        size_t memory_cap;
};
int mv__store_begin(struct mv_audit *a, struct mv_err *err); /* negative: nothing is held */
/* r->prev, r->time_ms and r->digest are filled here. On failure the store ends where it ended before. */
int mv__store_put(struct mv_audit *a, struct mv__record *r, struct mv_err *err);
void mv__store_finish(struct mv_audit *a);
/* Wait until everything up to an end is durable. */
int mv__store_sync(struct mv_audit *a, uint64_t end, struct mv_err *err);

#endif
