/* SPDX-License-Identifier: Apache-2.0 */
#include "../door.h"
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* Remove a test's own directory and the files in it; nothing else, and never through a link. */
static void remove_dir(const char *dir)
{
        DIR *d = opendir(dir);
        REQUIRE(d);
        for (struct dirent *e; (e = readdir(d));)
                if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
                        CHECK(unlinkat(dirfd(d), e->d_name, 0) == 0);
        closedir(d);
        CHECK(rmdir(dir) == 0);
}

/* --- records ---------------------------------------------------------------------------------- */
struct kept { /* the records of one store, copied out */
        enum mv_record_type types[256];
        struct mv_slice semantic[256], observed[256];
        const struct mv_value *value[256];
        uint32_t count, at;
};

static void keep_records(struct door *d, struct kept *k)
{
        struct mv_audit_reader *r;
        struct mv_audit_record rec;
        memset(k, 0, sizeof *k);
        REQUIRE(mv_audit_reader_of(d->audit, &r, &d->err) == 0);
        while (k->count < 256 && mv_audit_read(r, &rec, &d->err) == 1) {
                if (rec.type == MV_REC_SEAL) /* the store's, not the execution's */
                        continue;
                uint8_t *p = mv_new(&d->arena, uint8_t, rec.semantic.len + 1);
                memcpy(p, rec.semantic.p, rec.semantic.len);
                k->types[k->count] = rec.type;
                k->semantic[k->count] = mv_slice(p, rec.semantic.len);
                k->observed[k->count] = mv_slice(NULL, rec.observed.len);
                if (rec.type != MV_REC_ROOT)
                        CHECK(mv_value_decode(k->semantic[k->count], &d->arena, &k->value[k->count],
                                              &d->err) == 0 ||
                              rec.type == MV_REC_ROOT);
                k->count++;
        }
        mv_audit_reader_close(r);
}

static const struct mv_value *field(const struct kept *k, uint32_t i, const char *key)
{
        return i < k->count ? mv_map_get(k->value[i], key) : NULL;
}

static bool field_is(const struct kept *k, uint32_t i, const char *key, const char *wanted)
{
        const struct mv_value *v = field(k, i, key);
        bool same = v && v->kind == MV_STRING && mv_slice_eq_str(v->text, wanted);
        if (!same && v && v->kind == MV_STRING)
                printf("# record %u %s is \"%.*s\"\n", i, key, MV_SARG(v->text));
        return same;
}

static void allow(struct door *d, const char *id)
{
        CHECK(mv_context_allow(d->context, id, &d->err) == 0);
}

static bool is_fault(const struct door *d, const char *kind, const char *message)
{
        return d->answer.type == MV_FRAME_FAULT && d->answer.seq == d->seq &&
               answer_is(d, "kind", kind) && answer_is(d, "message", message);
}

/* --- calls ------------------------------------------------------------------------------------ */
TEST(a_call_is_decided_recorded_carried_out_recorded_and_answered) /* REQ-AUTH-08, -14, REQ-AUD-15 */
{
        struct door *d = door_open(NULL, NULL);
        struct kept k;
        allow(d, "ccos.math.*");
        CHECK(DOOR_CALL(d, ":math/add", v_int(20), v_int(22)) == MV_DOOR_REPLY);
        CHECK(d->answer.type == MV_FRAME_REPLY && d->answer.seq == 1 && d->value->integer == 42);
        keep_records(d, &k);
        REQUIRE(k.count == 3);
        CHECK(k.types[0] == MV_REC_DECISION && k.types[1] == MV_REC_CALL &&
              k.types[2] == MV_REC_RESULT);
        CHECK(field(&k, 0, "seq")->integer == 1 && field(&k, 0, "allowed")->boolean);
        CHECK(field_is(&k, 0, "capability", "ccos.math.add")); /* canonical, X-50 */
        CHECK(field_is(&k, 0, "operation", "capability_authorization"));
        CHECK(field_is(&k, 0, "rule", "grant ccos.math.*"));
        CHECK(field_is(&k, 0, "level", "controlled"));
        CHECK(!field(&k, 0, "fault"));
        CHECK(mv_seq_at(field(&k, 0, "args"), 1)->integer == 22);
        CHECK(mv_slice_eq_str(mv_seq_at(field(&k, 0, "permissions"), 0)->text, "ccos.math.add"));
        CHECK(field_is(&k, 1, "capability", "ccos.math.add") && field(&k, 1, "args")->count == 2);
        CHECK(field(&k, 2, "reply")->integer == 42 && !field(&k, 2, "fault"));
        CHECK(k.observed[0].len == 0 && k.observed[2].len == 0); /* a pure one is not timed */
        CHECK(door_outcome(d)->calls == 1 && d->outcome.denials == 0 && !d->outcome.outcome_known);
        door_close(d);
}

