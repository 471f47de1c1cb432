/* SPDX-License-Identifier: Apache-2.0 */
/* The steps a program says it is in, and what holds for the calls it makes there.
 *
 * STEP frames come from the guest, so they are only ever a reason to allow less:
 * (1) A profile comes from the host: from what it derived of the program (o.profiles, by the step's name and demand), or
 *     from the demand itself, which can only deny. The frames choose among them and carry none.
 * (2) o.profiles[0] is the program's own and never leaves the stack: whatever a guest announces, and in whatever order, it
 *     is held to the union of what its text can ask for. Every profile is a subset of that.
 * (3) A step that is not in the program gets the profile that allows no call.
 * (4) Every profile on the stack must allow a call. A step that is entered again while it is open adds nothing, so the work
 *     for a call is bounded by the number of steps in the program, however deep a guest nests.
 * (5) With walls, the open steps say behind which one the program is: the first that none of them exceeds. Calls are held
 *     to what the program may do there, so that the cell of a weaker wall gets nothing of a step that needs a stronger
 *     one, whatever it announces; a step that changes the wall is entered (ENTER), never just told (STEP).
 * Limits of a step count from when it was first entered; they hold for what it enters too. */
#include <broker/internal.h>
#include <stdlib.h>
#include <wire/cbor.h>

/* Frames that are open at once: far beyond what the evaluator's call depth can reach. */
#define STEPS_OPEN_MAX 65536u
/* Demands of a session, whose programs are not inspected (they use each other's definitions). */
#define DEMANDS_MAX 256u
/* What clocks say in a step that demands determinism: 2000-01-01, and a millisecond per call. */
#define FIXED_CLOCK_MS 946684800000ull

/* (3) */
static const struct mv_profile nothing = { .label = "a step that is not in the program",
                                           .demand = { .calls_max = UINT32_MAX },
                                           .limits = { .calls_max = UINT32_MAX,
                                                       .operations_max = UINT32_MAX } };

/* --- finding a profile (1) -------------------------------------------------------------------- */
static bool is_profile(const struct mv_profile *p, struct mv_slice name,
                       const struct mv_value *demand)
{
        return mv_slice_eq(p->name, name) && !p->wanted == !demand &&
               (!demand || mv_value_equal(p->wanted, demand));
}

static const struct mv_profile *find(const struct mv_profile *list, uint32_t count,
                                     struct mv_slice name, const struct mv_value *demand)
{
        for (uint32_t i = 0; i < count; i++)
                if (is_profile(&list[i], name, demand))
                        return &list[i];
        return NULL;
}

/* Everything that the context allows, less what is demanded; what cannot be kept allows nothing. */
static void demand_profile(struct mv_broker *b, struct mv_profile *p, const struct mv_value *demand)
{
        struct mv_err err;
        mv_profile_init(p, MV_SLICE("with-security-profile"));
        p->wanted = demand;
        p->capabilities.any = p->hosts.any = p->methods.any = p->reads.any = p->writes.any = true;
        int r = mv_demand_read(demand, &p->demand, &err);
        if (r == 0 && mv_profile_tier(p) > b->o.tier)
                r = mv_fail(&err, MV_E_UNAVAILABLE, 0, "the wall is tier %s",
                            mv_tier_name(b->o.tier));
        if (r < 0) {
                p->capabilities.any = false;
                mv_fmt(p->label, sizeof p->label, "a step (%.100s)", err.msg);
        }
        p->limits.time_ns_max = p->demand.time_ns_max;
        p->limits.calls_max = p->demand.calls_max;
        p->limits.operations_max = UINT32_MAX;
}

static const struct mv_profile *demanded(struct mv_broker *b, struct mv_slice name,
                                         const struct mv_value *demand)
{
        struct steps *s = &b->steps;
        const struct mv_profile *known = find(s->demands, s->demands_count, name, demand);
        if (known)
                return known;
        const struct mv_value *copy = mv_value_copy(demand, &b->kept);
        if (!s->demands)
                s->demands = calloc(DEMANDS_MAX, sizeof *s->demands);
        if (!copy || !s->demands || s->demands_count == DEMANDS_MAX)
                return &nothing;
        struct mv_profile *p = &s->demands[s->demands_count++];
        demand_profile(b, p, copy);
        return p;
}

static const struct mv_profile *profile_of(struct mv_broker *b, struct mv_slice name,
                                           const struct mv_value *demand)
{
        if (b->o.profiles_count) {
                const struct mv_profile *p =
                        find(b->o.profiles + 1, b->o.profiles_count - 1, name, demand);
                return p ? p : &nothing;
        }
        return demand ? demanded(b, name, demand) : NULL;
}

