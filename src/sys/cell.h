/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_SYS_CELL_H
#define MV_SYS_CELL_H
/* Start the init of a cell: a sealed image as process 1 of new namespaces.
 *
 * (1) The child borrows our memory until exec, with every signal blocked; it then holds the
 *     descriptors it was given, in the order they were given, and no other.
 * (2) User ids: the caller's own, or, when the caller may map others (root), one that nobody else
 *     on the machine has. Ids are mapped after exec, by us; until then init holds its capabilities
 *     over its own namespaces as ambient ones, because exec takes them from a process whose id is
 *     not mapped.
 * (3) Init is killed through its pidfd, which ends everything in its process namespace; it ends by
 *     itself when the last copy of our end of its control socket is closed. Without a process namespace it has to be asked
 *     to end, which it does when that socket is shut down: what it started outlives it when it is killed. */
#include <sys/child.h>

#define MV_SYS_CELL_ID_INSIDE 1000u
/* Ids of no account: systemd and the container tools end below 0x70000000, -1 and -2 have meanings
 * of their own. */
#define MV_SYS_CELL_ID_OUTSIDE 0x766d0000u

struct mv_sys_cell {
        int image_fd;
        const int *fds;     /* become 0, 1, 2 ... of the child; -1: that number stays closed */
        unsigned fds_count; /* image and these fit below MV_CELL_FDS_MAX */
        int image_at;       /* the number of the image's descriptor in the child */
        int group_fd;       /* directory of a version 2 control group to start in; -1: none */
        bool confined;      /* no namespace at all: init does without (guest/cell_confined.c) */
        bool no_user;       /* namespaces, but none of users: mv_sys_cell_without_user */
        bool own_network;   /* a network namespace of its own, with nothing in it */
        bool keep_network;  /* init keeps the right to bring its loopback up */
        const char *name;   /* argv[0] of init */
};
int mv_sys_cell_start(const struct mv_sys_cell *s, struct mv_sys_child *ret, struct mv_err *err);

/* May this process, which is root, make every namespace but that of users, and become such an id? 0, or why not. */
int mv_sys_cell_without_user(void);
/* May it become such an id without a user namespace? */
bool mv_sys_cell_has_id(void);
/* Tasks that this user has now, of all processes that can be seen: what RLIMIT_NPROC counts before anything is added. */
uint64_t mv_sys_tasks_of(unsigned uid);

/* May this process map an id that is not its own (2)? */
bool mv_sys_cell_maps_ids(void);

/* A user namespace in which files of the caller (id 0) belong to MV_SYS_CELL_ID_OUTSIDE: for mounts
 * that translate owners. Only where mv_sys_cell_maps_ids. */
int mv_sys_cell_owner_namespace(int *ret_fd, struct mv_err *err);
/* What is at `path`, as a mount of its own that is attached nowhere, with owners translated (a descriptor of -1: with their
 * own).
 * -errno; -EINVAL also means that the file system cannot translate. read_only: nothing can be
 * written through it. */
int mv_sys_cell_granted_mount(const char *path, bool read_only, int owner_namespace_fd,
                              int *ret_fd);

#endif
