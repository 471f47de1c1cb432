/* SPDX-License-Identifier: Apache-2.0 */
/* The one place where the constitution decides about a call (REQ-GOV-01, -02, REQ-SEC-16): behind the grants, before the
 * record of the decision.
 *
 * (1) A rule is asked only about what the grants allow, and can only take away.
 * (2) A call that needs an approval stops the run: nothing is decided and nothing happens until it is resumed and the votes
 *     are counted. Request and outcome are notes in the records; the decision itself is a record like any other, with the
 *     rule's id, and names no approver: the root does not depend on who agreed.
 * (3) A decision that stands in the records is not made again: what was approved stays approved, what was denied stays denied,
 *     whatever has become of the queue. */
#include <broker/internal.h>
#include <security/rules.h>
#include <stdlib.h>
#include <time.h>
#include <wire/cbor.h>

#define STEPS_MAX 64 /* nested deeper, the inner ones have no name for a rule */

struct mv__ruled_steps {
        uint32_t depth;   /* those beyond STEPS_MAX are counted only */
        uint64_t started; /* steps so far */
        struct {
                char name[256];
                size_t len;
                uint64_t number;
        } open[STEPS_MAX];
};

void mv__ruled_steps_free(struct mv__ruled_steps *s)
{
        free(s);
}

static void step_started(struct mv__ruled_steps *s, const struct mv_value *name)
{
        struct mv_slice text = { NULL, 0 };
        s->started++;
        if (s->depth < STEPS_MAX && mv_as_text(name, &text)) {
                size_t n = text.len < sizeof s->open[0].name ? text.len : sizeof s->open[0].name;
                memcpy(s->open[s->depth].name, text.p, n);
                s->open[s->depth].len = n;
                s->open[s->depth].number = s->started;
        }
        s->depth++;
}

int mv__take_step(struct mv_broker *b, const struct mv_value *event, struct mv_err *err)
{
        struct mv_slice what = event->items[0].text;
        if (!b->o.context || !b->o.context->rules_count)
                return 0;
        if (!b->ruled_steps && !(b->ruled_steps = calloc(1, sizeof *b->ruled_steps)))
                return mv_fail(err, MV_E_NOMEM, 0, "broker: steps");
        if (mv_slice_eq_str(what, "step-started"))
                step_started(b->ruled_steps, &event->items[1]);
        else if (b->ruled_steps->depth &&
                 (mv_slice_eq_str(what, "step-completed") || mv_slice_eq_str(what, "step-failed")))
                b->ruled_steps->depth--;
        return 0;
}

static uint32_t rules_for(const struct mv_broker *b, const struct asked *q,
                          const struct mv_rule *ret[MV_CONSTITUTIONS_MAX])
{
        struct mv_slice names[STEPS_MAX];
        struct mv_governed g = { .capability = q->capability,
                                 .args = q->args.items,
                                 .args_count = q->args.count,
                                 .steps = names };
        uint32_t depth = b->ruled_steps ? b->ruled_steps->depth : 0;
        for (uint32_t i = 0; i < depth && i < STEPS_MAX; i++)
                names[g.steps_count++] =
                        mv_slice(b->ruled_steps->open[i].name, b->ruled_steps->open[i].len);
        return mv_rules_for(b->o.context, &g, ret);
}

/* --- what a decision says --------------------------------------------------------------------- */
static void deny(struct asked *q, const struct mv_rule *rule, const char *why)
{
        mv_rule_refuse(rule, why, &q->decision);
}

static void say_rule(struct asked *q, const struct mv_rule *rule, const char *how)
{
        char before[sizeof q->decision.rule];
        memcpy(before, q->decision.rule, sizeof before);
        mv_fmt(q->decision.rule, sizeof q->decision.rule, "rule %s%s; %s", rule->id, how, before);
}

/* --- approvals -------------------------------------------------------------------------------- */
/* The step whose name fits the rule, innermost first: an approval holds for all of it. */
static uint64_t step_number(const struct mv_broker *b, const struct mv_rule *rule)
{
        size_t n = rule->step ? strlen(rule->step) : 0;
        bool begins = n && rule->step[n - 1] == '*';
        for (uint32_t i = b->ruled_steps && rule->step ? b->ruled_steps->depth : 0; i-- > 0;) {
                if (i >= STEPS_MAX)
                        continue;
                struct mv_slice name =
                        mv_slice(b->ruled_steps->open[i].name, b->ruled_steps->open[i].len);
                if (begins ? name.len >= n - 1 && memcmp(name.p, rule->step, n - 1) == 0
                           : mv_slice_eq_str(name, rule->step))
                        return b->ruled_steps->open[i].number;
        }
        return 0;
}

