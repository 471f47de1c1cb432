/* SPDX-License-Identifier: Apache-2.0 */
/* rtfs-doc --man | --markdown [--check FILE]: the reference of the language from the tables that define it (rtfs/docs.h).
 *
 * --check compares with FILE instead of printing: the committed docs/language/reference.md is what the tables say.
 * Prints TAP then; exit 1 when it differs. */
#include <base/limits.h>
#include <ctype.h>
#include <rtfs/docs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static FILE *out;

/* --- roff ------------------------------------------------------------------------------------- */
/* Text of a line: backslashes and hyphens are themselves, and what begins a line begins no
 * request. */
static void roff(const char *s)
{
        if (*s == '.' || *s == '\'')
                fputs("\\&", out);
        for (; *s; s++) {
                if (*s == '\\')
                        fputs("\\e", out);
                else if (*s == '-')
                        fputs("\\-", out);
                else if (*s == '\'')
                        fputs("\\(aq", out);
                else if (*s == '`')
                        fputs("\\(ga", out);
                else if (*s == '^')
                        fputs("\\(ha", out);
                else if (*s == '~')
                        fputs("\\(ti", out);
                else if (strncmp(s, "\u03bb", 2) == 0 && s[1])
                        s++, fputs("\\[u03BB]", out);
                else
                        fputc(*s, out);
        }
}

static void roff_line(const char *request, const char *s)
{
        fputs(request, out);
        roff(s);
        fputc('\n', out);
}

static void man_syntax(const struct mv_rtfs_doc *d)
{
        fputs(".TP\n\\fB", out);
        if (d->special) {
                roff(d->syntax);
        } else {
                fputc('(', out);
                roff(d->name);
                fputs(*d->syntax ? " " : "", out);
                roff(d->syntax);
                fputc(')', out);
        }
        fputs("\\fR\n", out);
}

static void man_entry(const struct mv_rtfs_doc *d)
{
        man_syntax(d);
        roff_line("", d->text);
        fputs(".br\nGives: ", out);
        roff(d->result);
        fputs(".\n.br\nErrors: ", out);
        roff(d->errors);
        fputs(".\n.RS\n.PP\n.nf\n", out);
        roff_line("", d->example);
        fputs("    \\(-> ", out);
        roff(d->gives);
        fputs("\n.fi\n.RE\n", out);
}

static void man_heading(const char *s)
{
        fputs(".SH ", out);
        for (; *s; s++)
                fputc(toupper((unsigned char)*s), out);
        fputc('\n', out);
}

static void man_begin(void)
{
        static const char *const intro[] = {
                "RTFS is a small, strict, lexically scoped Lisp with immutable data.",
                "The language itself has no effects: every effect is a",
                ".B call",
                "of a capability, which the host decides about, carries out and records.",
                ".SH VALUES",
                ".nf",
                "nil  true  false          only nil and false are false",
                "42  \\-7                    64\\-bit integers; overflow is an error",
                "1.5  1e5  ##Inf  ##NaN    IEEE doubles",
                "\"text\\en\"  \"\\eu00e9\"        strings; positions count code points",
                ":keyword  symbol          names",
                "[1 2 3]                   vector",
                "{:a 1 \"b\" 2 3 4}          map; keys are keywords, strings or integers",
                "(list 1 2)  \\(aq(a b)        list",
                "(fn [x] x)  #(+ % 1)      function",
                ".fi",
                ".PP",
                "Comments run from ; to the end of the line, or stand between #| and |#. Commas "
                "are white space.",
                ".SH TYPES",
                "A type stands behind a name: x :int, x : [:vector :int], in let, def, parameters "
                "and as result. There are",
                ":int :float :string :bool :nil :keyword :symbol :any :never :number :map :vector "
                ":list :fn,",
                "T? for a T or nil, and [:vector T] [:tuple T ...] [:map [:k T] [:k T ?]] [:map-of "
                "K V] [:union T ...]",
                "[:enum literal ...] [:val literal] [:fn [T ...] T] [:array T [n]] [:and T "
                "predicate ...], with the predicates",
                "[:> n] [:>= n] [:< n] [:<= n] [:= x] [:!= x] [:in-range a b] [:min-length n] "
                "[:max-length n] [:length n]",
                "[:matches-regex \"re\"] [:is-url] [:is-email] [:min-count n] [:max-count n] "
                "[:count n] [:non-empty]",
                "[:has-key :k] [:required-keys [:k ...]].",
                "A value that does not fit raises TypeValidationError.",
        };
        fputs(".\\\" Printed by rtfs-doc --man; do not edit.\n.TH RTFS 7 \"\" \"ccos-microvm\" "
              "\"Language\"\n.SH NAME\n"
              "rtfs \\- the language of sandboxed programs\n.SH DESCRIPTION\n",
              out);
        for (size_t i = 0; i < sizeof intro / sizeof intro[0]; i++)
                fprintf(out, "%s\n", intro[i]);
}

