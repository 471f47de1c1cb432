/* SPDX-License-Identifier: Apache-2.0 */
/* A template: an image booted once, stopped at its READY doorbell, and kept: read-only memory that every cell maps, the
 * sealed content of the writable memory, and the registers. One per image and memory limit, because that lays out its
 * arena by it.
 *
 * (1) The boot cell is a cell like any other (confined thread, private memory), only its template is still empty.
 * (2) Content is sealed: nobody, not even this process, changes a template after it was made. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "kvm.h"

const uint8_t *mv__kvm_template_page(const struct kvm_template *t, uint64_t at)
{
        for (unsigned i = 0; i < t->extents_count; i++) {
                const struct kvm_extent *e = &t->extents[i];
                if (at >= e->at && at - e->at < e->bytes)
                        return t->content + e->file_at + (at - e->at);
        }
        return NULL;
}

static struct kvm_template *template_free(struct kvm_template *t)
{
        if (!t)
                return NULL;
        if (t->ro)
                munmap(t->ro, t->ro_bytes);
        if (t->content)
                munmap(t->content, t->content_bytes);
        if (t->content_fd >= 0)
                close(t->content_fd);
        free(t);
        return NULL;
}

/* Aligned, and willing to be one huge page: then KVM maps the whole text for a new guest at its first fault, where page by
 * page it takes some forty. bytes: a multiple of KVM_LARGE_PAGE. NULL: errno says why. */
