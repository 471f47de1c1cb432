/* SPDX-License-Identifier: Apache-2.0 */
/* microvm inspect: the capability ids and effects of a program, without running it. The compiler and the walk over its
 * output work behind the wall; this side looks the ids up.
 *
 * (1) What comes through the door is a program's doing: every value is looked at through accessors, and ids go to a
 *     terminal as text of an untrusted program. */
#include <base/slice.h>
#include <cli/cli.h>
#include <host/host.h>
#include <host/jsonw.h>
#include <stdlib.h>

struct site {                    /* one place of a call */
        struct mv_slice id, via; /* id: as written; empty: computed */
        const struct mv_capability *capability;
        int64_t line, column;
};

struct report {
        struct site *sites;
        uint32_t count, computed;
        const struct mv_value *declared;
        bool complete; /* every id is known here */
};

/* --- reading the result ----------------------------------------------------------------------- */
static struct mv_slice text_at(const struct mv_value *seq, uint32_t i)
{
        struct mv_slice s = { NULL, 0 };
        mv_as_text(mv_seq_at(seq, i), &s);
        return s;
}

static int64_t int_at(const struct mv_value *seq, uint32_t i)
{
        int64_t n = 0;
        mv_as_int(mv_seq_at(seq, i), &n);
        return n;
}

static struct mv_slice name_of(const struct site *s)
{
        return s->capability ? mv_slice_str(s->capability->id) : s->id;
}

/* Computed ones last, else by id, then by place. */
static int by_id(const void *a, const void *b)
{
        const struct site *x = a, *y = b;
        if ((x->id.len == 0) != (y->id.len == 0))
                return x->id.len == 0 ? 1 : -1;
        int c = mv_slice_cmp(name_of(x), name_of(y));
        if (c == 0)
                c = (x->line > y->line) - (x->line < y->line);
        return c ? c : (x->column > y->column) - (x->column < y->column);
}

static int read_report(struct mv_host *h, const struct mv_value *v, struct report *ret)
{
        const struct mv_value *calls = mv_map_get(v, "calls");
        *ret = (struct report){ .declared = mv_map_get(v, "declared"), .complete = true };
        uint32_t n = calls && calls->kind == MV_VECTOR ? calls->count : 0;
        ret->sites = calloc(n + 1, sizeof *ret->sites);
        if (!ret->sites)
                return CLI_BUG;
        for (uint32_t i = 0; i < n; i++) {
                const struct mv_value *c = &calls->items[i];
                struct site *s = &ret->sites[ret->count++];
                *s = (struct site){ text_at(c, 0), text_at(c, 1), NULL, int_at(c, 2),
                                    int_at(c, 3) };
                if (s->id.len)
                        s->capability = mv_capability_find(h->table, s->id);
                ret->computed += s->id.len == 0;
                ret->complete &= s->capability != NULL;
        }
        qsort(ret->sites, ret->count, sizeof *ret->sites, by_id);
        return CLI_DONE;
}

/* The sites of one id follow each other: how many, from i on? */
static uint32_t same_id(const struct report *r, uint32_t i)
{
        uint32_t n = 1;
        while (i + n < r->count && mv_slice_eq(name_of(&r->sites[i]), name_of(&r->sites[i + n])))
                n++;
        return n;
}

/* --- JSON ------------------------------------------------------------------------------------- */
static void put_effects(struct mv__jsonw *w, const struct mv_capability *c)
{
        char text[64];
        cli_effects_text(c, text, sizeof text);
        mv__json_open(w, "effects", '[');
        for (char *save, *e = strtok_r(text, ",", &save); e; e = strtok_r(NULL, ",", &save))
                mv__json_str(w, NULL, e);
        mv__json_close(w, ']');
        mv__json_open(w, "permissions", '[');
        mv__json_str(w, NULL, c->id);
        if (c->permission)
                mv__json_str(w, NULL, c->permission);
        mv__json_close(w, ']');
}

static void put_sites(struct mv__jsonw *w, const char *key, const struct site *s, uint32_t n)
{
        mv__json_open(w, key, '[');
        for (uint32_t i = 0; i < n; i++) {
                mv__json_open(w, NULL, '{');
                mv__json_int(w, "line", s[i].line);
                mv__json_int(w, "column", s[i].column);
                if (s[i].via.len)
                        mv__json_slice(w, "via", s[i].via);
                else
                        mv__json_raw(w, "via", "null");
                mv__json_close(w, '}');
        }
        mv__json_close(w, ']');
}

static void put_calls(struct mv__jsonw *w, const struct report *r)
{
        mv__json_open(w, "calls", '[');
        for (uint32_t i = 0, n; i < r->count - r->computed; i += n) {
                const struct mv_capability *c = r->sites[i].capability;
                n = same_id(r, i);
                mv__json_open(w, NULL, '{');
                mv__json_slice(w, "id", name_of(&r->sites[i]));
                mv__json_bool(w, "known", c != NULL);
                if (c)
                        put_effects(w, c);
                put_sites(w, "sites", &r->sites[i], n);
                mv__json_close(w, '}');
        }
        mv__json_close(w, ']');
}

