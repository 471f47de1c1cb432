/* SPDX-License-Identifier: Apache-2.0 */
/* What the init of a cell is told: the root file system, the limits, the filter, the program.
 * Nothing is decided later.
 *
 * (1) The program sees the system trees of this machine read-only, a few made-up files in /etc,
 *     its own /proc, four device files, what was granted, and memory file systems. Nothing else of
 *     the host has a name in there.
 * (2) Two memory file systems: the root, which is read-only when the program starts, and the
 *     scratch one beneath /tmp, /workspace and /dev/shm, whose size is the execution's disk limit.
 * (3) Grants come last, so that one inside /tmp or /workspace is not covered by ours.
 * (4) A plan has two parts. The first holds nothing that an execution brought with it, only how large it may
 *     be and which streams it has: whatever has an equal first part may use what it made (spare.c).
 * (5) Without namespaces there is no root to make: the same is held by rules over the host's own paths. */
#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <base/cur.h>
#include <base/slice.h>
#include <provider/process/program.h>

#define PLAN_BYTES_BASE       ((size_t)64 << 10) /* everything but files, strings and grants */
#define ROOT_BYTES_BASE       ((uint64_t)1 << 20)
#define ROOT_INODES_BASE      512u
#define SCRATCH_BYTES_OF_WALL ((uint64_t)4 << 20) /* the state files of the wall itself */

static const char *const system_trees[] = { "/usr",   "/bin",   "/sbin",  "/lib",
                                            "/lib32", "/lib64", "/libx32" };
static const char *const system_files[] = { "/etc/alternatives", "/etc/ld.so.cache" };
static const char *const devices[] = { "null", "zero", "full", "urandom" };
static const char *const links[][2] = { { "/proc/self/fd", "dev/fd" },
                                        { "/proc/self/fd/0", "dev/stdin" },
                                        { "/proc/self/fd/1", "dev/stdout" },
                                        { "/proc/self/fd/2", "dev/stderr" },
                                        { "urandom", "dev/random" } };
static const struct {
        const char *path, *text;
} made_up[] = {
        { "etc/hosts", "127.0.0.1 localhost\n::1 localhost\n" },
        { "etc/hostname", "microvm\n" },
        { "etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n" },
};
#define COUNT(a) (sizeof(a) / sizeof(a)[0])

/* --- writing steps ---------------------------------------------------------------------------- */

static void put_text(struct mv_out *o, const char *s)
{
        mv_put_u32(o, (uint32_t)strlen(s) + 1);
        mv_put_bytes(o, s, strlen(s) + 1);
}

static void put_dir(struct mv_out *o, enum mv_cell_place place, const char *path, uint32_t mode)
{
        mv_put_u8(o, MV_CELL_DIR);
        mv_put_u8(o, (uint8_t)place);
        put_text(o, path);
        mv_put_u32(o, mode);
}

static void put_file_mode(struct mv_out *o, const char *path, struct mv_slice bytes, uint32_t mode)
{
        mv_put_u8(o, MV_CELL_FILE);
        mv_put_u8(o, MV_CELL_IN_ROOT);
        put_text(o, path);
        mv_put_u32(o, mode);
        mv_put_u32(o, (uint32_t)bytes.len);
        mv_put_slice(o, bytes);
}

static void put_file(struct mv_out *o, const char *path, struct mv_slice bytes)
{
        put_file_mode(o, path, bytes, 0444);
}

static void put_link(struct mv_out *o, const char *target, const char *path)
{
        mv_put_u8(o, MV_CELL_LINK);
        put_text(o, target);
        put_text(o, path);
}

static void put_bind(struct mv_out *o, enum mv_cell_place place, const char *source,
                     const char *path, uint32_t flags)
{
        mv_put_u8(o, MV_CELL_BIND);
        mv_put_u8(o, (uint8_t)place);
        put_text(o, source);
        put_text(o, path);
        mv_put_u32(o, flags);
}

/* Every directory on the way to `path` (no leading slash), which itself is left out. */
static void put_way(struct mv_out *o, const char *path)
{
        char part[4096];
        for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
                mv_fmt(part, sizeof part, "%.*s", (int)(slash - path), path);
                put_dir(o, MV_CELL_IN_ROOT, part, 0755);
        }
}

