/* SPDX-License-Identifier: Apache-2.0 */
/* The invariants are in context.h. Files and hosts are reached through capabilities only, and those are carried out on
 * the host, so a cell has no network and no mount of its own: what egress and mounts say becomes grants. */
#include <base/fmt.h>
#include <config/context.h>
#include <config/contract.h>
#include <config/governance.h>
#include <config/lexical.h>
#include <security/grants.h>

struct bridge {
        const struct mv_agent_config *c;
        const struct mv_agent_place *place;
        struct mv_agent_grants *to;
        struct mv_err *err;
};

static bool is(const struct mv_item *item, const char *text)
{
        return mv_slice_eq_str(item->text, text);
}

static const char *kept(struct bridge *b, const char *text)
{
        size_t n = strlen(text) + 1;
        char *p = mv_new(&b->to->arena, char, n);
        if (p)
                memcpy(p, text, n);
        return p;
}

/* --- notes ------------------------------------------------------------------------------------ */
static int full(struct bridge *b)
{
        return mv_fail(b->err, MV_E_LIMIT, 0, "%s: too much of it", b->place->name);
}

static int note(struct bridge *b, const struct mv_item *at, const char *path, const char *text)
{
        struct mv_agent_grants *g = b->to;
        if (g->notes_count == g->notes_cap) {
                uint32_t cap = g->notes_cap ? g->notes_cap * 2 : 16;
                struct mv_agent_note *more = mv_new(&g->arena, struct mv_agent_note, cap);
                if (!more)
                        return full(b);
                if (g->notes_count)
                        memcpy(more, g->notes, g->notes_count * sizeof *more);
                g->notes = more;
                g->notes_cap = cap;
        }
        struct mv_agent_note n = { .path = kept(b, path),
                                   .text = kept(b, text),
                                   .line = at ? at->line : 0,
                                   .column = at ? at->column : 0 };
        if (!n.path || !n.text)
                return full(b);
        g->notes[g->notes_count++] = n;
        return 0;
}

static int note_head(struct bridge *b, const struct mv_head *at, const char *path, const char *text)
{
        struct mv_item item = { .line = at->line, .column = at->column };
        return note(b, &item, path, text);
}

/* --- grants ----------------------------------------------------------------------------------- */
static int grant(struct bridge *b, enum mv_grant_kind kind, const struct mv_item *at,
                 const char *path, const char *text)
{
        struct mv_origin o = { .kind = kind,
                               .file = b->place->name,
                               .text = text,
                               .path = path,
                               .line = at->line,
                               .column = at->column };
        int r = mv__grant(b->to->context, kind, text, b->err);
        if (r < 0)
                return mv_wrap(b->err, "%s:%u:%u: %s", o.file, o.line, o.column, path);
        return mv__origin_add(&b->to->arena, &b->to->origins, &o, b->err);
}

/* --- paths ------------------------------------------------------------------------------------ */
static int absolute(struct bridge *b, const struct mv_item *item, const char *path,
                    char ret[MV_PLACE_BYTES])
{
        if (mv__place_at(b->place->directory, item->text, ret))
                return 0;
        return mv_fail(b->err, MV_E_INVALID, 0, "%s:%u:%u: %s is too long", b->place->name,
                       item->line, item->column, path);
}

/* --- files ------------------------------------------------------------------------------------ */
static int grant_capabilities(struct bridge *b, const char *const *ids, size_t count,
                              const struct mv_item *at, const char *path)
{
        int r = 0;
        for (size_t i = 0; r == 0 && i < count; i++)
                r = grant(b, MV_GRANT_CAPABILITY, at, path, ids[i]);
        return r;
}

