/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_SECURITY_TERMS_H
#define MV_SECURITY_TERMS_H
/* Terms: what the contract of a capability demands of the arguments and of the result of a call (REQ-IDEM-06). Each is a text
 * "NAME:RTFS" in the context of that capability, and a program of its own that calls nothing.
 *
 *   pre, post, invariant         an expression over `args`, a vector, and `result`, which is nil before the call
 *   input-schema, output-schema  a type; one argument that is a map is checked itself, else the vector of them
 *
 * (1) They only narrow: of two contexts that are joined the terms of both hold. */
#include <security/security.h>

#define MV_TERM_BYTES_MAX 4096
bool mv__term_name(const char *name); /* is there such a term? */
int mv__term_add(struct mv_context *c, const char *name, const char *text, struct mv_err *err);
bool mv__terms_join(struct mv_context *c, const struct mv_context *most); /* false: out of memory */
/* Is it asked before the call, or behind it? An invariant is both times. */
bool mv__term_asked(const char *term, bool after);
/* "precondition", ... */
const char *mv__term_kind(const char *term);
/* The source of the program, malloc'ed. Its `args` are [args result]; false or nil: the term does not hold. NULL: out of
 * memory. */
char *mv__term_program(const char *term);

#endif
