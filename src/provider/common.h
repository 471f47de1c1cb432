/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_PROVIDER_COMMON_H
#define MV_PROVIDER_COMMON_H
/* What every provider does the same way: the boundary gate and reading its configuration. */
#include <sys/clock.h>
#include <base/err.h>
#include <microvm/provider.h>

/* REQ-PRV-09: a run for a capability needs that capability among its permissions. DENIED
 * otherwise. */
int mv__provider_gate(const struct mv_run *run, struct mv_err *err);

/* Configuration: a map with text keys, or NULL. INVALID names the key, what it holds and what it may hold. Keys are
 * NULL-terminated. An absent key leaves *ret alone, so the caller puts the default there first. */
int mv__config_keys(const struct mv_value *config, const char *const *known, struct mv_err *err);
int mv__config_int(const struct mv_value *config, const char *key, int64_t min, int64_t max,
                   int64_t *ret, struct mv_err *err);
int mv__config_choice(const struct mv_value *config, const char *key, const char *const *choices,
                      unsigned *ret_index, struct mv_err *err);

#endif
