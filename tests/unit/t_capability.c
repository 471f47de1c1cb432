/* SPDX-License-Identifier: Apache-2.0 */
#include "../fake_call.h"
#include <base/limits.h>
#include <stdlib.h>
#include <time.h>

static struct mv_capability_table *table(void)
{
        struct mv_capability_table *t;
        struct mv_err err;
        return mv_capability_table_new(&t, &err) == 0 ? t : NULL;
}

static const char *found(const struct mv_capability_table *t, const char *text)
{
        const struct mv_capability *c = mv_capability_find(t, mv_slice_str(text));
        return c ? c->id : NULL;
}

static int answer_7(struct mv_call *call, const struct mv_value *args, uint32_t n,
                    struct mv_value *ret)
{
        *ret = v_int(7);
        return 0;
}

TEST(the_table_is_sorted_and_every_descriptor_is_complete) /* REQ-CAP-08 */
{
        struct mv_capability_table *t = table();
        CHECK(mv_capability_count(t) >= 22);
        for (uint32_t i = 0; i < mv_capability_count(t); i++) {
                const struct mv_capability *c = mv_capability_at(t, i);
                CHECK(i == 0 || strcmp(mv_capability_at(t, i - 1)->id, c->id) < 0);
                CHECK(c->arguments && c->arguments[0] == '(');
                CHECK(c->result && c->result[0] && c->summary &&
                      c->summary[strlen(c->summary) - 1] == '.');
                CHECK(c->args_min <= c->args_max && c->call);
                CHECK(!(c->pure && c->effects));
                CHECK_STR(found(t, c->id), c->id);
        }
        CHECK(!mv_capability_at(t, mv_capability_count(t)));
        mv_capability_table_free(t);
}

TEST(every_built_in_id_has_its_short_and_its_slashed_spelling) /* */
{
        struct mv_capability_table *t = table();
        for (uint32_t i = 0; i < mv_capability_count(t); i++) {
                const char *id = mv_capability_at(t, i)->id;
                char spelling[100];
                CHECK_STR(found(t, id + 5), id);
                snprintf(spelling, sizeof spelling, ":%s", id + 5);
                CHECK_STR(found(t, spelling), id);
                snprintf(spelling, sizeof spelling, "%s", id);
                *strrchr(spelling, '.') = '/';
                CHECK_STR(found(t, spelling), id);
        }
        mv_capability_table_free(t);
}

TEST(listed_aliases_reach_their_capability)
{
        struct mv_capability_table *t = table();
        CHECK_STR(found(t, "math.add"), "ccos.math.add");
        CHECK_STR(found(t, ":math.add"), "ccos.math.add");
        CHECK_STR(found(t, "file.read"), "ccos.io.read-file");
        CHECK_STR(found(t, "file/read"), "ccos.io.read-file");
        CHECK_STR(found(t, "ccos.io/read-file"), "ccos.io.read-file");
        CHECK_STR(found(t, "ccos.json.parse"), "ccos.data.parse-json");
#ifdef MV_HAVE_CURL
        CHECK_STR(found(t, "http.fetch"), "ccos.network.http-fetch");
        CHECK_STR(found(t, "http-fetch"), "ccos.network.http-fetch");
        CHECK_STR(found(t, "ccos.http.fetch"), "ccos.network.http-fetch");
#endif
        mv_capability_table_free(t);
}

TEST(an_alias_is_exact_and_nothing_near_it_is_accepted)
{
        struct mv_capability_table *t = table();
        static const char *const strangers[] = { "",
                                                 ":",
                                                 "::math.add",
                                                 "math",
                                                 "Math.add",
                                                 "math.add ",
                                                 "ccos.",
                                                 "ccos",
                                                 "ccos.math",
                                                 "ccos.math.add.x",
                                                 "ccos.ccos.math.add",
                                                 ".math.add",
                                                 "math..add",
                                                 "math\\add" };
        for (size_t i = 0; i < sizeof strangers / sizeof strangers[0]; i++)
                CHECK(!found(t, strangers[i]));
        CHECK(!mv_capability_find(t, mv_slice("ccos.math.add\0x", 15)));
        mv_capability_table_free(t);
}

