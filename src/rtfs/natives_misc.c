/* SPDX-License-Identifier: Apache-2.0 */
/* JSON, error values, the context, and what the compiler emits for steps and hints
 * (spec 3.15, 3.16, 6.3, 7.8).
 *
 * An event cannot be taken back: every builtin that emits one has allocated everything before, so
 * that running out of memory repeats nothing (value.h, invariant 3). */
#include <base/limits.h>
#include <base/slice.h>
#include <rtfs/json.h>
#include <rtfs/library.h>
#include <wire/cbor.h>

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
/* A step with a wall of its own (:isolation-level) may run in another cell, so nothing but its value or its error leaves
 * it, wherever it runs: definitions in it are local (compile_steps.c), what it sets in the context and the types it names
 * are gone when it ends, and both value and error are data. */
#define CELL_ARGS 4 /* of %step-started, %step-completed: ... context types */

/* [kind message display data operation capability context place] */
static enum native_status error_of(struct mv_rtfs *r, val v, val *ret)
{
        val kind = vec_count(v) == 8 ? vec_at(v, 0) : NIL;
        for (uint32_t i = 0; i < 3 && vec_count(v) == 8; i++)
                if (vec_at(v, i).tag != T_STRING)
                        kind = NIL;
        if (kind.tag != T_STRING || vec_at(v, 7).tag != T_INT)
                return raise_fmt(r, E_INTERNAL, "the host's account of a step is no error");
        val e = error_new(r, error_kind_of(string_slice(kind)), string_slice(vec_at(v, 1)),
                          vec_at(v, 3));
        if (nomem(e))
                return N_NOMEM;
        struct error *x = as_error(e);
        x->name = x->kind == E_OTHER ? kind : NIL;
        x->display = vec_at(v, 2);
        x->operation = vec_at(v, 4);
        x->capability = vec_at(v, 5);
        x->context = vec_at(v, 6);
        x->pos = (uint32_t)vec_at(v, 7).i;
        return give(ret, e);
}

/* The step ran elsewhere: gives nil instead of an id, and the value behind the demand. */
static enum native_status step_ran(struct mv_rtfs *r, val *args, val *ret)
{
        struct mv_err err;
        val v, error;
        enum native_status s = decode_value(r, r->step_ran, &v, &err);
        if (s == N_NOMEM)
                return s;
        bool ok = s == N_OK && v.tag == T_VECTOR && vec_count(v) == 5;
        bool counted = ok && vec_at(v, 0).tag != T_NIL; /* else it was refused, and nothing ran */
        for (uint32_t i = 0; ok && i < 3; i++)
                ok = vec_at(v, i).tag == (counted ? T_INT : T_NIL);
        bool failed = ok && vec_at(v, 3).tag == T_TRUE;
        ok = ok && (!failed || vec_at(v, 4).tag == T_VECTOR);
        if (failed && ok)
                TRY(error_of(r, vec_at(v, 4), &error));
        r->step_ran = mv_slice(NULL, 0);
        if (!ok)
                return raise_fmt(r, E_INTERNAL, "the host's account of a step does not decode");
        if (counted) {
                uint64_t fuel = (uint64_t)vec_at(v, 0).i;
                r->fuel_left = fuel < r->fuel_start ? (int64_t)(r->fuel_start - fuel) : 0;
                fuel_next_stop(r);
                r->step_count = (uint64_t)vec_at(v, 1).i;
                r->call_seq = (uint64_t)vec_at(v, 2).i;
        }
        if (failed)
                return raise_value(r, error);
        args[2] = vec_at(v, 4);
        return give(ret, NIL);
}

/* (%step-started name demand?) gives the step's id: "a1", "a2", ... With two arguments more it is a step of a cell, and they
 * keep what it may change. */
static enum native_status step_started(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        char text[24];
        bool cell = count == CELL_ARGS;
        mv_fmt(text, sizeof text, "a%lu", (unsigned long)(r->step_count + 1));
        val id = string_from(r, text);
        if (nomem(id))
                return N_NOMEM;
        if (!r->step_ran.p) /* else this is the second attempt, after a collection */
                TRY(emit_to(r, cell && r->options.enter ? r->options.enter : r->options.event,
                            "step-started", args, count < 2 ? count : 2));
        if (r->step_ran.p)
                return step_ran(r, args, ret);
        r->step_count++;
        if (cell) {
                args[2] = r->context;
                args[3] = r->aliases;
        }
        return give(ret, id);
}

