/* SPDX-License-Identifier: Apache-2.0 */
/* The mock provider around a stand-in for the runner, which does what the word in its START frame says; and the words it
 * has for what is not evaluated. */
#include "../test.h"
#include <dirent.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <base/arena.h>
#include <base/slice.h>
#include <provider/common.h>
#include <provider/mock/mock.h>
#include <provider/mock/mock_texts.h>
#include <provider/provider.h>
#include <wire/cbor.h>
#include <wire/frame.h>

#define MS 1000000ull

/* --- the stand-in ----------------------------------------------------------------------------- */

struct mv_rtfs {
        volatile int interrupt;
        unsigned resets, faults;
        char dirt[64]; /* what the last program left */
};
static unsigned last_faults;
static char last_dirt[64];

int mv_runner_init(struct mv_runner *r, void *arena, size_t arena_bytes, void *out,
                   size_t out_bytes, struct mv_runner_door door, struct mv_err *err)
{
        *r = (struct mv_runner){ .rtfs = arena, .out = mv_out(out, out_bytes), .door = door };
        return 0;
}

void mv_rtfs_interrupt(struct mv_rtfs *r)
{
        r->interrupt = 1;
}

void mv_rtfs_reset(struct mv_rtfs *r, const struct mv_rtfs_options *o)
{
        r->interrupt = 0;
        r->dirt[0] = 0;
        r->resets++;
}

uint64_t mv_rtfs_memory_peak(const struct mv_rtfs *r)
{
        return 12345;
}

static void put_call(struct mv_runner *r, uint64_t seq, const char *id)
{
        size_t at = mv_frame_open(&r->out, MV_FRAME_CALL, seq);
        mv_cbor_put_array(&r->out, 2);
        mv_cbor_put_str(&r->out, id);
        mv_cbor_put_array(&r->out, 1);
        mv_cbor_put_int(&r->out, 7);
        mv_frame_close(&r->out, at);
}

static bool leave(struct mv_runner *r, bool want_reply, struct mv_slice *ret)
{
        bool ok = r->door.exchange(r->door.ctx, mv_out_slice(&r->out), want_reply, ret);
        r->out.len = 0;
        return ok;
}

static bool call_twice(struct mv_runner *r)
{
        struct mv_slice reply = { 0 };
        for (uint64_t seq = 1; seq <= 2; seq++) {
                struct mv_frame f;
                struct mv_err err;
                put_call(r, seq, "ccos.test.call");
                if (!leave(r, true, &reply) || mv_frame_decode(reply, &f, &err) < 0 || f.seq != seq)
                        return false;
                r->rtfs->faults += f.type == MV_FRAME_FAULT;
        }
        return true;
}

void mv_runner_run(struct mv_runner *r, struct mv_slice start_frame)
{
        static const struct mv_rtfs_options defaults = { 0 };
        struct mv_slice word = { start_frame.p + MV_FRAME_HEADER_BYTES,
                                 start_frame.len - MV_FRAME_HEADER_BYTES },
                        none;
        mv_rtfs_reset(r->rtfs, &defaults);
        r->rtfs->faults = 0;
        r->out.len = 0;
        snprintf(last_dirt, sizeof last_dirt, "%s", r->rtfs->dirt);
        snprintf(r->rtfs->dirt, sizeof r->rtfs->dirt, "dirty");
        bool go_on = true;
        if (mv_slice_eq_str(word, "spin"))
                while (!r->rtfs->interrupt)
                        continue;
        if (mv_slice_eq_str(word, "calls"))
                go_on = call_twice(r);
        if (mv_slice_eq_str(word, "silent"))
                return;
        last_faults = r->rtfs->faults;
        if (mv_slice_eq_str(word, "garbage"))
                mv_put_str(&r->out, "this is not a frame");
        mv_frame_close(&r->out, mv_frame_open(&r->out, MV_FRAME_RESULT, 0));
        if (go_on)
                leave(r, false, &none);
}

/* --- the host end ----------------------------------------------------------------------------- */

struct host {
        unsigned calls, logs, results;
        char log[128];
        bool deny;
        uint64_t work_ns; /* CPU time each call costs the host */
        uint8_t reply[64];
};

