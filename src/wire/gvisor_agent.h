/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_WIRE_GVISOR_AGENT_H
#define MV_WIRE_GVISOR_AGENT_H
/* The contract between the gvisor provider and the agent in its sandbox (guest/gvisor_agent.c).
 *
 * Host to agent, on descriptor 0 (a stream socket): u32 op, u32 length, the payload; descriptors come
 * with the first byte. Integers are little-endian; str is u32 length (NUL included) and the bytes.
 * Agent to host, on the same socket: struct mv_cell_report of wire/cell_plan.h: MV_AGENT_READY once,
 * then one ENDED, FAILED or OVER_* for each RUN or PROGRAM, and a MEASURED for each MEASURE before. watch is u64 resident
 * bytes, u64 CPU ns (0: not watched), u32 period in ms (0: no watch): for hosts without control groups. What comes from the agent is hostile once a
 * program has run.
 *
 * The network of a program: the agent listens on the sandbox's loopback and makes a process that moves bytes (guest/relay.c).
 * That process has a stream socket whose other end is in the cell around the sandbox: it sends MV_AGENT_CONNECT, and gets, in
 * order, one byte each time: with a socket that is connected to the execution's proxy, or without one. */
#include <wire/cell_plan.h>

enum mv_agent_op {
        MV_AGENT_RUN = 1, /* descriptor: the door. watch, u64 start, reply, out, arena, stack bytes,
                   * u64 seconds of CPU time */
        MV_AGENT_PROGRAM, /* descriptors: stdout, stderr, stdin if streams has MV_AGENT_STDIN, the door if it has
                           * MV_AGENT_DOOR, the relay's socket if it has MV_AGENT_NETWORK. watch, u32 streams,
                           * u32 port of the proxy (0: none), u32 count of
                           * limits, (u32 resource, u64 value)..., u32 bytes of a filter, struct
                           * sock_filter[], str path, str directory, u32 count, str..., u32 count,
                           * str... */
        MV_AGENT_MEASURE, /* while a RUN waits at its door: MV_AGENT_MEASURED, and its ENDED says what memory it took; no payload */
        MV_AGENT_TERMINATE, /* SIGTERM to everything but the agent; no payload */
};
/* What the agent is, by its first argument; outside, RUNSC ARG... follow. With network, descriptor 0 is the relay's socket. */
#define MV_AGENT_INSIDE          "inside"
#define MV_AGENT_OUTSIDE         "outside"
#define MV_AGENT_OUTSIDE_NETWORK "outside-network"

#define MV_AGENT_HEADER_BYTES 8u
#define MV_AGENT_PAYLOAD_MAX  (4u << 20)
#define MV_AGENT_WATCH_BYTES  20u
#define MV_AGENT_RUN_BYTES    (MV_AGENT_WATCH_BYTES + 48u)
#define MV_AGENT_STDIN        1u
#define MV_AGENT_DOOR         2u
#define MV_AGENT_NETWORK      4u
#define MV_AGENT_FDS_MAX      5u
#define MV_AGENT_CONNECT      'C'
#define MV_AGENT_READY        100 /* kinds of reports */
#define MV_AGENT_MEASURED     101
#define MV_AGENT_EXIT_REQUEST 74 /* the host sent what is no request */
#define MV_AGENT_EXIT_HOST    75 /* the host is gone */

#endif
