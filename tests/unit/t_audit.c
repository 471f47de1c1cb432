/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"
#include <audit/audit.h>
#include <audit/digest.h>
#include <audit/reader.h>
#include <audit/store.h>
#include <base/slice.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <wire/cbor.h>

static struct mv_err err;
static const struct mv_audit_options in_memory = { .path = NULL };

static void append(struct mv_trail *t, enum mv_record_type type, const char *text)
{
        uint8_t buf[256];
        struct mv_out o = mv_out(buf, sizeof buf);
        CHECK(mv_cbor_put_str(&o, text));
        CHECK(mv_trail_append(t, type, mv_out_slice(&o), MV_SLICE("\xf6"), &err) == 0);
}

static void run_one(struct mv_audit *a, const char *id, int calls, uint8_t root[32])
{
        struct mv_trail *t;
        uint32_t n;
        REQUIRE(mv_trail_begin(a, id, &t, &err) == 0);
        append(t, MV_REC_EXECUTION_STARTED, "started");
        for (int i = 0; i < calls; i++)
                append(t, MV_REC_CALL, "ccos.math.add");
        append(t, MV_REC_EXECUTION_ENDED, "ended");
        CHECK(mv_trail_sync(t, &err) == 0);
        CHECK(mv_trail_end(t, root, &n, &err) == 0 && n == (uint32_t)calls + 2);
        CHECK(mv_trail_end(t, root, &n, &err) == -MV_E_STATE);
        CHECK(mv_trail_append(t, MV_REC_CALL, MV_SLICE("\xf6"), MV_SLICE(""), &err) == -MV_E_STATE);
        mv_trail_free(t);
}

static struct mv_audit_verdict verdict_of(struct mv_slice bytes)
{
        struct mv_audit_reader *r = NULL;
        struct mv_audit_verdict v = { .ok = false };
        int e = mv__reader_of_bytes(bytes, &r, &err);
        if (e < 0)
                return v;
        CHECK(mv__audit_verify_reader(r, NULL, &v, &err) == 0);
        mv_audit_reader_close(r);
        return v;
}

/* As they are now, unsealed; valid until the next call. */
static struct mv_slice bytes_of(struct mv_audit *a)
{
        static uint8_t *copy;
        size_t len = 0;
        free(copy);
        copy = NULL;
        CHECK(mv__store_copy(a, &copy, &len, &err) == 0 && len == a->end);
        return mv_slice(copy, len);
}

/* --- Merkle ----------------------------------------------------------------------------------- */

static void naive_root(uint8_t (*leaves)[32], uint64_t n,
                       uint8_t ret[32]) /* RFC 6962, section 2.1 */
{
        uint8_t joined[65] = { 1 };
        uint64_t k = 1;
        if (n == 1) {
                memcpy(ret, leaves[0], 32);
                return;
        }
        while (k * 2 < n)
                k *= 2;
        naive_root(leaves, k, joined + 1);
        naive_root(leaves + k, n - k, joined + 33);
        mv_sha256(mv_slice(joined, sizeof joined), ret);
}

TEST(the_incremental_tree_has_the_root_of_the_recursive_one)
{
        static uint8_t leaves[200][32];
        struct mv_merkle m = { .count = 0 };
        uint8_t got[32], want[32];
        mv_merkle_root(&m, got);
        mv_sha256(MV_SLICE(""), want);
        CHECK(memcmp(got, want, 32) == 0);
        for (uint64_t n = 1; n <= 200; n++) {
                mv_sha256(mv_slice(&n, sizeof n), leaves[n - 1]);
                mv_merkle_add(&m, leaves[n - 1]);
                mv_merkle_root(&m, got);
                naive_root(leaves, n, want);
                CHECK(m.count == n && memcmp(got, want, 32) == 0);
        }
}

