/* SPDX-License-Identifier: Apache-2.0 */
#include <base/limits.h>
#include <provider/process/process.h>
#include <wire/frame.h>
#include <wire/linux_runner.h>

/* The kernel's own mappings in a static process: vdso, vvar, the first stack pages. */
#define KERNEL_BYTES    ((uint64_t)256 << 10)
#define FRAME_BYTES_MAX ((uint64_t)MV_FRAME_PAYLOAD_MAX + MV_FRAME_HEADER_BYTES)

static uint64_t pages_down(uint64_t n)
{
        return n & ~(uint64_t)(MV_RUNNER_PAGE_BYTES - 1);
}

static uint64_t pages_up(uint64_t n)
{
        return pages_down(n + MV_RUNNER_PAGE_BYTES - 1);
}

static uint64_t buffer_bytes(uint64_t share)
{
        if (share < MV_PROCESS_BUFFER_MIN)
                return MV_PROCESS_BUFFER_MIN;
        return pages_up(share < FRAME_BYTES_MAX ? share : FRAME_BYTES_MAX);
}

struct mv_process_layout mv__process_layout(uint64_t memory_bytes_max, uint64_t image_bytes)
{
        struct mv_process_layout l = { .start = buffer_bytes(memory_bytes_max / 16),
                                       .reply = buffer_bytes(memory_bytes_max / 16),
                                       .out = buffer_bytes(memory_bytes_max / 8) };
        uint64_t image = pages_up(image_bytes);
        uint64_t fixed = l.start + l.reply + l.out + image;
        l.arena = memory_bytes_max > fixed ? pages_down(memory_bytes_max - fixed) : 0;
        if (l.arena < MV_PROCESS_ARENA_MIN)
                l.arena = MV_PROCESS_ARENA_MIN;
        /* The image once more: its zeroed data is not in the file, and is smaller than its code. */
        l.address_bytes_max = fixed + image + l.arena + MV_PROCESS_STACK_BYTES + KERNEL_BYTES;
        return l;
}
