/* SPDX-License-Identifier: Apache-2.0 */
/* wire/value_host.c - texts of values in malloc'ed memory, for callers of the library. Not
 * compiled into guests. */
#include <wire/text.h>
#include <stdlib.h>

typedef bool print_fn(struct mv_out *o, const struct mv_value *v);

static bool print_json(struct mv_out *o, const struct mv_value *v)
{
        const char *why;
        return mv_print_json(o, v, &why);
}

/* Twice the room until the text fits: what is printed in vain is less than what is printed at
 * last. */
static char *print_growing(print_fn *print, const struct mv_value *v, size_t *ret_len)
{
        for (size_t cap = 256; v && cap <= SIZE_MAX / 4; cap *= 2) {
                char *text = malloc(cap);
                if (!text)
                        return NULL;
                struct mv_out o = mv_out(text, cap - 1);
                if (print(&o, v)) {
                        text[o.len] = 0;
                        if (ret_len)
                                *ret_len = o.len;
                        return text;
                }
                free(text);
                if (!o.overflow)
                        return NULL;
        }
        return NULL;
}

char *mv_value_display(const struct mv_value *v, size_t *ret_len)
{
        return print_growing(mv_print_display, v, ret_len);
}

char *mv_value_readable(const struct mv_value *v, size_t *ret_len)
{
        return print_growing(mv_print_readable, v, ret_len);
}

char *mv_value_json(const struct mv_value *v, size_t *ret_len)
{
        return print_growing(print_json, v, ret_len);
}
