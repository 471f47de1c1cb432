/* SPDX-License-Identifier: Apache-2.0 */
/* "Did you mean": the defined name nearest to an undefined one. Asked once, when an error has ended the program: errors
 * that are caught cost nothing. The answer does not depend on the order of the buckets. */
#include <base/nearest.h>
#include <base/slice.h>
#include <rtfs/vm.h>

static bool is_defined(const struct mv_rtfs *r, const struct name *n)
{
        if (!n->len || n->text[0] == '%' || memchr(n->text, ' ', n->len)) /* internal */
                return false;
        return n->special || (n->global >= 0 && r->globals[n->global].tag <= T_MACRO);
}

static bool comes_before(const struct name *a, const struct name *b)
{
        int order = memcmp(a->text, b->text, a->len < b->len ? a->len : b->len);
        return order ? order < 0 : a->len < b->len;
}

const struct name *nearest_name(const struct mv_rtfs *r, struct mv_slice text)
{
        const struct name *nearest = NULL;
        if (text.len < 3 || text.len > MV_NEAREST_TEXT_MAX) /* of two letters, everything is two slips away */
                return NULL;
        unsigned best = text.len < 6 ? 1 : mv_edit_tolerance(text.len);
        for (uint32_t i = 0; i < NAME_BUCKETS; i++)
                for (const struct name *n = r->buckets[i]; n; n = n->next) {
                        size_t apart = n->len > text.len ? n->len - text.len : text.len - n->len;
                        if (n->len > MV_NEAREST_TEXT_MAX || apart > best || !is_defined(r, n))
                                continue;
                        unsigned d = mv_edit_distance(text, mv_slice(n->text, n->len));
                        if (d > best || (d == best && nearest && !comes_before(n, nearest)))
                                continue;
                        best = d;
                        nearest = n;
                }
        return nearest;
}
