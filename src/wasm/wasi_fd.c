/* SPDX-License-Identifier: Apache-2.0 */
/* WASI's descriptors: 0 reads the input, 1 and 2 are the streams, from 3 on the preopened directories.
 *
 * (1) The door's descriptor (3 of the kernel) is in no table: a module's number reaches only what the table holds.
 * (2) Vectors are read one by one: an element is checked, then used; the count is bounded first.
 * (3) Directories are opened when a descriptor beyond the streams is first asked for: a module that needs none opens
 *     none. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "wasi.h"

typedef struct Z_wasi_snapshot_preview1_instance_t module;
#define WASI(name) Z_wasi_snapshot_preview1Z_##name

#define INPUT_PATH       "/workspace/input/input.json"
#define STREAM_RIGHTS    (R_FD_FILESTAT_GET | R_POLL_FD_READWRITE | R_FD_FDSTAT_SET_FLAGS)
#define DIRECTORY_RIGHTS (R_ALL & ~(R_FD_READ | R_FD_WRITE | R_FD_SEEK | R_FD_TELL | R_FD_ALLOCATE))

#define F_APPEND_  1u /* WASI's fdflags */
#define F_NONBLOCK 4u
#define F_SYNC_    (2u | 8u | 16u)

static struct wasi_fd fds[WASI_FDS_MAX];
static const struct wasi_start *preopens; /* NULL: they are opened (3) */

/* --- the table -------------------------------------------------------------------------------- */

static void preopen_all(void);

uint32_t wasi_fd_get(uint32_t fd, uint64_t rights, struct wasi_fd **ret)
{
        if (fd >= 3)
                preopen_all();
        if (fd >= WASI_FDS_MAX || !fds[fd].open)
                return WE_BADF;
        if ((fds[fd].rights & rights) != rights)
                return WE_NOTCAPABLE;
        *ret = &fds[fd];
        return WE_OK;
}

uint32_t wasi_fd_add(const struct wasi_fd *f, uint32_t ret_ptr)
{
        uint32_t n = 3;
        while (n < WASI_FDS_MAX && fds[n].open)
                n++;
        if (n == WASI_FDS_MAX || !wasi_put32(ret_ptr, n)) {
                close(f->fd);
                return n == WASI_FDS_MAX ? WE_MFILE : WE_FAULT;
        }
        fds[n] = *f;
        fds[n].open = true;
        return WE_OK;
}

/* A preopened directory; of a single granted file its directory, which holds nothing else in a cell. */
static bool preopen(const char *spec, struct wasi_fd *ret)
{
        static char parents[WASI_PREOPENS_MAX][WASI_PATH_MAX];
        static unsigned used;
        const char *path = spec + 1;
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        size_t len = strlen(path);
        if (fd < 0 && errno == ENOTDIR && path[0] == '/' && len < WASI_PATH_MAX &&
            used < WASI_PREOPENS_MAX) {
                char *parent = memcpy(parents[used++], path, len + 1);
                char *slash = strrchr(parent, '/');
                *(slash == parent ? slash + 1 : slash) = 0;
                path = parent;
                fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        }
        uint64_t rights = spec[0] == 'w' ? R_ALL : R_ALL & ~R_WRITES;
        *ret = (struct wasi_fd){ .fd = fd,
                                 .open = fd >= 0,
                                 .type = T_DIRECTORY,
                                 .rights = rights & DIRECTORY_RIGHTS,
                                 .inherited = rights,
                                 .preopened = path };
        return fd >= 0;
}

/* Two files of one directory are one preopened directory, with the rights of both. */
static bool merged(unsigned count)
{
        struct wasi_fd *f = &fds[count];
        for (unsigned i = 3; i < count; i++)
                if (strcmp(fds[i].preopened, f->preopened) == 0) {
                        fds[i].rights |= f->rights;
                        fds[i].inherited |= f->inherited;
                        close(f->fd);
                        f->open = false;
                        return true;
                }
        return false;
}

