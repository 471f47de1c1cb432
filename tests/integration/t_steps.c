/* SPDX-License-Identifier: Apache-2.0 */
/* Steps with profiles: behind every wall, and against a guest that lies about them. REQ-STEP. */
#include "../door.h"
#include <fcntl.h>
#include <host/host.h>
#include <microvm/microvm.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- a guest that sends what it likes --------------------------------------------------------- */
enum { PROGRAM, MATH, TIME, QUIET, PROFILES };

/* A program with three steps: one adds, one asks for the time twice at most, one does nothing. */
static void profiles(struct mv_profile p[PROFILES])
{
        struct mv_err err;
        static const char *const names[] = { "", "math", "time", "quiet" };
        for (int i = 0; i < PROFILES; i++) {
                mv_profile_init(&p[i], mv_slice_str(names[i]));
                p[i].limits.calls_max = i == TIME ? 2 : UINT32_MAX;
                p[i].limits.operations_max = UINT32_MAX;
        }
        for (int i = 0; i < 2; i++)
                CHECK(mv__grants_find(&p[i].capabilities.list, "ccos.math.add") < 0);
        struct mv_touch none = { .deterministic = true };
        CHECK(mv_profile_add(&p[PROGRAM], "ccos.math.add", &none, &err) == 0);
        CHECK(mv_profile_add(&p[PROGRAM], "ccos.system.current-time", &none, &err) == 0);
        CHECK(mv_profile_add(&p[MATH], "ccos.math.add", &none, &err) == 0);
        CHECK(mv_profile_add(&p[TIME], "ccos.system.current-time", &none, &err) == 0);
}

static void profiles_done(struct mv_profile p[PROFILES])
{
        for (int i = 0; i < PROFILES; i++)
                mv_profile_done(&p[i]);
}

static struct door *door_with(const struct mv_profile *p, uint32_t count)
{
        struct mv_broker_options o = { .profiles = p, .profiles_count = count };
        struct door *d = door_open(&o, NULL);
        CHECK(mv_context_allow(d->context, "ccos.*", &d->err) == 0);
        return d;
}

static int start(struct door *d, const char *name)
{
        struct mv_value e[] = { v_text("step-started"), v_text(name) }, v = v_vector(e, 2);
        return door_value(d, MV_FRAME_STEP, 0, &v);
}

static int start_demand(struct door *d, const char *name, const char *key, struct mv_value value)
{
        struct mv_entry entry = { v_key(key), value };
        struct mv_value map = { .kind = MV_MAP, .count = 1, .entries = &entry };
        struct mv_value e[] = { v_text("step-started"), v_text(name), map }, v = v_vector(e, 3);
        return door_value(d, MV_FRAME_STEP, 0, &v);
}

static int complete(struct door *d)
{
        struct mv_value e[] = { v_text("step-completed"), v_text("a1"), v_int(1) };
        struct mv_value v = v_vector(e, 3);
        return door_value(d, MV_FRAME_STEP, 0, &v);
}

static bool adds(struct door *d)
{
        CHECK(DOOR_CALL(d, "ccos.math.add", v_int(1), v_int(2)) == MV_DOOR_REPLY);
        return d->answer.type == MV_FRAME_REPLY;
}

static bool tells_time(struct door *d)
{
        CHECK(door_call(d, "ccos.system.current-time", NULL, 0) == MV_DOOR_REPLY);
        return d->answer.type == MV_FRAME_REPLY;
}

static bool echoes(struct door *d)
{
        CHECK(DOOR_CALL(d, "ccos.echo", v_int(1)) == MV_DOOR_REPLY);
        return d->answer.type == MV_FRAME_REPLY;
}

TEST(a_step_may_do_what_the_host_derived_of_it) /* REQ-STEP-17: on at its start, off at its end */
{
        struct mv_profile p[PROFILES];
        profiles(p);
        struct door *d = door_with(p, PROFILES);
        CHECK(adds(d) && tells_time(d)); /* outside of steps: what the program may */
        CHECK(start(d, "math") == 0);
        CHECK(adds(d) && !tells_time(d));
        CHECK(start(d, "quiet") == 0); /* nested: both must allow */
        CHECK(!adds(d) && !tells_time(d));
        CHECK(complete(d) == 0);
        CHECK(adds(d) && !tells_time(d));
        CHECK(complete(d) == 0);
        CHECK(adds(d) && tells_time(d));
        door_close(d);
        profiles_done(p);
}

