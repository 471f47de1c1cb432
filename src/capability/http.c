/* SPDX-License-Identifier: Apache-2.0 */
/* ccos.network.http-fetch through libcurl (REQ-CAP-42, REQ-NET-02, -06, -10).
 *
 * (1) Every hop is decided: URL, host rule, and in open_checked the address the socket really connects to. The library never
 *     follows a redirect itself, uses no proxy, no .netrc, no cookie store, no other protocol.
 * (2) The URL given to the library is written anew from the parts that were decided about, so no second parser can read
 *     another host out of it.
 * (3) Body, headers, time and redirects are bounded; what the other side sends beyond that ends the call.
 * (4) One denied address denies the call, also when another address of the name would have been allowed.
 * (5) The client's key is opened here, once for each transfer, and read by its descriptor: what was checked is what is used. */
#include <capability/http_request.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <policy/policy.h>
#include <policy/profile.h>
#include <pthread.h>
#include <stdlib.h>
#include <strings.h>
#include <security/tls.h>
#include <sys/fd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wire/cbor.h>
#include <wire/text.h>

#define REDIRECTS_MAX          10
#define REPLY_HEADERS_MAX      128         /* header lines of one response */
#define REPLY_HEADER_BYTES_MAX (64u << 10) /* all header lines of one response together */
#define URL_BYTES              (8192 + 64) /* the longest URL mv_url_parse accepts, and a port */

struct buffer {
        uint8_t *p; /* malloc'ed */
        size_t len, cap, max;
};

struct transfer { /* one hop */
        struct mv_call *call;
        const struct mv_http_request *request;
        const struct mv_url *url;
        const char *method;
        bool with_body, with_secrets; /* with_secrets: still at the origin the program named */
        bool left;                    /* something of this call has left the host */
        uint64_t end_ns;
        struct buffer body, head;
        uint32_t head_lines;
        const char *stopped; /* static text: why a callback of ours ended the transfer */
        struct mv_decision denial;
        bool denied;
        long status;
        uint64_t sent;
        char redirect[URL_BYTES]; /* "" : none */
};

static bool buffer_put(struct buffer *b, const void *p, size_t n)
{
        if (n > b->max - b->len)
                return false;
        if (n > b->cap - b->len) {
                size_t cap = b->cap * 2 > b->len + n ? b->cap * 2 : b->len + n;
                uint8_t *more = realloc(b->p, cap);
                if (!more)
                        return false;
                b->p = more;
                b->cap = cap;
        }
        if (n)
                memcpy(b->p + b->len, p, n);
        b->len += n;
        return true;
}

/* --- callbacks -------------------------------------------------------------------------------- */
static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
        struct transfer *t = ctx;
        if (buffer_put(&t->body, p, size * n))
                return size * n;
        t->stopped = "the response body is larger than the reply may be";
        return 0;
}

/* Header lines of the last response: an interim one (1xx) is forgotten when the next status line
 * comes. */
static size_t on_header(char *p, size_t size, size_t n, void *ctx)
{
        struct transfer *t = ctx;
        size_t len = size * n;
        if (len >= 5 && memcmp(p, "HTTP/", 5) == 0)
                t->head.len = t->head_lines = 0;
        if (++t->head_lines <= REPLY_HEADERS_MAX && buffer_put(&t->head, p, len))
                return len;
        t->stopped = "the response has more than 128 header lines or 64 KiB of them";
        return 0;
}

static int on_progress(void *ctx, curl_off_t dt, curl_off_t dn, curl_off_t ut, curl_off_t un)
{
        struct transfer *t = ctx;
        const char *why;
        if (!t->denied && mv__call_ended(t->call, &why)) {
                t->stopped = why;
                return 1;
        }
        return t->denied;
}

/* The library's own counters miss or repeat the body depending on its size: what is really sent
 * is counted here. */
static int on_bytes(CURL *curl, curl_infotype type, char *p, size_t n, void *ctx)
{
        struct transfer *t = ctx;
        if (type == CURLINFO_HEADER_OUT || type == CURLINFO_DATA_OUT)
                t->sent += n;
        return 0;
}

