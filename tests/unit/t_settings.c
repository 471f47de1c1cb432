/* SPDX-License-Identifier: Apache-2.0 */
/* Settings files: what they grant, that everything behind them only narrows, and where each
 * grant stands. */
#include "../test.h"
#include <config/config.h>
#include <config/describe.h>
#include <config/settings.h>
#include <dirent.h>
#include <policy/policy.h>
#include <security/rules.h>
#include <stdlib.h>

static struct mv_settings_file parsed(const char *text)
{
        struct mv_settings_file f;
        struct mv_err err;
        if (mv_settings_parse(mv_slice_str(text), "s.toml", &f, &err) < 0) {
                mv_test_failed(__FILE__, __LINE__, err.msg);
                memset(&f, 0, sizeof f);
        }
        f.diagnostics.arena = NULL; /* the file moved */
        return f;
}

struct resolved {
        struct mv_settings_file file;
        struct mv_policy_settings p;
        struct mv_err err;
        int r;
};

static void resolve(const char *text, const char *environment, struct resolved *ret)
{
        memset(ret, 0, sizeof *ret);
        ret->file = parsed(text);
        if (!ret->file.valid)
                mv_test_failed(__FILE__, __LINE__, ret->file.diagnostics.items[0].message);
        ret->r = mv_settings_resolve(&ret->file, environment, &ret->p, &ret->err);
}

static void done(struct resolved *r)
{
        if (r->r == 0)
                mv_policy_settings_done(&r->p);
        mv_settings_done(&r->file);
}

