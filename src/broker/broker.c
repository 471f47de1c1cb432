/* SPDX-License-Identifier: Apache-2.0 */
/* The door's host end; the order and the invariants are in broker.h.
 *
 * A CALL is answered by exactly one frame, and every return between decode and answer is one of three: the frame, or a
 * negative code that ends the cell because the guest was hostile (3), or one that ends it because a record could not be
 * kept (2). There is no fourth. */
#include <broker/internal.h>
#include <stdlib.h>
#include <time.h>
#include <wire/cbor.h>

/* Host memory a kept result may take: its tree is at most 48 bytes per encoded byte, and the
 * encoding itself. */
#define KEPT_PER_OUTPUT_BYTE 64
#define KEPT_BYTES_MIN       (16ull << 20)
#define KEPT_BYTES_MAX       (512ull << 20)

uint64_t mv__broker_now_ns(void)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static struct mv_limits with_defaults(struct mv_limits l)
{
        if (!l.memory_bytes_max)
                l.memory_bytes_max = MV_DEFAULT_MEMORY_BYTES;
        if (!l.output_bytes_max)
                l.output_bytes_max = MV_DEFAULT_OUTPUT_BYTES;
        return l;
}

static size_t kept_bytes(uint64_t output)
{
        uint64_t want = output > KEPT_BYTES_MAX ? KEPT_BYTES_MAX
                                                : output * KEPT_PER_OUTPUT_BYTE + KEPT_BYTES_MIN;
        return want < KEPT_BYTES_MAX ? (size_t)want : (size_t)KEPT_BYTES_MAX;
}

int mv_broker_new(const struct mv_broker_options *o, struct mv_broker **ret, struct mv_err *err)
{
        if (!o->table || !o->trail)
                return mv_fail(err, MV_E_INVALID, 0,
                               "broker: a capability table and an audit trail are needed");
        struct mv_broker *b = malloc(sizeof *b);
        if (!b)
                return mv_fail(err, MV_E_NOMEM, 0, "broker");
        memset(b, 0, offsetof(struct mv_broker, inside));
        b->o = *o;
        b->limits = with_defaults(o->limits);
        b->kept = mv_arena_grow(kept_bytes(b->limits.output_bytes_max));
        b->outcome.error = (struct mv_program_error){ "", "", "", "", "", "", 0, 0 };
        mv__exposed_begin(o->exposed);
        if (mv__steps_init(b, err) < 0 || mv__budget_init(b, err) < 0) {
                mv_broker_free(b);
                return -(int)err->code;
        }
        *ret = b;
        return 0;
}

struct mv_broker *mv_broker_free(struct mv_broker *b)
{
        if (!b)
                return NULL;
        mv_file_table_free(b->files); /* (4) */
        mv__steps_done(b);
        mv__hints_free(b->hints);
        mv__owed_free(b->owed);
        mv__ruled_steps_free(b->ruled_steps);
        mv__resilience_free(b->resilience);
        mv_terms_free(b->terms);
        mv_arena_done(&b->kept);
        free(b->reply.p);
        free(b->record.p);
        free(b->out.p);
        free(b->err.p);
        free(b->denied);
        free(b->network);
        free(b->operations);
        free(b);
        return NULL;
}

/* --- CALL ------------------------------------------------------------------------------------- */
static int decode_call(struct mv_broker *b, const struct mv_frame *f, struct asked *q,
                       struct mv_err *err)
{
        struct mv_cur c = mv_cur(f->payload);
        struct mv_cbor_item head, id;
        if (f->seq != (uint64_t)b->calls + 1)
                return MV_HOSTILE(err, "CALL: sequence number");
        int r = mv_cbor_next(&c, &head, err);
        if (r == 0)
                r = mv_cbor_next(&c, &id, err);
        if (r < 0)
                return r;
        if (head.kind != MV_CBOR_ARRAY || head.count != 2 || id.kind != MV_CBOR_TEXT)
                return MV_HOSTILE(err, "CALL: shape");
        if (id.text.len > MV_ID_MAX)
                return MV_HOSTILE(err, "CALL: id is too long");
        const uint8_t *args = c.p;
        r = mv_value_decode_next(&c, &q->arena, &q->args, err);
        if (r == -(int)MV_E_LIMIT)
                return mv_wrap(err,
                               "CALL: the arguments need more than the execution's memory limit");
        if (r < 0)
                return r;
        if (!mv_cur_done(&c))
                return MV_HOSTILE(err, "CALL: length");
        if (q->args.kind != MV_VECTOR)
                return MV_HOSTILE(err, "CALL: arguments are not an array");
        q->args_raw = mv_slice(args, (size_t)(c.p - args));
        q->seq = f->seq;
        q->id = id.text;
        return 0;
}

