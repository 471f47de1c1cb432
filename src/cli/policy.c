/* SPDX-License-Identifier: Apache-2.0 */
/* --policy FILE: the settings file is the most a program may be granted. --agent FILE: an agent.config is what it is
 * granted, within that. The other options choose from what they give. */
#include <base/err.h>
#include <cli/policy.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define CUT_BYTES_MIN 70 /* of a path in a rule, policy/path.c */

/* Options name paths from where the user stands; a grant is absolute. */
static int absolute_paths(struct cli_list *l, const char *option, char *kept[CLI_LIST_MAX],
                          struct mv_err *err)
{
        char path[PATH_MAX];
        for (unsigned i = 0; i < l->count; i++) {
                if (cli_absolute(l->items[i], path, err) < 0)
                        return mv_wrap(err, "%s %s", option, l->items[i]);
                kept[i] = strdup(path);
                if (!kept[i])
                        return mv_fail(err, MV_E_NOMEM, 0, "%s", option);
                l->items[i] = kept[i];
        }
        return 0;
}

static int choose(const struct cli_options *o, struct cli_policy *p, struct mv_context **ret,
                  struct mv_err *err)
{
        struct cli_list reads = o->allow_read, writes = o->allow_write;
        char *kept[2][CLI_LIST_MAX] = { { NULL } };
        struct mv_wishes w = {
                .has_level = o->level_given,
                .level = o->level,
                .limits = o->limits,
                .names = { "--allow", "--allow-read", "--allow-write", "--allow-net", "--deny-net",
                           "--env" },
                .items = { o->allow.items, reads.items, writes.items, o->allow_net.items,
                           o->deny_net.items, o->env.items },
                .counts = { o->allow.count, reads.count, writes.count, o->allow_net.count,
                            o->deny_net.count, o->env.count },
        };
        if (p->has_agent && !p->loaded)
                mv_agent_limits(&p->grants, &w.limits);
        int r = absolute_paths(&reads, "--allow-read", kept[0], err);
        if (r == 0)
                r = absolute_paths(&writes, "--allow-write", kept[1], err);
        if (r == 0 && p->has_agent) {
                struct mv_giver giver = mv_agent_giver(&p->grants);
                r = mv_context_choose(&giver, p->grants.context, &w, ret, err);
        } else if (r == 0) {
                r = mv_policy_choose(&p->file, &p->settings, &w, ret, err);
        }
        for (unsigned i = 0; i < CLI_LIST_MAX; i++) {
                free(kept[0][i]);
                free(kept[1][i]);
        }
        return r;
}

static int load_settings(const struct cli_options *o, struct cli_policy *p, struct mv_err *err)
{
        const char *environment = o->environment ? o->environment : getenv("MICROVM_ENVIRONMENT");
        int r = mv_settings_load(o->policy, &p->file, err);
        if (r < 0)
                return r;
        p->loaded = true;
        if (!p->file.valid)
                return mv__first_error(&p->file.diagnostics, p->file.name, err);
        return mv_settings_resolve(&p->file, environment && environment[0] ? environment : NULL,
                                   &p->settings, err);
}

int cli_policy_context(const struct cli_options *o, struct cli_policy *p, struct mv_context **ret,
                       struct mv_err *err)
{
        int r = o->policy ? load_settings(o, p, err) : 0;
        if (r == 0 && o->agent)
                r = cli_agent_load(o->agent, p, err);
        if (r == 0 && o->agent && o->policy)
                r = mv_settings_fit(&p->file, &p->settings, p->grants.context, &p->grants.origins,
                                    err);
        struct mv_context *c = NULL;
        if (r == 0)
                r = choose(o, p, &c, err);
        for (unsigned i = 0; r == 0 && i < o->deny_effect.count; i++)
                if (mv_context_deny_effect(c, o->deny_effect.items[i], err) < 0)
                        r = mv_wrap(err, "--deny-effect");
        if (r == 0)
                *ret = c;
        else
                mv_context_free(c);
        return r;
}

const char *cli_policy_name(const struct cli_policy *p)
{
        return p->has_agent ? p->grants.name : p->file.name;
}

static const struct mv_context *most_of(const struct cli_policy *p)
{
        return p->has_agent ? p->grants.context : p->settings.context;
}

