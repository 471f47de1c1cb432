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
#define WRITTEN_TIMES   16u /* of what may be in its place at once: what it may write altogether */
#define HIDDEN_LOOKS    10u /* in a row */
#define IO_FD_MIN       MV_CELL_FDS_MAX
#define DEPTH_MAX       400u /* of directories in its place */
#define CHILDREN_BYTES  16384
#define DIRECTORY_BYTES 4096

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

/* (4) These files belong to root while init cannot be dumped; there is no program yet that could profit. */
static void own_files_open(struct cell *c)
{
        prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
        c->score_fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
        int io = open("/proc/self/io", O_RDONLY | O_CLOEXEC);
        c->io_fd = io < 0 ? -1 : fcntl(io, F_DUPFD_CLOEXEC, IO_FD_MIN);
        if (io >= 0)
                close(io);
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
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
        own_files_open(c);
        return error;
}

/* --- the family ------------------------------------------------------------------------------- */

static char family[FAMILY_MAX][12];
static unsigned family_count;

struct parent {
        const char *pid;
        bool there;
};

/* Every thread of a process may have children. */
static bool add_children(int proc, const char *thread, void *ctx)
{
        static char text[CHILDREN_BYTES];
        struct parent *p = ctx;
        char path[64], *at = text;
        p->there = true;
        snprintf(path, sizeof path, "%.11s/task/%.20s/children", p->pid, thread);
        int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
        if (fd >= 0)
                close(fd);
        text[n > 0 ? n : 0] = 0;
        for (char *one; family_count < FAMILY_MAX && (one = strsep(&at, " "));)
                if (one[0])
                        snprintf(family[family_count++], sizeof family[0], "%.11s", one);
        return false; /* and the next thread's */
}

/* Names of init and of all that descend from it. false: it cannot be told. */
static bool family_find(int proc)
{
        snprintf(family[0], sizeof family[0], "%d", (int)getpid());
        family_count = 1;
        bool known = true;
        for (unsigned i = 0; i < family_count && known; i++) {
                struct parent p = { family[i], false };
                (void)cell_next_thread(proc, family[i], add_children, &p);
                known = p.there || i > 0; /* one may have ended */
        }
        return known && family_count < FAMILY_MAX;
}

bool cell_family_usage(uint64_t *ret_resident_bytes, uint64_t *ret_cpu_ns)
{
        int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        *ret_resident_bytes = *ret_cpu_ns = 0;
        if (proc < 0)
                return false;
        bool known = family_find(proc);
        for (unsigned i = 0; i < family_count; i++)
                cell_usage_add(proc, family[i], i > 0, ret_resident_bytes, ret_cpu_ns);
        close(proc);
        return known;
}

static uint64_t number_behind(const char *text, const char *key)
{
        const char *at = strstr(text, key);
        return at ? strtoull(at + strlen(key), NULL, 10) : 0;
}

/* What a process has had written, and its children that were waited for; less what it took back before it was. */
static uint64_t written_bytes(int io_fd)
{
        char text[512];
        ssize_t n = pread(io_fd, text, sizeof text - 1, 0);
        text[n > 0 ? n : 0] = 0;
        uint64_t written = number_behind(text, "\nwrite_bytes: "),
                 back = number_behind(text, "\ncancelled_write_bytes: ");
        return written > back ? written - back : 0;
}

/* One that has ended has nothing left to hide, and neither has one that is ending: while its memory is gone and it is no zombie yet,
 * which takes long where many want the processor, its files belong to root. */
static bool has_ended(int proc, const char *pid)
{
        char path[32], text[512];
        unsigned long threads = 2;
        snprintf(path, sizeof path, "%.11s/stat", pid);
        int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
        if (fd >= 0)
                close(fd);
        text[n > 0 ? n : 0] = 0;
        const char *at = strrchr(text, ')');
        if (!at)
                return true;
        unsigned long memory =
                1; /* the 20th is the number of its threads, the 23rd the size of its memory */
        (void)!sscanf(at,
                      ") %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %lu "
                      "%*s %*s %lu",
                      &threads, &memory);
        bool gone = memory == 0 || strncmp(at, ") Z", 3) == 0 || strncmp(at, ") X", 3) == 0;
        return gone && threads < 2; /* the first thread may end before the others */
}

/* Of the whole process, asked of any of its threads; false: nobody may read it. */
static bool account_of(int proc, const char *thread, void *bytes)
{
        char path[32];
        snprintf(path, sizeof path, "%.11s/io", thread);
        int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return false;
        *(uint64_t *)bytes += written_bytes(fd);
        close(fd);
        return true;
}

/* Also what has no name any more, or never gets one: it all had to be written. false: somebody cannot be looked at. */
static bool written_by(int proc, const char *pid, uint64_t *bytes)
{
        return account_of(proc, pid, bytes) || cell_next_thread(proc, pid, account_of, bytes) ||
               has_ended(proc, pid);
}

static bool family_written(const struct cell *c, uint64_t *ret_bytes)
{
        int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        *ret_bytes = written_bytes(c->io_fd);
        bool known = proc >= 0 && family_find(proc);
        for (unsigned i = 1; i < family_count && proc >= 0; i++)
                known &= written_by(proc, family[i], ret_bytes);
        if (proc >= 0)
                close(proc);
        return known;
}

/* A process on its way into a program cannot be looked at for a moment; one that stays so hides. */
static bool wrote_too_much(const struct cell *c)
{
        static unsigned hidden;
        uint64_t bytes;
        if (c->io_fd < 0) /* this kernel keeps no such account */
                return false;
        hidden = family_written(c, &bytes) ? 0 : hidden + 1;
        return hidden > HIDDEN_LOOKS || bytes > c->place_bytes_max * WRITTEN_TIMES;
}

/* --- the place -------------------------------------------------------------------------------- */

struct count {
        uint64_t bytes_left, entries_left;
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
        struct count left = { c->place_bytes_max, c->place_entries_max };
        int fd = open(c->place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 || !tree_fits(fd, &left, 0) || wrote_too_much(c);
}
