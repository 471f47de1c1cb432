/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/pagemap.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/types.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define PAGE  4096u
#define BATCH 512 /* pages per read: 4 KiB of stack */

/* Bits of /proc/self/pagemap entries, Documentation/admin-guide/mm/pagemap.rst. */
#define ENTRY_FILE_OR_SHARED (1ull << 61)
#define ENTRY_SWAPPED        (1ull << 62)
#define ENTRY_PRESENT        (1ull << 63)

/* Same, as the ioctl of Linux 6.7 wants it; older headers lack it. */
struct scan_arg {
        __u64 size, flags, start, end, walk_end, vec, vec_len, max_pages;
        __u64 category_inverted, category_mask, category_anyof_mask, return_mask;
};
struct scan_region {
        __u64 start, end, categories;
};
#define SCAN_IOCTL   _IOWR('f', 16, struct scan_arg)
#define SCAN_FILE    (1ull << 2)
#define SCAN_PRESENT (1ull << 3)
#define SCAN_SWAPPED (1ull << 4)
#define REGIONS      64

int mv_sys_pagemap_open(struct mv_err *err)
{
        int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
        return fd < 0 ? mv_fail(err, MV_E_UNAVAILABLE, errno,
                                "open /proc/self/pagemap, needed to find what a guest wrote; is "
                                "/proc mounted?")
                      : fd;
}

static int scan(int fd, uint64_t from, uint64_t to, struct scan_region *v, unsigned max,
                uint64_t *ret_next)
{
        struct scan_arg a = { .size = sizeof a,
                              .start = from,
                              .end = to,
                              .vec = (uintptr_t)v,
                              .vec_len = max,
                              .category_inverted = SCAN_FILE,
                              .category_mask = SCAN_FILE,
                              .category_anyof_mask = SCAN_PRESENT | SCAN_SWAPPED,
                              .return_mask = SCAN_PRESENT };
        int n = ioctl(fd, SCAN_IOCTL, &a);
        if (n < 0)
                return -errno;
        *ret_next = a.walk_end;
        return n;
}

enum mv_pagemap_how mv_sys_pagemap_probe(int fd)
{
        static _Alignas(PAGE) char page[PAGE];
        struct scan_region v;
        uint64_t next;
        int n = scan(fd, (uintptr_t)page, (uintptr_t)page + PAGE, &v, 1, &next);
        return n < 0 ? MV_PAGEMAP_READ : MV_PAGEMAP_SCAN;
}

static int owned_by_scan(int fd, uint64_t from, uint64_t to, struct mv_page_range *ret,
                         unsigned max, uint64_t *ret_next, struct mv_err *err)
{
        struct scan_region v[REGIONS];
        int n = scan(fd, from, to, v, max < REGIONS ? max : REGIONS, ret_next);
        if (n < 0)
                return mv_fail(err, MV_E_SYS, -n, "scan the pages of a cell");
        for (int i = 0; i < n; i++)
                ret[i] = (struct mv_page_range){ v[i].start, v[i].end };
        return n;
}

static bool entry_owned(uint64_t e)
{
        return (e & (ENTRY_PRESENT | ENTRY_SWAPPED)) && !(e & ENTRY_FILE_OR_SHARED);
}

/* Appends one page; false when it opens a range that does not fit any more. */
static bool range_add(struct mv_page_range *ret, unsigned max, unsigned *n, uint64_t at)
{
        if (*n && ret[*n - 1].to == at) {
                ret[*n - 1].to = at + PAGE;
                return true;
        }
        if (*n == max)
                return false;
        ret[(*n)++] = (struct mv_page_range){ at, at + PAGE };
        return true;
}

static int owned_by_read(int fd, uint64_t from, uint64_t to, struct mv_page_range *ret,
                         unsigned max, uint64_t *ret_next, struct mv_err *err)
{
        uint64_t entries[BATCH];
        unsigned n = 0;
        while (from < to) {
                uint64_t pages = (to - from) / PAGE < BATCH ? (to - from) / PAGE : BATCH;
                ssize_t got = pread(fd, entries, pages * 8, (off_t)(from / PAGE * 8));
                if (got <= 0 || got % 8)
                        return mv_fail(err, MV_E_SYS, got < 0 ? errno : EIO,
                                       "read the pages of a cell");
                for (ssize_t i = 0; i < got / 8; i++, from += PAGE)
                        if (entry_owned(entries[i]) && !range_add(ret, max, &n, from)) {
                                *ret_next = from;
                                return (int)n;
                        }
        }
        *ret_next = to;
        return (int)n;
}

int mv_sys_pagemap_owned(int fd, enum mv_pagemap_how how, uint64_t from, uint64_t to,
                         struct mv_page_range *ret, unsigned max, uint64_t *ret_next,
                         struct mv_err *err)
{
        return how == MV_PAGEMAP_SCAN ? owned_by_scan(fd, from, to, ret, max, ret_next, err)
                                      : owned_by_read(fd, from, to, ret, max, ret_next, err);
}
