/* SPDX-License-Identifier: Apache-2.0 */
/* From a granted path to a descriptor, without trusting anything that lies between (see struct mv_place).
 *
 * The lexical decision (policy/) was made before the effect; here the kernel repeats it: RESOLVE_BENEATH refuses every walk
 * that leaves the root, whatever is renamed or linked meanwhile, RESOLVE_NO_MAGICLINKS refuses /proc/self/root and its kin.
 * With root "/" (level full) RESOLVE_IN_ROOT stands in, so that absolute links work.
 *
 * Hard links: another name of a file may lie outside the grant and no walk can see that, so a regular file with more than
 * one name is refused unless the file itself is granted. */
#include <capability/builtin.h>
#include <errno.h>
#include <fcntl.h>
#include <policy/policy.h>
#include <sys/beneath.h>
#include <sys/stat.h>
#include <unistd.h>

/* A name that appears and vanishes between looking and creating: after this many turns somebody
 * does it on purpose. */
#define CREATE_TRIES_MAX 16

const char *mv__verb(const struct mv_call *call)
{
        const char *dot = strrchr(call->capability->id, '.');
        return dot ? dot + 1 : call->capability->id;
}

int mv__check_path(const struct mv_context *c, struct mv_path_question q, struct mv_decision *d,
                   struct mv_fault *fault)
{
        struct mv_decision policy;
        struct mv_slice root;
        if (q.args_count == 0 || q.args[0].kind != MV_STRING) {
                mv__fault_set(fault, "InvalidArgument",
                              "No path provided for filesystem operation");
                return -(int)MV_E_PROGRAM;
        }
        mv_policy_path(c, q.args[0].text, q.write, d->capability, &policy, &root);
        mv__decision_narrow(d, &policy);
        return 0;
}

static struct mv_slice without_slashes(struct mv_slice s)
{
        while (s.len > 1 && s.p[s.len - 1] == '/')
                s.len--;
        return s;
}

/* Is `path` strictly below `root`? *ret_rest: what follows, without leading slashes. */
static bool below(struct mv_slice path, struct mv_slice root, struct mv_slice *ret_rest)
{
        size_t at = root.len;
        if (path.len <= at || memcmp(path.p, root.p, at) != 0)
                return false;
        if (root.p[at - 1] != '/' && path.p[at] != '/')
                return false;
        while (at < path.len && path.p[at] == '/')
                at++;
        *ret_rest = mv_slice(path.p + at, path.len - at);
        return at < path.len;
}

/* The outermost granted tree the execution may write that holds `root`, or an empty slice. */
static struct mv_slice writable_tree_around(const struct mv_context *c, struct mv_slice root)
{
        struct mv_slice outermost = { NULL, 0 }, rest;
        for (uint32_t i = 0; c && i < c->writes.count; i++) {
                struct mv_slice tree = without_slashes(mv_slice_str(c->writes.items[i]));
                if (tree.len && below(root, tree, &rest) &&
                    (!outermost.len || tree.len < outermost.len))
                        outermost = tree;
        }
        return outermost;
}

static bool granted_itself(const struct mv_grant_list *list, struct mv_slice path)
{
        for (uint32_t i = 0; i < list->count; i++)
                if (mv_slice_eq(without_slashes(mv_slice_str(list->items[i])), path))
                        return true;
        return false;
}

static bool copy_path(char buf[MV_PATH_BYTES], struct mv_slice s)
{
        if (s.len >= MV_PATH_BYTES)
                return false;
        memcpy(buf, s.p, s.len);
        buf[s.len] = '\0';
        return true;
}

/* Open a granted root itself (invariant 1). flags: O_PATH and friends. */
static int open_root(const struct mv_context *c, const char *root, int flags, unsigned mode)
{
        struct mv_slice tree = writable_tree_around(c, mv_slice_str(root)), rest;
        char outer[MV_PATH_BYTES];
        if (!tree.len || !below(mv_slice_str(root), tree, &rest) || !copy_path(outer, tree))
                return mv_sys_openat2(AT_FDCWD, root, flags, mode, RESOLVE_NO_MAGICLINKS);
        int dir = mv_sys_openat2(AT_FDCWD, outer, O_PATH | O_DIRECTORY, 0, RESOLVE_NO_MAGICLINKS);
        if (dir < 0)
                return dir;
        int fd = mv_sys_openat2(dir, (const char *)rest.p, flags, mode,
                                RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);
        close(dir);
        return fd;
}

