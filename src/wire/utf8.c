/* SPDX-License-Identifier: Apache-2.0 */
/* wire/utf8.c - UTF-8 and the few Unicode properties the language needs.
 *
 * (1) Validation follows table 3-7 of the Unicode standard: no overlong form, no surrogate, nothing above U+10FFFF.
 * (2) Everything else takes text that was validated. It still never reads beyond the slice. */
#include <wire/text.h>
#include <wire/unicode_table.h>

/* Length of a sequence by its first byte; 0: none starts so. */
static unsigned sequence_len(uint8_t first)
{
        if (first < 0x80)
                return 1;
        if (first < 0xc2)
                return 0;
        return first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
}

/* The range of the second byte is what keeps overlongs, surrogates and > U+10FFFF out. */
static bool second_allowed(uint8_t first, uint8_t second)
{
        uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
        uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
        return second >= low && second <= high;
}

static bool all_ascii(const uint8_t *p)
{
        uint64_t w;
        memcpy(&w, p, sizeof w);
        return (w & 0x8080808080808080ull) == 0;
}

static bool sequence_valid(const uint8_t *p, unsigned len)
{
        if (len > 1 && !second_allowed(p[0], p[1]))
                return false;
        for (unsigned i = 2; i < len; i++)
                if ((p[i] & 0xc0) != 0x80)
                        return false;
        return len > 0;
}

bool mv_utf8_valid(struct mv_slice s)
{
        size_t i = 0;
        while (i < s.len) {
                if (s.len - i >= 8 && all_ascii(s.p + i)) {
                        i += 8;
                        continue;
                }
                if (s.p[i] < 0x80) {
                        i++;
                        continue;
                }
                unsigned len = sequence_len(s.p[i]);
                if (len > s.len - i || !sequence_valid(s.p + i, len))
                        return false;
                i += len;
        }
        return true;
}

size_t mv_utf8_count(struct mv_slice valid)
{
        size_t n = 0;
        for (size_t i = 0; i < valid.len; i++)
                n += (valid.p[i] & 0xc0) != 0x80;
        return n;
}

size_t mv_utf8_offset(struct mv_slice valid, size_t index)
{
        size_t i = 0;
        for (; i < valid.len; i++) {
                if ((valid.p[i] & 0xc0) == 0x80)
                        continue;
                if (index-- == 0)
                        break;
        }
        return i;
}

uint32_t mv_utf8_next(struct mv_slice valid, size_t *at)
{
        if (*at >= valid.len)
                return 0;
        uint8_t first = valid.p[*at];
        size_t len = sequence_len(first);
        if (len <= 1 || len > valid.len - *at) {
                *at += 1;
                return first;
        }
        uint32_t c = first & (0x7fu >> len);
        for (size_t i = 1; i < len; i++)
                c = c << 6 | (valid.p[*at + i] & 0x3f);
        *at += len;
        return c;
}

bool mv_utf8_put(struct mv_out *o, uint32_t c)
{
        uint8_t b[4];
        if (c < 0x80)
                return mv_put_u8(o, (uint8_t)c);
        if (c > 0x10ffff ||
            (c >= 0xd800 && c <= 0xdfff)) { /* has no UTF-8: our bug, and never half a text */
                o->overflow = true;
                return false;
        }
        unsigned len = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        for (unsigned i = len - 1; i > 0; i--, c >>= 6)
                b[i] = 0x80 | (c & 0x3f);
        b[0] = (uint8_t)((0xf00u >> len) | c);
        return mv_put_bytes(o, b, len);
}

/* --- properties ------------------------------------------------------------------------------- */
#define LENGTH(table) (sizeof(table) / sizeof(table)[0])

static bool in_ranges(const struct range *table, size_t count, uint32_t c)
{
        size_t low = 0, high = count;
        while (low < high) {
                size_t mid = low + (high - low) / 2;
                if (c > table[mid].last)
                        low = mid + 1;
                else
                        high = mid;
        }
        return low < count && c >= table[low].first;
}

bool mv_utf8_is_space(uint32_t c)
{
        return in_ranges(space_ranges, LENGTH(space_ranges), c);
}

bool mv_utf8_is_alpha(uint32_t c)
{
        if (c < 0x80)
                return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
        return in_ranges(alpha_ranges, LENGTH(alpha_ranges), c);
}

bool mv_utf8_is_digit(uint32_t c)
{
        if (c < 0x80)
                return c >= '0' && c <= '9';
        return in_ranges(digit_ranges, LENGTH(digit_ranges), c);
}

/* --- case ------------------------------------------------------------------------------------- */
static uint32_t map_single(const struct case_range *table, size_t count, uint32_t c)
{
        size_t low = 0, high = count;
        while (low < high) {
                size_t mid = low + (high - low) / 2;
                if (c > table[mid].last)
                        low = mid + 1;
                else
                        high = mid;
        }
        if (low == count || c < table[low].first)
                return c;
        const struct case_range *r = &table[low];
        bool member = (c - r->first) % (uint32_t)r->step == 0;
        return member ? (uint32_t)((int32_t)c + r->delta) : c;
}

static const struct case_special *find_special(const struct case_special *table, size_t count,
                                               uint32_t c)
{
        size_t low = 0, high = count;
        while (low < high) {
                size_t mid = low + (high - low) / 2;
                if (c > table[mid].from)
                        low = mid + 1;
                else
                        high = mid;
        }
        return low < count && table[low].from == c ? &table[low] : NULL;
}

static int put_special(const struct case_special *s, uint32_t ret[3])
{
        int n = 0;
        for (; n < 3 && s->to[n]; n++)
                ret[n] = s->to[n];
        return n;
}

int mv_utf8_upper(uint32_t c, uint32_t ret[3])
{
        const struct case_special *s = find_special(upper_specials, LENGTH(upper_specials), c);
        if (s)
                return put_special(s, ret);
        ret[0] = map_single(upper_ranges, LENGTH(upper_ranges), c);
        return 1;
}

int mv_utf8_lower(uint32_t c, uint32_t ret[3])
{
        const struct case_special *s = find_special(lower_specials, LENGTH(lower_specials), c);
        if (s)
                return put_special(s, ret);
        ret[0] = map_single(lower_ranges, LENGTH(lower_ranges), c);
        return 1;
}
