/* SPDX-License-Identifier: Apache-2.0 */
/* Steps in cells of their own (docs/design/step-cells.md).
 *
 * The program runs in the cell of the run's own wall. When it enters a step that needs a stronger one, that cell waits; a
 * cell behind the stronger wall evaluates the same program from its beginning, and what it says on the way must be, frame by
 * frame, what was said before, and is answered with what was answered before. So it arrives at the step, runs it live, and
 * its value, or its error, is what the waiting cell gets for the step.
 *
 * (1) One cell has the word, that of mv_broker_wall: only its frames reach the broker. What any other cell sends is compared
 *     with the log, or waits, unread, until there is something to compare it with.
 * (2) A frame that is not the logged one ends the run: evaluation is deterministic, so one of the cells lies.
 * (3) All work is done by the thread of the run's own cell, inside of its door; the threads of the others hand in frames and
 *     wait. Nothing but their mailboxes is shared, under one lock.
 * (4) A step's cell is stopped at the end of its step. When a later step needs the same wall, it goes on from there: each
 *     cell evaluates the program at most once, however many steps there are.
 * (5) What a cell says about the end of its step is decoded here, and only data is handed on. Fuel counts on from what
 *     the step used; a cell that claims less than was used before, or more than there is, is killed. */
#include <base/slice.h>
#include <host/exec.h>
#include <stdlib.h>
#include <string.h>
#include <sys/clock.h>
#include <time.h>
#include <wire/cbor.h>

/* Frames' digests and the answers to them, to be answered again. */
#define LOG_BYTES_MAX   ((size_t)64 << 20)
#define LOG_ENTRIES_MAX ((size_t)1 << 19)
#define LEFT_BYTES_MAX  ((size_t)256 << 20) /* a step's value while it is looked through */
#define STOP_AGAIN_NS   2000000             /* a cancel that came too early is repeated */
#define WAITS           3                   /* beside what a door may say: no answer yet */

struct told { /* one frame */
        uint8_t digest[MV_DIGEST_BYTES];
        struct mv_slice answer;  /* whole; empty: none */
        uint32_t wall;           /* ENTER: the step ran behind this one; 0: where it was entered */
        size_t behind;           /* ... and this is the entry behind it; 0: it is not over */
        struct mv_slice outcome; /* ... and this the answer for who did not run it */
};

struct cell {
        struct mv__cells *all;
        uint32_t wall;
        size_t at;        /* entries it has told, or was told of */
        size_t waits_for; /* the step that it entered, plus one; 0: none */
        bool left;        /* it has told of the end of its step, and is not answered yet */
        /* not of the run's own cell; below the lock unless it says otherwise */
        struct mv_cell *cell;
        pthread_t thread;
        bool started, ended, asks, answered;
        struct mv_slice frame, reply;
        int answer;
        struct mv_err why;
        struct mv_run run;   /* its thread's, until it has ended */
        struct mv_exit exit; /* likewise */
        struct mv_err err;
        int result;
};

struct mv__cells {
        struct mv__exec *e;
        struct mv_door_host door;
        pthread_mutex_t lock;
        pthread_cond_t wake;
        bool over;
        uint32_t count;
        struct cell cells[MV_TIER_MAX_]; /* by wall */
        struct mv_arena memory;
        struct told *log;
        size_t log_count, log_cap;
        uint64_t calls, steps; /* in the log */
        uint64_t fuel;         /* at the last end of a step */
        struct cell *leaves; /* told of the end of its step: what was used follows; NULL: nobody */
        struct mv_slice end; /* that event's items, in memory */
        const struct cell
                *failed; /* whose end ends the run; NULL: it is the run's own, or the door's */
};

/* --- the log ---------------------------------------------------------------------------------- */
static struct mv_slice keep(struct mv__cells *a, struct mv_slice s)
{
        uint8_t *p = s.len ? mv_new(&a->memory, uint8_t, s.len) : NULL;
        if (!p)
                return mv_slice(NULL, 0);
        memcpy(p, s.p, s.len);
        return mv_slice(p, s.len);
}

