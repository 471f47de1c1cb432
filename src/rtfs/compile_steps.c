/* SPDX-License-Identifier: Apache-2.0 */
/* The step family (spec 3.16): work bracketed by events. Shape errors are run-time errors, as
 * programs rely on. */
#include <rtfs/compile.h>

/* --- steps (3.16) ----------------------------------------------------------------------------- */
struct step {
        uint8_t id, error; /* registers; error follows id */
        val expose, keys, params;
        val demand; /* MAP of with-security-profile, else NIL */
        /* It may run in a cell of its own (natives_misc.c): context and types follow error. */
        bool cell;
        uint8_t context;
        /* It has a stream of its own for what is drawn in it, or each of its branches has; its mark */
        bool streams;
        uint8_t mark;
        /* step-parallel: the exposure was set behind the start, so it ends before the failure is
         * told */
        bool exposed_inside;
        val rest;          /* LIST of body forms */
        char problem[160]; /* InvalidArguments text, or "" */
};

static bool all_strings(val v)
{
        for (uint32_t i = 0; i < vec_count(v); i++)
                if (vec_at(v, i).tag != T_STRING)
                        return false;
        return true;
}

/* One option at the head of st->rest; false: the body starts here. */
static bool step_option(struct step *st, bool params_allowed)
{
        val k = at(st->rest, 0), v = at(st->rest, 1);
        if (len(st->rest) < 2 || k.tag != T_KEYWORD)
                return false;
        struct mv_slice word = name_slice(k);
        if (mv_slice_eq_str(word, "expose-context") && (v.tag == T_TRUE || v.tag == T_FALSE)) {
                st->expose = v;
        } else if (mv_slice_eq_str(word, "context-keys") && v.tag == T_VECTOR) {
                if (!all_strings(v))
                        mv_fmt(st->problem, sizeof st->problem,
                               "expected vector of strings for :context-keys, got a different "
                               "type");
                st->keys = v;
        } else if (params_allowed && mv_slice_eq_str(word, "params") && v.tag == T_MAPFORM) {
                for (uint32_t i = 0; i < as_vec(v)->count; i += 2)
                        if (vec_at(v, i).tag != T_STRING)
                                mv_fmt(st->problem, sizeof st->problem,
                                       "expected string keys in :params map, got a different type");
                st->params = v;
        } else {
                return false;
        }
        st->rest = rest_of(st->rest, 2);
        return true;
}

static enum native_status step_open(struct func *f, struct step *st, const char *name,
                                    val name_value)
{
        uint8_t a, b;
        uint32_t free;
        TRY(new_reg(f, &st->id));
        TRY(new_reg(f, &st->error));
        if (st->cell) {
                TRY(new_reg(f, &st->context));
                TRY(new_reg(f, &a));
        }
        free = f->free;
        if (st->expose.tag != T_NIL) {
                val keys = NIL;
                TRY(new_reg(f, &a));
                TRY(new_reg(f, &b));
                if (st->keys.tag == T_VECTOR)
                        TRY(data_form(f, st->keys, &keys));
                TRY(load_const(f, st->expose, a));
                TRY(load_const(f, keys, b));
                TRY(native_call(f, "%expose", a, a, 2));
        }
        if (name) {
                name_value = string_from(f->r, name);
                if (nomem(name_value))
                        return N_NOMEM;
        }
        TRY(load_const(f, name_value, st->id));
        if (st->demand.tag != T_NIL) /* error follows id, and is not in use yet */
                TRY(load_const(f, st->demand, st->error));
        TRY(native_call(f, "%step-started", st->id, st->id,
                        st->cell                  ? 4
                        : st->demand.tag != T_NIL ? 2
                                                  : 1));
        f->free = free;
        return N_OK;
}

static enum native_status step_clear(struct func *f, const struct step *st)
{
        uint8_t a;
        if (st->expose.tag == T_NIL)
                return N_OK;
        TRY(new_reg(f, &a));
        return native_call(f, "%clear-expose", a, a, 0);
}

/* Before the step starts: the mark that its branches are entered with. */
static enum native_status stream_open(struct func *f, struct step *st)
{
        st->streams = true;
        TRY(new_reg(f, &st->mark));
        return native_call(f, "%stream-next", st->mark, st->mark, 0);
}

