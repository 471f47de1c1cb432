/* SPDX-License-Identifier: Apache-2.0 */
/* The process wall against guests that attack it (guest_hostile.c): what they may do, how they
 * end, what is left. */
#include "../test.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <base/limits.h>
#include <base/slice.h>
#include <provider/process/process.h>
#include <provider/provider.h>
#include <sys/fd.h>
#include <wire/cbor.h>
#include <wire/frame.h>

#define MS  1000000ull
#define MIB ((uint64_t)1 << 20)

/* --- a host end of the door that counts ------------------------------------------------------- */

struct host {
        unsigned logs, calls, results;
        size_t reply_bytes, result_bytes;
        int answer_call; /* what frame() returns for a CALL; 0: nothing is replied */
        uint8_t *reply;
        struct mv_cell *cancel_at_call;
};

static int host_frame(void *ctx, struct mv_slice bytes, struct mv_slice *ret, struct mv_err *err)
{
        struct host *h = ctx;
        struct mv_frame f;
        int r = mv_frame_decode(bytes, &f, err);
        if (r < 0)
                return r;
        if (f.type == MV_FRAME_LOG) {
                h->logs++;
                return 0;
        }
        if (f.type == MV_FRAME_RESULT) {
                h->results++;
                h->result_bytes = f.payload.len;
                return MV_DOOR_DONE;
        }
        if (f.type != MV_FRAME_CALL)
                return MV_HOSTILE(err, "test host: unexpected frame");
        h->calls++;
        if (h->cancel_at_call)
                mv_provider_process.cancel(h->cancel_at_call);
        struct mv_out o = mv_out(h->reply, MV_FRAME_HEADER_BYTES + h->reply_bytes);
        size_t at = mv_frame_open(&o, MV_FRAME_REPLY, f.seq);
        for (size_t i = 0; i < h->reply_bytes; i++)
                mv_put_u8(&o, 0);
        mv_frame_close(&o, at);
        *ret = mv_out_slice(&o);
        return h->answer_call;
}

/* --- one execution of a word ------------------------------------------------------------------ */

static struct mv_slice image_of(const char *path)
{
        static struct {
                const char *path;
                struct mv_slice image;
        } kept[4];
        for (int i = 0; i < 4; i++) {
                if (kept[i].path == path)
                        return kept[i].image;
                if (kept[i].path)
                        continue;
                FILE *f = fopen(path, "rb");
                uint8_t *p = malloc(4 << 20);
                size_t n = f && p ? fread(p, 1, 4 << 20, f) : 0;
                if (f)
                        fclose(f);
                kept[i].path = path;
                kept[i].image = mv_slice(p, n);
                return kept[i].image;
        }
        return mv_slice(NULL, 0);
}

static const char hostile_image[] = GUEST_HOSTILE, raw_image[] = GUEST_RAW_IMAGE;

