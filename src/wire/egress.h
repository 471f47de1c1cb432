/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_WIRE_EGRESS_H
#define MV_WIRE_EGRESS_H
/* Between the host and the proxy of one execution (guest/egress_main.c), on a SOCK_SEQPACKET pair:
 * one message per packet, integers little-endian, texts as u16 length and bytes. Freestanding.
 *
 * host to proxy
 *   START   u8 'S', u32 head_ms, u32 idle_ms, u32 connections_max, u64 sent_max, u64 received_max;
 *           with the socket that listens inside the cell
 *   ANSWER  u8 'A', u32 id, u16 status, u16 path_at, text host, text why; status 200: with the
 *           connected socket. path_at: where in the target the path begins; host: for the Host line
 * proxy to host
 *   ASK     u8 'Q', u32 id, u8 connect, text method, text target
 *   DONE    u8 'D', u32 id, u16 status, u64 sent, u64 received: once for each ASK that was answered
 *           with a socket
 *   REFUSED u8 'R', u16 status, text why: a request that could not be read
 *
 * The proxy reads hostile bytes, so the host reads the proxy's as hostile too. An id names a
 * connection: its low bits are the place among MV_EGRESS_OPEN_MAX, which is free again after DONE
 * or a refusal. */
#include <base/cur.h>
#include <wire/http_head.h>

#define MV_EGRESS_OPEN_MAX          64u /* connections of one execution at a time */
#define MV_EGRESS_TEXT_BYTES_MAX    480u
#define MV_EGRESS_MESSAGE_BYTES_MAX (MV_HTTP_TARGET_BYTES_MAX + 128u)

struct mv_egress_limits {
        uint32_t head_ms;                /* from connecting to a whole request head */
        uint32_t idle_ms;                /* without a byte either way */
        uint32_t connections_max;        /* of the execution, one after the other too */
        uint64_t sent_max, received_max; /* bytes of the execution */
};

struct mv_egress_message {
        uint8_t kind;
        uint32_t id;
        uint16_t status, path_at;
        bool connect;
        uint64_t sent, received;
        struct mv_slice method, target, host, text; /* into the packet */
        struct mv_egress_limits limits;
};
bool mv_egress_put(struct mv_out *o, const struct mv_egress_message *m);
/* false: malformed, or not of the kinds this side takes ("SA" or "QDR"). */
bool mv_egress_get(struct mv_slice packet, const char *kinds, struct mv_egress_message *ret);

#endif
