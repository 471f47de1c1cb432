/* SPDX-License-Identifier: Apache-2.0 */
/* What somebody asks for, out of what somebody else gives (REQ-CFG-09): refused where it is not
 * covered, never cut. */
#include <config/settings.h>
#include <security/grants.h>
#include <security/rules.h>
#include <security/tls.h>

struct choosing {
        const struct mv_giver *giver;
        const struct mv_context *within;
        const struct mv_wishes *w;
        struct mv_err *err;
};

static const struct mv_grant_list *list_of(const struct mv_context *c, enum mv_grant_kind kind)
{
        return mv__grant_list((struct mv_context *)c, kind);
}

static int choose_one(const struct choosing *k, struct mv_context *to, enum mv_grant_kind kind,
                      const char *text)
{
        int r = mv__grant(to, kind, text, k->err); /* first of all it must be a grant */
        if (r < 0 || mv_grant_covered(k->within, kind, text))
                return r;
        return mv_fail(k->err, MV_E_DENIED, 0,
                       "%s %s: %s does not grant it, and options only narrow; add it to %s there",
                       k->w->names[kind], text, k->giver->name, k->giver->sections[kind]);
}

/* What is asked for replaces what the file grants of that kind; a kind nobody asks about stays
 * whole. Denials add up. */
static int choose_kind(const struct choosing *k, struct mv_context *to, enum mv_grant_kind kind)
{
        const struct mv_grant_list *granted = list_of(k->within, kind);
        bool stays = k->w->counts[kind] == 0 || kind == MV_GRANT_DENY_HOST;
        int r = 0;
        for (uint32_t i = 0; r == 0 && i < k->w->counts[kind]; i++)
                r = choose_one(k, to, kind, k->w->items[kind][i]);
        for (uint32_t i = 0; r == 0 && stays && i < granted->count; i++)
                r = mv__grant(to, kind, granted->items[i], k->err);
        return r;
}

static int check_limits(const struct choosing *k)
{
        const struct mv_limits *a = &k->w->limits, *b = &k->within->limits;
        const struct {
                const char *name;
                uint64_t asked, given;
        } rows[] = { { "--timeout", a->wall_ns_max, b->wall_ns_max },
                     { "--memory", a->memory_bytes_max, b->memory_bytes_max },
                     { "--cpu", a->cpu_ns_max, b->cpu_ns_max },
                     { "--fuel", a->fuel_max, b->fuel_max },
                     { "--max-output", a->output_bytes_max, b->output_bytes_max } };
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
                if (rows[i].asked && rows[i].given && rows[i].asked > rows[i].given)
                        return mv_fail(k->err, MV_E_DENIED, 0,
                                       "%s: %s gives less, and options only narrow; raise it in "
                                       "%s there, as far as its level allows",
                                       rows[i].name, k->giver->name, k->giver->limits);
        return 0;
}

int mv_context_choose(const struct mv_giver *giver, const struct mv_context *within,
                      const struct mv_wishes *w, struct mv_context **ret, struct mv_err *err)
{
        struct choosing k = { giver, within, w, err };
        enum mv_level most = mv_context_level(within), level = w->has_level ? w->level : most;
        if (level > most)
                return mv_fail(err, MV_E_DENIED, 0,
                               "--level %s: %s gives level %s, and options only narrow",
                               mv_level_name(level), giver->name, mv_level_name(most));
        struct mv_context *to = mv_context_new(level);
        int r = to ? check_limits(&k) : mv_fail(err, MV_E_NOMEM, 0, "context");
        for (enum mv_grant_kind kind = 0; r == 0 && level != MV_LEVEL_PURE && kind < MV_GRANT_KINDS;
             kind++)
                r = choose_kind(&k, to, kind);
        if (to) {
                if (level == most) /* a lower level has less to begin with */
                        to->limits = within->limits;
                mv_context_limit(to, &within->limits);
                mv_context_limit(to, &w->limits);
                if (!mv__context_bind(to, within))
                        r = mv_fail(err, MV_E_NOMEM, 0, "rules");
        }
        for (uint32_t i = 0; r == 0 && i < within->narrowings_count; i++)
                r = mv__take_narrowing(to, &within->narrowings[i], err);
        if (r < 0)
                mv_context_free(to);
        else
                *ret = to;
        return r;
}

