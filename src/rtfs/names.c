/* SPDX-License-Identifier: Apache-2.0 */
/* The language's words for those who write programs (microvm/language.h): special forms, builtins, and
 * the library's functions, whose names stand in its source. Names that begin with % are the
 * machine's. Host only: a guest has no use for it. */
#include <microvm/language.h>
#include <rtfs/compile.h>
#include <string.h>

static const struct native *const tables[] = { natives_core, natives_math, natives_string,
                                               natives_coll, natives_seq,  natives_misc,
                                               natives_types };

static bool special_at(uint32_t *index, struct mv_language_name *ret)
{
        for (int i = 0; i < special_count(); i++) {
                const char *word = special_word(i);
                if (strchr(word, ' ') || (*index)-- > 0)
                        continue;
                *ret = (struct mv_language_name){ .name = word,
                                                  .name_len = strlen(word),
                                                  .args_min = -1,
                                                  .args_max = -1,
                                                  .special = true };
                return true;
        }
        return false;
}

static bool native_at(uint32_t *index, struct mv_language_name *ret)
{
        for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
                for (const struct native *n = tables[t]; n->name; n++) {
                        if ((n->name[0] == '%' && n->name[1]) || (*index)-- > 0)
                                continue;
                        *ret = (struct mv_language_name){ .name = n->name,
                                                          .name_len = strlen(n->name),
                                                          .doc = n->doc,
                                                          .example = n->example,
                                                          .gives = n->gives,
                                                          .args_min = n->args_min,
                                                          .args_max = n->args_max };
                        return true;
                }
        return false;
}

static bool defined_at(const char *source, bool prelude, uint32_t *index,
                       struct mv_language_name *ret)
{
        static const char head[] = "(def";
        for (const char *p = source; (p = strstr(p, head)); p++) {
                const char *name = p + sizeof head - 1 + (p[sizeof head - 1] == 'n');
                if (*name++ != ' ' || *name == '%' || (*index)-- > 0)
                        continue;
                *ret = (struct mv_language_name){ .name = name,
                                                  .name_len = strcspn(name, " []()\n"),
                                                  .args_min = -1,
                                                  .args_max = -1,
                                                  .prelude = prelude };
                return true;
        }
        return false;
}

bool mv_language_name_at(uint32_t index, struct mv_language_name *ret)
{
        return special_at(&index, ret) || native_at(&index, ret) ||
               defined_at(library_source, false, &index, ret) ||
               defined_at(ccos_prelude_source, true, &index, ret);
}

bool mv_language_name_find(const char *name, struct mv_language_name *ret)
{
        struct mv_language_name n;
        size_t len = strlen(name);
        for (uint32_t i = 0; mv_language_name_at(i, &n); i++)
                if (n.name_len == len && memcmp(n.name, name, len) == 0) {
                        *ret = n;
                        return true;
                }
        return false;
}