static struct mv_provider *provider(const char *image)
{
        struct mv_provider *p = NULL;
        struct mv_err err = { 0 };
        if (mv__process_init_image(image_of(image), NULL, &p, &err) < 0)
                mv_test_failed(__FILE__, __LINE__, err.msg);
        return p;
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

static struct outcome execute(struct mv_provider *p, const char *word, struct mv_limits limits,
                              struct host host)
{
        struct outcome x = { .host = host };
        struct mv_cell *c = NULL;
        struct mv_cell_spec spec = { "exec_test", limits };
        uint8_t start[256];
        uint64_t t0 = mv__now_ns();
        x.host.reply = malloc(MV_FRAME_HEADER_BYTES + host.reply_bytes);
        x.r = mv_provider_process.open_cell(p, &spec, &c, &x.err);
        if (x.r == 0) {
                struct mv_run run = { .execution_id = "exec_test",
                                      .start = start_frame(start, sizeof start, word),
                                      .door = { &x.host, host_frame },
                                      .limits = limits,
                                      .deadline_ns = limits.wall_ns_max
                                                             ? mv__now_ns() + limits.wall_ns_max
                                                             : 0 };
                if (host.cancel_at_call)
                        x.host.cancel_at_call = c;
                x.r = mv_provider_process.run(c, &run, &x.exit, &x.err);
                mv_provider_process.close_cell(c);
        }
        x.took_ns = mv__now_ns() - t0;
        free(x.host.reply);
        return x;
}

static const struct mv_limits standard = { .wall_ns_max = 5000 * MS, .memory_bytes_max = 16 << 20 };

static struct outcome attack(const char *image, const char *word, uint64_t wall_ms)
{
        struct mv_provider *p = provider(image);
        struct mv_limits limits = standard;
        limits.wall_ns_max = wall_ms * MS;
        struct outcome x = { .r = -1 };
        if (p)
                x = execute(p, word, limits, (struct host){ .answer_call = MV_DOOR_REPLY });
        mv_provider_process.fini(p);
        return x;
}

static void expect(const char *word, const struct outcome *x, enum mv_termination t, int signal,
                   const char *detail)
{
        if (x->r == 0 && x->exit.termination == t && x->exit.signal == signal &&
            strstr(x->exit.detail, detail))
                return;
        char line[1200];
        snprintf(line, sizeof line,
                 "%s: r %d (%s) termination %d signal %d code %d \"%s\"; wanted %d %d \"%s\"", word,
                 x->r, x->r < 0 ? x->err.msg : "", x->exit.termination, x->exit.signal,
                 x->exit.exit_code, x->exit.detail, t, signal, detail);
        mv_test_failed(__FILE__, __LINE__, line);
}

/* --- an obedient guest ------------------------------------------------------------------------ */

TEST(a_run_delivers_its_result_and_measures_itself) /* REQ-PROC-15, REQ-META-03 */
{
        struct outcome x = attack(hostile_image, "", 5000);
        expect("", &x, MV_END_COMPLETED, 0, "");
        CHECK(x.host.results == 1);
        CHECK(x.exit.exit_code == 0);
        CHECK(!x.exit.simulated);
        CHECK(x.exit.cpu_ns > 0);
        CHECK(x.exit.cpu_ns < x.took_ns);
        CHECK(x.exit.memory_peak_bytes >= 16 << 10);
}

TEST(one_mebibyte_is_enough_and_its_report_is_not_the_parents_peak) /* REQ-META-03, X-53 */
{
        struct mv_provider *p = provider(hostile_image);
        struct mv_limits tiny = { .wall_ns_max = 100 * MS, .memory_bytes_max = MIB };
        REQUIRE(p);
        uint8_t *fat = malloc(64 << 20); /* ru_maxrss of a child would start at this */
        REQUIRE(fat);
        memset(fat, 1, 64 << 20);
        struct outcome x;
        int late = 0; /* others compute too: the best of five */
        do
                x = execute(p, "small", tiny, (struct host){ 0 });
        while (x.exit.termination == MV_END_TIMEOUT && ++late < 5);
        expect("small", &x, MV_END_COMPLETED, 0, "");
        CHECK(x.exit.memory_peak_bytes >= 300 << 10);
        CHECK(x.exit.memory_peak_bytes <= MIB);
        free(fat);
        mv_provider_process.fini(p);
}

TEST(a_hundred_calls_are_answered_in_order)
{
        struct mv_provider *p = provider(hostile_image);
        REQUIRE(p);
        struct outcome x = execute(p, "calls", standard,
                                   (struct host){ .answer_call = MV_DOOR_REPLY, .reply_bytes = 9 });
        expect("calls", &x, MV_END_COMPLETED, 0, "");
        CHECK(x.host.calls == 100);
        CHECK(x.host.logs == 100);
        CHECK(x.host.results == 1);
        mv_provider_process.fini(p);
}

TEST(large_frames_pass_whole_in_both_directions)
{
        struct mv_provider *p = provider(hostile_image);
        REQUIRE(p);
        struct host big = { .answer_call = MV_DOOR_REPLY, .reply_bytes = 1000000 };
        struct outcome x = execute(p, "onecall", standard, big);
        expect("onecall", &x, MV_END_COMPLETED, 0, "");
        x = execute(p, "big", standard, (struct host){ 0 });
        expect("big", &x, MV_END_COMPLETED, 0, "");
        CHECK(x.host.result_bytes == 1 << 20);
        mv_provider_process.fini(p);
}

/* --- the runner in this library --------------------------------------------------------------- */

static struct mv_slice program_frame(uint8_t *buf, size_t cap, const char *source)
{
        struct mv_out o = mv_out(buf, cap);
        size_t at = mv_frame_open(&o, MV_FRAME_START, 0);
        mv_cbor_put_map(&o, 8);
        mv_cbor_put_str(&o, "args");
        mv_cbor_put_array(&o, 0);
        mv_cbor_put_str(&o, "fuel");
        mv_cbor_put_int(&o, 1000000000);
        mv_cbor_put_str(&o, "depth");
        mv_cbor_put_int(&o, MV_CALL_DEPTH_MAX);
        mv_cbor_put_str(&o, "memory");
        mv_cbor_put_int(&o, MIB);
        mv_cbor_put_str(&o, "output");
        mv_cbor_put_int(&o, 1 << 16);
        mv_cbor_put_str(&o, "context");
        mv_cbor_put_map(&o, 0);
        mv_cbor_put_str(&o, "prelude");
        mv_cbor_put_bool(&o, false);
        mv_cbor_put_str(&o, "program");
        mv_cbor_put_map(&o, 2);
        mv_cbor_put_str(&o, "kind");
        mv_cbor_put_str(&o, "source");
        mv_cbor_put_str(&o, "bytes");
        mv_cbor_put_str(&o, source);
        mv_frame_close(&o, at);
        return mv_out_slice(&o);
}

static int last_frame(void *ctx, struct mv_slice bytes, struct mv_slice *ret, struct mv_err *err)
{
        struct mv_frame f;
        struct mv_out *into = ctx;
        if (mv_frame_decode(bytes, &f, err) < 0)
                return -(int)err->code;
        mv_put_slice(into, f.payload);
        return f.type == MV_FRAME_RESULT || f.type == MV_FRAME_ERROR ? MV_DOOR_DONE : 0;
}

/* Run source under the real evaluator; the payload of its last frame goes to payload (512
 * bytes). */
static bool evaluate(const char *source, struct mv_limits limits, struct mv_exit *x,
                     uint8_t *payload)
{
        struct mv_provider *p = NULL;
        struct mv_cell *c = NULL;
        struct mv_err err;
        struct mv_cell_spec spec = { "exec_test", limits };
        uint8_t start[1024];
        struct mv_out out = mv_out(payload, 511);
        bool ran = mv_provider_process.init(NULL, &p, &err) == 0 &&
                   mv_provider_process.open_cell(p, &spec, &c, &err) == 0;
        struct mv_run run = { .start = program_frame(start, sizeof start, source),
                              .door = { &out, last_frame },
                              .limits = limits };
        ran = ran && mv_provider_process.run(c, &run, x, &err) == 0;
        payload[out.len] = 0;
        mv_provider_process.close_cell(c);
        mv_provider_process.fini(p);
        return ran;
}

TEST(the_evaluator_adds_within_one_mebibyte_and_a_hundred_milliseconds) /* REQ-META-03, REQ-PROC-05, X-53 */
{
        static const uint8_t value_three[] = { 0x65, 'v', 'a', 'l', 'u', 'e', 0x03 };
        struct mv_limits tiny = { .wall_ns_max = 100 * MS, .memory_bytes_max = MIB };
        struct mv_err err;
        struct mv_exit x = { 0 };
        uint8_t payload[512];
        if (mv_provider_process.probe(&err) < 0)
                SKIP("this build has no runner");
        int late = 0;
        do
                REQUIRE(evaluate("(+ 1 2)", tiny, &x, payload));
        while (x.termination == MV_END_TIMEOUT && ++late < 5);
        CHECK(x.termination == MV_END_COMPLETED);
        CHECK(memmem(payload, sizeof payload, value_three, sizeof value_three) != NULL);
        CHECK(x.memory_peak_bytes <= MIB);
        printf("# (+ 1 2): peak %llu KiB, cpu %llu us\n",
               (unsigned long long)(x.memory_peak_bytes >> 10),
               (unsigned long long)(x.cpu_ns / 1000));
}

TEST(an_endless_program_ends_at_its_deadline)
{
        struct mv_limits l = { .wall_ns_max = 200 * MS, .memory_bytes_max = 4 * MIB };
        struct mv_err err;
        struct mv_exit x = { 0 };
        uint8_t payload[512];
        if (mv_provider_process.probe(&err) < 0)
                SKIP("this build has no runner");
        REQUIRE(evaluate("(defn f [n] (f (+ n 1))) (loop [i 0] (recur (+ i 1)))", l, &x, payload));
        CHECK(x.termination == MV_END_TIMEOUT || memmem(payload, sizeof payload, "kind", 4));
}

/* --- the only system calls -------------------------------------------------------------------- */

TEST(no_system_call_but_read_write_exit_exists_behind_the_wall)
{
        static const char *const words[] = {
                "open",     "fork",     "vfork",     "socket", "execve",  "execveat", "kill",
                "ptrace",   "getpid",   "clock",     "mount",  "bpf",     "io_uring", "dup",
                "close",    "ioctl",    "setrlimit", "memfd",  "x32read", "x32open",  "mmap",
                "mprotect", "brk",      "seccomp",   "prctl",  "readv",   "sendmsg",  "int80",
                "readfd2",  "writefd0", "writefd2"
        };
        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
                struct outcome x = attack(hostile_image, words[i], 5000);
                expect(words[i], &x, MV_END_KILLED, SIGSYS,
                       "killed by SIGSYS: system call outside the wall");
                CHECK(x.host.results == 0);
        }
}

