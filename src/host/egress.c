/* SPDX-License-Identifier: Apache-2.0 */
/* host/egress.c - the network of one program: what its proxy asks, decided and carried out.
 *
 * (1) The decision is the one about ccos.network.http-fetch: the URL is read by mv_url_parse, the
 *     host decided by mv_policy_host, each address by mv_policy_address. One denied address of a
 *     name denies it. Here and nowhere else a socket is connected, to an address that was checked.
 * (2) A decision is recorded before its effect; what came of a connection is recorded when it ends.
 * (3) Nothing here waits: names are looked up by threads that may be left behind, connections made
 *     without blocking. Everything happens on the thread of mv_execute, like the door's frames.
 * (4) The proxy reads hostile bytes and may have been taken over by them: its messages are checked
 *     like a guest's, and one that makes no sense ends the execution. So does its death: without it
 *     there is no network (REQ-NET-18).
 * docs/design/egress.md has the whole. */
#include <fcntl.h>
#include <host/egress.h>
#include <policy/policy.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/child.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/fd.h>
#include <sys/net.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <wire/egress.h>
#include <security/tls.h>

#define PERMISSION "ccos.network.outbound"

/* Per execution. A connection more is refused and recorded; bytes more end the connection. */
#define CONNECTIONS_MAX    10000u
#define SENT_BYTES_MAX     ((uint64_t)256 << 20)
#define RECEIVED_BYTES_MAX ((uint64_t)1 << 30)
#define HEAD_MS            3000u
#define IDLE_MS            60000u
#define END_MS             200 /* how long the proxy may take to tell what is open at the end */
#define PROXY_MEMORY_BYTES ((uint64_t)32 << 20)
#define PROXY_STACK_BYTES  ((uint64_t)256 << 10)
#define SCHEME             "https://" /* stands before a CONNECT's HOST:PORT, so that one reader reads both */

enum { TAG_CONTROL, TAG_LOOKUP, TAG_FIRST }; /* TAG_FIRST + place: that attempt's socket */

extern const uint8_t mv__egress_image[], mv__egress_image_end[];
static struct mv_slice image(void)
{
        return mv_slice(mv__egress_image, (size_t)(mv__egress_image_end - mv__egress_image));
}

struct attempt { /* from ASK to its end */
        uint32_t id;
        bool connect, connected;
        char method[MV_HTTP_METHOD_BYTES_MAX + 1];
        char text[sizeof SCHEME + MV_HTTP_TARGET_BYTES_MAX];
        struct mv_slice target; /* as the proxy has it, into text */
        struct mv_url url;      /* into text */
        struct mv_sys_lookup *lookup;
        struct mv_sys_addresses to;
        unsigned at;
        int fd;
};

struct mv__egress {
        struct mv_egress_server face;
        struct mv__exec *exec;
        int epoll_fd, control_fd, event_fd;
        struct mv_sys_child child;
        struct attempt *attempts[MV_EGRESS_OPEN_MAX];
};

bool mv__egress_granted(const struct mv_context *c)
{
        enum mv_level level = mv_context_level(c);
        return !mv__tls_demands(c) && /* the program would speak TLS itself */
               (level == MV_LEVEL_FULL || (level == MV_LEVEL_CONTROLLED && c->hosts.count));
}

static struct attempt *attempt_free(struct attempt *a)
{
        if (!a)
                return NULL;
        mv_sys_lookup_drop(a->lookup);
        mv_fd_closep(&a->fd);
        free(a);
        return NULL;
}

static bool watch(const struct mv__egress *g, int fd, uint32_t events, uint32_t tag)
{
        struct epoll_event e = { .events = events, .data.u32 = tag };
        return epoll_ctl(g->epoll_fd, EPOLL_CTL_ADD, fd, &e) == 0;
}

/* --- answers ---------------------------------------------------------------------------------- */

