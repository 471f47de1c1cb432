/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a module in a microVM: a process (guest/module_server.c) in a cell of the process provider, with the module's
 * grants and its /workspace, started when the first file is asked for. What passes is wire/module_files.h.
 *
 * (1) This process of ours opens nothing on the guest's behalf: requests and answers are bytes of bounded length here.
 * (2) The caller speaks to the serving process itself, over the door of its cell, and looks at its limits while it waits;
 *     a thread meanwhile runs that cell, which has limits of its own.
 * (3) The end is that nobody holds the other side of the door. A process that is busy then, or does not go, is killed. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <base/cur.h>
#include <provider/process/image.h>
#include <provider/provider.h>
#include <sys/fd.h>
#include <wire/frame.h>
#include <wire/module_files.h>
#include "module.h"

#define SERVER_PATH       "/opt/microvm/module"
#define ENTRIES_MAX       16u
#define REQUEST_BYTES_MAX (MV_FILES_REQUEST_BYTES + MV_FILES_NAMES_MAX + MV_FILES_DATA_MAX)
#define ANSWER_BYTES_MAX  (MV_FILES_ANSWER_BYTES + MV_FILES_DATA_MAX)
/* What the process itself and its cell need at most; a module may have less. */
#define MEMORY_BYTES_MIN ((uint64_t)8 << 20)
/* How often a waiting caller looks whether it was cancelled. */
#define LOOK_NS 5000000u

extern const uint8_t mv__wasm_server[], mv__wasm_server_end[];

/* How long the process may take to see that nobody asks any more. */
#define GONE_NS 1000000000ull

struct kvm_files {
        struct mv_program_spec spec;
        struct mv_program_file entries[ENTRIES_MAX];
        const char **argv;
        struct mv_limits limits;
        uint64_t deadline_ns;
        struct mv_cell *cell;
        int door_fd;
        pthread_t thread; /* runs the cell; exit is its result */
        bool thread_started, busy;
        uint64_t seq;
        struct mv_exit exit;
        uint8_t request[MV_FRAME_HEADER_BYTES + REQUEST_BYTES_MAX],
                answer[MV_FRAME_HEADER_BYTES + ANSWER_BYTES_MAX];
};

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

static int no_frame(void *ctx, struct mv_slice frame, struct mv_slice *ret, struct mv_err *err)
{
        return MV_HOSTILE(err, "a frame from a cell whose door is held by another");
}

static void *serve(void *arg)
{
        struct kvm_files *f = arg;
        struct mv_run run = { .execution_id = "files",
                              .door = { NULL, no_frame, NULL },
                              .limits = f->limits,
                              .deadline_ns = f->deadline_ns };
        struct mv_err err;
        if (mv_provider_process.run(f->cell, &run, &f->exit, &err) < 0) {
                f->exit = (struct mv_exit){ .termination = MV_END_ERROR, .exit_code = -1 };
                mv_fmt(f->exit.detail, sizeof f->exit.detail, "the files of a module: %.120s",
                       err.msg);
        }
        return NULL;
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
        struct kvm_files *f = calloc(1, sizeof *f);
        if (!f)
                return mv_fail(err, MV_E_NOMEM, 0, "the files of a module");
        f->door_fd = -EBADF;
        f->exit.exit_code = -1;
        f->limits = x->c->module->limits;
        if (f->limits.memory_bytes_max < MEMORY_BYTES_MIN)
                f->limits.memory_bytes_max = MEMORY_BYTES_MIN;
        f->deadline_ns = x->w->deadline_ns == UINT64_MAX ? 0 : x->w->deadline_ns;
        x->c->module->files = f;
        int r = cell_open(f, x->c, err);
        if (r < 0)
                return r;
        f->door_fd = mv__process_take_door(f->cell);
        return thread_start(f, err);
}

/* --- requests and answers (2) ----------------------------------------------------------------- */

/* A process that is busy, or does not go within GONE_NS, is killed. */
static void thread_end(struct kvm_files *f)
{
        uint64_t at = mv__now_ns() + GONE_NS;
        struct timespec until = { (time_t)(at / 1000000000u), (long)(at % 1000000000u) };
        if (!f->busy && pthread_clockjoin_np(f->thread, NULL, CLOCK_MONOTONIC, &until) == 0)
                return;
        mv_provider_process.cancel(f->cell);
        pthread_join(f->thread, NULL);
}

/* The process has ended before the module: its end is the module's. */
static void ended_first(struct kvm_files *f, struct kvm_exchange *x)
{
        f->busy = false;
        thread_end(f);
        f->thread_started = false;
        enum mv_termination t = f->exit.termination;
        mv__kvm_end(x->e, t == MV_END_COMPLETED ? MV_END_KILLED : t, "%s", f->exit.detail);
}

