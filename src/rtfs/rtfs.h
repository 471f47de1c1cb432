/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_RTFS_H
#define MV_RTFS_H
/* The evaluator: bytes, an arena and fuel in; a value, an error or a host call out. Freestanding: no system call, no
 * clock, no randomness, no global state, no callback. A host call *suspends*: mv_rtfs_run returns MV_RTFS_CALL, the
 * embedder answers with mv_rtfs_reply or mv_rtfs_fault and runs again. All state is inside the arena.
 *
 * (1) Deterministic: the same program and replies give the same value, fuel count and events, in every build.
 * (2) Full arena, spent fuel and deep recursion are results (errors), never crashes.
 * Threads: one evaluator belongs to one thread at a time. Ownership: the caller owns the arena. */
#include <base/cur.h>
#include <base/err.h>
#include <microvm/value.h>

struct mv_rtfs;

struct mv_rtfs_options {
        /* steps: calls, loop turns, and work of builtins in units; 0: MV_DEFAULT_FUEL */
        uint64_t fuel;
        uint32_t call_depth; /* 0: MV_CALL_DEPTH_MAX */
        bool prelude;        /* the 20 CCOS names of spec 7.9 */
        /* Receives events in order (STEP payload items, wire/frame.h): one CBOR array each. NULL: dropped. Returning
         * false ends the program with OutputExhausted. */
        bool (*event)(void *ctx, struct mv_slice cbor_array);
        /* A step that may have to run elsewhere begins (its event, as above): the embedder lets it run here, or says with
         * mv_rtfs_step_ran, before it returns, what came of it. And ends: mv_rtfs_encode_left. NULL enter: an event as above;
         * NULL leave: nothing. false as above. */
        bool (*enter)(void *ctx, struct mv_slice cbor_array);
        bool (*leave)(void *ctx);
        void *event_ctx;
        /* Configuration text: a name may hold colons behind its first character (profile:minimal), and every form that
         * is read knows its place (rtfs/data.h). */
        bool config_text;
        /* Asked every MV_TICK_FUEL steps whether to go on; false ends the program with "Interrupted". Fuel counts do not
         * depend on it. NULL: never asked. */
        bool (*tick)(void *event_ctx);
};
#define MV_TICK_FUEL (1 << 18) /* a few milliseconds */

/* Build an evaluator with its library inside arena (16-byte aligned, at least
 * MV_RTFS_ARENA_MIN). LIMIT when too small. */
#define MV_RTFS_ARENA_MIN (512u << 10)
int mv_rtfs_init(void *arena, size_t bytes, const struct mv_rtfs_options *o, struct mv_rtfs **ret,
                 struct mv_err *err);
/* Back to the state after mv_rtfs_init, with new options: nothing of what ran remains reachable.
 * Costs what it dirtied. */
void mv_rtfs_reset(struct mv_rtfs *r, const struct mv_rtfs_options *o);

/* For the next program of a session: what earlier ones defined stays, whatever ended them. Fuel, calls and events count
 * from the start again; prelude and call_depth stay as they were. A builtin that is redefined keeps its meaning in code
 * that was compiled before. */
void mv_rtfs_continue(struct mv_rtfs *r, const struct mv_rtfs_options *o);

/* Inputs, before loading. value/map are CBOR. */
/* global `args` */
int mv_rtfs_set_args(struct mv_rtfs *r, struct mv_slice cbor_array, struct mv_err *err);
/* text keys */
int mv_rtfs_set_context(struct mv_rtfs *r, struct mv_slice cbor_map, struct mv_err *err);

/* Programs. A source is compiled form by form (a defmacro acts on the forms behind it). Errors of the program are not
 * MV errors: they come out of mv_rtfs_run as MV_RTFS_ERROR. Negative only for HOSTILE bytecode or AST bytes. */
int mv_rtfs_load_source(struct mv_rtfs *r, struct mv_slice source, struct mv_err *err);
/* docs/formats/ast.md */
int mv_rtfs_load_ast(struct mv_rtfs *r, struct mv_slice cbor, struct mv_err *err);
int mv_rtfs_load_bytecode(struct mv_rtfs *r, struct mv_slice bytecode, struct mv_err *err);

/* Has an error ended it already, in loading for example? mv_rtfs_error tells which. */
bool mv_rtfs_failed(const struct mv_rtfs *r);
enum mv_rtfs_status { MV_RTFS_DONE, MV_RTFS_CALL, MV_RTFS_ERROR };
enum mv_rtfs_status mv_rtfs_run(struct mv_rtfs *r);

