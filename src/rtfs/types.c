/* SPDX-License-Identifier: Apache-2.0 */
/* Checking values against type expressions (spec 4.2 to 4.4).
 *
 * (1) A type is data; nothing is compiled. A check allocates only to build an error or to look up a
 * string key. (2) Every type node visited costs fuel, and nesting stops at TYPE_DEPTH_MAX: aliases
 * may be recursive. (3) The first violation is reported, from left to right and from outside in;
 * PATH says where. (4) A form may come from bytecode: everything below relies on type_form_check,
 * which runs once per value checked. */
#include <base/limits.h>
#include <rtfs/library.h>
#include <rtfs/number_ops.h>
#include <rtfs/type_names.h>
#include <rtfs/types.h>

#define TYPE_DEPTH_MAX 200 /* about 400 bytes of C stack each */

struct path { /* one step from the value that is checked to a part of it */
        const struct path *up;
        enum { P_INDEX, P_ENTRY, P_KEY } kind;
        uint32_t index;
        val key;
};
struct checker {
        struct mv_rtfs *r;
        int variadic; /* -1: not a rest argument */
        uint32_t depth;
};

static enum native_status check(struct checker *c, val type, val v, const struct path *path);

/* --- messages --------------------------------------------------------------------------------- */
static bool put_path(struct mv_out *o, const struct path *p)
{
        if (!p)
                return true;
        if (!put_path(o, p->up))
                return false;
        char index[16];
        switch (p->kind) {
        case P_INDEX:
                mv_fmt(index, sizeof index, "[%u]", p->index);
                return mv_put_str(o, index);
        case P_ENTRY:
                return mv_put_u8(o, '.') &&
                       mv_put_slice(o, p->key.tag == T_STRING ? string_slice(p->key)
                                                              : name_slice(p->key));
        case P_KEY:
                return mv_put_u8(o, '[') && print_display(o, p->key, NULL) && mv_put_u8(o, ']');
        }
        return false;
}

/* A message of texts, values, types and the path: `%p` path, `%t` type, `%v` display form of a
 * value, `%n` its type name,
 * `%k` name of a keyword or symbol, `%s` text, `%u` number. */
struct part {
        val v;
        const char *text;
        uint32_t number;
};

static bool put_part(struct mv_out *o, char what, const struct part *part, const struct path *path)
{
        char number[16];
        switch (what) {
        case 'p':
                return put_path(o, path);
        case 't':
                return type_print(o, part->v);
        case 'v':
                return print_display(o, part->v, NULL);
        case 'n':
                return mv_put_str(o, type_name(part->v));
        case 'k':
                return mv_put_slice(o, part->v.tag == T_STRING ? string_slice(part->v)
                                                               : name_slice(part->v));
        case 's':
                return mv_put_str(o, part->text);
        case 'u':
                mv_fmt(number, sizeof number, "%u", part->number);
                return mv_put_str(o, number);
        default:
                return false;
        }
}

#define PREFIX "Type validation error: "
static bool compose(struct mv_out *o, const struct checker *c, const char *format,
                    const struct part *parts, const struct path *path)
{
        struct part index = { .number = (uint32_t)c->variadic };
        if (!mv_put_str(o, PREFIX))
                return false;
        if (c->variadic >= 0 && !(mv_put_str(o, "variadic argument ") &&
                                  put_part(o, 'u', &index, path) && mv_put_str(o, ": ")))
                return false;
        for (; *format; format++) {
                if (*format != '%') {
                        if (!mv_put_u8(o, (uint8_t)*format))
                                return false;
                        continue;
                }
                if (!put_part(o, *++format, parts, path))
                        return false;
                parts += *format != 'p';
        }
        return true;
}

#define MESSAGE_MAX 65536u /* a longer one says so instead of quoting the value */

/* Write the message into memory of growing size, then raise it. */
static enum native_status violation(struct checker *c, const struct path *path, const char *format,
                                    const struct part *parts)
{
        for (size_t cap = 512; cap <= MESSAGE_MAX; cap *= 4) {
                uint8_t *mem = work_memory(c->r, cap);
                if (!mem)
                        return N_NOMEM;
                struct mv_out o = mv_out(mem, cap);
                if (!compose(&o, c, format, parts, path))
                        continue;
                val e = error_new(c->r, E_TYPE_VALIDATION, mv_out_slice(&o), NIL);
                return nomem(e) ? N_NOMEM : raise_value(c->r, e);
        }
        return raise_fmt(c->r, E_TYPE_VALIDATION,
                         "the value does not match its type; it is too long to show");
}

