/* SPDX-License-Identifier: Apache-2.0 */
/* The constitution of a context: rules about calls that are granted (REQ-SEC-16, REQ-GOV-01).
 * (1) Rules only take away: what no grant allows, no rule allows.
 * (2) The first rule whose conditions all hold decides; none: the grants alone.
 * (3) A context that was made of several files has the constitution of each. Each decides for itself, and what one of them
 *     takes away no other gives back: a denial denies, and every approval that is wanted is needed.
 * (4) Rules are copied with the context and stand in its digest: a run is resumed under the same ones. */
#include <security/grants.h>
#include <security/lexical.h>
#include <security/rules.h>
#include <assert.h>
#include <stdlib.h>
#include <wire/cbor.h>

#define RULES_MAX       256
#define RULE_TEXT_MAX   255
#define APPROVALS_MAX   16
#define TIMEOUT_MS_MAX  (366ull * 86400000)
#define TIMEOUT_MS_ELSE 86400000ull

static const char *const actions[MV_RULE_ACTION_MAX_] = { "allow", "deny", "require-approval" };
static const char *const risks[MV_RISK_MAX_] = { "low", "medium", "high" };

const char *mv_rule_action_name(enum mv_rule_action a)
{
        return a < MV_RULE_ACTION_MAX_ ? actions[a] : "unknown action";
}

const char *mv_risk_name(enum mv_risk r)
{
        return r < MV_RISK_MAX_ ? risks[r] : "unknown risk";
}

static bool word_ok(const char *s, size_t max)
{
        size_t n = s ? strlen(s) : 0;
        for (size_t i = 0; i < n; i++)
                if (s[i] <= ' ' || s[i] > '~')
                        return false;
        return n >= 1 && n <= max;
}

static bool has_rule(const struct mv_context *c, const char *id)
{
        for (uint32_t i = 0; i < c->rules_count; i++)
                if (strcmp(c->rules[i].id, id) == 0)
                        return true;
        return false;
}

static const char *problem(const struct mv_context *c, const struct mv_rule *r)
{
        bool asks = r->action == MV_RULE_REQUIRE_APPROVAL;
        if (!word_ok(r->id, MV_RULE_ID_MAX))
                return "an id is 1 to 63 printable characters without blanks";
        if (has_rule(c, r->id))
                return "there is a rule of this id";
        if (c->rules_count == RULES_MAX)
                return "a context has at most 256 rules";
        if (r->action >= MV_RULE_ACTION_MAX_ || r->risk_min >= MV_RISK_MAX_)
                return "no such action or risk";
        if (r->capability && mv__id_check(mv_slice_str(r->capability), true))
                return "capability: an id, or a prefix like ccos.io.*";
        if ((r->argument && strlen(r->argument) > RULE_TEXT_MAX) ||
            (r->step && strlen(r->step) > RULE_TEXT_MAX))
                return "argument and step are at most 255 bytes";
        if (asks ? r->approvals > APPROVALS_MAX || r->timeout_ms > TIMEOUT_MS_MAX
                 : r->approvals || r->timeout_ms)
                return "1 to 16 approvals within 366 days, of require-approval only";
        return NULL;
}

static void rule_done(struct mv_rule *r)
{
        free((char *)r->id);
        free((char *)r->capability);
        free((char *)r->argument);
        free((char *)r->step);
}

static bool copy_text(const char *from, const char **ret)
{
        *ret = from ? strdup(from) : NULL;
        return !from || *ret;
}

static bool rule_copy(const struct mv_rule *from, struct mv_rule *ret)
{
        *ret = *from;
        ret->id = ret->capability = ret->argument = ret->step = NULL;
        if (copy_text(from->id, &ret->id) && copy_text(from->capability, &ret->capability) &&
            copy_text(from->argument, &ret->argument) && copy_text(from->step, &ret->step))
                return true;
        rule_done(ret);
        return false;
}