static void put_declared(struct mv__jsonw *w, const struct report *r)
{
        uint32_t n = r->declared && r->declared->kind == MV_VECTOR ? r->declared->count : 0;
        mv__json_open(w, "declared", '[');
        for (uint32_t i = 0; i < n; i++) {
                const struct mv_value *d = &r->declared->items[i];
                mv__json_open(w, NULL, '{');
                mv__json_int(w, "line", int_at(d, 0));
                mv__json_int(w, "column", int_at(d, 1));
                if (mv_seq_at(d, 2))
                        mv__json_value(w, "effects", mv_seq_at(d, 2));
                mv__json_close(w, '}');
        }
        mv__json_close(w, ']');
}

static int print_json(const struct report *r)
{
        struct mv__jsonw w;
        mv__json_begin(&w);
        mv__json_open(&w, NULL, '{');
        mv__json_bool(&w, "ok", true);
        mv__json_bool(&w, "complete", r->complete);
        put_calls(&w, r);
        put_sites(&w, "computed", &r->sites[r->count - r->computed], r->computed);
        put_declared(&w, r);
        mv__json_open(&w, "allow", '[');
        for (uint32_t i = 0; i < r->count - r->computed; i += same_id(r, i))
                if (r->sites[i].capability)
                        mv__json_str(&w, NULL, r->sites[i].capability->id);
        mv__json_close(&w, ']');
        mv__json_close(&w, '}');
        return cli_json_line(mv__json_end(&w));
}

/* --- for people ------------------------------------------------------------------------------- */
static void print_places(const struct site *s, uint32_t n)
{
        for (uint32_t i = 0; i < n; i++) {
                printf("%s%lld:%lld", i ? ", " : "", (long long)s[i].line, (long long)s[i].column);
                if (s[i].via.len) {
                        fputs(" (", stdout);
                        cli_write(stdout, s[i].via);
                        fputs(")", stdout);
                }
        }
        fputc('\n', stdout);
}

static void print_id(const struct report *r, uint32_t i, uint32_t n)
{
        const struct mv_capability *c = r->sites[i].capability;
        char effects[64] = "unknown here";
        if (c)
                cli_effects_text(c, effects, sizeof effects);
        cli_write(stdout, name_of(&r->sites[i]));
        printf("\n    effects: %s\n", effects);
        if (c && c->permission)
                printf("    permission: %s\n", c->permission);
        fputs("    called at: ", stdout);
        print_places(&r->sites[i], n);
}

static void print_declared(const struct report *r)
{
        uint32_t n = r->declared && r->declared->kind == MV_VECTOR ? r->declared->count : 0;
        for (uint32_t i = 0; i < n; i++) {
                const struct mv_value *d = &r->declared->items[i];
                char *text = mv_seq_at(d, 2) ? mv_value_display(mv_seq_at(d, 2), NULL) : NULL;
                printf("declared at %lld:%lld: ", (long long)int_at(d, 0), (long long)int_at(d, 1));
                cli_write(stdout, mv_slice_str(text ? text : ""));
                fputc('\n', stdout);
                free(text);
        }
}

static void print_report(const struct report *r)
{
        uint32_t named = r->count - r->computed;
        for (uint32_t i = 0, n; i < named; i += n) {
                n = same_id(r, i);
                print_id(r, i, n);
        }
        if (r->computed) {
                fputs("an id that is computed at run time\n    called at: ", stdout);
                print_places(&r->sites[named], r->computed);
        }
        print_declared(r);
        if (r->count == 0)
                puts("asks nothing of the host");
        if (named) {
                fputs("grants:", stdout);
                for (uint32_t i = 0; i < named; i += same_id(r, i))
                        if (r->sites[i].capability)
                                printf(" --allow %s", r->sites[i].capability->id);
                puts(r->computed ? ", and whatever the computed ids turn out to be" : "");
        }
}

static int inspect(struct cli_request *q, const struct cli_options *o)
{
        struct mv_result *result;
        struct mv_err err;
        struct report r = { 0 };
        if (mv_execute(q->host, &q->x, &result, &err) < 0)
                return cli_error(&err, o->json);
        int code = mv_result_ok(result) ? read_report(q->host, mv_result_value(result), &r)
                                        : cli_result(result, o, &q->x.program);
        if (mv_result_ok(result) && code == CLI_DONE) {
                if (o->json)
                        code = print_json(&r);
                else
                        print_report(&r);
        }
        free(r.sites);
        mv_result_free(result);
        return code;
}

int cmd_inspect(int argc, char **argv)
{
        struct cli_options o;
        struct cli_request q;
        struct mv_program program;
        struct mv_err err;
        int r = cli_options(argc, argv, CLI_LIMITS | CLI_JSON, &o);
        if (r == 0)
                r = cli_operands(&o, 1, 1, "one FILE, or - for standard input");
        if (r)
                return r;
        if (cli_program(o.operands.items[0], &program, &err) < 0)
                return cli_error(&err, o.json);
        r = cli_request(&o, &q);
        if (r == 0) {
                q.x.program = program;
                q.x.purpose = MV_PURPOSE_INSPECT;
                r = inspect(&q, &o);
                cli_request_done(&q);
        }
        cli_program_done(&program);
        return r;
}
