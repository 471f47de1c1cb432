/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_SYS_NET_H
#define MV_SYS_NET_H
/* Names and connections without waiting for them.
 *
 * (1) The C library's resolver cannot be interrupted, so each question has a thread of its own that
 *     nobody waits for: who asked may walk away (drop), and the thread, when its answer comes, frees
 *     what is left and touches nothing of the asker's.
 * (2) Addresses are bytes: what was checked is what is connected to. */
#include <base/err.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MV_SYS_ADDRESSES_MAX 16u

struct mv_sys_address {
        uint8_t bytes[16];
        uint8_t len; /* 4 or 16 */
};
struct mv_sys_addresses {
        struct mv_sys_address list[MV_SYS_ADDRESSES_MAX]; /* in the order of preference */
        unsigned count;
        char why[96]; /* when there is none */
};
/* An address written as text. */
bool mv_sys_address_read(const char *text, struct mv_sys_address *ret);

struct mv_sys_lookup;
/* event_fd is written to when the answer is there; it must stay open until take or drop. */
int mv_sys_lookup_start(const char *name, int event_fd, struct mv_sys_lookup **ret,
                        struct mv_err *err);
/* true: *ret is the answer, and the lookup is gone. */
bool mv_sys_lookup_take(struct mv_sys_lookup *l, struct mv_sys_addresses *ret);
void mv_sys_lookup_drop(struct mv_sys_lookup *l); /* accepts NULL */

/* A socket that is connecting, non-blocking; or -errno. It gives up after about ten seconds. */
int mv_sys_connect_start(const struct mv_sys_address *to, uint16_t port);
/* 0: it is connected; else the errno. Once it is writable. */
int mv_sys_connect_result(int fd);

/* One packet with a descriptor (-1: none) on a SOCK_SEQPACKET socket, without waiting. 0 or errno. */
int mv_sys_packet_send(int fd, const void *bytes, size_t len, int pass_fd);

#endif
