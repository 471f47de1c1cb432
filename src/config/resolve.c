/* SPDX-License-Identifier: Apache-2.0 */
/* From a settings file to a context (REQ-CFG-06, -07, -09). */
#include <config/forms.h>
#include <config/governance.h>
#include <config/lexical.h>
#include <config/settings.h>
#include <policy/policy.h>
#include <security/grants.h>
#include <security/lexical.h>

#define GRANT_BYTES_MAX 4200

static const char *const sections[MV_GRANT_KINDS] = {
        [MV_GRANT_CAPABILITY] = "grants.capabilities",
        [MV_GRANT_READ] = "grants.read",
        [MV_GRANT_WRITE] = "grants.write",
        [MV_GRANT_HOST] = "grants.hosts",
        [MV_GRANT_DENY_HOST] = "grants.deny_hosts",
        [MV_GRANT_ENV] = "grants.env",
};

const char *mv_grant_section_name(enum mv_grant_kind kind)
{
        return sections[kind];
}

/* --- origins ---------------------------------------------------------------------------------- */
static const char *kept(struct mv_arena *a, const char *s)
{
        size_t n = strlen(s) + 1;
        char *p = mv_new(a, char, n);
        if (p)
                memcpy(p, s, n);
        return p;
}

int mv__origin_add(struct mv_arena *a, struct mv_origins *to, const struct mv_origin *o,
                   struct mv_err *err)
{
        if (to->count == to->cap) {
                uint32_t cap = to->cap ? to->cap * 2 : 32;
                struct mv_origin *more = mv_new(a, struct mv_origin, cap);
                if (!more)
                        return mv_fail(err, MV_E_LIMIT, 0, "%s: too many grants", o->file);
                if (to->count)
                        memcpy(more, to->items, to->count * sizeof *more);
                to->items = more;
                to->cap = cap;
        }
        struct mv_origin *slot = &to->items[to->count];
        *slot = *o;
        slot->text = kept(a, o->text);
        slot->path = kept(a, o->path);
        if (!slot->text || !slot->path)
                return mv_fail(err, MV_E_LIMIT, 0, "%s: too many grants", o->file);
        to->count++;
        return 0;
}

static bool same_grant(enum mv_grant_kind kind, const char *a, const char *b)
{
        char x[MV_HOST_TEXT_BYTES + 16], y[MV_HOST_TEXT_BYTES + 16];
        size_t n = strlen(a), m = strlen(b);
        if (kind == MV_GRANT_HOST || kind == MV_GRANT_DENY_HOST)
                return !mv__host_grant_check(mv_slice_str(a), x) &&
                       !mv__host_grant_check(mv_slice_str(b), y) && strcmp(x, y) == 0;
        if (kind == MV_GRANT_ENV)
                return strcspn(a, "=") == strcspn(b, "=") && strncmp(a, b, strcspn(a, "=")) == 0;
        if (kind == MV_GRANT_READ || kind == MV_GRANT_WRITE) {
                n -= n > 1 && a[n - 1] == '/';
                m -= m > 1 && b[m - 1] == '/';
        }
        return n == m && memcmp(a, b, n) == 0;
}

const struct mv_origin *mv__origin_find(const struct mv_origins *l, enum mv_grant_kind kind,
                                        const char *text)
{
        for (uint32_t i = l->count; i-- > 0;) /* the last word counts */
                if (l->items[i].kind == kind && same_grant(kind, l->items[i].text, text))
                        return &l->items[i];
        return NULL;
}

const struct mv_origin *mv_settings_origin(const struct mv_settings_file *f,
                                           enum mv_grant_kind kind, const char *text)
{
        return mv__origin_find(&f->origins, kind, text);
}

/* --- contexts --------------------------------------------------------------------------------- */
struct granting {
        struct mv_settings_file *f;
        struct mv_context *to;
        const struct mv_context *within; /* NULL: whatever is granted is new */
        struct mv_err *err;
};

