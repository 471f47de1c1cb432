/* SPDX-License-Identifier: Apache-2.0 */
/* Functions over whole sequences (spec 7.5), and the internals that library.c builds higher-order
 * functions from.
 *
 * Names that start with % are visible to the library's own source only: some of them change a
 * builder in place and would break the immutability of values in other hands. */
#include <rtfs/library.h>
#include <rtfs/number_ops.h>
#include <rtfs/reader.h>
#include <wire/text.h>

/* --- parts and order -------------------------------------------------------------------------- */
/* concat: vectors, lists and strings are spliced, nil is nothing, any other value is one item. */
static enum native_status push_spliced(struct mv_rtfs *r, val out, val v)
{
        if (v.tag == T_NIL)
                return N_OK;
        if (is_sequence(v)) {
                if (charge(r, sequence_count(v) / 4))
                        return N_FATAL;
                return push_all(r, out, v);
        }
        if (v.tag != T_STRING)
                return push(r, out, v);
        if (charge(r, as_string(v)->chars))
                return N_FATAL;
        return push_chars(r, out, v);
}

static enum native_status concat(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        val out = vec_builder(r);
        if (nomem(out))
                return N_NOMEM;
        if (charge(r, count))
                return N_FATAL;
        for (uint32_t i = 0; i < count; i++)
                TRY(push_spliced(r, out, args[i]));
        return give(ret, out);
}

/* Items [from, to) of a vector or list as a vector. */
static enum native_status part(struct mv_rtfs *r, val v, uint32_t from, uint32_t to, val *ret)
{
        if (v.tag == T_VECTOR && from == 0 && to == vec_count(v))
                return give(ret, v);
        if (charge(r, (v.tag == T_LIST ? to : to - from) / 4))
                return N_FATAL;
        if (v.tag == T_VECTOR)
                return give(ret, vec_slice(r, v, from, to));
        val out = vec_builder(r), item;
        if (nomem(out))
                return N_NOMEM;
        struct sequence s = sequence(v);
        for (uint32_t i = 0; i < to && sequence_next(&s, &item); i++)
                if (i >= from)
                        TRY(push(r, out, item));
        return give(ret, out);
}

static enum native_status subvec(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        if (!is_sequence(args[0]))
                return raise_type(r, "subvec", "vector", args[0]);
        if (args[1].tag != T_INT)
                return raise_type(r, "subvec start index", "integer", args[1]);
        if (count > 2 && args[2].tag != T_INT)
                return raise_type(r, "subvec end index", "integer", args[2]);
        int64_t n = sequence_count(args[0]), from = args[1].i, to = count > 2 ? args[2].i : n;
        if (from < 0 || to < from || to > n)
                return raise_index(r, from, (uint64_t)n);
        return part(r, args[0], (uint32_t)from, (uint32_t)to, ret);
}

/* [0, n) or [n, end) of a sequence or string, with n clamped to its length. */
static enum native_status take_or_drop(struct mv_rtfs *r, bool take, val n, val coll, val *ret)
{
        if (n.tag != T_INT)
                return raise_type(r, take ? "take count" : "drop count", "integer", n);
        if (!is_sequence(coll) && coll.tag != T_STRING)
                return raise_type(r, take ? "take" : "drop", "vector or string", coll);
        uint32_t all = coll.tag == T_STRING ? as_string(coll)->chars : sequence_count(coll);
        uint32_t at = n.i <= 0 ? 0 : n.i >= all ? all : (uint32_t)n.i;
        uint32_t from = take ? 0 : at, to = take ? at : all;
        if (coll.tag != T_STRING)
                return part(r, coll, from, to, ret);
        val text = string_part(r, coll, from, to);
        if (nomem(text))
                return N_NOMEM;
        return charge(r, as_string(text)->len / 16) ? N_FATAL : give(ret, text);
}

static enum native_status take(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        return take_or_drop(r, true, args[0], args[1], ret);
}

static enum native_status drop(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        return take_or_drop(r, false, args[0], args[1], ret);
}

