/* SPDX-License-Identifier: Apache-2.0 */
/* Type expressions as data: what they may look like (spec 4.2, 4.3) and how messages print them. */
#include <rtfs/library.h>
#include <rtfs/type_names.h>
#include <rtfs/types.h>

#define FORM_DEPTH_MAX 200 /* each level costs under 300 bytes of C stack */

static bool is_name(val v)
{
        return v.tag == T_KEYWORD || v.tag == T_SYMBOL;
}

static bool is_question_mark(val v)
{
        return v.tag == T_SYMBOL && mv_slice_eq_str(name_slice(v), "?");
}

static bool is_optional_list(val form)
{
        return form.tag == T_LIST && as_cons(form)->count == 2 &&
               is_question_mark(as_cons(form)->head);
}

/* --- names and heads -------------------------------------------------------------------------- */
static const struct head {
        const char *name;
        enum type_head head;
        int16_t items_min, items_max; /* behind the head; -1: any */
} heads[] = {
        /* grep HEAD-ORDER */
        { "vector", H_VECTOR, 1, 1 },
        { "tuple", H_TUPLE, 1, -1 },
        { "map", H_MAP, 0, -1 },
        { "record", H_MAP, 0, -1 },
        { "map-of", H_MAP_OF, 2, 2 },
        { "dict", H_MAP_OF, 2, 2 },
        { "fn", H_FN, 2, 2 },
        { "=>", H_FN, 2, 2 },
        { "enum", H_ENUM, 1, -1 },
        { "val", H_VAL, 1, 1 },
        { "union", H_UNION, 1, -1 },
        { "and", H_AND, 1, -1 },
        { "array", H_ARRAY, 1, 2 },
        { "resource", H_RESOURCE, 1, 1 },
        { ">", H_GREATER, 1, 1 },
        { "<", H_LESS, 1, 1 },
        { ">=", H_GREATER_EQUAL, 1, 1 },
        { "<=", H_LESS_EQUAL, 1, 1 },
        { "=", H_EQUAL, 1, 1 },
        { "!=", H_NOT_EQUAL, 1, 1 },
        { "in-range", H_IN_RANGE, 2, 2 },
        { "min-length", H_MIN_LENGTH, 1, 1 },
        { "max-length", H_MAX_LENGTH, 1, 1 },
        { "length", H_LENGTH, 1, 1 },
        { "matches-regex", H_MATCHES_REGEX, 1, 1 },
        { "is-url", H_IS_URL, 0, 0 },
        { "is-email", H_IS_EMAIL, 0, 0 },
        { "min-count", H_MIN_COUNT, 1, 1 },
        { "max-count", H_MAX_COUNT, 1, 1 },
        { "count", H_COUNT, 1, 1 },
        { "non-empty", H_NON_EMPTY, 0, 0 },
        { "has-key", H_HAS_KEY, 1, 1 },
        { "required-keys", H_REQUIRED_KEYS, 1, 1 },
};

static const struct head *head_row(val form)
{
        if (form.tag != T_VECTOR || vec_count(form) == 0 || vec_at(form, 0).tag != T_KEYWORD)
                return NULL;
        struct mv_slice name = name_slice(vec_at(form, 0));
        for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
                if (mv_slice_eq_str(name, heads[i].name))
                        return &heads[i];
        return NULL;
}

enum type_head type_head_of(val form)
{
        const struct head *h = head_row(form);
        return h ? h->head : H_NONE;
}

static const struct {
        const char *name;
        enum type_name_id id;
} names[] = {
        /* the first name of an id is the one that is printed */
        { "int", N_INT },         { "Int", N_INT },       { "integer", N_INT },
        { "Integer", N_INT },     { "float", N_FLOAT },   { "Float", N_FLOAT },
        { "number", N_NUMBER },   { "Number", N_NUMBER }, { "string", N_STRING },
        { "String", N_STRING },   { "str", N_STRING },    { "bool", N_BOOL },
        { "Bool", N_BOOL },       { "boolean", N_BOOL },  { "Boolean", N_BOOL },
        { "nil", N_NIL },         { "Nil", N_NIL },       { "keyword", N_KEYWORD },
        { "Keyword", N_KEYWORD }, { "symbol", N_SYMBOL }, { "Symbol", N_SYMBOL },
        { "any", N_ANY },         { "Any", N_ANY },       { "never", N_NEVER },
        { "Never", N_NEVER },     { "map", N_MAP },       { "vector", N_VECTOR },
        { "list", N_LIST },       { "fn", N_FN },         { "function", N_FN },
};

