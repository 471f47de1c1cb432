/* SPDX-License-Identifier: Apache-2.0 */
/* Cells of programs that were made before they were asked for (src/provider/process/spare.c): who may
 * use one, what is in it, and that none is left. With MV_TEST_AS_USER, of an ordinary user. */
#include "../test.h"
#include <dirent.h>
#include <grp.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <microvm/microvm.h>

#define USER_ID   54321
#define MIB       ((uint64_t)1 << 20)
#define SPARES    4
#define UNUSED_MS 5000 /* how long a spare may wait */

static struct mv_host *host;

__attribute__((constructor(200))) static void set_up(void)
{
        struct mv_err err;
        if (getenv("MV_TEST_AS_USER") && geteuid() == 0 &&
            (setgroups(0, NULL) < 0 || setresgid(USER_ID, USER_ID, USER_ID) < 0 ||
             setresuid(USER_ID, USER_ID, USER_ID) < 0))
                abort();
        if (mv_host_new(NULL, &host, &err) < 0)
                abort();
}

/* --- running ---------------------------------------------------------------------------------- */

/* Standard output of a shell command behind the process wall, without its line end; NULL: it did not end well. */
static const char *shell(const char *command, uint64_t memory_bytes)
{
        static _Thread_local char text[256];
        const char *argv[] = { "-c", command, NULL };
        struct mv_context *c = mv_context_new(MV_LEVEL_CONTROLLED);
        struct mv_execution x = {
                .program = { .kind = MV_PROGRAM_EXTERNAL, .path = "/bin/sh", .argv = argv },
                .context = c,
                .provider = "process",
                .limits = { .memory_bytes_max = memory_bytes }
        };
        struct mv_result *r = NULL;
        struct mv_err err = { 0 };
        bool ok = mv_context_allow(c, "external_program", &err) == 0 &&
                  mv_execute(host, &x, &r, &err) == 0 && mv_result_ok(r);
        if (!ok)
                printf("# %s: %s\n", command, r ? mv_result_error(r)->message : err.msg);
        struct mv_slice out = ok ? mv_result_stdout(r) : (struct mv_slice){ 0 };
        while (out.len && out.p[out.len - 1] == '\n')
                out.len--;
        snprintf(text, sizeof text, "%.*s", (int)out.len, (const char *)out.p);
        mv_result_free(r);
        mv_context_free(c);
        return ok ? text : NULL;
}

static bool works(void)
{
        const char *said = shell("echo $((6 * 7))", 0);
        return said && strcmp(said, "42") == 0;
}

/* With a granted path a cell is made on request. */
static bool reads_granted(void)
{
        struct mv_err err;
        const char *argv[] = { "-c", "test -r /etc/hostname", NULL };
        struct mv_context *c = mv_context_new(MV_LEVEL_CONTROLLED);
        struct mv_execution x = {
                .program = { .kind = MV_PROGRAM_EXTERNAL, .path = "/bin/sh", .argv = argv },
                .context = c,
                .provider = "process"
        };
        struct mv_result *r = NULL;
        bool ok = mv_context_allow(c, "external_program", &err) == 0 &&
                  mv_context_allow_read(c, "/etc/hostname", &err) == 0 &&
                  mv_execute(host, &x, &r, &err) == 0 && mv_result_ok(r);
        mv_result_free(r);
        mv_context_free(c);
        return ok;
}

/* --- looking ---------------------------------------------------------------------------------- */

/* Children of `parent` with that name, their numbers sorted as /proc lists them. */
static unsigned children(pid_t parent, const char *name, pid_t *ret, unsigned cap)
{
        unsigned n = 0;
        DIR *d = opendir("/proc");
        for (struct dirent *e; d && (e = readdir(d));) {
                char path[300], comm[32] = "";
                int pid = 0, of = 0;
                snprintf(path, sizeof path, "/proc/%s/stat", e->d_name);
                FILE *f = e->d_name[0] >= '0' && e->d_name[0] <= '9' ? fopen(path, "re") : NULL;
                if (f && fscanf(f, "%d (%31[^)]) %*c %d", &pid, comm, &of) == 3 && of == parent &&
                    strcmp(comm, name) == 0) {
                        if (n < cap)
                                ret[n] = pid;
                        n++;
                }
                if (f)
                        fclose(f);
        }
        if (d)
                closedir(d);
        return n;
}

static unsigned spares_of(pid_t parent)
{
        return children(parent, "microvm-spare", NULL, 0);
}

