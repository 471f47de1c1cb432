/* SPDX-License-Identifier: Apache-2.0 */
/* Step profiles from the compiled program (REQ-STEP-05, -07, -14).
 *
 * (1) The program is compiled and walked behind a wall (MV_PURPOSE_INSPECT) in a cell of its own, before the run and
 *     recorded nowhere but in its result: the profiles. What comes back is a guest's word, decoded with bounds; whatever it
 *     says, a profile can only deny (policy/profile.h).
 * (2) A step can call what its region reaches: its own calls, the steps and functions in it, the functions of globals it
 *     reads; everything, when it calls something that cannot be told. Steps of one name and demand are one.
 * (3) Evaluations of a session are not inspected: they use what others have defined.
 * (4) A step that demands a stronger wall than the run's gets a cell of its own behind one (docs/design/step-cells.md), or the
 *     run is refused before it starts. What the program may do behind the weaker wall is what it reaches without entering
 *     such steps: whatever is made inside of them, functions too, exists in their cell only. */
#include <audit/audit.h>
#include <base/slice.h>
#include <host/exec.h>
#include <host/plan.h>
#include <security/lexical.h>
#include <stdlib.h>
#include <string.h>
#include <sys/clock.h>
#include <wire/cbor.h>

#define PLAN_BYTES_MAX ((size_t)64 << 20)

/* --- is there anything to find? --------------------------------------------------------------- */
static bool holds(struct mv_slice text, const char *word)
{
        return text.len && memmem(text.p, text.len, word, strlen(word));
}

/* The names of the forms stand in a program's text, its tree and its bytecode: no macro can make a
 * symbol out of parts. */
bool mv__plan_wanted(const struct mv_execution *x)
{
        return x->purpose == MV_PURPOSE_RUN && mv__program_is_rtfs(x->program.kind) &&
               (holds(x->program.bytes, "step") || holds(x->program.bytes, "effects") ||
                holds(x->program.bytes, "with-security-profile"));
}

/* --- reading the report ----------------------------------------------------------------------- */
static int odd(struct mv_err *err)
{
        return MV_HOSTILE(err, "inspection: not a report");
}

static int64_t number_at(const struct mv_value *row, uint32_t i)
{
        int64_t n = -1;
        mv_as_int(mv_seq_at(row, i), &n);
        return n;
}

static bool is_vector(const struct mv_value *v, uint32_t count)
{
        return v && v->kind == MV_VECTOR && (count == UINT32_MAX || v->count == count);
}

static int read_calls(struct mv_host *h, struct mv__plan *p, const struct mv_value *calls,
                      struct mv_err *err)
{
        p->calls = mv_new(&p->memory, struct mv__plan_call, (size_t)calls->count + 1);
        if (!p->calls)
                return mv_fail(err, MV_E_LIMIT, 0, "inspection: memory");
        p->calls_count = calls->count;
        for (uint32_t i = 0; i < calls->count; i++) {
                struct mv_slice id;
                if (!is_vector(&calls->items[i], 4))
                        return odd(err);
                p->calls[i] = (struct mv__plan_call){ .site = &calls->items[i] };
                if (mv_as_text(mv_seq_at(p->calls[i].site, 0), &id))
                        p->calls[i].capability = mv_capability_find(h->table, id);
        }
        return 0;
}

/* [index arguments] of a region's calls. */
static int read_region_calls(struct mv__plan *p, uint32_t region, const struct mv_value *rows,
                             struct mv_err *err)
{
        for (uint32_t i = 0; i < rows->count; i++) {
                int64_t at = number_at(&rows->items[i], 0);
                const struct mv_value *args = mv_seq_at(&rows->items[i], 1);
                if (at < 0 || at >= p->calls_count)
                        return odd(err);
                p->calls[at].region = region;
                p->calls[at].args = is_vector(args, UINT32_MAX) ? args : NULL;
        }
        return 0;
}

