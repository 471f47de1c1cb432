/* SPDX-License-Identifier: Apache-2.0 */
/* Arguments in records (REQ-AUD-13): a large one is kept as its digest, so that the record proves what it was without
 * holding it. Replies are never shortened: replay needs them whole. */
#include <audit/audit.h>
#include <base/limits.h>
#include <base/slice.h>
#include <stdlib.h>
#include <wire/cbor.h>
#include <wire/text.h>

#define PREVIEW_CODE_POINTS 64
#define PREVIEW_BYTES_MAX   (PREVIEW_CODE_POINTS * 4)

static void put_hex(const uint8_t digest[MV_DIGEST_BYTES], char ret[2 * MV_DIGEST_BYTES + 1])
{
        for (size_t i = 0; i < MV_DIGEST_BYTES; i++)
                mv_fmt(ret + 2 * i, 3, "%02x", digest[i]);
}

/* The first code points of a text; of anything else there is no preview: its kind says enough. */
static struct mv_slice preview_of(const struct mv_value *v)
{
        struct mv_slice text;
        size_t at = 0;
        if (!mv_as_text(v, &text))
                return mv_slice_str(mv_kind_name(v->kind));
        for (int i = 0; i < PREVIEW_CODE_POINTS && at < text.len; i++)
                mv_utf8_next(text, &at);
        return mv_slice(text.p, at);
}

static bool put_digest(struct mv_out *o, const struct mv_value *v, struct mv_slice encoded)
{
        uint8_t digest[MV_DIGEST_BYTES];
        char hex[2 * MV_DIGEST_BYTES + 1];
        mv_sha256(encoded, digest);
        put_hex(digest, hex);
        return mv_cbor_put_map(o, 3) && mv_cbor_put_str(o, "bytes") &&
               mv_cbor_put_int(o, (int64_t)encoded.len) && mv_cbor_put_str(o, "sha256") &&
               mv_cbor_put_str(o, hex) && mv_cbor_put_str(o, "preview") &&
               mv_cbor_put_text(o, preview_of(v));
}

bool mv_audit_put_value(struct mv_out *o, const struct mv_value *v)
{
        uint8_t small[MV_AUDIT_VALUE_BYTES_MAX];
        struct mv_out whole = mv_out(small, sizeof small);
        if (mv_value_encode(&whole, v))
                return mv_put_slice(o, mv_out_slice(&whole));
        if (!whole.overflow)
                return false;
        uint8_t *large = malloc(MV_FRAME_PAYLOAD_MAX); /* arguments came in one frame */
        if (!large)
                return false;
        whole = mv_out(large, MV_FRAME_PAYLOAD_MAX);
        bool ok = mv_value_encode(&whole, v) && put_digest(o, v, mv_out_slice(&whole));
        free(large);
        return ok;
}
