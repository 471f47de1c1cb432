/* SPDX-License-Identifier: Apache-2.0 */
#include <base/slice.h>
#include <cli/audit_list.h>
#include <host/cbor_json.h>
#include <host/cbor_map.h>
#include <host/host.h>
#include <stdlib.h>
#include <time.h>

/* --- show ------------------------------------------------------------------------------------- */
static bool is_denial(const struct mv_audit_record *rec)
{
        struct mv_cbor_item it;
        struct mv_err ignored;
        return rec->type == MV_REC_DECISION &&
               mv__map_item(rec->semantic, "allowed", MV_CBOR_BOOL, &it, &ignored) == 0 &&
               it.kind == MV_CBOR_BOOL && !it.boolean;
}

static bool wanted(const struct mv_audit_record *rec, const struct cli_options *o)
{
        if (o->execution && strcmp(rec->execution_id, o->execution) != 0)
                return false;
        return !o->denied || is_denial(rec);
}

static void put_json(struct mv__jsonw *w, const struct mv_audit_record *rec)
{
        mv__json_open(w, NULL, '{');
        mv__json_uint(w, "index", rec->index);
        mv__json_uint(w, "offset", rec->offset);
        mv__json_str(w, "type", mv_record_type_name(rec->type));
        mv__json_str(w, "execution_id", rec->execution_id);
        mv__json_uint(w, "time_ms", rec->time_ms);
        mv__json_hex(w, "digest", "sha256:", rec->digest, sizeof rec->digest);
        if (!rec->semantic.len || !mv__json_cbor(w, "semantic", rec->semantic))
                mv__json_raw(w, rec->semantic.len ? "malformed" : "semantic", "null");
        if (rec->observed.len)
                mv__json_cbor(w, "observed", rec->observed);
        mv__json_close(w, '}');
}

#define FIELD_SHOWN_MAX 160

static void print_whole(struct mv_slice cbor)
{
        struct mv__jsonw w;
        mv__json_begin(&w);
        mv__json_cbor(&w, NULL, cbor);
        char *text = mv__json_end(&w);
        printf("%.*s", FIELD_SHOWN_MAX, text ? text : "");
        free(text);
}

/* A field as JSON text, cut so that a record stays a line. */
static void print_field(const char *before, struct mv_slice map, const char *key)
{
        struct mv_slice raw;
        struct mv_err ignored;
        struct mv__jsonw w;
        if (mv__map_find(map, key, &raw, &ignored) < 0)
                return;
        mv__json_begin(&w);
        mv__json_cbor(&w, NULL, raw);
        char *text = mv__json_end(&w);
        size_t len = text ? strlen(text) : 0;
        printf("%s%.*s%s", before, len > FIELD_SHOWN_MAX ? FIELD_SHOWN_MAX : (int)len,
               text ? text : "", len > FIELD_SHOWN_MAX ? "..." : "");
        free(text);
}

static void print_text(const char *before, struct mv_slice map, const char *key)
{
        struct mv_slice s = mv__map_text(map, key);
        if (s.len) {
                fputs(before, stdout);
                cli_write(stdout, s);
        }
}

static void print_decision(const struct mv_audit_record *rec)
{
        bool denial = is_denial(rec);
        cli_paint(stdout, denial ? CLI_RED : CLI_GREEN, "%s", denial ? "denied " : "allowed");
        print_text(" ", rec->semantic, "capability");
        print_text(" program: ", rec->semantic, "program_kind");
        print_field(" ", rec->semantic, "args");
        print_text("; ", rec->semantic, denial ? "context" : "rule");
        if (denial)
                print_text("; would be allowed by ", rec->semantic, "hint");
}

