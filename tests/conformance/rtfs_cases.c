/* SPDX-License-Identifier: Apache-2.0 */
/* rtfs-cases FILE.jsonl [--provider NAME] [--failed] [--passed] [--outcomes]: run conformance cases behind a wall.
 *
 * Each case is one execution in a cell of the provider; this program is the host end of the door and plays the test host
 * that the cases describe: it answers calls, collects events as text and compares. --failed prints what went wrong for
 * every case that did not pass, --passed the ids of those that did, --outcomes what each case came to, as a case. Ends with `N passed, N failed`; exit 0 whatever failed,
 * 2 for usage, 5 when the provider is not available. */
#include <base/arena.h>
#include <base/limits.h>
#include <base/slice.h>
#include <provider/provider.h>
#include <stdio.h>
#include <stdlib.h>
#include <wire/cbor.h>
#include <wire/frame.h>
#include <wire/json.h>
#include <wire/text.h>

#define LINE_MAX_BYTES (1u << 20)
#define EVENTS_MAX     4096
#define MEMORY_BYTES   (64ull << 20)

static const struct mv_provider_ops *const providers[] = {
        &mv_provider_mock,   &mv_provider_process, &mv_provider_wasm,
        &mv_provider_gvisor, &mv_provider_kvm,     &mv_provider_landlock
};

static bool show_outcomes;

struct run { /* one case in progress */
        struct mv_arena arena;
        const struct mv_value *c; /* the case */
        bool test_host;
        char *events[EVENTS_MAX];
        uint32_t events_count;
        bool ended, ok, yielded;
        char value[65536], kind[64], message[8192], type[32], host_id[256], host_args[8192];
        uint8_t reply[1 << 20];
        char trouble[512];
};

static const char *field(const struct mv_value *c, const char *name)
{
        const struct mv_value *v = mv_map_get(c, name);
        struct mv_slice s;
        static char text[LINE_MAX_BYTES];
        if (!mv_as_text(v, &s) || s.len >= sizeof text)
                return NULL;
        memcpy(text, s.p, s.len);
        text[s.len] = '\0';
        return text;
}

static void display(const struct mv_value *v, char *buf, size_t cap)
{
        struct mv_out o = mv_out(buf, cap - 1);
        mv_print_display(&o, v);
        buf[o.len] = '\0';
}

static void event(struct run *r, const char *text)
{
        if (r->events_count < EVENTS_MAX)
                r->events[r->events_count++] = strdup(text);
}

/* --- the test host ---------------------------------------------------------------------------- */
static int fault(struct run *r, uint64_t seq, const char *kind, const char *message,
                 struct mv_slice *ret)
{
        struct mv_out o = mv_out(r->reply, sizeof r->reply);
        size_t at = mv_frame_open(&o, MV_FRAME_FAULT, seq);
        mv_cbor_put_map(&o, 2);
        mv_cbor_put_str(&o, "kind");
        mv_cbor_put_str(&o, kind);
        mv_cbor_put_str(&o, "message");
        mv_cbor_put_str(&o, message);
        mv_frame_close(&o, at);
        *ret = mv_out_slice(&o);
        return MV_DOOR_REPLY;
}

static int reply(struct run *r, uint64_t seq, const struct mv_value *v, struct mv_slice *ret)
{
        struct mv_out o = mv_out(r->reply, sizeof r->reply);
        size_t at = mv_frame_open(&o, MV_FRAME_REPLY, seq);
        mv_value_encode(&o, v);
        mv_frame_close(&o, at);
        *ret = mv_out_slice(&o);
        return MV_DOOR_REPLY;
}

static int add(struct run *r, uint64_t seq, const struct mv_value *args, struct mv_slice *ret)
{
        struct mv_value sum = { .kind = MV_INT };
        for (uint32_t i = 0; i < args->count; i++) {
                int64_t n;
                if (!mv_as_int(&args->items[i], &n))
                        return fault(r, seq, "TypeError",
                                     "Type error in test.add: expected integer", ret);
                sum.integer += n;
        }
        return reply(r, seq, &sum, ret);
}

