/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_BASE_SLICE_H
#define MV_BASE_SLICE_H
/* Text and bytes are pointer and length; NUL-terminated only at the system-call edge.
 * Freestanding. */
#include <string.h>
#include <microvm/value.h>

/* For functions that pass a literal on: its length is known only where they are expanded. */
#define MV_INLINE static inline __attribute__((always_inline))

static inline struct mv_slice mv_slice(const void *p, size_t len)
{
        return (struct mv_slice){ p, len };
}
static inline struct mv_slice mv_slice_str(const char *s)
{
        return (struct mv_slice){ (const uint8_t *)s, s ? strlen(s) : 0 };
}
static inline bool mv_slice_eq(struct mv_slice a, struct mv_slice b)
{
        return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}
static inline bool mv_slice_eq_str(struct mv_slice a, const char *s)
{
        return mv_slice_eq(a, mv_slice_str(s));
}
static inline bool mv_slice_starts(struct mv_slice a, const char *prefix)
{
        size_t n = strlen(prefix);
        return a.len >= n && memcmp(a.p, prefix, n) == 0;
}
/* Bytewise, shorter first on a tie: code point order for UTF-8. */
static inline int mv_slice_cmp(struct mv_slice a, struct mv_slice b)
{
        size_t n = a.len < b.len ? a.len : b.len;
        int c = n ? memcmp(a.p, b.p, n) : 0;
        return c ? c : (a.len > b.len) - (a.len < b.len);
}
#define MV_SARG(s) (int)(s).len, (const char *)(s).p /* for "%.*s" */

#endif