TEST(a_digest_of_pieces_is_the_librarys_of_the_whole_at_every_length)
{
        uint8_t bytes[700], got[MV_DIGEST_BYTES], want[MV_DIGEST_BYTES];
        struct mv__salt salt;
        for (size_t i = 0; i < sizeof bytes; i++)
                bytes[i] = (uint8_t)(i * 7);
        mv__salt_make(bytes, &salt);
        uint8_t salted[64 + sizeof bytes] = "ccos-microvm record v1";
        memcpy(salted + 32, bytes, 32);
        memcpy(salted + 64, bytes, sizeof bytes);
        for (size_t n = 0; n <= sizeof bytes; n++) {
                const struct mv_slice parts[] = { { bytes, n / 3 }, { bytes + n / 3, n - n / 3 } };
                mv__sha256_parts(parts, 2, got);
                CHECK(EVP_Q_digest(NULL, "SHA256", NULL, bytes, n, want, NULL));
                CHECK(memcmp(got, want, sizeof got) == 0);
                mv__sha256_from(&salt.record, parts, 2, got);
                CHECK(EVP_Q_digest(NULL, "SHA256", NULL, salted, 64 + n, want, NULL));
                CHECK(memcmp(got, want, sizeof got) == 0);
        }
}

TEST(sha256_gives_the_published_digest)
{
        static const uint8_t abc[32] = { 0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea,
                                         0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
                                         0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c,
                                         0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad };
        uint8_t got[32];
        mv_sha256(MV_SLICE("abc"), got);
        CHECK(memcmp(got, abc, 32) == 0);
}

/* --- records ---------------------------------------------------------------------------------- */

/* REQ-AUD-05, -06 */
TEST(what_was_appended_is_read_back_in_order_and_verifies)
{
        struct mv_audit *a;
        uint8_t root[32];
        REQUIRE(mv_audit_open(&in_memory, &a, &err) == 0);
        run_one(a, "exec_1", 3, root);
        struct mv_audit_reader *r;
        struct mv_audit_record rec;
        uint8_t prev[32];
        REQUIRE(mv_audit_reader_of(a, &r, &err) == 0);
        for (uint64_t i = 0; i < 7; i++) {
                CHECK(mv_audit_read(r, &rec, &err) == 1 && rec.index == i &&
                      rec.time_ms > 1600000000000ull);
                CHECK_STR(rec.execution_id, i == 6 ? "" : "exec_1");
                CHECK(i == 0 || memcmp(prev, rec.digest, 32) != 0);
                memcpy(prev, rec.digest, 32);
                CHECK(rec.type == (i == 0   ? MV_REC_EXECUTION_STARTED
                                   : i == 4 ? MV_REC_EXECUTION_ENDED
                                   : i == 5 ? MV_REC_ROOT
                                   : i == 6 ? MV_REC_SEAL
                                            : MV_REC_CALL));
                if (i == 1)
                        CHECK(mv_slice_eq(rec.semantic, MV_SLICE("\x6d"
                                                                 "ccos.math.add")) &&
                              mv_slice_eq_str(rec.observed, "\xf6"));
        }
        CHECK(mv_audit_read(r, &rec, &err) == 0 && mv_audit_read(r, &rec, &err) == 0);
        mv_audit_reader_close(r);
        struct mv_audit_verdict v = verdict_of(bytes_of(a));
        CHECK(v.ok && v.records == 7 && v.executions == 1 && v.roots == 1 && v.torn_bytes == 0);
        CHECK(v.seals == 1 && v.unsealed == 0);
        uint8_t key[32];
        mv_audit_public_key(a, key);
        CHECK(memcmp(v.public_key, key, 32) == 0 && memcmp(v.head, prev, 32) == 0);
        mv_audit_close(a);
}

