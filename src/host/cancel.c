/* SPDX-License-Identifier: Apache-2.0 */
/* A caller cancels by setting a flag, which wakes nobody, and a step may have less time than the
 * run; while a cell runs a watcher looks at both and tells the provider. Started only for
 * executions that have a flag, or a step with a time of its own. */
#include <host/exec.h>
#include <provider/common.h>
#include <time.h>

#define WATCH_PERIOD_NS                                                                            \
        2000000 /* a person does not notice 2 ms; 500 wake-ups a second cost nothing measurable */

static void wait_a_period(struct mv__watch *w)
{
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += WATCH_PERIOD_NS;
        if (until.tv_nsec >= 1000000000) {
                until.tv_sec++;
                until.tv_nsec -= 1000000000;
        }
        pthread_cond_timedwait(&w->wake, &w->lock, &until);
}

static bool is_late(struct mv__watch *w)
{
        uint64_t end = w->broker ? mv_broker_step_deadline(w->broker) : 0;
        w->late |= end && mv__now_ns() >= end;
        return w->late;
}

static void *watch(void *arg)
{
        struct mv__watch *w = arg;
        uint64_t seen_ns = 0;
        pthread_mutex_lock(&w->lock);
        while (!w->done) {
                if (((w->flag && *w->flag) || is_late(w)) && !seen_ns)
                        seen_ns = mv__now_ns();
                if (seen_ns && mv__now_ns() - seen_ns >= w->patience_ns) {
                        /* again and again: a cancel that came too early must not be lost */
                        mv__cells_cancel(w->cells);
                        w->ops->cancel(w->cell);
                }
                wait_a_period(w);
        }
        pthread_mutex_unlock(&w->lock);
        return NULL;
}

int mv__watch_start(struct mv__watch *w, const struct mv__exec *e, struct mv_cell *cell,
                    struct mv_err *err)
{
        *w = (struct mv__watch){ .ops = e->entry->ops,
                                 .cell = cell,
                                 .cells = e->cells,
                                 .flag = e->x->cancel,
                                 .patience_ns = e->session ? MV_SESSION_GRACE_NS : 0 };
        if (!e->session && mv__plan_has_times(e->plan, e->limits.wall_ns_max))
                w->broker = e->broker; /* a session's program is asked to stop (broker.c) */
        if ((!w->flag && !w->broker) || !w->ops->cancel)
                return 0;
        pthread_mutex_init(&w->lock, NULL);
        pthread_cond_init(&w->wake, NULL);
        int sys = pthread_create(&w->thread, NULL, watch, w);
        if (sys)
                return mv_fail(err, MV_E_SYS, sys,
                               "start the thread that watches for cancellation");
        w->running = true;
        return 0;
}

void mv__watch_stop(struct mv__watch *w)
{
        if (!w->running)
                return;
        pthread_mutex_lock(&w->lock);
        w->done = true;
        pthread_cond_signal(&w->wake);
        pthread_mutex_unlock(&w->lock);
        pthread_join(w->thread, NULL);
        pthread_cond_destroy(&w->wake);
        pthread_mutex_destroy(&w->lock);
}
