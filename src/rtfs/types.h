/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_RTFS_TYPES_H
#define MV_RTFS_TYPES_H
/* Type expressions (spec section 4). They are data: a name (keyword or symbol, optional with a
 * trailing `?`), a vector
 * `[:vector T]`, or the list `(? T)`, which the compiler makes of `[...]?`: nil or T. Braced groups
 * are maps or map forms. Inside a vector a symbol `?` behind a type makes that type optional. */
#include <rtfs/vm.h>

/* Is form a type expression as far as one can see from outside? */
bool type_form_looks_like_type(val form);
/* N_ERROR: ParseError, the form is not a type expression. */
enum native_status type_form_check(struct mv_rtfs *r, val form);
/* (deftype Name T): name is a STRING, SYMBOL or KEYWORD. r->aliases maps keywords to type forms. */
enum native_status type_alias_define(struct mv_rtfs *r, val name, val form);

#endif
