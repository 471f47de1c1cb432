/* SPDX-License-Identifier: Apache-2.0 */
/* provider/process/input.c - what a program reads on its standard input.
 *
 * (1) The caller's descriptor never reaches the program: a terminal could be typed into (TIOCSTI), a
 *     file written. What is read from it goes through a pipe of the cell's own.
 * (2) No more is read than the program takes: one buffer and what the pipe holds.
 * (3) A program that stops reading, or ends, is no reason for SIGPIPE here. */
#include <errno.h>
#include <poll.h>
#include <provider/process/program.h>
#include <stdlib.h>
#include <sys/fd.h>
#include <unistd.h>

#define BUFFER_BYTES    ((size_t)64 << 10)
#define INPUT_BYTES_MAX ((uint64_t)1 << 30)

void mv__feed_watch(const struct mv__feed *f, const struct mv__program *p, struct pollfd *ret)
{
        if (p->feed_fd < 0)
                *ret = (struct pollfd){ -1, 0, 0 };
        else if (f->len)
                *ret = (struct pollfd){ p->feed_fd, POLLOUT, 0 };
        else
                *ret = (struct pollfd){ p->spec->input_fd, POLLIN, 0 };
}

static bool take(struct mv__feed *f, struct mv__program *p)
{
        if (!f->buf)
                f->buf = malloc(BUFFER_BYTES);
        ssize_t n = f->buf ? read(p->spec->input_fd, f->buf, BUFFER_BYTES) : 0;
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return true;
        if (n <= 0) {
                mv_fd_closep(&p->feed_fd); /* the program sees the end */
                return true;
        }
        f->at = 0;
        f->len = (size_t)n;
        f->total += (uint64_t)n;
        return f->total <= INPUT_BYTES_MAX;
}

bool mv__feed_step(struct mv__feed *f, struct mv__program *p)
{
        if (!f->len)
                return take(f, p);
        ssize_t n = mv_sys_write_quietly(p->feed_fd, f->buf + f->at, f->len);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return true;
        if (n < 0) { /* nobody reads it any more */
                mv_fd_closep(&p->feed_fd);
                f->len = 0;
                return true;
        }
        f->at += (size_t)n;
        f->len -= (size_t)n;
        return true;
}
