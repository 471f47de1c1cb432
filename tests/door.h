/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_TEST_DOOR_H
#define MV_TEST_DOOR_H
/* A broker with a trail of its own, and frames the way a guest sends them. */
#include "test.h"
#include <broker/broker.h>
#include <stdlib.h>
#include <wire/cbor.h>

struct door {
        struct mv_capability_table *table;
        struct mv_context *context;
        struct mv_audit *audit;
        struct mv_trail *trail;
        struct mv_broker *broker;
        struct mv_broker_outcome outcome; /* after door_outcome */
        struct mv_arena arena;            /* decoded replies */
        struct mv_err err;
        uint64_t seq;
        struct mv_frame answer;       /* of the last exchange that had one */
        const struct mv_value *value; /* its payload */
        uint8_t frame[1 << 20];
};

/* Broker with the given options' limits and replay; audit in memory unless a path is given. */
static inline struct door *door_open(const struct mv_broker_options *options,
                                     const char *audit_path)
{
        struct door *d = calloc(1, sizeof *d);
        struct mv_audit_options a = { .path = audit_path };
        if (!d)
                abort();
        d->arena = mv_arena_grow(64 << 20);
        struct mv_broker_options o = options ? *options : (struct mv_broker_options){ 0 };
        if (mv_capability_table_new(&d->table, &d->err) < 0 ||
            mv_audit_open(&a, &d->audit, &d->err) < 0 ||
            mv_trail_begin(d->audit, "exec-test", &d->trail, &d->err) < 0)
                abort();
        d->context = mv_context_new(MV_LEVEL_CONTROLLED);
        o.execution_id = "exec-test";
        o.context = d->context;
        o.table = d->table;
        o.trail = d->trail;
        if (mv_broker_new(&o, &d->broker, &d->err) < 0)
                abort();
        return d;
}

static inline void door_close(struct door *d)
{
        mv_broker_free(d->broker);
        mv_trail_free(d->trail);
        mv_audit_close(d->audit);
        mv_context_free(d->context);
        mv_capability_table_free(d->table);
        mv_arena_done(&d->arena);
        free(d);
}

/* Any bytes. What the door said; a reply is decoded into d->answer and d->value. */
static inline int door_bytes(struct door *d, struct mv_slice bytes)
{
        struct mv_door_host h = mv_broker_door(d->broker);
        struct mv_slice reply = { NULL, 0 };
        d->value = NULL;
        int r = h.frame(h.ctx, bytes, &reply, &d->err);
        if (r != MV_DOOR_REPLY)
                return r;
        struct mv_err err;
        uint8_t *copy = mv_new(&d->arena, uint8_t, reply.len);
        memcpy(copy, reply.p, reply.len);
        CHECK(mv_frame_decode(mv_slice(copy, reply.len), &d->answer, &err) == 0);
        CHECK(mv_value_decode(d->answer.payload, &d->arena, &d->value, &err) == 0);
        return r;
}

static inline int door_payload(struct door *d, enum mv_frame_type type, uint64_t seq,
                               struct mv_slice payload)
{
        struct mv_out o = mv_out(d->frame, sizeof d->frame);
        size_t at = mv_frame_open(&o, type, seq);
        mv_put_slice(&o, payload);
        CHECK(mv_frame_close(&o, at));
        return door_bytes(d, mv_out_slice(&o));
}

static inline int door_value(struct door *d, enum mv_frame_type type, uint64_t seq,
                             const struct mv_value *v)
{
        struct mv_out o = mv_out(d->frame, sizeof d->frame);
        size_t at = mv_frame_open(&o, type, seq);
        CHECK(mv_value_encode(&o, v));
        CHECK(mv_frame_close(&o, at));
        return door_bytes(d, mv_out_slice(&o));
}

static inline struct mv_value v_text(const char *s)
{
        return (struct mv_value){ .kind = MV_STRING, .text = mv_slice_str(s) };
}
static inline struct mv_value v_key(const char *s)
{
        return (struct mv_value){ .kind = MV_KEYWORD, .text = mv_slice_str(s) };
}
static inline struct mv_value v_int(int64_t i)
{
        return (struct mv_value){ .kind = MV_INT, .integer = i };
}
static inline struct mv_value v_bool(bool b)
{
        return (struct mv_value){ .kind = MV_BOOL, .boolean = b };
}
static inline struct mv_value v_vector(const struct mv_value *items, uint32_t n)
{
        return (struct mv_value){ .kind = MV_VECTOR, .count = n, .items = items };
}

static inline int door_call(struct door *d, const char *id, const struct mv_value *args, uint32_t n)
{
        struct mv_value pair[] = { v_text(id), v_vector(args, n) }, call = v_vector(pair, 2);
        return door_value(d, MV_FRAME_CALL, ++d->seq, &call);
}
#define DOOR_CALL(d, id, ...)                                                                      \
        door_call((d), (id), (struct mv_value[]){ __VA_ARGS__ },                                   \
                  sizeof((struct mv_value[]){ __VA_ARGS__ }) / sizeof(struct mv_value))

/* A map of text keys, from pairs. */
static inline int door_map(struct door *d, enum mv_frame_type type, const struct mv_entry *e,
                           uint32_t n)
{
        struct mv_value v = { .kind = MV_MAP, .count = n, .entries = e };
        return door_value(d, type, 0, &v);
}

static inline int door_result(struct door *d, struct mv_value value)
{
        struct mv_entry e[] = { { v_text("fuel"), v_int(7) },
                                { v_text("memory"), v_int(9) },
                                { v_text("value"), value } };
        return door_map(d, MV_FRAME_RESULT, e, 3);
}

/* The ERROR frame of a program that did not catch the fault it was given last. */
static inline int door_uncaught(struct door *d)
{
        static const char *const keys[] = { "capability", "context", "kind", "message",
                                            "operation" };
        struct mv_entry e[5];
        uint32_t n = 0;
        for (size_t i = 0; i < 5; i++)
                if (mv_map_get(d->value, keys[i]))
                        e[n++] = (struct mv_entry){ v_text(keys[i]),
                                                    *mv_map_get(d->value, keys[i]) };
        return door_map(d, MV_FRAME_ERROR, e, n);
}

static inline const struct mv_broker_outcome *door_outcome(struct door *d)
{
        mv_broker_outcome(d->broker, &d->outcome);
        return &d->outcome;
}

/* A text field of the last answer. */
static inline bool answer_is(const struct door *d, const char *key, const char *wanted)
{
        const struct mv_value *v = d->value ? mv_map_get(d->value, key) : NULL;
        bool same = v && v->kind == MV_STRING && mv_slice_eq_str(v->text, wanted);
        if (!same && v && v->kind == MV_STRING)
                printf("# %s is \"%.*s\"\n", key, MV_SARG(v->text));
        return same;
}

#endif
