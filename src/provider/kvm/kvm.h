/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_PROVIDER_KVM_H
#define MV_PROVIDER_KVM_H
/* The kvm provider: a microVM without a kernel. Where everything lies is in wire/kvm_door.h.
 *
 *   image.c     the ring-3 program: an ELF file taken apart, bounds checked
 *   space.c     what the guest cannot reach: page tables, descriptor tables, exception stubs
 *   memory.c    a cell's private memory: mapping, finding what was written, restoring it
 *   vcpu.c      the confined thread that enters the guest, and the hand-over between it and the caller
 *   template.c  boots an image once and keeps what it became
 *   cell.c      a run: doorbells, frames, deadlines, faults
 *   module.c    WebAssembly modules: another image, other doorbells, an exit code
 *   files.c     the files of a module: a process in a cell beside the microVM
 *   reaper.c    takes closed cells apart
 *   kvm.c       the provider table
 *
 * (1) The guest runs in ring 3 only. Ring 0 executes one instruction per exception: the store that reports it.
 * (2) The way out is one store to the doorbell page; every other exit ends the cell.
 * (3) Every run starts from the template's registers, loaded by the thread that enters the guest, and from memory equal
 *     to the template's: a run on a used cell that was not reset is refused.
 * (4) Bytes in the outbox are copied out once; only the copy is looked at.
 * (5) The thread that runs the guest holds no right but that (sys/vmm_filter.h). The door's callback runs on the caller's
 *     thread. The two never run at the same time: `turn` says whose it is.
 * (6) A kick ends KVM_RUN: immediate_exit is set first, then the signal sent, so that no moment is missed. The signal is
 *     blocked outside KVM_RUN and needs no handler. */
#include <pthread.h>
#include <stdatomic.h>
#include <base/limits.h>
#include <microvm/provider.h>
#include <provider/common.h>
#include <provider/wasm/wasm.h>
#include <sys/clock.h>
#include <sys/futex.h>
#include <sys/kvm.h>
#include <sys/pagemap.h>
#include <wire/kvm_door.h>

#define KVM_PAGE       4096u
#define KVM_LARGE_PAGE (2ull << 20)
static inline uint64_t mv__kvm_large_up(uint64_t n)
{
        return (n + KVM_LARGE_PAGE - 1) & ~(KVM_LARGE_PAGE - 1);
}
/* Smaller than this no evaluator fits; larger than this the page tables do not. */
#define KVM_ARENA_BYTES_MIN (1ull << 20)
#define KVM_ARENA_BYTES_MAX (4ull << 30)
/* Pages of a used cell that stay in place and are restored by copying: a page that is given back costs the guest a fault
 * (about 10 us on a software KVM, 2 us on hardware), a copy 0.1 us. 96 hold what a small program touches; a hostile run
 * can make a kept cell hold 384 KiB. */
#define KVM_KEPT_PAGES_MAX 96
/* When no more can be kept, those that this many runs in a row did not change are given back. */
#define KVM_KEPT_IDLE_RUNS_MAX 8
/* Extents of template content behind a cell; each is one mapping to make and one to take down. */
#define KVM_EXTENTS_MAX 12
/* Templates a provider keeps: one per memory limit in use. */
#define KVM_TEMPLATES_MAX 8
/* What they may hold together; the newest one is kept whatever it holds. */
#define KVM_TEMPLATES_BYTES_MAX (256ull << 20)
/* A module's data when it is ready. A module has at most 4 MiB, a table of its functions six times as much. */
#define KVM_CONTENT_BYTES_MAX (64ull << 20)
/* A library that cannot initialise itself in this time will not. */
#define KVM_BOOT_NS_MAX  5000000000ull
#define KVM_DETAIL_BYTES 160

/* A ring-3 program: a static ELF64 file inside the bounds of wire/kvm_door.h. */
struct mv_kvm_image {
        struct mv_slice elf;
        bool module; /* lies where that has modules; the rest is about those */
        uint8_t key[WASM_KEY_BYTES];
        uint32_t pages;       /* of linear memory, the end of the arena */
        uint64_t boot_ns_max; /* 0: KVM_BOOT_NS_MAX */
};
struct mv_kvm_image mv__kvm_runner(void); /* the evaluator; elf.len 0 when built without it */

