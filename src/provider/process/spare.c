/* SPDX-License-Identifier: Apache-2.0 */
/* provider/process/spare.c - cells that are made before they are asked for, and closed behind the caller's
 * back: most of a short program's time is spent on its namespaces and mounts.
 *
 * (1) A spare has been told the first part of a plan and nothing else (plan.c). It is used only for a cell whose own plan
 *     begins with the same bytes, under the same limits, with the same streams, and over the same files of the host.
 * (2) It is used once, like every cell. Nothing of an execution ever gets into a spare: it has been told sizes
 *     and what this machine's root looks like.
 * (3) One thread makes them. What a thread may do, its children inherit: a spare is used only by a thread with the same
 *     standing (sys/standing.h), as it was when the spare was made.
 * (4) Spares are made for whoever runs programs of one kind one after another: none before the second in a row, none
 *     when SPARE_NS_MAX passed without one, and none lives longer than that: what changes on the host is seen
 *     after that time.
 * (5) A spare dies with the thread, which dies with the process; and with the last copy of its control socket.
 * (6) A process that forked has a copy of all this and neither the thread nor the spares: it touches no lock, and
 *     closes the descriptors when the provider ends.
 * (7) A cell is closed here when its program and everything that it started are dead; what waits is
 *     init, which is on its way out. So is a cell with another wall in it, whose init was killed: taking that
 *     apart takes the kernel many milliseconds. At most ENDED_MAX wait. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <base/slice.h>
#include <provider/process/program.h>
#include <sys/fd.h>

#define SPARES_MAX   MV_PROGRAM_SPARES_MAX
#define ENDED_MAX    8u
#define SPARE_NS_MAX 5000000000ull
#define UNFIT_MAX    4u /* spares that nobody could use because of (3), until no more are made */

struct mv__spares {
        struct mv__wall *wall;
        pid_t owner; /* (6) */
        pthread_mutex_t lock;
        pthread_cond_t work, made; /* for the thread; for who waits for what is in the making */
        pthread_t thread;
        bool started, stop, making, awaited;
        unsigned unfit;
        /* What spares are like: its first part is a copy, its spec has flags only. */
        struct mv__program *like;
        unsigned likeness;                     /* changes with `like` */
        bool asked;                            /* until there are as many as may be */
        struct mv__program *ready[SPARES_MAX]; /* oldest first */
        unsigned ready_count;
        struct mv__program *ended; /* (7), and spares that nobody wants any more */
        unsigned ended_count;
};

/* --- likeness (1) ----------------------------------------------------------------------------- */

static bool limits_same(const struct mv_sys_group_limits *a, const struct mv_sys_group_limits *b)
{
        return a->memory_bytes_max == b->memory_bytes_max && a->cpu_percent == b->cpu_percent &&
               a->pids_max == b->pids_max && a->cpu_time == b->cpu_time;
}

static bool started_alike(const struct mv__program *a, const struct mv__program *b)
{
        return limits_same(&a->group_limits, &b->group_limits) && a->spec->door == b->spec->door &&
               a->spec->input == b->spec->input && a->spec->network == b->spec->network;
}

static bool alike(const struct mv__program *a, const struct mv__program *b)
{
        return started_alike(a, b) && a->sources == b->sources && a->first_len == b->first_len &&
               memcmp(a->plan, b->plan, a->first_len) == 0;
}

/* A grant is a mount of its own, which the cell is born with. */
static bool may_use(const struct mv__program *p)
{
        return !p->nested && !p->wall->confined && p->spec->grants_count == 0;
}

/* A program that was not started, and is to be like p. */
static struct mv__program *like_new(const struct mv__program *p)
{
        struct mv__program *n = mv__program_new(p->wall);
        uint8_t *first = malloc(p->first_len);
        if (!n || !first) {
                free(n);
                free(first);
                return NULL;
        }
        memcpy(first, p->plan, p->first_len);
        n->flags = (struct mv_program_spec){ .door = p->spec->door,
                                             .input = p->spec->input,
                                             .network = p->spec->network };
        n->spec = &n->flags;
        n->group_limits = p->group_limits;
        n->sources = p->sources;
        n->plan = first;
        n->plan_len = n->first_len = p->first_len;
        return n;
}

/* --- the thread ------------------------------------------------------------------------------- */

