/* SPDX-License-Identifier: Apache-2.0 */
/* Running an execution again from its record alone.
 *
 * (1) Nothing has an effect: the broker answers every call from the record, and a call that is
 *     not the recorded one ends the run.
 * (2) What cannot be computed again (the decision about the program, its context's digest) is
 *     taken over as recorded; what can (every call, every step, the outcome) is computed, so the
 *     roots agree only when the program did the same.
 * (3) A record is somebody else's bytes: decoded with the strict decoder, and the program must
 *     have the recorded digest. grep STARTED-KEYS for the writer. */
#include <base/slice.h>
#include <host/cbor_map.h>
#include <host/exec.h>
#include <host/story.h>
#include <stdlib.h>
#include <string.h>

/* --- maps with text keys ---------------------------------------------------------------------- */
static int find_count(struct mv_slice map, const char *key, uint64_t *ret, struct mv_err *err)
{
        struct mv_cbor_item it;
        int r = mv__map_item(map, key, MV_CBOR_INT, &it, err);
        if (r == 0 && (it.kind != MV_CBOR_INT || it.integer < 0))
                r = mv_fail(err, MV_E_CORRUPT, 0, "record: \"%s\" is not a count", key);
        if (r == 0)
                *ret = (uint64_t)it.integer;
        return r;
}

/* NUL-terminated copy; NULL for null. */
static int find_text(struct mv_slice map, const char *key, struct mv_arena *a, const char **ret,
                     struct mv_err *err)
{
        struct mv_cbor_item it;
        int r = mv__map_item(map, key, MV_CBOR_TEXT, &it, err);
        if (r < 0)
                return r;
        *ret = NULL;
        if (it.kind == MV_CBOR_NULL)
                return 0;
        char *copy = mv_new(a, char, it.text.len + 1);
        if (!copy)
                return mv_fail(err, MV_E_LIMIT, 0, "record: memory");
        if (it.text.len)
                memcpy(copy, it.text.p, it.text.len);
        *ret = copy;
        return 0;
}

static int find_value(struct mv_slice map, const char *key, struct mv_arena *a,
                      const struct mv_value **ret, struct mv_err *err)
{
        struct mv_slice raw;
        int r = mv__map_find(map, key, &raw, err);
        return r < 0 ? r : mv_value_decode(raw, a, ret, err);
}

/* --- reading the records ---------------------------------------------------------------------- */
static struct mv_slice keep(struct mv_arena *a, struct mv_slice s)
{
        uint8_t *p = mv_new(a, uint8_t, s.len + 1);
        if (!p)
                return (struct mv_slice){ NULL, 0 };
        if (s.len)
                memcpy(p, s.p, s.len);
        return mv_slice(p, s.len);
}

static int keep_root(struct mv__story *s, const struct mv_audit_record *rec, struct mv_err *err)
{
        struct mv_cbor_item it;
        int r = mv__map_item(rec->semantic, "root", MV_CBOR_BYTES, &it, err);
        if (r < 0)
                return r;
        if (it.text.len != sizeof s->root)
                return mv_fail(err, MV_E_CORRUPT, 0, "record: a root of %zu bytes", it.text.len);
        memcpy(s->root, it.text.p, sizeof s->root);
        s->has_root = true;
        return 0;
}

/* What is no leaf is told apart: the execution has its root without it. */
static int keep_record(struct mv__story *s, const struct mv_audit_record *rec, struct mv_err *err)
{
        if (rec->type == MV_REC_ROOT)
                return keep_root(s, rec, err);
        if (rec->type == MV_REC_EXECUTION_STARTED) { /* its process died: it began anew */
                s->first = s->last = s->notes = s->last_note = NULL;
                s->count = 0;
        }
        struct mv__story_record *e = mv_new(&s->memory, struct mv__story_record, 1);
        if (!e)
                return mv_fail(err, MV_E_LIMIT, 0,
                               "the execution's records take more than %zu bytes",
                               MV__STORY_BYTES_MAX);
        *e = (struct mv__story_record){ rec->type, keep(&s->memory, rec->semantic),
                                        keep(&s->memory, rec->observed), NULL };
        struct mv__story_record **first = mv_record_is_note(rec->type) ? &s->notes : &s->first,
                                **last = mv_record_is_note(rec->type) ? &s->last_note : &s->last;
        if (*last)
                (*last)->next = e;
        else
                *first = e;
        *last = e;
        s->count += !mv_record_is_note(rec->type);
        return 0;
}

