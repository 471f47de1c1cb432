/* SPDX-License-Identifier: Apache-2.0 */
#include <wire/http_head.h>

static int refuse(int status, const char **ret_why, const char *why)
{
        *ret_why = why;
        return -status;
}

static bool is_token(uint8_t c)
{
        return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
               (c && memchr("!#$%&'*+-.^_`|~", c, 15) != NULL);
}

static bool all_token(struct mv_slice s)
{
        for (size_t i = 0; i < s.len; i++)
                if (!is_token(s.p[i]))
                        return false;
        return s.len > 0;
}

static uint8_t lower(uint8_t c)
{
        return c >= 'A' && c <= 'Z' ? c | 32 : c;
}

static bool same_name(struct mv_slice a, struct mv_slice b)
{
        for (size_t i = 0; a.len == b.len && i < a.len; i++)
                if (lower(a.p[i]) != lower(b.p[i]))
                        return false;
        return a.len == b.len;
}

/* --- lines ------------------------------------------------------------------------------------ */

/* Cut the next line off; its end is CR LF and nothing else (1). false: there is none. */
static bool line_cut(struct mv_slice *rest, struct mv_slice *ret)
{
        const uint8_t *end = rest->len ? memchr(rest->p, '\n', rest->len) : NULL;
        if (!end || end == rest->p || end[-1] != '\r')
                return false;
        *ret = mv_slice(rest->p, (size_t)(end - rest->p) - 1);
        *rest = mv_slice(end + 1, rest->len - ret->len - 2);
        return true;
}

/* The bytes up to the empty line, which is included; 0: not there yet. */
static size_t head_bytes(struct mv_slice s)
{
        for (size_t i = 3; i < s.len; i++)
                if (memcmp(s.p + i - 3, "\r\n\r\n", 4) == 0)
                        return i + 1;
        return 0;
}

/* No control byte but the line ends, whoever reads them. more: bytes may still come. */
static bool bytes_clean(struct mv_slice s, bool more)
{
        for (size_t i = 0; i < s.len; i++) {
                uint8_t c = s.p[i];
                bool crlf = (c == '\r' && (i + 1 < s.len ? s.p[i + 1] == '\n' : more)) ||
                            (c == '\n' && i && s.p[i - 1] == '\r');
                if ((c < 0x20 && c != '\t' && !crlf) || c == 0x7f)
                        return false;
        }
        return true;
}

static struct mv_slice trim(struct mv_slice s)
{
        while (s.len && (s.p[s.len - 1] == ' ' || s.p[s.len - 1] == '\t'))
                s.len--;
        while (s.len && (s.p[0] == ' ' || s.p[0] == '\t'))
                s = mv_slice(s.p + 1, s.len - 1);
        return s;
}

static bool field_cut(struct mv_slice line, struct mv_slice *name, struct mv_slice *value)
{
        const uint8_t *colon = line.len ? memchr(line.p, ':', line.len) : NULL;
        if (!colon)
                return false;
        *name = mv_slice(line.p, (size_t)(colon - line.p));
        *value = trim(mv_slice(colon + 1, line.len - name->len - 1));
        return all_token(*name); /* a folded line begins with a blank, which is no token */
}

/* --- the request line ------------------------------------------------------------------------- */

static bool word_cut(struct mv_slice *rest, struct mv_slice *ret)
{
        const uint8_t *space = rest->len ? memchr(rest->p, ' ', rest->len) : NULL;
        if (!space)
                return false;
        *ret = mv_slice(rest->p, (size_t)(space - rest->p));
        *rest = mv_slice(space + 1, rest->len - ret->len - 1);
        return true;
}

static bool target_clean(struct mv_slice s)
{
        for (size_t i = 0; i < s.len; i++)
                if (s.p[i] <= 0x20 || s.p[i] >= 0x7f)
                        return false;
        return s.len > 0;
}

static int request_line(struct mv_slice line, struct mv_http_head *h, const char **why)
{
        if (!word_cut(&line, &h->method) || !word_cut(&line, &h->target))
                return refuse(400, why, "the first line is not METHOD TARGET VERSION");
        h->version = line;
        if (!mv_slice_eq(h->version, MV_SLICE("HTTP/1.1")) &&
            !mv_slice_eq(h->version, MV_SLICE("HTTP/1.0")))
                return refuse(505, why, "only HTTP/1.1 and HTTP/1.0 are spoken here");
        if (!all_token(h->method) || h->method.len > MV_HTTP_METHOD_BYTES_MAX)
                return refuse(400, why, "the method is not a word of at most 16 letters");
        if (h->target.len > MV_HTTP_TARGET_BYTES_MAX)
                return refuse(414, why, "the target is longer than 8192 bytes");
        if (!target_clean(h->target))
                return refuse(400, why, "the target holds a byte that is not printable ASCII");
        h->connect = mv_slice_eq(h->method, MV_SLICE("CONNECT"));
        return 0;
}

/* --- the fields ------------------------------------------------------------------------------- */

struct seen {
        unsigned fields;
        bool length, host;
};

static bool digits(struct mv_slice s, uint64_t *ret)
{
        uint64_t n = 0;
        for (size_t i = 0; i < s.len; i++) {
                if (s.p[i] < '0' || s.p[i] > '9')
                        return false;
                n = n * 10 + (uint64_t)(s.p[i] - '0');
        }
        *ret = n;
        return s.len > 0 && s.len <= 18;
}