/* --- wrong files ------------------------------------------------------------------------------ */
TEST(a_wrong_settings_file_is_told_by_code_and_place) /* REQ-CFG-10, -15 */
{
        static const struct {
                const char *text, *code;
                uint32_t line, column;
        } rows[] = {
                { "[grants]\nread = [\"tmp\"]", "INVALID_PATH", 2, 9 },
                { "[grants]\nwrite = [\"/a\", \"/a/../b\"]", "INVALID_PATH", 2, 16 },
                { "[grants]\nhosts = [\"a b\"]", "INVALID_DOMAIN", 2, 10 },
                { "[grants]\ncapabilities = [\"*\"]", "INVALID_CAPABILITY_ID", 2, 17 },
                { "[grants]\nenv = [\"1A\"]", "INVALID_ENV_NAME", 2, 8 },
                { "[grant]\nhosts = []", "UNKNOWN_KEY", 1, 2 },
                { "defaultprovider = \"mock\"", "UNKNOWN_KEY", 1, 1 },
                { "level = \"root\"", "UNKNOWN_LEVEL", 1, 9 },
                { "min_tier = \"hardware\"", "UNKNOWN_TIER", 1, 12 },
                { "[default_config]\ntimeout = 0", "INVALID_DURATION", 2, 11 },
                { "[default_config]\ntimeout = \"30 s\"", "INVALID_DURATION", 2, 11 },
                { "[default_config]\ntimeout = \"-1s\"", "INVALID_DURATION", 2, 11 },
                { "[default_config]\nmemory_limit_mb = 0", "INVALID_MEMORY_LIMIT", 2, 19 },
                { "[default_config]\nmemory_limit_mb = \"1\"", "EXPECTED_INTEGER", 2, 19 },
                { "[default_config]\ncpu_limit = 0.0", "INVALID_CPU_LIMIT", 2, 13 },
                { "[default_config]\ncpu_limit = 100000", "INVALID_CPU_LIMIT", 2, 13 },
                { "[default_config]\ncpu_limit = -1", "INVALID_CPU_LIMIT", 2, 13 },
                { "[default_config]\nfuel = 0", "INVALID_FUEL", 2, 8 },
                { "[default_config]\nnetwork_policy = \"Allowed\"", "UNKNOWN_NETWORK_POLICY", 2,
                  18 },
                { "[default_config]\nnetwork_policy = \"Full\"", "POLICY_NEEDS_LEVEL_FULL", 2, 18 },
                { "[default_config]\nnetwork_policy = { DenyList = [\"a.b\"] }",
                  "POLICY_NEEDS_LEVEL_FULL", 2, 18 },
                { "[default_config]\nnetwork_policy = { AllowList = [\"a.b\"], DenyList = [] }",
                  "POLICY_NEEDS_LEVEL_FULL", 2, 18 },
                { "[default_config]\nnetwork_policy = { allowlist = [] }", "UNKNOWN_KEY", 2, 20 },
                { "[default_config]\nfs_policy = \"Full\"", "POLICY_NEEDS_LEVEL_FULL", 2, 13 },
                { "[default_config]\nfs_policy = { ReadOnly = [], ReadWrite = [] }", "TWO_POLICIES",
                  2, 13 },
                { "[default_config]\nfs_policy = \"ReadAll\"", "UNKNOWN_FS_POLICY", 2, 13 },
                { "[default_config]\nfs_policy = 5", "EXPECTED_MAP", 2, 13 },
                { "[default_config.env_vars]\nA = 5", "EXPECTED_STRING", 2, 5 },
                { "[default_config]\nenv_vars = \"A\"", "EXPECTED_MAP", 2, 12 },
                { "[default_config.env_vars]\n\"A B\" = \"\"", "INVALID_ENV_NAME", 2, 9 },
                { "[capability_configs.\"a.*\"]\n", "INVALID_NAME", 1, 21 },
                { "level = \"full\"\n[grants]\nread = [\"/a\"]", "LIST_AT_LEVEL_FULL", 3, 8 },
                { "level = \"full\"\n[capability_configs.\"a.b\"]\nfs_policy = \"None\"",
                  "LIST_AT_LEVEL_FULL", 3, 13 },
                { "[grants]\ndeny_effects = [\"network\", \"netwrok\"]", "UNKNOWN_EFFECT", 2, 28 },
                { "[environments.e.grants]\neffects = [\":disk\"]", "UNKNOWN_EFFECT", 2, 12 },
                { "[grants\n", "SYNTAX", 1, 8 },
                { "[[governance.rules]]\naction = \"deny\"", "MISSING_RULE_ID", 1, 14 },
                { "[[governance.rules]]\nid = \"a\"\naction = \"stop\"", "UNKNOWN_RULE_ACTION", 3,
                  10 },
                { "[[governance.rules]]\nid = \"a\"\naction = \"deny\"\nrisk = \"low\"",
                  "UNKNOWN_KEY", 4, 1 },
                { "[[environments.e.governance.rules]]\nid = \"a\"\naction = \"deny\"\n"
                  "[[environments.e.governance.rules]]\nid = \"a\"\naction = \"deny\"",
                  "DUPLICATE_RULE_ID", 5, 6 },
        };
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                struct mv_settings_file f = parsed(rows[i].text);
                CHECK(!f.valid && f.diagnostics.count > 0);
                if (f.diagnostics.count) {
                        CHECK_STR(f.diagnostics.items[0].code, rows[i].code);
                        CHECK(f.diagnostics.items[0].line == rows[i].line);
                        CHECK(f.diagnostics.items[0].column == rows[i].column);
                }
                mv_settings_done(&f);
        }
}

TEST(a_policy_of_paths_without_paths_grants_none_and_says_so) /* X-15, REQ-CFG-03 */
{
        static const char *const words[] = { "ReadOnly", "ReadWrite" };
        for (size_t i = 0; i < 2; i++) {
                struct mv_settings_file f;
                struct mv_policy_settings p;
                struct mv_err err;
                char text[200];
                mv_fmt(text, sizeof text,
                       "[grants]\nread = [\"/srv\"]\nwrite = [\"/w\"]\n"
                       "[environments.production.default_config]\nfs_policy = \"%s\"\n",
                       words[i]);
                REQUIRE(mv_settings_parse(mv_slice_str(text), "f", &f, &err) == 0);
                CHECK(f.valid && f.diagnostics.warnings == 1);
                CHECK_STR(f.diagnostics.items[0].code, "FS_POLICY_WITHOUT_PATHS");
                REQUIRE(mv_settings_resolve(&f, "production", &p, &err) == 0);
                CHECK(!mv_grant_covered(p.context, MV_GRANT_READ, "/srv") &&
                      !mv_grant_covered(p.context, MV_GRANT_WRITE, "/w"));
                mv_policy_settings_done(&p);
                mv_settings_done(&f);
        }
}