TEST(a_slip_of_the_pen_is_recognised_and_a_stranger_is_not) /* REQ-CAP-13 */
{
        struct mv_capability_table *t = table();
        CHECK_STR(mv_capability_nearest(t, mv_slice_str("ccos.math.ad")), "ccos.math.add");
        CHECK_STR(mv_capability_nearest(t, mv_slice_str(":math.addd")), "ccos.math.add");
        CHECK_STR(mv_capability_nearest(t, mv_slice_str("ccos.io.readfile")), "ccos.io.read-file");
        CHECK(!mv_capability_nearest(t, mv_slice_str("completely.different.thing")));
        CHECK(!mv_capability_nearest(t, mv_slice_str("")));
        char lots[5000];
        memset(lots, 'c', sizeof lots);
        CHECK(!mv_capability_nearest(t, mv_slice(lots, sizeof lots)));
        mv_capability_table_free(t);
}

TEST(an_embedder_can_add_but_never_replace)
{
        struct mv_capability_table *t = table();
        struct mv_err err;
        char id[] = "acme.answer";
        struct mv_capability c = { .id = id, .call = answer_7, .args_max = 1 };
        CHECK(mv_capability_table_add(t, &c, &err) == 0);
        id[0] = 'x'; /* copied */
        CHECK_STR(found(t, "acme.answer"), "acme.answer");
        CHECK(!found(t, "answer") && !found(t, "acme/answer"));
        c.id = "acme.answer";
        CHECK(mv_capability_table_add(t, &c, &err) == -MV_E_EXISTS);
        c.id = "ccos.io.read-file";
        CHECK(mv_capability_table_add(t, &c, &err) == -MV_E_EXISTS);
        c.id = "math.add"; /* what programs already say */
        CHECK(mv_capability_table_add(t, &c, &err) == -MV_E_EXISTS);
        CHECK_STR(err.msg, "capability math.add exists already, as an alias of ccos.math.add");
        mv_capability_table_free(t);
}

TEST(an_unusable_descriptor_is_refused)
{
        struct mv_capability_table *t = table();
        struct mv_err err;
        char lots[MV_CAPABILITY_ID_MAX + 2];
        memset(lots, 'a', sizeof lots);
        lots[sizeof lots - 1] = '\0';
        const char *const ids[] = { NULL, "", ":a", "a b", "a\nb", "caf\xc3\xa9", "a.*", lots };
        for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
                struct mv_capability c = { .id = ids[i], .call = answer_7 };
                CHECK(mv_capability_table_add(t, &c, &err) == -MV_E_INVALID);
        }
        struct mv_capability no_call = { .id = "a.b" };
        CHECK(mv_capability_table_add(t, &no_call, &err) == -MV_E_INVALID);
        struct mv_capability backwards = {
                .id = "a.b", .call = answer_7, .args_min = 2, .args_max = 1
        };
        CHECK(mv_capability_table_add(t, &backwards, &err) == -MV_E_INVALID);
        mv_capability_table_free(t);
}

TEST(a_wrong_number_of_arguments_names_what_is_expected) /* REQ-CAP-07 */
{
        struct fake f;
        struct mv_value r;
        fake_init(&f, MV_LEVEL_CONTROLLED);
        CHECK(fake_call(&f, "ccos.io.read-file", NULL, 0, &r) < 0);
        CHECK_STR(f.text, "Arity mismatch in ccos.io.read-file: expected 1, got 0");
        CHECK(fake_call(&f, "ccos.math.add", NULL, 0, &r) < 0);
        CHECK_STR(f.text, "Arity mismatch in ccos.math.add: expected at least 1, got 0");
        CHECK(fake_call(&f, "ccos.io.open-file", NULL, 0, &r) < 0);
        CHECK_STR(f.text, "Arity mismatch in ccos.io.open-file: expected between 1 and 2, got 0");
        fake_done(&f);
}

