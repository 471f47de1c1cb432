/* SPDX-License-Identifier: Apache-2.0 */
/* (1) A file is read and resolved without the lock; only the exchange takes it. So a slow disk holds up nobody.
 * (2) Reloads take turns: the later call is the later file. */
#include <base/err.h>
#include <config/settings.h>
#include <microvm/settings.h>
#include <pthread.h>
#include <security/security.h>
#include <stdlib.h>

struct force {
        struct mv_context *context;
        char provider[32];
        enum mv_tier tier_min;
};
struct mv_live_settings {
        char *path, *environment; /* NULL: the file's own */
        pthread_mutex_t reloading, lock;
        struct force force; /* lock */
        uint64_t generation;
};

static int take(struct mv_policy_settings *p, const char *name, struct force *ret,
                struct mv_err *err)
{
        if (p->provider && strlen(p->provider) >= sizeof ret->provider)
                return mv_fail(err, MV_E_INVALID, 0, "%s: default_provider is too long a name",
                               name);
        mv_fmt(ret->provider, sizeof ret->provider, "%s", p->provider ? p->provider : "");
        ret->tier_min = p->has_tier_min ? p->tier_min : MV_TIER_NONE;
        ret->context = p->context;
        p->context = NULL;
        return 0;
}

static int read_force(const struct mv_live_settings *s, struct force *ret, struct mv_err *err)
{
        struct mv_settings_file f;
        struct mv_policy_settings p = { 0 };
        int r = mv_settings_load(s->path, &f, err);
        if (r < 0)
                return r;
        r = f.valid ? mv_settings_resolve(&f, s->environment, &p, err)
                    : mv__first_error(&f.diagnostics, f.name, err);
        if (r == 0) {
                r = take(&p, f.name, ret, err);
                mv_policy_settings_done(&p);
        }
        mv_settings_done(&f);
        return r;
}

int mv_live_settings_reload(struct mv_live_settings *s, struct mv_err *err)
{
        struct force next, old;
        pthread_mutex_lock(&s->reloading); /* (2) */
        int r = read_force(s, &next, err);
        if (r == 0) {
                pthread_mutex_lock(&s->lock);
                old = s->force;
                s->force = next;
                s->generation++;
                pthread_mutex_unlock(&s->lock);
                mv_context_free(old.context);
        }
        pthread_mutex_unlock(&s->reloading);
        return r;
}

int mv_live_settings_open(const char *path, const char *environment, struct mv_live_settings **ret,
                          struct mv_err *err)
{
        struct mv_live_settings *s = calloc(1, sizeof *s);
        if (!s)
                return mv_fail(err, MV_E_NOMEM, 0, "settings");
        pthread_mutex_init(&s->reloading, NULL);
        pthread_mutex_init(&s->lock, NULL);
        s->path = strdup(path);
        s->environment = environment ? strdup(environment) : NULL;
        int r = s->path && (!environment || s->environment)
                        ? mv_live_settings_reload(s, err)
                        : mv_fail(err, MV_E_NOMEM, 0, "settings");
        if (r < 0)
                mv_live_settings_close(s);
        else
                *ret = s;
        return r;
}

struct mv_context *mv_live_settings_context(struct mv_live_settings *s)
{
        pthread_mutex_lock(&s->lock);
        struct mv_context *copy = mv_context_copy(s->force.context);
        pthread_mutex_unlock(&s->lock);
        return copy;
}

void mv_live_settings_wall(struct mv_live_settings *s, char ret_provider[32],
                           enum mv_tier *ret_tier_min)
{
        pthread_mutex_lock(&s->lock);
        mv_fmt(ret_provider, sizeof s->force.provider, "%s", s->force.provider);
        *ret_tier_min = s->force.tier_min;
        pthread_mutex_unlock(&s->lock);
}

uint64_t mv_live_settings_generation(struct mv_live_settings *s)
{
        pthread_mutex_lock(&s->lock);
        uint64_t n = s->generation;
        pthread_mutex_unlock(&s->lock);
        return n;
}

struct mv_live_settings *mv_live_settings_close(struct mv_live_settings *s)
{
        if (!s)
                return NULL;
        mv_context_free(s->force.context);
        pthread_mutex_destroy(&s->lock);
        pthread_mutex_destroy(&s->reloading);
        free(s->environment);
        free(s->path);
        free(s);
        return NULL;
}