/* audit.h (4): times, observed parts and other executions do not enter the root */
TEST(the_root_depends_on_the_semantic_parts_of_one_execution_only)
{
        struct mv_audit *a, *b;
        uint8_t one[32], two[32], other[32];
        REQUIRE(mv_audit_open(&in_memory, &a, &err) == 0 &&
                mv_audit_open(&in_memory, &b, &err) == 0);
        run_one(a, "exec_1", 3, one);
        run_one(b, "before", 1, other);
        struct mv_trail *t;
        uint32_t n;
        REQUIRE(mv_trail_begin(b, "exec_2", &t, &err) == 0);
        append(t, MV_REC_EXECUTION_STARTED, "started");
        for (int i = 0; i < 3; i++) {
                CHECK(mv_trail_append(t, MV_REC_CALL,
                                      MV_SLICE("\x6d"
                                               "ccos.math.add"),
                                      MV_SLICE("\x01"), &err) == 0);
                run_one(b, "between", 0, other);
        }
        append(t, MV_REC_EXECUTION_ENDED, "ended");
        CHECK(mv_trail_end(t, two, &n, &err) == 0 && memcmp(one, two, 32) == 0 &&
              memcmp(one, other, 32) != 0);
        mv_trail_free(t);
        struct mv_audit_verdict v = verdict_of(bytes_of(b));
        CHECK(v.ok && v.executions == 5 && v.roots == 5);
        mv_audit_close(a);
        mv_audit_close(b);
}

TEST(the_type_of_a_record_enters_its_leaf)
{
        struct mv_audit *a;
        uint8_t one[32], two[32];
        uint32_t n;
        struct mv_trail *t, *u;
        REQUIRE(mv_audit_open(&in_memory, &a, &err) == 0);
        REQUIRE(mv_trail_begin(a, "x", &t, &err) == 0 && mv_trail_begin(a, "y", &u, &err) == 0);
        append(t, MV_REC_CALL, "same");
        append(u, MV_REC_RESULT, "same");
        CHECK(mv_trail_end(t, one, &n, &err) == 0 && mv_trail_end(u, two, &n, &err) == 0 &&
              memcmp(one, two, 32) != 0);
        mv_trail_free(t);
        mv_trail_free(u);
        mv_audit_close(a);
}

TEST(records_that_are_not_records_are_refused)
{
        struct mv_audit *a;
        struct mv_trail *t;
        static const char *const bad_ids[] = {
                "", "a b", "a\n", "\xc3\xa9",
                "0123456789012345678901234567890123456789012345678901234567890123"
        };
        REQUIRE(mv_audit_open(&in_memory, &a, &err) == 0);
        for (size_t i = 0; i < sizeof bad_ids / sizeof *bad_ids; i++)
                CHECK(mv_trail_begin(a, bad_ids[i], &t, &err) == -MV_E_INVALID);
        REQUIRE(mv_trail_begin(a, "x", &t, &err) == 0);
        const struct mv_slice nothing = { NULL, 0 }, nil = MV_SLICE("\xf6");
        CHECK(mv_trail_append(t, MV_REC_CALL, nothing, nil, &err) == -MV_E_INVALID);
        CHECK(mv_trail_append(t, MV_REC_ROOT, nil, nil, &err) == -MV_E_INVALID);
        CHECK(mv_trail_append(t, MV_REC_SEAL, nil, nil, &err) == -MV_E_INVALID);
        CHECK(mv_trail_append(t, 0, nil, nil, &err) == -MV_E_INVALID);
        CHECK(mv_trail_append(t, MV_REC_MAX_, nil, nil, &err) == -MV_E_INVALID);
        CHECK(mv_trail_append(t, MV_REC_CALL, (struct mv_slice){ nil.p, MV_AUDIT_PAYLOAD_MAX + 1 },
                              nil, &err) == -MV_E_LIMIT);
        CHECK(mv_trail_append(t, MV_REC_CALL, nil, nothing, &err) == 0);
        CHECK(mv_trail_append(t, MV_REC_EXECUTION_STARTED, nil, nothing, &err) == -MV_E_STATE);
        CHECK(verdict_of(bytes_of(a)).records == 1);
        mv_trail_free(t);
        mv_audit_close(a);
        for (int i = 1; i < MV_REC_MAX_; i++)
                CHECK(mv_record_type_name(i)[0] != '\0');
        CHECK_STR(mv_record_type_name(MV_REC_DECISION), "SecurityDecision");
}

