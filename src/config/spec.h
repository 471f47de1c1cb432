/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_CONFIG_SPEC_H
#define MV_CONFIG_SPEC_H
/* From an agent.config to the machine a VMM builds (REQ-SUP-01..11). Pure: nothing is opened, made or measured.
 *
 * (1) Sockets, pipes and taps belong to one agent: they are in its own directory, or named by a digest of its id.
 * (2) The canonical text and the VMM's own text say the same; equal specs have equal bytes. */
#include <config/agent.h>
#include <config/text.h>

#define MV_SPEC_DRIVES_MAX 4
#define MV_SPEC_NICS_MAX   2
struct mv_vm_drive {
        const char *id, *path;
        bool read_only, root;
        const struct mv_rate_limit *limit; /* NULL: none */
};
struct mv_vm_nic {
        const char *id, *tap, *proxy_ns;
        const struct mv_rate_limit *rx, *tx; /* NULL: none */
};
struct mv_vm_spec { /* texts live in the arena it was made in */
        const char *agent_id, *kernel, *boot_args;
        struct mv_vm_drive drives[MV_SPEC_DRIVES_MAX];
        uint32_t drives_count;
        int64_t vcpus, memory_mib;
        struct mv_vm_nic nics[MV_SPEC_NICS_MAX];
        uint32_t nics_count;
        bool has_vsock;
        int64_t guest_cid;
        const char *run_directory, *vsock_path, *log_path, *metrics_path;
        const char *rootfs_digest, *kernel_digest, *agent_digest; /* expected; NULL: not attested */
        char config_digest
                [72]; /* of the configuration's JSON text; "" for a spec that came from none */
};
struct mv_spec_options {
        const char *base_directory; /* relative paths are relative to it; absolute */
        const char *run_base; /* directories of agents are made in it; NULL: /run/ccos-microvm */
        const char *kernel, *rootfs; /* instead of the configuration's; NULL: those */
};
/* INVALID "Agent configuration does not contain MicroVM settings", or what mv_vm_spec_validate
 * says. */
int mv_vm_spec(const struct mv_agent_config *c, const struct mv_spec_options *o, struct mv_arena *a,
               struct mv_vm_spec *ret, struct mv_err *err);
/* 1 vCPU, 128 MiB, read-only root, CID 3, no network card (REQ-SUP-09). */
int mv_vm_spec_minimal(const char *agent_id, const char *kernel, const char *rootfs,
                       struct mv_arena *a, struct mv_vm_spec *ret, struct mv_err *err);
/* INVALID with the exact texts of REQ-SUP-07, and what Firecracker would refuse. */
int mv_vm_spec_validate(const struct mv_vm_spec *s, struct mv_err *err);
/* "tap-" and ten digits of the id's digest: fits 15 bytes, differs for every agent (REQ-NET-16). */
void mv_tap_name(struct mv_slice agent_id, char ret[16]);

void mv_vm_spec_json(const struct mv_vm_spec *s, struct mv_text *ret); /* canonical, snake case */
void mv_vm_spec_firecracker(const struct mv_vm_spec *s,
                            struct mv_text *ret); /* --config-file, kebab case */
void mv_vm_spec_cloud_hypervisor(const struct mv_vm_spec *s, struct mv_text *ret); /* VmConfig */

#endif
