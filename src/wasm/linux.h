/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_WASM_LINUX_H
#define MV_WASM_LINUX_H
#include "rt.h"

/* The reservation, for the fault handler; 0 bytes when the module has no memory. */
void rt_reserved(uintptr_t *ret_at, uint64_t *ret_bytes);

#endif