static int answer(struct run *r, uint64_t seq, const char *id, const struct mv_value *args,
                  struct mv_slice *ret)
{
        static const struct mv_value nil = { .kind = MV_NIL };
        char text[512];
        if (!r->test_host) {
                snprintf(text, sizeof text,
                         "Runtime error: Capability '%s' not available in pure RTFS mode. Use CCOS "
                         "host for full capability support.",
                         id);
                return fault(r, seq, "Generic", text, ret);
        }
        if (!strcmp(id, "test.echo") || !strcmp(id, "ccos.echo"))
                return reply(r, seq, args->count ? &args->items[0] : &nil, ret);
        if (!strcmp(id, "test.args"))
                return reply(r, seq, args, ret);
        if (!strcmp(id, "test.add"))
                return add(r, seq, args, ret);
        if (!strcmp(id, "test.fail"))
                return fault(r, seq, "Generic", "Runtime error: boom", ret);
        if (!strcmp(id, "ccos.io.println") || !strcmp(id, "ccos.io.log"))
                return reply(r, seq, &nil, ret);
        snprintf(text, sizeof text, "Unknown capability: %s", id);
        return fault(r, seq, "UnknownCapability", text, ret);
}

static int on_call(struct run *r, const struct mv_frame *f, const struct mv_value *v,
                   struct mv_slice *ret)
{
        char id[256], args[8192], text[8500];
        struct mv_slice s;
        if (v->kind != MV_VECTOR || v->count != 2 || !mv_as_text(&v->items[0], &s) ||
            s.len >= sizeof id)
                return -MV_E_HOSTILE;
        snprintf(id, sizeof id, "%.*s", MV_SARG(s));
        display(&v->items[1], args, sizeof args);
        if (mv_map_get(r->c, "expect_host") || strncmp(id, "model-call:", 11) == 0) {
                r->yielded = true; /* the reference ends here: nothing answers */
                snprintf(r->host_id, sizeof r->host_id, "%s", id);
                snprintf(r->host_args, sizeof r->host_args, "%s", args);
                return MV_DOOR_DONE;
        }
        snprintf(text, sizeof text, "call %s %s", id, args);
        event(r, text);
        return answer(r, f->seq, id, &v->items[1], ret);
}

static void raw_text(const struct mv_value *v, char *buf, size_t cap)
{
        struct mv_slice s;
        if (mv_as_text(v, &s))
                snprintf(buf, cap, "%.*s", MV_SARG(s));
        else
                display(v, buf, cap);
}

static void expose_event(struct run *r, const struct mv_value *v)
{
        char text[4096];
        bool on = false;
        mv_as_bool(&v->items[1], &on);
        size_t n = (size_t)snprintf(text, sizeof text, "expose %s ", on ? "true" : "false");
        if (v->items[2].kind != MV_VECTOR) {
                snprintf(text + n, sizeof text - n, "None");
        } else {
                n += (size_t)snprintf(text + n, sizeof text - n, "Some([");
                for (uint32_t i = 0; i < v->items[2].count; i++) {
                        char key[256];
                        display(&v->items[2].items[i], key, sizeof key);
                        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", i ? ", " : "",
                                              key);
                }
                snprintf(text + n, sizeof text - n, "])");
        }
        event(r, text);
}

static void on_step(struct run *r, const struct mv_value *v)
{
        char text[9000], name[64], b[4096];
        raw_text(&v->items[0], name, sizeof name);
        if (!strcmp(name, "expose") && v->count == 3) {
                expose_event(r, v);
                return;
        }
        /* Names, ids, keys and failure texts are raw; values are in display form. */
        size_t n = (size_t)snprintf(text, sizeof text, "%s", name);
        for (uint32_t i = 1; i < v->count; i++) {
                bool raw = i == 1 || !strcmp(name, "step-failed");
                if (raw)
                        raw_text(&v->items[i], b, sizeof b);
                else
                        display(&v->items[i], b, sizeof b);
                n += (size_t)snprintf(text + n, sizeof text - n, " %s", b);
                if (n >= sizeof text)
                        break;
        }
        event(r, text);
}

