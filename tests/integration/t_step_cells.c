/* SPDX-License-Identifier: Apache-2.0 */
/* Steps in cells of their own (docs/design/step-cells.md; REQ-STEP-03, -08, -12): behind real walls, in numbers, after crashes and
 * pauses, and with cells that lie. "box" is a wall for tests alone: the mock provider under the name of a container. */
#include "../durable.h"
#include "../walls.h"
#include <audit/approvals.h>
#include <pthread.h>
#include <provider/provider.h>
#include <stdatomic.h>
#include <wire/cbor.h>
#include <wire/frame.h>

/* --- a wall to look into ---------------------------------------------------------------------- */
static atomic_uint box_opened, box_closed;
static _Atomic uint64_t box_memory, box_cpu;
static int (*box_lies)(const struct mv_run *run, struct mv_err *e); /* NULL: it is honest */

static int box_open(struct mv_provider *p, const struct mv_cell_spec *spec, struct mv_cell **ret,
                    struct mv_err *e)
{
        box_opened++;
        box_memory = spec->limits.memory_bytes_max;
        box_cpu = spec->limits.cpu_ns_max;
        return mv_provider_mock.open_cell(p, spec, ret, e);
}

static struct mv_cell *box_close(struct mv_cell *c)
{
        box_closed++;
        return mv_provider_mock.close_cell(c);
}

static int lie(int (*lies)(const struct mv_run *run, struct mv_err *e), const struct mv_run *run,
               struct mv_exit *ret)
{
        struct mv_err e = { .msg = "" };
        int r = lies(run, &e);
        *ret = (struct mv_exit){ .termination =
                                         r == MV_DOOR_DONE ? MV_END_COMPLETED : MV_END_KILLED,
                                 .exit_code = -1 };
        snprintf(ret->detail, sizeof ret->detail, "%.150s", e.msg);
        return 0;
}

static int box_run(struct mv_cell *c, const struct mv_run *run, struct mv_exit *ret,
                   struct mv_err *e)
{
        return box_lies ? lie(box_lies, run, ret) : mv_provider_mock.run(c, run, ret, e);
}

/* The run's own wall, of a cell that lies; inspections are honest. */
static int (*own_lies)(const struct mv_run *run, struct mv_err *e);

static int own_run(struct mv_cell *c, const struct mv_run *run, struct mv_exit *ret,
                   struct mv_err *e)
{
        bool inspects = memmem(run->start.p, run->start.len, "inspect", 7) != NULL;
        return inspects || !own_lies ? mv_provider_mock.run(c, run, ret, e)
                                     : lie(own_lies, run, ret);
}

static struct mv_host *boxed_host(void)
{
        static struct mv_provider_ops box, own;
        struct mv_host *h = test_host();
        box = own = mv_provider_mock;
        box.name = box.title = "box";
        box.tier = MV_TIER_CONTAINER;
        box.open_cell = box_open;
        box.close_cell = box_close;
        box.run = box_run;
        own.name = own.title = "own";
        own.run = own_run;
        box_opened = box_closed = 0;
        if (!h || mv_host_add_provider(h, &box, &err) < 0 ||
            mv_host_add_provider(h, &own, &err) < 0)
                abort();
        return h;
}

static struct mv_context *context(void)
{
        struct mv_context *c = mv_context_new(MV_LEVEL_CONTROLLED);
        CHECK(mv_context_allow(c, "ccos.*", &err) == 0 && mv_context_allow(c, "test.*", &err) == 0);
        mv_context_give(c, MV_TEST_PATIENT);
        return c;
}

static struct mv_result *run_with(struct mv_host *h, const char *provider,
                                  const struct mv_execution *more, const char *program)
{
        struct mv_context *c = context();
        struct mv_execution x = more ? *more : (struct mv_execution){ 0 };
        struct mv_result *r = NULL;
        x.program = mv_program_source(program);
        x.context = more && more->context ? more->context : c;
        x.provider = provider;
        int e = mv_execute(h, &x, &r, &err);
        mv_context_free(c);
        return e < 0 ? NULL : r;
}

static const char *outcome(const struct mv_result *r)
{
        static char buf[512];
        char *text = r && mv_result_ok(r) ? mv_value_display(mv_result_value(r), NULL) : NULL;
        snprintf(buf, sizeof buf, "%s", text ? text : r ? mv_result_error(r)->message : err.msg);
        free(text);
        return buf;
}

