/* SPDX-License-Identifier: Apache-2.0 */
/* guest/egress_main.c - the proxy between a program and the network it was granted.
 *
 * A process of its own, one per execution: it reads what the program sends, asks the host about
 * each request, and moves bytes between the program's socket and the one the host connected.
 * docs/design/egress.md has the whole.
 *
 * (1) It decides nothing. Whether, and to which address, is the host's; this process cannot make or
 *     connect a socket, open a file or start a process: its filter has none of these calls, and it
 *     is installed before the first byte from anybody is read.
 * (2) Everything is bounded: connections at a time and in all, head, idle time, bytes both ways.
 *     Nothing here allocates.
 * (3) One request per connection. What follows its body is not read, and the other side is told to
 *     close: no second request hides behind the first.
 * (4) When the host goes away so does this process, and with it every connection. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <wire/egress.h>

#define CONTROL      0
#define FLOW_BYTES   (MV_HTTP_HEAD_BYTES_MAX + MV_HTTP_HEAD_ROOM)
#define TICK_MS      100
#define DRAIN_MS     500 /* how long a refused client may go on sending before it is cut off */
#define EXIT_FILTER  72
#define EXIT_CONTROL 73

struct flow {
        uint8_t buf[FLOW_BYTES];
        size_t at, len;
        bool eof, shut;
};

enum state { FREE, READING, ASKED, RELAYING, REFUSING };
static struct connection {
        enum state state;
        uint32_t id;
        int client, server;
        uint64_t started_ms, moved_ms;
        struct flow up, down;
        struct mv_http_head head; /* into up.buf, while READING and ASKED */
        bool tunnel;
        uint64_t body_left;
        uint64_t sent, received;
        uint16_t status;
        uint8_t first[12]; /* of the response */
        size_t first_len;
} connections[MV_EGRESS_OPEN_MAX];

static struct mv_egress_limits limits;
static int listener = -1;
static uint32_t accepted;
static uint64_t sent_all, received_all;

/* --- locking up (1) --------------------------------------------------------------------------- */

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#endif

static const unsigned short calls[] = { SYS_recvfrom, SYS_sendto,     SYS_recvmsg,
                                        SYS_ppoll,    SYS_accept4,    SYS_close,
                                        SYS_shutdown, SYS_exit_group, SYS_clock_gettime };
#define CALLS (sizeof calls / sizeof calls[0])

static void lock_up(void)
{
        struct sock_filter code[CALLS + 6];
        unsigned short n = 0;
        code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                                 offsetof(struct seccomp_data, arch));
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0);
        code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
        code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                                 offsetof(struct seccomp_data, nr));
        for (size_t i = 0; i < CALLS; i++) /* the answer that allows is the last line */
                code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[i],
                                                         (uint8_t)(CALLS - i), 0);
        code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
        code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
        struct sock_fprog p = { n, code };
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
            prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p) < 0)
                _exit(EXIT_FILTER);
}

/* --- talking to the host ---------------------------------------------------------------------- */

static void tell(const struct mv_egress_message *m)
{
        static uint8_t packet[MV_EGRESS_MESSAGE_BYTES_MAX];
        struct mv_out o = mv_out(packet, sizeof packet);
        if (!mv_egress_put(&o, m) || send(CONTROL, packet, o.len, MSG_NOSIGNAL) < 0)
                _exit(EXIT_CONTROL); /* (4) */
}

/* One packet, with the descriptor that came along or -1. 0: the host is done with us. */
static size_t hear(uint8_t *packet, size_t cap, int *ret_fd)
{
        union {
                char room[CMSG_SPACE(sizeof(int))];
                struct cmsghdr head;
        } control;
        struct iovec to = { packet, cap };
        struct msghdr m = { .msg_iov = &to,
                            .msg_iovlen = 1,
                            .msg_control = &control,
                            .msg_controllen = sizeof control };
        *ret_fd = -1;
        ssize_t n = recvmsg(CONTROL, &m, 0);
        struct cmsghdr *h = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
        if (h && h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS)
                memcpy(ret_fd, CMSG_DATA(h), sizeof *ret_fd);
        return n > 0 ? (size_t)n : 0;
}

static uint64_t now_ms(void)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* --- one connection: its end ------------------------------------------------------------------ */