/* --- the root file system --------------------------------------------------------------------- */

static void put_memory(struct mv_out *o, enum mv_cell_op op, uint64_t bytes, uint64_t inodes)
{
        mv_put_u8(o, (uint8_t)op);
        mv_put_u64(o, bytes);
        mv_put_u64(o, inodes);
}

static uint64_t files_bytes(const struct mv_program_spec *s)
{
        uint64_t n = 0;
        for (uint32_t i = 0; i < s->files_count; i++)
                n += s->files[i].bytes.len + 4096 + strlen(s->files[i].path);
        return n;
}

static uint64_t root_bytes(const struct mv__program *p)
{
        uint64_t nested = p->nested ? p->nested->agent.len + p->nested->config.len : 0;
        return ROOT_BYTES_BASE + files_bytes(p->spec) + nested;
}

static uint64_t root_inodes(const struct mv_program_spec *s)
{
        return ROOT_INODES_BASE + 8 * (s->files_count + s->grants_count);
}

static void put_system_trees(struct mv_out *o)
{
        for (size_t i = 0; i < COUNT(system_trees); i++) {
                char target[256];
                const char *path = system_trees[i];
                ssize_t n = readlink(path, target, sizeof target - 1);
                if (n > 0) {
                        target[n] = 0;
                        put_link(o, target, path + 1);
                } else if (access(path, F_OK) == 0) {
                        put_dir(o, MV_CELL_IN_ROOT, path + 1, 0755);
                        put_bind(o, MV_CELL_HOST, path, path + 1, MV_CELL_READ_ONLY);
                }
        }
}

/* The id that the program has, as it sees it. */
static uint32_t id_inside(const struct mv__program *p)
{
        return p->wall->no_user ? MV_SYS_CELL_ID_OUTSIDE : MV_SYS_CELL_ID_INSIDE;
}

static void put_names(struct mv_out *o, const struct mv__program *p)
{
        char text[160];
        mv_fmt(text, sizeof text,
               "program:x:%u:%u::/workspace:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n",
               id_inside(p), id_inside(p));
        put_file(o, "etc/passwd", mv_slice_str(text));
        mv_fmt(text, sizeof text, "program:x:%u:\nnogroup:x:65534:\n", id_inside(p));
        put_file(o, "etc/group", mv_slice_str(text));
}

static void put_system_files(struct mv_out *o, struct mv__program *p)
{
        uint64_t *sources = &p->sources;
        struct stat st;
        put_dir(o, MV_CELL_IN_ROOT, "etc", 0755);
        put_names(o, p);
        for (size_t i = 0; i < COUNT(made_up); i++)
                put_file(o, made_up[i].path, mv_slice_str(made_up[i].text));
        for (size_t i = 0; i < COUNT(system_files); i++) {
                const char *path = system_files[i];
                if (stat(path, &st) < 0)
                        continue;
                if (S_ISDIR(st.st_mode))
                        put_dir(o, MV_CELL_IN_ROOT, path + 1, 0755);
                else
                        put_file(o, path + 1, mv_slice(NULL, 0));
                put_bind(o, MV_CELL_HOST, path, path + 1, MV_CELL_READ_ONLY | MV_CELL_NO_EXEC);
                *sources = *sources * 1000003 + st.st_dev * 31 + st.st_ino;
        }
}

/* Whom the program may trust at the other end of a connection is not a secret. */
static void put_certificates(struct mv_out *o)
{
        static const char trust[] = "/etc/ssl/certs";
        struct stat st;
        if (stat(trust, &st) < 0 || !S_ISDIR(st.st_mode))
                return;
        put_dir(o, MV_CELL_IN_ROOT, "etc/ssl", 0755);
        put_dir(o, MV_CELL_IN_ROOT, trust + 1, 0755);
        put_bind(o, MV_CELL_HOST, trust, trust + 1, MV_CELL_READ_ONLY | MV_CELL_NO_EXEC);
}

