/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of `microvm bench` that are a part of a run: what a configuration, a decision and the records of a call cost. */
#include <audit/audit.h>
#include <base/err.h>
#include <cli/bench.h>
#include <config/config.h>
#include <host/host.h>
#include <time.h>

#define RULES_OF_A_KIND 250 /* of four kinds */
#define DECISIONS       100 /* or calls, in one sample: one is shorter than two looks at the clock */

extern const uint8_t cli__large_config[],
        cli__large_config_end[]; /* examples/config/microvm.rtfs */

static uint64_t now_ns(void)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int cli_bench_config(struct mv_host *h, uint64_t *ret_ns, struct mv_err *err)
{
        struct mv_agent_file f;
        size_t len = (size_t)(cli__large_config_end - cli__large_config);
        uint64_t t0 = now_ns();
        int r = mv_agent_parse(mv_slice(cli__large_config, len), MV_SYNTAX_RTFS, NULL, &f, err);
        if (r < 0)
                return r;
        *ret_ns = now_ns() - t0;
        r = f.valid ? 0 : mv_fail(err, MV_E_INTERNAL, 0, "the example is not valid");
        mv_agent_done(&f);
        return r;
}

static int add_rules(struct mv_context *c, unsigned i, struct mv_err *err)
{
        char text[64];
        mv_fmt(text, sizeof text, "bench.family-%u.call", i);
        int r = mv_context_allow(c, text, err);
        mv_fmt(text, sizeof text, "/bench/read/%u", i);
        if (r == 0)
                r = mv_context_allow_read(c, text, err);
        mv_fmt(text, sizeof text, "/bench/write/%u", i);
        if (r == 0)
                r = mv_context_allow_write(c, text, err);
        mv_fmt(text, sizeof text, "host-%u.bench.example:443", i);
        return r < 0 ? r : mv_context_allow_host(c, text, err);
}

static int rules(struct mv_context **ret, struct mv_err *err)
{
        struct mv_context *c = mv_context_new(MV_LEVEL_CONTROLLED);
        int r = c ? mv_context_allow(c, "ccos.io.read-file", err)
                  : mv_fail(err, MV_E_NOMEM, 0, "context");
        for (unsigned i = 0; r == 0 && i < RULES_OF_A_KIND; i++)
                r = add_rules(c, i, err);
        if (r < 0)
                mv_context_free(c);
        else
                *ret = c;
        return r;
}

/* The whole decision about one call, with its argument: the capability, then its path. */
int cli_bench_authorize(struct mv_host *h, uint64_t *ret_ns, struct mv_err *err)
{
        static const struct mv_value path = { .kind = MV_STRING,
                                              .text = MV_SLICE("/bench/read/137/a/b.txt") };
        const struct mv_capability *cap =
                mv_capability_find(h->table, MV_SLICE("ccos.io.read-file"));
        struct mv_decision d;
        struct mv_fault fault;
        struct mv_context *c;
        int r = rules(&c, err);
        if (r < 0)
                return r;
        uint64_t t0 = now_ns();
        for (unsigned i = 0; r == 0 && i < DECISIONS; i++)
                r = mv_capability_decide(c, cap, &path, 1, &d, &fault);
        *ret_ns = (now_ns() - t0) / DECISIONS;
        if (r == 0 && !d.allowed)
                r = mv_fail(err, MV_E_INTERNAL, 0, "the call was not allowed");
        mv_context_free(c);
        return r;
}

/* --- the records of a call -------------------------------------------------------------------- */
#define CALL_RECORDS 3 /* DECISION, CALL, RESULT */
#define RECORD_BYTES 512

struct recorded {
        enum mv_record_type type;
        uint8_t semantic[RECORD_BYTES], observed[RECORD_BYTES];
        size_t semantic_len, observed_len;
};

static int one_call(struct mv_host *h, struct mv_err *err)
{
        struct mv_context *c = mv_context_new(MV_LEVEL_CONTROLLED);
        struct mv_execution x = { .program = mv_program_source("(call \"ccos.echo\" 57)"),
                                  .context = c,
                                  .provider = "mock" };
        struct mv_result *result = NULL;
        int r = c ? mv_context_allow(c, "ccos.echo", err) : mv_fail(err, MV_E_NOMEM, 0, "context");
        if (r == 0)
                r = mv_execute(h, &x, &result, err);
        if (r == 0 && !mv_result_ok(result))
                r = mv_fail(err, MV_E_INTERNAL, 0, "the call failed");
        mv_result_free(result);
        mv_context_free(c);
        return r;
}

/* The latest records of a call that the host's store holds. */
static int read_call(struct mv_audit *a, struct recorded ret[CALL_RECORDS], struct mv_err *err)
{
        static const enum mv_record_type wanted[] = { MV_REC_DECISION, MV_REC_CALL, MV_REC_RESULT };
        struct mv_audit_reader *reader;
        struct mv_audit_record record;
        unsigned seen = 0;
        int r = mv_audit_reader_of(a, &reader, err);
        if (r < 0)
                return r;
        while ((r = mv_audit_read(reader, &record, err)) > 0) {
                for (unsigned i = 0; i < CALL_RECORDS; i++) {
                        if (record.type != wanted[i] || record.semantic.len > RECORD_BYTES ||
                            record.observed.len > RECORD_BYTES)
                                continue;
                        ret[i].type = record.type;
                        ret[i].semantic_len = record.semantic.len;
                        ret[i].observed_len = record.observed.len;
                        memcpy(ret[i].semantic, record.semantic.p, record.semantic.len);
                        if (record.observed.len)
                                memcpy(ret[i].observed, record.observed.p, record.observed.len);
                        seen |= 1u << i;
                }
        }
        mv_audit_reader_close(reader);
        if (r == 0 && seen != (1u << CALL_RECORDS) - 1)
                r = mv_fail(err, MV_E_INTERNAL, 0, "no records of a call");
        return r;
}

/* The same three records again and again: what is left of row `call mock` without this is the call. */
int cli_bench_records(struct mv_host *h, uint64_t *ret_ns, struct mv_err *err)
{
        struct recorded records[CALL_RECORDS];
        struct mv_trail *t;
        int r = one_call(h, err);
        if (r == 0)
                r = read_call(h->audit, records, err);
        if (r == 0)
                r = mv_trail_begin(h->audit, "bench-records", &t, err);
        if (r < 0)
                return r;
        uint64_t t0 = now_ns();
        for (unsigned i = 0; r == 0 && i < DECISIONS * CALL_RECORDS; i++) {
                const struct recorded *w = &records[i % CALL_RECORDS];
                r = mv_trail_append(t, w->type, mv_slice(w->semantic, w->semantic_len),
                                    mv_slice(w->observed, w->observed_len), err);
        }
        *ret_ns = (now_ns() - t0) / DECISIONS;
        mv_trail_free(t);
        return r;
}
