/* SPDX-License-Identifier: Apache-2.0 */
#include <base/nearest.h>

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
        unsigned m = a < b ? a : b;
        return m < c ? m : c;
}

#define FAR ((unsigned)2 * MV_NEAREST_TEXT_MAX) /* more than any distance; can be added to */

/* Row i from row i - 1, as far as columns at most `most` from the diagonal count; the smallest
 * number in it. */
static unsigned next_row(unsigned *row, size_t i, struct mv_slice a, struct mv_slice b,
                         unsigned most)
{
        size_t from = i > most ? i - most : 1, to = b.len < i + most ? b.len : i + most;
        unsigned diagonal = row[from - 1], smallest = FAR;
        row[from - 1] = from == 1 ? (unsigned)i : FAR;
        for (size_t j = from; j <= to; j++) {
                unsigned above = row[j];
                row[j] = min3(above + 1, row[j - 1] + 1, diagonal + (a.p[i - 1] != b.p[j - 1]));
                diagonal = above;
                smallest = row[j] < smallest ? row[j] : smallest;
        }
        return smallest;
}

unsigned mv_edit_distance(struct mv_slice a, struct mv_slice b, unsigned most)
{
        unsigned row[MV_NEAREST_TEXT_MAX + 1];
        size_t apart = a.len > b.len ? a.len - b.len : b.len - a.len;
        if (a.len > MV_NEAREST_TEXT_MAX || b.len > MV_NEAREST_TEXT_MAX || apart > most)
                return UINT32_MAX;
        for (size_t j = 0; j <= b.len; j++)
                row[j] = j <= most ? (unsigned)j : FAR;
        for (size_t i = 1; i <= a.len; i++)
                if (next_row(row, i, a, b, most) > most && row[0] > most)
                        return UINT32_MAX;
        return row[b.len] <= most ? row[b.len] : UINT32_MAX;
}

unsigned mv_edit_tolerance(size_t len)
{
        return len / 3 > 2 ? (unsigned)len / 3 : 2;
}
