/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_PROVIDER_KVM_MODULE_H
#define MV_PROVIDER_KVM_MODULE_H
#include "cell.h"

/* ---- module.c ---- */
struct kvm_files;
struct kvm_module {
        const struct mv_program_spec *spec;
        struct mv_limits limits;
        const char *execution_id;
        uint64_t seed;
        uint32_t pages;                   /* of linear memory */
        struct kvm_files *files;          /* NULL: it has not asked for any */
        char stillborn[KVM_DETAIL_BYTES]; /* why its image did not start; "": it did */
};
/* Makes sure that the machine code is there. */
int mv__kvm_module_prepare(struct mv_provider *p, struct mv_slice module, struct mv_err *err);
/* Fills c->module and c->t; without c->t the cell is stillborn: its image is at fault, and a run will say so. */
int mv__kvm_module_open(struct mv_cell *c, const struct mv_cell_spec *spec, struct mv_err *err);
bool mv__kvm_module_stillborn(const struct mv_cell *c, struct mv_exit *ret);
/* START into the inbox. LIMIT: it does not fit. */
int mv__kvm_module_start(struct mv_cell *c, struct mv_err *err);
/* A doorbell that only modules have; false: it is another one. */
bool mv__kvm_module_bell(struct kvm_exchange *x, const struct kvm_stop *s);
/* HOSTILE: a frame that programs do not send. */
int mv__kvm_module_frame(struct mv_slice frame, struct mv_err *err);
/* A fault below the stack is the module's trap, any other the guest's death. */
void mv__kvm_module_died(const struct kvm_stop *s, struct kvm_ending *e);
/* Ends its files; what its exit code says. */
void mv__kvm_module_after(struct mv_cell *c, struct mv_exit *x);
void mv__kvm_module_free(struct kvm_module *m);

/* ---- files.c ---- */
/* One request and its answer (valid until the next), or x->e is over. Starts the process that serves them. */
void mv__kvm_files_ask(struct kvm_exchange *x, struct mv_slice request, struct mv_slice *ret);
/* Its process ends; *ret_exit: how, with what is left in /workspace/output. */
void mv__kvm_files_end(struct kvm_files *f, struct mv_exit *ret_exit);

#endif
