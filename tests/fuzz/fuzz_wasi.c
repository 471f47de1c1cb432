/* SPDX-License-Identifier: Apache-2.0 */
/* WASI as a module calls it that lies about everything: pointers, lengths, descriptors, rights, names, replies of the host.
 *
 * An input is a program for such a module: a byte of how, then calls; each is a number of a function and its arguments, and an
 * argument a byte of its kind and what it needs. Names and vectors that are worth something lie in the memory already.
 *
 * (1) The module's memory is an allocation of exactly its size: a byte beside it is a sanitizer's finding.
 * (2) What was not granted stays as it was: the secret beside the two directories is not read, linked, changed or moved, the
 *     read-only directory keeps its entries, and no link that was made leads out.
 * (3) Every answer is an error of WASI, and every descriptor of the kernel is in the table: none is left when it is empty. */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <wire/frame.h>

/* What would reach the test's own streams, its clock or a host is answered here. */
static ssize_t fuzz_read(int fd, void *p, size_t len);
static ssize_t fuzz_write(int fd, const void *p, size_t len);
static int fuzz_sleep(const struct timespec *t, struct timespec *left);
#define read      fuzz_read
#define write     fuzz_write
#define nanosleep fuzz_sleep
/* The sources themselves, as they are compiled into a cell. */
#pragma GCC diagnostic ignored "-Wunused-parameter"
#include "../../src/wasm/wasi.c"
#include "../../src/wasm/wasi_fd.c"
#include "../../src/wasm/wasi_path.c"
#include "../../src/wasm/host_call.c"
#include "../../src/wasm/linux.c"
#undef read
#undef write
#undef nanosleep

#define CALLS_MAX     200
#define ANSWER_MAX    76 /* WE_NOTCAPABLE, the last one */
#define SECRET        "never-to-be-seen-by-a-module"
#define TEMPLATES_AT  64u
#define LOWEST_FREE   100 /* descriptors that are looked at for one that was left */
#define FILE_SIZE_MAX ((rlim_t)1 << 20)

static const struct {
        const char *text;
} names[] = { { "plain" },       { "inner" },       { "../secret" },  { "/etc/passwd" },
              { "link-up" },     { "link-around" }, { "inner/deep" }, { ".." },
              { "." },           { "new" },         { "new/a" },      { "a/../../ro" },
              { "fifo" },        { "link-dir/x" },  { "new/.." },     { "link-self" },
              { "inner/..//." }, { "link-in" },     { "ccos.echo" },  { "[1,\"x\"]" } };
#define NAMES (sizeof names / sizeof names[0])

static char base[64], ro[96], rw[96], secret[96];
static wasm_rt_memory_t memory;
static jmp_buf end_of_module;
static struct mv_cur input;
static uint8_t reply[4096];
static size_t reply_at, reply_len;
static bool open_before[LOWEST_FREE];

wasm_rt_memory_t *mv_wasm_memory(void)
{
        return &memory;
}

void rt_exit(int code)
{
        longjmp(end_of_module, 1);
}

/* --- what stands for the world ---------------------------------------------------------------- */

static ssize_t fuzz_read(int fd, void *p, size_t len)
{
        if (fd > DOOR)
                return read(fd, p, len);
        size_t n = fd == DOOR && reply_len - reply_at < len ? reply_len - reply_at : len;
        if (fd != DOOR)
                return 0;
        memcpy(p, reply + reply_at, n);
        reply_at += n;
        return (ssize_t)n;
}

/* The host's answer to a call: its payload is the input's, its header true or of the input's choice. */
static void answer_prepare(const uint8_t *frame)
{
        struct mv_cur c = mv_cur(mv_slice(frame + 8, 8));
        uint64_t seq = mv_get_u64(&c);
        uint8_t how = mv_get_u8(&input);
        struct mv_slice payload = mv_get_bytes(&input, mv_get_u8(&input));
        struct mv_out o = mv_out(reply, sizeof reply);
        size_t head =
                mv_frame_open(&o, how & 1 ? MV_FRAME_FAULT : MV_FRAME_REPLY, seq + (how >> 6));
        mv_put_slice(&o, payload);
        mv_frame_close(&o, head);
        if (how & 2 && o.len)
                reply[how % o.len] ^= how;
        reply_at = 0;
        reply_len = o.len;
}

