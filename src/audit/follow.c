/* SPDX-License-Identifier: Apache-2.0 */
/* Going on with an execution whose process died (docs/design/durability.md).
 *
 * (1) An execution id belongs to one open trail: in this process by the store's list, between processes by a lock on one
 *     byte far behind the end of the file, which the kernel releases however the process ends. So an execution that still
 *     runs is not resumed, and not resumed twice at a time.
 * (2) What stands in the store is not written again: the program does it again, and every leaf it makes must be the recorded
 *     one, in order. The first difference stops it before anything else happens.
 * (3) PlanResumed holds the root over the leaves that were there, which a verifier computes again: a resumption is linked to
 *     exactly the records it believed. */
#include <audit/digest.h>
#include <audit/reader.h>
#include <audit/trail.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where the bytes of (1) lie: no store grows to 4 EiB. */
#define CLAIMS_AT ((uint64_t)1 << 62)

static struct flock byte_of(const struct mv_trail *t, short type)
{
        uint8_t d[MV_DIGEST_BYTES];
        uint64_t n = 0;
        mv_sha256((struct mv_slice){ (const uint8_t *)t->id, t->id_len }, d);
        for (int i = 0; i < 8; i++)
                n = n << 8 | d[i];
        return (struct flock){ .l_type = type,
                               .l_whence = SEEK_SET,
                               .l_start = (off_t)(CLAIMS_AT | (n & (CLAIMS_AT - 1))),
                               .l_len = 1 };
}

static int is_open(const struct mv_trail *t, struct mv_err *err)
{
        return mv_fail(err, MV_E_STATE, 0, "execution %s is running", t->id);
}

static int lock_byte(const struct mv_trail *t, struct mv_err *err)
{
        if (t->audit->fd < 0) /* memory: nobody else's */
                return 0;
        struct flock l = byte_of(t, F_WRLCK);
        if (fcntl(t->audit->fd, F_OFD_SETLK, &l) == 0)
                return 0;
        return errno == EAGAIN || errno == EACCES
                       ? is_open(t, err)
                       : mv_fail(err, MV_E_SYS, errno, "claim execution %s", t->id);
}

int mv__trail_claim(struct mv_trail *t, struct mv_err *err)
{
        struct mv_audit *a = t->audit;
        int r = 0;
        pthread_mutex_lock(&a->lock);
        for (const struct mv_trail *o = a->trails; r == 0 && o; o = o->next)
                if (strcmp(o->id, t->id) == 0)
                        r = is_open(t, err);
        if (r == 0)
                r = lock_byte(t, err);
        if (r == 0) {
                t->next = a->trails;
                a->trails = t;
        }
        pthread_mutex_unlock(&a->lock);
        return r;
}

void mv__trail_release(struct mv_trail *t)
{
        struct mv_audit *a = t->audit;
        pthread_mutex_lock(&a->lock);
        struct mv_trail **p = &a->trails;
        while (*p && *p != t)
                p = &(*p)->next;
        if (*p)
                *p = t->next;
        if (a->fd >= 0) {
                struct flock l = byte_of(t, F_UNLCK);
                fcntl(a->fd, F_OFD_SETLK, &l);
        }
        pthread_mutex_unlock(&a->lock);
}

void mv_semantic_digest(enum mv_record_type type, struct mv_slice semantic,
                        uint8_t ret[MV_DIGEST_BYTES])
{
        mv__semantic_digest(type, semantic, ret);
}

bool mv_trail_following(const struct mv_trail *t)
{
        return t->tree.count < t->past_count;
}

uint64_t mv_trail_count(const struct mv_trail *t)
{
        return t->tree.count;
}

bool mv_trail_followed(const struct mv_trail *t)
{
        return t->followed;
}

int mv__trail_compare(struct mv_trail *t, enum mv_record_type type, struct mv_slice semantic,
                      struct mv_err *err)
{
        uint8_t leaf[MV_DIGEST_BYTES];
        mv__semantic_digest(type, semantic, leaf);
        if (memcmp(leaf, t->past[t->tree.count], sizeof leaf) != 0)
                return mv_fail(
                        err, MV_E_CORRUPT, 0,
                        "execution %s diverged: its record %llu (a %s now) is not the recorded one",
                        t->id, (unsigned long long)t->tree.count, mv_record_type_name(type));
        mv_merkle_add(&t->tree, leaf);
        return 0;
}

