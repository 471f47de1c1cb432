/* SPDX-License-Identifier: Apache-2.0 */
#include <base/err.h>
#include <string.h>

static uint64_t hostile_rejections;

const char *mv_code_text(enum mv_code code)
{
        static const char *const texts[MV_E_MAX_] = { [MV_OK] = "ok",
#define X(name, text) [MV_E_##name] = text,
                                                      MV_ERR_MAP(X)
#undef X
        };
        return code < MV_E_MAX_ ? texts[code] : "unknown code";
}

void mv__fail(struct mv_err *err, enum mv_code code, int sys, const char *fmt, ...)
{
        if (!err)
                return;
        va_list ap;
        va_start(ap, fmt);
        size_t n = mv_vfmt(err->msg, sizeof err->msg, fmt, ap);
        va_end(ap);
        if (sys)
                mv_fmt(err->msg + n, sizeof err->msg - n, ": %s", mv__errno_text(sys));
        err->code = code;
        err->sys = sys;
}

int mv__wrap(struct mv_err *err, const char *fmt, ...)
{
        if (!err)
                return -(int)MV_E_INTERNAL;
        char inner[sizeof err->msg];
        memcpy(inner, err->msg, sizeof inner);
        va_list ap;
        va_start(ap, fmt);
        size_t n = mv_vfmt(err->msg, sizeof err->msg, fmt, ap);
        va_end(ap);
        mv_fmt(err->msg + n, sizeof err->msg - n, ": %s", inner);
        return -(int)err->code;
}

void mv__hostile(struct mv_err *err, const char *file, int line, const char *what)
{
        __atomic_fetch_add(&hostile_rejections, 1, __ATOMIC_RELAXED);
        const char *base = strrchr(file, '/');
        mv__fail(err, MV_E_HOSTILE, 0, "%s (%s:%d)", what, base ? base + 1 : file, line);
}

uint64_t mv_hostile_count(void)
{
        return __atomic_load_n(&hostile_rejections, __ATOMIC_RELAXED);
}