static void print_summary(const struct mv_audit_record *rec)
{
        struct mv_slice s = rec->semantic, done;
        struct mv_err ignored;
        switch (rec->type) {
        case MV_REC_EXECUTION_STARTED:
                print_text("", s, "kind");
                print_text(", level ", s, "level");
                print_text(", provider ", rec->observed, "provider");
                print_text(", agent ", rec->observed, "agent");
                print_field(", args ", s, "args");
                break;
        case MV_REC_DECISION:
                print_decision(rec);
                break;
        case MV_REC_CALL:
                print_text("", s, "capability");
                print_field(" ", s, "args");
                print_field("; is shown ", rec->observed, "exposed");
                break;
        case MV_REC_RESULT:
                print_field("reply ", s, "reply");
                print_field("fault ", s, "fault");
                if (mv__map_find(s, "done", &done, &ignored) == 0)
                        printf(done.len == 1 && done.p[0] == 0xf5 ? "; its effect is there"
                                                                  : "; without an effect");
                break;
        case MV_REC_EXECUTION_ENDED:
                print_text("", s, "termination");
                print_field(" ", s, "value");
                print_text(" ", s, "kind");
                print_text(": ", s, "message");
                break;
        case MV_REC_ROOT:
                print_field("", s, "root");
                break;
        case MV_REC_STEP_PROFILE:
                print_text("", s, "step");
                print_text(": ", s, "isolation");
                print_text(", ", s, "limits");
                print_field(", hosts ", s, "hosts");
                print_field(", reads ", s, "reads");
                print_field(", writes ", s, "writes");
                break;
        case MV_REC_STEP:
                print_whole(s);
                print_text(" in a cell of its own, provider ", rec->observed, "provider");
                print_text(", tier ", rec->observed, "tier");
                break;
        case MV_REC_SEAL:
                print_field("up to byte ", s, "offset");
                break;
        default:
                print_whole(s);
        }
}

static void put_line(const struct mv_audit_record *rec)
{
        char stamp[32];
        time_t seconds = (time_t)(rec->time_ms / 1000);
        struct tm tm;
        gmtime_r(&seconds, &tm);
        strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &tm);
        printf("%5llu %s.%03uZ %s %-16s ", (unsigned long long)rec->index, stamp,
               (unsigned)(rec->time_ms % 1000), rec->execution_id, mv_record_type_name(rec->type));
        print_summary(rec);
        putchar('\n');
}

static int show(const struct cli_options *o, const char *path)
{
        struct mv_audit_reader *reader;
        struct mv_audit_record rec;
        struct mv__jsonw w;
        struct mv_err err;
        int r;
        if (mv_audit_reader_open(path, &reader, &err) < 0)
                return cli_error(&err, o->json);
        mv__json_begin(&w);
        mv__json_open(&w, NULL, '{');
        mv__json_open(&w, "records", '[');
        while ((r = mv_audit_read(reader, &rec, &err)) == 1) {
                if (!wanted(&rec, o))
                        continue;
                if (o->json)
                        put_json(&w, &rec);
                else
                        put_line(&rec);
        }
        mv__json_close(&w, ']');
        if (r < 0)
                mv__json_str(&w, "error", err.msg);
        mv__json_close(&w, '}');
        mv_audit_reader_close(reader);
        char *text = mv__json_end(&w);
        int code = r < 0 && !o->json ? cli_error(&err, false) : r < 0 ? CLI_FAILED : CLI_DONE;
        if (!o->json)
                free(text);
        else if (cli_json_line(text))
                return CLI_BUG;
        return code;
}

/* --- verify ----------------------------------------------------------------------------------- */
static int print_verdict(const struct mv_audit_summary *v)
{
        struct mv__jsonw w;
        mv__json_begin(&w);
        mv__json_open(&w, NULL, '{');
        mv__json_bool(&w, "ok", v->ok);
        mv__json_uint(&w, "records", v->records);
        mv__json_uint(&w, "executions", v->executions);
        mv__json_uint(&w, "torn_bytes", v->torn_bytes);
        if (v->ok) {
                mv__json_uint(&w, "sealed", v->records - v->unsealed);
                mv__json_uint(&w, "unsealed", v->unsealed);
        } else {
                mv__json_uint(&w, "bad_index", v->bad_index);
                mv__json_uint(&w, "bad_offset", v->bad_offset);
                mv__json_str(&w, "why", v->why);
        }
        mv__json_hex(&w, "head", "sha256:", v->head, sizeof v->head);
        mv__json_hex(&w, "public_key", "ed25519:", v->public_key, sizeof v->public_key);
        mv__json_close(&w, '}');
        return cli_json_line(mv__json_end(&w));
}

static void print_hex(const char *name, const uint8_t *p, size_t len)
{
        printf("  %-11s", name);
        for (size_t i = 0; i < len; i++)
                printf("%02x", p[i]);
        putchar('\n');
}