#define IN_BOX "(with-security-profile {:isolation-level :container} "

/* --- the same behind every wall --------------------------------------------------------------- */
/* at_level */
static const struct {
        const char *program, *gives;
} programs[] = {
        { "(def a (call :test.echo 1)) (def b (with-security-profile {:isolation-level $} (call "
          ":test.add a 10)))\n[a b (call :test.add a b)]",
          "[1 11 12]" },
        { "(with-security-profile {:isolation-level $} [1 2.5 \"x\" :k 'y {:a [nil true]} '(1 2)])",
          "[1 2.5 \"x\" :k y {:a [nil true]} (1 2)]" },
        /* what is defined in it stays in it, and so does the context */
        { "(do (def x 1) (with-security-profile {:isolation-level $} (def x 2) x) x)", "1" },
        { "(def x 1) (with-security-profile {:isolation-level $} (def x 2) (defn f [] x) (f))",
          "2" },
        { "(context/set :k 1) (with-security-profile {:isolation-level $} (context/set :k 2))\n"
          "(context/get :k)",
          "1" },
        /* what stands around it is seen in it */
        { "(defn f [n] (let [m (* n 2)] (with-security-profile {:isolation-level $} (call "
          ":test.add m "
          "n)))) (map f [1 2 3])",
          "[3 6 9]" },
        { "(let [f (fn [x] (call :test.add x 1))] (with-security-profile {:isolation-level $} (f "
          "(f "
          "0))))",
          "2" },
        /* errors */
        { "(try (with-security-profile {:isolation-level $} (throw {:a 1}))\n"
          "  (catch e [(:kind e) (:message e) (:data e) (str e)]))",
          "[:application-error \"{:a 1}\" {:a 1} \"#<error: {:a 1}>\"]" },
        { "(try (with-security-profile {:isolation-level $} (call :test.fail)) (catch e [(:kind e) "
          "(:message e)]))",
          "[:generic \"Runtime error: boom\"]" },
        { "(with-security-profile {:isolation-level $} (+ 1 \"x\"))",
          "Type error in +: expected number, got string" },
        { "(with-security-profile {:isolation-level $} (nth [1] 7))",
          "Index out of bounds: index 7 is not in range [0, 1)" },
        { "(try (with-security-profile {:isolation-level $ :capabilities []} (call :test.echo 1))\n"
          "  (catch e (:kind e)))",
          ":security-violation" },
        { "(try (with-security-profile {:isolation-level $} (throw {:f inc})) (catch e (:data e)))",
          "nil" },
        /* a function is no data */
        { "(with-security-profile {:isolation-level $} (fn [x] x))",
          "Type error in step with an isolation level: expected data as its value, got function" },
        { "(try (with-security-profile {:isolation-level $} {:f [inc]}) (catch e (call :test.echo "
          "(:kind e))))",
          ":type-error" },
        /* around it, in it, one after the other */
        { "(step \"out\" (+ (with-security-profile {:isolation-level $} (step \"in\" (call "
          ":test.echo "
          "1))) (call :test.echo 2)))",
          "3" },
        { "(with-security-profile {:isolation-level $} (try (step \"in\" (throw :x)) (catch e "
          "1)))\n"
          "(with-security-profile {:isolation-level $} (step \"next\" (call :test.echo 2)))",
          "2" },
        { "(defn down [n] (if (= n 0) (call :test.echo :end) (with-security-profile "
          "{:isolation-level "
          "$} (down (- n 1))))) (down 5)",
          ":end" },
        { "(with-security-profile {:isolation-level $}\n"
          "  (with-security-profile {:isolation-level :inherit :max-calls 1} (call :test.echo 1)))",
          "1" },
        { "(with-security-profile {:isolation-level :process}\n"
          "  (let [a (call :test.echo 1)\n"
          "        b (with-security-profile {:isolation-level $} (call :test.add a 1))]\n"
          "    [a b (call :test.add b 1)]))",
          "[1 2 3]" },
        { "(with-security-profile {:isolation-level $} (call :test.echo 1)\n"
          "  (with-security-profile {:isolation-level :process} (call :test.echo 2)))",
          "2" },
        { "(reduce (fn [n i] (with-security-profile {:isolation-level $} (call :test.add n i))) 0\n"
          "  (range 0 40))",
          "780" },
        { "(with-security-profile {:isolation-level $} ^{:runtime.learning.fallback {:capability "
          "\"test.echo\"}} (call :test.fail 7))",
          "7" },
        { "^{:runtime.idempotent true} (with-security-profile {:isolation-level $} (call "
          ":test.echo "
          "1))",
          "1" },
        { "(call :ccos.io.println \"a\") (with-security-profile {:isolation-level $} (call "
          ":ccos.io.println \"b\"))\n(call :ccos.io.println \"c\")",
          "nil" },
};

