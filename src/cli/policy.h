/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_CLI_POLICY_H
#define MV_CLI_POLICY_H
#include <cli/cli.h>
#include <config/context.h>

struct cli_policy { /* what --policy and --agent say; either may be absent */
        bool loaded;
        struct mv_settings_file file;
        struct mv_policy_settings settings;
        bool has_agent;
        struct mv_agent_file agent;
        struct mv_agent_grants grants;
};
/* The context that the files and the options give. DENIED: an option would widen the file, or the agent the settings. p is kept for explaining;
 * cli_policy_done also after a failure. */
int cli_policy_context(const struct cli_options *o, struct cli_policy *p, struct mv_context **ret,
                       struct mv_err *err);
/* Gives the providers of this machine the configurations of the file. One that is not available
 * keeps its reason. */
int cli_policy_providers(const struct cli_policy *p, struct mv_host *h, struct mv_err *err);
void cli_policy_done(struct cli_policy *p);
/* The file that options choose from. */
const char *cli_policy_name(const struct cli_policy *p);
/* May the option of that name ask for this? DENIED: it would widen what the files give. */
int cli_policy_covers(const struct cli_policy *p, const char *option, const char *text,
                      struct mv_err *err);
/* Its wall and tier, unless an option names a stronger tier or another wall; the tier is never lowered. */
int cli_policy_wall(const struct cli_options *o, const struct cli_policy *p, struct mv_host *h,
                    struct mv_execution *x, struct mv_err *err);

/* Reads the files again and takes what they say now for the request, whole or not at all. Providers keep the
 * configuration that they were started with. */
int cli_policy_reload(const struct cli_options *o, struct cli_request *q, struct mv_err *err);

/* --- --agent (agent.c) ------------------------------------------------------------------------ */
int cli_agent_load(const char *path, struct cli_policy *p, struct mv_err *err);
/* What the configuration says about this program: its digest, its wall, who must agree. Prints what is not given. */
int cli_agent_admit(const struct cli_options *o, const struct cli_policy *p, struct mv_host *h,
                    struct mv_execution *x, struct mv_err *err);
/* Where the record goes; NULL: where the options say. DENIED: they would lose it. */
int cli_agent_audit(const struct cli_options *o, const struct cli_policy *p, const char **ret,
                    struct mv_err *err);
/* Who is on record: the agent, and the files. Its texts are those of q->policy. */
void cli_behalf(struct cli_request *q);
/* The line of the file that a decision's rule comes from, or NULL. */
const struct mv_origin *cli_policy_origin(const struct cli_policy *p, const char *rule);

#endif
