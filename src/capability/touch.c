/* SPDX-License-Identifier: Apache-2.0 */
/* What a call will ask for, as far as its arguments are constants: for step profiles. Only reads
 * what the checks of the capabilities read; what they would refuse touches nothing. */
#include <capability/builtin.h>
#include <policy/profile.h>

static bool is_unknown(const struct mv_value *v)
{
        return v && v->kind == MV_SYMBOL;
}

bool mv_arguments_known(const struct mv_value *args)
{
        bool known = args && args->kind == MV_VECTOR;
        for (uint32_t i = 0; known && i < args->count; i++) {
                const struct mv_value *v = &args->items[i];
                known = !is_unknown(v);
                for (uint32_t k = 0; known && v->kind == MV_MAP && k < v->count; k++)
                        known = !is_unknown(&v->entries[k].value);
        }
        return known;
}

/* (url) | (url {options}) | ({:url ...}) | (:url ... :method ...): the value of an option. */
static const struct mv_value *option(const struct mv_value *args, const char *key,
                                     bool *ret_unknown)
{
        const struct mv_value *found = NULL;
        for (uint32_t i = 0; i < args->count; i++) {
                const struct mv_value *v = &args->items[i];
                struct mv_slice name;
                if (v->kind == MV_MAP)
                        found = mv_map_get(v, key) ? mv_map_get(v, key) : found;
                else if (v->kind == MV_KEYWORD && mv_as_text(v, &name) &&
                         mv_slice_eq_str(name, key))
                        found = mv_seq_at(args, i + 1);
                else if (is_unknown(v))
                        *ret_unknown = true;
        }
        *ret_unknown |= is_unknown(found);
        return found;
}

static void touch_url(const struct mv_value *args, struct mv_touch *t)
{
        bool url_unknown = false, method_unknown = false;
        const struct mv_value *url = option(args, "url", &url_unknown);
        const struct mv_value *method = option(args, "method", &method_unknown);
        const struct mv_value *first = mv_seq_at(args, 0);
        if (first && first->kind == MV_STRING) {
                url = first;
                url_unknown = false;
        }
        t->url_known = !url_unknown && url && mv_as_text(url, &t->url);
        if (method && method->kind == MV_NIL)
                method = NULL;
        t->method = MV_SLICE("GET");
        t->method_known = !method_unknown && (!method || mv_as_text(method, &t->method));
}

static void touch_open(const struct mv_value *args, struct mv_touch *t)
{
        const struct mv_value *mode = mv_seq_at(args, 1);
        struct mv_slice s = MV_SLICE("r");
        bool known = !is_unknown(mode) && (!mode || mv_as_text(mode, &s));
        t->write = !known || !mv_slice_eq_str(s, "r");
        t->read = !known || mv_slice_eq_str(s, "r");
}

static void touch_path(const char *id, const struct mv_value *args, struct mv_touch *t)
{
        static const char *const writes[] = { "ccos.io.write-file", "ccos.io.write-file-base64",
                                              "ccos.io.delete-file", "ccos.io.mkdir",
                                              "ccos.io.write-line" };
        const struct mv_value *path = mv_seq_at(args, 0);
        for (size_t i = 0; i < sizeof writes / sizeof *writes; i++)
                t->write |= strcmp(id, writes[i]) == 0;
        t->read = !t->write;
        if (strcmp(id, "ccos.io.open-file") == 0)
                touch_open(args, t);
        t->path_known = path && path->kind == MV_STRING;
        if (t->path_known)
                t->path = path->text;
        if (strcmp(id, "ccos.io.close-file") == 0)
                t->read = false;
}

static void touch_anything(uint32_t effects, struct mv_touch *t)
{
        t->system = effects & MV_EFFECT_SYSTEM;
        /* what runs a program of its own may use all that the context grants */
        t->network = effects & (MV_EFFECT_NETWORK | MV_EFFECT_SYSTEM);
        t->read = t->write = effects & (MV_EFFECT_FILESYSTEM | MV_EFFECT_SYSTEM);
}

void mv_capability_touch(const struct mv_capability_table *t, const struct mv_capability *cap,
                         const struct mv_value *args, struct mv_touch *ret)
{
        static const struct mv_value none = { .kind = MV_VECTOR };
        bool nothing_known = !args || args->kind != MV_VECTOR;
        bool builtin = cap && mv__is_builtin(t, cap);
        *ret = (struct mv_touch){
                .deterministic = cap && (cap->pure || !(cap->effects & ~(uint32_t)MV_EFFECT_OUTPUT))
        };
        if (!cap)
                touch_anything(UINT32_MAX, ret);
        else if (!builtin && !cap->pure)
                touch_anything(cap->effects, ret);
        else if (cap->effects & MV_EFFECT_NETWORK)
                ret->network = true;
        else if (cap->effects & MV_EFFECT_FILESYSTEM)
                touch_path(cap->id, nothing_known ? &none : args, ret);
        if (builtin && ret->network && !nothing_known)
                touch_url(args, ret);
        if (nothing_known && builtin && strcmp(cap->id, "ccos.io.open-file") == 0)
                ret->read = ret->write = true;
        ret->system |= cap && (cap->effects & MV_EFFECT_SYSTEM);
        ret->files = ret->read || ret->write;
}
