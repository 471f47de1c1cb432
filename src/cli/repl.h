/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_CLI_REPL_H
#define MV_CLI_REPL_H
/* Between the parts of `microvm repl`: the loop (cmd_repl.c), lines from a terminal or a pipe (repl_input.c), what a line
 * could go on with (repl_words.c). */
#include <cli/cli.h>
#include <signal.h>

/* Set by SIGINT: the cancel flag of the evaluation in progress, and the end of the line being
 * edited. */
extern volatile sig_atomic_t repl_interrupted;

/* --- input ------------------------------------------------------------------------------------ */
struct repl_input;
struct repl_words;
/* NULL: out of memory. words: for completion, outlives the input. history: file, or NULL for
 * none. */
struct repl_input *repl_input_new(const struct repl_words *words, const char *history);
struct repl_input *repl_input_free(struct repl_input *in);
bool repl_input_is_terminal(const struct repl_input *in);
enum repl_got { REPL_TEXT, REPL_INTERRUPT, REPL_END };
/* A command, or whole forms: lines are read on while brackets or a string are open. *ret lives until the next call. At the
 * end of the input what is there is handed out, whole or not. */
enum repl_got repl_read(struct repl_input *in, const char **ret);
/* Are brackets, a string or a block comment left open? */
bool repl_is_open(const char *text);

/* --- words ------------------------------------------------------------------------------------ */
struct repl_words *repl_words_new(void); /* NULL: out of memory */
struct repl_words *repl_words_free(struct repl_words *w);
/* copied; false: no memory */
bool repl_words_add(struct repl_words *w, const char *text, size_t len);
/* what its def forms name */
void repl_words_add_defined(struct repl_words *w, const char *program);
/* Calls each with every word that begins with prefix, in order. */
void repl_words_each(const struct repl_words *w, const char *prefix, size_t len,
                     void (*each)(void *ctx, const char *word), void *ctx);

#endif