/* --- damage ----------------------------------------------------------------------------------- */

static uint8_t *small_store(size_t *ret_len, uint64_t offsets[16])
{
        struct mv_audit *a;
        uint8_t root[32];
        if (mv_audit_open(&in_memory, &a, &err) < 0)
                return NULL;
        run_one(a, "exec_1", 1, root);
        struct mv_trail *t;
        uint8_t *copy = NULL;
        CHECK(mv__seal_rest(a, &err) == 0);
        if (mv_trail_begin(a, "exec_2", &t, &err) == 0)
                append(t, MV_REC_EXECUTION_STARTED, "unfinished");
        mv_trail_free(t);
        CHECK(mv__store_copy(a, &copy, ret_len, &err) == 0);
        mv_audit_close(a);
        struct mv_audit_reader *r;
        struct mv_audit_record rec;
        size_t n = 0;
        CHECK(mv__reader_of_bytes(mv_slice(copy, *ret_len), &r, &err) == 0);
        while (mv_audit_read(r, &rec, &err) == 1)
                offsets[n++] = rec.offset;
        offsets[n] = *ret_len;
        mv_audit_reader_close(r);
        return copy;
}

/* REQ-AUD-06 */
TEST(every_flipped_bit_is_found_and_named)
{
        size_t len;
        uint64_t offsets[16];
        uint8_t *bytes = small_store(&len, offsets);
        REQUIRE(bytes);
        CHECK(verdict_of(mv_slice(bytes, len)).ok && verdict_of(mv_slice(bytes, len)).records == 6);
        CHECK(verdict_of(mv_slice(bytes, len)).unsealed == 1);
        unsigned missed = 0, misnamed = 0;
        for (size_t bit = 0; bit < len * 8; bit++) {
                bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
                struct mv_audit_verdict v = verdict_of(mv_slice(bytes, len));
                bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
                missed += v.ok;
                if (bit / 8 < MV_STORE_HEADER_BYTES)
                        continue;
                uint64_t index = 0;
                while (offsets[index + 1] <= bit / 8)
                        index++;
                misnamed +=
                        v.bad_index != index || v.bad_offset != offsets[index] || v.why[0] == '\0';
        }
        CHECK(missed == 0);
        CHECK(misnamed == 0);
        free(bytes);
}

TEST(a_store_cut_anywhere_keeps_its_whole_records_and_reports_the_rest_as_torn)
{
        size_t len;
        uint64_t offsets[16];
        uint8_t *bytes = small_store(&len, offsets);
        REQUIRE(bytes);
        for (size_t cut = MV_STORE_HEADER_BYTES; cut < len; cut++) {
                struct mv_audit_verdict v = verdict_of(mv_slice(bytes, cut));
                uint64_t whole = 0;
                while (offsets[whole + 1] <= cut)
                        whole++;
                CHECK(v.ok && v.records == whole && v.torn_bytes == cut - offsets[whole]);
                CHECK(v.unsealed == (whole >= 5 ? whole - 5 : whole)); /* the fifth is the seal */
        }
        free(bytes);
}

TEST(a_record_taken_out_or_put_elsewhere_breaks_the_chain)
{
        size_t len;
        uint64_t at[16];
        uint8_t *bytes = small_store(&len, at), *copy = malloc(len);
        REQUIRE(bytes && copy);
        memcpy(copy, bytes, at[1]);
        memcpy(copy + at[1], bytes + at[2], len - at[2]);
        struct mv_audit_verdict v = verdict_of(mv_slice(copy, len - (at[2] - at[1])));
        CHECK(!v.ok && v.bad_index == 1 && strstr(v.why, "chain"));
        memcpy(copy + at[1], bytes + at[0], at[1] - at[0]); /* the first record twice */
        v = verdict_of(mv_slice(copy, at[1] + (at[1] - at[0])));
        CHECK(!v.ok && v.bad_index == 1 && strstr(v.why, "chain"));
        free(bytes);
        free(copy);
}

