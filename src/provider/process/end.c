/* SPDX-License-Identifier: Apache-2.0 */
/* Why a runner ended by itself. An exit code says what its own start-up met; a signal says what
 * a program did to it. */
#include <signal.h>
#include <base/slice.h>
#include <provider/process/process.h>
#include <wire/linux_runner.h>

static void say(struct mv_exit *x, enum mv_termination t, const char *text)
{
        x->termination = t;
        mv_fmt(x->detail, sizeof x->detail, "%s", text);
}

static void explain_exit(int code, struct mv_exit *x)
{
        switch (code) {
        case MV_RUNNER_EXIT_OK:
                say(x, MV_END_KILLED, "the runner ended without a result");
                return;
        case MV_RUNNER_EXIT_USAGE:
                say(x, MV_END_KILLED, "the runner refused its command line");
                return;
        case MV_RUNNER_EXIT_MEMORY:
                say(x, MV_END_MEMORY, "the kernel did not give the runner its memory");
                return;
        case MV_RUNNER_EXIT_FILTER:
                say(x, MV_END_KILLED,
                    "the kernel refused the runner's seccomp filter; nothing was run");
                return;
        case MV_RUNNER_EXIT_ARENA:
                say(x, MV_END_MEMORY, "the memory limit leaves too little for the evaluator");
                return;
        case MV_RUNNER_EXIT_TRAP:
                say(x, MV_END_KILLED, "the evaluator trapped: it left the bounds of WebAssembly");
                return;
        default:
                x->termination = MV_END_KILLED;
                mv_fmt(x->detail, sizeof x->detail, "the runner exited with code %d and no result",
                       code);
        }
}

/* The kernel does not say who sent SIGKILL. The out-of-memory killer leaves a count behind. */
static bool oom_killer_struck(struct mv_provider *p)
{
        uint64_t now = mv_sys_oom_kills();
        return atomic_exchange(&p->oom_kills_seen, now) != now;
}

static void explain_signal(struct mv_cell *c, uint64_t cpu_ns_max, struct mv_exit *x)
{
        bool by_limit = x->signal == SIGXCPU || x->signal == SIGKILL;
        if (by_limit && cpu_ns_max && x->cpu_ns >= cpu_ns_max) {
                x->termination = MV_END_TIMEOUT;
                x->cpu_time = true;
                mv_fmt(x->detail, sizeof x->detail, "CPU time limit exceeded: %llu ms > %llu ms",
                       (unsigned long long)(x->cpu_ns / 1000000),
                       (unsigned long long)(cpu_ns_max / 1000000));
        } else if (x->signal == SIGSYS) {
                say(x, MV_END_KILLED, "killed by SIGSYS: system call outside the wall");
        } else if (x->signal == SIGKILL && oom_killer_struck(c->provider)) {
                say(x, MV_END_MEMORY,
                    "killed by SIGKILL while the kernel's out-of-memory killer was at work");
        } else {
                const char *name = sigabbrev_np(x->signal);
                x->termination = MV_END_KILLED;
                mv_fmt(x->detail, sizeof x->detail, "killed by SIG%s%s", name ? name : "?",
                       x->signal == SIGKILL ? ", which this library did not send" : "");
        }
}

void mv__process_explain_end(struct mv_cell *c, const struct mv_sys_end *end, uint64_t cpu_ns_max,
                             struct mv_exit *ret)
{
        ret->exit_code = end->exit_code;
        ret->signal = end->signal;
        ret->cpu_ns = end->cpu_ns;
        if (c->cancelled)
                say(ret, MV_END_KILLED, "cancelled");
        else if (!end->known)
                say(ret, MV_END_KILLED,
                    "the runner ended and the program around this library reaped it");
        else if (end->signal)
                explain_signal(c, cpu_ns_max, ret);
        else
                explain_exit(end->exit_code, ret);
}

void mv__process_explain(struct mv_cell *c, uint64_t cpu_ns_max, struct mv_exit *ret)
{
        struct mv_sys_end end;
        mv_sys_child_wait(&c->child, &end);
        mv__process_explain_end(c, &end, cpu_ns_max, ret);
}
