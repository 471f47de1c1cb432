/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MICROVM_H
#define MICROVM_H
/* Everything: include this. Link with `pkg-config --cflags --libs microvm`. */
#include <microvm/ast.h>
#include <microvm/audit.h>
#include <microvm/capability.h>
#include <microvm/context.h>
#include <microvm/error.h>
#include <microvm/execute.h>
#include <microvm/language.h>
#include <microvm/provider.h>
#include <microvm/resume.h>
#include <microvm/session.h>
#include <microvm/settings.h>
#include <microvm/value.h>

#define MICROVM_VERSION "0.1.0"

#endif
