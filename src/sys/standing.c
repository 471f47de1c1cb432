/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fd.h>
#include <sys/prctl.h>
#include <sys/standing.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* How many filters there are; a kernel before 5.9 does not say. */
static bool filters_count(uint64_t *ret)
{
        static const char key[] = "Seccomp_filters:";
        char text[4096];
        *ret = 0;
        if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 0)
                return true;
        mv_auto_fd fd = open("/proc/thread-self/status", O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
        text[n > 0 ? n : 0] = 0;
        const char *at = strstr(text, key);
        if (!at)
                return false;
        *ret = strtoull(at + sizeof key - 1, NULL, 10);
        return true;
}

static bool capabilities(uint32_t ret[6])
{
        struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
        struct __user_cap_data_struct sets[2];
        if (syscall(SYS_capget, &head, sets) < 0)
                return false;
        memcpy(ret, sets, sizeof sets);
        return true;
}

void mv_sys_standing(struct mv_sys_standing *ret)
{
        struct stat st;
        memset(ret, 0, sizeof *ret); /* compared as bytes */
        ret->uid = geteuid();
        ret->gid = getegid();
        ret->groups_count = getgroups(MV_SYS_STANDING_GROUPS_MAX, ret->groups);
        bool known = ret->groups_count >= 0 && capabilities(ret->capabilities) &&
                     prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0 && filters_count(&ret->filters) &&
                     stat("/proc/thread-self/ns/mnt", &st) == 0;
        for (int i = 0; known && i < RLIM_NLIMITS; i++)
                known = getrlimit((__rlimit_resource_t)i, &ret->limits[i]) == 0;
        ret->mounts = known ? st.st_ino : 0;
        ret->known = known;
}

bool mv_sys_standing_same(const struct mv_sys_standing *a, const struct mv_sys_standing *b)
{
        return a->known && b->known && memcmp(a, b, sizeof *a) == 0; /* (1) */
}
