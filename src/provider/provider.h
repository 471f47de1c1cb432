/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_PROVIDER_H
#define MV_PROVIDER_H
/* The built-in providers, in the order they are listed. One const table each, no registration at
 * run time. */
#include <microvm/provider.h>

extern const struct mv_provider_ops mv_provider_mock, mv_provider_landlock, mv_provider_process,
        mv_provider_wasm, mv_provider_gvisor, mv_provider_kvm, mv_provider_firecracker;

#endif
