/* SPDX-License-Identifier: Apache-2.0 */
/* What a program says about itself, and who is shown it (REQ-SEC-13): "test.seen" answers with what it is shown. */
#include "../walls.h"
#include "test.h"
#include <audit/audit.h>
#include <host/host.h>
#include <stdlib.h>
#include <wire/cbor.h>

static int seen(struct mv_call *call, const struct mv_value *args, uint32_t count,
                struct mv_value *ret)
{
        const struct mv_value *shown = mv_call_program_context(call);
        if (shown)
                *ret = *shown;
        return 0;
}

static struct mv_host *seeing_host(void)
{
        static const struct mv_capability c[] = {
                { .id = "test.seen", .args_max = 9, .call = seen, .tags = "billing seen" },
                { .id = "test.other.seen", .args_max = 9, .call = seen },
        };
        struct mv_host *h = test_host();
        if (!h || mv_host_add_capability(h, &c[0], &err) < 0 ||
            mv_host_add_capability(h, &c[1], &err) < 0)
                abort();
        return h;
}

static struct mv_context *exposing(const char *to)
{
        struct mv_context *c = mv_context_new(MV_LEVEL_CONTROLLED);
        CHECK(mv_context_allow(c, "test.*", &err) == 0);
        CHECK(!to || mv_context_expose(c, to, &err) == 0);
        mv_context_give(c, MV_TEST_PATIENT);
        return c;
}

static const struct mv_entry variable_entries[] = {
        { { .kind = MV_STRING, .text = MV_SLICE("region") },
          { .kind = MV_STRING, .text = MV_SLICE("eu") } },
        { { .kind = MV_STRING, .text = MV_SLICE("tenant") },
          { .kind = MV_STRING, .text = MV_SLICE("a") } },
};
static const struct mv_value variables = { .kind = MV_MAP,
                                           .count = 2,
                                           .entries = variable_entries };

/* Display form of the value, or the kind of the error. */
static const char *shown(const struct mv_result *r)
{
        static char buf[4096];
        char *text = r && mv_result_ok(r) ? mv_value_display(mv_result_value(r), NULL) : NULL;
        snprintf(buf, sizeof buf, "%s", text ? text : r ? mv_result_error(r)->kind : err.msg);
        free(text);
        return buf;
}

static const char *run(struct mv_host *h, const char *wall, const char *to, const char *program)
{
        struct mv_context *c = exposing(to);
        struct mv_result *r = NULL;
        struct mv_execution x = { .program = mv_program_source(program),
                                  .context = c,
                                  .provider = wall,
                                  .variables = &variables };
        const char *text = shown(mv_execute(h, &x, &r, &err) < 0 ? NULL : r);
        mv_result_free(r);
        mv_context_free(c);
        return text;
}

TEST(the_context_of_a_program_is_shown_to_whom_the_policy_names_and_to_nobody_else)
{
        static const struct {
                const char *to, *capability, *sees;
        } rows[] = {
                { NULL, "test.seen", "nil" },
                { "test.seen", "test.seen", "{\"region\" \"eu\" \"tenant\" \"a\"}" },
                { ":test.seen", "test.seen", "{\"region\" \"eu\" \"tenant\" \"a\"}" },
                { "test.seen", "test.other.seen", "nil" },
                { "test.other.*", "test.other.seen", "{\"region\" \"eu\" \"tenant\" \"a\"}" },
                { "test.other.*", "test.seen", "nil" },
                { "tag:billing", "test.seen", "{\"region\" \"eu\" \"tenant\" \"a\"}" },
                { "tag:seen", "test.seen", "{\"region\" \"eu\" \"tenant\" \"a\"}" },
                { "tag:bill", "test.seen", "nil" },
                { "tag:billings", "test.seen", "nil" },
                { "tag:seen", "test.other.seen", "nil" },
        };
        struct mv_host *h = seeing_host();
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                char program[80];
                snprintf(program, sizeof program, "(call \"%s\")", rows[i].capability);
                CHECK_STR(run(h, "mock", rows[i].to, program), rows[i].sees);
        }
        mv_host_free(h);
}