TEST(a_guest_cannot_widen_what_it_may_by_the_steps_it_announces)
{
        struct mv_profile p[PROFILES];
        profiles(p);
        struct door *d = door_with(p, PROFILES);
        CHECK(!echoes(d)); /* granted, but nowhere in the program */
        static const char *const orders[][4] = { { "math", "time", "quiet", NULL },
                                                 { "time", "math", "time", "math" },
                                                 { "quiet", "math", NULL, NULL } };
        for (size_t i = 0; i < 3; i++) {
                size_t n = 0;
                for (; n < 4 && orders[i][n]; n++) {
                        CHECK(start(d, orders[i][n]) == 0);
                        CHECK(!echoes(d));
                        CHECK(n == 0 || (!adds(d) && !tells_time(d)));
                }
                for (; n > 0; n--)
                        CHECK(complete(d) == 0);
                CHECK(!echoes(d));
        }
        door_close(d);
        profiles_done(p);
}

TEST(a_step_that_is_not_in_the_program_may_call_nothing)
{
        struct mv_profile p[PROFILES];
        profiles(p);
        struct door *d = door_with(p, PROFILES);
        CHECK(start(d, "other") == 0);
        CHECK(!adds(d) && !tells_time(d) && !echoes(d));
        CHECK(start(d, "math") == 0); /* and nothing that is entered from there */
        CHECK(!adds(d));
        CHECK(complete(d) == 0 && complete(d) == 0);
        /* "" is the program's own profile: no step can be it */
        CHECK(start(d, "") == 0);
        CHECK(!adds(d));
        CHECK(complete(d) == 0);
        /* a demand that is not in the program makes it another step */
        CHECK(start_demand(d, "math", "deterministic", v_bool(false)) == 0);
        CHECK(!adds(d));
        door_close(d);
        profiles_done(p);
}

TEST(a_step_that_ends_before_it_began_ends_the_cell)
{
        struct mv_profile p[PROFILES];
        profiles(p);
        struct door *d = door_with(p, PROFILES);
        CHECK(start(d, "math") == 0 && complete(d) == 0);
        CHECK(complete(d) == -MV_E_HOSTILE);
        door_close(d);
        profiles_done(p);
}

TEST(open_steps_are_bounded_and_entering_one_again_changes_nothing)
{
        struct mv_profile p[PROFILES];
        profiles(p);
        struct door *d = door_with(p, PROFILES);
        int r = 0;
        uint32_t n = 0;
        for (; r == 0 && n < 70000; n++) {
                r = start(d, "math");
                if (n == 40000)
                        CHECK(adds(d) && !tells_time(d));
        }
        CHECK(r == -MV_E_HOSTILE && n == 65537);
        door_close(d);
        profiles_done(p);
}

TEST(the_calls_of_a_step_are_counted_from_its_start)
{
        struct mv_profile p[PROFILES];
        profiles(p);
        struct door *d = door_with(p, PROFILES);
        CHECK(tells_time(d) && tells_time(d) && tells_time(d));
        CHECK(start(d, "time") == 0);
        CHECK(tells_time(d) && tells_time(d) && !tells_time(d));
        struct mv_slice kind = { NULL, 0 };
        mv_as_text(mv_map_get(d->value, "kind"), &kind);
        CHECK(mv_slice_eq_str(kind, "LimitExceeded"));
        CHECK(start(d, "time") == 0); /* again: not a new allowance */
        CHECK(!tells_time(d));
        CHECK(complete(d) == 0 && complete(d) == 0);
        CHECK(tells_time(d));
        door_close(d);
        profiles_done(p);
}

