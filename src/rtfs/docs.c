/* SPDX-License-Identifier: Apache-2.0 */
#include <rtfs/docs.h>
#include <rtfs/special_forms.h>
#include <rtfs/vm.h>
#include <string.h>

static const struct group {
        const char *name;
        const struct native *rows;
} groups[] = {
        { "Calls and errors", natives_core },
        { "Numbers and comparison", natives_math },
        { "Strings", natives_string },
        { "Collections", natives_coll },
        { "Sequences", natives_seq },
        { "Functions of functions", library_docs },
        { "JSON, errors and context", natives_misc },
        { "The CCOS prelude", prelude_docs },
};
#define GROUPS (sizeof groups / sizeof groups[0])

static void fill_special(const struct special_form *s, struct mv_rtfs_doc *ret)
{
        *ret = (struct mv_rtfs_doc){ .name = s->word,
                                     .group = "Special forms",
                                     .syntax = s->syntax,
                                     .text = s->doc,
                                     .result = s->result,
                                     .errors = s->errors,
                                     .example = s->example,
                                     .gives = s->gives,
                                     .special = true };
}

static void fill_native(const struct group *g, const struct native *n, struct mv_rtfs_doc *ret)
{
        *ret = (struct mv_rtfs_doc){ .name = n->name,
                                     .group = g->name,
                                     .syntax = n->args,
                                     .text = n->doc,
                                     .result = n->result,
                                     .errors = n->errors,
                                     .example = n->example,
                                     .gives = n->gives,
                                     .prelude = g->rows == prelude_docs };
}

/* The row number `i` into *ret; false, and how many rows there are in *ret_count, when there is
 * none. */
static bool row(uint32_t i, struct mv_rtfs_doc *ret, uint32_t *ret_count)
{
        uint32_t at = 0;
        for (const struct special_form *s = special_forms; s->word; s++)
                if (s->doc && at++ == i) {
                        fill_special(s, ret);
                        return true;
                }
        for (size_t g = 0; g < GROUPS; g++)
                for (const struct native *n = groups[g].rows; n->name; n++)
                        if (n->doc && at++ == i) {
                                fill_native(&groups[g], n, ret);
                                return true;
                        }
        *ret_count = at;
        return false;
}

uint32_t mv_rtfs_doc_count(void)
{
        struct mv_rtfs_doc d;
        uint32_t count = 0;
        (void)row(UINT32_MAX, &d, &count);
        return count;
}

void mv_rtfs_doc_at(uint32_t i, struct mv_rtfs_doc *ret)
{
        uint32_t count;
        *ret = (struct mv_rtfs_doc){ 0 };
        (void)row(i, ret, &count);
}

bool mv_rtfs_doc_find(const char *name, struct mv_rtfs_doc *ret)
{
        uint32_t count;
        for (uint32_t i = 0; row(i, ret, &count); i++)
                if (strcmp(ret->name, name) == 0)
                        return true;
        return false;
}
