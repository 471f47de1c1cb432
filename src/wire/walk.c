/* SPDX-License-Identifier: Apache-2.0 */
/* wire/walk.c - map entries in another order, without memory of its own: see entries.h. */
#include <wire/entries.h>

static uint32_t index_get(const struct mv__walk *w, uint32_t at)
{
        const uint8_t *p = w->indexes + (size_t)at * w->width;
        uint32_t v = 0;
        for (uint8_t i = 0; i < w->width; i++)
                v |= (uint32_t)p[i] << (8 * i);
        return v;
}

static void index_set(const struct mv__walk *w, uint32_t at, uint32_t v)
{
        uint8_t *p = w->indexes + (size_t)at * w->width;
        for (uint8_t i = 0; i < w->width; i++)
                p[i] = (uint8_t)(v >> (8 * i));
}

static int index_cmp(const struct mv__walk *w, uint32_t a, uint32_t b, mv__key_cmp_fn *cmp)
{
        return cmp(&w->entries[index_get(w, a)].key, &w->entries[index_get(w, b)].key);
}

static void index_swap(const struct mv__walk *w, uint32_t a, uint32_t b)
{
        uint32_t t = index_get(w, a);
        index_set(w, a, index_get(w, b));
        index_set(w, b, t);
}

static void sift_down(const struct mv__walk *w, uint32_t root, uint32_t count, mv__key_cmp_fn *cmp)
{
        for (;;) {
                uint64_t child = 2 * (uint64_t)root + 1;
                if (child >= count)
                        return;
                if (child + 1 < count &&
                    index_cmp(w, (uint32_t)child, (uint32_t)child + 1, cmp) < 0)
                        child++;
                if (index_cmp(w, root, (uint32_t)child, cmp) >= 0)
                        return;
                index_swap(w, root, (uint32_t)child);
                root = (uint32_t)child;
        }
}

static bool in_order(const struct mv_value *map, mv__key_cmp_fn *cmp)
{
        for (uint32_t i = 1; i < map->count; i++)
                if (cmp(&map->entries[i - 1].key, &map->entries[i].key) > 0)
                        return false;
        return true;
}

bool mv__walk_begin(struct mv__walk *w, struct mv_out *o, const struct mv_value *map, uint8_t width,
                    mv__key_cmp_fn *cmp)
{
        *w = (struct mv__walk){ map->entries, NULL, o->cap, map->count, width };
        if (o->overflow || in_order(map, cmp))
                return !o->overflow;
        uint64_t bytes = (uint64_t)map->count * width;
        if (bytes > o->cap - o->len) {
                o->overflow = true;
                return false;
        }
        w->indexes = o->p + o->cap - bytes;
        for (uint32_t i = 0; i < map->count; i++)
                index_set(w, i, i);
        for (uint32_t i = map->count / 2; i-- > 0;)
                sift_down(w, i, map->count, cmp);
        for (uint32_t end = map->count - 1; end > 0; end--) {
                index_swap(w, 0, end);
                sift_down(w, 0, end, cmp);
        }
        return true;
}

const struct mv_entry *mv__walk_at(const struct mv__walk *w, struct mv_out *o, uint32_t i)
{
        if (!w->indexes)
                return &w->entries[i];
        o->cap = w->cap - (size_t)(w->count - i - 1) * w->width; /* (1) */
        return &w->entries[index_get(w, i)];
}

void mv__walk_end(const struct mv__walk *w, struct mv_out *o)
{
        o->cap = w->cap;
}