TEST(a_wrong_kind_of_argument_names_both_kinds) /* REQ-CAP-07 */
{
        struct fake f;
        struct mv_value r;
        fake_init(&f, MV_LEVEL_CONTROLLED);
        CHECK(FAKE_CALL(&f, "ccos.io.read-file", &r, v_int(1)) < 0);
        CHECK_STR(f.text, "Type error in ccos.io.read-file: expected string, got integer");
        CHECK(FAKE_CALL(&f, "ccos.io.write-line", &r, v_int(1), v_int(2)) < 0);
        CHECK_STR(f.text, "Type error in ccos.io.write-line: expected string, got integer");
        CHECK(FAKE_CALL(&f, "ccos.system.sleep-ms", &r, v_text("1")) < 0);
        CHECK_STR(f.text, "Type error in ccos.system.sleep-ms: expected integer, got string");
        CHECK(FAKE_CALL(&f, "ccos.string.concat", &r, v_text("a"), v_text("b"), v_int(3)) < 0);
        CHECK_STR(f.text, "Type error in ccos.string.concat: expected string, got integer");
        CHECK(FAKE_CALL(&f, "ccos.io.mkdir", &r, v_text("/a"), v_int(3)) < 0);
        CHECK_STR(f.text, "Type error in ccos.io.mkdir: expected boolean, got integer");
        fake_done(&f);
}

TEST(adding_takes_arguments_a_list_or_a_map) /* REQ-CAP-43 */
{
        struct fake f;
        struct mv_value r, three[] = { v_int(1), v_int(2), v_int(3) };
        struct mv_entry ab[] = { { v_key("a"), v_int(40) }, { v_key("b"), v_int(2) } };
        fake_init(&f, MV_LEVEL_CONTROLLED);
        CHECK(FAKE_CALL(&f, "math.add", &r, v_int(1), v_int(-4)) == 0 && r.integer == -3);
        struct mv_value list = { .kind = MV_LIST, .count = 3, .items = three };
        CHECK(FAKE_CALL(&f, "math.add", &r, list) == 0 && r.kind == MV_INT && r.integer == 6);
        CHECK(FAKE_CALL(&f, "math.add", &r, v_map(ab, 2)) == 0 && r.integer == 42);
        CHECK(FAKE_CALL(&f, "math.add", &r, v_map(ab, 1)) < 0);
        CHECK_STR(f.text, "Type error in ccos.math.add: expected integer, got nil");
        CHECK(FAKE_CALL(&f, "math.add", &r, v_int(1), v_text("2")) < 0);
        CHECK_STR(f.text, "Type error in ccos.math.add: expected integer, got string");
        fake_done(&f);
}

TEST(adding_overflows_into_an_error)
{
        struct fake f;
        struct mv_value r;
        fake_init(&f, MV_LEVEL_CONTROLLED);
        CHECK(FAKE_CALL(&f, "math.add", &r, v_int(INT64_MAX), v_int(1)) < 0);
        CHECK_STR(f.fault.kind, "IntegerOverflow");
        CHECK_STR(f.text, "Integer overflow in ccos.math.add");
        CHECK(FAKE_CALL(&f, "math.add", &r, v_int(INT64_MIN), v_int(INT64_MAX)) == 0 &&
              r.integer == -1);
        fake_done(&f);
}

