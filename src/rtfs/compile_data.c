/* SPDX-License-Identifier: Apache-2.0 */
/* Metadata, context references, data forms and types (spec 3.13 to 3.22). */
#include <rtfs/compile.h>

/* --- metadata, context, data forms ------------------------------------------------------------ */
/* A map as keys and values in turn: as it was read, or, of what a macro was given or made, a map or anything. */
static enum native_status pairs_of(struct func *f, val map, const char *wrong, val *ret)
{
        val k, v;
        struct map_iter it;
        *ret = map;
        if (map.tag != T_MAPFORM && map.tag != T_MAP)
                return fail_form(f, wrong);
        if (map.tag == T_MAPFORM)
                return N_OK;
        *ret = vec_builder(f->r);
        if (nomem(*ret))
                return N_NOMEM;
        for (map_iter(&it, map); map_next(&it, &k, &v);)
                if (!vec_push(f->r, *ret, k) || !vec_push(f->r, *ret, v))
                        return N_NOMEM;
        return N_OK;
}

static enum native_status meta_pairs(struct func *f, val form, val *ret)
{
        static const char wrong[] = "metadata is a map in front of a form";
        return len(form) == 3 ? pairs_of(f, at(form, 1), wrong, ret) : fail_form(f, wrong);
}

static struct mv_slice key_text(val k)
{
        return k.tag == T_KEYWORD  ? name_slice(k)
               : k.tag == T_STRING ? string_slice(k)
                                   : MV_SLICE("");
}

/* ^{:runtime.learning.fallback {:capability "b"} ...} (call "a" x) is written out as the program could have done it, so that what
 * it falls back to is inspected, decided, recorded and resumed like any other call, and hints are for the first call alone:
 *
 *   (let [v x] (try ^{...} (call "a" v) (catch e (match (:kind e) :security-violation (throw e) :contract-violation (throw e)
 *                                                          _ (call "b" v)))))
 *
 * A denial is no failure, and behind a broken contract the effect is there. The names hold a blank: no program can say them. */
#define FALLBACK      "runtime.learning.fallback"
#define FALLBACK_ARGS 60

struct fallback {
        val capability; /* NIL: there is none */
        bool same_args;
};

static const char wrong_fallback[] = FALLBACK ": {:capability \"id\" :pass-original-args true or "
                                              "false}, in front of a (call ...) of at most 60 "
                                              "arguments";

static enum native_status take_fallback(struct func *f, val form, val map, struct fallback *ret)
{
        val call = at(form, 2), hint = NIL;
        *ret = (struct fallback){ NIL, true };
        for (uint32_t i = 0; i < vec_count(map); i += 2)
                if (mv_slice_eq_str(key_text(vec_at(map, i)), FALLBACK))
                        hint = vec_at(map, i + 1);
        if (hint.tag == T_NIL)
                return N_OK;
        if (call.tag != T_LIST || len(call) < 2 || len(call) > 2 + FALLBACK_ARGS ||
            !is_symbol(at(call, 0), "call"))
                return fail_form(f, wrong_fallback);
        TRY(pairs_of(f, hint, wrong_fallback, &hint));
        for (uint32_t i = 0; i < vec_count(hint); i += 2) {
                struct mv_slice key = key_text(vec_at(hint, i));
                val v = vec_at(hint, i + 1);
                if (mv_slice_eq_str(key, "capability") && (v.tag == T_STRING || v.tag == T_KEYWORD))
                        ret->capability = v;
                else if (mv_slice_eq_str(key, "pass-original-args") &&
                         (v.tag == T_TRUE || v.tag == T_FALSE))
                        ret->same_args = v.tag == T_TRUE;
                else
                        return fail_form(f, wrong_fallback);
        }
        return ret->capability.tag == T_NIL ? fail_form(f, wrong_fallback) : N_OK;
}

static val own_symbol(struct func *f, const char *prefix, uint32_t n)
{
        char name[32];
        mv_fmt(name, sizeof name, "%s %u", prefix, n);
        return symbol_new(f->r, mv_slice_str(name));
}

