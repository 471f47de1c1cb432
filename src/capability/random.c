/* SPDX-License-Identifier: Apache-2.0 */
/* ccos.random: numbers that nobody can foresee, or that come from a seed (REQ-LANG-12).
 *
 * (1) With a seed a draw depends on the seed, the program and the draw's name alone (broker/services.c). It knows nothing of
 *     the calls before it, so branches draw the same in whatever order they run, behind every wall, and when a run is resumed.
 * (2) Without one it is the kernel's. Inside a step that demands determinism there is always one: the empty seed.
 * (3) Numbers are uniform: what would favour some of them is drawn again. */
#include <capability/builtin.h>
#include <sys/beneath.h>

#define DRAWS_MAX      64 /* at worst every second one is drawn again */
#define NAME_BYTES_MAX 4096

static int draw(const struct mv_call *call, const struct mv_draw *d, uint64_t *ret)
{
        if (call->host.draw && call->host.draw(call->host.ctx, d, ret))
                return 0;
        return mv_sys_random(ret, sizeof *ret);
}

static int random_int(struct mv_call *call, const struct mv_value *args, uint32_t n,
                      struct mv_value *ret)
{
        uint64_t bound = (uint64_t)args[0].integer, v = 0;
        struct mv_draw d = { .name = args[1].text, .fixed = call->fixed_clock_ms != 0 };
        if (args[0].integer < 1)
                return mv_call_fail(call, "InvalidArgument",
                                    "random.int: there is no number from 0 to below %lld",
                                    (long long)args[0].integer);
        if (args[1].text.len > NAME_BYTES_MAX)
                return mv_call_fail(call, "InvalidArgument",
                                    "random.int: the name of a draw has at most %d bytes",
                                    NAME_BYTES_MAX);
        uint64_t most = UINT64_MAX - (UINT64_MAX % bound + 1) % bound; /* the last fair one (3) */
        for (; d.attempt < DRAWS_MAX; d.attempt++) {
                if (draw(call, &d, &v) < 0)
                        return mv_call_fail(call, "IoError", "random.int: the kernel gave nothing");
                if (v <= most)
                        break;
        }
        *ret = mv__int((int64_t)(v % bound));
        return 0;
}

static const struct mv_builtin items[] = {
        { .capability = { .id = "ccos.random.int",
                          .arguments = "(bound name)",
                          .result = "integer",
                          .summary = "A number from 0 to below bound. name: of the draw, "
                                     "(random-stream).",
                          .effects = MV_EFFECT_SYSTEM,
                          .args_min = 2,
                          .args_max = 2,
                          .idempotent = true,
                          .call = random_int },
          .kinds = "is" },
};
MV_FAMILY(mv__family_random, items);