void mv__refuse(struct asked *q, const char *rule)
{
        struct mv_decision *d = &q->decision;
        struct mv_slice id = mv__asked_id(q);
        d->allowed = false;
        mv_fmt(d->rule, sizeof d->rule, "%s", rule);
        if (!d->operation[0])
                mv_fmt(d->operation, sizeof d->operation, "call");
        if (!d->capability[0])
                mv_fmt(d->capability, sizeof d->capability, "%.*s",
                       (int)(id.len < 159 ? id.len : 159), (const char *)id.p);
}

static void unknown_capability(struct mv_broker *b, struct asked *q)
{
        const char *near = mv_capability_nearest(b->o.table, q->id);
        mv_fmt(q->fault.kind, sizeof q->fault.kind, "UnknownCapability");
        mv_fmt(q->fault.message, sizeof q->fault.message,
               near ? "%.*s (did you mean %s?)" : "%.*s%s", MV_SARG(q->id), near ? near : "");
        mv__refuse(q, "unknown capability");
}

/* Security and policy. A decision that arguments do not change is the same at the next call: contexts and descriptors stay
 * what they are while a broker lives, and what the open steps leave is looked at every time. */
static int authorize(struct mv_broker *b, struct asked *q)
{
        const struct mv_context *c =
                mv__step_context(b, mv_context_for(b->o.context, q->capability->id));
        if (b->settled && c == b->settled_by) {
                mv_decision_copy(&q->decision, &b->latest_decision);
                return 0;
        }
        int r = mv_capability_decide(c, q->capability, q->args.items, q->args.count, &q->decision,
                                     &q->fault);
        b->settled = r == 0 && !b->steps.view.count && mv_capability_decided_by_id(q->capability);
        if (!b->settled)
                return r;
        b->settled_by = c;
        mv__clean_decision(&q->decision);
        mv_decision_copy(&b->latest_decision, &q->decision);
        return 0;
}

/* result NULL: before the call. */
static bool terms_hold(struct mv_broker *b, struct asked *q, const struct mv_slice *result)
{
        const struct mv_terms_asked a = { .context = b->o.context,
                                          .capability = q->capability->id,
                                          .args = q->args_raw,
                                          .result = result ? *result : mv_slice(NULL, 0),
                                          .after = result != NULL };
        return mv_terms_hold(&b->terms, &a, &q->fault);
}

/* Alias table, descriptor, arguments, security, policy: in this order, without any effect. */
static void decide(struct mv_broker *b, struct asked *q)
{
        if (!q->capability)
                unknown_capability(b, q);
        else if (mv_capability_check(q->capability, q->args.items, q->args.count, &q->fault) < 0)
                mv__refuse(q, "arguments");
        else if (authorize(b, q) < 0)
                mv__refuse(q, "arguments");
        else
                mv__step_limits(b, q);
        if (q->decision.allowed && !terms_hold(b, q, NULL))
                mv__refuse(q, "contract");
        if (q->decision.allowed && !mv__expose(b, q))
                mv__refuse(q, "exposed context");
        if (!b->settled || !q->decision.allowed) /* a settled one is clean */
                mv__clean_decision(&q->decision);
}

static int answer_refused(struct mv_broker *b, struct asked *q, struct mv_err *err)
{
        bool denied = !q->fault.kind[0];
        int r = denied ? mv__reply_denial(b, q->seq, &q->decision, err)
                       : mv__reply_fault(b, q->seq, &q->fault, err);
        if (r == 0)
                r = mv__record_decision(b, q, &q->decision, mv__reply_payload(b), err); /* (1) */
        if (r == 0 && denied)
                mv__remember_denial(b, &q->decision);
        return r;
}

