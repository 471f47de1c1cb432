/* SPDX-License-Identifier: Apache-2.0 */
/* Other spellings of built-in ids. Everything behind this file (grants, records, replies) sees the canonical id.
 * By rule: `math.add` for ccos.math.add, and `/` for any dot. By list: names older programs use. */
#include <capability/builtin.h>
#include <base/limits.h>

static const struct {
        const char *alias, *id;
} listed[] = {
        { "http.fetch", "ccos.network.http-fetch" },
        { "http-fetch", "ccos.network.http-fetch" },
        { "ccos.http.fetch", "ccos.network.http-fetch" },
        { "file.read", "ccos.io.read-file" },
        { "file.write", "ccos.io.write-file" },
        { "file.exists", "ccos.io.file-exists" },
        { "file.delete", "ccos.io.delete-file" },
        { "file.open", "ccos.io.open-file" },
        { "file.close", "ccos.io.close-file" },
        { "file.list", "ccos.io.list-dir" },
        { "file.mkdir", "ccos.io.mkdir" },
        { "json.parse", "ccos.data.parse-json" },
        { "json.stringify", "ccos.data.serialize-json" },
        { "ccos.json.parse", "ccos.data.parse-json" },
        { "ccos.json.stringify", "ccos.data.serialize-json" },
        { "env.get", "ccos.system.get-env" },
        { "time.now", "ccos.system.current-time" },
};

/* Is text `id`, or `id` without "ccos.", with either separator? */
static bool spells(struct mv_slice text, const char *id)
{
        size_t len = strlen(id);
        if (text.len != len) {
                if (text.len + 5 != len || memcmp(id, "ccos.", 5) != 0)
                        return false;
                id += 5;
        }
        for (size_t i = 0; i < text.len; i++)
                if (text.p[i] != (uint8_t)id[i] && !(text.p[i] == '/' && id[i] == '.'))
                        return false;
        return true;
}

const char *mv__alias_find(struct mv_slice text)
{
        if (text.len == 0 || text.len > MV_ID_MAX)
                return NULL;
        const struct mv_builtin *b;
        for (uint32_t i = 0; (b = mv__builtin_at(i)); i++)
                if (spells(text, b->capability.id))
                        return b->capability.id;
        for (size_t i = 0; i < sizeof listed / sizeof listed[0]; i++)
                if (spells(text, listed[i].alias))
                        return listed[i].id;
        return NULL;
}
