/* SPDX-License-Identifier: Apache-2.0 */
/* The rules about more than one field (REQ-ACV). Rules about one field are in its row of the schema.
 * (1) Codes and messages are an interface: tools compare them.
 * (2) The rules of a microvm apply when, and only when, the section is there (REQ-ACV-01). */
#include <base/fmt.h>
#include <config/config.h>
#include <config/lexical.h>
#include <math.h>

#define CID_FIRST       3u         /* 0 is nobody, 1 local, 2 the host */
#define CID_ANY         UINT32_MAX /* -1: any */
#define VCPUS_HIGH      4
#define MEMORY_HIGH_MB  1024
#define MEMORY_LEAST_MB 64
#define APPROVALS_HIGH  5

struct rule {
        enum mv_severity severity;
        const char *code, *path, *message, *suggestion;
};

static void say(struct mv_diagnostics *d, const struct rule *rule, uint32_t line, uint32_t column)
{
        struct mv_report r = { .severity = rule->severity,
                               .code = rule->code,
                               .path = rule->path,
                               .suggestion = rule->suggestion,
                               .line = line,
                               .column = column };
        mv__diagnose(d, &r, "%s", rule->message);
}

/* At the value; where it was not given, at the innermost section around it that was. */
static void say_at(struct mv_diagnostics *d, const struct rule *rule, const struct mv_item *item,
                   const struct mv_head *const *outer)
{
        uint32_t line = item ? item->line : 0, column = item ? item->column : 0;
        for (; !line && *outer; outer++) {
                line = (*outer)->line;
                column = (*outer)->column;
        }
        say(d, rule, line, column);
}
#define OUTER(...)                                                                                 \
        (const struct mv_head *const[])                                                            \
        {                                                                                          \
                __VA_ARGS__, NULL                                                                  \
        }

static bool is(const struct mv_item *item, const char *text)
{
        return mv_slice_eq_str(item->text, text);
}

static const struct mv_mount *mount_named(const struct mv_isolation_fs *fs, const char *name)
{
        const struct mv_mount *mounts = fs->mounts.items;
        for (uint32_t i = 0; i < fs->mounts.count; i++)
                if (mv_slice_eq_str(mounts[i].at.name, name))
                        return &mounts[i];
        return NULL;
}

/* --- the microvm ------------------------------------------------------------------------------ */
static void check_isolation(const struct mv_agent_config *c, struct mv_diagnostics *d)
{
        static const struct rule mode = { MV_SEVERE_ERROR, "INVALID_ISOLATION_MODE",
                                          "orchestrator.isolation.mode",
                                          "When MicroVM configuration is present, "
                                          "orchestrator.isolation.mode must be 'microvm'",
                                          "Set orchestrator.isolation.mode to 'microvm'" };
        static const struct rule ephemeral = {
                MV_SEVERE_ERROR, "NON_EPHEMERAL_FS", "orchestrator.isolation.fs.ephemeral",
                "MicroVM deployments require ephemeral filesystem for security",
                "Set orchestrator.isolation.fs.ephemeral to true"
        };
        static const struct rule writable = {
                MV_SEVERE_ERROR, "CAPABILITIES_NOT_READONLY",
                "orchestrator.isolation.fs.mounts.capabilities.mode",
                "Capabilities mount must be read-only for MicroVM security",
                "Set capabilities mount mode to 'ro'"
        };
        static const struct rule missing = {
                MV_SEVERE_WARNING, "MISSING_CAPABILITIES_MOUNT",
                "orchestrator.isolation.fs.mounts.capabilities",
                "There is no mount for capabilities: the machine finds none",
                "Add a mount named capabilities with mode 'ro'"
        };
        const struct mv_isolation *i = &c->orchestrator.isolation;
        const struct mv_mount *m = mount_named(&i->fs, "capabilities");
        if (!is(&i->mode, "microvm"))
                say_at(d, &mode, &i->mode, OUTER(&i->at, &c->orchestrator.at, &c->microvm.at));
        if (!i->fs.ephemeral.boolean)
                say_at(d, &ephemeral, &i->fs.ephemeral,
                       OUTER(&i->fs.at, &i->at, &c->orchestrator.at, &c->microvm.at));
        if (m && !is(&m->mode, "ro"))
                say_at(d, &writable, &m->mode, OUTER(&m->at));
        if (!m)
                say_at(d, &missing, NULL,
                       OUTER(&i->fs.mounts.at, &i->fs.at, &i->at, &c->orchestrator.at,
                             &c->microvm.at));
}

