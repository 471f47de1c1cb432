/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_WASM_LINK_H
#define MV_WASM_LINK_H
#include <stdbool.h>
#include <string.h>

/* A link that might lead outside is not made: others, outside, would follow it. So no ".." in one at all. */
static inline bool wasi_link_stays(const char *target)
{
        for (const char *c = target; *c; c += strspn(c, "/")) {
                size_t n = strcspn(c, "/");
                if (n == 2 && memcmp(c, "..", 2) == 0)
                        return false;
                c += n;
        }
        return target[0] != '/';
}

#endif
