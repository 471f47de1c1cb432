/* SPDX-License-Identifier: Apache-2.0 */
/* Collections: building, reading and changing vectors, lists and maps (spec 7.5).
 *
 * (1) Lists are taken wherever vectors are; the result is a vector, except for `rest` and
 * `conj`. (2) nil is refused except where a row of the specification names it. (3) Sequence
 * functions that rearrange whole sequences are in natives_seq.c. */
#include <rtfs/library.h>
#include <rtfs/number_ops.h>

/* --- building --------------------------------------------------------------------------------- */
static enum native_status vector(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        if (charge(r, count / 4))
                return N_FATAL;
        return give(ret, vec_new(r, args, count));
}

static enum native_status list(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        if (charge(r, count / 4))
                return N_FATAL;
        return give(ret, list_new(r, args, count));
}

static enum native_status hash_map(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        if (count % 2)
                return raise_arity(r, "map", "even number of arguments", count);
        for (uint32_t i = 0; i < count; i += 2)
                if (!map_key_ok(args[i]))
                        return raise_map_key(r, args[i]);
        if (charge(r, count))
                return N_FATAL;
        return give(ret, map_new(r, args, count / 2));
}

/* --- size and ends ---------------------------------------------------------------------------- */
/* Items of any collection; false: v is none. */
static bool count_of(val v, int64_t *ret)
{
        if (is_sequence(v))
                *ret = sequence_count(v);
        else if (v.tag == T_MAP)
                *ret = map_count(v);
        else if (v.tag == T_STRING)
                *ret = as_string(v)->chars;
        else
                return false;
        return true;
}

enum native_status coll_count(struct mv_rtfs *r, val coll, val *ret)
{
        int64_t n;
        if (!count_of(coll, &n))
                return raise_type(r, "count", "vector, list, map, or string", coll);
        return give(ret, INT(n));
}

static enum native_status count_(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        return coll_count(r, args[0], ret);
}

static enum native_status length(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        int64_t n;
        if (!count_of(args[0], &n))
                return raise_type(r, "length", "vector, list, string, or map", args[0]);
        return give(ret, INT(n));
}

static enum native_status empty(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        int64_t n;
        if (args[0].tag == T_NIL)
                return give(ret, BOOL(true));
        return give(ret, BOOL(count_of(args[0], &n) && n == 0));
}

static enum native_status first(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        val v = args[0], item;
        if (is_sequence(v)) {
                struct sequence s = sequence(v);
                return give(ret, sequence_next(&s, &item) ? item : NIL);
        }
        if (v.tag != T_STRING)
                return raise_type(r, "first", "vector, list, or string", v);
        size_t at = 0;
        return give(ret, as_string(v)->chars ? string_char(r, v, &at) : NIL);
}

static enum native_status rest(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        val v = args[0];
        int64_t n = 0;
        if (v.tag == T_MAP || !count_of(v, &n))
                return raise_type(r, "rest", "vector, list, or string", v);
        if (n == 0)
                return give(ret, v);
        if (v.tag == T_LIST)
                return give(ret, n == 1 ? list_empty(r) : OBJ(T_LIST, as_cons(v)->tail));
        if (charge(r, (uint64_t)n / 16))
                return N_FATAL;
        if (v.tag == T_VECTOR)
                return give(ret, vec_slice(r, v, 1, (uint32_t)n));
        return give(ret, string_part(r, v, 1, (uint32_t)n));
}

/* Item `index` of a collection that has it. */
static enum native_status item_at(struct mv_rtfs *r, val v, uint32_t index, val *ret)
{
        if (v.tag == T_VECTOR)
                return give(ret, vec_at(v, index));
        if (v.tag == T_STRING)
                return give(ret, string_part(r, v, index, index + 1));
        if (charge(r, index / 4))
                return N_FATAL;
        const struct cons *c = as_cons(v);
        while (index--)
                c = c->tail;
        return give(ret, c->head);
}

static enum native_status last(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        int64_t n = 0;
        if (args[0].tag == T_MAP || !count_of(args[0], &n))
                return raise_type(r, "last", "vector or string", args[0]);
        if (n == 0) /* of "" the reference gives "" */
                return give(ret, args[0].tag == T_STRING ? args[0] : NIL);
        return item_at(r, args[0], (uint32_t)n - 1, ret);
}