static int verify(const struct cli_options *o, const char *path)
{
        struct mv_audit_summary v;
        struct mv_err err;
        if (mv_audit_check(path, NULL, &v, &err) < 0)
                return cli_error(&err, o->json);
        if (o->json)
                return print_verdict(&v) ? CLI_BUG : v.ok ? CLI_DONE : CLI_FAILED;
        cli_paint(stdout, v.ok ? CLI_GREEN : CLI_RED, "%s", v.ok ? "verified" : "broken");
        printf(": %llu records, %llu execution%s", (unsigned long long)v.records,
               (unsigned long long)v.executions, v.executions == 1 ? "" : "s");
        if (v.torn_bytes)
                printf(", %llu bytes of an unfinished record at the end",
                       (unsigned long long)v.torn_bytes);
        putchar('\n');
        if (!v.ok)
                printf("  record %llu at byte %llu: %s\n", (unsigned long long)v.bad_index,
                       (unsigned long long)v.bad_offset, v.why);
        else
                printf("  sealed: %llu of %llu records%s\n",
                       (unsigned long long)(v.records - v.unsealed), (unsigned long long)v.records,
                       v.unsealed ? "; the rest waits for the next seal" : "");
        print_hex("head", v.head, sizeof v.head);
        print_hex("signed by", v.public_key, sizeof v.public_key);
        return v.ok ? CLI_DONE : CLI_FAILED;
}

/* --- replay ----------------------------------------------------------------------------------- */
static int print_replay(const struct mv__replay *p, bool json)
{
        struct mv__jsonw w;
        if (!json) {
                cli_paint(stdout, p->same ? CLI_GREEN : CLI_RED, "%s",
                          p->same ? "same root" : "different root");
                printf(": %u records, %s\n", p->records, p->outcome);
                print_hex("recorded", p->recorded, sizeof p->recorded);
                print_hex("reached", p->reached, sizeof p->reached);
                if (!p->same)
                        printf("  first difference: %s\n", p->why);
                return p->same ? CLI_DONE : CLI_FAILED;
        }
        mv__json_begin(&w);
        mv__json_open(&w, NULL, '{');
        mv__json_bool(&w, "ok", p->same);
        mv__json_hex(&w, "recorded", "sha256:", p->recorded, sizeof p->recorded);
        mv__json_hex(&w, "reached", "sha256:", p->reached, sizeof p->reached);
        mv__json_uint(&w, "records", p->records);
        mv__json_str(&w, "outcome", p->outcome);
        mv__json_text(&w, "why", p->why);
        mv__json_close(&w, '}');
        return cli_json_line(mv__json_end(&w)) ? CLI_BUG : p->same ? CLI_DONE : CLI_FAILED;
}

static int replay(const struct cli_options *o, const char *path)
{
        struct mv_host *h;
        struct mv__replay p;
        struct mv_err err;
        if (!o->execution)
                return cli_usage(
                        "audit replay needs --execution ID; `microvm audit show %s` lists them",
                        path);
        int r = cli_host("none", &h);
        if (r)
                return r;
        r = mv_host_replay(h, path, o->execution, o->provider, &p, &err) < 0
                    ? cli_error(&err, o->json)
                    : print_replay(&p, o->json);
        mv_host_free(h);
        return r;
}

/* `list` without a FILE: the store that executions are written to when nobody names one. */
static int list_default(const struct cli_options *o)
{
        struct mv_err err;
        char *path = cli_audit_default(&err);
        int code = path ? cli_audit_list(o, path) : cli_error(&err, o->json);
        free(path);
        return code;
}

int cmd_audit(int argc, char **argv)
{
        static const char wanted[] = "list, show, verify or replay, and a FILE";
        struct cli_options o;
        int r = cli_options(argc, argv, CLI_AUDIT | CLI_JSON, &o);
        if (r == 0 && o.operands.count == 1 && strcmp(o.operands.items[0], "list") == 0)
                return list_default(&o);
        if (r == 0)
                r = cli_operands(&o, 2, 2, wanted);
        if (r)
                return r;
        const char *what = o.operands.items[0], *path = o.operands.items[1];
        if (strcmp(what, "list") == 0)
                return cli_audit_list(&o, path);
        if (strcmp(what, "show") == 0)
                return show(&o, path);
        if (strcmp(what, "verify") == 0)
                return verify(&o, path);
        if (strcmp(what, "replay") == 0)
                return replay(&o, path);
        return cli_usage("audit %s: %s", what, wanted);
}
