/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/futex.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

void mv_sys_futex_wait(const uint32_t *word, uint32_t seen, uint64_t until_ns)
{
        struct timespec at = { (time_t)(until_ns / 1000000000u), (long)(until_ns % 1000000000u) };
        /* WAIT_BITSET takes an absolute time, so an early wake-up does not stretch the wait. */
        syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, seen,
                until_ns == UINT64_MAX ? NULL : &at, NULL, FUTEX_BITSET_MATCH_ANY);
}

void mv_sys_futex_wake_all(const uint32_t *word)
{
        syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}
