/* SPDX-License-Identifier: Apache-2.0 */
/* --agent FILE: a program is run as the agent that the file describes. What it may do is decided in config/context.c; here
 * is what needs a host, a program, or somebody to tell. */
#include <audit/audit.h>
#include <base/err.h>
#include <cli/policy.h>
#include <errno.h>
#include <host/host.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <wire/text.h>

int cli_directory_of(const char *path, char *ret, struct mv_err *err)
{
        if (!realpath(path, ret))
                return mv_fail(err, MV_E_SYS, errno, "%s", path);
        char *slash = strrchr(ret, '/');
        slash[slash == ret] = '\0';
        return 0;
}

int cli_agent_load(const char *path, struct cli_policy *p, struct mv_err *err)
{
        char directory[PATH_MAX];
        struct mv_agent_place place = { .name = path, .directory = directory };
        int r = mv_agent_load(path, NULL, &p->agent, err);
        if (r < 0)
                return r;
        r = p->agent.valid ? cli_directory_of(path, directory, err)
                           : mv__first_error(&p->agent.diagnostics, path, err);
        if (r == 0)
                r = mv_agent_grants(&p->agent, &place, &p->grants, err);
        if (r < 0) {
                mv_agent_done(&p->agent);
                return r;
        }
        p->has_agent = true;
        return 0;
}

/* --- what is not given ------------------------------------------------------------------------ */
/* A key that nobody knows grants nothing, though somebody may think it does. */
static void print_warnings(const struct cli_policy *p)
{
        const struct mv_diagnostics *d = &p->agent.diagnostics;
        for (uint32_t i = 0; i < d->count; i++)
                if (strcmp(d->items[i].code, "UNKNOWN_KEY") == 0 ||
                    strcmp(d->items[i].code, "DUPLICATE_KEY") == 0)
                        fprintf(stderr, "warning: %s:%u:%u: %s\n", p->grants.name, d->items[i].line,
                                d->items[i].column, d->items[i].message);
}

static void print_notes(const struct mv_agent_grants *g)
{
        for (uint32_t i = 0; i < g->notes_count; i++)
                fprintf(stderr, "note: %s:%u:%u: %s: %s\n", g->name, g->notes[i].line,
                        g->notes[i].column, g->notes[i].path, g->notes[i].text);
}

/* --- who must agree --------------------------------------------------------------------------- */
/* Calls wait for approvals by the rules of the context; what an external program does is no call. */
static int check_approvals(const struct mv_agent_grants *g, const struct mv_execution *x,
                           struct mv_err *err)
{
        const struct mv_governance_policy *p = g->policy;
        if (!mv__program_is_foreign(x->program.kind) || !p || p->requires_approvals.integer == 0)
                return 0;
        return mv_fail(err, MV_E_DENIED, 0,
                       "%s:%u:%u: governance.policies.%.*s.requires_approvals is %lld, and nobody "
                       "can be asked about what an external program does; 0 allows it",
                       g->name, p->at.line, p->at.column, MV_SARG(p->at.name),
                       (long long)p->requires_approvals.integer);
}

/* --- the program ------------------------------------------------------------------------------ */
/* attestation.expect_agent_hash is of the program that is run. */
static int check_digest(const struct cli_policy *p, const struct mv_execution *x,
                        struct mv_err *err)
{
        const struct mv_attestation *a = &p->agent.config.microvm.attestation;
        uint8_t digest[MV_DIGEST_BYTES];
        char text[2 * MV_DIGEST_BYTES + 8] = "sha256:";
        if (!a->enabled.boolean || a->expect_agent_hash.text.len == 0)
                return 0;
        mv_sha256(x->program.bytes, digest);
        for (size_t i = 0; i < sizeof digest; i++)
                mv_fmt(text + 7 + 2 * i, 3, "%02x", digest[i]);
        if (x->program.bytes.p && a->expect_agent_hash.text.len == strlen(text) &&
            strncasecmp((const char *)a->expect_agent_hash.text.p, text, strlen(text)) == 0)
                return 0;
        return mv_fail(err, MV_E_DENIED, 0,
                       "%s:%u:%u: microvm.attestation.expect_agent_hash: this program is %s",
                       p->grants.name, a->expect_agent_hash.line, a->expect_agent_hash.column,
                       x->program.bytes.p ? text : "not a file with a digest");
}

/* The wall of the mode may not run external programs; one that does is never below its tier. */
static void leave_wall(struct mv_host *h, struct mv_execution *x)
{
        struct mv_provider_info info;
        struct mv_err err;
        uint32_t index;
        if (!mv__program_is_foreign(x->program.kind) || !x->provider ||
            strcmp(x->provider, "mock") == 0 || mv_host_provider_find(h, x->provider, &index) < 0 ||
            mv_host_provider_info(h, index, &info, &err) < 0)
                return;
        if (!(info.features & MV_FEAT_PROGRAMS))
                x->provider = NULL;
}

int cli_agent_admit(const struct cli_options *o, const struct cli_policy *p, struct mv_host *h,
                    struct mv_execution *x, struct mv_err *err)
{
        if (!p->has_agent)
                return 0;
        print_warnings(p);
        print_notes(&p->grants);
        if (!o->provider)
                leave_wall(h, x);
        int r = check_digest(p, x, err);
        return r < 0 ? r : check_approvals(&p->grants, x, err);
}

static const char *kept(struct mv_arena *a, struct mv_slice s, const char *otherwise)
{
        char *p = s.len <= MV_BEHALF_TEXT_MAX ? mv_new(a, char, s.len + 1) : NULL;
        if (!p)
                return otherwise;
        memcpy(p, s.p, s.len);
        return p;
}

/* A path that a record cannot hold is left out there; its digest is not. */
static const char *short_name(const char *path)
{
        bool fits = strlen(path) <= MV_BEHALF_TEXT_MAX && mv_utf8_valid(mv_slice_str(path));
        return fits ? path : "";
}

void cli_behalf(struct cli_request *q)
{
        struct cli_policy *p = q->policy;
        if (!p)
                return;
        q->behalf = (struct mv_behalf){ .configs = q->configs };
        if (p->has_agent) {
                q->behalf.agent = kept(&p->grants.arena, p->agent.config.agent_id.text, NULL);
                q->configs[q->behalf.configs_count++] =
                        (struct mv_config_digest){ short_name(p->grants.name), p->agent.digest };
        }
        if (p->loaded)
                q->configs[q->behalf.configs_count++] =
                        (struct mv_config_digest){ short_name(p->file.name), p->file.digest };
        q->x.behalf = &q->behalf;
}

int cli_agent_audit(const struct cli_options *o, const struct cli_policy *p, const char **ret,
                    struct mv_err *err)
{
        if (!p->has_agent || !p->grants.audit_path)
                return 0;
        if (o->audit && strcmp(o->audit, "none") == 0)
                return mv_fail(err, MV_E_DENIED, 0,
                               "--audit none: causal_chain.storage of %s keeps the record in a "
                               "file; name another file, or leave the option out",
                               p->grants.name);
        if (!o->audit)
                *ret = p->grants.audit_path;
        return 0;
}
