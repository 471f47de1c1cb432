/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"
#include <audit/audit.h>
#include <audit/reader.h>
#include <audit/store.h>
#include <base/slice.h>
#include <errno.h>
#include <fcntl.h>
#include <microvm/audit.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct mv_err err;
static char dir[64], store[80], key[80];

static void fresh_dir(void)
{
        snprintf(dir, sizeof dir, "%s/mv-audit-XXXXXX", P_tmpdir);
        if (!mkdtemp(dir))
                abort();
        snprintf(store, sizeof store, "%s/store", dir);
        snprintf(key, sizeof key, "%s/key", dir);
}

static void drop_dir(void)
{
        unlink(store);
        unlink(key);
        CHECK(rmdir(dir) == 0); /* nothing else was left behind */
}

static struct mv_audit *open_store(bool no_sync)
{
        struct mv_audit *a = NULL;
        struct mv_audit_options o = { .path = store, .key_path = key, .no_sync = no_sync };
        return mv_audit_open(&o, &a, &err) == 0 ? a : NULL;
}

static bool add(struct mv_trail *t, const char *payload)
{
        return mv_trail_append(t, MV_REC_CALL, mv_slice_str(payload), (struct mv_slice){ NULL, 0 },
                               &err) == 0;
}

static bool run_one(struct mv_audit *a, const char *id, int records)
{
        struct mv_trail *t;
        uint8_t root[32];
        uint32_t n;
        bool ok = mv_trail_begin(a, id, &t, &err) == 0;
        if (!ok)
                return false;
        for (int i = 0; ok && i < records; i++)
                ok = add(t, "\x64some");
        ok = ok && mv_trail_end(t, root, &n, &err) == 0;
        mv_trail_free(t);
        return ok;
}

static struct mv_audit_verdict verify(void)
{
        struct mv_audit_verdict v = { .ok = false };
        CHECK(mv_audit_verify(store, NULL, &v, &err) == 0);
        return v;
}

static uint8_t *slurp(size_t *ret_len)
{
        struct stat st;
        int fd = open(store, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0)
                abort();
        uint8_t *p = malloc((size_t)st.st_size + 1);
        if (!p || read(fd, p, (size_t)st.st_size) != st.st_size)
                abort();
        close(fd);
        *ret_len = (size_t)st.st_size;
        return p;
}

static void spill(const uint8_t *p, size_t len)
{
        int fd = open(store, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd < 0 || write(fd, p, len) != (ssize_t)len)
                abort();
        close(fd);
}

TEST(a_store_is_continued_where_it_ended)
{
        fresh_dir();
        for (int i = 0; i < 3; i++) {
                struct mv_audit *a = open_store(false);
                REQUIRE(a);
                CHECK(run_one(a, "exec", 4));
                mv_audit_close(a);
        }
        struct mv_audit_verdict v = verify();
        CHECK(v.ok && v.records == 18 && v.roots == 3 && v.executions == 3 && v.torn_bytes == 0);
        /* each ran one program: sealed with it, not once more when closed */
        CHECK(v.seals == 3 && v.unsealed == 0);
        struct mv_audit_summary s;
        CHECK(mv_audit_check(store, v.public_key, &s, &err) == 0 && s.ok && s.records == 18 &&
              s.unsealed == 0);
        v.public_key[0] ^= 1;
        CHECK(mv_audit_check(store, v.public_key, &s, &err) == 0 && !s.ok);
        struct stat st;
        CHECK(stat(store, &st) == 0 && (st.st_mode & 0777) == 0600);
        drop_dir();
}

