/* SPDX-License-Identifier: Apache-2.0 */
/* "Did you mean": the defined name nearest to an undefined one. Asked once, when an error has ended the program: errors
 * that are caught cost nothing. Special forms and globals are considered: of local names nothing is left at
 * run time. */
#include <base/nearest.h>
#include <base/slice.h>
#include <rtfs/compile.h>

static bool comes_before(struct mv_slice a, struct mv_slice b)
{
        int order = memcmp(a.p, b.p, a.len < b.len ? a.len : b.len);
        return order ? order < 0 : a.len < b.len;
}

struct search {
        const struct mv_rtfs *r;
        struct mv_slice text;
        unsigned best; /* distance of `nearest`, or the greatest that counts */
        struct mv_slice nearest;
};

static void consider(struct search *s, struct mv_slice name)
{
        if (!name.len || name.p[0] == '%' || memchr(name.p, ' ', name.len)) /* internal */
                return;
        unsigned d = mv_edit_distance(s->text, name, s->best);
        if (d > s->best || (d == s->best && s->nearest.len && !comes_before(name, s->nearest)))
                return;
        s->best = d;
        s->nearest = name;
}

struct mv_slice nearest_name(const struct mv_rtfs *r, struct mv_slice text)
{
        struct search s = { .r = r, .text = text };
        if (text.len < 3 ||
            text.len > MV_NEAREST_TEXT_MAX) /* of two letters, everything is two slips away */
                return s.nearest;
        s.best = text.len < 6 ? 1 : mv_edit_tolerance(text.len);
        for (int i = 0; i < special_count(); i++)
                consider(&s, mv_slice_str(special_word(i)));
        for (uint32_t i = 0; i < r->global_count; i++)
                if (r->globals[i].tag <= T_MACRO)
                        consider(&s, mv_slice(r->global_names[i]->text, r->global_names[i]->len));
        return s.nearest;
}
