/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_HOST_EGRESS_H
#define MV_HOST_EGRESS_H
/* The host's side of an execution's proxy (egress.c). */
#include <host/exec.h>

struct mv__egress;

/* Does this context let a program reach any host at all? */
bool mv__egress_granted(const struct mv_context *c);
/* Uses the execution's context, broker and tap until the end. */
int mv__egress_new(struct mv__exec *e, struct mv__egress **ret, struct mv_err *err);
const struct mv_egress_server *mv__egress_face(const struct mv__egress *g);
/* The program has ended: what its connections moved is recorded. NULL is harmless. */
int mv__egress_end(struct mv__egress *g, struct mv_err *err);
struct mv__egress *mv__egress_free(struct mv__egress *g);

#endif
