/* SPDX-License-Identifier: Apache-2.0 */
#include "../fake_call.h"
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

struct box { /* a directory with a granted tree `in` and a secret beside it */
        char dir[64], in[80];
        struct fake f;
        struct mv_value r;
};

static const char *at(const struct box *b, const char *name)
{
        static char paths[8][256];
        static unsigned next;
        char *p = paths[next++ % 8];
        snprintf(p, 256, "%s/%s", b->dir, name);
        return p;
}

static void put(const char *path, const char *text)
{
        FILE *f = fopen(path, "w");
        if (!f || fputs(text, f) < 0 || fclose(f) != 0)
                abort();
}

static void box_open(struct box *b, bool write)
{
        struct mv_err err;
        snprintf(b->dir, sizeof b->dir, "/tmp/mv-io-XXXXXX");
        if (!mkdtemp(b->dir))
                abort();
        snprintf(b->in, sizeof b->in, "%s/in", b->dir);
        if (mkdir(b->in, 0700) < 0)
                abort();
        put(at(b, "secret"), "secret");
        put(at(b, "in/a.txt"), "alpha\n");
        fake_init(&b->f, MV_LEVEL_CONTROLLED);
        if (write ? mv_context_allow_write(b->f.context, b->in, &err)
                  : mv_context_allow_read(b->f.context, b->in, &err))
                abort();
}

static void box_close(struct box *b)
{
        char command[128];
        fake_done(&b->f);
        snprintf(command, sizeof command, "rm -rf '%s'", b->dir);
        if (system(command) != 0)
                abort();
}

static int fds_open(void)
{
        int n = 0;
        DIR *d = opendir("/proc/self/fd");
        while (d && readdir(d))
                n++;
        closedir(d);
        return n;
}

#define CALL(b, id, ...) FAKE_CALL(&(b)->f, id, &(b)->r, __VA_ARGS__)

TEST(a_file_is_written_read_listed_and_deleted) /* REQ-CAP-34, -39 */
{
        struct box b;
        box_open(&b, true);
        int before = fds_open();
        CHECK(CALL(&b, "ccos.io.write-file", v_text(at(&b, "in/n.txt")), v_text("caf\xc3\xa9\n")) ==
              0);
        char *shown = mv_value_display(&b.r, NULL);
        CHECK_STR(shown, "{:ok true :usage {:storage_write_bytes 6}}");
        free(shown);
        CHECK(CALL(&b, "ccos.io.read-file", v_text(at(&b, "in/n.txt"))) == 0 &&
              is_text(&b.r, "caf\xc3\xa9\n"));
        CHECK_STR(b.f.note_operation, "read-file");
        CHECK_STR(b.f.note_path, at(&b, "in/n.txt"));
        CHECK(b.f.note_bytes == 6); /* REQ-FS-10 */
        CHECK(CALL(&b, "ccos.io.write-file", v_text(at(&b, "in/n.txt")), v_text("x")) == 0);
        CHECK(CALL(&b, "ccos.io.read-file", v_text(at(&b, "in/n.txt"))) == 0 && is_text(&b.r, "x"));
        CHECK(CALL(&b, "ccos.io.file-exists", v_text(at(&b, "in/n.txt"))) == 0 && b.r.boolean);
        CHECK(CALL(&b, "ccos.io.delete-file", v_text(at(&b, "in/n.txt"))) == 0 && b.r.boolean);
        CHECK(CALL(&b, "ccos.io.delete-file", v_text(at(&b, "in/n.txt"))) == 0 && !b.r.boolean);
        CHECK(CALL(&b, "ccos.io.file-exists", v_text(at(&b, "in/n.txt"))) == 0 && !b.r.boolean);
        CHECK(fds_open() == before);
        box_close(&b);
}