/* ---- image.c ---- */
struct kvm_load {
        uint64_t at, bytes, file_at, file_bytes;
        bool write, execute;
};
#define KVM_SEGMENTS_MAX 6
struct kvm_layout {
        uint64_t entry;
        struct kvm_load segments[KVM_SEGMENTS_MAX];
        unsigned count;
};
int mv__kvm_image_layout(const struct mv_kvm_image *image, struct kvm_layout *ret,
                         struct mv_err *err);

/* ---- space.c ---- */
/* Tables and stubs. system: MV_KVM_SYSTEM_BYTES of slot 1, zeroed. */
struct kvm_range {
        uint64_t at, bytes;
};
int mv__kvm_space_build(uint8_t *system, const struct kvm_layout *layout, struct kvm_range arena,
                        struct mv_err *err);
/* ring 3 in 64-bit mode; keeps what it does not know */
void mv__kvm_space_sregs(struct kvm_sregs *s);

/* ---- template.c ---- */
/* of a virtual processor: everything ring 3 can change, and what an exception changes */
struct kvm_state {
        struct kvm_regs regs;
        struct kvm_sregs sregs;
        struct kvm_xsave xsave;
        struct kvm_fpu fpu; /* instead of xsave where the machine has none */
};
struct kvm_extent {
        uint64_t at, bytes, file_at; /* at: offset into slot 1 */
};
struct kvm_template {
        struct kvm_template *next;
        unsigned refs; /* of cells and of the provider's list; under the provider's lock */
        uint64_t arena_bytes;
        bool module;
        uint8_t key[WASM_KEY_BYTES]; /* of a module's image */
        uint64_t ro_at, arena_at;    /* guest addresses */
        uint8_t *ro;                 /* slot 0 */
        uint64_t ro_bytes;
        uint64_t rw_bytes; /* slot 1; the arena is its end, and for a module slot 2 */
        int content_fd;    /* what slot 1 held when the runner was ready; sealed */
        uint8_t *content;
        uint64_t content_bytes;
        struct kvm_extent extents[KVM_EXTENTS_MAX];
        unsigned extents_count;
        struct kvm_state state;
};
/* ---- reaper.c ---- */
#define KVM_REAP_MAX 2
struct kvm_reaper {
        pthread_mutex_t lock;
        pthread_cond_t work, idle;
        struct mv_cell *waiting; /* by next_closed */
        unsigned count;          /* waiting, or being taken apart */
        bool started, stop;
        pthread_t thread;
};
void mv__kvm_reaper_init(struct kvm_reaper *r);
/* False: the cell stays the caller's. */
bool mv__kvm_reaper_take(struct kvm_reaper *r, struct mv_cell *c);
void mv__kvm_reaper_wait(struct kvm_reaper *r); /* until none waits: for tests */
void mv__kvm_reaper_done(struct kvm_reaper *r); /* when no cell is open any more */

struct mv_provider {
        int kvm_fd, pagemap_fd;
        pid_t pid; /* descriptors above describe this process only */
        enum mv_pagemap_how pagemap_how;
        bool has_xsave;
        struct mv_kvm_image image;
        uint64_t memory_bytes_default;
        struct kvm_cpuid2 *cpuid;
        pthread_mutex_t lock;
        struct kvm_template *templates, *module_templates;
        struct kvm_reaper reaper;
        struct mv__wasm_images images;
        struct mv_provider *programs; /* a process provider, made when the first module comes */
};
/* HOSTILE, UNAVAILABLE: the image is no ring-3 program, or does not get ready. */
int mv__kvm_template_get(struct mv_provider *p, const struct mv_kvm_image *image,
                         uint64_t arena_bytes, struct kvm_template **ret, struct mv_err *err);
void mv__kvm_template_put(struct mv_provider *p, struct kvm_template *t);
/* The template's bytes of one page of slot 1; NULL: zeros. */
const uint8_t *mv__kvm_template_page(const struct kvm_template *t, uint64_t at);

