/* SPDX-License-Identifier: Apache-2.0 */
/* An agent.config of any bytes: reading ends, and what is valid is printed in every syntax and reads back equal. The first
 * byte chooses the syntax. */
#include <config/config.h>
#include <config/context.h>
#include <config/forms.h>
#include <config/spec.h>
#include <security/security.h>
#include <stdlib.h>

#define MUST(x) ((x) ? (void)0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Kept from input to input: what is looked for is in the reading, and making an evaluator takes longer than that. */
static struct mv_agent_options options;

static void check_round_trip(const struct mv_agent_file *f, enum mv_syntax syntax)
{
        struct mv_text t = { 0 };
        struct mv_agent_file again;
        struct mv_err err;
        mv_agent_print(&f->config, syntax, &t);
        int r = mv_agent_parse(mv_slice(t.p, t.len), syntax, &options, &again, &err);
        MUST(!t.failed && (r == 0 || r == -MV_E_LIMIT)); /* defaults make a text longer */
        mv_text_done(&t);
        if (r < 0)
                return;
        MUST(again.valid);
        MUST(mv__sections_equal(&mv__agent_schema, &f->config, &again.config));
        mv_agent_done(&again);
}

static void check_spec(const struct mv_agent_file *f, struct mv_arena *a)
{
        struct mv_spec_options o = { .base_directory = "/etc" };
        struct mv_vm_spec s;
        struct mv_err err;
        struct mv_text t = { 0 };
        if (mv_vm_spec(&f->config, &o, a, &s, &err) < 0)
                return;
        mv_vm_spec_json(&s, &t);
        mv_vm_spec_firecracker(&s, &t);
        mv_vm_spec_cloud_hypervisor(&s, &t);
        MUST(!t.failed);
        mv_text_done(&t);
}

/* A contract is a file: what the input names is not read. */
static bool names_contract(const struct mv_agent_config *c)
{
        const struct mv_wire *w = c->capabilities.wiring.items;
        for (uint32_t i = 0; i < c->capabilities.wiring.count; i++)
                if (w[i].contract.given)
                        return true;
        return false;
}

/* What is granted was asked for, and what cannot be kept is closed. */
static void check_grants(const struct mv_agent_file *f)
{
        struct mv_agent_place place = { .name = "f", .directory = "/srv/agent" };
        const struct mv_agent_config *c = &f->config;
        struct mv_agent_grants g;
        struct mv_err err;
        if (names_contract(c) || mv_agent_grants(f, &place, &g, &err) < 0)
                return;
        bool open = c->network.enabled.boolean && !c->orchestrator.dlp.enabled.boolean;
        MUST(open || g.context->hosts.count == 0);
        MUST(g.context->tls.client_wanted || !c->network.egress.mtls.boolean);
        MUST(g.context->tls.pinned || c->network.egress.tls_pins.count == 0);
        MUST(g.context->rules_count >= c->governance.rules.count);
        MUST(!c->orchestrator.isolation.fs.ephemeral.boolean || g.context->writes.count == 0);
        MUST(c->capabilities.http.enabled.boolean || c->capabilities.wiring.count ||
             !mv_context_allows(g.context, "ccos.network.http-fetch"));
        MUST(g.context->env.count == 0);
        for (uint32_t i = 0; i < g.origins.count; i++)
                MUST(g.origins.items[i].line);
        mv_agent_grants_done(&g);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
        struct mv_agent_file f;
        struct mv_err err;
        struct mv_text t = { 0 };
        if (len == 0 || len > 8192)
                return 0;
        if (!options.evaluator)
                MUST(options.evaluator = mv_agent_evaluator_new(&err));
        enum mv_syntax syntax = data[0] == 'J'   ? MV_SYNTAX_JSON
                                : data[0] == 'T' ? MV_SYNTAX_TOML
                                                 : MV_SYNTAX_RTFS;
        bool marked = data[0] == 'J' || data[0] == 'T';
        if (mv_agent_parse(mv_slice(data + marked, len - marked), syntax, &options, &f, &err) < 0)
                return 0;
        mv_agent_report(&f, "f", &t);
        mv_agent_report_json(&f, "f", &t);
        MUST(!t.failed);
        mv_text_done(&t);
        if (f.valid) {
                for (enum mv_syntax s = 0; s < MV_SYNTAX_MAX_; s++)
                        check_round_trip(&f, s);
                check_spec(&f, &f.arena);
                check_grants(&f);
        }
        mv_agent_done(&f);
        return 0;
}
