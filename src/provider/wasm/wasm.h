/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_PROVIDER_WASM_H
#define MV_PROVIDER_WASM_H
/* The wasm provider: WebAssembly compiled ahead of time, inside a process cell. docs/design/wasm.md.
 *
 *   module.c   what a module asks for, read from its bytes before anything else looks at them
 *   compile.c  wasm2c and the C compiler, in a cell of their own
 *   cache.c    compiled modules on disk
 *   images.c   compiled modules in memory
 *   ending.c   what an exit code says
 *   wasm.c     the provider table
 *
 * All but the last are the kvm provider's as well: it runs modules as ring-3 images (provider/kvm/module.c).
 *
 * (1) Every cell of this provider is a cell of the process provider: what holds a program there holds a module
 *     here, and WebAssembly's own bounds are a wall inside that one.
 * (2) No tool that reads a module runs outside a cell.
 * (3) Machine code that was kept is run only when it is what was written: digest, owner, mode. */
#include <pthread.h>
#include <microvm/provider.h>

#define WASM_PAGE_BYTES       65536u
#define WASM_PAGES_MAX        65535u
#define WASM_STACK_PAGES      64u
#define WASM_KEY_BYTES        32
#define WASM_IMAGE_BYTES_MAX  ((size_t)64 << 20)
#define WASM_IMAGES_KEPT      8 /* in memory, per provider */
#define WASM_COMPILE_WALL_NS  60000000000ull
#define WASM_COMPILE_MEMORY   ((uint64_t)1 << 30)
#define WASM_COMPILE_TEXT_MAX 4096 /* of what the tools say, in an error */

/* What machine code is made for. */
enum mv__wasm_target {
        WASM_FOR_PROCESS, /* a static Linux program */
        WASM_FOR_KVM,     /* a ring-3 image: wire/kvm_door.h */
};

/* ---- module.c ---- */
struct mv__wasm_module {
        bool uses_wasi, uses_microvm, has_memory;
        bool has_start;        /* a function that runs at instantiation */
        uint32_t memory_pages; /* at its start */
};
/* INVALID with the words of REQ-WASM-03. */
int mv__wasm_module_read(struct mv_slice bytes, struct mv__wasm_module *ret, struct mv_err *err);

/* ---- compile.c ---- */
/* Are the tools there? UNAVAILABLE names the package. */
int mv__wasm_tools(enum mv__wasm_target target, struct mv_err *err);
/* A static executable; malloc'ed. INVALID: the module's fault. programs: a process provider. */
int mv__wasm_compile(struct mv_provider *programs, enum mv__wasm_target target,
                     struct mv_slice module, struct mv_slice *ret, struct mv_err *err);
/* Of the module and of everything its machine code depends on. *ret_seed: of the module's bytes alone. */
int mv__wasm_key(enum mv__wasm_target target, struct mv_slice module, uint8_t ret[WASM_KEY_BYTES],
                 uint64_t *ret_seed, struct mv_err *err);

/* ---- cache.c ---- */
/* false: not there, or not what was written. The bytes are malloc'ed. */
bool mv__wasm_cache_read(const uint8_t key[WASM_KEY_BYTES], struct mv_slice *ret);
/* Failing is no error: it is compiled again next time. */
void mv__wasm_cache_write(const uint8_t key[WASM_KEY_BYTES], struct mv_slice image);

/* ---- images.c ---- */
struct mv__wasm_image {
        struct mv__wasm_image *next;
        unsigned refs; /* of cells that open, and of the list; under the lock */
        uint8_t key[WASM_KEY_BYTES];
        uint64_t
                seed; /* random numbers follow from the module's bytes, whatever runs it (wasm/wasi.c) */
        struct mv_slice bytes;
};
struct mv__wasm_images {
        enum mv__wasm_target target;
        pthread_mutex_t lock;
        struct mv__wasm_image *newest;
};
void mv__wasm_images_init(struct mv__wasm_images *s, enum mv__wasm_target target);
void mv__wasm_images_done(struct mv__wasm_images *s);
/* From memory, from disk, or compiled by `programs`, a process provider. mv__wasm_image_put is owed. */
int mv__wasm_image_get(struct mv__wasm_images *s, struct mv_provider *programs,
                       struct mv_slice module, struct mv__wasm_image **ret, struct mv_err *err);
void mv__wasm_image_put(struct mv__wasm_images *s, struct mv__wasm_image *i);

/* ---- ending.c ---- */
/* Pages of linear memory under these limits; configured_pages: 0 for none of its own. */
uint32_t mv__wasm_pages(const struct mv_limits *l, uint32_t configured_pages);
/* An exit code above 125 is the runtime's: says which trap, or which limit. */
void mv__wasm_explain(struct mv_exit *x, uint32_t memory_pages);

#endif
