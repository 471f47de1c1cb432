/* SPDX-License-Identifier: Apache-2.0 */
/* Destructuring (spec 3.4) and match (3.8). */
#include <rtfs/compile.h>

static enum native_status declare(struct func *f, val symbol, uint8_t reg)
{
        return new_var(f, as_name(symbol), reg, false);
}

struct vector_shape {
        uint32_t fixed; /* element patterns before & */
        val rest, as;   /* SYMBOL or NIL */
};

static enum native_status vector_shape(struct func *f, val p, struct vector_shape *ret)
{
        uint32_t n = vec_count(p);
        *ret = (struct vector_shape){ .rest = NIL, .as = NIL };
        uint32_t i = 0;
        while (i < n) {
                val e = vec_at(p, i);
                bool amp = is_symbol(e, "&"),
                     as = e.tag == T_KEYWORD && mv_slice_eq_str(name_slice(e), "as");
                if (!amp && !as) {
                        if (ret->rest.tag != T_NIL || ret->as.tag != T_NIL)
                                return fail_form(
                                        f, "elements come before & and :as in a vector pattern");
                        ret->fixed++;
                        i++;
                        continue;
                }
                if (i + 1 >= n || vec_at(p, i + 1).tag != T_SYMBOL)
                        return fail_form(f, "& and :as need a name");
                *(amp ? &ret->rest : &ret->as) = vec_at(p, i + 1);
                i += 2;
        }
        return ret->fixed > 250 ? fail_form(f, "pattern is too long") : N_OK;
}

static bool is_wildcard(val v)
{
        return is_symbol(v, "_");
}

static enum native_status bind_vector(struct func *f, val p, uint8_t reg)
{
        struct vector_shape s;
        uint8_t sub;
        TRY(vector_shape(f, p, &s));
        if (s.as.tag == T_SYMBOL)
                TRY(declare(f, s.as, reg));
        TRY(emit(f, OP_WORD(OP_VCHK, reg, s.fixed, s.rest.tag == T_NIL)));
        for (uint32_t i = 0; i < s.fixed; i++) {
                if (is_wildcard(vec_at(p, i)))
                        continue;
                TRY(new_reg(f, &sub));
                TRY(emit(f, OP_WORD(OP_VNTH, sub, reg, i)));
                TRY(bind_pattern(f, vec_at(p, i), sub));
        }
        if (s.rest.tag == T_NIL || is_wildcard(s.rest))
                return N_OK;
        TRY(new_reg(f, &sub));
        TRY(emit(f, OP_WORD(OP_VREST, sub, reg, s.fixed)));
        return declare(f, s.rest, sub);
}

struct map_shape {
        val rest, as, defaults; /* SYMBOL, SYMBOL, MAPFORM or NIL */
};

static bool keyword_is(val v, const char *text)
{
        return v.tag == T_KEYWORD && mv_slice_eq_str(name_slice(v), text);
}

/* The options may stand anywhere: find them first. */
static enum native_status map_shape(struct func *f, val p, struct map_shape *ret)
{
        *ret = (struct map_shape){ .rest = NIL, .as = NIL, .defaults = NIL };
        for (uint32_t i = 0; i < as_vec(p)->count; i += 2) {
                val k = vec_at(p, i), v = vec_at(p, i + 1);
                if (is_symbol(k, "&"))
                        ret->rest = v;
                else if (keyword_is(k, "as"))
                        ret->as = v;
                else if (keyword_is(k, "or"))
                        ret->defaults = v;
                else
                        continue;
                if (keyword_is(k, "or") ? v.tag != T_MAPFORM : v.tag != T_SYMBOL)
                        return fail_form(f, "& and :as need a name, :or a map, in a map pattern");
        }
        return N_OK;
}

static bool default_of(val defaults, const struct name *n, val *ret)
{ /* :or {a 1} - the keys are symbols */
        if (defaults.tag != T_MAPFORM)
                return false;
        for (uint32_t i = 0; i < as_vec(defaults)->count; i += 2)
                if (vec_at(defaults, i).tag == T_SYMBOL && as_name(vec_at(defaults, i)) == n) {
                        *ret = vec_at(defaults, i + 1);
                        return true;
                }
        return false;
}

