/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_CLI_EXPLAIN_H
#define MV_CLI_EXPLAIN_H
/* Between explain.c and explain_steps.c. */
#include <cli/cli.h>
#include <host/plan.h>

struct cli_steps {
        struct mv__plan *plan; /* NULL: the program is no RTFS; the caller frees it */
        bool denied;           /* a call of the program would be */
        struct mv__entry *own; /* the wall of the run, and of each step that needs no other */
};
struct mv__jsonw;
/* Inspects the program and decides about its calls; plan->known is false when it does not
 * compile. */
int cli_explain_plan(struct cli_request *q, struct cli_steps *ret, struct mv_err *err);
void cli_explain_steps_json(struct cli_request *q, const struct cli_steps *s, struct mv__jsonw *w);
void cli_explain_steps_text(struct cli_request *q, const struct cli_steps *s);

#endif
