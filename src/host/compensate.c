/* SPDX-License-Identifier: Apache-2.0 */
#include <host/exec.h>

int mv__compensate(struct mv__exec *e, struct mv_err *err)
{
        struct mv_result *r = e->result;
        struct mv_broker_failure why = {
                .termination = mv_termination_name(r->termination),
                .kind = r->error.kind,
                .message = mv__ended_message(r),
        };
        return r->ok ? 0
                     : mv_broker_compensate(e->broker, &why, &r->metadata.compensations,
                                            &r->metadata.compensations_failed, err);
}
