/* SPDX-License-Identifier: Apache-2.0 */
/* A context as canonical CBOR: equal decisions have equal bytes. Keys in encoded order (shorter
 * first). */
#include <security/effects.h>
#include <security/rules.h>
#include <security/tls.h>
#include <wire/cbor.h>

MV_INLINE bool put_count(struct mv_out *o, const char *key, uint64_t value)
{
        /* Limits beyond int64 mean the same as none. */
        return mv_cbor_put_str(o, key) &&
               mv_cbor_put_int(o, value > INT64_MAX ? 0 : (int64_t)value);
}

static bool put_limits(struct mv_out *o, const struct mv_limits *l)
{
        return mv_cbor_put_str(o, "limits") && mv_cbor_put_map(o, 5) &&
               put_count(o, "fuel", l->fuel_max) && put_count(o, "cpu_ns", l->cpu_ns_max) &&
               put_count(o, "wall_ns", l->wall_ns_max) &&
               put_count(o, "memory_bytes", l->memory_bytes_max) &&
               put_count(o, "output_bytes", l->output_bytes_max);
}

MV_INLINE bool put_list(struct mv_out *o, const char *key, const struct mv_grant_list *l)
{
        bool ok = mv_cbor_put_str(o, key) && mv_cbor_put_array(o, l->count);
        for (uint32_t i = 0; ok && i < l->count; i++)
                ok = mv_cbor_put_str(o, l->items[i]);
        return ok;
}

/* [[name, has a literal value] ...] */
static bool put_env(struct mv_out *o, const struct mv_grant_list *l)
{
        bool ok = mv_cbor_put_str(o, "env") && mv_cbor_put_array(o, l->count);
        for (uint32_t i = 0; ok && i < l->count; i++) {
                size_t name = strcspn(l->items[i], "=");
                ok = mv_cbor_put_array(o, 2) && mv_cbor_put_text(o, mv_slice(l->items[i], name)) &&
                     mv_cbor_put_bool(o, l->items[i][name] == '=');
        }
        return ok;
}

/* Only where there are any: contexts without keep their digests. */
static bool put_narrowings(struct mv_out *o, const struct mv_context *c)
{
        if (c->narrowings_count == 0)
                return true;
        bool ok = mv_cbor_put_str(o, "narrowings") && mv_cbor_put_array(o, c->narrowings_count);
        for (uint32_t i = 0; ok && i < c->narrowings_count; i++)
                ok = mv_cbor_put_array(o, 2) && mv_cbor_put_str(o, c->narrowings[i].capability) &&
                     mv_context_encode(c->narrowings[i].context, o);
        return ok;
}

/* Kinds of spending that the first contexts with budgets knew: those without another keep their digests. */
#define FIRST_KINDS 5

/* How many kinds are said something about. */
static uint32_t kinds_of(const uint64_t *of_kind, uint64_t nothing)
{
        uint32_t n = 0;
        for (uint32_t i = 0; i < MV_SPEND_MAX_; i++)
                if (of_kind[i] != nothing)
                        n = i + 1;
        return n && n < FIRST_KINDS ? FIRST_KINDS : n;
}

static bool has_budget(const struct mv_context *c)
{
        return kinds_of(c->budget.max, MV_SPEND_ANY) > 0;
}

/* Softly ended ones decide nothing, but a record says whether one was there. */
static bool has_policies(const struct mv_context *c)
{
        return kinds_of(c->budget.ask, MV_SPEND_ANY) || kinds_of(c->budget.soft, MV_SPEND_ANY);
}

/* In the order of enum mv_spending, nil for no limit. */
static bool put_kinds(struct mv_out *o, const uint64_t *of_kind)
{
        uint32_t n = kinds_of(of_kind, MV_SPEND_ANY);
        bool ok = mv_cbor_put_array(o, n);
        for (uint32_t i = 0; ok && i < n; i++)
                ok = of_kind[i] == MV_SPEND_ANY
                             ? mv_cbor_put_null(o)
                             : mv_cbor_put_int(o, (int64_t)(of_kind[i] > INT64_MAX ? INT64_MAX
                                                                                   : of_kind[i]));
        return ok;
}

/* Only where there is one. */
static bool put_budget(struct mv_out *o, const struct mv_context *c)
{
        return !has_budget(c) || (mv_cbor_put_str(o, "budget") && put_kinds(o, c->budget.max));
}

/* [soft ask extension approvals timeout], only where there are any. */
static bool put_policies(struct mv_out *o, const struct mv_context *c)
{
        const struct mv_budget_kept *b = &c->budget;
        return !has_policies(c) ||
               (mv_cbor_put_str(o, "exhausted") && mv_cbor_put_array(o, 5) &&
                put_kinds(o, b->soft) && put_kinds(o, b->ask) && put_kinds(o, b->extension) &&
                mv_cbor_put_int(o, b->approvals) && mv_cbor_put_int(o, (int64_t)b->timeout_ms));
}

static bool put_rules(struct mv_out *o, const struct mv_context *c)
{
        return c->rules_count == 0 || (mv_cbor_put_str(o, "rules") && mv__rules_encode(c, o));
}

bool mv_context_encode(const struct mv_context *c, struct mv_out *o)
{
        /* NULL decides as pure, so it encodes as pure */
        struct mv_context *pure = c ? NULL : mv_context_new(MV_LEVEL_PURE);
        if (!c)
                c = pure;
        bool ok = c &&
                  mv_cbor_put_map(o, 9 + (c->narrowings_count > 0) + has_budget(c) +
                                             has_policies(c) + (c->rules_count > 0) +
                                             mv__tls_any(c) + mv__effects_any(c) +
                                             (c->terms.count > 0) + (c->exposed.count > 0)) &&
                  put_env(o, &c->env) && (!mv__tls_any(c) || mv__tls_encode(c, o)) &&
                  put_list(o, "hosts", &c->hosts) && mv_cbor_put_str(o, "level") &&
                  mv_cbor_put_str(o, mv_level_name(c->level)) && put_list(o, "reads", &c->reads) &&
                  put_rules(o, c) && (!c->terms.count || put_list(o, "terms", &c->terms)) &&
                  put_budget(o, c) && put_limits(o, &c->limits) &&
                  (!c->exposed.count || put_list(o, "exposed", &c->exposed)) &&
                  put_list(o, "writes", &c->writes) &&
                  (!mv__effects_any(c) || mv__effects_encode(c, o)) && put_policies(o, c) &&
                  put_narrowings(o, c) && mv_cbor_put_str(o, "use_microvm") &&
                  mv_cbor_put_bool(o, c->use_microvm) &&
                  put_list(o, "capabilities", &c->capabilities) &&
                  put_list(o, "hosts_denied", &c->hosts_denied);
        mv_context_free(pure);
        return ok;
}
