/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_WIRE_CELL_PLAN_H
#define MV_WIRE_CELL_PLAN_H
/* The contract between the process provider and the init of a cell that runs a program
 * (guest/cell_init.c).
 *
 * Host to init, on descriptor 0 (a stream socket): a part of the plan, that is u32 length and the
 * bytes, then the next part when a step (MORE) asks for it; later single bytes (below). The plan is a
 * list of steps, carried out in order and without a decision: u8 op, then what the table says. str is u32 length (NUL
 * included) and the bytes; blob is u32 length and the bytes. Integers are little-endian. Paths are inside the cell, without a leading slash before
 * MV_CELL_ENTER, and absolute after it; the source of a BIND from the host is absolute. Init to
 * host, on the same socket: struct mv_cell_report. The first of FAILED, ENDED, OVER_* is the last
 * that counts.
 *
 * A plan with CONFINE has no step on the root: its paths are the host's. */
#include <stdint.h>

enum mv_cell_op {
        /* in init */
        MV_CELL_JOIN = 1, /* u8 fd: write "0" there, a control group's list of members */
        MV_CELL_KEEP, /* rights stay when the id changes: no user namespace says what they are over */
        MV_CELL_IDS,     /* u32 id: become that user and group, with no other group */
        MV_CELL_UNSHARE, /* u32 namespace flags */
        MV_CELL_ROOT,    /* u64 bytes, u64 inodes: the memory file system that becomes "/" */
        MV_CELL_RESIZE,  /* u64 bytes, u64 inodes: what ROOT made gets another size */
        MV_CELL_SCRATCH, /* u64 bytes, u64 inodes: the one that holds whatever the program writes */
        MV_CELL_DIR,     /* u8 place, str path, u32 mode; one that exists is success */
        MV_CELL_LINK,    /* str target, str path */
        MV_CELL_FILE,    /* u8 place, str path, u32 mode, blob */
        MV_CELL_BIND,    /* u8 place, str source, str path, u32 flags */
        MV_CELL_ATTACH,  /* u8 fd of a detached mount, str path */
        MV_CELL_PROC,    /* str path, u8 whole: with what it says of the kernel */
        MV_CELL_BELOW,   /* str path: until the next one, paths in the root are below it; "" is
                          * the root itself */
        MV_CELL_HOSTNAME, /* str name */
        MV_CELL_OUTPUT,   /* str path below the scratch place: hand its descriptor to the host */
        MV_CELL_ENTER,    /* make the root read-only, enter it, let go of the old one */
        MV_CELL_PROXY, /* u16 port: bring loopback up and hand a socket to the host that listens there; 0: one
                        * that listens under MV_CELL_PROXY_NAME, for the wall inside the cell */
        MV_CELL_CONFINE, /* a cell without namespaces: init becomes the heir of every orphan, and its signals
                          * reach the cell's processes alone */
        MV_CELL_PLACE, /* str path, u64 bytes, u64 entries: what there may be below that directory */
        MV_CELL_WATCH, /* u64 resident bytes, u64 CPU ns (0: not watched), u32 period in ms */
        /* in either: the rest of the plan is in the next part */
        MV_CELL_MORE,
        /* in the program's process */
        MV_CELL_PROGRAM,  /* u8 of MV_CELL_HAS_*; everything that follows */
        MV_CELL_LIMIT,    /* u32 resource, u64 value */
        MV_CELL_LANDLOCK, /* u64 handled files, u64 handled network, u64 scopes, u16 the TCP
                           * port that may be connected to (0: none), u32 struct bytes, u32 count, then count times: str path, u64 access */
        MV_CELL_FILTER,   /* blob: struct sock_filter[] */
        MV_CELL_EXEC,     /* str path, str directory, u32 count, str..., u32 count, str... */
        MV_CELL_OP_MAX_
};

enum mv_cell_place { MV_CELL_HOST, MV_CELL_IN_ROOT, MV_CELL_IN_SCRATCH };

#define MV_CELL_READ_ONLY 1u
#define MV_CELL_OPTIONAL  2u /* a source that does not exist is skipped */
#define MV_CELL_NO_EXEC   4u
#define MV_CELL_DEVICE    8u  /* device nodes work */
#define MV_CELL_STRICT    16u /* no symbolic link on the way to the source */

/* Abstract, so it is a name of the cell's network namespace and of nothing else. */
#define MV_CELL_PROXY_NAME "microvm-egress"

#define MV_CELL_HAS_DOOR  1u
#define MV_CELL_HAS_INPUT 2u

/* Descriptors of init when it starts; the program keeps 1 and 2, and 3 when it has a door. */
enum {
        MV_CELL_FD_CONTROL,
        MV_CELL_FD_STDOUT,
        MV_CELL_FD_STDERR,
        MV_CELL_FD_DOOR,
        MV_CELL_FD_INPUT, /* becomes the program's 0 */
        MV_CELL_FD_IMAGE,
        MV_CELL_FD_FIRST
};
#define MV_CELL_FDS_MAX 80

#define MV_CELL_TERMINATE 'T' /* host to init: SIGTERM to everything */

/* What init is called. A spare ends with the thread that made it, besides what else ends a cell. */
#define MV_CELL_NAME       "microvm-init"
#define MV_CELL_NAME_SPARE "microvm-spare"
/* It waits that long for its second part, which is far longer than the host keeps one. */
#define MV_CELL_SPARE_MS_MAX 60000

/* Of init before it has a report to send: it could not even speak. */
#define MV_CELL_EXIT_MUTE 71

enum mv_cell_report_kind {
        MV_CELL_FAILED = 1, /* a step failed: step, error */
        MV_CELL_ENDED, /* the program ended: exit_code or signal; cpu_ns, memory_peak_bytes of all
                          its processes */
        MV_CELL_OVER_MEMORY, /* the watch saw more than it may */
        MV_CELL_OVER_CPU,
        MV_CELL_OVER_PLACE,
        MV_CELL_GIVE_OUTPUT,   /* with the descriptor; not the last report */
        MV_CELL_GIVE_LISTENER, /* the same, of PROXY */
};
struct mv_cell_report {
        uint32_t kind;
        int32_t error, exit_code, signal;
        uint64_t cpu_ns, memory_peak_bytes;
        char step[96];
};

#endif
