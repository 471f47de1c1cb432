/* SPDX-License-Identifier: Apache-2.0 */
/* From pattern text to a regex program, in one pass over the text.
 *
 * (1) The pass runs twice: first it only counts (no memory is touched), then it writes into memory
 * of exactly that size. (2) Code is emitted in order and jumps are relative: an operator that
 * follows its operand (`*`, `|`, `{2,3}`) moves or copies the operand's code, which stays valid.
 * (3) Recursion is one frame per open group, at most REGEX_NEST_MAX. */
#include <rtfs/regex_program.h>
#include <wire/text.h>

struct parser {
        struct mv_slice in;
        size_t at;
        struct regex_inst *inst;                  /* NULL: counting */
        struct regex_range *range;                /* NULL: counting */
        uint32_t count, peak, range_count, depth; /* peak: x{0} takes code back */
        bool fold, lines, dot_all, swap_greed, spaced;
        const char *why;
};

static bool fail(struct parser *p, const char *why)
{
        if (!p->why)
                p->why = why;
        return false;
}

/* --- emitting --------------------------------------------------------------------------------- */
static void grow(struct parser *p, uint32_t count)
{
        p->count += count;
        if (p->count > p->peak)
                p->peak = p->count;
}

static bool emit(struct parser *p, enum regex_op op, unsigned flags, int32_t x, int32_t y)
{
        if (p->count >= REGEX_PROGRAM_MAX)
                return fail(p, "compiled regex exceeds size limit");
        if (p->inst)
                p->inst[p->count] = (struct regex_inst){ (uint8_t)op, (uint8_t)flags, x, y };
        grow(p, 1);
        return true;
}

/* Make room for one instruction in front of the code that starts at `at`. */
static bool insert(struct parser *p, uint32_t at, enum regex_op op, int32_t x, int32_t y)
{
        if (!emit(p, op, 0, x, y))
                return false;
        if (p->inst) {
                memmove(p->inst + at + 1, p->inst + at, (p->count - 1 - at) * sizeof *p->inst);
                p->inst[at] = (struct regex_inst){ (uint8_t)op, 0, x, y };
        }
        return true;
}

static bool copy(struct parser *p, uint32_t from, uint32_t count)
{
        if (count > REGEX_PROGRAM_MAX - p->count)
                return fail(p, "compiled regex exceeds size limit");
        if (p->inst)
                memcpy(p->inst + p->count, p->inst + from, count * sizeof *p->inst);
        grow(p, count);
        return true;
}

static bool add_range(struct parser *p, uint32_t lo, uint32_t hi)
{
        if (p->range)
                p->range[p->range_count] = (struct regex_range){ lo, hi };
        /* at most one per two bytes of pattern: counted repetition copies only the instruction */
        p->range_count++;
        return true;
}

/* --- reading ---------------------------------------------------------------------------------- */
static bool more(const struct parser *p)
{
        return p->at < p->in.len;
}
static int peek(const struct parser *p) /* ASCII syntax characters only */
{
        return more(p) ? p->in.p[p->at] : -1;
}
static bool take(struct parser *p, const char *s)
{
        if (!mv_slice_starts(mv_slice(p->in.p + p->at, p->in.len - p->at), s))
                return false;
        p->at += strlen(s);
        return true;
}
static uint32_t next(struct parser *p)
{
        return mv_utf8_next(p->in, &p->at);
}

static void skip_space(struct parser *p)
{
        while (p->spaced && more(p)) {
                size_t at = p->at;
                uint32_t c = mv_utf8_next(p->in, &at);
                if (c == '#')
                        while (more(p) && peek(p) != '\n')
                                p->at++;
                else if (mv_utf8_is_space(c))
                        p->at = at;
                else
                        break;
        }
}