TEST(echo_concat_and_json_do_what_they_say) /* REQ-CAP-41, -44 */
{
        struct fake f;
        struct mv_value r;
        fake_init(&f, MV_LEVEL_CONTROLLED);
        CHECK(fake_call(&f, "ccos.echo", NULL, 0, &r) == 0 && r.kind == MV_NIL);
        CHECK(FAKE_CALL(&f, "ccos.echo", &r, v_text("x")) == 0 && is_text(&r, "x"));
        CHECK(FAKE_CALL(&f, "ccos.string.concat", &r, v_text("a"), v_text(""), v_text("bc")) == 0 &&
              is_text(&r, "abc"));
        CHECK(fake_call(&f, "ccos.string.concat", NULL, 0, &r) == 0 && is_text(&r, ""));
        CHECK(FAKE_CALL(&f, "ccos.data.parse-json", &r, v_text("{\"a\": [1, 2.5, null]}")) == 0 &&
              r.kind == MV_MAP);
        struct mv_value parsed = r;
        CHECK(FAKE_CALL(&f, "ccos.data.serialize-json", &r, parsed) == 0 &&
              is_text(&r, "{\"a\":[1,2.5,null]}"));
        CHECK(FAKE_CALL(&f, "ccos.data.parse-json", &r, v_text("{\"a\"")) < 0);
        CHECK_STR(f.fault.kind, "JsonError");
        CHECK(strncmp(f.text, "JSON error: ", 12) == 0);
        struct mv_value function = { .kind = MV_FUNCTION };
        CHECK(FAKE_CALL(&f, "ccos.data.serialize-json", &r, function) < 0);
        CHECK_STR(f.fault.kind, "JsonError");
        fake_done(&f);
}

TEST(a_json_text_larger_than_the_first_buffer_is_whole)
{
        struct fake f;
        struct mv_value r;
        size_t n = 100000;
        char *big = malloc(n + 1);
        fake_init(&f, MV_LEVEL_CONTROLLED);
        memset(big, 'x', n);
        big[n] = '\0';
        CHECK(FAKE_CALL(&f, "ccos.data.serialize-json", &r, v_text(big)) == 0 &&
              r.text.len == n + 2);
        f.limits.memory_bytes_max = 50000;
        CHECK(FAKE_CALL(&f, "ccos.data.serialize-json", &r, v_text(big)) < 0);
        CHECK_STR(f.text, "JSON error: the text is longer than the memory limit of 50000 bytes");
        free(big);
        fake_done(&f);
}

TEST(output_has_its_exact_prefix_and_display_forms) /* REQ-CAP-40 */
{
        struct fake f;
        struct mv_value r;
        fake_init(&f, MV_LEVEL_CONTROLLED);
        CHECK(FAKE_CALL(&f, "ccos.io.log", &r, v_text("a"), v_int(2), v_key("k")) == 0 &&
              r.kind == MV_NIL);
        CHECK(FAKE_CALL(&f, "ccos.io.print", &r, v_text("b"), v_bool(true)) == 0);
        CHECK(FAKE_CALL(&f, "ccos.io.println", &r, v_text("c")) == 0);
        CHECK_STR(f.output, "[CCOS-LOG] a 2 :k\nb truec\n");
        CHECK(fake_call(&f, "ccos.io.println", NULL, 0, &r) < 0);
        CHECK_STR(f.fault.kind, "ArityMismatch");
        fake_done(&f);
}

TEST(output_beyond_the_limit_keeps_its_beginning_and_says_so)
{
        struct fake f;
        struct mv_value r;
        char big[3000];
        fake_init(&f, MV_LEVEL_CONTROLLED);
        memset(big, 'x', sizeof big);
        big[sizeof big - 1] = '\0';
        CHECK(FAKE_CALL(&f, "ccos.io.print", &r, v_text(big)) < 0);
        CHECK_STR(f.fault.kind, "OutputExhausted");
        CHECK(strstr(f.text, "1024 bytes; raise --max-output"));
        CHECK(f.output_len == 1024);
        fake_done(&f);
}

