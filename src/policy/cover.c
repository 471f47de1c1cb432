/* SPDX-License-Identifier: Apache-2.0 */
/* Does what one context grants cover what another one asks for, and what do both grant (REQ-CFG-09). */
#include <policy/cover.h>
#include <policy/policy.h>
#include <security/grants.h>
#include <security/terms.h>
#include <security/lexical.h>

struct mv_grant_list *mv__grant_list(struct mv_context *c, enum mv_grant_kind kind)
{
        struct mv_grant_list *lists[MV_GRANT_KINDS] = { &c->capabilities, &c->reads,
                                                        &c->writes,       &c->hosts,
                                                        &c->hosts_denied, &c->env };
        return lists[kind];
}

void mv__grants_clear(struct mv_context *c, enum mv_grant_kind kind)
{
        mv__grants_done(mv__grant_list(c, kind));
}

int mv__grant(struct mv_context *c, enum mv_grant_kind kind, const char *text, struct mv_err *err)
{
        static int (*const grants[MV_GRANT_KINDS])(struct mv_context *, const char *,
                                                   struct mv_err *) = {
                [MV_GRANT_CAPABILITY] = mv_context_allow,
                [MV_GRANT_READ] = mv_context_allow_read,
                [MV_GRANT_WRITE] = mv_context_allow_write,
                [MV_GRANT_HOST] = mv_context_allow_host,
                [MV_GRANT_DENY_HOST] = mv_context_deny_host,
                [MV_GRANT_ENV] = mv_context_allow_env,
        };
        return grants[kind](c, text, err);
}

/* --- does a wider grant cover a narrower one? ------------------------------------------------- */
static bool path_covered(const struct mv_context *c, const char *path, bool write)
{
        struct mv_decision d;
        struct mv_slice root;
        return mv_policy_path(c, mv_slice_str(path), write, "", &d, &root) >= 0;
}

/* NAME covers NAME:PORT, *.name covers what ends in .name, also *.more.name. */
static bool host_covered(const struct mv_context *c, const char *text)
{
        char whole[MV_HOST_TEXT_BYTES + 16], host[MV_HOST_TEXT_BYTES + 16],
                wild[MV_HOST_TEXT_BYTES + 32];
        if (mv__host_grant_check(mv_slice_str(text), whole))
                return false;
        if (mv__grants_find(&c->hosts, whole) >= 0)
                return true;
        mv_fmt(host, sizeof host, "%s", whole);
        char *colon = strrchr(host, ':');
        const char *port = "";
        if (colon && (host[0] == '[' ||
                      strchr(host, ':') == colon)) { /* an IPv6 address alone has no port */
                port = whole + (colon - host);
                *colon = '\0';
                size_t n = strlen(host);
                if (host[0] == '[') {
                        memmove(host, host + 1, n);
                        host[n - 2] = '\0';
                }
        }
        if (mv__grants_find(&c->hosts, host) >= 0)
                return true;
        struct mv_host_name name;
        const char *bare = strncmp(host, "*.", 2) == 0 ? host + 1 : host;
        if (bare == host && (mv__host_check(mv_slice_str(host), &name) || name.is_ip))
                return false;
        for (const char *dot = strchr(bare == host ? host : bare + 1, '.'); dot;
             dot = strchr(dot + 1, '.')) {
                mv_fmt(wild, sizeof wild, "*%s", dot);
                if (mv__grants_find(&c->hosts, wild) >= 0)
                        return true;
                mv_fmt(wild, sizeof wild, "*%s%s", dot, port);
                if (port[0] && mv__grants_find(&c->hosts, wild) >= 0)
                        return true;
        }
        return false;
}

/* The host's value is covered by NAME only; a value of one's own by NAME too, or by the same
 * literal. */
static bool env_covered(const struct mv_context *c, const char *text)
{
        size_t n = strcspn(text, "=");
        struct mv_decision d;
        const char *value = NULL;
        if (!mv_policy_env(c, mv_slice(text, n), "", &d, &value))
                return false;
        return !value || (text[n] == '=' && strcmp(value, text + n + 1) == 0);
}

bool mv_grant_covered(const struct mv_context *c, enum mv_grant_kind kind, const char *text)
{
        if (kind == MV_GRANT_DENY_HOST || mv_context_level(c) == MV_LEVEL_FULL)
                return true;
        if (mv_context_level(c) == MV_LEVEL_PURE)
                return false;
        if (kind == MV_GRANT_CAPABILITY)
                return mv__grants_cover(&c->capabilities, text[0] == ':' ? text + 1 : text) != NULL;
        if (kind == MV_GRANT_READ || kind == MV_GRANT_WRITE)
                return path_covered(c, text, kind == MV_GRANT_WRITE);
        return kind == MV_GRANT_HOST ? host_covered(c, text) : env_covered(c, text);
}

/* --- the narrower contexts of single capabilities --------------------------------------------- */
/* What both grant: each entry of one that the other covers. */
static int covered_part(struct mv_context *to, const struct mv_context *a,
                        const struct mv_context *b, enum mv_grant_kind kind, struct mv_err *err)
{
        const struct mv_grant_list *l = mv__grant_list((struct mv_context *)a, kind);
        int r = 0;
        for (uint32_t i = 0; r == 0 && i < l->count; i++)
                if (mv_grant_covered(b, kind, l->items[i]))
                        r = mv__grant(to, kind, l->items[i], err);
        return r;
}

int mv__intersect_kind(struct mv_context *to, const struct mv_context *a,
                       const struct mv_context *b, enum mv_grant_kind kind, struct mv_err *err)
{
        mv__grants_clear(to, kind);
        int r = covered_part(to, a, b, kind, err);
        return r < 0 ? r : covered_part(to, b, a, kind, err);
}

int mv__take_narrowing(struct mv_context *to, const struct mv_narrowing *n, struct mv_err *err)
{
        const struct mv_context *now = mv_context_for(to, n->capability);
        struct mv_context *both = mv_context_new(mv_context_level(to));
        int r = both ? 0 : mv_fail(err, MV_E_NOMEM, 0, "context");
        for (enum mv_grant_kind kind = 0;
             r == 0 && mv_context_level(to) != MV_LEVEL_PURE && kind < MV_GRANT_KINDS; kind++) {
                r = mv__intersect_kind(both, now, n->context, kind, err);
        }
        if (r < 0) {
                mv_context_free(both);
                return r;
        }
        both->limits = mv_limits_min(now->limits, n->context->limits);
        if (!mv__terms_join(both, now) || !mv__terms_join(both, n->context)) {
                mv_context_free(both);
                return mv_fail(err, MV_E_NOMEM, 0, "context");
        }
        return mv_context_narrow(to, n->capability, both, err);
}
