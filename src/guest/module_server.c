/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a module that runs in a microVM: a process in a cell of the module's own, with its grants as mounts. It gets
 * requests (wire/module_files.h) through the cell's door, one at a time, and answers them.
 *
 * (1) Who asks may be a guest that broke out of WebAssembly: every request is checked as if nobody had looked at it.
 * (2) A name is one component, never "..", and no link is followed: from the preopened directories there is no way
 *     but down. Only regular files and directories are opened.
 * (3) A handle is a number this process gave out; the kernel's own descriptors below are none.
 * (4) What this process can reach at most is what a module's process in the wasm provider can: the same cell. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <base/cur.h>
#include <wasm/link.h>
#include <wire/frame.h>
#include <wire/module_files.h>

#define DOOR 3
#define OWN  4 /* descriptors below are never handles (3) */
#define ROOM                                                                                       \
        (MV_FRAME_HEADER_BYTES + MV_FILES_REQUEST_BYTES + MV_FILES_NAMES_MAX + MV_FILES_DATA_MAX)
#define TEXT_MAX  4096u
#define NAME_ROOM 256u

struct request {
        uint32_t op;
        int fd, fd2; /* checked: ours */
        uint32_t flags;
        uint64_t a, b;
        char name[TEXT_MAX], name2[TEXT_MAX];
        struct mv_slice data;
};
static uint8_t in[ROOM], out[ROOM];
static uint8_t ours[MV_FILES_HANDLES_MAX];
static char **preopens;

/* --- checks (1) (2) (3) ----------------------------------------------------------------------- */

static bool is_ours(uint32_t handle)
{
        return handle >= OWN && handle < MV_FILES_HANDLES_MAX && ours[handle];
}

static bool component(const char *name)
{
        size_t n = strlen(name);
        return n > 0 && n < NAME_ROOM && !memchr(name, '/', n) && strcmp(name, "..") != 0;
}

static bool text(struct mv_cur *c, uint32_t len, char ret[TEXT_MAX])
{
        struct mv_slice s = mv_get_bytes(c, len);
        if (c->bad || len >= TEXT_MAX || memchr(s.p, 0, len))
                return false;
        memcpy(ret, s.p, len);
        ret[len] = 0;
        return true;
}

static bool decode(struct mv_slice bytes, struct request *q)
{
        struct mv_cur c = mv_cur(bytes);
        q->op = mv_get_u32(&c);
        uint32_t handle = mv_get_u32(&c), handle2 = mv_get_u32(&c);
        q->flags = mv_get_u32(&c);
        q->a = mv_get_u64(&c);
        q->b = mv_get_u64(&c);
        uint32_t len = mv_get_u32(&c), len2 = mv_get_u32(&c);
        q->fd = is_ours(handle) ? (int)handle : -EBADF;
        q->fd2 = is_ours(handle2) ? (int)handle2 : -EBADF;
        if (!text(&c, len, q->name) || !text(&c, len2, q->name2))
                return false;
        q->data = mv_get_bytes(&c, mv_cur_left(&c));
        return !c.bad && q->data.len <= MV_FILES_DATA_MAX;
}

/* --- opening ---------------------------------------------------------------------------------- */

static int64_t handed_out(int fd)
{
        struct stat st;
        int path = fd < 0 ? 0 : fcntl(fd, F_GETFL);
        if (fd < 0)
                return -errno;
        if (fd < OWN || fd >= (int)MV_FILES_HANDLES_MAX) {
                close(fd);
                return -EMFILE;
        }
        if (!(path & O_PATH) &&
            (fstat(fd, &st) < 0 || (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)))) {
                close(fd);
                return -EOPNOTSUPP;
        }
        ours[fd] = 1;
        return fd;
}

static bool preopened(const char *path)
{
        for (char **p = preopens; *p; p++) {
                const char *own = *p + 1, *slash = strrchr(own, '/');
                size_t parent = slash == own ? 1 : (size_t)(slash - own), n = strlen(path);
                if (strcmp(own, path) == 0 || (n == parent && memcmp(own, path, n) == 0))
                        return true;
        }
        return false;
}

