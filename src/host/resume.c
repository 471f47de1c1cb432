/* SPDX-License-Identifier: Apache-2.0 */
/* mv_resume (docs/design/durability.md): an execution goes on from its records.
 *
 * (1) The id is claimed before anything is read: nobody appends to it meanwhile.
 * (2) Nothing in the store is believed before all of it verifies with our own key, and others cannot write the file.
 * (3) What is run and with which arguments comes from the records; what it may do comes from the caller. The whole
 *     EXECUTION_STARTED record is made again and must be the recorded one, so neither can be exchanged.
 * (4) What ended is not run again: when only the root was missing, it is added. */
#include <base/slice.h>
#include <host/cbor_map.h>
#include <host/story.h>
#include <string.h>
#include <sys/clock.h>
#include <unistd.h>

#define CLAIM_PATIENCE_NS 1000000000ull

/* The cell of a host that was killed dies a moment after it, and the claim with it. */
static int claim(struct mv__exec *e, struct mv_err *err)
{
        uint64_t until = mv__now_ns() + CLAIM_PATIENCE_NS;
        for (;;) {
                int r = mv_trail_begin(e->host->audit, e->result->execution_id, &e->trail, err);
                if (r != -(int)MV_E_STATE || mv__now_ns() > until)
                        return r;
                usleep(5000);
        }
}

static int claim_and_read(struct mv__exec *e, struct mv__story *s, struct mv_err *err)
{
        struct mv_audit *a = e->host->audit;
        struct mv_audit_reader *reader = NULL;
        int r = claim(e, err); /* (1) */
        if (r == 0)
                r = mv_audit_check_owner(a, err);
        if (r == 0)
                r = mv_audit_verify_own(a, err); /* (2) */
        if (r == 0)
                r = mv_audit_reader_of(a, &reader, err);
        if (r == 0)
                r = mv__story_read(reader, e->result->execution_id, s, err);
        mv_audit_reader_close(reader);
        if (r == 0 && s->has_root)
                r = mv_fail(err, MV_E_STATE, 0, "execution %s has ended: nothing to resume",
                            e->result->execution_id);
        return r;
}

/* Observed part of a RESULT, "spent": what the execution had spent when it was written. Older ones know fewer kinds. */
static int take_spent(struct mv_slice observed, uint64_t ret[MV_SPEND_MAX_], struct mv_err *err)
{
        struct mv_cbor_item it;
        struct mv_slice list;
        uint64_t count = 0;
        if (!observed.len)
                return 0;
        int r = mv__map_find(observed, "spent", &list, err);
        if (r < 0)
                return r == -(int)MV_E_CORRUPT ? 0 : r; /* nothing was spent */
        struct mv_cur c = mv_cur(list);
        r = mv_cbor_next(&c, &it, err);
        if (r == 0)
                count = it.kind == MV_CBOR_ARRAY ? it.count : 0;
        if (r == 0 && (count == 0 || count > MV_SPEND_MAX_))
                r = mv_fail(err, MV_E_CORRUPT, 0, "record: \"spent\" is not a list of %d",
                            MV_SPEND_MAX_);
        for (unsigned i = 0; r == 0 && i < count; i++) {
                r = mv_cbor_next(&c, &it, err);
                if (r == 0 && (it.kind != MV_CBOR_INT || it.integer < 0))
                        r = mv_fail(err, MV_E_CORRUPT, 0, "record: \"spent\" holds no number");
                bool again = i == MV_SPEND_CALLS || i == MV_SPEND_STEPS;
                if (r == 0 && !again && (uint64_t)it.integer > ret[i])
                        ret[i] = (uint64_t)it.integer;
        }
        return r;
}

/* --- notes about budgets (broker/budget.c) ---------------------------------------------------- */
static int corrupt(const struct mv__story_record *at, struct mv_err *err)
{
        return mv_fail(err, MV_E_CORRUPT, 0, "record: a %s that says something else",
                       mv_record_type_name(at->type));
}

