/* SPDX-License-Identifier: Apache-2.0 */
/* What people see. Colour only on a terminal; a result on stdout, everything about it on stderr. */
#include <base/slice.h>
#include <cli/cli.h>
#include <host/jsonw.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

void cli_paint(FILE *f, enum cli_colour c, const char *format, ...)
{
        static const char *const codes[] = { "",         "\033[31m", "\033[32m",
                                             "\033[33m", "\033[1m",  "\033[2m" };
        bool colour = c != CLI_PLAIN && isatty(fileno(f)) && !getenv("NO_COLOR");
        va_list ap;
        va_start(ap, format);
        if (colour)
                fputs(codes[c], f);
        vfprintf(f, format, ap);
        if (colour)
                fputs("\033[0m", f);
        va_end(ap);
}

static bool is_control(const uint8_t *p, size_t left)
{
        if (p[0] < 0x20)
                return p[0] != '\n' && p[0] != '\t';
        return p[0] == 0x7f || (p[0] == 0xc2 && left > 1 && p[1] >= 0x80 &&
                                p[1] < 0xa0); /* DEL and U+0080..U+009F */
}

void cli_write(FILE *f, struct mv_slice s)
{
        bool raw = !isatty(fileno(f));
        for (size_t i = 0; i < s.len; i++) {
                if (raw || !is_control(s.p + i, s.len - i))
                        fputc(s.p[i], f);
                else
                        fprintf(f, "\\x%02x", s.p[i] == 0xc2 ? s.p[++i] : s.p[i]);
        }
}

static void print_part(const char *before, const char *text)
{
        fputs(before, stderr);
        cli_write(stderr, mv_slice_str(text));
}

/* --- tables ----------------------------------------------------------------------------------- */
void cli_table_row(struct cli_table *t, ...)
{
        char **cells = realloc(t->cells, (t->rows + 1) * t->columns * sizeof *cells);
        if (!cells)
                exit(CLI_BUG);
        t->cells = cells;
        va_list ap;
        va_start(ap, t);
        for (unsigned i = 0; i < t->columns; i++) {
                const char *s = va_arg(ap, const char *);
                cells[t->rows * t->columns + i] = strdup(s ? s : "");
        }
        va_end(ap);
        t->rows++;
}

static size_t column_width(const struct cli_table *t, unsigned column)
{
        size_t width = 0;
        for (unsigned r = 0; r < t->rows; r++) {
                size_t n = strlen(t->cells[r * t->columns + column]);
                width = n > width ? n : width;
        }
        return width;
}

void cli_table_print(struct cli_table *t, FILE *f)
{
        for (unsigned r = 0; r < t->rows; r++) {
                for (unsigned c = 0; c < t->columns; c++) {
                        bool last = c + 1 == t->columns;
                        cli_paint(f, r == 0 ? CLI_BOLD : CLI_PLAIN, "%-*s",
                                  last ? 0 : (int)column_width(t, c) + 2,
                                  t->cells[r * t->columns + c]);
                }
                fputc('\n', f);
        }
        for (unsigned i = 0; i < t->rows * t->columns; i++)
                free(t->cells[i]);
        free(t->cells);
        *t = (struct cli_table){ .columns = t->columns };
}

int cli_json_line(char *malloced)
{
        if (!malloced) {
                fputs("error: out of memory\n", stderr);
                return CLI_BUG;
        }
        puts(malloced);
        free(malloced);
        return CLI_DONE;
}