static int read_region(struct mv__plan *p, uint32_t i, const struct mv_value *row,
                       struct mv_err *err)
{
        struct mv__plan_region *g = &p->regions[i];
        const struct mv_value *enters = mv_seq_at(row, 6), *calls = mv_seq_at(row, 7);
        if (!is_vector(row, 8) || !is_vector(enters, UINT32_MAX) || !is_vector(calls, UINT32_MAX))
                return odd(err);
        *g = (struct mv__plan_region){ .row = row, .parent = number_at(row, 4) };
        if (g->parent >= i) /* a region is reported before those in it */
                return odd(err);
        for (uint32_t k = 0; k < enters->count; k++)
                if (number_at(enters, k) < 0 || number_at(enters, k) >= p->regions_count)
                        return odd(err);
        mv_as_text(mv_seq_at(row, 0), &g->name);
        return read_region_calls(p, i, calls, err);
}

static int read_report(struct mv_host *h, struct mv__plan *p, struct mv_err *err)
{
        const struct mv_value *v = mv_result_value(p->report);
        const struct mv_value *calls = mv_map_get(v, "calls"), *steps = mv_map_get(v, "steps");
        if (!is_vector(calls, UINT32_MAX) || !is_vector(steps, UINT32_MAX))
                return odd(err);
        int r = read_calls(h, p, calls, err);
        p->regions_count = steps->count;
        p->regions = mv_new(&p->memory, struct mv__plan_region, (size_t)steps->count + 1);
        if (r == 0 && !p->regions)
                r = mv_fail(err, MV_E_LIMIT, 0, "inspection: memory");
        for (uint32_t i = 0; r == 0 && i < p->regions_count; i++)
                r = read_region(p, i, &steps->items[i], err);
        return r;
}

/* --- which profile is whose ------------------------------------------------------------------- */
static const struct mv_value *demand_of(const struct mv__plan_region *g)
{
        const struct mv_value *v = mv_seq_at(g->row, 1);
        return v && v->kind != MV_NIL ? v : NULL;
}

static bool same_step(const struct mv_profile *p, const struct mv__plan_region *g)
{
        const struct mv_value *demand = demand_of(g);
        return mv_slice_eq(p->name, g->name) && !p->wanted == !demand &&
               (!demand || mv_value_equal(p->wanted, demand));
}

static int profile_new(struct mv__plan *p, struct mv_slice name, struct mv_profile **ret,
                       struct mv_err *err)
{
        if (p->profiles_count == p->profiles_cap) {
                uint32_t cap = p->profiles_cap ? p->profiles_cap * 2 : 8;
                struct mv_profile *more = realloc(p->profiles, cap * sizeof *more);
                if (!more)
                        return mv_fail(err, MV_E_NOMEM, 0, "step profiles");
                p->profiles = more;
                p->profiles_cap = cap;
        }
        if (p->profiles_count > MV_PLAN_STEPS_MAX)
                return mv_fail(err, MV_E_LIMIT, 0, "the program has more than %u different steps",
                               MV_PLAN_STEPS_MAX);
        *ret = &p->profiles[p->profiles_count++];
        mv_profile_init(*ret, name);
        return 0;
}

static int profile_for(struct mv__plan *p, struct mv__plan_region *g, struct mv_err *err)
{
        struct mv_profile *made;
        for (g->profile = 1; g->profile < p->profiles_count; g->profile++)
                if (same_step(&p->profiles[g->profile], g))
                        return 0;
        int r = profile_new(p, g->name, &made, err);
        if (r < 0)
                return r;
        made->line = (uint32_t)number_at(g->row, 2);
        made->column = (uint32_t)number_at(g->row, 3);
        made->wanted = demand_of(g);
        r = made->wanted ? mv_demand_read(made->wanted, &made->demand, err) : 0;
        if (r < 0)
                return mv_wrap(err, "line %u, column %u", made->line, made->column);
        if (mv_profile_tier(made) > p->tier_max)
                p->tier_max = mv_profile_tier(made);
        return 0;
}

static int by_place(const void *a, const void *b)
{
        const struct mv__plan_region *x = *(struct mv__plan_region *const *)a;
        const struct mv__plan_region *y = *(struct mv__plan_region *const *)b;
        for (uint32_t i = 2; i < 4; i++) { /* line, column */
                int64_t m = number_at(x->row, i), n = number_at(y->row, i);
                if (m != n)
                        return m < n ? -1 : 1;
        }
        return x < y ? -1 : x > y;
}