/* --- seals ------------------------------------------------------------------------------------ */

/* A store whose chain is right but that was made by another key: everything but the signature
 * can be recomputed. */
TEST(a_forged_seal_is_found_by_its_signature)
{
        struct mv_audit *a;
        uint8_t root[32], other_key[32];
        struct mv_audit_reader *r;
        struct mv_audit_verdict v;
        REQUIRE(mv_audit_open(&in_memory, &a, &err) == 0);
        run_one(a, "x", 0, root);
        struct mv__key *forger, *own = a->key;
        REQUIRE(mv__key_open(NULL, &forger, &err) == 0 &&
                mv__key_public(forger, other_key, &err) == 0);
        a->key = forger;
        CHECK(mv__seal_rest(a, &err) == 0);
        a->key = own;
        v = verdict_of(bytes_of(a));
        CHECK(!v.ok && v.bad_index == 3);
        CHECK_STR(v.why, "the seal's signature is wrong");
        REQUIRE(mv__reader_of_bytes(bytes_of(a), &r, &err) == 0);
        CHECK(mv__audit_verify_reader(r, other_key, &v, &err) == 0 && !v.ok &&
              strstr(v.why, "another key"));
        mv_audit_reader_close(r);
        mv__key_close(forger);
        mv_audit_close(a);
}

/* A seal vouches for one place: the same bytes, right in the chain but elsewhere, are refused. */
TEST(a_seal_put_at_another_place_is_refused)
{
        struct mv_audit *a;
        uint8_t root[32], message[MV_SEAL_MESSAGE_BYTES], semantic[32], observed[96];
        REQUIRE(mv_audit_open(&in_memory, &a, &err) == 0);
        run_one(a, "x", 0, root);
        struct mv__seal seal = { .offset = a->end };
        CHECK(mv__key_sign(a->key, mv__seal_message(&a->header, a->end, a->prev, message),
                           seal.signature, &err) == 0);
        for (int elsewhere = 0; elsewhere < 2; elsewhere++) {
                struct mv_out s = mv_out(semantic, sizeof semantic),
                              o = mv_out(observed, sizeof observed);
                CHECK(mv__seal_put(&seal, &s, &o));
                struct mv__record record = { .type = MV_REC_SEAL,
                                             .semantic = mv_out_slice(&s),
                                             .observed = mv_out_slice(&o) };
                CHECK(mv__store_put(a, &record, &err) == 0);
                struct mv_audit_verdict v = verdict_of(bytes_of(a));
                CHECK(v.ok == !elsewhere && v.seals == 1);
                CHECK(!elsewhere || (v.bad_index == 4 && strstr(v.why, "another place")));
        }
        mv_audit_close(a);
}

TEST(a_busy_store_shares_one_seal_among_many_roots_and_reading_it_seals_the_rest)
{
        struct mv_audit *a;
        uint8_t root[32];
        char id[32];
        struct mv_audit_reader *r;
        struct mv_audit_verdict v;
        const struct mv_audit_options four = { .seal_roots = 4 },
                                      too_many = { .seal_roots = 100000 };
        REQUIRE(mv_audit_open(&four, &a, &err) == 0);
        for (unsigned n = 1; n <= 10; n++) {
                mv_fmt(id, sizeof id, "exec_%u", n);
                a->unsealed.oldest_ms = UINT64_MAX; /* not the clock decides in this test */
                run_one(a, id, 0, root);
                a->unsealed.oldest_ms = a->unsealed.root_ms;
                v = verdict_of(bytes_of(a));
                CHECK(v.ok && v.roots == n);
        }
        CHECK(v.seals >= 2); /* a slow machine adds some by age */
        REQUIRE(mv_audit_reader_of(a, &r, &err) == 0);
        CHECK(mv__audit_verify_reader(r, NULL, &v, &err) == 0 && v.ok && v.unsealed == 0 &&
              v.records == 30 + v.seals);
        mv_audit_reader_close(r);
        uint64_t end = a->end;
        REQUIRE(mv_audit_reader_of(a, &r, &err) == 0); /* nothing new: no further seal */
        mv_audit_reader_close(r);
        CHECK(a->end == end);
        mv_audit_close(a);
        REQUIRE(mv_audit_open(&too_many, &a, &err) == 0);
        CHECK(a->seal_roots == MV_SEAL_ROOTS_MAX);
        mv_audit_close(a);
}