TEST(without_a_derived_profile_a_demand_still_narrows)
{
        struct door *d = door_with(NULL, 0);
        struct mv_value item = v_text("ccos.math.*"), list = v_vector(&item, 1);
        CHECK(start_demand(d, "with-security-profile", "capabilities", list) == 0);
        CHECK(adds(d) && !echoes(d));
        CHECK(complete(d) == 0);
        CHECK(echoes(d));
        /* one that cannot be kept: nothing at all */
        CHECK(start_demand(d, "with-security-profile", "memory", v_int(1)) == 0);
        CHECK(!adds(d));
        CHECK(complete(d) == 0);
        CHECK(start_demand(d, "with-security-profile", "isolation-level", v_key("isolated")) == 0);
        CHECK(!adds(d)); /* the wall is tier none */
        door_close(d);
}

/* The broker remembers a decision that arguments do not change: a step must not inherit it, nor leave its own behind. */
TEST(a_decision_that_is_remembered_is_not_the_one_of_a_step)
{
        struct door *d = door_with(NULL, 0);
        struct mv_value item = v_text("ccos.math.*"), list = v_vector(&item, 1);
        for (int i = 0; i < 3; i++) {
                CHECK(echoes(d) && echoes(d));
                CHECK(start_demand(d, "with-security-profile", "capabilities", list) == 0);
                CHECK(!echoes(d) && !echoes(d));
                CHECK(adds(d) && adds(d));
                CHECK(complete(d) == 0);
                CHECK(adds(d) && echoes(d) && echoes(d));
        }
        door_close(d);
}

TEST(many_demands_of_a_hostile_guest_cost_a_bounded_memory)
{
        struct door *d = door_with(NULL, 0);
        for (int i = 0; i < 1000; i++) {
                CHECK(start_demand(d, "s", "max-calls", v_int(i + 1)) == 0);
                CHECK(complete(d) == 0);
        }
        CHECK(adds(d));
        CHECK(start_demand(d, "s", "max-calls", v_int(5000)) == 0);
        CHECK(!adds(d)); /* beyond the bound: nothing is allowed, not everything */
        door_close(d);
}

/* --- programs behind every wall --------------------------------------------------------------- */
static struct mv_err err;
static char dir[64];

static const char *in_dir(const char *format)
{
        static char text[2048];
        size_t n = 0;
        for (const char *s = format; *s && n + sizeof dir < sizeof text; s++) {
                if (*s == '$')
                        n += (size_t)snprintf(text + n, sizeof text - n, "%s", dir);
                else
                        text[n++] = *s;
        }
        text[n] = '\0';
        return text;
}

static void make_dir(void)
{
        snprintf(dir, sizeof dir, "/tmp/microvm-steps-XXXXXX");
        if (!mkdtemp(dir))
                abort();
        FILE *f = fopen(in_dir("$/in.txt"), "w");
        fputs("hello", f);
        fclose(f);
        mkdir(in_dir("$/sub"), 0700);
        CHECK(symlink("../in.txt", in_dir("$/sub/link")) == 0);
}

static void remove_dir(void)
{
        unlink(in_dir("$/sub/link"));
        rmdir(in_dir("$/sub"));
        unlink(in_dir("$/in.txt"));
        unlink(in_dir("$/out.txt"));
        CHECK(rmdir(dir) == 0);
}

static struct mv_host *host(void)
{
        struct mv_host *h = NULL;
        if (mv_host_new(NULL, &h, &err) < 0)
                abort();
        return h;
}

static struct mv_context *context(void)
{
        struct mv_context *c = mv_context_new(MV_LEVEL_CONTROLLED);
        CHECK(mv_context_allow(c, "ccos.*", &err) == 0);
        CHECK(mv_context_allow_write(c, dir, &err) == 0);
        CHECK(mv_context_allow_host(c, "a.example", &err) == 0);
        return c;
}

static struct mv_result *run(struct mv_host *h, const char *provider, const struct mv_context *c,
                             const char *program)
{
        struct mv_execution x = { .program = mv_program_source(in_dir(program)),
                                  .context = c,
                                  .provider = provider };
        struct mv_result *r = NULL;
        return mv_execute(h, &x, &r, &err) < 0 ? NULL : r;
}

static const char *outcome(const struct mv_result *r)
{
        static char buf[512];
        char *text = r && mv_result_ok(r) ? mv_value_display(mv_result_value(r), NULL) : NULL;
        snprintf(buf, sizeof buf, "%s", text ? text : r ? mv_result_error(r)->message : err.msg);
        free(text);
        return buf;
}