/* A sequence as an array in work memory. */
static enum native_status items_of(struct mv_rtfs *r, val v, val **ret)
{
        uint32_t i = 0;
        struct sequence s = sequence(v);
        val *items = work_memory_raw(r, s.count * sizeof *items);
        if (!items)
                return N_NOMEM;
        while (sequence_next(&s, &items[i]))
                i++;
        *ret = items;
        return N_OK;
}

static enum native_status reverse_string(struct mv_rtfs *r, val v, val *ret)
{
        struct mv_slice s = string_slice(v);
        uint8_t *text;
        val out = string_alloc(r, s.len, &text);
        if (nomem(out))
                return N_NOMEM;
        for (size_t at = 0; at < s.len;) {
                size_t from = at;
                mv_utf8_next(s, &at);
                memcpy(text + s.len - at, s.p + from, at - from);
        }
        return give(ret, string_seal(out));
}

static enum native_status reverse(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        val v = args[0], *items;
        if (v.tag == T_STRING) {
                if (charge(r, as_string(v)->len / 4))
                        return N_FATAL;
                return reverse_string(r, v, ret);
        }
        if (!is_sequence(v))
                return raise_type(r, "reverse", "vector or string", v);
        uint32_t n = sequence_count(v);
        if (charge(r, n / 2))
                return N_FATAL;
        TRY(items_of(r, v, &items));
        for (uint32_t i = 0; i < n / 2; i++) {
                val swap = items[i];
                items[i] = items[n - 1 - i];
                items[n - 1 - i] = swap;
        }
        return give(ret, vec_new(r, items, n));
}

/* --- distinct --------------------------------------------------------------------------------- */
struct seen {
        val keys;   /* map builder: strings, keywords and integers */
        val others; /* vector builder: everything else is looked for one by one */
};

static enum native_status seen_other(struct mv_rtfs *r, struct seen *s, val v, bool *ret)
{
        struct sequence q = sequence(s->others);
        val item;
        if (charge(r, q.count))
                return N_FATAL;
        *ret = false;
        while (!*ret && sequence_next(&q, &item))
                TRY(val_equal(r, item, v, ret));
        return *ret ? N_OK : push(r, s->others, v);
}

static enum native_status seen_before(struct mv_rtfs *r, struct seen *s, val v, bool *ret)
{
        val known;
        if (!map_key_ok(v))
                return seen_other(r, s, v, ret);
        *ret = map_get(s->keys, v, &known);
        return *ret || map_add(r, s->keys, v, NIL) ? N_OK : N_NOMEM;
}

static enum native_status push_distinct(struct mv_rtfs *r, val out, val v)
{
        struct seen s = { map_builder(r), vec_builder(r) };
        struct sequence q = sequence(v);
        val item;
        bool seen;
        if (nomem(s.keys) || nomem(s.others))
                return N_NOMEM;
        if (charge(r, 2 * (uint64_t)q.count))
                return N_FATAL;
        while (sequence_next(&q, &item)) {
                TRY(seen_before(r, &s, item, &seen));
                if (!seen)
                        TRY(push(r, out, item));
        }
        return N_OK;
}

static enum native_status distinct(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        val v = args[0], out = vec_builder(r), chars = v;
        if (!is_sequence(v) && v.tag != T_STRING)
                return raise_type(r, "distinct", "vector or string", v);
        if (nomem(out))
                return N_NOMEM;
        if (v.tag == T_STRING) {
                chars = vec_builder(r);
                if (nomem(chars))
                        return N_NOMEM;
                TRY(push_chars(r, chars, v));
        }
        TRY(push_distinct(r, out, chars));
        return give(ret, v.tag == T_STRING ? string_concat(r, out, mv_slice("", 0)) : out);
}

/* --- grouping --------------------------------------------------------------------------------- */
/* A key that stands for any value: what cannot be a key is its text. */
static enum native_status group_key(struct mv_rtfs *r, val v, val *ret)
{
        return map_key_ok(v) ? give(ret, v) : text_of(r, v, ret);
}

