/* SPDX-License-Identifier: Apache-2.0 */
/* The request side of http-fetch: nothing that could change the framing of the request or its
 * destination gets through. */
#include <capability/http_request.h>
#include <strings.h>

static const char *const methods[] = { "GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS" };
/* The transport's own: framing, connection and destination are not the program's to set. */
static const char *const reserved[] = { "host",
                                        "content-length",
                                        "transfer-encoding",
                                        "connection",
                                        "keep-alive",
                                        "te",
                                        "trailer",
                                        "upgrade",
                                        "expect",
                                        "proxy-authorization",
                                        "proxy-connection" };

#define INVALID(fault, ...)                                                                        \
        (mv__fault_set((fault), "InvalidArgument", __VA_ARGS__), -(int)MV_E_PROGRAM)

bool mv__http_header_is(struct mv_slice name, const char *lower)
{
        return name.len == strlen(lower) && strncasecmp((const char *)name.p, lower, name.len) == 0;
}

/* RFC 9110 token. */
static bool is_token(struct mv_slice s)
{
        for (size_t i = 0; i < s.len; i++) {
                uint8_t c = s.p[i];
                bool alnum = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
                if (!alnum && !(c && strchr("!#$%&'*+-.^_`|~", c)))
                        return false;
        }
        return s.len > 0;
}

static bool has_control(struct mv_slice s)
{
        for (size_t i = 0; i < s.len; i++)
                if ((s.p[i] < 0x20 && s.p[i] != '\t') || s.p[i] == 0x7f)
                        return true;
        return false;
}

static int check_header(const struct mv_entry *e, struct mv_fault *fault)
{
        struct mv_slice name;
        if (e->value.kind != MV_STRING || !mv_as_text(&e->key, &name))
                return INVALID(fault, "http-fetch: headers are texts");
        if (!is_token(name))
                return INVALID(fault, "http-fetch: '%.*s' is not a header name",
                               name.len > 80 ? 80 : (int)name.len, (const char *)name.p);
        if (has_control(e->value.text)) /* CR or LF would begin another header */
                return INVALID(fault,
                               "http-fetch: the value of header '%.*s' holds a control character",
                               MV_SARG(name));
        if (name.len + e->value.text.len > MV_HTTP_REQUEST_HEADER_BYTES_MAX)
                return INVALID(fault, "http-fetch: a header is longer than %d bytes",
                               MV_HTTP_REQUEST_HEADER_BYTES_MAX);
        for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++)
                if (mv__http_header_is(name, reserved[i]))
                        return INVALID(fault, "http-fetch: header '%s' is set by the transport",
                                       reserved[i]);
        return 0;
}

static int take_headers(struct mv_http_request *q, const struct mv_value *v, struct mv_fault *fault)
{
        if (v->kind != MV_MAP)
                return INVALID(fault, "http-fetch: :headers must be a map, got %s",
                               mv_kind_name(v->kind));
        if (v->count > MV_HTTP_REQUEST_HEADERS_MAX)
                return INVALID(fault, "http-fetch: more than %d headers",
                               MV_HTTP_REQUEST_HEADERS_MAX);
        for (uint32_t i = 0; i < v->count; i++) {
                int r = check_header(&v->entries[i], fault);
                if (r < 0)
                        return r;
        }
        q->headers = v;
        return 0;
}

static int take_method(struct mv_http_request *q, const struct mv_value *v, struct mv_fault *fault)
{
        struct mv_slice name;
        for (size_t i = 0; mv_as_text(v, &name) && i < sizeof methods / sizeof methods[0]; i++) {
                if (name.len == strlen(methods[i]) &&
                    strncasecmp((const char *)name.p, methods[i], name.len) == 0) {
                        q->method = methods[i];
                        return 0;
                }
        }
        return INVALID(
                fault,
                "http-fetch: :method must be GET, POST, PUT, DELETE, HEAD, PATCH or OPTIONS");
}

