/* SPDX-License-Identifier: Apache-2.0 */
/* What runsc is told: config.json and its command line.
 *
 * (1) The root is the directory that the cell's plan has built, with everything mounted in it already, read-only where it
 *     must be; runsc adds /proc, /dev and memory file systems of its own, and mounts nothing of the host.
 * (2) No network but a loopback (the proxy's port on it is the agent's work), no capability, no_new_privs; ids of the
 *     sandbox are one id outside. */
#include <stdlib.h>
#include <string.h>
#include <base/slice.h>
#include <provider/gvisor/gvisor.h>

#define COUNT(a) ((uint32_t)(sizeof(a) / sizeof(a)[0]))

static struct mv_value string(const char *s)
{
        return (struct mv_value){ .kind = MV_STRING, .text = mv_slice_str(s) };
}

static struct mv_value boolean(bool b)
{
        return (struct mv_value){ .kind = MV_BOOL, .boolean = b };
}

static struct mv_value integer(int64_t n)
{
        return (struct mv_value){ .kind = MV_INT, .integer = n };
}

static struct mv_value list(const struct mv_value *items, uint32_t count)
{
        return (struct mv_value){ .kind = MV_VECTOR, .count = count, .items = items };
}

static struct mv_value object(const struct mv_entry *entries, uint32_t count)
{
        return (struct mv_value){ .kind = MV_MAP, .count = count, .entries = entries };
}

/* --- the parts -------------------------------------------------------------------------------- */

static struct mv_value process_part(void)
{
        static struct mv_value args[2], env[1];
        static struct mv_entry user[2], sets[5], parts[7];
        static const char *const names[] = { "bounding", "effective", "inheritable", "permitted",
                                             "ambient" };
        for (uint32_t i = 0; i < COUNT(names); i++)
                sets[i] = (struct mv_entry){ string(names[i]), list(NULL, 0) };
        args[0] = string("/" MV_NESTED_AGENT);
        args[1] = string(MV_AGENT_INSIDE);
        env[0] = string("PATH=/usr/bin:/bin");
        user[0] = (struct mv_entry){ string("uid"), integer(0) };
        user[1] = (struct mv_entry){ string("gid"), integer(0) };
        parts[0] = (struct mv_entry){ string("terminal"), boolean(false) };
        parts[1] = (struct mv_entry){ string("user"), object(user, 2) };
        parts[2] = (struct mv_entry){ string("args"), list(args, 2) };
        parts[3] = (struct mv_entry){ string("env"), list(env, 1) };
        parts[4] = (struct mv_entry){ string("cwd"), string("/") };
        parts[5] = (struct mv_entry){ string("capabilities"), object(sets, 5) };
        parts[6] = (struct mv_entry){ string("noNewPrivileges"), boolean(true) };
        return object(parts, 7);
}

struct mount {
        struct mv_value options[4];
        struct mv_entry parts[4];
};

static struct mv_value mount_part(struct mount *m, const char *at, const char *type,
                                  const char *size)
{
        m->options[0] = string("nosuid");
        m->options[1] = string("nodev");
        m->options[2] = string(size ? size : "noexec");
        m->parts[0] = (struct mv_entry){ string("destination"), string(at) };
        m->parts[1] = (struct mv_entry){ string("type"), string(type) };
        m->parts[2] = (struct mv_entry){ string("source"), string(type) };
        m->parts[3] = (struct mv_entry){ string("options"), list(m->options, 3) };
        return object(m->parts, 4);
}

static struct mv_value namespaces_part(void)
{
        static const char *const types[] = { "pid", "network", "ipc", "uts", "mount" };
        static struct mv_entry each[COUNT(types)];
        static struct mv_value all[COUNT(types)];
        static struct mv_entry parts[1];
        for (uint32_t i = 0; i < COUNT(types); i++) {
                each[i] = (struct mv_entry){ string("type"), string(types[i]) };
                all[i] = object(&each[i], 1);
        }
        parts[0] = (struct mv_entry){ string("namespaces"), list(all, COUNT(types)) };
        return object(parts, 1);
}

static bool granted_below(const struct mv_cell_spec *spec, const char *dir)
{
        size_t n = strlen(dir);
        for (uint32_t i = 0; spec->program && i < spec->program->grants_count; i++) {
                const char *path = spec->program->grants[i].path;
                if (strncmp(path, dir, n) == 0 && (path[n] == '/' || path[n] == 0))
                        return true;
        }
        return false;
}

char *gv_config(const struct mv_cell_spec *spec, uint64_t scratch_bytes)
{
        static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* the parts are static */
        struct mount mounts[4];
        struct mv_value all[4];
        char size[40];
        mv_fmt(size, sizeof size, "size=%llu", (unsigned long long)scratch_bytes);
        pthread_mutex_lock(&lock);
        all[0] = mount_part(&mounts[0], "/proc", "proc", NULL);
        all[1] = mount_part(&mounts[1], "/dev", "tmpfs", NULL);
        uint32_t count = 2;
        if (spec->program)
                all[count++] = mount_part(&mounts[2], "/dev/shm", "tmpfs", size);
        if (spec->program && !granted_below(spec, "/tmp")) /* else it is the cell's own */
                all[count++] = mount_part(&mounts[3], "/tmp", "tmpfs", size);
        struct mv_entry root[] = { { string("path"), string("root") },
                                   { string("readonly"), boolean(false) } }; /* (1) */
        struct mv_entry top[] = { { string("ociVersion"), string("1.0.0") },
                                  { string("process"), process_part() },
                                  { string("root"), object(root, 2) },
                                  { string("hostname"), string("microvm") },
                                  { string("mounts"), list(all, count) },
                                  { string("linux"), namespaces_part() } };
        struct mv_value config = object(top, COUNT(top));
        char *text = mv_value_json(&config, NULL);
        pthread_mutex_unlock(&lock);
        return text;
}

/* One sandbox in a cell of its own: its name, its state and its socket need not differ from another's. */
void gv_command(struct gv_cell *c, const char *platform, bool network)
{
        static const char *const before[] = { MV_NESTED_AGENT,   MV_AGENT_OUTSIDE,
                                              "/runsc",          "--root=/tmp",
                                              "--rootless",      "--network=none",
                                              "--host-uds=none", "--ignore-cgroups" };
        static const char *const after[] = { "run", ("--bundle=/" MV_NESTED_DIR), "microvm" };
        unsigned n = 0;
        for (uint32_t i = 0; i < COUNT(before); i++)
                c->argv[n++] = before[i];
        if (network)
                c->argv[1] = MV_AGENT_OUTSIDE_NETWORK;
        mv_fmt(c->platform_arg, sizeof c->platform_arg, "--platform=%s", platform);
        c->argv[n++] = c->platform_arg;
        for (uint32_t i = 0; i < COUNT(after); i++)
                c->argv[n++] = after[i];
        c->argv[n] = NULL;
}
