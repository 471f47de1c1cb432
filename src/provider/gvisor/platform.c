/* SPDX-License-Identifier: Apache-2.0 */
/* What runsc can do on this machine: found by starting a sandbox, because nothing else tells. A kvm platform may exist and
 * hang, ptrace may be forbidden, systrap is unknown to older releases.
 *
 * (1) A trial ends with its deadline (start.c) and leaves nothing: the sandbox is in a cell.
 * (2) Each platform is tried at most once in a process. kvm comes last: where it hangs, trying it costs the whole
 *     deadline.
 * (3) Whoever leaves the choice to us waits for one trial that hangs, not for three. */
#include <string.h>
#include <sys/probe.h>
#include <base/slice.h>
#include <provider/gvisor/gvisor.h>

static struct trial {
        const char *name;
        bool done;
        int result;
        char why[240];
} trials[] = { { .name = "systrap" }, { .name = "ptrace" }, { .name = "kvm" } };
#define TRIALS (sizeof trials / sizeof trials[0])
static pthread_mutex_t trials_lock = PTHREAD_MUTEX_INITIALIZER;

int gv_find_runsc(char *buf, size_t cap, struct mv_err *err)
{
        if (mv_sys_probe_binary("runsc", buf, cap) && buf[0] == '/')
                return 0;
        return mv_fail(err, MV_E_UNAVAILABLE, 0,
                       "no runsc is on PATH (Debian: apt-get install runsc)");
}

static int try_platform(const char *name, struct mv_err *err)
{
        struct gv_provider *p = NULL;
        struct mv_cell *cell = NULL;
        struct mv_cell_spec spec = { .execution_id = "probe",
                                     .limits = { .memory_bytes_max = (uint64_t)16 << 20 } };
        int r = gv_provider_make(name, &p, err);
        if (r == 0) {
                p->start_ns = MV_GVISOR_TRIAL_NS;
                r = gv_open(p, &spec, &cell, err);
        }
        gv_close(cell);
        gv_fini(p ? &p->base : NULL);
        return r;
}

/* lock held */
static int trial_run(struct trial *t, struct mv_err *err)
{
        if (!t->done) {
                t->result = try_platform(t->name, err);
                mv_fmt(t->why, sizeof t->why, "%s", t->result < 0 ? err->msg : "");
                t->done = true;
        }
        return t->result;
}

int gv_platform(const char *name, const char **ret, struct mv_err *err)
{
        bool any = strcmp(name, "auto") == 0;
        char reasons[400] = "";
        size_t at = 0;
        const char *found = NULL;
        pthread_mutex_lock(&trials_lock);
        uint64_t deadline_ns = mv__now_ns() + MV_GVISOR_TRIAL_NS;
        for (size_t i = 0; i < TRIALS && !found; i++) {
                if (any && !trials[i].done && mv__now_ns() >= deadline_ns) { /* (3) */
                        at += mv_fmt(reasons + at, sizeof reasons - at, "; %s: not tried any more",
                                     trials[i].name);
                        break;
                }
                if (!any && strcmp(trials[i].name, name) != 0)
                        continue;
                if (trial_run(&trials[i], err) == 0)
                        found = trials[i].name;
                else
                        at += mv_fmt(reasons + at, sizeof reasons - at, "%s%s: %s", at ? "; " : "",
                                     trials[i].name, trials[i].why);
        }
        pthread_mutex_unlock(&trials_lock);
        if (!found)
                return mv_fail(err, MV_E_UNAVAILABLE, 0, "no platform of runsc works here: %s",
                               reasons);
        *ret = found;
        return 0;
}
