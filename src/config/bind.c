/* SPDX-License-Identifier: Apache-2.0 */
/* (1) A value that is refused leaves its field at the default and an error behind: binding always ends with a whole struct.
 * (2) Recursion follows the schema, so its depth is the schema's, not the text's. */
#include <config/bind.h>
#include <config/lexical.h>
#include <math.h>
#include <security/lexical.h>
#include <wire/text.h>

#define PATH_BYTES_MAX 400
#define KEYS_MAX       4096 /* of one section, duplicates included: finding one is a walk */
#define NAMED_MAX      4096 /* entries of one map: finding a name is a walk */

struct path {
        const struct path *outer;
        struct mv_slice name; /* as it is shown: underscores */
        int64_t index;        /* -1: a name */
};

static size_t path_text(const struct path *p, char *buf, size_t cap)
{
        if (!p)
                return 0;
        size_t n = path_text(p->outer, buf, cap);
        if (p->index >= 0)
                return n + mv_fmt(buf + n, cap - n, "[%lld]", (long long)p->index);
        if (n && n + 1 < cap)
                buf[n++] = '.';
        char shown[80];
        mv__show(shown, sizeof shown, p->name);
        return n + mv_fmt(buf + n, cap - n, "%s", shown);
}

/* A field's name as paths spell it. */
static struct mv_slice underscored(const char *name, char buf[64])
{
        size_t n = mv_fmt(buf, 64, "%s", name);
        for (size_t i = 0; i < n; i++)
                buf[i] = buf[i] == '-' ? '_' : buf[i];
        return mv_slice(buf, n);
}

struct place {
        struct mv_binding *b;
        const struct path *path;
        const struct mv_form *at;
};

static void report(const struct place *p, enum mv_severity severity, const char *code,
                   const char *message, const char *suggestion)
{
        char path[PATH_BYTES_MAX] = "";
        path_text(p->path, path, sizeof path);
        struct mv_report r = { .severity = severity,
                               .code = code,
                               .path = path,
                               .suggestion = suggestion,
                               .line = p->at->line,
                               .column = p->at->column };
        mv__diagnose(p->b->diagnostics, &r, "%s", message);
}

static bool wrong_shape(const struct place *p, const char *code, const char *message,
                        const char *suggestion)
{
        p->b->shape_errors++;
        report(p, MV_SEVERE_ERROR, code, message, suggestion);
        return false;
}

/* --- single values ---------------------------------------------------------------------------- */
static bool refuse_choice(const struct place *p, const struct mv_field *f, struct mv_slice word)
{
        char message[400], suggestion[300], near[64], shown[80], accepted[200];
        mv__show(shown, sizeof shown, word);
        mv__choice_list(f->choices, accepted, sizeof accepted);
        mv_fmt(message, sizeof message, "Unknown %s '%s' (expected %s)", f->name, shown, accepted);
        mv__nearest(word, f->choices, near, sizeof near);
        if (near[0])
                mv_fmt(suggestion, sizeof suggestion, "Did you mean '%s'?", near);
        else
                mv_fmt(suggestion, sizeof suggestion, "Use one of %s", accepted);
        report(p, MV_SEVERE_ERROR, f->code, message, suggestion);
        return false;
}

static bool check_text(const struct place *p, const struct mv_field *f, struct mv_slice text)
{
        char message[400], shown[120];
        if (text.len && memchr(text.p, 0, text.len))
                return wrong_shape(p, "NUL_IN_TEXT", "Text contains a NUL character", "Remove it");
        if (f->choices && !mv__choice_has(f->choices, text))
                return refuse_choice(p, f, text);
        const char *why = mv__check_text(f->check, text);
        if (!why)
                return true;
        mv__show(shown, sizeof shown, text);
        mv_fmt(message, sizeof message, "'%s' is not valid here: %s", shown, why);
        report(p, MV_SEVERE_ERROR, f->code, message, mv__check_hint(f->check));
        return false;
}

static bool bind_text(const struct place *p, const struct mv_field *f, struct mv_item *item)
{
        if (p->at->kind != MV_STRING && p->at->kind != MV_KEYWORD)
                return wrong_shape(p, "EXPECTED_STRING", "Expected string or keyword", NULL);
        if (!check_text(p, f, p->at->text))
                return false;
        item->text = p->at->text;
        return true;
}

