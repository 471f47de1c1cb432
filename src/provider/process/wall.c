/* SPDX-License-Identifier: Apache-2.0 */
/* What this machine offers around programs. */
#include <pthread.h>
#include <string.h>
#include <provider/process/program.h>
#include <sys/bpf.h>
#include <sys/fd.h>
#include <sys/probe.h>

extern const uint8_t mv__cell_init[], mv__cell_init_end[];
static struct mv_slice init_image(void)
{
        return (struct mv_slice){ mv__cell_init, (size_t)(mv__cell_init_end - mv__cell_init) };
}

int mv__wall_probe(struct mv_err *err)
{
        if (init_image().len == 0)
                return mv_fail(err, MV_E_UNAVAILABLE, 0,
                               "this build has no init for programs: it was made without musl-gcc");
        if (!mv_sys_filter_supported())
                return mv_fail(err, MV_E_UNAVAILABLE, 0,
                               "the kernel has no seccomp filters that kill");
        int error = mv_sys_probe_user_namespaces();
        if (error)
                return mv_fail(err, MV_E_UNAVAILABLE, error,
                               "programs and scripts need user namespaces, which this kernel "
                               "refuses to this user (sysctl "
                               "user.max_user_namespaces, kernel.unprivileged_userns_clone)");
        return 0;
}

int mv__wall_init(struct mv__wall *w, struct mv_err *err)
{
        *w = (struct mv__wall){ .image_fd = -1,
                                .owner_namespace_fd = -1,
                                .cpu_percent = w->cpu_percent,
                                .spares_max = w->spares_max,
                                .owner = getpid(),
                                .groups.dirs = { -1, -1, -1, -1 } };
        pthread_mutex_init(&w->lock, NULL);
        int r = mv__wall_probe(err);
        if (r == 0)
                r = mv_sys_memfd_sealed("microvm-init", init_image().p, init_image().len,
                                        &w->image_fd, err);
        if (r < 0)
                return r;
        mv_sys_groups_find(&w->groups);
        int abi = mv_sys_probe_landlock();
        w->landlock_abi = abi > 0 ? abi : 0;
        unsigned files = w->groups.missing[0] ? 0 : MV_SYS_FILTER_MEMORY_FILES;
        mv_sys_program_filter(&w->filter, files | MV_SYS_FILTER_LOCAL_SOCKETS);
        mv_sys_program_filter(&w->filter_no_local, files);
        mv_sys_module_filter(&w->filter_module);
        mv__spares_init(w);
        return 0;
}

void mv__wall_done(struct mv__wall *w)
{
        mv__spares_done(w); /* gives its groups back */
        mv_fd_closep(&w->image_fd);
        mv_fd_closep(&w->owner_namespace_fd);
        while (w->idle_count && w->owner == getpid())
                mv_sys_group_done(&w->idle[--w->idle_count]);
        while (w->idle_count)
                mv_sys_group_forget(&w->idle[--w->idle_count]);
        mv_sys_groups_done(&w->groups);
        pthread_mutex_destroy(&w->lock);
}

void mv__wall_text(char *buf, size_t cap)
{
        struct mv_err err = { .msg = "" };
        struct mv_sys_groups groups;
        if (mv__wall_probe(&err) < 0) {
                mv_fmt(buf, cap, "RTFS only: %s", err.msg);
                return;
        }
        mv_sys_groups_find(&groups);
        mv_sys_groups_done(&groups);
        size_t n = mv_fmt(buf, cap, "programs: namespaces, seccomp%s",
                          mv_sys_probe_landlock() > 0 ? ", Landlock" : "");
        if (!groups.missing[0])
                mv_fmt(buf + n, cap - n, ", control groups v%d", groups.version);
        else
                mv_fmt(buf + n, cap - n,
                       "; no control group (%s): memory and CPU time are held by rlimits and a "
                       "look every %u ms",
                       groups.missing, MV_PROGRAM_WATCH_MS);
}
