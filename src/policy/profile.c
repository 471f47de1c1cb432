/* SPDX-License-Identifier: Apache-2.0 */
/* Deriving a step profile, and asking it (see policy/profile.h; its invariants are cited here). */
#include <policy/policy.h>
#include <policy/profile.h>
#include <security/grants.h>
#include <security/lexical.h>
#include <wire/cbor.h>

#define MS_NS 1000000ull
#define MIB   (1ull << 20)

/* REQ-STEP-02. grep STEP-LIMITS: SECURITY.md. */
#define TIME_MS_DEFAULT    30000u
#define TIME_MS_COMPUTE    300000u
#define TIME_MS_NETWORK    120000u
#define TIME_MS_FILES      60000u
#define MEMORY_MIB_DEFAULT 256u
#define MEMORY_MIB_COMPUTE 1024u
#define OPERATIONS_DEFAULT 1000u
#define OPERATIONS_FILES   5000u

const char *mv_step_isolation_name(enum mv_step_isolation i)
{
        static const char *const names[MV_ISOLATION_MAX_] = { "inherit", "isolated", "sandboxed" };
        return i < MV_ISOLATION_MAX_ ? names[i] : "unknown";
}

static void set_done(struct mv_profile_set *s)
{
        mv__grants_done(&s->list);
}

void mv_profile_init(struct mv_profile *p, struct mv_slice name)
{
        memset(p, 0, sizeof *p);
        p->name = name;
        p->deterministic = true;
        p->demand.calls_max = UINT32_MAX;
        char shown[96];
        mv__show(shown, sizeof shown, name);
        mv_fmt(p->label, sizeof p->label, name.len ? "step '%s'" : "the program%s", shown);
}

void mv_profile_done(struct mv_profile *p)
{
        struct mv_profile_set *sets[] = { &p->capabilities, &p->hosts, &p->methods, &p->reads,
                                          &p->writes };
        for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
                set_done(sets[i]);
        mv__grants_done(&p->demand.hosts);
        mv__grants_done(&p->demand.methods);
        mv__grants_done(&p->demand.paths);
        mv__grants_done(&p->demand.capabilities);
}

/* --- deriving --------------------------------------------------------------------------------- */
static int set_add(struct mv_profile_set *s, const char *text, struct mv_err *err)
{
        if (text)
                return mv__grants_add(&s->list, text, err);
        s->any = true; /* (2) */
        return 0;
}

/* The host of a URL that is known, without its port: ports are the context's. */
static int add_host(struct mv_profile *p, const struct mv_touch *t, struct mv_err *err)
{
        struct mv_url u;
        struct mv_err ignored;
        bool known = t->url_known;
        if (known && mv_url_parse(t->url, &u, &ignored) < 0)
                return 0; /* such a call asks nobody */
        return set_add(&p->hosts, known ? u.host_ascii : NULL, err);
}

static int add_text(struct mv_profile_set *s, struct mv_slice text, bool known, struct mv_err *err)
{
        char buf[4096];
        while (text.len > 1 && text.p[text.len - 1] == '/')
                text.len--;
        if (!known || text.len >= sizeof buf)
                return set_add(s, NULL, err);
        if (text.len == 0 || memchr(text.p, 0, text.len))
                return 0; /* such a call touches nothing */
        memcpy(buf, text.p, text.len);
        buf[text.len] = '\0';
        return set_add(s, buf, err);
}

/* Methods are compared as the transport writes them. */
static int add_method(struct mv_profile *p, const struct mv_touch *t, struct mv_err *err)
{
        char upper[17];
        if (!t->method_known || t->method.len >= sizeof upper)
                return set_add(&p->methods, NULL, err);
        for (size_t i = 0; i < t->method.len; i++) {
                uint8_t c = t->method.p[i];
                upper[i] = (char)(c >= 'a' && c <= 'z' ? c - 32 : c);
        }
        upper[t->method.len] = '\0';
        return set_add(&p->methods, upper, err);
}

int mv_profile_add(struct mv_profile *p, const char *id, const struct mv_touch *t,
                   struct mv_err *err)
{
        int r = set_add(&p->capabilities, id, err);
        p->network |= t->network;
        p->files |= t->files;
        p->system |= t->system;
        p->deterministic &= t->deterministic;
        if (r == 0 && t->network)
                r = add_host(p, t, err);
        if (r == 0 && t->network)
                r = add_method(p, t, err);
        if (r == 0 && t->write)
                r = add_text(&p->writes, t->path, t->path_known, err);
        if (r == 0 && t->read)
                r = add_text(&p->reads, t->path, t->path_known, err);
        return r;
}