static void on_end(struct run *r, const struct mv_frame *f, const struct mv_value *v)
{
        r->ended = true;
        r->ok = f->type == MV_FRAME_RESULT;
        if (r->ok) {
                const struct mv_value *value = mv_map_get(v, "value");
                display(value, r->value, sizeof r->value);
                snprintf(r->type, sizeof r->type, "%s", mv_kind_name(value->kind));
        } else {
                raw_text(mv_map_get(v, "kind"), r->kind, sizeof r->kind);
                raw_text(mv_map_get(v, "message"), r->message, sizeof r->message);
        }
}

/* A step with an isolation level: there is one wall, it runs here. */
static int on_enter(struct run *r, struct mv_slice *ret)
{
        struct mv_out o = mv_out(r->reply, sizeof r->reply);
        size_t at = mv_frame_open(&o, MV_FRAME_ENTER, 0);
        mv_cbor_put_bool(&o, false);
        mv_frame_close(&o, at);
        *ret = mv_out_slice(&o);
        return MV_DOOR_REPLY;
}

static int on_frame(void *ctx, struct mv_slice bytes, struct mv_slice *ret, struct mv_err *err)
{
        struct run *r = ctx;
        struct mv_frame f;
        const struct mv_value *v;
        int s = mv_frame_decode(bytes, &f, err);
        if (s == 0)
                s = mv_value_decode(f.payload, &r->arena, &v, err);
        if (s)
                return s;
        switch (f.type) {
        case MV_FRAME_CALL:
                return on_call(r, &f, v, ret);
        case MV_FRAME_STEP:
                on_step(r, v);
                return 0;
        case MV_FRAME_ENTER:
                on_step(r, v);
                return on_enter(r, ret);
        case MV_FRAME_RESULT:
        case MV_FRAME_ERROR:
                on_end(r, &f, v);
                return MV_DOOR_DONE;
        default:
                return 0;
        }
}

/* --- one case --------------------------------------------------------------------------------- */
static struct mv_slice start_frame(const struct mv_value *c, uint8_t *buf, size_t cap)
{
        struct mv_out o = mv_out(buf, cap);
        struct mv_slice source = { 0 };
        const char *host = field(c, "host");
        mv_as_text(mv_map_get(c, "source"), &source);
        size_t at = mv_frame_open(&o, MV_FRAME_START, 0);
        mv_cbor_put_map(&o, 2);
        mv_cbor_put_str(&o, "prelude");
        mv_cbor_put_bool(&o, host && !strcmp(host, "test+prelude"));
        mv_cbor_put_str(&o, "program");
        mv_cbor_put_map(&o, 2);
        mv_cbor_put_str(&o, "kind");
        mv_cbor_put_str(&o, "source");
        mv_cbor_put_str(&o, "bytes");
        mv_cbor_put_text(&o, source);
        return mv_frame_close(&o, at) ? mv_out_slice(&o) : (struct mv_slice){ 0 };
}

static bool same(struct run *r, const char *what, const char *got, const char *want)
{
        if (strcmp(got, want) == 0)
                return true;
        snprintf(r->trouble, sizeof r->trouble, "%s is %.200s, wanted %.200s", what, got, want);
        return false;
}

static bool events_match(struct run *r)
{
        const struct mv_value *want = mv_map_get(r->c, "events");
        char text[9000];
        if (!want)
                return true;
        for (uint32_t i = 0; i < want->count || i < r->events_count; i++) {
                raw_text(i < want->count ? &want->items[i] : NULL, text,
                         i < want->count ? sizeof text : 0);
                if (i >= want->count)
                        snprintf(text, sizeof text, "nothing");
                if (!same(r, "event", i < r->events_count ? r->events[i] : "nothing", text))
                        return false;
        }
        return true;
}

