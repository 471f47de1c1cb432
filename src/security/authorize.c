/* SPDX-License-Identifier: Apache-2.0 */
/* The one authoriser (REQ-AUTH-01..05, -07, -10, -12, -18). Every capability passes here, whatever executes it.
 * (1) Deciding reads the context and nothing else; the result is written whole.
 * (2) Permissions in a decision are information for the record; only grants allow (REQ-AUTH-04).
 * (3) An id is compared whole: one that does not fit a decision is refused, never cut. */
#include <security/effects.h>
#include <security/grants.h>
#include <security/lexical.h>

const char *mv__grants_cover(const struct mv_grant_list *l, const char *id)
{
        int64_t at = mv__grants_find(l, id);
        char glob[MV_CAPABILITY_ID_MAX + 3];
        for (size_t n = strlen(id); at < 0 && n > 0; n--) {
                if (id[n - 1] != '.')
                        continue;
                mv_fmt(glob, sizeof glob, "%.*s*", (int)n, id);
                at = mv__grants_find(l, glob);
        }
        return at < 0 ? NULL : l->items[at];
}

void mv__decision_permission(struct mv_decision *d, const char *permission)
{
        for (uint32_t i = 0; i < d->permissions_count; i++)
                if (strcmp(d->permissions[i], permission) == 0)
                        return;
        if (d->permissions_count < MV_PERMISSIONS_MAX)
                mv_fmt_text(d->permissions[d->permissions_count++], sizeof d->permissions[0],
                            permission);
}

void mv_decision_text(const struct mv_decision *d, char *buf, size_t cap)
{
        mv_fmt(buf, cap,
               "Security violation: %s operation on capability '%s' not allowed in context: %s",
               d->operation, d->capability, d->context);
}

void mv_decision_none(struct mv_decision *d)
{
        d->allowed = false;
        d->rule[0] = d->operation[0] = d->capability[0] = d->context[0] = d->hint[0] = '\0';
        d->permissions_count = 0;
}

void mv_decision_copy(struct mv_decision *to, const struct mv_decision *from)
{
        memcpy(to, from,
               offsetof(struct mv_decision, permissions) +
                       from->permissions_count * sizeof from->permissions[0]);
        to->permissions_count = from->permissions_count;
}

static void begin(struct mv_decision *d, const char *operation, const char *capability)
{
        mv_decision_none(d);
        mv_fmt_text(d->operation, sizeof d->operation, operation);
        mv__show(d->capability, sizeof d->capability, mv_slice_str(capability));
}

/* Does the context grant this id? Fills rule, and on a denial the hint. */
static bool granted(const struct mv_context *c, const char *id, struct mv_decision *d)
{
        enum mv_level level = mv_context_level(c);
        const char *bad = mv__id_check(mv_slice_str(id), false);
        const char *grant = !bad && level == MV_LEVEL_CONTROLLED
                                    ? mv__grants_cover(&c->capabilities, id)
                                    : NULL;
        if (bad) {
                mv_fmt(d->rule, sizeof d->rule, "not a capability id");
        } else if (level == MV_LEVEL_PURE) {
                mv_fmt(d->rule, sizeof d->rule, "level pure");
                mv_fmt(d->hint, sizeof d->hint, "--level controlled --allow %s", id);
        } else if (level == MV_LEVEL_FULL) {
                mv_fmt(d->rule, sizeof d->rule, "level full");
        } else if (!grant) {
                mv_fmt(d->rule, sizeof d->rule, "no grant");
                mv_fmt(d->hint, sizeof d->hint, "--allow %s", id);
        } else {
                size_t n = mv_fmt_text(d->rule, sizeof d->rule, "grant ");
                mv_fmt_text(d->rule + n, sizeof d->rule - n, grant);
        }
        return !bad && (grant || level == MV_LEVEL_FULL);
}

/* --- capabilities ----------------------------------------------------------------------------- */

enum derive_when { WHEN_ALWAYS, WHEN_FILE_ARGUMENT };
static const struct derived {
        const char *id, *permission;
        enum derive_when when;
} derived[] = {
        { "ccos.network.http-fetch", "ccos.network.outbound", WHEN_ALWAYS },
        { "ccos.io.open-file", "ccos.io.file-access", WHEN_FILE_ARGUMENT },
        { "ccos.io.read-line", "ccos.io.file-access", WHEN_FILE_ARGUMENT },
        { "ccos.io.write-line", "ccos.io.file-access", WHEN_FILE_ARGUMENT },
        { "ccos.io.close-file", "ccos.io.file-access", WHEN_FILE_ARGUMENT },
        { "ccos.system.get-env", "ccos.system.environment", WHEN_ALWAYS },
};

/* A path, or the handle that stands for one. */
static bool names_a_file(const struct mv_value *args, uint32_t args_count)
{
        return args_count > 0 && (args[0].kind == MV_STRING || args[0].kind == MV_INT);
}

