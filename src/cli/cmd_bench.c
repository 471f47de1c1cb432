/* SPDX-License-Identifier: Apache-2.0 */
/* The benchmark table. Rounds are interleaved, so that a busy moment of the machine hits every
 * row alike; in a round a library row is measured ten times in a row, or for two milliseconds,
 * which is what a caller in a loop sees, a command once. Every number is measured here and now, from the library call to
 * the value and its audit record in memory. */
#include <base/fmt.h>
#include <cli/bench.h>
#include <cli/cli.h>
#include <errno.h>
#include <fcntl.h>
#include <host/jsonw.h>
#include <host/plan.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/probe.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS_MAX  40
#define BURST       10 /* runs of a library row in a round, more while they take less than BURST_NS */
#define BURST_NS    2000000
#define BURST_MAX   400
#define SAMPLES_MAX (ROUNDS_MAX * BURST_MAX)
#define BENCH_NS_MAX                                                                               \
        (20ull * 1000000000ull) /* a slow machine gets fewer rounds, not a longer wait */
#define CALLS_PER_PROGRAM 100
#define SETTLE_NS         2000000 /* the kernel takes apart what the row before left, on the other core */

static const char add_text[] = "(+ 1 2)";
static const char calls_text[] =
        "(loop [i 0] (if (< i 100) (do (call \"ccos.echo\" i) (recur (+ i 1))) i))";

static const char step_text[] =
        "(step \"fetch\" (call :ccos.network.http-fetch \"https://api.example.com/v1/items\")\n"
        "  (call :ccos.io.write-file \"/tmp/items.json\" \"[]\"))";

/* (module (import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32)))
 *   (memory (export "memory") 1) (data (i32.const 0) "\08\00\00\00\01\00\00\003")
 *   (func (export "_start") (drop (call $w (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 12))))): prints 3 */
static const uint8_t print_module[] =
        "\0asm\1\0\0\0\1\14\2\x60\4\x7f\x7f\x7f\x7f\1\x7f\x60\0\0"
        "\2\x23\1\x16wasi_snapshot_preview1\10fd_write\0\0\3\2\1\1\5\3\1\0\1"
        "\7\x13\2\6memory\2\0\6_start\0\1"
        "\12\17\1\15\0\x41\1\x41\0\x41\1\x41\14\x10\0\x1a\13"
        "\13\17\1\0\x41\0\13\11\10\0\0\0\1\0\0\0\x33";

struct row {
        const char *name, *what;
        const char *provider;       /* a library execution, */
        bool pooled, calls, exec;   /* exec: /bin/true instead of RTFS */
        bool module;                /* print_module instead of RTFS */
        bool slow;                  /* once in a round, like a command */
        const char *config;         /* of the provider */
        bool steps;                 /* deriving the profile of a step, not running it */
        const char *const *command; /* or a command, or what runs nothing (bench.h) */
        int (*once)(struct mv_host *h, uint64_t *ret_ns, struct mv_err *err);
        struct mv_host *host;
        char why_not[240]; /* unavailable: why */
        uint64_t ns[SAMPLES_MAX];
        unsigned n;
};

static const char *const run_true[] = { "/bin/true", NULL };
static const char *const run_unshare[] = { "unshare",   "--user", "--map-root-user",
                                           "--mount",   "--pid",  "--net",
                                           "--ipc",     "--uts",  "--fork",
                                           "/bin/true", NULL };
static const char *const run_bwrap[] = { "bwrap", "--unshare-all", "--ro-bind", "/",
                                         "/",     "/bin/true",     NULL };
static const char *const run_runsc[] = { "runsc", "--rootless", "--network=none",
                                         "do",    "/bin/true",  NULL };

/* A bundle for plain `runsc run`: this machine's root, read-only, and /bin/true. */
static char bundle_dir[] = "/tmp/microvm-bench-XXXXXX", bundle_arg[64], state_arg[64];
static const char bundle_text[] =
        "{\"ociVersion\": \"1.0.0\", \"process\": {\"terminal\": false, \"user\": {\"uid\": 0, "
        "\"gid\": 0}, \"args\": [\"/bin/true\"], \"env\": [], \"cwd\": \"/\"}, \"root\": "
        "{\"path\": \"/\", \"readonly\": true}, \"mounts\": [], \"linux\": {\"namespaces\": "
        "[{\"type\": \"pid\"}, {\"type\": \"network\"}, {\"type\": \"mount\"}]}}";
static const char *const run_bundle[] = {
        "runsc", "--rootless", "--network=none", "--ignore-cgroups", state_arg, "run", bundle_arg,
        "bench", NULL
};

