/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_SYS_FD_H
#define MV_SYS_FD_H
/* Descriptors with an owner: -1 means "no descriptor", never 0. */
#include <errno.h>
#include <unistd.h>
#include <base/err.h>

static inline void mv_fd_closep(int *fd)
{
        if (*fd >= 0) {
                int saved = errno;
                close(*fd);
                errno = saved;
        }
        *fd = -1;
}
#define mv_auto_fd __attribute__((cleanup(mv_fd_closep))) int
static inline int mv_fd_take(int *fd)
{
        int taken = *fd;
        *fd = -1;
        return taken;
}

/* A file that exists only in memory and can never change again: written once, then sealed against writing, growing,
 * shrinking and unsealing. The caller owns *ret_fd (close-on-exec). */
int mv_sys_memfd_sealed(const char *name, const void *bytes, size_t len, int *ret_fd,
                        struct mv_err *err);

/* write(2) without the signal for a pipe that nobody reads: EPIPE alone. */
ssize_t mv_sys_write_quietly(int fd, const void *bytes, size_t len);

#endif