static enum native_status get_key(struct func *f, const struct map_shape *s, uint8_t reg, val key,
                                  val pattern)
{
        uint32_t k, found;
        uint8_t sub;
        val otherwise;
        TRY(add_const(f, key, &k));
        TRY(new_reg(f, &sub));
        if (pattern.tag == T_SYMBOL && default_of(s->defaults, as_name(pattern), &otherwise)) {
                TRY(emit2(f, OP_WORD(OP_MFIND, sub, reg, 0), k));
                TRY(emit_jump(f, OP_WORD(OP_JBOUND, sub, 0, 0), &found));
                TRY(expr(f, otherwise, sub, false)); /* only when absent */
                patch_here(f, found);
        } else {
                TRY(emit2(f, OP_WORD(OP_MGET, sub, reg, 0), k));
        }
        return bind_pattern(f, pattern, sub);
}

/* {:keys [a b]} */
static enum native_status get_keys(struct func *f, const struct map_shape *s, uint8_t reg,
                                   val names, val *keys)
{
        if (names.tag != T_VECTOR)
                return fail_form(f, ":keys needs a vector of names");
        for (uint32_t i = 0; i < vec_count(names); i++) {
                val n = vec_at(names, i);
                if (n.tag != T_SYMBOL)
                        return fail_form(f, ":keys needs a vector of names");
                val k = OBJ(T_KEYWORD, n.o);
                if (!vec_push(f->r, *keys, k))
                        return N_NOMEM;
                TRY(get_key(f, s, reg, k, n));
        }
        return N_OK;
}

static enum native_status bind_map(struct func *f, val p, uint8_t reg)
{
        struct map_shape s;
        val keys = vec_builder(f->r);
        if (nomem(keys))
                return N_NOMEM;
        TRY(map_shape(f, p, &s));
        if (s.as.tag == T_SYMBOL)
                TRY(declare(f, s.as, reg));
        TRY(emit(f, OP_WORD(OP_MCHK, reg, 0, 0)));
        for (uint32_t i = 0; i < as_vec(p)->count; i += 2) {
                val k = vec_at(p, i), v = vec_at(p, i + 1);
                if (is_symbol(k, "&") || keyword_is(k, "as") || keyword_is(k, "or"))
                        continue;
                if (keyword_is(k, "keys")) {
                        TRY(get_keys(f, &s, reg, v, &keys));
                        continue;
                }
                bool name_first = k.tag == T_SYMBOL; /* {name :k} */
                val key = name_first ? v : k, pattern = name_first ? k : v;
                if (!map_key_ok(key))
                        return fail_form(f, "map pattern needs a keyword, string or integer key");
                if (!vec_push(f->r, keys, key))
                        return N_NOMEM;
                TRY(get_key(f, &s, reg, key, pattern));
        }
        if (s.rest.tag == T_NIL)
                return N_OK;
        uint32_t kc;
        uint8_t sub;
        TRY(add_const(f, keys, &kc));
        TRY(new_reg(f, &sub));
        TRY(emit2(f, OP_WORD(OP_MWITHOUT, sub, reg, 0), kc));
        return declare(f, s.rest, sub);
}

enum native_status bind_pattern(struct func *f, val pattern, uint8_t reg)
{
        if (f->depth++ > 900)
                return fail_form(f, "nested too deeply");
        enum native_status s;
        if (is_wildcard(pattern))
                s = N_OK;
        else if (pattern.tag == T_SYMBOL && !is_symbol(pattern, "&"))
                s = declare(f, pattern, reg);
        else if (pattern.tag == T_VECTOR)
                s = bind_vector(f, pattern, reg);
        else if (pattern.tag == T_MAPFORM)
                s = bind_map(f, pattern, reg);
        else
                s = fail_form(f, "a pattern is a name, _, a vector or a map");
        f->depth--;
        return s;
}

/* --- match ------------------------------------------------------------------------------------ */
/* Misses of one clause form a chain through their jump words. */
static enum native_status miss(struct func *f, uint32_t word, uint32_t *chain)
{
        uint32_t patch;
        TRY(emit_jump(f, word, &patch));
        f->code.p[patch] = *chain;
        *chain = patch;
        return N_OK;
}

