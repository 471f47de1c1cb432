/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 and the Merkle tree of RFC 6962. The low-level functions of libcrypto are used, deprecated as they are (only in
 * this file): they neither allocate nor fail, so no record is lost to a failing hash, their state is a plain struct that
 * can be copied when a block is hashed once for all records, and they cost half of what EVP costs for a small record. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <audit/digest.h>
#include <openssl/sha.h>

/* Most of what is hashed here is a few small pieces: put into one, with the padding of FIPS 180-4 (5.1.1) behind it, it goes
 * through the library block by block, without its buffer and its end. */
#define FLAT_BYTES 512
#define PAD_BYTES  9 /* 80, and the message's length in bits */

static bool flat_digest(const SHA256_CTX *begun, const struct mv_slice *parts, size_t count,
                        uint8_t ret[MV_DIGEST_BYTES])
{
        uint8_t buf[FLAT_BYTES];
        struct mv_out o = mv_out(buf, sizeof buf - PAD_BYTES);
        SHA256_CTX ctx = *begun;
        for (size_t i = 0; i < count; i++)
                mv_put_slice(&o, parts[i]);
        if (o.overflow || ctx.num)
                return false;
        size_t bytes = (o.len + PAD_BYTES + SHA256_CBLOCK - 1) / SHA256_CBLOCK * SHA256_CBLOCK;
        uint64_t bits = __builtin_bswap64(((uint64_t)ctx.Nh << 32 | ctx.Nl) + o.len * 8);
        buf[o.len] = 0x80;
        memset(buf + o.len + 1, 0, bytes - PAD_BYTES - o.len);
        memcpy(buf + bytes - sizeof bits, &bits, sizeof bits);
        SHA256_Update(&ctx, buf, bytes);
        for (size_t i = 0; i < MV_DIGEST_BYTES / 4; i++) {
                uint32_t word = __builtin_bswap32(ctx.h[i]);
                memcpy(ret + 4 * i, &word, sizeof word);
        }
        return true;
}

void mv__sha256_from(const SHA256_CTX *begun, const struct mv_slice *parts, size_t count,
                     uint8_t ret[MV_DIGEST_BYTES])
{
        if (flat_digest(begun, parts, count, ret))
                return;
        SHA256_CTX ctx = *begun;
        for (size_t i = 0; i < count; i++)
                if (parts[i].len)
                        SHA256_Update(&ctx, parts[i].p, parts[i].len);
        SHA256_Final(ret, &ctx);
}

void mv__sha256_parts(const struct mv_slice *parts, size_t count, uint8_t ret[MV_DIGEST_BYTES])
{
        SHA256_CTX begun;
        SHA256_Init(&begun);
        mv__sha256_from(&begun, parts, count, ret);
}

static void begin_block(const char *domain, const uint8_t *header_digest, SHA256_CTX *ret)
{
        uint8_t block[SHA256_CBLOCK] = { 0 };
        memcpy(block, domain, strlen(domain));
        memcpy(block + SHA256_CBLOCK - MV_DIGEST_BYTES, header_digest, MV_DIGEST_BYTES);
        SHA256_Init(ret);
        SHA256_Update(ret, block, sizeof block);
}

void mv__salt_make(const uint8_t header_digest[MV_DIGEST_BYTES], struct mv__salt *ret)
{
        begin_block("ccos-microvm head v1", header_digest, &ret->head);
        begin_block("ccos-microvm record v1", header_digest, &ret->record);
}

void mv_sha256(struct mv_slice bytes, uint8_t ret[MV_DIGEST_BYTES])
{
        mv__sha256_parts(&bytes, 1, ret);
}

void mv__semantic_digest(enum mv_record_type type, struct mv_slice semantic,
                         uint8_t ret[MV_DIGEST_BYTES])
{
        const uint8_t prefix[2] = { 0x00, (uint8_t)type };
        const struct mv_slice parts[] = { { prefix, sizeof prefix }, semantic };
        mv__sha256_parts(parts, 2, ret);
}

static void node_digest(const uint8_t *left, const uint8_t *right, uint8_t ret[MV_DIGEST_BYTES])
{
        const struct mv_slice parts[] = { MV_SLICE("\x01"),
                                          { left, MV_DIGEST_BYTES },
                                          { right, MV_DIGEST_BYTES } };
        mv__sha256_parts(parts, 3, ret);
}

/* level[i] is the root of a full subtree of 2^i leaves when bit i of count is set. */
void mv__merkle_push(uint8_t (*level)[MV_DIGEST_BYTES], uint64_t count,
                     const uint8_t leaf_digest[MV_DIGEST_BYTES])
{
        uint8_t carry[MV_DIGEST_BYTES];
        memcpy(carry, leaf_digest, sizeof carry);
        unsigned i = 0;
        for (; count >> i & 1; i++)
                node_digest(level[i], carry, carry);
        memcpy(level[i], carry, sizeof carry);
}

void mv__merkle_fold(uint8_t (*level)[MV_DIGEST_BYTES], uint64_t count,
                     uint8_t ret[MV_DIGEST_BYTES])
{
        if (count == 0) {
                mv_sha256((struct mv_slice){ NULL, 0 }, ret);
                return;
        }
        unsigned i = (unsigned)__builtin_ctzll(count);
        memcpy(ret, level[i], MV_DIGEST_BYTES);
        while (++i < 64) /* an odd node is promoted: it joins the next full subtree to its left */
                if (count >> i & 1)
                        node_digest(level[i], ret, ret);
}

void mv_merkle_add(struct mv_merkle *m, const uint8_t leaf_digest[MV_DIGEST_BYTES])
{
        mv__merkle_push(m->level, m->count, leaf_digest);
        m->count++;
}

void mv_merkle_root(const struct mv_merkle *m, uint8_t ret[MV_DIGEST_BYTES])
{
        mv__merkle_fold((uint8_t(*)[MV_DIGEST_BYTES])m->level, m->count, ret);
}