static bool is_here(const char *name)
{
        for (size_t i = 0; i < WALLS_COUNT; i++)
                if (strcmp(names[i], name) == 0)
                        return usable[i];
        return strcmp(name, "box") == 0 || strcmp(name, "own") == 0;
}

/* A run of which each such step has a cell of its own, and one that is behind the stronger wall as a whole: one value, one
 * root, one count of steps. */
static void same_in_cells(struct mv_host *h, const char *weak, const char *strong,
                          const char *level)
{
        for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
                const char *text = at_level(programs[i].program, level);
                struct mv_result *whole = run_with(h, strong, NULL, text);
                CHECK_STR(outcome(whole), programs[i].gives);
                struct mv_result *split = run_with(h, weak, NULL, text);
                CHECK_STR(outcome(split), programs[i].gives);
                REQUIRE(whole && split);
                CHECK_STR(mv_result_provider(split), weak);
                CHECK(memcmp(mv_result_root(whole), mv_result_root(split), 32) == 0);
                CHECK(mv_result_metadata(whole)->fuel == mv_result_metadata(split)->fuel);
                CHECK(mv_slice_eq(mv_result_stdout(whole), mv_result_stdout(split)));
                if (!mv_result_ok(whole))
                        CHECK(mv_result_error(whole)->line == mv_result_error(split)->line &&
                              mv_result_error(whole)->column == mv_result_error(split)->column);
                mv_result_free(whole);
                mv_result_free(split);
        }
}

TEST(a_step_in_a_cell_of_its_own_gives_what_it_gives_in_one_wall)
{
        static const char *const pairs[][3] = {
                { "mock", "box", ":container" }, { "mock", "process", ":isolated" },
                { "mock", "wasm", ":wasm" },     { "mock", "kvm", ":vm" },
                { "process", "kvm", ":vm" },     { "wasm", "kvm", ":vm" }
        };
        struct mv_host *h = boxed_host();
        unsigned done = 0;
        for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
                if (!is_here(pairs[i][0]) || !is_here(pairs[i][1]))
                        continue;
                same_in_cells(h, pairs[i][0], pairs[i][1], pairs[i][2]);
                done++;
        }
        CHECK(done > 0);
        mv_host_free(h);
        CHECK(box_opened == box_closed);
}

/* --- numbers ---------------------------------------------------------------------------------- */
TEST(one_cell_runs_all_steps_of_its_wall_and_is_gone_behind_the_run)
{
        struct mv_host *h = boxed_host();
        struct mv_result *r =
                run_with(h, "mock", NULL,
                         "(reduce (fn [n i] (+ n " IN_BOX
                         "(call :test.add i (call :test.echo 1))))) 0 (range 0 300))");
        CHECK_STR(outcome(r), "45150");
        CHECK(box_opened == 1);
        mv_result_free(r);
        CHECK(box_closed == 1);
        r = run_with(h, "mock", NULL, "(if false " IN_BOX "1) 2)"); /* it was not entered */
        CHECK_STR(outcome(r), "2");
        CHECK(box_opened == 1);
        mv_result_free(r);
        r = run_with(h, "box", NULL, IN_BOX "1)"); /* the run's own wall is strong enough */
        CHECK_STR(outcome(r), "1");
        CHECK(box_opened == 2); /* for the inspection, and kept for the run */
        mv_result_free(r);
        mv_host_free(h);
}

