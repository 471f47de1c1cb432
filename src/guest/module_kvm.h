/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_GUEST_MODULE_KVM_H
#define MV_GUEST_MODULE_KVM_H
#include <microvm/value.h>

/* Standard input; it stays where it is. Without this call it is a file. */
void mv_module_input(struct mv_slice bytes);

#endif