static bool host_matches(struct run *r, const struct mv_value *want)
{
        char text[8192];
        size_t n = 0;
        const struct mv_value *args = mv_map_get(want, "args");
        if (!r->yielded) {
                snprintf(r->trouble, sizeof r->trouble, "no host call; %.100s %.200s", r->kind,
                         r->ok ? r->value : r->message);
                return false;
        }
        raw_text(mv_map_get(want, "capability"), text, sizeof text);
        if (!same(r, "host call", r->host_id, text))
                return false;
        n = (size_t)snprintf(text, sizeof text, "[");
        for (uint32_t i = 0; args && i < args->count; i++) {
                char one[2048];
                raw_text(&args->items[i], one, sizeof one);
                n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", i ? " " : "", one);
        }
        snprintf(text + n, sizeof text - n, "]");
        return same(r, "host call arguments", r->host_args, text);
}

static bool verdict(struct run *r)
{
        const struct mv_value *host = mv_map_get(r->c, "expect_host");
        const char *want;
        if (host)
                return host_matches(r, host);
        if (!r->ended)
                return false;
        if ((want = field(r->c, "expect_error"))) {
                if (r->ok) {
                        snprintf(r->trouble, sizeof r->trouble, "value %.200s, wanted %.60s",
                                 r->value, want);
                        return false;
                }
                if (!same(r, "error kind", r->kind, want))
                        return false;
                if ((want = field(r->c, "message")) && !same(r, "message", r->message, want))
                        return false;
                return events_match(r);
        }
        if (!r->ok) {
                snprintf(r->trouble, sizeof r->trouble, "%s: %.300s", r->kind, r->message);
                return false;
        }
        if ((want = field(r->c, "expect")) && !same(r, "value", r->value, want))
                return false;
        if ((want = field(r->c, "type")) && !same(r, "type", r->type, want))
                return false;
        return events_match(r);
}

static void show_text(const char *name, const char *text)
{
        static uint8_t json[2 * LINE_MAX_BYTES];
        struct mv_out o = mv_out(json, sizeof json);
        mv_text_string_json(&o, mv_slice_str(text));
        printf(", \"%s\": %.*s", name, (int)o.len, (const char *)o.p);
}

/* What a case came to, as a line of a cases file: for who writes new ones. */
static void show_outcome(const struct run *r)
{
        printf("{\"id\": \"%s\"", field(r->c, "id"));
        show_text("source", field(r->c, "source"));
        if (r->yielded) {
                show_text("call", r->host_id);
                show_text("args", r->host_args);
        } else if (!r->ended) {
                show_text("trouble", r->trouble);
        } else if (r->ok) {
                show_text("expect", r->value);
                show_text("type", r->type);
        } else {
                show_text("expect_error", r->kind);
                show_text("message", r->message);
        }
        for (uint32_t i = 0; i < r->events_count; i++)
                show_text("event", r->events[i]);
        printf("}\n");
}

/* A sandbox takes a quarter of a second to start: one that was reset serves the next case, which must
 * find nothing of the one before. */
static struct mv_cell *kept;

