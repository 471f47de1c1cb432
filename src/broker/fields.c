/* SPDX-License-Identifier: Apache-2.0 */
#include <broker/internal.h>
#include <wire/cbor.h>

static struct field *find(struct field *fields, uint32_t count, struct mv_slice key)
{
        for (uint32_t i = 0; i < count; i++)
                if (mv_slice_eq_str(key, fields[i].key))
                        return &fields[i];
        return NULL;
}

/* One pair; *last is the encoding of the key before it, which this one must follow: no
 * duplicates, one order. */
static int read_pair(struct mv_cur *c, struct field *fields, uint32_t count, struct mv_slice *last,
                     struct mv_err *err)
{
        const uint8_t *start = c->p;
        struct mv_cbor_item key;
        int r = mv_cbor_next(c, &key, err);
        if (r < 0)
                return r;
        struct field *f = key.kind == MV_CBOR_TEXT ? find(fields, count, key.text) : NULL;
        if (!f)
                return MV_HOSTILE(err, "frame: unknown key");
        struct mv_slice raw = mv_slice(start, (size_t)(c->p - start));
        if (last->len && mv_cbor_key_cmp(*last, raw) >= 0)
                return MV_HOSTILE(err, "frame: key order");
        *last = raw;
        f->seen = true;
        return mv_cbor_skip(c, &f->raw, err);
}

int mv__fields_read(struct mv_slice payload, struct field *fields, uint32_t count,
                    struct mv_err *err)
{
        struct mv_cur c = mv_cur(payload);
        struct mv_cbor_item map;
        struct mv_slice last = { NULL, 0 };
        int r = mv_cbor_next(&c, &map, err);
        if (r < 0)
                return r;
        if (map.kind != MV_CBOR_MAP)
                return MV_HOSTILE(err, "frame: payload is not a map");
        for (uint32_t i = 0; i < map.count; i++) {
                r = read_pair(&c, fields, count, &last, err);
                if (r < 0)
                        return r;
        }
        if (!mv_cur_done(&c))
                return MV_HOSTILE(err, "frame: payload length");
        for (uint32_t i = 0; i < count; i++)
                if (fields[i].required && !fields[i].seen)
                        return MV_HOSTILE(err, "frame: a key is missing");
        return 0;
}

static int only_item(const struct field *f, enum mv_cbor_kind kind, struct mv_cbor_item *ret,
                     struct mv_err *err)
{
        struct mv_cur c = mv_cur(f->raw);
        int r = mv_cbor_next(&c, ret, err);
        if (r < 0)
                return r;
        return ret->kind == kind ? 0 : MV_HOSTILE(err, "frame: type of a field");
}

int mv__field_count(const struct field *f, uint64_t *ret, struct mv_err *err)
{
        struct mv_cbor_item item;
        *ret = 0;
        if (!f->seen)
                return 0;
        int r = only_item(f, MV_CBOR_INT, &item, err);
        if (r < 0)
                return r;
        if (item.integer < 0)
                return MV_HOSTILE(err, "frame: a count is negative");
        *ret = (uint64_t)item.integer;
        return 0;
}

int mv__field_text(const struct field *f, struct mv_slice *ret, struct mv_err *err)
{
        struct mv_cbor_item item;
        *ret = MV_SLICE("");
        if (!f->seen)
                return 0;
        int r = only_item(f, MV_CBOR_TEXT, &item, err);
        if (r == 0)
                *ret = item.text;
        return r;
}
