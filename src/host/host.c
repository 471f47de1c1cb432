/* SPDX-License-Identifier: Apache-2.0 */
#include <audit/effects.h>
#include <host/host.h>
#include <provider/provider.h>
#include <stdlib.h>
#include <sys/beneath.h>

/* REQ-FACT-01, -04: the order in which `microvm providers` lists them. */
static const struct mv_provider_ops *const built_in[] = {
        &mv_provider_mock, &mv_provider_process,     &mv_provider_wasm,     &mv_provider_gvisor,
        &mv_provider_kvm,  &mv_provider_firecracker, &mv_provider_landlock,
};

static int audit_open(const struct mv_host_options *o, struct mv_audit **ret, struct mv_err *err)
{
        char beside[4096];
        struct mv_audit_options a = { .path = o->audit_path,
                                      .key_path = o->key_path,
                                      .no_sync = o->audit_no_sync };
        if (a.path && !a.key_path) {
                if (mv_fmt(beside, sizeof beside, "%s.key", a.path) == sizeof beside - 1)
                        return mv_fail(err, MV_E_INVALID, 0, "audit path too long");
                a.key_path = beside;
        }
        int r = mv_audit_open(&a, ret, err);
        return r < 0 ? mv_wrap(err, "open the audit store%s%s", a.path ? " " : "",
                               a.path ? a.path : "")
                     : 0;
}

static int host_fill(struct mv_host *h, const struct mv_host_options *o, struct mv_err *err)
{
        uint32_t pool = o->pool_cells ? o->pool_cells : MV_HOST_POOL_DEFAULT;
        if (pool > MV_HOST_POOL_MAX)
                return mv_fail(err, MV_E_INVALID, 0, "pool_cells: at most %d", MV_HOST_POOL_MAX);
        h->pool_cells = o->pool_disabled ? 0 : pool;
        int sys = mv_sys_random(h->id_seed, sizeof h->id_seed);
        if (sys < 0)
                return mv_fail(err, MV_E_SYS, -sys, "random bytes for execution ids");
        int r = mv_capability_table_new(&h->table, err);
        if (r == 0)
                r = mv__sandbox_register(h, err);
        if (r == 0)
                r = mv__microvm_call_register(h, err);
        if (r == 0)
                r = audit_open(o, &h->audit, err);
        if (r == 0 && !(h->effects = mv_effects_new(h->audit)))
                r = mv_fail(err, MV_E_NOMEM, 0, "host");
        for (size_t i = 0; r == 0 && i < sizeof built_in / sizeof built_in[0]; i++)
                r = mv_host_add_provider(h, built_in[i], err);
        return r;
}

int mv_host_new(const struct mv_host_options *o, struct mv_host **ret, struct mv_err *err)
{
        static const struct mv_host_options defaults;
        struct mv_host *h = calloc(1, sizeof *h);
        if (!h)
                return mv_fail(err, MV_E_NOMEM, 0, "host");
        pthread_mutex_init(&h->context_seen.lock, NULL);
        int r = host_fill(h, o ? o : &defaults, err);
        if (r < 0) {
                mv_host_free(h);
                return r;
        }
        *ret = h;
        return 0;
}

struct mv_host *mv_host_free(struct mv_host *h)
{
        if (!h)
                return NULL;
        for (uint32_t i = 0; i < h->entries_count; i++)
                mv__entry_done(&h->entries[i]);
        mv_effects_free(h->effects);
        mv_audit_close(h->audit);
        mv_capability_table_free(h->table);
        free(h->sandboxes);
        pthread_mutex_destroy(&h->context_seen.lock);
        free(h);
        return NULL;
}

int mv_host_add_capability(struct mv_host *h, const struct mv_capability *c, struct mv_err *err)
{
        return mv_capability_table_add(h->table, c, err);
}
