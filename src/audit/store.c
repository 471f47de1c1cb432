/* SPDX-License-Identifier: Apache-2.0 */
/* A store that is written to: a file, or memory. The bytes are audit/format.c.
 *
 * (1) Several processes may append to one file: every append holds flock(LOCK_EX), and first reads what others have appended
 *     since, checking their chain, so that its own record follows theirs. Threads of one process take turns by a mutex.
 * (2) A record is written by one call behind the last whole record. If it does not go in whole, the file is cut back; if
 *     that fails too, the store takes nothing more.
 * (3) A torn tail (its writer died, for the lock is ours) is cut; a whole record that is wrong is CORRUPT and stays.
 * (4) Opening looks at the last record only, found from the end by its second length; it walks the file from the beginning
 *     when that does not fit. mv_audit_verify checks all of it.
 * (5) One fdatasync serves every thread that waits (mv__store_sync). When it fails, what is on the disk is unknown: the
 *     store takes nothing more.
 * An open store must not be used on both sides of a fork: the two would share one lock. */
#include <audit/source.h>
#include <audit/store.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* Chunks of a store in memory double, so that a small one stays small, up to where one more
 * malloc is rare enough. */
#define CHUNK_BYTES_MIN ((size_t)16 << 10)
#define CHUNK_BYTES_MAX ((size_t)1 << 20)

static int fail_for_good(struct mv_audit *a, struct mv_err *err, int code)
{
        a->failed = *err;
        return code;
}

static int corrupt(struct mv_audit *a, uint64_t offset, const char *why, struct mv_err *err)
{
        return mv_fail(err, MV_E_CORRUPT, 0, "audit store %s: record at byte %lu: %s", a->path,
                       (unsigned long)offset, why);
}

/* --- the file's lock and tail ----------------------------------------------------------------- */

static int file_lock(struct mv_audit *a, struct mv_err *err)
{
        while (flock(a->fd, LOCK_EX) < 0)
                if (errno != EINTR)
                        return mv_fail(err, MV_E_SYS, errno, "lock audit store %s", a->path);
        return 0;
}

static int file_size(struct mv_audit *a, uint64_t *ret, struct mv_err *err)
{
        struct stat st;
        if (fstat(a->fd, &st) < 0)
                return mv_fail(err, MV_E_SYS, errno, "audit store %s", a->path);
        *ret = (uint64_t)st.st_size;
        return 0;
}

static int file_cut(struct mv_audit *a, uint64_t end, struct mv_err *err)
{
        if (ftruncate(a->fd, (off_t)end) < 0)
                return mv_fail(err, MV_E_SYS, errno, "cut audit store %s at byte %lu", a->path,
                               (unsigned long)end);
        return 0;
}

/* Follow the records from a->end to the end of the file: (1), (3). */
static int catch_up(struct mv_audit *a, uint64_t size, struct mv_err *err)
{
        struct mv__walk w = { .fd = a->fd, .size = size, .offset = a->end };
        struct mv__record r;
        int step;
        w.salt = &a->header.salt;
        memcpy(w.prev, a->prev, sizeof w.prev);
        while ((step = mv__walk_next(&w, &r, err)) == MV__WALK_RECORD)
                mv__seal_saw(a, &r, false);
        a->end = w.offset;
        memcpy(a->prev, w.prev, sizeof a->prev);
        if (step == MV__WALK_BAD)
                step = corrupt(a, w.offset, w.why, err);
        else if (step == MV__WALK_TORN)
                step = file_cut(a, w.offset, err);
        mv__walk_done(&w);
        return step;
}

/* (4) Is there a whole record right before the end of the file? */
static bool tail_found(struct mv_audit *a, uint64_t size)
{
        struct mv__walk w = { .fd = a->fd, .size = size };
        struct mv_slice bytes;
        struct mv__record r;
        bool found = false;
        if (size >= MV_STORE_HEADER_BYTES + MV_RECORD_BYTES_MIN &&
            mv__walk_bytes(&w, size - 4, 4, &bytes, NULL) == 0) {
                struct mv_cur c = mv_cur(bytes);
                uint32_t length = mv_get_u32(&c);
                found = length >= MV_RECORD_BYTES_MIN && length <= size - MV_STORE_HEADER_BYTES &&
                        mv__walk_bytes(&w, size - length, length, &bytes, NULL) == 0 &&
                        !mv__record_decode(&a->header.salt, bytes, &r);
        }
        if (found) {
                memcpy(a->prev, r.digest, sizeof a->prev);
                mv__seal_saw(a, &r, false);
                a->end = size;
        }
        mv__walk_done(&w);
        return found;
}

/* --- opening ---------------------------------------------------------------------------------- */

