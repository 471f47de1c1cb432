/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_AUDIT_READER_H
#define MV_AUDIT_READER_H
#include <audit/source.h>

struct mv_audit_reader {
        struct mv__walk walk;
        struct mv__store_header header;
        uint8_t *copy; /* of a store in memory */
        int ended;     /* MV__WALK_END, TORN or BAD once there; MV__WALK_RECORD before */
};
/* Over bytes that outlive the reader. */
int mv__reader_of_bytes(struct mv_slice bytes, struct mv_audit_reader **ret, struct mv_err *err);
int mv__audit_verify_reader(struct mv_audit_reader *r, const uint8_t expected_key[32],
                            struct mv_audit_verdict *ret, struct mv_err *err);
#endif
