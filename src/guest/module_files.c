/* SPDX-License-Identifier: Apache-2.0 */
/* What WASI (src/wasm) calls of a C library, in a guest that has no kernel: each function is a request of
 * wire/module_files.h. The streams and the input that came with START are here.
 *
 * (1) Descriptors from REMOTE on are the server's handles; below are the streams and the input.
 * (2) Bytes move in pieces of MV_FILES_DATA_MAX; like the system calls these stand in for, what moved is counted. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <base/cur.h>
#include <base/slice.h>
#include <wire/module_files.h>
#include "kvm_door.h"
#include "module_kvm.h"

#define INPUT  3
#define REMOTE 16

static struct mv_slice input = { NULL, 0 };
static uint64_t input_at;

/* musl's lives in thread-local storage, which there is none of. */
int *__errno_location(void)
{
        static int value;
        return &value;
}

void mv_module_input(struct mv_slice bytes)
{
        static const uint8_t none[1];
        input = bytes.p ? bytes : (struct mv_slice){ none, 0 };
}

/* --- requests --------------------------------------------------------------------------------- */

struct request {
        enum mv_files_op op;
        int fd, fd2;
        uint32_t flags;
        uint64_t a, b;
        const char *name, *name2;
        struct mv_slice data;
};

static int64_t failed(int error)
{
        errno = error;
        return -1;
}

/* The result, or -1 and errno. ret: what came with it, in the inbox. */
static int64_t ask(const struct request *q, struct mv_slice *ret)
{
        struct mv_out o = mv_out(mv_kvm_outbox(), MV_KVM_OUTBOX_BYTES);
        struct mv_slice name = mv_slice_str(q->name ? q->name : ""),
                        name2 = mv_slice_str(q->name2 ? q->name2 : "");
        mv_put_u32(&o, q->op);
        mv_put_u32(&o, (uint32_t)(q->fd - REMOTE));
        mv_put_u32(&o, (uint32_t)(q->fd2 - REMOTE));
        mv_put_u32(&o, q->flags);
        mv_put_u64(&o, q->a);
        mv_put_u64(&o, q->b);
        mv_put_u32(&o, (uint32_t)name.len);
        mv_put_u32(&o, (uint32_t)name2.len);
        mv_put_slice(&o, name);
        mv_put_slice(&o, name2);
        if (!mv_put_slice(&o, q->data))
                return failed(ENAMETOOLONG);
        mv_kvm_ring(MV_KVM_OP_FILES, o.len);
        struct mv_cur c = mv_cur(mv_kvm_inbox());
        int64_t result = (int64_t)mv_get_u64(&c);
        if (c.bad || result < 0)
                return failed(c.bad || result < -4095 ? EIO : (int)-result);
        if (ret)
                *ret = mv_get_bytes(&c, mv_cur_left(&c));
        return result;
}

static int ask_int(const struct request *q)
{
        int64_t r = ask(q, NULL);
        return r > INT32_MAX ? INT32_MAX : (int)r;
}

static int opened(const struct request *q)
{
        int64_t handle = ask(q, NULL);
        return handle < 0 ? -1 : (int)handle + REMOTE;
}

/* --- reading and writing ---------------------------------------------------------------------- */

static ssize_t input_read(uint8_t *to, size_t len, uint64_t at)
{
        size_t left = at < input.len ? input.len - (size_t)at : 0, n = len < left ? len : left;
        if (n)
                memcpy(to, input.p + at, n);
        return (ssize_t)n;
}

/* op: READ or PREAD; a request at a time, until one brings less than it could. */
static ssize_t remote_read(enum mv_files_op op, int fd, uint8_t *to, size_t len, uint64_t at)
{
        size_t done = 0;
        while (done < len) {
                size_t want = len - done < MV_FILES_DATA_MAX ? len - done : MV_FILES_DATA_MAX;
                struct request q = { .op = op, .fd = fd, .a = want, .b = at + done };
                struct mv_slice got = { NULL, 0 };
                if (ask(&q, &got) < 0)
                        return done ? (ssize_t)done : -1;
                size_t n = got.len < want ? got.len : want;
                if (n)
                        memcpy(to + done, got.p, n);
                done += n;
                if (n < want)
                        break;
        }
        return (ssize_t)done;
}