TEST(what_names_nobody_is_no_exposure)
{
        static const char *const bad[] = { "",         "*",        "tag:",      "tag:two words",
                                           "a..b",     "tag:\x01", "test.se*n", "other:x",
                                           "test seen" };
        struct mv_context *c = exposing(NULL), *pure = mv_context_new(MV_LEVEL_PURE);
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
                CHECK(mv_context_expose(c, bad[i], &err) == -(int)MV_E_INVALID);
        CHECK(mv_context_expose(c, NULL, &err) == -(int)MV_E_INVALID);
        CHECK(mv_context_expose(pure, "test.seen", &err) == -(int)MV_E_INVALID);
        mv_context_free(c);
        mv_context_free(pure);
}

/* at_level */
static const struct {
        const char *program, *gives;
} programs[] = {
        { "(context/set :n 1) (context/set \"tenant\" [2 3]) (call :test.seen)",
          "{\"n\" 1 \"region\" \"eu\" \"tenant\" [2 3]}" },
        { "(context/set :n 1) (context/set 'n 2) [(:n (call :test.seen)) (get (call :test.seen) "
          "\"n\")]",
          "[nil 2]" },
        /* a step hides it, or some of it; the innermost one counts, and only while it is open */
        { "[(step \"s\" :expose-context false (call :test.seen)) (call :test.seen)]",
          "[nil {\"region\" \"eu\" \"tenant\" \"a\"}]" },
        { "(step \"s\" :expose-context true :context-keys [\"tenant\" \"none\"] (call :test.seen))",
          "{\"tenant\" \"a\"}" },
        { "(step \"s\" :expose-context true :context-keys [] (call :test.seen))", "{}" },
        { "(step \"s\" :expose-context false (step \"t\" :expose-context true (call :test.seen)))",
          "{\"region\" \"eu\" \"tenant\" \"a\"}" },
        { "(step \"s\" :expose-context true :context-keys [\"tenant\"] (step \"t\" (call "
          ":test.seen)))",
          "{\"tenant\" \"a\"}" },
        { "(try (step \"s\" :expose-context false (throw 1)) (catch e (call :test.seen)))",
          "{\"region\" \"eu\" \"tenant\" \"a\"}" },
        { "(step-if :expose-context false true (call :test.seen) 1)", "nil" },
        { "(step-parallel :expose-context true :context-keys [\"region\"] (call :test.seen))",
          "[{\"region\" \"eu\"}]" },
        /* a step shows it to nobody whom the policy does not name */
        { "(step \"s\" :expose-context true (call :test.other.seen))", "nil" },
        /* what a step with a wall of its own sets is gone behind it */
        { "(context/set :n 1)\n"
          "[(with-security-profile {:isolation-level $} (context/set :n 2) (context/set :m 3) "
          "(call :test.seen))\n"
          " (call :test.seen)]",
          "[{\"m\" 3 \"n\" 2 \"region\" \"eu\" \"tenant\" \"a\"} {\"n\" 1 \"region\" \"eu\" "
          "\"tenant\" \"a\"}]" },
        { "(step \"s\" :expose-context true :context-keys [\"n\"]\n"
          "  (try (with-security-profile {:isolation-level $} (context/set :n 2) (throw (call "
          ":test.seen)))\n"
          "    (catch e [(:data e) (call :test.seen)])))",
          "[{\"n\" 2} {}]" },
        { "(with-security-profile {:isolation-level $} (step \"s\" :expose-context false\n"
          "  (with-security-profile {:isolation-level $} (call :test.seen))))",
          "nil" },
};

TEST(what_is_shown_is_what_the_program_said_behind_every_wall)
{
        struct mv_host *h = seeing_host();
        const char *level = usable[3] ? ":vm" : ":process"; /* behind mock in a cell of its own */
        for (size_t w = 0; w < WALLS_COUNT; w++)
                for (size_t i = 0; usable[w] && i < sizeof programs / sizeof *programs; i++)
                        CHECK_STR(
                                run(h, names[w], "test.seen", at_level(programs[i].program, level)),
                                programs[i].gives);
        mv_host_free(h);
}

