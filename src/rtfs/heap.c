/* SPDX-License-Identifier: Apache-2.0 */
/* Allocation and the sliding mark-compact collector (heap.h).
 *
 * The library's objects lie below image_top. They are never marked and never move: being immutable and older than
 * everything else they cannot point above image_top. A collection therefore costs what the program allocated, not what
 * the library holds.
 *
 * Collection, in four passes over [image_top, top): mark (fwd = self), assign addresses (fwd = destination), redirect
 * every pointer, move. Sliding keeps allocation order, so a heap stays dense at its low end: few pages are ever dirty. */
#include <rtfs/vm.h>

#define DEAD_RUN_MAX (UINT32_MAX & ~15u)
bool heap_extend(struct mv_rtfs *r, size_t bytes)
{
        struct heap *h = &r->heap;
        h->want = bytes;
        /* Nothing collects while the compiler holds forms: take the whole heap instead of the
         * soft part. */
        if (!r->no_collect || bytes > (size_t)(h->end - h->top) || bytes > UINT32_MAX)
                return false;
        h->limit = h->end;
        return true;
}

struct walk {
        struct mv_rtfs *r;
        void (*slot)(struct walk *w, struct obj **slot);
        uint32_t mark_count;
        uint32_t stack_end;
        bool overflowed;
};

static inline void walk_val(struct walk *w, val *v)
{
        if (is_object(v->tag))
                w->slot(w, &v->o);
}
static inline void walk_vals(struct walk *w, val *v, size_t n)
{
        for (size_t i = 0; i < n; i++)
                walk_val(w, v + i);
}
#define WALK(w, field)                                                                             \
        do {                                                                                       \
                if (field)                                                                         \
                        (w)->slot((w), (struct obj **)&(field));                                   \
        } while (0)

static void walk_object(struct walk *w, struct obj *o)
{
        switch ((enum obj_kind)o->kind) {
        case O_STRING:
        case O_INTS:
        case O_CODE:
                break;
        case O_NAME:
                WALK(w, ((struct name *)o)->next);
                break;
        case O_VEC:
                WALK(w, ((struct vec *)o)->root);
                WALK(w, ((struct vec *)o)->tail);
                break;
        case O_NODE: /* by size, not by use: unused items are NIL */
                walk_vals(w, ((struct node *)o)->item,
                          (o->size - sizeof(struct node)) / sizeof(val));
                break;
        case O_CONS:
                walk_val(w, &((struct cons *)o)->head);
                WALK(w, ((struct cons *)o)->tail);
                break;
        case O_MAP:
                WALK(w, ((struct map *)o)->root);
                break;
        case O_CLOSURE:
                WALK(w, ((struct closure *)o)->proto);
                walk_vals(w, ((struct closure *)o)->up, o->used);
                break;
        case O_ERROR: {
                struct error *e = (struct error *)o;
                walk_vals(w, &e->name, 7); /* name .. context lie in a row */
                break;
        }
        case O_BOX:
                walk_val(w, &((struct box *)o)->value);
                break;
        case O_PROTO: {
                struct proto *p = (struct proto *)o;
                WALK(w, p->code);
                WALK(w, p->consts);
                WALK(w, p->handlers);
                WALK(w, p->name);
                walk_val(w, &p->delegate);
                walk_val(w, &p->types);
                break;
        }
        }
}
_Static_assert(offsetof(struct error, context) - offsetof(struct error, name) == 6 * sizeof(val),
               "walk_object takes an error's values as one run");

/* First slot of the value stack that no frame will read again. A callee's frame may end before its caller's does, and what
 * lies behind it belongs to the caller, who counts on valid values there. Asked before anything moves. */
static uint32_t stack_end(const struct mv_rtfs *r)
{
        uint32_t end = r->stack_top;
        for (uint32_t i = 0; i < r->frame_count; i++) {
                uint32_t frame_end = r->frames[i].base + r->frames[i].closure->proto->regs;
                end = frame_end > end ? frame_end : end;
        }
        return end;
}

