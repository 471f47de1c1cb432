/* SPDX-License-Identifier: Apache-2.0 */
/* agent.config: the table of wrong ones (tests/conformance/config.jsonl), the examples, round
 * trips, VM specs. */
#include "../test.h"
#include <base/arena.h>
#include <config/config.h>
#include <config/lexical.h>
#include <config/spec.h>
#include <dirent.h>
#include <stdlib.h>
#include <wire/json.h>

#define DIGEST "sha256:0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0"

static struct mv_agent_file parsed_as(const char *text, enum mv_syntax syntax, bool strict)
{
        struct mv_agent_options o = { .strict = strict };
        struct mv_agent_file f;
        struct mv_err err;
        if (mv_agent_parse(mv_slice_str(text), syntax, &o, &f, &err) < 0) {
                mv_test_failed(__FILE__, __LINE__, err.msg);
                memset(&f, 0, sizeof f);
        }
        f.diagnostics.arena = NULL; /* the file moved */
        return f;
}

static struct mv_agent_file parsed(const char *text)
{
        return parsed_as(text, MV_SYNTAX_RTFS, false);
}

static const struct mv_diagnostic *first(const struct mv_agent_file *f, const char *code)
{
        for (uint32_t i = 0; i < f->diagnostics.count; i++)
                if (strcmp(f->diagnostics.items[i].code, code) == 0)
                        return &f->diagnostics.items[i];
        return NULL;
}

/* --- the table -------------------------------------------------------------------------------- */
static const char *field(const struct mv_value *row, const char *key, struct mv_arena *a)
{
        struct mv_slice s;
        if (!mv_as_text(mv_map_get(row, key), &s))
                return NULL;
        char *p = mv_new(a, char, s.len + 1);
        memcpy(p, s.p, s.len);
        return p;
}

static enum mv_syntax syntax_named(const char *name)
{
        return !name ? MV_SYNTAX_RTFS : strcmp(name, "json") == 0 ? MV_SYNTAX_JSON : MV_SYNTAX_TOML;
}

static void complain(const char *name, const struct mv_agent_file *f, const char *what)
{
        char w[600];
        const struct mv_diagnostic *d = f->diagnostics.count ? &f->diagnostics.items[0] : NULL;
        snprintf(w, sizeof w, "%.80s: %.160s; first of %u is %s at %u:%u %.60s: %.150s", name, what,
                 f->diagnostics.count, d ? d->code : "none", d ? d->line : 0, d ? d->column : 0,
                 d ? d->path : "", d ? d->message : "");
        mv_test_failed(__FILE__, __LINE__, w);
}

static void check_texts(const char *name, const struct mv_agent_file *f,
                        const struct mv_diagnostic *d, const struct mv_value *row,
                        struct mv_arena *a)
{
        const char *path = field(row, "path", a), *message = field(row, "message", a);
        const char *suggestion = field(row, "suggestion", a);
        if (path && strcmp(path, d->path) != 0)
                complain(name, f, "another path");
        if (message && strcmp(message, d->message) != 0 &&
            strncmp(d->message, message, strlen(message)) != 0)
                complain(name, f, "another message");
        if (suggestion && (!d->suggestion || strcmp(suggestion, d->suggestion) != 0))
                complain(name, f, "another suggestion");
}

static void check_row(const struct mv_value *row, struct mv_arena *a)
{
        static const char *const severities[] = { "error", "warning", "note" };
        const char *name = field(row, "name", a), *code = field(row, "code", a);
        int64_t line = -1, column = -1, errors = -1;
        bool strict = false;
        mv_as_bool(mv_map_get(row, "strict"), &strict);
        mv_as_int(mv_map_get(row, "line"), &line);
        mv_as_int(mv_map_get(row, "column"), &column);
        mv_as_int(mv_map_get(row, "errors"), &errors);
        struct mv_agent_file f =
                parsed_as(field(row, "text", a), syntax_named(field(row, "syntax", a)), strict);
        const struct mv_diagnostic *d = first(&f, code);
        if (!d)
                complain(name, &f, code);
        else if (d->line != line || d->column != column)
                complain(name, &f, "another place");
        else if (strcmp(severities[d->severity], field(row, "severity", a)) != 0)
                complain(name, &f, "another severity");
        else if (f.diagnostics.errors != errors || f.valid != (errors == 0))
                complain(name, &f, "another number of errors");
        else
                check_texts(name, &f, d, row, a);
        mv_agent_done(&f);
}

TEST(each_wrong_configuration_is_told_by_its_code_at_its_place) /* REQ-AC-03..12, -16, REQ-ACV-02..22;
 */
{
        FILE *f = fopen(CONFIG_CASES, "re");
        char *line = NULL;
        size_t cap = 0;
        unsigned rows = 0;
        ssize_t n;
        REQUIRE(f);
        while ((n = getline(&line, &cap, f)) > 0) {
                struct mv_arena a = mv_arena_grow(4 << 20);
                const struct mv_value *row;
                struct mv_err err;
                CHECK(mv_json_decode(mv_slice(line, (size_t)n - 1), &a, &row, &err) == 0);
                check_row(row, &a);
                mv_arena_done(&a);
                rows++;
        }
        free(line);
        fclose(f);
        printf("# %u configurations, each with its code, line and column\n", rows);
        CHECK(rows >= 250);
}

/* --- what is right ---------------------------------------------------------------------------- */
static void check_round_trip(const struct mv_agent_file *f, enum mv_syntax syntax, const char *name)
{
        struct mv_text t = { 0 };
        mv_agent_print(&f->config, syntax, &t);
        char *text = mv_text_take(&t);
        REQUIRE(text);
        struct mv_agent_file again = parsed_as(text, syntax, true);
        if (!mv__sections_equal(&mv__agent_schema, &f->config, &again.config))
                complain(name, &again, "does not read back equal");
        if (again.diagnostics.errors != f->diagnostics.errors)
                complain(name, &again, "reads back with other errors");
        mv_agent_done(&again);
        free(text);
}

