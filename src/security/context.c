/* SPDX-License-Identifier: Apache-2.0 */
/* Contexts: what an execution may do (REQ-SEC-01..06, -09, -10, -17, -18).
 * (1) Every grant is stored in the canonical form of security/lexical.h, so that deciding is comparing.
 * (2) Limits only go down from what is given when a context is made: by its level, or instead of that by whoever makes it.
 * (3) An execution decides by a copy, so nobody can widen what is running. */
#include <security/effects.h>
#include <security/grants.h>
#include <security/lexical.h>
#include <security/rules.h>
#include <security/terms.h>
#include <security/tls.h>
#include <stdlib.h>

#define SECOND_NS        1000000000ull
#define MIB              (1ull << 20)
#define APPROVALS_MAX    16
#define APPROVAL_MS_ELSE 86400000ull
#define APPROVAL_MS_MAX  (366 * APPROVAL_MS_ELSE)

static const struct mv_limits level_limits[MV_LEVEL_MAX_] = {
        [MV_LEVEL_PURE] = { .wall_ns_max = 1 * SECOND_NS, .memory_bytes_max = 16 * MIB },
        [MV_LEVEL_CONTROLLED] = { .wall_ns_max = 5 * SECOND_NS, .memory_bytes_max = 64 * MIB },
};

struct mv_limits mv_level_limits(enum mv_level level)
{
        return level_limits[level];
}

/* REQ-SEC-09, the exact lists. limits: only what differs from level controlled. */
#define POLICY_IDS_MAX 10
struct policy {
        const char *name;
        struct mv_limits limits;
        bool limits_replace; /* file_operations is given 10 s, more than level controlled */
        const char *ids[POLICY_IDS_MAX];
};
static const struct policy policies[] = {
        { .name = "user_code",
          .ids = { "ccos.io.log", "ccos.data.parse-json", "ccos.data.serialize-json",
                   "ccos.ai.llm-execute" } },
        { .name = "system_management",
          .ids = { "ccos.io.log", "ccos.io.print", "ccos.io.println", "ccos.io.file-exists",
                   "ccos.data.parse-json", "ccos.data.serialize-json", "ccos.system.current-time",
                   "ccos.system.current-timestamp-ms", "ccos.ai.llm-execute" } },
        { .name = "data_processing",
          .ids = { "ccos.io.log", "ccos.data.parse-json", "ccos.data.serialize-json",
                   "ccos.network.http-fetch", "ccos.echo", "ccos.math.add", "ccos.ask-human",
                   "ccos.ai.llm-execute" } },
        { .name = "agent_coordination",
          .ids = { "ccos.io.log", "ccos.agent.discover-agents", "ccos.agent.task-coordination",
                   "ccos.agent.ask-human", "ccos.agent.discover-and-assess-agents",
                   "ccos.agent.establish-system-baseline", "ccos.ai.llm-execute" } },
        { .name = "file_operations",
          .limits = { .wall_ns_max = 10 * SECOND_NS, .memory_bytes_max = 32 * MIB },
          .limits_replace = true,
          .ids = { "ccos.io.log", "ccos.io.file-exists", "ccos.io.open-file", "ccos.io.read-line",
                   "ccos.io.write-line", "ccos.io.close-file" } },
        { .name = "test_capabilities",
          .ids = { "ccos.echo", "ccos.math.add", "ccos.ask-human", "ccos.io.log",
                   "ccos.data.parse-json", "ccos.data.serialize-json", "ccos.ai.llm-execute" } },
};

const char *mv_level_name(enum mv_level level)
{
        static const char *const names[MV_LEVEL_MAX_] = { "pure", "controlled", "full" };
        return level < MV_LEVEL_MAX_ ? names[level] : "unknown level";
}

const char *mv_tier_name(enum mv_tier tier)
{
        static const char *const names[MV_TIER_MAX_] = { "none", "landlock",  "process",
                                                         "wasm", "container", "vm" };
        return tier < MV_TIER_MAX_ ? names[tier] : "unknown tier";
}

