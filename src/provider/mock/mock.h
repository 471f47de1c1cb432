/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_PROVIDER_MOCK_H
#define MV_PROVIDER_MOCK_H
/* Inside the mock provider. mock.c: the table and cells. door.c: the caller's process as a door. watchdog.c: deadlines.
 * faults.c: what the configuration injects. mock_texts.c: words for what is not evaluated. */
#include <pthread.h>
#include <stdatomic.h>
#include <base/arena.h>
#include <guest/runner.h>
#include <provider/common.h>

/* One thread per provider; it interrupts evaluators whose time is up. */
struct mv_mock_watchdog {
        pthread_t thread;
        pthread_mutex_t lock;
        pthread_cond_t wake;
        struct mv_cell *armed; /* cells that run, through mv_cell.next_armed */
        /* when the thread looks next; 0 before it has looked at all: then it looks before it
         * sleeps */
        uint64_t wakes_ns;
        bool running, stop;
};

struct mv_provider {
        bool detailed;                 /* mock_mode: a LOG frame per call */
        const struct mv_value *faults; /* MAP of capability id to MAP, in `mem`; NULL: none */
        struct mv_arena mem;
        struct mv_mock_watchdog dog;
};

struct mv_cell {
        struct mv_provider *provider;
        void *memory;
        size_t memory_bytes, arena_bytes;
        struct mv_runner runner;
        struct mv_limits limits;
        /* The run in progress. */
        const struct mv_run *run;
        uint64_t started_ns;
        uint64_t deadline_ns; /* 0: none */
        struct mv_exit *exit;
        bool ended; /* exit says how */
        atomic_bool cancelled;
        atomic_bool late; /* said the watchdog */
        struct mv_cell *next_armed;
        uint8_t fault[256]; /* an injected FAULT frame */
};

bool mv__mock_exchange(void *cell, struct mv_slice frames, bool want_reply, struct mv_slice *ret);
/* Record the first reason to end; later ones are ignored. */
void mv__mock_end(struct mv_cell *c, enum mv_termination t, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));
/* Cancelled or late: then the end is recorded. */
bool mv__mock_stopped(struct mv_cell *c);
bool mv__mock_stopped_at(struct mv_cell *c, uint64_t now_ns);
int mv__mock_watchdog_start(struct mv_mock_watchdog *d, struct mv_err *err);
void mv__mock_watchdog_stop(struct mv_mock_watchdog *d);
void mv__mock_watchdog_arm(struct mv_mock_watchdog *d, struct mv_cell *c);
void mv__mock_watchdog_disarm(struct mv_mock_watchdog *d, struct mv_cell *c);
void mv__mock_watchdog_look(struct mv_mock_watchdog *d); /* something changed: look now */

int mv__mock_faults_check(const struct mv_value *faults, struct mv_err *err);
/* Before the call reaches the host: delays, and ends the run for "timeout" and "oom". false: the
 * run is over. */
bool mv__mock_fault_before(struct mv_cell *c, struct mv_slice id);
/* After it was answered: the FAULT frame that replaces the reply, or the reply itself. */
struct mv_slice mv__mock_fault_after(struct mv_cell *c, struct mv_slice id, uint64_t seq,
                                     struct mv_slice reply);

#endif