/* A record is durable before its effect is released. A pure function and the captured output release nothing before the
 * execution ends, and its last record is synced before the result leaves: those two may wait. */
static bool needs_sync(const struct mv_capability *c)
{
        return !c->pure && c->effects != MV_EFFECT_OUTPUT;
}

/* Settings of the capability itself: its own grants, lower limits, an earlier deadline. */
static void take_own_settings(struct mv_call *call)
{
        const struct mv_context *own = mv_context_for(call->context, call->capability->id);
        if (own == call->context)
                return;
        call->context = own;
        call->limits = mv_limits_min(call->limits, own->limits);
        uint64_t end = mv__broker_now_ns() + own->limits.wall_ns_max;
        if (own->limits.wall_ns_max && (!call->deadline_ns || end < call->deadline_ns))
                call->deadline_ns = end;
}

/* What the program itself gives a call: of two deadlines the earlier one. */
static void take_timeout(const struct mv_broker *b, struct mv_call *call)
{
        uint64_t ms = b->hints ? b->hints->timeout_ms : 0;
        uint64_t end = mv__broker_now_ns() + ms * 1000000;
        if (ms && (!call->deadline_ns || end < call->deadline_ns))
                call->deadline_ns = end;
}

/* The call itself. Returns what call() returned; the value or the fault is in the parameters. */
static int carry_out(struct mv_broker *b, struct asked *q, struct mv_value *v)
{
        struct mv_call call = { .capability = q->capability,
                                .context = b->o.context,
                                .whole = b->o.context,
                                .host = mv__services(b),
                                .files = &b->files,
                                .arena = &q->arena,
                                .exposed = q->exposed,
                                .limits = b->limits,
                                .deadline_ns = b->o.deadline_ns,
                                .tier_min = b->o.tier_min,
                                .cancel = b->o.cancel };
        take_own_settings(&call);
        mv__step_call(b, &call);
        take_timeout(b, &call);
        *v = (struct mv_value){ .kind = MV_NIL };
        b->denied_inside = false;
        bool timed = !q->capability->pure || (b->hints && b->hints->metrics);
        uint64_t start = timed ? mv__broker_now_ns() : 0;
        int r = q->capability->call(&call, q->args.items, q->args.count, v);
        if (timed)
                q->effect_ns = mv__broker_now_ns() - start;
        if (r < 0)
                q->fault = call.fault;
        if (r < 0 && !q->fault.kind[0])
                mv_fmt(q->fault.message, sizeof q->fault.message, "%s failed without a reason",
                       q->capability->id);
        return r;
}

/* Build the answer frame for how the call ended; *ret_key: "reply" or "fault". */
static int build_answer(struct mv_broker *b, struct asked *q, int called, const struct mv_value *v,
                        const char **ret_key, struct mv_err *err)
{
        *ret_key = "fault";
        if (b->denied_inside) {
                mv__remember_denial(b, &b->inside);
                return mv__reply_denial(b, q->seq, &b->inside, err);
        }
        if (called < 0)
                return mv__reply_fault(b, q->seq, &q->fault, err);
        int r = mv__reply_value(b, q->seq, v, err);
        if (r != -(int)MV_E_INVALID) {
                *ret_key = "reply";
                return r;
        }
        mv_fmt(q->fault.kind, sizeof q->fault.kind, "InternalError");
        mv_fmt(q->fault.message, sizeof q->fault.message, "%s: %s", q->capability->id, err->msg);
        return mv__reply_fault(b, q->seq, &q->fault, err);
}

/* As often as it may be tried, and again when a budget that it found spent has been extended. */
static int carry_out_whole(struct mv_broker *b, struct asked *q, struct mv_value *v,
                           int *ret_called, struct mv_err *err)
{
        int r;
        do {
                mv__budget_begins(b);
                do
                        *ret_called = carry_out(b, q, v);
                while (*ret_called < 0 && mv__try_again(b, q));
                r = *ret_called < 0 ? mv__budget_lacked(b, q, err) : 0;
        } while (r == 1);
        if (r == 0 && b->fatal.code != MV_OK) { /* (2) */
                *err = b->fatal;
                return -(int)err->code;
        }
        return r;
}

