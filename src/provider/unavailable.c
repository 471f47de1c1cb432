/* SPDX-License-Identifier: Apache-2.0 */
/* Walls that are planned and not part of this build: firecracker. They are listed so that a caller who asks
 * for one learns why it is refused, and what the machine has of it; nothing stands in for them (REQ-PRV-19).
 *
 * (1) probe and init always say UNAVAILABLE; no cell can exist, so the other entries have nothing to do. */
#include <stdlib.h>
#include <unistd.h>
#include <base/err.h>
#include <base/slice.h>
#include <provider/provider.h>

/* Is there an executable of this name in a directory of PATH? The first one found goes to path. */
static bool on_path(const char *name, char *path, size_t cap)
{
        const char *dirs = getenv("PATH");
        while (dirs && *dirs) {
                size_t len = strcspn(dirs, ":");
                mv_fmt(path, cap, "%.*s/%s", (int)len, dirs, name);
                if (len > 0 && access(path, X_OK) == 0)
                        return true;
                dirs += len + (dirs[len] == ':');
        }
        return false;
}

struct absent {
        const char *binary; /* NULL: nothing to be installed */
        const char *needs;
};
static const struct absent absent_firecracker = {
        "firecracker", "the runner in a root file system and a guest kernel"
};

static int refuse(const struct absent *a, struct mv_err *err)
{
        char path[512], machine[600] = "";
        if (a->binary && on_path(a->binary, path, sizeof path))
                mv_fmt(machine, sizeof machine,
                       "; %s is installed (%.200s), but nothing drives it yet", a->binary, path);
        else if (a->binary)
                mv_fmt(machine, sizeof machine, "; also, no %s is on PATH", a->binary);
        return mv_fail(err, MV_E_UNAVAILABLE, 0, "not part of this build yet: it needs %s%s",
                       a->needs, machine);
}

/* One table for each. */
#define UNAVAILABLE_PROVIDER(id, id_text, title_text, tier_value, schema_json)                     \
        static int id##_probe(struct mv_err *err)                                                  \
        {                                                                                          \
                return refuse(&absent_##id, err);                                                  \
        }                                                                                          \
        static int id##_init(const struct mv_value *config, struct mv_provider **ret,              \
                             struct mv_err *err)                                                   \
        {                                                                                          \
                return refuse(&absent_##id, err);                                                  \
        }                                                                                          \
        static int id##_open(struct mv_provider *p, const struct mv_cell_spec *spec,               \
                             struct mv_cell **ret, struct mv_err *err)                             \
        {                                                                                          \
                return refuse(&absent_##id, err);                                                  \
        }                                                                                          \
        static int id##_run(struct mv_cell *c, const struct mv_run *run, struct mv_exit *ret,      \
                            struct mv_err *err)                                                    \
        {                                                                                          \
                return refuse(&absent_##id, err);                                                  \
        }                                                                                          \
        static const char *id##_schema(void)                                                       \
        {                                                                                          \
                return schema_json;                                                                \
        }                                                                                          \
        const struct mv_provider_ops mv_provider_##id = {                                          \
                .abi = MV_PROVIDER_ABI,                                                            \
                .name = id_text,                                                                   \
                .title = title_text,                                                               \
                .tier = tier_value,                                                                \
                .features = 0,                                                                     \
                .probe = id##_probe,                                                               \
                .init = id##_init,                                                                 \
                .open_cell = id##_open,                                                            \
                .run = id##_run,                                                                   \
                .cancel = cancel,                                                                  \
                .close_cell = close_cell,                                                          \
                .fini = fini,                                                                      \
                .schema = id##_schema,                                                             \
        }

static void cancel(struct mv_cell *c)
{
}

static struct mv_cell *close_cell(struct mv_cell *c)
{
        return NULL;
}

static struct mv_provider *fini(struct mv_provider *p)
{
        return NULL;
}

/* JSON put together from pieces. */
/* clang-format off */
#define INTEGER(key, min, max, standard)                                                                               \
        "\"" key "\": {\"type\": \"integer\", \"minimum\": " #min ", \"maximum\": " #max ", \"default\": " #standard "}"
#define BOOLEAN(key, standard) "\"" key "\": {\"type\": \"boolean\", \"default\": " #standard "}"
#define STRING(key, standard) "\"" key "\": {\"type\": \"string\", \"default\": \"" standard "\"}"
#define OBJECT(key, properties) "\"" key "\": {\"type\": \"object\", \"properties\": {" properties "}}"
#define SCHEMA(title, required, properties)                                                                            \
        "{\"$schema\": \"http://json-schema.org/draft-07/schema#\", \"title\": \"" title " provider\", "               \
        "\"type\": \"object\", \"required\": [" required "], \"properties\": {" properties "}}"


/* REQ-FC-02 to -07 */
UNAVAILABLE_PROVIDER(firecracker, "firecracker", "Firecracker", MV_TIER_VM,
        SCHEMA("firecracker", "\"kernel_path\", \"rootfs_path\"",
               STRING("kernel_path", "/opt/firecracker/vmlinux") ", "
               STRING("rootfs_path", "/opt/firecracker/rootfs.ext4") ", "
               INTEGER("vcpu_count", 1, 16, 1) ", " INTEGER("memory_size_mb", 128, 8192, 512) ", "
               INTEGER("vsock_cid", 3, 65535, 3) ", " BOOLEAN("network_enabled", false) ", "
               BOOLEAN("vsock_enabled", true) ", "
               OBJECT("security_features", BOOLEAN("seccomp_enabled", true) ", " BOOLEAN("jailer_enabled", true)) ", "
               OBJECT("resource_limits", INTEGER("max_cpu_time", 1, 86400, 300) ", "
                      INTEGER("max_memory_mb", 1, 65536, 1024)) ", "
               OBJECT("attestation_config", BOOLEAN("enabled", false))));
/* clang-format on */
