/* SPDX-License-Identifier: Apache-2.0 */
#include <base/fmt.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/probe.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int mv_sys_probe_kvm(char *backend, size_t cap)
{
        static const char *const modules[] = { "kvm_intel", "kvm_amd", "kvm_pvm" };
        char path[64];
        mv_fmt(backend, cap, "kvm");
        for (size_t i = 0; i < sizeof modules / sizeof modules[0]; i++) {
                mv_fmt(path, sizeof path, "/sys/module/%s", modules[i]);
                if (access(path, F_OK) == 0)
                        mv_fmt(backend, cap, "%s", modules[i]);
        }
        int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
        if (fd < 0)
                return errno;
        close(fd);
        return 0;
}

int mv_sys_probe_user_namespaces(void)
{
        int status;
        pid_t pid = fork();
        if (pid < 0)
                return errno;
        if (pid == 0)
                /* some systems let anybody make one and do nothing in it: a change of its mounts tells */
                _exit(unshare(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS) == 0 &&
                                      mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0
                              ? 0
                              : errno);
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return errno;
        return WIFEXITED(status) ? WEXITSTATUS(status) : ECHILD;
}

int mv_sys_probe_seccomp(void)
{
        unsigned action = SECCOMP_RET_KILL_PROCESS;
        return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0 ? 0 : errno;
}

int mv_sys_probe_landlock(void)
{
        long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
        return abi < 0 ? -errno : (int)abi;
}

int mv_sys_probe_openat2(void)
{
        struct open_how how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
                                .resolve = RESOLVE_BENEATH };
        long fd = syscall(SYS_openat2, AT_FDCWD, ".", &how, sizeof how);
        if (fd < 0)
                return errno;
        close((int)fd);
        return 0;
}

bool mv_sys_probe_binary(const char *name, char *buf, size_t cap)
{
        const char *at = getenv("PATH");
        while (at && *at) {
                size_t n = strcspn(at, ":");
                mv_fmt(buf, cap, "%.*s/%s", (int)n, at, name);
                if (n > 0 && access(buf, X_OK) == 0)
                        return true;
                at += n + (at[n] == ':');
        }
        return false;
}