static bool reaches(const struct mv_context *c, const char *url)
{
        struct mv_url u;
        struct mv_decision d;
        struct mv_err err;
        CHECK(mv_url_parse(mv_slice_str(url), &u, &err) == 0);
        mv_policy_host(c, &u, "ccos.network.http-fetch", &d);
        return d.allowed;
}

TEST(each_policy_of_hosts_and_paths_means_what_its_name_says) /* REQ-CFG-02, -03 */
{
        static const struct {
                const char *level, *policy;
                bool a, b;
        } rows[] = {
                { "controlled", "\"Denied\"", false, false },
                { "controlled", "{ AllowList = [\"a.example\"] }", true, false },
                { "full", "\"Full\"", true, true },
                { "full", "{ DenyList = [\"b.example\"] }", true, false },
        };
        static const struct {
                const char *level, *policy;
                bool read, write;
        } files[] = {
                { "controlled", "\"None\"", false, false },
                { "controlled", "{ ReadOnly = [\"/srv\"] }", true, false },
                { "controlled", "{ ReadWrite = [\"/srv\"] }", true, true },
                { "full", "\"Full\"", true, true },
        };
        char text[300];
        struct resolved r;
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                mv_fmt(text, sizeof text, "level = \"%s\"\n[default_config]\nnetwork_policy = %s",
                       rows[i].level, rows[i].policy);
                resolve(text, NULL, &r);
                REQUIRE(r.r == 0);
                CHECK(reaches(r.p.context, "https://a.example/") == rows[i].a);
                CHECK(reaches(r.p.context, "https://b.example/") == rows[i].b);
                done(&r);
        }
        for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
                mv_fmt(text, sizeof text, "level = \"%s\"\n[default_config]\nfs_policy = %s",
                       files[i].level, files[i].policy);
                resolve(text, NULL, &r);
                REQUIRE(r.r == 0);
                CHECK(mv_grant_covered(r.p.context, MV_GRANT_READ, "/srv/x") == files[i].read);
                CHECK(mv_grant_covered(r.p.context, MV_GRANT_WRITE, "/srv/x") == files[i].write);
                done(&r);
        }
}

TEST(every_example_is_valid_and_resolves) /* REQ-CFG-08, -11, -12 */
{
        static const char *const environments[] = { NULL, "dev", "prod", "test" };
        DIR *d = opendir(EXAMPLES "/settings");
        unsigned count = 0;
        REQUIRE(d);
        for (struct dirent *e = readdir(d); e; e = readdir(d)) {
                char path[1000];
                if (e->d_name[0] == '.')
                        continue;
                snprintf(path, sizeof path, "%s/settings/%s", EXAMPLES, e->d_name);
                for (size_t i = 0; i < 4; i++) {
                        struct mv_settings_file f;
                        struct mv_policy_settings p;
                        struct mv_err err = { 0 };
                        REQUIRE(mv_settings_load(path, &f, &err) == 0);
                        CHECK(f.valid);
                        if (mv_settings_resolve(&f, environments[i], &p, &err) == 0)
                                mv_policy_settings_done(&p);
                        else
                                mv_test_failed(path, (int)i, err.msg);
                        mv_settings_done(&f);
                }
                count++;
        }
        closedir(d);
        CHECK(count >= 11);
}

/* --- what a file gives ------------------------------------------------------------------------ */
#define FILE_TEXT                                                                                  \
        "default_provider = \"process\"\nmin_tier = \"process\"\n"                                 \
        "[grants]\ncapabilities = [\"ccos.io.*\", \"ccos.echo\", \"ccos.network.http-fetch\"]\n"   \
        "read = [\"/data\"]\nwrite = [\"/out/\"]\nhosts = [\"a.example\", \"*.b.example\", "       \
        "\"c.example:8080\", \"[::1]:80\"]\n"                                                      \
        "env = [\"LANG\", \"MODE=fast\"]\n"                                                        \
        "[default_config]\ntimeout = \"2s\"\nmemory_limit_mb = 32\nfuel = 1000\n"                  \
        "network_policy = { AllowList = [\"d.example\"] }\nenv_vars = { REGION = \"eu\" }\n"       \
        "[capability_configs.\"ccos.network.http-fetch\"]\ntimeout = \"500ms\"\n"                  \
        "network_policy = { AllowList = [\"x.b.example\"] }\nfs_policy = \"None\"\n"               \
        "[environments.small]\nmin_tier = \"vm\"\n[environments.small.grants]\ncapabilities = "    \
        "[\"ccos.echo\"]\n"                                                                        \
        "[environments.small.default_config]\ntimeout = 1\nfs_policy = \"None\"\n"

