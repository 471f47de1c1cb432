/* SPDX-License-Identifier: Apache-2.0 */
/* rtfs-digests CASES.jsonl DIGESTS [--write]: one source is one bytecode, one fuel count and one outcome in every build.
 *
 * DIGESTS has a line `ID BYTECODE FUEL OUTCOME` for every STEPth case: FNV-1a of the bytecode (or of the refusal), steps
 * taken, FNV-1a of events, calls, and value or error. Every build (release, debug, sanitizers, torture) compares itself
 * with the committed file. --write renews it, after a change that means to change code or cost:
 * `ninja -C build update-digests`. */
#include "../unit/rtfs_program.h"
#include <base/arena.h>
#include <inttypes.h>
#include <wire/json.h>

#define LINE_MAX_BYTES (1u << 20)
#define STEP           5
#define ARENA_BYTES    ((size_t)64 << 20)
#define FUEL_MAX       20000000u

static uint64_t fnv(struct mv_slice s)
{
        uint64_t h = 14695981039346656037u;
        for (size_t i = 0; i < s.len; i++)
                h = (h ^ s.p[i]) * 1099511628211u;
        return h;
}

static struct mv_slice text_field(const struct mv_value *c, const char *name)
{
        struct mv_slice s = { NULL, 0 };
        mv_as_text(mv_map_get(c, name), &s);
        return s;
}

/* The line of one case, as text without the newline. */
static void digest(struct mv_rtfs *r, const struct mv_value *c, char *buf, size_t cap)
{
        static uint8_t code[1 << 20];
        static struct program_run run;
        struct mv_slice id = text_field(c, "id"), source = text_field(c, "source");
        struct mv_rtfs_error e;
        struct mv_out o = mv_out(code, sizeof code);
        mv_rtfs_reset(r, NULL);
        uint64_t compiled =
                mv_rtfs_compile(r, source, &o, &e) ? fnv(mv_out_slice(&o)) : fnv(e.message);
        program_run(r, source, false, FUEL_MAX, &run);
        snprintf(buf, cap, "%.*s %016" PRIx64 " %" PRIu64 " %016" PRIx64, MV_SARG(id), compiled,
                 run.fuel, fnv(mv_slice(run.text, run.len)));
}

static bool next_line(FILE *f, char *buf, int cap)
{
        if (!fgets(buf, cap, f))
                return false;
        buf[strcspn(buf, "\n")] = '\0';
        return true;
}

/* Compare with, or write, the next line of the file. */
static bool one(struct mv_rtfs *r, char *json, FILE *digests, bool write)
{
        struct mv_arena a = mv_arena_grow(16u << 20);
        const struct mv_value *c;
        struct mv_err err;
        char now[256], then[256];
        bool ok = mv_json_decode(mv_slice(json, strlen(json)), &a, &c, &err) == 0;
        if (ok) {
                digest(r, c, now, sizeof now);
                if (write)
                        ok = fprintf(digests, "%s\n", now) > 0;
                else if (!next_line(digests, then, sizeof then) || strcmp(now, then) != 0) {
                        printf("# here:      %s\n# committed: %s\n", now, then);
                        ok = false;
                }
        }
        mv_arena_done(&a);
        return ok;
}

int main(int argc, char **argv)
{
        bool write = argc == 4 && strcmp(argv[3], "--write") == 0;
        static char json[LINE_MAX_BYTES];
        unsigned n = 0, wrong = 0;
        FILE *cases = argc > 2 ? fopen(argv[1], "re") : NULL;
        FILE *digests = argc > 2 ? fopen(argv[2], write ? "we" : "re") : NULL;
        if (!cases || !digests) {
                fprintf(stderr, "usage: rtfs-digests CASES.jsonl DIGESTS [--write]\n");
                return 2;
        }
        struct mv_rtfs *r = program_evaluator(ARENA_BYTES);
        for (unsigned line = 0; next_line(cases, json, sizeof json); line++) {
                if (line % STEP)
                        continue;
                wrong += !one(r, json, digests, write);
                n++;
        }
        fclose(cases);
        if (fclose(digests) != 0)
                wrong++;
        free(r); /* the evaluator is its arena */
        printf("1..1\n%s 1 - bytecode, fuel and outcome of %u programs are the committed ones\n",
               wrong ? "not ok" : "ok", n);
        return wrong != 0;
}