TEST(every_example_is_valid_and_reads_back_equal_in_every_syntax) /* REQ-DOC-01, -02, REQ-AC-14, -15, -17;
 */
{
        DIR *d = opendir(EXAMPLES "/config");
        unsigned count = 0;
        REQUIRE(d);
        for (struct dirent *e = readdir(d); e; e = readdir(d)) {
                char path[1000];
                struct mv_agent_file f;
                struct mv_agent_options strict = { .strict = true };
                struct mv_err err;
                if (e->d_name[0] == '.')
                        continue;
                snprintf(path, sizeof path, "%s/config/%s", EXAMPLES, e->d_name);
                REQUIRE(mv_agent_load(path, &strict, &f, &err) == 0);
                if (!f.valid || f.diagnostics.warnings)
                        complain(path, &f, "is not clean");
                for (enum mv_syntax s = 0; s < MV_SYNTAX_MAX_; s++)
                        check_round_trip(&f, s, path);
                mv_agent_done(&f);
                count++;
        }
        closedir(d);
        printf("# %u examples\n", count);
        CHECK(count >= 10);
}

TEST(every_character_reads_back_in_every_syntax) /* REQ-AC-15 */
{
        static const char text[] = "{:governance {:policies {:a :allow} :keys {:verify "
                                   "\"\\u0001\\u0008\\t\\n\\u000c\\r\\u001f \\\"\\\\"
                                   "'\x7f\\u0080\\u2028\\ud83d\\ude00é\"}}}";
        struct mv_agent_file f = parsed(text);
        CHECK(f.valid && f.config.governance.keys.verify.text.len == 23);
        for (enum mv_syntax s = 0; s < MV_SYNTAX_MAX_; s++)
                check_round_trip(&f, s, "characters");
        mv_agent_done(&f);
}

TEST(the_configuration_of_the_first_report_is_read_field_by_field) /* REQ-AC-01, -02, -06, -07 */
{
        struct mv_agent_file f = parsed(
                "(agent.config :version \"1.0\" :agent-id \"agent.complex\" :profile :microvm\n"
                " :features [:network :telemetry :attestation]\n"
                " :orchestrator {:isolation {:mode :microvm :fs {:ephemeral true\n"
                "   :mounts {:capabilities {:mode :ro} :data {:mode :rw}}}}}\n"
                " :network {:enabled true :egress {:via :proxy :allow-domains [\"example.com\" "
                "\"api.github.com\"] :mtls true}}\n"
                " :microvm {:kernel {:image \"kernels/vmlinuz-min\" :cmdline \"console=ttyS0 "
                "root=/dev/vda1\"}\n"
                "  :rootfs {:image \"rootfs.img\" :ro true} :resources {:vcpus 4 :mem-mb 1024}\n"
                "  :devices {:nic {:enabled true :proxy-ns \"proxy\"} :vsock {:enabled true :cid "
                "3}}\n"
                "  :attestation {:enabled true :expect-rootfs-hash \"" DIGEST "\"}})");
        const struct mv_agent_config *c = &f.config;
        CHECK(f.valid);
        CHECK(mv_slice_eq_str(c->version.text, "1.0"));
        CHECK(mv_slice_eq_str(c->agent_id.text, "agent.complex"));
        CHECK(mv_slice_eq_str(c->profile.text, "microvm"));
        CHECK(c->features.count == 3 && mv_slice_eq_str(c->features.texts[2].text, "attestation"));
        CHECK(mv_slice_eq_str(c->orchestrator.isolation.mode.text, "microvm"));
        CHECK(c->orchestrator.isolation.fs.ephemeral.boolean);
        CHECK(c->orchestrator.isolation.fs.mounts.count == 2);
        const struct mv_mount *m = c->orchestrator.isolation.fs.mounts.items;
        CHECK(mv_slice_eq_str(m[1].at.name, "data") && mv_slice_eq_str(m[1].mode.text, "rw"));
        CHECK(c->network.enabled.boolean && mv_slice_eq_str(c->network.egress.via.text, "proxy"));
        CHECK(c->network.egress.allow_domains.count == 2 && c->network.egress.mtls.boolean);
        CHECK(c->microvm.at.given &&
              mv_slice_eq_str(c->microvm.kernel.image.text, "kernels/vmlinuz-min"));
        CHECK(c->microvm.rootfs.ro.boolean && c->microvm.resources.vcpus.integer == 4);
        CHECK(c->microvm.resources.mem_mb.integer == 1024 &&
              c->microvm.devices.vsock.cid.integer == 3);
        CHECK(mv_slice_eq_str(c->microvm.devices.nic.proxy_ns.text, "proxy"));
        mv_agent_done(&f);
}

TEST(what_is_left_out_takes_its_default) /* REQ-AC-08, -20..48, REQ-ACV-01 */
{
        struct mv_agent_file f = parsed("(agent.config :version \"0.2\")");
        const struct mv_agent_config *c = &f.config;
        CHECK(f.valid && f.diagnostics.warnings == 0);
        CHECK(mv_slice_eq_str(c->version.text, "0.2"));
        CHECK(mv_slice_eq_str(c->agent_id.text, "agent.default"));
        CHECK(mv_slice_eq_str(c->profile.text, "minimal"));
        CHECK(mv_slice_eq_str(c->orchestrator.isolation.mode.text, "wasm"));
        CHECK(mv_slice_eq_str(c->orchestrator.dlp.policy.text, "lenient"));
        CHECK(mv_slice_eq_str(c->network.egress.via.text, "none") && !c->network.enabled.boolean);
        CHECK(!c->microvm.at.given && c->microvm.rootfs.ro.boolean);
        CHECK(c->microvm.resources.vcpus.integer == 1 &&
              c->microvm.resources.mem_mb.integer == 512);
        CHECK(mv_slice_eq_str(c->causal_chain.storage.mode.text, "in_memory"));
        CHECK(!c->marketplace.readonly.given && !c->delegation.threshold.given);
        CHECK(c->delegation.adaptive_threshold.base_threshold.real == 0.65);
        CHECK(c->self_programming.max_synthesis_per_session.integer == 10);
        CHECK(mv_slice_eq_str(c->sandbox.package_cache_dir.text, "/tmp/ccos-sandbox-cache"));
        mv_agent_done(&f);
}

