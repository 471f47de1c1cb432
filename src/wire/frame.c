/* SPDX-License-Identifier: Apache-2.0 */
/* wire/frame.c - headers of the door's frames; the layout is drawn in frame.h.
 *
 * (1) A length is checked against MV_FRAME_PAYLOAD_MAX before anybody allocates or waits for that many bytes.
 * (2) Every field has one legal form, so equal frames have equal bytes: the zero field is zero, and a sequence number
 *     is there exactly when the type needs one. */
#include <wire/frame.h>
#include <base/slice.h>

_Static_assert(MV_FRAME_HEADER_BYTES == 4 + 1 + 1 + 2 + 8, "the table in frame.h");
_Static_assert(MV_FRAME_PAYLOAD_MAX <= UINT32_MAX, "the length field has 32 bits");

static bool numbered(unsigned type)
{
        return type == MV_FRAME_CALL || type == MV_FRAME_REPLY || type == MV_FRAME_FAULT;
}

static int header_read(struct mv_cur *c, struct mv_frame *ret, uint32_t *ret_len,
                       struct mv_err *err)
{
        uint32_t len = mv_get_u32(c);
        unsigned version = mv_get_u8(c), type = mv_get_u8(c), zero = mv_get_u16(c);
        uint64_t seq = mv_get_u64(c);
        if (c->bad)
                return MV_HOSTILE(err, "frame: shorter than its header");
        if (len > MV_FRAME_PAYLOAD_MAX)
                return MV_HOSTILE(err, "frame: payload longer than MV_FRAME_PAYLOAD_MAX");
        if (version != MV_FRAME_VERSION)
                return MV_HOSTILE(err, "frame: version is not 1");
        if (type < MV_FRAME_START || type >= MV_FRAME_MAX_)
                return MV_HOSTILE(err, "frame: unknown type");
        if (zero != 0)
                return MV_HOSTILE(err, "frame: reserved bytes are not zero");
        if ((seq != 0) != numbered(type))
                return MV_HOSTILE(err, "frame: a sequence number too much, or one missing");
        *ret = (struct mv_frame){ (enum mv_frame_type)type, seq, { c->p, 0 } };
        *ret_len = len;
        return 0;
}

int mv_frame_payload_len(const uint8_t *p, uint32_t *ret_len, struct mv_err *err)
{
        struct mv_cur c = mv_cur(mv_slice(p, MV_FRAME_HEADER_BYTES));
        struct mv_frame ignored;
        return header_read(&c, &ignored, ret_len, err);
}

int mv_frame_decode(struct mv_slice bytes, struct mv_frame *ret, struct mv_err *err)
{
        struct mv_cur c = mv_cur(bytes);
        struct mv_frame f;
        uint32_t len;
        int r = header_read(&c, &f, &len, err);
        if (r < 0)
                return r;
        f.payload = mv_get_bytes(&c, len);
        if (!mv_cur_done(&c))
                return MV_HOSTILE(err, "frame: its length is not the number of bytes that follow");
        *ret = f;
        return 0;
}

size_t mv_frame_open(struct mv_out *o, enum mv_frame_type type, uint64_t seq)
{
        size_t at = o->len;
        if (type < MV_FRAME_START || type >= MV_FRAME_MAX_ || (seq != 0) != numbered(type))
                o->overflow = true; /* our bug; a guest has no assert, so the close fails instead */
        mv_put_u32(o, 0);
        mv_put_u8(o, MV_FRAME_VERSION);
        mv_put_u8(o, (uint8_t)type);
        mv_put_u16(o, 0);
        mv_put_u64(o, seq);
        return at;
}

bool mv_frame_close(struct mv_out *o, size_t header_at)
{
        if (o->overflow || header_at > o->len || o->len - header_at < MV_FRAME_HEADER_BYTES)
                return false;
        size_t len = o->len - header_at - MV_FRAME_HEADER_BYTES;
        if (len > MV_FRAME_PAYLOAD_MAX)
                return false;
        struct mv_out head = mv_out(o->p + header_at, 4);
        return mv_put_u32(&head, (uint32_t)len);
}
