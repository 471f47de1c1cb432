/* SPDX-License-Identifier: Apache-2.0 */
/* mv_execute, in the order of REQ-AUTH-08:
 *
 *   check -> freeze the context -> authorise -> choose a provider -> token -> boundary gate ->
 *   EXECUTION_STARTED and DECISION records -> broker -> cell -> run -> EXECUTION_ENDED -> root ->
 *   result
 *
 * (1) Nothing runs before it is authorised and that decision is recorded.
 * (2) No context means pure; the tier is never lowered; a provider that cannot enforce a limit
 *     is refused.
 * (3) Whatever happens after the trail began, the trail is ended or the call fails: no result
 *     without a root.
 * (4) A denial is a result. A negative return means that nothing ran to an end that could be
 *     vouched for. */
#include <base/slice.h>
#include <host/egress.h>
#include <host/exec.h>
#include <host/settings.h>
#include <provider/common.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <wire/text.h>

static uint64_t clock_ns(clockid_t id)
{
        struct timespec t;
        clock_gettime(id, &t);
        return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t wall_ms(void)
{
        return clock_ns(CLOCK_REALTIME) / 1000000;
}

/* --- before anything runs --------------------------------------------------------------------- */
/* A version 4 UUID. Its bits are SHA-256 of the host's random seed and a counter: as
 * unpredictable as the seed, without a system call per execution. */
void mv__make_id(struct mv_host *h, const char *prefix, char ret[64])
{
        struct {
                uint8_t seed[MV_DIGEST_BYTES];
                uint64_t count;
        } in = { .count = atomic_fetch_add(&h->ids, 1) };
        uint8_t u[MV_DIGEST_BYTES];
        static const char hex[] = "0123456789abcdef";
        memcpy(in.seed, h->id_seed, sizeof in.seed);
        mv_sha256(mv_slice(&in, sizeof in), u);
        u[6] = (uint8_t)((u[6] & 0x0f) | 0x40); /* version 4 */
        u[8] = (uint8_t)((u[8] & 0x3f) | 0x80); /* variant 1 */
        memcpy(ret, prefix, 5);
        char *p = ret + 5;
        for (size_t i = 0; i < 16; i++) {
                if (i == 4 || i == 6 || i == 8 || i == 10)
                        *p++ = '-';
                *p++ = hex[u[i] >> 4];
                *p++ = hex[u[i] & 15];
        }
        *p = '\0';
}

/* What identifies the program: its bytes, or for those without bytes the name of what is run; of an external program its path
 * and arguments, a NUL after each. */
static int identify(struct mv__exec *e, struct mv_err *err)
{
        const struct mv_program *p = &e->x->program;
        size_t len = 0;
        e->identity =
                p->kind == MV_PROGRAM_NATIVE ? mv_slice_str(p->name ? p->name : "") : p->bytes;
        if (p->kind == MV_PROGRAM_EXTERNAL) {
                len = strlen(p->path) + 1;
                for (size_t i = 0; p->argv && p->argv[i]; i++)
                        len += strlen(p->argv[i]) + 1;
                struct mv_out o = mv_out(mv_new(&e->scratch, uint8_t, len), len);
                if (!o.p)
                        return mv_fail(err, MV_E_LIMIT, 0, "a command line of %zu bytes", len);
                mv_put_bytes(&o, p->path, strlen(p->path) + 1);
                for (size_t i = 0; p->argv && p->argv[i]; i++)
                        mv_put_bytes(&o, p->argv[i], strlen(p->argv[i]) + 1);
                e->identity = mv_out_slice(&o);
        }
        mv_sha256(e->identity, e->program_digest);
        return 0;
}

static bool put_context(struct mv_out *o, const void *what)
{
        return mv_context_encode(what, o);
}

/* Most executions of a host have the context of the one before. */
static void context_digest(struct mv_host *h, struct mv_slice bytes, uint8_t ret[MV_DIGEST_BYTES])
{
        struct mv__context_seen *seen = &h->context_seen;
        pthread_mutex_lock(&seen->lock);
        if (bytes.len == 0 || bytes.len != seen->len || memcmp(bytes.p, seen->bytes, seen->len)) {
                mv_sha256(bytes, seen->digest);
                seen->len = bytes.len <= sizeof seen->bytes ? bytes.len : 0;
                memcpy(seen->bytes, bytes.p, seen->len);
        }
        memcpy(ret, seen->digest, MV_DIGEST_BYTES);
        pthread_mutex_unlock(&seen->lock);
}

static int freeze(struct mv__exec *e, struct mv_err *err)
{
        struct mv_slice bytes;
        e->context = mv_context_copy(e->x->context);
        if (!e->context)
                return mv_fail(err, MV_E_NOMEM, 0, "context");
        int r = mv__encode(&e->scratch, put_context, e->context, &bytes, err);
        if (r < 0)
                return mv_wrap(err, "the context");
        context_digest(e->host, bytes, e->context_digest);
        return 0;
}

/* What a provider must enforce because somebody asked for it; the defaults fill the rest in. */
void mv__exec_limits(struct mv__exec *e, struct mv_limits asked)
{
        static const struct mv_limits defaults = { .wall_ns_max = MV_DEFAULT_WALL_NS,
                                                   .memory_bytes_max = MV_DEFAULT_MEMORY_BYTES,
                                                   .fuel_max = MV_DEFAULT_FUEL,
                                                   .output_bytes_max = MV_DEFAULT_OUTPUT_BYTES };
        e->limits = asked;
        if (!e->limits.wall_ns_max)
                e->limits.wall_ns_max = defaults.wall_ns_max;
        if (!e->limits.memory_bytes_max)
                e->limits.memory_bytes_max = defaults.memory_bytes_max;
        if (!e->limits.fuel_max)
                e->limits.fuel_max = defaults.fuel_max;
        if (!e->limits.output_bytes_max)
                e->limits.output_bytes_max = defaults.output_bytes_max;
        e->cell_limits = e->limits;
}

void mv__exec_clock(struct mv__exec *e)
{
        e->result->metadata.started_ms = wall_ms();
        e->started_ns = mv__now_ns();
        e->deadline_ns = e->started_ns + e->limits.wall_ns_max;
}

static void use_token(struct mv__exec *e)
{
        for (uint32_t i = 0; i < e->decision.permissions_count; i++)
                e->permissions[i] = e->decision.permissions[i];
        e->token = e->x->permissions ? e->x->permissions : e->permissions;
        e->token_count =
                e->x->permissions ? e->x->permissions_count : e->decision.permissions_count;
}

/* The boundary gate, once more with the token alone (REQ-PRV-09). */
static void gate(struct mv__exec *e)
{
        const char *operation =
                e->x->program.kind == MV_PROGRAM_NONE ? "execute_capability" : "execute_program";
        struct mv_decision d;
        if (!e->x->capability_id)
                return;
        mv_token_check(operation, e->x->capability_id, e->token, e->token_count, &d);
        if (!d.allowed)
                e->decision = d;
}

static int prepare(struct mv__exec *e, struct mv_err *err)
{
        const struct mv_execution *x = e->x;
        int r = mv__execution_check(x, err);
        if (r < 0)
                return r;
        if (!e->resumed)
                mv__make_id(e->host, "exec_", e->result->execution_id);
        r = identify(e, err);
        if (r < 0)
                return r;
        r = freeze(e, err);
        if (r < 0)
                return r;
        mv_authorize_program(e->context, mv__program_class(x->program.kind), x->capability_id,
                             &e->decision);
        r = mv__client_key_check(e->context, err);
        if (r == 0)
                r = mv__program_rules(e->context, &x->program, &e->decision, err);
        if (r < 0)
                return r;
        struct mv_limits asked = mv_limits_min(e->context->limits, x->limits);
        if (x->program.kind == MV_PROGRAM_NONE)
                asked = mv_limits_min(asked, mv__settings_of(x->capability_id)->limits);
        mv__exec_limits(e, asked);
        if (e->session && asked.memory_bytes_max &&
            asked.memory_bytes_max < e->session->memory_bytes_max)
                return mv_fail(err, MV_E_INVALID, 0,
                               "a memory limit of %llu bytes: the session's cell has %llu; open a "
                               "session with less",
                               (unsigned long long)asked.memory_bytes_max,
                               (unsigned long long)e->session->memory_bytes_max);
        if (e->session)
                e->limits.memory_bytes_max = e->session->memory_bytes_max;
        if (!e->decision.allowed)
                return 0;
        r = mv__exec_plan(e, err);
        if (r == 0)
                r = mv__choose(e->host, e->x, &asked, &e->entry, err);
        if (r == 0)
                r = mv__exec_walls(e, &asked, err);
        if (r < 0)
                return r;
        mv_fmt(e->result->provider, sizeof e->result->provider, "%s", e->entry->ops->name);
        e->result->tier = x->program.kind == MV_PROGRAM_NATIVE ? MV_TIER_NONE : e->entry->ops->tier;
        use_token(e);
        gate(e);
        return 0;
}

/* --- the run ---------------------------------------------------------------------------------- */
static int tap_frame(void *ctx, struct mv_slice frame, struct mv_slice *ret_reply,
                     struct mv_err *err)
{
        struct mv__door_tap *tap = ctx;
        int r = tap->inner.frame(tap->inner.ctx, frame, ret_reply, err);
        if (r < 0 && !tap->failed) {
                tap->failed = true;
                tap->err = *err;
        }
        return r;
}

static bool tap_output(void *ctx, bool to_stderr, struct mv_slice bytes)
{
        struct mv__door_tap *tap = ctx;
        bool fits = tap->inner.output(tap->inner.ctx, to_stderr, bytes);
        if (fits && tap->x->on_output)
                tap->x->on_output(tap->x->on_output_ctx, to_stderr, bytes);
        return fits;
}

/* What cannot be resumed cannot wait for an approval either. */
static bool can_wait(const struct mv__exec *e)
{
        enum mv_program_kind k = e->x->program.kind;
        return !e->session && e->context->nested == 0 &&
               (mv__program_is_rtfs(k) || k == MV_PROGRAM_NONE);
}

/* What the program says about itself. A session's goes on as long as its cell does, whatever this evaluation's context exposes. */
static int open_exposed(struct mv__exec *e, struct mv_exposed **ret, struct mv_err *err)
{
        struct mv_exposed **at = e->session ? &e->session->exposed : &e->exposed;
        if (e->session && e->session->evaluations == 0)
                *at = mv_exposed_free(*at);
        if (!*at && (e->session || e->context->exposed.count)) {
                *at = mv_exposed_new(e->x->variables);
                if (!*at)
                        return mv_fail(err, MV_E_NOMEM, 0, "exposed context");
        }
        *ret = *at;
        return 0;
}

static int open_broker(struct mv__exec *e, struct mv_err *err)
{
        struct mv_exposed *exposed;
        int r = open_exposed(e, &exposed, err);
        if (r < 0)
                return r;
        struct mv_broker_options o = { .execution_id = e->result->execution_id,
                                       .context = e->context,
                                       .table = e->host->table,
                                       .trail = e->trail,
                                       .audit = can_wait(e) ? e->host->audit : NULL,
                                       .effects = e->host->effects,
                                       .plan = e->program_digest,
                                       .exposed = exposed,
                                       .seed = e->x->seed,
                                       .limits = e->limits,
                                       .deadline_ns = e->deadline_ns,
                                       .tier_min = e->x->tier_min,
                                       .cancel = e->x->cancel,
                                       .session = e->session != NULL,
                                       .replay = e->replay,
                                       .tier = e->entry ? e->entry->ops->tier : MV_TIER_NONE,
                                       .profiles = e->plan ? e->plan->profiles : NULL,
                                       .profiles_count = e->plan ? e->plan->profiles_count : 0,
                                       .walls = e->walls,
                                       .walls_count = e->plan ? e->plan->walls_count : 0 };
        r = mv_broker_new(&o, &e->broker, err);
        if (r == 0) {
                e->tap.inner = mv_broker_door(e->broker);
                e->tap.x = e->x;
        }
        return r;
}

static int run_watched(struct mv__exec *e, struct mv_cell *cell, struct mv__egress *g,
                       struct mv_slice start, struct mv_exit *ret, struct mv_err *err)
{
        struct mv_run run = { .execution_id = e->result->execution_id,
                              .start = start,
                              .door = { &e->tap, tap_frame, tap_output },
                              .egress = g ? mv__egress_face(g) : NULL,
                              .limits = e->cell_limits,
                              .deadline_ns = e->deadline_ns,
                              .capability_id = e->x->capability_id,
                              .permissions = e->token,
                              .permissions_count = e->token_count,
                              .session = e->session != NULL,
                              .resumes = e->session && e->session->evaluations > 0 };
        /* the broker asks it to stop at the deadline; the wall falls behind that */
        if (e->session) {
                run.deadline_ns += MV_SESSION_GRACE_NS;
                run.limits.wall_ns_max += MV_SESSION_GRACE_NS;
        }
        int r = e->plan && e->plan->walls_count ? mv__cells_new(e, run.door, &run, &e->cells, err)
                                                : 0;
        if (r < 0)
                return r;
        if (e->cells)
                run.door = mv__cells_door(e->cells);
        struct mv__watch watch;
        r = mv__watch_start(&watch, e, cell, err);
        if (r == 0)
                r = e->entry->ops->run(cell, &run, ret, err);
        mv__watch_stop(&watch);
        if (e->cells)
                e->elsewhere = mv__cells_end(e->cells, ret);
        if (r == 0 && watch.late && ret->termination == MV_END_KILLED) {
                ret->termination = MV_END_TIMEOUT;
                e->step_late = true;
        }
        return r;
}

static int run_cell(struct mv__exec *e, struct mv_cell *cell, const struct mv_cell_spec *spec,
                    struct mv_slice start, struct mv_exit *ret, struct mv_err *err)
{
        struct mv__egress *g = NULL;
        int r = spec->program && spec->program->network ? mv__egress_new(e, &g, err) : 0;
        if (r == 0)
                r = run_watched(e, cell, g, start, ret, err);
        if (r == 0)
                r = mv__egress_end(g, err);
        mv__egress_free(g);
        return r;
}

static int run_behind_wall(struct mv__exec *e, struct mv_exit *ret, struct mv_err *err)
{
        bool foreign = mv__program_is_foreign(e->x->program.kind);
        struct mv_program_spec program;
        struct mv_cell_spec spec = { .execution_id = e->result->execution_id,
                                     .limits = e->cell_limits,
                                     .program = foreign ? &program : NULL };
        struct mv_metadata *m = &e->result->metadata;
        struct mv_cell *cell;
        struct mv_slice start = { NULL, 0 };
        int r = foreign ? mv__foreign_spec(e, &program, err) : mv__start_frame(e, &start, err);
        uint64_t t0 = mv__now_ns();
        if (r == 0)
                r = e->session ? mv__session_cell(e->session, e, &cell, err)
                               : mv__cell_take(e->entry, &spec, &cell, err);
        if (r < 0)
                return r;
        uint64_t t1 = mv__now_ns();
        r = run_cell(e, cell, &spec, start, ret, err);
        uint64_t t2 = mv__now_ns();
        if (r == 0 && ret->output_fd > 0) {
                mv__collect_output(e->result, ret->output_fd);
                close(ret->output_fd);
        }
        if (r == 0 && foreign)
                r = mv__foreign_outcome(e, ret, err);
        bool in_order = r == 0 && !foreign && ret->termination == MV_END_COMPLETED &&
                        !e->tap.failed && !e->elsewhere;
        if (e->session)
                mv__session_after(e->session, in_order);
        else
                mv__cell_give(e->entry, cell, e->cell_limits.memory_bytes_max, in_order,
                              e->host->pool_cells);
        m->open_ns = t1 - t0;
        m->run_ns = t2 - t1;
        e->ended_ns = mv__now_ns();
        m->close_ns = e->ended_ns - t2;
        return r;
}

static int run_direct(struct mv__exec *e, struct mv_exit *ret, struct mv_err *err)
{
        uint64_t t0 = mv__now_ns(), cpu0 = clock_ns(CLOCK_THREAD_CPUTIME_ID);
        int r = mv__run_direct(e, ret, err);
        ret->cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu0;
        e->ended_ns = mv__now_ns();
        e->result->metadata.run_ns = e->ended_ns - t0;
        return r;
}

/* A door that failed for a reason other than the guest's bytes (a full audit store, say) fails
 * the call: nothing may be returned that is not recorded. */
static int door_verdict(struct mv__exec *e, int run, struct mv_err *err)
{
        if (!e->tap.failed)
                return run;
        if (e->tap.err.code == MV_E_HOSTILE || e->tap.err.code == MV_E_LIMIT ||
            (e->x->cancel && *e->x->cancel))
                return 0;
        if (e->replay && !e->resumed && e->tap.err.code == MV_E_CORRUPT) /* the replay diverged */
                return 0;
        if (mv_broker_stopped_as_recorded(e->broker))
                return 0;
        *err = e->tap.err;
        return -(int)err->code;
}

static void finish_metadata(struct mv__exec *e)
{
        struct mv_metadata *m = &e->result->metadata;
        m->duration_ns = e->ended_ns - e->started_ns;
        m->ended_ms = m->started_ms + m->duration_ns / 1000000;
}

int mv__exec_run(struct mv__exec *e, struct mv_err *err)
{
        struct mv_exit exit = { .termination = MV_END_COMPLETED, .exit_code = -1 };
        struct mv_err why;
        int prepared = mv__is_direct(e) ? 0 : mv__foreign_prepare(e, &why);
        int r = prepared < 0 && why.code != MV_E_INVALID ? (*err = why, prepared)
                                                         : open_broker(e, err);
        if (r < 0)
                return r;
        if (prepared < 0)
                r = mv__deliver_fault(e, "Generic", why.msg, err);
        else
                r = mv__is_direct(e) ? run_direct(e, &exit, err) : run_behind_wall(e, &exit, err);
        r = door_verdict(e, r, err);
        if (r < 0)
                return r;
        mv__outcome(e, &exit);
        if (e->resumed)
                mv__resume_outcome(e);
        r = mv__compensate(e, err);
        if (r < 0)
                return r;
        finish_metadata(e);
        r = mv_broker_account(e->broker, err);
        if (r < 0)
                return r;
        mv_trail_at(e->trail, e->result->metadata.ended_ms);
        return mv__record_ended(e, exit.detail, err);
}

/* --- the whole -------------------------------------------------------------------------------- */
/* EXECUTION_STARTED is the first record of an execution that starts; one that does not has the
 * decision alone. */
static int recorded(struct mv__exec *e, struct mv_err *err)
{
        struct mv_result *r = e->result;
        bool allowed = e->decision.allowed;
        int rc = e->resumed ? mv__resume_follow(e, err)
                            : mv_trail_begin(e->audit, r->execution_id, &e->trail, err);
        if (rc == 0)
                mv_trail_at(e->trail, r->metadata.started_ms);
        if (rc == 0 && allowed)
                rc = mv__record_started(e, err);
        if (rc == 0)
                rc = mv__record_program_decision(e, &e->decision, err);
        if (rc == 0)
                mv_trail_at(e->trail, 0);
        if (rc == 0 && allowed)
                rc = mv__record_profiles(e, err);
        if (rc == 0 && allowed)
                rc = mv__exec_run(e, err);
        if (rc == 0 && !allowed) {
                mv__result_deny(r, &e->decision);
                e->ended_ns = mv__now_ns();
                finish_metadata(e);
        }
        return rc < 0 ? rc : mv_trail_end(e->trail, r->root, &r->records, err);
}

int mv__exec_whole(struct mv__exec *e, struct mv_err *err)
{
        int r = prepare(e, err);
        if (r == 0 && e->decision.allowed) {
                r = mv__entry_use(e->entry, err);
                e->using = r == 0;
                if (r == 0)
                        r = mv__exec_walls_use(e, err);
        }
        if (r < 0)
                return r;
        /* The clock starts when the provider stands ready: initialising it once is not this
         * program's time. */
        mv__exec_clock(e);
        r = recorded(e, err);
        return r < 0 ? mv_wrap(err, "execution %s", e->result->execution_id) : 0;
}

int mv__exec_init(struct mv__exec *e, struct mv_host *h, const struct mv_execution *x,
                  struct mv_err *err)
{
        memset(e, 0, offsetof(struct mv__exec, decision));
        mv_decision_none(&e->decision);
        e->host = h;
        e->x = x;
        e->audit = h->audit;
        e->result = mv__result_new();
        e->scratch =
                mv_arena_grow_behind(e->scratch_first, sizeof e->scratch_first, EXEC_SCRATCH_MAX);
        if (!e->result)
                return mv_fail(err, MV_E_NOMEM, 0, "result");
        return 0;
}

void mv__exec_done(struct mv__exec *e)
{
        mv_broker_free(e->broker);
        mv_exposed_free(e->exposed);
        mv_trail_free(e->trail);
        mv__cells_free(e->cells);
        for (uint32_t i = 1; i <= e->walls_used; i++)
                mv__entry_release(e->plan->walls[i].entry);
        mv__plan_free(e->plan);
        if (e->using)
                mv__entry_release(e->entry);
        mv_context_free(e->context);
        mv_arena_done(&e->scratch);
}

static int execute_and_done(struct mv__exec *e, int r, struct mv_result **ret, struct mv_err *err)
{
        if (r == 0)
                r = mv__exec_whole(e, err);
        mv__exec_done(e);
        if (r < 0) {
                mv_result_free(e->result);
                return r;
        }
        *ret = e->result;
        return 0;
}

int mv__execute(struct mv_host *h, const struct mv_execution *x, struct mv_session *s,
                struct mv_result **ret, struct mv_err *err)
{
        struct mv__exec e;
        int r = mv__exec_init(&e, h, x, err);
        e.session = s;
        return execute_and_done(&e, r, ret, err);
}

int mv__execute_into(struct mv_host *h, const struct mv_execution *x, struct mv_audit *audit,
                     struct mv_result **ret, struct mv_err *err)
{
        struct mv__exec e;
        int r = mv__exec_init(&e, h, x, err);
        e.audit = audit;
        return execute_and_done(&e, r, ret, err);
}

int mv_execute(struct mv_host *h, const struct mv_execution *x, struct mv_result **ret,
               struct mv_err *err)
{
        return mv__execute(h, x, NULL, ret, err);
}
