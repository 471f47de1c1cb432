/* SPDX-License-Identifier: Apache-2.0 */
/* The rules about more than one field (REQ-ACV). Rules about one field are in its row of the schema.
 * (1) Codes and messages are an interface: tools compare them.
 * (2) The rules of a microvm apply when, and only when, the section is there (REQ-ACV-01). */
#include <base/fmt.h>
#include <config/config.h>
#include <config/governance.h>
#include <config/lexical.h>
#include <math.h>

#define CID_FIRST       3u         /* 0 is nobody, 1 local, 2 the host */
#define CID_ANY         UINT32_MAX /* -1: any */
#define VCPUS_HIGH      4
#define MEMORY_HIGH_MB  1024
#define MEMORY_LEAST_MB 64
#define APPROVALS_HIGH  5
#define APPROVALS_MAX   16 /* security/rules.c */

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
                "ephemeral true: what is written goes with the machine"
        };
        static const struct rule writable = {
                MV_SEVERE_ERROR, "CAPABILITIES_NOT_READONLY",
                "orchestrator.isolation.fs.mounts.capabilities.mode",
                "Capabilities mount must be read-only for MicroVM security", "Mount it with mode ro"
        };
        static const struct rule missing = {
                MV_SEVERE_WARNING, "MISSING_CAPABILITIES_MOUNT",
                "orchestrator.isolation.fs.mounts.capabilities",
                "No mount is named capabilities: the machine finds none",
                "Name one capabilities, with mode ro"
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
                                         "enabled true searches it for secrets" };
        static const struct rule weak = { MV_SEVERE_WARNING, "NON_STRICT_DLP",
                                          "orchestrator.dlp.policy",
                                          "The DLP policy is weaker than 'strict'",
                                          "policy strict lets least through" };
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
        static const struct rule off = {
                MV_SEVERE_ERROR, "NIC_ENABLED_BUT_NETWORK_DISABLED", "network.enabled",
                "NIC is enabled but network is disabled",
                "network.enabled true gives it one; nic.enabled false does without"
        };
        static const struct rule direct = { MV_SEVERE_ERROR, "INVALID_EGRESS_METHOD",
                                            "network.egress.via",
                                            "MicroVM deployments require proxy-based egress",
                                            "via proxy lets requests out" };
        static const struct rule nobody = { MV_SEVERE_ERROR, "EMPTY_ALLOWED_DOMAINS",
                                            "network.egress.allow_domains",
                                            "Network egress requires at least one allowed domain",
                                            "List the hosts that may be reached" };
        static const struct rule proxy = {
                MV_SEVERE_ERROR, "MISSING_PROXY_NS", "microvm.devices.nic.proxy_ns",
                "NIC with proxy egress needs the network namespace of the proxy",
                "Name it: proxy-ns egress-proxy-ns, for example"
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
                                            "Name the file of the kernel" };
        static const struct rule rootfs = { MV_SEVERE_ERROR, "MISSING_ROOTFS_IMAGE",
                                            "microvm.rootfs.image",
                                            "Rootfs image path cannot be empty",
                                            "Name the image of the root file system" };
        const struct mv_microvm *m = &c->microvm;
        if (m->kernel.image.text.len == 0)
                say_at(d, &kernel, &m->kernel.image, OUTER(&m->kernel.at, &m->at));
        if (m->rootfs.image.text.len == 0)
                say_at(d, &rootfs, &m->rootfs.image, OUTER(&m->rootfs.at, &m->at));
}

/* format holds one %lld: the value. */
static void say_number(const struct mv_agent_config *c, const struct mv_item *item,
                       const struct rule *rule, const char *format, struct mv_diagnostics *d)
{
        struct rule with_number = *rule;
        char message[80];
        mv_fmt(message, sizeof message, format, (long long)item->integer);
        with_number.message = message;
        say_at(d, &with_number, item, OUTER(&c->microvm.resources.at, &c->microvm.at));
}

static void check_resources(const struct mv_agent_config *c, struct mv_diagnostics *d)
{
        static const struct rule few = { MV_SEVERE_ERROR, "INVALID_VCPUS",
                                         "microvm.resources.vcpus", NULL, "1 is the least" };
        static const struct rule many = { MV_SEVERE_WARNING, "HIGH_VCPU_ALLOCATION",
                                          "microvm.resources.vcpus", NULL, "Up to 4 are usual" };
        static const struct rule little = { MV_SEVERE_ERROR, "INVALID_MEMORY",
                                            "microvm.resources.mem_mb", NULL, "64 is the least" };
        static const struct rule much = { MV_SEVERE_WARNING, "HIGH_MEMORY_ALLOCATION",
                                          "microvm.resources.mem_mb", NULL,
                                          "Up to 1024 are usual" };
        const struct mv_item *vcpus = &c->microvm.resources.vcpus,
                             *mem = &c->microvm.resources.mem_mb;
        if (vcpus->integer < 1)
                say_number(c, vcpus, &few, "vCPUs must be >= 1, got %lld", d);
        if (vcpus->integer > VCPUS_HIGH)
                say_number(c, vcpus, &many, "High vCPU allocation: %lld vCPUs", d);
        if (mem->integer < MEMORY_LEAST_MB)
                say_number(c, mem, &little, "Memory must be >= 64MB, got %lldMB", d);
        if (mem->integer > MEMORY_HIGH_MB)
                say_number(c, mem, &much, "High memory allocation: %lldMB", d);
}

