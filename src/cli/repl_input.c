/* SPDX-License-Identifier: Apache-2.0 */
/* Lines for the repl. On a terminal with libedit: editing, history, completion with Tab. On a terminal without it: plain
 * lines and a prompt. From a pipe: lines, and nothing is printed that is not a value.
 *
 * (1) SIGINT ends the line that is being read, whoever reads it: no read is restarted. */
#include <cli/repl.h>
#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#if MV_HAVE_LIBEDIT
#include <histedit.h>
#endif

#define HISTORY_LINES 1000
#define PROMPT        "microvm> "
#define PROMPT_MORE   "    ...> "

struct repl_input {
        bool terminal, open; /* open: a line that goes on the one before */
        const struct repl_words *words;
        char *line, *text; /* of getline; what was read so far */
        size_t line_cap, text_len, text_cap;
#if MV_HAVE_LIBEDIT
        EditLine *edit;
        History *history;
        const char *history_file;
#endif
};

/* --- is there more to come? ------------------------------------------------------------------- */
static const char *skip_string(const char *p)
{
        for (p++; *p && *p != '"'; p++)
                if (*p == '\\' && p[1])
                        p++;
        return *p ? p + 1 : NULL;
}

static const char *skip_block(const char *p)
{
        const char *end = strstr(p + 2, "|#");
        return end ? end + 2 : NULL;
}

bool repl_is_open(const char *p)
{
        long depth = 0;
        while (p && *p) {
                if (*p == '"') {
                        p = skip_string(p);
                } else if (*p == ';') {
                        p += strcspn(p, "\n");
                } else if (p[0] == '#' && p[1] == '|') {
                        p = skip_block(p);
                } else {
                        depth += strchr("([{", *p) != NULL;
                        depth -= strchr(")]}", *p) != NULL;
                        if (depth < 0) /* an error, and nothing mends it */
                                return false;
                        p++;
                }
        }
        return !p || depth > 0;
}

/* --- editing ---------------------------------------------------------------------------------- */
#if MV_HAVE_LIBEDIT
static struct repl_input *input_of(EditLine *e)
{
        void *p = NULL;
        el_get(e, EL_CLIENTDATA, &p);
        return p;
}

static char *prompt(EditLine *e)
{
        static char first[] = PROMPT, more[] = PROMPT_MORE;
        return input_of(e)->open ? more : first;
}

struct completion {
        char common[256]; /* what all candidates begin with */
        unsigned count, shown;
};

static void narrow(void *ctx, const char *word)
{
        struct completion *c = ctx;
        size_t n = 0;
        if (c->count++ == 0) {
                snprintf(c->common, sizeof c->common, "%s", word);
                return;
        }
        while (c->common[n] && c->common[n] == word[n])
                n++;
        c->common[n] = 0;
}

static void show(void *ctx, const char *word)
{
        struct completion *c = ctx;
        if (c->shown++ < 100)
                printf("%s%s", c->shown % 4 == 1 ? "\n  " : "  ", word);
}

/* The word that ends at the cursor: as far as a word goes, or to the start of the line for a
 * command. */
static unsigned char complete(EditLine *e, int key)
{
        (void)key;
        const struct repl_input *in = input_of(e);
        const LineInfo *li = el_line(e);
        const char *from = li->cursor;
        struct completion c = { .count = 0 };
        while (from > li->buffer && !strchr(" \t()[]{}\"'`~@^", from[-1]))
                from--;
        if (from > li->buffer && *from == ':')
                from++; /* a keyword: a capability's id */
        size_t len = (size_t)(li->cursor - from);
        repl_words_each(in->words, from, len, narrow, &c);
        if (c.count == 0)
                return CC_REFRESH_BEEP;
        if (strlen(c.common) > len) {
                char rest[sizeof c.common + 1];
                snprintf(rest, sizeof rest, "%s%s", c.common + len, c.count == 1 ? " " : "");
                return el_insertstr(e, rest) < 0 ? CC_ERROR : CC_REFRESH;
        }
        repl_words_each(in->words, from, len, show, &c);
        putchar('\n');
        fflush(stdout);
        return CC_REDISPLAY;
}

static void edit_start(struct repl_input *in, const char *history_file)
{
        HistEvent ev;
        setlocale(LC_CTYPE, "");
        in->edit = el_init("microvm", stdin, stdout, stderr);
        in->history = history_init();
        if (!in->edit || !in->history)
                return;
        el_set(in->edit, EL_CLIENTDATA, in);
        el_set(in->edit, EL_PROMPT, prompt);
        el_set(in->edit, EL_EDITOR, "emacs");
        el_set(in->edit, EL_SIGNAL, 0); /* (1) */
        history(in->history, &ev, H_SETSIZE, HISTORY_LINES);
        history(in->history, &ev, H_SETUNIQUE, 1);
        el_set(in->edit, EL_HIST, history, in->history);
        /* el_set would leak both texts */
        el_wset(in->edit, EL_ADDFN, L"microvm-complete", L"complete a name", complete);
        el_set(in->edit, EL_BIND, "^I", "microvm-complete", NULL);
        el_set(in->edit, EL_BIND, "^R", "em-inc-search-prev", NULL);
        in->history_file = history_file;
        if (history_file)
                history(in->history, &ev, H_LOAD, history_file);
}