static void put_devices(struct mv_out *o, bool bare)
{
        char source[32];
        put_dir(o, MV_CELL_IN_ROOT, "dev", 0755);
        for (size_t i = 0; i < (bare ? 1 : COUNT(devices)); i++) {
                mv_fmt(source, sizeof source, "/dev/%s", devices[i]);
                put_file(o, source + 1, mv_slice(NULL, 0));
                put_bind(o, MV_CELL_HOST, source, source + 1,
                         MV_CELL_READ_ONLY | MV_CELL_NO_EXEC | MV_CELL_DEVICE);
        }
        for (size_t i = 0; i < COUNT(links) && !bare; i++)
                put_link(o, links[i][0], links[i][1]);
}

/* Here the first part ends (4). */
static void put_cut(struct mv_out *o, struct mv__program *p)
{
        mv_put_u8(o, MV_CELL_MORE);
        p->first_len = o->len;
        mv_put_u32(o, 0);
}

/* Does the execution bring anything into the file system? */
static bool brings(const struct mv_program_spec *s)
{
        return s->files_count || s->grants_count;
}

static void put_scratch(struct mv_out *o, uint64_t bytes) /* (2) */
{
        static const char *const inside[] = { "tmp", "shm", "workspace", "workspace/input",
                                              "workspace/output" };
        static const char *const outside[] = { "tmp", "dev/shm", "workspace", "input" };
        put_memory(o, MV_CELL_SCRATCH, bytes, MV_PROGRAM_INODES_MAX);
        for (size_t i = 0; i < COUNT(inside); i++)
                put_dir(o, MV_CELL_IN_SCRATCH, inside[i], 0755);
        for (size_t i = 0; i < COUNT(outside); i++)
                put_dir(o, MV_CELL_IN_ROOT, outside[i], 0755);
        put_bind(o, MV_CELL_IN_SCRATCH, "tmp", "tmp", 0);
        put_bind(o, MV_CELL_IN_SCRATCH, "shm", "dev/shm", MV_CELL_NO_EXEC);
        put_bind(o, MV_CELL_IN_SCRATCH, "workspace", "workspace", 0);
}

/* What lies in /workspace/input is written into the root, which ends read-only, and shown there. */
static void put_files(struct mv_out *o, const struct mv_program_spec *s)
{
        static const char input[] = "/workspace/input/";
        char path[512];
        bool any = false;
        for (uint32_t i = 0; i < s->files_count; i++) {
                const char *at = s->files[i].path;
                bool is_input = strncmp(at, input, sizeof input - 1) == 0;
                mv_fmt(path, sizeof path, "%s%s", is_input ? "input/" : "",
                       is_input ? at + sizeof input - 1 : at + 1);
                put_way(o, path);
                put_file_mode(o, path, s->files[i].bytes, s->files[i].executable ? 0555 : 0444);
                any |= is_input;
        }
        if (any)
                put_bind(o, MV_CELL_IN_ROOT, "input", "workspace/input", MV_CELL_READ_ONLY);
}

static void put_grants(struct mv_out *o, const struct mv_program_spec *s,
                       const struct mv__given *given) /* (3) */
{
        for (uint32_t i = 0; i < s->grants_count; i++) {
                const struct mv_program_grant *g = &s->grants[i];
                put_way(o, g->path + 1);
                if (given->is_dir[i])
                        put_dir(o, MV_CELL_IN_ROOT, g->path + 1, 0755);
                else
                        put_file(o, g->path + 1, mv_slice(NULL, 0));
                if (given->mounts) {
                        mv_put_u8(o, MV_CELL_ATTACH);
                        mv_put_u8(o, (uint8_t)(given->mounts_at + i));
                        put_text(o, g->path + 1);
                } else {
                        put_bind(o, MV_CELL_HOST, g->path, g->path + 1,
                                 MV_CELL_STRICT | (g->write ? 0u : MV_CELL_READ_ONLY));
                }
        }
}

static void put_proc(struct mv_out *o, bool whole)
{
        put_dir(o, MV_CELL_IN_ROOT, "proc", 0555);
        mv_put_u8(o, MV_CELL_PROC);
        put_text(o, "proc");
        mv_put_u8(o, whole);
}

