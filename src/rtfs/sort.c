/* SPDX-License-Identifier: Apache-2.0 */
/* Stable merge sort of values by the total order of spec 2.4. Bottom-up: no recursion. The order is
 * not total where NaN takes part; merging ends and keeps every item whatever the comparison
 * says. */
#include <rtfs/library.h>

struct entry {
        val key, item;
};

/* Merge from[lo, mid) and from[mid, hi) into to[lo, hi). */
static enum native_status merge(struct mv_rtfs *r, const struct entry *from, struct entry *to, uint32_t lo,
                  uint32_t mid, uint32_t hi)
{
        uint32_t a = lo, b = mid;
        for (uint32_t at = lo; at < hi; at++) {
                int order = 0;
                if (a < mid && b < hi)
                        TRY(val_compare(r, from[b].key, from[a].key, &order));
                bool take_b = a == mid || (b < hi && order < 0);
                to[at] = take_b ? from[b++] : from[a++];
        }
        return N_OK;
}

/* One doubling of the sorted runs. */
static enum native_status merge_runs(struct mv_rtfs *r, const struct entry *from, struct entry *to,
                                     uint32_t count, uint32_t width)
{
        for (uint32_t lo = 0; lo < count;) {
                uint32_t mid = count - lo > width ? lo + width : count;
                uint32_t hi = count - mid > width ? mid + width : count;
                TRY(merge(r, from, to, lo, mid, hi));
                lo = hi;
        }
        return N_OK;
}

static uint32_t log2_above(uint32_t n)
{
        uint32_t bits = 1;
        while (n >>= 1)
                bits++;
        return bits;
}

enum native_status sort_by_keys(struct mv_rtfs *r, val *items, val *keys, uint32_t count)
{
        if (charge(r, (uint64_t)count * log2_above(count)))
                return N_FATAL;
        struct entry *from = work_memory(r, (size_t)count * 2 * sizeof *from);
        if (!from)
                return N_NOMEM;
        struct entry *to = from + count;
        for (uint32_t i = 0; i < count; i++)
                from[i] = (struct entry){ keys[i], items[i] };
        for (uint64_t width = 1; width < count; width *= 2) {
                TRY(merge_runs(r, from, to, count, (uint32_t)width));
                struct entry *swap = from;
                from = to;
                to = swap;
        }
        for (uint32_t i = 0; i < count; i++)
                items[i] = from[i].item;
        return N_OK;
}
