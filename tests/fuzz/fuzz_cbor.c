/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever decodes must encode to the same bytes, skip, copy, compare and print; whatever does not must be skipped as
 * little. The pull decoder must end on any input. */
#include <base/arena.h>
#include <base/slice.h>
#include <wire/cbor.h>
#include <wire/text.h>
#include <stdlib.h>

#define MUST(x) ((x) ? (void)0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_value(const struct mv_value *v, struct mv_slice in, struct mv_arena *a)
{
        uint8_t *back = malloc(in.len);
        MUST(back);
        struct mv_out o = mv_out(back, in.len);
        MUST(mv_value_encode(&o, v) && mv_slice_eq(mv_out_slice(&o), in));
        const struct mv_value *copy = mv_value_copy(v, a);
        o = mv_out(back, in.len);
        MUST(!copy || (mv_value_encode(&o, copy) && mv_slice_eq(mv_out_slice(&o), in)));
        if (copy)
                mv_value_equal(v, copy);
        char *text = mv_value_readable(v, NULL);
        MUST(text);
        free(text);
        free(mv_value_display(v, NULL));
        free(mv_value_json(v, NULL));
        free(back);
}

static void pull_all(struct mv_slice in)
{
        struct mv_cur c = mv_cur(in);
        struct mv_cbor_item item;
        size_t left = in.len;
        while (mv_cur_left(&c) > 0 && mv_cbor_next(&c, &item, NULL) == 0) {
                MUST(mv_cur_left(&c) < left);
                left = mv_cur_left(&c);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
        struct mv_slice raw, in = mv_slice(data, len);
        struct mv_arena a = mv_arena_grow(64 << 20);
        const struct mv_value *v;
        struct mv_err err;
        struct mv_cur c = mv_cur(in);
        int r = mv_value_decode(in, &a, &v, &err);
        int skipped = mv_cbor_skip(&c, &raw, &err);
        MUST((r == 0) == (skipped == 0 && raw.len == len));
        if (r == 0)
                check_value(v, in, &a);
        pull_all(in);
        mv_arena_done(&a);
        return 0;
}