static ssize_t fuzz_write(int fd, const void *p, size_t len)
{
        if (fd > DOOR)
                return write(fd, p, len);
        if (fd == DOOR && len >= MV_FRAME_HEADER_BYTES && ((const uint8_t *)p)[5] == MV_FRAME_CALL)
                answer_prepare(p);
        return (ssize_t)len;
}

static int fuzz_sleep(const struct timespec *t, struct timespec *left)
{
        return 0;
}

/* --- the place -------------------------------------------------------------------------------- */

static void put_file(const char *path, const char *text)
{
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));
        assert(n == (ssize_t)strlen(text));
        close(fd);
}

static void below(char *ret, size_t cap, const char *dir, const char *name)
{
        int n = snprintf(ret, cap, "%s/%s", dir, name);
        assert(n > 0 && (size_t)n < cap);
}

static void put_link(const char *target, const char *name)
{
        char path[128];
        below(path, sizeof path, ro, name);
        int r = symlink(target, path);
        assert(r == 0);
}

static void place_remove(void);

static void place_make(void)
{
        char path[128];
        snprintf(base, sizeof base, "/tmp/microvm-fuzz-wasi-XXXXXX");
        char *made = mkdtemp(base);
        assert(made);
        atexit(place_remove);
        below(ro, sizeof ro, base, "ro");
        below(rw, sizeof rw, base, "rw");
        below(secret, sizeof secret, base, "secret");
        mkdir(ro, 0755);
        mkdir(rw, 0755);
        put_file(secret, SECRET);
        below(path, sizeof path, ro, "plain");
        put_file(path, "plain text");
        below(path, sizeof path, ro, "inner");
        mkdir(path, 0755);
        below(path, sizeof path, ro, "inner/deep");
        put_file(path, "deep");
        below(path, sizeof path, ro, "fifo");
        mkfifo(path, 0644);
        put_link("../secret", "link-up");
        put_link(secret, "link-around");
        put_link("..", "link-dir");
        put_link("link-self", "link-self");
        put_link("inner/deep", "link-in");
}

/* Everything in the directory; links are looked at first when they were a module's. */
static void empty(int dir, bool made_by_module)
{
        char target[4096];
        DIR *d = fdopendir(dir);
        assert(d);
        for (struct dirent *e; (e = readdir(d));) {
                if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
                        continue;
                ssize_t n = readlinkat(dirfd(d), e->d_name, target, sizeof target - 1);
                if (n >= 0) {
                        target[n] = 0;
                        assert(!made_by_module || wasi_link_stays(target)); /* (2) */
                }
                if (unlinkat(dirfd(d), e->d_name, 0) == 0)
                        continue;
                int inner = openat(dirfd(d), e->d_name,
                                   O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                assert(inner >= 0);
                empty(inner, made_by_module);
                unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR);
        }
        closedir(d);
}

static void place_remove(void)
{
        int fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0)
                empty(fd, false);
        rmdir(base);
}

/* --- the memory ------------------------------------------------------------------------------- */

static uint32_t name_at[NAMES];

static void memory_make(uint8_t how)
{
        static const uint32_t sizes[] = { 4096, 65536, 1000, 131072 };
        uint32_t at = TEMPLATES_AT;
        memory = (wasm_rt_memory_t){ .pages = 1, .max_pages = 2, .size = sizes[how & 3] };
        memory.data = calloc(1, memory.size);
        assert(memory.data);
        for (size_t i = 0; i < NAMES; i++) {
                size_t len = strlen(names[i].text);
                memcpy(memory.data + at, names[i].text, len);
                name_at[i] = at;
                at += (uint32_t)len + 1;
        }
        /* a vector at 0: 100 bytes at 500, then what lies at the end of the memory */
        const uint32_t vector[4] = { 500, 100, memory.size - 4, 8 };
        memcpy(memory.data, vector, sizeof vector);
}