TEST(the_cells_of_a_run_share_what_it_was_given)
{
        struct mv_host *h = boxed_host();
        struct mv_execution x = { .limits = { .memory_bytes_max = 32 << 20 } };
        struct mv_result *r = run_with(h, "mock", &x, IN_BOX "1)");
        CHECK_STR(outcome(r), "1");
        CHECK(box_memory == 16 << 20);
        mv_result_free(r);
        /* more than half of it, in the step or outside */
        static const char *const greedy[] = {
                IN_BOX "(count (range 0 700000)))",
                "(def v (range 0 700000)) " IN_BOX "1)",
        };
        for (size_t i = 0; i < 2; i++) {
                r = run_with(h, "mock", &x, greedy[i]);
                CHECK(r && mv_result_termination(r) == MV_END_MEMORY);
                mv_result_free(r);
        }
        /* fuel is counted once, wherever it was used, and ends the run wherever it ends */
        struct mv_execution y = { .limits = { .fuel_max = 20000 } };
        static const char *const spend[] = {
                "(defn spin [n] (loop [i 0] (if (< i n) (recur (+ i 1)) i)))\n"
                "[(spin 1500) " IN_BOX "(spin 1500)) (spin 1500)]",
                "(defn spin [n] (loop [i 0] (if (< i n) (recur (+ i 1)) i))) " IN_BOX
                "(spin 50000))",
                "(defn spin [n] (loop [i 0] (if (< i n) (recur (+ i 1)) i)))\n"
                "(spin 4000) " IN_BOX "(spin 4000)) (spin 50000)",
        };
        for (size_t i = 0; i < 3; i++) {
                r = run_with(h, "mock", &y, spend[i]);
                CHECK(r && mv_result_ok(r) == (i == 0));
                CHECK(r && (i == 0 || mv_result_termination(r) == MV_END_FUEL));
                struct mv_result *whole = run_with(h, "box", &y, spend[i]);
                CHECK(r && whole && memcmp(mv_result_root(r), mv_result_root(whole), 32) == 0);
                CHECK(r && whole && mv_result_metadata(r)->fuel == mv_result_metadata(whole)->fuel);
                mv_result_free(r);
                mv_result_free(whole);
        }
        mv_host_free(h);
        CHECK(box_opened == box_closed);
}

TEST(time_ends_a_run_while_its_step_is_elsewhere)
{
        struct mv_host *h = boxed_host();
        static const char *const walls[][2] = { { "box", ":container" },
                                                { "process", ":process" },
                                                { "kvm", ":vm" } };
        for (size_t i = 0; i < 3; i++) {
                if (!is_here(walls[i][0]))
                        continue;
                struct mv_execution x = { .limits = { .wall_ns_max = 150000000 } };
                struct mv_result *r =
                        run_with(h, "mock", &x,
                                 at_level("(call :test.echo 1) (with-security-profile "
                                          "{:isolation-level $} (loop "
                                          "[i 0] (recur i)))",
                                          walls[i][1]));
                CHECK_STR(outcome(r), "time limit reached: 150 ms");
                mv_result_free(r);
                r = run_with(
                        h, "mock", NULL,
                        at_level("(call :test.echo 1) (with-security-profile {:isolation-level $ "
                                 ":timeout-ms 100} (loop [i 0] (recur i)))",
                                 walls[i][1]));
                CHECK_STR(outcome(r), "time limit of a step reached");
                mv_result_free(r);
        }
        mv_host_free(h);
        CHECK(box_opened == box_closed);
}

static volatile int stop_it;
static void *stop_soon(void *arg)
{
        usleep(60000);
        stop_it = 1;
        return NULL;
}

TEST(a_run_is_cancelled_while_its_step_is_elsewhere)
{
        struct mv_host *h = boxed_host();
        static const char *const walls[][2] = { { "box", ":container" },
                                                { "process", ":process" },
                                                { "kvm", ":vm" } };
        for (size_t i = 0; i < 3; i++) {
                if (!is_here(walls[i][0]))
                        continue;
                pthread_t t;
                struct mv_execution x = { .cancel = &stop_it };
                stop_it = 0;
                CHECK(pthread_create(&t, NULL, stop_soon, NULL) == 0);
                struct mv_result *r =
                        run_with(h, "mock", &x,
                                 at_level("(with-security-profile {:isolation-level $} (loop [i 0] "
                                          "(recur i)))",
                                          walls[i][1]));
                pthread_join(t, NULL);
                CHECK(r && mv_result_termination(r) == MV_END_KILLED);
                CHECK_STR(outcome(r), "the cell was killed: cancelled by the caller");
                mv_result_free(r);
        }
        mv_host_free(h);
        CHECK(box_opened == box_closed);
}

