/* SPDX-License-Identifier: Apache-2.0 */
/* Taking a microVM apart takes the kernel a third of a millisecond, of which its user has nothing: one thread of the
 * provider does it behind the caller's back.
 *
 * (1) A cell comes here when its guest has stopped; nothing refers to it any more.
 * (2) At most KVM_REAP_MAX cells wait: whoever closes faster than that takes its cell apart itself, so that closed cells
 *     never hold more memory than a few open ones.
 * (3) Stopping waits for the cells that wait. */
#include <signal.h>
#include "cell.h"

static void *reap(void *arg)
{
        struct kvm_reaper *r = arg;
        pthread_mutex_lock(&r->lock);
        while (r->waiting || !r->stop) {
                struct mv_cell *c = r->waiting;
                if (!c) {
                        pthread_cond_wait(&r->work, &r->lock);
                        continue;
                }
                r->waiting = c->next_closed;
                pthread_mutex_unlock(&r->lock);
                mv__kvm_cell_free(c);
                pthread_mutex_lock(&r->lock);
                r->count--; /* (2): it waited until now */
                pthread_cond_broadcast(&r->idle);
        }
        pthread_mutex_unlock(&r->lock);
        return NULL;
}

/* With the lock held. */
static bool started(struct kvm_reaper *r)
{
        sigset_t all, before;
        if (r->started)
                return true;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before); /* the caller's signals are not ours */
        r->started = pthread_create(&r->thread, NULL, reap, r) == 0;
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        return r->started;
}

void mv__kvm_reaper_init(struct kvm_reaper *r)
{
        *r = (struct kvm_reaper){ 0 };
        pthread_mutex_init(&r->lock, NULL);
        pthread_cond_init(&r->work, NULL);
        pthread_cond_init(&r->idle, NULL);
}

bool mv__kvm_reaper_take(struct kvm_reaper *r, struct mv_cell *c)
{
        pthread_mutex_lock(&r->lock);
        bool taken = r->count < KVM_REAP_MAX && started(r);
        if (taken) {
                r->count++;
                c->next_closed = r->waiting;
                r->waiting = c;
                pthread_cond_signal(&r->work);
        }
        pthread_mutex_unlock(&r->lock);
        return taken;
}

void mv__kvm_reaper_wait(struct kvm_reaper *r)
{
        pthread_mutex_lock(&r->lock);
        while (r->count)
                pthread_cond_wait(&r->idle, &r->lock);
        pthread_mutex_unlock(&r->lock);
}

void mv__kvm_reaper_done(struct kvm_reaper *r)
{
        pthread_mutex_lock(&r->lock);
        r->stop = true; /* (3) */
        pthread_cond_signal(&r->work);
        pthread_mutex_unlock(&r->lock);
        if (r->started)
                pthread_join(r->thread, NULL);
        pthread_cond_destroy(&r->work);
        pthread_cond_destroy(&r->idle);
        pthread_mutex_destroy(&r->lock);
}
