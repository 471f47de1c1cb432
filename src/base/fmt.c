/* SPDX-License-Identifier: Apache-2.0 */
#include <base/fmt.h>
#include <stdbool.h>
#include <string.h>

struct sink {
        char *p;
        size_t len, cap;
};

static void put(struct sink *s, const char *p, size_t n)
{
        size_t room = s->cap - s->len - 1;
        if (n > room)
                n = room;
        memcpy(s->p + s->len, p, n);
        s->len += n;
}

static void pad(struct sink *s, char c, int n)
{
        while (n-- > 0)
                put(s, &c, 1);
}

static void put_number(struct sink *s, uint64_t v, unsigned base, bool negative, int width,
                       char fill)
{
        char digits[24];
        int n = 0;
        do
                digits[sizeof digits - 1 - (size_t)n++] = "0123456789abcdef"[v % base];
        while ((v /= base) > 0);
        if (negative)
                digits[sizeof digits - 1 - (size_t)n++] = '-';
        pad(s, fill, width - n);
        put(s, digits + sizeof digits - n, (size_t)n);
}

/* A long has 64 bits behind most walls and 32 in WebAssembly. */
static int64_t take_signed(va_list *ap, int longs)
{
        if (longs > 1)
                return va_arg(*ap, long long);
        return longs ? (int64_t)va_arg(*ap, long) : va_arg(*ap, int);
}

static uint64_t take_unsigned(va_list *ap, int longs)
{
        if (longs > 1)
                return va_arg(*ap, unsigned long long);
        return longs ? (uint64_t)va_arg(*ap, unsigned long) : va_arg(*ap, unsigned);
}

/* One conversion behind '%'; returns the character after it. A size_t is as long as a long. */
static const char *convert(struct sink *s, const char *f, va_list *ap)
{
        char fill = ' ';
        int width = 0, precision = -1, longs = 0;
        bool prefix = false;
        for (;; f++) {
                if (*f == '0')
                        fill = '0';
                else if (*f == '#')
                        prefix = true;
                else
                        break;
        }
        for (; *f >= '0' && *f <= '9'; f++)
                width = width * 10 + (*f - '0');
        if (*f == '.' && f[1] == '*') {
                precision = va_arg(*ap, int);
                f += 2;
        } else if (*f == '.') {
                for (precision = 0, f++; *f >= '0' && *f <= '9'; f++)
                        precision = precision * 10 + (*f - '0');
        }
        for (; *f == 'l' || *f == 'z'; f++)
                longs++;
        switch (*f) {
        case 's': {
                const char *p = va_arg(*ap, const char *);
                if (!p)
                        p = "(null)";
                put(s, p, precision >= 0 ? strnlen(p, (size_t)precision) : strlen(p));
                break;
        }
        case 'c': {
                char c = (char)va_arg(*ap, int);
                put(s, &c, 1);
                break;
        }
        case 'd':
        case 'i': {
                int64_t v = take_signed(ap, longs);
                put_number(s, v < 0 ? -(uint64_t)v : (uint64_t)v, 10, v < 0, width, fill);
                break;
        }
        case 'u':
                put_number(s, take_unsigned(ap, longs), 10, false, width, fill);
                break;
        case 'x':
                if (prefix)
                        put(s, "0x", 2);
                put_number(s, take_unsigned(ap, longs), 16, false, width, fill);
                break;
        case 'p':
                put(s, "0x", 2);
                put_number(s, (uintptr_t)va_arg(*ap, void *), 16, false, 0, ' ');
                break;
        case '%':
                put(s, "%", 1);
                break;
        default: /* our own format strings only: show the mistake instead of hiding it */
                put(s, "%?", 2);
                return f;
        }
        return f + 1;
}

size_t mv_vfmt(char *buf, size_t cap, const char *fmt, va_list ap)
{
        if (cap == 0)
                return 0;
        struct sink s = { buf, 0, cap };
        va_list args;
        va_copy(args, ap);
        while (*fmt) {
                const char *pct = strchr(fmt, '%');
                put(&s, fmt, pct ? (size_t)(pct - fmt) : strlen(fmt));
                if (!pct)
                        break;
                fmt = convert(&s, pct + 1, &args);
        }
        va_end(args);
        buf[s.len] = '\0';
        return s.len;
}

size_t mv_fmt(char *buf, size_t cap, const char *fmt, ...)
{
        va_list ap;
        va_start(ap, fmt);
        size_t n = mv_vfmt(buf, cap, fmt, ap);
        va_end(ap);
        return n;
}

size_t mv_fmt_text(char *buf, size_t cap, const char *s)
{
        if (!cap)
                return 0;
        size_t n = strlen(s);
        n = n < cap - 1 ? n : cap - 1;
        memcpy(buf, s, n);
        buf[n] = '\0';
        return n;
}
