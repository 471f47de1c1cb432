/* SPDX-License-Identifier: Apache-2.0 */
/* The invariants are in terms.h. */
#include <base/err.h>
#include <base/slice.h>
#include <security/grants.h>
#include <security/terms.h>
#include <stdlib.h>

#define VALUES "(let [given args args (nth given 0) result (nth given 1)"
static const struct row {
        const char *name, *kind;
        bool before, after;
        const char *head, *tail; /* around its text, which may end in a comment */
} rows[] = {
        { "pre", "precondition", true, false, VALUES "] ", "\n)" },
        { "post", "postcondition", false, true, VALUES "] ", "\n)" },
        { "invariant", "invariant", true, true, VALUES "] ", "\n)" },
        { "input-schema", "precondition", true, false, VALUES " checked : ",
          "\n(if (and (= 1 (count args)) (map? (first args))) (first args) args)] true)" },
        { "output-schema", "postcondition", false, true, VALUES " checked : ", "\nresult] true)" },
};

/* Of "NAME" and of "NAME:...". */
static const struct row *row_of(const char *term)
{
        size_t len = strcspn(term, ":");
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
                if (strlen(rows[i].name) == len && memcmp(rows[i].name, term, len) == 0)
                        return &rows[i];
        return NULL;
}

bool mv__term_name(const char *name)
{
        return !strchr(name, ':') && row_of(name);
}

int mv__term_add(struct mv_context *c, const char *name, const char *text, struct mv_err *err)
{
        char term[MV_TERM_BYTES_MAX + 32];
        if (!mv__term_name(name) || strlen(text) > MV_TERM_BYTES_MAX)
                return mv_fail(err, MV_E_INVALID, 0, "its contract: %s has more than %u bytes",
                               name, MV_TERM_BYTES_MAX);
        mv_fmt(term, sizeof term, "%s:%s", name, text);
        return mv__grants_add(&c->terms, term, err);
}

bool mv__terms_join(struct mv_context *c, const struct mv_context *most)
{
        struct mv_err err;
        for (uint32_t i = 0; i < most->terms.count; i++)
                if (mv__grants_add(&c->terms, most->terms.items[i], &err) < 0)
                        return false;
        return true;
}

bool mv__term_asked(const char *term, bool after)
{
        const struct row *row = row_of(term);
        return row && (after ? row->after : row->before);
}

const char *mv__term_kind(const char *term)
{
        const struct row *row = row_of(term);
        return row ? row->kind : "term";
}

char *mv__term_program(const char *term)
{
        const struct row *row = row_of(term);
        const char *text = row ? term + strlen(row->name) + 1 : term;
        size_t cap = strlen(text) + 300;
        char *program = malloc(cap);
        if (program)
                mv_fmt(program, cap, "%s%s%s", row ? row->head : "", text, row ? row->tail : "");
        return program;
}