static int answer(struct mv__egress *g, const struct attempt *a, uint16_t status, const char *why,
                  struct mv_err *err)
{
        uint8_t packet[2048];
        char host[300] = "";
        bool yes = status == 200;
        const struct mv_url *u = &a->url;
        if (yes)
                mv_fmt(host, sizeof host, u->port == 80 ? "%s%s%s" : "%s%s%s:%u",
                       strchr(u->host_ascii, ':') ? "[" : "", u->host_ascii,
                       strchr(u->host_ascii, ':') ? "]" : "", (unsigned)u->port);
        struct mv_out o = mv_out(packet, sizeof packet);
        struct mv_egress_message m = { .kind = 'A',
                                       .id = a->id,
                                       .status = status,
                                       .host = mv_slice_str(host),
                                       .text = mv_slice_str(why) };
        if (yes)
                m.path_at = (uint16_t)(u->path.p - a->target.p);
        bool fits = mv_egress_put(&o, &m);
        int error = fits ? mv_sys_packet_send(g->control_fd, packet, o.len, yes ? a->fd : -1) : 0;
        if (!fits || error)
                return MV_HOSTILE(err, "the proxy takes no answers"); /* (4) */
        return 0;
}

/* The attempt ends here; its place is free. */
static int refuse(struct mv__egress *g, struct attempt *a, uint16_t status, const char *why,
                  struct mv_err *err)
{
        char text[MV_EGRESS_TEXT_BYTES_MAX + 1];
        mv_fmt(text, sizeof text, "%s", why);
        mv_text_make_utf8(text);
        int r = answer(g, a, status, text, err);
        g->attempts[a->id % MV_EGRESS_OPEN_MAX] = attempt_free(a);
        return r;
}

/* --- records (2) ------------------------------------------------------------------------------ */

static int record_decision(struct mv__egress *g, const struct attempt *a,
                           const struct mv_decision *d, struct mv_err *err)
{
        return mv_broker_egress_decision(g->exec->broker, d, mv_slice_str(a->method),
                                         a->url.host_ascii, a->url.port, err);
}

static int record_ended(struct mv__egress *g, const struct attempt *a, int status, uint64_t sent,
                        uint64_t received, struct mv_err *err)
{
        struct mv_broker_egress e = { .method = mv_slice_str(a->method),
                                      .url = a->target,
                                      .host = a->url.host_ascii,
                                      .port = a->url.port,
                                      .status = status,
                                      .sent_bytes = sent,
                                      .received_bytes = received };
        return mv_broker_egress_ended(g->exec->broker, &e, err);
}

static int deny(struct mv__egress *g, struct attempt *a, const struct mv_decision *d,
                struct mv_err *err)
{
        char text[MV_EGRESS_TEXT_BYTES_MAX];
        mv_decision_text(d, text, sizeof text);
        if (d->hint[0] && strlen(text) + strlen(d->hint) + 10 < sizeof text)
                mv_fmt(text + strlen(text), sizeof text - strlen(text), "\nhint: %s", d->hint);
        int r = record_decision(g, a, d, err);
        return r < 0 ? r : refuse(g, a, 403, text, err);
}

/* A request that names nothing that could be decided about. */
static int deny_unread(struct mv__egress *g, const struct attempt *a, const char *why,
                       struct mv_err *err)
{
        struct mv_decision d;
        mv_decision_none(&d);
        mv_fmt(d.rule, sizeof d.rule, "request not understood");
        mv_fmt(d.operation, sizeof d.operation, "network");
        mv_fmt(d.capability, sizeof d.capability, PERMISSION);
        mv_fmt(d.context, sizeof d.context, "%s", why);
        mv__decision_permission(&d, PERMISSION);
        return record_decision(g, a, &d, err);
}

/* --- connecting (1) --------------------------------------------------------------------------- */

static int failed(struct mv__egress *g, struct attempt *a, const char *why, struct mv_err *err)
{
        char text[300];
        mv_fmt(text, sizeof text, "%s: %s", a->url.host_ascii, why);
        int r = record_ended(g, a, 502, 0, 0, err);
        return r < 0 ? r : refuse(g, a, 502, text, err);
}

static int connect_next(struct mv__egress *g, struct attempt *a, struct mv_err *err)
{
        int error = EHOSTUNREACH;
        while (a->at < a->to.count) {
                int fd = mv_sys_connect_start(&a->to.list[a->at++], a->url.port);
                if (fd >= 0) {
                        a->fd = fd;
                        if (watch(g, fd, EPOLLOUT, TAG_FIRST + a->id % MV_EGRESS_OPEN_MAX))
                                return 0;
                        mv_fd_closep(&a->fd);
                        fd = -errno;
                }
                error = -fd;
        }
        return failed(g, a, mv__errno_text(error), err);
}

