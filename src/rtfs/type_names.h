/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_RTFS_TYPE_NAMES_H
#define MV_RTFS_TYPE_NAMES_H
/* The shape of type expressions, between type_forms.c (reading, validating, printing them) and
 * types.c (checking values). */
#include <rtfs/vm.h>

/* Heads of bracketed types, then of predicates, which stand only inside [:and ...]. grep
 * HEAD-ORDER: type_forms.c */
enum type_head {
        H_NONE, /* not a known head */
        H_VECTOR,
        H_TUPLE,
        H_MAP,
        H_MAP_OF,
        H_FN,
        H_ENUM,
        H_VAL,
        H_UNION,
        H_AND,
        H_ARRAY,
        H_RESOURCE,
        H_LAST_TYPE_,
        H_GREATER,
        H_LESS,
        H_GREATER_EQUAL,
        H_LESS_EQUAL,
        H_EQUAL,
        H_NOT_EQUAL,
        H_IN_RANGE,
        H_MIN_LENGTH,
        H_MAX_LENGTH,
        H_LENGTH,
        H_MATCHES_REGEX,
        H_IS_URL,
        H_IS_EMAIL,
        H_MIN_COUNT,
        H_MAX_COUNT,
        H_COUNT,
        H_NON_EMPTY,
        H_HAS_KEY,
        H_REQUIRED_KEYS,
};
enum type_head type_head_of(val form); /* of a vector form; H_NONE for anything else */
static inline bool type_head_is_type(enum type_head h)
{
        return h > H_NONE && h < H_LAST_TYPE_;
}

enum type_name_id {
        N_UNKNOWN,
        N_INT,
        N_FLOAT,
        N_NUMBER,
        N_STRING,
        N_BOOL,
        N_NIL,
        N_KEYWORD,
        N_SYMBOL,
        N_ANY,
        N_NEVER,
        N_MAP,
        N_VECTOR,
        N_LIST,
        N_FN,
};
enum type_name_id type_name_find(struct mv_slice name); /* without a trailing `?` */

/* Is nil accepted because of a `?`? */
bool type_is_optional(val form);
val type_optional_inner(val list_form); /* (? T) */

/* Items of a bracketed type from index *at on: a type, and whether a symbol `?` follows it. */
struct type_item {
        val type;
        bool optional;
};
bool type_item_next(val form, uint32_t *at, struct type_item *ret);
uint32_t type_item_count(val form);

/* Entries of [:map ...]: [:k T], [:k T ?] or the braced group {:k T}. [:* T] is passed over. */
struct type_entry {
        val key, type;
        bool may_be_absent;
};
struct type_entries {
        val form;
        uint32_t at; /* in the form */
        val group;   /* braced group in progress: MAP or MAPFORM, else NIL */
        uint32_t group_at;
        struct map_iter it;
};
void type_entries(struct type_entries *it, val map_type);
bool type_entries_next(struct type_entries *it, struct type_entry *ret);

/* As messages show it: names resolved, optional marks left out. False: o overflowed or nesting is
 * too deep. */
bool type_print(struct mv_out *o, val form);

#endif
