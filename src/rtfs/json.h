/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_RTFS_JSON_H
#define MV_RTFS_JSON_H
/* Values as JSON text and back (spec 7.8). */
#include <rtfs/vm.h>

/* Append v to o. pretty: indent by two spaces. N_ERROR: v has no JSON form; N_NOMEM: o overflowed.
 * o's buffer is free heap memory: its unused end holds the entries of maps that have to be
 * sorted. */
enum native_status json_write(struct mv_rtfs *r, struct mv_out *o, val v, bool pretty);
enum native_status json_read(struct mv_rtfs *r, struct mv_slice text, val *ret);

#endif