static uint8_t *large_map(uint64_t bytes)
{
        uint8_t *p = mmap(NULL, bytes + KVM_LARGE_PAGE, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
                return NULL;
        uint64_t before = -(uintptr_t)p & (KVM_LARGE_PAGE - 1);
        if (before)
                munmap(p, before);
        munmap(p + before + bytes, KVM_LARGE_PAGE - before);
        madvise(p + before, bytes, MADV_HUGEPAGE); /* refused: it is only slower */
        return p + before;
}

static int ro_build(struct kvm_template *t, const struct mv_kvm_image *image,
                    const struct kvm_layout *l, struct mv_err *err)
{
        uint64_t end = t->ro_at + KVM_PAGE;
        for (unsigned i = 0; i < l->count; i++)
                if (!l->segments[i].write && l->segments[i].at + l->segments[i].bytes > end)
                        end = l->segments[i].at + l->segments[i].bytes;
        t->ro_bytes = mv__kvm_large_up(end) - t->ro_at;
        t->ro = large_map(t->ro_bytes);
        if (!t->ro)
                return mv_fail(err, MV_E_SYS, errno, "map %llu bytes for a guest image",
                               (unsigned long long)t->ro_bytes);
        for (unsigned i = 0; i < l->count; i++) {
                const struct kvm_load *g = &l->segments[i];
                if (!g->write)
                        memcpy(t->ro + (g->at - t->ro_at), image->elf.p + g->file_at,
                               g->file_bytes);
        }
        if (mprotect(t->ro, t->ro_bytes, PROT_READ) < 0)
                return mv_fail(err, MV_E_SYS, errno, "protect a guest image");
        return 0;
}

static void data_load(uint8_t *rw, const struct mv_kvm_image *image, const struct kvm_layout *l)
{
        for (unsigned i = 0; i < l->count; i++) {
                const struct kvm_load *g = &l->segments[i];
                if (g->write)
                        memcpy(rw + (g->at - MV_KVM_RW), image->elf.p + g->file_at, g->file_bytes);
        }
}

/* The registers a boot starts from. */
static int state_first(struct kvm_template *t, const struct kvm_vcpu *v,
                       const struct mv_kvm_image *image, uint64_t entry, struct mv_err *err)
{
        struct kvm_state s;
        int r = mv__kvm_vcpu_save(v, &s, err);
        if (r < 0)
                return r;
        mv__kvm_space_sregs(&s.sregs);
        /* As if called: the stack is 16-byte aligned before the return address is pushed. */
        s.regs = (struct kvm_regs){ .rip = entry,
                                    .rsp = MV_KVM_STACK_END - 8,
                                    .rdi = t->arena_bytes,
                                    .rsi = image->pages,
                                    .rflags = 2 };
        t->state = s;
        return 0;
}

/* live[i]: page i of slot 1 is not all zeros. */
static int live_find(const struct mv_provider *p, const struct kvm_memory *m, uint8_t *live,
                     struct mv_err *err)
{
        static const uint8_t zeros[KVM_PAGE];
        struct mv_page_range v[16];
        uint64_t base = (uintptr_t)m->rw, at = base, end = base + m->bytes;
        while (at < end) {
                int n = mv_sys_pagemap_owned(p->pagemap_fd, p->pagemap_how, at, end, v, 16, &at,
                                             err);
                if (n < 0)
                        return n;
                for (int i = 0; i < n; i++)
                        for (uint64_t a = v[i].from - base; a < v[i].to - base; a += KVM_PAGE)
                                live[a / KVM_PAGE] = memcmp(m->rw + a, zeros, KVM_PAGE) != 0;
        }
        return 0;
}

/* Live pages as extents, joined over gaps of up to `gap` pages. false: more than fit. */
static bool extents_join(struct kvm_template *t, const uint8_t *live, uint64_t gap)
{
        t->extents_count = 0;
        t->content_bytes = 0;
        struct kvm_extent *e = NULL;
        for (uint64_t i = 0; i < t->rw_bytes / KVM_PAGE; i++) {
                uint64_t at = i * KVM_PAGE;
                if (!live[i])
                        continue;
                if (!e || at - (e->at + e->bytes) > gap * KVM_PAGE) {
                        if (t->extents_count == KVM_EXTENTS_MAX)
                                return false;
                        e = &t->extents[t->extents_count++];
                        *e = (struct kvm_extent){ at, 0, t->content_bytes };
                }
                e->bytes = at + KVM_PAGE - e->at;
                t->content_bytes = e->file_at + e->bytes;
        }
        return true;
}

static int content_write(struct kvm_template *t, const uint8_t *rw, struct mv_err *err)
{
        for (unsigned i = 0; i < t->extents_count; i++)
                for (uint64_t done = 0; done < t->extents[i].bytes;) {
                        ssize_t n = pwrite(t->content_fd, rw + t->extents[i].at + done,
                                           t->extents[i].bytes - done,
                                           (off_t)(t->extents[i].file_at + done));
                        if (n <= 0)
                                return mv_fail(err, MV_E_SYS, n < 0 ? errno : ENOSPC,
                                               "write a template");
                        done += (uint64_t)n;
                }
        if (fcntl(t->content_fd, F_ADD_SEALS,
                  F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
                return mv_fail(err, MV_E_SYS, errno, "seal a template");
        return 0;
}

static int content_keep(struct kvm_template *t, const uint8_t *rw, struct mv_err *err)
{
        t->content_fd = memfd_create("microvm-template", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (t->content_fd < 0)
                return mv_fail(err, MV_E_SYS, errno, "make a file for a template");
        int r = content_write(t, rw, err);
        if (r < 0 || t->content_bytes == 0)
                return r;
        void *p = mmap(NULL, t->content_bytes, PROT_READ, MAP_PRIVATE, t->content_fd, 0);
        if (p == MAP_FAILED)
                return mv_fail(err, MV_E_SYS, errno, "map a template");
        t->content = p;
        return 0;
}

static int capture(struct mv_provider *p, struct kvm_template *t, struct mv_cell *boot,
                   struct mv_err *err)
{
        uint8_t *live = calloc(t->rw_bytes / KVM_PAGE, 1);
        if (!live)
                return mv_fail(err, MV_E_NOMEM, 0, "page table of a template");
        int r = live_find(p, &boot->mem, live, err);
        for (uint64_t gap = 0; r == 0 && !extents_join(t, live, gap); gap = gap * 2 + 8)
                ;
        free(live);
        if (r == 0 && t->module && t->content_bytes > KVM_CONTENT_BYTES_MAX)
                r = MV_HOSTILE(err, "guest image: more data than a module may begin with");
        if (r == 0)
                r = content_keep(t, boot->mem.rw, err);
        return r == 0 ? mv__kvm_vcpu_save(&boot->vcpu, &t->state, err) : r;
}

static int boot_failed(const struct mv_cell *boot, uint64_t bytes, struct mv_err *err)
{
        const uint8_t *text = boot->mem.rw + (MV_KVM_OUTBOX - MV_KVM_RW);
        int len = bytes < sizeof err->msg / 2 ? (int)bytes : (int)sizeof err->msg / 2;
        return mv_fail(err, MV_E_UNAVAILABLE, 0,
                       "the runner could not initialise itself in %llu bytes: %.*s",
                       (unsigned long long)boot->t->arena_bytes, len, (const char *)text);
}

/* Runs the boot cell up to its READY doorbell. */
static int boot_run(struct mv_cell *boot, uint64_t ns_max, struct mv_err *err)
{
        struct kvm_stop stop;
        struct kvm_vcpu *v = &boot->vcpu;
        mv__kvm_vcpu_start(v, KVM_DO_RUN);
        bool late = !mv__kvm_vcpu_wait(v, mv__now_ns() + ns_max);
        if (late) {
                mv__kvm_vcpu_kick(v);
                mv__kvm_vcpu_wait(v, UINT64_MAX);
        }
        mv__kvm_stop_read(boot, &stop);
        if (late)
                return mv_fail(err, MV_E_UNAVAILABLE, 0,
                               "the guest image was not ready after %llu ms",
                               (unsigned long long)(ns_max / 1000000));
        if (stop.died)
                return mv_fail(err, MV_E_UNAVAILABLE, 0, "the guest image did not start: %s",
                               stop.detail);
        if (stop.op == MV_KVM_OP_FAILED && !boot->t->module) /* ours alone may say why */
                return boot_failed(boot, stop.bytes, err);
        if (stop.op != MV_KVM_OP_READY)
                return MV_HOSTILE(err, "guest image: another doorbell than READY");
        /* the store behind READY is done, the registers are those after it */
        mv__kvm_vcpu_start(v, KVM_DO_SETTLE);
        mv__kvm_vcpu_wait(v, UINT64_MAX);
        if (v->result < 0)
                return mv_fail(err, MV_E_SYS, -v->result, "stop a guest image that is ready");
        return 0;
}

static int boot_with(struct mv_provider *p, struct kvm_template *t,
                     const struct mv_kvm_image *image, const struct kvm_layout *l,
                     struct mv_err *err)
{
        uint64_t ns_max = image->boot_ns_max && image->boot_ns_max < KVM_BOOT_NS_MAX
                                  ? image->boot_ns_max
                                  : KVM_BOOT_NS_MAX;
        struct mv_cell boot = { .p = p, .t = t, .vcpu = { .vm_fd = -EBADF, .fd = -EBADF } };
        int r = mv__kvm_memory_map(&boot.mem, t, err);
        if (r == 0)
                r = mv__kvm_vcpu_open(p, &boot.vcpu, t, boot.mem.rw, err);
        if (r == 0)
                r = state_first(t, &boot.vcpu, image, l->entry, err);
        if (r == 0) {
                data_load(boot.mem.rw, image, l);
                r = mv__kvm_space_build(boot.mem.rw + (MV_KVM_SYSTEM - MV_KVM_RW), l,
                                        (struct kvm_range){ t->arena_at, t->arena_bytes }, err);
        }
        if (r == 0)
                r = boot_run(&boot, ns_max, err);
        if (r == 0)
                r = capture(p, t, &boot, err);
        mv__kvm_vcpu_done(&boot.vcpu);
        mv__kvm_memory_done(&boot.mem);
        return r;
}

static int template_new(struct mv_provider *p, const struct mv_kvm_image *image,
                        uint64_t arena_bytes, struct kvm_template **ret, struct mv_err *err)
{
        struct kvm_layout l;
        int r = mv__kvm_image_layout(image, &l, err);
        if (r < 0)
                return r;
        struct kvm_template *t = calloc(1, sizeof *t);
        if (!t)
                return mv_fail(err, MV_E_NOMEM, 0, "template");
        *t = (struct kvm_template){ .content_fd = -EBADF,
                                    .arena_bytes = arena_bytes,
                                    .module = image->module,
                                    .ro_at = image->module ? MV_KVM_MODULE_TEXT : MV_KVM_TEXT,
                                    .arena_at = image->module ? MV_KVM_MODULE_ARENA : MV_KVM_ARENA,
                                    .rw_bytes = MV_KVM_ARENA - MV_KVM_RW + arena_bytes };
        memcpy(t->key, image->key, sizeof t->key);
        r = ro_build(t, image, &l, err);
        if (r == 0)
                r = boot_with(p, t, image, &l, err);
        if (r < 0) {
                template_free(t);
                return r;
        }
        *ret = t;
        return 0;
}

/* --- those that are kept (under the provider's lock) ------------------------------------------ */

static void unref(struct kvm_template *t)
{
        if (--t->refs == 0)
                template_free(t);
}

/* Newest first; what is beyond the two bounds is forgotten here and lives on in its cells. */
static void list_trim(struct kvm_template **list)
{
        struct kvm_template **link = list;
        uint64_t bytes = 0;
        for (unsigned i = 0; i < KVM_TEMPLATES_MAX && *link; i++) {
                bytes += (*link)->content_bytes + (*link)->ro_bytes;
                if (i && bytes > KVM_TEMPLATES_BYTES_MAX)
                        break;
                link = &(*link)->next;
        }
        while (*link) {
                struct kvm_template *t = *link;
                *link = t->next;
                unref(t);
        }
}

static void list_add(struct kvm_template **list, struct kvm_template *t)
{
        t->refs = 1;
        t->next = *list;
        *list = t;
        list_trim(list);
}

static struct kvm_template *list_find(struct kvm_template **list, const struct mv_kvm_image *image,
                                      uint64_t arena_bytes)
{
        struct kvm_template **link = list;
        while (*link && ((*link)->arena_bytes != arena_bytes ||
                         memcmp((*link)->key, image->key, sizeof image->key) != 0))
                link = &(*link)->next;
        struct kvm_template *t = *link;
        if (t) { /* to the front */
                *link = t->next;
                t->next = *list;
                *list = t;
        }
        return t;
}

/* A module's image boots without the lock: it is somebody's code, and nobody else waits for it. Of the evaluator's two threads
 * that need the same template need one of them to make it. */
static int find_or_make(struct mv_provider *p, const struct mv_kvm_image *image,
                        uint64_t arena_bytes, struct kvm_template **ret, struct mv_err *err)
{
        struct kvm_template **list = image->module ? &p->module_templates : &p->templates;
        struct kvm_template *t = list_find(list, image, arena_bytes);
        if (t) {
                *ret = t;
                return 0;
        }
        if (image->module)
                pthread_mutex_unlock(&p->lock);
        int r = template_new(p, image, arena_bytes, &t, err);
        if (image->module)
                pthread_mutex_lock(&p->lock);
        if (r < 0)
                return r;
        list_add(list, t);
        *ret = t;
        return 0;
}

int mv__kvm_template_get(struct mv_provider *p, const struct mv_kvm_image *image,
                         uint64_t arena_bytes, struct kvm_template **ret, struct mv_err *err)
{
        struct kvm_template *t;
        pthread_mutex_lock(&p->lock);
        int r = find_or_make(p, image, arena_bytes, &t, err);
        if (r == 0) {
                t->refs++;
                *ret = t;
        }
        pthread_mutex_unlock(&p->lock);
        return r;
}

void mv__kvm_template_put(struct mv_provider *p, struct kvm_template *t)
{
        pthread_mutex_lock(&p->lock);
        unref(t);
        pthread_mutex_unlock(&p->lock);
}