static struct mv__program *make(struct mv__program *n)
{
        struct mv_err err;
        mv_sys_standing(&n->standing); /* (3) */
        n->made_ns = mv__now_ns();
        if (mv__program_start(n, MV_CELL_NAME_SPARE, &err) == 0 &&
            send(n->control_fd, n->plan, n->plan_len, MSG_DONTWAIT | MSG_NOSIGNAL) ==
                    (ssize_t)n->plan_len)
                return n;
        mv__program_free(n);
        return NULL;
}

/* With the lock held, as everything below that does not say otherwise. */
static void put_away(struct mv__spares *s, struct mv__program *p)
{
        p->next = s->ended;
        s->ended = p;
        s->ended_count++;
}

static void ready_drop(struct mv__spares *s)
{
        while (s->ready_count)
                put_away(s, s->ready[--s->ready_count]);
}

static void make_one(struct mv__spares *s)
{
        const unsigned likeness = s->likeness;
        struct mv__program *n = like_new(s->like);
        s->making = true;
        pthread_mutex_unlock(&s->lock);
        n = n ? make(n) : NULL;
        pthread_mutex_lock(&s->lock);
        s->making = false;
        if (!n)
                s->asked = false; /* until somebody asks again */
        else if (likeness == s->likeness)
                s->ready[s->ready_count++] = n;
        else
                put_away(s, n);
        pthread_cond_broadcast(&s->made);
}

static void close_one(struct mv__spares *s)
{
        struct mv__program *p = s->ended;
        s->ended = p->next;
        pthread_mutex_unlock(&s->lock);
        mv__program_free(p);
        pthread_mutex_lock(&s->lock);
        s->ended_count--;
}

static struct mv__program *ready_pop(struct mv__spares *s)
{
        struct mv__program *oldest = s->ready[0];
        s->ready_count--;
        memmove(s->ready, s->ready + 1, s->ready_count * sizeof s->ready[0]);
        return oldest;
}

static void grow_old(struct mv__spares *s) /* (4) */
{
        uint64_t now = mv__now_ns();
        while (s->ready_count && now - s->ready[0]->made_ns >= SPARE_NS_MAX)
                put_away(s, ready_pop(s));
        s->asked = s->asked && s->ready_count < s->wall->spares_max;
}

static void rest(struct mv__spares *s)
{
        struct timespec until;
        if (!s->ready_count) {
                pthread_cond_wait(&s->work, &s->lock);
                return;
        }
        uint64_t ns = s->ready[0]->made_ns + SPARE_NS_MAX;
        until = (struct timespec){ (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };
        pthread_cond_timedwait(&s->work, &s->lock, &until);
}

static void *serve(void *arg)
{
        struct mv__spares *s = arg;
        pthread_mutex_lock(&s->lock);
        while (!s->stop) {
                grow_old(s);
                if (s->asked)
                        make_one(s);
                else if (s->ended)
                        close_one(s);
                else
                        rest(s);
        }
        ready_drop(s);
        while (s->ended)
                close_one(s);
        pthread_mutex_unlock(&s->lock);
        return NULL;
}

static bool started(struct mv__spares *s)
{
        sigset_t all, before;
        if (s->started)
                return true;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before); /* the caller's signals are not ours */
        s->started = pthread_create(&s->thread, NULL, serve, s) == 0;
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        return s->started;
}

/* --- for whoever runs programs ---------------------------------------------------------------- */

static bool ours(const struct mv__spares *s) /* (6) */
{
        return s && s->owner == getpid();
}

/* One caller may wait for what is in the making: to wait takes less than to make another. */
static struct mv__program *pop(struct mv__spares *s, const struct mv__program *p)
{
        struct mv__program *found = NULL;
        pthread_mutex_lock(&s->lock);
        bool fits = s->like && started_alike(s->like, p);
        while (fits && !s->ready_count && s->making && !s->awaited) {
                s->awaited = true;
                pthread_cond_wait(&s->made, &s->lock);
                s->awaited = false;
                fits = s->like && started_alike(s->like, p);
        }
        if (fits && s->ready_count)
                found = ready_pop(s);
        pthread_mutex_unlock(&s->lock);
        return found;
}

/* It may have failed, or been killed by somebody. */
static bool sound(const struct mv__program *p)
{
        struct mv_cell_report r = { 0 };
        ssize_t n = recv(p->control_fd, &r, sizeof r, MSG_PEEK | MSG_DONTWAIT);
        return n < 0 ? errno == EAGAIN : n >= (ssize_t)sizeof r.kind && r.kind != MV_CELL_FAILED;
}

