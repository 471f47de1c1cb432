/* SPDX-License-Identifier: Apache-2.0 */
/* ccos.io.log, print, println: the execution's captured output (REQ-CAP-40). */
#include <capability/builtin.h>
#include <stdlib.h>
#include <wire/text.h>

#define OUTPUT_BYTES_FIRST 1024

/* As `str` does it: a text that is an argument itself is printed without quotes. As much of it
 * as fits. */
static void put_argument(struct mv_out *o, const struct mv_value *v)
{
        if (v->kind != MV_STRING) {
                mv_print_display(o, v);
                return;
        }
        size_t room = o->overflow ? 0 : o->cap - o->len;
        mv_put_bytes(o, v->text.p, v->text.len < room ? v->text.len : room);
        o->overflow |= v->text.len > room;
}

static bool put_all(struct mv_out *o, const char *prefix, const struct mv_value *args, uint32_t n,
                    const char *end)
{
        mv_put_str(o, prefix);
        for (uint32_t i = 0; i < n; i++) {
                if (i)
                        mv_put_u8(o, ' ');
                put_argument(o, &args[i]);
        }
        return mv_put_str(o, end);
}

static int output_exhausted(struct mv_call *call)
{
        return mv_call_fail(call, "OutputExhausted",
                            "%s: more than the output limit of %lu bytes; raise --max-output",
                            call->capability->id, (unsigned long)call->limits.output_bytes_max);
}

/* Prints into a buffer that doubles up to one byte more than the output may hold: what does not fit there does not fit
 * the output either, and its beginning is kept. */
static int write_all(struct mv_call *call, const char *prefix, const struct mv_value *args,
                     uint32_t n, const char *end)
{
        uint64_t cap_max = call->limits.output_bytes_max + 1;
        for (uint64_t cap = OUTPUT_BYTES_FIRST;; cap *= 2) {
                cap = cap < cap_max ? cap : cap_max;
                uint8_t *p = malloc(cap);
                if (!p)
                        return mv__fail_memory(call, "the output");
                struct mv_out o = mv_out(p, cap);
                bool whole = put_all(&o, prefix, args, n, end), written = false;
                if (whole || cap == cap_max)
                        written = call->host.write_output(call->host.ctx, false, mv_out_slice(&o));
                free(p);
                if (written && whole)
                        return 0;
                if (whole || cap == cap_max)
                        return output_exhausted(call);
        }
}

static int log_line(struct mv_call *call, const struct mv_value *args, uint32_t n,
                    struct mv_value *ret)
{
        *ret = mv__nil();
        return write_all(call, "[CCOS-LOG] ", args, n, "\n");
}

static int print(struct mv_call *call, const struct mv_value *args, uint32_t n,
                 struct mv_value *ret)
{
        *ret = mv__nil();
        return write_all(call, "", args, n, "");
}

static int println(struct mv_call *call, const struct mv_value *args, uint32_t n,
                   struct mv_value *ret)
{
        *ret = mv__nil();
        return write_all(call, "", args, n, "\n");
}

static const struct mv_builtin items[] = {
        { .capability = { .id = "ccos.io.log",
                          .arguments = "(any...)",
                          .result = "nil",
                          .summary = "Writes a line that begins with [CCOS-LOG] to the captured "
                                     "output.",
                          .effects = MV_EFFECT_OUTPUT,
                          .args_min = 0,
                          .args_max = UINT16_MAX,
                          .call = log_line },
          .kinds = "*" },
        { .capability = { .id = "ccos.io.print",
                          .arguments = "(any...)",
                          .result = "nil",
                          .summary = "Writes to the captured output.",
                          .effects = MV_EFFECT_OUTPUT,
                          .args_min = 1,
                          .args_max = UINT16_MAX,
                          .call = print },
          .kinds = "*" },
        { .capability = { .id = "ccos.io.println",
                          .arguments = "(any...)",
                          .result = "nil",
                          .summary = "Writes a line to the captured output.",
                          .effects = MV_EFFECT_OUTPUT,
                          .args_min = 1,
                          .args_max = UINT16_MAX,
                          .call = println },
          .kinds = "*" },
};
MV_FAMILY(mv__family_output, items);
