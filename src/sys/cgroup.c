/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/cgroup.h>
#include <sys/eventfd.h>
#include <sys/fd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PREFIX        "microvm-" /* microvm-PID-NUMBER */
#define CPU_PERIOD_US 100000u
#define REST_PART_MAX 32u  /* of the limit, charged to a group that is used again */
#define REMOVE_TRIES  5000 /* a group is busy for a moment after its last process was reaped */

static const char *const controllers[MV_SYS_CONTROLLERS] = { "memory", "cpu", "pids", "cpuacct" };

/* --- small files ------------------------------------------------------------------------------ */

static int write_at(int dir_fd, const char *group, const char *file, const char *text)
{
        char path[160];
        mv_fmt(path, sizeof path, "%s/%s", group, file);
        mv_auto_fd fd = openat(dir_fd, path, O_WRONLY | O_CLOEXEC);
        if (fd < 0)
                return errno;
        return write(fd, text, strlen(text)) < 0 ? errno : 0;
}

static int write_number(int dir_fd, const char *group, const char *file, uint64_t n)
{
        char text[24];
        mv_fmt(text, sizeof text, "%llu", (unsigned long long)n);
        return write_at(dir_fd, group, file, text);
}

static int open_at(int dir_fd, const char *group, const char *file, int flags)
{
        char path[160];
        mv_fmt(path, sizeof path, "%s/%s", group, file);
        return openat(dir_fd, path, flags | O_CLOEXEC);
}

/* The number behind `key`, or the first one for an empty key; 0 when it is not there. */
static uint64_t number_in(int fd, const char *key)
{
        char text[1024];
        ssize_t n = fd < 0 ? 0 : pread(fd, text, sizeof text - 1, 0);
        text[n > 0 ? n : 0] = 0;
        size_t len = strlen(key);
        for (const char *line = text; line && *line; line = strchr(line, '\n')) {
                line += *line == '\n';
                if (strncmp(line, key, len) == 0)
                        return strtoull(line + len, NULL, 10);
        }
        return 0;
}

/* --- where our own group is ------------------------------------------------------------------- */

static bool names(const char *list, const char *name)
{
        size_t n = strlen(name);
        for (const char *at = list; at && *at; at = strchr(at, ',')) {
                at += *at == ',';
                if (strncmp(at, name, n) == 0 &&
                    (at[n] == ',' || at[n] == 0 || at[n] == ':' || at[n] == '\n'))
                        return true;
        }
        return false;
}

/* The path of this process in the hierarchy of a controller ("" for version 2), from
 * /proc/self/cgroup. */
static bool own_path(const char *controller, char *buf, size_t cap)
{
        char line[1024];
        bool found = false;
        FILE *f = fopen("/proc/self/cgroup", "re");
        while (f && !found && fgets(line, sizeof line, f)) {
                char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;
                if (!path)
                        continue;
                *path++ = 0;
                found = controller[0] ? names(list + 1, controller) : list[1] == 0;
                if (found)
                        mv_fmt(buf, cap, "%.*s", (int)strcspn(path, "\n"), path);
        }
        if (f)
                fclose(f);
        return found;
}

/* Where that hierarchy is mounted, from /proc/self/mounts. */
static bool mounted_at(const char *controller, char *buf, size_t cap)
{
        char line[4096], path[2048], type[64], options[1024];
        bool found = false;
        FILE *f = fopen("/proc/self/mounts", "re");
        while (f && !found && fgets(line, sizeof line, f)) {
                if (sscanf(line, "%*s %2047s %63s %1023s", path, type, options) != 3)
                        continue;
                found = controller[0] ? strcmp(type, "cgroup") == 0 && names(options, controller)
                                      : strcmp(type, "cgroup2") == 0;
                if (found)
                        mv_fmt(buf, cap, "%s", path);
        }
        if (f)
                fclose(f);
        return found;
}

