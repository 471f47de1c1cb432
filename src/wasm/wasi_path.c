/* SPDX-License-Identifier: Apache-2.0 */
/* WASI's paths: names below a directory that the module has, and nowhere else ((3) of wasi.h).
 *
 * (1) The kernel is never given more than one component, and never follows a link for us: what leads outside
 *     is refused here, and a race can only turn a name into ELOOP.
 * (2) ".." is the directory the walk came through, held open since; the kernel's ".." is not used. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "link.h"
#include "wasi.h"

typedef struct Z_wasi_snapshot_preview1_instance_t module;
#define WASI(name) Z_wasi_snapshot_preview1Z_##name

#define DEPTH_MAX 64
#define LINKS_MAX 8
#define FOLLOW    1u /* lookupflags */

struct walk {
        int fds[DEPTH_MAX]; /* the first is borrowed */
        unsigned depth;
        unsigned links;
        char rest[2 * WASI_PATH_MAX];
        char name[256]; /* the last component; "." is the directory itself */
};

static int here(const struct walk *w)
{
        return w->fds[w->depth - 1];
}

static void walk_done(struct walk *w)
{
        while (w->depth > 1)
                close(w->fds[--w->depth]);
}

/* The first component of rest goes to name. more: others follow; slash: at least a slash does. */
static uint32_t take(struct walk *w, bool *more, bool *slash)
{
        size_t skip = strspn(w->rest, "/"), len = strcspn(w->rest + skip, "/");
        if (len >= sizeof w->name)
                return WE_NAMETOOLONG;
        memcpy(w->name, w->rest + skip, len);
        w->name[len] = 0;
        const char *behind = w->rest + skip + len;
        *slash = *behind == '/';
        behind += strspn(behind, "/");
        *more = *behind != 0;
        memmove(w->rest, behind, strlen(behind) + 1);
        return WE_OK;
}

/* The link's text takes the place of its name. */
static uint32_t expand(struct walk *w, const char *target, size_t len)
{
        char rest[sizeof w->rest];
        if (len == 0 || target[0] == '/')
                return WE_NOTCAPABLE;
        if (++w->links > LINKS_MAX)
                return WE_LOOP;
        size_t left = strlen(w->rest);
        if (len + 1 + left >= sizeof rest)
                return WE_NAMETOOLONG;
        memcpy(rest, target, len);
        rest[len] = left ? '/' : 0;
        memcpy(rest + len + 1, w->rest, left);
        rest[len + 1 + left] = 0;
        memcpy(w->rest, rest, len + left + 2);
        return WE_OK;
}

