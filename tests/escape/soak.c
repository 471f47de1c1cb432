/* SPDX-License-Identifier: Apache-2.0 */
/* soak [--count N] [--parallel N] [--rounds N] [--wall NAME]: executions in a row behind each wall, then many at once; behind
 * gvisor, whose sandboxes take a thousand times longer, a fiftieth of them. Every value is looked
 * at, and at the end nothing more is held than after the first hundred: descriptors, processes, mounts, control groups, memory.
 * Prints TAP; the numbers are comments. REQ-RES-14. */
#include <dirent.h>
#include <ftw.h>
#include <malloc.h>
#include <microvm/microvm.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WARM_UP 100
#define SLOW    50 /* how many of the others one execution behind gvisor stands for */
/* What an allocator may keep and a thread's stack leave behind. */
#if defined(__SANITIZE_ADDRESS__)
#define MEMORY_GROWTH_MAX ((long)512 << 20) /* it keeps what was freed for a while */
#else
#define MEMORY_GROWTH_MAX ((long)4 << 20)
#endif

static struct mv_host *host;
static int tests, failures;

static void verdict(bool ok, const char *what, const char *wall)
{
        failures += !ok;
        printf("%sok %d - %s: %s\n", ok ? "" : "not ", ++tests, wall, what);
        fflush(stdout);
}

/* --- what is held ----------------------------------------------------------------------------- */
struct held {
        int descriptors, processes, mounts, groups;
        long memory;
};

static int entries(const char *path)
{
        int n = 0;
        DIR *d = opendir(path);
        while (d && readdir(d))
                n++;
        if (d)
                closedir(d);
        return n;
}

static int lines(const char *path)
{
        int n = 0;
        FILE *f = fopen(path, "re");
        for (int c; f && (c = fgetc(f)) != EOF;)
                n += c == '\n';
        if (f)
                fclose(f);
        return n;
}

static int words(const char *path)
{
        int n = 0, number;
        FILE *f = fopen(path, "re");
        while (f && fscanf(f, "%d", &number) == 1)
                n++;
        if (f)
                fclose(f);
        return n;
}

/* Of every thread: some are the provider's. */
static int children(void)
{
        int n = 0;
        DIR *d = opendir("/proc/self/task");
        for (struct dirent *e; d && (e = readdir(d));) {
                char path[300];
                snprintf(path, sizeof path, "/proc/self/task/%s/children", e->d_name);
                n += words(path);
        }
        if (d)
                closedir(d);
        return n;
}

static char group_mark[48];
static int groups_found;
static int group_look(const char *path, const struct stat *st, int type, struct FTW *at)
{
        groups_found += type == FTW_D && strstr(path + at->base, group_mark) == path + at->base;
        return 0;
}

static int groups(void)
{
        snprintf(group_mark, sizeof group_mark, "microvm-%d-", (int)getpid());
        groups_found = 0;
        nftw("/sys/fs/cgroup", group_look, 16, FTW_PHYS);
        return groups_found;
}

static long resident(void)
{
        long size = 0, pages = 0;
        malloc_trim(0);
        FILE *f = fopen("/proc/self/statm", "re");
        if (f && fscanf(f, "%ld %ld", &size, &pages) != 2)
                pages = 0;
        if (f)
                fclose(f);
        return pages * sysconf(_SC_PAGESIZE);
}

static struct held held_now(void)
{
        return (struct held){ entries("/proc/self/fd"), children(), lines("/proc/self/mounts"),
                              groups(), resident() };
}

static bool more_than(const struct held *a, const struct held *b)
{
        return a->descriptors > b->descriptors || a->processes > b->processes ||
               a->groups > b->groups;
}

static void check_held(const struct held *before, const char *wall)
{
        struct held now = held_now();
        for (int i = 0; i < 700 && more_than(&now, before); i++) {
                usleep(10000); /* closed cells are taken apart behind us; spares live five seconds */
                now = held_now();
        }
        printf("# %s: descriptors %d -> %d, processes %d -> %d, mounts %d -> %d, groups %d -> %d, "
               "resident %ld -> %ld KiB\n",
               wall, before->descriptors, now.descriptors, before->processes, now.processes,
               before->mounts, now.mounts, before->groups, now.groups, before->memory >> 10,
               now.memory >> 10);
        verdict(now.descriptors <= before->descriptors, "no descriptor is left", wall);
        verdict(now.processes <= before->processes, "no process is left", wall);
        verdict(now.mounts == before->mounts, "no mount is left", wall);
        verdict(now.groups <= before->groups, "no control group is left", wall);
        verdict(now.memory - before->memory <= MEMORY_GROWTH_MAX, "memory does not grow", wall);
}

