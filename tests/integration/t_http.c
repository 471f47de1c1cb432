/* SPDX-License-Identifier: Apache-2.0 */
#include "../fake_call.h"
#ifndef MV_HAVE_CURL
TEST(http_fetch_is_not_built)
{
        SKIP("built without libcurl");
}
#else
#include <policy/profile.h>
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* A server on 127.0.0.1 that answers one connection at a time with a text the test sets. */
struct server {
        int fd;
        uint16_t port;
        pthread_t thread;
        atomic_bool stop;
        /* one per request, the last one for all further ones; NULL: never answers */
        const char *answers[16];
        atomic_uint requests;
        char last[16384]; /* the last request */
        size_t last_len, sent;
};

static bool wait_readable(int fd, struct server *s)
{
        struct pollfd p = { .fd = fd, .events = POLLIN };
        while (!s->stop)
                if (poll(&p, 1, 20) > 0)
                        return true;
        return false;
}

static bool request_whole(const struct server *s)
{
        const char *end = strstr(s->last, "\r\n\r\n"),
                   *length = strcasestr(s->last, "content-length:");
        if (!end)
                return false;
        size_t body = length && length < end ? (size_t)atoi(length + 15) : 0;
        return s->last_len >= (size_t)(end + 4 - s->last) + body;
}

static void serve_one(struct server *s, int c)
{
        s->last_len = 0;
        s->last[0] = '\0';
        while (!request_whole(s) && wait_readable(c, s)) {
                ssize_t n = read(c, s->last + s->last_len, sizeof s->last - 1 - s->last_len);
                if (n <= 0)
                        return;
                s->last_len += (size_t)n;
                s->last[s->last_len] = '\0';
        }
        unsigned i = atomic_fetch_add(&s->requests, 1);
        for (i = i > 15 ? 15 : i; i > 0 && !s->answers[i];)
                i--;
        const char *answer = s->answers[i];
        if (!answer) {
                while (!s->stop) /* hangs */
                        usleep(10000);
                return;
        }
        s->sent = strlen(answer);
        for (size_t at = 0; at < s->sent;) {
                ssize_t n = send(c, answer + at, s->sent - at, MSG_NOSIGNAL);
                if (n <= 0)
                        break;
                at += (size_t)n;
        }
}

static void *serve(void *ctx)
{
        struct server *s = ctx;
        while (wait_readable(s->fd, s)) {
                int c = accept(s->fd, NULL, NULL);
                if (c < 0)
                        continue;
                serve_one(s, c);
                close(c);
        }
        return NULL;
}

static void server_start(struct server *s, const char *answer)
{
        struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t len = sizeof a;
        memset(s, 0, sizeof *s);
        s->answers[0] = answer;
        s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (s->fd < 0 || bind(s->fd, (struct sockaddr *)&a, len) < 0 || listen(s->fd, 8) < 0 ||
            getsockname(s->fd, (struct sockaddr *)&a, &len) < 0)
                abort();
        s->port = ntohs(a.sin_port);
        if (pthread_create(&s->thread, NULL, serve, s) != 0)
                abort();
}

static void server_stop(struct server *s)
{
        s->stop = true;
        pthread_join(s->thread, NULL);
        close(s->fd);
}

static const char *url_of(const struct server *s, const char *host, const char *path)
{
        static char urls[4][256];
        static unsigned next;
        char *u = urls[next++ % 4];
        snprintf(u, 256, "http://%s:%u%s", host, s->port, path);
        return u;
}

struct web {
        struct server s;
        struct fake f;
        struct mv_value r;
};

static void web_open(struct web *w, const char *answer)
{
        struct mv_err err;
        char grant[40];
        server_start(&w->s, answer);
        fake_init(&w->f, MV_LEVEL_CONTROLLED);
        snprintf(grant, sizeof grant, "127.0.0.1:%u", w->s.port);
        if (mv_context_allow_host(w->f.context, grant, &err) < 0)
                abort();
}