TEST(a_denial_has_the_three_texts_the_record_and_the_hint) /* REQ-ERR-02, REQ-AUTH-01, -18 */
{
#ifndef MV_HAVE_CURL
        SKIP("built without http-fetch");
#endif
        struct door *d = door_open(NULL, NULL);
        struct kept k;
        allow(d, "ccos.math.add");
        CHECK(DOOR_CALL(d, "ccos.network.http-fetch", v_text("http://example.com")) ==
              MV_DOOR_REPLY);
        CHECK(is_fault(d, "SecurityViolation",
                       "Security violation: capability_authorization operation on capability "
                       "'ccos.network.http-fetch' not "
                       "allowed in context: Capability 'ccos.network.http-fetch' not allowed by "
                       "runtime context"));
        CHECK(answer_is(d, "operation", "capability_authorization"));
        CHECK(answer_is(d, "capability", "ccos.network.http-fetch"));
        CHECK(answer_is(d, "context",
                        "Capability 'ccos.network.http-fetch' not allowed by runtime context"));
        CHECK(!mv_map_get(d->value, "hint")); /* for the caller, not for the program */
        const struct mv_value *fault = d->value;
        CHECK(door_uncaught(d) == MV_DOOR_DONE);
        const struct mv_broker_outcome *o = door_outcome(d);
        CHECK(o->outcome_known && !o->ok && o->termination == MV_END_DENIED && o->denials == 1);
        CHECK_STR(o->error.kind, "SecurityViolation");
        CHECK_STR(o->error.capability, "ccos.network.http-fetch");
        CHECK_STR(o->error.hint, "--allow ccos.network.http-fetch --allow-net example.com:80");
        keep_records(d, &k);
        REQUIRE(k.count == 1); /* no CALL: nothing happened */
        CHECK(k.types[0] == MV_REC_DECISION && !field(&k, 0, "allowed")->boolean);
        CHECK(field_is(&k, 0, "hint",
                       "--allow ccos.network.http-fetch --allow-net example.com:80") &&
              field_is(&k, 0, "rule", "no grant"));
        CHECK(mv_value_equal(field(&k, 0, "fault"), fault));
        door_close(d);
}

TEST(without_a_context_nothing_is_granted) /* REQ-AUTH-09 */
{
        struct door *d = door_open(NULL, NULL);
        struct mv_broker_options o = { .table = d->table, .trail = d->trail };
        mv_broker_free(d->broker);
        REQUIRE(mv_broker_new(&o, &d->broker, &d->err) == 0);
        CHECK(DOOR_CALL(d, "ccos.echo", v_int(1)) == MV_DOOR_REPLY);
        CHECK(answer_is(d, "kind", "SecurityViolation"));
        CHECK(door_uncaught(d) == MV_DOOR_DONE);
        CHECK_STR(door_outcome(d)->error.hint, "--level controlled --allow ccos.echo");
        door_close(d);
}

TEST(path_host_and_variable_denials_keep_their_texts_and_hints) /* REQ-PROC-13, REQ-NET-12, REQ-AUTH-11, -13 */
{
        struct door *d = door_open(NULL, NULL);
        allow(d, "ccos.*");
        static const struct {
                const char *id, *arg, *operation, *context, *hint;
        } rows[] = {
                { "ccos.io.read-file", "/etc/passwd", "filesystem",
                  "Path not allowed by policy (write=false): /etc/passwd",
                  "--allow-read /etc/passwd" },
                { "ccos.io.delete-file", "/etc/passwd", "filesystem",
                  "Path not allowed by policy (write=true): /etc/passwd",
                  "--allow-write /etc/passwd" },
                { "ccos.system.get-env", "HOME", "environment",
                  "Environment variable 'HOME' not allowed by policy", "--env HOME" },
#ifdef MV_HAVE_CURL
                { "ccos.network.http-fetch", "http://evil.example/x", "network",
                  "Network access denied by policy", "--allow-net evil.example:80" },
#endif
        };
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                char message[400];
                CHECK(DOOR_CALL(d, rows[i].id, v_text(rows[i].arg)) == MV_DOOR_REPLY);
                snprintf(message, sizeof message,
                         "Security violation: %s operation on capability '%s' not allowed in "
                         "context: %s",
                         rows[i].operation, rows[i].id, rows[i].context);
                CHECK(is_fault(d, "SecurityViolation", message));
                CHECK(answer_is(d, "context", rows[i].context));
        }
        CHECK(door_outcome(d)->denials == sizeof rows / sizeof rows[0]);
        struct kept k;
        keep_records(d, &k);
        for (uint32_t i = 0; i < k.count; i++)
                CHECK(k.types[i] == MV_REC_DECISION && field_is(&k, i, "hint", rows[i].hint));
        door_close(d);
}

TEST(an_early_denial_that_was_caught_keeps_its_own_hint)
{
        struct door *d = door_open(NULL, NULL);
        CHECK(DOOR_CALL(d, "ccos.echo", v_int(1)) == MV_DOOR_REPLY);
        const struct mv_value *first = d->value;
        CHECK(DOOR_CALL(d, "ccos.math.add", v_int(1)) == MV_DOOR_REPLY);
        d->value = first;
        CHECK(door_uncaught(d) == MV_DOOR_DONE);
        CHECK_STR(door_outcome(d)->error.hint, "--allow ccos.echo");
        door_close(d);
}

TEST(an_unknown_capability_says_what_was_meant_and_is_recorded) /* REQ-CAP-13 */
{
        struct door *d = door_open(NULL, NULL);
        struct kept k;
        allow(d, "ccos.*");
        CHECK(DOOR_CALL(d, "ccos.math.ad", v_int(1)) == MV_DOOR_REPLY);
        CHECK(is_fault(d, "UnknownCapability",
                       "Unknown capability: ccos.math.ad (did you mean ccos.math.add?)"));
        CHECK(DOOR_CALL(d, "no.such.capability", v_int(1)) == MV_DOOR_REPLY);
        CHECK(is_fault(d, "UnknownCapability", "Unknown capability: no.such.capability"));
        keep_records(d, &k);
        CHECK(k.count == 2 && k.types[1] == MV_REC_DECISION &&
              field_is(&k, 1, "rule", "unknown capability"));
        CHECK(field_is(&k, 1, "capability", "no.such.capability") &&
              !field(&k, 1, "allowed")->boolean);
        CHECK(door_outcome(d)->denials == 0);
        door_close(d);
}