/* --- one execution ---------------------------------------------------------------------------- */
enum kind { RTFS, PROGRAM, MODULE, MIXED };
static const struct wall {
        const char *name, *provider;
        enum kind kind;
        bool slow;
} walls[] = { { "process, RTFS", "process", RTFS, false },
              { "process, /bin/echo", "process", PROGRAM, false },
              { "wasm, RTFS", "wasm", RTFS, false },
              { "wasm, a module", "wasm", MODULE, false },
              { "kvm", "kvm", RTFS, false },
              { "gvisor, kept and fresh", "gvisor", MIXED, true } };
#define WALLS (sizeof walls / sizeof walls[0])

/* _start writes "42\n" to descriptor 1 of WASI. */
static const uint8_t module[] = {
        0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, 0x01, 0x0c, 0x02, 0x60, 0x04, 0x7f, 0x7f,
        0x7f, 0x7f, 0x01, 0x7f, 0x60, 0x00, 0x00, 0x02, 0x23, 0x01, 0x16, 0x77, 0x61, 0x73, 0x69,
        0x5f, 0x73, 0x6e, 0x61, 0x70, 0x73, 0x68, 0x6f, 0x74, 0x5f, 0x70, 0x72, 0x65, 0x76, 0x69,
        0x65, 0x77, 0x31, 0x08, 0x66, 0x64, 0x5f, 0x77, 0x72, 0x69, 0x74, 0x65, 0x00, 0x00, 0x03,
        0x02, 0x01, 0x01, 0x05, 0x03, 0x01, 0x00, 0x01, 0x07, 0x13, 0x02, 0x06, 0x6d, 0x65, 0x6d,
        0x6f, 0x72, 0x79, 0x02, 0x00, 0x06, 0x5f, 0x73, 0x74, 0x61, 0x72, 0x74, 0x00, 0x01, 0x0a,
        0x0f, 0x01, 0x0d, 0x00, 0x41, 0x01, 0x41, 0x00, 0x41, 0x01, 0x41, 0x10, 0x10, 0x00, 0x1a,
        0x0b, 0x0b, 0x16, 0x02, 0x00, 0x41, 0x08, 0x0b, 0x03, 0x34, 0x32, 0x0a, 0x00, 0x41, 0x00,
        0x0b, 0x08, 0x08, 0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00
};

/* Programs have a fresh sandbox each, RTFS a kept one. */
static enum kind kind_of(const struct wall *w, int n)
{
        return w->kind != MIXED ? w->kind : n % 4 == 0 ? PROGRAM : RTFS;
}

static bool right(const struct mv_result *r, enum kind kind, int n)
{
        char wanted[32];
        struct mv_slice text;
        if (!r || !mv_result_ok(r))
                return false;
        snprintf(wanted, sizeof wanted, "%d\n", n);
        if (kind == PROGRAM)
                return mv_as_text(mv_result_value(r), &text) && text.len == strlen(wanted) &&
                       memcmp(text.p, wanted, text.len) == 0;
        int64_t value = kind == MODULE ? 42 : n + 1;
        return mv_result_value(r)->kind == MV_INT && mv_result_value(r)->integer == value;
}

/* The last of many at once waits for all the others. */
static const struct mv_limits patient = { .wall_ns_max = 60000000000u };

static bool run_one(const struct wall *w, int n)
{
        char source[64], number[16];
        const char *argv[] = { number, NULL };
        struct mv_err err;
        struct mv_result *r = NULL;
        const enum kind kind = kind_of(w, n);
        /* the level of long executions; its programs have a proxy each */
        struct mv_context *c = mv_context_new(w->slow ? MV_LEVEL_FULL : MV_LEVEL_CONTROLLED);
        mv_context_give(c, &patient);
        mv_context_allow(c, "external_program", &err);
        snprintf(source, sizeof source, "(+ 1 %d)", n);
        snprintf(number, sizeof number, "%d", n);
        struct mv_execution x = { .program = mv_program_source(source),
                                  .context = c,
                                  .provider = w->provider,
                                  .limits = patient };
        if (kind == MODULE)
                x.program = (struct mv_program){ .kind = MV_PROGRAM_BINARY,
                                                 .language = "WASM",
                                                 .bytes = { module, sizeof module } };
        if (kind == PROGRAM)
                x.program = (struct mv_program){ .kind = MV_PROGRAM_EXTERNAL,
                                                 .path = "/bin/echo",
                                                 .argv = argv };
        int failed = mv_execute(host, &x, &r, &err);
        bool ok = failed >= 0 && right(r, kind, n);
        if (!ok)
                printf("# %s %d: %s\n", w->name, n,
                       failed < 0        ? err.msg
                       : mv_result_ok(r) ? "another value"
                                         : mv_result_error(r)->message);
        mv_result_free(r);
        mv_context_free(c);
        return ok;
}

