/* SPDX-License-Identifier: Apache-2.0 */
/* The part of JSON Schema that provider configurations use (REQ-PRV-17). A schema is our own or
 * a registered provider's text; a configuration is whatever a user wrote: every rule that fails
 * is named with the path of the value. */
#include <base/slice.h>
#include <host/host.h>
#include <stdlib.h>

#define SCHEMA_DEPTH_MAX 32 /* configurations are flat; this only bounds the recursion */

struct place {
        const struct place *outer;
        struct mv_slice name;
        uint32_t depth;
};

static void place_text(const struct place *at, char *buf, size_t cap)
{
        char outer[160] = "";
        if (!at->outer) {
                mv_fmt(buf, cap, "the configuration");
                return;
        }
        if (at->outer->outer)
                place_text(at->outer, outer, sizeof outer);
        mv_fmt(buf, cap, "%s%s%.*s", outer, outer[0] ? "." : "", MV_SARG(at->name));
}

static int broken(const struct place *at, struct mv_err *err, const char *rule,
                  struct mv_slice what)
{
        char where[160];
        place_text(at, where, sizeof where);
        return mv_fail(err, MV_E_INVALID, 0, "%s: %s%s%.*s", where, rule, what.len ? " " : "",
                       MV_SARG(what));
}

static bool is_type(const struct mv_value *v, struct mv_slice type)
{
        static const struct {
                const char *name;
                unsigned kinds;
        } types[] = {
                { "object", 1u << MV_MAP },
                { "array", 1u << MV_VECTOR },
                { "string", 1u << MV_STRING },
                { "integer", 1u << MV_INT },
                { "number", 1u << MV_INT | 1u << MV_FLOAT },
                { "boolean", 1u << MV_BOOL },
                { "null", 1u << MV_NIL },
        };
        for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
                if (mv_slice_eq_str(type, types[i].name))
                        return types[i].kinds >> v->kind & 1u;
        return false;
}

static int check_type(const struct mv_value *schema, const struct mv_value *v,
                      const struct place *at, struct mv_err *err)
{
        struct mv_slice type;
        if (!mv_as_text(mv_map_get(schema, "type"), &type) || is_type(v, type))
                return 0;
        return broken(at, err, "must be of type", type);
}

static int check_enum(const struct mv_value *schema, const struct mv_value *v,
                      const struct place *at, struct mv_err *err)
{
        const struct mv_value *choices = mv_map_get(schema, "enum");
        if (!choices || choices->kind != MV_VECTOR)
                return 0;
        for (uint32_t i = 0; i < choices->count; i++)
                if (mv_value_equal(&choices->items[i], v))
                        return 0;
        char *list = mv_value_json(choices, NULL);
        int r = broken(at, err, "must be one of",
                       list ? mv_slice_str(list) : MV_SLICE("the listed values"));
        free(list);
        return r;
}

static int check_range(const struct mv_value *schema, const struct mv_value *v,
                       const struct place *at, struct mv_err *err)
{
        double number, bound;
        if (!mv_as_float(v, &number))
                return 0;
        if (mv_as_float(mv_map_get(schema, "minimum"), &bound) && number < bound)
                return broken(at, err, "is below the minimum", MV_SLICE(""));
        if (mv_as_float(mv_map_get(schema, "maximum"), &bound) && number > bound)
                return broken(at, err, "is above the maximum", MV_SLICE(""));
        return 0;
}

static int check(const struct mv_value *schema, const struct mv_value *v, const struct place *at,
                 struct mv_err *err);

static int check_required(const struct mv_value *schema, const struct mv_value *v,
                          const struct place *at, struct mv_err *err)
{
        const struct mv_value *required = mv_map_get(schema, "required");
        for (uint32_t i = 0; required && required->kind == MV_VECTOR && i < required->count; i++) {
                char name[MV_ID_MAX];
                struct mv_slice s;
                if (!mv_as_text(&required->items[i], &s))
                        continue;
                mv_fmt(name, sizeof name, "%.*s", MV_SARG(s));
                if (!mv_map_get(v, name))
                        return broken(at, err, "lacks the property", s);
        }
        return 0;
}

static int check_properties(const struct mv_value *schema, const struct mv_value *v,
                            const struct place *at, struct mv_err *err)
{
        const struct mv_value *properties = mv_map_get(schema, "properties");
        const struct mv_value *others =
                mv_map_get(schema, "additionalProperties"); /* a schema, or a boolean */
        bool more = true, closed = mv_as_bool(others, &more) && !more;
        if (others && others->kind != MV_MAP)
                others = NULL;
        for (uint32_t i = 0; i < v->count; i++) {
                char name[MV_ID_MAX];
                struct mv_slice key = { NULL, 0 };
                if (!mv_as_text(&v->entries[i].key, &key) || key.len >= sizeof name)
                        return broken(at, err, "has a property without a usable name",
                                      MV_SLICE(""));
                mv_fmt(name, sizeof name, "%.*s", MV_SARG(key));
                const struct mv_value *inner = mv_map_get(properties, name);
                if (!inner && closed)
                        return broken(at, err, "does not know the property", key);
                if (!inner)
                        inner = others;
                struct place below = { at, key, at->depth + 1 };
                int r = inner ? check(inner, &v->entries[i].value, &below, err) : 0;
                if (r < 0)
                        return r;
        }
        return check_required(schema, v, at, err);
}

static int check_items(const struct mv_value *schema, const struct mv_value *v,
                       const struct place *at, struct mv_err *err)
{
        const struct mv_value *item = mv_map_get(schema, "items");
        struct place below = { at, MV_SLICE("item"), at->depth + 1 };
        for (uint32_t i = 0; item && i < v->count; i++) {
                int r = check(item, &v->items[i], &below, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int check(const struct mv_value *schema, const struct mv_value *v, const struct place *at,
                 struct mv_err *err)
{
        if (at->depth > SCHEMA_DEPTH_MAX)
                return broken(at, err, "is nested too deeply", MV_SLICE(""));
        int r = check_type(schema, v, at, err);
        if (r == 0)
                r = check_enum(schema, v, at, err);
        if (r == 0)
                r = check_range(schema, v, at, err);
        if (r == 0 && v->kind == MV_MAP)
                r = check_properties(schema, v, at, err);
        if (r == 0 && v->kind == MV_VECTOR)
                r = check_items(schema, v, at, err);
        return r;
}

int mv__schema_check(const struct mv_value *schema, const struct mv_value *config,
                     struct mv_err *err)
{
        struct place top = { NULL, { NULL, 0 }, 0 };
        return check(schema, config, &top, err);
}
