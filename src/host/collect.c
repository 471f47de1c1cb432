/* SPDX-License-Identifier: Apache-2.0 */
/* What a program left in /workspace/output, copied into the result (REQ-FS-09, -11, -12).
 *
 * (1) Everything is opened beneath the directory init handed out, without following a link and
 *     without leaving its file system; every process of the cell is dead, so nothing changes under
 *     our hands.
 * (2) Only regular files count. A link, FIFO, socket or device is skipped and said. */
#include <base/slice.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <host/exec.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/beneath.h>
#include <sys/fd.h>
#include <sys/stat.h>

#define FILES_MAX       256u
#define FILE_BYTES_MAX  ((uint64_t)10 << 20)
#define TOTAL_BYTES_MAX ((uint64_t)64 << 20)
#define DEPTH_MAX       8u
#define PATH_BYTES_MAX  1024u

struct collection {
        struct mv_result *result;
        struct mv_output_file *files;
        uint32_t count, skipped;
        uint64_t total;
};

static void skip(struct collection *c)
{
        c->skipped++;
}

static bool read_whole(int fd, uint8_t *p, size_t len)
{
        for (size_t at = 0; at < len;) {
                ssize_t n = read(fd, p + at, len - at);
                if (n <= 0)
                        return false;
                at += (size_t)n;
        }
        return true;
}

static void collect_file(struct collection *c, int fd, const char *path, uint64_t size)
{
        uint8_t *p = NULL;
        if (c->count == FILES_MAX || size > FILE_BYTES_MAX || c->total + size > TOTAL_BYTES_MAX ||
            !(p = mv_new(&c->result->arena, uint8_t, size + 1)) || !read_whole(fd, p, size)) {
                skip(c);
                return;
        }
        c->total += size;
        c->files[c->count++] =
                (struct mv_output_file){ mv__result_text(c->result, path), mv_slice(p, size) };
}

static void collect_dir(struct collection *c, int dir_fd, const char *path, unsigned depth);

static void collect_entry(struct collection *c, int dir_fd, const char *path, const char *name,
                          unsigned depth)
{
        char whole[PATH_BYTES_MAX];
        struct stat st;
        if (mv_fmt(whole, sizeof whole, "%s%s%s", path, path[0] ? "/" : "", name) ==
            sizeof whole - 1) {
                skip(c);
                return;
        }
        mv_auto_fd fd =
                mv_sys_openat2(dir_fd, name, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0,
                               RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV); /* (1) */
        if (fd < 0 || fstat(fd, &st) < 0)
                skip(c);
        else if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX)
                collect_dir(c, fd, whole, depth + 1);
        else if (S_ISREG(st.st_mode))
                collect_file(c, fd, whole, (uint64_t)st.st_size);
        else
                skip(c); /* (2) */
}

static void collect_dir(struct collection *c, int dir_fd, const char *path, unsigned depth)
{
        int own = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *d = own >= 0 ? fdopendir(own) : NULL;
        if (!d) {
                mv_fd_closep(&own);
                skip(c);
                return;
        }
        for (struct dirent *e; (e = readdir(d)) && c->count + c->skipped < 4 * FILES_MAX;)
                if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
                        collect_entry(c, dir_fd, path, e->d_name, depth);
        closedir(d);
}

void mv__collect_output(struct mv_result *r, int dir_fd)
{
        struct collection c = { .result = r,
                                .files = mv_new(&r->arena, struct mv_output_file, FILES_MAX) };
        if (c.files)
                collect_dir(&c, dir_fd, "", 0);
        r->outputs = c.files;
        r->outputs_count = c.count;
        r->outputs_skipped = c.skipped;
}

uint32_t mv_result_output_count(const struct mv_result *r, uint32_t *ret_skipped)
{
        if (ret_skipped)
                *ret_skipped = r->outputs_skipped;
        return r->outputs_count;
}

const struct mv_output_file *mv_result_output(const struct mv_result *r, uint32_t index)
{
        return index < r->outputs_count ? &r->outputs[index] : NULL;
}
