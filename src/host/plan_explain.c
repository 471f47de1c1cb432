/* SPDX-License-Identifier: Apache-2.0 */
/* What would be decided about the calls of a program, without running it: the decisions of the
 * broker (mv_capability_decide, with the profiles of the steps around the call), on the arguments
 * as far as they are constants. */
#include <base/slice.h>
#include <host/plan.h>
#include <policy/policy.h>
#include <security/rules.h>

/* The profiles of the steps that a call stands in, and the program's. Who calls a function is not
 * asked: it may be several. */
static uint32_t profiles_around(const struct mv__plan *p, uint32_t region,
                                const struct mv_profile *ret[MV_PLAN_NEST_MAX])
{
        uint32_t n = 0;
        ret[n++] = &p->profiles[0];
        for (int64_t at = region; at >= 0 && n < MV_PLAN_NEST_MAX; at = p->regions[at].parent)
                if (p->regions[at].profile)
                        ret[n++] = &p->profiles[p->regions[at].profile];
        return n;
}

static bool methods_held(const struct mv_context *c)
{
        for (uint32_t i = 0; c && c->steps && i < c->steps->count; i++)
                if (!c->steps->active[i]->methods.any || c->steps->active[i]->demand.methods_given)
                        return true;
        return false;
}

/* Some arguments are known: enough when they are the ones that are decided about. */
static bool decide_known_part(const struct mv_context *c, const struct mv_capability *cap,
                              const struct mv_touch *t, struct mv_decision *d)
{
        struct mv_decision policy;
        struct mv_slice root;
        struct mv_err ignored;
        struct mv_url url;
        char method[17];
        if (t->url_known && mv_url_parse(t->url, &url, &ignored) == 0) {
                mv_policy_host(c, &url, cap->id, &policy);
                mv_fmt(method, sizeof method, "%.*s", (int)(t->method.len < 16 ? t->method.len : 0),
                       (const char *)t->method.p);
                for (char *m = method; *m; m++)
                        *m = (char)(*m >= 'a' && *m <= 'z' ? *m - 32 : *m);
                if (t->method_known)
                        mv_profile_method(c ? c->steps : NULL, method, &policy);
                *d = policy;
                return t->method_known || !policy.allowed || !methods_held(c);
        }
        if (t->path_known && t->path.len && t->read != t->write) {
                mv_policy_path(c, t->path, t->write, cap->id, d, &root);
                return true;
        }
        return !t->network && !t->files;
}

static void decide(struct mv_host *h, const struct mv_context *c, const struct mv__plan_call *call,
                   struct mv__verdict *ret)
{
        const struct mv_capability *cap = call->capability;
        const struct mv_value *args = call->args;
        struct mv_touch touch;
        struct mv_fault fault = { { 0 }, { 0 } };
        mv_capability_touch(h->table, cap, args, &touch);
        if (mv_arguments_known(args)) {
                bool fails =
                        mv_capability_check(cap, args->items, args->count, &fault) < 0 ||
                        mv_capability_decide(c, cap, args->items, args->count, &ret->decision,
                                             &fault) < 0 ||
                        (ret->decision.allowed && !mv__terms_explain(c, cap->id, args, &fault));
                ret->state = fails                   ? MV__CALL_FAILS
                             : ret->decision.allowed ? MV__CALL_ALLOWED
                                                     : MV__CALL_DENIED;
                if (fails)
                        mv_fault_text(&fault, ret->decision.context, sizeof ret->decision.context);
                return;
        }
        mv_authorize_capability(c, cap->id, cap, NULL, 0, &ret->decision);
        if (ret->decision.allowed && c)
                mv_profile_capability(c->steps, cap, true, &ret->decision);
        bool settled =
                !ret->decision.allowed ||
                (decide_known_part(c, cap, &touch, &ret->decision) &&
                 strcmp(cap->id, "ccos.system.get-env") != 0 && !mv__terms_before(c, cap->id));
        ret->state = !settled                ? MV__CALL_DEPENDS
                     : ret->decision.allowed ? MV__CALL_ALLOWED
                                             : MV__CALL_DENIED;
}

/* The constitution. Where it looks at what is not known, nothing is promised: a function may be called in any step. */
static void ask_rules(const struct mv__plan *p, const struct mv_context *context,
                      const struct mv__plan_call *call, struct mv__verdict *ret)
{
        struct mv_slice steps[MV_PLAN_NEST_MAX];
        struct mv_governed g = { .capability = call->capability, .steps = steps };
        bool known = mv_arguments_known(call->args), in_function = false;
        if (ret->state != MV__CALL_ALLOWED && ret->state != MV__CALL_DEPENDS)
                return;
        if (known) {
                g.args = call->args->items;
                g.args_count = call->args->count;
        }
        for (int64_t at = call->region; at >= 0 && g.steps_count < MV_PLAN_NEST_MAX;
             at = p->regions[at].parent)
                if (p->regions[at].name.p)
                        steps[g.steps_count++] = p->regions[at].name;
                else
                        in_function = true;
        if (mv_rules_look_at(context, call->capability, !known, in_function)) {
                ret->state = MV__CALL_DEPENDS;
                return;
        }
        mv_rules_explain(context, &g, &ret->decision);
        if (!ret->decision.allowed)
                ret->state = MV__CALL_DENIED;
}

void mv__plan_decide(struct mv_host *h, const struct mv__plan *p, const struct mv_context *context,
                     const struct mv__plan_call *call, struct mv__verdict *ret)
{
        const struct mv_profile *around[MV_PLAN_NEST_MAX];
        struct mv_step_view view = { around, profiles_around(p, call->region, around) };
        struct mv_slice id;
        char name[MV_CAPABILITY_ID_MAX + 1];
        *ret = (struct mv__verdict){ .state = MV__CALL_DEPENDS };
        if (call->capability) {
                const struct mv_context *c = mv_context_for(context, call->capability->id);
                struct mv_context held;
                if (c) {
                        held = *c;
                        held.steps = &view;
                        c = &held;
                }
                decide(h, c, call, ret);
                ask_rules(p, context, call, ret);
        } else if (mv_as_text(mv_seq_at(call->site, 0), &id)) {
                mv_fmt(name, sizeof name, "%.*s", (int)(id.len < 159 ? id.len : 159),
                       (const char *)id.p);
                mv_authorize_capability(context, name, NULL, NULL, 0, &ret->decision);
                ret->state = ret->decision.allowed ? MV__CALL_UNKNOWN : MV__CALL_DENIED;
        }
}