struct mv_context *mv_context_new(enum mv_level level)
{
        struct mv_context *c = level < MV_LEVEL_MAX_ ? malloc(sizeof *c) : NULL;
        if (!c)
                return NULL;
        *c = (struct mv_context){ .level = level,
                                  .limits = level_limits[level],
                                  .effects = { .allowed = UINT32_MAX },
                                  .use_microvm = level == MV_LEVEL_CONTROLLED,
                                  .log_capability_calls = true };
        for (size_t i = 0; i < MV_SPEND_MAX_; i++)
                c->budget.max[i] = c->budget.ask[i] = c->budget.soft[i] = MV_SPEND_ANY;
        return c;
}

static void drop_narrowings(struct mv_context *c)
{
        for (uint32_t i = 0; i < c->narrowings_count; i++) {
                free(c->narrowings[i].capability);
                mv_context_free(c->narrowings[i].context);
        }
        c->narrowings_count = 0;
}

struct mv_context *mv_context_free(struct mv_context *c)
{
        if (!c)
                return NULL;
        struct mv_grant_list *lists[] = { &c->capabilities, &c->reads, &c->writes, &c->hosts,
                                          &c->hosts_denied, &c->env,   &c->terms,  &c->exposed };
        for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
                mv__grants_done(lists[i]);
        drop_narrowings(c);
        free(c->narrowings);
        mv__rules_done(c);
        mv__tls_done(c);
        free(c);
        return NULL;
}

bool mv__context_bind(struct mv_context *to, const struct mv_context *from)
{
        mv__budget_join(&to->budget, &from->budget);
        mv__effects_join(to, from);
        return mv__rules_copy(to, from) && mv__tls_copy(to, from) && mv__terms_join(to, from);
}

int mv__context_join(struct mv_context *c, const struct mv_context *most, struct mv_err *err)
{
        mv__budget_join(&c->budget, &most->budget);
        mv__effects_join(c, most);
        int r = mv__terms_join(c, most) ? mv__rules_join(c, most, err)
                                        : mv_fail(err, MV_E_NOMEM, 0, "context");
        for (uint32_t i = 0; r == 0 && i < c->narrowings_count; i++)
                r = mv__context_join(c->narrowings[i].context, most, err);
        return r;
}

struct mv_context *mv_context_copy(const struct mv_context *c)
{
        struct mv_context *copy = mv_context_new(mv_context_level(c));
        if (!copy || !c)
                return copy;
        copy->limits = c->limits;
        copy->steps = c->steps;
        copy->nested = c->nested;
        copy->use_microvm = c->use_microvm;
        copy->log_capability_calls = c->log_capability_calls;
        memcpy(copy->policy_name, c->policy_name, sizeof copy->policy_name);
        bool ok = mv__grants_copy(&copy->capabilities, &c->capabilities, NULL) == 0 &&
                  mv__grants_copy(&copy->reads, &c->reads, NULL) == 0 &&
                  mv__grants_copy(&copy->writes, &c->writes, NULL) == 0 &&
                  mv__grants_copy(&copy->hosts, &c->hosts, NULL) == 0 &&
                  mv__grants_copy(&copy->hosts_denied, &c->hosts_denied, NULL) == 0 &&
                  mv__grants_copy(&copy->env, &c->env, NULL) == 0 &&
                  mv__grants_copy(&copy->exposed, &c->exposed, NULL) == 0 &&
                  mv__context_bind(copy, c);
        for (uint32_t i = 0; ok && i < c->narrowings_count; i++) {
                struct mv_context *narrow = mv_context_copy(c->narrowings[i].context);
                ok = narrow &&
                     mv_context_narrow(copy, c->narrowings[i].capability, narrow, NULL) == 0;
        }
        return ok ? copy : mv_context_free(copy);
}

void mv__context_nest(struct mv_context *c)
{
        c->nested++;
        for (uint32_t i = 0; i < c->narrowings_count; i++)
                c->narrowings[i].context->nested++;
}

static const struct policy *policy_find(const char *name)
{
        for (size_t i = 0; i < sizeof policies / sizeof *policies; i++)
                if (strcmp(policies[i].name, name) == 0)
                        return &policies[i];
        return NULL;
}