static enum native_status nth_or(struct mv_rtfs *r, val coll, val index, const val *absent,
                                 val *ret)
{
        int64_t n = 0;
        if (index.tag != T_INT)
                return raise_type(r, "nth", "integer", index);
        if (coll.tag == T_MAP || !count_of(coll, &n))
                return raise_type(r, "nth", "vector, list, or string", coll);
        if (index.i >= 0 && index.i < n)
                return item_at(r, coll, (uint32_t)index.i, ret);
        if (absent)
                return give(ret, *absent);
        return raise_index(r, index.i, (uint64_t)n);
}

enum native_status coll_nth(struct mv_rtfs *r, val coll, val index, val *ret)
{
        return nth_or(r, coll, index, NULL, ret);
}

static enum native_status nth(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        return nth_or(r, args[0], args[1], count > 2 ? &args[2] : NULL, ret);
}

/* --- lookup ----------------------------------------------------------------------------------- */
static bool index_ok(val v, val index)
{
        return index.tag == T_INT && index.i >= 0 && index.i < sequence_count(v);
}

enum native_status coll_get(struct mv_rtfs *r, val coll, val key, val absent, val *ret)
{
        val found = absent;
        if (coll.tag == T_MAP) {
                if (!map_key_ok(key))
                        return raise_map_key(r, key);
                map_get(coll, key, &found);
        } else if (is_sequence(coll) && key.tag == T_INT) {
                if (index_ok(coll, key))
                        return item_at(r, coll, (uint32_t)key.i, ret);
        } else if (coll.tag == T_ERROR && key.tag == T_KEYWORD) {
                val lookup[2] = { coll, absent };
                return keyword_lookup(r, key, lookup, 2, ret);
        } else if (coll.tag != T_NIL) {
                char actual[64];
                mv_fmt(actual, sizeof actual, "%s with %s", type_name(coll), type_name(key));
                return raise_type_text(r, "get", "map or vector with appropriate key/index",
                                       actual);
        }
        return give(ret, found);
}

static enum native_status get(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        if (count < 2 || count > 3)
                return raise_arity(r, "get", "2 or 3", count);
        return coll_get(r, args[0], args[1], count > 2 ? args[2] : NIL, ret);
}

static enum native_status step_into(struct mv_rtfs *r, val key, val *at, bool *ret_found)
{
        *ret_found = false;
        if (at->tag == T_MAP)
                *ret_found = map_key_ok(key) && map_get(*at, key, at);
        else if (is_sequence(*at) && index_ok(*at, key)) {
                *ret_found = true;
                return item_at(r, *at, (uint32_t)key.i, at);
        }
        return N_OK;
}

static enum native_status get_in(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        if (!is_sequence(args[1]))
                return raise_type(r, "get-in path", "vector", args[1]);
        if (charge(r, sequence_count(args[1])))
                return N_FATAL;
        struct sequence path = sequence(args[1]);
        val at = args[0], key;
        bool found;
        while (sequence_next(&path, &key)) {
                TRY(step_into(r, key, &at, &found));
                if (!found)
                        return give(ret, count > 2 ? args[2] : NIL);
        }
        return give(ret, at);
}

/* Membership of the value, not of an index. */
static enum native_status has_item(struct mv_rtfs *r, val v, val wanted, val *ret)
{
        struct sequence s = sequence(v);
        bool same = false;
        val item;
        if (charge(r, s.count))
                return N_FATAL;
        while (!same && sequence_next(&s, &item))
                TRY(val_equal(r, item, wanted, &same));
        return give(ret, BOOL(same));
}

static enum native_status contains(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        val coll = args[0], key = args[1], found;
        if (coll.tag == T_MAP)
                return give(ret, BOOL(map_key_ok(key) && map_get(coll, key, &found)));
        if (is_sequence(coll))
                return has_item(r, coll, key, ret);
        if (coll.tag != T_STRING)
                return raise_type(r, "contains?", "vector, string, list, or map", coll);
        if (charge(r, as_string(coll)->len / 16))
                return N_FATAL;
        return give(ret, BOOL(key.tag == T_STRING &&
                              string_contains(string_slice(coll), string_slice(key))));
}

static enum native_status entries(struct mv_rtfs *r, const char *op, bool keys, val m, val *ret)
{
        if (m.tag != T_MAP)
                return raise_type(r, op, "map", m);
        if (charge(r, map_count(m)))
                return N_FATAL;
        struct map_iter it;
        val out = heap_has_room(r, map_count(m) * sizeof(val)) ? vec_builder(r) : NOMEM_VAL, key,
            value;
        if (nomem(out))
                return N_NOMEM;
        map_iter(&it, m);
        while (map_next(&it, &key, &value))
                TRY(push(r, out, keys ? key : value));
        return give(ret, out);
}