/* Not the program's doing: as if the door itself had failed. */
static int fail(struct mv__cells *a, const struct mv_err *err)
{
        if (!a->e->tap.failed) {
                a->e->tap.failed = true;
                a->e->tap.err = *err;
        }
        return -(int)err->code;
}

static int hostile(struct mv__cells *a, const char *what, struct mv_err *err)
{
        (void)MV_HOSTILE(err, what);
        return fail(a, err);
}

static int too_much(struct mv__cells *a, struct mv_err *err)
{
        (void)mv_fail(
                err, MV_E_LIMIT, 0,
                "with steps in cells of their own, what the program asks and is answered may take "
                "%zu "
                "bytes: run all of it behind the stronger wall",
                LOG_BYTES_MAX);
        return fail(a, err);
}

static int log_add(struct mv__cells *a, struct mv_slice frame, struct mv_slice answer,
                   struct mv_err *err)
{
        if (a->log_count == a->log_cap) {
                size_t cap = a->log_cap ? a->log_cap * 2 : 64;
                struct told *more =
                        cap <= LOG_ENTRIES_MAX ? realloc(a->log, cap * sizeof *more) : NULL;
                if (!more)
                        return too_much(a, err);
                a->log = more;
                a->log_cap = cap;
        }
        struct told *t = &a->log[a->log_count];
        *t = (struct told){ .answer = keep(a, answer) };
        if (answer.len && !t->answer.p)
                return too_much(a, err);
        mv_sha256(frame, t->digest);
        a->log_count++;
        return 0;
}

/* --- the end of a step (5) -------------------------------------------------------------------- */
static bool is_data(const struct mv_value *v)
{
        bool items = v->kind == MV_VECTOR || v->kind == MV_LIST || v->kind == MV_ERROR;
        uint32_t count = v->kind == MV_ERROR ? 3 : v->count;
        for (uint32_t i = 0; items && i < count; i++)
                if (!is_data(&v->items[i]))
                        return false;
        for (uint32_t i = 0; v->kind == MV_MAP && i < v->count; i++)
                if (!is_data(&v->entries[i].value))
                        return false;
        return v->kind != MV_FUNCTION;
}

/* [kind message display data operation capability context place] */
static bool is_failure(const struct mv_value *v)
{
        bool ok = v->kind == MV_VECTOR && v->count == 8 && v->items[7].kind == MV_INT;
        for (uint32_t i = 0; ok && i < 3; i++)
                ok = v->items[i].kind == MV_STRING;
        for (uint32_t i = 4; ok && i < 7; i++)
                ok = v->items[i].kind == MV_NIL || v->items[i].kind == MV_STRING;
        return ok && v->items[7].integer >= 0 && v->items[7].integer <= UINT32_MAX;
}

struct left {
        struct mv_slice outcome; /* value or error, encoded */
        bool failed;
        int64_t fuel;
};

/* What stands behind n items of an array. */
static int behind_items(struct mv_slice array, uint32_t n, struct mv_slice *ret, struct mv_err *err)
{
        struct mv_cur c = mv_cur(array);
        struct mv_cbor_item head;
        struct mv_slice skipped;
        int r = mv_cbor_next(&c, &head, err);
        for (uint32_t i = 0; r == 0 && i < n; i++)
                r = mv_cbor_skip(&c, &skipped, err);
        return r < 0 ? r : mv_cbor_skip(&c, ret, err);
}

