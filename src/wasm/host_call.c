/* SPDX-License-Identifier: Apache-2.0 */
/* Capability calls of a module: JSON in its memory, CBOR frames through the door (wire/frame.h).
 *
 * (1) A call's arguments are copied out of the module's memory when they are parsed: nothing of them is read
 *     twice. The answer waits here until the module fetches it.
 * (2) The host is believed no more than elsewhere: a reply that does not decode ends the process. */
#include <wire/cbor.h>
#include <wire/frame.h>
#include <wire/json.h>
#include <wire/text.h>
#include "wasi.h"

static struct rt_call_room room;
static uint64_t calls;
static struct mv_slice answer;

static bool ready(void)
{
        return room.answer || rt_call_room(&room);
}

/* args: NULL for none. true: a value, false: an error, as a map. */
static bool exchange(struct mv_slice id, const struct mv_value *args, struct mv_arena *a,
                     const struct mv_value **ret)
{
        struct mv_out o = rt_door_out();
        struct mv_slice bytes;
        struct mv_frame reply;
        struct mv_err err;
        size_t head = mv_frame_open(&o, MV_FRAME_CALL, calls + 1);
        bool fits = mv_cbor_put_array(&o, 2) && mv_cbor_put_text(&o, id) &&
                    (args ? mv_value_encode(&o, args) : mv_cbor_put_array(&o, 0)) &&
                    mv_frame_close(&o, head);
        *ret = NULL;
        if (!fits)
                return false;
        calls++;
        if (!rt_door(mv_out_slice(&o), true, &bytes) || mv_frame_decode(bytes, &reply, &err) < 0 ||
            reply.seq != calls || (reply.type != MV_FRAME_REPLY && reply.type != MV_FRAME_FAULT) ||
            mv_value_decode(reply.payload, a, ret, &err) < 0)
                rt_exit(MV_WASM_EXIT_SETUP);
        return reply.type == MV_FRAME_REPLY;
}

static uint32_t answer_text(const char *kind, const char *message)
{
        struct mv_out o = mv_out(room.answer, room.answer_bytes);
        mv_put_str(&o, "{\"kind\":\"");
        mv_put_str(&o, kind);
        mv_put_str(&o, "\",\"message\":");
        mv_text_string_json(&o, (struct mv_slice){ (const uint8_t *)message, strlen(message) });
        mv_put_str(&o, "}");
        answer = mv_out_slice(&o);
        return ~(uint32_t)answer.len;
}

static uint32_t call(struct mv_slice id, struct mv_slice json)
{
        struct mv_arena a = mv_arena_fixed(room.nodes, room.nodes_bytes);
        const struct mv_value *args = NULL, *value;
        struct mv_err err;
        const char *why;
        if (!mv_utf8_valid(id) || !mv_utf8_valid(json))
                return answer_text("InvalidArgument",
                                   "a capability's name and arguments are UTF-8 text");
        if (json.len && mv_json_decode(json, &a, &args, &err) < 0)
                return answer_text("InvalidArgument", err.msg);
        if (args && args->kind != MV_VECTOR)
                return answer_text("InvalidArgument", "arguments are a JSON array");
        bool ok = exchange(id, args, &a, &value);
        if (!value)
                return answer_text("InvalidArgument", "the arguments do not fit into a call");
        struct mv_out o = mv_out(room.answer, room.answer_bytes);
        if (!mv_print_json_external(&o, value, &why))
                return answer_text("InvalidResult", why ? why : "the answer does not fit");
        answer = mv_out_slice(&o);
        return ok ? (uint32_t)answer.len : ~(uint32_t)answer.len;
}

uint32_t Z_microvmZ_call(struct Z_microvm_instance_t *m, uint32_t id, uint32_t id_len,
                         uint32_t args, uint32_t args_len)
{
        const uint8_t *i = wasi_at(id, id_len), *j = wasi_at(args, args_len);
        if (!ready())
                rt_exit(MV_WASM_EXIT_SETUP);
        if (!i || !j)
                return answer_text("InvalidArgument", "a pointer leads out of the module's memory");
        return call((struct mv_slice){ i, id_len }, (struct mv_slice){ j, args_len });
}

uint32_t Z_microvmZ_answer(struct Z_microvm_instance_t *m, uint32_t ptr, uint32_t cap)
{
        uint32_t n = answer.len < cap ? (uint32_t)answer.len : cap;
        uint8_t *to = wasi_at(ptr, n);
        if (!to)
                return 0;
        if (n)
                memcpy(to, answer.p, n);
        return n;
}

uint32_t Z_microvmZ_log(struct Z_microvm_instance_t *m, uint32_t ptr, uint32_t len)
{
        const uint8_t *p = wasi_at(ptr, len);
        struct mv_slice text = { p, len };
        if (!p || !mv_utf8_valid(text) || !ready())
                return WE_FAULT;
        struct mv_out o = rt_door_out();
        size_t head = mv_frame_open(&o, MV_FRAME_LOG, 0);
        if (!mv_cbor_put_text(&o, text) || !mv_frame_close(&o, head))
                return WE_2BIG;
        return rt_door(mv_out_slice(&o), false, NULL) ? WE_OK : WE_IO;
}

bool host_call_time(uint64_t *ret_ms)
{
        const struct mv_value *value;
        int64_t ms;
        if (!ready())
                return false;
        struct mv_arena a = mv_arena_fixed(room.nodes, room.nodes_bytes);
        if (!exchange(MV_SLICE("ccos.system.current-timestamp-ms"), NULL, &a, &value) ||
            !mv_as_int(value, &ms) || ms < 0)
                return false;
        *ret_ms = (uint64_t)ms;
        return true;
}