static bool take_number(struct mv_slice map, const char *key, uint64_t *ret)
{
        struct mv_cbor_item it;
        struct mv_err ignored;
        if (mv__map_item(map, key, MV_CBOR_INT, &it, &ignored) < 0 || it.kind != MV_CBOR_INT ||
            it.integer < 0)
                return false;
        *ret = (uint64_t)it.integer;
        return true;
}

/* Index of the name; count when there is none. */
static int named(struct mv_slice name, const char *(*name_of)(int i), int count)
{
        int i = 0;
        while (i < count && !mv_slice_eq_str(name, name_of(i)))
                i++;
        return i;
}

static const char *spending_at(int i)
{
        return mv_spending_name((enum mv_spending)i);
}

static const char *policy_at(int i)
{
        return mv_exhausted_name((enum mv_exhausted)i);
}

static int take_noted(const struct mv__story_record *at, struct mv_broker_replay *ret,
                      struct mv_err *err)
{
        int what = named(mv__map_text(at->semantic, "what"), spending_at, MV_SPEND_MAX_),
            policy = at->type == MV_REC_BUDGET ? MV_EXHAUSTED_MAX_
                                               : named(mv__map_text(at->semantic, "policy"),
                                                       policy_at, MV_EXHAUSTED_MAX_);
        if (what == MV_SPEND_MAX_ || (policy == MV_EXHAUSTED_MAX_ && at->type != MV_REC_BUDGET))
                return corrupt(at, err);
        ret->noted |= MV_BROKER_BUDGET_BIT(what, policy);
        return 0;
}

/* Whoever was stopped for it has gone on: what it did since nobody knows. */
static int take_extended(const struct mv__story_record *at, struct mv_broker_replay *ret,
                         struct mv_err *err)
{
        struct mv_slice id = mv__map_text(at->semantic, "id");
        int what = named(mv__map_text(at->semantic, "what"), spending_at, MV_SPEND_MAX_);
        uint64_t to;
        if (what == MV_SPEND_MAX_ || !id.len || !take_number(at->semantic, "to", &to))
                return corrupt(at, err);
        if (to > ret->extended[what])
                ret->extended[what] = to;
        if (ret->waits_for && mv_slice_eq_str(id, ret->waits_for))
                ret->waits_for = NULL;
        return 0;
}

/* The last one counts; one that a rule made, or that no call had begun for, decides nothing here. */
static int take_paused(struct mv__exec *e, const struct mv__story_record *at,
                       struct mv_broker_replay *ret, struct mv_err *err)
{
        struct mv_cbor_item it;
        struct mv_err ignored;
        struct mv_slice id = mv__map_text(at->semantic, "id");
        char *text;
        ret->waits_for = NULL;
        if (mv__map_item(at->semantic, "untouched", MV_CBOR_BOOL, &it, &ignored) < 0)
                return 0;
        if (it.kind != MV_CBOR_BOOL || !id.len ||
            !take_number(at->semantic, "call", &ret->waiting_call))
                return corrupt(at, err);
        text = mv_new(&e->scratch, char, id.len + 1);
        if (!text)
                return mv_fail(err, MV_E_LIMIT, 0, "the execution's records: too many");
        memcpy(text, id.p, id.len);
        ret->waits_for = text;
        ret->untouched = it.boolean;
        return 0;
}

static int take_notes(struct mv__exec *e, const struct mv__story *s, struct mv_broker_replay *ret,
                      struct mv_err *err)
{
        int r = 0;
        for (const struct mv__story_record *at = s->notes; r == 0 && at; at = at->next)
                switch (at->type) {
                case MV_REC_BUDGET:
                case MV_REC_BUDGET_EXHAUSTED:
                        r = take_noted(at, ret, err);
                        break;
                case MV_REC_BUDGET_CONSUMPTION:
                        r = take_spent(at->observed, ret->spent, err);
                        break;
                case MV_REC_BUDGET_EXTENDED:
                        r = take_extended(at, ret, err);
                        break;
                case MV_REC_PAUSED:
                        r = take_paused(e, at, ret, err);
                        break;
                default:
                        break;
                }
        return r;
}

