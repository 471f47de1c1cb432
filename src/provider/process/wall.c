/* SPDX-License-Identifier: Apache-2.0 */
/* What this machine offers around programs. */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>
#include <provider/process/program.h>
#include <sys/bpf.h>
#include <sys/fd.h>
#include <sys/probe.h>

extern const uint8_t mv__cell_init[], mv__cell_init_end[];
static struct mv_slice init_image(void)
{
        return (struct mv_slice){ mv__cell_init, (size_t)(mv__cell_init_end - mv__cell_init) };
}

static int probe_image(struct mv_err *err)
{
        if (init_image().len == 0)
                return mv_fail(err, MV_E_UNAVAILABLE, 0,
                               "this build has no init for programs: it was made without musl-gcc");
        if (!mv_sys_filter_supported())
                return mv_fail(err, MV_E_UNAVAILABLE, 0,
                               "the kernel has no seccomp filters that kill");
        return 0;
}

/* What cells can be made of here; an answer is remembered, a refusal is not. */
static _Atomic enum { UNKNOWN, WITH_USER, WITHOUT_USER } namespaces;

int mv__wall_probe(struct mv_err *err)
{
        int r = namespaces == UNKNOWN ? probe_image(err) : 0;
        if (r < 0 || namespaces != UNKNOWN)
                return r;
        int error = mv_sys_probe_user_namespaces();
        if (error && mv_sys_cell_without_user() == 0) {
                namespaces = WITHOUT_USER;
                return 0;
        }
        if (error)
                return mv_fail(err, MV_E_UNAVAILABLE, error,
                               "programs and scripts need user namespaces, refused here (sysctl "
                               "user.max_user_namespaces, kernel.unprivileged_userns_clone; "
                               "AppArmor; a container)");
        namespaces = WITH_USER;
        return 0;
}

int mv__wall_probe_confined(struct mv_err *err)
{
        int r = probe_image(err), abi = mv_sys_probe_landlock();
        if (r < 0)
                return r;
        if (abi < MV_LANDLOCK_ABI_CONFINED)
                return mv_fail(err, MV_E_UNAVAILABLE, abi < 0 ? -abi : 0,
                               "programs without namespaces need Landlock that keeps signals "
                               "inside (ABI %d, "
                               "Linux 6.12; in the kernel's lsm= list), here it is ABI %d",
                               MV_LANDLOCK_ABI_CONFINED, abi < 0 ? 0 : abi);
        if (access("/proc/thread-self/children", F_OK) < 0)
                return mv_fail(err, MV_E_UNAVAILABLE, errno,
                               "programs without namespaces are counted through /proc/*/children "
                               "(CONFIG_PROC_CHILDREN), which is not here");
        if (geteuid() == 0 && !mv_sys_cell_has_id())
                return mv_fail(err, MV_E_UNAVAILABLE, 0,
                               "root runs programs without namespaces under id %u, and may not "
                               "become that id "
                               "here (CAP_SETUID, CAP_SETGID, and a range of ids that has it); an "
                               "ordinary user "
                               "needs none",
                               MV_SYS_CELL_ID_OUTSIDE);
        return 0;
}

int mv__wall_probe_programs(struct mv_err *err)
{
        struct mv_err without, why;
        if (mv__wall_probe(&why) == 0)
                return 0;
        if (mv__wall_probe_confined(&without) < 0)
                return mv_fail(err, why.code, 0, "%s; without them: %s", why.msg, without.msg);
        return mv_fail(err, why.code, 0,
                       "%s; --min-tier landlock admits the weaker wall without them", why.msg);
}

int mv__wall_init(struct mv__wall *w, struct mv_err *err)
{
        *w = (struct mv__wall){ .confined = w->confined,
                                .image_fd = -1,
                                .owner_namespace_fd = -1,
                                .cpu_percent = w->cpu_percent,
                                .spares_max = w->spares_max,
                                .owner = getpid(),
                                .groups.dirs = { -1, -1, -1, -1 } };
        pthread_mutex_init(&w->lock, NULL);
        pthread_mutex_init(&w->owner_lock, NULL);
        int r = w->confined ? mv__wall_probe_confined(err) : mv__wall_probe(err);
        w->no_user = !w->confined && namespaces == WITHOUT_USER;
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
        mv_sys_program_filter(&w->filter_confined, files | MV_SYS_FILTER_CONFINED);
        if (w->confined)
                mv__private_sweep();
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
        pthread_mutex_destroy(&w->owner_lock);
}

static void groups_text(char *buf, size_t cap)
{
        struct mv_sys_groups groups;
        mv_sys_groups_find(&groups);
        mv_sys_groups_done(&groups);
        if (!groups.missing[0])
                mv_fmt(buf, cap, ", control groups v%d", groups.version);
        else
                mv_fmt(buf, cap,
                       "; no control group (%s): memory and CPU time are held by rlimits and a "
                       "look every %u ms",
                       groups.missing, MV_PROGRAM_WATCH_MS);
}

void mv__wall_text(char *buf, size_t cap)
{
        struct mv_err err = { .msg = "" };
        if (mv__wall_probe_programs(&err) < 0) {
                mv_fmt(buf, cap, "RTFS only: %s", err.msg);
                return;
        }
        size_t n = mv_fmt(buf, cap, "programs: namespaces%s, seccomp%s",
                          namespaces == WITHOUT_USER ? " (none of users: owners are not translated)"
                                                     : "",
                          mv_sys_probe_landlock() > 0 ? ", Landlock" : "");
        groups_text(buf + n, cap - n);
}

void mv__wall_text_confined(char *buf, size_t cap)
{
        size_t n = mv_fmt(
                buf, cap,
                "programs: Landlock (ABI %d), seccomp; no namespaces, so no network, /workspace, "
                "/proc; file names, process numbers can be seen",
                mv_sys_probe_landlock());
        groups_text(buf + n, cap - n);
}