static bool bind_bool(const struct place *p, const struct mv_field *f, struct mv_item *item)
{
        (void)f;
        if (p->at->kind != MV_BOOL)
                return wrong_shape(p, "EXPECTED_BOOLEAN", "Expected boolean",
                                   "Write true or false");
        item->boolean = p->at->boolean;
        return true;
}

static bool bind_integer(const struct place *p, const struct mv_field *f, struct mv_item *item)
{
        char message[120];
        if (p->at->kind != MV_INT)
                return wrong_shape(p, "EXPECTED_INTEGER", "Expected integer", NULL);
        int64_t v = p->at->integer;
        if (f->max == 0 && (v < 0 || v > UINT32_MAX))
                return wrong_shape(p, "INTEGER_OUT_OF_RANGE", "Integer out of range for u32", NULL);
        if (f->max && (v < f->min || v > f->max)) {
                mv_fmt(message, sizeof message, "%s must be between %lld and %lld, got %lld",
                       f->name, (long long)f->min, (long long)f->max, (long long)v);
                report(p, MV_SEVERE_ERROR, f->code, message, NULL);
                return false;
        }
        item->integer = v;
        return true;
}

static bool bind_number(const struct place *p, const struct mv_field *f, struct mv_item *item)
{
        double v = p->at->kind == MV_INT     ? (double)p->at->integer
                   : p->at->kind == MV_FLOAT ? p->at->real
                                             : NAN;
        if (p->at->kind != MV_INT && p->at->kind != MV_FLOAT)
                return wrong_shape(p, "EXPECTED_NUMBER", "Expected number", NULL);
        if (!isfinite(v))
                return wrong_shape(p, "NUMBER_NOT_FINITE", "Number is not finite", NULL);
        if (f->not_negative && v < 0) {
                report(p, MV_SEVERE_ERROR, f->code, "Number must not be negative", "Use 0 or more");
                return false;
        }
        item->real = v;
        return true;
}

static bool bind_duration(const struct place *p, const struct mv_field *f, struct mv_item *item)
{
        int64_t ms = 0;
        bool ok = false;
        (void)f;
        if (p->at->kind == MV_INT && p->at->integer > 0 &&
            p->at->integer <= MV_DURATION_SECONDS_MAX) {
                ms = p->at->integer * 1000;
                ok = true;
        } else if (p->at->kind == MV_FLOAT && p->at->real * 1000 >= 1 &&
                   p->at->real <= MV_DURATION_SECONDS_MAX) {
                ms = (int64_t)(p->at->real * 1000 + 0.5);
                ok = true;
        } else if (p->at->kind == MV_STRING) {
                ok = mv__duration_ms(p->at->text, &ms);
        }
        if (!ok)
                return wrong_shape(
                        p, "INVALID_DURATION", "Expected a duration above zero",
                        "Write \"500ms\", \"30s\", \"5m\", \"1h\", or a number of seconds");
        item->integer = ms;
        return true;
}

static bool bind_texts(const struct place *p, const struct mv_field *f, struct mv_item *item)
{
        const struct mv_form *v = p->at;
        if (v->kind != MV_VECTOR)
                return wrong_shape(p, "EXPECTED_STRINGS", "Expected vector of strings",
                                   "Write [\"a\" \"b\"]");
        struct mv_item *texts = mv_new(p->b->arena, struct mv_item, v->count + 1);
        if (!texts) {
                p->b->diagnostics->failed = true;
                return false;
        }
        bool ok = true;
        for (uint32_t i = 0; i < v->count; i++) {
                struct path inner = { p->path, { NULL, 0 }, i };
                struct place at = { p->b, &inner, &v->items[i] };
                if (at.at->kind != MV_STRING && at.at->kind != MV_KEYWORD)
                        return wrong_shape(&at, "EXPECTED_STRINGS", "Expected vector of strings",
                                           NULL);
                ok = check_text(&at, f, at.at->text) && ok;
                texts[i] = (struct mv_item){ .given = true,
                                             .line = at.at->line,
                                             .column = at.at->column,
                                             .text = at.at->text };
        }
        item->texts = texts;
        item->count = v->count;
        return ok;
}

#define ANY_DEPTH_MAX 32 /* every syntax can write it */

