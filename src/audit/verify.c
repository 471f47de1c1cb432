/* SPDX-License-Identifier: Apache-2.0 */
/* Verifying a whole store: the chain (audit/source.c), for every execution that its root is the root of its records, and
 * for every seal that the store's key signed what stands before it. Records behind the last seal are counted: whoever can
 * write the file could have written them too.
 * (1) Executions interleave. What is kept for each open one is its id and one digest per level of its tree, in a balanced
 *     tree: a hostile file costs memory in proportion to its size and no quadratic time. */
#include <audit/digest.h>
#include <audit/reader.h>
#include <audit/key.h>
#include <microvm/audit.h>
#include <search.h>
#include <stdlib.h>

struct open_execution {
        char id[MV_EXECUTION_ID_MAX + 1];
        uint64_t count;
        unsigned levels_cap;
        uint8_t (*level)[MV_DIGEST_BYTES];
};

struct verifier {
        struct mv_audit_reader *reader;
        struct mv_audit_verdict verdict;
        void *open;                    /* tsearch root of struct open_execution */
        uint8_t prev[MV_DIGEST_BYTES]; /* digest of the record before the current one */
};

static int by_id(const void *a, const void *b)
{
        return strcmp(((const struct open_execution *)a)->id,
                      ((const struct open_execution *)b)->id);
}

static void execution_free(void *x)
{
        free(((struct open_execution *)x)->level);
        free(x);
}

static struct open_execution *execution_find(struct verifier *v, const char *id)
{
        struct open_execution key;
        mv_fmt(key.id, sizeof key.id, "%s", id);
        struct open_execution **found = tfind(&key, &v->open, by_id);
        return found ? *found : NULL;
}

static struct open_execution *execution_open(struct verifier *v, const char *id)
{
        struct open_execution *x = calloc(1, sizeof *x);
        if (!x)
                return NULL;
        mv_fmt(x->id, sizeof x->id, "%s", id);
        if (!tsearch(x, &v->open, by_id)) {
                free(x);
                return NULL;
        }
        v->verdict.executions++;
        return x;
}

static bool execution_add(struct open_execution *x, const uint8_t leaf[MV_DIGEST_BYTES])
{
        unsigned level = (unsigned)__builtin_ctzll(~x->count);
        if (level >= x->levels_cap) {
                uint8_t(*more)[MV_DIGEST_BYTES] = realloc(x->level, (level + 1) * sizeof *more);
                if (!more)
                        return false;
                x->level = more;
                x->levels_cap = level + 1;
        }
        mv__merkle_push(x->level, x->count, leaf);
        x->count++;
        return true;
}

static void bad(struct verifier *v, uint64_t index, uint64_t offset, const char *why)
{
        v->verdict.ok = false;
        v->verdict.bad_index = index;
        v->verdict.bad_offset = offset;
        mv_fmt(v->verdict.why, sizeof v->verdict.why, "%s", why);
}

static const char *root_check(const struct open_execution *x, const struct mv_audit_record *r)
{
        struct mv__root root;
        uint8_t computed[MV_DIGEST_BYTES];
        const char *why = mv__root_get(r->semantic, r->observed, &root);
        if (why)
                return why;
        mv__merkle_fold(x->level, x->count, computed);
        if (root.count != x->count)
                return "the root counts other records than the execution has";
        if (memcmp(root.root, computed, sizeof computed) != 0)
                return "the root is not the root of the execution's records";
        return NULL;
}

static void take_seal(struct verifier *v, const struct mv_audit_record *r)
{
        const struct mv__store_header *h = &v->reader->header;
        uint8_t message[MV_SEAL_MESSAGE_BYTES];
        struct mv__seal seal;
        const char *why = mv__seal_get(r->semantic, r->observed, &seal);
        if (!why && seal.offset != r->offset)
                why = "the seal was made for another place";
        if (!why &&
            !mv__key_verify(h->public_key, mv__seal_message(h, seal.offset, v->prev, message),
                            seal.signature))
                why = "the seal's signature is wrong";
        if (why) {
                bad(v, r->index, r->offset, why);
                return;
        }
        v->verdict.seals++;
        v->verdict.unsealed = 0;
}

/* No leaf; but a resumption names the leaves before it. */
static const char *note_check(const struct open_execution *x, const struct mv_audit_record *r)
{
        struct mv_audit_record bare = *r;
        bare.observed.len = 0;
        if (!x)
                return "a note about an execution that does not run";
        if (r->type != MV_REC_RESUMED)
                return NULL;
        return root_check(x, &bare) ? "the execution was resumed from other records than it has"
                                    : NULL;
}

