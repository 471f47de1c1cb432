/* SPDX-License-Identifier: Apache-2.0 */
#include <cli/repl.h>
#include <stdlib.h>
#include <string.h>

struct repl_words {
        char **items; /* sorted, each once */
        size_t count, cap;
};

struct repl_words *repl_words_new(void)
{
        return calloc(1, sizeof(struct repl_words));
}

struct repl_words *repl_words_free(struct repl_words *w)
{
        for (size_t i = 0; w && i < w->count; i++)
                free(w->items[i]);
        free(w ? w->items : NULL);
        free(w);
        return NULL;
}

/* Where a word of this beginning stands, or would stand. */
static size_t first_from(const struct repl_words *w, const char *text, size_t len)
{
        size_t low = 0, high = w->count;
        while (low < high) {
                size_t middle = (low + high) / 2;
                if (strncmp(w->items[middle], text, len) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

static bool room(struct repl_words *w)
{
        if (w->count < w->cap)
                return true;
        size_t cap = w->cap ? 2 * w->cap : 256;
        char **more = realloc(w->items, cap * sizeof *more);
        if (!more)
                return false;
        w->items = more;
        w->cap = cap;
        return true;
}

bool repl_words_add(struct repl_words *w, const char *text, size_t len)
{
        size_t at = first_from(w, text, len);
        for (; at < w->count && strncmp(w->items[at], text, len) == 0; at++)
                if (w->items[at][len] == 0)
                        return true;
        at = first_from(w, text, len); /* shorter words come first */
        char *copy = room(w) ? strndup(text, len) : NULL;
        if (!copy)
                return false;
        memmove(w->items + at + 1, w->items + at, (w->count - at) * sizeof *w->items);
        w->items[at] = copy;
        w->count++;
        return true;
}

void repl_words_add_defined(struct repl_words *w, const char *program)
{
        static const char *const heads[] = { "(def ", "(defn ", "(defmacro ", "(defstruct ",
                                             "(deftype " };
        for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
                for (const char *p = program; (p = strstr(p, heads[i]));) {
                        p += strlen(heads[i]);
                        p += strspn(p, " ");
                        size_t n = strcspn(p, " \t\r\n()[]{}\";");
                        if (n)
                                (void)repl_words_add(w, p, n);
                }
}

void repl_words_each(const struct repl_words *w, const char *prefix, size_t len,
                     void (*each)(void *ctx, const char *word), void *ctx)
{
        for (size_t i = first_from(w, prefix, len);
             i < w->count && strncmp(w->items[i], prefix, len) == 0; i++)
                each(ctx, w->items[i]);
}
