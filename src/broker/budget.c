/* SPDX-License-Identifier: Apache-2.0 */
/* What an execution may spend, and what happens when it is spent (REQ-RES-12; docs/design/budgets.md).
 *
 * (1) Nobody goes beyond the max of a budget that stops, whoever approves.
 * (2) Calls, steps and time are asked about behind the constitution, before the decision: a call that waits for them has left
 *     notes only, like one that waits for a rule's approval.
 * (3) What a capability spends it says while it runs, behind the record of its call. When that is too much it fails, and instead
 *     of being answered it waits. It is made anew when it promised that it had no effect yet (mv_call_reserve); otherwise it
 *     is in doubt, as if its process had died (durable.c). The promise is about one attempt: once the budget has been
 *     extended and the call begun again, it is in doubt like any other.
 * (4) What is on record here are notes: the root depends neither on what was extended nor on who agreed. An extension that is
 *     on record holds, whatever becomes of the queue. A refusal is semantic, and says nothing that was measured.
 * (5) Whoever asks again after a decision stood in the records gets that decision: time has passed meanwhile.
 *
 * Notes: BudgetAllocated {"ask" "max" "soft" "warn" "approvals" "extension" "timeout_ms"}, lists in the order of enum
 * mv_spending, null: no limit. BudgetConsumptionRecorded {"event"}, observed {"spent": list}. BudgetExhausted {"max" "call"
 * "what" "policy"}, observed {"spent"}. BudgetExtended {"id" "to" "call" "from" "what"}. BudgetWarningIssued {"call" "warn"
 * "what"}, observed {"spent"}. GovernanceApproval and PlanPaused as in govern.c; a PlanPaused of (3) has "untouched". */
#include <broker/internal.h>
#include <wire/cbor.h>

_Static_assert(MV_SPEND_MAX_ *(MV_EXHAUSTED_MAX_ + 1) <= 32, "a bit of uint32_t for each");

static const struct mv_budget_kept *kept(const struct mv_broker *b)
{
        return b->o.context ? &b->o.context->budget : NULL;
}

static int64_t clamped(uint64_t v)
{
        return v > INT64_MAX ? INT64_MAX : (int64_t)v;
}

static uint64_t sum(uint64_t a, uint64_t b)
{
        uint64_t s;
        return __builtin_add_overflow(a, b, &s) ? MV_SPEND_ANY : s;
}

/* --- notes ------------------------------------------------------------------------------------ */
static void put_list(struct mv_out *o, const char *key, const uint64_t *of_kind, uint64_t nothing)
{
        mv_cbor_put_str(o, key);
        mv_cbor_put_array(o, MV_SPEND_MAX_);
        for (int i = 0; i < MV_SPEND_MAX_; i++)
                if (of_kind[i] == nothing)
                        mv_cbor_put_null(o);
                else
                        mv_cbor_put_int(o, clamped(of_kind[i]));
}

static void put_number(struct mv_out *o, const char *key, uint64_t v)
{
        mv_cbor_put_str(o, key);
        mv_cbor_put_int(o, clamped(v));
}

static void put_text(struct mv_out *o, const char *key, const char *text)
{
        mv_cbor_put_str(o, key);
        mv_cbor_put_str(o, text);
}

static int note(struct mv_broker *b, enum mv_record_type type, const struct mv_out *semantic,
                const struct mv_out *observed, struct mv_err *err)
{
        if (semantic->overflow || observed->overflow)
                return mv_fail(err, MV_E_INTERNAL, 0, "broker: a budget's record does not fit");
        return mv_trail_note(b->o.trail, type, mv_out_slice(semantic), mv_out_slice(observed), err);
}

/* Of what goes on whether it can be noted or not; the call's answer does not leave then. */
static void note_or_die(struct mv_broker *b, enum mv_record_type type,
                        const struct mv_out *semantic, enum mv_spending what)
{
        uint8_t buf[32];
        struct mv_out observed = mv_out(buf, sizeof buf);
        struct mv_err err;
        mv_cbor_put_map(&observed, 1);
        put_number(&observed, "spent", b->spent[what]);
        if (note(b, type, semantic, &observed, &err) < 0 && b->fatal.code == MV_OK)
                b->fatal = err;
}

