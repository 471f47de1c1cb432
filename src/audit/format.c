/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a store, docs/formats/audit.md. All integers little-endian.
 *
 *  HEADER  OFFSET SIZE  FIELD
 *             0     8   magic "MVAUDIT1"
 *             8     4   version 1
 *            12     4   flags: bit 0 no_sync (records were not waited for)
 *            16    16   nonce, random
 *            32    32   Ed25519 public key of the signer
 *            64    32   digest = SHA-256("ccos-microvm store v1" || bytes 0..63)
 *
 *  RECORD  OFFSET SIZE  FIELD
 *             0     4   length of the whole record
 *             4     1   type, enum mv_record_type
 *             5     1   n: bytes of the execution id, 1..63; of a seal 0
 *             6     8   time, milliseconds since 1970
 *            14     4   s: bytes of the semantic part, 1..MV_AUDIT_PAYLOAD_MAX
 *            18     4   o: bytes of the observed part, 0..MV_AUDIT_PAYLOAD_MAX
 *            22    32   prev: digest of the record before; of the first one, digest of the header
 *            54     2   zero
 *            56     8   check: first bytes of SHA-256(salt("ccos-microvm head v1") || bytes 0..53)
 *            64     n   execution id, printable ASCII
 *                   s   semantic part, one deterministic CBOR item
 *                   o   observed part, one deterministic CBOR item or nothing
 *                  32   digest = SHA-256(salt("ccos-microvm record v1") || bytes 0..63+n || leaf || observed part)
 *                   4   length again: the last record is found from the end
 *
 *  salt(domain) is one block of SHA-256: the domain with zeros up to 32 bytes, then the header's digest. What the check
 *  covers fits into one more block, which is why the two zero bytes stand behind it. leaf is SHA-256(00 || type || semantic
 *  part), as in the execution's tree (audit/digest.c): so the semantic part is hashed once for both.
 *
 * (1) Everything is covered: fixed fields and lengths come first, so no two records have the same bytes before the digest.
 * (2) The check tells a torn record from a damaged one: only a record whose head is whole and right may be short.
 * (3) The header's digest salts every digest, and its nonce is known to nobody who can only put payload into records: no
 *     payload looks like a record when a file is read from its end. */
#include <assert.h>
#include <audit/digest.h>
#include <audit/format.h>
#include <base/slice.h>
#include <wire/cbor.h>

#define CHECK_BYTES   8
#define CHECKED_BYTES 54
static_assert(CHECKED_BYTES + 2 + CHECK_BYTES == MV_RECORD_HEAD_BYTES, "docs/formats/audit.md");
static_assert(MV_RECORD_TAIL_BYTES == MV_DIGEST_BYTES + 4, "docs/formats/audit.md");
static_assert(MV_RECORD_HEAD_BYTES + MV_EXECUTION_ID_MAX + 2ull * MV_AUDIT_PAYLOAD_MAX +
                              MV_RECORD_TAIL_BYTES <
                      UINT32_MAX,
              "a record's length is 32 bits");

static const char magic[] = "MVAUDIT1";

/* --- header ----------------------------------------------------------------------------------- */

static void header_digest(const uint8_t *bytes, uint8_t ret[MV_DIGEST_BYTES])
{
        const struct mv_slice parts[] = { MV_SLICE("ccos-microvm store v1"),
                                          { bytes, MV_STORE_HEADER_BYTES - MV_DIGEST_BYTES } };
        mv__sha256_parts(parts, 2, ret);
}

void mv__store_header_encode(struct mv__store_header *h, uint8_t ret[MV_STORE_HEADER_BYTES])
{
        struct mv_out o = mv_out(ret, MV_STORE_HEADER_BYTES);
        mv_put_str(&o, magic);
        mv_put_u32(&o, 1);
        mv_put_u32(&o, h->flags);
        mv_put_bytes(&o, h->nonce, sizeof h->nonce);
        mv_put_bytes(&o, h->public_key, sizeof h->public_key);
        header_digest(ret, h->digest);
        mv_put_bytes(&o, h->digest, sizeof h->digest);
        mv__salt_make(h->digest, &h->salt);
}

