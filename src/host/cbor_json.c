/* SPDX-License-Identifier: Apache-2.0 */
#include <base/limits.h>
#include <base/slice.h>
#include <host/cbor_json.h>
#include <stdio.h>
#include <stdlib.h>
#include <wire/cbor.h>

struct walk {
        struct mv__jsonw *w;
        struct mv_cur in;
        unsigned depth;
        struct mv_err err;
};

static bool item(struct walk *k, const char *key);

static bool next(struct walk *k, struct mv_cbor_item *ret)
{
        return mv_cbor_next(&k->in, ret, &k->err) == 0;
}

static bool put_identifier(struct walk *k, const char *key)
{
        struct mv_cbor_item it;
        if (!next(k, &it) || it.kind != MV_CBOR_TEXT)
                return false;
        mv__json_slice(k->w, key, it.text);
        return true;
}

/* Lists and errors are arrays; a function is only a mark. */
static bool put_tagged(struct walk *k, const char *key, uint64_t tag)
{
        struct mv_cbor_item it;
        if (tag == MV_TAG_IDENTIFIER)
                return put_identifier(k, key);
        if (tag == MV_TAG_FUNCTION) {
                mv__json_str(k->w, key, "#<function>");
                return next(k, &it) && it.kind == MV_CBOR_NULL;
        }
        return (tag == MV_TAG_LIST || tag == MV_TAG_ERROR) && item(k, key);
}

static bool put_float(struct walk *k, const char *key, double v)
{
        struct mv_value value = { .kind = MV_FLOAT, .real = v };
        char *text = mv_value_json(&value, NULL);
        if (text)
                mv__json_raw(k->w, key, text);
        else
                mv__json_str(k->w, key, v != v ? "NaN" : v < 0 ? "-inf" : "inf");
        free(text);
        return true;
}

static bool put_array(struct walk *k, const char *key, uint32_t count)
{
        bool ok = true;
        mv__json_open(k->w, key, '[');
        for (uint32_t i = 0; ok && i < count; i++)
                ok = item(k, NULL);
        mv__json_close(k->w, ']');
        return ok;
}

/* Keys: text, an integer, or a tagged identifier. */
static bool key_text(struct walk *k, char **ret)
{
        struct mv_cbor_item it;
        if (!next(k, &it))
                return false;
        if (it.kind == MV_CBOR_TAG && it.tag == MV_TAG_IDENTIFIER && !next(k, &it))
                return false;
        if (it.kind == MV_CBOR_INT)
                return asprintf(ret, "%lld", (long long)it.integer) >= 0;
        if (it.kind != MV_CBOR_TEXT)
                return false;
        return asprintf(ret, "%.*s", MV_SARG(it.text)) >= 0;
}

static bool put_map(struct walk *k, const char *key, uint32_t count)
{
        bool ok = true;
        mv__json_open(k->w, key, '{');
        for (uint32_t i = 0; ok && i < count; i++) {
                char *name = NULL;
                ok = key_text(k, &name) && item(k, name);
                free(name);
        }
        mv__json_close(k->w, '}');
        return ok;
}

static bool put_item(struct walk *k, const char *key, const struct mv_cbor_item *it)
{
        switch (it->kind) {
        case MV_CBOR_NULL:
                mv__json_raw(k->w, key, "null");
                return true;
        case MV_CBOR_BOOL:
                mv__json_bool(k->w, key, it->boolean);
                return true;
        case MV_CBOR_INT:
                mv__json_int(k->w, key, it->integer);
                return true;
        case MV_CBOR_FLOAT:
                return put_float(k, key, it->real);
        case MV_CBOR_TEXT:
                mv__json_slice(k->w, key, it->text);
                return true;
        case MV_CBOR_BYTES:
                mv__json_hex(k->w, key, "", it->text.p, it->text.len);
                return true;
        case MV_CBOR_ARRAY:
                return put_array(k, key, it->count);
        case MV_CBOR_MAP:
                return put_map(k, key, it->count);
        case MV_CBOR_TAG:
                return put_tagged(k, key, it->tag);
        }
        return false;
}

static bool item(struct walk *k, const char *key)
{
        struct mv_cbor_item it;
        if (++k->depth > MV_VALUE_DEPTH_MAX || !next(k, &it))
                return false;
        bool ok = put_item(k, key, &it);
        k->depth--;
        return ok;
}

bool mv__json_cbor(struct mv__jsonw *w, const char *key, struct mv_slice cbor)
{
        struct walk k = { .w = w, .in = mv_cur(cbor) };
        return item(&k, key) && mv_cur_done(&k.in);
}
