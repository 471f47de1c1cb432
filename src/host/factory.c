/* SPDX-License-Identifier: Apache-2.0 */
/* The provider entries of a host: listing, life cycle, choice (REQ-FACT, REQ-PRV-01..06).
 *
 * (1) The order of entries is the order of registration and never changes; the same name
 *     replaces in place.
 * (2) A choice is never below the tier that was asked for, and says for every provider why it
 *     was passed over.
 * (3) Tier landlock is taken only when it, or its provider, was asked for by name: no other request means it. */
#include <base/slice.h>
#include <host/host.h>
#include <provider/provider.h>
#include <string.h>
#include <wire/json.h>

static int ops_check(const struct mv_provider_ops *ops, struct mv_err *err)
{
        if (!ops || ops->abi != MV_PROVIDER_ABI)
                return mv_fail(err, MV_E_INVALID, 0, "provider: abi %u, this library speaks %u",
                               ops ? ops->abi : 0, MV_PROVIDER_ABI);
        if (!ops->name || !ops->name[0] || !ops->title)
                return mv_fail(err, MV_E_INVALID, 0, "provider: a name and a title are required");
        if (strlen(ops->name) >= sizeof((struct mv_result *)0)->provider)
                return mv_fail(err, MV_E_INVALID, 0, "provider '%s': name too long", ops->name);
        if (!ops->open_cell || !ops->run || !ops->close_cell || ops->tier >= MV_TIER_MAX_)
                return mv_fail(err, MV_E_INVALID, 0,
                               "provider '%s': open_cell, run, close_cell and a tier are required",
                               ops->name);
        return 0;
}

static struct mv__entry *entry_find(struct mv_host *h, const char *name)
{
        for (uint32_t i = 0; i < h->entries_count; i++)
                if (strcmp(h->entries[i].ops->name, name) == 0)
                        return &h->entries[i];
        return NULL;
}

static int not_found(const char *name, struct mv_err *err)
{
        return mv_fail(err, MV_E_NOT_FOUND, 0, "Provider '%s' not found", name);
}

int mv_host_add_provider(struct mv_host *h, const struct mv_provider_ops *ops, struct mv_err *err)
{
        int r = ops_check(ops, err);
        if (r < 0)
                return r;
        struct mv__entry *e = entry_find(h, ops->name);
        if (e) {
                mv__entry_done(e);
        } else {
                if (h->entries_count == MV_HOST_PROVIDERS_MAX)
                        return mv_fail(err, MV_E_LIMIT, 0, "a host holds at most %d providers",
                                       MV_HOST_PROVIDERS_MAX);
                e = &h->entries[h->entries_count++];
        }
        memset(e, 0, sizeof *e);
        e->ops = ops;
        pthread_mutex_init(&e->lock, NULL);
        pthread_cond_init(&e->idle, NULL);
        return 0;
}

uint32_t mv_host_provider_count(const struct mv_host *h)
{
        return h->entries_count;
}

int mv_host_provider_find(struct mv_host *h, const char *name, uint32_t *ret_index)
{
        struct mv__entry *e = entry_find(h, name);
        if (!e)
                return -(int)MV_E_NOT_FOUND;
        *ret_index = (uint32_t)(e - h->entries);
        return 0;
}

int mv__entry_probe(const struct mv__entry *e, struct mv_err *err)
{
        memset(err, 0, sizeof *err);
        return e->ops->probe ? e->ops->probe(err) : 0;
}

int mv_host_provider_info(struct mv_host *h, uint32_t index, struct mv_provider_info *ret,
                          struct mv_err *err)
{
        if (index >= h->entries_count)
                return mv_fail(err, MV_E_NOT_FOUND, 0, "provider %u of %u", index,
                               h->entries_count);
        struct mv__entry *e = &h->entries[index];
        struct mv_err why;
        struct mv_provider_info info = { .name = e->ops->name,
                                         .title = e->ops->title,
                                         .tier = e->ops->tier,
                                         .features = e->ops->features };
        info.available = mv__entry_probe(e, &why) == 0;
        mv_fmt(info.reason, sizeof info.reason, "%s", why.msg);
        pthread_mutex_lock(&e->lock);
        info.initialized = e->state == MV_ENTRY_READY;
        pthread_mutex_unlock(&e->lock);
        *ret = info;
        return 0;
}