static void finish(struct connection *c)
{
        if (c->state == RELAYING)
                tell(&(struct mv_egress_message){ .kind = 'D',
                                                  .id = c->id,
                                                  .status = c->status,
                                                  .sent = c->sent,
                                                  .received = c->received });
        close(c->client);
        if (c->server >= 0)
                close(c->server);
        c->client = c->server = -1;
        c->state = FREE;
        c->id += MV_EGRESS_OPEN_MAX; /* the place's next connection has another id */
}

static const char *reason(unsigned status)
{
        static const struct {
                unsigned status;
                const char *text;
        } rows[] = { { 400, "Bad Request" },
                     { 403, "Forbidden" },
                     { 408, "Request Timeout" },
                     { 411, "Length Required" },
                     { 414, "URI Too Long" },
                     { 429, "Too Many Requests" },
                     { 431, "Request Header Fields Too Large" },
                     { 502, "Bad Gateway" },
                     { 504, "Gateway Timeout" },
                     { 505, "HTTP Version Not Supported" } };
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
                if (rows[i].status == status)
                        return rows[i].text;
        return "Refused";
}

/* Say why, and let go. */
static void refuse(struct connection *c, unsigned status, struct mv_slice why, uint64_t now)
{
        struct flow *f = &c->down;
        int n = snprintf((char *)f->buf, sizeof f->buf,
                         "HTTP/1.1 %u %s\r\nContent-Type: text/plain; charset=utf-8\r\n"
                         "Content-Length: %zu\r\nConnection: close\r\n\r\n%.*s\n",
                         status, reason(status), why.len + 1, MV_SARG(why));
        f->at = 0;
        f->len = n > 0 ? (size_t)n : 0;
        c->state = REFUSING;
        c->moved_ms = now;
}

/* A request that could not be read: the host has it recorded. */
static void refuse_unread(struct connection *c, unsigned status, const char *why, uint64_t now)
{
        tell(&(struct mv_egress_message){
                .kind = 'R', .status = (uint16_t)status, .text = mv_slice_str(why) });
        refuse(c, status, mv_slice_str(why), now);
}

/* --- its beginning ---------------------------------------------------------------------------- */

static struct connection *free_place(void)
{
        for (size_t i = 0; i < MV_EGRESS_OPEN_MAX; i++)
                if (connections[i].state == FREE)
                        return &connections[i];
        return NULL;
}

static void flow_empty(struct flow *f)
{
        f->at = f->len = 0;
        f->eof = f->shut = false;
}

static void welcome(uint64_t now)
{
        struct connection *c = free_place();
        int fd = c ? accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC) : -1;
        if (fd < 0)
                return;
        c->client = fd;
        c->server = -1;
        c->started_ms = c->moved_ms = now;
        c->sent = c->received = c->body_left = c->first_len = 0;
        c->status = 0;
        flow_empty(&c->up);
        flow_empty(&c->down);
        c->state = READING;
        if (++accepted > limits.connections_max) {
                refuse_unread(c, 429, "the execution has used up its connections", now);
                close(listener);
                listener = -1;
        }
}

static void ask(struct connection *c, uint64_t now)
{
        const char *why;
        int r = mv_http_head_read(mv_slice(c->up.buf, c->up.len), &c->head, &why);
        if (r < 0) {
                refuse_unread(c, (unsigned)-r, why, now);
        } else if (r > 0 && !c->head.connect && c->up.len - c->head.bytes > c->head.body_bytes) {
                refuse_unread(c, 400, "bytes behind the request", now); /* (3) */
        } else if (r > 0) {
                c->state = ASKED;
                tell(&(struct mv_egress_message){ .kind = 'Q',
                                                  .id = c->id,
                                                  .connect = c->head.connect,
                                                  .method = c->head.method,
                                                  .target = c->head.target });
        }
}

/* The request as the other side gets it. */
static bool rewrite(struct connection *c, const struct mv_egress_message *m)
{
        static uint8_t out[FLOW_BYTES];
        struct mv_out o = mv_out(out, sizeof out);
        size_t rest = c->up.len - c->head.bytes;
        struct mv_slice path =
                mv_slice(c->head.target.p + m->path_at, c->head.target.len - m->path_at);
        const uint8_t *hash = path.len ? memchr(path.p, '#', path.len) : NULL;
        if (hash)
                path.len = (size_t)(hash - path.p);
        if (!mv_http_head_write(&o, &c->head, m->host, path) ||
            !mv_put_bytes(&o, c->up.buf + c->head.bytes, rest))
                return false;
        memcpy(c->up.buf, out, o.len);
        c->up.len = o.len;
        c->body_left = c->head.body_bytes - rest;
        return true;
}