static void saw(struct mv_audit *a, enum mv_record_type type, uint64_t time_ms)
{
        const struct mv__record r = { .type = type, .time_ms = time_ms };
        mv__seal_saw(a, &r, true);
}

/* The numbers of audit/seal.c. */
TEST(the_rule_when_to_seal_looks_at_counts_and_times_of_records)
{
        struct mv_audit memory = { .fd = -1 }, file = { .fd = -1, .path = (char *)"x" },
                        eager = { .fd = -1, .seal_roots = 1 };
        for (unsigned n = 1; n <= MV_SEAL_ROOTS_MAX; n++) {
                saw(&memory, MV_REC_ROOT, 1000);
                CHECK(mv__seal_due(&memory) == (n == MV_SEAL_ROOTS_MAX)); /* (1) */
        }
        saw(&memory, MV_REC_SEAL, 1000);
        CHECK(!memory.unsealed.any && !memory.unsealed.own);
        saw(&memory, MV_REC_CALL, 1000);
        saw(&memory, MV_REC_ROOT, 1099);
        CHECK(!mv__seal_due(&memory));
        saw(&memory, MV_REC_ROOT, 1100);
        CHECK(mv__seal_due(&memory)); /* (2) */
        saw(&memory, MV_REC_SEAL, 1100);
        saw(&memory, MV_REC_CALL, 1200);
        saw(&memory, MV_REC_ROOT, 1150);
        CHECK(mv__seal_due(&memory)); /* the clock stepped back */
        saw(&file, MV_REC_ROOT, 1000);
        CHECK(mv__seal_due(&file)); /* (3): the root before is not known */
        saw(&file, MV_REC_SEAL, 1000);
        saw(&file, MV_REC_ROOT, 1009);
        CHECK(!mv__seal_due(&file));
        saw(&file, MV_REC_ROOT, 1019);
        CHECK(mv__seal_due(&file));
        saw(&eager, MV_REC_ROOT, 1000);
        CHECK(mv__seal_due(&eager));
}

TEST(a_root_that_counts_or_hashes_other_records_is_found)
{
        struct mv_audit *a;
        struct mv_trail *t;
        uint8_t root[32];
        uint32_t n;
        for (int other = 0; other < 2; other++) {
                REQUIRE(mv_audit_open(&in_memory, &a, &err) == 0 &&
                        mv_trail_begin(a, "x", &t, &err) == 0);
                append(t, MV_REC_CALL, "one");
                mv_trail_free(t);
                /* the same id, another tree: its root is wrong for the store */
                REQUIRE(mv_trail_begin(a, "x", &t, &err) == 0);
                if (other)
                        append(t, MV_REC_CALL, "two");
                CHECK(mv_trail_end(t, root, &n, &err) == 0);
                struct mv_audit_verdict v = verdict_of(bytes_of(a));
                CHECK(!v.ok && strstr(v.why, "counts other records"));
                mv_trail_free(t);
                mv_audit_close(a);
        }
}

/* --- values ----------------------------------------------------------------------------------- */

static const struct mv_value *stored(const struct mv_value *v, struct mv_arena *arena)
{
        static uint8_t buf[8192];
        struct mv_out o = mv_out(buf, sizeof buf);
        const struct mv_value *ret = NULL;
        CHECK(mv_audit_put_value(&o, v));
        CHECK(mv_value_decode(mv_out_slice(&o), arena, &ret, &err) == 0);
        return ret;
}

