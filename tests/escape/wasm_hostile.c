/* SPDX-License-Identifier: Apache-2.0 */
/* A hostile module: carries out the attack its first argument names, through WASI itself, below the C library. Prints the
 * errno of WASI that answered, or what it got. Built for wasm32-wasi by t_hostile_wasm.py. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wasi/api.h>

#define READ  (__WASI_RIGHTS_FD_READ)
#define WRITE (__WASI_RIGHTS_FD_WRITE)

__attribute__((import_module("microvm"), import_name("call"))) int microvm_call(const char *, int,
                                                                                const char *, int);
__attribute__((import_module("microvm"), import_name("answer"))) int microvm_answer(char *, int);

int raw_raise(int)
        __attribute__((import_module("wasi_snapshot_preview1"), import_name("proc_raise")));

static char *end_of_memory(int before)
{
        return (char *)(__builtin_wasm_memory_size(0) * 65536u - (unsigned)before);
}

/* The preopened directory of this name, as every C library finds it. */
static int preopened(const char *name)
{
        char buf[256];
        for (int fd = 3; fd < 64; fd++) {
                __wasi_prestat_t p;
                if (__wasi_fd_prestat_get(fd, &p))
                        break;
                memset(buf, 0, sizeof buf);
                if (__wasi_fd_prestat_dir_name(fd, (uint8_t *)buf, p.u.dir.pr_name_len) == 0 &&
                    strcmp(buf, name) == 0)
                        return fd;
        }
        return -1;
}

static int granted, output; /* a read-only directory of the host; /workspace/output */

static int try_open(int dir, const char *path, int oflags, uint64_t rights, int *ret)
{
        return __wasi_path_open(dir, __WASI_LOOKUPFLAGS_SYMLINK_FOLLOW, path, oflags, rights, 0, 0,
                                ret);
}

static int opens(int dir, const char *path, int oflags, uint64_t rights)
{
        int fd = -1;
        return try_open(dir, path, oflags, rights, &fd);
}

/* wasi-libc measures strings; this does not. */
int32_t raw_open(int32_t, int32_t, int32_t, int32_t, int32_t, int64_t, int64_t, int32_t, int32_t)
        __attribute__((import_module("wasi_snapshot_preview1"), import_name("path_open")));
static int raw(const void *path, unsigned len)
{
        int fd;
        return raw_open(output, 0, (int32_t)(intptr_t)path, (int32_t)len, 0, READ, 0, 0,
                        (int32_t)(intptr_t)&fd);
}

static int escalate(void)
{
        return __wasi_fd_fdstat_set_rights(granted, WRITE | __WASI_RIGHTS_PATH_CREATE_FILE, WRITE);
}

static int write_without_right(void)
{
        int fd, e = try_open(output, "dropped", __WASI_OFLAGS_CREAT, READ | WRITE, &fd);
        __wasi_ciovec_t v = { (const uint8_t *)"x", 1 };
        __wasi_size_t n;
        if (e == 0)
                e = __wasi_fd_fdstat_set_rights(fd, READ, 0);
        return e ? 1000 + e : __wasi_fd_write(fd, &v, 1, &n);
}

static int inherit_nothing(void)
{
        int dir, fd;
        if (__wasi_path_open(output, 0, ".", __WASI_OFLAGS_DIRECTORY, __WASI_RIGHTS_PATH_OPEN, 0, 0,
                             &dir))
                return 1000;
        return __wasi_path_open(dir, 0, "x", 0, READ, 0, 0, &fd);
}

/* The kernel's own descriptors, the door's among them, have no numbers here. */
static int door_by_number(void)
{
        char b[16];
        __wasi_iovec_t v = { (uint8_t *)b, sizeof b };
        __wasi_size_t n;
        for (int fd = 0; fd < 600; fd++) {
                __wasi_prestat_t p;
                if (fd < 3 || __wasi_fd_prestat_get(fd, &p) == 0)
                        continue;
                int e = __wasi_fd_read(fd, &v, 1, &n);
                if (e != __WASI_ERRNO_BADF)
                        return 1000 + fd;
        }
        return __WASI_ERRNO_BADF;
}

static int write_vector(const void *at, uint32_t len, uint32_t count)
{
        __wasi_ciovec_t v[2] = { { at, len }, { at, len } };
        __wasi_size_t n;
        return __wasi_fd_write(1, v, count, &n);
}

static int vector_at_end(void)
{
        __wasi_size_t n;
        return __wasi_fd_write(1, (const __wasi_ciovec_t *)end_of_memory(4), 1, &n);
}

static int all_descriptors(void)
{
        int fd, e = 0;
        opens(output, "many", __WASI_OFLAGS_CREAT, WRITE);
        for (int i = 0; e == 0 && i < 5000; i++)
                e = try_open(output, "many", 0, READ, &fd);
        return e;
}