TEST(an_image_that_does_not_lock_itself_up_is_locked_up_by_its_parent)
{
        static const char *const words[] = {
                "open",   "fork",      "vfork", "socket",  "execve",   "kill",    "ptrace",
                "getpid", "clock",     "mount", "bpf",     "io_uring", "dup",     "close",
                "ioctl",  "setrlimit", "memfd", "x32open", "readv",    "sendmsg", "int80"
        };
        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
                struct outcome x = attack(raw_image, words[i], 5000);
                expect(words[i], &x, MV_END_KILLED, SIGSYS, "system call outside the wall");
        }
}

/* --- how guests end --------------------------------------------------------------------------- */

TEST(faults_are_reported_with_their_signal) /* REQ-PROC-18 */
{
        struct outcome x = attack(hostile_image, "segv", 5000);
        expect("segv", &x, MV_END_KILLED, SIGSEGV, "killed by SIGSEGV");
        x = attack(hostile_image, "trap", 5000);
        expect("trap", &x, MV_END_KILLED, SIGILL, "killed by SIGILL");
        x = attack(hostile_image, "stack", 5000);
        expect("stack", &x, MV_END_KILLED, SIGSEGV, "killed by SIGSEGV");
        x = attack(hostile_image, "beyond", 5000);
        expect("beyond", &x, MV_END_KILLED, SIGSEGV, "killed by SIGSEGV");
        CHECK(x.exit.exit_code == -1);
}