static ssize_t remote_write(enum mv_files_op op, int fd, const uint8_t *from, size_t len,
                            uint64_t at)
{
        size_t done = 0;
        while (done < len) {
                size_t n = len - done < MV_FILES_DATA_MAX ? len - done : MV_FILES_DATA_MAX;
                struct request q = {
                        .op = op, .fd = fd, .b = at + done, .data = { from + done, n }
                };
                int64_t r = ask(&q, NULL);
                if (r < 0)
                        return done ? (ssize_t)done : -1;
                done += (size_t)r < n ? (size_t)r : n;
                if ((size_t)r < n)
                        break;
        }
        return (ssize_t)done;
}

static ssize_t stream_write(int fd, const uint8_t *from, size_t len)
{
        for (size_t done = 0; done < len;) {
                size_t n = len - done < MV_KVM_OUTBOX_BYTES ? len - done : MV_KVM_OUTBOX_BYTES;
                memcpy(mv_kvm_outbox(), from + done, n);
                mv_kvm_ring(fd == 1 ? MV_KVM_OP_STDOUT : MV_KVM_OP_STDERR, n);
                done += n;
        }
        return (ssize_t)len;
}

ssize_t read(int fd, void *to, size_t len)
{
        if (fd >= REMOTE)
                return remote_read(MV_FILES_READ, fd, to, len, 0);
        ssize_t n = fd == INPUT ? input_read(to, len, input_at) : 0;
        input_at += (uint64_t)n;
        return n;
}

ssize_t write(int fd, const void *from, size_t len)
{
        return fd >= REMOTE         ? remote_write(MV_FILES_WRITE, fd, from, len, 0)
               : fd == 1 || fd == 2 ? stream_write(fd, from, len)
                                    : failed(EBADF);
}

ssize_t pread(int fd, void *to, size_t len, off_t at)
{
        if (at < 0)
                return failed(EINVAL);
        return fd >= REMOTE  ? remote_read(MV_FILES_PREAD, fd, to, len, (uint64_t)at)
               : fd == INPUT ? input_read(to, len, (uint64_t)at)
                             : failed(ESPIPE);
}

ssize_t pwrite(int fd, const void *from, size_t len, off_t at)
{
        if (at < 0)
                return failed(EINVAL);
        return fd >= REMOTE ? remote_write(MV_FILES_PWRITE, fd, from, len, (uint64_t)at)
                            : failed(ESPIPE);
}

static off_t input_seek(off_t offset, int whence)
{
        off_t from = whence == SEEK_SET   ? 0
                     : whence == SEEK_CUR ? (off_t)input_at
                                          : (off_t)input.len,
              at;
        if (__builtin_add_overflow(from, offset, &at) || at < 0)
                return failed(EINVAL);
        input_at = (uint64_t)at;
        return at;
}

off_t lseek(int fd, off_t offset, int whence)
{
        struct request q = {
                .op = MV_FILES_SEEK, .fd = fd, .flags = (uint32_t)whence, .a = (uint64_t)offset
        };
        return fd >= REMOTE  ? ask(&q, NULL)
               : fd == INPUT ? input_seek(offset, whence)
                             : failed(ESPIPE);
}

/* --- opening and looking ---------------------------------------------------------------------- */

int open(const char *path, int flags, ...)
{
        static const char input_path[] = "/workspace/input/input.json";
        struct request q = { .op = MV_FILES_ROOT, .flags = (uint32_t)flags, .name = path };
        if (input.p && strcmp(path, input_path) == 0)
                return INPUT;
        return opened(&q);
}

int openat(int dir, const char *name, int flags, ...)
{
        struct request q = {
                .op = MV_FILES_OPEN, .fd = dir, .flags = (uint32_t)flags, .name = name
        };
        return opened(&q);
}

int close(int fd)
{
        struct request q = { .op = MV_FILES_CLOSE, .fd = fd };
        return fd < REMOTE ? 0 : ask_int(&q);
}