/* --- the stack -------------------------------------------------------------------------------- */
static void note_deadline(struct mv_broker *b)
{
        uint64_t end = 0;
        for (uint32_t i = 0; i < b->steps.view.count; i++) {
                /* events of other steps wait in the guest's buffer: when they ended is not known */
                bool prompt = b->steps.profiles[i]->demand.time_ns_max != 0;
                uint64_t mine = prompt ? b->steps.active[i].end_ns : 0;
                if (mine && (!end || mine < end))
                        end = mine;
        }
        atomic_store_explicit(&b->steps.deadline_ns, end, memory_order_relaxed);
}

static bool grow(void **p, uint32_t *cap, uint32_t count, size_t size)
{
        if (count < *cap)
                return true;
        uint32_t want = *cap ? *cap * 2 : 16;
        void *more = realloc(*p, want * size);
        if (more) {
                *p = more;
                *cap = want;
        }
        return more != NULL;
}

/* (5) */
static uint32_t wall_for(const struct mv_broker *b, const struct mv_profile *p)
{
        uint32_t w = 0;
        while (w + 1 < b->o.walls_count && b->o.walls[w].tier < mv_profile_tier(p))
                w++;
        return w;
}

static void note_wall(struct mv_broker *b)
{
        struct steps *s = &b->steps;
        if (!b->o.walls_count)
                return;
        s->wall = 0;
        for (uint32_t i = 1; i < s->view.count; i++) {
                uint32_t w = wall_for(b, s->profiles[i]);
                s->wall = w > s->wall ? w : s->wall;
        }
        s->profiles[0] = b->o.walls[s->wall].program;
}

uint32_t mv_broker_wall(const struct mv_broker *b)
{
        return b->steps.wall;
}

static bool is_active(const struct steps *s, const struct mv_profile *p)
{
        for (uint32_t i = 0; i < s->view.count; i++)
                if (s->profiles[i] == p)
                        return true;
        return false;
}

static bool activate(struct mv_broker *b, const struct mv_profile *p)
{
        struct steps *s = &b->steps;
        uint32_t at = s->view.count;
        if (!grow((void **)&s->active, &s->active_cap, at, sizeof *s->active) ||
            !grow((void **)&s->profiles, &s->profiles_cap, at, sizeof *s->profiles))
                return false;
        /* at or beyond the run's own time there is nothing to watch */
        uint64_t time = p->limits.time_ns_max;
        bool own = time && (!b->limits.wall_ns_max || time < b->limits.wall_ns_max);
        s->active[at] = (struct active_step){ .calls_at = b->calls,
                                              .operations_at = s->operations,
                                              .end_ns = own ? mv__broker_now_ns() + time : 0 };
        s->profiles[at] = p;
        s->view.active = s->profiles;
        s->view.count++;
        note_deadline(b);
        note_wall(b);
        return true;
}

static int push(struct mv_broker *b, const struct mv_profile *p, struct mv_err *err)
{
        struct steps *s = &b->steps;
        if (s->open_count >= STEPS_OPEN_MAX)
                return MV_HOSTILE(err, "STEP: too many steps are open");
        if (!grow((void **)&s->open, &s->open_cap, s->open_count, sizeof *s->open))
                return mv_fail(err, MV_E_NOMEM, 0, "broker: steps");
        bool counts = p && !is_active(s, p); /* (4) */
        if (counts && !activate(b, p))
                return mv_fail(err, MV_E_NOMEM, 0, "broker: steps");
        s->open[s->open_count++] = counts;
        return 0;
}

static int pop(struct mv_broker *b, struct mv_err *err)
{
        struct steps *s = &b->steps;
        if (!s->open_count && b->o.profiles_count)
                return MV_HOSTILE(err, "STEP: no step is open");
        if (s->open_count && s->open[--s->open_count]) {
                s->view.count--;
                note_deadline(b);
                note_wall(b);
        }
        return 0;
}

int mv__steps_init(struct mv_broker *b, struct mv_err *err)
{
        if (b->o.profiles_count && !activate(b, &b->o.profiles[0])) /* (2) */
                return mv_fail(err, MV_E_NOMEM, 0, "broker: steps");
        return 0;
}

void mv__steps_done(struct mv_broker *b)
{
        struct steps *s = &b->steps;
        for (uint32_t i = 0; i < s->demands_count; i++)
                mv_profile_done(&s->demands[i]);
        free(s->demands);
        free(s->open);
        free(s->active);
        free(s->profiles);
}

uint32_t mv__step_wall(struct mv_broker *b, const struct mv_value *event)
{
        struct mv_slice name = { NULL, 0 };
        if (b->o.walls_count < 2 || !mv_slice_eq_str(event->items[0].text, "step-started"))
                return b->steps.wall;
        mv_as_text(&event->items[1], &name);
        const struct mv_profile *p =
                profile_of(b, name, event->count > 2 ? &event->items[2] : NULL);
        uint32_t w = p ? wall_for(b, p) : 0;
        return w > b->steps.wall ? w : b->steps.wall;
}