enum type_name_id type_name_find(struct mv_slice name)
{
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
                if (mv_slice_eq_str(name, names[i].name))
                        return names[i].id;
        return N_UNKNOWN;
}

bool type_is_optional(val form)
{
        if (is_optional_list(form))
                return true;
        return is_name(form) && name_slice(form).len > 1 &&
               name_slice(form).p[name_slice(form).len - 1] == '?';
}

val type_optional_inner(val list_form)
{
        return as_cons(list_form)->tail->head;
}

/* --- items and entries ------------------------------------------------------------------------ */
bool type_item_next(val form, uint32_t *at, struct type_item *ret)
{
        if (*at >= vec_count(form))
                return false;
        ret->type = vec_at(form, (*at)++);
        ret->optional = *at < vec_count(form) && is_question_mark(vec_at(form, *at));
        *at += ret->optional;
        return true;
}

uint32_t type_item_count(val form)
{
        struct type_item item;
        uint32_t n = 0;
        for (uint32_t at = 1; type_item_next(form, &at, &item);)
                n++;
        return n;
}

void type_entries(struct type_entries *it, val map_type)
{
        *it = (struct type_entries){ .form = map_type, .at = 1, .group = NIL };
}

static bool group_next(struct type_entries *it, struct type_entry *ret)
{
        if (it->group.tag == T_MAP)
                return map_next(&it->it, &ret->key, &ret->type);
        if (it->group.tag != T_MAPFORM || it->group_at + 1 >= vec_count(it->group))
                return false;
        ret->key = vec_at(it->group, it->group_at);
        ret->type = vec_at(it->group, it->group_at + 1);
        it->group_at += 2;
        return true;
}

static void group_open(struct type_entries *it, val group)
{
        it->group = group;
        it->group_at = 0;
        if (group.tag == T_MAP)
                map_iter(&it->it, group);
}

static bool is_wildcard(val entry)
{
        return vec_at(entry, 0).tag == T_KEYWORD &&
               mv_slice_eq_str(name_slice(vec_at(entry, 0)), "*");
}

bool type_entries_next(struct type_entries *it, struct type_entry *ret)
{
        for (;;) {
                if (group_next(it, ret)) {
                        ret->may_be_absent = type_is_optional(ret->type);
                        return true;
                }
                it->group = NIL;
                if (it->at >= vec_count(it->form))
                        return false;
                val e = vec_at(it->form, it->at++);
                if (e.tag != T_VECTOR) {
                        group_open(it, e);
                } else if (!is_wildcard(e)) {
                        ret->key = vec_at(e, 0);
                        ret->type = vec_at(e, 1);
                        ret->may_be_absent = vec_count(e) > 2 || type_is_optional(ret->type);
                        return true;
                }
        }
}

/* --- printing --------------------------------------------------------------------------------- */
static bool print_type(struct mv_out *o, val form, uint32_t depth);

static bool print_name(struct mv_out *o, val form)
{
        struct mv_slice text = name_slice(form);
        if (text.len > 1 && text.p[text.len - 1] == '?')
                text.len--;
        enum type_name_id id = type_name_find(text);
        for (size_t i = 0; id != N_UNKNOWN; i++)
                if (names[i].id == id)
                        return mv_put_u8(o, ':') && mv_put_str(o, names[i].name);
        return mv_put_slice(o, text);
}

/* Entry by entry, with the mark of what may be absent. */
static bool print_entries(struct mv_out *o, val form, uint32_t depth)
{
        struct type_entries it;
        struct type_entry e;
        type_entries(&it, form);
        while (type_entries_next(&it, &e)) {
                bool ok = mv_put_str(o, " [") && print_display(o, e.key, NULL) &&
                          mv_put_u8(o, ' ') && print_type(o, e.type, depth) &&
                          mv_put_str(o, e.may_be_absent ? " ?]" : "]");
                if (!ok)
                        return false;
        }
        return true;
}

/* [P... & R] of a function type. */
static bool print_params(struct mv_out *o, val params, uint32_t depth)
{
        bool ok = mv_put_u8(o, '[');
        for (uint32_t i = 0; ok && i < vec_count(params); i++)
                ok = (i == 0 || mv_put_u8(o, ' ')) && print_type(o, vec_at(params, i), depth);
        return ok && mv_put_u8(o, ']');
}