TEST(a_store_cut_at_any_byte_reopens_with_every_whole_record)
{
        fresh_dir();
        struct mv_audit *a = open_store(true);
        REQUIRE(a && run_one(a, "first", 3));
        mv_audit_close(a);
        size_t len;
        uint8_t *bytes = slurp(&len);
        for (size_t cut = 0; cut <= len; cut++) {
                spill(bytes, cut);
                uint64_t whole = cut < MV_STORE_HEADER_BYTES ? 0 : verify().records;
                a = open_store(true);
                REQUIRE(a);
                CHECK(run_one(a, "second", 1));
                mv_audit_close(a);
                struct mv_audit_verdict v = verify();
                CHECK(v.ok && v.records == whole + 3 && v.torn_bytes == 0 && v.unsealed == 0);
                CHECK(cut < len || whole == 5);
        }
        free(bytes);
        drop_dir();
}

TEST(a_damaged_last_record_is_reported_and_never_repaired)
{
        fresh_dir();
        struct mv_audit *a = open_store(true);
        REQUIRE(a && run_one(a, "first", 2));
        mv_audit_close(a);
        size_t len, len_after;
        uint8_t *bytes = slurp(&len), *after;
        for (size_t back = 1; back <= 150; back += 7) {
                bytes[len - back] ^= 0x40;
                spill(bytes, len);
                CHECK(!open_store(true) && err.code == MV_E_CORRUPT &&
                      strstr(err.msg, "record at byte"));
                after = slurp(&len_after);
                CHECK(len == len_after && memcmp(bytes, after, len) == 0);
                free(after);
                bytes[len - back] ^= 0x40;
        }
        free(bytes);
        drop_dir();
}

TEST(a_file_that_is_no_store_is_left_alone)
{
        static const char *const others[] = { "x", "notes of mine", "MVAUDIT2", "MVAUDIX" };
        fresh_dir();
        for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
                spill((const uint8_t *)others[i], strlen(others[i]));
                CHECK(!open_store(true) && err.code == MV_E_CORRUPT);
                size_t len;
                uint8_t *after = slurp(&len);
                CHECK(len == strlen(others[i]) && memcmp(after, others[i], len) == 0);
                free(after);
        }
        char big[200];
        memset(big, 'a', sizeof big);
        spill((const uint8_t *)big, sizeof big);
        CHECK(!open_store(true) && err.code == MV_E_CORRUPT);
        drop_dir();
}

/* --- several writers -------------------------------------------------------------------------- */

#define PROCESSES 2
#define RUNS      60

static int child(int number)
{
        struct mv_audit *a = open_store(true);
        char id[32];
        bool ok = a;
        for (int i = 0; ok && i < RUNS; i++) {
                snprintf(id, sizeof id, "exec_%d_%d", number, i);
                ok = run_one(a, id, 5);
        }
        mv_audit_close(a);
        return ok ? 0 : 1;
}

TEST(two_processes_append_to_one_file_at_once)
{
        fresh_dir();
        pid_t pids[PROCESSES];
        for (int i = 0; i < PROCESSES; i++) {
                pids[i] = fork();
                if (pids[i] == 0)
                        _exit(child(i)); /* both make the store and the key: whoever is first */
        }
        for (int i = 0; i < PROCESSES; i++) {
                int status;
                CHECK(waitpid(pids[i], &status, 0) == pids[i] && status == 0);
        }
        struct mv_audit_verdict v = verify();
        CHECK(v.ok && v.records - v.seals == PROCESSES * RUNS * 6 && v.roots == PROCESSES * RUNS &&
              v.torn_bytes == 0);
        CHECK(v.seals > 0 && v.unsealed == 0);
        printf("# %d roots of two processes, %d seals\n", (int)v.roots, (int)v.seals);
        drop_dir();
}

TEST(a_writer_killed_at_any_time_leaves_a_store_that_goes_on)
{
        fresh_dir();
        /* the key exists: no temporary name of it can stay */
        struct mv_audit *first = open_store(true);
        mv_audit_close(first);
        for (int round = 0; round < 12; round++) {
                pid_t pid = fork();
                if (pid == 0) {
                        for (;;)
                                child(round);
                }
                usleep(2000 + 700u * (unsigned)round);
                kill(pid, SIGKILL);
                waitpid(pid, NULL, 0);
                struct mv_audit *a = open_store(true);
                REQUIRE(a);
                CHECK(run_one(a, "after", 1));
                mv_audit_close(a);
                CHECK(verify().ok && verify().unsealed == 0); /* its records too */
        }
        drop_dir();
}