static void open_tunnel(struct connection *c)
{
        static const char yes[] = "HTTP/1.1 200 Connection established\r\n\r\n";
        memcpy(c->down.buf, yes, sizeof yes - 1);
        c->down.len = sizeof yes - 1;
        c->up.at = c->head.bytes; /* what came behind the head belongs to the other side */
        c->up.len -= c->head.bytes;
        c->status = 200;
}

static void answered(const struct mv_egress_message *m, int fd, uint64_t now)
{
        struct connection *c = &connections[m->id % MV_EGRESS_OPEN_MAX];
        bool ours = c->state == ASKED && c->id == m->id && m->path_at <= c->head.target.len;
        if (!ours || fd < 0) {
                if (fd >= 0)
                        close(fd);
                if (ours)
                        refuse(c, m->status, m->text, now);
                return;
        }
        c->server = fd;
        c->tunnel = c->head.connect;
        c->moved_ms = now;
        c->state = RELAYING;
        if (c->tunnel)
                open_tunnel(c);
        else if (!rewrite(c, m))
                finish(c);
}

static void control(uint64_t now)
{
        static uint8_t packet[MV_EGRESS_MESSAGE_BYTES_MAX];
        struct mv_egress_message m;
        int fd;
        size_t n = hear(packet, sizeof packet, &fd);
        if (n == 0) { /* what is open is told about first */
                for (size_t i = 0; i < MV_EGRESS_OPEN_MAX; i++)
                        if (connections[i].state == RELAYING)
                                finish(&connections[i]);
                _exit(0);
        }
        if (!mv_egress_get(mv_slice(packet, n), "A", &m))
                _exit(EXIT_CONTROL);
        answered(&m, fd, now);
}

/* --- moving bytes ----------------------------------------------------------------------------- */

/* false: the connection is over. */
static bool flow_read(struct flow *f, int fd, size_t max)
{
        ssize_t n = recv(fd, f->buf, max < sizeof f->buf ? max : sizeof f->buf, 0);
        if (n < 0)
                return errno == EAGAIN || errno == EINTR;
        f->at = 0;
        f->len = (size_t)n;
        f->eof = n == 0;
        return true;
}

static bool flow_write(struct flow *f, int fd)
{
        ssize_t n = send(fd, f->buf + f->at, f->len, MSG_NOSIGNAL);
        if (n < 0)
                return errno == EAGAIN || errno == EINTR;
        f->at += (size_t)n;
        f->len -= (size_t)n;
        return true;
}

static bool wants_client(const struct connection *c)
{
        return !c->up.len && !c->up.eof && (c->tunnel || c->body_left);
}

static bool from_client(struct connection *c)
{
        size_t max = !c->tunnel && c->body_left < FLOW_BYTES ? (size_t)c->body_left : FLOW_BYTES;
        if (!flow_read(&c->up, c->client, max) || (c->up.eof && !c->tunnel))
                return false;
        if (!c->tunnel)
                c->body_left -= c->up.len;
        return true;
}

static void note_response(struct connection *c)
{
        size_t n = sizeof c->first - c->first_len;
        if (c->tunnel || n == 0)
                return;
        n = c->down.len < n ? c->down.len : n;
        memcpy(c->first + c->first_len, c->down.buf, n);
        c->first_len += n;
        c->status = (uint16_t)mv_http_status(mv_slice(c->first, c->first_len));
}

static bool from_server(struct connection *c)
{
        if (!flow_read(&c->down, c->server, FLOW_BYTES))
                return false;
        c->received += c->down.len;
        received_all += c->down.len;
        note_response(c);
        return received_all <= limits.received_max;
}

static bool to_server(struct connection *c)
{
        size_t before = c->up.len;
        bool ok = flow_write(&c->up, c->server);
        c->sent += before - c->up.len;
        sent_all += before - c->up.len;
        return ok && sent_all <= limits.sent_max;
}

/* Pass the ends on; false: both directions are over. */
static bool settle(struct connection *c)
{
        if (c->up.eof && !c->up.len && !c->up.shut) {
                shutdown(c->server, SHUT_WR);
                c->up.shut = true;
        }
        if (c->down.eof && !c->down.len && !c->down.shut) {
                shutdown(c->client, SHUT_WR);
                c->down.shut = true;
        }
        return !c->down.shut || (c->tunnel && !c->up.shut);
}

