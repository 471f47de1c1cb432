/* SPDX-License-Identifier: Apache-2.0 */
/* WebAssembly modules as ring-3 images, through the provider's own table: templates, resets, cancelling, files, and that
 * nothing is left. Modules are made with wat2wasm. */
#include "../test.h"
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <base/slice.h>
#include <provider/kvm/kvm.h>
#include <provider/provider.h>

#define OPS    (&mv_provider_kvm)
#define MS     1000000ull
#define MEMORY (16ull << 20)

#define WASI "(import \"wasi_snapshot_preview1\" "
static const char says_hello[] =
        "(module " WASI "\"fd_write\" (func $w (param i32 i32 i32 i32) (result i32)))"
        "(memory (export \"memory\") 2) (data (i32.const 0) "
        "\"\\08\\00\\00\\00\\05\\00\\00\\00hello\")"
        "(global $g (mut i32) (i32.const 0))"
        "(func (export \"_start\") (global.set $g (i32.add (global.get $g) (i32.const 1)))"
        " (i32.store (i32.const 70000) (i32.add (i32.load (i32.const 70000)) (i32.const 1)))"
        " (if (i32.ne (i32.add (global.get $g) (i32.load (i32.const 70000))) (i32.const 2)) (then "
        "unreachable))"
        " (drop (call $w (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))))";
static const char sleeps[] =
        "(module " WASI "\"poll_oneoff\" (func $p (param i32 i32 i32 i32) (result i32)))"
        "(memory (export \"memory\") 1)"
        "(func (export \"_start\") (i64.store (i32.const 24) (i64.const 3600000000000))"
        " (drop (call $p (i32.const 0) (i32.const 100) (i32.const 1) (i32.const 200)))))";
static const char spins[] = "(module (func (export \"_start\") (loop (br 0))))";
/* Its start function exits with 9: code that runs at instantiation, and so not before START. */
static const char starts_itself[] =
        "(module " WASI "\"proc_exit\" (func $e (param i32))) (memory (export \"memory\") 1)"
        "(func $s (call $e (i32.const 9))) (start $s) (func (export \"_start\")))";
/* Makes /workspace/output/made, the second preopened directory. */
static const char makes_a_directory[] =
        "(module " WASI "\"path_create_directory\" (func $m (param i32 i32 i32) (result i32)))"
        "(memory (export \"memory\") 1) (data (i32.const 0) \"made\")"
        "(func (export \"_start\") (if (call $m (i32.const 4) (i32.const 0) (i32.const 4)) (then "
        "unreachable))))";

/* Reads standard input to its end; the exit code is how many pieces of 64 KiB came. */
static const char counts_its_input[] =
        "(module " WASI "\"fd_read\" (func $r (param i32 i32 i32 i32) (result i32)))" WASI
        "\"proc_exit\" (func $e (param i32)))"
        "(memory (export \"memory\") 3) (data (i32.const 0) \"\\00\\00\\01\\00\\00\\00\\01\\00\")"
        "(func (export \"_start\") (local $n i32) (loop $again"
        " (if (call $r (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable))"
        " (if (i32.load (i32.const 8)) (then"
        "  (local.set $n (i32.add (local.get $n) (i32.const 1))) (br $again))))"
        " (call $e (local.get $n))))";

static struct mv_provider *provider;
static unsigned fds_at_first;

static struct mv_slice module_of(const char *wat)
{
        static uint8_t bytes[4096];
        char path[] = "/tmp/microvm-module-XXXXXX", command[128];
        int fd = mkstemp(path);
        size_t len = strlen(wat);
        bool written = fd >= 0 && write(fd, wat, len) == (ssize_t)len;
        snprintf(command, sizeof command, "wat2wasm --no-check %s --output=-", path);
        FILE *f = written ? popen(command, "re") : NULL;
        size_t n = f ? fread(bytes, 1, sizeof bytes, f) : 0;
        if (f)
                pclose(f);
        close(fd);
        unlink(path);
        return mv_slice(bytes, n);
}