int mv__ask_about_result(struct mv_broker *b, struct asked *q, const char **ret_key,
                         struct mv_err *err)
{
        const struct mv_slice result = mv__reply_payload(b);
        if (terms_hold(b, q, &result))
                return 0;
        *ret_key = "fault";
        return mv__reply_fault(b, q->seq, &q->fault, err);
}

static int answer_allowed(struct mv_broker *b, struct asked *q, struct mv_err *err)
{
        struct mv_value v;
        const char *key;
        int r = mv__record_decision(b, q, &q->decision, mv_slice(NULL, 0), err);
        if (r == 0)
                r = mv__record_call(b, q, err);
        if (r == 0 && needs_sync(q->capability))
                r = mv_trail_sync(b->o.trail, err);
        if (r == 0)
                r = mv__budget_resumed(b, q, &key, err);
        if (r == 0)
                r = mv__before_call(b, q, &key, err);
        if (r == 0)
                r = mv__before_effect(b, q, &key, err);
        if (r != 0)
                return r < 0 ? r : mv__record_result(b, q, key, mv__reply_payload(b), err);
        int called = 0;
        r = carry_out_whole(b, q, &v, &called, err);
        if (r < 0)
                return r;
        r = build_answer(b, q, called, &v, &key, err);
        q->done = r == 0 && strcmp(key, "reply") == 0;
        if (r == 0 && q->begun)
                r = mv__after_effect(b, q, q->done, err);
        if (r == 0 && q->done)
                r = mv__ask_about_result(b, q, &key, err);
        if (r == 0)
                r = mv__after_call(b, q, strcmp(key, "reply") == 0, err);
        return r < 0 ? r : mv__record_result(b, q, key, mv__reply_payload(b), err);
}

/* What the program printed before its process died was never shown: captured output is part of the result. */
static void say_again(struct mv_broker *b, struct asked *q)
{
        struct mv_value v;
        if (q->capability && q->capability->effects == MV_EFFECT_OUTPUT && q->done)
                carry_out(b, q, &v);
}

static void asked_init(struct asked *q, const struct mv_broker *b)
{
        memset(q, 0, offsetof(struct asked, decision));
        q->arena = mv_arena_grow_behind(q->small, sizeof q->small, b->limits.memory_bytes_max);
        mv_decision_none(&q->decision);
        q->fault.kind[0] = q->fault.message[0] = '\0';
}

static const struct mv_capability *find(struct mv_broker *b, struct mv_slice id)
{
        if (b->latest && mv_slice_eq(id, mv_slice_str(b->latest->id)))
                return b->latest;
        b->settled = false;
        b->latest = mv_capability_find(b->o.table, id);
        return b->latest;
}

int mv__call(struct mv_broker *b, const struct mv_frame *f, struct mv_err *err)
{
        struct asked q;
        asked_init(&q, b);
        int r = decode_call(b, f, &q, err);
        if (r == 0) {
                b->calls++;
                q.capability = find(b, q.id);
        }
        if (r == 0 && mv__replays(b, q.seq)) {
                r = mv__replay_call(b, &q, err);
                if (r == 0 && b->o.replay->goes_on)
                        say_again(b, &q);
        } else if (r == 0) {
                decide(b, &q);
                r = mv__govern(b, &q, err);
        }
        if (r == 0 && !mv__replays(b, q.seq))
                r = mv__budget_call(b, &q, err);
        if (r == 0 && !mv__replays(b, q.seq)) {
                r = q.decision.allowed ? answer_allowed(b, &q, err) : answer_refused(b, &q, err);
        }
        if (r == 0 && q.done && b->hints)
                r = mv__owe(b, &q, err);
        mv_arena_done(&q.arena);
        return r;
}

/* --- TICK ------------------------------------------------------------------------------------- */
/* Is there a reason for a session's program to stop? The first one is kept. */
static bool has_to_stop(struct mv_broker *b)
{
        if (!b->o.session || b->stopped != MV_END_COMPLETED)
                return b->stopped != MV_END_COMPLETED;
        if (b->o.cancel && *b->o.cancel)
                b->stopped = MV_END_KILLED;
        else if (b->o.deadline_ns && mv__broker_now_ns() >= b->o.deadline_ns)
                b->stopped = MV_END_TIMEOUT;
        else if (mv_broker_step_deadline(b) && mv__broker_now_ns() >= mv_broker_step_deadline(b))
                b->stopped = MV_END_TIMEOUT;
        return b->stopped != MV_END_COMPLETED;
}

