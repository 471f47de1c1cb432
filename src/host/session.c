/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions (microvm/session.h): one provider and one cell over several executions.
 *
 * (1) An evaluation goes the whole way of an execution; only where its cell comes from, and where
 *     it goes, differs.
 * (2) A cell serves further evaluations only after a run that ended by itself, in order. Any other
 *     closes it at once, and the session counts from the start again.
 * (3) At the end the cell is given back like any used cell: reset completely, or closed. */
#include <host/exec.h>
#include <stdlib.h>
#include <string.h>
#include <wire/cbor.h>

#define SESSION_BYTES_MAX ((size_t)64 << 20) /* copies of arguments and variables */

static int choose(struct mv_session *s, const struct mv_session_options *o, struct mv_err *err)
{
        struct mv_limits asked = { .memory_bytes_max = o->memory_bytes_max };
        struct mv_context *frozen = mv_context_copy(o->context);
        if (!frozen)
                return mv_fail(err, MV_E_NOMEM, 0, "context");
        asked = mv_limits_min(frozen->limits, asked);
        mv_context_free(frozen);
        struct mv_execution x = { .program = mv_program_source(""),
                                  .context = o->context,
                                  .provider = o->provider,
                                  .tier_min = o->tier_min,
                                  .args = o->args,
                                  .variables = o->variables };
        int r = mv__execution_check(&x, err);
        if (r == 0)
                r = mv__choose(s->host, &x, &asked, &s->entry, err);
        if (r < 0)
                return r;
        s->memory_bytes_max =
                asked.memory_bytes_max ? asked.memory_bytes_max : MV_DEFAULT_MEMORY_BYTES;
        if (s->entry->ops->features & MV_FEAT_SESSION)
                return 0;
        return mv_fail(err, MV_E_UNSUPPORTED, 0, "provider '%s' cannot keep a cell for a session",
                       s->entry->ops->name);
}

static int keep(struct mv_session *s, const struct mv_value *v, const struct mv_value **ret,
                struct mv_err *err)
{
        *ret = v ? mv_value_copy(v, &s->memory) : NULL;
        return v && !*ret ? mv_fail(err, MV_E_LIMIT, 0,
                                    "a session's arguments take more than %zu bytes",
                                    SESSION_BYTES_MAX)
                          : 0;
}

int mv_session_open(struct mv_host *h, const struct mv_session_options *o, struct mv_session **ret,
                    struct mv_err *err)
{
        struct mv_session *s = calloc(1, sizeof *s);
        if (!s)
                return mv_fail(err, MV_E_NOMEM, 0, "session");
        s->host = h;
        s->prelude = o->prelude;
        s->memory = mv_arena_grow(SESSION_BYTES_MAX);
        mv__make_id(h, "sess_", s->id);
        int r = keep(s, o->args, &s->args, err);
        if (r == 0)
                r = keep(s, o->variables, &s->variables, err);
        if (r == 0)
                r = choose(s, o, err);
        if (r == 0)
                r = mv__entry_use(s->entry, err);
        s->using = r == 0;
        if (r < 0) {
                mv_session_close(s);
                return mv_wrap(err, "open a session");
        }
        *ret = s;
        return 0;
}

int mv_session_eval(struct mv_session *s, const struct mv_evaluation *v, struct mv_result **ret,
                    struct mv_err *err)
{
        if (!mv__program_is_rtfs(v->program.kind))
                return mv_fail(err, MV_E_INVALID, 0,
                               "a session evaluates RTFS programs, this is %s",
                               mv__program_kind_name(v->program.kind));
        struct mv_execution x = { .program = v->program,
                                  .context = v->context,
                                  .behalf = v->behalf,
                                  .provider = s->entry->ops->name,
                                  .args = s->args,
                                  .variables = s->variables,
                                  .limits = v->limits,
                                  .prelude = s->prelude,
                                  .cancel = v->cancel };
        s->lost = false;
        return mv__execute(s->host, &x, s, ret, err);
}

/* --- the cell (1) ----------------------------------------------------------------------------- */
int mv__session_cell(struct mv_session *s, const struct mv__exec *e, struct mv_cell **ret,
                     struct mv_err *err)
{
        struct mv_cell_spec spec = { e->result->execution_id, e->limits, true };
        int r = s->cell ? 0 : mv__cell_take(s->entry, &spec, &s->cell, err);
        *ret = s->cell;
        return r;
}

void mv__session_after(struct mv_session *s, bool in_order)
{
        if (in_order) {
                s->evaluations++;
                return;
        }
        s->entry->ops->close_cell(s->cell); /* (2) */
        s->cell = NULL;
        s->evaluations = 0;
        s->lost = true;
}

struct mv_session *mv_session_close(struct mv_session *s)
{
        if (!s)
                return NULL;
        if (s->cell) /* (3) */
                mv__cell_give(s->entry, s->cell, s->memory_bytes_max, true, s->host->pool_cells);
        if (s->using)
                mv__entry_release(s->entry);
        mv_exposed_free(s->exposed);
        mv_arena_done(&s->memory);
        free(s);
        return NULL;
}

bool mv_session_lost(const struct mv_session *s)
{
        return s->lost;
}

const char *mv_session_id(const struct mv_session *s)
{
        return s->id;
}

const char *mv_session_provider(const struct mv_session *s)
{
        return s->entry->ops->name;
}

enum mv_tier mv_session_tier(const struct mv_session *s)
{
        return s->entry->ops->tier;
}