static enum native_status frequencies(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        val v = NIL, out = map_builder(r), item;
        TRY(seq_vector(r, args[0], &v));
        if (v.tag == T_NIL)
                return raise_type(r, "frequencies", "vector, list, or string", args[0]);
        if (nomem(out))
                return N_NOMEM;
        struct sequence s = sequence(v);
        if (charge(r, 4 * (uint64_t)s.count))
                return N_FATAL;
        while (sequence_next(&s, &item)) {
                val n = INT(0);
                TRY(group_key(r, item, &item));
                map_get(out, item, &n);
                if (!map_add(r, out, item, INT(n.i + 1)))
                        return N_NOMEM;
        }
        return give(ret, out);
}

/* Pieces of n items; the short tail is kept. */
static enum native_status partition(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        val size = args[0], coll = args[1], v;
        if (size.tag != T_INT || size.i <= 0)
                return raise_type(r, "partition size", "positive integer", size);
        if (!is_sequence(coll))
                return raise_type(r, "partition collection", "vector or list", coll);
        uint32_t all = sequence_count(coll), n = size.i > all ? all : (uint32_t)size.i;
        TRY(part(r, coll, 0, all, &v));
        val out = vec_builder(r), piece;
        if (nomem(out))
                return N_NOMEM;
        for (uint32_t at = 0; at < all; at += n) {
                if (n > all - at)
                        n = all - at;
                TRY(part(r, v, at, at + n, &piece));
                TRY(push(r, out, piece));
        }
        if (charge(r, vec_count(out)))
                return N_FATAL;
        return give(ret, out);
}

/* --- sort ------------------------------------------------------------------------------------- */
static enum native_status sort_string(struct mv_rtfs *r, val v, val *ret)
{
        val chars = vec_builder(r), *items;
        if (nomem(chars))
                return N_NOMEM;
        TRY(push_chars(r, chars, v));
        uint32_t n = vec_count(chars);
        TRY(items_of(r, chars, &items));
        TRY(sort_by_keys(r, items, items, n));
        chars = vec_new(r, items, n);
        if (nomem(chars))
                return N_NOMEM;
        return give(ret, string_concat(r, chars, mv_slice("", 0)));
}

/* (sort coll); the form with a comparator is in library.c and comes here without one. */
static enum native_status sort(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        val v = args[0], *items;
        if (v.tag == T_STRING)
                return sort_string(r, v, ret);
        if (!is_sequence(v))
                return raise_type(r, "sort", "vector or string", v);
        if (!heap_has_room(r, 3 * sizeof(val) *
                                      (size_t)sequence_count(v))) /* items, work memory, result */
                return N_NOMEM;
        TRY(items_of(r, v, &items));
        TRY(sort_by_keys(r, items, items, sequence_count(v)));
        return give(ret, vec_new(r, items, sequence_count(v)));
}

static enum native_status misused(struct mv_rtfs *r);

/* (%sort-by keys items): two vectors of one length. */
static enum native_status sort_by(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        val *keys, *items;
        if (!is_sequence(args[0]) || !is_sequence(args[1]) ||
            sequence_count(args[0]) != sequence_count(args[1]))
                return misused(r);
        uint32_t n = sequence_count(args[1]);
        TRY(items_of(r, args[0], &keys));
        TRY(items_of(r, args[1], &items));
        TRY(sort_by_keys(r, items, keys, n));
        return give(ret, vec_new(r, items, n));
}

/* (%before? x): what a comparator said about (cmp right left). */
static enum native_status before(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        val v = args[0];
        if (v.tag == T_INT)
                return give(ret, BOOL(v.i < 0));
        if (v.tag != T_TRUE && v.tag != T_FALSE && v.tag != T_NIL)
                return raise_type(r, "sort comparator result", "boolean or integer", v);
        return give(ret, BOOL(v.tag == T_TRUE));
}

