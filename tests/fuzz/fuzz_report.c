/* SPDX-License-Identifier: Apache-2.0 */
/* A report from a cell's init, or from the agent behind another wall: what is taken says how a program ended, in words that fit a message. */
#include <provider/process/program.h>
#include <stdlib.h>
#include <string.h>

#define MUST(x) ((x) ? (void)0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
        struct mv_cell_report from, r;
        memset(&from, 0, sizeof from);
        memcpy(&from, data, len < sizeof from ? len : sizeof from);
        if (!mv__report_take(&from, &r))
                return 0;
        MUST(r.kind == MV_CELL_ENDED || r.kind == MV_CELL_FAILED || r.kind == MV_CELL_OVER_MEMORY ||
             r.kind == MV_CELL_OVER_CPU || r.kind == MV_CELL_OVER_PLACE);
        MUST(r.exit_code >= -1 && r.exit_code <= 255);
        MUST(r.kind != MV_CELL_ENDED || (r.signal >= 0 && r.signal <= 64));
        MUST(r.kind != MV_CELL_FAILED || (r.error > 0 && r.error < 4096));
        MUST(memchr(r.step, 0, sizeof r.step));
        for (const char *p = r.step; *p; p++)
                MUST(*p >= ' ' && *p <= '~');
        return 0;
}