static int grant_one(const struct granting *g, enum mv_grant_kind kind, const struct mv_item *item,
                     const char *path)
{
        char text[GRANT_BYTES_MAX];
        if (item->text.len >= sizeof text)
                return mv_fail(g->err, MV_E_INVALID, 0, "%s:%u:%u: %s is too long", g->f->name,
                               item->line, item->column, path);
        mv_fmt(text, sizeof text, "%.*s", MV_SARG(item->text));
        if (g->within && !mv_grant_covered(g->within, kind, text))
                return mv_fail(g->err, MV_E_DENIED, 0,
                               "%s:%u:%u: %s would widen what the file grants: '%s' is not covered "
                               "by %s; grant it there first",
                               g->f->name, item->line, item->column, path, text, sections[kind]);
        struct mv_origin o = { .kind = kind,
                               .file = g->f->name,
                               .text = text,
                               .path = path,
                               .line = item->line,
                               .column = item->column };
        int r = mv__origin_add(&g->f->arena, &g->f->origins, &o, g->err);
        if (r == 0 && mv__grant(g->to, kind, text, g->err) < 0)
                r = mv_fail(g->err, MV_E_INVALID, 0,
                            "%s:%u:%u: %s '%.200s' cannot be granted at this level", g->f->name,
                            item->line, item->column, path, text);
        return r;
}

static int grant_list(const struct granting *g, enum mv_grant_kind kind, const struct mv_item *list,
                      const char *path)
{
        char whole[300];
        int r = 0;
        for (uint32_t i = 0; r == 0 && i < list->count; i++) {
                mv_fmt(whole, sizeof whole, "%s[%u]", path, i);
                r = grant_one(g, kind, &list->texts[i], whole);
        }
        return r;
}

static const struct mv_item *list_of(const struct mv_grants_section *s, enum mv_grant_kind kind)
{
        const struct mv_item *lists[MV_GRANT_KINDS] = { &s->capabilities, &s->read,       &s->write,
                                                        &s->hosts,        &s->deny_hosts, &s->env };
        return lists[kind];
}

/* They only narrow, so an environment adds its own. */
static int limit_effects(const struct granting *g, const struct mv_grants_section *s)
{
        char text[64];
        const char *names[64];
        int r = 0;
        for (uint32_t i = 0; r == 0 && i < s->deny_effects.count; i++) {
                mv_fmt(text, sizeof text, "%.*s", MV_SARG(s->deny_effects.texts[i].text));
                r = mv_context_deny_effect(g->to, text, g->err);
        }
        if (r < 0 || !s->effects.given)
                return r;
        uint32_t count = s->effects.count;
        if (count > sizeof names / sizeof names[0])
                return mv_fail(g->err, MV_E_INVALID, 0, "%s: grants.effects: too many", g->f->name);
        for (uint32_t i = 0; i < count; i++) {
                mv_fmt(text, sizeof text, "%.*s", MV_SARG(s->effects.texts[i].text));
                names[i] = kept(&g->f->arena, text);
                if (!names[i])
                        return mv_fail(g->err, MV_E_LIMIT, 0, "%s: too many grants", g->f->name);
        }
        return mv_context_only_effects(g->to, names, count, g->err);
}

/* Names in a table of variables are grants with a literal value. */
static int grant_vars(const struct granting *g, const struct mv_item *vars, const char *path)
{
        int r = 0;
        for (uint32_t i = 0; r == 0 && vars->given && i + 1 < vars->any->count; i += 2) {
                const struct mv_form *key = &vars->any->items[i], *value = key + 1;
                char text[GRANT_BYTES_MAX];
                if (key->text.len + value->text.len + 2 > sizeof text)
                        return mv_fail(g->err, MV_E_INVALID, 0, "%s:%u:%u: the value is too long",
                                       g->f->name, value->line, value->column);
                size_t n = mv_fmt(text, sizeof text, "%.*s=%.*s", MV_SARG(key->text),
                                  MV_SARG(value->text));
                struct mv_item item = { .line = value->line,
                                        .column = value->column,
                                        .text = mv_slice(text, n) };
                r = grant_one(g, MV_GRANT_ENV, &item, path);
        }
        return r;
}

