/* SPDX-License-Identifier: Apache-2.0 */
/* provider/process/private.c - directories that one program has to itself where it cannot have mounts: what /workspace, /tmp
 * and the files that were brought for it are then.
 *
 *     PARENT/microvm-PID-RANDOM/   0700, ours; where programs are somebody else: 0750, and theirs is the group
 *         workspace/               written by the program; its working directory
 *             input -> ../input, output/
 *         tmp/                     written by the program
 *         input/, opt/             what was brought; Landlock lets the program read it
 *
 * (1) It is locked before it has its name, and for as long as somebody has it: what is not locked was left by a process that
 *     is dead, wherever that ran, and is removed with the next wall.
 * (2) It is removed when nothing runs in it any more, without following a link. The program decided what is in there: no
 *     number of levels costs more than one descriptor, because what is deep is moved up, and a directory without rights
 *     gets them back first.
 * (3) The program's id has no right over the directory around its own ones. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <base/slice.h>
#include <provider/process/program.h>
#include <sys/beneath.h>
#include <sys/fd.h>

#define PREFIX     "microvm-"
#define DEPTH_MAX  32u
#define ROUNDS_MAX 100000u
#define OWN_MODE   0755

static const struct {
        const char *seen, *real;
} names[] = { { "/workspace/input", "input" }, /* before the one that it is in */
              { "/workspace", "workspace" },
              { "/tmp", "tmp" },
              { "/opt/microvm", "opt" } };

/* --- names ------------------------------------------------------------------------------------ */

void mv__private_path(const struct mv__private *p, const char *path, char *buf, size_t cap)
{
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
                size_t n = strlen(names[i].seen);
                if (strncmp(path, names[i].seen, n) != 0 || (path[n] && path[n] != '/'))
                        continue;
                mv_fmt(buf, cap, "%s/%s%s", p->path, names[i].real, path + n);
                return;
        }
        mv_fmt(buf, cap, "%s", path);
}

int mv__private_parent(char *buf, size_t cap, struct mv_err *err)
{
        const char *wish = getenv("TMPDIR");
        char *real = realpath(wish && wish[0] == '/' ? wish : "/tmp", NULL);
        size_t n = real ? mv_fmt(buf, cap, "%s", real) : 0;
        free(real);
        if (n == 0 || n == cap - 1)
                return mv_fail(
                        err, MV_E_UNAVAILABLE, 0,
                        "programs without namespaces need a directory for their files: TMPDIR or "
                        "/tmp, of at most %zu bytes",
                        cap);
        return 0;
}

/* --- removing (2) ----------------------------------------------------------------------------- */

static int open_dir(int at, const char *name)
{
        int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd >= 0 || errno != EACCES)
                return fd;
        mv_auto_fd path = openat(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        char self[64];
        mv_fmt(self, sizeof self, "/proc/self/fd/%d", path);
        return path >= 0 && chmod(self, 0700) == 0
                       ? openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                       : -1;
}

/* Everything below fd but what is too deep, which is moved to the top; takes fd. false: something is left. */
static bool empty(int fd, int top, unsigned depth, unsigned *moved)
{
        bool all = true;
        char aside[32];
        if (depth) /* whatever it was left with */
                fchmod(fd, 0700);
        DIR *d = fdopendir(fd);
        if (!d) {
                close(fd);
                return false;
        }
        for (struct dirent *e; (e = readdir(d));) {
                if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
                    unlinkat(fd, e->d_name, 0) == 0)
                        continue;
                if (depth == DEPTH_MAX) {
                        mv_fmt(aside, sizeof aside, "..%u", (*moved)++);
                        renameat(fd, e->d_name, top, aside);
                        all = false;
                        continue;
                }
                int inner = open_dir(fd, e->d_name);
                all = inner >= 0 && empty(inner, top, depth + 1, moved) &&
                      unlinkat(fd, e->d_name, AT_REMOVEDIR) == 0 && all;
        }
        closedir(d);
        return all;
}

static void remove_tree(int parent, const char *name)
{
        mv_auto_fd top = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        unsigned moved = 0, before;
        bool all = false;
        for (unsigned i = 0; top >= 0 && !all && i < ROUNDS_MAX; i++) {
                before = moved;
                int fd = openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                all = fd < 0 || empty(fd, top, 0, &moved);
                if (!all && moved == before)
                        break; /* not ours to remove */
        }
        unlinkat(parent, name, AT_REMOVEDIR);
}

void mv__private_remove(struct mv__private *p)
{
        if (!p)
                return;
        if (p->lock_fd >= 0)
                remove_tree(p->parent_fd, p->name);
        mv_fd_closep(&p->lock_fd);
        mv_fd_closep(&p->parent_fd);
        free(p);
}

/* Is it an abandoned one (1)? Then it is locked when this returns. */
static int abandoned(int parent, const char *name)
{
        struct stat st;
        int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return -1;
        if (fstat(fd, &st) == 0 && st.st_uid == geteuid() && (st.st_mode & 0027) == 0 &&
            flock(fd, LOCK_EX | LOCK_NB) == 0)
                return fd;
        close(fd);
        return -1;
}

