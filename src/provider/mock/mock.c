/* SPDX-License-Identifier: Apache-2.0 */
/* provider/mock - the runner in the caller's process: no wall. For tests and for trying things out.
 *
 * (1) Programs are really evaluated, calls really pass the same broker (REQ-MOCK-02, -09). Nothing is isolated, and every
 *     result says `simulated`.
 * (2) Limits are kept by the evaluator itself: fuel, output, the size of its arena, and time through the interrupt flag
 *     that watchdog.c sets. No kernel stands behind them.
 * (3) A cell may be used again after reset: the evaluator forgets what ran. It is not proven equal to a fresh one, so
 *     MV_FEAT_RESET is not claimed. */
#include <stdlib.h>
#include <sys/mman.h>
#include <base/limits.h>
#include <provider/mock/mock.h>
#include <provider/provider.h>
#include <wire/cbor.h>
#include <wire/frame.h>

#define PAGE_BYTES ((size_t)4096)
#define OUT_BYTES                                                                                  \
        ((size_t)MV_FRAME_PAYLOAD_MAX +                                                            \
         PAGE_BYTES) /* a frame of the greatest length and its header */
#define CONFIG_BYTES_MAX ((size_t)1 << 20)

static const char schema_text[] =
        "{\"$schema\": \"http://json-schema.org/draft-07/schema#\", \"title\": \"mock provider\", "
        "\"type\": \"object\", \"additionalProperties\": false, \"properties\": {"
        "\"mock_mode\": {\"type\": \"string\", \"enum\": [\"simple\", \"detailed\"], \"default\": "
        "\"simple\", "
        "\"description\": \"detailed adds a trace of the calls\"}, "
        "\"faults\": {\"type\": \"object\", \"description\": \"faults to inject, by capability "
        "id\", "
        "\"additionalProperties\": {\"type\": \"object\", \"additionalProperties\": false, "
        "\"properties\": {"
        "\"delay-ms\": {\"type\": \"integer\", \"minimum\": 0, \"maximum\": 3600000}, "
        "\"error\": {\"type\": \"string\", \"description\": \"error kind raised instead of the "
        "reply\"}, "
        "\"timeout\": {\"type\": \"boolean\", \"description\": \"never answer\"}, "
        "\"oom\": {\"type\": \"boolean\", \"description\": \"end as if memory had run out\"}}}}}}";

static const char *mock_schema(void)
{
        return schema_text;
}

static int mock_probe(struct mv_err *err)
{
        return 0;
}

static int configure(struct mv_provider *p, const struct mv_value *config, struct mv_err *err)
{
        static const char *const keys[] = { "mock_mode", "faults", NULL }, *const modes[] = {
                "simple", "detailed", NULL
        };
        unsigned mode = 0;
        const struct mv_value *faults = config ? mv_map_get(config, "faults") : NULL;
        if (mv__config_keys(config, keys, err) < 0 ||
            mv__config_choice(config, "mock_mode", modes, &mode, err) < 0 ||
            mv__mock_faults_check(faults, err) < 0)
                return mv_wrap(err, "mock provider");
        p->detailed = mode == 1;
        if (!faults)
                return 0;
        p->faults = mv_value_copy(faults, &p->mem);
        return p->faults
                       ? 0
                       : mv_fail(err, MV_E_LIMIT, 0,
                                 "mock provider: its faults take over %zu bytes", CONFIG_BYTES_MAX);
}

static struct mv_provider *mock_fini(struct mv_provider *p)
{
        if (!p)
                return NULL;
        mv__mock_watchdog_stop(&p->dog);
        mv_arena_done(&p->mem);
        free(p);
        return NULL;
}

static int mock_init(const struct mv_value *config, struct mv_provider **ret, struct mv_err *err)
{
        struct mv_provider *p = calloc(1, sizeof *p);
        if (!p)
                return mv_fail(err, MV_E_NOMEM, 0, "mock provider: %zu bytes", sizeof *p);
        p->mem = mv_arena_grow(CONFIG_BYTES_MAX);
        int r = configure(p, config, err);
        if (r == 0)
                r = mv__mock_watchdog_start(&p->dog, err);
        if (r < 0) {
                mock_fini(p);
                return r;
        }
        *ret = p;
        return 0;
}

static struct mv_cell *mock_close(struct mv_cell *c)
{
        if (!c)
                return NULL;
        if (c->memory)
                munmap(c->memory, c->memory_bytes);
        free(c);
        return NULL;
}

static size_t arena_bytes(const struct mv_limits *l)
{
        uint64_t n = l->memory_bytes_max ? l->memory_bytes_max : MV_DEFAULT_MEMORY_BYTES;
        if (n < MV_RTFS_ARENA_MIN)
                n = MV_RTFS_ARENA_MIN;
        return (size_t)n & ~(PAGE_BYTES - 1);
}