TEST(bad_arguments_are_recorded_before_they_are_answered) /* REQ-CAP-07 */
{
        struct door *d = door_open(NULL, NULL);
        struct kept k;
        allow(d, "ccos.*");
        CHECK(door_call(d, "ccos.io.read-file", NULL, 0) == MV_DOOR_REPLY);
        CHECK(is_fault(d, "ArityMismatch",
                       "Arity mismatch in ccos.io.read-file: expected 1, got 0"));
        CHECK(DOOR_CALL(d, "ccos.io.read-file", v_int(1)) == MV_DOOR_REPLY);
        CHECK(is_fault(d, "TypeError",
                       "Type error in ccos.io.read-file: expected string, got integer"));
        CHECK(DOOR_CALL(d, "ccos.io.open-file", v_text("/x"), v_text("z")) == MV_DOOR_REPLY);
        CHECK(answer_is(d, "kind", "InvalidArgument"));
        keep_records(d, &k);
        REQUIRE(k.count == 3);
        for (uint32_t i = 0; i < 3; i++)
                CHECK(k.types[i] == MV_REC_DECISION && field_is(&k, i, "rule", "arguments") &&
                      field(&k, i, "fault"));
        door_close(d);
}

static int counted(struct mv_call *call, const struct mv_value *args, uint32_t n,
                   struct mv_value *ret)
{
        ++*(int *)mv_call_ctx(call);
        *ret = v_int(*(int *)mv_call_ctx(call));
        return 0;
}

static int faulty(struct mv_call *call, const struct mv_value *args, uint32_t n,
                  struct mv_value *ret)
{
        static const struct mv_entry twice[] = {
                { { .kind = MV_INT, .integer = 1 }, { .kind = MV_NIL } },
                { { .kind = MV_INT, .integer = 1 }, { .kind = MV_NIL } }
        };
        if (n == 0)
                return -1;
        if (args[0].kind == MV_STRING)
                return mv_call_fail(call, "AcmeError", "it broke: %.*s", MV_SARG(args[0].text));
        *ret = (struct mv_value){ .kind = MV_MAP, .count = 2, .entries = twice };
        return 0;
}

TEST(a_capability_of_the_embedder_fails_in_words_of_its_own)
{
        struct door *d = door_open(NULL, NULL);
        struct mv_capability c = { .id = "acme.faulty", .call = faulty, .args_max = 1 };
        REQUIRE(mv_capability_table_add(d->table, &c, &d->err) == 0);
        allow(d, "acme.faulty");
        CHECK(DOOR_CALL(d, "acme.faulty", v_text("caf\xc3\xa9")) == MV_DOOR_REPLY);
        CHECK(is_fault(d, "AcmeError", "it broke: caf\xc3\xa9"));
        CHECK(door_call(d, "acme.faulty", NULL, 0) == MV_DOOR_REPLY);
        CHECK(is_fault(d, "Generic", "acme.faulty failed without a reason"));
        CHECK(DOOR_CALL(d, "acme.faulty", v_int(1)) == MV_DOOR_REPLY);
        CHECK(answer_is(d, "kind", "InternalError"));
        CHECK(door_uncaught(d) == MV_DOOR_DONE);
        CHECK(door_outcome(d)->termination == MV_END_ERROR && d->outcome.calls == 3);
        door_close(d);
}

TEST(large_arguments_are_recorded_as_their_digest) /* REQ-AUD-13 */
{
        struct door *d = door_open(NULL, NULL);
        struct kept k;
        char *big = malloc(100001);
        memset(big, 'x', 100000);
        big[100000] = '\0';
        allow(d, "ccos.echo");
        CHECK(DOOR_CALL(d, "ccos.echo", v_text(big)) == MV_DOOR_REPLY &&
              d->value->text.len == 100000);
        keep_records(d, &k);
        REQUIRE(k.count == 3);
        CHECK(k.semantic[0].len < 1000 && k.semantic[1].len < 1000);
        CHECK(mv_map_get(mv_seq_at(field(&k, 1, "args"), 0), "sha256"));
        CHECK(field(&k, 2, "reply")->text.len == 100000); /* replay needs it whole */
        free(big);
        door_close(d);
}

TEST(output_is_captured_and_bounded) /* REQ-CAP-40 */
{
        struct mv_broker_options o = { .limits = { .output_bytes_max = 30 } };
        struct door *d = door_open(&o, NULL);
        allow(d, "ccos.io.*");
        CHECK(DOOR_CALL(d, "ccos.io.log", v_text("a"), v_int(1)) == MV_DOOR_REPLY &&
              d->value->kind == MV_NIL);
        CHECK(DOOR_CALL(d, "ccos.io.print", v_text("0123456789abcdef\xc3\xa9")) == MV_DOOR_REPLY);
        CHECK(answer_is(d, "kind", "OutputExhausted"));
        CHECK(mv_slice_eq_str(door_outcome(d)->stdout_bytes, "[CCOS-LOG] a 1\n0123456789abcde"));
        CHECK(d->outcome.output_truncated);
        CHECK(door_uncaught(d) == MV_DOOR_DONE);
        CHECK(door_outcome(d)->termination == MV_END_OUTPUT);
        door_close(d);
}