static enum native_status stream_branch(struct func *f, const struct step *st, uint32_t index)
{
        uint8_t a, b;
        uint32_t free = f->free;
        TRY(new_reg(f, &a));
        TRY(new_reg(f, &b));
        TRY(emit(f, OP_WORD(OP_MOVE, a, st->mark, 0)));
        TRY(load_const(f, INT((int64_t)index), b));
        TRY(native_call(f, "%stream-enter", a, a, 2));
        f->free = free;
        return N_OK;
}

static enum native_status stream_close(struct func *f, const struct step *st, uint8_t scratch)
{
        if (!st->streams)
                return N_OK;
        TRY(emit(f, OP_WORD(OP_MOVE, scratch, st->mark, 0)));
        return native_call(f, "%stream-leave", scratch, scratch, 1);
}

/* Success: completed event; failure anywhere in [from, here): failed event and on with the error
 * (R-26). */
static enum native_status step_close(struct func *f, const struct step *st, uint32_t from,
                                     uint8_t value)
{
        uint32_t done, free = f->free;
        uint8_t a, b, kept[3], more = st->cell ? 2 : 0;
        uint32_t to = f->code.count;
        TRY(new_reg(f, &a));
        TRY(new_reg(f, &b));
        for (int i = 0; st->cell && i < 3; i++)
                TRY(new_reg(f, &kept[i]));
        /* before its end is told: where it runs elsewhere, what it used is known from there */
        TRY(stream_close(f, st, a));
        for (uint8_t i = 0; i < more; i++)
                TRY(emit(f, OP_WORD(OP_MOVE, kept[i], st->context + i, 0)));
        TRY(emit(f, OP_WORD(OP_MOVE, a, st->id, 0)));
        TRY(emit(f, OP_WORD(OP_MOVE, b, value, 0)));
        TRY(native_call(f, "%step-completed", a, a, 2 + more));
        TRY(step_clear(f, st));
        TRY(jump(f, &done));
        TRY(add_handler(f, from, to, f->code.count, st->error));
        if (st->exposed_inside)
                TRY(native_call(f, "%clear-expose", a, a, 0));
        TRY(stream_close(f, st, a));
        TRY(emit(f, OP_WORD(OP_MOVE, a, st->id, 0)));
        TRY(native_call(f, "%error-text", b, st->error, 1));
        for (uint8_t i = 0; i < more; i++)
                TRY(emit(f, OP_WORD(OP_MOVE, kept[i], st->context + i, 0)));
        if (st->cell)
                TRY(emit(f, OP_WORD(OP_MOVE, kept[2], st->error, 0)));
        TRY(native_call(f, "%step-failed", a, a, st->cell ? 5 : 2));
        TRY(step_clear(f, st));
        TRY(emit(f, OP_WORD(OP_RERAISE, st->error, 0, 0)));
        patch_here(f, done);
        f->free = free;
        return N_OK;
}

static enum native_status step_params(struct func *f, struct step *st, uint8_t *ret_reg)
{
        TRY(new_reg(f, ret_reg));
        uint32_t from = f->code.count, skip;
        TRY(expr(f, st->params, *ret_reg, false));
        TRY(jump(f, &skip));
        TRY(add_handler(f, from, f->code.count, f->code.count, *ret_reg));
        TRY(native_call(f, "%param-error", *ret_reg, *ret_reg, 1));
        patch_here(f, skip);
        return N_OK;
}

enum native_status step_form(struct func *f, val form, uint8_t dst)
{
        struct step st = { .expose = NIL, .keys = NIL, .params = NIL, .demand = NIL };
        val name = at(form, 1);
        uint8_t params = 0;
        if (len(form) < 2 || name.tag != T_STRING)
                return raise_op(f, E_INVALID_ARGUMENTS,
                                "expected step name as string, got a different type");
        st.rest = rest_of(form, 2);
        while (!st.problem[0] && step_option(&st, true))
                ;
        if (st.problem[0])
                return raise_op(f, E_INVALID_ARGUMENTS, "%s", st.problem);
        struct scope s = { 0 };
        bool framed = st.params.tag != T_NIL;
        if (framed) {
                s = scope_open(f);
                TRY(step_params(f, &st, &params));
        }
        TRY(step_open(f, &st, NULL, name));
        uint32_t from = f->code.count;
        if (framed) {
                struct name *n = name_intern(f->r, MV_SLICE("%params"));
                if (!n)
                        return N_NOMEM;
                TRY(new_var(f, n, params, false));
                TRY(declare_defs(f, st.rest));
        }
        TRY(body(f, st.rest, dst, false));
        TRY(step_close(f, &st, from, dst));
        if (framed)
                scope_close(f, s);
        return N_OK;
}

