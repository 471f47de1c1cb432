/* SPDX-License-Identifier: Apache-2.0 */
/* Builtins that belong to the machine: calls to the host, and what the compiler emits for names
 * and steps. */
#include <base/limits.h>
#include <rtfs/library.h>
#include <rtfs/vm.h>

enum native_status call_host(struct mv_rtfs *r, val id, const val *args, uint32_t count)
{
        if (as_string(id)->len > MV_ID_MAX)
                return raise_fmt(r, E_UNKNOWN_CAPABILITY, "an id of %u bytes, at most %u",
                                 as_string(id)->len, MV_ID_MAX);
        val v = vec_new(r, args, count);
        if (nomem(v))
                return N_NOMEM;
        r->call_id = id;
        r->call_args = v;
        return N_CALL;
}

/* (call id arg*): the one door to effects (spec 5.1). Suspends; the reply becomes the value. */
static enum native_status n_call(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        if (count == 0)
                return raise_arity(r, "call", "at least 1", 0);
        val id = args[0];
        if (id.tag != T_STRING && id.tag != T_KEYWORD)
                return raise_type(r, "call", "string or keyword", id);
        if (id.tag == T_KEYWORD)
                id = string_new(r, name_slice(id));
        if (nomem(id))
                return N_NOMEM;
        *ret = NIL;
        return call_host(r, id, args + 1, count - 1);
}

static val by_text(struct mv_rtfs *r, val map, val text, val absent)
{
        (void)r;
        val out = absent;
        map_get(map, text, &out);
        return out;
}

/* (get :name): binding, host context, nil (3.13). args: STRING. */
static enum native_status n_get_name(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        (void)count;
        if (args[0].tag != T_STRING)
                return raise_type(r, "get", "keyword or symbol", args[0]);
        struct name *n = name_intern(r, string_slice(args[0]));
        if (!n)
                return N_NOMEM;
        if (n->global >= 0 && r->globals[n->global].tag < T_MACRO)
                *ret = r->globals[n->global];
        else
                *ret = by_text(r, r->context, args[0], NIL);
        return N_OK;
}

/* @name: the host's value, or the text "@name" (3.14). */
static enum native_status n_context_ref(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        (void)count;
        val found = args[0].tag == T_STRING ? by_text(r, r->context, args[0], UNBOUND) : NIL;
        if (found.tag != T_UNBOUND) {
                *ret = found;
                return N_OK;
        }
        val parts[2] = { string_from(r, "@"), args[0] };
        return nomem(parts[0]) ? N_NOMEM : display_string(r, parts, 2, "", true, ret);
}

static enum native_status n_dotimes_count(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        (void)count;
        if (args[0].tag != T_INT)
                return raise_type(r, "dotimes", "integer", args[0]);
        *ret = args[0];
        return N_OK;
}

static enum native_status n_step_turn(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        (void)count;
        if (args[0].tag != T_INT || args[0].i >= MV_STEP_LOOP_MAX)
                return raise_fmt(r, E_GENERIC, "Loop exceeded maximum iterations (%d)",
                                 MV_STEP_LOOP_MAX);
        *ret = INT(args[0].i + 1);
        return N_OK;
}

static enum native_status n_error_text(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        (void)count;
        if (args[0].tag != T_ERROR)
                return raise_type(r, "error text", "error", args[0]);
        *ret = as_error(args[0])->display;
        return N_OK;
}

/* An error in a step's :params becomes a Generic one (3.16); any other value passes. */
static enum native_status n_param_error(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        (void)count;
        (void)ret;
        if (args[0].tag != T_ERROR)
                return raise_type(r, "error text", "error", args[0]);
        struct mv_slice t = string_slice(as_error(args[0])->display);
        return raise_fmt(r, E_GENERIC, "ParamBinding: %.*s", MV_SARG(t));
}

static enum native_status n_throw(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        (void)count;
        (void)ret;
        return throw_value(r, args[0]);
}

static enum native_status n_to_list(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        (void)count;
        if (args[0].tag != T_VECTOR)
                return raise_type(r, "list", "vector", args[0]);
        uint32_t n = vec_count(args[0]);
        enum native_status s = charge(r, n / 8);
        if (s)
                return s;
        val l = list_empty(r);
        while (n-- && !nomem(l))
                l = list_cons(r, vec_at(args[0], n), l);
        *ret = l;
        return nomem(l) ? N_NOMEM : N_OK;
}

/* ~@x: the elements of a list, vector or nil. A whole copy: a second attempt after a collection
 * starts from scratch. */
static enum native_status n_splice(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        (void)count;
        val items = args[1];
        if (items.tag == T_NIL) {
                *ret = args[0];
                return N_OK;
        }
        if (items.tag != T_LIST && items.tag != T_VECTOR)
                return raise_type(r, "unquote-splicing", "list, vector, or nil", items);
        enum native_status s = seq_vector(r, items, &items);
        val v = args[0];
        if (s || v.tag != T_VECTOR)
                return s ? s : raise_type(r, "unquote-splicing", "vector", v);
        if ((s = charge(r, vec_count(items) / 8)))
                return s;
        for (uint32_t i = 0; i < vec_count(items) && !nomem(v); i++)
                v = vec_conj(r, v, vec_at(items, i));
        *ret = v;
        return nomem(v) ? N_NOMEM : N_OK;
}

const struct native natives_core[] = {
        { "call", -1, -1, n_call, "Ask the host for a capability, the one door to effects.",
          "(try (call 5) (catch e (:kind e)))", ":type-error", "id argument*", "the host's reply",
          "TypeError: the id is no string or keyword; what the host answers: SecurityViolation, "
          "UnknownCapability, or the capability's own error" },
        { "apply", -1, -1, NULL,
          "Call f with the elements of the last argument as further arguments.",
          "(apply + 1 [2 3])", "6", "f argument* coll", "what f gives",
          "TypeError: coll is no vector, list, map, string or nil; StackOverflow: more arguments "
          "than there is room" },
        { "throw", 1, 1, n_throw,
          "Raise an error value, or an ApplicationError that carries any other value.",
          "(try (throw \"x\") (catch e (:message e)))", "\"x\"", "value", "nothing: it raises",
          "the error value itself; ApplicationError for any other value" },
        { "%get-name", 1, 1, n_get_name, NULL, NULL, NULL },
        { "%context-ref", 1, 1, n_context_ref, NULL, NULL, NULL },
        { "%dotimes-count", 1, 1, n_dotimes_count, NULL, NULL, NULL },
        { "%step-turn", 1, 1, n_step_turn, NULL, NULL, NULL },
        { "%error-text", 1, 1, n_error_text, NULL, NULL, NULL },
        { "%param-error", 1, 1, n_param_error, NULL, NULL, NULL },
        { "%to-list", 1, 1, n_to_list, NULL, NULL, NULL },
        { "%splice", 2, 2, n_splice, NULL, NULL, NULL },
        { NULL, 0, 0, NULL, NULL, NULL, NULL },
};
