/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_CAPABILITY_BUILTIN_H
#define MV_CAPABILITY_BUILTIN_H
/* Between the files of this folder: what a family is, and small helpers its calls share. */
#include <sys/clock.h>
#include <capability/table.h>

/* Decide about the arguments once the authoriser has allowed the capability. *d comes in with that decision. Negative:
 * the arguments name nothing that can be decided about; fault says why. Pure: no effect (a path is not looked up). */
typedef int (*mv_check_fn)(const struct mv_context *c, const struct mv_value *args,
                           uint32_t args_count, struct mv_decision *d, struct mv_fault *fault);

struct mv_builtin {
        struct mv_capability capability;
        /* One letter per argument, the last one for all further ones: s string, i integer, b
         * boolean, * anything. */
        const char *kinds;
        mv_check_fn check; /* NULL: the capability id alone decides */
        /* asked of one that is neither pure nor idempotent; NULL: never */
        bool (*repeatable)(const struct mv_value *args, uint32_t args_count);
};
struct mv_family {
        const struct mv_builtin *items;
        uint32_t count;
};
/* Listed by hand; order does not matter, the table sorts. */
extern const struct mv_family mv__family_core, mv__family_data, mv__family_system,
        mv__family_output, mv__family_file, mv__family_handle, mv__family_random;
#ifdef MV_HAVE_CURL
extern const struct mv_family mv__family_http;
#endif
#define MV_FAMILY(name, array)                                                                     \
        const struct mv_family name = { array, sizeof(array) / sizeof((array)[0]) }

/* The built-in id an alias stands for, or NULL (capability/alias.c). Text without the leading
 * colon. */
const char *mv__alias_find(struct mv_slice text);
bool mv__is_builtin(const struct mv_capability_table *t, const struct mv_capability *c);
const struct mv_builtin *mv__builtin_at(uint32_t i); /* NULL behind the last one */

/* Put the policy's decision in place of the authoriser's; the permissions of both are kept. */
void mv__decision_narrow(struct mv_decision *d, const struct mv_decision *policy);

/* --- replies ---------------------------------------------------------------------------------- */
struct mv_value mv__nil(void);
struct mv_value mv__bool(bool v);
struct mv_value mv__int(int64_t v);
struct mv_value mv__text(struct mv_slice s);
struct mv_value mv__keyword(const char *name);
/* Copies; false when the reply memory is full. */
bool mv__copy_text(struct mv_call *call, struct mv_slice s, struct mv_value *ret);
/* The call fails because its reply does not fit the execution's memory limit. */
int mv__fail_memory(struct mv_call *call, const char *what);
/* Largest text one reply may carry, and the name of the limit that says so. */
uint64_t mv__reply_bytes_max(const struct mv_call *call, const char **ret_limit);
/* Has the execution been cancelled, or its deadline passed? *ret_why: static text. */
bool mv__call_ended(const struct mv_call *call, const char **ret_why);

void mv__fault_set(struct mv_fault *f, const char *kind, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* --- paths (capability/place.c) --------------------------------------------------------------- */
#define MV_PATH_BYTES 4096
/* Where a granted path is, seen from the root that grants it. Made by mv__place_find, closed by mv__place_done.
 * (1) Everything below the root is resolved by the kernel beneath dir_fd; the root's own path is the granter's word,
 *     except where it lies inside a tree the execution may write: then it is resolved beneath that tree too.
 * (2) What is opened is a regular file or a directory, pinned by O_PATH before it is opened for real. */
struct mv_place {
        /* O_PATH of the root; negative and unused when the path is the root itself */
        int dir_fd;
        uint64_t resolve;
        bool is_root; /* the path is the granted root itself */
        /* hard links are no escape: level full, or the file itself is granted */
        bool any_links;
        char path[MV_PATH_BYTES]; /* as asked, without trailing slashes */
        char rel[MV_PATH_BYTES];  /* from dir_fd */
        char root[MV_PATH_BYTES];
        bool write;
};
int mv__place_find(struct mv_call *call, struct mv_slice path, bool write, struct mv_place *ret);
void mv__place_done(struct mv_place *p);
/* Open what is there. how: O_RDONLY, O_WRONLY, O_RDWR, with O_CREAT, O_TRUNC, O_APPEND as wanted, or O_DIRECTORY.
 * Regular files only, or a directory with O_DIRECTORY. A descriptor, or a failed call. */
int mv__place_open(struct mv_call *call, struct mv_place *p, int how);
/* The directory that holds the path, and the last component of it: for names that are made or
 * removed. */
int mv__place_parent(struct mv_call *call, struct mv_place *p, const char **ret_name);
/* O_PATH descriptor of what is there, or -errno (EXDEV: it leads outside). */
int mv__place_pin(struct mv_call *call, const struct mv_place *p);
/* Turn an errno of the above into a failed call: EXDEV and ELOOP become a recorded denial. */
int mv__place_fail(struct mv_call *call, const struct mv_place *p, int error);
/* For check functions: the path rule on args[0]. A missing or non-text path is the fault REQ-
 * PROC-13 names. */
struct mv_path_question {
        const struct mv_value *args;
        uint32_t args_count;
        bool write;
};
int mv__check_path(const struct mv_context *c, struct mv_path_question q, struct mv_decision *d,
                   struct mv_fault *fault);
/* "read-file": the id without "ccos.io." */
const char *mv__verb(const struct mv_call *call);

#endif