static int add_files(struct bridge *b)
{
        static const char *const ids[] = { "ccos.io.open-file",   "ccos.io.read-line",
                                           "ccos.io.write-line",  "ccos.io.close-file",
                                           "ccos.io.read-file",   "ccos.io.write-file",
                                           "ccos.io.delete-file", "ccos.io.file-exists",
                                           "ccos.io.mkdir",       "ccos.io.list-dir" };
        const struct mv_fs *fs = &b->c->capabilities.fs;
        char file[MV_PLACE_BYTES], path[80];
        int r = 0;
        if (!fs->enabled.boolean)
                return fs->paths.count ? note(b, &fs->paths, "capabilities.fs.paths",
                                              "not granted: capabilities.fs.enabled is false")
                                       : 0;
        r = grant_capabilities(b, ids, sizeof ids / sizeof ids[0], &fs->enabled,
                               "capabilities.fs.enabled");
        for (uint32_t i = 0; r == 0 && i < fs->paths.count; i++) {
                mv_fmt(path, sizeof path, "capabilities.fs.paths[%u]", i);
                r = absolute(b, &fs->paths.texts[i], path, file);
                if (r == 0)
                        r = grant(b, MV_GRANT_READ, &fs->paths.texts[i], path, file);
        }
        return r;
}

/* What can be mounted is a directory of the host at its own path. */
static int add_mount(struct bridge *b, const struct mv_mount *m)
{
        char source[MV_PLACE_BYTES], target[MV_PLACE_BYTES], path[200];
        bool write = is(&m->mode, "rw");
        mv_fmt(path, sizeof path, "orchestrator.isolation.fs.mounts.%.*s", MV_SARG(m->at.name));
        if (!m->source
                     .given) /* capabilities are carried out on the host: no cell has their files */
                return mv_slice_eq_str(m->at.name, "capabilities")
                               ? 0
                               : note_head(b, &m->at, path,
                                           "not mounted: it has no source; scratch space is "
                                           "/workspace");
        int r = absolute(b, &m->source, path, source);
        if (r == 0 && m->target.given)
                r = absolute(b, &m->target, path, target);
        if (r < 0)
                return r;
        if (m->target.given && strcmp(source, target) != 0)
                return note(b, &m->target, path,
                            "not mounted: a directory is seen at its own path; leave target out");
        if (write && b->c->orchestrator.isolation.fs.ephemeral.boolean) {
                write = false;
                r = note(b, &m->mode, path,
                         "read-only: what is written there would stay, and "
                         "orchestrator.isolation.fs.ephemeral is true");
        }
        return r < 0 ? r
                     : grant(b, write ? MV_GRANT_WRITE : MV_GRANT_READ, &m->source, path, source);
}

static int add_mounts(struct bridge *b)
{
        const struct mv_sections *mounts = &b->c->orchestrator.isolation.fs.mounts;
        const struct mv_mount *m = mounts->items;
        int r = 0;
        for (uint32_t i = 0; r == 0 && i < mounts->count; i++)
                r = add_mount(b, &m[i]);
        return r;
}

/* Whoever may write into a registry decides what a capability is. */
static int check_registries(struct bridge *b)
{
        const struct mv_item *paths = &b->c->marketplace.registry_paths,
                             *readonly = &b->c->marketplace.readonly;
        const struct mv_grant_list *writes = mv__grant_list(b->to->context, MV_GRANT_WRITE);
        char registry[MV_PLACE_BYTES], path[80];
        if (readonly->given && !readonly->boolean)
                return 0;
        for (uint32_t i = 0; i < paths->count; i++) {
                mv_fmt(path, sizeof path, "marketplace.registry_paths[%u]", i);
                int r = absolute(b, &paths->texts[i], path, registry);
                size_t n = strlen(registry);
                bool open = r == 0 && mv_grant_covered(b->to->context, MV_GRANT_WRITE, registry);
                for (uint32_t w = 0; r == 0 && !open && w < writes->count; w++)
                        open = strncmp(writes->items[w], registry, n) == 0 &&
                               (writes->items[w][n] == '/' || n == 1);
                if (r < 0)
                        return r;
                if (open)
                        return mv_fail(b->err, MV_E_INVALID, 0,
                                       "%s:%u:%u: %s: a mount may write there; make it ro, or "
                                       "marketplace.readonly false",
                                       b->place->name, paths->texts[i].line, paths->texts[i].column,
                                       path);
        }
        return 0;
}

