/* SPDX-License-Identifier: Apache-2.0 */
/* Grant lists: sorted arrays of canonical texts. Small ones are one or two cache lines, the
 * largest takes 12 comparisons. */
#include <security/grants.h>
#include <stdlib.h>

/* First entry that is not below the text. */
static uint32_t lower_bound(const struct mv_grant_list *l, const char *text)
{
        uint32_t from = 0, to = l->count;
        while (from < to) {
                uint32_t middle = from + (to - from) / 2;
                if (strcmp(l->items[middle], text) < 0)
                        from = middle + 1;
                else
                        to = middle;
        }
        return from;
}

int64_t mv__grants_find(const struct mv_grant_list *l, const char *text)
{
        uint32_t at = lower_bound(l, text);
        return at < l->count && strcmp(l->items[at], text) == 0 ? (int64_t)at : -1;
}

const char *mv__grants_before(const struct mv_grant_list *l, const char *text)
{
        uint32_t at = lower_bound(l, text);
        if (at < l->count && strcmp(l->items[at], text) == 0)
                return l->items[at];
        return at ? l->items[at - 1] : NULL;
}

const char *mv__grants_find_prefix(const struct mv_grant_list *l, const char *prefix)
{
        uint32_t at = lower_bound(l, prefix);
        return at < l->count && strncmp(l->items[at], prefix, strlen(prefix)) == 0 ? l->items[at]
                                                                                   : NULL;
}

static int grow(struct mv_grant_list *l, struct mv_err *err)
{
        if (l->count < l->cap)
                return 0;
        if (l->count >= MV_GRANTS_MAX)
                return mv_fail(err, MV_E_LIMIT, 0, "a context holds at most %u grants of one kind",
                               MV_GRANTS_MAX);
        uint32_t cap = l->cap ? l->cap * 2 : 8;
        char **items = realloc(l->items, cap * sizeof *items);
        if (!items)
                return mv_fail(err, MV_E_NOMEM, 0, "grant list");
        l->items = items;
        l->cap = cap;
        return 0;
}

int mv__grants_add(struct mv_grant_list *l, const char *text, struct mv_err *err)
{
        if (mv__grants_find(l, text) >= 0)
                return 0;
        int r = grow(l, err);
        if (r < 0)
                return r;
        char *copy = strdup(text);
        if (!copy)
                return mv_fail(err, MV_E_NOMEM, 0, "grant");
        uint32_t at = lower_bound(l, text);
        memmove(l->items + at + 1, l->items + at, (l->count - at) * sizeof *l->items);
        l->items[at] = copy;
        l->count++;
        return 0;
}

void mv__grants_remove_prefix(struct mv_grant_list *l, const char *prefix)
{
        uint32_t at = lower_bound(l, prefix), end = at;
        while (end < l->count && strncmp(l->items[end], prefix, strlen(prefix)) == 0)
                free(l->items[end++]);
        if (end == at)
                return;
        memmove(l->items + at, l->items + end, (l->count - end) * sizeof *l->items);
        l->count -= end - at;
}

void mv__grants_remove(struct mv_grant_list *l, const char *text)
{
        int64_t at = mv__grants_find(l, text);
        if (at < 0)
                return;
        free(l->items[at]);
        l->count--;
        memmove(l->items + at, l->items + at + 1, (l->count - (size_t)at) * sizeof *l->items);
}

int mv__grants_copy(struct mv_grant_list *to, const struct mv_grant_list *from, struct mv_err *err)
{
        if (from->count == 0)
                return 0;
        to->items = calloc(from->count, sizeof *to->items);
        if (!to->items)
                return mv_fail(err, MV_E_NOMEM, 0, "grant list");
        to->cap = from->count;
        for (; to->count < from->count; to->count++) {
                to->items[to->count] = strdup(from->items[to->count]);
                if (!to->items[to->count])
                        return mv_fail(err, MV_E_NOMEM, 0, "grant");
        }
        return 0;
}

void mv__grants_done(struct mv_grant_list *l)
{
        for (uint32_t i = 0; i < l->count; i++)
                free(l->items[i]);
        free(l->items);
        *l = (struct mv_grant_list){ 0 };
}