/* What the program sees. Behind another wall /proc, /dev and /tmp are that wall's own. */
static void put_seen(struct mv_out *o, struct mv__program *p, const struct mv__given *given)
{
        bool bare = p->spec->bare;
        if (!bare) {
                put_system_trees(o);
                put_system_files(o, p);
        }
        if (p->spec->network)
                put_certificates(o);
        if (!p->nested && !bare)
                put_proc(o, false);
        if (!p->nested)
                put_devices(o, bare);
        put_scratch(o, p->scratch_bytes);
        if (brings(p->spec) && !p->nested) {
                put_cut(o, p);
                put_memory(o, MV_CELL_RESIZE, root_bytes(p), root_inodes(p->spec));
        }
        put_files(o, p->spec);
        put_grants(o, p->spec, given);
}

/* The wall's binary, what it needs of the kernel, and what it is to show; nothing of the host has a
 * name out here. */
static void put_nested(struct mv_out *o, struct mv__program *p, const struct mv__given *given)
{
        static const char *const inside[] = { "proc", "sys", "dev", "tmp", "opt", "opt/microvm" };
        const struct mv__nested *n = p->nested;
        put_proc(o, true);
        put_devices(o, false);
        if (n->device) {
                put_file(o, n->device + 1, mv_slice(NULL, 0));
                put_bind(o, MV_CELL_HOST, n->device, n->device + 1,
                         MV_CELL_NO_EXEC | MV_CELL_DEVICE);
        }
        put_dir(o, MV_CELL_IN_ROOT, "tmp", 0755);
        put_dir(o, MV_CELL_IN_ROOT, MV_NESTED_DIR, 0755);
        put_dir(o, MV_CELL_IN_ROOT, MV_NESTED_ROOT, 0755);
        put_file(o, n->binary_at, mv_slice(NULL, 0));
        put_bind(o, MV_CELL_HOST, n->binary, n->binary_at, MV_CELL_READ_ONLY);
        put_file(o, MV_NESTED_DIR "/config.json", n->config);
        mv_put_u8(o, MV_CELL_BELOW);
        put_text(o, MV_NESTED_ROOT);
        for (size_t i = 0; i < COUNT(inside); i++)
                put_dir(o, MV_CELL_IN_ROOT, inside[i], 0755);
        put_file_mode(o, MV_NESTED_AGENT, n->agent, 0555);
        if (p->spec->path)
                put_seen(o, p, given);
        else
                put_memory(o, MV_CELL_SCRATCH, SCRATCH_BYTES_OF_WALL, MV_PROGRAM_INODES_MAX);
        mv_put_u8(o, MV_CELL_BELOW);
        put_text(o, "");
        put_dir(o, MV_CELL_IN_SCRATCH, "wall", 0700);
        put_bind(o, MV_CELL_IN_SCRATCH, "wall", "tmp", MV_CELL_NO_EXEC);
}

static void put_root(struct mv_out *o, struct mv__program *p, const struct mv__given *given)
{
        const struct mv_program_spec *s = p->spec;
        put_memory(o, MV_CELL_ROOT, p->nested ? root_bytes(p) : ROOT_BYTES_BASE,
                   p->nested ? root_inodes(s) : ROOT_INODES_BASE);
        if (p->nested)
                put_nested(o, p, given);
        else
                put_seen(o, p, given);
        if (s->output) {
                mv_put_u8(o, MV_CELL_OUTPUT);
                put_text(o, "workspace/output");
        }
        mv_put_u8(o, MV_CELL_ENTER);
}

/* --- the program's process -------------------------------------------------------------------- */

static void put_limit(struct mv_out *o, int resource, uint64_t value)
{
        mv_put_u8(o, MV_CELL_LIMIT);
        mv_put_u32(o, (uint32_t)resource);
        mv_put_u64(o, value);
}

/* Of its own user namespace, else of everything that the user runs. */
static uint64_t tasks_max(const struct mv__program *p)
{
        return p->tasks_before + MV_PROGRAM_PIDS_MAX;
}

