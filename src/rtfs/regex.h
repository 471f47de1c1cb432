/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_RTFS_REGEX_H
#define MV_RTFS_REGEX_H
/* Regular expressions in linear time (spec 7.4): RE2-like syntax, Unicode by code point,
 * leftmost-first. No back-references, no look-around. Freestanding; the caller provides all
 * memory. */
#include <base/slice.h>

#define REGEX_PROGRAM_MAX 8192 /* instructions: what counted repetitions may expand to */
#define REGEX_NEST_MAX    200  /* groups inside each other: one C frame each */
#define REGEX_REPEAT_MAX  1000 /* in x{n,m} */

struct regex_size {
        uint32_t instructions, ranges;
};
struct regex;

/* Check a pattern and say how large it becomes. false: *ret_why is a static text. */
bool regex_measure(struct mv_slice pattern, struct regex_size *ret, const char **ret_why);
/* Bytes regex_build needs, its work memory for searching included. */
size_t regex_bytes(const struct regex_size *size);
/* mem: regex_bytes() bytes, 16-byte aligned. The pattern passed regex_measure with this size. */
struct regex *regex_build(struct mv_slice pattern, const struct regex_size *size, void *mem);

struct regex_match {
        uint32_t from, to; /* byte offsets */
};
/* Takes `steps` of the caller's budget; false stops the search. */
struct regex_meter {
        bool (*spend)(void *ctx, uint64_t steps);
        void *ctx;
};
enum regex_result { REGEX_NO, REGEX_YES, REGEX_STOPPED };
/* The leftmost match that starts at or behind byte `from`; whole: only one from `from` to the end
 * of text. text is valid UTF-8 under 4 GiB and from a code point boundary. Time: O(text *
 * instructions), metered. */
enum regex_result regex_search(struct regex *re, struct mv_slice text, uint32_t from, bool whole,
                               const struct regex_meter *meter, struct regex_match *ret);

#endif
