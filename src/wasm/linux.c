/* SPDX-License-Identifier: Apache-2.0 */
/* What the runtime asks of Linux: reserved addresses, and the door, which is descriptor 3. */
#include <sys/mman.h>
#include <unistd.h>
#include <wire/frame.h>
#include "linux.h"

#define DOOR        3
#define FRAME_BYTES (MV_FRAME_PAYLOAD_MAX + MV_FRAME_HEADER_BYTES)
#define NODES_BYTES ((size_t)64 << 20)
/* (1) of wasm-rt.h */
#define RESERVED_BYTES (((uint64_t)8 << 30) + RT_PAGE_BYTES)

static uintptr_t reserved_at;
static uint8_t *sending, *receiving, *answering; /* a frame each */
static void *nodes;

/* --- memory ----------------------------------------------------------------------------------- */

void rt_reserved(uintptr_t *ret_at, uint64_t *ret_bytes)
{
        *ret_at = reserved_at;
        *ret_bytes = reserved_at ? RESERVED_BYTES : 0;
}

uint8_t *rt_memory_reserve(uint32_t initial_pages, uint32_t max_pages)
{
        uint8_t *p = mmap(NULL, RESERVED_BYTES, PROT_NONE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p == MAP_FAILED ||
            (initial_pages && !rt_memory_access(p, (size_t)initial_pages * RT_PAGE_BYTES)))
                return NULL;
        reserved_at = (uintptr_t)p;
        return p;
}

bool rt_memory_access(uint8_t *from, size_t bytes)
{
        return mprotect(from, bytes, PROT_READ | PROT_WRITE) == 0;
}

/* --- the door --------------------------------------------------------------------------------- */

static bool rooms_ready(void)
{
        size_t total = 3 * (size_t)FRAME_BYTES + NODES_BYTES;
        if (sending)
                return true;
        uint8_t *p = mmap(NULL, total, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p == MAP_FAILED)
                return false;
        sending = p;
        receiving = p + FRAME_BYTES;
        answering = receiving + FRAME_BYTES;
        nodes = answering + FRAME_BYTES;
        return true;
}

bool rt_call_room(struct rt_call_room *ret)
{
        if (!rooms_ready())
                return false;
        *ret = (struct rt_call_room){ nodes, answering, NODES_BYTES, FRAME_BYTES };
        return true;
}

struct mv_out rt_door_out(void)
{
        return mv_out(rooms_ready() ? sending : NULL, ready() ? FRAME_BYTES : 0);
}

static bool write_all(struct mv_slice s)
{
        while (s.len) {
                ssize_t n = write(DOOR, s.p, s.len);
                if (n <= 0)
                        return false;
                s.p += n;
                s.len -= (size_t)n;
        }
        return true;
}

static bool read_exactly(uint8_t *p, size_t len)
{
        while (len) {
                ssize_t n = read(DOOR, p, len);
                if (n <= 0)
                        return false;
                p += n;
                len -= (size_t)n;
        }
        return true;
}

bool rt_door(struct mv_slice frames, bool want_reply, struct mv_slice *ret)
{
        struct mv_err err;
        uint32_t len;
        if (!write_all(frames))
                return false;
        if (!want_reply)
                return true;
        if (!read_exactly(receiving, MV_FRAME_HEADER_BYTES) ||
            mv_frame_payload_len(receiving, &len, &err) < 0 ||
            !read_exactly(receiving + MV_FRAME_HEADER_BYTES, len))
                return false;
        *ret = (struct mv_slice){ receiving, MV_FRAME_HEADER_BYTES + len };
        return true;
}
