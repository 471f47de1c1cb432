/* SPDX-License-Identifier: Apache-2.0 */
/* The steps that build the program's file system.
 *
 * (1) Mounts are made detached, given their attributes, and only then attached: no mount is ever
 *     visible with more rights than it ends with.
 * (2) Every path inside the cell is resolved beneath the new root's descriptor, before and after
 *     ENTER alike.
 * (3) Nothing done here is seen outside: the first step makes every inherited mount private. Where the mount namespace
 *     belongs to a user namespace of the cell's own, the kernel has done so before. */
#include <errno.h>
#include <fcntl.h>
#include <guest/cell.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define UMOUNT_DETACH 2

static int place_fd(const struct cell *c, uint8_t place)
{
        return place == MV_CELL_IN_SCRATCH ? c->scratch_fd
               : place == MV_CELL_IN_ROOT  ? c->root_fd
                                           : AT_FDCWD;
}

/* --- memory file systems ---------------------------------------------------------------------- */

static int set_number(int fs, const char *key, uint64_t value)
{
        char text[24];
        snprintf(text, sizeof text, "%llu", (unsigned long long)value);
        return (int)syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, key, text, 0);
}

/* A memory file system, or a /proc (no bytes): of processes alone unless it is wanted whole. */
static int mount_new(const char *type, uint64_t bytes, uint64_t inodes, bool whole,
                     unsigned attributes)
{
        int fs = (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);
        if (fs < 0)
                return -1;
        if ((bytes &&
             (set_number(fs, "size", bytes) < 0 || set_number(fs, "nr_inodes", inodes) < 0 ||
              syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "mode", "0755", 0) < 0)) ||
            (!bytes && !whole &&
             syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "subset", "pid", 0) < 0) ||
            syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) {
                int saved = errno;
                close(fs);
                errno = saved;
                return -1;
        }
        int fd = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, attributes);
        int saved = errno;
        close(fs);
        errno = saved;
        return fd;
}

static int attach(int mount_fd, int dir_fd, const char *path)
{
        int r = (int)syscall(SYS_move_mount, mount_fd, "", dir_fd, path, MOVE_MOUNT_F_EMPTY_PATH);
        return r < 0 ? errno : 0;
}

/* The root is attached over "/" of the private mount namespace; ENTER turns it into the real one.
 */
