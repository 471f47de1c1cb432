/* SPDX-License-Identifier: Apache-2.0 */
/* The kvm provider's table, its settings and what it needs of the machine. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <base/slice.h>
#include <openssl/evp.h>
#include <provider/provider.h>
#include "cell.h"
#include "module.h"

const char *mv_kvm_backend(void)
{
        return mv_sys_kvm_backend();
}

/* Modules need tools that RTFS does not; what is missing is said. */
static int probe(struct mv_err *err)
{
        struct mv_err modules = { .msg = "" };
        if (mv__kvm_runner().elf.len == 0)
                return mv_fail(err, MV_E_UNAVAILABLE, 0,
                               "this library was built without the ring-3 runner");
        int fd = mv_sys_kvm_open(err);
        if (fd < 0)
                return fd;
        close(fd);
        fd = mv_sys_pagemap_open(err);
        if (fd < 0)
                return fd;
        close(fd);
        if (mv__wasm_tools(WASM_FOR_KVM, &modules) < 0)
                mv_fmt(err->msg, sizeof err->msg, "RTFS only: %s", modules.msg);
        else
                mv_fmt(err->msg, sizeof err->msg, "RTFS and modules");
        return 0;
}

/* The few features ring 3 may find: plain x86-64 with SSE2. The address width is the machine's:
 * page tables obey it. */
static struct kvm_cpuid2 *cpuid_new(int kvm_fd, struct mv_err *err)
{
        enum { ENTRIES_MAX = 256 };
        static const struct kvm_cpuid_entry2 table[] = {
                { .function = 0,
                  .eax = 1,
                  .ebx = 0x7263696d,
                  .edx = 0x694d766f,
                  .ecx = 0x6d56206d },
                { .function = 1, .eax = 0x600, .edx = 0x0780a971 & ~0x10u },
                { .function = 0x80000000, .eax = 0x80000008 },
                { .function = 0x80000001, .edx = 0x20100800 },
                { .function = 0x80000008, .eax = 0x3024 },
        };
        enum { COUNT = sizeof table / sizeof table[0] };
        struct kvm_cpuid2 *c = calloc(1, sizeof *c + ENTRIES_MAX * sizeof c->entries[0]);
        if (!c)
                return NULL;
        c->nent = ENTRIES_MAX;
        if (mv_sys_kvm(kvm_fd, KVM_GET_SUPPORTED_CPUID, c, "read the CPUID table KVM supports",
                       err) < 0) {
                free(c);
                return NULL;
        }
        uint32_t width = table[COUNT - 1].eax;
        for (uint32_t i = 0; i < c->nent; i++)
                if (c->entries[i].function == 0x80000008)
                        width = c->entries[i].eax & 0xffff;
        memcpy(c->entries, table, sizeof table);
        c->entries[COUNT - 1].eax = width;
        c->nent = COUNT;
        return c;
}

static void templates_done(struct mv_provider *p, struct kvm_template **list)
{
        while (*list) {
                struct kvm_template *t = *list;
                *list = t->next;
                mv__kvm_template_put(p, t);
        }
}

static struct mv_provider *fini(struct mv_provider *p)
{
        if (!p)
                return NULL;
        mv__kvm_reaper_done(&p->reaper);
        templates_done(p, &p->templates);
        templates_done(p, &p->module_templates);
        mv__wasm_images_done(&p->images);
        if (p->programs)
                mv_provider_process.fini(p->programs);
        pthread_mutex_destroy(&p->lock);
        if (p->pagemap_fd >= 0)
                close(p->pagemap_fd);
        if (p->kvm_fd >= 0)
                close(p->kvm_fd);
        free(p->cpuid);
        free(p);
        return NULL;
}

static int machine_open(struct mv_provider *p, struct mv_err *err)
{
        p->kvm_fd = mv_sys_kvm_open(err);
        if (p->kvm_fd < 0)
                return p->kvm_fd;
        p->pagemap_fd = mv_sys_pagemap_open(err);
        if (p->pagemap_fd < 0)
                return p->pagemap_fd;
        p->pagemap_how = mv_sys_pagemap_probe(p->pagemap_fd);
        p->has_xsave = mv_sys_kvm_extension(p->kvm_fd, KVM_CAP_XSAVE) > 0;
        p->cpuid = cpuid_new(p->kvm_fd, err);
        return p->cpuid ? 0 : -(int)MV_E_SYS;
}

