/* SPDX-License-Identifier: Apache-2.0 */
/* Searching: a Pike machine that tracks only where a match began.
 *
 * (1) At every position each instruction holds at most one thread, in order of priority; a lower
 * one that arrives later is dropped. So a step costs O(instructions) and the whole search O(text *
 * instructions), whatever the pattern. (2) The first thread that reaches MATCH cuts all threads
 * behind it: leftmost-first, as in Perl. (3) Work is announced to the meter in portions of
 * SPEND_STEPS; nothing else bounds a search. */
#include <rtfs/regex_program.h>
#include <wire/text.h>

#define SPEND_STEPS 4096

struct search {
        struct regex *re;
        struct mv_slice text;
        bool whole;
        uint32_t now, count[2];  /* list in use, threads in each */
        uint32_t before, behind; /* code points around the position; NONE at the ends */
        uint64_t steps;
        bool matched;
        struct regex_match match;
};
#define NONE UINT32_MAX

uint32_t regex_fold(uint32_t c)
{
        uint32_t up[3], low[3];
        if (c < 0x80)
                return c - 'A' < 26u ? c + 32 : c;
        if (mv_utf8_upper(c, up) != 1)
                up[0] = c;
        return mv_utf8_lower(up[0], low) == 1 ? low[0] : up[0];
}

bool regex_is_word(uint32_t c)
{
        if (c < 0x80)
                return c == '_' || c - '0' < 10u || (c | 0x20) - 'a' < 26u;
        return mv_utf8_is_alpha(c) || mv_utf8_is_digit(c) || c == 0x203f || c == 0x2040;
}

static bool changes(int (*map)(uint32_t, uint32_t *), uint32_t c)
{
        uint32_t out[3];
        return map(c, out) != 1 || out[0] != c;
}

static bool in_set(enum regex_set set, uint32_t c)
{
        switch (set) {
        case RX_DIGIT:
        case RX_NUMBER:
                return mv_utf8_is_digit(c);
        case RX_SPACE:
                return mv_utf8_is_space(c);
        case RX_WORD:
                return regex_is_word(c);
        case RX_ALPHA:
                return mv_utf8_is_alpha(c);
        case RX_UPPER:
                return mv_utf8_is_alpha(c) && changes(mv_utf8_lower, c);
        case RX_LOWER:
                return mv_utf8_is_alpha(c) && changes(mv_utf8_upper, c);
        }
        return false;
}

static bool in_range(const struct regex_range *range, uint32_t c)
{
        if (range->lo > 0x10ffff)
                return in_set((enum regex_set)range->lo, c) != (range->hi != 0);
        return c >= range->lo && c <= range->hi;
}

static bool in_ranges(const struct regex *re, const struct regex_inst *i, uint32_t c)
{
        for (int32_t n = 0; n < i->y; n++)
                if (in_range(re->range + i->x + n, c))
                        return true;
        return false;
}

static bool in_class(const struct regex *re, const struct regex_inst *i, uint32_t c)
{
        bool in = in_ranges(re, i, c);
        if (!in && (i->flags & RX_FOLD)) {
                uint32_t other[3];
                in = (mv_utf8_lower(c, other) == 1 && in_ranges(re, i, other[0])) ||
                     (mv_utf8_upper(c, other) == 1 && in_ranges(re, i, other[0]));
        }
        return in != ((i->flags & RX_NEGATE) != 0);
}

static bool check(const struct search *s, enum regex_check what)
{
        bool word_before = s->before != NONE && regex_is_word(s->before);
        bool word_behind = s->behind != NONE && regex_is_word(s->behind);
        switch (what) {
        case RX_TEXT_START:
                return s->before == NONE;
        case RX_TEXT_END:
                return s->behind == NONE;
        case RX_LINE_START:
                return s->before == NONE || s->before == '\n';
        case RX_LINE_END:
                return s->behind == NONE || s->behind == '\n';
        case RX_WORD_EDGE:
                return word_before != word_behind;
        case RX_NO_WORD_EDGE:
                return word_before == word_behind;
        }
        return false;
}

/* Is there a thread at pc already? The index is never cleared: an entry counts only when the list
 * confirms it. */
static bool visited(const struct search *s, uint32_t list, uint32_t pc)
{
        uint32_t i = s->re->index[pc];
        return i < s->count[list] && s->re->pc[list][i] == pc;
}