/* No function of the C library: a fuzzer listens to what those compare, and would write the secret itself. */
static bool seen_at(const uint8_t *p)
{
        unsigned differ = 0;
        for (size_t i = 0; i < sizeof SECRET - 1; i++)
                differ |= (unsigned)(p[i] ^ (uint8_t)SECRET[i]);
        return differ == 0;
}

static void check_unseen(void) /* (2) */
{
        char now[64] = "";
        struct stat st;
        int fd = open(secret, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, now, sizeof now - 1);
        assert(n == sizeof SECRET - 1 && strcmp(now, SECRET) == 0);
        assert(fstat(fd, &st) == 0 && st.st_nlink == 1);
        close(fd);
        for (uint32_t at = 0; at + sizeof SECRET - 1 <= memory.size; at++)
                assert(!seen_at(memory.data + at));
}

static unsigned entries(const char *path)
{
        unsigned n = 0;
        DIR *d = opendir(path);
        while (d && readdir(d))
                n++;
        if (d)
                closedir(d);
        return n;
}

/* --- arguments -------------------------------------------------------------------------------- */

static uint64_t argument(void)
{
        uint8_t kind = mv_get_u8(&input), small = mv_get_u8(&input);
        switch (kind % 10) {
        case 0:
        case 1:
        case 2:
                return small; /* descriptors, counts, flags */
        case 3:
                return name_at[small % NAMES];
        case 4:
                return strlen(names[small % NAMES].text);
        case 5:
                return memory.size - small;
        case 6:
                return 500u + small;
        case 7:
                return UINT64_MAX - small;
        case 8:
                return mv_get_u32(&input);
        default:
                return mv_get_u64(&input);
        }
}

/* The module writes into its own memory: nothing that could be taken for the secret. */
static uint32_t poke(void)
{
        uint64_t at = argument();
        struct mv_slice bytes = mv_get_bytes(&input, mv_get_u8(&input) % (sizeof SECRET - 1));
        if (bytes.p && at < memory.size && bytes.len < memory.size - at)
                memcpy(memory.data + at, bytes.p, bytes.len);
        return 0;
}

/* --- calls ------------------------------------------------------------------------------------ */