TEST(numbers_are_read_in_every_spelling_and_words_stand_for_policies) /* REQ-AC-11, -40, -41; X-33 */
{
        struct mv_agent_file f = parsed(
                "{:governance {:policies {:a {:budgets {:max_cost_usd 10 :token_budget 1e5}}\n"
                "  :b :lenient :c \"moderate\" :d :deny}}}");
        const struct mv_governance_policy *p = f.config.governance.policies.items;
        REQUIRE(f.valid && f.config.governance.policies.count == 4);
        CHECK(p[0].budgets.max_cost_usd.real == 10 && p[0].budgets.token_budget.real == 100000);
        CHECK(mv_slice_eq_str(p[1].risk_tier.text, "low") &&
              p[1].budgets.token_budget.real == 10000);
        CHECK(mv_slice_eq_str(p[2].risk_tier.text, "medium") &&
              p[2].requires_approvals.integer == 1);
        CHECK(mv_slice_eq_str(p[3].risk_tier.text, "high") && p[3].requires_approvals.integer == 2);
        CHECK(p[3].budgets.max_cost_usd.real == 0);
        mv_agent_done(&f);
}

TEST(profiles_give_what_the_specification_says) /* REQ-DOC-03, REQ-AC-16 */
{
        struct mv_agent_file f =
                parsed("(profile:microvm-networked \"a\" [\"x.example\"] \"" DIGEST
                       "\" \"sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\")");
        const struct mv_agent_config *c = &f.config;
        CHECK(f.valid && f.diagnostics.warnings == 0);
        CHECK(c->microvm.devices.nic.enabled.boolean && c->network.egress.mtls.boolean);
        CHECK(mv_slice_eq_str(c->microvm.devices.nic.proxy_ns.text, "egress-proxy-ns"));
        CHECK(c->network.egress.tls_pins.count == 1 && c->capabilities.http.enabled.boolean);
        CHECK(c->microvm.resources.mem_mb.integer == 256 &&
              c->microvm.devices.vsock.cid.integer == 3);
        CHECK(mv_slice_eq_str(c->microvm.kernel.cmdline.text, "console=none") &&
              c->microvm.attestation.enabled.boolean);
        mv_agent_done(&f);
        f = parsed("(profile:microvm-min \"a\" \"" DIGEST "\")");
        CHECK(f.valid && !f.config.network.enabled.boolean &&
              !f.config.microvm.devices.nic.enabled.boolean);
        CHECK(f.config.orchestrator.isolation.fs.ephemeral.boolean);
        mv_agent_done(&f);
}

static bool text_is(const struct mv_item *item, const char *text)
{
        return mv_slice_eq_str(item->text, text);
}

TEST(no_section_is_thrown_away) /* X-47, REQ-AC-37..47 */
{
        struct mv_agent_file f = parsed(
                "{:capabilities {:http {:enabled true :egress {:allow-domains [\"a.b\"] :mtls "
                "true}}\n"
                "  :fs {:enabled true :paths [\"d\"]} :llm {:enabled true :models [:m]}}\n"
                " :governance {:policies {:p {:risk_tier :high :requires_approvals 3\n"
                "    :budgets {:max_cost_usd 2 :token_budget 7}}} :keys {:verify \"k.pem\"}}\n"
                " :causal_chain {:storage {:mode :append_file :path \"c\" :buffer_local true}\n"
                "  :anchor {:enabled true}}\n"
                " :marketplace {:registry_paths [\"r\"] :readonly true}\n"
                " :delegation {:enabled true :threshold 0.5 :min_skill_hits 2 :max_candidates 4\n"
                "  :agent_registry {:registry_type :file :agents [{:agent_id \"x\" :cost 1}]}}\n"
                " :discovery {:use_embeddings true} :self_programming {:trust_level 2}}");
        const struct mv_agent_config *c = &f.config;
        CHECK(f.valid && f.diagnostics.warnings == 0);
        CHECK(c->capabilities.http.enabled.boolean &&
              c->capabilities.http.egress.allow_domains.count == 1 &&
              c->capabilities.http.egress.mtls.boolean);
        CHECK(c->capabilities.fs.enabled.boolean && c->capabilities.fs.paths.count == 1);
        CHECK(c->capabilities.llm.enabled.boolean &&
              text_is(&c->capabilities.llm.models.texts[0], "m"));
        const struct mv_governance_policy *p = c->governance.policies.items;
        REQUIRE(c->governance.policies.count == 1 && text_is(&p->risk_tier, "high"));
        CHECK(p->requires_approvals.integer == 3 && p->budgets.max_cost_usd.real == 2 &&
              p->budgets.token_budget.real == 7);
        CHECK(text_is(&c->governance.keys.verify, "k.pem"));
        CHECK(text_is(&c->causal_chain.storage.mode, "append_file") &&
              text_is(&c->causal_chain.storage.path, "c") &&
              c->causal_chain.storage.buffer_local.boolean &&
              c->causal_chain.anchor.enabled.boolean);
        CHECK(c->marketplace.registry_paths.count == 1 && c->marketplace.readonly.boolean);
        CHECK(c->delegation.enabled.boolean && c->delegation.threshold.real == 0.5 &&
              c->delegation.min_skill_hits.integer == 2 &&
              c->delegation.max_candidates.integer == 4);
        const struct mv_registered_agent *a = c->delegation.agent_registry.agents.items;
        CHECK(c->delegation.agent_registry.agents.count == 1 && text_is(&a->agent_id, "x"));
        CHECK(c->discovery.use_embeddings.boolean && c->self_programming.trust_level.integer == 2);
        for (enum mv_syntax s = 0; s < MV_SYNTAX_MAX_; s++)
                check_round_trip(&f, s, "sections");
        mv_agent_done(&f);
}

