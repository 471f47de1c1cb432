/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MICROVM_AST_H
#define MICROVM_AST_H
/* Programs built as trees instead of text: no quoting, no text that a value could break out of.
 *
 *   (+ 1 x) is   struct mv_value items[] = { { .kind = MV_SYMBOL, .text = MV_SLICE("+") },
 *                                            { .kind = MV_INT, .integer = 1 },
 *                                            { .kind = MV_SYMBOL, .text = MV_SLICE("x") } };
 *                struct mv_value form = { .kind = MV_LIST, .count = 3, .items = items };
 *                struct mv_value program = { .kind = MV_VECTOR, .count = 1, .items = &form };
 *
 * A tree of forms is a struct mv_value with two differences: a MAP is a map *literal*, whose entries stay in the given
 * order and whose keys may be any forms (patterns have symbols there), and nesting may go to 1000. A form of kind FUNCTION
 * or ERROR is none. What the reader makes of marks is written as: 'x (quote x); `x (quasiquote x); ~x (unquote x);
 * ~@x (unquote-splicing x); @name ("context ref" "name"), ^{..} x ("with meta" {..} x), where the first item is a SYMBOL of
 * that text.
 *
 * The encoding is a program of kind MV_PROGRAM_AST, docs/formats/ast.md. It runs as its source would: the same value, calls,
 * events and fuel. The root differs, because the record holds the digest of the bytes that were run. Errors name no line,
 * for there is none. */
#include <microvm/error.h>
#include <microvm/value.h>

/* The encoding of a VECTOR of forms; *ret is malloc'ed, the caller frees it. INVALID: a kind that is no form, text that is
 * not UTF-8, nested too deeply. Whether names can be written is checked where the program runs. Threads: any. */
int mv_ast_encode(const struct mv_value *forms, uint8_t **ret, size_t *ret_len, struct mv_err *err);

#endif
