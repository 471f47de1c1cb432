/* SPDX-License-Identifier: Apache-2.0 */
/* What makes foreign code safe to run. One pass finds where instructions start, a second one looks
 * at every operand: linear in the size of the code.
 *
 * (1) Every operand names something that exists: registers below regs (runs of them as well),
 *     constants of the right tag, captures, globals, builtins with an arity that fits.
 * (2) Control stays inside: jumps land on instructions, and the last instruction does not go on.
 * (3) Nothing repeats without taking fuel: only LOOP goes backwards, and a handler lies behind what
 *     it protects.
 * (4) Unused operands are zero, so a program has one form. */
#include <rtfs/bytecode.h>
#include <rtfs/compile.h>

static const char *const shapes[] = {
#define X(name, shape) shape,
        OP_MAP(X)
#undef X
};

struct op_shape op_shape(uint32_t op)
{
        const char *s = shapes[op];
        bool wide = s[1] == 'K' || s[1] == 'G' || s[1] == 'S';
        const char *end = s + (wide ? 2 : 3);
        return (struct op_shape){ s[0], s[1], wide ? 0 : s[2], *end == ',' ? end[1] : 0 };
}

static const struct node *consts_of(const struct proto *p, uint32_t *ret_count)
{
        *ret_count = p->consts ? p->consts->h.used : 0;
        return p->consts;
}

uint32_t op_words(const struct proto *p, uint32_t word)
{
        uint32_t op = OP_OF(word), count;
        if (op >= OP_MAX_)
                return 0;
        if (op == OP_JNTYPE)
                return 3;
        if (op != OP_CLOSURE)
                return op_shape(op).second ? 2 : 1;
        const struct node *consts = consts_of(p, &count);
        if (K_OF(word) >= count || consts->item[K_OF(word)].tag != T_PROTO)
                return 0;
        return 1u + ((const struct proto *)consts->item[K_OF(word)].o)->ups;
}

/* The compiler's own helpers: everything else whose name starts with % belongs to the library. */
static const char *const compiler_builtins[] = {
        "%builder",     "%push!",        "%splice",         "%to-list",      "%dotimes-count",
        "%expose",      "%clear-expose", "%step-falsy",     "%step-turn",    "%param-error",
        "%error-text",  "%step-started", "%step-completed", "%step-failed",  "%hint",
        "%clear-hints", "%context-ref",  "%get-name",       "%deftype",      "%struct-check",
        "%step-value",  "%stream-next",  "%stream-enter",   "%stream-leave",
};

bool builtin_allowed(const struct native *n, bool as_value)
{
        if (n->name[0] != '%' || n->name[1] == '\0')
                return true;
        if (as_value)
                return strcmp(n->name, "%struct-check") == 0;
        for (size_t i = 0; i < sizeof compiler_builtins / sizeof *compiler_builtins; i++)
                if (strcmp(n->name, compiler_builtins[i]) == 0)
                        return true;
        return false;
}

struct checker {
        const struct module_tables *m;
        const struct proto *p;
        const uint32_t *word;
        const uint8_t *starts;
        uint32_t count, at, size; /* words; of the instruction: where, how many */
        const char *why;
};

static bool no(struct checker *c, const char *why)
{
        c->why = why;
        return false;
}

/* --- one operand ------------------------------------------------------------------------------ */
static bool constant_fits(struct checker *c, uint32_t index);

static bool byte_fits(struct checker *c, char letter, uint32_t value)
{
        if ((letter == 'r' || letter == 'w' || letter == 'm') && value >= c->p->regs)
                return no(c, "bytecode: register");
        if (letter == 'k')
                return constant_fits(c, value);
        if (letter == '-' && value != 0)
                return no(c, "bytecode: unused operand");
        return true;
}