static int header_make(struct mv_audit *a, uint8_t bytes[MV_STORE_HEADER_BYTES], struct mv_err *err)
{
        a->header.flags = a->no_sync && a->path ? MV_STORE_NO_SYNC : 0;
        if (getrandom(a->header.nonce, sizeof a->header.nonce, 0) != sizeof a->header.nonce)
                return mv_fail(err, MV_E_SYS, errno, "getrandom");
        int r = mv__key_public(a->key, a->header.public_key, err);
        if (r < 0)
                return r;
        mv__store_header_encode(&a->header, bytes);
        memcpy(a->prev, a->header.digest, sizeof a->prev);
        a->end = MV_STORE_HEADER_BYTES;
        return 0;
}

static int file_begin(struct mv_audit *a, struct mv_err *err)
{
        uint8_t bytes[MV_STORE_HEADER_BYTES];
        int r = header_make(a, bytes, err);
        if (r == 0)
                r = file_cut(a, 0, err);
        if (r < 0)
                return r;
        ssize_t n = pwrite(a->fd, bytes, sizeof bytes, 0);
        if (n != (ssize_t)sizeof bytes)
                return mv_fail(err, MV_E_SYS, n < 0 ? errno : ENOSPC, "begin audit store %s",
                               a->path);
        if (a->no_sync)
                return 0;
        if (fdatasync(a->fd) < 0)
                return mv_fail(err, MV_E_SYS, errno, "sync audit store %s", a->path);
        return mv__sync_directory_of(a->path, err);
}

static int header_check(struct mv_audit *a, struct mv_err *err)
{
        uint8_t key[32];
        int r = mv__key_public(a->key, key, err);
        if (r < 0)
                return r;
        if (memcmp(key, a->header.public_key, sizeof key) != 0)
                return mv_fail(
                        err, MV_E_STATE, 0,
                        "audit store %s was begun with another key: name that key's file, or "
                        "another store",
                        a->path);
        if (a->no_sync && !(a->header.flags & MV_STORE_NO_SYNC))
                return mv_fail(
                        err, MV_E_STATE, 0,
                        "audit store %s was begun as one that waits for the disk: open it without "
                        "no_sync, or name another store",
                        a->path);
        return 0;
}

static int file_continue(struct mv_audit *a, uint64_t size, struct mv_err *err)
{
        struct mv__walk w = { .fd = a->fd, .size = size };
        struct mv_slice bytes;
        size_t n = size < MV_STORE_HEADER_BYTES ? (size_t)size : MV_STORE_HEADER_BYTES;
        int r = mv__walk_bytes(&w, 0, n, &bytes, err);
        const char *why = r == 0 ? mv__store_header_decode(bytes, &a->header) : NULL;
        bool torn = r == 0 && size < MV_STORE_HEADER_BYTES && mv__store_header_begins(bytes);
        mv__walk_done(&w);
        if (r < 0)
                return r;
        if (torn) /* whoever began it died while doing so */
                return file_begin(a, err);
        if (why)
                return mv_fail(err, MV_E_CORRUPT, 0, "audit store %s: %s", a->path, why);
        r = header_check(a, err);
        if (r < 0 || tail_found(a, size))
                return r;
        a->end = MV_STORE_HEADER_BYTES;
        memcpy(a->prev, a->header.digest, sizeof a->prev);
        return catch_up(a, size, err);
}