/* --- numbers in a row ------------------------------------------------------------------------- */
/* first, first + by, ... : count items. */
static enum native_status arithmetic(struct mv_rtfs *r, int64_t first, int64_t by, uint64_t count,
                                     val *ret)
{
        if (charge(r, count))
                return N_FATAL;
        if (count > r->arena_bytes / sizeof(val)) /* do not fill the heap to find out */
                return raise_memory(r, "a sequence of numbers");
        val out = heap_has_room(r, count * sizeof(val)) ? vec_builder(r) : NOMEM_VAL;
        if (nomem(out))
                return N_NOMEM;
        /* unsigned: the value behind the last one may overflow */
        for (uint64_t i = 0; i < count; i++)
                TRY(push(r, out, INT((int64_t)((uint64_t)first + i * (uint64_t)by))));
        return give(ret, out);
}

/* How many numbers lie in [from, to) in steps of `by`, either way. */
static uint64_t steps_between(int64_t from, int64_t to, int64_t by)
{
        if (by > 0 ? from >= to : from <= to)
                return 0;
        uint64_t distance = by > 0 ? (uint64_t)to - (uint64_t)from : (uint64_t)from - (uint64_t)to;
        uint64_t step = by > 0 ? (uint64_t)by : -(uint64_t)by;
        return (distance - 1) / step + 1;
}

static enum native_status range(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        for (uint32_t i = 0; i < count; i++)
                if (args[i].tag != T_INT)
                        return raise_type(r, "range", "Integer", args[i]);
        int64_t from = count > 1 ? args[0].i : 0, to = args[count > 1].i,
                by = count > 2 ? args[2].i : 1;
        if (by == 0)
                return raise_fmt(r, E_INVALID_ARGUMENT, "range step must not be zero");
        return arithmetic(r, from, by, steps_between(from, to, by), ret);
}

/* Both ends included. */
static enum native_status numbers(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        int64_t ends[2];
        for (uint32_t i = 0; i < 2; i++) {
                if (!is_number(args[i]))
                        return raise_type(r, "numbers", "number", args[i]);
                ends[i] = args[i].tag == T_INT ? args[i].i : num_truncate(args[i].f);
        }
        if (ends[0] > ends[1])
                return give(ret, vec_empty(r));
        uint64_t distance = (uint64_t)ends[1] - (uint64_t)ends[0];
        return arithmetic(r, ends[0], 1, distance == UINT64_MAX ? distance : distance + 1, ret);
}

/* --- internals -------------------------------------------------------------------------------- */
/* Builtins check the types of their arguments here as well: bytecode may call them with
 * anything. */
static bool is_int_in(val v, int64_t least, int64_t most)
{
        return v.tag == T_INT && v.i >= least && v.i <= most;
}

static enum native_status misused(struct mv_rtfs *r)
{
        return raise_fmt(r, E_INTERNAL, "internal function on a value it is not made for");
}

static enum native_status items_vector(struct mv_rtfs *r, val coll, val *ret)
{
        TRY(seq_vector(r, coll, ret));
        if (ret->tag == T_VECTOR && coll.tag != T_VECTOR && charge(r, vec_count(*ret)))
                return N_FATAL;
        return N_OK;
}

/* (%items operation expected strings? coll): a vector of the items of a vector, list, map or
 * string, else TypeError. */
static enum native_status items(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        char op[64], expected[64];
        val v = NIL;
        if (args[0].tag != T_STRING || args[1].tag != T_STRING)
                return misused(r);
        if (args[3].tag != T_STRING || truthy(args[2]))
                TRY(items_vector(r, args[3], &v));
        if (v.tag == T_NIL)
                return raise_type(r, c_text(op, sizeof op, args[0]),
                                  c_text(expected, sizeof expected, args[1]), args[3]);
        return give(ret, v);
}

static enum native_status reduce_items(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        val v = NIL;
        TRY(items_vector(r, args[0], &v));
        if (v.tag == T_NIL)
                return raise_fmt(
                        r, E_GENERIC,
                        "reduce expects a vector, string, or list as its last argument, got %s",
                        type_name(args[0]));
        return give(ret, v);
}

/* (%function operation expected f items): TypeError unless f can be called or there is nothing to
 * call it on. */
