/* SPDX-License-Identifier: Apache-2.0 */
/* The log of idempotency keys; the invariants are in effects.h.
 *
 *  FILE   OFFSET SIZE  FIELD                         all integers little-endian
 *            0     8   magic "MVEFFCT1"
 *  ENTRY     0     4   length of the whole entry
 *            4     4   state, enum mv_keyed_state: begun, done, failed, compensated
 *            8    32   key
 *           40    32   request
 *           72     8   time, milliseconds since 1970
 *           80     8   the window ends, milliseconds since 1970
 *           88     8   number of the call
 *           96    64   execution id, NULs behind it
 *          160     n   result
 *          160+n  32   HMAC-SHA256 over the entry's offset and SHA-256(all before)
 *
 * All of it is read when it is opened and followed from there; the newest entry of a key counts. When most of a large file
 * is past its window, or replaced, the rest is written anew beside it and renamed over it, under the lock of both. */
#include <audit/effects.h>
#include <audit/store.h>
#include <base/slice.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <search.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define HEAD_BYTES        8
#define FIXED_BYTES       160
#define MAC_BYTES         32
#define ENTRY_BYTES_MIN   (FIXED_BYTES + MAC_BYTES)
#define ENTRY_BYTES_MAX   (ENTRY_BYTES_MIN + MV_KEYED_RESULT_BYTES_MAX)
#define COMPACT_BYTES_MIN (4u << 20) /* below, a file full of old entries costs nobody anything */

static const uint8_t magic[HEAD_BYTES] = "MVEFFCT1";

struct known { /* the newest entry of a key */
        uint8_t key[MV_DIGEST_BYTES], request[MV_DIGEST_BYTES];
        enum mv_keyed_state state;
        uint64_t time_ms, until_ms, call;
        char execution_id[64];
        uint8_t *result;
        uint32_t result_len;
};

struct mv_effects {
        pthread_mutex_t lock;
        struct mv_audit *audit;
        char *path; /* NULL: memory */
        int fd;
        uint8_t secret[MV_DIGEST_BYTES];
        uint64_t end;    /* read up to here */
        uint64_t living; /* bytes of entries that are the newest of their key */
        void *known;     /* tsearch root */
        struct mv_err failed;
};