int mv_context_add_rule(struct mv_context *c, const struct mv_rule *rule, struct mv_err *err)
{
        const char *why = problem(c, rule);
        if (why)
                return mv_fail(err, MV_E_INVALID, 0, "rule %s: %s", rule->id ? rule->id : "", why);
        struct mv_rule *more = realloc(c->rules, (c->rules_count + 1) * sizeof *more);
        if (more)
                c->rules = more;
        if (!more || !rule_copy(rule, &c->rules[c->rules_count]))
                return mv_fail(err, MV_E_NOMEM, 0, "rule %s", rule->id);
        struct mv_rule *r = &c->rules[c->rules_count++];
        if (r->action == MV_RULE_REQUIRE_APPROVAL) {
                r->approvals = r->approvals ? r->approvals : 1;
                r->timeout_ms = r->timeout_ms ? r->timeout_ms : TIMEOUT_MS_ELSE;
        }
        int e = 0;
        for (uint32_t i = 0; e == 0 && i < c->narrowings_count; i++)
                e = mv_context_add_rule(c->narrowings[i].context, rule, err);
        return e;
}

/* Behind what is there. */
static bool append(struct mv_context *to, const struct mv_context *from)
{
        size_t n = (size_t)to->rules_count + from->rules_count;
        struct mv_rule *more = n ? realloc(to->rules, n * sizeof *more) : NULL;
        if (n && !more)
                return false;
        to->rules = more;
        for (uint32_t i = 0; i < from->rules_count; i++, to->rules_count++)
                if (!rule_copy(&from->rules[i], &to->rules[to->rules_count]))
                        return false;
        return true;
}

bool mv__rules_copy(struct mv_context *to, const struct mv_context *from)
{
        assert(to->rules_count == 0);
        memcpy(to->rules_begin, from->rules_begin, sizeof to->rules_begin);
        to->more_constitutions = from->more_constitutions;
        return append(to, from);
}

/* (3) */
int mv__rules_join(struct mv_context *to, const struct mv_context *from, struct mv_err *err)
{
        uint32_t before = to->rules_count;
        if (!from->rules_count)
                return 0;
        if (!before)
                return mv__rules_copy(to, from) ? 0 : mv_fail(err, MV_E_NOMEM, 0, "rules");
        if (to->more_constitutions + from->more_constitutions + 2 > MV_CONSTITUTIONS_MAX)
                return mv_fail(err, MV_E_LIMIT, 0, "rules of more than %d files",
                               MV_CONSTITUTIONS_MAX);
        for (uint32_t i = 0; i < from->rules_count; i++)
                if (has_rule(to, from->rules[i].id))
                        return mv_fail(err, MV_E_INVALID, 0,
                                       "rule %s: two files have a rule of this id, and records "
                                       "name rules by it; call one of them something else",
                                       from->rules[i].id);
        to->rules_begin[to->more_constitutions++] = before;
        for (uint32_t i = 0; i < from->more_constitutions; i++)
                to->rules_begin[to->more_constitutions++] = before + from->rules_begin[i];
        return append(to, from) ? 0 : mv_fail(err, MV_E_NOMEM, 0, "rules");
}

void mv__rules_done(struct mv_context *c)
{
        for (uint32_t i = 0; i < c->rules_count; i++)
                rule_done(&c->rules[i]);
        free(c->rules);
}

/* --- matching --------------------------------------------------------------------------------- */
/* What can go wrong: nothing leaves the host; something on it; something elsewhere. */
enum mv_risk mv_risk_of(uint32_t effects)
{
        if (effects & MV_EFFECT_NETWORK)
                return MV_RISK_HIGH;
        return effects & (MV_EFFECT_FILESYSTEM | MV_EFFECT_SYSTEM) ? MV_RISK_MEDIUM : MV_RISK_LOW;
}

/* The text, or with a last `*` a beginning of it. */
static bool fits(const char *pattern, struct mv_slice text)
{
        size_t n = strlen(pattern);
        if (n && pattern[n - 1] == '*')
                return text.len >= n - 1 && memcmp(text.p, pattern, n - 1) == 0;
        return mv_slice_eq_str(text, pattern);
}

static bool has_argument(const char *pattern, const struct mv_value *v)
{
        struct mv_slice text;
        if (mv_as_text(v, &text))
                return fits(pattern, text);
        bool nested = v->kind == MV_VECTOR || v->kind == MV_MAP || v->kind == MV_LIST;
        uint32_t n = nested ? v->count * (v->kind == MV_MAP ? 2 : 1) : 0;
        for (uint32_t i = 0; i < n; i++)
                if (has_argument(pattern, &v->items[i]))
                        return true;
        return false;
}

