/* SPDX-License-Identifier: Apache-2.0 */
#include <config/bind.h>
#include <config/config.h>
#include <config/forms.h>
#include <config/governance.h>
#include <config/lexical.h>
#include <config/settings.h>
#include <errno.h>
#include <policy/policy.h>
#include <security/grants.h>
#include <security/lexical.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SETTINGS_BYTES_MAX MV_CONFIG_BYTES_MAX

/* --- checking --------------------------------------------------------------------------------- */
struct checking {
        struct mv_diagnostics *d;
        bool full; /* the file's level */
};

struct finding {
        const char *code, *path, *message, *suggestion;
};

static void tell(const struct checking *k, enum mv_severity severity, const struct mv_item *at,
                 const struct finding *f)
{
        struct mv_report r = { .severity = severity,
                               .code = f->code,
                               .path = f->path,
                               .suggestion = f->suggestion,
                               .line = at->line,
                               .column = at->column };
        mv__diagnose(k->d, &r, "%s", f->message);
}

static void wrong(const struct checking *k, const struct mv_item *at, const struct finding *f)
{
        tell(k, MV_SEVERE_ERROR, at, f);
}

static bool is(const struct mv_item *item, const char *word)
{
        return mv_slice_eq_str(item->text, word);
}

static void check_policies(const struct checking *k, const struct mv_exec_config *c)
{
        const struct mv_network_policy *n = &c->network_policy;
        const struct mv_fs_policy *f = &c->fs_policy;
        struct mv_item network = { .line = n->at.line, .column = n->at.column };
        struct mv_item files = { .line = f->at.line, .column = f->at.column };
        if (!k->full && (is(&n->word, "Full") || n->deny_list.given))
                wrong(k, &network,
                      &(struct finding){ "POLICY_NEEDS_LEVEL_FULL", "network_policy",
                                         "At level controlled hosts are named one by one: this "
                                         "policy cannot be kept",
                                         "Use { AllowList = [...] }, or level = \"full\"" });
        if (!k->full && is(&f->word, "Full"))
                wrong(k, &files,
                      &(struct finding){ "POLICY_NEEDS_LEVEL_FULL", "fs_policy",
                                         "At level controlled paths are named one by one: this "
                                         "policy cannot be kept",
                                         "Use { ReadOnly = [...] } or { ReadWrite = [...] }, or "
                                         "level = \"full\"" });
        if (is(&f->word, "ReadOnly") || is(&f->word, "ReadWrite"))
                tell(k, MV_SEVERE_WARNING, &files,
                     &(struct finding){ "FS_POLICY_WITHOUT_PATHS", "fs_policy",
                                        "No paths are named: nothing is granted",
                                        "{ ReadOnly = [\"/path\"] } names one" });
        if (n->allow_list.given && n->deny_list.given)
                wrong(k, &network,
                      &(struct finding){ "TWO_POLICIES", "network_policy",
                                         "AllowList and DenyList are two policies", "Keep one" });
        if (f->read_only.given && f->read_write.given)
                wrong(k, &files,
                      &(struct finding){ "TWO_POLICIES", "fs_policy",
                                         "ReadOnly and ReadWrite are two policies",
                                         "Keep one; [grants] takes both kinds of paths" });
}

static void check_env_vars(const struct checking *k, const struct mv_item *vars)
{
        if (!vars->given)
                return;
        struct mv_item at = *vars;
        if (vars->any->kind != MV_MAP) {
                wrong(k, &at,
                      &(struct finding){ "EXPECTED_MAP", "env_vars",
                                         "Expected map for env_vars config", NULL });
                return;
        }
        for (uint32_t i = 0; i + 1 < vars->any->count; i += 2) {
                const struct mv_form *key = &vars->any->items[i], *value = key + 1;
                at.line = value->line;
                at.column = value->column;
                if (value->kind != MV_STRING || memchr(value->text.p, 0, value->text.len))
                        wrong(k, &at,
                              &(struct finding){ "EXPECTED_STRING", "env_vars",
                                                 "Expected string or keyword", NULL });
                else if (mv__env_name_check(key->text))
                        wrong(k, &at,
                              &(struct finding){ "INVALID_ENV_NAME", "env_vars",
                                                 "Not the name of a variable", NULL });
        }
}