static uint64_t now_ms(void)
{
        struct timespec t;
        clock_gettime(CLOCK_REALTIME, &t);
        return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int by_key(const void *a, const void *b)
{
        return memcmp(((const struct known *)a)->key, ((const struct known *)b)->key,
                      MV_DIGEST_BYTES);
}

static void known_free(void *x)
{
        free(((struct known *)x)->result);
        free(x);
}

static uint64_t bytes_of(const struct known *k)
{
        return ENTRY_BYTES_MIN + (uint64_t)k->result_len;
}

/* Takes k. */
static int remember(struct mv_effects *e, struct known *k, struct mv_err *err)
{
        struct known **found = tsearch(k, &e->known, by_key);
        if (!found) {
                known_free(k);
                return mv_fail(err, MV_E_NOMEM, 0, "log of effects");
        }
        e->living += bytes_of(k);
        if (*found == k)
                return 0;
        e->living -= bytes_of(*found);
        known_free(*found);
        *found = k;
        return 0;
}

/* --- one entry -------------------------------------------------------------------------------- */
static void mac_of(const struct mv_effects *e, struct mv_slice entry, uint64_t at,
                   uint8_t ret[MAC_BYTES])
{
        uint8_t message[8 + MV_DIGEST_BYTES];
        unsigned len = 0;
        struct mv_out o = mv_out(message, 8);
        mv_put_u64(&o, at);
        mv_sha256(entry, message + 8);
        if (!HMAC(EVP_sha256(), e->secret, sizeof e->secret, message, sizeof message, ret, &len) ||
            len != MAC_BYTES)
                abort(); /* no entry may be believed, and none made */
}

static uint8_t *encode(const struct mv_effects *e, const struct known *k, uint64_t at, size_t *len)
{
        uint8_t *p = malloc(bytes_of(k));
        if (!p)
                return NULL;
        struct mv_out o = mv_out(p, bytes_of(k));
        mv_put_u32(&o, (uint32_t)bytes_of(k));
        mv_put_u32(&o, (uint32_t)k->state);
        mv_put_bytes(&o, k->key, sizeof k->key);
        mv_put_bytes(&o, k->request, sizeof k->request);
        mv_put_u64(&o, k->time_ms);
        mv_put_u64(&o, k->until_ms);
        mv_put_u64(&o, k->call);
        mv_put_bytes(&o, (const uint8_t *)k->execution_id, sizeof k->execution_id);
        mv_put_bytes(&o, k->result, k->result_len);
        mac_of(e, mv_out_slice(&o), at, p + o.len);
        *len = bytes_of(k);
        return p;
}

static void get_array(struct mv_cur *c, void *ret, size_t n)
{
        struct mv_slice s = mv_get_bytes(c, n);
        if (s.len == n)
                memcpy(ret, s.p, n);
}

/* NULL: not an entry of ours. */
static struct known *decode(const struct mv_effects *e, struct mv_slice bytes, uint64_t at)
{
        uint8_t mac[MAC_BYTES];
        mac_of(e, mv_slice(bytes.p, bytes.len - MAC_BYTES), at, mac);
        if (CRYPTO_memcmp(mac, bytes.p + bytes.len - MAC_BYTES, MAC_BYTES) != 0)
                return NULL;
        struct known *k = calloc(1, sizeof *k);
        uint32_t n = (uint32_t)(bytes.len - ENTRY_BYTES_MIN);
        if (!k || !(k->result = malloc(n + 1))) {
                free(k);
                return NULL;
        }
        struct mv_cur c = mv_cur(bytes);
        mv_get_u32(&c);
        k->state = (enum mv_keyed_state)mv_get_u32(&c);
        get_array(&c, k->key, sizeof k->key);
        get_array(&c, k->request, sizeof k->request);
        k->time_ms = mv_get_u64(&c);
        k->until_ms = mv_get_u64(&c);
        k->call = mv_get_u64(&c);
        get_array(&c, k->execution_id, sizeof k->execution_id);
        k->execution_id[sizeof k->execution_id - 1] = '\0';
        get_array(&c, k->result, n);
        k->result_len = n;
        return k;
}

/* --- the file --------------------------------------------------------------------------------- */
static int damaged(const struct mv_effects *e, const char *why, struct mv_err *err)
{
        return mv_fail(err, MV_E_CORRUPT, 0,
                       "log of effects %s: entry at byte %llu: %s; keep it, and move it away to "
                       "begin anew",
                       e->path, (unsigned long long)e->end, why);
}

static int read_at(const struct mv_effects *e, void *buf, size_t n, uint64_t at, struct mv_err *err)
{
        ssize_t got = pread(e->fd, buf, n, (off_t)at);
        return got == (ssize_t)n ? 0
                                 : mv_fail(err, MV_E_SYS, got < 0 ? errno : EIO,
                                           "read the log of effects %s", e->path);
}

/* 1: an entry was read; 0: there is none, or a torn one. */
static int read_entry(struct mv_effects *e, uint64_t size, struct mv_err *err)
{
        uint8_t head[4];
        if (size - e->end < sizeof head)
                return 0;
        int r = read_at(e, head, sizeof head, e->end, err);
        if (r < 0)
                return r;
        struct mv_cur c = mv_cur(mv_slice(head, sizeof head));
        uint32_t len = mv_get_u32(&c);
        if (len < ENTRY_BYTES_MIN || len > ENTRY_BYTES_MAX)
                return damaged(e, "no entry has this length", err);
        if (len > size - e->end)
                return 0;
        uint8_t *bytes = malloc(len);
        if (!bytes)
                return mv_fail(err, MV_E_NOMEM, 0, "log of effects");
        r = read_at(e, bytes, len, e->end, err);
        struct known *k = r == 0 ? decode(e, mv_slice(bytes, len), e->end) : NULL;
        free(bytes);
        if (r == 0 && !k)
                r = damaged(e, "it was not written with this store's key", err);
        if (r == 0)
                r = remember(e, k, err);
        if (r < 0)
                return r;
        e->end += len;
        return 1;
}

/* With the file's lock: what others have written; a torn tail is cut (3). */
static int catch_up(struct mv_effects *e, struct mv_err *err)
{
        struct stat st;
        int r;
        if (fstat(e->fd, &st) < 0)
                return mv_fail(err, MV_E_SYS, errno, "log of effects %s", e->path);
        if ((uint64_t)st.st_size < e->end)
                return damaged(e, "somebody has cut the file", err);
        while ((r = read_entry(e, (uint64_t)st.st_size, err)) == 1)
                ;
        if (r == 0 && (uint64_t)st.st_size > e->end && ftruncate(e->fd, (off_t)e->end) < 0)
                r = mv_fail(err, MV_E_SYS, errno, "cut the log of effects %s", e->path);
        return r;
}

static int check_file(const struct mv_effects *e, const struct stat *st, struct mv_err *err)
{
        if (S_ISREG(st->st_mode) && st->st_uid == geteuid() && !(st->st_mode & 022))
                return 0;
        return mv_fail(err, MV_E_DENIED, 0,
                       "log of effects %s: not a file of ours that nobody else may write", e->path);
}

static int begin_file(struct mv_effects *e, struct mv_err *err)
{
        if (ftruncate(e->fd, 0) < 0 || pwrite(e->fd, magic, sizeof magic, 0) != sizeof magic ||
            fdatasync(e->fd) < 0)
                return mv_fail(err, MV_E_SYS, errno, "begin the log of effects %s", e->path);
        return mv__sync_directory_of(e->path, err);
}

static int begin_or_check(struct mv_effects *e, struct mv_err *err)
{
        struct stat st;
        uint8_t found[HEAD_BYTES];
        if (fstat(e->fd, &st) < 0)
                return mv_fail(err, MV_E_SYS, errno, "log of effects %s", e->path);
        int r = check_file(e, &st, err);
        if (r < 0)
                return r;
        e->end = HEAD_BYTES;
        if (st.st_size < HEAD_BYTES) /* new, or whoever began it died */
                return begin_file(e, err);
        r = read_at(e, found, sizeof found, 0, err);
        if (r == 0 && memcmp(found, magic, sizeof found) != 0)
                r = mv_fail(err, MV_E_CORRUPT, 0, "%s is not a log of effects", e->path);
        return r;
}

static void forget(struct mv_effects *e)
{
        if (e->fd >= 0)
                close(e->fd); /* and its lock */
        e->fd = -1;
        e->living = 0;
        tdestroy(e->known, known_free);
        e->known = NULL;
}

/* The file may have been replaced by a compacted one: is ours the one of that name? */
static bool replaced(const struct mv_effects *e)
{
        struct stat ours, named;
        return fstat(e->fd, &ours) < 0 || lstat(e->path, &named) < 0 ||
               ours.st_ino != named.st_ino || ours.st_dev != named.st_dev;
}

/* Locked, and read to its end. */
static int file_lock(struct mv_effects *e, struct mv_err *err)
{
        for (;;) {
                bool fresh = e->fd < 0;
                if (fresh)
                        e->fd = open(e->path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
                if (e->fd < 0)
                        return mv_fail(err, MV_E_SYS, errno, "open the log of effects %s", e->path);
                while (flock(e->fd, LOCK_EX) < 0)
                        if (errno != EINTR)
                                return mv_fail(err, MV_E_SYS, errno, "lock %s", e->path);
                if (replaced(e)) {
                        forget(e);
                        continue;
                }
                int r = fresh ? begin_or_check(e, err) : 0;
                return r < 0 ? r : catch_up(e, err);
        }
}

static int put(int fd, const uint8_t *p, size_t len, uint64_t at)
{
        while (len) {
                ssize_t n = pwrite(fd, p, len, (off_t)at);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return -1;
                p += n;
                at += (uint64_t)n;
                len -= (size_t)n;
        }
        return 0;
}

/* --- compaction ------------------------------------------------------------------------------- */
struct copying {
        struct mv_effects *e;
        int fd;
        uint64_t at, now;
        bool failed;
};

static bool counts(const struct known *k, uint64_t now)
{
        return now < k->until_ms || now < k->time_ms; /* (4) */
}

static void copy_one(const void *node, VISIT which, void *closure)
{
        struct copying *c = closure;
        const struct known *k = *(const struct known *const *)node;
        size_t len;
        if ((which != postorder && which != leaf) || c->failed || !counts(k, c->now))
                return;
        uint8_t *p = encode(c->e, k, c->at, &len);
        c->failed = !p || put(c->fd, p, len, c->at) < 0;
        c->at += p ? len : 0;
        free(p);
}

/* Under the lock of the old file; who waits for it finds the new one. A failure leaves the old one as it was. */
static void compact(struct mv_effects *e)
{
        char beside[4200];
        struct copying c = { .e = e, .at = HEAD_BYTES, .now = now_ms() };
        if (e->end < COMPACT_BYTES_MIN || e->living > e->end / 2)
                return;
        mv_fmt(beside, sizeof beside, "%s.new", e->path);
        unlink(beside);
        c.fd = open(beside, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (c.fd < 0)
                return;
        c.failed = put(c.fd, magic, sizeof magic, 0) < 0;
        twalk_r(e->known, copy_one, &c);
        if (c.failed || fdatasync(c.fd) < 0 || rename(beside, e->path) < 0)
                unlink(beside);
        close(c.fd);
        mv__sync_directory_of(e->path, NULL);
}

/* --- using it --------------------------------------------------------------------------------- */
static int open_log(struct mv_effects *e, struct mv_err *err)
{
        uint8_t signature[MV_SIGNATURE_BYTES];
        if (e->failed.code != MV_OK) {
                *err = e->failed;
                return -(int)err->code;
        }
        if (e->fd < 0) { /* (2) the same for whoever has the key, and for nobody else */
                int r = mv__key_sign(e->audit->key, MV_SLICE("ccos-microvm log of effects v1"),
                                     signature, err);
                if (r < 0)
                        return r;
                mv_sha256(mv_slice(signature, sizeof signature), e->secret);
                OPENSSL_cleanse(signature, sizeof signature);
        }
        return e->path ? file_lock(e, err) : 0;
}

static void let_go(struct mv_effects *e, bool lost)
{
        if (e->path && lost)
                forget(e);
        else if (e->path && e->fd >= 0)
                flock(e->fd, LOCK_UN);
}

/* Takes k; it is on the disk on return (1). */
static int append(struct mv_effects *e, struct known *k, struct mv_err *err)
{
        size_t len = 0;
        uint8_t *p = e->path ? encode(e, k, e->end, &len) : NULL;
        int r = e->path && !p ? mv_fail(err, MV_E_NOMEM, 0, "log of effects") : 0;
        if (p && (put(e->fd, p, len, e->end) < 0 || fdatasync(e->fd) < 0)) {
                r = mv_fail(err, MV_E_SYS, errno, "write the log of effects %s", e->path);
                e->failed = *err; /* what is on the disk is not known */
        }
        free(p);
        if (r < 0) {
                known_free(k);
                return r;
        }
        e->end += len;
        return remember(e, k, err);
}

static struct known *known_new(const struct mv_keyed *x, enum mv_keyed_state state,
                               struct mv_slice result)
{
        struct known *k = calloc(1, sizeof *k);
        bool keep = result.len <= MV_KEYED_RESULT_BYTES_MAX;
        if (!k || !(k->result = malloc(result.len + 1))) {
                free(k);
                return NULL;
        }
        memcpy(k->key, x->key, sizeof k->key);
        memcpy(k->request, x->request, sizeof k->request);
        k->state = state;
        k->time_ms = now_ms();
        k->until_ms = k->time_ms + x->window_ms;
        k->call = x->call;
        mv_fmt(k->execution_id, sizeof k->execution_id, "%s", x->execution_id);
        if (keep && result.len)
                memcpy(k->result, result.p, result.len);
        k->result_len = keep ? (uint32_t)result.len : 0;
        return k;
}

static int write_state(struct mv_effects *e, const struct mv_keyed *x, enum mv_keyed_state state,
                       struct mv_slice result, struct mv_err *err)
{
        struct known *k = known_new(x, state, result);
        return k ? append(e, k, err) : mv_fail(err, MV_E_NOMEM, 0, "log of effects");
}

static const struct known *find(const struct mv_effects *e, const uint8_t key[MV_DIGEST_BYTES])
{
        struct known k;
        memcpy(k.key, key, sizeof k.key);
        struct known **found = tfind(&k, &e->known, by_key);
        return found ? *found : NULL;
}

static int found(const struct known *k, const struct mv_keyed *x, struct mv_arena *arena,
                 struct mv_keyed_found *ret, struct mv_err *err)
{
        bool same = memcmp(k->request, x->request, sizeof k->request) == 0;
        uint8_t *copy = mv_new(arena, uint8_t, k->result_len + 1);
        if (!copy)
                return mv_fail(err, MV_E_LIMIT, 0, "memory for the result of an effect");
        memcpy(copy, k->result, k->result_len);
        ret->state = same ? k->state : MV_KEYED_OTHER;
        ret->own = k->call == x->call && strcmp(k->execution_id, x->execution_id) == 0;
        memcpy(ret->execution_id, k->execution_id, sizeof ret->execution_id);
        ret->result = mv_slice(copy, k->result_len);
        return 0;
}

int mv_effects_begin(struct mv_effects *e, const struct mv_keyed *x, struct mv_arena *arena,
                     struct mv_keyed_found *ret, struct mv_err *err)
{
        struct mv_keyed_found f = { .state = MV_KEYED_ABSENT };
        pthread_mutex_lock(&e->lock);
        int r = open_log(e, err);
        const struct known *k = r == 0 ? find(e, x->key) : NULL;
        if (k && (k->state == MV_KEYED_BEGUN || k->state == MV_KEYED_DONE) && counts(k, now_ms())) {
                r = found(k, x, arena, &f, err);
        } else if (r == 0) {
                r = write_state(e, x, MV_KEYED_BEGUN, mv_slice(NULL, 0), err);
        }
        if (r == 0 && e->path)
                compact(e);
        let_go(e, r < 0);
        pthread_mutex_unlock(&e->lock);
        if (r == 0)
                *ret = f;
        return r;
}

int mv_effects_end(struct mv_effects *e, const struct mv_keyed *x, enum mv_keyed_state state,
                   struct mv_slice result, struct mv_err *err)
{
        pthread_mutex_lock(&e->lock);
        int r = open_log(e, err);
        if (r == 0)
                r = write_state(e, x, state, result, err);
        let_go(e, r < 0);
        pthread_mutex_unlock(&e->lock);
        return r;
}

struct mv_effects *mv_effects_new(struct mv_audit *a)
{
        struct mv_effects *e = calloc(1, sizeof *e);
        if (!e)
                return NULL;
        pthread_mutex_init(&e->lock, NULL);
        e->audit = a;
        e->fd = -1;
        if (a->path && asprintf(&e->path, "%s.effects", a->path) < 0) {
                e->path = NULL;
                return mv_effects_free(e);
        }
        return e;
}

struct mv_effects *mv_effects_free(struct mv_effects *e)
{
        if (!e)
                return NULL;
        forget(e);
        OPENSSL_cleanse(e->secret, sizeof e->secret);
        pthread_mutex_destroy(&e->lock);
        free(e->path);
        free(e);
        return NULL;
}
