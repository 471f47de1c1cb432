/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_CONFIG_H
#define MV_CONFIG_H
/* agent.config: reading, checking, printing. Pure but for mv_agent_load, which reads one file.
 * Ownership: everything a struct mv_agent_file shows lives in its arena, until mv_agent_done. */
#include <config/agent.h>
#include <config/diagnostics.h>
#include <config/text.h>

enum mv_syntax { MV_SYNTAX_RTFS, MV_SYNTAX_JSON, MV_SYNTAX_TOML, MV_SYNTAX_MAX_ };
enum mv_syntax mv_syntax_of(const char *file_name); /* by extension; RTFS when it says nothing */

struct mv_agent_evaluator; /* forms.h */
struct mv_agent_options {
        bool strict;                          /* unknown and duplicate keys are errors */
        bool lenient_digests;                 /* "sha256:" and anything is a digest (REQ-ACV-22) */
        struct mv_agent_evaluator *evaluator; /* kept by who reads many files; NULL: none is */
};
struct mv_agent_file { /* stays where it was made: diagnostics point to the arena */
        struct mv_arena arena;
        struct mv_agent_config config;     /* defaults where nothing was given */
        struct mv_diagnostics diagnostics; /* schema order */
        bool valid;                        /* no errors */
        char digest[72];                   /* of the file that was loaded: "sha256:..." */
};
/* 0: *ret holds what could be read and what is wrong with it, also when it is not valid. Negative: NOMEM, LIMIT, or the
 * file could not be read: "Failed to read agent config file: ...". */
int mv_agent_parse(struct mv_slice text, enum mv_syntax syntax, const struct mv_agent_options *o,
                   struct mv_agent_file *ret, struct mv_err *err);
int mv_agent_load(const char *path, const struct mv_agent_options *o, struct mv_agent_file *ret,
                  struct mv_err *err);
void mv_agent_done(struct mv_agent_file *f);

/* The rules about several fields, and what a careful reader would remark (REQ-ACV). */
void mv__validate_microvm(const struct mv_agent_config *c, bool lenient_digests,
                          struct mv_diagnostics *d);
void mv__validate_general(const struct mv_agent_config *c, struct mv_diagnostics *d);
/* Two agents of one host may not have one context id: reports into the second one's diagnostics. */
void mv_agent_check_host(const struct mv_agent_file *first, struct mv_agent_file *second);
/* REQ-ACV-17: is there no error at this path; and would there be none with this value (an RTFS literal) in its
 * place? NOT_FOUND: no such field. INVALID: the literal is none. Values that are tried use the file's arena. */
bool mv_agent_field_ok(const struct mv_agent_file *f, const char *path);
int mv_agent_field_try(struct mv_agent_file *f, const char *path, struct mv_slice literal,
                       bool *ret_ok, struct mv_err *err);
/* REQ-ACV-18: the text for people. name: of the file, or NULL. */
void mv_agent_report(const struct mv_agent_file *f, const char *name, struct mv_text *ret);
void mv_agent_report_json(const struct mv_agent_file *f, const char *name, struct mv_text *ret);

/* The same for any file. fine: what to say when there is nothing to complain about. */
void mv__report(const struct mv_diagnostics *d, const char *name, const char *fine,
                struct mv_text *ret);
void mv__report_json(const struct mv_diagnostics *d, const char *name, struct mv_text *ret);

/* The whole configuration as text of a syntax; reads back equal. */
void mv_agent_print(const struct mv_agent_config *c, enum mv_syntax syntax, struct mv_text *ret);
void mv__print(const struct mv_section *schema, const void *section, enum mv_syntax syntax,
               struct mv_text *ret);
/* One value kept as it was written (MV_F_ANY). */
void mv__print_form(const struct mv_form *f, enum mv_syntax syntax, struct mv_text *ret);
/* Do two sections say the same (what is given and where aside)? */
bool mv__sections_equal(const struct mv_section *schema, const void *a, const void *b);

#endif