/* Every program, what it gives, and one root behind every wall. */
static const struct {
        const char *program, *gives;
} programs[] = {
        { "(step \"add\" (call :ccos.math.add 1 2))", "3" },
        { "(step \"read\" (call :ccos.io.read-file \"$/in.txt\"))", "\"hello\"" },
        { "(defn rd [p] (call :ccos.io.read-file p)) (step \"indirect\" (rd \"$/in.txt\"))",
          "\"hello\"" },
        { "(defn twice [f x] (f (f x)))\n"
          "(step \"given\" (twice (fn [x] (call :ccos.math.add x 1)) 1))",
          "3" },
        { "(let [f (fn [x] (call :ccos.math.add x 1))] (step \"local\" (+ (f 1) (first (map f "
          "[2])))))",
          "5" },
        { "(step \"hof\" (map (fn [x] (call :ccos.math.add x 1)) [1 2]))", "[2 3]" },
        { "(step \"update\" (update {:n 1} :n (fn [x] (call :ccos.math.add x 1))))", "{:n 2}" },
        { "(defn pick [m] ((get m :f) 2)) (def fs {:f (fn [x] (call :ccos.math.add x 1))})\n"
          "(step \"map\" (pick fs))",
          "3" },
        { "(defn outer [f] (step \"outer\" (f)))\n"
          "(outer (fn [] (step \"inner\" (call :ccos.echo 5))))",
          "5" },
        { "(defn down [n] (step \"down\" (if (= n 0) (call :ccos.echo :end) (down (- n 1)))))\n"
          "(down 20)",
          ":end" },
        { "(def f (fn [] 1)) (def f (fn [] (call :ccos.echo 2))) (step \"redefined\" (f))", "2" },
        { "(step \"apply\" (apply (fn [a b] (call :ccos.math.add a b)) [1 2]))", "3" },
        { "(let [id (str \"ccos.\" \"echo\")] (step \"computed\" (call id 7)))", "7" },
        { "(step-parallel (call :ccos.echo 1) (call :ccos.echo 2))", "[1 2]" },
        { "(try (step-parallel (call :ccos.echo 1) (throw :stop)\n"
          "                    (call :ccos.io.write-file \"$/out.txt\" \"x\"))\n"
          "  (catch e (call :ccos.io.file-exists \"$/out.txt\")))",
          "false" },
        { "(step-if (call :ccos.echo true) (call :ccos.math.add 1 1) 0)", "2" },
        { "(try (step \"fails\" (throw :x)) (catch e (call :ccos.echo 1)))", "1" },
        { "(defmacro in-step [n b] `(step ~n ~b)) (in-step \"made\" (call :ccos.echo 3))", "3" },
        { "(with-security-profile {:deterministic true} (call :ccos.system.current-time-iso))",
          "\"2000-01-01T00:00:00Z\"" },
        { "(with-security-profile {:deterministic true}\n"
          "  (try (call :ccos.io.read-file \"$/in.txt\") (catch e (:kind e))))",
          ":security-violation" },
        { "(with-security-profile {:paths [\"$/sub\"]}\n"
          "  [(try (call :ccos.io.read-file \"$/in.txt\") (catch e :no))\n"
          "   (try (call :ccos.io.read-file \"$/sub/link\") (catch e :no))])",
          "[:no :no]" },
        { "(let [h (call :ccos.io.open-file \"$/out.txt\" \"w\")]\n"
          "  (with-security-profile {:read-only true}\n"
          "    (try (call :ccos.io.write-line h \"x\") (catch e :no))))",
          ":no" },
        { "(with-security-profile {:max-calls 1}\n"
          "  (call :ccos.echo 1) (try (call :ccos.echo 2) (catch e (:kind e))))",
          ":limit-exceeded" },
        { "(with-security-profile {:paths [\"$\"]}\n"
          "  (try (call :ccos.sandbox.shell {:code \"true\"}) (catch e :no)))",
          ":no" },
        { "(with-security-profile {:capabilities [:ccos.echo]}\n"
          "  (with-security-profile {:capabilities [:ccos.math.*]}\n"
          "    [(try (call :ccos.echo 1) (catch e :no)) (try (call :ccos.math.add 1) (catch e "
          ":no))]))",
          "[:no :no]" },
};

