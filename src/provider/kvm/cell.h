/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_PROVIDER_KVM_CELL_H
#define MV_PROVIDER_KVM_CELL_H
#include "kvm.h"

struct kvm_watch {
        uint64_t deadline_ns; /* CLOCK_MONOTONIC; UINT64_MAX: none */
        uint64_t cpu_ns_max, cpu_ns_from;
};
struct kvm_ending {
        bool over, cpu_time;
        enum mv_termination termination;
        char detail[KVM_DETAIL_BYTES];
};

int mv__kvm_cell_open(struct mv_provider *p, const struct mv_cell_spec *spec, struct mv_cell **ret,
                      struct mv_err *err);
int mv__kvm_cell_run(struct mv_cell *c, const struct mv_run *run, struct mv_exit *ret,
                     struct mv_err *err);
void mv__kvm_cell_cancel(struct mv_cell *c);
int mv__kvm_cell_reset(struct mv_cell *c, struct mv_err *err);
struct mv_cell *mv__kvm_cell_close(struct mv_cell *c); /* its end may come a little later */
void mv__kvm_cell_free(struct mv_cell *c);

#endif
