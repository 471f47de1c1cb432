/* SPDX-License-Identifier: Apache-2.0 */
/* provider/process/program.c - the life of a cell that runs a program.
 *
 * (1) open makes the control group and starts init in its namespaces, where it waits; run sends
 *     the plan. Until then nothing of the program exists.
 * (2) close ends init, and with it every process of the cell, before the group is given back and
 *     the descriptors are closed; mounts and namespaces go with their last process.
 * (3) A grant is opened without following a symbolic link, by this process or by init, and mounted
 *     from that descriptor.
 * (4) Without namespaces, what a dead init started would live on: init is asked to end, which it does when it has
 *     ended everything else, and is killed only when it does not. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <base/slice.h>
#include <provider/process/program.h>
#include <sys/beneath.h>
#include <sys/fd.h>

static int wall_of(struct mv_provider *p, struct mv__wall **ret, struct mv_err *err)
{
        int r = 0;
        pthread_mutex_lock(&p->wall_lock);
        if (!p->wall) {
                struct mv__wall *w = calloc(1, sizeof *w);
                r = w ? 0 : mv_fail(err, MV_E_NOMEM, 0, "%zu bytes", sizeof *w);
                if (w)
                        *w = (struct mv__wall){ .confined = p->confined,
                                                .cpu_percent = p->cpu_percent,
                                                .spares_max = p->spares_max };
                if (w && (r = mv__wall_init(w, err)) < 0) {
                        mv__wall_done(w);
                        free(w);
                        w = NULL;
                }
                p->wall = w;
        }
        *ret = p->wall;
        pthread_mutex_unlock(&p->wall_lock);
        return r;
}

/* --- grants (3) ------------------------------------------------------------------------------- */

static bool below(const char *path, const char *dir)
{
        size_t n = strlen(dir);
        return strncmp(path, dir, n) == 0 && (path[n] == 0 || path[n] == '/');
}

static int grant_refused(const struct mv_program_grant *g, const char *why, struct mv_err *err)
{
        return mv_fail(err, MV_E_INVALID, 0, "%s %s cannot be granted to a program: %s",
                       g->write ? "--allow-write" : "--allow-read", g->path, why);
}

/* Programs are somebody else, and nothing translates owners: what everybody may do is what they may. */
static int grant_is_of_use(const struct mv_program_grant *g, const struct stat *st,
                           struct mv_err *err)
{
        unsigned needed = g->write ? 06 : 04, have = st->st_mode;
        if (st->st_uid == MV_SYS_CELL_ID_OUTSIDE)
                have = st->st_mode >> 6;
        if ((have & needed) == needed && (!S_ISDIR(st->st_mode) || have & 01))
                return 0;
        return mv_fail(
                err, MV_E_INVALID, 0,
                "%s %s: without user namespaces a program that root runs has the id %u, for whom "
                "nothing is "
                "translated, and which may not %s this; let that id, or run it as an ordinary user",
                g->write ? "--allow-write" : "--allow-read", g->path, MV_SYS_CELL_ID_OUTSIDE,
                g->write ? "write" : "read");
}