static int connect_checked(struct mv__egress *g, struct attempt *a, struct mv_err *err)
{
        const struct mv_context *c = g->exec->context;
        char why[96];
        for (unsigned i = 0; i < a->to.count; i++) {
                const struct mv_sys_address *to = &a->to.list[i];
                if (mv_policy_address(c, &a->url, to->bytes, to->len, why))
                        continue;
                struct mv_decision d;
                mv_policy_address_denied(&a->url, to->bytes, to->len, why, PERMISSION, &d);
                return deny(g, a, &d, err);
        }
        return a->to.count ? connect_next(g, a, err) : failed(g, a, a->to.why, err);
}

static int connected(struct mv__egress *g, struct attempt *a, struct mv_err *err)
{
        int error = mv_sys_connect_result(a->fd);
        epoll_ctl(g->epoll_fd, EPOLL_CTL_DEL, a->fd, NULL);
        if (error) {
                mv_fd_closep(&a->fd);
                return a->at < a->to.count ? connect_next(g, a, err)
                                           : failed(g, a, mv__errno_text(error), err);
        }
        int r = answer(g, a, 200, "", err);
        mv_fd_closep(&a->fd); /* the proxy has it now */
        a->connected = true;
        return r;
}

static int looked_up(struct mv__egress *g, struct mv_err *err)
{
        uint64_t count;
        int r = 0;
        (void)!read(g->event_fd, &count, sizeof count);
        for (unsigned i = 0; r == 0 && i < MV_EGRESS_OPEN_MAX; i++) {
                struct attempt *a = g->attempts[i];
                if (!a || !a->lookup || !mv_sys_lookup_take(a->lookup, &a->to))
                        continue;
                a->lookup = NULL;
                r = connect_checked(g, a, err);
        }
        return r;
}

/* --- what the proxy says (4) ------------------------------------------------------------------ */

static int read_target(struct attempt *a, struct mv_err *err)
{
        struct mv_slice whole = a->connect ? mv_slice_str(a->text) : a->target;
        int r = mv_url_parse(whole, &a->url, err);
        if (r == 0 && a->connect && a->url.path.len)
                return mv_fail(err, MV_E_INVALID, 0,
                               "CONNECT takes HOST:PORT and nothing behind it");
        if (r == 0 && !a->connect && !mv_slice_eq_str(a->url.scheme, "http"))
                return mv_fail(err, MV_E_INVALID, 0, "https goes through CONNECT");
        return r;
}

static int decide(struct mv__egress *g, struct attempt *a, struct mv_err *err)
{
        struct mv_decision d;
        struct mv_err why;
        if (read_target(a, &why) < 0) {
                int r = deny_unread(g, a, why.msg, err);
                return r < 0 ? r : refuse(g, a, 400, why.msg, err);
        }
        mv_policy_host(g->exec->context, &a->url, PERMISSION, &d);
        if (!d.allowed)
                return deny(g, a, &d, err);
        int r = record_decision(g, a, &d, err);
        if (r < 0)
                return r;
        if (mv_sys_address_read(a->url.host_ascii, &a->to.list[0])) {
                a->to.count = 1;
                return connect_checked(g, a, err);
        }
        return mv_sys_lookup_start(a->url.host_ascii, g->event_fd, &a->lookup, err);
}

static bool printable(struct mv_slice s)
{
        for (size_t i = 0; i < s.len; i++)
                if (s.p[i] <= 0x20 || s.p[i] >= 0x7f)
                        return false;
        return s.len > 0;
}

static int on_ask(struct mv__egress *g, const struct mv_egress_message *m, struct mv_err *err)
{
        struct attempt **place = &g->attempts[m->id % MV_EGRESS_OPEN_MAX];
        if (*place || !printable(m->method) || !printable(m->target))
                return MV_HOSTILE(err, "the proxy asks what it cannot have been asked");
        struct attempt *a = calloc(1, sizeof *a);
        if (!a)
                return mv_fail(err, MV_E_NOMEM, 0, "a connection of a program");
        *place = a;
        a->id = m->id;
        a->fd = -1;
        a->connect = m->connect;
        mv_fmt(a->method, sizeof a->method, "%.*s", MV_SARG(m->method));
        size_t n = a->connect ? sizeof SCHEME - 1 : 0;
        memcpy(a->text, SCHEME, n);
        memcpy(a->text + n, m->target.p, m->target.len);
        a->target = mv_slice(a->text + n, m->target.len);
        return decide(g, a, err);
}