TEST(a_directory_is_listed_in_order_with_what_its_entries_are)
{
        struct box b;
        box_open(&b, true);
        CHECK(CALL(&b, "ccos.io.mkdir", v_text(at(&b, "in/d/e/f")), v_bool(true)) == 0 &&
              b.r.boolean);
        CHECK(CALL(&b, "ccos.io.mkdir", v_text(at(&b, "in/d/e/f")), v_bool(true)) == 0);
        CHECK(CALL(&b, "ccos.io.mkdir", v_text(at(&b, "in/d"))) < 0);
        CHECK(CALL(&b, "ccos.io.mkdir", v_text(at(&b, "in/x/y"))) < 0);
        CHECK(strstr(b.f.text, "No such file or directory"));
        CHECK(symlink("a.txt", at(&b, "in/link")) == 0);
        CHECK(CALL(&b, "ccos.io.list-dir", v_text(b.in)) == 0 && b.r.count == 3);
        char *shown = mv_value_display(&b.r.items[0], NULL), wanted[300];
        snprintf(wanted, sizeof wanted,
                 "{:is_dir false :is_file true :name \"a.txt\" :path \"%s/a.txt\" :size 6}", b.in);
        CHECK_STR(shown, wanted);
        free(shown);
        const struct mv_value *d = &b.r.items[1], *l = &b.r.items[2];
        CHECK(is_text(mv_map_get(d, "name"), "d") && mv_map_get(d, "is_dir")->boolean);
        CHECK(is_text(mv_map_get(l, "name"), "link") && !mv_map_get(l, "is_dir")->boolean &&
              !mv_map_get(l, "is_file")->boolean);
        CHECK(CALL(&b, "ccos.io.list-dir", v_text(at(&b, "in/a.txt"))) < 0);
        CHECK(strstr(b.f.text, "Not a directory"));
        CHECK(CALL(&b, "ccos.io.read-file", v_text(at(&b, "in/d"))) < 0);
        CHECK(strstr(b.f.text, "Is a directory"));
        box_close(&b);
}

TEST(deleting_a_directory_needs_true_and_never_leaves_it)
{
        struct box b;
        box_open(&b, true);
        int before = fds_open();
        mkdir(at(&b, "in/d"), 0700);
        mkdir(at(&b, "in/d/e"), 0700);
        put(at(&b, "in/d/e/x"), "x");
        CHECK(symlink(b.dir, at(&b, "in/d/out")) == 0);
        CHECK(CALL(&b, "ccos.io.delete-file", v_text(at(&b, "in/d"))) < 0);
        CHECK(strstr(b.f.text, "is a directory; pass true"));
        CHECK(CALL(&b, "ccos.io.delete-file", v_text(at(&b, "in/d")), v_bool(true)) == 0 &&
              b.r.boolean);
        CHECK(access(at(&b, "in/d"), F_OK) < 0);
        CHECK(access(at(&b, "secret"), F_OK) == 0);
        CHECK(CALL(&b, "ccos.io.delete-file", v_text(b.in), v_bool(true)) < 0);
        CHECK(strstr(b.f.text, "the granted directory itself stays"));
        CHECK(access(at(&b, "in/a.txt"), F_OK) == 0);
        CHECK(fds_open() == before);
        box_close(&b);
}

TEST(reading_does_not_grant_writing_and_nothing_outside_is_reached)
{
        struct box b;
        char wanted[400];
        box_open(&b, false);
        CHECK(CALL(&b, "ccos.io.read-file", v_text(at(&b, "in/a.txt"))) == 0);
        CHECK(CALL(&b, "ccos.io.write-file", v_text(at(&b, "in/a.txt")), v_text("")) < 0);
        snprintf(wanted, sizeof wanted,
                 "Security violation: filesystem operation on capability 'ccos.io.write-file' not "
                 "allowed in context: "
                 "Path not allowed by policy (write=true): %s",
                 at(&b, "in/a.txt"));
        CHECK_STR(b.f.text, wanted);
        snprintf(wanted, sizeof wanted, "--allow-write %s", at(&b, "in/a.txt"));
        CHECK_STR(b.f.decision.hint, wanted);
        CHECK(CALL(&b, "ccos.io.delete-file", v_text(at(&b, "in/a.txt"))) < 0);
        CHECK(CALL(&b, "ccos.io.mkdir", v_text(at(&b, "in/d"))) < 0);
        CHECK(CALL(&b, "ccos.io.open-file", v_text(at(&b, "in/a.txt")), v_text("a")) < 0);
        CHECK(strncmp(b.f.text, "Security violation", 18) == 0);
        CHECK(CALL(&b, "ccos.io.read-file", v_text(at(&b, "secret"))) < 0);
        CHECK(strncmp(b.f.text, "Security violation", 18) == 0);
        CHECK(CALL(&b, "ccos.io.read-file", v_text("relative")) < 0);
        CHECK(CALL(&b, "ccos.io.read-file", v_text("")) < 0);
        box_close(&b);
}