static void check_dlp(const struct mv_agent_config *c, struct mv_diagnostics *d)
{
        static const struct rule off = { MV_SEVERE_WARNING, "DLP_DISABLED",
                                         "orchestrator.dlp.enabled",
                                         "DLP is off: nobody looks at what leaves the machine",
                                         "Set orchestrator.dlp.enabled to true" };
        static const struct rule weak = { MV_SEVERE_WARNING, "NON_STRICT_DLP",
                                          "orchestrator.dlp.policy",
                                          "The DLP policy is weaker than 'strict'",
                                          "Set DLP policy to 'strict'" };
        const struct mv_dlp *dlp = &c->orchestrator.dlp;
        if (!dlp->enabled.boolean)
                say_at(d, &off, &dlp->enabled,
                       OUTER(&dlp->at, &c->orchestrator.at, &c->microvm.at));
        else if (!is(&dlp->policy, "strict"))
                say_at(d, &weak, &dlp->policy,
                       OUTER(&dlp->at, &c->orchestrator.at, &c->microvm.at));
}

/* Egress counts only when there is a card and a network: an agent without either needs no rules
 * for it. */
static void check_egress(const struct mv_agent_config *c, struct mv_diagnostics *d)
{
        static const struct rule off = { MV_SEVERE_ERROR, "NIC_ENABLED_BUT_NETWORK_DISABLED",
                                         "network.enabled",
                                         "NIC is enabled but network is disabled",
                                         "Enable network when NIC is enabled" };
        static const struct rule direct = { MV_SEVERE_ERROR, "INVALID_EGRESS_METHOD",
                                            "network.egress.via",
                                            "MicroVM deployments require proxy-based egress",
                                            "Set network.egress.via to 'proxy'" };
        static const struct rule nobody = {
                MV_SEVERE_ERROR, "EMPTY_ALLOWED_DOMAINS", "network.egress.allow_domains",
                "Network egress requires at least one allowed domain",
                "Add at least one domain to network.egress.allow_domains"
        };
        static const struct rule proxy = {
                MV_SEVERE_ERROR, "MISSING_PROXY_NS", "microvm.devices.nic.proxy_ns",
                "NIC with proxy egress needs the network namespace of the proxy",
                "Set microvm.devices.nic.proxy_ns, for example to 'egress-proxy-ns'"
        };
        const struct mv_nic *nic = &c->microvm.devices.nic;
        const struct mv_network *n = &c->network;
        if (!nic->enabled.boolean)
                return;
        if (!n->enabled.boolean) {
                say_at(d, &off, &n->enabled, OUTER(&n->at, &nic->at));
                return;
        }
        if (!is(&n->egress.via, "proxy"))
                say_at(d, &direct, &n->egress.via, OUTER(&n->egress.at, &n->at));
        else if (nic->proxy_ns.text.len == 0)
                say_at(d, &proxy, &nic->proxy_ns, OUTER(&nic->at));
        if (n->egress.allow_domains.count == 0)
                say_at(d, &nobody, &n->egress.allow_domains, OUTER(&n->egress.at, &n->at));
}

static void check_images(const struct mv_agent_config *c, struct mv_diagnostics *d)
{
        static const struct rule kernel = { MV_SEVERE_ERROR, "MISSING_KERNEL_IMAGE",
                                            "microvm.kernel.image",
                                            "Kernel image path cannot be empty",
                                            "Set microvm.kernel.image to a file" };
        static const struct rule rootfs = { MV_SEVERE_ERROR, "MISSING_ROOTFS_IMAGE",
                                            "microvm.rootfs.image",
                                            "Rootfs image path cannot be empty",
                                            "Set microvm.rootfs.image to a file" };
        const struct mv_microvm *m = &c->microvm;
        if (m->kernel.image.text.len == 0)
                say_at(d, &kernel, &m->kernel.image, OUTER(&m->kernel.at, &m->at));
        if (m->rootfs.image.text.len == 0)
                say_at(d, &rootfs, &m->rootfs.image, OUTER(&m->rootfs.at, &m->at));
}