/* Follow everything that consumes no text from pc on, and note where it stops, first branch
 * first. */
static void add_thread(struct search *s, uint32_t list, uint32_t pc, uint32_t start)
{
        struct regex *re = s->re;
        uint32_t *stack = re->pending, depth = 0;
        stack[depth++] = pc;
        while (depth) {
                pc = stack[--depth];
                if (visited(s, list, pc))
                        continue;
                uint32_t n = s->count[list]++;
                re->index[pc] = n;
                re->pc[list][n] = pc;
                re->start[list][n] = start;
                s->steps++;
                const struct regex_inst *i = re->inst + pc;
                if (i->op == RX_SPLIT) {
                        stack[depth++] = pc + (uint32_t)i->y;
                        stack[depth++] = pc + (uint32_t)i->x;
                } else if (i->op == RX_JUMP) {
                        stack[depth++] = pc + (uint32_t)i->x;
                } else if (i->op == RX_CHECK && check(s, (enum regex_check)i->x)) {
                        stack[depth++] = pc + 1;
                }
        }
}

static bool accepts(struct search *s, const struct regex_inst *i, uint32_t c)
{
        switch (i->op) {
        case RX_CHAR:
                return (uint32_t)i->x == (i->flags & RX_FOLD ? regex_fold(c) : c);
        case RX_ANY:
                return true;
        case RX_LINE:
                return c != '\n';
        case RX_CLASS:
                s->steps += (uint64_t)i->y;
                return in_class(s->re, i, c);
        default:
                return false;
        }
}

/* Which threads of this position reached MATCH? The first ends the list (2). */
static void collect_match(struct search *s, uint32_t at)
{
        struct regex *re = s->re;
        if (s->whole && at != s->text.len)
                return;
        for (uint32_t n = 0; n < s->count[s->now]; n++) {
                if (re->inst[re->pc[s->now][n]].op != RX_MATCH)
                        continue;
                s->matched = true;
                s->match = (struct regex_match){ re->start[s->now][n], at };
                s->count[s->now] = n;
                return;
        }
}

static uint32_t code_point(struct mv_slice text, size_t at, size_t *ret_next)
{
        *ret_next = at;
        return at < text.len ? mv_utf8_next(text, ret_next) : NONE;
}

static uint32_t code_point_before(struct mv_slice text, size_t at)
{
        if (at == 0)
                return NONE;
        do
                at--;
        while (at && (text.p[at] & 0xc0) == 0x80);
        return mv_utf8_next(text, &at);
}

/* Move every thread over code point c: from s->now to the other list, which describes the next
 * position. */
static void advance(struct search *s, uint32_t c)
{
        struct regex *re = s->re;
        uint32_t next = !s->now;
        s->count[next] = 0;
        for (uint32_t n = 0; n < s->count[s->now]; n++) {
                uint32_t pc = re->pc[s->now][n];
                s->steps++;
                if (accepts(s, re->inst + pc, c))
                        add_thread(s, next, pc + 1, re->start[s->now][n]);
        }
        s->now = next;
}

static bool spend(struct search *s, const struct regex_meter *meter, uint64_t least)
{
        if (s->steps < least)
                return true;
        uint64_t steps = s->steps;
        s->steps = 0;
        return meter->spend(meter->ctx, steps);
}

enum regex_result regex_search(struct regex *re, struct mv_slice text, uint32_t from, bool whole,
                               const struct regex_meter *meter, struct regex_match *ret)
{
        struct search s = { .re = re, .text = text, .whole = whole };
        size_t at = from, next;
        s.before = code_point_before(text, at);
        s.behind = code_point(text, at, &next);
        for (;;) {
                if (!s.matched && (!whole || at == from))
                        add_thread(&s, s.now, 0, (uint32_t)at);
                collect_match(&s, (uint32_t)at);
                if (s.behind == NONE || (s.count[s.now] == 0 && (s.matched || whole)))
                        break;
                s.steps++;
                if (!spend(&s, meter, SPEND_STEPS))
                        return REGEX_STOPPED;
                uint32_t c = s.behind;
                at = next;
                s.before = c;
                s.behind = code_point(text, at, &next);
                advance(&s, c);
        }
        if (!spend(&s, meter, 0))
                return REGEX_STOPPED;
        if (!s.matched)
                return REGEX_NO;
        *ret = s.match;
        return REGEX_YES;
}
