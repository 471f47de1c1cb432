/* SPDX-License-Identifier: Apache-2.0 */
/* A frame that decodes is written again as the same bytes; its length is known from its header
 * alone. */
#include <base/slice.h>
#include <wire/frame.h>
#include <stdlib.h>

#define MUST(x) ((x) ? (void)0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
        struct mv_slice in = mv_slice(data, len);
        struct mv_frame f;
        struct mv_err err;
        uint32_t payload;
        if (mv_frame_decode(in, &f, &err) < 0)
                return 0;
        MUST(mv_frame_payload_len(data, &payload, &err) == 0 && payload == f.payload.len);
        uint8_t *back = malloc(len);
        MUST(back);
        struct mv_out o = mv_out(back, len);
        size_t at = mv_frame_open(&o, f.type, f.seq);
        mv_put_slice(&o, f.payload);
        MUST(mv_frame_close(&o, at) && mv_slice_eq(mv_out_slice(&o), in));
        free(back);
        return 0;
}