/* Anything but a function, as it would be had it come from another cell. */
static enum native_status step_value(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        struct mv_out o = scratch(r);
        struct mv_err err;
        if (!encode_value(&o, args[0]) && !o.overflow)
                return raise_fmt(r, E_STACK, "the value of a step is nested deeper than %d levels",
                                 MV_VALUE_DEPTH_MAX);
        if (charge(r, o.len / 8))
                return N_FATAL;
        val bytes = o.overflow ? NOMEM_VAL : string_from_scratch(r, &o);
        if (nomem(bytes))
                return N_NOMEM;
        enum native_status s = decode_value(r, string_slice(bytes), ret, &err);
        return s != N_ERROR ? s
                            : raise_type_text(r, "step with an isolation level",
                                              "data as its value", "function");
}

static enum native_status emit(struct mv_rtfs *r, const char *event, const val *args,
                               uint32_t count, val *ret)
{
        TRY(emit_event(r, event, args, count));
        return give(ret, NIL);
}

/* kept: context, types, and of a failure the error. */
static enum native_status cell_left(struct mv_rtfs *r, const val *kept, val error)
{
        r->step_left = error;
        bool goes_on = !r->options.leave || r->options.leave(r->options.event_ctx);
        r->step_left = NIL;
        if (kept[0].tag == T_MAP && kept[1].tag == T_MAP) {
                r->context = kept[0];
                r->aliases = kept[1];
        }
        if (goes_on)
                return N_OK;
        r->fatal = E_INTERRUPTED;
        mv_fmt(r->fatal_text, sizeof r->fatal_text, "Interrupted");
        return N_FATAL;
}

/* (%step-completed id value), (... context types) */
static enum native_status step_completed(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        TRY(emit(r, "step-completed", args, 2, ret));
        return count == CELL_ARGS ? cell_left(r, args + 2, NIL) : N_OK;
}

/* (%step-failed id text), (... context types error) */
static enum native_status step_failed(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        struct mv_err err;
        val data;
        bool cell = count == CELL_ARGS + 1 && args[4].tag == T_ERROR;
        if (cell) { /* data, as its value would have to be */
                struct error *e = as_error(args[4]);
                struct mv_out o = scratch(r);
                bool flat = encode_value(&o, e->data);
                val bytes = o.overflow ? NOMEM_VAL : string_from_scratch(r, &o);
                if (nomem(bytes))
                        return N_NOMEM;
                enum native_status s =
                        flat ? decode_value(r, string_slice(bytes), &data, &err) : N_ERROR;
                if (s == N_NOMEM)
                        return s;
                e->data = s == N_OK ? data : NIL;
        }
        TRY(emit(r, "step-failed", args, 2, ret));
        return cell ? cell_left(r, args + 2, args[4]) : N_OK;
}

bool mv_rtfs_encode_left(struct mv_rtfs *r, struct mv_out *o)
{
        if (r->step_left.tag != T_ERROR)
                return mv_cbor_put_null(o);
        const struct error *e = as_error(r->step_left);
        const val parts[] = { e->message,    e->display, e->data,    e->operation,
                              e->capability, e->context, INT(e->pos) };
        bool ok = mv_cbor_put_array(o, 8) &&
                  (e->kind == E_OTHER ? encode_value(o, e->name)
                                      : mv_cbor_put_str(o, error_kind_name(e)));
        for (size_t i = 0; ok && i < sizeof parts / sizeof *parts; i++)
                ok = encode_value(o, parts[i]);
        return ok;
}

void mv_rtfs_step_ran(struct mv_rtfs *r, struct mv_slice outcome)
{
        r->step_ran = outcome;
}

/* --- streams ---------------------------------------------------------------------------------- */
/* A draw of something random has a name, so that what is drawn does not depend on what other branches do: the branches
 * around it and its number among the names given out there, "/2.0/0.1#3". Outside of branches: "#3". step-parallel takes a
 * number too, and each of its branches counts from zero. Its mark is the name of where it stands, "/2.0/0". A step with a wall
 * of its own is a branch as well: wherever it runs, it counts for itself.
 * Bytecode may call these with anything: a mark that is none is an error, and names are only names. */
