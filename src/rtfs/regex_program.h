/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_RTFS_REGEX_PROGRAM_H
#define MV_RTFS_REGEX_PROGRAM_H
/* The compiled form, between regex_parse.c and regex.c. Jumps are relative to the instruction
 * itself, so that code can be moved and copied as it is. */
#include <rtfs/regex.h>

enum regex_op {
        RX_CHAR,  /* x: code point */
        RX_ANY,   /* any code point */
        RX_LINE,  /* any but newline */
        RX_CLASS, /* x: first range, y: ranges */
        RX_SPLIT, /* go on at +x, later at +y */
        RX_JUMP,  /* +x */
        RX_CHECK, /* x: enum regex_check */
        RX_MATCH,
};
#define RX_FOLD   1u /* CHAR, CLASS: ignore case */
#define RX_NEGATE 2u /* CLASS */
struct regex_inst {
        uint8_t op, flags;
        int32_t x, y;
};

enum regex_check {
        RX_TEXT_START,
        RX_TEXT_END,
        RX_LINE_START,
        RX_LINE_END,
        RX_WORD_EDGE,
        RX_NO_WORD_EDGE
};

/* One item of a class: a range of code points, or a named set when lo > hi (lo: enum regex_set, hi:
 * 0 or 1 negated). */
enum regex_set { RX_DIGIT = 0x110001, RX_SPACE, RX_WORD, RX_ALPHA, RX_UPPER, RX_LOWER, RX_NUMBER };
struct regex_range {
        uint32_t lo, hi;
};

struct regex {
        uint32_t count, range_count;
        struct regex_inst *inst;
        struct regex_range *range;
        /* search: two thread lists in order of priority, and the sparse index that keeps one thread
         * per instruction */
        uint32_t *pc[2], *start[2], *index, *pending;
};

uint32_t regex_fold(uint32_t c);
bool regex_is_word(uint32_t c);

#endif