/* --- errors that ran nothing ------------------------------------------------------------------ */
static const struct failure {
        enum mv_code code;
        enum cli_exit exit;
        const char *kind;
        enum mv_termination termination;
} failures[] = {
        { MV_E_INVALID, CLI_FAILED, "InvalidArgument", MV_END_ERROR },
        { MV_E_DENIED, CLI_DENIED, "SecurityViolation", MV_END_DENIED },
        { MV_E_LIMIT, CLI_LIMIT, "LimitExceeded", MV_END_MEMORY },
        { MV_E_UNSUPPORTED, CLI_UNAVAILABLE, "Unavailable", MV_END_UNAVAILABLE },
        { MV_E_UNAVAILABLE, CLI_UNAVAILABLE, "Unavailable", MV_END_UNAVAILABLE },
        { MV_E_NOT_FOUND, CLI_UNAVAILABLE, "Unavailable", MV_END_UNAVAILABLE },
        { MV_E_STATE, CLI_UNAVAILABLE, "Unavailable", MV_END_UNAVAILABLE },
        { MV_E_SYS, CLI_FAILED, "IoError", MV_END_ERROR },
        { MV_E_CORRUPT, CLI_FAILED, "IoError", MV_END_ERROR },
        { MV_E_PROGRAM, CLI_FAILED, "Generic", MV_END_ERROR },
        { MV_E_WAITING, CLI_DENIED, "ApprovalRequired", MV_END_DENIED },
        { MV_E_IN_DOUBT, CLI_FAILED, "UnknownOutcome", MV_END_ERROR },
};

static const struct failure *failure_of(enum mv_code code)
{
        static const struct failure bug = { MV_E_INTERNAL, CLI_BUG, "InternalError", MV_END_ERROR };
        for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++)
                if (failures[i].code == code)
                        return &failures[i];
        return &bug;
}

int cli_error(const struct mv_err *err, bool json)
{
        const struct failure *f = failure_of(err->code);
        if (json) {
                struct mv__jsonw w;
                mv__json_begin(&w);
                mv__json_open(&w, NULL, '{');
                mv__json_bool(&w, "ok", false);
                mv__json_open(&w, "error", '{');
                mv__json_str(&w, "kind", f->kind);
                mv__json_str(&w, "message", err->msg);
                mv__json_close(&w, '}');
                mv__json_str(&w, "termination", mv_termination_name(f->termination));
                mv__json_close(&w, '}');
                cli_json_line(mv__json_end(&w));
                return f->exit;
        }
        cli_paint(stderr, CLI_RED, "error");
        print_part(": ", f->kind);
        print_part(": ", err->msg);
        fputc('\n', stderr);
        return f->exit;
}

#define EXCERPT_CHARS 160u

/* --- results ---------------------------------------------------------------------------------- */
static struct mv_slice source_line(struct mv_slice text, uint32_t line)
{
        size_t at = 0;
        for (uint32_t n = 1; n < line && at < text.len; at++)
                n += text.p[at] == '\n';
        size_t end = at;
        while (end < text.len && text.p[end] != '\n')
                end++;
        return mv_slice(text.p + at, end - at);
}

/* Byte offset of character `n` (from 0) of a text that may be anything. */
static size_t offset_of(struct mv_slice text, uint32_t n)
{
        size_t at = 0;
        while (at < text.len && n--)
                for (at++; at < text.len && (text.p[at] & 0xc0) == 0x80;)
                        at++;
        return at;
}

/* The line and a caret under its column; of a long line, the part around it. */
static void print_excerpt(struct mv_slice line, const struct mv_program_error *e)
{
        uint32_t from = e->column > EXCERPT_CHARS / 2 ? e->column - EXCERPT_CHARS / 2 : 0;
        size_t start = offset_of(line, from);
        line = mv_slice(line.p + start, line.len - start);
        line.len = offset_of(line, EXCERPT_CHARS);
        fprintf(stderr, "%5u | ", e->line);
        cli_write(stderr, line);
        fputs("\n      | ", stderr);
        for (uint32_t i = from + 1; i < e->column; i++) {
                size_t at = offset_of(line, i - from - 1);
                fputc(at < line.len && line.p[at] == '\t' ? '\t' : ' ', stderr);
        }
        cli_paint(stderr, CLI_RED, "^\n");
}

