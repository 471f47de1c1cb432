/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled beside each translated module: what the runtime calls it by. The host
 * says on the compiler's command line which of the two import modules it uses, and whether it has a memory and a start
 * function. */
#include "module.h"
#include "imports.h"
#include "runtime.h"

static Z_module_instance_t instance;

void mv_wasm_instantiate(void)
{
        Z_module_init_module();
        Z_module_instantiate(&instance
#if MV_WASM_USES_MICROVM
                             ,
                             NULL
#endif
#if MV_WASM_USES_WASI
                             ,
                             NULL
#endif
        );
}

void mv_wasm_start(void)
{
        Z_moduleZ__start(&instance);
}

bool mv_wasm_runs_at_instantiation(void)
{
        return MV_WASM_HAS_START;
}

wasm_rt_memory_t *mv_wasm_memory(void)
{
#if MV_WASM_HAS_MEMORY
        return Z_moduleZ_memory(&instance);
#else
        return NULL;
#endif
}