static int host_frame(void *ctx, struct mv_slice bytes, struct mv_slice *ret, struct mv_err *err)
{
        struct host *h = ctx;
        struct mv_frame f;
        if (mv_frame_decode(bytes, &f, err) < 0)
                return -(int)err->code;
        if (f.type == MV_FRAME_RESULT) {
                h->results++;
                return MV_DOOR_DONE;
        }
        if (f.type == MV_FRAME_LOG) {
                h->logs++;
                snprintf(h->log, sizeof h->log, "%.*s", (int)f.payload.len,
                         (const char *)f.payload.p);
                return 0;
        }
        h->calls++;
        for (uint64_t until = mv__now_ns() + h->work_ns; mv__now_ns() < until;)
                continue;
        struct mv_out o = mv_out(h->reply, sizeof h->reply);
        size_t at = mv_frame_open(&o, h->deny ? MV_FRAME_FAULT : MV_FRAME_REPLY, f.seq);
        mv_cbor_put_null(&o);
        mv_frame_close(&o, at);
        *ret = mv_out_slice(&o);
        return MV_DOOR_REPLY;
}

struct outcome {
        int r;
        struct mv_exit exit;
        struct mv_err err;
        struct host host;
        uint64_t took_ns;
};

static struct mv_slice start_frame(uint8_t *buf, size_t cap, const char *word)
{
        struct mv_out o = mv_out(buf, cap);
        size_t at = mv_frame_open(&o, MV_FRAME_START, 0);
        mv_put_str(&o, word);
        mv_frame_close(&o, at);
        return mv_out_slice(&o);
}

static void run_in(struct mv_cell *c, const char *word, uint64_t wall_ns, struct outcome *x)
{
        uint8_t buf[64];
        uint64_t t0 = mv__now_ns();
        struct mv_run run = { .start = start_frame(buf, sizeof buf, word),
                              .door = { &x->host, host_frame },
                              .deadline_ns = wall_ns ? t0 + wall_ns : 0 };
        x->r = mv_provider_mock.run(c, &run, &x->exit, &x->err);
        x->took_ns = mv__now_ns() - t0;
}

static struct outcome execute(const struct mv_value *config, const char *word, uint64_t wall_ns,
                              struct host host)
{
        struct outcome x = { .host = host };
        struct mv_provider *p = NULL;
        struct mv_cell *c = NULL;
        struct mv_cell_spec spec = { "exec_test", { 0 } };
        x.r = mv_provider_mock.init(config, &p, &x.err);
        if (x.r == 0)
                x.r = mv_provider_mock.open_cell(p, &spec, &c, &x.err);
        if (x.r == 0)
                run_in(c, word, wall_ns, &x);
        else
                mv_test_failed(__FILE__, __LINE__, x.err.msg);
        mv_provider_mock.close_cell(c);
        mv_provider_mock.fini(p);
        return x;
}

/* --- configuration, as trees ------------------------------------------------------------------ */

static struct mv_value text(const char *s)
{
        return (struct mv_value){ .kind = MV_STRING, .text = mv_slice_str(s) };
}

static struct mv_value integer(int64_t n)
{
        return (struct mv_value){ .kind = MV_INT, .integer = n };
}

static struct mv_value truth(void)
{
        return (struct mv_value){ .kind = MV_BOOL, .boolean = true };
}

static struct mv_value map_of(const struct mv_entry *e, uint32_t n)
{
        return (struct mv_value){ .kind = MV_MAP, .count = n, .entries = e };
}

/* {"faults": {"ccos.test.call": {KEY: v}}} in three levels of static storage. */
static const struct mv_value *fault(const char *key, struct mv_value v)
{
        static struct mv_entry inner, middle, outer;
        static struct mv_value config;
        inner = (struct mv_entry){ text(key), v };
        middle = (struct mv_entry){ text("ccos.test.call"), map_of(&inner, 1) };
        outer = (struct mv_entry){ text("faults"), map_of(&middle, 1) };
        config = map_of(&outer, 1);
        return &config;
}

/* --- runs ------------------------------------------------------------------------------------- */

TEST(a_run_completes_and_says_that_it_is_simulated) /* REQ-MOCK-01, REQ-MOCK-06 */
{
        struct outcome x = execute(NULL, "result", 0, (struct host){ 0 });
        CHECK(x.r == 0);
        CHECK(x.exit.termination == MV_END_COMPLETED);
        CHECK(x.exit.simulated);
        CHECK(x.exit.cpu_ns > 0);
        CHECK(x.exit.memory_peak_bytes == 12345);
        CHECK(x.exit.exit_code == -1);
        CHECK(x.host.results == 1);
}

