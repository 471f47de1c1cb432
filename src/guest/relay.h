/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_GUEST_RELAY_H
#define MV_GUEST_RELAY_H
/* relay.c: from a sandbox's own loopback to the proxy of its execution. */
#include <stdint.h>

/* In the cell around the sandbox: a process that connects to the proxy whenever a byte comes through
 * `way_fd`, until that closes. 0 or an errno. Takes way_fd. */
int relay_outside(int way_fd);
/* In the sandbox: listen on 127.0.0.1:port, and a process that serves it. 0 or an errno. Takes way_fd. */
int relay_inside(int way_fd, uint16_t port);

#endif
