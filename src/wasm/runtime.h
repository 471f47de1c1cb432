/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_WASM_RUNTIME_H
#define MV_WASM_RUNTIME_H
/* A module's process from the inside: what its C and this folder share, and the contract with the host.
 *
 * argv of the executable: NAME PAGES_MAX STACK_BYTES CLOCK SEED PREOPENS, then PREOPENS directories as
 * "r/path" or "w/path", then the module's own arguments. CLOCK: "1" asks the host through the door, "0" is a
 * logical clock. SEED: 16 hexadecimal digits. The environment is the module's. */
#include "wasm-rt.h"

/* Of the executable; 0 to 125 are the module's own. */
#define MV_WASM_EXIT_MAX   125
#define MV_WASM_EXIT_TRAP  200 /* + wasm_rt_trap_t */
#define MV_WASM_EXIT_CODE  220 /* proc_exit with more than MV_WASM_EXIT_MAX */
#define MV_WASM_EXIT_SETUP 221 /* the runtime could not prepare itself */
#define MV_WASM_EXIT_FAULT 222 /* a fault outside the linear memory and the stack: a bug of ours */
#define MV_WASM_EXIT_PAGES 223 /* the memory the module starts with is more than it may have */
#define MV_WASM_EXIT_TABLE 224

#define MV_WASM_ARGV_FIXED 6

/* glue.c */
void mv_wasm_instantiate(void);
/* Whether that runs code of the module: its start function. */
bool mv_wasm_runs_at_instantiation(void);
void mv_wasm_start(void);
wasm_rt_memory_t *mv_wasm_memory(void);

#endif
