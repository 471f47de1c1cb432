/* SPDX-License-Identifier: Apache-2.0 */
/* What base/arena_host.c and base/err_host.c are on the host, for guests: an arena never grows,
 * errors are numbers. */
#include <base/arena_block.h>
#include <base/err.h>

bool mv__arena_more(struct mv_arena *a, size_t bytes)
{
        return false;
}

const char *mv__errno_text(int sys)
{
        return "system error";
}
