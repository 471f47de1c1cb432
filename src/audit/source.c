/* SPDX-License-Identifier: Apache-2.0 */
#include <audit/source.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define WINDOW_BYTES ((size_t)256 << 10) /* one read serves some hundred small records */

static int window_reserve(struct mv__walk *w, size_t bytes, struct mv_err *err)
{
        if (bytes <= w->window_cap)
                return 0;
        free(w->window);
        w->window_len = w->window_cap = 0;
        w->window = malloc(bytes);
        if (!w->window)
                return mv_fail(err, MV_E_NOMEM, 0, "read %zu bytes of an audit store", bytes);
        w->window_cap = bytes;
        return 0;
}

static int window_fill(struct mv__walk *w, uint64_t offset, size_t at_least, struct mv_err *err)
{
        size_t want = at_least > WINDOW_BYTES ? at_least : WINDOW_BYTES;
        if (want > w->size - offset)
                want = (size_t)(w->size - offset);
        int r = window_reserve(w, want, err);
        if (r < 0)
                return r;
        w->window_at = offset;
        w->window_len = 0;
        while (w->window_len < want) {
                ssize_t n = pread(w->fd, w->window + w->window_len, want - w->window_len,
                                  (off_t)(offset + w->window_len));
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return mv_fail(err, MV_E_SYS, errno, "read an audit store at byte %lu",
                                       (unsigned long)offset);
                if (n == 0)
                        return mv_fail(err, MV_E_STATE, 0,
                                       "the audit store became shorter while it was read");
                w->window_len += (size_t)n;
        }
        return 0;
}

int mv__walk_bytes(struct mv__walk *w, uint64_t offset, size_t n, struct mv_slice *ret,
                   struct mv_err *err)
{
        if (w->fd < 0) {
                *ret = (struct mv_slice){ w->bytes.p + offset, n };
                return 0;
        }
        bool inside = offset >= w->window_at && offset - w->window_at <= w->window_len &&
                      n <= w->window_len - (offset - w->window_at);
        int r = inside ? 0 : window_fill(w, offset, n, err);
        if (r < 0)
                return r;
        *ret = (struct mv_slice){ w->window + (offset - w->window_at), n };
        return 0;
}

static int bad(struct mv__walk *w, const char *why)
{
        w->why = why;
        return MV__WALK_BAD;
}

int mv__walk_next(struct mv__walk *w, struct mv__record *ret, struct mv_err *err)
{
        uint64_t left = w->size - w->offset;
        uint32_t length = 0;
        struct mv_slice bytes;
        struct mv__record r;
        if (left < MV_RECORD_HEAD_BYTES)
                return left ? MV__WALK_TORN : MV__WALK_END;
        int e = mv__walk_bytes(w, w->offset, MV_RECORD_HEAD_BYTES, &bytes, err);
        if (e < 0)
                return e;
        const char *why = mv__record_head_decode(w->salt, bytes, &length);
        if (why)
                return bad(w, why);
        if (left < length)
                return MV__WALK_TORN;
        e = mv__walk_bytes(w, w->offset, length, &bytes, err);
        if (e < 0)
                return e;
        why = mv__record_decode(w->salt, bytes, &r);
        if (why)
                return bad(w, why);
        if (memcmp(r.prev, w->prev, sizeof r.prev) != 0)
                return bad(w, "the chain is broken: the record does not follow the one before it");
        memcpy(w->prev, r.digest, sizeof w->prev);
        w->offset += length;
        w->index++;
        *ret = r;
        return MV__WALK_RECORD;
}

void mv__walk_done(struct mv__walk *w)
{
        free(w->window);
        w->window = NULL;
        w->window_len = w->window_cap = 0;
}
