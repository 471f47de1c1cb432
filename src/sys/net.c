/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fd.h>
#include <sys/net.h>
#include <sys/socket.h>
#include <unistd.h>

/* Retries of a connection's first packet: 1 + 2 + 4 seconds. */
#define SYN_RETRIES 2

struct mv_sys_lookup {
        pthread_mutex_t lock;
        char name[256];
        int event_fd; /* -1: nobody waits any more (1) */
        bool done;
        struct mv_sys_addresses answer;
};

static void lookup_free(struct mv_sys_lookup *l)
{
        pthread_mutex_destroy(&l->lock);
        free(l);
}

bool mv_sys_address_read(const char *text, struct mv_sys_address *ret)
{
        ret->len = inet_pton(AF_INET, text, ret->bytes) == 1    ? 4
                   : inet_pton(AF_INET6, text, ret->bytes) == 1 ? 16
                                                                : 0;
        return ret->len != 0;
}

static void add(struct mv_sys_addresses *a, const struct addrinfo *i)
{
        struct mv_sys_address one = { .len = i->ai_family == AF_INET ? 4 : 16 };
        if (a->count == MV_SYS_ADDRESSES_MAX ||
            (i->ai_family != AF_INET && i->ai_family != AF_INET6))
                return;
        if (i->ai_family == AF_INET)
                memcpy(one.bytes, &((struct sockaddr_in *)(void *)i->ai_addr)->sin_addr, 4);
        else
                memcpy(one.bytes, &((struct sockaddr_in6 *)(void *)i->ai_addr)->sin6_addr, 16);
        a->list[a->count++] = one;
}

static void resolve(const char *name, struct mv_sys_addresses *ret)
{
        const struct addrinfo want = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
        struct addrinfo *list = NULL;
        int r = getaddrinfo(name, NULL, &want, &list);
        *ret = (struct mv_sys_addresses){ .count = 0 };
        for (const struct addrinfo *i = r == 0 ? list : NULL; i; i = i->ai_next)
                add(ret, i);
        if (!ret->count)
                mv_fmt(ret->why, sizeof ret->why, "%s", r ? gai_strerror(r) : "no address");
        if (r == 0)
                freeaddrinfo(list);
}

static void *lookup_main(void *arg)
{
        struct mv_sys_lookup *l = arg;
        struct mv_sys_addresses answer;
        const uint64_t one = 1;
        resolve(l->name, &answer);
        pthread_mutex_lock(&l->lock);
        bool waited_for = l->event_fd >= 0;
        l->answer = answer;
        l->done = true;
        if (waited_for)
                (void)!write(l->event_fd, &one, sizeof one);
        pthread_mutex_unlock(&l->lock);
        if (!waited_for)
                lookup_free(l);
        return NULL;
}

/* Signals of the program around us are not for this thread. */
static int thread_start(struct mv_sys_lookup *l)
{
        pthread_t thread;
        sigset_t all, before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        int error = pthread_create(&thread, NULL, lookup_main, l);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (!error)
                pthread_detach(thread);
        return error;
}

int mv_sys_lookup_start(const char *name, int event_fd, struct mv_sys_lookup **ret,
                        struct mv_err *err)
{
        struct mv_sys_lookup *l = calloc(1, sizeof *l);
        if (!l)
                return mv_fail(err, MV_E_NOMEM, 0, "look up a name");
        pthread_mutex_init(&l->lock, NULL);
        mv_fmt(l->name, sizeof l->name, "%s", name);
        l->event_fd = event_fd;
        int error = thread_start(l);
        if (error) {
                lookup_free(l);
                return mv_fail(err, MV_E_SYS, error, "start a thread to look up a name");
        }
        *ret = l;
        return 0;
}

bool mv_sys_lookup_take(struct mv_sys_lookup *l, struct mv_sys_addresses *ret)
{
        pthread_mutex_lock(&l->lock);
        bool done = l->done;
        if (done)
                *ret = l->answer;
        pthread_mutex_unlock(&l->lock);
        if (done)
                lookup_free(l);
        return done;
}

void mv_sys_lookup_drop(struct mv_sys_lookup *l)
{
        if (!l)
                return;
        pthread_mutex_lock(&l->lock);
        bool done = l->done;
        l->event_fd = -1;
        pthread_mutex_unlock(&l->lock);
        if (done)
                lookup_free(l);
}

/* --- connections ------------------------------------------------------------------------------ */

static socklen_t sockaddr_of(const struct mv_sys_address *a, uint16_t port,
                             struct sockaddr_storage *ret)
{
        memset(ret, 0, sizeof *ret);
        if (a->len == 4) {
                struct sockaddr_in *in = (struct sockaddr_in *)(void *)ret;
                in->sin_family = AF_INET;
                in->sin_port = htons(port);
                memcpy(&in->sin_addr, a->bytes, 4);
                return sizeof *in;
        }
        struct sockaddr_in6 *in = (struct sockaddr_in6 *)(void *)ret;
        in->sin6_family = AF_INET6;
        in->sin6_port = htons(port);
        memcpy(&in->sin6_addr, a->bytes, 16);
        return sizeof *in;
}

int mv_sys_connect_start(const struct mv_sys_address *to, uint16_t port)
{
        struct sockaddr_storage address;
        const int retries = SYN_RETRIES, on = 1;
        socklen_t len = sockaddr_of(to, port, &address);
        mv_auto_fd fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        setsockopt(fd, IPPROTO_TCP, TCP_SYNCNT, &retries, sizeof retries);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (connect(fd, (struct sockaddr *)&address, len) < 0 && errno != EINPROGRESS)
                return -errno;
        return mv_fd_take(&fd);
}

int mv_sys_connect_result(int fd)
{
        int error = 0;
        socklen_t len = sizeof error;
        return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 ? errno : error;
}

int mv_sys_packet_send(int fd, const void *bytes, size_t len, int pass_fd)
{
        struct iovec from = { (void *)(uintptr_t)bytes, len };
        union {
                char room[CMSG_SPACE(sizeof(int))];
                struct cmsghdr head;
        } control = { { 0 } };
        struct msghdr m = { .msg_iov = &from, .msg_iovlen = 1 };
        if (pass_fd >= 0) {
                m.msg_control = &control;
                m.msg_controllen = sizeof control;
                struct cmsghdr *h = CMSG_FIRSTHDR(&m);
                h->cmsg_level = SOL_SOCKET;
                h->cmsg_type = SCM_RIGHTS;
                h->cmsg_len = CMSG_LEN(sizeof pass_fd);
                memcpy(CMSG_DATA(h), &pass_fd, sizeof pass_fd);
        }
        return sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)len ? 0 : errno;
}