int cli_policy_covers(const struct cli_policy *p, const char *option, const char *text,
                      struct mv_err *err)
{
        static const char *const options[MV_GRANT_KINDS] = { "allow",       "allow-read",
                                                             "allow-write", "allow-net",
                                                             "deny-net",    "env" };
        char path[PATH_MAX];
        for (enum mv_grant_kind kind = 0; kind < MV_GRANT_KINDS; kind++) {
                if (strcmp(options[kind], option) != 0)
                        continue;
                bool is_path = kind == MV_GRANT_READ || kind == MV_GRANT_WRITE;
                if (is_path && cli_absolute(text, path, err) < 0)
                        return mv_wrap(err, "%s %s", option, text);
                if (mv_grant_covered(most_of(p), kind, is_path ? path : text))
                        return 0;
                return mv_fail(err, MV_E_DENIED, 0,
                               "%s %s: %s does not grant it, and what comes later only narrows",
                               option, text, cli_policy_name(p));
        }
        return 0;
}

/* The wall of an agent's mode when it is here; else the strongest that is, and never below its tier. */
static const char *agent_wall(const struct cli_policy *p, struct mv_host *h, enum mv_tier tier)
{
        struct mv_provider_info info;
        struct mv_err err;
        uint32_t index;
        bool here = mv_host_provider_find(h, p->grants.provider, &index) == 0 &&
                    mv_host_provider_info(h, index, &info, &err) == 0 && info.available &&
                    info.tier >= tier;
        return here ? p->grants.provider : NULL;
}

/* Programs without namespaces are what no file means that does not say so. */
static bool asks_landlock(const struct cli_options *o)
{
        return (o->tier_given && o->tier_min == MV_TIER_LANDLOCK) ||
               (o->provider && strcmp(o->provider, mv_tier_name(MV_TIER_LANDLOCK)) == 0);
}

static bool admits_landlock(const struct mv_policy_settings *s, const struct cli_policy *p)
{
        return (s->has_tier_min && s->tier_min <= MV_TIER_LANDLOCK) ||
               (s->provider && strcmp(s->provider, mv_tier_name(MV_TIER_LANDLOCK)) == 0) ||
               (!p->loaded && p->has_agent && p->grants.tier_min <= MV_TIER_LANDLOCK);
}

int cli_policy_wall(const struct cli_options *o, const struct cli_policy *p, struct mv_host *h,
                    struct mv_execution *x, struct mv_err *err)
{
        const struct mv_policy_settings *s = &p->settings;
        bool has_tier = s->has_tier_min || p->has_agent;
        enum mv_tier tier = s->has_tier_min ? s->tier_min : MV_TIER_NONE;
        if (p->has_agent && p->grants.tier_min > tier)
                tier = p->grants.tier_min;
        if (has_tier && o->tier_given && o->tier_min < tier)
                return mv_fail(err, MV_E_DENIED, 0,
                               "--min-tier %s: %s says %s, and options only narrow",
                               mv_tier_name(o->tier_min), cli_policy_name(p), mv_tier_name(tier));
        if (!x->provider && p->has_agent)
                x->provider = !o->tier_given ? agent_wall(p, h, tier) : NULL;
        else if (!x->provider && s->provider)
                x->provider = s->provider;
        if (asks_landlock(o) && !admits_landlock(s, p))
                return mv_fail(
                        err, MV_E_DENIED, 0,
                        "tier landlock: %s does not admit it (min_tier = \"landlock\" would), and "
                        "options only narrow",
                        cli_policy_name(p));
        bool automatic = !x->provider || strcmp(x->provider, "auto") == 0;
        if (!o->tier_given)
                x->tier_min = has_tier ? tier : automatic ? MV_TIER_PROCESS : MV_TIER_NONE;
        return 0;
}

static int configure(const struct cli_policy *p, struct mv_host *h, const char *name,
                     const char *json, struct mv_err *err)
{
        struct mv_provider_info info;
        uint32_t index;
        if (mv_host_provider_find(h, name, &index) < 0)
                return mv_fail(err, MV_E_INVALID, 0,
                               "%s: provider_configs: Provider '%s' not found", p->file.name, name);
        int r = mv_host_provider_info(h, index, &info, err);
        if (r < 0 || !info.available)
                return r;
        if (mv_host_provider_init(h, name, json, err) < 0)
                return mv_wrap(err, "%s: provider_configs.%s", p->file.name, name);
        return 0;
}

