/* SPDX-License-Identifier: Apache-2.0 */
/* The cell's network: nothing but loopback, and there one socket that the host serves. It is made
 * before the program exists, so that nobody else can have the port. Around another wall, whose programs
 * have a loopback of their own, it has a name instead, and no interface is up. */
#include <arpa/inet.h>
#include <errno.h>
#include <guest/cell.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 64

static int loopback_up(int fd)
{
        struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
        return ioctl(fd, SIOCSIFFLAGS, &lo) < 0 ? errno : 0;
}

static int listen_on(int fd, uint16_t port)
{
        struct sockaddr_in a = { .sin_family = AF_INET,
                                 .sin_port = htons(port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        return bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(fd, BACKLOG) < 0 ? errno : 0;
}

static int make_port(int *ret, uint16_t port)
{
        *ret = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        int error = *ret < 0 ? errno : loopback_up(*ret);
        return error ? error : listen_on(*ret, port);
}

static int make_name(int *ret)
{
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        memcpy(a.sun_path + 1, MV_CELL_PROXY_NAME, sizeof MV_CELL_PROXY_NAME - 1);
        socklen_t len = offsetof(struct sockaddr_un, sun_path) + sizeof MV_CELL_PROXY_NAME;
        *ret = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        bool ok = *ret >= 0 && bind(*ret, (struct sockaddr *)&a, len) == 0 &&
                  listen(*ret, BACKLOG) == 0;
        return ok ? 0 : errno;
}

int cell_network(struct cell *c, uint16_t port)
{
        int fd = -1;
        cell_step(c, "make the socket of the proxy");
        int error = port ? make_port(&fd, port) : make_name(&fd);
        if (!error)
                error = cell_give(fd, MV_CELL_GIVE_LISTENER);
        if (fd >= 0)
                close(fd);
        return error;
}
