/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MICROVM_ERROR_H
#define MICROVM_ERROR_H
/* One error type for every call of the library.
 *
 * Shape:     a function returns 0, or a negative code `-(int)enum mv_code`. On failure, and only then, it fills the
 *            caller's struct mv_err. Output parameters are written only on success.
 * Ownership: the caller owns struct mv_err; it holds no pointer, so failing cannot fail and it may be copied.
 * Threads:   one struct mv_err per thread. */
#include <stddef.h>
#include <stdint.h>

#define MV_ERR_MAP(X)                                                                              \
        X(INVALID, "invalid argument")                                                             \
        X(DENIED, "not granted")                                                                   \
        X(LIMIT, "limit exceeded")                                                                 \
        X(HOSTILE, "malformed data from an untrusted peer")                                        \
        X(SYS, "system call failed")                                                               \
        X(UNSUPPORTED, "the provider cannot enforce this")                                         \
        X(UNAVAILABLE, "not available on this machine")                                            \
        X(NOT_FOUND, "not found")                                                                  \
        X(EXISTS, "exists already")                                                                \
        X(STATE, "not possible in this state")                                                     \
        X(PROGRAM, "the program failed")                                                           \
        X(CORRUPT, "stored data is damaged")                                                       \
        X(NOMEM, "out of memory")                                                                  \
        X(INTERNAL, "a bug in ccos-microvm")                                                       \
        X(WAITING, "waits for an approval")                                                        \
        X(IN_DOUBT, "nobody knows whether it happened")

enum mv_code {
        MV_OK,
#define X(name, text) MV_E_##name,
        MV_ERR_MAP(X)
#undef X
                MV_E_MAX_
};

struct mv_err {
        enum mv_code code;
        int sys;       /* errno behind MV_E_SYS, else 0 */
        char msg[496]; /* complete enough to print alone; always NUL-terminated */
};

/* The fixed text of a code, for example "not granted". Threads: any. */
const char *mv_code_text(enum mv_code code);

#endif
