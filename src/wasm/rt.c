/* SPDX-License-Identifier: Apache-2.0 */
/* The runtime of wasm2c's C: linear memory, tables, function types.
 *
 * (1) A memory never moves: its reservation is made once, growing makes more of it accessible, so a pointer
 *     computed before a grow stays right.
 * (2) Growth beyond what was granted fails as WebAssembly says (-1); a start beyond it ends the process. */
#include <stdarg.h>
#include "rt.h"

static uint32_t pages_allowed;

void rt_init(uint32_t pages_max)
{
        pages_allowed = pages_max < RT_PAGES_MAX ? pages_max : RT_PAGES_MAX;
}

bool wasm_rt_is_initialized(void)
{
        return pages_allowed != 0;
}

/* --- memory ----------------------------------------------------------------------------------- */

void wasm_rt_allocate_memory(wasm_rt_memory_t *m, uint32_t initial_pages, uint32_t max_pages)
{
        if (max_pages > pages_allowed)
                max_pages = pages_allowed;
        if (initial_pages > max_pages)
                rt_exit(MV_WASM_EXIT_PAGES);
        uint8_t *p = rt_memory_reserve(initial_pages, max_pages);
        if (!p)
                rt_exit(MV_WASM_EXIT_SETUP);
        *m = (wasm_rt_memory_t){ p, initial_pages, max_pages, initial_pages * RT_PAGE_BYTES };
}

uint32_t wasm_rt_grow_memory(wasm_rt_memory_t *m, uint32_t delta) /* (2) */
{
        uint32_t old = m->pages;
        if (delta > m->max_pages - old)
                return UINT32_MAX;
        if (delta &&
            !rt_memory_access(m->data + (size_t)old * RT_PAGE_BYTES, (size_t)delta * RT_PAGE_BYTES))
                return UINT32_MAX;
        m->pages = old + delta;
        m->size = m->pages * RT_PAGE_BYTES;
        return old;
}

/* Only the end of the process frees anything. */
void wasm_rt_free_memory(wasm_rt_memory_t *m)
{
}

/* --- tables ----------------------------------------------------------------------------------- */

static void *table_new(uint32_t elements, size_t size)
{
        void *p = elements <= RT_TABLE_MAX ? calloc(elements ? elements : 1, size) : NULL;
        if (!p)
                rt_exit(MV_WASM_EXIT_TABLE);
        return p;
}

static uint32_t table_max(uint32_t max)
{
        return max < RT_TABLE_MAX ? max : RT_TABLE_MAX;
}

/* NULL: not grown. The old elements are where they were in the new memory. */
static void *table_grown(void *data, uint32_t size, uint32_t max, uint32_t delta, size_t bytes)
{
        return delta > max - size ? NULL : realloc(data, ((size_t)size + delta + 1) * bytes);
}

void wasm_rt_allocate_funcref_table(wasm_rt_funcref_table_t *t, uint32_t elements, uint32_t max)
{
        *t = (wasm_rt_funcref_table_t){ table_new(elements, sizeof t->data[0]), table_max(max),
                                        elements };
}

uint32_t wasm_rt_grow_funcref_table(wasm_rt_funcref_table_t *t, uint32_t delta,
                                    wasm_rt_funcref_t init)
{
        uint32_t old = t->size;
        wasm_rt_funcref_t *p = table_grown(t->data, old, t->max_size, delta, sizeof *p);
        if (!p)
                return UINT32_MAX;
        t->data = p;
        for (; t->size < old + delta; t->size++)
                p[t->size] = init;
        return old;
}

void wasm_rt_free_funcref_table(wasm_rt_funcref_table_t *t)
{
}

void wasm_rt_allocate_externref_table(wasm_rt_externref_table_t *t, uint32_t elements, uint32_t max)
{
        *t = (wasm_rt_externref_table_t){ table_new(elements, sizeof t->data[0]), table_max(max),
                                          elements };
}

uint32_t wasm_rt_grow_externref_table(wasm_rt_externref_table_t *t, uint32_t delta,
                                      wasm_rt_externref_t init)
{
        uint32_t old = t->size;
        wasm_rt_externref_t *p = table_grown(t->data, old, t->max_size, delta, sizeof *p);
        if (!p)
                return UINT32_MAX;
        t->data = p;
        for (; t->size < old + delta; t->size++)
                p[t->size] = init;
        return old;
}

void wasm_rt_free_externref_table(wasm_rt_externref_table_t *t)
{
}

/* --- function types: equal types have equal numbers, from 1 ----------------------------------- */

struct function_type {
        uint16_t params, results;
        uint8_t *values;
};
static struct function_type *types;
static uint32_t types_count;

static bool same_type(const struct function_type *t, uint32_t params, uint32_t results,
                      const uint8_t *values)
{
        return t->params == params && t->results == results &&
               memcmp(t->values, values, params + results) == 0;
}

uint32_t wasm_rt_register_func_type(uint32_t params, uint32_t results, ...)
{
        uint8_t values[2 * RT_TYPE_VALUES_MAX];
        va_list ap;
        if (params > RT_TYPE_VALUES_MAX || results > RT_TYPE_VALUES_MAX)
                rt_exit(MV_WASM_EXIT_TABLE);
        va_start(ap, results);
        for (uint32_t i = 0; i < params + results; i++)
                values[i] = (uint8_t)va_arg(ap, int);
        va_end(ap);
        for (uint32_t i = 0; i < types_count; i++)
                if (same_type(&types[i], params, results, values))
                        return i + 1;
        if (!types)
                types = table_new(RT_FUNCTION_TYPES, sizeof types[0]);
        uint8_t *kept = table_new(params + results, 1);
        if (types_count == RT_FUNCTION_TYPES)
                rt_exit(MV_WASM_EXIT_TABLE);
        memcpy(kept, values, params + results);
        types[types_count++] = (struct function_type){ (uint16_t)params, (uint16_t)results, kept };
        return types_count;
}
