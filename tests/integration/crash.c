/* SPDX-License-Identifier: Apache-2.0 */
/* Kill -9 at random moments of a plan of 20 steps with approvals, idempotency keys, retries and compensations, also while it is
 * resumed, and while votes are written. Checked of every plan: it ends; the store verifies and the execution replays; and what
 * it did to a file system and to an HTTP server is counted: once for what may not be repeated, for compensations, and for
 * keyed calls; at least once for what is idempotent.
 *
 * A call in doubt is decided as a person would: by looking whether it happened.
 * Usage: crash [--count N] [--seed N] [--verbose]. Prints TAP. */
#include "../durable.h"
#include <arpa/inet.h>
#include <audit/approvals.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <wire/cbor.h>

void mv_test_failed(const char *file, int line, const char *what)
{
        printf("# %s:%d: %s\n", file, line, what);
}

#define STEPS      20
#define ROUNDS_MAX 80
#define KILLS_MAX  6
#define WORDS_MAX  64

/* --- the server: counts requests by their path's number, in the order in which they came ------ */
static struct counts {
        unsigned posts[WORDS_MAX], gets[WORDS_MAX];
} * counted;
static int server_port;
static pid_t server_pid;

static void serve_one(int client)
{
        char buf[2048] = "";
        static const char answer[] =
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
        size_t n = 0;
        ssize_t got;
        struct timeval patience = { .tv_sec = 1 };
        setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        while (!strstr(buf, "\r\n\r\n") && n < sizeof buf - 1 &&
               (got = recv(client, buf + n, sizeof buf - 1 - n, 0)) > 0)
                n += (size_t)got;
        unsigned k = 0;
        if (strstr(buf, "\r\n\r\n") && sscanf(buf, "POST /%u ", &k) == 1 && k < WORDS_MAX)
                counted->posts[k]++;
        else if (strstr(buf, "\r\n\r\n") && sscanf(buf, "GET /%u ", &k) == 1 && k < WORDS_MAX)
                counted->gets[k]++;
        (void)!send(client, answer, sizeof answer - 1, MSG_NOSIGNAL);
        shutdown(client, SHUT_WR);
        close(client);
}

static int server_start(void)
{
        struct sockaddr_in at = { .sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t len = sizeof at;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        counted = mmap(NULL, sizeof *counted, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                       -1, 0);
        if (fd < 0 || counted == MAP_FAILED || bind(fd, (void *)&at, sizeof at) < 0 ||
            listen(fd, 64) < 0 || getsockname(fd, (void *)&at, &len) < 0)
                return -1;
        server_port = ntohs(at.sin_port);
        server_pid = fork();
        while (server_pid == 0) {
                int client = accept(fd, NULL, NULL);
                if (client >= 0)
                        serve_one(client);
        }
        close(fd);
        return server_pid < 0 ? -1 : 0;
}

/* Everything that reached the server before us has been counted when this returns: it serves in order. */
static void server_settle(void)
{
        struct sockaddr_in at = { .sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons((uint16_t)server_port) };
        char buf[256];
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(fd, (void *)&at, sizeof at) == 0) {
                (void)!send(fd, "GET /63 HTTP/1.1\r\n\r\n", 20, MSG_NOSIGNAL);
                while (recv(fd, buf, sizeof buf, 0) > 0)
                        ;
        }
        close(fd);
}

/* --- the plan --------------------------------------------------------------------------------- */
static bool process_is_here;
/* Step k: k % 4 == 0 appends a word, 1 posts, 2 writes a file, 3 gets; every fourth step a keyed append besides. Those of
 * 0 and 1 have compensations. Steps 6 and 14 need an approval. Steps 3, 10 and 17 run in a cell of their own, behind the process
 * wall where it is; the rest has none. */