int mv__story_read(struct mv_audit_reader *reader, const char *execution_id, struct mv__story *s,
                   struct mv_err *err)
{
        struct mv_audit_record rec;
        int r;
        while ((r = mv_audit_read(reader, &rec, err)) == 1) {
                if (strcmp(rec.execution_id, execution_id) != 0)
                        continue;
                r = keep_record(s, &rec, err);
                if (r < 0)
                        break;
        }
        if (r < 0)
                return r;
        if (!s->first)
                return mv_fail(err, MV_E_NOT_FOUND, 0, "the audit store has no execution '%s'",
                               execution_id);
        if (s->first->type != MV_REC_EXECUTION_STARTED)
                return mv_fail(err, MV_E_UNSUPPORTED, 0,
                               "execution %s was denied before it started: nothing to run again",
                               execution_id);
        return 0;
}

static int read_ended(const char *path, const char *execution_id, struct mv__story *s,
                      struct mv_err *err)
{
        struct mv_audit_reader *reader;
        int r = mv_audit_reader_open(path, &reader, err);
        if (r < 0)
                return r;
        r = mv__story_read(reader, execution_id, s, err);
        mv_audit_reader_close(reader);
        if (r < 0)
                return mv_wrap(err, "%s", path);
        if (!s->has_root)
                return mv_fail(err, MV_E_UNSUPPORTED, 0, "execution %s has no root: it never ended",
                               execution_id);
        return 0;
}

/* --- the execution as it was asked for -------------------------------------------------------- */
static int program_kind(const char *name, enum mv_program_kind *ret, struct mv_err *err)
{
        static const enum mv_program_kind kinds[] = { MV_PROGRAM_SOURCE, MV_PROGRAM_BYTECODE,
                                                      MV_PROGRAM_AST, MV_PROGRAM_NONE };
        for (size_t i = 0; name && i < sizeof kinds / sizeof kinds[0]; i++)
                if (strcmp(mv__program_kind_name(kinds[i]), name) == 0) {
                        *ret = kinds[i];
                        return 0;
                }
        return mv_fail(err, MV_E_UNSUPPORTED, 0,
                       "a program of kind %s cannot be run again from a record",
                       name ? name : "null");
}

static int read_program(const struct mv__story_record *started, struct mv_program *ret,
                        struct mv_err *err)
{
        struct mv_cbor_item text, digest;
        uint8_t computed[MV_DIGEST_BYTES];
        int r = mv__map_item(started->observed, "program", MV_CBOR_BYTES, &text, err);
        if (r == 0)
                r = mv__map_item(started->semantic, "program", MV_CBOR_BYTES, &digest, err);
        if (r < 0)
                return r;
        mv_sha256(text.text, computed);
        if (!mv_slice_eq(digest.text, mv_slice(computed, sizeof computed)))
                return mv_fail(err, MV_E_CORRUPT, 0,
                               "record: the program text does not have the recorded digest");
        ret->bytes = text.text;
        return 0;
}

/* Absent: a run. */
static int read_purpose(struct mv_slice started, enum mv_purpose *ret, struct mv_err *err)
{
        struct mv_slice name = mv__map_text(started, "purpose");
        if (name.len == 0)
                return 0;
        for (int i = 0; i < MV_PURPOSE_MAX_; i++)
                if (mv_slice_eq_str(name, mv__purpose_name((enum mv_purpose)i))) {
                        *ret = (enum mv_purpose)i;
                        return 0;
                }
        return mv_fail(err, MV_E_UNSUPPORTED, 0,
                       "an execution of this purpose cannot be run again");
}