static int loop_of_links(void)
{
        __wasi_path_symlink("b", output, "a");
        __wasi_path_symlink("a", output, "b");
        return opens(output, "a", 0, READ);
}

/* What was a directory when it was looked at is a link afterwards. */
static int link_swapped(void)
{
        __wasi_path_create_directory(output, "d");
        __wasi_path_remove_directory(output, "d");
        __wasi_path_symlink("d/../../..", output, "d");
        return opens(output, "d/passwd", 0, READ);
}

static int deep(void)
{
        char path[2001];
        for (int i = 0; i < 1000; i++)
                memcpy(path + 2 * i, "a/", 2);
        path[2000] = 0;
        int dir = output, next;
        for (int i = 0; i < 70; i++) {
                __wasi_path_create_directory(dir, "a");
                if (__wasi_path_open(dir, 0, "a", 2,
                                     __WASI_RIGHTS_PATH_OPEN | __WASI_RIGHTS_PATH_CREATE_DIRECTORY,
                                     __WASI_RIGHTS_PATH_OPEN | __WASI_RIGHTS_PATH_CREATE_DIRECTORY,
                                     0, &next))
                        break;
                dir = next;
        }
        return opens(output, path, 0, READ);
}

/* Until the disk of the cell says no. */
static int fill_the_disk(void)
{
        static char block[1 << 20];
        __wasi_ciovec_t v = { (const uint8_t *)block, sizeof block };
        __wasi_size_t n;
        int fd, e = try_open(output, "full", __WASI_OFLAGS_CREAT, WRITE, &fd);
        for (int i = 0; e == 0 && i < 1000; i++)
                e = __wasi_fd_write(fd, &v, 1, &n);
        return e;
}

static int sleep_long(void)
{
        __wasi_subscription_t s = { .userdata = 1, .u = { .tag = 0 } };
        __wasi_event_t event;
        __wasi_size_t n;
        s.u.u.clock.id = 1;
        s.u.u.clock.timeout = 1000000000000000ull;
        return __wasi_poll_oneoff(&s, &event, 1, &n) ? 1000 : (int)n;
}

static int poll_many(void)
{
        __wasi_size_t n;
        return __wasi_poll_oneoff((void *)1024, (void *)1024, 0x7fffffff, &n);
}

static int directory_cookie(void)
{
        uint8_t buf[256];
        __wasi_size_t n = 0;
        int e = __wasi_fd_readdir(granted, buf, sizeof buf, 0x7fffffffffffffffull, &n);
        return e ? e : n == 0 ? 0 : 1000;
}

static int call_capability(void)
{
        static char text[400];
        const char id[] = "ccos.io.read-file", args[] = "[\"/etc/hostname\"]";
        int n = microvm_call(id, sizeof id - 1, args, sizeof args - 1);
        int len = microvm_answer(text, sizeof text - 1);
        printf("%s %.*s ", n < 0 ? "error" : "value", len, text);
        return n < 0 ? 0 : 1000;
}

static int call_out_of_memory(void)
{
        static char text[200];
        int n = microvm_call(end_of_memory(2), 100, "[]", 2);
        printf("%d %.*s ", n < 0, microvm_answer(text, sizeof text), text);
        return microvm_answer(end_of_memory(2), 100);
}

static int call_malformed(void)
{
        static char text[200];
        int n = microvm_call("ccos.echo", 9, "[1,2", 4);
        printf("%.*s ", microvm_answer(text, sizeof text), text);
        return n < 0 ? 0 : 1000;
}

struct attack {
        const char *name;
        int (*carry_out)(void);
};
#define ATTACK(name, what)                                                                         \
        static int attack_##name(void)                                                             \
        {                                                                                          \
                return what;                                                                       \
        }