static int note_allocated(struct mv_broker *b, struct mv_err *err)
{
        const struct mv_budget_kept *k = kept(b);
        uint8_t buf[640];
        struct mv_out o = mv_out(buf, sizeof buf), none = mv_out(NULL, 0);
        mv_cbor_put_map(&o, 7);
        put_list(&o, "ask", k->ask, MV_SPEND_ANY);
        put_list(&o, "max", k->max, MV_SPEND_ANY);
        put_list(&o, "soft", k->soft, MV_SPEND_ANY);
        put_list(&o, "warn", k->warn, 0);
        put_number(&o, "approvals", k->approvals);
        put_list(&o, "extension", k->extension, 0);
        put_number(&o, "timeout_ms", k->timeout_ms);
        return note(b, MV_REC_BUDGET_ALLOCATED, &o, &none, err);
}

static int note_consumption(struct mv_broker *b, const char *event, struct mv_err *err)
{
        uint8_t semantic[64], observed[96];
        struct mv_out s = mv_out(semantic, sizeof semantic), o = mv_out(observed, sizeof observed);
        mv_cbor_put_map(&s, 1);
        put_text(&s, "event", event);
        mv_cbor_put_map(&o, 1);
        mv__put_spent(b, &o);
        return note(b, MV_REC_BUDGET_CONSUMPTION, &s, &o, err);
}

static int note_extended(struct mv_broker *b, const struct mv_approval_request *q, uint64_t from,
                         uint64_t to, struct mv_err *err)
{
        uint8_t buf[192];
        struct mv_out o = mv_out(buf, sizeof buf), none = mv_out(NULL, 0);
        mv_cbor_put_map(&o, 5);
        put_text(&o, "id", q->id);
        put_number(&o, "to", to);
        put_number(&o, "call", q->call);
        put_number(&o, "from", from);
        put_text(&o, "what", mv_spending_name(q->budget.what));
        return note(b, MV_REC_BUDGET_EXTENDED, &o, &none, err);
}

/* Once of each kind and policy, however many processes the run has. */
static bool is_news(struct mv_broker *b, enum mv_spending what, enum mv_exhausted policy)
{
        uint32_t bit = MV_BROKER_BUDGET_BIT(what, policy);
        const struct mv_broker_replay *past = b->o.replay;
        if (b->budget.noted & bit || (past && (!past->goes_on || mv_trail_following(b->o.trail))))
                return false;
        b->budget.noted |= bit;
        return true;
}

static void note_exhausted(struct mv_broker *b, enum mv_spending what, uint64_t max,
                           enum mv_exhausted policy)
{
        uint8_t buf[160];
        struct mv_out o = mv_out(buf, sizeof buf);
        if (!is_news(b, what, policy))
                return;
        mv_cbor_put_map(&o, 4);
        put_number(&o, "max", max);
        put_number(&o, "call", b->calls);
        put_text(&o, "what", mv_spending_name(what));
        put_text(&o, "policy", mv_exhausted_name(policy));
        note_or_die(b, MV_REC_BUDGET_EXHAUSTED, &o, what);
}

static void warn_of(struct mv_broker *b, enum mv_spending what, uint64_t warn)
{
        uint8_t buf[128];
        struct mv_out o = mv_out(buf, sizeof buf);
        for (uint32_t i = 0; i < b->outcome.warnings_count; i++)
                if (b->outcome.warnings[i].what == what)
                        return; /* by a call that is made anew */
        b->outcome.warnings[b->outcome.warnings_count++] =
                (struct mv_budget_warning){ what, warn, b->spent[what], b->calls };
        if (!is_news(b, what, MV_EXHAUSTED_MAX_))
                return;
        mv_cbor_put_map(&o, 3);
        put_number(&o, "call", b->calls);
        put_number(&o, "warn", warn);
        put_text(&o, "what", mv_spending_name(what));
        note_or_die(b, MV_REC_BUDGET, &o, what);
}

