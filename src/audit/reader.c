/* SPDX-License-Identifier: Apache-2.0 */
/* Reading what somebody wrote: nothing is changed, no lock is taken. Appending moves only what lies behind the size seen at
 * opening, so a reader beside writers sees whole records, and at most a tail that is being written. */
#include <audit/digest.h>
#include <audit/reader.h>
#include <audit/store.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int reader_new(int fd, struct mv_slice bytes, uint64_t size, struct mv_audit_reader **ret,
                      struct mv_err *err)
{
        struct mv_audit_reader *r = calloc(1, sizeof *r);
        if (!r)
                return mv_fail(err, MV_E_NOMEM, 0, "audit reader");
        r->walk = (struct mv__walk){
                .fd = fd, .bytes = bytes, .size = size, .offset = MV_STORE_HEADER_BYTES
        };
        r->ended = MV__WALK_RECORD;
        struct mv_slice header;
        size_t n = size < MV_STORE_HEADER_BYTES ? (size_t)size : MV_STORE_HEADER_BYTES;
        int e = mv__walk_bytes(&r->walk, 0, n, &header, err);
        const char *why = e == 0 ? mv__store_header_decode(header, &r->header) : NULL;
        if (why)
                e = mv_fail(err, MV_E_CORRUPT, 0, "audit store: record 0 at byte 0: %s", why);
        if (e < 0) {
                r->walk.fd = -1; /* the caller keeps its descriptor */
                mv_audit_reader_close(r);
                return e;
        }
        r->walk.salt = &r->header.salt;
        memcpy(r->walk.prev, r->header.digest, sizeof r->walk.prev);
        *ret = r;
        return 0;
}

int mv_audit_reader_open(const char *path, struct mv_audit_reader **ret, struct mv_err *err)
{
        struct stat st;
        int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0)
                return mv_fail(err, MV_E_SYS, errno, "open audit store %s", path);
        int r = fstat(fd, &st) < 0     ? mv_fail(err, MV_E_SYS, errno, "open audit store %s", path)
                : !S_ISREG(st.st_mode) ? mv_fail(err, MV_E_INVALID, 0,
                                                 "audit store %s is not a regular file", path)
                                       : reader_new(fd, (struct mv_slice){ NULL, 0 },
                                                    (uint64_t)st.st_size, ret, err);
        if (r < 0)
                close(fd);
        return r;
}

int mv__reader_of_bytes(struct mv_slice bytes, struct mv_audit_reader **ret, struct mv_err *err)
{
        return reader_new(-1, bytes, bytes.len, ret, err);
}

int mv_audit_reader_of(struct mv_audit *a, struct mv_audit_reader **ret, struct mv_err *err)
{
        if (a->path)
                return mv_audit_reader_open(a->path, ret, err);
        size_t len;
        uint8_t *copy;
        int r = mv__seal_rest(a, err);
        if (r == 0)
                r = mv__store_copy(a, &copy, &len, err);
        if (r < 0)
                return r;
        struct mv_audit_reader *reader = NULL;
        r = mv__reader_of_bytes((struct mv_slice){ copy, len }, &reader, err);
        if (r < 0) {
                free(copy);
                return r;
        }
        reader->copy = copy;
        *ret = reader;
        return 0;
}

struct mv_audit_reader *mv_audit_reader_close(struct mv_audit_reader *r)
{
        if (!r)
                return NULL;
        mv__walk_done(&r->walk);
        if (r->walk.fd >= 0)
                close(r->walk.fd);
        free(r->copy);
        free(r);
        return NULL;
}

int mv_audit_read(struct mv_audit_reader *r, struct mv_audit_record *ret, struct mv_err *err)
{
        struct mv__record record;
        uint64_t index = r->walk.index, offset = r->walk.offset;
        int step = r->ended == MV__WALK_RECORD ? mv__walk_next(&r->walk, &record, err) : r->ended;
        if (step < 0)
                return step;
        r->ended = step;
        if (step == MV__WALK_BAD)
                return mv_fail(err, MV_E_CORRUPT, 0, "audit store: record %lu at byte %lu: %s",
                               (unsigned long)index, (unsigned long)offset, r->walk.why);
        if (step != MV__WALK_RECORD)
                return 0;
        *ret = (struct mv_audit_record){ .index = index,
                                         .offset = offset,
                                         .type = record.type,
                                         .time_ms = record.time_ms,
                                         .semantic = record.semantic,
                                         .observed = record.observed };
        memcpy(ret->execution_id, record.id.p, record.id.len);
        memcpy(ret->digest, record.digest, sizeof ret->digest);
        memcpy(ret->semantic_digest, record.leaf, sizeof ret->semantic_digest);
        return 1;
}