static int file_open(struct mv_audit *a, struct mv_err *err)
{
        struct stat st;
        uint64_t size = 0;
        a->fd = open(a->path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
        if (a->fd < 0 || fstat(a->fd, &st) < 0)
                return mv_fail(err, MV_E_SYS, errno, "open audit store %s", a->path);
        if (!S_ISREG(st.st_mode))
                return mv_fail(err, MV_E_INVALID, 0, "audit store %s is not a regular file",
                               a->path);
        int r = file_lock(a, err);
        if (r < 0)
                return r;
        r = file_size(a, &size, err);
        if (r == 0)
                r = size ? file_continue(a, size, err) : file_begin(a, err);
        flock(a->fd, LOCK_UN);
        return r;
}

static void chunks_free(struct mv__chunk *c)
{
        while (c) {
                struct mv__chunk *next = c->next;
                free(c);
                c = next;
        }
}

/* All pages of a large chunk at once cost a third of one fault each. Where the kernel does not
 * know how, they come one by one. */
static void populate(void *p, size_t bytes)
{
        size_t page = (size_t)sysconf(_SC_PAGESIZE);
        size_t skip = -(uintptr_t)p & (page - 1);
        if (bytes >= CHUNK_BYTES_MAX)
                (void)madvise((uint8_t *)p + skip, (bytes - skip) & ~(page - 1),
                              MADV_POPULATE_WRITE);
}

static int chunk_add(struct mv_audit *a, size_t bytes, struct mv_err *err)
{
        size_t cap = a->chunk ? a->chunk->cap * 2 : CHUNK_BYTES_MIN;
        if (cap > CHUNK_BYTES_MAX)
                cap = CHUNK_BYTES_MAX;
        if (cap < bytes)
                cap = bytes;
        struct mv__chunk *c = malloc(sizeof *c + cap);
        if (!c)
                return mv_fail(err, MV_E_NOMEM, 0, "audit store in memory");
        populate(c, sizeof *c + cap);
        *c = (struct mv__chunk){ .cap = cap };
        *(a->chunk ? &a->chunk->next : &a->chunks) = c;
        a->chunk = c;
        return 0;
}

/* Room for bytes more in the chunk in use. */
static int memory_reserve(struct mv_audit *a, uint64_t bytes, struct mv_err *err)
{
        if (a->end + bytes > MV_AUDIT_MEMORY_BYTES_MAX)
                return mv_fail(err, MV_E_LIMIT, 0,
                               "an audit store in memory holds at most %lu bytes: name a file",
                               (unsigned long)MV_AUDIT_MEMORY_BYTES_MAX);
        if (a->chunk && bytes <= a->chunk->cap - a->chunk->len)
                return 0;
        return chunk_add(a, (size_t)bytes, err);
}

static int memory_open(struct mv_audit *a, struct mv_err *err)
{
        int r = memory_reserve(a, MV_STORE_HEADER_BYTES, err);
        if (r < 0)
                return r;
        a->chunk->len = MV_STORE_HEADER_BYTES;
        return header_make(a, a->chunk->bytes, err);
}

int mv__store_copy(struct mv_audit *a, uint8_t **ret, size_t *ret_len, struct mv_err *err)
{
        pthread_mutex_lock(&a->lock);
        uint8_t *copy = malloc((size_t)a->end);
        struct mv_out o = mv_out(copy, copy ? (size_t)a->end : 0);
        for (const struct mv__chunk *c = a->chunks; c; c = c->next)
                mv_put_bytes(&o, c->bytes, c->len);
        pthread_mutex_unlock(&a->lock);
        if (!copy)
                return mv_fail(err, MV_E_NOMEM, 0, "copy of an audit store in memory");
        *ret = copy;
        *ret_len = o.len;
        return 0;
}

int mv_audit_open(const struct mv_audit_options *o, struct mv_audit **ret, struct mv_err *err)
{
        struct mv_audit *a = calloc(1, sizeof *a);
        if (!a)
                return mv_fail(err, MV_E_NOMEM, 0, "audit store");
        a->fd = -1;
        a->no_sync = o->no_sync;
        a->seal_roots = o->seal_roots < MV_SEAL_ROOTS_MAX ? o->seal_roots : MV_SEAL_ROOTS_MAX;
        pthread_mutex_init(&a->lock, NULL);
        pthread_cond_init(&a->synced_more, NULL);
        a->path = o->path ? strdup(o->path) : NULL;
        int r = o->path && !a->path ? mv_fail(err, MV_E_NOMEM, 0, "audit store")
                                    : mv__key_open(o->key_path, &a->key, err);
        if (r == 0)
                r = o->path ? file_open(a, err) : memory_open(a, err);
        if (r < 0) {
                mv_audit_close(a);
                return r;
        }
        *ret = a;
        return 0;
}

struct mv_audit *mv_audit_close(struct mv_audit *a)
{
        if (!a)
                return NULL;
        mv__seal_rest(a, NULL);
        if (a->fd >= 0)
                close(a->fd);
        mv__key_close(a->key);
        pthread_cond_destroy(&a->synced_more);
        pthread_mutex_destroy(&a->lock);
        chunks_free(a->chunks);
        free(a->path);
        free(a);
        return NULL;
}

void mv_audit_public_key(const struct mv_audit *a, uint8_t ret[32])
{
        memcpy(ret, a->header.public_key, 32);
}

/* --- appending -------------------------------------------------------------------------------- */

static int refuse_failed(const struct mv_audit *a, struct mv_err *err)
{
        if (a->failed.code == MV_OK)
                return 0;
        if (err)
                *err = a->failed;
        return mv_wrap(err, "the audit store has failed and takes nothing more");
}

/* What others have appended since our last append. */
static int file_follow(struct mv_audit *a, struct mv_err *err)
{
        uint64_t size;
        int r = file_size(a, &size, err);
        if (r < 0 || size == a->end)
                return r;
        if (size < a->end)
                return fail_for_good(a, err, corrupt(a, size, "somebody has cut the file", err));
        r = catch_up(a, size, err);
        return r < 0 ? fail_for_good(a, err, r) : r;
}

int mv__store_begin(struct mv_audit *a, struct mv_err *err)
{
        pthread_mutex_lock(&a->lock);
        struct mv_err local;
        struct mv_err *e = err ? err : &local; /* a->failed keeps the reason */
        int r = refuse_failed(a, e);
        if (r == 0 && a->fd >= 0)
                r = file_lock(a, e);
        bool locked = r == 0 && a->fd >= 0;
        if (locked)
                r = file_follow(a, e);
        if (r == 0)
                return 0;
        if (locked)
                flock(a->fd, LOCK_UN);
        pthread_mutex_unlock(&a->lock);
        return r;
}

void mv__store_finish(struct mv_audit *a)
{
        if (a->fd >= 0)
                flock(a->fd, LOCK_UN);
        pthread_mutex_unlock(&a->lock);
}

/* One call writes it all in practice; a second one after a short write only fetches the reason. */
static int write_pieces(int fd, const struct mv__record_bytes *b, uint64_t at)
{
        uint64_t done = 0;
        while (done < b->length) {
                struct iovec v[5];
                int count = 0;
                uint64_t skip = done;
                for (size_t i = 0; i < 5; i++) {
                        size_t n = skip < b->pieces[i].len ? b->pieces[i].len - (size_t)skip : 0;
                        if (n)
                                v[count++] = (struct iovec){ (void *)(b->pieces[i].p + skip), n };
                        skip -= n ? skip : b->pieces[i].len;
                }
                ssize_t n = pwritev(fd, v, count, (off_t)(at + done));
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0) {
                        errno = n ? errno : ENOSPC;
                        return -1;
                }
                done += (uint64_t)n;
        }
        return 0;
}