static void print_place(const struct mv_program_error *e, const struct mv_program *p)
{
        if (!e->line)
                return;
        print_part("  --> ", p->name ? p->name : "program"); /* a file's name may hold anything */
        fprintf(stderr, ":%u:%u\n", e->line, e->column);
        if (p->kind != MV_PROGRAM_SOURCE)
                return;
        print_excerpt(source_line(p->bytes, e->line), e);
}

static void print_error(const struct mv_result *r, const struct mv_program *p)
{
        const struct mv_program_error *e = mv_result_error(r);
        cli_paint(stderr, CLI_RED, "error");
        print_part(": ", e->kind);
        print_part(": ", e->message);
        fputc('\n', stderr);
        print_place(e, p);
        if (mv_result_termination(r) == MV_END_DENIED && e->context[0]) {
                print_part("  rule: ", e->context);
                fputc('\n', stderr);
        }
        if (e->hint[0]) {
                print_part("  hint: ", e->hint);
                fputc('\n', stderr);
        }
        const struct mv_metadata *m = mv_result_metadata(r);
        if (m->compensations || m->compensations_failed)
                fprintf(stderr, "  undone: %u call%s; %u could not be undone\n", m->compensations,
                        m->compensations == 1 ? "" : "s", m->compensations_failed);
}

static void print_warnings(const struct mv_metadata *m)
{
        for (uint32_t i = 0; i < m->budget_warnings_count; i++) {
                const struct mv_budget_warning *b = &m->budget_warnings[i];
                fprintf(stderr, "warning: %llu %s were spent by call %u: %llu are told of\n",
                        (unsigned long long)b->spent, mv_spending_name(b->what), b->call,
                        (unsigned long long)b->warn);
        }
        for (uint32_t i = 0; i < m->budget_overruns_count; i++) {
                const struct mv_budget_overrun *b = &m->budget_overruns[i];
                fprintf(stderr, "warning: %llu %s were spent: the budget is %llu, %llu less\n",
                        (unsigned long long)b->spent, mv_spending_name(b->what),
                        (unsigned long long)b->max, (unsigned long long)(b->spent - b->max));
        }
}

static enum cli_exit exit_of(enum mv_termination t)
{
        switch (t) {
        case MV_END_COMPLETED:
                return CLI_DONE;
        case MV_END_DENIED:
                return CLI_DENIED;
        case MV_END_TIMEOUT:
        case MV_END_MEMORY:
        case MV_END_FUEL:
        case MV_END_OUTPUT:
                return CLI_LIMIT;
        case MV_END_UNAVAILABLE:
                return CLI_UNAVAILABLE;
        default:
                return CLI_FAILED;
        }
}

int cli_result(const struct mv_result *r, const struct cli_options *o, const struct mv_program *p)
{
        if (o->json)
                return cli_json_line(mv_result_json(r)) ? CLI_BUG
                                                        : exit_of(mv_result_termination(r));
        struct mv_slice out = mv_result_stdout(r), err = mv_result_stderr(r);
        /* A program's output is its value, and was printed as it came. */
        bool foreign = p->kind == MV_PROGRAM_EXTERNAL || p->kind == MV_PROGRAM_SCRIPT ||
                       p->kind == MV_PROGRAM_BINARY;
        if (!foreign) {
                cli_write(stdout, out);
                fflush(stdout);
                cli_write(stderr, err);
        }
        print_warnings(mv_result_metadata(r));
        if (!mv_result_ok(r)) {
                print_error(r, p);
                return exit_of(mv_result_termination(r));
        }
        if (foreign && !mv_result_metadata(r)->simulated)
                return CLI_DONE;
        size_t len;
        char *text = mv_value_display(mv_result_value(r), &len);
        if (text) {
                cli_write(stdout, mv_slice(text, len));
                fputc('\n', stdout);
        }
        free(text);
        return text ? CLI_DONE : CLI_BUG;
}