/* In the order of the source, for those who read the records. */
static int find_profiles(struct mv__plan *p, struct mv_err *err)
{
        struct mv__plan_region **steps =
                mv_new(&p->memory, struct mv__plan_region *, (size_t)p->regions_count + 1);
        uint32_t count = 0;
        int r = steps ? 0 : mv_fail(err, MV_E_LIMIT, 0, "step profiles: memory");
        for (uint32_t i = 0; r == 0 && i < p->regions_count; i++)
                if (p->regions[i].name.p)
                        steps[count++] = &p->regions[i];
        if (count)
                qsort(steps, count, sizeof *steps, by_place);
        for (uint32_t i = 0; r == 0 && i < count; i++)
                r = profile_for(p, steps[i], err);
        return r;
}

/* --- what a step reaches (2) ------------------------------------------------------------------ */
struct reach {
        struct mv__plan *plan;
        const struct mv_capability_table *table;
        uint32_t *seen; /* of each region: the profile that saw it last */
        uint32_t *waiting;
        uint32_t waiting_count, profile;
        enum mv_tier tier_max; /* steps that demand more are not entered (4) */
};

static void reach_add(struct reach *w, uint32_t region)
{
        const struct mv_profile *step = &w->plan->profiles[w->plan->regions[region].profile];
        if (w->seen[region] == w->profile || mv_profile_tier(step) > w->tier_max)
                return;
        w->seen[region] = w->profile;
        w->waiting[w->waiting_count++] = region;
}

static int add_call(struct reach *w, struct mv_profile *p, const struct mv__plan_call *c,
                    struct mv_err *err)
{
        struct mv_touch touch;
        struct mv_slice id;
        char name[MV_CAPABILITY_ID_MAX + 1];
        bool named = mv_as_text(mv_seq_at(c->site, 0), &id);
        if (named && !c->capability && id.len > MV_CAPABILITY_ID_MAX)
                return 0; /* the broker knows no such capability */
        if (named && !c->capability) {
                mv_fmt(name, sizeof name, "%.*s", MV_SARG(id));
                return mv_profile_add(p, name, &(struct mv_touch){ .deterministic = true }, err);
        }
        mv_capability_touch(w->table, c->capability, c->args, &touch);
        return mv_profile_add(p, named ? c->capability->id : NULL, &touch, err);
}

static int visit(struct reach *w, struct mv_profile *p, uint32_t region, struct mv_err *err)
{
        const struct mv_value *row = w->plan->regions[region].row;
        const struct mv_value *enters = mv_seq_at(row, 6), *calls = mv_seq_at(row, 7);
        bool opaque = true;
        int r = 0;
        mv_as_bool(mv_seq_at(row, 5), &opaque);
        opaque = opaque && w->tier_max == MV_TIER_MAX_;
        for (uint32_t i = 0; opaque && i < w->plan->regions_count; i++)
                reach_add(w, i);
        for (uint32_t i = 0; i < enters->count; i++)
                reach_add(w, (uint32_t)number_at(enters, i));
        for (uint32_t i = 0; r == 0 && i < calls->count; i++)
                r = add_call(w, p, &w->plan->calls[number_at(&calls->items[i], 0)], err);
        return r;
}

static int derive(struct reach *w, uint32_t profile, struct mv_err *err)
{
        int r = 0;
        w->profile = profile;
        w->waiting_count = 0;
        w->tier_max = MV_TIER_MAX_;
        for (uint32_t i = 0; i < w->plan->regions_count; i++)
                if (profile == 0 || w->plan->regions[i].profile == profile)
                        reach_add(w, i);
        while (r == 0 && w->waiting_count)
                r = visit(w, &w->plan->profiles[profile], w->waiting[--w->waiting_count], err);
        return r;
}

/* (4) The program behind a wall of this tier: from the functions that nobody makes, those are its forms. A function that is
 * called without being told is one that was made, and so was reached. */