static bool print_items(struct mv_out *o, enum type_head head, val form, uint32_t depth)
{
        bool literals = head == H_ENUM || head == H_VAL;
        for (uint32_t i = 1; i < vec_count(form); i++) {
                val item = vec_at(form, i);
                if (is_question_mark(item))
                        continue;
                if (!mv_put_u8(o, ' '))
                        return false;
                bool ok = literals ? print_display(o, item, NULL)
                          : head == H_FN && i == 1 && item.tag == T_VECTOR
                                  ? print_params(o, item, depth)
                          : head == H_ARRAY && i > 1 ? print_display(o, item, NULL)
                                                     : print_type(o, item, depth);
                if (!ok)
                        return false;
        }
        return true;
}

/* A predicate prints without brackets when it stands alone: "min-length 2". */
static bool print_predicate(struct mv_out *o, val form, uint32_t depth)
{
        bool ok =
                (depth == 0 || mv_put_str(o, "[:")) && mv_put_slice(o, name_slice(vec_at(form, 0)));
        for (uint32_t i = 1; ok && i < vec_count(form); i++)
                ok = mv_put_u8(o, ' ') && print_display(o, vec_at(form, i), NULL);
        return ok && (depth == 0 || mv_put_u8(o, ']'));
}

static bool print_bracketed(struct mv_out *o, val form, uint32_t depth)
{
        static const char *const printed[] = {
                [H_VECTOR] = "vector",
                [H_TUPLE] = "tuple",
                [H_MAP] = "map",
                [H_MAP_OF] = "map-of",
                [H_FN] = "fn",
                [H_ENUM] = "enum",
                [H_VAL] = "val",
                [H_UNION] = "union",
                [H_AND] = "and",
                [H_ARRAY] = "array",
                [H_RESOURCE] = "resource",
        };
        enum type_head head = type_head_of(form);
        if (!type_head_is_type(head))
                return head == H_NONE ? print_display(o, form, NULL)
                                      : print_predicate(o, form, depth);
        return mv_put_str(o, "[:") && mv_put_str(o, printed[head]) &&
               (head == H_MAP ? print_entries(o, form, depth + 1)
                              : print_items(o, head, form, depth + 1)) &&
               mv_put_u8(o, ']');
}

static bool print_type(struct mv_out *o, val form, uint32_t depth)
{
        if (depth > FORM_DEPTH_MAX)
                return false;
        if (is_name(form))
                return print_name(o, form);
        if (form.tag == T_NIL)
                return mv_put_str(o, ":nil");
        if (is_optional_list(form))
                return print_type(o, type_optional_inner(form), depth + 1);
        return form.tag == T_VECTOR ? print_bracketed(o, form, depth)
                                    : print_display(o, form, NULL);
}

bool type_print(struct mv_out *o, val form)
{
        return print_type(o, form, 0);
}

/* --- validating ------------------------------------------------------------------------------- */
static const char *form_problem(val form, uint32_t depth);

static const char *key_problem(val key)
{
        return key.tag == T_KEYWORD || key.tag == T_STRING || key.tag == T_INT
                       ? NULL
                       : "map type keys are keywords, strings or integers";
}

static const char *entry_problem(val entry, uint32_t depth)
{
        uint32_t n = vec_count(entry);
        if (n < 2 || n > 3 || (n == 3 && !is_question_mark(vec_at(entry, 2))))
                return "map type entries are [:key type] or [:key type ?]";
        const char *why = key_problem(vec_at(entry, 0));
        return why ? why : form_problem(vec_at(entry, 1), depth);
}

static const char *group_problem(val group, uint32_t depth)
{
        struct type_entries it = { .form = group, .group = NIL };
        struct type_entry e;
        const char *why = NULL;
        group_open(&it, group);
        while (!why && group_next(&it, &e)) {
                why = key_problem(e.key);
                why = why ? why : form_problem(e.type, depth);
        }
        return why;
}

static const char *map_problem(val form, uint32_t depth)
{
        const char *why = NULL;
        for (uint32_t i = 1; !why && i < vec_count(form); i++) {
                val e = vec_at(form, i);
                if (e.tag == T_VECTOR)
                        why = entry_problem(e, depth);
                else if (e.tag == T_MAP || e.tag == T_MAPFORM)
                        why = group_problem(e, depth);
                else
                        why = "map type entries are [:key type] or {:key type}";
        }
        return why;
}

static const char *items_problem(val form, uint32_t depth)
{
        struct type_item item;
        const char *why = NULL;
        for (uint32_t at = 1; !why && type_item_next(form, &at, &item);)
                why = form_problem(item.type, depth);
        return why;
}