static enum native_status mismatch(struct checker *c, const struct path *path, val type, val v)
{
        struct part parts[] = { { .v = type }, { .v = v } };
        return violation(c, path, "Type mismatch at %p: expected %t, got %n", parts);
}

static enum native_status predicate_failed(struct checker *c, const struct path *path,
                                           val predicate, val v)
{
        struct part parts[] = { { .v = predicate }, { .v = v } };
        return violation(c, path, "Predicate violation at %p: %t failed for value %v", parts);
}

/* The value has not the type a predicate is about: `why` names the predicate's demand. */
static enum native_status predicate_type(struct checker *c, const struct path *path,
                                         const char *why, val v)
{
        struct part parts[] = { { .text = why }, { .v = v } };
        return violation(c, path, "Predicate violation at %p: %s failed for value %n", parts);
}

/* --- predicates ------------------------------------------------------------------------------- */
static enum native_status check_order(struct checker *c, enum type_head head, val p, val v,
                                      const struct path *path)
{
        enum num_order o;
        val limit = vec_at(p, 1);
        if (!is_number(v) || !is_number(limit))
                return predicate_type(c, path, "type mismatch for comparison", v);
        o = num_order(v, limit);
        bool ok = (o == NUM_EQUAL && (head == H_GREATER_EQUAL || head == H_LESS_EQUAL)) ||
                  o == (head == H_GREATER || head == H_GREATER_EQUAL ? NUM_GREATER : NUM_LESS);
        return ok ? N_OK : predicate_failed(c, path, p, v);
}

static enum native_status check_in_range(struct checker *c, val p, val v, const struct path *path)
{
        val lo = vec_at(p, 1), hi = vec_at(p, 2);
        if (!is_number(v) || !is_number(lo) || !is_number(hi))
                return predicate_type(c, path, "type mismatch for comparison", v);
        enum num_order from = num_order(v, lo), to = num_order(v, hi);
        bool ok = (from == NUM_GREATER || from == NUM_EQUAL) && (to == NUM_LESS || to == NUM_EQUAL);
        return ok ? N_OK : predicate_failed(c, path, p, v);
}

static enum native_status check_equal(struct checker *c, enum type_head head, val p, val v,
                                      const struct path *path)
{
        bool same;
        TRY(val_equal(c->r, vec_at(p, 1), v, &same));
        return same == (head == H_EQUAL) ? N_OK : predicate_failed(c, path, p, v);
}

/* min-, max- and exact length or count; `what` is the noun of the message. */
static enum native_status check_size(struct checker *c, val p, const char *what, int64_t size,
                                     const struct path *path)
{
        enum type_head head = type_head_of(p);
        int64_t wanted = vec_at(p, 1).i;
        bool min = head == H_MIN_LENGTH || head == H_MIN_COUNT,
             max = head == H_MAX_LENGTH || head == H_MAX_COUNT;
        if (min ? size >= wanted : max ? size <= wanted : size == wanted)
                return N_OK;
        struct part parts[] = { { .v = p }, { .text = what }, { .v = INT(size) } };
        return violation(c, path, "Predicate violation at %p: %t failed for value %s %v", parts);
}

static enum native_status requires(struct checker *c, val p, const char *what, val v,
                                   const struct path *path) {
        struct part parts[] = { { .v = vec_at(p, 0) }, { .text = what }, { .v = v } };
        return violation(c, path, "Predicate violation at %p: %k requires %s failed for value %n",
                         parts);
}

static int64_t size_of(val v) /* -1: not a vector, list or map */
{
        return is_sequence(v)   ? (int64_t)sequence_count(v)
               : v.tag == T_MAP ? (int64_t)map_count(v)
                                : -1;
}

static enum native_status check_non_empty(struct checker *c, val p, val v, const struct path *path)
{
        int64_t n = v.tag == T_STRING ? as_string(v)->chars : size_of(v);
        if (n < 0)
        return requires(c, p, "collection or string", v, path);
        return n ? N_OK : predicate_failed(c, path, p, v);
}

static enum native_status check_keys(struct checker *c, val p, val v, const struct path *path)
{
        val keys = vec_at(p, 1), key, found;
        if (v.tag != T_MAP)
        return requires(c, p, "map", v, path);
        if (!is_sequence(keys))
                return map_get(v, keys, &found) ? N_OK : predicate_failed(c, path, p, v);
        struct sequence s = sequence(keys);
        while (sequence_next(&s, &key)) {
                if (map_get(v, key, &found))
                        continue;
                struct part parts[] = { { .v = key } };
                return violation(c, path, "Missing required key %v at %p", parts);
        }
        return N_OK;
}

