/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_WIRE_HTTP_HEAD_H
#define MV_WIRE_HTTP_HEAD_H
/* The head of a request that a program sends to its proxy: read strictly, written anew. Freestanding.
 *
 * (1) One reading only. What two readers could understand differently is refused: line ends that are
 *     not CR LF, folded lines, blanks around names, a length that is there twice, a transfer coding.
 * (2) What is sent on is built from what was understood: the host's own Host line, the fields that
 *     belong to this connection left out, `Connection: close` at the end. Nothing is copied that was
 *     not looked at. */
#include <base/cur.h>
#include <base/slice.h>

#define MV_HTTP_HEAD_BYTES_MAX   16384u
#define MV_HTTP_HEAD_FIELDS_MAX  100u
#define MV_HTTP_METHOD_BYTES_MAX 16u
#define MV_HTTP_TARGET_BYTES_MAX 8192u
/* What rewriting may add to a head: a Host line with the longest name, and Connection. */
#define MV_HTTP_HEAD_ROOM 512u

struct mv_http_head {
        struct mv_slice method, target, version; /* into the bytes that were read */
        struct mv_slice fields;                  /* every line behind the first, CR LF included */
        bool connect;
        uint64_t body_bytes;
        size_t bytes; /* of the whole head, its empty line included */
};
/* 1: *ret is the head; 0: more bytes are needed; else the negative status to answer with, and
 * *ret_why in words. */
int mv_http_head_read(struct mv_slice bytes, struct mv_http_head *ret, const char **ret_why);
/* false: it does not fit. host: what the Host line says; path: what is asked for there. */
bool mv_http_head_write(struct mv_out *o, const struct mv_http_head *h, struct mv_slice host,
                        struct mv_slice path);
/* The status of a response that begins with these bytes; 0: not one. */
unsigned mv_http_status(struct mv_slice bytes);

#endif
