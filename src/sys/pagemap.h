/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_SYS_PAGEMAP_H
#define MV_SYS_PAGEMAP_H
/* Which pages of a private mapping this process owns itself: written at least once, or anonymous and touched. Pages that
 * still are the mapped file's, and pages never touched, are not reported. Swapped-out pages are.
 * A descriptor belongs to the process that opened it: after fork it would still describe the parent. */
#include <base/err.h>
#include <stdbool.h>

struct mv_page_range {
        uint64_t from, to; /* addresses, page-aligned */
};
/* ioctl of Linux 6.7, or reading 8 bytes per page */
enum mv_pagemap_how { MV_PAGEMAP_SCAN, MV_PAGEMAP_READ };

int mv_sys_pagemap_open(struct mv_err *err);
enum mv_pagemap_how mv_sys_pagemap_probe(int fd);
/* Fills ret with ascending ranges and returns how many; at most max are found, *ret_next says where to go on (== to at
 * the end). */
int mv_sys_pagemap_owned(int fd, enum mv_pagemap_how how, uint64_t from, uint64_t to,
                         struct mv_page_range *ret, unsigned max, uint64_t *ret_next,
                         struct mv_err *err);

#endif
