/* SPDX-License-Identifier: Apache-2.0 */
/* Executions that a call of another one starts (sandbox.c, microvm_call.c).
 *
 * (1) One has the context of its caller and nothing else: what the capability sees, and for every other capability what both
 *     leave. A capability with settings of its own keeps them when it is called from there, and the steps that the call
 *     stands in hold for it, besides its own.
 * (2) They are a few deep at most: each of them waits on the stack of this thread.
 * (3) They end with their caller: the time left, the memory and output limits and the cancel flag are the caller's. A budget
 *     is one execution's: what it limits, another one may not spend at all.
 * (4) Where the caller has a seed, one has a seed of its own that follows from it: what is random there is the same in every run too. */
#include <base/slice.h>
#include <host/nested.h>
#include <policy/cover.h>
#include <string.h>
#include <sys/clock.h>
#include <wire/text.h>

/* Each takes some 40 KiB of stack, and a program has no use for more. */
#define NESTED_MAX 8

struct mv_value mv__nested_text(struct mv_call *call, struct mv_slice s)
{
        char *p = mv_call_alloc(call, s.len + 1);
        if (!p)
                return (struct mv_value){ .kind = MV_NIL };
        if (s.len)
                memcpy(p, s.p, s.len);
        if (!mv_utf8_valid(s))
                for (size_t i = 0; i < s.len; i++)
                        p[i] = (char)(s.p[i] < 0x80 ? s.p[i] : '?');
        return (struct mv_value){ .kind = MV_STRING, .text = mv_slice(p, s.len) };
}

struct mv_limits mv__nested_limits(const struct mv_call *call)
{
        struct mv_limits l = call->limits;
        uint64_t now = mv__now_ns();
        l.fuel_max = 0;
        l.wall_ns_max = call->deadline_ns > now ? call->deadline_ns - now : 1;
        return l;
}

const char *mv__nested_seed(const struct mv_call *call, char buf[MV_SEED_TEXT_BYTES])
{
        return call->host.seed && call->host.seed(call->host.ctx, buf) ? buf : NULL;
}

static void close_budget(struct mv_context *c)
{
        struct mv_budget closed = MV_BUDGET_NONE;
        for (size_t i = 0; i < MV_SPEND_MAX_; i++)
                if (i != MV_SPEND_TIME_MS &&
                    (c->budget.max[i] != MV_SPEND_ANY || c->budget.ask[i] != MV_SPEND_ANY))
                        closed.max[i] = 0;
        mv_context_budget(c, &closed);
}

int mv__nested_context(struct mv_call *call, struct mv_context **ret)
{
        const struct mv_context *whole = call->whole;
        struct mv_err err;
        if (call->context->nested >= NESTED_MAX) /* (2) */
                return mv_call_fail(call, "LimitExceeded",
                                    "executions start one another at most %d deep", NESTED_MAX);
        struct mv_context *c = mv_context_copy(call->context);
        int r = c ? 0 : mv_fail(&err, MV_E_NOMEM, 0, "no memory for a context");
        for (uint32_t i = 0; r == 0 && whole && i < whole->narrowings_count; i++) /* (1) */
                if (strcmp(whole->narrowings[i].capability, call->capability->id) != 0)
                        r = mv__take_narrowing(c, &whole->narrowings[i], &err);
        if (r < 0) {
                mv_context_free(c);
                return mv_call_fail(call, "Generic", "%s", err.msg);
        }
        mv__context_nest(c);
        /* the steps that the call stands in hold for whatever it starts */
        for (uint32_t i = 0; i < c->narrowings_count; i++)
                c->narrowings[i].context->steps = c->steps;
        close_budget(c);
        *ret = c;
        return 0;
}