static int on_done(struct mv__egress *g, const struct mv_egress_message *m, struct mv_err *err)
{
        struct attempt **place = &g->attempts[m->id % MV_EGRESS_OPEN_MAX], *a = *place;
        if (!a || !a->connected || a->id != m->id || m->status > 999)
                return MV_HOSTILE(err, "the proxy ends a connection that is none");
        int r = record_ended(g, a, m->status, m->sent, m->received, err);
        *place = attempt_free(a);
        return r;
}

static int on_refused(struct mv__egress *g, const struct mv_egress_message *m, struct mv_err *err)
{
        struct attempt none = { .method = "?" };
        char why[200];
        mv_fmt(why, sizeof why, "%.*s", MV_SARG(m->text));
        mv_text_make_utf8(why);
        return deny_unread(g, &none, why, err);
}

/* One packet. 1: handled; 0: none waits; negative: malformed, or the proxy is gone. */
static int control_read(struct mv__egress *g, struct mv_err *err)
{
        static _Thread_local uint8_t packet[MV_EGRESS_MESSAGE_BYTES_MAX + 1];
        struct mv_egress_message m;
        ssize_t n = recv(g->control_fd, packet, sizeof packet, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n <= 0)
                return MV_HOSTILE(err, "the proxy of this execution has died");
        if (!mv_egress_get(mv_slice(packet, (size_t)n), "QDR", &m))
                return MV_HOSTILE(err, "the proxy sends what is no message");
        int r = m.kind == 'Q'   ? on_ask(g, &m, err)
                : m.kind == 'D' ? on_done(g, &m, err)
                                : on_refused(g, &m, err);
        return r < 0 ? r : 1;
}

/* --- the provider's side ---------------------------------------------------------------------- */

static int look(struct mv__egress *g, struct mv_err *err)
{
        struct epoll_event events[16];
        int n = epoll_wait(g->epoll_fd, events, 16, 0), r = 0;
        for (int i = 0; r >= 0 && i < n; i++) {
                uint32_t tag = events[i].data.u32;
                struct attempt *a = tag >= TAG_FIRST ? g->attempts[tag - TAG_FIRST] : NULL;
                if (tag == TAG_CONTROL)
                        r = control_read(g, err);
                else if (tag == TAG_LOOKUP)
                        r = looked_up(g, err);
                else if (a && a->fd >= 0)
                        r = connected(g, a, err);
        }
        return r < 0 ? r : 0;
}

/* Like a frame that failed: the execution's verdict is made from it. */
static int noted(struct mv__egress *g, int r, const struct mv_err *err)
{
        if (r < 0 && !g->exec->tap.failed) {
                g->exec->tap.failed = true;
                g->exec->tap.err = *err;
        }
        return r;
}

static int step(void *ctx, struct mv_err *err)
{
        return noted(ctx, look(ctx, err), err);
}

static int proxy_start(struct mv__egress *g, int door_fd, struct mv_err *err)
{
        static const long calls[] = { SYS_recvfrom, SYS_sendto, SYS_recvmsg,       SYS_ppoll,
                                      SYS_accept4,  SYS_close,  SYS_clock_gettime, SYS_shutdown };
        static char name[] = "microvm-egress";
        static char *const argv[] = { name, NULL };
        mv_auto_fd fd = -1;
        int r = mv_sys_memfd_sealed(name, image().p, image().len, &fd, err);
        if (r < 0)
                return r;
        struct mv_sys_spawn s = { .image_fd = fd,
                                  .door_fd = door_fd,
                                  .argv = argv,
                                  .address_bytes_max = PROXY_MEMORY_BYTES,
                                  .stack_bytes_max = PROXY_STACK_BYTES,
                                  .calls = calls,
                                  .calls_count = sizeof calls / sizeof calls[0],
                                  .files_max = 2 * MV_EGRESS_OPEN_MAX + 8 };
        return mv_sys_spawn(&s, &g->child, err);
}