static void web_close(struct web *w)
{
        server_stop(&w->s);
        fake_done(&w->f);
}

#define FETCH(w, ...) FAKE_CALL(&(w)->f, "ccos.network.http-fetch", &(w)->r, __VA_ARGS__)
#define HELLO                                                                                      \
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Twice: 1\r\nx-twice: 2\r\nX-Latin: "     \
        "caf\xe9\r\n"                                                                              \
        "Content-Length: 5\r\nConnection: close\r\n\r\nhello"

TEST(a_granted_host_answers_with_status_body_and_headers) /* REQ-CAP-42 */
{
        struct web w;
        web_open(&w, HELLO);
        const char *url = url_of(&w.s, "127.0.0.1", "/a?b=c#fragment");
        REQUIRE(FETCH(&w, v_text(url)) == 0);
        CHECK(w.r.kind == MV_MAP && w.r.count == 3);
        CHECK(w.r.entries[0].key.kind == MV_STRING &&
              mv_slice_eq_str(w.r.entries[0].key.text, "body"));
        CHECK(mv_map_get(&w.r, "status")->integer == 200);
        CHECK(is_text(mv_map_get(&w.r, "body"), "hello"));
        const struct mv_value *h = mv_map_get(&w.r, "headers");
        CHECK(is_text(mv_map_get(h, "content-type"), "text/plain"));
        CHECK(is_text(mv_map_get(h, "x-twice"), "1, 2"));
        CHECK(is_text(mv_map_get(h, "x-latin"), "caf\xc3\xa9"));
        CHECK(strncmp(w.s.last, "GET /a?b=c HTTP/1.1\r\n", 21) == 0);
        char host[60];
        snprintf(host, sizeof host, "\r\nHost: 127.0.0.1:%u\r\n", w.s.port);
        CHECK(strstr(w.s.last, host));
        web_close(&w);
}

TEST(bytes_and_status_are_counted_as_the_server_saw_them) /* REQ-META-02 */
{
        struct web w;
        web_open(&w, HELLO);
        struct mv_entry e[] = { { v_key("body"), v_text("payload") },
                                { v_key("method"), v_text("POST") },
                                { v_key("url"), v_text(url_of(&w.s, "127.0.0.1", "/p")) } };
        REQUIRE(FETCH(&w, v_map(e, 3)) == 0);
        CHECK(w.f.hops == 1 && w.f.hop_status == 200);
        CHECK_STR(w.f.hop_method, "POST");
        CHECK_STR(w.f.hop_url, url_of(&w.s, "127.0.0.1", "/p"));
        CHECK(w.f.hop_sent == w.s.last_len);
        CHECK(w.f.hop_received == w.s.sent);
        CHECK(strstr(w.s.last, "\r\n\r\npayload"));
        CHECK(!strcasestr(w.s.last, "x-www-form-urlencoded"));
        web_close(&w);
}

TEST(every_method_goes_out_as_itself)
{
        static const char *const methods[] = { "GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS" };
        struct web w;
        web_open(&w, HELLO);
        for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
                CHECK(FETCH(&w, v_key("url"), v_text(url_of(&w.s, "127.0.0.1", "/")),
                            v_key("method"), v_text(methods[i])) == 0);
                CHECK(strncmp(w.s.last, methods[i], strlen(methods[i])) == 0);
        }
        w.s.answers[0] = w.s.answers[6] =
                "HTTP/1.1 204 No Content\r\nX-A: b\r\nContent-Length: 99\r\n\r\n";
        CHECK(FETCH(&w, v_key("url"), v_text(url_of(&w.s, "127.0.0.1", "/")), v_key("method"),
                    v_key("head")) == 0);
        CHECK(strncmp(w.s.last, "HEAD / ", 7) == 0 && is_text(mv_map_get(&w.r, "body"), ""));
        CHECK(FETCH(&w, v_key("url"), v_text(url_of(&w.s, "127.0.0.1", "/")), v_key("method"),
                    v_text("TRACE")) < 0);
        CHECK(strncmp(w.f.text, "Invalid argument: http-fetch: :method must be", 45) == 0);
        web_close(&w);
}