/* What the context does not allow is no part of the profile. */
static int keep_hosts(struct mv_profile *p, const struct mv_context *c, struct mv_err *err)
{
        struct mv_grant_list kept = { 0 };
        int r = 0;
        for (uint32_t i = 0; r == 0 && i < p->hosts.list.count; i++) {
                bool granted = mv__context_has_host(c, p->hosts.list.items[i]);
                r = granted ? mv__grants_add(&kept, p->hosts.list.items[i], err) : 0;
        }
        mv__grants_done(&p->hosts.list);
        p->hosts.list = kept;
        return r;
}

static int keep_paths(struct mv_profile_set *s, const struct mv_context *c, bool write,
                      struct mv_err *err)
{
        struct mv_grant_list kept = { 0 };
        int r = 0;
        for (uint32_t i = 0; r == 0 && i < s->list.count; i++) {
                struct mv_decision d;
                struct mv_slice root;
                if (mv_policy_path(c, mv_slice_str(s->list.items[i]), write, "", &d, &root) >= 0)
                        r = mv__grants_add(&kept, s->list.items[i], err);
        }
        mv__grants_done(&s->list);
        s->list = kept;
        return r;
}

static uint64_t lower(uint64_t mine, uint64_t run)
{
        return run && run < mine ? run : mine;
}

static void set_limits(struct mv_profile *p, struct mv_limits run)
{
        bool compute = !p->network && !p->files && !p->system;
        uint64_t ms = compute      ? TIME_MS_COMPUTE
                      : p->network ? TIME_MS_NETWORK
                      : p->files   ? TIME_MS_FILES
                                   : TIME_MS_DEFAULT;
        uint64_t mib = compute ? MEMORY_MIB_COMPUTE : MEMORY_MIB_DEFAULT;
        p->limits.time_ns_max = lower(ms * MS_NS, run.wall_ns_max);
        if (p->demand.time_ns_max)
                p->limits.time_ns_max = lower(p->limits.time_ns_max, p->demand.time_ns_max);
        /* a cell has one memory: a step gets no less of it than the run */
        p->limits.memory_bytes_max = run.memory_bytes_max ? run.memory_bytes_max : mib * MIB;
        p->limits.operations_max = p->files ? OPERATIONS_FILES : OPERATIONS_DEFAULT;
        p->limits.calls_max = p->demand.calls_max;
}

int mv_profile_finish(struct mv_profile *p, const struct mv_context *c, struct mv_limits run,
                      struct mv_err *err)
{
        p->isolation = p->system                ? MV_ISOLATION_SANDBOXED
                       : p->network || p->files ? MV_ISOLATION_ISOLATED
                                                : MV_ISOLATION_INHERIT;
        if (p->demand.isolation > p->isolation)
                p->isolation = p->demand.isolation;
        set_limits(p, run);
        int r = keep_hosts(p, c, err);
        if (r == 0)
                r = keep_paths(&p->reads, c, false, err);
        if (r == 0)
                r = keep_paths(&p->writes, c, true, err);
        return r;
}

enum mv_tier mv_profile_tier(const struct mv_profile *p)
{
        return p->demand.tier;
}

/* --- as a record ------------------------------------------------------------------------------ */
static bool put_list(struct mv_out *o, const struct mv_grant_list *l)
{
        bool ok = mv_cbor_put_array(o, l->count);
        for (uint32_t i = 0; ok && i < l->count; i++)
                ok = mv_cbor_put_str(o, l->items[i]);
        return ok;
}

/* null: whatever the context allows. */
static bool put_set(struct mv_out *o, const char *key, bool used, const struct mv_profile_set *s)
{
        static const struct mv_grant_list none;
        return mv_cbor_put_str(o, key) &&
               (used && s->any ? mv_cbor_put_null(o) : put_list(o, used ? &s->list : &none));
}

static bool put_text(struct mv_out *o, const char *key, const char *text)
{
        return mv_cbor_put_str(o, key) && mv_cbor_put_str(o, text);
}

void mv_profile_limits_text(const struct mv_profile *p, char *buf, size_t cap)
{
        mv_fmt(buf, cap, "time: %lums, mem: %luMB, cpu: 1x",
               (unsigned long)(p->limits.time_ns_max / MS_NS),
               (unsigned long)(p->limits.memory_bytes_max / MIB));
}

