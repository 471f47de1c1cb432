/* SPDX-License-Identifier: Apache-2.0 */
/* Loop variables whose map may grow in place.
 *
 *   (loop [i 0 m {}] (if (< i n) (recur (+ i 1) (assoc m i (get m k))) m))
 *
 * Here nobody can look at m again once assoc has made the next one of it. Then assoc becomes PUT, which changes nodes
 * that this very run of the loop has made (map.h); what m was before the loop is copied on the way, as ever.
 *
 * (1) A variable qualifies when each mention of it is of one of these kinds: lent to a builtin that gives back nothing
 *     that shares its nodes; grown by assoc, conj, dissoc or merge as its own next value, with no mention in a later
 *     value; itself as its own next value; anything at all where the loop ends.
 * (2) What is not understood disqualifies: a mention in a macro call, a function, a pattern, an unknown form. */
#include <rtfs/compile.h>

#define DEPTH_MAX 100

struct usage {
        struct func *f;
        const struct name *n;
        uint32_t index, count; /* which of how many loop variables */
        int depth;
        bool grows; /* there is an assoc that can be a PUT */
};

static bool mentioned(const struct usage *u, val form)
{
        return mentions(form, u->n, 0);
}

static bool none_mentioned(const struct usage *u, const struct cons *c)
{
        for (; c->count; c = c->tail)
                if (mentioned(u, c->head))
                        return false;
        return true;
}

static bool is_word(val head, const char *const *words, size_t count)
{
        for (size_t i = 0; i < count; i++)
                if (is_symbol(head, words[i]))
                        return true;
        return false;
}
#define IS_WORD(head, words) is_word(head, words, sizeof(words) / sizeof *(words))

/* --- lending ---------------------------------------------------------------------------------- */
static const char *const borrowers[] = { "get",  "count", "contains?", "nth",     "empty?",
                                         "nil?", "not",   "=",         "not=",    "!=",
                                         "keys", "vals",  "map?",      "vector?", "find" };
static const char *const transparent[] = { "if",     "let",  "do",  "when", "when-not",
                                           "if-not", "cond", "and", "or" };

static bool is_special(struct usage *u, val head)
{
        if (head.tag != T_SYMBOL || !as_name(head)->special)
                return false;
        return !special_can_be_shadowed(as_name(head)->special) ||
               !is_shadowed(u->f, as_name(head));
}

static bool only_lent(struct usage *u, val form);

static bool all_only_lent(struct usage *u, const struct cons *c)
{
        for (; c->count; c = c->tail)
                if (!only_lent(u, c->head))
                        return false;
        return true;
}

static bool vector_only_lent(struct usage *u, val v)
{
        for (uint32_t i = 0; i < vec_count(v); i++)
                if (!only_lent(u, vec_at(v, i)))
                        return false;
        return true;
}

/* (get m k absent), (:k m): the variable as the first argument, which is not what comes back. */
static bool borrows(struct usage *u, val form)
{
        val head = at(form, 0);
        bool known = head.tag == T_KEYWORD ||
                     (IS_WORD(head, borrowers) && inline_native(u->f, head) >= 0);
        if (len(form) == 2 && is_symbol(head, "get")) /* the value of that name */
                return false;
        return known && at(form, 1).tag == T_SYMBOL && as_name(at(form, 1)) == u->n;
}

/* Is each mention of the variable in the form a loan? */
static bool only_lent(struct usage *u, val form)
{
        if (!mentioned(u, form))
                return true;
        if (form.tag == T_VECTOR || form.tag == T_MAPFORM)
                return vector_only_lent(u, form);
        if (form.tag != T_LIST || u->depth >= DEPTH_MAX)
                return false;
        val head = at(form, 0);
        if (borrows(u, form))
                return all_only_lent(u, as_cons(rest_of(form, 2)));
        if (is_special(u, head) && !IS_WORD(head, transparent))
                return false;
        u->depth++;
        bool ok = all_only_lent(u, as_cons(form));
        u->depth--;
        return ok;
}

/* --- growing ---------------------------------------------------------------------------------- */
static const char *const growers[] = { "assoc", "conj", "dissoc", "merge" };

static bool is_itself(const struct usage *u, val form)
{
        return form.tag == T_SYMBOL && as_name(form) == u->n;
}

static bool is_grower(struct usage *u, val form)
{
        return form.tag == T_LIST && len(form) > 2 && IS_WORD(at(form, 0), growers) &&
               inline_native(u->f, at(form, 0)) >= 0;
}

static bool next_value(struct usage *u, val form);

/* (assoc x k v ...): x is a next value itself; what comes behind an inner assoc must not look
 * back. */
static bool grows(struct usage *u, val form)
{
        val coll = at(form, 1), rest = rest_of(form, 2);
        if (!is_itself(u, coll))
                return next_value(u, coll) && none_mentioned(u, as_cons(rest));
        u->grows = u->grows || is_symbol(at(form, 0), "assoc");
        return all_only_lent(u, as_cons(rest));
}

/* Forms whose last part is their value and which evaluate the others first. */
static bool last_is_value(struct usage *u, val form, bool (*value)(struct usage *, val))
{
        val head = at(form, 0);
        uint32_t n = len(form), from = is_symbol(head, "do") ? 1 : 2;
        if (n <= from || (from == 2 && !only_lent(u, at(form, 1))))
                return false;
        for (uint32_t i = from; i + 1 < n; i++)
                if (!only_lent(u, at(form, i)))
                        return false;
        return value(u, at(form, n - 1));
}