static int make_root(struct cell *c, struct mv_cur *plan)
{
        uint64_t bytes = mv_get_u64(plan), inodes = mv_get_u64(plan);
        struct mount_attr private = { .propagation = 1u << 18 /* MS_PRIVATE */ };
        cell_step(c, "make the inherited mounts private");
        if (syscall(SYS_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, &private, sizeof private) < 0)
                return errno;
        cell_step(c, "make the root file system");
        c->top_fd = c->root_fd =
                mount_new("tmpfs", bytes, inodes, false, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
        return c->root_fd < 0 ? errno : attach(c->root_fd, AT_FDCWD, "/");
}

/* Parts of it are bound into the root. Before Linux 6.15 only what is attached can be bound from, so
 * it lies over the old root's /proc, which goes away with the old root. */
static int make_scratch(struct cell *c, struct mv_cur *plan)
{
        uint64_t bytes = mv_get_u64(plan), inodes = mv_get_u64(plan);
        cell_step(c, "make the file system for what the program writes");
        c->scratch_fd =
                mount_new("tmpfs", bytes, inodes, false, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
        return c->scratch_fd < 0 ? errno : attach(c->scratch_fd, AT_FDCWD, "/proc");
}

static int make_proc(struct cell *c, struct mv_cur *plan)
{
        const char *path = cell_str(plan);
        bool whole = mv_get_u8(plan);
        cell_step(c, "mount the cell's own /proc");
        int fd = mount_new("proc", 0, 0, whole,
                           MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
        if (fd < 0)
                return errno;
        int error = attach(fd, c->root_fd, path);
        close(fd);
        return error;
}

static int resize_root(struct cell *c, struct mv_cur *plan)
{
        uint64_t bytes = mv_get_u64(plan), inodes = mv_get_u64(plan);
        cell_step(c, "resize the root file system");
        int fs = (int)syscall(SYS_fspick, c->top_fd, "", FSPICK_CLOEXEC | FSPICK_EMPTY_PATH);
        if (fs < 0)
                return errno;
        bool ok = set_number(fs, "size", bytes) == 0 && set_number(fs, "nr_inodes", inodes) == 0 &&
                  syscall(SYS_fsconfig, fs, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0) == 0;
        int error = ok ? 0 : errno;
        close(fs);
        return error;
}

static int go_below(struct cell *c, struct mv_cur *plan)
{
        const char *path = cell_str(plan);
        cell_step(c, "go below /%s", path);
        if (c->root_fd != c->top_fd)
                close(c->root_fd);
        c->root_fd =
                path[0] ? openat(c->top_fd, path, O_PATH | O_DIRECTORY | O_CLOEXEC) : c->top_fd;
        return c->root_fd < 0 ? errno : 0;
}

/* --- entries ---------------------------------------------------------------------------------- */

static int make_dir(struct cell *c, struct mv_cur *plan)
{
        uint8_t place = mv_get_u8(plan);
        const char *path = cell_str(plan);
        mode_t mode = (mode_t)mv_get_u32(plan);
        cell_step(c, "make the directory /%s", path);
        return mkdirat(place_fd(c, place), path, mode) < 0 && errno != EEXIST ? errno : 0;
}

static int make_link(struct cell *c, struct mv_cur *plan)
{
        const char *target = cell_str(plan), *path = cell_str(plan);
        cell_step(c, "make the link /%s", path);
        return symlinkat(target, c->root_fd, path) < 0 ? errno : 0;
}

static int make_file(struct cell *c, struct mv_cur *plan)
{
        uint8_t place = mv_get_u8(plan);
        const char *path = cell_str(plan);
        mode_t mode = (mode_t)mv_get_u32(plan);
        struct mv_slice bytes = cell_blob(plan);
        cell_step(c, "make the file /%s", path);
        int fd = openat(place_fd(c, place), path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
        if (fd < 0) /* a mount point may be there already */
                return errno == EEXIST && bytes.len == 0 ? 0 : errno;
        int error = 0;
        while (bytes.len && !error) {
                ssize_t n = write(fd, bytes.p, bytes.len);
                if (n < 0)
                        error = errno;
                bytes.p += n > 0 ? n : 0;
                bytes.len -= n > 0 ? (size_t)n : 0;
        }
        close(fd);
        return error;
}

/* --- binds ------------------------------------------------------------------------------------ */

static int source_open(const struct cell *c, uint8_t place, const char *source, uint32_t flags)
{
        struct open_how how = { .flags = O_PATH | O_CLOEXEC,
                                .resolve = flags & MV_CELL_STRICT
                                                   ? RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS
                                                   : 0 };
        return (int)syscall(SYS_openat2, place_fd(c, place), source, &how, sizeof how);
}

/* A clone of a mount tree: recursive, because the kernel does not let us uncover what it hides. */
static int tree_clone(int fd)
{
        return (int)syscall(SYS_open_tree, fd, "",
                            OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);
}

static int tree_restrict(int tree, uint32_t flags)
{
        struct mount_attr a = { .attr_set = MOUNT_ATTR_NOSUID };
        if (flags & MV_CELL_READ_ONLY)
                a.attr_set |= MOUNT_ATTR_RDONLY;
        if (flags & MV_CELL_NO_EXEC)
                a.attr_set |= MOUNT_ATTR_NOEXEC;
        if (!(flags & MV_CELL_DEVICE))
                a.attr_set |= MOUNT_ATTR_NODEV;
        return (int)syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &a,
                            sizeof a);
}

static int bind_tree(struct cell *c, struct mv_cur *plan)
{
        uint8_t place = mv_get_u8(plan);
        const char *source = cell_str(plan), *path = cell_str(plan);
        uint32_t flags = mv_get_u32(plan);
        cell_step(c, "open %s", source);
        int from = source_open(c, place, source, flags);
        if (from < 0)
                return errno == ENOENT && flags & MV_CELL_OPTIONAL ? 0 : errno;
        cell_step(c, "mount %s at /%s", source, path);
        int tree = tree_clone(from), error = tree < 0 ? errno : 0;
        if (!error && tree_restrict(tree, flags) < 0) /* (1) */
                error = errno;
        if (!error)
                error = attach(tree, c->root_fd, path);
        close(from);
        if (tree >= 0)
                close(tree);
        return error;
}

static int attach_given(struct cell *c, struct mv_cur *plan)
{
        int fd = mv_get_u8(plan);
        const char *path = cell_str(plan);
        cell_step(c, "mount what was granted at /%s", path);
        int error = attach(fd, c->root_fd, path);
        close(fd);
        return error;
}

/* --- the end of the file system steps --------------------------------------------------------- */

static int give_output(struct cell *c, struct mv_cur *plan)
{
        const char *path = cell_str(plan);
        cell_step(c, "hand out /%s", path);
        int fd = openat(c->scratch_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return errno;
        int error = cell_give(fd, MV_CELL_GIVE_OUTPUT);
        close(fd);
        return error;
}

/* Hand a descriptor to the host. */
int cell_give(int fd, enum mv_cell_report_kind kind)
{
        struct mv_cell_report r = { .kind = kind };
        struct iovec bytes = { &r, sizeof r };
        union {
                char room[CMSG_SPACE(sizeof fd)];
                struct cmsghdr head;
        } control = { { 0 } };
        struct msghdr m = { .msg_iov = &bytes,
                            .msg_iovlen = 1,
                            .msg_control = &control,
                            .msg_controllen = sizeof control };
        struct cmsghdr *head = CMSG_FIRSTHDR(&m);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(head), &fd, sizeof fd);
        return sendmsg(MV_CELL_FD_CONTROL, &m, MSG_NOSIGNAL) == (ssize_t)sizeof r ? 0 : errno;
}

static int enter(struct cell *c)
{
        struct mount_attr read_only = { .attr_set = MOUNT_ATTR_RDONLY };
        cell_step(c, "enter the new root");
        if (fchdir(c->top_fd) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
            syscall(SYS_umount2, ".", UMOUNT_DETACH) < 0 || chdir("/") < 0)
                return errno;
        cell_step(c, "make the root read-only");
        return syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, &read_only, sizeof read_only) < 0
                       ? errno
                       : 0;
}

int cell_root_step(struct cell *c, enum mv_cell_op op, struct mv_cur *plan)
{
        switch (op) {
        case MV_CELL_ROOT:
                return make_root(c, plan);
        case MV_CELL_RESIZE:
                return resize_root(c, plan);
        case MV_CELL_SCRATCH:
                return make_scratch(c, plan);
        case MV_CELL_DIR:
                return make_dir(c, plan);
        case MV_CELL_LINK:
                return make_link(c, plan);
        case MV_CELL_FILE:
                return make_file(c, plan);
        case MV_CELL_BIND:
                return bind_tree(c, plan);
        case MV_CELL_ATTACH:
                return attach_given(c, plan);
        case MV_CELL_PROC:
                return make_proc(c, plan);
        case MV_CELL_BELOW:
                return go_below(c, plan);
        case MV_CELL_OUTPUT:
                return give_output(c, plan);
        case MV_CELL_ENTER:
                return enter(c);
        default:
                cell_step(c, "a step of the plan that this init does not know");
                return EINVAL;
        }
}
