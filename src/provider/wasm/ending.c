/* SPDX-License-Identifier: Apache-2.0 */
/* What a module may have, and what its exit code says: the same in a process and in a microVM. */
#include <base/fmt.h>
#include <wasm/runtime.h>
#include "wasm.h"

uint32_t mv__wasm_pages(const struct mv_limits *l, uint32_t configured_pages)
{
        uint64_t pages = l->memory_bytes_max ? l->memory_bytes_max / WASM_PAGE_BYTES : 1024;
        if (configured_pages && configured_pages < pages)
                pages = configured_pages;
        return pages < WASM_PAGES_MAX ? (uint32_t)pages : WASM_PAGES_MAX;
}

static const char *trap_text(int code)
{
        static const char *const texts[] = {
                [WASM_RT_TRAP_OOB] = "access outside of the memory or a table",
                [WASM_RT_TRAP_INT_OVERFLOW] = "integer overflow",
                [WASM_RT_TRAP_DIV_BY_ZERO] = "integer divided by zero",
                [WASM_RT_TRAP_INVALID_CONVERSION] =
                        "a number that is none was converted to an integer",
                [WASM_RT_TRAP_UNREACHABLE] = "unreachable was reached",
                [WASM_RT_TRAP_CALL_INDIRECT] =
                        "an indirect call of no function, or of one of another type",
                [WASM_RT_TRAP_EXHAUSTION] = "the call stack is exhausted",
        };
        static const char *const others[] = {
                "exit code above 125",
                "the runtime could not prepare itself, or lost the door",
                "a fault in the runtime",
                NULL,
                "a table or a number of types beyond what a module may have",
        };
        unsigned trap = (unsigned)(code - MV_WASM_EXIT_TRAP),
                 other = (unsigned)(code - MV_WASM_EXIT_CODE);
        if (trap < sizeof texts / sizeof texts[0] && texts[trap])
                return texts[trap];
        return other < sizeof others / sizeof others[0] && others[other] ? others[other]
                                                                         : "an unknown trap";
}

void mv__wasm_explain(struct mv_exit *x, uint32_t memory_pages)
{
        if (x->termination != MV_END_COMPLETED || x->exit_code <= MV_WASM_EXIT_MAX)
                return;
        if (x->exit_code == MV_WASM_EXIT_PAGES) {
                x->termination = MV_END_MEMORY;
                mv_fmt(x->detail, sizeof x->detail,
                       "the module starts with more memory than it may have: %u pages of 64 KiB",
                       memory_pages);
                return;
        }
        x->termination = MV_END_ERROR;
        mv_fmt(x->detail, sizeof x->detail, "WASM execution failed: %s", trap_text(x->exit_code));
}
