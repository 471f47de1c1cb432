/* SPDX-License-Identifier: Apache-2.0 */
/* Frames, definitions inside them, and functions (spec 2.8, 3.5, 3.7). */
#include <rtfs/compile.h>

struct scope scope_open(struct func *f)
{
        struct scope s = { f->var_count, f->scope_vars, f->free, f->is_local };
        f->scope_vars = f->var_count;
        f->is_local = true;
        return s;
}

void scope_close(struct func *f, struct scope s)
{
        f->var_count = s.vars;
        f->scope_vars = s.scope_vars;
        f->free = s.free;
        f->is_local = s.is_local;
}

static const char *const frame_forms[] = { "let",      "fn",     "for",      "dotimes",
                                           "match",    "loop",   "quote",    "quasiquote",
                                           "defmacro", "if-let", "when-let", "module" };

static bool opens_frame(val head)
{
        for (size_t i = 0; i < sizeof frame_forms / sizeof *frame_forms; i++)
                if (is_symbol(head, frame_forms[i]))
                        return true;
        return false;
}

static enum native_status declare_defs_in(struct func *f, val form, int depth)
{
        if (form.tag != T_LIST || !len(form) || depth > 200 || opens_frame(at(form, 0)))
                return N_OK;
        val head = at(form, 0), name = at(form, 1);
        bool defines =
                is_symbol(head, "def") || is_symbol(head, "defn") || is_symbol(head, "defstruct");
        for (uint32_t i = 1; is_symbol(head, "defn") && name.tag == T_LIST && i + 1 < len(form);
             i++)
                name = at(form, i + 1); /* metadata or delegation before the name */
        if (defines && name.tag == T_SYMBOL) {
                for (uint32_t i = f->scope_vars; i < f->var_count; i++)
                        if (f->vars[i].name == as_name(name) && f->vars[i].boxed)
                                return N_OK;
                uint8_t reg;
                TRY(new_reg(f, &reg));
                TRY(emit(f, OP_WORD(OP_NEWBOX, reg, 0, 0)));
                TRY(new_var(f, as_name(name), reg, true));
        }
        if (is_symbol(head, "defn") || is_symbol(head, "defstruct"))
                return N_OK;
        for (struct cons *c = as_cons(form)->tail; c->count; c = c->tail)
                TRY(declare_defs_in(f, c->head, depth + 1));
        return N_OK;
}

enum native_status declare_defs_of(struct func *f, val form)
{
        return declare_defs_in(f, form, 0);
}

enum native_status declare_defs(struct func *f, val forms)
{
        for (struct cons *c = as_cons(forms); c->count; c = c->tail)
                TRY(declare_defs_in(f, c->head, 0));
        return N_OK;
}

struct params {
        val patterns[PARAMS_MAX], types[PARAMS_MAX];
        uint32_t count;
        val rest, rest_type; /* NIL: none */
};

static enum native_status read_params(struct func *f, val vector, struct params *ps)
{
        uint32_t n = as_vec(vector)->count;
        *ps = (struct params){ .rest = NIL, .rest_type = NIL };
        for (uint32_t i = 0; i < n;) {
                val p = vec_at(vector, i++), type = NIL;
                if (ps->rest.tag != T_NIL)
                        return fail_form(f, "nothing may follow the rest parameter");
                bool is_rest = is_symbol(p, "&");
                if (is_rest && i < n)
                        p = vec_at(vector, i++);
                if (is_rest && p.tag != T_SYMBOL)
                        return fail_form(f, "& needs a parameter name");
                if (p.tag != T_SYMBOL && p.tag != T_VECTOR && p.tag != T_MAPFORM)
                        return fail_form(f, "a parameter is a name or a pattern");
                TRY(annotation_at(f, vector, &i, &type));
                if (is_rest) {
                        ps->rest = p;
                        ps->rest_type = type;
                } else if (ps->count == PARAMS_MAX) {
                        return fail_form(f, "more than 64 parameters");
                } else {
                        ps->patterns[ps->count] = p;
                        ps->types[ps->count++] = type;
                }
        }
        return N_OK;
}

static enum native_status emit_check(struct func *f, uint8_t reg, val type, bool variadic)
{
        uint32_t k;
        if (type.tag == T_NIL)
                return N_OK;
        TRY(data_form(f, type, &type));
        TRY(add_const(f, type, &k));
        return emit2(f, OP_WORD(OP_CHECK, reg, variadic, 0), k);
}