/* The key of pair i, in a map that is kept as it is: there is nobody who could let the last one count. */
static bool check_any_key(const struct place *p, const struct mv_form *map, uint32_t i)
{
        const struct mv_form *key = &map->items[i];
        struct place at = { p->b, p->path, key };
        char message[160], shown[80];
        if (key->kind != MV_KEYWORD && key->kind != MV_STRING)
                return wrong_shape(&at, "EXPECTED_KEYWORD_KEY", "Expected keyword or string as key",
                                   NULL);
        if (i >= 2 * KEYS_MAX)
                return wrong_shape(&at, "TOO_MANY_ENTRIES", "Too many entries: at most 4096", NULL);
        for (uint32_t k = 0; k < i; k += 2)
                if (mv__same_name(map->items[k].text, key->text)) {
                        mv__show(shown, sizeof shown, key->text);
                        mv_fmt(message, sizeof message, "Duplicate key '%s'", shown);
                        return wrong_shape(&at, "DUPLICATE_KEY", message, "Remove one of the two");
                }
        return true;
}

/* Kept as it is, but only what every syntax can say. */
static bool check_any(const struct place *p, const struct mv_form *v, uint32_t depth)
{
        struct place at = { p->b, p->path, v };
        if (depth > ANY_DEPTH_MAX)
                return wrong_shape(&at, "TOO_DEEP", "Nested too deeply", NULL);
        if (v->kind == MV_NIL || (v->kind == MV_FLOAT && !isfinite(v->real)))
                return wrong_shape(&at, "EXPECTED_VALUE", "Expected a value",
                                   "Leave the key out instead");
        if (v->kind != MV_VECTOR && v->kind != MV_LIST && v->kind != MV_MAP)
                return true;
        for (uint32_t i = 0; i < v->count; i++) {
                bool is_key = v->kind == MV_MAP && i % 2 == 0;
                if (is_key ? !check_any_key(p, v, i) : !check_any(p, &v->items[i], depth + 1))
                        return false;
        }
        return true;
}

static bool bind_any(const struct place *p, const struct mv_field *f, struct mv_item *item)
{
        (void)f;
        if (!check_any(p, p->at, 0))
                return false;
        item->any = p->at;
        return true;
}

static void bind_item(const struct place *p, const struct mv_field *f, struct mv_item *item)
{
        static bool (*const binders[])(const struct place *, const struct mv_field *,
                                       struct mv_item *) = {
                [MV_F_TEXT] = bind_text,         [MV_F_BOOL] = bind_bool,
                [MV_F_INTEGER] = bind_integer,   [MV_F_NUMBER] = bind_number,
                [MV_F_DURATION] = bind_duration, [MV_F_TEXTS] = bind_texts,
                [MV_F_ANY] = bind_any,
        };
        binders[f->type](p, f, item);
        item->given = f->type != MV_F_ANY ||
                      item->any; /* refused ones too: no rule may call them absent */
        item->line = p->at->line;
        item->column = p->at->column;
}

/* --- sections --------------------------------------------------------------------------------- */
static void bind_pairs(const struct place *p, const struct mv_section *s,
                       const struct mv_form *pairs, uint32_t count, void *section);

static void take_place(struct mv_head *head, const struct mv_form *at)
{
        head->given = true;
        head->line = at->line;
        head->column = at->column;
}

static void expected_map(const struct place *p, const struct mv_section *s)
{
        char message[120];
        mv_fmt(message, sizeof message, "Expected map for %s config", s->what);
        wrong_shape(p, "EXPECTED_MAP", message, NULL);
}

static void bind_shorthand(const struct place *p, const struct mv_section *s, void *section)
{
        char message[300], suggestion[100], near[64], shown[80];
        if (s->shorthand(p->at->text, section))
                return;
        mv__show(shown, sizeof shown, p->at->text);
        mv_fmt(message, sizeof message, "unknown %s '%s' (expected %s)", s->shorthand_what, shown,
               s->shorthand_choices);
        mv__nearest(p->at->text, s->shorthand_choices, near, sizeof near);
        mv_fmt(suggestion, sizeof suggestion, "Did you mean '%s'?", near);
        report(p, MV_SEVERE_ERROR, s->shorthand_code, message, near[0] ? suggestion : NULL);
}