static int place_open_root(struct mv_call *call, struct mv_place *p)
{
        p->dir_fd = open_root(call->context, p->root, O_PATH, 0);
        if (p->dir_fd >= 0)
                return 0;
        if (p->dir_fd == -ENOENT)
                return mv_call_fail(call, "IoError", "%s %s: the granted path %s does not exist",
                                    mv__verb(call), p->path, p->root);
        return mv__place_fail(call, p, -p->dir_fd);
}

int mv__place_find(struct mv_call *call, struct mv_slice asked, bool write, struct mv_place *ret)
{
        struct mv_decision d = { 0 };
        struct mv_slice root, rest = { NULL, 0 }, path = without_slashes(asked);
        ret->dir_fd = -EBADF;
        if (mv_policy_path(call->context, asked, write, call->capability->id, &d, &root) < 0)
                return call->host.deny(call->host.ctx, &d);
        root = without_slashes(root);
        ret->write = write;
        if (!copy_path(ret->path, path) || !copy_path(ret->root, root))
                return mv_call_fail(call, "IoError", "%s: the path is longer than %d bytes",
                                    mv__verb(call), MV_PATH_BYTES - 1);
        ret->is_root = !below(path, root, &rest);
        ret->resolve = (root.len == 1 ? RESOLVE_IN_ROOT : RESOLVE_BENEATH) | RESOLVE_NO_MAGICLINKS;
        const struct mv_context *c = call->context;
        ret->any_links = ret->is_root || root.len == 1 ||
                         (c && (granted_itself(&c->writes, path) ||
                                (!write && granted_itself(&c->reads, path))));
        if (ret->is_root)
                return 0;
        copy_path(ret->rel, rest); /* shorter than path */
        return place_open_root(call, ret);
}

void mv__place_done(struct mv_place *p)
{
        if (p->dir_fd >= 0)
                close(p->dir_fd);
        p->dir_fd = -EBADF;
}

/* The kernel stopped a walk that left its grant: a denial, decided here because only the walk
 * could see it. */
static int deny_escape(struct mv_call *call, const struct mv_place *p)
{
        struct mv_decision d = { .allowed = false };
        mv_fmt(d.rule, sizeof d.rule, "path leaves its grant");
        mv_fmt(d.operation, sizeof d.operation, "filesystem");
        mv_fmt(d.capability, sizeof d.capability, "%s", call->capability->id);
        mv_fmt(d.context, sizeof d.context,
               "Path not allowed by policy (write=%s): %s (a link leads outside %s)",
               p->write ? "true" : "false", p->path, p->root);
        mv_fmt(d.hint, sizeof d.hint,
               "grant the link's target with --allow-%s and use its own path",
               p->write ? "write" : "read");
        return call->host.deny(call->host.ctx, &d);
}

int mv__place_fail(struct mv_call *call, const struct mv_place *p, int error)
{
        if (error == EXDEV || error == ELOOP)
                return deny_escape(call, p);
        return mv_call_fail(call, "IoError", "%s %s: %s", mv__verb(call), p->path,
                            mv__errno_text(error));
}

static int place_walk(struct mv_call *call, const struct mv_place *p, int flags, unsigned mode)
{
        if (p->is_root)
                return open_root(call->context, p->root, flags, mode);
        return mv_sys_openat2(p->dir_fd, p->rel, flags, mode, p->resolve);
}

int mv__place_pin(struct mv_call *call, const struct mv_place *p)
{
        return place_walk(call, p, O_PATH, 0);
}

