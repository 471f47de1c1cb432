/* SPDX-License-Identifier: Apache-2.0 */
/* Would it be allowed, and which rule decides (REQ-AUTH-16)? The same decisions as an execution
 * makes, without a record, a provider's start or an effect. */
#include <base/slice.h>
#include <broker/broker.h>
#include <host/exec.h>
#include <host/host.h>
#include <host/plan.h>
#include <policy/policy.h>
#include <security/rules.h>
#include <security/terms.h>
#include <string.h>
#include <wire/cbor.h>

static void fill(struct mv_explanation *ret, const struct mv_decision *d)
{
        *ret = (struct mv_explanation){ .allowed = d->allowed };
        mv_fmt(ret->rule, sizeof ret->rule, "%s", d->rule);
        mv_fmt(ret->hint, sizeof ret->hint, "%s", d->hint);
        if (!d->allowed)
                mv_decision_text(d, ret->text, sizeof ret->text);
        ret->permissions_count = d->permissions_count < 8 ? d->permissions_count : 8;
        for (uint32_t i = 0; i < ret->permissions_count; i++)
                mv_fmt(ret->permissions[i], sizeof ret->permissions[i], "%s", d->permissions[i]);
}

/* An unknown capability is denied or granted like any other; only then it matters that there is
 * none. */
static int explain_unknown(struct mv_host *h, const struct mv_context *c, const char *capability,
                           struct mv_explanation *ret)
{
        struct mv_decision d;
        const char *near = mv_capability_nearest(h->table, mv_slice_str(capability));
        mv_authorize_capability(c, capability, NULL, NULL, 0, &d);
        fill(ret, &d);
        ret->allowed = false;
        if (d.allowed)
                mv_fmt(ret->text, sizeof ret->text, "Unknown capability: %s", capability);
        if (near)
                mv_fmt(ret->hint, sizeof ret->hint, "did you mean %s", near);
        return 0;
}

/* The call would fail before anybody decides about it. */
static int explain_fault(const struct mv_fault *f, struct mv_explanation *ret)
{
        *ret = (struct mv_explanation){ .allowed = false };
        mv_fmt(ret->rule, sizeof ret->rule, "arguments");
        mv_fault_text(f, ret->text, sizeof ret->text);
        return 0;
}

static bool put_args(struct mv_out *o, const void *args)
{
        return mv_value_encode(o, args);
}

bool mv__terms_explain(const struct mv_context *c, const char *id, const struct mv_value *args,
                       struct mv_fault *ret)
{
        struct mv_terms *kept = NULL;
        struct mv_err err;
        struct mv_terms_asked a = { .context = c, .capability = id };
        struct mv_arena arena = mv_arena_grow(MV_FRAME_PAYLOAD_MAX * 2);
        int r = mv__encode(&arena, put_args, args, &a.args, &err);
        bool fine = r == 0 && mv_terms_hold(&kept, &a, ret);
        if (r < 0)
                mv_fmt(ret->message, sizeof ret->message, "%s: %s", id, err.msg);
        mv_terms_free(kept);
        mv_arena_done(&arena);
        return fine;
}

bool mv__terms_before(const struct mv_context *c, const char *id)
{
        const struct mv_context *own = c ? mv_context_for(c, id) : NULL;
        for (uint32_t i = 0; own && i < own->terms.count; i++)
                if (mv__term_asked(own->terms.items[i], false))
                        return true;
        return false;
}

int mv_explain_call(struct mv_host *h, const struct mv_context *c, const char *capability,
                    const struct mv_value *args, struct mv_explanation *ret, struct mv_err *err)
{
        if (!capability || (args && args->kind != MV_VECTOR))
                return mv_fail(err, MV_E_INVALID, 0,
                               "explain: a capability id and a vector of arguments");
        const struct mv_capability *cap = mv_capability_find(h->table, mv_slice_str(capability));
        struct mv_decision d;
        if (!cap)
                return explain_unknown(h, c, capability, ret);
        uint32_t count = args ? args->count : 0;
        struct mv_fault fault;
        int r = mv_capability_check(cap, args ? args->items : NULL, count, &fault);
        /* Without arguments the question is about the capability as such. */
        if (r < 0 && args)
                return explain_fault(&fault, ret);
        if (!args) {
                mv_authorize_capability(c, cap->id, cap, NULL, 0, &d);
        } else if (mv_capability_decide(mv_context_for(c, cap->id), cap, args->items, count, &d,
                                        &fault) < 0) {
                return explain_fault(&fault, ret);
        }
        struct mv_governed g = { .capability = cap,
                                 .args = args ? args->items : NULL,
                                 .args_count = count };
        mv_rules_explain(c, &g, &d); /* outside of any step */
        fill(ret, &d);
        if (!d.allowed)
                return 0;
        mv_fmt(ret->text, sizeof ret->text, "%s: allowed by %s", cap->id, d.rule);
        if (args && !mv__terms_explain(c, cap->id, args, &fault)) {
                explain_fault(&fault, ret);
                mv_fmt(ret->rule, sizeof ret->rule, "contract");
        }
        return 0;
}

int mv_explain(struct mv_host *h, const struct mv_execution *x, struct mv_explanation *ret,
               struct mv_err *err)
{
        struct mv_decision d;
        struct mv__entry *entry;
        char what[160];
        int r = mv__execution_check(x, err);
        if (r < 0)
                return r;
        mv_authorize_program(x->context, mv__program_class(x->program.kind), x->capability_id, &d);
        if (d.allowed && x->capability_id && x->permissions) {
                struct mv_decision token;
                mv_token_check("execute_program", x->capability_id, x->permissions,
                               x->permissions_count, &token);
                if (!token.allowed)
                        d = token;
        }
        r = mv__client_key_check(x->context, err);
        if (r == 0)
                r = mv__program_rules(x->context, &x->program, &d, err);
        if (r < 0)
                return r;
        fill(ret, &d);
        if (!d.allowed)
                return 0;
        static const struct mv_limits none;
        struct mv_limits asked = mv_limits_min(x->context ? x->context->limits : none, x->limits);
        r = mv__choose(h, x, &asked, &entry, err);
        if (r < 0)
                return r;
        mv_program_description(&x->program, what, sizeof what);
        mv_fmt(ret->text, sizeof ret->text, "allowed by %s, behind the %s wall (tier %s): %s",
               d.rule, entry->ops->name, mv_tier_name(entry->ops->tier), what);
        return 0;
}
