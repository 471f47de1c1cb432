/* SPDX-License-Identifier: Apache-2.0 */
#include <base/fmt.h>
#include <config/diagnostics.h>

#define MESSAGE_BYTES_MAX 600

static const char *copy(struct mv_arena *a, const char *s)
{
        size_t n = s ? strlen(s) + 1 : 0;
        char *p = s ? mv_new(a, char, n) : NULL;
        if (p)
                memcpy(p, s, n);
        return p;
}

static struct mv_diagnostic *next_slot(struct mv_diagnostics *d)
{
        if (d->count == d->cap) {
                uint32_t cap = d->cap ? d->cap * 2 : 16;
                struct mv_diagnostic *more = mv_new(d->arena, struct mv_diagnostic, cap);
                if (!more)
                        return NULL;
                if (d->count)
                        memcpy(more, d->items, d->count * sizeof *more);
                d->items = more;
                d->cap = cap;
        }
        return &d->items[d->count];
}

static void count_one(struct mv_diagnostics *d, enum mv_severity s)
{
        d->errors += s == MV_SEVERE_ERROR;
        d->warnings += s == MV_SEVERE_WARNING;
        d->notes += s == MV_SEVERE_NOTE;
}

void mv__diagnose(struct mv_diagnostics *d, const struct mv_report *r, const char *format, ...)
{
        char text[MESSAGE_BYTES_MAX];
        va_list ap;
        count_one(d, r->severity);
        uint32_t most =
                r->severity == MV_SEVERE_ERROR ? 2 * MV_DIAGNOSTICS_MAX : MV_DIAGNOSTICS_MAX;
        if (d->count >= most) /* remarks never take the place of an error */
                return;
        va_start(ap, format);
        mv_vfmt(text, sizeof text, format, ap);
        va_end(ap);
        struct mv_diagnostic *slot = next_slot(d);
        const char *message = copy(d->arena, text), *path = copy(d->arena, r->path ? r->path : "");
        const char *suggestion = copy(d->arena, r->suggestion);
        if (!slot || !message || !path || (r->suggestion && !suggestion)) {
                d->failed = true;
                return;
        }
        *slot = (struct mv_diagnostic){ .severity = r->severity,
                                        .line = r->line,
                                        .column = r->column,
                                        .code = r->code,
                                        .path = path,
                                        .message = message,
                                        .suggestion = suggestion };
        d->count++;
}

/* --- schema order ----------------------------------------------------------------------------- */
/* The number of the row that a path reaches, counting rows in the order of the documentation. A name of an entry
 * (mounts.data) or a key the schema does not have stands right behind the row that holds it. */
static uint32_t rank_in(const struct mv_section *s, struct mv_slice path, uint32_t *at, bool *found)
{
        size_t n = 0;
        while (n < path.len && path.p[n] != '.' && path.p[n] != '[')
                n++;
        struct mv_slice first = mv_slice(path.p, n);
        struct mv_slice rest =
                n < path.len ? mv_slice(path.p + n + 1, path.len - n - 1) : mv_slice(NULL, 0);
        uint32_t holder = *at;
        for (uint32_t i = 0; i < s->count && !*found; i++) {
                const struct mv_field *f = &s->fields[i];
                bool here = path.p && mv__name_is(first, f->name);
                ++*at;
                uint32_t row = *at;
                if (here && rest.len && (f->type == MV_F_NAMED || f->type == MV_F_LISTED)) {
                        for (n = 0; n < rest.len && rest.p[n] != '.';)
                                n++;
                        rest = n < rest.len ? mv_slice(rest.p + n + 1, rest.len - n - 1)
                                            : mv_slice(NULL, 0);
                }
                if (here && (!rest.len || !f->section)) {
                        *found = true;
                        return row;
                }
                if (f->section) {
                        uint32_t inner =
                                rank_in(f->section, here ? rest : mv_slice(NULL, 0), at, found);
                        if (here) {
                                *found = true;
                                return inner > row ? inner : row;
                        }
                }
        }
        return holder;
}

void mv__diagnostics_sort(struct mv_diagnostics *d, const struct mv_section *schema)
{
        for (uint32_t i = 0; i < d->count; i++) {
                uint32_t at = 0;
                bool found = false;
                d->items[i].rank = rank_in(schema, mv_slice_str(d->items[i].path), &at, &found);
        }
        for (uint32_t i = 1; i < d->count; i++) { /* insertion: stable, and nearly sorted already */
                struct mv_diagnostic x = d->items[i];
                uint32_t k = i;
                for (; k > 0 && d->items[k - 1].rank > x.rank; k--)
                        d->items[k] = d->items[k - 1];
                d->items[k] = x;
        }
}

int mv__first_error(const struct mv_diagnostics *list, const char *name, struct mv_err *err)
{
        for (uint32_t i = 0; i < list->count; i++) {
                const struct mv_diagnostic *d = &list->items[i];
                if (d->severity == MV_SEVERE_ERROR)
                        return mv_fail(err, MV_E_INVALID, 0, "%s:%u:%u: %s%s%s%s%s", name, d->line,
                                       d->column, d->path, d->path[0] ? ": " : "", d->message,
                                       d->suggestion ? "; " : "",
                                       d->suggestion ? d->suggestion : "");
        }
        return mv_fail(err, MV_E_INVALID, 0, "%s is not valid", name);
}