TEST(headers_cannot_smuggle_another_request) /* REQ-NET-10 */
{
        static const char *const bad[][2] = {
                { "X-A", "1\r\nHost: evil" },
                { "X-A", "1\nX: y" },
                { "X A", "1" },
                { "X:A", "1" },
                { "", "1" },
                { "Host", "evil" },
                { "content-length", "0" },
                { "Transfer-Encoding", "chunked" },
                { "Connection", "upgrade" },
                { "Expect", "100-continue" },
                { "X-A", "a\x01" },
                { "caf\xc3\xa9", "1" },
        };
        struct web w;
        web_open(&w, HELLO);
        const char *url = url_of(&w.s, "127.0.0.1", "/");
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
                struct mv_entry h = { v_text(bad[i][0]), v_text(bad[i][1]) };
                CHECK(FETCH(&w, v_key("url"), v_text(url), v_key("headers"), v_map(&h, 1)) < 0);
                CHECK_STR(w.f.fault.kind, "InvalidArgument");
        }
        CHECK(w.s.requests == 0);
        struct mv_entry good[] = { { v_text("Authorization"), v_text("Bearer t") },
                                   { v_text("X-Empty"), v_text("") } };
        CHECK(FETCH(&w, v_key("url"), v_text(url), v_key("headers"), v_map(good, 2)) == 0);
        CHECK(strstr(w.s.last, "\r\nAuthorization: Bearer t\r\n") &&
              strstr(w.s.last, "\r\nX-Empty:\r\n"));
        web_close(&w);
}

TEST(a_request_that_makes_no_sense_is_an_invalid_argument)
{
        struct web w;
        struct mv_entry none = { v_key("method"), v_text("GET") };
        web_open(&w, HELLO);
        CHECK(FETCH(&w, v_map(&none, 1)) < 0);
        CHECK_STR(w.f.text, "Invalid argument: Missing :url for HTTP fetch");
        CHECK(FETCH(&w, v_text("")) < 0);
        CHECK_STR(w.f.text, "Invalid argument: Missing :url for HTTP fetch");
        CHECK(FETCH(&w, v_int(3)) < 0);
        CHECK(FETCH(&w, v_text("ftp://127.0.0.1/")) < 0);
        CHECK(FETCH(&w, v_text("file:///etc/passwd")) < 0);
        CHECK(FETCH(&w, v_text("http://user:pw@127.0.0.1/")) < 0);
        CHECK(FETCH(&w, v_key("url")) < 0);
        CHECK(FETCH(&w, v_key("url"), v_text("http://127.0.0.1/"), v_key("proxy"), v_text("x")) <
              0);
        CHECK(strstr(w.f.text, "unknown option 'proxy'"));
        CHECK(FETCH(&w, v_key("url"), v_text("http://127.0.0.1/"), v_key("timeout-ms"), v_int(0)) <
              0);
        CHECK(FETCH(&w, v_key("url"), v_text("http://127.0.0.1/"), v_key("body"), v_text("x")) < 0);
        CHECK(w.s.requests == 0);
        web_close(&w);
}

TEST(a_host_that_is_not_granted_is_denied_with_its_texts) /* REQ-NET-12 */
{
        struct web w;
        char wanted[300];
        web_open(&w, HELLO);
        CHECK(FETCH(&w, v_text("http://example.com/")) < 0);
        CHECK_STR(w.f.text, "Security violation: network operation on capability "
                            "'ccos.network.http-fetch' not allowed in "
                            "context: Host 'example.com' not in HTTP allowlist");
        CHECK_STR(w.f.decision.hint, "--allow-net example.com:80");
        CHECK_STR(w.f.decision.permissions[0], "ccos.network.http-fetch");
        CHECK_STR(w.f.decision.permissions[1], "ccos.network.outbound");
        CHECK(FETCH(&w, v_text("http://127.0.0.1:1/")) < 0);
        snprintf(wanted, sizeof wanted, "Port '1' not in HTTP allowlist");
        CHECK_STR(w.f.decision.context, wanted);
        CHECK(w.f.hops == 0 && w.s.requests == 0);
        web_close(&w);
}