static int64_t open_root(const struct request *q)
{
        const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
        return preopened(q->name) ? handed_out(open(q->name, flags)) : -EACCES;
}

/* The input of an execution: too large for START, read like a file. */
static int64_t open_input(void)
{
        return handed_out(open("/workspace/input/input.json", O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
}

static int64_t open_below(const struct request *q)
{
        int asked = (int)q->flags &
                    (O_ACCMODE | O_CREAT | O_EXCL | O_TRUNC | O_APPEND | O_DIRECTORY | O_PATH);
        if (asked & O_PATH) /* to walk through */
                asked = O_PATH | O_DIRECTORY;
        if (!component(q->name))
                return -EINVAL;
        return handed_out(openat(q->fd, q->name,
                                 asked | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, 0644));
}

static int64_t close_handle(const struct request *q)
{
        if (q->fd < 0)
                return -EBADF;
        ours[q->fd] = 0;
        return close(q->fd) < 0 ? -errno : 0;
}

/* --- the operations --------------------------------------------------------------------------- */

static int64_t result(int64_t r)
{
        return r < 0 ? -errno : r;
}

/* Up to q->a bytes behind the answer's head, all that a piece of the file holds. */
static int64_t read_bytes(const struct request *q, struct mv_out *o)
{
        uint8_t *to = o->p + o->len;
        size_t want = q->a < MV_FILES_DATA_MAX ? (size_t)q->a : MV_FILES_DATA_MAX;
        ssize_t n = q->op == MV_FILES_READ    ? read(q->fd, to, want)
                    : q->op == MV_FILES_PREAD ? pread(q->fd, to, want, (off_t)q->b)
                                              : syscall(SYS_getdents64, q->fd, to, want);
        o->len += n > 0 ? (size_t)n : 0;
        return result(n);
}

static uint64_t ns_of(const struct timespec *t)
{
        return (uint64_t)t->tv_sec * 1000000000u + (uint64_t)t->tv_nsec;
}

static int64_t look(const struct request *q, struct mv_out *o)
{
        struct stat st;
        int r = q->op == MV_FILES_STAT ? fstat(q->fd, &st)
                                       : fstatat(q->fd, q->name, &st, AT_SYMLINK_NOFOLLOW);
        if (r < 0)
                return -errno;
        const uint64_t fields[MV_FILES_STAT_FIELDS] = {
                st.st_mode,         st.st_ino,          st.st_nlink,        (uint64_t)st.st_size,
                ns_of(&st.st_atim), ns_of(&st.st_mtim), ns_of(&st.st_ctim),
        };
        for (unsigned i = 0; i < MV_FILES_STAT_FIELDS; i++)
                mv_put_u64(o, fields[i]);
        return 0;
}

static int64_t read_link(const struct request *q, struct mv_out *o)
{
        ssize_t n = readlinkat(q->fd, q->name, (char *)o->p + o->len, TEXT_MAX);
        o->len += n > 0 ? (size_t)n : 0;
        return result(n);
}

static int64_t on_file(const struct request *q, struct mv_out *o)
{
        switch (q->op) {
        case MV_FILES_READ:
        case MV_FILES_PREAD:
        case MV_FILES_ENTRIES:
                return read_bytes(q, o);
        case MV_FILES_WRITE:
                return result(write(q->fd, q->data.p, q->data.len));
        case MV_FILES_PWRITE:
                return result(pwrite(q->fd, q->data.p, q->data.len, (off_t)q->b));
        case MV_FILES_SEEK:
                return result(lseek(q->fd, (off_t)q->a, (int)q->flags));
        case MV_FILES_STAT:
                return look(q, o);
        case MV_FILES_TRUNCATE:
                return result(ftruncate(q->fd, (off_t)q->a));
        case MV_FILES_ALLOCATE:
                return -posix_fallocate(q->fd, (off_t)q->a, (off_t)q->b);
        case MV_FILES_SYNC:
                return result(fsync(q->fd));
        case MV_FILES_DATASYNC:
                return result(fdatasync(q->fd));
        case MV_FILES_APPEND:
                return result(fcntl(q->fd, F_SETFL, (int)q->flags & O_APPEND));
        default:
                return -ENOSYS;
        }
}

static int64_t on_name(const struct request *q, struct mv_out *o)
{
        if (!component(q->name))
                return -EINVAL;
        switch (q->op) {
        case MV_FILES_STATAT:
                return look(q, o);
        case MV_FILES_READLINK:
                return read_link(q, o);
        case MV_FILES_MKDIR:
                return result(mkdirat(q->fd, q->name, 0755));
        case MV_FILES_UNLINK:
                return result(unlinkat(q->fd, q->name, (int)q->flags & AT_REMOVEDIR));
        case MV_FILES_SYMLINK:
                return q->name2[0] && wasi_link_stays(q->name2)
                               ? result(symlinkat(q->name2, q->fd, q->name))
                               : -EACCES;
        case MV_FILES_RENAME:
        case MV_FILES_LINK:
                if (!component(q->name2) || q->fd2 < 0)
                        return -EINVAL;
                return result(q->op == MV_FILES_RENAME
                                      ? renameat(q->fd, q->name, q->fd2, q->name2)
                                      : linkat(q->fd, q->name, q->fd2, q->name2, 0));
        default:
                return -ENOSYS;
        }
}

static int64_t carry_out(const struct request *q, struct mv_out *o)
{
        if (q->op == MV_FILES_ROOT)
                return strcmp(q->name, "/workspace/input/input.json") == 0 ? open_input()
                                                                           : open_root(q);
        if (q->op == MV_FILES_CLOSE)
                return close_handle(q);
        if (q->fd < 0)
                return -EBADF;
        if (q->op == MV_FILES_OPEN)
                return open_below(q);
        bool named = q->op == MV_FILES_STATAT || q->op >= MV_FILES_READLINK;
        return named ? on_name(q, o) : on_file(q, o);
}

/* --- the door --------------------------------------------------------------------------------- */

static void write_all(struct mv_slice s)
{
        while (s.len) {
                ssize_t n = write(DOOR, s.p, s.len);
                if (n <= 0)
                        _exit(1);
                s.p += n;
                s.len -= (size_t)n;
        }
}

/* The end of the door is the normal end. */
static void read_exactly(uint8_t *p, size_t len)
{
        while (len) {
                ssize_t n = read(DOOR, p, len);
                if (n <= 0)
                        _exit(n < 0);
                p += n;
                len -= (size_t)n;
        }
}

static void receive(struct mv_frame *ret)
{
        struct mv_err err;
        uint32_t len;
        read_exactly(in, MV_FRAME_HEADER_BYTES);
        if (mv_frame_payload_len(in, &len, &err) < 0 || len > sizeof in - MV_FRAME_HEADER_BYTES)
                _exit(1);
        read_exactly(in + MV_FRAME_HEADER_BYTES, len);
        if (mv_frame_decode((struct mv_slice){ in, MV_FRAME_HEADER_BYTES + len }, ret, &err) < 0)
                _exit(1);
}

int main(int argc, char **argv)
{
        static struct request q;
        preopens = argv + (argc > 0);
        for (;;) {
                struct mv_frame f;
                receive(&f);
                struct mv_out o = mv_out(out, sizeof out);
                size_t head = mv_frame_open(&o, MV_FRAME_REPLY, f.seq), at = o.len;
                mv_put_u64(&o, 0);
                int64_t r = decode(f.payload, &q) ? carry_out(&q, &o) : -EINVAL;
                memcpy(out + at, &r, sizeof r);
                if (!mv_frame_close(&o, head))
                        return 1;
                write_all(mv_out_slice(&o));
        }
}