/* --- counting --------------------------------------------------------------------------------- */
static bool counts(const struct mv_budget_kept *k, enum mv_spending what)
{
        return mv__budget_ends(k, what) || k->warn[what];
}

int mv__budget_init(struct mv_broker *b, struct mv_err *err)
{
        static const enum mv_spending again[] = { MV_SPEND_CALLS, MV_SPEND_STEPS,
                                                  MV_SPEND_TIME_MS };
        const struct mv_budget_kept *k = kept(b);
        const struct mv_broker_replay *past = b->o.replay;
        struct mv__budget *g = &b->budget;
        for (int i = 0; k && i < MV_SPEND_MAX_; i++) {
                uint64_t approved = past ? past->extended[i] : 0;
                g->counts |= counts(k, (enum mv_spending)i);
                g->ask[i] = approved > k->ask[i] ? approved : k->ask[i];
        }
        if (past) {
                memcpy(b->spent, past->spent, sizeof b->spent);
                g->noted = past->noted;
        }
        g->measures = k && counts(k, MV_SPEND_TIME_MS);
        g->decides = g->measures;
        for (size_t i = 0; k && i < sizeof again / sizeof again[0]; i++)
                g->decides |= k->ask[again[i]] != MV_SPEND_ANY;
        b->time_before_ms = b->spent[MV_SPEND_TIME_MS];
        if (!past)
                mv__budget_clock(b);
        return g->counts && !past ? note_allocated(b, err) : 0;
}

void mv__spent(struct mv_broker *b, enum mv_spending what, uint64_t amount)
{
        const struct mv_budget_kept *k = kept(b);
        uint64_t before = b->spent[what], after = sum(before, amount);
        b->spent[what] = after;
        if (!b->budget.counts)
                return;
        if (k->warn[what] && before < k->warn[what] && after >= k->warn[what])
                warn_of(b, what, k->warn[what]);
        if (before <= k->soft[what] && after > k->soft[what])
                note_exhausted(b, what, k->soft[what], MV_EXHAUSTED_GO_ON);
}

/* Time counts from the first call that is not answered from the records; what a run waited for does not. */
void mv__budget_clock(struct mv_broker *b)
{
        struct mv__budget *g = &b->budget;
        if (!g->measures || mv__replays(b, b->calls))
                return;
        uint64_t now = mv__broker_now_ns();
        if (!g->began_ns)
                g->began_ns = now;
        uint64_t ms = sum(b->time_before_ms, (now - g->began_ns) / 1000000);
        if (ms > b->spent[MV_SPEND_TIME_MS])
                mv__spent(b, MV_SPEND_TIME_MS, ms - b->spent[MV_SPEND_TIME_MS]);
}

void mv__budget_step(struct mv_broker *b)
{
        if (b->budget.counts)
                mv__spent(b, MV_SPEND_STEPS, 1);
}

int mv_broker_account(struct mv_broker *b, struct mv_err *err)
{
        if (!b->budget.counts || (b->o.replay && !b->o.replay->goes_on))
                return 0;
        mv__budget_clock(b);
        return note_consumption(b, "ended", err);
}

/* --- asking ----------------------------------------------------------------------------------- */
struct question {
        struct mv_arena arena;
        struct mv_approval_request request; /* as it lies in the queue */
        struct mv_approval_status *status;
};

/* The same question has the same id: about this call and this budget as it is now. */
static void identify(const struct mv_broker *b, const struct asked *q,
                     struct mv_approval_request *r)
{
        uint8_t parts[5][MV_DIGEST_BYTES], digest[MV_DIGEST_BYTES];
        uint64_t place[2] = { q->seq, r->budget.max };
        mv_sha256(mv_slice_str(b->o.execution_id), parts[0]);
        mv_sha256(mv_slice_str(r->rule), parts[1]);
        mv_sha256(mv_slice(place, sizeof place), parts[2]);
        mv_sha256(mv__asked_id(q), parts[3]);
        mv_sha256(q->args_raw, parts[4]);
        mv_sha256(mv_slice(parts, sizeof parts), digest);
        mv_approval_id(digest, r->id);
}

