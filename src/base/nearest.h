/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_BASE_NEAREST_H
#define MV_BASE_NEAREST_H
/* How far two names are apart, for "did you mean". */
#include <microvm/value.h>

/* Longer texts are not slips of the pen; also bounds the work a guest can cause per unknown
 * name. */
#define MV_NEAREST_TEXT_MAX 64

/* Levenshtein distance; UINT32_MAX when it is greater than `most` or a text is longer than
 * MV_NEAREST_TEXT_MAX bytes. Costs a guest's unknown name at most (2 most + 1) len steps. */
unsigned mv_edit_distance(struct mv_slice a, struct mv_slice b, unsigned most);
/* The greatest distance at which a name of `len` bytes still is a slip. */
unsigned mv_edit_tolerance(size_t len);

#endif