static int on_tick(struct mv_broker *b, const struct mv_frame *f, struct mv_err *err)
{
        static const uint8_t nil[] = { 0xf6 };
        if (!b->o.session)
                return MV_HOSTILE(err, "TICK: not in a session");
        if (f->seq || !mv_slice_eq(f->payload, mv_slice(nil, sizeof nil)))
                return MV_HOSTILE(err, "TICK: shape");
        return mv__reply_nil(b, has_to_stop(b) ? MV_FRAME_CANCEL : MV_FRAME_TICK, err);
}

/* --- the door --------------------------------------------------------------------------------- */
static int dispatch(struct mv_broker *b, struct mv_slice bytes, struct mv_slice *ret_reply,
                    struct mv_err *err)
{
        struct mv_frame f;
        int r = mv_frame_decode(bytes, &f, err);
        if (r < 0)
                return r;
        switch (f.type) {
        case MV_FRAME_CALL:
                r = has_to_stop(b) ? mv__reply_nil(b, MV_FRAME_CANCEL, err) : mv__call(b, &f, err);
                if (r == 0)
                        *ret_reply = mv_slice(b->reply.p, b->reply.len);
                return r < 0 ? r : MV_DOOR_REPLY;
        case MV_FRAME_TICK:
                r = on_tick(b, &f, err);
                if (r == 0)
                        *ret_reply = mv_slice(b->reply.p, b->reply.len);
                return r < 0 ? r : MV_DOOR_REPLY;
        case MV_FRAME_ENTER:
                r = mv__on_enter(b, f.payload, err);
                if (r == 0)
                        *ret_reply = mv_slice(b->reply.p, b->reply.len);
                return r < 0 ? r : MV_DOOR_REPLY;
        case MV_FRAME_STEP:
                return mv__on_step(b, f.payload, err);
        case MV_FRAME_LOG:
                return mv__on_log(b, f.payload, err);
        case MV_FRAME_RESULT:
                r = mv__on_result(b, f.payload, err);
                break;
        case MV_FRAME_ERROR:
                r = mv__on_error(b, f.payload, err);
                break;
        default:
                return MV_HOSTILE(err, "frame: a type only the host sends");
        }
        if (r == 0 && !mv__compensates(b))
                r = mv__replay_end(b, err);
        return r < 0 ? r : MV_DOOR_DONE;
}

static int on_frame(void *ctx, struct mv_slice bytes, struct mv_slice *ret_reply,
                    struct mv_err *err)
{
        struct mv_broker *b = ctx;
        if (b->closed)
                return MV_HOSTILE(err, "frame: the conversation is over");
        int r = dispatch(b, bytes, ret_reply, err);
        if (r < 0) { /* (3): nothing that comes after counts */
                b->closed = true;
                b->outcome.outcome_known = false;
        }
        return r;
}

static bool on_output(void *ctx, bool to_stderr, struct mv_slice bytes)
{
        return mv__write_output(ctx, to_stderr, bytes);
}

struct mv_door_host mv_broker_door(struct mv_broker *b)
{
        return (struct mv_door_host){ .ctx = b, .frame = on_frame, .output = on_output };
}

void mv_broker_outcome(const struct mv_broker *b, struct mv_broker_outcome *ret)
{
        *ret = b->outcome;
        ret->calls = b->calls;
        ret->denials = b->denials;
        ret->stdout_bytes = mv_slice(b->out.p, b->out.len);
        ret->stderr_bytes = mv_slice(b->err.p, b->err.len);
        ret->output_truncated = b->truncated;
        ret->network = b->network;
        ret->network_count = b->network_count;
        ret->files = b->operations;
        ret->files_count = b->operations_count;
        for (int i = 0; b->o.context && i < MV_SPEND_MAX_; i++)
                if (b->spent[i] > b->o.context->budget.soft[i])
                        ret->overruns[ret->overruns_count++] = (struct mv_budget_overrun){
                                (enum mv_spending)i, b->o.context->budget.soft[i], b->spent[i]
                        };
}
