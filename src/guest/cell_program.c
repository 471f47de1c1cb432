/* SPDX-License-Identifier: Apache-2.0 */
/* The last steps before the program: a one-way door. They run in the program's own process, on
 * init's memory, which is suspended meanwhile.
 *
 * Order: descriptors and session (need nothing) -> rlimits -> no_new_privs -> capabilities (no
 * mount or name is left to be made) -> Landlock (needs no_new_privs, opens paths) -> seccomp
 * (forbids all of the above) -> exec. */
#include <errno.h>
#include <fcntl.h>
#include <guest/cell.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Layouts of linux/landlock.h: the header of the machine that builds may be older than the kernel
 * that runs. */
struct landlock_ruleset {
        uint64_t handled_files, handled_network, scopes;
};
struct landlock_path {
        uint64_t access;
        int32_t fd;
} __attribute__((packed));
#define LANDLOCK_PATH 1
struct landlock_port {
        uint64_t access, port;
};
#define LANDLOCK_PORT        2
#define LANDLOCK_CONNECT_TCP 2

#define STRINGS_MAX 1024

static int limit(struct cell *c, struct mv_cur *plan)
{
        uint32_t resource = mv_get_u32(plan);
        uint64_t value = mv_get_u64(plan);
        struct rlimit now;
        cell_step(c, "set resource limit %u", resource);
        if (getrlimit((int)resource, &now) < 0)
                return errno;
        if (value > now.rlim_max) /* only ever down */
                value = now.rlim_max;
        struct rlimit lower = { value, value };
        return setrlimit((int)resource, &lower) < 0 ? errno : 0;
}

static int privileges_drop(struct cell *c)
{
        struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
        struct __user_cap_data_struct none[2] = { { 0 } };
        cell_step(c, "drop every capability");
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return errno;
        for (int cap = 0; prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0; cap++)
                ;
        /* Past the last capability this kernel knows. Who is confined never had one to drop it with: no_new_privs keeps the
         * bounding set from being given to anybody. */
        if (errno != EINVAL && !(c->confined && errno == EPERM))
                return errno;
        if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
                return errno;
        return syscall(SYS_capset, &head, none) < 0 ? errno : 0;
}

static int landlock_rule(int ruleset, const char *path, uint64_t access)
{
        struct open_how how = { .flags = O_PATH | O_CLOEXEC,
                                .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS };
        struct landlock_path rule = { access,
                                      (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how) };
        if (rule.fd < 0)
                return errno;
        long r = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_PATH, &rule, 0);
        int error = r < 0 ? errno : 0;
        close(rule.fd);
        return error;
}

static int landlock(struct cell *c, struct mv_cur *plan)
{
        struct landlock_ruleset rules;
        rules.handled_files = mv_get_u64(plan);
        rules.handled_network = mv_get_u64(plan);
        rules.scopes = mv_get_u64(plan);
        uint16_t port = mv_get_u16(plan);
        size_t size = mv_get_u32(plan);
        uint32_t count = mv_get_u32(plan);
        cell_step(c, "make the Landlock rules");
        int fd = (int)syscall(SYS_landlock_create_ruleset, &rules, size, 0);
        int error = fd < 0 ? errno : 0;
        struct landlock_port connect = { LANDLOCK_CONNECT_TCP, port };
        if (!error && port && syscall(SYS_landlock_add_rule, fd, LANDLOCK_PORT, &connect, 0) < 0)
                error = errno;
        for (uint32_t i = 0; i < count; i++) {
                const char *path = cell_str(plan);
                uint64_t access = mv_get_u64(plan);
                if (!error)
                        error = landlock_rule(fd, path, access);
        }
        if (!error && syscall(SYS_landlock_restrict_self, fd, 0) < 0)
                error = errno;
        if (fd >= 0)
                close(fd);
        return error;
}