TEST(an_exit_without_a_result_is_not_a_result)
{
        struct outcome x = attack(hostile_image, "exit0", 5000);
        expect("exit0", &x, MV_END_KILLED, 0, "ended without a result");
        CHECK(x.exit.exit_code == 0);
        x = attack(hostile_image, "exit5", 5000);
        expect("exit5", &x, MV_END_KILLED, 0, "exited with code 5");
        CHECK(x.exit.exit_code == 5);
        x = attack(hostile_image, "exitmemory", 5000);
        expect("exitmemory", &x, MV_END_MEMORY, 0, "did not give the runner its memory");
}

TEST(hostile_frames_end_the_run_at_once)
{
        static const char *const words[] = { "huge", "toolong", "version", "type", "garbage" };
        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
                struct outcome x = attack(hostile_image, words[i], 5000);
                expect(words[i], &x, MV_END_KILLED, SIGKILL, "protocol violation: ");
                CHECK(x.took_ns < MV_TEST_SOON_NS);
                CHECK(x.host.results == 0);
        }
}

TEST(a_frame_that_never_completes_ends_at_the_deadline)
{
        struct outcome x = attack(hostile_image, "promise", 100);
        /* The result behind the promise is swallowed as its payload, which stays incomplete. */
        expect("promise", &x, MV_END_TIMEOUT, SIGKILL, "Execution timeout after 1");
        x = attack(hostile_image, "half", 100);
        CHECK(x.exit.termination == MV_END_KILLED || x.exit.termination == MV_END_TIMEOUT);
        CHECK(x.host.results == 0);
}

TEST(a_deadline_kills_without_cooperation) /* REQ-PROC-09, REQ-PRV-14 */
{
        static const char *const words[] = { "spin", "silent", "deaf" };
        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
                struct outcome x = attack(hostile_image, words[i], 150);
                expect(words[i], &x, MV_END_TIMEOUT, SIGKILL, "Execution timeout after 1");
                CHECK(x.took_ns >= 150 * MS);
                CHECK(x.took_ns < MV_TEST_SOON_NS);
                CHECK(x.exit.memory_peak_bytes > 0);
        }
}

TEST(a_guest_that_never_stops_talking_meets_its_deadline)
{
        struct outcome x = attack(hostile_image, "flood", 150);
        expect("flood", &x, MV_END_TIMEOUT, SIGKILL, "Execution timeout");
        CHECK(x.took_ns < MV_TEST_SOON_NS);
}

TEST(cpu_time_is_limited_finer_than_a_second) /* REQ-RES-02, REQ-FC-23 wording */
{
        struct mv_provider *p = provider(hostile_image);
        struct mv_limits limits = standard;
        REQUIRE(p);
        limits.cpu_ns_max = 80 * MS;
        struct outcome x = execute(p, "spin", limits, (struct host){ 0 });
        expect("spin", &x, MV_END_TIMEOUT, SIGKILL, "CPU time limit exceeded: ");
        CHECK(x.exit.cpu_ns >= 80 * MS);
        CHECK(x.exit.cpu_ns < 1000 * MS);
        mv_provider_process.fini(p);
}

TEST(a_wall_limit_holds_without_a_deadline_in_the_run)
{
        struct mv_provider *p = provider(hostile_image);
        struct mv_cell *c = NULL;
        struct mv_err err;
        struct mv_exit x;
        struct host h = { 0 };
        uint8_t start[64];
        REQUIRE(p);
        struct mv_cell_spec spec = { "exec_test", { .wall_ns_max = 100 * MS } };
        REQUIRE(mv_provider_process.open_cell(p, &spec, &c, &err) == 0);
        struct mv_run run = { .start = start_frame(start, sizeof start, "spin"),
                              .door = { &h, host_frame } };
        CHECK(mv_provider_process.run(c, &run, &x, &err) == 0);
        CHECK(x.termination == MV_END_TIMEOUT);
        mv_provider_process.close_cell(c);
        mv_provider_process.fini(p);
}

/* --- memory ----------------------------------------------------------------------------------- */

TEST(everything_a_guest_can_fill_is_inside_its_limit)
{
        static const uint64_t limits[] = { 2, 4, 16, 64, 200 };
        struct mv_provider *p = provider(hostile_image);
        REQUIRE(p);
        for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
                struct mv_limits l = standard;
                l.memory_bytes_max = limits[i] * MIB;
                struct outcome x = execute(p, "fill", l, (struct host){ 0 });
                expect("fill", &x, MV_END_COMPLETED, 0, "");
                CHECK(x.exit.memory_peak_bytes <= l.memory_bytes_max);
                CHECK(x.exit.memory_peak_bytes >= l.memory_bytes_max / 2);
        }
        mv_provider_process.fini(p);
}

TEST(an_image_cannot_map_past_its_address_space)
{
        struct outcome x = attack(raw_image, "grab", 5000);
        expect("grab", &x, MV_END_MEMORY, 0, "memory");
}

