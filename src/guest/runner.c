/* SPDX-License-Identifier: Apache-2.0 */
/* The runner (runner.h): START in, frames out, RESULT or ERROR at the end. */
#include <base/limits.h>
#include <base/slice.h>
#include <guest/runner.h>
#include <wire/base64.h>
#include <wire/cbor.h>
#include <wire/frame.h>

struct start {
        struct mv_slice kind, program, args, context, purpose;
        int64_t fuel, depth;
        bool prelude, keep;
};

int mv_runner_init(struct mv_runner *r, void *arena, size_t arena_bytes, void *out,
                   size_t out_bytes, struct mv_runner_door door, struct mv_err *err)
{
        *r = (struct mv_runner){ .out = mv_out(out, out_bytes),
                                 .out_bytes = out_bytes,
                                 .door = door };
        return mv_rtfs_init(arena, arena_bytes, NULL, &r->rtfs, err);
}

/* --- frames out ------------------------------------------------------------------------------- */
/* Hand over what waits in the buffer. false: the run is over. */
static bool flush(struct mv_runner *r, bool want_reply, struct mv_slice *ret_reply)
{
        struct mv_slice frames = mv_out_slice(&r->out);
        r->out = mv_out(r->out.p, r->out.cap);
        if (!r->ended && !r->door.exchange(r->door.ctx, frames, want_reply, ret_reply))
                r->ended = true;
        return !r->ended;
}

/* One frame around what fill writes; when it does not fit behind earlier frames, those leave
 * first. */
static bool put_frame(struct mv_runner *r, enum mv_frame_type type, uint64_t seq,
                      bool (*fill)(struct mv_runner *r, struct mv_out *o, const void *arg),
                      const void *arg)
{
        r->shapeless = false;
        for (int attempt = 0; attempt < 2; attempt++) {
                size_t before = r->out.len, at = mv_frame_open(&r->out, type, seq);
                if (fill(r, &r->out, arg) && mv_frame_close(&r->out, at))
                        return true;
                r->out.len = before;
                r->out.overflow = false;
                if (before == 0 || r->shapeless || !flush(r, false, NULL))
                        return false;
        }
        return false;
}

static bool fill_event(struct mv_runner *r, struct mv_out *o, const void *arg)
{
        (void)r;
        return mv_put_slice(o, *(const struct mv_slice *)arg);
}

/* A step with a demand: an array of three that begins with this text. */
static bool has_demand(struct mv_slice event)
{
        static const char head[] = "\x83\x6cstep-started";
        return event.len >= sizeof head - 1 && memcmp(event.p, head, sizeof head - 1) == 0;
}

static bool on_event(void *ctx, struct mv_slice cbor_array)
{
        struct mv_runner *r = ctx;
        if (!put_frame(r, MV_FRAME_STEP, 0, fill_event, &cbor_array))
                return false;
        r->prompt |= has_demand(cbor_array); /* its time runs, also while nothing is asked */
        return !r->prompt || flush(r, false, NULL);
}

/* The host decides where a step with an isolation level runs. */
static bool on_enter(void *ctx, struct mv_slice cbor_array)
{
        struct mv_runner *r = ctx;
        struct mv_slice reply;
        struct mv_frame f;
        struct mv_err err;
        r->prompt = true;
        if (!put_frame(r, MV_FRAME_ENTER, 0, fill_event, &cbor_array) || !flush(r, true, &reply) ||
            mv_frame_decode(reply, &f, &err) < 0)
                return false;
        if (f.type == MV_FRAME_LEAVE) {
                mv_rtfs_step_ran(r->rtfs, f.payload);
                return true;
        }
        r->cells++;
        if (f.payload.len == 1 && f.payload.p[0] == 0xf5) /* true */
                r->cells_told = r->cells;
        return f.type == MV_FRAME_ENTER;
}

static bool fill_left(struct mv_runner *r, struct mv_out *o, const void *arg)
{
        (void)arg;
        return mv_cbor_put_array(o, 2) && mv_cbor_put_int(o, (int64_t)mv_rtfs_fuel_used(r->rtfs)) &&
               mv_rtfs_encode_left(r->rtfs, o);
}