TEST(a_file_becomes_a_context) /* REQ-CFG-03, -04, -06, -08 */
{
        struct resolved r;
        resolve(FILE_TEXT, NULL, &r);
        REQUIRE(r.r == 0);
        const struct mv_context *c = r.p.context;
        CHECK(mv_context_allows(c, "ccos.io.read-file") && mv_context_allows(c, "ccos.echo"));
        CHECK(!mv_context_allows(c, "ccos.system.get-env"));
        CHECK(c->limits.wall_ns_max == 2000000000u && c->limits.memory_bytes_max == 32u << 20);
        CHECK(c->limits.fuel_max == 1000);
        CHECK(mv__grants_find(&c->hosts, "d.example") >= 0 &&
              mv__grants_find(&c->env, "REGION=eu") >= 0);
        CHECK_STR(r.p.provider, "process");
        CHECK(r.p.has_tier_min && r.p.tier_min == MV_TIER_PROCESS);
        done(&r);
}

/* REQ-CFG-01, -12, X-37: what the file says counts instead of what its level begins with, as far as REQ-SEC-10 goes. */
TEST(a_file_gives_the_time_and_the_memory_that_it_names)
{
        static const struct {
                const char *text;
                uint64_t seconds, mib;
                unsigned warnings;
        } rows[] = {
                { "", 5, 64, 0 },
                { "[default_config]\ntimeout = \"30s\"\nmemory_limit_mb = 256", 30, 256, 0 },
                { "[default_config]\ntimeout = \"1s\"\nmemory_limit_mb = 8", 1, 8, 0 },
                { "[default_config]\ntimeout = \"1h\"\nmemory_limit_mb = 1024", 60, 512, 2 },
                { "level = \"pure\"\n[default_config]\ntimeout = \"20s\"", 20, 16, 0 },
                { "level = \"full\"\n[default_config]\ntimeout = \"300s\"\nmemory_limit_mb = 4096",
                  300, 4096, 0 },
                { "environment = \"e\"\n[default_config]\ntimeout = \"30s\"\nmemory_limit_mb = "
                  "256\n"
                  "[environments.e.default_config]\ntimeout = \"40s\"\nmemory_limit_mb = 128",
                  30, 128, 0 }, /* what comes later only narrows */
        };
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                struct resolved r;
                struct mv_context *c;
                struct mv_wishes none = { 0 }, ten = { .limits.wall_ns_max = 10000000000u },
                                 more = { .limits.wall_ns_max = 400000000000u };
                resolve(rows[i].text, NULL, &r);
                REQUIRE(r.r == 0 && r.file.diagnostics.warnings == rows[i].warnings);
                if (rows[i].warnings)
                        CHECK_STR(r.file.diagnostics.items[0].code, "LIMIT_ABOVE_LEVEL");
                REQUIRE(mv_policy_choose(&r.file, &r.p, &none, &c, &r.err) == 0);
                CHECK(c->limits.wall_ns_max == rows[i].seconds * 1000000000u &&
                      c->limits.memory_bytes_max == rows[i].mib << 20);
                mv_context_free(c);
                CHECK(mv_policy_choose(&r.file, &r.p, &more, &c, &r.err) == -MV_E_DENIED);
                if (rows[i].seconds >= 10) {
                        REQUIRE(mv_policy_choose(&r.file, &r.p, &ten, &c, &r.err) == 0);
                        CHECK(c->limits.wall_ns_max == 10000000000u);
                        mv_context_free(c);
                }
                done(&r);
        }
}

TEST(a_file_can_not_give_more_than_its_level) /* REQ-CFG-09 */
{
        struct resolved r;
        resolve("level = \"pure\"\n[grants]\nread = [\"/a\"]", NULL, &r);
        CHECK(r.r == -MV_E_INVALID && strstr(r.err.msg, "s.toml:3:9: grants.read[0] '/a'"));
        done(&r);
}

