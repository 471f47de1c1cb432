/* SPDX-License-Identifier: Apache-2.0 */
/* Executions without a runner. A native function is the embedder's own code and runs in the
 * embedder's process; a capability without a program is one call through the broker; programs
 * that only the mock provider accepts get its texts. All three deliver their outcome as the
 * frames a runner would send, so that one broker judges every outcome.
 *
 * (1) A capability called directly is decided, recorded and limited by the broker exactly like
 *     one called by a program. */
#include <base/slice.h>
#include <host/exec.h>
#include <provider/mock/mock_texts.h>
#include <string.h>
#include <wire/cbor.h>

static bool is_mock(const struct mv__exec *e)
{
        return strcmp(e->entry->ops->name, "mock") == 0;
}

bool mv__is_direct(const struct mv__exec *e)
{
        enum mv_program_kind k = e->x->program.kind;
        return k == MV_PROGRAM_NATIVE || k == MV_PROGRAM_NONE ||
               (is_mock(e) && !mv__program_is_rtfs(k));
}

/* Hand one frame to the broker; *ret_reply stays valid until the next one. */
static int exchange(struct mv__exec *e, mv__put_fn put, const void *what,
                    struct mv_slice *ret_reply, struct mv_err *err)
{
        struct mv_slice frame;
        int r = mv__encode(&e->scratch, put, what, &frame, err);
        if (r < 0)
                return r;
        r = e->tap.inner.frame(e->tap.inner.ctx, frame, ret_reply, err);
        if (r < 0) {
                e->tap.failed = true;
                e->tap.err = *err;
        }
        return r;
}

/* --- outcomes as frames ----------------------------------------------------------------------- */
static bool put_result(struct mv_out *o, const void *what)
{
        size_t at = mv_frame_open(o, MV_FRAME_RESULT, 0);
        return mv_cbor_put_map(o, 3) && mv_cbor_put_str(o, "fuel") && mv_cbor_put_int(o, 0) &&
               mv_cbor_put_str(o, "value") && mv_value_encode(o, what) &&
               mv_cbor_put_str(o, "memory") && mv_cbor_put_int(o, 0) && mv_frame_close(o, at);
}

int mv__deliver_value(struct mv__exec *e, const struct mv_value *v, struct mv_err *err)
{
        struct mv_slice none;
        int r = exchange(e, put_result, v, &none, err);
        return r < 0 ? r : 0;
}

struct fault {
        struct mv_slice kind, message, operation, capability, context;
};

static bool put_text(struct mv_out *o, const char *key, struct mv_slice s)
{
        return mv_cbor_put_str(o, key) && mv_cbor_put_text(o, s);
}

static bool put_zero(struct mv_out *o, const char *key)
{
        return mv_cbor_put_str(o, key) && mv_cbor_put_int(o, 0);
}

static bool put_error(struct mv_out *o, const void *what)
{
        const struct fault *f = what;
        bool violation = mv_slice_eq_str(f->kind, "SecurityViolation");
        size_t at = mv_frame_open(o, MV_FRAME_ERROR, 0);
        bool ok = mv_cbor_put_map(o, violation ? 9 : 6) && put_zero(o, "fuel") &&
                  put_text(o, "kind", f->kind) && put_zero(o, "line") && put_zero(o, "column") &&
                  put_zero(o, "memory");
        if (ok && violation)
                ok = put_text(o, "context", f->context);
        ok = ok && put_text(o, "message", f->message);
        if (ok && violation)
                ok = put_text(o, "operation", f->operation) &&
                     put_text(o, "capability", f->capability);
        return ok && mv_frame_close(o, at);
}

static int deliver_fault(struct mv__exec *e, const struct fault *f, struct mv_err *err)
{
        struct mv_slice none;
        int r = exchange(e, put_error, f, &none, err);
        return r < 0 ? r : 0;
}

int mv__deliver_fault(struct mv__exec *e, const char *kind, const char *message, struct mv_err *err)
{
        struct fault f = { .kind = mv_slice_str(kind), .message = mv_slice_str(message) };
        return deliver_fault(e, &f, err);
}

