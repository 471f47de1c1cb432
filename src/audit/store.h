/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_AUDIT_STORE_H
#define MV_AUDIT_STORE_H
/* One open store. Appending is begin, put..., finish; between begin and finish nobody else
 * writes, in any process. */
#include <audit/format.h>
#include <audit/key.h>
#include <pthread.h>

struct mv__chunk { /* of a store in memory; records are not split */
        struct mv__chunk *next;
        size_t len, cap;
        uint8_t bytes[];
};

/* What has been appended since the last seal, by whomever: audit/seal.c. */
struct mv__unsealed {
        bool any, own; /* own: by this process */
        uint32_t roots;
        uint64_t oldest_ms; /* time of the first record */
        /* times of the last two roots, sealed or not; 0: not known */
        uint64_t root_ms, root_before_ms;
};

struct mv_trail;
struct mv_audit {
        struct mv_trail *trails; /* open ones; under lock */
        pthread_mutex_t lock;
        pthread_cond_t synced_more;
        struct mv__key *key;
        struct mv__store_header header;
        int fd;     /* -1: memory */
        char *path; /* for messages; NULL: memory */
        bool no_sync;
        uint8_t prev[MV_DIGEST_BYTES];
        uint64_t end;                     /* bytes of whole records, header included */
        uint64_t synced;                  /* bytes known to be durable */
        bool syncing;                     /* one thread is in fdatasync */
        struct mv_err failed;             /* code != MV_OK: the store takes nothing more */
        struct mv__chunk *chunks, *chunk; /* of a store in memory: the first, the one in use */
        uint32_t seal_roots;
        struct mv__unsealed unsealed;
};
int mv__store_begin(struct mv_audit *a, struct mv_err *err); /* negative: nothing is held */
/* r->prev, r->time_ms, r->leaf and r->digest are filled here. On failure the store ends where it
 * ended before. */
int mv__store_put(struct mv_audit *a, struct mv__record *r, struct mv_err *err);
void mv__store_finish(struct mv_audit *a);
/* The bytes of a store in memory; the caller frees them. */
int mv__store_copy(struct mv_audit *a, uint8_t **ret, size_t *ret_len, struct mv_err *err);
/* Wait until everything up to an end is durable. */
int mv__store_sync(struct mv_audit *a, uint64_t end, struct mv_err *err);

/* --- seals (seal.c); between begin and finish ------------------------------------------------- */
/* a record was appended */
void mv__seal_saw(struct mv_audit *a, const struct mv__record *r, bool own);
/* asked when a root was just appended */
bool mv__seal_due(const struct mv_audit *a);
int mv__seal_append(struct mv_audit *a, struct mv_err *err);
/* Outside of begin and finish: seal what this process has appended and nobody has sealed. */
int mv__seal_rest(struct mv_audit *a, struct mv_err *err);

#endif
