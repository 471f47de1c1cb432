/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_CONFIG_LEXICAL_H
#define MV_CONFIG_LEXICAL_H
/* Words of a configuration: spellings, nearest names, durations, digests, pins. */
#include <config/schema.h>

#define MV_DURATION_SECONDS_MAX 1000000000
/* "a, b or c" of "a|b|c". */
void mv__choice_list(const char *choices, char *ret, size_t cap);
void mv__nearest_field(struct mv_slice written, const struct mv_section *s, char *ret, size_t cap);
const char *
mv__check_hint(enum mv_field_check check); /* how a valid text looks; NULL: nothing to add */
void mv__digest_text(struct mv_slice bytes, char ret[72]); /* as mv__is_digest wants it */
bool mv__is_digest(struct mv_slice text);                  /* sha256: and 64 hexadecimal digits */

#endif