TEST(a_program_or_reply_larger_than_its_share_is_refused_as_memory)
{
        struct mv_provider *p = provider(hostile_image);
        REQUIRE(p);
        struct mv_limits l = standard;
        l.memory_bytes_max = MIB;
        struct outcome x =
                execute(p, "onecall", l,
                        (struct host){ .answer_call = MV_DOOR_REPLY, .reply_bytes = 100000 });
        expect("onecall", &x, MV_END_MEMORY, SIGKILL, "a reply of 100016 bytes does not fit");
        struct mv_cell *c = NULL;
        struct mv_cell_spec spec = { "exec_test", l };
        uint8_t *big = calloc(1, 200000);
        struct mv_err err;
        struct mv_exit end;
        REQUIRE(big);
        REQUIRE(mv_provider_process.open_cell(p, &spec, &c, &err) == 0);
        struct mv_run run = { .start = mv_slice(big, 200000), .door = { &x.host, host_frame } };
        CHECK(mv_provider_process.run(c, &run, &end, &err) == 0);
        CHECK(end.termination == MV_END_MEMORY);
        mv_provider_process.close_cell(c);
        free(big);
        mv_provider_process.fini(p);
}

TEST(the_layout_never_exceeds_the_limit_above_the_floor)
{
        for (uint64_t mib = 2; mib <= 8192; mib = mib * 3 / 2 + 1) {
                struct mv_process_layout l = mv__process_layout(mib * MIB, 400 << 10);
                CHECK(l.start + l.reply + l.out + l.arena + (400 << 10) <= mib * MIB);
                CHECK(l.arena >= mib * MIB / 3);
                CHECK(l.out <= MV_FRAME_PAYLOAD_MAX + 8192);
                CHECK((l.start | l.reply | l.out | l.arena) % 4096 == 0);
        }
        CHECK(mv__process_layout(1, 400 << 10).arena == MV_PROCESS_ARENA_MIN);
        CHECK(mv__process_layout(UINT64_MAX / 2, 400 << 10).arena > 0);
}

/* --- the contract of the table ---------------------------------------------------------------- */

TEST(a_capability_must_be_among_the_permissions) /* REQ-PRV-09, REQ-PRV-10 */
{
        static const char *const permissions[] = { "ccos.math.add", "ccos.io.log" };
        struct mv_err err;
        struct mv_run run = { .capability_id = "ccos.io.read-file",
                              .permissions = permissions,
                              .permissions_count = 2 };
        CHECK(mv__provider_gate(&run, &err) == -(int)MV_E_DENIED);
        CHECK(strstr(err.msg, "Boundary validation failed - capability not in permissions: "
                              "[\"ccos.math.add\", \"ccos.io.log\"]"));
        CHECK(strstr(err.msg, "ccos.io.read-file"));
        run.capability_id = "ccos.math.add";
        CHECK(mv__provider_gate(&run, &err) == 0);
        run = (struct mv_run){ 0 };
        CHECK(mv__provider_gate(&run, &err) == 0);
        run.capability_id = "ccos.math.add";
        CHECK(mv__provider_gate(&run, &err) == -(int)MV_E_DENIED);
}

TEST(run_passes_the_gate_before_anything_else)
{
        struct mv_provider *p = provider(hostile_image);
        struct mv_cell *c = NULL;
        struct mv_err err;
        struct mv_exit x;
        struct mv_cell_spec spec = { "exec_test", standard };
        REQUIRE(p);
        REQUIRE(mv_provider_process.open_cell(p, &spec, &c, &err) == 0);
        struct mv_run run = { .capability_id = "ccos.x" };
        CHECK(mv_provider_process.run(c, &run, &x, &err) == -(int)MV_E_DENIED);
        mv_provider_process.close_cell(c);
        mv_provider_process.fini(p);
}

TEST(a_cell_is_used_once) /* REQ-PRV-12 */
{
        struct mv_provider *p = provider(hostile_image);
        struct mv_cell *c = NULL;
        struct mv_err err;
        struct mv_exit x;
        struct host h = { 0 };
        uint8_t start[64];
        struct mv_cell_spec spec = { "exec_test", standard };
        REQUIRE(p);
        REQUIRE(mv_provider_process.open_cell(p, &spec, &c, &err) == 0);
        struct mv_run run = { .start = start_frame(start, sizeof start, ""),
                              .door = { &h, host_frame } };
        CHECK(mv_provider_process.run(c, &run, &x, &err) == 0);
        CHECK(mv_provider_process.run(c, &run, &x, &err) == -(int)MV_E_STATE);
        mv_provider_process.close_cell(c);
        CHECK(mv_provider_process.close_cell(NULL) == NULL);
        mv_provider_process.fini(p);
        CHECK(mv_provider_process.fini(NULL) == NULL);
}

TEST(the_door_may_stop_the_run)
{
        struct mv_provider *p = provider(hostile_image);
        REQUIRE(p);
        struct outcome x =
                execute(p, "calls", standard, (struct host){ .answer_call = -(int)MV_E_LIMIT });
        expect("calls", &x, MV_END_KILLED, SIGKILL, "");
        CHECK(x.host.calls == 1);
        mv_provider_process.fini(p);
}

static void *cancel_soon(void *cell)
{
        struct timespec t = { 0, 50 * (long)MS };
        nanosleep(&t, NULL);
        for (int i = 0; i < 3; i++)
                mv_provider_process.cancel(cell);
        return NULL;
}

