/* SPDX-License-Identifier: Apache-2.0 */
/* The key of a client certificate belongs to the host: nobody else may read its file, and no context that names it may
 * grant it to the program, by whatever path. */
#include <base/err.h>
#include <errno.h>
#include <fcntl.h>
#include <host/host.h>
#include <limits.h>
#include <policy/policy.h>
#include <sys/fd.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *problem(const struct stat *st)
{
        if (!S_ISREG(st->st_mode))
                return "it is not a regular file";
        if (st->st_mode & 077)
                return "others may read or write it; chmod 600 it";
        if (st->st_uid != geteuid() && st->st_uid != 0)
                return "it belongs to another user";
        return st->st_nlink > 1 ? "it has a second name" : NULL;
}

static bool granted(const struct mv_context *c, const char *path)
{
        struct mv_decision d;
        struct mv_slice root;
        bool yes = mv_context_level(c) == MV_LEVEL_FULL ||
                   mv_policy_path(c, mv_slice_str(path), false, "", &d, &root) >= 0;
        for (uint32_t i = 0; !yes && i < c->narrowings_count; i++)
                yes = granted(c->narrowings[i].context, path);
        return yes;
}

int mv__client_key_check(const struct mv_context *c, struct mv_err *err)
{
        const char *key = c ? c->tls.client_key : NULL;
        char link[64], real[PATH_MAX];
        struct stat st;
        if (!key)
                return 0;
        mv_auto_fd fd = open(key, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0 || fstat(fd, &st) < 0)
                return mv_fail(err, MV_E_SYS, errno, "the client's key %s", key);
        const char *why = problem(&st);
        if (why)
                return mv_fail(err, MV_E_DENIED, 0, "the client's key %s: %s", key, why);
        mv_fmt(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(link, real, sizeof real - 1);
        if (n < 0)
                return mv_fail(err, MV_E_SYS, errno, "the client's key %s", key);
        real[n] = '\0';
        if (granted(c, key) || granted(c, real))
                return mv_fail(err, MV_E_DENIED, 0,
                               "the client's key %s: the program may read it; keep it out of what "
                               "is granted",
                               key);
        return 0;
}