static struct row rows[] = {
        { "kvm cold", "a microVM nobody used before: (+ 1 2)", .provider = "kvm" },
        { "kvm pooled", "a kept microVM, fully reset after use: (+ 1 2)", .provider = "kvm",
          .pooled = true },
        { "process", "a fresh process under seccomp: (+ 1 2)", .provider = "process" },
        { "gvisor kept", "a kept sandbox, a process of its own in it: (+ 1 2)",
          .provider = "gvisor", .pooled = true },
        { "gvisor fresh", "a sandbox of its own: (+ 1 2)", .provider = "gvisor", .slow = true },
        { "wasm cold", "the evaluator as WebAssembly in a fresh process: (+ 1 2)",
          .provider = "wasm" },
        { "wasm kept", "the same in a worker that restores its memory: (+ 1 2)", .provider = "wasm",
          .pooled = true },
        { "wasm instance",
          "of that, the memory made as new, with more written than such a run does",
          .once = cli_bench_instance, .slow = true },
        { "kvm module", "a WebAssembly module in a microVM nobody used before: prints 3",
          .provider = "kvm", .module = true },
        { "wasm module", "the same module in a fresh process", .provider = "wasm", .module = true },
        { "mock", "no wall: (+ 1 2)", .provider = "mock", .pooled = true },
        { "call kvm", "one capability call and its reply, per call", .provider = "kvm",
          .pooled = true, .calls = true },
        { "call process", "one capability call and its reply, per call", .provider = "process",
          .calls = true },
        { "call mock", "one capability call and its reply, per call", .provider = "mock",
          .pooled = true, .calls = true },
        { "call record", "of that, the three records of a call, in memory",
          .once = cli_bench_records },
        { "step profile", "deriving a step's profile, once the program was inspected",
          .provider = "mock", .pooled = true, .steps = true },
        { "process exec",
          "/bin/true: namespaces, own root, Landlock, seccomp, limits; a prepared "
          "cell, used once",
          .provider = "process", .exec = true },
        { "process first", "the same in a cell that is made when it is asked for",
          .provider = "process", .exec = true, .config = "{\"prepared_cells\": 0}" },
        { "gvisor exec", "/bin/true in a sandbox of its own, in a process cell",
          .provider = "gvisor", .exec = true, .slow = true },
        { "config", "read and validate examples/config/microvm.rtfs", .once = cli_bench_config },
        { "authorize", "decide about one call with 1,000 rules", .once = cli_bench_authorize },
        { "fork+exec", "posix_spawn /bin/true, for comparison", .command = run_true },
        { "unshare", "six namespaces, /bin/true, for comparison", .command = run_unshare },
        { "bwrap", "bwrap --unshare-all /bin/true, for comparison", .command = run_bwrap },
        { "runsc do", "gVisor, /bin/true, for comparison", .command = run_runsc },
        { "runsc run", "gVisor, a bundle with /bin/true, for comparison", .command = run_bundle },
};
#define ROWS_COUNT (sizeof rows / sizeof rows[0])

static uint64_t now_ns(void)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* --- one measurement: 0 and *ret_ns, or the reason in err ------------------------------------- */
static int run_program(struct row *r, const char *text, const struct mv_context *c,
                       uint64_t *ret_ns, struct mv_err *err)
{
        struct mv_execution x = { .program = mv_program_source(text),
                                  .context = c,
                                  .provider = r->provider };
        struct mv_result *result;
        if (r->exec)
                x.program = (struct mv_program){ .kind = MV_PROGRAM_EXTERNAL, .path = "/bin/true" };
        if (r->module)
                x.program =
                        (struct mv_program){ .kind = MV_PROGRAM_BINARY,
                                             .language = "Wasm",
                                             .bytes = { print_module, sizeof print_module - 1 } };
        uint64_t t0 = now_ns();
        int rc = mv_execute(r->host, &x, &result, err);
        *ret_ns = now_ns() - t0;
        if (rc < 0)
                return rc;
        if (!mv_result_ok(result)) {
                snprintf(err->msg, sizeof err->msg, "%s", mv_result_error(result)->message);
                rc = -(int)MV_E_PROGRAM;
        }
        mv_result_free(result);
        return rc;
}

/* What one call adds: a program with 100 calls, less one without. */
static int measure_calls(struct row *r, const struct mv_context *c, uint64_t *ret_ns,
                         struct mv_err *err)
{
        uint64_t with, without;
        int rc = run_program(r, calls_text, c, &with, err);
        if (rc == 0)
                rc = run_program(r, add_text, c, &without, err);
        if (rc == 0)
                *ret_ns = with > without ? (with - without) / CALLS_PER_PROGRAM : 0;
        return rc;
}