/* ---- memory.c ---- */
struct kvm_memory {
        uint8_t *rw;
        uint64_t bytes;
        uint8_t *kept; /* per page: 0 not kept, else 1 + runs since it was last written */
        unsigned kept_count;
};
int mv__kvm_memory_map(struct kvm_memory *m, const struct kvm_template *t, struct mv_err *err);
void mv__kvm_memory_done(struct kvm_memory *m);
int mv__kvm_memory_owned(const struct mv_provider *p, const struct kvm_memory *m,
                         uint64_t *ret_bytes, struct mv_err *err);
int mv__kvm_memory_restore(const struct mv_provider *p, struct kvm_memory *m,
                           const struct kvm_template *t, struct mv_err *err);

/* ---- vcpu.c ---- */
enum kvm_command { KVM_DO_RUN, KVM_DO_RESUME, KVM_DO_SETTLE, KVM_DO_TRY_OPEN, KVM_DO_END };
struct kvm_vcpu {
        int vm_fd, fd;
        struct kvm_run *run;
        size_t run_bytes;
        bool has_xsave;
        const struct kvm_state *state; /* what every run starts from */
        /* an exception was delivered: its traces are to be cleared before the next run */
        bool faulted;
        /* KVM may hold half an access of the guest's: finished before registers are loaded */
        bool unsettled;
        pthread_t thread;
        bool thread_started;
        pid_t tid;
        uint32_t turn, vmm_sleeps, caller_sleeps; /* turn: enum in vcpu.c; futex words */
        enum kvm_command command;
        int result; /* of the last command: 0 or -errno */
        int filter_result;
        struct mv_err filter_err;
};
int mv__kvm_vcpu_open(struct mv_provider *p, struct kvm_vcpu *v, const struct kvm_template *t,
                      uint8_t *rw, struct mv_err *err);
void mv__kvm_vcpu_done(struct kvm_vcpu *v);
void mv__kvm_vcpu_start(struct kvm_vcpu *v, enum kvm_command command);
/* Whether the thread is done with the command; sleeps until then, but not past until_ns
 * (CLOCK_MONOTONIC). */
bool mv__kvm_vcpu_wait(struct kvm_vcpu *v, uint64_t until_ns);
void mv__kvm_vcpu_kick(struct kvm_vcpu *v); /* any thread; a later start undoes it */
uint64_t mv__kvm_vcpu_cpu_ns(const struct kvm_vcpu *v);
int mv__kvm_vcpu_load(struct kvm_vcpu *v); /* template registers; 0 or -errno */
int mv__kvm_vcpu_save(const struct kvm_vcpu *v, struct kvm_state *ret, struct mv_err *err);

/* ---- cell.c ---- */
struct mv_cell {
        struct mv_provider *p;
        struct kvm_template *t;
        struct kvm_memory mem;
        struct kvm_vcpu vcpu;
        uint32_t cancelled; /* atomic; stays set until reset */
        bool used;          /* ran since it was opened or reset */
        uint8_t *copy;      /* frames, copied out of the outbox */
        size_t copy_bytes;
        struct kvm_module *module; /* NULL: the evaluator */
        struct mv_cell *next_closed;
};
/* What the guest asked with its doorbell, or how it died: then died is true and detail says of
 * what. */
struct kvm_stop {
        bool died;
        bool interrupted;
        bool page_fault;
        uint64_t fault_at;
        unsigned op;
        uint64_t bytes;
        char detail[KVM_DETAIL_BYTES];
};
void mv__kvm_stop_read(struct mv_cell *c, struct kvm_stop *ret);

/* ---- for tests ---- */
/* A provider over another image. memory_bytes_default: 0 for MV_DEFAULT_MEMORY_BYTES. */
int mv_kvm_init_image(const struct mv_kvm_image *image, uint64_t memory_bytes_default,
                      struct mv_provider **ret, struct mv_err *err);
/* SHA-256 over all guest memory and the registers the next run starts from. */
int mv_kvm_cell_digest(struct mv_cell *c, uint8_t ret[32], struct mv_err *err);
/* What open("/dev/null") says on the thread that runs the guest: 0 or -errno. */
int mv_kvm_cell_try_open(struct mv_cell *c);

/* Static. */
const char *mv_kvm_backend(void);

#endif