static void put_limits(struct mv_out *o, const struct mv__program *p, const struct mv_limits *l)
{
        const bool group = p->group.peak_fd >= 0, bare = p->spec->bare;
        put_limit(o, RLIMIT_CORE, 0);
        put_limit(o, RLIMIT_MEMLOCK, 0);
        put_limit(o, RLIMIT_MSGQUEUE, 0);
        put_limit(o, RLIMIT_NICE, 0);
        put_limit(o, RLIMIT_RTPRIO, 0);
        put_limit(o, RLIMIT_SIGPENDING, 256);
        put_limit(o, RLIMIT_NOFILE, MV_PROGRAM_FILES_MAX);
        put_limit(o, RLIMIT_FSIZE, MV_PROGRAM_FILE_BYTES_MAX);
        put_limit(o, RLIMIT_STACK, MV_PROGRAM_STACK_BYTES);
        if (!group || !(p->wall->no_user ||
                        p->private)) /* a group counts its own, and not the user's others */
                put_limit(o, RLIMIT_NPROC, tasks_max(p));
        if (!group) /* of each process; init watches their sum */
                put_limit(o, RLIMIT_DATA,
                          l->memory_bytes_max + (bare ? MV_MODULE_RUNTIME_BYTES : 0));
        if (l->cpu_ns_max)
                put_limit(o, RLIMIT_CPU, l->cpu_ns_max / 1000000000u + 2);
}

/* linux/landlock.h, by the ABI that brought the right */
#define LL_EXECUTE    (1u << 0)
#define LL_WRITE_FILE (1u << 1)
#define LL_READ_FILE  (1u << 2)
#define LL_READ_DIR   (1u << 3)
#define LL_ABI_1      ((1u << 13) - 1)
#define LL_REFER      (1u << 13)
#define LL_TRUNCATE   (1u << 14)
#define LL_IOCTL_DEV  (1u << 15)
#define LL_READ       (LL_EXECUTE | LL_READ_FILE | LL_READ_DIR)
#define LL_ON_FILES   (LL_EXECUTE | LL_WRITE_FILE | LL_READ_FILE | LL_TRUNCATE | LL_IOCTL_DEV)

static uint64_t landlock_files(int abi)
{
        return LL_ABI_1 | (abi >= 2 ? LL_REFER : 0) | (abi >= 3 ? LL_TRUNCATE : 0) |
               (abi >= 5 ? LL_IOCTL_DEV : 0);
}

static void put_rule(struct mv_out *o, const char *path, uint64_t access)
{
        put_text(o, path);
        mv_put_u64(o, access);
}

/* The second wall around files: what the mounts would give away through a bug. Network: nothing is
 * allowed, TCP included, but the proxy's port for who was granted hosts. Scopes: abstract sockets and signals stay inside. */
static void put_landlock(struct mv_out *o, const struct mv__program *p,
                         const struct mv__given *given)
{
        int abi = p->wall->landlock_abi;
        uint64_t all = landlock_files(abi);
        uint32_t writable = 0;
        if (!abi)
                return;
        for (uint32_t i = 0; i < p->spec->grants_count; i++)
                writable += p->spec->grants[i].write;
        mv_put_u8(o, MV_CELL_LANDLOCK);
        mv_put_u64(o, all);
        mv_put_u64(o, abi >= 4 ? 3 : 0);
        mv_put_u64(o, abi >= 6 ? 3 : 0);
        mv_put_u16(o, abi >= 4 && p->spec->network ? MV_PROXY_PORT : 0);
        mv_put_u32(o, abi >= 6 ? 24 : abi >= 4 ? 16 : 8);
        mv_put_u32(o, 5 + p->spec->bare + writable);
        put_rule(o, "/", p->spec->bare ? LL_READ & ~LL_EXECUTE : LL_READ);
        if (p->spec->bare) /* the only file that is ever executed in there */
                put_rule(o, p->spec->path, LL_EXECUTE | LL_READ_FILE);
        uint64_t own = p->spec->bare ? all & ~(uint64_t)LL_EXECUTE : all;
        put_rule(o, "/tmp", own);
        put_rule(o, "/workspace", own);
        put_rule(o, "/dev/shm", own);
        put_rule(o, "/dev",
                 (LL_READ_FILE | LL_WRITE_FILE | LL_READ_DIR | LL_TRUNCATE | LL_IOCTL_DEV) & all);
        for (uint32_t i = 0; i < p->spec->grants_count; i++)
                if (p->spec->grants[i].write)
                        put_rule(o, p->spec->grants[i].path,
                                 given->is_dir[i] ? own : own & LL_ON_FILES);
}

static void put_strings(struct mv_out *o, const char *const *list)
{
        uint32_t n = 0;
        while (list && list[n])
                n++;
        mv_put_u32(o, n);
        for (uint32_t i = 0; i < n; i++)
                put_text(o, list[i]);
}

