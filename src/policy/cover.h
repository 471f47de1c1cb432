/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_POLICY_COVER_H
#define MV_POLICY_COVER_H
#include <security/security.h>

enum mv_grant_kind {
        MV_GRANT_CAPABILITY,
        MV_GRANT_READ,
        MV_GRANT_WRITE,
        MV_GRANT_HOST,
        MV_GRANT_DENY_HOST,
        MV_GRANT_ENV,
        MV_GRANT_KINDS,
        MV_ORIGIN_RULE = MV_GRANT_KINDS /* no grant, but it stands in a line too */
};
/* May this grant be asked for under the context? The texts are as mv_context_allow* take them. */
bool mv_grant_covered(const struct mv_context *c, enum mv_grant_kind kind, const char *text);
int mv__grant(struct mv_context *c, enum mv_grant_kind kind, const char *text, struct mv_err *err);
struct mv_grant_list *mv__grant_list(struct mv_context *c, enum mv_grant_kind kind);
void mv__grants_clear(struct mv_context *c, enum mv_grant_kind kind);
/* Of one kind, what both a and b grant, each entry of one that the other covers, replaces what `to` grants; `to` is
 * neither of them. */
int mv__intersect_kind(struct mv_context *to, const struct mv_context *a,
                       const struct mv_context *b, enum mv_grant_kind kind, struct mv_err *err);
/* What one capability sees somewhere else holds in `to` as well, besides what it sees there. */
int mv__take_narrowing(struct mv_context *to, const struct mv_narrowing *n, struct mv_err *err);

#endif
