/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_TEST_FAKE_CALL_H
#define MV_TEST_FAKE_CALL_H
/* Calls a capability the way the broker does (check, decide, call), with a host that only
 * remembers. */
#include "test.h"
#include <capability/table.h>
#include <stdlib.h>

struct fake {
        struct mv_capability_table *table;
        struct mv_context *context;
        struct mv_arena arena; /* replies live until fake_done */
        struct mv_file_table *files;
        struct mv_limits limits;
        uint64_t deadline_ns;
        volatile int cancel;
        /* of the last call */
        struct mv_decision decision;
        struct mv_fault fault;
        bool denied_inside;
        char text[700]; /* display text of the fault or denial */
        /* of all calls */
        char output[4096];
        size_t output_len;
        uint32_t notes, hops, allows;
        char note_path[4096], note_operation[48], hop_url[600], hop_method[16];
        uint64_t note_bytes, hop_sent, hop_received;
        int hop_status;
};

static bool fake_write(void *ctx, bool to_stderr, struct mv_slice s)
{
        struct fake *f = ctx;
        size_t room = f->limits.output_bytes_max - f->output_len,
               take = s.len < room ? s.len : room;
        memcpy(f->output + f->output_len, s.p, take);
        f->output_len += take;
        f->output[f->output_len] = '\0';
        return take == s.len;
}

static void fake_note_file(void *ctx, struct mv_slice path, const char *operation, uint64_t bytes)
{
        struct fake *f = ctx;
        f->notes++;
        snprintf(f->note_path, sizeof f->note_path, "%.*s", MV_SARG(path));
        snprintf(f->note_operation, sizeof f->note_operation, "%s", operation);
        f->note_bytes = bytes;
}

static void fake_note_network(void *ctx, struct mv_slice url, const char *method, int status,
                              uint64_t sent, uint64_t received)
{
        struct fake *f = ctx;
        f->hops++;
        snprintf(f->hop_url, sizeof f->hop_url, "%.*s", MV_SARG(url));
        snprintf(f->hop_method, sizeof f->hop_method, "%s", method);
        f->hop_status = status;
        f->hop_sent += sent;
        f->hop_received += received;
}

static int fake_deny(void *ctx, const struct mv_decision *d)
{
        struct fake *f = ctx;
        f->denied_inside = true;
        f->decision = *d;
        return -(int)MV_E_PROGRAM;
}

static int fake_allow(void *ctx, const struct mv_decision *d)
{
        ((struct fake *)ctx)->allows++;
        return 0;
}

static inline void fake_init(struct fake *f, enum mv_level level)
{
        struct mv_err err;
        memset(f, 0, sizeof *f);
        f->arena = mv_arena_grow(64 << 20);
        f->limits = (struct mv_limits){ .memory_bytes_max = 16 << 20, .output_bytes_max = 1024 };
        f->context = mv_context_new(level);
        if (mv_capability_table_new(&f->table, &err) < 0 || !f->context)
                abort();
        if (level == MV_LEVEL_CONTROLLED)
                mv_context_allow(f->context, "ccos.*", &err);
}

static inline void fake_done(struct fake *f)
{
        f->files = mv_file_table_free(f->files);
        mv_arena_done(&f->arena);
        f->context = mv_context_free(f->context);
        f->table = mv_capability_table_free(f->table);
}

/* 0, or negative with f->text: exactly what a program would be told. */
static inline int fake_call(struct fake *f, const char *id, const struct mv_value *args, uint32_t n,
                            struct mv_value *ret)
{
        const struct mv_capability *c = mv_capability_find(f->table, mv_slice_str(id));
        f->denied_inside = false;
        f->fault = (struct mv_fault){ "", "" };
        f->text[0] = '\0';
        if (!c) {
                snprintf(f->text, sizeof f->text, "no such capability");
                return -1;
        }
        int r = mv_capability_check(c, args, n, &f->fault);
        if (r == 0)
                r = mv_capability_decide(f->context, c, args, n, &f->decision, &f->fault);
        if (r == 0 && !f->decision.allowed) {
                mv_decision_text(&f->decision, f->text, sizeof f->text);
                return -1;
        }
        if (r == 0) {
                struct mv_call call = { .capability = c,
                                        .context = f->context,
                                        .files = &f->files,
                                        .arena = &f->arena,
                                        .limits = f->limits,
                                        .deadline_ns = f->deadline_ns,
                                        .cancel = &f->cancel,
                                        .host = { f, fake_write, fake_note_file, fake_note_network,
                                                  fake_deny, fake_allow } };
                r = c->call(&call, args, n, ret);
                f->fault = call.fault;
        }
        if (r < 0 && f->denied_inside)
                mv_decision_text(&f->decision, f->text, sizeof f->text);
        else if (r < 0)
                mv_fault_text(&f->fault, f->text, sizeof f->text);
        return r;
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
static inline struct mv_value v_map(const struct mv_entry *e, uint32_t n)
{
        return (struct mv_value){ .kind = MV_MAP, .count = n, .entries = e };
}
#define FAKE_CALL(f, id, ret, ...)                                                                 \
        fake_call((f), (id), (struct mv_value[]){ __VA_ARGS__ },                                   \
                  sizeof((struct mv_value[]){ __VA_ARGS__ }) / sizeof(struct mv_value), (ret))

static inline bool is_text(const struct mv_value *v, const char *wanted)
{
        return v->kind == MV_STRING && mv_slice_eq_str(v->text, wanted);
}

#endif
