/* SPDX-License-Identifier: Apache-2.0 */
/* ccos.io on whole files and directories (REQ-CAP-34, -39). Paths: capability/place.c. Every operation is noted with its
 * bytes (REQ-FS-10). Texts are UTF-8; bytes that are not are refused, never replaced. */
#include <capability/builtin.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/beneath.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wire/text.h>

/* Deepest tree delete-file removes: each level holds one descriptor and about 300 bytes of C
 * stack. */
#define DELETE_DEPTH_MAX 100
/* Entries of one directory listing; each costs about 300 bytes of reply memory. */
#define LIST_ENTRIES_MAX 100000

static void note(struct mv_call *call, const struct mv_place *p, uint64_t bytes)
{
        call->host.note_file(call->host.ctx, mv_slice_str(p->path), mv__verb(call), bytes);
}

static int check_read(const struct mv_context *c, const struct mv_value *args, uint32_t n,
                      struct mv_decision *d, struct mv_fault *fault)
{
        return mv__check_path(c, (struct mv_path_question){ args, n, false }, d, fault);
}

static int check_write(const struct mv_context *c, const struct mv_value *args, uint32_t n,
                       struct mv_decision *d, struct mv_fault *fault)
{
        return mv__check_path(c, (struct mv_path_question){ args, n, true }, d, fault);
}

/* --- file-exists ------------------------------------------------------------------------------ */
static int exists_at(struct mv_call *call, struct mv_place *p, struct mv_value *ret)
{
        int pin = mv__place_pin(call, p);
        if (pin < 0 && pin != -ENOENT && pin != -ENOTDIR)
                return mv__place_fail(call, p, -pin);
        if (pin >= 0)
                close(pin);
        note(call, p, 0);
        *ret = mv__bool(pin >= 0);
        return 0;
}

/* A granted root that is missing is an answer here, not an error. */
static bool root_missing(const struct mv_place *p, int r)
{
        return r == -(int)MV_E_PROGRAM && p->dir_fd == -ENOENT;
}

static int file_exists(struct mv_call *call, const struct mv_value *args, uint32_t n,
                       struct mv_value *ret)
{
        struct mv_place p;
        int r = mv__place_find(call, args[0].text, false, &p);
        if (root_missing(&p, r)) {
                *ret = mv__bool(false);
                return 0;
        }
        if (r == 0)
                r = exists_at(call, &p, ret);
        mv__place_done(&p);
        return r;
}

/* --- read-file -------------------------------------------------------------------------------- */
static int too_large(struct mv_call *call, const struct mv_place *p)
{
        const char *limit;
        uint64_t max = mv__reply_bytes_max(call, &limit);
        return mv_call_fail(call, "IoError", "%s %s: larger than the %s of %lu bytes",
                            mv__verb(call), p->path, limit, (unsigned long)max);
}

/* All bytes until the end, at most cap; the file may grow or shrink meanwhile. *ret_more: it
 * goes on behind cap. */
static int read_all(struct mv_call *call, const struct mv_place *p, int fd, struct mv_out *o,
                    bool *ret_more)
{
        const char *why;
        for (;;) {
                if (mv__call_ended(call, &why))
                        return mv_call_fail(call, "IoError", "%s %s: %s", mv__verb(call), p->path,
                                            why);
                uint8_t spill[1];
                bool full = o->len == o->cap;
                ssize_t n = read(fd, full ? spill : o->p + o->len, full ? 1 : o->cap - o->len);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return mv__place_fail(call, p, errno);
                *ret_more = full && n > 0;
                if (n == 0 || full)
                        return 0;
                o->len += (size_t)n;
        }
}

