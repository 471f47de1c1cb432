/* SPDX-License-Identifier: Apache-2.0 */
/* JSON, error values, the context, and what the compiler emits for steps and hints
 * (spec 3.15, 3.16, 6.3, 7.8).
 *
 * An event cannot be taken back: every builtin that emits one has allocated everything before, so
 * that running out of memory repeats nothing (value.h, invariant 3). */
#include <base/slice.h>
#include <rtfs/json.h>
#include <rtfs/library.h>

/* --- JSON ------------------------------------------------------------------------------------- */
static enum native_status serialize(struct mv_rtfs *r, val v, bool pretty, val *ret)
{
        struct mv_out o = scratch(r);
        TRY(json_write(r, &o, v, pretty));
        if (charge(r, o.len / 8))
                return N_FATAL;
        return give(ret, string_from_scratch(r, &o));
}

static enum native_status serialize_json(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        return serialize(r, args[0], false, ret);
}

static enum native_status serialize_json_pretty(struct mv_rtfs *r, val *args, uint32_t count,
                                                val *ret)
{
        return serialize(r, args[0], true, ret);
}

static enum native_status parse_json(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        if (args[0].tag != T_STRING)
                return raise_type(r, "tool/parse-json", "string", args[0]);
        if (charge(r, as_string(args[0])->len / 4))
                return N_FATAL;
        return json_read(r, string_slice(args[0]), ret);
}

/* --- error values ----------------------------------------------------------------------------- */
static enum native_status get_message(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        if (args[0].tag != T_ERROR)
                return raise_type(r, "getMessage", "error", args[0]);
        return give(ret, as_error(args[0])->message);
}

static enum native_status application_error(struct mv_rtfs *r, val message, val data, val *ret)
{
        TRY(text_of(r, message, &message));
        val prefix = string_from(r, "Application error (:user): ");
        val error = error_new(r, E_APPLICATION, string_slice(message), data), display;
        if (nomem(prefix) || nomem(error))
                return N_NOMEM;
        val parts[2] = { prefix, message };
        TRY(display_string(r, parts, 2, NULL, true, &display));
        as_error(error)->display = display;
        return give(ret, error);
}

/* (Exception. message data?) makes a value, it does not raise. */
static enum native_status exception(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        return application_error(r, args[0], count > 1 ? args[1] : NIL, ret);
}

enum native_status throw_value(struct mv_rtfs *r, val v)
{
        if (v.tag != T_ERROR)
                TRY(application_error(r, v, v, &v));
        return raise_value(r, v);
}

/* --- keyword lookup --------------------------------------------------------------------------- */
/* CamelCase of a kind the host made up, as a keyword: "BudgetSpent" is :budget-spent. */
static val kebab_keyword(struct mv_rtfs *r, struct mv_slice name)
{
        uint8_t text[128];
        struct mv_out o = mv_out(text, sizeof text);
        for (size_t i = 0; i < name.len; i++) {
                bool upper = name.p[i] - (unsigned)'A' < 26u;
                if (upper && i)
                        mv_put_u8(&o, '-');
                mv_put_u8(&o, upper ? name.p[i] | 0x20 : name.p[i]);
        }
        return keyword_new(r, mv_out_slice(&o));
}

static val kind_keyword(struct mv_rtfs *r, const struct error *e)
{
        static const char *const keywords[] = {
#define X(id, name, keyword) keyword,
                ERROR_KIND_MAP(X)
#undef X
        };
        if (e->kind != E_OTHER)
                return keyword_new(r, mv_slice_str(keywords[e->kind]));
        return kebab_keyword(r, e->name.tag == T_STRING ? string_slice(e->name)
                                                        : mv_slice("other", 5));
}

static enum native_status error_lookup(struct mv_rtfs *r, val key, const struct error *e,
                                       val missing, val *ret)
{
        struct mv_slice name = name_slice(key);
        if (mv_slice_eq_str(name, "message"))
                return give(ret, e->message);
        if (mv_slice_eq_str(name, "kind"))
                return give(ret, kind_keyword(r, e));
        return give(ret, mv_slice_eq_str(name, "data") ? e->data : missing);
}

enum native_status keyword_lookup(struct mv_rtfs *r, val key, const val *args, uint32_t count,
                                  val *ret)
{
        if (count < 1 || count > 2) {
                char name[128], function[130];
                mv_fmt(function, sizeof function, ":%s", c_text(name, sizeof name, key));
                return raise_arity(r, function, "1 or 2", count);
        }
        val found = count > 1 ? args[1] : NIL;
        if (args[0].tag == T_ERROR)
                return error_lookup(r, key, as_error(args[0]), found, ret);
        if (args[0].tag == T_MAP)
                map_get(args[0], key, &found);
        else if (args[0].tag != T_NIL)
                return raise_type(r, "keyword lookup", "map", args[0]);
        return give(ret, found);
}

/* --- context ---------------------------------------------------------------------------------- */
/* Names of every kind are one text. */
static enum native_status context_key(struct mv_rtfs *r, val v, val *ret)
{
        if (v.tag == T_STRING)
                return give(ret, v);
        if (v.tag == T_KEYWORD || v.tag == T_SYMBOL)
                return give(ret, string_new(r, name_slice(v)));
        return raise_type(r, "context key", "string, keyword, or symbol", v);
}

static enum native_status context_get(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        val key, found = NIL;
        TRY(context_key(r, args[0], &key));
        map_get(r->context, key, &found);
        return give(ret, found);
}

static enum native_status context_set(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        val set[2] = { NIL, args[1] };
        TRY(context_key(r, args[0], &set[0]));
        val context = map_put(r, r->context, set[0], set[1]);
        if (nomem(context))
                return N_NOMEM;
        TRY(emit_event(r, "ctx-set", set, 2));
        r->context = context;
        return give(ret, NIL);
}