/* One or more bytes of a set from *at on. */
static bool run_of(struct mv_slice s, size_t *at, const char *others, bool digits)
{
        size_t from = *at;
        for (; *at < s.len; ++*at) {
                uint8_t b = s.p[*at];
                bool letter = (b | 0x20) - (unsigned)'a' < 26u, digit = b - (unsigned)'0' < 10u;
                if (!letter && !(digits && digit) && !(b && strchr(others, b)))
                        break;
        }
        return *at > from;
}

/* local@domain.tld: the last dot of the domain splits off at least two letters. */
static bool is_email(struct mv_slice s)
{
        size_t at = 0, dot = s.len;
        if (!run_of(s, &at, "._%+-", true) || at >= s.len || s.p[at] != '@')
                return false;
        size_t domain = ++at;
        while (dot > domain && s.p[dot - 1] != '.')
                dot--;
        if (dot <= domain + 1) /* no dot, or nothing before it */
                return false;
        run_of(mv_slice(s.p, dot - 1), &at, ".-", true);
        size_t tld = dot;
        return at == dot - 1 && run_of(s, &tld, "", false) && tld == s.len && s.len - dot >= 2;
}

static enum native_status check_pattern(struct checker *c, val p, val v, const struct path *path)
{
        bool yes;
        const char *why;
        struct part pattern = { .v = vec_at(p, 1) };
        TRY(regex_test(c->r, vec_at(p, 1), string_slice(v), false, &yes, &why));
        if (why)
                return violation(c, path, "Invalid regex pattern: %k", &pattern);
        return yes ? N_OK : predicate_failed(c, path, p, v);
}

static enum native_status check_text(struct checker *c, enum type_head head, val p, val v,
                                     const struct path *path)
{
        if (v.tag != T_STRING)
        return requires(c, p, "string", v, path);
        struct mv_slice s = string_slice(v);
        switch (head) {
        case H_MATCHES_REGEX:
                return check_pattern(c, p, v, path);
        case H_IS_URL:
                return mv_slice_starts(s, "http://") || mv_slice_starts(s, "https://")
                               ? N_OK
                               : predicate_failed(c, path, p, v);
        case H_IS_EMAIL:
                return is_email(s) ? N_OK : predicate_failed(c, path, p, v);
        default:
                return check_size(c, p, "length", as_string(v)->chars, path);
        }
}

static enum native_status check_predicate(struct checker *c, enum type_head head, val p, val v,
                                          const struct path *path)
{
        if (charge(c->r, 1))
                return N_FATAL;
        switch (head) {
        case H_GREATER:
        case H_LESS:
        case H_GREATER_EQUAL:
        case H_LESS_EQUAL:
                return check_order(c, head, p, v, path);
        case H_EQUAL:
        case H_NOT_EQUAL:
                return check_equal(c, head, p, v, path);
        case H_IN_RANGE:
                return check_in_range(c, p, v, path);
        case H_MIN_LENGTH:
        case H_MAX_LENGTH:
        case H_LENGTH:
        case H_MATCHES_REGEX:
        case H_IS_URL:
        case H_IS_EMAIL:
                return check_text(c, head, p, v, path);
        case H_MIN_COUNT:
        case H_MAX_COUNT:
        case H_COUNT:
                if (size_of(v) < 0)
                return requires(c, p, "collection", v, path)
                ;
                return check_size(c, p, "count", size_of(v), path);
        case H_NON_EMPTY:
                return check_non_empty(c, p, v, path);
        case H_HAS_KEY:
        case H_REQUIRED_KEYS:
                return check_keys(c, p, v, path);
        default: {
                struct part name = { .v = vec_at(p, 0) };
                return violation(c, path, "Unknown predicate: %k", &name);
        }
        }
}

/* --- containers ------------------------------------------------------------------------------- */
static enum native_status check_optional(struct checker *c, val type, bool optional, val v,
                                         const struct path *path)
{
        return optional && v.tag == T_NIL ? N_OK : check(c, type, v, path);
}