static int own_dir(const char *controller)
{
        char at[2048], path[1024], whole[3200];
        if (!mounted_at(controller, at, sizeof at) || !own_path(controller, path, sizeof path))
                return -ENOENT;
        mv_fmt(whole, sizeof whole, "%s%s", at, path);
        int fd = open(whole, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

/* --- what can be had -------------------------------------------------------------------------- */

static void sweep(int dir_fd)
{
        int copy = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *d = copy >= 0 ? fdopendir(copy) : NULL;
        for (struct dirent *e; d && (e = readdir(d));) {
                char *end;
                if (strncmp(e->d_name, PREFIX, sizeof PREFIX - 1) != 0)
                        continue;
                long pid = strtol(e->d_name + sizeof PREFIX - 1, &end, 10);
                if (pid > 0 && *end == '-' && kill((pid_t)pid, 0) < 0 && errno == ESRCH)
                        unlinkat(dir_fd, e->d_name, AT_REMOVEDIR);
        }
        if (d)
                closedir(d);
}

static void lacks(struct mv_sys_groups *g, const char *what, const char *why)
{
        size_t n = strlen(g->missing);
        mv_fmt(g->missing + n, sizeof g->missing - n, "%s%s: %s", n ? "; " : "", what, why);
}

/* Can a group be made there? The only honest way to know. */
static int try_make(int dir_fd)
{
        static atomic_uint tries;
        char name[48];
        mv_fmt(name, sizeof name, PREFIX "%d-try%u", (int)getpid(), atomic_fetch_add(&tries, 1));
        if (mkdirat(dir_fd, name, 0755) < 0)
                return errno;
        unlinkat(dir_fd, name, AT_REMOVEDIR);
        return 0;
}

static void find_old(struct mv_sys_groups *g)
{
        g->version = 1;
        for (int i = 0; i < MV_SYS_CONTROLLERS; i++) {
                int fd = own_dir(controllers[i]);
                int error = fd < 0 ? -fd : try_make(fd);
                if (!error) {
                        g->dirs[i] = fd;
                        sweep(fd);
                        continue;
                }
                if (fd >= 0)
                        close(fd);
                if (i != MV_SYS_CPUACCT)
                        lacks(g, controllers[i],
                              error == ENOENT ? "its hierarchy is not mounted"
                                              : mv__errno_text(error));
        }
}

/* The controllers must be handed down to our own group's children, which the kernel refuses while
 * processes are in it, except in the root group. */
static void find_unified(struct mv_sys_groups *g)
{
        g->version = 2;
        int fd = own_dir("");
        int error = fd < 0 ? -fd : 0;
        if (!error)
                error = write_at(fd, ".", "cgroup.subtree_control", "+memory +pids +cpu");
        if (!error)
                error = try_make(fd);
        if (error) {
                lacks(g, "memory, cpu, pids",
                      error == EBUSY
                              ? "this process is itself in the group that would have to hand them "
                                "down (run it under "
                                "`systemd-run --user --scope -p Delegate=yes`, in a child group)"
                              : mv__errno_text(error));
                if (fd >= 0)
                        close(fd);
                return;
        }
        sweep(fd);
        g->dirs[MV_SYS_MEMORY] = fd;
}

static bool unified_has_memory(void)
{
        char at[2048], path[2100], text[512];
        if (!mounted_at("", at, sizeof at))
                return false;
        mv_fmt(path, sizeof path, "%s/cgroup.controllers", at);
        mv_auto_fd fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
        text[n > 0 ? n : 0] = 0;
        return strstr(text, "memory") != NULL;
}

void mv_sys_groups_find(struct mv_sys_groups *ret)
{
        char at[2048];
        *ret = (struct mv_sys_groups){ .dirs = { -1, -1, -1, -1 } };
        if (unified_has_memory())
                find_unified(ret);
        else if (mounted_at("memory", at, sizeof at) || mounted_at("pids", at, sizeof at))
                find_old(ret);
        else
                lacks(ret, "memory, cpu, pids", "no control group hierarchy is mounted");
}

void mv_sys_groups_done(struct mv_sys_groups *g)
{
        for (int i = 0; i < MV_SYS_CONTROLLERS; i++)
                mv_fd_closep(&g->dirs[i]);
}

/* --- one group -------------------------------------------------------------------------------- */

struct limit_file {
        const char *file;
        uint64_t value;
        bool optional; /* not every kernel was built with it */
};

static int write_limits(int dir_fd, const char *name, const struct limit_file *files,
                        unsigned count, struct mv_err *err)
{
        for (unsigned i = 0; i < count; i++) {
                int error = write_number(dir_fd, name, files[i].file, files[i].value);
                if (error && !(files[i].optional && error == ENOENT))
                        return mv_fail(err, MV_E_SYS, error, "limit a control group: %s",
                                       files[i].file);
        }
        return 0;
}

/* Told by the kernel, so that one process killed for memory is the end of all of them at once. */
static void oom_event_arm(struct mv_sys_group *g, int dir_fd)
{
        char text[64];
        mv_auto_fd control = open_at(dir_fd, g->name, "memory.oom_control", O_RDONLY);
        mv_auto_fd event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        mv_fmt(text, sizeof text, "%d %d", event, control);
        if (control < 0 || event < 0 ||
            write_at(dir_fd, g->name, "cgroup.event_control", text) != 0)
                return;
        g->oom_event_fd = mv_fd_take(&event);
        g->oom_fd = mv_fd_take(&control);
}

static int limit_old(struct mv_sys_group *g, enum mv_sys_controller c,
                     const struct mv_sys_group_limits *l, struct mv_err *err)
{
        const struct limit_file memory[] = {
                { "memory.limit_in_bytes", l->memory_bytes_max, false },
                { "memory.memsw.limit_in_bytes", l->memory_bytes_max, true },
                { "memory.swappiness", 0, true }
        };
        const struct limit_file cpu[] = {
                { "cpu.cfs_period_us", CPU_PERIOD_US, false },
                { "cpu.cfs_quota_us", (uint64_t)l->cpu_percent * CPU_PERIOD_US / 100, false }
        };
        const struct limit_file pids[] = { { "pids.max", l->pids_max, false } };
        int dir = g->in->dirs[c];
        switch (c) {
        case MV_SYS_MEMORY:
                g->peak_fd = open_at(dir, g->name, "memory.max_usage_in_bytes", O_RDONLY);
                oom_event_arm(g, dir);
                return write_limits(dir, g->name, memory, 3, err);
        case MV_SYS_CPU:
                return write_limits(dir, g->name, cpu, 2, err);
        case MV_SYS_PIDS:
                return write_limits(dir, g->name, pids, 1, err);
        default:
                g->usage_fd = open_at(dir, g->name, "cpuacct.usage", O_RDONLY);
                return 0;
        }
}

static int make_old(struct mv_sys_group *g, const struct mv_sys_group_limits *l, struct mv_err *err)
{
        for (int i = 0; i < MV_SYS_CONTROLLERS; i++) {
                if (g->in->dirs[i] < 0 || (i == MV_SYS_CPUACCT && !l->cpu_time))
                        continue;
                if (mkdirat(g->in->dirs[i], g->name, 0755) < 0)
                        return mv_fail(err, MV_E_SYS, errno, "make a control group of %s",
                                       controllers[i]);
                g->made[i] = true;
                int r = limit_old(g, (enum mv_sys_controller)i, l, err);
                if (r < 0)
                        return r;
                int fd = open_at(g->in->dirs[i], g->name, "tasks", O_WRONLY);
                if (fd < 0)
                        return mv_fail(err, MV_E_SYS, errno,
                                       "open the members of a control group of %s", controllers[i]);
                g->join_fds[g->join_count++] = fd;
        }
        return 0;
}

static int make_unified(struct mv_sys_group *g, const struct mv_sys_group_limits *l,
                        struct mv_err *err)
{
        int dir = g->in->dirs[MV_SYS_MEMORY];
        char cpu[48];
        const struct limit_file files[] = { { "memory.max", l->memory_bytes_max, false },
                                            { "memory.swap.max", 0, true },
                                            { "memory.oom.group", 1, true },
                                            { "pids.max", l->pids_max, false } };
        if (mkdirat(dir, g->name, 0755) < 0)
                return mv_fail(err, MV_E_SYS, errno, "make a control group");
        g->made[MV_SYS_MEMORY] = true;
        int r = write_limits(dir, g->name, files, 4, err);
        if (r < 0)
                return r;
        mv_fmt(cpu, sizeof cpu, "%u %u", l->cpu_percent * (CPU_PERIOD_US / 100), CPU_PERIOD_US);
        int error = write_at(dir, g->name, "cpu.max", cpu);
        if (error)
                return mv_fail(err, MV_E_SYS, error, "limit a control group: cpu.max");
        g->dir_fd = openat(dir, g->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (g->dir_fd < 0)
                return mv_fail(err, MV_E_SYS, errno, "open a control group");
        g->usage_fd = open_at(dir, g->name, "cpu.stat", O_RDONLY);
        g->peak_fd = open_at(dir, g->name, "memory.peak", O_RDONLY);
        g->oom_fd = open_at(dir, g->name, "memory.events", O_RDONLY);
        return 0;
}

int mv_sys_group_make(const struct mv_sys_groups *g, const struct mv_sys_group_limits *l,
                      struct mv_sys_group *ret, struct mv_err *err)
{
        static atomic_uint number;
        struct mv_sys_group made = MV_SYS_GROUP_NONE;
        made.in = g;
        made.limits = *l;
        mv_fmt(made.name, sizeof made.name, PREFIX "%d-%u", (int)getpid(),
               atomic_fetch_add(&number, 1));
        int r = 0;
        if (g->version == 1)
                r = make_old(&made, l, err);
        else if (g->version == 2 && g->dirs[MV_SYS_MEMORY] >= 0)
                r = make_unified(&made, l, err);
        if (r < 0) {
                mv_sys_group_done(&made);
                return r;
        }
        *ret = made;
        return 0;
}

static uint64_t cpu_ns_now(const struct mv_sys_group *g)
{
        return g->in->version == 2 ? number_in(g->usage_fd, "usage_usec ") * 1000
                                   : number_in(g->usage_fd, "");
}

static bool limits_same(const struct mv_sys_group_limits *a, const struct mv_sys_group_limits *b)
{
        return a->memory_bytes_max == b->memory_bytes_max && a->cpu_percent == b->cpu_percent &&
               a->pids_max == b->pids_max && a->cpu_time == b->cpu_time;
}

/* The kernel tells first and kills then; who was killed by us in between is not counted, but told of. */
static bool was_full(const struct mv_sys_group *g)
{
        struct pollfd told = { g->oom_event_fd, POLLIN, 0 };
        return number_in(g->oom_fd, "oom_kill ") != 0 || poll(&told, 1, 0) != 0;
}

bool mv_sys_group_again(struct mv_sys_group *g, const struct mv_sys_group_limits *l)
{
        if (!g->in || g->in->version != 1 || g->peak_fd < 0 || !limits_same(&g->limits, l))
                return false;
        int dir = g->in->dirs[MV_SYS_MEMORY];
        mv_auto_fd usage = open_at(dir, g->name, "memory.usage_in_bytes", O_RDONLY);
        mv_auto_fd members = open_at(dir, g->name, "tasks", O_RDONLY);
        char byte;
        if (usage < 0 || number_in(usage, "") > l->memory_bytes_max / REST_PART_MAX ||
            members < 0 || read(members, &byte, 1) != 0 || was_full(g))
                return false;
        if (g->usage_fd >= 0)
                g->cpu_ns_before = cpu_ns_now(g);
        return write_number(dir, g->name, "memory.max_usage_in_bytes", 0) == 0;
}

/* Version 1 counts swap in a second limit, which may never be the smaller one; a kernel without it
 * has no such file. */
static int memory_limit_move(const struct mv_sys_group *g, uint64_t bytes)
{
        static const char both[] = "memory.memsw.limit_in_bytes";
        int dir = g->in->dirs[MV_SYS_MEMORY];
        if (g->in->version == 2)
                return write_number(dir, g->name, "memory.max", bytes);
        write_number(dir, g->name, both, bytes); /* first when it goes up, last when down */
        int error = write_number(dir, g->name, "memory.limit_in_bytes", bytes);
        if (!error)
                error = write_number(dir, g->name, both, bytes);
        return error == ENOENT ? 0 : error;
}

static int cpu_share_set(const struct mv_sys_group *g, uint32_t percent)
{
        char text[48];
        uint32_t quota = percent * (CPU_PERIOD_US / 100);
        if (g->in->version == 2) {
                mv_fmt(text, sizeof text, "%u %u", quota, CPU_PERIOD_US);
                return write_at(g->in->dirs[MV_SYS_MEMORY], g->name, "cpu.max", text);
        }
        return g->made[MV_SYS_CPU]
                       ? write_number(g->in->dirs[MV_SYS_CPU], g->name, "cpu.cfs_quota_us", quota)
                       : 0;
}

int mv_sys_group_begin(struct mv_sys_group *g, uint64_t memory_bytes_max, uint32_t cpu_percent,
                       struct mv_err *err)
{
        if (!g->in || !g->name[0])
                return 0;
        if (g->usage_fd >= 0)
                g->cpu_ns_before = cpu_ns_now(g);
        if (g->peak_fd < 0)
                return 0;
        int dir = g->in->dirs[MV_SYS_MEMORY];
        bool old = g->in->version == 1;
        mv_auto_fd usage =
                open_at(dir, g->name, old ? "memory.usage_in_bytes" : "memory.current", O_RDONLY);
        g->memory_bytes_before = number_in(usage, "");
        int error = memory_limit_move(g, g->memory_bytes_before + memory_bytes_max);
        if (error)
                return mv_fail(err, MV_E_SYS, error, "limit the memory of a control group");
        if (old)
                write_number(dir, g->name, "memory.max_usage_in_bytes", 0);
        error = cpu_share_set(g, cpu_percent);
        return error ? mv_fail(err, MV_E_SYS, error, "limit the share of a control group") : 0;
}

uint64_t mv_sys_group_cpu_ns(const struct mv_sys_group *g)
{
        return g->usage_fd < 0 ? 0 : cpu_ns_now(g) - g->cpu_ns_before;
}

uint64_t mv_sys_group_memory_peak(const struct mv_sys_group *g)
{
        uint64_t peak = number_in(g->peak_fd, "");
        return peak > g->memory_bytes_before ? peak - g->memory_bytes_before : 0;
}

uint64_t mv_sys_group_oom_kills(const struct mv_sys_group *g)
{
        return number_in(g->oom_fd, "oom_kill ");
}

static void remove_group(int dir_fd, const char *name)
{
        const struct timespec moment = { 0, 200000 };
        for (int i = 0;
             i < REMOVE_TRIES && unlinkat(dir_fd, name, AT_REMOVEDIR) < 0 && errno == EBUSY; i++)
                nanosleep(&moment, NULL);
}

void mv_sys_group_forget(struct mv_sys_group *g)
{
        for (unsigned i = 0; i < g->join_count; i++)
                mv_fd_closep(&g->join_fds[i]);
        mv_fd_closep(&g->dir_fd);
        mv_fd_closep(&g->usage_fd);
        mv_fd_closep(&g->peak_fd);
        mv_fd_closep(&g->oom_fd);
        mv_fd_closep(&g->oom_event_fd);
}

void mv_sys_group_done(struct mv_sys_group *g)
{
        mv_sys_group_forget(g);
        for (int i = 0; i < MV_SYS_CONTROLLERS; i++) {
                if (g->made[i])
                        remove_group(g->in->dirs[i], g->name);
                g->made[i] = false;
        }
}
