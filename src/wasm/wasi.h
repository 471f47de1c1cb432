/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_WASM_WASI_H
#define MV_WASM_WASI_H
/* WASI preview 1 for one module in a process of its own, inside a cell. Deny by default: what is not named
 * here has no way in. wasi.c: the process (arguments, clocks, random numbers). wasi_fd.c: descriptors.
 * wasi_path.c: names below a preopened directory. host_call.c: capabilities.
 *
 * (1) A pointer of the module is a number until wasi_at() has checked it with its length.
 * (2) A descriptor carries rights; what it lacks is refused before the kernel is asked, and no descriptor
 *     that is opened through another has more than that one passes on.
 * (3) A path is walked component by component from a preopened directory; ".." goes back to a directory
 *     that was walked through, never past the first; a link's text is walked the same way. */
#include "imports.h"
#include "rt.h"

#define WASI_PREOPENS_MAX 70u
#define WASI_FDS_MAX      512u
#define WASI_IOVS_MAX     1024u
#define WASI_PATH_MAX     4096u

enum wasi_errno {
        WE_OK = 0,
        WE_2BIG = 1,
        WE_ACCES = 2,
        WE_AGAIN = 6,
        WE_BADF = 8,
        WE_BUSY = 10,
        WE_EXIST = 20,
        WE_FAULT = 21,
        WE_FBIG = 22,
        WE_ILSEQ = 25,
        WE_INTR = 27,
        WE_INVAL = 28,
        WE_IO = 29,
        WE_ISDIR = 31,
        WE_LOOP = 32,
        WE_MFILE = 33,
        WE_MLINK = 34,
        WE_NAMETOOLONG = 37,
        WE_NODEV = 43,
        WE_NOENT = 44,
        WE_NOMEM = 48,
        WE_NOSPC = 51,
        WE_NOSYS = 52,
        WE_NOTDIR = 54,
        WE_NOTEMPTY = 55,
        WE_NOTSUP = 58,
        WE_NXIO = 60,
        WE_OVERFLOW = 61,
        WE_PERM = 63,
        WE_PIPE = 64,
        WE_RANGE = 68,
        WE_ROFS = 69,
        WE_SPIPE = 70,
        WE_TXTBSY = 74,
        WE_XDEV = 75,
        WE_NOTCAPABLE = 76,
};

#define R_FD_DATASYNC             (1ull << 0)
#define R_FD_READ                 (1ull << 1)
#define R_FD_SEEK                 (1ull << 2)
#define R_FD_FDSTAT_SET_FLAGS     (1ull << 3)
#define R_FD_SYNC                 (1ull << 4)
#define R_FD_TELL                 (1ull << 5)
#define R_FD_WRITE                (1ull << 6)
#define R_FD_ADVISE               (1ull << 7)
#define R_FD_ALLOCATE             (1ull << 8)
#define R_PATH_CREATE_DIRECTORY   (1ull << 9)
#define R_PATH_CREATE_FILE        (1ull << 10)
#define R_PATH_LINK_SOURCE        (1ull << 11)
#define R_PATH_LINK_TARGET        (1ull << 12)
#define R_PATH_OPEN               (1ull << 13)
#define R_FD_READDIR              (1ull << 14)
#define R_PATH_READLINK           (1ull << 15)
#define R_PATH_RENAME_SOURCE      (1ull << 16)
#define R_PATH_RENAME_TARGET      (1ull << 17)
#define R_PATH_FILESTAT_GET       (1ull << 18)
#define R_PATH_FILESTAT_SET_SIZE  (1ull << 19)
#define R_PATH_FILESTAT_SET_TIMES (1ull << 20)
#define R_FD_FILESTAT_GET         (1ull << 21)
#define R_FD_FILESTAT_SET_SIZE    (1ull << 22)
#define R_FD_FILESTAT_SET_TIMES   (1ull << 23)
#define R_PATH_SYMLINK            (1ull << 24)
#define R_PATH_REMOVE_DIRECTORY   (1ull << 25)
#define R_PATH_UNLINK_FILE        (1ull << 26)
#define R_POLL_FD_READWRITE       (1ull << 27)
#define R_ALL                     ((1ull << 28) - 1)
#define R_WRITES                                                                                   \
        (R_FD_DATASYNC | R_FD_SYNC | R_FD_WRITE | R_FD_ALLOCATE | R_PATH_CREATE_DIRECTORY |        \
         R_PATH_CREATE_FILE | R_PATH_LINK_SOURCE | R_PATH_LINK_TARGET | R_PATH_RENAME_SOURCE |     \
         R_PATH_RENAME_TARGET | R_PATH_FILESTAT_SET_SIZE | R_PATH_FILESTAT_SET_TIMES |             \
         R_FD_FILESTAT_SET_SIZE | R_FD_FILESTAT_SET_TIMES | R_PATH_SYMLINK |                       \
         R_PATH_REMOVE_DIRECTORY | R_PATH_UNLINK_FILE)

enum wasi_type { T_UNKNOWN, T_BLOCK, T_CHARACTER, T_DIRECTORY, T_REGULAR, T_LINK = 7 };

struct wasi_start {
        char **argv, **env;
        char **preopens; /* "r/path", "w/path" */
        unsigned preopens_count;
        bool clock;
        uint64_t seed;
};
struct wasi_fd {
        int fd; /* the kernel's */
        bool open;
        enum wasi_type type;
        uint16_t flags;
        uint64_t rights, inherited;
        const char *preopened; /* its name; NULL: opened by the module */
};

void wasi_init(const struct wasi_start *w);
void wasi_fds_init(const struct wasi_start *w);

/* --- the module's memory ---------------------------------------------------------------------- */
/* (1): len bytes at ptr, or NULL. */
uint8_t *wasi_at(uint32_t ptr, uint64_t len);
bool wasi_put32(uint32_t ptr, uint32_t v);
bool wasi_put64(uint32_t ptr, uint64_t v);
uint32_t wasi_get32(const uint8_t *p);
uint64_t wasi_get64(const uint8_t *p);

uint32_t wasi_error(int error); /* of errno */
enum wasi_type wasi_type_of(uint32_t mode);
/* The wire form of a stat, 64 bytes. */
struct stat;
uint32_t wasi_put_stat(uint32_t ptr, const struct stat *st);
bool wasi_clock_granted(void);

/* --- descriptors ------------------------------------------------------------------------------ */
/* (2): an open one with all of `rights`; 0 and *ret, or BADF, NOTCAPABLE. */
uint32_t wasi_fd_get(uint32_t fd, uint64_t rights, struct wasi_fd **ret);
/* Takes fd over, also when it fails. */
uint32_t wasi_fd_add(const struct wasi_fd *f, uint32_t ret_ptr);

/* --- host_call.c ------------------------------------------------------------------------------ */
/* Milliseconds since 1970 as the host's capability tells; false: denied, or no door. */
bool host_call_time(uint64_t *ret_ms);

#endif
