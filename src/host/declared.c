/* SPDX-License-Identifier: Apache-2.0 */
/* What a program says it needs, `^{:effects [[:network {:domains [..]}] ..]}`, before it runs (REQ-LANG-11, REQ-STEP-13, -15, -16).
 * A declaration grants nothing and is believed only when it asks for what is not there: then the run is refused at its
 * beginning, not in its middle.
 *
 *   network {:domains}   each is granted                fs {:paths :modes}   each is granted; written when a mode says so
 *   llm                  some capability that is granted asks a language model; none is built in
 *   gpu device ipc ui    no run has one
 *   process              external programs are granted
 *   resources {:time_ms :memory_mb :fuel :calls :tokens :cost_usd :egress_bytes :written_bytes}
 *                        each is within the limits and the budget of the run (REQ-GOV-05, REQ-AC-63)
 *   clock random         are there; other options are for whoever reads the program */
#include <base/slice.h>
#include <math.h>
#include <stdio.h>
#include <host/plan.h>
#include <policy/policy.h>
#include <security/lexical.h>

struct declaration {
        struct mv_host *host;
        const struct mv_context *context;
        const struct mv_limits *limits;
        int64_t line, column;
        struct mv_err *err;
};

static int refuse(const struct declaration *d, enum mv_code code, const char *kind,
                  const char *what)
{
        (void)mv_fail(d->err, code, 0, "%lld:%lld: declared effect %s: %s", (long long)d->line,
                      (long long)d->column, kind, what);
        return -(int)code;
}

static int refuse_decision(const struct declaration *d, const char *kind,
                           const struct mv_decision *why)
{
        char what[500];
        mv_fmt(what, sizeof what, "%s%s%s", why->context, why->hint[0] ? "; " : "", why->hint);
        return refuse(d, MV_E_DENIED, kind, what);
}

/* The texts of one option; 0 when it is not there. */
static int texts_of(const struct declaration *d, const struct mv_value *options, const char *key,
                    const struct mv_value **ret)
{
        *ret = NULL;
        for (uint32_t i = 0; options && options->kind == MV_MAP && i < options->count; i++) {
                struct mv_slice name, text;
                if (!mv_as_text(&options->entries[i].key, &name) || !mv_slice_eq_str(name, key))
                        continue;
                const struct mv_value *v = &options->entries[i].value;
                for (uint32_t k = 0; v->kind == MV_VECTOR && k < v->count; k++)
                        if (!mv_as_text(&v->items[k], &text))
                                return refuse(d, MV_E_INVALID, key,
                                              "a vector of texts is expected");
                if (v->kind != MV_VECTOR)
                        return refuse(d, MV_E_INVALID, key, "a vector of texts is expected");
                *ret = v;
        }
        return 0;
}

static int admit_network(const struct declaration *d, const struct mv_value *options)
{
        const struct mv_value *domains;
        int r = texts_of(d, options, "domains", &domains);
        for (uint32_t i = 0; r == 0 && domains && i < domains->count; i++) {
                char text[300];
                struct mv_slice domain;
                struct mv_url u;
                struct mv_err ignored;
                struct mv_decision why;
                (void)mv_as_text(&domains->items[i], &domain);
                mv_fmt(text, sizeof text, "https://%.*s/",
                       (int)(domain.len < 256 ? domain.len : 256), (const char *)domain.p);
                if (mv_url_parse(mv_slice_str(text), &u, &ignored) < 0)
                        return refuse(d, MV_E_INVALID, "network", ignored.msg);
                mv_policy_host(d->context, &u, "program", &why);
                bool some_port = mv_context_level(d->context) == MV_LEVEL_CONTROLLED &&
                                 mv__context_has_host(d->context, u.host_ascii);
                if (!why.allowed && !some_port)
                        r = refuse_decision(d, "network", &why);
        }
        return r;
}

static bool writes(const struct mv_value *modes)
{
        for (uint32_t i = 0; modes && i < modes->count; i++) {
                struct mv_slice mode;
                if (mv_as_text(&modes->items[i], &mode) &&
                    (mv_slice_eq_str(mode, "write") || mv_slice_eq_str(mode, "rw")))
                        return true;
        }
        return false;
}

static int admit_files(const struct declaration *d, const struct mv_value *options)
{
        const struct mv_value *paths, *modes;
        int r = texts_of(d, options, "paths", &paths);
        if (r == 0)
                r = texts_of(d, options, "modes", &modes);
        for (uint32_t i = 0; r == 0 && paths && i < paths->count; i++) {
                struct mv_decision why;
                struct mv_slice path, root;
                (void)mv_as_text(&paths->items[i], &path);
                if (mv_policy_path(d->context, path, writes(modes), "program", &why, &root) < 0)
                        r = refuse_decision(d, "fs", &why);
        }
        return r;
}

static int admit_model(const struct declaration *d)
{
        for (uint32_t i = 0; i < mv_capability_count(d->host->table); i++) {
                const char *id = mv_capability_at(d->host->table, i)->id;
                if (strcmp(mv_effect_label(id), ":ai") == 0 && mv_context_allows(d->context, id))
                        return 0;
        }
        return refuse(d, MV_E_UNSUPPORTED, "llm",
                      "no capability that is granted asks a language model");
}

