/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_HOST_CBOR_JSON_H
#define MV_HOST_CBOR_JSON_H
/* Records hold byte strings and any value of a program; this shows them as JSON: byte strings as
 * hexadecimal text, keywords with their colon, whatever has no JSON form as the text the printer
 * gives it. Hostile input: false when malformed. */
#include <host/jsonw.h>

bool mv__json_cbor(struct mv__jsonw *w, const char *key, struct mv_slice cbor);

#endif