/* --- steps ------------------------------------------------------------------------------------ */
/* (%step-started name demand?) gives the step's id: "a1", "a2", ... */
static enum native_status step_started(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        char text[24];
        mv_fmt(text, sizeof text, "a%lu", (unsigned long)(r->step_count + 1));
        val id = string_from(r, text);
        if (nomem(id))
                return N_NOMEM;
        TRY(emit_event(r, "step-started", args, count));
        r->step_count++;
        return give(ret, id);
}

static enum native_status emit(struct mv_rtfs *r, const char *event, const val *args,
                               uint32_t count, val *ret)
{
        TRY(emit_event(r, event, args, count));
        return give(ret, NIL);
}

static enum native_status step_completed(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        return emit(r, "step-completed", args, 2, ret);
}

static enum native_status step_failed(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        return emit(r, "step-failed", args, 2, ret);
}

static enum native_status expose(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        return emit(r, "expose", args, 2, ret);
}

static enum native_status clear_expose(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        return emit(r, "clear-expose", args, 0, ret);
}

static enum native_status hint(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        val items[2] = { NIL, args[1] };
        TRY(context_key(r, args[0], &items[0]));
        return emit(r, "hint", items, 2, ret);
}

static enum native_status clear_hints(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        return emit(r, "clear-hints", args, 0, ret);
}

/* The wide falsy set of step-if and step-loop (spec 2.2); an empty list is truthy. */
static bool is_step_falsy(val v)
{
        switch (v.tag) {
        case T_NIL:
        case T_FALSE:
                return true;
        case T_INT:
                return v.i == 0;
        case T_FLOAT:
                return v.f == 0.0;
        case T_STRING:
                return as_string(v)->len == 0;
        case T_VECTOR:
                return vec_count(v) == 0;
        case T_MAP:
                return map_count(v) == 0;
        default:
                return false;
        }
}

static enum native_status step_falsy(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        return give(ret, BOOL(is_step_falsy(args[0])));
}

/* --- the rest --------------------------------------------------------------------------------- */
static enum native_status process_data(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        return give(ret, args[0]);
}

/* A name that programs expect and the language cannot serve: files are capabilities. */
static enum native_status read_file(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        return raise_fmt(r, E_GENERIC, "%s",
                         "read-file is not supported in RTFS core. Use ccos.io.read-file or host "
                         "delegation.");
}

const struct native natives_misc[] = {
        { "serialize-json", 1, 1, serialize_json, "A value as compact JSON text.",
          "(serialize-json {:b 2 :a 1})", "\"{\"a\":1,\"b\":2}\"", "value", "string",
          "Generic: a part has no JSON form: function, symbol, keyword as a value, error, NaN, "
          "infinity" },
        { "tool/serialize-json", 1, 1, serialize_json, "The same as serialize-json.",
          "(tool/serialize-json [1])", "\"[1]\"", "value", "string", "as serialize-json" },
        { "serialize-json-pretty", 1, 1, serialize_json_pretty, "A value as indented JSON text.",
          "(serialize-json-pretty [])", "\"[]\"", "value", "string", "as serialize-json" },
        { "tool/serialize-json-pretty", 1, 1, serialize_json_pretty,
          "The same as serialize-json-pretty.", "(tool/serialize-json-pretty {})", "\"{}\"",
          "value", "string", "as serialize-json" },
        { "parse-json", 1, 1, parse_json, "The value of a JSON text; objects have string keys.",
          "(parse-json \"[1, {}]\")", "[1 {}]", "string", "value",
          "TypeError: not a string; Generic: not JSON, with line and column" },
        { "tool/parse-json", 1, 1, parse_json, "The same as parse-json.",
          "(tool/parse-json \"null\")", "nil", "string", "value", "as parse-json" },
        { "getMessage", 1, 1, get_message, "The message of an error value.",
          "(getMessage (Exception. \"made\"))", "\"made\"", "error", "string",
          "TypeError: not an error value" },
        { "Exception.", 1, -1, exception,
          "An error value with a message and data; it is not thrown.", "(Exception. \"oops\")",
          "#<error: oops>", "message data?", "error value of the kind ApplicationError", "none" },
        { "context/get", 1, 1, context_get, "A value of the host's context, or nil.",
          "(context/get :unset)", "nil", "key", "value or nil",
          "TypeError: the key is no string, keyword or symbol" },
        { "context/set", 2, 2, context_set, "Put a value into the context of this execution.",
          "(context/set :k 5)", "nil", "key value", "nil",
          "TypeError: the key is no string, keyword or symbol" },
        { "process-data", 1, 1, process_data, "The argument itself.", "(process-data 1)", "1",
          "value", "the argument", "none" },
        { "read-file", 1, 1, read_file, "Always an error: files are capabilities.",
          "(try (read-file \"x\") (catch e :no))", ":no", "path", "nothing: it always raises",
          "Generic" },
        { "%hint", 2, 2, hint, NULL, NULL, NULL },
        { "%clear-hints", 0, 0, clear_hints, NULL, NULL, NULL },
        { "%step-started", 1, 2, step_started, NULL, NULL, NULL },
        { "%step-completed", 2, 2, step_completed, NULL, NULL, NULL },
        { "%step-failed", 2, 2, step_failed, NULL, NULL, NULL },
        { "%expose", 2, 2, expose, NULL, NULL, NULL },
        { "%clear-expose", 0, 0, clear_expose, NULL, NULL, NULL },
        { "%step-falsy", 1, 1, step_falsy, NULL, NULL, NULL },
        { 0 },
};
