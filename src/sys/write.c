/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <signal.h>
#include <sys/fd.h>
#include <time.h>

/* The signal goes to the thread that writes: held back there, and taken away unless one waited
 * before. */
ssize_t mv_sys_write_quietly(int fd, const void *bytes, size_t len)
{
        const struct timespec now = { 0, 0 };
        sigset_t pipe, before, waiting;
        sigemptyset(&pipe);
        sigaddset(&pipe, SIGPIPE);
        sigpending(&waiting);
        pthread_sigmask(SIG_BLOCK, &pipe, &before);
        ssize_t n = write(fd, bytes, len);
        int saved = errno;
        if (n < 0 && saved == EPIPE && !sigismember(&waiting, SIGPIPE))
                sigtimedwait(&pipe, NULL, &now);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        errno = saved;
        return n;
}