struct mv_context *mv_context_new_policy(const char *name, struct mv_err *err)
{
        const struct policy *p = name ? policy_find(name) : NULL;
        if (!p) {
                mv__fail(err, MV_E_NOT_FOUND, 0,
                         "security policy '%s' not found; there are user_code, system_management, "
                         "data_processing, agent_coordination, file_operations and "
                         "test_capabilities",
                         name ? name : "");
                return NULL;
        }
        struct mv_context *c = mv_context_new(MV_LEVEL_CONTROLLED);
        if (!c) {
                mv__fail(err, MV_E_NOMEM, 0, "context");
                return NULL;
        }
        if (p->limits_replace)
                c->limits = p->limits;
        mv_fmt(c->policy_name, sizeof c->policy_name, "%s", p->name);
        for (size_t i = 0; i < POLICY_IDS_MAX && p->ids[i]; i++)
                if (mv_context_allow(c, p->ids[i], err) < 0)
                        return mv_context_free(c);
        return c;
}

/* --- grants ----------------------------------------------------------------------------------- */

/* A grant that could never count is refused: silence would look like success. */
static int grantable(const struct mv_context *c, const char *kind, const char *text,
                     struct mv_err *err)
{
        if (!c || !text)
                return mv_fail(err, MV_E_INVALID, 0, "%s: no %s given", kind,
                               c ? "grant" : "context");
        if (c->level == MV_LEVEL_PURE)
                return mv_fail(err, MV_E_INVALID, 0,
                               "%s '%s': level pure grants nothing; use level controlled", kind,
                               text);
        return 0;
}

static int refuse(const char *kind, const char *text, const char *reason, struct mv_err *err)
{
        char shown[200];
        mv__show(shown, sizeof shown, mv_slice_str(text));
        return mv_fail(err, MV_E_INVALID, 0, "%s '%s': %s", kind, shown, reason);
}

int mv_context_allow(struct mv_context *c, const char *capability, struct mv_err *err)
{
        int r = grantable(c, "capability grant", capability, err);
        if (r < 0)
                return r;
        const char *id = capability[0] == ':' ? capability + 1 : capability;
        const char *reason = mv__id_check(mv_slice_str(id), true);
        return reason ? refuse("capability grant", capability, reason, err)
                      : mv__grants_add(&c->capabilities, id, err);
}

static int allow_path(struct mv_context *c, struct mv_grant_list *l, const char *path,
                      struct mv_err *err)
{
        int r = grantable(c, "path grant", path, err);
        if (r < 0)
                return r;
        const char *reason = mv__path_check(mv_slice_str(path));
        if (reason)
                return refuse("path grant", path, reason, err);
        size_t len = strlen(path);
        if (len == 1 || path[len - 1] != '/')
                return mv__grants_add(l, path, err);
        char *trimmed = strndup(path, len - 1);
        if (!trimmed)
                return mv_fail(err, MV_E_NOMEM, 0, "path grant");
        r = mv__grants_add(l, trimmed, err);
        free(trimmed);
        return r;
}

int mv_context_allow_read(struct mv_context *c, const char *path, struct mv_err *err)
{
        return allow_path(c, c ? &c->reads : NULL, path, err);
}

int mv_context_allow_write(struct mv_context *c, const char *path, struct mv_err *err)
{
        return allow_path(c, c ? &c->writes : NULL, path, err);
}

static int add_host(struct mv_grant_list *l, const char *host, struct mv_err *err)
{
        char canonical[MV_HOST_TEXT_BYTES + 16];
        const char *reason = mv__host_grant_check(mv_slice_str(host), canonical);
        return reason ? refuse("host", host, reason, err) : mv__grants_add(l, canonical, err);
}

int mv_context_allow_host(struct mv_context *c, const char *host, struct mv_err *err)
{
        int r = grantable(c, "host grant", host, err);
        return r < 0 ? r : add_host(&c->hosts, host, err);
}

int mv_context_deny_host(struct mv_context *c, const char *host, struct mv_err *err)
{
        if (!c || !host)
                return mv_fail(err, MV_E_INVALID, 0, "host denial: no %s given",
                               c ? "host" : "context");
        return add_host(&c->hosts_denied, host, err);
}

