/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_TEST_DURABLE_H
#define MV_TEST_DURABLE_H
/* A plan that runs in a child process, is killed there with SIGKILL at a chosen moment, and is resumed here. Effects are
 * lines in a file: test.append writes one word and may not be repeated, test.put may. */
#include "test.h"
#include <audit/audit.h>
#include <base/slice.h>
#include <fcntl.h>
#include <host/host.h>
#include <microvm/microvm.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum moment { NEVER, BEFORE_EFFECT, AFTER_EFFECT, SLEEP_BEFORE };
static struct {
        char dir[64], store[96], effects[96], id[64], root[65], printed[256], shown[512],
                words[4096];
        struct mv_context *context;
        struct mv_err err;
        int calls, die_at;
        enum moment when;
        const char *fail_with; /* fault kind of test.append "bad", or NULL */
        int fail_times;
        uint64_t price;    /* tokens that an effect costs */
        bool price_after;  /* ... which is known behind it only */
        unsigned sleep_ms; /* within an effect */
        const char *seed;  /* of what runs, not of what is resumed */
} plan __attribute__((unused));

static void write_word(struct mv_slice word)
{
        int fd = open(plan.effects, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        char line[80];
        int n = snprintf(line, sizeof line, "%.*s ", (int)(word.len < 70 ? word.len : 70),
                         (const char *)word.p);
        if (fd < 0 || write(fd, line, (size_t)n) != n)
                abort();
        close(fd);
}

static int effect(struct mv_call *call, const struct mv_value *args, uint32_t n,
                  struct mv_value *ret)
{
        bool now = ++plan.calls == plan.die_at;
        if (now && plan.when == SLEEP_BEFORE) {
                write_word(MV_SLICE("sleeping"));
                pause();
        }
        if (now && plan.when == BEFORE_EFFECT)
                kill(getpid(), SIGKILL);
        if (plan.fail_with && mv_slice_eq_str(args[0].text, "bad") && plan.fail_times-- > 0)
                return mv_call_fail(call, plan.fail_with, "as the test wants it");
        int r = plan.price && !plan.price_after ? mv_call_reserve(call, MV_SPEND_TOKENS, plan.price)
                                                : 0;
        if (r < 0)
                return r;
        struct mv_slice word = args[0].text;
        if (word.len && word.p[0] == '@') { /* what the program says about itself under this name */
                char name[32];
                snprintf(name, sizeof name, "%.*s", (int)word.len - 1, (const char *)word.p + 1);
                mv_as_text(mv_map_get(mv_call_program_context(call), name), &word);
        }
        write_word(word);
        usleep(plan.sleep_ms * 1000);
        if (now && plan.when == AFTER_EFFECT)
                kill(getpid(), SIGKILL);
        *ret = args[0];
        return plan.price_after ? mv_call_spend(call, MV_SPEND_TOKENS, plan.price) : 0;
}

static struct mv_host *plan_host(void)
{
        struct mv_host *h;
        struct mv_capability append = { .id = "test.append",
                                        .effects = MV_EFFECT_SYSTEM,
                                        .args_min = 1,
                                        .args_max = 1,
                                        .call = effect };
        struct mv_capability put = append;
        put.id = "test.put";
        put.idempotent = true;
        if (mv_host_new(&(struct mv_host_options){ .audit_path = plan.store }, &h, &plan.err) < 0)
                return NULL;
        if (mv_host_add_capability(h, &append, &plan.err) < 0 ||
            mv_host_add_capability(h, &put, &plan.err) < 0)
                abort();
        return h;
}

/* Is the process wall usable here? */
static bool __attribute__((unused)) plan_has_process(void)
{
        struct mv_host *h;
        struct mv_provider_info info;
        uint32_t at;
        if (mv_host_new(NULL, &h, &plan.err) < 0)
                return false;
        bool here = mv_host_provider_find(h, "process", &at) == 0 &&
                    mv_host_provider_info(h, at, &info, &plan.err) == 0 && info.available;
        mv_host_free(h);
        return here;
}

static void plan_take(const struct mv_result *r)
{
        struct mv_slice out = mv_result_stdout(r);
        for (int i = 0; i < 32; i++)
                snprintf(plan.root + 2 * i, 3, "%02x", mv_result_root(r)[i]);
        snprintf(plan.printed, sizeof plan.printed, "%.*s", (int)out.len, (const char *)out.p);
        snprintf(plan.id, sizeof plan.id, "%s", mv_result_execution_id(r));
        char *text = mv_result_ok(r) ? mv_value_display(mv_result_value(r), NULL) : NULL;
        if (text)
                snprintf(plan.shown, sizeof plan.shown, "%s", text);
        else
                snprintf(plan.shown, sizeof plan.shown, "error %s", mv_result_error(r)->kind);
        free(text);
}

static const char *plan_failed(void)
{
        static const char *const names[] = { "OK",
#define X(name, text) #name,
                                             MV_ERR_MAP(X)
#undef X
        };
        return names[plan.err.code];
}

static const char *plan_execute(const char *text)
{
        struct mv_result *r;
        struct mv_host *h = plan_host();
        struct mv_execution x = { .program = mv_program_source(text),
                                  .context = plan.context,
                                  .provider = "mock",
                                  .prelude = true,
                                  .seed = plan.seed };
        if (!h)
                return plan_failed();
        int rc = mv_execute(h, &x, &r, &plan.err);
        if (rc == 0) {
                plan_take(r);
                mv_result_free(r);
        }
        mv_host_free(h);
        return rc < 0 ? plan_failed() : plan.shown;
}

static void __attribute__((unused)) plan_new(void)
{
        memset(&plan, 0, sizeof plan);
        snprintf(plan.dir, sizeof plan.dir, "/tmp/mv-durable-XXXXXX");
        if (!mkdtemp(plan.dir))
                abort();
        snprintf(plan.store, sizeof plan.store, "%s/a.mva", plan.dir);
        snprintf(plan.effects, sizeof plan.effects, "%s/effects", plan.dir);
        plan.context = mv_context_new(MV_LEVEL_CONTROLLED);
        if (mv_context_allow(plan.context, "test.*", &plan.err) < 0 ||
            mv_context_allow(plan.context, "ccos.io.println", &plan.err) < 0)
                abort();
}

static void plan_clear(void)
{
        char command[128];
        snprintf(command, sizeof command, "rm -rf %s", plan.dir);
        if (system(command) != 0)
                abort();
}

/* Another store, no effects yet; context and settings stay. */
static void __attribute__((unused)) plan_again(void)
{
        plan_clear();
        if (mkdir(plan.dir, 0700) < 0)
                abort();
        plan.calls = plan.die_at = 0;
        plan.id[0] = plan.root[0] = plan.printed[0] = '\0';
}

static void __attribute__((unused)) plan_done(void)
{
        mv_context_free(plan.context);
        plan_clear();
}

/* Here, to its end. */
static __attribute__((unused)) const char *plan_run(const char *text, int unused)
{
        plan.die_at = unused;
        return plan_execute(text);
}

/* The id of the last execution in the store. */
static void find_id(void)
{
        struct mv_audit_reader *reader;
        struct mv_audit_record rec;
        if (mv_audit_reader_open(plan.store, &reader, &plan.err) < 0)
                return;
        while (mv_audit_read(reader, &rec, &plan.err) == 1)
                if (rec.execution_id[0])
                        snprintf(plan.id, sizeof plan.id, "%s", rec.execution_id);
        mv_audit_reader_close(reader);
}

static void reap(pid_t child)
{
        int status;
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        find_id();
}

static pid_t begin(const char *text, int at, enum moment when)
{
        pid_t child = fork();
        if (child)
                return child;
        plan.die_at = at;
        plan.when = when;
        plan_execute(text);
        _exit(0); /* the parent expects a kill */
}

/* In a child, which is killed around its effect number `at`. */
static void __attribute__((unused)) plan_killed(const char *text, int at, enum moment when)
{
        fflush(stdout);
        reap(begin(text, at, when));
}

static const char *plan_effects(void)
{
        FILE *f = fopen(plan.effects, "re");
        size_t n = f ? fread(plan.words, 1, sizeof plan.words - 1, f) : 0;
        plan.words[n] = '\0';
        if (f)
                fclose(f);
        return plan.words;
}

/* A child that stands still within its effect number `at`. */
static pid_t __attribute__((unused)) plan_running(const char *text, int at)
{
        fflush(stdout);
        pid_t child = begin(text, at, SLEEP_BEFORE);
        while (!strstr(plan_effects(), "sleeping"))
                usleep(1000);
        if (truncate(plan.effects, (off_t)strlen(plan.words) - 9) < 0)
                abort();
        find_id();
        return child;
}

static void __attribute__((unused)) plan_kill(pid_t child)
{
        kill(child, SIGKILL);
        reap(child);
}

/* The value's display form, "error KIND", or the name of the code. */
static __attribute__((unused)) const char *plan_resume(const struct mv_resumption *how)
{
        struct mv_resumption x = how ? *how : (struct mv_resumption){ 0 };
        struct mv_result *r;
        struct mv_host *h = plan_host();
        if (!h)
                return plan_failed();
        x.execution_id = plan.id;
        x.context = plan.context;
        x.provider = "mock";
        plan.die_at = 0;
        int rc = mv_resume(h, &x, &r, &plan.err);
        if (rc == 0) {
                plan_take(r);
                mv_result_free(r);
        }
        mv_host_free(h);
        return rc < 0 ? plan_failed() : plan.shown;
}

static bool __attribute__((unused)) plan_verifies(void)
{
        struct mv_audit_verdict v;
        return mv_audit_verify(plan.store, NULL, &v, &plan.err) == 0 && v.ok;
}

static bool __attribute__((unused)) plan_replays(void)
{
        struct mv__replay again = { 0 };
        struct mv_host *h;
        if (mv_host_new(NULL, &h, &plan.err) < 0)
                return false;
        int r = mv_host_replay(h, plan.store, plan.id, NULL, &again, &plan.err);
        mv_host_free(h);
        return r == 0 && again.same;
}

/* Takes the last records away. */
static void __attribute__((unused)) plan_cut_records(unsigned count)
{
        uint64_t at[256];
        unsigned n = 0;
        struct mv_audit_reader *reader;
        struct mv_audit_record rec;
        if (mv_audit_reader_open(plan.store, &reader, &plan.err) < 0)
                abort();
        while (mv_audit_read(reader, &rec, &plan.err) == 1 && n < 256)
                at[n++] = rec.offset;
        mv_audit_reader_close(reader);
        if (n < count || truncate(plan.store, (off_t)at[n - count]) < 0)
                abort();
}

/* Changes the first byte of the first place that holds this text. */
static void __attribute__((unused)) plan_flip_byte(const char *text, size_t skip)
{
        static char bytes[1 << 20];
        int fd = open(plan.store, O_RDWR | O_CLOEXEC);
        ssize_t n = read(fd, bytes, sizeof bytes);
        char *p = n > 0 ? memmem(bytes, (size_t)n, text + 0, strlen(text)) : NULL;
        if (!p)
                abort();
        p[skip] ^= 1;
        if (pwrite(fd, p, strlen(text), p - bytes) < 0)
                abort();
        close(fd);
}

#endif