static void derive(const char *id, const struct mv_capability *cap, bool file_argument,
                   struct mv_decision *d)
{
        for (size_t i = 0; i < sizeof derived / sizeof *derived; i++) {
                if (strcmp(derived[i].id, id) != 0)
                        continue;
                if (derived[i].when == WHEN_ALWAYS || file_argument)
                        mv__decision_permission(d, derived[i].permission);
                return;
        }
        if (cap && cap->permission)
                mv__decision_permission(d, cap->permission);
}

void mv_authorize_capability(const struct mv_context *c, const char *id,
                             const struct mv_capability *cap, const struct mv_value *args,
                             uint32_t args_count, struct mv_decision *ret)
{
        if (!id)
                id = "";
        begin(ret, "capability_authorization", id);
        ret->allowed = granted(c, id, ret);
        if (!ret->allowed)
                mv_fmt(ret->context, sizeof ret->context,
                       "Capability '%s' not allowed by runtime context", ret->capability);
        mv__decision_permission(ret, ret->capability);
        derive(id, cap, names_a_file(args, args_count), ret);
        mv__effects_decide(c, id, cap ? cap->effects : 0, ret);
}

/* --- programs --------------------------------------------------------------------------------- */

/* A script needs the same grant as an external program: its interpreter is one. */
static const struct program_rule {
        const char *permission, *operation, *context;
} program_rules[] = {
        [MV_PROGRAM_CLASS_RTFS] = { NULL, NULL, NULL },
        [MV_PROGRAM_CLASS_NATIVE] = { "native_function", "native_function_authorization",
                                      "Native function execution not permitted" },
        [MV_PROGRAM_CLASS_EXTERNAL] = { "external_program", "external_program_authorization",
                                        "External program execution not permitted" },
        [MV_PROGRAM_CLASS_SCRIPT] = { "external_program", "external_program_authorization",
                                      "External program execution not permitted" },
};

void mv_authorize_program(const struct mv_context *c, enum mv_program_class k,
                          const char *capability, struct mv_decision *ret)
{
        begin(ret, "program_authorization", capability ? capability : "");
        const struct program_rule *rule = &program_rules[k];
        mv_fmt(ret->rule, sizeof ret->rule, "program without a capability");
        ret->allowed = !capability || granted(c, capability, ret);
        if (!ret->allowed)
                mv_fmt(ret->context, sizeof ret->context,
                       "Capability '%s' not allowed for program execution", ret->capability);
        if (capability)
                mv__decision_permission(ret, ret->capability);
        if (ret->allowed && rule->permission) {
                ret->allowed = granted(c, rule->permission, ret);
                mv_fmt(ret->operation, sizeof ret->operation, "%s", rule->operation);
                mv_fmt(ret->capability, sizeof ret->capability, "%s", rule->permission);
                if (!ret->allowed)
                        mv_fmt(ret->context, sizeof ret->context, "%s", rule->context);
        }
        if (rule->permission)
                mv__decision_permission(ret, rule->permission);
}

/* --- the token -------------------------------------------------------------------------------- */

/* ["a", "b"]; what does not fit ends in , ...] */
static void list_text(char *buf, size_t cap, const char *const *items, uint32_t count)
{
        char shown[MV_CAPABILITY_ID_MAX + 1];
        size_t len = mv_fmt(buf, cap, "[");
        for (uint32_t i = 0; i < count; i++) {
                mv__show(shown, sizeof shown, mv_slice_str(items[i]));
                if (len + strlen(shown) + sizeof ", \"\", ...]" > cap) {
                        mv_fmt(buf + len, cap - len, "%s...]", i ? ", " : "");
                        return;
                }
                len += mv_fmt(buf + len, cap - len, "%s\"%s\"", i ? ", " : "", shown);
        }
        mv_fmt(buf + len, cap - len, "]");
}

static bool token_holds(const char *capability, const char *const *permissions, uint32_t count)
{
        for (uint32_t i = 0; i < count; i++)
                if (permissions[i] && strcmp(permissions[i], capability) == 0)
                        return true;
        return false;
}

void mv_token_check(const char *operation, const char *capability, const char *const *permissions,
                    uint32_t count, struct mv_decision *ret)
{
        begin(ret, operation, capability ? capability : "");
        char list[160];
        list_text(list, sizeof list, permissions, count);
        ret->allowed = !capability || token_holds(capability, permissions, count);
        mv_fmt(ret->rule, sizeof ret->rule, "%s",
               !capability    ? "no capability named"
               : ret->allowed ? "token"
                              : "not in the token");
        if (capability)
                mv__decision_permission(ret, ret->capability);
        if (!ret->allowed && strcmp(operation, "execution_context_validation") == 0) {
                char shown[60];
                mv__show(shown, sizeof shown, mv_slice_str(capability));
                mv_fmt(ret->context, sizeof ret->context,
                       "Required permission '%s' not in execution context permissions: %s", shown,
                       list);
        } else if (!ret->allowed) {
                mv_fmt(ret->context, sizeof ret->context,
                       "Boundary validation failed - capability not in permissions: %s", list);
        }
        if (!ret->allowed && !mv__id_check(mv_slice_str(capability), false))
                mv_fmt(ret->hint, sizeof ret->hint, "--allow %s", capability);
}