/* Three cells, each step in the one it needs. */
TEST(a_step_in_a_step_may_need_a_stronger_wall_still)
{
        struct mv_host *h = boxed_host();
        if (!is_here("process"))
                SKIP("the process wall is not here");
        struct mv_execution x = { .limits = { .memory_bytes_max = 48 << 20 } };
        struct mv_result *r = run_with(
                h, "mock", &x,
                "(defn both [n] (with-security-profile {:isolation-level :process}\n"
                "  (let [a (call :test.add n 1) b " IN_BOX "(call :test.add a 1))] [a b])))\n"
                "[(call :test.echo 0) (both 1) " IN_BOX "(call :test.echo 9)) (both 2)]");
        CHECK_STR(outcome(r), "[0 [2 3] 9 [3 4]]");
        CHECK(box_opened == 1 && box_memory == 16 << 20);
        mv_result_free(r);
        mv_host_free(h);
        CHECK(box_closed == 1);
}

/* --- a record says where ---------------------------------------------------------------------- */
TEST(the_record_of_a_step_says_which_wall_ran_it)
{
        plan_new();
        struct mv_host_options o = { .audit_path = plan.store, .audit_no_sync = true };
        struct mv_host *h;
        struct mv_context *c = context();
        REQUIRE(mv_host_new(&o, &h, &err) == 0);
        struct mv_execution x = { .program = mv_program_source(
                                          "(step \"a\" (call :ccos.echo 1))"
                                          "(with-security-profile {:isolation-level :process} 1)"),
                                  .context = c,
                                  .provider = "mock" };
        struct mv_result *r = NULL;
        REQUIRE(mv_execute(h, &x, &r, &err) == 0);
        mv_result_free(r);
        mv_host_free(h);
        mv_context_free(c);
        struct mv_audit_reader *reader;
        struct mv_audit_record rec;
        struct mv_arena a = mv_arena_grow(1 << 20);
        unsigned steps = 0, told = 0;
        REQUIRE(mv_audit_reader_open(plan.store, &reader, &err) == 0);
        while (mv_audit_read(reader, &rec, &err) == 1) {
                const struct mv_value *v;
                struct mv_slice s = { NULL, 0 };
                steps += rec.type == MV_REC_STEP;
                if (rec.type != MV_REC_STEP || !rec.observed.len)
                        continue;
                told++;
                CHECK(mv_value_decode(rec.observed, &a, &v, &err) == 0);
                mv_as_text(mv_map_get(v, "tier"), &s);
                CHECK(mv_slice_eq_str(s, "process"));
                mv_as_text(mv_map_get(v, "provider"), &s);
                CHECK(mv_slice_eq_str(s, "process"));
        }
        CHECK(steps == 4 && told == 1);
        mv_audit_reader_close(reader);
        mv_arena_done(&a);
        CHECK(plan_verifies());
        find_id();
        CHECK(plan_replays());
        plan_done();
}

/* --- cells that lie --------------------------------------------------------------------------- */
/* test.add is called in the step alone. */
#define TRUTH                                                                                      \
        "(def a (call :test.echo 1)) (def b " IN_BOX                                               \
        "(call :test.add a 10))) [a b (call :test.echo "                                           \
        "b)]"

static struct mv_arena heard; /* replies, decoded */
static struct mv_frame answer;

static int tell(const struct mv_run *run, enum mv_frame_type type, uint64_t seq,
                const struct mv_value *v, struct mv_err *e)
{
        static uint8_t bytes[1 << 16];
        struct mv_out o = mv_out(bytes, sizeof bytes);
        struct mv_slice reply = { NULL, 0 };
        size_t at = mv_frame_open(&o, type, seq);
        CHECK(mv_value_encode(&o, v) && mv_frame_close(&o, at));
        int r = run->door.frame(run->door.ctx, mv_out_slice(&o), &reply, e);
        if (r == MV_DOOR_REPLY) {
                uint8_t *copy = mv_new(&heard, uint8_t, reply.len);
                struct mv_err ignored;
                memcpy(copy, reply.p, reply.len);
                CHECK(mv_frame_decode(mv_slice(copy, reply.len), &answer, &ignored) == 0);
        }
        return r;
}