static void name_budget(enum mv_spending what, char ret[64])
{
        mv_fmt(ret, 64, "budget of %s", mv_spending_name(what));
}

/* What an approval makes of it: as much as the configuration adds, at least what the call needs, never beyond (1). */
static struct mv_approval_budget extension_of(const struct mv_broker *b, enum mv_spending what,
                                              uint64_t needed)
{
        const struct mv_budget_kept *k = kept(b);
        uint64_t max = b->budget.ask[what], to = sum(max, k->extension[what]),
                 ceiling = (uint64_t)clamped(k->max[what]);
        to = to > needed ? to : needed;
        return (struct mv_approval_budget){ .what = what,
                                            .max = max,
                                            .spent = (uint64_t)clamped(b->spent[what]),
                                            .needed = needed,
                                            .to = to < ceiling ? to : ceiling,
                                            .ceiling = ceiling };
}

/* Is what lies there what we would have asked? Its signature says that we did, at some time. That it starts from the budget as it
 * is now makes every extension go on from there. */
static bool is_ours(const struct mv_broker *b, const struct asked *q,
                    const struct mv_approval_request *r)
{
        return r->about_budget && r->call == q->seq &&
               r->budget.max == b->budget.ask[r->budget.what] &&
               strcmp(r->execution_id, b->o.execution_id) == 0 &&
               strcmp(r->capability, q->capability->id) == 0;
}

static int read_answer(struct mv_broker *b, struct asked *q, const char *id, struct question *ret,
                       struct mv_err *err)
{
        ret->status = mv_new(&ret->arena, struct mv_approval_status, 1);
        if (!ret->status)
                return mv_fail(err, MV_E_NOMEM, 0, "broker: an approval");
        int r = mv_approval_read(b->o.audit, id, &ret->arena, &ret->request, err);
        if (r == 0 && !is_ours(b, q, &ret->request))
                r = mv_fail(err, MV_E_CORRUPT, 0, "approval %s is about another call", id);
        return r == 0 ? mv_approval_status(b->o.audit, &ret->request, ret->status, err) : r;
}

/* UNSUPPORTED: there is no queue. */
static int ask(struct mv_broker *b, struct asked *q, enum mv_spending what, uint64_t needed,
               struct question *ret, struct mv_err *err)
{
        const struct mv_budget_kept *k = kept(b);
        char rule[64];
        name_budget(what, rule);
        struct mv_approval_request r = { .execution_id = b->o.execution_id,
                                         .rule = rule,
                                         .capability = q->capability->id,
                                         .call = q->seq,
                                         .args = q->args_raw,
                                         .approvals = k->approvals,
                                         .created_ms = mv__now_ms(),
                                         .about_budget = true,
                                         .budget = extension_of(b, what, needed) };
        bool fresh = false;
        r.expires_ms = r.created_ms + k->timeout_ms;
        identify(b, q, &r);
        int e = mv_approval_ask(b->o.audit, &r, &fresh, err);
        if (e == 0 && fresh)
                e = mv__approval_note(b, MV_REC_APPROVAL, "GovernanceApprovalRequested", &r, NULL,
                                      err);
        if (e == 0)
                e = read_answer(b, q, r.id, ret, err);
        if (e == 0 && ret->request.budget.what != what)
                e = mv_fail(err, MV_E_CORRUPT, 0, "approval %s is about another budget", r.id);
        return e;
}

/* --- what became of it ------------------------------------------------------------------------ */
static int extend(struct mv_broker *b, const struct question *a, struct mv_err *err)
{
        const struct mv_approval_request *q = &a->request;
        enum mv_spending what = q->budget.what;
        uint64_t from = b->budget.ask[what], most = kept(b)->max[what],
                 to = a->status->extended_to < most ? a->status->extended_to : most; /* (1) */
        int r = mv__approval_note(b, MV_REC_APPROVAL, "GovernanceApprovalGranted", q, a->status,
                                  err);
        if (r == 0)
                r = note_extended(b, q, from, to, err);
        if (r == 0 && to > from)
                b->budget.ask[what] = to;
        return r;
}