TEST(a_redirect_is_followed_to_a_granted_host_and_recorded)
{
        struct web w;
        struct mv_err err;
        char grant[40], location[300];
        web_open(&w, NULL);
        snprintf(grant, sizeof grant, "localhost:%u", w.s.port);
        mv_context_allow_host(w.f.context, grant, &err);
        snprintf(location, sizeof location,
                 "HTTP/1.1 302 Found\r\nLocation: http://localhost:%u/two\r\n"
                 "Content-Length: 0\r\n\r\n",
                 w.s.port);
        w.s.answers[0] = location;
        w.s.answers[1] = "HTTP/1.1 301 Moved\r\nLocation: three?x=1\r\nContent-Length: 0\r\n\r\n";
        w.s.answers[2] = HELLO;
        struct mv_entry h = { v_text("Authorization"), v_text("Bearer t") };
        CHECK(FETCH(&w, v_key("url"), v_text(url_of(&w.s, "127.0.0.1", "/one")), v_key("headers"),
                    v_map(&h, 1)) == 0);
        CHECK(w.f.hops == 3 && w.f.allows == 2 && w.s.requests == 3);
        CHECK(strncmp(w.s.last, "GET /three?x=1 ", 15) == 0);
        CHECK(!strstr(w.s.last, "Bearer")); /* another origin */
        CHECK_STR(w.f.hop_url, url_of(&w.s, "localhost", "/three?x=1"));
        web_close(&w);
}

TEST(inside_a_step_a_redirect_to_a_granted_host_is_held_to_the_step) /* REQ-STEP-05 */
{
        struct web w;
        struct mv_err err;
        struct mv_profile p;
        const struct mv_profile *active = &p;
        struct mv_step_view view = { &active, 1 };
        struct mv_touch touch = { .network = true,
                                  .url_known = true,
                                  .method_known = true,
                                  .url = MV_SLICE("http://127.0.0.1/"),
                                  .method = MV_SLICE("GET") };
        char grant[40], location[300];
        web_open(&w, NULL);
        snprintf(grant, sizeof grant, "localhost:%u", w.s.port);
        mv_context_allow_host(w.f.context, grant, &err);
        snprintf(location, sizeof location,
                 "HTTP/1.1 302 Found\r\nLocation: http://localhost:%u/two\r\n"
                 "Content-Length: 0\r\n\r\n",
                 w.s.port);
        w.s.answers[0] = location;
        w.s.answers[1] = HELLO;
        mv_profile_init(&p, MV_SLICE("get"));
        CHECK(mv_profile_add(&p, "ccos.network.http-fetch", &touch, &err) == 0);
        w.f.context->steps = &view;
        CHECK(FETCH(&w, v_text(url_of(&w.s, "127.0.0.1", "/"))) < 0);
        CHECK(w.f.denied_inside && w.s.requests == 1);
        CHECK_STR(w.f.decision.rule, "step profile: hosts");
        CHECK_STR(w.f.decision.context, "Host 'localhost' not in the profile of step 'get'");
        w.f.context->steps = NULL;
        mv_profile_done(&p);
        web_close(&w);
}

