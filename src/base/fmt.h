/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_BASE_FMT_H
#define MV_BASE_FMT_H
/* A small printf for host and guests: the ring-3 image has no libc stdio. Always NUL-terminates when cap > 0; returns
 * the bytes written without the NUL (never more than cap - 1: what did not fit is cut at a byte). No floats. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

size_t mv_fmt(char *buf, size_t cap, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* mv_fmt(buf, cap, "%s", s) */
size_t mv_fmt_text(char *buf, size_t cap, const char *s);
size_t mv_vfmt(char *buf, size_t cap, const char *fmt, va_list ap);

#endif