static int filter(struct cell *c, struct mv_cur *plan)
{
        struct mv_slice code = cell_blob(plan);
        struct sock_fprog prog = { (unsigned short)(code.len / sizeof(struct sock_filter)),
                                   (struct sock_filter *)(uintptr_t)code.p };
        cell_step(c, "install the system call filter");
        return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0 ? errno : 0;
}

static char **strings(struct mv_cur *plan, char **into)
{
        uint32_t count = mv_get_u32(plan);
        if (count >= STRINGS_MAX)
                _exit(MV_CELL_EXIT_MUTE);
        for (uint32_t i = 0; i < count; i++)
                into[i] = (char *)(uintptr_t)cell_str(plan);
        into[count] = NULL;
        return into;
}

/* Everything but the streams and the door goes. The control socket waits behind them for what is left of
 * the plan, and does not survive exec. */
static int descriptors(struct cell *c, uint8_t has)
{
        cell_step(c, "arrange the descriptors");
        int in = has & MV_CELL_HAS_INPUT ? MV_CELL_FD_INPUT : open("/dev/null", O_RDONLY);
        int behind = has & MV_CELL_HAS_DOOR ? MV_CELL_FD_DOOR + 1 : MV_CELL_FD_DOOR;
        int control = fcntl(MV_CELL_FD_CONTROL, F_DUPFD, MV_CELL_FDS_MAX);
        if (in < 0 || control < 0 || dup2(in, 0) < 0 || dup3(control, behind, O_CLOEXEC) < 0)
                return errno;
        c->control_fd = behind;
        return syscall(SYS_close_range, behind + 1, ~0u, 0) < 0 ? errno : 0;
}

/* It was the last reader: nobody waits for a descriptor that the program must not have. */
static struct mv_cur last_part(struct cell *c)
{
        struct mv_cur part = cell_part(c);
        close(c->control_fd);
        return part;
}

/* Seccomp stands by now: only what the filter admits may be called. */
static int execute(struct cell *c, struct mv_cur *plan)
{
        static char *argv[STRINGS_MAX], *env[STRINGS_MAX];
        const char *path = cell_str(plan), *directory = cell_str(plan);
        strings(plan, argv);
        strings(plan, env);
        cell_step(c, "enter the directory %s", directory);
        if (chdir(directory) < 0)
                return errno;
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        cell_step(c, "execute %s", path);
        execve(path, argv, env);
        return errno;
}

static int step(struct cell *c, enum mv_cell_op op, struct mv_cur *plan)
{
        switch (op) {
        case MV_CELL_LIMIT:
                return limit(c, plan);
        case MV_CELL_LANDLOCK:
                return landlock(c, plan);
        case MV_CELL_FILTER:
                return filter(c, plan);
        case MV_CELL_MORE:
                *plan = last_part(c);
                return 0;
        case MV_CELL_EXEC:
                return execute(c, plan);
        default:
                cell_step(c, "a step of the plan that this init does not know");
                return EINVAL;
        }
}

/* Init's own descriptors are untouched by what happens to these; the numbers in `c` are shared, so the
 * program's process works on a copy. */
static int steps(struct cell *c, struct mv_cur *plan)
{
        uint8_t has = mv_get_u8(plan);
        cell_step(c, "start a session");
        if (setsid() < 0)
                return errno;
        if (c->confined) /* should somebody outside end init, at least this one goes with it */
                prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        int error = descriptors(c, has);
        bool dropped = false;
        while (!error && !plan->bad) {
                enum mv_cell_op op = mv_get_u8(plan);
                if (op != MV_CELL_LIMIT && !dropped) {
                        error = privileges_drop(c);
                        dropped = true;
                }
                if (!error)
                        error = step(c, op, plan);
        }
        return error ? error : EINVAL;
}

int cell_program(struct cell *c, struct mv_cur *plan)
{
        struct cell own = *c;
        int error = steps(&own, plan);
        memcpy(c->step, own.step, sizeof c->step);
        return error;
}
