/* SPDX-License-Identifier: Apache-2.0 */
/* wire/base64.c - see base64.h. Whole groups of three bytes, then a rest of one or two. */
#include <base/slice.h>
#include <wire/base64.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

bool mv_base64_put(struct mv_out *o, struct mv_slice s)
{
        for (size_t i = 0; i < s.len; i += 3) {
                size_t n = s.len - i < 3 ? s.len - i : 3;
                uint32_t v = (uint32_t)s.p[i] << 16 | (n > 1 ? (uint32_t)s.p[i + 1] << 8 : 0) |
                             (n > 2 ? s.p[i + 2] : 0);
                char d[4] = { digits[v >> 18], digits[v >> 12 & 63],
                              n > 1 ? digits[v >> 6 & 63] : '=', n > 2 ? digits[v & 63] : '=' };
                if (!mv_put_bytes(o, d, sizeof d))
                        return false;
        }
        return !o->overflow;
}

static int digit(uint8_t c)
{
        if (c >= 'A' && c <= 'Z')
                return c - 'A';
        if (c >= 'a' && c <= 'z')
                return c - 'a' + 26;
        if (c >= '0' && c <= '9')
                return c - '0' + 52;
        return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Four digits, of which the last `pad` are '='. false: not what the encoder writes. */
static bool group(const uint8_t *d, unsigned pad, uint32_t *ret)
{
        uint32_t v = 0;
        for (unsigned i = 0; i < 4; i++) {
                int n = i < 4 - pad ? digit(d[i]) : d[i] == '=' ? 0 : -1;
                if (n < 0)
                        return false;
                v = v << 6 | (uint32_t)n;
        }
        *ret = v;
        return (v & ((1u << (8 * pad)) - 1)) == 0; /* bits that belong to no byte */
}

int mv_base64_decode(struct mv_slice text, struct mv_arena *a, struct mv_slice *ret,
                     struct mv_err *err)
{
        if (text.len % 4)
                return MV_HOSTILE(err, "base64: length");
        unsigned pad = 0;
        while (pad < 2 && pad < text.len && text.p[text.len - 1 - pad] == '=')
                pad++;
        size_t len = text.len / 4 * 3 - pad;
        uint8_t *p = mv_new(a, uint8_t, len + 3);
        if (!p)
                return mv_fail(err, MV_E_LIMIT, 0, "base64: no memory for %zu bytes", len);
        for (size_t i = 0; i < text.len; i += 4) {
                uint32_t v;
                if (!group(text.p + i, i + 4 == text.len ? pad : 0, &v))
                        return MV_HOSTILE(err, "base64: digits");
                uint8_t *q = p + i / 4 * 3;
                q[0] = (uint8_t)(v >> 16);
                q[1] = (uint8_t)(v >> 8);
                q[2] = (uint8_t)v;
        }
        *ret = mv_slice(p, len);
        return 0;
}
