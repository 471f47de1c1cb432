/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/beneath.h>
#include <base/fmt.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

/* A walk loses the race only while somebody renames or mounts; 64 lost races in a row are an
 * attack, not bad luck. */
#define OPENAT2_TRIES_MAX 64

int mv_sys_openat2(int dir_fd, const char *path, int flags, unsigned mode, uint64_t resolve)
{
        struct open_how how = { .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
                                .mode = mode,
                                .resolve = resolve };
        for (int i = 0; i < OPENAT2_TRIES_MAX; i++) {
                long fd = syscall(SYS_openat2, dir_fd, path, &how, sizeof how);
                if (fd >= 0)
                        return (int)fd;
                if (errno != EAGAIN && errno != EINTR)
                        return -errno;
        }
        return -EAGAIN;
}

int mv_sys_reopen(int path_fd, int flags)
{
        char link[40];
        mv_fmt(link, sizeof link, "/proc/self/fd/%d", path_fd);
        int fd = open(link, flags | O_CLOEXEC);
        return fd >= 0 ? fd : -errno;
}

bool mv_sys_is_procfs(int fd)
{
        struct statfs fs;
        return fstatfs(fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
}

int mv_sys_random(void *p, size_t bytes)
{
        for (size_t at = 0; at < bytes;) {
                ssize_t n = getrandom((uint8_t *)p + at, bytes - at, 0);
                if (n < 0 && errno != EINTR)
                        return -errno;
                at += n > 0 ? (size_t)n : 0;
        }
        return 0;
}
