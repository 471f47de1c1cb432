/* SPDX-License-Identifier: Apache-2.0 */
/* Reading of a WebAssembly module's sections: no input is more than refused, and what is accepted has its shape. */
#include <assert.h>
#include <string.h>
#include <provider/wasm/wasm.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct mv__wasm_module m = { 0 };
        struct mv_err err;
        int r = mv__wasm_module_read((struct mv_slice){ data, size }, &m, &err);
        if (r < 0)
                assert(err.code == MV_E_INVALID && strstr(err.msg, "WASM"));
        else
                assert(size >= 8 && memcmp(data, "\0asm", 4) == 0);
        return 0;
}
