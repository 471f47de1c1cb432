/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_RTFS_LIBRARY_H
#define MV_RTFS_LIBRARY_H
/* What the files of the standard library (natives_*.c, types.c) share, and the helpers they lend to
 * the machine. */
#include <base/fmt.h>
#include <rtfs/vm.h>

#define TRY(expression)                                                                            \
        do {                                                                                       \
                enum native_status status_ = (expression);                                         \
                if (status_ != N_OK)                                                               \
                        return status_;                                                            \
        } while (0)

static inline enum native_status give(val *ret, val v)
{
        if (nomem(v))
                return N_NOMEM;
        *ret = v;
        return N_OK;
}
static inline enum native_status push(struct mv_rtfs *r, val builder, val item)
{
        return vec_push(r, builder, item) ? N_OK : N_NOMEM;
}

/* --- sequences (sequence.c) ------------------------------------------------------------------- */
/* Items of a vector or list, without allocating; holds pointers, so it must not outlive the
 * builtin. */
struct sequence {
        val v;
        uint32_t at, count;
        const val *run; /* vector: items left in the current leaf */
        uint32_t run_left;
        const struct cons *cell; /* list */
};
static inline bool is_sequence(val v)
{
        return v.tag == T_VECTOR || v.tag == T_LIST;
}
struct sequence sequence(val v); /* is_sequence(v) */
bool sequence_next(struct sequence *s, val *ret);
uint32_t sequence_count(val v);
/* Append every item to a builder. */
enum native_status push_all(struct mv_rtfs *r, val builder, val v);

/* --- collections (natives_coll.c, natives_seq.c): builtins that are instructions as well ------ */
enum native_status coll_nth(struct mv_rtfs *r, val coll, val index, val *ret);
enum native_status coll_count(struct mv_rtfs *r, val coll, val *ret);
enum native_status coll_get(struct mv_rtfs *r, val coll, val key, val absent, val *ret);
#define PUT_FUEL 12 /* what assoc takes for one entry */
/* (assoc coll key value) on args, and coll is gone (map_put_owned). */
enum native_status coll_put(struct mv_rtfs *r, const val args[3], val owner, val *ret);
enum native_status coll_push(struct mv_rtfs *r, val builder, val item);

/* --- strings ---------------------------------------------------------------------------------- */
/* Code points [from, to) of a string; from <= to <= chars. */
val string_part(struct mv_rtfs *r, val s, uint32_t from, uint32_t to);
/* The code point at *at as a one-character string; *at (a byte offset) moves on. */
val string_char(struct mv_rtfs *r, val s, size_t *at);
/* Each code point as a one-character string, appended to a builder. */
enum native_status push_chars(struct mv_rtfs *r, val builder, val s);
/* Join strings (all items of `parts`, a vector of STRING). */
val string_concat(struct mv_rtfs *r, val parts, struct mv_slice separator);
bool string_contains(struct mv_slice haystack, struct mv_slice needle);
/* The text of a value as a string of its own: strings are themselves. */
enum native_status text_of(struct mv_rtfs *r, val v, val *ret);
/* The text that was written into scratch(), as a string. */
val string_from_scratch(struct mv_rtfs *r, const struct mv_out *o);
/* A copy of a string as C text, cut to the buffer. */
const char *c_text(char *buf, size_t cap, val string_or_name);

/* --- sorting (sort.c) ------------------------------------------------------------------------- */
/* Order `count` items by keys[i] (items and keys may be the same array), stable, by val_compare. */
enum native_status sort_by_keys(struct mv_rtfs *r, val *items, val *keys, uint32_t count);

/* --- errors ----------------------------------------------------------------------------------- */
enum native_status raise_deep(struct mv_rtfs *r); /* a value nested too deeply */
enum native_status raise_map_key(struct mv_rtfs *r, val key);
enum native_status raise_overflow(struct mv_rtfs *r, const char *op);
enum native_status raise_div_zero(struct mv_rtfs *r);

/* --- for the machine -------------------------------------------------------------------------- */
/* (throw v): an error value again, anything else as ApplicationError with type :user. */
enum native_status throw_value(struct mv_rtfs *r, val v);
/* A keyword in call position, on args[0..count) (spec 2.7, R-22). */
enum native_status keyword_lookup(struct mv_rtfs *r, val key, const val *args, uint32_t count,
                                  val *ret);

/* --- regular expressions on values (natives_string.c) ----------------------------------------- */
/* Search `text` anywhere, or match it whole. *ret_why: NULL, or why the pattern is no regular
 * expression. */
enum native_status regex_test(struct mv_rtfs *r, val pattern, struct mv_slice text, bool whole,
                              bool *ret, const char **ret_why);

#endif