static void check_resources(const struct mv_agent_config *c, struct mv_diagnostics *d)
{
        const struct mv_resources *r = &c->microvm.resources;
        char message[80];
        struct rule rule = { MV_SEVERE_ERROR, "INVALID_VCPUS", "microvm.resources.vcpus", message,
                             "Set vcpus to 1 or higher" };
        mv_fmt(message, sizeof message, "vCPUs must be >= 1, got %lld",
               (long long)r->vcpus.integer);
        if (r->vcpus.integer < 1)
                say_at(d, &rule, &r->vcpus, OUTER(&r->at, &c->microvm.at));
        rule = (struct rule){ MV_SEVERE_WARNING, "HIGH_VCPU_ALLOCATION", "microvm.resources.vcpus",
                              message, "Use fewer vCPUs" };
        mv_fmt(message, sizeof message, "High vCPU allocation: %lld vCPUs",
               (long long)r->vcpus.integer);
        if (r->vcpus.integer > VCPUS_HIGH)
                say_at(d, &rule, &r->vcpus, OUTER(&r->at, &c->microvm.at));
        rule = (struct rule){ MV_SEVERE_ERROR, "INVALID_MEMORY", "microvm.resources.mem_mb",
                              message, "Set mem_mb to 64 or higher" };
        mv_fmt(message, sizeof message, "Memory must be >= 64MB, got %lldMB",
               (long long)r->mem_mb.integer);
        if (r->mem_mb.integer < MEMORY_LEAST_MB)
                say_at(d, &rule, &r->mem_mb, OUTER(&r->at, &c->microvm.at));
        rule = (struct rule){ MV_SEVERE_WARNING, "HIGH_MEMORY_ALLOCATION",
                              "microvm.resources.mem_mb", message, "Give the machine less memory" };
        mv_fmt(message, sizeof message, "High memory allocation: %lldMB",
               (long long)r->mem_mb.integer);
        if (r->mem_mb.integer > MEMORY_HIGH_MB)
                say_at(d, &rule, &r->mem_mb, OUTER(&r->at, &c->microvm.at));
}

static void check_vsock(const struct mv_agent_config *c, struct mv_diagnostics *d)
{
        static const struct rule zero = { MV_SEVERE_ERROR, "INVALID_VSOCK_CID",
                                          "microvm.devices.vsock.cid",
                                          "VSock CID must be > 0 when VSock is enabled",
                                          "Set microvm.devices.vsock.cid to 3 or higher" };
        static const struct rule reserved = {
                MV_SEVERE_ERROR, "INVALID_VSOCK_CID", "microvm.devices.vsock.cid",
                "VSock CID is reserved: 1 is local, 2 the host, 4294967295 any",
                "Set microvm.devices.vsock.cid to a value from 3 to 4294967294"
        };
        const struct mv_vsock *v = &c->microvm.devices.vsock;
        if (!v->enabled.boolean)
                return;
        if (v->cid.integer == 0)
                say_at(d, &zero, &v->cid, OUTER(&v->at));
        else if (v->cid.integer < CID_FIRST || v->cid.integer == CID_ANY)
                say_at(d, &reserved, &v->cid, OUTER(&v->at));
}

struct digest {
        const char *path, *what;
};

static void check_digest(const struct mv_item *item, const struct digest *g, bool lenient,
                         struct mv_diagnostics *d)
{
        char message[120];
        struct rule format = { MV_SEVERE_WARNING, "INVALID_HASH_FORMAT", g->path, message,
                               "Use 'sha256:' prefix for the hash" };
        mv_fmt(message, sizeof message, "%s hash should be in 'sha256:...' format", g->what);
        if (!mv_slice_starts(item->text, "sha256:"))
                say_at(d, &format, item, OUTER(NULL));
        struct rule malformed = { MV_SEVERE_ERROR, "MALFORMED_DIGEST", g->path, message,
                                  "Write sha256: and the 64 digits that `sha256sum` prints" };
        mv_fmt(message, sizeof message,
               "%s hash is not 64 hexadecimal digits behind 'sha256:': it can never match",
               g->what);
        if (!mv__is_digest(item->text) && !(lenient && mv_slice_starts(item->text, "sha256:")))
                say_at(d, &malformed, item, OUTER(NULL));
}