#define WORD(text) symbol_new(f->r, MV_SLICE(text))
#define KEY(text)  keyword_new(f->r, MV_SLICE(text))

/* (catch e (match (:kind e) ... _ (call "b" v...))) */
static enum native_status fallback_clause(struct func *f, const val *second, uint32_t count,
                                          val *ret)
{
        val e = own_symbol(f, "fallback", 0), kind, again, call, choice;
        val get[] = { KEY("kind"), e }, rethrow[] = { WORD("throw"), e };
        TRY(list_of(f, get, 2, &kind));
        TRY(list_of(f, rethrow, 2, &again));
        TRY(list_of(f, second, count, &call));
        val cases[] = { WORD("match"),
                        kind,
                        KEY("security-violation"),
                        again,
                        KEY("contract-violation"),
                        again,
                        WORD("_"),
                        call };
        TRY(list_of(f, cases, 8, &choice));
        val clause[] = { WORD("catch"), e, choice };
        return list_of(f, clause, 3, ret);
}

static enum native_status fallback_form(struct func *f, val form, const struct fallback *b,
                                        uint8_t dst)
{
        val first[2 + FALLBACK_ARGS], second[2 + FALLBACK_ARGS], bindings[2 * FALLBACK_ARGS], inner,
                call = at(form, 2), attempt, clause, whole, bound;
        uint32_t n = len(call);
        first[0] = second[0] = at(call, 0);
        first[1] = at(call, 1);
        second[1] = b->capability;
        for (uint32_t i = 2; i < n; i++) {
                first[i] = second[i] = bindings[2 * (i - 2)] = own_symbol(f, "fallback", i);
                bindings[2 * (i - 2) + 1] = at(call, i);
        }
        TRY(list_of(f, first, n, &inner));
        val hinted[] = { WORD("with hints"), at(form, 1), inner };
        TRY(list_of(f, hinted, 3, &attempt));
        TRY(fallback_clause(f, second, b->same_args ? n : 2, &clause));
        val tried[] = { WORD("try"), attempt, clause };
        TRY(list_of(f, tried, 3, &whole));
        bound = vec_new(f->r, bindings, 2 * (n - 2));
        if (nomem(bound))
                return N_NOMEM;
        val let[] = { WORD("let"), bound, whole };
        TRY(list_of(f, let, 3, &whole));
        return expr(f, whole, dst, false);
}

enum native_status meta_form(struct func *f, val form, uint8_t dst)
{
        val map;
        struct fallback other;
        TRY(meta_pairs(f, form, &map));
        TRY(take_fallback(f, form, map, &other));
        if (other.capability.tag == T_NIL)
                return hints_form(f, form, dst);
        uint32_t place = f->at;
        f->at = as_cons(at(form, 2))->pos;
        enum native_status s = fallback_form(f, form, &other, dst);
        f->at = place;
        return s;
}

enum native_status hints_form(struct func *f, val form, uint8_t dst)
{
        val map;
        uint8_t name, value, error;
        uint32_t free = f->free, from, done;
        TRY(meta_pairs(f, form, &map));
        for (uint32_t i = 0; i < as_vec(map)->count; i += 2) {
                val k = vec_at(map, i);
                struct mv_slice text = key_text(k);
                if (!mv_slice_starts(text, "runtime."))
                        continue;
                val s = string_new(f->r, text);
                if (nomem(s))
                        return N_NOMEM;
                TRY(new_reg(f, &name));
                TRY(new_reg(f, &value));
                TRY(load_const(f, s, name));
                TRY(expr(f, vec_at(map, i + 1), value, false));
                TRY(native_call(f, "%hint", name, name, 2));
                f->free = free;
        }
        TRY(new_reg(f, &error));
        TRY(new_reg(f, &name));
        from = f->code.count;
        TRY(expr(f, at(form, 2), dst, false));
        TRY(native_call(f, "%clear-hints", name, name, 0));
        TRY(jump(f, &done));
        TRY(add_handler(f, from, f->code.count, f->code.count, error));
        TRY(native_call(f, "%clear-hints", name, name, 0));
        TRY(emit(f, OP_WORD(OP_RERAISE, error, 0, 0)));
        patch_here(f, done);
        f->free = free;
        return N_OK;
}