static bool branches(struct usage *u, val form, bool (*value)(struct usage *, val))
{
        return only_lent(u, at(form, 1)) && value(u, at(form, 2)) &&
               (len(form) < 4 || value(u, at(form, 3)));
}

static bool cond_branches(struct usage *u, val form, bool (*value)(struct usage *, val))
{
        for (struct cons *c = as_cons(form)->tail; c->count > 1; c = c->tail->tail)
                if (!only_lent(u, c->head) || !value(u, c->tail->head))
                        return false;
        return true;
}

/* *ret_known: the form is one of those that hand on the value of a part. */
static bool hands_on(struct usage *u, val form, bool (*value)(struct usage *, val), bool *ret_known)
{
        static const char *const sequences[] = { "do", "let", "when", "when-not" },
                                 *const choices[] = { "if", "if-not" };
        val head = at(form, 0);
        *ret_known =
                is_special(u, head) && u->depth < DEPTH_MAX &&
                (IS_WORD(head, sequences) || IS_WORD(head, choices) || is_symbol(head, "cond"));
        if (!*ret_known)
                return false;
        u->depth++;
        bool ok = IS_WORD(head, sequences) ? last_is_value(u, form, value)
                  : IS_WORD(head, choices) ? branches(u, form, value)
                                           : cond_branches(u, form, value);
        u->depth--;
        return ok;
}

/* Can the form be the variable's own next value? */
static bool next_value(struct usage *u, val form)
{
        bool known = false;
        if (is_itself(u, form) || !mentioned(u, form))
                return true;
        if (is_grower(u, form))
                return grows(u, form);
        if (form.tag != T_LIST)
                return only_lent(u, form);
        bool ok = hands_on(u, form, next_value, &known);
        return known ? ok : only_lent(u, form);
}

/* The other next values: before its own one they may borrow, behind it only when that leaves the
 * variable alone. */
static bool recur_keeps(struct usage *u, val form)
{
        if (len(form) != u->count + 1 || !next_value(u, at(form, 1 + u->index)))
                return false;
        bool same = is_itself(u, at(form, 1 + u->index));
        for (uint32_t i = 0; i < u->count; i++) {
                val next = at(form, 1 + i);
                if (i != u->index &&
                    !(i < u->index || same ? only_lent(u, next) : !mentioned(u, next)))
                        return false;
        }
        return true;
}

/* --- the loop's body -------------------------------------------------------------------------- */
static bool names_recur(val form, int depth)
{
        if (form.tag == T_SYMBOL)
                return is_symbol(form, "recur");
        if (depth > DEPTH_MAX)
                return true;
        if (form.tag == T_LIST)
                for (struct cons *c = as_cons(form); c->count; c = c->tail)
                        if (names_recur(c->head, depth + 1))
                                return true;
        if (form.tag == T_VECTOR || form.tag == T_MAPFORM)
                for (uint32_t i = 0; i < vec_count(form); i++)
                        if (names_recur(vec_at(form, i), depth + 1))
                                return true;
        return false;
}

/* A form in tail position: it comes back through recur, or ends the loop with its value. */
static bool ends_turn(struct usage *u, val form)
{
        bool known = false;
        if (form.tag != T_LIST || !len(form))
                return true;
        if (is_special(u, at(form, 0)) && is_symbol(at(form, 0), "recur"))
                return recur_keeps(u, form);
        bool ok = hands_on(u, form, ends_turn, &known);
        return known ? ok
                     : !names_recur(form, 0) ||
                               (is_special(u, at(form, 0)) && is_symbol(at(form, 0), "loop"));
}

/* Macros can mention anything. */
static bool calls_macro(struct func *f, val form, int depth)
{
        if (depth > DEPTH_MAX)
                return true;
        if (form.tag == T_SYMBOL)
                return as_name(form)->global >= 0 &&
                       f->r->globals[as_name(form)->global].tag == T_MACRO;
        if (form.tag == T_LIST)
                for (struct cons *c = as_cons(form); c->count; c = c->tail)
                        if (calls_macro(f, c->head, depth + 1))
                                return true;
        if (form.tag == T_VECTOR || form.tag == T_MAPFORM)
                for (uint32_t i = 0; i < vec_count(form); i++)
                        if (calls_macro(f, vec_at(form, i), depth + 1))
                                return true;
        return form.tag == T_MAP; /* came out of a macro: not worth looking at */
}

static bool name_is_single(val bindings, uint32_t index)
{
        for (uint32_t i = 0; i < vec_count(bindings); i += 2)
                if (i != 2 * index &&
                    mentions(vec_at(bindings, i), as_name(vec_at(bindings, 2 * index)), 0))
                        return false;
        return true;
}

bool grows_in_place(struct func *f, val bindings, uint32_t index, val forms)
{
        val variable = vec_at(bindings, 2 * index);
        if (variable.tag != T_SYMBOL || len(forms) != 1 || !name_is_single(bindings, index))
                return false;
        struct usage u = {
                .f = f, .n = as_name(variable), .index = index, .count = vec_count(bindings) / 2
        };
        val body = at(forms, 0);
        return mentioned(&u, body) && !calls_macro(f, body, 0) && ends_turn(&u, body) && u.grows;
}
