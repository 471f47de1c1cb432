/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_TEST_RTFS_PROGRAM_H
#define MV_TEST_RTFS_PROGRAM_H
/* Whole programs: run to their end from source or bytecode, with a host that answers every call
 * with nil; what can be observed becomes one text. */
#include <base/slice.h>
#include <rtfs/rtfs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct program_run {
        char text[16384]; /* events, calls, then the value or the error */
        size_t len;
        uint64_t fuel;
        bool loaded, done;
        uint32_t calls;
};

static inline void note(struct program_run *p, struct mv_slice s)
{
        size_t room = sizeof p->text - 1 - p->len, n = s.len < room ? s.len : room;
        if (n)
                memcpy(p->text + p->len, s.p, n);
        p->len += n;
        p->text[p->len] = '\0';
}

static inline bool note_event(void *ctx, struct mv_slice cbor)
{
        note(ctx, MV_SLICE("event "));
        note(ctx, cbor);
        return true;
}

static inline struct mv_rtfs_options program_options(struct program_run *p, uint64_t fuel)
{
        return (struct mv_rtfs_options){
                .fuel = fuel, .prelude = true, .event = note_event, .event_ctx = p
        };
}

static inline void note_call(struct program_run *p, struct mv_rtfs *r)
{
        static uint8_t args[65536];
        struct mv_out o = mv_out(args, sizeof args);
        note(p, MV_SLICE("call "));
        note(p, mv_rtfs_call_id(r));
        if (mv_rtfs_encode_call_args(r, &o))
                note(p, mv_out_slice(&o));
        p->calls++;
}

static inline void note_end(struct program_run *p, struct mv_rtfs *r, enum mv_rtfs_status s)
{
        static uint8_t text[65536];
        struct mv_out o = mv_out(text, sizeof text);
        struct mv_rtfs_error e;
        p->done = s == MV_RTFS_DONE;
        if (p->done) {
                (void)mv_rtfs_display_result(r, &o);
                note(p, mv_slice_str(mv_rtfs_result_type(r)));
                note(p, mv_out_slice(&o));
                o = mv_out(text, sizeof text);
                (void)mv_rtfs_encode_result(r, &o);
                return;
        }
        mv_rtfs_error(r, &e);
        char at[48];
        snprintf(at, sizeof at, " at %u:%u ", e.line, e.column);
        note(p, e.kind);
        note(p, mv_slice_str(at));
        note(p, e.message);
}

#define CALLS_MAX 64u

enum program_form { PROGRAM_SOURCE, PROGRAM_BYTECODE, PROGRAM_AST };
static inline int program_load(struct mv_rtfs *r, struct mv_slice program, int form,
                               struct mv_err *err)
{
        if (form == PROGRAM_AST)
                return mv_rtfs_load_ast(r, program, err);
        return form == PROGRAM_BYTECODE ? mv_rtfs_load_bytecode(r, program, err)
                                        : mv_rtfs_load_source(r, program, err);
}

/* Load and run; the evaluator is reset first. */
static inline void program_run(struct mv_rtfs *r, struct mv_slice program, int form, uint64_t fuel,
                               struct program_run *p)
{
        static const uint8_t nil[] = { 0xf6 };
        struct mv_err err = { 0 };
        p->len = p->calls = 0;
        p->text[0] = '\0';
        struct mv_rtfs_options o = program_options(p, fuel);
        mv_rtfs_reset(r, &o);
        p->loaded = program_load(r, program, form, &err) == 0;
        if (!p->loaded) {
                note(p, mv_slice_str(err.msg));
                return;
        }
        enum mv_rtfs_status s = mv_rtfs_run(r);
        while (s == MV_RTFS_CALL && p->calls < CALLS_MAX) {
                note_call(p, r);
                if (mv_rtfs_reply(r, (struct mv_slice){ nil, 1 }, &err) < 0)
                        abort();
                s = mv_rtfs_run(r);
        }
        note_end(p, r, s);
        p->fuel = mv_rtfs_fuel_used(r);
}

static inline struct mv_rtfs *program_evaluator(size_t bytes)
{
        struct mv_rtfs *r = NULL;
        struct mv_err err;
        void *arena = aligned_alloc(4096, bytes);
        if (!arena || mv_rtfs_init(arena, bytes, NULL, &r, &err) < 0)
                abort();
        return r;
}

/* The bytecode of a source; 0: refused, *ret_error says why. */
static inline size_t program_compile(struct mv_rtfs *r, const char *source, uint8_t *buf,
                                     size_t cap, struct mv_rtfs_error *ret_error)
{
        struct mv_out o = mv_out(buf, cap);
        mv_rtfs_reset(r, NULL);
        return mv_rtfs_compile(r, mv_slice_str(source), &o, ret_error) ? o.len : 0;
}

#endif