static void check_attestation(const struct mv_agent_config *c, bool lenient,
                              struct mv_diagnostics *d)
{
        static const struct rule missing = {
                MV_SEVERE_ERROR, "MISSING_ROOTFS_HASH", "microvm.attestation.expect_rootfs_hash",
                "Attestation is enabled but expect_rootfs_hash is not provided",
                "Set expect_rootfs_hash to sha256: and the digest of the rootfs image"
        };
        static const struct digest digests[] = {
                { "microvm.attestation.expect_rootfs_hash", "Rootfs" },
                { "microvm.attestation.expect_kernel_hash", "Kernel" },
                { "microvm.attestation.expect_agent_hash", "Agent" },
        };
        const struct mv_attestation *a = &c->microvm.attestation;
        const struct mv_item *items[] = { &a->expect_rootfs_hash, &a->expect_kernel_hash,
                                          &a->expect_agent_hash };
        if (!a->enabled.boolean)
                return;
        if (a->expect_rootfs_hash.text.len == 0)
                say_at(d, &missing, &a->expect_rootfs_hash, OUTER(&a->at));
        for (size_t i = 0; i < 3; i++)
                if (items[i]->text.len || (i && items[i]->given))
                        check_digest(items[i], &digests[i], lenient, d);
}

static void check_marketplace(const struct mv_agent_config *c, struct mv_diagnostics *d)
{
        static const struct rule open = { MV_SEVERE_WARNING, "MARKETPLACE_NOT_READONLY",
                                          "marketplace.readonly",
                                          "The marketplace can be written to from the machine",
                                          "Set marketplace.readonly to true" };
        const struct mv_item *readonly = &c->marketplace.readonly;
        if (readonly->given && !readonly->boolean)
                say_at(d, &open, readonly, OUTER(NULL));
}

void mv__validate_microvm(const struct mv_agent_config *c, bool lenient_digests,
                          struct mv_diagnostics *d)
{
        static const struct rule absent = {
                MV_SEVERE_ERROR, "MISSING_MICROVM_SECTION", "orchestrator.isolation.mode",
                "orchestrator.isolation.mode is 'microvm' but there is no microvm section",
                "Add a microvm section with a kernel and a rootfs, or choose another mode"
        };
        const struct mv_item *mode = &c->orchestrator.isolation.mode;
        if (!c->microvm.at.given && is(mode, "microvm"))
                say_at(d, &absent, mode, OUTER(NULL));
        if (!c->microvm.at.given)
                return;
        check_isolation(c, d);
        check_dlp(c, d);
        check_egress(c, d);
        check_images(c, d);
        check_resources(c, d);
        check_vsock(c, d);
        check_attestation(c, lenient_digests, d);
        check_marketplace(c, d);
}

/* --- remarks about any configuration (REQ-ACV-21) --------------------------------------------- */
static void remark_policy(const struct mv_governance_policy *p, struct mv_diagnostics *d)
{
        char path[200];
        struct rule rule = { MV_SEVERE_WARNING, "governance.policy.approvals.high", path,
                             "More than 5 approvals are required: plans may never be approved",
                             "Require 5 approvals or fewer" };
        mv_fmt(path, sizeof path, "governance.policies.%.*s.requires_approvals",
               MV_SARG(p->at.name));
        if (p->requires_approvals.integer > APPROVALS_HIGH)
                say_at(d, &rule, &p->requires_approvals, OUTER(&p->at));
        rule = (struct rule){ MV_SEVERE_NOTE, "governance.policy.budgets.zero", path,
                              "Both budgets are zero: nothing may be spent under this policy",
                              NULL };
        mv_fmt(path, sizeof path, "governance.policies.%.*s.budgets", MV_SARG(p->at.name));
        if (p->budgets.at.given && p->budgets.max_cost_usd.real == 0 &&
            p->budgets.token_budget.real == 0)
                say_at(d, &rule, NULL, OUTER(&p->budgets.at, &p->at));
}

static void remark_governance(const struct mv_agent_config *c, struct mv_diagnostics *d)
{
        static const struct rule none = { MV_SEVERE_NOTE, "governance.no_policies",
                                          "governance.policies", "There are no governance policies",
                                          "Add one, for example {:default :moderate}" };
        const struct mv_governance_policy *p = c->governance.policies.items;
        if (c->governance.policies.count == 0)
                say_at(d, &none, NULL, OUTER(&c->governance.policies.at, &c->governance.at));
        for (uint32_t i = 0; i < c->governance.policies.count; i++)
                remark_policy(&p[i], d);
}