static int field(struct mv_slice line, struct mv_http_head *h, struct seen *seen, const char **why)
{
        struct mv_slice name, value;
        if (++seen->fields > MV_HTTP_HEAD_FIELDS_MAX)
                return refuse(431, why, "more than 100 header fields");
        if (!field_cut(line, &name, &value))
                return refuse(400, why, "a header line is not NAME: VALUE");
        if (same_name(name, MV_SLICE("transfer-encoding")))
                return refuse(411, why, "a transfer coding: send Content-Length instead");
        if (same_name(name, MV_SLICE("content-length"))) {
                if (seen->length || !digits(value, &h->body_bytes))
                        return refuse(400, why, "Content-Length is not one number");
                seen->length = true;
        }
        if (same_name(name, MV_SLICE("host"))) {
                if (seen->host)
                        return refuse(400, why, "more than one Host");
                seen->host = true;
        }
        return 0;
}

static int fields(struct mv_http_head *h, const char **why)
{
        struct mv_slice rest = h->fields, line;
        struct seen seen = { 0 };
        int r = 0;
        while (r == 0 && rest.len)
                r = line_cut(&rest, &line) ? field(line, h, &seen, why)
                                           : refuse(400, why, "a line does not end in CR LF");
        if (r == 0 && h->connect && h->body_bytes)
                r = refuse(400, why, "CONNECT with a body");
        return r;
}

int mv_http_head_read(struct mv_slice bytes, struct mv_http_head *ret, const char **ret_why)
{
        struct mv_http_head h = { .body_bytes = 0 };
        struct mv_slice rest, line;
        size_t whole = bytes.len > MV_HTTP_HEAD_BYTES_MAX ? MV_HTTP_HEAD_BYTES_MAX : bytes.len;
        h.bytes = head_bytes(mv_slice(bytes.p, whole));
        rest = mv_slice(bytes.p, h.bytes ? h.bytes : whole);
        if (!bytes_clean(rest, !h.bytes))
                return refuse(400, ret_why, "a control byte, or a line end that is not CR LF");
        if (!h.bytes && whole == MV_HTTP_HEAD_BYTES_MAX)
                return refuse(431, ret_why, "the head is larger than 16 KiB");
        if (!h.bytes)
                return 0;
        rest.len -= 2; /* the empty line */
        if (!line_cut(&rest, &line))
                return refuse(400, ret_why, "the first line is empty");
        h.fields = rest;
        int r = request_line(line, &h, ret_why);
        if (r == 0)
                r = fields(&h, ret_why);
        if (r < 0)
                return r;
        *ret = h;
        return 1;
}

/* --- writing (2) ------------------------------------------------------------------------------ */

static bool belongs_here(struct mv_slice name)
{
        static const char *const names[] = { "host",
                                             "connection",
                                             "proxy-connection",
                                             "keep-alive",
                                             "proxy-authorization",
                                             "proxy-authenticate",
                                             "te",
                                             "trailer",
                                             "upgrade",
                                             "http2-settings",
                                             "expect" };
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
                if (same_name(name, mv_slice_str(names[i])))
                        return true;
        return false;
}

static bool listed(struct mv_slice list, struct mv_slice name)
{
        while (list.len) {
                const uint8_t *comma = memchr(list.p, ',', list.len);
                size_t n = comma ? (size_t)(comma - list.p) : list.len;
                if (same_name(trim(mv_slice(list.p, n)), name))
                        return true;
                n += comma != NULL;
                list = mv_slice(list.p + n, list.len - n);
        }
        return false;
}

/* Does a Connection field name it? */
static bool nominated(struct mv_slice all, struct mv_slice name)
{
        struct mv_slice line, n, value;
        while (line_cut(&all, &line))
                if (field_cut(line, &n, &value) && same_name(n, MV_SLICE("connection")) &&
                    listed(value, name))
                        return true;
        return false;
}

bool mv_http_head_write(struct mv_out *o, const struct mv_http_head *h, struct mv_slice host,
                        struct mv_slice path)
{
        struct mv_slice rest = h->fields, line, name, value;
        mv_put_slice(o, h->method);
        mv_put_str(o, path.len && path.p[0] == '/' ? " " : " /");
        mv_put_slice(o, path);
        mv_put_str(o, " ");
        mv_put_slice(o, h->version);
        mv_put_str(o, "\r\nHost: ");
        mv_put_slice(o, host);
        mv_put_str(o, "\r\n");
        while (line_cut(&rest, &line)) {
                if (!field_cut(line, &name, &value) || belongs_here(name) ||
                    (!same_name(name, MV_SLICE("content-length")) && nominated(h->fields, name)))
                        continue;
                mv_put_slice(o, name);
                mv_put_str(o, ": ");
                mv_put_slice(o, value);
                mv_put_str(o, "\r\n");
        }
        return mv_put_str(o, "Connection: close\r\n\r\n");
}

unsigned mv_http_status(struct mv_slice s)
{
        if (s.len < 12 || memcmp(s.p, "HTTP/1.", 7) != 0 || s.p[8] != ' ')
                return 0;
        unsigned n = 0;
        for (size_t i = 9; i < 12; i++) {
                if (s.p[i] < '0' || s.p[i] > '9')
                        return 0;
                n = n * 10 + (unsigned)(s.p[i] - '0');
        }
        return n;
}