int cli_policy_providers(const struct cli_policy *p, struct mv_host *h, struct mv_err *err)
{
        struct mv_slice slice;
        char *json, name[100];
        int r = 0;
        for (uint32_t i = 0; r == 0 && (json = mv_settings_provider(&p->file, i, &slice)); i++) {
                mv_fmt(name, sizeof name, "%.*s", (int)slice.len, (const char *)slice.p);
                r = configure(p, h, name, json, err);
                free(json);
        }
        return r;
}

static int exchange(const struct cli_options *o, struct cli_request *q, struct cli_policy *p,
                    struct mv_err *err)
{
        struct mv_context *context;
        struct mv_execution x = q->x;
        int r = cli_policy_context(o, p, &context, err);
        if (r < 0)
                return r;
        x.provider = o->provider;
        r = cli_policy_wall(o, p, q->host, &x, err);
        if (r == 0)
                r = cli_agent_admit(o, p, q->host, &x, err);
        if (r < 0) {
                mv_context_free(context);
                return r;
        }
        cli_policy_done(q->policy);
        free(q->policy);
        mv_context_free(q->context);
        q->policy = p;
        q->context = context;
        q->x = x;
        q->x.context = context;
        cli_behalf(q);
        return 0;
}

int cli_policy_reload(const struct cli_options *o, struct cli_request *q, struct mv_err *err)
{
        struct cli_policy *p = calloc(1, sizeof *p);
        int r = p ? exchange(o, q, p, err) : mv_fail(err, MV_E_NOMEM, 0, "settings");
        if (r < 0 && p) {
                cli_policy_done(p);
                free(p);
        }
        return r;
}

void cli_policy_done(struct cli_policy *p)
{
        if (p->has_agent) {
                mv_agent_grants_done(&p->grants);
                mv_agent_done(&p->agent);
        }
        p->has_agent = false;
        if (!p->loaded)
                return;
        mv_policy_settings_done(&p->settings);
        mv_settings_done(&p->file);
        p->loaded = false;
}

/* A rule shows the beginning of a long path: the line is told only when one grant begins like
 * that. */
static const struct mv_origin *origin_of_cut(const struct mv_origins *l, enum mv_grant_kind kind,
                                             const char *text)
{
        const struct mv_origin *found = NULL;
        size_t n = strlen(text);
        for (uint32_t i = 0; n >= CUT_BYTES_MIN && i < l->count; i++) {
                if (l->items[i].kind != kind || strncmp(l->items[i].text, text, n) != 0)
                        continue;
                if (found && strcmp(found->text, l->items[i].text) != 0)
                        return NULL;
                found = &l->items[i];
        }
        return found;
}

/* Behind its id may stand how it decided, and other rules. */
static const struct mv_origin *origin_of_rule(const struct cli_policy *p, const char *rule)
{
        char id[MV_RULE_ID_MAX + 2];
        mv_fmt(id, sizeof id, "%.*s", (int)strcspn(rule, " ;"), rule);
        const struct mv_origin *o = mv__origin_find(&p->grants.origins, MV_ORIGIN_RULE, id);
        return o ? o : mv__origin_find(&p->file.origins, MV_ORIGIN_RULE, id);
}

const struct mv_origin *cli_policy_origin(const struct cli_policy *p, const char *rule)
{
        static const struct {
                const char *prefix;
                enum mv_grant_kind kind;
        } rows[] = { { "grant read ", MV_GRANT_READ },     { "grant write ", MV_GRANT_WRITE },
                     { "grant env ", MV_GRANT_ENV },       { "grant host ", MV_GRANT_HOST },
                     { "deny host ", MV_GRANT_DENY_HOST }, { "grant ", MV_GRANT_CAPABILITY } };
        const struct mv_origins *l = p->has_agent ? &p->grants.origins : &p->file.origins;
        if (strncmp(rule, "rule ", 5) == 0)
                return origin_of_rule(p, rule + 5);
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                if (strncmp(rule, rows[i].prefix, strlen(rows[i].prefix)) != 0)
                        continue;
                const char *text = rule + strlen(rows[i].prefix);
                const struct mv_origin *o = mv__origin_find(l, rows[i].kind, text);
                return o ? o : origin_of_cut(l, rows[i].kind, text);
        }
        return NULL;
}