/* (1) The last gate: the name has been resolved, this is the address. */
static curl_socket_t open_checked(void *ctx, curlsocktype purpose, struct curl_sockaddr *a)
{
        struct transfer *t = ctx;
        char why[96];
        const void *bytes = NULL;
        size_t len = 0;
        if (purpose == CURLSOCKTYPE_IPCXN && a->family == AF_INET) {
                bytes = &((struct sockaddr_in *)(void *)&a->addr)->sin_addr;
                len = 4;
        } else if (purpose == CURLSOCKTYPE_IPCXN && a->family == AF_INET6) {
                bytes = &((struct sockaddr_in6 *)(void *)&a->addr)->sin6_addr;
                len = 16;
        }
        if (!bytes || t->denied)
                return CURL_SOCKET_BAD;
        if (!mv_policy_address(t->call->context, t->url, bytes, len, why)) {
                mv_policy_address_denied(t->url, bytes, len, why, t->call->capability->id,
                                         &t->denial);
                t->denied = true;
                return CURL_SOCKET_BAD;
        }
        return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

/* --- one hop ---------------------------------------------------------------------------------- */
/* (2) scheme://host:port/path?query, without the fragment. */
static void write_url(const struct mv_url *u, char buf[URL_BYTES])
{
        const uint8_t *hash = u->path.len ? memchr(u->path.p, '#', u->path.len) : NULL;
        size_t len = hash ? (size_t)(hash - u->path.p) : u->path.len;
        bool v6 = strchr(u->host_ascii, ':') != NULL;
        mv_fmt(buf, URL_BYTES, "%.*s://%s%s%s:%u%s%.*s", MV_SARG(u->scheme), v6 ? "[" : "",
               u->host_ascii, v6 ? "]" : "", (unsigned)u->port,
               len && u->path.p[0] == '/' ? "" : "/", (int)len, (const char *)u->path.p);
}

/* Credentials go to the origin they were given for, not to where it redirects. */
static bool is_secret(struct mv_slice name)
{
        return mv__http_header_is(name, "authorization") || mv__http_header_is(name, "cookie");
}

static bool append(struct curl_slist **list, const char *line)
{
        struct curl_slist *more = curl_slist_append(*list, line);
        if (more)
                *list = more;
        return more != NULL;
}

static bool append_header(struct curl_slist **list, struct mv_slice name, struct mv_slice value)
{
        char line[MV_HTTP_REQUEST_HEADER_BYTES_MAX + 8];
        /* An empty value needs the library's own spelling, a semicolon: "Name:" would remove the
         * header. */
        mv_fmt(line, sizeof line, value.len ? "%.*s: %.*s" : "%.*s;%.*s", MV_SARG(name),
               MV_SARG(value));
        return append(list, line);
}

static bool build_headers(const struct transfer *t, struct curl_slist **ret)
{
        const struct mv_value *h = t->request->headers;
        bool ok = append(ret, "Expect:"), typed = false;
        for (uint32_t i = 0; ok && h && i < h->count; i++) {
                struct mv_slice name = h->entries[i].key.text;
                if (!t->with_secrets && is_secret(name))
                        continue;
                typed |= mv__http_header_is(name, "content-type");
                ok = append_header(ret, name, h->entries[i].value.text);
        }
        return ok && (typed || append(ret, "Content-Type:"));
}

static void set_method(CURL *curl, const struct transfer *t)
{
        bool sends = t->with_body || strcmp(t->method, "POST") == 0 ||
                     strcmp(t->method, "PUT") == 0 || strcmp(t->method, "PATCH") == 0;
        if (strcmp(t->method, "HEAD") == 0) {
                curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
                return;
        }
        if (sends) {
                curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE,
                                 (curl_off_t)(t->with_body ? t->request->body.len : 0));
                curl_easy_setopt(curl, CURLOPT_POSTFIELDS,
                                 t->with_body ? (const char *)t->request->body.p : "");
        }
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, t->method);
}

static void set_protocols(CURL *curl)
{
#if LIBCURL_VERSION_NUM >= 0x075500
        curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
        curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "");
#else
        curl_easy_setopt(curl, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
        curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS, 0L);
#endif
#if LIBCURL_VERSION_NUM >= 0x075700
        /* a slow resolver thread is not waited for */
        curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L);
#endif
}

