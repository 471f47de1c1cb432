/* SPDX-License-Identifier: Apache-2.0 */
/* rtfs-differential [--from SEED] [--count N] [--print]: generated programs give the same behind every wall.
 *
 * Each program (generate.c) runs on mock, process, wasm and kvm; value in display and readable form, error with its place, fuel,
 * termination and semantic root have to agree. --print shows the programs instead. Prints TAP; exit 1 when two differ. */
#include "../walls.h"
#include "generate.h"
#include <base/slice.h>
#include <inttypes.h>
#include <microvm/microvm.h>
#include <stdio.h>
#include <stdlib.h>

/* --- one program ------------------------------------------------------------------------------ */
/* All that has to agree, as one text. */
static void describe(const struct mv_result *r, char *buf, size_t cap)
{
        const struct mv_program_error *e = mv_result_error(r);
        const uint8_t *root = mv_result_root(r);
        int n = snprintf(buf, cap, "%s, fuel %" PRIu64 ", root ",
                         mv_termination_name(mv_result_termination(r)),
                         mv_result_metadata(r)->fuel);
        for (int i = 0; i < 32; i++)
                n += snprintf(buf + n, cap - (size_t)n, "%02x", root[i]);
        if (e) {
                snprintf(buf + n, cap - (size_t)n, ", %s at %u:%u: %s %s", e->kind, e->line,
                         e->column, e->message, e->hint);
                return;
        }
        char *display = mv_value_display(mv_result_value(r), NULL),
             *readable = mv_value_readable(mv_result_value(r), NULL);
        snprintf(buf + n, cap - (size_t)n, ", %s | %s", display ? display : "?",
                 readable ? readable : "?");
        free(display);
        free(readable);
}

struct tally {
        unsigned values, errors, other, different;
};

static void count_outcome(struct tally *t, enum mv_termination how)
{
        if (how == MV_END_COMPLETED)
                t->values++;
        else if (how == MV_END_ERROR)
                t->errors++;
        else
                t->other++;
}

static void run_on(struct mv_host *h, const struct mv_context *c, struct mv_slice text, size_t i,
                   char *buf, size_t cap, struct tally *t)
{
        struct mv_execution x = { .program = { .kind = MV_PROGRAM_SOURCE, .bytes = text },
                                  .context = c,
                                  .provider = names[i],
                                  .limits = { .fuel_max = 2000000 } };
        struct mv_result *r = NULL;
        if (mv_execute(h, &x, &r, &err) < 0) {
                snprintf(buf, cap, "not run: %s", err.msg);
                t->other++;
                return;
        }
        describe(r, buf, cap);
        if (i == 0)
                count_outcome(t, mv_result_termination(r));
        mv_result_free(r);
}

static void compare(struct mv_host *h, const struct mv_context *c, uint64_t seed, struct tally *t)
{
        static char program[GENERATE_BYTES_MAX], outcome[WALLS_COUNT][1 << 17];
        struct mv_slice text = mv_slice(program, generate_program(seed, program));
        bool differ = false;
        for (size_t i = 0; i < WALLS_COUNT; i++) {
                if (!usable[i])
                        continue;
                run_on(h, c, text, i, outcome[i], sizeof outcome[i], t);
                differ = differ || strcmp(outcome[i], outcome[0]) != 0;
        }
        if (!differ)
                return;
        t->different++;
        printf("# seed %" PRIu64 " differs\n", seed);
        for (size_t i = 0; i < WALLS_COUNT; i++)
                if (usable[i])
                        printf("#   %s: %s\n", names[i], outcome[i]);
}

static int compare_all(uint64_t from, uint64_t count)
{
        struct tally t = { 0 };
        struct mv_host *h = test_host();
        struct mv_context *c = mv_context_new(MV_LEVEL_CONTROLLED);
        if (!h || !c || mv_context_allow(c, "test.*", &err) < 0) {
                printf("Bail out! %s\n", err.msg);
                return 1;
        }
        for (uint64_t seed = from; seed < from + count; seed++)
                compare(h, c, seed, &t);
        printf("# %u values, %u errors, %u others; providers:%s%s%s%s%s\n", t.values, t.errors,
               t.other, usable[0] ? " mock" : "", usable[1] ? " process" : "",
               usable[2] ? " wasm" : "", usable[3] ? " kvm" : "", usable[4] ? " gvisor" : "");
        printf("1..1\n%s 1 - %" PRIu64 " generated programs from seed %" PRIu64
               " agree on every provider\n",
               t.different ? "not ok" : "ok", count, from);
        mv_context_free(c);
        mv_host_free(h);
        return t.different != 0;
}

int main(int argc, char **argv)
{
        uint64_t from = 1, count = 300;
        bool print = false;
        for (int i = 1; i < argc; i++) {
                if (!strcmp(argv[i], "--print"))
                        print = true;
                else if (!strcmp(argv[i], "--from") && i + 1 < argc)
                        from = strtoull(argv[++i], NULL, 10);
                else if (!strcmp(argv[i], "--count") && i + 1 < argc)
                        count = strtoull(argv[++i], NULL, 10);
                else {
                        fprintf(stderr,
                                "usage: rtfs-differential [--from SEED] [--count N] [--print]\n");
                        return 2;
                }
        }
        if (!print)
                return compare_all(from, count);
        for (uint64_t seed = from; seed < from + count; seed++) {
                static char program[GENERATE_BYTES_MAX];
                generate_program(seed, program);
                printf("; seed %" PRIu64 "\n%s\n", seed, program);
        }
        return 0;
}