/* {"id" "call" "rule" "event" "untouched"?} */
static int note_paused(struct mv_broker *b, const struct mv_approval_request *q, bool inside,
                       bool untouched, struct mv_err *err)
{
        uint8_t buf[256];
        struct mv_out o = mv_out(buf, sizeof buf), none = mv_out(NULL, 0);
        mv_cbor_put_map(&o, inside ? 5 : 4);
        put_text(&o, "id", q->id);
        put_number(&o, "call", q->call);
        put_text(&o, "rule", q->rule);
        put_text(&o, "event", "waits for approval");
        if (inside) {
                mv_cbor_put_str(&o, "untouched");
                mv_cbor_put_bool(&o, untouched);
        }
        return note(b, MV_REC_PAUSED, &o, &none, err);
}

/* WAITING, or another failure. */
static int wait_for(struct mv_broker *b, const struct mv_approval_request *q, bool inside,
                    struct mv_err *err)
{
        const struct mv_approval_budget *g = &q->budget;
        mv__budget_clock(b);
        int r = note_consumption(b, "waits for approval", err);
        if (r == 0)
                r = note_paused(b, q, inside, b->budget.untouched, err);
        if (r == 0)
                r = mv_trail_sync(b->o.trail, err);
        return r < 0 ? r
                     : mv_fail(err, MV_E_WAITING, 0,
                               "call %llu (%s) waits for %u approval%s: the budget of %s is %llu, "
                               "the call needs %llu: "
                               "microvm approvals approve %s extends it to %llu, then microvm "
                               "resume %s",
                               (unsigned long long)q->call, q->capability, q->approvals,
                               q->approvals == 1 ? "" : "s", mv_spending_name(g->what),
                               (unsigned long long)g->max, (unsigned long long)g->needed, q->id,
                               (unsigned long long)g->to, q->execution_id);
}

/* NULL: it is not over. */
static const char *refusal(enum mv_approval_state s, const char **ret_event)
{
        if (s == MV_APPROVAL_REJECTED) {
                *ret_event = "GovernanceApprovalDenied";
                return "its extension was rejected";
        }
        *ret_event = "GovernanceApprovalExpired";
        return s == MV_APPROVAL_EXPIRED ? "nobody approved its extension in time" : NULL;
}

/* --- calls, steps and time (2) ---------------------------------------------------------------- */
static void refuse(struct asked *q, enum mv_spending what, uint64_t max, uint64_t needed,
                   const char *why)
{
        char rule[64], would[64] = "";
        name_budget(what, rule);
        if (what != MV_SPEND_TIME_MS) /* (4) */
                mv_fmt(would, sizeof would, "; %llu would allow it", (unsigned long long)needed);
        mv_fmt(q->fault.kind, sizeof q->fault.kind, "BudgetExhausted");
        mv_fmt(q->fault.message, sizeof q->fault.message,
               "%s: the budget is %llu %s%s%s%s (policy: %s)", q->capability->id,
               (unsigned long long)max, mv_spending_name(what), would, why ? "; " : "",
               why ? why : "", mv_exhausted_name(why ? MV_EXHAUSTED_ASK : MV_EXHAUSTED_STOP));
        mv__refuse(q, rule);
}

/* 1: extended. 0: refused. WAITING. */
static int settle(struct mv_broker *b, struct asked *q, const struct question *a,
                  struct mv_err *err)
{
        const char *event, *why = refusal(a->status->state, &event);
        const struct mv_approval_budget *g = &a->request.budget;
        if (a->status->state == MV_APPROVAL_APPROVED) {
                int r = extend(b, a, err);
                return r < 0 ? r : 1;
        }
        if (!why)
                return wait_for(b, &a->request, false, err);
        refuse(q, g->what, g->max, g->needed, why);
        return mv__approval_note(b, MV_REC_APPROVAL, event, &a->request, a->status, err);
}

