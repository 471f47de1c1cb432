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
        int exit_code; /* of a module; -1: none */
        enum mv_termination termination;
        char detail[KVM_DETAIL_BYTES];
};

struct kvm_exchange { /* one run's parties, while bells ring */
        struct mv_cell *c;
        const struct mv_run *run;
        const struct kvm_watch *w;
        struct kvm_ending *e;
};
void mv__kvm_end(struct kvm_ending *e, enum mv_termination termination, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));
void mv__kvm_ended_by_error(struct kvm_ending *e, const struct mv_err *err);
/* Cancelled, out of time? Then e is over. */
void mv__kvm_limits_check(struct mv_cell *c, const struct kvm_watch *w, struct kvm_ending *e);
/* Invariant (4) of kvm.h. HOSTILE: more than the outbox holds. */
int mv__kvm_outbox_copy(struct mv_cell *c, uint64_t bytes, struct mv_slice *ret,
                        struct mv_err *err);
void mv__kvm_inbox_put(struct mv_cell *c, struct mv_slice bytes); /* at most KVM_INBOX_BYTES_MAX */
#define KVM_INBOX_BYTES_MAX (MV_KVM_INBOX_END - MV_KVM_INBOX - MV_KVM_INBOX_HEADER_BYTES)

int mv__kvm_cell_open(struct mv_provider *p, const struct mv_cell_spec *spec, struct mv_cell **ret,
                      struct mv_err *err);
int mv__kvm_cell_run(struct mv_cell *c, const struct mv_run *run, struct mv_exit *ret,
                     struct mv_err *err);
void mv__kvm_cell_cancel(struct mv_cell *c);
int mv__kvm_cell_reset(struct mv_cell *c, struct mv_err *err);
struct mv_cell *mv__kvm_cell_close(struct mv_cell *c); /* its end may come a little later */
void mv__kvm_cell_free(struct mv_cell *c);

#endif
