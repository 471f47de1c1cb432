/* SPDX-License-Identifier: Apache-2.0 */
/* Paths and variables (REQ-FS-01, -02 lexical part; REQ-AUTH-13).
 * (1) A grant covers its own path and what is below it, component by component: /tmp does not cover /tmpevil.
 * (2) A path with "..", "." or empty components has no decision but refusal. Links are the kernel's half (openat2). */
#include <policy/policy.h>
#include <policy/profile.h>
#include <security/grants.h>
#include <security/lexical.h>

static struct mv_decision decision(const char *operation, const char *capability,
                                   const char *permission)
{
        struct mv_decision d = { .allowed = false };
        mv_fmt(d.operation, sizeof d.operation, "%s", operation);
        mv__show(d.capability, sizeof d.capability, mv_slice_str(capability));
        mv__decision_permission(&d, d.capability);
        mv__decision_permission(&d, permission);
        return d;
}

/* The most specific root in the list that covers the path, which has no trailing slash: its
 * index, or -1. */
static int64_t root_of(const struct mv_grant_list *l, struct mv_slice path)
{
        char prefix[4096];
        if (l->count == 0 || path.len >= sizeof prefix)
                return -1;
        memcpy(prefix, path.p, path.len);
        for (size_t n = path.len; n > 0; n--) {
                if (n < path.len && path.p[n] != '/' && n != 1)
                        continue;
                prefix[n] = '\0';
                int64_t at = mv__grants_find(l, prefix);
                if (at >= 0)
                        return at;
        }
        return -1;
}

int64_t mv__path_entry(const struct mv_grant_list *l, struct mv_slice path)
{
        return root_of(l, path);
}

struct root {
        const char *list; /* "write" or "read" */
        const char *text;
        int64_t index; /* writes first, then reads */
};

static struct root find_root(const struct mv_context *c, struct mv_slice path, bool write)
{
        int64_t w = root_of(&c->writes, path);
        int64_t r = write ? -1 : root_of(&c->reads, path);
        bool take_read =
                r >= 0 && (w < 0 || strlen(c->reads.items[r]) > strlen(c->writes.items[w]));
        if (take_read)
                return (struct root){ "read", c->reads.items[r], (int64_t)c->writes.count + r };
        if (w >= 0)
                return (struct root){ "write", c->writes.items[w], w };
        return (struct root){ NULL, NULL, -1 };
}

static void deny_path(const struct mv_context *c, struct mv_slice path, bool write,
                      const char *reason, struct mv_decision *d)
{
        if (path.len == 0) {
                mv_fmt(d->rule, sizeof d->rule, "no path");
                mv_fmt(d->context, sizeof d->context, "%s", reason);
                return;
        }
        char shown[200];
        mv_fmt(d->rule, sizeof d->rule, "%s", reason ? reason : "path not granted");
        mv__show(shown, reason ? 140 : sizeof shown, path);
        mv_fmt(d->context, sizeof d->context, "Path not allowed by policy (write=%s): %s%s%s%s",
               write ? "true" : "false", shown, reason ? " (" : "", reason ? reason : "",
               reason ? ")" : "");
        if (reason)
                return; /* no grant admits this spelling */
        const char *level = mv_context_level(c) == MV_LEVEL_PURE ? "--level controlled " : "";
        const char *option = write ? "--allow-write" : "--allow-read";
        char whole[160];
        mv__show(whole, sizeof whole, path);
        bool fits = mv_slice_eq_str(path, whole); /* a cut path would be another, wider grant */
        mv_fmt(d->hint, sizeof d->hint, "%s%s %s", level, option,
               fits ? whole : "PATH (the path asked for)");
}

int mv_policy_path(const struct mv_context *c, struct mv_slice path, bool write,
                   const char *capability, struct mv_decision *ret, struct mv_slice *ret_root)
{
        struct mv_decision d = decision("filesystem", capability, "ccos.io.file-access");
        enum mv_level level = mv_context_level(c);
        const char *reason = mv__path_check(path);
        struct root root = { NULL, NULL, -1 };
        if (!reason && path.len > 1 && path.p[path.len - 1] == '/')
                path.len--;
        if (!reason && level == MV_LEVEL_FULL)
                root = (struct root){ "", "/", 0 };
        else if (!reason && level == MV_LEVEL_CONTROLLED)
                root = find_root(c, path, write);
        d.allowed = root.index >= 0;
        if (!d.allowed)
                deny_path(c, path, write, reason, &d);
        else if (level == MV_LEVEL_FULL)
                mv_fmt(d.rule, sizeof d.rule, "level full");
        else
                mv_fmt(d.rule, sizeof d.rule, "grant %s %.70s", root.list, root.text);
        struct mv_slice from = mv_slice_str(d.allowed ? root.text : "");
        mv_profile_path(c ? c->steps : NULL, path, write, &d, &from);
        if (d.allowed)
                *ret_root = from;
        *ret = d;
        return d.allowed ? (int)root.index : -1;
}

/* --- environment ------------------------------------------------------------------------------ */

static const char *env_grant(const struct mv_context *c, const char *name, const char **ret_value)
{
        char key[132];
        size_t n = mv_fmt(key, sizeof key, "%s=", name);
        const char *literal = mv__grants_find_prefix(&c->env, key);
        *ret_value = literal ? literal + n : NULL;
        if (literal)
                return literal;
        int64_t at = mv__grants_find(&c->env, name);
        return at >= 0 ? c->env.items[at] : NULL;
}

bool mv_policy_env(const struct mv_context *c, struct mv_slice name, const char *capability,
                   struct mv_decision *ret, const char **ret_value)
{
        struct mv_decision d = decision("environment", capability, "ccos.system.environment");
        enum mv_level level = mv_context_level(c);
        const char *reason = mv__env_name_check(name), *value = NULL;
        char shown[132];
        mv__show(shown, sizeof shown, name);
        bool named = !reason && level != MV_LEVEL_PURE && env_grant(c, shown, &value);
        d.allowed = !reason && (named || level == MV_LEVEL_FULL);
        if (d.allowed && named)
                mv_fmt(d.rule, sizeof d.rule, "grant env %.80s", shown);
        else if (d.allowed)
                mv_fmt(d.rule, sizeof d.rule, "level full");
        else
                mv_fmt(d.rule, sizeof d.rule, "%s",
                       reason ? "not a variable name" : "variable not granted");
        if (!d.allowed)
                mv_fmt(d.context, sizeof d.context,
                       "Environment variable '%.100s' not allowed by policy", shown);
        if (!d.allowed && !reason)
                mv_fmt(d.hint, sizeof d.hint, "%s--env %s",
                       level == MV_LEVEL_PURE ? "--level controlled " : "", shown);
        if (d.allowed)
                *ret_value = value;
        *ret = d;
        return d.allowed;
}
