/* SPDX-License-Identifier: Apache-2.0 */
/* What this machine has. Every lack comes with what follows from it and what mends it. */
#include <cli/cli.h>
#include <errno.h>
#include <host/jsonw.h>
#include <string.h>
#include <sys/cell.h>
#include <sys/cgroup.h>
#include <sys/probe.h>

struct check {
        const char *name;
        bool ok;
        char detail[200];
        const char *consequence, *mend; /* shown when it is not ok */
};

static void check_kvm(struct check *c)
{
        char backend[32];
        int sys = mv_sys_probe_kvm(backend, sizeof backend);
        c->name = "kvm";
        c->ok = sys == 0;
        c->consequence =
                "the kvm wall (tier vm) is unavailable; the process wall is the strongest one here";
        c->mend = sys == ENOENT ? "modprobe kvm_intel || modprobe kvm_amd    (in a VM: switch "
                                  "nested virtualisation on)"
                                : "usermod -aG kvm \"$USER\"    (then log in again)";
        if (c->ok)
                snprintf(c->detail, sizeof c->detail, "/dev/kvm, backend %s", backend);
        else
                snprintf(c->detail, sizeof c->detail, "/dev/kvm: %s", strerror(sys));
}

static void check_user_namespaces(struct check *c)
{
        int sys = mv_sys_probe_user_namespaces();
        c->name = "user-namespaces";
        c->ok = sys == 0;
        c->consequence =
                sys && mv_sys_cell_without_user() == 0
                        ? "root's programs run without one: owners of granted files are not "
                          "translated, and gvisor is unavailable; RTFS is not affected"
                        : "external programs and scripts are refused, unless --min-tier landlock "
                          "admits the weaker wall that does without; RTFS is not affected";
        c->mend = "sysctl -w kernel.unprivileged_userns_clone=1 user.max_user_namespaces=15000";
        snprintf(c->detail, sizeof c->detail, "%s", sys ? strerror(sys) : "can be made");
}

static void check_seccomp(struct check *c)
{
        int sys = mv_sys_probe_seccomp();
        c->name = "seccomp";
        c->ok = sys == 0;
        c->consequence = "the process wall is unavailable";
        c->mend = "boot a kernel built with CONFIG_SECCOMP_FILTER (every Debian kernel is)";
        snprintf(c->detail, sizeof c->detail, "%s",
                 sys ? strerror(sys) : "filters that kill the process");
}

static void check_landlock(struct check *c)
{
        int abi = mv_sys_probe_landlock();
        c->name = "landlock";
        c->ok = abi > 0;
        c->consequence = "one wall fewer around external programs, and no tier landlock; RTFS is "
                         "not affected";
        c->mend = "add landlock to the kernel's lsm= parameter (kernel 5.13 and later)";
        if (c->ok)
                snprintf(c->detail, sizeof c->detail, "ABI %d%s", abi,
                         abi < MV_LANDLOCK_ABI_CONFINED ? "; tier landlock needs 6 (Linux 6.12)"
                                                        : "");
        else
                snprintf(c->detail, sizeof c->detail, "%s", strerror(-abi));
}

static void check_openat2(struct check *c)
{
        int sys = mv_sys_probe_openat2();
        c->name = "openat2";
        c->ok = sys == 0;
        c->consequence =
                "the file capabilities are refused: paths cannot be held beneath their grants";
        c->mend = "boot kernel 5.6 or later";
        snprintf(c->detail, sizeof c->detail, "%s",
                 sys ? strerror(sys) : "paths are resolved beneath their grants");
}

static void check_cgroups(struct check *c)
{
        struct mv_sys_groups groups;
        mv_sys_groups_find(&groups);
        mv_sys_groups_done(&groups);
        c->name = "cgroups";
        c->ok = !groups.missing[0];
        c->consequence = "memory and CPU time of programs and scripts are held per process by "
                         "rlimits, and their sum is looked at every 5 ms; RTFS is not affected";
        c->mend = "run as root, or under `systemd-run --user --scope -p Delegate=yes`";
        if (c->ok)
                snprintf(c->detail, sizeof c->detail, "version %d: memory, cpu, pids",
                         groups.version);
        else
                snprintf(c->detail, sizeof c->detail, "%s", groups.missing);
}

static void check_binary(struct check *c, const char *name, const char *consequence,
                         const char *mend)
{
        c->name = name;
        c->ok = mv_sys_probe_binary(name, c->detail, sizeof c->detail);
        c->consequence = consequence;
        c->mend = mend;
        if (!c->ok)
                snprintf(c->detail, sizeof c->detail, "not on PATH");
}

#define CHECKS_MAX 16
static unsigned check_all(struct check list[CHECKS_MAX])
{
        static const char no_modules[] = "WebAssembly modules are refused, behind kvm as behind "
                                         "wasm; RTFS is not affected";
        unsigned n = 0;
        check_kvm(&list[n++]);
        check_user_namespaces(&list[n++]);
        check_seccomp(&list[n++]);
        check_landlock(&list[n++]);
        check_openat2(&list[n++]);
        check_cgroups(&list[n++]);
        check_binary(&list[n++], "bwrap", "`microvm bench` leaves bubblewrap out of its comparison",
                     "apt-get install bubblewrap");
        check_binary(&list[n++], "runsc", "`microvm bench` leaves gVisor out of its comparison",
                     "apt-get install runsc");
        check_binary(&list[n++], "wasm2c", no_modules, "apt-get install wabt");
        check_binary(&list[n++], "musl-gcc", no_modules, "apt-get install musl-tools");
        check_binary(&list[n++], "qemu-system-x86_64",
                     "the tests skip the second KVM backend (emulated SVM)",
                     "apt-get install qemu-system-x86");
        return n;
}

static int print_json(const struct check *list, unsigned count)
{
        struct mv__jsonw w;
        mv__json_begin(&w);
        mv__json_open(&w, NULL, '{');
        mv__json_open(&w, "checks", '[');
        for (unsigned i = 0; i < count; i++) {
                mv__json_open(&w, NULL, '{');
                mv__json_str(&w, "name", list[i].name);
                mv__json_bool(&w, "ok", list[i].ok);
                mv__json_str(&w, "detail", list[i].detail);
                mv__json_str(&w, "consequence", list[i].ok ? NULL : list[i].consequence);
                mv__json_str(&w, "mend", list[i].ok ? NULL : list[i].mend);
                mv__json_close(&w, '}');
        }
        mv__json_close(&w, ']');
        mv__json_close(&w, '}');
        return cli_json_line(mv__json_end(&w));
}

static void print_text(const struct check *list, unsigned count)
{
        for (unsigned i = 0; i < count; i++) {
                cli_paint(stdout, list[i].ok ? CLI_GREEN : CLI_YELLOW, "%-5s",
                          list[i].ok ? "ok" : "lacks");
                printf(" %-20s %s\n", list[i].name, list[i].detail);
                if (!list[i].ok)
                        printf("      so:   %s\n      mend: %s\n", list[i].consequence,
                               list[i].mend);
        }
}

int cmd_doctor(int argc, char **argv)
{
        struct check list[CHECKS_MAX] = { 0 };
        struct cli_options o;
        int r = cli_options(argc, argv, CLI_JSON, &o);
        if (r == 0)
                r = cli_operands(&o, 0, 0, "no operand");
        if (r)
                return r;
        unsigned count = check_all(list);
        if (o.json)
                return print_json(list, count);
        print_text(list, count);
        return CLI_DONE;
}