TEST(cancel_from_another_thread_ends_a_spinning_guest)
{
        struct mv_provider *p = provider(hostile_image);
        struct mv_cell *c = NULL;
        struct mv_err err;
        struct mv_exit x;
        struct host h = { 0 };
        uint8_t start[64];
        pthread_t thread;
        struct mv_cell_spec spec = { "exec_test", standard };
        REQUIRE(p);
        REQUIRE(mv_provider_process.open_cell(p, &spec, &c, &err) == 0);
        REQUIRE(pthread_create(&thread, NULL, cancel_soon, c) == 0);
        struct mv_run run = { .start = start_frame(start, sizeof start, "spin"),
                              .door = { &h, host_frame } };
        uint64_t t0 = mv__now_ns();
        CHECK(mv_provider_process.run(c, &run, &x, &err) == 0);
        CHECK(mv__now_ns() - t0 < MV_TEST_SOON_NS);
        CHECK(x.termination == MV_END_KILLED);
        CHECK_STR(x.detail, "cancelled");
        pthread_join(thread, NULL);
        mv_provider_process.cancel(c); /* after the end: harmless */
        mv_provider_process.close_cell(c);
        mv_provider_process.fini(p);
}

TEST(cancel_before_and_during_a_call_is_seen)
{
        struct mv_provider *p = provider(hostile_image);
        struct mv_cell *c = NULL;
        struct mv_err err;
        struct mv_exit x;
        uint8_t start[64];
        struct mv_cell_spec spec = { "exec_test", standard };
        REQUIRE(p);
        REQUIRE(mv_provider_process.open_cell(p, &spec, &c, &err) == 0);
        uint8_t reply[64];
        struct host h = { .answer_call = MV_DOOR_REPLY, .reply = reply, .cancel_at_call = c };
        struct mv_run run = { .start = start_frame(start, sizeof start, "calls"),
                              .door = { &h, host_frame } };
        CHECK(mv_provider_process.run(c, &run, &x, &err) == 0);
        CHECK_STR(x.detail, "cancelled");
        CHECK(h.calls == 1);
        mv_provider_process.close_cell(c);
        REQUIRE(mv_provider_process.open_cell(p, &spec, &c, &err) == 0);
        mv_provider_process.cancel(c);
        CHECK(mv_provider_process.run(c, &run, &x, &err) == 0);
        CHECK_STR(x.detail, "cancelled");
        mv_provider_process.close_cell(c);
        mv_provider_process.fini(p);
}

static struct mv_value text(const char *s)
{
        return (struct mv_value){ .kind = MV_STRING, .text = mv_slice_str(s) };
}

TEST(configuration_is_checked_against_the_schema) /* REQ-PRV-16, REQ-PRV-17, REQ-PROC-08 */
{
        static const struct {
                const char *key;
                int64_t n;
                bool fine;
        } cases[] = { { "timeout", 1, true },
                      { "timeout", 3600, true },
                      { "timeout", 0, false },
                      { "timeout", 3601, false },
                      { "memory_limit_mb", 1, true },
                      { "memory_limit_mb", 8192, true },
                      { "memory_limit_mb", 8193, false },
                      { "colour", 3, false } };
        const char *schema = mv_provider_process.schema();
        CHECK(strstr(schema, "\"type\": \"object\""));
        CHECK(strstr(schema, "\"properties\""));
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct mv_entry e = { text(cases[i].key),
                                      { .kind = MV_INT, .integer = cases[i].n } };
                struct mv_value config = { .kind = MV_MAP, .count = 1, .entries = &e };
                struct mv_provider *p = NULL;
                struct mv_err err = { 0 };
                int r = mv__process_init_image(image_of(hostile_image), &config, &p, &err);
                CHECK((r == 0) == cases[i].fine);
                if (r < 0) {
                        CHECK(err.code == MV_E_INVALID);
                        CHECK(strstr(err.msg, cases[i].key));
                }
                mv_provider_process.fini(p);
        }
        struct mv_value wrong = text("timeout");
        struct mv_provider *p = NULL;
        struct mv_err err;
        CHECK(mv__process_init_image(image_of(hostile_image), &wrong, &p, &err) ==
              -(int)MV_E_INVALID);
        struct mv_entry e = { text("timeout"), text("soon") };
        wrong = (struct mv_value){ .kind = MV_MAP, .count = 1, .entries = &e };
        CHECK(mv__process_init_image(image_of(hostile_image), &wrong, &p, &err) ==
              -(int)MV_E_INVALID);
}

TEST(a_configured_timeout_ends_a_run_that_asked_for_none) /* REQ-PROC-08 */
{
        struct mv_entry e = { text("timeout"), { .kind = MV_INT, .integer = 1 } };
        struct mv_value config = { .kind = MV_MAP, .count = 1, .entries = &e };
        struct mv_provider *p = NULL;
        struct mv_err err;
        REQUIRE(mv__process_init_image(image_of(hostile_image), &config, &p, &err) == 0);
        struct outcome x = execute(p, "spin", (struct mv_limits){ 0 }, (struct host){ 0 });
        expect("spin", &x, MV_END_TIMEOUT, SIGKILL, "Execution timeout after 1");
        mv_provider_process.fini(p);
}

