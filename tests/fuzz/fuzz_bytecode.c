/* SPDX-License-Identifier: Apache-2.0 */
/* Hostile bytecode: refused, or it runs to an end within its fuel and leaves the evaluator sound.
 */
#include "rtfs_heap.h"

#define ARENA_BYTES (1u << 20)
#define FUEL        4000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
        static struct mv_rtfs *r;
        static struct heap_check h;
        static struct program_run run;
        if (!r) {
                r = program_evaluator(ARENA_BYTES);
                h = heap_check_new(r);
        }
        program_run(r, (struct mv_slice){ data, len }, true, FUEL, &run);
        bool closely = look_closely(data, len);
        if (closely)
                heap_check(&h);
        mv_rtfs_reset(r, NULL);
        if (closely)
                image_check(&h);
        return 0;
}