/* What is more than a level below full can be given would be cut: nobody should find that out by waiting. */
static void check_most(const struct checking *k, const struct mv_exec_config *c)
{
        const struct {
                const struct mv_item *at;
                bool above;
                struct finding found;
        } rows[] = {
                { &c->timeout,
                  (uint64_t)c->timeout.integer > MV_GIVEN_WALL_NS_MAX / 1000000,
                  { "LIMIT_ABOVE_LEVEL", "timeout",
                    "Below level full an execution gets at most 60 s: that is what counts",
                    "\"60s\", or level = \"full\"" } },
                { &c->memory_limit_mb,
                  (uint64_t)c->memory_limit_mb.integer > MV_GIVEN_MEMORY_BYTES_MAX >> 20,
                  { "LIMIT_ABOVE_LEVEL", "memory_limit_mb",
                    "Below level full an execution gets at most 512 MiB: that is what counts",
                    "512, or level = \"full\"" } },
        };
        for (size_t i = 0; !k->full && i < sizeof rows / sizeof rows[0]; i++)
                if (rows[i].at->given && rows[i].above)
                        tell(k, MV_SEVERE_WARNING, rows[i].at, &rows[i].found);
}

static void check_exec(const struct checking *k, const struct mv_exec_config *c)
{
        long cpus = sysconf(_SC_NPROCESSORS_ONLN);
        char message[120];
        mv_fmt(message, sizeof message,
               "cpu_limit must be above 0 and at most the %ld processors of this machine", cpus);
        if (c->cpu_limit.given && (c->cpu_limit.real <= 0 || c->cpu_limit.real > (double)cpus))
                wrong(k, &c->cpu_limit,
                      &(struct finding){ "INVALID_CPU_LIMIT", "cpu_limit", message, NULL });
        check_most(k, c);
        check_policies(k, c);
        check_env_vars(k, &c->env_vars);
}

/* At level full a list reads like a restriction and would be none. */
static void check_level(const struct checking *k, const struct mv_settings *s)
{
        const struct mv_grants_section *g = &s->grants;
        const struct mv_item *lists[] = { &g->capabilities, &g->read, &g->write, &g->hosts };
        const struct mv_exec_config *configs = s->capability_configs.items;
        static const char code[] = "LIST_AT_LEVEL_FULL";
        static const char message[] =
                "Level full grants everything already: this list would restrict nothing";
        static const char hint[] = "Use level = \"controlled\"";
        for (size_t i = 0; k->full && i < sizeof lists / sizeof lists[0]; i++)
                if (lists[i]->count)
                        wrong(k, lists[i], &(struct finding){ code, "grants", message, hint });
        for (uint32_t i = 0; k->full && i <= s->capability_configs.count; i++) {
                const struct mv_exec_config *c = i ? &configs[i - 1] : &s->default_config;
                struct mv_item network = { .line = c->network_policy.at.line,
                                           .column = c->network_policy.at.column };
                struct mv_item files = { .line = c->fs_policy.at.line,
                                         .column = c->fs_policy.at.column };
                bool open = is(&c->network_policy.word, "Full") ||
                            (i == 0 && c->network_policy.deny_list.given);
                if (c->network_policy.at.given && !open)
                        wrong(k, &network,
                              &(struct finding){ code, "network_policy", message, hint });
                if (c->fs_policy.at.given && !is(&c->fs_policy.word, "Full"))
                        wrong(k, &files, &(struct finding){ code, "fs_policy", message, hint });
        }
}

static void check_providers(const struct checking *k, const struct mv_item *configs)
{
        if (!configs->given)
                return;
        bool tables = configs->any->kind == MV_MAP;
        for (uint32_t i = 1; tables && i < configs->any->count; i += 2)
                tables = configs->any->items[i].kind == MV_MAP;
        if (!tables)
                wrong(k, configs,
                      &(struct finding){ "EXPECTED_MAP", "provider_configs",
                                         "Expected map for provider_configs config",
                                         "Write [provider_configs.NAME]" });
}

