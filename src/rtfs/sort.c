/* SPDX-License-Identifier: Apache-2.0 */
/* Stable merge sort of values by the total order of spec 2.4. Bottom-up: no recursion. The order is
 * not total where NaN takes part; merging ends and keeps every item whatever the comparison
 * says. Many integers are sorted by their bytes instead: no comparison, no branch to mispredict. */
#include <rtfs/library.h>

#define RADIX_COUNT_MIN 256u /* below, clearing and adding up the counts costs more than merging */

struct entry {
        val key, item;
};

/* --- by comparison --------------------------------------------------------------------------- */
static inline bool order_of(struct mv_rtfs *r, val a, val b, int *ret)
{
        if (a.tag != T_INT || b.tag != T_INT)
                return val_compare(r, a, b, ret);
        *ret = (a.i > b.i) - (a.i < b.i);
        return true;
}

/* Merge from[lo, mid) and from[mid, hi) into to[lo, hi). */
static bool merge(struct mv_rtfs *r, const struct entry *from, struct entry *to, uint32_t lo,
                  uint32_t mid, uint32_t hi)
{
        uint32_t a = lo, b = mid;
        for (uint32_t at = lo; at < hi; at++) {
                int order = 0;
                if (a < mid && b < hi && !order_of(r, from[b].key, from[a].key, &order))
                        return false;
                bool take_b = a == mid || (b < hi && order < 0);
                to[at] = take_b ? from[b++] : from[a++];
        }
        return true;
}

/* One doubling of the sorted runs. */
static bool merge_runs(struct mv_rtfs *r, const struct entry *from, struct entry *to,
                       uint32_t count, uint32_t width)
{
        for (uint32_t lo = 0; lo < count;) {
                uint32_t mid = count - lo > width ? lo + width : count;
                uint32_t hi = count - mid > width ? mid + width : count;
                if (!merge(r, from, to, lo, mid, hi))
                        return false;
                lo = hi;
        }
        return true;
}

/* The sorted entries: `from` or `to`. NULL: values nested too deeply. */
static const struct entry *merge_sort(struct mv_rtfs *r, struct entry *from, struct entry *to,
                                      uint32_t count)
{
        for (uint64_t width = 1; width < count; width *= 2) {
                if (!merge_runs(r, from, to, count, (uint32_t)width))
                        return NULL;
                struct entry *swap = from;
                from = to;
                to = swap;
        }
        return from;
}

/* --- integers by their bytes ----------------------------------------------------------------- */
static inline uint32_t byte_of(const struct entry *e, uint32_t byte)
{
        return (uint64_t)e->key.i >> (8 * byte) & 0xff;
}

/* From counts to places. The highest byte carries the sign: 0x80 to 0xff come first. False: every
 * entry has the same byte. */
static bool places(uint32_t place[256], bool sign, uint32_t count)
{
        uint32_t sum = 0;
        for (uint32_t i = 0; i < 256; i++) {
                uint32_t *p = &place[sign ? i ^ 0x80 : i], n = *p;
                if (n == count)
                        return false;
                *p = sum;
                sum += n;
        }
        return true;
}

/* The sorted entries: `from` or `to`. Stable, least byte first. */
static const struct entry *radix_sort(struct entry *from, struct entry *to, uint32_t count)
{
        uint32_t place[8][256] = { 0 };
        for (uint32_t i = 0; i < count; i++)
                for (uint32_t byte = 0; byte < 8; byte++)
                        place[byte][byte_of(&from[i], byte)]++;
        for (uint32_t byte = 0; byte < 8; byte++) {
                if (!places(place[byte], byte == 7, count))
                        continue;
                for (uint32_t i = 0; i < count; i++)
                        to[place[byte][byte_of(&from[i], byte)]++] = from[i];
                struct entry *swap = from;
                from = to;
                to = swap;
        }
        return from;
}

/* --------------------------------------------------------------------------------------------- */
static uint32_t log2_above(uint32_t n)
{
        uint32_t bits = 1;
        while (n >>= 1)
                bits++;
        return bits;
}

static bool all_integers(const val *keys, uint32_t count)
{
        for (uint32_t i = 0; i < count; i++)
                if (keys[i].tag != T_INT)
                        return false;
        return true;
}

enum native_status sort_by_keys(struct mv_rtfs *r, val *items, val *keys, uint32_t count)
{
        if (charge(r, (uint64_t)count * log2_above(count)))
                return N_FATAL;
        struct entry *from = work_memory_raw(r, (size_t)count * 2 * sizeof *from);
        if (!from)
                return N_NOMEM;
        for (uint32_t i = 0; i < count; i++)
                from[i] = (struct entry){ keys[i], items[i] };
        bool by_bytes = count >= RADIX_COUNT_MIN && all_integers(keys, count);
        const struct entry *sorted = by_bytes ? radix_sort(from, from + count, count)
                                              : merge_sort(r, from, from + count, count);
        if (!sorted)
                return raise_deep(r);
        for (uint32_t i = 0; i < count; i++)
                items[i] = sorted[i].item;
        return N_OK;
}
