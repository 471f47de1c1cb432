/* SPDX-License-Identifier: Apache-2.0 */
/* An agent.config of any bytes: reading ends, and what is valid is printed in every syntax and reads back equal. The first
 * byte chooses the syntax. */
#include <config/config.h>
#include <config/forms.h>
#include <config/spec.h>
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
        }
        mv_agent_done(&f);
        return 0;
}