static void add(char **p, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(char **p, const char *format, ...)
{
        va_list ap;
        va_start(ap, format);
        *p += vsprintf(*p, format, ap);
        va_end(ap);
}

static bool apart(int k)
{
        return k % 7 == 3 && process_is_here;
}

static void put_step(char **p, int k)
{
        add(p, "(step \"s%d\" ", k);
        if (apart(k))
                add(p, "(with-security-profile {:isolation-level :process} ");
        switch (k % 4) {
        case 0:
                add(p,
                    "^{:runtime.compensate [\"test.append\" \"u%d\"]} (call \"test.append\" "
                    "\"w%d\") "
                    "^{:runtime.idempotency-key \"k%d\"} (call \"test.append\" \"k%d\")",
                    k, k, k, k);
                break;
        case 1:
                add(p,
                    "^{:runtime.compensate [\"ccos.network.http-fetch\" {:url "
                    "\"http://127.0.0.1:%d/%d\" :method \"POST\"}]} "
                    "(call \"ccos.network.http-fetch\" {:url \"http://127.0.0.1:%d/%d\" :method "
                    "\"POST\"})",
                    server_port, k + 20, server_port, k);
                break;
        case 2:
                add(p, "(call \"ccos.io.write-file\" \"%s/f%d\" \"content %d\")", plan.dir, k, k);
                break;
        default:
                add(p,
                    "^{:runtime.learning.retry {:max-retries 2 :backoff-ms 1}} "
                    "(call \"ccos.network.http-fetch\" \"http://127.0.0.1:%d/%d\")",
                    server_port, k);
        }
        add(p, apart(k) ? "))\n" : ")\n");
}

static const char *plan_text(bool fails)
{
        static char text[16384];
        char *p = text;
        add(&p, "(do ");
        for (int k = 0; k < STEPS; k++)
                put_step(&p, k);
        add(&p, fails ? "(+ 1 \"x\"))" : "\"end\")");
        return text;
}

static void plan_context(void)
{
        char host[32];
        mv_context_free(plan.context);
        plan.context = mv_context_new(MV_LEVEL_CONTROLLED);
        snprintf(host, sizeof host, "127.0.0.1:%d", server_port);
        static const struct mv_rule ask[] = {
                { .id = "six", .action = MV_RULE_REQUIRE_APPROVAL, .step = "s6", .approvals = 2 },
                { .id = "fourteen", .action = MV_RULE_REQUIRE_APPROVAL, .step = "s14" },
        };
        if (mv_context_allow(plan.context, "test.*", &plan.err) < 0 ||
            mv_context_allow(plan.context, "ccos.io.write-file", &plan.err) < 0 ||
            mv_context_allow(plan.context, "ccos.network.http-fetch", &plan.err) < 0 ||
            mv_context_allow_host(plan.context, host, &plan.err) < 0 ||
            mv_context_allow_write(plan.context, plan.dir, &plan.err) < 0 ||
            mv_context_add_rule(plan.context, &ask[0], &plan.err) < 0 ||
            mv_context_add_rule(plan.context, &ask[1], &plan.err) < 0)
                abort();
}

/* --- one process of the plan, which may be killed --------------------------------------------- */
enum told { ENDED_OK = 0, ENDED_ERROR = 1, WAITS = 10, DOUBTS = 11, BROKEN = 12, KILLED = 13 };
static struct mv_err *told_err; /* shared: what the child said */

struct attempt {
        const char *text, *provider;
        bool resume;
        struct mv_resumption how;
        long kill_us; /* -1: it is left alone */
};

static int attempt_child(const struct attempt *a)
{
        struct mv_result *r = NULL;
        struct mv_host *h = plan_host();
        struct mv_resumption x = a->how;
        if (!h) {
                *told_err = plan.err;
                return BROKEN;
        }
        x.execution_id = plan.id;
        x.context = plan.context;
        x.provider = a->provider;
        struct mv_execution e = { .program = mv_program_source(a->text),
                                  .context = plan.context,
                                  .provider = a->provider,
                                  .prelude = true };
        int rc = a->resume ? mv_resume(h, &x, &r, &plan.err) : mv_execute(h, &e, &r, &plan.err);
        *told_err = plan.err;
        if (rc == 0) {
                int code = mv_result_ok(r) ? ENDED_OK : ENDED_ERROR;
                mv_fmt(told_err->msg, sizeof told_err->msg, "%s",
                       mv_result_ok(r) ? "" : mv_result_error(r)->message);
                mv_result_free(r);
                mv_host_free(h);
                return code;
        }
        mv_host_free(h);
        return plan.err.code == MV_E_WAITING    ? WAITS
               : plan.err.code == MV_E_IN_DOUBT ? DOUBTS
                                                : BROKEN;
}

static long now_us(void)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int reap_child(pid_t child, long kill_us)
{
        int status = 0;
        long until = now_us() + kill_us;
        while (kill_us >= 0 && now_us() < until) {
                if (waitpid(child, &status, WNOHANG) == child)
                        return WIFEXITED(status) ? WEXITSTATUS(status) : BROKEN;
                usleep(100);
        }
        if (kill_us >= 0)
                kill(child, SIGKILL);
        waitpid(child, &status, 0);
        return WIFEXITED(status)             ? WEXITSTATUS(status)
               : WTERMSIG(status) == SIGKILL ? KILLED
                                             : BROKEN;
}

static int attempt(const struct attempt *a)
{
        fflush(stdout);
        pid_t child = fork();
        if (child == 0)
                _exit(attempt_child(a));
        return reap_child(child, a->kill_us);
}

static int vote(const char *id, const char *name, long kill_us)
{
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
                struct mv_host *h = plan_host();
                int r = h ? mv_approval_vote(h->audit, id, name, true, 0, &plan.err) : -1;
                *told_err = plan.err;
                mv_host_free(h);
                _exit(r == 0 || r == -(int)MV_E_EXISTS || r == -(int)MV_E_STATE ? ENDED_OK
                                                                                : BROKEN);
        }
        return reap_child(child, kill_us);
}