static bool constant_fits(struct checker *c, uint32_t index)
{
        uint32_t count, op = OP_OF(c->word[c->at]);
        const struct node *consts = consts_of(c->p, &count);
        if (index >= count)
                return no(c, "bytecode: constant");
        uint32_t tag = consts->item[index].tag;
        if ((tag == T_PROTO) != (op == OP_CLOSURE))
                return no(c, "bytecode: function constant");
        if ((op == OP_RAISE && tag != T_STRING) || (op == OP_MWITHOUT && tag != T_VECTOR))
                return no(c, "bytecode: kind of constant");
        return true;
}

static bool jump_fits(struct checker *c, bool backwards)
{
        int64_t from = (int64_t)c->at + 2, to = from + (int32_t)c->word[c->at + 1];
        if (to < 0 || to >= c->count || !c->starts[to])
                return no(c, "bytecode: jump target");
        if (backwards != (to <= c->at)) /* (3) */
                return no(c, "bytecode: direction of a jump");
        return true;
}

static bool builtin_fits(struct checker *c, uint32_t index, uint32_t args)
{
        if (index >= c->m->builtin_count)
                return no(c, "bytecode: builtin");
        const struct native *n = c->m->r->natives[c->m->builtins[index]];
        if (!n->fn || !builtin_allowed(n, false))
                return no(c, "bytecode: builtin that is not called directly");
        if ((n->args_min >= 0 && args < (uint32_t)n->args_min) ||
            (n->args_max >= 0 && args > (uint32_t)n->args_max))
                return no(c, "bytecode: arguments of a builtin");
        return true;
}

/* --- one instruction -------------------------------------------------------------------------- */
/* Does register b start a run instead of being one? Its length is checked by run_fits. */
static bool b_starts_run(uint32_t op)
{
        return op == OP_NCALL || op == OP_VEC || op == OP_VECPUSH || op == OP_MAP ||
               op == OP_MAPPUT;
}

static bool run_fits(struct checker *c, uint32_t w)
{
        uint32_t end = 0; /* first register behind the run */
        switch (OP_OF(w)) {
        case OP_NCALL:
        case OP_VEC:
        case OP_VECPUSH:
                end = B_OF(w) + C_OF(w);
                break;
        case OP_MAP:
        case OP_MAPPUT:
                end = B_OF(w) + 2 * C_OF(w);
                break;
        case OP_CALL:
        case OP_TAIL:
                end = A_OF(w) + 1 + B_OF(w);
                break;
        case OP_ITER: /* vector, index */
                end = A_OF(w) + 2;
                break;
        case OP_NEXT: /* and item */
                end = A_OF(w) + 3;
                break;
        default:
                break;
        }
        return end <= c->p->regs || no(c, "bytecode: run of registers");
}

static bool number_fits(struct checker *c, uint32_t w)
{
        bool ok = true;
        switch (OP_OF(w)) {
        case OP_GETUP:
                ok = B_OF(w) < c->p->ups;
                break;
        case OP_VCHK:
        case OP_JNVEC:
        case OP_JNMAP:
                ok = C_OF(w) <= 1;
                break;
        case OP_CHECK:
                ok = B_OF(w) <= 1;
                break;
        case OP_RAISE:
        case OP_JNKIND:
                ok = B_OF(w) < E_OTHER;
                break;
        default:
                break;
        }
        return ok || no(c, "bytecode: number out of range");
}

static bool first_word_fits(struct checker *c, uint32_t w, struct op_shape s)
{
        if (!byte_fits(c, s.a, A_OF(w)))
                return false;
        if (s.b == 'K')
                return constant_fits(c, K_OF(w));
        if (s.b == 'G')
                return K_OF(w) < c->m->global_count || no(c, "bytecode: global");
        if (s.b == 'S')
                return true;
        return byte_fits(c, b_starts_run(OP_OF(w)) ? 'u' : s.b, B_OF(w)) &&
               byte_fits(c, s.c, C_OF(w)) && run_fits(c, w) && number_fits(c, w);
}