TEST(a_seal_by_one_process_covers_what_another_appended)
{
        fresh_dir();
        /* two openings are like two processes to flock */
        struct mv_audit *a = open_store(true), *b = open_store(true);
        REQUIRE(a && b && run_one(a, "one", 2));
        struct mv_trail *t;
        REQUIRE(mv_trail_begin(b, "two", &t, &err) == 0);
        CHECK(add(t, "\x64some") && b->unsealed.own && verify().unsealed == 1);
        mv_trail_free(t);
        REQUIRE(mv_trail_begin(a, "three", &t, &err) == 0);
        CHECK(add(t, "\x64some"));
        mv_trail_free(t);
        mv_audit_close(a);
        CHECK(verify().ok && verify().unsealed == 0);
        uint64_t seals = verify().seals;
        mv_audit_close(b); /* sees the seal, and adds none */
        CHECK(verify().ok && verify().seals == seals);
        drop_dir();
}

TEST(a_store_nobody_closed_is_good_and_says_what_is_not_sealed)
{
        fresh_dir();
        pid_t pid = fork();
        if (pid == 0) {
                struct mv_audit *a = open_store(true);
                struct mv_trail *t;
                if (!a || !run_one(a, "one", 2) || mv_trail_begin(a, "two", &t, &err) < 0)
                        _exit(1);
                _exit(add(t, "\x64some") && add(t, "\x64some") ? 0 : 1);
        }
        int status;
        CHECK(waitpid(pid, &status, 0) == pid && status == 0);
        struct mv_audit_verdict v = verify();
        CHECK(v.ok && v.records == 6 && v.seals == 1 && v.unsealed == 2 && v.executions == 2 &&
              v.roots == 1);
        struct mv_audit *a = open_store(true);
        REQUIRE(a);
        mv_audit_close(a); /* appended nothing, signs nothing */
        CHECK(verify().ok && verify().unsealed == 2);
        drop_dir();
}

TEST(what_a_dead_writer_left_half_written_is_cut_by_the_next_append)
{
        fresh_dir();
        struct mv_audit *a = open_store(true);
        REQUIRE(a && run_one(a, "one", 2));
        size_t len;
        uint8_t *bytes = slurp(&len);
        int fd = open(store, O_WRONLY | O_APPEND | O_CLOEXEC);
        CHECK(write(fd, bytes + MV_STORE_HEADER_BYTES, 40) == 40);
        CHECK(run_one(a, "two", 2) && verify().ok && verify().records - verify().seals == 6 &&
              verify().torn_bytes == 0);
        /* a whole head that does not fit here: not torn */
        CHECK(write(fd, bytes + MV_STORE_HEADER_BYTES, 120) == 120);
        CHECK(!run_one(a, "three", 1) && err.code == MV_E_CORRUPT);
        CHECK(!run_one(a, "four", 1) && err.code == MV_E_CORRUPT &&
              strstr(err.msg, "takes nothing more"));
        close(fd);
        free(bytes);
        mv_audit_close(a);
        drop_dir();
}

TEST(a_file_that_somebody_shortened_takes_nothing_more)
{
        fresh_dir();
        struct mv_audit *a = open_store(true);
        REQUIRE(a && run_one(a, "one", 2));
        CHECK(truncate(store, MV_STORE_HEADER_BYTES) == 0);
        CHECK(!run_one(a, "two", 1) && err.code == MV_E_CORRUPT);
        CHECK(!run_one(a, "two", 1) && err.code == MV_E_CORRUPT);
        mv_audit_close(a);
        drop_dir();
}

#define THREADS 8
#define SYNCS   40

