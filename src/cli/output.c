/* SPDX-License-Identifier: Apache-2.0 */
/* Writing what a program left behind where the caller asked for it.
 *
 * (1) The names are the program's. They are opened beneath the directory without following a link,
 * and never over a file that exists, so that a program cannot choose what is replaced. */
#include <base/err.h>
#include <cli/cli.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/beneath.h>
#include <sys/fd.h>
#include <sys/stat.h>

#define RESOLVE (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS) /* (1) */

/* Make the directories on the way to `path` and open the last one. */
static int open_parent(int root, const char *path, const char **ret_name)
{
        int at = mv_sys_openat2(root, ".", O_RDONLY | O_DIRECTORY, 0, RESOLVE);
        char part[256];
        for (const char *slash; at >= 0 && (slash = strchr(path, '/')); path = slash + 1) {
                size_t n = (size_t)(slash - path);
                if (n >= sizeof part) {
                        close(at);
                        return -ENAMETOOLONG;
                }
                memcpy(part, path, n);
                part[n] = 0;
                if (mkdirat(at, part, 0755) < 0 && errno != EEXIST) {
                        int error = errno;
                        close(at);
                        return -error;
                }
                int next = mv_sys_openat2(at, part, O_RDONLY | O_DIRECTORY, 0, RESOLVE);
                close(at);
                at = next;
        }
        *ret_name = path;
        return at;
}

static int write_one(int root, const struct mv_output_file *f)
{
        const char *name = "";
        mv_auto_fd dir = open_parent(root, f->path, &name);
        if (dir < 0)
                return -dir;
        mv_auto_fd fd = mv_sys_openat2(dir, name, O_WRONLY | O_CREAT | O_EXCL, 0644, RESOLVE);
        if (fd < 0)
                return -fd;
        for (size_t at = 0; at < f->bytes.len;) {
                ssize_t n = write(fd, f->bytes.p + at, f->bytes.len - at);
                if (n < 0 && errno != EINTR)
                        return errno;
                at += n > 0 ? (size_t)n : 0;
        }
        return 0;
}

int cli_output_files(const struct mv_result *r, const struct cli_options *o)
{
        struct mv_err err;
        uint32_t skipped, count = mv_result_output_count(r, &skipped);
        if (!o->output)
                return CLI_DONE;
        if (mkdir(o->output, 0755) < 0 && errno != EEXIST) {
                (void)mv_fail(&err, MV_E_SYS, errno, "--output: make the directory %s", o->output);
                return cli_error(&err, false);
        }
        mv_auto_fd root = open(o->output, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        for (uint32_t i = 0; i < count; i++) {
                const struct mv_output_file *f = mv_result_output(r, i);
                int error = root < 0 ? ENOTDIR : write_one(root, f);
                if (error) {
                        (void)mv_fail(&err, MV_E_SYS, error, "--output: write %s in %s", f->path,
                                      o->output);
                        return cli_error(&err, false);
                }
        }
        if (skipped)
                fprintf(stderr,
                        "note: %u entries of /workspace/output were left out: too many, too large, "
                        "or no regular files\n",
                        skipped);
        return CLI_DONE;
}