static int read_text(struct mv_call *call, struct mv_place *p, int fd, struct mv_value *ret)
{
        const char *limit;
        struct stat st;
        if (fstat(fd, &st) < 0)
                return mv__place_fail(call, p, errno);
        uint64_t max = mv__reply_bytes_max(call, &limit);
        if ((uint64_t)st.st_size > max)
                return too_large(call, p);
        /* /sys and the like report no size: give them a page. */
        size_t cap = st.st_size ? (size_t)st.st_size : (max < 4096 ? (size_t)max : 4096);
        struct mv_out o = mv_out(mv_call_alloc(call, cap + 1), cap);
        if (!o.p)
                return mv__fail_memory(call, p->path);
        bool more = false;
        int r = read_all(call, p, fd, &o, &more);
        if (r < 0)
                return r;
        if (more)
                return mv_call_fail(call, "IoError", "%s %s: the file grew while it was read",
                                    mv__verb(call), p->path);
        if (!mv_utf8_valid(mv_out_slice(&o)))
                return mv_call_fail(call, "IoError", "%s %s: the content is not valid UTF-8 text",
                                    mv__verb(call), p->path);
        note(call, p, o.len);
        *ret = mv__text(mv_out_slice(&o));
        return 0;
}

static int read_file(struct mv_call *call, const struct mv_value *args, uint32_t n,
                     struct mv_value *ret)
{
        struct mv_place p;
        int r = mv__place_find(call, args[0].text, false, &p);
        int fd = r == 0 ? mv__place_open(call, &p, O_RDONLY) : r;
        if (fd >= 0) {
                r = read_text(call, &p, fd, ret);
                close(fd);
        }
        mv__place_done(&p);
        return fd < 0 ? fd : r;
}

/* --- write-file ------------------------------------------------------------------------------- */
static int write_all(struct mv_call *call, const struct mv_place *p, int fd, struct mv_slice s)
{
        const char *why;
        for (size_t at = 0; at < s.len;) {
                if (mv__call_ended(call, &why))
                        return mv_call_fail(call, "IoError", "%s %s: %s", mv__verb(call), p->path,
                                            why);
                ssize_t n = write(fd, s.p + at, s.len - at);
                if (n < 0 && errno != EINTR)
                        return mv__place_fail(call, p, errno);
                at += n > 0 ? (size_t)n : 0;
        }
        note(call, p, s.len);
        return 0;
}

/* {:ok true :usage {:storage_write_bytes n}} */
static int usage_reply(struct mv_call *call, size_t bytes, struct mv_value *ret)
{
        struct mv_entry *e = mv_call_alloc(call, 3 * sizeof *e);
        if (!e)
                return mv__fail_memory(call, "the result");
        e[2].key = mv__keyword("storage_write_bytes");
        e[2].value = mv__int((int64_t)bytes);
        e[0].key = mv__keyword("ok");
        e[0].value = mv__bool(true);
        e[1].key = mv__keyword("usage");
        e[1].value = (struct mv_value){ .kind = MV_MAP, .count = 1, .entries = &e[2] };
        *ret = (struct mv_value){ .kind = MV_MAP, .count = 2, .entries = e };
        return 0;
}

static int write_file(struct mv_call *call, const struct mv_value *args, uint32_t n,
                      struct mv_value *ret)
{
        struct mv_place p;
        int r = mv__place_find(call, args[0].text, true, &p);
        if (r == 0)
                r = mv_call_reserve(call, MV_SPEND_WRITTEN_BYTES, args[1].text.len);
        int fd = r == 0 ? mv__place_open(call, &p, O_WRONLY | O_CREAT | O_TRUNC) : r;
        if (fd >= 0) {
                r = write_all(call, &p, fd, args[1].text);
                if (close(fd) < 0 && r == 0)
                        r = mv__place_fail(call, &p, errno);
        }
        mv__place_done(&p);
        if (fd < 0 || r < 0)
                return fd < 0 ? fd : r;
        return usage_reply(call, args[1].text.len, ret);
}

/* --- delete-file ------------------------------------------------------------------------------ */
static int delete_tree(int parent, const char *name, unsigned depth);

static int delete_entries(int dir, unsigned depth)
{
        DIR *d = fdopendir(dir);
        if (!d) {
                int e = errno;
                close(dir);
                return -e;
        }
        int r = 0;
        while (r == 0) {
                errno = 0;
                struct dirent *e = readdir(d);
                if (!e) {
                        r = -errno;
                        break;
                }
                if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
                        r = delete_tree(dir, e->d_name, depth);
        }
        closedir(d);
        return r;
}

