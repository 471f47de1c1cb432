/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_FUZZ_RTFS_HEAP_H
#define MV_FUZZ_RTFS_HEAP_H
/* A sanitizer sees one arena; this looks inside: every object in line, every reachable pointer at
 * an object of the kind that its place promises, and the library's image as it was. */
#include "../unit/rtfs_program.h"
#include <assert.h>
#include <rtfs/map.h>
#include <rtfs/vm.h>

/* Walking the whole heap costs more than most inputs take. Replays of the corpus look every time; a
 * fuzz run looks at one input in sixteen, chosen by its bytes so that a finding comes back. */
static inline bool look_closely(const uint8_t *data, size_t len)
{
#ifdef MV_FUZZ_REPLAY
        return true;
#else
        unsigned sum = (unsigned)len;
        for (size_t i = 0; i < len; i++)
                sum = sum * 31 + data[i];
        return sum % 16 == 0;
#endif
}

struct heap_check {
        const struct mv_rtfs *r;
        uint8_t *kinds; /* 1 + kind at each object's start, one byte for 16 */
        uint8_t *image;
        size_t image_bytes;
};

static inline void check_pointer(const struct heap_check *h, const void *p, int kind)
{
        size_t at = (size_t)((const uint8_t *)p - h->r->heap.start);
        assert(p >= (const void *)h->r->heap.start && p < (const void *)h->r->heap.top &&
               at % 16 == 0);
        assert(h->kinds[at / 16] == kind + 1);
}

static inline void check_val(const struct heap_check *h, val v)
{
        static const int8_t kind_of_tag[T_MAX_] = {
                [T_STRING] = O_STRING,   [T_KEYWORD] = O_NAME, [T_SYMBOL] = O_NAME,
                [T_VECTOR] = O_VEC,      [T_LIST] = O_CONS,    [T_MAP] = O_MAP,
                [T_CLOSURE] = O_CLOSURE, [T_ERROR] = O_ERROR,  [T_MAPFORM] = O_VEC,
                [T_BOX] = O_BOX,         [T_NODE] = O_NODE,    [T_PROTO] = O_PROTO,
                [T_MACRO] = O_CLOSURE,
        };
        assert(v.tag < T_MAX_);
        if (v.tag == T_NODE && v.o->kind == O_INTS) /* a leaf of a dense map */
                check_pointer(h, v.o, O_INTS);
        else if (is_object(v.tag))
                check_pointer(h, v.o, kind_of_tag[v.tag]);
        assert(v.tag != T_NATIVE || (uint64_t)v.i < h->r->native_count);
}

static inline void check_vals(const struct heap_check *h, const val *v, size_t count)
{
        for (size_t i = 0; i < count; i++)
                check_val(h, v[i]);
}

static inline void check_optional(const struct heap_check *h, const void *p, int kind)
{
        if (p)
                check_pointer(h, p, kind);
}

static inline void check_object(const struct heap_check *h, const struct obj *o)
{
        const struct vec *v = (const struct vec *)o;
        const struct proto *p = (const struct proto *)o;
        switch ((enum obj_kind)o->kind) {
        case O_STRING:
        case O_CODE:
                break;
        case O_INTS:
                assert(o->size >= sizeof(struct ints));
                assert(o->used == __builtin_popcountll(as_ints(o)->present));
                break;
        case O_NAME:
                check_optional(h, ((const struct name *)o)->next, O_NAME);
                break;
        case O_VEC:
                check_optional(h, v->root, O_NODE);
                check_optional(h, v->tail, O_NODE);
                break;
        case O_NODE:
                check_vals(h, ((const struct node *)o)->item, o->size / sizeof(val) - 1);
                break;
        case O_CONS:
                check_val(h, ((const struct cons *)o)->head);
                check_optional(h, ((const struct cons *)o)->tail, O_CONS);
                break;
        case O_MAP: {
                const struct map *m = (const struct map *)o;
                bool leaf = is_dense(m) && dense_shift(m) == 0;
                bool ints = m->root && leaf && m->root->h.kind == O_INTS;
                check_optional(h, m->root, ints ? O_INTS : O_NODE);
                break;
        }
        case O_CLOSURE:
                check_pointer(h, ((const struct closure *)o)->proto, O_PROTO);
                check_vals(h, ((const struct closure *)o)->up, o->used);
                break;
        case O_ERROR:
                check_vals(h, &((const struct error *)o)->name, 7);
                break;
        case O_BOX:
                check_val(h, ((const struct box *)o)->value);
                break;
        case O_PROTO:
                check_optional(h, p->code, O_CODE);
                check_optional(h, p->consts, O_NODE);
                check_optional(h, p->handlers, O_CODE);
                check_optional(h, p->name, O_NAME);
                check_val(h, p->delegate);
                break;
        }
}

/* After a collection everything that is left is reachable: all of it must be sound. Call where the
 * machine stands still. */
static inline void heap_check(struct heap_check *h)
{
        struct mv_rtfs *r = (struct mv_rtfs *)h->r;
        if (r->frame_count == 0)
                r->stack_top = 0; /* as before the next form */
        if (!heap_collect(r, 0))
                return;
        memset(h->kinds, 0, r->arena_bytes / 16);
        for (uint8_t *p = r->heap.start; p < r->heap.top; p += ((struct obj *)p)->size) {
                assert(((struct obj *)p)->size >= 16 &&
                       ((struct obj *)p)->size <= (size_t)(r->heap.top - p));
                h->kinds[(p - r->heap.start) / 16] = (uint8_t)(((struct obj *)p)->kind + 1);
        }
        for (uint8_t *p = r->heap.image_top; p < r->heap.top; p += ((struct obj *)p)->size)
                check_object(h, (struct obj *)p);
        check_vals(h, r->stack, r->stack_top);
        check_vals(h, r->globals, r->global_count);
        for (uint32_t i = 0; i < r->frame_count; i++) {
                check_pointer(h, r->frames[i].closure, O_CLOSURE);
                check_vals(h, r->stack + r->frames[i].base, r->frames[i].closure->proto->regs);
        }
}

static inline struct heap_check heap_check_new(struct mv_rtfs *r)
{
        struct heap_check h = { .r = r, .kinds = malloc(r->arena_bytes / 16) };
        mv_rtfs_reset(r, NULL);
        h.image_bytes = (size_t)(r->heap.image_top - r->heap.start);
        h.image = malloc(h.image_bytes);
        if (!h.kinds || !h.image)
                abort();
        memcpy(h.image, r->heap.start, h.image_bytes);
        return h;
}

/* Call after a reset. */
static inline void image_check(const struct heap_check *h)
{
        assert(memcmp(h->image, h->r->heap.start, h->image_bytes) == 0);
        for (uint32_t i = 0; i < h->r->global_count; i++)
                assert(h->r->globals[i].tag != T_MACRO ||
                       (uint8_t *)h->r->globals[i].o < h->r->heap.image_top);
}

#endif
