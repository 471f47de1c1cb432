/* SPDX-License-Identifier: Apache-2.0 */
/* Paths and variables (REQ-FS-01, -02 lexical part; REQ-AUTH-13).
 * (1) A grant covers its own path and what is below it, component by component: /tmp does not cover /tmpevil.
 * (2) A path with "..", "." or empty components has no decision but refusal. Links are the kernel's half (openat2). */
#include <policy/policy.h>
#include <policy/profile.h>
#include <security/grants.h>
#include <security/lexical.h>

/* Nothing decided yet; texts end at their NUL, so nothing else is zeroed. */
static void begin(struct mv_decision *d, const char *operation, const char *capability,
                  const char *permission)
{
        mv_decision_none(d);
        mv_fmt(d->operation, sizeof d->operation, "%s", operation);
        mv__show(d->capability, sizeof d->capability, mv_slice_str(capability));
        mv__decision_permission(d, d->capability);
        mv__decision_permission(d, permission);
}

/* The most specific root in the list that covers the path, which has no trailing slash: its
 * index, or -1. */
static int64_t root_of(const struct mv_grant_list *l, struct mv_slice path)
{
        char prefix[4096];
        size_t n = path.len;
        if (l->count == 0 || n == 0 || n >= sizeof prefix)
                return -1;
        memcpy(prefix, path.p, n);
        for (;;) {
                prefix[n] = '\0';
                const char *before = mv__grants_before(l, prefix);
                if (!before)
                        return -1;
                /* Whatever covers the path sorts before it, and is no longer than what both begin with. */
                size_t common = 0;
                while (common < n && before[common] == prefix[common])
                        common++;
                bool whole = before[common] == '\0';
                if (whole && (common == n || prefix[common] == '/' || common == 1))
                        return mv__grants_find(l, before);
                /* An entry that begins the name of a sibling does not cover it: go on above the last slash. */
                while (common > 0 && prefix[common] != '/')
                        common--;
                if (common == 0)
                        return mv__grants_find(l, "/");
                n = common;
        }
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

static bool is_plain(uint8_t c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c >= 0x80 || (c && strchr("/._-+,:=@%", c));
}

/* As one word of a shell: a program chooses the path, and the hint is there to be copied. False: it does not fit. */
static bool as_word(struct mv_slice path, char *buf, size_t cap)
{
        struct mv_out o = mv_out((uint8_t *)buf, cap - 1);
        bool plain = true;
        for (size_t i = 0; plain && i < path.len; i++)
                plain = is_plain(path.p[i]);
        if (!plain)
                mv_put_u8(&o, '\'');
        for (size_t i = 0; i < path.len; i++)
                if (path.p[i] == '\'')
                        mv_put_str(&o, "'\\''");
                else
                        mv_put_u8(&o, path.p[i]);
        if (!plain)
                mv_put_u8(&o, '\'');
        buf[o.overflow ? 0 : o.len] = '\0';
        return !o.overflow;
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
        char whole[160], word[160];
        mv__show(whole, sizeof whole, path);
        bool fits = mv_slice_eq_str(path, whole) && /* a cut path would be another, wider grant */
                    as_word(path, word, sizeof word);
        mv_fmt(d->hint, sizeof d->hint, "%s%s %s", level, option,
               fits ? word : "PATH (the path asked for)");
}

int mv_policy_path(const struct mv_context *c, struct mv_slice path, bool write,
                   const char *capability, struct mv_decision *ret, struct mv_slice *ret_root)
{
        begin(ret, "filesystem", capability, "ccos.io.file-access");
        enum mv_level level = mv_context_level(c);
        const char *reason = mv__path_check(path);
        struct root root = { NULL, NULL, -1 };
        if (!reason && path.len > 1 && path.p[path.len - 1] == '/')
                path.len--;
        if (!reason && level == MV_LEVEL_FULL)
                root = (struct root){ "", "/", 0 };
        else if (!reason && level == MV_LEVEL_CONTROLLED)
                root = find_root(c, path, write);
        ret->allowed = root.index >= 0;
        if (!ret->allowed)
                deny_path(c, path, write, reason, ret);
        else if (level == MV_LEVEL_FULL)
                mv_fmt(ret->rule, sizeof ret->rule, "level full");
        else
                mv_fmt(ret->rule, sizeof ret->rule, "grant %s %.70s", root.list, root.text);
        struct mv_slice from = mv_slice_str(ret->allowed ? root.text : "");
        mv_profile_path(c ? c->steps : NULL, path, write, ret, &from);
        if (ret->allowed)
                *ret_root = from;
        return ret->allowed ? (int)root.index : -1;
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
        begin(ret, "environment", capability, "ccos.system.environment");
        enum mv_level level = mv_context_level(c);
        const char *reason = mv__env_name_check(name), *value = NULL;
        char shown[132];
        mv__show(shown, sizeof shown, name);
        bool named = !reason && level != MV_LEVEL_PURE && env_grant(c, shown, &value);
        ret->allowed = !reason && (named || level == MV_LEVEL_FULL);
        if (ret->allowed && named)
                mv_fmt(ret->rule, sizeof ret->rule, "grant env %.80s", shown);
        else if (ret->allowed)
                mv_fmt(ret->rule, sizeof ret->rule, "level full");
        else
                mv_fmt(ret->rule, sizeof ret->rule, "%s",
                       reason ? "not a variable name" : "variable not granted");
        if (!ret->allowed)
                mv_fmt(ret->context, sizeof ret->context,
                       "Environment variable '%.100s' not allowed by policy", shown);
        if (!ret->allowed && !reason)
                mv_fmt(ret->hint, sizeof ret->hint, "%s--env %s",
                       level == MV_LEVEL_PURE ? "--level controlled " : "", shown);
        if (ret->allowed)
                *ret_value = value;
        return ret->allowed;
}