/* One mapping: the buffer for frames, then the arena. Only touched pages cost anything. */
static int map_cell(struct mv_cell *c, struct mv_err *err)
{
        c->arena_bytes = arena_bytes(&c->limits);
        if (__builtin_add_overflow(c->arena_bytes, OUT_BYTES, &c->memory_bytes))
                return mv_fail(err, MV_E_LIMIT, 0, "a memory limit of %zu bytes cannot be mapped",
                               c->arena_bytes);
        void *p = mmap(NULL, c->memory_bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p == MAP_FAILED)
                return mv_fail(err, MV_E_NOMEM, 0, "map %zu bytes for a mock cell",
                               c->memory_bytes);
        c->memory = p;
        return 0;
}

static int mock_open(struct mv_provider *p, const struct mv_cell_spec *spec, struct mv_cell **ret,
                     struct mv_err *err)
{
        struct mv_cell *c = calloc(1, sizeof *c);
        if (!c)
                return mv_fail(err, MV_E_NOMEM, 0, "mock cell: %zu bytes", sizeof *c);
        c->provider = p;
        c->limits = spec->limits;
        int r = map_cell(c, err);
        if (r == 0)
                r = mv_runner_init(&c->runner, (uint8_t *)c->memory + OUT_BYTES, c->arena_bytes,
                                   c->memory, OUT_BYTES,
                                   (struct mv_runner_door){ c, mv__mock_exchange }, err);
        if (r < 0) {
                mock_close(c);
                return mv_wrap(err, "cell %s", spec->execution_id);
        }
        *ret = c;
        return 0;
}

static uint64_t deadline(const struct mv_cell *c, const struct mv_run *run)
{
        uint64_t wall = run->limits.wall_ns_max ? run->limits.wall_ns_max : c->limits.wall_ns_max;
        uint64_t own = wall ? c->started_ns + wall : 0;
        return own && (!run->deadline_ns || own < run->deadline_ns) ? own : run->deadline_ns;
}

/* Without a wall there is one thread: the host's work for the program's calls is in it. */
static uint64_t thread_cpu_ns(void)
{
        struct timespec t;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
        return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int mock_run(struct mv_cell *c, const struct mv_run *run, struct mv_exit *ret,
                    struct mv_err *err)
{
        int r = mv__provider_gate(run, err);
        if (r < 0)
                return r;
        struct mv_exit x = { .termination = MV_END_KILLED, .exit_code = -1, .simulated = true };
        if (run->resumes)
                c->cancelled = false; /* of an evaluation that had ended already */
        c->run = run;
        c->exit = &x;
        c->ended = false;
        c->late = false;
        c->started_ns = mv__now_ns();
        c->deadline_ns = deadline(c, run);
        uint64_t cpu = thread_cpu_ns();
        if (!mv__mock_stopped_at(c, c->started_ns)) {
                mv__mock_watchdog_arm(&c->provider->dog, c);
                mv_runner_run(&c->runner, run->start);
                mv__mock_watchdog_disarm(&c->provider->dog, c);
        }
        x.cpu_ns = thread_cpu_ns() - cpu;
        x.memory_peak_bytes = mv_rtfs_memory_peak(c->runner.rtfs);
        if (!mv__mock_stopped(c))
                mv__mock_end(c, MV_END_KILLED, "the runner ended without a result");
        *ret = x;
        c->run = NULL;
        c->exit = NULL;
        return 0;
}

static void mock_cancel(struct mv_cell *c)
{
        c->cancelled = true;
        mv__mock_watchdog_look(&c->provider->dog);
}

/* The evaluator itself is reset by the next START, which finds no session to go on with. */
static int mock_reset(struct mv_cell *c, struct mv_err *err)
{
        c->runner.out.len = 0;
        c->runner.out.overflow = false;
        c->runner.ended = false;
        c->runner.kept = false;
        c->cancelled = false;
        return 0;
}

const struct mv_provider_ops mv_provider_mock = {
        .abi = MV_PROVIDER_ABI,
        .name = "mock",
        .title = "Mock",
        .tier = MV_TIER_NONE,
        /* (2) */
        .features = MV_FEAT_WALL_TIME | MV_FEAT_MEMORY | MV_FEAT_FUEL | MV_FEAT_OUTPUT |
                    MV_FEAT_SESSION,
        .probe = mock_probe,
        .init = mock_init,
        .open_cell = mock_open,
        .run = mock_run,
        .cancel = mock_cancel,
        .reset = mock_reset,
        .close_cell = mock_close,
        .fini = mock_fini,
        .schema = mock_schema,
};