TEST(an_image_that_is_no_program_is_refused_with_the_step)
{
        struct mv_provider *p = NULL;
        struct mv_err err = { 0 };
        REQUIRE(mv__process_init_image(MV_SLICE("not an ELF file"), NULL, &p, &err) == 0);
        struct mv_cell *c = NULL;
        struct mv_cell_spec spec = { "exec_test", standard };
        CHECK(mv_provider_process.open_cell(p, &spec, &c, &err) == -(int)MV_E_SYS);
        CHECK(strstr(err.msg, "cell exec_test: start a runner process: execute the image"));
        CHECK(c == NULL);
        mv_provider_process.fini(p);
}

TEST(the_sealed_image_cannot_be_changed)
{
        mv_auto_fd fd = -1;
        struct mv_err err;
        REQUIRE(mv_sys_memfd_sealed("test", "abc", 3, &fd, &err) == 0);
        CHECK(pwrite(fd, "x", 1, 0) < 0);
        CHECK(errno == EPERM);
        CHECK(ftruncate(fd, 100) < 0);
        CHECK(ftruncate(fd, 0) < 0);
        CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) < 0);
        CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
}

/* --- what is left ----------------------------------------------------------------------------- */

static int open_fds(void)
{
        DIR *d = opendir("/proc/self/fd");
        int n = 0;
        while (d && readdir(d))
                n++;
        if (d)
                closedir(d);
        return n;
}

static int lines_of(const char *path)
{
        FILE *f = fopen(path, "r");
        int n = 0, ch;
        while (f && (ch = fgetc(f)) != EOF)
                n += ch == '\n';
        if (f)
                fclose(f);
        return n;
}

static bool children_exist(void)
{
        return waitpid(-1, NULL, WNOHANG | __WALL) >= 0 || errno != ECHILD;
}

static void cycle(int i)
{
        static const char *const words[] = { "",      "calls", "segv",    "huge",
                                             "exit0", "open",  "onecall", "small" };
        struct mv_provider *p = provider(hostile_image);
        if (p)
                execute(p, words[i % 8], standard,
                        (struct host){ .answer_call = MV_DOOR_REPLY, .reply_bytes = 5 });
        mv_provider_process.fini(p);
}

TEST(two_hundred_cycles_leave_nothing_behind) /* REQ-RES-14, REQ-PRV-05, REQ-PRV-15 */
{
        for (int i = 0; i < 8; i++)
                cycle(i);
        int fds = open_fds(), maps = lines_of("/proc/self/maps");
        for (int i = 0; i < 200; i++)
                cycle(i);
        CHECK(open_fds() == fds);
        CHECK(lines_of("/proc/self/maps") <= maps + 1); /* the allocator may keep one more block */
        CHECK(!children_exist());
}

TEST(a_cell_closed_without_a_run_leaves_nothing_behind)
{
        struct mv_provider *p = provider(hostile_image);
        REQUIRE(p);
        int fds = open_fds();
        for (int i = 0; i < 20; i++) {
                struct mv_cell *c = NULL;
                struct mv_err err;
                struct mv_cell_spec spec = { "exec_test", standard };
                REQUIRE(mv_provider_process.open_cell(p, &spec, &c, &err) == 0);
                mv_provider_process.close_cell(c);
        }
        CHECK(open_fds() == fds);
        CHECK(!children_exist());
        mv_provider_process.fini(p);
}

/* A host on a thread that is not the main one, inside a process that is then killed: nothing of
 * ours gets to run. */
static void *host_that_dies(void *arg)
{
        struct mv_provider *p = provider(hostile_image);
        struct mv_cell *c = NULL;
        struct mv_err err;
        struct mv_cell_spec spec = { "exec_test", { .wall_ns_max = 60000 * MS } };
        if (!p || mv_provider_process.open_cell(p, &spec, &c, &err) < 0)
                _exit(1);
        int pid = (int)c->child.pid;
        if (write(*(int *)arg, &pid, sizeof pid) != sizeof pid)
                _exit(1);
        uint8_t start[64];
        struct host h = { 0 };
        struct mv_exit x;
        struct mv_run run = { .start = start_frame(start, sizeof start, "spin"),
                              .door = { &h, host_frame } };
        mv_provider_process.run(c, &run, &x, &err);
        _exit(1);
}

