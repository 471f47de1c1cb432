/* SPDX-License-Identifier: Apache-2.0 */
#include <base/err.h>
#include <config/config.h>
#include <config/lexical.h>
#include <config/spec.h>
#include <stdlib.h>

#define RUN_BASE              "/run/ccos-microvm"
#define SOCKET_PATH_MAX       96   /* of 107 bytes: the guest's ports add _PORT */
#define AGENT_NAME_MAX        40   /* longer ids are named by their digest in paths */
#define BOOT_ARGS_MAX         1900 /* of 2048: the VMM appends root= and its devices */
#define FIRECRACKER_VCPUS_MAX 32
#define MEMORY_MIB_MAX        (1 << 24)

static void digest_hex(struct mv_slice bytes, char ret[65])
{
        char text[72];
        mv__digest_text(bytes, text);
        mv_fmt(ret, 65, "%s", text + 7);
}

void mv_tap_name(struct mv_slice agent_id, char ret[16])
{
        char hex[65];
        digest_hex(agent_id, hex);
        mv_fmt(ret, 16, "tap-%.10s", hex);
}

/* --- making ----------------------------------------------------------------------------------- */
static const char *text(struct mv_arena *a, struct mv_slice s)
{
        char *p = mv_new(a, char, s.len + 1);
        if (p && s.len)
                memcpy(p, s.p, s.len);
        return p;
}

static const char *joined(struct mv_arena *a, const char *directory, struct mv_slice name)
{
        if ((name.len && name.p[0] == '/') || !directory)
                return text(a, name);
        size_t n = strlen(directory) + name.len + 2;
        char *p = mv_new(a, char, n);
        if (p)
                mv_fmt(p, n, "%s/%.*s", directory, MV_SARG(name));
        return p;
}

/* An empty path stays empty: validation names it. */
static const char *image(struct mv_arena *a, const struct mv_spec_options *o, const char *instead,
                         struct mv_slice configured)
{
        struct mv_slice path = instead ? mv_slice_str(instead) : configured;
        return path.len ? joined(a, instead ? NULL : o->base_directory, path) : "";
}

static bool place_files(struct mv_vm_spec *s, struct mv_slice agent_id, const char *run_base,
                        struct mv_arena *a)
{
        char hex[65];
        digest_hex(agent_id, hex);
        struct mv_slice name = agent_id.len <= AGENT_NAME_MAX ? agent_id : mv_slice(hex, 32);
        s->run_directory = joined(a, run_base ? run_base : RUN_BASE, name);
        if (!s->run_directory)
                return false;
        s->vsock_path = joined(a, s->run_directory, MV_SLICE("vsock.sock"));
        s->log_path = joined(a, s->run_directory, MV_SLICE("log.fifo"));
        s->metrics_path = joined(a, s->run_directory, MV_SLICE("metrics.fifo"));
        return s->vsock_path && s->log_path && s->metrics_path;
}

static const struct mv_rate_limit *limit_of(const struct mv_rate_limit *l)
{
        return l->at.given && (l->bandwidth.at.given || l->ops.at.given) ? l : NULL;
}

static bool add_nic(struct mv_vm_spec *s, const struct mv_agent_config *c, struct mv_arena *a)
{
        const struct mv_nic *nic = &c->microvm.devices.nic;
        char tap[16];
        if (!nic->enabled.boolean)
                return true;
        mv_tap_name(c->agent_id.text, tap);
        s->nics[0] = (struct mv_vm_nic){ .id = "eth0",
                                         .tap = text(a, mv_slice_str(tap)),
                                         .proxy_ns = text(a, nic->proxy_ns.text),
                                         .rx = limit_of(&nic->rx_rate_limit),
                                         .tx = limit_of(&nic->tx_rate_limit) };
        s->nics_count = 1;
        return s->nics[0].tap && s->nics[0].proxy_ns;
}

static const char *expected(const struct mv_attestation *at, const struct mv_item *digest,
                            struct mv_arena *a)
{
        return at->enabled.boolean && digest->text.len ? text(a, digest->text) : NULL;
}

static int config_digest(const struct mv_agent_config *c, char ret[72], struct mv_err *err)
{
        struct mv_text t = { .compact = true };
        char hex[65];
        mv_agent_print(c, MV_SYNTAX_JSON, &t);
        if (t.failed) {
                mv_text_done(&t);
                return mv_fail(err, MV_E_NOMEM, 0, "VM spec");
        }
        digest_hex(mv_slice(t.p, t.len), hex);
        mv_text_done(&t);
        mv_fmt(ret, 72, "sha256:%s", hex);
        return 0;
}

int mv_vm_spec(const struct mv_agent_config *c, const struct mv_spec_options *o, struct mv_arena *a,
               struct mv_vm_spec *ret, struct mv_err *err)
{
        const struct mv_microvm *m = &c->microvm;
        const struct mv_attestation *at = &m->attestation;
        struct mv_vm_spec s = { .drives_count = 1 };
        if (!m->at.given)
                return mv_fail(err, MV_E_INVALID, 0,
                               "Agent configuration does not contain MicroVM settings");
        s.agent_id = text(a, c->agent_id.text);
        s.kernel = image(a, o, o->kernel, m->kernel.image.text);
        s.boot_args = text(a, m->kernel.cmdline.text);
        s.drives[0] = (struct mv_vm_drive){ .id = "rootfs",
                                            .path = image(a, o, o->rootfs, m->rootfs.image.text),
                                            .read_only = m->rootfs.ro.boolean,
                                            .root = true,
                                            .limit = limit_of(&m->rootfs.rate_limit) };
        s.vcpus = m->resources.vcpus.integer;
        s.memory_mib = m->resources.mem_mb.integer;
        s.has_vsock = m->devices.vsock.enabled.boolean;
        s.guest_cid = m->devices.vsock.cid.integer;
        s.rootfs_digest = expected(at, &at->expect_rootfs_hash, a);
        s.kernel_digest = expected(at, &at->expect_kernel_hash, a);
        s.agent_digest = expected(at, &at->expect_agent_hash, a);
        bool made = s.agent_id && s.kernel && s.boot_args && s.drives[0].path &&
                    place_files(&s, c->agent_id.text, o->run_base, a) && add_nic(&s, c, a);
        if (!made)
                return mv_fail(err, MV_E_NOMEM, 0, "VM spec");
        int r = config_digest(c, s.config_digest, err);
        if (r == 0)
                r = mv_vm_spec_validate(&s, err);
        if (r == 0)
                *ret = s;
        return r;
}

