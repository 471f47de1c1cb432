/* SPDX-License-Identifier: Apache-2.0 */
/* guest/relay.c - the network of a program behind another kernel.
 *
 * Such a program has a loopback of its own, that ends where its kernel ends. A process beside it listens there, where
 * the program expects its proxy; for each connection it asks a process in the cell outside for a socket that leads to
 * the real one, and moves bytes between the two. What the proxy makes of them, and what the host allows, is as for any
 * program (docs/design/egress.md).
 *
 * (1) Neither process reads what it moves. The one outside takes single bytes and connects to one name; the one inside
 *     has nothing but sockets of this program, all of which lead to its proxy: who takes it over has what he had.
 * (2) Everything is bounded, and nothing is allocated: as many connections as the proxy has places.
 * (3) Neither outlives the sandbox: the one inside is killed with the program, the one outside ends when the socket
 *     between them closes, and both with the cell. */
#include <arpa/inet.h>
#include <errno.h>
#include <guest/relay.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wire/egress.h>
#include <wire/gvisor_agent.h>

#define WAY         0 /* in both processes */
#define LISTENER    1 /* inside */
#define FLOW_BYTES  16384
#define BACKLOG     64
#define FDS_LAST    0x7fffffff
#define EXIT_CLOSED 76

/* --- outside ---------------------------------------------------------------------------------- */

static int connect_proxy(void)
{
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        memcpy(a.sun_path + 1, MV_CELL_PROXY_NAME, sizeof MV_CELL_PROXY_NAME - 1);
        socklen_t len = offsetof(struct sockaddr_un, sun_path) + sizeof MV_CELL_PROXY_NAME;
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect(fd, (struct sockaddr *)&a, len) == 0)
                return fd;
        if (fd >= 0)
                close(fd);
        return -1; /* the proxy takes no more: the program's connection ends */
}

static void hand_in(int fd)
{
        union {
                char room[CMSG_SPACE(sizeof(int))];
                struct cmsghdr head;
        } control = { { 0 } };
        char byte = MV_AGENT_CONNECT;
        struct iovec from = { &byte, 1 };
        struct msghdr m = { .msg_iov = &from, .msg_iovlen = 1 };
        if (fd >= 0) {
                m.msg_control = &control;
                m.msg_controllen = sizeof control;
                struct cmsghdr *head = CMSG_FIRSTHDR(&m);
                head->cmsg_level = SOL_SOCKET;
                head->cmsg_type = SCM_RIGHTS;
                head->cmsg_len = CMSG_LEN(sizeof fd);
                memcpy(CMSG_DATA(head), &fd, sizeof fd);
        }
        if (sendmsg(WAY, &m, MSG_NOSIGNAL) != 1)
                _exit(EXIT_CLOSED); /* (3) */
}

_Noreturn static void outside(void)
{
        char byte;
        syscall(SYS_close_range, WAY + 1, FDS_LAST, 0);
        while (recv(WAY, &byte, 1, 0) == 1) {
                int fd = connect_proxy();
                hand_in(fd);
                if (fd >= 0)
                        close(fd);
        }
        _exit(0);
}

int relay_outside(int way_fd)
{
        int status;
        pid_t pid = fork();
        if (pid ==
            0) { /* the child of a child: runsc, which is executed next, has none it does not know */
                if (dup2(way_fd, WAY) < 0)
                        _exit(EXIT_CLOSED);
                pid_t inner = fork();
                if (inner == 0)
                        outside();
                _exit(inner < 0 ? errno : 0);
        }
        int error = pid < 0 ? errno : 0;
        if (!error && waitpid(pid, &status, 0) != pid)
                error = errno;
        close(way_fd);
        return error ? error : !WIFEXITED(status) ? EAGAIN : WEXITSTATUS(status);
}

/* --- inside: one connection ------------------------------------------------------------------- */

struct flow {
        uint8_t buf[FLOW_BYTES];
        size_t at, len;
        bool eof, shut;
};

static struct link {
        bool open;
        int client, proxy; /* proxy: -1 while it is asked for */
        struct flow up, down;
} links[MV_EGRESS_OPEN_MAX];

/* Who waits for a socket, in the order they asked. */
static uint8_t waiting[MV_EGRESS_OPEN_MAX];
static unsigned waiting_count;

static void link_close(struct link *l)
{
        close(l->client);
        if (l->proxy >= 0)
                close(l->proxy);
        l->open = false;
}

static struct link *free_link(void)
{
        for (size_t i = 0; i < MV_EGRESS_OPEN_MAX; i++)
                if (!links[i].open)
                        return &links[i];
        return NULL;
}

static void flow_empty(struct flow *f)
{
        f->at = f->len = 0;
        f->eof = f->shut = false;
}

static void welcome(void)
{
        struct link *l = free_link();
        int fd = l ? accept4(LISTENER, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC) : -1;
        char byte = MV_AGENT_CONNECT;
        if (fd < 0)
                return;
        l->open = true;
        l->client = fd;
        l->proxy = -1;
        flow_empty(&l->up);
        flow_empty(&l->down);
        waiting[waiting_count++] = (uint8_t)(l - links);
        if (send(WAY, &byte, 1, MSG_NOSIGNAL) != 1)
                _exit(EXIT_CLOSED); /* (3) */
}