TEST(file_operations_reach_the_metadata_once_per_run_of_lines) /* REQ-FS-10, REQ-META-02 */
{
        struct door *d = door_open(NULL, NULL);
        char dir[] = "/tmp/mv-broker-XXXXXX", path[64];
        REQUIRE(mkdtemp(dir));
        snprintf(path, sizeof path, "%s/f", dir);
        allow(d, "ccos.io.*");
        mv_context_allow_write(d->context, dir, &d->err);
        CHECK(DOOR_CALL(d, "ccos.io.write-file", v_text(path), v_text("a\nb\nc\n")) ==
              MV_DOOR_REPLY);
        CHECK(DOOR_CALL(d, "ccos.io.open-file", v_text(path)) == MV_DOOR_REPLY);
        struct mv_value h = *d->value;
        for (int i = 0; i < 4; i++)
                CHECK(DOOR_CALL(d, "ccos.io.read-line", h) == MV_DOOR_REPLY &&
                      d->answer.type == MV_FRAME_REPLY);
        CHECK(d->value->kind == MV_NIL);
        const struct mv_broker_outcome *o = door_outcome(d);
        REQUIRE(o->files_count == 3);
        CHECK_STR(o->files[0].operation, "write-file");
        CHECK_STR(o->files[0].path, path);
        CHECK(o->files[0].bytes == 6);
        CHECK_STR(o->files[2].operation, "read-line");
        CHECK(o->files[2].bytes == 6);
        door_close(d); /* the handle was never closed: the broker does */
        unlink(path);
        rmdir(dir);
}

TEST(a_link_that_leads_outside_is_a_second_recorded_decision)
{
        struct door *d = door_open(NULL, NULL);
        struct kept k;
        char dir[] = "/tmp/mv-broker-XXXXXX", path[64];
        REQUIRE(mkdtemp(dir));
        snprintf(path, sizeof path, "%s/l", dir);
        CHECK(symlink("/etc/passwd", path) == 0);
        allow(d, "ccos.io.*");
        mv_context_allow_read(d->context, dir, &d->err);
        CHECK(DOOR_CALL(d, "ccos.io.read-file", v_text(path)) == MV_DOOR_REPLY);
        CHECK(answer_is(d, "kind", "SecurityViolation") && answer_is(d, "operation", "filesystem"));
        keep_records(d, &k);
        REQUIRE(k.count == 4);
        CHECK(k.types[0] == MV_REC_DECISION && k.types[1] == MV_REC_CALL &&
              k.types[2] == MV_REC_DECISION && k.types[3] == MV_REC_RESULT);
        CHECK(field(&k, 0, "allowed")->boolean && !field(&k, 2, "allowed")->boolean);
        CHECK(k.observed[3].len > 0); /* how long it took: this one has an effect */
        CHECK(field_is(&k, 2, "rule", "path leaves its grant") &&
              field(&k, 2, "seq")->integer == 1);
        CHECK(field(&k, 3, "fault"));
        CHECK(door_uncaught(d) == MV_DOOR_DONE);
        CHECK(door_outcome(d)->termination == MV_END_DENIED && d->outcome.denials == 1);
        CHECK(d->outcome.error.hint[0]);
        unlink(path);
        rmdir(dir);
        door_close(d);
}

/* --- durability ------------------------------------------------------------------------------- */
static uint32_t records_on_disk(const char *path)
{
        struct mv_audit_verdict v;
        struct mv_err err;
        return mv_audit_verify(path, NULL, &v, &err) == 0 ? (uint32_t)v.records : 0;
}

static const char *audit_file;
static int look_at_disk(struct mv_call *call, const struct mv_value *args, uint32_t n,
                        struct mv_value *ret)
{
        *ret = v_int(records_on_disk(audit_file));
        return 0;
}

TEST(the_call_is_on_disk_before_its_effect) /* REQ-AUD-18 */
{
        char dir[] = "/tmp/mv-broker-XXXXXX", path[64];
        REQUIRE(mkdtemp(dir));
        snprintf(path, sizeof path, "%s/audit", dir);
        struct door *d = door_open(NULL, path);
        struct mv_capability c = { .id = "acme.look", .call = look_at_disk };
        REQUIRE(mv_capability_table_add(d->table, &c, &d->err) == 0);
        allow(d, "acme.look");
        audit_file = path;
        CHECK(door_call(d, "acme.look", NULL, 0) == MV_DOOR_REPLY);
        CHECK(d->value->kind == MV_INT && d->value->integer == 2); /* DECISION and CALL */
        door_close(d);
        remove_dir(dir);
}

TEST(a_record_that_cannot_be_stored_stops_the_effect_and_the_execution) /* REQ-AUD-18 */
{
        char dir[] = "/tmp/mv-broker-XXXXXX", path[64];
        struct rlimit before, small;
        struct stat st;
        int calls = 0;
        REQUIRE(mkdtemp(dir));
        snprintf(path, sizeof path, "%s/audit", dir);
        struct door *d = door_open(NULL, path);
        struct mv_capability c = { .id = "acme.count", .call = counted, .ctx = &calls };
        REQUIRE(mv_capability_table_add(d->table, &c, &d->err) == 0);
        allow(d, "acme.count");
        CHECK(door_call(d, "acme.count", NULL, 0) == MV_DOOR_REPLY && calls == 1);
        REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0 && stat(path, &st) == 0);
        small = before;
        small.rlim_cur = (rlim_t)st.st_size;
        void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
        REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
        int r = door_call(d, "acme.count", NULL, 0);
        setrlimit(RLIMIT_FSIZE, &before);
        signal(SIGXFSZ, handler);
        CHECK(r < 0);
        CHECK(calls == 1);
        CHECK(!door_outcome(d)->outcome_known);
        CHECK(door_call(d, "acme.count", NULL, 0) < 0 && calls == 1);
        door_close(d);
        remove_dir(dir);
}