static unsigned entries_of(const char *path)
{
        unsigned n = 0;
        DIR *d = opendir(path);
        while (d && readdir(d))
                n++;
        if (d)
                closedir(d);
        return n;
}

static const char *missing(void)
{
        static struct mv_err err;
        static const char *why;
        static bool looked;
        if (looked)
                return why;
        looked = true;
        fds_at_first = entries_of("/proc/self/fd");
        if (access("/usr/bin/wat2wasm", X_OK) < 0)
                why = "wat2wasm is not installed";
        else if (mv__wasm_tools(WASM_FOR_KVM, &err) < 0 || OPS->init(NULL, &provider, &err) < 0)
                why = err.msg;
        return why;
}
#define NEEDS_MODULES                                                                              \
        do {                                                                                       \
                const char *why_ = missing();                                                      \
                if (why_)                                                                          \
                        SKIP(why_);                                                                \
        } while (0)

/* --- one execution ---------------------------------------------------------------------------- */

struct told {
        char out[64];
        size_t len;
};

static bool on_output(void *ctx, bool to_stderr, struct mv_slice bytes)
{
        struct told *t = ctx;
        for (size_t i = 0; i < bytes.len && t->len < sizeof t->out - 1; i++)
                t->out[t->len++] = (char)bytes.p[i];
        return true;
}

static int no_frame(void *ctx, struct mv_slice frame, struct mv_slice *ret, struct mv_err *err)
{
        return mv_fail(err, MV_E_DENIED, 0, "no calls here");
}

static const char *const argv_of[] = { "m", NULL }, *const no_env[] = { NULL };
static const struct mv_program_file input_file = { .path = "/workspace/input/input.json",
                                                   .bytes = { (const uint8_t *)"null", 4 } };
static struct mv_program_spec program_of(struct mv_slice module)
{
        return (struct mv_program_spec){ .argv = argv_of,
                                         .env = no_env,
                                         .files = &input_file,
                                         .files_count = 1,
                                         .door = true,
                                         .output = true,
                                         .clock = true,
                                         .module = module };
}

static struct mv_cell *cell_open(const struct mv_program_spec *p)
{
        struct mv_err err = { 0 };
        struct mv_cell *c = NULL;
        struct mv_cell_spec spec = { .execution_id = "t",
                                     .limits = { .memory_bytes_max = MEMORY,
                                                 .wall_ns_max = 5000 * MS },
                                     .program = p };
        if (OPS->prepare(provider, p->module, &err) < 0 ||
            OPS->open_cell(provider, &spec, &c, &err) < 0)
                mv_test_failed(__FILE__, __LINE__, err.msg);
        return c;
}

static struct mv_exit run(struct mv_cell *c, struct told *t, uint64_t wall_ns)
{
        struct mv_err err = { 0 };
        struct mv_exit x = { 0 };
        struct mv_run r = { .execution_id = "t",
                            .door = { t, no_frame, on_output },
                            .limits = { .memory_bytes_max = MEMORY, .wall_ns_max = wall_ns } };
        memset(t, 0, sizeof *t);
        if (OPS->run(c, &r, &x, &err) < 0)
                mv_test_failed(__FILE__, __LINE__, err.msg);
        return x;
}

/* --- tests ------------------------------------------------------------------------------------ */

TEST(a_module_runs_and_its_exit_code_comes_out)
{
        NEEDS_MODULES;
        struct mv_program_spec p = program_of(module_of(says_hello));
        struct mv_cell *c = cell_open(&p);
        struct told t;
        REQUIRE(c);
        struct mv_exit x = run(c, &t, 5000 * MS);
        CHECK(x.termination == MV_END_COMPLETED && x.exit_code == 0);
        CHECK_STR(x.detail, "exit code 0");
        CHECK_STR(t.out, "hello");
        CHECK(x.memory_peak_bytes > 0 && x.memory_peak_bytes < (1u << 20));
        CHECK(x.cpu_ns > 0 && x.output_fd == 0);
        OPS->close_cell(c);
}

