/* SPDX-License-Identifier: Apache-2.0 */
/* Hostile CBOR into an evaluator: what is accepted must be what the tree decoder accepts, and must go
 * back to the very same bytes. */
#include "../unit/rtfs_data.h"
#include <assert.h>
#include <base/arena.h>
#include <wire/cbor.h>

static uint8_t tree_memory[1 << 20], again[1 << 16];

static bool tree_accepts(struct mv_slice s)
{
        struct mv_arena a = mv_arena_fixed(tree_memory, sizeof tree_memory);
        const struct mv_value *tree;
        struct mv_err err;
        return mv_value_decode(s, &a, &tree, &err) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
        static struct mv_rtfs *r;
        static uint8_t *empty_top;
        struct mv_slice s = { data, len };
        struct mv_err err = { 0 };
        val v, w;
        if (len > 4096)
                return 0;
        if (!r) {
                r = evaluator_new();
                empty_top = r->heap.top;
        }
        memset(r->buckets, 0, NAME_BUCKETS * sizeof *r->buckets);
        r->heap.top = empty_top;
        if (decode_value(r, s, &v, &err) != N_OK) {
                assert(!tree_accepts(s) || strstr(err.msg, "function"));
                return 0;
        }
        struct mv_out o = mv_out(again, sizeof again);
        bool written = encode_value(&o, v);
        assert(tree_accepts(s));
        assert(written);
        assert(mv_slice_eq(mv_out_slice(&o), s));
        assert(decode_value(r, s, &w, &err) == N_OK);
        int order = 1;
        assert(val_compare(r, v, w, &order) == N_OK);
        assert(order == 0);
        o = mv_out(again, sizeof again);
        (void)print_readable(&o, v, NULL);
        return 0;
}