TEST(a_redirect_to_a_host_that_is_not_granted_is_denied) /* REQ-NET-06 */
{
        static const char *const targets[][2] = {
                { "http://169.254.169.254/latest/meta-data/", "169.254.169.254" },
                { "http://example.com/", "example.com" },
                { "http://localhost/", "localhost" },
                { "//example.org/x", "example.org" },
        };
        for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
                struct web w;
                char answer[300], wanted[200];
                snprintf(answer, sizeof answer,
                         "HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n",
                         targets[i][0]);
                web_open(&w, answer);
                CHECK(FETCH(&w, v_text(url_of(&w.s, "127.0.0.1", "/"))) < 0);
                CHECK(w.f.denied_inside && w.s.requests == 1);
                snprintf(wanted, sizeof wanted, "Host '%s' not in HTTP allowlist", targets[i][1]);
                CHECK_STR(w.f.decision.context, wanted);
                snprintf(wanted, sizeof wanted, "--allow-net %s:80", targets[i][1]);
                CHECK_STR(w.f.decision.hint, wanted);
                web_close(&w);
        }
}

TEST(a_redirect_to_another_scheme_or_round_and_round_ends)
{
        struct web w;
        web_open(&w,
                 "HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n");
        CHECK(FETCH(&w, v_text(url_of(&w.s, "127.0.0.1", "/"))) < 0);
        CHECK_STR(w.f.fault.kind, "NetworkError");
        CHECK(strstr(w.f.text, "redirect refused"));
        w.s.answers[0] = w.s.answers[1] =
                "HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n";
        CHECK(FETCH(&w, v_text(url_of(&w.s, "127.0.0.1", "/"))) < 0);
        CHECK(strstr(w.f.text, "more than 10 redirects"));
        CHECK(w.s.requests == 12);
        web_close(&w);
}

TEST(a_post_that_is_redirected_keeps_its_body_only_when_it_must)
{
        struct web w;
        web_open(&w, "HTTP/1.1 307 T\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n");
        w.s.answers[1] = "HTTP/1.1 303 S\r\nLocation: /c\r\nContent-Length: 0\r\n\r\n";
        w.s.answers[2] = HELLO;
        CHECK(FETCH(&w, v_key("url"), v_text(url_of(&w.s, "127.0.0.1", "/a")), v_key("method"),
                    v_text("POST"), v_key("body"), v_text("payload")) == 0);
        CHECK(strncmp(w.s.last, "GET /c ", 7) == 0 && !strstr(w.s.last, "payload"));
        CHECK(w.f.hops == 3);
        web_close(&w);
}

TEST(a_name_that_resolves_inside_needs_to_be_named_exactly) /* REQ-NET-06 */
{
        struct web w;
        struct mv_err err;
        char grant[60];
        web_open(&w, HELLO);
        /* level full: every host name is granted, but a loopback address was named by nobody */
        mv_context_free(w.f.context);
        w.f.context = mv_context_new(MV_LEVEL_FULL);
        CHECK(FETCH(&w, v_text(url_of(&w.s, "localhost", "/"))) < 0);
        CHECK(w.f.denied_inside && w.s.requests == 0);
        CHECK_STR(w.f.decision.rule, "address not allowed");
        CHECK(strstr(
                w.f.text,
                "Security violation: network operation on capability 'ccos.network.http-fetch'"));
        CHECK(strstr(w.f.decision.context, "loopback"));
        CHECK(strncmp(w.f.decision.hint, "--allow-net ", 12) == 0);
        CHECK(FETCH(&w, v_text(url_of(&w.s, "127.0.0.1", "/"))) < 0 && w.f.denied_inside);
        CHECK(FETCH(&w, v_text(url_of(&w.s, "0x7f.1", "/"))) < 0);
        CHECK(w.s.requests == 0);
        mv_context_free(w.f.context);
        w.f.context = mv_context_new(MV_LEVEL_CONTROLLED);
        mv_context_allow(w.f.context, "ccos.*", &err);
        snprintf(grant, sizeof grant, "localhost:%u", w.s.port);
        mv_context_allow_host(w.f.context, grant, &err);
        CHECK(FETCH(&w, v_text(url_of(&w.s, "localhost", "/"))) == 0);
        CHECK(w.s.requests == 1);
        web_close(&w);
}

