/* SPDX-License-Identifier: Apache-2.0 */
/* The records of an interrupted execution as whoever can write a store of ours (and sign it) could make them: resuming ends, and what
 * it leaves verifies.
 *
 * The input is read byte by byte: 0..31: so many of the next records of a real run, as they are; 32..63: one of them is left out; 64..:
 * a record of this type (modulo their number), u16 bytes of its semantic part, u16 of its observed part, both. What comes after
 * the last byte is not there: the process was killed. */
#include <audit/audit.h>
#include <base/cur.h>
#include <base/slice.h>
#include <host/host.h>
#include <microvm/microvm.h>
#include <security/terms.h>
#include <stdlib.h>
#include <string.h>

#define MUST(x)     ((x) ? (void)0 : abort())
#define RECORDS_MAX 128
#define PROGRAM                                                                                    \
        "(println \"a\") (try ^{:runtime.compensate [\"test.put\" 9]} (call \"test.put\" 5) "      \
        "(catch e "                                                                                \
        "e)) (step \"s\" :expose-context true (context/set :k 1) (try (call \"test.spend\" 2) "    \
        "(catch e "                                                                                \
        "e))) ^{:runtime.idempotency-key \"k\"} (call \"test.put\" 3) (call \"test.put\" 4) (/ 1 " \
        "0)"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct mv_context *context;
static struct past {
        enum mv_record_type type;
        struct mv_slice semantic, observed;
} past[RECORDS_MAX];
static unsigned past_count;

static int put(struct mv_call *call, const struct mv_value *args, uint32_t n, struct mv_value *ret)
{
        *ret = args[0];
        return 0;
}

static int spend(struct mv_call *call, const struct mv_value *args, uint32_t n,
                 struct mv_value *ret)
{
        *ret = args[0];
        return mv_call_reserve(call, MV_SPEND_TOKENS, 7);
}

static struct mv_host *host(void)
{
        struct mv_host *h;
        struct mv_err err;
        struct mv_capability c = { .id = "test.put",
                                   .effects = MV_EFFECT_SYSTEM,
                                   .args_min = 1,
                                   .args_max = 1,
                                   .idempotent = true,
                                   .call = put };
        struct mv_capability s = c;
        s.id = "test.spend";
        s.idempotent = false;
        s.call = spend;
        MUST(mv_host_new(NULL, &h, &err) == 0);
        MUST(mv_host_add_capability(h, &c, &err) == 0);
        MUST(mv_host_add_capability(h, &s, &err) == 0);
        return h;
}

static struct mv_slice keep(struct mv_slice s)
{
        uint8_t *p = malloc(s.len + 1);
        MUST(p);
        if (s.len)
                memcpy(p, s.p, s.len);
        return mv_slice(p, s.len);
}

static void remember(struct mv_host *h)
{
        struct mv_audit_reader *reader;
        struct mv_audit_record r;
        struct mv_err err;
        MUST(mv_audit_reader_of(h->audit, &reader, &err) == 0);
        while (mv_audit_read(reader, &r, &err) == 1 && past_count < RECORDS_MAX)
                if (r.type != MV_REC_ROOT && r.type != MV_REC_SEAL)
                        past[past_count++] =
                                (struct past){ r.type, keep(r.semantic), keep(r.observed) };
        mv_audit_reader_close(reader);
}

static void prepare(void)
{
        struct mv_budget b = MV_BUDGET_NONE;
        struct mv_result *r;
        struct mv_err err;
        struct mv_host *h = host();
        struct mv_execution x = { .program = mv_program_source(PROGRAM),
                                  .provider = "mock",
                                  .prelude = true };
        MUST(context = mv_context_new(MV_LEVEL_CONTROLLED));
        MUST(mv_context_allow(context, "test.*", &err) == 0 &&
             mv_context_allow(context, "ccos.io.println", &err) == 0);
        b.max[MV_SPEND_TOKENS] = 5;
        b.exhausted[MV_SPEND_TOKENS] = MV_EXHAUSTED_ASK;
        b.max[MV_SPEND_CALLS] = 2;
        b.exhausted[MV_SPEND_CALLS] = MV_EXHAUSTED_GO_ON;
        mv_context_budget(context, &b);
        struct mv_context *promised =
                mv_context_copy(context); /* what put gives for 5 it may not give */
        MUST(promised && mv__term_add(promised, "post", "(not= result 5)", &err) == 0);
        MUST(mv_context_narrow(context, "test.put", promised, &err) == 0);
        MUST(mv_context_expose(context, "test.*", &err) == 0);
        mv_context_limit(context, &(struct mv_limits){ .memory_bytes_max = 2u << 20 });
        x.context = context;
        MUST(mv_execute(h, &x, &r, &err) == 0);
        mv_result_free(r);
        remember(h);
        mv_host_free(h);
}

static bool append(struct mv_trail *t, const struct past *p)
{
        struct mv_err err;
        return (mv_record_is_note(p->type)
                        ? mv_trail_note(t, p->type, p->semantic, p->observed, &err)
                        : mv_trail_append(t, p->type, p->semantic, p->observed, &err)) == 0;
}

static void write_records(struct mv_trail *t, struct mv_slice input)
{
        struct mv_cur c = mv_cur(input);
        unsigned at = 0;
        while (!mv_cur_done(&c) && !c.bad) {
                uint8_t op = mv_get_u8(&c);
                for (unsigned i = 0; op < 32 && i < op && at < past_count; i++)
                        (void)append(t, &past[at++]);
                at += op >= 32 && op < 64;
                if (op < 64)
                        continue;
                uint16_t semantic = mv_get_u16(&c), observed = mv_get_u16(&c);
                struct past own = { (enum mv_record_type)(1 + (op - 64) % (MV_REC_MAX_ - 1)),
                                    mv_get_bytes(&c, semantic), mv_get_bytes(&c, observed) };
                if (!c.bad && own.type != MV_REC_ROOT && own.type != MV_REC_SEAL)
                        (void)append(t, &own);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
        struct mv_trail *t;
        struct mv_result *r;
        struct mv_err err;
        struct mv_resumption x = { .execution_id = "exec_fuzz",
                                   .provider = "mock",
                                   .in_doubt = MV_IN_DOUBT_REPEAT,
                                   .in_doubt_call = 3 };
        if (len > 4096)
                return 0;
        if (!context)
                prepare();
        struct mv_host *h = host();
        MUST(mv_trail_begin(h->audit, "exec_fuzz", &t, &err) == 0);
        write_records(t, mv_slice(data, len));
        mv_trail_free(t);
        bool sound = mv_audit_verify_own(h->audit, &err) == 0;
        x.context = context;
        if (mv_resume(h, &x, &r, &err) == 0) {
                MUST(sound);
                mv_result_free(r);
        }
        MUST(!sound || mv_audit_verify_own(h->audit, &err) == 0);
        mv_host_free(h);
        return 0;
}