static void *sync_many(void *audit)
{
        struct mv_trail *t;
        char id[32];
        static int number;
        snprintf(id, sizeof id, "thread_%d", __atomic_fetch_add(&number, 1, __ATOMIC_RELAXED));
        if (mv_trail_begin(audit, id, &t, NULL) < 0)
                return audit;
        bool ok = true;
        for (int i = 0; ok && i < SYNCS; i++)
                ok = mv_trail_append(t, MV_REC_CALL, MV_SLICE("\xf6"), MV_SLICE("\xf6"), NULL) ==
                             0 &&
                     mv_trail_sync(t, NULL) == 0;
        mv_trail_free(t);
        return ok ? NULL : audit;
}

TEST(threads_share_a_store_and_its_syncs)
{
        fresh_dir();
        struct mv_audit *a = open_store(false);
        pthread_t threads[THREADS];
        struct timespec from, to;
        REQUIRE(a);
        clock_gettime(CLOCK_MONOTONIC, &from);
        for (int i = 0; i < THREADS; i++)
                CHECK(pthread_create(&threads[i], NULL, sync_many, a) == 0);
        for (int i = 0; i < THREADS; i++) {
                void *bad;
                CHECK(pthread_join(threads[i], &bad) == 0 && !bad);
        }
        clock_gettime(CLOCK_MONOTONIC, &to);
        double us =
                (double)(to.tv_sec - from.tv_sec) * 1e6 + (double)(to.tv_nsec - from.tv_nsec) / 1e3;
        printf("# %d threads, %.1f us per synced record\n", THREADS, us / (THREADS * SYNCS));
        CHECK(a->synced == a->end);
        mv_audit_close(a);
        struct mv_audit_verdict v = verify();
        CHECK(v.ok && v.records == THREADS * SYNCS + 1 && v.executions == THREADS && v.roots == 0 &&
              v.unsealed == 0);
        drop_dir();
}

/* --- faults ----------------------------------------------------------------------------------- */

/* REQ-AUD-18 */
TEST(a_full_disk_refuses_the_record_and_keeps_the_store_whole)
{
        fresh_dir();
        struct mv_audit *a = open_store(true);
        struct rlimit old, small;
        struct mv_trail *t;
        REQUIRE(a && mv_trail_begin(a, "x", &t, &err) == 0);
        CHECK(add(t, "\x64some"));
        uint64_t end = a->end;
        void (*before)(int) = signal(SIGXFSZ, SIG_IGN);
        getrlimit(RLIMIT_FSIZE, &old);
        /* less than a record: short writes and none at all */
        for (uint64_t room = 0; room < 105; room += 3) {
                small = (struct rlimit){ .rlim_cur = end + room, .rlim_max = old.rlim_max };
                setrlimit(RLIMIT_FSIZE, &small);
                CHECK(!add(t, "\x64some") && err.code == MV_E_SYS && err.sys == EFBIG);
                setrlimit(RLIMIT_FSIZE, &old);
                struct stat st;
                CHECK(stat(store, &st) == 0 && (uint64_t)st.st_size == end && a->end == end);
        }
        signal(SIGXFSZ, before);
        CHECK(add(t, "\x64some")); /* room again: it goes on */
        uint8_t root[32];
        uint32_t n;
        CHECK(mv_trail_end(t, root, &n, &err) == 0 && n == 2);
        mv_trail_free(t);
        mv_audit_close(a);
        CHECK(verify().ok && verify().roots == 1);
        drop_dir();
}

TEST(a_failed_sync_is_fatal_for_the_store)
{
        fresh_dir();
        struct mv_audit *a = open_store(false);
        struct mv_trail *t;
        int ends[2];
        REQUIRE(a && mv_trail_begin(a, "x", &t, &err) == 0 && pipe(ends) == 0);
        CHECK(add(t, "\x64some"));
        int keep = dup(a->fd);
        CHECK(dup2(ends[1], a->fd) >= 0); /* fdatasync of a pipe fails */
        CHECK(mv_trail_sync(t, &err) == -MV_E_SYS && err.sys == EINVAL);
        CHECK(dup2(keep, a->fd) >= 0);
        CHECK(!add(t, "\x64some") && err.code == MV_E_SYS && strstr(err.msg, "takes nothing more"));
        CHECK(mv_trail_sync(t, &err) == -MV_E_SYS);
        uint8_t root[32];
        uint32_t n;
        CHECK(mv_trail_end(t, root, &n, &err) == -MV_E_SYS);
        close(keep);
        close(ends[0]);
        close(ends[1]);
        mv_trail_free(t);
        mv_audit_close(a);
        drop_dir();
}