bool mv__store_header_begins(struct mv_slice bytes)
{
        size_t n = bytes.len < sizeof magic - 1 ? bytes.len : sizeof magic - 1;
        return n == 0 || memcmp(bytes.p, magic, n) == 0;
}

static void get_array(struct mv_cur *c, uint8_t *ret, size_t n)
{
        struct mv_slice s = mv_get_bytes(c, n);
        if (s.len)
                memcpy(ret, s.p, s.len);
}

const char *mv__store_header_decode(struct mv_slice bytes, struct mv__store_header *ret)
{
        struct mv__store_header h = { 0 };
        struct mv_cur c = mv_cur(bytes);
        struct mv_slice found = mv_get_bytes(&c, sizeof magic - 1);
        uint32_t version = mv_get_u32(&c);
        h.flags = mv_get_u32(&c);
        get_array(&c, h.nonce, sizeof h.nonce);
        get_array(&c, h.public_key, sizeof h.public_key);
        get_array(&c, h.digest, sizeof h.digest);
        if (!mv_cur_done(&c))
                return "the header is incomplete";
        if (!mv_slice_eq_str(found, magic))
                return "not an audit store: no MVAUDIT1 at its beginning";
        uint8_t digest[MV_DIGEST_BYTES];
        header_digest(bytes.p, digest);
        if (memcmp(digest, h.digest, sizeof digest) != 0)
                return "the header is damaged";
        if (version != 1 || h.flags & ~MV_STORE_NO_SYNC)
                return "the header asks for a newer version";
        mv__salt_make(h.digest, &h.salt);
        *ret = h;
        return NULL;
}

/* --- records ---------------------------------------------------------------------------------- */

/* r->leaf and r->digest, from the rest. */
static void record_digest(const struct mv__salt *salt, const uint8_t *head, struct mv__record *r)
{
        mv__semantic_digest(r->type, r->semantic, r->leaf);
        const struct mv_slice parts[] = {
                { head, MV_RECORD_HEAD_BYTES }, r->id, { r->leaf, sizeof r->leaf }, r->observed
        };
        mv__sha256_from(&salt->record, parts, 4, r->digest);
}

static void head_check(const struct mv__salt *salt, const uint8_t *head,
                       uint8_t ret[MV_DIGEST_BYTES])
{
        const struct mv_slice checked = { head, CHECKED_BYTES };
        mv__sha256_from(&salt->head, &checked, 1, ret);
}

void mv__record_encode(const struct mv__salt *salt, struct mv__record *r,
                       struct mv__record_bytes *ret)
{
        struct mv_out head = mv_out(ret->head, sizeof ret->head),
                      tail = mv_out(ret->tail, sizeof ret->tail);
        uint8_t check[MV_DIGEST_BYTES];
        ret->length = MV_RECORD_HEAD_BYTES + r->id.len + r->semantic.len + r->observed.len +
                      MV_RECORD_TAIL_BYTES;
        mv_put_u32(&head, (uint32_t)ret->length);
        mv_put_u8(&head, (uint8_t)r->type);
        mv_put_u8(&head, (uint8_t)r->id.len);
        mv_put_u64(&head, r->time_ms);
        mv_put_u32(&head, (uint32_t)r->semantic.len);
        mv_put_u32(&head, (uint32_t)r->observed.len);
        mv_put_bytes(&head, r->prev, sizeof r->prev);
        mv_put_u16(&head, 0);
        head_check(salt, ret->head, check);
        mv_put_bytes(&head, check, CHECK_BYTES);
        record_digest(salt, ret->head, r);
        mv_put_bytes(&tail, r->digest, sizeof r->digest);
        mv_put_u32(&tail, (uint32_t)ret->length);
        const struct mv_slice pieces[] = { mv_out_slice(&head), r->id, r->semantic, r->observed,
                                           mv_out_slice(&tail) };
        memcpy(ret->pieces, pieces, sizeof pieces);
}