int mv_vm_spec_minimal(const char *agent_id, const char *kernel, const char *rootfs,
                       struct mv_arena *a, struct mv_vm_spec *ret, struct mv_err *err)
{
        struct mv_vm_spec s = { .agent_id = agent_id,
                                .kernel = kernel,
                                .drives_count = 1,
                                .vcpus = 1,
                                .memory_mib = 128,
                                .boot_args = "console=ttyS0 reboot=k panic=1 pci=off",
                                .has_vsock = true,
                                .guest_cid = 3 };
        s.drives[0] = (struct mv_vm_drive){
                .id = "rootfs", .path = rootfs, .read_only = true, .root = true
        };
        if (!place_files(&s, mv_slice_str(agent_id), NULL, a))
                return mv_fail(err, MV_E_NOMEM, 0, "VM spec");
        int r = mv_vm_spec_validate(&s, err);
        if (r == 0)
                *ret = s;
        return r;
}

/* --- checking --------------------------------------------------------------------------------- */
static int check_drives(const struct mv_vm_spec *s, struct mv_err *err)
{
        uint32_t roots = 0;
        if (s->drives_count == 0)
                return mv_fail(err, MV_E_INVALID, 0, "At least one drive must be configured");
        for (uint32_t i = 0; i < s->drives_count; i++) {
                roots += s->drives[i].root;
                if (!s->drives[i].path[0])
                        return mv_fail(err, MV_E_INVALID, 0, "Rootfs image path cannot be empty");
        }
        if (roots != 1)
                return mv_fail(err, MV_E_INVALID, 0,
                               "Exactly one drive must be configured as root device");
        return 0;
}

static int check_bucket(const struct mv_bucket *b, const char *what, struct mv_err *err)
{
        if (b->at.given && (!b->size.given || !b->refill_ms.given))
                return mv_fail(err, MV_E_INVALID, 0, "Rate limit of %s needs size and refill_ms",
                               what);
        return 0;
}

static int check_limit(const struct mv_rate_limit *l, const char *what, struct mv_err *err)
{
        int r = l ? check_bucket(&l->bandwidth, what, err) : 0;
        return r == 0 && l ? check_bucket(&l->ops, what, err) : r;
}

static int check_limits(const struct mv_vm_spec *s, struct mv_err *err)
{
        int r = 0;
        for (uint32_t i = 0; r == 0 && i < s->drives_count; i++)
                r = check_limit(s->drives[i].limit, s->drives[i].id, err);
        for (uint32_t i = 0; r == 0 && i < s->nics_count; i++)
                r = check_limit(s->nics[i].rx, s->nics[i].id, err);
        for (uint32_t i = 0; r == 0 && i < s->nics_count; i++)
                r = check_limit(s->nics[i].tx, s->nics[i].id, err);
        return r;
}

int mv_vm_spec_validate(const struct mv_vm_spec *s, struct mv_err *err)
{
        if (!s->kernel[0])
                return mv_fail(err, MV_E_INVALID, 0, "Kernel image path cannot be empty");
        int r = check_drives(s, err);
        if (r < 0)
                return r;
        if (s->vcpus <= 0)
                return mv_fail(err, MV_E_INVALID, 0, "vCPU count must be greater than 0");
        if (s->vcpus > FIRECRACKER_VCPUS_MAX)
                return mv_fail(err, MV_E_INVALID, 0, "vCPU count must not be greater than %d",
                               FIRECRACKER_VCPUS_MAX);
        if (s->memory_mib <= 0)
                return mv_fail(err, MV_E_INVALID, 0, "Memory size must be greater than 0");
        if (s->memory_mib > MEMORY_MIB_MAX)
                return mv_fail(err, MV_E_INVALID, 0, "Memory size must not be greater than %d MiB",
                               MEMORY_MIB_MAX);
        if (s->has_vsock && s->guest_cid <= 0)
                return mv_fail(err, MV_E_INVALID, 0, "VSock guest CID must be greater than 0");
        if (s->has_vsock && (s->guest_cid < 3 || s->guest_cid >= UINT32_MAX))
                return mv_fail(err, MV_E_INVALID, 0,
                               "VSock guest CID must be between 3 and 4294967294");
        if (strlen(s->vsock_path) > SOCKET_PATH_MAX)
                return mv_fail(err, MV_E_INVALID, 0, "Socket path is longer than %d bytes: %s",
                               SOCKET_PATH_MAX, s->vsock_path);
        if (strlen(s->boot_args) > BOOT_ARGS_MAX)
                return mv_fail(err, MV_E_INVALID, 0, "Kernel command line is longer than %d bytes",
                               BOOT_ARGS_MAX);
        return check_limits(s, err);
}
