/* SPDX-License-Identifier: Apache-2.0 */
/* A configuration as text, from its schema: defaults are written out, what is optional and was not given stays away.
 * What is printed reads back equal (REQ-AC-15). */
#include <config/config.h>
#include <stdlib.h>
#include <wire/text.h>

static bool is_absent(const struct mv_field *f, const void *section)
{
        const void *member = (const char *)section + f->offset;
        if (f->type == MV_F_SECTION)
                return f->optional && !((const struct mv_head *)member)->given;
        if (f->type == MV_F_NAMED || f->type == MV_F_LISTED)
                return ((const struct mv_sections *)member)->count == 0;
        return !f->fallback && !((const struct mv_item *)member)->given;
}

static const struct mv_sections *sections_of(const struct mv_field *f, const void *section)
{
        return (const struct mv_sections *)((const char *)section + f->offset);
}

static const void *entry_of(const struct mv_field *f, const struct mv_sections *l, uint32_t i)
{
        return (const char *)l->items + i * f->section->size;
}

static const char *spelled(const char *name, char dash, char buf[64])
{
        size_t n = mv_fmt(buf, 64, "%s", name);
        for (size_t i = 0; i < n; i++)
                buf[i] = buf[i] == '-' ? dash : buf[i];
        return buf;
}

static void put_readable(struct mv_text *t, struct mv_slice s)
{
        struct mv_text quoted = { 0 };
        mv_json_text(
                &quoted, NULL,
                s); /* RTFS strings have no \b and \f; TOML strings have all of JSON's but \/ */
        if (quoted.failed)
                t->failed = true;
        for (size_t i = 0; i < quoted.len; i++) {
                if (quoted.p[i] == 0x7f) { /* TOML takes it only in this form */
                        mv_text_str(t, "\\u007f");
                        continue;
                }
                if (quoted.p[i] != '\\') {
                        mv_text_put(t, quoted.p + i, 1);
                        continue;
                }
                i++;
                if (quoted.p[i] == 'b' || quoted.p[i] == 'f')
                        mv_text_str(t, quoted.p[i] == 'b' ? "\\u0008" : "\\u000c");
                else
                        mv_text_printf(t, "\\%c", quoted.p[i]);
        }
        mv_text_done(&quoted);
}

static void put_real(struct mv_text *t, double v)
{
        struct mv_text number = { 0 };
        mv_json_real(&number, NULL, v);
        if (number.failed)
                t->failed = true;
        mv_text_put(t, number.p, number.len);
        mv_text_done(&number);
}

static void put_duration(struct mv_text *t, int64_t ms)
{
        if (ms % 1000 == 0)
                mv_text_printf(t, "\"%llds\"", (long long)(ms / 1000));
        else
                mv_text_printf(t, "\"%lldms\"", (long long)ms);
}

/* --- forms kept as they are ------------------------------------------------------------------- */
static void put_form(struct mv_text *t, const struct mv_form *f, enum mv_syntax syntax);

static void put_forms(struct mv_text *t, const struct mv_form *f, enum mv_syntax syntax)
{
        bool map = f->kind == MV_MAP, rtfs = syntax == MV_SYNTAX_RTFS;
        mv_text_str(t, map ? "{" : "[");
        for (uint32_t i = 0; i < f->count; i++) {
                bool is_key = map && i % 2 == 0;
                if (i)
                        mv_text_str(t, rtfs           ? " "
                                       : map && i % 2 ? (syntax == MV_SYNTAX_JSON ? ": " : " = ")
                                                      : ", ");
                if (is_key && !rtfs)
                        put_readable(t, f->items[i].text);
                else
                        put_form(t, &f->items[i], syntax);
        }
        mv_text_str(t, map ? "}" : "]");
}

static void put_form(struct mv_text *t, const struct mv_form *f, enum mv_syntax syntax)
{
        switch (f->kind) {
        case MV_BOOL:
                mv_text_str(t, f->boolean ? "true" : "false");
                break;
        case MV_INT:
                mv_text_printf(t, "%lld", (long long)f->integer);
                break;
        case MV_FLOAT:
                put_real(t, f->real);
                break;
        case MV_STRING:
        case MV_KEYWORD:
        case MV_SYMBOL:
                if (f->kind == MV_KEYWORD && syntax == MV_SYNTAX_RTFS)
                        mv_text_printf(t, ":%.*s", MV_SARG(f->text));
                else
                        put_readable(t, f->text);
                break;
        case MV_VECTOR:
        case MV_LIST:
        case MV_MAP:
                put_forms(t, f, syntax);
                break;
        default:
                mv_text_str(t, syntax == MV_SYNTAX_RTFS ? "nil" : "null");
        }
}