static int derive_program(struct reach *w, struct mv_profile *ret, uint32_t mark, enum mv_tier tier,
                          struct mv_err *err)
{
        uint32_t n = w->plan->regions_count;
        int r = 0;
        w->profile = mark;
        w->tier_max = tier;
        w->waiting_count = 0;
        bool *made = mv_new(&w->plan->memory, bool, (size_t)n + 1);
        if (!made)
                return mv_fail(err, MV_E_LIMIT, 0, "step profiles: memory");
        memset(made, 0, n);
        for (uint32_t i = 0; i < n; i++) {
                const struct mv_value *enters = mv_seq_at(w->plan->regions[i].row, 6);
                for (uint32_t k = 0; k < enters->count; k++)
                        made[number_at(enters, k)] = true;
        }
        for (uint32_t i = 0; i < n; i++)
                if (!made[i] && !w->plan->regions[i].name.p)
                        reach_add(w, i);
        while (r == 0 && w->waiting_count)
                r = visit(w, ret, w->waiting[--w->waiting_count], err);
        return r;
}

/* --- the whole -------------------------------------------------------------------------------- */
static bool put_profile(struct mv_out *o, const void *what)
{
        return mv_profile_encode(what, o);
}

/* "profile-NAME-HEX": the same profile has the same id, wherever and whenever it is derived. */
static int name_profile(struct mv__plan *p, struct mv_profile *profile, struct mv_err *err)
{
        uint8_t digest[MV_DIGEST_BYTES];
        struct mv_slice bytes;
        char shown[80];
        int r = mv__encode(&p->memory, put_profile, profile, &bytes, err);
        if (r < 0)
                return r;
        mv_sha256(bytes, digest);
        mv__show(shown, sizeof shown, profile->name.len ? profile->name : MV_SLICE("program"));
        mv_fmt(profile->id, sizeof profile->id, "profile-%s-%02x%02x%02x%02x%02x%02x", shown,
               digest[0], digest[1], digest[2], digest[3], digest[4], digest[5]);
        return 0;
}

static int reach_init(struct reach *w, struct mv_host *h, struct mv__plan *p, struct mv_err *err)
{
        uint32_t n = p->regions_count + 1;
        *w = (struct reach){ .plan = p,
                             .table = h->table,
                             .seen = mv_new(&p->memory, uint32_t, n),
                             .waiting = mv_new(&p->memory, uint32_t, n) };
        if (!w->seen || !w->waiting)
                return mv_fail(err, MV_E_LIMIT, 0, "step profiles: memory");
        memset(w->seen, 0xff, n * sizeof *w->seen);
        return 0;
}

static int derive_all(struct mv_host *h, const struct mv__plan_request *q, struct mv__plan *p,
                      struct mv_err *err)
{
        struct reach w;
        int r = reach_init(&w, h, p, err);
        for (uint32_t i = 0; r == 0 && i < p->profiles_count; i++) {
                r = derive(&w, i, err);
                if (r == 0)
                        r = mv_profile_finish(&p->profiles[i], q->context, q->limits, err);
                if (r == 0)
                        r = name_profile(p, &p->profiles[i], err);
        }
        /* of the program as such no limits are derived: those are the run's */
        p->profiles[0].limits.time_ns_max = 0;
        return r;
}

int mv__plan_derive(struct mv_host *h, const struct mv__plan_request *q, struct mv_result *report,
                    struct mv__plan **ret, struct mv_err *err)
{
        struct mv__plan *p = calloc(1, sizeof *p);
        struct mv_profile *program;
        uint64_t start = mv__now_ns();
        if (!p) {
                mv_result_free(report);
                return mv_fail(err, MV_E_NOMEM, 0, "step profiles");
        }
        p->memory = mv_arena_grow(PLAN_BYTES_MAX);
        p->report = report;
        p->known = mv_result_ok(report);
        int r = profile_new(p, mv_slice(NULL, 0), &program, err);
        if (r == 0 && !p->known)
                program->capabilities.any = program->hosts.any = program->methods.any =
                        program->reads.any = program->writes.any = true;
        if (r == 0 && p->known)
                r = read_report(h, p, err);
        if (r == 0)
                r = find_profiles(p, err);
        if (r == 0)
                r = derive_all(h, q, p, err);
        if (r < 0) {
                mv__plan_free(p);
                return r;
        }
        p->derive_ns = mv__now_ns() - start;
        *ret = p;
        return 0;
}