static bool on_leave(void *ctx)
{
        struct mv_runner *r = ctx;
        struct mv_slice reply;
        struct mv_frame f;
        struct mv_err err;
        bool told = r->cells && r->cells == r->cells_told;
        r->cells -= r->cells > 0;
        if (!told)
                return true;
        r->cells_told = 0;
        return put_frame(r, MV_FRAME_LEAVE, 0, fill_left, NULL) && flush(r, true, &reply) &&
               mv_frame_decode(reply, &f, &err) == 0 && f.type == MV_FRAME_LEAVE;
}

/* What a value that did not encode lacked. */
static bool encoded(struct mv_runner *r, const struct mv_out *o, bool ok)
{
        r->shapeless = !ok && !o->overflow;
        return ok;
}

static bool fill_call(struct mv_runner *r, struct mv_out *o, const void *arg)
{
        (void)arg;
        return mv_cbor_put_array(o, 2) && mv_cbor_put_text(o, mv_rtfs_call_id(r->rtfs)) &&
               encoded(r, o, mv_rtfs_encode_call_args(r->rtfs, o));
}

/* Keys in ascending order of their encodings: shorter first, then bytewise. */
static bool fill_result_head(struct mv_runner *r, struct mv_out *o)
{
        return mv_cbor_put_map(o, 3) && mv_cbor_put_str(o, "fuel") &&
               mv_cbor_put_int(o, (int64_t)mv_rtfs_fuel_used(r->rtfs)) &&
               mv_cbor_put_str(o, "value");
}

static bool fill_result_tail(struct mv_runner *r, struct mv_out *o)
{
        return mv_cbor_put_str(o, "memory") &&
               mv_cbor_put_int(o, (int64_t)mv_rtfs_memory_peak(r->rtfs));
}

static bool fill_result(struct mv_runner *r, struct mv_out *o, const void *arg)
{
        (void)arg;
        return fill_result_head(r, o) && encoded(r, o, mv_rtfs_encode_result(r->rtfs, o)) &&
               fill_result_tail(r, o);
}

/* RESULT of a program that was compiled only. */
static bool fill_module(struct mv_runner *r, struct mv_out *o, const void *arg)
{
        struct mv_slice module = *(const struct mv_slice *)arg;
        return fill_result_head(r, o) && mv_cbor_put_text_head(o, mv_base64_len(module.len)) &&
               mv_base64_put(o, module) && fill_result_tail(r, o);
}

/* RESULT of a program that was inspected only; arg: what it declares. */
static bool fill_report(struct mv_runner *r, struct mv_out *o, const void *arg)
{
        return fill_result_head(r, o) && mv_cbor_put_map(o, 3) && mv_cbor_put_str(o, "calls") &&
               encoded(r, o, mv_rtfs_encode_result(r->rtfs, o)) && mv_cbor_put_str(o, "steps") &&
               encoded(r, o, mv_rtfs_encode_regions(r->rtfs, o)) &&
               mv_cbor_put_str(o, "declared") && mv_put_slice(o, *(const struct mv_slice *)arg) &&
               fill_result_tail(r, o);
}