static bool second_word_fits(struct checker *c, uint32_t w, struct op_shape s)
{
        switch (s.second) {
        case 'J':
                return jump_fits(c, false);
        case 'L':
                return jump_fits(c, true);
        case 'K':
                return constant_fits(c, c->word[c->at + 1]);
        case 'R':
                return byte_fits(c, 'r', c->word[c->at + 1]);
        case 'N':
                return builtin_fits(c, c->word[c->at + 1], C_OF(w));
        default:
                return true;
        }
}

static bool captures_fit(struct checker *c)
{
        for (uint32_t i = 1; i < c->size; i++) {
                uint32_t kind = c->word[c->at + i] >> 8, index = c->word[c->at + i] & 0xff;
                bool ok = kind == 0   ? index < c->p->regs
                          : kind == 1 ? index < c->p->ups
                                      : kind == 2 && index == 0;
                if (!ok)
                        return no(c, "bytecode: capture");
        }
        return true;
}

static bool ends_here(uint32_t op)
{
        return op == OP_RET || op == OP_JMP || op == OP_LOOP || op == OP_RAISE;
}

static bool instruction_fits(struct checker *c)
{
        uint32_t w = c->word[c->at], op = OP_OF(w);
        struct op_shape s = op_shape(op);
        if (!first_word_fits(c, w, s) || !second_word_fits(c, w, s))
                return false;
        if (op == OP_JNTYPE && !constant_fits(c, c->word[c->at + 2]))
                return false;
        if (op == OP_CLOSURE && !captures_fit(c))
                return false;
        if (c->at + c->size == c->count && !ends_here(op))
                return no(c, "bytecode: code without an end");
        return true;
}

/* --- a proto ---------------------------------------------------------------------------------- */
static bool mark_starts(struct checker *c, uint8_t *starts)
{
        for (c->at = 0; c->at < c->count; c->at += c->size) {
                c->size = op_words(c->p, c->word[c->at]);
                if (c->size == 0)
                        return no(c, "bytecode: instruction");
                if (c->size > c->count - c->at)
                        return no(c, "bytecode: cut instruction");
                starts[c->at] = 1;
        }
        return true;
}

static bool handlers_fit(struct checker *c)
{
        if (!c->p->handlers)
                return true;
        const struct handler *h =
                (const struct handler *)((const struct code *)c->p->handlers)->word;
        for (uint32_t i = 0; i < c->p->handler_count; i++) {
                if (h[i].from > h[i].to || h[i].to > h[i].target) /* (3) */
                        return no(c, "bytecode: handler's range");
                if (h[i].target >= c->count || !c->starts[h[i].target])
                        return no(c, "bytecode: handler's target");
                if (h[i].reg >= c->p->regs)
                        return no(c, "bytecode: handler's register");
        }
        return true;
}

static bool limits_fit(struct checker *c)
{
        const struct proto *p = c->p;
        if (p->regs < 1 || p->regs > REGS_MAX || p->ups > UPS_MAX ||
            p->params + (uint32_t)p->rest > p->regs)
                return no(c, "bytecode: registers of a function");
        return c->count > 0 || no(c, "bytecode: function without code");
}

static bool check_proto(struct checker *c, uint8_t *starts)
{
        if (!limits_fit(c) || !mark_starts(c, starts))
                return false;
        for (c->at = 0; c->at < c->count; c->at += c->size) {
                c->size = op_words(c->p, c->word[c->at]);
                if (!instruction_fits(c))
                        return false;
        }
        return handlers_fit(c);
}

bool verify_proto(const struct module_tables *m, const struct proto *p, uint8_t *starts,
                  const char **ret_why)
{
        struct checker c = {
                .m = m, .p = p, .word = p->code->word, .starts = starts, .count = p->code->count
        };
        bool ok = check_proto(&c, starts);
        if (!ok)
                *ret_why = c.why;
        return ok;
}