/* An evaluation of a session found what others had defined; its own record does not hold that. */
static int check_alone(const struct mv__story_record *started, struct mv_err *err)
{
        struct mv_slice raw, session = mv__map_text(started->observed, "session");
        struct mv_err absent;
        if (mv__map_find(started->semantic, "evaluation", &raw, &absent) < 0)
                return 0;
        return mv_fail(err, MV_E_UNSUPPORTED, 0,
                       "this is an evaluation of session %.*s: it cannot be run again without "
                       "those before it",
                       MV_SARG(session));
}

/* There only when one was given. */
static int read_seed(struct mv_slice observed, struct mv__exec *e, struct mv_execution *x,
                     struct mv_err *err)
{
        struct mv_slice raw;
        struct mv_err absent;
        if (mv__map_find(observed, "seed", &raw, &absent) < 0)
                return 0;
        return find_text(observed, "seed", &e->scratch, &x->seed, err);
}

int mv__story_request(const struct mv__story_record *started, struct mv__exec *e,
                      struct mv_execution *x, struct mv_err *err)
{
        int r = check_alone(started, err);
        if (r < 0)
                return r;
        struct mv_slice sem = started->semantic, obs = started->observed;
        const char *kind;
        struct mv_cbor_item prelude;
        r = find_text(sem, "kind", &e->scratch, &kind, err);
        if (r == 0)
                r = program_kind(kind, &x->program.kind, err);
        if (r == 0)
                r = read_purpose(sem, &x->purpose, err);
        if (r == 0)
                r = read_program(started, &x->program, err);
        if (r == 0)
                r = find_value(sem, "args", &e->scratch, &x->args, err);
        if (r == 0)
                r = find_value(sem, "variables", &e->scratch, &x->variables, err);
        if (r == 0)
                r = find_text(sem, "capability", &e->scratch, &x->capability_id, err);
        if (r == 0)
                r = find_text(obs, "name", &e->scratch, &x->program.name, err);
        if (r == 0)
                r = read_seed(obs, e, x, err);
        if (r == 0)
                r = mv__map_item(sem, "prelude", MV_CBOR_BOOL, &prelude, err);
        if (r == 0)
                r = find_count(sem, "fuel", &x->limits.fuel_max, err);
        if (r == 0)
                r = find_count(sem, "output", &x->limits.output_bytes_max, err);
        if (r == 0)
                r = find_count(obs, "memory", &x->limits.memory_bytes_max, err);
        if (r < 0)
                return mv_wrap(err, "read the request");
        x->prelude = prelude.boolean;
        if (x->variables->kind == MV_NIL)
                x->variables = NULL;
        return mv__execution_check(x, err);
}

/* --- answers ---------------------------------------------------------------------------------- */
/* The broker reads calls from here; the program's own DECISION, behind STARTED, is not one of
 * them. */
int mv__story_next(void *ctx, enum mv_record_type *ret_type, struct mv_slice *ret_semantic,
                   struct mv_err *err)
{
        struct mv__story_source *s = ctx;
        if (!s->at)
                return 0;
        *ret_type = s->at->type;
        *ret_semantic = s->at->semantic;
        s->at = s->at->next;
        return 1;
}

/* Take over as recorded what comes before the program runs. */
static int take_over(struct mv__exec *e, const struct mv__story *s, struct mv__story_source *ret,
                     struct mv_err *err)
{
        static const struct mv_slice none;
        const struct mv__story_record *at = s->first;
        int r = mv_trail_append(e->trail, at->type, at->semantic, none, err);
        at = at->next;
        if (r == 0 && at && at->type == MV_REC_DECISION) {
                r = mv_trail_append(e->trail, at->type, at->semantic, none, err);
                at = at->next;
        }
        for (; r == 0 && at && at->type == MV_REC_STEP_PROFILE; at = at->next)
                r = mv_trail_append(e->trail, at->type, at->semantic, none, err);
        ret->at = at;
        return r;
}

