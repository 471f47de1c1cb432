/* SPDX-License-Identifier: Apache-2.0 */
#include <base/limits.h>
#include <base/slice.h>
#include <host/cbor_map.h>

/* Over one item, byte strings included (a value of a program has none, a record does). */
static int skip(struct mv_cur *c, unsigned depth, struct mv_err *err)
{
        struct mv_cbor_item it;
        int r = mv_cbor_next(c, &it, err);
        if (r == 0 && depth > MV_VALUE_DEPTH_MAX)
                return MV_HOSTILE(err, "record: depth");
        uint64_t inside = it.kind == MV_CBOR_ARRAY ? it.count
                          : it.kind == MV_CBOR_MAP ? 2ull * it.count
                                                   : it.kind == MV_CBOR_TAG;
        for (uint64_t i = 0; r == 0 && i < inside; i++)
                r = skip(c, depth + 1, err);
        return r;
}

int mv__map_find(struct mv_slice map, const char *key, struct mv_slice *ret_raw, struct mv_err *err)
{
        struct mv_cur c = mv_cur(map);
        struct mv_cbor_item head, name;
        int r = mv_cbor_next(&c, &head, err);
        if (r < 0)
                return r;
        if (head.kind != MV_CBOR_MAP)
                return MV_HOSTILE(err, "record: not a map");
        for (uint32_t i = 0; i < head.count; i++) {
                r = mv_cbor_next(&c, &name, err);
                const uint8_t *start = c.p;
                if (r == 0)
                        r = skip(&c, 0, err);
                if (r < 0)
                        return r;
                if (name.kind == MV_CBOR_TEXT && mv_slice_eq_str(name.text, key)) {
                        *ret_raw = mv_slice(start, (size_t)(c.p - start));
                        return 0;
                }
        }
        return mv_fail(err, MV_E_CORRUPT, 0, "record: it has no \"%s\"", key);
}

int mv__map_item(struct mv_slice map, const char *key, enum mv_cbor_kind kind,
                 struct mv_cbor_item *ret, struct mv_err *err)
{
        struct mv_slice raw;
        int r = mv__map_find(map, key, &raw, err);
        if (r < 0)
                return r;
        struct mv_cur c = mv_cur(raw);
        r = mv_cbor_next(&c, ret, err);
        if (r == 0 && ret->kind != kind && ret->kind != MV_CBOR_NULL)
                r = mv_fail(err, MV_E_CORRUPT, 0, "record: \"%s\" has another type", key);
        return r;
}

struct mv_slice mv__map_text(struct mv_slice map, const char *key)
{
        struct mv_cbor_item it;
        struct mv_err ignored;
        if (mv__map_item(map, key, MV_CBOR_TEXT, &it, &ignored) < 0 || it.kind != MV_CBOR_TEXT)
                return (struct mv_slice){ NULL, 0 };
        return it.text;
}