static int take_text(struct mv_slice *to, const char *what, const struct mv_value *v,
                     struct mv_fault *fault)
{
        if (v->kind != MV_STRING)
                return INVALID(fault, "http-fetch: :%s must be a string, got %s", what,
                               mv_kind_name(v->kind));
        *to = v->text;
        return 0;
}

/* :timeout and :timeout-ms are both milliseconds. */
static int take_timeout(struct mv_http_request *q, const struct mv_value *v, struct mv_fault *fault)
{
        if (v->kind != MV_INT || v->integer <= 0 || v->integer > INT32_MAX)
                return INVALID(fault, "http-fetch: :timeout-ms must be 1 to %d milliseconds",
                               INT32_MAX);
        q->timeout_ms = (uint64_t)v->integer;
        return 0;
}

static int take_option(struct mv_http_request *q, const struct mv_value *key,
                       const struct mv_value *v, struct mv_fault *fault)
{
        struct mv_slice name;
        if (!mv_as_text(key, &name))
                return INVALID(fault, "http-fetch: option names are keywords");
        if (mv_slice_eq_str(name, "url"))
                return take_text(&q->url, "url", v, fault);
        if (v->kind == MV_NIL) /* an option that is nil is an option that is not there */
                return 0;
        if (mv_slice_eq_str(name, "method"))
                return take_method(q, v, fault);
        if (mv_slice_eq_str(name, "headers"))
                return take_headers(q, v, fault);
        if (mv_slice_eq_str(name, "body")) {
                q->has_body = true;
                return take_text(&q->body, "body", v, fault);
        }
        if (mv_slice_eq_str(name, "timeout") || mv_slice_eq_str(name, "timeout-ms"))
                return take_timeout(q, v, fault);
        return INVALID(fault,
                       "http-fetch: unknown option '%.*s' (url, method, headers, body, timeout-ms)",
                       name.len > 80 ? 80 : (int)name.len, (const char *)name.p);
}

static int take_map(struct mv_http_request *q, const struct mv_value *map, struct mv_fault *fault)
{
        for (uint32_t i = 0; i < map->count; i++) {
                int r = take_option(q, &map->entries[i].key, &map->entries[i].value, fault);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int take_pairs(struct mv_http_request *q, const struct mv_value *args, uint32_t n,
                      struct mv_fault *fault)
{
        if (n % 2)
                return INVALID(fault, "http-fetch: option pairs need an even number of arguments");
        for (uint32_t i = 0; i < n; i += 2) {
                int r = take_option(q, &args[i], &args[i + 1], fault);
                if (r < 0)
                        return r;
        }
        return 0;
}

int mv__http_request(const struct mv_value *args, uint32_t n, struct mv_http_request *ret,
                     struct mv_fault *fault)
{
        struct mv_http_request q = { .method = "GET", .timeout_ms = MV_HTTP_TIMEOUT_MS_DEFAULT };
        int r = 0;
        if (n && args[0].kind == MV_STRING) {
                q.url = args[0].text;
                if (n == 2 && args[1].kind == MV_MAP && !mv_map_get(&args[1], "url"))
                        r = take_map(&q, &args[1], fault);
                else if (n > 1)
                        r = INVALID(fault, "http-fetch: a map of options without :url may follow "
                                           "the URL, nothing else");
        } else if (n == 1 && args[0].kind == MV_MAP) {
                r = take_map(&q, &args[0], fault);
        } else if (n && args[0].kind == MV_KEYWORD) {
                r = take_pairs(&q, args, n, fault);
        }
        if (r == 0 && q.url.len == 0)
                r = INVALID(fault, "Missing :url for HTTP fetch");
        if (r == 0 && q.has_body && (strcmp(q.method, "GET") == 0 || strcmp(q.method, "HEAD") == 0))
                r = INVALID(fault, "http-fetch: a %s request has no :body", q.method);
        if (r == 0)
                *ret = q;
        return r;
}