static struct mv_value text(const char *s)
{
        return (struct mv_value){ .kind = MV_STRING, .text = mv_slice_str(s) };
}
static struct mv_value number(int64_t n)
{
        return (struct mv_value){ .kind = MV_INT, .integer = n };
}
static struct mv_value vector(const struct mv_value *items, uint32_t n)
{
        return (struct mv_value){ .kind = MV_VECTOR, .count = n, .items = items };
}
static const struct mv_value nothing = { .kind = MV_NIL };

static int asks(const struct mv_run *run, uint64_t seq, const char *id, int64_t a, int64_t b,
                struct mv_err *e)
{
        struct mv_value args[] = { number(a), number(b) };
        struct mv_value call[] = { text(id), vector(args, b ? 2 : 1) }, v = vector(call, 2);
        return tell(run, MV_FRAME_CALL, seq, &v, e);
}

static int enters(const struct mv_run *run, enum mv_frame_type how, const char *level,
                  struct mv_err *e)
{
        struct mv_entry at = { { .kind = MV_KEYWORD, .text = MV_SLICE("isolation-level") },
                               { .kind = MV_KEYWORD, .text = mv_slice_str(level) } };
        struct mv_value map = { .kind = MV_MAP, .count = 1, .entries = &at };
        struct mv_value event[] = { text("step-started"), text("with-security-profile"), map };
        struct mv_value v = vector(event, 3);
        return tell(run, how, 0, &v, e);
}

static int completes(const struct mv_run *run, struct mv_value value, struct mv_err *e)
{
        struct mv_value event[] = { text("step-completed"), text("a1"), value },
                        v = vector(event, 3);
        return tell(run, MV_FRAME_STEP, 0, &v, e);
}

static int leaves(const struct mv_run *run, struct mv_value fuel, struct mv_value how,
                  struct mv_err *e)
{
        struct mv_value pair[] = { fuel, how }, v = vector(pair, 2);
        return tell(run, MV_FRAME_LEAVE, 0, &v, e);
}

static int ends(const struct mv_run *run, struct mv_value value, struct mv_err *e)
{
        struct mv_entry parts[] = { { text("fuel"), number(9) },
                                    { text("value"), value },
                                    { text("memory"), number(9) } };
        struct mv_value v = { .kind = MV_MAP, .count = 3, .entries = parts };
        return tell(run, MV_FRAME_RESULT, 0, &v, e);
}

static atomic_uint added; /* effects of test.add, through a capability that counts */
static int count_add(struct mv_call *call, const struct mv_value *args, uint32_t n,
                     struct mv_value *ret)
{
        added++;
        return add(call, args, n, ret);
}

static bool denied(void)
{
        const struct mv_value *v;
        struct mv_slice kind = { NULL, 0 };
        struct mv_err e;
        return answer.type == MV_FRAME_FAULT &&
               mv_value_decode(answer.payload, &heard, &v, &e) == 0 &&
               mv_as_text(mv_map_get(v, "kind"), &kind) &&
               mv_slice_eq_str(kind, "SecurityViolation");
}

/* What the liar's execution came to; the call of the step counts in `added`. */
static const char *lied(int (*own)(const struct mv_run *run, struct mv_err *e),
                        int (*strong)(const struct mv_run *run, struct mv_err *e))
{
        static char shown[512];
        struct mv_host *h = boxed_host();
        struct mv_capability counting = { .id = "test.add",
                                          .summary = "the sum",
                                          .args_max = 255,
                                          .call = count_add,
                                          .pure = true };
        ((struct mv_capability *)mv_capability_find(h->table, MV_SLICE("test.add")))->call =
                counting.call;
        heard = mv_arena_grow(1 << 24);
        added = 0;
        own_lies = own;
        box_lies = strong;
        struct mv_result *r = run_with(h, "own", NULL, TRUTH);
        snprintf(shown, sizeof shown, "%s", outcome(r));
        CHECK(r != NULL);
        mv_result_free(r);
        mv_host_free(h);
        mv_arena_done(&heard);
        own_lies = box_lies = NULL;
        CHECK(box_opened == box_closed);
        return shown;
}

TEST(both_cells_tell_the_truth)
{
        CHECK_STR(lied(NULL, NULL), "[1 11 11]");
        CHECK(added == 1);
}