static void misses_here(struct func *f, uint32_t chain)
{
        while (chain) {
                uint32_t next = f->code.p[chain];
                patch_here(f, chain);
                chain = next;
        }
}

static enum native_status match_pattern(struct func *f, val p, uint8_t reg, uint32_t *chain);

static enum native_status match_vector(struct func *f, val p, uint8_t reg, uint32_t *chain)
{
        uint32_t n = vec_count(p), fixed = n;
        uint8_t sub;
        for (uint32_t i = 0; i < n; i++)
                if (is_symbol(vec_at(p, i), "&")) {
                        fixed = i;
                        if (i + 2 != n || vec_at(p, i + 1).tag != T_SYMBOL)
                                return fail_form(f,
                                                 "& needs one name at the end of a vector pattern");
                        break;
                }
        if (fixed > 250)
                return fail_form(f, "pattern is too long");
        TRY(miss(f, OP_WORD(OP_JNVEC, reg, fixed, fixed == n), chain));
        for (uint32_t i = 0; i < fixed; i++) {
                if (is_wildcard(vec_at(p, i)))
                        continue;
                TRY(new_reg(f, &sub));
                TRY(emit(f, OP_WORD(OP_VNTH, sub, reg, i)));
                TRY(match_pattern(f, vec_at(p, i), sub, chain));
        }
        if (fixed == n || is_wildcard(vec_at(p, n - 1)))
                return N_OK;
        TRY(new_reg(f, &sub));
        TRY(emit(f, OP_WORD(OP_VREST, sub, reg, fixed)));
        return declare(f, vec_at(p, n - 1), sub);
}

static enum native_status match_map(struct func *f, val p, uint8_t reg, uint32_t *chain)
{
        uint32_t n = 0, k;
        val rest = NIL, keys = vec_builder(f->r);
        uint8_t sub;
        if (nomem(keys))
                return N_NOMEM;
        for (uint32_t i = 0; i < as_vec(p)->count; i += 2) {
                if (is_symbol(vec_at(p, i), "&"))
                        rest = vec_at(p, i + 1);
                else if (!map_key_ok(vec_at(p, i)))
                        return fail_form(f, "map pattern needs keyword, string or integer keys");
                else
                        n++;
        }
        if (n > 250 || (rest.tag != T_NIL && rest.tag != T_SYMBOL))
                return fail_form(f, "& needs a name in a map pattern");
        /* closed unless & (3.8) */
        TRY(miss(f, OP_WORD(OP_JNMAP, reg, n, rest.tag == T_NIL), chain));
        for (uint32_t i = 0; i < as_vec(p)->count; i += 2) {
                val key = vec_at(p, i);
                uint32_t found;
                if (is_symbol(key, "&"))
                        continue;
                if (!vec_push(f->r, keys, key))
                        return N_NOMEM;
                TRY(add_const(f, key, &k));
                TRY(new_reg(f, &sub));
                TRY(emit2(f, OP_WORD(OP_MFIND, sub, reg, 0), k));
                TRY(emit_jump(f, OP_WORD(OP_JBOUND, sub, 0, 0), &found));
                TRY(miss(f, OP_WORD(OP_JMP, 0, 0, 0), chain));
                patch_here(f, found);
                TRY(match_pattern(f, vec_at(p, i + 1), sub, chain));
        }
        if (rest.tag == T_NIL || is_wildcard(rest))
                return N_OK;
        TRY(add_const(f, keys, &k));
        TRY(new_reg(f, &sub));
        TRY(emit2(f, OP_WORD(OP_MWITHOUT, sub, reg, 0), k));
        return declare(f, rest, sub);
}

