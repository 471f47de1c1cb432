/* SPDX-License-Identifier: Apache-2.0 */
/* guest/cell_confined.c - what stands in for namespaces where none can be made.
 *
 * (1) Init puts itself into a Landlock domain that scopes signals and nothing else. The program's domain is made
 *     inside of this one, so kill(-1) of init reaches the program's processes and nobody else's, all of them at once:
 *     the kernel holds off fork meanwhile. The program cannot signal init, which is not inside of its domain.
 * (2) That is tried before it is relied on: a kernel that lets init signal the host refuses the cell.
 * (3) Orphans become init's children, however often they forked: whoever waits for all of them has seen all of them.
 * (4) Init leads a session of its own: what is sent to the caller's process group does not end init before it has ended
 *     the family. For the same reason the kernel, short of memory, is told to take a program first. */
#include <errno.h>
#include <fcntl.h>
#include <guest/cell.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* linux/landlock.h of ABI 6 */
#define SCOPE_SIGNAL 2u
#define ACCESS_REFER (1u << 13)
#define RULE_BENEATH 1
struct landlock_rules {
        uint64_t files, network, scopes;
};
struct landlock_beneath {
        uint64_t access;
        int32_t fd;
} __attribute__((packed));

#define FAMILY_MAX      1024u
#define DEPTH_MAX       400u /* of directories in its place */
#define CHILDREN_BYTES  16384
#define DIRECTORY_BYTES 4096

struct entry64 {
        uint64_t inode;
        int64_t next;
        uint16_t len;
        uint8_t type;
        char name[];
};

/* --- confining (1) (2) (3) -------------------------------------------------------------------- */

/* Moving a file to another directory is what every domain forbids that does not say otherwise; whether the program may is for
 * its own domain to say. */
static int leave_moving(int ruleset)
{
        struct landlock_beneath everywhere = { ACCESS_REFER,
                                               open("/", O_PATH | O_DIRECTORY | O_CLOEXEC) };
        if (everywhere.fd < 0)
                return errno;
        int error = syscall(SYS_landlock_add_rule, ruleset, RULE_BENEATH, &everywhere, 0) < 0
                            ? errno
                            : 0;
        close(everywhere.fd);
        return error;
}

static int scope_signals(void)
{
        const struct landlock_rules rules = { .files = ACCESS_REFER, .scopes = SCOPE_SIGNAL };
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return errno;
        int fd = (int)syscall(SYS_landlock_create_ruleset, &rules, sizeof rules, 0);
        if (fd < 0)
                return errno;
        int error = leave_moving(fd);
        if (!error && syscall(SYS_landlock_restrict_self, fd, 0) < 0)
                error = errno;
        close(fd);
        return error;
}

/* Whatever the host is to us, it must be out of reach now. */
static int host_is_out_of_reach(void)
{
        pid_t host = getppid();
        if (host == 0)
                return 0; /* it has no number here, so there is none to send a signal to */
        return kill(host, 0) < 0 && errno == EPERM ? 0 : ENOTSUP;
}

/* (4) The file belongs to root while init cannot be dumped; there is no program yet that could profit. */
static int score_open(void)
{
        prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
        int fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
        return fd;
}

void cell_score(struct cell *c, bool program)
{
        if (c->score_fd < 0)
                return;
        if (program && pread(c->score_fd, c->score, sizeof c->score - 1, 0) <= 0)
                return;
        const char *text = program ? "1000" : c->score;
        (void)!pwrite(c->score_fd, text, strlen(text), 0);
}

int cell_confine(struct cell *c)
{
        cell_step(c, "start a session of its own");
        if (setsid() < 0)
                return errno;
        cell_step(c, "become the heir of orphans");
        if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
                return errno;
        cell_step(c, "keep signals inside of the cell (Landlock)");
        int error = scope_signals();
        if (!error)
                error = host_is_out_of_reach();
        c->confined = error == 0;
        c->score_fd = score_open();
        return error;
}

/* --- the family ------------------------------------------------------------------------------- */

static char family[FAMILY_MAX][12];
static unsigned family_count;

static void add_children(int proc, const char *pid, const char *tid)
{
        static char text[CHILDREN_BYTES];
        char path[64], *at = text;
        snprintf(path, sizeof path, "%.11s/task/%.20s/children", pid, tid);
        int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
        if (fd >= 0)
                close(fd);
        text[n > 0 ? n : 0] = 0;
        for (char *one; family_count < FAMILY_MAX && (one = strsep(&at, " "));)
                if (one[0])
                        snprintf(family[family_count++], sizeof family[0], "%.11s", one);
}

/* Every thread of a process may have children. */
static bool add_children_of(int proc, const char *pid)
{
        char buf[DIRECTORY_BYTES] __attribute__((aligned(8))), path[32];
        long n = 0;
        snprintf(path, sizeof path, "%.11s/task", pid);
        int fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return false;
        while ((n = syscall(SYS_getdents64, fd, buf, sizeof buf)) > 0)
                for (long at = 0; at < n; at += ((const struct entry64 *)(buf + at))->len) {
                        const struct entry64 *e = (const struct entry64 *)(buf + at);
                        if (e->name[0] != '.')
                                add_children(proc, pid, e->name);
                }
        close(fd);
        return true;
}

bool cell_family_usage(uint64_t *ret_resident_bytes, uint64_t *ret_cpu_ns)
{
        int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        *ret_resident_bytes = *ret_cpu_ns = 0;
        if (proc < 0)
                return false;
        snprintf(family[0], sizeof family[0], "%d", (int)getpid());
        family_count = 1;
        bool known = true;
        for (unsigned i = 0; i < family_count && known; i++) {
                cell_usage_add(proc, family[i], i > 0, ret_resident_bytes, ret_cpu_ns);
                known = add_children_of(proc, family[i]) || i > 0; /* one may have ended */
        }
        close(proc);
        return known && family_count < FAMILY_MAX;
}

/* --- the place -------------------------------------------------------------------------------- */

struct count {
        uint64_t bytes_left, entries_left;
        dev_t device;
};

static bool fits(struct count *left, uint64_t bytes)
{
        if (left->entries_left == 0 || bytes > left->bytes_left)
                return false;
        left->entries_left--;
        left->bytes_left -= bytes;
        return true;
}

/* Takes fd. The program may move what is looked at: no link is followed, and what is gone is not counted. */
static bool tree_fits(int fd, struct count *left, unsigned depth)
{
        char buf[1024] __attribute__((aligned(8)));
        struct stat st;
        bool ok = depth < DEPTH_MAX;
        long n = 0;
        while (ok && (n = syscall(SYS_getdents64, fd, buf, sizeof buf)) > 0)
                for (long at = 0; ok && at < n; at += ((const struct entry64 *)(buf + at))->len) {
                        const char *name = ((const struct entry64 *)(buf + at))->name;
                        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
                            fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                                continue;
                        ok = fits(left, (uint64_t)st.st_blocks * 512);
                        if (!ok || !S_ISDIR(st.st_mode))
                                continue;
                        int inner =
                                openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                        ok = inner >= 0 ? tree_fits(inner, left, depth + 1)
                                        : errno == ENOENT || errno == ENOTDIR || errno == ELOOP;
                }
        close(fd);
        return ok;
}

bool cell_place_full(const struct cell *c)
{
        struct count left = { c->place_bytes_max, c->place_entries_max, 0 };
        int fd = open(c->place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 || !tree_fits(fd, &left, 0);
}