const char *mv_host_provider_schema(struct mv_host *h, const char *name)
{
        struct mv__entry *e = entry_find(h, name);
        if (!e)
                return NULL;
        return e->ops->schema ? e->ops->schema() : "{\"type\":\"object\",\"properties\":{}}";
}

/* --- life cycle ------------------------------------------------------------------------------- */
static int config_check(const struct mv__entry *e, const struct mv_value *config,
                        struct mv_arena *a, struct mv_err *err)
{
        if (!e->ops->schema)
                return config->kind == MV_MAP && config->count == 0
                               ? 0
                               : mv_fail(err, MV_E_INVALID, 0,
                                         "provider '%s' takes no configuration", e->ops->name);
        const struct mv_value *schema;
        if (mv_json_decode(mv_slice_str(e->ops->schema()), a, &schema, err) < 0)
                return mv_fail(err, MV_E_INTERNAL, 0, "provider '%s': its schema is not JSON",
                               e->ops->name);
        int r = mv__schema_check(schema, config, err);
        return r < 0 ? mv_wrap(err, "configuration of provider '%s'", e->ops->name) : 0;
}

/* lock held, state not READY */
static int entry_start(struct mv__entry *e, const struct mv_value *config, struct mv_err *err)
{
        struct mv_err why;
        if (mv__entry_probe(e, &why) < 0)
                return mv_fail(err, MV_E_UNAVAILABLE, 0,
                               "%s provider not available on this system: %s", e->ops->title,
                               why.msg);
        struct mv_provider *p = NULL;
        int r = e->ops->init ? e->ops->init(config, &p, err) : 0;
        if (r < 0)
                return mv_wrap(err, "initialise provider '%s'", e->ops->name);
        struct mv_slice mode;
        e->detailed = mv_as_text(mv_map_get(config, "mock_mode"), &mode) &&
                      mv_slice_eq_str(mode, "detailed");
        e->provider = p;
        e->state = MV_ENTRY_READY;
        return 0;
}

/* lock held; waits until nobody uses it */
static void entry_stop(struct mv__entry *e)
{
        e->state = MV_ENTRY_CLEANED;
        while (e->users)
                pthread_cond_wait(&e->idle, &e->lock);
        while (e->kept_count)
                e->ops->close_cell(e->kept[--e->kept_count].cell);
        if (e->provider && e->ops->fini)
                e->ops->fini(e->provider);
        e->provider = NULL;
}

static int entry_init(struct mv__entry *e, const char *config_json, struct mv_err *err)
{
        struct mv_arena a = mv_arena_grow(16u << 20);
        const struct mv_value *config = NULL;
        int r = 0;
        if (config_json)
                r = mv_json_decode(mv_slice_str(config_json), &a, &config, err);
        if (r == 0 && config)
                r = config_check(e, config, &a, err);
        if (r == 0) {
                pthread_mutex_lock(&e->lock);
                if (e->state == MV_ENTRY_READY &&
                    config) /* a new configuration takes a new provider */
                        entry_stop(e);
                if (e->state != MV_ENTRY_READY)
                        r = entry_start(e, config, err);
                pthread_mutex_unlock(&e->lock);
        }
        mv_arena_done(&a);
        return r;
}

int mv_host_provider_init(struct mv_host *h, const char *name, const char *config_json,
                          struct mv_err *err)
{
        struct mv__entry *e = entry_find(h, name);
        return e ? entry_init(e, config_json, err) : not_found(name, err);
}

int mv_host_provider_cleanup(struct mv_host *h, const char *name, struct mv_err *err)
{
        struct mv__entry *e = entry_find(h, name);
        if (!e)
                return not_found(name, err);
        pthread_mutex_lock(&e->lock);
        entry_stop(e);
        pthread_mutex_unlock(&e->lock);
        return 0;
}

static void available_names(struct mv_host *h, char *buf, size_t cap)
{
        size_t n = 0;
        for (uint32_t i = 0; i < h->entries_count; i++) {
                struct mv_err why;
                if (mv__entry_probe(&h->entries[i], &why) == 0)
                        n += mv_fmt(buf + n, cap - n, "%s\"%s\"", n ? ", " : "",
                                    h->entries[i].ops->name);
        }
}

