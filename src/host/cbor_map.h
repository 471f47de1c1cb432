/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_HOST_CBOR_MAP_H
#define MV_HOST_CBOR_MAP_H
/* Picking fields out of a record: a CBOR map with text keys, somebody else's bytes. Everything
 * points into the map. */
#include <base/err.h>
#include <microvm/value.h>
#include <wire/cbor.h>

/* The raw item behind a key. CORRUPT: there is none; HOSTILE: malformed. */
int mv__map_find(struct mv_slice map, const char *key, struct mv_slice *ret_raw,
                 struct mv_err *err);
/* Its head, which must be of that kind, or null. */
int mv__map_item(struct mv_slice map, const char *key, enum mv_cbor_kind kind,
                 struct mv_cbor_item *ret, struct mv_err *err);
/* For printing: the text, or empty when there is none. */
struct mv_slice mv__map_text(struct mv_slice map, const char *key);

#endif
