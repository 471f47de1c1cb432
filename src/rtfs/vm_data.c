/* SPDX-License-Identifier: Apache-2.0 */
/* Instructions on collections, closures and types, as far as they are more than a line (machine.h).
 *
 * (1) Each is safe on every value: verified code may hand anything to them.
 * (2) An out-of-memory piece has changed nothing: the machine collects and starts the instruction again. */
#include <rtfs/machine.h>
#include <rtfs/ops.h>

enum native_status vm_undefined(struct mv_rtfs *r, uint32_t slot, val *ret)
{
        struct name *n = r->global_names[slot];
        if (r->compile_only)
                r->undefined = n;
        val key = string_new(r, mv_slice(n->text, n->len));
        if (nomem(key))
                return N_NOMEM;
        if (map_get(r->context, key, ret)) /* spec 2.8: host context value of the same name */
                return N_OK;
        return raise_fmt(r, E_UNDEFINED, "%.*s", (int)(n->len < 900 ? n->len : 900), n->text);
}

enum native_status vm_closure(struct mv_rtfs *r, val proto, const uint32_t *captures, uint32_t base,
                              val *ret)
{
        if (proto.tag != T_PROTO)
                return raise_fmt(r, E_INTERNAL, "constant is no function");
        struct proto *p = (struct proto *)proto.o;
        struct closure *self = top_frame(r)->closure;
        struct closure *c = heap_alloc(r, O_CLOSURE, sizeof *c + p->ups * sizeof(val));
        if (!c)
                return N_NOMEM;
        c->proto = p;
        c->h.used = p->ups;
        for (uint32_t i = 0; i < p->ups; i++) {
                uint32_t index = captures[i] & 0xff;
                switch (captures[i] >> 8) {
                case 0:
                        c->up[i] = r->stack[base + index];
                        break;
                case 1:
                        c->up[i] = index < self->h.used ? self->up[index] : NIL;
                        break;
                default:
                        c->up[i] = OBJ(T_CLOSURE, self);
                }
        }
        *ret = OBJ(T_CLOSURE, c);
        return N_OK;
}

static uint32_t seq_count(val v)
{
        return v.tag == T_VECTOR ? vec_count(v) : as_cons(v)->count;
}
static bool is_seq(val v)
{
        return v.tag == T_VECTOR || v.tag == T_LIST;
}

bool vm_is_seq(val v, uint32_t count, bool exact)
{
        return is_seq(v) && (exact ? seq_count(v) == count : seq_count(v) >= count);
}

enum native_status vm_check_seq(struct mv_rtfs *r, val v, uint32_t want, bool exact)
{
        char expected[64], actual[64];
        if (vm_is_seq(v, want, exact))
                return N_OK;
        mv_fmt(expected, sizeof expected, "vector with %s %u elements",
               exact ? "exactly" : "at least", want);
        if (is_seq(v))
                mv_fmt(actual, sizeof actual, "%s with %u elements", type_name(v), seq_count(v));
        else
                mv_fmt(actual, sizeof actual, "%s", type_name(v));
        return raise_type_text(r, "vector destructuring", expected, actual);
}

val vm_seq_nth(val v, uint32_t i)
{
        if (!is_seq(v) || i >= seq_count(v))
                return NIL;
        if (v.tag == T_VECTOR)
                return vec_at(v, i);
        struct cons *c = as_cons(v);
        while (i--)
                c = c->tail;
        return c->head;
}

enum native_status vm_seq_rest(struct mv_rtfs *r, val v, uint32_t from, val *ret)
{
        if (!is_seq(v) || from > seq_count(v)) {
                *ret = vec_empty(r);
                return N_OK;
        }
        enum native_status s = charge(r, seq_count(v) - from);
        if (s)
                return s;
        if (v.tag == T_LIST && (s = seq_vector(r, v, &v)))
                return s;
        *ret = vec_slice(r, v, from, vec_count(v));
        return nomem(*ret) ? N_NOMEM : N_OK;
}

val vm_map_field(val m, val key, val absent)
{
        val out = absent;
        if (m.tag == T_MAP && map_key_ok(key))
                map_get(m, key, &out);
        return out;
}

enum native_status vm_map_without(struct mv_rtfs *r, val m, val keys, val *ret)
{
        if (m.tag != T_MAP || keys.tag != T_VECTOR)
                return raise_type(r, "map destructuring", "map", m);
        for (uint32_t i = 0; i < vec_count(keys); i++) {
                if (!map_key_ok(vec_at(keys, i)))
                        continue;
                m = map_remove(r, m, vec_at(keys, i));
                if (nomem(m))
                        return N_NOMEM;
        }
        *ret = m;
        return N_OK;
}

enum native_status vm_put_pairs(struct mv_rtfs *r, val m, const val *pairs, uint32_t count,
                                val *ret)
{
        if (m.tag != T_MAP)
                return raise_type(r, "map", "map", m);
        for (uint32_t i = 0; i < count; i++) {
                if (!map_key_ok(pairs[2 * i]))
                        return raise_type(r, "map key", "string, keyword, or integer",
                                          pairs[2 * i]);
                m = map_put(r, m, pairs[2 * i], pairs[2 * i + 1]);
                if (nomem(m))
                        return N_NOMEM;
        }
        *ret = m;
        return N_OK;
}

enum native_status vm_push_items(struct mv_rtfs *r, val v, const val *items, uint32_t count,
                                 val *ret)
{
        if (v.tag != T_VECTOR)
                return raise_type(r, "vector", "vector", v);
        for (uint32_t i = 0; i < count; i++)
                if (nomem(v = vec_conj(r, v, items[i])))
                        return N_NOMEM;
        *ret = v;
        return N_OK;
}

enum native_status vm_iterable(struct mv_rtfs *r, val v, val *ret)
{
        if (v.tag != T_VECTOR && v.tag != T_LIST && v.tag != T_MAP)
                return raise_type(r, "for binding collection", "vector or list", v);
        return seq_vector(r, v, ret);
}

enum native_status vm_check_annotation(struct mv_rtfs *r, val v, val type, bool variadic)
{
        if (!variadic)
                return type_check(r, type, v, -1);
        enum native_status s = N_OK;
        int i = 0;
        if (v.tag == T_LIST)
                for (struct cons *c = as_cons(v); s == N_OK && c->count; c = c->tail)
                        s = type_check(r, type, c->head, i++);
        return s;
}

/* Is v of the type? An error of the check itself (a malformed type) counts as no. */
enum native_status vm_has_type(struct mv_rtfs *r, val v, val type, bool *ret)
{
        enum native_status s = type_check(r, type, v, -1);
        *ret = s == N_OK;
        if (s == N_ERROR) {
                r->pending = NIL;
                return N_OK;
        }
        return s == N_NOMEM || s == N_FATAL ? s : N_OK;
}
