/* SPDX-License-Identifier: Apache-2.0 */
/* From a module to machine code: wasm2c, then the C compiler, both on hostile input.
 *
 * (1) They run in one program cell: no network, nothing of the host but its system trees, limits of time, memory and
 *     disk. What a module that subverts them can reach is its own machine code, which runs behind the same walls.
 * (2) What they leave is read as a file from nobody: a regular one, of bounded size. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <base/err.h>
#include <base/slice.h>
#include <provider/common.h>
#include <provider/provider.h>
#include <sys/beneath.h>
#include <sys/fd.h>
#include "wasm.h"

#define EMBEDDED(id) extern const uint8_t mv__wasm_##id[], mv__wasm_##id##_end[];
#define EMBEDDED_ALL(X)                                                                            \
        X(runtime) X(runtime_kvm) X(rt_h) X(imports_h) X(runtime_h) X(glue) X(kvm_ld)
EMBEDDED_ALL(EMBEDDED)

static const char script[] =
        "set -e\n"
        "cd /tmp\n"
        "wasm2c --no-debug-names -n module /workspace/input/module.wasm -o module.c || exit 3\n"
        "musl-gcc -w -O1 -std=gnu17 -fno-strict-aliasing -fwrapv -fno-optimize-sibling-calls"
        " -frounding-math -fsignaling-nans -fstack-clash-protection -fno-pie -no-pie -static -s"
        " -Wl,--gc-sections -Wl,-z,noexecstack -Wl,--build-id=none -I/workspace/input -I. \"$@\""
        " module.c /workspace/input/glue.c /workspace/input/runtime.o -o module || exit 4\n"
        "cp module /workspace/output/module\n";

#define FLAGS_MAX 8
#define ARGV_MAX  (6 + FLAGS_MAX)
/* Of a ring-3 image: every access compared, no start files, no code that wants a kernel. */
static const char *const flags[][FLAGS_MAX] = {
        [WASM_FOR_PROCESS] = { NULL },
        [WASM_FOR_KVM] = { "-DMV_WASM_GUARDED=0", "-fno-stack-protector", "-fcf-protection=none",
                           "-mcmodel=small", "-nostartfiles", "-Wl,-T,/workspace/input/kvm.ld",
                           "-Wl,-z,max-page-size=4096", NULL },
};

static struct mv_slice between(const uint8_t *from, const uint8_t *to)
{
        return (struct mv_slice){ from, (size_t)(to - from) };
}
#define BYTES(id) between(mv__wasm_##id, mv__wasm_##id##_end)

static struct mv_slice runtime_of(enum mv__wasm_target target)
{
        return target == WASM_FOR_KVM ? BYTES(runtime_kvm) : BYTES(runtime);
}

static const char *const tools[][2] = {
        { "/usr/bin/wasm2c", "wabt" },
        { "/usr/bin/musl-gcc", "musl-tools" },
        { "/usr/bin/gcc", "gcc" },
};

int mv__wasm_tools(enum mv__wasm_target target, struct mv_err *err)
{
        if (runtime_of(target).len == 0)
                return mv_fail(
                        err, MV_E_UNAVAILABLE, 0,
                        "this build has no runtime for modules: it was made without musl-gcc");
        for (size_t i = 0; i < sizeof tools / sizeof tools[0]; i++)
                if (access(tools[i][0], X_OK) < 0)
                        return mv_fail(err, MV_E_UNAVAILABLE, 0,
                                       "compiling a module needs %s (package %s)", tools[i][0],
                                       tools[i][1]);
        return 0;
}

/* --- the key ---------------------------------------------------------------------------------- */

static bool key_slice(EVP_MD_CTX *md, struct mv_slice s)
{
        uint64_t len = s.len;
        return EVP_DigestUpdate(md, &len, sizeof len) && EVP_DigestUpdate(md, s.p, s.len);
}

/* A tool that was replaced has another time, size or place. */
static bool key_tool(EVP_MD_CTX *md, const char *path)
{
        struct stat st;
        if (stat(path, &st) < 0)
                return false;
        const int64_t about[4] = { st.st_size, st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
                                   (int64_t)st.st_ino };
        return EVP_DigestUpdate(md, about, sizeof about);
}

/* What does not change while this process lives, hashed once: the runtime is a fifth of a megabyte. */
static struct constants {
        bool good;
        uint8_t digest[32];
} constants[2];

