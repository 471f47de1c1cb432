/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_RTFS_SPECIAL_FORMS_H
#define MV_RTFS_SPECIAL_FORMS_H
/* One row for every word that heads a special form: what the compiler makes of it, and its
 * documentation (docs.h). */
#include <stdint.h>

enum special {
        S_NONE,
        /* these mean the same everywhere */
        S_LET,
        S_IF,
        S_DO,
        S_FN,
        S_DEF,
        S_DEFN,
        S_DEFMACRO,
        S_DEFSTRUCT,
        S_DEFTYPE,
        S_TRY,
        S_MATCH,
        S_FOR,
        S_DOTIMES,
        S_LOOP,
        S_RECUR,
        S_QUOTE,
        S_QUASIQUOTE,
        S_UNQUOTE,
        S_CONTEXT,
        S_META,
        S_HINTS,
        S_DELEGATE,
        /* these give way to a local variable or a definition of the program with the same name */
        S_SHADOWABLE_,
        S_AND,
        S_OR,
        S_WHEN,
        S_WHEN_NOT,
        S_IF_NOT,
        S_IF_LET,
        S_WHEN_LET,
        S_COND,
        S_CASE,
        S_THREAD_FIRST,
        S_THREAD_LAST,
        S_GET,
        S_STEP,
        S_SECURITY_PROFILE,
        S_STEP_IF,
        S_STEP_LOOP,
        S_STEP_PARALLEL,
        S_REJECTED,
        S_PLAN,
        S_MODULE,
        S_IMPORT,
        S_LLM,
        S_THROW,
        S_UPDATE,
};

struct special_form {
        const char *word;
        uint8_t special;
        /* NULL: a word the reader makes, or documented as a function */
        const char *syntax, *doc, *example, *gives, *result, *errors;
};
extern const struct special_form special_forms[]; /* ends with a word of NULL */

#endif