/* Does a demand ask for a wall? Then the step may run in another cell. */
static bool asks_wall(struct func *f, val demand)
{
        static const char *const spellings[] = { "isolation-level", "isolation_level" };
        for (size_t i = 0; i < 2; i++) {
                val found = NIL, key = keyword_new(f->r, mv_slice_str(spellings[i]));
                if (!nomem(key) && map_get(demand, key, &found))
                        return found.tag != T_KEYWORD ||
                               !mv_slice_eq_str(name_slice(found), "inherit");
        }
        return false;
}

/* As a function without a name would: what it defines is its own, its value is data. Where it ran elsewhere there is no id,
 * and its value stands where the context would be kept. */
static enum native_status cell_form(struct func *f, struct step *st, uint8_t dst)
{
        uint32_t here, end, from;
        struct scope s = scope_open(f);
        TRY(stream_open(f, st));
        TRY(step_open(f, st, "with-security-profile", NIL));
        TRY(emit_jump(f, OP_WORD(OP_JT, st->id, 0, 0), &here));
        TRY(emit(f, OP_WORD(OP_MOVE, dst, st->context, 0)));
        TRY(jump(f, &end));
        patch_here(f, here);
        TRY(stream_branch(f, st, 0));
        from = f->code.count;
        TRY(declare_defs(f, st->rest));
        TRY(body(f, st->rest, dst, false));
        TRY(native_call(f, "%step-value", dst, dst, 1));
        TRY(step_close(f, st, from, dst));
        patch_here(f, end);
        scope_close(f, s);
        return N_OK;
}

/* What is demanded is data, so that it can be found without running anything; what it means is the
 * host's business. */
enum native_status security_profile_form(struct func *f, val form, uint8_t dst)
{
        struct step st = { .expose = NIL, .keys = NIL, .params = NIL, .demand = NIL };
        if (len(form) < 2 || at(form, 1).tag != T_MAPFORM)
                return raise_op(f, E_INVALID_ARGUMENTS,
                                "expected a map of what the profile demands, got a different type");
        TRY(data_form(f, at(form, 1), &st.demand));
        if (st.demand.tag != T_MAP)
                return raise_op(f, E_INVALID_ARGUMENTS,
                                "expected keywords, strings or integers as keys of a profile");
        st.rest = rest_of(form, 2);
        st.cell = asks_wall(f, st.demand);
        if (st.cell)
                return cell_form(f, &st, dst);
        TRY(step_open(f, &st, "with-security-profile", NIL));
        uint32_t from = f->code.count;
        TRY(body(f, st.rest, dst, false));
        return step_close(f, &st, from, dst);
}

enum native_status step_if_form(struct func *f, val form, uint8_t dst)
{
        struct step st = {
                .expose = NIL, .keys = NIL, .params = NIL, .demand = NIL, .rest = rest_of(form, 1)
        };
        while (!st.problem[0] && step_option(&st, false))
                ;
        if (st.problem[0])
                return raise_op(f, E_INVALID_ARGUMENTS, "%s", st.problem);
        if (len(st.rest) < 2)
                return raise_op(f, E_INVALID_ARGUMENTS,
                                "expected at least 2 (condition then-branch [else-branch]), got %u",
                                len(st.rest));
        uint32_t to_else, to_end, from;
        TRY(step_open(f, &st, "step-if", NIL));
        from = f->code.count;
        TRY(expr(f, at(st.rest, 0), dst, false));
        TRY(native_call(f, "%step-falsy", dst, dst, 1));
        TRY(emit_jump(f, OP_WORD(OP_JT, dst, 0, 0), &to_else));
        TRY(expr(f, at(st.rest, 1), dst, false));
        TRY(jump(f, &to_end));
        patch_here(f, to_else);
        TRY(expr(f, at(st.rest, 2), dst, false));
        patch_here(f, to_end);
        return step_close(f, &st, from, dst);
}

