/* SPDX-License-Identifier: Apache-2.0 */
/* Takes an ELF file apart. It is ours, compiled into the library, or what a compiler made of somebody's module; it is
 * checked like any other input, because a wrong one would map a guest's bytes where they do not belong.
 *
 * (1) Read-only segments lie in [MV_KVM_TEXT, MV_KVM_TEXT_END), a module's in [MV_KVM_MODULE_TEXT, MV_KVM_MODULE_TEXT_END);
 *     writable ones in [MV_KVM_DATA, MV_KVM_DATA_END).
 * (2) Nothing is writable and executable.
 * (3) No page belongs to two segments: the page tables (space.c) rely on it.
 * (4) What is read-only is in the file whole: zeros that nobody wrote would be memory that nobody counts. */
#include <elf.h>
#include <string.h>
#include <base/cur.h>
#include "kvm.h"

static int segment_read(const Elf64_Phdr *h, const struct mv_kvm_image *image, struct kvm_load *ret,
                        struct mv_err *err)
{
        bool write = h->p_flags & PF_W, execute = h->p_flags & PF_X;
        const uint64_t text = image->module ? MV_KVM_MODULE_TEXT : MV_KVM_TEXT,
                       text_end = image->module ? MV_KVM_MODULE_TEXT_END : MV_KVM_TEXT_END;
        uint64_t low = write ? MV_KVM_DATA : text, high = write ? MV_KVM_DATA_END : text_end;
        size_t file_bytes = image->elf.len;
        if (write && execute)
                return MV_HOSTILE(err, "guest image: a segment is writable and executable");
        if (h->p_offset > file_bytes || h->p_filesz > file_bytes - h->p_offset ||
            h->p_filesz > h->p_memsz)
                return MV_HOSTILE(err, "guest image: segment outside of the file");
        if (h->p_vaddr < low || h->p_vaddr > high || h->p_memsz > high - h->p_vaddr)
                return MV_HOSTILE(err, "guest image: segment outside of its region");
        if (!write && h->p_filesz != h->p_memsz)
                return MV_HOSTILE(err, "guest image: a read-only segment is larger than its bytes");
        *ret = (struct kvm_load){
                h->p_vaddr, h->p_memsz, h->p_offset, h->p_filesz, write, execute
        };
        return 0;
}

static int header_check(const Elf64_Ehdr *h, size_t file_bytes, struct mv_err *err)
{
        if (memcmp(h->e_ident, ELFMAG, SELFMAG) || h->e_ident[EI_CLASS] != ELFCLASS64 ||
            h->e_machine != EM_X86_64 || h->e_type != ET_EXEC ||
            h->e_phentsize != sizeof(Elf64_Phdr))
                return MV_HOSTILE(err, "guest image: not a static x86-64 ELF file");
        if (h->e_phoff > file_bytes ||
            (uint64_t)h->e_phnum * sizeof(Elf64_Phdr) > file_bytes - h->e_phoff)
                return MV_HOSTILE(err, "guest image: program headers outside of the file");
        return 0;
}

static bool overlap(const struct kvm_load *a, const struct kvm_load *b) /* (3) */
{
        const uint64_t page = ~(uint64_t)(KVM_PAGE - 1);
        uint64_t a_end = (a->at + a->bytes + KVM_PAGE - 1) & page,
                 b_end = (b->at + b->bytes + KVM_PAGE - 1) & page;
        return (a->at & page) < b_end && (b->at & page) < a_end;
}

static bool apart(const struct kvm_layout *l)
{
        for (unsigned i = 0; i < l->count; i++)
                for (unsigned k = i + 1; k < l->count; k++)
                        if (overlap(&l->segments[i], &l->segments[k]))
                                return false;
        return true;
}

int mv__kvm_image_layout(const struct mv_kvm_image *image, struct kvm_layout *ret,
                         struct mv_err *err)
{
        struct kvm_layout l = { 0 };
        Elf64_Ehdr h;
        if (image->elf.len < sizeof h)
                return MV_HOSTILE(err, "guest image: too short");
        memcpy(&h, image->elf.p, sizeof h);
        int r = header_check(&h, image->elf.len, err);
        for (unsigned i = 0; r == 0 && i < h.e_phnum; i++) {
                Elf64_Phdr ph;
                memcpy(&ph, image->elf.p + h.e_phoff + i * sizeof ph, sizeof ph);
                if (ph.p_type != PT_LOAD || ph.p_memsz == 0)
                        continue;
                if (l.count == KVM_SEGMENTS_MAX)
                        return MV_HOSTILE(err, "guest image: too many segments");
                r = segment_read(&ph, image, &l.segments[l.count++], err);
        }
        if (r == 0 && !apart(&l))
                r = MV_HOSTILE(err, "guest image: segments overlap");
        if (r < 0)
                return r;
        l.entry = h.e_entry;
        *ret = l;
        return 0;
}