static bool fits(struct mv__spares *s, const struct mv__program *spare)
{
        struct mv_sys_standing mine;
        mv_sys_standing(&mine);
        bool same = mv_sys_standing_same(&mine, &spare->standing); /* (3) */
        pthread_mutex_lock(&s->lock);
        s->unfit = same ? 0 : s->unfit + 1;
        pthread_mutex_unlock(&s->lock);
        return same && mv__now_ns() - spare->made_ns < SPARE_NS_MAX && sound(spare);
}

struct mv__program *mv__spares_pop(struct mv__program *p)
{
        struct mv__spares *s = p->wall->spares;
        if (!ours(s) || !may_use(p))
                return NULL;
        struct mv__program *spare = pop(s, p);
        if (spare && !fits(s, spare)) {
                mv__spares_close(spare);
                spare = NULL;
        }
        return spare;
}

bool mv__spares_alike(const struct mv__program *p, const struct mv__program *spare)
{
        return alike(p, spare);
}

static void like_change(struct mv__spares *s, const struct mv__program *p)
{
        struct mv__program *n = like_new(p);
        if (s->started)
                ready_drop(s);
        if (s->like)
                mv__program_free(s->like);
        s->like = n;
        s->likeness++;
        s->asked = false;
}

void mv__spares_ask(struct mv__program *p)
{
        struct mv__spares *s = p->wall->spares;
        if (!ours(s) || !may_use(p))
                return;
        pthread_mutex_lock(&s->lock);
        if (!s->like || !alike(s->like, p)) {
                like_change(s, p);
        } else if (s->unfit < UNFIT_MAX && s->wall->spares_max && started(s)) {
                s->asked = true;
        }
        pthread_cond_signal(&s->work);
        pthread_mutex_unlock(&s->lock);
}

bool mv__spares_may_close(const struct mv__wall *w)
{
        struct mv__spares *s = w->spares;
        if (!ours(s))
                return false;
        pthread_mutex_lock(&s->lock);
        bool may = s->started && s->ended_count < ENDED_MAX;
        pthread_mutex_unlock(&s->lock);
        return may;
}

static bool taken(struct mv__spares *s, struct mv__program *p)
{
        pthread_mutex_lock(&s->lock);
        bool can = (p->nested ? started(s) : s->started) && s->ended_count < ENDED_MAX;
        if (can)
                put_away(s, p);
        pthread_cond_signal(&s->work);
        pthread_mutex_unlock(&s->lock);
        return can;
}

void mv__spares_close(struct mv__program *p)
{
        static const struct mv__nested gone; /* the caller's goes with its cell */
        if (p->nested)
                p->nested = &gone;
        if (!ours(p->wall->spares) || !taken(p->wall->spares, p))
                mv__program_free(p);
}

/* --- the wall's --------------------------------------------------------------------------------- */

void mv__spares_init(struct mv__wall *w)
{
        pthread_condattr_t monotonic;
        struct mv__spares *s = calloc(1, sizeof *s);
        if (!s) /* then nothing is done beforehand, or behind anybody's back */
                return;
        s->wall = w;
        s->owner = getpid();
        pthread_condattr_init(&monotonic);
        pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        pthread_mutex_init(&s->lock, NULL);
        pthread_cond_init(&s->work, &monotonic);
        pthread_cond_init(&s->made, NULL);
        pthread_condattr_destroy(&monotonic);
        w->spares = s;
}

static void forget(struct mv__spares *s) /* (6) */
{
        while (s->ready_count)
                mv__program_forget(s->ready[--s->ready_count]);
        for (struct mv__program *p = s->ended, *next; p; p = next) {
                next = p->next;
                mv__program_forget(p);
        }
        if (s->like)
                mv__program_forget(s->like);
        free(s);
}

void mv__spares_done(struct mv__wall *w)
{
        struct mv__spares *s = w->spares;
        w->spares = NULL;
        if (!s || !ours(s)) {
                if (s)
                        forget(s);
                return;
        }
        pthread_mutex_lock(&s->lock);
        s->stop = true;
        pthread_cond_signal(&s->work);
        pthread_mutex_unlock(&s->lock);
        if (s->started)
                pthread_join(s->thread, NULL);
        if (s->like)
                mv__program_free(s->like);
        pthread_cond_destroy(&s->work);
        pthread_cond_destroy(&s->made);
        pthread_mutex_destroy(&s->lock);
        free(s);
}