#define W(name) Z_wasi_snapshot_preview1Z_##name
#define A(i)    ((uint32_t)a[i])
/* name, how many arguments, the call */
#define FUNCTIONS(X)                                                                               \
        X(args_get, 2, W(args_get)(NULL, A(0), A(1)))                                              \
        X(args_sizes_get, 2, W(args_sizes_get)(NULL, A(0), A(1)))                                  \
        X(environ_get, 2, W(environ_get)(NULL, A(0), A(1)))                                        \
        X(environ_sizes_get, 2, W(environ_sizes_get)(NULL, A(0), A(1)))                            \
        X(clock_res_get, 2, W(clock_res_get)(NULL, A(0), A(1)))                                    \
        X(clock_time_get, 3, W(clock_time_get)(NULL, A(0), a[1], A(2)))                            \
        X(fd_advise, 4, W(fd_advise)(NULL, A(0), a[1], a[2], A(3)))                                \
        X(fd_allocate, 3, W(fd_allocate)(NULL, A(0), a[1], a[2]))                                  \
        X(fd_close, 1, W(fd_close)(NULL, A(0)))                                                    \
        X(fd_datasync, 1, W(fd_datasync)(NULL, A(0)))                                              \
        X(fd_fdstat_get, 2, W(fd_fdstat_get)(NULL, A(0), A(1)))                                    \
        X(fd_fdstat_set_flags, 2, W(fd_fdstat_set_flags)(NULL, A(0), A(1)))                        \
        X(fd_fdstat_set_rights, 3, W(fd_fdstat_set_rights)(NULL, A(0), a[1], a[2]))                \
        X(fd_filestat_get, 2, W(fd_filestat_get)(NULL, A(0), A(1)))                                \
        X(fd_filestat_set_size, 2, W(fd_filestat_set_size)(NULL, A(0), a[1]))                      \
        X(fd_filestat_set_times, 4, W(fd_filestat_set_times)(NULL, A(0), a[1], a[2], A(3)))        \
        X(fd_pread, 5, W(fd_pread)(NULL, A(0), A(1), A(2), a[3], A(4)))                            \
        X(fd_prestat_get, 2, W(fd_prestat_get)(NULL, A(0), A(1)))                                  \
        X(fd_prestat_dir_name, 3, W(fd_prestat_dir_name)(NULL, A(0), A(1), A(2)))                  \
        X(fd_pwrite, 5, W(fd_pwrite)(NULL, A(0), A(1), A(2), a[3], A(4)))                          \
        X(fd_read, 4, W(fd_read)(NULL, A(0), A(1), A(2), A(3)))                                    \
        X(fd_readdir, 5, W(fd_readdir)(NULL, A(0), A(1), A(2), a[3], A(4)))                        \
        X(fd_renumber, 2, W(fd_renumber)(NULL, A(0), A(1)))                                        \
        X(fd_seek, 4, W(fd_seek)(NULL, A(0), a[1], A(2), A(3)))                                    \
        X(fd_sync, 1, W(fd_sync)(NULL, A(0)))                                                      \
        X(fd_tell, 2, W(fd_tell)(NULL, A(0), A(1)))                                                \
        X(fd_write, 4, W(fd_write)(NULL, A(0), A(1), A(2), A(3)))                                  \
        X(path_create_directory, 3, W(path_create_directory)(NULL, A(0), A(1), A(2)))              \
        X(path_filestat_get, 5, W(path_filestat_get)(NULL, A(0), A(1), A(2), A(3), A(4)))          \
        X(path_filestat_set_times, 7,                                                              \
          W(path_filestat_set_times)(NULL, A(0), A(1), A(2), A(3), a[4], a[5], A(6)))              \
        X(path_link, 7, W(path_link)(NULL, A(0), A(1), A(2), A(3), A(4), A(5), A(6)))              \
        X(path_open, 9, W(path_open)(NULL, A(0), A(1), A(2), A(3), A(4), a[5], a[6], A(7), A(8)))  \
        X(open_for_all, 5,                                                                         \
          W(path_open)(NULL, A(0), 1, A(1), A(2), A(3), R_FD_READ | R_FD_SEEK | R_FD_TELL,         \
                       R_ALL & ~R_WRITES, 0, A(4)))                                                \
        X(open_to_write, 5, W(path_open)(NULL, A(0), 1, A(1), A(2), A(3), R_ALL, R_ALL, 0, A(4)))  \
        X(path_readlink, 6, W(path_readlink)(NULL, A(0), A(1), A(2), A(3), A(4), A(5)))            \
        X(path_remove_directory, 3, W(path_remove_directory)(NULL, A(0), A(1), A(2)))              \
        X(path_rename, 6, W(path_rename)(NULL, A(0), A(1), A(2), A(3), A(4), A(5)))                \
        X(path_symlink, 5, W(path_symlink)(NULL, A(0), A(1), A(2), A(3), A(4)))                    \
        X(path_unlink_file, 3, W(path_unlink_file)(NULL, A(0), A(1), A(2)))                        \
        X(poll_oneoff, 4, W(poll_oneoff)(NULL, A(0), A(1), A(2), A(3)))                            \
        X(proc_exit, 1, (W(proc_exit)(NULL, A(0)), 0))                                             \
        X(proc_raise, 1, W(proc_raise)(NULL, A(0)))                                                \
        X(sched_yield, 0, W(sched_yield)(NULL))                                                    \
        X(random_get, 2, W(random_get)(NULL, A(0), A(1)))                                          \
        X(sock_accept, 3, W(sock_accept)(NULL, A(0), A(1), A(2)))                                  \
        X(sock_recv, 6, W(sock_recv)(NULL, A(0), A(1), A(2), A(3), A(4), A(5)))                    \
        X(sock_send, 5, W(sock_send)(NULL, A(0), A(1), A(2), A(3), A(4)))                          \
        X(sock_shutdown, 2, W(sock_shutdown)(NULL, A(0), A(1)))                                    \
        X(call, 4, (Z_microvmZ_call(NULL, A(0), A(1), A(2), A(3)), 0))                             \
        X(answer, 2, (Z_microvmZ_answer(NULL, A(0), A(1)), 0))                                     \
        X(log, 2, Z_microvmZ_log(NULL, A(0), A(1)))                                                \
        X(poke, 0, poke())