TEST(two_dots_never_leave_the_grant) /* REQ-FS-02 */
{
        struct box b;
        box_open(&b, true);
        CHECK(CALL(&b, "ccos.io.read-file", v_text(at(&b, "in/../secret"))) < 0);
        CHECK(strncmp(b.f.text, "Security violation", 18) == 0);
        CHECK(symlink("..", at(&b, "in/up")) == 0);
        CHECK(CALL(&b, "ccos.io.read-file", v_text(at(&b, "in/up/secret"))) < 0);
        CHECK(b.f.denied_inside);
        CHECK_STR(b.f.decision.rule, "path leaves its grant");
        CHECK(CALL(&b, "ccos.io.write-file", v_text(at(&b, "in/up/new")), v_text("x")) < 0 &&
              b.f.denied_inside);
        CHECK(CALL(&b, "ccos.io.mkdir", v_text(at(&b, "in/up/new"))) < 0 && b.f.denied_inside);
        CHECK(CALL(&b, "ccos.io.mkdir", v_text(at(&b, "in/up/new/er")), v_bool(true)) < 0 &&
              b.f.denied_inside);
        CHECK(CALL(&b, "ccos.io.delete-file", v_text(at(&b, "in/up/secret"))) < 0 &&
              b.f.denied_inside);
        CHECK(CALL(&b, "ccos.io.list-dir", v_text(at(&b, "in/up"))) < 0 && b.f.denied_inside);
        CHECK(CALL(&b, "ccos.io.file-exists", v_text(at(&b, "in/up/secret"))) < 0 &&
              b.f.denied_inside);
        CHECK(access(at(&b, "new"), F_OK) < 0 && access(at(&b, "secret"), F_OK) == 0);
        box_close(&b);
}

TEST(links_stay_beneath_the_grant_or_are_a_recorded_denial) /* REQ-FS-02 */
{
        struct box b;
        box_open(&b, true);
        CHECK(symlink("a.txt", at(&b, "in/near")) == 0);
        CHECK(symlink("/etc/passwd", at(&b, "in/far")) == 0);
        CHECK(symlink(at(&b, "in/a.txt"), at(&b, "in/absolute")) == 0);
        CHECK(symlink("nowhere", at(&b, "in/dangling")) == 0);
        CHECK(symlink("loop", at(&b, "in/loop")) == 0);
        CHECK(CALL(&b, "ccos.io.read-file", v_text(at(&b, "in/near"))) == 0 &&
              is_text(&b.r, "alpha\n"));
        CHECK(CALL(&b, "ccos.io.read-file", v_text(at(&b, "in/far"))) < 0 && b.f.denied_inside);
        CHECK(strstr(b.f.text,
                     "Security violation: filesystem operation on capability 'ccos.io.read-file'"));
        CHECK(strstr(b.f.text, "a link leads outside"));
        CHECK(CALL(&b, "ccos.io.read-file", v_text(at(&b, "in/absolute"))) < 0 &&
              b.f.denied_inside);
        CHECK(CALL(&b, "ccos.io.read-file", v_text(at(&b, "in/loop"))) < 0);
        CHECK(CALL(&b, "ccos.io.write-file", v_text(at(&b, "in/far")), v_text("x")) < 0 &&
              b.f.denied_inside);
        CHECK(CALL(&b, "ccos.io.write-file", v_text(at(&b, "in/dangling")), v_text("x")) < 0);
        CHECK(strstr(b.f.text, "a link to nothing"));
        CHECK(access(at(&b, "in/nowhere"), F_OK) < 0);
        /* the link, not what it names */
        CHECK(CALL(&b, "ccos.io.delete-file", v_text(at(&b, "in/far"))) == 0);
        CHECK(access("/etc/passwd", F_OK) == 0);
        box_close(&b);
}

