/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_SYS_CLOCK_H
#define MV_SYS_CLOCK_H
/* Deadlines are CLOCK_MONOTONIC nanoseconds everywhere. */
#include <stdint.h>

uint64_t mv__now_ns(void);

#endif