void mv_profile_flags_text(const struct mv_profile *p, char *buf, size_t cap)
{
        mv_fmt(buf, cap, "memory-protection,cpu-monitoring%s%s%s%s",
               p->network ? ",network-acl" : "", p->files ? ",fs-acl" : "",
               p->system ? ",syscall-filter,log-syscalls" : "",
               p->demand.read_only ? ",read-only-fs" : "");
}

bool mv_profile_encode(const struct mv_profile *p, struct mv_out *o)
{
        char limits[96], flags[128];
        mv_profile_limits_text(p, limits, sizeof limits);
        mv_profile_flags_text(p, flags, sizeof flags);
        /* keys in canonical order: by length, then bytewise */
        return mv_cbor_put_map(o, 13) && mv_cbor_put_str(o, "step") &&
               mv_cbor_put_text(o, p->name) && put_text(o, "flags", flags) &&
               put_set(o, "hosts", p->network, &p->hosts) &&
               put_set(o, "reads", p->files, &p->reads) && mv_cbor_put_str(o, "demand") &&
               (p->wanted ? mv_value_encode(o, p->wanted) : mv_cbor_put_null(o)) &&
               put_text(o, "limits", limits) && put_set(o, "writes", p->files, &p->writes) &&
               put_set(o, "methods", p->network, &p->methods) &&
               put_text(o, "isolation", mv_step_isolation_name(p->isolation)) &&
               mv_cbor_put_str(o, "operations") &&
               mv_cbor_put_int(o, (int64_t)p->limits.operations_max) &&
               put_text(o, "profile_id", p->id) &&
               put_set(o, "capabilities", true, &p->capabilities) &&
               mv_cbor_put_str(o, "deterministic") &&
               mv_cbor_put_bool(o, p->deterministic || p->demand.deterministic);
}

/* --- deciding --------------------------------------------------------------------------------- */
static void deny(struct mv_decision *d, const struct mv_profile *p, const char *what)
{
        d->allowed = false;
        mv_fmt(d->rule, sizeof d->rule, "step profile: %s", what);
        d->hint[0] = '\0';
        mv_fmt(d->context, sizeof d->context, "Not in the profile of %s", p->label);
}

/* Of what stands in the text of a step; of the program itself there is no more to say. */
static void hint_text(struct mv_decision *d, const struct mv_profile *p, const char *what)
{
        if (p->name.len)
                mv_fmt(d->hint, sizeof d->hint, "%.80s names other %s: name it there", p->label,
                       what);
}

static void hint_demand(struct mv_decision *d, const char *key)
{
        mv_fmt(d->hint, sizeof d->hint, "add it to %s of with-security-profile, or drop that key",
               key);
}

static bool demands_places(const struct mv_demand *m)
{
        return m->hosts_given || m->methods_given || m->paths_given || m->read_only;
}

/* Nothing looks into the arguments of these, so what a demand says cannot be kept. */
static bool beyond_demand(const struct mv_capability *cap, bool arguments_decided)
{
        return !arguments_decided && !cap->pure &&
               (cap->effects & (MV_EFFECT_FILESYSTEM | MV_EFFECT_NETWORK | MV_EFFECT_SYSTEM));
}

static bool serves_deterministic(const struct mv_capability *cap)
{
        return cap->pure || (cap->effects & ~(uint32_t)MV_EFFECT_OUTPUT) == 0 ||
               strncmp(cap->id, "ccos.system.current-time", 24) == 0 ||
               strcmp(cap->id, "ccos.system.sleep-ms") == 0 ||
               strcmp(cap->id, "ccos.random.int") == 0;
}

/* One after the other, then those of the execution outside; NULL behind the last. */
static const struct mv_profile *next_profile(const struct mv_step_view **v, uint32_t *i)
{
        while (*v && *i >= (*v)->count) {
                *v = (*v)->outer;
                *i = 0;
        }
        return *v ? (*v)->active[(*i)++] : NULL;
}

