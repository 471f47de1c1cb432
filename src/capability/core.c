/* SPDX-License-Identifier: Apache-2.0 */
/* ccos.echo, ccos.math, ccos.string: pure functions, here so that a program can be tested
 * against the door. */
#include <capability/builtin.h>

static int echo(struct mv_call *call, const struct mv_value *args, uint32_t n, struct mv_value *ret)
{
        *ret = n ? args[0] : mv__nil();
        return 0;
}

/* What is summed: the arguments, the items of one vector or list, or :a and :b of one map (REQ-
 * CAP-43). */
static int add_operand(struct mv_call *call, const struct mv_value *v, int64_t *sum)
{
        int64_t i;
        if (!v || v->kind != MV_INT)
                return mv_call_fail(call, "TypeError", "ccos.math.add: expected integer, got %s",
                                    mv_kind_name(v ? v->kind : MV_NIL));
        i = v->integer;
        if (__builtin_add_overflow(*sum, i, sum))
                return mv_call_fail(call, "IntegerOverflow", "ccos.math.add");
        return 0;
}

static int add_all(struct mv_call *call, const struct mv_value *items, uint32_t n, int64_t *sum)
{
        for (uint32_t i = 0; i < n; i++) {
                int r = add_operand(call, &items[i], sum);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int add(struct mv_call *call, const struct mv_value *args, uint32_t n, struct mv_value *ret)
{
        int64_t sum = 0;
        int r;
        if (n == 1 && args[0].kind == MV_MAP) {
                r = add_operand(call, mv_map_get(&args[0], "a"), &sum);
                if (r == 0)
                        r = add_operand(call, mv_map_get(&args[0], "b"), &sum);
        } else if (n == 1 && (args[0].kind == MV_VECTOR || args[0].kind == MV_LIST)) {
                r = add_all(call, args[0].items, args[0].count, &sum);
        } else {
                r = add_all(call, args, n, &sum);
        }
        if (r == 0)
                *ret = mv__int(sum);
        return r;
}

static int concat(struct mv_call *call, const struct mv_value *args, uint32_t n,
                  struct mv_value *ret)
{
        size_t bytes = 0;
        for (uint32_t i = 0; i < n; i++)
                bytes += args[i].text.len; /* the arguments fit one frame: no overflow */
        uint8_t *p = mv_call_alloc(call, bytes + 1);
        if (!p)
                return mv__fail_memory(call, "the text");
        struct mv_out o = mv_out(p, bytes);
        for (uint32_t i = 0; i < n; i++)
                mv_put_slice(&o, args[i].text);
        *ret = mv__text(mv_out_slice(&o));
        return 0;
}

static const struct mv_builtin items[] = {
        { .capability = { .id = "ccos.echo",
                          .arguments = "(value)",
                          .result = "any",
                          .summary = "Gives its argument back.",
                          .pure = true,
                          .args_min = 0,
                          .args_max = 1,
                          .call = echo },
          .kinds = "*" },
        { .capability = { .id = "ccos.math.add",
                          .arguments =
                                  "(integer...) or ([integer...]) or ({:a integer :b integer})",
                          .result = "integer",
                          .summary = "Adds integers; overflow is an error.",
                          .pure = true,
                          .args_min = 1,
                          .args_max = UINT16_MAX,
                          .call = add },
          .kinds = "*" },
        { .capability = { .id = "ccos.string.concat",
                          .arguments = "(string...)",
                          .result = "string",
                          .summary = "Joins strings.",
                          .pure = true,
                          .args_min = 0,
                          .args_max = UINT16_MAX,
                          .call = concat },
          .kinds = "s" },
};
MV_FAMILY(mv__family_core, items);