/* --- hostile guests --------------------------------------------------------------------------- */
/* The frame must end the conversation, whatever would come after. */
static void ends_it(struct mv_slice payload, enum mv_frame_type type, uint64_t seq)
{
        struct door *d = door_open(NULL, NULL);
        allow(d, "ccos.*");
        uint64_t before = mv_hostile_count();
        CHECK(door_payload(d, type, seq, payload) == -MV_E_HOSTILE);
        CHECK(mv_hostile_count() > before);
        CHECK(!door_outcome(d)->outcome_known);
        CHECK(door_result(d, v_int(1)) == -MV_E_HOSTILE);
        CHECK(!door_outcome(d)->outcome_known);
        door_close(d);
}

TEST(a_call_that_is_not_exactly_right_ends_the_cell)
{
        static const uint8_t good[] = { 0x82, 0x61, 'a', 0x80 };
        ends_it(mv_slice(good, 4), MV_FRAME_CALL, 2); /* seq */
        ends_it(mv_slice(good, 4), MV_FRAME_CALL, UINT64_MAX);
        ends_it(MV_SLICE(""), MV_FRAME_CALL, 1);
        ends_it(MV_SLICE("\x82\x61"
                         "a\x80\x80"),
                MV_FRAME_CALL, 1); /* more behind it */
        ends_it(MV_SLICE("\x81\x61"
                         "a"),
                MV_FRAME_CALL, 1);
        ends_it(MV_SLICE("\x83\x61"
                         "a\x80\x80"),
                MV_FRAME_CALL, 1);
        ends_it(MV_SLICE("\x82\x41"
                         "a\x80"),
                MV_FRAME_CALL, 1); /* id as bytes */
        ends_it(MV_SLICE("\x82\x61"
                         "a\xa0"),
                MV_FRAME_CALL, 1); /* arguments as a map */
        ends_it(MV_SLICE("\x82\x61"
                         "a\x9f\xff"),
                MV_FRAME_CALL, 1); /* indefinite */
        ends_it(MV_SLICE("\x82\x61"
                         "a\x81"),
                MV_FRAME_CALL, 1); /* cut */
        uint8_t long_id[300] = { 0x82, 0x79, 0x01, 0x01 };
        memset(long_id + 4, 'a', 257);
        long_id[261] = 0x80;
        ends_it(mv_slice(long_id, 262), MV_FRAME_CALL, 1);
}

TEST(only_guest_frames_come_from_a_guest)
{
        ends_it(MV_SLICE("\xa0"), MV_FRAME_START, 0);
        ends_it(MV_SLICE("\xf6"), MV_FRAME_REPLY, 1);
        ends_it(MV_SLICE("\xa0"), MV_FRAME_FAULT, 1);
        ends_it(MV_SLICE("\xf6"), MV_FRAME_CANCEL, 0);
        ends_it(MV_SLICE("\x01"), MV_FRAME_LOG, 0);
        ends_it(MV_SLICE("\xf6"), MV_FRAME_TICK, 0); /* outside a session */
}

/* --- sessions: the guest asks whether to go on ------------------------------------------------ */
static int tick(struct door *d, struct mv_slice payload)
{
        return door_payload(d, MV_FRAME_TICK, 0, payload);
}

TEST(a_session_goes_on_until_its_deadline_or_its_caller_says_stop)
{
        volatile int cancel = 0;
        struct door *d =
                door_open(&(struct mv_broker_options){ .session = true, .cancel = &cancel }, NULL);
        CHECK(tick(d, MV_SLICE("\xf6")) == MV_DOOR_REPLY && d->answer.type == MV_FRAME_TICK);
        cancel = 1;
        CHECK(tick(d, MV_SLICE("\xf6")) == MV_DOOR_REPLY && d->answer.type == MV_FRAME_CANCEL);
        cancel = 0; /* said is said */
        CHECK(tick(d, MV_SLICE("\xf6")) == MV_DOOR_REPLY && d->answer.type == MV_FRAME_CANCEL);
        door_close(d);
        d = door_open(&(struct mv_broker_options){ .session = true, .deadline_ns = 1 }, NULL);
        CHECK(tick(d, MV_SLICE("\xf6")) == MV_DOOR_REPLY && d->answer.type == MV_FRAME_CANCEL);
        door_close(d);
}

TEST(a_session_that_has_to_stop_gets_no_call_carried_out_and_nothing_on_record)
{
        struct door *d =
                door_open(&(struct mv_broker_options){ .session = true, .deadline_ns = 1 }, NULL);
        mv_context_allow(d->context, "ccos.echo", &d->err);
        CHECK(door_payload(d, MV_FRAME_CALL, 1,
                           MV_SLICE("\x82\x69"
                                    "ccos.echo\x81\x01")) == MV_DOOR_REPLY);
        CHECK(d->answer.type == MV_FRAME_CANCEL);
        struct mv_broker_outcome o;
        CHECK(door_payload(d, MV_FRAME_ERROR, 0,
                           MV_SLICE("\xa2\x64kind\x6bInterrupted\x67message\x61x")) ==
              MV_DOOR_DONE);
        mv_broker_outcome(d->broker, &o);
        CHECK(o.calls == 0 && o.termination == MV_END_TIMEOUT);
        door_close(d);
}

