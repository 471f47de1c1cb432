/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled modules, one file each, in a directory only its owner can enter.
 *
 * (1) An entry is the caller's own regular file, mode 0600, with one name, and its bytes have the digest in its head
 *     and the key in its name. Anything else is as if it were not there; it is replaced, never run.
 * (2) An entry appears whole: written under another name, then renamed. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <base/fmt.h>
#include <base/slice.h>
#include <sys/fd.h>
#include "wasm.h"

#define NAME_BYTES (2 * WASM_KEY_BYTES + 1)

struct head {
        uint8_t magic[8];
        uint8_t key[WASM_KEY_BYTES];
        uint8_t digest[32]; /* of the rest */
};
static const uint8_t magic[8] = "mvwasm1\n";

static bool digest_of(const uint8_t *p, size_t len, uint8_t ret[32])
{
        return EVP_Digest(p, len, ret, NULL, EVP_sha256(), NULL) == 1;
}

static void name_of(const uint8_t key[WASM_KEY_BYTES], char ret[NAME_BYTES])
{
        for (size_t i = 0; i < WASM_KEY_BYTES; i++)
                mv_fmt(ret + 2 * i, 3, "%02x", key[i]);
}

/* --- the directory ---------------------------------------------------------------------------- */

static bool ours_alone(int fd, mode_t type)
{
        struct stat st;
        return fstat(fd, &st) == 0 && (st.st_mode & S_IFMT) == type && st.st_uid == geteuid() &&
               (st.st_mode & 077) == 0 && (type == S_IFDIR || st.st_nlink == 1);
}

/* Makes name in dir when it is not there; takes dir over. */
static int descend(int dir, const char *name)
{
        if (dir < 0)
                return -1;
        mkdirat(dir, name, 0700);
        int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        close(dir);
        return fd;
}

/* -1: no home, or not private. */
static int dir_open(void)
{
        const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
        int fd = -1;
        if (cache && cache[0] == '/') {
                mkdir(cache, 0700);
                fd = open(cache, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        } else if (home && home[0] == '/') {
                fd = descend(open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC), ".cache");
        }
        fd = descend(descend(fd, "microvm"), "modules");
        if (fd >= 0 && !ours_alone(fd, S_IFDIR))
                mv_fd_closep(&fd);
        return fd;
}

/* --- entries ---------------------------------------------------------------------------------- */

static bool read_whole(int fd, void *to, size_t len)
{
        uint8_t *p = to;
        while (len) {
                ssize_t n = read(fd, p, len);
                if (n <= 0)
                        return false;
                p += n;
                len -= (size_t)n;
        }
        return true;
}

static bool entry_read(int fd, const uint8_t key[WASM_KEY_BYTES], struct mv_slice *ret)
{
        struct head h;
        struct stat st;
        uint8_t found[32];
        if (!ours_alone(fd, S_IFREG) || fstat(fd, &st) < 0 || st.st_size <= (off_t)sizeof h ||
            (uint64_t)st.st_size > WASM_IMAGE_BYTES_MAX + sizeof h ||
            !read_whole(fd, &h, sizeof h) || memcmp(h.magic, magic, sizeof magic) != 0 ||
            memcmp(h.key, key, sizeof h.key) != 0)
                return false;
        size_t len = (size_t)st.st_size - sizeof h;
        uint8_t *p = malloc(len);
        if (!p || !read_whole(fd, p, len) || !digest_of(p, len, found) ||
            memcmp(found, h.digest, sizeof found) != 0) {
                free(p);
                return false;
        }
        *ret = (struct mv_slice){ p, len };
        return true;
}

bool mv__wasm_cache_read(const uint8_t key[WASM_KEY_BYTES], struct mv_slice *ret)
{
        char name[NAME_BYTES];
        mv_auto_fd dir = dir_open();
        if (dir < 0)
                return false;
        name_of(key, name);
        mv_auto_fd fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        return fd >= 0 && entry_read(fd, key, ret);
}

static bool write_whole(int fd, const void *from, size_t len)
{
        const uint8_t *p = from;
        while (len) {
                ssize_t n = write(fd, p, len);
                if (n <= 0)
                        return false;
                p += n;
                len -= (size_t)n;
        }
        return true;
}

void mv__wasm_cache_write(const uint8_t key[WASM_KEY_BYTES], struct mv_slice image)
{
        static atomic_uint count;
        struct head h;
        char name[NAME_BYTES], fresh[64];
        mv_auto_fd dir = dir_open();
        if (dir < 0 || !digest_of(image.p, image.len, h.digest))
                return;
        memcpy(h.magic, magic, sizeof magic);
        memcpy(h.key, key, sizeof h.key);
        name_of(key, name);
        mv_fmt(fresh, sizeof fresh, ".new-%ld-%u", (long)getpid(), atomic_fetch_add(&count, 1));
        mv_auto_fd fd =
                openat(dir, fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return;
        if (!write_whole(fd, &h, sizeof h) || !write_whole(fd, image.p, image.len) ||
            renameat(dir, fresh, dir, name) < 0) /* (2) */
                unlinkat(dir, fresh, 0);
}