static enum native_status keys_(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        return entries(r, "keys", true, args[0], ret);
}

static enum native_status vals(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        return entries(r, "vals", false, args[0], ret);
}

static enum native_status find(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        val pair[2] = { args[1] };
        if (args[0].tag != T_MAP)
                return raise_type(r, "find", "map", args[0]);
        if (!map_key_ok(pair[0]))
                TRY(text_of(r, args[1], &pair[0]));
        if (!map_get(args[0], pair[0], &pair[1]))
                return give(ret, NIL);
        return give(ret, vec_new(r, pair, 2));
}

/* --- changing --------------------------------------------------------------------------------- */
static enum native_status put_key(struct mv_rtfs *r, val m, val key, val value, val *ret)
{
        if (!map_key_ok(key))
                return raise_map_key(r, key);
        return give(ret, map_put(r, m, key, value));
}

static enum native_status set_index(struct mv_rtfs *r, const char *op, val v, val index, val value,
                                    val *ret)
{
        if (index.tag != T_INT)
                return raise_type(r, op, "integer index for vector", index);
        if (index.i < 0 || index.i >= vec_count(v))
                return raise_index(r, index.i, vec_count(v));
        return give(ret, vec_set(r, v, (uint32_t)index.i, value));
}

static enum native_status assoc(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        val coll = args[0];
        if (count % 2 == 0)
                return raise_arity(r, "assoc", "odd number of args: (assoc coll k v [k v]...)",
                                   count);
        if (charge(r, 4 * (uint64_t)count))
                return N_FATAL;
        if (coll.tag == T_LIST)
                TRY(seq_vector(r, coll, &coll));
        if (coll.tag != T_MAP && coll.tag != T_VECTOR)
                return raise_type(r, "assoc", "map or vector", coll);
        for (uint32_t i = 1; i < count; i += 2) {
                if (coll.tag == T_MAP)
                        TRY(put_key(r, coll, args[i], args[i + 1], &coll));
                else
                        TRY(set_index(r, "assoc", coll, args[i], args[i + 1], &coll));
        }
        return give(ret, coll);
}

enum native_status coll_put(struct mv_rtfs *r, const val args[3], val owner, val *ret)
{
        val copy[3] = { args[0], args[1], args[2] };
        bool owned = owner.tag == T_INT && owner.i > 0 && owner.i <= UINT32_MAX;
        if (args[0].tag != T_MAP || !map_key_ok(args[1]) || !owned)
                return assoc(r, copy, 3, ret);
        if (charge(r, PUT_FUEL))
                return N_FATAL;
        return give(ret, map_put_owned(r, args[0], args[1], args[2], (uint32_t)owner.i));
}

static enum native_status dissoc(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        val m = args[0];
        if (m.tag != T_MAP)
                return raise_type(r, "dissoc", "map", m);
        if (charge(r, 4 * (uint64_t)count))
                return N_FATAL;
        for (uint32_t i = 1; i < count; i++) {
                if (map_key_ok(args[i]))
                        m = map_remove(r, m, args[i]);
                if (nomem(m))
                        return N_NOMEM;
        }
        return give(ret, m);
}

static enum native_status put_entries(struct mv_rtfs *r, val *m, val from)
{
        struct map_iter it;
        val key, value;
        if (charge(r, 4 * (uint64_t)map_count(from)))
                return N_FATAL;
        map_iter(&it, from);
        while (map_next(&it, &key, &value))
                TRY(give(m, map_put(r, *m, key, value)));
        return N_OK;
}

/* nil is skipped. */
static enum native_status merge(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        val m = NIL;
        for (uint32_t i = 0; i < count; i++) {
                if (args[i].tag == T_NIL)
                        continue;
                if (args[i].tag != T_MAP)
                        return raise_type(r, "merge", "map", args[i]);
                if (m.tag == T_NIL)
                        m = args[i];
                else
                        TRY(put_entries(r, &m, args[i]));
        }
        return give(ret, m);
}

/* (conj map [k v]) or (conj map map). */
static enum native_status conj_map(struct mv_rtfs *r, val *m, val entry)
{
        if (entry.tag == T_MAP)
                return put_entries(r, m, entry);
        if (!is_sequence(entry) || sequence_count(entry) != 2)
                return raise_type(r, "conj", "vector of key and value", entry);
        struct sequence s = sequence(entry);
        val key, value;
        sequence_next(&s, &key);
        sequence_next(&s, &value);
        return put_key(r, *m, key, value, m);
}

