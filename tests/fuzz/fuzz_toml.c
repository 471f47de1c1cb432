/* SPDX-License-Identifier: Apache-2.0 */
/* TOML of any bytes: reading ends, and says where it failed. */
#include <config/forms.h>
#include <stdlib.h>

#define MUST(x) ((x) ? (void)0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
        struct mv_arena a = mv_arena_grow(64 << 20);
        struct mv_form f;
        struct mv_syntax_error error = { 0 };
        struct mv_err err;
        int r = mv__read_toml((struct mv_slice){ data, len }, &a, &f, &error, &err);
        MUST(r == 0 ? f.kind == MV_MAP && f.count % 2 == 0
                    : r == -MV_E_LIMIT || (error.line && error.message[0]));
        mv_arena_done(&a);
        return 0;
}