static bool is_about(const struct mv_rule *r, const struct mv_capability *cap)
{
        if (r->capability && !fits(r->capability, mv_slice_str(cap->id)))
                return false;
        return (!r->effects || r->effects & cap->effects) &&
               mv_risk_of(cap->effects) >= r->risk_min;
}

static bool holds(const struct mv_rule *r, const struct mv_governed *g)
{
        if (!is_about(r, g->capability))
                return false;
        bool found = !r->argument;
        for (uint32_t i = 0; !found && i < g->args_count; i++)
                found = has_argument(r->argument, &g->args[i]);
        bool inside = !r->step;
        for (uint32_t i = 0; !inside && i < g->steps_count; i++)
                inside = fits(r->step, g->steps[i]);
        return found && inside;
}

/* Behind the last rule of a constitution; [0] is the first. */
static uint32_t end_of(const struct mv_context *c, uint32_t constitution)
{
        return constitution < c->more_constitutions ? c->rules_begin[constitution] : c->rules_count;
}

uint32_t mv_rules_for(const struct mv_context *c, const struct mv_governed *g,
                      const struct mv_rule *ret[MV_CONSTITUTIONS_MAX])
{
        uint32_t count = 0, i = 0;
        for (uint32_t k = 0; c && k <= c->more_constitutions; k++) {
                uint32_t end = end_of(c, k);
                while (i < end && !holds(&c->rules[i], g)) /* (2) */
                        i++;
                if (i < end)
                        ret[count++] = &c->rules[i];
                i = end;
                if (count && ret[count - 1]->action == MV_RULE_DENY) { /* (3) */
                        ret[0] = ret[count - 1];
                        return 1;
                }
        }
        return count;
}

bool mv_rules_look_at(const struct mv_context *c, const struct mv_capability *capability,
                      bool arguments, bool steps)
{
        for (uint32_t i = 0; c && i < c->rules_count; i++)
                if (((arguments && c->rules[i].argument) || (steps && c->rules[i].step)) &&
                    is_about(&c->rules[i], capability))
                        return true;
        return false;
}

void mv_rules_explain(const struct mv_context *c, const struct mv_governed *g,
                      struct mv_decision *d)
{
        const struct mv_rule *rules[MV_CONSTITUTIONS_MAX];
        char why[80];
        uint32_t count = d->allowed ? mv_rules_for(c, g, rules) : 0;
        for (uint32_t i = 0; d->allowed && i < count; i++) {
                if (rules[i]->action == MV_RULE_ALLOW)
                        continue;
                mv_fmt(why, sizeof why, "it needs %u approval%s", rules[i]->approvals,
                       rules[i]->approvals == 1 ? "" : "s");
                mv_rule_refuse(rules[i], rules[i]->action == MV_RULE_DENY ? "it denies this" : why,
                               d);
        }
}

void mv_rule_refuse(const struct mv_rule *rule, const char *why, struct mv_decision *d)
{
        d->allowed = false;
        d->hint[0] = '\0'; /* no grant would do */
        mv_fmt(d->rule, sizeof d->rule, "rule %s", rule->id);
        mv_fmt(d->operation, sizeof d->operation, "governance");
        mv_fmt(d->context, sizeof d->context, "rule '%s' of the constitution: %s", rule->id, why);
}

/* --- the digest (4) --------------------------------------------------------------------------- */
static bool put_text(struct mv_out *o, const char *s)
{
        return s ? mv_cbor_put_str(o, s) : mv_cbor_put_null(o);
}

bool mv__rules_encode(const struct mv_context *c, struct mv_out *o)
{
        bool ok = mv_cbor_put_array(o, c->rules_count);
        for (uint32_t i = 0, k = 0; ok && i < c->rules_count; i++) {
                const struct mv_rule *r = &c->rules[i];
                k += i == end_of(c, k); /* no constitution is empty */
                ok = mv_cbor_put_array(o, 9 + (k > 0)) && put_text(o, r->id) &&
                     put_text(o, actions[r->action]) && put_text(o, r->capability) &&
                     mv_cbor_put_int(o, r->effects) && put_text(o, risks[r->risk_min]) &&
                     put_text(o, r->argument) && put_text(o, r->step) &&
                     mv_cbor_put_int(o, r->approvals) &&
                     mv_cbor_put_int(o, (int64_t)r->timeout_ms) &&
                     (k == 0 || mv_cbor_put_int(o, k));
        }
        return ok;
}