static int measure_steps(struct row *r, const struct mv_context *c, uint64_t *ret_ns,
                         struct mv_err *err)
{
        struct mv_execution x = { .program = mv_program_source(step_text),
                                  .context = c,
                                  .provider = r->provider };
        struct mv__plan_request q = { &x, c, { 0 } };
        struct mv__plan *plan;
        int rc = mv__plan_make(r->host, &q, &plan, err);
        if (rc == 0)
                *ret_ns = plan->derive_ns;
        if (rc == 0)
                mv__plan_free(plan);
        return rc;
}

extern char **environ;

static int run_command(const char *const *command, uint64_t *ret_ns, struct mv_err *err)
{
        posix_spawn_file_actions_t quiet;
        pid_t pid;
        int status;
        posix_spawn_file_actions_init(&quiet);
        posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
        posix_spawn_file_actions_addopen(&quiet, 2, "/dev/null", O_WRONLY, 0);
        uint64_t t0 = now_ns();
        int sys = posix_spawnp(&pid, command[0], &quiet, NULL, (char *const *)command, environ);
        posix_spawn_file_actions_destroy(&quiet);
        if (sys) {
                snprintf(err->msg, sizeof err->msg, "%s: %s", command[0], strerror(sys));
                return -(int)MV_E_UNAVAILABLE;
        }
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
        *ret_ns = now_ns() - t0;
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
                return 0;
        snprintf(err->msg, sizeof err->msg, "%s does not run here (exit %d)", command[0],
                 WIFEXITED(status) ? WEXITSTATUS(status) : -1);
        return -(int)MV_E_UNAVAILABLE;
}

static int measure(struct row *r, const struct mv_context *c, uint64_t *ret_ns, struct mv_err *err)
{
        if (r->command)
                return run_command(r->command, ret_ns, err);
        if (r->once)
                return r->once(r->host, ret_ns, err);
        if (r->steps)
                return measure_steps(r, c, ret_ns, err);
        return r->calls ? measure_calls(r, c, ret_ns, err)
                        : run_program(r, add_text, c, ret_ns, err);
}

/* --- rounds ----------------------------------------------------------------------------------- */
static int prepare(struct row *r, struct mv_err *err)
{
        char path[256];
        struct mv_host_options o = { .pool_disabled = !r->pooled };
        if (r->command) {
                if (r->command[0][0] == '/' ||
                    mv_sys_probe_binary(r->command[0], path, sizeof path))
                        return 0;
                snprintf(err->msg, sizeof err->msg, "%s is not installed", r->command[0]);
                return -(int)MV_E_UNAVAILABLE;
        }
        int rc = mv_host_new(&o, &r->host, err);
        return rc == 0 && r->config ? mv_host_provider_init(r->host, r->provider, r->config, err)
                                    : rc;
}

/* Warms up as well: a provider initialises on its first use. */
static void prepare_all(const struct mv_context *c)
{
        for (size_t i = 0; i < ROWS_COUNT; i++) {
                struct mv_err err = { 0 };
                uint64_t ns;
                if (prepare(&rows[i], &err) < 0 || measure(&rows[i], c, &ns, &err) < 0 ||
                    measure(&rows[i], c, &ns, &err) < 0)
                        mv_fmt(rows[i].why_not, sizeof rows[i].why_not, "%s", err.msg);
        }
}

static bool goes_on(const struct row *r, unsigned done, uint64_t since_ns)
{
        if (r->why_not[0] || done >= BURST_MAX || ((r->command || r->slow) && done))
                return false;
        return done < BURST || now_ns() - since_ns < BURST_NS;
}

/* Awake: a processor that rests between rows lowers its clock, and the first rows after it would pay for that. */
static void settle(void)
{
        uint64_t until = now_ns() + SETTLE_NS;
        while (now_ns() < until)
                ;
}

static void one_round(const struct mv_context *c)
{
        for (size_t i = 0; i < ROWS_COUNT; i++) {
                struct row *r = &rows[i];
                struct mv_err err = { 0 };
                settle();
                uint64_t since = now_ns();
                for (unsigned done = 0; goes_on(r, done, since); done++) {
                        if (measure(r, c, &r->ns[r->n], &err) < 0)
                                mv_fmt(r->why_not, sizeof r->why_not, "%s", err.msg);
                        else
                                r->n++;
                }
        }
}

static int by_size(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
        return (x > y) - (x < y);
}

