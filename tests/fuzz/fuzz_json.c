/* SPDX-License-Identifier: Apache-2.0 */
/* A text that parses, printed and parsed again, gives the same value; the pull parser ends on any text. Numbers of any
 * form are also given to the number parser, which must agree with the C library. */
#include <base/arena.h>
#include <base/slice.h>
#include <wire/cbor.h>
#include <wire/json.h>
#include <wire/text.h>
#include <stdlib.h>

#define MUST(x) ((x) ? (void)0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_round_trip(const struct mv_value *v, struct mv_arena *a)
{
        size_t len;
        const struct mv_value *again;
        struct mv_err err;
        char *text = mv_value_json(v, &len);
        MUST(text);
        MUST(mv_json_decode(mv_slice(text, len), a, &again, &err) == 0);
        MUST(mv_value_equal(v, again));
        free(text);
}

static void check_number(struct mv_slice s)
{
        double ours, theirs;
        if (!mv_parse_float(s, &ours))
                return;
        char *text = malloc(s.len + 1);
        MUST(text);
        memcpy(text, s.p, s.len);
        text[s.len] = 0;
        theirs = strtod(text, NULL);
        MUST(memcmp(&ours, &theirs, sizeof ours) == 0);
        free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
        struct mv_slice in = mv_slice(data, len);
        struct mv_arena a = mv_arena_grow(64 << 20);
        const struct mv_value *v;
        struct mv_err err;
        struct mv_json j = mv_json(in);
        struct mv_json_event e;
        while (mv_json_next(&j, &e) && e.kind != MV_JSON_END)
                ;
        int r = mv_json_decode(in, &a, &v, &err);
        MUST((r == 0) == (j.why[0] == 0) || r == -MV_E_LIMIT);
        if (r == 0)
                check_round_trip(v, &a);
        check_number(in);
        mv_arena_done(&a);
        return 0;
}