static void bind_section(const struct place *p, const struct mv_section *s, void *section)
{
        take_place(section, p->at);
        if (s->shorthand && (p->at->kind == MV_STRING || p->at->kind == MV_KEYWORD))
                bind_shorthand(p, s, section);
        else if (p->at->kind != MV_MAP)
                expected_map(p, s);
        else
                bind_pairs(p, s, p->at->items, p->at->count, section);
}

static void *make_sections(const struct place *p, const struct mv_section *s, uint32_t count,
                           struct mv_sections *ret)
{
        take_place(&ret->at, p->at);
        ret->items = mv_arena_alloc(p->b->arena, s->size, alignof(max_align_t), (size_t)count + 1);
        ret->count = ret->items ? count : 0;
        p->b->diagnostics->failed |= !ret->items;
        for (uint32_t i = 0; i < ret->count; i++)
                mv__defaults(s, (char *)ret->items + i * s->size);
        return ret->items;
}

static void severity_of_key(const struct place *p, const char *code, const char *message,
                            const char *suggestion)
{
        report(p, p->b->strict ? MV_SEVERE_ERROR : MV_SEVERE_WARNING, code, message, suggestion);
}

static void report_duplicate(const struct place *p, struct mv_slice key)
{
        char message[160], shown[80];
        mv__show(shown, sizeof shown, key);
        mv_fmt(message, sizeof message, "Duplicate key '%s': the last one counts", shown);
        severity_of_key(p, "DUPLICATE_KEY", message, "Remove one of the two");
}

static void bind_named(const struct place *p, const struct mv_section *s, struct mv_sections *ret)
{
        char message[120];
        if (p->at->kind != MV_MAP) {
                mv_fmt(message, sizeof message, "Expected map for %s config",
                       s->what[0] == 'm' ? "mounts" : "policies");
                wrong_shape(p, "EXPECTED_MAP", message, NULL);
                return;
        }
        if (p->at->count / 2 > NAMED_MAX) {
                wrong_shape(p, "TOO_MANY_ENTRIES", "Too many entries: at most 4096", NULL);
                return;
        }
        char *items = make_sections(p, s, p->at->count / 2, ret);
        uint32_t used = 0;
        for (uint32_t i = 0; items && i + 1 < p->at->count; i += 2) {
                const struct mv_form *key = &p->at->items[i], *value = key + 1;
                struct path inner = { p->path, key->text, -1 };
                struct place at_key = { p->b, p->path, key }, at = { p->b, &inner, value };
                if (key->kind != MV_KEYWORD && key->kind != MV_STRING) {
                        wrong_shape(&at_key, "EXPECTED_KEYWORD_KEY",
                                    "Expected keyword or string as key", NULL);
                        continue;
                }
                const char *why = mv__check_text(MV_CHECK_ID, key->text);
                if (why) {
                        mv_fmt(message, sizeof message, "Not a name: %s", why);
                        wrong_shape(&at_key, "INVALID_NAME", message, NULL);
                        continue;
                }
                uint32_t same = 0;
                while (same < used &&
                       !mv_slice_eq(((struct mv_head *)(items + same * s->size))->name, key->text))
                        same++;
                at_key.path = &inner;
                if (same < used)
                        report_duplicate(&at_key, key->text);
                char *section = items + same * s->size;
                memset(section, 0, s->size);
                mv__defaults(s, section);
                ((struct mv_head *)section)->name = key->text;
                bind_section(&at, s, section);
                used += same == used;
        }
        ret->count = used;
}

static void bind_listed(const struct place *p, const struct mv_section *s, struct mv_sections *ret)
{
        if (p->at->kind != MV_VECTOR) {
                wrong_shape(p, "EXPECTED_SECTIONS", "Expected vector of maps",
                            "Write [{...} {...}]");
                return;
        }
        char *items = make_sections(p, s, p->at->count, ret);
        for (uint32_t i = 0; i < ret->count; i++) {
                struct path inner = { p->path, { NULL, 0 }, i };
                struct place at = { p->b, &inner, &p->at->items[i] };
                bind_section(&at, s, items + i * s->size);
        }
}

static void bind_field(const struct place *p, const struct mv_field *f, void *section)
{
        void *member = (char *)section + f->offset;
        if (f->type == MV_F_SECTION)
                bind_section(p, f->section, member);
        else if (f->type == MV_F_NAMED)
                bind_named(p, f->section, member);
        else if (f->type == MV_F_LISTED)
                bind_listed(p, f->section, member);
        else
                bind_item(p, f, member);
}

