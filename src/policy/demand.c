/* SPDX-License-Identifier: Apache-2.0 */
/* The map of with-security-profile (REQ-STEP-12). Every key is known and kept, or the demand is
 * refused by name: a wall that was asked for and is not there is worse than none. */
#include <base/nearest.h>
#include <policy/profile.h>
#include <security/grants.h>
#include <security/lexical.h>

#define MS_NS 1000000ull

typedef int (*read_fn)(struct mv_demand *m, const struct mv_value *v, struct mv_err *err);

static int wrong(const char *key, const char *wanted, struct mv_err *err)
{
        return mv_fail(err, MV_E_INVALID, 0, "with-security-profile: %s: expected %s", key, wanted);
}

/* check: NULL when the text is good, else why not; canonical gets the text that is kept. */
struct texts {
        const char *key, *wanted;
        const char *(*check)(struct mv_slice text, char canonical[4096]);
};

static const char *check_host(struct mv_slice text, char canonical[4096])
{
        char host[MV_HOST_TEXT_BYTES + 16];
        const char *why = mv__host_grant_check(text, host);
        if (!why)
                mv_fmt(canonical, 4096, "%s", host);
        return why;
}

static const char *check_method(struct mv_slice text, char canonical[4096])
{
        if (text.len == 0 || text.len > 16)
                return "no method";
        for (size_t i = 0; i < text.len; i++) {
                uint8_t c = text.p[i];
                if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')))
                        return "a method has letters only";
                canonical[i] = (char)(c & ~0x20);
        }
        canonical[text.len] = '\0';
        return NULL;
}

static const char *check_path(struct mv_slice text, char canonical[4096])
{
        const char *why = text.len < 4096 ? mv__path_check(text) : "longer than 4095 bytes";
        if (why)
                return why;
        while (text.len > 1 && text.p[text.len - 1] == '/')
                text.len--;
        memcpy(canonical, text.p, text.len);
        canonical[text.len] = '\0';
        return NULL;
}

static const char *check_capability(struct mv_slice text, char canonical[4096])
{
        const char *why = mv__id_check(text, true);
        if (!why)
                mv_fmt(canonical, 4096, "%.*s", (int)text.len, (const char *)text.p);
        return why;
}

