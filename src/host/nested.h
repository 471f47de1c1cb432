/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_HOST_NESTED_H
#define MV_HOST_NESTED_H
/* What an execution gets that a call of another one starts. See nested.c. */
#include <capability/table.h>

/* The caller frees it. Negative: the call has failed; return that. */
int mv__nested_context(struct mv_call *call, struct mv_context **ret);
struct mv_limits mv__nested_limits(const struct mv_call *call);
/* buf, or NULL: the caller has none, and numbers are the kernel's. */
const char *mv__nested_seed(const struct mv_call *call, char buf[MV_SEED_TEXT_BYTES]);
/* Bytes that a program wrote, as text in the reply's memory; nil when there is none left. */
struct mv_value mv__nested_text(struct mv_call *call, struct mv_slice s);

#endif
