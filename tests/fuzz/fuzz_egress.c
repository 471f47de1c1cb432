/* SPDX-License-Identifier: Apache-2.0 */
/* What a program sends to its proxy, and what a proxy that was taken over sends to the host. A head that is accepted is
 * written anew as one that reads back as the same request, with the host's name for the host and nothing behind it. */
#include <policy/policy.h>
#include <stdlib.h>
#include <wire/egress.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_head(struct mv_slice in)
{
        static uint8_t out[MV_HTTP_HEAD_BYTES_MAX + MV_HTTP_HEAD_ROOM];
        struct mv_http_head h, again;
        const char *why = NULL;
        int r = mv_http_head_read(in, &h, &why);
        if ((r < 0 && !why) || r > 1 || (r < 0 && (r > -400 || r < -599)))
                abort();
        if (r != 1)
                return;
        if (h.bytes > in.len || h.bytes > MV_HTTP_HEAD_BYTES_MAX ||
            memmem(in.p, h.bytes - 4, "\r\n\r\n", 4))
                abort();
        struct mv_out o = mv_out(out, sizeof out);
        if (!mv_http_head_write(&o, &h, MV_SLICE("host.example:8080"), MV_SLICE("/path")))
                abort(); /* the room is enough for every head */
        r = mv_http_head_read(mv_out_slice(&o), &again, &why);
        if (r == -431 && o.len > MV_HTTP_HEAD_BYTES_MAX)
                return;
        if (r != 1 || again.bytes != o.len || again.body_bytes != h.body_bytes ||
            !mv_slice_eq(again.method, h.method) || !mv_slice_eq(again.version, h.version) ||
            !mv_slice_eq(again.target, MV_SLICE("/path")) ||
            !mv_slice_starts(again.fields, "Host: host.example:8080\r\n"))
                abort();
}

/* What the proxy takes for a path must lie behind what the host decided about. */
static void check_target(struct mv_slice in)
{
        struct mv_url u;
        struct mv_err err;
        if (mv_url_parse(in, &u, &err) == 0 &&
            (u.path.p < in.p || u.path.p + u.path.len != in.p + in.len))
                abort();
}

static void check_message(struct mv_slice in)
{
        static uint8_t out[MV_EGRESS_MESSAGE_BYTES_MAX * 2];
        struct mv_egress_message m;
        struct mv_out o = mv_out(out, sizeof out);
        if (!mv_egress_get(in, "SAQDR", &m))
                return;
        if (!mv_egress_put(&o, &m) || o.len != in.len)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
        struct mv_slice in = { data, len };
        check_head(in);
        check_target(in);
        check_message(in);
        return 0;
}
