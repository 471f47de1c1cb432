/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a module in a microVM: a process (guest/module_server.c) in a cell of the process provider, with the module's
 * grants and its /workspace, started when the first file is asked for. What passes is wire/module_files.h.
 *
 * (1) This process of ours opens nothing on the guest's behalf: requests and answers are bytes of bounded length here.
 * (2) The serving process has a thread that waits for it in the process provider; it and the caller hand over under the
 *     lock: `state` says whose turn it is. The caller waits in pieces, looking at its limits.
 * (3) The end: an empty request, which the process answers by exiting; one that is busy is killed. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <base/cur.h>
#include <provider/provider.h>
#include <wire/frame.h>
#include <wire/module_files.h>
#include "module.h"

#define SERVER_PATH       "/opt/microvm/module"
#define ENTRIES_MAX       16u
#define REQUEST_BYTES_MAX (MV_FILES_REQUEST_BYTES + MV_FILES_NAMES_MAX + MV_FILES_DATA_MAX)
#define ANSWER_BYTES_MAX  (MV_FILES_ANSWER_BYTES + MV_FILES_DATA_MAX)
/* How often a waiting caller looks whether it was cancelled. */
#define LOOK_NS 5000000u

extern const uint8_t mv__wasm_server[], mv__wasm_server_end[];

enum state { STARTING, IDLE, ASKED, ANSWERED, OVER };
struct kvm_files {
        struct mv_program_spec spec;
        struct mv_program_file entries[ENTRIES_MAX];
        const char **argv;
        struct mv_limits limits;
        uint64_t deadline_ns;
        struct mv_cell *cell;
        pthread_t thread;
        bool thread_started;
        pthread_mutex_t lock;
        pthread_cond_t moved;
        enum state state;
        bool quit;
        size_t request_len, answer_len;
        uint8_t request[REQUEST_BYTES_MAX], sending[MV_FRAME_HEADER_BYTES + REQUEST_BYTES_MAX],
                answer[ANSWER_BYTES_MAX];
        struct mv_exit exit;
};

/* --- the process's side (2) ------------------------------------------------------------------- */

static int answered(struct kvm_files *f, const struct mv_frame *frame, struct mv_err *err)
{
        if (frame->payload.len < MV_FILES_ANSWER_BYTES || frame->payload.len > ANSWER_BYTES_MAX)
                return MV_HOSTILE(err, "files of a module: an answer of a wrong size");
        if (f->state != STARTING && f->state != ASKED)
                return MV_HOSTILE(err, "files of a module: an answer to nothing");
        memcpy(f->answer, frame->payload.p, frame->payload.len);
        f->answer_len = frame->payload.len;
        f->state = f->state == STARTING ? IDLE : ANSWERED;
        pthread_cond_broadcast(&f->moved);
        return 0;
}

/* The next request goes out as the reply to what came; an empty one is the end. */
static int on_frame(void *ctx, struct mv_slice bytes, struct mv_slice *ret, struct mv_err *err)
{
        struct kvm_files *f = ctx;
        struct mv_frame frame;
        int r = mv_frame_decode(bytes, &frame, err);
        if (r < 0)
                return r;
        pthread_mutex_lock(&f->lock);
        r = answered(f, &frame, err);
        while (r == 0 && !f->quit && f->state != ASKED)
                pthread_cond_wait(&f->moved, &f->lock);
        struct mv_out o = mv_out(f->sending, sizeof f->sending);
        size_t head = mv_frame_open(&o, MV_FRAME_REPLY, frame.seq);
        if (!f->quit)
                mv_put_bytes(&o, f->request, f->request_len);
        mv_frame_close(&o, head);
        pthread_mutex_unlock(&f->lock);
        *ret = mv_out_slice(&o);
        return r < 0 ? r : MV_DOOR_REPLY;
}

static void *serve(void *arg)
{
        struct kvm_files *f = arg;
        struct mv_run run = { .execution_id = "files",
                              .door = { f, on_frame, NULL },
                              .limits = f->limits,
                              .deadline_ns = f->deadline_ns };
        struct mv_exit x = { .exit_code = -1 };
        struct mv_err err;
        if (mv_provider_process.run(f->cell, &run, &x, &err) < 0) {
                x = (struct mv_exit){ .termination = MV_END_ERROR, .exit_code = -1 };
                mv_fmt(x.detail, sizeof x.detail, "the files of a module: %.120s", err.msg);
        }
        pthread_mutex_lock(&f->lock);
        f->exit = x;
        f->state = OVER;
        pthread_cond_broadcast(&f->moved);
        pthread_mutex_unlock(&f->lock);
        return NULL;
}

/* --- starting --------------------------------------------------------------------------------- */

static bool command(struct kvm_files *f, const struct mv_program_spec *s)
{
        uint32_t n = 0;
        f->argv = calloc(s->grants_count + 4, sizeof *f->argv);
        if (!f->argv || s->files_count >= ENTRIES_MAX)
                return false;
        f->argv[n++] = SERVER_PATH;
        f->argv[n++] = "r/workspace/input";
        f->argv[n++] = "w/workspace/output";
        for (uint32_t i = 0; i < s->grants_count; i++) {
                size_t len = strlen(s->grants[i].path) + 2;
                char *text = malloc(len);
                if (!text)
                        return false;
                mv_fmt(text, len, "%c%s", s->grants[i].write ? 'w' : 'r', s->grants[i].path);
                f->argv[n++] = text;
        }
        for (uint32_t i = 0; i < s->files_count; i++)
                f->entries[i] = s->files[i];
        f->entries[s->files_count] =
                (struct mv_program_file){ SERVER_PATH,
                                          { mv__wasm_server,
                                            (size_t)(mv__wasm_server_end - mv__wasm_server) },
                                          true };
        return true;
}