static int choose(struct mv__exec *e, const struct mv__story *s, struct mv_execution *x,
                  const char *provider, struct mv_err *err)
{
        static const struct mv_limits none;
        int r = 0;
        x->provider = provider;
        if (!provider)
                r = find_text(s->first->observed, "provider", &e->scratch, &x->provider, err);
        if (r < 0)
                return r;
        r = mv__choose(e->host, x, &none, &e->entry, err);
        if (r < 0 && !provider) {
                x->provider = "mock";
                r = mv__choose(e->host, x, &none, &e->entry, err);
        }
        if (r == 0)
                r = mv__entry_use(e->entry, err);
        e->using = r == 0;
        return r;
}

static void describe(const struct mv_result *r, struct mv__replay *ret)
{
        char *text = r->ok ? mv_value_display(r->value, NULL) : NULL;
        if (text)
                mv_fmt(ret->outcome, sizeof ret->outcome, "%s", text);
        else
                mv_fmt(ret->outcome, sizeof ret->outcome, "%s: %s", r->error.kind,
                       r->error.message);
        free(text);
}

static void compare(const struct mv__exec *e, const struct mv__story *s, struct mv__replay *ret)
{
        memcpy(ret->recorded, s->root, sizeof ret->recorded);
        memcpy(ret->reached, e->result->root, sizeof ret->reached);
        ret->records = e->result->records;
        ret->same = memcmp(ret->recorded, ret->reached, sizeof ret->reached) == 0;
        describe(e->result, ret);
        if (ret->same)
                return;
        if (e->tap.failed)
                mv_fmt(ret->why, sizeof ret->why, "%s", e->tap.err.msg);
        else
                mv_fmt(ret->why, sizeof ret->why,
                       "the same calls, another outcome or other steps (%s now)",
                       mv_termination_name(e->result->termination));
}

static int run_again(struct mv__exec *e, const struct mv__story *s, struct mv_execution *x,
                     const char *provider, struct mv_err *err)
{
        struct mv__story_source source;
        struct mv_broker_replay replay = { .ctx = &source, .next = mv__story_next };
        int r = mv__story_request(s->first, e, x, err);
        if (r == 0)
                r = choose(e, s, x, provider, err);
        if (r == 0)
                r = mv_trail_begin(e->host->audit, e->result->execution_id, &e->trail, err);
        if (r == 0)
                r = take_over(e, s, &source, err);
        if (r < 0)
                return r;
        e->context = mv_context_copy(NULL);
        if (!e->context)
                return mv_fail(err, MV_E_NOMEM, 0, "context");
        e->replay = &replay;
        mv__exec_limits(e, x->limits);
        mv__exec_clock(e);
        r = mv__exec_run(e, err);
        return r < 0 ? r : mv_trail_end(e->trail, e->result->root, &e->result->records, err);
}

int mv_host_replay(struct mv_host *h, const char *audit_path, const char *execution_id,
                   const char *provider, struct mv__replay *ret, struct mv_err *err)
{
        struct mv__story s = { .memory = mv_arena_grow(MV__STORY_BYTES_MAX) };
        struct mv_execution x = { 0 };
        struct mv__exec e;
        int r = mv__exec_init(&e, h, &x, err);
        if (r == 0)
                r = read_ended(audit_path, execution_id, &s, err);
        if (r == 0) {
                mv_fmt(e.result->execution_id, sizeof e.result->execution_id, "%s", execution_id);
                r = run_again(&e, &s, &x, provider, err);
        }
        if (r == 0) {
                *ret = (struct mv__replay){ 0 };
                compare(&e, &s, ret);
        }
        mv__exec_done(&e);
        mv_result_free(e.result);
        mv_arena_done(&s.memory);
        return r;
}
