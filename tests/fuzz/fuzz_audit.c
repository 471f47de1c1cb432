/* SPDX-License-Identifier: Apache-2.0 */
/* Stores from hostile hands. First the bytes as a store, as a root record and as a seal; then as a list of changes (u16 offset, u8 xor)
 * to a good store: whatever is changed must be found, and a cut must leave whole records only. */
#include <audit/reader.h>
#include <audit/store.h>
#include <stdlib.h>
#include <wire/cbor.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static bool verify(struct mv_slice bytes, struct mv_audit_verdict *ret)
{
        struct mv_audit_reader *r;
        struct mv_err err;
        if (mv__reader_of_bytes(bytes, &r, &err) < 0)
                return false;
        if (mv__audit_verify_reader(r, NULL, ret, &err) < 0)
                abort();
        mv_audit_reader_close(r);
        return true;
}

static struct mv_slice good_store(void)
{
        static uint8_t *bytes;
        static size_t len;
        if (bytes)
                return (struct mv_slice){ bytes, len };
        struct mv_audit *a;
        struct mv_trail *t;
        struct mv_err err;
        uint8_t root[32];
        uint32_t n;
        if (mv_audit_open(&(struct mv_audit_options){ .path = NULL }, &a, &err) < 0 ||
            mv_trail_begin(a, "exec", &t, &err) < 0 ||
            mv_trail_append(t, MV_REC_CALL, MV_SLICE("\x61x"), MV_SLICE("\xf6"), &err) < 0 ||
            mv_trail_end(t, root, &n, &err) < 0 || mv__seal_rest(a, &err) < 0 ||
            mv__store_copy(a, &bytes, &len, &err) < 0)
                abort();
        mv_trail_free(t);
        mv_audit_close(a);
        return (struct mv_slice){ bytes, len };
}

static void check_changes(struct mv_slice changes)
{
        const struct mv_slice good = good_store();
        struct mv_audit_verdict v;
        struct mv_cur c = mv_cur(changes);
        uint8_t *copy = malloc(good.len);
        memcpy(copy, good.p, good.len);
        size_t cut = mv_get_u16(&c) % (good.len + 1);
        while (mv_cur_left(&c) >= 3) {
                size_t at = mv_get_u16(&c) % good.len;
                copy[at] ^= mv_get_u8(&c);
        }
        bool looks = verify((struct mv_slice){ copy, cut }, &v);
        /* of a torn record nothing is claimed */
        uint64_t judged = looks && v.ok ? cut - v.torn_bytes : 0;
        if (memcmp(copy, good.p, judged) != 0)
                abort();
        free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
        struct mv_audit_verdict v;
        struct mv__root root;
        struct mv__seal seal;
        verify((struct mv_slice){ data, len }, &v);
        size_t half = len / 2;
        mv__root_get((struct mv_slice){ data, half }, (struct mv_slice){ data + half, len - half },
                     &root);
        mv__seal_get((struct mv_slice){ data, half }, (struct mv_slice){ data + half, len - half },
                     &seal);
        check_changes((struct mv_slice){ data, len });
        return 0;
}