static int hex_digit(int c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        c |= 0x20;
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Digits behind \x \u \U: exactly `digits` of them, or any number in braces. */
static bool hex_escape(struct parser *p, int digits, uint32_t *ret)
{
        bool braces = take(p, "{");
        uint32_t c = 0;
        int n = 0;
        for (; (braces || n < digits) && hex_digit(peek(p)) >= 0 && c <= 0x10ffff; n++, p->at++)
                c = c << 4 | (uint32_t)hex_digit(peek(p));
        if (n == 0 || (braces ? !take(p, "}") : n != digits))
                return fail(p, "invalid hexadecimal escape");
        if (c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
                return fail(p, "escape is not a Unicode scalar value");
        *ret = c;
        return true;
}

static const struct property {
        const char *name;
        enum regex_set set;
} properties[] = {
        { "L", RX_ALPHA },     { "Letter", RX_ALPHA },      { "Alphabetic", RX_ALPHA },
        { "Alpha", RX_ALPHA }, { "Lu", RX_UPPER },          { "Uppercase", RX_UPPER },
        { "Ll", RX_LOWER },    { "Lowercase", RX_LOWER },   { "N", RX_NUMBER },
        { "Nd", RX_DIGIT },    { "White_Space", RX_SPACE },
};

/* \pL, \p{Name}: the sets the Unicode tables know. */
static bool property(struct parser *p, bool negated)
{
        struct mv_slice name = mv_slice(p->in.p + p->at, 1);
        if (!more(p))
                return fail(p, "incomplete escape sequence");
        if (take(p, "{")) {
                negated ^= take(p, "^");
                name.p = p->in.p + p->at;
                for (name.len = 0; more(p) && peek(p) != '}'; p->at++)
                        name.len++;
                if (!take(p, "}"))
                        return fail(p, "incomplete escape sequence");
        } else {
                next(p);
        }
        for (size_t i = 0; i < sizeof properties / sizeof *properties; i++)
                if (mv_slice_eq_str(name, properties[i].name))
                        return add_range(p, properties[i].set, negated);
        return fail(p, "Unicode property not found");
}

/* A set escape (\d \W \pL ...) becomes one item of a class. 1: done, 0: not a set, -1: failed. */
static int set_escape(struct parser *p)
{
        static const char letters[] = "dDsSwW";
        static const uint32_t sets[] = { RX_DIGIT, RX_SPACE, RX_WORD };
        const char *found = more(p) && peek(p) ? strchr(letters, peek(p)) : NULL;
        if (found) {
                size_t i = (size_t)(found - letters);
                p->at++;
                return add_range(p, sets[i / 2], i & 1);
        }
        if (peek(p) == 'p' || peek(p) == 'P') {
                bool negated = peek(p) == 'P';
                p->at++;
                return property(p, negated) ? 1 : -1;
        }
        return 0;
}

/* What follows a backslash and stands for one code point. */
static bool char_escape(struct parser *p, uint32_t *ret)
{
        static const char from[] = "ntrfva", to[] = "\n\t\r\f\v\a";
        if (!more(p))
                return fail(p, "incomplete escape sequence, reached end of pattern prematurely");
        uint32_t c = next(p);
        const char *plain = c && c < 0x80 ? strchr(from, (int)c) : NULL;
        if (plain) {
                *ret = (uint8_t)to[plain - from];
                return true;
        }
        if (c == 'x')
                return hex_escape(p, 2, ret);
        if (c == 'u')
                return hex_escape(p, 4, ret);
        if (c == 'U')
                return hex_escape(p, 8, ret);
        if (c >= '0' && c <= '9')
                return fail(p, "backreferences are not supported");
        if (c >= 0x80 || (c | 0x20) - 'a' < 26u || c <= ' ')
                return fail(p, "unrecognized escape sequence");
        *ret = c;
        return true;
}

/* --- classes ---------------------------------------------------------------------------------- */
static const struct posix {
        const char *name, *ranges; /* pairs of characters */
} posix_classes[] = {
        { "alnum", "azAZ09" },
        { "alpha", "azAZ" },
        { "ascii", "\1\177" },
        { "blank", "\t\t  " },
        { "cntrl", "\1\37\177\177" },
        { "digit", "09" },
        { "graph", "!~" },
        { "lower", "az" },
        { "print", " ~" },
        { "punct", "!/:@[`{~" },
        { "space", "\t\r  " },
        { "upper", "AZ" },
        { "word", "azAZ09__" },
        { "xdigit", "09afAF" },
};

static bool posix_class(struct parser *p)
{
        for (size_t i = 0; i < sizeof posix_classes / sizeof *posix_classes; i++) {
                const struct posix *c = &posix_classes[i];
                size_t at = p->at;
                if (!take(p, c->name) || !take(p, ":]")) {
                        p->at = at;
                        continue;
                }
                for (const char *s = c->ranges; *s; s += 2)
                        add_range(p, (uint8_t)s[0], (uint8_t)s[1]);
                return true;
        }
        return fail(p, "unknown character class name");
}

static bool class_char(struct parser *p, uint32_t *ret)
{
        if (!more(p))
                return fail(p, "unclosed character class");
        uint32_t c = next(p);
        if (c == '\\')
                return char_escape(p, ret);
        *ret = c;
        return true;
}

static bool class_item(struct parser *p)
{
        uint32_t lo, hi;
        if (take(p, "[:"))
                return posix_class(p);
        if (peek(p) == '\\') {
                p->at++;
                int set = set_escape(p);
                if (set)
                        return set > 0;
                p->at--;
        }
        if (!class_char(p, &lo))
                return false;
        hi = lo;
        bool range = peek(p) == '-' && p->at + 1 < p->in.len && p->in.p[p->at + 1] != ']';
        if (range) {
                p->at++;
                if (!class_char(p, &hi))
                        return false;
        }
        if (hi < lo)
                return fail(p, "invalid character class range");
        return add_range(p, lo, hi);
}

static bool class(struct parser *p) /* behind '[' */
{
        uint32_t first = p->range_count;
        unsigned flags = p->fold ? RX_FOLD : 0;
        if (take(p, "^"))
                flags |= RX_NEGATE;
        if (take(p, "]")) /* first: an ordinary character */
                add_range(p, ']', ']');
        while (!take(p, "]")) {
                if (!more(p))
                        return fail(p, "unclosed character class");
                if (!class_item(p))
                        return false;
        }
        return emit(p, RX_CLASS, flags, (int32_t)first, (int32_t)(p->range_count - first));
}

/* --- atoms ------------------------------------------------------------------------------------ */
static bool alternation(struct parser *p);

static bool check_escape(struct parser *p, bool *ret_done)
{
        static const char letters[] = "AzbB";
        static const uint8_t checks[] = { RX_TEXT_START, RX_TEXT_END, RX_WORD_EDGE,
                                          RX_NO_WORD_EDGE };
        const char *found = more(p) && peek(p) ? strchr(letters, peek(p)) : NULL;
        *ret_done = found != NULL;
        if (!found)
                return true;
        p->at++;
        return emit(p, RX_CHECK, 0, checks[found - letters], 0);
}

static bool literal(struct parser *p, uint32_t c)
{
        if (p->fold)
                return emit(p, RX_CHAR, RX_FOLD, (int32_t)regex_fold(c), 0);
        return emit(p, RX_CHAR, 0, (int32_t)c, 0);
}

static bool escape(struct parser *p) /* behind the backslash */
{
        bool done;
        uint32_t first = p->range_count, c;
        if (!check_escape(p, &done) || done)
                return done;
        int set = set_escape(p);
        if (set)
                return set > 0 && emit(p, RX_CLASS, 0, (int32_t)first, 1);
        return char_escape(p, &c) && literal(p, c);
}

static bool set_flag(struct parser *p, int c, bool on)
{
        switch (c) {
        case 'i':
                p->fold = on;
                return true;
        case 'm':
                p->lines = on;
                return true;
        case 's':
                p->dot_all = on;
                return true;
        case 'U':
                p->swap_greed = on;
                return true;
        case 'x':
                p->spaced = on;
                return true;
        case 'u':
                return on || fail(p, "Unicode mode cannot be switched off");
        default:
                return fail(p, "unrecognized flag");
        }
}

static bool group_name(struct parser *p)
{
        size_t from = p->at;
        while (more(p) && peek(p) != '>') {
                uint32_t c = next(p);
                if (!regex_is_word(c) && c != '.' && c != '[' && c != ']')
                        return fail(p, "invalid capture group character");
        }
        if (p->at == from)
                return fail(p, "empty capture group name");
        return take(p, ">") || fail(p, "unclosed capture group name");
}

/* Behind "(?": flags up to ':' or ')'. *ret_body: a group's body follows. */
static bool group_flags(struct parser *p, bool *ret_body)
{
        bool on = true;
        for (;;) {
                int c = peek(p);
                if (c < 0)
                        return fail(p, "unclosed group");
                p->at++;
                if (c == ')' || c == ':') {
                        *ret_body = c == ':';
                        return true;
                }
                if (c == '-' && on)
                        on = false;
                else if (!set_flag(p, c, on))
                        return false;
        }
}

static bool group_head(struct parser *p, bool *ret_body)
{
        *ret_body = true;
        if (!take(p, "?"))
                return true;
        if (take(p, "=") || take(p, "!") || take(p, "<=") || take(p, "<!"))
                return fail(p,
                            "look-around, including look-ahead and look-behind, is not supported");
        if (take(p, "P<") || take(p, "<"))
                return group_name(p);
        return group_flags(p, ret_body);
}

static bool group(struct parser *p) /* behind '(' */
{
        struct parser before = *p;
        bool body;
        if (++p->depth > REGEX_NEST_MAX)
                return fail(p, "exceeded the maximum number of nested groups");
        if (!group_head(p, &body))
                return false;
        if (body) {
                if (!alternation(p))
                        return false;
                if (!take(p, ")"))
                        return fail(p, "unclosed group");
                p->fold = before.fold; /* flags end with their group */
                p->lines = before.lines;
                p->dot_all = before.dot_all;
                p->swap_greed = before.swap_greed;
                p->spaced = before.spaced;
        }
        p->depth--;
        return true;
}

static bool atom(struct parser *p)
{
        uint32_t c = next(p);
        switch (c) {
        case '(':
                return group(p);
        case '[':
                return class(p);
        case '\\':
                return escape(p);
        case '.':
                return emit(p, p->dot_all ? RX_ANY : RX_LINE, 0, 0, 0);
        case '^':
                return emit(p, RX_CHECK, 0, p->lines ? RX_LINE_START : RX_TEXT_START, 0);
        case '$':
                return emit(p, RX_CHECK, 0, p->lines ? RX_LINE_END : RX_TEXT_END, 0);
        case '*':
        case '+':
        case '?':
                return fail(p, "repetition operator missing expression");
        default:
                return literal(p, c);
        }
}

/* --- repetition ------------------------------------------------------------------------------- */
static bool number(struct parser *p, size_t *at, uint32_t *ret)
{
        size_t from = *at;
        uint32_t n = 0;
        for (; *at < p->in.len && p->in.p[*at] - (unsigned)'0' < 10u; ++*at)
                n = n > REGEX_REPEAT_MAX ? n : n * 10 + (p->in.p[*at] - '0');
        *ret = n;
        return *at > from;
}

#define UNBOUNDED UINT32_MAX
/* {n} {n,} {n,m}; anything else behind a brace is ordinary text. */
static bool braces(struct parser *p, uint32_t *ret_min, uint32_t *ret_max)
{
        size_t at = p->at + 1;
        if (peek(p) != '{' || !number(p, &at, ret_min))
                return false;
        *ret_max = *ret_min;
        if (at < p->in.len && p->in.p[at] == ',') {
                at++;
                if (!number(p, &at, ret_max))
                        *ret_max = UNBOUNDED;
        }
        if (at >= p->in.len || p->in.p[at] != '}')
                return false;
        p->at = at + 1;
        return true;
}

/* Which branch of a split comes first. */
static bool split(struct parser *p, uint32_t at, int32_t into, int32_t past, bool greedy)
{
        return insert(p, at, RX_SPLIT, greedy ? into : past, greedy ? past : into);
}

static bool optional(struct parser *p, uint32_t at, bool greedy)
{
        return split(p, at, 1, (int32_t)(p->count - at) + 1, greedy);
}

static bool at_least_once(struct parser *p, uint32_t at, bool greedy) /* x+ */
{
        int32_t back = (int32_t)at - (int32_t)p->count;
        return emit(p, RX_SPLIT, 0, greedy ? back : 1, greedy ? 1 : back);
}

/* x* is (x+)?: if x can match nothing, an empty turn that comes first ends the loop, as in Perl. */
static bool loop(struct parser *p, uint32_t at, bool greedy)
{
        return at_least_once(p, at, greedy) && optional(p, at, greedy);
}

/* The code of x lies at [at, count): min copies, then (max - min) nested optional ones, or a
 * loop. */
static bool repeat(struct parser *p, uint32_t at, uint32_t min, uint32_t max, bool greedy)
{
        uint32_t size = p->count - at;
        if (max == UNBOUNDED && min == 0)
                return loop(p, at, greedy);
        if (max == 0) { /* x{0}: nothing */
                p->count = at;
                return true;
        }
        uint32_t last = at, copies = max == UNBOUNDED ? min : max;
        if (min == 0 && !optional(p, at, greedy))
                return false;
        uint32_t body = min == 0 ? at + 1 : at;
        for (uint32_t i = 1; i < copies; i++) {
                last = p->count;
                if (i >= min && !emit(p, RX_SPLIT, 0, 0, 0)) /* filled in below */
                        return false;
                if (!copy(p, body, size))
                        return false;
        }
        if (max == UNBOUNDED)
                return at_least_once(p, last, greedy);
        for (uint32_t i = min; p->inst && i < copies;
             i++) { /* every optional copy jumps to the common end */
                uint32_t s = i == 0 ? at : p->count - (copies - i) * (size + 1);
                int32_t past = (int32_t)(p->count - s);
                p->inst[s] =
                        (struct regex_inst){ RX_SPLIT, 0, greedy ? 1 : past, greedy ? past : 1 };
        }
        return true;
}

static bool quantifier(struct parser *p, uint32_t *ret_min, uint32_t *ret_max)
{
        *ret_min = 0;
        *ret_max = UNBOUNDED;
        if (take(p, "*"))
                return true;
        if (take(p, "+")) {
                *ret_min = 1;
                return true;
        }
        if (take(p, "?")) {
                *ret_max = 1;
                return true;
        }
        return braces(p, ret_min, ret_max);
}

static bool term(struct parser *p)
{
        uint32_t at = p->count, min, max;
        unsigned stacked = 0;
        if (!atom(p))
                return false;
        skip_space(p);
        while (quantifier(p, &min, &max)) {
                if (min > REGEX_REPEAT_MAX || (max != UNBOUNDED && max > REGEX_REPEAT_MAX))
                        return fail(p, "repetition count is too large");
                if (max < min)
                        return fail(p, "invalid repetition count range");
                if (++stacked > REGEX_NEST_MAX)
                        return fail(p, "exceeded the maximum number of nested repetitions");
                bool greedy = take(p, "?") == p->swap_greed;
                if (!repeat(p, at, min, max, greedy))
                        return false;
                skip_space(p);
        }
        return true;
}

static bool branch(struct parser *p)
{
        for (skip_space(p); more(p) && peek(p) != '|' && peek(p) != ')'; skip_space(p))
                if (!term(p))
                        return false;
        return true;
}

/* a|b: SPLIT a b; a; JUMP end; b. The jumps of earlier branches are chained through x until the end
 * is known. */
static bool alternation(struct parser *p)
{
        uint32_t at = p->count, chain = UINT32_MAX;
        if (!branch(p))
                return false;
        while (take(p, "|")) {
                if (!insert(p, at, RX_SPLIT, 1, (int32_t)(p->count - at) + 2))
                        return false;
                if (!emit(p, RX_JUMP, 0, (int32_t)chain, 0))
                        return false;
                chain = p->count - 1;
                at = p->count;
                if (!branch(p))
                        return false;
        }
        while (p->inst && chain != UINT32_MAX) {
                struct regex_inst *jump = p->inst + chain;
                uint32_t earlier = (uint32_t)jump->x;
                jump->x = (int32_t)(p->count - chain);
                chain = earlier;
        }
        return true;
}

static bool parse(struct parser *p)
{
        if (!alternation(p))
                return false;
        if (more(p)) /* only ')' stops an alternation early */
                return fail(p, "unopened group");
        return emit(p, RX_MATCH, 0, 0, 0);
}

bool regex_measure(struct mv_slice pattern, struct regex_size *ret, const char **ret_why)
{
        struct parser p = { .in = pattern };
        if (!parse(&p)) {
                *ret_why = p.why;
                return false;
        }
        *ret = (struct regex_size){ p.peak, p.range_count };
        return true;
}

/* Memory: struct regex, instructions, ranges, then the six arrays of the search. */
size_t regex_bytes(const struct regex_size *s)
{
        return sizeof(struct regex) + s->instructions * sizeof(struct regex_inst) +
               s->ranges * sizeof(struct regex_range) +
               7 * (size_t)s->instructions * sizeof(uint32_t);
}

struct regex *regex_build(struct mv_slice pattern, const struct regex_size *size, void *mem)
{
        struct regex *re = mem;
        uint32_t n = size->instructions;
        re->inst = (struct regex_inst *)(re + 1);
        re->range = (struct regex_range *)(re->inst + n);
        uint32_t *words = (uint32_t *)(re->range + size->ranges);
        re->pc[0] = words;
        re->pc[1] = words + n;
        re->start[0] = words + 2 * n;
        re->start[1] = words + 3 * n;
        re->index = words + 4 * n;
        re->pending = words + 5 * n; /* 2 * n */
        struct parser p = { .in = pattern, .inst = re->inst, .range = re->range };
        parse(&p);
        re->count = p.count;
        re->range_count = p.range_count;
        return re;
}
