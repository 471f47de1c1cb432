/* SPDX-License-Identifier: Apache-2.0 */
/* One machine in three spellings. What a VMM does not know it refuses, so each text has exactly the keys of its reader:
 * the canonical one is ours, Firecracker's and Cloud Hypervisor's are as their current releases read them. */
#include <base/fmt.h>
#include <config/spec.h>

static void put_bucket(struct mv_text *t, const char *key, const struct mv_bucket *b)
{
        if (!b->at.given)
                return;
        mv_json_open(t, key, '{');
        mv_json_int(t, "size", b->size.integer);
        if (b->one_time_burst.given)
                mv_json_int(t, "one_time_burst", b->one_time_burst.integer);
        mv_json_int(t, "refill_time", b->refill_ms.integer);
        mv_json_close(t, '}');
}

static void put_limit(struct mv_text *t, const char *key, const struct mv_rate_limit *l)
{
        if (!l)
                return;
        mv_json_open(t, key, '{');
        put_bucket(t, "bandwidth", &l->bandwidth);
        put_bucket(t, "ops", &l->ops);
        mv_json_close(t, '}');
}

/* --- parts that the canonical text and Firecracker's share ------------------------------------ */
static void put_drives(struct mv_text *t, const struct mv_vm_spec *s)
{
        mv_json_open(t, "drives", '[');
        for (uint32_t i = 0; i < s->drives_count; i++) {
                const struct mv_vm_drive *d = &s->drives[i];
                mv_json_open(t, NULL, '{');
                mv_json_str(t, "drive_id", d->id);
                mv_json_str(t, "path_on_host", d->path);
                mv_json_bool(t, "is_root_device", d->root);
                mv_json_bool(t, "is_read_only", d->read_only);
                mv_json_str(t, "cache_type", "Unsafe");
                put_limit(t, "rate_limiter", d->limit);
                mv_json_close(t, '}');
        }
        mv_json_close(t, ']');
}

static void put_machine(struct mv_text *t, const char *key, const struct mv_vm_spec *s)
{
        mv_json_open(t, key, '{');
        mv_json_int(t, "vcpu_count", s->vcpus);
        mv_json_int(t, "mem_size_mib", s->memory_mib);
        mv_json_bool(t, "smt", false);
        mv_json_bool(t, "track_dirty_pages", false);
        mv_json_close(t, '}');
}

static void put_nics(struct mv_text *t, const char *key, const struct mv_vm_spec *s,
                     bool with_namespace)
{
        mv_json_open(t, key, '[');
        for (uint32_t i = 0; i < s->nics_count; i++) {
                const struct mv_vm_nic *n = &s->nics[i];
                mv_json_open(t, NULL, '{');
                mv_json_str(t, "iface_id", n->id);
                mv_json_str(t, "host_dev_name", n->tap);
                if (with_namespace)
                        mv_json_str(t, "proxy_ns", n->proxy_ns);
                put_limit(t, "rx_rate_limiter", n->rx);
                put_limit(t, "tx_rate_limiter", n->tx);
                mv_json_close(t, '}');
        }
        mv_json_close(t, ']');
}

static void put_vsock(struct mv_text *t, const struct mv_vm_spec *s, bool with_id)
{
        if (!s->has_vsock)
                return;
        mv_json_open(t, "vsock", '{');
        if (with_id)
                mv_json_str(t, "vsock_id", "vsock0");
        mv_json_int(t, "guest_cid", s->guest_cid);
        mv_json_str(t, "uds_path", s->vsock_path);
        mv_json_close(t, '}');
}

static void put_devices(struct mv_text *t, const struct mv_vm_spec *s, bool with_ids)
{
        mv_json_open(t, "balloon", '{');
        if (with_ids)
                mv_json_str(t, "balloon_id", "balloon0");
        mv_json_int(t, "amount_mib", 0); /* the guest keeps its memory until somebody asks for it */
        mv_json_bool(t, "deflate_on_oom", true);
        mv_json_int(t, "stats_polling_interval_s", 1);
        mv_json_close(t, '}');
        mv_json_open(t, "entropy", '{');
        if (with_ids)
                mv_json_str(t, "entropy_id", "entropy0");
        mv_json_close(t, '}');
        mv_json_open(t, "logger", '{');
        mv_json_str(t, "log_path", s->log_path);
        mv_json_str(t, "level", "Info");
        mv_json_bool(t, "show_level", true);
        mv_json_bool(t, "show_log_origin", false);
        mv_json_close(t, '}');
        mv_json_open(t, "metrics", '{');
        mv_json_str(t, "metrics_path", s->metrics_path);
        mv_json_close(t, '}');
}