static int read_left(struct mv__cells *a, struct mv_slice payload, struct left *ret,
                     struct mv_err *err)
{
        struct mv_arena arena = mv_arena_grow(LEFT_BYTES_MAX);
        const struct mv_value *v, *end;
        int r = mv_value_decode(payload, &arena, &v, err);
        if (r == 0)
                r = mv_value_decode(a->end, &arena, &end, err);
        if (r == 0 &&
            (v->kind != MV_VECTOR || v->count != 2 || !mv_as_int(&v->items[0], &ret->fuel)))
                r = MV_HOSTILE(err, "LEAVE: shape");
        if (r == 0 && (ret->fuel < 0 || (uint64_t)ret->fuel < a->fuel ||
                       (uint64_t)ret->fuel > a->e->limits.fuel_max))
                r = MV_HOSTILE(err, "LEAVE: fuel");
        if (r == 0) {
                ret->failed = mv_slice_eq_str(end->items[0].text, "step-failed");
                bool fits = ret->failed ? is_failure(&v->items[1]) && is_data(&v->items[1].items[3])
                                        : v->items[1].kind == MV_NIL && is_data(&end->items[2]);
                r = fits ? behind_items(ret->failed ? payload : a->end, ret->failed ? 1 : 2,
                                        &ret->outcome, err)
                         : MV_HOSTILE(err, "LEAVE: outcome of the step");
        }
        mv_arena_done(&arena);
        return r < 0 ? fail(a, err) : 0;
}

static struct mv_slice outcome_frame(struct mv__cells *a, const struct left *l)
{
        size_t room = l->outcome.len + 128;
        uint8_t *p = mv_new(&a->memory, uint8_t, room);
        struct mv_out o = mv_out(p, p ? room : 0);
        if (!p)
                return mv_slice(NULL, 0);
        size_t at = mv_frame_open(&o, MV_FRAME_LEAVE, 0);
        mv_cbor_put_array(&o, 5);
        mv_cbor_put_int(&o, l->fuel);
        mv_cbor_put_int(&o, (int64_t)a->steps);
        mv_cbor_put_int(&o, (int64_t)a->calls);
        mv_cbor_put_bool(&o, l->failed);
        mv_put_slice(&o, l->outcome);
        return mv_frame_close(&o, at) ? mv_out_slice(&o) : mv_slice(NULL, 0);
}

/* The step that is run behind this wall. */
static struct told *open_step(struct mv__cells *a, uint32_t wall)
{
        for (uint32_t i = 0; i < a->count; i++) {
                struct told *t = a->cells[i].waits_for ? &a->log[a->cells[i].waits_for - 1] : NULL;
                if (t && t->wall == wall && !t->behind)
                        return t;
        }
        return NULL;
}

static int take_left(struct mv__cells *a, struct cell *c, const struct mv_frame *f,
                     struct mv_err *err)
{
        struct left l = { .failed = false };
        struct told *step = open_step(a, c->wall);
        if (f->type != MV_FRAME_LEAVE || !step)
                return hostile(a, "the end of a step is not followed by LEAVE", err);
        int r = read_left(a, f->payload, &l, err);
        if (r < 0)
                return r;
        step->outcome = outcome_frame(a, &l);
        if (!step->outcome.len)
                return too_much(a, err);
        step->behind = a->log_count;
        a->fuel = (uint64_t)l.fuel;
        a->leaves = NULL;
        c->left = true;
        return WAITS;
}

/* --- one frame -------------------------------------------------------------------------------- */
static bool starts_step(const struct mv_frame *f)
{
        static const char word[] = "\x6cstep-started";
        return (f->type == MV_FRAME_STEP || f->type == MV_FRAME_ENTER) &&
               f->payload.len >= sizeof word &&
               memcmp(f->payload.p + 1, word, sizeof word - 1) == 0;
}

/* The word may have passed to another cell. */
static int passed_on(struct mv__cells *a, struct cell *c, const struct mv_frame *f, int answer,
                     struct mv_err *err)
{
        uint32_t wall = mv_broker_wall(a->e->broker);
        if (wall > c->wall) {
                a->log[a->log_count - 1].wall = wall;
                c->waits_for = a->log_count;
                return WAITS;
        }
        if (wall == c->wall)
                return answer;
        a->leaves = c;
        a->end = keep(a, f->payload);
        return a->end.p ? answer : too_much(a, err);
}