static bool fill_error(struct mv_runner *r, struct mv_out *o, const void *arg)
{
        const struct mv_rtfs_error *e = arg;
        bool violation = mv_slice_eq_str(e->kind, "SecurityViolation");
        mv_cbor_put_map(o, (violation ? 9 : 6) + (e->hint.len > 0));
        mv_cbor_put_str(o, "fuel");
        mv_cbor_put_int(o, (int64_t)mv_rtfs_fuel_used(r->rtfs));
        if (e->hint.len) {
                mv_cbor_put_str(o, "hint");
                mv_cbor_put_text(o, e->hint);
        }
        mv_cbor_put_str(o, "kind");
        mv_cbor_put_text(o, e->kind);
        mv_cbor_put_str(o, "line");
        mv_cbor_put_int(o, e->line);
        mv_cbor_put_str(o, "column");
        mv_cbor_put_int(o, e->column);
        mv_cbor_put_str(o, "memory");
        mv_cbor_put_int(o, (int64_t)mv_rtfs_memory_peak(r->rtfs));
        if (violation) {
                mv_cbor_put_str(o, "context");
                mv_cbor_put_text(o, e->context);
        }
        mv_cbor_put_str(o, "message");
        mv_cbor_put_text(o, e->message);
        if (violation) {
                mv_cbor_put_str(o, "operation");
                mv_cbor_put_text(o, e->operation);
                mv_cbor_put_str(o, "capability");
                mv_cbor_put_text(o, e->capability);
        }
        return !o->overflow;
}

static void send_error(struct mv_runner *r, const char *kind, const char *message)
{
        struct mv_rtfs_error e = { .kind = mv_slice_str(kind), .message = mv_slice_str(message) };
        put_frame(r, MV_FRAME_ERROR, 0, fill_error, &e);
        flush(r, false, NULL);
}

/* A frame was not sent: its value did not fit, or nests too deeply to be anybody's data. */
static void send_unfit(struct mv_runner *r, const char *too_large, const char *too_deep)
{
        if (r->shapeless)
                send_error(r, "StackOverflow", too_deep);
        else
                send_error(r, "OutputExhausted", too_large);
}

/* --- frames in -------------------------------------------------------------------------------- */
/* Value of one START key into its field; unknown keys are refused: host and runner are built
 * together. */
static int start_field(struct mv_cur *c, struct mv_slice key, struct start *s, struct mv_err *err)
{
        struct mv_cbor_item item;
        struct mv_slice raw;
        if (mv_slice_eq_str(key, "args"))
                return mv_cbor_skip(c, &s->args, err);
        if (mv_slice_eq_str(key, "context"))
                return mv_cbor_skip(c, &s->context, err);
        if (mv_slice_eq_str(key, "purpose")) {
                int e = mv_cbor_next(c, &item, err);
                if (e == 0 && item.kind != MV_CBOR_TEXT)
                        return MV_HOSTILE(err, "start: purpose");
                if (e == 0)
                        s->purpose = item.text;
                return e;
        }
        bool flag = mv_slice_eq_str(key, "prelude") || mv_slice_eq_str(key, "keep");
        if (!mv_slice_eq_str(key, "fuel") && !mv_slice_eq_str(key, "depth") && !flag)
                return mv_cbor_skip(c, &raw, err);
        int e = mv_cbor_next(c, &item, err);
        if (e)
                return e;
        if (flag)
                *(mv_slice_eq_str(key, "keep") ? &s->keep : &s->prelude) =
                        item.kind == MV_CBOR_BOOL && item.boolean;
        else if (item.kind == MV_CBOR_INT && item.integer >= 0)
                *(mv_slice_eq_str(key, "fuel") ? &s->fuel : &s->depth) = item.integer;
        else
                return MV_HOSTILE(err, "start: number");
        return 0;
}

static int decode_program(struct mv_cur *c, struct start *s, struct mv_err *err)
{
        struct mv_cbor_item map, key, item;
        int e = mv_cbor_next(c, &map, err);
        if (e == 0 && map.kind != MV_CBOR_MAP)
                return MV_HOSTILE(err, "start: program");
        for (uint32_t i = 0; e == 0 && i < map.count; i++) {
                e = mv_cbor_next(c, &key, err);
                if (e == 0)
                        e = mv_cbor_next(c, &item, err);
                if (e)
                        return e;
                if (key.kind != MV_CBOR_TEXT ||
                    (item.kind != MV_CBOR_TEXT && item.kind != MV_CBOR_BYTES))
                        return MV_HOSTILE(err, "start: program");
                *(mv_slice_eq_str(key.text, "kind") ? &s->kind : &s->program) = item.text;
        }
        return e;
}