/* A session's step has the session's cell and no other. Of a run every demand was met before it started. */
enum mv_tier mv__step_unmet(struct mv_broker *b, const struct mv_value *event)
{
        struct mv_slice name = { NULL, 0 };
        if (!b->o.session || b->o.profiles_count || !mv_as_text(&event->items[1], &name))
                return MV_TIER_NONE;
        const struct mv_profile *p = profile_of(b, name, &event->items[2]);
        return p && mv_profile_tier(p) > b->o.tier ? mv_profile_tier(p) : MV_TIER_NONE;
}

void mv__steps_compensate(struct mv_broker *b)
{
        struct steps *s = &b->steps;
        if (b->o.walls_count)
                s->profiles[0] = b->o.walls[b->o.walls_count - 1].program;
}

int mv__step_event(struct mv_broker *b, const struct mv_value *event, struct mv_err *err)
{
        struct mv_slice what = event->items[0].text, name = { NULL, 0 };
        if (b->o.replay && !b->o.replay->goes_on)
                return 0;
        if (mv_slice_eq_str(what, "step-completed") || mv_slice_eq_str(what, "step-failed"))
                return pop(b, err);
        if (!mv_slice_eq_str(what, "step-started"))
                return 0;
        mv__budget_step(b);
        mv_as_text(&event->items[1], &name);
        const struct mv_value *demand = event->count > 2 ? &event->items[2] : NULL;
        return push(b, profile_of(b, name, demand), err);
}

/* --- a call ----------------------------------------------------------------------------------- */
const struct mv_context *mv__step_context(struct mv_broker *b, const struct mv_context *c)
{
        if (!c || !b->steps.view.count)
                return c;
        b->steps.context = *c;
        if (c->steps != &b->steps.view)
                b->steps.view.outer =
                        c->steps; /* a step inside of a step of the execution that started this one */
        b->steps.context.steps = &b->steps.view;
        return &b->steps.context;
}

static void refuse(struct asked *q, const struct mv_profile *p, const char *rule, const char *text)
{
        q->decision.allowed = false;
        mv_fmt(q->decision.rule, sizeof q->decision.rule, "step profile: %s", rule);
        mv_fmt(q->fault.kind, sizeof q->fault.kind, "LimitExceeded");
        mv_fmt(q->fault.message, sizeof q->fault.message, "%s %s", p->label, text);
}

static bool is_operation(const struct asked *q)
{
        return q->capability->effects & (MV_EFFECT_FILESYSTEM | MV_EFFECT_NETWORK);
}

void mv__step_limits(struct mv_broker *b, struct asked *q)
{
        struct steps *s = &b->steps;
        char text[96];
        uint64_t now = 0;
        for (uint32_t i = 0; q->decision.allowed && i < s->view.count; i++) {
                const struct mv_profile *p = s->profiles[i];
                const struct active_step *a = &s->active[i];
                now = a->end_ns && !now ? mv__broker_now_ns() : now;
                if (b->calls - a->calls_at > p->limits.calls_max) {
                        mv_fmt(text, sizeof text,
                               "makes more than %u calls; :max-calls %u would allow it",
                               p->limits.calls_max, b->calls - a->calls_at);
                        refuse(q, p, "calls", text);
                } else if (i && is_operation(q) &&
                           s->operations - a->operations_at >= p->limits.operations_max) {
                        mv_fmt(text, sizeof text, "makes more than %u file and network calls",
                               p->limits.operations_max);
                        refuse(q, p, "operations", text);
                } else if (a->end_ns && now >= a->end_ns) {
                        mv_fmt(text, sizeof text, "takes longer than %lu ms",
                               (unsigned long)(p->limits.time_ns_max / 1000000u));
                        refuse(q, p, "time", text);
                }
        }
        s->operations += q->decision.allowed && is_operation(q);
}

void mv__step_answered(struct mv_broker *b, const struct asked *q)
{
        b->steps.operations += q->capability && is_operation(q);
}

bool mv__is_deterministic(const struct mv_broker *b)
{
        return b->steps.view.count && mv_profile_deterministic(&b->steps.view);
}

void mv__step_call(struct mv_broker *b, struct mv_call *call)
{
        struct steps *s = &b->steps;
        if (!s->view.count)
                return;
        call->context = mv__step_context(b, call->context);
        for (uint32_t i = 0; i < s->view.count; i++) {
                enum mv_tier tier = mv_profile_tier(s->profiles[i]);
                if (tier > call->tier_min) /* what the call starts is part of the step */
                        call->tier_min = tier;
                uint64_t end = s->active[i].end_ns;
                if (end && (!call->deadline_ns || end < call->deadline_ns))
                        call->deadline_ns = end;
        }
        if (mv__is_deterministic(b))
                call->fixed_clock_ms = FIXED_CLOCK_MS + b->calls;
}

uint64_t mv_broker_step_deadline(const struct mv_broker *b)
{
        return atomic_load_explicit(&b->steps.deadline_ns, memory_order_relaxed);
}