TEST(the_clock_answers_integers_and_text) /* REQ-CAP-31, -32, X-10 */
{
        struct fake f;
        struct mv_value s, ms, iso;
        fake_init(&f, MV_LEVEL_CONTROLLED);
        CHECK(fake_call(&f, "ccos.system.current-time", NULL, 0, &s) == 0 && s.kind == MV_INT);
        CHECK(fake_call(&f, "ccos.system.current-timestamp-ms", NULL, 0, &ms) == 0 &&
              ms.kind == MV_INT);
        CHECK(fake_call(&f, "ccos.system.current-time-iso", NULL, 0, &iso) == 0 &&
              iso.text.len == 20);
        CHECK(s.integer >= time(NULL) - 5 && s.integer <= time(NULL));
        CHECK(ms.integer / 1000 - s.integer <= 5);
        fake_done(&f);
}

static uint64_t monotonic_ns(void)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

TEST(sleeping_respects_sign_deadline_and_cancel) /* REQ-CAP-33 */
{
        struct fake f;
        struct mv_value r;
        fake_init(&f, MV_LEVEL_CONTROLLED);
        CHECK(FAKE_CALL(&f, "ccos.system.sleep-ms", &r, v_int(-1)) < 0);
        CHECK_STR(f.fault.kind, "InvalidArgument");
        CHECK_STR(f.fault.message, "Sleep duration cannot be negative");
        uint64_t start = monotonic_ns();
        CHECK(FAKE_CALL(&f, "ccos.system.sleep-ms", &r, v_int(20)) == 0 && r.kind == MV_NIL);
        CHECK(monotonic_ns() - start >= 20000000u);
        f.deadline_ns = monotonic_ns() + 30000000u;
        CHECK(FAKE_CALL(&f, "ccos.system.sleep-ms", &r, v_int(INT64_MAX)) < 0);
        CHECK_STR(f.text, "Runtime error: sleep-ms: the execution's deadline came first");
        CHECK(monotonic_ns() < f.deadline_ns + MV_TEST_SOON_NS);
        f.deadline_ns = 0;
        f.cancel = 1;
        CHECK(FAKE_CALL(&f, "ccos.system.sleep-ms", &r, v_int(60000)) < 0);
        CHECK_STR(f.text, "Runtime error: sleep-ms: the execution was cancelled");
        fake_done(&f);
}

TEST(only_granted_variables_are_read) /* REQ-CAP-30, REQ-AUTH-11 */
{
        struct fake f;
        struct mv_value r;
        struct mv_err err;
        fake_init(&f, MV_LEVEL_CONTROLLED);
        setenv("MV_TEST_PASSED", "from the host", 1);
        mv_context_allow_env(f.context, "MV_TEST_PASSED", &err);
        mv_context_allow_env(f.context, "MV_TEST_ABSENT", &err);
        mv_context_allow_env(f.context, "MV_TEST_GIVEN=literal", &err);
        CHECK(FAKE_CALL(&f, "ccos.system.get-env", &r, v_text("MV_TEST_PASSED")) == 0 &&
              is_text(&r, "from the host"));
        CHECK(FAKE_CALL(&f, "ccos.system.get-env", &r, v_text("MV_TEST_ABSENT")) == 0 &&
              r.kind == MV_NIL);
        CHECK(FAKE_CALL(&f, "ccos.system.get-env", &r, v_text("MV_TEST_GIVEN")) == 0 &&
              is_text(&r, "literal"));
        CHECK(FAKE_CALL(&f, "ccos.system.get-env", &r, v_text("PATH")) < 0);
        CHECK(strncmp(f.text, "Security violation: ", 20) == 0);
        CHECK_STR(f.decision.hint, "--env PATH");
        CHECK_STR(f.decision.permissions[0], "ccos.system.get-env");
        CHECK_STR(f.decision.permissions[1], "ccos.system.environment");
        fake_done(&f);
}

