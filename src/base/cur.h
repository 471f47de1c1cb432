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
#define MV__GET_LE(type, name)                                                                     \
        static inline type name(struct mv_cur *c)                                                  \
        {                                                                                          \
                struct mv_slice s = mv_get_bytes(c, sizeof(type));                                 \
                type v = 0;                                                                        \
                for (size_t i = 0; i < s.len; i++)                                                 \
                        v |= (type)((type)s.p[i] << (8 * i));                                      \
                return v;                                                                          \
        }
MV__GET_LE(uint16_t, mv_get_u16)
MV__GET_LE(uint32_t, mv_get_u32)
MV__GET_LE(uint64_t, mv_get_u64)

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
#define MV__PUT_LE(type, name)                                                                     \
        static inline bool name(struct mv_out *o, type v)                                          \
        {                                                                                          \
                uint8_t b[sizeof(type)];                                                           \
                for (size_t i = 0; i < sizeof b; i++)                                              \
                        b[i] = (uint8_t)(v >> (8 * i));                                            \
                return mv_put_bytes(o, b, sizeof b);                                               \
        }
MV__PUT_LE(uint16_t, mv_put_u16)
MV__PUT_LE(uint32_t, mv_put_u32)
MV__PUT_LE(uint64_t, mv_put_u64)
static inline struct mv_slice mv_out_slice(const struct mv_out *o)
{
        return (struct mv_slice){ o->p, o->len };
}

#endif