/* (:as name pattern) and (:type name) */
static enum native_status match_list(struct func *f, val p, uint8_t reg, uint32_t *chain)
{
        val head = at(p, 0), name = at(p, 1);
        uint32_t k;
        if (head.tag != T_KEYWORD || name.tag != T_SYMBOL)
                return fail_form(f, "a list pattern is (:as name pattern) or (:type name)");
        if (keyword_is(head, "as")) {
                if (len(p) != 3)
                        return fail_form(f, "(:as name pattern) takes a name and a pattern");
                TRY(declare(f, name, reg));
                return match_pattern(f, at(p, 2), reg, chain);
        }
        if (len(p) != 2)
                return fail_form(f, "(:type name) takes one name");
        TRY(add_const(f, head, &k));
        TRY(miss(f, OP_WORD(OP_JNTYPE, reg, 0, 0), chain));
        TRY(emit(f, k));
        return is_wildcard(name) ? N_OK : declare(f, name, reg);
}

static enum native_status match_literal(struct func *f, val p, uint8_t reg, uint32_t *chain)
{
        uint8_t k;
        if (p.tag == T_INT && p.i == (int8_t)p.i)
                return miss(f, OP_WORD(OP_JNEQI, reg, p.i, 0), chain);
        TRY(new_reg(f, &k));
        TRY(load_const(f, p, k));
        return miss(f, OP_WORD(OP_JNEQ, reg, k, 0), chain);
}

static enum native_status match_pattern(struct func *f, val p, uint8_t reg, uint32_t *chain)
{
        if (f->depth++ > 900)
                return fail_form(f, "nested too deeply");
        enum native_status s;
        if (is_wildcard(p))
                s = N_OK;
        else if (p.tag == T_SYMBOL)
                s = is_symbol(p, "&") ? fail_form(f, "& belongs into a vector or map pattern")
                                      : declare(f, p, reg);
        else if (p.tag == T_VECTOR)
                s = match_vector(f, p, reg, chain);
        else if (p.tag == T_MAPFORM)
                s = match_map(f, p, reg, chain);
        else if (p.tag == T_LIST)
                s = match_list(f, p, reg, chain);
        else
                s = match_literal(f, p, reg, chain);
        f->depth--;
        return s;
}

/* Pattern and guard; *c is left at the body. */
static enum native_status match_clause(struct func *f, struct cons **c, uint8_t value,
                                       uint32_t *ret_chain)
{
        uint32_t guard_miss;
        struct cons *at_clause = *c;
        TRY(match_pattern(f, at_clause->head, value, ret_chain));
        at_clause = at_clause->tail;
        if (at_clause->count && is_symbol(at_clause->head, "when")) {
                at_clause = at_clause->tail;
                if (!at_clause->count)
                        return fail_form(f, "when needs a guard");
                TRY(test_jump(f, at_clause->head, &guard_miss));
                f->code.p[guard_miss] = *ret_chain;
                *ret_chain = guard_miss;
                at_clause = at_clause->tail;
        }
        if (!at_clause->count)
                return fail_form(f, "match clause needs a body");
        val one = list_new(f->r, &at_clause->head, 1);
        if (nomem(one))
                return N_NOMEM;
        TRY(declare_defs(f, one));
        *c = at_clause;
        return N_OK;
}

enum native_status match_form(struct func *f, val form, uint8_t dst, bool tail)
{
        uint32_t ends = 0, end, free = f->free, k;
        uint8_t value;
        if (len(form) < 4)
                return fail_form(f, "match takes a value and pattern and body pairs");
        TRY(new_reg(f, &value));
        TRY(expr(f, at(form, 1), value, false));
        for (struct cons *c = as_cons(rest_of(form, 2)); c->count; c = c->tail) {
                struct scope s = scope_open(f);
                uint32_t chain = 0;
                TRY(match_clause(f, &c, value, &chain));
                TRY(expr(f, c->head, dst, tail));
                scope_close(f, s);
                TRY(emit_jump(f, OP_WORD(OP_JMP, 0, 0, 0), &end));
                f->code.p[end] = ends;
                ends = end;
                misses_here(f, chain);
        }
        val text = string_from(f->r, "No matching clause");
        if (nomem(text))
                return N_NOMEM;
        TRY(add_const(f, text, &k));
        TRY(emit2(f, OP_WORD(OP_RAISE, 0, E_MATCH, 0), k));
        misses_here(f, ends);
        f->free = free;
        return N_OK;
}
