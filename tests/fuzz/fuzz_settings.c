/* SPDX-License-Identifier: Apache-2.0 */
/* A settings file of any bytes: reading and resolving end; nothing that resolves is wider than
 * the file. */
#include <base/slice.h>
#include <config/config.h>
#include <config/settings.h>
#include <security/rules.h>
#include <stdlib.h>

#define MUST(x) ((x) ? (void)0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Everything a narrower context grants is covered by the wider one. */
static void check_within(const struct mv_context *narrow, const struct mv_context *wide)
{
        const struct mv_grant_list *lists[] = {
                &narrow->capabilities, &narrow->reads, &narrow->writes,
                &narrow->hosts,        NULL,           &narrow->env
        };
        MUST(mv_context_level(narrow) <= mv_context_level(wide));
        for (int kind = 0; kind < MV_GRANT_KINDS; kind++)
                for (uint32_t i = 0; lists[kind] && i < lists[kind]->count; i++)
                        MUST(mv_grant_covered(wide, (enum mv_grant_kind)kind,
                                              lists[kind]->items[i]));
}

/* What an environment's constitution says comes on top of the file's. */
static uint32_t strictness(const struct mv_context *c, uint32_t effects)
{
        struct mv_capability capability = { .id = "ccos.io.read-file", .effects = effects };
        struct mv_value path = { .kind = MV_STRING, .text = MV_SLICE("/data/x") };
        struct mv_governed g = { .capability = &capability, .args = &path, .args_count = 1 };
        const struct mv_rule *rules[MV_CONSTITUTIONS_MAX];
        uint32_t n = mv_rules_for(c, &g, rules), approvals = 0;
        for (uint32_t i = 0; i < n; i++)
                if (rules[i]->action == MV_RULE_DENY)
                        return UINT32_MAX;
                else
                        approvals += rules[i]->approvals;
        return approvals;
}

static void check_rules(struct mv_settings_file *f, const char *environment)
{
        struct mv_policy_settings file, narrow;
        struct mv_err err;
        if (f->settings.environment.given || mv_settings_resolve(f, NULL, &file, &err) < 0)
                return;
        if (mv_settings_resolve(f, environment, &narrow, &err) == 0) {
                for (uint32_t effects = 0; effects < 16; effects++)
                        MUST(strictness(narrow.context, effects) >=
                             strictness(file.context, effects));
                for (size_t i = 0; i < MV_SPEND_MAX_; i++)
                        MUST(narrow.context->budget.max[i] <= file.context->budget.max[i]);
                mv_policy_settings_done(&narrow);
        }
        mv_policy_settings_done(&file);
}

static void check(struct mv_settings_file *f, const char *environment)
{
        struct mv_policy_settings p;
        struct mv_wishes w = { 0 };
        struct mv_context *c;
        struct mv_err err;
        if (mv_settings_resolve(f, environment, &p, &err) < 0)
                return;
        for (uint32_t i = 0; i < p.context->narrowings_count; i++)
                check_within(p.context->narrowings[i].context, p.context);
        MUST(mv_policy_choose(f, &p, &w, &c, &err) == 0);
        check_within(c, p.context);
        mv_context_free(c);
        mv_policy_settings_done(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
        struct mv_settings_file f;
        struct mv_err err;
        if (len > 8192 || mv_settings_parse((struct mv_slice){ data, len }, "f", &f, &err) < 0)
                return 0;
        if (f.valid) {
                check(&f, NULL);
                check(&f, "production");
                check(&f, "testing");
                check_rules(&f, "testing");
        }
        mv_settings_done(&f);
        return 0;
}