int mv_host_select_provider(struct mv_host *h, const char *name, struct mv_err *err)
{
        char names[256] = "";
        struct mv_err why;
        struct mv__entry *e = entry_find(h, name);
        if (!e || mv__entry_probe(e, &why) < 0) {
                available_names(h, names, sizeof names);
                return mv_fail(err, MV_E_INVALID, 0,
                               "MicroVM provider '%s' not available. Available providers: [%s]",
                               name, names);
        }
        int r = entry_init(e, NULL, err);
        if (r == 0)
                h->selected = e->ops->name;
        return r;
}

const char *mv_host_selected_provider(const struct mv_host *h)
{
        return h->selected;
}

int mv__entry_use(struct mv__entry *e, struct mv_err *err)
{
        int r = 0;
        pthread_mutex_lock(&e->lock);
        if (e->state == MV_ENTRY_CLEANED)
                r = mv_fail(err, MV_E_STATE, 0, "%s provider not initialized", e->ops->title);
        else if (e->state == MV_ENTRY_UNTOUCHED)
                r = entry_start(e, NULL, err);
        if (r == 0)
                e->users++;
        pthread_mutex_unlock(&e->lock);
        return r;
}

void mv__entry_release(struct mv__entry *e)
{
        pthread_mutex_lock(&e->lock);
        if (--e->users == 0)
                pthread_cond_broadcast(&e->idle);
        pthread_mutex_unlock(&e->lock);
}

void mv__entry_done(struct mv__entry *e)
{
        pthread_mutex_lock(&e->lock);
        entry_stop(e);
        pthread_mutex_unlock(&e->lock);
        pthread_cond_destroy(&e->idle);
        pthread_mutex_destroy(&e->lock);
}

/* --- choice ----------------------------------------------------------------------------------- */
static uint64_t features_needed(const struct mv_limits *l)
{
        return (l->wall_ns_max ? MV_FEAT_WALL_TIME : 0u) | (l->cpu_ns_max ? MV_FEAT_CPU_TIME : 0u) |
               (l->memory_bytes_max ? MV_FEAT_MEMORY : 0u) | (l->fuel_max ? MV_FEAT_FUEL : 0u) |
               (l->output_bytes_max ? MV_FEAT_OUTPUT : 0u);
}

static const char *feature_name(uint64_t missing)
{
        static const char *const names[] = { "wall time", "CPU time", "memory", "fuel", "output" };
        for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
                if (missing & (1u << i))
                        return names[i];
        return "feature";
}

/* REQ-WASM-03 */
static int binary_check(const struct mv_provider_ops *ops, const struct mv_program *p,
                        struct mv_err *err)
{
        if (strcasecmp(p->language, "Wasm") != 0)
                return mv_fail(
                        err, MV_E_UNSUPPORTED, 0,
                        "%s provider does not support binary language: %s; WebAssembly modules "
                        "(Wasm) run behind providers wasm and kvm",
                        ops->title, p->language);
        if (ops->features & MV_FEAT_MODULES)
                return 0;
        return mv_fail(err, MV_E_UNSUPPORTED, 0,
                       "the %s provider runs no WebAssembly modules; ask for provider wasm or kvm",
                       ops->name);
}

/* Native functions run in the caller's process: no wall is around them, whoever is asked
 * (REQ-PROG-11). */
static int kind_check(const struct mv_provider_ops *ops, const struct mv_execution *x,
                      struct mv_err *err)
{
        bool mock = strcmp(ops->name, "mock") == 0, process = strcmp(ops->name, "process") == 0;
        enum mv_program_kind k = x->program.kind;
        if (k == MV_PROGRAM_NATIVE && !mock && !process)
                return mv_fail(
                        err, MV_E_UNSUPPORTED, 0,
                        "Native functions not supported in %s provider: they run in the "
                        "caller's process, without isolation; ask for provider mock or process",
                        ops->title);
        if (k == MV_PROGRAM_NATIVE && x->tier_min > MV_TIER_NONE)
                return mv_fail(err, MV_E_UNSUPPORTED, 0,
                               "a native function runs without isolation (tier none), tier %s was "
                               "asked for",
                               mv_tier_name(x->tier_min));
        if (k == MV_PROGRAM_NATIVE || k == MV_PROGRAM_NONE || mv__program_is_rtfs(k) || mock)
                return 0;
        if (k == MV_PROGRAM_BINARY)
                return binary_check(ops, &x->program, err);
        if (ops->features & MV_FEAT_PROGRAMS)
                return 0;
        return mv_fail(err, MV_E_UNSUPPORTED, 0,
                       "%s not supported in %s provider; ask for provider process",
                       k == MV_PROGRAM_EXTERNAL ? "External programs" : "Scripts", ops->title);
}