int mv_context_allow_env(struct mv_context *c, const char *name, struct mv_err *err)
{
        int r = grantable(c, "environment grant", name, err);
        if (r < 0)
                return r;
        size_t name_len = strcspn(name, "=");
        const char *reason = mv__env_name_check(mv_slice(name, name_len));
        if (reason) /* the value stays out of the message: it may be a secret */
                return mv_fail(err, MV_E_INVALID, 0, "environment grant: %s", reason);
        char key[132];
        mv_fmt(key, sizeof key, "%.*s=", (int)name_len, name);
        mv__grants_remove_prefix(&c->env, key); /* the last word about a name counts */
        return mv__grants_add(&c->env, name, err);
}

#define TAG "tag:"

static bool has_word(const char *words, const char *word)
{
        size_t len = strlen(word);
        for (const char *at = words; *at; at += strspn(at, " ")) {
                size_t n = strcspn(at, " ");
                if (n == len && memcmp(at, word, len) == 0)
                        return true;
                at += n;
        }
        return false;
}

static bool is_tag(const char *text)
{
        return strncmp(text, TAG, sizeof TAG - 1) == 0;
}

static const char *tag_check(const char *word)
{
        size_t len = strlen(word);
        for (size_t i = 0; i < len; i++)
                if (word[i] <= ' ' || word[i] > '~')
                        len = 0;
        return len && len <= MV_CAPABILITY_ID_MAX
                       ? NULL
                       : "a tag is one word of 1 to 159 printable ASCII characters";
}

int mv_context_expose(struct mv_context *c, const char *capability, struct mv_err *err)
{
        int r = grantable(c, "exposure", capability, err);
        if (r < 0)
                return r;
        const char *id = capability[0] == ':' ? capability + 1 : capability;
        const char *reason =
                is_tag(id) ? tag_check(id + sizeof TAG - 1) : mv__id_check(mv_slice_str(id), true);
        return reason ? refuse("exposure", capability, reason, err)
                      : mv__grants_add(&c->exposed, id, err);
}

bool mv_context_exposes(const struct mv_context *c, const struct mv_capability *cap)
{
        if (!c || !c->exposed.count)
                return false;
        if (mv__grants_cover(&c->exposed, cap->id))
                return true;
        for (uint32_t i = 0; cap->tags && i < c->exposed.count; i++) {
                const char *tag = c->exposed.items[i];
                if (is_tag(tag) && has_word(cap->tags, tag + sizeof TAG - 1))
                        return true;
        }
        return false;
}

/* --- one capability --------------------------------------------------------------------------- */

const struct mv_context *mv_context_for(const struct mv_context *c, const char *capability)
{
        for (uint32_t i = 0; c && i < c->narrowings_count; i++)
                if (strcmp(c->narrowings[i].capability, capability) == 0)
                        return c->narrowings[i].context;
        return c;
}

int mv_context_narrow(struct mv_context *c, const char *capability, struct mv_context *narrow,
                      struct mv_err *err)
{
        drop_narrowings(narrow); /* one level: a narrower one has none of its own */
        mv__effects_join(narrow, c);
        /* what a capability starts with its own context (ccos.sandbox) is under the same constitution */
        if ((!narrow->rules_count && !mv__rules_copy(narrow, c)) ||
            (!mv__tls_any(narrow) && !mv__tls_copy(narrow, c))) {
                mv_context_free(narrow);
                return mv_fail(err, MV_E_NOMEM, 0, "rules of %s", capability);
        }
        for (uint32_t i = 0; i < c->narrowings_count; i++) {
                if (strcmp(c->narrowings[i].capability, capability) != 0)
                        continue;
                mv_context_free(c->narrowings[i].context);
                c->narrowings[i].context = narrow;
                return 0;
        }
        struct mv_narrowing *more =
                realloc(c->narrowings, (c->narrowings_count + 1) * sizeof *more);
        char *id = more ? strdup(capability) : NULL;
        if (more)
                c->narrowings = more;
        if (!id) {
                mv_context_free(narrow);
                return mv_fail(err, MV_E_NOMEM, 0, "settings of %s", capability);
        }
        c->narrowings[c->narrowings_count++] = (struct mv_narrowing){ id, narrow };
        return 0;
}

