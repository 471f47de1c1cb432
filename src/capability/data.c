/* SPDX-License-Identifier: Apache-2.0 */
/* ccos.data: JSON to values and back (REQ-CAP-41). */
#include <capability/builtin.h>
#include <stdlib.h>
#include <wire/json.h>
#include <wire/text.h>

static int parse_json(struct mv_call *call, const struct mv_value *args, uint32_t n,
                      struct mv_value *ret)
{
        const struct mv_value *v;
        struct mv_err err;
        int r = mv_json_decode(args[0].text, call->arena, &v, &err);
        if (r == -(int)MV_E_LIMIT)
                return mv__fail_memory(call, "the parsed text");
        if (r < 0)
                return mv_call_fail(call, "JsonError", "%s", err.msg);
        *ret = *v;
        return 0;
}

#define JSON_BYTES_FIRST 4096

static int serialize_json(struct mv_call *call, const struct mv_value *args, uint32_t n,
                          struct mv_value *ret)
{
        const char *limit, *why = NULL;
        uint64_t bytes_max = mv__reply_bytes_max(call, &limit);
        for (uint64_t cap = JSON_BYTES_FIRST;; cap *= 2) {
                cap = cap < bytes_max ? cap : bytes_max;
                uint8_t *p = malloc(cap);
                struct mv_out o = mv_out(p, p ? cap : 0);
                bool printed = mv_print_json(&o, &args[0], &why);
                bool copied = printed && mv__copy_text(call, mv_out_slice(&o), ret);
                free(p);
                if (copied)
                        return 0;
                if (printed || !p)
                        return mv__fail_memory(call, "the JSON text");
                if (why)
                        return mv_call_fail(call, "JsonError", "%s", why);
                if (cap == bytes_max)
                        return mv_call_fail(call, "JsonError",
                                            "the text is longer than the %s of %lu bytes", limit,
                                            (unsigned long)bytes_max);
        }
}

static const struct mv_builtin items[] = {
        { .capability = { .id = "ccos.data.parse-json",
                          .arguments = "(string)",
                          .result = "any",
                          .summary = "Parses a JSON text; objects become maps with string keys.",
                          .pure = true,
                          .args_min = 1,
                          .args_max = 1,
                          .call = parse_json },
          .kinds = "s" },
        { .capability = { .id = "ccos.data.serialize-json",
                          .arguments = "(value)",
                          .result = "string",
                          .summary = "Writes a value as JSON.",
                          .pure = true,
                          .args_min = 1,
                          .args_max = 1,
                          .call = serialize_json },
          .kinds = "*" },
};
MV_FAMILY(mv__family_data, items);