static void run_rounds(const struct mv_context *c)
{
        uint64_t end = now_ns() + BENCH_NS_MAX;
        for (unsigned round = 0; round < ROUNDS_MAX && now_ns() < end; round++)
                one_round(c);
        for (size_t i = 0; i < ROWS_COUNT; i++) {
                qsort(rows[i].ns, rows[i].n, sizeof rows[i].ns[0], by_size);
                mv_host_free(rows[i].host);
        }
}

static uint64_t percentile(const struct row *r, unsigned percent)
{
        return r->ns[(r->n - 1) * percent / 100];
}

/* --- printing --------------------------------------------------------------------------------- */
static int print_json(const char *backend)
{
        struct mv__jsonw w;
        mv__json_begin(&w);
        mv__json_open(&w, NULL, '{');
        mv__json_str(&w, "kvm_backend", backend);
        mv__json_str(&w, "audit", "memory");
        mv__json_open(&w, "rows", '[');
        for (size_t i = 0; i < ROWS_COUNT; i++) {
                const struct row *r = &rows[i];
                bool measured = !r->why_not[0] && r->n;
                mv__json_open(&w, NULL, '{');
                mv__json_str(&w, "name", r->name);
                mv__json_str(&w, "what", r->what);
                mv__json_bool(&w, "available", measured);
                if (measured) {
                        mv__json_uint(&w, "n", r->n);
                        mv__json_uint(&w, "p50_ns", percentile(r, 50));
                        mv__json_uint(&w, "p99_ns", percentile(r, 99));
                } else {
                        mv__json_str(&w, "reason", r->why_not);
                }
                mv__json_close(&w, '}');
        }
        mv__json_close(&w, ']');
        mv__json_close(&w, '}');
        return cli_json_line(mv__json_end(&w));
}

static void microseconds(char buf[32], uint64_t ns)
{
        snprintf(buf, 32, "%.1f us", (double)ns / 1000.0);
}

static void print_table(const char *backend)
{
        struct cli_table t = { .columns = 5 };
        char p50[32], p99[32], n[16];
        cli_table_row(&t, "ROW", "P50", "P99", "N", "WHAT");
        for (size_t i = 0; i < ROWS_COUNT; i++) {
                const struct row *r = &rows[i];
                if (r->why_not[0] || !r->n) {
                        cli_table_row(&t, r->name, "-", "-", "-", r->why_not);
                        continue;
                }
                microseconds(p50, percentile(r, 50));
                microseconds(p99, percentile(r, 99));
                snprintf(n, sizeof n, "%u", r->n);
                cli_table_row(&t, r->name, p50, p99, n, r->what);
        }
        cli_table_print(&t, stdout);
        printf("kvm backend: %s; audit records kept in memory\n", backend);
}

/* Without a bundle `runsc run` fails, and its row says so. */
static void bundle_make(void)
{
        char path[64];
        if (!mkdtemp(bundle_dir))
                return;
        snprintf(bundle_arg, sizeof bundle_arg, "--bundle=%s", bundle_dir);
        snprintf(state_arg, sizeof state_arg, "--root=%s/state", bundle_dir);
        snprintf(path, sizeof path, "%s/config.json", bundle_dir);
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        ssize_t n = write(fd, bundle_text, sizeof bundle_text - 1);
        if (fd >= 0)
                close(fd);
        if (n != sizeof bundle_text - 1)
                unlink(path);
}

static void bundle_remove(void)
{
        char path[64];
        snprintf(path, sizeof path, "%s/config.json", bundle_dir);
        unlink(path);
        snprintf(path, sizeof path, "%s/state", bundle_dir);
        rmdir(path);
        rmdir(bundle_dir);
}

int cmd_bench(int argc, char **argv)
{
        struct cli_options o;
        struct mv_err err;
        char backend[32];
        int r = cli_options(argc, argv, CLI_JSON, &o);
        if (r == 0)
                r = cli_operands(&o, 0, 0, "no operand");
        if (r)
                return r;
        struct mv_context *c = mv_context_new(MV_LEVEL_CONTROLLED);
        if (!c || mv_context_allow(c, "ccos.echo", &err) < 0 ||
            mv_context_allow(c, "external_program", &err) < 0)
                return CLI_BUG;
        if (mv_sys_probe_kvm(backend, sizeof backend) != 0)
                snprintf(backend, sizeof backend, "none");
        bundle_make();
        prepare_all(c);
        run_rounds(c);
        bundle_remove();
        mv_context_free(c);
        if (o.json)
                return print_json(backend);
        print_table(backend);
        return CLI_DONE;
}