/* REQ-AUD-13 */
TEST(a_large_argument_is_kept_as_its_digest_and_a_small_one_whole)
{
        static uint8_t mem[65536];
        struct mv_arena arena = mv_arena_fixed(mem, sizeof mem);
        char text[5000], want[65];
        memset(text, 'x', sizeof text);
        memcpy(text, "\xc3\xa9", 2);
        struct mv_value v = { .kind = MV_STRING, .text = mv_slice(text, 4000) },
                        list = { .kind = MV_VECTOR };
        CHECK(mv_value_equal(stored(&v, &arena), &v));
        v.text.len = sizeof text;
        const struct mv_value *s = stored(&v, &arena);
        struct mv_slice hex, preview;
        int64_t bytes;
        REQUIRE(s && s->kind == MV_MAP && s->count == 3);
        CHECK(mv_as_int(mv_map_get(s, "bytes"), &bytes) && bytes == 5003);
        CHECK(mv_as_text(mv_map_get(s, "preview"), &preview) && preview.len == 65 &&
              memcmp(preview.p, text, 65) == 0);
        uint8_t encoded[5003], digest[32];
        struct mv_out o = mv_out(encoded, sizeof encoded);
        CHECK(mv_value_encode(&o, &v));
        mv_sha256(mv_out_slice(&o), digest);
        for (int i = 0; i < 32; i++)
                snprintf(want + 2 * i, 3, "%02x", digest[i]);
        CHECK(mv_as_text(mv_map_get(s, "sha256"), &hex) && mv_slice_eq_str(hex, want));
        list.items = &v;
        list.count = 1;
        s = stored(&list, &arena);
        CHECK(mv_as_text(mv_map_get(s, "preview"), &preview) && mv_slice_eq_str(preview, "vector"));
        struct mv_out none = mv_out(encoded, 10);
        CHECK(!mv_audit_put_value(&none, &v));
}

/* Heads whose check is right and whose fields are not: only the signer's own host could write
 * them, and still. */
TEST(a_head_with_impossible_fields_is_refused_whatever_its_check_says)
{
        static const uint8_t text[80] = "xxxxxxxx";
        struct mv__salt salt, other;
        struct mv__record good = { .type = MV_REC_CALL,
                                   .id = { text, 4 },
                                   .semantic = { text, 1 } },
                          r, back;
        const struct mv__record bad[] = {
                { .type = 0, .id = { text, 4 }, .semantic = { text, 1 } },
                { .type = MV_REC_MAX_, .id = { text, 4 }, .semantic = { text, 1 } },
                { .type = MV_REC_CALL, .id = { text, 0 }, .semantic = { text, 1 } },
                { .type = MV_REC_CALL, .id = { text, 64 }, .semantic = { text, 1 } },
                /* a NUL in the id */
                { .type = MV_REC_CALL, .id = { text, 9 }, .semantic = { text, 1 } },
                { .type = MV_REC_CALL, .id = { text, 4 }, .semantic = { text, 0 } },
                /* a seal belongs to no execution */
                { .type = MV_REC_SEAL, .id = { text, 4 }, .semantic = { text, 1 } },
        };
        uint8_t bytes[400];
        struct mv__record_bytes pieces;
        mv__salt_make((const uint8_t[32]){ 7 }, &salt);
        mv__salt_make((const uint8_t[32]){ 8 }, &other);
        for (size_t i = 0; i <= sizeof bad / sizeof *bad; i++) {
                struct mv_out o = mv_out(bytes, sizeof bytes);
                r = i ? bad[i - 1] : good;
                mv__record_encode(&salt, &r, &pieces);
                for (size_t k = 0; k < 5; k++)
                        CHECK(mv_put_slice(&o, pieces.pieces[k]));
                const char *why = mv__record_decode(&salt, mv_out_slice(&o), &back);
                CHECK(i ? why != NULL : why == NULL && back.id.len == 4);
                /* another store's salt */
                CHECK(mv__record_decode(&other, mv_out_slice(&o), &back) != NULL);
        }
}