TEST(calls_reach_the_host_and_its_work_is_in_the_processor_time)
{
        struct outcome x = execute(NULL, "calls", 0, (struct host){ .work_ns = 20 * MS });
        CHECK(x.exit.termination == MV_END_COMPLETED);
        CHECK(x.host.calls == 2);
        CHECK(x.host.logs == 0);
        CHECK(x.took_ns >= 40 * MS);
        CHECK(x.exit.cpu_ns > 0 && x.exit.cpu_ns <= x.took_ns);
}

TEST(a_deadline_interrupts_a_spinning_program)
{
        struct outcome x = execute(NULL, "spin", 60 * MS, (struct host){ 0 });
        CHECK(x.r == 0);
        CHECK(x.exit.termination == MV_END_TIMEOUT);
        CHECK(strstr(x.exit.detail, "Execution timeout after "));
        CHECK(x.took_ns >= 60 * MS);
        CHECK(x.took_ns < MV_TEST_SOON_NS);
        CHECK(x.host.results == 0); /* nothing passes the door once the run had to stop */
}

TEST(a_deadline_is_seen_at_the_door)
{
        struct outcome x = execute(NULL, "calls", 30 * MS, (struct host){ .work_ns = 50 * MS });
        CHECK(x.exit.termination == MV_END_TIMEOUT);
        CHECK(x.host.calls == 1);
}

static void *cancel_soon(void *cell)
{
        nanosleep(&(struct timespec){ 0, 30 * (long)MS }, NULL);
        mv_provider_mock.cancel(cell);
        mv_provider_mock.cancel(cell);
        return NULL;
}

TEST(cancel_interrupts_from_another_thread_and_reset_forgets_it)
{
        struct mv_provider *p = NULL;
        struct mv_cell *c = NULL;
        struct outcome x = { 0 };
        struct mv_cell_spec spec = { "exec_test", { 0 } };
        pthread_t thread;
        REQUIRE(mv_provider_mock.init(NULL, &p, &x.err) == 0);
        REQUIRE(mv_provider_mock.open_cell(p, &spec, &c, &x.err) == 0);
        REQUIRE(pthread_create(&thread, NULL, cancel_soon, c) == 0);
        run_in(c, "spin", 0, &x);
        pthread_join(thread, NULL);
        CHECK(x.exit.termination == MV_END_KILLED);
        CHECK_STR(x.exit.detail, "cancelled");
        run_in(c, "result", 0, &x); /* cancel holds until the cell is reset */
        CHECK_STR(x.exit.detail, "cancelled");
        CHECK(mv_provider_mock.reset(c, &x.err) == 0);
        run_in(c, "result", 0, &x);
        CHECK(x.exit.termination == MV_END_COMPLETED);
        CHECK_STR(last_dirt, "");
        mv_provider_mock.close_cell(c);
        mv_provider_mock.fini(p);
}

TEST(frames_that_are_not_frames_end_the_run)
{
        struct outcome x = execute(NULL, "garbage", 0, (struct host){ 0 });
        CHECK(x.exit.termination == MV_END_KILLED);
        CHECK(strstr(x.exit.detail, "protocol violation: "));
        CHECK(x.host.results == 0);
        x = execute(NULL, "silent", 0, (struct host){ 0 });
        CHECK(x.exit.termination == MV_END_KILLED);
        CHECK(strstr(x.exit.detail, "without a result"));
}

TEST(the_gate_is_the_same_as_everywhere) /* REQ-MOCK-09, REQ-PRV-09 */
{
        struct mv_provider *p = NULL;
        struct mv_cell *c = NULL;
        struct mv_exit exit;
        struct mv_err err;
        struct mv_cell_spec spec = { "exec_test", { 0 } };
        REQUIRE(mv_provider_mock.init(NULL, &p, &err) == 0);
        REQUIRE(mv_provider_mock.open_cell(p, &spec, &c, &err) == 0);
        struct mv_run run = { .capability_id = "ccos.io.log" };
        CHECK(mv_provider_mock.run(c, &run, &exit, &err) == -(int)MV_E_DENIED);
        CHECK(strstr(err.msg, "Boundary validation failed - capability not in permissions: []"));
        mv_provider_mock.close_cell(c);
        mv_provider_mock.fini(p);
}

