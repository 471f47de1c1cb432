/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_BASE_ERR_H
#define MV_BASE_ERR_H
/* Report once with mv_fail, add context going up with mv_wrap; hostile bytes have one choke point, MV_HOSTILE.
 * Freestanding: formatting is base/fmt.h (%s %.*s %c %d %u %x %ld %lu %llu %lld %zu %p and PRI* macros). */
#include <microvm/error.h>
#include <base/fmt.h>

#define mv_fail(err, code, sys, ...) (mv__fail((err), (code), (sys), __VA_ARGS__), -(int)(code))
#define mv_wrap(err, ...)            (mv__wrap((err), __VA_ARGS__))
/* Every rejection of untrusted bytes passes here: one breakpoint, one counter. */
#define MV_HOSTILE(err, what) (mv__hostile((err), __FILE__, __LINE__, (what)), -(int)MV_E_HOSTILE)

void mv__fail(struct mv_err *err, enum mv_code code, int sys, const char *fmt, ...)
        __attribute__((format(printf, 4, 5)));
/* returns -err->code */
int mv__wrap(struct mv_err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void mv__hostile(struct mv_err *err, const char *file, int line, const char *what);
uint64_t mv_hostile_count(void); /* rejections so far in this process */
/* strerror on the host; guests link one that prints the number. */
const char *mv__errno_text(int sys);

#endif