/* --- hosts ------------------------------------------------------------------------------------ */
/* Why no host may be reached; NULL: hosts may. */
static const char *network_closed(const struct bridge *b, const struct mv_item **at,
                                  const char **path)
{
        const struct mv_network *n = &b->c->network;
        const struct mv_dlp *dlp = &b->c->orchestrator.dlp;
        const struct {
                bool closed;
                const struct mv_item *at;
                const char *path, *why;
        } rows[] = {
                { !n->enabled.boolean, &n->enabled, "network.enabled",
                  "no host is granted: the network is off" },
                { is(&n->egress.via, "none"), &n->egress.via, "network.egress.via",
                  "no host is granted: egress goes via none" },
                { dlp->enabled.boolean, &dlp->enabled, "orchestrator.dlp.enabled",
                  "no host is granted: nothing searches what leaves; false allows them" },
        };
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                if (!rows[i].closed)
                        continue;
                *at = rows[i].at;
                *path = rows[i].path;
                return rows[i].why;
        }
        return NULL;
}

/* Every host of the network; http-fetch sees only those that are in its own list too. */
static int narrow_http(struct bridge *b)
{
        static const char id[] = "ccos.network.http-fetch";
        const struct mv_item *own = &b->c->capabilities.http.egress.allow_domains;
        struct mv_context *most = mv_context_new(MV_LEVEL_CONTROLLED);
        struct mv_context *narrow = mv_context_copy(b->to->context);
        int r = most && narrow ? 0 : mv_fail(b->err, MV_E_NOMEM, 0, "context");
        for (uint32_t i = 0; r == 0 && i < own->count; i++) {
                char host[300];
                mv_fmt(host, sizeof host, "%.*s", MV_SARG(own->texts[i].text));
                r = mv_context_allow_host(most, host, b->err);
        }
        if (r == 0)
                r = mv__intersect_kind(narrow, b->to->context, most, MV_GRANT_HOST, b->err);
        mv_context_free(most);
        if (r == 0)
                return mv_context_narrow(b->to->context, id, narrow, b->err);
        mv_context_free(narrow);
        return r;
}

static int add_hosts(struct bridge *b)
{
        const struct mv_item *domains = &b->c->network.egress.allow_domains;
        char path[80], host[300];
        int r = 0;
        for (uint32_t i = 0; r == 0 && i < domains->count; i++) {
                mv_fmt(path, sizeof path, "network.egress.allow_domains[%u]", i);
                mv_fmt(host, sizeof host, "%.*s", MV_SARG(domains->texts[i].text));
                r = grant(b, MV_GRANT_HOST, &domains->texts[i], path, host);
        }
        return r;
}

static int file_of(struct bridge *b, const struct mv_item *item, const char *path,
                   char buf[MV_PLACE_BYTES], const char **ret)
{
        *ret = item->given ? buf : NULL;
        return item->given ? absolute(b, item, path, buf) : 0;
}

/* Before anything is narrowed: it holds for every way out (REQ-NET-07). */
static int add_tls(struct bridge *b)
{
        const struct mv_egress *e = &b->c->network.egress;
        const struct mv_item *http = &b->c->capabilities.http.egress.mtls;
        bool mtls = e->mtls.boolean || http->boolean;
        char ca[MV_PLACE_BYTES], cert[MV_PLACE_BYTES], key[MV_PLACE_BYTES], pin[64];
        struct mv_tls_files files = { .client_wanted = mtls };
        int r = file_of(b, &e->ca, "network.egress.ca", ca, &files.ca);
        if (r == 0 && mtls)
                r = file_of(b, &e->client_cert, "network.egress.client_cert", cert,
                            &files.client_cert);
        if (r == 0 && mtls)
                r = file_of(b, &e->client_key, "network.egress.client_key", key, &files.client_key);
        if (r == 0)
                r = mv_context_use_tls(b->to->context, &files, b->err);
        for (uint32_t i = 0; r == 0 && i < e->tls_pins.count; i++) {
                mv_fmt(pin, sizeof pin, "%.*s", MV_SARG(e->tls_pins.texts[i].text));
                r = mv_context_pin_tls(b->to->context, pin, b->err);
        }
        if (r == 0 && mtls && !files.client_cert)
                r = note(b, e->mtls.boolean ? &e->mtls : http,
                         e->mtls.boolean ? "network.egress.mtls" : "capabilities.http.egress.mtls",
                         "no host is reached without a client certificate: client-cert names one, "
                         "or "
                         "the settings of --policy");
        return r;
}