static void man_end(void)
{
        fputs(".SH ERRORS\nEvery call may raise ArityMismatch; it is not repeated above. An error "
              "value answers (:kind e), (:message e) and "
              "(:data e).\nFuelExhausted, MemoryExhausted and OutputExhausted end the program and "
              "cannot be caught.\n.SH LIMITS\n",
              out);
        fprintf(out,
                "Up to %u calls may be active, in a cell of 64 MB; tail calls and recur take no "
                "room. Values nest %u levels deep where\n"
                "they are compared, printed or sent; sources %u. step-loop turns %u times.\n",
                (unsigned)MV_CALL_DEPTH_MAX - 1, (unsigned)MV_VALUE_DEPTH_MAX,
                (unsigned)MV_SOURCE_DEPTH_MAX, (unsigned)MV_STEP_LOOP_MAX);
        fputs(".SH SEE ALSO\n.BR microvm (1)\n", out);
}

/* --- markdown --------------------------------------------------------------------------------- */
static void markdown_entry(const struct mv_rtfs_doc *d)
{
        if (d->special)
                fprintf(out, "\n### `%s`\n\n```\n%s\n```\n", d->name, d->syntax);
        else
                fprintf(out, "\n### `%s`\n\n```\n(%s%s%s)\n```\n", d->name, d->name,
                        *d->syntax ? " " : "", d->syntax);
        fprintf(out, "%s\n\n* gives: %s\n* errors: %s\n\n", d->text, d->result, d->errors);
        fprintf(out, "```rtfs\n%s\n;=> %s\n```\n", d->example, d->gives);
}

static void markdown_begin(void)
{
        fputs("# RTFS reference\n\n"
              "Printed from the tables that define the language by `rtfs-doc --markdown`; a test "
              "compares. Every call may raise\n"
              "ArityMismatch: it is not repeated. In a list of arguments, `x?` may be left out, "
              "`x*` stands for any number.\n",
              out);
}

/* --- both ------------------------------------------------------------------------------------- */
static void print_all(bool man)
{
        const char *group = "";
        struct mv_rtfs_doc d;
        if (man)
                man_begin();
        else
                markdown_begin();
        for (uint32_t i = 0; i < mv_rtfs_doc_count(); i++) {
                mv_rtfs_doc_at(i, &d);
                if (strcmp(d.group, group) != 0) {
                        group = d.group;
                        if (man)
                                man_heading(group);
                        else
                                fprintf(out, "\n## %s\n", group);
                }
                if (man)
                        man_entry(&d);
                else
                        markdown_entry(&d);
        }
        if (man)
                man_end();
}

static bool same_as(const char *path, const char *text, size_t len)
{
        FILE *f = fopen(path, "re");
        char *there = f ? malloc(len + 2) : NULL;
        size_t n = there ? fread(there, 1, len + 1, f) : 0;
        bool same = there && n == len && memcmp(there, text, len) == 0;
        free(there);
        if (f)
                fclose(f);
        return same;
}

int main(int argc, char **argv)
{
        bool man = argc > 1 && !strcmp(argv[1], "--man"),
             check = argc == 4 && !strcmp(argv[2], "--check");
        if (argc < 2 || (!man && strcmp(argv[1], "--markdown") != 0) || (argc > 2 && !check)) {
                fprintf(stderr, "usage: rtfs-doc --man | --markdown [--check FILE]\n");
                return 2;
        }
        char *text = NULL;
        size_t len = 0;
        out = check ? open_memstream(&text, &len) : stdout;
        if (!out)
                return 1;
        print_all(man);
        if (fflush(out) != 0)
                return 1;
        if (!check)
                return 0;
        fclose(out);
        bool same = same_as(argv[3], text, len);
        free(text);
        printf("1..1\n%s 1 - %s is what the tables say (rtfs-doc %s > FILE renews it)\n",
               same ? "ok" : "not ok", argv[3], argv[1]);
        return !same;
}