TEST(a_decision_can_be_asked_for_without_any_effect) /* REQ-PROC-19, X-52 */
{
        struct fake f;
        struct mv_err err;
        struct mv_decision d;
        struct mv_fault fault;
        fake_init(&f, MV_LEVEL_CONTROLLED);
        mv_context_allow_read(f.context, "/tmp", &err);
        const struct mv_capability *read =
                mv_capability_find(f.table, mv_slice_str("ccos.io.read-line"));
        const struct mv_capability *write =
                mv_capability_find(f.table, mv_slice_str("ccos.io.write-line"));
        const struct mv_capability *file =
                mv_capability_find(f.table, mv_slice_str("ccos.io.read-file"));
        struct mv_value path = v_text("/tmp/test-that-does-not-exist.txt");
        CHECK(mv_capability_decide(f.context, read, &path, 1, &d, &fault) == 0 && d.allowed);
        CHECK(mv_capability_decide(f.context, write, &path, 1, &d, &fault) == 0 && !d.allowed);
        CHECK_STR(d.context,
                  "Path not allowed by policy (write=true): /tmp/test-that-does-not-exist.txt");
        CHECK_STR(d.hint, "--allow-write /tmp/test-that-does-not-exist.txt");
        CHECK(mv_capability_decide(f.context, file, NULL, 0, &d, &fault) < 0);
        CHECK_STR(fault.message, "No path provided for filesystem operation");
        CHECK(mv_capability_decide(NULL, file, &path, 1, &d, &fault) == 0 && !d.allowed);
        fake_done(&f);
}

TEST(every_capability_passes_the_authoriser) /* REQ-AUTH-10 */
{
        struct fake f;
        struct mv_decision d;
        struct mv_fault fault;
        struct mv_value args[] = { v_text("/x"), v_text("y") };
        fake_init(&f, MV_LEVEL_PURE);
        for (uint32_t i = 0; i < mv_capability_count(f.table); i++) {
                const struct mv_capability *c = mv_capability_at(f.table, i);
                CHECK(mv_capability_decide(f.context, c, args, 2, &d, &fault) == 0);
                CHECK(!d.allowed);
                CHECK_STR(d.operation, "capability_authorization");
                CHECK_STR(d.capability, c->id);
                char hint[192]; /* then, for a path, host or variable, the grant for that */
                int n = snprintf(hint, sizeof hint, "--level controlled --allow %s", c->id);
                CHECK(strncmp(d.hint, hint, (size_t)n) == 0);
                CHECK(d.hint[n] == '\0' || strcmp(d.hint + n, " --allow-read /x") == 0 ||
                      strcmp(d.hint + n, " --allow-write /x") == 0 ||
                      strcmp(d.hint + n, " --env /x") == 0);
        }
        fake_done(&f);
}

TEST(every_error_kind_has_its_prefix) /* REQ-ERR-01, -03, -05 */
{
        static const char *const rows[][2] = {
                { "Generic", "Runtime error: m" },
                { "IoError", "I/O error: m" },
                { "NetworkError", "Network error: m" },
                { "JsonError", "JSON error: m" },
                { "InvalidArgument", "Invalid argument: m" },
                { "UnknownCapability", "Unknown capability: m" },
                { "ArityMismatch", "Arity mismatch in m" },
                { "TypeError", "Type error in m" },
                { "BudgetExhausted", "Resource budget exhausted: m" },
                { "Whatever", "m" },
        };
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                struct mv_fault f = { .message = "m" };
                char text[100];
                snprintf(f.kind, sizeof f.kind, "%s", rows[i][0]);
                mv_fault_text(&f, text, sizeof text);
                CHECK_STR(text, rows[i][1]);
        }
}

TEST(a_text_that_was_cut_inside_a_character_is_still_utf8)
{
        char cut[] = "caf\xc3",
             foreign[] = "a\xff"
                         "b",
             whole[] = "caf\xc3\xa9", empty[] = "";
        mv_text_make_utf8(cut);
        CHECK_STR(cut, "caf");
        mv_text_make_utf8(foreign);
        CHECK_STR(foreign, "a?b");
        mv_text_make_utf8(whole);
        CHECK_STR(whole, "caf\xc3\xa9");
        mv_text_make_utf8(empty);
        CHECK_STR(empty, "");
}