TEST(a_capability_with_settings_of_its_own_is_decided_by_them) /* REQ-CFG-05, -06, REQ-CAP-06 */
{
        struct resolved r;
        struct mv_url u;
        struct mv_decision d;
        struct mv_err err;
        resolve(FILE_TEXT, NULL, &r);
        REQUIRE(r.r == 0);
        const struct mv_context *http = mv_context_for(r.p.context, "ccos.network.http-fetch");
        CHECK(http != r.p.context && mv_context_for(r.p.context, "ccos.echo") == r.p.context);
        REQUIRE(mv_url_parse(MV_SLICE("https://x.b.example/"), &u, &err) == 0);
        mv_policy_host(http, &u, "ccos.network.http-fetch", &d);
        CHECK(d.allowed);
        REQUIRE(mv_url_parse(MV_SLICE("https://a.example/"), &u, &err) == 0);
        mv_policy_host(http, &u, "ccos.network.http-fetch", &d);
        CHECK(!d.allowed);
        mv_policy_host(r.p.context, &u, "ccos.other", &d);
        CHECK(d.allowed);
        CHECK(http->reads.count == 0 && http->writes.count == 0 &&
              http->limits.wall_ns_max == 500000000u);
        struct mv_context *copy = mv_context_copy(r.p.context);
        REQUIRE(copy);
        CHECK(mv_context_for(copy, "ccos.network.http-fetch")->hosts.count == 1);
        uint8_t a[4096], b[4096];
        struct mv_out x = mv_out(a, sizeof a), y = mv_out(b, sizeof b);
        CHECK(mv_context_encode(copy, &x) && mv_context_encode(r.p.context, &y));
        CHECK(x.len == y.len && memcmp(a, b, x.len) == 0);
        mv_context_free(copy);
        done(&r);
}

/* --- narrowing -------------------------------------------------------------------------------- */
TEST(what_covers_what)
{
        struct resolved r;
        static const struct {
                enum mv_grant_kind kind;
                const char *text;
                bool covered;
        } rows[] = {
                { MV_GRANT_CAPABILITY, "ccos.io.read-file", true },
                { MV_GRANT_CAPABILITY, "ccos.io.*", true },
                { MV_GRANT_CAPABILITY, "ccos.io.deep.*", true },
                { MV_GRANT_CAPABILITY, "ccos.*", false },
                { MV_GRANT_CAPABILITY, "ccos.echo.*", false },
                { MV_GRANT_CAPABILITY, "ccos.ioo.x", false },
                { MV_GRANT_READ, "/data/x", true },
                { MV_GRANT_READ, "/data", true },
                { MV_GRANT_READ, "/data2", false },
                { MV_GRANT_READ, "/", false },
                { MV_GRANT_READ, "/out/x", true },
                { MV_GRANT_WRITE, "/out/x", true },
                { MV_GRANT_WRITE, "/data/x", false },
                { MV_GRANT_READ, "/data/../etc", false },
                { MV_GRANT_HOST, "a.example", true },
                { MV_GRANT_HOST, "A.example.", true },
                { MV_GRANT_HOST, "a.example:443", true },
                { MV_GRANT_HOST, "x.a.example", false },
                { MV_GRANT_HOST, "x.b.example", true },
                { MV_GRANT_HOST, "b.example", false },
                { MV_GRANT_HOST, "*.b.example", true },
                { MV_GRANT_HOST, "*.x.b.example", true },
                { MV_GRANT_HOST, "*.example", false },
                { MV_GRANT_HOST, "*.b.example:443", true },
                { MV_GRANT_HOST, "c.example:8080", true },
                { MV_GRANT_HOST, "c.example", false },
                { MV_GRANT_HOST, "c.example:80", false },
                { MV_GRANT_HOST, "[::1]:80", true },
                { MV_GRANT_HOST, "::1", false },
                { MV_GRANT_HOST, "[::1]:81", false },
                { MV_GRANT_ENV, "LANG", true },
                { MV_GRANT_ENV, "LANG=x", true },
                { MV_GRANT_ENV, "MODE=fast", true },
                { MV_GRANT_ENV, "MODE", false },
                { MV_GRANT_ENV, "MODE=slow", false },
                { MV_GRANT_ENV, "HOME", false },
                { MV_GRANT_DENY_HOST, "anything.example", true },
        };
        resolve(FILE_TEXT, NULL, &r);
        REQUIRE(r.r == 0);
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
                if (mv_grant_covered(r.p.context, rows[i].kind, rows[i].text) != rows[i].covered)
                        mv_test_failed(__FILE__, (int)i, rows[i].text);
        done(&r);
}