/* Where others have their standard input it has the way to the proxy. */
static void put_wall_program(struct mv_out *o, const struct mv__nested *n, bool network)
{
        mv_put_u8(o, MV_CELL_PROGRAM);
        mv_put_u8(o, (uint8_t)(MV_CELL_HAS_DOOR | (network ? MV_CELL_HAS_INPUT : 0)));
        put_limit(o, RLIMIT_CORE, 0);
        put_limit(o, RLIMIT_NOFILE, MV_NESTED_FILES_MAX);
        mv_put_u8(o, MV_CELL_EXEC);
        put_text(o, "/" MV_NESTED_ROOT "/" MV_NESTED_AGENT);
        put_text(o, "/");
        put_strings(o, n->argv);
        put_strings(o, n->env);
}

static void put_filter(struct mv_out *o, const struct mv_sys_program_filter *f)
{
        mv_put_u8(o, MV_CELL_FILTER);
        mv_put_u32(o, (uint32_t)(f->len * sizeof f->code[0]));
        mv_put_bytes(o, f->code, f->len * sizeof f->code[0]);
}

static void put_program(struct mv_out *o, struct mv__program *p, const struct mv_limits *limits,
                        const struct mv__given *given)
{
        const struct mv_sys_program_filter *f = p->spec->bare        ? &p->wall->filter_module
                                                : given->directories ? &p->wall->filter_no_local
                                                                     : &p->wall->filter;
        mv_put_u8(o, MV_CELL_PROGRAM);
        mv_put_u8(o, (uint8_t)((p->spec->door ? MV_CELL_HAS_DOOR : 0) |
                               (p->spec->input ? MV_CELL_HAS_INPUT : 0)));
        put_limits(o, p, limits);
        put_landlock(o, p, given);
        put_filter(o, f);
        if (!brings(p->spec))
                put_cut(o, p);
        mv_put_u8(o, MV_CELL_EXEC);
        put_text(o, p->spec->path);
        put_text(o, "/workspace");
        put_strings(o, p->spec->argv);
        put_strings(o, p->spec->env);
}

/* --- without namespaces ------------------------------------------------------------------------ */
/* Paths are the host's. What is not beneath one of these rules cannot be opened, listed, made, moved, removed or executed; how
 * Landlock's gaps are closed is in docs/design/landlock.md. Devices and sockets cannot be made. */
#define LL_MAKE_CHAR  (1u << 6)
#define LL_MAKE_SOCK  (1u << 9)
#define LL_MAKE_BLOCK (1u << 11)
#define LL_NEVER      (LL_MAKE_CHAR | LL_MAKE_SOCK | LL_MAKE_BLOCK | LL_IOCTL_DEV)

/* What interpreters read at their start, where they have it. No secrets: each is readable by everybody. */
static const char *const confined_files[] = {
        "/etc/alternatives", "/etc/ld.so.cache", "/etc/ssl/openssl.cnf",
        "/etc/python3",      "/etc/python3.9",   "/etc/python3.10",
        "/etc/python3.11",   "/etc/python3.12",  "/etc/python3.13",
        "/etc/python3.14",   "/etc/localtime",   "/etc/timezone",
        "/dev/null",         "/dev/zero",        "/dev/full",
        "/dev/random",       "/dev/urandom"
};

struct rules {
        struct mv_out *o; /* NULL: they are counted */
        uint32_t count;
};

static void rule(struct rules *r, const char *path, uint64_t access)
{
        if (r->o)
                put_rule(r->o, path, access);
        r->count++;
}

static void rule_if_there(struct rules *r, const char *path)
{
        struct stat st;
        if (lstat(path, &st) < 0 ||
            S_ISLNK(st.st_mode)) /* where a link leads has a rule of its own */
                return;
        rule(r, path,
             S_ISDIR(st.st_mode)   ? LL_READ
             : S_ISCHR(st.st_mode) ? LL_READ_FILE | LL_WRITE_FILE
                                   : LL_READ_FILE);
}