static struct timespec time_of(uint64_t ns)
{
        return (struct timespec){ (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };
}

static int looked(const struct request *q, struct stat *ret)
{
        struct mv_slice got;
        uint64_t v[MV_FILES_STAT_FIELDS];
        if (ask(q, &got) < 0)
                return -1;
        struct mv_cur c = mv_cur(got);
        for (unsigned i = 0; i < MV_FILES_STAT_FIELDS; i++)
                v[i] = mv_get_u64(&c);
        *ret = (struct stat){ .st_mode = (mode_t)v[0],
                              .st_ino = v[1],
                              .st_nlink = v[2],
                              .st_size = (off_t)v[3],
                              .st_atim = time_of(v[4]),
                              .st_mtim = time_of(v[5]),
                              .st_ctim = time_of(v[6]) };
        return c.bad ? (int)failed(EIO) : 0;
}

int fstat(int fd, struct stat *ret)
{
        struct request q = { .op = MV_FILES_STAT, .fd = fd };
        if (fd >= REMOTE)
                return looked(&q, ret);
        *ret = (struct stat){ .st_mode = fd == INPUT ? S_IFREG | 0400 : S_IFIFO | 0600,
                              .st_nlink = 1,
                              .st_size = fd == INPUT ? (off_t)input.len : 0 };
        return 0;
}

int fstatat(int dir, const char *name, struct stat *ret, int flags)
{
        struct request q = {
                .op = MV_FILES_STATAT, .fd = dir, .flags = (uint32_t)flags, .name = name
        };
        return looked(&q, ret);
}

/* F_SETFL, the only one that WASI asks for. */
int fcntl(int fd, int command, ...)
{
        va_list ap;
        va_start(ap, command);
        struct request q = { .op = MV_FILES_APPEND, .fd = fd, .flags = (uint32_t)va_arg(ap, int) };
        va_end(ap);
        return fd < REMOTE ? 0 : ask_int(&q);
}

/* getdents64, the only one that WASI makes itself. */
long syscall(long number, ...)
{
        va_list ap;
        va_start(ap, number);
        int fd = va_arg(ap, int);
        void *to = va_arg(ap, void *);
        size_t cap = va_arg(ap, size_t);
        va_end(ap);
        struct request q = { .op = MV_FILES_ENTRIES, .fd = fd, .a = cap };
        struct mv_slice got;
        if (ask(&q, &got) < 0)
                return -1;
        size_t n = got.len < cap ? got.len : 0;
        if (n)
                memcpy(to, got.p, n);
        return (long)n;
}

ssize_t readlinkat(int dir, const char *restrict name, char *restrict to, size_t cap)
{
        struct request q = { .op = MV_FILES_READLINK, .fd = dir, .name = name };
        struct mv_slice got;
        if (ask(&q, &got) < 0)
                return -1;
        size_t n = got.len < cap ? got.len : cap;
        if (n)
                memcpy(to, got.p, n);
        return (ssize_t)n;
}

/* --- changing --------------------------------------------------------------------------------- */

int ftruncate(int fd, off_t size)
{
        struct request q = { .op = MV_FILES_TRUNCATE, .fd = fd, .a = (uint64_t)size };
        return ask_int(&q);
}

int posix_fallocate(int fd, off_t at, off_t len)
{
        struct request q = {
                .op = MV_FILES_ALLOCATE, .fd = fd, .a = (uint64_t)at, .b = (uint64_t)len
        };
        return ask_int(&q) < 0 ? errno : 0;
}

int fsync(int fd)
{
        struct request q = { .op = MV_FILES_SYNC, .fd = fd };
        return ask_int(&q);
}

int fdatasync(int fd)
{
        struct request q = { .op = MV_FILES_DATASYNC, .fd = fd };
        return ask_int(&q);
}

int mkdirat(int dir, const char *name, mode_t mode)
{
        struct request q = { .op = MV_FILES_MKDIR, .fd = dir, .flags = mode, .name = name };
        return ask_int(&q);
}

int unlinkat(int dir, const char *name, int flags)
{
        struct request q = {
                .op = MV_FILES_UNLINK, .fd = dir, .flags = (uint32_t)flags, .name = name
        };
        return ask_int(&q);
}

int symlinkat(const char *text, int dir, const char *name)
{
        struct request q = { .op = MV_FILES_SYMLINK, .fd = dir, .name = name, .name2 = text };
        return ask_int(&q);
}

int renameat(int dir, const char *name, int dir2, const char *name2)
{
        struct request q = {
                .op = MV_FILES_RENAME, .fd = dir, .fd2 = dir2, .name = name, .name2 = name2
        };
        return ask_int(&q);
}

int linkat(int dir, const char *name, int dir2, const char *name2, int flags)
{
        struct request q = { .op = MV_FILES_LINK,
                             .fd = dir,
                             .fd2 = dir2,
                             .flags = (uint32_t)flags,
                             .name = name,
                             .name2 = name2 };
        return ask_int(&q);
}

int nanosleep(const struct timespec *t, struct timespec *left)
{
        const uint64_t ns_max = (1ull << (64 - MV_KVM_OP_BITS)) - 1, seconds = (uint64_t)t->tv_sec;
        uint64_t ns = seconds < ns_max / 1000000000u ? seconds * 1000000000u + (uint64_t)t->tv_nsec
                                                     : ns_max;
        (void)left;
        mv_kvm_ring(MV_KVM_OP_SLEEP, ns);
        return 0;
}