static void set_options(CURL *curl, struct transfer *t, struct curl_slist *headers)
{
        uint64_t now = mv__now_ns();
        curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
        curl_easy_setopt(curl, CURLOPT_PROXY, "");
        curl_easy_setopt(curl, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
        curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
        curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
        curl_easy_setopt(curl, CURLOPT_USERAGENT, "ccos-microvm");
        curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS,
                         t->end_ns > now ? (long)((t->end_ns - now) / 1000000u + 1) : 1L);
        curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, open_checked);
        curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, t);
        curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
        curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
        curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
        curl_easy_setopt(curl, CURLOPT_HEADERDATA, t);
        curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
        curl_easy_setopt(curl, CURLOPT_XFERINFODATA, t);
        curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
        curl_easy_setopt(curl, CURLOPT_DEBUGFUNCTION, on_bytes);
        curl_easy_setopt(curl, CURLOPT_DEBUGDATA, t);
        curl_easy_setopt(curl, CURLOPT_VERBOSE, 1L);
        set_protocols(curl);
        set_method(curl, t);
}

/* --- TLS -------------------------------------------------------------------------------------- */
/* "sha256//...;sha256//..." for the library; a pin that no key has when none is accepted. */
static bool put_pins(CURL *curl, const struct mv_tls *tls)
{
        size_t cap = (size_t)tls->pins.count * 64 + 64;
        char *text = malloc(cap);
        size_t n = 0;
        if (!text)
                return false;
        for (uint32_t i = 0; i < tls->pins.count; i++)
                n += mv_fmt(text + n, cap - n, "%ssha256//%s", i ? ";" : "",
                            tls->pins.items[i] + sizeof "sha256/" - 1);
        if (!tls->pins.count)
                mv_fmt(text, cap, "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
        bool ok = curl_easy_setopt(curl, CURLOPT_PINNEDPUBLICKEY, text) == CURLE_OK;
        free(text);
        return ok;
}

/* (5) */
static bool put_client(CURL *curl, const struct mv_tls *tls, int *ret_key)
{
        char path[64];
        struct stat st;
        *ret_key = open(tls->client_key, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (*ret_key < 0 || fstat(*ret_key, &st) < 0 || !S_ISREG(st.st_mode) || st.st_mode & 077)
                return false;
        mv_fmt(path, sizeof path, "/proc/self/fd/%d", *ret_key);
        return curl_easy_setopt(curl, CURLOPT_SSLCERT, tls->client_cert) == CURLE_OK &&
               curl_easy_setopt(curl, CURLOPT_SSLKEY, path) == CURLE_OK;
}

/* NULL, or why the transfer cannot be made as the context wants it. */
static const char *put_tls(CURL *curl, const struct mv_context *c, int *ret_key)
{
        if (!c || !mv__tls_any(c))
                return NULL;
        if (c->tls.ca && curl_easy_setopt(curl, CURLOPT_CAINFO, c->tls.ca) != CURLE_OK)
                return "the file of authorities cannot be used";
        if (c->tls.pinned && !put_pins(curl, &c->tls))
                return "the pins cannot be compared";
        if (c->tls.client_cert && !put_client(curl, &c->tls, ret_key))
                return "the client's key cannot be read, or others can read it";
        return NULL;
}

/* --- one hop ---------------------------------------------------------------------------------- */
static void note_hop(CURL *curl, struct transfer *t, const char *url)
{
        long head = 0;
        curl_off_t down = 0;
        char *redirect = NULL;
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &t->status);
        curl_easy_getinfo(curl, CURLINFO_HEADER_SIZE, &head);
        curl_easy_getinfo(curl, CURLINFO_SIZE_DOWNLOAD_T, &down);
        curl_easy_getinfo(curl, CURLINFO_REDIRECT_URL, &redirect);
        if (redirect && t->status >= 300 && t->status < 400)
                mv_fmt(t->redirect, sizeof t->redirect, "%s", redirect);
        t->call->host.note_network(t->call->host.ctx, mv_slice_str(url), t->method, (int)t->status,
                                   t->sent, (uint64_t)head + (uint64_t)down);
}

static int hop_failed(struct transfer *t, CURLcode code, const char *detail)
{
        if (t->denied)
                return t->call->host.deny(t->call->host.ctx, &t->denial);
        if (t->stopped)
                return mv_call_fail(t->call, "NetworkError", "http-fetch %s: %s",
                                    t->url->host_ascii, t->stopped);
        return mv_call_fail(t->call, "NetworkError", "http-fetch %s: %s%s%s", t->url->host_ascii,
                            curl_easy_strerror(code), *detail ? ": " : "", detail);
}

/* Before anything leaves: the request as it will be, and a little more for what the library adds. */
static int spend_request(struct transfer *t, const char *url, const struct curl_slist *headers)
{
        uint64_t bytes =
                strlen(url) + strlen(t->method) + 512 + (t->with_body ? t->request->body.len : 0);
        for (; headers; headers = headers->next)
                bytes += strlen(headers->data) + 2;
        return t->left ? mv_call_spend(t->call, MV_SPEND_EGRESS_BYTES, bytes)
                       : mv_call_reserve(t->call, MV_SPEND_EGRESS_BYTES, bytes);
}

static int perform(CURL *curl, struct transfer *t, struct curl_slist *headers)
{
        char url[URL_BYTES], detail[CURL_ERROR_SIZE] = "";
        mv_auto_fd key = -EBADF;
        const char *why = put_tls(curl, t->call->context, &key);
        if (why)
                return mv_call_fail(t->call, "NetworkError", "http-fetch %s: %s",
                                    t->url->host_ascii, why);
        write_url(t->url, url);
        int r = spend_request(t, url, headers);
        if (r < 0)
                return r;
        set_options(curl, t, headers);
        curl_easy_setopt(curl, CURLOPT_URL, url);
        curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
        t->left = true;
        CURLcode code = curl_easy_perform(curl);
        note_hop(curl, t, url);
        return code != CURLE_OK || t->denied ? hop_failed(t, code, detail) : 0; /* (4) */
}

static int run_hop(struct transfer *t)
{
        struct curl_slist *headers = NULL;
        CURL *curl = curl_easy_init();
        int r;
        if (!curl || !build_headers(t, &headers))
                r = mv_call_fail(t->call, "NetworkError", "http-fetch: out of memory");
        else
                r = perform(curl, t, headers);
        curl_slist_free_all(headers);
        curl_easy_cleanup(curl);
        return r;
}

/* --- redirects -------------------------------------------------------------------------------- */
static bool same_origin(const struct mv_url *a, const struct mv_url *b)
{
        return a->port == b->port && mv_slice_eq(a->scheme, b->scheme) &&
               strcmp(a->host_ascii, b->host_ascii) == 0;
}

/* RFC 9110 15.4: 303 asks with GET, 301 and 302 after POST too, 307 and 308 ask the same again. */
static void redirect_method(struct transfer *t)
{
        bool post = strcmp(t->method, "POST") == 0, head = strcmp(t->method, "HEAD") == 0;
        if ((t->status == 303 && !head) || ((t->status == 301 || t->status == 302) && post)) {
                t->method = "GET";
                t->with_body = false;
        }
}

/* Decide about the next hop; *url becomes it. */
static int decide_redirect(struct transfer *t, struct mv_url *url)
{
        struct mv_err err;
        struct mv_url next;
        struct mv_decision d;
        if (mv_url_parse(mv_slice_str(t->redirect), &next, &err) < 0)
                return mv_call_fail(t->call, "NetworkError", "http-fetch: redirect refused: %s",
                                    err.msg);
        if (mv_slice_eq_str(url->scheme, "https") && !mv_slice_eq_str(next.scheme, "https"))
                return mv_call_fail(t->call, "NetworkError",
                                    "http-fetch: redirect from https to http://%s refused",
                                    next.host_ascii);
        mv_policy_host(t->call->context, &next, t->call->capability->id, &d);
        if (!d.allowed)
                return t->call->host.deny(t->call->host.ctx, &d);
        mv_fmt(d.context, sizeof d.context, "redirect to %.200s", t->redirect);
        int r = t->call->host.allow(t->call->host.ctx, &d);
        if (r < 0)
                return r;
        t->with_secrets = t->with_secrets && same_origin(url, &next);
        *url = next;
        return 0;
}

static int run_hops(struct transfer *t, struct mv_url *url)
{
        char current[URL_BYTES]; /* what *url points into */
        for (int hop = 0;; hop++) {
                t->redirect[0] = '\0';
                t->head.len = t->body.len = t->head_lines = 0;
                t->sent = 0;
                int r = run_hop(t);
                if (r < 0 || !t->redirect[0])
                        return r;
                if (hop == REDIRECTS_MAX)
                        return mv_call_fail(t->call, "NetworkError",
                                            "http-fetch %s: more than %d redirects",
                                            t->url->host_ascii, REDIRECTS_MAX);
                memcpy(current, t->redirect, sizeof current);
                r = decide_redirect(t, url);
                if (r < 0)
                        return r;
                url->host = mv_slice(current + (url->host.p - (const uint8_t *)t->redirect),
                                     url->host.len);
                url->path = mv_slice(current + (url->path.p - (const uint8_t *)t->redirect),
                                     url->path.len);
                redirect_method(t);
        }
}

/* --- the reply -------------------------------------------------------------------------------- */
/* A header value is UTF-8, or else what RFC 7230's predecessor said: ISO-8859-1. */
static bool header_text(struct mv_call *call, struct mv_slice s, bool lower, struct mv_value *ret)
{
        bool utf8 = mv_utf8_valid(s);
        uint8_t *p = mv_call_alloc(call, s.len * 2 + 1);
        if (!p)
                return false;
        struct mv_out o = mv_out(p, s.len * 2);
        for (size_t i = 0; i < s.len; i++) {
                uint8_t c = s.p[i];
                if (lower && c >= 'A' && c <= 'Z')
                        c |= 32;
                if (utf8)
                        mv_put_u8(&o, c);
                else
                        mv_utf8_put(&o, c);
        }
        *ret = mv__text(mv_out_slice(&o));
        return true;
}

static struct mv_slice trim(struct mv_slice s)
{
        while (s.len && strchr(" \t\r\n", s.p[s.len - 1]))
                s.len--;
        while (s.len && strchr(" \t", s.p[0]))
                s = mv_slice(s.p + 1, s.len - 1);
        return s;
}

/* "a: 1" twice is "a: 1, 1". */
static bool join_value(struct mv_call *call, struct mv_value *to, struct mv_slice more)
{
        uint8_t *p = mv_call_alloc(call, to->text.len + 2 + more.len);
        if (!p)
                return false;
        struct mv_out o = mv_out(p, to->text.len + 2 + more.len);
        mv_put_slice(&o, to->text);
        mv_put_str(&o, ", ");
        mv_put_slice(&o, more);
        *to = mv__text(mv_out_slice(&o));
        return true;
}

static bool add_header(struct mv_call *call, struct mv_slice line, struct mv_entry *entries,
                       uint32_t *count)
{
        const uint8_t *colon = line.len ? memchr(line.p, ':', line.len) : NULL;
        if (!colon || colon == line.p)
                return true; /* the status line, the empty line */
        struct mv_entry e;
        if (!header_text(call, trim(mv_slice(line.p, (size_t)(colon - line.p))), true, &e.key) ||
            !header_text(call, trim(mv_slice(colon + 1, (size_t)(line.p + line.len - colon - 1))),
                         false, &e.value))
                return false;
        for (uint32_t i = 0; i < *count; i++)
                if (mv_slice_eq(entries[i].key.text, e.key.text))
                        return join_value(call, &entries[i].value, e.value.text);
        entries[(*count)++] = e;
        return true;
}

static bool headers_value(struct transfer *t, struct mv_value *ret)
{
        struct mv_entry *entries =
                mv_call_alloc(t->call, (REPLY_HEADERS_MAX + 1) * sizeof *entries);
        uint32_t count = 0;
        struct mv_slice rest = mv_slice(t->head.p, t->head.len);
        while (entries && rest.len) {
                const uint8_t *nl = memchr(rest.p, '\n', rest.len);
                size_t len = nl ? (size_t)(nl - rest.p) + 1 : rest.len;
                if (!add_header(t->call, mv_slice(rest.p, len), entries, &count))
                        return false;
                rest = mv_slice(rest.p + len, rest.len - len);
        }
        if (!entries || !mv_entries_sort(entries, count))
                return false;
        *ret = (struct mv_value){ .kind = MV_MAP, .count = count, .entries = entries };
        return true;
}

/* {"body" "..." "headers" {...} "status" n}: canonical order of string keys. */
static int reply(struct transfer *t, struct mv_value *ret)
{
        struct mv_entry *e = mv_call_alloc(t->call, 3 * sizeof *e);
        struct mv_slice body = mv_slice(t->body.p, t->body.len);
        if (!mv_utf8_valid(body))
                return mv_call_fail(t->call, "NetworkError",
                                    "http-fetch %s: the body (status %ld) is not valid UTF-8 text",
                                    t->url->host_ascii, t->status);
        if (!e || !mv__copy_text(t->call, body, &e[0].value) || !headers_value(t, &e[1].value))
                return mv__fail_memory(t->call, "the response");
        e[0].key = mv__text(MV_SLICE("body"));
        e[1].key = mv__text(MV_SLICE("headers"));
        e[2].key = mv__text(MV_SLICE("status"));
        e[2].value = mv__int(t->status);
        *ret = (struct mv_value){ .kind = MV_MAP, .count = 3, .entries = e };
        return 0;
}

/* --- the capability --------------------------------------------------------------------------- */
static void curl_start(void)
{
        curl_global_init(CURL_GLOBAL_DEFAULT);
}

static uint64_t end_of(const struct mv_call *call, uint64_t timeout_ms)
{
        uint64_t end = mv__now_ns() + timeout_ms * 1000000u;
        return call->deadline_ns && call->deadline_ns < end ? call->deadline_ns : end;
}

static int fetch(struct mv_call *call, const struct mv_value *args, uint32_t n,
                 struct mv_value *ret)
{
        static pthread_once_t once = PTHREAD_ONCE_INIT;
        struct mv_http_request request;
        struct mv_url url;
        struct mv_err err;
        const char *limit;
        int r = mv__http_request(args, n, &request, &call->fault);
        if (r < 0)
                return r;
        if (mv_url_parse(request.url, &url, &err) < 0)
                return mv_call_fail(call, "InvalidArgument", "http-fetch: %s", err.msg);
        pthread_once(&once, curl_start);
        struct transfer *t = calloc(1, sizeof *t);
        if (!t)
                return mv__fail_memory(call, "the response");
        t->call = call;
        t->request = &request;
        t->url = &url;
        t->method = request.method;
        t->with_body = request.has_body;
        t->with_secrets = true;
        t->end_ns = end_of(call, request.timeout_ms);
        t->body.max = mv__reply_bytes_max(call, &limit);
        t->head.max = REPLY_HEADER_BYTES_MAX;
        r = run_hops(t, &url);
        if (r == 0)
                r = reply(t, ret);
        free(t->body.p);
        free(t->head.p);
        free(t);
        return r;
}

static int check_host(const struct mv_context *c, const struct mv_value *args, uint32_t n,
                      struct mv_decision *d, struct mv_fault *fault)
{
        struct mv_http_request request;
        struct mv_decision policy;
        struct mv_url url;
        struct mv_err err;
        int r = mv__http_request(args, n, &request, fault);
        if (r < 0)
                return r;
        if (mv_url_parse(request.url, &url, &err) < 0) {
                mv__fault_set(fault, "InvalidArgument", "http-fetch: %s", err.msg);
                return -(int)MV_E_PROGRAM;
        }
        mv_policy_host(c, &url, d->capability, &policy);
        mv_profile_method(c ? c->steps : NULL, request.method, &policy);
        mv__decision_narrow(d, &policy);
        return 0;
}

/* RFC 9110, 9.2.2: the methods that may be sent again. */
static bool repeatable(const struct mv_value *args, uint32_t n)
{
        static const char *const methods[] = { "GET", "HEAD", "OPTIONS", "PUT", "DELETE" };
        struct mv_http_request q;
        struct mv_fault ignored;
        if (mv__http_request(args, n, &q, &ignored) < 0)
                return false;
        for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
                if (strcmp(q.method, methods[i]) == 0)
                        return true;
        return false;
}

static const struct mv_builtin items[] = {
        { .capability = { .id = "ccos.network.http-fetch",
                          .arguments = "(url) or (url {options}) or ({:url :method :headers :body "
                                       ":timeout-ms})",
                          .result = "{\"status\" integer \"body\" string \"headers\" map}",
                          .summary = "An HTTP or HTTPS request to a granted host.",
                          .effects = MV_EFFECT_NETWORK,
                          .permission = "ccos.network.outbound",
                          .args_min = 1,
                          .args_max = 64,
                          .call = fetch },
          .kinds = "*",
          .repeatable = repeatable,
          .check = check_host },
};
MV_FAMILY(mv__family_http, items);