enum native_status step_loop_form(struct func *f, val form, uint8_t dst)
{
        struct step st = {
                .expose = NIL, .keys = NIL, .params = NIL, .demand = NIL, .rest = rest_of(form, 1)
        };
        while (!st.problem[0] && step_option(&st, false))
                ;
        if (st.problem[0])
                return raise_op(f, E_INVALID_ARGUMENTS, "%s", st.problem);
        if (len(st.rest) != 2)
                return raise_op(f, E_INVALID_ARGUMENTS, "expected 2 (condition body), got %u",
                                len(st.rest));
        uint32_t end, from, start;
        uint8_t turns, test;
        TRY(step_open(f, &st, "step-loop", NIL));
        TRY(new_reg(f, &turns));
        TRY(new_reg(f, &test));
        TRY(emit(f, OP_WIDE(OP_LOADI, turns, 0)));
        TRY(emit(f, OP_WORD(OP_LOADNIL, dst, 0, 0)));
        start = from = f->code.count;
        TRY(expr(f, at(st.rest, 0), test, false));
        TRY(native_call(f, "%step-falsy", test, test, 1));
        TRY(emit_jump(f, OP_WORD(OP_JT, test, 0, 0), &end));
        TRY(native_call(f, "%step-turn", turns, turns, 1));
        TRY(expr(f, at(st.rest, 1), dst, false));
        TRY(emit_loop(f, start));
        patch_here(f, end);
        return step_close(f, &st, from, dst);
}

static const char *const merge_policies[] = { "keep-existing", "keep_existing", "parent-wins",
                                              "parent_wins",   "overwrite",     "child-wins",
                                              "child_wins",    "merge" };

static bool parallel_option(struct step *st)
{
        val k = at(st->rest, 0), v = at(st->rest, 1);
        if (len(st->rest) < 2 || k.tag != T_KEYWORD ||
            !mv_slice_eq_str(name_slice(k), "merge-policy"))
                return step_option(st, false);
        struct mv_slice text = v.tag == T_STRING    ? string_slice(v)
                               : v.tag == T_KEYWORD ? name_slice(v)
                                                    : MV_SLICE("");
        bool known = false;
        for (size_t i = 0; i < sizeof merge_policies / sizeof *merge_policies; i++)
                known = known || mv_slice_eq_str(text, merge_policies[i]);
        if (!known)
                mv_fmt(st->problem, sizeof st->problem,
                       "expected :keep-existing | :overwrite | :merge, got %.*s", MV_SARG(text));
        st->rest = rest_of(st->rest, 2);
        return true;
}

enum native_status step_parallel_form(struct func *f, val form, uint8_t dst)
{
        struct step st = {
                .expose = NIL, .keys = NIL, .params = NIL, .demand = NIL, .rest = rest_of(form, 1)
        };
        while (!st.problem[0] && parallel_option(&st))
                ;
        if (st.problem[0])
                return raise_op(f, E_INVALID_ARGUMENTS, "%s", st.problem);
        if (!len(st.rest))
                return raise_op(f, E_INVALID_ARGUMENTS,
                                "expected at least 1 expression to execute in parallel, got 0");
        /* Its own order of notifications: started, exposure, branches, exposure off, completed. */
        struct step inner = st;
        st.expose = NIL;
        st.exposed_inside = inner.expose.tag != T_NIL;
        TRY(stream_open(f, &st));
        TRY(step_open(f, &st, "step-parallel", NIL));
        uint8_t builder, item;
        TRY(new_reg(f, &builder));
        TRY(new_reg(f, &item));
        uint32_t from = f->code.count;
        if (inner.expose.tag != T_NIL) {
                val keys = NIL;
                if (inner.keys.tag == T_VECTOR)
                        TRY(data_form(f, inner.keys, &keys));
                TRY(load_const(f, inner.expose, builder));
                TRY(load_const(f, keys, item));
                TRY(native_call(f, "%expose", builder, builder, 2));
        }
        TRY(native_call(f, "%builder", builder, builder, 0));
        uint32_t index = 0;
        for (struct cons *c = as_cons(st.rest); c->count; c = c->tail) {
                TRY(stream_branch(f, &st, index++));
                struct scope s = scope_open(f); /* each branch in a frame of its own */
                val one = list_new(f->r, &c->head, 1);
                if (nomem(one))
                        return N_NOMEM;
                TRY(declare_defs(f, one));
                TRY(expr(f, c->head, item, false));
                TRY(native_call(f, "%push!", builder, builder, 2));
                scope_close(f, s);
        }
        TRY(emit(f, OP_WORD(OP_MOVE, dst, builder, 0)));
        if (inner.expose.tag != T_NIL)
                TRY(native_call(f, "%clear-expose", item, item, 0));
        return step_close(f, &st, from, dst);
}