static void rules_confined(struct rules *r, const struct mv__program *p,
                           const struct mv__given *given)
{
        static const char *const written[] = { "/workspace", "/tmp" }, *const brought[] = {
                "/workspace/input", "/opt/microvm"
        };
        const uint64_t own = landlock_files(p->wall->landlock_abi) & ~(uint64_t)LL_NEVER;
        char path[512];
        for (size_t i = 0; i < COUNT(system_trees); i++)
                rule_if_there(r, system_trees[i]);
        for (size_t i = 0; i < COUNT(confined_files); i++)
                rule_if_there(r, confined_files[i]);
        for (size_t i = 0; i < COUNT(written); i++) {
                mv__private_path(p->private, written[i], path, sizeof path);
                rule(r, path, own);
                mv__private_path(p->private, brought[i], path, sizeof path);
                rule(r, path, LL_READ);
        }
        for (uint32_t i = 0; i < p->spec->grants_count; i++) {
                const struct mv_program_grant *g = &p->spec->grants[i];
                uint64_t access = g->write ? own : LL_READ;
                rule(r, g->path, given->is_dir[i] ? access : access & LL_ON_FILES);
        }
}

static void put_landlock_confined(struct mv_out *o, const struct mv__program *p,
                                  const struct mv__given *given)
{
        struct rules count = { NULL, 0 }, all = { o, 0 };
        rules_confined(&count, p, given);
        mv_put_u8(o, MV_CELL_LANDLOCK);
        mv_put_u64(o, landlock_files(p->wall->landlock_abi));
        mv_put_u64(o, 3);
        mv_put_u64(o, 3);
        mv_put_u16(o, 0);
        mv_put_u32(o, 24);
        mv_put_u32(o, count.count);
        rules_confined(&all, p, given);
}

static bool is_brought(const struct mv_program_spec *s, const char *path)
{
        for (uint32_t i = 0; i < s->files_count; i++)
                if (strcmp(s->files[i].path, path) == 0)
                        return true;
        return strcmp(path, "/opt/microvm") == 0;
}

/* A name that this library gave out is told as what it is here: NAME=PATH, or PATH alone. */
static void put_text_here(struct mv_out *o, const struct mv__program *p, const char *text,
                          bool variable)
{
        const char *equals = variable ? strchr(text, '=') : NULL;
        const char *path = equals ? equals + 1 : text;
        const bool own =
                is_brought(p->spec, path) || (variable && (strcmp(text, "HOME=/workspace") == 0 ||
                                                           strcmp(text, "TMPDIR=/tmp") == 0));
        char real[512], whole[600];
        mv__private_path(p->private, path, real, sizeof real);
        mv_fmt(whole, sizeof whole, "%.*s%s", (int)(path - text), text, real);
        put_text(o, own ? whole : text);
}

static void put_strings_here(struct mv_out *o, const struct mv__program *p, const char *const *list,
                             bool variables)
{
        uint32_t n = 0;
        while (list && list[n])
                n++;
        mv_put_u32(o, n);
        for (uint32_t i = 0; i < n; i++)
                put_text_here(o, p, list[i], variables);
}

static void put_program_confined(struct mv_out *o, const struct mv__program *p,
                                 const struct mv_limits *limits, const struct mv__given *given)
{
        char directory[512];
        mv__private_path(p->private, "/workspace", directory, sizeof directory);
        mv_put_u8(o, MV_CELL_PROGRAM);
        mv_put_u8(o, (uint8_t)((p->spec->door ? MV_CELL_HAS_DOOR : 0) |
                               (p->spec->input ? MV_CELL_HAS_INPUT : 0)));
        put_limits(o, p, limits);
        put_landlock_confined(o, p, given);
        put_filter(o, &p->wall->filter_confined);
        mv_put_u8(o, MV_CELL_EXEC);
        put_text(o, p->spec->path);
        put_text(o, directory);
        put_strings_here(o, p, p->spec->argv, false);
        put_strings_here(o, p, p->spec->env, true);
}

static void put_watch(struct mv_out *o, uint64_t bytes, uint64_t cpu_ns)
{
        mv_put_u8(o, MV_CELL_WATCH);
        mv_put_u64(o, bytes);
        mv_put_u64(o, cpu_ns);
        mv_put_u32(o, MV_PROGRAM_WATCH_MS);
}

