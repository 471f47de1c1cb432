/* SPDX-License-Identifier: Apache-2.0 */
/* A program in the caller's own thread cannot be killed, but the evaluator looks at a flag at every call and every turn of
 * a loop; this thread sets it.
 *
 * (1) Only an armed cell is interrupted, and arming and disarming hold the lock: a cell that ended is left alone.
 * (2) The flag is set again and again until the cell is disarmed: a run that is just starting may clear it once.
 * (3) Arming wakes the thread only when it would wake too late by itself: most runs are over long before their deadline, and
 *     two context switches cost more than such a run. Left awake after a disarm, it finds nothing to do, once. */
#include <errno.h>
#include <time.h>
#include <provider/mock/mock.h>

#define REPEAT_NS    1000000ull
#define SLEEP_NS_MAX 3600000000000ull

static uint64_t look_at(struct mv_cell *c, uint64_t now)
{
        if (c->cancelled || (c->deadline_ns && now >= c->deadline_ns)) {
                c->late = true;
                mv_rtfs_interrupt(c->runner.rtfs); /* (2) */
                return now + REPEAT_NS;
        }
        return c->deadline_ns ? c->deadline_ns : now + SLEEP_NS_MAX;
}

static void *watch(void *arg)
{
        struct mv_mock_watchdog *d = arg;
        pthread_mutex_lock(&d->lock);
        while (!d->stop) {
                uint64_t now = mv__now_ns(), next = now + SLEEP_NS_MAX;
                for (struct mv_cell *c = d->armed; c; c = c->next_armed) {
                        uint64_t at = look_at(c, now);
                        next = at < next ? at : next;
                }
                d->wakes_ns = next;
                struct timespec until = { (time_t)(next / 1000000000u),
                                          (long)(next % 1000000000u) };
                pthread_cond_timedwait(&d->wake, &d->lock, &until);
        }
        pthread_mutex_unlock(&d->lock);
        return NULL;
}

int mv__mock_watchdog_start(struct mv_mock_watchdog *d, struct mv_err *err)
{
        pthread_condattr_t monotonic;
        pthread_condattr_init(&monotonic);
        pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        pthread_mutex_init(&d->lock, NULL);
        pthread_cond_init(&d->wake, &monotonic);
        pthread_condattr_destroy(&monotonic);
        int sys = pthread_create(&d->thread, NULL, watch, d);
        if (sys) {
                pthread_cond_destroy(&d->wake);
                pthread_mutex_destroy(&d->lock);
                return mv_fail(err, MV_E_SYS, sys,
                               "mock provider: start the thread that keeps deadlines");
        }
        d->running = true;
        return 0;
}

void mv__mock_watchdog_stop(struct mv_mock_watchdog *d)
{
        if (!d->running)
                return;
        pthread_mutex_lock(&d->lock);
        d->stop = true;
        pthread_cond_signal(&d->wake);
        pthread_mutex_unlock(&d->lock);
        pthread_join(d->thread, NULL);
        pthread_cond_destroy(&d->wake);
        pthread_mutex_destroy(&d->lock);
        d->running = false;
}

void mv__mock_watchdog_arm(struct mv_mock_watchdog *d, struct mv_cell *c)
{
        pthread_mutex_lock(&d->lock);
        c->next_armed = d->armed;
        d->armed = c;
        if (c->cancelled || (c->deadline_ns && c->deadline_ns < d->wakes_ns)) /* (3) */
                pthread_cond_signal(&d->wake);
        pthread_mutex_unlock(&d->lock);
}

void mv__mock_watchdog_disarm(struct mv_mock_watchdog *d, struct mv_cell *c)
{
        pthread_mutex_lock(&d->lock);
        struct mv_cell **at = &d->armed;
        while (*at && *at != c)
                at = &(*at)->next_armed;
        if (*at)
                *at = c->next_armed;
        c->next_armed = NULL;
        pthread_mutex_unlock(&d->lock);
}

void mv__mock_watchdog_look(struct mv_mock_watchdog *d)
{
        pthread_mutex_lock(&d->lock);
        pthread_cond_signal(&d->wake);
        pthread_mutex_unlock(&d->lock);
}
