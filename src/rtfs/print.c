/* SPDX-License-Identifier: Apache-2.0 */
/* Text of values (spec 2.6): the display form programs see, and the readable form that reads
 * back equal.
 *
 * (1) Containers nest at most MV_VALUE_DEPTH_MAX deep; what is deeper is refused, not cut.
 * (2) A text is as long as fuel and memory allow: a small value may share its parts so often that
 *     there is no end to printing it, and a deadline is seen on the way.
 * (3) A map literal that is still a form prints like a map, in source order. */
#include <base/limits.h>
#include <rtfs/map.h>
#include <rtfs/vm.h>
#include <wire/text.h>

struct printer {
        struct mv_out *o;
        uint32_t depth;
        bool readable;
        bool deep;                     /* stopped by (1) */
        const volatile int *interrupt; /* NULL: none */
};

static bool print(struct printer *p, val v);

/* A blank between items: `first` is true once. */
static bool separate(struct printer *p, bool *first)
{
        bool blank = !*first;
        *first = false;
        return !blank || mv_put_u8(p->o, ' ');
}

static bool print_vector(struct printer *p, val v)
{
        const val *items = NULL;
        bool first = true;
        for (uint32_t i = 0, n; i < vec_count(v); i += n) {
                n = vec_chunk(v, i, &items);
                for (uint32_t k = 0; k < n; k++)
                        if (!separate(p, &first) || !print(p, items[k]))
                                return false;
        }
        return true;
}

static bool print_list(struct printer *p, const struct cons *c)
{
        bool first = true;
        for (; c->count; c = c->tail)
                if (!separate(p, &first) || !print(p, c->head))
                        return false;
        return true;
}

static bool print_entries(struct printer *p, const struct node *n, uint32_t height, bool *first)
{
        for (uint32_t i = 0; i < n->h.used; i += 2) {
                bool ok = height ? print_entries(p, node_at(n, i + 1), height - 1, first)
                                 : separate(p, first) && print(p, n->item[i]) &&
                                           mv_put_u8(p->o, ' ') && print(p, n->item[i + 1]);
                if (!ok)
                        return false;
        }
        return true;
}

static bool print_dense(struct printer *p, val m)
{
        struct map_iter it;
        val key, value;
        bool first = true;
        for (map_iter(&it, m); map_next(&it, &key, &value);)
                if (!separate(p, &first) || !print(p, key) || !mv_put_u8(p->o, ' ') ||
                    !print(p, value))
                        return false;
        return true;
}

static bool print_map(struct printer *p, const struct map *m)
{
        bool first = true;
        if (is_dense(m))
                return print_dense(p, OBJ(T_MAP, m));
        return !m->root || print_entries(p, m->root, m->height, &first);
}

static bool print_container(struct printer *p, val v)
{
        const char *brackets = v.tag == T_VECTOR ? "[]" : v.tag == T_LIST ? "()" : "{}";
        bool ok;
        if (p->interrupt && *p->interrupt)
                return false;
        if (p->depth >= MV_VALUE_DEPTH_MAX) {
                p->deep = true;
                return false;
        }
        p->depth++;
        if (!mv_put_u8(p->o, (uint8_t)brackets[0]))
                return false;
        if (v.tag == T_MAP)
                ok = print_map(p, as_map(v));
        else if (v.tag == T_LIST)
                ok = print_list(p, as_cons(v));
        else
                ok = print_vector(p, v);
        p->depth--;
        return ok && mv_put_u8(p->o, (uint8_t)brackets[1]);
}

static bool print_string(struct printer *p, struct mv_slice s)
{
        if (p->readable)
                return mv_text_string_readable(p->o, s);
        return mv_put_u8(p->o, '"') && mv_put_slice(p->o, s) && mv_put_u8(p->o, '"');
}

/* Readable text goes into logs: a message must not be able to break out of its line. */
static bool print_error(struct printer *p, struct mv_slice message)
{
        bool ok = mv_put_str(p->o, "#<error: ") &&
                  (p->readable ? mv_text_string_readable(p->o, message)
                               : mv_put_slice(p->o, message));
        return ok && mv_put_u8(p->o, '>');
}