TEST(an_environment_narrows_the_file) /* REQ-CFG-07, -09 */
{
        struct resolved r;
        resolve(FILE_TEXT, "small", &r);
        REQUIRE(r.r == 0);
        CHECK(!mv_context_allows(r.p.context, "ccos.io.read-file") &&
              mv_context_allows(r.p.context, "ccos.echo"));
        CHECK(r.p.context->limits.wall_ns_max == 1000000000u && r.p.context->reads.count == 0);
        CHECK(r.p.context->hosts.count == 5 && r.p.tier_min == MV_TIER_VM);
        CHECK_STR(r.p.environment, "small");
        done(&r);
        resolve("[grants]\nread = [\"/a\"]\n[environments.wide.grants]\nread = [\"/a/b\",\n  "
                "\"/b\"]",
                "wide", &r);
        CHECK(r.r == -MV_E_DENIED);
        CHECK(strstr(r.err.msg, "s.toml:5:3: environments.wide.grants.read[1] would widen"));
        done(&r);
}

TEST(built_in_environments_are_there_and_others_are_not) /* REQ-CFG-07 */
{
        struct resolved r;
        resolve("", "dev", &r);
        CHECK(r.r == 0 && strcmp(r.p.provider, "mock") == 0 &&
              strcmp(r.p.environment, "development") == 0);
        done(&r);
        resolve("", "production", &r);
        CHECK(r.r == 0 && strcmp(r.p.provider, "firecracker") == 0);
        done(&r);
        resolve("environment = \"test\"", NULL, &r);
        CHECK(r.r == 0 && r.p.context->limits.memory_bytes_max == 32u << 20);
        done(&r);
        resolve("", "staging", &r);
        CHECK(r.r == -MV_E_INVALID && strstr(r.err.msg, "environment 'staging' is not known"));
        done(&r);
}

TEST(a_capability_may_not_widen_the_file) /* REQ-CFG-09 */
{
        struct resolved r;
        resolve("[capability_configs.\"ccos.network.http-fetch\"]\nnetwork_policy = { AllowList = "
                "[\"a.example\"] }",
                NULL, &r);
        CHECK(r.r == -MV_E_DENIED && strstr(r.err.msg, "s.toml:2:33: "));
        done(&r);
}

static int choose(struct resolved *r, enum mv_grant_kind kind, const char *text,
                  struct mv_limits limits, struct mv_context **ret)
{
        const char *items[1] = { text };
        struct mv_wishes w = { .limits = limits,
                               .names = { "--allow", "--allow-read", "--allow-write", "--allow-net",
                                          "--deny-net", "--env" } };
        if (text) {
                w.items[kind] = items;
                w.counts[kind] = 1;
        }
        return mv_policy_choose(&r->file, &r->p, &w, ret, &r->err);
}

TEST(options_only_narrow) /* REQ-CFG-09 */
{
        struct resolved r;
        struct mv_context *c;
        struct mv_limits none = { 0 }, more = { .wall_ns_max = 3000000000u },
                         less = { .wall_ns_max = 1 };
        resolve(FILE_TEXT, NULL, &r);
        REQUIRE(r.r == 0);
        REQUIRE(choose(&r, 0, NULL, none, &c) == 0);
        CHECK(c->capabilities.count == 3 && c->hosts.count == 5 &&
              c->limits.wall_ns_max == 2000000000u);
        mv_context_free(c);
        REQUIRE(choose(&r, MV_GRANT_CAPABILITY, "ccos.io.log", less, &c) == 0);
        CHECK(c->capabilities.count == 1 && c->hosts.count == 5 && c->limits.wall_ns_max == 1);
        mv_context_free(c);
        CHECK(choose(&r, MV_GRANT_CAPABILITY, "ccos.math.add", none, &c) == -MV_E_DENIED);
        CHECK_STR(r.err.msg, "--allow ccos.math.add: s.toml does not grant it, and options only "
                             "narrow; add it to "
                             "grants.capabilities there");
        CHECK(choose(&r, 0, NULL, more, &c) == -MV_E_DENIED && strstr(r.err.msg, "--timeout"));
        /* the capability's own hosts narrow too */
        REQUIRE(choose(&r, MV_GRANT_HOST, "a.example", none, &c) == 0);
        CHECK(c->hosts.count == 1 &&
              mv_context_for(c, "ccos.network.http-fetch")->hosts.count == 0);
        mv_context_free(c);
        REQUIRE(choose(&r, MV_GRANT_DENY_HOST, "a.example", none, &c) == 0);
        CHECK(c->hosts.count == 5 && c->hosts_denied.count == 1);
        CHECK(mv_context_for(c, "ccos.network.http-fetch")->hosts_denied.count == 1);
        mv_context_free(c);
        done(&r);
}