/* What a policy of an execution grants. The lists are empty where a word stands. */
static int grant_policies(const struct granting *g, const struct mv_exec_config *c,
                          const char *path)
{
        char whole[200];
        mv_fmt(whole, sizeof whole, "%s.network_policy.AllowList", path);
        int r = grant_list(g, MV_GRANT_HOST, &c->network_policy.allow_list, whole);
        mv_fmt(whole, sizeof whole, "%s.network_policy.DenyList", path);
        if (r == 0)
                r = grant_list(g, MV_GRANT_DENY_HOST, &c->network_policy.deny_list, whole);
        mv_fmt(whole, sizeof whole, "%s.fs_policy.ReadOnly", path);
        if (r == 0)
                r = grant_list(g, MV_GRANT_READ, &c->fs_policy.read_only, whole);
        mv_fmt(whole, sizeof whole, "%s.fs_policy.ReadWrite", path);
        if (r == 0)
                r = grant_list(g, MV_GRANT_WRITE, &c->fs_policy.read_write, whole);
        return r;
}

static struct mv_limits limits_of(const struct mv_exec_config *c)
{
        struct mv_limits l = {
                .wall_ns_max = c->timeout.given ? (uint64_t)c->timeout.integer * 1000000 : 0,
                .memory_bytes_max =
                        c->memory_limit_mb.given ? (uint64_t)c->memory_limit_mb.integer << 20 : 0,
                .fuel_max = c->fuel.given ? (uint64_t)c->fuel.integer : 0,
                .output_bytes_max =
                        c->max_output_kb.given ? (uint64_t)c->max_output_kb.integer << 10 : 0,
        };
        if (c->cpu_limit.given && l.wall_ns_max)
                l.cpu_ns_max = (uint64_t)((double)l.wall_ns_max * c->cpu_limit.real);
        return l;
}

static enum mv_level level_named(struct mv_slice name)
{
        enum mv_level l = MV_LEVEL_PURE;
        while (l < MV_LEVEL_FULL && !mv_slice_eq_str(name, mv_level_name(l)))
                l++;
        return l;
}

/* A constitution besides those that are there. */
static int govern(const struct granting *g, const struct mv_settings_governance *s,
                  const char *path)
{
        struct mv_rules_place place = { g->f->name, path, &g->f->arena, &g->f->origins };
        struct mv_context *own = mv_context_new(MV_LEVEL_PURE);
        mv__add_budgets(&s->budgets, false, g->to);
        int r = own ? mv__add_rules(&s->rules, &place, own, g->err)
                    : mv_fail(g->err, MV_E_NOMEM, 0, "settings");
        if (r == 0 && mv__context_join(g->to, own, g->err) < 0)
                r = mv_wrap(g->err, "%s: %s", g->f->name, path);
        mv_context_free(own);
        return r;
}

static const char *path_of(const struct mv_item *item, char buf[GRANT_BYTES_MAX])
{
        mv_fmt(buf, GRANT_BYTES_MAX, "%.*s", MV_SARG(item->text));
        return item->given ? buf : NULL;
}

static int use_tls(const struct granting *g, const struct mv_tls_section *s)
{
        char ca[GRANT_BYTES_MAX], cert[GRANT_BYTES_MAX], key[GRANT_BYTES_MAX], pin[64];
        struct mv_tls_files files = { .ca = path_of(&s->ca, ca),
                                      .client_cert = path_of(&s->client_cert, cert),
                                      .client_key = path_of(&s->client_key, key),
                                      .client_wanted = s->mtls.boolean };
        int r = mv_context_use_tls(g->to, &files, g->err);
        for (uint32_t i = 0; r == 0 && i < s->pins.count; i++) {
                mv_fmt(pin, sizeof pin, "%.*s", MV_SARG(s->pins.texts[i].text));
                r = mv_context_pin_tls(g->to, pin, g->err);
        }
        return r < 0 ? mv_wrap(g->err, "%s:%u:%u: tls", g->f->name, s->at.line, s->at.column) : 0;
}