TEST(a_tick_that_is_not_exactly_right_ends_the_cell)
{
        static const struct mv_slice payloads[] = { MV_SLICE(""), MV_SLICE("\xf5"),
                                                    MV_SLICE("\xf6\xf6"), MV_SLICE("\x80") };
        for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
                struct door *d = door_open(&(struct mv_broker_options){ .session = true }, NULL);
                CHECK(tick(d, payloads[i]) == -(int)MV_E_HOSTILE);
                CHECK(tick(d, MV_SLICE("\xf6")) == -(int)MV_E_HOSTILE);
                door_close(d);
        }
}

TEST(a_guest_that_says_interrupted_without_being_told_has_failed_by_itself)
{
        struct door *d = door_open(&(struct mv_broker_options){ .session = true }, NULL);
        struct mv_broker_outcome o;
        CHECK(door_payload(d, MV_FRAME_ERROR, 0,
                           MV_SLICE("\xa2\x64kind\x6bInterrupted\x67message\x61x")) ==
              MV_DOOR_DONE);
        mv_broker_outcome(d->broker, &o);
        CHECK(o.termination == MV_END_ERROR);
        door_close(d);
}

TEST(an_end_that_is_not_exactly_right_ends_the_cell)
{
        ends_it(MV_SLICE("\xa0"), MV_FRAME_RESULT, 0);
        ends_it(MV_SLICE("\xf6"), MV_FRAME_RESULT, 0);
        /* fuel -1 */
        ends_it(MV_SLICE("\xa3\x64"
                         "fuel\x20\x65value\xf6\x66memory\x00"),
                MV_FRAME_RESULT, 0);
        /* order */
        ends_it(MV_SLICE("\xa3\x65value\xf6\x64"
                         "fuel\x00\x66memory\x00"),
                MV_FRAME_RESULT, 0);
        /* twice */
        ends_it(MV_SLICE("\xa3\x64"
                         "fuel\x00\x64"
                         "fuel\x00\x65value\xf6"),
                MV_FRAME_RESULT, 0);
        ends_it(MV_SLICE("\xa4\x61x\x00\x64"
                         "fuel\x00\x65value\xf6\x66memory\x00"),
                MV_FRAME_RESULT, 0);
        ends_it(MV_SLICE("\xa2\x64"
                         "fuel\x00\x65value\xf6"),
                MV_FRAME_RESULT, 0);
        ends_it(MV_SLICE("\xa1\x64kind\x61"
                         "A"),
                MV_FRAME_ERROR, 0);
        ends_it(MV_SLICE("\xa2\x64kind\x60\x67message\x60"), MV_FRAME_ERROR, 0);
        ends_it(MV_SLICE("\xa2\x64kind\x01\x67message\x60"), MV_FRAME_ERROR, 0);
        ends_it(MV_SLICE("\xa3\x64kind\x61"
                         "A\x64line\x1b\x00\x00\x00\x01\x00\x00\x00\x00\x67message\x60"),
                MV_FRAME_ERROR, 0);
}

TEST(no_frame_counts_after_the_end)
{
        struct door *d = door_open(NULL, NULL);
        CHECK(door_result(d, v_int(5)) == MV_DOOR_DONE);
        CHECK(door_result(d, v_int(6)) == -MV_E_HOSTILE);
        CHECK(DOOR_CALL(d, "ccos.echo", v_int(1)) == -MV_E_HOSTILE);
        const struct mv_broker_outcome *o = door_outcome(d);
        CHECK(o->outcome_known && o->ok && o->value->integer == 5 && o->fuel == 7 &&
              o->guest_memory_bytes == 9);
        CHECK(o->termination == MV_END_COMPLETED);
        door_close(d);
}

TEST(arguments_beyond_the_memory_limit_end_the_execution) /* REQ-VSK-08 */
{
        struct mv_broker_options o = { .limits = { .memory_bytes_max = 100000 } };
        struct door *d = door_open(&o, NULL);
        struct mv_value *many = calloc(50000, sizeof *many);
        CHECK(door_call(d, "ccos.echo", many, 50000) == -MV_E_LIMIT);
        CHECK(strstr(d->err.msg, "memory limit"));
        free(many);
        door_close(d);
}

/* --- steps, logs, ends ------------------------------------------------------------------------ */
TEST(steps_of_the_known_shapes_are_recorded)
{
        struct door *d = door_open(NULL, NULL);
        struct kept k;
        struct mv_value keys[] = { v_text("k1"), v_key("k2") }, nil = { .kind = MV_NIL };
        struct mv_value started[] = { v_text("step-started"), v_text("one") };
        struct mv_value completed[] = { v_text("step-completed"), v_text("a1"), v_int(3) };
        struct mv_value failed[] = { v_text("step-failed"), v_text("a1"), v_text("why") };
        struct mv_value expose[] = { v_text("expose"), v_bool(true), v_vector(keys, 2) };
        struct mv_value all[] = { v_text("expose"), v_bool(false), nil };
        struct mv_value clear[] = { v_text("clear-expose") };
        struct mv_value set[] = { v_text("ctx-set"), v_key("k"), v_int(1) };
        struct mv_value hint[] = { v_text("hint"), v_text("runtime.timeout"), v_int(1) };
        struct mv_value done[] = { v_text("clear-hints") };
        const struct mv_value steps[] = { v_vector(started, 2), v_vector(completed, 3),
                                          v_vector(failed, 3),  v_vector(expose, 3),
                                          v_vector(all, 3),     v_vector(clear, 1),
                                          v_vector(set, 3),     v_vector(hint, 3),
                                          v_vector(done, 1) };
        for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
                CHECK(door_value(d, MV_FRAME_STEP, 0, &steps[i]) == 0);
        keep_records(d, &k);
        REQUIRE(k.count == 9);
        for (uint32_t i = 0; i < k.count; i++)
                CHECK(k.types[i] == MV_REC_STEP && mv_value_equal(k.value[i], &steps[i]));
        door_close(d);
}