enum native_status context_form(struct func *f, val form, uint8_t dst)
{
        if (len(form) != 2 || at(form, 1).tag != T_STRING)
                return fail_form(f, "resource:ref takes a text");
        TRY(load_const(f, at(form, 1), dst));
        return native_call(f, "%context-ref", dst, dst, 1);
}

enum native_status get_form(struct func *f, val form, uint8_t dst, bool tail)
{
        val key = at(form, 1);
        if (len(form) != 2)
                return call_plain(f, form, dst, tail);
        if (key.tag != T_SYMBOL && key.tag != T_KEYWORD)
                return raise_op(f, E_INVALID_ARGUMENTS,
                                "expected keyword or symbol, got a different type");
        if (is_local_name(f, as_name(key)))
                return symbol_value(f, as_name(key), dst, 0);
        val s = string_new(f->r, name_slice(key));
        if (nomem(s))
                return N_NOMEM;
        TRY(load_const(f, s, dst));
        return native_call(f, "%get-name", dst, dst, 1);
}

/* The symbol that names a resource may end in @version, which is no part of the name. */
static struct mv_slice without_version(struct mv_slice name)
{
        const uint8_t *cut = name.len ? memchr(name.p, '@', name.len) : NULL;
        return cut ? mv_slice(name.p, (size_t)(cut - name.p)) : name;
}

/* plan, capability, resource, intent: a map of unevaluated properties. */
enum native_status plan_form(struct func *f, val form, uint8_t dst)
{
        val name = at(form, 1), m = map_empty(f->r);
        val k = keyword_new(f->r, MV_SLICE("type")), s = string_new(f->r, name_slice(at(form, 0)));
        bool positional = name.tag == T_STRING ||
                          (name.tag == T_SYMBOL && is_symbol(at(form, 0), "resource"));
        if (nomem(k) || nomem(s) || nomem(m = map_put(f->r, m, k, s)))
                return N_NOMEM;
        if (positional) {
                struct mv_slice text = name.tag == T_STRING ? string_slice(name)
                                                            : without_version(name_slice(name));
                k = keyword_new(f->r, MV_SLICE("name"));
                s = string_new(f->r, text);
                if (nomem(k) || nomem(s) || nomem(m = map_put(f->r, m, k, s)))
                        return N_NOMEM;
        }
        uint32_t i = positional ? 2 : 1;
        if (len(form) == 1)
                return fail_form(f, "a data form needs a name or properties");
        for (; i < len(form); i++) {
                val p = at(form, i), v;
                if (p.tag == T_LIST && len(p) == 3 && is_symbol(at(p, 0), "property") &&
                    at(p, 1).tag == T_KEYWORD) {
                        TRY(data_form(f, at(p, 2), &v));
                        p = at(p, 1);
                } else if (p.tag == T_KEYWORD && i + 1 < len(form)) {
                        TRY(data_form(f, at(form, ++i), &v));
                } else {
                        return fail_form(f,
                                         "properties of a data form are keyword and value pairs");
                }
                if (nomem(m = map_put(f->r, m, p, v)))
                        return N_NOMEM;
        }
        return load_const(f, m, dst);
}

enum native_status deftype_form(struct func *f, val form, uint8_t dst)
{
        val type, rest = rest_of(form, 2);
        val name = at(form, 1);
        if (len(form) < 3 ||
            (name.tag != T_SYMBOL && name.tag != T_STRING && name.tag != T_KEYWORD))
                return fail_form(f, "deftype takes a name and a type");
        TRY(take_type(f, &rest, &type));
        if (len(rest))
                return fail_form(f, "deftype takes a name and a type");
        TRY(data_form(f, type, &type));
        uint8_t a, b;
        TRY(new_reg(f, &a));
        TRY(new_reg(f, &b));
        val s = string_new(f->r, name.tag == T_STRING ? string_slice(name) : name_slice(name));
        if (nomem(s))
                return N_NOMEM;
        TRY(load_const(f, s, a));
        TRY(load_const(f, type, b));
        return native_call(f, "%deftype", dst, a, 2);
}