#define NUMBER(name, count, call) N_##name,
enum { FUNCTIONS(NUMBER) N_MAX };
#define COUNT(name, count, call) count,
static const uint8_t counts[] = { FUNCTIONS(COUNT) };

static uint32_t carry_out(unsigned function, const uint64_t a[9])
{
        switch (function) {
#define CASE(name, count, call)                                                                    \
        case N_##name:                                                                             \
                return call;
                FUNCTIONS(CASE)
        default:
                return 0;
        }
}

static void module_run(void)
{
        if (setjmp(end_of_module))
                return;
        for (int n = 0; n < CALLS_MAX && mv_cur_left(&input) && !input.bad; n++) {
                unsigned function = mv_get_u8(&input) % N_MAX;
                uint64_t a[9] = { 0 };
                for (unsigned i = 0; i < counts[function]; i++)
                        a[i] = argument();
                uint32_t e = carry_out(function, a);
                assert(e <= ANSWER_MAX); /* (3) */
        }
}

/* --- one input -------------------------------------------------------------------------------- */

static bool is_open(int fd)
{
        return fcntl(fd, F_GETFD) >= 0;
}

static void once(void)
{
        static bool done;
        const struct rlimit small = { FILE_SIZE_MAX, FILE_SIZE_MAX };
        if (done)
                return;
        done = true;
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &small);
        while (!is_open(DOOR)) { /* its number must not be a directory's */
                int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
                assert(fd >= 0);
        }
        place_make();
}

/* Whoever runs inputs may hold files of its own between them. */
static void remember_open(void)
{
        for (int i = 0; i < LOWEST_FREE; i++)
                open_before[i] = is_open(i);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static char argument_text[] = "one", variable[] = "A=b", ro_spec[100], rw_spec[100];
        static char *argv[] = { argument_text, argument_text, NULL }, *env[] = { variable, NULL };
        static char *granted[] = { ro_spec, rw_spec };
        once();
        remember_open();
        input = mv_cur(mv_slice(data, size));
        uint8_t how = mv_get_u8(&input);
        snprintf(ro_spec, sizeof ro_spec, "r%s", ro);
        snprintf(rw_spec, sizeof rw_spec, "w%s", rw);
        memory_make(how);
        wasi_init(&(struct wasi_start){ .argv = argv,
                                        .env = env,
                                        .preopens = granted,
                                        .preopens_count = 2,
                                        .clock = how & 4,
                                        .seed = how });
        module_run();
        for (uint32_t fd = 0; fd < WASI_FDS_MAX; fd++)
                Z_wasi_snapshot_preview1Z_fd_close(NULL, fd);
        for (int i = 0; i < LOWEST_FREE; i++)
                assert(is_open(i) == open_before[i]); /* (3) */
        check_unseen();
        assert(entries(base) == 5 && entries(ro) == 10);
        int fd = open(rw, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert(fd >= 0);
        empty(fd, true);
        free(memory.data);
        return 0;
}