static int add_network(struct bridge *b)
{
        static const char *const ids[] = { "ccos.network.http-fetch" };
        const struct mv_http *http = &b->c->capabilities.http;
        const struct mv_item *at;
        const char *path, *closed = network_closed(b, &at, &path);
        int r = closed ? 0 : add_hosts(b);
        if (r == 0 && closed && (b->c->network.enabled.boolean || http->enabled.boolean))
                r = note(b, at, path, closed);
        if (r < 0 || !http->enabled.boolean)
                return r;
        r = grant_capabilities(b, ids, 1, &http->enabled, "capabilities.http.enabled");
        return r == 0 && http->egress.allow_domains.count ? narrow_http(b) : r;
}

/* --- wired capabilities ----------------------------------------------------------------------- */
/* The directories of the registries, as contracts are looked for in them. */
static int registries(struct bridge *b, const char ***ret)
{
        const struct mv_item *paths = &b->c->marketplace.registry_paths;
        const char **list = mv_new(&b->to->arena, const char *, paths->count + (size_t)1);
        char registry[MV_PLACE_BYTES];
        int r = list ? 0 : full(b);
        for (uint32_t i = 0; r == 0 && i < paths->count; i++) {
                r = absolute(b, &paths->texts[i], "marketplace.registry_paths", registry);
                if (r == 0 && !(list[i] = kept(b, registry)))
                        r = full(b);
        }
        if (r == 0)
                *ret = list;
        return r;
}

/* Its calls see what wire and contract leave of the context. A contract that does not hold is a reason not to grant. */
static int narrow_wire(struct bridge *b, const struct mv_wire *w, const char *path, const char *id)
{
        struct mv_contract_places places = { .directory = b->place->directory,
                                             .registries_count =
                                                     b->c->marketplace.registry_paths.count };
        const char **list = NULL;
        char why[300];
        int r = registries(b, &list);
        places.registries = list;
        struct mv_context *narrow =
                r == 0 ? mv_context_copy(mv_context_for(b->to->context, id)) : NULL;
        if (r == 0 && !narrow)
                r = mv_fail(b->err, MV_E_NOMEM, 0, "context");
        if (r == 0)
                r = mv_wire_narrow(w, &places, narrow, b->err);
        if (r == 0)
                return mv_context_narrow(b->to->context, id, narrow, b->err);
        mv_context_free(narrow);
        if (r != -(int)MV_E_INVALID)
                return r;
        mv_fmt(why, sizeof why, "not granted: %s", b->err->msg);
        mv__grants_remove(mv__grant_list(b->to->context, MV_GRANT_CAPABILITY), id);
        narrow = mv_context_new(MV_LEVEL_CONTROLLED); /* a prefix does not grant it either */
        if (!narrow)
                return mv_fail(b->err, MV_E_NOMEM, 0, "context");
        r = mv_context_narrow(b->to->context, id, narrow, b->err);
        return r < 0 ? r : note(b, w->contract.given ? &w->contract : &w->capability, path, why);
}

/* A family that is switched off stays off, whatever is wired. */
static bool switched_off(const struct bridge *b, const char *id)
{
        const struct mv_capabilities *c = &b->c->capabilities;
        if (strncmp(id, "ccos.network.", 13) == 0)
                return c->http.enabled.given && !c->http.enabled.boolean;
        return strncmp(id, "ccos.io.", 8) == 0 && c->fs.enabled.given && !c->fs.enabled.boolean &&
               strcmp(mv_effect_label(id), ":filesystem") == 0;
}