static enum native_status bind_params(struct func *f, const struct params *ps)
{
        uint8_t reg;
        for (uint32_t i = 0; i < ps->count + (ps->rest.tag != T_NIL); i++)
                TRY(new_reg(f, &reg));
        for (uint32_t i = 0; i < ps->count; i++)
                TRY(emit_check(f, (uint8_t)i, ps->types[i], false));
        if (ps->rest.tag != T_NIL)
                TRY(emit_check(f, (uint8_t)ps->count, ps->rest_type, true));
        for (uint32_t i = 0; i < ps->count; i++)
                TRY(bind_pattern(f, ps->patterns[i], (uint8_t)i));
        return ps->rest.tag == T_NIL ? N_OK : bind_pattern(f, ps->rest, (uint8_t)ps->count);
}

/* Split what follows fn / the name: delegation and metadata lists, the parameter vector, a
 * return annotation, the body. */
static enum native_status read_signature(struct func *f, val *rest, val *ret_delegate,
                                         val *ret_params, val *ret_type)
{
        *ret_delegate = NIL;
        *ret_type = NIL;
        while (len(*rest) && at(*rest, 0).tag == T_LIST &&
               is_symbol(at(at(*rest, 0), 0), "delegate to")) {
                *ret_delegate = at(at(*rest, 0), 1);
                if (ret_delegate->tag != T_STRING &&
                    ret_delegate->tag != T_NIL) /* made by a macro; nil: :local */
                        return fail_form(f, "delegation target needs a model id in quotes");
                *rest = rest_of(*rest, 1);
        }
        if (!len(*rest) || at(*rest, 0).tag != T_VECTOR)
                return fail_form(f, "function needs a parameter vector");
        *ret_params = at(*rest, 0);
        *rest = rest_of(*rest, 1);
        bool colon = len(*rest) && is_symbol(at(*rest, 0), ":");
        if (colon && len(*rest) > 2) {
                *rest = rest_of(*rest, 1);
                TRY(take_type(f, rest, ret_type));
        } else if (len(*rest) > 1 && at(*rest, 0).tag == T_KEYWORD) {
                *ret_type = at(*rest, 0);
                *rest = rest_of(*rest, 1);
        }
        if (!len(*rest))
                return fail_form(f, "function needs a body");
        return N_OK;
}

static enum native_status function_body(struct func *g, val forms, const struct params *ps,
                                        val return_type)
{
        uint8_t dst;
        struct loop self = { .count = ps->count + (ps->rest.tag != T_NIL), .is_function = true };
        g->is_local = true;
        g->tail_ok = return_type.tag == T_NIL;
        TRY(bind_params(g, ps));
        TRY(declare_defs(g, forms));
        self.start = 0;
        g->loop = &self;
        TRY(new_reg(g, &dst));
        TRY(body(g, forms, dst, true));
        g->loop = NULL;
        TRY(emit_check(g, dst, return_type, false));
        return emit(g, OP_WORD(OP_RET, dst, 0, 0));
}

enum native_status function_proto(struct func *parent, struct mv_rtfs *r, struct name *name,
                                  val rest, struct func *g, struct proto **ret_proto)
{
        val delegate, params_form, return_type;
        struct params *ps = compile_work(r, sizeof *ps);
        if (!ps)
                return raise_memory(r, "compiling");
        *g = (struct func){ .r = r, .parent = parent, .growing = NO_REGISTER };
        g->at = parent ? parent->at : r->source_pos;
        g->depth = parent ? parent->depth : 0;
        TRY(read_signature(g, &rest, &delegate, &params_form, &return_type));
        TRY(read_params(g, params_form, ps));
        if (name) {
                TRY(new_var(g, name, 0, false));
                g->vars[0].self = true;
        }
        TRY(function_body(g, rest, ps, return_type));
        TRY(make_proto(g, name, ret_proto));
        (*ret_proto)->params = (uint16_t)ps->count;
        (*ret_proto)->rest = ps->rest.tag != T_NIL;
        (*ret_proto)->delegate = delegate;
        return N_OK;
}

enum native_status function(struct func *f, struct name *name, val rest, uint8_t dst)
{
        struct func *g = compile_work(f->r, sizeof *g);
        struct proto *p;
        uint32_t k;
        if (!g)
                return too_large(f);
        TRY(function_proto(f, f->r, name, rest, g, &p));
        TRY(add_const(f, OBJ(T_PROTO, p), &k));
        TRY(emit(f, OP_WIDE(OP_CLOSURE, dst, k)));
        for (uint32_t i = 0; i < g->up_count; i++)
                TRY(emit_more(f, (uint32_t)g->ups[i].kind << 8 | g->ups[i].index));
        return N_OK;
}