static int read_texts(const struct texts *t, const struct mv_value *v, struct mv_grant_list *ret,
                      struct mv_err *err)
{
        char canonical[4096], shown[120];
        struct mv_slice text;
        if (v->kind != MV_VECTOR)
                return wrong(t->key, t->wanted, err);
        for (uint32_t i = 0; i < v->count; i++) {
                if (!mv_as_text(&v->items[i], &text))
                        return wrong(t->key, t->wanted, err);
                const char *why = t->check(text, canonical);
                mv__show(shown, sizeof shown, text);
                if (why)
                        return mv_fail(err, MV_E_INVALID, 0, "with-security-profile: %s: '%s': %s",
                                       t->key, shown, why);
                int r = mv__grants_add(ret, canonical, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int read_hosts(struct mv_demand *m, const struct mv_value *v, struct mv_err *err)
{
        m->hosts_given = true;
        return read_texts(&(struct texts){ ":hosts", "a vector of hosts", check_host }, v,
                          &m->hosts, err);
}

static int read_methods(struct mv_demand *m, const struct mv_value *v, struct mv_err *err)
{
        m->methods_given = true;
        return read_texts(&(struct texts){ ":methods", "a vector of methods", check_method }, v,
                          &m->methods, err);
}

static int read_paths(struct mv_demand *m, const struct mv_value *v, struct mv_err *err)
{
        m->paths_given = true;
        return read_texts(&(struct texts){ ":paths", "a vector of absolute paths", check_path }, v,
                          &m->paths, err);
}

static int read_capabilities(struct mv_demand *m, const struct mv_value *v, struct mv_err *err)
{
        m->capabilities_given = true;
        return read_texts(
                &(struct texts){ ":capabilities", "a vector of capability ids", check_capability },
                v, &m->capabilities, err);
}

static int read_only(struct mv_demand *m, const struct mv_value *v, struct mv_err *err)
{
        return mv_as_bool(v, &m->read_only) ? 0 : wrong(":read-only", "true or false", err);
}

static int read_deterministic(struct mv_demand *m, const struct mv_value *v, struct mv_err *err)
{
        return mv_as_bool(v, &m->deterministic) ? 0 : wrong(":deterministic", "true or false", err);
}

/* A level, or the tier of the wall itself. */
static int read_isolation(struct mv_demand *m, const struct mv_value *v, struct mv_err *err)
{
        static const struct {
                const char *name;
                enum mv_step_isolation isolation;
                enum mv_tier tier;
        } levels[] = {
                { "inherit", MV_ISOLATION_INHERIT, MV_TIER_NONE },
                { "isolated", MV_ISOLATION_ISOLATED, MV_TIER_PROCESS },
                { "sandboxed", MV_ISOLATION_SANDBOXED, MV_TIER_PROCESS },
                { "process", MV_ISOLATION_SANDBOXED, MV_TIER_PROCESS },
                { "wasm", MV_ISOLATION_SANDBOXED, MV_TIER_WASM },
                { "container", MV_ISOLATION_SANDBOXED, MV_TIER_CONTAINER },
                { "vm", MV_ISOLATION_SANDBOXED, MV_TIER_VM },
        };
        struct mv_slice text = { NULL, 0 };
        mv_as_text(v, &text);
        for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
                if (mv_slice_eq_str(text, levels[i].name)) {
                        m->isolation = levels[i].isolation;
                        m->tier = levels[i].tier;
                        return 0;
                }
        return wrong(":isolation-level",
                     ":inherit, :isolated, :sandboxed, :process, :wasm, :container or :vm", err);
}

static int read_timeout(struct mv_demand *m, const struct mv_value *v, struct mv_err *err)
{
        int64_t ms;
        if (!mv_as_int(v, &ms) || ms <= 0 || ms > INT32_MAX)
                return wrong(":timeout-ms", "a number of milliseconds above 0", err);
        m->time_ns_max = (uint64_t)ms * MS_NS;
        return 0;
}

static int read_calls(struct mv_demand *m, const struct mv_value *v, struct mv_err *err)
{
        int64_t n;
        if (!mv_as_int(v, &n) || n < 0 || n >= UINT32_MAX)
                return wrong(":max-calls", "a number of calls", err);
        m->calls_max = (uint32_t)n;
        return 0;
}

static const struct key {
        const char *name;
        read_fn read; /* NULL: known, and cannot be kept for one step */
        const char *instead;
} keys[] = {
        { "hosts", read_hosts, NULL },
        { "methods", read_methods, NULL },
        { "paths", read_paths, NULL },
        { "capabilities", read_capabilities, NULL },
        { "read-only", read_only, NULL },
        { "deterministic", read_deterministic, NULL },
        { "isolation-level", read_isolation, NULL },
        { "timeout-ms", read_timeout, NULL },
        { "max-calls", read_calls, NULL },
        { "memory", NULL, "--memory holds the whole run" },
        { "fuel", NULL, "--fuel holds the whole run" },
        { "cpu", NULL, "--cpu holds the whole run" },
        { "bandwidth", NULL, "the broker does not shape traffic" },
        { "syscall-filter", NULL, "a wall filters system calls for the whole run" },
        { "mtls", NULL, "settings and agent.config demand it of the whole run" },
};

/* "isolation_level" is the spelling of others. */
static bool is_key(struct mv_slice text, const char *name)
{
        if (text.len != strlen(name))
                return false;
        for (size_t i = 0; i < text.len; i++)
                if (text.p[i] != name[i] && !(text.p[i] == '_' && name[i] == '-'))
                        return false;
        return true;
}

static int unknown_key(struct mv_slice text, struct mv_err *err)
{
        const char *near = NULL;
        unsigned best = UINT32_MAX;
        char shown[80];
        for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
                unsigned d = mv_edit_distance(text, mv_slice_str(keys[i].name),
                                              mv_edit_tolerance(text.len));
                if (d < best) {
                        best = d;
                        near = keys[i].name;
                }
        }
        bool close = best <= mv_edit_tolerance(text.len);
        mv__show(shown, sizeof shown, text);
        return mv_fail(err, MV_E_INVALID, 0, "with-security-profile: unknown key :%s%s%s%s", shown,
                       close ? " (did you mean :" : "", close ? near : "", close ? "?)" : "");
}

static int read_entry(struct mv_demand *m, const struct mv_entry *e, struct mv_err *err)
{
        struct mv_slice text;
        if (e->key.kind != MV_KEYWORD || !mv_as_text(&e->key, &text))
                return mv_fail(err, MV_E_INVALID, 0,
                               "with-security-profile: a key that is no keyword");
        for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
                if (!is_key(text, keys[i].name))
                        continue;
                if (keys[i].read)
                        return keys[i].read(m, &e->value, err);
                return mv_fail(err, MV_E_UNSUPPORTED, 0,
                               "with-security-profile: :%s cannot be kept for one step; %s",
                               keys[i].name, keys[i].instead);
        }
        return unknown_key(text, err);
}

int mv_demand_read(const struct mv_value *map, struct mv_demand *ret, struct mv_err *err)
{
        ret->calls_max = UINT32_MAX;
        if (map->kind != MV_MAP)
                return mv_fail(err, MV_E_INVALID, 0, "with-security-profile: expected a map");
        for (uint32_t i = 0; i < map->count; i++) {
                int r = read_entry(ret, &map->entries[i], err);
                if (r < 0)
                        return r;
        }
        return 0;
}
