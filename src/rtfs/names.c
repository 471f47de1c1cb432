/* SPDX-License-Identifier: Apache-2.0 */
/* The language's words for those who write programs (microvm/language.h), from the tables of docs.h. */
#include <microvm/language.h>
#include <rtfs/docs.h>

static void fill(const struct mv_rtfs_doc *d, struct mv_language_name *ret)
{
        *ret = (struct mv_language_name){ .name = d->name,
                                          .syntax = d->syntax,
                                          .doc = d->text,
                                          .result = d->result,
                                          .errors = d->errors,
                                          .example = d->example,
                                          .gives = d->gives,
                                          .special = d->special,
                                          .prelude = d->prelude };
}

bool mv_language_name_at(uint32_t index, struct mv_language_name *ret)
{
        struct mv_rtfs_doc d;
        if (index >= mv_rtfs_doc_count())
                return false;
        mv_rtfs_doc_at(index, &d);
        fill(&d, ret);
        return true;
}

bool mv_language_name_find(const char *name, struct mv_language_name *ret)
{
        struct mv_rtfs_doc d;
        if (!mv_rtfs_doc_find(name, &d))
                return false;
        fill(&d, ret);
        return true;
}