static int decode_start(struct mv_slice frame, struct start *s, struct mv_err *err)
{
        struct mv_frame f;
        struct mv_cbor_item map, key;
        *s = (struct start){ 0 };
        int e = mv_frame_decode(frame, &f, err);
        if (e)
                return e;
        if (f.type != MV_FRAME_START)
                return MV_HOSTILE(err, "start: frame type");
        struct mv_cur c = mv_cur(f.payload);
        e = mv_cbor_next(&c, &map, err);
        if (e == 0 && map.kind != MV_CBOR_MAP)
                return MV_HOSTILE(err, "start: not a map");
        for (uint32_t i = 0; e == 0 && i < map.count; i++) {
                e = mv_cbor_next(&c, &key, err);
                if (e == 0 && key.kind != MV_CBOR_TEXT)
                        return MV_HOSTILE(err, "start: key");
                if (e == 0)
                        e = mv_slice_eq_str(key.text, "program")
                                    ? decode_program(&c, s, err)
                                    : start_field(&c, key.text, s, err);
        }
        if (e == 0 && !mv_cur_done(&c))
                return MV_HOSTILE(err, "start: length");
        return e;
}

static bool fill_nil(struct mv_runner *r, struct mv_out *o, const void *arg)
{
        (void)r;
        (void)arg;
        return mv_cbor_put_null(o);
}

/* Between two steps of a session's program: may it go on? */
static bool on_tick(void *ctx)
{
        struct mv_runner *r = ctx;
        struct mv_slice reply;
        struct mv_frame f;
        struct mv_err err;
        return put_frame(r, MV_FRAME_TICK, 0, fill_nil, NULL) && flush(r, true, &reply) &&
               mv_frame_decode(reply, &f, &err) == 0 && f.type == MV_FRAME_TICK;
}

/* A session's first START makes the evaluator, with its arguments; those that follow find it as
 * it was left. */
static int prepare(struct mv_runner *r, const struct start *s, struct mv_err *err)
{
        struct mv_rtfs_options o = { .fuel = (uint64_t)s->fuel,
                                     .call_depth = (uint32_t)s->depth,
                                     .prelude = s->prelude,
                                     .event = on_event,
                                     .enter = on_enter,
                                     .leave = on_leave,
                                     .event_ctx = r,
                                     .tick = s->keep ? on_tick : NULL };
        bool goes_on = s->keep && r->kept;
        r->kept = s->keep;
        if (goes_on) {
                mv_rtfs_continue(r->rtfs, &o);
                return 0;
        }
        mv_rtfs_reset(r->rtfs, &o);
        int e = s->args.len ? mv_rtfs_set_args(r->rtfs, s->args, err) : 0;
        return e == 0 && s->context.len ? mv_rtfs_set_context(r->rtfs, s->context, err) : e;
}

static int load(struct mv_runner *r, const struct start *s, struct mv_err *err)
{
        int e = prepare(r, s, err);
        if (e)
                return e;
        if (mv_slice_eq_str(s->kind, "source"))
                return mv_rtfs_load_source(r->rtfs, s->program, err);
        if (mv_slice_eq_str(s->kind, "ast"))
                return mv_rtfs_load_ast(r->rtfs, s->program, err);
        if (mv_slice_eq_str(s->kind, "bytecode"))
                return mv_rtfs_load_bytecode(r->rtfs, s->program, err);
        return mv_fail(err, MV_E_UNSUPPORTED, 0, "runner cannot load program kind %.*s",
                       MV_SARG(s->kind));
}

