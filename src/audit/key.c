/* SPDX-License-Identifier: Apache-2.0 */
/* (1) A key file appears whole or not at all: it is written under another name and linked, so two processes that start at
 *     once end up with one key.
 * (2) A key that others could have read is not used. */
#include <audit/key.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_FILE_BYTES_MAX 4096

struct mv__key {
        EVP_PKEY *pkey;
};

static int crypto_fail(struct mv_err *err, const char *what)
{
        ERR_clear_error();
        return mv_fail(err, MV_E_INTERNAL, 0, "libcrypto: %s", what);
}

static EVP_PKEY *key_make(void)
{
        return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
}

static int no_password(char *buf, int size, int writing, void *ctx)
{
        return -1; /* the default would ask the terminal */
}

static int key_parse(const char *path, const uint8_t *pem, size_t len, EVP_PKEY **ret,
                     struct mv_err *err)
{
        BIO *bio = BIO_new_mem_buf(pem, (int)len);
        EVP_PKEY *pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
        BIO_free(bio);
        ERR_clear_error();
        if (!pkey || EVP_PKEY_get_base_id(pkey) != EVP_PKEY_ED25519) {
                EVP_PKEY_free(pkey);
                return mv_fail(err, MV_E_INVALID, 0,
                               "key file %s holds no Ed25519 private key (PKCS#8 PEM)", path);
        }
        *ret = pkey;
        return 0;
}

static int key_stat_check(const char *path, int fd, struct mv_err *err)
{
        struct stat st;
        if (fstat(fd, &st) < 0)
                return mv_fail(err, MV_E_SYS, errno, "key file %s", path);
        if (!S_ISREG(st.st_mode))
                return mv_fail(err, MV_E_DENIED, 0, "key file %s is not a regular file", path);
        if (st.st_uid != geteuid())
                return mv_fail(err, MV_E_DENIED, 0, "key file %s belongs to user %u, not to %u",
                               path, st.st_uid, geteuid());
        if (st.st_mode & 077) /* (2) */
                return mv_fail(
                        err, MV_E_DENIED, 0,
                        "key file %s is open to group or others: chmod 600 it, or make a new one",
                        path);
        return 0;
}

static int read_key(const char *path, int fd, EVP_PKEY **ret, struct mv_err *err)
{
        uint8_t pem[KEY_FILE_BYTES_MAX];
        size_t len = 0;
        int r = key_stat_check(path, fd, err);
        while (r == 0 && len < sizeof pem) {
                ssize_t n = read(fd, pem + len, sizeof pem - len);
                if (n == 0)
                        break;
                if (n > 0)
                        len += (size_t)n;
                else if (errno != EINTR)
                        r = mv_fail(err, MV_E_SYS, errno, "read key file %s", path);
        }
        if (r == 0)
                r = key_parse(path, pem, len, ret, err);
        OPENSSL_cleanse(pem, sizeof pem);
        return r;
}

int mv__sync_directory_of(const char *path, struct mv_err *err)
{
        const char *slash = strrchr(path, '/');
        size_t len = slash ? (size_t)(slash - path) : 0;
        char *dir = slash ? strndup(path, len ? len : 1) : strdup(".");
        if (!dir)
                return mv_fail(err, MV_E_NOMEM, 0, "directory name");
        int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int r = fd < 0 || fsync(fd) < 0 ? mv_fail(err, MV_E_SYS, errno, "sync directory %s", dir)
                                        : 0;
        if (fd >= 0)
                close(fd);
        free(dir);
        return r;
}

static int write_pem(int fd, const char *pem, size_t len)
{
        while (len) {
                ssize_t n = write(fd, pem, len);
                if (n < 0 && errno != EINTR)
                        return -1;
                if (n > 0) {
                        pem += n;
                        len -= (size_t)n;
                }
        }
        return fsync(fd);
}

static int write_private(const char *path, const char *pem, size_t len, struct mv_err *err)
{
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return mv_fail(err, MV_E_SYS, errno, "create key file %s", path);
        int r = write_pem(fd, pem, len) < 0
                        ? mv_fail(err, MV_E_SYS, errno, "write key file %s", path)
                        : 0;
        close(fd);
        return r;
}