/* The type's items[1], for every item of v. */
static enum native_status check_items(struct checker *c, val type, val v, const struct path *path)
{
        uint32_t at = 1;
        struct type_item item;
        struct path here = { .up = path, .kind = P_INDEX };
        if (!is_sequence(v))
                return mismatch(c, path, type, v);
        type_item_next(type, &at, &item);
        struct sequence s = sequence(v);
        val x;
        for (; sequence_next(&s, &x); here.index++)
                TRY(check_optional(c, item.type, item.optional, x, &here));
        return N_OK;
}

static enum native_status check_array(struct checker *c, val type, val v, const struct path *path)
{
        uint32_t at = 1;
        struct type_item item;
        TRY(check_items(c, type, v, path));
        type_item_next(type, &at, &item);
        val shape = at < vec_count(type) ? vec_at(type, at) : NIL;
        if (shape.tag != T_VECTOR || vec_count(shape) != 1 || vec_at(shape, 0).tag != T_INT)
                return N_OK; /* only one dimension is checked */
        if (vec_at(shape, 0).i == sequence_count(v))
                return N_OK;
        struct part parts[] = { { .v = shape }, { .number = sequence_count(v) } };
        return violation(c, path, "Shape violation at %p: expected %v, got [%u]", parts);
}

static enum native_status check_tuple(struct checker *c, val type, val v, const struct path *path)
{
        struct type_item item;
        struct path here = { .up = path, .kind = P_INDEX };
        if (!is_sequence(v))
                return mismatch(c, path, type, v);
        if (sequence_count(v) != type_item_count(type)) {
                struct part parts[] = { { .v = type }, { .number = sequence_count(v) } };
                return violation(c, path,
                                 "Type mismatch at %p: expected %t, got tuple of length %u", parts);
        }
        struct sequence s = sequence(v);
        val x;
        for (uint32_t at = 1; sequence_next(&s, &x) && type_item_next(type, &at, &item);
             here.index++)
                TRY(check_optional(c, item.type, item.optional, x, &here));
        return N_OK;
}

/* A key is found as it is, a keyword then as a string of the same spelling. */
static enum native_status find_entry(struct checker *c, val m, val key, val *ret, bool *ret_found)
{
        *ret_found = map_get(m, key, ret);
        if (*ret_found || key.tag != T_KEYWORD || map_count(m) == 0)
                return N_OK;
        val text = string_new(c->r, name_slice(key));
        if (nomem(text))
                return N_NOMEM;
        *ret_found = map_get(m, text, ret);
        return N_OK;
}

static enum native_status check_entry(struct checker *c, val m, const struct type_entry *e,
                                      const struct path *path)
{
        bool found;
        val v;
        struct path here = { .up = path,
                             .kind = e->key.tag == T_INT ? P_KEY : P_ENTRY,
                             .key = e->key };
        TRY(find_entry(c, m, e->key, &v, &found));
        if (found)
                return check(c, e->type, v, &here);
        if (e->may_be_absent)
                return N_OK;
        struct part parts[] = { { .v = e->key } };
        return violation(c, path, "Missing required key %v at %p", parts);
}

static enum native_status check_map(struct checker *c, val type, val v, const struct path *path)
{
        struct type_entries it;
        struct type_entry e;
        if (v.tag != T_MAP)
                return mismatch(c, path, type, v);
        type_entries(&it, type);
        while (type_entries_next(&it, &e))
                TRY(check_entry(c, v, &e, path));
        return N_OK;
}

/* Does v match, without an error? Only a violation counts as no. */
static enum native_status matches(struct checker *c, val type, bool optional, val v, bool *ret)
{
        enum native_status status = check_optional(c, type, optional, v, NULL);
        *ret = status == N_OK;
        if (status != N_ERROR || as_error(c->r->pending)->kind != E_TYPE_VALIDATION)
                return status;
        c->r->pending = NIL;
        return N_OK;
}

static enum native_status check_map_of(struct checker *c, val type, val v, const struct path *path)
{
        struct type_item key_type, value_type;
        struct map_iter it;
        struct path here = { .up = path, .kind = P_KEY };
        uint32_t at = 1;
        val value;
        bool ok;
        if (v.tag != T_MAP)
                return mismatch(c, path, type, v);
        type_item_next(type, &at, &key_type);
        type_item_next(type, &at, &value_type);
        map_iter(&it, v);
        while (map_next(&it, &here.key, &value)) {
                TRY(matches(c, key_type.type, false, here.key, &ok));
                if (!ok) {
                        struct part parts[] = { { .v = type }, { .v = here.key } };
                        return violation(c, path,
                                         "Type mismatch at %p: expected %t, got map key %v", parts);
                }
                TRY(check_optional(c, value_type.type, value_type.optional, value, &here));
        }
        return N_OK;
}

