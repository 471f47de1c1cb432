/* SPDX-License-Identifier: Apache-2.0 */
/* wire/utf8.c - UTF-8 and the few Unicode properties the language needs.
 *
 * (1) Validation follows table 3-7 of the Unicode standard: no overlong form, no surrogate, nothing above U+10FFFF.
 * (2) Everything else takes text that was validated. It still never reads beyond the slice. */
#include <wire/text.h>

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
                unsigned len = sequence_len(s.p[i]);
                if (len > s.len - i || !sequence_valid(s.p + i, len))
                        return false;
                i += len;
        }
        return true;
}