/* (1) Losing the race to another process is success: its key is there now. */
static int install_pem(const char *path, const char *pem, size_t len, struct mv_err *err)
{
        uint64_t salt;
        if (getrandom(&salt, sizeof salt, 0) != sizeof salt)
                return mv_fail(err, MV_E_SYS, errno, "getrandom");
        size_t cap = strlen(path) + 32;
        char *temporary = malloc(cap);
        if (!temporary)
                return mv_fail(err, MV_E_NOMEM, 0, "key file name");
        mv_fmt(temporary, cap, "%s.%016lx", path, (unsigned long)salt);
        int r = write_private(temporary, pem, len, err);
        if (r == 0 && link(temporary, path) < 0 && errno != EEXIST)
                r = mv_fail(err, MV_E_SYS, errno, "create key file %s", path);
        unlink(temporary);
        free(temporary);
        return r < 0 ? r : mv__sync_directory_of(path, err);
}

static int create_key(const char *path, struct mv_err *err)
{
        char *pem = NULL;
        EVP_PKEY *pkey = key_make();
        BIO *bio = BIO_new(BIO_s_mem());
        bool ok =
                pkey && bio && PEM_write_bio_PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL) == 1;
        long len = ok ? BIO_get_mem_data(bio, &pem) : 0;
        int r = ok && len > 0 ? install_pem(path, pem, (size_t)len, err)
                              : crypto_fail(err, "make an Ed25519 key");
        if (pem)
                OPENSSL_cleanse(pem, (size_t)len);
        BIO_free(bio);
        EVP_PKEY_free(pkey);
        return r;
}

static int open_key_file(const char *path, int *ret, struct mv_err *err)
{
        const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
        int fd = open(path, flags);
        if (fd < 0 && errno == ENOENT) {
                int r = create_key(path, err);
                if (r < 0)
                        return r;
                fd = open(path, flags);
        }
        if (fd < 0)
                return mv_fail(err, MV_E_SYS, errno, "open key file %s", path);
        *ret = fd;
        return 0;
}

int mv__key_open(const char *path, struct mv__key **ret, struct mv_err *err)
{
        EVP_PKEY *pkey = NULL;
        if (path) {
                int fd, r = open_key_file(path, &fd, err);
                if (r < 0)
                        return r;
                r = read_key(path, fd, &pkey, err);
                close(fd);
                if (r < 0)
                        return r;
        } else {
                pkey = key_make();
                if (!pkey)
                        return crypto_fail(err, "make an Ed25519 key");
        }
        struct mv__key *k = malloc(sizeof *k);
        if (!k) {
                EVP_PKEY_free(pkey);
                return mv_fail(err, MV_E_NOMEM, 0, "key");
        }
        k->pkey = pkey;
        *ret = k;
        return 0;
}

struct mv__key *mv__key_close(struct mv__key *k)
{
        if (!k)
                return NULL;
        EVP_PKEY_free(k->pkey);
        free(k);
        return NULL;
}

int mv__key_public(const struct mv__key *k, uint8_t ret[32], struct mv_err *err)
{
        size_t len = 32;
        return EVP_PKEY_get_raw_public_key(k->pkey, ret, &len) == 1 && len == 32
                       ? 0
                       : crypto_fail(err, "public key");
}

int mv__key_sign(struct mv__key *k, struct mv_slice message, uint8_t ret[MV_SIGNATURE_BYTES],
                 struct mv_err *err)
{
        size_t len = MV_SIGNATURE_BYTES;
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        bool ok = ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, k->pkey) == 1 &&
                  EVP_DigestSign(ctx, ret, &len, message.p, message.len) == 1 &&
                  len == MV_SIGNATURE_BYTES;
        EVP_MD_CTX_free(ctx);
        return ok ? 0 : crypto_fail(err, "sign");
}

bool mv__key_verify(const uint8_t public_key[32], struct mv_slice message,
                    const uint8_t signature[MV_SIGNATURE_BYTES])
{
        EVP_PKEY *pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public_key, 32);
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        bool ok = pkey && ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
                  EVP_DigestVerify(ctx, signature, MV_SIGNATURE_BYTES, message.p, message.len) == 1;
        EVP_MD_CTX_free(ctx);
        EVP_PKEY_free(pkey);
        ERR_clear_error();
        return ok;
}