/* Probing costs system calls; a running provider was probed when it started. */
static bool entry_ready(struct mv__entry *e)
{
        pthread_mutex_lock(&e->lock);
        bool ready = e->state == MV_ENTRY_READY;
        pthread_mutex_unlock(&e->lock);
        return ready;
}

/* Could e run x? 0, or why not. */
static int entry_fits(struct mv__entry *e, const struct mv_execution *x,
                      const struct mv_limits *limits, struct mv_err *err)
{
        const struct mv_provider_ops *ops = e->ops;
        if (ops->tier < x->tier_min)
                return mv_fail(err, MV_E_UNAVAILABLE, 0,
                               "provider '%s' is tier %s, below the tier %s that was asked for; "
                               "minimum tier %s would allow it",
                               ops->name, mv_tier_name(ops->tier), mv_tier_name(x->tier_min),
                               mv_tier_name(ops->tier));
        int r = kind_check(ops, x, err);
        if (r < 0)
                return r;
        struct mv_err why;
        if (!entry_ready(e) && mv__entry_probe(e, &why) < 0)
                return mv_fail(err, MV_E_UNAVAILABLE, 0,
                               "%s provider not available on this system: %s", ops->title, why.msg);
        if (mv__program_is_foreign(x->program.kind) && ops->probe_programs &&
            ops->probe_programs(&why) < 0)
                return mv_fail(err, MV_E_UNAVAILABLE, 0, "%s", why.msg);
        if (limits->fuel_max && mv__program_is_foreign(x->program.kind) &&
            strcmp(ops->name, "mock") != 0)
                return mv_fail(err, MV_E_UNSUPPORTED, 0,
                               "fuel counts steps of RTFS programs; a CPU time limit (--cpu) holds "
                               "a program or script");
        if (mv__program_is_foreign(x->program.kind) && x->context &&
            (mv__budget_ends(&x->context->budget, MV_SPEND_EGRESS_BYTES) ||
             mv__budget_ends(&x->context->budget, MV_SPEND_WRITTEN_BYTES)))
                return mv_fail(err, MV_E_UNSUPPORTED, 0,
                               "a budget of bytes counts what capabilities send and write; what a "
                               "program or script does itself is not counted: leave it out");
        uint64_t missing = features_needed(limits) & ~ops->features;
        if (missing && x->program.kind != MV_PROGRAM_NATIVE)
                return mv_fail(err, MV_E_UNSUPPORTED, 0,
                               "provider '%s' cannot enforce a %s limit; drop the limit or ask for "
                               "another provider",
                               ops->name, feature_name(missing));
        return 0;
}

struct refusals {
        char text[400];
        size_t len;
};

static struct mv__entry *first_in_tier(struct mv_host *h, const struct mv_execution *x,
                                       const struct mv_limits *limits, enum mv_tier tier,
                                       bool on_request, struct refusals *ret)
{
        for (uint32_t i = 0; i < h->entries_count; i++) {
                struct mv__entry *e = &h->entries[i];
                struct mv_err why;
                if (e->ops->tier != tier ||
                    ((e->ops->features & MV_FEAT_ON_REQUEST) != 0) != on_request)
                        continue;
                if (entry_fits(e, x, limits, &why) == 0)
                        return e;
                ret->len += mv_fmt(ret->text + ret->len, sizeof ret->text - ret->len, "%s%s: %s",
                                   ret->len ? "; " : "", e->ops->name, why.msg);
        }
        return NULL;
}

static struct mv__entry *first_that_fits(struct mv_host *h, const struct mv_execution *x,
                                         const struct mv_limits *limits, bool on_request,
                                         struct refusals *ret)
{
        struct mv__entry *e = NULL;
        for (int tier = MV_TIER_MAX_ - 1; !e && tier >= (int)x->tier_min; tier--)
                if (tier != MV_TIER_LANDLOCK || x->tier_min == MV_TIER_LANDLOCK) /* (3) */
                        e = first_in_tier(h, x, limits, (enum mv_tier)tier, on_request, ret);
        return e;
}