#define ATTACKS(X)                                                                                 \
        X(dotdot, opens(granted, "../../../etc/passwd", 0, READ))                                  \
        X(dotdot_inside, opens(granted, "inner/../../x", 0, READ))                                 \
        X(dotdot_alone, opens(granted, "..", 2, READ))                                             \
        X(dotdot_stays, opens(granted, "inner/../plain", 0, READ))                                 \
        X(absolute, opens(granted, "/etc/passwd", 0, READ))                                        \
        X(absolute_slashes, opens(granted, "//etc/passwd", 0, READ))                               \
        X(link_absolute, opens(granted, "link-absolute", 0, READ))                                 \
        X(link_up, opens(granted, "link-up", 0, READ))                                             \
        X(link_in_the_middle, opens(granted, "link-dir/passwd", 0, READ))                          \
        X(link_to_self, opens(granted, "link-loop", 0, READ))                                      \
        X(link_inside, opens(granted, "link-inside", 0, READ))                                     \
        X(link_loop, loop_of_links())                                                              \
        X(link_swap, link_swapped())                                                               \
        X(make_link_absolute, __wasi_path_symlink("/etc", output, "out"))                          \
        X(make_link_up, __wasi_path_symlink("a/../../..", output, "up"))                           \
        X(stat_up, ({                                                                              \
                  __wasi_filestat_t st;                                                            \
                  __wasi_path_filestat_get(granted, 1, "..", &st);                                 \
          }))                                                                                      \
        X(stat_link, ({                                                                            \
                  __wasi_filestat_t st;                                                            \
                  __wasi_path_filestat_get(granted, 1, "link-up", &st);                            \
          }))                                                                                      \
        X(write_read_only, opens(granted, "plain", 0, WRITE))                                      \
        X(create_read_only, opens(granted, "new", __WASI_OFLAGS_CREAT, READ))                      \
        X(truncate_read_only, opens(granted, "plain", __WASI_OFLAGS_TRUNC, READ))                  \
        X(unlink_read_only, __wasi_path_unlink_file(granted, "plain"))                             \
        X(mkdir_read_only, __wasi_path_create_directory(granted, "new"))                           \
        X(rename_read_only, __wasi_path_rename(granted, "plain", output, "stolen"))                \
        X(hard_link_out, __wasi_path_link(granted, 0, "plain", output, "linked"))                  \
        X(fifo, opens(granted, "fifo", 0, READ))                                                   \
        X(escalate_rights, escalate())                                                             \
        X(write_after_drop, write_without_right())                                                 \
        X(inherit_nothing, inherit_nothing())                                                      \
        X(door_by_number, door_by_number())                                                        \
        X(descriptor_huge, __wasi_fd_close(-1))                                                    \
        X(descriptor_renumber, __wasi_fd_renumber(500, 1))                                         \
        X(all_descriptors, all_descriptors())                                                      \
        X(stdin_write, ({                                                                          \
                  __wasi_ciovec_t v = { (const uint8_t *)"x", 1 };                                 \
                  __wasi_size_t n;                                                                 \
                  __wasi_fd_write(0, &v, 1, &n);                                                   \
          }))                                                                                      \
        X(stdout_seek, ({                                                                          \
                  __wasi_filesize_t n;                                                             \
                  __wasi_fd_seek(1, 5, 0, &n);                                                     \
          }))                                                                                      \
        X(vector_count, write_vector("x", 1, 0x10000000))                                          \
        X(vector_at_end, vector_at_end())                                                          \
        X(vector_length, write_vector("x", 0xffffffffu, 1))                                        \
        X(vector_pointer, write_vector((void *)0xfffffff0, 0x20, 1))                               \
        X(path_nul, raw("a\0b", 3))                                                                \
        X(path_long, raw(calloc(1, 5000), 5000))                                                   \
        X(path_length, raw("a", 0xffffffffu))                                                      \
        X(path_pointer, raw(end_of_memory(1), 2))                                                  \
        X(path_empty, raw("", 0))                                                                  \
        X(path_deep, deep())                                                                       \
        X(random_beyond, __wasi_random_get((uint8_t *)end_of_memory(8), 9))                        \
        X(arguments_beyond,                                                                        \
          __wasi_args_get((uint8_t **)end_of_memory(2), (uint8_t *)end_of_memory(2)))              \
        X(poll_many, poll_many())                                                                  \
        X(fill_the_disk, fill_the_disk())                                                          \
        X(sleep_long, sleep_long())                                                                \
        X(directory_cookie, directory_cookie())                                                    \
        X(socket, __wasi_sock_shutdown(3, 1))                                                      \
        X(raise, raw_raise(9))                                                                     \
        X(proc, fopen("/proc/self/maps", "r") ? 1000 : 0)                                          \
        X(passwd, fopen("/etc/passwd", "r") ? 1000 : 0)                                            \
        X(device, fopen("/dev/null", "r") ? 1000 : 0)                                              \
        X(own_code, fopen("/opt/microvm/module", "r") ? 1000 : 0)                                  \
        X(environment, getenv("PATH") || getenv("HOME") || getenv("SECRET") ? 1000 : 0)            \
        X(forge_a_trap, (__wasi_proc_exit(205), 1000))                                             \
        X(capability_denied, call_capability())                                                    \
        X(call_out_of_memory, call_out_of_memory())                                                \
        X(call_malformed, call_malformed())
#define DEFINE(name, what) ATTACK(name, what)
ATTACKS(DEFINE)
#define ROW(name, what) { #name, attack_##name },
static const struct attack attacks[] = { ATTACKS(ROW) };

int main(int argc, char **argv)
{
        char name[64] = "";
        sscanf(argc > 1 ? argv[1] : "", "\"%63[a-z_]", name);
        granted = preopened(argc > 2 ? strtok(argv[2], "\"") : "");
        output = preopened("/workspace/output");
        for (size_t i = 0; i < sizeof attacks / sizeof attacks[0]; i++)
                if (strcmp(attacks[i].name, name) == 0) {
                        printf("answer %d", attacks[i].carry_out());
                        return 0;
                }
        printf("no attack '%s'", name);
        return 1;
}