static int make_base(struct mv_settings_file *f, struct mv_context *to, struct mv_err *err)
{
        const struct mv_settings *s = &f->settings;
        struct granting g = { f, to, NULL, err };
        struct mv_limits limits = limits_of(&s->default_config);
        int r = 0;
        for (enum mv_grant_kind k = 0; r == 0 && k < MV_GRANT_KINDS; k++)
                r = grant_list(&g, k, list_of(&s->grants, k), sections[k]);
        if (r == 0)
                r = limit_effects(&g, &s->grants);
        if (r == 0)
                r = grant_policies(&g, &s->default_config, "default_config");
        if (r == 0)
                r = grant_vars(&g, &s->default_config.env_vars, "default_config.env_vars");
        mv_context_give(to, &limits);
        if (r == 0)
                r = use_tls(&g, &s->tls);
        return r < 0 ? r : govern(&g, &s->governance, "governance.rules");
}

/* --- narrowing: an environment, one capability ------------------------------------------------ */
static bool is_word(const struct mv_item *item, const char *word)
{
        return mv_slice_eq_str(item->text, word);
}

/* Denied and None take everything, a list leaves itself; what is not given stays. */
static int narrow_policies(const struct granting *g, const struct mv_exec_config *c,
                           const char *path)
{
        if (c->network_policy.at.given &&
            (is_word(&c->network_policy.word, "Denied") || c->network_policy.allow_list.given))
                mv__grants_clear(g->to, MV_GRANT_HOST);
        if (c->fs_policy.at.given && !is_word(&c->fs_policy.word, "Full")) {
                mv__grants_clear(g->to, MV_GRANT_READ);
                mv__grants_clear(g->to, MV_GRANT_WRITE);
        }
        return grant_policies(g, c, path);
}

static int narrow_environment(const struct granting *g, const struct mv_environment *e)
{
        struct mv_limits limits = limits_of(&e->default_config);
        char path[200];
        int r = 0;
        for (enum mv_grant_kind k = 0; r == 0 && k < MV_GRANT_KINDS; k++) {
                const struct mv_item *list = list_of(&e->grants, k);
                mv_fmt(path, sizeof path, "environments.%.*s.%s", MV_SARG(e->at.name), sections[k]);
                if (list->given && k != MV_GRANT_DENY_HOST)
                        mv__grants_clear(g->to, k);
                r = grant_list(g, k, list, path);
        }
        if (r == 0)
                r = limit_effects(g, &e->grants);
        mv_fmt(path, sizeof path, "environments.%.*s.default_config", MV_SARG(e->at.name));
        if (r == 0)
                r = narrow_policies(g, &e->default_config, path);
        if (r == 0)
                r = grant_vars(g, &e->default_config.env_vars, path);
        mv_context_limit(g->to, &limits);
        mv_fmt(path, sizeof path, "environments.%.*s.governance.rules", MV_SARG(e->at.name));
        return r < 0 ? r : govern(g, &e->governance, path);
}

static int narrow_capability(struct mv_settings_file *f, struct mv_context *c,
                             const struct mv_exec_config *config, struct mv_err *err)
{
        char path[200], id[MV_CAPABILITY_ID_MAX + 1];
        struct mv_limits limits = limits_of(config);
        struct mv_context *narrow = mv_context_copy(c);
        if (!narrow)
                return mv_fail(err, MV_E_NOMEM, 0, "settings");
        struct granting g = { f, narrow, c, err };
        mv_fmt(id, sizeof id, "%.*s", MV_SARG(config->at.name));
        mv_fmt(path, sizeof path, "capability_configs.%.150s", id);
        int r = narrow_policies(&g, config, path);
        if (r == 0)
                r = grant_vars(&g, &config->env_vars, path);
        mv_context_limit(narrow, &limits);
        if (r == 0)
                return mv_context_narrow(c, id, narrow, err);
        mv_context_free(narrow);
        return r;
}

/* --- environments ----------------------------------------------------------------------------- */
static const struct built_in {
        const char *name, *alias, *provider;
        struct mv_limits limits;
} built_ins[] = {
        { "development", "dev", "mock", { 0 } },
        { "production", "prod", "firecracker", { 0 } },
        { "testing",
          "test",
          "mock",
          { .wall_ns_max = 5000000000u, .memory_bytes_max = 32u << 20 } },
};