/* The weaker cell does not speak of the step at all. */
static int never_announces(const struct mv_run *run, struct mv_err *e)
{
        CHECK(asks(run, 1, "test.echo", 1, 0, e) == MV_DOOR_REPLY);
        CHECK(asks(run, 2, "test.add", 1, 10, e) == MV_DOOR_REPLY && denied());
        CHECK(asks(run, 3, "test.echo", 2, 0, e) == MV_DOOR_REPLY && !denied());
        return ends(run, number(5), e);
}

TEST(a_weaker_cell_that_announces_nothing_gets_no_call_of_the_step)
{
        CHECK_STR(lied(never_announces, NULL), "5");
        CHECK(added == 0 && box_opened == 0);
}

static int other_demand(const struct mv_run *run, struct mv_err *e)
{
        asks(run, 1, "test.echo", 1, 0, e);
        CHECK(enters(run, MV_FRAME_ENTER, "inherit", e) == MV_DOOR_REPLY &&
              answer.type == MV_FRAME_ENTER);
        CHECK(asks(run, 2, "test.add", 1, 10, e) == MV_DOOR_REPLY && denied());
        CHECK(enters(run, MV_FRAME_ENTER, "process", e) == MV_DOOR_REPLY);
        CHECK(asks(run, 3, "test.add", 1, 10, e) == MV_DOOR_REPLY && denied());
        return ends(run, number(5), e);
}

static int only_tells(const struct mv_run *run, struct mv_err *e)
{
        asks(run, 1, "test.echo", 1, 0, e);
        return enters(run, MV_FRAME_STEP, "container", e);
}

static int enters_too_early(const struct mv_run *run, struct mv_err *e)
{
        int r = enters(run, MV_FRAME_ENTER, "container", e);
        CHECK(r < 0);
        return r;
}

static int enters_twice(const struct mv_run *run, struct mv_err *e)
{
        asks(run, 1, "test.echo", 1, 0, e);
        CHECK(enters(run, MV_FRAME_ENTER, "container", e) == MV_DOOR_REPLY &&
              answer.type == MV_FRAME_LEAVE);
        return enters(run, MV_FRAME_ENTER, "container", e);
}

static int lied_before(const struct mv_run *run, struct mv_err *e)
{
        asks(run, 1, "test.echo", 7, 0, e);
        return enters(run, MV_FRAME_ENTER, "container", e);
}

static int claims_a_value(const struct mv_run *run, struct mv_err *e)
{
        asks(run, 1, "test.echo", 1, 0, e);
        CHECK(enters(run, MV_FRAME_ENTER, "container", e) == MV_DOOR_REPLY);
        return completes(run, number(99), e);
}

static int leaves_without(const struct mv_run *run, struct mv_err *e)
{
        return leaves(run, number(1), nothing, e);
}

/* What the step was asked for cannot be had behind it either. */
static int asks_again(const struct mv_run *run, struct mv_err *e)
{
        asks(run, 1, "test.echo", 1, 0, e);
        CHECK(enters(run, MV_FRAME_ENTER, "container", e) == MV_DOOR_REPLY);
        CHECK(asks(run, 3, "test.add", 1, 10, e) == MV_DOOR_REPLY && denied());
        return ends(run, number(5), e);
}

TEST(a_weaker_cell_that_lies_about_steps_gains_nothing)
{
        CHECK_STR(lied(other_demand, NULL), "5");
        CHECK(added == 0 && box_opened == 0);
        CHECK(strstr(lied(only_tells, NULL), "is not entered"));
        CHECK(added == 0 && box_opened == 0);
        CHECK(strstr(lied(enters_too_early, NULL), "one of them lies"));
        CHECK(added == 0 && box_opened == 1);
        CHECK(strstr(lied(enters_twice, NULL), "one of them lies"));
        CHECK(added == 1);
        CHECK(strstr(lied(lied_before, NULL), "one of them lies"));
        CHECK(added == 0);
        CHECK(strstr(lied(claims_a_value, NULL), "no step is open"));
        CHECK(strstr(lied(leaves_without, NULL), "no step has ended"));
        CHECK_STR(lied(asks_again, NULL), "5");
        CHECK(added == 1);
}