/* --- limits and questions --------------------------------------------------------------------- */

static uint64_t lower(uint64_t a, uint64_t b)
{
        if (a == 0 || b == 0)
                return a ? a : b;
        return a < b ? a : b;
}

struct mv_limits mv_limits_min(struct mv_limits a, struct mv_limits b)
{
        return (struct mv_limits){
                .wall_ns_max = lower(a.wall_ns_max, b.wall_ns_max),
                .cpu_ns_max = lower(a.cpu_ns_max, b.cpu_ns_max),
                .memory_bytes_max = lower(a.memory_bytes_max, b.memory_bytes_max),
                .fuel_max = lower(a.fuel_max, b.fuel_max),
                .output_bytes_max = lower(a.output_bytes_max, b.output_bytes_max),
        };
}

void mv_context_give(struct mv_context *c, const struct mv_limits *limits)
{
        static const struct mv_limits most[MV_LEVEL_MAX_] = {
                [MV_LEVEL_PURE] = { .wall_ns_max = MV_GIVEN_WALL_NS_MAX,
                                    .memory_bytes_max = MV_GIVEN_MEMORY_BYTES_MAX },
                [MV_LEVEL_CONTROLLED] = { .wall_ns_max = MV_GIVEN_WALL_NS_MAX,
                                          .memory_bytes_max = MV_GIVEN_MEMORY_BYTES_MAX },
        };
        if (!c || !limits)
                return;
        struct mv_limits given = mv_limits_min(*limits, most[c->level]);
        if (limits->wall_ns_max)
                c->limits.wall_ns_max = given.wall_ns_max;
        if (limits->memory_bytes_max)
                c->limits.memory_bytes_max = given.memory_bytes_max;
        mv_context_limit(c, limits);
}

void mv_context_limit(struct mv_context *c, const struct mv_limits *limits)
{
        if (c && limits)
                c->limits = mv_limits_min(c->limits, *limits); /* (2) */
}

const char *mv_spending_name(enum mv_spending what)
{
        static const char *const names[MV_SPEND_MAX_] = {
                "calls", "egress bytes", "written bytes", "tokens", "millionths of a US dollar",
                "steps", "milliseconds"
        };
        return what < MV_SPEND_MAX_ ? names[what] : "unknown spending";
}

const char *mv_exhausted_name(enum mv_exhausted e)
{
        static const char *const names[MV_EXHAUSTED_MAX_] = { "hard-stop", "approval-required",
                                                              "soft-warn" };
        return e < MV_EXHAUSTED_MAX_ ? names[e] : "unknown policy";
}

static uint64_t least(uint64_t a, uint64_t b)
{
        return a < b ? a : b;
}

/* (2). Of two that ask, the lower budget is extended by the smaller amount, by more people and sooner. */
void mv__budget_join(struct mv_budget_kept *to, const struct mv_budget_kept *from)
{
        for (size_t i = 0; i < MV_SPEND_MAX_; i++) {
                if (from->ask[i] != MV_SPEND_ANY)
                        to->extension[i] = lower(to->extension[i], from->extension[i]);
                to->max[i] = least(to->max[i], from->max[i]);
                to->ask[i] = least(to->ask[i], from->ask[i]);
                to->soft[i] = least(to->soft[i], from->soft[i]);
                to->warn[i] = lower(to->warn[i], from->warn[i]);
        }
        if (from->approvals > to->approvals)
                to->approvals = from->approvals;
        to->timeout_ms = lower(to->timeout_ms, from->timeout_ms);
}

bool mv__budget_ends(const struct mv_budget_kept *b, enum mv_spending what)
{
        return b->max[what] != MV_SPEND_ANY || b->ask[what] != MV_SPEND_ANY ||
               b->soft[what] != MV_SPEND_ANY;
}

