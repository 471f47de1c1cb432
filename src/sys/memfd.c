/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/fd.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

/* vm.memfd_noexec makes a plain memfd not executable; MFD_EXEC asks for the opposite and old
 * kernels refuse the flag. */
static int memfd_executable(const char *name)
{
        int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
        if (fd < 0 && errno == EINVAL)
                fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
        return fd;
}

static int write_all(int fd, const uint8_t *p, size_t len)
{
        while (len > 0) {
                ssize_t n = write(fd, p, len);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return -1;
                p += n;
                len -= (size_t)n;
        }
        return 0;
}

int mv_sys_memfd_sealed(const char *name, const void *bytes, size_t len, int *ret_fd,
                        struct mv_err *err)
{
        mv_auto_fd fd = memfd_executable(name);
        if (fd < 0)
                return mv_fail(err, MV_E_SYS, errno, "create a memory file for %s", name);
        if (write_all(fd, bytes, len) < 0)
                return mv_fail(err, MV_E_SYS, errno, "write %zu bytes of %s to a memory file", len,
                               name);
        if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
                return mv_fail(err, MV_E_SYS, errno, "seal the memory file of %s", name);
        *ret_fd = mv_fd_take(&fd);
        return 0;
}