/* The cell of the step: up to it, it says what it has to. */
static void arrives(const struct mv_run *run, struct mv_err *e)
{
        CHECK(asks(run, 1, "test.echo", 1, 0, e) == MV_DOOR_REPLY);
        CHECK(enters(run, MV_FRAME_ENTER, "container", e) == MV_DOOR_REPLY &&
              answer.type == MV_FRAME_ENTER && answer.payload.p[0] == 0xf5);
}

static int makes_up_a_value(const struct mv_run *run, struct mv_err *e)
{
        arrives(run, e);
        /* not in the text of the step, though granted and in the program */
        CHECK(asks(run, 2, "test.echo", 1, 0, e) == MV_DOOR_REPLY && denied());
        CHECK(completes(run, number(40), e) == 0);
        int r = leaves(run, number(100), nothing, e);
        CHECK(r < 0); /* only when the execution is over */
        return r;
}

TEST(a_cell_of_a_step_that_lies_can_make_up_its_value_and_nothing_else)
{
        CHECK_STR(lied(NULL, makes_up_a_value), "[1 40 40]");
        CHECK(added == 0);
}

static int says_otherwise(const struct mv_run *run, struct mv_err *e)
{
        return asks(run, 1, "test.echo", 2, 0, e);
}
static int ends_the_program(const struct mv_run *run, struct mv_err *e)
{
        arrives(run, e);
        return ends(run, number(1), e);
}
static int goes_on_without_leaving(const struct mv_run *run, struct mv_err *e)
{
        arrives(run, e);
        CHECK(completes(run, number(1), e) == 0);
        return asks(run, 2, "test.echo", 1, 0, e);
}
static int leaves_without_ending(const struct mv_run *run, struct mv_err *e)
{
        arrives(run, e);
        return leaves(run, number(100), nothing, e);
}
static int claims_less_fuel(const struct mv_run *run, struct mv_err *e)
{
        arrives(run, e);
        CHECK(completes(run, number(1), e) == 0);
        return leaves(run, number(-1), nothing, e);
}
static int claims_more_fuel(const struct mv_run *run, struct mv_err *e)
{
        arrives(run, e);
        CHECK(completes(run, number(1), e) == 0);
        return leaves(run, number(INT64_MAX), nothing, e);
}
static int gives_a_function(const struct mv_run *run, struct mv_err *e)
{
        const struct mv_value f = { .kind = MV_FUNCTION };
        arrives(run, e);
        CHECK(completes(run, vector(&f, 1), e) == 0);
        return leaves(run, number(100), nothing, e);
}
static int fails_and_completes(const struct mv_run *run, struct mv_err *e)
{
        struct mv_value parts[8] = { text("Generic"), text("m"), text("m"), nothing,
                                     nothing,         nothing,   nothing,   number(0) };
        arrives(run, e);
        CHECK(completes(run, number(1), e) == 0);
        return leaves(run, number(100), vector(parts, 8), e);
}
static int sends_noise(const struct mv_run *run, struct mv_err *e)
{
        struct mv_slice reply;
        arrives(run, e);
        return run->door.frame(run->door.ctx, MV_SLICE("0123456789abcdefgh"), &reply, e);
}
static int dies(const struct mv_run *run, struct mv_err *e)
{
        arrives(run, e);
        (void)mv_fail(e, MV_E_STATE, 0, "a bad end");
        return -1;
}

TEST(a_cell_of_a_step_that_breaks_the_rules_ends_the_run)
{
        static const struct {
                int (*lies)(const struct mv_run *run, struct mv_err *e);
                const char *why;
        } cases[] = {
                { says_otherwise, "one of them lies" },
                { ends_the_program, "from the cell of a step" },
                { goes_on_without_leaving, "not followed by LEAVE" },
                { leaves_without_ending, "no step has ended" },
                { claims_less_fuel, "LEAVE: fuel" },
                { claims_more_fuel, "LEAVE: fuel" },
                { gives_a_function, "outcome of the step" },
                { fails_and_completes, "outcome of the step" },
                { sends_noise, "frame: " },
                { dies, "the cell was killed: a bad end" },
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                const char *got = lied(NULL, cases[i].lies);
                if (!strstr(got, cases[i].why))
                        CHECK_STR(got, cases[i].why);
                CHECK(added == 0);
        }
}