TEST(definitions_and_one_last_form_give_the_configuration) /* REQ-AC-16, -17; X-34 */
{
        struct mv_agent_file f = parsed(
                "(def base:id \"agent.made\")\n"
                "(defn profile:mine [id hosts] (agent.config :agent-id id :network\n"
                "  {:enabled true :egress {:via :proxy :allow-domains hosts}}))\n"
                "(profile:mine base:id (map (fn [n] (str n \".example.com\")) [\"a\" \"b\"]))");
        CHECK(f.valid && text_is(&f.config.agent_id, "agent.made"));
        CHECK(f.config.network.egress.allow_domains.count == 2 &&
              text_is(&f.config.network.egress.allow_domains.texts[1], "b.example.com"));
        mv_agent_done(&f);
        f = parsed("(def a 1)"); /* definitions alone give none */
        CHECK(!f.valid);
        mv_agent_done(&f);
        f = parsed("(agent.config :agent-id \"a\") (agent.config :agent-id \"b\")");
        CHECK(f.valid && text_is(&f.config.agent_id, "b"));
        mv_agent_done(&f);
}

/* The whole file, with one text in it replaced by another of any length. */
static char *with(const char *text, const char *from, const char *to)
{
        const char *at = strstr(text, from);
        char *s = NULL;
        if (!at || asprintf(&s, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from)) < 0)
                abort();
        return s;
}

TEST(what_a_microvm_is_accepted_for_is_what_the_example_sets) /* REQ-DOC-05 */
{
        static const struct {
                const char *from, *to, *code; /* code NULL: only the machine differs */
        } rows[] = {
                { ":image \"images/agent-rootfs.img\" :ro true", ":image \"i\" :ro false", NULL },
                { ":via :proxy", ":via :direct", "INVALID_EGRESS_METHOD" },
                { "\"egress-proxy-ns\"", "\"\"", "MISSING_PROXY_NS" },
                { ":cid 3", ":cid 0", "INVALID_VSOCK_CID" },
                { ":policy :strict", ":policy :lenient", "NON_STRICT_DLP" },
                { ":ephemeral true", ":ephemeral false", "NON_EPHEMERAL_FS" },
                { "{:mode :ro}", "{:mode :rw}", "CAPABILITIES_NOT_READONLY" },
        };
        static char text[1 << 16];
        FILE *in = fopen(EXAMPLES "/config/microvm.rtfs", "re");
        REQUIRE(in);
        text[fread(text, 1, sizeof text - 1, in)] = '\0';
        fclose(in);
        struct mv_spec_options o = { .base_directory = "/etc" };
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                char *changed = with(text, rows[i].from, rows[i].to);
                struct mv_agent_file f = parsed(changed);
                struct mv_vm_spec s;
                struct mv_err err;
                if (rows[i].code && !first(&f, rows[i].code))
                        complain(rows[i].code, &f, "is not there");
                if (!rows[i].code)
                        CHECK(mv_vm_spec(&f.config, &o, &f.arena, &s, &err) == 0 &&
                              !s.drives[0].read_only);
                mv_agent_done(&f);
                free(changed);
        }
}

TEST(a_lenient_reader_takes_a_digest_that_is_only_hinted_at) /* REQ-ACV-22 */
{
        struct mv_agent_options lenient = { .lenient_digests = true };
        struct mv_agent_file f;
        struct mv_err err;
        REQUIRE(mv_agent_parse(MV_SLICE("{:orchestrator {:isolation {:mode :microvm :fs "
                                        "{:ephemeral true}}}\n"
                                        " :microvm {:kernel {:image \"k\"} :rootfs {:image \"r\"}\n"
                                        "  :attestation {:enabled true :expect-rootfs-hash "
                                        "\"sha256:abc123...\"}}}"),
                               MV_SYNTAX_RTFS, &lenient, &f, &err) == 0);
        CHECK(f.valid);
        mv_agent_done(&f);
}

TEST(diagnostics_come_in_the_order_of_the_schema) /* REQ-ACV-20 */
{
        struct mv_agent_file f = parsed(
                "{:microvm {:devices {:vsock {:enabled true}} :resources {:mem-mb 1 :vcpus 0}}\n"
                " :network {:egress {:via :x}} :profile :y :colour 1}");
        static const char *const codes[] = { "UNKNOWN_KEY",
                                             "UNKNOWN_PROFILE",
                                             "INVALID_ISOLATION_MODE",
                                             "NON_EPHEMERAL_FS",
                                             "MISSING_CAPABILITIES_MOUNT",
                                             "DLP_DISABLED",
                                             "UNKNOWN_EGRESS_METHOD",
                                             "MISSING_KERNEL_IMAGE",
                                             "MISSING_ROOTFS_IMAGE",
                                             "INVALID_VCPUS",
                                             "INVALID_MEMORY",
                                             "INVALID_VSOCK_CID",
                                             "governance.no_policies" };
        REQUIRE(f.diagnostics.count == sizeof codes / sizeof codes[0]);
        for (size_t i = 0; i < f.diagnostics.count; i++)
                CHECK_STR(f.diagnostics.items[i].code, codes[i]);
        CHECK(!mv_agent_field_ok(&f, "microvm.resources.vcpus") &&
              mv_agent_field_ok(&f, "microvm.rootfs.ro"));
        mv_agent_done(&f);
}