/* REQ-GOV-01, REQ-SEC-16 */
TEST(rules_come_with_the_file_and_an_environment_has_its_own_besides)
{
        static const char text[] =
                "[grants]\ncapabilities = [\"ccos.*\"]\n"
                "[[governance.rules]]\nid = \"all\"\naction = \"allow\"\n"
                "[[environments.e.governance.rules]]\nid = \"two\"\naction = "
                "\"require-approval\"\n"
                "approvals = 2\ntimeout = \"2h\"\neffects = [\"network\", \"system\"]\n"
                "[[environments.e.governance.rules]]\nid = \"no\"\naction = \"deny\"\nrisk_tier = "
                "\"medium\"\n"
                "[capability_configs.\"ccos.io.read-file\"]\ntimeout = \"1s\"\n";
        struct mv_capability network = { .id = "ccos.a", .effects = MV_EFFECT_NETWORK },
                             files = { .id = "ccos.b", .effects = MV_EFFECT_FILESYSTEM },
                             pure = { .id = "ccos.c" };
        struct mv_governed g = { .capability = &network };
        const struct mv_rule *rules[MV_CONSTITUTIONS_MAX];
        struct resolved r;
        resolve(text, NULL, &r);
        REQUIRE(r.r == 0);
        CHECK(mv_rules_for(r.p.context, &g, rules) == 1 && rules[0]->action == MV_RULE_ALLOW);
        done(&r);
        resolve(text, "e", &r);
        REQUIRE(r.r == 0);
        CHECK(mv_rules_for(r.p.context, &g, rules) == 2 && rules[1]->approvals == 2 &&
              rules[1]->timeout_ms == 7200000);
        g.capability = &files;
        CHECK(mv_rules_for(r.p.context, &g, rules) == 1 && strcmp(rules[0]->id, "no") == 0);
        CHECK(mv_rules_for(mv_context_for(r.p.context, "ccos.io.read-file"), &g, rules) == 1 &&
              rules[0]->action == MV_RULE_DENY);
        g.capability = &pure;
        CHECK(mv_rules_for(r.p.context, &g, rules) == 1 && rules[0]->action == MV_RULE_ALLOW);
        const struct mv_origin *o = mv__origin_find(&r.file.origins, MV_ORIGIN_RULE, "no");
        CHECK(o && o->line == 12 && strcmp(o->path, "environments.e.governance.rules[1]") == 0);
        done(&r);
}

static void encoded(struct mv_context *c, uint8_t ret[4096], size_t *len)
{
        struct mv_out o = mv_out(ret, 4096);
        CHECK(mv_context_encode(c, &o));
        *len = o.len;
}

/* The digest of a context tells one constitution of two rules from two of one. */
TEST(what_each_constitution_says_stands_in_the_digest)
{
        struct mv_rule a = { .id = "a" }, b = { .id = "b", .action = MV_RULE_DENY };
        struct mv_context *one = mv_context_new(MV_LEVEL_PURE),
                          *two = mv_context_new(MV_LEVEL_PURE),
                          *second = mv_context_new(MV_LEVEL_PURE);
        uint8_t x[4096], y[4096];
        size_t n, m;
        struct mv_err err;
        REQUIRE(one && two && second);
        CHECK(mv_context_add_rule(one, &a, &err) == 0 && mv_context_add_rule(one, &b, &err) == 0);
        CHECK(mv_context_add_rule(two, &a, &err) == 0 &&
              mv_context_add_rule(second, &b, &err) == 0);
        CHECK(mv__context_join(two, second, &err) == 0);
        encoded(one, x, &n);
        encoded(two, y, &m);
        CHECK(n != m || memcmp(x, y, n) != 0);
        struct mv_context *copy = mv_context_copy(two);
        REQUIRE(copy);
        encoded(copy, x, &n);
        CHECK(n == m && memcmp(x, y, n) == 0);
        CHECK(mv__context_join(two, second, &err) == -MV_E_INVALID);
        mv_context_free(copy);
        mv_context_free(one);
        mv_context_free(two);
        mv_context_free(second);
}

