/* SPDX-License-Identifier: Apache-2.0 */
/* The regular expression engine on its own: syntax, leftmost-first choice, linear time (spec
 * 7.4). */
#include "../test.h"
#include <base/slice.h>
#include <rtfs/regex.h>
#include <stdlib.h>

static uint64_t steps_taken, steps_allowed;
static bool spend(void *ctx, uint64_t steps)
{
        (void)ctx;
        steps_taken += steps;
        return steps_taken <= steps_allowed;
}

/* "from-to" of the first match, "none", "stopped" or "bad: why". */
static const char *search(const char *pattern, struct mv_slice text, bool whole)
{
        static char out[128];
        struct regex_size size;
        struct regex_match m;
        const char *why;
        if (!regex_measure(mv_slice_str(pattern), &size, &why)) {
                snprintf(out, sizeof out, "bad: %s", why);
                return out;
        }
        void *mem = aligned_alloc(16, (regex_bytes(&size) + 15) / 16 * 16);
        struct regex *re = regex_build(mv_slice_str(pattern), &size, mem);
        struct regex_meter meter = { spend, NULL };
        steps_taken = 0;
        enum regex_result result = regex_search(re, text, 0, whole, &meter, &m);
        if (result == REGEX_YES)
                snprintf(out, sizeof out, "%u-%u", m.from, m.to);
        else
                snprintf(out, sizeof out, "%s", result == REGEX_NO ? "none" : "stopped");
        free(mem);
        return out;
}

static const char *find(const char *pattern, const char *text)
{
        steps_allowed = UINT64_MAX;
        return search(pattern, mv_slice_str(text), false);
}