TEST(a_value_is_tried_without_changing_the_file) /* REQ-ACV-17 */
{
        static const struct {
                const char *path, *literal;
                int r;
                bool ok;
        } rows[] = {
                { "microvm.resources.vcpus", "0", 0, false },
                { "microvm.resources.vcpus", "2", 0, true },
                { "microvm.resources.vcpus", "\"2\"", 0, false },
                { "microvm.devices.vsock.cid", "2", 0, false },
                { "orchestrator.isolation.mode", ":wasm", 0, false },
                { "orchestrator.isolation.fs.mounts.capabilities.mode", ":rw", 0, false },
                { "orchestrator.isolation.fs.mounts.capabilities.mode", ":ro", 0, true },
                { "network.egress.allow_domains", "[\"a b\"]", 0, false },
                { "profile", ":spaceship", 0, false },
                { "microvm.resources.cpus", "1", -MV_E_NOT_FOUND, false },
                { "orchestrator.isolation.fs.mounts.other.mode", ":ro", -MV_E_NOT_FOUND, false },
                { "version", "\"1\" :profile", -MV_E_INVALID, false },
                { "version", "(", -MV_E_INVALID, false },
        };
        struct mv_agent_file f;
        struct mv_err err;
        REQUIRE(mv_agent_parse(MV_SLICE("(profile:microvm-min \"a\" \"" DIGEST "\")"),
                               MV_SYNTAX_RTFS, NULL, &f, &err) == 0);
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                bool ok = false;
                int r = mv_agent_field_try(&f, rows[i].path, mv_slice_str(rows[i].literal), &ok,
                                           &err);
                if (r != rows[i].r || ok != rows[i].ok)
                        mv_test_failed(rows[i].path, (int)i, rows[i].literal);
        }
        const struct mv_mount *m = f.config.orchestrator.isolation.fs.mounts.items;
        CHECK(f.config.microvm.resources.vcpus.integer == 1 && mv_slice_eq_str(m->mode.text, "ro"));
        mv_agent_done(&f);
}

TEST(two_agents_of_one_host_need_two_context_ids) /* REQ-ACV-19 */
{
        struct mv_agent_file files[2];
        struct mv_err err;
        for (int i = 0; i < 2; i++)
                REQUIRE(mv_agent_parse(MV_SLICE("(profile:microvm-min \"a\" \"" DIGEST "\")"),
                                       MV_SYNTAX_RTFS, NULL, &files[i], &err) == 0);
        mv_agent_check_host(&files[0], &files[1]);
        CHECK(files[0].valid && !files[1].valid);
        CHECK(first(&files[1], "DUPLICATE_VSOCK_CID") != NULL);
        mv_agent_done(&files[0]);
        mv_agent_done(&files[1]);
}

TEST(reports_are_written_for_people_and_for_tools) /* REQ-ACV-18, -20 */
{
        struct mv_agent_file f = parsed("{:profile :y}");
        struct mv_text t = { 0 };
        mv_agent_report(&f, "x.rtfs", &t);
        char *text = mv_text_take(&t);
        REQUIRE(text);
        CHECK(strstr(text, "❌ Validation Errors:\n  • profile: Unknown profile 'y'") == text);
        CHECK(strstr(text, "at x.rtfs, line 1, column 11 [UNKNOWN_PROFILE]\n"));
        free(text);
        t.compact = true;
        mv_agent_report_json(&f, "x.rtfs", &t);
        text = mv_text_take(&t);
        REQUIRE(text);
        CHECK(strstr(text, "{\"ok\": false,\"file\": \"x.rtfs\",\"is_valid\": false,") == text);
        CHECK(strstr(text, "\"field_path\": \"profile\"") && strchr(text, '\n') == NULL);
        free(text);
        mv_agent_done(&f);
        f = parsed("(profile:microvm-min \"a\" \"" DIGEST "\")");
        mv_agent_report(&f, NULL, &t);
        text = mv_text_take(&t);
        CHECK_STR(text, "✅ MicroVM configuration is valid\n");
        free(text);
        mv_agent_done(&f);
}

TEST(more_keys_than_anybody_writes_are_refused)
{
        struct mv_text t = { 0 };
        struct mv_agent_file f;
        struct mv_err err;
        mv_text_str(&t, "{");
        for (int i = 0; i < 5000; i++)
                mv_text_str(&t, ":version \"1\" ");
        mv_text_str(&t, ":profile :minimal}");
        REQUIRE(mv_agent_parse(mv_slice(t.p, t.len), MV_SYNTAX_RTFS, NULL, &f, &err) == 0);
        CHECK(!f.valid && f.diagnostics.warnings == 4095 && first(&f, "TOO_MANY_ENTRIES") != NULL);
        CHECK(f.diagnostics.errors == 1 && f.diagnostics.count == MV_DIAGNOSTICS_MAX + 1);
        mv_agent_done(&f);
        mv_text_done(&t);
}

TEST(a_text_that_is_too_long_is_refused)
{
        size_t n = (256u << 10) + 1;
        char *text = malloc(n);
        struct mv_agent_file f;
        struct mv_err err;
        REQUIRE(text);
        memset(text, ' ', n);
        CHECK(mv_agent_parse(mv_slice(text, n), MV_SYNTAX_RTFS, NULL, &f, &err) == -MV_E_LIMIT);
        memset(text, '(', n - 1);
        REQUIRE(mv_agent_parse(mv_slice(text, n - 1), MV_SYNTAX_RTFS, NULL, &f, &err) == 0);
        CHECK(!f.valid);
        mv_agent_done(&f);
        free(text);
}

/* Places are counted on, not from the beginning: this took seconds. */
TEST(a_file_of_one_long_line_knows_its_columns)
{
        static const struct {
                enum mv_syntax syntax;
                const char *head, *tail;
        } rows[] = { { MV_SYNTAX_JSON, "{\"features\": [", "7]}" },
                     { MV_SYNTAX_TOML, "features = [", "7]" } };
        enum { ITEMS = 40000 };
        for (size_t i = 0; i < 2; i++) {
                struct mv_text t = { 0 };
                struct mv_agent_file f;
                struct mv_err err;
                mv_text_str(&t, rows[i].head);
                for (int k = 0; k < ITEMS; k++)
                        mv_text_str(&t, "\"\xc3\xa9\",");
                mv_text_str(&t, rows[i].tail);
                REQUIRE(!t.failed);
                REQUIRE(mv_agent_parse(mv_slice(t.p, t.len), rows[i].syntax, NULL, &f, &err) == 0);
                CHECK(!f.valid && f.diagnostics.items[0].line == 1);
                CHECK(f.diagnostics.items[0].column == strlen(rows[i].head) + 4 * ITEMS + 1);
                mv_agent_done(&f);
                mv_text_done(&t);
        }
}

