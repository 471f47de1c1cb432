/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_BASE_LIMITS_H
#define MV_BASE_LIMITS_H
/* Every limit of the project has a name, a reason and this one home. Torture builds make some
 * tiny. */

/* Deepest nesting of a value that crosses the door, is printed, compared or stored. Each level costs the recursive
 * walkers under 250 bytes of C stack, and 650 where large maps are compared: 512 levels stay below 350 KiB. */
#define MV_VALUE_DEPTH_MAX 512

/* Deepest nesting of source text. The compiler spends under 1 KiB of C stack per level; the
 * runner's stack is 4 MiB. */
#define MV_SOURCE_DEPTH_MAX 1000

/* Largest payload of one frame: the result of an execution and the arguments of a call fit, a guest cannot make the
 * host buffer more. */
#define MV_FRAME_PAYLOAD_MAX (8u << 20)

/* Items of one decoded array or map: 16 bytes of tree per byte of input at most is kept by the arena ceiling, this only
 * keeps counts in 32 bits. */
#define MV_ITEMS_MAX (1u << 24)

/* Closure calls that may be active at once in a program (spec R-24: at least 10,000). */
#define MV_CALL_DEPTH_MAX 20000

/* Iterations of one step-loop (spec section 9). */
#define MV_STEP_LOOP_MAX 10000

/* Length of a capability id, a grant and a symbol that becomes one. */
#define MV_ID_MAX 256

/* Default limits of an execution, REQ-CFG-01 and REQ-SEC-02. */
#define MV_DEFAULT_WALL_NS      (30ull * 1000000000ull)
#define MV_DEFAULT_MEMORY_BYTES (64ull << 20)
#define MV_DEFAULT_FUEL         (1ull << 40)
#define MV_DEFAULT_OUTPUT_BYTES (1ull << 20)

/* A session's evaluation is asked to stop at its deadline, or when its caller cancels it, so that what was defined before
 * survives. One that has not answered this much later is killed, with its cell. */
#define MV_SESSION_GRACE_NS 500000000ull

#endif