/* --- many at once ----------------------------------------------------------------------------- */
struct crowd {
        const struct wall *wall;
        atomic_int next, wrong;
        int count;
};

static void *crowd_member(void *arg)
{
        struct crowd *c = arg;
        for (int n; (n = atomic_fetch_add(&c->next, 1)) < c->count;)
                if (!run_one(c->wall, n))
                        c->wrong++;
        return NULL;
}

static int run_crowd(const struct wall *w, int parallel, int count)
{
        struct crowd c = { .wall = w, .count = count };
        pthread_t *threads = calloc((size_t)parallel, sizeof *threads);
        int started = 0;
        while (threads && started < parallel &&
               pthread_create(&threads[started], NULL, crowd_member, &c) == 0)
                started++;
        for (int i = 0; i < started; i++)
                pthread_join(threads[i], NULL);
        free(threads);
        return started == parallel ? c.wrong : -1;
}

/* --- the whole -------------------------------------------------------------------------------- */
static double seconds(void)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void soak(const struct wall *w, int count, int parallel, int rounds)
{
        int wrong = 0, warm_up = w->slow ? WARM_UP / SLOW : WARM_UP;
        if (w->slow) {
                count = (count + SLOW - 1) / SLOW;
                rounds = 1;
        }
        /* as many at once first: what a provider keeps for good exists from then on */
        run_crowd(w, parallel, (w->slow ? 1 : 2) * parallel);
        for (int i = 0; i < warm_up; i++)
                wrong += !run_one(w, i);
        struct held before = held_now();
        double start = seconds();
        for (int i = 0; i < count; i++)
                wrong += !run_one(w, i);
        double took = seconds() - start;
        printf("# %s: %d in a row in %.1f s, %.2f ms each\n", w->name, count, took,
               took * 1e3 / count);
        verdict(wrong == 0, "every one in a row has its value", w->name);
        check_held(&before, w->name);
        start = seconds();
        wrong = run_crowd(w, parallel, parallel * rounds);
        printf("# %s: %d, %d at a time, in %.1f s\n", w->name, parallel * rounds, parallel,
               seconds() - start);
        verdict(wrong == 0, "every one of many at once has its value", w->name);
        check_held(&before, w->name);
}

static bool available(const char *provider)
{
        struct mv_provider_info info;
        struct mv_err err;
        uint32_t at;
        return mv_host_provider_find(host, provider, &at) == 0 &&
               mv_host_provider_info(host, at, &info, &err) == 0 && info.available;
}

static const char *word(int argc, char **argv, const char *name)
{
        for (int i = 1; i + 1 < argc; i++)
                if (strcmp(argv[i], name) == 0)
                        return argv[i + 1];
        return "";
}

static int option(int argc, char **argv, const char *name, int otherwise)
{
        for (int i = 1; i + 1 < argc; i++)
                if (strcmp(argv[i], name) == 0 && atoi(argv[i + 1]) > 0)
                        return atoi(argv[i + 1]);
        return otherwise;
}

/* Records go to a file: kept in memory they would be the growth that is looked for. */
static char dir[] = "/tmp/microvm-soak-XXXXXX", store[64], key[64];
static bool host_open(struct mv_err *err)
{
        if (!mkdtemp(dir))
                return false;
        snprintf(store, sizeof store, "%s/audit.mva", dir);
        snprintf(key, sizeof key, "%s/key", dir);
        const struct mv_host_options o = { .audit_path = store,
                                           .key_path = key,
                                           .audit_no_sync = true };
        return mv_host_new(&o, &host, err) == 0;
}

static void host_close(void)
{
        mv_host_free(host);
        unlink(store);
        unlink(key);
        rmdir(dir);
}

int main(int argc, char **argv)
{
        struct mv_err err = { .msg = "no directory for the records" };
        int count = option(argc, argv, "--count", 10000);
        int parallel = option(argc, argv, "--parallel", 64);
        int rounds = option(argc, argv, "--rounds", 4);
        mallopt(M_ARENA_MAX, 1); /* what the arenas of 64 threads keep of each other is no leak */
        if (!host_open(&err)) {
                printf("Bail out! %s\n", err.msg);
                return 1;
        }
        for (size_t i = 0; i < WALLS; i++) {
                if (!strstr(walls[i].name, word(argc, argv, "--wall")))
                        continue;
                if (available(walls[i].provider))
                        soak(&walls[i], count, parallel, rounds);
                else
                        printf("ok %d - %s # SKIP not available here\n", ++tests, walls[i].name);
        }
        host_close();
        printf("1..%d\n", tests);
        return failures != 0;
}
