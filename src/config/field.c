/* SPDX-License-Identifier: Apache-2.0 */
/* Would this value do at this place? (REQ-ACV-17) The value is bound into a copy, and the rules
 * see the copy. */
#include <config/bind.h>
#include <config/config.h>
#include <config/forms.h>

struct target {
        const struct mv_section *schema;
        char *section;       /* of the copy */
        struct mv_slice key; /* the last name of the path */
};

static struct mv_slice next_name(struct mv_slice *path)
{
        size_t n = 0;
        while (n < path->len && path->p[n] != '.')
                n++;
        struct mv_slice name = mv_slice(path->p, n);
        *path = n < path->len ? mv_slice(path->p + n + 1, path->len - n - 1) : mv_slice(NULL, 0);
        return name;
}

static const struct mv_field *field_named(const struct mv_section *s, struct mv_slice name)
{
        for (uint32_t i = 0; i < s->count; i++)
                if (mv__name_is(name, s->fields[i].name))
                        return &s->fields[i];
        return NULL;
}

/* The entry of that name in a copy of the list: the file's own stays as it is. */
static char *entry_named(struct mv_sections *l, const struct mv_section *s, struct mv_slice name,
                         struct mv_arena *a)
{
        char *items = mv_arena_alloc(a, s->size, alignof(max_align_t), (size_t)l->count + 1);
        if (!items || l->count == 0)
                return NULL;
        memcpy(items, l->items, l->count * s->size);
        l->items = items;
        for (uint32_t i = 0; i < l->count; i++)
                if (mv_slice_eq(((struct mv_head *)(items + i * s->size))->name, name))
                        return items + i * s->size;
        return NULL;
}

static bool find(struct target *t, struct mv_slice path, struct mv_arena *a)
{
        for (;;) {
                t->key = next_name(&path);
                const struct mv_field *f = field_named(t->schema, t->key);
                if (!f || path.len == 0)
                        return f != NULL;
                if (f->type == MV_F_SECTION) {
                        t->section += f->offset;
                        ((struct mv_head *)t->section)->given = true;
                } else if (f->type == MV_F_NAMED) {
                        t->section = entry_named((struct mv_sections *)(t->section + f->offset),
                                                 f->section, next_name(&path), a);
                        if (!t->section || path.len == 0)
                                return false;
                } else {
                        return false;
                }
                t->schema = f->section;
        }
}

static int read_literal(struct mv_slice literal, struct mv_arena *a, struct mv_form *ret,
                        struct mv_err *err)
{
        struct mv_text t = { 0 };
        struct mv_syntax_error error;
        struct mv_agent_reading how = { a, NULL, &error };
        struct mv_form map;
        mv_text_str(&t, "{:value ");
        mv_text_put(&t, literal.p, literal.len);
        mv_text_str(&t, "\n}");
        int r = t.failed ? mv_fail(err, MV_E_NOMEM, 0, "value")
                         : mv__read_agent(mv_slice(t.p, t.len), &how, &map, err);
        mv_text_done(&t);
        if (r == 0 && (map.kind != MV_MAP || map.count != 2))
                r = mv_fail(err, MV_E_INVALID, 0, "not one value");
        if (r == 0)
                *ret = map.items[1];
        return r;
}

int mv_agent_field_try(struct mv_agent_file *f, const char *path, struct mv_slice literal,
                       bool *ret_ok, struct mv_err *err)
{
        struct mv_agent_config copy = f->config;
        struct mv_agent_file tried = { .diagnostics = { .arena = &f->arena } };
        struct target t = { &mv__agent_schema, (char *)&copy, { NULL, 0 } };
        struct mv_form pair[2] = { { .kind = MV_KEYWORD } };
        struct mv_binding b = { .arena = &f->arena,
                                .diagnostics = &tried.diagnostics,
                                .strict = true };
        if (!find(&t, mv_slice_str(path), &f->arena))
                return mv_fail(err, MV_E_NOT_FOUND, 0, "there is no field %s", path);
        int r = read_literal(literal, &f->arena, &pair[1], err);
        if (r < 0)
                return r;
        pair[0].text = t.key;
        mv__bind(&b, t.schema, &pair[1], pair, 2, t.section);
        bool bound = tried.diagnostics.errors == 0;
        if (bound) {
                mv__validate_microvm(&copy, false, &tried.diagnostics);
                mv__validate_general(&copy, &tried.diagnostics);
        }
        if (tried.diagnostics.failed)
                return mv_fail(err, MV_E_LIMIT, 0, "too many values were tried");
        *ret_ok = bound && mv_agent_field_ok(&tried, path);
        return 0;
}