TEST(a_level_is_never_raised)
{
        struct resolved r;
        struct mv_context *c;
        struct mv_wishes full = { .has_level = true, .level = MV_LEVEL_FULL },
                         pure = { .has_level = true };
        resolve(FILE_TEXT, NULL, &r);
        CHECK(mv_policy_choose(&r.file, &r.p, &full, &c, &r.err) == -MV_E_DENIED);
        REQUIRE(mv_policy_choose(&r.file, &r.p, &pure, &c, &r.err) == 0);
        CHECK(mv_context_level(c) == MV_LEVEL_PURE && c->capabilities.count == 0);
        CHECK(mv_context_level(mv_context_for(c, "ccos.network.http-fetch")) == MV_LEVEL_PURE);
        mv_context_free(c);
        done(&r);
}

TEST(every_grant_knows_its_line) /* issue: --explain names file and line */
{
        struct resolved r;
        resolve(FILE_TEXT, NULL, &r);
        const struct mv_origin *o = mv_settings_origin(&r.file, MV_GRANT_CAPABILITY, "ccos.echo");
        REQUIRE(o);
        CHECK(o->line == 4 && o->column == 30);
        CHECK_STR(o->path, "grants.capabilities[1]");
        o = mv_settings_origin(&r.file, MV_GRANT_WRITE, "/out");
        CHECK(o && o->line == 6);
        o = mv_settings_origin(&r.file, MV_GRANT_ENV, "REGION");
        CHECK(o && strcmp(o->path, "default_config.env_vars") == 0);
        CHECK(!mv_settings_origin(&r.file, MV_GRANT_HOST, "z.example"));
        done(&r);
}

/* --- documents -------------------------------------------------------------------------------- */
static void check_document(enum mv_document which, enum mv_document_format format, const char *path)
{
        struct mv_text t = { 0 };
        char *file = malloc(1 << 20), whole[1000];
        snprintf(whole, sizeof whole, "%s/%s", EXAMPLES "/..", path);
        FILE *f = fopen(whole, "re");
        REQUIRE(file && f);
        size_t n = fread(file, 1, 1 << 20, f);
        fclose(f);
        mv_describe(which, format, &t);
        if (t.len != n || memcmp(t.p, file, n) != 0)
                mv_test_failed(path, 1,
                               "is not what `microvm config schema` prints: write it anew");
        mv_text_done(&t);
        free(file);
}

TEST(the_documents_say_what_the_schema_says) /* REQ-DOC, the schema is one table */
{
        check_document(MV_DOCUMENT_AGENT, MV_DOCUMENT_MARKDOWN, "docs/config/agent-config.md");
        check_document(MV_DOCUMENT_AGENT, MV_DOCUMENT_SCHEMA,
                       "docs/config/agent-config.schema.json");
        check_document(MV_DOCUMENT_AGENT, MV_DOCUMENT_MAN, "man/agent.config.5");
        check_document(MV_DOCUMENT_SETTINGS, MV_DOCUMENT_MARKDOWN, "docs/config/settings.md");
        check_document(MV_DOCUMENT_SETTINGS, MV_DOCUMENT_SCHEMA,
                       "docs/config/settings.schema.json");
        check_document(MV_DOCUMENT_SETTINGS, MV_DOCUMENT_MAN, "man/microvm.toml.5");
        check_document(MV_DOCUMENT_CONTRACT, MV_DOCUMENT_MARKDOWN, "docs/config/contract.md");
        check_document(MV_DOCUMENT_CONTRACT, MV_DOCUMENT_SCHEMA,
                       "docs/config/contract.schema.json");
}
