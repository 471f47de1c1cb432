/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_RTFS_OPS_H
#define MV_RTFS_OPS_H
/* The instruction set: 32-bit words, `op | A << 8 | B << 16 | C << 24`, some with a second word. Registers are relative to
 * the frame. Operand letters (the verifier and the disassembler read them):
 *
 *   r register read   w register written   m both   u unsigned byte   i signed byte   k constant index in a byte
 *   - unused
 *   then for B and C together:  K constant index   G global slot   S signed 16-bit number
 *   then after a comma the second word:  J jump, signed, relative to the word behind it   K constant   N native   R register
 *                                        L loop (a jump backwards, which costs fuel)
 *   range: the named registers start a run whose length is the last operand
 *
 * vm_loop.c has a label for each. Any change changes MV_BYTECODE_VERSION. */
#define MV_BYTECODE_VERSION 2

/* clang-format off */
#define OP_MAP(X)                                                                                  \
        X(MOVE, "wr-")                                                                             \
        X(LOADK, "wK")                                                                             \
        X(LOADI, "wS")                                                                             \
        X(LOADNIL, "w--")                                                                          \
        X(LOADTRUE, "w--")                                                                         \
        X(LOADFALSE, "w--")                                                                        \
        X(GETUP, "wu-")      /* B: upvalue */                                                      \
        X(GETSELF, "w--")                                                                          \
        X(NEWBOX, "w--")                                                                           \
        X(GETBOX, "wr-")     /* may give UNBOUND */                                                \
        X(SETBOX, "rr-")     /* A: the box */                                                      \
        X(GETGLOBAL, "wG")   /* unbound: host context, then UndefinedSymbol */                     \
        X(SETGLOBAL, "rG")                                                                         \
        X(JMP, "---,J")                                                                            \
        X(LOOP, "wr-,L")     /* A := B, then back */                                               \
        X(JF, "r--,J")                                                                             \
        X(JT, "r--,J")                                                                             \
        X(JBOUND, "r--,J")                                                                         \
        X(ADD, "wrr")                                                                              \
        X(SUB, "wrr")                                                                              \
        X(MUL, "wrr")                                                                              \
        X(DIV, "wrr")                                                                              \
        X(MOD, "wrr")                                                                              \
        X(ADDK, "wrk")                                                                             \
        X(SUBK, "wrk")                                                                             \
        X(MULK, "wrk")                                                                             \
        X(DIVK, "wrk")                                                                             \
        X(MODK, "wrk")                                                                             \
        X(ADDI, "wri")                                                                             \
        X(SUBI, "wri")                                                                             \
        X(LT, "wrr")                                                                               \
        X(LE, "wrr")                                                                               \
        X(GT, "wrr")                                                                               \
        X(GE, "wrr")                                                                               \
        X(EQ, "wrr")                                                                               \
        X(NE, "wrr")                                                                               \
        X(JNLT, "rr-,J")     /* jump unless A < B ... */                                           \
        X(JNLE, "rr-,J")                                                                           \
        X(JNGT, "rr-,J")                                                                           \
        X(JNGE, "rr-,J")                                                                           \
        X(JNEQ, "rr-,J")                                                                           \
        X(JNNE, "rr-,J")                                                                           \
        X(JNLTK, "rk-,J")    /* ... against a constant */                                          \
        X(JNLEK, "rk-,J")                                                                          \
        X(JNGTK, "rk-,J")                                                                          \
        X(JNGEK, "rk-,J")                                                                          \
        X(JNEQK, "rk-,J")                                                                          \
        X(JNNEK, "rk-,J")                                                                          \
        X(JNLTI, "ri-,J")    /* ... against a small integer */                                     \
        X(JNLEI, "ri-,J")                                                                          \
        X(JNGTI, "ri-,J")                                                                          \
        X(JNGEI, "ri-,J")                                                                          \
        X(JNEQI, "ri-,J")                                                                          \
        X(JNNEI, "ri-,J")                                                                          \
        X(NOT, "wr-")                                                                              \
        X(CALL, "mu-")       /* A: function, then B arguments; result in A */                      \
        X(TAIL, "mu-")       /* the same as the frame's last act; RET A follows */                 \
        X(RET, "r--")                                                                              \
        X(NCALL, "wru,N")    /* builtin on C registers from B; arity was checked by the compiler and is by the verifier */ \
        X(CLOSURE, "wK")     /* then one word per upvalue: from << 8 | index; from 0 register 1 upvalue 2 self */ \
        X(VEC, "wru")        /* C registers from B */                                              \
        X(VECPUSH, "mru")    /* A: a vector under construction */                                  \
        X(MAP, "wru")        /* C pairs from B */                                                  \
        X(MAPPUT, "mru")                                                                           \
        X(NTH, "wrr")        /* item C of B */                                                     \
        X(COUNT, "wr-")                                                                            \
        X(GET, "mrr")        /* entry C of B; A: what to give when there is none */                \
        X(OWNER, "w--")      /* a number that nobody else has (map.h) */                           \
        X(PUT, "mrr,R")      /* A := A with key B and value C, in place where the second word's register is the owner */ \
        X(PUSH, "rr-")       /* append B to the builder A */                                       \
        X(VCHK, "ruu")       /* C 1: exactly B elements, 0: at least B; else TypeError */          \
        X(VNTH, "wru")       /* nil beyond the end */                                              \
        X(VREST, "wru")      /* elements from C on, as a vector */                                 \
        X(MCHK, "r--")                                                                             \
        X(MGET, "wr-,K")     /* nil when absent */                                                 \
        X(MFIND, "wr-,K")    /* UNBOUND when absent */                                             \
        X(MWITHOUT, "wr-,K") /* K: vector of keys */                                               \
        X(JNVEC, "ruu,J")    /* jump unless a sequence of exactly (C 1) or at least (C 0) B elements */ \
        X(JNMAP, "ruu,J")    /* jump unless a map, of exactly B entries when C is 1 */             \
        X(JNKIND, "ru-,J")   /* jump unless an error of kind B */                                  \
        X(JNTYPE, "r--,J")   /* word 3: constant type form */                                      \
        X(CHECK, "ru-,K")    /* annotation check of A against K; B: 0, or 1 for a rest list */     \
        X(ITER, "wr-")       /* A: vector of the collection in B, A+1: 0; TypeError unless it can be iterated */ \
        X(NEXT, "m--,J")     /* A as ITER made it; item into A+2, or jump at the end */            \
        X(RERAISE, "r--")    /* unless nil */                                                      \
        X(RAISE, "-u-,K")    /* B: kind, K: text */

/* clang-format on */
enum op {
#define X(name, shape) OP_##name,
        OP_MAP(X)
#undef X
                OP_MAX_
};

#define OP_WORD(op, a, b, c)                                                                       \
        ((uint32_t)(op) | (uint32_t)(uint8_t)(a) << 8 | (uint32_t)(uint8_t)(b) << 16 |             \
         (uint32_t)(uint8_t)(c) << 24)
#define OP_WIDE(op, a, bc)                                                                         \
        ((uint32_t)(op) | (uint32_t)(uint8_t)(a) << 8 | (uint32_t)(uint16_t)(bc) << 16)
#define OP_OF(w) ((w)&0xff)
#define A_OF(w)  ((w) >> 8 & 0xff)
#define B_OF(w)  ((w) >> 16 & 0xff)
#define C_OF(w)  ((w) >> 24)
#define K_OF(w)  ((w) >> 16)
#define S_OF(w)  ((int16_t)((w) >> 16))
#define IB_OF(w) ((int8_t)((w) >> 16))
#define IC_OF(w) ((int8_t)((w) >> 24))

#endif
