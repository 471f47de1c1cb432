/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_RTFS_BYTECODE_H
#define MV_RTFS_BYTECODE_H
/* Compiled programs as bytes. All integers little-endian; a text is a u32 length and as many bytes
 * of UTF-8.
 *
 *   SIZE  FIELD            module
 *     4   magic "RTFB"
 *     2   version          MV_BYTECODE_VERSION; a module runs on this very version only
 *     2   flags            0
 *     4   globals          <= GLOBALS_MAX; then a text each, all different: for GETGLOBAL ...
 *     4   builtins         <= NATIVES_MAX; then a text each, all different: for NCALL, constants
 *     4   protos           then a record each, which mentions only records before it
 *     4   forms            then the u32 index of each top-level form's proto, in running order
 *
 *                          proto
 *     2   params           fixed parameters
 *     2   regs             1 .. REGS_MAX; params + rest <= regs
 *     2   ups              <= UPS_MAX
 *     1   rest             1: one more parameter takes the other arguments
 *     1   texts            bit 0: a name follows, bit 1: a delegate follows (a model's id)
 *     .   name, delegate   texts
 *     4   constants        <= 65,535; then each: u8 kind (enum constant_kind), u32 length or index;
 *                          behind the length of DATA one value as CBOR (wire/cbor.h)
 *     4   words            then the instructions (ops.h); globals and builtins are table indexes
 *     .   positions        as many u32: line << 12 | column of each word
 *     4   handlers         then from, to, target, reg of each, u32
 *
 * (1) The same source gives the same bytes: tables are in the order of first use, records in the
 *     order of completion.
 * (2) Nothing of a module runs before all of it was verified (verify.c). */
#include <rtfs/ops.h>
#include <rtfs/vm.h>

#define BYTECODE_MAGIC       "RTFB"
#define BYTECODE_PROTO_BYTES 20u /* the least a record takes */
enum constant_kind { CONSTANT_DATA, CONSTANT_BUILTIN, CONSTANT_PROTO };
enum { PROTO_HAS_NAME = 1, PROTO_HAS_DELEGATE = 2 };

/* What an instruction's operands are, letters as in ops.h. */
struct op_shape {
        char a, b, c; /* b: 'K', 'G' or 'S': B and C are one operand */
        char second;  /* of the second word; 0: none */
};
struct op_shape op_shape(uint32_t op); /* op < OP_MAX_ */
/* Words that the instruction takes, its captures included. 0: no such instruction, or CLOSURE of no
 * function. */
uint32_t op_words(const struct proto *p, uint32_t word);

/* May compiled programs use this builtin at all? As a value: may they hand it around? */
bool builtin_allowed(const struct native *n, bool as_value);

/* What the operands of a proto under verification are indexes into. */
struct module_tables {
        struct mv_rtfs *r;
        uint32_t global_count, builtin_count;
        const uint32_t *builtins; /* index into r->natives */
};
/* Is p safe to run? Its code is in module form; `starts` has a zeroed byte for each word. false:
 * *ret_why. */
bool verify_proto(const struct module_tables *m, const struct proto *p, uint8_t *starts,
                  const char **ret_why);

#endif