static int ask_for(struct mv_broker *b, struct asked *q, enum mv_spending what, uint64_t needed,
                   struct mv_err *err)
{
        struct question a = { .arena = mv_arena_grow(4 * MV_APPROVAL_BYTES_MAX) };
        uint64_t max = b->budget.ask[what];
        note_exhausted(b, what, max, MV_EXHAUSTED_ASK);
        int r = b->o.audit ? ask(b, q, what, needed, &a, err) : 0;
        if (!b->o.audit)
                refuse(q, what, max, needed, "an execution of this kind cannot wait for approvals");
        else if (r == 0)
                r = settle(b, q, &a, err);
        mv_arena_done(&a.arena);
        if (r != -(int)MV_E_UNSUPPORTED)
                return r;
        refuse(q, what, max, needed, "approvals need an audit store in a file");
        return 0;
}

static int check_kind(struct mv_broker *b, struct asked *q, enum mv_spending what,
                      struct mv_err *err)
{
        uint64_t max = kept(b)->max[what],
                 needed = sum(b->spent[what], what == MV_SPEND_CALLS ? 1 : 0);
        if (needed > max || (needed > INT64_MAX && needed > b->budget.ask[what])) { /* (1) */
                note_exhausted(b, what, max, MV_EXHAUSTED_STOP);
                refuse(q, what, max, needed, NULL);
        }
        int r = 1;
        while (r == 1 && q->decision.allowed && needed > b->budget.ask[what])
                r = ask_for(b, q, what, needed, err);
        return r < 0 ? r : 0;
}

int mv__budget_call(struct mv_broker *b, struct asked *q, struct mv_err *err)
{
        static const enum mv_spending kinds[] = { MV_SPEND_CALLS, MV_SPEND_STEPS,
                                                  MV_SPEND_TIME_MS };
        if (!q->decision.allowed)
                return 0;
        int r = b->budget.decides ? mv__decided_before(b, q, err) : 0; /* (5) */
        mv__budget_clock(b);
        for (size_t i = 0; r == 0 && b->budget.counts && i < 3 && q->decision.allowed; i++)
                r = check_kind(b, q, kinds[i], err);
        if (r >= 0 && q->decision.allowed)
                mv__spent(b, MV_SPEND_CALLS, 1);
        if (r < 0 || b->fatal.code == MV_OK)
                return r < 0 ? r : 0;
        *err = b->fatal;
        return -(int)err->code;
}

/* --- within a call (3) ------------------------------------------------------------------------ */
bool mv__spend(struct mv_broker *b, enum mv_spending what, uint64_t amount, bool untouched,
               struct mv_room *ret)
{
        const struct mv_budget_kept *k = kept(b);
        struct mv__budget *g = &b->budget;
        uint64_t needed = sum(b->spent[what], amount);
        bool stops = g->counts && amount && needed > k->max[what],
             asks = g->counts && amount && needed > g->ask[what];
        *ret = (struct mv_room){ .needed = needed, .policy = "" };
        if (!stops && !asks) {
                mv__spent(b, what, amount);
                return true;
        }
        ret->max = stops ? k->max[what] : g->ask[what];
        ret->policy = mv_exhausted_name(stops ? MV_EXHAUSTED_STOP : MV_EXHAUSTED_ASK);
        note_exhausted(b, what, ret->max, stops ? MV_EXHAUSTED_STOP : MV_EXHAUSTED_ASK);
        if (stops || needed > INT64_MAX || g->lacks)
                return false;
        g->lacks = true;
        g->untouched = untouched;
        g->what = what;
        g->needed = needed;
        return false;
}

void mv__budget_begins(struct mv_broker *b)
{
        b->budget.lacks = false;
        if (b->budget.counts)
                memcpy(b->budget.before, b->spent, sizeof b->spent);
}

/* What the call spent before it was stopped it will spend again. */
static void give_back(struct mv_broker *b)
{
        for (int i = 0; i < MV_SPEND_MAX_; i++)
                if (i != MV_SPEND_TIME_MS)
                        b->spent[i] = b->budget.before[i];
}