/* What there is of each resource, in the unit that a declaration is written in. */
static bool available(const struct declaration *d, struct mv_slice name, double *ret)
{
        const struct mv_limits *l = d->limits;
        const uint64_t *budget = d->context->budget.max;
        const struct {
                const char *name;
                uint64_t has;
                double unit;
        } rows[] = {
                { "time_ms", l->wall_ns_max, 1e6 },
                { "memory_mb", l->memory_bytes_max, 1 << 20 },
                { "fuel", l->fuel_max, 1 },
                { "calls", budget[MV_SPEND_CALLS], 1 },
                { "tokens", budget[MV_SPEND_TOKENS], 1 },
                { "cost_usd", budget[MV_SPEND_COST_MICROUSD], 1e6 },
                { "egress_bytes", budget[MV_SPEND_EGRESS_BYTES], 1 },
                { "written_bytes", budget[MV_SPEND_WRITTEN_BYTES], 1 },
        };
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                if (!mv_slice_eq_str(name, rows[i].name))
                        continue;
                *ret = rows[i].has == MV_SPEND_ANY ? HUGE_VAL : (double)rows[i].has / rows[i].unit;
                return true;
        }
        return false;
}

static int admit_resources(const struct declaration *d, const struct mv_value *options)
{
        char what[200], number[40], has_text[40];
        for (uint32_t i = 0; options && options->kind == MV_MAP && i < options->count; i++) {
                const struct mv_value *v = &options->entries[i].value;
                struct mv_slice name = { NULL, 0 };
                int64_t whole;
                double wanted = -1, has = 0;
                if (mv_as_int(v, &whole))
                        wanted = (double)whole;
                else
                        (void)mv_as_float(v, &wanted);
                if (!mv_as_text(&options->entries[i].key, &name) || !available(d, name, &has) ||
                    !(wanted >= 0))
                        return refuse(d, MV_E_INVALID, "resources",
                                      "numbers for :time_ms :memory_mb :fuel :calls :tokens "
                                      ":cost_usd :egress_bytes :written_bytes are expected");
                if (wanted <= has)
                        continue;
                mv_fmt(number, sizeof number, "%.*s", MV_SARG(name));
                (void)snprintf(has_text, sizeof has_text, "%.10g", has);
                (void)snprintf(what, sizeof what, "%s %.10g is more than the %s this run has",
                               number, wanted, has_text);
                return refuse(d, MV_E_DENIED, "resources", what);
        }
        return 0;
}

static int admit_kind(const struct declaration *d, struct mv_slice kind,
                      const struct mv_value *options)
{
        static const char *const absent[] = { "gpu", "device", "ipc", "ui" };
        char shown[40];
        if (mv_slice_eq_str(kind, "network"))
                return admit_network(d, options);
        if (mv_slice_eq_str(kind, "fs") || mv_slice_eq_str(kind, "filesystem"))
                return admit_files(d, options);
        if (mv_slice_eq_str(kind, "llm"))
                return admit_model(d);
        if (mv_slice_eq_str(kind, "resources"))
                return admit_resources(d, options);
        for (size_t i = 0; i < sizeof absent / sizeof absent[0]; i++)
                if (mv_slice_eq_str(kind, absent[i]))
                        return refuse(d, MV_E_UNSUPPORTED, absent[i], "no run has one");
        if (mv_slice_eq_str(kind, "process"))
                return mv_context_allows(d->context, "external_program")
                               ? 0
                               : refuse(d, MV_E_DENIED, "process",
                                        "external programs are not granted; --allow "
                                        "external_program");
        if (mv_slice_eq_str(kind, "clock") || mv_slice_eq_str(kind, "random"))
                return 0;
        mv__show(shown, sizeof shown, kind);
        return refuse(d, MV_E_INVALID, shown, "there is no such kind of effect");
}

/* :kind, or [:kind {options}] */
static int admit_row(const struct declaration *d, const struct mv_value *row)
{
        struct mv_slice kind;
        const struct mv_value *options = mv_seq_at(row, 1);
        if (mv_as_text(row->kind == MV_VECTOR ? mv_seq_at(row, 0) : row, &kind))
                return admit_kind(d, kind, row->kind == MV_VECTOR ? options : NULL);
        return refuse(d, MV_E_INVALID, "row", "a row is :kind or [:kind {options}]");
}

int mv__declared_admit(const struct mv__plan_request *q, struct mv_host *h,
                       const struct mv_value *inspected, struct mv_err *err)
{
        const struct mv_value *list = mv_map_get(inspected, "declared");
        int r = 0;
        for (uint32_t i = 0; r == 0 && list && list->kind == MV_VECTOR && i < list->count; i++) {
                struct declaration d = {
                        .host = h, .context = q->context, .limits = &q->limits, .err = err
                };
                const struct mv_value *effects = mv_seq_at(&list->items[i], 2);
                mv_as_int(mv_seq_at(&list->items[i], 0), &d.line);
                mv_as_int(mv_seq_at(&list->items[i], 1), &d.column);
                if (!effects || effects->kind != MV_VECTOR)
                        return refuse(&d, MV_E_INVALID, "list", "effects are a vector of rows");
                for (uint32_t k = 0; r == 0 && k < effects->count; k++)
                        r = admit_row(&d, &effects->items[k]);
        }
        return r;
}