static enum native_status function(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        char op[64], expected[64];
        uint32_t tag = args[2].tag;
        if (args[0].tag != T_STRING || args[1].tag != T_STRING || !is_sequence(args[3]))
                return misused(r);
        if (tag == T_NATIVE || tag == T_CLOSURE || tag == T_KEYWORD || sequence_count(args[3]) == 0)
                return give(ret, NIL);
        return raise_type(r, c_text(op, sizeof op, args[0]),
                          c_text(expected, sizeof expected, args[1]), args[2]);
}

/* (%like coll v): the items of vector v as what coll was: a list, a string of their texts, or the
 * vector itself. */
static enum native_status like(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        val v = args[1], texts, item, *items;
        if (!is_sequence(v))
                return misused(r);
        if (args[0].tag != T_LIST && args[0].tag != T_STRING)
                return give(ret, v);
        uint32_t n = sequence_count(v);
        if (charge(r, n / 4))
                return N_FATAL;
        if (args[0].tag == T_LIST) {
                TRY(items_of(r, v, &items));
                return give(ret, list_new(r, items, n));
        }
        texts = vec_builder(r);
        if (nomem(texts))
                return N_NOMEM;
        struct sequence s = sequence(v);
        while (sequence_next(&s, &item)) {
                TRY(text_of(r, item, &item));
                TRY(push(r, texts, item));
        }
        return give(ret, string_concat(r, texts, mv_slice("", 0)));
}

static enum native_status builder(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        return give(ret, vec_builder(r));
}

enum native_status coll_push(struct mv_rtfs *r, val builder, val item)
{
        if (builder.tag != T_VECTOR || (const uint8_t *)builder.o < r->heap.image_top)
                return misused(r); /* never change what a reset keeps */
        return push(r, builder, item);
}

static enum native_status push_(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        TRY(coll_push(r, args[0], args[1]));
        return give(ret, args[0]);
}

static enum native_status group_key_(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        return group_key(r, args[0], ret);
}

/* (%look-up keyword x): what the keyword gives on a map or error; nil on anything else, as
 * group-by wants it. */
static enum native_status look_up(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        if (args[0].tag != T_KEYWORD || (args[1].tag != T_MAP && args[1].tag != T_ERROR))
                return give(ret, NIL);
        return keyword_lookup(r, args[0], args + 1, 1, ret);
}

static bool is_function(val v)
{
        return v.tag == T_CLOSURE || v.tag == T_NATIVE || v.tag == T_KEYWORD;
}

/* (%update-value coll key): the value that `update` replaces. */
static enum native_status update_value(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        val coll = args[0], key = args[1], old = NIL;
        if (coll.tag == T_MAP) {
                if (!map_key_ok(key))
                        return raise_type(r, "update", "string, keyword or integer", key);
                map_get(coll, key, &old);
                return give(ret, old);
        }
        if (coll.tag == T_LIST)
                TRY(items_vector(r, coll, &coll));
        if (coll.tag != T_VECTOR)
                return raise_type(r, "update", "map or vector", coll);
        if (key.tag != T_INT)
                return raise_type(r, "update", "integer index for vector", key);
        if (key.i < 0 || key.i >= vec_count(coll))
                return raise_index(r, key.i, vec_count(coll));
        return give(ret, vec_at(coll, (uint32_t)key.i));
}

/* (%update-function f): a function or keyword itself, or the global function that a string
 * names. */
static enum native_status update_function(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        char text[128];
        if (is_function(args[0]))
                return give(ret, args[0]);
        if (args[0].tag != T_STRING)
                return raise_type(r, "update", "function", args[0]);
        struct name *n = name_intern(r, string_slice(args[0]));
        if (!n)
                return N_NOMEM;
        bool hidden = n->len && n->text[0] == '%';
        val v = n->global >= 0 && !hidden ? r->globals[n->global] : NIL;
        if (v.tag != T_CLOSURE && v.tag != T_NATIVE)
                return raise_fmt(r, E_GENERIC, "function '%s' not found",
                                 c_text(text, sizeof text, args[0]));
        return give(ret, v);
}

/* (%arity function expected count) */
static enum native_status fail_arity(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        char name[64], expected[64];
        if (args[0].tag != T_STRING || args[1].tag != T_STRING ||
            !is_int_in(args[2], 0, UINT32_MAX))
                return misused(r);
        return raise_arity(r, c_text(name, sizeof name, args[0]),
                           c_text(expected, sizeof expected, args[1]), (uint32_t)args[2].i);
}

