/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled modules that were used last, in memory: what was read from disk and checked is not read again. */
#include <stdlib.h>
#include <string.h>
#include <base/err.h>
#include "wasm.h"

static void unref(struct mv__wasm_image *i)
{
        if (--i->refs)
                return;
        free((void *)i->bytes.p);
        free(i);
}

void mv__wasm_images_init(struct mv__wasm_images *s, enum mv__wasm_target target)
{
        *s = (struct mv__wasm_images){ .target = target };
        pthread_mutex_init(&s->lock, NULL);
}

void mv__wasm_images_done(struct mv__wasm_images *s)
{
        while (s->newest) {
                struct mv__wasm_image *i = s->newest;
                s->newest = i->next;
                unref(i);
        }
        pthread_mutex_destroy(&s->lock);
}

static struct mv__wasm_image *find(struct mv__wasm_images *s, const uint8_t key[WASM_KEY_BYTES])
{
        pthread_mutex_lock(&s->lock);
        struct mv__wasm_image *i = s->newest;
        while (i && memcmp(i->key, key, WASM_KEY_BYTES) != 0)
                i = i->next;
        if (i)
                i->refs++;
        pthread_mutex_unlock(&s->lock);
        return i;
}

void mv__wasm_image_put(struct mv__wasm_images *s, struct mv__wasm_image *i)
{
        pthread_mutex_lock(&s->lock);
        unref(i);
        pthread_mutex_unlock(&s->lock);
}

/* Takes the bytes over. One reference is the list's, one the caller's. */
static struct mv__wasm_image *add(struct mv__wasm_images *s, const uint8_t key[WASM_KEY_BYTES],
                                  uint64_t seed, struct mv_slice bytes)
{
        struct mv__wasm_image *i = calloc(1, sizeof *i);
        if (!i) {
                free((void *)bytes.p);
                return NULL;
        }
        *i = (struct mv__wasm_image){ .refs = 2, .seed = seed, .bytes = bytes };
        memcpy(i->key, key, sizeof i->key);
        pthread_mutex_lock(&s->lock);
        i->next = s->newest;
        s->newest = i;
        struct mv__wasm_image **link = &s->newest;
        for (unsigned n = 0; n < WASM_IMAGES_KEPT && *link; n++)
                link = &(*link)->next;
        while (*link) {
                struct mv__wasm_image *old = *link;
                *link = old->next;
                unref(old);
        }
        pthread_mutex_unlock(&s->lock);
        return i;
}

static int make(struct mv__wasm_images *s, struct mv_provider *programs, struct mv_slice module,
                const uint8_t key[WASM_KEY_BYTES], struct mv_slice *ret, struct mv_err *err)
{
        struct mv__wasm_module about;
        int r = mv__wasm_module_read(module, &about, err);
        if (r < 0 || mv__wasm_cache_read(key, ret))
                return r;
        r = mv__wasm_compile(programs, s->target, module, ret, err);
        if (r == 0)
                mv__wasm_cache_write(key, *ret);
        return r;
}

int mv__wasm_image_get(struct mv__wasm_images *s, struct mv_provider *programs,
                       struct mv_slice module, struct mv__wasm_image **ret, struct mv_err *err)
{
        uint8_t key[WASM_KEY_BYTES];
        struct mv_slice bytes;
        uint64_t seed;
        int r = mv__wasm_tools(s->target, err);
        if (r == 0)
                r = mv__wasm_key(s->target, module, key, &seed, err);
        if (r < 0)
                return r;
        *ret = find(s, key);
        if (*ret)
                return 0;
        r = make(s, programs, module, key, &bytes, err);
        if (r < 0)
                return r;
        *ret = add(s, key, seed, bytes);
        return *ret ? 0 : mv_fail(err, MV_E_NOMEM, 0, "a compiled module");
}
