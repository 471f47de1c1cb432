/* SPDX-License-Identifier: Apache-2.0 */
/* The terms of a capability's contract (REQ-IDEM-06, security/terms.h), asked by the evaluator of the language here, in the host.
 *
 * (1) A term sees values and calls nothing; it has fuel and memory of its own. One that cannot be decided does not hold.
 * (2) What does not hold before the call is refused like any other call: nothing happened. What does not hold behind it is a
 *     fault in place of the result: the effect is there, for its idempotency key and for what undoes it (asked.done).
 * (3) A call that is replayed was asked when it was made; a result out of the log of keys is asked about again. */
#include <broker/internal.h>
#include <rtfs/rtfs.h>
#include <security/terms.h>
#include <stdlib.h>

#define TERM_FUEL        1000000
#define TERM_ARENA_BYTES ((size_t)32 << 20) /* touched as far as it is used */

struct mv_terms {
        void *arena;
        struct mv_rtfs *machine;
};

struct mv_terms *mv_terms_free(struct mv_terms *t)
{
        if (t)
                free(t->arena);
        free(t);
        return NULL;
}

static const struct mv_rtfs_options options = { .fuel = TERM_FUEL };

/* A machine as good as new; NULL: no memory. */
static struct mv_rtfs *machine(struct mv_terms **kept)
{
        struct mv_err err;
        if (*kept) {
                mv_rtfs_reset((*kept)->machine, &options);
                return (*kept)->machine;
        }
        struct mv_terms *t = calloc(1, sizeof *t);
        if (t)
                t->arena = aligned_alloc(16, TERM_ARENA_BYTES);
        if (!t || !t->arena ||
            mv_rtfs_init(t->arena, TERM_ARENA_BYTES, &options, &t->machine, &err) < 0) {
                mv_terms_free(t);
                return NULL;
        }
        *kept = t;
        return t->machine;
}

/* [args result] */
static bool give(struct mv_rtfs *r, struct mv_slice args, struct mv_slice result)
{
        struct mv_err err;
        size_t len = 1 + args.len + result.len;
        uint8_t *both = malloc(len);
        if (!both)
                return false;
        both[0] = 0x82;
        memcpy(both + 1, args.p, args.len);
        memcpy(both + 1 + args.len, result.p, result.len);
        bool ok = mv_rtfs_set_args(r, mv_slice(both, len), &err) == 0;
        free(both);
        return ok;
}

static bool is_true(struct mv_rtfs *r)
{
        uint8_t room[16];
        struct mv_out o = mv_out(room, sizeof room);
        bool whole = mv_rtfs_encode_result(r, &o); /* what is larger is neither false nor nil */
        return !whole || o.len != 1 || (room[0] != 0xf4 && room[0] != 0xf6);
}

/* "" or why it is not known. */
static bool holds(struct mv_rtfs *r, const char *program, char why[200])
{
        struct mv_err err;
        struct mv_rtfs_error e;
        why[0] = '\0';
        if (mv_rtfs_load_source(r, mv_slice_str(program), &err) < 0) {
                mv_fmt(why, 200, "%s", err.msg);
                return false;
        }
        switch (mv_rtfs_run(r)) {
        case MV_RTFS_DONE:
                return is_true(r);
        case MV_RTFS_CALL:
                mv_fmt(why, 200, "it calls a capability");
                return false;
        default:
                mv_rtfs_error(r, &e);
                mv_fmt(why, 200, "%.*s", MV_SARG(e.message));
                return false;
        }
}

static void violated(const struct mv_terms_asked *a, const char *term, const char *why,
                     struct mv_fault *ret)
{
        mv_fmt(ret->kind, sizeof ret->kind, "ContractViolation");
        mv_fmt(ret->message, sizeof ret->message, "%s: contract/%s-failed: %.150s%s%s",
               a->capability, mv__term_kind(term), strchr(term, ':') + 1, why[0] ? ": " : "", why);
        mv_text_make_utf8(ret->message);
}

/* "" or why it does not. */
static bool one_holds(struct mv_terms **kept, const struct mv_terms_asked *a, const char *term,
                      char why[200])
{
        mv_fmt(why, 200, "there is no memory to find out");
        struct mv_rtfs *r = machine(kept);
        char *program = r ? mv__term_program(term) : NULL;
        if (!program)
                return false;
        mv_fmt(why, 200, "the values are too large to find out");
        bool fine =
                give(r, a->args, a->after ? a->result : MV_SLICE("\xf6")) && holds(r, program, why);
        free(program);
        return fine;
}

bool mv_terms_hold(struct mv_terms **kept, const struct mv_terms_asked *a, struct mv_fault *ret)
{
        const struct mv_context *own = mv_context_for(a->context, a->capability);
        for (uint32_t i = 0; own && i < own->terms.count; i++) {
                const char *term = own->terms.items[i];
                char why[200];
                if (mv__term_asked(term, a->after) && !one_holds(kept, a, term, why)) {
                        violated(a, term, why, ret);
                        return false;
                }
        }
        return true;
}