static unsigned walls(struct mv_host *h, const char *ret[3])
{
        static const char *const all[] = { "mock", "process", "kvm" };
        struct mv_provider_info info;
        uint32_t at;
        unsigned n = 0;
        for (unsigned i = 0; i < 3; i++)
                if (mv_host_provider_find(h, all[i], &at) == 0 &&
                    mv_host_provider_info(h, at, &info, &err) == 0 && info.available)
                        ret[n++] = all[i];
        return n;
}

TEST(steps_give_one_value_and_one_root_behind_every_wall) /* REQ-LANG-12 */
{
        struct mv_host *h = host();
        const char *wall[3];
        unsigned n = walls(h, wall);
        make_dir();
        struct mv_context *c = context();
        for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
                uint8_t root[32];
                for (unsigned w = 0; w < n; w++) {
                        struct mv_result *r = run(h, wall[w], c, programs[i].program);
                        CHECK_STR(outcome(r), programs[i].gives);
                        if (r && w == 0)
                                memcpy(root, mv_result_root(r), 32);
                        /* the numbers of handles are random, and a call's arguments */
                        bool handle = strstr(programs[i].program, "open-file") != NULL;
                        CHECK(r && (handle || memcmp(root, mv_result_root(r), 32) == 0));
                        mv_result_free(r);
                }
        }
        mv_context_free(c);
        remove_dir();
        mv_host_free(h);
}

TEST(a_demand_that_cannot_be_kept_is_refused_before_the_run) /* REQ-STEP-08 */
{
        struct mv_host *h = host();
        make_dir();
        struct mv_context *c = context();
        CHECK(!run(h, "mock", c,
                   "(call :ccos.io.write-file \"$/out.txt\" \"x\")\n"
                   "(with-security-profile {:memory 1} 1)"));
        CHECK(err.code == MV_E_UNSUPPORTED && strstr(err.msg, "line 2, column 1"));
        uint32_t walls_here = h->entries_count;
        h->entries_count = 1; /* mock alone */
        CHECK(!run(h, "mock", c,
                   "(call :ccos.io.write-file \"$/out.txt\" \"x\")\n"
                   "(with-security-profile {:isolation-level :isolated} 1)"));
        h->entries_count = walls_here;
        CHECK(err.code == MV_E_UNAVAILABLE);
        CHECK(strstr(err.msg, "2:1: step 'with-security-profile' demands isolation-level process, "
                              "the run's wall 'mock' is tier none"));
        CHECK(strstr(err.msg, "lower the level"));
        CHECK(!run(h, "mock", c, "(with-security-profile {:hots []} 1)"));
        CHECK(err.code == MV_E_INVALID && strstr(err.msg, "did you mean :hosts?"));
        CHECK(access(in_dir("$/out.txt"), F_OK) < 0); /* nothing ran */
        struct mv_result *r =
                run(h, "process", c, "(with-security-profile {:isolation-level :sandboxed} 1)");
        if (r)
                CHECK_STR(outcome(r), "1");
        mv_result_free(r);
        r = run(h, NULL, c, "(with-security-profile {:isolation-level :isolated} 1)");
        CHECK(r && mv_result_tier(r) >= MV_TIER_PROCESS);
        mv_result_free(r);
        mv_context_free(c);
        remove_dir();
        mv_host_free(h);
}

TEST(the_time_of_a_step_ends_it_and_not_the_rest)
{
        struct mv_host *h = host();
        const char *wall[3];
        unsigned n = walls(h, wall);
        for (unsigned w = 0; w < n; w++) {
                struct mv_result *r =
                        run(h, wall[w], NULL,
                            "(with-security-profile {:timeout-ms 50}\n"
                            "  (loop [i 0] (if (< i 100000000000) (recur (+ i 1)) i)))");
                CHECK(r && mv_result_termination(r) == MV_END_TIMEOUT);
                CHECK_STR(outcome(r), "time limit of a step reached");
                mv_result_free(r);
                r = run(h, wall[w], NULL,
                        "(with-security-profile {:timeout-ms 50} 1)\n"
                        "(loop [i 0] (if (< i 2000000) (recur (+ i 1)) i))");
                CHECK_STR(outcome(r), "2000000");
                mv_result_free(r);
        }
        mv_host_free(h);
}