static int start_message(struct mv__egress *g, int listener_fd, struct mv_err *err)
{
        uint8_t packet[64];
        struct mv_out o = mv_out(packet, sizeof packet);
        const struct mv_egress_message m = { .kind = 'S',
                                             .limits = { HEAD_MS, IDLE_MS, CONNECTIONS_MAX,
                                                         SENT_BYTES_MAX, RECEIVED_BYTES_MAX } };
        mv_egress_put(&o, &m);
        int error = mv_sys_packet_send(g->control_fd, packet, o.len, listener_fd);
        return error ? mv_fail(err, MV_E_SYS, error, "start the proxy of a program") : 0;
}

static int serve_listener(struct mv__egress *g, int listener_fd, struct mv_err *err)
{
        mv_auto_fd listener = listener_fd;
        int pair[2];
        if (g->control_fd >= 0)
                return mv_fail(err, MV_E_STATE, 0, "a program has one proxy");
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return mv_fail(err, MV_E_SYS, errno, "make the channel of a proxy");
        g->control_fd = pair[0];
        mv_auto_fd door = pair[1];
        int r = proxy_start(g, door, err);
        if (r == 0)
                r = start_message(g, listener, err);
        if (r == 0 && !watch(g, g->control_fd, EPOLLIN, TAG_CONTROL))
                r = mv_fail(err, MV_E_SYS, errno, "watch the proxy");
        return r;
}

static int serve(void *ctx, int listener_fd, struct mv_err *err)
{
        return noted(ctx, serve_listener(ctx, listener_fd, err), err);
}

/* --- life ------------------------------------------------------------------------------------- */

int mv__egress_new(struct mv__exec *e, struct mv__egress **ret, struct mv_err *err)
{
        if (image().len == 0)
                return mv_fail(err, MV_E_UNAVAILABLE, 0,
                               "this build has no proxy for programs: it was made without "
                               "musl-gcc; run it without --allow-net");
        struct mv__egress *g = calloc(1, sizeof *g);
        if (!g)
                return mv_fail(err, MV_E_NOMEM, 0, "the network of a program");
        g->exec = e;
        g->child = MV_SYS_CHILD_NONE;
        g->control_fd = -1;
        g->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        g->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        g->face = (struct mv_egress_server){ g, serve, g->epoll_fd, step };
        if (g->epoll_fd < 0 || g->event_fd < 0 || !watch(g, g->event_fd, EPOLLIN, TAG_LOOKUP)) {
                int sys = errno;
                mv__egress_free(g);
                return mv_fail(err, MV_E_SYS, sys, "the network of a program");
        }
        *ret = g;
        return 0;
}

const struct mv_egress_server *mv__egress_face(const struct mv__egress *g)
{
        return &g->face;
}

/* The proxy tells what is open, and ends. */
static int hear_the_rest(struct mv__egress *g, struct mv_err *err)
{
        uint8_t packet[MV_EGRESS_MESSAGE_BYTES_MAX + 1];
        struct mv_egress_message m;
        struct pollfd on = { g->control_fd, POLLIN, 0 };
        int r = 0;
        shutdown(g->control_fd, SHUT_WR);
        while (r == 0 && poll(&on, 1, END_MS) > 0) {
                ssize_t n = recv(g->control_fd, packet, sizeof packet, MSG_DONTWAIT);
                if (n <= 0)
                        break;
                if (!mv_egress_get(mv_slice(packet, (size_t)n), "QDR", &m))
                        r = MV_HOSTILE(err, "the proxy sends what is no message");
                else if (m.kind == 'D')
                        r = on_done(g, &m, err);
        }
        return r;
}

int mv__egress_end(struct mv__egress *g, struct mv_err *err)
{
        int r = 0;
        if (!g || g->control_fd < 0)
                return 0;
        if (!g->exec->tap.failed)
                r = hear_the_rest(g, err);
        for (unsigned i = 0; r == 0 && i < MV_EGRESS_OPEN_MAX; i++)
                if (g->attempts[i] && g->attempts[i]->connected)
                        r = record_ended(g, g->attempts[i], 0, 0, 0, err);
        return noted(g, r, err);
}

struct mv__egress *mv__egress_free(struct mv__egress *g)
{
        if (!g)
                return NULL;
        for (unsigned i = 0; i < MV_EGRESS_OPEN_MAX; i++)
                attempt_free(g->attempts[i]);
        mv_sys_child_done(&g->child);
        mv_fd_closep(&g->control_fd);
        mv_fd_closep(&g->event_fd);
        mv_fd_closep(&g->epoll_fd);
        free(g);
        return NULL;
}