/* A fault's texts by key; any other key is ignored. */
static int decode_fault(struct mv_slice payload, struct mv_rtfs_fault *ret, struct mv_err *err)
{
        static const char *const keys[] = { "kind", "message", "operation", "capability",
                                            "context" };
        struct mv_slice *fields[] = { &ret->kind, &ret->message, &ret->operation, &ret->capability,
                                      &ret->context };
        struct mv_cur c = mv_cur(payload);
        struct mv_cbor_item map, key, item;
        *ret = (struct mv_rtfs_fault){ 0 };
        int e = mv_cbor_next(&c, &map, err);
        if (e == 0 && map.kind != MV_CBOR_MAP)
                return MV_HOSTILE(err, "fault: not a map");
        for (uint32_t i = 0; e == 0 && i < map.count; i++) {
                e = mv_cbor_next(&c, &key, err);
                if (e == 0)
                        e = mv_cbor_next(&c, &item, err);
                if (e)
                        return e;
                if (key.kind != MV_CBOR_TEXT || item.kind != MV_CBOR_TEXT)
                        return MV_HOSTILE(err, "fault: text");
                for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
                        if (mv_slice_eq_str(key.text, keys[k]))
                                *fields[k] = item.text;
        }
        return e;
}

/* The host's answer to the outstanding call. false: the run is over (CANCEL, or bytes that make
 * no sense). */
static bool take_reply(struct mv_runner *r, struct mv_slice frame)
{
        struct mv_frame f;
        struct mv_rtfs_fault fault;
        struct mv_err err;
        if (mv_frame_decode(frame, &f, &err) == 0 && f.seq == mv_rtfs_call_seq(r->rtfs)) {
                if (f.type == MV_FRAME_REPLY && mv_rtfs_reply(r->rtfs, f.payload, &err) == 0)
                        return true;
                if (f.type == MV_FRAME_FAULT && decode_fault(f.payload, &fault, &err) == 0) {
                        mv_rtfs_fault(r->rtfs, &fault);
                        return true;
                }
        } else if (f.type == MV_FRAME_CANCEL) {
                if (r->kept) /* the session goes on: so does the conversation, up to the error */
                        mv_rtfs_stop(r->rtfs);
                else
                        r->ended = true;
                return r->kept;
        }
        send_error(r, "InternalError", "Internal error: the host's reply does not decode");
        return false;
}

static bool do_call(struct mv_runner *r)
{
        struct mv_slice reply;
        if (!put_frame(r, MV_FRAME_CALL, mv_rtfs_call_seq(r->rtfs), fill_call, NULL)) {
                if (!r->ended)
                        send_unfit(r,
                                   "Output limit exceeded: the arguments of a call are too large",
                                   "Stack overflow: the arguments of a call are nested too deeply");
                return false;
        }
        return flush(r, true, &reply) && take_reply(r, reply);
}

static void finish(struct mv_runner *r, bool ok)
{
        struct mv_rtfs_error e;
        bool sent = false;
        if (ok) {
                sent = put_frame(r, MV_FRAME_RESULT, 0, fill_result, NULL);
        } else {
                mv_rtfs_error(r->rtfs, &e);
                sent = put_frame(r, MV_FRAME_ERROR, 0, fill_error, &e);
        }
        if (!sent)
                send_unfit(r, "Output limit exceeded: the result is too large",
                           "Stack overflow: the result is nested too deeply");
        else
                flush(r, false, NULL);
}

/* --- programs that are compiled, not run ------------------------------------------------------ */
/* Space for a module behind the frames: its base64 form, a third longer, still fits into what is
 * left of the buffer. */
#define RESULT_BYTES_AROUND 256u
static struct mv_out module_room(struct mv_runner *r)
{
        size_t room = r->out_bytes > RESULT_BYTES_AROUND
                              ? (r->out_bytes - RESULT_BYTES_AROUND) / 7 * 3
                              : 0;
        r->out.cap = r->out_bytes - room;
        return mv_out(r->out.p + r->out.cap, room);
}

static void send_module(struct mv_runner *r, const struct mv_out *module)
{
        struct mv_slice bytes = mv_out_slice(module);
        if (!module->overflow && put_frame(r, MV_FRAME_RESULT, 0, fill_module, &bytes))
                flush(r, false, NULL);
        else if (!r->ended)
                send_error(r, "OutputExhausted",
                           "Output limit exceeded: the compiled program is too large");
}