void mv__print_form(const struct mv_form *f, enum mv_syntax syntax, struct mv_text *ret)
{
        put_form(ret, f, syntax);
}

/* --- single values ---------------------------------------------------------------------------- */
static void put_texts(struct mv_text *t, const struct mv_item *item, const char *between)
{
        mv_text_str(t, "[");
        for (uint32_t i = 0; i < item->count; i++) {
                if (i)
                        mv_text_str(t, between);
                put_readable(t, item->texts[i].text);
        }
        mv_text_str(t, "]");
}

static void put_item(struct mv_text *t, const struct mv_field *f, const struct mv_item *item,
                     enum mv_syntax syntax)
{
        switch (f->type) {
        case MV_F_BOOL:
                mv_text_str(t, item->boolean ? "true" : "false");
                break;
        case MV_F_INTEGER:
                mv_text_printf(t, "%lld", (long long)item->integer);
                break;
        case MV_F_NUMBER:
                put_real(t, item->real);
                break;
        case MV_F_DURATION:
                put_duration(t, item->integer);
                break;
        case MV_F_TEXTS:
                put_texts(t, item, syntax == MV_SYNTAX_RTFS ? " " : ", ");
                break;
        case MV_F_ANY:
                put_form(t, item->any, syntax);
                break;
        default:
                put_readable(t, item->text);
        }
}

/* --- RTFS ------------------------------------------------------------------------------------- */
static void indent(struct mv_text *t, uint32_t columns)
{
        mv_text_str(t, "\n");
        for (uint32_t i = 0; i < columns; i++)
                mv_text_str(t, " ");
}

static void rtfs_section(struct mv_text *t, const struct mv_section *s, const void *section,
                         uint32_t column);

static void rtfs_sections(struct mv_text *t, const struct mv_field *f, const void *section,
                          uint32_t column)
{
        const struct mv_sections *l = sections_of(f, section);
        bool named = f->type == MV_F_NAMED;
        mv_text_str(t, named ? "{" : "[");
        for (uint32_t i = 0; i < l->count; i++) {
                const struct mv_head *entry = entry_of(f, l, i);
                if (i)
                        indent(t, column + 1);
                if (named) {
                        put_readable(t, entry->name);
                        indent(t, column + 2);
                }
                rtfs_section(t, f->section, entry, column + (named ? 2 : 1));
        }
        mv_text_str(t, named ? "}" : "]");
}

/* :key value pairs, each on its own line; the first where the text stands. */
static void rtfs_pairs(struct mv_text *t, const struct mv_section *s, const void *section,
                       uint32_t column)
{
        char name[64];
        bool first = true;
        for (uint32_t i = 0; i < s->count; i++) {
                const struct mv_field *f = &s->fields[i];
                if (is_absent(f, section))
                        continue;
                if (!first)
                        indent(t, column);
                first = false;
                mv_text_printf(t, ":%s", spelled(f->name, '-', name));
                const void *member = (const char *)section + f->offset;
                bool nested =
                        f->type == MV_F_SECTION || f->type == MV_F_NAMED || f->type == MV_F_LISTED;
                if (nested)
                        indent(t, column + 2);
                else
                        mv_text_str(t, " ");
                if (f->type == MV_F_SECTION)
                        rtfs_section(t, f->section, member, column + 2);
                else if (nested)
                        rtfs_sections(t, f, section, column + 2);
                else
                        put_item(t, f, member, MV_SYNTAX_RTFS);
        }
}

static void rtfs_section(struct mv_text *t, const struct mv_section *s, const void *section,
                         uint32_t column)
{
        mv_text_str(t, "{");
        rtfs_pairs(t, s, section, column + 1);
        mv_text_str(t, "}");
}

/* --- JSON ------------------------------------------------------------------------------------- */
static void json_pairs(struct mv_text *t, const struct mv_section *s, const void *section);