static bool print(struct printer *p, val v)
{
        switch ((enum tag)v.tag) {
        case T_NIL:
                return mv_put_str(p->o, "nil");
        case T_FALSE:
                return mv_put_str(p->o, "false");
        case T_TRUE:
                return mv_put_str(p->o, "true");
        case T_INT:
                return mv_text_int(p->o, v.i);
        case T_FLOAT:
                return p->readable ? mv_text_float_readable(p->o, v.f)
                                   : mv_text_float_display(p->o, v.f);
        case T_STRING:
                return print_string(p, string_slice(v));
        case T_KEYWORD:
                return mv_put_u8(p->o, ':') && mv_put_slice(p->o, name_slice(v));
        case T_SYMBOL:
                return mv_put_slice(p->o, name_slice(v));
        case T_VECTOR:
        case T_LIST:
        case T_MAP:
        case T_MAPFORM:
                return print_container(p, v);
        case T_NATIVE:
        case T_CLOSURE:
        case T_MACRO:
                return mv_put_str(p->o, "#<function>");
        case T_ERROR:
                return print_error(p, string_slice(as_error(v)->message));
        case T_BOX:
        case T_NODE:
        case T_PROTO:
        case T_UNBOUND:
        case T_MAX_:
                break;
        }
        return mv_put_str(p->o, "#<internal>");
}

static bool print_whole(struct mv_out *o, val v, bool readable, bool *ret_deep)
{
        struct printer p = { .o = o, .readable = readable };
        bool ok = print(&p, v);
        if (!ok && ret_deep)
                *ret_deep = p.deep;
        return ok;
}

bool print_display(struct mv_out *o, val v, bool *ret_deep)
{
        return print_whole(o, v, false, ret_deep);
}

bool print_readable(struct mv_out *o, val v, bool *ret_deep)
{
        return print_whole(o, v, true, ret_deep);
}

/* --- as a string ------------------------------------------------------------------------------ */
/* As far as heap_alloc would go. */
static uint8_t *free_end(const struct mv_rtfs *r)
{
        return r->no_collect ? r->heap.end : r->heap.limit;
}

struct mv_out scratch(struct mv_rtfs *r)
{
        return mv_out(r->heap.top, (size_t)(free_end(r) - r->heap.top));
}

struct joining {
        struct mv_rtfs *r;
        const val *items;
        uint32_t count;
        const char *separator; /* NULL: none */
        bool plain;
        bool deep;
};

static bool join(struct joining *j, struct mv_out *o)
{
        struct printer p = { .o = o, .interrupt = &j->r->interrupt };
        for (uint32_t i = 0; i < j->count; i++) {
                val v = j->items[i];
                if (i && j->separator && !mv_put_str(o, j->separator))
                        return false;
                if (!(j->plain && v.tag == T_STRING ? mv_put_slice(o, string_slice(v))
                                                    : print(&p, v))) {
                        j->deep = p.deep;
                        return false;
                }
        }
        return true;
}

/* The text was written behind heap.top, where the string is to stand: it waits at the far end of
 * the free memory. */
static val string_of_scratch(struct mv_rtfs *r, size_t len)
{
        uint8_t *text, *parked = free_end(r) - len;
        if (parked < r->heap.top + string_bytes(len) + 16)
                return NOMEM_VAL;
        memmove(parked, r->heap.top, len);
        val v = string_alloc(r, len, &text);
        if (nomem(v))
                return v;
        memcpy(text, parked, len);
        return string_seal(v);
}

/* Bytes of text for one unit of fuel (`str` and the like pay when they have the text). */
#define BYTES_PER_UNIT 16u

/* scratch(), no larger than the program can pay for; *ret_poor: fuel is what limits it. */
static struct mv_out affordable(struct mv_rtfs *r, bool *ret_poor)
{
        struct mv_out o = scratch(r);
        *ret_poor = (uint64_t)r->fuel_left < o.cap / BYTES_PER_UNIT;
        if (*ret_poor)
                o.cap = (size_t)r->fuel_left * BYTES_PER_UNIT;
        return o;
}

enum native_status display_string(struct mv_rtfs *r, const val *items, uint32_t count,
                                  const char *separator, bool plain, val *ret)
{
        struct joining j = { r, items, count, separator, plain, false };
        uint8_t small[256]; /* most texts */
        struct mv_out o = mv_out(small, sizeof small);
        val v;
        if (join(&j, &o)) {
                v = string_new(r, mv_out_slice(&o));
        } else {
                bool poor;
                o = affordable(r, &poor);
                v = !j.deep && join(&j, &o) ? string_of_scratch(r, o.len) : NOMEM_VAL;
                if (r->interrupt || (poor && o.overflow))
                        return charge(r, (uint64_t)r->fuel_left + 1);
        }
        if (j.deep)
                return raise_fmt(r, E_STACK, "value is nested deeper than %d levels",
                                 MV_VALUE_DEPTH_MAX);
        if (nomem(v))
                return N_NOMEM;
        *ret = v;
        return N_OK;
}
