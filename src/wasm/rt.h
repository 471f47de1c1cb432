/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_WASM_RT_INTERNAL_H
#define MV_WASM_RT_INTERNAL_H
/* Between rt.c, what ends a process (exit.c) and WASI. */
#include "runtime.h"

#define RT_PAGE_BYTES      65536u
#define RT_PAGES_MAX       65535u   /* a size of 65536 pages has no 32-bit number */
#define RT_TABLE_MAX       1000000u /* elements of one table; 24 bytes each */
#define RT_FUNCTION_TYPES  10000u
#define RT_TYPE_VALUES_MAX 1000u /* the binary format's own bound on parameters and results */

/* Before anything else. pages_max: of the linear memory. */
void rt_init(uint32_t pages_max);
/* The reservation, for the fault handler; 0 bytes when the module has no memory. */
void rt_reserved(uintptr_t *ret_at, uint64_t *ret_bytes);

__attribute__((noreturn)) void rt_exit(int code);

#endif
