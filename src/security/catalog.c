/* SPDX-License-Identifier: Apache-2.0 */
/* What is known about capability ids before any descriptor: effect labels (REQ-SEC-08), the
 * level one needs (REQ-SEC-11). */
#include <security/security.h>

struct rule {
        const char *id; /* ends in '.': the family below it; else exactly this id */
        const char *labels[2];
        enum mv_level level;
};
/* First match counts. What is in no row is unknown: compute by REQ-SEC-08, but level full,
 * because it could do anything. */
static const struct rule rules[] = {
        { "ccos.io.log", { ":compute" }, MV_LEVEL_CONTROLLED },
        { "ccos.io.print", { ":compute" }, MV_LEVEL_CONTROLLED },
        { "ccos.io.println", { ":compute" }, MV_LEVEL_CONTROLLED },
        { "ccos.io.", { ":filesystem" }, MV_LEVEL_FULL },
        { "ccos.network.", { ":network" }, MV_LEVEL_FULL },
        { "ccos.system.current-time", { ":system" }, MV_LEVEL_CONTROLLED },
        { "ccos.system.current-timestamp-ms", { ":system" }, MV_LEVEL_CONTROLLED },
        { "ccos.system.sleep-ms", { ":system" }, MV_LEVEL_CONTROLLED },
        { "ccos.system.", { ":system" }, MV_LEVEL_FULL },
        { "ccos.random.", { ":system" }, MV_LEVEL_CONTROLLED },
        { "ccos.data.parse-json", { ":compute" }, MV_LEVEL_CONTROLLED },
        { "ccos.data.serialize-json", { ":compute" }, MV_LEVEL_CONTROLLED },
        { "ccos.json.", { ":compute" }, MV_LEVEL_CONTROLLED },
        { "ccos.data.", { ":compute" }, MV_LEVEL_PURE },
        { "ccos.math.", { ":compute" }, MV_LEVEL_PURE },
        { "ccos.string.", { ":compute" }, MV_LEVEL_PURE },
        { "ccos.echo", { ":compute" }, MV_LEVEL_PURE },
        { "ccos.ai.", { ":ai" }, MV_LEVEL_CONTROLLED },
        { "ccos.llm.", { ":ai" }, MV_LEVEL_CONTROLLED },
        { "ccos.agent.", { ":agent" }, MV_LEVEL_CONTROLLED },
        { "ccos.sandbox.", { ":system" }, MV_LEVEL_CONTROLLED },
        { "ccos.microvm.", { ":system" }, MV_LEVEL_CONTROLLED },
        { "ccos.stream.", { ":streaming" }, MV_LEVEL_FULL },
        { "ccos.user.ask", { ":io", ":user-interaction" }, MV_LEVEL_FULL },
};
static const struct rule unknown = { "", { ":compute" }, MV_LEVEL_FULL };

static const struct rule *rule_of(const char *id)
{
        for (size_t i = 0; id && i < sizeof rules / sizeof *rules; i++) {
                size_t n = strlen(rules[i].id);
                bool family = rules[i].id[n - 1] == '.';
                if (family ? strncmp(id, rules[i].id, n) == 0 : strcmp(id, rules[i].id) == 0)
                        return &rules[i];
        }
        return &unknown;
}

uint32_t mv_effect_labels(const char *capability_id, const char *ret[2])
{
        const struct rule *r = rule_of(capability_id);
        ret[0] = r->labels[0];
        ret[1] = r->labels[1];
        return r->labels[1] ? 2 : 1;
}

const char *mv_effect_label(const char *capability_id)
{
        return rule_of(capability_id)->labels[0];
}

enum mv_level mv_recommended_level(const char *capability_id)
{
        return rule_of(capability_id)->level;
}

bool mv_requires_elevated_permissions(const char *capability_id)
{
        return mv_recommended_level(capability_id) == MV_LEVEL_FULL;
}