static int cell_open(struct kvm_files *f, const struct mv_cell *c, struct mv_err *err)
{
        static const char *const no_environment[] = { NULL };
        const struct kvm_module *m = c->module;
        if (!command(f, m->spec))
                return mv_fail(err, MV_E_NOMEM, 0, "the command line of a module's files");
        f->spec = (struct mv_program_spec){ .path = SERVER_PATH,
                                            .argv = f->argv,
                                            .env = no_environment,
                                            .files = f->entries,
                                            .files_count = m->spec->files_count + 1,
                                            .grants = m->spec->grants,
                                            .grants_count = m->spec->grants_count,
                                            .door = true,
                                            .output = m->spec->output,
                                            .bare = true };
        struct mv_cell_spec spec = { .execution_id = m->execution_id,
                                     .limits = f->limits,
                                     .program = &f->spec };
        return mv_provider_process.open_cell(c->p->programs, &spec, &f->cell, err);
}

static int thread_start(struct kvm_files *f, struct mv_err *err)
{
        sigset_t all, before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before); /* the caller's signals are not ours */
        int error = pthread_create(&f->thread, NULL, serve, f);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        f->thread_started = error == 0;
        return error ? mv_fail(err, MV_E_SYS, error, "start a thread for a module's files") : 0;
}

static int start(struct kvm_exchange *x, struct mv_err *err)
{
        pthread_condattr_t attr;
        struct kvm_files *f = calloc(1, sizeof *f);
        if (!f)
                return mv_fail(err, MV_E_NOMEM, 0, "the files of a module");
        pthread_condattr_init(&attr);
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        pthread_mutex_init(&f->lock, NULL);
        pthread_cond_init(&f->moved, &attr);
        pthread_condattr_destroy(&attr);
        f->limits = x->c->module->limits;
        f->deadline_ns = x->w->deadline_ns == UINT64_MAX ? 0 : x->w->deadline_ns;
        x->c->module->files = f;
        int r = cell_open(f, x->c, err);
        return r < 0 ? r : thread_start(f, err);
}

/* --- the guest's side ------------------------------------------------------------------------- */

/* Until the state is left, or the run is over. With the lock held. */
static void wait_while(struct kvm_files *f, struct kvm_exchange *x, enum state s)
{
        while (f->state == s && !x->e->over) {
                uint64_t at = mv__now_ns() + LOOK_NS;
                if (at > x->w->deadline_ns)
                        at = x->w->deadline_ns;
                struct timespec until = { (time_t)(at / 1000000000u), (long)(at % 1000000000u) };
                pthread_cond_timedwait(&f->moved, &f->lock, &until);
                mv__kvm_limits_check(x->c, x->w, x->e);
        }
        if (f->state == OVER && !x->e->over)
                mv__kvm_end(x->e,
                            f->exit.termination == MV_END_COMPLETED ? MV_END_KILLED
                                                                    : f->exit.termination,
                            "%s", f->exit.detail);
}

static void exchange(struct kvm_files *f, struct kvm_exchange *x, struct mv_slice request)
{
        wait_while(f, x, STARTING);
        if (x->e->over)
                return;
        memcpy(f->request, request.p, request.len);
        f->request_len = request.len;
        f->state = ASKED;
        pthread_cond_broadcast(&f->moved);
        wait_while(f, x, ASKED);
        if (!x->e->over)
                f->state = IDLE;
}

void mv__kvm_files_ask(struct kvm_exchange *x, struct mv_slice request, struct mv_slice *ret)
{
        struct mv_err err;
        int r = request.len < MV_FILES_REQUEST_BYTES || request.len > REQUEST_BYTES_MAX
                        ? MV_HOSTILE(&err, "files of a module: a request of a wrong size")
                        : 0;
        if (r < 0)
                mv__kvm_ended_by_error(x->e, &err);
        else if (!x->c->module->files && start(x, &err) < 0)
                mv__kvm_end(x->e, MV_END_ERROR, "the files of a module: %.120s", err.msg);
        if (x->e->over)
                return;
        struct kvm_files *f = x->c->module->files;
        pthread_mutex_lock(&f->lock);
        exchange(f, x, request);
        pthread_mutex_unlock(&f->lock);
        *ret = (struct mv_slice){ f->answer, f->answer_len };
}

void mv__kvm_files_end(struct kvm_files *f, struct mv_exit *ret_exit)
{
        pthread_mutex_lock(&f->lock);
        bool busy = f->state == ASKED || f->state == STARTING;
        f->quit = true; /* (3) */
        pthread_cond_broadcast(&f->moved);
        pthread_mutex_unlock(&f->lock);
        if (busy && f->cell)
                mv_provider_process.cancel(f->cell);
        if (f->thread_started)
                pthread_join(f->thread, NULL);
        *ret_exit = f->exit;
        if (f->cell)
                mv_provider_process.close_cell(f->cell);
        for (uint32_t i = 3; f->argv && f->argv[i]; i++)
                free((char *)f->argv[i]);
        free(f->argv);
        pthread_cond_destroy(&f->moved);
        pthread_mutex_destroy(&f->lock);
        free(f);
}