/* By what happens at its end; with what was not said filled in, so that joining compares numbers. */
static void take_kind(const struct mv_budget *b, size_t i, struct mv_budget_kept *ret)
{
        ret->max[i] = ret->ask[i] = ret->soft[i] = MV_SPEND_ANY;
        ret->warn[i] = b->warn[i];
        if (b->exhausted[i] == MV_EXHAUSTED_GO_ON) {
                ret->soft[i] = b->max[i];
        } else if (b->exhausted[i] == MV_EXHAUSTED_ASK && b->max[i] != MV_SPEND_ANY) {
                ret->ask[i] = b->max[i];
                ret->extension[i] = b->extension[i] ? b->extension[i] : b->max[i];
                ret->extension[i] = ret->extension[i] ? ret->extension[i] : 1;
                ret->approvals = b->approvals ? b->approvals : 1;
                ret->timeout_ms = b->timeout_ms ? b->timeout_ms : APPROVAL_MS_ELSE;
        } else { /* a policy that is none stops */
                ret->max[i] = b->max[i];
        }
}

void mv_context_budget(struct mv_context *c, const struct mv_budget *budget)
{
        struct mv_budget_kept kept = { .approvals = 0 };
        for (size_t i = 0; i < MV_SPEND_MAX_; i++)
                take_kind(budget, i, &kept);
        if (kept.approvals > APPROVALS_MAX)
                kept.approvals = APPROVALS_MAX;
        kept.timeout_ms = least(kept.timeout_ms, APPROVAL_MS_MAX);
        if (c)
                mv__budget_join(&c->budget, &kept);
}

enum mv_level mv_context_level(const struct mv_context *c)
{
        return c ? c->level : MV_LEVEL_PURE;
}

bool mv_context_allows(const struct mv_context *c, const char *capability)
{
        if (!capability || mv_context_level(c) == MV_LEVEL_PURE)
                return false;
        const char *id = capability[0] == ':' ? capability + 1 : capability;
        if (mv__id_check(mv_slice_str(id), false))
                return false;
        return c->level == MV_LEVEL_FULL || mv__grants_cover(&c->capabilities, id);
}

static const char *const isolated_files[] = {
        "ccos.io.open-file",   "ccos.io.read-line",        "ccos.io.write-line",
        "ccos.io.close-file",  "ccos.io.read-file",        "ccos.io.write-file",
        "ccos.io.delete-file", "ccos.io.file-exists",      "ccos.io.mkdir",
        "ccos.io.list-dir",    "ccos.io.read-file-base64", "ccos.io.write-file-base64",
};

static bool is_isolated_file(const char *id)
{
        for (size_t i = 0; i < sizeof isolated_files / sizeof *isolated_files; i++)
                if (strcmp(isolated_files[i], id) == 0)
                        return true;
        return false;
}

bool mv_context_requires_microvm(const struct mv_context *c, const char *capability)
{
        if (!c || !capability)
                return false;
        /* Full permission is not the absence of isolation: level full asks for the wall whatever
         * its flag says. */
        if (!c->use_microvm && c->level != MV_LEVEL_FULL)
                return false;
        return is_isolated_file(capability) || strcmp(capability, "ccos.network.http-fetch") == 0 ||
               strcmp(capability, "ccos.system.get-env") == 0;
}

static bool allows_files(const struct mv_context *c)
{
        for (size_t i = 0; i < sizeof isolated_files / sizeof *isolated_files; i++)
                if (mv_context_allows(c, isolated_files[i]))
                        return true;
        return false;
}

int mv_context_validate(const struct mv_context *c, struct mv_err *err)
{
        if (!c)
                return 0;
        if (c->limits.wall_ns_max > MV_GIVEN_WALL_NS_MAX)
                return mv_fail(err, MV_E_INVALID, 0, "Execution time limit too high");
        if (c->limits.memory_bytes_max > MV_GIVEN_MEMORY_BYTES_MAX)
                return mv_fail(err, MV_E_INVALID, 0, "Memory limit too high");
        if (c->level == MV_LEVEL_FULL || c->use_microvm)
                return 0;
        if (allows_files(c))
                return mv_fail(err, MV_E_INVALID, 0, "File operations require microVM execution");
        if (mv_context_allows(c, "ccos.network.http-fetch"))
                return mv_fail(err, MV_E_INVALID, 0,
                               "Network operations require microVM execution");
        return 0;
}