static void wait_for(const struct kvm_files *f, struct kvm_exchange *x, short events)
{
        uint64_t now = mv__now_ns(), left = x->w->deadline_ns > now ? x->w->deadline_ns - now : 0;
        struct pollfd on = { f->door_fd, events, 0 };
        struct timespec t = { 0, left < LOOK_NS ? (long)left : (long)LOOK_NS };
        ppoll(&on, 1, &t, NULL);
        mv__kvm_limits_check(x->c, x->w, x->e);
}

static void send_all(struct kvm_files *f, struct kvm_exchange *x, struct mv_slice s)
{
        while (s.len && !x->e->over) {
                ssize_t n = send(f->door_fd, s.p, s.len, MSG_DONTWAIT | MSG_NOSIGNAL);
                if (n > 0)
                        s = (struct mv_slice){ s.p + n, s.len - (size_t)n };
                else if (errno == EAGAIN)
                        wait_for(f, x, POLLOUT);
                else if (errno != EINTR)
                        ended_first(f, x);
        }
}

static void receive_all(struct kvm_files *f, struct kvm_exchange *x, uint8_t *to, size_t len)
{
        while (len && !x->e->over) {
                ssize_t n = recv(f->door_fd, to, len, MSG_DONTWAIT);
                if (n > 0) {
                        to += n;
                        len -= (size_t)n;
                } else if (n < 0 && errno == EAGAIN) {
                        wait_for(f, x, POLLIN);
                } else if (n == 0 || errno != EINTR) {
                        ended_first(f, x);
                }
        }
}

static void send_request(struct kvm_files *f, struct kvm_exchange *x, struct mv_slice request)
{
        struct mv_out o = mv_out(f->request, sizeof f->request);
        size_t head = mv_frame_open(&o, MV_FRAME_CALL, ++f->seq);
        mv_put_slice(&o, request);
        mv_frame_close(&o, head);
        send_all(f, x, mv_out_slice(&o));
}

static int receive_answer(struct kvm_files *f, struct kvm_exchange *x, struct mv_slice *ret,
                          struct mv_err *err)
{
        struct mv_frame frame;
        uint32_t len;
        receive_all(f, x, f->answer, MV_FRAME_HEADER_BYTES);
        if (x->e->over)
                return 0;
        int r = mv_frame_payload_len(f->answer, &len, err);
        if (r == 0 && (len < MV_FILES_ANSWER_BYTES || len > ANSWER_BYTES_MAX))
                r = MV_HOSTILE(err, "files of a module: an answer of a wrong size");
        if (r < 0)
                return r;
        receive_all(f, x, f->answer + MV_FRAME_HEADER_BYTES, len);
        if (x->e->over)
                return 0;
        r = mv_frame_decode((struct mv_slice){ f->answer, MV_FRAME_HEADER_BYTES + len }, &frame,
                            err);
        if (r == 0 && (frame.type != MV_FRAME_REPLY || frame.seq != f->seq))
                r = MV_HOSTILE(err, "files of a module: an answer to another request");
        *ret = frame.payload;
        return r;
}

void mv__kvm_files_ask(struct kvm_exchange *x, struct mv_slice request, struct mv_slice *ret)
{
        struct mv_err err;
        int r = request.len < MV_FILES_REQUEST_BYTES || request.len > REQUEST_BYTES_MAX
                        ? MV_HOSTILE(&err, "files of a module: a request of a wrong size")
                        : 0;
        if (r == 0 && !x->c->module->files && start(x, &err) < 0)
                mv__kvm_end(x->e, MV_END_ERROR, "the files of a module: %.120s", err.msg);
        struct kvm_files *f = x->c->module->files;
        if (r == 0 && !x->e->over) {
                f->busy = true;
                send_request(f, x, request);
                r = receive_answer(f, x, ret, &err);
                f->busy = r < 0 || x->e->over;
        }
        if (r < 0)
                mv__kvm_ended_by_error(x->e, &err);
}

/* --- the end (3) ------------------------------------------------------------------------------ */

void mv__kvm_files_end(struct kvm_files *f, struct mv_exit *ret_exit)
{
        mv_fd_closep(&f->door_fd);
        if (f->thread_started)
                thread_end(f);
        *ret_exit = f->exit;
        if (f->cell)
                mv_provider_process.close_cell(f->cell);
        for (uint32_t i = 3; f->argv && f->argv[i]; i++)
                free((char *)f->argv[i]);
        free(f->argv);
        free(f);
}