static void check_settings(struct mv_settings_file *f)
{
        const struct mv_settings *s = &f->settings;
        struct checking k = { &f->diagnostics, is(&s->level, "full") };
        const struct mv_exec_config *configs = s->capability_configs.items;
        const struct mv_environment *environments = s->environments.items;
        check_level(&k, s);
        check_providers(&k, &s->provider_configs);
        check_exec(&k, &s->default_config);
        if (s->tls.client_cert.given != s->tls.client_key.given)
                wrong(&k, s->tls.client_cert.given ? &s->tls.client_cert : &s->tls.client_key,
                      &(struct finding){ "CLIENT_CERT_AND_KEY", "tls",
                                         "A client certificate and its key come together",
                                         "Name both client_cert and client_key" });
        for (uint32_t i = 0; i < s->capability_configs.count; i++) {
                struct mv_item at = { .line = configs[i].at.line, .column = configs[i].at.column };
                if (mv__id_check(configs[i].at.name, false))
                        wrong(&k, &at,
                              &(struct finding){ "INVALID_CAPABILITY_ID", "capability_configs",
                                                 "Not the id of one capability", NULL });
                check_exec(&k, &configs[i]);
        }
        mv__check_rules(&s->governance.rules, "governance.rules", k.d);
        mv__check_budgets(&s->governance.budgets, "governance.budgets", k.d);
        for (uint32_t i = 0; i < s->environments.count; i++) {
                char path[200];
                mv_fmt(path, sizeof path, "environments.%.*s.governance.rules",
                       MV_SARG(environments[i].at.name));
                check_exec(&k, &environments[i].default_config);
                mv__check_rules(&environments[i].governance.rules, path, k.d);
                mv_fmt(path, sizeof path, "environments.%.*s.governance.budgets",
                       MV_SARG(environments[i].at.name));
                mv__check_budgets(&environments[i].governance.budgets, path, k.d);
        }
}

/* --- reading ---------------------------------------------------------------------------------- */
static void syntax_wrong(struct mv_settings_file *f, const struct mv_syntax_error *e)
{
        struct mv_report r = { .severity = MV_SEVERE_ERROR,
                               .code = "SYNTAX",
                               .path = "",
                               .line = e->line,
                               .column = e->column };
        mv__diagnose(&f->diagnostics, &r, "Failed to parse settings: %s", e->message);
}

/* A settings file grants: what is in it and is not known is an error, not a remark. */
static void bind(struct mv_settings_file *f, const struct mv_form *form)
{
        struct mv_binding b = { .arena = &f->arena,
                                .diagnostics = &f->diagnostics,
                                .strict = true,
                                .string_keys = true };
        mv__bind(&b, &mv__settings_schema, form, form->items, form->count, &f->settings);
        if (b.shape_errors == 0)
                check_settings(f);
}

int mv_settings_parse(struct mv_slice text, const char *name, struct mv_settings_file *ret,
                      struct mv_err *err)
{
        struct mv_form form;
        struct mv_syntax_error error = { 0 };
        *ret = (struct mv_settings_file){ .arena = mv_arena_grow(MV_CONFIG_ARENA_BYTES),
                                          .name = name };
        ret->diagnostics.arena = &ret->arena;
        mv__defaults(&mv__settings_schema, &ret->settings);
        int r = text.len > SETTINGS_BYTES_MAX
                        ? mv_fail(err, MV_E_LIMIT, 0, "%s: more than %u bytes", name,
                                  SETTINGS_BYTES_MAX)
                        : mv__read_toml(text, &ret->arena, &form, &error, err);
        if (r == 0)
                bind(ret, &form);
        else if (r == -(int)MV_E_INVALID)
                syntax_wrong(ret, &error);
        if (ret->diagnostics.failed)
                r = mv_fail(err, MV_E_LIMIT, 0, "%s: too much of it", name);
        if (r < 0 && r != -(int)MV_E_INVALID) {
                mv_settings_done(ret);
                return r;
        }
        mv__diagnostics_sort(&ret->diagnostics, &mv__settings_schema);
        ret->valid = ret->diagnostics.errors == 0;
        return 0;
}

char *mv_settings_provider(const struct mv_settings_file *f, uint32_t index,
                           struct mv_slice *ret_name)
{
        const struct mv_item *configs = &f->settings.provider_configs;
        struct mv_text t = { 0 };
        if (!configs->given || index >= configs->any->count / 2)
                return NULL;
        *ret_name = configs->any->items[2 * index].text;
        mv__print_form(&configs->any->items[2 * index + 1], MV_SYNTAX_JSON, &t);
        return mv_text_take(&t);
}

int mv_settings_load(const char *path, struct mv_settings_file *ret, struct mv_err *err)
{
        char *text;
        size_t len;
        int r = mv__read_file(path, "Failed to read settings file", &text, &len, err);
        if (r < 0)
                return r;
        r = mv_settings_parse(mv_slice(text, len), path, ret, err);
        if (r == 0)
                mv__digest_text(mv_slice(text, len), ret->digest);
        free(text);
        return r;
}

void mv_settings_done(struct mv_settings_file *f)
{
        mv_arena_done(&f->arena);
        *f = (struct mv_settings_file){ 0 };
}