static void unknown_key(const struct place *p, const struct mv_section *s, struct mv_slice key)
{
        char message[160], suggestion[100], near[64], shown[80];
        mv__show(shown, sizeof shown, key);
        mv_fmt(message, sizeof message, "Unknown key '%s'", shown);
        mv__nearest_field(key, s, near, sizeof near);
        if (near[0])
                mv_fmt(suggestion, sizeof suggestion, "Did you mean '%s'?", near);
        else
                mv_fmt(suggestion, sizeof suggestion,
                       "Remove it; `man 5 agent.config` lists the keys");
        severity_of_key(p, "UNKNOWN_KEY", message, suggestion);
}

static bool key_text(const struct place *p, const struct mv_form *key)
{
        if (key->kind == MV_KEYWORD || (key->kind == MV_STRING && p->b->string_keys))
                return true;
        struct place at = { p->b, p->path, key };
        return wrong_shape(&at, "EXPECTED_KEYWORD_KEY", "Expected keyword as config key",
                           "Write :key before its value");
}

/* A field is seen twice when an earlier key of the same section names it too: sections are
 * small. */
static bool seen_before(const struct mv_form *pairs, uint32_t i, const char *name)
{
        for (uint32_t k = 0; k < i; k += 2)
                if ((pairs[k].kind == MV_KEYWORD || pairs[k].kind == MV_STRING) &&
                    mv__name_is(pairs[k].text, name))
                        return true;
        return false;
}

static const struct mv_field *field_of(const struct mv_section *s, struct mv_slice key)
{
        for (uint32_t i = 0; i < s->count; i++)
                if (mv__name_is(key, s->fields[i].name))
                        return &s->fields[i];
        return NULL;
}

static void bind_pairs(const struct place *p, const struct mv_section *s,
                       const struct mv_form *pairs, uint32_t count, void *section)
{
        for (uint32_t i = 0; i + 1 < count; i += 2) {
                const struct mv_form *key = &pairs[i];
                if (i >= 2 * KEYS_MAX) {
                        struct place at = { p->b, p->path, key };
                        wrong_shape(&at, "TOO_MANY_ENTRIES", "Too many entries: at most 4096",
                                    NULL);
                        return;
                }
                if (!key_text(p, key))
                        continue;
                const struct mv_field *f = field_of(s, key->text);
                char name[64];
                struct path inner = { p->path, f ? underscored(f->name, name) : key->text, -1 };
                struct place at_key = { p->b, &inner, key }, at = { p->b, &inner, key + 1 };
                if (!f)
                        unknown_key(&at_key, s, key->text);
                else if (seen_before(pairs, i, f->name))
                        report_duplicate(&at_key, key->text);
                if (f)
                        bind_field(&at, f, section);
        }
}

void mv__bind(struct mv_binding *b, const struct mv_section *schema, const struct mv_form *at,
              const struct mv_form *pairs, uint32_t count, void *section)
{
        struct place p = { b, NULL, at };
        take_place(section, at);
        bind_pairs(&p, schema, pairs, count, section);
}

/* --- defaults --------------------------------------------------------------------------------- */
static void default_item(const struct mv_field *f, struct mv_item *item)
{
        struct mv_slice text = mv_slice_str(f->fallback);
        if (!f->fallback)
                return;
        if (f->type == MV_F_TEXT)
                item->text = text;
        else if (f->type == MV_F_BOOL)
                item->boolean = mv_slice_eq_str(text, "true");
        else if (f->type == MV_F_INTEGER)
                (void)mv_parse_int(text, &item->integer);
        else if (f->type == MV_F_NUMBER)
                (void)mv_parse_float(text, &item->real);
        else if (f->type == MV_F_DURATION)
                (void)mv__duration_ms(text, &item->integer);
}

void mv__defaults(const struct mv_section *schema, void *section)
{
        for (uint32_t i = 0; i < schema->count; i++) {
                const struct mv_field *f = &schema->fields[i];
                if (f->type == MV_F_SECTION)
                        mv__defaults(f->section, (char *)section + f->offset);
                else if (f->type != MV_F_NAMED && f->type != MV_F_LISTED)
                        default_item(f, MV_ITEM(section, f->offset));
        }
}
