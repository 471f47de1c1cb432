/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WASM_RT_H_
#define WASM_RT_H_
/* What C that wasm2c (wabt 1.0.32) wrote expects of a runtime; the names are wabt's. rt.c implements it.
 *
 * (1) Linear memory is bounds-checked by the memory management unit where MV_WASM_GUARDED is 1: every
 *     32-bit address plus 32-bit offset falls into a reservation of 8 GiB and one page of 64 KiB. Else by
 *     a comparison at each access.
 * (2) Exceptions, threads and several memories are not translated: wasm2c is not asked for them. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define UNLIKELY(x)                   __builtin_expect(!!(x), 0)
#define LIKELY(x)                     __builtin_expect(!!(x), 1)
#define wasm_rt_memcpy                __builtin_memcpy
#define wasm_rt_unreachable           __builtin_unreachable
#define WASM_RT_USE_STACK_DEPTH_COUNT 0 /* the stack ends at a page that is not there */
#ifndef MV_WASM_GUARDED
#define MV_WASM_GUARDED 1
#endif
#define WASM_RT_MEMCHECK_SIGNAL_HANDLER MV_WASM_GUARDED

typedef enum {
        WASM_RT_TRAP_NONE,
        WASM_RT_TRAP_OOB,
        WASM_RT_TRAP_INT_OVERFLOW,
        WASM_RT_TRAP_DIV_BY_ZERO,
        WASM_RT_TRAP_INVALID_CONVERSION,
        WASM_RT_TRAP_UNREACHABLE,
        WASM_RT_TRAP_CALL_INDIRECT,
        WASM_RT_TRAP_UNCAUGHT_EXCEPTION,
        WASM_RT_TRAP_EXHAUSTION,
} wasm_rt_trap_t;

typedef enum {
        WASM_RT_I32,
        WASM_RT_I64,
        WASM_RT_F32,
        WASM_RT_F64,
        WASM_RT_FUNCREF,
        WASM_RT_EXTERNREF,
} wasm_rt_type_t;

typedef void (*wasm_rt_function_ptr_t)(void);
typedef struct {
        uint32_t func_type;
        wasm_rt_function_ptr_t func;
        void *module_instance;
} wasm_rt_funcref_t;
static const wasm_rt_funcref_t wasm_rt_funcref_null_value = { 0, NULL, NULL };
typedef void *wasm_rt_externref_t;
static const wasm_rt_externref_t wasm_rt_externref_null_value = NULL;

typedef struct {
        uint8_t *data;
        uint32_t pages, max_pages;
        uint32_t size; /* bytes; 65536 pages would not fit, so there are never more than 65535 */
} wasm_rt_memory_t;
typedef struct {
        wasm_rt_funcref_t *data;
        uint32_t max_size, size;
} wasm_rt_funcref_table_t;
typedef struct {
        wasm_rt_externref_t *data;
        uint32_t max_size, size;
} wasm_rt_externref_table_t;

bool wasm_rt_is_initialized(void);
__attribute__((noreturn)) void wasm_rt_trap(wasm_rt_trap_t trap);
uint32_t wasm_rt_register_func_type(uint32_t params, uint32_t results, ...);
void wasm_rt_allocate_memory(wasm_rt_memory_t *m, uint32_t initial_pages, uint32_t max_pages);
uint32_t wasm_rt_grow_memory(wasm_rt_memory_t *m, uint32_t pages);
void wasm_rt_free_memory(wasm_rt_memory_t *m);
void wasm_rt_allocate_funcref_table(wasm_rt_funcref_table_t *t, uint32_t elements,
                                    uint32_t max_elements);
void wasm_rt_free_funcref_table(wasm_rt_funcref_table_t *t);
void wasm_rt_allocate_externref_table(wasm_rt_externref_table_t *t, uint32_t elements,
                                      uint32_t max_elements);
void wasm_rt_free_externref_table(wasm_rt_externref_table_t *t);
uint32_t wasm_rt_grow_funcref_table(wasm_rt_funcref_table_t *t, uint32_t delta,
                                    wasm_rt_funcref_t init);
uint32_t wasm_rt_grow_externref_table(wasm_rt_externref_table_t *t, uint32_t delta,
                                      wasm_rt_externref_t init);

#endif