static bool gone_within(pid_t pid, unsigned ms)
{
        for (unsigned i = 0; i < ms; i++) {
                char path[40], state = 'Z';
                struct timespec t = { 0, (long)MS };
                snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
                FILE *f = fopen(path, "r");
                if (!f || fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
                        state = 'Z';
                if (f)
                        fclose(f);
                if (state == 'Z') /* gone, or only its new parent's wait is missing */
                        return true;
                nanosleep(&t, NULL);
        }
        return false;
}

TEST(a_killed_host_takes_its_runner_with_it)
{
        int fds[2], runner = 0;
        REQUIRE(pipe(fds) == 0);
        pid_t host = fork();
        REQUIRE(host >= 0);
        if (host == 0) {
                pthread_t thread;
                pthread_create(&thread, NULL, host_that_dies, &fds[1]);
                pause();
                _exit(1);
        }
        REQUIRE(read(fds[0], &runner, sizeof runner) == sizeof runner);
        struct timespec t = { 0, 30 * (long)MS };
        nanosleep(&t, NULL); /* let it spin */
        CHECK(kill(runner, 0) == 0);
        kill(host, SIGKILL);
        waitpid(host, NULL, 0);
        CHECK(gone_within(runner, MV_TEST_SOON_NS / MS));
        close(fds[0]);
        close(fds[1]);
}

static void *short_lived_opener(void *arg)
{
        struct mv_err err;
        struct mv_cell_spec spec = { "exec_test", standard };
        mv_provider_process.open_cell(*(struct mv_provider **)arg, &spec,
                                      (struct mv_cell **)((void **)arg + 1), &err);
        return NULL;
}

TEST(a_cell_outlives_the_thread_that_opened_it)
{
        struct mv_provider *p = provider(hostile_image);
        void *pair[2] = { p, NULL };
        pthread_t thread;
        REQUIRE(p);
        REQUIRE(pthread_create(&thread, NULL, short_lived_opener, pair) == 0);
        pthread_join(thread, NULL);
        struct mv_cell *c = pair[1];
        REQUIRE(c);
        uint8_t start[64];
        struct host h = { 0 };
        struct mv_exit x;
        struct mv_err err;
        struct mv_run run = { .start = start_frame(start, sizeof start, ""),
                              .door = { &h, host_frame } };
        CHECK(mv_provider_process.run(c, &run, &x, &err) == 0);
        CHECK(x.termination == MV_END_COMPLETED);
        mv_provider_process.close_cell(c);
        mv_provider_process.fini(p);
}

TEST(a_caller_without_standard_descriptors_still_gets_a_clean_child)
{
        pid_t pid = fork();
        REQUIRE(pid >= 0);
        if (pid == 0) {
                struct mv_slice image = image_of(hostile_image);
                struct mv_provider *p = NULL;
                struct mv_err err;
                close(0);
                close(2);
                if (mv__process_init_image(image, NULL, &p, &err) < 0)
                        _exit(2);
                struct outcome x = execute(p, "calls", standard,
                                           (struct host){ .answer_call = MV_DOOR_REPLY });
                _exit(x.r == 0 && x.exit.termination == MV_END_COMPLETED ? 0 : 3);
        }
        int status = 0;
        waitpid(pid, &status, 0);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST(a_caller_that_ignores_its_children_still_gets_an_answer)
{
        struct sigaction ignore = { .sa_handler = SIG_IGN }, before;
        sigaction(SIGCHLD, &ignore, &before);
        struct outcome ok = attack(hostile_image, "", 5000);
        struct outcome dead = attack(hostile_image, "segv", 5000);
        sigaction(SIGCHLD, &before, NULL);
        expect("", &ok, MV_END_COMPLETED, 0, "");
        expect("segv", &dead, MV_END_KILLED, 0, "reaped it");
}

TEST(the_signal_mask_of_the_caller_is_untouched)
{
        sigset_t before, after;
        pthread_sigmask(SIG_SETMASK, NULL, &before);
        attack(hostile_image, "", 5000);
        pthread_sigmask(SIG_SETMASK, NULL, &after);
        for (int i = 1; i < SIGRTMAX; i++)
                CHECK(sigismember(&before, i) == sigismember(&after, i));
}

/* --- walls that are not built ----------------------------------------------------------------- */

TEST(absent_providers_say_why_and_never_run) /* REQ-PRV-03, REQ-PRV-06, REQ-PRV-19 */
{
        const struct mv_provider_ops *const absent[] = { &mv_provider_firecracker };
        for (int i = 0; i < 1; i++) {
                struct mv_err err = { 0 };
                struct mv_provider *p = NULL;
                CHECK(absent[i]->abi == MV_PROVIDER_ABI);
                CHECK(absent[i]->probe(&err) == -(int)MV_E_UNAVAILABLE);
                CHECK(strstr(err.msg, "not part of this build yet: it needs "));
                CHECK(absent[i]->init(NULL, &p, &err) == -(int)MV_E_UNAVAILABLE);
                CHECK(p == NULL);
                CHECK(strstr(absent[i]->schema(), "\"type\": \"object\""));
                CHECK(strstr(absent[i]->schema(), "\"properties\": {"));
        }
}

TEST(the_reason_tells_whether_the_binary_is_installed)
{
        char dir[] = "/tmp/t-process-XXXXXX", path[64], before[4096];
        struct mv_err err;
        const char *old = getenv("PATH");
        snprintf(before, sizeof before, "%s", old ? old : "");
        REQUIRE(mkdtemp(dir));
        setenv("PATH", dir, 1);
        mv_provider_firecracker.probe(&err);
        CHECK(strstr(err.msg, "no firecracker is on PATH"));
        snprintf(path, sizeof path, "%s/firecracker", dir);
        close(open(path, O_CREAT | O_WRONLY, 0755));
        mv_provider_firecracker.probe(&err);
        CHECK(strstr(err.msg, "firecracker is installed ("));
        unlink(path);
        rmdir(dir);
        setenv("PATH", before, 1);
}
