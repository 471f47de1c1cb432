/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_PROVIDER_MOCK_TEXTS_H
#define MV_PROVIDER_MOCK_TEXTS_H
/* What the mock provider answers where nothing is evaluated. */
#include <base/arena.h>
#include <microvm/execute.h>

/* The words for programs that are not RTFS, and for a capability without a program (REQ-MOCK-03, -05). false, and an empty
 * text, for RTFS source and native functions: those really run. Cut at cap. */
bool mv_mock_text(const struct mv_execution *x, char *buf, size_t cap);

/* The drafted replies of capabilities (REQ-MOCK-08): fixed, simulated, without an effect. args: VECTOR or NULL. NULL: no
 * row for this id, or the arena is full. */
const struct mv_value *mv_mock_value(const char *capability_id, const struct mv_value *args,
                                     struct mv_arena *a);

#endif