static enum native_status fail_generic(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        char text[300];
        if (args[0].tag != T_STRING)
                return misused(r);
        return raise_fmt(r, E_GENERIC, "%s", c_text(text, sizeof text, args[0]));
}

const struct native natives_seq[] = {
        { "concat", 0, -1, concat, "Vectors, lists and characters of strings in one vector.",
          "(concat [1] \"ab\" nil [2])", "[1 \"a\" \"b\" 2]", "value*",
          "vector; what is no sequence is one item, nil is none", "none" },
        { "subvec", 2, 3, subvec, "Items from start to before end.", "(subvec [1 2 3 4] 1 3)",
          "[2 3]", "coll start end?", "vector",
          "TypeError: no vector or list, or not integers; IndexOutOfBounds: a range outside of "
          "it" },
        { "take", 2, 2, take, "The first n items or characters.", "(take 2 [1 2 3])", "[1 2]",
          "n coll", "vector, or string of a string",
          "TypeError: n is no integer, or coll no vector, list or string" },
        { "drop", 2, 2, drop, "Everything behind the first n.", "(drop 2 \"xyz\")", "\"z\"",
          "n coll", "vector, or string of a string",
          "TypeError: n is no integer, or coll no vector, list or string" },
        { "reverse", 1, 1, reverse, "From the end to the start.", "(reverse [1 2 3])", "[3 2 1]",
          "coll", "vector, or string of a string", "TypeError: no vector, list or string" },
        { "distinct", 1, 1, distinct, "First occurrences only.", "(distinct \"mississippi\")",
          "\"misp\"", "coll", "vector, or string of a string",
          "TypeError: no vector, list or string" },
        { "frequencies", 1, 1, frequencies, "How often each item occurs.",
          "(frequencies [:a :b :a])", "{:a 2 :b 1}", "coll",
          "map from item to integer; an item that cannot be a key stands there as its text",
          "TypeError: no vector, list, map or string" },
        { "partition", 2, 2, partition, "Vectors of n items; the last may be shorter.",
          "(partition 2 [1 2 3])", "[[1 2] [3]]", "n coll", "vector of vectors",
          "TypeError: n is no positive integer, or coll no vector or list" },
        { "%sort", 1, 1, sort, NULL, NULL, NULL },
        { "range", 1, 3, range, "Integers from start to before end, in steps.", "(range 0 10 3)",
          "[0 3 6 9]", "start? end step?", "vector of integers",
          "TypeError: not integers; InvalidArgument: a step of 0" },
        { "numbers", 2, 2, numbers, "Integers from a to b, both included.", "(numbers 1 4)",
          "[1 2 3 4]", "first last", "vector of integers; floats are truncated",
          "TypeError: not numbers" },
        { "%builder", 0, 0, builder, NULL, NULL, NULL },
        { "%push!", 2, 2, push_, NULL, NULL, NULL },
        { "%items", 4, 4, items, NULL, NULL, NULL },
        { "%reduce-items", 1, 1, reduce_items, NULL, NULL, NULL },
        { "%function", 4, 4, function, NULL, NULL, NULL },
        { "%like", 2, 2, like, NULL, NULL, NULL },
        { "%group-key", 1, 1, group_key_, NULL, NULL, NULL },
        { "%look-up", 2, 2, look_up, NULL, NULL, NULL },
        { "%sort-by", 2, 2, sort_by, NULL, NULL, NULL },
        { "%before?", 1, 1, before, NULL, NULL, NULL },
        { "%update-value", 2, 2, update_value, NULL, NULL, NULL },
        { "%update-function", 1, 1, update_function, NULL, NULL, NULL },
        { "%arity", 3, 3, fail_arity, NULL, NULL, NULL },
        { "%fail-generic", 1, 1, fail_generic, NULL, NULL, NULL },
        { "%apply", -1, -1, NULL, NULL, NULL, NULL }, /* the machine's own, like apply */
        { 0 },
};