static void json_sections(struct mv_text *t, const struct mv_field *f, const char *name,
                          const void *section)
{
        const struct mv_sections *l = sections_of(f, section);
        bool named = f->type == MV_F_NAMED;
        mv_json_open(t, name, named ? '{' : '[');
        for (uint32_t i = 0; i < l->count; i++) {
                const struct mv_head *entry = entry_of(f, l, i);
                mv_json_open(t, NULL,
                             '{'); /* the name of an entry may hold NUL or be long: no C string */
                if (named) {
                        t->len--;
                        put_readable(t, entry->name);
                        mv_text_str(t, ": {");
                }
                json_pairs(t, f->section, entry);
                mv_json_close(t, '}');
        }
        mv_json_close(t, named ? '}' : ']');
}

static void json_pairs(struct mv_text *t, const struct mv_section *s, const void *section)
{
        char name[64];
        for (uint32_t i = 0; i < s->count; i++) {
                const struct mv_field *f = &s->fields[i];
                const void *member = (const char *)section + f->offset;
                if (is_absent(f, section))
                        continue;
                spelled(f->name, '_', name);
                if (f->type == MV_F_NAMED || f->type == MV_F_LISTED) {
                        json_sections(t, f, name, section);
                } else if (f->type == MV_F_SECTION) {
                        mv_json_open(t, name, '{');
                        json_pairs(t, f->section, member);
                        mv_json_close(t, '}');
                } else {
                        mv_json_null(
                                t, name); /* the place of the value, which is written over `null` */
                        t->len -= 4;
                        put_item(t, f, member, MV_SYNTAX_JSON);
                }
        }
}

/* --- TOML ------------------------------------------------------------------------------------- */
static void toml_table(struct mv_text *t, const struct mv_section *s, const void *section,
                       const char *path);

static void toml_sections(struct mv_text *t, const struct mv_field *f, const void *section,
                          const char *path)
{
        const struct mv_sections *l = sections_of(f, section);
        for (uint32_t i = 0; i < l->count; i++) {
                const struct mv_head *entry = entry_of(f, l, i);
                struct mv_text inner = { 0 };
                mv_text_str(&inner, path);
                if (f->type == MV_F_NAMED) {
                        mv_text_str(&inner, ".");
                        put_readable(&inner, entry->name);
                }
                char *whole = mv_text_take(&inner);
                if (!whole) {
                        t->failed = true;
                        return;
                }
                mv_text_str(t, f->type == MV_F_NAMED ? "\n[" : "\n[[");
                mv_text_str(t, whole);
                mv_text_str(t, f->type == MV_F_NAMED ? "]\n" : "]]\n");
                toml_table(t, f->section, entry, whole);
                free(whole);
        }
}

static void toml_inner(struct mv_text *t, const struct mv_field *f, const void *section,
                       const char *path)
{
        char name[64];
        struct mv_text inner = { 0 };
        mv_text_str(&inner, path);
        if (path[0])
                mv_text_str(&inner, ".");
        mv_text_str(&inner, spelled(f->name, '_', name));
        char *whole = mv_text_take(&inner);
        if (!whole) {
                t->failed = true;
                return;
        }
        if (f->type == MV_F_SECTION) {
                mv_text_str(t, "\n[");
                mv_text_str(t, whole);
                mv_text_str(t, "]\n");
                toml_table(t, f->section, (const char *)section + f->offset, whole);
        } else {
                toml_sections(t, f, section, whole);
        }
        free(whole);
}

static void toml_table(struct mv_text *t, const struct mv_section *s, const void *section,
                       const char *path)
{
        char name[64];
        for (int inner = 0; inner < 2;
             inner++) /* a table's own values stand before the tables in it */
                for (uint32_t i = 0; i < s->count; i++) {
                        const struct mv_field *f = &s->fields[i];
                        bool nested = f->type == MV_F_SECTION || f->type == MV_F_NAMED ||
                                      f->type == MV_F_LISTED;
                        if (is_absent(f, section) || nested != (inner == 1))
                                continue;
                        if (nested) {
                                toml_inner(t, f, section, path);
                                continue;
                        }
                        mv_text_printf(t, "%s = ", spelled(f->name, '_', name));
                        put_item(t, f, MV_ITEM(section, f->offset), MV_SYNTAX_TOML);
                        mv_text_str(t, "\n");
                }
}

