/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_WIRE_FRAME_H
#define MV_WIRE_FRAME_H
/* The door's frames, the same over every wall. Freestanding.
 *
 *  OFFSET SIZE  FIELD                 all integers little-endian
 *     0     4   len      payload bytes, <= MV_FRAME_PAYLOAD_MAX
 *     4     1   version  1
 *     5     1   type     enum mv_frame_type
 *     6     2   zero
 *     8     8   seq      CALL: 1, 2, 3 ... ; REPLY, FAULT: the CALL it answers; else 0
 *    16   len   payload  one deterministic CBOR item (wire/cbor.h)
 *
 * Conversation: host START; guest { STEP | LOG | CALL (host REPLY | FAULT) | TICK (host TICK) | ENTER (host ENTER | LEAVE) |
 * LEAVE (host LEAVE) }*; guest RESULT | ERROR. Host may send CANCEL in place of a reply. Anything else is hostile and ends the
 * cell.
 *
 * START  {"program": {"kind": "source"|"bytecode"|"ast", "bytes": text|bytes}, "args": [..], "context": {..}, "fuel": int,
 *         "memory": int, "depth": int, "output": int, "prelude": bool, "keep": bool, "purpose": "run"|"compile"|"parse"|"inspect"}
 *        (string keys; see guest/runner.c). compile, parse: RESULT's value is the bytecode, the AST as base64 text;
 *        inspect: what rtfs/inspect.c reports. None of them runs the program.
 * CALL   [id text, [args]]                 REPLY  value
 * FAULT  {"kind","message", and for SecurityViolation "operation","capability","context"}: an error raised at the call
 * STEP   [event text, item...]             "step-started" name demand? | "step-completed" id value | "step-failed" id text |
 *                                          "expose" bool keys-or-nil | "clear-expose" | "ctx-set" key value |
 *                                          "hint" key value | "clear-hints"
 *        keep: of a session. The evaluator stays for the next START with keep, whose args and context are not looked at.
 * TICK   nil: a session's program runs on; the host answers TICK nil, or CANCEL nil: it ends with ERROR "Interrupted",
 *        as it does for CANCEL in place of a reply. Outside a session CANCEL ends the run without a word.
 * ENTER  the event "step-started" of a step with an isolation level. Host: a boolean, the step runs in this cell; true: say
 *        LEAVE when it has ended, behind its event. Or LEAVE [fuel, steps, calls, failed, value or error]: it has run in
 *        another cell, its events are told, and this one counts on from there. Counts nil: it is refused.
 * LEAVE  [fuel used, nil or error]; host: nil. error: [kind message display data operation capability context place]
 * LOG    text: runner diagnostics, never program output
 * RESULT {"value": any, "fuel": int, "memory": int}
 * ERROR  {"kind","message","line","column","fuel","memory", and what FAULT has, "data", "hint": of UndefinedSymbol}
 *        kind "FuelExhausted", "MemoryExhausted", "OutputExhausted": a limit inside the evaluator. */
#include <base/cur.h>
#include <base/err.h>
#include <base/limits.h>

#define MV_FRAME_VERSION      1
#define MV_FRAME_HEADER_BYTES 16

enum mv_frame_type {
        MV_FRAME_START = 1,
        MV_FRAME_CALL,
        MV_FRAME_REPLY,
        MV_FRAME_FAULT,
        MV_FRAME_STEP,
        MV_FRAME_LOG,
        MV_FRAME_RESULT,
        MV_FRAME_ERROR,
        MV_FRAME_CANCEL,
        MV_FRAME_TICK,
        MV_FRAME_ENTER,
        MV_FRAME_LEAVE,
        MV_FRAME_MAX_
};

struct mv_frame {
        enum mv_frame_type type;
        uint64_t seq;
        struct mv_slice payload;
};

/* Header fields of the frame that starts at p (>= MV_FRAME_HEADER_BYTES readable): payload
 * length, or HOSTILE. */
int mv_frame_payload_len(const uint8_t *p, uint32_t *ret_len, struct mv_err *err);
/* A whole frame, header included; nothing may follow it. */
int mv_frame_decode(struct mv_slice bytes, struct mv_frame *ret, struct mv_err *err);
/* Reserve a header, write the payload behind it, then close: patches the length. Returns the
 * header's offset. */
size_t mv_frame_open(struct mv_out *o, enum mv_frame_type type, uint64_t seq);
/* false: o overflowed or the payload is too large */
bool mv_frame_close(struct mv_out *o, size_t header_at);

#endif