/* --- somebody who looks ----------------------------------------------------------------------- */
static unsigned count_word(const char *word)
{
        unsigned n = 0;
        size_t len = strlen(word);
        for (const char *p = plan_effects(); (p = strstr(p, word)); p += len)
                n += (p == plan.words || p[-1] == ' ') && p[len] == ' ';
        return n;
}

/* Did it happen? From the record: what it was; from the world: whether it is there. */
static bool is_there(const struct mv_value *arg)
{
        char word[80], url[128] = "";
        unsigned k = 0;
        struct mv_slice s;
        if (mv_as_text(arg, &s)) {
                snprintf(word, sizeof word, "%.*s", (int)s.len, (const char *)s.p);
                return count_word(word) > 0;
        }
        if (mv_as_text(mv_map_get(arg, "url"), &s))
                snprintf(url, sizeof url, "%.*s", (int)s.len, (const char *)s.p);
        server_settle();
        return sscanf(url, "http://127.0.0.1:%*u/%u", &k) == 1 && k < WORDS_MAX &&
               counted->posts[k] > 0;
}

static bool happened(uint64_t call)
{
        struct mv_audit_reader *reader;
        struct mv_audit_record rec;
        struct mv_arena arena = mv_arena_grow(1 << 20);
        bool yes = false;
        if (mv_audit_reader_open(plan.store, &reader, &plan.err) < 0)
                abort();
        while (mv_audit_read(reader, &rec, &plan.err) == 1) {
                const struct mv_value *v;
                int64_t seq;
                if (rec.type != MV_REC_CALL ||
                    mv_value_decode(rec.semantic, &arena, &v, &plan.err) < 0 ||
                    !mv_as_int(mv_map_get(v, "seq"), &seq) || (uint64_t)seq != call)
                        continue;
                yes = is_there(&mv_map_get(v, "args")->items[0]);
        }
        mv_audit_reader_close(reader);
        mv_arena_done(&arena);
        return yes;
}

/* --- one plan to its end ---------------------------------------------------------------------- */
static unsigned seed = 1, kills_done, doubts_met, waits_met, repeated_gets, rounds_all;
static bool verbose;
static long usual_us;

static unsigned below(unsigned n)
{
        seed = seed * 1103515245u + 12345u;
        return (seed >> 8) % n;
}

static const char *why;
static bool bad(const char *what)
{
        why = what;
        return false;
}

static void approve(const char *message, bool killing)
{
        static const char *const names[] = { "ada", "bob" };
        char id[MV_APPROVAL_ID_BYTES];
        const char *at = strstr(message, "apr_");
        snprintf(id, sizeof id, "%.36s", at ? at : "");
        for (int i = 0; i < 2; i++) {
                int told = vote(id, names[i], killing && below(3) == 0 ? (long)below(3000) : -1);
                if (told == KILLED && ++kills_done)
                        told = vote(id, names[i], -1);
                if (told != ENDED_OK)
                        printf("# vote: %s\n", told_err->msg);
        }
}

static bool has_id(void)
{
        plan.id[0] = '\0';
        find_id();
        return plan.id[0];
}

static int run_to_the_end(const char *text)
{
        static const struct mv_value word = { .kind = MV_STRING,
                                              .text = { (const uint8_t *)"seen", 4 } };
        struct attempt a = { .text = text };
        unsigned kills = 1 + below(KILLS_MAX);
        for (int round = 0; round < ROUNDS_MAX; round++, rounds_all++) {
                a.provider = below(4) == 0 ? "process" : "mock";
                a.kill_us = kills ? (long)below((unsigned)usual_us) : -1;
                int told = attempt(&a);
                if (verbose)
                        printf("# %s kill %ld: told %d %s\n", a.resume ? "resume" : "run",
                               a.kill_us, told, told == KILLED ? "" : told_err->msg);
                a.how = (struct mv_resumption){ 0 };
                a.resume = has_id(); /* else it never began */
                if (told == KILLED) {
                        kills--;
                        kills_done++;
                } else if (told == WAITS) {
                        waits_met++;
                        approve(told_err->msg, kills > 0);
                } else if (told == DOUBTS) {
                        doubts_met++;
                        a.how.in_doubt_call =
                                strtoull(strstr(told_err->msg, "call ") + 5, NULL, 10);
                        a.how.in_doubt = happened(a.how.in_doubt_call) ? MV_IN_DOUBT_DONE
                                                                       : MV_IN_DOUBT_REPEAT;
                        a.how.reply = &word;
                } else if (told == BROKEN && strstr(told_err->msg, "has ended")) {
                        return -1; /* killed behind its root: how it ended is in the record */
                } else {
                        return told;
                }
        }
        return BROKEN;
}

