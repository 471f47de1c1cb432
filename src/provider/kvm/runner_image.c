/* SPDX-License-Identifier: Apache-2.0 */
/* The ring-3 runner, embedded when the library is built (src/guest/meson.build); empty in a
 * build without musl. */
#include "kvm.h"

extern const uint8_t mv__runner_kvm[], mv__runner_kvm_end[];

struct mv_kvm_image mv__kvm_runner(void)
{
        return (struct mv_kvm_image){ { mv__runner_kvm,
                                        (size_t)(mv__runner_kvm_end - mv__runner_kvm) } };
}
