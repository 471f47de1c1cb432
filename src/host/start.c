/* SPDX-License-Identifier: Apache-2.0 */
/* The START frame: what the runner is told. Keys in canonical order: by length, then bytewise. */
#include <base/slice.h>
#include <host/exec.h>
#include <wire/cbor.h>

#define ENCODE_BYTES_MIN 1024 /* most programs and records fit; larger ones double from here */

int mv__encode(struct mv_arena *a, mv__put_fn put, const void *what, struct mv_slice *ret,
               struct mv_err *err)
{
        for (size_t cap = ENCODE_BYTES_MIN; cap <= MV_AUDIT_PAYLOAD_MAX; cap *= 2) {
                uint8_t *p = mv_arena_room(a, cap);
                if (!p)
                        return mv_fail(err, MV_E_LIMIT, 0,
                                       "encode a request of more than %zu bytes: no memory left",
                                       cap / 2);
                struct mv_out o = mv_out(p, cap);
                if (put(&o, what)) {
                        mv_arena_take(a, o.len);
                        *ret = mv_out_slice(&o);
                        return 0;
                }
                if (!o.overflow)
                        return mv_fail(
                                err, MV_E_INVALID, 0,
                                "a value cannot be encoded: nested deeper than %d, text that is "
                                "not UTF-8, or a duplicate map key",
                                MV_VALUE_DEPTH_MAX);
        }
        return mv_fail(err, MV_E_LIMIT, 0, "a request of more than %u bytes", MV_AUDIT_PAYLOAD_MAX);
}

static bool put_program(struct mv_out *o, const struct mv_program *p)
{
        bool text = p->kind == MV_PROGRAM_SOURCE;
        return mv_cbor_put_str(o, "program") && mv_cbor_put_map(o, 2) &&
               mv_cbor_put_str(o, "kind") && mv_cbor_put_str(o, mv__program_kind_name(p->kind)) &&
               mv_cbor_put_str(o, "bytes") &&
               (text ? mv_cbor_put_text(o, p->bytes) : mv_cbor_put_bytes(o, p->bytes));
}

static bool put_args(struct mv_out *o, const struct mv_value *args)
{
        return args ? mv_value_encode(o, args) : mv_cbor_put_array(o, 0);
}

static bool put_variables(struct mv_out *o, const struct mv_value *variables)
{
        return variables ? mv_value_encode(o, variables) : mv_cbor_put_map(o, 0);
}

MV_INLINE bool put_number(struct mv_out *o, const char *key, uint64_t n)
{
        return mv_cbor_put_str(o, key) &&
               mv_cbor_put_int(o, n > INT64_MAX ? INT64_MAX : (int64_t)n);
}

static bool put_start(struct mv_out *o, const void *what)
{
        const struct mv__exec *e = what;
        const struct mv_execution *x = e->x;
        size_t at = mv_frame_open(o, MV_FRAME_START, 0);
        return mv_cbor_put_map(o, 10) && mv_cbor_put_str(o, "keep") &&
               mv_cbor_put_bool(o, e->session != NULL) && mv_cbor_put_str(o, "args") &&
               put_args(o, x->args) && put_number(o, "fuel", e->limits.fuel_max) &&
               put_number(o, "depth", MV_CALL_DEPTH_MAX) &&
               put_number(o, "memory", e->cell_limits.memory_bytes_max) &&
               put_number(o, "output", e->limits.output_bytes_max) &&
               mv_cbor_put_str(o, "context") && put_variables(o, x->variables) &&
               mv_cbor_put_str(o, "prelude") && mv_cbor_put_bool(o, x->prelude) &&
               put_program(o, &x->program) && mv_cbor_put_str(o, "purpose") &&
               mv_cbor_put_str(o, mv__purpose_name(x->purpose)) && mv_frame_close(o, at);
}

int mv__start_frame(struct mv__exec *e, struct mv_slice *ret, struct mv_err *err)
{
        if (mv__encode(&e->scratch, put_start, e, ret, err) < 0)
                return mv_wrap(err, "the request");
        if (ret->len > MV_FRAME_PAYLOAD_MAX)
                return mv_fail(err, MV_E_LIMIT, 0,
                               "program and arguments take %zu bytes, at most %u", ret->len,
                               MV_FRAME_PAYLOAD_MAX);
        return 0;
}