static bool files_right(void)
{
        for (int k = 2; k < STEPS; k += 4) {
                char path[128], wanted[32], found[32] = "";
                snprintf(path, sizeof path, "%s/f%d", plan.dir, k);
                snprintf(wanted, sizeof wanted, "content %d", k);
                FILE *f = fopen(path, "re");
                if (!f || !fgets(found, sizeof found, f) || strcmp(found, wanted) != 0)
                        return bad("a file is missing or wrong");
                fclose(f);
        }
        return true;
}

static bool effects_right(bool fails)
{
        char word[16];
        server_settle();
        for (int k = 0; k < STEPS; k++) {
                snprintf(word, sizeof word, "w%d", k);
                if (count_word(word) != (k % 4 == 0))
                        return bad("an append is missing or was repeated");
                snprintf(word, sizeof word, "k%d", k);
                if (count_word(word) != (k % 4 == 0))
                        return bad("a keyed append is missing or was repeated");
                snprintf(word, sizeof word, "u%d", k);
                if (count_word(word) != (k % 4 == 0 && fails))
                        return bad("a compensation is missing or was repeated");
                if (counted->posts[k] != (k % 4 == 1))
                        return bad("a POST is missing or was repeated");
                if (counted->posts[k + 20] != (k % 4 == 1 && fails))
                        return bad("a POST that compensates is missing or was repeated");
                if (k % 4 == 3 && !counted->gets[k])
                        return bad("a GET is missing");
                repeated_gets += k % 4 == 3 ? counted->gets[k] - 1 : 0;
        }
        return files_right();
}

static bool one_plan(bool fails)
{
        plan_again();
        memset(counted, 0, sizeof *counted);
        int told = run_to_the_end(plan_text(fails));
        if (told != -1 && told != (fails ? ENDED_ERROR : ENDED_OK)) {
                printf("# told %d: %s\n", told, told_err->msg);
                return bad("the plan did not end as it should");
        }
        if (!plan_verifies())
                return bad("the store does not verify");
        if (!plan_replays())
                return bad("the execution does not replay to its root");
        return effects_right(fails);
}

/* How long the longest of its processes runs when nobody kills it. */
static long measure(void)
{
        long longest = 0;
        plan_again();
        struct attempt a = { .text = plan_text(true), .provider = "mock", .kill_us = -1 };
        for (;;) {
                long began = now_us();
                int told = attempt(&a);
                longest = now_us() - began > longest ? now_us() - began : longest;
                if (told != WAITS || !has_id())
                        return told == ENDED_ERROR ? longest : -1;
                approve(told_err->msg, false);
                a.resume = true;
        }
}

int main(int argc, char **argv)
{
        long count = 25, failed = 0;
        process_is_here = plan_has_process();
        for (int i = 1; i < argc; i++)
                if (strcmp(argv[i], "--count") == 0 && i + 1 < argc)
                        count = strtol(argv[++i], NULL, 10);
                else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
                        seed = (unsigned)strtoul(argv[++i], NULL, 10);
                else if (strcmp(argv[i], "--verbose") == 0)
                        verbose = true;
        told_err = mmap(NULL, sizeof *told_err, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                        -1, 0);
        plan_new();
        if (told_err == MAP_FAILED || server_start() < 0)
                return 1;
        plan_context();
        usual_us = measure();
        if (usual_us < 0) {
                printf("1..1\n# %s\nnot ok 1 - the plan ends when nobody kills it\n",
                       told_err->msg);
                count = 0;
                failed = 1;
        }
        for (long i = 0; i < count; i++) {
                unsigned began = seed;
                if (one_plan(i % 2))
                        continue;
                failed++;
                printf("# plan %ld (seed %u): %s\n", i, began, why);
        }
        kill(server_pid, SIGKILL);
        waitpid(server_pid, NULL, 0);
        if (count) {
                printf("1..1\n# %ld plans, %u kills, %u processes, %u approvals waited for, %u "
                       "calls in doubt, %u GETs repeated; the longest %ld us when undisturbed\n",
                       count, kills_done, rounds_all, waits_met, doubts_met, repeated_gets,
                       usual_us);
                printf("%sok 1 - %ld plans that were killed end, and their effects are counted\n",
                       failed ? "not " : "", count);
        }
        plan_done();
        return failed != 0;
}
