/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_CONFIG_FORMS_H
#define MV_CONFIG_FORMS_H
/* The same tree from every syntax: maps are pairs in source order with their duplicates,
 * everything has a place. */
#include <base/arena.h>
#include <base/err.h>
#include <rtfs/data.h>

/* Longest configuration text; the large example has 6 KiB. */
#define MV_CONFIG_BYTES_MAX (256u << 10)
/* Forms, struct and diagnostics of the longest text. */
#define MV_CONFIG_ARENA_BYTES (256u << 20)

struct mv_syntax_error {
        uint32_t line, column; /* 1-based; 0: unknown */
        char message[300];
};
/* INVALID: the text is not of that syntax, *ret_error says where and why. LIMIT: too much of it.
 * Texts are in the arena. */
int mv__read_json(struct mv_slice text, struct mv_arena *a, struct mv_form *ret,
                  struct mv_syntax_error *ret_error, struct mv_err *err);
int mv__read_toml(struct mv_slice text, struct mv_arena *a, struct mv_form *ret,
                  struct mv_syntax_error *ret_error, struct mv_err *err);
/* RTFS text of an agent.config: data as it stands, anything else evaluated without capabilities (REQ-AC-16, -17).
 * *ret is what the last form is or gives; a list is (agent.config ...). */
int mv__read_agent(struct mv_slice text, struct mv_arena *a, struct mv_form *ret,
                   struct mv_syntax_error *ret_error, struct mv_err *err);
extern const char mv__profiles_source[]; /* the functions every agent.config may call */

/* At most one byte more than MV_CONFIG_BYTES_MAX; malloc'ed. SYS: "<what>: <path>". */
int mv__read_file(const char *path, const char *what, char **ret, size_t *ret_len,
                  struct mv_err *err);

/* A growing array of forms in an arena. */
struct mv_forms {
        struct mv_form *items;
        uint32_t count, cap;
};
struct mv_form *mv__forms_push(struct mv_arena *a,
                               struct mv_forms *f); /* NULL: the arena is full */

#endif
