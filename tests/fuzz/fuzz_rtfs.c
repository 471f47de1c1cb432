/* SPDX-License-Identifier: Apache-2.0 */
/* Arbitrary source text through reader, compiler and machine. What also compiles to bytecode must
 * load again and do the same. */
#include "rtfs_heap.h"

#define ARENA_BYTES (1u << 20)
#define FUEL        4000u

/* Texts of errors and events that both runs must share. A macro takes fuel only while it expands,
 * and memory differs: what ended for want of either cannot be compared. */
static bool comparable(const struct program_run *p)
{
        return p->len < sizeof p->text - 1 && !strstr(p->text, "Exhausted") &&
               !strstr(p->text, "StackOverflow");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
        static struct mv_rtfs *r;
        static struct heap_check h;
        static struct program_run run, again;
        static uint8_t code[256 << 10];
        struct mv_slice source = { data, len };
        struct mv_rtfs_error e;
        if (!r) {
                r = program_evaluator(ARENA_BYTES);
                h = heap_check_new(r);
        }
        program_run(r, source, false, FUEL, &run);
        if (!look_closely(data, len)) {
                mv_rtfs_reset(r, NULL);
                return 0;
        }
        heap_check(&h);
        mv_rtfs_reset(r,
                      &(struct mv_rtfs_options){ .fuel = FUEL }); /* macros run while compiling */
        image_check(&h);
        struct mv_out o = mv_out(code, sizeof code);
        if (!mv_rtfs_compile(r, source, &o, &e))
                return 0;
        program_run(r, mv_out_slice(&o), true, FUEL, &again);
        assert(again.loaded);
        heap_check(&h);
        if (comparable(&run) && comparable(&again) && !memmem(data, len, "defmacro", 8)) {
                assert(run.len == again.len);
                assert(memcmp(run.text, again.text, run.len) == 0);
                assert(run.fuel == again.fuel);
        }
        mv_rtfs_reset(r, NULL);
        image_check(&h);
        return 0;
}