TEST(detailed_mode_traces_calls) /* REQ-MOCK-07 */
{
        struct mv_entry e = { text("mock_mode"), text("detailed") };
        struct mv_value config = map_of(&e, 1);
        struct outcome x = execute(&config, "calls", 0, (struct host){ 0 });
        CHECK(x.exit.termination == MV_END_COMPLETED);
        CHECK(x.host.logs == 2);
        CHECK(strstr(x.host.log, "mock: call 2 ccos.test.call, 1 arguments"));
}

/* --- faults (REQ-MOCK-10) --------------------------------------------------------------------- */

TEST(an_injected_error_replaces_the_reply_after_the_host_saw_the_call)
{
        struct outcome x = execute(fault("error", text("IoError")), "calls", 0, (struct host){ 0 });
        CHECK(x.exit.termination == MV_END_COMPLETED);
        CHECK(x.host.calls == 2);
        CHECK(last_faults == 2);
        x = execute(NULL, "calls", 0, (struct host){ 0 });
        CHECK(last_faults == 0);
}

TEST(a_denial_is_not_replaced_by_an_injected_error) /* REQ-MOCK-09 */
{
        struct outcome x =
                execute(fault("error", text("IoError")), "calls", 0, (struct host){ .deny = true });
        CHECK(x.exit.termination == MV_END_COMPLETED);
        CHECK(last_faults == 2);
}

TEST(an_injected_delay_takes_that_long)
{
        struct outcome x = execute(fault("delay-ms", integer(20)), "calls", 0, (struct host){ 0 });
        CHECK(x.exit.termination == MV_END_COMPLETED);
        CHECK(x.took_ns >= 40 * MS);
        x = execute(fault("delay-ms", integer(5000)), "calls", 40 * MS, (struct host){ 0 });
        CHECK(x.exit.termination == MV_END_TIMEOUT);
        CHECK(x.host.calls == 0);
}

TEST(an_injected_timeout_ends_at_the_deadline_or_at_once_without_one)
{
        struct outcome x = execute(fault("timeout", truth()), "calls", 40 * MS, (struct host){ 0 });
        CHECK(x.exit.termination == MV_END_TIMEOUT);
        CHECK(x.took_ns >= 40 * MS);
        x = execute(fault("timeout", truth()), "calls", 0, (struct host){ 0 });
        CHECK(x.exit.termination == MV_END_TIMEOUT);
        CHECK(strstr(x.exit.detail, "injected at a call of ccos.test.call"));
}

TEST(injected_out_of_memory_is_reported_as_memory)
{
        struct outcome x = execute(fault("oom", truth()), "calls", 0, (struct host){ 0 });
        CHECK(x.exit.termination == MV_END_MEMORY);
        CHECK(x.host.calls == 0);
        CHECK(x.host.results == 0);
}

TEST(wrong_configuration_is_refused_by_name) /* REQ-PRV-17 */
{
        struct mv_entry mode = { text("mock_mode"), text("loud") },
                        odd = { text("volume"), integer(11) };
        const struct {
                const struct mv_value *config;
                const char *says;
        } cases[] = { { &(struct mv_value){ .kind = MV_MAP, .count = 1, .entries = &mode },
                        "simple, detailed" },
                      { &(struct mv_value){ .kind = MV_MAP, .count = 1, .entries = &odd },
                        "volume" },
                      { &(struct mv_value){ .kind = MV_INT }, "not a map" } };
        struct mv_provider *p = NULL;
        struct mv_err err;
        for (size_t i = 0; i < 3; i++) {
                CHECK(mv_provider_mock.init(cases[i].config, &p, &err) == -(int)MV_E_INVALID);
                CHECK(strstr(err.msg, cases[i].says));
        }
        CHECK(mv_provider_mock.init(fault("delay-ms", integer(-1)), &p, &err) ==
              -(int)MV_E_INVALID);
        CHECK(mv_provider_mock.init(fault("error", integer(1)), &p, &err) == -(int)MV_E_INVALID);
        CHECK(mv_provider_mock.init(fault("error", text("")), &p, &err) == -(int)MV_E_INVALID);
        CHECK(mv_provider_mock.init(fault("timeout", integer(1)), &p, &err) == -(int)MV_E_INVALID);
        CHECK(mv_provider_mock.init(fault("delay", integer(1)), &p, &err) == -(int)MV_E_INVALID);
        CHECK(strstr(err.msg, "ccos.test.call"));
        CHECK(p == NULL);
}

