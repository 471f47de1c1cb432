/* SPDX-License-Identifier: Apache-2.0 */
/* Stable merge sort of values by the total order of spec 2.4. Bottom-up: no recursion. The order is
 * not total where NaN takes part; merging ends and keeps every item whatever the comparison
 * says. */
#include <rtfs/library.h>

struct entry {
        val key, item;
};

static enum native_status before(struct mv_rtfs *r, const val *b, const val *a, bool *ret)
{
        int order = 0;
        if (a->tag == T_INT && b->tag == T_INT) {
                *ret = b->i < a->i;
                return N_OK;
        }
        TRY(val_compare(r, *b, *a, &order));
        *ret = order < 0;
        return N_OK;
}

/* Merge from[lo, mid) and from[mid, hi) into to[lo, hi). */
static enum native_status merge(struct mv_rtfs *r, const struct entry *from, struct entry *to,
                                uint32_t lo, uint32_t mid, uint32_t hi)
{
        uint32_t a = lo, b = mid;
        for (uint32_t at = lo; at < hi; at++) {
                bool less = false;
                if (a < mid && b < hi)
                        TRY(before(r, &from[b].key, &from[a].key, &less));
                bool take_b = a == mid || less;
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

/* --- integers --------------------------------------------------------------------------------- */
/* Equal integers cannot be told apart, so nothing but their order matters: by bytes from the
 * least to the greatest. */
static bool all_integers(const val *items, uint32_t count)
{
        for (uint32_t i = 0; i < count; i++)
                if (items[i].tag != T_INT)
                        return false;
        return true;
}

#define SIGN        ((uint64_t)1 << 63)
#define RADIX_LEAST 512u /* below, counting digits costs more than it saves */

struct digits { /* how often each byte occurs at each place */
        uint32_t count[8][256];
};

/* Order by the byte at `place`. */
static void sort_digit(const uint64_t *from, uint64_t *to, uint32_t count, uint32_t place,
                       const uint32_t *counts)
{
        uint32_t start[256], sum = 0;
        for (uint32_t d = 0; d < 256; d++) {
                start[d] = sum;
                sum += counts[d];
        }
        for (uint32_t i = 0; i < count; i++)
                to[start[from[i] >> (8 * place) & 0xff]++] = from[i];
}

static enum native_status sort_integers(struct mv_rtfs *r, val *items, uint32_t count)
{
        uint64_t *from = work_memory_raw(r, (size_t)count * 2 * sizeof *from);
        struct digits *digits = work_memory(r, sizeof *digits);
        if (!from || !digits)
                return N_NOMEM;
        uint64_t *to = from + count;
        for (uint32_t i = 0; i < count; i++) {
                from[i] = (uint64_t)items[i].i ^ SIGN;
                for (uint32_t place = 0; place < 8; place++)
                        digits->count[place][from[i] >> (8 * place) & 0xff]++;
        }
        for (uint32_t place = 0; place < 8; place++) {
                if (digits->count[place][from[0] >> (8 * place) & 0xff] ==
                    count) /* all have the same byte here */
                        continue;
                sort_digit(from, to, count, place, digits->count[place]);
                uint64_t *swap = from;
                from = to;
                to = swap;
        }
        for (uint32_t i = 0; i < count; i++)
                items[i] = INT((int64_t)(from[i] ^ SIGN));
        return N_OK;
}

/* --- anything --------------------------------------------------------------------------------- */
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
        if (items == keys && count >= RADIX_LEAST && all_integers(items, count))
                return sort_integers(r, items, count);
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