/* --- combinations ----------------------------------------------------------------------------- */
static enum native_status check_union(struct checker *c, val type, val v, const struct path *path)
{
        struct type_item item;
        for (uint32_t at = 1; type_item_next(type, &at, &item);) {
                bool ok;
                TRY(matches(c, item.type, item.optional, v, &ok));
                if (ok)
                        return N_OK;
        }
        return mismatch(c, path, type, v);
}

static enum native_status check_and(struct checker *c, val type, val v, const struct path *path)
{
        struct type_item item;
        for (uint32_t at = 1; type_item_next(type, &at, &item);) {
                enum type_head head = type_head_of(item.type);
                if (item.type.tag == T_VECTOR && !type_head_is_type(head))
                        TRY(check_predicate(c, head, item.type, v, path));
                else
                        TRY(check_optional(c, item.type, item.optional, v, path));
        }
        return N_OK;
}

static enum native_status check_literals(struct checker *c, val type, val v,
                                         const struct path *path)
{
        for (uint32_t i = 1; i < vec_count(type); i++) {
                bool same;
                TRY(val_equal(c->r, vec_at(type, i), v, &same));
                if (same)
                        return N_OK;
        }
        struct part parts[] = { { .v = type }, { .v = v } };
        return violation(c, path, "Type mismatch at %p: expected %t, got %v", parts);
}

/* --- names ------------------------------------------------------------------------------------ */
static bool is_of(enum type_name_id name, val v)
{
        switch (name) {
        case N_INT:
                return v.tag == T_INT;
        case N_FLOAT:
        case N_NUMBER:
                return is_number(v);
        case N_STRING:
                return v.tag == T_STRING;
        case N_BOOL:
                return v.tag == T_TRUE || v.tag == T_FALSE;
        case N_NIL:
                return v.tag == T_NIL;
        case N_KEYWORD:
                return v.tag == T_KEYWORD;
        case N_SYMBOL:
                return v.tag == T_SYMBOL;
        case N_ANY:
                return true;
        case N_MAP:
                return v.tag == T_MAP;
        case N_VECTOR:
                return is_sequence(v);
        case N_LIST:
                return v.tag == T_LIST;
        case N_FN:
                return v.tag == T_CLOSURE || v.tag == T_NATIVE;
        case N_NEVER:
        case N_UNKNOWN:
                break;
        }
        return false;
}

static enum native_status check_alias(struct checker *c, val key, val type, val v,
                                      const struct path *path)
{
        val form;
        if (map_get(c->r->aliases, key, &form))
                return check(c, form, v, path);
        return mismatch(c, path, type, v);
}

static enum native_status check_name(struct checker *c, val type, val v, const struct path *path)
{
        struct mv_slice text = name_slice(type);
        enum type_name_id name = type_name_find(text);
        if (name != N_UNKNOWN)
                return is_of(name, v) ? N_OK : mismatch(c, path, type, v);
        val key = OBJ(T_KEYWORD, type.o), form;
        bool optional = text.len > 1 && text.p[text.len - 1] == '?';
        /* an alias may be called `T?` itself */
        if (!optional || map_get(c->r->aliases, key, &form))
                return check_alias(c, key, type, v, path);
        if (v.tag == T_NIL)
                return N_OK;
        val inner = keyword_new(c->r, mv_slice(text.p, text.len - 1));
        if (nomem(inner))
                return N_NOMEM;
        inner.tag = type.tag;
        return check_name(c, inner, v, path);
}

static enum native_status check_vector(struct checker *c, val type, val v, const struct path *path)
{
        switch (type_head_of(type)) {
        case H_VECTOR:
                return check_items(c, type, v, path);
        case H_ARRAY:
                return check_array(c, type, v, path);
        case H_TUPLE:
                return check_tuple(c, type, v, path);
        case H_MAP:
                return check_map(c, type, v, path);
        case H_MAP_OF:
                return check_map_of(c, type, v, path);
        case H_FN:
                return is_of(N_FN, v) ? N_OK : mismatch(c, path, type, v);
        case H_ENUM:
        case H_VAL:
                return check_literals(c, type, v, path);
        case H_UNION:
                return check_union(c, type, v, path);
        case H_AND:
                return check_and(c, type, v, path);
        default:
                return mismatch(c, path, type, v); /* resource: nothing is one */
        }
}

