/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_BASE_CUR_H
#define MV_BASE_CUR_H
/* Reading and writing bytes without ever overrunning. Freestanding.
 *
 * (1) A cursor that ran short stays short: every further get returns 0 / empty, mv_cur_done is false.
 * (2) An output that did not fit stays failed: `overflow` is set, nothing beyond cap is written, len keeps counting
 *     what would have been needed only up to the first failure. */
#include <string.h>
#include <microvm/value.h>

struct mv_cur {
        const uint8_t *p, *end;
        bool bad;
};
static inline struct mv_cur mv_cur(struct mv_slice s)
{
        return (struct mv_cur){ s.p, s.p + s.len, false };
}
static inline size_t mv_cur_left(const struct mv_cur *c)
{
        return c->bad ? 0 : (size_t)(c->end - c->p);
}
static inline bool mv_cur_done(const struct mv_cur *c)
{
        return !c->bad && c->p == c->end;
}
static inline struct mv_slice mv_get_bytes(struct mv_cur *c, uint64_t n)
{
        if (c->bad || n > (uint64_t)(c->end - c->p)) {
                c->bad = true;
                return (struct mv_slice){ c->end, 0 };
        }
        struct mv_slice s = { c->p, (size_t)n };
        c->p += n;
        return s;
}
static inline uint8_t mv_get_u8(struct mv_cur *c)
{
        struct mv_slice s = mv_get_bytes(c, 1);
        return s.len ? s.p[0] : 0;
}
/* One load, not one per byte: every frame begins with such numbers. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define MV__LE(bits, v) (v)
#else
#define MV__LE(bits, v) __builtin_bswap##bits(v)
#endif
#define MV__GET_LE(bits)                                                                           \
        static inline uint##bits##_t mv_get_u##bits(struct mv_cur *c)                              \
        {                                                                                          \
                struct mv_slice s = mv_get_bytes(c, bits / 8);                                     \
                uint##bits##_t v = 0;                                                              \
                if (s.len)                                                                         \
                        memcpy(&v, s.p, bits / 8);                                                 \
                return MV__LE(bits, v);                                                            \
        }
MV__GET_LE(16)
MV__GET_LE(32)
MV__GET_LE(64)

struct mv_out {
        uint8_t *p;
        size_t len, cap;
        bool overflow;
};
static inline struct mv_out mv_out(void *p, size_t cap)
{
        return (struct mv_out){ p, 0, cap, false };
}
static inline bool mv_put_bytes(struct mv_out *o, const void *p, size_t n)
{
        if (o->overflow || n > o->cap - o->len) {
                o->overflow = true;
                return false;
        }
        if (n)
                memcpy(o->p + o->len, p, n);
        o->len += n;
        return true;
}
static inline bool mv_put_slice(struct mv_out *o, struct mv_slice s)
{
        return mv_put_bytes(o, s.p, s.len);
}
static inline bool mv_put_str(struct mv_out *o, const char *s)
{
        return mv_put_bytes(o, s, strlen(s));
}
static inline bool mv_put_u8(struct mv_out *o, uint8_t v)
{
        return mv_put_bytes(o, &v, 1);
}
#define MV__PUT_LE(bits)                                                                           \
        static inline bool mv_put_u##bits(struct mv_out *o, uint##bits##_t v)                      \
        {                                                                                          \
                v = MV__LE(bits, v);                                                               \
                return mv_put_bytes(o, &v, bits / 8);                                              \
        }
MV__PUT_LE(16)
MV__PUT_LE(32)
MV__PUT_LE(64)
static inline struct mv_slice mv_out_slice(const struct mv_out *o)
{
        return (struct mv_slice){ o->p, o->len };
}

#endif