/* From the cell that has the word (1). */
static int live(struct mv__cells *a, struct cell *c, const struct mv_frame *f,
                struct mv_slice bytes, struct mv_slice *ret_reply, struct mv_err *err)
{
        if (a->leaves)
                return take_left(a, c, f, err);
        if (f->type == MV_FRAME_LEAVE)
                return hostile(a, "LEAVE: no step has ended", err);
        if (f->type == MV_FRAME_RESULT && c->wall)
                return hostile(a, "RESULT: from the cell of a step", err);
        int r = a->door.frame(a->door.ctx, bytes, ret_reply, err);
        if (r < 0 || r == MV_DOOR_DONE || f->type == MV_FRAME_LOG)
                return r;
        int logged = log_add(a, bytes, r == MV_DOOR_REPLY ? *ret_reply : mv_slice(NULL, 0), err);
        if (logged < 0)
                return logged;
        c->at = a->log_count;
        a->calls += f->type == MV_FRAME_CALL;
        a->steps += starts_step(f);
        return passed_on(a, c, f, r, err);
}

static int say(struct mv_slice frame, struct mv_slice *ret_reply)
{
        *ret_reply = frame;
        return MV_DOOR_REPLY;
}

/* ENTER, answered: run it here; and is the end to be told? */
static int say_here(bool tell, struct mv_slice *ret_reply)
{
        static uint8_t frames[2][MV_FRAME_HEADER_BYTES + 1] = {
                { 1, 0, 0, 0, MV_FRAME_VERSION, MV_FRAME_ENTER, [MV_FRAME_HEADER_BYTES] = 0xf4 },
                { 1, 0, 0, 0, MV_FRAME_VERSION, MV_FRAME_ENTER, [MV_FRAME_HEADER_BYTES] = 0xf5 },
        };
        return say(mv_slice(frames[tell], sizeof frames[0]), ret_reply);
}

/* LEAVE, answered: go on. */
static int say_on(struct mv_slice *ret_reply)
{
        static uint8_t frame[MV_FRAME_HEADER_BYTES + 1] = {
                1, 0, 0, 0, MV_FRAME_VERSION, MV_FRAME_LEAVE, [MV_FRAME_HEADER_BYTES] = 0xf6
        };
        return say(mv_slice(frame, sizeof frame), ret_reply);
}

/* From a cell that is on its way to where the others have been (2). */
static int again(struct mv__cells *a, struct cell *c, const struct mv_frame *f,
                 struct mv_slice bytes, struct mv_slice *ret_reply, struct mv_err *err)
{
        uint8_t digest[MV_DIGEST_BYTES];
        const struct told *t = &a->log[c->at];
        if (f->type == MV_FRAME_LOG)
                return 0;
        mv_sha256(bytes, digest);
        if (memcmp(digest, t->digest, sizeof digest) != 0)
                return hostile(a, "the cells of an execution do not say the same: one of them lies",
                               err);
        if (t->wall > c->wall) { /* it is over: else the cell behind that wall had the word */
                c->at = t->behind;
                return say(t->outcome, ret_reply);
        }
        c->at++;
        if (t->wall)
                return say_here(t->wall == c->wall && !t->behind, ret_reply);
        return t->answer.len ? say(t->answer, ret_reply) : 0;
}

/* What the door says to a cell's frame, or WAITS. */
static int handle(struct mv__cells *a, struct cell *c, struct mv_slice bytes,
                  struct mv_slice *ret_reply, struct mv_err *err)
{
        struct mv_frame f;
        const struct told *step = c->waits_for ? &a->log[c->waits_for - 1] : NULL;
        if (step) {
                c->waits_for = 0;
                c->at = step->behind;
                return say(step->outcome, ret_reply);
        }
        if (c->left) {
                c->left = false;
                return say_on(ret_reply);
        }
        if (mv_frame_decode(bytes, &f, err) < 0)
                return fail(a, err);
        return c->at < a->log_count ? again(a, c, &f, bytes, ret_reply, err)
                                    : live(a, c, &f, bytes, ret_reply, err);
}

