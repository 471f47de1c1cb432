/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MICROVM_LANGUAGE_H
#define MICROVM_LANGUAGE_H
/* The words of the language, from the tables that define them: for completion, help and documentation.
 * Threads: any. Ownership: every text is the library's and lives as long as it. */
#include <stdbool.h>
#include <stdint.h>

struct mv_language_name {
        const char *name;
        /* how it is written; of a builtin the arguments only: "coll key default?" */
        const char *syntax;
        const char *doc; /* one or two sentences */
        const char *result, *errors;
        const char *example, *gives; /* a program and the display form of its value */
        bool special;                /* a special form, not a value */
        bool prelude;                /* one of the names that exist with the CCOS prelude only */
};
/* The name number `index`, in no particular order. false: there are not so many. */
bool mv_language_name_at(uint32_t index, struct mv_language_name *ret);
/* By name; false: it is none of the language's. */
bool mv_language_name_find(const char *name, struct mv_language_name *ret);

#endif