static int add_wire(struct bridge *b, const struct mv_wire *w, uint32_t index)
{
        char path[80], id[MV_CAPABILITY_ID_MAX + 2];
        mv_fmt(path, sizeof path, "capabilities.wiring[%u]", index);
        mv_fmt(id, sizeof id, "%.*s", MV_SARG(w->capability.text));
        if (!w->enabled.boolean)
                return 0;
        if (!w->capability.given)
                return note_head(b, &w->at, path, "not granted: it names no capability");
        if (switched_off(b, id))
                return note(b, &w->capability, path,
                            "not granted: its family is switched off by enabled false");
        if (w->runtime.sandbox.given && !is(&w->runtime.sandbox, "none"))
                return note(b, &w->runtime.sandbox, path,
                            "not granted: a capability is carried out on the host; sandbox none "
                            "says so");
        bool narrows = w->contract.given || w->effects.given || w->digest.given ||
                       w->resources.max_time_ms.given;
        if (narrows && strchr(id, '*'))
                return note(b, &w->capability, path,
                            "not granted: a contract or a limit is of one capability, not of a "
                            "prefix");
        int r = grant(b, MV_GRANT_CAPABILITY, &w->capability, path, id);
        return r == 0 && narrows ? narrow_wire(b, w, path, id) : r;
}

static int add_wiring(struct bridge *b)
{
        const struct mv_wire *w = b->c->capabilities.wiring.items;
        const struct mv_llm *llm = &b->c->capabilities.llm;
        int r = 0;
        for (uint32_t i = 0; r == 0 && i < b->c->capabilities.wiring.count; i++)
                r = add_wire(b, &w[i], i);
        if (r == 0 && llm->enabled.boolean)
                r = note(b, &llm->enabled, "capabilities.llm.enabled",
                         "not granted: no capability here asks a language model");
        return r;
}

/* --- the wall and the limits ------------------------------------------------------------------ */
static void choose_wall(struct bridge *b)
{
        static const struct {
                const char *mode, *provider;
                enum mv_tier tier;
        } rows[] = { { "none", "mock", MV_TIER_NONE },
                     { "process", "process", MV_TIER_PROCESS },
                     { "wasm", "wasm", MV_TIER_WASM },
                     { "gvisor", "gvisor", MV_TIER_CONTAINER },
                     { "container", "gvisor", MV_TIER_CONTAINER },
                     { "microvm", "kvm", MV_TIER_VM } };
        b->to->tier_min = MV_TIER_VM; /* a mode that is not in the table gets the strongest */
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                if (!is(&b->c->orchestrator.isolation.mode, rows[i].mode))
                        continue;
                b->to->provider = rows[i].provider;
                b->to->tier_min = rows[i].tier;
        }
}

static int add_guest(struct bridge *b)
{
        const struct mv_microvm *m = &b->c->microvm;
        if (!m->at.given)
                return 0;
        struct mv_limits limits = { .memory_bytes_max = (uint64_t)m->resources.mem_mb.integer
                                                        << 20 };
        int r = 0;
        b->to->memory_given = true;
        mv_context_give(b->to->context, &limits);
        if (limits.memory_bytes_max > MV_GIVEN_MEMORY_BYTES_MAX)
                r = note(b, &m->resources.mem_mb, "microvm.resources.mem_mb",
                         "an agent gets at most 512 MiB");
        if (r == 0)
                r = note_head(
                        b, &m->kernel.at, "microvm.kernel",
                        "not booted: programs run in a machine without a kernel and without a "
                        "root file system, on one processor");
        if (r == 0 && m->attestation.enabled.boolean)
                r = note(b, &m->attestation.enabled, "microvm.attestation",
                         "images that are not booted are not compared");
        return r;
}

/* --- governance and the record ---------------------------------------------------------------- */
static int risk_of(const struct mv_governance_policy *p)
{
        return is(&p->risk_tier, "high") ? 2 : is(&p->risk_tier, "medium") ? 1 : 0;
}

static void choose_policy(struct bridge *b)
{
        const struct mv_sections *all = &b->c->governance.policies;
        const struct mv_governance_policy *p = all->items;
        for (uint32_t i = 0; i < all->count; i++) {
                if (mv_slice_eq_str(p[i].at.name, "default")) {
                        b->to->policy = &p[i];
                        return;
                }
                if (!b->to->policy || risk_of(&p[i]) > risk_of(b->to->policy))
                        b->to->policy = &p[i];
        }
}

/* Budgets of money and tokens are zero until they are given (REQ-AC-40): nothing may be spent. */
static int add_budget(struct bridge *b)
{
        choose_policy(b);
        if (!b->to->policy)
                return 0;
        mv__add_budgets(&b->to->policy->budgets, true, b->to->context);
        return 0;
}