TEST(literals_classes_and_anchors_match_where_they_should)
{
        static const struct {
                const char *pattern, *text, *match;
        } cases[] = {
                { "", "abc", "0-0" },
                { "b", "abc", "1-2" },
                { "abcd", "abc", "none" },
                { "^b", "abc", "none" },
                { "c$", "abc", "2-3" },
                { "^$", "", "0-0" },
                { "a.c", "a\nc abc", "4-7" },
                { "(?s)a.c", "a\nc", "0-3" },
                { "(?m)^b$", "a\nb\nc", "2-3" },
                { "[b-d]+", "abcde", "1-4" },
                { "[^a]", "aab", "2-3" },
                { "[]a]", "]", "0-1" },
                { "[a-]", "-", "0-1" },
                { "[[:digit:]]+", "ab12", "2-4" },
                { "\\d+", "ab12", "2-4" },
                { "\\D+", "12ab", "2-4" },
                { "[\\d.]+", "v1.25", "1-5" },
                { "\\w+@\\w+", "to me@host now", "3-10" },
                { "\\bcat\\b", "concat cat", "7-10" },
                { "\\Bcat", "cat concat", "7-10" },
                { "\\Aab\\z", "ab", "0-2" },
                { "\\s", "a b", "1-2" },
                { "\\.", "a.b", "1-2" },
                { "\\x41\\x{42}\\u0043", "ABC", "0-3" },
                { "a{", "a{", "0-2" },
                { "x{,2}", "x{,2}", "0-5" },
                { "\\$\\(", "$(", "0-2" },
                { "a\\tb", "a\tb", "0-3" },
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
                CHECK_STR(find(cases[i].pattern, cases[i].text), cases[i].match);
}

TEST(the_leftmost_match_wins_and_earlier_alternatives_go_first)
{
        CHECK_STR(find("a|ab", "xab"), "1-2");
        CHECK_STR(find("ab|a", "xab"), "1-3");
        CHECK_STR(find("a*", "aaa"), "0-3");
        CHECK_STR(find("a*?", "aaa"), "0-0");
        CHECK_STR(find("a+?", "aaa"), "0-1");
        CHECK_STR(find("a??b", "ab"), "0-2");
        CHECK_STR(find("(?U)a+", "aaa"), "0-1");
        CHECK_STR(find("(?U)a+?", "aaa"), "0-3");
        CHECK_STR(find("(a|b|cd)*", "abcdx"), "0-4");
        CHECK_STR(find("<.*?>", "<a><b>"), "0-3");
}

TEST(counted_repetitions_expand_exactly)
{
        CHECK_STR(find("^a{3}$", "aaa"), "0-3");
        CHECK_STR(find("^a{3}$", "aa"), "none");
        CHECK_STR(find("a{2,}", "aaaa"), "0-4");
        CHECK_STR(find("a{2,3}", "aaaa"), "0-3");
        CHECK_STR(find("a{2,3}?", "aaaa"), "0-2");
        CHECK_STR(find("a{0,2}b", "aaab"), "1-4");
        CHECK_STR(find("xa{0}y", "xy"), "0-2");
        CHECK_STR(find("(ab){0}", "ab"), "0-0");
        CHECK_STR(find("^(a|bc){1,3}d", "abcad"), "0-5");
        CHECK_STR(find("^(a{1,2}){2}$", "aaaa"), "0-4");
        CHECK_STR(find("()*x", "x"), "0-1");
        CHECK_STR(find("(a*)*b", "aab"), "0-3");
        CHECK_STR(find("(?:a?){3}a{3}", "aaa"), "0-3");
}

TEST(text_is_code_points_and_case_folds_beyond_ascii)
{
        CHECK_STR(find("^.$", "\u65e5"), "0-3");
        CHECK_STR(find("[\u00e0-\u00ff]+", "a\u00e9\u00e8b"), "1-5");
        CHECK_STR(find("(?i)stra\u00dfe", "STRA\u00dfE"), "0-7");
        CHECK_STR(find("(?i)\u00c9", "\u00e9"), "0-2");
        CHECK_STR(find("(?i)[a-c]+", "xAbC"), "1-4");
        CHECK_STR(find("(?i)[^a]", "Ab"), "1-2");
        CHECK_STR(find("(?i:a)b", "Ab"), "0-2");
        CHECK_STR(find("(?i:a)b", "AB"), "none");
        CHECK_STR(find("\\pL+", "1\u00e9\u65e52"), "1-6");
        CHECK_STR(find("\\p{Lu}", "a\u00c9"), "1-3");
        CHECK_STR(find("(?x) a b # comment\n c", "abc"), "0-3");
}

TEST(a_whole_match_has_to_reach_the_end)
{
        steps_allowed = UINT64_MAX;
        CHECK_STR(search("a|ab", mv_slice_str("ab"), true), "0-2");
        CHECK_STR(search("b", mv_slice_str("abc"), true), "none");
        CHECK_STR(search("a*?", mv_slice_str("aaa"), true), "0-3");
        CHECK_STR(search("", mv_slice_str(""), true), "0-0");
}

TEST(what_is_not_a_pattern_says_why)
{
        static const char *const bad[] = {
                "[",
                "[a",
                "[z-a]",
                "(",
                "(a",
                ")",
                "a)",
                "*",
                "+a",
                "?",
                "\\",
                "\\q",
                "\\1",
                "(?=a)",
                "(?!a)",
                "(?<=a)",
                "(?<!a)",
                "(?P<>a)",
                "(?<n",
                "(?z)",
                "(?i",
                "a{3,2}",
                "a{1001}",
                "\\x{110000}",
                "\\x{d800}",
                "\\xz",
                "\\p{Klingon}",
                "[[:alpha:",
                "[[:klingon:]]",
                "(?P=n)",
                "((((a{1000}){1000}){1000}){1000})",
                "\\p",
                "\\p{L",
        };
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
                CHECK(strncmp(find(bad[i], "a"), "bad: ", 5) == 0);
        CHECK_STR(find("(a)\\1", "aa"), "bad: backreferences are not supported");
}

TEST(deep_nesting_is_refused_and_long_patterns_are_not)
{
        char deep[2 * REGEX_NEST_MAX + 8], wide[4000];
        memset(deep, '(', sizeof deep - 1);
        deep[sizeof deep - 1] = '\0';
        CHECK_STR(find(deep, ""), "bad: exceeded the maximum number of nested groups");
        for (size_t i = 0; i + 1 < sizeof wide; i++)
                wide[i] = i % 2 ? '|' : 'a';
        wide[sizeof wide - 1] = '\0';
        CHECK_STR(find(wide, "xa"), "1-2");
}

TEST(time_is_linear_in_the_text_for_patterns_that_make_others_explode)
{
        static const char *const evil[] = { "(a*)*b",  "(a|aa)+$",      "(.*)(.*)(.*)(.*)x",
                                            "^(a+)+$", "(a?){30}a{30}", "(x+x+)+y" };
        size_t len = 20000;
        char *text = malloc(len);
        memset(text, 'a', len);
        text[len - 1] = '!';
        for (size_t i = 0; i < sizeof evil / sizeof *evil; i++) {
                struct regex_size size;
                const char *why;
                REQUIRE(regex_measure(mv_slice_str(evil[i]), &size, &why));
                steps_allowed = UINT64_MAX;
                search(evil[i], mv_slice(text, len), false);
                CHECK(steps_taken <= (uint64_t)(len + 1) * (3 * size.instructions + 2));
        }
        free(text);
}

TEST(a_search_stops_when_its_budget_is_spent)
{
        char text[100000];
        memset(text, 'a', sizeof text);
        steps_allowed = 50000;
        CHECK_STR(search("(a|b)*c", mv_slice(text, sizeof text), false), "stopped");
        CHECK(steps_taken < 60000);
}