TEST(a_used_cell_of_a_module_is_reset_to_what_it_was)
{
        NEEDS_MODULES;
        struct mv_program_spec p = program_of(module_of(says_hello));
        struct mv_cell *c = cell_open(&p);
        struct mv_err err = { 0 };
        uint8_t fresh[32], again[32];
        struct told t;
        REQUIRE(c);
        REQUIRE(mv_kvm_cell_digest(c, fresh, &err) == 0);
        for (int i = 0; i < 3; i++) { /* the module traps when it finds what another run left */
                CHECK(run(c, &t, 5000 * MS).exit_code == 0);
                CHECK_STR(t.out, "hello");
                REQUIRE(OPS->reset(c, &err) == 0);
                REQUIRE(mv_kvm_cell_digest(c, again, &err) == 0);
                CHECK(memcmp(fresh, again, sizeof fresh) == 0);
        }
        OPS->close_cell(c);
}

TEST(a_used_cell_is_not_run_without_a_reset)
{
        NEEDS_MODULES;
        struct mv_program_spec p = program_of(module_of(says_hello));
        struct mv_cell *c = cell_open(&p);
        struct mv_err err = { 0 };
        struct mv_exit x;
        struct told t;
        REQUIRE(c);
        run(c, &t, 5000 * MS);
        struct mv_run r = { .execution_id = "t", .door = { &t, no_frame, on_output } };
        CHECK(OPS->run(c, &r, &x, &err) == -(int)MV_E_STATE);
        OPS->close_cell(c);
}

TEST(a_start_function_runs_when_the_execution_does)
{
        NEEDS_MODULES;
        struct mv_program_spec p = program_of(module_of(starts_itself));
        struct mv_cell *c = cell_open(&p);
        struct told t;
        REQUIRE(c);
        CHECK(run(c, &t, 5000 * MS).exit_code == 9);
        OPS->close_cell(c);
}

TEST(a_program_that_is_no_module_is_refused)
{
        NEEDS_MODULES;
        struct mv_program_spec p = { .path = "/bin/true", .argv = argv_of, .env = no_env };
        struct mv_cell_spec spec = { .execution_id = "t", .program = &p };
        struct mv_err err = { 0 };
        struct mv_cell *c = NULL;
        CHECK(OPS->open_cell(provider, &spec, &c, &err) == -(int)MV_E_UNSUPPORTED);
        CHECK(c == NULL);
}

static void *cancel_soon(void *cell)
{
        nanosleep(&(struct timespec){ 0, 30000000 }, NULL);
        OPS->cancel(cell);
        return NULL;
}

static void cancelled_in_time(const char *wat)
{
        struct mv_program_spec p = program_of(module_of(wat));
        struct mv_cell *c = cell_open(&p);
        pthread_t thread;
        struct told t;
        REQUIRE(c);
        uint64_t from = mv__now_ns();
        REQUIRE(pthread_create(&thread, NULL, cancel_soon, c) == 0);
        struct mv_exit x = run(c, &t, 20000 * MS);
        pthread_join(thread, NULL);
        CHECK(x.termination == MV_END_KILLED);
        CHECK_STR(x.detail, "cancelled");
        CHECK(mv__now_ns() - from < MV_TEST_SOON_NS);
        OPS->close_cell(c);
}

TEST(a_module_that_spins_or_sleeps_is_cancelled)
{
        NEEDS_MODULES;
        cancelled_in_time(spins);
        cancelled_in_time(sleeps);
}

TEST(a_sleep_ends_at_the_deadline)
{
        NEEDS_MODULES;
        struct mv_program_spec p = program_of(module_of(sleeps));
        struct mv_cell *c = cell_open(&p);
        struct told t;
        REQUIRE(c);
        uint64_t from = mv__now_ns();
        CHECK(run(c, &t, 100 * MS).termination == MV_END_TIMEOUT);
        CHECK(mv__now_ns() - from >= 100 * MS && mv__now_ns() - from < MV_TEST_SOON_NS);
        OPS->close_cell(c);
}

