/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/kvm.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define DEVICE              "/dev/kvm"
#define KERNEL_SIGSET_BYTES 8

static const struct {
        unsigned capability;
        const char *name;
} needed[] = {
        { KVM_CAP_USER_MEMORY, "user memory regions" },
        { KVM_CAP_EXT_CPUID, "CPUID tables" },
        { KVM_CAP_READONLY_MEM, "read-only memory" },
        { KVM_CAP_IMMEDIATE_EXIT, "immediate exit" },
        { KVM_CAP_VCPU_EVENTS, "vCPU events" },
        { KVM_CAP_DEBUGREGS, "debug registers" },
};

static int refuse_open(struct mv_err *err)
{
        if (errno == ENOENT)
                return mv_fail(err, MV_E_UNAVAILABLE, 0,
                               DEVICE " does not exist: load kvm_intel or kvm_amd, or switch "
                                      "virtualisation on in the "
                                      "firmware or in the machine above");
        if (errno == EACCES || errno == EPERM)
                return mv_fail(
                        err, MV_E_UNAVAILABLE, 0,
                        DEVICE
                        " may not be opened: add this user to the group that owns it, usually kvm");
        return mv_fail(err, MV_E_UNAVAILABLE, errno, "open " DEVICE);
}

static int check(int fd, struct mv_err *err)
{
        int version = ioctl(fd, KVM_GET_API_VERSION, 0);
        if (version != KVM_API_VERSION)
                return mv_fail(err, MV_E_UNAVAILABLE, 0, DEVICE " speaks version %d, needed is %d",
                               version, KVM_API_VERSION);
        for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++)
                if (mv_sys_kvm_extension(fd, needed[i].capability) <= 0)
                        return mv_fail(err, MV_E_UNAVAILABLE, 0,
                                       DEVICE " has no %s (capability %u): a newer kernel has",
                                       needed[i].name, needed[i].capability);
        return 0;
}

int mv_sys_kvm_open(struct mv_err *err)
{
        int fd = open(DEVICE, O_RDWR | O_CLOEXEC);
        if (fd < 0)
                return refuse_open(err);
        int r = check(fd, err);
        if (r < 0) {
                close(fd);
                return r;
        }
        return fd;
}

int mv_sys_kvm_extension(int fd, unsigned capability)
{
        return ioctl(fd, KVM_CHECK_EXTENSION, capability);
}

int mv_sys_kvm_vm(int kvm_fd, struct mv_err *err)
{
        int fd;
        /* A signal to this thread while the VM is made is no reason to fail. */
        do {
                fd = ioctl(kvm_fd, KVM_CREATE_VM, 0);
        } while (fd < 0 && errno == EINTR);
        return fd < 0 ? mv_fail(err, MV_E_SYS, errno, "create a virtual machine") : fd;
}

int mv_sys_kvm_vcpu(int vm_fd, struct mv_err *err)
{
        int fd = ioctl(vm_fd, KVM_CREATE_VCPU, 0);
        return fd < 0 ? mv_fail(err, MV_E_SYS, errno, "create a virtual processor") : fd;
}

int mv_sys_kvm(int fd, unsigned long request, void *arg, const char *what, struct mv_err *err)
{
        int r = ioctl(fd, request, arg);
        return r < 0 ? mv_fail(err, MV_E_SYS, errno, "%s", what) : r;
}

int mv_sys_kvm_slot(int vm_fd, const struct kvm_userspace_memory_region *slot, struct mv_err *err)
{
        if (ioctl(vm_fd, KVM_SET_USER_MEMORY_REGION, slot) < 0)
                return mv_fail(err, MV_E_SYS, errno, "map %llu bytes at guest address %#llx",
                               (unsigned long long)slot->memory_size,
                               (unsigned long long)slot->guest_phys_addr);
        return 0;
}

int mv_sys_kvm_kick_signal(int vcpu_fd, int signal, struct mv_err *err)
{
        struct {
                struct kvm_signal_mask head;
                uint8_t set[KERNEL_SIGSET_BYTES];
        } m;
        uint64_t blocked = ~(1ull << (signal - 1));
        m.head.len = KERNEL_SIGSET_BYTES;
        memcpy(m.head.sigset, &blocked, sizeof blocked);
        return mv_sys_kvm(vcpu_fd, KVM_SET_SIGNAL_MASK, &m,
                          "set the signal mask of a virtual processor", err);
}

struct kvm_run *mv_sys_kvm_map_run(int kvm_fd, int vcpu_fd, size_t *ret_bytes, struct mv_err *err)
{
        int bytes = ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
        void *p =
                bytes < (int)sizeof(struct kvm_run)
                        ? MAP_FAILED
                        : mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu_fd, 0);
        if (p == MAP_FAILED) {
                mv__fail(err, MV_E_SYS, errno, "map %d bytes of a virtual processor", bytes);
                return NULL;
        }
        *ret_bytes = (size_t)bytes;
        return p;
}

int mv_sys_kvm_run(int vcpu_fd)
{
        return ioctl(vcpu_fd, KVM_RUN, 0) < 0 ? -errno : 0;
}

const char *mv_sys_kvm_backend(void)
{
        if (access("/sys/module/kvm_pvm", F_OK) == 0)
                return "kvm_pvm";
        if (access("/sys/module/kvm_intel", F_OK) == 0)
                return "kvm_intel";
        if (access("/sys/module/kvm_amd", F_OK) == 0)
                return "kvm_amd";
        return "kvm";
}
