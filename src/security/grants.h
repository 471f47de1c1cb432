/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_SECURITY_GRANTS_H
#define MV_SECURITY_GRANTS_H
/* Building grant lists; texts are canonical already (security/lexical.h). mv__grants_find is in
 * security.h. */
#include <security/security.h>

/* an entry that is there is success */
int mv__grants_add(struct mv_grant_list *l, const char *text, struct mv_err *err);
int mv__grants_copy(struct mv_grant_list *to_empty, const struct mv_grant_list *from,
                    struct mv_err *err);
void mv__grants_remove(struct mv_grant_list *l, const char *text);
void mv__grants_remove_prefix(struct mv_grant_list *l, const char *prefix);
/* the last entry that is not above the text, or NULL */
const char *mv__grants_before(const struct mv_grant_list *l, const char *text);
/* first entry, or NULL */
const char *mv__grants_find_prefix(const struct mv_grant_list *l, const char *prefix);
void mv__grants_done(struct mv_grant_list *l);
/* The entry that covers a capability id: the id itself or a "prefix.*"; NULL: none. */
const char *mv__grants_cover(const struct mv_grant_list *l, const char *id);

#endif
