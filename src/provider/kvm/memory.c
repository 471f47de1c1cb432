/* SPDX-License-Identifier: Apache-2.0 */
/* A cell's private memory: slot 1. docs/design/kvm-reset.md has the measurements behind this.
 *
 * (1) What the template holds is a private (copy-on-write) mapping of its sealed content; all else is anonymous memory.
 *     So a page this process does not own in that mapping equals the template's, by the kernel's word.
 * (2) Restoring looks at every owned page: it is made equal by copying, or given back, and then (1) holds for it.
 * (3) The kernel tells KVM of every page given back; a page restored by copying stays where the guest has it mapped. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "kvm.h"

#define RANGES 64

static int map_extent(struct kvm_memory *m, const struct kvm_template *t,
                      const struct kvm_extent *e)
{
        void *p = mmap(m->rw + e->at, e->bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, t->content_fd, (off_t)e->file_at);
        return p == MAP_FAILED ? -errno : 0;
}

int mv__kvm_memory_map(struct kvm_memory *m, const struct kvm_template *t, struct mv_err *err)
{
        m->bytes = t->rw_bytes;
        m->kept = calloc(t->rw_bytes / KVM_PAGE, 1);
        if (!m->kept)
                return mv_fail(err, MV_E_NOMEM, 0, "page table of a cell");
        void *p = mmap(NULL, t->rw_bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p == MAP_FAILED)
                return mv_fail(err, MV_E_SYS, errno, "map %llu bytes for a guest",
                               (unsigned long long)t->rw_bytes);
        m->rw = p;
        for (unsigned i = 0; i < t->extents_count; i++) {
                int r = map_extent(m, t, &t->extents[i]);
                if (r < 0)
                        return mv_fail(err, MV_E_SYS, -r, "map a template");
        }
        /* A huge page would be zeroed whole and counted whole for one byte touched, and a core file of the caller is
         * no place for a guest's memory. Both are advice: a kernel without them keeps working. */
        madvise(m->rw, m->bytes, MADV_NOHUGEPAGE);
        madvise(m->rw, m->bytes, MADV_DONTDUMP);
        return 0;
}

void mv__kvm_memory_done(struct kvm_memory *m)
{
        if (m->rw)
                munmap(m->rw, m->bytes);
        free(m->kept);
        *m = (struct kvm_memory){ 0 };
}

int mv__kvm_memory_owned(const struct mv_provider *p, const struct kvm_memory *m,
                         uint64_t *ret_bytes, struct mv_err *err)
{
        struct mv_page_range ranges[RANGES];
        uint64_t at = (uintptr_t)m->rw, end = at + m->bytes, bytes = 0;
        while (at < end) {
                int n = mv_sys_pagemap_owned(p->pagemap_fd, p->pagemap_how, at, end, ranges, RANGES,
                                             &at, err);
                if (n < 0)
                        return n;
                for (int i = 0; i < n; i++)
                        bytes += ranges[i].to - ranges[i].from;
        }
        *ret_bytes = bytes;
        return 0;
}

/* Makes the page at offset `at` equal to the template's; true when it was not. */
static bool page_restore(struct kvm_memory *m, const struct kvm_template *t, uint64_t at)
{
        static const uint8_t zeros[KVM_PAGE];
        const uint8_t *want = mv__kvm_template_page(t, at);
        if (!want)
                want = zeros;
        if (memcmp(m->rw + at, want, KVM_PAGE) == 0)
                return false;
        memcpy(m->rw + at, want, KVM_PAGE);
        return true;
}

/* Whether an owned page stays: then it equals the template's. */
static bool page_keep(struct kvm_memory *m, const struct kvm_template *t, uint64_t at)
{
        uint8_t *kept = &m->kept[at / KVM_PAGE];
        if (!*kept && m->kept_count == KVM_KEPT_PAGES_MAX)
                return false;
        if (!*kept)
                m->kept_count++;
        bool was_changed = page_restore(m, t, at);
        if (was_changed || !*kept)
                *kept = 1;
        else if (*kept <= KVM_KEPT_IDLE_RUNS_MAX)
                ++*kept;
        if (*kept <= KVM_KEPT_IDLE_RUNS_MAX || m->kept_count < KVM_KEPT_PAGES_MAX)
                return true;
        *kept = 0;
        m->kept_count--;
        return false;
}

static int give_back(struct kvm_memory *m, uint64_t from, uint64_t to, struct mv_err *err)
{
        if (from == to)
                return 0;
        if (madvise(m->rw + from, to - from, MADV_DONTNEED) < 0)
                return mv_fail(err, MV_E_SYS, errno, "give back %llu bytes of a cell",
                               (unsigned long long)(to - from));
        return 0;
}

static int range_restore(struct kvm_memory *m, const struct kvm_template *t, uint64_t from,
                         uint64_t to, struct mv_err *err)
{
        uint64_t drop = from; /* [drop, at) waits to be given back in one call */
        int r = 0;
        for (uint64_t at = from; r == 0 && at < to; at += KVM_PAGE)
                if (page_keep(m, t, at)) {
                        r = give_back(m, drop, at, err);
                        drop = at + KVM_PAGE;
                }
        return r < 0 ? r : give_back(m, drop, to, err);
}

int mv__kvm_memory_restore(const struct mv_provider *p, struct kvm_memory *m,
                           const struct kvm_template *t, struct mv_err *err)
{
        struct mv_page_range ranges[RANGES];
        uint64_t base = (uintptr_t)m->rw, at = base, end = base + m->bytes;
        while (at < end) {
                int n = mv_sys_pagemap_owned(p->pagemap_fd, p->pagemap_how, at, end, ranges, RANGES,
                                             &at, err);
                for (int i = 0; i < n; i++) {
                        int r = range_restore(m, t, ranges[i].from - base, ranges[i].to - base,
                                              err);
                        if (r < 0)
                                return r;
                }
                if (n < 0)
                        return n;
        }
        return 0;
}
