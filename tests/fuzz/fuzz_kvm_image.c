/* SPDX-License-Identifier: Apache-2.0 */
/* A ring-3 image from nobody: what is accepted lies where it may, page by page, and its page tables can be made. */
#include <assert.h>
#include <stdlib.h>
#include <provider/kvm/kvm.h>

static void accepted(const struct kvm_layout *l, const struct mv_kvm_image *image)
{
        const uint64_t text = image->module ? MV_KVM_MODULE_TEXT : MV_KVM_TEXT,
                       text_end = image->module ? MV_KVM_MODULE_TEXT_END : MV_KVM_TEXT_END;
        assert(l->count <= KVM_SEGMENTS_MAX);
        for (unsigned i = 0; i < l->count; i++) {
                const struct kvm_load *g = &l->segments[i];
                assert(!(g->write && g->execute));
                assert(g->file_at <= image->elf.len &&
                       g->file_bytes <= image->elf.len - g->file_at);
                assert(g->at >= (g->write ? MV_KVM_DATA : text));
                assert(g->at + g->bytes <= (g->write ? MV_KVM_DATA_END : text_end));
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        for (int module = 0; module < 2; module++) {
                struct mv_kvm_image image = { .elf = { data, size }, .module = module };
                struct kvm_layout l;
                struct mv_err err;
                if (mv__kvm_image_layout(&image, &l, &err) < 0) {
                        assert(err.code == MV_E_HOSTILE);
                        continue;
                }
                accepted(&l, &image);
                uint8_t *system = calloc(1, MV_KVM_SYSTEM_BYTES);
                struct kvm_range arena = { module ? MV_KVM_MODULE_ARENA : MV_KVM_ARENA, 4u << 20 };
                assert(system);
                (void)mv__kvm_space_build(system, &l, arena, &err);
                free(system);
        }
        return 0;
}
