/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_SYS_FUTEX_H
#define MV_SYS_FUTEX_H
/* Sleep while *word holds `seen`. Spurious returns are allowed: callers look again. Threads:
 * any. */
#include <stdint.h>

/* until_ns: CLOCK_MONOTONIC; UINT64_MAX: for ever. */
void mv_sys_futex_wait(const uint32_t *word, uint32_t seen, uint64_t until_ns);
void mv_sys_futex_wake_all(const uint32_t *word);

#endif
