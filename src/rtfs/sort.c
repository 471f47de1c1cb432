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
static enum native_status merge(struct mv_rtfs *r, const struct entry *from, struct entry *to, uint32_t lo,
                  uint32_t mid, uint32_t hi)
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
/* Equal integers cannot be told apart, so nothing but their order matters: by bytes from the least to the greatest. */
static bool all_integers(const val *items, uint32_t count)
{
        for (uint32_t i = 0; i < count; i++)
                if (items[i].tag != T_INT)
                        return false;
        return true;
}

#define DIGIT_BITS 11u
#define DIGITS     (1u << DIGIT_BITS)
#define SIGN       ((uint64_t)1 << 63)
#define RADIX_LEAST 512u /* below, counting digits costs more than it saves */

/* One pass over the digit at `shift`; false: all numbers have the same one, and nothing was moved. */
static bool sort_digit(const uint64_t *from, uint64_t *to, uint32_t count, uint32_t shift)
{
        uint32_t start[DIGITS] = { 0 }, sum = 0;
        for (uint32_t i = 0; i < count; i++)
                start[from[i] >> shift & (DIGITS - 1)]++;
        if (start[from[0] >> shift & (DIGITS - 1)] == count)
                return false;
        for (uint32_t d = 0; d < DIGITS; d++) {
                uint32_t n = start[d];
                start[d] = sum;
                sum += n;
        }
        for (uint32_t i = 0; i < count; i++)
                to[start[from[i] >> shift & (DIGITS - 1)]++] = from[i];
        return true;
}

static enum native_status sort_integers(struct mv_rtfs *r, val *items, uint32_t count)
{
        uint64_t *from = work_memory_raw(r, (size_t)count * 2 * sizeof *from);
        if (!from)
                return N_NOMEM;
        uint64_t *to = from + count;
        for (uint32_t i = 0; i < count; i++)
                from[i] = (uint64_t)items[i].i ^ SIGN;
        for (uint32_t shift = 0; shift < 64; shift += DIGIT_BITS) {
                if (!sort_digit(from, to, count, shift))
                        continue;
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
