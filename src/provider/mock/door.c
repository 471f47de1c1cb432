/* SPDX-License-Identifier: Apache-2.0 */
/* The door without a wall: frames go straight to the host's function, in the caller's thread.
 *
 * (1) Frames are checked like those from behind a wall: the evaluator is trusted here, its habits are not.
 * (2) Once the run has to stop, nothing reaches the host any more. That the time is up, a call learns from the watchdog, which
 *     is cheaper than the clock; the end of the program looks at the clock itself. */
#include <time.h>
#include <base/slice.h>
#include <provider/mock/mock.h>
#include <wire/cbor.h>
#include <wire/frame.h>

void mv__mock_end(struct mv_cell *c, enum mv_termination t, const char *fmt, ...)
{
        if (c->ended)
                return;
        va_list ap;
        va_start(ap, fmt);
        mv_vfmt(c->exit->detail, sizeof c->exit->detail, fmt, ap);
        va_end(ap);
        c->exit->termination = t;
        c->ended = true;
}

bool mv__mock_stopped_at(struct mv_cell *c, uint64_t now)
{
        if (c->cancelled)
                mv__mock_end(c, MV_END_KILLED, "cancelled");
        else if (c->deadline_ns && now >= c->deadline_ns)
                mv__mock_end(c, MV_END_TIMEOUT, "Execution timeout after %llums",
                             (unsigned long long)((now - c->started_ns) / 1000000));
        return c->ended;
}

bool mv__mock_stopped(struct mv_cell *c)
{
        return c->ended || mv__mock_stopped_at(c, mv__now_ns());
}

static int host_frame(struct mv_cell *c, struct mv_slice frame, struct mv_slice *ret,
                      struct mv_err *err)
{
        return c->run->door.frame(c->run->door.ctx, frame, ret, err);
}

/* The id and the number of arguments of a CALL. What does not look like one is left for the host
 * to reject. */
static bool call_head(struct mv_slice payload, struct mv_slice *ret_id, uint32_t *ret_args)
{
        struct mv_cur cur = mv_cur(payload);
        struct mv_cbor_item array, id, args;
        struct mv_err err;
        if (mv_cbor_next(&cur, &array, &err) < 0 || array.kind != MV_CBOR_ARRAY ||
            array.count != 2 || mv_cbor_next(&cur, &id, &err) < 0 || id.kind != MV_CBOR_TEXT ||
            mv_cbor_next(&cur, &args, &err) < 0 || args.kind != MV_CBOR_ARRAY)
                return false;
        *ret_id = id.text;
        *ret_args = args.count;
        return true;
}

/* What the host said to one frame. */
static bool accept(struct mv_cell *c, int answer, const struct mv_err *why)
{
        if (answer == MV_DOOR_DONE) {
                if (!c->ended) {
                        c->exit->termination = MV_END_COMPLETED;
                        c->ended = true;
                }
        } else if (answer < 0) {
                mv__mock_end(c, MV_END_KILLED, "%s%s",
                             why->code == MV_E_HOSTILE ? "protocol violation: " : "", why->msg);
        }
        return answer >= 0;
}

/* mock_mode detailed: say what is called, before it is. */
static bool trace(struct mv_cell *c, struct mv_slice id, uint64_t seq, uint32_t args_count)
{
        char line[MV_ID_MAX + 80];
        uint8_t bytes[sizeof line + 64];
        struct mv_slice none;
        struct mv_err err = { .msg = "" };
        mv_fmt(line, sizeof line, "mock: call %lu %.*s, %u arguments", (unsigned long)seq,
               id.len < MV_ID_MAX ? (int)id.len : MV_ID_MAX, (const char *)id.p, args_count);
        struct mv_out o = mv_out(bytes, sizeof bytes);
        size_t at = mv_frame_open(&o, MV_FRAME_LOG, 0);
        mv_cbor_put_str(&o, line);
        return mv_frame_close(&o, at) &&
               accept(c, host_frame(c, mv_out_slice(&o), &none, &err), &err);
}

static bool plain_frame(struct mv_cell *c, struct mv_slice bytes, bool want_reply,
                        struct mv_slice *ret_reply)
{
        struct mv_err err = { .msg = "" };
        bool look = !want_reply || c->late || c->cancelled;
        return !c->ended && !(look && mv__mock_stopped(c)) &&
               accept(c, host_frame(c, bytes, ret_reply, &err), &err);
}

/* With what the configuration asks for: a trace, faults. */
static bool call_frame(struct mv_cell *c, struct mv_slice bytes, struct mv_slice *ret_reply)
{
        struct mv_frame f;
        struct mv_err err = { .msg = "" };
        struct mv_slice id = { 0 };
        uint32_t args_count = 0;
        if (mv_frame_decode(bytes, &f, &err) < 0)
                return accept(c, -(int)err.code, &err);
        if (f.type != MV_FRAME_CALL || !call_head(f.payload, &id, &args_count))
                return plain_frame(c, bytes, false, ret_reply);
        if (c->provider->detailed && !trace(c, id, f.seq, args_count))
                return false;
        if (mv__mock_stopped(c) || !mv__mock_fault_before(c, id))
                return false;
        int r = host_frame(c, bytes, ret_reply, &err);
        if (r == MV_DOOR_REPLY)
                *ret_reply = mv__mock_fault_after(c, id, f.seq, *ret_reply);
        return accept(c, r, &err);
}

bool mv__mock_exchange(void *cell, struct mv_slice frames, bool want_reply, struct mv_slice *ret)
{
        struct mv_cell *c = cell;
        struct mv_slice reply = { 0 };
        bool plain = !c->provider->detailed && !c->provider->faults;
        while (frames.len > 0) {
                struct mv_err err = { .msg = "" };
                uint32_t len;
                if (frames.len < MV_FRAME_HEADER_BYTES ||
                    mv_frame_payload_len(frames.p, &len, &err) < 0 ||
                    len > frames.len - MV_FRAME_HEADER_BYTES)
                        return accept(c, MV_HOSTILE(&err, "mock: frames are not whole"), &err);
                struct mv_slice frame = mv_slice(frames.p, MV_FRAME_HEADER_BYTES + (size_t)len);
                if (!(plain ? plain_frame(c, frame, want_reply, &reply)
                            : call_frame(c, frame, &reply)))
                        return false;
                frames = mv_slice(frames.p + frame.len, frames.len - frame.len);
        }
        if (!want_reply)
                return true;
        *ret = reply;
        return reply.len > 0 && !c->ended && !c->cancelled;
}