static uint32_t enter(struct walk *w)
{
        if (w->depth == DEPTH_MAX)
                return WE_NAMETOOLONG;
        int fd = openat(here(w), w->name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return wasi_error(errno);
        w->fds[w->depth++] = fd;
        return WE_OK;
}

static void stay(struct walk *w)
{
        w->name[0] = '.';
        w->name[1] = 0;
}

static uint32_t back(struct walk *w) /* (2) */
{
        if (w->depth == 1)
                return WE_NOTCAPABLE;
        close(w->fds[--w->depth]);
        return WE_OK;
}

/* One component; *ret_done: name is the last one. */
static uint32_t step(struct walk *w, bool follow, bool *ret_done)
{
        char target[WASI_PATH_MAX];
        bool more, slash;
        uint32_t e = take(w, &more, &slash);
        if (e)
                return e;
        *ret_done = !more;
        if (!w->name[0] || strcmp(w->name, ".") == 0) {
                stay(w);
                return WE_OK;
        }
        if (strcmp(w->name, "..") == 0) {
                stay(w);
                return back(w);
        }
        if (more || slash || follow) {
                ssize_t n = readlinkat(here(w), w->name, target, sizeof target);
                if (n >= 0) {
                        *ret_done = false;
                        return n < (ssize_t)sizeof target ? expand(w, target, (size_t)n)
                                                          : WE_NAMETOOLONG;
                }
        }
        if (!more)
                return WE_OK;
        return enter(w);
}

/* From dir to the directory that holds the last component. On success walk_done is owed. */
static uint32_t walk(struct walk *w, int dir, const uint8_t *path, uint32_t len, bool follow)
{
        if (len == 0)
                return WE_NOENT;
        if (len >= WASI_PATH_MAX)
                return WE_NAMETOOLONG;
        if (memchr(path, 0, len))
                return WE_INVAL;
        if (path[0] == '/')
                return WE_NOTCAPABLE;
        w->fds[0] = dir;
        w->depth = 1;
        w->links = 0;
        memcpy(w->rest, path, len);
        w->rest[len] = 0;
        uint32_t e = WE_OK;
        for (bool done = false; e == WE_OK && !done;)
                e = step(w, follow, &done);
        if (e)
                walk_done(w);
        return e;
}

/* A module's path argument from a descriptor with these rights. */
static uint32_t walk_from(struct walk *w, uint32_t fd, uint64_t rights, const uint32_t path[2],
                          bool follow)
{
        struct wasi_fd *f;
        uint32_t e = wasi_fd_get(fd, rights, &f);
        if (e)
                return e;
        if (f->type != T_DIRECTORY)
                return WE_NOTDIR;
        const uint8_t *p = wasi_at(path[0], path[1]);
        return p ? walk(w, f->fd, p, path[1], follow) : WE_FAULT;
}

static uint32_t walk_end(struct walk *w, int result)
{
        uint32_t e = result < 0 ? wasi_error(errno) : WE_OK;
        walk_done(w);
        return e;
}

/* --- opening ---------------------------------------------------------------------------------- */

#define O_CREATE_    1u /* WASI's oflags */
#define O_DIRECTORY_ 2u
#define O_EXCLUSIVE_ 4u
#define O_TRUNCATE_  8u

static int open_flags(uint32_t oflags, uint32_t fdflags, uint64_t rights)
{
        bool writes = rights & (R_FD_WRITE | R_FD_ALLOCATE | R_FD_FILESTAT_SET_SIZE);
        int flags = O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK;
        flags |= !writes ? O_RDONLY : rights & (R_FD_READ) ? O_RDWR : O_WRONLY;
        flags |= oflags & O_CREATE_ ? O_CREAT : 0;
        flags |= oflags & O_DIRECTORY_ ? O_DIRECTORY : 0;
        flags |= oflags & O_EXCLUSIVE_ ? O_EXCL : 0;
        flags |= oflags & O_TRUNCATE_ ? O_TRUNC : 0;
        flags |= fdflags & 1 ? O_APPEND : 0;
        return flags;
}

static uint64_t rights_needed(uint32_t oflags)
{
        return R_PATH_OPEN | (oflags & O_CREATE_ ? R_PATH_CREATE_FILE : 0) |
               (oflags & O_TRUNCATE_ ? R_PATH_FILESTAT_SET_SIZE : 0);
}

/* Only files and directories: a FIFO or a device in a granted directory is not opened by a module. */
static uint32_t opened(struct wasi_fd *f, uint32_t ret_ptr)
{
        struct stat st;
        if (fstat(f->fd, &st) < 0 || (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))) {
                close(f->fd);
                return WE_NOTSUP;
        }
        f->type = wasi_type_of(st.st_mode);
        if (f->type == T_DIRECTORY)
                f->rights &= ~(R_FD_SEEK | R_FD_TELL | R_FD_READ | R_FD_WRITE);
        return wasi_fd_add(f, ret_ptr);
}

uint32_t WASI(path_open)(module *m, uint32_t fd, uint32_t lookup, uint32_t path, uint32_t len,
                         uint32_t oflags, uint64_t rights, uint64_t inherited, uint32_t fdflags,
                         uint32_t ret_ptr)
{
        struct walk w;
        struct wasi_fd *dir;
        uint32_t e = wasi_fd_get(fd, rights_needed(oflags), &dir);
        if (e)
                return e;
        if ((rights | inherited) & ~dir->inherited) /* (2) of wasi.h */
                return WE_NOTCAPABLE;
        if (oflags > 15 || fdflags > 31)
                return WE_INVAL;
        struct wasi_fd f = { .flags = (uint16_t)fdflags, .rights = rights, .inherited = inherited };
        e = walk_from(&w, fd, 0, (uint32_t[]){ path, len },
                      lookup & FOLLOW && !(oflags & O_EXCLUSIVE_));
        if (e)
                return e;
        f.fd = openat(here(&w), w.name, open_flags(oflags, fdflags, rights), 0644);
        e = walk_end(&w, f.fd);
        return e ? e : opened(&f, ret_ptr);
}

/* --- the rest --------------------------------------------------------------------------------- */

uint32_t WASI(path_filestat_get)(module *m, uint32_t fd, uint32_t lookup, uint32_t path,
                                 uint32_t len, uint32_t ret_ptr)
{
        struct walk w;
        struct stat st;
        uint32_t e =
                walk_from(&w, fd, R_PATH_FILESTAT_GET, (uint32_t[]){ path, len }, lookup & FOLLOW);
        if (e)
                return e;
        e = walk_end(&w, fstatat(here(&w), w.name, &st, AT_SYMLINK_NOFOLLOW));
        return e ? e : wasi_put_stat(ret_ptr, &st);
}

uint32_t WASI(path_filestat_set_times)(module *m, uint32_t fd, uint32_t lookup, uint32_t path,
                                       uint32_t len, uint64_t atim, uint64_t mtim, uint32_t flags)
{
        struct wasi_fd *f;
        uint32_t e = wasi_fd_get(fd, R_PATH_FILESTAT_SET_TIMES, &f);
        return e ? e : WE_NOTSUP;
}