static void relay(struct connection *c, short client, short server, uint64_t now)
{
        bool ok = true;
        if (client & (POLLIN | POLLHUP | POLLERR) && wants_client(c))
                ok = from_client(c);
        if (ok && server & (POLLIN | POLLHUP | POLLERR) && !c->down.len && !c->down.eof)
                ok = from_server(c);
        if (ok && c->up.len)
                ok = to_server(c);
        if (ok && c->down.len)
                ok = flow_write(&c->down, c->client);
        c->moved_ms = now;
        if (!ok || !settle(c))
                finish(c);
}

static void read_head(struct connection *c, uint64_t now)
{
        size_t room = MV_HTTP_HEAD_BYTES_MAX - c->up.len;
        ssize_t n = recv(c->client, c->up.buf + c->up.len, room, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
                finish(c);
        } else if (n > 0) {
                c->up.len += (size_t)n;
                ask(c, now);
        }
}

/* The answer first, then what the client still sends, so that it reads the answer. */
static void refusing(struct connection *c)
{
        static uint8_t waste[4096];
        if (c->down.len && !flow_write(&c->down, c->client)) {
                finish(c);
        } else if (!c->down.len) {
                if (!c->down.shut)
                        shutdown(c->client, SHUT_WR);
                c->down.shut = true;
                ssize_t n = recv(c->client, waste, sizeof waste, 0);
                if (n == 0 || (n < 0 && errno != EAGAIN))
                        finish(c);
        }
}

/* --- the loop --------------------------------------------------------------------------------- */

static void watch_connection(const struct connection *c, struct pollfd on[2])
{
        short client = 0, server = 0;
        if (c->state == READING)
                client = POLLIN;
        else if (c->state == REFUSING)
                client = c->down.len ? POLLOUT : POLLIN;
        else if (c->state == RELAYING) {
                client = (short)((wants_client(c) ? POLLIN : 0) | (c->down.len ? POLLOUT : 0));
                server = (short)((!c->down.len && !c->down.eof ? POLLIN : 0) |
                                 (c->up.len ? POLLOUT : 0));
        }
        on[0] = (struct pollfd){ client ? c->client : -1, client, 0 };
        on[1] = (struct pollfd){ server ? c->server : -1, server, 0 };
}

static void serve(struct connection *c, const struct pollfd on[2], uint64_t now)
{
        if (!on[0].revents && !on[1].revents)
                return;
        if (c->state == READING)
                read_head(c, now);
        else if (c->state == REFUSING)
                refusing(c);
        else if (c->state == RELAYING)
                relay(c, on[0].revents, on[1].revents, now);
}

static void check_time(struct connection *c, uint64_t now) /* (2) */
{
        if (c->state == READING && now - c->started_ms > limits.head_ms)
                refuse_unread(c, 408, "the request head took too long", now);
        else if ((c->state == RELAYING && now - c->moved_ms > limits.idle_ms) ||
                 (c->state == REFUSING && now - c->moved_ms > DRAIN_MS))
                finish(c);
}

static void turn(void)
{
        static struct pollfd on[2 + 2 * MV_EGRESS_OPEN_MAX];
        bool busy = false, room = free_place() != NULL;
        on[0] = (struct pollfd){ CONTROL, POLLIN, 0 };
        on[1] = (struct pollfd){ room ? listener : -1, POLLIN, 0 };
        for (size_t i = 0; i < MV_EGRESS_OPEN_MAX; i++) {
                watch_connection(&connections[i], &on[2 + 2 * i]);
                busy |= connections[i].state != FREE;
        }
        struct timespec tick = { 0, TICK_MS * 1000000L };
        if (ppoll(on, sizeof on / sizeof on[0], busy ? &tick : NULL, NULL) < 0)
                return;
        uint64_t now = now_ms();
        for (size_t i = 0; i < MV_EGRESS_OPEN_MAX; i++) {
                serve(&connections[i], &on[2 + 2 * i], now);
                check_time(&connections[i], now);
        }
        if (on[0].revents)
                control(now);
        if (on[1].revents)
                welcome(now);
}

int main(void)
{
        uint8_t packet[64];
        struct mv_egress_message m;
        lock_up();
        size_t n = hear(packet, sizeof packet, &listener);
        if (n == 0 || listener < 0 || !mv_egress_get(mv_slice(packet, n), "S", &m))
                _exit(EXIT_CONTROL);
        limits = m.limits;
        for (uint32_t i = 0; i < MV_EGRESS_OPEN_MAX; i++)
                connections[i].id = i;
        for (;;)
                turn();
}