/* (1) An execution of its own whose records nobody needs: it can ask nothing and gives nothing but
 * the profiles, and those are recorded. */
static int inspect(struct mv_host *h, const struct mv__plan_request *q, struct mv_result **ret,
                   struct mv_err *err)
{
        struct mv_execution x = { .program = q->x->program,
                                  .purpose = MV_PURPOSE_INSPECT,
                                  .context = q->context,
                                  .provider = q->x->provider,
                                  .tier_min = q->x->tier_min,
                                  .limits = q->x->limits,
                                  .prelude = q->x->prelude,
                                  .cancel = q->x->cancel };
        struct mv_audit_options memory = { .no_sync = true };
        struct mv_audit *audit;
        int r = mv_audit_open(&memory, &audit, err);
        if (r < 0)
                return r;
        r = mv__execute_into(h, &x, audit, ret, err);
        mv_audit_close(audit);
        return r;
}

int mv__plan_make(struct mv_host *h, const struct mv__plan_request *q, struct mv__plan **ret,
                  struct mv_err *err)
{
        struct mv_result *report;
        int r = inspect(h, q, &report, err);
        return r < 0 ? r : mv__plan_derive(h, q, report, ret, err);
}

/* --- walls (4) -------------------------------------------------------------------------------- */
static int not_here(const struct mv_profile *step, const struct mv__entry *own, struct mv_err *err)
{
        return mv_wrap(
                err,
                "%u:%u: %s demands isolation-level %s, the run's wall '%s' is tier %s, and a "
                "cell of its own needs a wall that is not here (or lower the level)",
                step->line, step->column, step->label, mv_tier_name(mv_profile_tier(step)),
                own->ops->name, mv_tier_name(own->ops->tier));
}

static const struct mv_profile *first_of_tier(const struct mv__plan *p, enum mv_tier tier)
{
        for (uint32_t i = 1; i < p->profiles_count; i++)
                if (mv_profile_tier(&p->profiles[i]) == tier)
                        return &p->profiles[i];
        return NULL;
}

static int choose_walls(struct mv_host *h, const struct mv__plan_request *q, struct mv__plan *p,
                        const struct mv_limits *limits, struct mv_err *err)
{
        for (int tier = MV_TIER_NONE; tier <= (int)p->tier_max; tier++) {
                const struct mv_profile *step = first_of_tier(p, (enum mv_tier)tier);
                struct mv__plan_wall *last = &p->walls[p->walls_count - 1];
                if (!step || (int)last->entry->ops->tier >= tier)
                        continue;
                if (mv__choose_step(h, q->x, (enum mv_tier)tier, limits, &last[1].entry, err) < 0)
                        return not_here(step, p->walls[0].entry, err);
                p->walls_count++;
        }
        return 0;
}

static int weaker_program(struct reach *w, const struct mv__plan_request *q, uint32_t wall,
                          struct mv_err *err)
{
        struct mv__plan_wall *at = &w->plan->walls[wall];
        mv_profile_init(&at->program, mv_slice(NULL, 0));
        int r = derive_program(w, &at->program, w->plan->profiles_count + wall,
                               at->entry->ops->tier, err);
        if (r == 0)
                r = mv_profile_finish(&at->program, q->context, q->limits, err);
        at->program.limits.time_ns_max = 0;
        return r;
}

int mv__plan_walls(struct mv_host *h, const struct mv__plan_request *q, struct mv__plan *p,
                   struct mv__entry *own, const struct mv_limits *limits, struct mv_err *err)
{
        struct reach w;
        if (p->tier_max <= own->ops->tier)
                return 0;
        p->walls[0].entry = own;
        p->walls_count = 1;
        int r = choose_walls(h, q, p, limits, err);
        if (r == 0)
                r = reach_init(&w, h, p, err);
        for (uint32_t i = 0; r == 0 && i + 1 < p->walls_count; i++)
                r = weaker_program(&w, q, i, err);
        return r;
}

