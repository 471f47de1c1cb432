/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a pattern and a text: compiling and searching stay inside their memory and their
 * time, matches lie inside the text, and a whole match is a match. Input: the pattern up to the
 * first newline, then the text. */
#include <base/slice.h>
#include <rtfs/regex.h>
#include <stdlib.h>
#include <wire/text.h>

#define MUST(x) ((x) ? (void)0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static bool spend(void *ctx, uint64_t steps)
{
        uint64_t *left = ctx;
        *left = *left < steps ? 0 : *left - steps;
        return *left > 0;
}

static enum regex_result search(struct regex *re, struct mv_slice text, uint32_t from, bool whole,
                                uint64_t budget, struct regex_match *m)
{
        struct regex_meter meter = { spend, &budget };
        enum regex_result result = regex_search(re, text, from, whole, &meter, m);
        if (result == REGEX_YES)
                MUST(m->from >= from && m->from <= m->to && m->to <= text.len);
        return result;
}

static void check(struct regex *re, const struct regex_size *size, struct mv_slice text)
{
        struct regex_match first, whole, again;
        uint64_t linear = (text.len + 2) * (size->instructions * (uint64_t)(3 + size->ranges) + 2);
        MUST(search(re, text, 0, false, linear, &first) != REGEX_STOPPED);
        enum regex_result result = search(re, text, 0, true, linear, &whole);
        MUST(result != REGEX_STOPPED);
        if (result == REGEX_YES) {
                MUST(whole.from == 0 && whole.to == text.len);
                MUST(search(re, text, 0, false, linear, &again) == REGEX_YES && again.from == 0);
        }
        if (text.len) /* a budget of one step ends the search or suffices */
                search(re, text, 0, false, 1, &again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
        const uint8_t *end = len ? memchr(data, '\n', len) : NULL;
        struct mv_slice pattern = mv_slice(data, end ? (size_t)(end - data) : len);
        struct mv_slice text = end ? mv_slice(end + 1, len - pattern.len - 1) : mv_slice(data, 0);
        struct regex_size size;
        const char *why = NULL;
        if (!mv_utf8_valid(pattern) || !mv_utf8_valid(text) || text.len > 4096)
                return 0;
        if (!regex_measure(pattern, &size, &why)) {
                MUST(why);
                return 0;
        }
        void *mem = aligned_alloc(16, (regex_bytes(&size) + 15) / 16 * 16);
        MUST(mem);
        check(regex_build(pattern, &size, mem), &size, text);
        free(mem);
        return 0;
}