static int grant_check(const struct mv_program_grant *g, bool somebody_else, bool *ret_is_dir,
                       struct mv_err *err)
{
        struct stat st;
        if (strcmp(g->path, "/") == 0)
                return grant_refused(g, "it is the whole machine; name the trees it needs", err);
        if (below(g->path, "/proc") || below(g->path, "/sys") || below(g->path, "/dev"))
                return grant_refused(g, "it belongs to the kernel", err);
        mv_auto_fd fd = mv_sys_openat2(AT_FDCWD, g->path, O_PATH, 0,
                                       RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
        if (fd == -ELOOP)
                return grant_refused(
                        g, "a symbolic link is on the way; grant the place it leads to", err);
        if (fd == -ENOENT)
                return grant_refused(g, "it does not exist; to let it be made, grant its directory",
                                     err);
        if (fd < 0)
                return mv_fail(err, MV_E_SYS, -fd, "open %s, which was granted", g->path);
        if (fstat(fd, &st) < 0)
                return mv_fail(err, MV_E_SYS, errno, "look at %s", g->path);
        if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
                return grant_refused(g, "it is neither a file nor a directory", err);
        if (mv_sys_is_procfs(fd))
                return grant_refused(g, "it is on a /proc file system", err);
        *ret_is_dir = S_ISDIR(st.st_mode);
        return somebody_else ? grant_is_of_use(g, &st, err) : 0;
}

static int owner_namespace(struct mv__wall *w, struct mv_err *err)
{
        pthread_mutex_lock(&w->owner_lock);
        int r = w->owner_namespace_fd >= 0
                        ? 0
                        : mv_sys_cell_owner_namespace(&w->owner_namespace_fd, err);
        pthread_mutex_unlock(&w->owner_lock);
        return r;
}

/* As root the program runs under an id of its own, so the mounts translate owners; only we may make
 * such mounts. */
static int grants_mount(const struct mv__program *p, struct mv__given *given, struct mv_err *err)
{
        given->mounts = !p->private && (p->wall->no_user || mv_sys_cell_maps_ids());
        given->mounts_at = given->count;
        if (!given->mounts || p->spec->grants_count == 0)
                return 0;
        int r = p->wall->no_user ? 0 : owner_namespace(p->wall, err);
        for (uint32_t i = 0; r == 0 && i < p->spec->grants_count; i++) {
                const struct mv_program_grant *g = &p->spec->grants[i];
                int sys = mv_sys_cell_granted_mount(g->path, !g->write, p->wall->owner_namespace_fd,
                                                    &given->fds[given->count]);
                if (sys < 0)
                        return mv_fail(err, MV_E_SYS, -sys, "mount %s, which was granted", g->path);
                given->count++;
        }
        return r;
}

/* Other executions have their places there, and this one what it may not write. */
static int grant_check_confined(const struct mv__program *p, const struct mv_program_grant *g,
                                struct mv_err *err)
{
        if (below(p->private->path, g->path) || below(g->path, p->private->path))
                return grant_refused(
                        g,
                        "without namespaces the private directories of programs are in "
                        "there; grant a directory in it, or move them with TMPDIR",
                        err);
        return 0;
}

static int grants_prepare(const struct mv__program *p, struct mv__given *given, struct mv_err *err)
{
        const bool somebody_else = p->wall->no_user || (p->private && p->private->owner);
        if (p->spec->grants_count > MV_PROGRAM_GRANTS_MAX)
                return mv_fail(err, MV_E_LIMIT, 0, "a program gets at most %u granted paths",
                               MV_PROGRAM_GRANTS_MAX);
        for (uint32_t i = 0; i < p->spec->grants_count; i++) {
                int r = grant_check(&p->spec->grants[i], somebody_else, &given->is_dir[i], err);
                if (r < 0)
                        return r;
                given->directories |= given->is_dir[i];
                if (p->private && (r = grant_check_confined(p, &p->spec->grants[i], err)) < 0)
                        return r;
        }
        return grants_mount(p, given, err);
}

/* --- opening ---------------------------------------------------------------------------------- */

struct ends { /* of the child; closed here once it has them */
        int control, in, out, err, door;
};

static void ends_close(struct ends *e)
{
        mv_fd_closep(&e->control);
        mv_fd_closep(&e->in);
        mv_fd_closep(&e->out);
        mv_fd_closep(&e->err);
        mv_fd_closep(&e->door);
}

static int pair_make(int *ours, int *theirs)
{
        int pair[2];
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                return -1;
        *ours = pair[0];
        *theirs = pair[1];
        return 0;
}

static int pipe_make(int *ours, int *theirs)
{
        int pair[2];
        if (pipe2(pair, O_CLOEXEC) < 0)
                return -1;
        *ours = pair[0];
        *theirs = pair[1];
        return fcntl(pair[0], F_SETFL, O_NONBLOCK);
}

static int feed_make(int *ours, int *theirs)
{
        int pair[2];
        if (pipe2(pair, O_CLOEXEC) < 0)
                return -1;
        *ours = pair[1];
        *theirs = pair[0];
        return fcntl(pair[1], F_SETFL, O_NONBLOCK);
}

/* The cell's own streams go to the inner wall; the program's wait until its agent can take them. */
static int channels_nested(struct mv__program *p, struct ends *e)
{
        if (pair_make(&p->agent_fd, &e->door) < 0 || pipe_make(&p->log_fd, &e->out) < 0 ||
            (e->err = fcntl(e->out, F_DUPFD_CLOEXEC, 0)) < 0)
                return -1;
        if (!p->spec->path)
                return 0;
        return pipe_make(&p->out_fd, &p->theirs[0]) < 0 ||
                               pipe_make(&p->err_fd, &p->theirs[1]) < 0 ||
                               (p->spec->input && feed_make(&p->feed_fd, &p->theirs[2]) < 0) ||
                               (p->spec->door && pair_make(&p->door_fd, &p->theirs[3]) < 0) ||
                               (p->spec->network && pair_make(&e->in, &p->theirs[4]) < 0)
                       ? -1
                       : 0;
}

static int channels_own(struct mv__program *p, struct ends *e)
{
        return pipe_make(&p->out_fd, &e->out) < 0 || pipe_make(&p->err_fd, &e->err) < 0 ||
                               (p->spec->input && feed_make(&p->feed_fd, &e->in) < 0) ||
                               (p->spec->door && pair_make(&p->door_fd, &e->door) < 0)
                       ? -1
                       : 0;
}

static int channels_make(struct mv__program *p, struct ends *e, struct mv_err *err)
{
        if (pair_make(&p->control_fd, &e->control) < 0 ||
            (p->nested ? channels_nested(p, e) : channels_own(p, e)) < 0)
                return mv_fail(err, MV_E_SYS, errno, "make the streams of a program");
        return 0;
}

uint64_t mv__program_scratch_bytes(uint64_t memory)
{
        uint64_t half = memory / 2;
        return half < MV_PROGRAM_SCRATCH_BYTES_MAX ? half & ~(uint64_t)4095
                                                   : MV_PROGRAM_SCRATCH_BYTES_MAX;
}

static void given_start(struct mv__given *g, const struct mv__program *p, const struct ends *e)
{
        *g = (struct mv__given){ .count = MV_CELL_FD_FIRST, .joins_at = MV_CELL_FD_FIRST };
        g->fds[MV_CELL_FD_CONTROL] = e->control;
        g->fds[MV_CELL_FD_STDOUT] = e->out;
        g->fds[MV_CELL_FD_STDERR] = e->err;
        g->fds[MV_CELL_FD_DOOR] = e->door;
        g->fds[MV_CELL_FD_INPUT] = e->in;
        g->fds[MV_CELL_FD_IMAGE] = -1;
        for (unsigned i = 0; i < p->group.join_count; i++)
                g->fds[g->count++] = p->group.join_fds[i];
        g->joins_count = p->group.join_count;
}

static void given_done(struct mv__given *g)
{
        for (unsigned i = g->mounts_at; g->mounts && i < g->count; i++)
                mv_fd_closep(&g->fds[i]);
}

static int start_init(struct mv__program *p, const struct mv__given *g, const char *name,
                      struct mv_err *err)
{
        struct mv_sys_cell start = { .image_fd = p->wall->image_fd,
                                     .confined = p->private != NULL,
                                     .no_user = p->wall->no_user,
                                     .fds = g->fds,
                                     .fds_count = g->count,
                                     .image_at = MV_CELL_FD_IMAGE,
                                     .group_fd = p->group.dir_fd,
                                     .own_network = true,
                                     .keep_network = p->spec->network && !p->nested,
                                     .name = name };
        return mv_sys_cell_start(&start, &p->child, err);
}

/* --- control groups -----------------------------------------------------------------------------
 */

/* An empty one that waits, or a new one. A group belongs to one cell between take and give. */
static int group_take(struct mv__program *p, const struct mv_sys_group_limits *limits,
                      struct mv_err *err)
{
        struct mv__wall *w = p->wall;
        struct mv_sys_group waiting = MV_SYS_GROUP_NONE;
        if (w->owner != getpid()) /* those that wait are not ours */
                return mv_sys_group_make(&w->groups, limits, &p->group, err);
        pthread_mutex_lock(&w->lock);
        if (w->idle_count)
                waiting = w->idle[--w->idle_count];
        pthread_mutex_unlock(&w->lock);
        if (mv_sys_group_again(&waiting, limits)) {
                p->group = waiting;
                return 0;
        }
        mv_sys_group_done(&waiting);
        return mv_sys_group_make(&w->groups, limits, &p->group, err);
}

/* Its processes are dead. */
static void group_give(struct mv__program *p)
{
        struct mv__wall *w = p->wall;
        bool kept = false;
        if (w && w->owner == getpid() && !p->nested && p->group.in && w->groups.version == 1 &&
            p->group.peak_fd >= 0) {
                pthread_mutex_lock(&w->lock);
                kept = w->idle_count < MV_PROGRAM_GROUPS_IDLE;
                if (kept)
                        w->idle[w->idle_count++] = p->group;
                pthread_mutex_unlock(&w->lock);
        }
        if (!kept)
                mv_sys_group_done(&p->group);
        p->group = MV_SYS_GROUP_NONE;
}

static struct mv_sys_group_limits group_limits(const struct mv_cell *c)
{
        const struct mv__program *p = c->program;
        struct mv_sys_group_limits limits = { c->limits.memory_bytes_max, p->wall->cpu_percent,
                                              MV_PROGRAM_PIDS_MAX, c->limits.cpu_ns_max != 0 };
        if (p->nested) {
                limits.memory_bytes_max += p->nested->start_bytes_max;
                limits.pids_max = MV_NESTED_PIDS_MAX;
                limits.cpu_percent += MV_NESTED_START_PERCENT;
                limits.cpu_time = true;
        }
        return limits;
}

/* Streams and group: what init is born with. */
static int begin(struct mv__program *p, struct ends *e, struct mv__given *given, struct mv_err *err)
{
        int r = channels_make(p, e, err);
        if (r == 0)
                r = group_take(p, &p->group_limits, err);
        if (r == 0)
                given_start(given, p, e);
        return r;
}

/* What only namespaces can hold is refused. */
static int place_take(struct mv__program *p, struct mv_err *err)
{
        if (p->spec->network)
                return mv_fail(err, MV_E_UNSUPPORTED, 0,
                               "hosts were granted to a program, and without a network namespace "
                               "nothing holds "
                               "it to them: Landlock knows ports and no addresses; leave them out, "
                               "or let the "
                               "program call ccos.network.http-fetch");
        if (p->spec->bare)
                return mv_fail(err, MV_E_UNSUPPORTED, 0, "modules need namespaces");
        int r = mv__private_make(p->spec, geteuid() == 0 ? MV_SYS_CELL_ID_OUTSIDE : 0, &p->private,
                                 err);
        if (r < 0)
                return r;
        if (!p->spec->output)
                return 0;
        char path[400];
        mv__private_path(p->private, "/workspace/output", path, sizeof path);
        p->output_fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        return p->output_fd < 0 ? mv_fail(err, MV_E_SYS, errno, "open %s", path) : 0;
}

static int without_user(struct mv__program *p, struct mv_err *err)
{
        if (p->wall->confined)
                return place_take(p, err);
        if (p->wall->no_user && p->nested)
                return mv_fail(err, MV_E_UNAVAILABLE, 0,
                               "a wall inside of the cell needs user namespaces");
        return 0;
}

static int start_fresh(struct mv_cell *c, struct ends *e, struct mv_err *err)
{
        struct mv__program *p = c->program;
        struct mv__given given = { 0 };
        int r = without_user(p, err);
        if (r == 0)
                r = begin(p, e, &given, err);
        if (r == 0)
                r = grants_prepare(p, &given, err);
        if (r == 0 && (p->wall->no_user || p->private) && p->group.peak_fd < 0)
                p->tasks_before = mv_sys_tasks_of(geteuid() ? getuid() : MV_SYS_CELL_ID_OUTSIDE);
        p->no_local = given.directories;
        if (r == 0)
                r = mv__program_plan(p, &c->limits, &given, err);
        if (r == 0)
                r = start_init(p, &given, MV_CELL_NAME, err);
        given_done(&given);
        return r;
}

/* What it holds is ours from now on; init has the first part of the plan. */
static void adopt(struct mv__program *p, struct mv__program *spare)
{
        p->child = spare->child;
        spare->child = MV_SYS_CHILD_NONE;
        spare->group = MV_SYS_GROUP_NONE;
        p->control_fd = mv_fd_take(&spare->control_fd);
        p->out_fd = mv_fd_take(&spare->out_fd);
        p->err_fd = mv_fd_take(&spare->err_fd);
        p->door_fd = mv_fd_take(&spare->door_fd);
        p->feed_fd = mv_fd_take(&spare->feed_fd);
        p->plan_at = p->first_len;
        mv__program_free(spare);
}

/* 1: the cell is a spare that was waiting for it. */
static int start_spare(struct mv_cell *c, struct mv_err *err)
{
        const struct ends none = { -1, -1, -1, -1, -1 };
        struct mv__program *p = c->program, *spare = mv__spares_pop(p);
        struct mv__given given;
        if (!spare)
                return 0;
        p->group = spare->group; /* how a plan begins depends on it */
        given_start(&given, p, &none);
        int r = mv__program_plan(p, &c->limits, &given, err);
        if (r == 0 && mv__spares_alike(p, spare)) {
                adopt(p, spare);
                return 1;
        }
        p->group = MV_SYS_GROUP_NONE;
        mv__spares_close(spare);
        return r;
}

static int open_inside(struct mv_cell *c, struct ends *e, struct mv_err *err)
{
        struct mv__program *p = c->program;
        p->group_limits = group_limits(c);
        p->scratch_bytes = mv__program_scratch_bytes(c->limits.memory_bytes_max);
        int r = start_spare(c, err);
        return r == 0 ? start_fresh(c, e, err) : r < 0 ? r : 0;
}

int mv__program_start(struct mv__program *p, const char *name, struct mv_err *err)
{
        struct ends e = { -1, -1, -1, -1, -1 };
        struct mv__given given;
        int r = begin(p, &e, &given, err);
        if (r == 0)
                r = start_init(p, &given, name, err);
        ends_close(&e);
        return r;
}

struct mv__program *mv__program_new(struct mv__wall *w)
{
        struct mv__program *p = calloc(1, sizeof *p);
        if (!p)
                return NULL;
        *p = (struct mv__program){ .wall = w,
                                   .agent_fd = -1,
                                   .log_fd = -1,
                                   .theirs = { -1, -1, -1, -1, -1 },
                                   .child = MV_SYS_CHILD_NONE,
                                   .group = MV_SYS_GROUP_NONE,
                                   .control_fd = -1,
                                   .out_fd = -1,
                                   .err_fd = -1,
                                   .door_fd = -1,
                                   .output_fd = -1,
                                   .given_fd = -1,
                                   .listener_fd = -1,
                                   .feed_fd = -1 };
        return p;
}

int mv__program_open(struct mv_cell *c, const struct mv_cell_spec *spec, struct mv_err *err)
{
        struct ends e = { -1, -1, -1, -1, -1 };
        struct mv__wall *w;
        int r = wall_of(c->provider, &w, err);
        if (r < 0)
                return r;
        struct mv__program *p = mv__program_new(w);
        if (!p)
                return mv_fail(err, MV_E_NOMEM, 0, "program cell: %zu bytes", sizeof *p);
        p->spec = spec->program;
        p->nested = c->nested;
        c->program = p;
        r = open_inside(c, &e, err);
        ends_close(&e);
        return r;
}

static void streams_close(struct mv__program *p)
{
        mv_fd_closep(&p->control_fd);
        mv_fd_closep(&p->out_fd);
        mv_fd_closep(&p->err_fd);
        mv_fd_closep(&p->door_fd);
        mv_fd_closep(&p->output_fd);
        mv_fd_closep(&p->agent_fd);
        mv_fd_closep(&p->log_fd);
        for (unsigned i = 0; i < MV_NESTED_FDS; i++)
                mv_fd_closep(&p->theirs[i]);
        mv_fd_closep(&p->given_fd);
        mv_fd_closep(&p->listener_fd);
        mv_fd_closep(&p->feed_fd);
}

void mv__program_kill(struct mv__program *p)
{
        if (p->private && p->control_fd >= 0)
                shutdown(p->control_fd, SHUT_WR); /* (4) */
        else
                mv_sys_child_kill(&p->child);
}

void mv__program_free(struct mv__program *p)
{
        if (p->private && !p->child.reaped) {
                mv__program_kill(p);
                mv_sys_child_ends(&p->child, MV_PROGRAM_END_MS);
        }
        mv_sys_child_done(&p->child); /* (2) */
        group_give(p);
        mv__private_remove(p->private);
        streams_close(p);
        free(p->plan);
        free(p);
}

void mv__program_forget(struct mv__program *p)
{
        mv_fd_closep(&p->child.pidfd);
        mv_sys_group_forget(&p->group);
        streams_close(p);
        free(p->plan);
        free(p);
}

void mv__program_close(struct mv_cell *c)
{
        struct mv__program *p = c->program;
        c->program = NULL;
        if (p->nested || (p->ended && !p->child.reaped))
                mv__spares_close(p);
        else
                mv__program_free(p);
}