TEST(the_schema_has_type_properties_and_the_mode) /* REQ-PRV-16, REQ-MOCK-07 */
{
        const char *s = mv_provider_mock.schema();
        CHECK(strstr(s, "\"type\": \"object\""));
        CHECK(strstr(s, "\"properties\": {\"mock_mode\""));
        CHECK(strstr(s, "\"enum\": [\"simple\", \"detailed\"], \"default\": \"simple\""));
        CHECK(mv_provider_mock.probe(NULL) == 0);
        CHECK(mv_provider_mock.tier == MV_TIER_NONE);
        CHECK(!(mv_provider_mock.features &
                (MV_FEAT_SEPARATE_ADDRESS_SPACE | MV_FEAT_SYSCALL_FILTER | MV_FEAT_RESET)));
}

/* Address space of this process; neighbouring mappings merge, so counting lines of maps would
 * not show a leak. */
static uint64_t mapped_mib(void)
{
        FILE *f = fopen("/proc/self/statm", "r");
        unsigned long long pages = 0;
        if (f && fscanf(f, "%llu", &pages) != 1)
                pages = 0;
        if (f)
                fclose(f);
        return pages * 4096 >> 20;
}

static int tasks(void)
{
        DIR *d = opendir("/proc/self/task");
        int n = 0;
        while (d && readdir(d))
                n++;
        if (d)
                closedir(d);
        return n;
}

TEST(fifty_cycles_leave_no_mapping_and_no_thread) /* REQ-RES-14, REQ-PRV-05 */
{
        for (int i = 0; i < 3; i++)
                execute(fault("error", text("IoError")), "calls", 1000 * MS, (struct host){ 0 });
        uint64_t mib = mapped_mib();
        int threads = tasks();
        for (int i = 0; i < 50; i++)
                execute(fault("error", text("IoError")), i % 2 ? "calls" : "result", 1000 * MS,
                        (struct host){ 0 });
        CHECK(mapped_mib() < mib + 200); /* one cell maps over 64 MiB */
        CHECK(tasks() == threads);
}

static void *one_of_many(void *provider)
{
        struct mv_cell *c = NULL;
        struct outcome x = { 0 };
        struct mv_cell_spec spec = { "exec_test", { .memory_bytes_max = 1 << 20 } };
        bool good = true;
        for (int i = 0; i < 5; i++) {
                good = good && mv_provider_mock.open_cell(provider, &spec, &c, &x.err) == 0;
                run_in(c, "spin", 20 * MS, &x);
                good = good && x.exit.termination == MV_END_TIMEOUT;
                mv_provider_mock.close_cell(c);
        }
        return good ? provider : NULL;
}

TEST(one_provider_serves_several_threads) /* REQ-PRV-01 */
{
        struct mv_provider *p = NULL;
        struct mv_err err;
        pthread_t threads[4];
        REQUIRE(mv_provider_mock.init(NULL, &p, &err) == 0);
        for (int i = 0; i < 4; i++)
                REQUIRE(pthread_create(&threads[i], NULL, one_of_many, p) == 0);
        for (int i = 0; i < 4; i++) {
                void *good = NULL;
                pthread_join(threads[i], &good);
                CHECK(good == p);
        }
        mv_provider_mock.fini(p);
}

/* --- words (REQ-MOCK-03, REQ-MOCK-05) --------------------------------------------------------- */

static const char *words_for(const struct mv_execution *x)
{
        static char buf[200];
        return mv_mock_text(x, buf, sizeof buf) ? buf : "(none)";
}

TEST(programs_that_are_not_evaluated_have_their_words)
{
        static const char *const argv[] = { "arg", "b c", NULL };
        struct mv_execution x = { .program = { .kind = MV_PROGRAM_AST } };
        CHECK_STR(words_for(&x), "Mock AST evaluation result");
        x.program.kind = MV_PROGRAM_BYTECODE;
        CHECK_STR(words_for(&x), "Mock bytecode evaluation result");
        x.program = (struct mv_program){ .kind = MV_PROGRAM_EXTERNAL,
                                         .path = "/bin/echo",
                                         .argv = argv };
        CHECK_STR(words_for(&x), "Mock external program: /bin/echo [\"arg\", \"b c\"]");
        x.program.argv = NULL;
        CHECK_STR(words_for(&x), "Mock external program: /bin/echo []");
        x.program = (struct mv_program){ .kind = MV_PROGRAM_SCRIPT,
                                         .language = "Python",
                                         .bytes = MV_SLICE("print(1)") };
        CHECK_STR(words_for(&x), "Mock Python script result: 8 bytes");
        x.program = (struct mv_program){ .kind = MV_PROGRAM_BINARY,
                                         .language = "Wasm",
                                         .bytes = MV_SLICE("\0asm") };
        CHECK_STR(words_for(&x), "Mock Wasm binary result: 4 bytes");
        x.program = (struct mv_program){ .kind = MV_PROGRAM_NONE };
        CHECK_STR(words_for(&x), "No program provided");
        x.program = (struct mv_program){ .kind = MV_PROGRAM_SOURCE, .bytes = MV_SLICE("(+ 1 2)") };
        CHECK_STR(words_for(&x), "(none)");
}