/* A record of an execution: 0, or NOMEM. */
static int take(struct verifier *v, const struct mv_audit_record *r, struct mv_err *err)
{
        struct open_execution *x = execution_find(v, r->execution_id);
        if (mv_record_is_note(r->type)) {
                const char *odd = note_check(x, r);
                if (odd)
                        bad(v, r->index, r->offset, odd);
                return 0;
        }
        if (!x)
                x = execution_open(v, r->execution_id);
        if (!x)
                return mv_fail(err, MV_E_NOMEM, 0, "verify an audit store");
        /* its process died: the new one begins anew */
        if (r->type == MV_REC_EXECUTION_STARTED && x->count) {
                x->count = 0;
                v->verdict.executions++;
        }
        if (r->type != MV_REC_ROOT)
                return execution_add(x, r->semantic_digest)
                               ? 0
                               : mv_fail(err, MV_E_NOMEM, 0, "verify an audit store");
        const char *why = root_check(x, r);
        if (why)
                bad(v, r->index, r->offset, why);
        else
                v->verdict.roots++;
        tdelete(x, &v->open, by_id);
        execution_free(x);
        return 0;
}

static int verify_records(struct verifier *v, struct mv_err *err)
{
        struct mv_audit_record r;
        struct mv_audit_verdict *verdict = &v->verdict;
        struct mv__walk *w = &v->reader->walk;
        while (verdict->ok) {
                int step = mv_audit_read(v->reader, &r, err);
                if (step == -(int)MV_E_CORRUPT)
                        bad(v, w->index, w->offset, w->why);
                else if (step < 0)
                        return step;
                if (step <= 0)
                        break;
                verdict->unsealed++;
                if (r.type == MV_REC_SEAL)
                        take_seal(v, &r);
                else
                        step = take(v, &r, err);
                if (step < 0)
                        return step;
                memcpy(v->prev, r.digest, sizeof v->prev);
                verdict->records += verdict->ok;
        }
        return 0;
}

int mv__audit_verify_reader(struct mv_audit_reader *reader, const uint8_t expected_key[32],
                            struct mv_audit_verdict *ret, struct mv_err *err)
{
        struct verifier v = { .reader = reader,
                              .verdict = { .ok = true, .bytes = reader->walk.size } };
        memcpy(v.verdict.public_key, reader->header.public_key, 32);
        memcpy(v.prev, reader->header.digest, sizeof v.prev);
        int r = 0;
        if (expected_key && memcmp(expected_key, v.verdict.public_key, 32) != 0)
                bad(&v, 0, 0, "the store belongs to another key than the expected one");
        else
                r = verify_records(&v, err);
        memcpy(v.verdict.head, v.prev, sizeof v.verdict.head);
        if (v.verdict.ok)
                v.verdict.torn_bytes = reader->walk.size - reader->walk.offset;
        tdestroy(v.open, execution_free);
        if (r == 0)
                *ret = v.verdict;
        return r;
}

int mv_audit_verify(const char *path, const uint8_t expected_key[32], struct mv_audit_verdict *ret,
                    struct mv_err *err)
{
        struct mv_audit_reader *reader = NULL;
        struct mv_err local;
        int r = mv_audit_reader_open(path, &reader, &local);
        if (r == -(int)MV_E_CORRUPT) { /* a damaged header is a finding, not a failure to look */
                struct mv_audit_verdict verdict = { .ok = false };
                mv_fmt(verdict.why, sizeof verdict.why, "%s", local.msg);
                *ret = verdict;
                return 0;
        }
        if (r < 0) {
                if (err)
                        *err = local;
                return r;
        }
        r = mv__audit_verify_reader(reader, expected_key, ret, err);
        mv_audit_reader_close(reader);
        return r;
}

int mv_audit_check(const char *path, const uint8_t *expected_key, struct mv_audit_summary *ret,
                   struct mv_err *err)
{
        struct mv_audit_verdict v;
        int r = mv_audit_verify(path, expected_key, &v, err);
        if (r < 0)
                return r;
        struct mv_audit_summary s = { .ok = v.ok,
                                      .records = v.records,
                                      .executions = v.executions,
                                      .torn_bytes = v.torn_bytes,
                                      .unsealed = v.unsealed,
                                      .bad_index = v.bad_index,
                                      .bad_offset = v.bad_offset };
        memcpy(s.why, v.why, sizeof s.why);
        memcpy(s.head, v.head, sizeof s.head);
        memcpy(s.public_key, v.public_key, sizeof s.public_key);
        *ret = s;
        return 0;
}
