/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_CLI_POLICY_H
#define MV_CLI_POLICY_H
#include <cli/cli.h>
#include <config/settings.h>

struct cli_policy {
        bool loaded;
        struct mv_settings_file file;
        struct mv_policy_settings settings;
};
/* The context that the file and the options give. DENIED: an option would widen the file. p is kept for explaining;
 * cli_policy_done also after a failure. */
int cli_policy_context(const struct cli_options *o, struct cli_policy *p, struct mv_context **ret,
                       struct mv_err *err);
/* Gives the providers of this machine the configurations of the file. One that is not available
 * keeps its reason. */
int cli_policy_providers(const struct cli_policy *p, struct mv_host *h, struct mv_err *err);
void cli_policy_done(struct cli_policy *p);
/* The line of the file that a decision's rule comes from, or NULL. */
const struct mv_origin *cli_policy_origin(const struct cli_policy *p, const char *rule);

#endif
