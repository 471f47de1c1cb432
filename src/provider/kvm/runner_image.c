/* SPDX-License-Identifier: Apache-2.0 */
/* The ring-3 runner, embedded when the library is built (src/guest/meson.build). Weak: a build without musl has none. */
#include "kvm.h"

extern const uint8_t mv__kvm_runner_elf[] __attribute__((weak)), mv__kvm_runner_elf_end[] __attribute__((weak));

struct mv_kvm_image mv__kvm_runner(void)
{
        return (struct mv_kvm_image){ { mv__kvm_runner_elf,
                                        (size_t)(mv__kvm_runner_elf_end - mv__kvm_runner_elf) } };
}