static int put_resumed(struct mv_trail *t, const uint8_t (*leaves)[MV_DIGEST_BYTES], uint64_t count,
                       struct mv_slice observed, struct mv_err *err)
{
        struct mv__root so_far = { .count = count };
        struct mv_merkle tree = { .count = 0 };
        uint8_t buf[80], leaf[MV_DIGEST_BYTES];
        struct mv_out o = mv_out(buf, sizeof buf);
        for (uint64_t i = 0; i < count; i++)
                mv_merkle_add(&tree, leaves[i]);
        mv_merkle_root(&tree, so_far.root);
        if (!mv__root_put(&so_far, &o))
                return mv_fail(err, MV_E_INTERNAL, 0, "a PlanResumed record does not fit");
        return mv__trail_put(t, MV_REC_RESUMED, mv_out_slice(&o), observed, leaf, err); /* (3) */
}

int mv_trail_follow(struct mv_trail *t, const uint8_t (*leaves)[MV_DIGEST_BYTES], uint64_t count,
                    struct mv_slice observed, struct mv_err *err)
{
        if (t->tree.count || t->past || t->ended || !count)
                return mv_fail(err, MV_E_STATE, 0, "execution %s: nothing to follow here", t->id);
        if (count >> MV_MERKLE_LEVELS)
                return mv_fail(err, MV_E_LIMIT, 0, "execution %s: too many records", t->id);
        uint8_t(*past)[MV_DIGEST_BYTES] = calloc(count, sizeof *past);
        if (!past)
                return mv_fail(err, MV_E_NOMEM, 0, "execution %s: its past", t->id);
        memcpy(past, leaves, count * sizeof *past);
        int r = put_resumed(t, leaves, count, observed, err);
        if (r < 0) {
                free(past);
                return r;
        }
        t->past = past;
        t->past_count = count;
        return 0;
}

int mv_trail_note(struct mv_trail *t, enum mv_record_type type, struct mv_slice semantic,
                  struct mv_slice observed, struct mv_err *err)
{
        uint8_t leaf[MV_DIGEST_BYTES];
        if (t->ended || !mv_record_is_note(type) || type == MV_REC_RESUMED || !semantic.len ||
            semantic.len > MV_AUDIT_PAYLOAD_MAX || observed.len > MV_AUDIT_PAYLOAD_MAX)
                return mv_fail(err, MV_E_INVALID, 0, "execution %s: not a note", t->id);
        return mv__trail_put(t, type, semantic, observed, leaf, err);
}

/* --- is the store to be believed? ------------------------------------------------------------- */
int mv_audit_check_owner(const struct mv_audit *a, struct mv_err *err)
{
        struct stat st;
        if (a->fd < 0)
                return 0;
        if (fstat(a->fd, &st) < 0)
                return mv_fail(err, MV_E_SYS, errno, "audit store %s", a->path);
        if (st.st_uid == geteuid() && !(st.st_mode & 022))
                return 0;
        return mv_fail(err, MV_E_DENIED, 0,
                       "audit store %s may be written by others (owner %u, mode %03o): what it "
                       "says is not carried on; "
                       "chown it to yourself and chmod go-w",
                       a->path, (unsigned)st.st_uid, (unsigned)st.st_mode & 0777);
}

int mv_audit_verify_own(struct mv_audit *a, struct mv_err *err)
{
        struct mv_audit_reader *reader;
        struct mv_audit_verdict v;
        int r = mv_audit_reader_of(a, &reader, err);
        if (r < 0)
                return r;
        r = mv__audit_verify_reader(reader, a->header.public_key, &v, err);
        mv_audit_reader_close(reader);
        if (r == 0 && !v.ok)
                r = mv_fail(err, MV_E_CORRUPT, 0, "record %llu at byte %llu: %s",
                            (unsigned long long)v.bad_index, (unsigned long long)v.bad_offset,
                            v.why);
        return r;
}