/* Is there a provider whose tier would do, and that runs programs, but not on this machine? */
static int lacks_programs(struct mv_host *h, const struct mv_execution *x, struct mv_err *err)
{
        int r = 0;
        for (uint32_t i = 0; r == 0 && i < h->entries_count; i++) {
                const struct mv_provider_ops *ops = h->entries[i].ops;
                if (ops->probe_programs && ops->tier >= x->tier_min &&
                    (x->program.kind == MV_PROGRAM_EXTERNAL ||
                     x->program.kind == MV_PROGRAM_SCRIPT))
                        r = ops->probe_programs(err);
        }
        return r;
}

/* Strongest tier first, and inside a tier in the order of registration: a choice probes nothing
 * weaker than what it takes. Those that are there on request come last. */
static int choose_auto(struct mv_host *h, const struct mv_execution *x,
                       const struct mv_limits *limits, struct mv__entry **ret, struct mv_err *err)
{
        struct refusals refused = { .text = "" };
        struct mv_err why;
        struct mv__entry *e = first_that_fits(h, x, limits, false, &refused);
        if (!e)
                e = first_that_fits(h, x, limits, true, &refused);
        if (e) {
                *ret = e;
                return 0;
        }
        if (lacks_programs(h, x, &why) < 0) /* of all the reasons the one that can be mended */
                return mv_fail(err, MV_E_UNAVAILABLE, 0,
                               "no provider of tier %s or stronger can run this here: %s",
                               mv_tier_name(x->tier_min), why.msg);
        return mv_fail(err, MV_E_UNAVAILABLE, 0,
                       "no provider of tier %s or stronger can run this here: %s",
                       mv_tier_name(x->tier_min), refused.text);
}

int mv__choose_step(struct mv_host *h, const struct mv_execution *x, enum mv_tier tier,
                    const struct mv_limits *limits, struct mv__entry **ret, struct mv_err *err)
{
        struct refusals refused = { .text = "" };
        for (int on_request = 0; on_request < 2; on_request++) {
                for (int at = (int)tier; at < MV_TIER_MAX_; at++) {
                        struct mv__entry *e = first_in_tier(h, x, limits, (enum mv_tier)at,
                                                            on_request != 0, &refused);
                        if (!e)
                                continue;
                        *ret = e;
                        return 0;
                }
        }
        return mv_fail(err, MV_E_UNAVAILABLE, 0, "no provider of tier %s or stronger%s%s",
                       mv_tier_name(tier), refused.len ? ": " : "", refused.text);
}

/* What somebody needs, in a word (REQ-FACT-05): one wall, or the strongest of at least a tier. */
static const struct need {
        const char *word, *provider; /* provider NULL: whichever is there */
        enum mv_tier tier;
} needs[] = {
        { "development", "mock", MV_TIER_NONE }, { "light", "process", MV_TIER_PROCESS },
        { "portable", "wasm", MV_TIER_WASM },    { "container", "gvisor", MV_TIER_CONTAINER },
        { "high-security", NULL, MV_TIER_VM },
};

static const struct need *need_named(const char *word)
{
        for (size_t i = 0; i < sizeof needs / sizeof needs[0]; i++)
                if (strcmp(needs[i].word, word) == 0)
                        return &needs[i];
        return NULL;
}

int mv__choose(struct mv_host *h, const struct mv_execution *x, const struct mv_limits *limits,
               struct mv__entry **ret, struct mv_err *err)
{
        const char *name = x->provider ? x->provider : h->selected;
        const struct need *need = name && !entry_find(h, name) ? need_named(name) : NULL;
        if (need && !need->provider) {
                struct mv_execution raised = *x;
                raised.tier_min = x->tier_min > need->tier ? x->tier_min : need->tier;
                return choose_auto(h, &raised, limits, ret, err);
        }
        if (need)
                name = need->provider;
        if (!name || strcmp(name, "auto") == 0)
                return choose_auto(h, x, limits, ret, err);
        struct mv__entry *e = entry_find(h, name);
        if (!e)
                return not_found(name, err);
        int r = entry_fits(e, x, limits, err);
        if (r < 0)
                return r;
        *ret = e;
        return 0;
}