void mv_profile_capability(const struct mv_step_view *v, const struct mv_capability *cap,
                           bool arguments_decided, struct mv_decision *d)
{
        const struct mv_profile *p;
        for (uint32_t i = 0; d->allowed && (p = next_profile(&v, &i));) {
                const struct mv_demand *m = &p->demand;
                if (!p->capabilities.any && mv__grants_find(&p->capabilities.list, cap->id) < 0) {
                        deny(d, p, "capabilities");
                        hint_text(d, p, "capabilities");
                } else if (m->capabilities_given && !mv__grants_cover(&m->capabilities, cap->id)) {
                        deny(d, p, "capabilities");
                        hint_demand(d, ":capabilities");
                } else if (m->deterministic && !serves_deterministic(cap)) {
                        deny(d, p, "deterministic");
                        mv_fmt(d->hint, sizeof d->hint,
                               "what %s gives is no function of the program: call it outside, or "
                               "drop :deterministic",
                               cap->id);
                } else if (demands_places(m) && beyond_demand(cap, arguments_decided)) {
                        deny(d, p, "cannot be held to it");
                        mv_fmt(d->hint, sizeof d->hint,
                               "%s does not say which hosts or paths it uses: call it outside of "
                               "the step",
                               cap->id);
                }
        }
}

void mv_profile_host(const struct mv_step_view *v, const struct mv_url *u, struct mv_decision *d)
{
        const struct mv_profile *p;
        for (uint32_t i = 0; d->allowed && (p = next_profile(&v, &i));) {
                bool text = p->hosts.any || mv__host_entry(&p->hosts.list, u);
                bool demand = !p->demand.hosts_given || mv__host_entry(&p->demand.hosts, u);
                if (text && demand)
                        continue;
                deny(d, p, "hosts");
                mv_fmt(d->context, sizeof d->context, "Host '%.100s' not in the profile of %s",
                       u->host_ascii, p->label);
                if (text)
                        hint_demand(d, ":hosts");
                else
                        hint_text(d, p, "hosts");
        }
}

void mv_profile_method(const struct mv_step_view *v, const char *method, struct mv_decision *d)
{
        const struct mv_profile *p;
        for (uint32_t i = 0; d->allowed && (p = next_profile(&v, &i));) {
                bool text = p->methods.any || mv__grants_find(&p->methods.list, method) >= 0;
                bool demand = !p->demand.methods_given ||
                              mv__grants_find(&p->demand.methods, method) >= 0;
                if (text && demand)
                        continue;
                deny(d, p, "methods");
                mv_fmt(d->context, sizeof d->context, "Method '%.20s' not in the profile of %s",
                       method, p->label);
                if (text)
                        hint_demand(d, ":methods");
                else
                        hint_text(d, p, "methods");
        }
}

static void deny_path(struct mv_decision *d, const struct mv_profile *p, struct mv_slice path,
                      bool write)
{
        char shown[100];
        mv__show(shown, sizeof shown, path);
        deny(d, p, write && p->demand.read_only ? "read-only" : "paths");
        mv_fmt(d->context, sizeof d->context, "Path not in the profile of %.100s (write=%s): %s",
               p->label, write ? "true" : "false", shown);
}

/* What may be written may be read. */
static bool names_path(const struct mv_profile *p, struct mv_slice path, bool write)
{
        if (p->writes.any || (!write && p->reads.any))
                return true;
        return mv__path_entry(&p->writes.list, path) >= 0 ||
               (!write && mv__path_entry(&p->reads.list, path) >= 0);
}

void mv_profile_path(const struct mv_step_view *v, struct mv_slice path, bool write,
                     struct mv_decision *d, struct mv_slice *root)
{
        const struct mv_profile *p;
        for (uint32_t i = 0; d->allowed && (p = next_profile(&v, &i));) {
                const struct mv_demand *m = &p->demand;
                int64_t at = m->paths_given ? mv__path_entry(&m->paths, path) : 0;
                if (!names_path(p, path, write)) {
                        deny_path(d, p, path, write);
                        hint_text(d, p, "paths");
                } else if (at < 0) {
                        deny_path(d, p, path, write);
                        hint_demand(d, ":paths");
                } else if (write && m->read_only) {
                        deny_path(d, p, path, write);
                        hint_demand(d, ":read-only");
                        mv_fmt(d->hint, sizeof d->hint, "drop :read-only of with-security-profile");
                } else if (m->paths_given) {
                        /* strictly below it: links must not lead out of what is demanded */
                        struct mv_slice demanded = mv_slice_str(m->paths.items[at]);
                        if (demanded.len > root->len && demanded.len < path.len)
                                *root = demanded;
                }
        }
}

bool mv_profile_deterministic(const struct mv_step_view *v)
{
        const struct mv_profile *p;
        for (uint32_t i = 0; (p = next_profile(&v, &i));)
                if (p->demand.deterministic)
                        return true;
        return false;
}