/* --- keys ------------------------------------------------------------------------------------- */

TEST(a_key_file_is_private_or_not_used)
{
        fresh_dir();
        struct stat st;
        struct mv_audit *a = open_store(true);
        REQUIRE(a);
        mv_audit_close(a);
        CHECK(stat(key, &st) == 0 && (st.st_mode & 07777) == 0600);
        static const mode_t open_modes[] = { 0640, 0604, 0660, 0610, 0601 };
        for (size_t i = 0; i < sizeof open_modes / sizeof *open_modes; i++) {
                CHECK(chmod(key, open_modes[i]) == 0 && !open_store(true) &&
                      err.code == MV_E_DENIED);
                CHECK(strstr(err.msg, "chmod 600"));
        }
        CHECK(chmod(key, 0600) == 0);
        char other[100];
        snprintf(other, sizeof other, "%s/other", dir);
        CHECK(rename(key, other) == 0 && symlink(other, key) == 0);
        CHECK(!open_store(true) && err.code == MV_E_SYS && err.sys == ELOOP);
        unlink(key);
        CHECK(mkdir(key, 0700) == 0 && !open_store(true) && err.code == MV_E_DENIED);
        rmdir(key);
        CHECK(mkfifo(key, 0600) == 0 && !open_store(true) && err.code == MV_E_DENIED);
        unlink(key);
        CHECK(rename(other, key) == 0);
        a = open_store(true);
        CHECK(a);
        mv_audit_close(a);
        int fd = open(key, O_WRONLY | O_TRUNC | O_CLOEXEC);
        CHECK(write(fd, "junk", 4) == 4 && !open_store(true) && err.code == MV_E_INVALID);
        close(fd);
        drop_dir();
}

TEST(a_store_is_continued_with_its_own_key_only)
{
        fresh_dir();
        struct mv_audit *a = open_store(false);
        REQUIRE(a);
        mv_audit_close(a);
        unlink(key);
        CHECK(!open_store(false) && err.code == MV_E_STATE && strstr(err.msg, "another key"));
        struct mv_audit_options ephemeral = { .path = store };
        CHECK(mv_audit_open(&ephemeral, &a, &err) == -MV_E_STATE);
        drop_dir();
}

TEST(a_store_that_syncs_is_not_continued_without)
{
        fresh_dir();
        struct mv_audit *a = open_store(false);
        REQUIRE(a);
        mv_audit_close(a);
        CHECK(!open_store(true) && err.code == MV_E_STATE && strstr(err.msg, "no_sync"));
        unlink(store);
        a = open_store(true);
        CHECK(a && a->header.flags == MV_STORE_NO_SYNC);
        mv_audit_close(a);
        a = open_store(false);
        CHECK(a);
        mv_audit_close(a);
        drop_dir();
}

TEST(reading_a_missing_or_special_file_fails_and_a_short_one_is_damaged)
{
        fresh_dir();
        struct mv_audit_verdict v;
        CHECK(mv_audit_verify(store, NULL, &v, &err) == -MV_E_SYS && err.sys == ENOENT);
        CHECK(mv_audit_verify(dir, NULL, &v, &err) == -MV_E_INVALID);
        spill((const uint8_t *)"MVAUD", 5);
        CHECK(!verify().ok && strstr(verify().why, "incomplete"));
        spill((const uint8_t *)"", 0);
        CHECK(!verify().ok);
        drop_dir();
}