/* --- all of them ------------------------------------------------------------------------------ */
void mv__print(const struct mv_section *schema, const void *section, enum mv_syntax syntax,
               struct mv_text *ret)
{
        if (syntax == MV_SYNTAX_TOML) {
                toml_table(ret, schema, section, "");
        } else if (syntax == MV_SYNTAX_JSON) {
                mv_json_open(ret, NULL, '{');
                json_pairs(ret, schema, section);
                mv_json_close(ret, '}');
                mv_text_str(ret, "\n");
        } else {
                mv_text_str(ret, "(agent.config\n  ");
                rtfs_pairs(ret, schema, section, 2);
                mv_text_str(ret, ")\n");
        }
}

void mv_agent_print(const struct mv_agent_config *c, enum mv_syntax syntax, struct mv_text *ret)
{
        mv__print(&mv__agent_schema, c, syntax, ret);
}

/* --- equality --------------------------------------------------------------------------------- */
static bool forms_equal(const struct mv_form *a, const struct mv_form *b)
{
        bool text_a = a->kind == MV_STRING || a->kind == MV_KEYWORD || a->kind == MV_SYMBOL;
        bool text_b = b->kind == MV_STRING || b->kind == MV_KEYWORD || b->kind == MV_SYMBOL;
        if (text_a || text_b) /* JSON and TOML have no keywords */
                return text_a && text_b && mv_slice_eq(a->text, b->text);
        bool seq_a = a->kind == MV_VECTOR || a->kind == MV_LIST,
             seq_b = b->kind == MV_VECTOR || b->kind == MV_LIST;
        if (a->kind != b->kind && !(seq_a && seq_b))
                return false;
        if (a->kind == MV_BOOL)
                return a->boolean == b->boolean;
        if (a->kind == MV_INT)
                return a->integer == b->integer;
        if (a->kind == MV_FLOAT)
                return memcmp(&a->real, &b->real, sizeof a->real) == 0;
        if (a->kind == MV_NIL)
                return true;
        for (uint32_t i = 0; a->count == b->count && i < a->count; i++)
                if (!forms_equal(&a->items[i], &b->items[i]))
                        return false;
        return a->count == b->count;
}

static bool items_equal(const struct mv_field *f, const struct mv_item *a, const struct mv_item *b)
{
        if (!f->fallback && a->given != b->given)
                return false;
        switch (f->type) {
        case MV_F_BOOL:
                return a->boolean == b->boolean;
        case MV_F_INTEGER:
        case MV_F_DURATION:
                return a->integer == b->integer;
        case MV_F_NUMBER:
                return a->real == b->real;
        case MV_F_TEXTS:
                for (uint32_t i = 0; a->count == b->count && i < a->count; i++)
                        if (!mv_slice_eq(a->texts[i].text, b->texts[i].text))
                                return false;
                return a->count == b->count;
        case MV_F_ANY:
                return a->any == b->any || (a->any && b->any && forms_equal(a->any, b->any));
        default:
                return mv_slice_eq(a->text, b->text);
        }
}

static bool lists_equal(const struct mv_field *f, const struct mv_sections *a,
                        const struct mv_sections *b)
{
        for (uint32_t i = 0; a->count == b->count && i < a->count; i++) {
                const struct mv_head *x = entry_of(f, a, i), *y = entry_of(f, b, i);
                if (!mv_slice_eq(x->name, y->name) || !mv__sections_equal(f->section, x, y))
                        return false;
        }
        return a->count == b->count;
}

bool mv__sections_equal(const struct mv_section *schema, const void *a, const void *b)
{
        for (uint32_t i = 0; i < schema->count; i++) {
                const struct mv_field *f = &schema->fields[i];
                const void *x = (const char *)a + f->offset, *y = (const char *)b + f->offset;
                bool equal = is_absent(f, a) == is_absent(f, b);
                if (equal && f->type == MV_F_SECTION)
                        equal = is_absent(f, a) || mv__sections_equal(f->section, x, y);
                else if (equal && (f->type == MV_F_NAMED || f->type == MV_F_LISTED))
                        equal = lists_equal(f, x, y);
                else if (equal)
                        equal = items_equal(f, x, y);
                if (!equal)
                        return false;
        }
        return true;
}