/* --- the three texts -------------------------------------------------------------------------- */
void mv_vm_spec_json(const struct mv_vm_spec *s, struct mv_text *ret)
{
        mv_json_open(ret, NULL, '{');
        mv_json_str(ret, "agent_id", s->agent_id);
        mv_json_str(ret, "run_directory", s->run_directory);
        mv_json_open(ret, "boot_source", '{');
        mv_json_str(ret, "kernel_image_path", s->kernel);
        mv_json_str(ret, "boot_args", s->boot_args);
        mv_json_null(ret, "initrd_path");
        mv_json_close(ret, '}');
        put_drives(ret, s);
        put_machine(ret, "machine_config", s);
        put_nics(ret, "network_interfaces", s, true);
        put_vsock(ret, s, true);
        put_devices(ret, s, true);
        mv_json_open(ret, "digests", '{');
        mv_json_str(ret, "config", s->config_digest[0] ? s->config_digest : NULL);
        mv_json_str(ret, "expect_rootfs", s->rootfs_digest);
        mv_json_str(ret, "expect_kernel", s->kernel_digest);
        mv_json_str(ret, "expect_agent", s->agent_digest);
        mv_json_close(ret, '}');
        mv_json_close(ret, '}');
        mv_text_str(ret, "\n");
}

void mv_vm_spec_firecracker(const struct mv_vm_spec *s, struct mv_text *ret)
{
        mv_json_open(ret, NULL, '{');
        mv_json_open(ret, "boot-source", '{');
        mv_json_str(ret, "kernel_image_path", s->kernel);
        if (s->boot_args[0])
                mv_json_str(ret, "boot_args", s->boot_args);
        mv_json_close(ret, '}');
        put_drives(ret, s);
        put_machine(ret, "machine-config", s);
        put_nics(ret, "network-interfaces", s, false);
        put_vsock(ret, s, false);
        put_devices(ret, s, false);
        mv_json_close(ret, '}');
        mv_text_str(ret, "\n");
}

/* Nothing is appended to this command line by the VMM: the root device stands in it. */
static void put_payload(struct mv_text *t, const struct mv_vm_spec *s)
{
        char args[2048];
        bool own = strstr(s->boot_args, "root=") != NULL;
        mv_fmt(args, sizeof args, "%s%s%s", s->boot_args, s->boot_args[0] && !own ? " " : "",
               own                      ? ""
               : s->drives[0].read_only ? "root=/dev/vda ro"
                                        : "root=/dev/vda rw");
        mv_json_open(t, "payload", '{');
        mv_json_str(t, "kernel", s->kernel);
        mv_json_str(t, "cmdline", args);
        mv_json_close(t, '}');
}

static void put_mode(struct mv_text *t, const char *device, const char *mode)
{
        mv_json_open(t, device, '{');
        mv_json_str(t, "mode", mode);
        mv_json_close(t, '}');
}

static void put_disks(struct mv_text *t, const struct mv_vm_spec *s)
{
        mv_json_open(t, "disks", '[');
        for (uint32_t i = 0; i < s->drives_count; i++) {
                mv_json_open(t, NULL, '{');
                mv_json_str(t, "path", s->drives[i].path);
                mv_json_bool(t, "readonly", s->drives[i].read_only);
                mv_json_str(t, "image_type", "Raw");
                put_limit(t, "rate_limiter_config", s->drives[i].limit);
                mv_json_close(t, '}');
        }
        mv_json_close(t, ']');
}

void mv_vm_spec_cloud_hypervisor(const struct mv_vm_spec *s, struct mv_text *ret)
{
        mv_json_open(ret, NULL, '{');
        put_payload(ret, s);
        mv_json_open(ret, "cpus", '{');
        mv_json_int(ret, "boot_vcpus", s->vcpus);
        mv_json_int(ret, "max_vcpus", s->vcpus);
        mv_json_close(ret, '}');
        mv_json_open(ret, "memory", '{');
        mv_json_int(ret, "size", s->memory_mib << 20);
        mv_json_close(ret, '}');
        put_disks(ret, s);
        if (s->nics_count) {
                mv_json_open(ret, "net", '[');
                for (uint32_t i = 0; i < s->nics_count; i++) {
                        mv_json_open(ret, NULL, '{');
                        mv_json_str(ret, "tap", s->nics[i].tap);
                        mv_json_close(ret, '}');
                }
                mv_json_close(ret, ']');
        }
        if (s->has_vsock) {
                mv_json_open(ret, "vsock", '{');
                mv_json_int(ret, "cid", s->guest_cid);
                mv_json_str(ret, "socket", s->vsock_path);
                mv_json_close(ret, '}');
        }
        mv_json_open(ret, "rng", '{');
        mv_json_str(ret, "src", "/dev/urandom");
        mv_json_close(ret, '}');
        mv_json_open(ret, "balloon", '{');
        mv_json_int(ret, "size", 0);
        mv_json_bool(ret, "deflate_on_oom", true);
        mv_json_close(ret, '}');
        put_mode(ret, "serial",
                 "Null"); /* the default console takes the terminal of whoever starts the VMM */
        put_mode(ret, "console", "Off");
        mv_json_close(ret, '}');
        mv_text_str(ret, "\n");
}