void wasi_fds_init(const struct wasi_start *w)
{
        int input = open(INPUT_PATH, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        fds[0] = (struct wasi_fd){ input < 0 ? 0 : input,     true, T_REGULAR, 0,
                                   STREAM_RIGHTS | R_FD_READ, 0,    NULL };
        for (int i = 1; i <= 2; i++)
                fds[i] = (struct wasi_fd){
                        i, true, T_CHARACTER, F_APPEND_, STREAM_RIGHTS | R_FD_WRITE, 0, NULL
                };
        preopens = w;
}

static void preopen_all(void) /* (3) */
{
        const struct wasi_start *w = preopens;
        unsigned n = 3;
        preopens = NULL;
        for (unsigned i = 0; w && i < w->preopens_count; i++)
                if (preopen(w->preopens[i], &fds[n]) && !merged(n))
                        n++;
}

/* --- reading and writing ---------------------------------------------------------------------- */

typedef ssize_t move_fn(int fd, void *p, size_t len, uint64_t at);

static ssize_t move_read(int fd, void *p, size_t len, uint64_t at)
{
        return read(fd, p, len);
}

static ssize_t move_write(int fd, void *p, size_t len, uint64_t at)
{
        return write(fd, p, len);
}

static ssize_t move_pread(int fd, void *p, size_t len, uint64_t at)
{
        return pread(fd, p, len, (off_t)at);
}

static ssize_t move_pwrite(int fd, void *p, size_t len, uint64_t at)
{
        return pwrite(fd, p, len, (off_t)at);
}

/* One element; false: this was the last that moved in full, or *ret_error is set. */
static bool move_one(move_fn *move, const struct wasi_fd *f, uint32_t iov_ptr, uint64_t at,
                     uint64_t *total, uint32_t *ret_error)
{
        const uint8_t *iov = wasi_at(iov_ptr, 8);
        uint32_t len = iov ? wasi_get32(iov + 4) : 0;
        uint8_t *p = iov ? wasi_at(wasi_get32(iov), len) : NULL;
        if (!p) {
                *ret_error = WE_FAULT;
                return false;
        }
        if (len == 0)
                return true;
        ssize_t n = move(f->fd, p, len, at + *total);
        if (n < 0) {
                *ret_error = *total ? WE_OK : wasi_error(errno); /* what moved, moved */
                return false;
        }
        *total += (uint64_t)n;
        return (uint64_t)n == len;
}

static uint32_t move_all(move_fn *move, const struct wasi_fd *f, const uint32_t vector[2],
                         uint64_t at, uint32_t ret_ptr)
{
        uint64_t total = 0;
        uint32_t error = WE_OK;
        if (vector[1] > WASI_IOVS_MAX)
                return WE_INVAL;
        if (!wasi_at(ret_ptr, 4) || !wasi_at(vector[0], (uint64_t)vector[1] * 8))
                return WE_FAULT;
        if (f->type == T_DIRECTORY)
                return WE_ISDIR;
        for (uint32_t i = 0; i < vector[1] && total < INT32_MAX; i++)
                if (!move_one(move, f, vector[0] + 8 * i, at, &total, &error))
                        break;
        return error ? error : wasi_put32(ret_ptr, (uint32_t)total) ? WE_OK : WE_FAULT;
}

uint32_t WASI(fd_read)(module *m, uint32_t fd, uint32_t iovs, uint32_t count, uint32_t ret_ptr)
{
        struct wasi_fd *f;
        uint32_t e = wasi_fd_get(fd, R_FD_READ, &f);
        return e ? e : move_all(move_read, f, (uint32_t[]){ iovs, count }, 0, ret_ptr);
}

uint32_t WASI(fd_write)(module *m, uint32_t fd, uint32_t iovs, uint32_t count, uint32_t ret_ptr)
{
        struct wasi_fd *f;
        uint32_t e = wasi_fd_get(fd, R_FD_WRITE, &f);
        return e ? e : move_all(move_write, f, (uint32_t[]){ iovs, count }, 0, ret_ptr);
}

uint32_t WASI(fd_pread)(module *m, uint32_t fd, uint32_t iovs, uint32_t count, uint64_t at,
                        uint32_t ret_ptr)
{
        struct wasi_fd *f;
        uint32_t e = wasi_fd_get(fd, R_FD_READ | R_FD_SEEK, &f);
        return e ? e : move_all(move_pread, f, (uint32_t[]){ iovs, count }, at, ret_ptr);
}

uint32_t WASI(fd_pwrite)(module *m, uint32_t fd, uint32_t iovs, uint32_t count, uint64_t at,
                         uint32_t ret_ptr)
{
        struct wasi_fd *f;
        uint32_t e = wasi_fd_get(fd, R_FD_WRITE | R_FD_SEEK, &f);
        return e ? e : move_all(move_pwrite, f, (uint32_t[]){ iovs, count }, at, ret_ptr);
}

static uint32_t seek(const struct wasi_fd *f, uint64_t offset, int whence, uint32_t ret_ptr)
{
        if (!wasi_at(ret_ptr, 8))
                return WE_FAULT;
        off_t at = lseek(f->fd, (off_t)offset, whence);
        if (at < 0)
                return wasi_error(errno);
        return wasi_put64(ret_ptr, (uint64_t)at) ? WE_OK : WE_FAULT;
}

uint32_t WASI(fd_seek)(module *m, uint32_t fd, uint64_t offset, uint32_t whence, uint32_t ret_ptr)
{
        static const int how[] = { SEEK_SET, SEEK_CUR, SEEK_END };
        struct wasi_fd *f;
        uint32_t e = wasi_fd_get(fd, offset == 0 && whence == 1 ? R_FD_TELL : R_FD_SEEK, &f);
        if (e == 0 && whence > 2)
                e = WE_INVAL;
        return e ? e : seek(f, offset, how[whence], ret_ptr);
}

uint32_t WASI(fd_tell)(module *m, uint32_t fd, uint32_t ret_ptr)
{
        struct wasi_fd *f;
        uint32_t e = wasi_fd_get(fd, R_FD_TELL, &f);
        return e ? e : seek(f, 0, SEEK_CUR, ret_ptr);
}

/* --- what a descriptor is --------------------------------------------------------------------- */

uint32_t WASI(fd_fdstat_get)(module *m, uint32_t fd, uint32_t ret_ptr)
{
        struct wasi_fd *f;
        uint32_t e = wasi_fd_get(fd, 0, &f);
        uint8_t *p = wasi_at(ret_ptr, 24);
        if (e || !p)
                return e ? e : WE_FAULT;
        memset(p, 0, 24);
        p[0] = (uint8_t)f->type;
        memcpy(p + 2, &f->flags, sizeof f->flags);
        memcpy(p + 8, &f->rights, sizeof f->rights);
        memcpy(p + 16, &f->inherited, sizeof f->inherited);
        return WE_OK;
}

uint32_t WASI(fd_fdstat_set_flags)(module *m, uint32_t fd, uint32_t flags)
{
        struct wasi_fd *f;
        uint32_t e = wasi_fd_get(fd, R_FD_FDSTAT_SET_FLAGS, &f);
        if (e)
                return e;
        if (flags & ~(F_APPEND_ | F_NONBLOCK))
                return WE_NOTSUP;
        if (f->type != T_REGULAR) /* the streams are shared with nobody who would notice */
                return WE_OK;
        if (fcntl(f->fd, F_SETFL, flags & F_APPEND_ ? O_APPEND : 0) < 0)
                return wasi_error(errno);
        f->flags = (uint16_t)flags;
        return WE_OK;
}

uint32_t WASI(fd_fdstat_set_rights)(module *m, uint32_t fd, uint64_t rights, uint64_t inherited)
{
        struct wasi_fd *f;
        uint32_t e = wasi_fd_get(fd, rights, &f); /* only ever fewer */
        if (e)
                return e;
        if (inherited & ~f->inherited)
                return WE_NOTCAPABLE;
        f->rights = rights;
        f->inherited = inherited;
        return WE_OK;
}

uint32_t WASI(fd_filestat_get)(module *m, uint32_t fd, uint32_t ret_ptr)
{
        struct wasi_fd *f;
        struct stat st;
        uint32_t e = wasi_fd_get(fd, R_FD_FILESTAT_GET, &f);
        if (e)
                return e;
        return fstat(f->fd, &st) < 0 ? wasi_error(errno) : wasi_put_stat(ret_ptr, &st);
}

uint32_t WASI(fd_filestat_set_size)(module *m, uint32_t fd, uint64_t size)
{
        struct wasi_fd *f;
        uint32_t e = wasi_fd_get(fd, R_FD_FILESTAT_SET_SIZE, &f);
        if (e || size > INT64_MAX)
                return e ? e : WE_INVAL;
        return ftruncate(f->fd, (off_t)size) < 0 ? wasi_error(errno) : WE_OK;
}

/* Times of files are not the module's to set: they would have to come from a clock. */
uint32_t WASI(fd_filestat_set_times)(module *m, uint32_t fd, uint64_t atim, uint64_t mtim,
                                     uint32_t flags)
{
        struct wasi_fd *f;
        uint32_t e = wasi_fd_get(fd, R_FD_FILESTAT_SET_TIMES, &f);
        return e ? e : WE_NOTSUP;
}

uint32_t WASI(fd_advise)(module *m, uint32_t fd, uint64_t at, uint64_t len, uint32_t advice)
{
        struct wasi_fd *f;
        return wasi_fd_get(fd, R_FD_ADVISE, &f);
}

uint32_t WASI(fd_allocate)(module *m, uint32_t fd, uint64_t at, uint64_t len)
{
        struct wasi_fd *f;
        uint32_t e = wasi_fd_get(fd, R_FD_ALLOCATE, &f);
        if (e)
                return e;
        int error = posix_fallocate(f->fd, (off_t)at, (off_t)len);
        return error ? wasi_error(error) : WE_OK;
}

uint32_t WASI(fd_datasync)(module *m, uint32_t fd)
{
        struct wasi_fd *f;
        uint32_t e = wasi_fd_get(fd, R_FD_DATASYNC, &f);
        return e ? e : fdatasync(f->fd) < 0 ? wasi_error(errno) : WE_OK;
}

uint32_t WASI(fd_sync)(module *m, uint32_t fd)
{
        struct wasi_fd *f;
        uint32_t e = wasi_fd_get(fd, R_FD_SYNC, &f);
        return e ? e : fsync(f->fd) < 0 ? wasi_error(errno) : WE_OK;
}

uint32_t WASI(fd_close)(module *m, uint32_t fd)
{
        struct wasi_fd *f;
        uint32_t e = wasi_fd_get(fd, 0, &f);
        if (e)
                return e;
        if (f->fd > 2)
                close(f->fd);
        *f = (struct wasi_fd){ 0 };
        return WE_OK;
}

uint32_t WASI(fd_renumber)(module *m, uint32_t from, uint32_t to)
{
        struct wasi_fd *f, *t;
        uint32_t e = wasi_fd_get(from, 0, &f);
        if (e == 0)
                e = wasi_fd_get(to, 0, &t);
        if (e || from == to)
                return e;
        if (t->fd > 2)
                close(t->fd);
        *t = *f;
        *f = (struct wasi_fd){ 0 };
        return WE_OK;
}

/* --- preopened directories -------------------------------------------------------------------- */

uint32_t WASI(fd_prestat_get)(module *m, uint32_t fd, uint32_t ret_ptr)
{
        struct wasi_fd *f;
        uint32_t e = wasi_fd_get(fd, 0, &f);
        if (e || !f->preopened)
                return WE_BADF; /* how a C library finds the last one */
        if (!wasi_put32(ret_ptr, 0) || !wasi_put32(ret_ptr + 4, (uint32_t)strlen(f->preopened)))
                return WE_FAULT;
        return WE_OK;
}

uint32_t WASI(fd_prestat_dir_name)(module *m, uint32_t fd, uint32_t ptr, uint32_t len)
{
        struct wasi_fd *f;
        uint32_t e = wasi_fd_get(fd, 0, &f);
        if (e || !f->preopened)
                return WE_BADF;
        uint8_t *p = wasi_at(ptr, len);
        size_t n = strlen(f->preopened);
        if (!p || len < n)
                return p ? WE_NAMETOOLONG : WE_FAULT;
        memcpy(p, f->preopened, n);
        return WE_OK;
}

/* --- reading a directory ---------------------------------------------------------------------- */

struct entry { /* linux_dirent64 */
        uint64_t ino;
        int64_t next;
        uint16_t bytes;
        uint8_t type;
        char name[];
};

/* The wire form of one entry, cut where the buffer ends; false: it was cut. */
static bool put_entry(uint8_t *buffer, uint32_t cap, uint32_t *used, const struct entry *d)
{
        uint8_t head[24] = { 0 };
        uint32_t len = (uint32_t)strlen(d->name);
        memcpy(head, &d->next, 8);
        memcpy(head + 8, &d->ino, 8);
        memcpy(head + 16, &len, 4);
        head[20] = (uint8_t)wasi_type_of(DTTOIF(d->type));
        for (uint32_t i = 0; i < sizeof head + len; i++) {
                if (*used == cap)
                        return false;
                buffer[(*used)++] = i < sizeof head ? head[i] : (uint8_t)d->name[i - sizeof head];
        }
        return true;
}

static uint32_t read_entries(int fd, uint8_t *buffer, uint32_t cap, uint32_t *ret_used)
{
        _Alignas(struct entry) static uint8_t raw[32768];
        uint32_t used = 0;
        for (;;) {
                long n = syscall(SYS_getdents64, fd, raw, sizeof raw);
                if (n < 0)
                        return wasi_error(errno);
                for (long at = 0; at < n;) {
                        const struct entry *d = (const void *)(raw + at);
                        if (!put_entry(buffer, cap, &used, d))
                                n = 0;
                        at += d->bytes;
                }
                *ret_used = used;
                if (n == 0)
                        return WE_OK;
        }
}

uint32_t WASI(fd_readdir)(module *m, uint32_t fd, uint32_t ptr, uint32_t len, uint64_t cookie,
                          uint32_t ret_ptr)
{
        struct wasi_fd *f;
        uint32_t used = 0, e = wasi_fd_get(fd, R_FD_READDIR, &f);
        if (e)
                return e;
        uint8_t *p = wasi_at(ptr, len);
        if (!p || !wasi_at(ret_ptr, 4))
                return WE_FAULT;
        if (f->type != T_DIRECTORY)
                return WE_NOTDIR;
        if (lseek(f->fd, (off_t)cookie, SEEK_SET) < 0)
                return wasi_error(errno);
        e = read_entries(f->fd, p, len, &used);
        return e ? e : wasi_put32(ret_ptr, used) ? WE_OK : WE_FAULT;
}