uint32_t mv__plan_wall_of(const struct mv__plan *p, const struct mv_profile *step)
{
        uint32_t w = 0;
        while (w + 1 < p->walls_count && p->walls[w].entry->ops->tier < mv_profile_tier(step))
                w++;
        return w;
}

bool mv__plan_has_times(const struct mv__plan *p, uint64_t wall_ns_max)
{
        for (uint32_t i = 1; p && i < p->profiles_count; i++)
                if (p->profiles[i].demand.time_ns_max &&
                    p->profiles[i].limits.time_ns_max < wall_ns_max)
                        return true;
        return false;
}

struct mv__plan *mv__plan_free(struct mv__plan *p)
{
        if (!p)
                return NULL;
        for (uint32_t i = 0; i < p->profiles_count; i++)
                mv_profile_done(&p->profiles[i]);
        for (uint32_t i = 0; i < p->walls_count; i++)
                mv_profile_done(&p->walls[i].program);
        free(p->profiles);
        mv_result_free(p->report);
        mv_arena_done(&p->memory);
        free(p);
        return NULL;
}

/* --- in an execution -------------------------------------------------------------------------- */
static struct mv__plan_request request_of(const struct mv__exec *e)
{
        return (struct mv__plan_request){ e->x, e->context, e->limits };
}

int mv__exec_plan(struct mv__exec *e, struct mv_err *err)
{
        if (e->session || (e->replay && !e->replay->goes_on) || !mv__plan_wanted(e->x)) /* (3) */
                return 0;
        struct mv__plan_request q = request_of(e);
        int r = mv__plan_make(e->host, &q, &e->plan, err);
        if (r == 0 && e->plan->known)
                r = mv__declared_admit(&q, e->host, mv_result_value(e->plan->report), err);
        return r;
}

int mv__exec_walls(struct mv__exec *e, const struct mv_limits *asked, struct mv_err *err)
{
        struct mv__plan_request q = request_of(e);
        int r = e->plan ? mv__plan_walls(e->host, &q, e->plan, e->entry, asked, err) : 0;
        uint32_t n = e->plan ? e->plan->walls_count : 0;
        e->cell_limits = e->limits;
        for (uint32_t i = 0; r == 0 && i < n; i++)
                e->walls[i] = (struct mv_broker_wall){ e->plan->walls[i].entry->ops->tier,
                                                       e->plan->walls[i].entry->ops->name,
                                                       i + 1 < n ? &e->plan->walls[i].program
                                                                 : &e->plan->profiles[0] };
        if (r == 0 && n) { /* together they get what the run was given */
                e->cell_limits.memory_bytes_max /= n;
                e->cell_limits.cpu_ns_max /= n;
        }
        return r;
}

int mv__exec_walls_use(struct mv__exec *e, struct mv_err *err)
{
        int r = 0;
        for (uint32_t i = 1; r == 0 && e->plan && i < e->plan->walls_count; i++) {
                r = mv__entry_use(e->plan->walls[i].entry, err);
                e->walls_used += r == 0;
        }
        return r;
}

int mv__record_profiles(struct mv__exec *e, struct mv_err *err)
{
        uint8_t buf[64];
        struct mv_slice semantic;
        int r = 0;
        for (uint32_t i = 1; e->plan && r == 0 && i < e->plan->profiles_count; i++) {
                struct mv_out o = mv_out(buf, sizeof buf);
                mv_cbor_put_map(&o, 1);
                mv_cbor_put_str(&o, "derive_ns");
                mv_cbor_put_int(&o, (int64_t)e->plan->derive_ns);
                r = mv__encode(&e->scratch, put_profile, &e->plan->profiles[i], &semantic, err);
                if (r == 0)
                        r = mv_trail_append(e->trail, MV_REC_STEP_PROFILE, semantic,
                                            mv_out_slice(&o), err);
        }
        return r;
}