TEST(durations_have_units) /* REQ-CFG-08 */
{
        static const struct {
                const char *text;
                int64_t ms;
        } rows[] = { { "30s", 30000 },  { "500ms", 500 }, { "5m", 300000 },
                     { "1h", 3600000 }, { "2", 2000 },    { "0.5s", 500 },
                     { "", -1 },        { "s", -1 },      { "0s", -1 },
                     { "-1s", -1 },     { "1 s", -1 },    { "1d", -1 },
                     { "1e3s", -1 },    { ".5s", -1 },    { "99999999999h", -1 },
                     { "0.1ms", -1 } };
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                int64_t ms = -1;
                CHECK(mv__duration_ms(mv_slice_str(rows[i].text), &ms) == (rows[i].ms > 0));
                CHECK(ms == rows[i].ms);
        }
}

/* --- VM specs --------------------------------------------------------------------------------- */
#define GUEST(more)                                                                                \
        "{:agent-id \"agent.x\" :orchestrator {:isolation {:mode :microvm :fs {:ephemeral "        \
        "true}}}\n"                                                                                \
        " :network {:enabled true :egress {:via :proxy :allow-domains [\"a.com\"]}}\n"             \
        " :microvm {:kernel {:image \"/path/to/kernel\" :cmdline \"console=ttyS0\"}\n"             \
        "  :rootfs {:image \"/path/to/rootfs\"} :resources {:vcpus 1 :mem-mb 256}\n"               \
        "  :devices {:nic {:enabled true :proxy-ns \"p\" " more                                    \
        "} :vsock {:enabled true :cid 3}}}}"

TEST(a_spec_has_what_the_configuration_says) /* REQ-SUP-01..04, -11; X-23 */
{
        struct mv_agent_file f = parsed(GUEST(""));
        struct mv_spec_options o = { .base_directory = "/etc/agents" };
        struct mv_vm_spec s;
        struct mv_err err;
        REQUIRE(f.valid && mv_vm_spec(&f.config, &o, &f.arena, &s, &err) == 0);
        CHECK_STR(s.kernel, "/path/to/kernel");
        CHECK_STR(s.boot_args, "console=ttyS0");
        CHECK_STR(s.drives[0].path, "/path/to/rootfs");
        CHECK(s.drives[0].read_only && s.drives[0].root && s.vcpus == 1 && s.memory_mib == 256);
        CHECK_STR(s.nics[0].id, "eth0");
        CHECK_STR(s.nics[0].proxy_ns, "p");
        CHECK(strlen(s.nics[0].tap) <= 15 && s.guest_cid == 3);
        CHECK_STR(s.vsock_path, "/run/ccos-microvm/agent.x/vsock.sock");
        o.kernel = "/other";
        REQUIRE(mv_vm_spec(&f.config, &o, &f.arena, &s, &err) == 0);
        CHECK_STR(s.kernel, "/other");
        mv_agent_done(&f);
        f = parsed("{:profile :minimal}");
        CHECK(mv_vm_spec(&f.config, &o, &f.arena, &s, &err) == -MV_E_INVALID);
        CHECK_STR(err.msg, "Agent configuration does not contain MicroVM settings");
        mv_agent_done(&f);
}

static const char *refusal(struct mv_vm_spec s)
{
        static struct mv_err err;
        CHECK(mv_vm_spec_validate(&s, &err) == -MV_E_INVALID);
        return err.msg;
}

TEST(a_spec_that_no_machine_can_have_is_refused) /* REQ-SUP-07, -09 */
{
        struct mv_arena a = mv_arena_grow(1 << 20);
        struct mv_vm_spec good, s;
        struct mv_err err;
        REQUIRE(mv_vm_spec_minimal("agent.min", "/k", "/r", &a, &good, &err) == 0);
        CHECK_STR(good.boot_args, "console=ttyS0 reboot=k panic=1 pci=off");
        CHECK(good.memory_mib == 128 && good.vcpus == 1 && good.guest_cid == 3 &&
              good.nics_count == 0);
        s = good, s.kernel = "";
        CHECK_STR(refusal(s), "Kernel image path cannot be empty");
        s = good, s.drives_count = 0;
        CHECK_STR(refusal(s), "At least one drive must be configured");
        s = good, s.drives[0].root = false;
        CHECK_STR(refusal(s), "Exactly one drive must be configured as root device");
        s = good, s.drives[1] = s.drives[0], s.drives_count = 2;
        CHECK_STR(refusal(s), "Exactly one drive must be configured as root device");
        s = good, s.vcpus = 0;
        CHECK_STR(refusal(s), "vCPU count must be greater than 0");
        s = good, s.memory_mib = 0;
        CHECK_STR(refusal(s), "Memory size must be greater than 0");
        s = good, s.guest_cid = 0;
        CHECK_STR(refusal(s), "VSock guest CID must be greater than 0");
        s = good, s.guest_cid = 2;
        CHECK(strstr(refusal(s), "between 3 and"));
        s = good, s.vcpus = 33;
        CHECK(strstr(refusal(s), "32"));
        mv_arena_done(&a);
}

/* What Firecracker reads: every key that is written must be in its row, every required one must
 * be there. */