/* --- the other cells (3) ---------------------------------------------------------------------- */
static int other_frame(void *ctx, struct mv_slice frame, struct mv_slice *ret_reply,
                       struct mv_err *err)
{
        struct cell *c = ctx;
        struct mv__cells *a = c->all;
        pthread_mutex_lock(&a->lock);
        c->frame = frame;
        c->asks = true;
        c->answered = false;
        pthread_cond_broadcast(&a->wake);
        while (!c->answered && !a->over)
                pthread_cond_wait(&a->wake, &a->lock);
        c->asks = false;
        int r = c->answered ? c->answer : mv_fail(&c->why, MV_E_STATE, 0, "the execution is over");
        *ret_reply = c->reply;
        if (r < 0)
                *err = c->why;
        pthread_mutex_unlock(&a->lock);
        return r;
}

/* Output of external programs, and those have no steps. */
static bool other_output(void *ctx, bool to_stderr, struct mv_slice bytes)
{
        return false;
}

static const struct mv_provider_ops *ops_of(const struct cell *c)
{
        return c->all->e->plan->walls[c->wall].entry->ops;
}

static void *other_main(void *arg)
{
        struct cell *c = arg;
        int r = ops_of(c)->run(c->cell, &c->run, &c->exit, &c->err);
        pthread_mutex_lock(&c->all->lock);
        c->result = r;
        c->ended = true;
        pthread_cond_broadcast(&c->all->wake);
        pthread_mutex_unlock(&c->all->lock);
        return NULL;
}

static int start(struct mv__cells *a, struct cell *c, struct mv_err *err)
{
        struct mv_cell_spec spec = { .execution_id = a->e->result->execution_id,
                                     .limits = a->e->cell_limits };
        struct mv_cell *cell;
        int r = mv__cell_take(a->e->plan->walls[c->wall].entry, &spec, &cell, err);
        if (r < 0)
                return fail(a, err);
        c->run.door = (struct mv_door_host){ c, other_frame, other_output };
        pthread_mutex_lock(&a->lock);
        c->cell = cell;
        int sys = pthread_create(&c->thread, NULL, other_main, c);
        c->started = sys == 0;
        pthread_mutex_unlock(&a->lock);
        if (sys) {
                ops_of(c)->close_cell(cell);
                (void)mv_fail(err, MV_E_SYS, sys, "start the thread of a step's cell");
                return fail(a, err);
        }
        return 0;
}

/* It ended, in order or not, and the program with it. */
static int ended(struct mv__cells *a, const struct cell *c, struct mv_err *err)
{
        if (c->result < 0) {
                *err = c->err;
                return fail(a, err);
        }
        a->failed = c;
        return mv_fail(err, MV_E_STATE, 0, "the program ended in the cell of a step");
}

/* Until it says something. true: it does; false: it has ended. */
static bool await(struct mv__cells *a, struct cell *c)
{
        pthread_mutex_lock(&a->lock);
        while (!c->ended && !(c->asks && !c->answered))
                pthread_cond_wait(&a->wake, &a->lock);
        bool asks = !c->ended;
        pthread_mutex_unlock(&a->lock);
        return asks;
}

static void post(struct mv__cells *a, struct cell *c, int answer, struct mv_slice reply,
                 const struct mv_err *err)
{
        pthread_mutex_lock(&a->lock);
        c->answer = answer;
        c->reply = reply;
        if (answer < 0)
                c->why = *err;
        c->answered = true;
        pthread_cond_broadcast(&a->wake);
        pthread_mutex_unlock(&a->lock);
}

/* Until the run's own cell has the word again: its answer. */
static int serve(struct mv__cells *a, struct mv_slice *ret_reply, struct mv_err *err)
{
        for (;;) {
                struct cell *c = a->leaves ? a->leaves : &a->cells[mv_broker_wall(a->e->broker)];
                struct mv_slice reply = { NULL, 0 };
                if (!c->wall)
                        return handle(a, c, reply, ret_reply, err);
                if (!c->started && start(a, c, err) < 0)
                        return -(int)err->code;
                if (!await(a, c))
                        return ended(a, c, err);
                int r = handle(a, c, c->frame, &reply, err);
                if (r == WAITS)
                        continue;
                post(a, c, r, reply, err);
                if (r < 0)
                        return r;
        }
}