uint64_t mv__now_ms(void)
{
        struct timespec t;
        clock_gettime(CLOCK_REALTIME, &t);
        return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Its id is made of what is asked for: the same question has the same id, another one another. */
static void identify(const struct mv_broker *b, const struct asked *q, const struct mv_rule *rule,
                     struct mv_approval_request *ret)
{
        uint8_t parts[5][MV_DIGEST_BYTES] = { { 0 } }, digest[MV_DIGEST_BYTES];
        uint64_t step = step_number(b, rule), place = step ? step : q->seq;
        mv_sha256(mv_slice_str(b->o.execution_id), parts[0]);
        mv_sha256(mv_slice_str(rule->id), parts[1]);
        mv_sha256(mv_slice(&place, sizeof place), parts[2]);
        if (!step) {
                mv_sha256(mv__asked_id(q), parts[3]);
                mv_sha256(q->args_raw, parts[4]);
        }
        mv_sha256(mv_slice(parts, sizeof parts), digest);
        mv_approval_id(digest, ret->id);
}

static struct mv_approval_request request_of(const struct mv_broker *b, const struct asked *q,
                                             const struct mv_rule *rule)
{
        struct mv_approval_request r = { .execution_id = b->o.execution_id,
                                         .rule = rule->id,
                                         .capability = q->capability->id,
                                         .step = rule->step,
                                         .call = q->seq,
                                         .args = q->args_raw,
                                         .approvals = rule->approvals,
                                         .created_ms = mv__now_ms() };
        r.expires_ms = r.created_ms + rule->timeout_ms;
        identify(b, q, rule, &r);
        return r;
}

static bool put_votes(struct mv_out *o, const struct mv_approval_status *s)
{
        bool ok = mv_cbor_put_map(o, 1) && mv_cbor_put_str(o, "votes") &&
                  mv_cbor_put_array(o, s->votes_count);
        for (uint32_t i = 0; ok && i < s->votes_count; i++)
                ok = mv_cbor_put_array(o, 4) && mv_cbor_put_str(o, s->votes[i].name) &&
                     mv_cbor_put_int(o, (int64_t)s->votes[i].uid) &&
                     mv_cbor_put_int(o, (int64_t)s->votes[i].time_ms) &&
                     mv_cbor_put_bool(o, s->votes[i].approve);
        return ok;
}

/* {"id" "call" "rule" "event"}; observed {"votes": [[name uid time approve]...]} */
int mv__approval_note(struct mv_broker *b, enum mv_record_type type, const char *event,
                      const struct mv_approval_request *q, const struct mv_approval_status *s,
                      struct mv_err *err)
{
        uint8_t semantic[512], observed[MV_APPROVAL_VOTERS_MAX * 96 + 16];
        struct mv_out o = mv_out(semantic, sizeof semantic), v = mv_out(observed, sizeof observed);
        mv_cbor_put_map(&o, 4);
        mv_cbor_put_str(&o, "id");
        mv_cbor_put_str(&o, q->id);
        mv_cbor_put_str(&o, "call");
        mv_cbor_put_int(&o, (int64_t)q->call);
        mv_cbor_put_str(&o, "rule");
        mv_cbor_put_str(&o, q->rule);
        mv_cbor_put_str(&o, "event");
        mv_cbor_put_str(&o, event);
        if (s)
                put_votes(&v, s);
        if (o.overflow || v.overflow)
                return mv_fail(err, MV_E_INTERNAL, 0, "broker: an approval's record does not fit");
        return mv_trail_note(b->o.trail, type, mv_out_slice(&o), mv_out_slice(&v), err);
}

static int wait_for(struct mv_broker *b, const struct mv_approval_request *q, struct mv_err *err)
{
        int r = mv__approval_note(b, MV_REC_PAUSED, "waits for approval", q, NULL, err);
        if (r == 0)
                r = mv_trail_sync(b->o.trail, err);
        return r < 0 ? r
                     : mv_fail(err, MV_E_WAITING, 0,
                               "call %llu (%s) waits for %u approval%s by rule '%s': microvm "
                               "approvals approve %s, "
                               "then microvm resume %s",
                               (unsigned long long)q->call, q->capability, q->approvals,
                               q->approvals == 1 ? "" : "s", q->rule, q->id, q->execution_id);
}

static int settle(struct mv_broker *b, struct asked *q, const struct mv_rule *rule,
                  const struct mv_approval_request *r, const struct mv_approval_status *s,
                  struct mv_err *err)
{
        switch (s->state) {
        case MV_APPROVAL_APPROVED:
                say_rule(q, rule, " approved");
                return mv__approval_note(b, MV_REC_APPROVAL, "GovernanceApprovalGranted", r, s,
                                         err);
        case MV_APPROVAL_REJECTED:
                deny(q, rule, "the approval was rejected");
                return mv__approval_note(b, MV_REC_APPROVAL, "GovernanceApprovalDenied", r, s, err);
        case MV_APPROVAL_EXPIRED:
                deny(q, rule, "nobody approved in time");
                return mv__approval_note(b, MV_REC_APPROVAL, "GovernanceApprovalExpired", r, s,
                                         err);
        default:
                return wait_for(b, r, err);
        }
}

static int ask(struct mv_broker *b, struct asked *q, const struct mv_rule *rule, struct mv_err *err)
{
        struct mv_arena arena = mv_arena_grow(4 * MV_APPROVAL_BYTES_MAX);
        struct mv_approval_request wanted = request_of(b, q, rule), r;
        struct mv_approval_status *s = mv_new(&arena, struct mv_approval_status, 1);
        bool fresh = false;
        int e = s ? mv_approval_ask(b->o.audit, &wanted, &fresh, err)
                  : mv_fail(err, MV_E_NOMEM, 0, "broker: an approval");
        if (e == 0 && fresh)
                e = mv__approval_note(b, MV_REC_APPROVAL, "GovernanceApprovalRequested", &wanted,
                                      NULL, err);
        if (e == 0)
                e = mv_approval_read(b->o.audit, wanted.id, &arena, &r, err);
        if (e == 0)
                e = mv_approval_status(b->o.audit, &r, s, err);
        if (e == 0) {
                r.call = q->seq;
                e = settle(b, q, rule, &r, s, err);
        }
        mv_arena_done(&arena);
        if (e != -(int)MV_E_UNSUPPORTED)
                return e;
        deny(q, rule, "it needs an approval, which needs an audit store in a file");
        return 0;
}

/* (3) */
int mv__decided_before(struct mv_broker *b, struct asked *q, struct mv_err *err)
{
        bool allowed;
        if (q->recorded != NOT_ASKED)
                return q->recorded == DECIDED;
        q->recorded = NOT_DECIDED;
        if (!b->o.replay || !mv_trail_following(b->o.trail))
                return 0;
        int r = mv__replay_decision(b, q, &allowed, err);
        q->recorded = r == 1 ? DECIDED : NOT_DECIDED;
        return r;
}

/* Each rule that allows it, or would have it approved. */
static int ask_each(struct mv_broker *b, struct asked *q, const struct mv_rule *const *rules,
                    uint32_t count, struct mv_err *err)
{
        bool asks = false;
        int decided = 0, r = 0;
        for (uint32_t i = 0; i < count; i++)
                asks |= rules[i]->action == MV_RULE_REQUIRE_APPROVAL;
        if (asks)
                decided = mv__decided_before(b, q, err);
        if (decided < 0)
                return decided;
        for (uint32_t i = 0; r == 0 && q->decision.allowed && i < count; i++)
                if (rules[i]->action == MV_RULE_ALLOW)
                        say_rule(q, rules[i], "");
                else if (decided)
                        say_rule(q, rules[i], " approved");
                else if (b->o.audit)
                        r = ask(b, q, rules[i], err);
                else
                        deny(q, rules[i],
                             "it needs an approval, and an execution of this kind cannot wait");
        return r;
}

int mv__govern(struct mv_broker *b, struct asked *q, struct mv_err *err)
{
        if (!b->o.context || !b->o.context->rules_count || !q->decision.allowed)
                return 0; /* (1) */
        const struct mv_rule *rules[MV_CONSTITUTIONS_MAX];
        uint32_t count = rules_for(b, q, rules);
        if (count == 1 && rules[0]->action == MV_RULE_DENY) {
                deny(q, rules[0], "it denies this");
                return 0;
        }
        return ask_each(b, q, rules, count, err);
}