static const struct built_in *built_in_named(const char *name)
{
        for (size_t i = 0; i < sizeof built_ins / sizeof built_ins[0]; i++)
                if (strcmp(built_ins[i].name, name) == 0 || strcmp(built_ins[i].alias, name) == 0)
                        return &built_ins[i];
        return NULL;
}

static const struct mv_environment *environment_named(const struct mv_settings *s, const char *name)
{
        const struct mv_environment *e = s->environments.items;
        for (uint32_t i = 0; i < s->environments.count; i++)
                if (mv_slice_eq_str(e[i].at.name, name))
                        return &e[i];
        return NULL;
}

static int unknown_environment(const struct mv_settings_file *f, const char *name,
                               struct mv_err *err)
{
        char list[300] = "development (dev), production (prod), testing (test)";
        const struct mv_environment *e = f->settings.environments.items;
        size_t n = strlen(list);
        for (uint32_t i = 0; i < f->settings.environments.count; i++)
                n += mv_fmt(list + n, sizeof list - n, ", %.*s", MV_SARG(e[i].at.name));
        return mv_fail(err, MV_E_INVALID, 0, "environment '%.60s' is not known; %s has %s", name,
                       f->name, list);
}

static void take_provider(struct mv_settings_file *f, const struct mv_item *provider,
                          const struct mv_item *tier, struct mv_policy_settings *p)
{
        char text[100];
        if (provider->given) {
                mv_fmt(text, sizeof text, "%.*s", MV_SARG(provider->text));
                p->provider = kept(&f->arena, text);
        }
        for (enum mv_tier t = 0; tier->given && t < MV_TIER_MAX_; t++)
                if (mv_slice_eq_str(tier->text, mv_tier_name(t)) &&
                    (!p->has_tier_min || t > p->tier_min)) {
                        p->tier_min = t;
                        p->has_tier_min = true;
                }
}

static int use_environment(struct mv_settings_file *f, const char *name,
                           struct mv_policy_settings *p, struct mv_err *err)
{
        const struct built_in *b = built_in_named(name);
        const char *full = b ? b->name : name;
        const struct mv_environment *e = environment_named(&f->settings, full);
        if (!b && !e)
                return unknown_environment(f, name, err);
        p->environment = kept(&f->arena, full);
        if (b) {
                p->provider = b->provider;
                mv_context_limit(p->context, &b->limits);
        }
        if (!e)
                return 0;
        struct mv_context *within = mv_context_copy(p->context);
        if (!within || !p->environment)
                return mv_fail(err, MV_E_NOMEM, 0, "settings");
        struct granting g = { f, p->context, within, err };
        take_provider(f, &e->default_provider, &e->min_tier, p);
        int r = narrow_environment(&g, e);
        mv_context_free(within);
        return r;
}

int mv_settings_resolve(struct mv_settings_file *f, const char *environment,
                        struct mv_policy_settings *ret, struct mv_err *err)
{
        const struct mv_settings *s = &f->settings;
        const struct mv_exec_config *configs = s->capability_configs.items;
        struct mv_policy_settings p = { .environment = "" };
        char named[130];
        p.context = mv_context_new(level_named(s->level.text));
        if (!p.context)
                return mv_fail(err, MV_E_NOMEM, 0, "settings");
        if (!environment && s->environment.given) {
                mv_fmt(named, sizeof named, "%.*s", MV_SARG(s->environment.text));
                environment = named;
        }
        take_provider(f, &s->default_provider, &s->min_tier, &p);
        int r = make_base(f, p.context, err);
        if (r == 0 && environment)
                r = use_environment(f, environment, &p, err);
        for (uint32_t i = 0; r == 0 && i < s->capability_configs.count; i++)
                r = narrow_capability(f, p.context, &configs[i], err);
        if (r < 0)
                mv_context_free(p.context);
        else
                *ret = p;
        return r;
}

void mv_policy_settings_done(struct mv_policy_settings *p)
{
        p->context = mv_context_free(p->context);
}