TEST(capabilities_without_a_program_have_their_words)
{
        struct mv_value two[2] = { integer(5), integer(6) };
        struct mv_value args = { .kind = MV_VECTOR, .count = 2, .items = two };
        struct mv_execution x = { .program = { .kind = MV_PROGRAM_NONE },
                                  .capability_id = "ccos.math.add",
                                  .args = &args };
        CHECK_STR(words_for(&x), "Mock capability execution result: 5 + 6 = 11");
        args.count = 1;
        CHECK_STR(words_for(&x), "Mock capability execution: Insufficient arguments for math.add");
        args.count = 2;
        two[1] = text("6");
        CHECK_STR(words_for(&x), "Mock capability execution: Invalid arguments for math.add");
        two[1] = integer(INT64_MAX);
        CHECK_STR(words_for(&x), "Mock capability execution: Invalid arguments for math.add");
        x.capability_id = "ccos.io.log";
        CHECK_STR(words_for(&x), "Mock capability execution for: ccos.io.log");
        x.capability_id = NULL;
        CHECK_STR(words_for(&x), "Mock capability execution: No capability ID provided");
}

TEST(words_are_cut_at_their_buffer)
{
        static const char *const argv[] = { "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL };
        struct mv_execution x = {
                .program = { .kind = MV_PROGRAM_EXTERNAL, .path = "/bin/echo", .argv = argv }
        };
        char small[12];
        for (size_t cap = 1; cap <= sizeof small; cap++) {
                memset(small, 'z', sizeof small);
                CHECK(mv_mock_text(&x, small, cap));
                CHECK(strlen(small) == cap - 1);
        }
        CHECK(!mv_mock_text(&x, small, 0));
}

TEST(drafted_values_are_fixed_and_canonical) /* REQ-MOCK-08 */
{
        struct mv_arena a = mv_arena_grow(1 << 16);
        struct mv_value url = text("https://a.example/exists");
        struct mv_value args = { .kind = MV_VECTOR, .count = 1, .items = &url };
        const struct mv_value *v = mv_mock_value("ccos.network.http-fetch", &args, &a);
        int64_t n = 0;
        bool yes = false;
        struct mv_slice s;
        REQUIRE(v);
        CHECK(mv_as_int(mv_map_get(v, "status"), &n) && n == 200);
        CHECK(mv_as_text(mv_map_get(mv_map_get(v, "body"), "url"), &s) &&
              mv_slice_eq_str(s, "https://a.example/exists"));
        CHECK(mv_as_bool(mv_map_get(mv_map_get(v, "body"), "mock"), &yes) && yes);
        CHECK(mv_as_text(mv_mock_value("ccos.io.open-file", &args, &a), &s) &&
              mv_slice_eq_str(s, "Mock file handle for: https://a.example/exists"));
        CHECK(mv_as_int(mv_mock_value("ccos.system.current-timestamp-ms", NULL, &a), &n) &&
              n == 1704067200000);
        CHECK(mv_as_bool(mv_mock_value("ccos.io.file-exists", &args, &a), &yes) && yes);
        CHECK(mv_as_bool(mv_mock_value("ccos.io.file-exists", NULL, &a), &yes) && !yes);
        CHECK(mv_as_bool(mv_mock_value("ccos.io.close-file", &args, &a), &yes) && yes);
        CHECK(mv_mock_value("ccos.unknown", &args, &a) == NULL);
        struct mv_arena full = mv_arena_fixed(NULL, 0);
        CHECK(mv_mock_value("ccos.io.close-file", &args, &full) == NULL);
        mv_arena_done(&a);
}