/* The host does not answer the call: the program ends with "Interrupted" when it runs again. */
void mv_rtfs_stop(struct mv_rtfs *r);
/* Ask a running evaluator to stop: it ends with kind "Interrupted" at the next call or loop turn. Any thread, from a signal
 * handler too. Cleared by reset. */
void mv_rtfs_interrupt(struct mv_rtfs *r);

/* After DONE: the value. encode: CBOR; display: spec 2.6; type: "integer" ... */
bool mv_rtfs_encode_result(struct mv_rtfs *r, struct mv_out *o);
bool mv_rtfs_display_result(struct mv_rtfs *r, struct mv_out *o);
const char *mv_rtfs_result_type(struct mv_rtfs *r);

/* After CALL: the id, and the arguments as a CBOR array appended to o. */
struct mv_slice mv_rtfs_call_id(struct mv_rtfs *r);
uint64_t mv_rtfs_call_seq(struct mv_rtfs *r); /* 1, 2, 3 ... */
bool mv_rtfs_encode_call_args(struct mv_rtfs *r, struct mv_out *o);
/* Answer; then mv_rtfs_run again. HOSTILE when the bytes are not one value. */
int mv_rtfs_reply(struct mv_rtfs *r, struct mv_slice cbor, struct mv_err *err);
/* kind: an error kind name of spec 6.2; for SecurityViolation the three further texts are used,
 * else ignored. */
struct mv_rtfs_fault {
        struct mv_slice kind, message, operation, capability, context;
};
void mv_rtfs_fault(struct mv_rtfs *r, const struct mv_rtfs_fault *f);

/* Inside enter: the step ran in another evaluator, which counted on from where this one stands. outcome: the array
 * [fuel used, steps, calls, failed, value or error] (counts nil: nothing ran, they stay), valid until mv_rtfs_run returns
 * or the next event. */
void mv_rtfs_step_ran(struct mv_rtfs *r, struct mv_slice outcome);
/* Inside leave: nil, or the error that ends the step, [kind message display data operation capability context place].
 * false: o is too small. */
bool mv_rtfs_encode_left(struct mv_rtfs *r, struct mv_out *o);

/* After ERROR. Texts live until the next reset. message is the display text of spec 6.2. */
struct mv_rtfs_error {
        struct mv_slice kind, message, operation, capability, context;
        uint32_t line, column; /* 1-based; 0: unknown */
        struct mv_slice hint;  /* "did you mean map?"; empty when there is none */
};
void mv_rtfs_error(struct mv_rtfs *r, struct mv_rtfs_error *ret);

uint64_t mv_rtfs_fuel_used(const struct mv_rtfs *r);
/* bytes of the arena ever in use since reset */
uint64_t mv_rtfs_memory_peak(const struct mv_rtfs *r);
/* The part of the arena that may differ from the state after init, for providers that restore
 * memory. */
size_t mv_rtfs_memory_used(const struct mv_rtfs *r);

/* What a loaded bytecode can ask of the host, without running it: the result becomes a vector with [id via line column] for
 * each place of a call; id nil: computed at run time; via: the prelude's function that calls, or nil. false: mv_rtfs_error
 * says why. The program cannot be run after that. */
bool mv_rtfs_inspect(struct mv_rtfs *r);
/* After mv_rtfs_inspect: the functions and the steps of the program, a vector of
 *   [name demand line column parent opaque [enters] [[call arguments] ...]]
 * name: of a step, nil of a function; demand: of with-security-profile, or nil; parent: index of the region it is in, or -1;
 * opaque: it calls what cannot be told, so it may enter any region; enters: indices of regions; call: index into the result;
 * arguments: constants as they are, the symbol ? for what is not known, nil when nothing is. false: o is too small. */
bool mv_rtfs_encode_regions(struct mv_rtfs *r, struct mv_out *o);
/* The effects that a loaded source or AST declares in metadata (`^{:effects [...]}`): an array of [line, column, value].
 * false: o is too small. */
bool mv_rtfs_encode_declared(struct mv_rtfs *r, struct mv_out *o);

/* Compile without running. false: *ret_error says why. */
bool mv_rtfs_compile(struct mv_rtfs *r, struct mv_slice source, struct mv_out *bytecode,
                     struct mv_rtfs_error *ret_error);
/* What was loaded, source or AST, as an AST. false: o is too small. */
bool mv_rtfs_encode_ast(struct mv_rtfs *r, struct mv_out *o);
/* The same as mv_rtfs_compile for a source or an AST that was loaded. */
bool mv_rtfs_compile_loaded(struct mv_rtfs *r, struct mv_out *bytecode,
                            struct mv_rtfs_error *ret_error);

#endif
