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
/* What evaluates text that is not data. Making one costs as much as a hundred small configurations: whoever reads many
 * keeps it between them. One thread at a time. */
struct mv_agent_evaluator;
struct mv_agent_evaluator *mv_agent_evaluator_new(struct mv_err *err); /* NULL: *err says why */
struct mv_agent_evaluator *mv_agent_evaluator_free(struct mv_agent_evaluator *e);
struct mv_agent_reading {
        struct mv_arena *arena;
        struct mv_agent_evaluator *evaluator; /* NULL: one of its own, when it takes one */
        struct mv_syntax_error *ret_error;
};
/* RTFS text of an agent.config: data as it stands, anything else evaluated without capabilities (REQ-AC-16, -17).
 * *ret is what the last form is or gives; a list is (agent.config ...). */
int mv__read_agent(struct mv_slice text, const struct mv_agent_reading *how, struct mv_form *ret,
                   struct mv_err *err);
extern const char mv__head_source[];     /* stands before every text that is evaluated */
extern const char mv__profiles_source[]; /* and this, when it names a profile:... */

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