static int settle_inside(struct mv_broker *b, struct asked *q, const struct question *a,
                         struct mv_err *err)
{
        const char *event, *why = refusal(a->status->state, &event);
        if (why)
                return mv__approval_note(b, MV_REC_APPROVAL, event, &a->request, a->status, err);
        give_back(b);
        if (a->status->state != MV_APPROVAL_APPROVED || !b->budget.untouched)
                return wait_for(b, &a->request, true, err);
        int r = extend(b, a, err);
        if (r == 0)
                r = mv_trail_sync(b->o.trail, err);
        q->fault.kind[0] = q->fault.message[0] = '\0';
        return r < 0 ? r : 1;
}

int mv__budget_lacked(struct mv_broker *b, struct asked *q, struct mv_err *err)
{
        struct mv__budget *g = &b->budget;
        if (!g->lacks || !b->o.audit || b->denied_inside || b->fatal.code != MV_OK)
                return 0;
        struct question a = { .arena = mv_arena_grow(4 * MV_APPROVAL_BYTES_MAX) };
        int r = ask(b, q, g->what, g->needed, &a, err);
        if (r == 0)
                r = settle_inside(b, q, &a, err);
        mv_arena_done(&a.arena);
        return r == -(int)MV_E_UNSUPPORTED ? 0 : r;
}

/* Always 1, or negative. */
static int answer_refused(struct mv_broker *b, struct asked *q, const struct question *a,
                          const char *why, struct mv_err *err)
{
        const struct mv_approval_budget *g = &a->request.budget;
        mv_fmt(q->fault.kind, sizeof q->fault.kind, "BudgetExhausted");
        mv_fmt(q->fault.message, sizeof q->fault.message,
               "%s: the budget is %llu %s; %llu would allow it; %s (policy: %s)", q->capability->id,
               (unsigned long long)g->max, mv_spending_name(g->what), (unsigned long long)g->needed,
               why, mv_exhausted_name(MV_EXHAUSTED_ASK));
        if (b->o.replay->untouched && b->hints && b->hints->key_len && b->o.effects) {
                struct mv_keyed key = mv__keyed(b, q); /* it did not happen */
                int r = mv_effects_end(b->o.effects, &key, MV_KEYED_FAILED, mv_slice(NULL, 0), err);
                if (r < 0)
                        return r;
        }
        int r = mv__reply_fault(b, q->seq, &q->fault, err);
        return r < 0 ? r : 1;
}

static int settle_resumed(struct mv_broker *b, struct asked *q, const struct question *a,
                          struct mv_err *err)
{
        const char *event, *why = refusal(a->status->state, &event);
        int r;
        b->budget.untouched = b->o.replay->untouched;
        if (a->status->state == MV_APPROVAL_APPROVED) {
                r = extend(b, a, err);
                if (r == 0)
                        r = mv_trail_sync(b->o.trail, err);
                q->untouched = r == 0 && b->o.replay->untouched;
                return r;
        }
        if (!why)
                return wait_for(b, &a->request, true, err);
        r = mv__approval_note(b, MV_REC_APPROVAL, event, &a->request, a->status, err);
        return r < 0 ? r : answer_refused(b, q, a, why, err);
}

int mv__budget_resumed(struct mv_broker *b, struct asked *q, const char **ret_key,
                       struct mv_err *err)
{
        const struct mv_broker_replay *past = b->o.replay;
        if (!past || !past->waits_for || past->waiting_call != q->seq || !b->o.audit ||
            !mv_trail_followed(b->o.trail))
                return 0;
        struct question a = { .arena = mv_arena_grow(4 * MV_APPROVAL_BYTES_MAX) };
        *ret_key = "fault";
        int r = read_answer(b, q, past->waits_for, &a, err);
        if (r == 0)
                r = settle_resumed(b, q, &a, err);
        else if (r == -(int)MV_E_NOT_FOUND) { /* taken away: it is asked for again */
                q->untouched = past->untouched;
                r = 0;
        }
        mv_arena_done(&a.arena);
        return r;
}