TEST(more_than_is_kept_ends_the_calls_that_would_be_shown_it)
{
        static const char *const large[] = {
                "(dotimes [i 300] (context/set (str \"k\" i) i))",
                "(def v (range 0 40000)) (dotimes [i 9] (context/set (str \"k\" i) v))",
        };
        struct mv_host *h = seeing_host();
        for (size_t i = 0; i < 2; i++) {
                char program[256];
                snprintf(program, sizeof program,
                         "%s [(call :test.other.seen) (try (call :test.seen) (catch e [(:kind e) "
                         "(:message e)]))]",
                         large[i]);
                const char *is = run(h, "mock", "test.seen", program);
                CHECK(strncmp(is, "[nil [:limit-exceeded", 21) == 0);
                CHECK(strstr(is, "test.seen is shown the program's context, and that is more than "
                                 "256 values or 4 MiB"));
        }
        /* the same key again takes no more room */
        CHECK_STR(run(h, "mock", "test.seen",
                      "(dotimes [i 2000] (context/set :k i)) (get (call :test.seen) \"k\")"),
                  "1999");
        mv_host_free(h);
}

/* The observed part of the CALL record. */
TEST(which_keys_were_shown_is_on_record_and_no_root_depends_on_it)
{
        static const uint8_t wanted[] = "\xa1\x67"
                                        "exposed\x82\x66region\x66tenant";
        struct mv_host *h = seeing_host();
        uint8_t roots[2][32];
        for (int i = 0; i < 2; i++) {
                struct mv_context *c = exposing("test.seen");
                struct mv_result *r = NULL;
                struct mv_execution x = { .program = mv_program_source("(call :test.seen)"),
                                          .context = c,
                                          .provider = "mock",
                                          .variables = &variables };
                REQUIRE(mv_execute(h, &x, &r, &err) == 0);
                memcpy(roots[i], mv_result_root(r), 32);
                mv_result_free(r);
                mv_context_free(c);
        }
        CHECK(memcmp(roots[0], roots[1], 32) == 0);
        struct mv_audit_reader *reader;
        struct mv_audit_record rec;
        int found = 0;
        REQUIRE(mv_audit_reader_of(h->audit, &reader, &err) == 0);
        while (mv_audit_read(reader, &rec, &err) == 1)
                found += rec.type == MV_REC_CALL &&
                         mv_slice_eq(rec.observed, mv_slice(wanted, sizeof wanted - 1));
        CHECK(found == 2);
        mv_audit_reader_close(reader);
        mv_host_free(h);
}

static const char *eval(struct mv_session *s, struct mv_context *c, const char *text)
{
        struct mv_result *r = NULL;
        struct mv_evaluation v = { .program = mv_program_source(text), .context = c };
        const char *is = shown(mv_session_eval(s, &v, &r, &err) < 0 ? NULL : r);
        mv_result_free(r);
        return is;
}

TEST(in_a_session_it_stays_as_long_as_the_cell_does)
{
        struct mv_host *h = seeing_host();
        struct mv_context *c = exposing("test.seen"), *none = exposing(NULL);
        for (size_t w = 0; w < 4; w++) {
                struct mv_session *s;
                struct mv_session_options o = { .context = c,
                                                .provider = names[w],
                                                .variables = &variables };
                if (!usable[w] || strcmp(names[w], "wasm") == 0)
                        continue;
                REQUIRE(mv_session_open(h, &o, &s, &err) == 0);
                CHECK_STR(eval(s, none, "(context/set :n 1) (call :test.seen)"), "nil");
                CHECK_STR(eval(s, c, "(call :test.seen)"),
                          "{\"n\" 1 \"region\" \"eu\" \"tenant\" \"a\"}");
                CHECK_STR(eval(s, c, "(step \"s\" :expose-context false (/ 1 0))"),
                          "DivisionByZero");
                CHECK_STR(eval(s, c, "(call :test.seen)"),
                          "{\"n\" 1 \"region\" \"eu\" \"tenant\" \"a\"}");
                mv_session_close(s);
        }
        mv_context_free(none);
        mv_context_free(c);
        mv_host_free(h);
}