/* Same program, granted and recorded: what stands in the record of a step. */
TEST(profiles_are_recorded_before_the_program_starts) /* REQ-STEP-01, -09 */
{
        char store[80];
        make_dir();
        snprintf(store, sizeof store, "%s.audit", dir);
        struct mv_host_options o = { .audit_path = store, .audit_no_sync = true };
        struct mv_host *h = NULL;
        REQUIRE(mv_host_new(&o, &h, &err) == 0);
        struct mv_context *c = context();
        struct mv_result *r =
                run(h, "mock", c, "(step \"read\" (call :ccos.io.read-file \"$/in.txt\"))");
        CHECK_STR(outcome(r), "\"hello\"");
        mv_result_free(r);
        mv_context_free(c);
        mv_host_free(h);
        struct mv_audit_reader *reader;
        struct mv_audit_record rec;
        struct mv_arena a = mv_arena_grow(1 << 20);
        REQUIRE(mv_audit_reader_open(store, &reader, &err) == 0);
        enum mv_record_type seen[16];
        uint32_t n = 0, profile = UINT32_MAX;
        while (n < 16 && mv_audit_read(reader, &rec, &err) == 1) {
                const struct mv_value *v;
                struct mv_slice s = { NULL, 0 };
                seen[n] = rec.type;
                if (rec.type == MV_REC_STEP_PROFILE) {
                        profile = n;
                        CHECK(mv_value_decode(rec.semantic, &a, &v, &err) == 0);
                        mv_as_text(mv_map_get(v, "step"), &s);
                        CHECK(mv_slice_eq_str(s, "read"));
                        mv_as_text(mv_map_get(v, "isolation"), &s);
                        CHECK(mv_slice_eq_str(s, "isolated"));
                        mv_as_text(mv_map_get(v, "limits"), &s);
                        CHECK(mv_slice_eq_str(s, "time: 5000ms, mem: 64MB, cpu: 1x"));
                        mv_as_text(mv_seq_at(mv_map_get(v, "reads"), 0), &s);
                        CHECK(mv_slice_eq_str(s, in_dir("$/in.txt")));
                        mv_as_text(mv_map_get(v, "profile_id"), &s);
                        CHECK(mv_slice_starts(s, "profile-read-"));
                }
                n++;
        }
        CHECK(profile == 2 && seen[0] == MV_REC_EXECUTION_STARTED && seen[1] == MV_REC_DECISION &&
              seen[3] == MV_REC_STEP);
        mv_audit_reader_close(reader);
        mv_arena_done(&a);
        unlink(store);
        snprintf(store, sizeof store, "%s.audit.key", dir);
        unlink(store);
        remove_dir();
}

TEST(in_a_session_a_demand_holds_and_steps_are_the_contexts)
{
        struct mv_host *h = host();
        make_dir();
        struct mv_context *c = context();
        struct mv_session *s = NULL;
        REQUIRE(mv_session_open(h, &(struct mv_session_options){ .context = c, .provider = "mock" },
                                &s, &err) == 0);
        static const char *const texts[][2] = {
                { "(defn f [] (step \"s\" (call :ccos.echo 4)))", NULL },
                { "(f)", "4" },
                { "(with-security-profile {:capabilities [:ccos.math.add]}\n"
                  "  (try (f) (catch e (:kind e))))",
                  ":security-violation" },
                { "(f)", "4" },
                /* a wall that the session has not got: not entered at all */
                { "(try (with-security-profile {:isolation-level :vm} (f)) (catch e (:kind e)))",
                  ":security-violation" },
                { "(with-security-profile {:isolation-level :inherit} (f))", "4" },
        };
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
                struct mv_result *r = NULL;
                struct mv_evaluation v = { .program = mv_program_source(texts[i][0]),
                                           .context = c };
                CHECK(mv_session_eval(s, &v, &r, &err) == 0 && mv_result_ok(r));
                if (texts[i][1])
                        CHECK_STR(outcome(r), texts[i][1]);
                mv_result_free(r);
        }
        mv_session_close(s);
        mv_context_free(c);
        remove_dir();
        mv_host_free(h);
}