/* The next socket, or the news that there is none. */
static void answered(void)
{
        union {
                char room[CMSG_SPACE(sizeof(int))];
                struct cmsghdr head;
        } control;
        char byte;
        int fd = -1;
        struct iovec to = { &byte, 1 };
        struct msghdr m = { .msg_iov = &to,
                            .msg_iovlen = 1,
                            .msg_control = &control,
                            .msg_controllen = sizeof control };
        if (recvmsg(WAY, &m, 0) != 1 || waiting_count == 0)
                _exit(EXIT_CLOSED);
        struct cmsghdr *h = CMSG_FIRSTHDR(&m);
        if (h && h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS)
                memcpy(&fd, CMSG_DATA(h), sizeof fd);
        struct link *l = &links[waiting[0]];
        memmove(waiting, waiting + 1, --waiting_count);
        l->proxy = fd;
        if (fd < 0)
                link_close(l);
}

/* --- moving bytes ----------------------------------------------------------------------------- */

/* false: the connection is over. */
static bool flow_read(struct flow *f, int fd)
{
        ssize_t n = recv(fd, f->buf, sizeof f->buf, MSG_DONTWAIT);
        if (n < 0)
                return errno == EAGAIN || errno == EINTR;
        f->at = 0;
        f->len = (size_t)n;
        f->eof = n == 0;
        return true;
}

static bool flow_write(struct flow *f, int fd)
{
        ssize_t n = send(fd, f->buf + f->at, f->len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0)
                return errno == EAGAIN || errno == EINTR;
        f->at += (size_t)n;
        f->len -= (size_t)n;
        return true;
}

static bool flow_wants(const struct flow *f)
{
        return !f->len && !f->eof;
}

/* Read, write on, and pass the end on. false: the connection is over. */
static bool flow_step(struct flow *f, int from, int to, short from_events)
{
        bool ok = true;
        if (from_events & (POLLIN | POLLHUP | POLLERR) && flow_wants(f))
                ok = flow_read(f, from);
        if (ok && f->len)
                ok = flow_write(f, to);
        if (ok && f->eof && !f->len && !f->shut) {
                shutdown(to, SHUT_WR);
                f->shut = true;
        }
        return ok;
}

static short events_of(const struct flow *in, const struct flow *out)
{
        return (short)((flow_wants(in) ? POLLIN : 0) | (out->len ? POLLOUT : 0));
}

/* A descriptor that nothing is wanted of is left out: it may have hung up. */
static void link_watch(const struct link *l, struct pollfd on[2])
{
        bool moving = l->open && l->proxy >= 0;
        short client = moving ? events_of(&l->up, &l->down) : 0;
        short proxy = moving ? events_of(&l->down, &l->up) : 0;
        on[0] = (struct pollfd){ client ? l->client : -1, client, 0 };
        on[1] = (struct pollfd){ proxy ? l->proxy : -1, proxy, 0 };
}

static void link_step(struct link *l, const struct pollfd on[2])
{
        if (!on[0].revents && !on[1].revents)
                return;
        if (!flow_step(&l->up, l->client, l->proxy, on[0].revents) ||
            !flow_step(&l->down, l->proxy, l->client, on[1].revents) ||
            (l->up.shut && l->down.shut))
                link_close(l);
}

static void turn(void)
{
        static struct pollfd on[2 + 2 * MV_EGRESS_OPEN_MAX];
        on[0] = (struct pollfd){ WAY, POLLIN, 0 };
        on[1] = (struct pollfd){ free_link() ? LISTENER : -1, POLLIN, 0 };
        for (size_t i = 0; i < MV_EGRESS_OPEN_MAX; i++)
                link_watch(&links[i], &on[2 + 2 * i]);
        if (poll(on, sizeof on / sizeof on[0], -1) < 0)
                return;
        for (size_t i = 0; i < MV_EGRESS_OPEN_MAX; i++)
                link_step(&links[i], &on[2 + 2 * i]);
        if (on[0].revents)
                answered();
        if (on[1].revents)
                welcome();
}

/* --- inside: its start ------------------------------------------------------------------------ */

static int listen_on(uint16_t port)
{
        struct sockaddr_in a = { .sin_family = AF_INET,
                                 .sin_port = htons(port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(fd, BACKLOG) == 0)
                return fd;
        int error = errno;
        if (fd >= 0)
                close(fd);
        return -error;
}

_Noreturn static void inside(int way_fd, int listener)
{
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
        int aside = dup(listener); /* neither number may be in the other's way */
        if (aside < 0 || dup2(way_fd, WAY) < 0 || dup2(aside, LISTENER) < 0 ||
            syscall(SYS_close_range, LISTENER + 1, FDS_LAST, 0) < 0)
                _exit(EXIT_CLOSED);
        for (;;)
                turn();
}

int relay_inside(int way_fd, uint16_t port)
{
        int listener = listen_on(port);
        pid_t pid = listener < 0 ? -1 : fork();
        if (pid == 0)
                inside(way_fd, listener);
        int error = listener < 0 ? -listener : pid < 0 ? errno : 0;
        close(way_fd);
        if (listener >= 0)
                close(listener);
        return error;
}