static void check_vsock(const struct mv_agent_config *c, struct mv_diagnostics *d)
{
        static const struct rule zero = { MV_SEVERE_ERROR, "INVALID_VSOCK_CID",
                                          "microvm.devices.vsock.cid",
                                          "VSock CID must be > 0 when VSock is enabled",
                                          "3 is the first that is free" };
        static const struct rule reserved = {
                MV_SEVERE_ERROR, "INVALID_VSOCK_CID", "microvm.devices.vsock.cid",
                "VSock CID is reserved: 1 is local, 2 the host, 4294967295 any",
                "3 to 4294967294 are free"
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
                               "Write sha256: before the digits that `sha256sum` prints" };
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
                "sha256: and what `sha256sum` prints of the image; enabled false compares nothing"
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
                                          "readonly true keeps it as it is" };
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
                "A microvm section with a kernel and a rootfs allows it; so does another mode"
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
                             "5 people can still be asked" };
        mv_fmt(path, sizeof path, "governance.policies.%.*s.requires_approvals",
               MV_SARG(p->at.name));
        if (p->requires_approvals.integer > APPROVALS_HIGH)
                say_at(d, &rule, &p->requires_approvals, OUTER(&p->at));
        rule = (struct rule){ MV_SEVERE_ERROR, "INVALID_APPROVALS", path,
                              "At most 16 approvals can be asked for", NULL };
        if (p->requires_approvals.integer > APPROVALS_MAX)
                say_at(d, &rule, &p->requires_approvals, OUTER(&p->at));
        rule = (struct rule){ MV_SEVERE_NOTE, "governance.policy.budgets.zero", path,
                              "Both budgets are zero: nothing may be spent under this policy",
                              NULL };
        mv_fmt(path, sizeof path, "governance.policies.%.*s.budgets", MV_SARG(p->at.name));
        mv__check_budgets(&p->budgets, path, d);
        if (p->budgets.at.given && p->budgets.max_cost_usd.real == 0 &&
            p->budgets.token_budget.real == 0)
                say_at(d, &rule, NULL, OUTER(&p->budgets.at, &p->at));
}

static void remark_governance(const struct mv_agent_config *c, struct mv_diagnostics *d)
{
        static const struct rule none = { MV_SEVERE_NOTE, "governance.no_policies",
                                          "governance.policies", "There are no governance policies",
                                          "{:default :moderate} is one" };
        const struct mv_governance_policy *p = c->governance.policies.items;
        if (c->governance.policies.count == 0 && c->governance.rules.count == 0)
                say_at(d, &none, NULL, OUTER(&c->governance.policies.at, &c->governance.at));
        for (uint32_t i = 0; i < c->governance.policies.count; i++)
                remark_policy(&p[i], d);
        mv__check_rules(&c->governance.rules, "governance.rules", d);
}

static void remark_network(const struct mv_agent_config *c, struct mv_diagnostics *d)
{
        static const struct rule none = {
                MV_SEVERE_NOTE, "network.enabled_none_via", "network.egress.via",
                "The network is enabled but egress goes via none: nothing can be reached",
                "via proxy reaches the listed hosts; enabled false says that none is wanted"
        };
        if (c->network.enabled.boolean && is(&c->network.egress.via, "none"))
                say_at(d, &none, &c->network.egress.via,
                       OUTER(&c->network.egress.at, &c->network.at));
}

static void check_client(const struct mv_agent_config *c, struct mv_diagnostics *d)
{
        const struct mv_egress *e = &c->network.egress;
        bool cert = e->client_cert.given, key = e->client_key.given;
        static const struct rule half = { MV_SEVERE_ERROR, "CLIENT_CERT_AND_KEY", "network.egress",
                                          "A client certificate and its key come together",
                                          "Name both client-cert and client-key" };
        static const struct rule idle = { MV_SEVERE_WARNING, "CLIENT_CERT_WITHOUT_MTLS",
                                          "network.egress.client_cert",
                                          "The client certificate is not shown: mtls is false",
                                          "mtls true shows it" };
        if (cert != key)
                say_at(d, &half, cert ? &e->client_cert : &e->client_key, OUTER(NULL));
        else if (cert && !e->mtls.boolean && !c->capabilities.http.egress.mtls.boolean)
                say_at(d, &idle, &e->client_cert, OUTER(NULL));
}

static void remark_delegation(const struct mv_agent_config *c, struct mv_diagnostics *d)
{
        static const struct rule low = {
                MV_SEVERE_WARNING, "delegation.threshold.low", "delegation.threshold",
                "The delegation threshold is below 0.2: nearly everything is delegated",
                "Between 0.2 and 0.95 it decides something"
        };
        static const struct rule high = {
                MV_SEVERE_WARNING, "delegation.threshold.high", "delegation.threshold",
                "The delegation threshold is above 0.95: nearly nothing is delegated",
                "Between 0.2 and 0.95 it decides something"
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
                "Write set:model, or the name of a profile"
        };
        static const struct rule empty = { MV_SEVERE_WARNING, "llm_profiles.empty", "llm_profiles",
                                           "There are no profiles and no model sets",
                                           "Describe a model, or leave the section out" };
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
        check_client(c, d);
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
                             message, "Every agent of a host has its own" };
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