static struct mv_giver settings_giver(const struct mv_settings_file *f)
{
        struct mv_giver g = { .name = f->name, .limits = "default_config" };
        for (enum mv_grant_kind kind = 0; kind < MV_GRANT_KINDS; kind++)
                g.sections[kind] = mv_grant_section_name(kind);
        return g;
}

int mv_policy_choose(const struct mv_settings_file *f, const struct mv_policy_settings *p,
                     const struct mv_wishes *w, struct mv_context **ret, struct mv_err *err)
{
        struct mv_giver giver = settings_giver(f);
        return mv_context_choose(&giver, p->context, w, ret, err);
}

/* --- one file within another ------------------------------------------------------------------ */
static int not_covered(const struct mv_giver *giver, const struct mv_origin *o,
                       enum mv_grant_kind kind, const char *text, struct mv_err *err)
{
        char place[400] = "";
        if (o)
                mv_fmt(place, sizeof place, "%s:%u:%u: %s: ", o->file, o->line, o->column, o->path);
        return mv_fail(err, MV_E_DENIED, 0, "%s%s does not grant '%.200s'; add it to %s there",
                       place, giver->name, text, giver->sections[kind]);
}

static int fit_kind(struct mv_context *c, const struct mv_context *most,
                    const struct mv_giver *giver, const struct mv_origins *origins,
                    enum mv_grant_kind kind, struct mv_err *err)
{
        const struct mv_grant_list *l = list_of(c, kind), *denied = &most->hosts_denied;
        for (uint32_t i = 0; i < l->count; i++)
                if (!mv_grant_covered(most, kind, l->items[i]))
                        return not_covered(giver, mv__origin_find(origins, kind, l->items[i]), kind,
                                           l->items[i], err);
        int r = 0;
        for (uint32_t i = 0; r == 0 && kind == MV_GRANT_DENY_HOST && i < denied->count; i++)
                r = mv__grant(c, kind, denied->items[i], err);
        return r;
}

int mv_context_fit(struct mv_context *c, const struct mv_context *most,
                   const struct mv_giver *giver, const struct mv_origins *origins,
                   struct mv_err *err)
{
        int r = 0;
        if (mv_context_level(c) > mv_context_level(most))
                return mv_fail(err, MV_E_DENIED, 0, "level %s is needed, %s gives level %s",
                               mv_level_name(mv_context_level(c)), giver->name,
                               mv_level_name(mv_context_level(most)));
        for (enum mv_grant_kind kind = 0; r == 0 && kind < MV_GRANT_KINDS; kind++)
                r = fit_kind(c, most, giver, origins, kind, err);
        mv_context_limit(c, &most->limits);
        if (r == 0 && (mv__context_join(c, most, err) < 0 || mv__tls_fit(c, most, err) < 0))
                r = mv_wrap(err, "%s", giver->name);
        for (uint32_t i = 0; r == 0 && i < c->narrowings_count; i++) {
                struct mv_context *own = c->narrowings[i].context;
                mv_context_limit(own, &most->limits);
                for (uint32_t d = 0; r == 0 && d < most->hosts_denied.count; d++)
                        r = mv_context_deny_host(own, most->hosts_denied.items[d], err);
        }
        for (uint32_t i = 0; r == 0 && i < most->narrowings_count; i++)
                r = mv__take_narrowing(c, &most->narrowings[i], err);
        return r;
}

int mv_settings_fit(const struct mv_settings_file *f, const struct mv_policy_settings *p,
                    struct mv_context *c, const struct mv_origins *origins, struct mv_err *err)
{
        struct mv_giver giver = settings_giver(f);
        return mv_context_fit(c, p->context, &giver, origins, err);
}
