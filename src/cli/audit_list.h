/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_CLI_AUDIT_LIST_H
#define MV_CLI_AUDIT_LIST_H
#include <audit/audit.h>
#include <cli/cli.h>

/* The executions of a store, oldest first. An exit code. */
int cli_audit_list(const struct cli_options *o, const char *path);

#endif