static const char *fn_problem(val form, uint32_t depth)
{
        val params = vec_at(form, 1);
        const char *why =
                params.tag == T_VECTOR ? NULL : "function types are [:fn [parameter types] result]";
        for (uint32_t i = 0; !why && i < vec_count(params); i++) {
                val p = vec_at(params, i);
                bool mark = p.tag == T_SYMBOL &&
                            (is_question_mark(p) || mv_slice_eq_str(name_slice(p), "&"));
                why = mark ? NULL : form_problem(p, depth);
        }
        return why ? why : form_problem(vec_at(form, 2), depth);
}

static const char *array_problem(val form, uint32_t depth)
{
        uint32_t at = 1;
        struct type_item item;
        type_item_next(form, &at, &item);
        if (at < vec_count(form) && vec_at(form, at).tag != T_VECTOR)
                return "array types are [:array type] or [:array type [size]]";
        return form_problem(item.type, depth);
}

static bool has_integer(val form)
{
        return vec_at(form, 1).tag == T_INT;
}

static const char *predicate_problem(enum type_head head, val form)
{
        switch (head) {
        case H_MIN_LENGTH:
        case H_MAX_LENGTH:
        case H_LENGTH:
        case H_MIN_COUNT:
        case H_MAX_COUNT:
        case H_COUNT:
                return has_integer(form) ? NULL : "the predicate takes an integer";
        case H_MATCHES_REGEX:
                return vec_at(form, 1).tag == T_STRING ? NULL
                                                       : "the predicate takes a pattern string";
        case H_HAS_KEY:
                return vec_at(form, 1).tag == T_KEYWORD ? NULL : "the predicate takes a keyword";
        case H_REQUIRED_KEYS: {
                val keys = vec_at(form, 1);
                if (keys.tag != T_VECTOR)
                        return "the predicate takes a vector of keywords";
                for (uint32_t i = 0; i < vec_count(keys); i++)
                        if (vec_at(keys, i).tag != T_KEYWORD)
                                return "the predicate takes a vector of keywords";
                return NULL;
        }
        default:
                return NULL;
        }
}

static const char *count_problem(const struct head *h, val form)
{
        int64_t n = h->head == H_MAP || h->head == H_ENUM || h->head == H_VAL
                            ? (int64_t)vec_count(form) - 1
                            : type_item_count(form);
        return n < h->items_min || (h->items_max >= 0 && n > h->items_max)
                       ? "wrong number of items in a type"
                       : NULL;
}

/* An item of [:and ...]: a type or a predicate; an unknown predicate is an error of the check, not
 * of the form. */
static const char *and_problem(val form, uint32_t depth)
{
        struct type_item item;
        const char *why = NULL;
        for (uint32_t at = 1; !why && type_item_next(form, &at, &item);) {
                const struct head *h = head_row(item.type);
                bool named = item.type.tag == T_VECTOR && vec_count(item.type) &&
                             vec_at(item.type, 0).tag == T_KEYWORD;
                if (h && !type_head_is_type(h->head)) {
                        why = count_problem(h, item.type);
                        why = why ? why : predicate_problem(h->head, item.type);
                } else if (h || !named) {
                        why = form_problem(item.type, depth);
                }
        }
        return why;
}

static const char *vector_problem(val form, uint32_t depth)
{
        const struct head *h = head_row(form);
        if (!h || !type_head_is_type(h->head))
                return "unknown type constructor";
        const char *why = count_problem(h, form);
        if (why)
                return why;
        switch (h->head) {
        case H_MAP:
                return map_problem(form, depth);
        case H_FN:
                return fn_problem(form, depth);
        case H_ARRAY:
                return array_problem(form, depth);
        case H_AND:
                return and_problem(form, depth);
        case H_ENUM:
        case H_VAL:
                return NULL;
        case H_RESOURCE:
                return is_name(vec_at(form, 1)) ? NULL : "resource types are [:resource Name]";
        default:
                return items_problem(form, depth);
        }
}

static const char *form_problem(val form, uint32_t depth)
{
        if (depth > FORM_DEPTH_MAX)
                return "types are nested too deeply";
        if (is_name(form) || form.tag == T_NIL)
                return NULL;
        if (is_optional_list(form))
                return form_problem(type_optional_inner(form), depth + 1);
        return form.tag == T_VECTOR ? vector_problem(form, depth + 1)
                                    : "a type is a name or a bracketed type";
}

enum native_status type_form_check(struct mv_rtfs *r, val form)
{
        const char *why = form_problem(form, 0);
        return why ? raise_fmt(r, E_PARSE, "%s", why) : N_OK;
}

bool type_form_looks_like_type(val form)
{
        return is_name(form) || is_optional_list(form) || type_head_is_type(type_head_of(form));
}