TEST(a_step_of_another_shape_ends_the_cell)
{
        ends_it(MV_SLICE("\x80"), MV_FRAME_STEP, 0);
        ends_it(MV_SLICE("\x64step"), MV_FRAME_STEP, 0);
        ends_it(MV_SLICE("\x81\x65other"), MV_FRAME_STEP, 0);
        ends_it(MV_SLICE("\x81\x6cstep-started"), MV_FRAME_STEP, 0);
        ends_it(MV_SLICE("\x82\x6cstep-started\x01"), MV_FRAME_STEP, 0);
        ends_it(MV_SLICE("\x83\x6bstep-failed\x61"
                         "a\x01"),
                MV_FRAME_STEP, 0);
        ends_it(MV_SLICE("\x83\x66"
                         "expose\x01\xf6"),
                MV_FRAME_STEP, 0);
        ends_it(MV_SLICE("\x83\x66"
                         "expose\xf5\x81\x01"),
                MV_FRAME_STEP, 0);
        ends_it(MV_SLICE("\x82\x6c"
                         "clear-expose\xf6"),
                MV_FRAME_STEP, 0);
}

TEST(runner_diagnostics_go_to_stderr_and_are_bounded)
{
        struct mv_broker_options o = { .limits = { .output_bytes_max = 10 } };
        struct door *d = door_open(&o, NULL);
        struct mv_value log = v_text("1234567");
        CHECK(door_value(d, MV_FRAME_LOG, 0, &log) == 0);
        CHECK(door_value(d, MV_FRAME_LOG, 0, &log) == 0);
        CHECK(mv_slice_eq_str(door_outcome(d)->stderr_bytes, "1234567123") &&
              d->outcome.output_truncated);
        CHECK(d->outcome.stdout_bytes.len == 0);
        door_close(d);
}

TEST(a_result_larger_than_the_output_limit_is_an_output_end)
{
        struct mv_broker_options o = { .limits = { .output_bytes_max = 100 } };
        struct door *d = door_open(&o, NULL);
        char big[200];
        memset(big, 'x', sizeof big);
        big[199] = '\0';
        CHECK(door_result(d, v_text(big)) == MV_DOOR_DONE);
        const struct mv_broker_outcome *out = door_outcome(d);
        CHECK(out->outcome_known && !out->ok && !out->value && out->termination == MV_END_OUTPUT);
        CHECK_STR(out->error.kind, "OutputExhausted");
        CHECK_STR(out->error.message,
                  "the result is 201 bytes, the output limit is 100; raise --max-output");
        CHECK(out->fuel == 7);
        door_close(d);
}

TEST(every_kind_of_error_has_its_termination)
{
        static const struct {
                const char *kind;
                enum mv_termination how;
        } rows[] = { { "FuelExhausted", MV_END_FUEL },     { "MemoryExhausted", MV_END_MEMORY },
                     { "OutputExhausted", MV_END_OUTPUT }, { "SecurityViolation", MV_END_DENIED },
                     { "TypeError", MV_END_ERROR },        { "FuelExhaustedX", MV_END_ERROR } };
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                struct door *d = door_open(NULL, NULL);
                struct mv_entry e[] = { { v_text("column"), v_int(4) },
                                        { v_text("data"), v_int(1) },
                                        { v_text("kind"), v_text(rows[i].kind) },
                                        { v_text("line"), v_int(3) },
                                        { v_text("message"), v_text("m") } };
                CHECK(door_map(d, MV_FRAME_ERROR, e, 5) == MV_DOOR_DONE);
                const struct mv_broker_outcome *o = door_outcome(d);
                CHECK(o->outcome_known && !o->ok && o->termination == rows[i].how);
                CHECK_STR(o->error.kind, rows[i].kind);
                CHECK_STR(o->error.message, "m");
                CHECK_STR(o->error.hint, "");
                CHECK(o->error.line == 3 && o->error.column == 4);
                door_close(d);
        }
}

/* --- replay ----------------------------------------------------------------------------------- */
static int next_record(void *ctx, enum mv_record_type *type, struct mv_slice *semantic,
                       struct mv_err *err)
{
        struct kept *k = ctx;
        if (k->at == k->count)
                return 0;
        *type = k->types[k->at];
        *semantic = k->semantic[k->at++];
        return 1;
}

static char shared_dir[64];

/* What a program might do: an effect, a denial, an unknown id, a failing call, output, a link
 * that leads outside. */
