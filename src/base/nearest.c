/* SPDX-License-Identifier: Apache-2.0 */
#include <base/nearest.h>

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
        unsigned m = a < b ? a : b;
        return m < c ? m : c;
}

unsigned mv_edit_distance(struct mv_slice a, struct mv_slice b)
{
        unsigned row[MV_NEAREST_TEXT_MAX + 1];
        if (a.len > MV_NEAREST_TEXT_MAX || b.len > MV_NEAREST_TEXT_MAX)
                return UINT32_MAX;
        for (size_t j = 0; j <= b.len; j++)
                row[j] = (unsigned)j;
        for (size_t i = 1; i <= a.len; i++) {
                unsigned diagonal = row[0];
                row[0] = (unsigned)i;
                for (size_t j = 1; j <= b.len; j++) {
                        unsigned above = row[j];
                        row[j] = min3(above + 1, row[j - 1] + 1,
                                      diagonal + (a.p[i - 1] != b.p[j - 1]));
                        diagonal = above;
                }
        }
        return row[b.len];
}

unsigned mv_edit_tolerance(size_t len)
{
        return len / 3 > 2 ? (unsigned)len / 3 : 2;
}
