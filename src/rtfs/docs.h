/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_RTFS_DOCS_H
#define MV_RTFS_DOCS_H
/* What every special form and builtin does, collected from the tables that define them. Examples are run as tests; the
 * manual page rtfs(7) and docs/language/reference.md are printed from here (tools/rtfs_doc.c). */
#include <stdbool.h>
#include <stdint.h>

struct mv_rtfs_doc {
        const char *name;
        const char *group; /* "Special forms", "Numbers", ... : groups come one after the other */
        /* how it is written; of a builtin the arguments only: "coll key default?" */
        const char *syntax;
        const char *text; /* one or two sentences */
        const char *result, *errors;
        const char *example, *gives; /* a program and the display form of its value */
        bool special, prelude;
};

uint32_t mv_rtfs_doc_count(void);
void mv_rtfs_doc_at(uint32_t i, struct mv_rtfs_doc *ret); /* i < count */
/* By name; false: there is no such name. A form wins over the function of the same name. */
bool mv_rtfs_doc_find(const char *name, struct mv_rtfs_doc *ret);

#endif