/* Never follows a link, never enters another mount: each level is opened beneath the one above. */
static int delete_tree(int parent, const char *name, unsigned depth)
{
        if (unlinkat(parent, name, 0) == 0)
                return 0;
        if (errno != EISDIR)
                return -errno;
        if (depth == 0)
                return -ENAMETOOLONG;
        int dir = mv_sys_openat2(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0,
                                 RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
        if (dir < 0)
                return dir;
        int r = delete_entries(dir, depth - 1); /* takes dir */
        if (r < 0)
                return r;
        return unlinkat(parent, name, AT_REMOVEDIR) == 0 ? 0 : -errno;
}

static int delete_named(struct mv_call *call, struct mv_place *p, bool recursive,
                        struct mv_value *ret)
{
        const char *name;
        struct stat st;
        int parent = mv__place_parent(call, p, &name);
        if (parent < 0)
                return parent;
        int e = 0;
        bool there = fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
        if (!there)
                e = errno == ENOENT ? 0 : -errno;
        else if (S_ISDIR(st.st_mode))
                e = p->is_root  ? -EBUSY
                    : recursive ? delete_tree(parent, name, DELETE_DEPTH_MAX)
                                : -EISDIR;
        else if (unlinkat(parent, name, 0) < 0)
                e = -errno;
        close(parent);
        if (e == -EISDIR)
                return mv_call_fail(call, "IoError",
                                    "%s %s: is a directory; pass true to delete what is in it too",
                                    mv__verb(call), p->path);
        if (e == -EBUSY && p->is_root)
                return mv_call_fail(call, "IoError", "%s %s: the granted directory itself stays",
                                    mv__verb(call), p->path);
        if (e < 0)
                return mv__place_fail(call, p, -e);
        note(call, p, 0);
        *ret = mv__bool(there);
        return 0;
}

static int delete_file(struct mv_call *call, const struct mv_value *args, uint32_t n,
                       struct mv_value *ret)
{
        struct mv_place p;
        int r = mv__place_find(call, args[0].text, true, &p);
        if (r == 0)
                r = delete_named(call, &p, n > 1 && args[1].boolean, ret);
        mv__place_done(&p);
        return r;
}

/* --- mkdir ------------------------------------------------------------------------------------ */
/* Make every missing directory above the last one, walking from the root one component at a
 * time. */
static int make_parents(struct mv_call *call, struct mv_place *p)
{
        for (char *slash = strchr(p->rel, '/'); slash; slash = strchr(slash + 1, '/')) {
                struct mv_place part = *p;
                part.rel[slash - p->rel] = '\0';
                const char *name;
                int parent = mv__place_parent(call, &part, &name);
                if (parent < 0)
                        return parent;
                int e = mkdirat(parent, name, 0777) < 0 ? errno : 0;
                close(parent);
                if (e && e != EEXIST)
                        return mv__place_fail(call, p, e);
        }
        return 0;
}

static int make_last(struct mv_call *call, struct mv_place *p, bool recursive)
{
        const char *name;
        int parent = mv__place_parent(call, p, &name);
        if (parent < 0)
                return parent;
        struct stat st;
        int e = mkdirat(parent, name, 0777) < 0 ? errno : 0;
        if (e == EEXIST && recursive && fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISDIR(st.st_mode))
                e = 0;
        close(parent);
        return e ? mv__place_fail(call, p, e) : 0;
}

static int make_dir(struct mv_call *call, const struct mv_value *args, uint32_t n,
                    struct mv_value *ret)
{
        bool recursive = n > 1 && args[1].boolean;
        struct mv_place p;
        int r = mv__place_find(call, args[0].text, true, &p);
        if (r == 0 && recursive && !p.is_root)
                r = make_parents(call, &p);
        if (r == 0)
                r = make_last(call, &p, recursive);
        if (r == 0)
                note(call, &p, 0);
        mv__place_done(&p);
        *ret = mv__bool(true);
        return r;
}

/* --- list-dir --------------------------------------------------------------------------------- */
struct listing {
        struct mv_value *items; /* malloc'ed while it grows */
        uint32_t count, cap;
};

static bool listing_room(struct listing *l)
{
        if (l->count < l->cap)
                return true;
        uint32_t cap = l->cap ? l->cap * 2 : 64;
        struct mv_value *p = realloc(l->items, cap * sizeof *p);
        if (!p)
                return false;
        l->items = p;
        l->cap = cap;
        return true;
}

/* {:is_dir :is_file :name :path :size}: keyword keys in canonical order. */
static bool entry_value(struct mv_call *call, const struct mv_place *p, const char *name,
                        const struct stat *st, struct mv_value *ret)
{
        struct mv_entry *e = mv_call_alloc(call, 5 * sizeof *e);
        size_t dir = strlen(p->path), len = strlen(name);
        uint8_t *path = mv_call_alloc(call, dir + len + 2);
        if (!e || !path)
                return false;
        struct mv_out o = mv_out(path, dir + len + 1);
        mv_put_str(&o, p->path);
        if (dir && p->path[dir - 1] != '/')
                mv_put_u8(&o, '/');
        mv_put_str(&o, name);
        e[0] = (struct mv_entry){ mv__keyword("is_dir"), mv__bool(S_ISDIR(st->st_mode)) };
        e[1] = (struct mv_entry){ mv__keyword("is_file"), mv__bool(S_ISREG(st->st_mode)) };
        e[2] = (struct mv_entry){ mv__keyword("name"),
                                  mv__text(mv_slice(path + o.len - len, len)) };
        e[3] = (struct mv_entry){ mv__keyword("path"), mv__text(mv_out_slice(&o)) };
        e[4] = (struct mv_entry){ mv__keyword("size"), mv__int(st->st_size) };
        *ret = (struct mv_value){ .kind = MV_MAP, .count = 5, .entries = e };
        return true;
}

static int list_one(struct mv_call *call, const struct mv_place *p, int dir, const char *name,
                    struct listing *l)
{
        struct stat st;
        if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                /* gone since readdir */
                return errno == ENOENT ? 0 : mv__place_fail(call, p, errno);
        if (!mv_utf8_valid(mv_slice_str(name)))
                return mv_call_fail(call, "IoError",
                                    "%s %s: the directory holds a name that is not valid UTF-8",
                                    mv__verb(call), p->path);
        if (l->count == LIST_ENTRIES_MAX)
                return mv_call_fail(call, "IoError", "%s %s: more than %d entries", mv__verb(call),
                                    p->path, LIST_ENTRIES_MAX);
        if (!listing_room(l) || !entry_value(call, p, name, &st, &l->items[l->count]))
                return mv__fail_memory(call, p->path);
        l->count++;
        return 0;
}

static int list_all(struct mv_call *call, const struct mv_place *p, DIR *d, struct listing *l)
{
        const char *why;
        for (;;) {
                if (mv__call_ended(call, &why))
                        return mv_call_fail(call, "IoError", "%s %s: %s", mv__verb(call), p->path,
                                            why);
                errno = 0;
                struct dirent *e = readdir(d);
                if (!e)
                        return errno ? mv__place_fail(call, p, errno) : 0;
                if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
                        continue;
                int r = list_one(call, p, dirfd(d), e->d_name, l);
                if (r < 0)
                        return r;
        }
}

static int by_name(const void *a, const void *b)
{
        const struct mv_value *x = a, *y = b;
        return mv_slice_cmp(x->entries[2].value.text, y->entries[2].value.text);
}

static int listing_reply(struct mv_call *call, struct mv_place *p, struct listing *l,
                         struct mv_value *ret)
{
        struct mv_value *items = mv_call_alloc(call, l->count * sizeof *items + 1);
        if (!items)
                return mv__fail_memory(call, p->path);
        if (l->count) {
                qsort(l->items, l->count, sizeof *items, by_name);
                memcpy(items, l->items, l->count * sizeof *items);
        }
        *ret = (struct mv_value){ .kind = MV_VECTOR, .count = l->count, .items = items };
        note(call, p, 0);
        return 0;
}

static int list_opened(struct mv_call *call, struct mv_place *p, int fd, struct mv_value *ret)
{
        struct listing l = { 0 };
        DIR *d = fdopendir(fd); /* takes fd */
        if (!d) {
                int e = errno;
                close(fd);
                return mv__place_fail(call, p, e);
        }
        int r = list_all(call, p, d, &l);
        if (r == 0)
                r = listing_reply(call, p, &l, ret);
        closedir(d);
        free(l.items);
        return r;
}

static int list_dir(struct mv_call *call, const struct mv_value *args, uint32_t n,
                    struct mv_value *ret)
{
        struct mv_place p;
        int r = mv__place_find(call, args[0].text, false, &p);
        int fd = r == 0 ? mv__place_open(call, &p, O_RDONLY | O_DIRECTORY) : r;
        r = fd >= 0 ? list_opened(call, &p, fd, ret) : fd;
        mv__place_done(&p);
        return r;
}

/* With the parents, a directory that is there is no error. */
static bool mkdir_repeatable(const struct mv_value *args, uint32_t n)
{
        return n > 1 && args[1].boolean;
}

#define FILE_ACCESS .effects = MV_EFFECT_FILESYSTEM, .permission = "ccos.io.file-access"
static const struct mv_builtin items[] = {
        { .capability = { .id = "ccos.io.file-exists",
                          .arguments = "(path)",
                          .result = "boolean",
                          .summary = "Tells whether there is something at this path.",
                          FILE_ACCESS,
                          .args_min = 1,
                          .args_max = 1,
                          .idempotent = true,
                          .call = file_exists },
          .kinds = "s",
          .check = check_read },
        { .capability = { .id = "ccos.io.read-file",
                          .arguments = "(path)",
                          .result = "string",
                          .summary = "The text of a file.",
                          FILE_ACCESS,
                          .args_min = 1,
                          .args_max = 1,
                          .idempotent = true,
                          .call = read_file },
          .kinds = "s",
          .check = check_read },
        { .capability = { .id = "ccos.io.write-file",
                          .arguments = "(path content)",
                          .result = "{:ok true :usage {:storage_write_bytes n}}",
                          .summary = "Replaces the content of a file, or makes it.",
                          FILE_ACCESS,
                          .args_min = 2,
                          .args_max = 2,
                          .idempotent = true,
                          .call = write_file },
          .kinds = "s",
          .check = check_write },
        { .capability = { .id = "ccos.io.delete-file",
                          .arguments = "(path [recursive])",
                          .result = "boolean",
                          .summary = "Deletes a file, or with true a directory; false: nothing was "
                                     "there.",
                          FILE_ACCESS,
                          .args_min = 1,
                          .args_max = 2,
                          .idempotent = true,
                          .call = delete_file },
          .kinds = "sb",
          .check = check_write },
        { .capability = { .id = "ccos.io.mkdir",
                          .arguments = "(path [recursive])",
                          .result = "boolean",
                          .summary = "Makes a directory, with true also those above it.",
                          FILE_ACCESS,
                          .args_min = 1,
                          .args_max = 2,
                          .call = make_dir },
          .kinds = "sb",
          .repeatable = mkdir_repeatable,
          .check = check_write },
        { .capability = { .id = "ccos.io.list-dir",
                          .arguments = "(path)",
                          .result = "[{:name :path :is_dir :is_file :size}...]",
                          .summary = "The entries of a directory, sorted by name; links are not "
                                     "followed.",
                          FILE_ACCESS,
                          .args_min = 1,
                          .args_max = 1,
                          .idempotent = true,
                          .call = list_dir },
          .kinds = "s",
          .check = check_read },
};
MV_FAMILY(mv__family_file, items);