static const struct section_keys {
        const char *section, *required, *optional;
} firecracker_keys[] = {
        { "boot-source", "kernel_image_path", "initrd_path|boot_args" },
        { "drives", "drive_id|is_root_device",
          "path_on_host|socket|is_read_only|partuuid|cache_type|io_engine|rate_limiter" },
        { "machine-config", "vcpu_count|mem_size_mib", "smt|track_dirty_pages|huge_pages" },
        { "network-interfaces", "iface_id|host_dev_name",
          "guest_mac|mtu|rx_rate_limiter|tx_rate_limiter" },
        { "vsock", "guest_cid|uds_path", "vsock_id" },
        { "balloon", "amount_mib|deflate_on_oom",
          "stats_polling_interval_s|free_page_hinting|free_page_reporting" },
        { "logger", "", "log_path|level|show_level|show_log_origin|module" },
        { "metrics", "metrics_path", "" },
        { "entropy", "", "rate_limiter" },
};

static void check_keys(const struct mv_value *map, const struct section_keys *k)
{
        char required[200];
        snprintf(required, sizeof required, "%s", k->required);
        for (uint32_t i = 0; i < map->count; i++)
                CHECK(mv__choice_has(k->required, map->entries[i].key.text) ||
                      mv__choice_has(k->optional, map->entries[i].key.text));
        for (char *save, *key = strtok_r(required, "|", &save); key;
             key = strtok_r(NULL, "|", &save))
                CHECK(mv_map_get(map, key) != NULL);
}

static void check_firecracker(const struct mv_value *top)
{
        REQUIRE(top->kind == MV_MAP);
        for (uint32_t i = 0; i < top->count; i++) {
                const struct section_keys *k = NULL;
                for (size_t n = 0; n < sizeof firecracker_keys / sizeof firecracker_keys[0]; n++)
                        if (mv_slice_eq_str(top->entries[i].key.text, firecracker_keys[n].section))
                                k = &firecracker_keys[n];
                REQUIRE(k);
                const struct mv_value *v = &top->entries[i].value;
                for (uint32_t n = 0; v->kind == MV_VECTOR && n < v->count; n++)
                        check_keys(&v->items[n], k);
                if (v->kind == MV_MAP)
                        check_keys(v, k);
        }
        CHECK(mv_map_get(top, "boot-source") && mv_map_get(top, "drives"));
}

static bool is_path_id(struct mv_slice s)
{ /* drive_id and iface_id are parts of API paths: letters, digits and _ */
        for (size_t i = 0; i < s.len; i++)
                if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_",
                            s.p[i]))
                        return false;
        return s.len > 0;
}

TEST(firecracker_gets_the_keys_it_reads_and_no_other) /* REQ-SUP-08 */
{
        struct mv_agent_file f = parsed(GUEST(
                ":rx-rate-limit {:bandwidth {:size 1000000 :refill-ms 100 :one-time-burst 5}}"));
        struct mv_spec_options o = { .base_directory = "/etc" };
        struct mv_vm_spec s;
        struct mv_err err;
        struct mv_text t = { 0 };
        const struct mv_value *top;
        struct mv_slice id;
        REQUIRE(f.valid && mv_vm_spec(&f.config, &o, &f.arena, &s, &err) == 0);
        mv_vm_spec_firecracker(&s, &t);
        REQUIRE(mv_json_decode(mv_slice(t.p, t.len), &f.arena, &top, &err) == 0);
        check_firecracker(top);
        const struct mv_value *nic = mv_seq_at(mv_map_get(top, "network-interfaces"), 0);
        CHECK(mv_as_text(mv_map_get(nic, "iface_id"), &id) && is_path_id(id));
        CHECK(mv_as_text(mv_map_get(mv_seq_at(mv_map_get(top, "drives"), 0), "drive_id"), &id) &&
              is_path_id(id));
        int64_t n = 0;
        const struct mv_value *bucket = mv_map_get(mv_map_get(nic, "rx_rate_limiter"), "bandwidth");
        CHECK(mv_as_int(mv_map_get(bucket, "refill_time"), &n) && n == 100);
        CHECK(mv_as_int(mv_map_get(bucket, "one_time_burst"), &n) && n == 5);
        CHECK(mv_as_int(mv_map_get(mv_map_get(top, "machine-config"), "mem_size_mib"), &n) &&
              n == 256);
        CHECK(mv_as_int(mv_map_get(mv_map_get(top, "balloon"), "amount_mib"), &n) && n <= 256);
        mv_text_done(&t);
        mv_agent_done(&f);
}

static const struct mv_value *at(const struct mv_value *top, const char *section, const char *key)
{
        const struct mv_value *v = mv_map_get(top, section);
        return v ? mv_map_get(v, key) : NULL;
}

static void check_text(const struct mv_value *v, const char *wanted)
{
        struct mv_slice s = { NULL, 0 };
        CHECK(v && mv_as_text(v, &s) && mv_slice_eq_str(s, wanted));
}

static void check_int(const struct mv_value *v, int64_t wanted)
{
        int64_t n = -1;
        CHECK(v && mv_as_int(v, &n) && n == wanted);
}

TEST(a_machine_has_its_devices_in_a_directory_of_its_own) /* REQ-SUP-04, -05, -09; X-20 */
{
        struct mv_arena a = mv_arena_grow(1 << 20);
        struct mv_vm_spec s;
        struct mv_err err;
        struct mv_text t = { 0 };
        const struct mv_value *top;
        bool yes = false, no = true;
        REQUIRE(mv_vm_spec_minimal("agent.min", "/k", "/r", &a, &s, &err) == 0);
        mv_vm_spec_json(&s, &t);
        REQUIRE(mv_json_decode(mv_slice(t.p, t.len), &a, &top, &err) == 0);
        check_text(at(top, "vsock", "vsock_id"), "vsock0");
        check_text(at(top, "vsock", "uds_path"), "/run/ccos-microvm/agent.min/vsock.sock");
        check_text(at(top, "logger", "log_path"), "/run/ccos-microvm/agent.min/log.fifo");
        check_text(at(top, "metrics", "metrics_path"), "/run/ccos-microvm/agent.min/metrics.fifo");
        check_text(at(top, "logger", "level"), "Info");
        CHECK(mv_as_bool(at(top, "logger", "show_level"), &yes) && yes);
        CHECK(mv_as_bool(at(top, "logger", "show_log_origin"), &no) && !no);
        check_text(at(top, "entropy", "entropy_id"), "entropy0");
        check_text(at(top, "balloon", "balloon_id"), "balloon0");
        check_int(at(top, "balloon", "amount_mib"),
                  0); /* a balloon of all the memory leaves none */
        check_int(at(top, "balloon", "stats_polling_interval_s"), 1);
        CHECK(mv_as_bool(at(top, "balloon", "deflate_on_oom"), &yes) && yes);
        CHECK(mv_map_get(top, "network_interfaces")->count == 0);
        mv_text_done(&t);
        mv_arena_done(&a);
}