static enum native_status conj_(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        val coll = args[0].tag == T_NIL ? vec_empty(r) : args[0];
        if (!is_sequence(coll) && coll.tag != T_MAP)
                return raise_type(r, "conj", "vector", coll);
        if (charge(r, count))
                return N_FATAL;
        for (uint32_t i = 1; i < count; i++) {
                if (coll.tag == T_VECTOR)
                        TRY(give(&coll, vec_conj(r, coll, args[i])));
                else if (coll.tag == T_LIST)
                        TRY(give(&coll, list_cons(r, args[i], coll)));
                else
                        TRY(conj_map(r, &coll, args[i]));
        }
        return give(ret, coll);
}

static enum native_status cons(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        if (args[1].tag == T_NIL)
                return give(ret, vec_new(r, args, 1));
        if (!is_sequence(args[1]))
                return raise_type(r, "cons", "vector", args[1]);
        if (charge(r, sequence_count(args[1]) / 4))
                return N_FATAL;
        val out = vec_builder(r);
        if (nomem(out))
                return N_NOMEM;
        TRY(push(r, out, args[0]));
        TRY(push_all(r, out, args[1]));
        return give(ret, out);
}

/* --- types ------------------------------------------------------------------------------------ */
static enum native_status type_name_(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        return give(ret, string_from(r, type_name(args[0])));
}

#define PREDICATE(name, test)                                                                      \
        static enum native_status name(struct mv_rtfs *r, val *args, uint32_t count, val *ret)     \
        {                                                                                          \
                uint32_t tag = args[0].tag;                                                        \
                return give(ret, BOOL(test));                                                      \
        }
PREDICATE(is_int, tag == T_INT)
PREDICATE(is_float, tag == T_FLOAT)
PREDICATE(is_number_, tag == T_INT || tag == T_FLOAT)
PREDICATE(is_string, tag == T_STRING)
PREDICATE(is_bool, tag == T_TRUE || tag == T_FALSE)
PREDICATE(is_nil, tag == T_NIL)
PREDICATE(is_map, tag == T_MAP)
PREDICATE(is_vector, tag == T_VECTOR)
PREDICATE(is_list, tag == T_LIST)
PREDICATE(is_keyword, tag == T_KEYWORD)
PREDICATE(is_symbol, tag == T_SYMBOL)
PREDICATE(is_fn, tag == T_NATIVE || tag == T_CLOSURE)