static val stream_name(struct mv_rtfs *r, char sign)
{
        uint8_t number[24];
        struct mv_slice path = r->stream.tag == T_STRING ? string_slice(r->stream) : MV_SLICE("");
        struct mv_out o = scratch(r);
        mv_fmt((char *)number, sizeof number, "%c%lu", sign, (unsigned long)r->drawn);
        mv_put_slice(&o, path);
        mv_put_str(&o, (const char *)number);
        return o.overflow ? NOMEM_VAL : string_from_scratch(r, &o);
}

static enum native_status next_name(struct mv_rtfs *r, char sign, val *ret)
{
        if (r->stream.tag == T_STRING && charge(r, as_string(r->stream)->len / 8))
                return N_FATAL;
        val name = stream_name(r, sign);
        if (nomem(name))
                return N_NOMEM;
        r->drawn++;
        return give(ret, name);
}

static enum native_status random_stream(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        return next_name(r, '#', ret);
}

/* (%stream-next) gives a mark */
static enum native_status stream_next(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        return next_name(r, '/', ret);
}

/* (%stream-enter mark branch) */
static enum native_status stream_enter(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        char text[24];
        struct mv_out o = scratch(r);
        if (args[0].tag != T_STRING || args[1].tag != T_INT)
                return raise_fmt(r, E_INTERNAL, "a branch of nothing");
        if (charge(r, as_string(args[0])->len / 8))
                return N_FATAL;
        mv_fmt(text, sizeof text, ".%ld", (long)args[1].i);
        mv_put_slice(&o, string_slice(args[0]));
        mv_put_str(&o, text);
        val path = o.overflow ? NOMEM_VAL : string_from_scratch(r, &o);
        if (nomem(path))
                return N_NOMEM;
        r->stream = path;
        r->drawn = 0;
        return give(ret, NIL);
}

/* (%stream-leave mark): behind it the names go on */
static enum native_status stream_leave(struct mv_rtfs *r, val *args, uint32_t count, val *ret)
{
        struct mv_slice mark = args[0].tag == T_STRING ? string_slice(args[0]) : mv_slice(NULL, 0);
        size_t at = mark.len;
        uint64_t drawn = 0;
        while (at && mark.p[at - 1] != '/')
                at--;
        for (size_t i = at; at && i < mark.len; i++) {
                if (mark.p[i] - (unsigned)'0' > 9u || drawn > UINT64_MAX / 16)
                        return raise_fmt(r, E_INTERNAL, "a branch of nothing");
                drawn = drawn * 10 + (mark.p[i] - (unsigned)'0');
        }
        if (!at)
                return raise_fmt(r, E_INTERNAL, "a branch of nothing");
        val path = at > 1 ? string_new(r, mv_slice(mark.p, at - 1)) : NIL;
        if (nomem(path))
                return N_NOMEM;
        r->stream = path;
        r->drawn = drawn + 1;
        return give(ret, NIL);
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
        { "random-stream", 0, 0, random_stream,
          "A name for one draw of ccos.random.int, another one each time. In each branch of "
          "step-parallel they count for themselves: what one branch draws does not depend on the "
          "others.",
          "[(random-stream) (step-parallel (random-stream) (random-stream))]",
          "[\"#0\" [\"/1.0#0\" \"/1.1#0\"]]", "", "string", "none" },
        { "%stream-next", 0, 0, stream_next, NULL, NULL, NULL },
        { "%stream-enter", 2, 2, stream_enter, NULL, NULL, NULL },
        { "%stream-leave", 1, 1, stream_leave, NULL, NULL, NULL },
        { "%hint", 2, 2, hint, NULL, NULL, NULL },
        { "%clear-hints", 0, 0, clear_hints, NULL, NULL, NULL },
        { "%step-started", 1, CELL_ARGS, step_started, NULL, NULL, NULL },
        { "%step-completed", 2, CELL_ARGS, step_completed, NULL, NULL, NULL },
        { "%step-failed", 2, CELL_ARGS + 1, step_failed, NULL, NULL, NULL },
        { "%step-value", 1, 1, step_value, NULL, NULL, NULL },
        { "%expose", 2, 2, expose, NULL, NULL, NULL },
        { "%clear-expose", 0, 0, clear_expose, NULL, NULL, NULL },
        { "%step-falsy", 1, 1, step_falsy, NULL, NULL, NULL },
        { 0 },
};