/* Every place outside the heap that may hold an object across a safepoint. */
static void walk_roots(struct walk *w)
{
        struct mv_rtfs *r = w->r;
        walk_vals(w, r->stack, w->stack_end);
        for (uint32_t i = 0; i < r->frame_count; i++)
                WALK(w, r->frames[i].closure);
        walk_vals(w, r->globals, r->global_count);
        for (uint32_t i = 0; i < r->global_count; i++)
                WALK(w, r->global_names[i]);
        for (uint32_t i = 0; i < NAME_BUCKETS; i++)
                WALK(w, r->buckets[i]);
        val *single[] = { &r->pending, &r->result,     &r->call_id,      &r->call_args,
                          &r->forms,   &r->empty_list, &r->empty_vector, &r->empty_map,
                          &r->stream,  &r->context,    &r->modules,      &r->module_names,
                          &r->imports, &r->aliases,    &r->names };
        for (size_t i = 0; i < sizeof single / sizeof *single; i++)
                walk_val(w, single[i]);
}

static bool in_heap(const struct mv_rtfs *r, const struct obj *o)
{
        return (const uint8_t *)o >= r->heap.image_top && (const uint8_t *)o < r->heap.top;
}

static void mark_slot(struct walk *w, struct obj **slot)
{
        struct obj *o = *slot;
        if (!in_heap(w->r, o) || o->fwd)
                return;
        o->fwd = o;
        if (w->mark_count < w->r->marks_size)
                w->r->marks[w->mark_count++] = o;
        else
                /* marked, but its children were not visited: mark_all looks again */
                w->overflowed = true;
}

static void drain(struct walk *w)
{
        while (w->mark_count)
                walk_object(w, w->r->marks[--w->mark_count]);
}

static void mark_all(struct mv_rtfs *r, uint32_t end)
{
        struct walk w = { .r = r, .slot = mark_slot, .stack_end = end };
        walk_roots(&w);
        drain(&w);
        while (w.overflowed) {
                w.overflowed = false;
                for (uint8_t *p = r->heap.image_top; p < r->heap.top;
                     p += ((struct obj *)p)->size) {
                        if (((struct obj *)p)->fwd)
                                walk_object(&w, (struct obj *)p);
                        drain(&w);
                }
        }
}

/* The dead objects that follow a dead one join it, so that the passes to come step over all of them at once: most of
 * the heap is dead, and each header on the way is a cache line to wait for. */
static uint8_t *assign_addresses(struct mv_rtfs *r)
{
        uint8_t *to = r->heap.image_top;
        struct obj *dead = NULL;
        for (uint8_t *p = r->heap.image_top, *next; p < r->heap.top; p = next) {
                struct obj *o = (struct obj *)p;
                next = p + o->size;
                if (o->fwd) {
                        o->fwd = (struct obj *)to;
                        to += o->size;
                        dead = NULL;
                } else if (dead && o->size <= DEAD_RUN_MAX - dead->size) {
                        dead->size += o->size;
                } else {
                        dead = o;
                }
        }
        return to;
}

static void redirect_slot(struct walk *w, struct obj **slot)
{
        if (in_heap(w->r, *slot))
                *slot = (*slot)->fwd;
}

static void redirect_all(struct mv_rtfs *r, uint32_t end)
{
        struct walk w = { .r = r, .slot = redirect_slot, .stack_end = end };
        walk_roots(&w);
        for (uint8_t *p = r->heap.image_top; p < r->heap.top; p += ((struct obj *)p)->size)
                if (((struct obj *)p)->fwd)
                        walk_object(&w, (struct obj *)p);
}

static void move_all(struct mv_rtfs *r)
{
        for (uint8_t *p = r->heap.image_top; p < r->heap.top;) {
                struct obj *o = (struct obj *)p;
                p += o->size;
                struct obj *to = o->fwd;
                if (!to)
                        continue;
                o->fwd = NULL;
                if (to != o)
                        memmove(to, o, o->size);
        }
}

bool heap_collect(struct mv_rtfs *r, size_t want)
{
        struct heap *h = &r->heap;
        if (r->no_collect)
                return false;
        if (h->top > h->peak)
                h->peak = h->top;
        uint32_t end = stack_end(r);
        mark_all(r, end);
        uint8_t *new_top = assign_addresses(r);
        redirect_all(r, end);
        move_all(r);
        h->top = new_top;
        /* In proportion to what is alive, so that collecting costs a constant per allocated
         * byte. */
        size_t live = (size_t)(h->top - h->image_top);
        size_t room = live * HEAP_ROOM_PER_LIVE > HEAP_SOFT_STEP ? live * HEAP_ROOM_PER_LIVE
                                                                 : HEAP_SOFT_STEP;
        if (room < want)
                room = want;
        size_t all = (size_t)(h->end - h->top);
        h->limit = room < all ? h->top + room : h->end;
        return want <= all;
}