static void edit_done(struct repl_input *in)
{
        HistEvent ev;
        if (in->history && in->history_file)
                history(in->history, &ev, H_SAVE, in->history_file); /* mode 0600 */
        if (in->edit)
                el_end(in->edit);
        if (in->history)
                history_end(in->history);
}

/* A command or whole forms are one entry, however many lines they were; a comment needs its
 * line's end. */
static void remember(struct repl_input *in)
{
        HistEvent ev;
        char *entry = in->history ? strdup(in->text) : NULL;
        if (!entry)
                return;
        for (char *p = entry; *p && !strchr(entry, ';'); p++)
                if (*p == '\n' && p[1])
                        *p = ' ';
        history(in->history, &ev, H_ENTER, entry);
        free(entry);
}

static enum repl_got edited_line(struct repl_input *in, const char **ret, size_t *ret_len)
{
        int n = 0;
        const char *line = el_gets(in->edit, &n);
        if (!line || n <= 0)
                return repl_interrupted ? REPL_INTERRUPT : REPL_END;
        *ret = line;
        *ret_len = (size_t)n;
        return REPL_TEXT;
}
#endif

/* --- lines ------------------------------------------------------------------------------------ */
static enum repl_got plain_line(struct repl_input *in, const char **ret, size_t *ret_len)
{
        if (in->terminal) {
                fputs(in->open ? PROMPT_MORE : PROMPT, stdout);
                fflush(stdout);
        }
        ssize_t n = getline(&in->line, &in->line_cap, stdin);
        if (n < 0) {
                clearerr(stdin);
                return repl_interrupted ? REPL_INTERRUPT : REPL_END;
        }
        *ret = in->line;
        *ret_len = (size_t)n;
        return REPL_TEXT;
}

static enum repl_got next_line(struct repl_input *in, const char **ret, size_t *ret_len)
{
#if MV_HAVE_LIBEDIT
        if (in->edit && in->history)
                return edited_line(in, ret, ret_len);
#endif
        return plain_line(in, ret, ret_len);
}

static bool append(struct repl_input *in, const char *line, size_t len)
{
        if (in->text_len + len + 1 > in->text_cap) {
                size_t cap = 2 * in->text_cap + len + 256;
                char *more = realloc(in->text, cap);
                if (!more)
                        return false;
                in->text = more;
                in->text_cap = cap;
        }
        memcpy(in->text + in->text_len, line, len);
        in->text_len += len;
        in->text[in->text_len] = 0;
        return true;
}

/* Comments and space ask for nothing. */
static bool is_blank(const char *p)
{
        for (p += strspn(p, " \t\r\n"); *p == ';'; p += strspn(p, " \t\r\n"))
                p += strcspn(p, "\n");
        return *p == 0;
}

static bool is_command(const char *text)
{
        return text[strspn(text, " \t")] == ':';
}

enum repl_got repl_read(struct repl_input *in, const char **ret)
{
        const char *line;
        size_t len;
        in->text_len = 0;
        in->open = false;
        if (!append(in, "", 0))
                return REPL_END;
        do {
                enum repl_got got = next_line(in, &line, &len);
                if (got == REPL_INTERRUPT || (got == REPL_END && is_blank(in->text)))
                        return got;
                if (got == REPL_END || !append(in, line, len))
                        break;
                in->open = !is_command(in->text) && repl_is_open(in->text);
        } while (in->open || is_blank(in->text));
#if MV_HAVE_LIBEDIT
        if (in->terminal)
                remember(in);
#endif
        *ret = in->text;
        return REPL_TEXT;
}

struct repl_input *repl_input_new(const struct repl_words *words, const char *history_file)
{
        struct repl_input *in = calloc(1, sizeof *in);
        if (!in)
                return NULL;
        in->words = words;
        in->terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
#if MV_HAVE_LIBEDIT
        if (in->terminal)
                edit_start(in, history_file);
#else
        (void)history_file;
#endif
        return in;
}

struct repl_input *repl_input_free(struct repl_input *in)
{
        if (!in)
                return NULL;
#if MV_HAVE_LIBEDIT
        edit_done(in);
#endif
        free(in->line);
        free(in->text);
        free(in);
        return NULL;
}

bool repl_input_is_terminal(const struct repl_input *in)
{
        return in->terminal;
}
