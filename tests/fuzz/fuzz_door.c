/* SPDX-License-Identifier: Apache-2.0 */
/* A guest that says anything. The input is a row of chunks: type byte, two bytes of length, payload. With the top bit set
 * the payload is a whole frame; else it is framed with the type and the right sequence number, so that calls are reached.
 * Nothing outside is granted: no path, no host, no variable; waiting ends at once because the deadline has passed. */
#include <broker/broker.h>
#include <stdlib.h>

static struct mv_capability_table *table;
static struct mv_context *context;
static struct mv_audit *audit;
static unsigned inputs_of_store;

/* A store (and its signing key) serves many inputs: making one costs more than a conversation. */
static void open_store(void)
{
        struct mv_audit_options in_memory = { .path = NULL };
        struct mv_err err;
        if (audit && inputs_of_store++ < 1000)
                return;
        mv_audit_close(audit);
        inputs_of_store = 0;
        if (mv_audit_open(&in_memory, &audit, &err) < 0)
                abort();
}

/* Answers with what the guest said about itself. */
static int seen(struct mv_call *call, const struct mv_value *args, uint32_t count,
                struct mv_value *ret)
{
        if (!mv_call_program_context(call))
                return mv_call_fail(call, "Generic", "hidden");
        *ret = *mv_call_program_context(call);
        return 0;
}

static void setup(void)
{
        static const struct mv_capability sees = { .id = "fuzz.seen", .args_max = 9, .call = seen };
        struct mv_err err;
        if (table)
                return;
        context = mv_context_new(MV_LEVEL_CONTROLLED);
        if (!context || mv_capability_table_new(&table, &err) < 0 ||
            mv_capability_table_add(table, &sees, &err) < 0 ||
            mv_context_allow(context, "ccos.*", &err) < 0 ||
            mv_context_allow(context, "fuzz.seen", &err) < 0 ||
            mv_context_expose(context, "fuzz.seen", &err) < 0)
                abort();
}

static struct mv_slice chunk_frame(struct mv_cur *c, uint64_t *calls, uint8_t *buf, size_t cap)
{
        unsigned type = mv_get_u8(c);
        struct mv_slice payload = mv_get_bytes(c, mv_get_u16(c));
        if (type & 0x80)
                return payload;
        struct mv_out o = mv_out(buf, cap);
        size_t at = mv_frame_open(&o, (enum mv_frame_type)(type % MV_FRAME_MAX_),
                                  type == MV_FRAME_CALL ? ++*calls : 0);
        mv_put_slice(&o, payload);
        return mv_frame_close(&o, at) ? mv_out_slice(&o) : payload;
}

static void converse(struct mv_broker *b, struct mv_slice input)
{
        static uint8_t buf[70000];
        struct mv_door_host door = mv_broker_door(b);
        struct mv_cur c = mv_cur(input);
        struct mv_err err;
        uint64_t calls = 0;
        for (int r = 0; r == 0 || r == MV_DOOR_REPLY;) {
                if (mv_cur_left(&c) == 0)
                        return;
                struct mv_slice reply = { NULL, 0 };
                struct mv_frame f;
                r = door.frame(door.ctx, chunk_frame(&c, &calls, buf, sizeof buf), &reply, &err);
                if (r == MV_DOOR_REPLY && mv_frame_decode(reply, &f, &err) < 0)
                        abort(); /* what we send is always well formed */
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
        struct mv_trail *trail;
        struct mv_broker *broker;
        struct mv_broker_outcome outcome;
        struct mv_err err;
        setup();
        open_store();
        if (mv_trail_begin(audit, "fuzz", &trail, &err) < 0)
                abort();
        struct mv_broker_options o = { .context = context,
                                       .table = table,
                                       .trail = trail,
                                       .exposed = mv_exposed_new(NULL),
                                       .deadline_ns = 1,
                                       .limits = { .memory_bytes_max = 1 << 20,
                                                   .output_bytes_max = 4096 } };
        if (!o.exposed || mv_broker_new(&o, &broker, &err) < 0)
                abort();
        converse(broker, mv_slice(data, len));
        mv_broker_outcome(broker, &outcome);
        if (outcome.ok && !outcome.value)
                abort();
        mv_broker_free(broker);
        mv_exposed_free(o.exposed);
        mv_trail_free(trail);
        return 0;
}
