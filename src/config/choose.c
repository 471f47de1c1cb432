/* SPDX-License-Identifier: Apache-2.0 */
/* What somebody asks for, out of what a settings file gives (REQ-CFG-09): refused where it is
 * not covered, never cut. */
#include <config/settings.h>
#include <security/grants.h>

struct choosing {
        const struct mv_settings_file *f;
        const struct mv_context *within;
        const struct mv_wishes *w;
        struct mv_err *err;
};

static const struct mv_grant_list *list_of(const struct mv_context *c, enum mv_grant_kind kind)
{
        const struct mv_grant_list *lists[MV_GRANT_KINDS] = { &c->capabilities, &c->reads,
                                                              &c->writes,       &c->hosts,
                                                              &c->hosts_denied, &c->env };
        return lists[kind];
}

static int choose_one(const struct choosing *k, struct mv_context *to, enum mv_grant_kind kind,
                      const char *text)
{
        int r = mv__grant(to, kind, text, k->err); /* first of all it must be a grant */
        if (r < 0 || mv_grant_covered(k->within, kind, text))
                return r;
        return mv_fail(k->err, MV_E_DENIED, 0,
                       "%s %s: %s does not grant it, and options only narrow; add it to %s there",
                       k->w->names[kind], text, k->f->name, mv_grant_section_name(kind));
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
                                       "default_config there, as far as "
                                       "its level allows",
                                       rows[i].name, k->f->name);
        return 0;
}

/* --- the narrower contexts of single capabilities --------------------------------------------- */
/* What both grant: each entry of one that the other covers. */
static int intersect(struct mv_context *to, const struct mv_context *a, const struct mv_context *b,
                     enum mv_grant_kind kind, struct mv_err *err)
{
        const struct mv_grant_list *l = list_of(a, kind);
        int r = 0;
        for (uint32_t i = 0; r == 0 && i < l->count; i++)
                if (mv_grant_covered(b, kind, l->items[i]))
                        r = mv__grant(to, kind, l->items[i], err);
        return r;
}

static int take_narrowing(struct mv_context *to, const struct mv_narrowing *n, struct mv_err *err)
{
        struct mv_context *both = mv_context_new(mv_context_level(to));
        int r = both ? 0 : mv_fail(err, MV_E_NOMEM, 0, "settings");
        for (enum mv_grant_kind kind = 0;
             r == 0 && mv_context_level(to) != MV_LEVEL_PURE && kind < MV_GRANT_KINDS; kind++) {
                r = intersect(both, to, n->context, kind, err);
                if (r == 0)
                        r = intersect(both, n->context, to, kind, err);
        }
        if (r < 0) {
                mv_context_free(both);
                return r;
        }
        mv_context_limit(both, &to->limits);
        mv_context_limit(both, &n->context->limits);
        return mv_context_narrow(to, n->capability, both, err);
}

int mv_policy_choose(const struct mv_settings_file *f, const struct mv_policy_settings *p,
                     const struct mv_wishes *w, struct mv_context **ret, struct mv_err *err)
{
        struct choosing k = { f, p->context, w, err };
        enum mv_level most = mv_context_level(p->context), level = w->has_level ? w->level : most;
        if (level > most)
                return mv_fail(err, MV_E_DENIED, 0,
                               "--level %s: %s gives level %s, and options only narrow",
                               mv_level_name(level), f->name, mv_level_name(most));
        struct mv_context *to = mv_context_new(level);
        int r = to ? check_limits(&k) : mv_fail(err, MV_E_NOMEM, 0, "context");
        for (enum mv_grant_kind kind = 0; r == 0 && level != MV_LEVEL_PURE && kind < MV_GRANT_KINDS;
             kind++)
                r = choose_kind(&k, to, kind);
        if (to) {
                mv_context_limit(to, &p->context->limits);
                mv_context_limit(to, &w->limits);
        }
        for (uint32_t i = 0; r == 0 && i < p->context->narrowings_count; i++)
                r = take_narrowing(to, &p->context->narrowings[i], err);
        if (r < 0)
                mv_context_free(to);
        else
                *ret = to;
        return r;
}