static bool spares_become(pid_t parent, unsigned wanted)
{
        unsigned seen = 0; /* in a row: one that was refused dies while its successor is made */
        for (int i = 0; i < 1000; i++) {
                seen = spares_of(parent) == wanted ? seen + 1 : 0;
                if (seen == 5)
                        return true;
                usleep(10000);
        }
        printf("# %u spares, not %u\n", spares_of(parent), wanted);
        return false;
}

static unsigned descriptors(void)
{
        unsigned n = 0;
        DIR *d = opendir("/proc/self/fd");
        while (d && readdir(d))
                n++;
        if (d)
                closedir(d);
        return n;
}

/* --- tests ------------------------------------------------------------------------------------ */

TEST(one_execution_makes_no_spare)
{
        if (!shell("exit 0", 0))
                SKIP("programs do not run here");
        usleep(50000);
        CHECK(spares_of(getpid()) == 0);
}

TEST(the_second_of_a_kind_makes_spares_and_each_is_used_once)
{
        pid_t before[SPARES] = { 0 }, after[SPARES] = { 0 };
        CHECK(works());
        CHECK(works());
        REQUIRE(spares_become(getpid(), SPARES));
        children(getpid(), "microvm-spare", before, SPARES);
        for (int i = 0; i < SPARES; i++)
                CHECK(works());
        REQUIRE(spares_become(getpid(), SPARES));
        children(getpid(), "microvm-spare", after, SPARES);
        for (int i = 0; i < SPARES; i++)
                for (int k = 0; k < SPARES; k++)
                        CHECK(before[i] != after[k]);
}

TEST(nothing_of_an_execution_is_found_by_the_next)
{
        for (int i = 0; i < 8; i++) {
                const char *said = shell(
                        "ls -A /tmp /workspace /workspace/output /dev/shm | grep -c left; "
                        "touch /tmp/left /workspace/left /workspace/output/left /dev/shm/left",
                        0);
                CHECK_STR(said, "0");
        }
}

/* RLIMIT_DATA, or the scratch file system, follow the limit of memory. */
TEST(a_spare_for_other_limits_is_not_used)
{
        static const char blocks[] = "stat -f -c '%b %S' /tmp | (read n size; echo $((n * size)))";
        for (int i = 0; i < 3; i++)
                CHECK_STR(shell(blocks, 64 * MIB), "33554432");
        REQUIRE(spares_become(getpid(), SPARES));
        CHECK_STR(shell(blocks, 32 * MIB), "16777216");
        CHECK_STR(shell(blocks, 64 * MIB), "33554432");
}

TEST(a_lower_limit_of_the_host_holds_at_once)
{
        struct rlimit before, lower;
        CHECK(works());
        CHECK(works());
        REQUIRE(spares_become(getpid(), SPARES));
        getrlimit(RLIMIT_LOCKS, &before);
        lower = (struct rlimit){ 7, before.rlim_max };
        setrlimit(RLIMIT_LOCKS, &lower);
        CHECK_STR(shell("grep 'Max file locks' /proc/self/limits | (read a b c soft d; echo $soft)",
                        0),
                  "7");
        setrlimit(RLIMIT_LOCKS, &before);
}

static void *run_restricted(void *ret)
{
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        *(bool *)ret = works();
        return NULL;
}

TEST(a_thread_that_gave_up_rights_gets_no_spare)
{
        pid_t before[SPARES] = { 0 }, after[SPARES] = { 0 };
        pthread_t thread;
        bool ok = false;
        for (int i = 0; i < 2; i++)
                CHECK(works());
        REQUIRE(spares_become(getpid(), SPARES));
        children(getpid(), "microvm-spare", before, SPARES);
        REQUIRE(pthread_create(&thread, NULL, run_restricted, &ok) == 0);
        pthread_join(thread, NULL);
        CHECK(ok);
        REQUIRE(spares_become(getpid(), SPARES));
        children(getpid(), "microvm-spare", after, SPARES);
        CHECK(works());
        bool kept = false; /* the one that was offered is thrown away, the other waits on */
        for (int i = 0; i < SPARES; i++)
                for (int k = 0; k < SPARES; k++)
                        kept |= before[i] == after[k];
        CHECK(kept);
}