/* (2) */
static int file_put(struct mv_audit *a, const struct mv__record_bytes *b, struct mv_err *err)
{
        if (write_pieces(a->fd, b, a->end) == 0)
                return 0;
        int sys = errno;
        if (ftruncate(a->fd, (off_t)a->end) < 0) {
                struct mv_err local;
                int r = mv_fail(&local, MV_E_SYS, errno,
                                "cut audit store %s back after a failed write", a->path);
                if (err)
                        *err = local;
                return fail_for_good(a, &local, r);
        }
        return mv_fail(err, MV_E_SYS, sys, "append to audit store %s", a->path);
}

static int memory_put(struct mv_audit *a, const struct mv__record_bytes *b, struct mv_err *err)
{
        int r = memory_reserve(a, b->length, err);
        if (r < 0)
                return r;
        struct mv_out o = mv_out(a->chunk->bytes + a->chunk->len, (size_t)b->length);
        for (size_t i = 0; i < 5; i++)
                mv_put_slice(&o, b->pieces[i]);
        a->chunk->len += (size_t)b->length;
        return 0;
}

static uint64_t now_ms(void)
{
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int mv__store_put(struct mv_audit *a, struct mv__record *r, struct mv_err *err)
{
        struct mv__record_bytes bytes;
        if (!r->time_ms)
                r->time_ms = now_ms();
        memcpy(r->prev, a->prev, sizeof r->prev);
        mv__record_encode(&a->header.salt, r, &bytes);
        int e = a->fd >= 0 ? file_put(a, &bytes, err) : memory_put(a, &bytes, err);
        if (e < 0)
                return e;
        a->end += bytes.length;
        memcpy(a->prev, r->digest, sizeof a->prev);
        mv__seal_saw(a, r, true);
        return 0;
}

/* --- group commit ----------------------------------------------------------------------------- */

/* With the mutex held: one fdatasync for everything appended so far, by us or by anybody. */
static void sync_once(struct mv_audit *a)
{
        uint64_t target = a->end;
        a->syncing = true;
        pthread_mutex_unlock(&a->lock);
        int sys = fdatasync(a->fd) < 0 ? errno : 0;
        pthread_mutex_lock(&a->lock);
        a->syncing = false;
        if (sys) /* (5) */
                mv__fail(&a->failed, MV_E_SYS, sys, "sync audit store %s", a->path);
        else if (target > a->synced)
                a->synced = target;
        pthread_cond_broadcast(&a->synced_more);
}

int mv__store_sync(struct mv_audit *a, uint64_t end, struct mv_err *err)
{
        if (a->fd < 0) /* what memory could not take was refused when it was appended */
                return 0;
        pthread_mutex_lock(&a->lock);
        while (a->failed.code == MV_OK && !a->no_sync && a->synced < end) {
                if (a->syncing)
                        pthread_cond_wait(&a->synced_more, &a->lock);
                else
                        sync_once(a);
        }
        int r = refuse_failed(a, err);
        pthread_mutex_unlock(&a->lock);
        return r;
}
