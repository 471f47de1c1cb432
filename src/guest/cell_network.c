/* SPDX-License-Identifier: Apache-2.0 */
/* The cell's network: nothing but loopback, and there one socket that the host serves. It is made
 * before the program exists, so that nobody else can have the port. */
#include <arpa/inet.h>
#include <errno.h>
#include <guest/cell.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
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

int cell_network(struct cell *c, uint16_t port)
{
        cell_step(c, "make the socket of the proxy");
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return errno;
        int error = loopback_up(fd);
        if (!error)
                error = listen_on(fd, port);
        if (!error)
                error = cell_give(fd, MV_CELL_GIVE_LISTENER);
        close(fd);
        return error;
}