/* Of the policies for calls of this risk or less, the one that wants most approvals; NULL: none wants any. */
static const struct mv_governance_policy *strictest(const struct bridge *b, int risk)
{
        const struct mv_sections *all = &b->c->governance.policies;
        const struct mv_governance_policy *p = all->items, *most = NULL;
        for (uint32_t i = 0; i < all->count; i++)
                if (risk_of(&p[i]) <= risk && p[i].requires_approvals.integer > 0 &&
                    (!most || p[i].requires_approvals.integer > most->requires_approvals.integer))
                        most = &p[i];
        return most;
}

static int add_policy_rule(struct bridge *b, const struct mv_governance_policy *p,
                           const struct mv_rule *rule)
{
        char path[200];
        mv_fmt(path, sizeof path, "governance.policies.%.*s", MV_SARG(p->at.name));
        struct mv_origin o = { .kind = MV_ORIGIN_RULE,
                               .file = b->place->name,
                               .text = rule->id,
                               .path = path,
                               .line = p->at.line,
                               .column = p->at.column };
        int r = mv_context_add_rule(b->to->context, rule, b->err);
        if (r < 0)
                return mv_wrap(b->err, "%s:%u:%u: %s", o.file, o.line, o.column, path);
        return mv__origin_add(&b->to->arena, &b->to->origins, &o, b->err);
}

/* A call of the risk that a policy names, or of more, waits for as many people as it says. The
 * first rule that fits decides: those that are written out, then the greatest risk first. */