static void compile(struct mv_runner *r)
{
        struct mv_rtfs_error e;
        struct mv_out module = module_room(r);
        if (mv_rtfs_compile_loaded(r->rtfs, &module, &e))
                send_module(r, &module);
        else
                finish(r, false);
}

/* The program as a module that is loaded into this evaluator: what inspect looks at. false: it
 * does not compile. */
static bool translate(struct mv_runner *r, struct mv_out *module)
{
        struct mv_rtfs_error e;
        struct mv_err err;
        if (!mv_rtfs_compile_loaded(r->rtfs, module, &e))
                return false;
        if (mv_rtfs_load_bytecode(r->rtfs, mv_out_slice(module), &err) == 0)
                return true;
        send_error(r, "InternalError", err.msg);
        r->ended = true;
        return false;
}

/* Behind the frames: what the source declares, then the module. */
static void inspect(struct mv_runner *r, bool compiled)
{
        static const uint8_t none[] = { 0x80 };
        struct mv_slice declared = { none, sizeof none };
        struct mv_out room = module_room(r), o = mv_out(room.p, room.cap / 2);
        struct mv_out module = mv_out(room.p + o.cap, room.cap - o.cap);
        if (!compiled && !mv_rtfs_failed(r->rtfs)) {
                if (!mv_rtfs_encode_declared(r->rtfs, &o)) {
                        send_error(r, "OutputExhausted",
                                   "Output limit exceeded: the declared effects are too large");
                        return;
                }
                declared = mv_out_slice(&o);
        }
        bool ok = (compiled || translate(r, &module)) && mv_rtfs_inspect(r->rtfs);
        if (r->ended)
                return;
        if (!ok)
                finish(r, false);
        else if (put_frame(r, MV_FRAME_RESULT, 0, fill_report, &declared))
                flush(r, false, NULL);
        else
                send_unfit(r, "Output limit exceeded: the report is too large", "");
}

/* An error that loading met is the program's; without one there are forms to write. */
static void parse(struct mv_runner *r)
{
        struct mv_out module = module_room(r);
        if (mv_rtfs_failed(r->rtfs)) {
                finish(r, false);
                return;
        }
        mv_rtfs_encode_ast(r->rtfs, &module);
        send_module(r, &module);
}

/* --- the run ---------------------------------------------------------------------------------- */
static void evaluate(struct mv_runner *r)
{
        for (;;) {
                enum mv_rtfs_status status = mv_rtfs_run(r->rtfs);
                if (r->ended)
                        return;
                if (status != MV_RTFS_CALL) {
                        finish(r, status == MV_RTFS_DONE);
                        return;
                }
                if (!do_call(r))
                        return;
        }
}

/* START, or the program in it, is not what it should be. */
static void refuse(struct mv_runner *r, const struct start *s, const struct mv_err *err)
{
        char text[sizeof err->msg + 32];
        bool made_elsewhere = !mv_slice_eq_str(s->kind, "source");
        if (err->code == MV_E_LIMIT) {
                send_error(r, "MemoryExhausted", err->msg);
        } else if (made_elsewhere && (err->code == MV_E_HOSTILE || err->code == MV_E_UNSUPPORTED)) {
                mv_fmt(text, sizeof text, "Parse error: %s", err->msg);
                send_error(r, "ParseError", text);
        } else {
                send_error(r, "InternalError", err->msg);
        }
}

void mv_runner_run(struct mv_runner *r, struct mv_slice start_frame)
{
        struct start s;
        struct mv_err err;
        r->out = mv_out(r->out.p, r->out_bytes);
        r->ended = r->prompt = false;
        r->cells = r->cells_told = 0;
        if (decode_start(start_frame, &s, &err) || load(r, &s, &err))
                refuse(r, &s, &err);
        else if (mv_slice_eq_str(s.purpose, "compile"))
                compile(r);
        else if (mv_slice_eq_str(s.purpose, "parse"))
                parse(r);
        else if (mv_slice_eq_str(s.purpose, "inspect"))
                inspect(r, mv_slice_eq_str(s.kind, "bytecode"));
        else
                evaluate(r);
}