static int own_frame(void *ctx, struct mv_slice frame, struct mv_slice *ret_reply,
                     struct mv_err *err)
{
        struct mv__cells *a = ctx;
        int r = handle(a, &a->cells[0], frame, ret_reply, err);
        return r == WAITS ? serve(a, ret_reply, err) : r;
}

static bool own_output(void *ctx, bool to_stderr, struct mv_slice bytes)
{
        struct mv__cells *a = ctx;
        return a->door.output(a->door.ctx, to_stderr, bytes);
}

struct mv_door_host mv__cells_door(struct mv__cells *a)
{
        return (struct mv_door_host){ a, own_frame, own_output };
}

/* --- beginning and end ------------------------------------------------------------------------ */
int mv__cells_new(struct mv__exec *e, struct mv_door_host door, const struct mv_run *first,
                  struct mv__cells **ret, struct mv_err *err)
{
        struct mv__cells *a = calloc(1, sizeof *a);
        if (!a)
                return mv_fail(err, MV_E_NOMEM, 0, "the cells of steps");
        a->e = e;
        a->door = door;
        a->count = e->plan->walls_count;
        a->memory = mv_arena_grow(LOG_BYTES_MAX);
        pthread_mutex_init(&a->lock, NULL);
        pthread_cond_init(&a->wake, NULL);
        for (uint32_t i = 0; i < a->count; i++) {
                a->cells[i].all = a;
                a->cells[i].wall = i;
                a->cells[i].run = *first;
        }
        *ret = a;
        return 0;
}

void mv__cells_cancel(struct mv__cells *a)
{
        if (!a)
                return;
        pthread_mutex_lock(&a->lock);
        for (uint32_t i = 1; i < a->count; i++) {
                struct cell *c = &a->cells[i];
                if (c->started && !c->ended && ops_of(c)->cancel)
                        ops_of(c)->cancel(c->cell);
        }
        pthread_mutex_unlock(&a->lock);
}

static void wait_a_moment(struct mv__cells *a)
{
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += STOP_AGAIN_NS;
        if (until.tv_nsec >= 1000000000) {
                until.tv_sec++;
                until.tv_nsec -= 1000000000;
        }
        pthread_cond_timedwait(&a->wake, &a->lock, &until);
}

static void stop(struct mv__cells *a, struct cell *c)
{
        pthread_mutex_lock(&a->lock);
        while (!c->ended) {
                if (!c->asks && ops_of(c)->cancel)
                        ops_of(c)->cancel(c->cell);
                wait_a_moment(a);
        }
        c->started = false;
        pthread_mutex_unlock(&a->lock);
        pthread_join(c->thread, NULL);
        ops_of(c)->close_cell(c->cell);
}

bool mv__cells_end(struct mv__cells *a, struct mv_exit *exit)
{
        pthread_mutex_lock(&a->lock);
        a->over = true;
        pthread_cond_broadcast(&a->wake);
        pthread_mutex_unlock(&a->lock);
        struct mv_exit whole = a->failed ? a->failed->exit : *exit;
        whole.cpu_ns = exit->cpu_ns;
        whole.memory_peak_bytes = exit->memory_peak_bytes;
        whole.simulated = exit->simulated;
        for (uint32_t i = 1; i < a->count; i++) {
                struct cell *c = &a->cells[i];
                if (!c->started)
                        continue;
                stop(a, c);
                whole.cpu_ns += c->exit.cpu_ns;
                whole.memory_peak_bytes += c->exit.memory_peak_bytes;
        }
        *exit = whole;
        return a->failed != NULL;
}

struct mv__cells *mv__cells_free(struct mv__cells *a)
{
        if (!a)
                return NULL;
        pthread_cond_destroy(&a->wake);
        pthread_mutex_destroy(&a->lock);
        mv_arena_done(&a->memory);
        free(a->log);
        free(a);
        return NULL;
}