static enum native_status check(struct checker *c, val type, val v, const struct path *path)
{
        if (c->depth >= TYPE_DEPTH_MAX)
                return raise_fmt(c->r, E_STACK, "types are nested deeper than %d levels",
                                 TYPE_DEPTH_MAX);
        if (charge(c->r, 1))
                return N_FATAL;
        enum native_status status;
        c->depth++;
        if (type.tag == T_KEYWORD || type.tag == T_SYMBOL)
                status = check_name(c, type, v, path);
        else if (type.tag == T_NIL) /* how the reader gives `nil` */
                status = v.tag == T_NIL ? N_OK : mismatch(c, path, type, v);
        else if (type.tag == T_VECTOR)
                status = check_vector(c, type, v, path);
        else /* (? T) */
                status = check_optional(c, type_optional_inner(type), true, v, path);
        c->depth--;
        return status;
}

enum native_status type_check(struct mv_rtfs *r, val type_form, val v, int variadic_index)
{
        struct checker c = { .r = r, .variadic = variadic_index };
        if (type_form.tag != T_KEYWORD && type_form.tag != T_SYMBOL) /* (4) */
                TRY(type_form_check(r, type_form));
        return check(&c, type_form, v, NULL);
}

enum native_status type_alias_define(struct mv_rtfs *r, val name, val form)
{
        TRY(type_form_check(r, form));
        val key = keyword_new(r, name.tag == T_STRING ? string_slice(name) : name_slice(name));
        if (nomem(key))
                return N_NOMEM;
        return give(&r->aliases, map_put(r, r->aliases, key, form));
}

/* --- for the compiler's forms ----------------------------------------------------------------- */
/* (%deftype "Name" form) */
static enum native_status deftype(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        if (args[0].tag != T_STRING)
                return raise_type(r, "deftype", "name", args[0]);
        TRY(type_alias_define(r, args[0], args[1]));
        return give(ret, NIL);
}

static enum native_status field_failed(struct mv_rtfs *r, const char *field, const struct error *e)
{
        char why[512];
        c_text(why, sizeof why, e->message);
        size_t skip = mv_slice_starts(mv_slice_str(why), PREFIX) ? strlen(PREFIX) : 0;
        return raise_fmt(r, E_TYPE_VALIDATION, "Field %s failed type validation: %s", field,
                         why + skip);
}

static enum native_status check_field(struct mv_rtfs *r, val key, val type, val m)
{
        char field[128];
        val v;
        if (key.tag != T_KEYWORD)
                return raise_fmt(r, E_INTERNAL, "a field is not a keyword");
        TRY(type_form_check(r, type));
        if (!map_get(m, key, &v)) {
                if (type_is_optional(type))
                        return N_OK;
                return raise_fmt(r, E_TYPE_VALIDATION, "Required field %s is missing",
                                 c_text(field, sizeof field, key));
        }
        struct checker c = { .r = r, .variadic = -1 };
        enum native_status status = check(&c, type, v, NULL);
        if (status != N_ERROR || as_error(r->pending)->kind != E_TYPE_VALIDATION)
                return status;
        return field_failed(r, c_text(field, sizeof field, key), as_error(r->pending));
}

/* (%struct-check "Name" [:field type ...] arguments): the map itself when it has the fields. */
static enum native_status struct_check(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        char name[128], text[160];
        val fields = args[1], m;
        if (args[0].tag != T_STRING || fields.tag != T_VECTOR || !is_sequence(args[2]))
                return raise_fmt(r, E_INTERNAL, "struct check on a value it is not made for");
        c_text(name, sizeof name, args[0]);
        if (sequence_count(args[2]) != 1) {
                mv_fmt(text, sizeof text, "%s.new", name);
                return raise_arity(r, text, "1", sequence_count(args[2]));
        }
        struct sequence s = sequence(args[2]);
        sequence_next(&s, &m);
        if (m.tag != T_MAP) {
                mv_fmt(text, sizeof text, "%s constructor", name);
                return raise_type(r, text, "map", m);
        }
        for (uint32_t i = 0; i + 1 < vec_count(fields); i += 2)
                TRY(check_field(r, vec_at(fields, i), vec_at(fields, i + 1), m));
        return give(ret, m);
}

const struct native natives_types[] = {
        { "%deftype", 2, 2, deftype, NULL, NULL, NULL },
        { "%struct-check", 3, 3, struct_check, NULL, NULL, NULL },
        { 0 },
};