/* --- a native function ------------------------------------------------------------------------ */
static int run_native(struct mv__exec *e, struct mv_err *err)
{
        const struct mv_program *p = &e->x->program;
        const struct mv_value *args = e->x->args;
        struct mv_capability self = { .id = "native_function",
                                      .call = p->native,
                                      .ctx = p->native_ctx };
        struct mv_arena memory = mv_arena_grow(e->limits.memory_bytes_max);
        struct mv_call call = { .capability = &self,
                                .context = e->context,
                                .arena = &memory,
                                .limits = e->limits,
                                .deadline_ns = e->deadline_ns,
                                .cancel = e->x->cancel };
        struct mv_value value = { .kind = MV_NIL };
        int r = p->native(&call, args ? args->items : NULL, args ? args->count : 0, &value);
        if (r >= 0) {
                r = mv__deliver_value(e, &value, err);
        } else {
                char text[sizeof call.fault.message + 64];
                if (!call.fault.kind[0])
                        mv_call_fail(&call, "Generic", "the native function failed");
                mv_fault_text(&call.fault, text, sizeof text);
                struct fault f = { .kind = mv_slice_str(call.fault.kind),
                                   .message = mv_slice_str(text) };
                r = deliver_fault(e, &f, err);
        }
        mv_arena_done(&memory);
        return r;
}

/* --- a capability without a program ----------------------------------------------------------- */
static bool put_call(struct mv_out *o, const void *what)
{
        const struct mv_execution *x = what;
        size_t at = mv_frame_open(o, MV_FRAME_CALL, 1);
        return mv_cbor_put_array(o, 2) && mv_cbor_put_str(o, x->capability_id) &&
               (x->args ? mv_value_encode(o, x->args) : mv_cbor_put_array(o, 0)) &&
               mv_frame_close(o, at);
}

static struct mv_slice text_of(const struct mv_value *map, const char *key)
{
        struct mv_slice s = { NULL, 0 };
        mv_as_text(mv_map_get(map, key), &s);
        return s;
}

static int run_capability(struct mv__exec *e, struct mv_err *err)
{
        struct mv_slice reply;
        struct mv_frame frame;
        const struct mv_value *v;
        int r = exchange(e, put_call, e->x, &reply, err);
        if (r < 0)
                return r;
        if (r != MV_DOOR_REPLY)
                return mv_fail(err, MV_E_INTERNAL, 0, "the broker left a call unanswered");
        r = mv_frame_decode(reply, &frame, err);
        if (r == 0)
                r = mv_value_decode(frame.payload, &e->scratch, &v, err);
        if (r < 0)
                return r;
        if (frame.type == MV_FRAME_REPLY)
                return mv__deliver_value(e, v, err);
        struct fault f = { text_of(v, "kind"), text_of(v, "message"), text_of(v, "operation"),
                           text_of(v, "capability"), text_of(v, "context") };
        return deliver_fault(e, &f, err);
}

/* --- what only the mock provider answers ------------------------------------------------------ */
/* The mock has no effects but decides like every provider (REQ-MOCK-09): path, host and variable
 * rules included. */
static bool mock_may(struct mv__exec *e, struct mv_decision *ret)
{
        const struct mv_execution *x = e->x;
        const struct mv_capability *cap = NULL;
        struct mv_fault malformed; /* the mock has its own words for wrong arguments */
        if (x->program.kind == MV_PROGRAM_NONE)
                cap = mv_capability_find(e->host->table, mv_slice_str(x->capability_id));
        if (!cap)
                return true;
        int r = mv_capability_decide(e->context, cap, x->args ? x->args->items : NULL,
                                     x->args ? x->args->count : 0, ret, &malformed);
        return r < 0 || ret->allowed;
}

static int deny_mock(struct mv__exec *e, const struct mv_decision *d, struct mv_err *err)
{
        char text[sizeof d->operation + sizeof d->capability + sizeof d->context + 96];
        mv_decision_text(d, text, sizeof text);
        struct fault f = { MV_SLICE("SecurityViolation"), mv_slice_str(text),
                           mv_slice_str(d->operation), mv_slice_str(d->capability),
                           mv_slice_str(d->context) };
        int r = mv__record_program_decision(e, d, err);
        return r < 0 ? r : deliver_fault(e, &f, err);
}

static int run_mock(struct mv__exec *e, struct mv_exit *ret, struct mv_err *err)
{
        char text[1024];
        struct mv_decision d;
        ret->simulated = true;
        if (!mock_may(e, &d))
                return deny_mock(e, &d, err);
        const struct mv_value *drafted = NULL;
        if (e->x->program.kind == MV_PROGRAM_NONE && e->entry->detailed)
                drafted = mv_mock_value(e->x->capability_id, e->x->args, &e->scratch);
        mv_mock_text(e->x, text, sizeof text);
        struct mv_value words = { .kind = MV_STRING, .text = mv_slice_str(text) };
        return mv__deliver_value(e, drafted ? drafted : &words, err);
}

int mv__run_direct(struct mv__exec *e, struct mv_exit *ret, struct mv_err *err)
{
        enum mv_program_kind k = e->x->program.kind;
        ret->termination = MV_END_COMPLETED;
        if (k == MV_PROGRAM_NATIVE)
                return run_native(e, err);
        return is_mock(e) ? run_mock(e, ret, err) : run_capability(e, err);
}