struct head {
        uint32_t length, semantic_len, observed_len;
        uint8_t type, id_len;
        uint64_t time_ms;
};

static const char *head_decode(const struct mv__salt *salt, struct mv_slice bytes, struct head *ret,
                               uint8_t *ret_prev)
{
        struct mv_cur c = mv_cur(bytes);
        uint8_t check[MV_DIGEST_BYTES];
        ret->length = mv_get_u32(&c);
        ret->type = mv_get_u8(&c);
        ret->id_len = mv_get_u8(&c);
        ret->time_ms = mv_get_u64(&c);
        ret->semantic_len = mv_get_u32(&c);
        ret->observed_len = mv_get_u32(&c);
        get_array(&c, ret_prev, MV_DIGEST_BYTES);
        uint16_t zero = mv_get_u16(&c);
        struct mv_slice found = mv_get_bytes(&c, CHECK_BYTES);
        if (!mv_cur_done(&c))
                return "the record's head is incomplete";
        head_check(salt, bytes.p, check);
        if (memcmp(check, found.p, CHECK_BYTES) != 0)
                return "the record's head is damaged";
        uint64_t length = MV_RECORD_HEAD_BYTES + (uint64_t)ret->id_len + ret->semantic_len +
                          ret->observed_len + MV_RECORD_TAIL_BYTES;
        bool sizes_ok = ret->semantic_len >= 1 && ret->semantic_len <= MV_AUDIT_PAYLOAD_MAX &&
                        ret->observed_len <= MV_AUDIT_PAYLOAD_MAX && ret->length == length;
        bool id_ok = ret->type == MV_REC_SEAL
                             ? ret->id_len == 0
                             : ret->id_len >= 1 && ret->id_len <= MV_EXECUTION_ID_MAX;
        if (zero || !sizes_ok || !id_ok)
                return "the record's head has sizes that no record has";
        if (ret->type < 1 || ret->type >= MV_REC_MAX_)
                return "the record's type is unknown";
        return NULL;
}

const char *mv__record_head_decode(const struct mv__salt *salt, struct mv_slice head,
                                   uint32_t *ret_length)
{
        struct head h;
        uint8_t prev[MV_DIGEST_BYTES];
        const char *why = head_decode(salt, head, &h, prev);
        if (!why)
                *ret_length = h.length;
        return why;
}

const char *mv__record_decode(const struct mv__salt *salt, struct mv_slice bytes,
                              struct mv__record *ret)
{
        struct mv__record r = { 0 };
        struct head h;
        struct mv_cur c = mv_cur(bytes);
        struct mv_slice head = mv_get_bytes(&c, MV_RECORD_HEAD_BYTES);
        const char *why = head_decode(salt, head, &h, r.prev);
        if (why)
                return why;
        r.id = mv_get_bytes(&c, h.id_len);
        r.semantic = mv_get_bytes(&c, h.semantic_len);
        r.observed = mv_get_bytes(&c, h.observed_len);
        struct mv_slice found = mv_get_bytes(&c, MV_DIGEST_BYTES);
        uint32_t length_again = mv_get_u32(&c);
        if (!mv_cur_done(&c))
                return "the record's length is wrong";
        r.type = (enum mv_record_type)h.type;
        r.time_ms = h.time_ms;
        record_digest(salt, head.p, &r);
        if (memcmp(found.p, r.digest, sizeof r.digest) != 0)
                return "the record's digest does not match its content";
        if (length_again != h.length)
                return "the record's two lengths differ";
        if (h.type != MV_REC_SEAL && !mv__execution_id_ok(r.id))
                return "the record's execution id is not printable ASCII";
        *ret = r;
        return NULL;
}

bool mv__execution_id_ok(struct mv_slice id)
{
        for (size_t i = 0; i < id.len; i++)
                if (id.p[i] <= 0x20 || id.p[i] >= 0x7f)
                        return false;
        return id.len >= 1 && id.len <= MV_EXECUTION_ID_MAX;
}