/* The highest call that has its result, and what was spent until then. */
static int count_answered(const struct mv__story *s, struct mv_broker_replay *ret,
                          struct mv_err *err)
{
        struct mv_cbor_item it;
        for (const struct mv__story_record *at = s->first; at; at = at->next) {
                if (at->type != MV_REC_RESULT)
                        continue;
                int r = mv__map_item(at->semantic, "seq", MV_CBOR_INT, &it, err);
                if (r < 0)
                        return r;
                if (it.kind != MV_CBOR_INT || it.integer < 1)
                        return mv_fail(err, MV_E_CORRUPT, 0, "record: \"seq\" is not a number");
                ret->answered = (uint64_t)it.integer;
                r = take_spent(at->observed, ret->spent, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Behind EXECUTION_STARTED, the decision about the program and the profiles of its steps. */
static const struct mv__story_record *first_call(const struct mv__story *s)
{
        const struct mv__story_record *at = s->first->next;
        at = at && at->type == MV_REC_DECISION ? at->next : at;
        while (at && at->type == MV_REC_STEP_PROFILE)
                at = at->next;
        return at;
}

struct resumed_by {
        uint64_t uid, pid;
        const struct mv_resumption *x;
};

static bool put_resumed_by(struct mv_out *o, const void *what)
{
        static const char *const names[MV_IN_DOUBT_MAX_] = { "stop", "repeat", "done", "fail" };
        const struct resumed_by *w = what;
        bool decided = w->x->in_doubt != MV_IN_DOUBT_STOP;
        bool ok = mv_cbor_put_map(o, decided ? 4 : 2) && mv_cbor_put_str(o, "pid") &&
                  mv_cbor_put_int(o, (int64_t)w->pid) && mv_cbor_put_str(o, "uid") &&
                  mv_cbor_put_int(o, (int64_t)w->uid);
        return ok && (!decided || (mv_cbor_put_str(o, "in_doubt") &&
                                   mv_cbor_put_str(o, names[w->x->in_doubt]) &&
                                   mv_cbor_put_str(o, "in_doubt_call") &&
                                   mv_cbor_put_int(o, (int64_t)w->x->in_doubt_call)));
}

/* REQ-CKPT-02, -04: what somebody looked at is what goes on. */
static int check_checkpoint(const struct mv__exec *e, const uint8_t (*leaves)[MV_DIGEST_BYTES],
                            uint64_t n, struct mv_err *err)
{
        const char *wanted = e->replay->decided->checkpoint;
        struct mv_merkle tree = { 0 };
        uint8_t root[MV_DIGEST_BYTES];
        char is[2 * MV_DIGEST_BYTES + 4] = "cp-";
        if (!wanted)
                return 0;
        if (strncmp(wanted, "cp-", 3) != 0 || strlen(wanted) != sizeof is - 1 ||
            strspn(wanted + 3, "0123456789abcdef") != sizeof is - 4)
                return mv_fail(err, MV_E_INVALID, 0,
                               "Checkpoint not found: '%.80s' is not cp- and 64 hexadecimal digits",
                               wanted);
        for (uint64_t i = 0; i < n; i++)
                mv_merkle_add(&tree, leaves[i]);
        mv_merkle_root(&tree, root);
        for (size_t i = 0; i < sizeof root; i++)
                mv_fmt(is + 3 + 2 * i, 3, "%02x", root[i]);
        return strcmp(is, wanted) == 0
                       ? 0
                       : mv_fail(err, MV_E_STATE, 0,
                                 "Checkpoint does not match plan/intent: it stands at %s", is);
}

static int follow(struct mv__exec *e, struct mv_err *err)
{
        uint8_t(*leaves)[MV_DIGEST_BYTES] =
                mv_arena_alloc(&e->scratch, sizeof *leaves, 1, e->story->count);
        struct resumed_by by = { getuid(), (uint64_t)getpid(), e->replay->decided };
        struct mv_slice observed;
        if (!leaves)
                return mv_fail(err, MV_E_LIMIT, 0, "the execution's records: too many");
        uint64_t n = 0;
        for (const struct mv__story_record *at = e->story->first; at; at = at->next)
                mv_semantic_digest(at->type, at->semantic, leaves[n++]);
        int r = check_checkpoint(e, (const uint8_t(*)[MV_DIGEST_BYTES])leaves, n, err);
        if (r == 0)
                r = mv__encode(&e->scratch, put_resumed_by, &by, &observed, err);
        return r < 0 ? r
                     : mv_trail_follow(e->trail, (const uint8_t(*)[MV_DIGEST_BYTES])leaves, n,
                                       observed, err);
}

int mv__resume_follow(struct mv__exec *e, struct mv_err *err)
{
        struct mv_cbor_item it;
        int r = mv__map_item(e->story->first->semantic, "context", MV_CBOR_BYTES, &it, err);
        if (r < 0)
                return r;
        if (!e->decision.allowed ||
            !mv_slice_eq(it.text, mv_slice(e->context_digest, sizeof e->context_digest)))
                return mv_fail(err, MV_E_DENIED, 0,
                               "execution %s was begun with another context: resume it with the "
                               "grants and limits of "
                               "then (level, --allow..., --policy), neither more nor fewer",
                               e->result->execution_id);
        return follow(e, err);
}

/* What is as recorded, and what is this attempt's. */
static void take_request(const struct mv_resumption *a, struct mv_execution *x)
{
        x->context = a->context;
        x->provider = a->provider;
        x->tier_min = a->tier_min;
        x->limits.wall_ns_max = a->limits.wall_ns_max;
        x->limits.cpu_ns_max = a->limits.cpu_ns_max;
        x->on_output = a->on_output;
        x->on_output_ctx = a->on_output_ctx;
        x->cancel = a->cancel;
}

/* --- (4) -------------------------------------------------------------------------------------- */
static enum mv_termination termination_named(struct mv_slice name)
{
        for (int t = 0; t < MV_END_MAX_; t++)
                if (mv_slice_eq_str(name, mv_termination_name((enum mv_termination)t)))
                        return (enum mv_termination)t;
        return MV_END_KILLED;
}

static int take_outcome(struct mv__exec *e, struct mv_slice ended, struct mv_err *err)
{
        struct mv_result *r = e->result;
        struct mv_slice raw, how = mv__map_text(ended, "termination");
        char kind[64], message[4096];
        struct mv_err absent;
        r->termination = termination_named(how);
        r->ok = mv__map_find(ended, "value", &raw, &absent) == 0;
        if (r->ok) { /* what was decoded points into the record */
                const struct mv_value *v;
                int rc = mv_value_decode(raw, &r->arena, &v, err);
                r->value = rc == 0 ? mv_value_copy(v, &r->arena) : NULL;
                return rc == 0 && !r->value ? mv_fail(err, MV_E_LIMIT, 0, "the recorded value")
                                            : rc;
        }
        struct mv_slice k = mv__map_text(ended, "kind"), m = mv__map_text(ended, "message");
        mv_fmt(kind, sizeof kind, "%.*s", (int)(k.len < 63 ? k.len : 63), (const char *)k.p);
        mv_fmt(message, sizeof message, "%.*s", (int)(m.len < 4095 ? m.len : 4095),
               (const char *)m.p);
        r->error.kind = mv__result_text(r, kind);
        r->error.message = mv__result_text(r, message);
        return 0;
}

/* Its process died between EXECUTION_ENDED and the root. */
static int add_root(struct mv__exec *e, struct mv_err *err)
{
        int r = take_outcome(e, e->story->last->semantic, err);
        if (r == 0)
                r = follow(e, err);
        for (const struct mv__story_record *at = e->story->first; r == 0 && at; at = at->next)
                r = mv_trail_append(e->trail, at->type, at->semantic, mv_slice(NULL, 0), err);
        return r < 0 ? r : mv_trail_end(e->trail, e->result->root, &e->result->records, err);
}

/* --- a failure that is on record -------------------------------------------------------------- */
/* STEP ["compensation-started" termination kind message]; NULL: there is none. */
static const struct mv_value *failure_of(struct mv__exec *e, uint64_t *ret_leaf)
{
        struct mv_err ignored;
        uint64_t n = 0;
        for (const struct mv__story_record *at = e->story->first; at; at = at->next, n++) {
                const struct mv_value *v;
                if (at->type != MV_REC_STEP ||
                    mv_value_decode(at->semantic, &e->scratch, &v, &ignored) < 0 ||
                    v->kind != MV_VECTOR || v->count != 4 || v->items[0].kind != MV_STRING ||
                    !mv_slice_eq_str(v->items[0].text, "compensation-started"))
                        continue;
                *ret_leaf = n;
                return v;
        }
        return NULL;
}

static const char *text_of(struct mv_result *r, const struct mv_value *v)
{
        char buf[16400];
        struct mv_slice s = { NULL, 0 };
        mv_as_text(v, &s);
        mv_fmt(buf, sizeof buf, "%.*s", (int)(s.len < sizeof buf ? s.len : sizeof buf - 1),
               (const char *)s.p);
        return mv__result_text(r, buf);
}

void mv__resume_outcome(struct mv__exec *e)
{
        struct mv_result *r = e->result;
        uint64_t leaf;
        const struct mv_value *v = failure_of(e, &leaf);
        if (!v)
                return;
        r->ok = false;
        r->value = NULL;
        r->termination = termination_named(v->items[1].text);
        r->error.kind = text_of(r, &v->items[2]);
        r->error.message = text_of(r, &v->items[3]);
}

static int go_on(struct mv__exec *e, struct mv__story *s, const struct mv_resumption *a,
                 struct mv_execution *x, struct mv_err *err)
{
        struct mv__story_source source;
        struct mv_broker_replay replay = { .ctx = &source,
                                           .next = mv__story_next,
                                           .goes_on = true,
                                           .decided = a,
                                           .stops_at = UINT64_MAX };
        int r = claim_and_read(e, s, err);
        if (r == 0)
                r = mv__story_request(s->first, e, x, err);
        if (r == 0)
                r = count_answered(s, &replay, err);
        if (r == 0)
                r = take_notes(e, s, &replay, err);
        if (r < 0)
                return r;
        take_request(a, x);
        source.at = first_call(s);
        e->story = s;
        e->replay = &replay;
        failure_of(e, &replay.stops_at);
        r = s->last->type == MV_REC_EXECUTION_ENDED ? add_root(e, err) : mv__exec_whole(e, err);
        e->replay = NULL;
        return r;
}

int mv_resume(struct mv_host *h, const struct mv_resumption *a, struct mv_result **ret,
              struct mv_err *err)
{
        struct mv__story s = { .memory = mv_arena_grow(MV__STORY_BYTES_MAX) };
        struct mv_execution x = { 0 };
        struct mv__exec e;
        if (!a->execution_id || strlen(a->execution_id) >= sizeof e.result->execution_id ||
            a->in_doubt >= MV_IN_DOUBT_MAX_)
                return mv_fail(err, MV_E_INVALID, 0, "resume: not an execution id, or no decision");
        int r = mv__exec_init(&e, h, &x, err);
        if (r == 0) {
                e.resumed = true;
                mv_fmt(e.result->execution_id, sizeof e.result->execution_id, "%s",
                       a->execution_id);
                r = go_on(&e, &s, a, &x, err);
        }
        mv__exec_done(&e);
        mv_arena_done(&s.memory);
        if (r < 0) {
                mv_result_free(e.result);
                return mv_wrap(err, "resume");
        }
        *ret = e.result;
        return 0;
}