TEST(magic_links_and_proc_are_refused_even_at_level_full)
{
        struct box b;
        struct mv_err err;
        box_open(&b, false);
        CHECK(symlink("/proc/self/root", at(&b, "in/root")) == 0);
        CHECK(CALL(&b, "ccos.io.read-file", v_text(at(&b, "in/root/etc/passwd"))) < 0 &&
              b.f.denied_inside);
        mv_context_allow_read(b.f.context, "/proc", &err);
        CHECK(CALL(&b, "ccos.io.read-file", v_text("/proc/self/root/etc/passwd")) < 0 &&
              b.f.denied_inside);
        CHECK(CALL(&b, "ccos.io.read-file", v_text("/proc/self/environ")) < 0);
        CHECK(strstr(b.f.text, "describe the host process"));
        mv_context_free(b.f.context);
        b.f.context = mv_context_new(MV_LEVEL_FULL);
        CHECK(CALL(&b, "ccos.io.read-file", v_text(at(&b, "secret"))) == 0 &&
              is_text(&b.r, "secret"));
        CHECK(CALL(&b, "ccos.io.read-file", v_text("/proc/self/environ")) < 0);
        CHECK(CALL(&b, "ccos.io.read-file", v_text("/proc/self/root/etc/passwd")) < 0);
        CHECK(CALL(&b, "ccos.io.write-file", v_text("/proc/self/mem"), v_text("x")) < 0);
        CHECK(CALL(&b, "ccos.io.read-file", v_text("/dev/zero")) < 0);
        CHECK(strstr(b.f.text, "not a regular file"));
        CHECK(symlink(at(&b, "secret"), at(&b, "in/absolute")) == 0);
        CHECK(CALL(&b, "ccos.io.read-file", v_text(at(&b, "in/absolute"))) == 0 &&
              is_text(&b.r, "secret"));
        box_close(&b);
}

TEST(pipes_sockets_and_devices_are_never_opened) /* REQ-FS-11 */
{
        struct box b;
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        box_open(&b, true);
        int before = fds_open();
        CHECK(mkfifo(at(&b, "in/pipe"), 0600) == 0);
        int s = socket(AF_UNIX, SOCK_STREAM, 0);
        snprintf(sa.sun_path, sizeof sa.sun_path, "%s/sock", b.in);
        CHECK(bind(s, (struct sockaddr *)&sa, sizeof sa) == 0);
        static const char *const names[] = { "in/pipe", "in/sock" };
        for (size_t i = 0; i < 2; i++) {
                /* would block on a pipe */
                CHECK(CALL(&b, "ccos.io.read-file", v_text(at(&b, names[i]))) < 0);
                CHECK(strstr(b.f.text, "not a regular file"));
                CHECK(CALL(&b, "ccos.io.write-file", v_text(at(&b, names[i])), v_text("x")) < 0);
                CHECK(CALL(&b, "ccos.io.open-file", v_text(at(&b, names[i])), v_text("a")) < 0);
        }
        close(s);
        CHECK(fds_open() == before);
        box_close(&b);
}