static void constants_make(enum mv__wasm_target target)
{
        const struct mv_slice ours[] = { mv_slice_str(script), runtime_of(target), BYTES(rt_h),
                                         BYTES(imports_h),     BYTES(runtime_h),   BYTES(glue),
                                         BYTES(kvm_ld) };
        EVP_MD_CTX *md = EVP_MD_CTX_new();
        bool ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL);
        for (size_t i = 0; ok && i < sizeof ours / sizeof ours[0]; i++)
                ok = key_slice(md, ours[i]);
        for (const char *const *f = flags[target]; ok && *f; f++)
                ok = key_slice(md, mv_slice_str(*f));
        constants[target].good = ok && EVP_DigestFinal_ex(md, constants[target].digest, NULL);
        EVP_MD_CTX_free(md);
}

static void constants_make_all(void)
{
        constants_make(WASM_FOR_PROCESS);
        constants_make(WASM_FOR_KVM);
}

int mv__wasm_key(enum mv__wasm_target target, struct mv_slice module, uint8_t ret[WASM_KEY_BYTES],
                 uint64_t *ret_seed, struct mv_err *err)
{
        static pthread_once_t once = PTHREAD_ONCE_INIT;
        uint8_t digest[32]; /* of the module */
        pthread_once(&once, constants_make_all);
        EVP_MD_CTX *md = EVP_MD_CTX_new();
        bool ok = md && constants[target].good &&
                  EVP_Digest(module.p, module.len, digest, NULL, EVP_sha256(), NULL) &&
                  EVP_DigestInit_ex(md, EVP_sha256(), NULL) &&
                  EVP_DigestUpdate(md, digest, sizeof digest) &&
                  EVP_DigestUpdate(md, constants[target].digest, sizeof constants[target].digest);
        for (size_t i = 0; ok && i < sizeof tools / sizeof tools[0]; i++)
                ok = key_tool(md, tools[i][0]);
        ok = ok && EVP_DigestFinal_ex(md, ret, NULL);
        EVP_MD_CTX_free(md);
        *ret_seed = 0;
        for (size_t i = 0; ok && i < sizeof *ret_seed; i++)
                *ret_seed = *ret_seed << 8 | digest[i];
        return ok ? 0 : mv_fail(err, MV_E_SYS, errno, "make the key of a compiled module");
}

/* --- the cell (1) ----------------------------------------------------------------------------- */

struct said { /* by the tools */
        char text[WASM_COMPILE_TEXT_MAX];
        size_t len;
};

static bool hear(void *ctx, bool to_stderr, struct mv_slice bytes)
{
        struct said *s = ctx;
        size_t n = sizeof s->text - 1 - s->len;
        n = bytes.len < n ? bytes.len : n;
        memcpy(s->text + s->len, bytes.p, n);
        s->len += n;
        s->text[s->len] = 0;
        return true;
}

static int no_frame(void *ctx, struct mv_slice frame, struct mv_slice *ret, struct mv_err *err)
{
        return MV_HOSTILE(err, "a frame from a cell without a door");
}

/* The line that says what is wrong, without where in C. */
static int failed(const struct mv_exit *x, const struct said *s, struct mv_err *err)
{
        const char *text = strstr(s->text, "error: ");
        text = text ? text + 7 : s->text;
        int len = (int)strcspn(text, "\n");
        if (x->termination != MV_END_COMPLETED)
                return mv_fail(err, MV_E_INVALID, 0, "Failed to compile WASM: %s", x->detail);
        if (x->exit_code == 4 && strstr(s->text, "conflicting types for"))
                return mv_fail(err, MV_E_INVALID, 0,
                               "Failed to instantiate WASM: an import has another type than the "
                               "function of that name: %.*s",
                               len, text);
        return mv_fail(err, MV_E_INVALID, 0, "Failed to compile WASM: %.*s", len, text);
}