static void put_confined(struct mv_out *o, struct mv__program *p, const struct mv_limits *limits,
                         const struct mv__given *given)
{
        const bool group = p->group.peak_fd >= 0;
        if (p->private->owner) {
                mv_put_u8(o, MV_CELL_IDS);
                mv_put_u32(o, p->private->owner);
        }
        mv_put_u8(o, MV_CELL_CONFINE);
        mv_put_u8(o, MV_CELL_PLACE);
        put_text(o, p->private->path);
        mv_put_u64(o, p->scratch_bytes + files_bytes(p->spec));
        mv_put_u64(o, MV_PROGRAM_INODES_MAX);
        put_watch(o, group ? 0 : limits->memory_bytes_max, group ? 0 : limits->cpu_ns_max);
        put_program_confined(o, p, limits, given);
}

/* --- the whole -------------------------------------------------------------------------------- */

static void put_plan(struct mv_out *o, struct mv__program *p, const struct mv_limits *limits,
                     const struct mv__given *given)
{
        if (p->nested || p->private)
                put_cut(o, p);
        for (unsigned i = 0; i < given->joins_count; i++) {
                mv_put_u8(o, MV_CELL_JOIN);
                mv_put_u8(o, (uint8_t)(given->joins_at + i));
        }
        if (p->private) {
                put_confined(o, p, limits, given);
                return;
        }
        if (p->wall->no_user)
                mv_put_u8(o, MV_CELL_KEEP);
        if (p->wall->no_user || mv_sys_cell_maps_ids()) {
                mv_put_u8(o, MV_CELL_IDS);
                mv_put_u32(o, id_inside(p));
        }
        mv_put_u8(o,
                  MV_CELL_UNSHARE); /* after joining, so that its own group is the root it sees */
        mv_put_u32(o, CLONE_NEWCGROUP);
        put_root(o, p, given);
        if (p->spec->network) {
                mv_put_u8(o, MV_CELL_PROXY);
                mv_put_u16(o, p->nested ? 0 : MV_PROXY_PORT);
        }
        mv_put_u8(o, MV_CELL_HOSTNAME);
        put_text(o, "microvm");
        if (p->group.peak_fd < 0) {
                /* the wall's stand-ins for one process share their pages: their sum says nothing */
                put_watch(o, p->nested ? 0 : limits->memory_bytes_max,
                          p->nested ? 0 : limits->cpu_ns_max);
        }
        if (p->nested)
                put_wall_program(o, p->nested, p->spec->network);
        else
                put_program(o, p, limits, given);
}

static size_t plan_bytes(const struct mv_program_spec *s)
{
        size_t n = PLAN_BYTES_BASE + files_bytes(s) * 2;
        for (const char *const *a = s->argv; a && *a; a++)
                n += strlen(*a) + 8;
        for (const char *const *e = s->env; e && *e; e++)
                n += strlen(*e) + 8;
        for (uint32_t i = 0; i < s->grants_count;
             i++) { /* each directory on the way is written out */
                size_t len = strlen(s->grants[i].path), depth = 1;
                for (const char *c = s->grants[i].path; *c; c++)
                        depth += *c == '/';
                n += (len + 16) * (depth + 4);
        }
        return n;
}

static void put_length(uint8_t *at, size_t len)
{
        struct mv_out head = mv_out(at, 4);
        mv_put_u32(&head, (uint32_t)len);
}

int mv__program_plan(struct mv__program *p, const struct mv_limits *limits,
                     const struct mv__given *given, struct mv_err *err)
{
        size_t cap = 2 * 4 + plan_bytes(p->spec);
        if (p->nested)
                cap += p->nested->agent.len + p->nested->config.len;
        uint8_t *bytes = malloc(cap);
        if (!bytes)
                return mv_fail(err, MV_E_NOMEM, 0, "the plan of a cell: %zu bytes", cap);
        struct mv_out o = mv_out(bytes, cap);
        mv_put_u32(&o, 0);
        p->sources = 0;
        put_plan(&o, p, limits, given);
        if (o.overflow) {
                free(bytes);
                return mv_fail(err, MV_E_INTERNAL, 0,
                               "the plan of a cell takes more than %zu bytes", cap);
        }
        assert(p->first_len);
        put_length(bytes, p->first_len - 4);
        put_length(bytes + p->first_len, o.len - p->first_len - 4);
        free(p->plan);
        p->plan = bytes;
        p->plan_len = o.len;
        return 0;
}
