/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_WIRE_BASE64_H
#define MV_WIRE_BASE64_H
/* Bytes as text (RFC 4648 section 4, padded): how bytecode crosses the door inside a value, which holds text but no
 * bytes. One form per byte string: the decoder refuses everything the encoder would not write. Freestanding. */
#include <base/arena.h>
#include <base/cur.h>
#include <base/err.h>

/* Append the digits of s; mv_base64_len of them. false: o overflowed. */
bool mv_base64_put(struct mv_out *o, struct mv_slice s);
static inline size_t mv_base64_len(size_t bytes)
{
        return (bytes + 2) / 3 * 4;
}
/* HOSTILE unless text is exactly what mv_base64_put writes; LIMIT when the arena is full. */
int mv_base64_decode(struct mv_slice text, struct mv_arena *a, struct mv_slice *ret,
                     struct mv_err *err);

#endif