static int image_read(int dir_fd, struct mv_slice *ret, struct mv_err *err) /* (2) */
{
        struct stat st;
        mv_auto_fd fd = mv_sys_openat2(dir_fd, "module", O_RDONLY | O_NONBLOCK, 0,
                                       RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
        if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
                return mv_fail(err, MV_E_INVALID, 0,
                               "Failed to compile WASM: no machine code came out");
        if ((uint64_t)st.st_size > WASM_IMAGE_BYTES_MAX)
                return mv_fail(err, MV_E_INVALID, 0, "Failed to compile WASM: more than %zu bytes",
                               WASM_IMAGE_BYTES_MAX);
        size_t len = (size_t)st.st_size, at = 0;
        uint8_t *p = malloc(len);
        while (p && at < len) {
                ssize_t n = read(fd, p + at, len - at);
                if (n <= 0)
                        break;
                at += (size_t)n;
        }
        if (!p || at < len) {
                free(p);
                return mv_fail(err, MV_E_SYS, errno, "read a compiled module");
        }
        *ret = (struct mv_slice){ p, len };
        return 0;
}

static int cell_run(struct mv_provider *programs, const struct mv_program_spec *program,
                    struct mv_slice *ret, struct mv_err *err)
{
        struct mv_cell_spec spec = { .execution_id = "compile",
                                     .limits = { .wall_ns_max = WASM_COMPILE_WALL_NS,
                                                 .memory_bytes_max = WASM_COMPILE_MEMORY },
                                     .program = program };
        struct said said = { .len = 0 };
        struct mv_run run = { .execution_id = "compile",
                              .door = { &said, no_frame, hear },
                              .limits = spec.limits,
                              .deadline_ns = mv__now_ns() + WASM_COMPILE_WALL_NS };
        struct mv_exit x = { .exit_code = -1 };
        struct mv_cell *cell;
        int r = mv_provider_process.open_cell(programs, &spec, &cell, err);
        if (r < 0)
                return r;
        r = mv_provider_process.run(cell, &run, &x, err);
        if (r == 0)
                r = x.termination == MV_END_COMPLETED && x.exit_code == 0
                            ? image_read(x.output_fd, ret, err)
                            : failed(&x, &said, err);
        if (x.output_fd > 0)
                close(x.output_fd);
        mv_provider_process.close_cell(cell);
        return r;
}

/* What the script passes on to the compiler. */
static void arguments(enum mv__wasm_target target, const struct mv__wasm_module *about,
                      const char *ret[ARGV_MAX])
{
        unsigned n = 0;
        ret[n++] = "sh";
        ret[n++] = "/workspace/input/compile.sh";
        ret[n++] = about->uses_microvm ? "-DMV_WASM_USES_MICROVM=1" : "-DMV_WASM_USES_MICROVM=0";
        ret[n++] = about->uses_wasi ? "-DMV_WASM_USES_WASI=1" : "-DMV_WASM_USES_WASI=0";
        ret[n++] = about->has_memory ? "-DMV_WASM_HAS_MEMORY=1" : "-DMV_WASM_HAS_MEMORY=0";
        ret[n++] = about->has_start ? "-DMV_WASM_HAS_START=1" : "-DMV_WASM_HAS_START=0";
        for (const char *const *f = flags[target]; *f; f++)
                ret[n++] = *f;
        ret[n] = NULL;
}

int mv__wasm_compile(struct mv_provider *programs, enum mv__wasm_target target,
                     struct mv_slice module, struct mv_slice *ret, struct mv_err *err)
{
        static const char *const env[] = { "PATH=/usr/bin:/bin", "LANG=C.UTF-8", "TMPDIR=/tmp",
                                           NULL };
        const char *argv[ARGV_MAX];
        const struct mv_program_file files[] = {
                { .path = "/workspace/input/module.wasm", .bytes = module },
                { .path = "/workspace/input/compile.sh", .bytes = mv_slice_str(script) },
                { .path = "/workspace/input/wasm-rt.h", .bytes = BYTES(rt_h) },
                { .path = "/workspace/input/imports.h", .bytes = BYTES(imports_h) },
                { .path = "/workspace/input/runtime.h", .bytes = BYTES(runtime_h) },
                { .path = "/workspace/input/glue.c", .bytes = BYTES(glue) },
                { .path = "/workspace/input/runtime.o", .bytes = runtime_of(target) },
                { .path = "/workspace/input/kvm.ld", .bytes = BYTES(kvm_ld) },
        };
        const struct mv_program_spec program = { .path = "/bin/sh",
                                                 .argv = argv,
                                                 .env = env,
                                                 .files = files,
                                                 .files_count = sizeof files / sizeof files[0],
                                                 .output = true };
        struct mv__wasm_module about;
        int r = mv__wasm_module_read(module, &about, err);
        if (r == 0)
                r = mv__wasm_tools(target, err);
        if (r < 0)
                return r;
        arguments(target, &about, argv);
        return cell_run(programs, &program, ret, err);
}
