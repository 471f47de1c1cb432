/* SPDX-License-Identifier: Apache-2.0 */
/* Small improvements of code that was just emitted.
 *
 * (1) Each keeps the meaning exactly: values, the order of effects, errors and their positions, fuel.
 * (2) They look at instructions, not at forms: a macro cannot hide a use of a register. */
#include <rtfs/bytecode.h>
#include <rtfs/compile.h>

static uint32_t words_at(struct func *f, uint32_t at)
{
        uint32_t word = f->code.p[at], op = OP_OF(word);
        if (op == OP_CLOSURE)
                return 1u + ((const struct proto *)f->consts[K_OF(word)].o)->ups;
        return op == OP_JNTYPE ? 3 : op_shape(op).second ? 2 : 1;
}

/* Registers that B starts a run of. */
static uint32_t run_length(uint32_t word)
{
        switch (OP_OF(word)) {
        case OP_NCALL:
        case OP_VEC:
        case OP_VECPUSH:
                return C_OF(word);
        case OP_MAP:
        case OP_MAPPUT:
                return 2 * C_OF(word);
        default:
                return 1;
        }
}

static bool is_read(char letter)
{
        return letter == 'r' || letter == 'm';
}

static bool captures(struct func *f, uint32_t at, uint8_t reg)
{
        if (OP_OF(f->code.p[at]) != OP_CLOSURE)
                return false;
        for (uint32_t i = 1, n = words_at(f, at); i < n; i++)
                if (f->code.p[at + i] == (uint32_t)(IN_REG << 8 | reg))
                        return true;
        return false;
}

static bool instruction_reads(struct func *f, uint32_t at, uint8_t reg)
{
        uint32_t w = f->code.p[at], op = OP_OF(w);
        struct op_shape s = op_shape(op);
        if (is_read(s.a) && A_OF(w) == reg)
                return true;
        if ((op == OP_CALL || op == OP_TAIL) && reg >= A_OF(w) && reg <= A_OF(w) + B_OF(w))
                return true;
        if (s.second == 'R' && f->code.p[at + 1] == reg)
                return true;
        if (op == OP_NEXT && reg >= A_OF(w) && reg <= A_OF(w) + 1)
                return true;
        if (is_read(s.b) && reg >= B_OF(w) && reg < B_OF(w) + run_length(w))
                return true;
        return (is_read(s.c) && C_OF(w) == reg) || captures(f, at, reg);
}

bool reads_register(struct func *f, uint32_t at, uint8_t reg)
{
        for (; at < f->code.count; at += words_at(f, at))
                if (instruction_reads(f, at, reg))
                        return true;
        return false;
}

bool redirect_result(struct func *f, uint32_t last, uint8_t from, uint8_t to)
{
        if (last == NO_CODE)
                return false;
        uint32_t w = f->code.p[last], op = OP_OF(w);
        if (op_shape(op).a != 'w' || op == OP_ITER || A_OF(w) != from)
                return false;
        f->code.p[last] = (w & ~0xff00u) | (uint32_t)to << 8;
        return true;
}

/* --- jumps ------------------------------------------------------------------------------------ */
static uint32_t target_of(struct func *f, uint32_t at)
{
        return at + 2 + f->code.p[at + 1];
}

/* Where a jump forward to `target` ends up. */
static uint32_t final_target(struct func *f, uint32_t target)
{
        while (OP_OF(f->code.p[target]) == OP_JMP)
                target = target_of(f, target);
        return target;
}

void shorten_jumps(struct func *f)
{
        for (uint32_t at = 0; at < f->code.count; at += words_at(f, at)) {
                uint32_t op = OP_OF(f->code.p[at]);
                if (op_shape(op).second != 'J' || op == OP_JNTYPE)
                        continue;
                uint32_t target = final_target(f, target_of(f, at)), word = f->code.p[target];
                f->code.p[at + 1] = target - (at + 2);
                if (op == OP_JMP && OP_OF(word) == OP_RET)
                        f->code.p[at] = f->code.p[at + 1] = word; /* the second is never reached */
        }
}