static void play(struct door *d, const char *word)
{
        char file[80], link[80];
        snprintf(file, sizeof file, "%s/f", shared_dir);
        snprintf(link, sizeof link, "%s/l", shared_dir);
        struct mv_value step[] = { v_text("step-started"), v_text("s") }, s = v_vector(step, 2);
        CHECK(door_value(d, MV_FRAME_STEP, 0, &s) == 0);
        CHECK(DOOR_CALL(d, "ccos.io.write-file", v_text(file), v_text(word)) == MV_DOOR_REPLY);
        CHECK(DOOR_CALL(d, "file.read", v_text(file)) == MV_DOOR_REPLY &&
              d->answer.type == MV_FRAME_REPLY);
        CHECK(mv_slice_eq_str(d->value->text, "word"));
        CHECK(DOOR_CALL(d, "ccos.io.read-file", v_text(link)) == MV_DOOR_REPLY &&
              answer_is(d, "kind", "SecurityViolation"));
        CHECK(DOOR_CALL(d, "ccos.system.current-timestamp-ms") == MV_DOOR_REPLY);
        CHECK(DOOR_CALL(d, "nothing.like.it") == MV_DOOR_REPLY &&
              answer_is(d, "kind", "UnknownCapability"));
        CHECK(DOOR_CALL(d, "ccos.io.println", v_text("hello")) == MV_DOOR_REPLY);
        CHECK(DOOR_CALL(d, "ccos.system.get-env", v_text("HOME")) == MV_DOOR_REPLY);
        CHECK(answer_is(d, "kind", "SecurityViolation"));
}

static struct door *recorded(struct kept *k, uint8_t root[32])
{
        char link[80];
        uint32_t n;
        snprintf(shared_dir, sizeof shared_dir, "/tmp/mv-broker-XXXXXX");
        if (!mkdtemp(shared_dir))
                abort();
        snprintf(link, sizeof link, "%s/l", shared_dir);
        if (symlink("/etc/passwd", link) < 0)
                abort();
        struct door *d = door_open(NULL, NULL);
        allow(d, "ccos.*");
        mv_context_allow_write(d->context, shared_dir, &d->err);
        play(d, "word");
        CHECK(door_uncaught(d) == MV_DOOR_DONE);
        keep_records(d, k);
        CHECK(mv_trail_end(d->trail, root, &n, &d->err) == 0);
        remove_dir(shared_dir);
        return d;
}

static struct door *replaying(struct kept *k, struct mv_broker_replay *r)
{
        k->at = 0;
        *r = (struct mv_broker_replay){ k, next_record };
        struct mv_broker_options o = { .replay = r };
        return door_open(&o, NULL); /* grants nothing: a replay decides nothing */
}

TEST(a_replay_answers_from_the_record_and_reaches_the_same_root)
{
        struct kept k;
        struct mv_broker_replay source;
        uint8_t root[32], again[32];
        uint32_t n;
        struct door *first = recorded(&k, root), *d = replaying(&k, &source);
        play(d, "word"); /* the directory is gone: nothing of it happens */
        CHECK(access(shared_dir, F_OK) < 0);
        CHECK(door_uncaught(d) == MV_DOOR_DONE);
        CHECK(mv_trail_end(d->trail, again, &n, &d->err) == 0);
        CHECK(memcmp(root, again, 32) == 0);
        const struct mv_broker_outcome *o = door_outcome(d), *was = door_outcome(first);
        CHECK(o->calls == was->calls && o->denials == was->denials &&
              o->termination == was->termination);
        CHECK_STR(o->error.hint, was->error.hint);
        CHECK_STR(o->error.hint, "--env HOME");
        door_close(d);
        door_close(first);
}

TEST(a_replay_that_asks_something_else_diverges)
{
        struct kept k;
        struct mv_broker_replay source;
        uint8_t root[32];
        struct door *first = recorded(&k, root), *d = replaying(&k, &source);
        CHECK(DOOR_CALL(d, "ccos.io.write-file", v_text("/other"), v_text("word")) ==
              -MV_E_CORRUPT);
        CHECK(strncmp(d->err.msg,
                      "replay diverged at call 1: the program asks for ccos.io.write-file",
                      66) == 0);
        CHECK(door_result(d, v_int(1)) < 0);
        door_close(d);
        d = replaying(&k, &source);
        CHECK(DOOR_CALL(d, "ccos.io.read-file", v_text("x")) == -MV_E_CORRUPT);
        door_close(d);
        d = replaying(&k, &source);
        CHECK(door_result(d, v_int(1)) == -MV_E_CORRUPT);
        CHECK_STR(d->err.msg, "replay diverged at call 1: the program asks for the end, the record "
                              "holds another call");
        CHECK(!door_outcome(d)->outcome_known);
        door_close(d);
        d = replaying(&k, &source);
        play(d, "word");
        CHECK(DOOR_CALL(d, "ccos.echo", v_int(1)) == -MV_E_CORRUPT);
        CHECK_STR(d->err.msg, "replay diverged at call 8: the program asks for ccos.echo, the "
                              "record ends before");
        door_close(d);
        door_close(first);
}

TEST(a_forged_record_is_not_replayed)
{
        struct kept k;
        struct mv_broker_replay source;
        uint8_t root[32];
        struct door *first = recorded(&k, root);
        char file[80];
        snprintf(file, sizeof file, "%s/f", shared_dir);
        for (uint32_t i = 0; i < k.count; i++) {
                static const uint8_t rubbish[] = { 0xa1, 0x63, 's', 'e', 'q', 0x01 };
                struct mv_slice was = k.semantic[i];
                struct door *d = replaying(&k, &source);
                k.semantic[i] = mv_slice(rubbish, sizeof rubbish);
                struct mv_value step[] = { v_text("step-started"), v_text("s") },
                                s = v_vector(step, 2);
                int r = door_value(d, MV_FRAME_STEP, 0, &s);
                if (r == 0)
                        r = DOOR_CALL(d, "ccos.io.write-file", v_text(file), v_text("word"));
                CHECK(k.types[i] == MV_REC_STEP || i > 3 ? r >= 0 : r < 0);
                k.semantic[i] = was;
                door_close(d);
        }
        door_close(first);
}
