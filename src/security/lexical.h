/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_SECURITY_LEXICAL_H
#define MV_SECURITY_LEXICAL_H
/* The one reading of host names, ports, paths, capability ids and variable names, shared by grants (security) and requests
 * (policy): a text is compared only in canonical form, and a text with two readings is refused by both.
 * Each check returns NULL when the text is good, otherwise the reason: a static text that completes "X: ". */
#include <base/slice.h>

#define MV_HOST_TEXT_BYTES 256 /* a host name is at most 253 bytes */

struct mv_host_name {
        /* lower case, no trailing dot; addresses as inet_ntop writes them, no brackets */
        char text[MV_HOST_TEXT_BYTES];
        bool is_ip;
};
const char *mv__host_check(struct mv_slice text, struct mv_host_name *ret);
const char *mv__port_check(struct mv_slice text, uint16_t *ret);
/* HOST, HOST:PORT, *.NAME, *.NAME:PORT, [V6]:PORT. The canonical text of the grant. */
const char *mv__host_grant_check(struct mv_slice text, char ret[MV_HOST_TEXT_BYTES + 16]);
/* Absolute, no empty, "." or ".." component, no NUL; one trailing slash is accepted. */
const char *mv__path_check(struct mv_slice path);
/* Dotted id, at most MV_CAPABILITY_ID_MAX bytes; with glob, a last component "*" behind at least
 * one other. */
const char *mv__id_check(struct mv_slice id, bool glob);
const char *mv__env_name_check(struct mv_slice name);

/* Text of the program made fit for a message: control characters and broken UTF-8 become '?', what does not fit is cut at
 * a code point and ends in "...". Always NUL-terminated; cap >= 8. */
void mv__show(char *buf, size_t cap, struct mv_slice text);

#endif