static int add_rules(struct bridge *b)
{
        struct mv_rules_place place = { b->place->name, "governance.rules", &b->to->arena,
                                        &b->to->origins };
        int written = mv__add_rules(&b->c->governance.rules, &place, b->to->context, b->err);
        if (written < 0)
                return written;
        for (int risk = MV_RISK_MAX_ - 1; risk >= 0; risk--) {
                const struct mv_governance_policy *p = strictest(b, risk);
                char id[MV_RULE_ID_MAX + 1];
                if (!p)
                        return 0;
                mv_fmt(id, sizeof id, "policy-%.*s-%s",
                       (int)(p->at.name.len < 40 ? p->at.name.len : 40), (const char *)p->at.name.p,
                       mv_risk_name((enum mv_risk)risk));
                struct mv_rule rule = { .id = id,
                                        .action = MV_RULE_REQUIRE_APPROVAL,
                                        .risk_min = (enum mv_risk)risk,
                                        .approvals = (uint32_t)p->requires_approvals.integer };
                int r = add_policy_rule(b, p, &rule);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int place_record(struct bridge *b)
{
        const struct mv_chain_storage *s = &b->c->causal_chain.storage;
        const struct mv_item *anchor = &b->c->causal_chain.anchor.enabled;
        char file[MV_PLACE_BYTES];
        int r = 0;
        if (is(&s->mode, "sqlite") || is(&s->mode, "vsock_stream"))
                return mv_fail(b->err, MV_E_UNSUPPORTED, 0,
                               "%s:%u:%u: causal_chain.storage.mode: a record is kept in memory or "
                               "appended to a file; use append_file",
                               b->place->name, s->mode.line, s->mode.column);
        if (is(&s->mode, "append_file") && s->path.given) {
                r = absolute(b, &s->path, "causal_chain.storage.path", file);
                if (r == 0 && !(b->to->audit_path = kept(b, file)))
                        r = full(b);
        }
        if (r == 0 && anchor->boolean)
                r = note(b, anchor, "causal_chain.anchor.enabled",
                         "nothing is published: keep the root that a result shows");
        return r;
}

/* --- what a run does not look at -------------------------------------------------------------- */
static int name_unused(struct bridge *b)
{
        const struct mv_agent_config *c = b->c;
        const struct {
                const struct mv_head *at;
                const char *path;
        } rows[] = { { &c->delegation.at, "delegation" },
                     { &c->llm_profiles.at, "llm_profiles" },
                     { &c->discovery.at, "discovery" },
                     { &c->catalog.at, "catalog" },
                     { &c->missing_capabilities.at, "missing_capabilities" },
                     { &c->storage.at, "storage" },
                     { &c->self_programming.at, "self_programming" },
                     { &c->sandbox.at, "sandbox" } };
        int r = 0;
        for (size_t i = 0; r == 0 && i < sizeof rows / sizeof rows[0]; i++)
                if (rows[i].at->given)
                        r = note_head(b, rows[i].at, rows[i].path,
                                      "not used: it speaks to an orchestrator, not to a run");
        for (uint32_t i = 0; r == 0 && i < c->features.count; i++)
                if (is(&c->features.texts[i], "gpu") || is(&c->features.texts[i], "llm") ||
                    is(&c->features.texts[i], "telemetry"))
                        r = note(b, &c->features.texts[i], "features",
                                 "not there: no run has a GPU, a language model or telemetry");
        if (r == 0 && c->governance.keys.verify.text.len)
                r = note(b, &c->governance.keys.verify, "governance.keys.verify",
                         "not used: a program that is run here carries no signature");
        return r;
}

/* In the order of the file. */
static void sort_notes(struct mv_agent_grants *g)
{
        for (uint32_t i = 1; i < g->notes_count; i++) {
                struct mv_agent_note n = g->notes[i];
                uint32_t at = i;
                for (; at > 0 &&
                       (g->notes[at - 1].line > n.line ||
                        (g->notes[at - 1].line == n.line && g->notes[at - 1].column > n.column));
                     at--)
                        g->notes[at] = g->notes[at - 1];
                g->notes[at] = n;
        }
}

int mv_agent_grants(const struct mv_agent_file *f, const struct mv_agent_place *place,
                    struct mv_agent_grants *ret, struct mv_err *err)
{
        static int (*const steps[])(struct bridge *) = {
                add_guest,  add_tls,    add_files, add_mounts,   check_registries, add_network,
                add_wiring, add_budget, add_rules, place_record, name_unused,
        };
        struct bridge b = { &f->config, place, ret, err };
        *ret = (struct mv_agent_grants){ .arena = mv_arena_grow(MV_AGENT_GRANTS_BYTES),
                                         .name = place->name,
                                         .context = mv_context_new(MV_LEVEL_CONTROLLED) };
        /* how long it may run, settings or options say */
        static const struct mv_limits most = { .wall_ns_max = MV_GIVEN_WALL_NS_MAX,
                                               .memory_bytes_max = MV_GIVEN_MEMORY_BYTES_MAX };
        int r = ret->context ? 0 : mv_fail(err, MV_E_NOMEM, 0, "context");
        mv_context_give(ret->context, &most);
        choose_wall(&b);
        for (size_t i = 0; r == 0 && i < sizeof steps / sizeof steps[0]; i++)
                r = steps[i](&b);
        if (r < 0)
                mv_agent_grants_done(ret);
        else
                sort_notes(ret);
        return r;
}

void mv_agent_limits(const struct mv_agent_grants *g, struct mv_limits *limits)
{
        struct mv_limits level = mv_level_limits(g->context->level);
        if (!limits->wall_ns_max)
                limits->wall_ns_max = level.wall_ns_max;
        if (!limits->memory_bytes_max && !g->memory_given)
                limits->memory_bytes_max = level.memory_bytes_max;
}

void mv_agent_grants_done(struct mv_agent_grants *g)
{
        g->context = mv_context_free(g->context);
        mv_arena_done(&g->arena);
        *g = (struct mv_agent_grants){ 0 };
}

struct mv_giver mv_agent_giver(const struct mv_agent_grants *g)
{
        return (struct mv_giver){
                .name = g->name,
                .sections = { [MV_GRANT_CAPABILITY] = "capabilities",
                              [MV_GRANT_READ] = "capabilities.fs.paths",
                              [MV_GRANT_WRITE] = "orchestrator.isolation.fs.mounts",
                              [MV_GRANT_HOST] = "network.egress.allow_domains",
                              [MV_GRANT_DENY_HOST] = "network.egress",
                              [MV_GRANT_ENV] = "a settings file (an agent has no variables)" },
                .limits = "microvm.resources"
        };
}