/* Only what is pinned is judged, and only what was judged is opened. */
static int judge(struct mv_call *call, const struct mv_place *p, int pin, bool directory)
{
        struct stat st;
        if (fstat(pin, &st) < 0)
                return mv__place_fail(call, p, errno);
        if (mv_sys_is_procfs(pin))
                return mv_call_fail(
                        call, "IoError",
                        "%s %s: files of /proc describe the host process and are never opened",
                        mv__verb(call), p->path);
        if (directory)
                return S_ISDIR(st.st_mode) ? 0 : mv__place_fail(call, p, ENOTDIR);
        if (S_ISDIR(st.st_mode))
                return mv__place_fail(call, p, EISDIR);
        if (!S_ISREG(st.st_mode))
                return mv_call_fail(
                        call, "IoError",
                        "%s %s: not a regular file; devices, pipes and sockets are never opened",
                        mv__verb(call), p->path);
        if (st.st_nlink > 1 && !p->any_links)
                return mv_call_fail(
                        call, "IoError",
                        "%s %s: the file has %lu hard links and one may lie outside the grant %s; "
                        "--allow-%s the file itself to use it",
                        mv__verb(call), p->path, (unsigned long)st.st_nlink, p->root,
                        p->write ? "write" : "read");
        return 0;
}

static int open_pinned(struct mv_call *call, const struct mv_place *p, int pin, int how)
{
        int r = judge(call, p, pin, how & O_DIRECTORY);
        if (r < 0)
                return r;
        int fd = mv_sys_reopen(pin, (how & ~(O_CREAT | O_EXCL)) | O_NONBLOCK | O_NOCTTY);
        return fd >= 0 ? fd : mv__place_fail(call, p, -fd);
}

int mv__place_open(struct mv_call *call, struct mv_place *p, int how)
{
        for (int i = 0; i < CREATE_TRIES_MAX; i++) {
                int pin = mv__place_pin(call, p);
                if (pin >= 0) {
                        int fd = open_pinned(call, p, pin, how);
                        close(pin);
                        return fd;
                }
                if (pin != -ENOENT || !(how & O_CREAT))
                        return pin == -ENOENT && p->is_root
                                       ? mv_call_fail(call, "IoError",
                                                      "%s %s: the granted path does not exist",
                                                      mv__verb(call), p->path)
                                       : mv__place_fail(call, p, -pin);
                /* O_EXCL: what is made is ours, a regular file, and no link is followed to make
                 * it. */
                int fd = place_walk(call, p, (how & ~O_TRUNC) | O_CREAT | O_EXCL | O_NOCTTY, 0666);
                if (fd >= 0 || fd != -EEXIST)
                        return fd >= 0 ? fd : mv__place_fail(call, p, -fd);
        }
        return mv_call_fail(call, "IoError",
                            "%s %s: the name is a link to nothing, or changes while it is opened",
                            mv__verb(call), p->path);
}

/* Split `whole` at its last slash: NULL when there is nothing to name ("/", "."). */
static const char *split(char whole[MV_PATH_BYTES], const char **ret_dir)
{
        char *slash = strrchr(whole, '/');
        const char *name = slash ? slash + 1 : whole;
        *ret_dir = ".";
        if (slash) {
                *slash = '\0';
                *ret_dir = slash == whole ? "/" : whole;
        }
        return *name == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ? NULL : name;
}

int mv__place_parent(struct mv_call *call, struct mv_place *p, const char **ret_name)
{
        if (p->is_root)
                /* cut below; root stays whole for messages */
                memcpy(p->rel, p->root, sizeof p->rel);
        const char *dir, *name = split(p->rel, &dir);
        if (!name)
                return mv_call_fail(call, "InvalidArgument", "%s %s: the path names no file",
                                    mv__verb(call), p->path);
        int fd = p->is_root ? open_root(call->context, dir, O_PATH | O_DIRECTORY, 0)
                            : mv_sys_openat2(p->dir_fd, dir, O_PATH | O_DIRECTORY, 0, p->resolve);
        if (fd < 0)
                return mv__place_fail(call, p, -fd);
        *ret_name = name;
        return fd;
}