static bool run_case(const struct mv_provider_ops *ops, struct mv_provider *p,
                     const struct mv_value *c, char *why, size_t cap)
{
        static struct run r;
        static uint8_t start[LINE_MAX_BYTES];
        struct mv_err err = { 0 };
        struct mv_exit exit = { 0 };
        r = (struct run){ .arena = mv_arena_grow(64u << 20), .c = c };
        const char *host = field(c, "host");
        r.test_host = host != NULL;
        struct mv_limits limits = { .memory_bytes_max = MEMORY_BYTES,
                                    .output_bytes_max = 1u << 20 };
        struct mv_cell_spec spec = { .execution_id = "case", .limits = limits };
        struct mv_run run = { .execution_id = "case",
                              .start = start_frame(c, start, sizeof start),
                              .door = { &r, on_frame },
                              .limits = limits };
        struct mv_cell *cell = kept;
        int s = cell ? 0 : ops->open_cell(p, &spec, &cell, &err);
        kept = NULL;
        if (s == 0)
                s = ops->run(cell, &run, &exit, &err);
        bool ok = s == 0 && verdict(&r);
        if (!r.ended && !r.yielded)
                snprintf(r.trouble, sizeof r.trouble, "%s %s %s",
                         s ? err.msg : "ended without a result:",
                         mv_termination_name(exit.termination), exit.detail);
        if (cell && s == 0 && ops == &mv_provider_gvisor && ops->reset(cell, &err) == 0)
                kept = cell;
        else if (cell)
                ops->close_cell(cell);
        snprintf(why, cap, "%s", r.trouble);
        if (show_outcomes)
                show_outcome(&r);
        for (uint32_t i = 0; i < r.events_count; i++)
                free(r.events[i]);
        mv_arena_done(&r.arena);
        return ok;
}

static int usage(void)
{
        fprintf(stderr,
                "usage: rtfs-cases FILE.jsonl [--provider mock|landlock|process|wasm|gvisor|kvm] "
                "[--failed] [--passed] [--outcomes]\n");
        return 2;
}

static const struct mv_provider_ops *find_provider(const char *name)
{
        for (size_t i = 0; i < sizeof providers / sizeof *providers; i++)
                if (strcmp(providers[i]->name, name) == 0)
                        return providers[i];
        return NULL;
}

static int run_file(const char *file, const struct mv_provider_ops *ops, bool show_failed,
                    bool show_passed)
{
        struct mv_err err;
        struct mv_provider *p;
        static char line[LINE_MAX_BYTES], why[512];
        uint32_t passed = 0, failed = 0;
        FILE *f = fopen(file, "re");
        if (!f) {
                perror(file);
                return 2;
        }
        if (ops->probe(&err) || ops->init(NULL, &p, &err)) {
                fprintf(stderr, "%s is not available: %s\n", ops->name, err.msg);
                fclose(f);
                return 5;
        }
        while (fgets(line, sizeof line, f)) {
                struct mv_arena a = mv_arena_grow(16u << 20);
                const struct mv_value *c;
                if (mv_json_decode(mv_slice(line, strlen(line)), &a, &c, &err)) {
                        fprintf(stderr, "%s\n", err.msg);
                        mv_arena_done(&a);
                        continue;
                }
                bool ok = run_case(ops, p, c, why, sizeof why);
                passed += ok;
                failed += !ok;
                if (!ok && show_failed) {
                        printf("%s ", field(c, "id"));
                        printf("%s\n    %s\n", field(c, "source"), why);
                } else if (ok && show_passed) {
                        printf("%s\n", field(c, "id"));
                }
                mv_arena_done(&a);
        }
        if (kept)
                kept = ops->close_cell(kept);
        fclose(f);
        ops->fini(p);
        printf("%u passed, %u failed\n", passed, failed);
        return 0;
}

int main(int argc, char **argv)
{
        const char *file = NULL, *provider = "mock";
        bool show_failed = false, show_passed = false;
        for (int i = 1; i < argc; i++) {
                if (!strcmp(argv[i], "--failed"))
                        show_failed = true;
                else if (!strcmp(argv[i], "--passed"))
                        show_passed = true;
                else if (!strcmp(argv[i], "--outcomes"))
                        show_outcomes = true;
                else if (!strcmp(argv[i], "--provider") && i + 1 < argc)
                        provider = argv[++i];
                else if (argv[i][0] == '-' || file)
                        return usage();
                else
                        file = argv[i];
        }
        const struct mv_provider_ops *ops = find_provider(provider);
        if (!file || !ops)
                return usage();
        return run_file(file, ops, show_failed, show_passed);
}