TEST(a_spare_that_somebody_killed_is_not_used)
{
        pid_t pids[SPARES] = { 0 };
        CHECK(works());
        CHECK(works());
        REQUIRE(spares_become(getpid(), SPARES));
        unsigned n = children(getpid(), "microvm-spare", pids, SPARES);
        for (unsigned i = 0; i < n && i < SPARES; i++)
                kill(pids[i], SIGKILL);
        usleep(200000);
        CHECK(works());
        CHECK(works());
}

/* (6) of spare.c: the copy has the parent's memory and none of its processes. */
TEST(a_process_that_forked_goes_on_and_so_does_its_parent)
{
        CHECK(works());
        CHECK(works());
        REQUIRE(spares_become(getpid(), SPARES));
        fflush(stdout);
        pid_t pid = fork();
        REQUIRE(pid >= 0);
        if (pid == 0) {
                alarm(20);
                bool ok = works() && works() && works() && reads_granted() &&
                          spares_of(getpid()) == 0;
                host = mv_host_free(host);
                _exit(ok ? 0 : 1);
        }
        int status = 0;
        waitpid(pid, &status, 0);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        CHECK(spares_of(getpid()) == SPARES);
        CHECK(works());
}

TEST(spares_end_with_their_process_whoever_else_has_its_descriptors)
{
        int said[2];
        pid_t pids[SPARES];
        REQUIRE(pipe(said) == 0);
        fflush(stdout);
        pid_t pid = fork();
        REQUIRE(pid >= 0);
        if (pid == 0) {
                struct mv_err err;
                if (mv_host_new(NULL, &host, &err) < 0 || !works() || !works() ||
                    !spares_become(getpid(), SPARES))
                        _exit(1);
                children(getpid(), "microvm-spare", pids, SPARES);
                pid_t copy = fork(); /* keeps the control sockets open */
                if (copy == 0) {
                        prctl(PR_SET_PDEATHSIG, 0);
                        sleep(3);
                        _exit(0);
                }
                if (write(said[1], pids, sizeof pids) != sizeof pids)
                        _exit(1);
                pause();
        }
        REQUIRE(read(said[0], pids, sizeof pids) == sizeof pids);
        close(said[0]);
        close(said[1]);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        for (int i = 0; i < SPARES; i++) {
                char path[64];
                snprintf(path, sizeof path, "/proc/%d/ns/net", (int)pids[i]);
                UNTIL(access(path, F_OK) < 0);
                CHECK(access(path, F_OK) < 0);
        }
}

static void *run_often(void *ret)
{
        bool ok = true;
        for (int i = 0; i < 25; i++)
                ok &= works();
        *(bool *)ret = ok;
        return NULL;
}

TEST(many_threads_share_them)
{
        pthread_t threads[4];
        bool ok[4] = { false };
        for (int i = 0; i < 4; i++)
                REQUIRE(pthread_create(&threads[i], NULL, run_often, &ok[i]) == 0);
        for (int i = 0; i < 4; i++)
                pthread_join(threads[i], NULL);
        for (int i = 0; i < 4; i++)
                CHECK(ok[i]);
}

TEST(spares_that_nobody_needs_are_gone_after_five_seconds)
{
        CHECK(works());
        CHECK(works());
        REQUIRE(spares_become(getpid(), SPARES));
        usleep((UNUSED_MS + 200) * 1000);
        CHECK(spares_become(getpid(), 0));
        CHECK(works());
}

TEST(whoever_wants_none_gets_none)
{
        struct mv_err err;
        struct mv_host *other = host;
        REQUIRE(mv_host_new(NULL, &host, &err) == 0);
        CHECK(mv_host_provider_init(host, "process", "{\"prepared_cells\": 5}", &err) < 0);
        CHECK(mv_host_provider_init(host, "process", "{\"prepared_cells\": 0}", &err) == 0);
        CHECK(spares_become(getpid(), 0));
        for (int i = 0; i < 4; i++)
                CHECK(works());
        CHECK(spares_become(getpid(), 0));
        mv_host_free(host);
        host = other;
}

TEST(the_host_ends_and_nothing_of_it_is_left) /* the last one */
{
        struct mv_err err;
        host = mv_host_free(host);
        unsigned before = descriptors();
        CHECK(spares_of(getpid()) == 0);
        REQUIRE(mv_host_new(NULL, &host, &err) == 0);
        for (int i = 0; i < 5; i++)
                CHECK(works());
        host = mv_host_free(host);
        CHECK(spares_of(getpid()) == 0);
        CHECK(children(getpid(), "microvm-init", NULL, 0) == 0);
        CHECK(descriptors() == before);
}
