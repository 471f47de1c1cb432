/* SPDX-License-Identifier: Apache-2.0 */
/* Effects that a context allows or denies as such, whatever capability has them (REQ-SEC-07).
 * (1) It only narrows: what two contexts say is denied by either, and allowed by both.
 * (2) A label that no capability has is refused: a slip of the pen would deny nothing.
 * (3) A capability has the label of its id (REQ-SEC-08) and those of the effects that its descriptor names. */
#include <security/effects.h>
#include <strings.h>
#include <wire/cbor.h>

#define LABELS 9
static const char *const labels[LABELS] = { ":compute", ":filesystem", ":network",
                                            ":system",  ":ai",         ":agent",
                                            ":io",      ":streaming",  ":user-interaction" };

/* Small letters, with its colon. */
static int index_of(struct mv_slice name)
{
        if (name.len && name.p[0] == ':')
                name = mv_slice(name.p + 1, name.len - 1);
        for (int i = 0; i < LABELS; i++)
                if (strlen(labels[i]) == name.len + 1 &&
                    strncasecmp(labels[i] + 1, (const char *)name.p, name.len) == 0)
                        return i;
        return -1;
}

const char *mv__effect_check(struct mv_slice name)
{
        return index_of(name) < 0 ? "no capability has such an effect" : NULL;
}

static int refuse(const char *name, struct mv_err *err)
{
        return mv_fail(err, MV_E_INVALID, 0,
                       "effect '%.60s': no capability has it; there are compute, filesystem, "
                       "network, system, ai, agent, io, streaming and user-interaction",
                       name);
}

static void narrow(struct mv_context *c, struct mv_effects by)
{
        c->effects.allowed &= by.allowed;
        c->effects.denied |= by.denied;
        for (uint32_t i = 0; i < c->narrowings_count; i++)
                narrow(c->narrowings[i].context, by);
}

int mv_context_deny_effect(struct mv_context *c, const char *effect, struct mv_err *err)
{
        int at = index_of(mv_slice_str(effect));
        if (at < 0)
                return refuse(effect, err);
        narrow(c, (struct mv_effects){ UINT32_MAX, 1u << at });
        return 0;
}

int mv_context_only_effects(struct mv_context *c, const char *const *effects, uint32_t count,
                            struct mv_err *err)
{
        uint32_t allowed = 0;
        for (uint32_t i = 0; i < count; i++) {
                int at = index_of(mv_slice_str(effects[i]));
                if (at < 0)
                        return refuse(effects[i], err);
                allowed |= 1u << at;
        }
        narrow(c, (struct mv_effects){ allowed, 0 });
        return 0;
}

void mv__effects_join(struct mv_context *c, const struct mv_context *most)
{
        narrow(c, most->effects);
}

/* --- deciding --------------------------------------------------------------------------------- */
static uint32_t effects_of(const char *id, uint32_t effects)
{
        const char *own[2];
        uint32_t mask = 0, n = mv_effect_labels(id, own);
        for (uint32_t i = 0; i < n; i++)
                mask |= 1u << index_of(mv_slice_str(own[i]));
        mask |= effects & MV_EFFECT_FILESYSTEM ? 1u << 1 : 0;
        mask |= effects & MV_EFFECT_NETWORK ? 1u << 2 : 0;
        return mask | (effects & MV_EFFECT_SYSTEM ? 1u << 3 : 0);
}

static void deny(struct mv_decision *d, uint32_t mask, bool by_name)
{
        int at = __builtin_ctz(mask);
        d->allowed = false;
        mv_fmt(d->operation, sizeof d->operation, "effect_policy");
        mv_fmt(d->rule, sizeof d->rule, "effect %s", labels[at] + 1);
        mv_fmt(d->context, sizeof d->context,
               by_name ? "Effect '%s' denied by runtime context"
                       : "Effect '%s' not permitted by runtime context allowlist",
               labels[at]);
        mv_fmt(d->hint, sizeof d->hint,
               by_name ? "deny the effect %s no longer" : "allow the effect %s too",
               labels[at] + 1);
}

void mv__effects_decide(const struct mv_context *c, const char *id, uint32_t effects,
                        struct mv_decision *d)
{
        if (!d->allowed || !c || !mv__effects_any(c))
                return;
        uint32_t mask = effects_of(id, effects);
        if (mask & c->effects.denied)
                deny(d, mask & c->effects.denied, true);
        else if (mask & ~c->effects.allowed)
                deny(d, mask & ~c->effects.allowed, false);
}

/* --- the digest ------------------------------------------------------------------------------- */
static bool put(struct mv_out *o, uint32_t mask)
{
        bool ok = mv_cbor_put_array(o, (uint32_t)__builtin_popcount(mask));
        for (int i = 0; ok && i < LABELS; i++)
                ok = !(mask & 1u << i) || mv_cbor_put_str(o, labels[i]);
        return ok;
}

bool mv__effects_encode(const struct mv_context *c, struct mv_out *o)
{
        bool limited = c->effects.allowed != UINT32_MAX;
        return mv_cbor_put_str(o, "effects") && mv_cbor_put_array(o, 2) &&
               put(o, c->effects.denied) &&
               (limited ? put(o, c->effects.allowed & ((1u << LABELS) - 1)) : mv_cbor_put_null(o));
}