static void remark_network(const struct mv_agent_config *c, struct mv_diagnostics *d)
{
        static const struct rule none = {
                MV_SEVERE_NOTE, "network.enabled_none_via", "network.egress.via",
                "The network is enabled but egress goes via none: nothing can be reached",
                "Set network.egress.via to 'proxy', or network.enabled to false"
        };
        if (c->network.enabled.boolean && is(&c->network.egress.via, "none"))
                say_at(d, &none, &c->network.egress.via,
                       OUTER(&c->network.egress.at, &c->network.at));
}

static void remark_delegation(const struct mv_agent_config *c, struct mv_diagnostics *d)
{
        static const struct rule low = {
                MV_SEVERE_WARNING, "delegation.threshold.low", "delegation.threshold",
                "The delegation threshold is below 0.2: nearly everything is delegated",
                "Use a value from 0.2 to 0.95"
        };
        static const struct rule high = {
                MV_SEVERE_WARNING, "delegation.threshold.high", "delegation.threshold",
                "The delegation threshold is above 0.95: nearly nothing is delegated",
                "Use a value from 0.2 to 0.95"
        };
        const struct mv_item *t = &c->delegation.threshold;
        if (t->given && t->real < 0.2)
                say_at(d, &low, t, OUTER(NULL));
        if (t->given && t->real > 0.95)
                say_at(d, &high, t, OUTER(NULL));
}

static bool names_a_profile(const struct mv_llm_profiles *l)
{
        const struct mv_llm_profile *p = l->profiles.items;
        for (uint32_t i = 0; i < l->profiles.count; i++)
                if (mv_slice_eq(p[i].name.text, l->fallback.text))
                        return true;
        return memchr(l->fallback.text.p, ':', l->fallback.text.len) != NULL;
}

static void remark_models(const struct mv_agent_config *c, struct mv_diagnostics *d)
{
        static const struct rule separator = {
                MV_SEVERE_WARNING, "llm_profiles.default.separator", "llm_profiles.default",
                "The default names no profile, and has no ':' between a set and its model",
                "Write \"set:model\""
        };
        static const struct rule empty = { MV_SEVERE_WARNING, "llm_profiles.empty", "llm_profiles",
                                           "There are no profiles and no model sets",
                                           "Add one, or remove the section" };
        const struct mv_llm_profiles *l = &c->llm_profiles;
        if (!l->at.given)
                return;
        if (l->profiles.count == 0 && l->model_sets.count == 0)
                say_at(d, &empty, NULL, OUTER(&l->at));
        if (l->fallback.given && !names_a_profile(l))
                say_at(d, &separator, &l->fallback, OUTER(NULL));
}

void mv__validate_general(const struct mv_agent_config *c, struct mv_diagnostics *d)
{
        remark_network(c, d);
        remark_governance(c, d);
        remark_delegation(c, d);
        remark_models(c, d);
}

/* --- several agents, single fields ------------------------------------------------------------ */
void mv_agent_check_host(const struct mv_agent_file *first, struct mv_agent_file *second)
{
        const struct mv_vsock *a = &first->config.microvm.devices.vsock,
                              *b = &second->config.microvm.devices.vsock;
        char message[200];
        struct rule rule = { MV_SEVERE_ERROR, "DUPLICATE_VSOCK_CID", "microvm.devices.vsock.cid",
                             message, "Give each agent of a host its own CID" };
        if (!first->config.microvm.at.given || !second->config.microvm.at.given ||
            !a->enabled.boolean || !b->enabled.boolean || a->cid.integer != b->cid.integer)
                return;
        mv_fmt(message, sizeof message, "VSock CID %lld is taken by agent '%.*s'",
               (long long)b->cid.integer, MV_SARG(first->config.agent_id.text));
        say_at(&second->diagnostics, &rule, &b->cid, OUTER(&b->at));
        mv__diagnostics_sort(&second->diagnostics, &mv__agent_schema);
        second->valid = false;
}

bool mv_agent_field_ok(const struct mv_agent_file *f, const char *path)
{
        for (uint32_t i = 0; i < f->diagnostics.count; i++)
                if (f->diagnostics.items[i].severity == MV_SEVERE_ERROR &&
                    strcmp(f->diagnostics.items[i].path, path) == 0)
                        return false;
        return true;
}
