/* SPDX-License-Identifier: Apache-2.0 */
/* Hostile bytecode that is looked at instead of run: refused, or a report; the evaluator stays sound.
 */
#include "rtfs_heap.h"

#define ARENA_BYTES (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
        static struct mv_rtfs *r;
        static struct heap_check h;
        struct mv_rtfs_options o = { .prelude = true };
        struct mv_err err;
        if (!r) {
                r = program_evaluator(ARENA_BYTES);
                h = heap_check_new(r);
        }
        mv_rtfs_reset(r, &o);
        static uint8_t report[1 << 16];
        struct mv_out o_report = mv_out(report, sizeof report);
        if (mv_rtfs_load_bytecode(r, (struct mv_slice){ data, len }, &err) == 0 &&
            mv_rtfs_inspect(r))
                (void)mv_rtfs_encode_regions(r, &o_report);
        bool closely = look_closely(data, len);
        if (closely)
                heap_check(&h);
        mv_rtfs_reset(r, NULL);
        if (closely)
                image_check(&h);
        return 0;
}