TEST(proxies_of_the_environment_are_not_used)
{
        struct web w;
        web_open(&w, HELLO);
        setenv("http_proxy", "http://127.0.0.1:1", 1);
        setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
        CHECK(FETCH(&w, v_text(url_of(&w.s, "127.0.0.1", "/"))) == 0);
        unsetenv("http_proxy");
        unsetenv("ALL_PROXY");
        web_close(&w);
}

static uint64_t monotonic_ns(void)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

TEST(a_server_that_hangs_is_left_at_the_timeout_or_the_deadline)
{
        struct web w;
        web_open(&w, NULL);
        uint64_t start = monotonic_ns();
        CHECK(FETCH(&w, v_key("url"), v_text(url_of(&w.s, "127.0.0.1", "/")), v_key("timeout-ms"),
                    v_int(100)) < 0);
        CHECK_STR(w.f.fault.kind, "NetworkError");
        CHECK(monotonic_ns() - start < MV_TEST_SOON_NS);
        server_stop(&w.s);
        server_start(&w.s, NULL);
        struct mv_err err;
        char grant[40];
        snprintf(grant, sizeof grant, "127.0.0.1:%u", w.s.port);
        mv_context_allow_host(w.f.context, grant, &err);
        start = monotonic_ns();
        w.f.deadline_ns = start + 100000000u;
        CHECK(FETCH(&w, v_text(url_of(&w.s, "127.0.0.1", "/"))) < 0);
        CHECK(monotonic_ns() - start < MV_TEST_SOON_NS);
        w.f.deadline_ns = 0;
        w.f.cancel = 1;
        CHECK(FETCH(&w, v_text(url_of(&w.s, "127.0.0.1", "/"))) < 0);
        CHECK(strstr(w.f.text, "the execution was cancelled"));
        web_close(&w);
}

TEST(an_answer_that_is_too_large_or_not_text_is_an_error)
{
        struct web w;
        char *big = calloc(1, 300000), *heads = calloc(1, 300000);
        web_open(&w, big);
        int n = sprintf(big, "HTTP/1.1 200 OK\r\n\r\n");
        memset(big + n, 'x', 200000);
        big[n + 200000] = '\0';
        CHECK(FETCH(&w, v_text(url_of(&w.s, "127.0.0.1", "/"))) == 0 &&
              mv_map_get(&w.r, "body")->text.len == 200000);
        w.f.limits.memory_bytes_max = 100000;
        CHECK(FETCH(&w, v_text(url_of(&w.s, "127.0.0.1", "/"))) < 0);
        CHECK(strstr(w.f.text, "body is larger"));
        w.f.limits.memory_bytes_max = 16 << 20;
        n = sprintf(heads, "HTTP/1.1 200 OK\r\n");
        for (int i = 0; i < 200; i++)
                n += sprintf(heads + n, "X-%d: y\r\n", i);
        sprintf(heads + n, "\r\n");
        w.s.answers[2] = heads;
        CHECK(FETCH(&w, v_text(url_of(&w.s, "127.0.0.1", "/"))) < 0);
        CHECK(strstr(w.f.text, "header lines"));
        w.s.answers[3] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\xff\xfe";
        CHECK(FETCH(&w, v_text(url_of(&w.s, "127.0.0.1", "/"))) < 0);
        CHECK(strstr(w.f.text, "not valid UTF-8"));
        w.s.answers[4] = "rubbish\r\n\r\n";
        CHECK(FETCH(&w, v_text(url_of(&w.s, "127.0.0.1", "/"))) < 0);
        CHECK_STR(w.f.fault.kind, "NetworkError");
        web_close(&w);
        free(big);
        free(heads);
}

TEST(a_server_that_is_not_there_is_a_network_error)
{
        struct web w;
        web_open(&w, HELLO);
        server_stop(&w.s);
        CHECK(FETCH(&w, v_text(url_of(&w.s, "127.0.0.1", "/"))) < 0);
        CHECK_STR(w.f.fault.kind, "NetworkError");
        CHECK(strncmp(w.f.text, "Network error: http-fetch 127.0.0.1: ", 37) == 0);
        fake_done(&w.f);
}
#endif