TEST(what_a_module_leaves_is_handed_out)
{
        NEEDS_MODULES;
        struct mv_program_spec p = program_of(module_of(makes_a_directory));
        struct mv_cell *c = cell_open(&p);
        struct told t;
        REQUIRE(c);
        struct mv_exit x = run(c, &t, 5000 * MS);
        CHECK(x.termination == MV_END_COMPLETED && x.exit_code == 0);
        CHECK(x.output_fd > 0 && faccessat(x.output_fd, "made", F_OK, 0) == 0);
        if (x.output_fd > 0)
                close(x.output_fd);
        OPS->close_cell(c);
}

TEST(an_input_of_any_size_is_read)
{
        NEEDS_MODULES;
        static uint8_t large[3 << 20];
        memset(large, ' ', sizeof large);
        for (int i = 0; i < 3; i++) { /* with START, with START, as a file */
                const size_t len = (size_t[]){ 10, 1 << 20, sizeof large }[i];
                const struct mv_program_file file = { .path = input_file.path,
                                                      .bytes = { large, len } };
                struct mv_program_spec p = program_of(module_of(counts_its_input));
                p.files = &file;
                struct mv_cell *c = cell_open(&p);
                struct told t;
                REQUIRE(c);
                struct mv_exit x = run(c, &t, 5000 * MS);
                CHECK((size_t)x.exit_code == (len + 65535) / 65536);
                if (x.output_fd > 0)
                        close(x.output_fd);
                OPS->close_cell(c);
        }
}

static void *one_of_many(void *module)
{
        const struct mv_slice *m = module;
        for (int i = 0; i < 5; i++) {
                struct mv_program_spec p = program_of(*m);
                struct mv_cell *c = cell_open(&p);
                struct told t;
                if (!c)
                        return module;
                struct mv_exit x = run(c, &t, 10000 * MS);
                OPS->close_cell(c);
                if (x.output_fd > 0)
                        close(x.output_fd);
                if (x.termination != MV_END_COMPLETED || x.exit_code != 0) {
                        printf("# %s\n", x.detail);
                        return module;
                }
        }
        return NULL;
}

TEST(modules_run_at_the_same_time_and_leave_nothing)
{
        NEEDS_MODULES;
        static uint8_t first[4096];
        pthread_t threads[8];
        void *failed;
        struct mv_slice hello = module_of(says_hello);
        memcpy(first, hello.p, hello.len);
        struct mv_slice modules[2] = { { first, hello.len }, module_of(makes_a_directory) };
        one_of_many(&modules[0]);
        one_of_many(&modules[1]);
        one_of_many(&modules[1]); /* the second cell with files starts the thread that makes them */
        mv__kvm_reaper_wait(&provider->reaper);
        unsigned tasks = entries_of("/proc/self/task");
        for (unsigned i = 0; i < 8; i++)
                REQUIRE(pthread_create(&threads[i], NULL, one_of_many, &modules[i & 1]) == 0);
        for (unsigned i = 0; i < 8; i++) {
                pthread_join(threads[i], &failed);
                CHECK(failed == NULL);
        }
        mv__kvm_reaper_wait(&provider->reaper);
        UNTIL(entries_of("/proc/self/task") ==
              tasks); /* a thread that was joined is in the list for a moment */
        CHECK(entries_of("/proc/self/task") == tasks);
}

TEST(one_template_serves_a_module_and_a_limit)
{
        NEEDS_MODULES;
        struct mv_program_spec p = program_of(module_of(says_hello));
        struct mv_cell *a = cell_open(&p), *b = cell_open(&p);
        REQUIRE(a);
        REQUIRE(b);
        CHECK(a->t == b->t);
        CHECK(a->t->module && a->t->ro_at == MV_KVM_MODULE_TEXT);
        OPS->close_cell(a);
        OPS->close_cell(b);
}

TEST(the_provider_ends_with_nothing_open)
{
        NEEDS_MODULES;
        provider = OPS->fini(provider);
        CHECK(provider == NULL);
        CHECK(entries_of("/proc/self/fd") == fds_at_first);
        CHECK(waitpid(-1, NULL, WNOHANG) < 0); /* no child is left, nor a cell made ahead */
}