int mv_kvm_init_image(const struct mv_kvm_image *image, uint64_t memory_bytes_default,
                      struct mv_provider **ret, struct mv_err *err)
{
        struct mv_provider *p = calloc(1, sizeof *p);
        if (!p)
                return mv_fail(err, MV_E_NOMEM, 0, "kvm provider");
        *p = (struct mv_provider){ .kvm_fd = -1,
                                   .pagemap_fd = -1,
                                   .pid = getpid(),
                                   .image = *image,
                                   .memory_bytes_default = memory_bytes_default
                                                                   ? memory_bytes_default
                                                                   : MV_DEFAULT_MEMORY_BYTES };
        pthread_mutex_init(&p->lock, NULL);
        mv__kvm_reaper_init(&p->reaper);
        mv__wasm_images_init(&p->images, WASM_FOR_KVM);
        int r = machine_open(p, err);
        if (r < 0) {
                fini(p);
                return r;
        }
        *ret = p;
        return 0;
}

static const char *schema(void)
{
        return "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{"
               "\"memory_bytes\":{\"type\":\"integer\",\"minimum\":1048576,\"maximum\":4294967296,"
               "\"description\":\"memory of a cell whose execution sets no limit\"}}}";
}

static int init(const struct mv_value *config, struct mv_provider **ret, struct mv_err *err)
{
        static const char *const keys[] = { "memory_bytes", NULL };
        int64_t memory = 0;
        int r = mv__config_keys(config, keys, err);
        if (r == 0)
                r = mv__config_int(config, keys[0], (int64_t)KVM_ARENA_BYTES_MIN,
                                   (int64_t)KVM_ARENA_BYTES_MAX, &memory, err);
        if (r == 0)
                r = probe(err);
        struct mv_kvm_image image = mv__kvm_runner();
        return r < 0 ? r : mv_kvm_init_image(&image, (uint64_t)memory, ret, err);
}

/* Every page that is not all zeros, with its number: as good as all of them, and ten times as fast where a processor is emulated. */
static int digest_pages(EVP_MD_CTX *md, const uint8_t *p, size_t bytes)
{
        static const uint8_t zeros[KVM_PAGE];
        int ok = 1;
        for (uint64_t at = 0; ok && at < bytes; at += KVM_PAGE)
                if (memcmp(p + at, zeros, KVM_PAGE) != 0)
                        ok = EVP_DigestUpdate(md, &at, sizeof at) &&
                             EVP_DigestUpdate(md, p + at, KVM_PAGE);
        return ok && EVP_DigestUpdate(md, &bytes, sizeof bytes);
}

static int digest_all(EVP_MD_CTX *md, struct mv_cell *c, const struct kvm_state *s, uint8_t ret[32])
{
        return EVP_DigestInit_ex(md, EVP_sha256(), NULL) &&
               digest_pages(md, c->t->ro, c->t->ro_bytes) &&
               digest_pages(md, c->mem.rw, c->mem.bytes) && EVP_DigestUpdate(md, s, sizeof *s) &&
               EVP_DigestFinal_ex(md, ret, NULL);
}

int mv_kvm_cell_digest(struct mv_cell *c, uint8_t ret[32], struct mv_err *err)
{
        struct kvm_state *s = malloc(sizeof *s);
        EVP_MD_CTX *md = EVP_MD_CTX_new();
        int r = s && md ? mv__kvm_vcpu_load(&c->vcpu) : -ENOMEM;
        if (r < 0)
                r = mv_fail(err, MV_E_SYS, -r, "load the registers of a guest");
        if (r == 0)
                r = mv__kvm_vcpu_save(&c->vcpu, s, err);
        if (r == 0 && !digest_all(md, c, s, ret))
                r = mv_fail(err, MV_E_INTERNAL, 0, "SHA-256 of a guest");
        EVP_MD_CTX_free(md);
        free(s);
        return r;
}

int mv_kvm_cell_try_open(struct mv_cell *c)
{
        mv__kvm_vcpu_start(&c->vcpu, KVM_DO_TRY_OPEN);
        mv__kvm_vcpu_wait(&c->vcpu, UINT64_MAX);
        return c->vcpu.result;
}

const struct mv_provider_ops mv_provider_kvm = {
        .abi = MV_PROVIDER_ABI,
        .name = "kvm",
        .title = "KVM",
        .tier = MV_TIER_VM,
        .features = MV_FEAT_WALL_TIME | MV_FEAT_CPU_TIME | MV_FEAT_MEMORY | MV_FEAT_FUEL |
                    MV_FEAT_OUTPUT | MV_FEAT_SEPARATE_ADDRESS_SPACE | MV_FEAT_SYSCALL_FILTER |
                    MV_FEAT_NO_KERNEL_SHARED | MV_FEAT_RESET | MV_FEAT_SESSION | MV_FEAT_MODULES,
        .probe = probe,
        .init = init,
        .open_cell = mv__kvm_cell_open,
        .run = mv__kvm_cell_run,
        .cancel = mv__kvm_cell_cancel,
        .reset = mv__kvm_cell_reset,
        .close_cell = mv__kvm_cell_close,
        .fini = fini,
        .schema = schema,
        .prepare = mv__kvm_module_prepare,
};