uint32_t WASI(path_create_directory)(module *m, uint32_t fd, uint32_t path, uint32_t len)
{
        struct walk w;
        uint32_t e = walk_from(&w, fd, R_PATH_CREATE_DIRECTORY, (uint32_t[]){ path, len }, false);
        return e ? e : walk_end(&w, mkdirat(here(&w), w.name, 0755));
}

uint32_t WASI(path_remove_directory)(module *m, uint32_t fd, uint32_t path, uint32_t len)
{
        struct walk w;
        uint32_t e = walk_from(&w, fd, R_PATH_REMOVE_DIRECTORY, (uint32_t[]){ path, len }, false);
        return e ? e : walk_end(&w, unlinkat(here(&w), w.name, AT_REMOVEDIR));
}

uint32_t WASI(path_unlink_file)(module *m, uint32_t fd, uint32_t path, uint32_t len)
{
        struct walk w;
        uint32_t e = walk_from(&w, fd, R_PATH_UNLINK_FILE, (uint32_t[]){ path, len }, false);
        return e ? e : walk_end(&w, unlinkat(here(&w), w.name, 0));
}

uint32_t WASI(path_readlink)(module *m, uint32_t fd, uint32_t path, uint32_t len, uint32_t ptr,
                             uint32_t cap, uint32_t ret_ptr)
{
        struct walk w;
        char target[WASI_PATH_MAX];
        uint8_t *to = wasi_at(ptr, cap);
        if (!to || !wasi_at(ret_ptr, 4))
                return WE_FAULT;
        uint32_t e = walk_from(&w, fd, R_PATH_READLINK, (uint32_t[]){ path, len }, false);
        if (e)
                return e;
        ssize_t n = readlinkat(here(&w), w.name, target, sizeof target);
        e = walk_end(&w, n < 0 ? -1 : 0);
        if (e)
                return e;
        uint32_t copied = (uint32_t)n < cap ? (uint32_t)n : cap;
        memcpy(to, target, copied);
        return wasi_put32(ret_ptr, copied) ? WE_OK : WE_FAULT;
}

uint32_t WASI(path_symlink)(module *m, uint32_t old_path, uint32_t old_len, uint32_t fd,
                            uint32_t path, uint32_t len)
{
        struct walk w;
        char target[WASI_PATH_MAX];
        const uint8_t *old = wasi_at(old_path, old_len);
        if (!old)
                return WE_FAULT;
        if (old_len == 0 || old_len >= sizeof target || memchr(old, 0, old_len))
                return WE_INVAL;
        memcpy(target, old, old_len);
        target[old_len] = 0;
        if (!wasi_link_stays(target))
                return WE_NOTCAPABLE;
        uint32_t e = walk_from(&w, fd, R_PATH_SYMLINK, (uint32_t[]){ path, len }, false);
        return e ? e : walk_end(&w, symlinkat(target, here(&w), w.name));
}

/* Two walks, one operation. */
static uint32_t walk_two(struct walk *from, struct walk *to, const uint32_t a[3],
                         const uint32_t b[3], const uint64_t rights[2])
{
        uint32_t e = walk_from(from, a[0], rights[0], a + 1, false);
        if (e)
                return e;
        e = walk_from(to, b[0], rights[1], b + 1, false);
        if (e)
                walk_done(from);
        return e;
}

static uint32_t two_end(struct walk *from, struct walk *to, int result)
{
        uint32_t e = walk_end(from, result);
        walk_done(to);
        return e;
}

uint32_t WASI(path_rename)(module *m, uint32_t fd, uint32_t path, uint32_t len, uint32_t to_fd,
                           uint32_t to_path, uint32_t to_len)
{
        static const uint64_t rights[2] = { R_PATH_RENAME_SOURCE, R_PATH_RENAME_TARGET };
        struct walk w, to;
        uint32_t e = walk_two(&w, &to, (uint32_t[]){ fd, path, len },
                              (uint32_t[]){ to_fd, to_path, to_len }, rights);
        return e ? e : two_end(&w, &to, renameat(here(&w), w.name, here(&to), to.name));
}

uint32_t WASI(path_link)(module *m, uint32_t fd, uint32_t lookup, uint32_t path, uint32_t len,
                         uint32_t to_fd, uint32_t to_path, uint32_t to_len)
{
        static const uint64_t rights[2] = { R_PATH_LINK_SOURCE, R_PATH_LINK_TARGET };
        struct walk w, to;
        if (lookup & FOLLOW)
                return WE_NOTSUP;
        uint32_t e = walk_two(&w, &to, (uint32_t[]){ fd, path, len },
                              (uint32_t[]){ to_fd, to_path, to_len }, rights);
        return e ? e : two_end(&w, &to, linkat(here(&w), w.name, here(&to), to.name, 0));
}