const struct native natives_coll[] = {
        { "vector", 0, -1, vector, "A vector of the arguments.", "(vector 1 :a)", "[1 :a]", "item*",
          "vector", "none" },
        { "list", 0, -1, list, "A list of the arguments.", "(list 1 2 3)", "(1 2 3)", "item*",
          "list", "none" },
        { "hash-map", 0, -1, hash_map, "A map of keys and values.", "(hash-map :a 1 \"k\" 2)",
          "{:a 1 \"k\" 2}", "key value ...", "map; of equal keys the last counts",
          "ArityMismatch: an odd number of arguments; TypeError: a key that is no string, keyword "
          "or integer" },
        { "count", 1, 1, count_, "Items of a vector, list or map, code points of a string.",
          "(count [1 2])", "2", "coll", "integer",
          "TypeError: no vector, list, map or string; nil has no count" },
        { "length", 1, 1, length, "The same as count.", "(length \"日本語\")", "3", "coll",
          "integer", "TypeError: no vector, list, map or string" },
        { "empty?", 1, 1, empty, "Is it nil or an empty collection?", "(empty? {})", "true",
          "value", "boolean; true for nil, false for what is no collection", "none" },
        { "first", 1, 1, first, "First item or character, or nil.", "(first [9 8])", "9", "coll",
          "item, one-character string, or nil", "TypeError: no vector, list or string" },
        { "rest", 1, 1, rest, "Everything behind the first item.", "(rest [9 8])", "[8]", "coll",
          "vector, list or string, as the argument is", "TypeError: no vector, list or string" },
        { "last", 1, 1, last, "Last item or character.", "(last [9 8])", "8", "coll",
          "item or nil; of the empty string the empty string",
          "TypeError: no vector, list or string" },
        { "nth", 2, 3, nth, "Item at an index counted from 0; a default if there is none.",
          "(nth [5 6] 1)", "6", "coll index default?", "item",
          "TypeError: the index is no integer, or coll no vector, list or string; IndexOutOfBounds "
          "without a default" },
        { "get", -1, -1, get, "Value of a key or index, else the default or nil.",
          "(get {:a 1} :b 0)", "0", "coll key default?", "value",
          "TypeError: a key that this collection cannot have; nil has no keys; with one argument "
          "see the form get" },
        { "get-in", 2, 3, get_in, "Value at a path of keys and indices.",
          "(get-in {:a [10 20]} [:a 1])", "20", "coll path default?", "value",
          "TypeError: the path is no vector or list" },
        { "contains?", 2, 2, contains,
          "Has the map the key, the sequence the value, the string the text?",
          "(contains? [1 2 3] 2)", "true", "coll value", "boolean",
          "TypeError: no vector, list, map or string" },
        { "keys", 1, 1, keys_, "Keys of a map in canonical order.", "(keys {:b 1 :a 2})", "[:a :b]",
          "map", "vector", "TypeError: not a map" },
        { "vals", 1, 1, vals, "Values of a map in the order of its keys.", "(vals {:b 1 :a 2})",
          "[2 1]", "map", "vector", "TypeError: not a map" },
        { "find", 2, 2, find, "Key and value as a vector, or nil.", "(find {:a 1} :a)", "[:a 1]",
          "map key", "vector or nil", "TypeError: not a map" },
        { "assoc", 3, -1, assoc, "A map or vector with values set.", "(assoc {:a 1} :b 2)",
          "{:a 1 :b 2}", "coll key value ...", "map or vector",
          "ArityMismatch: an even number of arguments; TypeError: no map, vector or list, or a key "
          "it cannot have; IndexOutOfBounds: a vector has no such index" },
        { "dissoc", 2, -1, dissoc, "A map without keys.", "(dissoc {:a 1 :b 2} :a)", "{:b 2}",
          "map key key*", "map", "TypeError: not a map" },
        { "merge", 1, -1, merge, "Maps in one; later ones win.", "(merge {:a 1} {:a 2 :b 3})",
          "{:a 2 :b 3}", "map map*", "map; nil when all are nil",
          "TypeError: neither map nor nil" },
        { "conj", 2, -1, conj_, "A collection with items added where it is cheapest.",
          "(conj [1] 2)", "[1 2]", "coll item item*",
          "vector, list or map, as the argument is; nil counts as a vector",
          "TypeError: no vector, list, map or nil; for a map, an item that is no pair or map" },
        { "cons", 2, 2, cons, "A vector with an item in front.", "(cons 0 [1 2])", "[0 1 2]",
          "item coll", "vector", "TypeError: no vector, list or nil" },
        { "type-name", 1, 1, type_name_, "Name of a value's type.", "(type-name 1.5)", "\"float\"",
          "value", "string", "none" },
        { "int?", 1, 1, is_int, "Is it an integer?", "(int? 1)", "true", "value", "boolean",
          "none" },
        { "float?", 1, 1, is_float, "Is it a float?", "(float? 1)", "false", "value", "boolean",
          "none" },
        { "number?", 1, 1, is_number_, "Is it an integer or a float?", "(number? 1.5)", "true",
          "value", "boolean", "none" },
        { "string?", 1, 1, is_string, "Is it a string?", "(string? \"s\")", "true", "value",
          "boolean", "none" },
        { "string-p", 1, 1, is_string, "The same as string?.", "(string-p :s)", "false", "value",
          "boolean", "none" },
        { "bool?", 1, 1, is_bool, "Is it true or false?", "(bool? nil)", "false", "value",
          "boolean", "none" },
        { "nil?", 1, 1, is_nil, "Is it nil?", "(nil? nil)", "true", "value", "boolean", "none" },
        { "map?", 1, 1, is_map, "Is it a map?", "(map? {})", "true", "value", "boolean", "none" },
        { "vector?", 1, 1, is_vector, "Is it a vector?", "(vector? [])", "true", "value", "boolean",
          "none" },
        { "list?", 1, 1, is_list, "Is it a list?", "(list? [])", "false", "value", "boolean",
          "none" },
        { "keyword?", 1, 1, is_keyword, "Is it a keyword?", "(keyword? :k)", "true", "value",
          "boolean", "none" },
        { "symbol?", 1, 1, is_symbol, "Is it a symbol?", "(symbol? 'x)", "true", "value", "boolean",
          "none" },
        { "fn?", 1, 1, is_fn, "Is it a function? Keywords are not.", "(fn? inc)", "true", "value",
          "boolean", "none" },
        { 0 },
};