static enum native_status struct_fields(struct func *f, val rest, val *ret)
{
        val fields = vec_builder(f->r), type;
        if (nomem(fields))
                return N_NOMEM;
        while (len(rest)) {
                val field = at(rest, 0);
                rest = rest_of(rest, 1);
                if (field.tag != T_KEYWORD)
                        return fail_form(f, "defstruct fields are keywords");
                if (!len(rest))
                        return fail_form(f, "defstruct takes a name and keyword and type pairs");
                TRY(take_type(f, &rest, &type));
                TRY(data_form(f, type, &type));
                if (!vec_push(f->r, fields, field) || !vec_push(f->r, fields, type))
                        return N_NOMEM;
        }
        *ret = fields;
        return N_OK;
}

/* (defstruct Name :field type ...): a constructor that checks its map. Built as a function over
 * %struct-check. */
enum native_status defstruct_form(struct func *f, val form, uint8_t dst)
{
        val name = at(form, 1), fields;
        if (name.tag != T_SYMBOL)
                return fail_form(f, "defstruct takes a name and keyword and type pairs");
        TRY(struct_fields(f, rest_of(form, 2), &fields));
        val quoted[2] = { symbol_new(f->r, MV_SLICE("quote")), fields };
        val args = symbol_new(f->r, MV_SLICE("struct args")), amp = symbol_new(f->r, MV_SLICE("&"));
        val param_items[2] = { amp, args };
        val params = vec_new(f->r, param_items, 2), quote = list_new(f->r, quoted, 2);
        val n = string_new(f->r, name_slice(name));
        val check = { .tag = T_NATIVE, .i = native_find(f->r, MV_SLICE("%struct-check")) };
        val call_items[4] = { check, n, quote, args };
        val call = list_new(f->r, call_items, 4);
        if (nomem(args) || nomem(amp) || nomem(params) || nomem(quote) || nomem(n) || nomem(call))
                return N_NOMEM;
        val rest_items[2] = { params, call };
        val rest = list_new(f->r, rest_items, 2);
        if (nomem(rest))
                return N_NOMEM;
        TRY(function(f, NULL, rest, dst));
        return define(f, as_name(name), dst);
}

enum native_status llm_form(struct func *f, val form, uint8_t dst, bool tail)
{ /* (call "ccos.ai.llm-execute" args...) */
        val items[2] = { (val){ .tag = T_NATIVE, .i = native_find(f->r, MV_SLICE("call")) },
                         string_from(f->r, "ccos.ai.llm-execute") };
        val rest = rest_of(form, 1);
        uint32_t n = len(rest);
        bool keywords = n != 2 && n && at(rest, 0).tag == T_KEYWORD;
        if (n == 0 || (n != 2 && !keywords))
                return raise_op(f, E_INVALID_ARGUMENTS,
                                "expected either 2 positional args or keyword args (:model, "
                                ":prompt), got %u",
                                n);
        if (keywords && n % 2)
                return raise_op(f, E_INVALID_ARGUMENTS,
                                "expected a value after keyword %.*s, got end-of-list",
                                MV_SARG(at(rest, n - 1).tag == T_KEYWORD
                                                ? name_slice(at(rest, n - 1))
                                                : MV_SLICE("")));
        if (n == 2 && (at(rest, 0).tag <= T_FLOAT ||
                       at(rest, 0).tag == T_KEYWORD)) /* no name, no call: a literal */
                return raise_op(f, E_INVALID_ARGUMENTS, "expected string for model, got %s",
                                type_name(at(rest, 0)));
        for (int i = 1; i >= 0; i--)
                if (nomem(items[i]) || nomem(rest = list_cons(f->r, items[i], rest)))
                        return N_NOMEM;
        as_cons(rest)->pos = f->at;
        return expr(f, rest, dst, tail);
}