TEST(a_file_with_another_name_is_refused_unless_it_is_granted_itself) /* REQ-FS-11 */
{
        struct box b;
        struct mv_err err;
        box_open(&b, true);
        CHECK(link(at(&b, "secret"), at(&b, "in/hard")) == 0);
        CHECK(CALL(&b, "ccos.io.read-file", v_text(at(&b, "in/hard"))) < 0);
        CHECK(strstr(b.f.text, "2 hard links"));
        CHECK(CALL(&b, "ccos.io.write-file", v_text(at(&b, "in/hard")), v_text("x")) < 0);
        mv_context_allow_read(b.f.context, at(&b, "in/hard"), &err);
        CHECK(CALL(&b, "ccos.io.read-file", v_text(at(&b, "in/hard"))) == 0);
        CHECK(CALL(&b, "ccos.io.write-file", v_text(at(&b, "in/hard")), v_text("x")) < 0);
        mv_context_allow_write(b.f.context, at(&b, "in/hard"), &err);
        CHECK(CALL(&b, "ccos.io.write-file", v_text(at(&b, "in/hard")), v_text("x")) == 0);
        box_close(&b);
}

TEST(a_grant_of_one_file_is_that_file_and_may_not_exist_yet)
{
        struct box b;
        struct mv_err err;
        box_open(&b, false);
        mv_context_allow_write(b.f.context, at(&b, "one.txt"), &err);
        CHECK(CALL(&b, "ccos.io.read-file", v_text(at(&b, "one.txt"))) < 0);
        CHECK(strstr(b.f.text, "the granted path does not exist"));
        CHECK(CALL(&b, "ccos.io.file-exists", v_text(at(&b, "one.txt"))) == 0 && !b.r.boolean);
        CHECK(CALL(&b, "ccos.io.write-file", v_text(at(&b, "one.txt")), v_text("x")) == 0);
        CHECK(CALL(&b, "ccos.io.read-file", v_text(at(&b, "one.txt"))) == 0 && is_text(&b.r, "x"));
        CHECK(CALL(&b, "ccos.io.delete-file", v_text(at(&b, "one.txt"))) == 0 && b.r.boolean);
        mv_context_allow_read(b.f.context, at(&b, "none"), &err);
        CHECK(CALL(&b, "ccos.io.read-file", v_text(at(&b, "none/x"))) < 0);
        CHECK(strstr(b.f.text, "the granted path") && strstr(b.f.text, "does not exist"));
        CHECK(CALL(&b, "ccos.io.file-exists", v_text(at(&b, "none/x"))) == 0 && !b.r.boolean);
        box_close(&b);
}

TEST(a_granted_root_inside_a_writable_tree_cannot_be_swapped_for_a_link_outside)
{
        struct box b;
        struct mv_err err;
        box_open(&b, true);
        mkdir(at(&b, "other"), 0700);
        put(at(&b, "other/s"), "outside");
        mv_context_allow_read(b.f.context, at(&b, "in/sub"), &err);
        CHECK(symlink(at(&b, "other"), at(&b, "in/sub")) == 0);
        CHECK(CALL(&b, "ccos.io.read-file", v_text(at(&b, "in/sub/s"))) < 0 && b.f.denied_inside);
        CHECK(CALL(&b, "ccos.io.list-dir", v_text(at(&b, "in/sub"))) < 0 && b.f.denied_inside);
        box_close(&b);
}

struct swapper {
        char inside[256], outside[256], name[256], spare[256];
        volatile bool stop;
};

/* Exchanges a directory for a link to the outside as fast as it can. */
static void *swap_for_ever(void *ctx)
{
        struct swapper *s = ctx;
        while (!s->stop)
                renameat2(AT_FDCWD, s->name, AT_FDCWD, s->spare, RENAME_EXCHANGE);
        return NULL;
}

