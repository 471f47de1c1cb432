/* SPDX-License-Identifier: Apache-2.0 */
/* Modules (spec 3.21, R-49). Names, not frames: a definition of module m lives in the global `m/x` when it is exported and in
 * `m x` when it is not. The second cannot be written in a program, so nothing outside reaches it.
 *
 * r->modules:      module name -> map of exported names to their globals
 * r->module_names: while a module is compiled: its own names -> their globals
 * r->imports:      what imports made visible: `a/x` or `x` -> global */
#include <rtfs/compile.h>

static enum native_status text_key(struct func *f, const char *fmt_qualified, struct mv_slice a,
                                   struct mv_slice b, val *ret)
{
        char text[512];
        if (a.len + b.len + 2 > sizeof text)
                return fail_form(f, "module and name are too long together");
        size_t n = mv_fmt(text, sizeof text, fmt_qualified, MV_SARG(a), MV_SARG(b));
        *ret = string_new(f->r, mv_slice(text, n));
        return nomem(*ret) ? N_NOMEM : N_OK;
}

static enum native_status put(struct func *f, val *map, struct mv_slice name, val global)
{
        val k = string_new(f->r, name);
        if (nomem(k))
                return N_NOMEM;
        val m = map_put(f->r, *map, k, global);
        if (nomem(m))
                return N_NOMEM;
        *map = m;
        return N_OK;
}

bool module_global(struct mv_rtfs *r, struct name *n, struct name **ret)
{
        *ret = n;
        if (!map_count(r->module_names) && !map_count(r->imports))
                return true;
        val key = string_new(r, mv_slice(n->text, n->len)), found;
        if (nomem(key))
                return false;
        if (map_get(r->module_names, key, &found) || map_get(r->imports, key, &found))
                *ret = name_intern(r, string_slice(found));
        return *ret != NULL;
}

static bool exported(val exports, const struct name *n)
{
        for (uint32_t i = 0; i < vec_count(exports); i++)
                if (vec_at(exports, i).tag == T_SYMBOL && as_name(vec_at(exports, i)) == n)
                        return true;
        return false;
}

/* (:exports [a b]) */
static val exports_of(struct func *f, val form)
{
        val e = len(form) > 2 ? at(form, 2) : NIL;
        bool is = e.tag == T_LIST && len(e) == 2 && at(e, 0).tag == T_KEYWORD &&
                  mv_slice_eq_str(name_slice(at(e, 0)), "exports") && at(e, 1).tag == T_VECTOR;
        return is ? at(e, 1) : vec_empty(f->r);
}

static enum native_status plan_names(struct func *f, struct mv_slice module, val exports,
                                     val definitions, val *ret_exports)
{
        f->r->module_names = map_empty(f->r);
        *ret_exports = map_empty(f->r);
        for (struct cons *c = as_cons(definitions); c->count; c = c->tail) {
                val global,
                        form = c->head,
                        name = form.tag == T_LIST && len(form) > 1 ? unwrap_meta(at(form, 1)) : NIL;
                bool definition = name.tag == T_SYMBOL &&
                                  (is_symbol(at(form, 0), "def") || is_symbol(at(form, 0), "defn"));
                if (!definition &&
                    !(form.tag == T_LIST && len(form) && is_symbol(at(form, 0), "import")))
                        return fail_form(f, "a module holds def, defn and import forms");
                if (!definition)
                        continue;
                bool out = exported(exports, as_name(name));
                TRY(text_key(f, out ? "%.*s/%.*s" : "%.*s %.*s", module, name_slice(name),
                             &global));
                TRY(put(f, &f->r->module_names, name_slice(name), global));
                if (out)
                        TRY(put(f, ret_exports, name_slice(name), global));
        }
        return N_OK;
}

static enum native_status module_body(struct func *f, struct mv_slice name, val form, uint8_t dst)
{
        val exports = exports_of(f, form), exported_names;
        bool has_exports = len(form) > 2 && at(form, 2).tag == T_LIST && len(at(form, 2)) &&
                           at(at(form, 2), 0).tag == T_KEYWORD;
        val definitions = rest_of(form, has_exports ? 3 : 2);
        TRY(plan_names(f, name, exports, definitions, &exported_names));
        TRY(put(f, &f->r->modules, name, exported_names));
        TRY(body(f, definitions, dst, false));
        return emit(f, OP_WORD(OP_LOADNIL, dst, 0, 0));
}

enum native_status module_form(struct func *f, val form, uint8_t dst)
{
        val name = at(form, 1), outer_imports = f->r->imports;
        if (name.tag != T_SYMBOL || f->is_local || map_count(f->r->module_names))
                return fail_form(f, "module takes a name and stands at top level");
        enum native_status s = module_body(f, name_slice(name), form, dst);
        f->r->module_names = map_empty(f->r);
        f->r->imports = outer_imports; /* imports inside a module are its own */
        return s;
}

static enum native_status import_names(struct func *f, val exports, struct mv_slice prefix,
                                       val only)
{
        struct map_iter it;
        val k, global, shown;
        for (map_iter(&it, exports); map_next(&it, &k, &global);) {
                struct name *n = name_intern(f->r, string_slice(k));
                if (!n)
                        return N_NOMEM;
                if (only.tag == T_VECTOR) {
                        if (exported(only, n))
                                TRY(put(f, &f->r->imports, string_slice(k), global));
                } else {
                        TRY(text_key(f, "%.*s/%.*s", prefix, string_slice(k), &shown));
                        TRY(put(f, &f->r->imports, string_slice(shown), global));
                }
        }
        return N_OK;
}

/* (import m), (import m :as a), (import m :only [x y]) */
enum native_status import_form(struct func *f, val form, uint8_t dst)
{
        val name = at(form, 1), option = at(form, 2), arg = at(form, 3), exports, key;
        if (name.tag != T_SYMBOL || (len(form) != 2 && len(form) != 4) ||
            (len(form) == 4 && option.tag != T_KEYWORD))
                return fail_form(f, "import takes a module and :as NAME or :only [NAMES]");
        bool as =
                len(form) == 4 && mv_slice_eq_str(name_slice(option), "as") && arg.tag == T_SYMBOL;
        bool only = len(form) == 4 && mv_slice_eq_str(name_slice(option), "only") &&
                    arg.tag == T_VECTOR;
        if (len(form) == 4 && !as && !only)
                return fail_form(f, "import takes a module and :as NAME or :only [NAMES]");
        key = string_new(f->r, name_slice(name));
        if (nomem(key))
                return N_NOMEM;
        if (!map_get(f->r->modules, key, &exports))
                return raise_op(f, E_MODULE_NOT_FOUND, "%.*s", MV_SARG(name_slice(name)));
        TRY(import_names(f, exports, as ? name_slice(arg) : name_slice(name), only ? arg : NIL));
        return emit(f, OP_WORD(OP_LOADNIL, dst, 0, 0));
}
