/* SPDX-License-Identifier: Apache-2.0 */
/* What the processes of a cell use, read from its own /proc: the second-best measure, for hosts
 * where no control group can be had. A process that lives shorter than the period is seen only
 * through what its parent waited for. */
#include <fcntl.h>
#include <guest/cell.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DIRECTORY_BYTES 4096

static size_t read_small(int proc, const char *name, const char *file, char *buf, size_t cap)
{
        char path[64];
        snprintf(path, sizeof path, "%.20s/%s", name, file);
        int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd >= 0 ? read(fd, buf, cap - 1) : 0;
        if (fd >= 0)
                close(fd);
        buf[n > 0 ? n : 0] = 0;
        return n > 0 ? (size_t)n : 0;
}

static uint64_t resident_of(int proc, const char *name)
{
        char text[128];
        unsigned long size, resident = 0;
        if (read_small(proc, name, "statm", text, sizeof text))
                (void)!sscanf(text, "%lu %lu", &size, &resident);
        return (uint64_t)resident * 4096;
}

bool cell_next_thread(int proc, const char *name, cell_thread_fn found, void *ctx)
{
        char buf[DIRECTORY_BYTES] __attribute__((aligned(8))), path[32];
        bool over = false;
        long n;
        snprintf(path, sizeof path, "%.20s/task", name);
        int fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        while (fd >= 0 && !over && (n = syscall(SYS_getdents64, fd, buf, sizeof buf)) > 0)
                for (long at = 0; at < n && !over;
                     at += ((const struct entry64 *)(buf + at))->len) {
                        const char *thread = ((const struct entry64 *)(buf + at))->name;
                        over = thread[0] != '.' && found(proc, thread, ctx);
                }
        if (fd >= 0)
                close(fd);
        return over;
}

static bool has_memory(int proc, const char *thread, void *ctx)
{
        uint64_t *bytes = ctx;
        return (*bytes = resident_of(proc, thread)) > 0;
}

/* Where the first thread has ended and others go on, the process itself seems to have none. */
static uint64_t resident_bytes(int proc, const char *name)
{
        uint64_t bytes = resident_of(proc, name);
        if (bytes == 0)
                (void)cell_next_thread(proc, name, has_memory, &bytes);
        return bytes;
}

/* Fields 14 to 17 of stat, in ticks: own time and that of children it waited for. The name may hold
 * spaces, so the count starts behind its last parenthesis. */
static uint64_t cpu_ns(int proc, const char *name)
{
        char text[512];
        unsigned long ticks[4] = { 0 };
        if (!read_small(proc, name, "stat", text, sizeof text))
                return 0;
        const char *at = strrchr(text, ')');
        if (!at || sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %lu %lu",
                          &ticks[0], &ticks[1], &ticks[2], &ticks[3]) != 4)
                return 0;
        return (uint64_t)(ticks[0] + ticks[1] + ticks[2] + ticks[3]) *
               (1000000000u / (uint64_t)sysconf(_SC_CLK_TCK));
}

void cell_usage_add(int proc, const char *name, bool resident, uint64_t *bytes, uint64_t *cpu)
{
        *cpu += cpu_ns(proc, name);
        if (resident)
                *bytes += resident_bytes(proc, name);
}

void cell_usage(uint64_t *ret_resident_bytes, uint64_t *ret_cpu_ns)
{
        static char buf[DIRECTORY_BYTES] __attribute__((aligned(8)));
        int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        long n;
        *ret_resident_bytes = *ret_cpu_ns = 0;
        while (proc >= 0 && (n = syscall(SYS_getdents64, proc, buf, sizeof buf)) > 0) {
                for (long at = 0; at < n;) {
                        const struct entry64 *e = (const struct entry64 *)(buf + at);
                        at += e->len;
                        if (e->name[0] < '0' || e->name[0] > '9')
                                continue;
                        cell_usage_add(proc, e->name, strcmp(e->name, "1") != 0, ret_resident_bytes,
                                       ret_cpu_ns);
                }
        }
        if (proc >= 0)
                close(proc);
}