TEST(swapping_a_directory_for_a_link_during_the_walk_never_leaks) /* REQ-FS-02 */
{
        struct box b;
        struct swapper s = { .stop = false };
        pthread_t thread;
        unsigned read = 0, other = 0;
        box_open(&b, true);
        mkdir(at(&b, "out"), 0700);
        put(at(&b, "out/f"), "outside");
        mkdir(at(&b, "in/d"), 0700);
        put(at(&b, "in/d/f"), "inside");
        CHECK(symlink(at(&b, "out"), at(&b, "in/swap")) == 0);
        snprintf(s.name, sizeof s.name, "%s/d", b.in);
        snprintf(s.spare, sizeof s.spare, "%s/swap", b.in);
        REQUIRE(pthread_create(&thread, NULL, swap_for_ever, &s) == 0);
        for (int i = 0; i < 4000; i++) {
                int r = CALL(&b, "ccos.io.read-file", v_text(at(&b, "in/d/f")));
                CHECK(r < 0 || is_text(&b.r, "inside"));
                read += r == 0;
                other += r < 0;
                if (i % 4 == 0)
                        CALL(&b, "ccos.io.write-file", v_text(at(&b, "in/d/new")), v_text("x"));
                CHECK(access(at(&b, "out/new"), F_OK) < 0);
        }
        s.stop = true;
        pthread_join(thread, NULL);
        CHECK(read > 0);
        CHECK(other > 0);
        box_close(&b);
}

TEST(a_file_larger_than_the_limit_names_the_limit)
{
        struct box b;
        char *big = calloc(1, 200001);
        box_open(&b, true);
        memset(big, 'x', 200000);
        put(at(&b, "in/big"), big);
        CHECK(CALL(&b, "ccos.io.read-file", v_text(at(&b, "in/big"))) == 0 &&
              b.r.text.len == 200000);
        b.f.limits.memory_bytes_max = 100000;
        CHECK(CALL(&b, "ccos.io.read-file", v_text(at(&b, "in/big"))) < 0);
        CHECK(strstr(b.f.text, "larger than the memory limit of 100000 bytes"));
        CHECK(CALL(&b, "ccos.io.open-file", v_text(at(&b, "in/big"))) == 0);
        struct mv_value handle = b.r;
        CHECK(CALL(&b, "ccos.io.read-line", handle) < 0);
        CHECK(strstr(b.f.text, "longer than the memory limit"));
        free(big);
        box_close(&b);
}

TEST(bytes_that_are_not_text_are_refused)
{
        struct box b;
        box_open(&b, true);
        put(at(&b, "in/bin"), "a\xff\xfe");
        CHECK(CALL(&b, "ccos.io.read-file", v_text(at(&b, "in/bin"))) < 0);
        CHECK(strstr(b.f.text, "not valid UTF-8"));
        put(at(&b, "in/\xff"), "");
        CHECK(CALL(&b, "ccos.io.list-dir", v_text(b.in)) < 0);
        CHECK(strstr(b.f.text, "not valid UTF-8"));
        CHECK(CALL(&b, "ccos.io.delete-file", v_text(at(&b, "in/a.txt"))) == 0);
        box_close(&b);
}

/* --- handles ---------------------------------------------------------------------------------- */
static struct mv_value open_mode(struct box *b, const char *path, const char *mode)
{
        struct mv_value r = { .kind = MV_NIL };
        CHECK(FAKE_CALL(&b->f, "ccos.io.open-file", &r, v_text(path), v_text(mode)) == 0);
        CHECK(r.kind == MV_INT && r.integer > 0);
        return r;
}

TEST(lines_are_read_to_the_end_with_nil_behind_it) /* REQ-CAP-35, -36 */
{
        struct box b;
        box_open(&b, true);
        put(at(&b, "in/l"), "one\r\ntwo\n\nlast");
        struct mv_value h = open_mode(&b, at(&b, "in/l"), "r");
        CHECK(CALL(&b, "ccos.io.read-line", h) == 0 && is_text(&b.r, "one"));
        CHECK(CALL(&b, "ccos.io.read-line", h) == 0 && is_text(&b.r, "two"));
        CHECK(CALL(&b, "ccos.io.read-line", h) == 0 && is_text(&b.r, ""));
        CHECK(CALL(&b, "ccos.io.read-line", h) == 0 && is_text(&b.r, "last"));
        CHECK(CALL(&b, "ccos.io.read-line", h) == 0 && b.r.kind == MV_NIL);
        CHECK(CALL(&b, "ccos.io.read-line", h) == 0 && b.r.kind == MV_NIL);
        CHECK(CALL(&b, "ccos.io.write-line", h, v_text("x")) < 0);
        CHECK(strstr(b.f.text, "opened for reading only"));
        CHECK(CALL(&b, "ccos.io.close-file", h) == 0 && b.r.kind == MV_NIL);
        CHECK(CALL(&b, "ccos.io.close-file", h) < 0); /* REQ-CAP-38 */
        CHECK(strstr(b.f.text, "is not an open handle of this execution"));
        box_close(&b);
}