/* --- roots and seals -------------------------------------------------------------------------- */

struct mv_slice mv__seal_message(const struct mv__store_header *h, uint64_t offset,
                                 const uint8_t prev[MV_DIGEST_BYTES],
                                 uint8_t buf[MV_SEAL_MESSAGE_BYTES])
{
        struct mv_out o = mv_out(buf, MV_SEAL_MESSAGE_BYTES);
        mv_put_str(&o, "ccos-microvm seal v1");
        mv_put_bytes(&o, h->digest, sizeof h->digest);
        mv_put_u64(&o, offset);
        mv_put_bytes(&o, prev, MV_DIGEST_BYTES);
        return mv_out_slice(&o);
}

bool mv__root_put(const struct mv__root *r, struct mv_out *semantic)
{
        return mv_cbor_put_map(semantic, 2) && mv_cbor_put_str(semantic, "root") &&
               mv_cbor_put_bytes(semantic, (struct mv_slice){ r->root, sizeof r->root }) &&
               mv_cbor_put_str(semantic, "count") && mv_cbor_put_int(semantic, (int64_t)r->count);
}

/* There is one encoding of a root and of a seal, so reading is writing what it must be and
 * comparing. */
const char *mv__root_get(struct mv_slice semantic, struct mv_slice observed, struct mv__root *ret)
{
        struct mv__root r = { .count = 0 };
        struct mv_cbor_item item = { 0 };
        struct mv_err err;
        struct mv_cur c = mv_cur(semantic);
        for (int i = 0; i < 5; i++) { /* map, "root", bytes, "count", number */
                if (mv_cbor_next(&c, &item, &err) < 0)
                        return "the root record is not CBOR";
                if (i == 2 && item.kind == MV_CBOR_BYTES && item.text.len == sizeof r.root)
                        memcpy(r.root, item.text.p, sizeof r.root);
        }
        r.count = item.kind == MV_CBOR_INT && item.integer >= 0 ? (uint64_t)item.integer : 0;
        uint8_t want[80];
        struct mv_out s = mv_out(want, sizeof want);
        if (!mv__root_put(&r, &s) || !mv_slice_eq(mv_out_slice(&s), semantic) || observed.len)
                return "the root record has another shape";
        *ret = r;
        return NULL;
}

bool mv__seal_put(const struct mv__seal *s, struct mv_out *semantic, struct mv_out *observed)
{
        return mv_cbor_put_map(semantic, 1) && mv_cbor_put_str(semantic, "offset") &&
               mv_cbor_put_int(semantic, (int64_t)s->offset) && mv_cbor_put_map(observed, 1) &&
               mv_cbor_put_str(observed, "signature") &&
               mv_cbor_put_bytes(observed, (struct mv_slice){ s->signature, sizeof s->signature });
}

const char *mv__seal_get(struct mv_slice semantic, struct mv_slice observed, struct mv__seal *ret)
{
        struct mv__seal seal = { .offset = 0 };
        struct mv_cbor_item item = { 0 };
        struct mv_err err;
        struct mv_cur c = mv_cur(semantic);
        for (int i = 0; i < 3; i++) /* map, "offset", number */
                if (mv_cbor_next(&c, &item, &err) < 0)
                        return "the seal is not CBOR";
        seal.offset = item.kind == MV_CBOR_INT && item.integer >= 0 ? (uint64_t)item.integer : 0;
        if (observed.len >= sizeof seal.signature)
                memcpy(seal.signature, observed.p + observed.len - sizeof seal.signature,
                       sizeof seal.signature);
        uint8_t want_semantic[32], want_observed[96];
        struct mv_out s = mv_out(want_semantic, sizeof want_semantic),
                      o = mv_out(want_observed, sizeof want_observed);
        if (!mv__seal_put(&seal, &s, &o) || !mv_slice_eq(mv_out_slice(&s), semantic) ||
            !mv_slice_eq(mv_out_slice(&o), observed))
                return "the seal has another shape";
        *ret = seal;
        return NULL;
}
