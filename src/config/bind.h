/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_CONFIG_BIND_H
#define MV_CONFIG_BIND_H
/* From forms to the struct of a schema, for every syntax (RTFS, JSON, TOML). */
#include <config/diagnostics.h>

struct mv_binding {
        struct mv_arena *arena; /* the struct's texts point into the forms: both live here */
        struct mv_diagnostics *diagnostics;
        bool strict;      /* unknown and duplicate keys are errors */
        bool string_keys; /* JSON and TOML; RTFS wants keywords */
        uint32_t
                /* the struct holds defaults where these are: rules about it would mislead */
                shape_errors;
};
/* Every field at its default, nothing given. section: zeroed, schema->size bytes. */
void mv__defaults(const struct mv_section *schema, void *section);
/* pairs: key, value, key, value. at: the form that holds them, for its place. */
void mv__bind(struct mv_binding *b, const struct mv_section *schema, const struct mv_form *at,
              const struct mv_form *pairs, uint32_t count, void *section);

/* Why a text is not what a check wants; NULL: it is. */
const char *mv__check_text(enum mv_field_check check, struct mv_slice text);

#endif