TEST(every_mode_does_what_it_says) /* REQ-CAP-35, -37 */
{
        struct box b;
        box_open(&b, true);
        const char *p = at(&b, "in/m");
        struct mv_value w = open_mode(&b, p, "w");
        CHECK(CALL(&b, "ccos.io.write-line", w, v_text("1")) == 0 && b.r.kind == MV_NIL);
        CHECK(CALL(&b, "ccos.io.write-line", w, v_text("2")) == 0);
        CHECK(CALL(&b, "ccos.io.read-line", w) < 0);
        CHECK(strstr(b.f.text, "opened for writing only"));
        struct mv_value a = open_mode(&b, p, "a");
        CHECK(CALL(&b, "ccos.io.write-line", a, v_text("3")) == 0);
        CHECK(CALL(&b, "ccos.io.read-file", v_text(p)) == 0 && is_text(&b.r, "1\n2\n3\n"));
        struct mv_value rw = open_mode(&b, p, "rw");
        CHECK(CALL(&b, "ccos.io.read-line", rw) == 0 && is_text(&b.r, "1"));
        CHECK(CALL(&b, "ccos.io.write-line", rw, v_text("X")) == 0);
        CHECK(CALL(&b, "ccos.io.read-line", rw) == 0 && is_text(&b.r, "3"));
        CHECK(CALL(&b, "ccos.io.read-file", v_text(p)) == 0 && is_text(&b.r, "1\nX\n3\n"));
        open_mode(&b, p, "w");
        CHECK(CALL(&b, "ccos.io.read-file", v_text(p)) == 0 && is_text(&b.r, ""));
        CHECK(CALL(&b, "ccos.io.open-file", v_text(p), v_text("rwx")) < 0);
        CHECK_STR(b.f.text,
                  "Invalid argument: open-file: mode must be \"r\", \"w\", \"a\" or \"rw\"");
        CHECK(CALL(&b, "ccos.io.open-file", v_text(at(&b, "in/absent"))) < 0);
        CHECK(strstr(b.f.text, "No such file"));
        box_close(&b);
}

TEST(handles_are_bounded_and_closed_with_their_execution) /* REQ-CAP-38, REQ-VSK-08 */
{
        struct box b;
        box_open(&b, true);
        int before = fds_open(), opened = 0;
        while (CALL(&b, "ccos.io.open-file", v_text(at(&b, "in/a.txt"))) == 0)
                opened++;
        CHECK(opened == 64);
        CHECK(strstr(b.f.text, "64 handles are open already; close one"));
        b.f.files = mv_file_table_free(b.f.files);
        CHECK(fds_open() == before);
        box_close(&b);
}

TEST(a_handle_of_one_execution_means_nothing_in_another) /* REQ-CAP-38 */
{
        struct box b, c;
        box_open(&b, true);
        box_open(&c, true);
        struct mv_value mine = open_mode(&b, at(&b, "in/a.txt"), "r");
        struct mv_value theirs = open_mode(&c, at(&c, "in/a.txt"), "r");
        CHECK(mine.integer != theirs.integer);
        CHECK(mine.integer > 1000 && theirs.integer > 1000); /* fails once in 10^15 */
        CHECK(CALL(&c, "ccos.io.read-line", mine) < 0);
        CHECK(CALL(&b, "ccos.io.read-line", theirs) < 0);
        static const int64_t wrong[] = { 0, -1, 1, 3, INT64_MAX, INT64_MIN };
        for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
                CHECK(CALL(&b, "ccos.io.read-line", v_int(wrong[i])) < 0);
        box_close(&c);
        box_close(&b);
}