TEST(drives_and_network_cards_have_rate_limits) /* REQ-SUP-06 */
{
        static const char limit[] = "{:bandwidth {:size 1000 :refill-ms 100 :one-time-burst 5}\n"
                                    " :ops {:size 10 :refill_ms 1000}}";
        char text[2000];
        snprintf(text, sizeof text,
                 "{:orchestrator {:isolation {:mode :microvm :fs {:ephemeral true}}}\n"
                 " :network {:enabled true :egress {:via :proxy :allow-domains [\"a.com\"]}}\n"
                 " :microvm {:kernel {:image \"/k\"} :rootfs {:image \"/r\" :rate-limit %s}\n"
                 "  :devices {:nic {:enabled true :proxy-ns \"p\" :rx-rate-limit %s\n"
                 "   :tx_rate_limit %s}}}}",
                 limit, limit, limit);
        struct mv_agent_file f = parsed(text);
        struct mv_spec_options o = { .base_directory = "/etc" };
        struct mv_vm_spec s;
        struct mv_err err;
        struct mv_text t = { 0 };
        const struct mv_value *top;
        REQUIRE(f.valid && mv_vm_spec(&f.config, &o, &f.arena, &s, &err) == 0);
        mv_vm_spec_firecracker(&s, &t);
        REQUIRE(mv_json_decode(mv_slice(t.p, t.len), &f.arena, &top, &err) == 0);
        const struct mv_value *drive = mv_seq_at(mv_map_get(top, "drives"), 0),
                              *nic = mv_seq_at(mv_map_get(top, "network-interfaces"), 0);
        const struct mv_value *limits[] = { mv_map_get(drive, "rate_limiter"),
                                            mv_map_get(nic, "rx_rate_limiter"),
                                            mv_map_get(nic, "tx_rate_limiter") };
        for (size_t i = 0; i < 3; i++) {
                REQUIRE(limits[i]);
                check_int(at(limits[i], "bandwidth", "size"), 1000);
                check_int(at(limits[i], "bandwidth", "one_time_burst"), 5);
                check_int(at(limits[i], "bandwidth", "refill_time"), 100);
                check_int(at(limits[i], "ops", "size"), 10);
                check_int(at(limits[i], "ops", "refill_time"), 1000);
                CHECK(at(limits[i], "ops", "one_time_burst") == NULL);
        }
        mv_text_done(&t);
        mv_agent_done(&f);
}

TEST(cloud_hypervisor_gets_bytes_and_its_root_device) /* REQ-SUP-10; X-21 */
{
        struct mv_agent_file f = parsed(GUEST(""));
        struct mv_spec_options o = { .base_directory = "/etc" };
        struct mv_vm_spec s;
        struct mv_err err;
        struct mv_text t = { 0 };
        const struct mv_value *top;
        struct mv_slice text;
        int64_t n = 0;
        REQUIRE(f.valid && mv_vm_spec(&f.config, &o, &f.arena, &s, &err) == 0);
        mv_vm_spec_cloud_hypervisor(&s, &t);
        REQUIRE(mv_json_decode(mv_slice(t.p, t.len), &f.arena, &top, &err) == 0);
        CHECK(mv_as_int(mv_map_get(mv_map_get(top, "memory"), "size"), &n) && n == 256 << 20);
        CHECK(mv_as_int(mv_map_get(mv_map_get(top, "cpus"), "max_vcpus"), &n) && n == 1);
        REQUIRE(mv_as_text(mv_map_get(mv_map_get(top, "payload"), "cmdline"), &text));
        CHECK(mv_slice_eq_str(text, "console=ttyS0 root=/dev/vda ro"));
        CHECK(mv_as_text(mv_map_get(mv_map_get(top, "console"), "mode"), &text) &&
              mv_slice_eq_str(text, "Off"));
        mv_text_done(&t);
        mv_agent_done(&f);
}

TEST(tap_names_fit_and_differ) /* REQ-NET-16 */
{
        char names[2][16], long_id[129];
        memset(long_id, 'a', sizeof long_id);
        mv_tap_name(mv_slice(long_id, 128), names[0]);
        mv_tap_name(mv_slice(long_id, 127), names[1]);
        CHECK(strlen(names[0]) == 14 && strcmp(names[0], names[1]) != 0);
        mv_tap_name(mv_slice(long_id, 128), names[1]);
        CHECK_STR(names[0], names[1]);
}

TEST(equal_configurations_have_equal_specs) /* REQ-SUP-08: a digest of the text means something */
{
        struct mv_agent_file a = parsed(GUEST("")),
                             b = parsed("; another spelling\n" GUEST(":tx_rate_limit {}"));
        struct mv_spec_options o = { .base_directory = "/etc" };
        struct mv_vm_spec x, y;
        struct mv_err err;
        struct mv_text s = { 0 }, t = { 0 };
        REQUIRE(mv_vm_spec(&a.config, &o, &a.arena, &x, &err) == 0 &&
                mv_vm_spec(&a.config, &o, &b.arena, &y, &err) == 0);
        mv_vm_spec_json(&x, &s);
        mv_vm_spec_json(&y, &t);
        CHECK(s.len == t.len && memcmp(s.p, t.p, s.len) == 0);
        mv_text_done(&s);
        mv_text_done(&t);
        mv_agent_done(&a);
        mv_agent_done(&b);
}