static bool name_is_ours(const char *name)
{
        size_t n = sizeof PREFIX - 1;
        if (strncmp(name, PREFIX, n) != 0)
                return false;
        size_t digits = strspn(name + n, "0123456789");
        return digits && name[n + digits] == '-' &&
               strspn(name + n + digits + 1, "0123456789abcdef") == 16 &&
               name[n + digits + 17] == 0;
}

void mv__private_sweep(void)
{
        char parent[256];
        struct mv_err ignored;
        DIR *d = mv__private_parent(parent, sizeof parent, &ignored) == 0 ? opendir(parent) : NULL;
        for (struct dirent *e; d && (e = readdir(d));) {
                if (!name_is_ours(e->d_name))
                        continue;
                int fd = abandoned(dirfd(d), e->d_name);
                if (fd < 0)
                        continue;
                remove_tree(dirfd(d), e->d_name);
                close(fd);
        }
        if (d)
                closedir(d);
}

/* --- making ----------------------------------------------------------------------------------- */

static int make_top(struct mv__private *p, struct mv_err *err)
{
        uint64_t number;
        char unlocked[sizeof p->name + 1];
        int r = mv__private_parent(p->parent, sizeof p->parent, err);
        if (r < 0)
                return r;
        r = mv_sys_random(&number, sizeof number);
        if (r < 0)
                return mv_fail(err, MV_E_SYS, -r, "random bytes for a directory");
        mv_fmt(p->name, sizeof p->name, PREFIX "%d-%016llx", (int)getpid(),
               (unsigned long long)number);
        mv_fmt(p->path, sizeof p->path, "%s/%s", p->parent, p->name);
        p->parent_fd = open(p->parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
        mv_fmt(unlocked, sizeof unlocked, ".%s", p->name);
        if (p->parent_fd < 0 || mkdirat(p->parent_fd, unlocked, 0700) < 0)
                return mv_fail(err, MV_E_SYS, errno, "make the directory %s", p->path);
        p->lock_fd =
                openat(p->parent_fd, unlocked, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (p->lock_fd < 0 || flock(p->lock_fd, LOCK_EX | LOCK_NB) < 0 ||
            renameat(p->parent_fd, unlocked, p->parent_fd, p->name) < 0) {
                int error = errno;
                unlinkat(p->parent_fd, unlocked, AT_REMOVEDIR);
                return mv_fail(err, MV_E_SYS, error, "lock the directory %s", p->path);
        }
        /* The program's id, which is its group's too, looks and goes through, and that is all (3). */
        if (p->owner &&
            (fchown(p->lock_fd, geteuid(), p->owner) < 0 || fchmod(p->lock_fd, 0750) < 0))
                return mv_fail(err, MV_E_SYS, errno, "open the directory %s", p->path);
        return 0;
}

static int make_dirs(struct mv__private *p, struct mv_err *err)
{
        static const struct {
                const char *path;
                bool owned;
        } dirs[] = { { "input", false },
                     { "opt", false },
                     { "workspace", true },
                     { "workspace/output", true },
                     { "tmp", true } };
        for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++)
                if (mkdirat(p->lock_fd, dirs[i].path, OWN_MODE) < 0 ||
                    fchmodat(p->lock_fd, dirs[i].path, OWN_MODE, 0) < 0 ||
                    (p->owner && dirs[i].owned &&
                     fchownat(p->lock_fd, dirs[i].path, p->owner, p->owner, 0) < 0))
                        return mv_fail(err, MV_E_SYS, errno, "make the directory %s/%s", p->path,
                                       dirs[i].path);
        if (symlinkat("../input", p->lock_fd, "workspace/input") < 0)
                return mv_fail(err, MV_E_SYS, errno, "make the link %s/workspace/input", p->path);
        return 0;
}

static int write_file(const char *path, const struct mv_program_file *f)
{
        mv_auto_fd fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return errno;
        for (size_t at = 0; at < f->bytes.len;) {
                ssize_t n = write(fd, f->bytes.p + at, f->bytes.len - at);
                if (n < 0 && errno != EINTR)
                        return errno;
                at += n > 0 ? (size_t)n : 0;
        }
        return fchmod(fd, f->executable ? 0555 : 0444) < 0 ? errno : 0;
}

static int put_files(struct mv__private *p, const struct mv_program_spec *s, struct mv_err *err)
{
        char path[512];
        for (uint32_t i = 0; i < s->files_count; i++) {
                mv__private_path(p, s->files[i].path, path, sizeof path);
                int error = strcmp(path, s->files[i].path) == 0 ? EINVAL
                                                                : write_file(path, &s->files[i]);
                if (error)
                        return mv_fail(err, MV_E_SYS, error, "put the file %s there",
                                       s->files[i].path);
        }
        return 0;
}

int mv__private_make(const struct mv_program_spec *s, uint32_t owner, struct mv__private **ret,
                     struct mv_err *err)
{
        struct mv__private *p = calloc(1, sizeof *p);
        if (!p)
                return mv_fail(err, MV_E_NOMEM, 0, "the place of a program");
        *p = (struct mv__private){ .parent_fd = -1, .lock_fd = -1, .owner = owner };
        int r = make_top(p, err);
        if (r == 0)
                r = make_dirs(p, err);
        if (r == 0)
                r = put_files(p, s, err);
        if (r < 0) {
                mv__private_remove(p);
                return r;
        }
        *ret = p;
        return 0;
}
