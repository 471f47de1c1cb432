/* SPDX-License-Identifier: Apache-2.0 */
/* Invariant 6 of the design: the same program with the same replies gives the same value and the
 * same semantic root behind every wall. Every conformance case is run through the library on
 * each provider, whatever its outcome is. */
#include "test.h"
#include "walls.h"
#include <base/arena.h>
#include <base/slice.h>
#include <microvm/microvm.h>
#include <stdlib.h>
#include <wire/json.h>

#define LINE_BYTES_MAX (1u << 20)

static struct mv_context *test_context(void)
{
        static const char *const granted[] = { "test.*", "ccos.echo", "ccos.io.println",
                                               "ccos.io.log" };
        struct mv_context *c = mv_context_new(MV_LEVEL_CONTROLLED);
        for (size_t i = 0; c && i < sizeof granted / sizeof granted[0]; i++)
                if (mv_context_allow(c, granted[i], &err) < 0)
                        return mv_context_free(c);
        return c;
}

static void disagree(struct mv_slice id, const char *provider, const struct mv_result *r)
{
        char what[600];
        const struct mv_program_error *e = r ? mv_result_error(r) : NULL;
        snprintf(what, sizeof what, "%.*s on %s: %s %s", MV_SARG(id), provider,
                 r ? mv_termination_name(mv_result_termination(r)) : err.msg, e ? e->message : "");
        mv_test_failed(__FILE__, __LINE__, what);
}

/* One case on every provider: the first root is the one all must have. */
static void check_case(struct mv_host *h, const struct mv_context *context,
                       const struct mv_value *c)
{
        struct mv_slice id = { NULL, 0 }, source = { NULL, 0 }, host = { NULL, 0 };
        uint8_t root[32];
        bool have = false;
        mv_as_text(mv_map_get(c, "id"), &id);
        mv_as_text(mv_map_get(c, "source"), &source);
        mv_as_text(mv_map_get(c, "host"), &host);
        for (size_t i = 0; i < WALLS_COUNT; i++) {
                struct mv_execution x = { .program = { .kind = MV_PROGRAM_SOURCE, .bytes = source },
                                          .context = context,
                                          .provider = names[i],
                                          .prelude = mv_slice_eq_str(host, "test+prelude") };
                struct mv_result *r = NULL;
                if (!usable[i])
                        continue;
                if (mv_execute(h, &x, &r, &err) < 0)
                        disagree(id, names[i], NULL);
                else if (have && memcmp(root, mv_result_root(r), sizeof root) != 0)
                        disagree(id, names[i], r);
                if (r && !have)
                        memcpy(root, mv_result_root(r), sizeof root);
                have = have || r;
                mv_result_free(r);
        }
}

TEST(every_conformance_case_has_one_root_behind_every_wall)
{
        struct mv_host *h = test_host();
        struct mv_context *context = test_context();
        FILE *f = fopen(CONFORMANCE_CASES, "re");
        char *line = malloc(LINE_BYTES_MAX);
        unsigned cases = 0;
        REQUIRE(h && context && f && line);
        while (fgets(line, LINE_BYTES_MAX, f)) {
                struct mv_arena a = mv_arena_grow(16u << 20);
                const struct mv_value *c;
                if (mv_json_decode(mv_slice(line, strcspn(line, "\n")), &a, &c, &err) < 0)
                        mv_test_failed(__FILE__, __LINE__, err.msg);
                else
                        check_case(h, context, c);
                mv_arena_done(&a);
                cases++;
        }
        CHECK(cases > 1000);
        free(line);
        fclose(f);
        mv_context_free(context);
        mv_host_free(h);
        if (!usable[1] || !usable[2] || !usable[3])
                SKIP("not every provider is available here: compared those that are");
}
